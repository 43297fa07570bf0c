/* check_filter.c - readers that do not want everything: what they get, what they skip, and what they do not touch.
 *
 * What holds true: a reader gets exactly the records that its filter lets pass, in ring order, and has skipped exactly
 * the others; the accounts add up at every moment; payloads of what is not wanted are not looked at (their pages may be
 * inaccessible); a flood of them ends no call early and keeps none for ever; what is missing is told, and only of
 * writers that are wanted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING  "filter"
#define MODES 3 /* lossy, lossless, observer: enum ringd_reader_mode */

static struct ringd_reader *open_filtered(uint32_t mode, uint32_t start, const struct ringd_filter *filter)
{
    struct ringd_reader_options options = {.mode = mode, .start = start, .filter = filter};

    return open_reader_with(RING, options);
}

static void write_labelled(struct ringd_writer *w, uint16_t type, uint8_t level, uint64_t number)
{
    ringd_writer_label(w, type, level);
    require(ringd_write(w, &number, sizeof number) == RINGD_OK, "write");
}

static uint64_t number_of(const struct ringd_record *record)
{
    uint64_t number;

    require(record->len == sizeof number, "%zu bytes", record->len);
    memcpy(&number, record->data, sizeof number);
    return number;
}

static struct ringd_reader_counters counters_of(const struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;

    require(ringd_reader_count(reader, &counters) == RINGD_OK, "count");
    return counters;
}

/* Every account of the ring adds up, and `text` is in what is said. */
static void ck_sound(const char *text)
{
    struct command command;

    ringctl(&command, "", 0, "doctor", RING, NULL);
    ck_assert_msg(command.code == 0, "%s%s", command.out, command.err);
    ck_assert_msg(strstr(command.out, text) != NULL, "no \"%s\" in: %s", text, command.out);
    command_free(&command);
}

/* ---- which records ----------------------------------------------------------------------------------------------- */

#define RECORDS 3000
#define WRITERS 3

struct written {
    uint32_t writer;
    uint16_t type;
    uint8_t level;
};

static const uint16_t some_types[] = {0, 3, 65535};
static const uint32_t some_writers[] = {0, 2, 1983};

static const struct ringd_filter filters[] = {
    {0},
    {.types = some_types, .type_count = 1},
    {.types = some_types, .type_count = 3},
    {.level_min = 3, .level_max = 3},
    {.level_min = 2, .level_max = 255},
    {.by_level = 1},
    {.writers = some_writers, .writer_count = 3},
    {.writers = some_writers + 2, .writer_count = 1},
    {.types = some_types + 1, .type_count = 2, .level_max = 2, .writers = some_writers + 1, .writer_count = 2},
};
#define FILTERS (int)(sizeof filters / sizeof filters[0])

/* What the words in ringd.h say, read once more. */
static bool wanted(const struct ringd_filter *f, const struct written *w)
{
    bool type = f->type_count == 0, writer = f->writer_count == 0;
    bool any_level = f->level_min == 0 && f->level_max == 0 && !f->by_level;

    for (size_t i = 0; i < f->type_count; i++)
        type |= f->types[i] == w->type;
    for (size_t i = 0; i < f->writer_count; i++)
        writer |= f->writers[i] == w->writer;
    return type && writer && (any_level || (w->level >= f->level_min && w->level <= f->level_max));
}

static void write_some(struct ringd_writer *writers[WRITERS], struct written *written, uint64_t first, uint64_t count)
{
    static const uint16_t types[] = {0, 3, 4, 65535};
    struct random_source random = {support_seed() + first};

    for (uint64_t i = first; i < first + count; i++) {
        struct ringd_writer *w = writers[random_below(&random, WRITERS)];

        written[i] =
            (struct written){writer_slot(w), types[random_below(&random, 4)], (uint8_t)random_below(&random, 5)};
        write_labelled(w, written[i].type, written[i].level, i);
    }
}

static int read_some(struct ringd_reader *reader, bool many, struct ringd_record *records, size_t *count)
{
    *count = 1;
    return many ? ringd_next_many(reader, records, 7, count) : ringd_next(reader, records);
}

