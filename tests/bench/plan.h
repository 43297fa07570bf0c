/* plan.h - all cases, and what was measured of each.
 *
 * The plan is the list of the cases in the order of the table. plan_calibrate() runs each once, briefly, to find how
 * many records fill the time of a run; plan_round() runs each once in full. Rounds follow one another, so that whatever
 * the machine does for some seconds falls on one repetition of many cases and not on all repetitions of one.
 *
 * Each repetition has the machine's own limits beside it: xadd, stream and hop right before, hop right after. It is
 * dropped and done again when the hop after is not what it was before (by more than PLAN_HOP_DRIFT), or when a process
 * that never sleeps had its processor for less than PLAN_SHARE of the time: somebody else used it. That is done
 * PLAN_TRIES times at most, and not at all any more when a round has taken PLAN_RETRY_S; what the last try gave is kept
 * and marked, as it would be a lie to leave the case out.
 *
 * Called by bench.c; read by report.c.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stdbool.h>

#include "cases.h"
#include "crew.h"
#include "limits.h"
#include "stats.h"

#define PLAN_ENTRIES     96u
#define PLAN_DRAIN_BYTES 64u /* of the records of drains */
#define PLAN_HOP_DRIFT   1.2
#define PLAN_SHARE       0.95
#define PLAN_RETRY_S     60u
#define PLAN_TRIES       5u

/* Series have one value for each round, in the order of the rounds. */
struct plan_entry {
    struct bench_case bench_case;
    struct series values[CASE_FIGURES];
    struct series hop, xadd, stream; /* limits beside each */
    struct histogram histogram;      /* latency cases */
    double slept;                    /* of the last round */
    unsigned unsteady;               /* rounds that were disturbed in every try */
};

struct plan {
    struct plan_entry entries[PLAN_ENTRIES];
    const char *only;
    unsigned count;
    unsigned dropped;       /* repetitions */
    int64_t retry_until_ns; /* of this round */

    struct series hop, xadd, stream, cached_copy, large_copy; /* the machine's limits, once a round */
};

/* All cases, or those whose names stand in `only` (separated by spaces); NULL or empty: all. */
void plan_init(struct plan *plan, const char *only);

/* Whether a case is among those named in `only`. */
bool plan_wants(const char *only, const char *name);

/* 0, or negative with `failure` (CREW_TEXT bytes), which names the case. */
int plan_calibrate(struct plan *plan, struct crew *crew, const int cpus[2], char *failure);
int plan_round(struct plan *plan, struct crew *crew, const int cpus[2], char *failure);

/* The entry of a case; it must exist. */
const struct plan_entry *plan_find(const struct plan *plan, const char *name, uint32_t bytes, uint32_t writers,
                                   uint32_t readers);

#endif
