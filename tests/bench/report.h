/* report.h - what the bench says: the table, the histograms, bench.tsv.
 *
 * Ratios come first, as the absolute times of a virtual machine mean little: each value is divided by the limit that
 * was measured beside it, in the same repetition, and the median of these quotients is shown. (What must be reached:
 * goals.h.)
 *
 * Called by bench.c.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "plan.h"
#include "scale.h"
#include "survival.h"

void report_table(const struct plan *plan, FILE *out);
void report_histograms(const struct plan *plan, FILE *out);

/* case, system, bytes, writers, readers, median, p10, p90, unit, hop_ns; a line each, separated by tabs. */
void report_tsv(const struct plan *plan, const struct scale *scale, const struct survival *survival, FILE *out);

#endif
