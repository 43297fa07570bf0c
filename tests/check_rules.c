/* check_rules.c - the rules of the method one by one, in one process, with a look at the word and the limit themselves.
 *
 *     R1  several write, several read, one order            R6  the last one out opens the data of all
 *     R2  one word manages all writers                      R7  finishing leaves the set, and pointers move
 *     R3  a grant of min to want bytes                      R8  a reader reads only what is marked valid
 *     R4  what is written in one grant stays together       R9  a reader that finishes opens its place to writers
 *     R5  a writer opens its own data                       R12 contexts come and go; who is between records holds
 * nobody
 *
 * R10, R11 and the same rules with stopped and killed processes are in check_turn.c, at every single instruction in
 * check_steps.c, with 31 writers at once in check_many.c, R17 in check_quiet.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "rules"

/* ---- the word and the limit as they stand ------------------------------------------------------------------------ */

static uint64_t word_of(const struct ringd_writer *w)
{
    return atomic_load(&w->ring.ring.lane->word);
}

static uint32_t active_of(const struct ringd_writer *w)
{
    return (uint32_t)(word_of(w) & RINGD_W_ACTIVE);
}

/* The 32 bits of position in it. */
static uint32_t units_of(const struct ringd_writer *w)
{
    return (uint32_t)(word_of(w) >> RINGD_W_POSITION_SHIFT);
}

static uint64_t limit_of(const struct ringd_writer *w)
{
    return atomic_load(&w->ring.ring.lane->limit);
}

static uint64_t position_of(const struct ringd_writer *w)
{
    uint64_t position;

    ck_assert_int_eq(ring_position(&w->ring.ring, &position), 0);
    return position;
}

static void ck_next(struct ringd_reader *reader, const char *text)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.len, strlen(text));
    ck_assert_mem_eq(record.data, text, record.len);
}

static void ck_nothing(struct ringd_reader *reader)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}

static void *reserve(struct ringd_writer *w, size_t len)
{
    size_t granted;
    void *data;

    ck_assert_int_eq(ringd_reserve(w, len, len, &data, &granted), RINGD_OK);
    ck_assert_uint_eq(granted, len);
    return data;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Writers take turns at random, two readers follow: both see exactly the order of writing. */
START_TEST(rule_1_several_at_once_in_one_order)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_reader *readers[2];
    struct ringd_writer *writers[5];
    struct ringd_record record;
    unsigned char payload[64];

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    for (int i = 0; i < 5; i++)
        writers[i] = open_writer(RING);
    readers[0] = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    readers[1] = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    for (int round = 0; round < 20000; round++) {
        struct ringd_writer *w = writers[random_below(&random, 5)];
        size_t len = RECORD_MIN + random_below(&random, sizeof payload - RECORD_MIN + 1);
        uint64_t sequence = writer_sequence(w);

        ck_assert_int_eq(write_record(w, len), RINGD_OK);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(ringd_next(readers[i], &record), RINGD_OK);
            record_verify(&record);
            ck_assert_uint_eq(record.writer, writer_slot(w));
            ck_assert_uint_eq(record.sequence, sequence);
            ck_assert_uint_eq(record.len, len);
            ck_assert_int_eq(ringd_release(readers[i]), RINGD_OK);
        }
    }
}
END_TEST

/* position : 32 | sealed : 1 | active : 31, changed by one addition and one subtraction for each record. */
START_TEST(rule_2_one_word_manages_all_writers)
{
    struct ringd_writer *a, *b;
    uint32_t start;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .first_position = SUPPORT_WRAP - 96});
    a = open_writer(RING);
    b = open_writer(RING);
    start = units_of(a);
    ck_assert_uint_eq(start, UINT32_MAX - 2);
    ck_assert_uint_eq(word_of(a), (uint64_t)start << RINGD_W_POSITION_SHIFT);

    reserve(a, 33); /* header and payload take three units */
    ck_assert_uint_eq(units_of(a), (uint32_t)(start + 3));
    ck_assert_uint_eq(units_of(a), 0); /* the 32 bits have wrapped */
    ck_assert_uint_eq(active_of(a), UINT32_C(1) << writer_slot(a));
    reserve(b, 0);
    ck_assert_uint_eq(units_of(a), (uint32_t)(start + 4));
    ck_assert_uint_eq(active_of(a), UINT32_C(1) << writer_slot(a) | UINT32_C(1) << writer_slot(b));

    ck_assert_int_eq(ringd_commit(a, 33), RINGD_OK);
    ck_assert_uint_eq(units_of(a), (uint32_t)(start + 4)); /* taken for good by the addition */
    ck_assert_uint_eq(active_of(a), UINT32_C(1) << writer_slot(b));
    ck_assert_int_eq(ringd_abort(b), RINGD_OK);
    ck_assert_uint_eq(word_of(a), (uint64_t)(uint32_t)(start + 4) << RINGD_W_POSITION_SHIFT);
    ck_assert_uint_eq(position_of(a), SUPPORT_WRAP + 32);
}
END_TEST

