/* goals.c - the "must reach" lines; see goals.h.
 *
 * Where a promise has two ways (a reader that takes records one by one, or many at once) both are shown and judged by
 * themselves. Where it has several sizes every size is judged by itself.
 *
 * The figures that bind are at the head of the file; everything else only fetches and compares.
 */
#include "goals.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "footprint.h"

#define WRITE_XADDS    6.0
#define LATENCY_HOPS   1.15
#define ONE_HOPS       0.5
#define ONE_NS         25.0
#define ONE_BATCH_HOPS 0.25
#define ONE_BATCH_NS   14.0
#define ONE_KIB_GBS    12.0
#define ONE_KIB_STREAM 0.8
#define BATCH_SHARE    0.5
#define MANY_SHARE     0.8
#define TEXT_BYTES     (64u << 10)
#define RESIDENT_BYTES (4u << 20)
#define DEATH_P50_US   1000.0
#define DEATH_P99_US   5000.0
#define BEYOND_US      500.0
#define STORM_SHARE    0.9
#define MOVE_US        5000.0
#define WAKING_FACTOR  1.3
#define LANES_GAIN     1.8
#define CALLS_WRITER   1.0

/* `disturbed`: repetitions that had to be kept although they were. */
__attribute__((format(printf, 4, 5))) static void goal_line(FILE *out, bool reached, unsigned disturbed,
                                                            const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(out, "  %-11s ", reached ? "reached" : "NOT reached");
    vfprintf(out, format, arguments);
    fprintf(out, "%s\n", disturbed ? "  *" : "");
    va_end(arguments);
}

static void writes_report(const struct plan *plan, FILE *out)
{
    static const uint32_t sizes_bytes[] = {8, 64};

    for (unsigned i = 0; i < 2; i++) {
        const struct plan_entry *entry = plan_find(plan, "write", sizes_bytes[i], 1, 0);
        double xadds = series_median_ratio(&entry->values[0], &entry->limits.xadd);

        goal_line(out, xadds <= WRITE_XADDS, entry->limits.unsteady,
                  "uncontended write, %u bytes: %.2f lock xadds (at most %.0f)", sizes_bytes[i], xadds, WRITE_XADDS);
    }
}

static void latency_report(const struct plan *plan, FILE *out)
{
    static const uint32_t sizes_bytes[] = {8, 32};

    for (unsigned i = 0; i < 2; i++) {
        const struct plan_entry *entry = plan_find(plan, "latency_busy", sizes_bytes[i], 1, 1);
        double hops = series_median_ratio(&entry->values[0], &entry->limits.hop);

        goal_line(out, hops <= LATENCY_HOPS, entry->limits.unsteady,
                  "one way, busy, %u bytes, p50: %.2f hops (at most %.2f)", sizes_bytes[i], hops, LATENCY_HOPS);
    }
}

/* At most so many hops or so many nanoseconds, whichever is more. */
static void one_report(const struct plan *plan, const char *name, double hops_most, double ns_most, FILE *out)
{
    const struct plan_entry *entry = plan_find(plan, name, 64, 1, 1);
    double hops = series_median_ratio(&entry->values[0], &entry->limits.hop), ns = series_median(&entry->values[0]);

    goal_line(out, hops <= hops_most || ns <= ns_most, entry->limits.unsteady,
              "%s, 64 bytes: %.2f hops, %.1f ns a record (at most %.2f hops or %.0f ns)", name, hops, ns, hops_most,
              ns_most);
}

static void one_kib_report(const struct plan *plan, const char *name, FILE *out)
{
    const struct plan_entry *entry = plan_find(plan, name, 1024, 1, 1);
    double gbs = 1024 / series_median(&entry->values[0]), stream_gbs = series_median(&entry->limits.stream);

    goal_line(out, gbs >= ONE_KIB_GBS || gbs >= ONE_KIB_STREAM * stream_gbs, entry->limits.unsteady,
              "%s, 1 KiB: %.1f GB/s, %.2f of the stream (at least %.0f GB/s or %.1f)", name, gbs, gbs / stream_gbs,
              ONE_KIB_GBS, ONE_KIB_STREAM);
}

static void batch_report(const struct plan *plan, FILE *out)
{
    static const uint32_t sizes_bytes[] = {8, 64, 256, 1024};

    for (unsigned i = 0; i < 4; i++) {
        const struct plan_entry *batch = plan_find(plan, "write_batch16", sizes_bytes[i], 1, 0);
        const struct plan_entry *single = plan_find(plan, "write", sizes_bytes[i], 1, 0);
        const struct plan_entry *copy = plan_find(plan, "limit_copy", sizes_bytes[i], 1, 0);
        double share = series_median_ratio(&batch->values[0], &single->values[0]);

        goal_line(out, share <= BATCH_SHARE, batch->limits.unsteady + single->limits.unsteady,
                  "batch of 16, %u bytes: %.2f of a single write's cost a record (at most %.1f; filling and copying "
                  "alone: %.2f)",
                  sizes_bytes[i], share, BATCH_SHARE, series_median_ratio(&copy->values[0], &single->values[0]));
    }
}

