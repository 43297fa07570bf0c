/* check_lane_reader.c - readers of one lane: they get what is in it and nothing else, hold up those who write there and
 * nobody else, and are told, judged and moved by that lane alone.
 *
 * Rings of three lanes with a writer in each, all of whose records say who wrote them and which they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_raw.h"
#include "writer.h"

#define RING    "lane-reader"
#define LANES   3u
#define PAYLOAD 40u
#define MANY    2000 /* records: several laps of a small ring */

static struct ringd_writer *writers[LANES]; /* in lanes 1, 2, 3 */

/* ---- small things ------------------------------------------------------------------------------------------------ */

static struct ringd_writer *open_in(uint32_t lane)
{
    struct ringd_writer_options options = {.lane = lane};

    return open_writer_with(RING, options);
}

static void make(struct ringd_ring_options options)
{
    options.lanes = LANES;
    make_ring(RING, options);
    for (uint32_t i = 0; i < LANES; i++)
        writers[i] = open_in(i + 1);
}

static void make_small(struct ringd_ring_options options)
{
    options.size = 8192;
    options.max_record = 64;
    make(options);
}

static void close_writers(void)
{
    for (uint32_t i = 0; i < LANES; i++)
        ringd_writer_close(writers[i]);
}

static int try_open(struct ringd_reader **reader, struct ringd_reader_options options)
{
    struct ringd *ring;
    int result = ringd_open(&ring, RING);

    if (result == 0)
        result = ringd_reader_open(reader, ring, &options);
    ringd_close(ring);
    return result;
}

static struct ringd_reader *open_with(struct ringd_reader_options options)
{
    struct ringd_reader *reader;
    int result = try_open(&reader, options);

    require(result == 0, "%d: %s", result, ringd_error());
    return reader;
}

static struct ringd_reader *open_lane(uint32_t lane, uint32_t mode, uint32_t start)
{
    return open_with((struct ringd_reader_options){.lane = lane, .mode = mode, .start = start});
}

static void put(uint32_t lane, int count)
{
    for (int i = 0; i < count; i++) {
        int result = write_record(writers[lane - 1], PAYLOAD);

        require(result == RINGD_OK, "record %d of lane %u: %d", i, lane, result);
    }
}

static void put_in_all(int count)
{
    for (uint32_t lane = 1; lane <= LANES; lane++)
        put(lane, count);
}

/* Until there is no room; how many records that were, MANY at most. */
static int fill(uint32_t lane)
{
    int count = 0, result = RINGD_OK;

    while (count < MANY && (result = write_record(writers[lane - 1], PAYLOAD)) == RINGD_OK)
        count++;
    require(result == RINGD_OK || result == RINGD_FULL, "%d", result);
    return count;
}

/* The writer is the first in its lane. (A child has not inherited its handle.) */
static void require_record(const struct ringd_record *record, uint32_t lane, uint64_t sequence)
{
    uint32_t writer = (lane - 1) * RINGD_WRITERS_PER_LANE;

    record_verify(record);
    require(record->writer == writer && record->sequence == sequence,
            "record %" PRIu64 " of %u instead of %" PRIu64 " of %u", record->sequence, record->writer, sequence,
            writer);
}

static void expect(struct ringd_reader *reader, uint32_t lane, uint64_t sequence)
{
    struct ringd_record record = {0};
    int result = ringd_next(reader, &record);

    require(result == RINGD_OK, "result %d instead of record %" PRIu64, result, sequence);
    require_record(&record, lane, sequence);
}

/* From the one to before the other, released. */
static void expect_all(struct ringd_reader *reader, uint32_t lane, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        expect(reader, lane, i);
    require(ringd_release(reader) == RINGD_OK, "release");
}

static void expect_result(struct ringd_reader *reader, int wanted)
{
    struct ringd_record record = {0};
    int result = ringd_next(reader, &record);

    require(result == wanted, "result %d instead of %d (record %" PRIu64 " of %u)", result, wanted, record.sequence,
            record.writer);
}

/* All that is there, in order and without a gap, released; how many. The first shows where it began. */
static uint64_t drain(struct ringd_reader *reader, uint32_t lane)
{
    struct ringd_record record;
    uint64_t count = 0, first = 0;
    int result;

    while ((result = ringd_next(reader, &record)) == RINGD_OK) {
        first = count == 0 ? record.sequence : first;
        require_record(&record, lane, first + count++);
    }
    require(result == RINGD_WOULD_BLOCK, "result %d", result);
    require(ringd_release(reader) == RINGD_OK, "release");
    require(count == 0 || first + count == writer_sequence(writers[lane - 1]), "the last one was %" PRIu64,
            first + count - 1);
    return count;
}

