/* check_message_read.c - messages as readers get them: whole, at the place of their last part, or not at all.
 *
 * A message here says whose it is, which and how long, and every byte follows from that. Of each writer's messages a
 * reader gets the next one, or is told of missing records in between. The accounts are in records, which for a message
 * are its parts: what was committed is delivered, skipped or lost, whatever became of the message.
 *
 * Messages that no writer writes are made by changing the flags of records in the ring's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "writer.h"

#define RING  "message-read"
#define MAX   100u /* bytes of a record */
#define MODES 3    /* lossy, lossless, observer: enum ringd_reader_mode */
#define LONG  50000u

static const struct ringd_ring_options large = {.size = 1 << 20, .max_record = MAX};
static const struct ringd_ring_options small = {.size = 16384, .max_record = MAX};

static uint64_t parts_of(size_t len)
{
    return len <= MAX ? 1 : (len + MAX - 1) / MAX;
}

/* ---- messages that describe themselves --------------------------------------------------------------------------- */

struct head {
    uint64_t writer, number, len;
};

static unsigned char byte_at(const struct head *head, size_t i)
{
    return (unsigned char)(head->writer * 59 + head->number * 31 + head->len * 7 + i + i / 251);
}

static void *message_make(uint64_t writer, uint64_t number, size_t len)
{
    struct head head = {writer, number, len};
    unsigned char *bytes = malloc(len);

    require(bytes != NULL && len >= sizeof head, "%zu bytes", len);
    memcpy(bytes, &head, sizeof head);
    for (size_t i = sizeof head; i < len; i++)
        bytes[i] = byte_at(&head, i);
    return bytes;
}

static int try_message(struct ringd_writer *w, uint64_t number, size_t len)
{
    void *message = message_make(writer_slot(w), number, len);
    int result = ringd_write_message(w, message, len);

    free(message);
    return result;
}

static void write_message(struct ringd_writer *w, uint64_t number, size_t len)
{
    int result = try_message(w, number, len);

    require(result == RINGD_OK, "message %llu: %s", (unsigned long long)number, ringd_strerror(result));
}

/* Requires that it is whole; which it is. */
static uint64_t number_of(const struct ringd_record *record)
{
    const unsigned char *bytes = record->data;
    struct head head;

    require(record->len >= sizeof head, "%zu bytes", record->len);
    memcpy(&head, bytes, sizeof head);
    require(head.len == record->len && head.writer == record->writer,
            "%zu bytes of writer %u say that they are %llu of %llu", record->len, record->writer,
            (unsigned long long)head.len, (unsigned long long)head.writer);
    for (size_t i = sizeof head; i < head.len; i++)
        require(bytes[i] == byte_at(&head, i), "byte %zu of message %llu", i, (unsigned long long)head.number);
    return head.number;
}

static struct ringd_reader_counters counters_of(const struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;

    require(ringd_reader_count(reader, &counters) == RINGD_OK, "count");
    return counters;
}

static void ck_counters(const struct ringd_reader *reader, uint64_t delivered, uint64_t skipped, uint64_t lost)
{
    struct ringd_reader_counters c = counters_of(reader);

    ck_assert_uint_eq(c.delivered, delivered);
    ck_assert_uint_eq(c.skipped, skipped);
    ck_assert_uint_eq(c.lost, lost);
}

/* The next thing that this reader is told is this message. */
static void ck_next(struct ringd_reader *reader, uint64_t number)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(number_of(&record), number);
}

static void ck_nothing(struct ringd_reader *reader)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}

/* Every account of the ring adds up, with those of whoever is attached. */
static void ck_sound(void)
{
    struct command command;

    ringctl(&command, "", 0, "doctor", RING, NULL);
    ck_assert_msg(command.code == 0, "%s%s", command.out, command.err);
    ck_assert_msg(strstr(command.out, " 0 wrong\n") != NULL, "%s", command.out);
    command_free(&command);
}

static struct ringd_reader *open_with(struct ringd_reader_options options)
{
    return open_reader_with(RING, options);
}

/* ---- whole ------------------------------------------------------------------------------------------------------- */

