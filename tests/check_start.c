/* check_start.c - where readers start that come late, and where those go on that were overtaken.
 *
 * What holds true: a start at a time is at the first record of that time or later that is still there, in every mode
 * and with either clock; it is found from marks, whatever stands in them, and not by reading all that is there; a
 * lossless reader keeps nobody waiting for what it leaves out; who was overtaken goes on at the oldest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../daemon/segment_create.h"
#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "start"

struct written {
    uint64_t position, time;
};

static struct ringd_reader *open_at(uint32_t mode, uint64_t time)
{
    struct ringd_reader_options options = {.mode = mode, .start = RINGD_START_TIME, .time = time};

    return open_reader_with(RING, options);
}

/* Everything that is there, by a reader from the oldest. */
static struct written *read_back(size_t *count, size_t max)
{
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    struct written *written = calloc(max, sizeof *written);
    struct ringd_record record;

    require(written != NULL, "no memory");
    *count = 0;
    while (ringd_next(reader, &record) == RINGD_OK) {
        require(*count < max, "more than were written");
        written[*count] = (struct written){.position = record.position, .time = record.time};
        require(*count == 0 || written[*count - 1].time <= record.time, "one writer's times are in order");
        ++*count;
    }
    ringd_reader_close(reader);
    return written;
}

static size_t first_at(const struct written *written, size_t count, uint64_t time)
{
    size_t i = 0;

    while (i < count && written[i].time < time)
        i++;
    return i;
}

/* That this is where a reader starts, of what is there. */
static void ck_start(uint32_t mode, uint64_t time, const struct written *written, size_t count)
{
    struct ringd_reader *reader = open_at(mode, time);
    size_t first = first_at(written, count, time);
    struct ringd_record record;

    if (first == count) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    } else {
        ck_assert_uint_eq(ringd_reader_position(reader), written[first].position);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.position, written[first].position);
        ck_assert_uint_eq(record.time, written[first].time);
    }
    if (mode != RINGD_READ_OBSERVE && first < count)
        ck_assert_uint_eq(atomic_load(&reader->lanes[0].cursor->position), written[first].position);
    ringd_reader_close(reader);
    if (mode == RINGD_READ_LOSSLESS) /* whose slot the daemon gives back when it has seen it */
        wait_for_contexts(RING, 1);
}

static void ck_starts(uint32_t mode, const struct written *written, size_t count)
{
    struct random_source random = {support_seed()};

    ck_start(mode, 0, written, count);
    ck_start(mode, UINT64_MAX, written, count);
    ck_start(mode, written[0].time, written, count);
    ck_start(mode, written[count - 1].time, written, count);
    ck_start(mode, written[count - 1].time + 1, written, count);
    for (int i = 0; i < 20; i++) {
        uint64_t time = written[random_below(&random, count)].time;

        ck_start(mode, time, written, count);
        ck_start(mode, time + 1, written, count);
        ck_start(mode, time - 1, written, count);
    }
}

/* Each mode with each clock, on a ring that has not gone round. */
START_TEST(at_each_time)
{
    struct random_source random = {support_seed()};
    struct written *written;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING,
              (struct ringd_ring_options){.size = 1 << 20, .time = _i % 2 ? RINGD_TIME_TSC : RINGD_TIME_MONOTONIC});
    w = open_writer(RING);
    for (int i = 0; i < 4000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN + random_below(&random, 200)), RINGD_OK);
    written = read_back(&count, 4000);
    ck_assert_uint_eq(count, 4000);
    ck_starts((uint32_t)_i / 2, written, count);
    free(written);
}
END_TEST

/* What was asked for is gone: at the oldest. A time that nothing has yet: at what is written next. */
START_TEST(at_times_that_are_not_there)
{
    struct ringd_reader *reader;
    struct written *written;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t gone;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .time = RINGD_TIME_MONOTONIC}); /* and runs free */
    w = open_writer(RING);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    reader = open_at(RINGD_READ_OBSERVE, 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    gone = record.time;
    ringd_reader_close(reader);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN + 40), RINGD_OK);
    written = read_back(&count, 5000);
    ck_assert_uint_lt(count, 2000);
    ck_start((uint32_t)_i, gone, written, count);
    ck_starts((uint32_t)_i, written, count);
    reader = open_at((uint32_t)_i, UINT64_MAX);
    ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_ge(record.position, written[count - 1].position);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    free(written);
}
END_TEST

