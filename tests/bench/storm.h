/* storm.h - whether it costs running writers anything that others beside them are killed all the time.
 *
 * Two writers and a reader run (load.h). Beside them contexts come at a steady rate, one after the other, of three
 * kinds in turn: none at all; such as attach, write a record and leave; such as attach, reserve and are killed in
 * mid-record. How fast the reader gets the records of all is compared from one stretch of time to the next in the same
 * run, so that everybody's place on the processors is the same.
 *
 * Called by survival.c.
 */
#ifndef BENCH_STORM_H
#define BENCH_STORM_H

#include "load.h"

enum storm_kind {
    STORM_NONE,
    STORM_CLEAN,
    STORM_KILLS,
    STORM_KINDS,
};

/* Medians of one run. */
struct storm_figures {
    double rates[STORM_KINDS]; /* million records a second */
    double clean_share;        /* kills' rate in shares of the clean ones', pair by pair */
    double clean_hz, kills_hz; /* how many came, a second */
};

int storm_run(struct load *load, struct crew *crew, const int cpus[2], struct storm_figures *figures, char *failure);

#endif
