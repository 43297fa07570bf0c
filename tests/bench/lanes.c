/* lanes.c - what a second lane brings on a second processor; see lanes.h.
 *
 * Most of a first lap is not recorded: it touches the pages for the first time. `line_there` counts readers that are
 * attached (a reader gets nothing that was written before) or, where there are none, writers that have finished (the
 * last lap of a ring that overwrites is checked when nobody writes any more); `line_back` the records that a group's
 * members have read.
 */
#include "lanes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "contexts.h"
#include "payload.h"

#define RING_NAME       24u
#define TURNS           8u
#define WARM_RECORDS    UINT64_C(9000) /* of each writer; less than a lap: who has read his own stops for a while */
#define WRITER_RECORDS  UINT64_C(800000)
#define PAIR_RECORDS    UINT64_C(300000)
#define LANE_WRITERS    31u
#define MEMBER_LOOKS_NS 200000

struct lanes_task {
    uint32_t index; /* of the lane */
    uint32_t lanes; /* of its ring */
    uint32_t pairs; /* in all rings */
    bool filters;   /* the reader looks at all lanes, and wants the records of its own */
    char ring[RING_NAME];
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

static void line_tell(struct crew *crew)
{
    atomic_fetch_add_explicit(&crew->line_there, 1, memory_order_acq_rel);
}

static void line_await(struct crew *crew, uint32_t lanes)
{
    const struct timespec nap = {.tv_nsec = 100000};

    while (atomic_load_explicit(&crew->line_there, memory_order_acquire) < lanes)
        nanosleep(&nap, NULL);
}

static void write_alone(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    struct bench_writer writer;

    bench_writer_open_lane(&writer, crew, self, own->ring, own->index, LANES_BYTES, RINGD_NO_WAIT);
    records_write(&writer, WARM_RECORDS);
    crew_ready(crew, self);
    records_write(&writer, WARM_RECORDS + WRITER_RECORDS);
    crew_done(crew, self);
    line_tell(crew);
    line_await(crew, own->pairs);
    if (own->index == 0)
        bench_lap_check(crew, self, own->ring, own->lanes, LANES_BYTES, WARM_RECORDS + WRITER_RECORDS);
    bench_writer_close(&writer);
}

static void copy_alone(struct crew *crew, unsigned self, const void *task)
{
    unsigned char *area = aligned_alloc(4096, CASE_RING_BYTES), record[LANES_BYTES];
    _Alignas(128) _Atomic uint64_t word = 0;

    (void)task;
    if (!area)
        crew_fail(crew, self, "no memory to copy to", -ENOMEM);
    memset(area, 1, CASE_RING_BYTES);
    crew_ready(crew, self);
    for (uint64_t i = 0, place = 0; i < WRITER_RECORDS; i++) {
        payload_fill(record, sizeof(record), payload_first(0, i));
        atomic_fetch_add_explicit(&word, 1, memory_order_seq_cst);
        memcpy(area + place, record, sizeof(record));
        place = (place + sizeof(record)) % CASE_RING_BYTES;
        __asm__ volatile("" : : "r"(area) : "memory"); /* it is all needed */
    }
    crew_done(crew, self);
    free(area);
}

static void pair_write(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    struct bench_writer writer;

    bench_writer_open_lane(&writer, crew, self, own->ring, own->index, LANES_BYTES, RINGD_FOREVER);
    line_await(crew, own->pairs);
    records_write(&writer, WARM_RECORDS);
    crew_ready(crew, self);
    records_write(&writer, WARM_RECORDS + PAIR_RECORDS);
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
        .filter = own->lanes > 1 && own->filters ? &filter : NULL,
        .lane = own->lanes > 1 && !own->filters ? own->index + 1 : 0,
    };
    struct bench_reader reader;

    for (uint32_t i = 0; i < LANE_WRITERS; i++)
        writers[i] = own->index * LANE_WRITERS + i;
    bench_reader_open(&reader, crew, self, own->ring, own->lanes, LANES_BYTES, &options);
    line_tell(crew);
    while (reader.received < WARM_RECORDS)
        bench_read(&reader);
    crew_ready(crew, self);
    while (reader.received < WARM_RECORDS + PAIR_RECORDS)
        bench_read(&reader);
    crew_done(crew, self);
    bench_reader_close(&reader);
}

/* Until all members have read `count` records. Nobody wakes one of them when another one has read the last of these: it
 * looks itself. */
static void members_read(struct crew *crew, struct bench_reader *reader, uint64_t count)
{
    while (atomic_load_explicit(&crew->line_back, memory_order_acquire) < count) {
        uint64_t before = reader->received;

        ringd_reader_deadline(reader->reader, clock_now_ns() + MEMBER_LOOKS_NS);
        while (bench_read(reader))
            ;
        atomic_fetch_add_explicit(&crew->line_back, reader->received - before, memory_order_acq_rel);
    }
}

