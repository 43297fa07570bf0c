/* check_message.c - what belongs together: batches, and messages that are longer than a record.
 *
 * What stands in the ring is looked at in its memory: each record's flags, sequence number and bytes. A reader that
 * puts messages together lives by that: parts follow each other in their writer's sequence, the first says that it is
 * the first and only the last ends the message, so that one that was not finished - for want of room, or because its
 * writer died - can not be taken for whole, whatever its writer or the next owner of its slot writes then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "writer.h"

#define RING "message"
#define MAX  100u /* bytes of a record */

static const struct ringd_ring_options large = {.size = 65536, .max_record = MAX};
static const struct ringd_ring_options small = {.size = 8192, .max_record = MAX};

static unsigned char text[65536];

/* Bytes that are not the same anywhere near. */
static void make_text(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i % 251 + i / 251);
}

static size_t parts_of(size_t len)
{
    return (len + MAX - 1) / MAX;
}

/* ---- what stands in the ring ------------------------------------------------------------------------------------- */

struct seen {
    uint64_t flags, type, level, writer, incarnation, sequence, time;
    size_t len;
    const unsigned char *payload;
};

static uint64_t position_of(const struct ringd_writer *w)
{
    uint64_t position;

    ck_assert_int_eq(ring_position(&w->ring.ring, &position), 0);
    return position;
}

/* The records from `position` to the end, without padding; how many. */
static size_t look(const struct ringd_writer *w, uint64_t position, struct seen *seen, size_t max)
{
    uint64_t end = position_of(w);
    size_t count = 0;

    while (position != end) {
        const struct ringd_record_header *h = ring_header(&w->ring.ring, position);
        uint64_t state = ring_stamp_state(&w->ring.ring, position, memory_order_acquire), extent = h->extent,
                 origin = h->origin;

        ck_assert(ring_state_valid(state));
        if (state == RINGD_STATE_COMMITTED) {
            ck_assert_uint_lt(count, max);
            seen[count++] = (struct seen){
                .flags = origin >> RINGD_ORIGIN_FLAGS_SHIFT,
                .level = origin >> RINGD_ORIGIN_LEVEL_SHIFT & 0xff,
                .type = origin >> RINGD_ORIGIN_TYPE_SHIFT & 0xffff,
                .writer = origin & RINGD_ORIGIN_WRITER_MASK,
                .incarnation = origin >> RINGD_ORIGIN_INCARNATION_SHIFT & RINGD_ORIGIN_INCARNATION_MASK,
                .sequence = extent >> 32,
                .time = h->time,
                .len = (uint32_t)extent,
                .payload = (const unsigned char *)(h + 1),
            };
        }
        position += ring_record_bytes((uint32_t)extent);
    }
    return count;
}

/* The first `count` parts of the text's first `len` bytes. */
static void ck_parts(const struct seen *seen, size_t count, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        size_t left = len - i * MAX;
        uint64_t flags = RINGD_FLAG_PART;

        flags |= i == 0 ? RINGD_FLAG_FIRST : 0;
        flags |= left <= MAX ? RINGD_FLAG_LAST : 0;
        ck_assert_uint_eq(seen[i].flags, flags);
        ck_assert_uint_eq(seen[i].len, left < MAX ? left : MAX);
        ck_assert_mem_eq(seen[i].payload, text + i * MAX, seen[i].len);
        ck_assert_uint_eq(seen[i].sequence, seen[0].sequence + i);
        ck_assert_uint_eq(seen[i].writer, seen[0].writer);
        ck_assert_uint_eq(seen[i].incarnation, seen[0].incarnation);
    }
}

