/* cases.c - one run of a case: a writer alone, or a stream; see cases.h.
 *
 * The parent makes the rings, the roles attach, everybody starts at once, and the time is from the first start to the
 * last end: for a stream that is when its last reader has checked its last record.
 *
 * Before that each writer has written a lap, one after the other (`line_there` counts who has), and each reader, which
 * was attached before the first (`line_back` counts who is), has read them all: everybody has touched every page, which
 * costs a process more than the record in it.
 *
 * A writer alone has nobody who checks while it writes. When its time is taken it opens an observer and reads all that
 * is still in the ring: an unbroken row of its own records that ends with its last one.
 */
#include "cases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contexts.h"
#include "drain.h"
#include "latency.h"
#include "payload.h"

#define RING_THERE  "bench-there"
#define RING_BACK   "bench-back"
#define RECORDS_MIN 20000.0

struct stream_task {
    const struct bench_case *bench_case;
    uint32_t index;
    bool alone; /* has its processor to itself */
};

uint64_t case_records(const struct bench_case *bench_case, double wanted)
{
    uint64_t unit = CASE_BATCH * CASE_WRITERS;

    if (case_is_latency(bench_case))
        return latency_rounds(bench_case, wanted);
    if (bench_case->shape == CASE_DRAIN)
        return drain_records(bench_case, wanted);
    return (uint64_t)((wanted < RECORDS_MIN ? RECORDS_MIN : wanted) / (double)unit) * unit;
}

/* How large the ring of a case is, and the records that it takes: as the defaults say, but where a batch has to fit;
 * and who is compared with a batch gets the same. */
static void ring_sizes(const struct bench_case *bench_case, struct ringd_ring_options *options)
{
    uint32_t batch_bytes = CASE_BATCH * case_record_bytes(bench_case);

    options->size = CASE_RING_BYTES;
    if (bench_case->shape == CASE_DRAIN) {
        options->lanes = bench_case->writers;
        options->size /= bench_case->writers;
    }
    if ((bench_case->write == CASE_WRITE_BATCH || bench_case->shape == CASE_ALONE) &&
        batch_bytes > CASE_RING_BYTES / 256)
        options->max_record = batch_bytes;
    while (options->max_record > options->size / 64)
        options->size *= 2;
}

/* Records, whole batches, that go round the ring at least once. */
static uint64_t lap_records(const struct bench_case *bench_case)
{
    struct ringd_ring_options options = {0};

    ring_sizes(bench_case, &options);
    return (options.size / case_record_bytes(bench_case) / CASE_BATCH + 1) * CASE_BATCH;
}

/* ---- roles ------------------------------------------------------------------------------------------------------ */

static void records_write(struct bench_writer *writer, enum case_write how, uint64_t count)
{
    switch (how) {
    case CASE_WRITE:
        while (writer->sequence < count) {
            bench_fill(writer, writer->sequence + 1);
            if (!bench_write(writer))
                crew_fail(writer->crew, writer->self, "ringd_write found the ring full without a deadline", 0);
        }
        break;
    case CASE_WRITE_BATCH:
        while (writer->sequence < count)
            bench_write_batch(writer);
        break;
    case CASE_RESERVE:
        while (writer->sequence < count)
            bench_write_reserved(writer);
        break;
    case CASE_COPY: /* has a role of its own */
        break;
    }
}

static void lap_write(struct bench_writer *writer, const struct bench_case *bench_case, uint32_t index)
{
    _Atomic uint64_t *turn = &writer->crew->line_there;
    const struct timespec nap = {.tv_nsec = 50000};

    while (atomic_load_explicit(&writer->crew->line_back, memory_order_acquire) != bench_case->readers ||
           atomic_load_explicit(turn, memory_order_acquire) != index)
        nanosleep(&nap, NULL);
    records_write(writer, bench_case->write, lap_records(bench_case));
    atomic_store_explicit(turn, index + 1, memory_order_release);
}

static void stream_write(struct crew *crew, unsigned self, const void *task)
{
    const struct stream_task *stream = task;
    const struct bench_case *bench_case = stream->bench_case;
    struct bench_writer writer;

    bench_writer_open(&writer, crew, self, RING_THERE, stream->index, bench_case->bytes, RINGD_FOREVER);
    lap_write(&writer, bench_case, stream->index);
    crew_ready(crew, self);
    records_write(&writer, bench_case->write, lap_records(bench_case) + bench_case->records / bench_case->writers);
    crew_done(crew, self);
    bench_writer_close(&writer);
}

static void records_read(struct bench_reader *reader, enum case_read how, uint64_t count)
{
    if (how == CASE_NEXT) {
        while (reader->received < count)
            bench_read(reader);
    } else {
        while (reader->received < count)
            bench_read_many(reader);
    }
}

static void stream_read(struct crew *crew, unsigned self, const void *task)
{
    const struct stream_task *stream = task;
    const struct bench_case *bench_case = stream->bench_case;
    uint64_t laps = lap_records(bench_case) * bench_case->writers;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS,
        .start = RINGD_START_OLDEST,
        .deadline = stream->alone ? RINGD_NO_WAIT : RINGD_FOREVER,
    };
    struct bench_reader reader;

    bench_reader_open(&reader, crew, self, RING_THERE, bench_case->writers, bench_case->bytes, &options);
    atomic_fetch_add_explicit(&crew->line_back, 1, memory_order_acq_rel);
    records_read(&reader, bench_case->read, laps);
    crew_ready(crew, self);
    records_read(&reader, bench_case->read, laps + bench_case->records);
    crew_done(crew, self);
    bench_reader_close(&reader);
}

