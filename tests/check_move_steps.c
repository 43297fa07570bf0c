/* check_move_steps.c - a ring moves while a context stands at any single machine instruction.
 *
 * A writer or reader is run instruction by instruction (support_step.h). At each of them, in turn, the ring moves to a
 * new generation, once or twice, with what others have written before and write after it. Then the one that stood goes
 * on. Every record must be given to every reader exactly once, whole and in its writer's order, and each of its
 * operations must end as if nothing had happened; what readers hold in place must not change when a writer that was
 * given up wakes.
 *
 * Where a path is too long for each of its instructions, some are left out at random (RINGD_SEED).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reader.h"
#include "support_check.h"
#include "support_step.h"
#include "writer.h"

#define RING       "move-steps"
#define SIZE       8192
#define MAX_RECORD 128
#define READERS    3

static struct random_source chance;

static bool another_stop(uint64_t *stop, uint64_t steps, uint64_t stride)
{
    bool more = steps == *stop;

    *stop += 1 + (stride > 1 ? random_below(&chance, 2 * stride - 1) : 0);
    return more;
}

static bool start_stepping(struct stepper *stepper, void (*run)(struct step_gate *, void *), void *argument,
                           const char *name)
{
    int error;

    chance.state = support_seed();
    if (step_start(stepper, run, argument, &error))
        return true;
    support_skip(name, "this machine does not let a process step another (ptrace: %s)", strerror(error));
    return false;
}

static void move(uint32_t moves)
{
    for (uint32_t i = 0; i < moves; i++) {
        int result = ringd_resize(RING, i % 2 == 0 ? SIZE : 2 * SIZE);

        require(result == 0, "resize: %d (%s)", result, ringd_error());
    }
}

/* The daemon may take its time with who follows: writers wait, and readers are asked again. */
static struct ringd_writer *open_patient(void)
{
    return open_writer_until(RING, RINGD_FOREVER);
}

static void put(struct ringd_writer *w)
{
    int result = write_record(w, RECORD_MIN);

    require(result == RINGD_OK, "result %d (%s)", result, ringd_strerror(result));
}

/* Until it has had so many, and there is no more. */
static void drain_all(struct tracker *tracker, struct ringd_reader *reader, uint64_t count)
{
    int result;

    do {
        result = tracker_drain(tracker, reader);
        require(result == RINGD_WOULD_BLOCK, "result %d (%s)", result, ringd_strerror(result));
    } while (tracker_delivered(tracker) < count);
    require(tracker_delivered(tracker) == count, "%" PRIu64 " of %" PRIu64, tracker_delivered(tracker), count);
}

/* ---- readers that look on ---------------------------------------------------------------------------------------- */

struct onlookers {
    struct ringd_reader *readers[READERS];
    struct tracker trackers[READERS];
};

static void open_onlookers(struct onlookers *o)
{
    static const uint32_t modes[READERS] = {RINGD_READ_LOSSLESS, RINGD_READ_LOSSY, RINGD_READ_OBSERVE};

    for (int i = 0; i < READERS; i++) {
        o->readers[i] = open_reader(RING, modes[i], RINGD_START_NOW);
        o->trackers[i] = (struct tracker){0};
        for (int w = 0; w < 31; w++)
            o->trackers[i].known[w] = true;
    }
}

static void drain(struct onlookers *o)
{
    for (int i = 0; i < READERS; i++) {
        int result = tracker_drain(&o->trackers[i], o->readers[i]);

        require(result == RINGD_WOULD_BLOCK, "reader %d: result %d (%s)", i, result, ringd_strerror(result));
    }
}

static void drain_onlookers(struct onlookers *o, uint64_t count)
{
    for (int i = 0; i < READERS; i++)
        drain_all(&o->trackers[i], o->readers[i], count);
}

/* Every record of both writers, and no gap. */
static void require_all(const struct onlookers *o, uint32_t slot, uint64_t count)
{
    for (int i = 0; i < READERS; i++) {
        require(o->trackers[i].delivered[slot] == count, "reader %d has %" PRIu64 " of %" PRIu64 " of writer %" PRIu32,
                i, o->trackers[i].delivered[slot], count, slot);
        require(tracker_lost(&o->trackers[i]) == 0, "reader %d was told of a loss", i);
    }
}

