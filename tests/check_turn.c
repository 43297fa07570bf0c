/* check_turn.c - R10, R11, R12 between processes: nobody waits for anybody who does not hold anything, and those who
 * wait for room get it in the order they came, the stopped and the dead passed over.
 *
 * (R11's other half, one step when there is room, is counted in check_steps.c. R14 for a stopped writer is checked here
 * as far as this version goes: it corrupts nothing, and holds others up no longer than the policy says.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "turn"

/* All records take the same room, and the ring holds 16 of them. */
#define LEN 64u

static const struct ringd_ring_options small = {.size = 4096, .max_record = LEN};

/* ---- writers that wait ------------------------------------------------------------------------------------------- */

struct waiting {
    _Atomic uint32_t slot; /* plus one */
    _Atomic uint32_t done;
    uint32_t wait; /* enum ringd_wait */
};

static void wait_and_write(void *argument)
{
    struct waiting *waiting = argument;
    struct ringd_writer_options options = {.deadline = RINGD_FOREVER, .wait = waiting->wait};
    struct ringd_writer *w;
    struct ringd *ring;

    require(ringd_open(&ring, RING) == 0, "%s", ringd_error());
    require(ringd_writer_open(&w, ring, &options) == 0, "%s", ringd_error());
    atomic_store(&waiting->slot, writer_slot(w) + 1);
    require(write_record(w, LEN) == RINGD_OK, "it was to wait");
    atomic_store(&waiting->done, 1);
}

static void fill_up(struct ringd_writer *w)
{
    int result;

    while ((result = write_record(w, LEN)) == RINGD_OK)
        ;
    ck_assert_int_eq(result, RINGD_FULL);
}

static uint32_t waiters_of(const struct ringd_writer *w)
{
    return atomic_load(&w->ring.ring.lane->waiters);
}

/* Starts one and returns when it stands in line. */
static pid_t start_waiting(struct ringd_writer *w, struct waiting *waiting)
{
    pid_t pid = child_start(wait_and_write, waiting);

    while (atomic_load(&waiting->slot) == 0 || !(waiters_of(w) >> (waiting->slot - 1) & 1))
        pause_ms(1);
    return pid;
}

/* Gives one record's room back; the reader publishes it at once, as somebody waits. */
static void release_one(struct ringd_reader *reader, struct tracker *tracker)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    tracker_record(tracker, &record);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
}

static void wait_done(const struct waiting *waiting)
{
    while (atomic_load(&waiting->done) == 0)
        pause_ms(1);
}

struct line {
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct tracker tracker;
};

static void open_line(struct line *line)
{
    *line = (struct line){0};
    make_ring(RING, small);
    line->w = open_writer(RING);
    line->reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill_up(line->w);
}

/* However they wait, or each in another way. */
START_TEST(rule_11_those_who_wait_are_served_in_the_order_they_came)
{
    struct waiting *waiting = shared_new(8 * sizeof *waiting);
    struct line line;
    pid_t pids[8];

    open_line(&line);
    for (int i = 0; i < 8; i++) {
        waiting[i].wait = _i == RINGD_WAIT_SLEEP + 1 ? (uint32_t)i % 3 : (uint32_t)_i;
        pids[i] = start_waiting(line.w, &waiting[i]);
    }
    for (int i = 0; i < 8; i++) {
        release_one(line.reader, &line.tracker);
        wait_done(&waiting[i]);
        for (int later = i + 1; later < 8; later++)
            ck_assert_uint_eq(waiting[later].done, 0);
        child_finish(pids[i]);
    }
    ck_assert_uint_eq(waiters_of(line.w), 0);
}
END_TEST

/* All the room at once: they stand in the ring in the order of their numbers, too. */
START_TEST(rule_11_a_newcomer_stands_behind_those_who_wait)
{
    struct waiting *waiting = shared_new(3 * sizeof *waiting);
    struct line line;
    pid_t pids[3];

    open_line(&line);
    for (int i = 0; i < 3; i++) {
        pids[i] = start_waiting(line.w, &waiting[i]);
        child_stop(pids[i]); /* so that they cannot take what is theirs just yet */
    }
    for (int i = 0; i < 3; i++) {
        release_one(line.reader, &line.tracker);
        ck_assert_int_eq(write_record(line.w, LEN), RINGD_FULL); /* there is room, for them */
    }
    release_one(line.reader, &line.tracker);
    ck_assert_int_eq(write_record(line.w, LEN), RINGD_OK); /* more than they need */
    ck_assert_int_eq(write_record(line.w, LEN), RINGD_FULL);
    for (int i = 2; i >= 0; i--) {
        child_continue(pids[i]);
        child_finish(pids[i]);
    }
    ck_assert_uint_eq(waiters_of(line.w), 0);
}
END_TEST

