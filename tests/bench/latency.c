/* latency.c - one-way latency by ping-pong over two rings; see latency.h.
 *
 * Both rings are lossless, with one writer and one lossless reader each. Busy readers poll with RINGD_NO_WAIT; sleeping
 * ones wait with RINGD_FOREVER. A first lap through the ring is not recorded: it touches every page for the first time,
 * which happens once in the life of an attachment and would otherwise show as the 99th percentile.
 *
 * The samples are ticks of the processor's counter, one for each round trip, in the crew's memory.
 */
#include "latency.h"

#include <math.h>
#include <time.h>

#include "clock.h"
#include "contexts.h"
#include "stats.h"

#define BUSY_ROUNDS_MIN     20000.0
#define SLEEPING_ROUNDS     500.0
#define SLEEPING_ROUNDS_LAP 20u
#define REST_NS             100000

struct latency_task {
    const struct bench_case *bench_case;
    const char *ring_out, *ring_in;
};

uint64_t latency_rounds(const struct bench_case *bench_case, double wanted)
{
    if (bench_case->shape == CASE_SLEEPING)
        return (uint64_t)SLEEPING_ROUNDS;
    if (wanted > CREW_SAMPLES)
        return CREW_SAMPLES;
    return (uint64_t)(wanted < BUSY_ROUNDS_MIN ? BUSY_ROUNDS_MIN : wanted);
}

static uint64_t rounds_unrecorded(const struct bench_case *bench_case)
{
    return bench_case->shape == CASE_SLEEPING ? SLEEPING_ROUNDS_LAP : CASE_RING_BYTES / (bench_case->bytes + 32u);
}

/* ---- roles ------------------------------------------------------------------------------------------------------ */

static void side_open(struct crew *crew, unsigned self, const struct latency_task *task, struct bench_writer *writer,
                      struct bench_reader *reader)
{
    const struct bench_case *bench_case = task->bench_case;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS,
        .start = RINGD_START_OLDEST,
        .deadline = bench_case->shape == CASE_SLEEPING ? RINGD_FOREVER : RINGD_NO_WAIT,
    };

    bench_writer_open(writer, crew, self, task->ring_out, 0, bench_case->bytes, RINGD_NO_WAIT);
    bench_reader_open(reader, crew, self, task->ring_in, 1, bench_case->bytes, &options);
}

static inline void message_send(struct bench_writer *writer)
{
    if (!bench_write(writer))
        crew_fail(writer->crew, writer->self, "a ring with one message in it is full", 0);
    bench_fill(writer, writer->sequence); /* the next one, while this one is on its way */
}

static inline void message_await(struct bench_reader *reader)
{
    while (!bench_read(reader))
        ;
}

static void rest(void)
{
    const struct timespec time = {.tv_nsec = REST_NS};

    nanosleep(&time, NULL);
}

static inline void sample_put(struct crew *crew, uint64_t ticks)
{
    crew->samples[crew->sample_count++] = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void rounds_busy(struct crew *crew, struct bench_writer *writer, struct bench_reader *reader, uint64_t rounds)
{
    uint64_t last = clock_ticks(), now;

    for (uint64_t i = 0; i < rounds; i++) {
        message_send(writer);
        message_await(reader);
        now = clock_ticks();
        sample_put(crew, now - last);
        last = now;
    }
}

static void rounds_sleeping(struct crew *crew, struct bench_writer *writer, struct bench_reader *reader,
                            uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t start;

        rest();
        start = clock_ticks();
        message_send(writer);
        message_await(reader);
        sample_put(crew, clock_ticks() - start);
    }
}

static void ask(struct crew *crew, unsigned self, const void *task)
{
    const struct latency_task *latency = task;
    const struct bench_case *bench_case = latency->bench_case;
    struct bench_writer writer;
    struct bench_reader reader;

    side_open(crew, self, latency, &writer, &reader);
    crew_ready(crew, self);
    for (uint64_t i = rounds_unrecorded(bench_case); i > 0; i--) {
        message_send(&writer);
        message_await(&reader);
    }
    if (bench_case->shape == CASE_SLEEPING)
        rounds_sleeping(crew, &writer, &reader, bench_case->records);
    else
        rounds_busy(crew, &writer, &reader, bench_case->records);
    crew_done(crew, self);
    bench_reader_close(&reader);
    bench_writer_close(&writer);
}

static void answer(struct crew *crew, unsigned self, const void *task)
{
    const struct latency_task *latency = task;
    const struct bench_case *bench_case = latency->bench_case;
    struct bench_writer writer;
    struct bench_reader reader;

    side_open(crew, self, latency, &writer, &reader);
    crew_ready(crew, self);
    for (uint64_t i = rounds_unrecorded(bench_case) + bench_case->records; i > 0; i--) {
        message_await(&reader);
        message_send(&writer);
    }
    crew_done(crew, self);
    bench_reader_close(&reader);
    bench_writer_close(&writer);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

double case_sample_ns(double ticks)
{
    double ns = ticks * clock_ns_per_tick() - clock_read_ns();

    return ns > 0 ? ns / 2 : 0;
}

int latency_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, const char *ring_there,
                const char *ring_back, struct case_figures *figures, char *failure)
{
    static const double parts[CASE_FIGURES] = {0.5, 0.99, 0.999};
    const struct latency_task tasks[] = {{bench_case, ring_there, ring_back}, {bench_case, ring_back, ring_there}};
    const struct crew_role roles[] = {{.cpu = cpus[0], .play = ask, .task = &tasks[0]},
                                      {.cpu = cpus[1], .play = answer, .task = &tasks[1]}};
    double messages = 2.0 * (double)(bench_case->records + rounds_unrecorded(bench_case));
    int result = crew_run(crew, roles, 2, failure);

    if (result)
        return result;
    samples_sort(crew->samples, crew->sample_count);
    for (unsigned i = 0; i < CASE_FIGURES; i++)
        figures->values[i] =
            case_sample_ns(samples_quantile(crew->samples, crew->sample_count, parts[i], clock_step_ticks()));
    figures->elapsed_ns = crew_elapsed_ns(crew, 2);
    if (bench_case->shape == CASE_BUSY)
        figures->share = fmin(crew_share(crew, 0), crew_share(crew, 1));
    figures->slept = (double)(crew->results[0].slept + crew->results[1].slept) / messages;
    return 0;
}
