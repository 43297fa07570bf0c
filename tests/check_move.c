/* check_move.c - rings that move to a new generation while they are used.
 *
 * Writers and readers of every kind run at full speed while the ring is resized up and down. Each record describes
 * itself; each reader has to be given every record, or told that it lost it, exactly once and in its writer's order;
 * each writer's accounts have to add up; nobody sees an error.
 *
 * Then writers that are held or stopped in mid-record: others pass them, their late stores change nothing that anybody
 * can read, and when they wake their record arrives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "reader.h"
#include "support_check.h"
#include "support_stop.h"
#include "writer.h"

#define RING    "move"
#define WRITERS 3
#define READERS 4
#ifndef RESIZES
#define RESIZES 20
#endif
#define LARGE  (UINT64_C(1) << 20)
#define SMALL  (UINT64_C(1) << 16)
#define RECORD 1024u /* max_record */

/* What the processes of a test share. */
struct party {
    uint32_t policy;
    _Atomic uint32_t over; /* writers end */
    _Atomic uint32_t ready;
    _Atomic uint32_t next_mode;
    _Atomic uint32_t known;   /* `written` is */
    _Atomic uint64_t written; /* records that were committed, by all writers */
    _Atomic int32_t victim;   /* pid of a writer that stands at a stop point */
    const char *point;
};

static struct party *new_party(uint32_t policy)
{
    struct party *party = shared_new(sizeof *party);

    party->policy = policy;
    return party;
}

