/* ringctl_write.c - write: every line (or frame) of standard input becomes a record.
 *
 * What holds true: every record of the input is counted as exactly one of written, too long, full (no room in time),
 * dropped (by the ring's policy) or, when something ends the command early, not written; and the records that are in
 * the ring stand there in the order of the input. What is longer than a record of the ring becomes a message.
 *
 * All system calls are reads of the input and, when the ring is full, sleeping until there is room. Records that came
 * with one read go to the ring in batches where the ring's answer can only be yes, and one by one where it may be no (a
 * ring that drops, a time-out), so that the answer is about each of them. Nothing that has arrived complete is held
 * back while more is waited for.
 *
 * With --timeout each record waits that long for room. When one has waited in vain, the following ones are tried
 * without waiting until there is room again: a reader that stands still costs the time-out once, not once a record.
 */
#include "ringctl.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH_RECORDS 64
#define HEADER_BYTES  32u /* what a record takes besides its payload, and what it is rounded up to (ringd.h) */

struct write_job {
    const struct options *options;
    struct ringd_writer *writer;
    struct input input;
    size_t max_record;
    size_t batch_max; /* records */
    struct iovec batch[BATCH_RECORDS];
    size_t batch_count;
    size_t batch_bytes; /* in the ring */
    uint64_t records;   /* of the input, so far */
    uint64_t written, bytes, too_long, full, dropped;
    bool in_vain;    /* the last record waited and found no room */
    bool complete;   /* the input ended, and all of it is accounted for */
    bool cut;        /* inside a frame */
    int input_error; /* a negative errno of reading */
};

static size_t ring_bytes(size_t len)
{
    return (len + 2 * HEADER_BYTES - 1) / HEADER_BYTES * HEADER_BYTES;
}

static int64_t deadline_of(const struct write_job *job)
{
    int64_t timeout_ns = job->options->timeout_ns;

    if (timeout_ns == RINGCTL_WAIT_FOREVER)
        return RINGD_FOREVER;
    if (timeout_ns == 0 || job->in_vain)
        return RINGD_NO_WAIT;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + timeout_ns;
}

static void count_written(struct write_job *job)
{
    for (size_t i = 0; i < job->batch_count; i++)
        job->bytes += job->batch[i].iov_len;
    job->written += job->batch_count;
    job->in_vain = false;
}

static void count_full(struct write_job *job)
{
    if (job->full == 0) {
        say(job->options, "record %llu found no room in time and is refused; see 'ringctl status %s'",
            (unsigned long long)job->records, job->options->name);
    }
    job->full += job->batch_count;
    job->in_vain = true;
}

/* 0: the batch is accounted for. Else a negative errno, and the batch is as it was. */
static int account(struct write_job *job, int result)
{
    switch (result) {
    case RINGD_OK:
        count_written(job);
        break;
    case RINGD_FULL:
        count_full(job);
        break;
    case RINGD_DROPPED:
        job->dropped += job->batch_count;
        break;
    default:
        return result;
    }
    job->batch_count = 0;
    job->batch_bytes = 0;
    return 0;
}

static int write_batch(struct write_job *job)
{
    return job->batch_count == 1 ? ringd_write_message(job->writer, job->batch[0].iov_base, job->batch[0].iov_len)
                                 : ringd_write_batch(job->writer, job->batch, (int)job->batch_count);
}

/* Puts the batch into the ring, or accounts for it otherwise. -EINTR: a signal asked to stop. */
static int flush_batch(struct write_job *job)
{
    if (job->batch_count == 0)
        return 0;
    ringd_writer_deadline(job->writer, deadline_of(job));
    int result = -EINTR;
    while (result == -EINTR && stop_signal() == 0)
        result = write_batch(job);
    return account(job, result);
}

static int add_record(struct write_job *job, const struct input_piece *piece)
{
    size_t bytes = ring_bytes(piece->len);
    int result = 0;

    if (job->batch_count == job->batch_max || job->batch_bytes + bytes > ring_bytes(job->max_record))
        result = flush_batch(job);
    job->records++;
    if (result != 0)
        return result; /* counted as not written: see count_unwritten */
    job->batch[job->batch_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)piece->data, .iov_len = piece->len};
    job->batch_bytes += bytes;
    return 0;
}

/* The ring is asked although the answer is known: it counts what is refused, too. */
static int refuse_record(struct write_job *job, const struct input_piece *piece)
{
    int result = flush_batch(job);

    job->records++;
    if (result != 0)
        return result;
    result = ringd_write_message(job->writer, piece->data, piece->len);
    if (result != -EMSGSIZE)
        return result < 0 ? result : -EPROTO; /* the library takes more than it says */
    if (job->too_long++ == 0) {
        say(job->options, "record %llu is longer than the %llu bytes that a message can have and is refused; split it",
            (unsigned long long)job->records, (unsigned long long)RINGD_MESSAGE_MAX);
    }
    return 0;
}

/* More of the input, when all that is there has been written. */
static int fill(struct write_job *job)
{
    int result = flush_batch(job);

    if (result != 0)
        return result;
    result = input_fill(&job->input);
    if (result != 0 && result != -EINTR)
        job->input_error = result;
    return result == -EINTR ? 0 : result; /* write_input looks for the signal */
}

