/* check_group.c - groups of readers as programs use them: ringd_reader_open with a group's name, in real processes.
 *
 * Who was given what is noted on a board that all share, by writer and sequence number: so it can be asked afterwards
 * whether every record went to exactly one member, to a second one only if it was marked as perhaps seen, and, where a
 * group counts what dead members leave as lost, whether the count adds up. Members wait without a limit and come to
 * their end when the ring is removed: a wake-up that is lost hangs the test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "writer.h"

#define RING    "group"
#define SIZE    65536u
#define LEN     100u
#define WRITERS 64u
#define RECORDS 65536u
#define PEOPLE  12u

/* ---- the board --------------------------------------------------------------------------------------------------- */

struct board {
    _Atomic uint8_t given[WRITERS][RECORDS], marked[WRITERS][RECORDS];
    _Atomic uint64_t given_count; /* different ones */
    _Atomic uint64_t written;
    _Atomic uint64_t joins;
    _Atomic uint64_t messages[WRITERS]; /* written through each slot */
    _Atomic bool stop;
};

static struct board *board;

static void note(const struct ringd_record *record)
{
    require(record->writer < WRITERS && record->sequence < RECORDS, "record %" PRIu64 " of writer %" PRIu32,
            record->sequence, record->writer);
    if (record->flags & RINGD_PERHAPS_SEEN)
        atomic_fetch_add(&board->marked[record->writer][record->sequence], 1);
    if (atomic_fetch_add(&board->given[record->writer][record->sequence], 1) == 0)
        atomic_fetch_add(&board->given_count, 1);
}

/* Nothing twice without a mark. Returns how many marks there are. */
static uint64_t require_once(void)
{
    uint64_t marks = 0;

    for (unsigned w = 0; w < WRITERS; w++) {
        for (unsigned i = 0; i < RECORDS; i++) {
            unsigned given = atomic_load(&board->given[w][i]), marked = atomic_load(&board->marked[w][i]);

            require(given - marked <= 1 && marked <= given, "record %u of writer %u: %u times, %u marked", i, w, given,
                    marked);
            marks += marked;
        }
    }
    return marks;
}

static void require_all_once(uint64_t written)
{
    uint64_t marks = require_once();

    require(atomic_load(&board->given_count) == written, "%" PRIu64 " of %" PRIu64 " were given",
            atomic_load(&board->given_count), written);
    require(marks == 0, "%" PRIu64 " were marked, and nobody has died", marks);
}

static void wait_given(uint64_t count)
{
    while (atomic_load(&board->given_count) < count)
        pause_ms(1);
}

/* ---- people ------------------------------------------------------------------------------------------------------ */

struct person {
    const char *group;
    uint32_t mode, orphans;
    bool many, filter, loose; /* reads in bulk; in two halves; leaves and comes back */
    bool quiet;               /* is not on the board */
    int64_t deadline;         /* 0: for ever */
    uint64_t records;         /* writer */
    uint32_t policy;
    uint64_t seed;
};

static struct ringd *open_it(void)
{
    struct ringd *ring;

    for (;;) { /* ringd may be away */
        int result = ringd_open(&ring, RING);

        if (result == 0)
            return ring;
        require(result == -ECONNREFUSED || result == -EPIPE || result == -ETIMEDOUT || result == -ECONNRESET,
                "open: %d (%s)", result, ringd_error());
        pause_ms(1);
    }
}

static int try_member(struct ringd_reader **reader, const char *group, uint32_t orphans, uint32_t start)
{
    struct ringd *ring = open_it();
    struct ringd_reader_options options = {.group = group, .orphans = orphans, .start = start};
    int result = ringd_reader_open(reader, ring, &options);

    ringd_close(ring);
    return result;
}

static struct ringd_reader *member(const char *group)
{
    struct ringd_reader *reader;
    int result = try_member(&reader, group, RINGD_ORPHANS_AGAIN, RINGD_START_NOW);

    require(result == 0, "member: %d (%s)", result, ringd_error());
    return reader;
}

/* Of a member that lives on, in the order of each writer. */
struct order {
    bool known[WRITERS];
    uint64_t next[WRITERS];
};

static void take(const struct person *person, struct order *order, const struct ringd_record *record)
{
    record_verify(record);
    if (!person->quiet)
        note(record);
    if (person->orphans == UINT32_MAX || (record->flags & RINGD_PERHAPS_SEEN))
        return;
    require(!order->known[record->writer] || record->sequence >= order->next[record->writer],
            "record %" PRIu64 " of writer %" PRIu32 " after %" PRIu64, record->sequence, record->writer,
            order->next[record->writer] - 1);
    order->known[record->writer] = true;
    order->next[record->writer] = record->sequence + 1;
}

static int read_some(const struct person *person, struct order *order, struct ringd_reader *reader)
{
    struct ringd_record records[16];
    size_t count = 1;
    int result;

    if (person->many) {
        result = ringd_next_many(reader, records, 16, &count);
        require(result != RINGD_OK || (count > 0 && count <= 16), "%zu", count);
    } else {
        result = ringd_next(reader, records);
    }
    for (size_t i = 0; result == RINGD_OK && i < count; i++)
        take(person, order, &records[i]);
    require(result != RINGD_OK || ringd_reader_valid(reader) == RINGD_OK, "not valid");
    return result;
}

/* Until the ring is removed. */
static void be_member(void *argument)
{
    const struct person *person = argument;
    struct order order = {0};
    struct ringd_reader *reader;
    int result = try_member(&reader, person->group, person->orphans == UINT32_MAX ? 0 : person->orphans, 0);

    require(result == 0, "member: %d (%s)", result, ringd_error());
    atomic_fetch_add(&board->joins, 1);
    ringd_reader_deadline(reader, person->deadline != 0 ? person->deadline : RINGD_FOREVER);
    do {
        result = read_some(person, &order, reader);
    } while (result == RINGD_OK);
    require(result == RINGD_END, "result %d (%s)", result, ringd_strerror(result));
    ringd_reader_close(reader);
}

