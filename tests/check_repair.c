/* check_repair.c - the repair of a lane (libclient/ring_repair.h), step by step and without a daemon.
 *
 * Writers run instruction by instruction (support_step.h), are stood at any place and killed there; so is the repairer.
 * What holds after each repair, whatever stood in the way:
 *
 *   - every record that was committed is read exactly once, whole and in its writer's order, and counted;
 *   - nothing of what was not is read, and the living, wherever they stand, go on as if nothing had been;
 *   - a repair that is done twice, from whatever place in the first one, leaves what one does.
 *
 * The arrangements that each rule of the repair is there for are made one by one; others at random (RINGD_SEED).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../daemon/segment_create.h"
#include "reader.h"
#include "ring_repair.h"
#include "support_check.h"
#include "support_step.h"
#include "wake.h"
#include "writer.h"

/* Small: few records fill the ring, and a batch of two shortest records fits into a grant. */
#define SIZE       8192
#define MAX_RECORD 128
#define FIRST      (SUPPORT_WRAP - 1024)

#define OTHER      0 /* the test's own writer */
#define READER     5

/* ---- a ring with somebody who writes and reads ------------------------------------------------------------------- */

struct scene {
    struct own_ring own;
    struct ring ring;
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct tracker tracker;
};

static void scene_begin(struct scene *scene, uint32_t policy)
{
    bool lossless = policy != RINGD_OVERWRITE;
    struct ringd_reader_options options = {.mode = lossless ? RINGD_READ_LOSSLESS : RINGD_READ_LOSSY};
    uint64_t cursor = 0;

    *scene = (struct scene){0};
    own_ring_new(&scene->own, (struct ringd_ring_options){
                                  .size = SIZE, .max_record = MAX_RECORD, .policy = policy, .first_position = FIRST});
    ring_init(&scene->ring, scene->own.segment, 0);
    require(writer_new(&scene->w, scene->own.segment, OTHER, 1, NULL) == 0, "no writer");
    if (lossless)
        require(ring_join(&scene->ring, 1, READER, RINGD_START_NOW, 0, &cursor) == 0, "cannot join");
    require(reader_new(&scene->reader, scene->own.segment, READER, cursor, &options) == 0, "no reader");
    for (int i = 0; i < 31; i++)
        scene->tracker.known[i] = true;
}

static void scene_end(struct scene *scene)
{
    ringd_writer_close(scene->w);
    ringd_reader_close(scene->reader);
    own_ring_free(&scene->own);
}

static void put(struct scene *scene)
{
    int result = write_record(scene->w, RECORD_MIN);

    require(result == RINGD_OK, "result %d", result);
}

static void drain(struct scene *scene)
{
    int result = tracker_drain(&scene->tracker, scene->reader);

    require(result == RINGD_WOULD_BLOCK, "result %d", result);
}

static struct ringd_writer_slot *slot_of(const struct scene *scene, uint32_t slot)
{
    return &scene->ring.lane->writers[slot];
}

static bool is_active(const struct scene *scene, uint32_t slot)
{
    return atomic_load(&scene->ring.lane->word) >> slot & 1;
}

/* Nobody is in a record; everything committed has been read, everything read was committed. */
static void require_whole(struct scene *scene)
{
    uint64_t active = atomic_load(&scene->ring.lane->word) & RINGD_W_ACTIVE;

    require(active == 0, "active 0x%llx", (unsigned long long)active);
    put(scene);
    drain(scene);
    require(tracker_lost(&scene->tracker) == 0, "lost");
    for (uint32_t i = 0; i < 31; i++) {
        uint64_t committed = atomic_load(&slot_of(scene, i)->sequence);

        require(scene->tracker.delivered[i] == committed, "writer %u: %llu read, %llu committed", i,
                (unsigned long long)scene->tracker.delivered[i], (unsigned long long)committed);
    }
}

/* ---- a writer in a process of its own ---------------------------------------------------------------------------- */

enum operation {
    OPERATION_WRITE,
    OPERATION_BATCH,  /* of two */
    OPERATION_SHRUNK, /* commits less than was granted */
    OPERATION_ABORT,
    OPERATION_FULL, /* as long as a record may be */
    OPERATIONS,
};

struct actor {
    struct scene *scene;
    uint32_t slot;
    enum operation operation;
    struct stepper stepper;
    bool inside;
};