/* Everything of `first` to `end` that is wanted, and nothing else. */
static void ck_read(struct ringd_reader *reader, bool many, const struct ringd_filter *filter,
                    const struct written *written, uint64_t first, uint64_t end)
{
    struct ringd_reader_counters before = counters_of(reader), after;
    uint64_t next = first, delivered = 0;
    struct ringd_record records[7];
    size_t count;
    int result;

    while ((result = read_some(reader, many, records, &count)) == RINGD_OK) {
        for (size_t i = 0; i < count; i++) {
            while (next < end && !wanted(filter, &written[next]))
                next++;
            ck_assert_uint_eq(number_of(&records[i]), next);
            ck_assert_uint_eq(records[i].type, written[next].type);
            ck_assert_uint_eq(records[i].level, written[next].level);
            ck_assert_uint_eq(records[i].writer, written[next].writer);
            next++;
            delivered++;
        }
        if (next % 3 == 0)
            ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    while (next < end && !wanted(filter, &written[next]))
        next++;
    ck_assert_uint_eq(next, end);
    after = counters_of(reader);
    ck_assert_uint_eq(after.delivered - before.delivered, delivered);
    ck_assert_uint_eq(after.skipped - before.skipped, end - first - delivered);
    ck_assert_uint_eq(after.bytes - before.bytes, delivered * sizeof(uint64_t));
    ck_assert_uint_eq(after.lost, 0);
}

START_TEST(exactly_what_is_wanted)
{
    struct written *written = calloc(RECORDS, sizeof *written);
    struct ringd_reader *readers[2 * FILTERS];
    struct ringd_writer *writers[WRITERS];

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20});
    for (int i = 0; i < WRITERS; i++)
        writers[i] = open_writer(RING);
    for (int i = 0; i < 2 * FILTERS; i++)
        readers[i] = open_filtered((uint32_t)_i, RINGD_START_NOW, &filters[i / 2]);
    for (uint64_t first = 0; first < RECORDS; first += RECORDS / 3) {
        write_some(writers, written, first, RECORDS / 3);
        for (int i = 0; i < 2 * FILTERS; i++)
            ck_read(readers[i], i % 2, &filters[i / 2], written, first, first + RECORDS / 3);
        ck_sound(" 0 pending, 0 wrong\n");
    }
    free(written);
}
END_TEST

/* In mid-stream, also back to everything. One that cannot be leaves the old one. */
START_TEST(a_filter_is_changed)
{
    struct written *written = calloc(RECORDS, sizeof *written);
    struct ringd_filter bad = {.level_min = 9, .level_max = 8};
    struct ringd_writer *writers[WRITERS];
    struct ringd_reader *reader;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20});
    for (int i = 0; i < WRITERS; i++)
        writers[i] = open_writer(RING);
    reader = open_filtered((uint32_t)_i, RINGD_START_NOW, NULL);
    for (uint64_t i = 0; i < 10; i++) {
        const struct ringd_filter *filter = i < (uint64_t)FILTERS ? &filters[i] : &filters[0];

        write_some(writers, written, i * 100, 100);
        ck_assert_int_eq(ringd_reader_filter(reader, i < (uint64_t)FILTERS ? filter : NULL), RINGD_OK);
        ck_assert_int_eq(ringd_reader_filter(reader, &bad), -EINVAL);
        ck_read(reader, i % 2, filter, written, i * 100, i * 100 + 100);
    }
    ck_sound(" 0 pending, 0 wrong\n");
    free(written);
}
END_TEST

/* Refused before anything is asked of the daemon, with the value. */
START_TEST(filters_that_cannot_be)
{
    static const uint32_t no_writer[] = {1, 1984};
    static const struct {
        struct ringd_filter filter;
        const char *says;
    } cases[] = {
        {{.level_min = 200, .level_max = 100}, "200"},
        {{.level_min = 7}, "7"},
        {{.writers = no_writer, .writer_count = 2}, "1984"},
        {{.type_count = 1}, "types"},
        {{.writer_count = 1}, "writers"},
        {{.by_level = 2}, "by_level of a filter is 2"},
    };
    struct ringd_reader_options reserved = {.reserved = {0, 1}};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){0});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ringd_reader_options options = {.filter = &cases[i].filter};

        ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
        ck_assert_ptr_null(reader);
        ck_assert_msg(strstr(ringd_error(), cases[i].says) != NULL, "%s", ringd_error());
    }
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &reserved), -EINVAL);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "reserved"));
    ck_assert_uint_eq(ring_info(RING).lossy_readers, 0);
    ringd_close(ring);
}
END_TEST

/* ---- what is not touched ----------------------------------------------------------------------------------------- */

#define PAGE  4096u
#define LARGE (5 * PAGE)

