/* check_wait.c - waiting: for records, for room, with deadlines; waking; and that no wake-up is ever lost.
 *
 * Between processes, as wake-ups go through the kernel. A lost wake-up is a sleep for ever here, as all who wait do so
 * without a deadline unless the deadline is what is checked; the guard of the test ends it. The same instruction by
 * instruction is in check_steps.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "wait"
#define BACK "wait-back"

/* The smallest ring there is: room for a few records, so that everybody sleeps all the time. */
static struct ringd_ring_options tiny(uint32_t policy)
{
    return (struct ringd_ring_options){.size = 4096, .max_record = 64, .policy = policy};
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

START_TEST(reader_deadline_is_waited_for)
{
    struct ringd_record record, records[4];
    struct ringd_reader *reader;
    size_t count;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (int64_t ms = 1; ms <= 64; ms *= 4) {
        int64_t deadline = now_ns() + ms * 1000000;

        ck_assert_int_eq(ringd_reader_deadline(reader, deadline), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
        ck_assert_int_ge(now_ns(), deadline); /* not early */
        deadline = now_ns() + ms * 1000000;
        ck_assert_int_eq(ringd_reader_deadline(reader, deadline), RINGD_OK);
        ck_assert_int_eq(ringd_next_many(reader, records, 4, &count), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(count, 0);
        ck_assert_int_ge(now_ns(), deadline);
    }
    ck_assert_int_eq(ringd_reader_deadline(reader, now_ns() - 1), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(ringd_reader_deadline(reader, 1), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}
END_TEST

START_TEST(reader_deadline_before_the_clock_began)
{
    struct ringd_reader *reader;
    struct ringd_record record;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reader_deadline(reader, -1), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(ringd_reader_deadline(reader, INT64_MIN), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}
END_TEST

/* Each way of waiting ends when its time has come, not before; there is no fourth. */
START_TEST(writer_deadline_is_waited_for_in_each_way)
{
    struct ringd_writer_options options = {.wait = (uint32_t)_i};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct ringd *ring;
    int result;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    result = ringd_writer_open(&w, ring, &options);
    if (_i > RINGD_WAIT_SLEEP) {
        ck_assert_int_eq(result, -EINVAL);
        ck_assert_ptr_null(w);
        ck_assert_ptr_nonnull(strstr(ringd_error(), "wait 3"));
    } else {
        ck_assert_int_eq(result, 0);
        reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
        while ((result = write_record(w, RECORD_MIN)) == RINGD_OK)
            ;
        ck_assert_int_eq(result, RINGD_FULL);
        for (int64_t ms = 1; ms <= 16; ms *= 4) {
            int64_t deadline = now_ns() + ms * 1000000;

            ringd_writer_deadline(w, deadline);
            ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL);
            ck_assert_int_ge(now_ns(), deadline);
        }
        ringd_reader_close(reader);
    }
    ringd_writer_close(w);
    ringd_close(ring);
}
END_TEST

/* A deadline does not keep from what is there already. */
START_TEST(what_is_there_is_given_whatever_the_deadline)
{
    static const int64_t deadlines[] = {RINGD_NO_WAIT, 1, RINGD_FOREVER};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (int i = 0; i < 300; i++) {
        ringd_writer_deadline(w, deadlines[i % 3]);
        ringd_reader_deadline(reader, deadlines[i / 3 % 3]);
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
}
END_TEST

/* ---- a signal ends a wait ---------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
}

static void catch_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */

    sigaction(SIGUSR1, &action, NULL);
}

struct sleeper {
    uint32_t mode;
    _Atomic uint32_t ready;
    _Atomic int32_t result;
};

static void read_until_signal(void *argument)
{
    struct sleeper *sleeper = argument;
    struct ringd_reader *reader = open_reader_until(RING, sleeper->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    catch_signal();
    atomic_store(&sleeper->ready, 1);
    atomic_store(&sleeper->result, ringd_next(reader, &record));
}

static void write_until_signal(void *argument)
{
    struct sleeper *sleeper = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct ringd_writer_counters counters;
    int result;

    catch_signal();
    atomic_store(&sleeper->ready, 1);
    while ((result = write_record(w, RECORD_MIN)) == RINGD_OK)
        ;
    atomic_store(&sleeper->result, result);
    ringd_writer_count(w, &counters);
    require(counters.offered == counters.committed + counters.refused && counters.refused == 1, "it does not add up");
}

/* Sends signals until the helper ends: one that comes before the sleep ends nothing. */
static void signal_until_over(pid_t pid, const struct sleeper *sleeper)
{
    while (atomic_load(&sleeper->ready) == 0)
        pause_ms(1);
    while (atomic_load(&sleeper->result) == INT32_MAX) {
        kill(pid, SIGUSR1);
        pause_ms(2);
    }
    child_finish(pid);
}

START_TEST(a_signal_ends_a_readers_wait)
{
    struct sleeper *sleeper = shared_new(sizeof *sleeper);

    make_ring(RING, tiny(RINGD_LOSSLESS));
    sleeper->mode = (uint32_t)_i;
    sleeper->result = INT32_MAX;
    signal_until_over(child_start(read_until_signal, sleeper), sleeper);
    ck_assert_int_eq(sleeper->result, -EINTR);
}
END_TEST

START_TEST(a_signal_ends_a_writers_wait)
{
    struct sleeper *sleeper = shared_new(sizeof *sleeper);

    make_ring(RING, tiny(RINGD_LOSSLESS));
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    sleeper->result = INT32_MAX;
    signal_until_over(child_start(write_until_signal, sleeper), sleeper);
    ck_assert_int_eq(sleeper->result, -EINTR);
}
END_TEST

/* ---- back and forth ---------------------------------------------------------------------------------------------- */

struct game {
    uint32_t mode;
    int rounds;
    _Atomic uint32_t ready;
};

/* Answers each record of one ring by one on the other. */
static void answer(void *argument)
{
    struct game *game = argument;
    struct ringd_reader *reader = open_reader_until(RING, game->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_writer *w = open_writer_until(BACK, RINGD_FOREVER);
    struct tracker tracker = {0};
    struct ringd_record record;

    atomic_store(&game->ready, 1);
    for (int i = 0; i < game->rounds; i++) {
        int result = ringd_next(reader, &record);

        require(result == RINGD_OK, "%d in round %d", result, i);
        tracker_record(&tracker, &record);
        ringd_release(reader);
        require(write_record(w, RECORD_MIN) == RINGD_OK, "round %d", i);
    }
}

static void play(uint32_t policy, uint32_t mode, int rounds)
{
    struct game *game = shared_new(sizeof *game);
    struct ringd_reader_counters counters;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    pid_t child;

    *game = (struct game){.mode = mode, .rounds = rounds};
    make_ring(RING, tiny(policy));
    make_ring(BACK, tiny(policy));
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader_until(BACK, mode, RINGD_START_NOW, RINGD_FOREVER);
    child = child_start(answer, game);
    while (atomic_load(&game->ready) == 0)
        pause_ms(1);
    for (int i = 0; i < rounds; i++) {
        int result = write_record(w, RECORD_MIN);

        require(result == RINGD_OK, "%d in round %d", result, i);
        result = ringd_next(reader, &record);
        require(result == RINGD_OK, "%d in round %d", result, i);
        tracker_record(&tracker, &record);
        ringd_release(reader);
    }
    child_finish(child);
    ck_assert_int_eq(ringd_reader_count(reader, &counters), RINGD_OK);
    ck_assert_uint_gt(counters.slept, 0); /* it was about sleeping */
}

START_TEST(back_and_forth_lossless)
{
    play(RINGD_LOSSLESS, RINGD_READ_LOSSLESS, 30000);
}
END_TEST

START_TEST(back_and_forth_drop)
{
    play(RINGD_DROP, RINGD_READ_LOSSLESS, 10000);
}
END_TEST

START_TEST(back_and_forth_overwrite)
{
    play(RINGD_OVERWRITE, RINGD_READ_LOSSY, 30000);
}
END_TEST

/* The daemon announces for them. */
START_TEST(back_and_forth_observing)
{
    play(RINGD_OVERWRITE, RINGD_READ_OBSERVE, 3000);
}
END_TEST

/* There is no daemon: they look again and again. */
START_TEST(back_and_forth_observing_without_a_daemon)
{
    struct game *game = shared_new(sizeof *game);
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    pid_t child;

    *game = (struct game){.mode = RINGD_READ_OBSERVE, .rounds = 100};
    make_ring(RING, tiny(RINGD_OVERWRITE));
    make_ring(BACK, tiny(RINGD_OVERWRITE));
    w = open_writer(RING);
    reader = open_reader_until(BACK, RINGD_READ_OBSERVE, RINGD_START_NOW, RINGD_FOREVER);
    child = child_start(answer, game);
    while (atomic_load(&game->ready) == 0)
        pause_ms(1);
    daemon_kill(&server);
    for (int i = 0; i < game->rounds; i++) {
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    }
    child_finish(child);
}
END_TEST

/* A daemon that is stopped does not answer: an observer must not depend on it. (Each round would cost the five seconds
 * after which a daemon is given up; the guard is a small part of that.) */
START_TEST(back_and_forth_observing_with_a_stopped_daemon)
{
    struct game *game = shared_new(sizeof *game);
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    pid_t child;

    *game = (struct game){.mode = RINGD_READ_OBSERVE, .rounds = 50};
    make_ring(RING, tiny(RINGD_OVERWRITE));
    make_ring(BACK, tiny(RINGD_OVERWRITE));
    w = open_writer(RING);
    reader = open_reader_until(BACK, RINGD_READ_OBSERVE, RINGD_START_NOW, RINGD_FOREVER);
    child = child_start(answer, game);
    while (atomic_load(&game->ready) == 0)
        pause_ms(1);
    child_stop(server.pid);
    for (int i = 0; i < game->rounds; i++) {
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    }
    child_finish(child);
    child_continue(server.pid);
}
END_TEST

/* ---- room -------------------------------------------------------------------------------------------------------- */

struct crowd {
    uint64_t records; /* each writer's */
    uint32_t writers;
    _Atomic uint32_t readers_ready;
};

static void crowd_write(void *argument)
{
    struct crowd *crowd = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct ringd_writer_counters counters;

    for (uint64_t i = 0; i < crowd->records; i++) {
        int result = write_record(w, RECORD_MIN + i % 40);

        require(result == RINGD_OK, "%d for record %lu", result, (unsigned long)i);
    }
    require(ringd_writer_count(w, &counters) == RINGD_OK && counters.waited > 0, "nobody had to wait");
}

static void crowd_read(void *argument)
{
    struct crowd *crowd = argument;
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct tracker tracker = {0};
    struct ringd_record record;

    atomic_fetch_add(&crowd->readers_ready, 1);
    while (tracker_delivered(&tracker) < crowd->records * crowd->writers) {
        int result = ringd_next(reader, &record);

        require(result == RINGD_OK, "%d after %lu", result, (unsigned long)tracker_delivered(&tracker));
        tracker_record(&tracker, &record);
        require(ringd_release(reader) == RINGD_OK, "release");
    }
}

/* Writers wait for readers and readers for writers, on a ring with room for a dozen records. */
START_TEST(everybody_waits_for_everybody)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    pid_t pids[5];

    *crowd = (struct crowd){.records = 5000, .writers = 3};
    make_ring(RING, tiny(RINGD_LOSSLESS));
    for (int i = 0; i < 2; i++)
        pids[i] = child_start(crowd_read, crowd);
    while (atomic_load(&crowd->readers_ready) < 2)
        pause_ms(1);
    for (int i = 2; i < 5; i++)
        pids[i] = child_start(crowd_write, crowd);
    for (int i = 0; i < 5; i++)
        child_finish(pids[i]);
}
END_TEST

/* ---- the end wakes too ------------------------------------------------------------------------------------------- */

static void read_to_the_end(void *argument)
{
    struct sleeper *sleeper = argument;
    struct ringd_reader *reader = open_reader_until(RING, sleeper->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    atomic_store(&sleeper->ready, 1);
    atomic_store(&sleeper->result, ringd_next(reader, &record));
}

START_TEST(removal_wakes_a_reader)
{
    struct sleeper *sleeper = shared_new(sizeof *sleeper);
    pid_t pid;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    sleeper->mode = (uint32_t)_i;
    pid = child_start(read_to_the_end, sleeper);
    while (atomic_load(&sleeper->ready) == 0)
        pause_ms(1);
    child_wait_still(pid);
    ck_assert_int_eq(ringd_remove(RING), 0);
    child_finish(pid);
    ck_assert_int_eq(sleeper->result, RINGD_END);
}
END_TEST

START_TEST(removal_wakes_a_writer)
{
    struct sleeper *sleeper = shared_new(sizeof *sleeper);
    struct ringd_context_info context;
    pid_t pid;

    make_ring(RING, tiny(RINGD_LOSSLESS));
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    pid = child_start(write_until_signal, sleeper);
    do
        pause_ms(1);
    while (!find_context(RING, RINGD_CONTEXT_WRITER, &context) || context.state != RINGD_CONTEXT_WAITING ||
           context.waited == 0);
    child_wait_still(pid);
    ck_assert_int_eq(ringd_remove(RING), 0);
    child_finish(pid);
    ck_assert_int_eq(sleeper->result, -ESHUTDOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wait");
    TCase *tests = add_case(suite, "wait");
    int all = RINGD_READ_OBSERVE + 1;

    tcase_add_loop_test(tests, reader_deadline_is_waited_for, 0, all);
    tcase_add_loop_test(tests, reader_deadline_before_the_clock_began, 0, all);
    tcase_add_loop_test(tests, writer_deadline_is_waited_for_in_each_way, 0, RINGD_WAIT_SLEEP + 2);
    tcase_add_loop_test(tests, what_is_there_is_given_whatever_the_deadline, 0, all);
    tcase_add_loop_test(tests, a_signal_ends_a_readers_wait, 0, all);
    tcase_add_test(tests, a_signal_ends_a_writers_wait);
    tcase_add_test(tests, back_and_forth_lossless);
    tcase_add_test(tests, back_and_forth_drop);
    tcase_add_test(tests, back_and_forth_overwrite);
    tcase_add_test(tests, back_and_forth_observing);
    tcase_add_test(tests, back_and_forth_observing_without_a_daemon);
    tcase_add_test(tests, everybody_waits_for_everybody);
    tcase_add_loop_test(tests, removal_wakes_a_reader, 0, all);
    tcase_add_test(tests, removal_wakes_a_writer);
    tests = add_case(suite, "wait without the daemon");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, back_and_forth_observing_with_a_stopped_daemon);
    return run_suite(suite);
}
