/* lanes.c - what a second lane brings on a second processor; see lanes.h.
 *
 * `line_there` counts the roles that have finished: the last lap of a ring that overwrites is checked when nobody
 * writes any more, and members of a group must not end before all of it is read, `line_back` records.
 */
#include "lanes.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "contexts.h"
#include "stats.h"

#define RING            "bench-lanes"
#define TURNS           7u
#define WRITER_RECORDS  UINT64_C(1000000) /* of each writer */
#define PAIR_RECORDS    UINT64_C(300000)
#define LANE_WRITERS    31u
#define MEMBER_LOOKS_NS 200000

struct lanes_task {
    uint32_t index; /* of the lane */
    uint32_t lanes;
};

/* ---- roles ------------------------------------------------------------------------------------------------------ */

static void records_write(struct bench_writer *writer, uint64_t count)
{
    while (writer->sequence < count) {
        bench_fill(writer, writer->sequence + 1);
        if (!bench_write(writer))
            crew_fail(writer->crew, writer->self, "ringd_write found the ring full without a deadline", 0);
    }
}

static void others_await(struct crew *crew, uint32_t lanes)
{
    const struct timespec nap = {.tv_nsec = 100000};

    atomic_fetch_add_explicit(&crew->line_there, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&crew->line_there, memory_order_acquire) < lanes)
        nanosleep(&nap, NULL);
}

static void write_alone(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    struct bench_writer writer;

    bench_writer_open_lane(&writer, crew, self, RING, own->index, LANES_BYTES, RINGD_NO_WAIT);
    crew_ready(crew, self);
    records_write(&writer, WRITER_RECORDS);
    crew_done(crew, self);
    others_await(crew, own->lanes);
    if (own->index == 0)
        bench_lap_check(crew, self, RING, own->lanes, LANES_BYTES, WRITER_RECORDS);
    bench_writer_close(&writer);
}

static void pair_write(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    struct bench_writer writer;

    bench_writer_open_lane(&writer, crew, self, RING, own->index, LANES_BYTES, RINGD_FOREVER);
    crew_ready(crew, self);
    records_write(&writer, PAIR_RECORDS);
    crew_done(crew, self);
    bench_writer_close(&writer);
}

static void pair_read(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    uint32_t writers[LANE_WRITERS];
    const struct ringd_filter filter = {.writers = writers, .writer_count = LANE_WRITERS};
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS,
        .start = RINGD_START_OLDEST,
        .deadline = RINGD_FOREVER,
        .filter = own->lanes > 1 ? &filter : NULL,
    };
    struct bench_reader reader;

    for (uint32_t i = 0; i < LANE_WRITERS; i++)
        writers[i] = own->index * LANE_WRITERS + i;
    bench_reader_open(&reader, crew, self, RING, own->lanes, LANES_BYTES, &options);
    crew_ready(crew, self);
    while (reader.received < PAIR_RECORDS)
        bench_read(&reader);
    crew_done(crew, self);
    bench_reader_close(&reader);
}

/* Nobody wakes a member when another one has read the last record: it looks itself. */
static void member_read(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    struct ringd_reader_options options = {.start = RINGD_START_OLDEST, .group = "bench"};
    struct bench_reader reader;
    uint64_t told = 0;

    bench_reader_open(&reader, crew, self, RING, own->lanes, LANES_BYTES, &options);
    reader.some = own->lanes > 1;
    crew_ready(crew, self);
    while (atomic_load_explicit(&crew->line_back, memory_order_acquire) < own->lanes * PAIR_RECORDS) {
        ringd_reader_deadline(reader.reader, clock_now_ns() + MEMBER_LOOKS_NS);
        while (bench_read(&reader))
            ;
        atomic_fetch_add_explicit(&crew->line_back, reader.received - told, memory_order_acq_rel);
        told = reader.received;
    }
    crew_done(crew, self);
    bench_reader_close(&reader);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

/* `lanes` times what there is of this kind, each on its own processor. Returns how many roles that is. */
static unsigned lanes_roles(enum lanes_kind kind, uint32_t lanes, const int cpus[2], struct lanes_task *tasks,
                            struct crew_role *roles)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < lanes; i++) {
        tasks[i] = (struct lanes_task){i, lanes};
        roles[count++] = (struct crew_role){
            .cpu = cpus[i], .play = kind == LANES_WRITERS ? write_alone : pair_write, .task = &tasks[i]};
        if (kind != LANES_WRITERS)
            roles[count++] = (struct crew_role){
                .cpu = cpus[i], .play = kind == LANES_PAIRS ? pair_read : member_read, .task = &tasks[i]};
    }
    return count;
}

/* 10^6 records a second, over all lanes. */
static int rate_measure(struct crew *crew, const int cpus[2], enum lanes_kind kind, uint32_t lanes, double *rate,
                        char *failure)
{
    const struct ringd_ring_options options = {
        .lanes = lanes,
        .policy = kind == LANES_WRITERS ? RINGD_OVERWRITE : RINGD_LOSSLESS,
    };
    uint64_t records = lanes * (kind == LANES_WRITERS ? WRITER_RECORDS : PAIR_RECORDS);
    struct lanes_task tasks[2];
    struct crew_role roles[4];
    unsigned count = lanes_roles(kind, lanes, cpus, tasks, roles);
    int result = ringd_create(RING, &options);

    if (result) {
        snprintf(failure, CREW_TEXT, "cannot create a ring: %s", ringd_error());
        return result;
    }
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
    result = crew_run(crew, roles, count, failure);
    *rate = 1e3 * (double)records / crew_elapsed_ns(crew, count);
    ringd_remove(RING);
    return result;
}

int lanes_run(struct crew *crew, const int cpus[2], enum lanes_kind kind, struct lanes_figures *figures, char *failure)
{
    struct series one = {.count = 0}, two = {.count = 0};
    int result = 0;

    for (unsigned i = 0; i < TURNS && !result; i++) {
        double one_rate, two_rate = 0;

        result = rate_measure(crew, cpus, kind, 1, &one_rate, failure);
        if (!result)
            result = rate_measure(crew, cpus, kind, 2, &two_rate, failure);
        series_add(&one, one_rate);
        series_add(&two, two_rate);
    }
    *figures = (struct lanes_figures){series_median(&one), series_median(&two), series_median_ratio(&two, &one)};
    return result;
}