/* Takes the pages away that are all payload, in both mappings of the data. */
static void take_payload_away(const struct segment *segment, uint64_t position)
{
    uint64_t size = segment->geometry.data_bytes, offset = position & (size - 1);
    uint64_t from = (offset + sizeof(struct ringd_record_header) + PAGE - 1) / PAGE * PAGE;

    for (uint64_t page = from; page + PAGE <= offset + sizeof(struct ringd_record_header) + LARGE; page += PAGE) {
        require(mprotect(segment->data + (page & (size - 1)), PAGE, PROT_NONE) == 0, "errno %d", errno);
        require(mprotect(segment->data + (page & (size - 1)) + size, PAGE, PROT_NONE) == 0, "errno %d", errno);
    }
}

struct untouched {
    uint32_t mode;
    uint16_t type; /* that is wanted; of what is in the way: 1 */
};

/* Small ones, a large one of another type, small ones. */
static void read_around(void *argument)
{
    static unsigned char large[LARGE];
    const struct untouched *job = argument;
    const struct ringd_filter filter = {.types = &job->type, .type_count = 1};
    struct ringd_reader_options options = {.mode = job->mode, .start = RINGD_START_OLDEST, .filter = &filter};
    struct ringd_record record, records[4];
    struct ringd_reader *reader;
    struct own_ring own;
    struct ringd_writer *w;
    uint64_t place, cursor;
    size_t count;

    own_ring_new(&own, (struct ringd_ring_options){.size = 1 << 21, .max_record = LARGE});
    require(writer_new(&w, own.segment, 0, 1, &(struct ringd_writer_options){0}) == 0, "writer");
    if (job->mode == RINGD_READ_LOSSLESS) {
        struct ring ring;

        ring_init(&ring, own.segment, 0);
        require(ring_join(&ring, 1, 0, RINGD_START_OLDEST, 0, &cursor) == 0, "join");
    } else {
        cursor = 0;
    }
    require(reader_new(&reader, own.segment, 0, cursor, &options) == 0, "reader");
    write_labelled(w, 2, 0, 1);
    ring_position(&reader->lanes[0].ring, &place);
    ringd_writer_label(w, 1, 0);
    require(ringd_write(w, large, sizeof large) == RINGD_OK, "write");
    write_labelled(w, 2, 0, 2);
    take_payload_away(own.segment, place);
    require(ringd_next(reader, &record) == RINGD_OK && number_of(&record) == 1, "first");
    require(ringd_next_many(reader, records, 4, &count) == RINGD_OK && count == 1, "second");
    require(number_of(&records[0]) == 2 && counters_of(reader).skipped == 1, "second");
}

/* And that it would be noticed: a lossy reader that wants it copies it. */
START_TEST(payloads_that_are_not_wanted_are_not_touched)
{
    struct untouched job = {.mode = (uint32_t)_i, .type = 2};
    int status;

    child_finish(child_start(read_around, &job));
    if (job.mode == RINGD_READ_LOSSLESS)
        return;
    job.type = 1;
    status = child_wait(child_start(read_around, &job));
    ck_assert_msg(!WIFEXITED(status) || WEXITSTATUS(status) != 0, "it was not noticed");
}
END_TEST

/* ---- floods ------------------------------------------------------------------------------------------------------ */

static const uint16_t rare = 7;
static const struct ringd_filter only_rare = {.types = &rare, .type_count = 1};

/* The one that is wanted stands behind many that are not: it is there, and whatever the deadline, it is given. */
START_TEST(what_is_there_is_found)
{
    static const int64_t deadlines[] = {RINGD_NO_WAIT, 1, RINGD_FOREVER};
    struct ringd_writer *w;
    struct ringd_record records[2];

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 23, .hold = 1});
    w = open_writer(RING);
    for (int i = 0; i < 50000; i++)
        write_labelled(w, 1, 0, 0);
    write_labelled(w, rare, 0, 42);
    for (size_t i = 0; i < 6; i++) {
        struct ringd_reader *reader = open_filtered((uint32_t)_i, RINGD_START_OLDEST, &only_rare);
        size_t count;

        reader->pacing = true;
        ringd_reader_deadline(reader, deadlines[i / 2]);
        ck_assert_int_eq(read_some(reader, i % 2, records, &count), RINGD_OK);
        ck_assert_uint_eq(count, 1);
        ck_assert_uint_eq(number_of(&records[0]), 42);
        ck_assert_uint_eq(counters_of(reader).skipped, 50000);
        ringd_reader_close(reader);
    }
}
END_TEST

