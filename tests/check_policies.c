/* check_policies.c - what happens when the ring is full: lossless, hold, drop, overwrite, and who is served first.
 *
 * The rings here are small, so that they are full after a few dozen records, and nothing is left to chance: a helper
 * that is to wait is waited for until it stands in the queue and sleeps in the kernel. Accounts are closed each time:
 * offered = committed + aborted + dropped + refused for each writer, and every lossless reader sees every record from
 * its start on, at the very place where the one before it ended.
 *
 * The deadline is the only time looked at, and only that nobody gives up before it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING       "policies"

#define SIZE       16384
#define MAX_RECORD 256
#define PAYLOAD    32
#define RECORD     64 /* with its header */

#define NS_PER_MS  INT64_C(1000000)

/* ---- small things ------------------------------------------------------------------------------------------------ */

static void make_policy_ring(uint32_t policy, uint32_t hold)
{
    make_ring(RING,
              (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .policy = policy, .hold = hold});
}

static uint64_t position_of(const struct ringd_writer *w)
{
    uint64_t position;

    ck_assert_int_eq(ring_position(&w->ring.ring, &position), 0);
    return position;
}

/* Writes until it is told something else than RINGD_OK, which it returns. */
static int fill(struct ringd_writer *w, size_t len)
{
    int result;

    do
        result = write_record(w, len);
    while (result == RINGD_OK);
    return result;
}

static void *open_grant(struct ringd_writer *w)
{
    size_t granted;
    void *data;

    ck_assert_int_eq(ringd_reserve(w, PAYLOAD, PAYLOAD, &data, &granted), RINGD_OK);
    record_make(data, PAYLOAD, writer_slot(w), writer_sequence(w));
    return data;
}

static struct ringd_writer_counters counters_of(const struct ringd_writer *w)
{
    struct ringd_writer_counters c;

    ck_assert_int_eq(ringd_writer_count(w, &c), RINGD_OK);
    ck_assert_uint_eq(c.offered, c.committed + c.aborted + c.dropped_full + c.dropped_stalled + c.refused);
    return c;
}

/* Requires a record, or nothing; reads at most `max`. */
static size_t take(struct tracker *tracker, struct ringd_reader *reader, size_t max)
{
    struct ringd_record record;
    size_t taken = 0;
    int result = RINGD_OK;

    while (taken < max && (result = ringd_next(reader, &record)) == RINGD_OK) {
        tracker_record(tracker, &record);
        taken++;
    }
    require(result == RINGD_OK || result == RINGD_WOULD_BLOCK || result == RINGD_END, "result %d", result);
    require(ringd_release(reader) == RINGD_OK, "evicted");
    return taken;
}

/* ---- helpers that wait ------------------------------------------------------------------------------------------- */

/* A writer or reader in a process of its own; `slot` is set when it is attached, `done` when its call has returned. */
struct helper {
    size_t len;
    uint32_t mode;
    int expected;
    _Atomic uint32_t attached;
    _Atomic uint32_t done;
    uint32_t slot;
    pid_t pid;
};

static struct helper *helper_new(void)
{
    return shared_new(sizeof(struct helper));
}

static void helper_write(void *argument)
{
    struct helper *h = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    int result;

    h->slot = writer_slot(w);
    atomic_store(&h->attached, 1);
    result = write_record(w, h->len);
    require(result == h->expected, "result %d", result);
    atomic_store(&h->done, 1);
}

