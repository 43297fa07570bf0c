/* stats.c - medians with spread, and histograms; see stats.h.
 *
 * Quantiles of a series are interpolated, as there are only a few repetitions. Those of the samples of one repetition
 * are searched for by halving: the share of the samples below a value grows with it.
 *
 * Holds true: a series is never sorted in place. Its values stay in the order of the repetitions, so that the n-th of
 * one case belongs to the n-th of another.
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_PER_OCTAVE 8
#define BUCKETS_PER_ROW    4
#define BAR_WIDTH          50
#define QUANTILE_ERROR     0.0005

void series_add(struct series *series, double value)
{
    if (series->count < SERIES_MAX)
        series->values[series->count++] = value;
}

static int double_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double series_quantile(const struct series *series, double part)
{
    double sorted[SERIES_MAX], place;
    unsigned below;

    if (series->count == 0)
        return NAN;
    memcpy(sorted, series->values, series->count * sizeof(sorted[0]));
    qsort(sorted, series->count, sizeof(sorted[0]), double_compare);
    place = part * (series->count - 1);
    below = (unsigned)place;
    if (below + 1 >= series->count)
        return sorted[series->count - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

double series_median(const struct series *series)
{
    return series_quantile(series, 0.5);
}

double series_median_ratio(const struct series *values, const struct series *units)
{
    struct series quotients = {.count = 0};

    for (unsigned i = 0; i < values->count && i < units->count; i++)
        series_add(&quotients, values->values[i] / units->values[i]);
    return series_median(&quotients);
}

static int sample_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

void samples_sort(uint32_t *samples, size_t count)
{
    qsort(samples, count, sizeof(samples[0]), sample_compare);
}

/* The part of all samples that lies below a value. */
static double samples_below(const uint32_t *samples, size_t count, double value, double width)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += fmin(1, fmax(0, (value - samples[i]) / width + 0.5));
    return sum / (double)count;
}

double samples_quantile(const uint32_t *sorted, size_t count, double part, double width)
{
    double low = sorted[0] - width / 2, high = sorted[count - 1] + width / 2;

    while (high - low > QUANTILE_ERROR * high) {
        double middle = (low + high) / 2;

        if (samples_below(sorted, count, middle, width) < part)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static unsigned bucket_of(double ns)
{
    double place = ns < 1.0 ? 0.0 : floor(log2(ns) * BUCKETS_PER_OCTAVE);

    return place < HISTOGRAM_BUCKETS ? (unsigned)place : HISTOGRAM_BUCKETS - 1;
}

void histogram_init(struct histogram *histogram, const uint32_t *samples, size_t count, double (*sample_ns)(double))
{
    *histogram = (struct histogram){.count = count};
    for (size_t i = 0; i < count; i++)
        histogram->buckets[bucket_of(sample_ns(samples[i]))]++;
}

void histogram_merge(struct histogram *histogram, const struct histogram *more)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += more->buckets[i];
    histogram->count += more->count;
}

double histogram_from_ns(unsigned bucket)
{
    return exp2((double)bucket / BUCKETS_PER_OCTAVE);
}

static uint64_t row_count(const struct histogram *histogram, unsigned row)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < BUCKETS_PER_ROW; i++)
        count += histogram->buckets[row * BUCKETS_PER_ROW + i];
    return count;
}

static void row_print(unsigned row, uint64_t count, uint64_t total, FILE *out)
{
    static const char bar[BAR_WIDTH + 1] = "##################################################";
    double from_ns = histogram_from_ns(row * BUCKETS_PER_ROW);
    double to_ns = histogram_from_ns((row + 1) * BUCKETS_PER_ROW);
    double share = (double)count / (double)total;

    fprintf(out, "    %9.0f to %9.0f ns %9llu %8.4f %%  %.*s\n", from_ns, to_ns, (unsigned long long)count,
            100.0 * share, (int)ceil(share * BAR_WIDTH), bar);
}

void histogram_print(const struct histogram *histogram, FILE *out)
{
    const unsigned rows = HISTOGRAM_BUCKETS / BUCKETS_PER_ROW;
    unsigned first = 0, last = rows;

    while (first < rows && row_count(histogram, first) == 0)
        first++;
    while (last > first && row_count(histogram, last - 1) == 0)
        last--;
    for (unsigned row = first; row < last; row++)
        row_print(row, row_count(histogram, row), histogram->count, out);
}
