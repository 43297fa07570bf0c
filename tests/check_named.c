/* check_named.c - named cursors: a reader that comes back under its name goes on where it released last.
 *
 * In short scenes, record by record: what comes again and what does not, after a close, after a kill, after a move of
 * the ring and a restart of the daemon; what was overwritten meanwhile; messages that were half read; names that are
 * taken, wrong or too many.
 *
 * Then readers that are killed anywhere while writers run, the ring moves and the daemon dies. What holds for each
 * writer: the first record that a successor is given, or told that it lost, is none that was released for certain, and
 * leaves none out that nobody had said to release.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "writer.h"

#define RING    "named"
#define CURSOR  "billing"
#define SIZE    65536
#define RECORD  1024u /* max_record */
#define WRITERS 3

/* ---- coming and going -------------------------------------------------------------------------------------------- */

static void make(uint32_t policy, uint32_t hold)
{
    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .policy = policy, .hold = hold, .max_record = RECORD});
}

static int try_named(struct ringd_reader **reader, uint32_t mode, uint32_t start, const char *name)
{
    struct ringd_reader_options options = {.mode = mode, .start = start, .cursor = name};
    struct ringd *ring;
    int result = ringd_open(&ring, RING);

    *reader = NULL;
    if (result == 0)
        result = ringd_reader_open(reader, ring, &options);
    ringd_close(ring);
    return result;
}

/* Who had the name may have ended just now, and the kernel be still at it; or the daemon is being started again. */
static struct ringd_reader *open_named(uint32_t mode, uint32_t start)
{
    struct ringd_reader *reader;
    int result;

    do
        result = try_named(&reader, mode, start, CURSOR);
    while (result == -EBUSY || result == -ECONNREFUSED || result == -ECONNRESET || result == -EPIPE);
    require(result == 0, "%d: %s", result, ringd_error());
    return reader;
}

static void put(struct ringd_writer *w, int count)
{
    for (int i = 0; i < count; i++)
        require(write_record(w, 40) == RINGD_OK, "record %d", i);
}

static void expect(struct ringd_reader *reader, const struct ringd_writer *w, uint64_t sequence)
{
    struct ringd_record record = {0};
    int result = ringd_next(reader, &record);

    require(result == RINGD_OK, "result %d instead of record %" PRIu64, result, sequence);
    record_verify(&record);
    require(record.writer == writer_slot(w) && record.sequence == sequence,
            "record %" PRIu64 " of %u instead of %" PRIu64 " of %u", record.sequence, record.writer, sequence,
            writer_slot(w));
}

static void expect_all(struct ringd_reader *reader, const struct ringd_writer *w, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        expect(reader, w, i);
}

static void expect_gap(struct ringd_reader *reader, const struct ringd_writer *w, uint64_t sequence, uint64_t lost)
{
    struct ringd_record record = {0};
    int result = ringd_next(reader, &record);

    require(result == RINGD_GAP, "result %d instead of a gap", result);
    require(record.writer == writer_slot(w) && record.sequence == sequence && record.lost == lost,
            "%" PRIu64 " from %" PRIu64 " of %u instead of %" PRIu64 " from %" PRIu64 " of %u", record.lost,
            record.sequence, record.writer, lost, sequence, writer_slot(w));
}

static void expect_nothing(struct ringd_reader *reader)
{
    struct ringd_record record;
    int result = ringd_next(reader, &record);

    require(result == RINGD_WOULD_BLOCK, "result %d", result);
}

static void require_healthy(void)
{
    struct command command;

    ringctl(&command, "", 0, "doctor", RING, NULL);
    require(command.code == 0, "doctor: %d: %s", command.code,
            strstr(command.out, "\nWRONG") ? strstr(command.out, "\nWRONG") : command.out);
    command_free(&command);
}

/* ---- where it comes back ----------------------------------------------------------------------------------------- */

static const uint32_t modes[] = {RINGD_READ_LOSSLESS, RINGD_READ_LOSSY};

