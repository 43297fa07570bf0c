/* fuzz_calls.c - every call of writers and readers on a ring that is scribbled over between the calls.
 *
 * One process, no daemon: three writers, two lossless readers, a lossy one and an observer on one mapping that has
 * guards around it (support_victim.h). An episode restores the ring, opens the handles, lets them work in peace for a
 * while, and then mixes mutations (support_scribble.h) with calls. What is required of each call: it comes back, with a
 * result that its description names; a record given out is no longer than max_record, if it is not one of messages, and
 * can be read to its last byte;
 * space granted is no less than asked for and can be written to its last byte. Under the sanitizers every access that
 * is wild or undefined shows here, and each run of a seed is the same.
 *
 *     RINGD_SEED=N            the seed, printed at the start
 *     RINGD_FUZZ_SECONDS=N    about how long (3)
 *     RINGD_FUZZ_EPISODE=N    only this episode, as printed after a failure
 *
 * The episodes run in a child, so that any kind of death is told with its seed and episode.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "reader.h"
#include "support.h"
#include "support_scribble.h"
#include "support_victim.h"
#include "wake.h"
#include "writer.h"

#define WRITERS     3
#define READERS     4
#define RECORDS_MAX 64
#define WAIT_NS     50000
#define GUARD_S     60

/* What an episode is about; the number of the episode chooses. */
static const struct ringd_ring_options rings[] = {
    {.size = 4096, .max_record = 64},
    {.size = 65536, .max_record = 1024, .time = RINGD_TIME_MONOTONIC},
    {.size = 16384, .max_record = 1, .policy = RINGD_DROP},
    {.size = 65536, .max_record = 100, .policy = RINGD_OVERWRITE, .time = RINGD_TIME_TSC},
    {.size = 16384, .max_record = 256, .hold = 1},
    {.size = 8192, .max_record = 128, .policy = RINGD_OVERWRITE},
};

#define RINGS (sizeof rings / sizeof rings[0])

/* Of the child, for its parent to tell. */
struct progress {
    uint64_t episode, episodes, calls, mutations, records, damaged;
    char call[32], mutation[32];
};

struct stage {
    struct victim *victim;
    struct scribbler scribbler;
    struct random_source random;
    struct ringd_writer *writers[WRITERS];
    struct ringd_reader *readers[READERS];
    bool healthy; /* nothing has been scribbled yet */
};

static struct progress *progress;

static uint64_t pick(struct stage *stage, uint64_t end)
{
    return random_below(&stage->random, end);
}

/* ---- what calls may answer --------------------------------------------------------------------------------------- */

#define LIST_END INT_MIN

static const int write_results[] = {RINGD_OK, RINGD_FULL, RINGD_DROPPED, -EMSGSIZE,
                                    -EBUSY,   -ESHUTDOWN, -EBADMSG,      LIST_END};
static const int finish_results[] = {RINGD_OK, RINGD_FULL, RINGD_DROPPED, -EINVAL, -ESHUTDOWN, -EBADMSG, LIST_END};
static const int next_results[] = {RINGD_OK,      RINGD_WOULD_BLOCK, RINGD_END, RINGD_GAP,
                                   RINGD_EVICTED, -EBADMSG,          LIST_END};
static const int release_results[] = {RINGD_OK, RINGD_EVICTED, LIST_END};
static const int ask_results[] = {0, 1, -ERANGE, -EINVAL, -EBADMSG, LIST_END};

static void check_result(const struct stage *stage, int result, const int *allowed)
{
    while (*allowed != result && *allowed != LIST_END)
        allowed++;
    require(*allowed == result, "%s gave %d (%s)", progress->call, result, ringd_strerror(result));
    require(!stage->healthy || result != -EBADMSG, "%s says that an untouched ring is damaged", progress->call);
    progress->damaged += result == -EBADMSG;
}