/* Reads without end, until something else than a record comes. */
static void helper_read(void *argument)
{
    struct helper *h = argument;
    struct ringd_reader *reader = open_reader_until(RING, h->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct tracker tracker = {0};
    int result;

    atomic_store(&h->attached, 1);
    result = tracker_drain(&tracker, reader);
    require(result == h->expected, "result %d", result);
    atomic_store(&h->done, 1);
}

static bool is_waiting(const struct ringd_writer *any, const struct helper *h)
{
    return atomic_load(&any->ring.ring.lane->waiters) >> h->slot & 1;
}

/* Returns when it is in the queue and asleep. */
static struct helper *start_waiting_writer(const struct ringd_writer *any, size_t len)
{
    struct helper *h = helper_new();

    h->len = len;
    h->pid = child_start(helper_write, h);
    while (!atomic_load(&h->attached) || !is_waiting(any, h))
        pause_ms(1);
    child_wait_asleep(h->pid);
    ck_assert_uint_eq(atomic_load(&h->done), 0);
    return h;
}

static struct helper *start_waiting_reader(uint32_t mode)
{
    struct helper *h = helper_new();

    h->mode = mode;
    h->expected = RINGD_END;
    h->pid = child_start(helper_read, h);
    while (!atomic_load(&h->attached))
        pause_ms(1);
    child_wait_asleep(h->pid);
    return h;
}

/* ---- lossless ---------------------------------------------------------------------------------------------------- */

START_TEST(lossless_is_full_without_a_deadline)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_writer *w;
    struct iovec batch[3];
    uint64_t full_at, committed;
    size_t granted;
    void *data;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
    full_at = position_of(w);
    committed = writer_sequence(w);
    for (int i = 0; i < 3; i++)
        batch[i] = (struct iovec){.iov_base = "abc", .iov_len = 3};
    ck_assert_int_eq(ringd_writev(w, batch, 3), RINGD_FULL);
    ck_assert_int_eq(ringd_write_batch(w, batch, 3), RINGD_FULL);
    ck_assert_int_eq(ringd_reserve(w, PAYLOAD, MAX_RECORD, &data, &granted), RINGD_FULL);
    ck_assert_int_eq(ringd_writer_deadline(w, 1), RINGD_OK); /* long past */
    ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_FULL);
    ck_assert_uint_eq(position_of(w), full_at);
    ck_assert_uint_eq(counters_of(w).refused, 1 + 1 + 3 + 1 + 1);
    ck_assert_uint_eq(counters_of(w).committed, committed);
    ck_assert_uint_eq(counters_of(w).dropped_full, 0);

    ck_assert_uint_eq(take(&tracker, reader, SIZE_MAX), committed);
    ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
    ck_assert_uint_eq(take(&tracker, reader, SIZE_MAX), 1);
}
END_TEST

START_TEST(lossless_waits_until_the_deadline)
{
    struct iovec batch[] = {{"abc", 3}, {"defg", 4}};
    struct ringd_writer *w;
    size_t granted;
    void *data;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    for (int i = 0; i < 12; i++) {
        int64_t deadline = now_ns() + (1 + i * 3) * NS_PER_MS;
        int result;

        ringd_writer_deadline(w, deadline);
        if (i % 4 == 0)
            result = ringd_write(w, "abc", 3);
        else if (i % 4 == 1)
            result = ringd_writev(w, batch, 2);
        else if (i % 4 == 2)
            result = ringd_write_batch(w, batch, 2);
        else
            result = ringd_reserve(w, 10, 20, &data, &granted);
        ck_assert_int_ge(now_ns(), deadline);
        ck_assert_int_eq(result, RINGD_FULL);
        ck_assert_uint_eq(atomic_load(&w->ring.ring.lane->waiters), 0);
    }
    ck_assert_uint_gt(counters_of(w).waited, 0);
    ck_assert_uint_eq(counters_of(w).refused, 1 + 12 + 3);
}
END_TEST

/* By its release, by its leaving, by its death. */
START_TEST(lossless_goes_on_when_the_reader_does)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_writer *w;
    struct helper *h, *dying;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    h = start_waiting_writer(w, PAYLOAD);
    take(&tracker, reader, 1);
    child_finish(h->pid);

    fill(w, PAYLOAD);
    h = start_waiting_writer(w, PAYLOAD);
    ringd_reader_close(reader);
    child_finish(h->pid);

    dying = start_waiting_reader(RINGD_READ_LOSSLESS);
    child_stop(dying->pid);
    fill(w, PAYLOAD);
    h = start_waiting_writer(w, PAYLOAD);
    child_kill(dying->pid);
    child_finish(h->pid);
}
END_TEST

