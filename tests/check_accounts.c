/* check_accounts.c - everything that was offered is accounted for, and `ringctl doctor` tells whether it is.
 *
 *     writer   offered = committed + aborted + dropped + refused + lost with its death
 *     reader   committed since it joined = delivered + lost in gaps + still unread
 *
 * On rings in full use, under each policy, with all grades of readers, doctor has to find nothing wrong; with one
 * counter or one record changed, it has to find that, say where it is and by how much, on a ring at rest and on one in
 * use. Who stands in the middle of something is no error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING  "accounts"
#define SIZE  65536
#define DONE  0
#define WRONG 8

static struct ringd_ring_options with_policy(uint32_t policy)
{
    return (struct ringd_ring_options){.size = SIZE, .max_record = 512, .policy = policy};
}

/* Runs doctor and requires its exit code. */
static void doctor(struct command *command, int code)
{
    ringctl(command, "", 0, "doctor", RING, NULL);
    ck_assert_msg(command->code == code, "exit code %d:\n%s%s", command->code, command->out, command->err);
}

static void ck_shows(const struct command *command, const char *what)
{
    ck_assert_msg(strstr(command->out, what) != NULL, "\"%s\" is not in:\n%s", what, command->out);
}

static void ck_sound(const char *what)
{
    struct command command;

    doctor(&command, DONE);
    ck_shows(&command, what);
    command_free(&command);
}

/* What is wrong is said like this. */
static void ck_finds(const char *check, const char *what)
{
    struct command command;
    char line[64];

    doctor(&command, WRONG);
    snprintf(line, sizeof line, "WRONG    %s", check);
    ck_shows(&command, line);
    ck_shows(&command, what);
    command_free(&command);
}

/* ---- in full use ------------------------------------------------------------------------------------------------- */

struct shared {
    _Atomic uint32_t stop, ready;
};

static struct shared *shared;

static void offer(struct ringd_writer *w, struct random_source *random)
{
    static const char payload[512];
    struct iovec batch[4] = {{(void *)payload, 40}, {(void *)payload, 0}, {(void *)payload, 100}, {(void *)payload, 1}};
    size_t granted;
    void *data;

    switch (random_below(random, 10)) {
    case 0:
        ringd_write_batch(w, batch, 1 + (int)random_below(random, 4));
        break;
    case 1:
        if (ringd_reserve(w, 10, 300, &data, &granted) == RINGD_OK)
            random_below(random, 2) ? ringd_abort(w) : ringd_commit(w, granted);
        break;
    case 2:
        ringd_write(w, payload, 600); /* too long */
        break;
    default:
        ringd_write(w, payload, random_below(random, 200));
    }
}

/* Comes and leaves, too. */
static void write_on(void *argument)
{
    struct random_source random = {support_seed() + (uint64_t)getpid()};
    int64_t deadline = *(const int64_t *)argument;

    shared->ready++;
    while (!shared->stop) {
        struct ringd_writer *w = open_writer_until(RING, deadline);

        for (uint64_t i = 20000 + random_below(&random, 100000); i > 0 && !shared->stop; i--)
            offer(w, &random);
        ringd_writer_close(w);
    }
}

/* Now and then it lets writers get ahead, and holds more or fewer records before it gives them back. */
static void read_on(void *argument)
{
    uint32_t mode = *(const uint32_t *)argument;
    struct ringd_reader *reader = open_reader(RING, mode, random_below(&(struct random_source){support_seed()}, 2));
    struct random_source random = {support_seed() + (uint64_t)getpid()};
    struct ringd_record records[64];
    size_t count;

    shared->ready++;
    while (!shared->stop) {
        if (random_below(&random, 1000) == 0)
            usleep((useconds_t)random_below(&random, 2000));
        if (random_below(&random, 2))
            ringd_next(reader, records);
        else
            ringd_next_many(reader, records, 1 + random_below(&random, 64), &count);
        if (random_below(&random, 3) > 0)
            ringd_release(reader);
    }
}

static void ck_nothing_is_wrong_in_use(const struct ringd_ring_options *options, int64_t deadline)
{
    static uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_OBSERVE, RINGD_READ_LOSSLESS, RINGD_READ_LOSSLESS};
    uint32_t readers = options->policy == RINGD_OVERWRITE ? 2 : 4;
    struct command command;
    pid_t children[7];

    shared = shared_new(sizeof *shared);
    make_ring(RING, *options);
    for (uint32_t i = 0; i < readers; i++)
        children[i] = child_start(read_on, &modes[i]);
    while (shared->ready < readers)
        pause_ms(1);
    for (uint32_t i = 0; i < 3; i++)
        children[readers + i] = child_start(write_on, &deadline);
    for (int i = 0; i < 20; i++) {
        doctor(&command, DONE);
        ck_shows(&command, " 0 wrong\n");
        command_free(&command);
    }
    shared->stop = 1;
    for (uint32_t i = 0; i < readers + 3; i++)
        child_finish(children[i]);
    ck_sound(" 0 pending, 0 wrong\n");
}