static void begin_call(const char *name)
{
    snprintf(progress->call, sizeof progress->call, "%s", name);
    progress->calls++;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static unsigned char payload[8192];

static struct ringd_writer *some_writer(struct stage *stage)
{
    struct ringd_writer *writer = stage->writers[pick(stage, WRITERS)];

    ringd_writer_deadline(writer, pick(stage, 64) == 0 ? wake_now() + WAIT_NS : RINGD_NO_WAIT);
    return writer;
}

static size_t some_length(struct stage *stage, const struct ringd_writer *writer)
{
    return pick(stage, 4) == 0 ? writer->max_record + pick(stage, 3) - 1 : pick(stage, writer->max_record + 1);
}

static void call_write(struct stage *stage)
{
    struct ringd_writer *writer = some_writer(stage);

    begin_call("ringd_write");
    check_result(stage, ringd_write(writer, payload, some_length(stage, writer)), write_results);
}

static void call_writev(struct stage *stage)
{
    struct ringd_writer *writer = some_writer(stage);
    size_t len = some_length(stage, writer), first = pick(stage, len + 1);
    struct iovec pieces[] = {{payload, first}, {payload, 0}, {payload + first, len - first}};

    begin_call("ringd_writev");
    check_result(stage, ringd_writev(writer, pieces, 3), write_results);
}

static void call_write_batch(struct stage *stage)
{
    struct ringd_writer *writer = some_writer(stage);
    struct iovec records[5];
    int count = (int)pick(stage, 5) + 1;

    for (int i = 0; i < count; i++)
        records[i] = (struct iovec){payload, some_length(stage, writer) / (size_t)count};
    begin_call("ringd_write_batch");
    check_result(stage, ringd_write_batch(writer, records, count), write_results);
}

/* The grant stays open for a later call, so that the ring is scribbled over meanwhile. */
static void call_reserve(struct stage *stage)
{
    struct ringd_writer *writer = some_writer(stage);
    size_t want = some_length(stage, writer), min = pick(stage, want + 1), granted = 0;
    void *data = NULL;
    int result;

    begin_call("ringd_reserve");
    result = ringd_reserve(writer, min, want, &data, &granted);
    check_result(stage, result, write_results);
    if (result != RINGD_OK)
        return;
    require(granted >= min && granted <= want, "granted %zu of %zu to %zu", granted, min, want);
    require(victim_holds(stage->victim, data, granted), "granted space lies outside the data");
    memset(data, 0xa5, granted);
}

static void call_commit(struct stage *stage)
{
    begin_call("ringd_commit");
    check_result(stage, ringd_commit(some_writer(stage), pick(stage, 100)), finish_results);
}

static void call_abort(struct stage *stage)
{
    begin_call("ringd_abort");
    check_result(stage, ringd_abort(some_writer(stage)), finish_results);
}

static void call_writer_count(struct stage *stage)
{
    struct ringd_writer_counters counters;

    begin_call("ringd_writer_count");
    check_result(stage, ringd_writer_count(some_writer(stage), &counters), finish_results);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static struct ringd_reader *some_reader(struct stage *stage)
{
    struct ringd_reader *reader = stage->readers[pick(stage, READERS)];

    ringd_reader_deadline(reader, pick(stage, 64) == 0 ? wake_now() + WAIT_NS : RINGD_NO_WAIT);
    return reader;
}

/* Reads all of it, as its user would. What is said to be a message in parts is in the reader's own memory, and as long
 * as they are together. */
static void use_record(struct stage *stage, const struct ringd_reader *reader, const struct ringd_record *record)
{
    bool whole = reader->given_messages == NULL;

    require(!whole || record->len <= reader->max_record, "a record of %zu bytes where %" PRIu32 " is the most",
            record->len, reader->max_record);
    require(record->writer < RINGD_WRITERS_PER_LANE, "a record of writer %" PRIu32, record->writer);
    require(!whole || reader->mode != RINGD_READ_LOSSLESS || victim_holds(stage->victim, record->data, record->len),
            "a record outside the data");
    for (size_t i = 0; i < record->len; i++)
        (void)((const volatile unsigned char *)record->data)[i];
    progress->records++;
}

static void call_next(struct stage *stage)
{
    struct ringd_reader *reader = some_reader(stage);
    struct ringd_record record;
    int result;

    begin_call("ringd_next");
    result = ringd_next(reader, &record);
    check_result(stage, result, next_results);
    if (result == RINGD_OK)
        use_record(stage, reader, &record);
}

static void call_next_many(struct stage *stage)
{
    struct ringd_reader *reader = some_reader(stage);
    struct ringd_record records[RECORDS_MAX];
    size_t max = pick(stage, RECORDS_MAX) + 1, count = 0;
    int result;

    begin_call("ringd_next_many");
    result = ringd_next_many(reader, records, max, &count);
    check_result(stage, result, next_results);
    require(count <= max && (count > 0) == (result == RINGD_OK || result == RINGD_GAP), "%d with %zu of %zu records",
            result, count, max);
    for (size_t i = 0; i < count && result == RINGD_OK; i++)
        use_record(stage, reader, &records[i]);
}

static void call_release(struct stage *stage)
{
    begin_call("ringd_release");
    check_result(stage, ringd_release(some_reader(stage)), release_results);
}

static void call_reader_count(struct stage *stage)
{
    struct ringd_reader_counters counters;

    begin_call("ringd_reader_count");
    check_result(stage, ringd_reader_count(some_reader(stage), &counters), release_results);
}

/* ---- opening and closing, and what the daemon asks --------------------------------------------------------------- */

static void open_a_writer(struct stage *stage, uint32_t slot)
{
    int result = writer_new(&stage->writers[slot], &stage->victim->segment, slot, 1, NULL);

    require(result == 0, "writer_new gave %d", result);
}

/* As the daemon does it: a position is looked at before joining there. */
static int join(struct ring *ring, uint32_t slot, const struct ringd_reader_options *options, uint64_t *position)
{
    int result = options->start == RINGD_START_POSITION ? ring_check_start(ring, options->position) : 0;

    if (result == 0)
        result = ring_join(ring, 1, slot, options->start, options->position, position);
    if (result == 0 && options->start == RINGD_START_POSITION && ring_check_cursor(ring, slot) != 0)
        result = -EINVAL;
    if (result < 0)
        ring_leave(ring, slot);
    return result;
}

static uint32_t mode_of(const struct stage *stage, uint32_t slot)
{
    if (slot < 2 && stage->scribbler.ring.keeps)
        return RINGD_READ_LOSSLESS;
    return slot == READERS - 1 ? RINGD_READ_OBSERVE : RINGD_READ_LOSSY;
}

/* Readers 0 and 1 are lossless where the ring has such, the last is an observer. One that cannot start where it would
 * like to is lossy and starts at the oldest. */
static void open_a_reader(struct stage *stage, uint32_t slot, uint32_t start, uint64_t wanted)
{
    struct ringd_reader_options options = {.mode = mode_of(stage, slot), .start = start, .position = wanted};
    struct ring ring = stage->scribbler.ring;
    uint64_t position = 0;
    int result = options.mode == RINGD_READ_LOSSLESS ? join(&ring, slot, &options, &position) : 0;

    if (result == 0)
        result = reader_new(&stage->readers[slot], &stage->victim->segment, slot, position, &options);
    check_result(stage, result, ask_results);
    if (result < 0) {
        options = (struct ringd_reader_options){.start = RINGD_START_OLDEST};
        result = reader_new(&stage->readers[slot], &stage->victim->segment, slot, 0, &options);
    }
    require(result == 0, "reader_new gave %d", result);
}

static void close_a_reader(struct stage *stage, uint32_t slot)
{
    struct ring ring = stage->scribbler.ring;

    ring_leave(&ring, slot);
    ringd_reader_close(stage->readers[slot]);
}

static void call_reopen_writer(struct stage *stage)
{
    uint32_t slot = (uint32_t)pick(stage, WRITERS);

    begin_call("ringd_writer_close");
    ringd_writer_close(stage->writers[slot]);
    open_a_writer(stage, slot);
}

static void call_reopen_reader(struct stage *stage)
{
    uint32_t slot = (uint32_t)pick(stage, READERS);
    uint64_t position = scribble_nasty(&stage->scribbler, ring_oldest(&stage->scribbler.ring)) & RINGD_POSITION_MASK;

    begin_call("ringd_reader_open");
    close_a_reader(stage, slot);
    /* In peace not at a position: whether a record begins there cannot always be known when a reader starts. */
    open_a_reader(stage, slot, (uint32_t)pick(stage, stage->healthy ? 2 : 3), position);
}

static void call_daemons_questions(struct stage *stage)
{
    struct ring *ring = &stage->scribbler.ring;
    uint64_t position, count;

    begin_call("the daemon's questions");
    check_result(stage, ring_position(ring, &position), ask_results);
    check_result(stage, ring_check_cursor(ring, (uint32_t)pick(stage, RINGD_READERS_MAX)), ask_results);
    check_result(stage, ring_check_start(ring, scribble_nasty(&stage->scribbler, position)), ask_results);
    ring_count_below(ring, (uint32_t)pick(stage, RINGD_WRITERS_PER_LANE), position, &count);
    ring_record_at(ring, ring_oldest(ring));
}

static void some_call(struct stage *stage)
{
    static void (*const calls[])(struct stage *) = {
        call_write,   call_write,        call_writev,        call_write_batch,   call_reserve,           call_commit,
        call_abort,   call_writer_count, call_next,          call_next,          call_next_many,         call_next_many,
        call_release, call_reader_count, call_reopen_writer, call_reopen_reader, call_daemons_questions,
    };

    calls[pick(stage, sizeof calls / sizeof calls[0])](stage);
}

/* ---- episodes ---------------------------------------------------------------------------------------------------- */

static void open_all(struct stage *stage)
{
    for (uint32_t i = 0; i < WRITERS; i++)
        open_a_writer(stage, i);
    for (uint32_t i = 0; i < READERS; i++)
        open_a_reader(stage, i, RINGD_START_OLDEST, 0);
}

static void close_all(struct stage *stage)
{
    for (uint32_t i = 0; i < WRITERS; i++)
        ringd_writer_close(stage->writers[i]);
    for (uint32_t i = 0; i < READERS; i++)
        close_a_reader(stage, i);
}

static void some_mutations(struct stage *stage)
{
    uint64_t count = pick(stage, 3) + 1;

    stage->healthy = false;
    for (uint64_t i = 0; i < count; i++)
        snprintf(progress->mutation, sizeof progress->mutation, "%s", scribble(&stage->scribbler));
    progress->mutations += count;
}

static void run_episode(struct victim *victims, uint64_t seed, uint64_t number)
{
    struct stage stage = {.victim = &victims[number % RINGS], .healthy = true};
    uint64_t peaceful, hostile;

    stage.random.state = seed ^ (number + 1) * UINT64_C(0xd1342543de82ef95);
    support_guard(GUARD_S);
    progress->episode = number;
    progress->episodes++;
    snprintf(progress->mutation, sizeof progress->mutation, "none");
    victim_restore(stage.victim);
    scribbler_init(&stage.scribbler, &stage.victim->segment, &stage.random);
    open_all(&stage);
    peaceful = pick(&stage, 100);
    hostile = pick(&stage, 60) + 1;
    while (peaceful-- > 0)
        some_call(&stage);
    for (; hostile > 0; hostile--) {
        if (pick(&stage, 3) == 0)
            some_mutations(&stage);
        some_call(&stage);
    }
    close_all(&stage);
}

static void run_episodes(void *argument)
{
    uint64_t seed = support_seed();
    const char *single = getenv("RINGD_FUZZ_EPISODE"), *seconds = getenv("RINGD_FUZZ_SECONDS");
    int64_t until = now_ns() + (seconds != NULL ? atoi(seconds) : 3) * INT64_C(1000000000);
    struct victim victims[RINGS];
    uint64_t number = 0;

    (void)argument;
    for (size_t i = 0; i < RINGS; i++) {
        struct ringd_ring_options options = rings[i];

        options.first_position = SUPPORT_WRAP - options.size / 2;
        victim_init(&victims[i], &options);
    }
    if (single != NULL)
        run_episode(victims, seed, strtoull(single, NULL, 0));
    else
        while (number == 0 || now_ns() < until)
            run_episode(victims, seed, number++);
    for (size_t i = 0; i < RINGS; i++)
        victim_deinit(&victims[i]);
}

int main(void)
{
    int status;

    support_begin();
    progress = shared_new(sizeof *progress);
    status = child_wait(child_start(run_episodes, NULL));
    support_end();
    printf("fuzz_calls: %" PRIu64 " episodes, %" PRIu64 " mutations, %" PRIu64 " calls, %" PRIu64 " records, %" PRIu64
           " times told of damage\n",
           progress->episodes, progress->mutations, progress->calls, progress->records, progress->damaged);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return EXIT_SUCCESS;
    printf("fuzz_calls: failed with status 0x%x in %s, after mutation of %s; run again with RINGD_SEED=%" PRIu64
           " RINGD_FUZZ_EPISODE=%" PRIu64 "\n",
           (unsigned)status, progress->call, progress->mutation, support_seed(), progress->episode);
    return EXIT_FAILURE;
}
