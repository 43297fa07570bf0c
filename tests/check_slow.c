/* check_slow.c - readers that are beyond what their ring allows: who is put out, when, who is told what, and who is
 * not.
 *
 * A slow reader here is one that does not call, or a helper process that is stopped. That it is put out is seen by its
 * writers getting on; nothing waits for a time to pass but those checks where a time is the limit, and they only
 * require that it was not early.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"
#include "segment.h"
#include "support_check.h"
#include "writer.h"

#define RING      "slow"
#define SIZE      65536
#define LAG       16384
#define LEN       100 /* a record takes 160 bytes */
#define SECTION   (SIZE / RINGD_MARKS)
#define NS_PER_MS INT64_C(1000000)

static const struct ringd_ring_options by_lag = {
    .size = SIZE, .max_record = 256, .slow = RINGD_SLOW_LOSSY, .slow_bytes = LAG};

static struct ringd_ring_options by_time(uint32_t ms)
{
    return (struct ringd_ring_options){.size = SIZE, .max_record = 256, .slow = RINGD_SLOW_LOSSY, .slow_after_ms = ms};
}

/* How often the daemon has logged this about the ring. */
static unsigned log_lines(const char *what)
{
    FILE *file = fopen(server.log, "re");
    unsigned count = 0;
    char line[512];

    ring_info(RING); /* it answers when it has logged what it did before */
    require(file != NULL, "no %s", server.log);
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, "ring " RING ": reader") != NULL && strstr(line, what) != NULL;
    fclose(file);
    return count;
}

static void write_records(struct ringd_writer *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int result = write_record(w, LEN);

        ck_assert_msg(result == RINGD_OK, "write %" PRIu64 ": %s", i, ringd_strerror(result));
    }
}

/* Reads on as a lossy reader does, to the last record. */
static void drain_lossy(struct tracker *tracker, struct ringd_reader *reader)
{
    ck_assert_int_eq(tracker_drain(tracker, reader), RINGD_WOULD_BLOCK);
}

/* Takes up to `count` records without giving any back. */
static uint64_t take(struct tracker *tracker, struct ringd_reader *reader, uint64_t count)
{
    struct ringd_record record;

    for (uint64_t i = 0; i < count; i++) {
        if (ringd_next(reader, &record) != RINGD_OK)
            return i;
        tracker_record(tracker, &record);
    }
    return count;
}

static uint32_t lossless_readers(void)
{
    return ring_info(RING).lossless_readers;
}

/* Whether the record's bytes are those that its writer and sequence number stand for. */
static bool is_whole(const struct ringd_record *record)
{
    unsigned char copy[LEN], expected[LEN];

    if (record->len != LEN)
        return false;
    memcpy(copy, record->data, LEN);
    record_make(expected, LEN, record->writer, record->sequence);
    return memcmp(copy, expected, LEN) == 0;
}

/* ---- by lag ------------------------------------------------------------------------------------------------------ */

/* It gets every record it can still get, and the exact number of the others. The writer never had to wait. */
START_TEST(one_that_is_far_behind_turns_lossy)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, by_lag);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_records(w, 40);
    ck_assert_uint_eq(take(&tracker, reader, 10), 10);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_assert_uint_eq(take(&tracker, reader, 5), 5);
    ck_assert_int_eq(ringd_reader_valid(reader), RINGD_OK);
    ringd_writer_deadline(w, RINGD_FOREVER);
    write_records(w, 2000);
    ck_assert_int_eq(ringd_reader_valid(reader), RINGD_EVICTED);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_EVICTED);
    ck_assert_int_eq(ringd_reader_valid(reader), RINGD_EVICTED); /* still that of what it was given */
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);           /* told already */
    ck_assert_int_eq(ringd_reader_valid(reader), RINGD_OK);
    drain_lossy(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), 2040);
    ck_assert_uint_gt(tracker_lost(&tracker), 0);
    ck_assert_uint_eq(lossless_readers(), 0);
    ck_assert_uint_eq(log_lines("16384 are allowed; it is lossless no more and goes on as a lossy reader"), 1);
    write_records(w, 10);
    drain_lossy(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), 2050);
}
END_TEST

