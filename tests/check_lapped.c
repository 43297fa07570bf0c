/* check_lapped.c - readers that writers overtake: lossy ones and observers.
 *
 * What holds: a record that is given out is whole and is the one that its header says; none is given twice or out of
 * order; and for each writer, delivered + lost = committed since the reader joined, as soon as the reader has caught
 * up. An overtaken reader goes on at the oldest record that is certainly there. Where a reader can start, and where it
 * cannot, is checked here too, as it is the same question: what is still in the ring?
 *
 * Records describe themselves (support.h), and `follower` knows from which record of each slot on it must account for
 * everything. Rings are small, so that a lap is a few dozen records.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "lapped"

/* A ring of 64 records of 64 bytes each. */
#define SIZE         4096
#define RECORD       64
#define PAYLOAD      32
#define RING_RECORDS (SIZE / RECORD)

static const uint32_t lossy_modes[] = {RINGD_READ_LOSSY, RINGD_READ_OBSERVE};

#define LOSSY_MODES 2

/* ---- a reader that accounts for everything ----------------------------------------------------------------------- */

struct follower {
    struct ringd_reader *reader;
    struct tracker tracker;
    uint64_t base[31]; /* sequence number of each slot when it joined */
    uint64_t gaps;
};

static uint64_t committed_by(const struct ringd_reader *reader, uint32_t slot)
{
    return atomic_load(&reader->lanes[0].ring.lane->writers[slot].sequence);
}

/* Joins while all writers are between records, or before any is at work. */
static void follower_open(struct follower *f, uint32_t mode)
{
    *f = (struct follower){.reader = open_reader(RING, mode, RINGD_START_NOW)};
    for (uint32_t i = 0; i < 31; i++) {
        f->base[i] = f->tracker.next[i] = committed_by(f->reader, i);
        f->tracker.known[i] = true;
    }
}

static void follower_take(struct follower *f, int result, const struct ringd_record *record)
{
    require(result == RINGD_OK || result == RINGD_GAP, "result %d", result);
    if (result == RINGD_OK) {
        tracker_record(&f->tracker, record);
        return;
    }
    tracker_gap(&f->tracker, record);
    f->gaps++;
}

/* Up to `max` records one by one; whether there was anything to say. */
static bool follower_next(struct follower *f, size_t max)
{
    struct ringd_record record;
    int result = RINGD_OK;

    for (size_t i = 0; i < max && result != RINGD_WOULD_BLOCK; i++) {
        result = ringd_next(f->reader, &record);
        if (result != RINGD_WOULD_BLOCK)
            follower_take(f, result, &record);
    }
    ringd_release(f->reader);
    return result != RINGD_WOULD_BLOCK;
}

static bool follower_next_many(struct follower *f, size_t max)
{
    struct ringd_record records[32];
    size_t count;
    int result = ringd_next_many(f->reader, records, max < 32 ? max : 32, &count);

    if (result == RINGD_WOULD_BLOCK)
        require(count == 0, "%zu", count);
    else
        require(count >= 1 && count <= max && (result != RINGD_GAP || count == 1), "result %d, %zu", result, count);
    for (size_t i = 0; i < count; i++)
        follower_take(f, result, &records[i]);
    return result != RINGD_WOULD_BLOCK;
}

static bool follower_read(struct follower *f, size_t max, bool many)
{
    return many ? follower_next_many(f, max) : follower_next(f, max);
}

/* Reads on to where nothing is left; then what was committed, slot by slot, has been told one way or the other. */
static void follower_settle(struct follower *f)
{
    struct ringd_reader_counters counters;

    while (follower_next(f, SIZE_MAX))
        ;
    for (uint32_t i = 0; i < 31; i++) {
        uint64_t committed = committed_by(f->reader, i) - f->base[i];

        require(f->tracker.delivered[i] + f->tracker.lost[i] == committed,
                "writer %u: %" PRIu64 " delivered + %" PRIu64 " lost of %" PRIu64, i, f->tracker.delivered[i],
                f->tracker.lost[i], committed);
    }
    ck_assert_int_eq(ringd_reader_count(f->reader, &counters), RINGD_OK);
    ck_assert_uint_eq(counters.delivered, tracker_delivered(&f->tracker));
    ck_assert_uint_eq(counters.lost, tracker_lost(&f->tracker));
    ck_assert_uint_eq(counters.gaps, f->gaps);
}

