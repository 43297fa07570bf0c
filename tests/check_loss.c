/* check_loss.c - readers that are overtaken: what they lost, to the record; where they go on; where a reader may start.
 *
 * A lossy reader or an observer knows for each writer which record comes next. Whatever happens, for each writer the
 * records it was given and those it was told it lost are together what that writer has committed since the reader
 * joined; also for a writer that has fallen silent after the lap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "loss"
#define SIZE 8192

static const struct ringd_ring_options small = {.size = SIZE, .max_record = 128, .policy = RINGD_OVERWRITE};

static const uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_OBSERVE};
#define MODES 2

static void write_some(struct ringd_writer *w, int count)
{
    for (int i = 0; i < count; i++)
        require(write_record(w, RECORD_MIN + (size_t)i % 100) == RINGD_OK, "record %d", i);
}

static void drain(struct tracker *tracker, struct ringd_reader *reader)
{
    ck_assert_int_eq(tracker_drain(tracker, reader), RINGD_WOULD_BLOCK);
}

static void ck_account(const struct tracker *tracker, const struct ringd_writer *w, uint64_t expected)
{
    uint32_t slot = writer_slot(w);

    ck_assert_uint_eq(tracker->delivered[slot] + tracker->lost[slot], expected);
}

/* ---- gaps -------------------------------------------------------------------------------------------------------- */

START_TEST(a_gap_is_told_before_the_record_behind_it)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t oldest, lost;

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    write_some(w, 3);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.sequence, i);
    }
    write_some(w, 1000);
    oldest = ring_info(RING).oldest;
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_GAP);
    ck_assert_uint_eq(record.writer, writer_slot(w));
    ck_assert_ptr_null(record.data);
    lost = record.lost;
    ck_assert_uint_gt(lost, 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.sequence, 3 + lost);
    ck_assert_uint_eq(record.position, oldest); /* it goes on at the oldest */
    for (uint64_t next = 4 + lost; next < 1003; next++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.sequence, next);
    }
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}
END_TEST

START_TEST(what_was_lost_is_exact_for_each_writer)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_writer *writers[7];
    struct tracker tracker = {0};
    struct ringd_reader *reader;

    make_ring(RING, small);
    for (int i = 0; i < 7; i++) {
        writers[i] = open_writer(RING);
        write_some(writers[i], i * 11); /* before the reader comes */
    }
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int round = 0; round < 500; round++) {
        for (uint64_t n = random_below(&random, 200); n > 0; n--)
            write_some(writers[random_below(&random, 1 + random_below(&random, 7))], 1);
        drain(&tracker, reader);
        for (int i = 0; i < 7; i++)
            ck_account(&tracker, writers[i], writer_sequence(writers[i]) - (uint64_t)i * 11);
    }
    ck_assert_uint_gt(tracker_lost(&tracker), 1000);
    ck_assert_uint_gt(tracker_delivered(&tracker), 1000);
}
END_TEST

/* Its records are overwritten by others, and it does not write again: nothing in the ring speaks of them. */
START_TEST(a_writer_that_is_silent_after_the_lap_is_counted)
{
    struct ringd_writer *silent[3], *loud;
    struct tracker tracker = {0};
    struct ringd_reader *reader;

    make_ring(RING, small);
    for (int i = 0; i < 3; i++)
        silent[i] = open_writer(RING);
    loud = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int i = 0; i < 3; i++)
        write_some(silent[i], 5 + i);
    write_some(loud, 1000);
    drain(&tracker, reader);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(tracker.lost[writer_slot(silent[i])], (uint64_t)(5 + i));
        ck_assert_uint_eq(tracker.delivered[writer_slot(silent[i])], 0);
    }
    ck_account(&tracker, loud, 1000);
    drain(&tracker, reader); /* told once */
    ck_assert_uint_eq(tracker.lost[writer_slot(silent[0])], 5);
    write_some(silent[0], 1); /* and it is not counted again when it speaks */
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.lost[writer_slot(silent[0])], 5);
    ck_assert_uint_eq(tracker.delivered[writer_slot(silent[0])], 1);
}
END_TEST

