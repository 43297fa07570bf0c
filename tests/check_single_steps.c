/* check_single_steps.c - the single writer of a lane is watched, killed, or the ring moves, at each instruction.
 *
 * Its writes are run instruction by instruction (support_step.h), with a second lane beside it in which another single
 * writer goes on.
 *
 *     watched    none of the instructions of a usual write is locked or a fence; of an ordinary ring's some are
 *     killed     what it was told is committed, is; of the operation it was in all records are or none; the position,
 *                the sequence and the accounts go on with the next writer; and `ringctl doctor` finds nothing wrong
 *     moved past each record is given once and in order, whether it goes on or is killed afterwards
 *     undone     a move that fails, and a ring that is removed, leave it as it is, or tell it
 *
 * Where it matters most is between the store of the byte with its bit and that of the half with the position
 * (ring_single.h: Z2, Z3): each test counts how often it stood there.
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

#define RING       "single-steps"
#define SIZE       8192
#define MAX_RECORD 128
#define READERS    3

/* Of W: a position that cannot be. */
#define DAMAGE (UINT64_C(1) << 60)

static struct random_source chance;

/* Which instructions: the first `close` one by one, then every so many, on average. */
struct pace {
    uint64_t close, stride;
};

/* By then ringd_write has stored its position. */
#define CLOSE 120

static bool another_stop(uint64_t *stop, uint64_t steps, struct pace pace)
{
    bool more = steps == *stop;

    *stop += 1 + (*stop >= pace.close && pace.stride > 1 ? random_below(&chance, 2 * pace.stride - 1) : 0);
    return more;
}

/* ---- what is stepped --------------------------------------------------------------------------------------------- */

enum operation {
    OPERATION_WRITE,
    OPERATION_BATCH, /* of two */
    OPERATION_WHOLE, /* reserves and commits all of it */
    OPERATION_SHRUNK,
    OPERATION_ABORT,
    OPERATIONS
};

static const char *const operation_names[OPERATIONS] = {"write", "batch", "whole", "shrunk", "abort"};

static uint64_t records_of(enum operation operation)
{
    return operation == OPERATION_BATCH ? 2 : operation == OPERATION_ABORT ? 0 : 1;
}

struct stepped {
    enum operation operation;
    bool and_next; /* the next record is part of the round */
};

static int operate(struct ringd_writer *w, enum operation operation, const void *payload, size_t len)
{
    if (operation == OPERATION_WRITE)
        return ringd_write(w, payload, len);
    return operation == OPERATION_BATCH
               ? write_pair(w, RECORD_MIN, RECORD_MIN)
               : write_granted(w, operation == OPERATION_WHOLE ? RECORD_MIN : MAX_RECORD, operation != OPERATION_ABORT);
}

static struct ringd_writer *open_patient(uint32_t lane)
{
    return open_writer_with(RING, (struct ringd_writer_options){.deadline = RINGD_FOREVER, .lane = lane});
}

/* gate->number: how many records its slot has committed. */
static void run_writer(struct step_gate *gate, void *argument)
{
    const struct stepped *stepped = argument;
    struct ringd_writer *w = open_patient(1);

    for (;;) {
        unsigned char payload[40];
        int result;

        record_make(payload, sizeof payload, writer_slot(w), writer_sequence(w));
        step_enter(gate);
        result = operate(w, stepped->operation, payload, sizeof payload);
        if (result == RINGD_OK && stepped->and_next)
            result = write_record(w, RECORD_MIN);
        step_leave(gate, result);
        atomic_store(&gate->number, writer_sequence(w));
    }
}

static bool start_stepping(struct stepper *stepper, const struct stepped *stepped, const char *name)
{
    struct stepped copy = *stepped;
    int error;

    chance.state = support_seed();
    if (step_start(stepper, run_writer, &copy, &error))
        return true;
    support_skip(name, "this machine does not let a process step another (ptrace: %s)", strerror(error));
    return false;
}

/* One round at full speed: the first finds its functions and, at times, room. */
static void whole_round(struct stepper *stepper)
{
    step_begin(stepper);
    step_finish(stepper);
    require(atomic_load(&stepper->gate->result) == RINGD_OK, "result %d", atomic_load(&stepper->gate->result));
}

static void make(uint32_t writers)
{
    make_ring(RING,
              (struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .writers = writers, .lanes = 3});
}

