/* clock.h - the two clocks of the bench.
 *
 * clock_now_ns() is CLOCK_MONOTONIC: the same in all processes, good for the beginning and the end of a run, too dear
 * to read once a round trip. clock_ticks() is the processor's own counter where it has one, else CLOCK_MONOTONIC; it is
 * read around every single round trip of the latency cases. clock_init() compares the two once, before any process is
 * forked, and also finds out what one reading of the counter costs: that cost belongs to the bench and not to the ring,
 * and is taken off each round trip.
 *
 * Called by everything in this folder. clock_init() first.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline int64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of this process. */
static inline int64_t clock_processor_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)clock_now_ns();
#endif
}

/* Takes about 60 ms. */
void clock_init(void);

/* Both are known after clock_init() and are inherited by forked processes. */
double clock_ns_per_tick(void);
double clock_read_ns(void);    /* cost of one clock_ticks() */
double clock_step_ticks(void); /* what it moves by at least, when it moves; 10 ns on some virtual machines */

#endif