/* Of every length around a whole number of parts; where a message stands and what is said of it. */
START_TEST(a_message_is_read_as_one_record)
{
    static const size_t lens[] = {24, MAX, MAX + 1, 2 * MAX - 1, 2 * MAX, 2 * MAX + 1, 7 * MAX, 65536, 300000};
    const uint64_t count = sizeof lens / sizeof lens[0];
    struct ringd_ring_options options = large;
    struct ringd_reader_counters counters;
    uint64_t parts = 0, bytes = 0;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    options.time = RINGD_TIME_MONOTONIC;
    make_ring(RING, options);
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t first = writer_sequence(w);

        ringd_writer_label(w, (uint16_t)(4000 + i), (uint8_t)i);
        write_message(w, i, lens[i]);
        parts += parts_of(lens[i]);
        bytes += lens[i];
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(number_of(&record), i);
        ck_assert_uint_eq(record.type, 4000 + i);
        ck_assert_uint_eq(record.level, i);
        ck_assert_uint_ne(record.time, 0);
        ck_assert_uint_eq(record.flags, 0);
        ck_assert_uint_eq(record.sequence, first + parts_of(lens[i]) - 1); /* of its last part, */
        ck_assert_uint_eq(record.next, ringd_reader_position(reader));     /* and its place */
        ck_assert_uint_le(record.next - record.position, ring_record_bytes(MAX));
        ck_nothing(reader);
    }
    counters = counters_of(reader);
    ck_assert_uint_eq(counters.delivered, parts);
    ck_assert_uint_eq(counters.bytes, bytes);
    ck_assert_uint_eq(counters.skipped + counters.lost + counters.gaps, 0);
    ck_sound();
}
END_TEST

/* Eight writers at once, messages and records; lanes and merges; several readers of each grade. */
#define CREW     8
#define MESSAGES 60

struct crew {
    _Atomic uint32_t ready, go;
    uint64_t seed;
};

static size_t random_len(struct random_source *random)
{
    return random_below(random, 4) == 0 ? 24 + random_below(random, MAX - 24) : 24 + random_below(random, 6000);
}

static void write_many(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {0};
    struct crew *crew = argument;

    random.state = crew->seed + writer_slot(w);
    atomic_fetch_add(&crew->ready, 1);
    while (atomic_load(&crew->go) == 0)
        pause_ms(1);
    for (uint64_t i = 0; i < MESSAGES; i++)
        write_message(w, i, random_len(&random));
    ringd_writer_close(w);
}

struct hearing {
    uint64_t next[RINGD_LANES_MAX * RINGD_WRITERS_PER_LANE], heard;
};

static void hear(struct hearing *hearing, const struct ringd_record *record)
{
    ck_assert_uint_eq(number_of(record), hearing->next[record->writer]);
    hearing->next[record->writer]++;
    hearing->heard++;
}

/* Nothing is lost: the ring is larger than all of it, or the reader is lossless. */
static void ck_crew(struct ringd_ring_options options, struct ringd_reader_options wish, bool many)
{
    struct crew *crew = shared_new(sizeof *crew);
    struct hearing *hearing = shared_new(sizeof *hearing);
    struct ringd_record records[5];
    struct ringd_reader *reader;
    struct ringd_info info;
    pid_t pids[CREW];

    crew->seed = support_seed();
    make_ring(RING, options);
    wish.deadline = RINGD_FOREVER;
    reader = open_with(wish);
    for (int i = 0; i < CREW; i++)
        pids[i] = child_start(write_many, crew);
    while (atomic_load(&crew->ready) < CREW)
        pause_ms(1);
    atomic_store(&crew->go, 1);
    while (hearing->heard < CREW * MESSAGES) {
        size_t count = 1;

        ck_assert_int_eq(many ? ringd_next_many(reader, records, 5, &count) : ringd_next(reader, records), RINGD_OK);
        for (size_t i = 0; i < count; i++)
            hear(hearing, &records[i]);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK); /* or the ring fills up with parts behind it */
    }
    for (int i = 0; i < CREW; i++)
        child_finish(pids[i]);
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ck_nothing(reader);
    info = ring_info(RING);
    ck_counters(reader, info.committed, 0, 0);
    ck_sound();
}

START_TEST(messages_of_eight_writers)
{
    struct ringd_ring_options options = {.size = 8 << 20, .max_record = MAX};
    struct ringd_reader_options wish = {.mode = (uint32_t)_i % MODES};

    if (wish.mode == RINGD_READ_LOSSLESS)
        options.size = 32768; /* many laps */
    ck_crew(options, wish, _i / MODES);
}
END_TEST