static void many_report(const struct plan *plan, uint32_t writers, FILE *out)
{
    static const uint32_t sizes_bytes[] = {8, 64, 256, 1024};

    for (unsigned i = 0; i < 4; i++) {
        const struct plan_entry *many = plan_find(plan, "many_next", sizes_bytes[i], writers, 1);
        const struct plan_entry *one = plan_find(plan, "one_next", sizes_bytes[i], 1, 1);
        double share = series_median_ratio(&one->values[0], &many->values[0]);

        goal_line(out, share >= MANY_SHARE, many->limits.unsteady + one->limits.unsteady,
                  "%u writers to one reader, %u bytes: %.2f of the 1 to 1 rate (at least %.1f)", writers,
                  sizes_bytes[i], share, MANY_SHARE);
    }
}

static void calls_report(const struct goals_counted *counted, FILE *out)
{
    const struct syscount *busy = &counted->busy, *waiting = &counted->waiting;
    uint64_t calls = busy->calls[0] + busy->calls[1];

    if (counted->busy_result)
        fprintf(out, "  not measured system calls on the data path: %s\n", strerror(-counted->busy_result));
    else
        goal_line(out, calls == 0, 0, "system calls of a busy writer and reader: %llu in %llu records (none)",
                  (unsigned long long)calls, (unsigned long long)busy->records);
    if (!counted->busy_result && calls)
        fprintf(out, "              the first of them was number %ld\n", busy->number);
    if (!counted->waiting_result)
        fprintf(out, "              (with deadlines, so that both may sleep: %llu in %llu records)\n",
                (unsigned long long)(waiting->calls[0] + waiting->calls[1]), (unsigned long long)waiting->records);
}

static void footprint_report(const struct goals_counted *counted, FILE *out)
{
    if (counted->text_result)
        fprintf(out, "  not measured text of libringd.so: %s\n", strerror(-counted->text_result));
    else
        goal_line(out, counted->text_bytes < TEXT_BYTES, 0, "text of libringd.so: %.1f KiB (under %u)",
                  (double)counted->text_bytes / 1024, TEXT_BYTES >> 10);
    if (counted->resident_result)
        fprintf(out, "  not measured resident memory of ringd: %s\n", strerror(-counted->resident_result));
    else
        goal_line(out, counted->resident_bytes < RESIDENT_BYTES, 0,
                  "resident memory of an idle ringd with %u rings, besides them: %.2f MiB (under %u)", FOOTPRINT_RINGS,
                  (double)counted->resident_bytes / (1 << 20), RESIDENT_BYTES >> 20);
}

/* ---- waiting and lanes ------------------------------------------------------------------------------------------- */

static double scale_value(const struct scale *scale, const char *name)
{
    return series_median(figures_find(&scale->figures, name));
}

static void waking_report(const struct scale *scale, FILE *out)
{
    const struct series *ring = figures_find(&scale->figures, "waking_ring_p50");
    const struct series *futex = figures_find(&scale->figures, "waking_futex_p50");
    const struct series *eventfd = figures_find(&scale->figures, "waking_eventfd_p50");
    double factor;

    if (!ring)
        return;
    factor = fmax(series_median_ratio(ring, futex), series_median_ratio(ring, eventfd));
    goal_line(out, factor <= WAKING_FACTOR, 0,
              "waking a reader, p50: %.1f us, %.2f of the better of futex (%.1f) and eventfd (%.1f) (at most %.1f)",
              series_median(ring), factor, series_median(futex), series_median(eventfd), WAKING_FACTOR);
    fprintf(out, "              (one that polls its descriptor: %.1f us)\n", scale_value(scale, "waking_ring_fd_p50"));
}

static void lanes_line(const struct scale *scale, const char *name, const char *what, FILE *out)
{
    char gain_name[FIGURE_NAME];
    const struct series *gain;

    snprintf(gain_name, sizeof(gain_name), "%s_gain", name);
    gain = figures_find(&scale->figures, gain_name);
    if (gain)
        goal_line(out, series_median(gain) >= LANES_GAIN, 0,
                  "%s in two lanes on two processors: %.2f times the rate of one (at least %.1f)", what,
                  series_median(gain), LANES_GAIN);
}

/* Not promised. */
static void gain_line(const struct scale *scale, const char *name, const char *what, FILE *out)
{
    if (figures_find(&scale->figures, name))
        fprintf(out, "              (%s: %.2f)\n", what, scale_value(scale, name));
}