/* ---- small things ------------------------------------------------------------------------------------------------ */

static uint64_t position_of(const struct ringd_writer *w)
{
    uint64_t position;

    ck_assert_int_eq(ring_position(&w->ring.ring, &position), 0);
    return position;
}

static uint64_t oldest_of(const struct ringd_writer *w)
{
    return ring_oldest(&w->ring.ring);
}

static void write_records(struct ringd_writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(write_record(w, PAYLOAD), RINGD_OK);
}

static void ck_record(struct ringd_reader *reader, const struct ringd_writer *w, uint64_t sequence)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    record_verify(&record);
    ck_assert_uint_eq(record.writer, writer_slot(w));
    ck_assert_uint_eq(record.sequence, sequence);
}

static void ck_gap(struct ringd_reader *reader, const struct ringd_writer *w, uint64_t lost)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_GAP);
    ck_assert_uint_eq(record.writer, writer_slot(w));
    ck_assert_uint_eq(record.lost, lost);
}

static void ck_nothing(struct ringd_reader *reader)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}

static void make_small_ring(void)
{
    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = RECORD, .policy = RINGD_OVERWRITE});
}

/* ---- one lap ----------------------------------------------------------------------------------------------------- */

/* What is not overwritten yet is given out, to the last byte of the ring. */
START_TEST(a_record_is_read_until_it_is_overwritten)
{
    struct ringd_reader *intact, *late;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t start, resumed;

    make_small_ring();
    w = open_writer(RING);
    intact = open_reader(RING, lossy_modes[_i], RINGD_START_NOW);
    late = open_reader(RING, lossy_modes[_i], RINGD_START_NOW);
    start = position_of(w);
    write_records(w, RING_RECORDS);
    ck_assert_uint_eq(position_of(w), start + SIZE);
    ck_record(intact, w, 0);
    write_records(w, 1);
    ck_record(intact, w, 1);

    resumed = oldest_of(w);
    ck_assert_uint_gt(resumed, start + RECORD);
    ck_gap(late, w, (resumed - start) / RECORD);
    ck_assert_uint_eq(ringd_reader_position(late), resumed);
    for (uint64_t next = (resumed - start) / RECORD; next <= RING_RECORDS; next++) {
        ck_assert_int_eq(ringd_next(late, &record), RINGD_OK);
        record_verify(&record);
        ck_assert_uint_eq(record.position, start + next * RECORD);
        ck_assert_uint_eq(record.sequence, next);
    }
    ck_nothing(late);
}
END_TEST

/* A grant over the record is enough: its owner may be storing into it, while the record's own header still stands. */
START_TEST(a_record_under_a_new_grant_is_not_read)
{
    struct ringd_writer *w, *v;
    struct follower follower;
    size_t granted;
    void *data;

    make_small_ring();
    w = open_writer(RING);
    v = open_writer(RING);
    follower_open(&follower, lossy_modes[_i]);
    write_records(w, RING_RECORDS);
    ck_assert_int_eq(ringd_reserve(v, PAYLOAD, PAYLOAD, &data, &granted), RINGD_OK);
    memset(data, 'x', granted);
    ck_assert(ring_record_at(&follower.reader->lanes[0].ring, ringd_reader_position(follower.reader)));
    while (follower_next(&follower, 1))
        ;
    ck_assert_uint_gt(tracker_lost(&follower.tracker), 0);
    ck_assert_uint_eq(tracker_lost(&follower.tracker) + tracker_delivered(&follower.tracker), RING_RECORDS);
    ck_assert_int_eq(ringd_abort(v), RINGD_OK);
    follower_settle(&follower);
}
END_TEST