/* Comes, reads a little and leaves, with what it was given in its hands. */
static void come_and_go(void *argument)
{
    const struct person *person = argument;
    struct random_source random = {person->seed};
    int result = RINGD_OK;

    while (result != RINGD_END && result != -ENOENT) {
        struct order order = {0};
        struct ringd_reader *reader;
        struct ringd *ring;

        if (ringd_open(&ring, RING) != 0)
            return; /* it was removed */
        result = ringd_reader_open(&reader, ring, &(struct ringd_reader_options){.group = person->group});
        ringd_close(ring);
        if (result != 0)
            return;
        atomic_fetch_add(&board->joins, 1);
        ringd_reader_deadline(reader, now_ns() + 20000000);
        for (uint64_t i = random_below(&random, 40); i > 0 && result == RINGD_OK; i--)
            result = read_some(person, &order, reader);
        ringd_reader_close(reader);
    }
}

static void be_writer(void *argument)
{
    const struct person *person = argument;
    struct ringd_writer *w = open_writer_until(RING, person->policy == RINGD_DROP ? RINGD_NO_WAIT : RINGD_FOREVER);
    struct random_source random = {person->seed};
    uint64_t written = 0;

    atomic_fetch_add(&board->joins, 1);
    for (uint64_t i = 0; i < person->records; i++) {
        int result = write_record(w, RECORD_MIN + random_below(&random, LEN));

        require(result == RINGD_OK || (person->policy == RINGD_DROP && result == RINGD_DROPPED), "%d (%s)", result,
                ringd_strerror(result));
        written += result == RINGD_OK;
    }
    atomic_fetch_add(&board->written, written);
    ringd_writer_close(w);
}