/* The same for one that has left since. */
START_TEST(a_writer_that_has_left_after_the_lap_is_counted)
{
    struct ringd_writer *gone, *loud;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    uint32_t slot;

    make_ring(RING, small);
    gone = open_writer(RING);
    loud = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    slot = writer_slot(gone);
    write_some(gone, 9);
    ringd_writer_close(gone);
    wait_for_contexts(RING, 2);
    write_some(loud, 1000);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.lost[slot], 9);
    ck_account(&tracker, loud, 1000);
}
END_TEST

/* The slot's next owner writes on where the last one stopped. */
START_TEST(a_gap_over_two_owners_of_a_slot)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, small);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (uint64_t owner = 1; owner <= 4; owner++) {
        w = open_writer(RING);
        write_some(w, 300);
        ck_assert_uint_eq(writer_slot(w), 0);
        ringd_writer_close(w);
        wait_for_contexts(RING, 1);
    }
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.delivered[0] + tracker.lost[0], 1200);
    ck_assert_uint_gt(tracker.lost[0], 1000);
}
END_TEST

/* A writer in the middle of a record when the reader is overtaken: what it has committed before is counted. */
START_TEST(a_writer_in_mid_record_at_the_lap_is_counted)
{
    struct ringd_writer *slow, *loud;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    size_t granted;
    void *data;

    make_ring(RING, small);
    slow = open_writer(RING);
    loud = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    write_some(slow, 4);
    write_some(loud, 1000);
    ck_assert_int_eq(ringd_reserve(slow, RECORD_MIN, RECORD_MIN, &data, &granted), RINGD_OK);
    write_some(loud, 1);
    tracker_drain(&tracker, reader);
    record_make(data, RECORD_MIN, writer_slot(slow), writer_sequence(slow));
    ck_assert_int_eq(ringd_commit(slow, RECORD_MIN), RINGD_OK);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.lost[writer_slot(slow)], 4);
    ck_assert_uint_eq(tracker.delivered[writer_slot(slow)], 1);
    ck_account(&tracker, loud, 1001);
}
END_TEST

/* A writer in the middle of a record when the reader joins: that record lies before the reader's start and is not
 * given. A reader that is overtaken before it has seen a record of this writer counts what the writer has committed
 * since the reader joined: that record is one of it. */
START_TEST(a_writer_in_mid_record_at_the_join)
{
    for (int lapped = 0; lapped < 2; lapped++) {
        struct ringd_writer *slow, *loud;
        struct tracker tracker = {0};
        struct ringd_reader *reader;
        size_t granted;
        void *data;

        make_ring(RING, small);
        slow = open_writer(RING);
        loud = open_writer(RING);
        write_some(slow, 2);
        ck_assert_int_eq(ringd_reserve(slow, RECORD_MIN, RECORD_MIN, &data, &granted), RINGD_OK);
        reader = open_reader(RING, modes[_i], RINGD_START_NOW);
        record_make(data, RECORD_MIN, writer_slot(slow), writer_sequence(slow));
        ck_assert_int_eq(ringd_commit(slow, RECORD_MIN), RINGD_OK);
        write_some(slow, 3);
        write_some(loud, lapped ? 1000 : 3);
        drain(&tracker, reader);
        ck_assert_uint_eq(tracker.delivered[writer_slot(slow)], lapped ? 0 : 3);
        ck_assert_uint_eq(tracker.lost[writer_slot(slow)], lapped ? 4 : 0);
        ringd_reader_close(reader);
        ringd_writer_close(slow);
        ringd_writer_close(loud);
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
}
END_TEST

START_TEST(never_overtaken_never_a_gap)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, small);
    w = open_writer(RING);
    write_some(w, 500);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int round = 0; round < 2000; round++) {
        write_some(w, round % 15);
        drain(&tracker, reader);
    }
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ck_assert_uint_eq(tracker_delivered(&tracker), writer_sequence(w) - 500);
}
END_TEST

