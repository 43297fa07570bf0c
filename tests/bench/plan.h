/* plan.h - all cases, and what was measured of each.
 *
 * The plan is the list of the cases in the order of the table. plan_calibrate() runs each once, briefly, to find how
 * many records fill the time of a run; plan_round() runs each once in full. Rounds follow one another, so that whatever
 * the machine does for some seconds falls on one repetition of many cases and not on all repetitions of one.
 *
 * What a repetition is, and when it is dropped: repeat.h.
 *
 * Called by bench.c; read by report.c.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stdbool.h>

#include "cases.h"
#include "crew.h"
#include "machine.h"
#include "repeat.h"
#include "stats.h"

#define PLAN_ENTRIES     128u
#define PLAN_DRAIN_BYTES 64u /* of the records of drains */
#define PLAN_RETRY_S     60u /* of a round */

/* Series have one value for each round, in the order of the rounds. */
struct plan_entry {
    struct bench_case bench_case;
    struct series values[CASE_FIGURES];
    struct repeat_series limits;
    struct histogram histogram; /* latency cases */
    double slept;               /* of the last round */
};

struct plan {
    struct plan_entry entries[PLAN_ENTRIES];
    const char *only;
    unsigned count;
    struct repeat repeat;
    struct machine machine;
};

/* All cases, or those whose names stand in `only` (separated by spaces); NULL or empty: all. */
void plan_init(struct plan *plan, const char *only);

/* 0, or negative with `failure` (CREW_TEXT bytes), which names the case. */
int plan_calibrate(struct plan *plan, struct crew *crew, const int cpus[2], char *failure);
int plan_round(struct plan *plan, struct crew *crew, const int cpus[2], char *failure);

/* The entry of a case; it must exist. */
const struct plan_entry *plan_find(const struct plan *plan, const char *name, uint32_t bytes, uint32_t writers,
                                   uint32_t readers);

#endif