/* ---- hold and free ----------------------------------------------------------------------------------------------- */

START_TEST(hold_keeps_what_it_has)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_writer *w;
    struct helper *h;
    uint64_t committed;

    make_policy_ring(RINGD_LOSSLESS, 1);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
    committed = writer_sequence(w);
    h = start_waiting_writer(w, PAYLOAD);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    ck_assert_uint_eq(take(&tracker, reader, committed), committed);
    ck_assert_uint_eq(tracker.next[writer_slot(w)], committed); /* from its very first one on */
    child_finish(h->pid);
    ck_assert_uint_eq(take(&tracker, reader, SIZE_MAX), 1);

    /* Left alone again, it keeps what nobody has read. */
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
    ringd_reader_close(reader);
    wait_for_contexts(RING, 3);
    ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    tracker = (struct tracker){0};
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_ge(tracker_delivered(&tracker), writer_sequence(w) - committed);
    ck_assert_uint_eq(tracker.next[writer_slot(w)], writer_sequence(w));
}
END_TEST

/* Nobody's reading holds it up but a lossless reader's. */
START_TEST(free_runs_on)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_policy_ring((uint32_t)_i, 0);
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    for (int visit = 0; visit < 3; visit++) {
        for (int i = 0; i < 10 * SIZE / RECORD; i++)
            ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
        if (_i == RINGD_OVERWRITE)
            continue;
        reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
        ck_assert_int_eq(fill(w, PAYLOAD), _i == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL);
        ringd_reader_close(reader);
        wait_for_contexts(RING, 3);
    }
}
END_TEST

/* ---- drop -------------------------------------------------------------------------------------------------------- */

/* It never waits, whatever the deadline; the reader sees what was not dropped, without a gap. */
START_TEST(drop_counts_what_a_reader_is_in_the_way_of)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_info info;
    struct ringd_writer *w;
    struct iovec batch[3];
    uint64_t dropped = 0;
    size_t granted;
    void *data;

    make_policy_ring(RINGD_DROP, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 3; i++)
        batch[i] = (struct iovec){.iov_base = "abc", .iov_len = 3};
    for (int round = 0; round < 20; round++) {
        ck_assert_int_eq(fill(w, PAYLOAD), RINGD_DROPPED);
        ck_assert_int_eq(ringd_writev(w, batch, 3), RINGD_DROPPED);
        ck_assert_int_eq(ringd_write_batch(w, batch, 3), RINGD_DROPPED);
        ck_assert_int_eq(ringd_reserve(w, PAYLOAD, PAYLOAD, &data, &granted), RINGD_DROPPED);
        dropped += 1 + 1 + 3 + 1;
        ck_assert_uint_eq(counters_of(w).dropped_full, dropped);
        ck_assert_uint_gt(take(&tracker, reader, round % 2 == 0 ? 30 : SIZE_MAX), 0);
    }
    take(&tracker, reader, SIZE_MAX);
    ck_assert_uint_eq(tracker_delivered(&tracker), counters_of(w).committed);
    ck_assert_uint_eq(counters_of(w).dropped_stalled, 0);
    ck_assert_uint_eq(counters_of(w).refused, 0);
    ck_assert_uint_eq(counters_of(w).waited, 0);
    info = ring_info(RING);
    ck_assert_uint_eq(info.dropped_full, dropped);
    ck_assert_uint_eq(info.dropped_stalled, 0);
    ck_assert_uint_eq(info.offered, info.committed + dropped);
}
END_TEST

