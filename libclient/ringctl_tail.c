/* ringctl_tail.c - tail: the records of a ring, on standard output.
 *
 * What holds true: what is on standard output is exactly the payloads in ring order, as ringctl_record.c forms them;
 * what is missing is told on standard error at the place where it is missing, with its exact count, and in the exit
 * code. Everything that was read has been written out before tail waits, and before it ends in whatever way; a lossless
 * tail gives records back to the ring only when it has a copy of them.
 *
 * Unless --lossless, --cursor or --group is given tail is an observer: it can change nothing, and nobody waits for it.
 * One that shall be gone on from (--cursor, --group) has written its records out before it gives them back: whoever
 * goes on after it was killed may see some of them again, and misses none.
 */
#define _GNU_SOURCE
#include "ringctl.h"

#include <errno.h>
#include <unistd.h>

#include "record_time.h"

#define BATCH_RECORDS 256
#define OUTPUT_BYTES  (1u << 18)
#define RECORD_EXTRA  1024 /* of a line, frame or object, besides the payload */

struct tail_job {
    const struct options *options;
    struct ringd_reader *reader;
    struct output output;
    uint64_t remaining; /* of --count */
    uint64_t lost, gaps;
    bool evicted;
    struct ringd_record records[BATCH_RECORDS];
};

static int next_until(struct tail_job *job, int64_t deadline, size_t *count)
{
    size_t max = job->remaining < BATCH_RECORDS ? (size_t)job->remaining : BATCH_RECORDS;

    ringd_reader_deadline(job->reader, deadline);
    return ringd_next_many(job->reader, job->records, max, count);
}

/* What is there at once; else writes out what has been read, and waits. (After a failure of the output it does not
 * matter which result ends the loop.) */
static int next(struct tail_job *job, size_t *count)
{
    int result = next_until(job, RINGD_NO_WAIT, count);

    if (result != RINGD_WOULD_BLOCK || job->options->no_wait)
        return result;
    return output_flush(&job->output) == 0 ? next_until(job, RINGD_FOREVER, count) : RINGD_END;
}

static void tell_eviction(struct tail_job *job)
{
    job->evicted = true;
    say(job->options, "writers wait for this reader no more: it was too slow for the ring's limits, see its status");
}

/* Puts a record; false: it was being overwritten meanwhile, as an evicted reader's may be, and is taken back. */
static bool put_valid(struct tail_job *job, const struct ringd_record *record)
{
    size_t used = output_room(&job->output, record->len + RECORD_EXTRA);

    record_put(&job->output, job->options, record);
    if (ringd_reader_valid(job->reader) == RINGD_OK)
        return true;
    if (job->output.used >= used)
        job->output.used = used;
    return false;
}

/* Of what is not valid any more nobody can say which are whole. */
static void deliver(struct tail_job *job, size_t count)
{
    size_t i = 0;

    while (i < count && put_valid(job, &job->records[i]))
        i++;
    if (i < count) {
        job->lost += count - i;
        job->gaps++;
        say(job->options, "%zu records are lost here: overwritten while they were read", count - i);
    }
    if (job->remaining != RINGCTL_NO_COUNT)
        job->remaining -= count;
    if ((job->options->cursor != NULL || job->options->group != NULL) && output_flush(&job->output) != 0)
        return;
    if (ringd_release(job->reader) == RINGD_EVICTED)
        tell_eviction(job);
}

/* The records before the gap are out before it is told, so that a terminal shows it in its place. */
static void tell_gap(struct tail_job *job)
{
    const struct ringd_record *gap = &job->records[0];

    output_flush(&job->output);
    job->lost += gap->lost;
    job->gaps++;
    say(job->options, "%llu records of writer %u are lost here: overwritten before they were read",
        (unsigned long long)gap->lost, gap->writer);
}

/* Until there is a reason to end: RINGD_OK (enough, or asked to stop), RINGD_WOULD_BLOCK (--no-wait), RINGD_END, or a
 * negative errno. A failed output ends it too, see output.error. */
