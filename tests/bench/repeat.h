/* repeat.h - one repetition of whatever is measured, with the machine's own limits beside it.
 *
 * xadd, stream and hop are measured right before, the hop right after. A repetition is dropped and done again when the
 * hop after is not what it was before (by more than REPEAT_HOP_DRIFT), or when a process that never sleeps had its
 * processor for less than REPEAT_SHARE of the time: somebody else used it. That is done REPEAT_TRIES times at most, and
 * not at all any more after `until_ns`; what the last try gave is kept and marked, as it would be a lie to leave it
 * out.
 *
 * Called by plan.c and peers/peers_plan.c.
 */
#ifndef BENCH_REPEAT_H
#define BENCH_REPEAT_H

#include <stdbool.h>

#include "crew.h"
#include "limits.h"
#include "stats.h"

#define REPEAT_HOP_DRIFT 1.2
#define REPEAT_SHARE     0.95
#define REPEAT_TRIES     5u

/* Limits beside each repetition, in the order of the rounds. */
struct repeat_series {
    struct series hop, xadd, stream;
    unsigned unsteady; /* repetitions that were disturbed in every try */
};

struct repeat {
    struct crew *crew;
    const int *cpus;
    unsigned dropped; /* repetitions */
    int64_t until_ns;
};

/* Runs once; *share: the smallest crew_share() of the roles that never sleep. As crew_run. */
typedef int (*repeat_play)(void *task, double *share, char *failure);

/* Begins a round, which may drop repetitions for so long. */
void repeat_round(struct repeat *repeat, unsigned retry_s);

/* One repetition; its limits are added to `series`, what it gave is what `play` has left in `task` last. */
int repeat_run(struct repeat *repeat, repeat_play play, void *task, struct repeat_series *series, char *failure);

#endif