/* A writer has held its grant open for a lap; no reader is to blame. */
START_TEST(drop_counts_what_a_stalled_writer_is_in_the_way_of)
{
    struct ringd_writer *w, *stalled;
    struct ringd_reader *reader;
    struct tracker tracker = {0};

    make_policy_ring(RINGD_DROP, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    stalled = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    for (int with_reader = 0; with_reader < 2; with_reader++) {
        if (with_reader) {
            reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
            tracker = (struct tracker){0};
        }
        open_grant(stalled);
        ck_assert_int_eq(fill(w, PAYLOAD), RINGD_DROPPED);
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_DROPPED);
        ck_assert_uint_eq(take(&tracker, reader, SIZE_MAX), 0); /* it cannot read past it */
        ck_assert_uint_eq(counters_of(w).dropped_stalled, 11 * (uint64_t)(with_reader + 1));
        ck_assert_uint_eq(counters_of(w).dropped_full, 0);
        ck_assert_int_eq(ringd_commit(stalled, PAYLOAD), RINGD_OK);
        take(&tracker, reader, SIZE_MAX);
        ck_assert_uint_eq(tracker_lost(&tracker), 0);
        ck_assert_uint_eq(tracker.next[writer_slot(w)], writer_sequence(w));
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
        take(&tracker, reader, SIZE_MAX);
    }
    ck_assert_uint_eq(ring_info(RING).dropped_stalled, 22);
}
END_TEST

/* ---- overwrite --------------------------------------------------------------------------------------------------- */

START_TEST(overwrite_stops_before_a_stalled_writer_only)
{
    struct ringd_reader *reader;
    struct ringd_reader_options lossless = {.mode = RINGD_READ_LOSSLESS};
    struct ringd_writer *w, *stalled;
    struct ringd *ring;
    struct ringd_record record;
    uint64_t stalled_at;
    int64_t deadline;

    make_policy_ring(RINGD_OVERWRITE, 0);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &lossless), -EOPNOTSUPP);
    ringd_close(ring);
    w = open_writer(RING);
    stalled = open_writer(RING);
    for (int i = 0; i < 10 * SIZE / RECORD; i++)
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);

    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    stalled_at = position_of(w);
    open_grant(stalled);
    ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
    ck_assert_uint_gt(position_of(w), stalled_at + SIZE / 4);
    ck_assert_uint_le(position_of(w), stalled_at + SIZE);
    deadline = now_ns() + 5 * NS_PER_MS;
    ringd_writer_deadline(w, deadline);
    ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_FULL);
    ck_assert_int_ge(now_ns(), deadline);
    ringd_writer_deadline(w, RINGD_NO_WAIT);
    ck_assert_int_eq(ringd_commit(stalled, PAYLOAD), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    record_verify(&record);
    ck_assert_uint_eq(record.position, stalled_at);
    for (int i = 0; i < 3 * SIZE / RECORD; i++)
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
    ck_assert_uint_eq(counters_of(w).refused, 2);
}
END_TEST

/* A writer that sleeps is woken by the stalled one's commit or abort. */
START_TEST(a_stalled_writer_wakes_who_waits_for_it)
{
    struct ringd_writer *w, *stalled;
    struct helper *h;

    make_policy_ring(RINGD_OVERWRITE, 0);
    w = open_writer(RING);
    stalled = open_writer(RING);
    for (int round = 0; round < 2; round++) {
        open_grant(stalled);
        ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
        h = start_waiting_writer(w, PAYLOAD);
        ck_assert_int_eq(round == 0 ? ringd_commit(stalled, PAYLOAD) : ringd_abort(stalled), RINGD_OK);
        child_finish(h->pid);
    }
}
END_TEST

/* ---- all kinds of readers at once -------------------------------------------------------------------------------- */

static void expect_all(struct tracker *tracker)
{
    *tracker = (struct tracker){0};
    for (int i = 0; i < 31; i++)
        tracker->known[i] = true;
}

