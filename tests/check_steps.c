/* check_steps.c - what happens when a context is stopped at any single machine instruction.
 *
 * A writer, a reader, a joining reader is run instruction by instruction (support_step.h). At each of them, in turn,
 * the others do what hurts most: fill the ring to the last byte, go round it several times, write the one record that
 * is to wake a sleeper, join, remove the ring. Then the stopped one goes on. Everything that was committed must be read
 * exactly once, whole and in order, by whoever is lossless; a lossy reader must be told to the record what it lost; and
 * nobody may sleep for ever.
 *
 * It is here that the head room, the stamp's place in the order, the joins in the limit's compare-and-swap, the lossy
 * reader's second look and the announcement before the last look show whether they are right: each of these has one or
 * two instructions between which it matters.
 *
 * Where a path is too long for each of its instructions, some are left out at random (RINGD_SEED).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "../daemon/segment_create.h"
#include "reader.h"
#include "support_check.h"
#include "support_step.h"
#include "wake.h"
#include "writer.h"

#define RING "steps"

/* Small: a batch of two shortest records fits into a grant, and few records fill the ring. */
#define SIZE       8192
#define MAX_RECORD 128

static struct random_source chance;

/* After a stop at instruction *stop, when so many could be taken: false if the operation had come to its end (or to its
 * sleep), else on to the next place, `stride` instructions on, on average. */
static bool another_stop(uint64_t *stop, uint64_t steps, uint64_t stride)
{
    bool more = steps == *stop;

    *stop += 1 + (stride > 1 ? random_below(&chance, 2 * stride - 1) : 0);
    return more;
}

/* False, with a line for the runner, where stepping is not allowed. */
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

static uint64_t position_of(const struct ringd_writer *w)
{
    uint64_t position;

    require(ring_position(&w->ring.ring, &position) == 0, "damaged");
    return position;
}

/* Bytes up to the limit as it stands. */
static uint64_t room_of(const struct ringd_writer *w)
{
    return (atomic_load(&w->ring.ring.lane->limit) & RINGD_POSITION_MASK) - position_of(w);
}

/* There is room, and it is written. (Not by an assertion of Check's: they write to a file each.) */
static void put(struct ringd_writer *w, size_t len)
{
    int result = write_record(w, len);

    require(result == RINGD_OK, "result %d", result);
}

static void fill_up(struct ringd_writer *w)
{
    int result;

    while ((result = write_record(w, RECORD_MIN)) == RINGD_OK)
        ;
    require(result == RINGD_FULL, "result %d", result);
}

static void drain(struct tracker *tracker, struct ringd_reader *reader)
{
    int result = tracker_drain(tracker, reader);

    require(result == RINGD_WOULD_BLOCK, "result %d", result);
}

/* ---- a writer that is stopped ------------------------------------------------------------------------------------ */

enum operation {
    OPERATION_WRITE,
    OPERATION_BATCH,  /* of two */
    OPERATION_SHRUNK, /* commits less than was granted: two records in the ring, one of them padding */
    OPERATION_ABORT,
};

struct stepped_writer {
    enum operation operation;
    int64_t deadline;
    const char *ring;
};

static int operate(struct ringd_writer *w, enum operation operation, const void *payload, size_t len)
{
    switch (operation) {
    case OPERATION_WRITE:
        return ringd_write(w, payload, len);
    case OPERATION_BATCH:
        return write_pair(w, RECORD_MIN, RECORD_MIN);
    default:
        return write_granted(w, MAX_RECORD, operation != OPERATION_ABORT);
    }
}

/* gate->number: how many records it has committed. */
static void run_writer(struct step_gate *gate, void *argument)
{
    const struct stepped_writer *stepped = argument;
    struct ringd_writer *w = open_writer_until(stepped->ring, stepped->deadline);
    unsigned char payload[40];

    for (;;) {
        record_make(payload, sizeof payload, writer_slot(w), writer_sequence(w));
        step_enter(gate);
        step_leave(gate, operate(w, stepped->operation, payload, sizeof payload));
        atomic_store(&gate->number, writer_sequence(w));
    }
}

/* The limit far away: the stepped writer takes the short way. */
static void make_room(struct ringd_writer *w, struct ringd_reader *reader, struct tracker *tracker)
{
    while (room_of(w) < 192) {
        put(w, RECORD_MIN);
        drain(tracker, reader);
    }
}