/* ---- a writer that stands ---------------------------------------------------------------------------------------- */

enum operation {
    OPERATION_WRITE,
    OPERATION_BATCH,
    OPERATION_SHRUNK, /* commits less than was granted */
    OPERATION_ABORT,
};

static void run_writer(struct step_gate *gate, void *argument)
{
    enum operation operation = *(const enum operation *)argument;
    struct ringd_writer *w = open_patient();

    for (;;) {
        unsigned char payload[40];
        int result;

        record_make(payload, sizeof payload, writer_slot(w), writer_sequence(w));
        step_enter(gate);
        result = operation == OPERATION_WRITE   ? ringd_write(w, payload, sizeof payload)
                 : operation == OPERATION_BATCH ? write_pair(w, RECORD_MIN, RECORD_MIN)
                                                : write_granted(w, MAX_RECORD, operation != OPERATION_ABORT);
        if (result == RINGD_OK)
            result = write_record(w, RECORD_MIN); /* the next one follows, if that one has not */
        atomic_store(&gate->number, writer_sequence(w));
        step_leave(gate, result);
    }
}

/* Instructions of one operation that matter; what comes after them is the next write. */
static void stand_and_move(enum operation operation, uint32_t moves, uint64_t stride, const char *name)
{
    struct onlookers onlookers;
    struct ringd_writer_counters counters;
    struct ringd_writer *other;
    uint64_t stop = 0, steps;
    struct stepper stepper;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_writer, &operation, name))
        return;
    other = open_patient();
    open_onlookers(&onlookers);
    do {
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        put(other);
        if (random_below(&chance, 2) == 0)
            drain(&onlookers); /* what is there before the move */
        move(moves);
        if (random_below(&chance, 2) == 0)
            drain(&onlookers); /* they follow before the other wakes, or after */
        put(other);
        step_finish(&stepper);
        require(atomic_load(&stepper.gate->result) == RINGD_OK, "at instruction %" PRIu64 ": result %d", stop,
                atomic_load(&stepper.gate->result));
        put(other);
        drain_onlookers(&onlookers, writer_sequence(other) + stepper.gate->number);
        require_all(&onlookers, writer_slot(other), writer_sequence(other));
        require_all(&onlookers, writer_slot(other) ^ 1, stepper.gate->number);
    } while (another_stop(&stop, steps, stride));
    require(ringd_writer_count(other, &counters) == RINGD_OK && counters.offered == counters.committed, "accounts");
    require(ring_info(RING).committed == writer_sequence(other) + stepper.gate->number, "committed");
    require(ring_info(RING).offered == ring_info(RING).committed + ring_info(RING).aborted, "offered");
    step_stop(&stepper);
}

static const struct {
    enum operation operation;
    uint32_t moves;
    uint64_t stride;
    const char *name;
} writers[] = {
    {OPERATION_WRITE, 1, 4, "a_writer_stands_while_the_ring_moves:0"},
    {OPERATION_BATCH, 1, 12, "a_writer_stands_while_the_ring_moves:1"},
    {OPERATION_SHRUNK, 1, 12, "a_writer_stands_while_the_ring_moves:2"},
    {OPERATION_ABORT, 1, 12, "a_writer_stands_while_the_ring_moves:3"},
    {OPERATION_WRITE, 2, 12, "a_writer_stands_while_the_ring_moves:4"},
};
#define WRITER_CASES 5

START_TEST(a_writer_stands_while_the_ring_moves)
{
    stand_and_move(writers[_i].operation, writers[_i].moves, writers[_i].stride, writers[_i].name);
}
END_TEST

/* ---- a reader that stands ---------------------------------------------------------------------------------------- */

#define ROUND_MAX 12

struct stepped_reader {
    uint32_t mode;
    bool many;
};

static size_t read_round(struct ringd_reader *reader, bool many, struct ringd_record records[ROUND_MAX],
                         unsigned char payloads[ROUND_MAX][RECORD_MIN], int *result)
{
    size_t total = 0, count = 1;

    for (;;) {
        *result = many ? ringd_next_many(reader, records + total, 2, &count) : ringd_next(reader, records + total);
        if (*result != RINGD_OK)
            return total;
        require(total + count < ROUND_MAX, "more than was written");
        for (size_t i = 0; i < count; i++, total++)
            memcpy(payloads[total], records[total].data, records[total].len < RECORD_MIN ? 0 : RECORD_MIN);
        ringd_release(reader);
    }
}