START_TEST(lossless_lossy_and_observer_together)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_writer *writers[3];
    struct ringd_reader *readers[4];
    struct tracker trackers[4];
    static const uint32_t modes[] = {RINGD_READ_LOSSLESS, RINGD_READ_LOSSY, RINGD_READ_OBSERVE, RINGD_READ_LOSSLESS};

    make_policy_ring((uint32_t)_i, 0);
    for (int i = 0; i < 3; i++)
        writers[i] = open_writer(RING);
    for (int i = 0; i < 4; i++) {
        readers[i] = open_reader(RING, modes[i], RINGD_START_NOW);
        expect_all(&trackers[i]);
    }
    for (int round = 0; round < 20000; round++) {
        uint64_t choice = random_below(&random, 40);

        if (choice < 32)
            write_record(writers[choice % 3], RECORD_MIN + random_below(&random, MAX_RECORD - RECORD_MIN));
        else if (choice < 38)
            take(&trackers[choice & 2 ? 0 : 3], readers[choice & 2 ? 0 : 3], random_below(&random, 60));
        else if (random_below(&random, 6) == 0)
            tracker_drain(&trackers[choice - 37], readers[choice - 37]);
    }
    for (int i = 0; i < 4; i++) {
        tracker_drain(&trackers[i], readers[i]);
        for (int j = 0; j < 3; j++)
            ck_assert_uint_eq(trackers[i].delivered[j] + trackers[i].lost[j], writer_sequence(writers[j]));
    }
    ck_assert_uint_eq(tracker_lost(&trackers[0]) + tracker_lost(&trackers[3]), 0);
    ck_assert_uint_gt(tracker_lost(&trackers[1]), 0);
    for (int j = 0; j < 3; j++)
        counters_of(writers[j]);
}
END_TEST

/* ---- lossless readers join and leave, writers go on -------------------------------------------------------------- */

#define CROWD_WRITERS 2
#define CROWD_READERS 3
#define CROWD_RECORDS 15000 /* of each writer, at least */
#define CROWD_VISITS  60    /* of all readers, at least */

struct crowd {
    bool steady; /* one lossless reader stays all the time, and sees everything */
    _Atomic uint32_t ready;
    _Atomic uint32_t finished;
    _Atomic uint64_t visits;
    _Atomic uint64_t written;
    uint64_t seed;
};

struct member {
    struct crowd *crowd;
    uint32_t number;
};

static bool crowd_finished(const struct crowd *crowd)
{
    return atomic_load(&crowd->finished) == CROWD_WRITERS;
}

static void crowd_write(void *argument)
{
    const struct member *m = argument;
    struct random_source random = {.state = m->crowd->seed + m->number};
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct ringd_writer_counters c;
    uint64_t written = 0;

    atomic_fetch_add(&m->crowd->ready, 1);
    while (atomic_load(&m->crowd->ready) < CROWD_WRITERS + (m->crowd->steady ? 1 : 0))
        sched_yield();
    for (; written < CROWD_RECORDS || atomic_load(&m->crowd->visits) < CROWD_VISITS; written++) {
        int result = write_record(w, RECORD_MIN + random_below(&random, MAX_RECORD - RECORD_MIN + 1));

        require(result == RINGD_OK, "result %d", result);
    }
    require(ringd_writer_count(w, &c) == RINGD_OK && c.offered == written && c.committed == written,
            "%" PRIu64 " offered, %" PRIu64 " committed", c.offered, c.committed);
    atomic_fetch_add(&m->crowd->written, written);
    atomic_fetch_add(&m->crowd->finished, 1);
}

/* Reads up to `max` records. No grant in this ring is larger than its record, so each record begins exactly where the
 * one before it ended, and the first one where the reader started. */