START_TEST(messages_in_several_lanes)
{
    struct ringd_ring_options options = {.size = 4 << 20, .max_record = MAX, .lanes = 4, .time = RINGD_TIME_MONOTONIC};
    struct ringd_reader_options wish = {.mode = (uint32_t)_i % MODES, .merge = _i / MODES ? RINGD_MERGE_TIME : 0};

    if (wish.mode == RINGD_READ_LOSSLESS)
        options.size = 16384;
    ck_crew(options, wish, _i % 2);
}
END_TEST

static void write_long(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)unused;
    for (uint64_t i = 0; i < 20; i++)
        write_message(w, i, 200000 + i);
    ringd_writer_close(w);
}

START_TEST(a_message_longer_than_the_ring_is_whole)
{
    struct ringd_reader *reader;
    pid_t pid;

    make_ring(RING, small);
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    pid = child_start(write_long, NULL);
    for (uint64_t i = 0; i < 20; i++) {
        ck_next(reader, i);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    child_finish(pid);
    ck_sound();
}
END_TEST

/* By type and by writer, and changed in the middle of a message: of one that is not wanted, even for a part, nothing.
 */
static void write_two_parts(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    ringd_writer_label(w, 3, 0);
    write_message(w, 1, 5 * MAX);
    write_message(w, 2, 5 * MAX);
    ringd_writer_close(w);
}

START_TEST(messages_that_are_not_wanted)
{
    static const uint16_t three = 3;
    struct ringd_filter filter = {.types = &three, .type_count = 1};
    struct ringd_reader_options options = {.mode = (uint32_t)_i, .filter = &filter};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, large);
    w = open_writer(RING);
    reader = open_with(options);
    for (uint64_t i = 0; i < 20; i++) {
        ringd_writer_label(w, (uint16_t)i % 5, 0);
        write_message(w, i, 150 + 150 * (i % 3));
    }
    for (uint64_t i = 3; i < 20; i += 5)
        ck_next(reader, i);
    ck_nothing(reader);
    ck_assert_uint_eq(counters_of(reader).delivered + counters_of(reader).skipped, writer_sequence(w));
    ck_sound();
}
END_TEST

START_TEST(a_filter_that_changes_in_mid_message)
{
    static const uint16_t types[] = {4, 3};
    struct ringd_filter other = {.types = types, .type_count = 1}, same = {.types = types, .type_count = 2};
    struct ringd_reader *reader;
    struct at_point at;

    if (!at_point_allowed("a_filter_that_changes_in_mid_message"))
        return;
    make_ring(RING, large);
    reader = open_reader(RING, (uint32_t)_i % MODES, RINGD_START_NOW);
    at = at_point_start("message-part", STOP_HOLD, 2, write_two_parts, NULL);
    ck_nothing(reader);
    ck_counters(reader, 0, 2, 0);
    ck_assert_int_eq(ringd_reader_filter(reader, _i / MODES ? &other : &same), RINGD_OK);
    if (_i / MODES) { /* it passes over a part, and changes its mind */
        at_point_go_on(&at);
        ck_assert_int_eq(at_point_finish(&at), 0);
        ck_nothing(reader);
        ck_assert_int_eq(ringd_reader_filter(reader, NULL), RINGD_OK);
        ck_nothing(reader);
        ck_counters(reader, 0, 10, 0);
    } else {
        at_point_go_on(&at);
        ck_assert_int_eq(at_point_finish(&at), 0);
        ck_next(reader, 1);
        ck_next(reader, 2);
        ck_counters(reader, 10, 0, 0);
    }
    ck_sound();
}
END_TEST

/* ---- or not at all ----------------------------------------------------------------------------------------------- */

static void write_five_parts(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    write_message(w, 7, 5 * MAX);
    ringd_writer_close(w);
}