static void put(struct ringd_writer *w)
{
    int result = write_record(w, RECORD_MIN);

    require(result == RINGD_OK, "result %d (%s)", result, ringd_strerror(result));
}

/* Its bit is set, and the position has not gone on. */
static bool stands_between(const struct ringd_reader *reader)
{
    const struct ring *ring = &reader->lanes[0].ring;
    uint64_t begin = atomic_load(&ring->lane->writers[0].begin), position;

    return (atomic_load(&ring->lane->word) & 1) != 0 && (begin & RINGD_BEGIN_EXACT) != 0 &&
           ring_position(ring, &position) == 0 && (begin & RINGD_POSITION_MASK) == position;
}

/* ---- readers that look on ---------------------------------------------------------------------------------------- */

struct onlookers {
    struct ringd_reader *readers[READERS];
    struct tracker trackers[2][READERS]; /* of each lane */
};

static void open_onlookers(struct onlookers *o)
{
    static const uint32_t modes[READERS] = {RINGD_READ_LOSSLESS, RINGD_READ_LOSSY, RINGD_READ_OBSERVE};

    *o = (struct onlookers){0};
    for (int i = 0; i < READERS; i++) {
        o->readers[i] = open_reader(RING, modes[i], RINGD_START_NOW);
        for (int lane = 0; lane < 2; lane++)
            o->trackers[lane][i].known[0] = true;
    }
}

/* The trackers know one lane's writers: those of the second get the slots of the first. */
static void see(struct onlookers *o, int reader, struct ringd_record *record)
{
    struct tracker *t = &o->trackers[record->writer / 31][reader];

    require(record->writer % 31 == 0, "writer %" PRIu32, record->writer);
    record_verify(record);
    require(record->sequence == t->next[0], "reader %d: sequence %" PRIu64 " of writer %" PRIu32 " after %" PRIu64,
            reader, record->sequence, record->writer, t->next[0]);
    require(record->position >= t->position, "position");
    t->position = record->next;
    t->next[0]++;
    t->delivered[0]++;
}

static void drain_one(struct onlookers *o, int reader)
{
    struct ringd_record record;
    int result;

    while ((result = ringd_next(o->readers[reader], &record)) == RINGD_OK) {
        see(o, reader, &record);
        require(ringd_release(o->readers[reader]) == RINGD_OK, "evicted");
    }
    require(result == RINGD_WOULD_BLOCK, "reader %d: result %d (%s)", reader, result, ringd_strerror(result));
}

static void drain(struct onlookers *o)
{
    for (int i = 0; i < READERS; i++)
        drain_one(o, i);
}

/* The daemon may take its time with those who follow. */
static void drain_all(struct onlookers *o, uint64_t first, uint64_t second)
{
    for (int i = 0; i < READERS; i++) {
        do
            drain_one(o, i);
        while (o->trackers[0][i].delivered[0] < first || o->trackers[1][i].delivered[0] < second);
        require(o->trackers[0][i].delivered[0] == first && o->trackers[1][i].delivered[0] == second,
                "reader %d: %" PRIu64 " of %" PRIu64 ", and %" PRIu64 " of %" PRIu64, i, o->trackers[0][i].delivered[0],
                first, o->trackers[1][i].delivered[0], second);
    }
}

static void require_accounts(uint64_t aborts)
{
    struct ringd_info info = ring_info(RING);

    require(info.offered ==
                info.committed + info.aborted + info.refused + info.dropped_full + info.dropped_stalled + info.lost,
            "%" PRIu64 " offered, %" PRIu64 " committed, %" PRIu64 " aborted, %" PRIu64 " lost", info.offered,
            info.committed, info.aborted, info.lost);
    require(info.aborted >= aborts, "%" PRIu64 " aborted", info.aborted);
}

static void require_healthy(void)
{
    struct command doctor;

    ringctl(&doctor, "", 0, "doctor", RING, NULL);
    require(doctor.code == 0, "doctor: %d\n%s%s", doctor.code, doctor.out, doctor.err);
    command_free(&doctor);
}

/* A writer that dies leaves nothing that makes no sense. */
static void require_no_damage(void)
{
    static char log[1 << 20];

    daemon_read_log(&server, log, sizeof log);
    require(strstr(log, "damaged") == NULL, "%s", strstr(log, "damaged"));
}

/* ---- no locked instruction and no fence -------------------------------------------------------------------------- */

