/* plan.c - the list of the cases, and the rounds; see plan.h.
 *
 * Names: `limit_...` is the machine's own, `write...` is a writer alone, `one_...` is one writer to one reader,
 * `many_...` several writers to one reader, `fan_...` one writer to several readers, `drain_...`, `group_...`,
 * `lanes_...` and `merge_...` readers alone, `latency_...` one way of a ping-pong.
 */
#include "plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "settings.h"

#define RUN_NS            100e6 /* of a full run of a case, */
#define CROWD_RUN_NS      500e6 /* with more processes than processors: these get turns of milliseconds */
#define CALIBRATE_RECORDS 40000.0
#define LATENCY_ONLY      32u /* a size that only the latency cases have: the promise is for 8 to 32 bytes */

static const uint32_t lanes[] = {1, 2, 8, CASE_SOURCES};
static const uint32_t sizes_bytes[] = {8, 64, 256, 1024};
#define SIZES (sizeof(sizes_bytes) / sizeof(sizes_bytes[0]))

/* ---- the list --------------------------------------------------------------------------------------------------- */

static void case_add(struct plan *plan, const struct bench_case *bench_case)
{
    if (!settings_wants(plan->only, bench_case->name))
        return;
    assert(plan->count < PLAN_ENTRIES);
    plan->entries[plan->count++].bench_case = *bench_case;
}

static void case_add_sizes(struct plan *plan, struct bench_case bench_case)
{
    for (unsigned i = 0; i < SIZES; i++) {
        bench_case.bytes = sizes_bytes[i];
        case_add(plan, &bench_case);
    }
}

static void alone_add(struct plan *plan, const char *name, enum case_write write, enum ringd_time time)
{
    struct bench_case bench_case = {.name = name, .shape = CASE_ALONE, .write = write, .time = time, .writers = 1};

    case_add_sizes(plan, bench_case);
}

static void stream_add(struct plan *plan, const char *name, enum case_write write, enum case_read read,
                       uint32_t writers, uint32_t readers)
{
    struct bench_case bench_case = {.name = name, .shape = CASE_STREAM, .write = write, .read = read};

    bench_case.writers = writers;
    bench_case.readers = readers;
    case_add_sizes(plan, bench_case);
}

static void drain_add(struct plan *plan, const char *name, enum case_read read, struct bench_case bench_case)
{
    bench_case.name = name;
    bench_case.shape = CASE_DRAIN;
    bench_case.read = read;
    bench_case.bytes = PLAN_DRAIN_BYTES;
    case_add(plan, &bench_case);
}

/* What a group's claims and a merge cost stands beside what a lossless reader of one lane, or of as many, costs. */
static void drains_add(struct plan *plan)
{
    drain_add(plan, "drain_next", CASE_NEXT, (struct bench_case){.writers = 1, .readers = 1});
    drain_add(plan, "drain_many", CASE_NEXT_MANY, (struct bench_case){.writers = 1, .readers = 1});
    for (uint32_t members = 1; members <= 4; members *= 2) {
        const struct bench_case group = {.writers = 1, .readers = members, .group = true};

        drain_add(plan, "group_next", CASE_NEXT, group);
        drain_add(plan, "group_many", CASE_NEXT_MANY, group);
    }
    for (unsigned i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
        struct bench_case bench_case = {.writers = lanes[i], .readers = 1, .time = RINGD_TIME_TSC};

        drain_add(plan, "lanes_next", CASE_NEXT, bench_case);
        drain_add(plan, "lanes_many", CASE_NEXT_MANY, bench_case);
        bench_case.merge = true;
        drain_add(plan, "merge_next", CASE_NEXT, bench_case);
        drain_add(plan, "merge_many", CASE_NEXT_MANY, bench_case);
    }
}

static void latency_add(struct plan *plan, const char *name, enum case_shape shape)
{
    struct bench_case bench_case = {.name = name, .shape = shape, .bytes = LATENCY_ONLY, .writers = 1, .readers = 1};

    case_add_sizes(plan, bench_case);
    if (shape == CASE_BUSY)
        case_add(plan, &bench_case);
}

