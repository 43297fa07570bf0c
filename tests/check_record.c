/* check_record.c - records of every length at every place: the edge of the data, the wrap of the 32-bit position, what
 * a grant leaves unused, several pieces, several records at once, and what else a record carries.
 *
 * Every record that is read is compared with what was written, byte for byte.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING "records"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static unsigned char pattern_at(uint64_t start, size_t i)
{
    return (unsigned char)((start + i) * 167 + (start + i) / 256);
}

/* Any length, also too short to say who wrote it. */
static void fill_pattern(unsigned char *payload, size_t len, uint64_t start)
{
    for (size_t i = 0; i < len; i++)
        payload[i] = pattern_at(start, i);
}

static void require_pattern(const struct ringd_record *record, size_t len, uint64_t start)
{
    const unsigned char *data = record->data;

    require(record->len == len, "%zu instead of %zu bytes at %lu", record->len, len, (unsigned long)record->position);
    for (size_t i = 0; i < len; i++)
        require(data[i] == pattern_at(start, i), "byte %zu of %zu at %lu", i, len, (unsigned long)record->position);
}

/* Writes a record and has it read by both. */
static void pass_through(struct ringd_writer *w, struct ringd_reader *const readers[2], size_t len, uint64_t start)
{
    static unsigned char payload[1 << 20];
    struct ringd_record record;
    int result;

    fill_pattern(payload, len, start);
    result = ringd_write(w, payload, len);
    require(result == RINGD_OK, "%d for %zu bytes", result, len);
    for (int i = 0; i < 2; i++) {
        result = ringd_next(readers[i], &record);
        require(result == RINGD_OK, "%d for %zu bytes", result, len);
        require_pattern(&record, len, start);
        require(ringd_release(readers[i]) == RINGD_OK, "release");
    }
}

static void open_both(struct ringd_reader *readers[2])
{
    readers[0] = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    readers[1] = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
}

static struct ringd_writer_counters count_of(const struct ringd_writer *w)
{
    struct ringd_writer_counters counters;

    ck_assert_int_eq(ringd_writer_count(w, &counters), RINGD_OK);
    return counters;
}

/* ---- lengths and places ------------------------------------------------------------------------------------------ */

START_TEST(every_length_from_none_to_the_largest)
{
    struct ringd_reader *readers[2];
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 131072, .max_record = 2048});
    w = open_writer(RING);
    open_both(readers);
    for (size_t len = 0; len <= 2048; len++)
        pass_through(w, readers, len, len * 31);
    ck_assert_uint_eq(count_of(w).committed, 2049);
    ck_assert_uint_eq(count_of(w).bytes, 2048 * 2049 / 2);
}
END_TEST

START_TEST(longer_than_the_largest_is_refused)
{
    unsigned char payload[2049] = {0};
    struct ringd_writer *w;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 131072, .max_record = 2048});
    w = open_writer(RING);
    ck_assert_int_eq(ringd_write(w, payload, 2049), -EMSGSIZE);
    ck_assert_int_eq(ringd_write(w, payload, SIZE_MAX), -EMSGSIZE);
    ck_assert_int_eq(ringd_write(w, payload, SIZE_MAX - 31), -EMSGSIZE);
    ck_assert_int_eq(ringd_reserve(w, 2049, 2049, &data, &granted), -EMSGSIZE);
    ck_assert_int_eq(ringd_reserve(w, SIZE_MAX, SIZE_MAX, &data, &granted), -EMSGSIZE);
    ck_assert_uint_eq(count_of(w).refused, 5);
    ck_assert_uint_eq(count_of(w).offered, 5);
    ck_assert_int_eq(ringd_reserve(w, 2048, SIZE_MAX, &data, &granted), RINGD_OK);
    ck_assert_uint_eq(granted, 2048);
    ck_assert_int_eq(ringd_commit(w, 2048), RINGD_OK);
}
END_TEST

/* A record of `len` bytes that begins `units` before the end of the data. */
static void at_the_edge(struct ringd_writer *w, struct ringd_reader *const readers[2], size_t len, uint64_t units)
{
    uint64_t size = w->ring.ring.size, to_edge;

    for (;;) {
        to_edge = size - (ringd_reader_position(readers[0]) & (size - 1));
        if (to_edge == units * RINGD_UNIT)
            break;
        pass_through(w, readers, to_edge > units * RINGD_UNIT + 2048 ? 1000 : 0, to_edge);
    }
    pass_through(w, readers, len, len + units);
}