static uint64_t count_locked(struct stepper *stepper)
{
    uint64_t locked = 0;

    step_begin(stepper);
    do
        locked += step_at_locked(stepper) || step_at_fence(stepper);
    while (step_once(stepper));
    step_finish(stepper);
    require(atomic_load(&stepper->gate->result) == RINGD_OK, "result %d", atomic_load(&stepper->gate->result));
    return locked;
}

/* In the usual case: these few rounds neither come to another section of the ring nor raise the limit. */
static uint64_t usual_locked(uint32_t writers, enum operation operation)
{
    struct stepped stepped = {.operation = operation};
    uint64_t least = UINT64_MAX, most = 0;
    struct stepper stepper;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20, .max_record = MAX_RECORD, .writers = writers});
    if (!start_stepping(&stepper, &stepped, "a_write_has_no_locked_instruction"))
        return UINT64_MAX;
    for (int i = 0; i < 2; i++)
        whole_round(&stepper);
    for (int i = 0; i < 8; i++) {
        uint64_t locked = count_locked(&stepper);

        least = locked < least ? locked : least;
        most = locked > most ? locked : most;
    }
    require(least == most, "%s: %" PRIu64 " to %" PRIu64, operation_names[operation], least, most);
    step_stop(&stepper);
    require(ringd_remove(RING) == 0, "remove");
    return least;
}

START_TEST(a_write_has_no_locked_instruction)
{
    uint64_t ordinary, single;

    if (!step_knows_locked()) {
        support_skip("a_write_has_no_locked_instruction", "known for x86-64 only");
        return;
    }
    single = usual_locked(1, (enum operation)_i);
    if (single == UINT64_MAX)
        return;
    ordinary = usual_locked(31, (enum operation)_i);
    require(single == 0, "%s: %" PRIu64 " locked instructions and fences", operation_names[_i], single);
    require(ordinary >= 2, "%s: only %" PRIu64 " are seen in an ordinary ring", operation_names[_i], ordinary);
}
END_TEST

/* ---- killed ------------------------------------------------------------------------------------------------------ */

/* Does a round, and then dies in the next one after so many instructions. Returns whether there are more. *sure: what
 * it was told. */
static bool die_at(struct onlookers *o, enum operation operation, uint64_t *stop, struct pace pace, uint64_t *sure,
                   unsigned *between)
{
    struct stepped stepped = {.operation = operation};
    struct stepper stepper;
    uint64_t steps;

    if (!start_stepping(&stepper, &stepped, "killed_at_each_instruction"))
        return false;
    whole_round(&stepper);
    *sure = atomic_load(&stepper.gate->number);
    step_begin(&stepper);
    steps = step_many(&stepper, *stop);
    *between += stands_between(o->readers[0]);
    step_stop(&stepper);
    return another_stop(stop, steps, pace);
}

/* After a death: all that was told committed is there, of its last operation everything or nothing, and all of it is
 * read. */
static void others_go_on(struct onlookers *o, struct ringd_writer *other, enum operation operation, uint64_t stop,
                         uint64_t sure)
{
    uint64_t committed;

    put(other);
    wait_for_contexts(RING, READERS + 1);
    committed = ring_info(RING).committed - writer_sequence(other);
    require(committed == sure || committed == sure + records_of(operation),
            "before instruction %" PRIu64 ": %" PRIu64 " committed, and it was told of %" PRIu64, stop, committed,
            sure);
    drain_all(o, committed, writer_sequence(other));
    require_accounts(0);
}

static void kill_at_each(enum operation operation, struct pace pace)
{
    uint64_t stop = 0, sure = 0, rounds = 0;
    struct ringd_writer *other;
    struct onlookers onlookers;
    unsigned between = 0;
    bool more;

    make(1);
    other = open_patient(2);
    open_onlookers(&onlookers);
    do {
        more = die_at(&onlookers, operation, &stop, pace, &sure, &between);
        if (stop == 0)
            return;
        others_go_on(&onlookers, other, operation, stop, sure);
        if (rounds++ % 16 == 0)
            require_healthy();
    } while (more);
    require(between > 0 || pace.close == 0, "it never stood between its bit and its position");
    require(rounds > 4, "only %" PRIu64 " places", rounds);
    require_healthy();
    require_no_damage();
}

static const struct pace kill_paces[OPERATIONS] = {{CLOSE, 20}, {0, 16}, {0, 16}, {0, 16}, {0, 20}};