/* A limit is kept to within a sixteenth of the ring, also in the first lap, and not below it. */
START_TEST(the_limit_is_where_it_was_set)
{
    uint64_t bytes = 0;
    struct ringd_writer *w;

    make_ring(RING, by_lag);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (; bytes <= LAG - 160; bytes += 160)
        write_records(w, 1);
    wait_for_contexts(RING, 2); /* the daemon has done what it was told to */
    ck_assert_uint_eq(lossless_readers(), 1);
    for (; lossless_readers() == 1; bytes += 160) {
        ck_assert_uint_le(bytes, LAG + SECTION + 160);
        write_records(w, 1);
    }
}
END_TEST

/* In the middle of reading in place, without a release: the record that is not there any more is none. */
START_TEST(a_reader_that_does_not_release_is_told_by_next)
{
    struct tracker tracker = {0};
    struct ringd_record records[64];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t count = 0;
    int result;

    make_ring(RING, by_lag);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_records(w, 90);
    ck_assert_uint_eq(take(&tracker, reader, 50), 50);
    ringd_writer_deadline(w, RINGD_FOREVER);
    write_records(w, 3000);
    if (_i == 0) {
        ck_assert_int_eq(ringd_next(reader, records), RINGD_EVICTED);
    } else {
        result = ringd_next_many(reader, records, 64, &count);
        ck_assert_int_eq(result, RINGD_EVICTED);
        ck_assert_uint_eq(count, 0);
    }
    drain_lossy(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), 3090);
}
END_TEST

START_TEST(by_policy_it_has_come_to_its_end)
{
    struct ringd_ring_options options = by_lag;
    struct ringd_reader *reader, *next;
    struct ringd_record record;
    struct ringd_writer *w;
    size_t count;

    options.slow = RINGD_SLOW_EVICT;
    make_ring(RING, options);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    write_records(w, 2000);
    if (_i == 0)
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_EVICTED);
    else
        ck_assert_int_eq(ringd_release(reader), RINGD_EVICTED);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_END);
        ck_assert_int_eq(ringd_next_many(reader, &record, 1, &count), RINGD_END);
        ck_assert_uint_eq(count, 0);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    ck_assert_uint_eq(log_lines("has to be opened anew"), 1);
    next = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_records(w, 1);
    ck_assert_int_eq(ringd_next(next, &record), RINGD_OK);
    ringd_reader_close(reader);
    ck_assert_int_eq(ringd_release(next), RINGD_OK);
}
END_TEST

/* Where writers never wait. Nothing is dropped once the daemon has looked. */
START_TEST(a_ring_that_drops_has_the_limit_too)
{
    struct ringd_ring_options options = by_lag;
    struct ringd_writer_counters counters;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    options.policy = RINGD_DROP;
    make_ring(RING, options);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    while (lossless_readers() == 1)
        write_record(w, LEN);
    write_records(w, 2000);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_EVICTED);
    drain_lossy(&tracker, reader);
    ck_assert_int_eq(ringd_writer_count(w, &counters), RINGD_OK);
    ck_assert_uint_eq(counters.offered, counters.committed + counters.dropped_full);
    ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), counters.committed);
}
END_TEST

/* Only those who are beyond it, and all of them. */
START_TEST(others_are_left_alone)
{
    struct tracker tracker = {0};
    struct ringd_reader *slow[3], *good;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, by_lag);
    w = open_writer(RING);
    for (int i = 0; i < 3; i++)
        slow[i] = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    good = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 100; i++) {
        ringd_writer_deadline(w, RINGD_FOREVER);
        write_records(w, 50);
        drain_lossy(&tracker, good);
    }
    ck_assert_uint_eq(tracker_delivered(&tracker), 5000);
    ck_assert_uint_eq(lossless_readers(), 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ringd_next(slow[i], &record), RINGD_EVICTED);
    ck_assert_uint_eq(log_lines("lossless no more"), 3);
}
END_TEST

/* ---- by time ----------------------------------------------------------------------------------------------------- */

