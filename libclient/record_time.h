/* record_time.h - the clocks that records get their time from.
 *
 * A writer takes the time after its addition to W, and a reader that merges lanes takes it before it loads W: neither
 * may be read early. So the counter is read by an instruction that waits for everything before it, and where what comes
 * after must not overtake it, by record_time_then_load().
 */
#ifndef LIBCLIENT_RECORD_TIME_H
#define LIBCLIENT_RECORD_TIME_H

#include <stdint.h>

#include "ringd.h"
#include "wake.h"

static inline uint64_t record_ticks(void)
{
#if defined(__x86_64__)
    unsigned int processor;

    return __builtin_ia32_rdtscp(&processor);
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)wake_now();
#endif
}

/* Of a time source other than none. */
static inline uint64_t record_time(uint32_t time_source)
{
    return time_source == RINGD_TIME_TSC ? record_ticks() : (uint64_t)wake_now();
}

/* No load that follows happens before the clock was read. */
static inline uint64_t record_time_then_load(uint32_t time_source)
{
    uint64_t time = record_time(time_source);

#if defined(__x86_64__)
    __builtin_ia32_lfence();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
    return time;
}

#endif