START_TEST(killed_at_each_instruction)
{
    kill_at_each((enum operation)_i, kill_paces[_i]);
}
END_TEST

/* ---- moved past -------------------------------------------------------------------------------------------------- */

static void move(uint32_t moves)
{
    for (uint32_t i = 0; i < moves; i++) {
        int result = ringd_resize(RING, i % 2 == 0 ? SIZE : 2 * SIZE);

        require(result == 0, "resize: %d (%s)", result, ringd_error());
    }
}

static void stand_and_move(enum operation operation, uint32_t moves, struct pace pace)
{
    struct stepped stepped = {.operation = operation, .and_next = true};
    struct onlookers onlookers;
    struct ringd_writer *other;
    uint64_t stop = 0, steps;
    struct stepper stepper;
    unsigned between = 0;

    make(1);
    if (!start_stepping(&stepper, &stepped, "it_stands_while_the_ring_moves"))
        return;
    other = open_patient(2);
    open_onlookers(&onlookers);
    whole_round(&stepper);
    do {
        drain(&onlookers); /* they are in the generation that is left */
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        between += stands_between(onlookers.readers[0]);
        put(other);
        if (random_below(&chance, 2) == 0)
            drain(&onlookers);
        move(moves);
        if (random_below(&chance, 2) == 0)
            drain(&onlookers);
        put(other);
        step_finish(&stepper);
        require(atomic_load(&stepper.gate->result) == RINGD_OK, "at instruction %" PRIu64 ": result %d", stop,
                atomic_load(&stepper.gate->result));
        put(other);
        drain_all(&onlookers, atomic_load(&stepper.gate->number), writer_sequence(other));
    } while (another_stop(&stop, steps, pace));
    require(between > 0 || pace.close == 0, "it never stood between its bit and its position");
    require(ring_info(RING).committed == writer_sequence(other) + stepper.gate->number, "committed");
    require(ring_info(RING).lost == 0, "lost");
    require_accounts(operation == OPERATION_ABORT);
    require_healthy();
    step_stop(&stepper);
}

/* What comes after the operation is the next write. */
static const struct {
    enum operation operation;
    uint32_t moves;
    struct pace pace;
} moved[] = {
    {OPERATION_WRITE, 1, {CLOSE, 20}}, {OPERATION_BATCH, 1, {0, 20}}, {OPERATION_WHOLE, 1, {0, 20}},
    {OPERATION_SHRUNK, 1, {0, 20}},    {OPERATION_ABORT, 1, {0, 20}}, {OPERATION_WRITE, 2, {0, 20}},
};
#define MOVED 6

START_TEST(it_stands_while_the_ring_moves)
{
    stand_and_move(moved[_i].operation, moved[_i].moves, moved[_i].pace);
}
END_TEST

/* One that is killed after the move instead of going on, at once or some instructions later. */
static bool move_and_die(struct onlookers *o, struct ringd_writer *other, enum operation operation, uint64_t *stop,
                         struct pace pace, uint64_t *sure, unsigned *between)
{
    struct stepped stepped = {.operation = operation};
    struct stepper stepper;
    uint64_t steps;

    if (!start_stepping(&stepper, &stepped, "killed_after_the_ring_has_moved"))
        return false;
    whole_round(&stepper);
    *sure = atomic_load(&stepper.gate->number);
    drain(o);
    step_begin(&stepper);
    steps = step_many(&stepper, *stop);
    *between += stands_between(o->readers[0]);
    put(other);
    move(1);
    if (steps == *stop && random_below(&chance, 2) == 0)
        step_many(&stepper, random_below(&chance, 100));
    step_stop(&stepper);
    return another_stop(stop, steps, pace);
}

static void kill_after_each(enum operation operation, struct pace pace)
{
    uint64_t stop = 0, sure = 0;
    struct ringd_writer *other;
    struct onlookers onlookers;
    unsigned between = 0;
    bool more;

    make(1);
    other = open_patient(2);
    open_onlookers(&onlookers);
    do {
        more = move_and_die(&onlookers, other, operation, &stop, pace, &sure, &between);
        if (stop == 0)
            return;
        others_go_on(&onlookers, other, operation, stop, sure);
    } while (more);
    require(between > 0 || pace.close == 0, "it never stood between its bit and its position");
    require_healthy();
    require_no_damage();
}

static const struct pace death_paces[OPERATIONS] = {{CLOSE, 40}, {0, 24}, {0, 24}, {0, 24}, {0, 24}};