START_TEST(nothing_is_wrong_in_use)
{
    struct ringd_ring_options options = with_policy((uint32_t)_i);

    ck_nothing_is_wrong_in_use(&options, 100000000 + now_ns());
}
END_TEST

START_TEST(nothing_is_wrong_while_readers_are_put_out)
{
    struct ringd_ring_options options = with_policy(RINGD_LOSSLESS);

    options.slow = _i == 0 ? RINGD_SLOW_LOSSY : RINGD_SLOW_EVICT;
    options.slow_bytes = 4096;
    ck_nothing_is_wrong_in_use(&options, RINGD_FOREVER);
}
END_TEST

/* What the dead leave is repaired, and what is lost with them is in the accounts. */
START_TEST(nothing_is_wrong_while_contexts_are_killed)
{
    static uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_LOSSLESS};
    struct random_source random = {support_seed()};
    int64_t deadline = RINGD_FOREVER;
    struct command command;
    pid_t children[5];

    shared = shared_new(sizeof *shared);
    make_ring(RING, with_policy(RINGD_LOSSLESS));
    for (int i = 0; i < 5; i++)
        children[i] = i < 2 ? child_start(read_on, &modes[i]) : child_start(write_on, &deadline);
    for (int kills = 0; kills < 60; kills++) {
        int i = (int)random_below(&random, 5);

        usleep((useconds_t)random_below(&random, 3000));
        child_kill(children[i]);
        children[i] = i < 2 ? child_start(read_on, &modes[i]) : child_start(write_on, &deadline);
        if (kills % 6 == 0) {
            doctor(&command, DONE);
            ck_shows(&command, " 0 wrong\n");
            command_free(&command);
        }
    }
    shared->stop = 1;
    for (int i = 0; i < 5; i++)
        child_kill(children[i]);
    while (ring_info(RING).writers > 0)
        pause_ms(1);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

/* The same while the ring moves from one size to another all the time. */
START_TEST(nothing_is_wrong_while_the_ring_moves)
{
    static uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_LOSSLESS};
    int64_t deadline = RINGD_FOREVER;
    struct command command;
    pid_t children[5];

    shared = shared_new(sizeof *shared);
    make_ring(RING, with_policy(RINGD_LOSSLESS));
    for (int i = 0; i < 5; i++)
        children[i] = i < 2 ? child_start(read_on, &modes[i]) : child_start(write_on, &deadline);
    while (shared->ready < 5)
        pause_ms(1);
    for (int moves = 0; moves < 12; moves++) {
        ringctl(&command, "", 0, "resize", RING, moves % 2 == 0 ? "128K" : "64K", NULL);
        ck_assert_msg(command.code == 0, "%s", command.err);
        command_free(&command);
        doctor(&command, DONE);
        ck_shows(&command, " 0 wrong\n");
        command_free(&command);
    }
    shared->stop = 1;
    for (int i = 0; i < 5; i++)
        child_finish(children[i]);
    while (ring_info(RING).writers > 0)
        pause_ms(1);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* A ring with a writer in slot 0, and a lossless and a lossy reader in slots 0 and 1, each with something of
 * everything. The writer's mapping is the one to scribble on. */
struct patient {
    struct ringd_writer *w;
    struct ringd_reader *lossless, *lossy;
};

static void write_some(struct ringd_writer *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        ck_assert_int_eq(write_record(w, 60), RINGD_OK);
}

static void read_some(struct ringd_reader *reader, uint64_t count)
{
    struct ringd_record record;

    for (uint64_t i = 0; i < count; i++)
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
}

static struct patient patient_new(void)
{
    struct patient p;
    size_t granted;
    void *data;

    make_ring(RING, with_policy(RINGD_LOSSLESS));
    write_some(open_writer(RING), 3); /* another, slot 0 of those below is slot 1 */
    p.w = open_writer(RING);
    p.lossless = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    p.lossy = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    write_some(p.w, 100);
    ck_assert_int_eq(ringd_write(p.w, "", 600), -EMSGSIZE);
    ck_assert_int_eq(ringd_reserve(p.w, 1, 1, &data, &granted), RINGD_OK);
    ck_assert_int_eq(ringd_abort(p.w), RINGD_OK);
    read_some(p.lossless, 60);
    read_some(p.lossy, 30);
    return p;
}

