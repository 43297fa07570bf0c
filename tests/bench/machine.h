/* machine.h - this machine's limits over the rounds, and how they are said.
 *
 * Called by plan.c, report.c and the same of peers/.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdio.h>

#include "crew.h"
#include "stats.h"

/* One value for each round. */
struct machine {
    struct series hop, xadd, stream, cached_copy, large_copy;
};

int machine_measure(struct machine *machine, struct crew *crew, const int cpus[2], char *failure);
void machine_print(const struct machine *machine, FILE *out);

/* The head line of the tsv and a line for each limit. */
void machine_tsv(const struct machine *machine, FILE *out);

#endif