static void rate_line(const struct scale *scale, const char *hz, FILE *out)
{
    char writer_name[FIGURE_NAME], reader_name[FIGURE_NAME], untraced_name[FIGURE_NAME];
    const struct series *writer;

    snprintf(writer_name, sizeof(writer_name), "calls_%s_sleep_writer", hz);
    snprintf(reader_name, sizeof(reader_name), "calls_%s_sleep_reader", hz);
    writer = figures_find(&scale->figures, writer_name);
    if (writer)
        goal_line(out, series_median(writer) <= CALLS_WRITER, 0,
                  "system calls a record at %s/s, reader asleep: writer %.3f (at most %.0f), reader %.3f", hz,
                  series_median(writer), CALLS_WRITER, scale_value(scale, reader_name));
    snprintf(untraced_name, sizeof(untraced_name), "calls_%s_sleep_untraced", hz);
    if (figures_find(&scale->figures, untraced_name))
        fprintf(out, "              (not traced the reader sleeps %.3f times a record; one that is adaptive %.3f)\n",
                scale_value(scale, untraced_name), scale_value(scale, "calls_1000000_adaptive_untraced"));
}

static void idle_report(const struct scale *scale, FILE *out)
{
    if (scale->idle_result)
        fprintf(out, "  not measured processor time of an idle system: %s\n", strerror(-scale->idle_result));
    if (!figures_find(&scale->figures, "idle_run"))
        return;
    goal_line(out, scale_value(scale, "idle_run") == 0 && scale_value(scale, "idle_switches") == 0, 0,
              "idle system of 100 contexts and ringd, 1 s: %.0f ns of processor time, %.0f changes of context (none)",
              scale_value(scale, "idle_run"), scale_value(scale, "idle_switches"));
}

static void scale_report(const struct scale *scale, FILE *out)
{
    waking_report(scale, out);
    lanes_line(scale, "lanes_write", "two writers", out);
    lanes_line(scale, "lanes_pair", "two pairs of writer and reader", out);
    gain_line(scale, "limit_lanes_gain", "two who fill and copy without a ring", out);
    gain_line(scale, "lanes_pair_rings_gain", "two pairs in rings of their own", out);
    gain_line(scale, "lanes_pair_group_gain", "two pairs whose readers share all lanes, by group", out);
    gain_line(scale, "lanes_pair_filter_gain", "two pairs whose readers look at all lanes, by filter", out);
    if (scale->calls_result)
        fprintf(out, "  not measured system calls by rate: %s\n", strerror(-scale->calls_result));
    rate_line(scale, "1", out);
    rate_line(scale, "1000", out);
    rate_line(scale, "1000000", out);
    idle_report(scale, out);
}

/* ---- deaths and moves ------------------------------------------------------------------------------------------- */

static void death_line(const struct survival *survival, const char *part, double most_us, FILE *out)
{
    char name[FIGURE_NAME];
    const struct series *series;

    snprintf(name, sizeof(name), "death_4MiB_%s", part);
    series = figures_find(&survival->figures, name);
    if (series)
        goal_line(out, series_median(series) <= most_us, 0,
                  "death to next record, 4 MiB, two writers at full speed, %s: %.2f ms (at most %.0f)", part,
                  series_median(series) / 1e3, most_us / 1e3);
}

/* Not promised. */
static void crowd_line(const struct survival *survival, FILE *out)
{
    const struct series *p50 = figures_find(&survival->figures, "death_4MiB_crowd_p50");

    if (p50)
        fprintf(
            out,
            "              (where no processor is ever free: %.2f, p99 %.2f; there a commit takes %.2f, p99 %.2f)\n",
            series_median(p50) / 1e3, series_median(figures_find(&survival->figures, "death_4MiB_crowd_p99")) / 1e3,
            series_median(figures_find(&survival->figures, "death_4MiB_crowd_commit_p50")) / 1e3,
            series_median(figures_find(&survival->figures, "death_4MiB_crowd_commit_p99")) / 1e3);
}

static void death_report(const struct survival *survival, FILE *out)
{
    death_line(survival, "p50", DEATH_P50_US, out);
    death_line(survival, "p99", DEATH_P99_US, out);
    crowd_line(survival, out);
}