START_TEST(it_gets_the_next_record)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 5);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    expect_all(reader, w, 0, 3);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    require_healthy();
    ringd_reader_close(reader);
    put(w, 5);
    reader = open_named(modes[_i], RINGD_START_NOW);
    require_healthy();
    expect_all(reader, w, 3, 10);
    expect_nothing(reader);
    put(w, 1);
    expect(reader, w, 10);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    require_healthy();
    ringd_reader_close(reader);
    reader = open_named(modes[1 - _i], RINGD_START_POSITION); /* that position is not looked at */
    expect_nothing(reader);
    put(w, 1);
    expect(reader, w, 11);
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

START_TEST(what_was_not_released_comes_again)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_named(modes[_i], RINGD_START_NOW);
    put(w, 8);
    expect_all(reader, w, 0, 8);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW); /* where it began, not now */
    expect_all(reader, w, 0, 2);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    expect_all(reader, w, 2, 8);
    expect_nothing(reader);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 2, 8);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* Three writers, one of whom has been silent before and one afterwards. */
START_TEST(what_was_overwritten_is_a_gap)
{
    struct ringd_writer *silent, *busy, *late;
    struct ringd_reader *reader;
    uint64_t busy_first, late_first = 0;
    struct ringd_record record;
    int result;

    make(_i == 0 ? RINGD_LOSSLESS : RINGD_OVERWRITE, 0);
    silent = open_writer_until(RING, RINGD_FOREVER);
    busy = open_writer_until(RING, RINGD_FOREVER);
    late = open_writer_until(RING, RINGD_FOREVER);
    reader = open_named(modes[_i], RINGD_START_NOW);
    put(silent, 7);
    put(busy, 3);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_close(reader);
    put(silent, 4);
    put(late, 9);
    put(busy, 3000);
    reader = open_named(modes[_i], RINGD_START_NOW);
    result = ringd_next(reader, &record);
    ck_assert_int_eq(result, RINGD_GAP);
    ck_assert_uint_eq(record.writer, writer_slot(busy));
    ck_assert_uint_eq(record.sequence, 3);
    busy_first = 3 + record.lost;
    ck_assert_uint_gt(busy_first, 1000);
    expect_all(reader, busy, busy_first, 3003);
    expect_gap(reader, silent, 7, 4);
    expect_gap(reader, late, late_first, 9);
    expect_nothing(reader);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    put(silent, 1);
    expect(reader, silent, 11);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(silent);
    ringd_writer_close(busy);
    ringd_writer_close(late);
}
END_TEST

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void put_part(struct ringd_writer *w, uint32_t flags)
{
    uint64_t origin = w->origin;

    w->origin |= (uint64_t)(RINGD_FLAG_PART | flags) << RINGD_ORIGIN_FLAGS_SHIFT;
    require(ringd_write(w, "0123456789", 10) == RINGD_OK, "part");
    w->origin = origin;
}

/* What another has written in between was given and released, and does not come again. */
START_TEST(a_message_half_read_comes_whole)
{
    struct ringd_writer *w, *other;
    struct ringd_reader *reader;
    struct ringd_record record;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    other = open_writer_until(RING, RINGD_FOREVER);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    put(w, 1);
    put_part(w, RINGD_FLAG_FIRST);
    put(other, 2);
    put_part(w, 0);
    put(other, 2);
    expect(reader, w, 0);
    expect_all(reader, other, 0, 4);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    expect_nothing(reader);
    require_healthy();
    put(other, 1);
    put_part(w, RINGD_FLAG_LAST);
    expect(reader, other, 4);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.writer, writer_slot(w));
    ck_assert_uint_eq(record.len, 30);
    ck_assert_mem_eq(record.data, "012345678901234567890123456789", 30);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    require_healthy();
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    expect_nothing(reader);
    ringd_reader_close(reader);
    ringd_writer_close(w);
    ringd_writer_close(other);
}
END_TEST

/* ---- moves and restarts ------------------------------------------------------------------------------------------ */

