/* check_policy.c - what happens when a ring is full, under each policy; and what the counters say of it afterwards.
 *
 *     lossless    writers wait until their deadline, or are told "full"; without a lossless reader it runs free, or
 * holds drop        the newest is dropped, counted by the reason: a reader in the way, or an unfinished writer
 *     overwrite   the oldest go; nobody reads losslessly
 *
 * The accounts (R16) are checked with it: what was offered is the sum of what became of it, for each writer and for the
 * ring.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "policy"
#define SIZE 8192

static const struct ringd_ring_options small = {.size = SIZE, .max_record = 128};

static struct ringd_ring_options with_policy(uint32_t policy)
{
    struct ringd_ring_options options = small;

    options.policy = policy;
    return options;
}

static struct ringd_writer_counters count_of(const struct ringd_writer *w)
{
    struct ringd_writer_counters c;

    ck_assert_int_eq(ringd_writer_count(w, &c), RINGD_OK);
    ck_assert_uint_eq(c.offered, c.committed + c.aborted + c.dropped_full + c.dropped_stalled + c.refused);
    return c;
}

static void ck_ring_adds_up(void)
{
    struct ringd_info i = ring_info(RING);

    ck_assert_uint_eq(i.offered, i.committed + i.aborted + i.dropped_full + i.dropped_stalled + i.refused);
}

/* Until the answer is another than "done"; how many were written. */
static uint64_t write_until(struct ringd_writer *w, int answer)
{
    uint64_t count = 0;
    int result;

    while ((result = write_record(w, RECORD_MIN)) == RINGD_OK)
        require(++count < 100000, "it never gets full");
    ck_assert_int_eq(result, answer);
    return count;
}

static void drain(struct tracker *tracker, struct ringd_reader *reader)
{
    ck_assert_int_eq(tracker_drain(tracker, reader), RINGD_WOULD_BLOCK);
}

/* ---- lossless ---------------------------------------------------------------------------------------------------- */

START_TEST(lossless_full_is_told_and_nothing_is_lost)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t refused = 0, written = 0;

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int lap = 0; lap < 20; lap++) {
        written += write_until(w, RINGD_FULL);
        refused++;
        drain(&tracker, reader);
    }
    ck_assert_uint_eq(tracker_delivered(&tracker), written);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ck_assert_uint_eq(count_of(w).refused, refused);
    ck_assert_uint_eq(count_of(w).committed, written);
    ck_assert_uint_eq(count_of(w).waited, 0);
    ck_ring_adds_up();
}
END_TEST

START_TEST(lossless_deadline_is_waited_for)
{
    struct ringd_writer *w;
    int64_t deadline;

    make_ring(RING, small);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_until(w, RINGD_FULL);
    for (int64_t ms = 1; ms <= 64; ms *= 4) {
        deadline = now_ns() + ms * 1000000;
        ck_assert_int_eq(ringd_writer_deadline(w, deadline), RINGD_OK);
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
        ck_assert_int_ge(now_ns(), deadline); /* not early */
    }
    ck_assert_uint_gt(count_of(w).waited, 0);
    ck_assert_int_eq(ringd_writer_deadline(w, now_ns() - 1), RINGD_OK);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    ck_assert_int_eq(ringd_writer_deadline(w, 1), RINGD_OK);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    ck_ring_adds_up();
}
END_TEST

START_TEST(lossless_deadline_before_the_clock_began)
{
    struct ringd_writer *w;

    make_ring(RING, small);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_until(w, RINGD_FULL);
    ck_assert_int_eq(ringd_writer_deadline(w, -1), RINGD_OK);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    ck_assert_int_eq(ringd_writer_deadline(w, INT64_MIN), RINGD_OK);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    ck_ring_adds_up();
}
END_TEST

static void write_many(void *argument)
{
    const uint64_t *count = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    for (uint64_t i = 0; i < *count; i++)
        require(write_record(w, RECORD_MIN + i % 100) == RINGD_OK, "record %lu", (unsigned long)i);
}

