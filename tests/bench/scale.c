/* scale.c - the cases of waiting and of several lanes, and their figures; see scale.h. */
#include "scale.h"

#include <errno.h>
#include <string.h>

#include "idle.h"
#include "lanes.h"
#include "ringd.h"
#include "settings.h"
#include "syscount.h"
#include "waking.h"

/* A record a second needs no better statistics: every one is alike. */
static const struct calls_case {
    const char *name;
    double hz;
    uint64_t records;
} calls_cases[] = {{"1", 1, 3}, {"1000", 1000, 500}, {"1000000", 1e6, 300000}};

static const struct calls_wait {
    const char *name;
    enum ringd_wait wait;
} calls_waits[] = {{"sleep", RINGD_WAIT_SLEEP}, {"adaptive", RINGD_WAIT_ADAPTIVE}};

#define CALLS_CASES (sizeof(calls_cases) / sizeof(calls_cases[0]))
#define CALLS_WAITS (sizeof(calls_waits) / sizeof(calls_waits[0]))

void scale_init(struct scale *scale, const char *only)
{
    memset(scale, 0, sizeof(*scale));
    scale->only = only;
}

static void failure_name(const char *what, char *failure)
{
    char text[CREW_TEXT];

    snprintf(text, sizeof(text), "%s: %.150s", what, failure);
    memcpy(failure, text, sizeof(text));
}

/* ---- waking ----------------------------------------------------------------------------------------------------- */

static void waking_keep(struct scale *scale, const struct waking_figures *figures)
{
    static const char *const names[WAKING_WAYS] = {"waking_ring", "waking_ring_fd", "waking_futex", "waking_eventfd"};

    for (unsigned way = 0; way < WAKING_WAYS; way++) {
        struct figure_label label = {.unit = "us", .bytes = WAKING_BYTES, .writers = 1, .readers = 1};

        label.system = way <= WAKING_RING_FD ? "ringd" : "machine";
        snprintf(label.name, sizeof(label.name), "%s_p50", names[way]);
        figures_add(&scale->figures, &label, figures->p50_us[way]);
        snprintf(label.name, sizeof(label.name), "%s_p99", names[way]);
        figures_add(&scale->figures, &label, figures->p99_us[way]);
    }
}

static int waking_measure(struct scale *scale, struct crew *crew, const int cpus[2], char *failure)
{
    struct waking_figures figures;
    int result;

    if (!settings_wants(scale->only, "waking"))
        return 0;
    result = waking_run(crew, cpus, &figures, failure);
    if (result)
        failure_name("waking", failure);
    else
        waking_keep(scale, &figures);
    return result;
}

/* ---- lanes ------------------------------------------------------------------------------------------------------ */

static void lanes_figure(struct scale *scale, const char *name, const char *part, const char *unit, uint32_t lanes,
                         uint32_t readers, double value)
{
    struct figure_label label = {.unit = unit, .bytes = LANES_BYTES, .writers = lanes, .readers = readers};

    label.system = strncmp(name, "limit", strlen("limit")) == 0 ? "machine" : "ringd";
    snprintf(label.name, sizeof(label.name), "%s_%s", name, part);
    figures_add(&scale->figures, &label, value);
}

static int lanes_measure(struct scale *scale, struct crew *crew, const int cpus[2], enum lanes_kind kind,
                         const char *name, char *failure)
{
    uint32_t readers = kind >= LANES_PAIRS;
    struct lanes_figures figures;
    int result = lanes_run(crew, cpus, kind, &figures, failure);

    if (result) {
        failure_name(name, failure);
        return result;
    }
    if (kind == LANES_COPIERS) {
        lanes_figure(scale, name, "gain", "times one", 2, 0, figures.gain);
        return 0;
    }
    lanes_figure(scale, name, "one", "M records/s", 1, readers, figures.one_rate);
    lanes_figure(scale, name, "two", "M records/s", 2, 2 * readers, figures.two_rate);
    lanes_figure(scale, name, "gain", "times one", 2, 2 * readers, figures.gain);
    return 0;
}