static struct ringd_writer_slot *slot_of(const struct patient *p)
{
    return p->w->ring.slot;
}

enum injection {
    OFFERED,
    SEQUENCE,
    ABORTED,
    REFUSED,
    DROPPED_FULL,
    DROPPED_STALLED,
    LOST,
    DEPARTED,
    DELIVERED,
    READER_LOST,
    BASE,
    SETTLED,
    LOSSY_DELIVERED,
    INJECTIONS
};

static _Atomic uint64_t *counter_of(const struct patient *p, int injection)
{
    struct ringd_writer_slot *slot = slot_of(p);

    switch (injection) {
    case OFFERED:
        return &slot->offered;
    case SEQUENCE:
        return &slot->sequence;
    case ABORTED:
        return &slot->aborted;
    case REFUSED:
        return &slot->refused;
    case DROPPED_FULL:
        return &slot->dropped_full;
    case DROPPED_STALLED:
        return &slot->dropped_stalled;
    case LOST:
        return &slot->lost;
    case DEPARTED:
        return &p->w->ring.ring.lane->departed.committed;
    case DELIVERED:
        return &p->lossless->counters->delivered;
    case READER_LOST:
        return &p->lossless->counters->lost;
    case BASE:
        return &p->lossless->lanes[0].cursor->base;
    case SETTLED:
        return &p->lossless->lanes[0].cursor->settled;
    default:
        return &p->lossy->counters->delivered;
    }
}

/* One counter of a ring at rest. What a reader has delivered and not released is no error as long as it may be so: it
 * is found with the next release. */
START_TEST(an_injected_error_is_found)
{
    static const char *const says[INJECTIONS] = {
        "1 are not accounted for",      "1 too many are accounted for",
        "1 too many are accounted for", "1 too many are accounted for",
        "1 too many are accounted for", "1 too many are accounted for",
        "1 too many are accounted for", "which it is not",
        "1 too many are accounted for", "1 too many are accounted for",
        "1 too many are accounted for", "pending: it is in the middle of a release",
        "1 too many are accounted for"};
    struct patient p = patient_new();
    _Atomic uint64_t *counter = counter_of(&p, _i);

    ck_sound(" 0 pending, 0 wrong\n");
    ++*counter;
    if (_i == DELIVERED || _i == READER_LOST)
        read_some(p.lossless, 1);
    if (_i == LOSSY_DELIVERED)
        read_some(p.lossy, 1);
    if (_i == SETTLED)
        ck_sound(says[_i]);
    else
        ck_finds(_i < DEPARTED           ? "writer 1"
                 : _i == DEPARTED        ? "departed"
                 : _i == LOSSY_DELIVERED ? "reader 1"
                                         : "reader 0",
                 says[_i]);
    --*counter;
    if (_i == DELIVERED || _i == READER_LOST)
        read_some(p.lossless, 1);
    if (_i == LOSSY_DELIVERED)
        read_some(p.lossy, 1);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

static void write_without_end(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)argument;
    for (;;)
        require(ringd_write(w, "abcdefgh", 8) == RINGD_OK, "write");
}

static void read_without_end(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    (void)argument;
    for (;;) {
        require(ringd_next(reader, &record) == RINGD_OK, "next");
        require(ringd_release(reader) == RINGD_OK, "release");
    }
}

/* The same while both of them are at it. Their counters go on from what they find. */
START_TEST(an_injected_error_is_found_in_use)
{
    struct ringd_writer *mine;
    struct ringd_lane *lane;
    pid_t reader, writer;

    make_ring(RING, with_policy(RINGD_LOSSLESS));
    mine = open_writer(RING); /* slot 0; only its mapping is of use */
    lane = mine->ring.ring.lane;
    reader = child_start(read_without_end, NULL);
    wait_for_contexts(RING, 2);
    writer = child_start(write_without_end, NULL);
    wait_for_contexts(RING, 3);
    while (ring_info(RING).committed < 10000)
        pause_ms(1);
    ck_sound(" 0 wrong\n");
    if (_i == 0) {
        lane->writers[1].refused = 3;
        ck_finds("writer 1", "3 too many are accounted for");
    } else if (_i == 1) {
        lane->writers[1].refused = UINT64_MAX - 1; /* two fewer than none */
        ck_finds("writer 1", "2 are not accounted for");
    } else {
        mine->attachment->segment.cursors[0].base -= 7;
        ck_finds("reader 0", "7 are not accounted for");
    }
    child_kill(writer);
    child_kill(reader);
}
END_TEST

