/* generation.c - see generation.h. */
#define _GNU_SOURCE
#include "generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "context.h"
#include "fd_store.h"
#include "groups.h"
#include "log.h"
#include "named.h"
#include "quantity.h"
#include "recovery.h"
#include "registry.h"
#include "ring_move.h"
#include "wake.h"

/* Generations that are kept for contexts which do not come along; each is as large as the ring was. */
#define OLDER_MAX 16

/* ---- one generation -------------------------------------------------------------------------------------------- */

static void generation_free(struct generation *generation)
{
    if (generation == NULL)
        return;
    segment_unmap(&generation->segment);
    segment_objects_deinit(&generation->objects);
    free(generation->lanes);
    free(generation);
}

static int generation_map(struct generation *g, uint32_t lane_count, struct problem *problem)
{
    int result = segment_map(&g->segment, g->objects.segment.fd, g->objects.readers.fd, SEGMENT_WRITER);

    if (result < 0)
        return problem_say(problem, result, "cannot map the ring's new memory: %s", strerror(-result));
    for (uint32_t i = 0; i < lane_count; i++)
        ring_init(&g->lanes[i], &g->segment, i);
    return 0;
}

/* Its data's pages are still to be reserved. Nobody knows of it. */
static int generation_new(struct generation **generation, const struct shared_ring *ring, uint64_t size,
                          struct problem *problem)
{
    const struct geometry *before = &ring->segment.geometry;
    uint64_t number = before->generation + 1;
    struct object_name name = object_name_ring(ring->instance_id, ring->name, number);
    struct generation *g = calloc(1, sizeof *g);
    int result;

    *generation = NULL;
    if (g == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    segment_objects_init(&g->objects);
    g->number = number;
    g->lanes = calloc(before->lane_count, sizeof *g->lanes);
    result = g->lanes == NULL ? problem_say(problem, -ENOMEM, "out of memory")
                              : segment_create_begin_next(&g->objects, &name, before, size, problem);
    if (result < 0)
        generation_free(g);
    else
        *generation = g;
    return result;
}

/* Complete but for where it begins and what goes on in it; gone if that fails. */
static int generation_finish(struct generation *g, uint32_t lane_count, int reserved, struct problem *problem)
{
    int result = segment_create_end(&g->objects, reserved, problem);

    if (result == 0)
        result = generation_map(g, lane_count, problem);
    if (result < 0)
        generation_free(g);
    return result;
}

/* ---- what goes on ---------------------------------------------------------------------------------------------- */

/* A lossless reader in the generation that ends: what it has still to read of a lane, up to what the next one has room
 * for. Of one that is in an older generation nobody tells the next but one how it gets on. */
static uint64_t left_to_read(const struct context *context, uint32_t lane, const struct ring_end *end, uint64_t most)
{
    const struct segment *from = &context->ring->segment;
    uint64_t left;

    if (context->kind != RINGD_CONTEXT_LOSSLESS || context->member || !context_reads(context, lane) ||
        context->generation != from->geometry.generation)
        return 0;
    left = end->position -
           atomic_load_explicit(&segment_cursor(from, lane, context->slot)->position, memory_order_seq_cst);
    if ((int64_t)left < 0 || left % RINGD_UNIT != 0)
        return 0; /* beyond the end, as one that began at a W with additions that were void; or it makes no sense */
    return left < most ? left : most;
}

/* Who has the reader slots is taken from our own knowledge. */
static void carry_reader(const struct context *context, const struct ring_end *ends, struct segment *to)
{
    uint64_t reach = to->geometry.data_bytes - to->geometry.head_room;
    struct ringd_owner *owner = &to->control->readers[context->slot];

    atomic_store_explicit(&owner->incarnation, context->incarnation, memory_order_relaxed);
    atomic_store_explicit(&owner->pid, context->pid, memory_order_relaxed);
    atomic_store_explicit(&owner->uid, context->uid, memory_order_relaxed);
    atomic_store_explicit(&owner->state, context->kind, memory_order_relaxed);
    if (context->kind == RINGD_CONTEXT_OBSERVER)
        return;
    for (uint32_t lane = 0; lane < to->geometry.lane_count; lane++) {
        struct ringd_cursor *cursor = segment_cursor(to, lane, context->slot);

        atomic_store_explicit(&cursor->position,
                              context_reads(context, lane) ? ends[lane].position : RINGD_CURSOR_ELSEWHERE,
                              memory_order_relaxed);
        atomic_store_explicit(&cursor->behind, left_to_read(context, lane, &ends[lane], reach), memory_order_relaxed);
    }
    if (context->kind == RINGD_CONTEXT_LOSSLESS && !context->member)
        atomic_fetch_or_explicit(&to->control->lossless[context->slot / 64], UINT64_C(1) << context->slot % 64,
                                 memory_order_relaxed);
}

/* Of the reader that is furthest behind. Where lossless readers do not count, nobody waits for it. */
static uint64_t furthest_behind(const struct shared_ring *ring, const struct segment *to, uint32_t lane)
{
    uint64_t most = 0;

    for (uint32_t i = 0; to->geometry.policy != RINGD_OVERWRITE && i < RINGD_READERS_MAX; i++) {
        uint64_t behind = ring->readers[i].context == NULL
                              ? 0
                              : atomic_load_explicit(&segment_cursor(to, lane, i)->behind, memory_order_relaxed);

        most = behind > most ? behind : most;
    }
    return most;
}

static void carry(const struct shared_ring *ring, const struct ring_end *ends, struct generation *to)
{
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (ring->readers[i].context != NULL)
            carry_reader(ring->readers[i].context, ends, &to->segment);
    }
    for (uint32_t lane = 0; lane < to->segment.geometry.lane_count; lane++) {
        segment_begin_at(&to->segment, lane, ends[lane].position);
        ring_carry(&ring->lanes[lane], &ends[lane], furthest_behind(ring, &to->segment, lane), &to->lanes[lane]);
    }
    groups_carry(ring, ends, &to->segment);
    named_carry_all(&ring->segment, &to->segment);
}