static void read_chain(struct tracker *tracker, struct ringd_reader *reader, uint64_t max, const struct crowd *crowd)
{
    struct ringd_record record;

    for (uint64_t taken = 0; taken < max;) {
        bool finished = crowd_finished(crowd);
        uint64_t place = ringd_reader_position(reader);
        int result = ringd_next(reader, &record);

        if (result == RINGD_WOULD_BLOCK && finished)
            return;
        if (result == RINGD_WOULD_BLOCK) {
            sched_yield();
            continue;
        }
        require(result == RINGD_OK, "result %d", result);
        require(record.position == place, "a record at %" PRIu64 " instead of %" PRIu64, record.position, place);
        tracker_record(tracker, &record);
        if (++taken % 8 == 0)
            require(ringd_release(reader) == RINGD_OK, "evicted at %" PRIu64, place);
    }
}

static void crowd_visit(void *argument)
{
    const struct member *m = argument;
    struct random_source random = {.state = m->crowd->seed - m->number};

    while (!crowd_finished(m->crowd)) {
        uint32_t start = random_below(&random, 2) == 0 ? RINGD_START_NOW : RINGD_START_OLDEST;
        struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, start);
        struct tracker tracker = {0};

        read_chain(&tracker, reader, random_below(&random, 300), m->crowd);
        ringd_reader_close(reader);
        atomic_fetch_add(&m->crowd->visits, 1);
    }
}

static void crowd_stay(void *argument)
{
    const struct member *m = argument;
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct tracker tracker;

    expect_all(&tracker);
    atomic_fetch_add(&m->crowd->ready, 1);
    read_chain(&tracker, reader, UINT64_MAX, m->crowd);
    require(tracker_delivered(&tracker) == atomic_load(&m->crowd->written), "%" PRIu64 " delivered",
            tracker_delivered(&tracker));
}

START_TEST(lossless_readers_come_and_go_on_a_full_ring)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct member members[CROWD_WRITERS + CROWD_READERS + 1];
    pid_t pids[CROWD_WRITERS + CROWD_READERS + 1];
    uint32_t count = CROWD_WRITERS + CROWD_READERS + (_i == 1);

    crowd->seed = support_seed();
    crowd->steady = _i == 1;
    make_policy_ring(RINGD_LOSSLESS, 0);
    for (uint32_t i = 0; i < count; i++) {
        members[i] = (struct member){.crowd = crowd, .number = i};
        pids[i] = child_start(i < CROWD_WRITERS                   ? crowd_write
                              : i < CROWD_WRITERS + CROWD_READERS ? crowd_visit
                                                                  : crowd_stay,
                              &members[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        child_finish(pids[i]);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(ring_info(RING).offered, crowd->written);
    ck_assert_uint_eq(ring_info(RING).committed, crowd->written);
}
END_TEST

/* ---- in order of arrival ----------------------------------------------------------------------------------------- */

#define LARGE MAX_RECORD

/* A reader publishes what it releases in batches, and at once when a writer sleeps for it, which it notices in its next
 * call: so it makes calls while we wait for a helper. */
static void finish_while_releasing(struct ringd_reader *reader, const struct helper *h)
{
    while (!atomic_load(&h->done)) {
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        pause_ms(1);
    }
    child_finish(h->pid);
}

static void release_one(struct tracker *tracker, struct ringd_reader *reader)
{
    ck_assert_uint_eq(take(tracker, reader, 1), 1);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        sched_yield();
    }
}

/* A large one is first in the queue. Space comes back in small pieces, any of which would do for those behind it. */
START_TEST(rule_11_served_in_order_of_arrival)
{
    static const size_t lens[] = {LARGE, PAYLOAD, PAYLOAD, LARGE, RECORD_MIN, PAYLOAD};
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct helper *helpers[6];
    struct ringd_writer *w;
    uint64_t room = 0;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    for (int i = 0; i < 6; i++)
        helpers[i] = start_waiting_writer(w, lens[i]);
    for (int i = 0; i < 6; i++) {
        for (; room < ring_record_bytes(lens[i]); room += RECORD) {
            ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL); /* a newcomer comes after everybody */
            for (int j = i; j < 6; j++)
                ck_assert_uint_eq(atomic_load(&helpers[j]->done), 0);
            release_one(&tracker, reader);
        }
        finish_while_releasing(reader, helpers[i]);
        room -= ring_record_bytes(lens[i]);
    }
    ck_assert_uint_eq(atomic_load(&w->ring.ring.lane->waiters), 0);
}
END_TEST

