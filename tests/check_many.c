/* check_many.c - as many as there can be at once: 31 writers and four readers of all kinds in processes of their own;
 * contexts that come and go all the time on a full ring; and the 32nd writer.
 *
 * Every record says who wrote it, which one it is, how long it is, and carries a pattern; every reader checks all of
 * that. At the end the accounts are compared: each writer's own, what the daemon says of the ring, and each reader's.
 * The rounds go on until the work is done, never for a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING       "many"
#define WRITERS    31
#define MAX_RECORD 256u

/* What all of them share. */
struct party {
    uint64_t records; /* each writer's */
    uint32_t policy;
    _Atomic uint32_t ready; /* readers that have joined */
    _Atomic uint32_t next_writer;
    _Atomic uint32_t writers_ready; /* they begin together, and each has a slot of its own */
    _Atomic uint32_t over;
    struct ringd_writer_counters counters[WRITERS];
    struct tracker trackers[4];
    struct ringd_reader_counters read[4];
};

struct reading {
    struct party *party;
    uint32_t number;
    uint32_t mode;
};

static uint64_t offered_by(const struct ringd_writer_counters *c)
{
    return c->committed + c->aborted + c->dropped_full + c->dropped_stalled + c->refused;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Takes between `len` and twice as much, uses `len` of it, or nothing. */
static int write_grant(struct ringd_writer *w, size_t len, bool give_up)
{
    size_t granted, want = 2 * len < MAX_RECORD ? 2 * len : MAX_RECORD;
    void *data;
    int result = ringd_reserve(w, len, want, &data, &granted);

    if (result != RINGD_OK)
        return result;
    require(granted >= len && granted <= want, "%zu of %zu to %zu", granted, len, want);
    memset(data, 0xaa, granted);
    if (give_up)
        return ringd_abort(w);
    record_make(data, len, writer_slot(w), writer_sequence(w));
    return ringd_commit(w, len);
}

/* In one of several ways, at random. */
static int write_somehow(struct ringd_writer *w, struct random_source *random)
{
    size_t len = RECORD_MIN + random_below(random, random_below(random, 8) == 0 ? MAX_RECORD - RECORD_MIN + 1 : 64);

    switch (random_below(random, 8)) {
    case 0:
        return write_pair(w, RECORD_MIN + 3, RECORD_MIN + 40);
    case 1:
        return write_grant(w, len, false);
    case 2:
        return write_grant(w, len, true);
    default:
        return write_record(w, len);
    }
}

static bool is_answer(int result, uint32_t policy)
{
    return result == RINGD_OK || result == (policy == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL);
}

/* Every third one waits, the others are told at once. */
static void party_write(void *argument)
{
    struct party *party = argument;
    uint32_t number = atomic_fetch_add(&party->next_writer, 1);
    struct random_source random = {.state = support_seed() + number};
    struct ringd_writer *w = open_writer_until(RING, number % 3 == 0 ? RINGD_FOREVER : RINGD_NO_WAIT);
    struct ringd_writer_counters counters = {0};

    atomic_fetch_add(&party->writers_ready, 1);
    while (atomic_load(&party->writers_ready) < WRITERS)
        pause_ms(1);
    while (counters.committed < party->records) {
        int result = write_somehow(w, &random);

        require(is_answer(result, party->policy), "result %d", result);
        require(number % 3 != 0 || party->policy == RINGD_DROP || result == RINGD_OK, "it was to wait");
        ringd_writer_count(w, &counters);
        if (result != RINGD_OK)
            pause_ms(1); /* its answer was no: what a program does then that has other things to do */
    }
    require(counters.offered == offered_by(&counters), "it does not add up");
    party->counters[writer_slot(w)] = counters;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* To the end of the ring, one by one or many at once. */
static void party_read(void *argument)
{
    const struct reading *reading = argument;
    struct tracker *tracker = &reading->party->trackers[reading->number];
    struct ringd_reader *reader = open_reader_until(RING, reading->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record records[64];
    size_t count;
    int result;

    for (int i = 0; i < WRITERS; i++)
        tracker->known[i] = true; /* from the very first record on */
    atomic_fetch_add(&reading->party->ready, 1);
    do {
        count = 1;
        result = reading->number % 2 == 0 ? ringd_next(reader, records) : ringd_next_many(reader, records, 64, &count);
        for (size_t i = 0; i < count && result == RINGD_OK; i++)
            tracker_record(tracker, &records[i]);
        if (result == RINGD_GAP)
            tracker_gap(tracker, records);
        require(ringd_release(reader) == RINGD_OK, "release");
    } while (result == RINGD_OK || result == RINGD_GAP);
    require(result == RINGD_END, "result %d", result);
    ringd_reader_count(reader, &reading->party->read[reading->number]);
}

/* ---- 31 writers, four readers ------------------------------------------------------------------------------------ */

static void ck_accounts(const struct party *party)
{
    uint64_t committed = 0;

    for (int i = 0; i < WRITERS; i++) {
        committed += party->counters[i].committed;
        ck_assert_uint_ge(party->counters[i].committed, party->records);
        for (int r = 0; r < 4; r++) {
            const struct tracker *t = &party->trackers[r];

            ck_assert_uint_eq(t->delivered[i] + t->lost[i], party->counters[i].committed);
            ck_assert(party->policy == RINGD_OVERWRITE || r >= 2 || t->lost[i] == 0);
        }
    }
    for (int r = 0; r < 4; r++) {
        ck_assert_uint_eq(party->read[r].delivered, tracker_delivered(&party->trackers[r]));
        ck_assert_uint_eq(party->read[r].lost, tracker_lost(&party->trackers[r]));
        ck_assert_uint_eq(party->read[r].delivered + party->read[r].lost, committed);
    }
}

/* What the daemon says of a ring whose writers have left. */
static void ck_ring_says(const struct party *party)
{
    struct ringd_info info = ring_info(RING);
    struct ringd_writer_counters sum = {0};

    for (int i = 0; i < WRITERS; i++) {
        sum.offered += party->counters[i].offered;
        sum.committed += party->counters[i].committed;
        sum.bytes += party->counters[i].bytes;
        sum.aborted += party->counters[i].aborted;
        sum.refused += party->counters[i].refused;
        sum.dropped_full += party->counters[i].dropped_full;
        sum.dropped_stalled += party->counters[i].dropped_stalled;
    }
    ck_assert_uint_eq(info.offered, sum.offered);
    ck_assert_uint_eq(info.committed, sum.committed);
    ck_assert_uint_eq(info.bytes, sum.bytes);
    ck_assert_uint_eq(info.aborted, sum.aborted);
    ck_assert_uint_eq(info.refused, sum.refused);
    ck_assert_uint_eq(info.dropped_full, sum.dropped_full);
    ck_assert_uint_eq(info.dropped_stalled, sum.dropped_stalled);
    ck_assert_uint_eq(info.offered, offered_by(&sum));
}

static void hold_party(uint32_t policy, size_t size, uint64_t records)
{
    struct party *party = shared_new(sizeof *party);
    struct reading readings[4];
    pid_t writers[WRITERS], readers[4];

    party->records = records;
    party->policy = policy;
    make_ring(RING, (struct ringd_ring_options){.size = size, .max_record = MAX_RECORD, .policy = policy});
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t best = policy == RINGD_OVERWRITE ? RINGD_READ_LOSSY : RINGD_READ_LOSSLESS;

        readings[i] = (struct reading){.party = party,
                                       .number = i,
                                       .mode = i < 2    ? best
                                               : i == 2 ? RINGD_READ_LOSSY
                                                        : RINGD_READ_OBSERVE};
        readers[i] = child_start(party_read, &readings[i]);
    }
    while (atomic_load(&party->ready) < 4)
        pause_ms(1);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = child_start(party_write, party);
    for (int i = 0; i < WRITERS; i++)
        child_finish(writers[i]);
    wait_for_contexts(RING, 4);
    ck_ring_says(party);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 4; i++)
        child_finish(readers[i]);
    ck_accounts(party);
}

START_TEST(thirty_one_writers_four_readers_lossless)
{
    hold_party(RINGD_LOSSLESS, 32768, 8000);
}
END_TEST

START_TEST(thirty_one_writers_four_readers_drop)
{
    hold_party(RINGD_DROP, 32768, 5000);
}
END_TEST

START_TEST(thirty_one_writers_four_readers_overwrite)
{
    hold_party(RINGD_OVERWRITE, 16384, 20000);
}
END_TEST

/* ---- the 32nd writer --------------------------------------------------------------------------------------------- */

static int try_writer(struct ringd_writer **w)
{
    struct ringd *ring;
    int result;

    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    result = ringd_writer_open(w, ring, NULL);
    ck_assert(result != 0 || *w != NULL);
    ck_assert(result == 0 || (*w == NULL && strstr(ringd_error(), "31") != NULL));
    ringd_close(ring);
    return result;
}

START_TEST(the_32nd_writer_is_refused_until_one_closes)
{
    struct ringd_writer *writers[WRITERS], *another;
    uint32_t slots = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(try_writer(&writers[i]), 0);
        slots |= UINT32_C(1) << writer_slot(writers[i]);
    }
    ck_assert_uint_eq(slots, RINGD_W_ACTIVE);
    for (int round = 0; round < 200; round++) {
        uint32_t slot = writer_slot(writers[round % WRITERS]);

        ck_assert_int_eq(try_writer(&another), -EUSERS);
        ck_assert_int_eq(ringd_write(writers[round % WRITERS], "still here", 10), RINGD_OK);
        ringd_writer_close(writers[round % WRITERS]);
        ck_assert_int_eq(try_writer(&writers[round % WRITERS]), 0); /* at once */
        ck_assert_uint_eq(writer_slot(writers[round % WRITERS]), slot);
        ck_assert_int_eq(ringd_write(writers[round % WRITERS], "new", 3), RINGD_OK);
    }
    ck_assert_uint_eq(ring_info(RING).committed, 400);
}
END_TEST