/* Many at once: records, then the gap that ended them, none of it lost. */
START_TEST(bulk_reading_tells_gaps_too)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_writer *writers[3];
    struct ringd_record records[32];
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    uint64_t gaps = 0;
    size_t count;
    int result;

    make_ring(RING, small);
    for (int i = 0; i < 3; i++)
        writers[i] = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int round = 0; round < 1000; round++) {
        for (uint64_t n = random_below(&random, 300); n > 0; n--)
            write_some(writers[random_below(&random, 3)], 1);
        while ((result = ringd_next_many(reader, records, 1 + random_below(&random, 32), &count)) !=
               RINGD_WOULD_BLOCK) {
            require(result == RINGD_OK || (result == RINGD_GAP && count == 1), "%d with %zu", result, count);
            for (size_t i = 0; i < count && result == RINGD_OK; i++)
                tracker_record(&tracker, &records[i]);
            if (result == RINGD_GAP)
                tracker_gap(&tracker, records);
            gaps += result == RINGD_GAP;
        }
        require(count == 0, "%zu records with nothing to read", count);
        for (int i = 0; i < 3; i++)
            ck_account(&tracker, writers[i], writer_sequence(writers[i]));
    }
    ck_assert_uint_gt(gaps, 100);
}
END_TEST

START_TEST(reader_counters_say_the_same)
{
    struct ringd_reader_counters counters;
    struct tracker tracker = {0};
    struct ringd_context_info context;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t bytes = 0, gaps = 0;
    int result;

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int round = 0; round < 20; round++) {
        write_some(w, 100 + round * 20);
        while ((result = ringd_next(reader, &record)) != RINGD_WOULD_BLOCK) {
            if (result == RINGD_OK)
                tracker_record(&tracker, &record);
            else
                tracker_gap(&tracker, &record);
            bytes += result == RINGD_OK ? record.len : 0;
            gaps += result == RINGD_GAP;
        }
    }
    ck_assert_int_eq(ringd_reader_count(reader, &counters), RINGD_OK);
    ck_assert_uint_eq(counters.delivered, tracker_delivered(&tracker));
    ck_assert_uint_eq(counters.lost, tracker_lost(&tracker));
    ck_assert_uint_eq(counters.bytes, bytes);
    ck_assert_uint_eq(counters.gaps, gaps);
    ck_assert_uint_eq(counters.delivered + counters.lost, writer_sequence(w));
    if (modes[_i] == RINGD_READ_OBSERVE)
        return; /* it can tell nobody but itself */
    ck_assert(find_context(RING, RINGD_CONTEXT_LOSSY, &context));
    ck_assert_uint_eq(context.delivered, counters.delivered);
    ck_assert_uint_eq(context.lost, counters.lost);
    ck_assert_uint_eq(context.delivered_bytes, counters.bytes);
    ck_assert_uint_eq(context.gaps, counters.gaps);
}
END_TEST

/* What a lossy reader was given is a copy, and stays until its next call. */
START_TEST(given_records_outlive_a_lap)
{
    struct ringd_record record, records[64];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    write_some(w, 1);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    write_some(w, 1000);
    record_verify(&record);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_GAP);
    ck_assert_int_eq(ringd_next_many(reader, records, 64, &count), RINGD_OK);
    ck_assert_uint_gt(count, 5);
    write_some(w, 1000);
    for (size_t i = 0; i < count; i++)
        record_verify(&records[i]);
}
END_TEST

/* More than a reader has room for copies of: fewer at once, but all of them. */
START_TEST(large_records_in_bulk)
{
    struct ringd_record records[64];
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 4 << 20, .max_record = 60000, .policy = RINGD_OVERWRITE});
    w = open_writer(RING);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(write_record(w, i % 2 == 0 ? 60000 : 3000), RINGD_OK);
    while (ringd_next_many(reader, records, 64, &count) == RINGD_OK) {
        for (size_t i = 0; i < count; i++)
            tracker_record(&tracker, &records[i]);
    }
    ck_assert_uint_eq(tracker_delivered(&tracker), 20);
}
END_TEST

/* ---- where a reader starts --------------------------------------------------------------------------------------- */

static int open_at(struct ringd_reader **reader, uint32_t mode, uint64_t position)
{
    struct ringd_reader_options options = {.mode = mode, .start = RINGD_START_POSITION, .position = position};
    struct ringd *ring;
    int result;

    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    result = ringd_reader_open(reader, ring, &options);
    ck_assert(result == 0 || *reader == NULL);
    ck_assert(result == 0 || ringd_error()[0] != '\0');
    ringd_close(ring);
    return result;
}

