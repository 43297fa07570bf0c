/* idle.h - the processor time of a system in which nothing happens.
 *
 * IDLE_CONTEXTS processes are attached to one ring of two lanes, half of them writers that have written and wait for
 * something else, half of them readers that have read all there is and sleep, in all the ways there are: in ringd_next,
 * lossless, lossy, as observers and as members of a group, and in poll. For one second everything that the kernel
 * counts of them and of ringd, of each of their threads, must stay what it was: nanoseconds on a processor, turns on a
 * processor, changes of context. Then one record is written, and every reader but one of the group's must get it: they
 * did sleep for something.
 *
 * Called by scale.c.
 */
#ifndef BENCH_IDLE_H
#define BENCH_IDLE_H

#include <stdint.h>
#include <sys/types.h>

#include "crew.h"

#define IDLE_CONTEXTS 100u

struct idle {
    uint64_t threads;
    uint64_t run_ns, turns, switches; /* of all threads, in that second */
};

/* 0; -ENOTSUP: the kernel does not count (CONFIG_SCHED_INFO); -ECANCELED with `failure`, or an errno. */
int idle_run(struct crew *crew, pid_t server, struct idle *idle, char *failure);

#endif