/* Not before the time has passed, and by a writer that waits as well as by one that tries again and again. */
START_TEST(one_that_keeps_a_writer_waiting_turns_lossy)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t written = 0;
    int64_t begin;
    int result;

    make_ring(RING, by_time(200));
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    while (write_record(w, LEN) == RINGD_OK)
        written++;
    begin = now_ns();
    ringd_writer_deadline(w, _i == 0 ? RINGD_FOREVER : RINGD_NO_WAIT);
    while ((result = write_record(w, LEN)) == RINGD_FULL)
        pause_ms(_i == 2 ? 10 : 0);
    ck_assert_int_eq(result, RINGD_OK);
    ck_assert_int_ge(now_ns() - begin, 190 * NS_PER_MS);       /* the first refusal was before `begin` */
    while ((result = ringd_next(reader, &record)) == RINGD_OK) /* what is still there, in place */
        tracker_record(&tracker, &record);
    ck_assert_int_eq(result, RINGD_EVICTED);
    drain_lossy(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), written + 1);
    ck_assert_uint_eq(log_lines("has kept writers waiting for 200 ms"), 1);
}
END_TEST

/* Nobody waits: it may take its time. */
START_TEST(one_that_is_slow_while_nobody_waits_is_left_alone)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, by_time(20));
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_records(w, 300);
    pause_ms(100);
    write_records(w, 10);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), 310);
    ck_assert_uint_eq(lossless_readers(), 1);
}
END_TEST

struct shared {
    _Atomic uint64_t go, written;
};

static struct shared *shared;

static void write_forever(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)argument;
    for (;;) {
        require(write_record(w, LEN) == RINGD_OK, "write");
        shared->written++;
    }
}

/* It is slow all the time, and writers wait all the time, but none of them long. */
START_TEST(one_that_gets_on_is_left_alone)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    pid_t writers[3];

    shared = shared_new(sizeof *shared);
    make_ring(RING, by_time(60000));
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    for (int i = 0; i < 3; i++)
        writers[i] = child_start(write_forever, NULL);
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        tracker_record(&tracker, &record);
        if (i % 100 == 0)
            pause_ms(2);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    ck_assert_uint_eq(lossless_readers(), 1);
    for (int i = 0; i < 3; i++)
        child_kill(writers[i]);
}
END_TEST

static void read_forever(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    (void)argument;
    shared->go = 1;
    for (;;) {
        int result = ringd_next(reader, &record);

        require(result == RINGD_OK, "%s", ringd_strerror(result));
        record_verify(&record);
        require(ringd_release(reader) == RINGD_OK, "evicted");
    }
}

/* Stopped in the kernel or anywhere else, for good. Several writers wait for it. */
START_TEST(one_that_is_stopped_holds_nobody_up_for_longer)
{
    pid_t reader, writers[3];
    uint64_t before;

    shared = shared_new(sizeof *shared);
    make_ring(RING, by_time(50));
    reader = child_start(read_forever, NULL);
    while (shared->go == 0)
        pause_ms(1);
    for (int i = 0; i < 3; i++)
        writers[i] = child_start(write_forever, NULL);
    while (shared->written < 1000)
        pause_ms(1);
    child_stop(reader);
    for (before = shared->written; shared->written < before + 5000;)
        pause_ms(1);
    ck_assert_uint_eq(lossless_readers(), 0);
    for (int i = 0; i < 3; i++)
        child_kill(writers[i]);
    child_kill(reader);
}
END_TEST

static void sleep_holding_records(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;
    int result;

    (void)argument;
    shared->go = 1;
    while ((result = ringd_next(reader, &record)) == RINGD_OK)
        shared->written = record.sequence;
    require(result == RINGD_EVICTED, "%s", ringd_strerror(result));
}

/* It waits for a record, writers wait for what it has not given back. Only it can be woken. */
START_TEST(one_that_sleeps_with_records_in_hand_is_woken)
{
    struct ringd_writer *w;
    pid_t reader;

    shared = shared_new(sizeof *shared);
    make_ring(RING, by_time(50));
    w = open_writer(RING);
    reader = child_start(sleep_holding_records, NULL);
    while (shared->go == 0)
        pause_ms(1);
    wait_for_contexts(RING, 2);
    while (write_record(w, LEN) == RINGD_OK)
        ;
    child_wait_still(reader);
    if (_i == 0) {
        ringd_writer_deadline(w, RINGD_FOREVER);
        ck_assert_int_eq(write_record(w, LEN), RINGD_OK);
    }
    while (lossless_readers() == 1) /* writes nothing that could wake it */
        ck_assert_int_eq(write_record(w, LEN), RINGD_FULL);
    child_finish(reader);
}
END_TEST