/* Any other reader of the ring, until its end: it must get all, or be told of what it has not got. */
static void be_reader(void *argument)
{
    const struct person *person = argument;
    struct ringd_reader *reader = open_reader_until(RING, person->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct tracker tracker = {0};
    uint64_t seen;

    atomic_fetch_add(&board->joins, 1);
    require(tracker_drain(&tracker, reader) == RINGD_END, "no end");
    seen = tracker_delivered(&tracker) + tracker_lost(&tracker);
    require(seen == atomic_load(&board->written), "%" PRIu64 " of %" PRIu64, seen, atomic_load(&board->written));
    require(person->mode != RINGD_READ_LOSSLESS || tracker_lost(&tracker) == 0, "lost some");
    ringd_reader_close(reader);
}

static void setup(struct ringd_ring_options options)
{
    board = shared_new(sizeof *board);
    options.size = options.size != 0 ? options.size : SIZE;
    options.max_record = 256;
    make_ring(RING, options);
}

static pid_t start(void (*run)(void *), struct person person)
{
    static struct person copies[64];
    static unsigned count;
    struct person *copy = &copies[count++ % 64];

    *copy = person;
    copy->seed = support_seed() + count * 7919;
    return child_start(run, copy);
}

/* When it has joined. */
static pid_t start_reader(void (*run)(void *), struct person person)
{
    uint64_t joins = atomic_load(&board->joins);
    pid_t pid = start(run, person);

    while (atomic_load(&board->joins) == joins)
        pause_ms(1);
    return pid;
}

static void start_writers(pid_t pids[], unsigned count, uint64_t records, uint32_t policy)
{
    for (unsigned i = 0; i < count; i++)
        pids[i] = start(be_writer, (struct person){.records = records, .policy = policy});
}

static void finish(const pid_t pids[], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        child_finish(pids[i]);
}

static void remove_ring(void)
{
    int result = ringd_remove(RING);

    require(result == 0, "%d (%s)", result, ringd_error());
}

/* What the ring's one group has counted as lost, and who is in it. */
static struct ringd_control *control_of(const struct ringd_reader *reader)
{
    return reader->control;
}

static void put(struct ringd_writer *w, unsigned records)
{
    for (unsigned i = 0; i < records; i++) {
        int result = write_record(w, LEN);

        require(result == RINGD_OK, "%u: %d (%s)", i, result, ringd_strerror(result));
    }
}

/* Reads until there is nothing more at once; how many. */
static unsigned drain(struct ringd_reader *reader)
{
    const struct person any = {.orphans = UINT32_MAX};
    struct order order;
    unsigned count = 0;
    int result;

    while ((result = read_some(&any, &order, reader)) == RINGD_OK)
        count++;
    require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
    return count;
}

static void doctor_holds(void)
{
    struct command command;

    ringctl(&command, NULL, 0, "doctor", RING, NULL);
    require(command.code == 0, "doctor: %d\n%s%s", command.code, command.out, command.err);
    command_free(&command);
}

/* ---- each record to one ------------------------------------------------------------------------------------------ */

static void run_once(struct ringd_ring_options options, uint64_t records)
{
    pid_t members[4], writers[3];

    setup(options);
    for (unsigned i = 0; i < 4; i++)
        members[i] = start_reader(be_member, (struct person){.group = "g", .many = i % 2 == 1});
    start_writers(writers, 3, records, options.policy);
    finish(writers, 3);
    doctor_holds();
    remove_ring();
    finish(members, 4);
    require_all_once(atomic_load(&board->written));
}

START_TEST(each_record_goes_to_one_member)
{
    run_once((struct ringd_ring_options){0}, 10000);
    ck_assert_uint_eq(atomic_load(&board->written), 30000);
}
END_TEST

START_TEST(also_of_several_lanes)
{
    run_once((struct ringd_ring_options){.lanes = 2}, 10000);
    ck_assert_uint_eq(atomic_load(&board->written), 30000);
}
END_TEST

START_TEST(also_where_writers_drop)
{
    run_once((struct ringd_ring_options){.policy = RINGD_DROP}, 20000);
}
END_TEST

START_TEST(groups_and_others_all_get_everything)
{
    pid_t pids[7], writers[3];
    unsigned n = 0;

    setup((struct ringd_ring_options){0});
    pids[n++] = start_reader(be_member, (struct person){.group = "a"});
    pids[n++] = start_reader(be_member, (struct person){.group = "a", .many = true});
    pids[n++] = start_reader(be_member, (struct person){.group = "b", .quiet = true});
    pids[n++] = start_reader(be_member, (struct person){.group = "b", .quiet = true});
    pids[n++] = start_reader(be_reader, (struct person){.mode = RINGD_READ_LOSSLESS});
    pids[n++] = start_reader(be_reader, (struct person){.mode = RINGD_READ_LOSSY});
    pids[n++] = start_reader(be_reader, (struct person){.mode = RINGD_READ_OBSERVE});
    start_writers(writers, 3, 5000, 0);
    finish(writers, 3);
    doctor_holds();
    remove_ring();
    finish(pids, n);
    require_all_once(15000);
}
END_TEST

/* One member has a lane's records in its hands; nobody else's lanes wait. */
START_TEST(a_member_takes_turns_with_its_lanes)
{
    struct ringd_writer *w[2];
    struct ringd_reader *reader;
    struct ringd_record record;
    unsigned seen[2] = {0};

    setup((struct ringd_ring_options){.lanes = 2});
    reader = member("g");
    for (unsigned i = 0; i < 2; i++) {
        w[i] = open_writer(RING);
        put(w[i], 200);
    }
    ck_assert_uint_ne(writer_slot(w[0]) / 31, writer_slot(w[1]) / 31);
    for (unsigned i = 0; i < 200; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        seen[record.writer / 31]++;
    }
    ck_assert_uint_gt(seen[0], 20);
    ck_assert_uint_gt(seen[1], 20);
    ringd_reader_close(reader);
    for (unsigned i = 0; i < 2; i++)
        ringd_writer_close(w[i]);
}
END_TEST

/* What a bulk read gives out stays until the next call, also if the rest of its claim is passed over. */
START_TEST(bulk_reads_hold_what_they_give)
{
    static const uint16_t wanted = 7;
    struct ringd_filter filter = {.types = &wanted, .type_count = 1};
    struct ringd_record records[64];
    struct ringd_reader *reader;
    struct ringd_reader_counters counters;
    struct ringd_writer *w;
    size_t count;

    setup((struct ringd_ring_options){0});
    reader = member("g");
    w = open_writer(RING);
    ck_assert_int_eq(ringd_reader_filter(reader, &filter), RINGD_OK);
    ringd_writer_label(w, 7, 0);
    put(w, 1);
    ringd_writer_label(w, 8, 0);
    for (unsigned i = 0; i < 150; i++) /* more than what writers keep clear of */
        ck_assert_int_eq(write_record(w, 256), RINGD_OK);
    ck_assert_int_eq(ringd_next_many(reader, records, 64, &count), RINGD_OK);
    ck_assert_uint_eq(count, 1);
    while (write_record(w, LEN) == RINGD_OK)
        continue; /* the ring is full before it comes to what was given out */
    record_verify(&records[0]);
    ck_assert_int_eq(ringd_next_many(reader, records, 64, &count), RINGD_WOULD_BLOCK);
    put(w, 100);
    ck_assert_int_eq(ringd_next_many(reader, records, 64, &count), RINGD_WOULD_BLOCK);
    ringd_reader_count(reader, &counters);
    ck_assert_uint_eq(counters.delivered, 1);
    ck_assert_uint_eq(counters.delivered + counters.skipped, writer_sequence(w));
    doctor_holds();
    ringd_reader_close(reader);
    ringd_writer_close(w);
}
END_TEST

/* It reads slowly, and so has claimed no more than the one that it looks at. */
START_TEST(a_slow_member_keeps_nothing_from_others)
{
    struct ringd_reader *slow, *other;
    struct ringd_record record;
    struct ringd_writer *w;

    setup((struct ringd_ring_options){0});
    slow = member("g");
    other = member("g");
    w = open_writer(RING);
    put(w, 350);
    for (unsigned i = 0; i < 130; i++) {
        ck_assert_int_eq(ringd_next(slow, &record), RINGD_OK);
        if (i >= 64)
            pause_ms(1);
    }
    ck_assert_uint_eq(drain(other), 350 - 130);
    ck_assert_int_eq(ringd_next(slow, &record), RINGD_WOULD_BLOCK);
    ringd_reader_close(slow);
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

/* ---- what belongs together ----------------------------------------------------------------------------------------
 */

#define BATCH 4u

struct in_batch {
    uint64_t batch;
    uint32_t index;
};

static void write_batches(void *argument)
{
    const struct person *person = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct in_batch payload[BATCH];
    struct iovec pieces[BATCH];

    for (uint64_t batch = 0; batch < person->records; batch++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            payload[i] = (struct in_batch){batch, i};
            pieces[i] = (struct iovec){&payload[i], sizeof payload[i]};
        }
        require(ringd_write_batch(w, pieces, BATCH) == RINGD_OK, "no batch");
    }
    ringd_writer_close(w);
}

/* Each batch from its first record to its last. */
static void read_batches(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct in_batch at = {.index = BATCH - 1};
    struct ringd_record record;
    uint32_t writer = 0;
    int result;

    (void)argument;
    atomic_fetch_add(&board->joins, 1);
    ringd_reader_deadline(reader, RINGD_FOREVER);
    while ((result = ringd_next(reader, &record)) == RINGD_OK) {
        struct in_batch now;

        require(record.len == sizeof now, "%zu", record.len);
        memcpy(&now, record.data, sizeof now);
        note(&record);
        if (now.index == 0)
            require(at.index == BATCH - 1, "a batch was broken off");
        else
            require(now.batch == at.batch && now.index == at.index + 1 && record.writer == writer, "not the next");
        at = now;
        writer = record.writer;
    }
    require(result == RINGD_END && at.index == BATCH - 1, "%d", result);
    ringd_reader_close(reader);
}

START_TEST(r4_a_batch_is_never_split)
{
    pid_t members[3], writers[3];

    setup((struct ringd_ring_options){0});
    for (unsigned i = 0; i < 3; i++)
        members[i] = start_reader(read_batches, (struct person){0});
    for (unsigned i = 0; i < 3; i++)
        writers[i] = start(write_batches, (struct person){.records = 2000});
    finish(writers, 3);
    remove_ring();
    finish(members, 3);
    require_all_once(3 * BATCH * 2000);
}
END_TEST

/* Messages are numbered records of any length: see record_make(). Who has a slot after another goes on with his
 * numbers. */
static void write_messages(void *argument)
{
    const struct person *person = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {person->seed};
    _Atomic uint64_t *number = &board->messages[writer_slot(w)];
    static unsigned char payload[RECORD_MAX];

    for (uint64_t i = 0; i < person->records; i++) {
        size_t len = RECORD_MIN + random_below(&random, random_below(&random, 8) == 0 ? RECORD_MAX - RECORD_MIN : 2000);
        int result;

        record_make(payload, len, writer_slot(w), atomic_fetch_add(number, 1));
        result = ringd_write_message(w, payload, len);
        require(result == RINGD_OK, "%d (%s)", result, ringd_strerror(result));
    }
    atomic_fetch_add(&board->written, person->records);
    ringd_writer_close(w);
}

static void note_message(const struct ringd_record *record)
{
    struct ringd_record message = *record;

    memcpy(&message.sequence, (const unsigned char *)record->data + 8, 8);
    record_verify(&message);
    note(&message);
}

static void read_messages(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct ringd_record record;
    int result;

    (void)argument;
    atomic_fetch_add(&board->joins, 1);
    ringd_reader_deadline(reader, RINGD_FOREVER);
    while ((result = ringd_next(reader, &record)) == RINGD_OK)
        note_message(&record);
    require(result == RINGD_END, "%d (%s)", result, ringd_strerror(result));
    ringd_reader_close(reader);
}

static void run_messages(struct ringd_ring_options options, unsigned members, unsigned writers, uint64_t messages)
{
    pid_t readers[PEOPLE], pids[PEOPLE];

    setup(options);
    for (unsigned i = 0; i < members; i++)
        readers[i] = start_reader(read_messages, (struct person){0});
    for (unsigned i = 0; i < writers; i++)
        pids[i] = start(write_messages, (struct person){.records = messages});
    finish(pids, writers);
    remove_ring();
    finish(readers, members);
    require_all_once(writers * messages);
}

START_TEST(a_message_goes_whole_to_one)
{
    run_messages((struct ringd_ring_options){0}, 3, 3, 500);
}
END_TEST

/* Messages are up to four times as long as the lane; there may be more of them than members. */
START_TEST(messages_longer_than_the_ring_pass)
{
    run_messages((struct ringd_ring_options){.size = 16384}, 1, 3, 200);
    run_messages((struct ringd_ring_options){.size = 16384, .lanes = 2}, 3, 6, 200);
}
END_TEST

/* ---- coming and going ---------------------------------------------------------------------------------------------
 */

START_TEST(members_come_and_go)
{
    pid_t steady, writers[3], others[4];

    setup((struct ringd_ring_options){0});
    steady = start_reader(be_member, (struct person){.group = "g", .orphans = UINT32_MAX});
    for (unsigned i = 0; i < 4; i++)
        others[i] = start_reader(come_and_go, (struct person){.group = "g", .orphans = UINT32_MAX, .many = i % 2 == 1});
    start_writers(writers, 3, 10000, 0);
    finish(writers, 3);
    remove_ring();
    finish(others, 4);
    child_finish(steady);
    require_all_once(30000);
    ck_assert_uint_gt(atomic_load(&board->joins), 8);
}
END_TEST

START_TEST(who_leaves_gives_back_what_it_has_not_given)
{
    struct ringd_reader *leaving, *other;
    struct ringd_record record;
    struct ringd_writer *w;

    setup((struct ringd_ring_options){0});
    leaving = member("g");
    other = member("g");
    w = open_writer(RING);
    put(w, 100);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(ringd_next(leaving, &record), RINGD_OK);
        note(&record);
    }
    ringd_reader_close(leaving);
    ck_assert_uint_eq(drain(other), 80);
    require_all_once(100);
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

START_TEST(r15_seats_run_out)
{
    struct ringd_reader *members[64], *another;

    setup((struct ringd_ring_options){0});
    for (unsigned i = 0; i < 64; i++)
        members[i] = member("g");
    ck_assert_int_eq(try_member(&another, "g", 0, 0), -EUSERS);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "64 members"));
    ck_assert_ptr_null(another);
    doctor_holds();
    ringd_reader_close(members[5]);
    members[5] = member("g");
    for (unsigned i = 0; i < 64; i++)
        ringd_reader_close(members[i]);
}
END_TEST