/* Fills the ring until less than `len` payload bytes fit; returns what is left, headers included. */
static uint64_t fill_up(struct ringd_writer *w, size_t len)
{
    char payload[1024] = {0};

    while (ringd_write(w, payload, len) == RINGD_OK)
        ;
    return limit_of(w) - position_of(w);
}

START_TEST(rule_3_the_most_that_is_there_from_min_to_want)
{
    struct ringd_writer *w;
    size_t granted = 0;
    uint64_t room;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reserve(w, 10, 1000, &data, &granted), RINGD_OK);
    ck_assert_uint_eq(granted, 1000); /* there is room: all of it, to the byte */
    ck_assert_int_eq(ringd_commit(w, 1000), RINGD_OK);

    room = fill_up(w, 1000);
    ck_assert_uint_gt(room, 32);
    ck_assert_uint_lt(room, 1024 + 32);
    ck_assert_int_eq(ringd_reserve(w, room - 31, 1024, &data, &granted), RINGD_FULL);
    ck_assert_int_eq(ringd_reserve(w, room - 32, 1024, &data, &granted), RINGD_OK);
    ck_assert_uint_eq(granted, room - 32); /* as much as there is */
    memset(data, 'x', granted);
    ck_assert_int_eq(ringd_abort(w), RINGD_OK);
    ck_assert_int_eq(ringd_reserve(w, 0, 1024, &data, &granted), RINGD_FULL); /* not even a header fits now */
    ck_assert_int_eq(ringd_reserve(w, 0, 0, &data, &granted), RINGD_FULL);
}
END_TEST

START_TEST(rule_4_one_grant_stays_together)
{
    struct iovec batch[] = {{"one", 3}, {"", 0}, {"three", 5}, {"four", 4}};
    struct ringd_reader *reader, *many;
    struct ringd_record records[8];
    struct ringd_writer *a, *b;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    a = open_writer(RING);
    b = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    many = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    reserve(b, 6);
    ck_assert_int_eq(ringd_write_batch(a, batch, 4), RINGD_OK);
    ck_assert_int_eq(ringd_write(a, "five", 4), RINGD_OK);
    ck_nothing(reader); /* b is before them */
    ck_assert_int_eq(ringd_commit(b, 0), RINGD_OK);

    ck_next(reader, "");
    ck_next(reader, "one");
    ck_next(reader, "");
    ck_next(reader, "three");
    ck_next(reader, "four");
    ck_next(reader, "five");
    ck_assert_int_eq(ringd_next_many(many, records, 8, &count), RINGD_OK);
    ck_assert_uint_eq(count, 6);
    for (int i = 1; i < 4; i++) {
        ck_assert_uint_eq(records[i].writer, writer_slot(a));
        ck_assert_uint_eq(records[i].next, records[i + 1].position); /* nothing in between */
        ck_assert_uint_eq(records[i + 1].sequence, records[i].sequence + 1);
    }
}
END_TEST

/* All of a batch or nothing, also when there is room for a part of it. */
START_TEST(rule_4_a_batch_that_does_not_fit_leaves_nothing)
{
    struct iovec batch[16];
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t position;
    size_t count = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 16; i++)
        batch[i] = (struct iovec){.iov_base = "abc", .iov_len = 3};
    while (limit_of(w) - position_of(w) >= 16 * 64)
        ck_assert_int_eq(ringd_write(w, "single", 6), RINGD_OK);
    position = position_of(w);
    ck_assert_uint_gt(limit_of(w), position);
    ck_assert_int_eq(ringd_write_batch(w, batch, 16), RINGD_FULL);
    ck_assert_uint_eq(position_of(w), position);
    while (ringd_next(reader, &record) == RINGD_OK) {
        ck_assert_uint_eq(record.len, 6);
        count++;
    }
    ck_assert_uint_eq(count, writer_sequence(w));
}
END_TEST