static void require_account(const struct ringd_writer *w)
{
    struct ringd_writer_counters c;

    require(ringd_writer_count(w, &c) == RINGD_OK, "count");
    require(c.offered == c.committed + c.aborted + c.refused + c.dropped_full + c.dropped_stalled,
            "offered %" PRIu64 ", committed %" PRIu64 ", aborted %" PRIu64 ", refused %" PRIu64 ", dropped %" PRIu64
            " + %" PRIu64,
            c.offered, c.committed, c.aborted, c.refused, c.dropped_full, c.dropped_stalled);
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static void require_written(int result, uint32_t policy)
{
    require(result == RINGD_OK || (result == RINGD_DROPPED && policy == RINGD_DROP), "result %d (%s)", result,
            ringd_strerror(result));
}

static void put_batch_of_two(struct ringd_writer *w, uint32_t policy)
{
    unsigned char payloads[2][100];
    struct iovec records[2] = {{payloads[0], RECORD_MIN}, {payloads[1], 100}};

    for (uint32_t i = 0; i < 2; i++)
        record_make(payloads[i], records[i].iov_len, writer_slot(w), writer_sequence(w) + i);
    require_written(ringd_write_batch(w, records, 2), policy);
}

static void put_in_place(struct ringd_writer *w, struct random_source *random, uint32_t policy)
{
    size_t len = RECORD_MIN + random_below(random, 200), granted;
    void *data;
    int result = ringd_reserve(w, len, RECORD, &data, &granted);

    require_written(result, policy);
    if (result != RINGD_OK)
        return;
    record_make(data, len, writer_slot(w), writer_sequence(w));
    if (random_below(random, 4) == 0)
        require(ringd_abort(w) == RINGD_OK, "abort");
    else
        require_written(ringd_commit(w, len), policy);
}

static void write_all_kinds(void *argument)
{
    struct party *party = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {.state = support_seed() + atomic_fetch_add(&party->ready, 1)};

    while (atomic_load(&party->over) == 0) {
        uint64_t kind = random_below(&random, 8);

        if (kind == 0)
            put_batch_of_two(w, party->policy);
        else if (kind == 1)
            put_in_place(w, &random, party->policy);
        else
            require_written(write_record(w, RECORD_MIN + random_below(&random, 300)), party->policy);
    }
    require_account(w);
    ringd_writer_close(w);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static void open_tracker(struct tracker *tracker)
{
    *tracker = (struct tracker){0};
    for (int i = 0; i < 31; i++)
        tracker->known[i] = true; /* from the first record on */
}

static uint64_t accounted(const struct tracker *tracker)
{
    return tracker_delivered(tracker) + tracker_lost(tracker);
}

static bool all_seen(const struct party *party, const struct tracker *tracker)
{
    return atomic_load(&party->known) == 1 && accounted(tracker) >= atomic_load(&party->written);
}

static void take(struct tracker *tracker, const struct ringd_record *record, int result)
{
    if (result == RINGD_OK)
        tracker_record(tracker, record);
    else if (result == RINGD_GAP)
        tracker_gap(tracker, record);
    else
        require(result == RINGD_WOULD_BLOCK, "result %d (%s)", result, ringd_strerror(result));
}

static void read_one_by_one(const struct party *party, struct ringd_reader *reader)
{
    struct tracker tracker;
    struct ringd_record record;

    open_tracker(&tracker);
    while (!all_seen(party, &tracker)) {
        int result;

        ringd_reader_deadline(reader, now_ns() + 10000000);
        result = ringd_next(reader, &record);
        take(&tracker, &record, result);
        require(ringd_release(reader) == RINGD_OK, "release");
    }
    require(accounted(&tracker) == atomic_load(&party->written), "%" PRIu64 " of %" PRIu64, accounted(&tracker),
            atomic_load(&party->written));
}

/* Holds what it was given for a while, and looks at it again before it gives it back. */
static void read_and_hold(const struct party *party, struct ringd_reader *reader)
{
    struct ringd_record records[40];
    struct tracker tracker;
    size_t count, held = 0;

    open_tracker(&tracker);
    while (!all_seen(party, &tracker)) {
        int result;

        ringd_reader_deadline(reader, now_ns() + 10000000);
        result = ringd_next_many(reader, records + held, 20, &count);
        if (result != RINGD_OK || count == 0)
            take(&tracker, records + held, result);
        else
            for (size_t i = 0; i < count; i++)
                tracker_record(&tracker, &records[held + i]);
        held += result == RINGD_OK ? count : 0;
        if (held <= 20 && result == RINGD_OK)
            continue;
        for (size_t i = 0; i < held; i++)
            record_verify(&records[i]);
        require(ringd_release(reader) == RINGD_OK, "release");
        held = 0;
    }
}

static void read_everything(void *argument)
{
    struct party *party = argument;
    uint32_t turn = atomic_fetch_add(&party->next_mode, 1);
    uint32_t mode = turn == 0 || turn == 3 ? RINGD_READ_LOSSLESS : turn == 1 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE;
    struct ringd_reader *reader;

    if (party->policy == RINGD_OVERWRITE && mode == RINGD_READ_LOSSLESS)
        mode = RINGD_READ_LOSSY;
    reader = open_reader(RING, mode, RINGD_START_NOW);
    atomic_fetch_add(&party->ready, 1);
    if (turn == 3 && mode == RINGD_READ_LOSSLESS)
        read_and_hold(party, reader);
    else
        read_one_by_one(party, reader);
    ringd_reader_close(reader);
}

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

static const uint32_t policies[] = {RINGD_LOSSLESS, RINGD_DROP, RINGD_OVERWRITE};

/* Somebody who has not been on a processor for so many moves is waited for. */
static void resize(uint64_t size)
{
    int result;

    while ((result = ringd_resize(RING, size)) == -EBUSY)
        pause_ms(1);
    require(result == 0, "resize: %d (%s)", result, ringd_error());
}

struct crew {
    pid_t readers[READERS], writers[WRITERS];
    unsigned objects; /* of the ring alone */
};

static void start_crew(struct crew *crew, struct party *party, struct ringd_ring_options options)
{
    options.policy = party->policy;
    options.max_record = RECORD;
    make_ring(RING, options);
    crew->objects = daemon_objects(&server);
    for (int i = 0; i < READERS; i++)
        crew->readers[i] = child_start(read_everything, party);
    while (atomic_load(&party->ready) < READERS)
        pause_ms(1);
    for (int i = 0; i < WRITERS; i++)
        crew->writers[i] = child_start(write_all_kinds, party);
    while (atomic_load(&party->ready) < READERS + WRITERS)
        pause_ms(1);
}

/* Every record has been given to every reader once, and nothing of old generations is left. */
static void finish_crew(struct crew *crew, struct party *party)
{
    struct ringd_info info;

    atomic_store(&party->over, 1);
    for (int i = 0; i < WRITERS; i++)
        child_finish(crew->writers[i]);
    wait_for_contexts(RING, READERS);
    info = ring_info(RING);
    atomic_store(&party->written, info.committed);
    atomic_store(&party->known, 1);
    for (int i = 0; i < READERS; i++)
        child_finish(crew->readers[i]);
    wait_for_contexts(RING, 0);
    if (party->policy != RINGD_OVERWRITE) /* else it shows its past until it is full again */
        ck_assert_uint_eq(daemon_objects(&server), crew->objects);
    ck_assert_uint_eq(info.offered, info.committed + info.aborted + info.refused + info.dropped_full +
                                        info.dropped_stalled + info.lost);
}

START_TEST(a_ring_is_resized_under_full_load)
{
    struct party *party = new_party(policies[_i]);
    struct crew crew;

    start_crew(&crew, party, (struct ringd_ring_options){.size = LARGE});
    for (int i = 0; i < RESIZES; i++) {
        resize(i % 2 == 0 ? SMALL : LARGE);
        pause_ms(10);
    }
    ck_assert_uint_eq(ring_info(RING).generation, 1 + RESIZES);
    finish_crew(&crew, party);
}
END_TEST

/* ---- those who come later ---------------------------------------------------------------------------------------- */

static void put_some(struct ringd_writer *w, int count)
{
    for (int i = 0; i < count; i++)
        require(write_record(w, RECORD_MIN) == RINGD_OK, "record %d", i);
}

static uint64_t drain_from_oldest(uint32_t mode)
{
    struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_OLDEST);
    struct tracker tracker = {0};
    int result = tracker_drain(&tracker, reader);

    require(result == RINGD_WOULD_BLOCK && tracker_lost(&tracker) == 0, "result %d", result);
    ringd_reader_close(reader);
    return tracker_delivered(&tracker);
}

/* A flight recorder has not forgotten its past because it was resized; until it is full again. */
START_TEST(a_ring_that_overwrites_shows_its_past)
{
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SMALL, .policy = RINGD_OVERWRITE});
    w = open_writer(RING);
    put_some(w, 100);
    resize(LARGE);
    put_some(w, 50);
    ck_assert_uint_eq(drain_from_oldest(RINGD_READ_LOSSY), 150);
    resize(SMALL);
    put_some(w, 25);
    ck_assert_uint_eq(drain_from_oldest(RINGD_READ_OBSERVE), 175);
    put_some(w, 5000);
    ringd_writer_close(w);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(daemon_objects(&server), 3); /* one generation and the record */
}
END_TEST