static void ck_sums(const struct ringd_writer *w, uint64_t offered, uint64_t committed, uint64_t turned_away)
{
    struct ringd_writer_counters c;

    ck_assert_int_eq(ringd_writer_count(w, &c), RINGD_OK);
    ck_assert_uint_eq(c.offered, offered);
    ck_assert_uint_eq(c.committed, committed);
    ck_assert_uint_eq(c.refused + c.dropped_full + c.dropped_stalled, turned_away);
    ck_assert_uint_eq(c.offered, c.committed + c.aborted + c.refused + c.dropped_full + c.dropped_stalled);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

START_TEST(all_of_a_batch_but_the_last_say_that_there_is_more)
{
    struct iovec records[] = {{text, 3}, {text, 0}, {text, 20}};
    struct ringd_writer *w;
    struct seen seen[8];
    uint64_t begin;

    make_ring(RING, large);
    w = open_writer(RING);
    begin = position_of(w);
    ck_assert_int_eq(ringd_write_batch(w, records, 3), RINGD_OK);
    ck_assert_int_eq(ringd_write_batch(w, records, 1), RINGD_OK);
    ck_assert_int_eq(ringd_write(w, text, 5), RINGD_OK);
    ck_assert_uint_eq(look(w, begin, seen, 8), 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(seen[i].flags, i < 2 ? RINGD_FLAG_MORE : 0);
        ck_assert_uint_eq(seen[i].sequence, seen[0].sequence + (uint64_t)i);
    }
    ringd_writer_close(w);
}
END_TEST

static void write_three(void *unused)
{
    struct iovec records[] = {{text, 3}, {text, 0}, {text, 20}};
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    require(ringd_write_batch(w, records, 3) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* Its writer stands in the middle while the ring moves, and appends it anew. */
START_TEST(a_batch_that_is_written_anew_is_one_again)
{
    struct ringd_writer *w;
    struct seen seen[8];
    struct at_point at;
    uint64_t begin;

    if (!at_point_allowed("a_batch_that_is_written_anew_is_one_again"))
        return;
    make_ring(RING, large);
    at = at_point_start("batch-filled", STOP_HOLD, 2, write_three, NULL);
    ck_assert_int_ne(at_point_pid(&at), 0);
    ck_assert_int_eq(ringd_resize(RING, 131072), 0);
    w = open_writer(RING);
    ck_assert_uint_eq(ring_info(RING).generation, 2);
    begin = position_of(w);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    ck_assert_uint_eq(look(w, begin, seen, 8), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(seen[i].flags, i < 2 ? RINGD_FLAG_MORE : 0);
        ck_assert_uint_eq(seen[i].sequence, seen[0].sequence + (uint64_t)i);
    }
    ringd_writer_close(w);
}
END_TEST

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* Of every length around a whole number of parts; type, level and time as those of records. */
START_TEST(a_message_is_written_in_parts)
{
    static const size_t lens[] = {MAX + 1, 2 * MAX - 1, 2 * MAX, 2 * MAX + 1, 7 * MAX, 10000};
    struct ringd_ring_options options = large;
    struct ringd_writer *w;
    struct seen seen[128];

    options.time = (uint32_t)_i;
    make_ring(RING, options);
    make_text();
    w = open_writer(RING);
    ringd_writer_label(w, 4711, 5);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint64_t begin = position_of(w);
        size_t count = parts_of(lens[i]);

        ck_assert_int_eq(ringd_write_message(w, text, lens[i]), RINGD_OK);
        ck_assert_uint_eq(look(w, begin, seen, 128), count);
        ck_parts(seen, count, lens[i]);
        for (size_t part = 0; part < count; part++) {
            ck_assert_uint_eq(seen[part].type, 4711);
            ck_assert_uint_eq(seen[part].level, 5);
            ck_assert(options.time != RINGD_TIME_MONOTONIC || seen[part].time != 0);
        }
    }
    ringd_writer_close(w);
}
END_TEST

START_TEST(what_fits_into_a_record_is_one)
{
    struct ringd_writer *w;
    struct seen seen[8];
    uint64_t begin;

    make_ring(RING, large);
    make_text();
    w = open_writer(RING);
    begin = position_of(w);
    ck_assert_int_eq(ringd_write_message(w, text, MAX), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(w, NULL, 0), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(w, text, MAX + 1), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(w, text, 1), RINGD_OK); /* and nothing of the message sticks to it */
    ck_assert_uint_eq(look(w, begin, seen, 8), 5);
    ck_assert_uint_eq(seen[0].flags, 0);
    ck_assert_uint_eq(seen[1].flags, 0);
    ck_parts(seen + 2, 2, MAX + 1);
    ck_assert_uint_eq(seen[4].flags, 0);
    ck_sums(w, 5, 5, 0);
    ringd_writer_close(w);
}
END_TEST

START_TEST(messages_that_cannot_be)
{
    struct ringd_writer *w;
    struct seen seen[1];
    size_t granted;
    uint64_t begin;
    void *data;

    make_ring(RING, large);
    w = open_writer(RING);
    begin = position_of(w);
    ck_assert_int_eq(ringd_write_message(w, text, RINGD_MESSAGE_MAX + 1), -EMSGSIZE);
    ck_sums(w, 1, 0, 1);
    ck_assert_int_eq(ringd_reserve(w, 1, 1, &data, &granted), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(w, text, MAX + 1), -EBUSY);
    ck_assert_int_eq(ringd_write_message(w, text, RINGD_MESSAGE_MAX + 1), -EBUSY);
    ck_assert_int_eq(ringd_abort(w), RINGD_OK);
    ck_assert_uint_eq(look(w, begin, seen, 1), 0);
    ringd_writer_close(w);
}
END_TEST

/* No room in the middle of it: what is there stays unfinished, and what comes then does not go on with it. */
START_TEST(a_message_that_finds_no_room)
{
    struct ringd_ring_options options = small;
    bool drops = _i == RINGD_DROP;
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct ringd_record record;
    struct seen seen[128];
    uint64_t begin;
    size_t count;

    options.policy = (uint32_t)_i;
    make_ring(RING, options);
    make_text();
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    begin = position_of(w);
    ck_assert_int_eq(ringd_write_message(w, text, 16384), drops ? RINGD_DROPPED : RINGD_FULL);
    count = look(w, begin, seen, 128);
    ck_assert_uint_gt(count, 10);
    ck_parts(seen, count, 16384); /* none of them is the last */
    ck_sums(w, count + 1, count, 1);
    while (ringd_next(reader, &record) == RINGD_OK)
        ringd_release(reader);
    begin = position_of(w);
    ck_assert_int_eq(ringd_write(w, text, 1), RINGD_OK);
    ck_assert_int_eq(ringd_write_message(w, text, MAX + 1), RINGD_OK);
    ck_assert_uint_eq(look(w, begin, seen + 1, 127), 3);
    ck_assert_uint_eq(seen[1].flags, 0);
    ck_assert_uint_eq(seen[1].sequence, seen[0].sequence + count);
    ck_parts(seen + 2, 2, MAX + 1);
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* Longer than the ring: it has room as long as somebody reads, and one deadline for all of it. */
static void read_all(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    _Atomic uint64_t *ready = argument;
    struct ringd_record record;
    int result;

    *ready = 1;
    while ((result = ringd_next(reader, &record)) == RINGD_OK)
        require(ringd_release(reader) == RINGD_OK, "evicted");
    require(result == RINGD_END, "result %d", result);
}

START_TEST(a_message_longer_than_the_ring)
{
    _Atomic uint64_t *ready = shared_new(sizeof *ready);
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, small);
    make_text();
    w = open_writer_until(RING, RINGD_FOREVER);
    pid = child_start(read_all, (void *)ready);
    while (*ready == 0)
        pause_ms(1);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ringd_write_message(w, text, sizeof text), RINGD_OK);
    ck_sums(w, 20 * parts_of(sizeof text), 20 * parts_of(sizeof text), 0);
    ck_assert_int_eq(ringd_remove(RING), 0);
    child_finish(pid);
    ringd_writer_close(w);
}
END_TEST

START_TEST(the_deadline_of_a_message_is_one_for_all_parts)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;
    int64_t deadline;

    make_ring(RING, small);
    make_text();
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    deadline = now_ns() + 20000000;
    w = open_writer_until(RING, deadline);
    ck_assert_int_eq(ringd_write_message(w, text, sizeof text), RINGD_FULL);
    ck_assert_int_ge(now_ns(), deadline);
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* ---- a writer that stands, or dies, between two parts ------------------------------------------------------------ */

static void write_one(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    require(ringd_write_message(w, text, 5 * MAX + 1) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* The parts stay, as records that no reader can take for a message, and the accounts add up. The next owner of the slot
 * goes on counting; what it writes does not go on with them. */
START_TEST(a_writer_that_dies_between_two_parts)
{
    struct ringd_writer *w;
    struct ringd_info info;
    struct seen seen[8];
    struct at_point at;
    uint64_t begin;

    if (!at_point_allowed("a_writer_that_dies_between_two_parts"))
        return;
    make_ring(RING, large);
    make_text();
    begin = ring_info(RING).position;
    at = at_point_start("message-part", STOP_KILL, (unsigned long)_i, write_one, NULL);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_KILLED);
    wait_for_contexts(RING, 0);
    info = ring_info(RING);
    ck_assert_uint_eq(info.committed, (uint64_t)_i);
    ck_assert_uint_eq(info.offered, info.committed + info.lost);
    w = open_writer(RING);
    ck_assert_int_eq(ringd_write_message(w, text, 2 * MAX), RINGD_OK);
    ck_assert_uint_eq(look(w, begin, seen, 8), (size_t)_i + 2);
    ck_parts(seen, (size_t)_i, 5 * MAX + 1);
    ck_parts(seen + _i, 2, 2 * MAX);
    ck_assert_uint_eq(seen[_i].sequence, seen[0].sequence + (uint64_t)_i);
    ck_assert_uint_ne(seen[_i].incarnation, seen[0].incarnation);
    ringd_writer_close(w);
}
END_TEST

/* Others write in between, and the ring moves: the parts still follow each other. */
START_TEST(the_ring_moves_between_two_parts)
{
    struct ringd_writer *w, *next;
    struct seen seen[8];
    struct at_point at;
    uint64_t begin, moved;

    if (!at_point_allowed("the_ring_moves_between_two_parts"))
        return;
    make_ring(RING, large);
    make_text();
    w = open_writer(RING);
    begin = position_of(w);
    at = at_point_start("message-part", STOP_HOLD, 2, write_one, NULL);
    ck_assert_int_ne(at_point_pid(&at), 0);
    ck_assert_uint_eq(look(w, begin, seen, 8), 2);
    ck_parts(seen, 2, 5 * MAX + 1);
    ck_assert_int_eq(ringd_resize(RING, 131072), 0);
    ck_assert_int_eq(ringd_write(w, "between", 7), RINGD_OK); /* follows */
    moved = position_of(w) - ring_record_bytes(7);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    next = open_writer(RING);
    ck_assert_uint_eq(look(next, moved, seen + 1, 7), 5);
    ck_assert_uint_eq(seen[1].flags, 0);
    seen[1] = seen[0]; /* what stands there now is not looked at: its memory has been left */
    for (size_t i = 2; i < 6; i++) {
        ck_assert_uint_eq(seen[i].flags, i < 5 ? RINGD_FLAG_PART : RINGD_FLAG_PART | RINGD_FLAG_LAST);
        ck_assert_uint_eq(seen[i].sequence, seen[0].sequence + i);
        ck_assert_mem_eq(seen[i].payload, text + i * MAX, seen[i].len);
    }
    ringd_writer_close(next);
    ringd_writer_close(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tests = add_case(suite, "message");

    tcase_add_test(tests, all_of_a_batch_but_the_last_say_that_there_is_more);
    tcase_add_test(tests, a_batch_that_is_written_anew_is_one_again);
    tcase_add_loop_test(tests, a_message_is_written_in_parts, RINGD_TIME_NONE, RINGD_TIME_TSC + 1);
    tcase_add_test(tests, what_fits_into_a_record_is_one);
    tcase_add_test(tests, messages_that_cannot_be);
    tcase_add_loop_test(tests, a_message_that_finds_no_room, RINGD_LOSSLESS, RINGD_DROP + 1);
    tcase_add_test(tests, a_message_longer_than_the_ring);
    tcase_add_test(tests, the_deadline_of_a_message_is_one_for_all_parts);
    tcase_add_loop_test(tests, a_writer_that_dies_between_two_parts, 1, 6);
    tcase_add_test(tests, the_ring_moves_between_two_parts);
    return run_suite(suite);
}