START_TEST(no_groups_where_the_oldest_records_go)
{
    struct ringd_reader *reader;

    setup((struct ringd_ring_options){.policy = RINGD_OVERWRITE});
    ck_assert_int_eq(try_member(&reader, "g", 0, 0), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "groups"));
}
END_TEST

/* ---- deaths -------------------------------------------------------------------------------------------------------
 */

/* A member is killed every few milliseconds, and another one comes. */
static void kill_at_random(uint32_t orphans, unsigned kills)
{
    struct random_source random = {support_seed()};
    pid_t steady, writers[3], victims[3];
    struct ringd_reader *watch;
    uint64_t given, lost;

    setup((struct ringd_ring_options){0});
    steady = start_reader(be_member, (struct person){.group = "g", .orphans = orphans});
    for (unsigned i = 0; i < 3; i++)
        victims[i] = start_reader(be_member, (struct person){.group = "g", .orphans = UINT32_MAX, .many = i == 1});
    start_writers(writers, 3, 12000, 0);
    for (unsigned i = 0; i < kills; i++) {
        pid_t *victim = &victims[random_below(&random, 3)];

        child_kill(*victim);
        *victim = start_reader(be_member, (struct person){.group = "g", .orphans = UINT32_MAX, .many = i % 2 == 0});
        pause_ms((unsigned)random_below(&random, 6));
    }
    finish(writers, 3);
    ck_assert_int_eq(try_member(&watch, "g", 0, 0), 0);
    if (orphans == RINGD_ORPHANS_AGAIN)
        wait_given(36000);
    lost = atomic_load(&control_of(watch)->group[watch->attachment->label_plus - 1].lost);
    ringd_reader_close(watch);
    remove_ring();
    finish(victims, 3);
    child_finish(steady);
    given = atomic_load(&board->given_count);
    if (orphans == RINGD_ORPHANS_AGAIN) {
        require_once();
        ck_assert_uint_eq(given, 36000);
        ck_assert_uint_eq(lost, 0);
    } else { /* what it had in its hands may have been seen, and counts as lost all the same: at most 16 */
        ck_assert_uint_eq(require_once(), 0);
        ck_assert_uint_le(36000 - given, lost);
        ck_assert_uint_le(lost, 36000 - given + kills * 64);
    }
}

START_TEST(r13_killed_members_lose_nothing)
{
    kill_at_random(RINGD_ORPHANS_AGAIN, 60);
}
END_TEST