static void run_reader(struct step_gate *gate, void *argument)
{
    const struct stepped_reader *stepped = argument;
    struct ringd_reader *reader = open_reader(RING, stepped->mode, RINGD_START_NOW);
    unsigned char payloads[ROUND_MAX][RECORD_MIN];
    struct ringd_record records[ROUND_MAX];
    struct tracker tracker = {0};

    for (int i = 0; i < 31; i++)
        tracker.known[i] = true;
    for (;;) {
        size_t count;
        int result;

        step_enter(gate);
        count = read_round(reader, stepped->many, records, payloads, &result);
        require(result == RINGD_WOULD_BLOCK, "result %d (%s)", result, ringd_strerror(result));
        for (size_t i = 0; i < count; i++) {
            records[i].data = payloads[i];
            tracker_record(&tracker, &records[i]);
        }
        atomic_store(&gate->number, tracker_delivered(&tracker));
        step_leave(gate, result);
    }
}

static const struct stepped_reader stepped_readers[] = {
    {RINGD_READ_LOSSLESS, false},
    {RINGD_READ_LOSSLESS, true},
    {RINGD_READ_LOSSY, false},
    {RINGD_READ_OBSERVE, true},
};
#define READER_CASES 4

/* Before each stop one writer has a grant open, which the move gives up. */
START_TEST(a_reader_stands_while_the_ring_moves)
{
    struct stepped_reader stepped = stepped_readers[_i];
    uint64_t stop = 0, steps, written;
    struct ringd_writer *a, *b;
    struct stepper stepper;
    size_t granted;
    void *data;
    char name[60];

    snprintf(name, sizeof name, "a_reader_stands_while_the_ring_moves:%d", _i);
    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    a = open_patient();
    b = open_patient();
    if (!start_stepping(&stepper, run_reader, &stepped, name))
        return;
    wait_for_contexts(RING, 3);
    do {
        step_begin(&stepper);
        put(a);
        require(ringd_reserve(b, RECORD_MIN, RECORD_MIN, &data, &granted) == RINGD_OK, "reserve");
        put(a);
        steps = step_many(&stepper, stop);
        if (stop % 3 == 0) {
            record_make(data, RECORD_MIN, writer_slot(b), writer_sequence(b));
            require(ringd_commit(b, RECORD_MIN) == RINGD_OK, "commit");
        }
        move(1);
        put(a);
        if (stop % 3 != 0) {
            record_make(data, RECORD_MIN, writer_slot(b), writer_sequence(b));
            require(ringd_commit(b, RECORD_MIN) == RINGD_OK, "commit");
        }
        step_finish(&stepper);
        written = writer_sequence(a) + writer_sequence(b);
        while (atomic_load(&stepper.gate->number) < written) { /* the daemon may take its time */
            step_begin(&stepper);
            step_finish(&stepper);
        }
        require(atomic_load(&stepper.gate->number) == written,
                "at instruction %" PRIu64 ": %" PRIu64 " of %" PRIu64 " records", stop,
                atomic_load(&stepper.gate->number), written);
    } while (another_stop(&stop, steps, 30));
    step_stop(&stepper);
}
END_TEST

/* ---- late stores ------------------------------------------------------------------------------------------------- */

/* A writer fills its grant after the ring has moved and others have gone round both generations: what anybody can read
 * stays as it is. */
START_TEST(late_stores_change_nothing_that_is_read)
{
    struct ringd_writer *late, *other;
    struct ringd_record records[2];
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    unsigned objects;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    objects = daemon_objects(&server);
    late = open_patient();
    other = open_patient();
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    put(other);
    ck_assert_int_eq(ringd_reserve(late, MAX_RECORD, MAX_RECORD, &data, &granted), RINGD_OK);
    put(other);
    move(1);
    put(other);
    ck_assert_int_eq(ringd_next(reader, &records[0]), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &records[1]), RINGD_OK); /* passes over the open grant */
    ck_assert_uint_eq(records[1].writer, writer_slot(other));
    memset(data, 0xa5, granted);
    record_verify(&records[0]);
    record_verify(&records[1]);
    tracker_record(&tracker, &records[0]);
    tracker_record(&tracker, &records[1]);
    record_make(data, RECORD_MIN, writer_slot(late), writer_sequence(late));
    ck_assert_int_eq(ringd_commit(late, RECORD_MIN), RINGD_OK);
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    drain_all(&tracker, reader, 4);
    ck_assert_uint_eq(tracker.delivered[writer_slot(other)], 3);
    ck_assert_uint_eq(tracker.delivered[writer_slot(late)], 1);
    ck_assert_uint_eq(daemon_objects(&server), objects + 3); /* one generation, three life pages */
}
END_TEST