START_TEST(lossless_writer_waits_as_long_as_it_takes)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    uint64_t count = 20000;
    pid_t writer;

    make_ring(RING, small);
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    writer = child_start(write_many, &count);
    while (tracker_delivered(&tracker) < count) {
        struct ringd_record record;

        require(ringd_next(reader, &record) == RINGD_OK, "next");
        tracker_record(&tracker, &record);
        require(ringd_release(reader) == RINGD_OK, "release");
    }
    child_finish(writer);
    ck_ring_adds_up();
}
END_TEST

START_TEST(the_slowest_lossless_reader_counts)
{
    struct tracker fast = {0}, slow = {0};
    struct ringd_reader *fast_reader, *slow_reader;
    struct ringd_writer *w;
    uint64_t written;

    make_ring(RING, small);
    w = open_writer(RING);
    fast_reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    slow_reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    written = write_until(w, RINGD_FULL);
    drain(&fast, fast_reader);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    drain(&slow, slow_reader);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    drain(&fast, fast_reader);
    drain(&slow, slow_reader);
    ck_assert_uint_eq(tracker_delivered(&fast), written + 1);
    ck_assert_uint_eq(tracker_delivered(&slow), written + 1);
}
END_TEST

/* Nobody reads losslessly: it runs free, whoever else reads. */
START_TEST(lossless_runs_free_without_a_lossless_reader)
{
    struct tracker lossy = {0}, observer = {0};
    struct ringd_reader *lossy_reader, *observing_reader;
    struct ringd_writer *w;

    make_ring(RING, small);
    w = open_writer(RING);
    lossy_reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    observing_reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    for (int i = 0; i < 10000; i++)
        require(write_record(w, RECORD_MIN) == RINGD_OK, "record %d", i);
    drain(&lossy, lossy_reader);
    drain(&observer, observing_reader);
    ck_assert_uint_eq(tracker_delivered(&lossy) + tracker_lost(&lossy), 10000);
    ck_assert_uint_eq(tracker_delivered(&observer) + tracker_lost(&observer), 10000);
    ck_assert_uint_gt(tracker_lost(&lossy), 9000);
}
END_TEST

static void read_and_hang(void *argument)
{
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);

    *(_Atomic uint32_t *)argument = 1;
    for (;;)
        pause_ms(1000);
    ringd_reader_close(reader);
}

/* A lossless reader that closes, and one that is killed, hold nobody any more. */
START_TEST(a_lossless_reader_that_is_gone_holds_nobody)
{
    _Atomic uint32_t *attached = shared_new(sizeof *attached);
    struct ringd_reader *reader;
    struct ringd_writer *w;
    pid_t child;

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_until(w, RINGD_FULL);
    ringd_reader_close(reader);
    ringd_writer_deadline(w, RINGD_FOREVER);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);

    ringd_writer_deadline(w, RINGD_NO_WAIT);
    child = child_start(read_and_hang, attached);
    while (atomic_load(attached) == 0)
        pause_ms(1);
    write_until(w, RINGD_FULL);
    child_kill(child);
    ringd_writer_deadline(w, RINGD_FOREVER);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
}
END_TEST

START_TEST(hold_keeps_everything_until_a_lossless_reader_comes)
{
    struct ringd_ring_options options = small;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t written;

    options.hold = 1;
    make_ring(RING, options);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW); /* does not count */
    written = write_until(w, RINGD_FULL);
    ck_assert_uint_gt(written, 20);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    for (int lap = 0; lap < 5; lap++) {
        drain(&tracker, reader);
        ck_assert_uint_eq(tracker_delivered(&tracker), written);
        ck_assert_uint_eq(tracker_lost(&tracker), 0);
        written += write_until(w, RINGD_FULL);
    }
    ringd_reader_close(reader); /* and again it holds: the last lap was not read */
    wait_for_contexts(RING, 2);
    write_until(w, RINGD_FULL);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.next[writer_slot(w)], writer_sequence(w));
    ck_ring_adds_up();
}
END_TEST

