/* wake.c - eventcounts on futexes; the argument for them is in wake.h. */
#define _GNU_SOURCE
#include "wake.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stop_point.h"

#define NS_PER_S INT64_C(1000000000)

/* A word that still changes after so many looks is being scribbled over. */
#define WAKE_ROUNDS_MAX 256

uint32_t wake_announce(_Atomic uint32_t *word)
{
    uint32_t value = 0;

    for (int round = 0; round < WAKE_ROUNDS_MAX; round++) {
        value = atomic_fetch_or_explicit(word, WAKE_SLEEPING, memory_order_seq_cst) | WAKE_SLEEPING;
        STOP_POINT("wait-announced");
        if (!(value & WAKE_WAKING))
            break;
        /* A waker is about to take both bits off: not this one's. If it has done so by now, say it again. */
        value = atomic_fetch_and_explicit(word, ~WAKE_WAKING, memory_order_seq_cst) & ~WAKE_WAKING;
        STOP_POINT("wait-kept");
        if (value & WAKE_SLEEPING)
            break;
    }
    return value;
}

int wake_sleep(const _Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};
    const struct timespec *timeout = deadline_ns == INT64_MAX ? NULL : &until;

    if (deadline_ns <= 0)
        return -ETIMEDOUT;
    /* WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, timeout, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    return errno == EAGAIN ? 0 : -errno;
}

bool wake_all(_Atomic uint32_t *word)
{
    uint32_t value = atomic_load_explicit(word, memory_order_seq_cst), moved = 0;

    for (int round = 0; round < WAKE_ROUNDS_MAX; round++) {
        if (!(value & WAKE_SLEEPING))
            return false;
        moved = (value + WAKE_STEP) | WAKE_WAKING;
        if (atomic_compare_exchange_strong_explicit(word, &value, moved, memory_order_seq_cst, memory_order_seq_cst))
            break;
    }
    STOP_POINT("wake-counted");
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    STOP_POINT("wake-sent");
    /* Failure: somebody has announced since, or another waker is at it. */
    atomic_compare_exchange_strong_explicit(word, &moved, moved & ~(WAKE_SLEEPING | WAKE_WAKING), memory_order_seq_cst,
                                            memory_order_relaxed);
    STOP_POINT("wake-cleared");
    return true;
}

bool wake_barrier(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool wake_allow_barriers(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

int64_t wake_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}