START_TEST(rule_5_a_writer_opens_its_own_data)
{
    struct ringd_reader *reader;
    struct ringd_writer *a, *b;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    a = open_writer(RING);
    b = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    memcpy(reserve(a, 5), "first", 5);
    memcpy(reserve(b, 6), "second", 6);
    ck_nothing(reader);
    ck_assert_int_eq(ringd_commit(a, 5), RINGD_OK);
    ck_assert_uint_ne(active_of(a), 0); /* b is still at it: nobody was the last one out */
    ck_next(reader, "first");
    ck_nothing(reader);
    ck_assert_int_eq(ringd_commit(b, 6), RINGD_OK);
    ck_next(reader, "second");
}
END_TEST

/* Bulk reading uses what the last one out has opened: the position beside an empty set. */
START_TEST(rule_6_the_last_one_out_opens_all)
{
    struct ringd_record records[16];
    struct ringd_reader *reader;
    struct ringd_writer *a, *b;
    uint64_t before;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    a = open_writer(RING);
    b = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    before = reader->lanes[0].opened;
    reserve(b, 4);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ringd_write(a, "data", 4), RINGD_OK);
    ck_assert_int_eq(ringd_next_many(reader, records, 16, &count), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(reader->lanes[0].opened, before); /* somebody is active: the position opens nothing */

    ck_assert_int_eq(ringd_commit(b, 4), RINGD_OK);
    ck_assert_uint_eq(active_of(a), 0);
    ck_assert_int_eq(ringd_next_many(reader, records, 16, &count), RINGD_OK);
    ck_assert_uint_eq(count, 6);
    ck_assert_uint_eq(reader->lanes[0].opened, position_of(a));
    ck_assert_uint_eq(ringd_reader_position(reader), position_of(a));
}
END_TEST

START_TEST(rule_7_finishing_leaves_the_set_and_moves_the_limit)
{
    struct ringd_writer *writers[31];
    struct ringd_reader *reader;
    struct ringd_record record;
    uint64_t limit;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 31; i++) {
        writers[i] = open_writer(RING);
        memcpy(reserve(writers[i], 1), "x", 1);
        ck_assert_int_eq(__builtin_popcount(active_of(writers[0])), i + 1);
    }
    ck_assert_uint_eq(active_of(writers[0]), RINGD_W_ACTIVE);
    for (int i = 30; i >= 0; i--) {
        ck_nothing(reader); /* the first in the ring finishes last */
        ck_assert_int_eq(ringd_commit(writers[i], 1), RINGD_OK);
        ck_assert_int_eq(__builtin_popcount(active_of(writers[0])), i);
    }
    for (int i = 0; i < 31; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.writer, writer_slot(writers[i]));
    }

    limit = limit_of(writers[0]);
    fill_up(writers[0], 200);
    ck_assert_uint_eq(fill_up(writers[0], 0), 0);
    ck_assert_uint_eq(limit_of(writers[0]), limit); /* the reader has given nothing back */
    while (ringd_next(reader, &record) == RINGD_OK)
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_assert_int_eq(ringd_write(writers[0], "again", 5), RINGD_OK);
    ck_assert_uint_gt(limit_of(writers[0]), limit);
}
END_TEST

/* What stands in reserved memory is the last lap's records, stamps and all. */
START_TEST(rule_8_nothing_uncommitted_is_read)
{
    struct ringd_reader *readers[3];
    struct ringd_record records[4];
    struct ringd_writer *w, *v;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    w = open_writer(RING);
    v = open_writer(RING);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(ringd_write(w, "0123456789abcde", 15), RINGD_OK);
    for (uint32_t mode = RINGD_READ_LOSSY; mode <= RINGD_READ_OBSERVE; mode++)
        readers[mode] = open_reader(RING, mode, RINGD_START_NOW);
    for (int round = 0; round < 500; round++) {
        memcpy(reserve(w, 3), "new", 3);
        ck_assert_int_eq(ringd_write(v, "later", 5), RINGD_OK);
        for (int i = 0; i < 3; i++) {
            ck_nothing(readers[i]);
            ck_assert_int_eq(ringd_next_many(readers[i], records, 4, &count), RINGD_WOULD_BLOCK);
        }
        if (round % 3 == 0)
            ck_assert_int_eq(ringd_abort(w), RINGD_OK);
        else
            ck_assert_int_eq(ringd_commit(w, 3), RINGD_OK);
        for (int i = 0; i < 3; i++) {
            if (round % 3 != 0)
                ck_next(readers[i], "new");
            ck_next(readers[i], "later");
            ck_nothing(readers[i]);
            ck_assert_int_eq(ringd_release(readers[i]), RINGD_OK);
        }
    }
}
END_TEST