START_TEST(rule_11_a_stopped_waiting_writer_is_passed_over)
{
    struct waiting *waiting = shared_new(3 * sizeof *waiting);
    struct line line;
    pid_t pids[3];

    open_line(&line);
    for (int i = 0; i < 3; i++)
        pids[i] = start_waiting(line.w, &waiting[i]);
    child_stop(pids[0]);
    release_one(line.reader, &line.tracker); /* its own room stays its own */
    for (int i = 1; i < 3; i++) {
        release_one(line.reader, &line.tracker);
        wait_done(&waiting[i]);
        child_finish(pids[i]);
        ck_assert_uint_eq(waiting[0].done, 0);
    }
    child_continue(pids[0]);
    child_finish(pids[0]);
}
END_TEST

START_TEST(rule_11_a_dead_waiting_writer_is_passed_over)
{
    struct waiting *waiting = shared_new(3 * sizeof *waiting);
    struct line line;
    pid_t pids[3];

    open_line(&line);
    for (int i = 0; i < 3; i++)
        pids[i] = start_waiting(line.w, &waiting[i]);
    child_kill(pids[0]);
    for (int i = 1; i < 3; i++) {
        release_one(line.reader, &line.tracker);
        wait_done(&waiting[i]);
        child_finish(pids[i]);
    }
    wait_for_contexts(RING, 2);
    ck_assert_uint_eq(waiters_of(line.w), 0);
    ck_assert_int_eq(tracker_drain(&line.tracker, line.reader), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(write_record(line.w, LEN), RINGD_OK);
}
END_TEST

/* A deadline that passes takes a writer out of the line. */
START_TEST(rule_11_who_gives_up_leaves_the_line)
{
    struct waiting *waiting = shared_new(sizeof *waiting);
    struct line line;
    pid_t pid;

    open_line(&line);
    ringd_writer_deadline(line.w, now_ns() + 3000000);
    ck_assert_int_eq(write_record(line.w, LEN), RINGD_FULL);
    ck_assert_uint_eq(waiters_of(line.w), 0);
    ringd_writer_deadline(line.w, RINGD_NO_WAIT);
    pid = start_waiting(line.w, waiting);
    release_one(line.reader, &line.tracker);
    child_finish(pid);
}
END_TEST

/* ---- who is stopped ---------------------------------------------------------------------------------------------- */

struct stopped {
    bool lossless;
    bool in_record;
    _Atomic uint32_t ready;
    _Atomic uint32_t go_on;
    _Atomic int32_t result;
};

/* Writes one record; stands before the next, or in the middle of it. */
static void stand_writing(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct stopped *stopped = argument;
    size_t granted;
    void *data;

    require(write_record(w, LEN) == RINGD_OK, "no room");
    require(!stopped->in_record || ringd_reserve(w, LEN, LEN, &data, &granted) == RINGD_OK, "no room");
    atomic_store(&stopped->ready, 1);
    while (atomic_load(&stopped->go_on) == 0)
        pause_ms(1);
    if (stopped->in_record) {
        record_make(data, LEN, writer_slot(w), writer_sequence(w));
        stopped->result = ringd_commit(w, LEN);
    }
}

static void stand_reading(void *argument)
{
    struct stopped *stopped = argument;
    struct ringd_reader *reader =
        open_reader(RING, stopped->lossless ? RINGD_READ_LOSSLESS : RINGD_READ_LOSSY, RINGD_START_NOW);
    struct tracker tracker = {0};

    atomic_store(&stopped->ready, 1);
    while (atomic_load(&stopped->go_on) == 0)
        pause_ms(1);
    stopped->result = tracker_drain(&tracker, reader);
    require(!stopped->lossless || tracker_lost(&tracker) == 0, "lost %lu", (unsigned long)tracker_lost(&tracker));
}

static pid_t start_standing(void (*run)(void *), struct stopped *stopped)
{
    pid_t pid = child_start(run, stopped);

    while (atomic_load(&stopped->ready) == 0)
        pause_ms(1);
    child_stop(pid);
    return pid;
}

static void go_on(pid_t pid, struct stopped *stopped)
{
    atomic_store(&stopped->go_on, 1);
    child_continue(pid);
    child_finish(pid);
}

/* Between two records nobody holds anything: no lock, no place, no turn. */
START_TEST(rule_12_a_writer_stopped_between_records_holds_nobody)
{
    struct stopped *stopped = shared_new(sizeof *stopped);
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, small);
    w = open_writer(RING);
    pid = start_standing(stand_writing, stopped);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 5000; i++) {
        require(write_record(w, LEN) == RINGD_OK, "record %d", i);
        require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK, "record %d", i);
    }
    go_on(pid, stopped);
}
END_TEST

/* In mid-record it holds what comes after it, as far as the ring goes, and the policy says what then. It breaks nothing
 * when it goes on. */