/* What it writes, made before it is stepped: as many instructions as a write has are enough. */
struct payloads {
    unsigned char first[RECORD_MIN], second[RECORD_MIN], full[MAX_RECORD];
};

static void make_payloads(struct payloads *payloads, const struct ringd_writer *w)
{
    record_make(payloads->first, RECORD_MIN, writer_slot(w), writer_sequence(w));
    record_make(payloads->second, RECORD_MIN, writer_slot(w), writer_sequence(w) + 1);
    record_make(payloads->full, MAX_RECORD, writer_slot(w), writer_sequence(w));
}

static int write_two(struct ringd_writer *w, struct payloads *payloads)
{
    struct iovec batch[] = {{payloads->first, RECORD_MIN}, {payloads->second, RECORD_MIN}};

    return ringd_write_batch(w, batch, 2);
}

static int reserve_and(struct ringd_writer *w, enum operation operation, const struct payloads *payloads)
{
    bool full = operation == OPERATION_FULL;
    size_t granted, len = full ? MAX_RECORD : RECORD_MIN;
    void *data;
    int result = ringd_reserve(w, MAX_RECORD, MAX_RECORD, &data, &granted);

    if (result != RINGD_OK)
        return result;
    memcpy(data, full ? payloads->full : payloads->first, len);
    return operation == OPERATION_ABORT ? ringd_abort(w) : ringd_commit(w, len);
}

static int operate(struct ringd_writer *w, enum operation operation, struct payloads *payloads)
{
    if (operation == OPERATION_BATCH)
        return write_two(w, payloads);
    if (operation == OPERATION_WRITE)
        return ringd_write(w, payloads->first, RECORD_MIN);
    return reserve_and(w, operation, payloads);
}

static void map_again(const struct scene *scene, struct segment *segment)
{
    const struct segment_objects *objects = scene->own.objects;

    require(segment_map(segment, objects->segment.fd, objects->readers.fd, SEGMENT_WRITER) == 0, "cannot map");
}

static void run_actor(struct step_gate *gate, void *argument)
{
    const struct actor *actor = argument;
    struct payloads payloads;
    struct ringd_writer *w;
    struct segment segment;

    map_again(actor->scene, &segment);
    require(writer_new(&w, &segment, actor->slot, 2, NULL) == 0, "no writer");
    for (;;) {
        make_payloads(&payloads, w);
        step_enter(gate);
        step_leave(gate, operate(w, actor->operation, &payloads));
    }
}

/* False, with a line for the runner, where stepping is not allowed. */
static bool stepping_works(void)
{
    struct scene scene;
    struct actor actor = {.scene = &scene, .slot = 1};
    int error;
    bool works;

    scene_begin(&scene, RINGD_LOSSLESS);
    works = step_start(&actor.stepper, run_actor, &actor, &error);
    if (works)
        step_stop(&actor.stepper);
    else
        support_skip("check_repair", "this machine does not let a process step another (ptrace: %s)", strerror(error));
    scene_end(&scene);
    return works;
}

static void actor_start(struct actor *actor, struct scene *scene, uint32_t slot, enum operation operation)
{
    int error;

    *actor = (struct actor){.scene = scene, .slot = slot, .operation = operation};
    require(step_start(&actor->stepper, run_actor, actor, &error), "errno %d", error);
}

/* Does one operation from beginning to end. */
static void actor_work(struct actor *actor)
{
    if (!actor->inside)
        step_begin(&actor->stepper);
    step_finish(&actor->stepper);
    actor->inside = false;
    require(actor->stepper.gate->result == RINGD_OK, "result %d", actor->stepper.gate->result);
}

/* ---- places to stand --------------------------------------------------------------------------------------------- */

enum stage {
    STAGE_SEEN,    /* it has said from where on it looks, and not added */
    STAGE_ADDED,   /* its bit is set, its place is not said */
    STAGE_PLACED,  /* it is */
    STAGE_STAMPED, /* the record is there and not counted */
    STAGE_COUNTED,
    STAGES,
};

static bool at_stage(const struct actor *actor, enum stage stage, uint64_t begin_before, uint64_t sequence_before)
{
    const struct ringd_writer_slot *slot = slot_of(actor->scene, actor->slot);
    uint64_t begin = atomic_load(&slot->begin), place = begin & RINGD_POSITION_MASK;
    bool active = is_active(actor->scene, actor->slot), exact = begin & RINGD_BEGIN_EXACT;

    switch (stage) {
    case STAGE_SEEN:
        return !active && !exact && begin != begin_before;
    case STAGE_ADDED:
        return active && !exact;
    case STAGE_PLACED:
        return active && exact;
    case STAGE_STAMPED:
        return active && exact &&
               ring_stamp_state(&actor->scene->ring, place, memory_order_seq_cst) == RINGD_STATE_COMMITTED;
    default:
        return active && atomic_load(&slot->sequence) != sequence_before;
    }
}