START_TEST(r16_or_it_is_counted)
{
    kill_at_random(RINGD_ORPHANS_LOST, 60);
}
END_TEST

/* Eight records in two batches, each of which is one claim. */
static void put_batches(void)
{
    static unsigned char payload[BATCH][RECORD_MIN];
    struct ringd_writer *w = open_writer(RING);
    struct iovec pieces[BATCH];

    for (unsigned batch = 0; batch < 2; batch++) {
        for (unsigned i = 0; i < BATCH; i++) {
            record_make(payload[i], RECORD_MIN, writer_slot(w), writer_sequence(w) + i);
            pieces[i] = (struct iovec){payload[i], RECORD_MIN};
        }
        require(ringd_write_batch(w, pieces, BATCH) == RINGD_OK, "no batch");
    }
    ringd_writer_close(w);
}

static void drain_until_it_dies(void *argument)
{
    struct ringd_reader *reader;
    int result = try_member(&reader, "g", *(const uint32_t *)argument, 0);

    require(result == 0, "member: %d (%s)", result, ringd_error());
    put_batches();
    drain(reader);
    ringd_reader_close(reader);
}

/* Takes 2 of a batch, and leaves in order. */
static void drain_some(void *argument)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    int result = try_member(&reader, "g", *(const uint32_t *)argument, 0);

    require(result == 0, "member: %d (%s)", result, ringd_error());
    put_batches();
    for (unsigned i = 0; i < 2; i++) {
        require(ringd_next(reader, &record) == RINGD_OK, "nothing");
        note(&record);
    }
    ringd_reader_close(reader);
}

static unsigned orphans_of(const struct ringd_reader *reader)
{
    return (unsigned)__builtin_popcountll(atomic_load(&reader->lanes[0].ring.groups[0].active) &
                                          atomic_load(&reader->lanes[0].ring.groups[0].orphaned));
}

/* Somebody dies at each step, then another one at it while it takes over what the first has left. */
static void die_at(const char *point, void (*run)(void *), uint32_t orphans, bool over)
{
    struct ringd_reader *other;
    struct at_point at;
    uint64_t lost;

    setup((struct ringd_ring_options){0});
    ck_assert_int_eq(try_member(&other, "g", orphans, 0), 0);
    if (over) { /* there is an orphan to take over */
        at = at_point_start("claim-made", STOP_KILL, 1, run, &orphans);
        ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_KILLED);
        while (orphans_of(other) == 0)
            pause_ms(1);
    }
    at = at_point_start(point, STOP_KILL, 1, run, &orphans);
    ck_assert_msg(at_point_finish(&at) == STOP_EXIT_KILLED, "%s was not passed", point);
    for (;;) {
        drain(other);
        lost = atomic_load(&control_of(other)->group[0].lost);
        if (atomic_load(&board->given_count) + lost >= (over ? 4 * BATCH : 2 * BATCH))
            break;
        pause_ms(1);
    }
    if (orphans == RINGD_ORPHANS_AGAIN)
        ck_assert_uint_eq(lost, 0);
    require_once();
    doctor_holds();
    ringd_reader_close(other);
    remove_ring();
}

static const char *const claim_points[] = {"claim-said",     "claim-made", "claim-advanced",
                                           "claim-finished", "next-stamp", "next-delivered"};
static const char *const orphan_points[] = {"orphan-taken", "orphan-cleared", "orphan-left"};
static const char *const leave_points[] = {"claim-released", "claim-returned", "claim-orphaned"};

START_TEST(r13_a_death_at_any_step_of_a_claim)
{
    if (!at_point_allowed("r13_a_death_at_any_step_of_a_claim"))
        return;
    die_at(claim_points[_i], drain_until_it_dies, RINGD_ORPHANS_AGAIN, false);
    die_at(claim_points[_i], drain_until_it_dies, RINGD_ORPHANS_LOST, false);
}
END_TEST

START_TEST(r13_a_death_at_any_step_of_taking_over)
{
    if (!at_point_allowed("r13_a_death_at_any_step_of_taking_over"))
        return;
    die_at(orphan_points[_i], drain_until_it_dies, RINGD_ORPHANS_AGAIN, true);
}
END_TEST

START_TEST(r13_a_death_at_any_step_of_leaving)
{
    if (!at_point_allowed("r13_a_death_at_any_step_of_leaving"))
        return;
    die_at(leave_points[_i], drain_some, RINGD_ORPHANS_AGAIN, false);
}
END_TEST

static void hold_one(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct ringd_record record;

    ringd_reader_deadline(reader, RINGD_FOREVER);
    atomic_fetch_add(&board->joins, 1);
    require(ringd_next(reader, &record) == RINGD_OK, "nothing");
    if (argument != NULL && !((const struct person *)argument)->quiet)
        note(&record);
    atomic_fetch_add(&board->joins, 1);
    for (;;)
        pause();
}

static pid_t start_holding(struct ringd_writer *w, struct person person)
{
    uint64_t joins = atomic_load(&board->joins);
    pid_t pid = start_reader(hold_one, person);

    put(w, 1);
    while (atomic_load(&board->joins) != joins + 2)
        pause_ms(1);
    return pid;
}

START_TEST(the_next_member_gets_what_the_last_one_had)
{
    struct ringd_writer *w;
    struct ringd_reader *next;
    struct ringd_record record;
    pid_t pid;

    setup((struct ringd_ring_options){0});
    w = open_writer(RING);
    pid = start_holding(w, (struct person){0});
    child_kill(pid);
    put(w, 10);
    next = member("g");
    ringd_reader_deadline(next, RINGD_FOREVER);
    for (unsigned i = 0; i < 11; i++) {
        ck_assert_int_eq(ringd_next(next, &record), RINGD_OK);
        note(&record);
        ck_assert_uint_eq(record.flags, record.sequence == 0 ? RINGD_PERHAPS_SEEN : 0);
    }
    ck_assert_uint_eq(require_once(), 1);
    ringd_reader_close(next);
    ringd_writer_close(w);
}
END_TEST