/* The limit close, and free to be raised: the stepped writer has to raise it. */
static void use_room_up(struct ringd_writer *w, struct ringd_reader *reader, struct tracker *tracker)
{
    make_room(w, reader, tracker);
    while (room_of(w) >= 64) {
        put(w, RECORD_MIN);
        drain(tracker, reader);
    }
}

/* Stopped at each instruction while others fill the ring to the brim. */
static void stop_and_fill(enum operation operation, bool short_of_room, uint64_t stride, const char *name)
{
    struct stepped_writer stepped = {.operation = operation, .ring = RING};
    uint64_t stop = 0, steps, rounds = 0;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *other;
    struct stepper stepper;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_writer, &stepped, name))
        return;
    other = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    do {
        if (short_of_room)
            use_room_up(other, reader, &tracker);
        else
            make_room(other, reader, &tracker);
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        fill_up(other);
        step_finish(&stepper);
        drain(&tracker, reader);
        ck_assert_uint_eq(tracker.delivered[writer_slot(other)], writer_sequence(other));
        ck_assert_uint_eq(tracker_delivered(&tracker) - writer_sequence(other), stepper.gate->number);
        rounds++;
    } while (another_stop(&stop, steps, stride));
    ck_assert_uint_gt(rounds, 30);
    step_stop(&stepper);
}

START_TEST(stopped_writer_ring_filled)
{
    stop_and_fill(OPERATION_WRITE, false, 2, "stopped_writer_ring_filled");
}
END_TEST

START_TEST(stopped_raising_writer_ring_filled)
{
    stop_and_fill(OPERATION_WRITE, true, 5, "stopped_raising_writer_ring_filled");
}
END_TEST

START_TEST(stopped_batch_ring_filled)
{
    stop_and_fill(OPERATION_BATCH, false, 4, "stopped_batch_ring_filled");
}
END_TEST

START_TEST(stopped_shrinking_commit_ring_filled)
{
    stop_and_fill(OPERATION_SHRUNK, false, 4, "stopped_shrinking_commit_ring_filled");
}
END_TEST

START_TEST(stopped_abort_ring_filled)
{
    stop_and_fill(OPERATION_ABORT, false, 4, "stopped_abort_ring_filled");
}
END_TEST

/* Without a lossless reader, others go round the ring until the stopped writer's place holds them up. What they leave
 * is looked at by a reader that starts at the oldest record. */
START_TEST(stopped_writer_ring_lapped)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .ring = RING};
    struct ringd_writer *other;
    struct stepper stepper;
    uint64_t stop = 0, steps;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .policy = RINGD_OVERWRITE});
    if (!start_stepping(&stepper, run_writer, &stepped, "stopped_writer_ring_lapped"))
        return;
    other = open_writer(RING);
    do {
        struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST);
        struct tracker tracker = {0}, oldest = {0};

        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        for (int i = 0; i < 3 * SIZE / 64 && write_record(other, RECORD_MIN) == RINGD_OK; i++)
            ;
        step_finish(&stepper);
        drain(&tracker, reader);
        ringd_reader_close(reader);
        reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST);
        drain(&oldest, reader);
        ck_assert_uint_gt(tracker_delivered(&oldest), 0);
        ck_assert_uint_eq(tracker_lost(&oldest), 0);
        ringd_reader_close(reader);
    } while (another_stop(&stop, steps, 2));
    step_stop(&stepper);
}
END_TEST

/* After each instruction of an operation: nothing to read, or all of it, whole. */
static void look_at_each_step(enum operation operation, size_t records_expected, const char *name)
{
    struct stepped_writer stepped = {.operation = operation, .ring = RING};
    struct ringd_record records[8];
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct stepper stepper;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_writer, &stepped, name))
        return;
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int round = 0; round < 12; round++) {
        size_t seen = 0;

        step_begin(&stepper);
        while (step_once(&stepper)) {
            int result = ringd_next_many(reader, records, 8, &count);

            ck_assert(result == RINGD_OK || (result == RINGD_WOULD_BLOCK && count == 0));
            ck_assert(result != RINGD_OK || count == records_expected);
            for (size_t i = 0; i < count; i++)
                tracker_record(&tracker, &records[i]);
            seen += count;
            ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        }
        step_finish(&stepper);
        ck_assert_uint_eq(seen, records_expected);
    }
    step_stop(&stepper);
}