static void write_without_end(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)unused;
    for (;;)
        write_labelled(w, 1, 0, 0);
}

/* A call ends although there is always something more to pass over; not before its deadline. */
START_TEST(a_flood_keeps_no_call_for_ever)
{
    struct ringd_reader *reader;
    struct ringd_record records[2];
    size_t count;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_filtered((uint32_t)_i, RINGD_START_NOW, &only_rare);
    pid = child_start(write_without_end, NULL);
    for (int i = 0; i < 200; i++) {
        int64_t deadline = i < 180 ? RINGD_NO_WAIT : now_ns() + 2000000;
        int result;

        ringd_reader_deadline(reader, deadline);
        do
            result = read_some(reader, i % 2, records, &count);
        while (result == RINGD_GAP); /* its type is not known */
        ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
        ck_assert_int_ge(now_ns(), deadline);
    }
    while (counters_of(reader).skipped == 0)
        ringd_next(reader, records);
    child_kill(pid);
}
END_TEST

static void write_flood_then_rare(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)unused;
    for (int i = 0; i < 100000; i++)
        write_labelled(w, 1, 0, 0);
    write_labelled(w, rare, 0, 43);
}

/* In one call: what is skipped goes back to writers that wait for it, without a release. */
START_TEST(what_is_skipped_is_given_back)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_filtered(RINGD_READ_LOSSLESS, RINGD_START_NOW, &only_rare);
    reader->wait = (uint32_t)_i;
    ringd_reader_deadline(reader, RINGD_FOREVER);
    pid = child_start(write_flood_then_rare, NULL);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(number_of(&record), 43);
    ck_assert_uint_eq(counters_of(reader).skipped, 100000);
    child_finish(pid);
}
END_TEST

/* ---- accounts ---------------------------------------------------------------------------------------------------- */

/* Nothing is wanted; nothing is released by hand. */
START_TEST(accounts_of_what_is_skipped)
{
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct ringd_record record;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20});
    w = open_writer(RING);
    reader = open_filtered((uint32_t)_i, RINGD_START_NOW, &only_rare);
    for (int i = 0; i < 1000; i++) {
        write_labelled(w, 1, 0, 0);
        if (i % 250 == 249)
            ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    }
    ck_sound("1000 committed since it joined = 0 delivered + 1000 skipped + 0 lost + 0 unread");
}
END_TEST

/* One is in its hands, before some that it has skipped: all of them are unread until it is given back. */
START_TEST(accounts_of_what_is_in_its_hands)
{
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct ringd_record record;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20});
    w = open_writer(RING);
    reader = open_filtered(RINGD_READ_LOSSLESS, RINGD_START_NOW, &only_rare);
    for (uint64_t i = 0; i < 100; i++)
        write_labelled(w, i == 10 ? rare : 1, 0, i);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_sound("100 committed since it joined = 0 delivered + 10 skipped + 0 lost + 90 unread");
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_sound(" 0 pending, 0 wrong\n");
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_sound("100 committed since it joined = 1 delivered + 99 skipped + 0 lost + 0 unread");
}
END_TEST

/* ---- gaps -------------------------------------------------------------------------------------------------------- */

struct told {
    uint64_t lost[WRITERS], gaps;
};

static uint64_t read_all(struct ringd_reader *reader, bool many, struct told *told)
{
    uint64_t delivered = 0;
    struct ringd_record records[7];
    size_t count;
    int result;

    while ((result = read_some(reader, many, records, &count)) == RINGD_OK || result == RINGD_GAP) {
        delivered += result == RINGD_OK ? count : 0;
        if (result == RINGD_GAP) {
            ck_assert_uint_lt(records[0].writer, WRITERS);
            told->lost[records[0].writer] += records[0].lost;
            told->gaps++;
        }
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    return delivered;
}

/* Overtaken several times by writers of which one is not wanted, and one is silent at the end. */
START_TEST(gaps_are_those_of_wanted_writers)
{
    static const uint32_t two[] = {0, 2};
    const struct ringd_filter filter = {.writers = two, .writer_count = 2};
    struct ringd_writer *writers[WRITERS];
    struct ringd_reader_counters counters;
    struct ringd_reader *reader;
    struct told told = {0};
    uint64_t delivered = 0, written[WRITERS] = {0};

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .policy = RINGD_OVERWRITE});
    for (int i = 0; i < WRITERS; i++)
        writers[i] = open_writer(RING);
    reader = open_filtered(_i / 2 == 0 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE, RINGD_START_NOW, &filter);
    for (int lap = 0; lap < 5; lap++) {
        for (int i = 0; i < 3000 * (lap % 3); i++) {
            int writer = lap == 4 ? 1 : i % WRITERS;

            write_labelled(writers[writer], 0, 0, 0);
            written[writer]++;
        }
        delivered += read_all(reader, _i % 2, &told);
    }
    counters = counters_of(reader);
    ck_assert_uint_gt(told.lost[0] + told.lost[2], 0);
    ck_assert_uint_eq(told.lost[1], 0);
    ck_assert_uint_eq(counters.skipped, written[1]);
    ck_assert_uint_eq(delivered + told.lost[0] + told.lost[2], written[0] + written[2]);
    ck_assert_uint_eq(counters.lost, told.lost[0] + told.lost[2]);
    ck_assert_uint_eq(counters.gaps, told.gaps);
    ck_assert_uint_eq(counters.delivered, delivered);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