static void resize(uint64_t size)
{
    int result = ringd_resize(RING, size);

    require(result == 0, "%d: %s", result, ringd_error());
}

/* Of ten records a reader has released six, and has gone. */
static struct ringd_writer *leave_after_six(uint32_t hold, uint32_t mode)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, hold);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_named(mode, RINGD_START_OLDEST);
    put(w, 10);
    expect_all(reader, w, 0, 6);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_close(reader);
    return w;
}

START_TEST(the_ring_moves_while_it_is_away)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    w = leave_after_six(1, modes[_i]);
    resize(2 * SIZE);
    put(w, 5);
    resize(SIZE);
    put(w, 5);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 6, 12);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 12, 20);
    expect_nothing(reader);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* What it had not read is gone with the old generation. */
START_TEST(what_went_with_an_old_generation_is_a_gap)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    w = leave_after_six(0, modes[_i]);
    wait_for_contexts(RING, 1);
    resize(2 * SIZE);
    put(w, 2); /* follows, and leaves the old one to nobody */
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_gap(reader, w, 6, 4);
    expect_all(reader, w, 10, 12);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

START_TEST(the_ring_moves_while_it_reads)
{
    struct ringd_reader *reader, *keeper;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 1);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    keeper = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST); /* it stays in the first one */
    put(w, 10);
    expect_all(reader, w, 0, 4);
    resize(2 * SIZE);
    put(w, 10);
    expect_all(reader, w, 4, 6);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK); /* into the old one */
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 6, 15); /* follows without a release */
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 6, 15);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    expect_all(reader, w, 15, 18);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 15, 20);
    expect_nothing(reader);
    ringd_reader_close(reader);
    ringd_reader_close(keeper);
    ringd_writer_close(w);
}
END_TEST

START_TEST(the_daemon_is_killed_meanwhile)
{
    struct ringd_reader *reader, *second;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 10);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    expect_all(reader, w, 0, 2);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    daemon_kill(&server);
    expect_all(reader, w, 2, 4);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    daemon_restart(&server, NULL);
    ck_assert_int_eq(try_named(&second, modes[_i], RINGD_START_NOW, CURSOR), -EBUSY);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 4, 6);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    daemon_kill(&server);
    ringd_reader_close(reader);
    put(w, 1);
    daemon_restart(&server, NULL);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_all(reader, w, 6, 11);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

static size_t cursor_count(void)
{
    size_t count;

    ck_assert_int_eq(ringd_cursors(RING, NULL, 0, &count), 0);
    return count;
}

/* Whose reader has ended may be taken to be there for a moment. */
static void forget(const char *name)
{
    int result;

    do
        result = ringd_forget(RING, name);
    while (result == -EBUSY);
    ck_assert_msg(result == 0, "%d: %s", result, ringd_error());
}

/* The step that is told to the next daemon is the one that counts. */
START_TEST(the_daemon_is_killed_when_it_has_forgotten)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;

    if (!at_point_allowed("the_daemon_is_killed_when_it_has_forgotten"))
        return;
    make(RINGD_LOSSLESS, 1);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 10);
    ringd_reader_close(open_named(RINGD_READ_LOSSY, RINGD_START_OLDEST));
    daemon_kill(&server);
    ck_assert(daemon_restart_to_die(&server, "slot-name-forgotten", 1));
    ck_assert_int_lt(ringd_forget(RING, CURSOR), 0);
    child_wait(server.pid);
    daemon_restart(&server, NULL);
    ck_assert_uint_eq(cursor_count(), 0);
    reader = open_named(RINGD_READ_LOSSY, RINGD_START_NOW);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* The daemon dies in the middle of giving a name out, or of carrying what is remembered. */
static const char *const daemon_points[] = {"slot-name-written", "slot-name-used", "slot-name-given", "move-named"};