/* The last lap's records lie before a reader that has caught up, stamps and all, at the same places. */
START_TEST(an_old_record_is_not_taken_for_a_new_one)
{
    struct ringd_writer *w;
    struct follower f;

    make_small_ring();
    w = open_writer(RING);
    write_records(w, 2 * RING_RECORDS);
    follower_open(&f, lossy_modes[_i]);
    for (int i = 0; i < 10 * RING_RECORDS; i++) {
        ck_assert(!follower_read(&f, 32, i % 2));
        write_records(w, 1);
        ck_assert(follower_read(&f, 1, i % 3));
    }
    ck_assert_uint_eq(tracker_delivered(&f.tracker), 10 * RING_RECORDS);
    follower_settle(&f);
}
END_TEST

/* Once, thousands of times: at the oldest, exact for each of several writers. */
START_TEST(each_writer_is_accounted_for)
{
    struct ringd_writer *writers[4];
    struct follower f;

    make_small_ring();
    for (int i = 0; i < 4; i++)
        writers[i] = open_writer(RING);
    write_records(writers[0], 7);
    follower_open(&f, lossy_modes[_i]);
    for (int lap = 0; lap < 300; lap++) {
        for (int i = 0; i <= RING_RECORDS + lap; i++)
            write_records(writers[i * i % 7 % 4], 1);
        ck_assert(follower_read(&f, 1, lap % 2));
        ck_assert_uint_eq(ringd_reader_position(f.reader), oldest_of(writers[0]));
        if (lap % 3 == 0)
            follower_settle(&f);
    }
    follower_settle(&f);
    ck_assert_uint_gt(tracker_lost(&f.tracker), 0);
}
END_TEST

/* ---- silence after the lap --------------------------------------------------------------------------------------- */

/* Their last records are lost, and none follows that would show it: told when the reader has caught up. */
START_TEST(a_silent_writer_is_accounted_for)
{
    struct ringd_writer *w, *silent, *gone, *never;
    struct ringd_record record;
    struct follower f;
    uint64_t delivered = 0;
    int result;

    make_small_ring();
    w = open_writer(RING);
    silent = open_writer(RING);
    gone = open_writer(RING);
    never = open_writer(RING);
    write_records(never, 3);
    follower_open(&f, lossy_modes[_i]);
    write_records(silent, 10);
    write_records(gone, 5);
    ringd_writer_close(gone);
    write_records(w, 3 * RING_RECORDS);

    ck_assert_int_eq(ringd_next(f.reader, &record), RINGD_GAP);
    ck_assert_uint_eq(record.writer, writer_slot(w));
    follower_take(&f, RINGD_GAP, &record);
    while ((result = ringd_next(f.reader, &record)) == RINGD_OK) {
        follower_take(&f, result, &record);
        delivered++;
    }
    ck_assert_uint_eq(delivered + tracker_lost(&f.tracker), 3 * RING_RECORDS);
    ck_assert_int_eq(result, RINGD_GAP); /* caught up */
    follower_take(&f, result, &record);
    ck_assert_uint_eq(record.writer, writer_slot(silent));
    ck_assert_uint_eq(record.lost, 10);
    ck_assert_int_eq(ringd_next(f.reader, &record), RINGD_GAP);
    follower_take(&f, RINGD_GAP, &record);
    ck_assert_uint_eq(record.writer, 2);
    ck_assert_uint_eq(record.lost, 5);
    ck_nothing(f.reader);
    follower_settle(&f);

    write_records(silent, 1);
    ck_record(f.reader, silent, 10); /* no gap twice */
    ck_nothing(f.reader);
}
END_TEST