/* ringctl has to end with this code, and what it prints has this in it. */
static void require_printed(int code, const char *text, const struct command *command)
{
    const char *printed = code == 0 ? command->out : command->err;

    require(command->code == code && strstr(printed, text) != NULL, "%d, and \"%s\" is not in: %s%s", command->code,
            text, command->out, command->err);
}

static void require_doctor(const char *text)
{
    struct command command;

    ringctl(&command, "", 0, "doctor", RING, NULL);
    require_printed(0, text, &command);
    command_free(&command);
}

static struct ringd_context_info info_of(uint32_t kind)
{
    struct ringd_context_info info = {0};

    require(find_context(RING, kind, &info), "no context of kind %u", kind);
    return info;
}

/* ---- what it gets ------------------------------------------------------------------------------------------------ */

static const uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_LOSSLESS, RINGD_READ_OBSERVE};

START_TEST(it_gets_its_lane_and_nothing_else)
{
    struct ringd_reader *readers[LANES];
    struct ringd_record records[16];
    size_t count;

    make((struct ringd_ring_options){.time = RINGD_TIME_MONOTONIC});
    put_in_all(10);
    for (uint32_t i = 0; i < LANES; i++)
        readers[i] = open_with((struct ringd_reader_options){.lane = i + 1,
                                                             .mode = modes[_i],
                                                             .start = RINGD_START_OLDEST,
                                                             .merge = i == 1 ? RINGD_MERGE_TIME : RINGD_MERGE_NONE});
    put_in_all(10);
    for (uint32_t i = 0; i < LANES; i++) {
        expect_all(readers[i], i + 1, 0, 15);
        ck_assert_int_eq(ringd_next_many(readers[i], records, 16, &count), RINGD_OK);
        ck_assert_uint_eq(count, 5);
        for (uint32_t n = 0; n < count; n++)
            require_record(&records[n], i + 1, 15 + n);
        ringd_release(readers[i]);
        expect_result(readers[i], RINGD_WOULD_BLOCK);
    }
    require_doctor("0 wrong");
    for (uint32_t i = 0; i < LANES; i++) {
        struct ringd_reader_counters counters;

        ck_assert_int_eq(ringd_reader_count(readers[i], &counters), 0);
        ck_assert_uint_eq(counters.delivered, 20);
        ck_assert_uint_eq(counters.skipped + counters.lost, 0);
        ringd_reader_close(readers[i]);
    }
    close_writers();
}
END_TEST

START_TEST(it_starts_now_and_ends_with_the_ring)
{
    struct ringd_reader *reader;

    make((struct ringd_ring_options){0});
    put_in_all(10);
    reader = open_lane(2, modes[_i], RINGD_START_NOW);
    expect_result(reader, RINGD_WOULD_BLOCK);
    put_in_all(5);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (uint64_t i = 10; i < 15; i++)
        expect(reader, 2, i);
    expect_result(reader, RINGD_END);
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* A message lies in one lane, and a filter is of one reader. */
START_TEST(it_gets_messages_and_filters)
{
    static unsigned char message[50000];
    const uint32_t slot = RINGD_WRITERS_PER_LANE; /* the first of lane 2 */
    const struct ringd_filter filter = {.writers = &slot, .writer_count = 1};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *other;

    make((struct ringd_ring_options){0});
    other = open_in(2);
    reader = open_with(
        (struct ringd_reader_options){.lane = 2, .mode = modes[_i], .start = RINGD_START_OLDEST, .filter = &filter});
    put_in_all(3);
    ck_assert_int_eq(write_record(other, PAYLOAD), RINGD_OK);
    memset(message, 7, sizeof message);
    ck_assert_int_eq(ringd_write_message(writers[0], message, sizeof message), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(writers[1], message, sizeof message), RINGD_OK);
    for (uint64_t i = 0; i < 3; i++)
        expect(reader, 2, i);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.len, sizeof message);
    ck_assert_mem_eq(record.data, message, sizeof message);
    ck_assert_uint_eq(record.writer, slot);
    ringd_release(reader);
    expect_result(reader, RINGD_WOULD_BLOCK);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    ringd_writer_close(other);
    close_writers();
}
END_TEST

/* ---- whom it holds up -------------------------------------------------------------------------------------------- */

START_TEST(it_holds_up_writers_of_its_lane_alone)
{
    struct ringd_reader *reader;
    uint64_t had, room;

    make_small((struct ringd_ring_options){0});
    put_in_all(MANY);
    reader = open_lane(2, RINGD_READ_LOSSLESS, _i == 0 ? RINGD_START_NOW : RINGD_START_OLDEST);
    ck_assert_int_eq(fill(1), MANY);
    room = (uint64_t)fill(2);
    ck_assert_uint_lt(room, MANY);
    ck_assert_int_eq(fill(3), MANY);
    had = drain(reader, 2);
    if (_i == 0)
        ck_assert_uint_eq(had, room);
    else
        ck_assert_uint_gt(had, room);
    ck_assert_int_gt(fill(2), 0);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    wait_for_contexts(RING, LANES);
    ck_assert_int_eq(fill(2), MANY);
    close_writers();
}
END_TEST

