/* lanes.h - what a second lane brings on a second processor.
 *
 *   copiers  no ring: a process that fills records, copies them into memory of its own and adds to a word of its own
 *            for each, and two of them; what this machine's second processor brings at all
 *   writers  one writer alone, and two writers in two lanes on two processors; nobody reads
 *   pairs    a writer and a reader that share a processor, and two such pairs in two lanes on two processors
 *
 * One and two take turns, so that both have the same machine; the figure is how many times the rate of one the rate of
 * two is. Both do the same: the number of records for each writer, the size of a lane, the calls. Of each the best of
 * its turns counts (one has the other processor every second time): whoever else uses a processor makes either slower,
 * and two are disturbed twice as often.
 *
 * The readers of two pairs are those of one ring, each of which reads its writer's lane. For comparison: each reads all
 * lanes and wants the records of its own lane's writers only; or they are members of one group, who share all of them;
 * or the two pairs are in rings of their own.
 *
 * Called by scale.c.
 */
#ifndef BENCH_LANES_H
#define BENCH_LANES_H

#include "crew.h"

#define LANES_BYTES 64u /* of a record */

enum lanes_kind {
    LANES_COPIERS,
    LANES_WRITERS,
    LANES_PAIRS,        /* each reads its lane */
    LANES_PAIRS_FILTER, /* by filter */
    LANES_PAIRS_GROUP,  /* by group */
    LANES_PAIRS_RINGS,  /* in two rings */
};

struct lanes_figures {
    double one_rate, two_rate; /* 10^6 records a second */
    double gain;               /* two to one */
};

/* As crew_run. */
int lanes_run(struct crew *crew, const int cpus[2], enum lanes_kind kind, struct lanes_figures *figures, char *failure);

#endif