/* Steps it to there. */
static void actor_stand(struct actor *actor, enum stage stage)
{
    const struct ringd_writer_slot *slot = slot_of(actor->scene, actor->slot);
    uint64_t begin = atomic_load(&slot->begin), sequence = atomic_load(&slot->sequence);

    if (!actor->inside)
        step_begin(&actor->stepper);
    actor->inside = true;
    while (!at_stage(actor, stage, begin, sequence))
        require(step_once(&actor->stepper), "its operation has no stage %d", stage);
}

static void actor_kill(struct actor *actor)
{
    step_stop(&actor->stepper);
}

/* One that has done an operation: it takes the short way from then on, if it is a short record. */
static void actor_start_warm(struct actor *actor, struct scene *scene, uint32_t slot, enum operation operation)
{
    actor_start(actor, scene, slot, operation);
    actor_work(actor);
}

/* And stands in its next one. */
static void stand_new(struct actor *actor, struct scene *scene, uint32_t slot, enum operation operation,
                      enum stage stage)
{
    actor_start_warm(actor, scene, slot, operation);
    actor_stand(actor, stage);
}

/* ---- repairing --------------------------------------------------------------------------------------------------- */

/* To its end; the outcome. Whoever sleeps is woken. */
static enum ring_repair_outcome repair(struct scene *scene, uint32_t slot, uint32_t dead)
{
    struct ringd_waits *waits = scene->ring.waits;
    struct ring_repair state = {0};
    int result;

    wake_announce(&waits->data);
    wake_announce(&waits->space);
    do {
        result = ring_repair(&scene->ring, slot, dead, &state);
    } while (result == RING_REPAIR_GOES_ON);
    require(result == RING_REPAIRED, "result %d", result);
    require(!(atomic_load(&waits->data) & WAKE_SLEEPING) && !(atomic_load(&waits->space) & WAKE_SLEEPING), "asleep");
    return state.outcome;
}

static uint32_t bit_of(uint32_t slot)
{
    return UINT32_C(1) << slot;
}

/* ---- killed at each instruction ---------------------------------------------------------------------------------- */

/* False: the operation was over before. */
static bool kill_at(struct scene *scene, enum operation operation, uint64_t stop)
{
    struct actor victim;
    uint64_t steps;

    actor_start(&victim, scene, 3, operation);
    if (stop % 2 == 0)
        actor_work(&victim); /* now it takes the short way, otherwise the long one */
    put(scene);
    step_begin(&victim.stepper);
    steps = step_many(&victim.stepper, stop / 2);
    put(scene);
    put(scene);
    actor_kill(&victim);
    repair(scene, 3, bit_of(3));
    require_whole(scene);
    return steps == stop / 2;
}

START_TEST(a_writer_killed_at_each_instruction)
{
    struct random_source chance = {.state = support_seed()};
    uint64_t stride = _i == OPERATION_WRITE ? 1 : 6; /* longer ones: some are left out, at random */
    struct scene scene;
    bool more[2] = {true, true};

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    for (uint64_t stop = 0; more[0] || more[1]; stop += 1 + random_below(&chance, stride)) {
        if (more[stop % 2])
            more[stop % 2] = kill_at(&scene, (enum operation)_i, stop);
    }
    scene_end(&scene);
}
END_TEST

/* ---- the repairer killed at each instruction --------------------------------------------------------------------- */

struct repairer {
    const struct scene *scene;
    uint32_t slot, dead;
    struct stepper stepper;
};

/* gate->number: what was found. */
static void run_repairer(struct step_gate *gate, void *argument)
{
    const struct repairer *repairer = argument;
    struct ring_repair state = {0};
    struct segment segment;
    struct ring ring;

    map_again(repairer->scene, &segment);
    ring_init(&ring, &segment, 0);
    for (;;) {
        step_enter(gate);
        step_leave(gate, ring_repair(&ring, repairer->slot, repairer->dead, &state));
        atomic_store(&gate->number, state.outcome);
    }
}