static void write_one(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)argument;
    shared->go = 1;
    require(write_record(w, LEN) == RINGD_OK, "write");
}

/* A ring that holds what it has for a reader that is still to come: there is nobody to put out, and nothing to look at.
 */
START_TEST(who_waits_for_the_first_reader_sleeps)
{
    struct ringd_ring_options options = by_time(1);
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t switches;
    pid_t writer;
    int result;

    options.hold = 1;
    shared = shared_new(sizeof *shared);
    make_ring(RING, options);
    w = open_writer(RING);
    while (write_record(w, LEN) == RINGD_OK)
        ;
    writer = child_start(write_one, NULL);
    while (shared->go == 0)
        pause_ms(1);
    child_wait_still(writer);
    switches = process_switches(writer);
    pause_ms(50);
    ck_assert_uint_eq(process_switches(writer), switches);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    result = tracker_drain(&tracker, reader);
    ck_assert(result == RINGD_WOULD_BLOCK || result == RINGD_EVICTED); /* if it had no processor for a millisecond */
    child_finish(writer);
}
END_TEST

/* ---- what is overwritten under its eyes -------------------------------------------------------------------------- */

/* A lossless reader in slot 0 of a ring without a daemon, before which three records are written; the second of them
 * then looks as it may when it is being overwritten: its stamp was seen, and something else is no longer what it was.
 */
struct torn {
    struct own_ring ring;
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct ringd_record_header *second;
};

static void torn_new(struct torn *torn)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS};
    uint64_t start, second;
    struct ring lane;

    own_ring_new(&torn->ring, by_lag);
    ck_assert_int_eq(writer_new(&torn->writer, torn->ring.segment, 0, 1, NULL), 0);
    ring_init(&lane, torn->ring.segment, 0);
    ck_assert_int_eq(ring_join(&lane, 1, 0, RINGD_START_NOW, 0, &start), 0);
    ck_assert_int_eq(reader_new(&torn->reader, torn->ring.segment, 0, start, &options), 0);
    write_records(torn->writer, 1);
    ck_assert_int_eq(ring_position(&lane, &second), 0);
    write_records(torn->writer, 2);
    torn->second = ring_header(&lane, second);
    atomic_store(&torn->ring.segment->control->readers[0].state, RINGD_OWNER_EVICTED);
}

static void torn_free(struct torn *torn)
{
    ringd_reader_close(torn->reader);
    ringd_writer_close(torn->writer);
    own_ring_free(&torn->ring);
}

static void tear(struct torn *torn, int what)
{
    uint64_t stamp = atomic_load(&torn->second->stamp);

    switch (what) {
    case 0: /* another sequence number: as if some were missing */
        atomic_store(&torn->second->extent, LEN | UINT64_C(77) << 32);
        break;
    case 1: /* a length that cannot be */
        atomic_store(&torn->second->extent, UINT32_MAX | UINT64_C(1) << 32);
        break;
    case 2: /* another writer, of which nothing was known */
        atomic_store(&torn->second->origin, 5);
        break;
    case 3: /* a writer that cannot be */
        atomic_store(&torn->second->origin, RINGD_ORIGIN_WRITER_MASK);
        break;
    default: /* padding of a length that cannot be */
        atomic_store(&torn->second->stamp, stamp ^ RINGD_STATE_COMMITTED ^ RINGD_STATE_PADDING);
        atomic_store(&torn->second->extent, UINT32_MAX);
    }
}

/* It is told that it was evicted, and nothing else: no gap, no damage, nothing counted. */
START_TEST(what_is_being_overwritten_is_no_record)
{
    struct ringd_record records[4];
    struct torn torn;
    size_t count;

    for (int many = 0; many < 2; many++) {
        torn_new(&torn);
        tear(&torn, _i);
        if (many == 0)
            ck_assert_int_eq(ringd_next(torn.reader, records), RINGD_OK);
        else
            ck_assert_int_eq(ringd_next_many(torn.reader, records, 4, &count), RINGD_OK);
        ck_assert(is_whole(&records[0]));
        ck_assert_int_eq(ringd_next_many(torn.reader, records, 4, &count), RINGD_EVICTED);
        ck_assert_uint_eq(torn.reader->counters->delivered, 1);
        ck_assert_uint_eq(torn.reader->counters->lost, 0);
        ck_assert_uint_eq(torn.reader->counters->gaps, 0);
        torn_free(&torn);
    }
}
END_TEST

