/* ticks.c - see ticks.h. */
#define _GNU_SOURCE
#include "ticks.h"

#include <time.h>

#include "wake.h"

#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

#define MEASURE_NS INT64_C(20000000)
#define NS_PER_S   INT64_C(1000000000)

static uint64_t read_counter(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __rdtsc();
#else
    return 0;
#endif
}

void ticks_init(struct ticks *ticks)
{
    ticks->clock_ns = wake_now();
    ticks->counter = read_counter();
}

static void sleep_until(int64_t clock_ns)
{
    struct timespec until = {.tv_sec = clock_ns / NS_PER_S, .tv_nsec = clock_ns % NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ; /* a signal: the loop handles it later */
}

uint64_t ticks_per_second(const struct ticks *ticks)
{
    int64_t elapsed_ns;
    uint64_t elapsed_ticks;

    sleep_until(ticks->clock_ns + MEASURE_NS);
    elapsed_ns = wake_now() - ticks->clock_ns;
    elapsed_ticks = read_counter() - ticks->counter;
    return (uint64_t)((unsigned __int128)elapsed_ticks * NS_PER_S / (uint64_t)elapsed_ns);
}