START_TEST(each_step_of_a_write_is_seen_whole_or_not)
{
    look_at_each_step(OPERATION_WRITE, 1, "each_step_of_a_write_is_seen_whole_or_not");
}
END_TEST

START_TEST(each_step_of_a_batch_is_seen_whole_or_not)
{
    look_at_each_step(OPERATION_BATCH, 2, "each_step_of_a_batch_is_seen_whole_or_not");
}
END_TEST

START_TEST(each_step_of_a_shrinking_commit_is_seen_whole_or_not)
{
    look_at_each_step(OPERATION_SHRUNK, 1, "each_step_of_a_shrinking_commit_is_seen_whole_or_not");
}
END_TEST

START_TEST(each_step_of_an_abort_is_seen_not_at_all)
{
    look_at_each_step(OPERATION_ABORT, 0, "each_step_of_an_abort_is_seen_not_at_all");
}
END_TEST

/* ---- a ring that is removed under a writer ----------------------------------------------------------------------- */

/* What the writer was told is true: committed and read, or not written. */
static bool remove_at(uint64_t *stop)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .ring = RING};
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct stepper stepper;
    uint64_t steps;
    int error, result;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    ck_assert(step_start(&stepper, run_writer, &stepped, &error));
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    step_begin(&stepper);
    steps = step_many(&stepper, *stop);
    ck_assert_int_eq(ringd_remove(RING), 0);
    step_finish(&stepper);
    result = stepper.gate->result;
    ck_assert_msg(result == RINGD_OK || result == -ESHUTDOWN, "result %d at instruction %lu", result,
                  (unsigned long)*stop);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_END);
    ck_assert_uint_eq(tracker_delivered(&tracker), result == RINGD_OK ? 1 : 0);
    step_begin(&stepper);
    step_finish(&stepper);
    ck_assert_int_eq(stepper.gate->result, -ESHUTDOWN);
    step_stop(&stepper);
    ringd_reader_close(reader);
    return another_stop(stop, steps, 5);
}

START_TEST(ring_removed_under_a_stopped_writer)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .ring = "other"};
    struct stepper stepper;
    uint64_t stop = 0;

    make_ring("other", (struct ringd_ring_options){.size = SIZE});
    if (!start_stepping(&stepper, run_writer, &stepped, "ring_removed_under_a_stopped_writer"))
        return;
    step_stop(&stepper);
    while (remove_at(&stop))
        ;
    ck_assert_uint_gt(stop, 30);
}
END_TEST

/* ---- a reader that is stopped ------------------------------------------------------------------------------------ */

struct stepped_reader {
    uint32_t mode;
    bool many;
    uint64_t stride;
    int64_t deadline;
    size_t max_record;
};

/* gate->number: delivered and lost so far. What it was given is checked only after the others have done their worst. */
static void run_reader(struct step_gate *gate, void *argument)
{
    const struct stepped_reader *stepped = argument;
    struct ringd_reader *reader = open_reader_until(RING, stepped->mode, RINGD_START_NOW, stepped->deadline);
    struct ringd_record records[4];
    struct tracker tracker = {0};

    for (;;) {
        size_t count = 1;
        int result;

        step_enter(gate);
        ringd_release(reader);
        result = stepped->many ? ringd_next_many(reader, records, 4, &count) : ringd_next(reader, records);
        step_leave(gate, result);
        for (size_t i = 0; i < count && result == RINGD_OK; i++)
            tracker_record(&tracker, &records[i]);
        if (result == RINGD_GAP)
            tracker_gap(&tracker, records);
        require(result == RINGD_OK || result == RINGD_GAP || result == RINGD_WOULD_BLOCK, "result %d", result);
        atomic_store(&gate->number, tracker_delivered(&tracker) + tracker_lost(&tracker));
    }
}

static void read_to_the_end(struct stepper *stepper)
{
    do {
        step_begin(stepper);
        step_finish(stepper);
    } while (stepper->gate->result != RINGD_WOULD_BLOCK);
}