static void beyond_report(const struct survival *survival, FILE *out)
{
    static const unsigned sizes_mib[] = {1, 4, 16, 64, 256};

    for (unsigned i = 0; i < 5; i++) {
        char name[FIGURE_NAME], exit_name[FIGURE_NAME];
        const struct series *beyond;

        snprintf(name, sizeof(name), "death_%uMiB_beyond_hangup", sizes_mib[i]);
        snprintf(exit_name, sizeof(exit_name), "exit_%uMiB_hangup_p50", sizes_mib[i]);
        beyond = figures_find(&survival->figures, name);
        if (beyond)
            goal_line(out, series_median(beyond) <= BEYOND_US, 0,
                      "death to next record, %u MiB, p50: %.2f ms beyond the kernel's own %.2f (at most %.1f)",
                      sizes_mib[i], series_median(beyond) / 1e3,
                      series_median(figures_find(&survival->figures, exit_name)) / 1e3, BEYOND_US / 1e3);
    }
}

static void storm_report(const struct survival *survival, FILE *out)
{
    const struct series *share = figures_find(&survival->figures, "storm_share");

    if (share)
        goal_line(out, series_median(share) >= STORM_SHARE, 0,
                  "storm of %.0f kills a second: %.2f of the writers' rate beside as many clean ones (at least %.1f)",
                  series_median(figures_find(&survival->figures, "storm_kills_hz")), series_median(share), STORM_SHARE);
}

static void move_report(const struct survival *survival, FILE *out)
{
    const struct series *beyond = figures_find(&survival->figures, "move_64MiB_beyond_none");

    if (beyond)
        goal_line(
            out, series_median(beyond) <= MOVE_US, 0,
            "move of 64 MiB, longest pause, p99: %.2f ms above %.2f without a move (at most %.0f), no record lost",
            series_median(beyond) / 1e3, series_median(figures_find(&survival->figures, "move_none_pause_p99")) / 1e3,
            MOVE_US / 1e3);
}

static void survival_report(const struct survival *survival, FILE *out)
{
    death_report(survival, out);
    beyond_report(survival, out);
    storm_report(survival, out);
    move_report(survival, out);
}

/* ---- groups and merges, of which nothing is promised ------------------------------------------------------------- */

/* The cost of a record, and how many times that of another case it is. */
static void drain_line(const struct plan *plan, const char *name, uint32_t lanes, uint32_t members, const char *base,
                       FILE *out)
{
    const struct plan_entry *entry = plan_find(plan, name, PLAN_DRAIN_BYTES, lanes, members);
    const struct plan_entry *plain = plan_find(plan, base, PLAN_DRAIN_BYTES, lanes, 1);

    fprintf(out, "              %s, 64 bytes, %u lanes, %u readers: %.1f ns of processor time a record, %.2f of %s%s\n",
            name, lanes, members, series_median(&entry->values[0]),
            series_median_ratio(&entry->values[0], &plain->values[0]), base,
            entry->limits.unsteady + plain->limits.unsteady ? "  *" : "");
}

static void drains_report(const struct plan *plan, FILE *out)
{
    static const uint32_t lanes[] = {1, 2, 8, 64};

    for (uint32_t members = 1; members <= 4; members *= 2)
        drain_line(plan, "group_next", 1, members, "drain_next", out);
    for (uint32_t members = 1; members <= 4; members *= 2)
        drain_line(plan, "group_many", 1, members, "drain_many", out);
    for (unsigned i = 0; i < 4; i++)
        drain_line(plan, "merge_next", lanes[i], 1, "lanes_next", out);
    for (unsigned i = 0; i < 4; i++)
        drain_line(plan, "merge_many", lanes[i], 1, "lanes_many", out);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static void plan_report(const struct plan *plan, const struct goals_counted *counted, FILE *out)
{
    writes_report(plan, out);
    latency_report(plan, out);
    one_report(plan, "one_next", ONE_HOPS, ONE_NS, out);
    one_report(plan, "one_many", ONE_HOPS, ONE_NS, out);
    one_report(plan, "one_batch16_next", ONE_BATCH_HOPS, ONE_BATCH_NS, out);
    one_report(plan, "one_batch16_many", ONE_BATCH_HOPS, ONE_BATCH_NS, out);
    one_kib_report(plan, "one_next", out);
    one_kib_report(plan, "one_many", out);
    one_kib_report(plan, "one_reserve", out);
    batch_report(plan, out);
    many_report(plan, 2, out);
    many_report(plan, 4, out);
    many_report(plan, 8, out);
    calls_report(counted, out);
    footprint_report(counted, out);
    drains_report(plan, out);
}

void goals_report(const struct plan *plan, const struct goals_counted *counted, const struct scale *scale,
                  const struct survival *survival, FILE *out)
{
    bool all = !plan->only || !*plan->only;

    if (!all && scale->figures.count == 0 && survival->figures.count == 0)
        return;
    fprintf(out, "\nMust reach (medians of this run; informs, decides nothing; *: disturbed)\n");
    if (all)
        plan_report(plan, counted, out);
    scale_report(scale, out);
    survival_report(survival, out);
}