/* Records that are not what they were when they were written. */
START_TEST(damage_is_found_where_it_is)
{
    struct patient p = patient_new();
    struct ringd_record_header *header;
    struct ringd_record record;
    char where[64];

    ck_assert_int_eq(ringd_next(p.lossless, &record), RINGD_OK);
    header = ring_header(&p.w->ring.ring, record.position);
    switch (_i) {
    case 0:
        header->stamp ^= 1 << 20;
        break;
    case 1:
        header->extent ^= UINT64_C(1) << 32; /* sequence */
        break;
    case 2:
        header->extent += 60000; /* length */
        break;
    case 3:
        header->origin |= RINGD_ORIGIN_WRITER_MASK;
        break;
    default:
        header->extent += 32; /* it leads into the next record */
    }
    snprintf(where, sizeof where, "damaged at position %" PRIu64, _i < 4 ? record.position : record.next + 32);
    ck_finds("records", where);
}
END_TEST

START_TEST(other_damage_is_found)
{
    struct patient p = patient_new();
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(p.lossy, &record), RINGD_OK);
    switch (_i) {
    case 0:
        p.w->ring.ring.lane->marks[3] = record.position + 32;
        ck_finds("marks", "no record begins");
        break;
    case 1:
        p.lossless->lanes[0].cursor->position = record.position + 32;
        ck_finds("cursor 0", "nothing that is still there begins");
        break;
    case 2:
        p.w->ring.ring.lane->waiters |= 1 << 9;
        ck_finds("active", "not there");
        break;
    case 3:
        ck_assert_int_eq(ringd_next(p.lossless, &record), RINGD_OK);
        ck_assert_int_eq(ringd_release(p.lossless), RINGD_OK);
        p.lossless->lanes[0].cursor->behind = 64;
        ck_finds("cursor 0", "64 bytes of a generation that it has left");
        break;
    default:
        p.w->ring.ring.lane->limit += SIZE / 2;
        ck_finds("limit", "do not fit");
    }
}
END_TEST

/* ---- in the middle of something ---------------------------------------------------------------------------------- */

START_TEST(a_writer_in_the_middle_is_no_error)
{
    struct ringd_writer *w;
    size_t granted;
    void *data;

    make_ring(RING, with_policy(RINGD_LOSSLESS));
    w = open_writer(RING);
    write_some(w, 10);
    ck_assert_int_eq(ringd_reserve(w, 100, 100, &data, &granted), RINGD_OK);
    ck_sound("1 pending: it is in the middle of writing");
    ck_sound(" 1 pending, 0 wrong\n");
    w->ring.slot->offered += 6; /* more than its grant can hold: 128 bytes are 4 units */
    ck_finds("writer 0", "7 are not accounted for");
    w->ring.slot->offered -= 6;
    ck_assert_int_eq(ringd_commit(w, 100), RINGD_OK);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

static void write_until_it_waits(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)argument;
    for (;;)
        require(write_record(w, 60) == RINGD_OK, "write");
}

START_TEST(a_writer_that_waits_is_no_error)
{
    struct ringd_reader *reader;
    pid_t writer;

    make_ring(RING, with_policy(RINGD_LOSSLESS));
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    writer = child_start(write_until_it_waits, NULL);
    wait_for_contexts(RING, 2);
    child_wait_still(writer);
    ck_sound("1 pending: it waits for room");
    ck_sound(" 1 pending, 0 wrong\n");
    read_some(reader, 100);
    child_wait_still(writer);
    child_stop(writer);
    ck_sound("1 pending: it waits for room");
    child_kill(writer);
}
END_TEST

/* What it holds in its hands is unread to the ring; what was overwritten before it looked shows when it does. */
START_TEST(readers_in_the_middle_are_no_error)
{
    struct tracker tracker = {0};
    struct patient p = patient_new();
    struct ringd_record record;

    ck_sound("reader 0    ");
    ck_sound("100 committed since it joined = 60 delivered + 0 lost + 40 unread");
    ck_sound("100 committed since it joined = 30 delivered + 0 lost + 70 unread");
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ringd_next(p.lossless, &record), RINGD_OK);
    ck_sound("100 committed since it joined = 60 delivered + 0 lost + 40 unread");
    ck_assert_int_eq(ringd_release(p.lossless), RINGD_OK);
    ck_sound("100 committed since it joined = 80 delivered + 0 lost + 20 unread");
    ringd_reader_close(p.lossless);
    ringd_writer_deadline(p.w, RINGD_FOREVER); /* until the daemon has seen it */
    write_some(p.w, 3000);
    ck_sound("pending: it was overtaken and has not read on since");
    ck_assert_int_eq(ringd_next(p.lossy, &record), RINGD_GAP);
    ck_sound(" 0 wrong\n");
    ck_assert_int_eq(tracker_drain(&tracker, p.lossy), RINGD_WOULD_BLOCK);
    ck_sound(" 0 pending, 0 wrong\n");
    ck_sound("3100 committed since it joined");
    ck_assert_uint_eq(tracker_delivered(&tracker) + record.lost, 3070);
}
END_TEST