/* What a lossless reader looks at stays until it is released, and is writers' from then on, to the byte. */
START_TEST(rule_9_a_released_place_is_open_to_writers)
{
    struct ringd_record record, held[256];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t fits = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int lap = 0; lap < 50; lap++) {
        size_t count = 0, written = 0;

        while (write_record(w, RECORD_MIN) == RINGD_OK)
            written++;
        if (lap == 0)
            fits = written;
        ck_assert_uint_eq(written, fits);
        ck_assert_uint_le(fits, 256);
        while (ringd_next(reader, &held[count]) == RINGD_OK)
            count++;
        ck_assert_uint_eq(count, fits);
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_FULL); /* read, but not released */
        for (size_t i = 0; i < count; i++)
            record_verify(&held[i]);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK); /* caught up: published at the latest now */
    }
}
END_TEST

/* A cursor that is published in batches is never ahead of what was released. */
START_TEST(rule_9_a_cursor_is_never_ahead_of_the_release)
{
    struct random_source random = {.state = support_seed()};
    uint64_t released, taken = 0;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    released = ringd_reader_position(reader);
    for (int round = 0; round < 20000; round++) {
        uint64_t choice = random_below(&random, 4);

        if (choice <= 1)
            write_record(w, RECORD_MIN + random_below(&random, 40));
        else if (choice == 2 && ringd_next(reader, &record) == RINGD_OK)
            taken++;
        else if (choice == 3 && ringd_release(reader) == RINGD_OK)
            released = ringd_reader_position(reader);
        ck_assert_uint_le(atomic_load(&reader->lanes[0].cursor->position), released);
    }
    ck_assert_uint_gt(taken, 1000);
}
END_TEST

/* A writer that is attached and not in a record, and one that comes and goes, hold nobody up. (The lossless guest holds
 * the ring from its oldest record on until the daemon has seen it go: writers wait that long.) */
START_TEST(rule_12_contexts_come_and_go)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    open_writer(RING);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int round = 0; round < 300; round++) {
        struct ringd_writer *guest = open_writer_until(RING, RINGD_FOREVER);
        struct ringd_reader *lossless = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
        struct ringd_reader *lossy = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
        struct tracker seen = {0};

        ringd_reader_close(lossless);
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(write_record(w, 40), RINGD_OK);
            ck_assert_int_eq(write_record(guest, 30), RINGD_OK);
        }
        ck_assert_int_eq(tracker_drain(&seen, lossy), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(tracker_delivered(&seen), 10);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        ringd_writer_close(guest);
        ringd_reader_close(lossy);
    }
    ck_assert_uint_eq(tracker_delivered(&tracker), 3000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules");
    TCase *tests = add_case(suite, "rules");

    tcase_add_test(tests, rule_1_several_at_once_in_one_order);
    tcase_add_test(tests, rule_2_one_word_manages_all_writers);
    tcase_add_test(tests, rule_3_the_most_that_is_there_from_min_to_want);
    tcase_add_test(tests, rule_4_one_grant_stays_together);
    tcase_add_test(tests, rule_4_a_batch_that_does_not_fit_leaves_nothing);
    tcase_add_test(tests, rule_5_a_writer_opens_its_own_data);
    tcase_add_test(tests, rule_6_the_last_one_out_opens_all);
    tcase_add_test(tests, rule_7_finishing_leaves_the_set_and_moves_the_limit);
    tcase_add_test(tests, rule_8_nothing_uncommitted_is_read);
    tcase_add_test(tests, rule_9_a_released_place_is_open_to_writers);
    tcase_add_test(tests, rule_9_a_cursor_is_never_ahead_of_the_release);
    tcase_add_test(tests, rule_12_contexts_come_and_go);
    return run_suite(suite);
}