static void repairer_start(struct repairer *repairer, const struct scene *scene, uint32_t slot, uint32_t dead)
{
    int error;

    *repairer = (struct repairer){.scene = scene, .slot = slot, .dead = dead};
    require(step_start(&repairer->stepper, run_repairer, repairer, &error), "errno %d", error);
}

/* Calls again until it has it. */
static void repairer_finish(struct repairer *repairer)
{
    step_finish(&repairer->stepper);
    while (repairer->stepper.gate->result > 0) {
        step_begin(&repairer->stepper);
        step_finish(&repairer->stepper);
    }
    require(repairer->stepper.gate->result == RING_REPAIRED, "result %d", repairer->stepper.gate->result);
    step_stop(&repairer->stepper);
}

struct death {
    enum operation operation;
    enum stage stage;
};

static const struct death deaths[] = {
    {OPERATION_WRITE, STAGE_SEEN},    {OPERATION_WRITE, STAGE_ADDED},   {OPERATION_WRITE, STAGE_PLACED},
    {OPERATION_WRITE, STAGE_STAMPED}, {OPERATION_WRITE, STAGE_COUNTED}, {OPERATION_BATCH, STAGE_PLACED},
    {OPERATION_BATCH, STAGE_STAMPED}, {OPERATION_FULL, STAGE_ADDED},    {OPERATION_SHRUNK, STAGE_STAMPED},
};

#define DEATHS (int)(sizeof deaths / sizeof deaths[0])

/* One before, one after, and a second dead one beside it: a gap of two. */
static void lay_out_dead(struct scene *scene, const struct death *death, struct actor victims[2])
{
    actor_start_warm(&victims[0], scene, 3, death->operation);
    actor_start_warm(&victims[1], scene, 4, OPERATION_FULL);
    actor_stand(&victims[0], death->stage);
    actor_stand(&victims[1], STAGE_ADDED);
    put(scene);
    actor_kill(&victims[0]);
    actor_kill(&victims[1]);
}

static bool kill_repairer_at(struct scene *scene, const struct death *death, uint64_t stop)
{
    uint32_t dead = bit_of(3) | bit_of(4);
    struct actor victims[2];
    struct repairer repairer;
    uint64_t steps;

    lay_out_dead(scene, death, victims);
    repairer_start(&repairer, scene, 3, dead);
    step_begin(&repairer.stepper);
    steps = step_many(&repairer.stepper, stop);
    step_stop(&repairer.stepper);
    repair(scene, 3, dead);
    repair(scene, 4, dead);
    require_whole(scene);
    return steps == stop;
}

START_TEST(a_repairer_killed_at_each_instruction)
{
    struct random_source chance = {.state = support_seed()};
    struct scene scene;
    uint64_t stop = 0;

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    while (kill_repairer_at(&scene, &deaths[_i], stop))
        stop += 1 + (stop > 20 ? random_below(&chance, 15) : 0);
    ck_assert_uint_gt(stop, 40);
    scene_end(&scene);
}
END_TEST

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* Between an addition and the next store nobody can tell whose place is whose: the repair waits, and says for whom. */
START_TEST(a_living_writer_without_a_place_is_waited_for)
{
    struct ring_repair state = {0};
    struct actor victim, neighbour;
    struct scene scene;

    if (!stepping_works())
        return;
    for (int first = 0; first < 2; first++) {
        scene_begin(&scene, RINGD_LOSSLESS);
        state = (struct ring_repair){0};
        if (first)
            stand_new(&victim, &scene, 3, OPERATION_WRITE, STAGE_ADDED);
        stand_new(&neighbour, &scene, 7, OPERATION_WRITE, STAGE_ADDED);
        if (!first)
            stand_new(&victim, &scene, 3, OPERATION_WRITE, STAGE_ADDED);
        actor_kill(&victim);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3), &state), RING_REPAIR_WAITS);
            ck_assert_uint_eq(state.unresolved, bit_of(7));
            ck_assert(is_active(&scene, 3));
            put(&scene);
        }
        actor_work(&neighbour);
        ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3), &state), RING_REPAIRED);
        require_whole(&scene);
        ck_assert_uint_eq(scene.tracker.delivered[7], 2);
        step_stop(&neighbour.stepper);
        scene_end(&scene);
    }
}
END_TEST