static void alone_write(struct crew *crew, unsigned self, const void *task)
{
    const struct bench_case *bench_case = task;
    struct bench_writer writer;

    bench_writer_open(&writer, crew, self, RING_THERE, 0, bench_case->bytes, RINGD_NO_WAIT);
    records_write(&writer, bench_case->write, lap_records(bench_case));
    crew_ready(crew, self);
    records_write(&writer, bench_case->write, lap_records(bench_case) + bench_case->records);
    crew_done(crew, self);
    bench_lap_check(crew, self, RING_THERE, 1, bench_case->bytes, writer.sequence);
    bench_writer_close(&writer);
}

static void copy_alone(struct crew *crew, unsigned self, const void *task)
{
    const struct bench_case *bench_case = task;
    struct ringd_ring_options options = {0};
    uint32_t bytes = bench_case->bytes, stride = case_record_bytes(bench_case);
    unsigned char *area, *pieces = calloc(CASE_BATCH, bytes);

    ring_sizes(bench_case, &options);
    area = aligned_alloc(4096, options.size);
    if (!area || !pieces)
        crew_fail(crew, self, "no memory for the copy limit", -ENOMEM);
    memset(area, 1, options.size);
    crew_ready(crew, self);
    for (uint64_t i = 0, place = 0; i < bench_case->records; i += CASE_BATCH) {
        for (uint64_t k = 0; k < CASE_BATCH; k++)
            payload_fill(pieces + k * bytes, bytes, payload_first(0, i + k));
        for (uint64_t k = 0; k < CASE_BATCH; k++) {
            place = place + stride <= options.size ? place : 0;
            memcpy(area + place + 32, pieces + k * bytes, bytes);
            place += stride;
        }
        __asm__ volatile("" : : "r"(area) : "memory"); /* it is all needed */
    }
    crew_done(crew, self);
    free(area);
    free(pieces);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static struct ringd_ring_options ring_options(const struct bench_case *bench_case)
{
    struct ringd_ring_options options = {.policy = RINGD_LOSSLESS, .time = bench_case->time};

    if (bench_case->shape == CASE_ALONE)
        options.policy = RINGD_OVERWRITE;
    ring_sizes(bench_case, &options);
    return options;
}

static int rings_create(const struct bench_case *bench_case, char *failure)
{
    const struct ringd_ring_options options = ring_options(bench_case);
    int result = ringd_create(RING_THERE, &options);

    if (!result && case_is_latency(bench_case))
        result = ringd_create(RING_BACK, &options);
    if (result)
        snprintf(failure, CREW_TEXT, "cannot create a ring: %s", ringd_error());
    return result;
}

static int rings_remove(const struct bench_case *bench_case, char *failure)
{
    int result = ringd_remove(RING_THERE);

    if (!result && case_is_latency(bench_case))
        result = ringd_remove(RING_BACK);
    if (result)
        snprintf(failure, CREW_TEXT, "cannot remove a ring: %s", ringd_error());
    return result;
}

/* Where there are more processes than processors the kernel places them, on these two: nobody would pin them. */
static unsigned stream_roles(const struct bench_case *bench_case, const int cpus[2], struct stream_task *tasks,
                             struct crew_role *roles)
{
    bool alone = bench_case->writers + bench_case->readers == 2;
    unsigned count = 0;

    for (uint32_t i = 0; i < bench_case->readers; i++, count++) {
        tasks[count] = (struct stream_task){bench_case, i, alone};
        roles[count] = (struct crew_role){cpus[(i + 1) % 2], stream_read, &tasks[count], .roams = !alone,
                                          .other_cpu = cpus[i % 2]};
    }
    for (uint32_t i = 0; i < bench_case->writers; i++, count++) {
        tasks[count] = (struct stream_task){bench_case, i, alone};
        roles[count] = (struct crew_role){cpus[i % 2], stream_write, &tasks[count], .roams = !alone,
                                          .other_cpu = cpus[(i + 1) % 2]};
    }
    return count;
}

static int records_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case,
                       struct case_figures *figures, char *failure)
{
    struct crew_role roles[CREW_ROLES] = {{.cpu = cpus[0], .play = alone_write, .task = bench_case}};
    struct stream_task tasks[CREW_ROLES];
    unsigned count = bench_case->shape == CASE_ALONE ? 1 : stream_roles(bench_case, cpus, tasks, roles);
    int result;

    if (bench_case->write == CASE_COPY)
        roles[0].play = copy_alone;
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
    result = crew_run(crew, roles, count, failure);
    if (result)
        return result;
    figures->elapsed_ns = crew_elapsed_ns(crew, count);
    figures->values[0] = figures->elapsed_ns / (double)bench_case->records;
    if (bench_case->shape == CASE_ALONE || count == 2)
        figures->share = crew_share(crew, 0); /* the writer alone, or the reader that polls */
    for (unsigned i = 0; i < count; i++)
        figures->slept += (double)crew->results[i].slept / (double)bench_case->records;
    return 0;
}

int case_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, struct case_figures *figures,
             char *failure)
{
    int result = rings_create(bench_case, failure);

    *figures = (struct case_figures){.share = 1};
    if (result)
        return result;
    if (case_is_latency(bench_case))
        result = latency_run(crew, cpus, bench_case, RING_THERE, RING_BACK, figures, failure);
    else if (bench_case->shape == CASE_DRAIN)
        result = drain_run(crew, cpus, bench_case, RING_THERE, figures, failure);
    else
        result = records_run(crew, cpus, bench_case, figures, failure);
    return result ? result : rings_remove(bench_case, failure);
}