START_TEST(the_daemon_is_killed_at_a_step)
{
    struct ringd_reader *reader, *other = NULL;
    struct ringd_writer *w;

    if (!at_point_allowed("the_daemon_is_killed_at_a_step"))
        return;
    w = leave_after_six(1, RINGD_READ_LOSSLESS);
    daemon_kill(&server);
    ck_assert(daemon_restart_to_die(&server, daemon_points[_i], 1));
    if (ringd_resize(RING, 2 * SIZE) == 0)
        ck_assert_int_lt(try_named(&other, RINGD_READ_LOSSLESS, RINGD_START_OLDEST, "other"), 0);
    child_wait(server.pid);
    daemon_restart(&server, NULL);
    ck_assert_int_eq(try_named(&other, RINGD_READ_LOSSY, RINGD_START_OLDEST, "other"), 0);
    expect_all(other, w, 0, 10);
    ringd_reader_close(other);
    reader = open_named(RINGD_READ_LOSSLESS, RINGD_START_NOW);
    expect_all(reader, w, 6, 10);
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------------------------- */

START_TEST(one_reader_for_a_name)
{
    struct ringd_context_info info;
    struct ringd_reader *reader, *second;
    char words[64];
    struct command command;

    make(RINGD_LOSSLESS, 0);
    reader = open_named(RINGD_READ_LOSSY, RINGD_START_NOW);
    ck_assert_int_eq(try_named(&second, RINGD_READ_LOSSLESS, RINGD_START_NOW, CURSOR), -EBUSY);
    snprintf(words, sizeof words, "reader %u (pid %d,", reader->slot, (int)getpid());
    ck_assert_msg(strstr(ringd_error(), CURSOR) != NULL && strstr(ringd_error(), words) != NULL, "%s", ringd_error());
    ck_assert(find_context(RING, RINGD_CONTEXT_LOSSY, &info));
    ck_assert_str_eq(info.label, CURSOR);
    ck_assert_uint_eq(info.member, 0);
    ringctl(&command, "", 0, "status", RING, NULL);
    ck_assert_ptr_nonnull(strstr(command.out, CURSOR));
    command_free(&command);
    ringctl(&command, "", 0, "status", RING, "--json", NULL);
    ck_assert_ptr_nonnull(strstr(command.out, "\"" CURSOR "\""));
    command_free(&command);
    ringd_reader_close(reader);
    reader = open_named(RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ringd_reader_close(reader);
}
END_TEST

START_TEST(names_that_are_none)
{
    static const char *const wrong[] = {"",    ".hidden",  "a b",
                                        "a/b", "\xc3\xa4", "123456789012345678901234567890123456789012345678"};
    struct ringd_reader *reader;

    make(RINGD_LOSSLESS, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, wrong[i]), -EINVAL);
    ck_assert_int_eq(try_named(&reader, RINGD_READ_OBSERVE, RINGD_START_NOW, CURSOR), -EINVAL);
    ck_assert_int_eq(
        try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, "12345678901234567890123456789012345678901234567"), 0);
    ringd_reader_close(reader);
}
END_TEST

START_TEST(so_many_names)
{
    struct ringd_reader *reader;
    char name[16];

    make(RINGD_LOSSLESS, 0);
    for (uint32_t i = 0; i < RINGD_NAMED_MAX; i++) {
        snprintf(name, sizeof name, "name-%u", i);
        ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, name), 0);
        ringd_reader_close(reader);
    }
    ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, CURSOR), -EUSERS);
    ck_assert_msg(strstr(ringd_error(), "32") != NULL && strstr(ringd_error(), "`ringctl forget " RING " ") != NULL,
                  "%s", ringd_error());
    ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, "name-31"), 0);
    ringd_reader_close(reader);
    forget("name-7");
    ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, CURSOR), 0);
    ringd_reader_close(reader);
    ck_assert_int_eq(try_named(&reader, RINGD_READ_LOSSY, RINGD_START_NOW, "name-7"), -EUSERS);
    ck_assert_uint_eq(cursor_count(), RINGD_NAMED_MAX);
}
END_TEST

