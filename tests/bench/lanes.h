/* lanes.h - what a second lane brings on a second processor.
 *
 *   writers  one writer alone, and two writers in two lanes on two processors; nobody reads
 *   pairs    a writer and a reader that share a processor, and two such pairs in two lanes on two processors
 *
 * One and two take turns, so that both have the same machine; the figure is how many times the rate of one the rate of
 * two is. Both do the same: the number of records for each writer, the size of a lane, the calls.
 *
 * The readers of two pairs are those of one ring, each of which wants the records of its own lane's writers only; or
 * members of one group, who share all of them.
 *
 * Called by scale.c.
 */
#ifndef BENCH_LANES_H
#define BENCH_LANES_H

#include "crew.h"

#define LANES_BYTES 64u /* of a record */

enum lanes_kind {
    LANES_WRITERS,
    LANES_PAIRS,       /* by filter */
    LANES_PAIRS_GROUP, /* by group */
};

struct lanes_figures {
    double one_rate, two_rate; /* 10^6 records a second */
    double gain;               /* the median of the quotients */
};

/* As crew_run. */
int lanes_run(struct crew *crew, const int cpus[2], enum lanes_kind kind, struct lanes_figures *figures, char *failure);

#endif
