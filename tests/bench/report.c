/* report.c - the table, the histograms and bench.tsv; see report.h. (What must be reached is in
 * goals.c.)
 *
 * All times are nanoseconds. For a stream they are nanoseconds a record, over all writers, until the last reader has
 * checked the last one; so with several readers each record was delivered that many times in that time.
 *
 * Ratios are to what was measured beside the value: xadds for a writer alone, hops for everything between two cores,
 * and for streams also the share of the streaming limit (more is better there; else less).
 */
#include "report.h"

#include <math.h>
#include <string.h>

static const char *const latency_parts[CASE_FIGURES] = {"p50", "p99", "p99.9"};

/* ---- the table -------------------------------------------------------------------------------------------------- */

/* The share of the streaming limit that the payloads' bytes make. */
static double stream_share(const struct plan_entry *entry)
{
    struct series rates = {.count = 0};

    for (unsigned i = 0; i < entry->values[0].count; i++)
        series_add(&rates, entry->bench_case.bytes / entry->values[0].values[i]);
    return series_median_ratio(&rates, &entry->limits.stream);
}

/* A figure of `width` places, or as many blanks with a dash. */
static void figure_print(double value, int width, FILE *out)
{
    if (isnan(value))
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.2f", width, value);
}

static void ratios_print(const struct plan_entry *entry, unsigned figure, FILE *out)
{
    enum case_shape shape = entry->bench_case.shape;
    const struct series *values = &entry->values[figure];

    bool alone = shape == CASE_ALONE || shape == CASE_DRAIN;

    figure_print(alone ? series_median_ratio(values, &entry->limits.xadd) : NAN, 7, out);
    figure_print(alone ? NAN : series_median_ratio(values, &entry->limits.hop), 8, out);
    figure_print(shape == CASE_STREAM ? stream_share(entry) : NAN, 7, out);
}

static void entry_row(const struct plan_entry *entry, unsigned figure, FILE *out)
{
    const struct bench_case *bench_case = &entry->bench_case;
    const struct series *values = &entry->values[figure];
    double median_ns = series_median(values);
    bool latency = case_is_latency(bench_case);

    fprintf(out, "%-16s %-5s %5u %2u %2u", bench_case->name, latency ? latency_parts[figure] : "", bench_case->bytes,
            bench_case->writers, bench_case->readers);
    ratios_print(entry, figure, out);
    fprintf(out, " | %9.1f %9.1f %9.1f", median_ns, series_quantile(values, 0.1), series_quantile(values, 0.9));
    figure_print(latency ? NAN : 1e3 / median_ns, 8, out);
    figure_print(latency ? NAN : bench_case->bytes / median_ns, 6, out);
    fprintf(out, " %6.1f%s\n", series_median(&entry->limits.hop), entry->limits.unsteady ? "  *" : "");
}

void report_table(const struct plan *plan, FILE *out)
{
    if (plan->count == 0)
        return;
    fprintf(out, "\n%-16s %-5s %5s %2s %2s %7s %8s %7s | %9s %9s %9s %8s %6s %6s\n", "case", "", "bytes", "W", "R",
            "xadds", "hops", "stream", "ns median", "p10", "p90", "M rec/s", "GB/s", "hop ns");
    for (unsigned i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        unsigned figures = case_is_latency(&entry->bench_case) ? CASE_FIGURES : 1;

        if (i > 0 && (strcmp(entry[-1].bench_case.name, entry->bench_case.name) != 0 ||
                      entry[-1].bench_case.writers != entry->bench_case.writers ||
                      entry[-1].bench_case.readers != entry->bench_case.readers))
            fprintf(out, "\n");
        for (unsigned figure = 0; figure < figures; figure++)
            entry_row(entry, figure, out);
    }
}

/* ---- histograms ------------------------------------------------------------------------------------------------- */

void report_histograms(const struct plan *plan, FILE *out)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];

        if (!case_is_latency(&entry->bench_case))
            continue;
        fprintf(out, "\n  %s, %u bytes: one way, %llu round trips (a reader slept %.2f times a message)\n",
                entry->bench_case.name, entry->bench_case.bytes, (unsigned long long)entry->histogram.count,
                entry->slept);
        histogram_print(&entry->histogram, out);
    }
}

/* ---- bench.tsv -------------------------------------------------------------------------------------------------- */

static void entry_tsv(const struct plan_entry *entry, FILE *out)
{
    static const char *const suffixes[CASE_FIGURES] = {"_p50", "_p99", "_p99.9"};
    const struct bench_case *bench_case = &entry->bench_case;
    bool latency = case_is_latency(bench_case);

    for (unsigned i = 0; i < (latency ? CASE_FIGURES : 1); i++) {
        fprintf(out, "%s%s\t%s\t%u\t%u\t%u\t%.3f\t%.3f\t%.3f\t%s\t%.2f\n", bench_case->name, latency ? suffixes[i] : "",
                bench_case->write == CASE_COPY ? "machine" : "ringd", bench_case->bytes, bench_case->writers,
                bench_case->readers, series_median(&entry->values[i]), series_quantile(&entry->values[i], 0.1),
                series_quantile(&entry->values[i], 0.9), latency ? "ns" : "ns/record",
                series_median(&entry->limits.hop));
    }
}

void report_tsv(const struct plan *plan, const struct scale *scale, const struct survival *survival, FILE *out)
{
    machine_tsv(&plan->machine, out);
    for (unsigned i = 0; i < plan->count; i++)
        entry_tsv(&plan->entries[i], out);
    figures_tsv(&scale->figures, series_median(&plan->machine.hop), out);
    figures_tsv(&survival->figures, series_median(&plan->machine.hop), out);
}