static int read_ring(struct tail_job *job)
{
    while (job->remaining > 0 && !stop_requested() && job->output.error == 0) {
        size_t count = 0;
        int result = next(job, &count);
        switch (result) {
        case RINGD_OK:
            deliver(job, count);
            break;
        case RINGD_GAP:
            tell_gap(job);
            break;
        case RINGD_EVICTED:
            tell_eviction(job);
            break;
        case -EINTR:
            break; /* the loop looks for the reason */
        default:
            return result;
        }
    }
    return RINGD_OK;
}

static int report(struct tail_job *job, int result)
{
    output_flush(&job->output);
    int code = job->lost > 0 || job->evicted ? RINGCTL_GAP : RINGCTL_DONE;
    if (job->gaps > 1) {
        say(job->options, "%llu records are lost in all, in %llu places", (unsigned long long)job->lost,
            (unsigned long long)job->gaps);
    }
    if (job->output.error != 0)
        return output_exit(job->options, &job->output, code);
    if (result == RINGD_END)
        say(job->options, job->evicted ? "this reader has come to its end, which is the ring's policy for slow ones"
                                       : "the ring was removed, and all that was in it has been read");
    return result < 0 ? say_failure(job->options, result) : code;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static double seconds_until_now(const struct timespec *moment)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec - moment->tv_sec) + (double)(now.tv_nsec - moment->tv_nsec) / 1e9;
}

/* What the ring's clock said then. Before it began to count is at 0. 0, or an exit code. */
static int find_time(const struct options *options, uint64_t *time)
{
    struct ringd_info info;
    int result = ring_fetch(options->name, &info);

    if (result < 0)
        return say_call_failure(options, result);
    if (info.time == RINGD_TIME_NONE)
        return 0; /* which the library explains */
    double rate = info.time == RINGD_TIME_MONOTONIC ? 1e9 : (double)info.ticks_per_second;
    if (rate == 0) {
        say(options, "how fast the clock of its records goes is not known; give --from time:TIME, with a time as "
                     "'ringctl tail --json' shows it");
        return RINGCTL_USAGE;
    }
    double now = (double)record_time(info.time), then = now - seconds_until_now(&options->moment) * rate;
    *time = then > 0 ? (uint64_t)then : 0;
    return 0;
}

static uint32_t mode_of(const struct options *options)
{
    if (options->lossless || options->group != NULL)
        return RINGD_READ_LOSSLESS;
    return options->cursor != NULL ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE;
}

static int open_at(const struct options *options, uint64_t time, struct ringd_reader **reader)
{
    const struct ringd_filter filter = {
        .types = options->types,
        .type_count = options->type_count,
        .writers = options->writers,
        .writer_count = options->writer_count,
        .level_min = options->level_min,
        .level_max = options->level_max,
        .by_level = options->by_level,
    };
    const struct ringd_reader_options wanted = {
        .mode = mode_of(options),
        .start = options->start,
        .position = options->position,
        .time = time,
        .filter = &filter,
        .lane = options->lane,
        .cursor = options->cursor,
        .group = options->group,
        .merge = options->merge,
        .wait = options->wait,
    };
    struct ringd *ring;
    int result = ringd_open(&ring, options->name);

    if (result == 0) {
        result = ringd_reader_open(reader, ring, &wanted);
        ringd_close(ring);
    }
    return result;
}

/* 0, or an exit code. */
static int open_reader(const struct options *options, struct ringd_reader **reader)
{
    uint64_t time = options->time;
    int code = options->moment.tv_sec != 0 ? find_time(options, &time) : 0;

    if (code != 0)
        return code;
    int result = open_at(options, time, reader);
    return result < 0 ? say_call_failure(options, result) : 0;
}

int command_tail(const struct options *options)
{
    struct tail_job job = {.options = options, .remaining = options->count};
    int result = output_init(&job.output, STDOUT_FILENO, OUTPUT_BYTES);
    int code = result == 0 ? open_reader(options, &job.reader) : say_failure(options, result);

    if (code == 0) {
        stop_install();
        stop_reader(job.reader);
        stop_watch_output();
        result = read_ring(&job);
        code = report(&job, result);
        stop_reader(NULL);
    }
    ringd_reader_close(job.reader);
    output_deinit(&job.output);
    return code;
}
