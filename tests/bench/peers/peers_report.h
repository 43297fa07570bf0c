/* peers_report.h - what bench-peers says: one table, what is left out and why, bench-peers.tsv.
 *
 * The rows of a case stand together, ringd first. Ratios are medians of quotients of what was measured in the same
 * round: to ringd (above 1: ringd is ahead), to the hop beside it, to the streaming limit. Called by bench_peers.c.
 */
#ifndef BENCH_PEERS_REPORT_H
#define BENCH_PEERS_REPORT_H

#include <stdio.h>

#include "peers_plan.h"

void peers_report_table(const struct peers_plan *plan, FILE *out);
void peers_report_skipped(const struct peers_plan *plan, FILE *out);

/* case, system, bytes, writers, readers, median, p10, p90, unit, hop_ns; what stalls has the unit "stalls". */
void peers_report_tsv(const struct peers_plan *plan, FILE *out);

/* case, system, bytes, from_ns, to_ns, count: the latency histograms. */
void peers_report_histograms(const struct peers_plan *plan, FILE *out);

#endif
