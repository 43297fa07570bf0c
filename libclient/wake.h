/* wake.h - sleeping and waking through shared memory, and the clock that deadlines are on.
 *
 * Each of the two words of struct ringd_waits is an eventcount: bit 0 says that somebody sleeps, bit 1 that somebody
 * wakes them, the rest counts wake-ups.
 *
 *     sleeper                                     waker
 *     value = wake_announce(&word)      (a)       publishes (a locked instruction on W, or a store, seq_cst)   (c)
 *     looks again                       (b)       wake_all(&word) if bit 0 is set                              (d)
 *     wake_sleep(&word, value, until)                 moves the count on and sets bit 1; wakes; takes both bits off
 *                                                     if the word is still what it has made of it
 *
 * All are sequentially consistent, and (b) loads first what (c) wrote. So either (d) sees the announcement, or (b) sees
 * what was published. A wake moves the count on before the system call, so a sleeper that announced before it does not
 * fall asleep after it. Who announces while bit 1 is set takes that off: then the waker does not take off what was
 * announced after its system call. Bit 0 stays until the sleepers have been woken: a waker that is stopped or dies in
 * between leaves it to the next one. Nobody has to take an announcement back: one that is left over costs one system
 * call at the next publication.
 *
 * wake_sleep only needs read access: observers sleep on the word too, with the daemon announcing for them.
 */
#ifndef LIBCLIENT_WAKE_H
#define LIBCLIENT_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WAKE_SLEEPING UINT32_C(1)
#define WAKE_WAKING   UINT32_C(2)
#define WAKE_STEP     UINT32_C(4)

/* Says that somebody is about to sleep; returns the value to sleep on. */
uint32_t wake_announce(_Atomic uint32_t *word);

/* Sleeps while *word == value, until deadline_ns (CLOCK_MONOTONIC; INT64_MAX: for ever). 0 (woken, or *word differs, or
 * for no reason), -ETIMEDOUT, -EINTR. */
int wake_sleep(const _Atomic uint32_t *word, uint32_t value, int64_t deadline_ns);

/* If somebody announced: wakes everybody who sleeps on the word. Returns whether somebody had. */
bool wake_all(_Atomic uint32_t *word);

/* Between the announcement and the look, where those who publish do without a locked instruction (ring_single.h): the
 * kernel runs a full barrier on each processor that runs a process which has allowed it. False: it does not. */
bool wake_barrier(void);

/* From now on it does so for this process. False: it does not. */
bool wake_allow_barriers(void);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t wake_now(void);

#endif
