/* survival.h - what it costs those who go on that others are killed, and that their ring moves.
 *
 * The cases are not streams of a certain record, as those of the plan are, and are no multiples of a hop: they have
 * figures of their own, each a series with a value for each round.
 *
 *     death_4MiB    from SIGKILL of a writer in mid-record to the next record, and exit_4MiB_..., the kernel's own time
 *     death_...     the same for rings of other sizes
 *     storm         the rate of running writers while others come and are killed
 *     move_64MiB    the pauses of running writers while their ring moves
 *
 * Called by bench.c; read by goals.c.
 */
#ifndef BENCH_SURVIVAL_H
#define BENCH_SURVIVAL_H

#include <stdio.h>

#include "crew.h"
#include "figures.h"

struct survival {
    const char *only;
    struct figures figures;
    unsigned dropped; /* kills that did not count */
};

/* All cases, or those whose names stand in `only`, as plan_init. */
void survival_init(struct survival *survival, const char *only);

/* Each case once. 0, or negative with `failure` (CREW_TEXT bytes), which names the case. */
int survival_round(struct survival *survival, struct crew *crew, const int cpus[2], char *failure);

void survival_table(const struct survival *survival, FILE *out);

#endif