/* Neither it nor who gets its place goes on where it was. */
START_TEST(a_name_is_forgotten)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;
    char words[64];

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    ck_assert_int_eq(ringd_forget(RING, CURSOR), -ENOENT);
    ck_assert_msg(strstr(ringd_error(), CURSOR) != NULL && strstr(ringd_error(), "`ringctl status " RING "`") != NULL,
                  "%s", ringd_error());
    reader = open_named(modes[_i], RINGD_START_NOW);
    ck_assert_int_eq(ringd_forget(RING, CURSOR), -EBUSY);
    snprintf(words, sizeof words, "reader %u (pid %d,", reader->slot, (int)getpid());
    ck_assert_msg(strstr(ringd_error(), CURSOR) != NULL && strstr(ringd_error(), words) != NULL, "%s", ringd_error());
    put(w, 10);
    expect_all(reader, w, 0, 4);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_close(reader);
    forget(CURSOR);
    ck_assert_int_eq(ringd_forget(RING, CURSOR), -ENOENT);
    ck_assert_int_eq(try_named(&reader, modes[_i], RINGD_START_NOW, "other"), 0);
    expect_nothing(reader);
    ringd_reader_close(reader);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_nothing(reader);
    put(w, 1);
    expect(reader, w, 10);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* Also one whose reader was in an old generation: whatever copies what is remembered does not bring it back. */
START_TEST(it_stays_forgotten)
{
    struct ringd_reader *reader, *keeper;
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 1);
    w = open_writer_until(RING, RINGD_FOREVER);
    keeper = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    put(w, 10);
    expect_all(reader, w, 0, 4);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    resize(2 * SIZE);
    ringd_reader_close(reader);
    forget(CURSOR);
    resize(SIZE);
    ck_assert_uint_eq(cursor_count(), 0);
    daemon_kill(&server);
    daemon_restart(&server, NULL);
    ck_assert_uint_eq(cursor_count(), 0);
    resize(2 * SIZE);
    ck_assert_uint_eq(cursor_count(), 0);
    reader = open_named(modes[_i], RINGD_START_NOW);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_reader_close(keeper);
    ringd_writer_close(w);
}
END_TEST