/* ---- the move -------------------------------------------------------------------------------------------------- */

static void set_moving(const struct segment *segment, uint32_t moving) /* X1, X6 */
{
    atomic_store_explicit(&segment->control->moving, moving, memory_order_seq_cst);
}

/* Whether they have announced it or not: observers cannot. */
static void wake_sleepers(_Atomic uint32_t *word)
{
    wake_announce(word);
    wake_all(word);
}

static void wake_everybody(const struct segment *segment)
{
    wake_sleepers(&segment->readers->waits.data);
    wake_sleepers(&segment->readers->waits.space);
}

/* As long as no lane is sealed everything can be taken back. */
static bool undo(struct shared_ring *ring)
{
    uint32_t lane_count = ring->segment.geometry.lane_count;

    for (uint32_t i = 0; i < lane_count; i++) {
        if (ring_is_sealed(&ring->lanes[i]))
            return false;
    }
    for (uint32_t i = 0; i < lane_count; i++)
        ring_reopen(&ring->lanes[i]);
    set_moving(&ring->segment, RINGD_MOVING_NO);
    wake_everybody(&ring->segment);
    return true;
}

/* Closes, seals and settles. A failure is damage. */
static int end_lanes(struct shared_ring *ring, uint64_t size, struct ring_end *ends)
{
    uint32_t lane_count = ring->segment.geometry.lane_count;
    int result = 0;

    atomic_store_explicit(&ring->segment.control->next_bytes, size, memory_order_relaxed);
    set_moving(&ring->segment, RINGD_MOVING_BEGUN);
    STOP_POINT("move-begun");
    for (uint32_t i = 0; i < lane_count && result == 0; i++)
        result = ring_seal(&ring->lanes[i], &ends[i]);
    for (uint32_t i = 0; i < lane_count && result == 0; i++) {
        result = ring_settle(&ring->lanes[i], &ends[i]);
        STOP_POINT("move-settled");
    }
    return result;
}

/* The new one becomes the present one; what it was is the newest of the old. */
static void exchange(struct shared_ring *ring, struct generation *g)
{
    struct generation present = *g;

    g->number = ring->segment.geometry.generation;
    g->objects = ring->objects;
    g->segment = ring->segment;
    g->lanes = ring->lanes;
    ring->objects = present.objects;
    ring->segment = present.segment;
    ring->lanes = present.lanes;
    ring->objects_name = object_name_ring(ring->instance_id, ring->name, present.number);
    TAILQ_INSERT_TAIL(&ring->older, g, link);
    ring->older_count++;
}

/* As struct ringd_info has positions: the sum of the lanes'. */
static uint64_t sum_ends(const struct ring_end *ends, uint32_t lane_count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < lane_count; i++)
        sum += ends[i].position;
    return sum;
}

