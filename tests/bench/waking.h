/* waking.h - how long it takes to wake a process, through a ring and without one.
 *
 * Two pinned processes answer each other, each asleep when the other one's message comes, in four ways that take turns
 * with every message, so that all have the same machine:
 *
 *   ring       ringd_write; ringd_next with RINGD_WAIT_SLEEP
 *   ring, fd   ringd_write; poll on ringd_reader_fd, then ringd_next
 *   futex      a store and FUTEX_WAKE; FUTEX_WAIT on a word in shared memory; nothing else
 *   eventfd    write; read, which blocks
 *
 * One way is half of a round trip. The ways of the ring fill, check and release a record of 8 bytes.
 *
 * Called by scale.c.
 */
#ifndef BENCH_WAKING_H
#define BENCH_WAKING_H

#include "crew.h"

#define WAKING_BYTES 8u

enum waking_way {
    WAKING_RING,
    WAKING_RING_FD,
    WAKING_FUTEX,
    WAKING_EVENTFD,
    WAKING_WAYS,
};

struct waking_figures {
    double p50_us[WAKING_WAYS], p99_us[WAKING_WAYS];
};

/* As crew_run. */
int waking_run(struct crew *crew, const int cpus[2], struct waking_figures *figures, char *failure);

#endif