/* It is in the middle of a record when the reader catches up: its count is asked for later. */
START_TEST(a_silent_writer_in_mid_record_is_accounted_for)
{
    struct ringd_writer *w, *silent;
    struct ringd_reader *reader;
    struct ringd_record record;
    size_t granted;
    void *data;

    make_small_ring();
    w = open_writer(RING);
    silent = open_writer(RING);
    for (int round = 0; round < 2; round++) {
        uint64_t before = writer_sequence(silent);

        reader = open_reader(RING, lossy_modes[_i], RINGD_START_NOW);
        write_records(silent, 4);
        write_records(w, 2 * RING_RECORDS);
        ck_assert_int_eq(ringd_reserve(silent, PAYLOAD, PAYLOAD, &data, &granted), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_GAP);
        while (ringd_next(reader, &record) == RINGD_OK)
            ck_assert_uint_eq(record.writer, writer_slot(w));
        ck_nothing(reader);
        record_make(data, PAYLOAD, writer_slot(silent), before + 4);
        ck_assert_int_eq(round == 0 ? ringd_abort(silent) : ringd_commit(silent, PAYLOAD), RINGD_OK);
        ck_gap(reader, silent, 4);
        if (round == 1)
            ck_record(reader, silent, before + 4);
        ck_nothing(reader);
        ringd_reader_close(reader);
    }
}
END_TEST

/* Records that came before the gap are given first. */
START_TEST(a_gap_met_in_bulk_is_told_by_the_next_call)
{
    struct ringd_record records[16];
    struct ringd_reader *reader;
    struct ringd_writer *a, *b;
    size_t count;
    uint64_t lost;

    make_small_ring();
    a = open_writer(RING);
    b = open_writer(RING);
    for (int round = 0; round < 4; round++) {
        uint64_t before_a = writer_sequence(a), before_b = writer_sequence(b);

        reader = open_reader(RING, lossy_modes[_i], RINGD_START_NOW);
        for (int i = 0; i < RING_RECORDS; i++) {
            write_records(a, 1);
            write_records(b, 1);
        }
        ck_assert_int_eq(ringd_next_many(reader, records, 16, &count), RINGD_GAP);
        ck_assert_uint_eq(count, 1);
        lost = records[0].lost;
        ck_assert_uint_gt(lost, 0);
        if (records[0].writer == writer_slot(b)) { /* it resumed at one of b's */
            struct ringd_writer *other = a;

            a = b;
            b = other;
            lost = before_a, before_a = before_b, before_b = lost, lost = records[0].lost;
        }
        ck_assert_int_eq(ringd_next_many(reader, records, 16, &count), RINGD_OK);
        ck_assert_uint_eq(count, 1);
        record_verify(&records[0]);
        ck_assert_uint_eq(records[0].sequence, before_a + lost);
        if (round % 2 == 0) {
            ck_assert_int_eq(ringd_next_many(reader, records, 16, &count), RINGD_GAP);
            ck_assert_uint_eq(count, 1);
        } else {
            ck_assert_int_eq(ringd_next(reader, records), RINGD_GAP);
        }
        ck_assert_uint_eq(records[0].writer, writer_slot(b));
        lost = records[0].lost;
        ck_record(reader, b, before_b + lost);
        ringd_reader_close(reader);
    }
}
END_TEST

/* ---- where a reader starts --------------------------------------------------------------------------------------- */

static int try_start(uint32_t mode, uint32_t start, uint64_t position, struct ringd_reader **reader)
{
    struct ringd_reader_options options = {.mode = mode, .start = start, .position = position};
    struct ringd *ring;
    int result;

    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    result = ringd_reader_open(reader, ring, &options);
    ringd_close(ring);
    ck_assert((result == 0) == (*reader != NULL));
    return result;
}

static void ck_no_start(uint32_t mode, uint64_t position, int error)
{
    struct ringd_reader *reader;

    ck_assert_int_eq(try_start(mode, RINGD_START_POSITION, position, &reader), error);
    ck_assert_uint_gt(strlen(ringd_error()), 0);
}

/* Everything that is in the ring, in a ring of records of various lengths that has gone round. */
struct contents {
    struct ringd_record records[1024]; /* without data */
    size_t count;
    uint64_t overwritten; /* position of a record that was there */
};