/* One that dies while it is waited for counts as dead; both gaps are one then. */
START_TEST(one_that_dies_while_it_is_waited_for_counts_as_dead)
{
    struct ring_repair state = {0};
    struct actor victim, neighbour;
    struct scene scene;

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    actor_start_warm(&victim, &scene, 3, OPERATION_FULL);
    actor_start_warm(&neighbour, &scene, 7, OPERATION_FULL);
    actor_stand(&victim, STAGE_ADDED);
    actor_stand(&neighbour, STAGE_ADDED);
    put(&scene);
    actor_kill(&victim);
    ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3), &state), RING_REPAIR_WAITS);
    actor_kill(&neighbour);
    ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3) | bit_of(7), &state), RING_REPAIRED);
    ck_assert_uint_eq(state.bytes_passed, 2 * ring_record_bytes(MAX_RECORD)); /* more than readers take at once */
    ck_assert_int_eq(repair(&scene, 7, bit_of(7)), RING_REPAIR_PADDED);
    require_whole(&scene);
    scene_end(&scene);
}
END_TEST

/* ---- while the repair looks -------------------------------------------------------------------------------------- */

/* The repairer is stopped at each of its instructions and something happens there; then all go on. Several calls of the
 * repairer count as one run. */
typedef void happening(struct scene *scene, struct actor *actors);

static bool happen_at(happening *prepare, happening *happen, happening *after, uint64_t stop)
{
    struct repairer repairer;
    struct actor actors[4];
    struct scene scene;
    uint64_t steps;

    scene_begin(&scene, RINGD_LOSSLESS);
    prepare(&scene, actors);
    repairer_start(&repairer, &scene, 3, bit_of(3));
    step_begin(&repairer.stepper);
    steps = step_many(&repairer.stepper, stop);
    happen(&scene, actors);
    step_finish(&repairer.stepper);
    drain(&scene); /* whoever reads now goes by what is there now */
    after(&scene, actors);
    step_begin(&repairer.stepper);
    repairer_finish(&repairer);
    require_whole(&scene);
    scene_end(&scene);
    return steps == stop;
}

static void happen_at_each(happening *prepare, happening *happen, happening *after)
{
    struct random_source chance = {.state = support_seed()};
    uint64_t stop = 0;

    while (happen_at(prepare, happen, after, stop))
        stop += 1 + (stop > 20 ? random_below(&chance, 15) : 0);
    ck_assert_uint_gt(stop, 100);
}

/* A living writer stands in a record, before or behind the gap; it finishes, and begins one of another length. */
static void prepare_next(struct scene *scene, struct actor *actors)
{
    stand_new(&actors[1], scene, 8, OPERATION_FULL, STAGE_PLACED);
    stand_new(&actors[0], scene, 3, OPERATION_WRITE, STAGE_ADDED);
    stand_new(&actors[2], scene, 9, OPERATION_WRITE, STAGE_PLACED);
    put(scene);
    actor_kill(&actors[0]);
}

static void begin_next(struct scene *scene, struct actor *actors)
{
    (void)scene;
    for (int i = 1; i <= 2; i++) {
        actor_work(&actors[i]);
        actor_stand(&actors[i], STAGE_PLACED);
    }
}

static void end_two(struct scene *scene, struct actor *actors)
{
    (void)scene;
    for (int i = 1; i <= 2; i++) {
        actor_work(&actors[i]);
        step_stop(&actors[i].stepper);
    }
}

START_TEST(neighbours_begin_the_next_record_meanwhile)
{
    if (stepping_works())
        happen_at_each(prepare_next, begin_next, end_two);
}
END_TEST

/* Somebody reserves room behind the snapshot and stands there: his place is no gap. (Before the snapshot he is in it,
 * and is waited for.) */
static void prepare_later(struct scene *scene, struct actor *actors)
{
    stand_new(&actors[0], scene, 3, OPERATION_WRITE, STAGE_ADDED);
    for (uint32_t i = 1; i <= 2; i++) {
        actor_start(&actors[i], scene, 7 + i, OPERATION_WRITE);
        actor_work(&actors[i]);
    }
    actor_kill(&actors[0]);
}

static void reserve_later(struct scene *scene, struct actor *actors)
{
    put(scene);
    actor_stand(&actors[1], STAGE_ADDED);
    put(scene);
    actor_stand(&actors[2], STAGE_ADDED);
}

START_TEST(others_reserve_behind_the_snapshot_meanwhile)
{
    if (stepping_works())
        happen_at_each(prepare_later, reserve_later, end_two);
}
END_TEST

/* ---- a limit that moves during the walk -------------------------------------------------------------------------- */

#define SLEEPERS 18

