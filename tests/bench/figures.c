/* figures.c - figures with names; see figures.h. */
#include "figures.h"

#include <assert.h>
#include <string.h>

static unsigned figure_place(const struct figures *figures, const char *name)
{
    unsigned i = 0;

    while (i < figures->count && strcmp(figures->labels[i].name, name) != 0)
        i++;
    return i;
}

void figures_add(struct figures *figures, const struct figure_label *label, double value)
{
    unsigned i = figure_place(figures, label->name);

    if (i == figures->count) {
        assert(i < FIGURES_MAX);
        figures->labels[i] = *label;
        figures->count++;
    }
    series_add(&figures->values[i], value);
}

const struct series *figures_find(const struct figures *figures, const char *name)
{
    unsigned i = figure_place(figures, name);

    return i < figures->count ? &figures->values[i] : NULL;
}

void figures_table(const struct figures *figures, FILE *out)
{
    for (unsigned i = 0; i < figures->count; i++) {
        const struct figure_label *label = &figures->labels[i];
        const struct series *values = &figures->values[i];

        fprintf(out, "  %-30s %10.2f  (%.2f, %.2f) %s%s\n", label->name, series_median(values),
                series_quantile(values, 0.1), series_quantile(values, 0.9), label->unit,
                strcmp(label->system, "machine") == 0 ? ", the machine's own" : "");
    }
}

void figures_tsv(const struct figures *figures, double hop_ns, FILE *out)
{
    for (unsigned i = 0; i < figures->count; i++) {
        const struct figure_label *label = &figures->labels[i];
        const struct series *values = &figures->values[i];

        fprintf(out, "%s\t%s\t%u\t%u\t%u\t%.3f\t%.3f\t%.3f\t%s\t%.2f\n", label->name, label->system, label->bytes,
                label->writers, label->readers, series_median(values), series_quantile(values, 0.1),
                series_quantile(values, 0.9), label->unit, hop_ns);
    }
}