/* A ring that holds its records keeps them for the lossless reader that comes. */
START_TEST(a_ring_that_holds_keeps_what_it_has)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_POSITION};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    struct ringd *ring;
    uint64_t third = 0;

    make_ring(RING, (struct ringd_ring_options){.size = SMALL, .hold = 1});
    w = open_writer(RING);
    put_some(w, 100);
    resize(LARGE);
    put_some(w, 50);
    wait_for_contexts(RING, 1);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    for (int i = 0; i < 3; i++, third = record.position)
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ringd_reader_close(reader);
    options.position = third;
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.sequence, 2);
    ringd_reader_close(reader);
    options.position = third + 32;
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
    ringd_close(ring);
    ck_assert_uint_eq(drain_from_oldest(RINGD_READ_LOSSLESS), 150);
    put_some(w, 1);
    ringd_writer_close(w);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(daemon_objects(&server), 3);
}
END_TEST

/* ---- a writer that is stopped in the middle ---------------------------------------------------------------------- */

static void note_victim(pid_t pid, void *argument)
{
    struct party *party = argument;

    atomic_store(&party->victim, pid);
}

/* A breakpoint slows it down: it may count as stopped, and be killed, before it comes to the point. */
static void run_victim(void *argument)
{
    struct party *party = argument;
    struct stop_order order = {.point = party->point,
                               .action = STOP_STOP,
                               .nth = 3,
                               .run = write_all_kinds,
                               .argument = argument,
                               .reached = note_victim};
    int code = stop_run(&order);

    require(code == 0 || code == 128 + SIGKILL || code == STOP_EXIT_NOT_PASSED, "%s: exit code %d", party->point, code);
    if (atomic_load(&party->victim) == 0)
        atomic_store(&party->victim, -1);
}

/* Others have written more than the ring holds. */
static void wait_for_others(uint64_t bytes)
{
    uint64_t until = ring_info(RING).position + bytes;

    while (ring_info(RING).position < until)
        pause_ms(1);
}

static const char *const points[] = {
    "reserve-length", "reserve-begin",  "reserve-added",   "reserve-exact",
    "commit-stamped", "commit-counted", "commit-sequence", "commit-finished",
};
#define POINTS (sizeof points / sizeof points[0])

/* Moves past it, or kills it; the others have gone round the ring before it wakes. */
static void stop_at(const char *point, uint32_t policy, uint32_t stopped)
{
    struct party *party = new_party(policy);
    struct crew crew;
    pid_t victim;

    party->point = point;
    start_crew(&crew, party, (struct ringd_ring_options){.size = SMALL, .stopped = stopped, .stopped_after_ms = 50});
    victim = child_start(run_victim, party);
    while (atomic_load(&party->victim) == 0)
        pause_ms(1);
    wait_for_others(2 * SMALL);
    if (stopped == RINGD_STOPPED_MOVE && atomic_load(&party->victim) > 0)
        kill(atomic_load(&party->victim), SIGCONT);
    if (stopped == RINGD_STOPPED_KILL && atomic_load(&party->victim) > 0)
        kill(atomic_load(&party->victim), SIGKILL); /* where it holds nobody up it is let live */
    pause_ms(20);
    atomic_store(&party->over, 1);
    child_finish(victim);
    finish_crew(&crew, party);
    ringd_remove(RING);
}