int scale_round(struct scale *scale, struct crew *crew, const int cpus[2], char *failure)
{
    int result = waking_measure(scale, crew, cpus, failure);

    if (!result && (settings_wants(scale->only, "lanes_write") || settings_wants(scale->only, "lanes_pair")))
        result = lanes_measure(scale, crew, cpus, LANES_COPIERS, "limit_lanes", failure);
    if (!result && settings_wants(scale->only, "lanes_write"))
        result = lanes_measure(scale, crew, cpus, LANES_WRITERS, "lanes_write", failure);
    if (!result && settings_wants(scale->only, "lanes_pair")) {
        result = lanes_measure(scale, crew, cpus, LANES_PAIRS, "lanes_pair", failure);
        if (!result)
            result = lanes_measure(scale, crew, cpus, LANES_PAIRS_FILTER, "lanes_pair_filter", failure);
        if (!result)
            result = lanes_measure(scale, crew, cpus, LANES_PAIRS_GROUP, "lanes_pair_group", failure);
        if (!result)
            result = lanes_measure(scale, crew, cpus, LANES_PAIRS_RINGS, "lanes_pair_rings", failure);
    }
    return result;
}

/* ---- system calls ----------------------------------------------------------------------------------------------- */

static void calls_figure(struct scale *scale, const struct calls_case *one, const struct calls_wait *wait,
                         const char *part, const char *unit, double value)
{
    struct figure_label label = {.system = "ringd", .unit = unit, .bytes = SYSCOUNT_RECORD, .writers = 1, .readers = 1};

    snprintf(label.name, sizeof(label.name), "calls_%s_%s_%s", one->name, wait->name, part);
    figures_add(&scale->figures, &label, value);
}

static int calls_measure(struct scale *scale, struct crew *crew, const int cpus[2], const struct calls_case *one,
                         const struct calls_wait *wait, char *failure)
{
    const struct syscount_load load = {.records = one->records, .hz = one->hz, .wait = wait->wait};
    double records = (double)one->records, sleeps;
    struct syscount count;
    int result = syscount_run(crew, cpus, &load, &count, failure);

    if (result)
        return result;
    calls_figure(scale, one, wait, "writer", "calls/record", (double)count.calls[SYSCOUNT_WRITER] / records);
    calls_figure(scale, one, wait, "reader", "calls/record", (double)count.calls[SYSCOUNT_READER] / records);
    if (one->hz <= 1000)
        return 0;
    result = syscount_sleeps(crew, cpus, &load, &sleeps, failure);
    if (!result)
        calls_figure(scale, one, wait, "untraced", "sleeps/record", sleeps);
    return result;
}

static int calls_run(struct scale *scale, struct crew *crew, const int cpus[2], char *failure)
{
    int result = 0;

    for (unsigned i = 0; i < CALLS_CASES; i++) {
        for (unsigned k = 0; k < CALLS_WAITS && !result; k++)
            result = calls_measure(scale, crew, cpus, &calls_cases[i], &calls_waits[k], failure);
    }
    return result;
}

/* ---- nothing ---------------------------------------------------------------------------------------------------- */

static void idle_figure(struct scale *scale, const char *name, const char *unit, uint64_t value)
{
    struct figure_label label = {.system = "ringd", .unit = unit};

    label.writers = label.readers = IDLE_CONTEXTS / 2;
    snprintf(label.name, sizeof(label.name), "%s", name);
    figures_add(&scale->figures, &label, (double)value);
}

static int idle_measure(struct scale *scale, struct crew *crew, pid_t server, char *failure)
{
    struct idle idle;
    int result = idle_run(crew, server, &idle, failure);

    if (result)
        return result;
    idle_figure(scale, "idle_run", "ns in 1 s", idle.run_ns);
    idle_figure(scale, "idle_turns", "in 1 s", idle.turns);
    idle_figure(scale, "idle_switches", "in 1 s", idle.switches);
    return 0;
}

/* What cannot be measured here is said in the report; what went wrong is a failure. */
int scale_once(struct scale *scale, struct crew *crew, const int cpus[2], pid_t server, char *failure)
{
    if (settings_wants(scale->only, "calls"))
        scale->calls_result = calls_run(scale, crew, cpus, failure);
    if (scale->calls_result == -ECANCELED) {
        failure_name("calls", failure);
        return -ECANCELED;
    }
    if (settings_wants(scale->only, "idle"))
        scale->idle_result = idle_measure(scale, crew, server, failure);
    if (scale->idle_result && scale->idle_result != -ENOTSUP)
        return scale->idle_result;
    return 0;
}

/* ---- saying ----------------------------------------------------------------------------------------------------- */

void scale_table(const struct scale *scale, FILE *out)
{
    if (scale->figures.count == 0)
        return;
    fprintf(out, "\nWaiting and lanes: median (p10, p90) of the repetitions\n");
    figures_table(&scale->figures, out);
}