START_TEST(start_now_oldest_and_at_a_position)
{
    struct ringd_record record, marked = {0};
    struct ringd_reader *reader;
    uint32_t mode = (uint32_t)_i;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(write_record(w, 40), RINGD_OK);
    reader = open_reader(RING, mode, RINGD_START_OLDEST);
    for (uint64_t i = 0; i < 10; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.sequence, i);
        if (i == 4)
            marked = record;
    }
    reader = open_reader(RING, mode, RINGD_START_NOW);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);

    ck_assert_int_eq(open_at(&reader, mode, marked.position), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.sequence, 4);
    ck_assert_int_eq(open_at(&reader, mode, marked.next), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.sequence, 5);
    ck_assert_int_eq(open_at(&reader, mode, ring_info(RING).position), 0); /* what is written from now on */
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(write_record(w, 40), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.sequence, 10);
}
END_TEST

START_TEST(positions_where_nothing_begins)
{
    uint64_t first, last = 0;
    struct ringd_reader *reader;
    struct ringd_record record;
    uint32_t mode = (uint32_t)_i;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = 128});
    w = open_writer(RING);
    write_some(w, 1000);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    first = ringd_reader_position(reader);
    while (ringd_next(reader, &record) == RINGD_OK)
        last = record.position;
    ck_assert_int_eq(open_at(&reader, mode, first - RINGD_UNIT), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, first - SIZE), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, 0), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, ring_info(RING).position + RINGD_UNIT), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, ring_info(RING).position + SUPPORT_WRAP), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, UINT64_MAX - 31), -ERANGE);
    ck_assert_int_eq(open_at(&reader, mode, last + 1), -EINVAL);
    ck_assert_int_eq(open_at(&reader, mode, last + RINGD_UNIT), -EINVAL); /* in the middle of the last record */
    ck_assert_int_eq(open_at(&reader, mode, last), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK); /* nothing that was refused holds anybody up */
}
END_TEST

START_TEST(unknown_options_are_refused)
{
    struct ringd_reader_options options = {.mode = 3};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, small);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
    ck_assert_ptr_null(reader);
    options = (struct ringd_reader_options){.start = RINGD_START_TIME + 1};
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
    ringd_close(ring);
}
END_TEST

/* A reader that starts in the past and is overtaken before it reads counts from what it would have been given. */
START_TEST(overtaken_before_the_first_record)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, small);
    w = open_writer(RING);
    write_some(w, 10);
    reader = open_reader(RING, modes[_i], RINGD_START_NOW);
    write_some(w, 1000);
    drain(&tracker, reader);
    ck_account(&tracker, w, 1000);
    ck_assert_uint_gt(tracker_lost(&tracker), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss");
    TCase *tests = add_case(suite, "loss");

    tcase_add_loop_test(tests, a_gap_is_told_before_the_record_behind_it, 0, MODES);
    tcase_add_loop_test(tests, what_was_lost_is_exact_for_each_writer, 0, MODES);
    tcase_add_loop_test(tests, a_writer_that_is_silent_after_the_lap_is_counted, 0, MODES);
    tcase_add_loop_test(tests, a_writer_that_has_left_after_the_lap_is_counted, 0, MODES);
    tcase_add_loop_test(tests, a_gap_over_two_owners_of_a_slot, 0, MODES);
    tcase_add_loop_test(tests, a_writer_in_mid_record_at_the_lap_is_counted, 0, MODES);
    tcase_add_loop_test(tests, a_writer_in_mid_record_at_the_join, 0, MODES);
    tcase_add_loop_test(tests, never_overtaken_never_a_gap, 0, MODES);
    tcase_add_loop_test(tests, bulk_reading_tells_gaps_too, 0, MODES);
    tcase_add_loop_test(tests, reader_counters_say_the_same, 0, MODES);
    tcase_add_loop_test(tests, given_records_outlive_a_lap, 0, MODES);
    tcase_add_loop_test(tests, large_records_in_bulk, 0, MODES);
    tcase_add_loop_test(tests, start_now_oldest_and_at_a_position, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, positions_where_nothing_begins, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_test(tests, unknown_options_are_refused);
    tcase_add_loop_test(tests, overtaken_before_the_first_record, 0, MODES);
    return run_suite(suite);
}