/* Overtaken at each instruction, by several laps; at the end it adds up to the record. */
static void stop_and_lap(const struct stepped_reader *stepped, size_t size, const char *name)
{
    struct ringd_writer *writers[2];
    struct stepped_reader copy = *stepped;
    struct stepper stepper;
    uint64_t stop = 0, steps;

    make_ring(RING, (struct ringd_ring_options){
                        .size = size, .max_record = (uint32_t)stepped->max_record, .policy = RINGD_OVERWRITE});
    if (!start_stepping(&stepper, run_reader, &copy, name))
        return;
    for (int i = 0; i < 2; i++)
        writers[i] = open_writer(RING);
    do {
        read_to_the_end(&stepper);
        ck_assert_uint_eq(stepper.gate->number, writer_sequence(writers[0]) + writer_sequence(writers[1]));
        for (int i = 0; i < 6; i++)
            put(writers[i % 2], stepped->max_record);
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        for (size_t bytes = 0; bytes < 2 * size; bytes += stepped->max_record)
            put(writers[random_below(&chance, 2)], stepped->max_record);
        step_finish(&stepper);
    } while (another_stop(&stop, steps, stepped->stride));
    step_stop(&stepper);
}

START_TEST(stopped_lossy_reader_lapped)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_LOSSY, .max_record = MAX_RECORD, .stride = 3};

    stop_and_lap(&stepped, SIZE, "stopped_lossy_reader_lapped");
}
END_TEST

START_TEST(stopped_observer_lapped)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_OBSERVE, .max_record = MAX_RECORD, .stride = 5};

    stop_and_lap(&stepped, SIZE, "stopped_observer_lapped");
}
END_TEST

START_TEST(stopped_bulk_reader_lapped)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_LOSSY, .max_record = MAX_RECORD, .many = true, .stride = 10};

    stop_and_lap(&stepped, SIZE, "stopped_bulk_reader_lapped");
}
END_TEST

/* Overtaken in the middle of a record of the largest size, several times within one call: it goes on where it can. */
START_TEST(reader_lapped_again_and_again_in_one_call)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_LOSSY, .max_record = 65536};
    struct ringd_writer *w;
    struct stepper stepper;

    make_ring(RING, (struct ringd_ring_options){.size = 4 << 20, .max_record = 65536, .policy = RINGD_OVERWRITE});
    if (!start_stepping(&stepper, run_reader, &stepped, "reader_lapped_again_and_again_in_one_call"))
        return;
    w = open_writer(RING);
    put(w, 65536);
    step_begin(&stepper);
    for (int lap = 0; lap < 3; lap++) {
        ck_assert(step_to(&stepper, memcpy));
        for (int i = 0; i < 70; i++)
            put(w, 65536);
    }
    step_finish(&stepper);
    read_to_the_end(&stepper);
    ck_assert_uint_eq(stepper.gate->number, writer_sequence(w));
    step_stop(&stepper);
}
END_TEST

/* While it gives back and takes the next, writers take all they can get. */
static void stop_and_write(bool many, const char *name)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_LOSSLESS, .max_record = MAX_RECORD, .many = many};
    uint64_t stop = 0, steps;
    struct stepper stepper;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_reader, &stepped, name))
        return;
    w = open_writer(RING);
    do {
        fill_up(w);
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        fill_up(w);
        step_finish(&stepper);
    } while (another_stop(&stop, steps, many ? 8 : 2));
    read_to_the_end(&stepper);
    ck_assert_uint_eq(stepper.gate->number, writer_sequence(w));
    step_stop(&stepper);
}

START_TEST(stopped_lossless_reader_ring_filled)
{
    stop_and_write(false, "stopped_lossless_reader_ring_filled");
}
END_TEST

START_TEST(stopped_lossless_bulk_reader_ring_filled)
{
    stop_and_write(true, "stopped_lossless_bulk_reader_ring_filled");
}
END_TEST

/* ---- falling asleep ---------------------------------------------------------------------------------------------- */

/* One record at each instruction between "nothing there" and the sleep: whoever is about to sleep gets it. */
static void wake_falling_asleep(uint32_t mode, uint64_t stride, const char *name)
{
    struct stepped_reader stepped = {.mode = mode, .deadline = RINGD_FOREVER};
    uint64_t stop = 0, steps, rounds = 0;
    struct stepper stepper;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_reader, &stepped, name))
        return;
    w = open_writer(RING);
    do {
        step_begin(&stepper);
        steps = step_many_awake(&stepper, stop);
        put(w, RECORD_MIN);
        step_finish(&stepper);
        ck_assert_int_eq(stepper.gate->result, RINGD_OK);
        ck_assert_uint_eq(stepper.gate->number, ++rounds);
    } while (another_stop(&stop, steps, stride));
    ck_assert_uint_gt(rounds, 3);
    step_stop(&stepper);
}

