/* scale.h - waiting, and more than one lane: figures that are no streams of a certain record.
 *
 *     waking        how long it takes to wake a reader, beside a futex and an eventfd (waking.h)
 *     lanes_write   two writers in two lanes on two processors beside one (lanes.h)
 *     lanes_pair    two pairs of writer and reader in two lanes, each on one processor, beside one; also by filter, by
 *                   group and in two rings
 *     calls         system calls for each record by rate, with one reader that sleeps (syscount.h); once
 *     idle          processor time of 100 contexts and ringd while nothing happens (idle.h); once
 *
 * Called by bench.c; read by goals.c.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include <stdio.h>
#include <sys/types.h>

#include "crew.h"
#include "figures.h"

struct scale {
    const char *only;
    struct figures figures;
    int calls_result, idle_result; /* negative: it could not be measured here */
};

/* All cases, or those whose names stand in `only`, as plan_init. */
void scale_init(struct scale *scale, const char *only);

/* What is measured once, and what is measured in each round. 0, or negative with `failure` (CREW_TEXT bytes), which
 * names the case. */
int scale_once(struct scale *scale, struct crew *crew, const int cpus[2], pid_t server, char *failure);
int scale_round(struct scale *scale, struct crew *crew, const int cpus[2], char *failure);

void scale_table(const struct scale *scale, FILE *out);

#endif