/* ---- drop -------------------------------------------------------------------------------------------------------- */

START_TEST(drop_counts_what_a_reader_was_in_the_way_of)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t written, dropped = 1;
    size_t granted;
    void *data;

    make_ring(RING, with_policy(RINGD_DROP));
    w = open_writer_until(RING, RINGD_FOREVER); /* it does not wait all the same */
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    written = write_until(w, RINGD_DROPPED);
    for (int i = 0; i < 100; i++, dropped++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_DROPPED);
    ck_assert_int_eq(ringd_reserve(w, 100, 100, &data, &granted), RINGD_DROPPED);
    dropped++;
    ck_assert_uint_eq(count_of(w).dropped_full, dropped);
    ck_assert_uint_eq(count_of(w).dropped_stalled, 0);
    ck_assert_uint_eq(count_of(w).refused, 0);
    ck_assert_uint_eq(count_of(w).waited, 0);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker), written); /* the oldest are kept */
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    ck_assert_uint_eq(ring_info(RING).dropped_full, dropped);
    ck_ring_adds_up();
}
END_TEST

START_TEST(drop_counts_what_an_unfinished_writer_was_in_the_way_of)
{
    struct ringd_writer *w, *unfinished;
    uint64_t dropped = 1;
    size_t granted;
    void *data;

    make_ring(RING, with_policy(RINGD_DROP));
    w = open_writer(RING);
    unfinished = open_writer(RING);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK); /* no lossless reader: it runs free */
    ck_assert_int_eq(ringd_reserve(unfinished, 1, 1, &data, &granted), RINGD_OK);
    write_until(w, RINGD_DROPPED);
    for (int i = 0; i < 10; i++, dropped++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_DROPPED);
    ck_assert_uint_eq(count_of(w).dropped_stalled, dropped);
    ck_assert_uint_eq(count_of(w).dropped_full, 0);
    ck_assert_int_eq(ringd_commit(unfinished, 1), RINGD_OK);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    ck_assert_uint_eq(ring_info(RING).dropped_stalled, dropped);
    ck_ring_adds_up();
}
END_TEST

START_TEST(drop_counts_each_record_of_a_batch)
{
    struct ringd_writer *w;
    struct iovec batch[] = {{"a", 1}, {"b", 1}};
    uint64_t before;

    make_ring(RING, with_policy(RINGD_DROP));
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    while (ringd_write(w, "", 0) == RINGD_OK)
        ;
    before = count_of(w).dropped_full;
    ck_assert_uint_eq(before, 1);
    ck_assert_int_eq(ringd_write_batch(w, batch, 2), RINGD_DROPPED);
    ck_assert_uint_eq(count_of(w).dropped_full, before + 2);
}
END_TEST

/* ---- overwrite --------------------------------------------------------------------------------------------------- */

START_TEST(overwrite_keeps_the_newest)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, with_policy(RINGD_OVERWRITE));
    w = open_writer(RING);
    for (int i = 0; i < 10000; i++)
        require(write_record(w, RECORD_MIN) == RINGD_OK, "record %d", i);
    ck_assert_uint_eq(count_of(w).waited, 0);
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker.next[writer_slot(w)], writer_sequence(w)); /* up to the last one */
    ck_assert_uint_ge(tracker_delivered(&tracker), 10);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
}
END_TEST

START_TEST(overwrite_has_no_lossless_readers)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, with_policy(RINGD_OVERWRITE));
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EOPNOTSUPP);
    ck_assert_ptr_null(reader);
    ck_assert_ptr_nonnull(strstr(ringd_error(), RING));
    ringd_close(ring);
}
END_TEST