/* Room comes free that would do for others; it is kept for the large one, be it stopped. */
START_TEST(rule_11_a_large_grant_is_not_starved)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_writer *w;
    struct helper *large;
    uint64_t full_at;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    full_at = position_of(w);
    large = start_waiting_writer(w, LARGE);
    child_stop(large->pid); /* so that it does not take part */
    for (uint64_t room = 0; room < ring_record_bytes(LARGE); room += RECORD) {
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_FULL);
        ck_assert_uint_eq(position_of(w), full_at);
        release_one(&tracker, reader);
    }
    ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_FULL);
    child_continue(large->pid);
    finish_while_releasing(reader, large);
    ck_assert_uint_eq(position_of(w), full_at + ring_record_bytes(LARGE));
}
END_TEST

/* It stopped in the queue: the others go on around it, at the price of the room it asked for; then it has its turn. */
START_TEST(rule_11_a_stopped_writer_is_passed_over)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct helper *first, *second;
    struct ringd_writer *w;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    first = start_waiting_writer(w, LARGE);
    child_stop(first->pid);
    second = start_waiting_writer(w, PAYLOAD);
    for (int lap = 0; lap < 5; lap++) {
        ck_assert_uint_gt(take(&tracker, reader, SIZE_MAX), 0);
        if (lap == 0)
            child_finish(second->pid);
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
        ck_assert_int_eq(fill(w, PAYLOAD), RINGD_FULL);
        ck_assert(is_waiting(w, first));
    }
    child_continue(first->pid);
    child_finish(first->pid); /* its room was kept: nobody has read anything since */
    take(&tracker, reader, SIZE_MAX);
    ck_assert_uint_eq(tracker.delivered[first->slot], 1);
}
END_TEST

START_TEST(rule_11_a_dead_writer_is_passed_over)
{
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct helper *first, *second;
    struct ringd_writer *w;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int round = 0; round < 20; round++) {
        fill(w, PAYLOAD);
        first = start_waiting_writer(w, LARGE);
        second = start_waiting_writer(w, PAYLOAD);
        child_kill(first->pid);
        take(&tracker, reader, 4); /* enough for the second, not for both */
        finish_while_releasing(reader, second);
        wait_for_contexts(RING, 2);
        ck_assert_uint_eq(atomic_load(&w->ring.ring.lane->waiters), 0);
        take(&tracker, reader, SIZE_MAX);
        ck_assert_uint_eq(tracker.delivered[first->slot], 0);
    }
}
END_TEST

/* ---- a ring that is removed -------------------------------------------------------------------------------------- */

static void ck_shut_down(struct ringd_writer *w)
{
    struct iovec piece = {.iov_base = "abc", .iov_len = 3};
    size_t granted;
    void *data;

    ck_assert_int_eq(ringd_write(w, "abc", 3), -ESHUTDOWN);
    ck_assert_int_eq(ringd_writev(w, &piece, 1), -ESHUTDOWN);
    ck_assert_int_eq(ringd_write_batch(w, &piece, 1), -ESHUTDOWN);
    ck_assert_int_eq(ringd_reserve(w, 3, 3, &data, &granted), -ESHUTDOWN);
    ck_assert_uint_eq(counters_of(w).refused, 4);
}