static uint32_t count_abandoned(const struct ring_end *ends, uint32_t lane_count)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < lane_count; i++)
        count += (uint32_t)__builtin_popcountll(ends[i].abandoned);
    return count;
}

/* What those who died in mid-record had left lies in the old generation, where the list passes over it. */
static void recover_dead(struct shared_ring *ring)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        if (ring->writers[i].context != NULL)
            ring->writers[i].context->repair = (struct ring_repair){0};
    }
    recovery_run(ring);
}

/* From here on nothing can fail but by damage. The ring may be gone then. */
static int leave(struct shared_ring *ring, struct generation *next, struct problem *problem)
{
    uint32_t lane_count = ring->segment.geometry.lane_count;
    struct ring_end ends[RINGD_LANES_MAX];
    int result = end_lanes(ring, next->segment.geometry.data_bytes, ends);

    if (result < 0) {
        generation_free(next);
        problem_say(problem, result, "ring \"%s\" is damaged, somebody scribbles over it; remove it and make it anew",
                    ring->name);
        if (!undo(ring))
            registry_remove(ring->registry, ring);
        return result;
    }
    carry(ring, ends, next);
    STOP_POINT("move-carried");
    segment_objects_keep(&next->objects);
    ring_record_move(&ring->record, next->segment.control_map);
    STOP_POINT("move-recorded");
    exchange(ring, next);
    set_moving(&next->segment, RINGD_MOVING_DONE); /* `next` is the old one now */
    STOP_POINT("move-done");
    wake_everybody(&next->segment);
    STOP_POINT("move-woken");
    log_info("ring %s: moved to generation %ju, size %s; it begins at %ju, %u open records were given up", ring->name,
             (uintmax_t)ring->segment.geometry.generation, quantity_text(ring->segment.geometry.data_bytes).text,
             (uintmax_t)sum_ends(ends, lane_count), count_abandoned(ends, lane_count));
    recover_dead(ring);
    generation_settle(ring);
    return 0;
}

static int check_move(const struct shared_ring *ring, uint64_t size, struct problem *problem)
{
    const struct geometry *g = &ring->segment.geometry;

    if (ring->removed)
        return problem_say(problem, -ESHUTDOWN, "ring \"%s\" was removed", ring->name);
    if (size < RINGD_SIZE_MIN || size > RINGD_SIZE_MAX || (size & (size - 1)) != 0)
        return problem_say(problem, -EINVAL, "size %s is no power of two from %s to %s", quantity_text(size).text,
                           quantity_text(RINGD_SIZE_MIN).text, quantity_text(RINGD_SIZE_MAX).text);
    if (g->max_record > size / 64)
        return problem_say(problem, -EINVAL,
                           "size %s is too small for ring \"%s\": its max_record %u may be up to 1/64 of the size; a "
                           "ring keeps its max_record",
                           quantity_text(size).text, ring->name, g->max_record);
    if (ring->older_count >= OLDER_MAX)
        return problem_say(problem, -EBUSY,
                           "ring \"%s\" has moved %u times while somebody stays in an old generation; `ringctl status "
                           "%s` shows who is stopped or behind",
                           ring->name, ring->older_count, ring->name);
    return 0;
}

/* What has been begun. */
struct move {
    struct shared_ring *ring;
    struct generation *next;
    uint64_t size;
    struct reservation *reservation;
    struct later_list waiting;
};

static void end_move(struct move *move, int result, uint64_t number, const struct problem *problem)
{
    later_tell(&move->waiting, result, number, problem);
    free(move);
}

static void on_reserved(void *argument)
{
    struct move *move = argument;
    struct shared_ring *ring = move->ring;
    uint64_t number = move->next->number;
    struct problem problem = {""};
    int result = reservation_end(move->reservation, NULL);

    ring->move = NULL;
    result = generation_finish(move->next, ring->segment.geometry.lane_count, result, &problem);
    if (result == 0) {
        STOP_POINT("move-prepared");
        result = leave(ring, move->next, &problem);
    }
    end_move(move, result, number, &problem);
}