START_TEST(of_a_ring_without_time)
{
    struct ringd_reader_options options = {.mode = (uint32_t)_i, .start = RINGD_START_TIME, .time = 5};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){0});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EOPNOTSUPP);
    ck_assert_ptr_null(reader);
    ck_assert_msg(strstr(ringd_error(), "--time") != NULL, "%s", ringd_error());
    options.start = RINGD_START_TIME + 1;
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
    ck_assert_msg(strstr(ringd_error(), "start 4") != NULL, "%s", ringd_error());
    ringd_close(ring);
}
END_TEST

/* Each lane at its own first record of that time. */
START_TEST(of_several_lanes)
{
    struct ringd_writer_options options = {0};
    struct ringd_writer *writers[3];
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd *ring;
    uint64_t times[600], half = 0;
    unsigned found = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .lanes = 3, .time = RINGD_TIME_MONOTONIC});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    for (uint32_t i = 0; i < 3; i++) {
        options.lane = i + 1;
        ck_assert_int_eq(ringd_writer_open(&writers[i], ring, &options), 0);
    }
    for (uint32_t i = 0; i < 600; i++) {
        times[i] = (uint64_t)now_ns();
        half = i == 300 ? times[i] : half;
        ck_assert_int_eq(ringd_write(writers[i % 7 % 3], &i, sizeof i), RINGD_OK);
    }
    reader = open_at((uint32_t)_i, half);
    while (ringd_next(reader, &record) == RINGD_OK) {
        uint32_t number;

        memcpy(&number, record.data, sizeof number);
        ck_assert_uint_ge(record.time, times[number]);
        ck_assert_uint_ge(number, 300);
        found++;
    }
    ck_assert_uint_eq(found, 300);
    ringd_close(ring);
}
END_TEST

/* ---- marks ------------------------------------------------------------------------------------------------------- */

static uint64_t scribble(struct random_source *random, const struct written *written, size_t count, int kind)
{
    const struct written *some = &written[random_below(random, count)];

    switch (kind) {
    case 0:
        return random_next(random);
    case 1:
        return random_next(random) & ~(uint64_t)(RINGD_UNIT - 1);
    case 2:
        return some->position + RINGD_UNIT; /* in a payload */
    case 3:
        return some->position + 1;
    case 4:
        return some->position; /* of a record, in any section */
    case 5:
        return some->position - (UINT64_C(1) << 37); /* 2^32 units ago */
    default:
        return random_below(random, 2) ? 0 : UINT64_MAX;
    }
}

/* Whatever stands in the marks costs time at most: who starts finds the same record. */
START_TEST(marks_that_are_scribbled_over)
{
    struct random_source random = {support_seed()};
    struct written *written;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING,
              (struct ringd_ring_options){.size = 65536, .policy = RINGD_OVERWRITE, .time = RINGD_TIME_MONOTONIC});
    w = open_writer(RING);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN + 40), RINGD_OK);
    written = read_back(&count, 2000);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < (int)RINGD_MARKS; i++)
            atomic_store(&w->ring.ring.lane->marks[i],
                         scribble(&random, written, count, (round + i * (round % 2)) % 7));
        ck_start(round % 2 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE, written[random_below(&random, count)].time, written,
                 count);
    }
    free(written);
}
END_TEST

#define LARGE_BYTES (UINT64_C(64) << 20)

static void write_large(struct ringd_writer *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        size_t granted;
        void *place;

        ck_assert_int_eq(ringd_reserve(w, 4000, 4000, &place, &granted), RINGD_OK);
        ck_assert_int_eq(ringd_commit(w, 4000), RINGD_OK);
    }
}