START_TEST(lossless_reader_falling_asleep_is_woken)
{
    wake_falling_asleep(RINGD_READ_LOSSLESS, 300, "lossless_reader_falling_asleep_is_woken");
}
END_TEST

START_TEST(lossy_reader_falling_asleep_is_woken)
{
    wake_falling_asleep(RINGD_READ_LOSSY, 300, "lossy_reader_falling_asleep_is_woken");
}
END_TEST

START_TEST(observer_falling_asleep_is_woken)
{
    wake_falling_asleep(RINGD_READ_OBSERVE, 300, "observer_falling_asleep_is_woken");
}
END_TEST

/* The same from the announcement on, instruction by instruction, for a reader and for a writer that waits for space. */
START_TEST(reader_falling_asleep_is_woken_after_its_announcement)
{
    struct stepped_reader stepped = {.mode = RINGD_READ_LOSSY, .deadline = RINGD_FOREVER};
    uint64_t stop = 0, steps, rounds = 0;
    struct stepper stepper;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_reader, &stepped, "reader_falling_asleep_is_woken_after_its_announcement"))
        return;
    w = open_writer(RING);
    do {
        step_begin(&stepper);
        ck_assert(step_to(&stepper, (const void *)(uintptr_t)wake_announce));
        steps = step_many_awake(&stepper, stop);
        put(w, RECORD_MIN);
        step_finish(&stepper);
        ck_assert_uint_eq(stepper.gate->number, ++rounds);
    } while (another_stop(&stop, steps, 1));
    ck_assert_uint_gt(rounds, 10);
    step_stop(&stepper);
}
END_TEST

START_TEST(writer_falling_asleep_is_woken_after_its_announcement)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .deadline = RINGD_FOREVER, .ring = RING};
    uint64_t stop = 0, steps, rounds = 0;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct stepper stepper;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_writer, &stepped, "writer_falling_asleep_is_woken_after_its_announcement"))
        return;
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    do {
        fill_up(w);
        step_begin(&stepper);
        ck_assert(step_to(&stepper, (const void *)(uintptr_t)wake_announce));
        steps = step_many_awake(&stepper, stop);
        drain(&tracker, reader);
        step_finish(&stepper);
        ck_assert_int_eq(stepper.gate->result, RINGD_OK);
        ck_assert_uint_eq(stepper.gate->number, ++rounds);
    } while (another_stop(&stop, steps, 3));
    ck_assert_uint_gt(rounds, 10);
    step_stop(&stepper);
}
END_TEST

/* ---- joining ----------------------------------------------------------------------------------------------------- */

/* A writer is stopped while it raises the limit; a lossless reader joins at the oldest record; the writer goes on. The
 * reader gets every record from where it starts, however much others write. */
START_TEST(reader_joins_while_a_writer_raises)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .ring = RING};
    struct stepper stepper;
    struct ringd_writer *w;
    uint64_t stop = 0, steps;

    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    if (!start_stepping(&stepper, run_writer, &stepped, "reader_joins_while_a_writer_raises"))
        return;
    w = open_writer(RING);
    for (int i = 0; i < 500; i++)
        put(w, RECORD_MIN);
    do {
        uint64_t before = writer_sequence(w), others_before = stepper.gate->number;
        struct ringd_reader *reader;
        struct tracker tracker = {0};

        while (room_of(w) >= 64)
            put(w, RECORD_MIN);
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
        step_finish(&stepper);
        fill_up(w);
        drain(&tracker, reader);
        ck_assert_uint_eq(tracker_lost(&tracker), 0);
        ck_assert_uint_eq(tracker.next[writer_slot(w)], writer_sequence(w));
        ck_assert_uint_ge(tracker.delivered[writer_slot(w)], writer_sequence(w) - before);
        ck_assert_uint_ge(tracker_delivered(&tracker) - tracker.delivered[writer_slot(w)],
                          stepper.gate->number - others_before);
        ringd_reader_close(reader);
        wait_for_contexts(RING, 2);
    } while (another_stop(&stop, steps, 4));
    step_stop(&stepper);
}
END_TEST