START_TEST(every_alignment_across_the_edge)
{
    struct ringd_reader *readers[2];
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    open_both(readers);
    for (uint64_t units = 1; units <= 33; units++) {
        for (size_t len = units * RINGD_UNIT < 72 ? 0 : units * RINGD_UNIT - 72;
             len <= units * RINGD_UNIT + 8 && len <= 1024; len++)
            at_the_edge(w, readers, len, units);
    }
}
END_TEST

/* The smallest ring with each largest record it may have, many times round. */
START_TEST(smallest_ring_every_max_record)
{
    struct random_source random = {.state = support_seed()};

    for (uint32_t max_record = 1; max_record <= 64; max_record++) {
        struct ringd_reader *readers[2];
        struct ringd_writer *w;

        make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = max_record});
        w = open_writer(RING);
        open_both(readers);
        for (int i = 0; i < 400; i++)
            pass_through(w, readers, random_below(&random, max_record + 1), random_next(&random));
        ringd_writer_close(w);
        ringd_reader_close(readers[0]);
        ringd_reader_close(readers[1]);
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
}
END_TEST

/* The 32 bits of the word wrap at any of several multiples of 2^37 bytes; positions of records go on. */
START_TEST(positions_cross_the_wrap_of_32_bits)
{
    static const uint64_t wraps[] = {SUPPORT_WRAP, 5 * SUPPORT_WRAP, (UINT64_C(1) << 62) - SUPPORT_WRAP};

    for (size_t i = 0; i < sizeof wraps / sizeof wraps[0]; i++) {
        struct ringd_reader *readers[2];
        struct ringd_writer *w;
        uint64_t position;

        make_ring(RING, (struct ringd_ring_options){
                            .size = 65536, .max_record = 1024, .first_position = wraps[i] - 65536 - 32 * (7 + i)});
        w = open_writer(RING);
        open_both(readers);
        position = ringd_reader_position(readers[0]);
        ck_assert_uint_eq(position, wraps[i] - 65536 - 32 * (7 + i));
        for (size_t len = 0; position < wraps[i] + 65536; len = (len + 37) % 1025) {
            pass_through(w, readers, len, position);
            position += 32 + (len + 31) / 32 * 32;
            require(ringd_reader_position(readers[0]) == position, "%lu", (unsigned long)position);
        }
        ck_assert_uint_eq((uint32_t)(atomic_load(&w->ring.ring.lane->word) >> RINGD_W_POSITION_SHIFT),
                          (uint32_t)(position / 32));
        ck_assert_uint_eq(ring_info(RING).position, position);
        ringd_writer_close(w);
        ringd_reader_close(readers[0]);
        ringd_reader_close(readers[1]);
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
}
END_TEST

/* ---- grants ------------------------------------------------------------------------------------------------------ */

START_TEST(commit_less_than_granted)
{
    struct ringd_reader *readers[2];
    struct ringd_record record;
    struct ringd_writer *w;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    open_both(readers);
    for (size_t want = 0; want <= 1024; want += 17) {
        for (size_t len = 0; len <= want; len += 1 + want / 7) {
            require(ringd_reserve(w, want, want, &data, &granted) == RINGD_OK, "%zu", want);
            require(granted == want && (uintptr_t)data % 32 == 0, "%zu at %p", granted, data);
            fill_pattern(data, granted, want + len);
            require(ringd_commit(w, len) == RINGD_OK, "%zu of %zu", len, want);
            for (int i = 0; i < 2; i++) {
                require(ringd_next(readers[i], &record) == RINGD_OK, "%zu of %zu", len, want);
                require_pattern(&record, len, want + len);
                require(ringd_next(readers[i], &record) == RINGD_WOULD_BLOCK, "%zu of %zu", len, want);
                ringd_release(readers[i]);
            }
        }
    }
}
END_TEST

START_TEST(abort_is_never_seen)
{
    struct random_source random = {.state = support_seed()};
    struct ringd_reader *readers[2];
    struct ringd_writer *w;
    uint64_t aborted = 0, committed = 0;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    open_both(readers);
    for (int i = 0; i < 5000; i++) {
        size_t want = random_below(&random, 1025);

        if (random_below(&random, 2) == 0) {
            pass_through(w, readers, want, random_next(&random));
            committed++;
            continue;
        }
        require(ringd_reserve(w, 0, want, &data, &granted) == RINGD_OK, "%zu", want);
        memset(data, 0xee, granted);
        require(ringd_abort(w) == RINGD_OK, "%zu", want);
        aborted++;
    }
    ck_assert_uint_eq(count_of(w).aborted, aborted);
    ck_assert_uint_eq(count_of(w).committed, committed);
    ck_assert_uint_eq(count_of(w).offered, committed + aborted);
}
END_TEST

START_TEST(wrong_use_of_a_grant_leaves_it_as_it_is)
{
    struct iovec batch[] = {{"x", 1}};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_commit(w, 0), -EINVAL);
    ck_assert_int_eq(ringd_abort(w), -EINVAL);
    ck_assert_int_eq(ringd_reserve(w, 2, 1, &data, &granted), -EINVAL);
    ck_assert_int_eq(ringd_reserve(w, 1, 2, NULL, &granted), -EINVAL);
    ck_assert_int_eq(ringd_reserve(w, 1, 2, &data, NULL), -EINVAL);
    ck_assert_uint_eq(count_of(w).offered, 0);

    ck_assert_int_eq(ringd_reserve(w, 10, 10, &data, &granted), RINGD_OK);
    memcpy(data, "0123456789", 10);
    ck_assert_int_eq(ringd_reserve(w, 1, 1, &data, &granted), -EBUSY);
    ck_assert_int_eq(ringd_write(w, "x", 1), -EBUSY);
    ck_assert_int_eq(ringd_writev(w, batch, 1), -EBUSY);
    ck_assert_int_eq(ringd_write_batch(w, batch, 1), -EBUSY);
    ck_assert_int_eq(ringd_commit(w, 11), -EINVAL);
    ck_assert_int_eq(ringd_commit(w, SIZE_MAX), -EINVAL);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(ringd_commit(w, 10), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_mem_eq(record.data, "0123456789", 10);
    ck_assert_int_eq(ringd_commit(w, 0), -EINVAL);
    ck_assert_uint_eq(count_of(w).offered, 1);
    ck_assert_uint_eq(count_of(w).committed, 1);
}
END_TEST

START_TEST(closing_a_writer_aborts_its_open_grant)
{
    struct ringd_writer *w, *other;
    struct ringd_reader *reader;
    struct ringd_record record;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    other = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reserve(w, 10, 10, &data, &granted), RINGD_OK);
    ck_assert_int_eq(ringd_write(other, "behind", 6), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ringd_writer_close(w);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_mem_eq(record.data, "behind", 6);
    wait_for_contexts(RING, 2);
    ck_assert_uint_eq(ring_info(RING).aborted, 1);
    ck_assert_uint_eq(ring_info(RING).offered, 2);
}
END_TEST

/* ---- pieces and batches ------------------------------------------------------------------------------------------ */

START_TEST(gathered_from_pieces)
{
    struct iovec pieces[1025];
    unsigned char bytes[4096];
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 131072, .max_record = 2048});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill_pattern(bytes, sizeof bytes, 5);
    for (int count = 0; count <= 1024; count += count < 20 ? 1 : 101) {
        size_t len = 0;

        for (int i = 0; i < count; i++) {
            pieces[i] = (struct iovec){.iov_base = bytes + len, .iov_len = (size_t)(i % 3)};
            len += (size_t)(i % 3);
        }
        ck_assert_int_eq(ringd_writev(w, pieces, count), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        require_pattern(&record, len, 5);
        ringd_release(reader);
    }
    for (int i = 0; i < 1025; i++)
        pieces[i] = (struct iovec){.iov_base = bytes, .iov_len = 2};
    ck_assert_int_eq(ringd_writev(w, pieces, 1024), RINGD_OK); /* 2048 bytes in all */
    ck_assert_int_eq(ringd_writev(w, pieces, 1025), -EINVAL);
    ck_assert_int_eq(ringd_writev(w, pieces, -1), -EINVAL);
    pieces[7].iov_len = 3;
    ck_assert_int_eq(ringd_writev(w, pieces, 1024), -EMSGSIZE);
    pieces[3].iov_len = SIZE_MAX - 2;
    ck_assert_int_eq(ringd_writev(w, pieces, 1024), -EMSGSIZE);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(count_of(w).refused, 2);
}
END_TEST