START_TEST(rule_14_a_writer_stopped_in_mid_record_corrupts_nothing)
{
    struct stopped *stopped = shared_new(sizeof *stopped);
    struct ringd_ring_options options = small;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    int result, answers[] = {0, RINGD_FULL, RINGD_DROPPED, RINGD_FULL};
    pid_t pid;

    stopped->in_record = true;
    options.policy = (uint32_t)_i;
    make_ring(RING, options);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    pid = start_standing(stand_writing, stopped);
    while ((result = write_record(w, LEN)) == RINGD_OK)
        ;
    ck_assert_int_eq(result, answers[_i]);
    ck_assert_uint_gt(writer_sequence(w), 3);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), 1); /* what came before it */
    go_on(pid, stopped);
    ck_assert_int_eq(stopped->result, RINGD_OK);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), 2 + writer_sequence(w));
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    for (int i = 0; i < 1000; i++)
        require(write_record(w, LEN) == RINGD_OK, "record %d", i);
}
END_TEST

/* A stopped lossy reader holds nobody; a stopped lossless one does, until it goes on. */
START_TEST(a_stopped_reader)
{
    struct stopped *stopped = shared_new(sizeof *stopped);
    struct ringd_writer *w;
    pid_t pid;

    stopped->lossless = _i == 1;
    make_ring(RING, small);
    w = open_writer(RING);
    pid = start_standing(stand_reading, stopped);
    if (stopped->lossless)
        fill_up(w);
    for (int i = 0; i < 1000 && !stopped->lossless; i++)
        require(write_record(w, LEN) == RINGD_OK, "record %d", i);
    go_on(pid, stopped);
    ck_assert_int_eq(stopped->result, RINGD_WOULD_BLOCK);
    ringd_writer_deadline(w, RINGD_FOREVER);
    ck_assert_int_eq(write_record(w, LEN), RINGD_OK);
}
END_TEST

/* ---- killed, at any moment between records or waiting ------------------------------------------------------------ */

/* Records, and a nap between records in which it can be told to be killed without being in one. */
static void write_and_nap(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct stopped *stopped = argument;

    for (int i = 0; i < 50; i++)
        require(write_record(w, LEN) == RINGD_OK, "record %d", i);
    atomic_store(&stopped->ready, 1);
    for (;;)
        pause();
}

START_TEST(rule_12_killed_between_records_leaves_no_trace)
{
    struct stopped *stopped = shared_new(sizeof *stopped);
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int round = 0; round < 40; round++) {
        atomic_store(&stopped->ready, 0);
        pid = child_start(write_and_nap, stopped);
        while (atomic_load(&stopped->ready) == 0)
            ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        child_kill(pid);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(tracker_delivered(&tracker), 50 * ((uint64_t)round + 1));
    }
    wait_for_contexts(RING, 1);
    ck_assert_uint_eq(ring_info(RING).committed, 2000);
}
END_TEST

/* It died holding a place: what came before is read, what comes after it too, and its slot serves others. */
START_TEST(rule_12_killed_in_mid_record_holds_nobody)
{
    struct stopped *stopped = shared_new(sizeof *stopped);
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    pid_t pid;

    stopped->in_record = true;
    make_ring(RING, small);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    pid = start_standing(stand_writing, stopped);
    child_kill(pid);
    wait_for_contexts(RING, 1);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), 1);
    ck_assert_uint_eq(ring_info(RING).lost, 1);
    for (int i = 0; i < 31; i++) {
        ck_assert_int_eq(write_record(open_writer(RING), RECORD_MIN), RINGD_OK);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    }
    ck_assert_uint_eq(tracker_delivered(&tracker), 32);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *tests = add_case(suite, "turn");

    tcase_add_loop_test(tests, rule_11_those_who_wait_are_served_in_the_order_they_came, 0, RINGD_WAIT_SLEEP + 2);
    tcase_add_test(tests, rule_11_a_newcomer_stands_behind_those_who_wait);
    tcase_add_test(tests, rule_11_a_stopped_waiting_writer_is_passed_over);
    tcase_add_test(tests, rule_11_a_dead_waiting_writer_is_passed_over);
    tcase_add_test(tests, rule_11_who_gives_up_leaves_the_line);
    tcase_add_test(tests, rule_12_a_writer_stopped_between_records_holds_nobody);
    tcase_add_loop_test(tests, rule_14_a_writer_stopped_in_mid_record_corrupts_nothing, RINGD_LOSSLESS,
                        RINGD_OVERWRITE + 1);
    tcase_add_loop_test(tests, a_stopped_reader, 0, 2);
    tcase_add_test(tests, rule_12_killed_between_records_leaves_no_trace);
    tcase_add_test(tests, rule_12_killed_in_mid_record_holds_nobody);
    return run_suite(suite);
}