struct stepped_join {
    const struct own_ring *ring;
    uint32_t start;
};

#define JOIN_SLOT 7

/* The daemon's part of a join, in a process of its own. gate->number: where the reader starts. */
static void run_join(struct step_gate *gate, void *argument)
{
    const struct stepped_join *stepped = argument;
    struct segment segment;
    struct ring ring;
    uint64_t cursor;

    require(segment_map(&segment, stepped->ring->objects->segment.fd, stepped->ring->objects->readers.fd,
                        SEGMENT_WRITER) == 0,
            "cannot map");
    ring_init(&ring, &segment, 0);
    for (;;) {
        step_enter(gate);
        step_leave(gate, ring_join(&ring, 1, JOIN_SLOT, stepped->start, 0, &cursor));
        atomic_store(&gate->number, cursor);
    }
}

/* The join is stopped at each instruction, and writers go round the ring in the meantime. */
static void join_while_lapped(uint32_t start, const char *name)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = start};
    struct own_ring own;
    struct stepped_join stepped = {.ring = &own, .start = start};
    struct stepper stepper;
    struct ringd_writer *w;
    uint64_t stop = 0, steps;
    struct ring ring;

    own_ring_new(&own, (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    ring_init(&ring, own.segment, 0);
    ck_assert_int_eq(writer_new(&w, own.segment, 3, 1, NULL), 0);
    if (!start_stepping(&stepper, run_join, &stepped, name))
        return;
    do {
        struct tracker tracker = {0};
        struct ringd_reader *reader;

        for (int i = 0; i < 200; i++)
            put(w, RECORD_MIN);
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        for (int i = 0; i < 200 && write_record(w, RECORD_MIN) == RINGD_OK; i++)
            ;
        step_finish(&stepper);
        ck_assert_int_eq(stepper.gate->result, 0);
        fill_up(w);
        ck_assert_int_eq(reader_new(&reader, own.segment, JOIN_SLOT, stepper.gate->number, &options), 0);
        drain(&tracker, reader);
        ck_assert_uint_eq(tracker_lost(&tracker), 0);
        ck_assert_uint_eq(tracker.next[3], writer_sequence(w));
        ck_assert_uint_ge(tracker_delivered(&tracker), 20); /* it was filled up after the join */
        ringd_reader_close(reader);
        ring_leave(&ring, JOIN_SLOT);
    } while (another_stop(&stop, steps, 1));
    step_stop(&stepper);
}

START_TEST(stopped_join_at_the_oldest)
{
    join_while_lapped(RINGD_START_OLDEST, "stopped_join_at_the_oldest");
}
END_TEST

START_TEST(stopped_join_now)
{
    join_while_lapped(RINGD_START_NOW, "stopped_join_now");
}
END_TEST

/* ---- R11 --------------------------------------------------------------------------------------------------------- */

#define CONTENDERS 30

struct contest {
    struct stepper stepper;
    _Atomic uint64_t tick;
};

/* One write whenever the stepped writer has done an instruction. */
static void contend(void *argument)
{
    struct contest *contest = argument;
    struct ringd_writer *w = open_writer(RING);
    uint64_t seen = 0;
    int result;

    for (;;) {
        uint64_t tick = atomic_load(&contest->tick);

        if (tick == seen) {
            sched_yield();
            continue;
        }
        seen = tick;
        result = ringd_write(w, "", 0);
        require(result == RINGD_OK, "result %d", result);
    }
}

struct steps_taken {
    uint64_t instructions;
    uint64_t locked;
    uint64_t others; /* records of others that came in between */
};

static uint64_t watch(const struct ringd_reader *observer)
{
    uint64_t position;

    require(ring_position(&observer->lanes[0].ring, &position) == 0, "damaged");
    return position;
}

static struct steps_taken count_steps(struct contest *contest, const struct ringd_reader *observer, bool contended)
{
    uint64_t before = watch(observer), last = before;
    struct steps_taken taken = {0};

    step_begin(&contest->stepper);
    do {
        taken.locked += step_at_locked(&contest->stepper);
        taken.instructions++;
        if (contended)
            atomic_fetch_add(&contest->tick, 1);
        while (contended && watch(observer) == last)
            sched_yield();
        last = watch(observer);
    } while (step_once(&contest->stepper));
    step_finish(&contest->stepper);
    ck_assert_int_eq(contest->stepper.gate->result, RINGD_OK);
    taken.others = (last - before) / RINGD_UNIT;
    return taken;
}

/* Whoever comes into another section of the data since its last write takes the long way, once, and notes it: no loop
 * that others could keep going, but some more instructions. */
#define LONG_WAY_INSTRUCTIONS 1000

/* Between any two of its instructions some of 30 others reserve and commit, and the write takes no more instructions
 * than alone: one addition to reserve, one subtraction to commit, nothing is tried twice. */
START_TEST(rule_11_one_step_to_reserve_among_31_writers)
{
    struct stepped_writer stepped = {.operation = OPERATION_WRITE, .ring = RING};
    struct contest *contest = shared_new(sizeof *contest);
    struct ringd_reader *observer;
    struct steps_taken alone;
    pid_t contenders[CONTENDERS];
    int short_ways = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 16 << 20, .max_record = 64});
    if (!start_stepping(&contest->stepper, run_writer, &stepped, "rule_11_one_step_to_reserve_among_31_writers"))
        return;
    if (!step_knows_locked())
        support_skip("rule_11_counting_locked_instructions", "known for x86-64 only; instructions are counted");
    observer = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    count_steps(contest, observer, false); /* the first finds its functions */
    alone = count_steps(contest, observer, false);
    for (int i = 0; i < CONTENDERS; i++)
        contenders[i] = child_start(contend, contest);
    wait_for_contexts(RING, 1 + CONTENDERS + 1);
    for (int round = 0; round < 8; round++) {
        struct steps_taken crowded = count_steps(contest, observer, true);

        ck_assert_uint_ge(crowded.others, crowded.instructions - 1);
        ck_assert_uint_le(crowded.instructions, alone.instructions + LONG_WAY_INSTRUCTIONS);
        short_ways += crowded.instructions == alone.instructions;
        if (step_knows_locked())
            ck_assert_uint_eq(crowded.locked, 2);
    }
    ck_assert_int_ge(short_ways, 5);
    step_stop(&contest->stepper);
    for (int i = 0; i < CONTENDERS; i++)
        child_kill(contenders[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steps");
    TCase *tests = add_case(suite, "steps");

    tcase_add_test(tests, stopped_writer_ring_filled);
    tcase_add_test(tests, stopped_raising_writer_ring_filled);
    tcase_add_test(tests, stopped_batch_ring_filled);
    tcase_add_test(tests, stopped_shrinking_commit_ring_filled);
    tcase_add_test(tests, stopped_abort_ring_filled);
    tcase_add_test(tests, stopped_writer_ring_lapped);
    tcase_add_test(tests, each_step_of_a_write_is_seen_whole_or_not);
    tcase_add_test(tests, each_step_of_a_batch_is_seen_whole_or_not);
    tcase_add_test(tests, each_step_of_a_shrinking_commit_is_seen_whole_or_not);
    tcase_add_test(tests, each_step_of_an_abort_is_seen_not_at_all);
    tcase_add_test(tests, ring_removed_under_a_stopped_writer);
    tcase_add_test(tests, stopped_lossy_reader_lapped);
    tcase_add_test(tests, stopped_observer_lapped);
    tcase_add_test(tests, stopped_bulk_reader_lapped);
    tcase_add_test(tests, reader_lapped_again_and_again_in_one_call);
    tcase_add_test(tests, stopped_lossless_reader_ring_filled);
    tcase_add_test(tests, stopped_lossless_bulk_reader_ring_filled);
    tcase_add_test(tests, lossless_reader_falling_asleep_is_woken);
    tcase_add_test(tests, lossy_reader_falling_asleep_is_woken);
    tcase_add_test(tests, observer_falling_asleep_is_woken);
    tcase_add_test(tests, reader_falling_asleep_is_woken_after_its_announcement);
    tcase_add_test(tests, writer_falling_asleep_is_woken_after_its_announcement);
    tcase_add_test(tests, reader_joins_while_a_writer_raises);
    tcase_add_test(tests, stopped_join_at_the_oldest);
    tcase_add_test(tests, stopped_join_now);
    tcase_add_test(tests, rule_11_one_step_to_reserve_among_31_writers);
    return run_suite(suite);
}