/* The only thing in the way is somebody who has not finished, a lap behind. */
START_TEST(overwrite_waits_for_nobody_but_an_unfinished_writer)
{
    struct ringd_writer *w, *unfinished;
    int64_t deadline;
    size_t granted;
    void *data;

    make_ring(RING, with_policy(RINGD_OVERWRITE));
    w = open_writer(RING);
    unfinished = open_writer(RING);
    ck_assert_int_eq(ringd_reserve(unfinished, 1, 1, &data, &granted), RINGD_OK);
    write_until(w, RINGD_FULL);
    deadline = now_ns() + 5000000;
    ringd_writer_deadline(w, deadline);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
    ck_assert_int_ge(now_ns(), deadline);
    ck_assert_uint_eq(count_of(w).refused, 2);
    ck_assert_int_eq(ringd_abort(unfinished), RINGD_OK);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    ck_ring_adds_up();
}
END_TEST

/* ---- all kinds of readers on one ring ---------------------------------------------------------------------------- */

START_TEST(lossless_lossy_and_observing_readers_on_one_ring)
{
    uint32_t policy = _i == 0 ? RINGD_LOSSLESS : RINGD_DROP;
    struct random_source random = {.state = support_seed()};
    struct tracker trackers[4] = {0};
    struct ringd_reader *readers[4];
    struct ringd_writer *w;

    make_ring(RING, with_policy(policy));
    w = open_writer(RING);
    for (int i = 0; i < 4; i++)
        readers[i] = open_reader(RING,
                                 i < 2    ? RINGD_READ_LOSSLESS
                                 : i == 2 ? RINGD_READ_LOSSY
                                          : RINGD_READ_OBSERVE,
                                 RINGD_START_NOW);
    for (int round = 0; round < 3000; round++) {
        uint64_t burst = random_below(&random, 60);

        while (burst-- > 0 && write_record(w, RECORD_MIN + random_below(&random, 100)) == RINGD_OK)
            ;
        for (int i = 0; i < 4; i++) {
            if (random_below(&random, 1u << i) == 0)
                require(tracker_drain(&trackers[i], readers[i]) == RINGD_WOULD_BLOCK, "reader %d", i);
        }
    }
    for (int i = 0; i < 4; i++) {
        drain(&trackers[i], readers[i]);
        ck_assert_uint_eq(tracker_delivered(&trackers[i]) + tracker_lost(&trackers[i]), writer_sequence(w));
        ck_assert(i >= 2 || tracker_lost(&trackers[i]) == 0);
    }
    ck_assert_uint_gt(writer_sequence(w), 3000);
    count_of(w);
    ck_ring_adds_up();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *tests = add_case(suite, "policy");

    tcase_add_test(tests, lossless_full_is_told_and_nothing_is_lost);
    tcase_add_test(tests, lossless_deadline_is_waited_for);
    tcase_add_test(tests, lossless_deadline_before_the_clock_began);
    tcase_add_test(tests, lossless_writer_waits_as_long_as_it_takes);
    tcase_add_test(tests, the_slowest_lossless_reader_counts);
    tcase_add_test(tests, lossless_runs_free_without_a_lossless_reader);
    tcase_add_test(tests, a_lossless_reader_that_is_gone_holds_nobody);
    tcase_add_test(tests, hold_keeps_everything_until_a_lossless_reader_comes);
    tcase_add_test(tests, drop_counts_what_a_reader_was_in_the_way_of);
    tcase_add_test(tests, drop_counts_what_an_unfinished_writer_was_in_the_way_of);
    tcase_add_test(tests, drop_counts_each_record_of_a_batch);
    tcase_add_test(tests, overwrite_keeps_the_newest);
    tcase_add_test(tests, overwrite_has_no_lossless_readers);
    tcase_add_test(tests, overwrite_waits_for_nobody_but_an_unfinished_writer);
    tcase_add_loop_test(tests, lossless_lossy_and_observing_readers_on_one_ring, 0, 2);
    return run_suite(suite);
}