/* _i: after how many parts, and read by whom. */
START_TEST(a_writer_dies_in_the_middle)
{
    uint64_t parts = (uint64_t)_i / MODES + 1;
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct at_point at;

    if (!at_point_allowed("a_writer_dies_in_the_middle"))
        return;
    make_ring(RING, large);
    reader = open_reader(RING, (uint32_t)_i % MODES, RINGD_START_NOW);
    at = at_point_start("message-part", STOP_KILL, parts, write_five_parts, NULL);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_KILLED);
    wait_for_contexts(RING, 1);
    ck_nothing(reader);
    ck_counters(reader, 0, parts, 0);
    w = open_writer(RING); /* of the same slot */
    write_message(w, 8, 5 * MAX);
    write_message(w, 9, MAX);
    ck_next(reader, 8);
    ck_next(reader, 9);
    ck_nothing(reader);
    ck_counters(reader, 6, parts, 0);
    ck_sound();
}
END_TEST

/* No room by the deadline: the writer was told, and readers get nothing of it. */
START_TEST(a_writer_fails_in_the_middle)
{
    struct ringd_ring_options options = small;
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t parts;

    options.policy = (uint32_t)_i;
    make_ring(RING, options);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(try_message(w, 1, LONG), _i == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL);
    parts = writer_sequence(w);
    ck_assert_uint_gt(parts, 0);
    ck_nothing(reader);
    ck_counters(reader, 0, parts, 0);
    write_message(w, 2, 3 * MAX); /* nothing of the first holds it up */
    ck_next(reader, 2);
    ck_counters(reader, 3, parts, 0);
    ck_sound();
}
END_TEST

/* The reader has seen the beginning and is overtaken before the end. */
START_TEST(a_reader_lapped_in_the_middle)
{
    uint64_t lost = 0, delivered = 0, written = 0;
    struct ringd_reader_counters counters;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    struct at_point at;
    int result;

    if (!at_point_allowed("a_reader_lapped_in_the_middle"))
        return;
    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    at = at_point_start("message-part", STOP_HOLD, 3, write_five_parts, NULL);
    ck_nothing(reader);
    ck_counters(reader, 0, 3, 0);
    for (; written < 300; written++)
        write_message(w, written, MAX);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0); /* parts four and five */
    for (uint64_t i = 300; i < 600; i++, written++)
        write_message(w, written, MAX);
    write_five_parts(NULL); /* the same slot */
    while ((result = ringd_next(reader, &record)) == RINGD_OK || result == RINGD_GAP) {
        if (result == RINGD_GAP) {
            lost += record.lost;
        } else if (record.writer == writer_slot(w)) {
            ck_assert_uint_eq(number_of(&record), record.sequence);
            delivered++;
        } else {
            ck_assert_uint_eq(number_of(&record), 7);
            ck_assert_uint_eq(record.sequence, 9); /* the second one */
            delivered += 5;
        }
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    counters = counters_of(reader);
    ck_assert_uint_gt(lost, 2);
    ck_assert_uint_eq(counters.lost, lost);
    ck_assert_uint_eq(counters.skipped, 3);
    ck_assert_uint_eq(counters.delivered, delivered);
    ck_assert_uint_eq(delivered + lost + 3, written + 10);
    ck_sound();
}
END_TEST

START_TEST(the_ring_moves_in_the_middle)
{
    struct ringd_reader *reader;
    struct at_point at;

    if (!at_point_allowed("the_ring_moves_in_the_middle"))
        return;
    make_ring(RING, large);
    reader = open_reader(RING, (uint32_t)_i % MODES, RINGD_START_NOW);
    at = at_point_start("message-part", STOP_HOLD, 2, write_five_parts, NULL);
    if (_i / MODES)
        ck_nothing(reader); /* it has seen the beginning, or not */
    ck_assert_int_eq(ringd_resize(RING, 2 << 20), 0);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    ringd_reader_deadline(reader, now_ns() + INT64_C(60000000000));
    ck_next(reader, 7);
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ck_nothing(reader);
    ck_counters(reader, 5, 0, 0);
    ck_sound();
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool is_mapped(const void *place)
{
    void *page = (void *)((uintptr_t)place & ~(uintptr_t)4095);

    return msync(page, 4096, MS_ASYNC) == 0;
}

/* Several at once, until the release. */
START_TEST(a_lossless_readers_messages_stay_until_it_releases)
{
    struct ringd_record records[10];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t count;
    int mapped = 0;

    make_ring(RING, large);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint64_t i = 0; i < 10; i++)
        write_message(w, i, 5000);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ringd_next(reader, &records[i]), RINGD_OK);
    ck_assert_int_eq(ringd_next_many(reader, records + 4, 6, &count), RINGD_OK);
    ck_assert_uint_eq(count, 6);
    ck_nothing(reader);
    for (uint64_t i = 0; i < 10; i++)
        ck_assert_uint_eq(number_of(&records[i]), i);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    for (int i = 0; i < 10; i++)
        mapped += is_mapped(records[i].data);
    ck_assert_int_le(mapped, 1); /* kept for the next message */
}
END_TEST