/* ---- gaps and owners --------------------------------------------------------------------------------------------- */

static uint64_t read_all(struct ringd_reader *reader, uint64_t *lost, uint32_t *incarnation)
{
    struct ringd_record record;
    uint64_t delivered = 0, next = UINT64_MAX;
    int result;

    *lost = 0;
    while ((result = ringd_next(reader, &record)) == RINGD_OK || result == RINGD_GAP) {
        ck_assert_uint_eq(record.writer, 0);
        if (next != UINT64_MAX)
            ck_assert_uint_eq(record.sequence, next);
        next = record.sequence + (result == RINGD_GAP ? record.lost : 1);
        *lost += result == RINGD_GAP ? record.lost : 0;
        delivered += result == RINGD_OK;
        *incarnation = result == RINGD_OK ? record.incarnation : *incarnation;
        ringd_release(reader);
    }
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    return delivered;
}

/* One slot, three owners. That the second is another shows in the records, and no record is missing between them. */
START_TEST(the_next_owner_of_a_slot_is_no_gap)
{
    static const uint64_t counts[][3] = {{5, 7, 9}, {5, 3000, 9}, {2000, 0, 1}, {3000, 3000, 3000}, {0, 1, 3000}};
    const uint64_t *count = counts[_i / 2];
    struct ringd_reader *reader;
    uint32_t incarnation = 0;
    uint64_t lost, delivered;

    make_ring(RING, with_policy(_i % 2 == 0 ? RINGD_LOSSLESS : RINGD_OVERWRITE));
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    for (int i = 0; i < 3; i++) {
        struct ringd_writer *w = open_writer(RING);

        ck_assert_uint_eq(writer_slot(w), 0);
        write_some(w, count[i]);
        ringd_writer_close(w);
        while (ring_info(RING).writers > 0)
            pause_ms(1);
    }
    delivered = read_all(reader, &lost, &incarnation);
    ck_assert_uint_eq(delivered + lost, count[0] + count[1] + count[2]);
    ck_assert_uint_eq(lost > 0, _i / 2 > 0);
    ck_assert_uint_eq(incarnation, 3);
    ck_sound(" 0 pending, 0 wrong\n");
}
END_TEST

/* ---- exit codes -------------------------------------------------------------------------------------------------- */

START_TEST(what_cannot_be_examined)
{
    struct command command;

    doctor(&command, 5);
    ck_assert_ptr_nonnull(strstr(command.err, RING));
    command_free(&command);
    setenv("RINGD_SOCKET", "/nonexistent/ringd.sock", 1);
    doctor(&command, 6);
    command_free(&command);
    setenv("RINGD_SOCKET", server.socket, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accounts");
    TCase *tests = add_case(suite, "accounts");

    tcase_add_loop_test(tests, nothing_is_wrong_in_use, RINGD_LOSSLESS, RINGD_OVERWRITE + 1);
    tcase_add_loop_test(tests, nothing_is_wrong_while_readers_are_put_out, 0, 2);
    tcase_add_test(tests, nothing_is_wrong_while_contexts_are_killed);
    tcase_add_test(tests, nothing_is_wrong_while_the_ring_moves);
    tcase_add_loop_test(tests, an_injected_error_is_found, 0, INJECTIONS);
    tcase_add_loop_test(tests, an_injected_error_is_found_in_use, 0, 3);
    tcase_add_loop_test(tests, damage_is_found_where_it_is, 0, 5);
    tcase_add_loop_test(tests, other_damage_is_found, 0, 5);
    tcase_add_test(tests, a_writer_in_the_middle_is_no_error);
    tcase_add_test(tests, a_writer_that_waits_is_no_error);
    tcase_add_test(tests, readers_in_the_middle_are_no_error);
    tcase_add_loop_test(tests, the_next_owner_of_a_slot_is_no_gap, 0, 10);
    tcase_add_test(tests, what_cannot_be_examined);
    return run_suite(suite);
}
