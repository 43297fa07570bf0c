/* check_move.c - rings that move to a new generation while they are used.
 *
 * Writers and readers of every kind run at full speed while the ring is resized up and down. Each record describes itself;
 * each reader has to be given every record, or told that it lost it, exactly once and in its writer's order; each writer's
 * accounts have to add up; nobody sees an error.
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
#include "writer.h"

#define RING    "move"
#define WRITERS 3
#define READERS 4
#ifndef RESIZES
#define RESIZES 20
#endif
#define LARGE   (UINT64_C(1) << 20)
#define SMALL   (UINT64_C(1) << 16)
#define RECORD  1024u /* max_record */

/* What the processes of a test share. */
struct party {
    uint32_t policy;
    _Atomic uint32_t over;  /* writers end */
    _Atomic uint32_t ready;
    _Atomic uint32_t next_mode;
    _Atomic uint64_t written; /* records committed by writers that have ended */
    _Atomic uint64_t anew;
    _Atomic uint32_t told;
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
    struct random_source random = {.state = support_seed() + atomic_fetch_add(&party->ready, 1)};
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

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
    atomic_fetch_add(&party->written, writer_sequence(w));
    ringd_writer_close(w);
    atomic_fetch_add(&party->over, 1);
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
    return atomic_load(&party->over) == 1 + WRITERS && accounted(tracker) == atomic_load(&party->written);
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
    require(accounted(&tracker) == atomic_load(&party->written), "more than was written");
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

START_TEST(a_ring_is_resized_under_full_load)
{
    struct party *party = new_party(policies[_i]);
    pid_t readers[READERS], writers[WRITERS];
    unsigned objects;

    make_ring(RING, (struct ringd_ring_options){.size = LARGE, .max_record = RECORD, .policy = policies[_i]});
    objects = daemon_objects(&server);
    for (int i = 0; i < READERS; i++)
        readers[i] = child_start(read_everything, party);
    while (atomic_load(&party->ready) < READERS)
        pause_ms(1);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = child_start(write_all_kinds, party);
    for (int i = 0; i < RESIZES; i++) {
        resize(i % 2 == 0 ? SMALL : LARGE);
        pause_ms(1);
    }
    atomic_fetch_add(&party->over, 1);
    for (int i = 0; i < WRITERS; i++)
        child_finish(writers[i]);
    for (int i = 0; i < READERS; i++)
        child_finish(readers[i]);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(ring_info(RING).generation, 1 + RESIZES);
    ck_assert_uint_eq(ring_info(RING).committed, atomic_load(&party->written));
    ck_assert_uint_eq(daemon_objects(&server), objects); /* old generations are gone */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("move");
    TCase *tests = add_case(suite, "move");

    tcase_add_loop_test(tests, a_ring_is_resized_under_full_load, 0, 3);
    return run_suite(suite);
}