/* In so many instructions the repair has looked at word and limit, and each look may be old by the next. */
#define LOOKS 80

static void clear_marks(struct scene *scene)
{
    for (uint32_t i = 0; i < RINGD_MARKS; i++)
        atomic_store(&scene->ring.lane->marks[i], 0);
}

static void fill_to_limit(struct scene *scene)
{
    uint64_t position, limit = atomic_load(&scene->ring.lane->limit);

    while (ring_position(&scene->ring, &position) == 0 && position + 64 <= limit)
        put(scene);
}

/* A raise has been computed and not done; then a writer that looked long ago adds, and dies. The repair walks from
 * where that one had looked; meanwhile the raise is done, and others go round the ring, as far as the head room lets
 * them: over what the walk has before it. */
static bool move_limit_at(uint64_t stop)
{
    struct actor victim, raiser, *sleepers = calloc(SLEEPERS, sizeof *sleepers);
    struct repairer repairer;
    struct scene scene;
    uint64_t steps;

    scene_begin(&scene, RINGD_OVERWRITE);
    actor_start(&victim, &scene, 3, OPERATION_WRITE);
    actor_stand(&victim, STAGE_SEEN);
    fill_to_limit(&scene);
    clear_marks(&scene);
    actor_start(&raiser, &scene, 4, OPERATION_WRITE);
    step_begin(&raiser.stepper);
    while (!step_at_locked(&raiser.stepper))
        require(step_once(&raiser.stepper), "no raise");
    actor_stand(&victim, STAGE_ADDED);
    actor_kill(&victim);
    repairer_start(&repairer, &scene, 3, bit_of(3));
    step_begin(&repairer.stepper);
    steps = step_many(&repairer.stepper, stop);
    drain(&scene);
    raiser.inside = true;
    actor_work(&raiser);
    for (uint32_t i = 0; i < SLEEPERS; i++) {
        actor_start(&sleepers[i], &scene, 5 + i, OPERATION_FULL);
        actor_stand(&sleepers[i], STAGE_SEEN);
    }
    fill_to_limit(&scene);
    for (uint32_t i = 0; i < SLEEPERS; i++)
        actor_work(&sleepers[i]);
    repairer_finish(&repairer);
    drain(&scene);
    require_whole(&scene);
    for (uint32_t i = 0; i < SLEEPERS; i++)
        step_stop(&sleepers[i].stepper);
    step_stop(&raiser.stepper);
    scene_end(&scene);
    free(sleepers);
    return steps == stop;
}

START_TEST(a_raise_from_before_the_death_is_done_during_the_walk)
{
    struct random_source chance = {.state = support_seed()};
    uint64_t stop = 0;

    if (!stepping_works() || !step_knows_locked())
        return;
    while (move_limit_at(stop))
        stop += 1 + random_below(&chance, stop < LOOKS ? 2 : 240);
    ck_assert_uint_gt(stop, 500);
}
END_TEST

/* ---- at random --------------------------------------------------------------------------------------------------- */

#define COMPANY 7

/* Some stand somewhere, in an order of their own, with records in between; some of those die at once. They are repaired
 * in any order, while the living stand, and then go on. */
static void arrange(struct random_source *chance, uint32_t policy)
{
    struct actor company[COMPANY];
    uint32_t dead = 0, left;
    struct scene scene;

    scene_begin(&scene, policy);
    for (uint32_t i = 0; i < COMPANY; i++)
        actor_start_warm(&company[i], &scene, i + 1, (enum operation)random_below(chance, OPERATIONS));
    for (uint32_t i = 0; i < COMPANY; i++) {
        enum operation operation = company[i].operation;
        bool dies = random_below(chance, 3) > 0;
        uint64_t stages = operation == OPERATION_ABORT ? STAGE_PLACED + 1 : STAGES;
        enum stage stage = (enum stage)random_below(chance, stages);

        if (!dies && stage == STAGE_ADDED)
            stage = STAGE_PLACED;
        if (dies)
            dead |= bit_of(i + 1);
        actor_stand(&company[i], stage);
        for (uint64_t n = random_below(chance, 3); n > 0; n--)
            put(&scene);
        drain(&scene);
    }
    for (uint32_t i = 0; i < COMPANY; i++) {
        if (dead & bit_of(i + 1))
            actor_kill(&company[i]);
    }
    for (left = dead; left != 0;) {
        uint32_t slot = 1 + (uint32_t)random_below(chance, COMPANY);

        if (!(left & bit_of(slot)))
            continue;
        repair(&scene, slot, dead);
        left &= ~bit_of(slot);
        put(&scene);
        drain(&scene);
    }
    for (uint32_t i = 0; i < COMPANY; i++) {
        if (dead & bit_of(i + 1))
            continue;
        actor_work(&company[i]);
        step_stop(&company[i].stepper);
    }
    require_whole(&scene);
    scene_end(&scene);
}

