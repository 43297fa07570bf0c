/* drain.c - readers alone with a ring that is full; see drain.h.
 *
 * `line_there` is the number of laps that were filled, `line_back` the number of records that all readers have read.
 */
#include "drain.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "clock.h"
#include "contexts.h"

struct drain_task {
    const struct bench_case *bench_case;
    const char *ring;
};

/* Of one lap and one lane; half of it. */
static uint64_t lap_records(const struct bench_case *bench_case)
{
    return CASE_RING_BYTES / 2 / bench_case->writers / case_record_bytes(bench_case);
}

uint64_t drain_records(const struct bench_case *bench_case, double wanted)
{
    uint64_t lap = lap_records(bench_case) * bench_case->writers;
    uint64_t laps = (uint64_t)(wanted / (double)lap);

    return (laps > 0 ? laps : 1) * lap;
}

/* ---- roles ------------------------------------------------------------------------------------------------------ */

static struct bench_writer *writers_open(struct crew *crew, unsigned self, const struct drain_task *task)
{
    uint32_t count = task->bench_case->writers;
    struct bench_writer *writers = calloc(count, sizeof(*writers));

    if (!writers)
        crew_fail(crew, self, "no memory for the writers", -ENOMEM);
    for (uint32_t i = 0; i < count; i++)
        bench_writer_open_lane(&writers[i], crew, self, task->ring, i, task->bench_case->bytes, RINGD_NO_WAIT);
    return writers;
}

static void writers_close(struct bench_writer *writers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        bench_writer_close(&writers[i]);
    free(writers);
}

static void lap_fill(struct crew *crew, unsigned self, const struct bench_case *bench_case,
                     struct bench_writer *writers)
{
    for (uint64_t k = lap_records(bench_case); k > 0; k--) {
        for (uint32_t i = 0; i < bench_case->writers; i++) {
            bench_fill(&writers[i], writers[i].sequence + 1);
            if (!bench_write(&writers[i]))
                crew_fail(crew, self, "a ring that was read to its end has no room for half of what fits into it", 0);
        }
    }
}

static void lap_drain(struct crew *crew, unsigned self, const struct bench_case *bench_case,
                      struct bench_reader *reader)
{
    uint64_t before = reader->received;
    int64_t start_ns = clock_processor_ns();

    if (bench_case->read == CASE_NEXT) {
        while (bench_read(reader))
            ;
    } else {
        while (bench_read_many(reader))
            ;
    }
    crew->results[self].drained_ns += clock_processor_ns() - start_ns;
    atomic_fetch_add_explicit(&crew->line_back, reader->received - before, memory_order_acq_rel);
}

static void lines_await(const _Atomic uint64_t *line, uint64_t value)
{
    while (atomic_load_explicit(line, memory_order_acquire) < value)
        sched_yield();
}

static void reader_open(struct crew *crew, unsigned self, const struct drain_task *task, struct bench_reader *reader)
{
    const struct bench_case *bench_case = task->bench_case;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS,
        .start = RINGD_START_OLDEST,
        .deadline = RINGD_NO_WAIT,
        .merge = bench_case->merge ? RINGD_MERGE_TIME : RINGD_MERGE_NONE,
        .group = bench_case->group ? "bench" : NULL,
    };

    bench_reader_open(reader, crew, self, task->ring, bench_case->writers, bench_case->bytes, &options);
    reader->some = bench_case->readers > 1;
}

static void drain_first(struct crew *crew, unsigned self, const void *task)
{
    const struct drain_task *drain = task;
    const struct bench_case *bench_case = drain->bench_case;
    uint64_t lap = lap_records(bench_case) * bench_case->writers;
    struct bench_writer *writers;
    struct bench_reader reader;

    reader_open(crew, self, drain, &reader);
    writers = writers_open(crew, self, drain);
    crew_ready(crew, self);
    for (uint64_t filled = lap; filled <= bench_case->records; filled += lap) {
        lap_fill(crew, self, bench_case, writers);
        atomic_store_explicit(&crew->line_there, filled / lap, memory_order_release);
        lap_drain(crew, self, bench_case, &reader);
        lines_await(&crew->line_back, filled);
        if (atomic_load(&crew->line_back) != filled)
            crew_fail(crew, self, "more records were read than written", 0);
    }
    crew_done(crew, self);
    bench_reader_close(&reader);
    writers_close(writers, bench_case->writers);
}

static void drain_further(struct crew *crew, unsigned self, const void *task)
{
    const struct drain_task *drain = task;
    const struct bench_case *bench_case = drain->bench_case;
    uint64_t laps = bench_case->records / (lap_records(bench_case) * bench_case->writers);
    struct bench_reader reader;

    reader_open(crew, self, drain, &reader);
    crew_ready(crew, self);
    for (uint64_t lap = 1; lap <= laps; lap++) {
        lines_await(&crew->line_there, lap);
        lap_drain(crew, self, bench_case, &reader);
    }
    crew_done(crew, self);
    bench_reader_close(&reader);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

int drain_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, const char *ring,
              struct case_figures *figures, char *failure)
{
    const struct drain_task task = {bench_case, ring};
    struct crew_role roles[CREW_ROLES];
    int result;

    for (unsigned i = 0; i < bench_case->readers; i++)
        roles[i] = (struct crew_role){.cpu = cpus[i % 2], .play = i == 0 ? drain_first : drain_further, .task = &task};
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
    result = crew_run(crew, roles, bench_case->readers, failure);
    if (result)
        return result;
    figures->elapsed_ns = crew_elapsed_ns(crew, bench_case->readers);
    for (unsigned i = 0; i < bench_case->readers; i++)
        figures->values[0] += (double)crew->results[i].drained_ns / (double)bench_case->records;
    return 0;
}