static int begin_move(struct shared_ring *ring, uint64_t size, struct problem *problem)
{
    struct move *move = calloc(1, sizeof *move);
    int result = move == NULL ? problem_say(problem, -ENOMEM, "out of memory")
                              : generation_new(&move->next, ring, size, problem);

    if (result == 0 && reservation_start(&move->reservation, ring->registry->loop,
                                         segment_data_pages(&move->next->objects), on_reserved, move) < 0) {
        generation_free(move->next);
        result = problem_say(problem, -ENOMEM, "out of memory");
    }
    if (result < 0) {
        free(move);
        return result;
    }
    move->ring = ring;
    move->size = size;
    LIST_INIT(&move->waiting);
    ring->move = move;
    return 0;
}

int generation_move(struct shared_ring *ring, uint64_t size, struct later *later, struct problem *problem)
{
    int result = check_move(ring, size, problem);

    if (result == 0 && ring->move == NULL)
        result = begin_move(ring, size, problem);
    else if (result == 0 && ring->move->size != size)
        result = problem_say(problem, -EBUSY, "ring \"%s\" is about to move to size %s; ask again when it has",
                             ring->name, quantity_text(ring->move->size).text);
    if (result == 0)
        later_add(&ring->move->waiting, later);
    return result;
}

void generation_cancel_move(struct shared_ring *ring, const char *why)
{
    struct move *move = ring->move;
    struct problem problem;
    int result;

    if (move == NULL)
        return;
    ring->move = NULL;
    reservation_end(move->reservation, NULL);
    generation_free(move->next);
    result = problem_say(&problem, -ESHUTDOWN, "ring \"%s\" did not move: %s", ring->name, why);
    end_move(move, result, 0, &problem);
}

/* ---- after a restart ------------------------------------------------------------------------------------------- */

/* One of the old generations that a predecessor kept. What cannot be had is left out: who is in it cannot go on. */
static int adopt_one(struct shared_ring *ring, const struct ringd_segment_header *header)
{
    struct object_name name = object_name_ring(ring->instance_id, ring->name, header->generation);
    struct generation *g = calloc(1, sizeof *g);
    struct problem problem;
    int result;

    if (g == NULL)
        return -ENOMEM;
    g->number = header->generation;
    segment_objects_init(&g->objects);
    g->lanes = calloc(header->lane_count, sizeof *g->lanes);
    result = g->lanes == NULL ? -ENOMEM
                              : segment_objects_open(&g->objects, &name, header->segment_bytes, header->readers_bytes);
    if (result == 0)
        result = generation_map(g, ring->segment.geometry.lane_count, &problem);
    if (result == 0 && memcmp(g->segment.control_map, header, sizeof *header) != 0)
        result = -EBADMSG;
    if (result < 0) {
        generation_free(g);
        return result;
    }
    segment_objects_keep(&g->objects);
    TAILQ_INSERT_TAIL(&ring->older, g, link);
    ring->older_count++;
    return 0;
}

void generation_adopt_older(struct shared_ring *ring)
{
    uint64_t present = ring->segment.geometry.generation;

    for (uint64_t n = present > OLDER_MAX ? present - OLDER_MAX : 1; n < present; n++) {
        const struct ringd_segment_header *header = ring_record_header(&ring->record, n);
        int result = header == NULL ? 0 : adopt_one(ring, header);

        if (result < 0)
            log_error(
                "ring %s: generation %ju, which it has left, cannot be taken over: %s; who is still in it cannot go "
                "on",
                ring->name, (uintmax_t)n, strerror(-result));
    }
}

/* What a predecessor had made of the next one. */
static void remove_unfinished(const struct shared_ring *ring)
{
    struct object_name name = object_name_ring(ring->instance_id, ring->name, ring->segment.geometry.generation + 1);
    struct object_name segment_name = object_name_segment(&name), readers_name = object_name_readers(&name);

    shm_unlink(segment_name.text);
    shm_unlink(readers_name.text);
    fd_store_forget(&segment_name);
    fd_store_forget(&readers_name);
}

/* It may have died between the record and these. */
static void finish_older(struct shared_ring *ring)
{
    struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        set_moving(&g->segment, RINGD_MOVING_DONE);
        wake_everybody(&g->segment);
    }
}

int generation_resume(struct shared_ring *ring, struct problem *problem)
{
    uint64_t size = atomic_load_explicit(&ring->segment.control->next_bytes, memory_order_relaxed);
    struct generation *next;
    int result;

    finish_older(ring);
    remove_unfinished(ring);
    if (atomic_load_explicit(&ring->segment.control->moving, memory_order_seq_cst) == RINGD_MOVING_NO)
        return 0;
    log_info("ring %s: the last ringd ended while the ring moved; it is moved now", ring->name);
    result = check_move(ring, size, problem);
    if (result == 0)
        result = generation_new(&next, ring, size, problem);
    if (result == 0) {
        result = reservation_run(segment_data_pages(&next->objects), NULL);
        result = generation_finish(next, ring->segment.geometry.lane_count, result, problem);
    }
    if (result == 0)
        return leave(ring, next, problem);
    if (!undo(ring))
        registry_remove(ring->registry, ring);
    return result;
}