/* What was overwritten may have been of a type that is wanted: all of it is told. */
START_TEST(gaps_of_unknown_types)
{
    struct told told = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t delivered;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .policy = RINGD_OVERWRITE});
    w = open_writer(RING);
    reader = open_filtered(_i / 2 == 0 ? RINGD_READ_LOSSY : RINGD_READ_OBSERVE, RINGD_START_NOW, &only_rare);
    for (int i = 0; i < 6000; i++)
        write_labelled(w, i % 10 == 0 ? rare : 1, 0, 0);
    delivered = read_all(reader, _i % 2, &told);
    ck_assert_uint_gt(told.lost[0], 3000);
    ck_assert_uint_gt(delivered, 0);
    ck_assert_uint_eq(delivered + counters_of(reader).skipped + told.lost[0], 6000);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

/* ---- hostile ----------------------------------------------------------------------------------------------------- */

/* A header that names a writer of another lane, or one that cannot be, is damage: it is not passed over. */
START_TEST(writers_that_cannot_be)
{
    static const uint32_t numbers[] = {31, 62, 1983, 1984, 2047};
    static const uint32_t none = 5;
    const struct ringd_filter filter = {.writers = &none, .writer_count = 1};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct ringd_reader_options options = {.mode = RINGD_READ_LOSSY, .start = RINGD_START_NOW, .filter = &filter};
        struct ringd_record record;
        struct ringd_reader *reader;
        struct ringd_writer *w;
        struct own_ring own;
        struct ringd_record_header *header;

        own_ring_new(&own, (struct ringd_ring_options){.size = 65536});
        ck_assert_int_eq(writer_new(&w, own.segment, 0, 1, &(struct ringd_writer_options){0}), 0);
        ck_assert_int_eq(reader_new(&reader, own.segment, 0, 0, &options), 0);
        write_labelled(w, 0, 0, 0);
        header = ring_header(&reader->lanes[0].ring, reader->lanes[0].position);
        atomic_store(&header->origin, numbers[i]);
        ck_assert_int_eq(ringd_next(reader, &record), -EBADMSG);
        ringd_reader_close(reader);
        ringd_writer_close(w);
        own_ring_free(&own);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter");
    TCase *tests = add_case(suite, "filter");

    tcase_add_loop_test(tests, exactly_what_is_wanted, 0, MODES);
    tcase_add_loop_test(tests, a_filter_is_changed, 0, MODES);
    tcase_add_test(tests, filters_that_cannot_be);
    tcase_add_loop_test(tests, payloads_that_are_not_wanted_are_not_touched, 0, MODES);
    tcase_add_loop_test(tests, what_is_there_is_found, 0, MODES);
    tcase_add_loop_test(tests, a_flood_keeps_no_call_for_ever, 0, MODES);
    tcase_add_loop_test(tests, what_is_skipped_is_given_back, RINGD_WAIT_ADAPTIVE, RINGD_WAIT_SLEEP + 1);
    tcase_add_loop_test(tests, accounts_of_what_is_skipped, RINGD_READ_LOSSY, RINGD_READ_LOSSLESS + 1);
    tcase_add_test(tests, accounts_of_what_is_in_its_hands);
    tcase_add_loop_test(tests, gaps_are_those_of_wanted_writers, 0, 4);
    tcase_add_loop_test(tests, gaps_of_unknown_types, 0, 4);
    tcase_add_test(tests, writers_that_cannot_be);
    return run_suite(suite);
}