void plan_init(struct plan *plan, const char *only)
{
    memset(plan, 0, sizeof(*plan));
    plan->only = only;
    alone_add(plan, "write", CASE_WRITE, RINGD_TIME_NONE);
    alone_add(plan, "write_monotonic", CASE_WRITE, RINGD_TIME_MONOTONIC);
    alone_add(plan, "write_tsc", CASE_WRITE, RINGD_TIME_TSC);
    alone_add(plan, "write_batch16", CASE_WRITE_BATCH, RINGD_TIME_NONE);
    alone_add(plan, "write_reserve", CASE_RESERVE, RINGD_TIME_NONE);
    alone_add(plan, "limit_copy", CASE_COPY, RINGD_TIME_NONE);
    stream_add(plan, "one_next", CASE_WRITE, CASE_NEXT, 1, 1);
    stream_add(plan, "one_many", CASE_WRITE, CASE_NEXT_MANY, 1, 1);
    stream_add(plan, "one_reserve", CASE_RESERVE, CASE_NEXT, 1, 1);
    stream_add(plan, "one_batch16_next", CASE_WRITE_BATCH, CASE_NEXT, 1, 1);
    stream_add(plan, "one_batch16_many", CASE_WRITE_BATCH, CASE_NEXT_MANY, 1, 1);
    stream_add(plan, "many_next", CASE_WRITE, CASE_NEXT, 2, 1);
    stream_add(plan, "many_next", CASE_WRITE, CASE_NEXT, 4, 1);
    stream_add(plan, "many_next", CASE_WRITE, CASE_NEXT, 8, 1);
    stream_add(plan, "fan_next", CASE_WRITE, CASE_NEXT, 1, 2);
    stream_add(plan, "fan_next", CASE_WRITE, CASE_NEXT, 1, 4);
    drains_add(plan);
    latency_add(plan, "latency_busy", CASE_BUSY);
    latency_add(plan, "latency_sleeping", CASE_SLEEPING);
}

const struct plan_entry *plan_find(const struct plan *plan, const char *name, uint32_t bytes, uint32_t writers,
                                   uint32_t readers)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const struct bench_case *bench_case = &plan->entries[i].bench_case;

        if (strcmp(bench_case->name, name) == 0 && bench_case->bytes == bytes && bench_case->writers == writers &&
            bench_case->readers == readers)
            return &plan->entries[i];
    }
    assert(!"no such case");
    return NULL;
}

/* ---- one repetition --------------------------------------------------------------------------------------------- */

/* One run of a case, and what it gave. */
struct repetition {
    const struct bench_case *bench_case;
    struct crew *crew;
    const int *cpus;
    struct case_figures figures;
    struct histogram histogram;
};

static void failure_name(const struct bench_case *bench_case, char *failure)
{
    char text[CREW_TEXT];

    snprintf(text, sizeof(text), "%s, %u bytes, %u to %u: %.140s", bench_case->name, bench_case->bytes,
             bench_case->writers, bench_case->readers, failure);
    memcpy(failure, text, sizeof(text));
}

static int repetition_play(void *task, double *share, char *failure)
{
    struct repetition *repetition = task;
    const struct bench_case *bench_case = repetition->bench_case;
    int result = case_run(repetition->crew, repetition->cpus, bench_case, &repetition->figures, failure);

    repetition->histogram.count = 0;
    if (!result && case_is_latency(bench_case))
        histogram_init(&repetition->histogram, repetition->crew->samples, repetition->crew->sample_count,
                       case_sample_ns);
    *share = repetition->figures.share;
    return result;
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

static int entry_repeat(struct plan *plan, struct plan_entry *entry, struct crew *crew, const int cpus[2],
                        char *failure)
{
    struct repetition repetition = {.bench_case = &entry->bench_case, .crew = crew, .cpus = cpus};
    int result = repeat_run(&plan->repeat, repetition_play, &repetition, &entry->limits, failure);

    if (result) {
        failure_name(&entry->bench_case, failure);
        return result;
    }
    for (unsigned i = 0; i < CASE_FIGURES; i++)
        series_add(&entry->values[i], repetition.figures.values[i]);
    entry->slept = repetition.figures.slept;
    if (repetition.histogram.count)
        histogram_merge(&entry->histogram, &repetition.histogram);
    return 0;
}

int plan_round(struct plan *plan, struct crew *crew, const int cpus[2], char *failure)
{
    int result = machine_measure(&plan->machine, crew, cpus, failure);

    plan->repeat.crew = crew;
    plan->repeat.cpus = cpus;
    repeat_round(&plan->repeat, PLAN_RETRY_S);
    for (unsigned i = 0; i < plan->count && !result; i++)
        result = entry_repeat(plan, &plan->entries[i], crew, cpus, failure);
    return result;
}

int plan_calibrate(struct plan *plan, struct crew *crew, const int cpus[2], char *failure)
{
    for (unsigned i = 0; i < plan->count; i++) {
        struct bench_case *bench_case = &plan->entries[i].bench_case;
        struct case_figures figures;
        double run_ns;
        int result;

        bench_case->records = case_records(bench_case, CALIBRATE_RECORDS);
        result = case_run(crew, cpus, bench_case, &figures, failure);
        if (result) {
            failure_name(bench_case, failure);
            return result;
        }
        run_ns = case_is_crowd(bench_case) ? CROWD_RUN_NS : RUN_NS;
        bench_case->records = case_records(bench_case, run_ns / figures.elapsed_ns * (double)bench_case->records);
    }
    return 0;
}