/* A ring that holds does so in each lane for a lossless reader of that lane. */
START_TEST(a_ring_holds_what_nobody_reads)
{
    struct ringd_reader *first, *third;
    uint64_t there[LANES];

    make_small((struct ringd_ring_options){.hold = 1});
    for (uint32_t i = 0; i < LANES; i++)
        there[i] = (uint64_t)fill(i + 1);
    first = open_lane(1, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    expect_all(first, 1, 0, there[0]);
    ck_assert_int_gt(fill(1), 0);
    drain(first, 1);
    for (int i = 0; i < MANY; i++) { /* laps */
        put(1, 1);
        drain(first, 1);
    }
    ck_assert_int_eq(fill(2), 0);
    ck_assert_int_eq(fill(3), 0);
    third = open_lane(3, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    expect_all(third, 3, 0, there[2]);
    ck_assert_int_gt(fill(3), 0);
    ck_assert_int_eq(fill(2), 0);
    ringd_reader_close(first);
    ringd_reader_close(third);
    wait_for_contexts(RING, LANES);
    first = open_lane(2, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    expect_all(first, 2, 0, there[1]);
    ringd_reader_close(first);
    close_writers();
}
END_TEST

/* How far it is behind, and whom it keeps waiting, is a matter of its lane. */
START_TEST(it_is_slow_in_its_lane_alone)
{
    struct ringd_reader *reader;

    make_small((struct ringd_ring_options){.slow = RINGD_SLOW_LOSSY, .slow_bytes = 4096, .slow_after_ms = 20});
    reader = open_lane(2, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    put(2, 3);
    put(1, MANY);
    put(3, MANY);
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 1);
    expect_all(reader, 2, 0, 3);
    ringd_writer_deadline(writers[1], RINGD_FOREVER);
    put(2, MANY);
    while (ring_info(RING).lossless_readers == 1)
        pause_ms(1);
    expect_result(reader, RINGD_EVICTED);
    put_in_all(MANY);
    expect_result(reader, RINGD_GAP);
    drain(reader, 2);
    put_in_all(1);
    expect(reader, 2, writer_sequence(writers[1]) - 1);
    expect_result(reader, RINGD_WOULD_BLOCK);
    ringd_release(reader);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* All of its own that it missed is told, and nothing of others. */
START_TEST(it_is_lapped_in_its_lane_alone)
{
    const uint32_t mode = _i == 0 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE;
    struct ringd_reader_counters counters;
    struct ringd_reader *reader;
    struct ringd_record gap;
    uint64_t had;

    make_small((struct ringd_ring_options){.policy = RINGD_OVERWRITE});
    reader = open_lane(2, mode, RINGD_START_NOW);
    put(1, MANY);
    put(2, 3);
    put(3, MANY);
    expect_all(reader, 2, 0, 3);
    put_in_all(MANY);
    ck_assert_int_eq(ringd_next(reader, &gap), RINGD_GAP);
    ck_assert_uint_eq(gap.writer, writer_slot(writers[1]));
    had = drain(reader, 2);
    ck_assert_uint_eq(gap.lost + had, MANY);
    ck_assert_int_eq(ringd_reader_count(reader, &counters), 0);
    ck_assert_uint_eq(counters.lost, gap.lost);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

static _Atomic int *over;

static void lap_lane(void *argument)
{
    struct ringd_writer *w = open_in(*(const uint32_t *)argument);

    while (atomic_load(over) == 0) {
        int result = write_record(w, PAYLOAD);

        require(result == RINGD_OK || result == RINGD_FULL, "%d", result);
    }
    ringd_writer_close(w);
}

/* Wherever it joins while writers lap all lanes, it misses nothing from there on, and others go on. */
START_TEST(it_joins_while_writers_lap_the_ring)
{
    static const uint32_t numbers[LANES] = {1, 2, 3};
    pid_t pids[LANES];

    over = shared_new(sizeof *over);
    make_small((struct ringd_ring_options){0});
    close_writers();
    wait_for_contexts(RING, 0);
    for (uint32_t i = 0; i < LANES; i++)
        pids[i] = child_start(lap_lane, (void *)&numbers[i]);
    wait_for_contexts(RING, LANES);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t lane = round % LANES + 1, other = lane % LANES;
        struct ringd_reader *reader = open_with((struct ringd_reader_options){
            .lane = lane,
            .mode = RINGD_READ_LOSSLESS,
            .start = round / 2 % 2 == 0 ? RINGD_START_OLDEST : RINGD_START_NOW,
            .deadline = RINGD_FOREVER,
        });
        const struct segment *segment = &reader->attachment->segment;
        struct ringd_lane *beside = segment_lane(segment, other);
        uint64_t limit = atomic_load(&beside->limit) + 4 * segment->geometry.data_bytes;
        struct ringd_record record;
        uint64_t next = 0;

        /* It stands still meanwhile: who looks for room in its lane finds none. */
        while ((int64_t)(atomic_load(&beside->limit) - limit) < 0)
            pause_ms(0);
        for (int i = 0; i < 300; i++) {
            int result = ringd_next(reader, &record);

            require(result == RINGD_OK, "round %u, record %d: %d", round, i, result);
            record_verify(&record);
            require(record.writer / RINGD_WRITERS_PER_LANE == lane - 1, "writer %u in lane %u", record.writer, lane);
            require(i == 0 || record.sequence == next, "record %" PRIu64 " instead of %" PRIu64, record.sequence, next);
            next = record.sequence + 1;
            ringd_release(reader);
        }
        ringd_reader_close(reader);
    }
    require_doctor("0 wrong");
    atomic_store(over, 1);
    for (uint32_t i = 0; i < LANES; i++)
        child_finish(pids[i]);
}
END_TEST

static void read_one_and_wait(void *argument)
{
    struct ringd_reader *reader = open_with((struct ringd_reader_options){
        .lane = 2, .mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST, .deadline = RINGD_FOREVER});
    struct ringd_record record;

    (void)argument;
    require(ringd_next(reader, &record) == RINGD_OK, "next");
    atomic_store(over, 1);
    for (;;)
        pause_ms(1000);
}

START_TEST(one_that_is_killed_holds_nobody_up)
{
    pid_t pid;

    over = shared_new(sizeof *over);
    make_small((struct ringd_ring_options){0});
    put_in_all(3);
    pid = child_start(read_one_and_wait, NULL);
    while (atomic_load(over) == 0)
        pause_ms(1);
    ck_assert_int_lt(fill(2), MANY);
    child_kill(pid);
    wait_for_contexts(RING, LANES);
    for (uint32_t lane = 1; lane <= LANES; lane++)
        ck_assert_int_eq(fill(lane), MANY);
    require_doctor("0 wrong");
    close_writers();
}
END_TEST

/* ---- how it waits ------------------------------------------------------------------------------------------------ */

static void await_records(void *argument)
{
    const struct ringd_reader_options *options = argument;
    struct ringd_reader *reader = open_with(*options);

    atomic_store(over, 1);
    expect(reader, 2, 0);
    atomic_store(over, 2);
    expect(reader, 2, 1);
    ringd_reader_close(reader);
}

/* Whoever writes wakes all; it sleeps on until there is something for it. */
START_TEST(it_sleeps_until_its_lane_is_written)
{
    struct ringd_reader_options options = {.lane = 2,
                                           .mode = modes[_i % 3],
                                           .start = RINGD_START_OLDEST,
                                           .deadline = RINGD_FOREVER,
                                           .wait = _i < 3 ? RINGD_WAIT_ADAPTIVE : RINGD_WAIT_SLEEP};
    pid_t pid;

    over = shared_new(sizeof *over);
    make((struct ringd_ring_options){0});
    pid = child_start(await_records, &options);
    while (atomic_load(over) == 0)
        pause_ms(1);
    for (int i = 0; i < 20; i++) {
        child_wait_asleep(pid);
        put(1, 1);
        put(3, 1);
    }
    ck_assert_int_eq(atomic_load(over), 1);
    put(2, 1);
    while (atomic_load(over) == 1)
        pause_ms(1);
    child_wait_asleep(pid);
    put(3, 1);
    put(2, 1);
    child_finish(pid);
    close_writers();
}
END_TEST

START_TEST(its_descriptor_is_readable_when_its_lane_is_written)
{
    struct ringd_reader *reader;
    struct pollfd pollfd = {.events = POLLIN};

    make((struct ringd_ring_options){0});
    reader = open_lane(2, modes[_i], RINGD_START_OLDEST);
    pollfd.fd = ringd_reader_fd(reader);
    ck_assert_int_ge(pollfd.fd, 0);
    for (uint64_t i = 0; i < 20; i++) {
        expect_result(reader, RINGD_WOULD_BLOCK);
        put(1, 1);
        put(3, 1);
        expect_result(reader, RINGD_WOULD_BLOCK);
        put(2, 1);
        ck_assert_int_eq(poll(&pollfd, 1, -1), 1);
        expect_all(reader, 2, i, i + 1);
    }
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* ---- where it starts --------------------------------------------------------------------------------------------- */

START_TEST(it_starts_at_a_position_of_its_lane)
{
    struct ringd_reader_options options = {.lane = 3, .mode = modes[_i], .start = RINGD_START_POSITION};
    struct ringd_reader *reader;
    uint64_t positions[10];

    make_small((struct ringd_ring_options){0});
    put(1, 100);
    put(3, 10);
    reader = open_lane(3, RINGD_READ_LOSSY, RINGD_START_OLDEST);
    for (uint64_t i = 0; i < 10; i++) {
        positions[i] = ringd_reader_position(reader);
        expect(reader, 3, i);
    }
    ringd_reader_close(reader);
    options.position = positions[6];
    reader = open_with(options);
    expect_all(reader, 3, 6, 10);
    expect_result(reader, RINGD_WOULD_BLOCK);
    ringd_reader_close(reader);

    options.position = positions[6] + RINGD_UNIT;
    ck_assert_int_eq(try_open(&reader, options), -EINVAL);
    options.position = positions[9] + 100 * RINGD_UNIT;
    ck_assert_int_eq(try_open(&reader, options), -ERANGE);
    options.position = positions[6];
    options.lane = 0;
    ck_assert_int_eq(try_open(&reader, options), -EOPNOTSUPP);
    ck_assert_msg(strstr(ringd_error(), "read only that lane") != NULL, "%s", ringd_error());

    /* A move: what was before it is there for those who want it, if the ring overwrites or holds. */
    put(3, MANY);
    options.lane = 3;
    ck_assert_int_eq(try_open(&reader, options), -ERANGE);
    close_writers();
}
END_TEST

START_TEST(it_starts_at_a_time)
{
    struct ringd_reader *reader;
    struct ringd_record record;

    make((struct ringd_ring_options){.time = RINGD_TIME_MONOTONIC});
    put_in_all(10);
    reader = open_lane(3, RINGD_READ_LOSSY, RINGD_START_OLDEST);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ringd_reader_close(reader);
    reader = open_with(
        (struct ringd_reader_options){.lane = 3, .mode = modes[_i], .start = RINGD_START_TIME, .time = record.time});
    expect_all(reader, 3, 4, 10);
    expect_result(reader, RINGD_WOULD_BLOCK);
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

static struct ringd_reader *open_named(uint32_t lane, uint32_t mode, uint32_t start)
{
    return open_with((struct ringd_reader_options){.lane = lane, .mode = mode, .start = start, .cursor = "kept"});
}

/* A name keeps a place in each lane where it was used. */
START_TEST(it_goes_on_under_its_name)
{
    uint32_t mode = modes[_i];
    struct ringd_reader *reader;
    struct ringd_record record;
    uint64_t seen[LANES] = {24, 29, 27}; /* released, or of before the move */

    make((struct ringd_ring_options){.hold = 1}); /* what is in the old generation stays */
    put_in_all(10);
    reader = open_named(2, mode, RINGD_START_OLDEST);
    expect_all(reader, 2, 0, 4);
    ringd_reader_close(reader);
    put_in_all(10);
    reader = open_named(2, mode, RINGD_START_NOW);
    expect_all(reader, 2, 4, 6);
    ringd_reader_close(reader);
    reader = open_named(3, mode, RINGD_START_NOW); /* new there */
    expect_result(reader, RINGD_WOULD_BLOCK);
    put_in_all(5);
    expect_all(reader, 3, 20, 23);
    ck_assert_int_eq(ringd_resize(RING, UINT64_C(1) << 21), 0);
    put_in_all(5);
    expect_all(reader, 3, 23, 28);
    ringd_reader_close(reader);
    reader = open_named(2, mode, RINGD_START_NOW);
    expect_all(reader, 2, 6, 30);
    ringd_reader_close(reader);

    /* One that reads all goes on in each. */
    put_in_all(2);
    reader = open_named(0, mode, RINGD_START_NOW);
    while (ringd_next(reader, &record) == RINGD_OK) {
        uint32_t lane = record.writer / RINGD_WRITERS_PER_LANE;

        require(record.sequence == seen[lane] + 1, "record %" PRIu64 " of %u", record.sequence, record.writer);
        seen[lane] = record.sequence;
    }
    ck_assert_uint_eq(seen[1], 31);
    ck_assert_uint_eq(seen[2], 31);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

START_TEST(a_name_that_is_new_in_a_lane_starts_where_it_is_told)
{
    struct ringd_reader_options options = {
        .lane = 3, .mode = modes[_i], .start = RINGD_START_POSITION, .cursor = "kept"};
    struct ringd_reader *reader;

    make((struct ringd_ring_options){0});
    put_in_all(10);
    reader = open_named(2, modes[_i], RINGD_START_OLDEST);
    expect_all(reader, 2, 0, 4);
    ringd_reader_close(reader);
    reader = open_lane(3, RINGD_READ_LOSSY, RINGD_START_OLDEST);
    expect_all(reader, 3, 0, 6);
    options.position = ringd_reader_position(reader);
    ringd_reader_close(reader);
    reader = open_with(options);
    expect_all(reader, 3, 6, 8);
    ringd_reader_close(reader);
    reader = open_with(options);
    expect_all(reader, 3, 8, 10);
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* ---- what is told of it ------------------------------------------------------------------------------------------ */

START_TEST(status_and_doctor_look_at_its_lane)
{
    struct ringd_reader *reader, *observer;
    struct ringd_context_info info;
    struct command command;
    uint64_t bytes = ring_record_bytes(PAYLOAD);
    char text[128];

    make((struct ringd_ring_options){0});
    put(1, 50);
    reader = open_lane(2, modes[_i], RINGD_START_OLDEST);
    put(1, 1000);
    put(2, 30);
    put(3, 500);
    expect_all(reader, 2, 0, 10);
    info = info_of(_i == 0 ? RINGD_CONTEXT_LOSSY : RINGD_CONTEXT_LOSSLESS);
    ck_assert_uint_eq(info.lane, 2);
    ck_assert_uint_eq(info.lag, 20 * bytes);
    ck_assert_uint_eq(info.cursor, ringd_reader_position(reader));
    observer = open_lane(3, RINGD_READ_OBSERVE, RINGD_START_NOW);
    ck_assert_uint_eq(info_of(RINGD_CONTEXT_OBSERVER).lane, 3);

    snprintf(text, sizeof text, "%s, lane 2) 30 committed since it joined = 10 delivered + 0 lost + 20 unread",
             _i == 0 ? "lossy" : "lossless");
    require_doctor(text);
    require_doctor(_i == 0 ? "cursors     lane 2: 0 lossless readers" : "cursors     lane 2: 1 lossless readers");
    require_doctor("cursors     lane 1: 0 lossless readers");
    require_doctor("0 pending, 0 wrong");
    ringctl(&command, "", 0, "status", RING, "--json", "--interval", "0", NULL);
    require_printed(0, "\"lane\": 3", &command);
    command_free(&command);
    ringd_reader_close(reader);
    ringd_reader_close(observer);
    reader = open_lane(0, RINGD_READ_LOSSY, RINGD_START_NOW);
    ringctl(&command, "", 0, "status", RING, "--interval", "0", NULL);
    require_printed(0, "LANE", &command);
    require_printed(0, " all ", &command);
    command_free(&command);
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* An account that is wrong is found, also if it is that of one lane. */
START_TEST(doctor_finds_what_is_wrong_in_its_lane)
{
    struct ringd_reader *reader;
    struct command command;

    make((struct ringd_ring_options){0});
    reader = open_lane(2, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    put_in_all(10);
    expect_all(reader, 2, 0, 10);
    atomic_fetch_sub(&reader->counters->delivered, 2);
    expect_result(reader, RINGD_WOULD_BLOCK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringctl(&command, "", 0, "doctor", RING, NULL);
    require(command.code == 8 && strstr(command.out, "in lane 2 2 are not accounted for") != NULL, "%d: %s",
            command.code, command.out);
    command_free(&command);
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    struct ringd_reader *reader;
    struct ringd_request request;
    struct proto_reply reply;
    int fd;

    make((struct ringd_ring_options){0});
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(try_open(&reader, (struct ringd_reader_options){.mode = modes[i], .lane = LANES + 1}),
                         -EINVAL);
        ck_assert_msg(strstr(ringd_error(), "no lane 4; it has 3, give one from 1 to 3") != NULL, "%s", ringd_error());
        ck_assert_int_eq(try_open(&reader, (struct ringd_reader_options){.mode = modes[i], .lane = UINT32_MAX}),
                         -EINVAL);
        ck_assert_ptr_null(reader);
    }
    ck_assert_int_eq(try_open(&reader, (struct ringd_reader_options){.group = "g", .lane = 1}), -EINVAL);
    ck_assert_msg(strstr(ringd_error(), "share all lanes") != NULL, "%s", ringd_error());
    proto_request_init(&request, RINGD_REQUEST_ATTACH, RING);
    request.kind = RINGD_CONTEXT_LOSSLESS;
    request.group = request.lane = 1;
    memcpy(request.label, "g", 2);
    fd = raw_connect();
    ck_assert_int_eq(raw_ask(fd, &request, &reply), -EINVAL);
    ck_assert_msg(strstr(reply.head.text, "share all lanes") != NULL, "%s", reply.head.text);
    close(fd);
    close_writers();
    ck_assert_int_eq(ringd_remove(RING), 0);

    make_ring(RING, (struct ringd_ring_options){0});
    ck_assert_int_eq(try_open(&reader, (struct ringd_reader_options){.lane = 2}), -EINVAL);
    ck_assert_msg(strstr(ringd_error(), "it has one") != NULL, "%s", ringd_error());
    reader = open_lane(1, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ringd_reader_close(reader);
}
END_TEST

START_TEST(tail_shows_one_lane)
{
    static const char *const forms[] = {"--count", "--lossless", "--cursor"};
    struct command command, all;

    make((struct ringd_ring_options){.time = RINGD_TIME_MONOTONIC});
    for (int i = 0; i < 3; i++) {
        char line[24];

        for (uint32_t lane = 1; lane <= LANES; lane++) {
            snprintf(line, sizeof line, "lane %u, %d", lane, i);
            ck_assert_int_eq(ringd_write(writers[lane - 1], line, strlen(line)), RINGD_OK);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        ringctl(&command, "", 0, "tail", RING, "--from", "oldest", "--no-wait", "--lane", "2", forms[i],
                i == 0   ? "100"
                : i == 2 ? "name"
                         : NULL,
                NULL);
        require(command.code == 0 && strcmp(command.out, "lane 2, 0\nlane 2, 1\nlane 2, 2\n") == 0, "%d: %s%s",
                command.code, command.out, command.err);
        command_free(&command);
    }
    ringctl(&all, "", 0, "tail", RING, "--from", "oldest", "--no-wait", "--merge", "time", NULL);
    ck_assert_msg(strncmp(all.out, "lane 1, 0\nlane 2, 0\n", 20) == 0, "%s", all.out);
    command_free(&all);
    ringctl(&command, "", 0, "tail", RING, "--lane", "4", NULL);
    require_printed(2, "it has 3", &command);
    command_free(&command);
    ringctl(&command, "", 0, "tail", RING, "--lane", "0", NULL);
    require_printed(2, "--lane '0'", &command);
    command_free(&command);
    ringctl(&command, "", 0, "tail", RING, "--lane", "1", "--group", "g", NULL);
    require_printed(2, "--lane and --group", &command);
    command_free(&command);
    close_writers();
}
END_TEST

/* ---- moves and daemons ------------------------------------------------------------------------------------------- */

START_TEST(it_goes_on_in_its_lane_when_the_ring_moves)
{
    struct ringd_reader *reader;

    make_small((struct ringd_ring_options){0});
    reader = open_lane(2, modes[_i], RINGD_START_NOW);
    put_in_all(20);
    expect_all(reader, 2, 0, 5);
    ck_assert_int_eq(ringd_resize(RING, 16384), 0);
    put(1, MANY); /* it is still in the old one, where nobody waits for it in other lanes */
    put(3, MANY);
    put(2, 10);
    expect_all(reader, 2, 5, 30);
    expect_result(reader, RINGD_WOULD_BLOCK);
    put(1, MANY);
    put(3, MANY);
    if (modes[_i] == RINGD_READ_LOSSLESS) {
        uint64_t room = (uint64_t)fill(2);

        ck_assert_uint_lt(room, MANY);
        ck_assert_uint_eq(drain(reader, 2), room);
    }
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* What is in an old generation is kept until each lane of it has been read. */
START_TEST(who_reads_one_lane_leaves_the_others_for_later)
{
    struct ringd_reader_options options = {.lane = 3, .mode = modes[_i], .start = RINGD_START_POSITION};
    struct ringd_reader *reader;

    make_small((struct ringd_ring_options){.hold = 1});
    ck_assert_int_eq(write_record(writers[0], RECORD_MIN), RINGD_OK); /* elsewhere it ends and has records elsewhere */
    put(2, 20);
    put(3, 20);
    reader = open_lane(2, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    ck_assert_int_eq(ringd_resize(RING, 16384), 0);
    put_in_all(10);
    expect_all(reader, 2, 0, 30);
    expect_result(reader, RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(reader->attachment->segment.geometry.generation, 2);
    put(2, MANY / 20); /* its lane is not whole any more, which is no matter to others */
    drain(reader, 2);
    put(2, MANY / 20);
    drain(reader, 2);
    ringd_reader_close(reader);
    wait_for_contexts(RING, LANES);

    reader = open_lane(3, modes[_i], RINGD_START_OLDEST);
    ck_assert_uint_eq(reader->attachment->segment.geometry.generation, 1);
    for (uint64_t i = 0; i < 7; i++)
        expect(reader, 3, i);
    options.position = ringd_reader_position(reader);
    ringd_reader_close(reader);
    reader = open_with(options);
    ck_assert_uint_eq(reader->attachment->segment.geometry.generation, 1);
    expect_all(reader, 3, 7, 30);
    expect_result(reader, RINGD_WOULD_BLOCK);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* The next daemon knows which lane it reads. */
START_TEST(it_outlives_the_daemon)
{
    struct ringd_reader *reader;
    struct ringd_context_info info;

    make_small((struct ringd_ring_options){0});
    reader = open_lane(2, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    put_in_all(20);
    expect_all(reader, 2, 0, 5);
    daemon_kill(&server);
    put(1, MANY);
    put(2, 3);
    daemon_restart(&server, NULL);
    info = info_of(RINGD_CONTEXT_LOSSLESS);
    ck_assert_uint_eq(info.lane, 2);
    ck_assert_uint_eq(info.lag, 18 * ring_record_bytes(PAYLOAD));
    ck_assert_int_eq(ringd_resize(RING, 16384), 0);
    put(1, MANY);
    put(3, MANY);
    ck_assert_int_lt(fill(2), MANY);
    drain(reader, 2);
    put(1, MANY);
    require_doctor("0 wrong");
    ringd_reader_close(reader);
    close_writers();
}
END_TEST

/* What a daemon leaves that dies while somebody joins in one lane holds nobody up. */
START_TEST(the_daemon_dies_in_a_join)
{
    static const char *const points[] = {"join-cursor", "join-lossless", "join-counted", "join-published"};

    if (!at_point_allowed("the_daemon_dies_in_a_join"))
        return;
    make_small((struct ringd_ring_options){0});
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct ringd_request request;
        struct proto_reply reply;
        int fd;

        daemon_kill(&server);
        require(daemon_restart_to_die(&server, points[i], 1), "it died at its start");
        proto_request_init(&request, RINGD_REQUEST_ATTACH, RING);
        request.kind = RINGD_CONTEXT_LOSSLESS;
        request.start = RINGD_START_OLDEST;
        request.lane = 2;
        fd = raw_connect();
        require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
        require(raw_receive(fd, &reply) == 0, "it went on at %s", points[i]);
        close(fd);
        child_wait(server.pid);
        for (uint32_t lane = 1; lane <= LANES; lane++)
            require(lane == 2 || fill(lane) == MANY, "lane %u at %s", lane, points[i]);
        daemon_restart(&server, NULL);
        put_in_all(MANY);
        require_doctor("0 wrong");
    }
    close_writers();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lane reader");
    TCase *tests = add_case(suite, "read");

    tcase_add_loop_test(tests, it_gets_its_lane_and_nothing_else, 0, 3);
    tcase_add_loop_test(tests, it_starts_now_and_ends_with_the_ring, 0, 3);
    tcase_add_loop_test(tests, it_gets_messages_and_filters, 0, 3);
    tests = add_case(suite, "in the way");
    tcase_add_loop_test(tests, it_holds_up_writers_of_its_lane_alone, 0, 2);
    tcase_add_test(tests, a_ring_holds_what_nobody_reads);
    tcase_add_test(tests, it_is_slow_in_its_lane_alone);
    tcase_add_loop_test(tests, it_is_lapped_in_its_lane_alone, 0, 2);
    tcase_add_test(tests, it_joins_while_writers_lap_the_ring);
    tcase_add_test(tests, one_that_is_killed_holds_nobody_up);
    tests = add_case(suite, "waiting");
    tcase_add_loop_test(tests, it_sleeps_until_its_lane_is_written, 0, 6);
    tcase_add_loop_test(tests, its_descriptor_is_readable_when_its_lane_is_written, 0, 3);
    tests = add_case(suite, "starting");
    tcase_add_loop_test(tests, it_starts_at_a_position_of_its_lane, 0, 3);
    tcase_add_loop_test(tests, it_starts_at_a_time, 0, 3);
    tcase_add_loop_test(tests, it_goes_on_under_its_name, 0, 2);
    tcase_add_loop_test(tests, a_name_that_is_new_in_a_lane_starts_where_it_is_told, 0, 2);
    tests = add_case(suite, "told");
    tcase_add_loop_test(tests, status_and_doctor_look_at_its_lane, 0, 2);
    tcase_add_test(tests, doctor_finds_what_is_wrong_in_its_lane);
    tcase_add_test(tests, what_cannot_be_is_refused);
    tcase_add_test(tests, tail_shows_one_lane);
    tests = add_case(suite, "moved");
    tcase_add_loop_test(tests, it_goes_on_in_its_lane_when_the_ring_moves, 0, 3);
    tcase_add_loop_test(tests, who_reads_one_lane_leaves_the_others_for_later, 0, 2);
    tcase_add_test(tests, it_outlives_the_daemon);
    tcase_add_test(tests, the_daemon_dies_in_a_join);
    return run_suite(suite);
}