START_TEST(others_messages_stay_until_the_next_call)
{
    struct ringd_record records[3];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    size_t count;

    make_ring(RING, large);
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (uint64_t i = 0; i < 4; i++)
        write_message(w, i, 5000);
    ck_assert_int_eq(ringd_next_many(reader, records, 3, &count), RINGD_OK);
    ck_assert_uint_eq(count, 3);
    for (uint64_t i = 0; i < 3; i++)
        ck_assert_uint_eq(number_of(&records[i]), i);
    ck_next(reader, 3);
    ck_nothing(reader);
    for (int i = 0; i < 3; i++)
        ck_assert(!is_mapped(records[i].data) ||
                  memcmp(records[i].data, &(struct head){0, (uint64_t)i, 5000}, sizeof(struct head)) != 0);
}
END_TEST

/* What it was given in place is still its own, whatever next says meanwhile: it may not have been told yet. */
START_TEST(an_evicted_readers_messages_stay_until_it_releases)
{
    struct ringd_ring_options options = small;
    struct ringd_record held, record;
    struct ringd_reader *reader;
    struct ringd_writer *w;
    int result;

    options.slow = RINGD_SLOW_LOSSY;
    options.slow_bytes = 8192;
    make_ring(RING, options);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_message(w, 0, 2000);
    ck_assert_int_eq(ringd_next(reader, &held), RINGD_OK);
    for (uint64_t i = 1; i < 400; i++)
        write_message(w, i, 200);
    do
        result = ringd_next(reader, &record);
    while (result == RINGD_OK);
    ck_assert_int_eq(result, RINGD_EVICTED);
    for (int i = 0; i < 10; i++) {
        result = ringd_next(reader, &record);
        ck_assert(result == RINGD_OK || result == RINGD_GAP);
        ck_assert(result == RINGD_GAP || number_of(&record) > 0);
    }
    ck_assert_uint_eq(number_of(&held), 0);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_assert(!is_mapped(held.data));
}
END_TEST

static uint64_t memory_kib(void)
{
    return process_number(getpid(), "status", "VmSize:");
}

/* Ten thousand: whole ones, ones that are not finished, ones that are not wanted. */
START_TEST(memory_is_given_back)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w, *other;
    uint64_t before = 0;
    char part[MAX];

    memset(part, 'p', sizeof part);
    make_ring(RING, large);
    w = open_writer(RING);
    other = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (uint64_t i = 0; i < 10000; i++) {
        if (i == 100)
            before = memory_kib();
        write_message(w, i, 150 + i % 7 * 3000);
        ck_next(reader, i);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        ck_assert_int_eq(ringd_write(other, part, sizeof part), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    }
    ck_assert_uint_eq(memory_kib(), before);
}
END_TEST

