/* stats.h - medians with spread, and histograms.
 *
 * A series holds one value per repetition. A histogram holds every round trip of all repetitions of one latency case,
 * in buckets that are an eighth of an octave wide (9 % at most), from a nanosecond to some seconds; percentiles of a
 * single repetition are not taken from it but from the sorted samples themselves.
 *
 * Called by plan.c, latency.c and report.c.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SERIES_MAX        64u
#define HISTOGRAM_BUCKETS 264u

struct series {
    double values[SERIES_MAX];
    unsigned count;
};

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
};

/* Beyond SERIES_MAX values are not taken. */
void series_add(struct series *series, double value);

/* Interpolated between the two nearest values; `part` from 0 to 1. NAN when the series is empty. */
double series_quantile(const struct series *series, double part);
double series_median(const struct series *series);

/* The median of the quotients value by value: what was measured at the same moment belongs together, medians of
 * different moments do not. */
double series_median_ratio(const struct series *values, const struct series *units);

/* The value that `part` of all samples do not exceed. The samples must be sorted and at least one. A sample counts as
 * spread evenly over `width` around it: a clock that moves in steps of that width has put it there. */
double samples_quantile(const uint32_t *sorted, size_t count, double part, double width);
void samples_sort(uint32_t *samples, size_t count);

/* Of `count` samples, each of which `sample_ns` turns into nanoseconds. */
void histogram_init(struct histogram *histogram, const uint32_t *samples, size_t count, double (*sample_ns)(double));
void histogram_merge(struct histogram *histogram, const struct histogram *more);

/* Where a bucket begins. */
double histogram_from_ns(unsigned bucket);

/* One line for each half octave between the first and the last sample: range, count, share, a bar. */
void histogram_print(const struct histogram *histogram, FILE *out);

#endif