/* Nobody else has anything to do, while one deals with what another has left. */
START_TEST(others_sleep_while_one_deals_with_an_orphan)
{
    struct ringd_writer *w;
    struct ringd_reader *taker;
    struct ringd_record record;
    pid_t pid, sleeper;

    setup((struct ringd_ring_options){0});
    w = open_writer(RING);
    pid = start_holding(w, (struct person){.quiet = true});
    child_kill(pid);
    taker = member("g");
    ringd_reader_deadline(taker, RINGD_FOREVER);
    ck_assert_int_eq(ringd_next(taker, &record), RINGD_OK);
    ck_assert_uint_eq(record.flags, RINGD_PERHAPS_SEEN);
    sleeper = start_reader(be_member, (struct person){.group = "g"});
    child_wait_still(sleeper);
    put(w, 5); /* it is woken for these */
    wait_given(5);
    child_wait_still(sleeper);
    ringd_reader_close(taker);
    remove_ring();
    child_finish(sleeper);
    ringd_writer_close(w);
}
END_TEST

/* A message whose first part one had, who dies, comes whole from another, and marked. */
static void hold_first_part(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct ringd_record record;

    (void)argument;
    ringd_reader_deadline(reader, RINGD_FOREVER);
    atomic_fetch_add(&board->joins, 1);
    ringd_next(reader, &record);
    require(false, "that message has no end");
}

static void write_first_part(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    static unsigned char payload[2000];

    (void)argument;
    record_make(payload, sizeof payload, writer_slot(w), 0);
    ringd_write_message(w, payload, sizeof payload);
    atomic_fetch_add(&board->written, 1);
    ringd_writer_close(w);
}

START_TEST(a_message_outlives_who_had_its_first_part)
{
    struct ringd_reader *next;
    struct ringd_record record;
    struct at_point writer;
    pid_t reader;

    if (!at_point_allowed("a_message_outlives_who_had_its_first_part"))
        return;
    setup((struct ringd_ring_options){0});
    reader = start_reader(hold_first_part, (struct person){0});
    writer = at_point_start("commit-finished", STOP_HOLD, 3, write_first_part, NULL);
    child_wait_asleep(reader);
    child_kill(reader);
    next = member("g");
    ringd_reader_deadline(next, RINGD_FOREVER);
    at_point_go_on(&writer);
    ck_assert_int_eq(at_point_finish(&writer), 0);
    ck_assert_int_eq(ringd_next(next, &record), RINGD_OK);
    note_message(&record);
    ck_assert_uint_eq(record.flags, RINGD_PERHAPS_SEEN);
    ringd_reader_deadline(next, RINGD_NO_WAIT);
    ck_assert_int_eq(ringd_next(next, &record), RINGD_WOULD_BLOCK);
    ringd_reader_close(next);
}
END_TEST

static void write_and_read_message(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct ringd_record record;

    write_first_part(argument);
    if (ringd_next(reader, &record) == RINGD_OK)
        note_message(&record);
    ringd_reader_close(reader);
}

/* It dies while its claim grows with the message, before it has shown it, or when it has given it back. */
START_TEST(r13_a_death_in_the_middle_of_a_message)
{
    static const struct {
        const char *point;
        unsigned long nth;
        bool owed;
    } deaths[] = {{"claim-longer", 2, true},
                  {"claim-held", 2, true},
                  {"message-unskipped", 1, true},
                  {"claim-finished", 1, false}};
    struct ringd_reader *next;
    struct ringd_record record;
    struct at_point at;

    if (!at_point_allowed("r13_a_death_in_the_middle_of_a_message"))
        return;
    setup((struct ringd_ring_options){0});
    next = member("g");
    at = at_point_start(deaths[_i].point, STOP_KILL, deaths[_i].nth, write_and_read_message, NULL);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_KILLED);
    ringd_reader_deadline(next, deaths[_i].owed ? RINGD_FOREVER : RINGD_NO_WAIT);
    ck_assert_int_eq(ringd_next(next, &record), deaths[_i].owed ? RINGD_OK : RINGD_WOULD_BLOCK);
    if (deaths[_i].owed) {
        note_message(&record);
        ck_assert_uint_eq(record.flags, RINGD_PERHAPS_SEEN);
        ck_assert_uint_eq(record.len, 2000);
    }
    ck_assert_uint_eq(atomic_load(&board->given_count), 1);
    ringd_reader_close(next);
}
END_TEST

/* Longer than a quarter of the lane, which others need: its first parts are in the memory of a member that dies. */
static void write_long_message(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    static unsigned char payload[12000];

    (void)argument;
    record_make(payload, sizeof payload, writer_slot(w), 0);
    ringd_write_message(w, payload, sizeof payload);
    put(w, 1);
    ringd_writer_close(w);
}

START_TEST(r16_a_message_that_dies_with_its_reader_is_counted)
{
    struct ringd_reader *other;
    struct command command;
    struct at_point writer;
    pid_t reader;

    if (!at_point_allowed("r16_a_message_that_dies_with_its_reader_is_counted"))
        return;
    setup((struct ringd_ring_options){.size = 16384});
    reader = start_reader(hold_first_part, (struct person){0});
    writer = at_point_start("message-part", STOP_HOLD, 40, write_long_message, NULL);
    ck_assert_int_ne(at_point_pid(&writer), 0);
    child_wait_asleep(reader);
    other = member("g");
    child_kill(reader);
    while (atomic_load(&control_of(other)->group[0].lost) == 0)
        pause_ms(1);
    ck_assert_uint_eq(atomic_load(&control_of(other)->group[0].lost), 1);
    ck_assert_uint_eq(ring_info(RING).group_lost, 1);
    ringctl(&command, NULL, 0, "status", RING, NULL);
    ck_assert_ptr_nonnull(strstr(command.out, "1 records are lost with members that died"));
    command_free(&command);
    at_point_go_on(&writer);
    ringd_reader_deadline(other, RINGD_FOREVER);
    ck_assert_int_eq(ringd_next(other, &(struct ringd_record){0}), RINGD_OK); /* what he wrote next */
    ck_assert_int_eq(at_point_finish(&writer), 0);
    ck_assert_uint_eq(atomic_load(&control_of(other)->group[0].lost), 1);
    ringd_reader_close(other);
}
END_TEST

static void read_one_message(void *argument)
{
    struct ringd_reader *reader = member("g");
    struct ringd_record record;

    (void)argument;
    ringd_reader_deadline(reader, RINGD_FOREVER);
    require(ringd_next(reader, &record) == RINGD_OK, "no message");
    note_message(&record);
    ringd_reader_close(reader);
}

