/* figures.h - figures with names: series with a value for each round, for what is no case of the plan.
 *
 * Called by survival.c and scale.c; read by goals.c.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdint.h>
#include <stdio.h>

#include "stats.h"

#define FIGURES_MAX 64u
#define FIGURE_NAME 40u

struct figure_label {
    char name[FIGURE_NAME]; /* as in bench.tsv */
    const char *system;     /* "ringd" or "machine" */
    const char *unit;
    uint32_t bytes, writers, readers;
};

struct figures {
    struct figure_label labels[FIGURES_MAX];
    struct series values[FIGURES_MAX];
    unsigned count;
};

/* The first value under a name makes the figure. */
void figures_add(struct figures *figures, const struct figure_label *label, double value);

/* NULL: it was not measured. */
const struct series *figures_find(const struct figures *figures, const char *name);

void figures_table(const struct figures *figures, FILE *out);

/* Lines for bench.tsv. */
void figures_tsv(const struct figures *figures, double hop_ns, FILE *out);

#endif