/* Names that nobody has are shown too, with what they would go on with; to a daemon's successor as well. */
START_TEST(names_are_shown)
{
    struct ringd_context_info named[RINGD_NAMED_MAX];
    struct ringd_reader *reader, *other;
    struct ringd_writer *w;
    struct ringd_info info;
    uint64_t stopped_at;
    size_t count;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 10);
    reader = open_named(RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    expect_all(reader, w, 0, 4);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    stopped_at = ringd_reader_position(reader);
    ringd_reader_close(reader);
    ck_assert_int_eq(ringd_status(RING, &info, NULL, 0, NULL), 0);
    ck_assert_int_eq(try_named(&other, RINGD_READ_LOSSY, RINGD_START_NOW, "other"), 0);
    wait_for_contexts(RING, 2);
    daemon_kill(&server);
    daemon_restart(&server, NULL);
    ck_assert_int_eq(ringd_cursors(RING, named, RINGD_NAMED_MAX, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(named[0].label, CURSOR);
    ck_assert_uint_eq(named[0].kind, 0);
    ck_assert_uint_eq(named[0].cursor, stopped_at);
    ck_assert_uint_eq(named[0].lag, info.position - stopped_at);
    ck_assert_str_eq(named[1].label, "other");
    ck_assert_uint_eq(named[1].kind, RINGD_CONTEXT_LOSSY);
    ck_assert_uint_eq(named[1].pid, (uint32_t)getpid());
    ck_assert_uint_eq(named[1].lag, 0);
    ck_assert_int_eq(ringd_cursors(RING, named, 1, &count), 0);
    ck_assert_uint_eq(count, 2);
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

static void read_all(struct ringd_reader *reader)
{
    struct ringd_record record;
    int result;

    do
        result = ringd_next(reader, &record);
    while (result == RINGD_OK || result == RINGD_GAP);
}

/* What others can write there makes nobody crash, hang or skip for ever. */
START_TEST(nonsense_is_remembered)
{
    struct ringd_reader *reader, *scribbler;
    struct random_source random = {.state = support_seed()};
    struct ringd_writer *w;

    make(RINGD_LOSSLESS, 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 100);
    scribbler = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    ringd_reader_close(open_named(modes[_i], RINGD_START_OLDEST));
    for (int round = 0; round < 50; round++) {
        struct ringd_named_lane *lane = segment_named(&scribbler->attachment->segment, 0, 0);
        bool units = random_below(&random, 2) == 0;
        uint64_t position = random_next(&random) >> random_below(&random, 64);

        for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++)
            atomic_store(&lane->next[i], random_next(&random) >> random_below(&random, 64));
        atomic_store(&lane->position, units ? position & RINGD_POSITION_MASK : position);
        reader = open_named(modes[_i], RINGD_START_OLDEST);
        read_all(reader);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        put(w, 70);
        read_all(reader);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        ringd_reader_close(reader);
    }
    /* A number that its writer has not come to is not believed. */
    atomic_store(&segment_named(&scribbler->attachment->segment, 0, 0)->next[writer_slot(w)],
                 RINGD_NEXT_KNOWN | UINT64_C(1) << 40);
    reader = open_named(modes[_i], RINGD_START_OLDEST);
    read_all(reader);
    put(w, 1);
    expect(reader, w, writer_sequence(w) - 1);
    ringd_reader_close(reader);
    ringd_reader_close(scribbler);
    ringd_writer_close(w);
}
END_TEST

/* ---- killed anywhere --------------------------------------------------------------------------------------------- */

/* What the processes of a test share. */
struct party {
    uint32_t mode;
    _Atomic uint32_t over;         /* writers end */
    _Atomic uint32_t rest;         /* the reader ends when there is nothing more */
    _Atomic uint64_t released[31]; /* of each writer: all before was, as the call has returned */
    _Atomic uint64_t asked[31];    /* all before was to be: the call was made */
    _Atomic uint64_t gaps;         /* records */
    _Atomic uint64_t came;         /* readers that were given something */
    bool seen[31];                 /* by this reader */
    uint64_t next[31];
};

static void write_on(void *argument)
{
    struct party *party = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {.state = support_seed() + writer_slot(w)};

    while (atomic_load(&party->over) == 0) {
        require(write_record(w, RECORD_MIN + random_below(&random, 300)) == RINGD_OK, "write");
        if (random_below(&random, 64) == 0)
            pause_ms(1);
    }
    ringd_writer_close(w);
}

/* A record, or `lost` in a row. */
static void account(struct party *party, uint32_t writer, uint64_t sequence, uint64_t count)
{
    uint64_t released = atomic_load(&party->released[writer]), asked = atomic_load(&party->asked[writer]);

    if (party->seen[writer])
        require(sequence == party->next[writer], "%" PRIu64 " instead of %" PRIu64 " of %u", sequence,
                party->next[writer], writer);
    else
        require(sequence >= released && sequence <= asked,
                "begins with %" PRIu64 " of %u; before %" PRIu64 " is released, before %" PRIu64 " was to be", sequence,
                writer, released, asked);
    party->seen[writer] = true;
    party->next[writer] = sequence + count;
}

static void publish_to(const struct party *party, _Atomic uint64_t *numbers)
{
    for (uint32_t i = 0; i < 31; i++) {
        if (party->seen[i])
            atomic_store(&numbers[i], party->next[i]);
    }
}

static void read_on(void *argument)
{
    struct party *party = argument;
    struct ringd_reader *reader = open_named(party->mode, RINGD_START_OLDEST);
    struct random_source random = {.state = support_seed() + (uint64_t)getpid()};
    struct ringd_record record;
    int result = RINGD_OK;

    memset(party->seen, 0, sizeof party->seen);
    while (atomic_load(&party->rest) == 0 || result != RINGD_WOULD_BLOCK) {
        uint64_t run = random_below(&random, 20);

        ringd_reader_deadline(reader, now_ns() + 5000000);
        for (uint64_t i = 0; i <= run; i++) {
            result = ringd_next(reader, &record);
            if (result == RINGD_WOULD_BLOCK)
                break;
            require(result == RINGD_OK || result == RINGD_GAP, "result %d", result);
            if (result == RINGD_OK)
                record_verify(&record);
            else
                atomic_fetch_add(&party->gaps, record.lost);
            account(party, record.writer, record.sequence, result == RINGD_OK ? 1 : record.lost);
            atomic_fetch_add(&party->came, i == 0);
        }
        publish_to(party, party->asked);
        require(ringd_release(reader) == RINGD_OK, "release");
        publish_to(party, party->released);
    }
    ringd_reader_close(reader);
}

static const struct chase {
    uint32_t policy, hold, mode;
    bool moves, restarts;
} chases[] = {
    {RINGD_LOSSLESS, 1, RINGD_READ_LOSSLESS, false, false}, {RINGD_LOSSLESS, 0, RINGD_READ_LOSSLESS, false, false},
    {RINGD_OVERWRITE, 0, RINGD_READ_LOSSY, false, false},   {RINGD_LOSSLESS, 1, RINGD_READ_LOSSLESS, true, false},
    {RINGD_OVERWRITE, 0, RINGD_READ_LOSSY, true, false},    {RINGD_LOSSLESS, 1, RINGD_READ_LOSSLESS, true, true},
    {RINGD_OVERWRITE, 0, RINGD_READ_LOSSY, true, true},
};

#define CHASES (int)(sizeof chases / sizeof *chases)
#define KILLS  40

/* It has not found anything wrong before. */
static void kill_reader(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    status = child_wait(pid);
    require(WIFSIGNALED(status), "the reader has failed: status 0x%x", (unsigned)status);
}

static void disturb(const struct chase *chase, struct random_source *random)
{
    if (chase->moves && random_below(random, 3) == 0) {
        int result = ringd_resize(RING, random_below(random, 2) == 0 ? SIZE : 2 * SIZE);

        require(result == 0 || result == -EBUSY, "%d: %s", result, ringd_error()); /* too many are kept for it */
    }
    if (chase->restarts && random_below(random, 4) == 0) {
        daemon_kill(&server);
        daemon_restart(&server, NULL);
    }
}

static void finish_reading(struct party *party)
{
    atomic_store(&party->rest, 1);
    child_finish(child_start(read_on, party));
}

START_TEST(it_is_killed_anywhere)
{
    const struct chase *chase = &chases[_i];
    struct random_source random = {.state = support_seed()};
    struct party *party = shared_new(sizeof *party);
    struct ringd_writer *last[WRITERS];
    pid_t writers[WRITERS];

    party->mode = chase->mode;
    make(chase->policy, chase->hold);
    ringd_reader_close(open_named(chase->mode, RINGD_START_OLDEST));
    for (int i = 0; i < WRITERS; i++)
        writers[i] = child_start(write_on, party);
    wait_for_contexts(RING, WRITERS);
    for (int i = 0; i < KILLS; i++) {
        pid_t reader = child_start(read_on, party);

        pause_ms((unsigned)random_below(&random, 12));
        disturb(chase, &random);
        pause_ms((unsigned)random_below(&random, 6));
        kill_reader(reader);
        disturb(chase, &random);
    }
    atomic_store(&party->over, 1);
    finish_reading(party);
    for (int i = 0; i < WRITERS; i++)
        child_finish(writers[i]);
    finish_reading(party);
    ck_assert_uint_gt(atomic_load(&party->came), 0);
    if (chase->hold == 1 && !chase->moves)
        ck_assert_uint_eq(atomic_load(&party->gaps), 0);
    /* Nothing that was written is left out at the end. */
    for (uint32_t i = 0; i < WRITERS; i++)
        last[i] = open_writer(RING);
    for (uint32_t i = 0; i < WRITERS; i++) {
        ck_assert_uint_eq(atomic_load(&party->released[writer_slot(last[i])]), writer_sequence(last[i]));
        ringd_writer_close(last[i]);
    }
    require_healthy();
}
END_TEST

/* ---- killed at each step ----------------------------------------------------------------------------------------- */

/* Three runs of records, each released. */
static void read_in_steps(void *argument)
{
    struct ringd_reader *reader = open_named(*(const uint32_t *)argument, RINGD_START_OLDEST);
    struct ringd_record record;

    for (int i = 1; i <= 9; i++) {
        require(ringd_next(reader, &record) == RINGD_OK, "next");
        if (i % 3 == 0)
            require(ringd_release(reader) == RINGD_OK, "release");
    }
    ringd_reader_close(reader);
}

/* At which passing of which point, and which record comes next then: once a release has begun to be remembered, of all
 * that it gives back either everything or nothing comes again. */
static const struct step {
    const char *point;
    unsigned long nth;
    uint64_t next;
} steps[] = {
    {"named-expected", 1, 0}, {"named-stored", 1, 0},   {"release-stored", 1, 0}, {"named-expected", 2, 3},
    {"named-stored", 2, 3},   {"release-stored", 2, 3}, {"named-expected", 3, 6}, {"named-stored", 3, 6},
    {"next-delivered", 8, 6}, {"named-stored", 4, 9},
};

#define STEPS (int)(sizeof steps / sizeof *steps)

START_TEST(it_is_killed_at_a_step)
{
    const struct step *step = &steps[_i / 2];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint32_t mode = modes[_i % 2];
    struct at_point at;

    if (!at_point_allowed("it_is_killed_at_a_step"))
        return;
    make(RINGD_LOSSLESS, 1);
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 12);
    at = at_point_start(step->point, STOP_KILL, step->nth, read_in_steps, &mode);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_KILLED);
    reader = open_named(mode, RINGD_START_OLDEST);
    require_healthy();
    expect_all(reader, w, step->next, 12);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    expect_nothing(reader);
    require_healthy();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* ---- suite ------------------------------------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("named");
    TCase *tests = add_case(suite, "scenes");

    tcase_add_loop_test(tests, it_gets_the_next_record, 0, 2);
    tcase_add_loop_test(tests, what_was_not_released_comes_again, 0, 2);
    tcase_add_loop_test(tests, what_was_overwritten_is_a_gap, 0, 2);
    tests = add_case(suite, "messages");
    tcase_add_loop_test(tests, a_message_half_read_comes_whole, 0, 2);
    tests = add_case(suite, "moves");
    tcase_add_loop_test(tests, the_ring_moves_while_it_is_away, 0, 2);
    tcase_add_loop_test(tests, what_went_with_an_old_generation_is_a_gap, 0, 2);
    tcase_add_loop_test(tests, the_ring_moves_while_it_reads, 0, 2);
    tests = add_case(suite, "daemon");
    tcase_add_loop_test(tests, the_daemon_is_killed_meanwhile, 0, 2);
    tcase_add_loop_test(tests, the_daemon_is_killed_at_a_step, 0, 4);
    tcase_add_test(tests, the_daemon_is_killed_when_it_has_forgotten);
    tests = add_case(suite, "names");
    tcase_add_test(tests, one_reader_for_a_name);
    tcase_add_test(tests, names_that_are_none);
    tcase_add_test(tests, so_many_names);
    tcase_add_loop_test(tests, a_name_is_forgotten, 0, 2);
    tcase_add_loop_test(tests, it_stays_forgotten, 0, 2);
    tcase_add_test(tests, names_are_shown);
    tcase_add_loop_test(tests, nonsense_is_remembered, 0, 2);
    tests = add_case(suite, "kills");
    tcase_add_loop_test(tests, it_is_killed_anywhere, 0, CHASES);
    tests = add_case(suite, "steps");
    tcase_add_loop_test(tests, it_is_killed_at_a_step, 0, 2 * STEPS);
    return run_suite(suite);
}