START_TEST(removed_readers_drain_then_end)
{
    struct ringd_reader *readers[3];
    struct ringd_writer *w, *open;
    struct ringd_record records[4];
    size_t count;

    make_policy_ring((uint32_t)_i, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    open = open_writer(RING);
    for (uint32_t i = 0; i < 3; i++)
        readers[i] = open_reader(RING, i == RINGD_READ_LOSSLESS && _i == RINGD_OVERWRITE ? RINGD_READ_LOSSY : i,
                                 RINGD_START_NOW);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
    open_grant(open);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(ringd_remove(RING), -ENOENT);
    make_policy_ring(RINGD_LOSSLESS, 0); /* the name is free at once */
    ck_shut_down(w);
    for (int i = 0; i < 3; i++) {
        struct tracker tracker;

        expect_all(&tracker);
        ck_assert_int_eq(tracker_drain(&tracker, readers[i]), RINGD_WOULD_BLOCK); /* one record is to come */
        ck_assert_uint_eq(tracker_delivered(&tracker), 20);
    }
    ck_assert_int_eq(ringd_commit(open, PAYLOAD), RINGD_OK);
    ck_assert_int_eq(ringd_write(open, "abc", 3), -ESHUTDOWN);
    for (int i = 0; i < 3; i++) {
        struct tracker tracker;

        expect_all(&tracker);
        ringd_reader_deadline(readers[i], RINGD_FOREVER);
        ck_assert_int_eq(tracker_drain(&tracker, readers[i]), RINGD_END);
        ck_assert_uint_eq(tracker_delivered(&tracker), 1);
        ck_assert_int_eq(tracker_drain(&tracker, readers[i]), RINGD_END);
        ck_assert_int_eq(ringd_next_many(readers[i], records, 4, &count), RINGD_END);
        ck_assert_uint_eq(count, 0);
    }
}
END_TEST

START_TEST(removed_sleepers_are_woken)
{
    struct helper *helpers[3], *waiting[2];
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    for (uint32_t i = 0; i < 3; i++)
        helpers[i] = start_waiting_reader(i);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 3; i++)
        child_finish(helpers[i]->pid);
    ringd_writer_close(w);

    make_policy_ring(RINGD_LOSSLESS, 0);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill(w, PAYLOAD);
    for (int i = 0; i < 2; i++)
        waiting[i] = start_waiting_writer(w, PAYLOAD);
    for (int i = 0; i < 2; i++)
        waiting[i]->expected = -ESHUTDOWN;
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 2; i++)
        child_finish(waiting[i]->pid);
    ringd_reader_close(reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policies");
    TCase *tests = add_case(suite, "policies");

    tcase_add_test(tests, lossless_is_full_without_a_deadline);
    tcase_add_test(tests, lossless_waits_until_the_deadline);
    tcase_add_test(tests, lossless_goes_on_when_the_reader_does);
    tcase_add_test(tests, hold_keeps_what_it_has);
    tcase_add_loop_test(tests, free_runs_on, RINGD_LOSSLESS, RINGD_OVERWRITE + 1);
    tcase_add_test(tests, drop_counts_what_a_reader_is_in_the_way_of);
    tcase_add_test(tests, drop_counts_what_a_stalled_writer_is_in_the_way_of);
    tcase_add_test(tests, overwrite_stops_before_a_stalled_writer_only);
    tcase_add_test(tests, a_stalled_writer_wakes_who_waits_for_it);
    tcase_add_loop_test(tests, lossless_lossy_and_observer_together, RINGD_LOSSLESS, RINGD_DROP + 1);
    tcase_add_loop_test(tests, lossless_readers_come_and_go_on_a_full_ring, 0, 2);
    tcase_add_test(tests, rule_11_served_in_order_of_arrival);
    tcase_add_test(tests, rule_11_a_large_grant_is_not_starved);
    tcase_add_test(tests, rule_11_a_stopped_writer_is_passed_over);
    tcase_add_test(tests, rule_11_a_dead_writer_is_passed_over);
    tcase_add_loop_test(tests, removed_readers_drain_then_end, RINGD_LOSSLESS, RINGD_OVERWRITE + 1);
    tcase_add_test(tests, removed_sleepers_are_woken);
    return run_suite(suite);
}