static void member_read(struct crew *crew, unsigned self, const void *task)
{
    const struct lanes_task *own = task;
    const struct ringd_reader_options options = {.start = RINGD_START_OLDEST, .group = "bench"};
    struct bench_reader reader;

    bench_reader_open(&reader, crew, self, own->ring, own->lanes, LANES_BYTES, &options);
    reader.some = own->lanes > 1;
    line_tell(crew);
    members_read(crew, &reader, own->lanes * WARM_RECORDS);
    crew_ready(crew, self);
    members_read(crew, &reader, own->lanes * (WARM_RECORDS + PAIR_RECORDS));
    crew_done(crew, self);
    bench_reader_close(&reader);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static bool kind_reads(enum lanes_kind kind)
{
    return kind >= LANES_PAIRS;
}

static void ring_name(char *name, uint32_t number)
{
    snprintf(name, RING_NAME, "bench-lanes-%u", number);
}

/* `lanes` times what there is of this kind, each on its own processor. Returns how many roles that is. */
static unsigned lanes_roles(enum lanes_kind kind, uint32_t lanes, const int cpus[2], struct lanes_task *tasks,
                            struct crew_role *roles)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < lanes; i++) {
        struct crew_role role = {.cpu = cpus[i], .task = &tasks[i]};

        tasks[i] =
            (struct lanes_task){.index = i, .lanes = lanes, .pairs = lanes, .filters = kind == LANES_PAIRS_FILTER};
        if (kind == LANES_PAIRS_RINGS)
            tasks[i] = (struct lanes_task){.index = 0, .lanes = 1, .pairs = lanes};
        ring_name(tasks[i].ring, i - tasks[i].index);
        role.play = kind == LANES_COPIERS ? copy_alone : kind == LANES_WRITERS ? write_alone : pair_write;
        roles[count++] = role;
        role.play = kind == LANES_PAIRS_GROUP ? member_read : pair_read;
        if (kind_reads(kind))
            roles[count++] = role;
    }
    return count;
}

static uint32_t kind_rings(enum lanes_kind kind, uint32_t lanes)
{
    return kind == LANES_PAIRS_RINGS ? lanes : 1;
}

static int rings_create(enum lanes_kind kind, uint32_t lanes, char *failure)
{
    const struct ringd_ring_options options = {
        .lanes = lanes / kind_rings(kind, lanes),
        .policy = kind == LANES_WRITERS ? RINGD_OVERWRITE : RINGD_LOSSLESS,
    };
    char name[RING_NAME];
    int result = 0;

    for (uint32_t i = 0; i < kind_rings(kind, lanes) && !result; i++) {
        ring_name(name, i);
        result = ringd_create(name, &options);
    }
    if (result)
        snprintf(failure, CREW_TEXT, "cannot create a ring: %s", ringd_error());
    return result;
}

static void rings_remove(enum lanes_kind kind, uint32_t lanes)
{
    char name[RING_NAME];

    for (uint32_t i = 0; i < kind_rings(kind, lanes); i++) {
        ring_name(name, i);
        ringd_remove(name);
    }
}

/* 10^6 records a second, over all lanes. */
static int rate_measure(struct crew *crew, const int cpus[2], enum lanes_kind kind, uint32_t lanes, double *rate,
                        char *failure)
{
    uint64_t records = lanes * (kind_reads(kind) ? PAIR_RECORDS : WRITER_RECORDS);
    struct lanes_task tasks[2];
    struct crew_role roles[4];
    unsigned count = lanes_roles(kind, lanes, cpus, tasks, roles);
    int result = rings_create(kind, lanes, failure);

    if (result)
        return result;
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
    result = crew_run(crew, roles, count, failure);
    *rate = 1e3 * (double)records / crew_elapsed_ns(crew, count);
    rings_remove(kind, lanes);
    return result;
}

int lanes_run(struct crew *crew, const int cpus[2], enum lanes_kind kind, struct lanes_figures *figures, char *failure)
{
    const int swapped[] = {cpus[1], cpus[0]};
    double best[2] = {0, 0};
    int result = 0;

    for (unsigned i = 0; i < 2 * TURNS && !result; i++) {
        double rate;

        result = rate_measure(crew, i / 2 % 2 ? swapped : cpus, kind, i % 2 + 1, &rate, failure);
        if (!result)
            best[i % 2] = fmax(best[i % 2], rate);
    }
    *figures = (struct lanes_figures){best[0], best[1], best[1] / best[0]};
    return result;
}