static void fill_with_various(struct ringd_writer *w, struct contents *contents)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_reader *reader;

    contents->overwritten = position_of(w);
    contents->count = 0;
    while (position_of(w) < contents->overwritten + 3 * 65536)
        ck_assert_int_eq(write_record(w, RECORD_MIN + random_below(&random, 230)), RINGD_OK);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    while (ringd_next(reader, &contents->records[contents->count]) == RINGD_OK)
        record_verify(&contents->records[contents->count++]);
    ck_assert_uint_gt(contents->count, 100);
    ck_assert_uint_lt(contents->count, 1024);
    ringd_reader_close(reader);
}

static struct ringd_writer *make_various(struct contents *contents)
{
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 256});
    w = open_writer(RING);
    fill_with_various(w, contents);
    return w;
}

/* Lossless readers too: without one, a lossless ring runs free. */
START_TEST(starts_at_a_position)
{
    static struct contents contents;
    struct ringd_writer *w = make_various(&contents);
    uint32_t mode = (uint32_t)_i;

    (void)w;
    for (size_t i = 0; i < contents.count; i += 1 + contents.count / 40) {
        const struct ringd_record *expected = &contents.records[i];
        struct ringd_record record;
        struct ringd_reader *reader;

        ck_assert_int_eq(try_start(mode, RINGD_START_POSITION, expected->position, &reader), 0);
        ck_assert_uint_eq(ringd_reader_position(reader), expected->position);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        record_verify(&record);
        ck_assert_uint_eq(record.sequence, expected->sequence);
        ck_assert_uint_eq(record.position, expected->position);
        ck_assert_uint_eq(record.next, expected->next);
        ck_assert_uint_eq(ringd_reader_position(reader), expected->next);
        ringd_reader_close(reader);
    }
}
END_TEST

START_TEST(no_start_where_no_record_begins)
{
    static struct contents contents;
    struct ringd_writer *w = make_various(&contents);
    uint64_t oldest = oldest_of(w), end = position_of(w);
    uint32_t mode = (uint32_t)_i;
    struct ringd_reader *reader;

    for (size_t i = 0; i < contents.count; i += 1 + contents.count / 40) {
        const struct ringd_record *r = &contents.records[i];

        ck_no_start(mode, r->position + 1, -EINVAL);
        ck_no_start(mode, r->position + 8, -EINVAL);
        for (uint64_t inside = r->position + RINGD_UNIT; inside < r->next; inside += RINGD_UNIT)
            ck_no_start(mode, inside, -EINVAL);
    }
    ck_no_start(mode, oldest - RINGD_UNIT, -ERANGE);
    ck_no_start(mode, contents.overwritten, -ERANGE);
    ck_no_start(mode, 0, -ERANGE);
    ck_no_start(mode, end + RINGD_UNIT, -ERANGE);
    ck_no_start(mode, end + 65536, -ERANGE);
    ck_no_start(mode, UINT64_MAX - RINGD_UNIT + 1, -ERANGE);
    ck_assert_int_eq(try_start(mode, RINGD_START_POSITION, end, &reader), 0); /* what comes next */
    ck_nothing(reader);
    ck_assert_int_eq(write_record(w, 100), RINGD_OK);
    ck_record(reader, w, writer_sequence(w) - 1);
}
END_TEST

START_TEST(starts_at_the_oldest_and_now)
{
    static struct contents contents;
    struct ringd_writer *w = make_various(&contents);
    uint32_t mode = (uint32_t)_i;
    struct ringd_reader *oldest, *now;
    struct tracker tracker = {0};

    ck_assert_int_eq(try_start(mode, RINGD_START_OLDEST, 0, &oldest), 0);
    ck_assert_int_eq(try_start(mode, RINGD_START_NOW, 0, &now), 0);
    ck_assert_uint_eq(ringd_reader_position(oldest), oldest_of(w));
    ck_assert_uint_eq(ringd_reader_position(now), position_of(w));
    ck_nothing(now);
    ck_assert_int_eq(tracker_drain(&tracker, oldest), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), contents.count);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ck_assert_int_eq(write_record(w, 100), RINGD_OK);
    ck_record(now, w, writer_sequence(w) - 1);
    ck_record(oldest, w, writer_sequence(w) - 1);
}
END_TEST