/* ---- those who come along -------------------------------------------------------------------------------------- */

static struct generation *find_older(const struct shared_ring *ring, uint64_t number)
{
    struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        if (g->number == number)
            return g;
    }
    return NULL;
}

/* A lossless reader has read it to its end, in the lanes that it reads: these have been kept for long enough. */
static void note_drained(const struct context *context, uint64_t number)
{
    struct generation *g = context->kind == RINGD_CONTEXT_LOSSLESS ? find_older(context->ring, number) : NULL;
    struct lane_range lanes = shared_ring_lanes(context->ring, context->lane);

    for (uint32_t i = lanes.first; g != NULL && i < lanes.end; i++)
        g->drained |= UINT64_C(1) << i;
}

static bool is_drained(const struct shared_ring *ring, const struct generation *g)
{
    return g->drained == UINT64_MAX >> (RINGD_LANES_MAX - ring->segment.geometry.lane_count);
}

static const struct segment *segment_of(const struct shared_ring *ring, uint64_t number)
{
    const struct generation *g = find_older(ring, number);

    return g != NULL ? &g->segment : &ring->segment;
}

const struct segment *generation_of(const struct context *context)
{
    return segment_of(context->ring, context->generation);
}

const struct segment_objects *generation_objects(const struct shared_ring *ring, uint64_t number)
{
    const struct generation *g = find_older(ring, number);

    return g != NULL ? &g->objects : &ring->objects;
}

void generation_oldest(const struct shared_ring *ring, uint64_t number, uint64_t cursors[RINGD_LANES_MAX])
{
    const struct generation *g = find_older(ring, number);

    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++)
        cursors[i] = ring_oldest(g != NULL ? &g->lanes[i] : &ring->lanes[i]);
}

int generation_check_start(const struct shared_ring *ring, uint64_t number, const struct context_wish *wish)
{
    const struct generation *g = find_older(ring, number);
    uint32_t lane = shared_ring_lanes(ring, wish->lane).first;

    return g == NULL ? -ERANGE : ring_check_start(&g->lanes[lane], wish->position);
}

/* Whether everything that was ever written to these lanes of it is still there. */
static bool is_whole(const struct segment *segment, const struct ring *rings, struct lane_range lanes)
{
    for (uint32_t i = lanes.first; i < lanes.end; i++) {
        if (ring_oldest(&rings[i]) != segment_lane_first(segment, i))
            return false;
    }
    return true;
}

/* Whether a reader of these lanes that joined at these cursors has joined at the beginning. */
static bool is_beginning(const struct segment *segment, const uint64_t *cursors, struct lane_range lanes)
{
    return memcmp(&cursors[lanes.first], &segment->firsts[lanes.first], (lanes.end - lanes.first) * sizeof *cursors) ==
           0;
}

/* Of the generations from which one can read up to now without a gap the oldest, or the one with a position. */
uint64_t generation_for_reader(const struct shared_ring *ring, const struct context_wish *wish,
                               uint64_t cursors[RINGD_LANES_MAX])
{
    const struct segment *newer = &ring->segment;
    const struct ring *newer_lanes = ring->lanes;
    struct lane_range lanes = shared_ring_lanes(ring, wish->lane);
    struct generation *g, *found = NULL;

    if (wish->start == RINGD_START_NOW ||
        (wish->kind == RINGD_CONTEXT_LOSSLESS && !is_beginning(&ring->segment, cursors, lanes)))
        return 0;
    TAILQ_FOREACH_REVERSE(g, &ring->older, generation_list, link)
    {
        if (g->number + 1 != newer->geometry.generation || !is_whole(newer, newer_lanes, lanes) ||
            (wish->start == RINGD_START_POSITION &&
             (int64_t)(wish->position - segment_lane_first(newer, lanes.first)) >= 0))
            break;
        found = g;
        newer = &g->segment;
        newer_lanes = g->lanes;
    }
    if (found == NULL)
        return 0;
    for (uint32_t i = 0; i < found->segment.geometry.lane_count; i++)
        cursors[i] = wish->start == RINGD_START_OLDEST ? ring_oldest(&found->lanes[i]) : wish->position;
    return found->number;
}