/* Fills `batch` with `count` records that take `units` in all; returns how many bytes of payload. */
static size_t shape_batch(struct iovec *batch, int count, size_t units, unsigned char *payload)
{
    size_t left = units - (size_t)count, bytes = 0;

    for (int i = 0; i < count; i++) {
        size_t mine = i == count - 1 ? left : left < 3 ? left : 3;

        batch[i] = (struct iovec){.iov_base = payload + bytes, .iov_len = mine * RINGD_UNIT};
        left -= mine;
        bytes += mine * RINGD_UNIT;
    }
    return bytes;
}

START_TEST(a_batch_as_large_as_the_largest_record)
{
    struct ringd_writer_counters counters;
    unsigned char payload[4096];
    struct ringd_reader *reader;
    struct ringd_record record;
    struct iovec batch[40];
    struct ringd_writer *w;
    uint64_t records = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    fill_pattern(payload, sizeof payload, 9);
    for (int count = 1; count <= 33; count++) {
        size_t begin = 0;

        shape_batch(batch, count, 33, payload); /* 1024 bytes and a header: 33 units */
        ck_assert_int_eq(ringd_write_batch(w, batch, count), RINGD_OK);
        for (int i = 0; i < count; i++) {
            ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
            require_pattern(&record, batch[i].iov_len, 9 + begin);
            ck_assert_uint_eq(record.sequence, records++);
            begin += batch[i].iov_len;
        }
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
        ringd_release(reader);
        shape_batch(batch, count, 34, payload);
        ck_assert_int_eq(ringd_write_batch(w, batch, count), -EMSGSIZE);
    }
    counters = count_of(w);
    ck_assert_uint_eq(counters.committed, records);
    ck_assert_uint_eq(counters.refused, records); /* each of a refused batch counts */
    ck_assert_uint_eq(counters.offered, 2 * records);
    ck_assert_uint_eq(counters.committed, 33 * 34 / 2);
}
END_TEST