/* A reader that leaves and comes back where it was misses nothing and sees nothing twice. */
START_TEST(resumes_where_another_left)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t resume;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 256, .policy = RINGD_DROP});
    w = open_writer(RING);
    resume = position_of(w);
    for (int visit = 0; visit < 200; visit++) {
        for (uint64_t i = random_below(&random, 20); i > 0; i--)
            ck_assert_int_eq(write_record(w, RECORD_MIN + random_below(&random, 200)), RINGD_OK);
        ck_assert_int_eq(try_start((uint32_t)_i, RINGD_START_POSITION, resume, &reader), 0);
        for (uint64_t i = random_below(&random, 25); i > 0 && ringd_next(reader, &record) == RINGD_OK; i--) {
            tracker_record(&tracker, &record);
            resume = record.next;
        }
        ck_assert_uint_eq(ringd_reader_position(reader), resume);
        if (visit % 2 == 0)
            resume = ringd_reader_position(reader);
        ringd_reader_close(reader);
    }
    reader = NULL;
    ck_assert_int_eq(try_start((uint32_t)_i, RINGD_START_POSITION, resume, &reader), 0);
    tracker_drain(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker), writer_sequence(w));
}
END_TEST

/* However it is used, the newest half of an overwriting ring can be read from its oldest place on. */
START_TEST(the_oldest_leaves_at_least_half_a_ring)
{
    static const uint64_t sizes[] = {65536, 1048576};
    struct random_source random = {.state = support_seed()};
    uint64_t size = sizes[_i];
    struct ringd_writer *w[3];
    struct iovec batch[16];
    char payload[64] = {0};

    make_ring(RING, (struct ringd_ring_options){.size = size, .policy = RINGD_OVERWRITE});
    for (int i = 0; i < 3; i++)
        w[i] = open_writer(RING);
    for (int i = 0; i < 16; i++)
        batch[i] = (struct iovec){.iov_base = payload, .iov_len = (size_t)i};
    for (uint64_t round = 0, start = position_of(w[0]); position_of(w[0]) < start + 20 * size; round++) {
        struct ringd_writer *writer = w[random_below(&random, 3)];
        size_t granted;
        void *data;

        if (random_below(&random, 4) == 0)
            ck_assert_int_eq(ringd_write_batch(writer, batch, (int)random_below(&random, 6)), RINGD_OK);
        ck_assert_int_eq(ringd_reserve(writer, 0, size / 256, &data, &granted), RINGD_OK);
        ck_assert_int_eq(ringd_commit(writer, random_below(&random, granted + 1)), RINGD_OK);
        if (position_of(writer) >= start + size)
            ck_assert_uint_ge(position_of(writer) - oldest_of(writer), size / 2);
    }
}
END_TEST

/* ---- slots with a new owner -------------------------------------------------------------------------------------- */

/* Sequence numbers count on, so that the sums stay true over all owners of a slot. */
START_TEST(a_slot_with_a_new_owner_has_no_gap)
{
    uint32_t incarnation = 0;
    struct follower f, lapped;
    struct ringd_record record;

    make_small_ring();
    follower_open(&f, lossy_modes[_i]);
    follower_open(&lapped, lossy_modes[_i]);
    for (int owner = 0; owner < 50; owner++) {
        struct ringd_writer *w = open_writer(RING);

        ck_assert_uint_eq(writer_slot(w), 0);
        write_records(w, 5);
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(ringd_next(f.reader, &record), RINGD_OK);
            follower_take(&f, RINGD_OK, &record);
            ck_assert_uint_eq(record.writer, 0);
            ck_assert(i > 0 ? record.incarnation == incarnation : record.incarnation != incarnation);
            incarnation = record.incarnation;
        }
        ringd_writer_close(w);
        wait_for_contexts(RING, 2);
    }
    follower_settle(&f);
    ck_assert_uint_eq(tracker_delivered(&f.tracker), 250);
    follower_settle(&lapped);
    ck_assert_uint_gt(tracker_lost(&lapped.tracker), 0);
}
END_TEST

/* ---- at random --------------------------------------------------------------------------------------------------- */