static int finish(struct write_job *job, bool cut)
{
    int result = flush_batch(job);

    job->complete = result == 0;
    job->cut = cut;
    return result;
}

static int write_input(struct write_job *job)
{
    int result = 0;

    while (result == 0 && !job->complete && stop_signal() == 0) {
        struct input_piece piece;
        int found = input_next(&job->input, &piece);
        switch (found) {
        case INPUT_RECORD:
            result = add_record(job, &piece);
            break;
        case INPUT_TOO_LONG:
            result = refuse_record(job, &piece);
            break;
        case INPUT_MORE:
            result = fill(job);
            break;
        default:
            result = finish(job, found == INPUT_CUT);
        }
    }
    return result;
}

/* ---- what became of it ------------------------------------------------------------------------------------------- */

static uint64_t refused_count(const struct write_job *job)
{
    return job->too_long + job->full + job->dropped;
}

static void say_refused(const struct write_job *job, uint64_t count, const char *why)
{
    if (count > 0)
        say(job->options, "%llu of %llu records %s", (unsigned long long)count, (unsigned long long)job->records, why);
}

/* The command ended before its input did: how far did it get? */
static int say_ended(const struct write_job *job, int result, uint64_t unwritten)
{
    int code;

    if (job->input_error != 0) {
        code = say_file_failure(job->options, "read the input", job->input_error);
    } else if (stop_signal() != 0) {
        say(job->options, "stopped by signal %d (%s)", stop_signal(), strsignal(stop_signal()));
        code = RINGCTL_SIGNAL + stop_signal();
    } else if (result == -ESHUTDOWN) {
        say(job->options, "the ring was removed meanwhile");
        code = RINGCTL_NO_RING;
    } else {
        code = say_failure(job->options, result);
    }
    say(job->options, "%llu records were written; %llu that had been read were not", (unsigned long long)job->written,
        (unsigned long long)unwritten);
    return code;
}

static int say_outcome(const struct write_job *job, int result, uint64_t unwritten)
{
    say_refused(job, job->dropped, "were dropped: the ring was full, and its policy is to drop the newest");
    say_refused(job, job->full, "were refused: no room within the time-out");
    say_refused(job, job->too_long, "were refused: longer than a message can be");
    if (!job->complete)
        return say_ended(job, result, unwritten);
    if (job->cut) {
        say(job->options, "the input ends inside a record, which is left out; --binary takes 4 bytes of length before "
                          "each payload");
        return RINGCTL_FAILED;
    }
    return refused_count(job) > 0 ? RINGCTL_REFUSED : RINGCTL_DONE;
}

static int print_summary(const struct write_job *job, uint64_t unwritten)
{
    json_t *summary = json_object();

    json_object_set_new(summary, "name", json_string(job->options->name));
    json_object_set_new(summary, "records", json_unsigned(job->records));
    json_object_set_new(summary, "written", json_unsigned(job->written));
    json_object_set_new(summary, "bytes", json_unsigned(job->bytes));
    json_object_set_new(summary, "dropped", json_unsigned(job->dropped));
    json_object_set_new(summary, "refused_no_room", json_unsigned(job->full));
    json_object_set_new(summary, "refused_too_long", json_unsigned(job->too_long));
    json_object_set_new(summary, "not_written", json_unsigned(unwritten));
    return print_json(job->options, summary);
}

static int report(struct write_job *job, int result)
{
    job->records += input_count_rest(&job->input);
    uint64_t unwritten = job->records - job->written - refused_count(job);
    int code = say_outcome(job, result, unwritten);
    int printed = job->options->json ? print_summary(job, unwritten) : RINGCTL_DONE;
    return code != RINGCTL_DONE ? code : printed;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int open_writer(const struct options *options, struct ringd_writer **writer)
{
    struct ringd *ring;
    struct ringd_writer_options wanted = {.type = options->types[0], .level = options->level_min};
    int result = ringd_open(&ring, options->name);

    if (result == 0) {
        result = ringd_writer_open(writer, ring, &wanted);
        ringd_close(ring);
    }
    return result;
}

static int job_init(struct write_job *job, const struct options *options)
{
    struct ringd_info info;

    *job = (struct write_job){.options = options};
    int result = ring_fetch(options->name, &info);
    if (result == 0)
        result = open_writer(options, &job->writer);
    if (result != 0)
        return result;
    bool may_refuse = info.policy == RINGD_DROP || options->timeout_ns != RINGCTL_WAIT_FOREVER;
    job->batch_max = may_refuse ? 1 : BATCH_RECORDS;
    job->max_record = info.max_record;
    return input_init(&job->input, STDIN_FILENO, options->binary, job->max_record, RINGD_MESSAGE_MAX);
}

static void job_deinit(struct write_job *job)
{
    input_deinit(&job->input);
    ringd_writer_close(job->writer);
}

int command_write(const struct options *options)
{
    struct write_job job;
    int result = job_init(&job, options);
    int code;

    if (result == 0) {
        stop_install();
        result = write_input(&job);
        code = report(&job, result);
    } else {
        code = say_call_failure(options, result);
    }
    job_deinit(&job);
    return code;
}
