/* settings.h - what the environment says of a bench: REPS, and the lists of names in CASES and PEERS.
 *
 * Called by bench.c, plan.c, survival.c and the same of peers/.
 */
#ifndef BENCH_SETTINGS_H
#define BENCH_SETTINGS_H

#include <stdbool.h>

/* REPS, 1 to SERIES_MAX, 5 if it is not set. -EINVAL, explained on stderr. */
int settings_reps(unsigned *reps);

/* Whether `name` is among those in `only`, which are separated by spaces; NULL or empty: all are. */
bool settings_wants(const char *only, const char *name);

#endif