START_TEST(two_hundred_and_fifty_six_readers)
{
    struct ringd_reader *readers[RINGD_READERS_MAX], *another;
    struct ringd_record record;
    struct ringd_writer *w;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        readers[i] = open_reader(RING, i % 3, RINGD_START_NOW);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&another, ring, NULL), -EUSERS);
    ck_assert_ptr_null(another);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
        for (uint32_t r = 0; r < RINGD_READERS_MAX; r++) {
            int count = 0;

            while (ringd_next(readers[r], &record) == RINGD_OK)
                count++;
            ck_assert_int_eq(count, 100);
            ringd_release(readers[r]);
        }
    }
    ringd_reader_close(readers[77]);
    ck_assert_int_eq(ringd_reader_open(&readers[77], ring, NULL), 0);
    ringd_close(ring);
}
END_TEST

/* ---- lossless readers that come and go on a full ring ------------------------------------------------------------ */

#define VISITS 400

static void write_until_over(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct party *party = argument;

    while (atomic_load(&party->over) == 0)
        require(write_record(w, RECORD_MIN + writer_sequence(w) % 100) == RINGD_OK, "no room");
}

/* Joins, reads some, leaves; everything from where it joined has to be there, in order. */
static void visit(void *argument)
{
    struct party *party = argument;
    struct random_source random = {.state = support_seed() + atomic_fetch_add(&party->ready, 1)};

    for (int i = 0; i < VISITS; i++) {
        uint32_t start = random_below(&random, 2) == 0 ? RINGD_START_NOW : RINGD_START_OLDEST;
        struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, start, RINGD_FOREVER);
        struct tracker tracker = {0};
        struct ringd_record record;

        for (uint64_t n = random_below(&random, 300); n > 0; n--) {
            int result = ringd_next(reader, &record);

            require(result == RINGD_OK, "result %d", result);
            require(tracker.position == 0 || record.position >= tracker.position, "it goes back");
            tracker_record(&tracker, &record);
            require(ringd_release(reader) == RINGD_OK, "release");
        }
        ringd_reader_close(reader);
    }
}