/* There is none for a message: it is told as missing, and what comes then is read. */
static void read_with_little(void *argument)
{
    uint32_t mode = *(const uint32_t *)argument;
    struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
    struct ringd_writer *w = open_writer(RING);
    void *text = message_make(writer_slot(w), 1, 600000);
    struct ringd_reader_counters counters;
    struct ringd_record record;
    struct rlimit limit;
    uint64_t parts;

    require(ringd_write_message(w, text, 600000) == RINGD_OK, "write");
    parts = writer_sequence(w);
    write_message(w, 2, 300);
    require(getrlimit(RLIMIT_AS, &limit) == 0, "errno %d", errno);
    limit.rlim_cur = (memory_kib() + 200) * 1024;
    require(setrlimit(RLIMIT_AS, &limit) == 0, "errno %d", errno);
    require(ringd_next(reader, &record) == RINGD_GAP, "no gap");
    require(record.lost > 0 && record.lost < parts && record.writer == writer_slot(w) && record.sequence == 0,
            "%llu lost, from %llu on", (unsigned long long)record.lost, (unsigned long long)record.sequence);
    require(ringd_next(reader, &record) == RINGD_OK && number_of(&record) == 2, "it does not go on");
    require(ringd_reader_count(reader, &counters) == RINGD_OK, "count");
    require(counters.lost > 0 && counters.gaps == 1 && counters.delivered == 3 &&
                counters.lost + counters.skipped == parts,
            "%llu lost, %llu skipped of %llu", (unsigned long long)counters.lost, (unsigned long long)counters.skipped,
            (unsigned long long)parts);
    require(ringd_release(reader) == RINGD_OK, "release");
    require(ringd_write_message(w, text, 600000) == RINGD_OK, "write");
    limit.rlim_cur = memory_kib() * 1024; /* no more than what is kept */
    require(setrlimit(RLIMIT_AS, &limit) == 0, "errno %d", errno);
    require(ringd_next(reader, &record) == RINGD_GAP && record.lost > 0, "no gap");
    require(ringd_next(reader, &record) == RINGD_WOULD_BLOCK, "something of it");
    limit.rlim_cur = limit.rlim_max;
    require(setrlimit(RLIMIT_AS, &limit) == 0, "errno %d", errno);
    write_message(w, 4, 200);
    require(ringd_next(reader, &record) == RINGD_OK && number_of(&record) == 4, "it does not go on");
    free(text);
}

START_TEST(no_memory_for_a_message)
{
    uint32_t mode = (uint32_t)_i;

    if (support_sanitized()) {
        support_skip("no_memory_for_a_message", "sanitizers need address space");
        return;
    }
    make_ring(RING, large);
    child_finish(child_start(read_with_little, &mode));
    ck_sound();
}
END_TEST

/* ---- what no writer writes --------------------------------------------------------------------------------------- */

#define P RINGD_FLAG_PART
#define F RINGD_FLAG_FIRST
#define L RINGD_FLAG_LAST
#define W UINT64_C(0x100) /* not a flag: of another incarnation */

/* The flags of records of one byte each, a, b, c ..., and what readers are given, in order, with a dot after each. */
static const struct forgery {
    uint64_t flags[8];
    int count;
    const char *given;
} forgeries[] = {
    {{P | F, P, P | L}, 3, "abc."},
    {{P, P | L}, 2, ""},                                  /* no beginning */
    {{P | L, P | F, P | L}, 3, "bc."},                    /* an end without a beginning */
    {{P | F, P | F, P | L}, 3, "bc."},                    /* begins twice */
    {{P | F, 0, P | L}, 3, "b."},                         /* something else in between */
    {{P | F, L, P | L}, 3, "b."},                         /* an end that is no part */
    {{F, P | L, 0}, 3, "a.c."},                           /* a beginning that is no part */
    {{P | F | L, P | F | L, 0}, 3, "a.b.c."},             /* one part is all */
    {{P | F, P | F | L, P | L}, 3, "b."},                 /* one within another */
    {{P | F, P | W, P | L}, 3, ""},                       /* somebody else goes on with it */
    {{P | F, P, P, P, P, P, P, P}, 8, ""},                /* no end */
    {{P | F, RINGD_FLAG_MORE, P | F, P | L}, 4, "b.cd."}, /* a batch of one that goes on */
};

static void forge(struct ringd_writer *w, char byte, uint64_t flags)
{
    uint64_t position, origin;

    ck_assert_int_eq(ring_position(&w->ring.ring, &position), 0);
    ck_assert_int_eq(ringd_write(w, &byte, 1), RINGD_OK);
    origin = ring_header(&w->ring.ring, position)->origin | (flags & 0xff) << RINGD_ORIGIN_FLAGS_SHIFT;
    if (flags & W)
        origin ^= UINT64_C(1) << RINGD_ORIGIN_INCARNATION_SHIFT;
    ring_header(&w->ring.ring, position)->origin = origin;
}

static void forge_all(struct ringd_writer *w, const struct forgery *forgery)
{
    for (int i = 0; i < forgery->count; i++)
        forge(w, (char)('a' + i), forgery->flags[i]);
}

