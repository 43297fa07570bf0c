/* limits.h - what this machine can do at best: the measures that the ring is held against.
 *
 *   hop     one cache line from one core to the other: half a round trip in which two pinned processes do nothing but
 *           wait for a word and answer it
 *   xadd    one uncontended `lock xadd` (atomic fetch-and-add) on a line that the core owns
 *   stream  one process fills a buffer in shared memory, the other checks it (payload.h), with one flag per 4 KiB and
 *           nothing else between them
 *   memcpy  copying inside the second-level cache, and copying what no cache holds
 *
 * Hop, xadd and stream move from second to second on a virtual machine (the host moves its processors about), so they
 * are taken next to each repetition of each case and not once at the beginning.
 *
 * Called by plan.c.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include "crew.h"

struct limits {
    double share; /* crew_share() of the processes that measured these, the smallest: well below 1 they are no limits */
    double hop_ns;
    double xadd_ns;
    double stream_gbs; /* 10^9 bytes per second */
};

struct limits_copy {
    double cached_gbs; /* 128 KiB from one place to another */
    double large_gbs;  /* 64 MiB */
};

/* All three take `cpus` from crew_processors() and answer as crew_run(). limits_hop measures nothing but share and
 * hop_ns. */
int limits_hop(struct crew *crew, const int cpus[2], struct limits *limits, char *failure);
int limits_measure(struct crew *crew, const int cpus[2], struct limits *limits, char *failure);
int limits_copy_measure(struct crew *crew, const int cpus[2], struct limits_copy *copy, char *failure);

#endif
