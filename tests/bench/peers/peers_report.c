/* peers_report.c - the table and the files of bench-peers; see peers_report.h. */
#include "peers_report.h"

#include <math.h>
#include <string.h>

static const char *const latency_parts[PLAY_FIGURES] = {"p50", "p99", "p99.9"};

/* ---- the table -------------------------------------------------------------------------------------------------- */

static void figure_print(double value, int width, FILE *out)
{
    if (isnan(value))
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.*f", width, value >= 1000 ? 0 : value >= 10 ? 1 : 2, value);
}

static double stream_share(const struct peers_entry *entry)
{
    struct series rates = {.count = 0};

    for (unsigned i = 0; i < entry->values[0].count; i++)
        series_add(&rates, entry->peers_case->play_case.bytes / entry->values[0].values[i]);
    return series_median_ratio(&rates, &entry->limits.stream);
}

static void row_begin(const struct peers_entry *entry, const char *part, FILE *out)
{
    const struct play_case *play_case = &entry->peers_case->play_case;

    fprintf(out, "%-20s %-15s %-5s %5u %2u %2u", play_case->name, entry->peer->name, part, play_case->bytes,
            play_case->writers, play_case->readers);
}

static void entry_row(const struct peers_plan *plan, const struct peers_entry *entry, unsigned figure, FILE *out)
{
    const struct peers_entry *ringd = peers_plan_ringd(plan, entry);
    const struct series *values = &entry->values[figure];
    bool is_fault = entry->peers_case->is_fault, latency = peers_case_is_latency(entry->peers_case);
    bool rate = !is_fault && !latency;
    double median = series_median(values), scale = is_fault ? 1e3 : 1;

    row_begin(entry, latency ? latency_parts[figure] : "", out);
    figure_print(ringd ? series_median_ratio(values, &ringd->values[figure]) : NAN, 9, out);
    figure_print(is_fault ? NAN : series_median_ratio(values, &entry->limits.hop), 8, out);
    figure_print(rate ? stream_share(entry) : NAN, 6, out);
    fprintf(out, " |");
    figure_print(scale * median, 10, out);
    figure_print(scale * series_quantile(values, 0.1), 10, out);
    figure_print(scale * series_quantile(values, 0.9), 10, out);
    figure_print(rate ? 1e3 / median : NAN, 8, out);
    figure_print(rate ? entry->peers_case->play_case.bytes / median : NAN, 6, out);
    fprintf(out, " %6.1f%s", series_median(&entry->limits.hop), entry->limits.unsteady ? " *" : "");
    if (is_fault && entry->peers_case->fault == FAULT_WRITER_KILLED)
        fprintf(out, "  %.0f records lost", series_median(&entry->values[1]));
    fprintf(out, "\n");
}

void peers_report_table(const struct peers_plan *plan, FILE *out)
{
    fprintf(out, "\n%-20s %-15s %-5s %5s %2s %2s %9s %8s %6s | %10s %10s %10s %8s %6s %6s\n", "case", "system", "",
            "bytes", "W", "R", "x ringd", "hops", "stream", "ns median", "p10", "p90", "M rec/s", "GB/s", "hop ns");
    for (unsigned i = 0; i < plan->count; i++) {
        const struct peers_entry *entry = &plan->entries[i];

        if (i > 0 && entry[-1].peers_case != entry->peers_case)
            fprintf(out, "\n");
        if (entry->state != ENTRY_FINE) {
            row_begin(entry, "", out);
            fprintf(out, " %s\n", entry->state == ENTRY_STALLS ? "stalls" : entry->why);
            continue;
        }
        for (unsigned k = 0; k < (peers_case_is_latency(entry->peers_case) ? PLAY_FIGURES : 1); k++)
            entry_row(plan, entry, k, out);
    }
}

void peers_report_skipped(const struct peers_plan *plan, FILE *out)
{
    fprintf(out, "\nThe systems:\n");
    for (unsigned i = 0; peers_all[i]; i++) {
        const struct peer *peer = peers_all[i];

        fprintf(out, "  %-15s %s%s%s\n", peer->name, peer->what, *plan->skipped[i] ? "; SKIPPED: " : "",
                plan->skipped[i]);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void line_tsv(const struct peers_entry *entry, const char *suffix, const struct series *values, const char *unit,
                     FILE *out)
{
    const struct play_case *play_case = &entry->peers_case->play_case;

    fprintf(out, "%s%s\t%s\t%u\t%u\t%u\t%.3f\t%.3f\t%.3f\t%s\t%.2f\n", play_case->name, suffix, entry->peer->name,
            play_case->bytes, play_case->writers, play_case->readers, series_median(values),
            series_quantile(values, 0.1), series_quantile(values, 0.9), unit, series_median(&entry->limits.hop));
}

static void entry_tsv(const struct peers_entry *entry, FILE *out)
{
    static const char *const suffixes[PLAY_FIGURES] = {"_p50", "_p99", "_p99.9"};
    const struct play_case *play_case = &entry->peers_case->play_case;

    if (entry->state == ENTRY_REFUSED)
        return;
    if (entry->state == ENTRY_STALLS) {
        fprintf(out, "%s\t%s\t%u\t%u\t%u\tnan\tnan\tnan\tstalls\tnan\n", play_case->name, entry->peer->name,
                play_case->bytes, play_case->writers, play_case->readers);
    } else if (entry->peers_case->is_fault) {
        line_tsv(entry, "", &entry->values[0], "us", out);
        if (entry->peers_case->fault == FAULT_WRITER_KILLED)
            line_tsv(entry, "_lost", &entry->values[1], "records", out);
    } else if (peers_case_is_latency(entry->peers_case)) {
        for (unsigned i = 0; i < PLAY_FIGURES; i++)
            line_tsv(entry, suffixes[i], &entry->values[i], "ns", out);
    } else {
        line_tsv(entry, "", &entry->values[0], "ns/record", out);
    }
}

void peers_report_tsv(const struct peers_plan *plan, FILE *out)
{
    machine_tsv(&plan->machine, out);
    for (unsigned i = 0; i < plan->count; i++)
        entry_tsv(&plan->entries[i], out);
}

void peers_report_histograms(const struct peers_plan *plan, FILE *out)
{
    fprintf(out, "case\tsystem\tbytes\tfrom_ns\tto_ns\tcount\n");
    for (unsigned i = 0; i < plan->count; i++) {
        const struct peers_entry *entry = &plan->entries[i];
        const struct play_case *play_case = &entry->peers_case->play_case;

        for (unsigned k = 0; k < HISTOGRAM_BUCKETS && entry->histogram.count; k++) {
            if (entry->histogram.buckets[k] > 0) {
                fprintf(out, "%s\t%s\t%u\t%.1f\t%.1f\t%llu\n", play_case->name, entry->peer->name, play_case->bytes,
                        histogram_from_ns(k), histogram_from_ns(k + 1),
                        (unsigned long long)entry->histogram.buckets[k]);
            }
        }
    }
}
