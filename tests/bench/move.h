/* move.h - what writers notice of it when their ring moves to new memory under full load.
 *
 * Two writers and a reader run (load.h) on a ring of MOVE_BYTES. Time is cut into equal windows; in half of them the
 * ring moves (ringd_resize() to the size that it has: all of it is made anew, as for any other size). Each writer takes
 * the time after every single record, and notes the longest pause from one to the next in each window. The
 * distributions of these longest pauses are compared: with more processes than processors there are pauses without a
 * move too.
 *
 * No record is lost: the reader checks every one, and gets as many as were committed (load.h).
 *
 * Called by survival.c.
 */
#ifndef BENCH_MOVE_H
#define BENCH_MOVE_H

#include "load.h"

#define MOVE_BYTES (UINT64_C(64) << 20)

/* Of one run, microseconds. */
struct move_figures {
    double with_p50_us, with_p99_us;       /* longest pauses of windows with a move */
    double without_p50_us, without_p99_us; /* and of those without */
    double call_p50_us;                    /* of ringd_resize() */
    double rate_with, rate_without;        /* million records a second, in such windows; medians */
};

int move_run(struct load *load, struct crew *crew, const int cpus[2], struct move_figures *figures, char *failure);

#endif