/* `from` is input: a context goes on by one generation, or asks once more for the one it was given. */
int generation_follow(struct context *context, uint64_t from, struct problem *problem,
                      const struct segment_objects **objects)
{
    struct shared_ring *ring = context->ring;
    uint64_t present = ring->segment.geometry.generation, next = from + 1;

    if (context_is_writer(context))
        next = present;
    else if (next < context->generation || next > context->generation + 1)
        next = context->generation + 1;
    if (from >= present || next > present)
        return problem_say(problem, -EALREADY, "ring \"%s\" is in generation %ju, and the context knows it", ring->name,
                           (uintmax_t)present);
    *objects = generation_objects(ring, next);
    named_follow(context, segment_of(ring, next));
    context_set_generation(context, next);
    note_drained(context, next - 1);
    generation_settle(ring);
    return 0;
}

/* ---- leaving old ones behind ----------------------------------------------------------------------------------- */

static uint64_t lowest_generation(const struct slot *slots, uint32_t slot_count, uint64_t lowest)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        if (slots[i].context != NULL && slots[i].context->generation < lowest)
            lowest = slots[i].context->generation;
    }
    return lowest;
}

static void remove_oldest(struct shared_ring *ring)
{
    struct generation *g = TAILQ_FIRST(&ring->older);

    TAILQ_REMOVE(&ring->older, g, link);
    ring->older_count--;
    if (ring->record.page != NULL)
        ring_record_forget(&ring->record, g->number);
    log_debug("ring %s: nobody is in generation %ju any more", ring->name, (uintmax_t)g->number);
    generation_free(g);
}

/* Whether less than a ring's size has been written to each lane since that generation's end. */
static bool is_recent(const struct shared_ring *ring, const struct generation *g)
{
    const struct generation *next = TAILQ_NEXT(g, link);
    const struct segment *after = next != NULL ? &next->segment : &ring->segment;

    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++) {
        uint64_t position;

        if (ring_position(&ring->lanes[i], &position) < 0 ||
            position - segment_lane_first(after, i) >= ring->segment.geometry.data_bytes)
            return false;
    }
    return is_whole(&ring->segment, ring->lanes, shared_ring_lanes(ring, 0));
}

/* Whether somebody who comes later is promised what is in it. */
static bool is_promised(const struct shared_ring *ring, const struct generation *g)
{
    if (ring->removed || is_drained(ring, g))
        return false;
    return ring->segment.geometry.policy == RINGD_OVERWRITE ? is_recent(ring, g) : ring->segment.geometry.hold;
}

void generation_settle(struct shared_ring *ring)
{
    uint64_t lowest;

    if (TAILQ_EMPTY(&ring->older))
        return;
    groups_settle(ring);
    lowest = lowest_generation(ring->writers, shared_ring_writer_count(ring), ring->segment.geometry.generation);
    lowest = lowest_generation(ring->readers, RINGD_READERS_MAX, lowest);
    while (!TAILQ_EMPTY(&ring->older) && TAILQ_FIRST(&ring->older)->number < lowest &&
           !is_promised(ring, TAILQ_FIRST(&ring->older)))
        remove_oldest(ring);
}

void generation_end_all(struct shared_ring *ring)
{
    struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        segment_objects_unlink(&g->objects);
        atomic_store_explicit(&g->segment.control->state, RINGD_RING_REMOVED, memory_order_seq_cst);
        wake_everybody(&g->segment);
    }
}

bool generation_contains(const struct shared_ring *ring, const void *address)
{
    const struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        if (segment_contains(&g->segment, address))
            return true;
    }
    return false;
}

bool generation_has_object(const struct shared_ring *ring, const struct object_name *name)
{
    const struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        if (strcmp(name->text, g->objects.segment.name.text) == 0 ||
            strcmp(name->text, g->objects.readers.name.text) == 0)
            return true;
    }
    return false;
}

void generation_leave_all(struct shared_ring *ring)
{
    struct generation *g;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        segment_objects_leave(&g->objects);
    }
}

void generation_free_all(struct shared_ring *ring)
{
    struct generation *g;

    while ((g = TAILQ_FIRST(&ring->older)) != NULL) {
        TAILQ_REMOVE(&ring->older, g, link);
        generation_free(g);
    }
}