/* One operation of a writer, which may leave a grant open; each may find the ring full while another has one open. */
static void write_anyhow(struct ringd_writer *w, struct random_source *random, size_t max_record)
{
    static unsigned char payloads[4][RECORD_MAX];
    size_t len = RECORD_MIN + random_below(random, max_record - RECORD_MIN + 1), granted;
    uint64_t choice = random_below(random, 10);
    struct iovec batch[4];
    void *data;

    if (w->alive == HANDLE_GRANT) {
        if (choice < 5)
            return;
        len = len < w->granted ? len : w->granted;
        record_make((unsigned char *)ring_header(&w->ring.ring, w->grant.place) + 32, len, writer_slot(w),
                    writer_sequence(w));
        ck_assert_int_eq(choice < 7 ? ringd_abort(w) : ringd_commit(w, len), RINGD_OK);
    } else if (choice < 6) {
        write_record(w, len);
    } else if (choice < 8) {
        for (uint64_t i = 0; i < 4; i++) {
            batch[i] = (struct iovec){.iov_base = payloads[i], .iov_len = RECORD_MIN};
            record_make(payloads[i], RECORD_MIN, writer_slot(w), writer_sequence(w) + i);
        }
        ringd_write_batch(w, batch, 1 + (int)random_below(random, 4));
    } else if (choice < 9) {
        ringd_reserve(w, RECORD_MIN, len, &data, &granted);
    }
}

static void ck_random_laps(struct ringd_ring_options options)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_writer *writers[5];
    struct follower followers[4];

    make_ring(RING, options);
    for (int i = 0; i < 5; i++)
        writers[i] = open_writer(RING);
    for (int i = 0; i < 4; i++)
        follower_open(&followers[i], lossy_modes[i % LOSSY_MODES]);
    for (int round = 0; round < 1500; round++) {
        uint64_t burst = random_below(&random, random_below(&random, 8) == 0 ? 400 : 20);

        for (uint64_t i = 0; i < burst; i++)
            write_anyhow(writers[random_below(&random, random_below(&random, 5) + 1)], &random, options.max_record);
        for (int i = 0; i < 4; i++) {
            if (random_below(&random, 3) == 0)
                follower_read(&followers[i], 1 + random_below(&random, 40), random_below(&random, 2));
        }
    }
    for (int i = 0; i < 5; i++)
        ringd_writer_close(writers[i]); /* gives up what is open */
    for (int i = 0; i < 4; i++) {
        follower_settle(&followers[i]);
        ck_assert_uint_gt(tracker_delivered(&followers[i].tracker), 1000);
        ck_assert_uint_gt(tracker_lost(&followers[i].tracker), 1000);
    }
}

START_TEST(random_laps_of_a_small_ring)
{
    ck_random_laps((struct ringd_ring_options){.size = SIZE, .max_record = 64, .policy = RINGD_OVERWRITE});
}
END_TEST

START_TEST(random_laps_of_a_ring)
{
    ck_random_laps((struct ringd_ring_options){.size = 65536, .max_record = 512, .policy = RINGD_OVERWRITE});
}
END_TEST

START_TEST(random_laps_of_a_lossless_ring_that_runs_free)
{
    ck_random_laps((struct ringd_ring_options){.size = 16384, .max_record = 128, .policy = RINGD_LOSSLESS});
}
END_TEST

START_TEST(random_laps_of_a_drop_ring)
{
    ck_random_laps((struct ringd_ring_options){.size = 16384, .max_record = 128, .policy = RINGD_DROP});
}
END_TEST

/* ---- all at once ------------------------------------------------------------------------------------------------- */

#define RACE_WRITERS 2
#define RACE_READERS 4
#define RACE_RECORDS 40000
#define RACE_MAX     1024

struct race {
    _Atomic uint32_t ready;
    _Atomic uint32_t finished;
    _Atomic uint64_t written;
    uint64_t seed;
};

struct racer {
    struct race *race;
    uint32_t number;
};