START_TEST(odd_batches)
{
    struct iovec batch[] = {{"x", 1}, {"", 0}, {NULL, SIZE_MAX}};
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    ck_assert_int_eq(ringd_write_batch(w, batch, 0), RINGD_OK);
    ck_assert_int_eq(ringd_write_batch(w, batch, -1), -EINVAL);
    ck_assert_uint_eq(count_of(w).offered, 0);
    ck_assert_int_eq(ringd_write_batch(w, batch, 3), -EMSGSIZE);
    batch[2].iov_len = SIZE_MAX - 31;
    ck_assert_int_eq(ringd_write_batch(w, batch, 3), -EMSGSIZE);
    batch[2].iov_len = 257;
    ck_assert_int_eq(ringd_write_batch(w, batch, 3), -EMSGSIZE); /* max_record is 256 */
    ck_assert_uint_eq(count_of(w).refused, 9);
    ck_assert_int_eq(ringd_write_batch(w, batch, 2), RINGD_OK);
    ck_assert_uint_eq(count_of(w).committed, 2);
}
END_TEST

/* ---- what else a record carries ---------------------------------------------------------------------------------- */

START_TEST(type_and_level)
{
    struct ringd_writer_options options = {.type = 0xffff, .level = 0xff};
    struct iovec batch[] = {{"b", 1}, {"c", 1}};
    struct ringd_record records[8];
    struct ringd_reader *reader;
    struct ringd_writer *w, *v;
    struct ringd *ring;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_writer_open(&w, ring, NULL), 0);
    ck_assert_int_eq(ringd_writer_open(&v, ring, &options), 0);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    ck_assert_int_eq(ringd_write(w, "a", 1), RINGD_OK);
    ck_assert_int_eq(ringd_write(v, "a", 1), RINGD_OK);
    ck_assert_int_eq(ringd_writer_label(w, 0x1234, 7), RINGD_OK);
    ck_assert_int_eq(ringd_write_batch(w, batch, 2), RINGD_OK);
    ck_assert_int_eq(ringd_next_many(reader, records, 8, &count), RINGD_OK);
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(records[0].type, 0);
    ck_assert_uint_eq(records[0].level, 0);
    ck_assert_uint_eq(records[1].type, 0xffff);
    ck_assert_uint_eq(records[1].level, 0xff);
    for (int i = 2; i < 4; i++) {
        ck_assert_uint_eq(records[i].type, 0x1234);
        ck_assert_uint_eq(records[i].level, 7);
    }
    ringd_close(ring);
}
END_TEST

START_TEST(time_none_is_zero)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .time = RINGD_TIME_NONE});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_write(w, "x", 1), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.time, 0);
    ck_assert_uint_eq(ring_info(RING).ticks_per_second, 0);
}
END_TEST

/* Each kind of write, by two writers: times lie between a look at the clock before and one after, and those of one
 * writer never go back. */
static void write_each_way(struct ringd_writer *w)
{
    struct iovec pieces[] = {{"b", 1}, {"c", 1}};
    size_t granted;
    void *data;

    ck_assert_int_eq(ringd_write(w, "a", 1), RINGD_OK);
    ck_assert_int_eq(ringd_writev(w, pieces, 2), RINGD_OK);
    ck_assert_int_eq(ringd_write_batch(w, pieces, 2), RINGD_OK);
    ck_assert_int_eq(ringd_reserve(w, 1, 9, &data, &granted), RINGD_OK);
    ck_assert_int_eq(ringd_commit(w, 0), RINGD_OK);
}