START_TEST(any_arrangement)
{
    struct random_source chance = {.state = support_seed()};

    if (!stepping_works())
        return;
    for (int i = 0; i < 25; i++)
        arrange(&chance, (uint32_t)_i);
}
END_TEST

/* ---- nonsense ---------------------------------------------------------------------------------------------------- */

static uint64_t random_number(struct random_source *chance, uint64_t near)
{
    switch (random_below(chance, 4)) {
    case 0:
        return random_next(chance);
    case 1:
        return near + random_below(chance, 4 * SIZE) - 2 * SIZE;
    case 2:
        return (near + random_below(chance, 4 * SIZE) - 2 * SIZE) & RINGD_POSITION_MASK;
    default:
        return random_below(chance, 1024);
    }
}

static void scribble(struct scene *scene, struct random_source *chance)
{
    struct ringd_lane *lane = scene->ring.lane;
    uint64_t position = FIRST + random_below(chance, SIZE), number = random_number(chance, position);
    struct ringd_writer_slot *slot = &lane->writers[random_below(chance, 31)];

    switch (random_below(chance, 7)) {
    case 0:
        atomic_store(&slot->begin, number | random_below(chance, 2));
        break;
    case 1:
        atomic_store(&slot->length, (uint32_t)number);
        break;
    case 2:
        atomic_store(&lane->limit, number);
        break;
    case 3:
        if (random_below(chance, 2) == 0)
            atomic_store(&lane->word, random_next(chance) & ~RINGD_W_SEALED);
        else
            atomic_fetch_or(&lane->word, random_next(chance) & RINGD_W_ACTIVE);
        break;
    case 4:
        atomic_store(&slot->sequence, number);
        break;
    case 5:
        atomic_store(&ring_header(&scene->ring, position & RINGD_POSITION_MASK)->extent, number);
        break;
    default:
        position &= RINGD_POSITION_MASK;
        atomic_store(&ring_header(&scene->ring, position)->stamp,
                     (position | 1 | random_below(chance, 3)) ^ scene->ring.stamp_key);
        break;
    }
}

/* Whatever stands there: it comes to an end, within the bounds that a ring of this size has, and the bit is clear. */
START_TEST(a_scribbled_ring)
{
    struct random_source chance = {.state = support_seed()};
    uint32_t damaged = 0, waited = 0;

    for (int round = 0; round < 3000; round++) {
        struct ring_repair state = {0};
        struct scene scene;
        int result, calls = 0;

        scene_begin(&scene, RINGD_OVERWRITE);
        for (int i = 0; i < 10; i++)
            put(&scene);
        atomic_fetch_add(&scene.ring.lane->word, (UINT64_C(2) << 32) + 8);
        for (uint64_t n = 1 + random_below(&chance, 6); n > 0; n--)
            scribble(&scene, &chance);
        do {
            bool some = calls == 0 && random_below(&chance, 2) == 0;

            result = ring_repair(&scene.ring, 3, some ? bit_of(3) : (uint32_t)RINGD_W_ACTIVE, &state);
            waited += result == RING_REPAIR_WAITS;
        } while (result > 0 && ++calls < 10);
        ck_assert_int_lt(calls, 10);
        damaged += result == -EBADMSG;
        if (state.outcome != RING_REPAIR_NOTHING || result < 0)
            ck_assert(!is_active(&scene, 3));
        scene_end(&scene);
    }
    ck_assert_uint_gt(damaged, 100);
    ck_assert_uint_gt(waited, 10);
}
END_TEST

/* ---- borders inside a gap ---------------------------------------------------------------------------------------- */