/* While a member looks whether somebody is still to write the rest, he writes it and leaves. */
START_TEST(a_message_is_given_though_its_writer_leaves_meanwhile)
{
    struct at_point writer, reader;
    struct ringd_reader *idle;

    if (!at_point_allowed("a_message_is_given_though_its_writer_leaves_meanwhile"))
        return;
    setup((struct ringd_ring_options){0});
    idle = member("g");
    writer = at_point_start("message-part", STOP_HOLD, 2, write_first_part, NULL);
    ck_assert_int_ne(at_point_pid(&writer), 0);
    reader = at_point_start("claim-forsaken", STOP_HOLD, 1, read_one_message, NULL);
    ck_assert_int_ne(at_point_pid(&reader), 0);
    at_point_go_on(&writer);
    ck_assert_int_eq(at_point_finish(&writer), 0);
    at_point_go_on(&reader);
    ck_assert_int_eq(at_point_finish(&reader), 0);
    ck_assert_uint_eq(atomic_load(&board->given_count), 1);
    ringd_reader_close(idle);
}
END_TEST

/* ---- standing still, moving, restarts ------------------------------------------------------------------------------
 */

static void drain_as_told(void *argument)
{
    struct ringd_reader *reader = member("g");

    (void)argument;
    while (!atomic_load(&board->stop))
        drain(reader);
    ringd_reader_close(reader);
}