static uint64_t clock_of(uint32_t source)
{
#if defined(__x86_64__)
    unsigned int processor;

    if (source == RINGD_TIME_TSC)
        return __builtin_ia32_rdtscp(&processor);
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    if (source == RINGD_TIME_TSC)
        return ticks;
#endif
    (void)source;
    return (uint64_t)now_ns();
}

START_TEST(time_is_there_and_in_order)
{
    uint32_t source = _i == 0 ? RINGD_TIME_MONOTONIC : RINGD_TIME_TSC;
    struct ringd_writer *writers[2];
    uint64_t before, after, last[31] = {0};
    struct ringd_reader *reader;
    struct ringd_record record;
    int count = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20, .time = source});
    for (int i = 0; i < 2; i++)
        writers[i] = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    before = clock_of(source);
    for (int i = 0; i < 200; i++)
        write_each_way(writers[i % 2]);
    after = clock_of(source);
    while (ringd_next(reader, &record) == RINGD_OK) {
        ck_assert_uint_ge(record.time, before);
        ck_assert_uint_le(record.time, after);
        ck_assert_uint_ge(record.time, last[record.writer]);
        last[record.writer] = record.time;
        count++;
    }
    ck_assert_int_eq(count, 200 * 5);
    if (source == RINGD_TIME_MONOTONIC)
        ck_assert_uint_eq(ring_info(RING).ticks_per_second, 1000000000);
    else
        ck_assert_uint_gt(ring_info(RING).ticks_per_second, 1000000);
}
END_TEST

/* Sequence numbers count a slot's records over all who had it; the incarnation says who. */
START_TEST(sequence_goes_on_with_a_new_owner)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    uint32_t slot = 0, incarnation = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint64_t owner = 0; owner < 5; owner++) {
        struct ringd_writer *w = open_writer(RING);

        for (uint64_t i = 0; i < 10; i++) {
            ck_assert_int_eq(ringd_write(w, "x", 1), RINGD_OK);
            ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
            ck_assert_uint_eq(record.sequence, 10 * owner + i);
            ck_assert(owner == 0 || record.writer == slot);
            ck_assert(i == 0 ? record.incarnation != incarnation : record.incarnation == incarnation);
            slot = record.writer;
            incarnation = record.incarnation;
        }
        ck_assert_uint_eq(count_of(w).committed, 10); /* what it has done itself */
        ringd_writer_close(w);
        wait_for_contexts(RING, 1);
    }
    ck_assert_uint_eq(ring_info(RING).committed, 50);
}
END_TEST

START_TEST(next_is_where_the_following_record_stands)
{
    struct ringd_reader *readers[2];
    struct ringd_record record;
    struct ringd_writer *w;
    uint64_t next;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    open_both(readers);
    next = ringd_reader_position(readers[0]);
    for (size_t len = 0; len < 200; len++) {
        ck_assert_int_eq(ringd_write(w,
                                     "................................................................"
                                     "................................................................"
                                     "........................................................................",
                                     len),
                         RINGD_OK);
        ck_assert_int_eq(ringd_next(readers[0], &record), RINGD_OK);
        ck_assert_uint_eq(record.position, next);
        next = record.next;
        ck_assert_uint_eq(ringd_reader_position(readers[0]), next);
        ringd_release(readers[0]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("records");
    TCase *tests = add_case(suite, "records");

    tcase_add_test(tests, every_length_from_none_to_the_largest);
    tcase_add_test(tests, longer_than_the_largest_is_refused);
    tcase_add_test(tests, every_alignment_across_the_edge);
    tcase_add_test(tests, smallest_ring_every_max_record);
    tcase_add_test(tests, positions_cross_the_wrap_of_32_bits);
    tcase_add_test(tests, commit_less_than_granted);
    tcase_add_test(tests, abort_is_never_seen);
    tcase_add_test(tests, wrong_use_of_a_grant_leaves_it_as_it_is);
    tcase_add_test(tests, closing_a_writer_aborts_its_open_grant);
    tcase_add_test(tests, gathered_from_pieces);
    tcase_add_test(tests, a_batch_as_large_as_the_largest_record);
    tcase_add_test(tests, odd_batches);
    tcase_add_test(tests, type_and_level);
    tcase_add_test(tests, time_none_is_zero);
    tcase_add_loop_test(tests, time_is_there_and_in_order, 0, 2);
    tcase_add_test(tests, sequence_goes_on_with_a_new_owner);
    tcase_add_test(tests, next_is_where_the_following_record_stands);
    return run_suite(suite);
}