/* The grants of two who died without a place lie side by side, and a reader begins between them. */
START_TEST(a_reader_begins_between_two_dead)
{
    struct actor a, b;
    struct scene scene;
    struct ringd_reader *late;
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSY, .start = RINGD_START_NOW};
    struct ringd_record record;

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    actor_start_warm(&a, &scene, 3, OPERATION_WRITE);
    actor_start_warm(&b, &scene, 7, OPERATION_WRITE);
    actor_stand(&b, STAGE_SEEN);
    actor_stand(&a, STAGE_ADDED);
    require(reader_new(&late, scene.own.segment, 6, 0, &options) == 0, "no reader");
    actor_stand(&b, STAGE_ADDED);
    actor_kill(&a);
    actor_kill(&b);
    repair(&scene, 3, bit_of(3) | bit_of(7));
    repair(&scene, 7, bit_of(3) | bit_of(7));
    require_whole(&scene);
    ck_assert_int_eq(ringd_next(late, &record), RINGD_OK);
    ringd_reader_close(late);
    scene_end(&scene);
}
END_TEST

/* A third has seen that border as the position, and dies without a place when the first two are being repaired. */
START_TEST(a_third_dies_who_has_seen_the_border)
{
    struct actor a, b, c;
    struct scene scene;

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    actor_start_warm(&a, &scene, 3, OPERATION_WRITE);
    actor_start_warm(&b, &scene, 7, OPERATION_WRITE);
    actor_start_warm(&c, &scene, 9, OPERATION_WRITE);
    actor_stand(&a, STAGE_ADDED);
    actor_stand(&b, STAGE_SEEN);
    actor_stand(&c, STAGE_SEEN);
    actor_stand(&b, STAGE_ADDED);
    actor_kill(&a);
    actor_kill(&b);
    repair(&scene, 3, bit_of(3) | bit_of(7));
    actor_stand(&c, STAGE_ADDED);
    actor_kill(&c);
    repair(&scene, 7, bit_of(3) | bit_of(7) | bit_of(9));
    repair(&scene, 9, bit_of(3) | bit_of(7) | bit_of(9));
    require_whole(&scene);
    scene_end(&scene);
}
END_TEST

/* The first one's repair waits; the second one's, with a later snapshot, pads what lies in both. */
START_TEST(two_repairs_of_one_gap)
{
    struct ring_repair state = {0};
    struct actor a, b, c;
    struct scene scene;

    if (!stepping_works())
        return;
    scene_begin(&scene, RINGD_LOSSLESS);
    actor_start_warm(&a, &scene, 3, OPERATION_WRITE);
    actor_start_warm(&b, &scene, 7, OPERATION_WRITE);
    actor_start_warm(&c, &scene, 9, OPERATION_WRITE);
    actor_stand(&c, STAGE_ADDED);
    actor_stand(&b, STAGE_SEEN);
    actor_stand(&a, STAGE_ADDED);
    actor_kill(&a);
    ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3), &state), RING_REPAIR_WAITS);
    actor_stand(&b, STAGE_ADDED);
    actor_kill(&b);
    actor_work(&c);
    repair(&scene, 7, bit_of(3) | bit_of(7));
    ck_assert_int_eq(ring_repair(&scene.ring, 3, bit_of(3) | bit_of(7), &state), RING_REPAIRED);
    require_whole(&scene);
    scene_end(&scene);
}
END_TEST

static TCase *add_tests(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);

    tcase_set_timeout(tests, SUPPORT_GUARD_S);
    suite_add_tcase(suite, tests);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("repair");
    TCase *tests = add_tests(suite, "kills");

    tcase_add_loop_test(tests, a_writer_killed_at_each_instruction, 0, OPERATIONS);
    tcase_add_loop_test(tests, a_repairer_killed_at_each_instruction, 0, DEATHS);
    tests = add_tests(suite, "neighbours");
    tcase_add_test(tests, a_living_writer_without_a_place_is_waited_for);
    tcase_add_test(tests, one_that_dies_while_it_is_waited_for_counts_as_dead);
    tcase_add_test(tests, neighbours_begin_the_next_record_meanwhile);
    tcase_add_test(tests, others_reserve_behind_the_snapshot_meanwhile);
    tests = add_tests(suite, "borders");
    tcase_add_test(tests, a_reader_begins_between_two_dead);
    tcase_add_test(tests, a_third_dies_who_has_seen_the_border);
    tcase_add_test(tests, two_repairs_of_one_gap);
    tests = add_tests(suite, "limit");
    tcase_add_test(tests, a_raise_from_before_the_death_is_done_during_the_walk);
    tests = add_tests(suite, "random");
    tcase_add_loop_test(tests, any_arrangement, RINGD_LOSSLESS, RINGD_OVERWRITE + 1);
    tcase_add_test(tests, a_scribbled_ring);
    return run_suite(suite);
}
