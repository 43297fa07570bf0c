/* goals.h - what ringd promises to reach on a machine with two processors, and whether it did in this run.
 *
 * Each promise is a ratio between medians of the same run, or a count. The lines inform: nothing fails on a time.
 *
 * Called by bench.c.
 */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include <stdint.h>
#include <stdio.h>

#include "plan.h"
#include "scale.h"
#include "survival.h"
#include "syscount.h"

/* What is measured once, beside the plan. A negative result: it could not be measured here. */
struct goals_counted {
    int busy_result, waiting_result;
    struct syscount busy, waiting;
    int text_result, resident_result;
    uint64_t text_bytes, resident_bytes;
};

/* Of waiting and lanes, deaths and moves those that were measured; all others only if all cases were. */
void goals_report(const struct plan *plan, const struct goals_counted *counted, const struct scale *scale,
                  const struct survival *survival, FILE *out);

#endif