START_TEST(others_move_past_a_stopped_writer)
{
    for (size_t i = 0; i < POINTS; i++)
        stop_at(points[i], policies[_i], RINGD_STOPPED_MOVE);
}
END_TEST

START_TEST(a_stopped_writer_is_killed)
{
    for (size_t i = 0; i < POINTS; i++)
        stop_at(points[i], policies[_i], RINGD_STOPPED_KILL);
}
END_TEST

/* It is shown, with how far the others can go, and nothing else happens. */
START_TEST(a_stopped_writer_is_reported)
{
    struct party *party = new_party(RINGD_LOSSLESS);
    struct ringd_context_info context;
    struct crew crew;
    pid_t victim;

    party->point = "reserve-exact";
    start_crew(&crew, party, (struct ringd_ring_options){.size = SMALL});
    victim = child_start(run_victim, party);
    while (atomic_load(&party->victim) == 0)
        pause_ms(1);
    for (bool seen = false; !seen; pause_ms(1)) {
        struct ringd_context_info all[WRITERS + READERS + 1];
        size_t count = 0;

        require(ringd_status(RING, NULL, all, WRITERS + READERS + 1, &count) == 0, "status");
        for (size_t i = 0; i < count; i++) {
            if (all[i].state == RINGD_CONTEXT_STOPPED)
                context = all[i];
            seen |= all[i].state == RINGD_CONTEXT_STOPPED;
        }
    }
    ck_assert_uint_eq(context.kind, RINGD_CONTEXT_WRITER);
    ck_assert_uint_eq(context.pid, (uint32_t)atomic_load(&party->victim));
    ck_assert_uint_ne(context.since_ns, 0);
    ck_assert_uint_le(context.ahead, SMALL);
    kill(atomic_load(&party->victim), SIGCONT);
    wait_for_others(SMALL);
    atomic_store(&party->over, 1);
    child_finish(victim);
    finish_crew(&crew, party);
    ck_assert_uint_eq(ring_info(RING).generation, 1);
}
END_TEST

/* ---- the daemon dies in a move ----------------------------------------------------------------------------------- */

static const char *const move_points[] = {
    "move-prepared", "move-begun",   "move-closed",   "move-journal", "move-sealed",
    "move-settled",  "move-carried", "move-recorded", "move-done",    "move-woken",
};
#define MOVE_POINTS (sizeof move_points / sizeof move_points[0])

/* Killed there, once or twice in a row; the next daemon finishes the move, or there was none. */
static void die_at(const char *point, int deaths, uint64_t size)
{
    uint64_t before = ring_info(RING).size;
    int result;
    bool moved = strcmp(point, "move-prepared") != 0; /* before that there was none */

    daemon_kill(&server);
    for (int i = 0; i < deaths; i++) {
        if (!daemon_restart_to_die(&server, point, 1))
            continue; /* it has died while it finished its predecessor's move */
        while ((result = ringd_resize(RING, size)) == -EBUSY)
            pause_ms(1);
        require(result == -ECONNRESET, "at %s it went on: %d (%s)", point, result, ringd_error());
        child_wait(server.pid);
    }
    daemon_restart(&server, NULL);
    require(ring_info(RING).size == (moved ? size : before), "at %s the move was not finished", point);
}

START_TEST(the_daemon_dies_in_a_move)
{
    struct party *party = new_party(policies[_i]);
    struct crew crew;

    start_crew(&crew, party, (struct ringd_ring_options){.size = LARGE});
    for (size_t i = 0; i < MOVE_POINTS; i++) {
        die_at(move_points[i], 1, SMALL);
        wait_for_others(SMALL);
        die_at(move_points[i], 2, LARGE);
        wait_for_others(SMALL);
    }
    finish_crew(&crew, party);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("move");
    TCase *tests = add_case(suite, "move");

    tcase_add_loop_test(tests, a_ring_is_resized_under_full_load, 0, 3);
    tcase_add_test(tests, a_ring_that_overwrites_shows_its_past);
    tcase_add_test(tests, a_ring_that_holds_keeps_what_it_has);
    tests = add_case(suite, "stopped");
    tcase_add_loop_test(tests, others_move_past_a_stopped_writer, 0, 3);
    tcase_add_loop_test(tests, a_stopped_writer_is_killed, 0, 3);
    tcase_add_test(tests, a_stopped_writer_is_reported);
    tests = add_case(suite, "daemon dies");
    tcase_add_loop_test(tests, the_daemon_dies_in_a_move, 0, 3);
    return run_suite(suite);
}