/* What was given out in place stays good until it is released, through several moves. */
START_TEST(what_is_held_in_place_stays)
{
    struct ringd_record records[5];
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    w = open_patient();
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    for (int i = 0; i < 5; i++) {
        put(w);
        ck_assert_int_eq(ringd_next(reader, &records[i]), RINGD_OK);
        move(1);
        ck_assert_int_eq(write_record(w, RECORD_MIN), RINGD_OK);
        ck_assert_int_eq(ringd_next(reader, &records[i]), RINGD_OK);
    }
    for (int i = 0; i < 5; i++)
        record_verify(&records[i]);
    ck_assert_uint_gt(reader->kept_count, 0);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_assert_uint_eq(reader->kept_count, 0);
}
END_TEST

/* Of two grants that are given up next to each other the reader has joined between. */
START_TEST(a_reader_begins_between_two_that_are_given_up)
{
    struct ringd_writer *both[2];
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    void *data[2];
    size_t granted;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    for (int i = 0; i < 2; i++)
        both[i] = open_patient();
    ck_assert_int_eq(ringd_reserve(both[0], RECORD_MIN, RECORD_MIN, &data[0], &granted), RINGD_OK);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reserve(both[1], RECORD_MIN, RECORD_MIN, &data[1], &granted), RINGD_OK);
    move(1);
    for (int i = 0; i < 2; i++) {
        record_make(data[i], RECORD_MIN, writer_slot(both[i]), 0);
        ck_assert_int_eq(ringd_commit(both[i], RECORD_MIN), RINGD_OK);
    }
    drain_all(&tracker, reader, 2);
}
END_TEST

/* One that looks for "now" when the lane is sealed finds a position beyond the end, if additions were void. */
START_TEST(a_reader_begins_beyond_the_end)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    w = open_patient();
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    move(1);
    reader->lanes[0].position += 64;
    put(w);
    drain_all(&tracker, reader, 1);
}
END_TEST

/* With the ring full there is no room to append anew: then the writer is told. */
START_TEST(a_record_without_room_in_the_new_generation_is_told)
{
    struct ringd_writer_counters counters;
    struct ringd_writer *late, *other;
    struct ringd_reader *reader;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    late = open_writer(RING);
    other = open_patient();
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reserve(late, RECORD_MIN, RECORD_MIN, &data, &granted), RINGD_OK);
    move(1);
    put(other);
    ringd_writer_deadline(other, RINGD_NO_WAIT);
    while (write_record(other, RECORD_MIN) == RINGD_OK)
        ;
    ck_assert_int_eq(ringd_commit(late, RECORD_MIN), RINGD_FULL);
    ck_assert_int_eq(ringd_writer_count(late, &counters), RINGD_OK);
    ck_assert_uint_eq(counters.offered, 1);
    ck_assert_uint_eq(counters.refused, 1);
    ck_assert_uint_eq(counters.committed, 0);
    ringd_reader_close(reader);
    ringd_writer_deadline(late, RINGD_FOREVER);
    put(late);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("move steps");
    TCase *tests = add_case(suite, "move steps");

    tcase_add_loop_test(tests, a_writer_stands_while_the_ring_moves, 0, WRITER_CASES);
    tcase_add_loop_test(tests, a_reader_stands_while_the_ring_moves, 0, READER_CASES);
    tcase_add_test(tests, late_stores_change_nothing_that_is_read);
    tcase_add_test(tests, what_is_held_in_place_stays);
    tcase_add_test(tests, a_reader_begins_between_two_that_are_given_up);
    tcase_add_test(tests, a_reader_begins_beyond_the_end);
    tcase_add_test(tests, a_record_without_room_in_the_new_generation_is_told);
    return run_suite(suite);
}