START_TEST(killed_after_the_ring_has_moved)
{
    kill_after_each((enum operation)_i, death_paces[_i]);
}
END_TEST

/* ---- a move that is taken back, and a ring that is removed ------------------------------------------------------- */

/* Its lane makes no sense when it is to be sealed: what was begun is taken back, and all goes on. */
static void fail_to_move(const struct onlookers *o)
{
    struct ringd_writer *other = open_patient(3);
    _Atomic uint64_t *word = &segment_lane(&other->attachment->segment, 0)->word;
    int result;

    require(atomic_load(word) == atomic_load(&o->readers[0]->lanes[0].ring.lane->word), "another generation");
    atomic_fetch_xor(word, DAMAGE);
    result = ringd_resize(RING, SIZE);
    atomic_fetch_xor(word, DAMAGE);
    require(result == -EBADMSG, "resize: %d (%s)", result, ringd_error());
    ringd_writer_close(other);
}

START_TEST(a_move_is_undone_while_it_stands)
{
    struct stepped stepped = {.operation = OPERATION_WRITE};
    struct onlookers onlookers;
    struct ringd_writer *other;
    uint64_t stop = 0, steps, generation;
    struct stepper stepper;

    make(1);
    if (!start_stepping(&stepper, &stepped, "a_move_is_undone_while_it_stands"))
        return;
    other = open_patient(2);
    open_onlookers(&onlookers);
    whole_round(&stepper);
    generation = ring_info(RING).generation;
    do {
        step_begin(&stepper);
        steps = step_many(&stepper, stop);
        put(other);
        fail_to_move(&onlookers);
        put(other);
        step_finish(&stepper);
        require(atomic_load(&stepper.gate->result) == RINGD_OK, "at instruction %" PRIu64 ": result %d", stop,
                atomic_load(&stepper.gate->result));
        drain_all(&onlookers, atomic_load(&stepper.gate->number), writer_sequence(other));
    } while (another_stop(&stop, steps, (struct pace){.stride = 3}));
    require(ring_info(RING).generation == generation, "it has moved");
    require_accounts(0);
    require_healthy();
    step_stop(&stepper);
}
END_TEST

/* What it was told is true: committed and read, or not written. */
static bool remove_at(uint64_t *stop)
{
    struct stepped stepped = {.operation = OPERATION_WRITE};
    struct ringd_record record;
    struct ringd_reader *reader;
    struct stepper stepper;
    uint64_t steps, count = 0;
    int result;

    make(1);
    if (!start_stepping(&stepper, &stepped, "the_ring_is_removed_while_it_stands"))
        return false;
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    whole_round(&stepper);
    step_begin(&stepper);
    steps = step_many(&stepper, *stop);
    require(ringd_remove(RING) == 0, "remove");
    step_finish(&stepper);
    result = atomic_load(&stepper.gate->result);
    require(result == RINGD_OK || result == -ESHUTDOWN, "result %d at instruction %" PRIu64, result, *stop);
    while (ringd_next(reader, &record) == RINGD_OK)
        count++;
    require(ringd_next(reader, &record) == RINGD_END, "no end");
    require(count == (result == RINGD_OK ? 2 : 1), "%" PRIu64 " records, result %d", count, result);
    step_begin(&stepper);
    step_finish(&stepper);
    require(atomic_load(&stepper.gate->result) == -ESHUTDOWN, "result %d", atomic_load(&stepper.gate->result));
    step_stop(&stepper);
    ringd_reader_close(reader);
    return another_stop(stop, steps, (struct pace){.stride = 3});
}

START_TEST(the_ring_is_removed_while_it_stands)
{
    uint64_t stop = 0;

    while (remove_at(&stop))
        ;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("single steps");
    TCase *tests = add_case(suite, "single steps");

    tcase_add_loop_test(tests, a_write_has_no_locked_instruction, 0, OPERATIONS);
    tcase_add_loop_test(tests, killed_at_each_instruction, 0, OPERATIONS);
    tcase_add_loop_test(tests, it_stands_while_the_ring_moves, 0, MOVED);
    tcase_add_loop_test(tests, killed_after_the_ring_has_moved, 0, OPERATIONS);
    tcase_add_test(tests, a_move_is_undone_while_it_stands);
    tcase_add_test(tests, the_ring_is_removed_while_it_stands);
    return run_suite(suite);
}