/* ---- at the same time -------------------------------------------------------------------------------------------- */

static void write_many(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    for (uint64_t i = 0; i < *(const uint64_t *)argument; i++)
        require(write_record(w, LEN) == RINGD_OK, "write");
}

/* Reads in place, slower than it may, while it is put out: what ringd_reader_valid() calls good is good, and the sums
 * are exact in the end. Returns how often it found records that were not. */
static uint64_t read_until_evicted(struct tracker *tracker, struct ringd_reader *reader, struct random_source *random)
{
    struct ringd_record record;
    uint64_t overwritten = 0;
    int result;

    while ((result = ringd_next(reader, &record)) == RINGD_OK) {
        bool whole;

        if (random_below(random, 100) == 0)
            usleep((useconds_t)random_below(random, 300));
        whole = is_whole(&record);
        if (ringd_reader_valid(reader) == RINGD_OK)
            ck_assert_msg(whole, "a record that is called valid is not whole");
        overwritten += !whole;
        tracker->delivered[record.writer]++;
        tracker->next[record.writer] = record.sequence + 1;
        tracker->position = record.next;
        if (random_below(random, 50) == 0 && (result = ringd_release(reader)) != RINGD_OK)
            break;
    }
    ck_assert_int_eq(result, RINGD_EVICTED);
    return overwritten;
}

START_TEST(what_is_valid_is_whole_while_it_is_put_out)
{
    struct random_source random = {support_seed() + (uint64_t)_i};
    struct ringd_ring_options options = {
        .size = 16384, .max_record = 128, .slow = RINGD_SLOW_LOSSY, .slow_bytes = 2048};
    uint64_t count = 20000, overwritten;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    pid_t writers[2];

    make_ring(RING, options);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ringd_reader_deadline(reader, RINGD_FOREVER);
    for (int i = 0; i < 2; i++)
        writers[i] = child_start(write_many, &count);
    overwritten = read_until_evicted(&tracker, reader, &random);
    for (int i = 0; i < 2; i++)
        child_finish(writers[i]);
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ringd_release(reader);
    drain_lossy(&tracker, reader);
    ck_assert_msg(tracker_delivered(&tracker) + tracker_lost(&tracker) == 2 * count,
                  "%" PRIu64 " delivered (%" PRIu64 " overwritten), %" PRIu64 " lost of %" PRIu64,
                  tracker_delivered(&tracker), overwritten, tracker_lost(&tracker), 2 * count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slow readers");
    TCase *tests = add_case(suite, "slow readers");

    tcase_add_test(tests, one_that_is_far_behind_turns_lossy);
    tcase_add_test(tests, the_limit_is_where_it_was_set);
    tcase_add_loop_test(tests, a_reader_that_does_not_release_is_told_by_next, 0, 2);
    tcase_add_loop_test(tests, by_policy_it_has_come_to_its_end, 0, 2);
    tcase_add_test(tests, a_ring_that_drops_has_the_limit_too);
    tcase_add_test(tests, others_are_left_alone);
    tcase_add_loop_test(tests, one_that_keeps_a_writer_waiting_turns_lossy, 0, 3);
    tcase_add_test(tests, one_that_is_slow_while_nobody_waits_is_left_alone);
    tcase_add_test(tests, one_that_gets_on_is_left_alone);
    tcase_add_test(tests, one_that_is_stopped_holds_nobody_up_for_longer);
    tcase_add_loop_test(tests, one_that_sleeps_with_records_in_hand_is_woken, 0, 2);
    tcase_add_test(tests, who_waits_for_the_first_reader_sleeps);
    tcase_add_loop_test(tests, what_is_being_overwritten_is_no_record, 0, 5);
    tcase_add_loop_test(tests, what_is_valid_is_whole_while_it_is_put_out, 0, 10);
    return run_suite(suite);
}