static void race_start(struct race *race)
{
    atomic_fetch_add(&race->ready, 1);
    while (atomic_load(&race->ready) < RACE_WRITERS + RACE_READERS)
        sched_yield();
}

static void race_write(void *argument)
{
    const struct racer *racer = argument;
    struct random_source random = {.state = racer->race->seed + racer->number};
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    race_start(racer->race);
    for (int i = 0; i < RACE_RECORDS; i++) {
        int result = write_record(w, RECORD_MIN + random_below(&random, RACE_MAX - RECORD_MIN + 1));

        require(result == RINGD_OK, "result %d", result);
        atomic_fetch_add(&racer->race->written, 1);
    }
    atomic_fetch_add(&racer->race->finished, 1);
}

/* Every other one reads in bulk. Falls behind on purpose, at first by several laps. */
static void race_read(void *argument)
{
    const struct racer *racer = argument;
    struct random_source random = {.state = racer->race->seed - racer->number};
    bool finished = false, more = true;
    struct follower f;

    follower_open(&f, lossy_modes[racer->number % LOSSY_MODES]);
    race_start(racer->race);
    while (atomic_load(&racer->race->written) < 1000)
        sched_yield();
    while (!finished || more) {
        finished = atomic_load(&racer->race->finished) == RACE_WRITERS;
        more = follower_read(&f, 32, racer->number & 2);
        if (!more)
            sched_yield();
        if (random_below(&random, 2000) == 0)
            pause_ms(1);
    }
    follower_settle(&f);
    require(tracker_delivered(&f.tracker) + tracker_lost(&f.tracker) == (uint64_t)RACE_WRITERS * RACE_RECORDS,
            "%" PRIu64 " delivered, %" PRIu64 " lost", tracker_delivered(&f.tracker), tracker_lost(&f.tracker));
    require(tracker_lost(&f.tracker) > 0, "nothing was lost");
    printf("reader %u: %" PRIu64 " delivered, %" PRIu64 " lost in %" PRIu64 " gaps\n", racer->number,
           tracker_delivered(&f.tracker), tracker_lost(&f.tracker), f.gaps);
}

START_TEST(readers_lapped_by_busy_writers)
{
    struct race *race = shared_new(sizeof *race);
    struct racer racers[RACE_WRITERS + RACE_READERS];
    pid_t pids[RACE_WRITERS + RACE_READERS];

    race->seed = support_seed();
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = RACE_MAX, .policy = RINGD_OVERWRITE});
    for (uint32_t i = 0; i < RACE_WRITERS + RACE_READERS; i++) {
        racers[i] = (struct racer){.race = race, .number = i};
        pids[i] = child_start(i < RACE_READERS ? race_read : race_write, &racers[i]);
    }
    for (int i = 0; i < RACE_WRITERS + RACE_READERS; i++)
        child_finish(pids[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lapped");
    TCase *tests = add_case(suite, "lapped");

    tcase_add_loop_test(tests, a_record_is_read_until_it_is_overwritten, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, a_record_under_a_new_grant_is_not_read, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, an_old_record_is_not_taken_for_a_new_one, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, each_writer_is_accounted_for, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, a_silent_writer_is_accounted_for, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, a_silent_writer_in_mid_record_is_accounted_for, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, a_gap_met_in_bulk_is_told_by_the_next_call, 0, LOSSY_MODES);
    tcase_add_loop_test(tests, starts_at_a_position, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, no_start_where_no_record_begins, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, starts_at_the_oldest_and_now, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, resumes_where_another_left, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, the_oldest_leaves_at_least_half_a_ring, 0, 2);
    tcase_add_loop_test(tests, a_slot_with_a_new_owner_has_no_gap, 0, LOSSY_MODES);
    tcase_add_test(tests, random_laps_of_a_small_ring);
    tcase_add_test(tests, random_laps_of_a_ring);
    tcase_add_test(tests, random_laps_of_a_lossless_ring_that_runs_free);
    tcase_add_test(tests, random_laps_of_a_drop_ring);
    tcase_add_test(tests, readers_lapped_by_busy_writers);
    return run_suite(suite);
}