/* What is more than three marks before the start has no stamps any more: who walked over it would end there. */
START_TEST(what_is_long_before_is_not_looked_at)
{
    struct written *written;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = LARGE_BYTES, .time = RINGD_TIME_MONOTONIC});
    w = open_writer(RING);
    write_large(w, 13000);
    written = read_back(&count, 13000);
    ck_assert_uint_eq(count, 13000);
    for (size_t start = count / 2; start < count; start += count / 10) {
        for (size_t i = 0; i < count && written[i].position < written[start].position - 3 * LARGE_BYTES / RINGD_MARKS;
             i++)
            atomic_store(&ring_header(&w->ring.ring, written[i].position)->stamp, 0);
        ck_start(_i == 0 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE, written[start].time, written, count);
    }
    free(written);
}
END_TEST

/* ---- a lossless reader ------------------------------------------------------------------------------------------- */

static void write_one_more(void *argument)
{
    const struct segment_objects *objects = ((const struct own_ring *)argument)->objects;
    struct ringd_writer_options options = {.deadline = RINGD_FOREVER};
    struct segment segment;
    struct ringd_writer *w;

    require(segment_map(&segment, objects->segment.fd, objects->readers.fd, SEGMENT_WRITER) == 0, "map");
    require(writer_new(&w, &segment, 1, 1, &options) == 0, "writer");
    require(ringd_write(w, "abc", 3) == RINGD_OK, "write");
}

/* It joins at the oldest, so that nothing is overwritten while it looks; what it leaves out goes to who waits for it.
 */
START_TEST(what_is_left_out_is_given_back)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_TIME, .time = UINT64_MAX};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct own_ring own;
    struct ring ring;
    uint64_t cursor;
    pid_t pid;

    own_ring_new(&own, (struct ringd_ring_options){.size = 65536, .time = RINGD_TIME_MONOTONIC});
    ring_init(&ring, own.segment, 0);
    ck_assert_int_eq(writer_new(&w, own.segment, 0, 1, &(struct ringd_writer_options){0}), 0);
    ck_assert_int_eq(ring_join(&ring, 1, 0, RINGD_START_OLDEST, 0, &cursor), 0);
    while (ringd_write(w, "abc", 3) == RINGD_OK)
        ;
    pid = child_start(write_one_more, &own);
    child_wait_still(pid);
    ck_assert_int_eq(reader_new(&reader, own.segment, 0, cursor, &options), 0);
    child_finish(pid);
    own_ring_free(&own);
}
END_TEST

/* ---- who was overtaken ------------------------------------------------------------------------------------------- */

/* At the oldest that is there: all of it is read, and the rest is told. */
START_TEST(overtaken_goes_on_at_the_oldest)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t lost = 0, delivered = 0;
    int result;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .policy = RINGD_OVERWRITE});
    w = open_writer(RING);
    reader = open_reader(RING, _i == 0 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE, RINGD_START_NOW);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(write_record(w, RECORD_MIN + 40), RINGD_OK);
    while ((result = ringd_next(reader, &record)) == RINGD_OK || result == RINGD_GAP) {
        if (result == RINGD_OK && delivered++ == 0)
            ck_assert_uint_eq(record.position, ring_info(RING).oldest);
        lost += result == RINGD_GAP ? record.lost : 0;
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(lost + delivered, 5000);
    ck_assert_uint_eq(delivered, (ring_info(RING).position - ring_info(RING).oldest) / 96);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("start");
    TCase *tests = add_case(suite, "start");

    tcase_add_loop_test(tests, at_each_time, 0, 6);
    tcase_add_loop_test(tests, at_times_that_are_not_there, 0, 3);
    tcase_add_loop_test(tests, of_a_ring_without_time, 0, 3);
    tcase_add_loop_test(tests, of_several_lanes, 0, 3);
    tcase_add_test(tests, marks_that_are_scribbled_over);
    tcase_add_loop_test(tests, what_is_long_before_is_not_looked_at, 0, 2);
    tcase_add_test(tests, what_is_left_out_is_given_back);
    tcase_add_loop_test(tests, overtaken_goes_on_at_the_oldest, 0, 2);
    return run_suite(suite);
}