START_TEST(flags_that_make_no_message)
{
    const struct forgery *forgery = &forgeries[_i / MODES];
    struct ringd_reader_counters counters;
    struct ringd_record records[8];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    char given[32] = "";
    size_t count;

    make_ring(RING, large);
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i % MODES, RINGD_START_NOW);
    forge_all(w, forgery);
    while (ringd_next_many(reader, records, 8, &count) == RINGD_OK) {
        for (size_t i = 0; i < count; i++) {
            strncat(given, records[i].data, records[i].len);
            strcat(given, ".");
        }
    }
    ck_assert_str_eq(given, forgery->given);
    ck_nothing(reader);
    counters = counters_of(reader);
    ck_assert_uint_eq(counters.delivered + counters.skipped, (uint64_t)forgery->count);
    ck_assert_uint_eq(counters.delivered, counters.bytes);
    write_message(w, 5, 3 * MAX); /* nothing of it sticks */
    ck_next(reader, 5);
    ck_nothing(reader);
}
END_TEST

/* As many parts as one likes: nothing is given, nobody hangs, and it takes no more memory than has arrived. */
START_TEST(parts_without_end)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t before;

    make_ring(RING, large);
    w = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    forge_all(w, &forgeries[10]);
    ck_nothing(reader);
    before = memory_kib();
    for (int i = 0; i < 20000; i++) {
        forge(w, 'p', P);
        ck_nothing(reader);
    }
    ck_counters(reader, 0, 20008, 0);
    ck_assert_uint_eq(memory_kib(), before); /* 20,000 bytes fit into what it has */
    write_message(w, 5, 3 * MAX);
    ck_next(reader, 5);
}
END_TEST

/* The first part has been seen, the second is overwritten, and the last is there. */
START_TEST(a_part_is_lost)
{
    struct ringd_writer *w, *other;
    struct ringd_reader *reader;
    struct ringd_record record;
    uint64_t lost = 0;
    int result;

    make_ring(RING, small);
    w = open_writer(RING);
    other = open_writer(RING);
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    forge(w, 'a', P | F);
    ck_nothing(reader);
    forge(w, 'b', P);
    for (uint64_t i = 0; i < 300; i++)
        write_message(other, i, MAX);
    forge(w, 'c', P | L);
    while ((result = ringd_next(reader, &record)) == RINGD_OK || result == RINGD_GAP) {
        ck_assert(result == RINGD_GAP || record.writer == writer_slot(other));
        lost += record.writer == writer_slot(w) ? record.lost : 0;
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(lost, 1);
    ck_assert_uint_eq(counters_of(reader).skipped, 2);
    write_message(w, 5, 3 * MAX);
    ck_next(reader, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message-read");
    TCase *tests = add_case(suite, "message-read");

    tcase_add_loop_test(tests, a_message_is_read_as_one_record, 0, MODES);
    tcase_add_loop_test(tests, messages_of_eight_writers, 0, 2 * MODES);
    tcase_add_loop_test(tests, messages_in_several_lanes, 0, 2 * MODES);
    tcase_add_test(tests, a_message_longer_than_the_ring_is_whole);
    tcase_add_loop_test(tests, messages_that_are_not_wanted, 0, MODES);
    tcase_add_loop_test(tests, a_filter_that_changes_in_mid_message, 0, 2 * MODES);
    tcase_add_loop_test(tests, a_writer_dies_in_the_middle, 0, 4 * MODES);
    tcase_add_loop_test(tests, a_writer_fails_in_the_middle, RINGD_LOSSLESS, RINGD_DROP + 1);
    tcase_add_test(tests, a_lossless_readers_messages_stay_until_it_releases);
    tcase_add_test(tests, an_evicted_readers_messages_stay_until_it_releases);
    for (int mode = 0; mode < MODES; mode += RINGD_READ_OBSERVE) { /* those that can be lapped */
        tcase_add_loop_test(tests, a_reader_lapped_in_the_middle, mode, mode + 1);
        tcase_add_loop_test(tests, a_part_is_lost, mode, mode + 1);
        tcase_add_loop_test(tests, others_messages_stay_until_the_next_call, mode, mode + 1);
    }
    tcase_add_loop_test(tests, the_ring_moves_in_the_middle, 0, 2 * MODES);
    tcase_add_loop_test(tests, memory_is_given_back, 0, MODES);
    tcase_add_loop_test(tests, no_memory_for_a_message, 0, MODES);
    tcase_add_loop_test(tests, flags_that_make_no_message, 0, MODES * (int)(sizeof forgeries / sizeof forgeries[0]));
    tcase_add_loop_test(tests, parts_without_end, 0, MODES);
    return run_suite(suite);
}