START_TEST(lossless_readers_join_and_leave_a_full_ring)
{
    struct party *party = shared_new(sizeof *party);
    pid_t writers[3], visitors[3];

    make_ring(RING, (struct ringd_ring_options){.size = 8192, .max_record = 124});
    for (int i = 0; i < 3; i++)
        writers[i] = child_start(write_until_over, party);
    for (int i = 0; i < 3; i++)
        visitors[i] = child_start(visit, party);
    for (int i = 0; i < 3; i++)
        child_finish(visitors[i]);
    atomic_store(&party->over, 1);
    for (int i = 0; i < 3; i++)
        child_finish(writers[i]); /* nobody is left to hold them */
}
END_TEST

/* Writers that come, write and go, while a lossless reader has every one of their records. */
static void write_and_go(void *argument)
{
    struct party *party = argument;

    for (int i = 0; i < 60; i++) {
        struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

        for (uint64_t n = 0; n < party->records; n++)
            require(write_record(w, RECORD_MIN + n) == RINGD_OK, "no room");
        ringd_writer_close(w);
    }
}

START_TEST(writers_come_and_go)
{
    struct party *party = shared_new(sizeof *party);
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    pid_t writers[4];
    uint64_t total;

    party->records = 20;
    total = 4 * 60 * party->records;
    make_ring(RING, (struct ringd_ring_options){.size = 8192, .max_record = 124});
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    for (int i = 0; i < WRITERS; i++)
        tracker.known[i] = true;
    for (int i = 0; i < 4; i++)
        writers[i] = child_start(write_and_go, party);
    while (tracker_delivered(&tracker) < total) {
        struct ringd_record record;

        require(ringd_next(reader, &record) == RINGD_OK, "next");
        tracker_record(&tracker, &record);
        require(ringd_release(reader) == RINGD_OK, "release");
    }
    for (int i = 0; i < 4; i++)
        child_finish(writers[i]);
    wait_for_contexts(RING, 1);
    ck_assert_uint_eq(ring_info(RING).committed, total);
    ck_assert_uint_eq(ring_info(RING).offered, total);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many");
    TCase *tests = add_case(suite, "many");

    tcase_add_test(tests, thirty_one_writers_four_readers_lossless);
    tcase_add_test(tests, thirty_one_writers_four_readers_drop);
    tcase_add_test(tests, thirty_one_writers_four_readers_overwrite);
    tcase_add_test(tests, the_32nd_writer_is_refused_until_one_closes);
    tcase_add_test(tests, two_hundred_and_fifty_six_readers);
    tcase_add_test(tests, lossless_readers_join_and_leave_a_full_ring);
    tcase_add_test(tests, writers_come_and_go);
    return run_suite(suite);
}