/* It has chosen what to claim, and others go on for laps. */
START_TEST(one_that_stands_before_its_claim_gets_nothing_twice)
{
    struct ringd_reader *other;
    struct ringd_writer *w;
    struct at_point at;

    if (!at_point_allowed("one_that_stands_before_its_claim_gets_nothing_twice"))
        return;
    setup((struct ringd_ring_options){0});
    other = member("g");
    w = open_writer(RING);
    put(w, 100);
    at = at_point_start("claim-said", STOP_STOP, 1, drain_as_told, NULL);
    for (unsigned i = 0; i < 5 * SIZE / 160 / 100; i++) {
        drain(other);
        put(w, 100);
    }
    at_point_go_on(&at);
    wait_given(100 + 5 * SIZE / 160 / 100 * 100);
    atomic_store(&board->stop, true);
    ck_assert_int_eq(at_point_finish(&at), 0);
    require_all_once(writer_sequence(w));
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

START_TEST(r17_a_group_follows_a_ring_that_is_resized)
{
    pid_t members[4], writers[3];

    setup((struct ringd_ring_options){.lanes = 2});
    for (unsigned i = 0; i < 4; i++)
        members[i] = start_reader(be_member, (struct person){.group = "g", .many = i == 1});
    start_writers(writers, 3, 12000, 0);
    for (unsigned i = 0; i < 8; i++) {
        int result;

        do {
            result = ringd_resize(RING, i % 2 == 0 ? 2 * SIZE : SIZE);
            pause_ms(3);
        } while (result == -EBUSY);
        ck_assert_msg(result == 0, "%d (%s)", result, ringd_error());
    }
    finish(writers, 3);
    wait_given(36000);
    remove_ring();
    finish(members, 4);
    require_all_once(36000);
}
END_TEST

/* It has read all there is of the old generation, and takes a message that is not whole along. */
START_TEST(r16_a_death_while_it_follows_with_a_message)
{
    static const char *const points[] = {"follow-held", "follow-remembered"};
    struct at_point writer, reader;
    struct ringd_reader *other;

    if (!at_point_allowed("r16_a_death_while_it_follows_with_a_message"))
        return;
    setup((struct ringd_ring_options){0});
    other = member("g");
    writer = at_point_start("message-part", STOP_HOLD, 2, write_long_message, NULL);
    ck_assert_int_eq(ringd_resize(RING, 2 * SIZE), 0);
    reader = at_point_start(points[_i], STOP_KILL, 1, read_one_message, NULL);
    ck_assert_int_eq(at_point_finish(&reader), STOP_EXIT_KILLED);
    while (ring_info(RING).group_lost == 0)
        pause_ms(1);
    at_point_go_on(&writer);
    ringd_reader_deadline(other, RINGD_FOREVER);
    ck_assert_int_eq(ringd_next(other, &(struct ringd_record){0}), RINGD_OK); /* what he wrote next */
    ck_assert_int_eq(at_point_finish(&writer), 0);
    ck_assert_uint_eq(ring_info(RING).group_lost, 1);
    ringd_reader_close(other);
}
END_TEST

/* Nobody goes on in the next generation while one of the group still holds something of the last: who would take it
 * over if he dies? */
START_TEST(nobody_follows_before_all_is_given_back)
{
    struct ringd_writer *w;
    struct ringd_reader *other;
    struct ringd_record record;
    pid_t pid;

    setup((struct ringd_ring_options){0});
    w = open_writer_until(RING, RINGD_FOREVER);
    pid = start_holding(w, (struct person){0});
    other = member("g");
    ck_assert_int_eq(ringd_resize(RING, 2 * SIZE), 0);
    put(w, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ringd_next(other, &record), RINGD_WOULD_BLOCK);
    child_kill(pid);
    ringd_reader_deadline(other, RINGD_FOREVER);
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(ringd_next(other, &record), RINGD_OK);
        note(&record);
        ck_assert_uint_eq(record.sequence, i);
        ck_assert_uint_eq(record.flags, i == 0 ? RINGD_PERHAPS_SEEN : 0);
    }
    ck_assert_uint_eq(require_once(), 1);
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

START_TEST(messages_go_on_in_the_next_memory)
{
    pid_t members[3], writers[3];

    setup((struct ringd_ring_options){.size = 1 << 20});
    for (unsigned i = 0; i < 3; i++)
        members[i] = start_reader(read_messages, (struct person){0});
    for (unsigned i = 0; i < 3; i++)
        writers[i] = start(write_messages, (struct person){.records = 300});
    for (unsigned i = 0; i < 4; i++) {
        while (ringd_resize(RING, i % 2 == 0 ? 2 << 20 : 1 << 20) == -EBUSY)
            pause_ms(1);
        pause_ms(5);
    }
    finish(writers, 3);
    wait_given(900);
    remove_ring();
    finish(members, 3);
    require_all_once(900);
}
END_TEST

START_TEST(r14_a_group_outlives_the_daemon)
{
    pid_t members[3], writers[3], victim;

    setup((struct ringd_ring_options){0});
    for (unsigned i = 0; i < 3; i++)
        members[i] = start_reader(be_member, (struct person){.group = "g", .orphans = UINT32_MAX});
    victim = start_reader(be_member, (struct person){.group = "g", .orphans = UINT32_MAX});
    start_writers(writers, 3, 12000, 0);
    while (atomic_load(&board->joins) < 7)
        pause_ms(1);
    for (unsigned i = 0; i < 3; i++) {
        pause_ms(5);
        daemon_kill(&server);
        if (i == 1)
            child_kill(victim);
        daemon_restart(&server, NULL);
    }
    finish(writers, 3);
    wait_given(36000);
    doctor_holds();
    remove_ring();
    finish(members, 3);
    require_once();
    ck_assert_uint_eq(atomic_load(&board->given_count), 36000);
}
END_TEST

START_TEST(a_slow_group_is_put_out_as_a_whole)
{
    struct ringd_reader *members[2];
    struct ringd_record record;
    struct ringd_writer *w;

    setup((struct ringd_ring_options){.slow = RINGD_SLOW_LOSSY, .slow_bytes = SIZE / 4});
    members[0] = member("g");
    members[1] = member("g");
    w = open_writer_until(RING, RINGD_FOREVER);
    put(w, 10);
    ck_assert_int_eq(ringd_next(members[0], &record), RINGD_OK);
    put(w, 5 * SIZE / 160);
    for (unsigned i = 0; i < 2; i++) {
        int result;

        while ((result = ringd_next(members[i], &record)) == RINGD_OK)
            continue;
        ck_assert_int_eq(result, RINGD_EVICTED);
        ck_assert_int_eq(ringd_next(members[i], &record), RINGD_END);
        ck_assert_int_eq(ringd_next(members[i], &record), RINGD_END);
        ringd_reader_close(members[i]);
    }
    members[0] = member("g");
    put(w, 3);
    ck_assert_uint_eq(drain(members[0]), 3);
    doctor_holds();
    ringd_reader_close(members[0]);
    ringd_writer_close(w);
}
END_TEST

/* ---- ringctl ------------------------------------------------------------------------------------------------------
 */

START_TEST(ringctl_tails_for_a_group)
{
    struct ringd_reader *other;
    struct command command;
    struct ringd_writer *w;

    setup((struct ringd_ring_options){.hold = 1});
    other = member("g");
    w = open_writer(RING);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(ringd_write(w, "abcd", 4), RINGD_OK);
    ringctl(&command, NULL, 0, "tail", RING, "--group", "g", "--count", "1", NULL);
    ck_assert_int_eq(command.code, 0);
    ck_assert_str_eq(command.out, "abcd\n");
    command_free(&command);
    ringctl(&command, NULL, 0, "tail", RING, "--group", "g", "--no-wait", NULL);
    ck_assert_int_eq(command.code, 0);
    ck_assert_str_eq(command.out, "abcd\nabcd\nabcd\n");
    command_free(&command);
    ck_assert_int_eq(ringd_next(other, &(struct ringd_record){0}), RINGD_WOULD_BLOCK);
    ringd_reader_close(other);
    ringd_writer_close(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tests = add_case(suite, "once");

    tcase_add_test(tests, each_record_goes_to_one_member);
    tcase_add_test(tests, also_of_several_lanes);
    tcase_add_test(tests, also_where_writers_drop);
    tcase_add_test(tests, groups_and_others_all_get_everything);
    tcase_add_test(tests, a_member_takes_turns_with_its_lanes);
    tcase_add_test(tests, bulk_reads_hold_what_they_give);
    tcase_add_test(tests, a_slow_member_keeps_nothing_from_others);
    tests = add_case(suite, "together");
    tcase_add_test(tests, r4_a_batch_is_never_split);
    tcase_add_test(tests, a_message_goes_whole_to_one);
    tcase_add_test(tests, messages_longer_than_the_ring_pass);
    tests = add_case(suite, "coming and going");
    tcase_add_test(tests, members_come_and_go);
    tcase_add_test(tests, who_leaves_gives_back_what_it_has_not_given);
    tcase_add_test(tests, r15_seats_run_out);
    tcase_add_test(tests, no_groups_where_the_oldest_records_go);
    tests = add_case(suite, "deaths");
    tcase_add_test(tests, r13_killed_members_lose_nothing);
    tcase_add_test(tests, r16_or_it_is_counted);
    tcase_add_loop_test(tests, r13_a_death_at_any_step_of_a_claim, 0, 6);
    tcase_add_loop_test(tests, r13_a_death_at_any_step_of_taking_over, 0, 3);
    tcase_add_loop_test(tests, r13_a_death_at_any_step_of_leaving, 0, 3);
    tcase_add_test(tests, the_next_member_gets_what_the_last_one_had);
    tcase_add_test(tests, others_sleep_while_one_deals_with_an_orphan);
    tcase_add_test(tests, a_message_outlives_who_had_its_first_part);
    tcase_add_loop_test(tests, r13_a_death_in_the_middle_of_a_message, 0, 4);
    tcase_add_test(tests, r16_a_message_that_dies_with_its_reader_is_counted);
    tcase_add_test(tests, a_message_is_given_though_its_writer_leaves_meanwhile);
    tests = add_case(suite, "moves");
    tcase_add_test(tests, one_that_stands_before_its_claim_gets_nothing_twice);
    tcase_add_test(tests, r17_a_group_follows_a_ring_that_is_resized);
    tcase_add_loop_test(tests, r16_a_death_while_it_follows_with_a_message, 0, 2);
    tcase_add_test(tests, nobody_follows_before_all_is_given_back);
    tests = add_case(suite, "cut");
    tcase_add_test(tests, messages_go_on_in_the_next_memory);
    tests = add_case(suite, "daemon");
    tcase_add_test(tests, r14_a_group_outlives_the_daemon);
    tcase_add_test(tests, a_slow_group_is_put_out_as_a_whole);
    tcase_add_test(tests, ringctl_tails_for_a_group);
    return run_suite(suite);
}
