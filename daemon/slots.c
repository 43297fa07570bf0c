/* slots.c - see slots.h. */
#define _GNU_SOURCE
#include "slots.h"

#include <errno.h>
#include <stddef.h>

#include "ring.h"
#include "shared_ring.h"
#include "stop_point.h"
#include "wake.h"

/* A context's kind is stored as its owner state: the numbers are the same. */
_Static_assert((int)RINGD_OWNER_WRITER == (int)RINGD_CONTEXT_WRITER, "writer");
_Static_assert((int)RINGD_OWNER_LOSSLESS == (int)RINGD_CONTEXT_LOSSLESS, "lossless");
_Static_assert((int)RINGD_OWNER_LOSSY == (int)RINGD_CONTEXT_LOSSY, "lossy");
_Static_assert((int)RINGD_OWNER_OBSERVER == (int)RINGD_CONTEXT_OBSERVER, "observer");
_Static_assert((int)RINGD_OWNER_EVICTED == (int)RINGD_CONTEXT_EVICTED, "evicted");

/* ---- where things are ------------------------------------------------------------------------------------------ */

static struct ringd_lane *lane_of(const struct shared_ring *ring, uint32_t writer)
{
    return segment_lane(&ring->segment, writer / RINGD_WRITERS_PER_LANE);
}

static uint32_t bit_of(uint32_t writer)
{
    return UINT32_C(1) << writer % RINGD_WRITERS_PER_LANE;
}

static struct ringd_writer_slot *writer_slot(const struct shared_ring *ring, uint32_t writer)
{
    return &lane_of(ring, writer)->writers[writer % RINGD_WRITERS_PER_LANE];
}

static struct ringd_owner *owner_of(const struct context *context)
{
    if (context_is_writer(context))
        return &writer_slot(context->ring, context->slot)->owner;
    return &context->ring->segment.control->readers[context->slot];
}

static bool is_active(const struct shared_ring *ring, uint32_t writer)
{
    return (atomic_load_explicit(&lane_of(ring, writer)->word, memory_order_acquire) & bit_of(writer)) != 0;
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

static int find_in_lane(const struct shared_ring *ring, uint32_t lane, uint32_t *slot)
{
    uint32_t first = lane * RINGD_WRITERS_PER_LANE;

    for (uint32_t i = first; i < first + geometry_writers(&ring->segment.geometry); i++) {
        if (ring->writers[i].context == NULL && !ring->writers[i].closed && !is_active(ring, i)) {
            *slot = i;
            return 0;
        }
    }
    return -EUSERS;
}

static uint32_t count_in_lane(const struct shared_ring *ring, uint32_t lane)
{
    const struct slot *slots = &ring->writers[lane * RINGD_WRITERS_PER_LANE];
    uint32_t count = 0;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++)
        count += slots[i].context != NULL || slots[i].closed;
    return count;
}

/* In the lane with the fewest of those that have a slot to give. */
static int find_anywhere(const struct shared_ring *ring, uint32_t *slot)
{
    uint32_t fewest = RINGD_WRITERS_PER_LANE;
    int result = -EUSERS;

    for (uint32_t lane = 0; lane < ring->segment.geometry.lane_count; lane++) {
        uint32_t count = count_in_lane(ring, lane);

        if (count >= fewest || find_in_lane(ring, lane, slot) < 0)
            continue;
        fewest = count;
        result = 0;
    }
    return result;
}

static int find_reader(const struct shared_ring *ring, uint32_t *slot)
{
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (ring->readers[i].context == NULL && !ring->readers[i].closed) {
            *slot = i;
            return 0;
        }
    }
    return -EUSERS;
}

int slots_find(const struct shared_ring *ring, const struct context_wish *wish, uint32_t *slot)
{
    if (wish->kind != RINGD_CONTEXT_WRITER)
        return find_reader(ring, slot);
    return wish->lane != 0 ? find_in_lane(ring, wish->lane - 1, slot) : find_anywhere(ring, slot);
}

/* ---- writers --------------------------------------------------------------------------------------------------- */

/* A sum and the counter that goes into it. `committed` is not among them: `sequence` counts on over all owners, and
 * what the last one committed is what it added to it. */
static const struct counter {
    size_t sum, counter;
} counters[] = {
    {offsetof(struct ringd_departed, offered), offsetof(struct ringd_writer_slot, offered)},
    {offsetof(struct ringd_departed, bytes), offsetof(struct ringd_writer_slot, bytes)},
    {offsetof(struct ringd_departed, aborted), offsetof(struct ringd_writer_slot, aborted)},
    {offsetof(struct ringd_departed, refused), offsetof(struct ringd_writer_slot, refused)},
    {offsetof(struct ringd_departed, dropped_full), offsetof(struct ringd_writer_slot, dropped_full)},
    {offsetof(struct ringd_departed, dropped_stalled), offsetof(struct ringd_writer_slot, dropped_stalled)},
    {offsetof(struct ringd_departed, waited), offsetof(struct ringd_writer_slot, waited)},
    {offsetof(struct ringd_departed, lost), offsetof(struct ringd_writer_slot, lost)},
};

#define COUNTERS (sizeof counters / sizeof *counters)

static _Atomic uint64_t *counter_at(void *base, size_t offset)
{
    return (_Atomic uint64_t *)(void *)((unsigned char *)base + offset);
}

static void set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What the sums will be. */
static void write_sums(struct ringd_lane *lane, struct ringd_writer_slot *slot)
{
    struct ringd_departed *now = &lane->departed, *sums = &lane->closing.sums;

    set(&sums->committed, get(&now->committed) + get(&slot->sequence) - slot->first_sequence);
    for (size_t i = 0; i < COUNTERS; i++)
        set(counter_at(sums, counters[i].sum),
            get(counter_at(now, counters[i].sum)) + get(counter_at(slot, counters[i].counter)));
}

/* From where they are written down everything can be done again, also by a successor. */
static void finish_closing(struct ringd_lane *lane)
{
    uint64_t number = atomic_load_explicit(&lane->closing.slot, memory_order_acquire);
    struct ringd_departed *sums = &lane->closing.sums;
    struct ringd_writer_slot *slot;

    if (number == 0 || number > RINGD_WRITERS_PER_LANE)
        return;
    slot = &lane->writers[number - 1];
    set(&lane->departed.committed, get(&sums->committed));
    for (size_t i = 0; i < COUNTERS; i++)
        set(counter_at(&lane->departed, counters[i].sum), get(counter_at(sums, counters[i].sum)));
    STOP_POINT("slot-sums-stored");
    slot->first_sequence = get(&slot->sequence);
    for (size_t i = 0; i < COUNTERS; i++)
        set(counter_at(slot, counters[i].counter), 0);
    STOP_POINT("slot-counters-cleared");
    atomic_store_explicit(&lane->closing.slot, 0, memory_order_release);
    STOP_POINT("slot-closed");
}

static void close_last_owner(struct ringd_lane *lane, struct ringd_writer_slot *slot)
{
    write_sums(lane, slot);
    STOP_POINT("slot-sums-written");
    atomic_store_explicit(&lane->closing.slot, (uint64_t)(slot - lane->writers) + 1, memory_order_release);
    STOP_POINT("slot-closing");
    finish_closing(lane);
}

/* A bit left among the waiting would make everybody behind it wait for nobody. */
static void stop_waiting(const struct shared_ring *ring, uint32_t writer)
{
    atomic_fetch_and_explicit(&lane_of(ring, writer)->waiters, ~bit_of(writer), memory_order_seq_cst);
    STOP_POINT("slot-waits-no-more");
    wake_all(&ring->segment.readers->waits.space);
}

static void take_writer(const struct context *context)
{
    struct ringd_lane *lane = lane_of(context->ring, context->slot);
    struct ringd_writer_slot *slot = writer_slot(context->ring, context->slot);

    close_last_owner(lane, slot);
    atomic_store_explicit(&slot->need, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->ticket, 0, memory_order_relaxed);
    if (atomic_load_explicit(&lane->waiters, memory_order_relaxed) & bit_of(context->slot))
        stop_waiting(context->ring, context->slot);
}

/* ---- readers --------------------------------------------------------------------------------------------------- */

static void clear_cursor(struct ringd_cursor *cursor, uint64_t position)
{
    atomic_store_explicit(&cursor->settling, 0, memory_order_relaxed);
    atomic_store_explicit(&cursor->position, position, memory_order_relaxed);
    atomic_store_explicit(&cursor->settled, 0, memory_order_relaxed);
    atomic_store_explicit(&cursor->known, 0, memory_order_relaxed);
    atomic_store_explicit(&cursor->base, 0, memory_order_relaxed);
    atomic_store_explicit(&cursor->unsettled, 0, memory_order_relaxed);
    atomic_store_explicit(&cursor->claim_end, 0, memory_order_relaxed); /* and `behind` */
}

static void clear_reader(const struct context *context, const struct segment *segment, const uint64_t *cursors)
{
    struct ringd_reader_slot *slot = &segment->reader_slots[context->slot];

    atomic_store_explicit(&slot->delivered, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->lost, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->gaps, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->slept, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->skipped, 0, memory_order_relaxed);
    for (uint32_t lane = 0; lane < segment->geometry.lane_count; lane++)
        clear_cursor(segment_cursor(segment, lane, context->slot),
                     context_reads(context, lane) ? cursors[lane] : RINGD_CURSOR_ELSEWHERE);
}

/* Where a lossy reader will look first, as far as the daemon can tell: its cursor is only looked at by people. */
static uint64_t lossy_start(const struct ring *lane, const struct context_wish *wish)
{
    uint64_t position;

    if (wish->kind == RINGD_CONTEXT_OBSERVER || wish->kind == RINGD_CONTEXT_WRITER)
        return 0;
    if (wish->start == RINGD_START_POSITION)
        return wish->position;
    if (wish->start == RINGD_START_NOW && ring_position(lane, &position) == 0)
        return position;
    return ring_oldest(lane);
}

/* Why a lossless reader cannot start where it wants to. */
static int say_start(const struct shared_ring *ring, int result, const struct context_wish *wish,
                     struct problem *problem)
{
    const struct ring *lane = &ring->lanes[shared_ring_lanes(ring, wish->lane).first];
    uint64_t wanted = wish->position, position = 0;

    if (result == -EINVAL)
        return problem_say(problem, result, "no record of ring \"%s\" begins at position %ju", ring->name,
                           (uintmax_t)wanted);
    if (result == -ERANGE && ring_position(lane, &position) == 0)
        return problem_say(problem, result, "position %ju is not in ring \"%s\": what is there goes from %ju to %ju",
                           (uintmax_t)wanted, ring->name, (uintmax_t)ring_oldest(lane), (uintmax_t)position);
    return problem_say(problem, result,
                       "ring \"%s\" is damaged, somebody scribbles over it; remove it and make it anew", ring->name);
}

/* A position that was fine before joining may be overwritten until the join takes hold; then the start is another.
 * (Only readers of one lane have positions to start at.) In lanes that it does not read its cursor is elsewhere. */
static int join(const struct context *context, const struct context_wish *wish, uint64_t *cursors,
                struct problem *problem)
{
    struct lane_range range = shared_ring_lanes(context->ring, context->lane);
    struct ring *lanes = &context->ring->lanes[range.first];
    bool at_position = wish->start == RINGD_START_POSITION;
    int result = at_position ? ring_check_start(&lanes[0], wish->position) : 0;

    if (result == 0)
        result = ring_join(lanes, range.end - range.first, context->slot, wish->start, wish->position,
                           &cursors[range.first]);
    if (result == 0 && at_position && cursors[range.first] != wish->position) {
        ring_leave(&lanes[0], context->slot);
        result = -ERANGE;
    }
    return result < 0 ? say_start(context->ring, result, wish, problem) : 0;
}

static void leave(const struct context *context)
{
    ring_leave(&context->ring->lanes[0], context->slot);
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static void fill_owner(const struct context *context, struct ringd_owner *owner)
{
    atomic_store_explicit(&owner->incarnation, context->incarnation, memory_order_relaxed);
    atomic_store_explicit(&owner->pid, context->pid, memory_order_relaxed);
    atomic_store_explicit(&owner->uid, context->uid, memory_order_relaxed);
    STOP_POINT("owner-named");
    atomic_store_explicit(&owner->state, context->kind, memory_order_release);
    STOP_POINT("owner-published");
}

static void publish_owner(const struct context *context)
{
    fill_owner(context, owner_of(context));
}

static void clear_owner(const struct context *context)
{
    atomic_store_explicit(&owner_of(context)->state, RINGD_OWNER_NONE, memory_order_release);
    STOP_POINT("owner-cleared");
}

int slots_take(const struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
               struct problem *problem)
{
    const struct shared_ring *ring = context->ring;
    int result = 0;

    for (uint32_t lane = 0; lane < ring->segment.geometry.lane_count; lane++)
        cursors[lane] = lossy_start(&ring->lanes[lane], wish);
    if (wish->kind == RINGD_CONTEXT_WRITER)
        take_writer(context);
    else
        clear_reader(context, &ring->segment, cursors);
    publish_owner(context);
    if (wish->kind == RINGD_CONTEXT_LOSSLESS)
        result = join(context, wish, cursors, problem);
    if (result < 0)
        clear_owner(context);
    return result;
}

void slots_take_member(const struct context *context, const uint64_t cursors[RINGD_LANES_MAX])
{
    clear_reader(context, &context->ring->segment, cursors);
    publish_owner(context);
}

void slots_take_older(const struct context *context, uint64_t generation, const uint64_t cursors[RINGD_LANES_MAX])
{
    struct generation *g;

    TAILQ_FOREACH(g, &context->ring->older, link)
    {
        if (g->number < generation)
            continue;
        clear_reader(context, &g->segment, g->number == generation ? cursors : g->segment.firsts);
        fill_owner(context, &g->segment.control->readers[context->slot]);
    }
}

void slots_stop_waiting(const struct context *context)
{
    stop_waiting(context->ring, context->slot);
}

/* Whoever closed in order took nothing along. Who did not can have lost one grant, of records of a unit each at least;
 * more than that are counters that somebody has scribbled over, and it is not for us to make their sum come true. */
uint64_t slots_settle(const struct context *context)
{
    struct ringd_writer_slot *slot = writer_slot(context->ring, context->slot);
    uint64_t lost = atomic_load_explicit(&slot->offered, memory_order_relaxed);

    lost -= atomic_load_explicit(&slot->sequence, memory_order_relaxed) - slot->first_sequence;
    lost -= atomic_load_explicit(&slot->aborted, memory_order_relaxed);
    lost -= atomic_load_explicit(&slot->refused, memory_order_relaxed);
    lost -= atomic_load_explicit(&slot->dropped_full, memory_order_relaxed);
    lost -= atomic_load_explicit(&slot->dropped_stalled, memory_order_relaxed);
    if (lost > context->ring->segment.geometry.max_grant / RINGD_UNIT)
        lost = 0;
    atomic_store_explicit(&slot->lost, lost, memory_order_relaxed);
    STOP_POINT("repair-settled");
    return lost;
}

void slots_leave(const struct context *context)
{
    if (context->kind == RINGD_CONTEXT_LOSSLESS)
        leave(context);
    clear_owner(context);
}

/* Also in the old generations that it has still to read. */
static void tell_evicted(const struct context *context)
{
    const struct generation *g;

    TAILQ_FOREACH(g, &context->ring->older, link)
    {
        atomic_store_explicit(&g->segment.control->readers[context->slot].state, RINGD_OWNER_EVICTED,
                              memory_order_seq_cst);
    }
}

void slots_evict(const struct context *context)
{
    tell_evicted(context);
    atomic_store_explicit(&owner_of(context)->state, RINGD_OWNER_EVICTED, memory_order_seq_cst);
    STOP_POINT("evict-told");
    leave(context);
    wake_all(&context->ring->segment.readers->waits.data); /* it may sleep with records that it has not given back */
}

static void clear_free_writer(const struct shared_ring *ring, uint32_t writer)
{
    struct ringd_owner *owner = &writer_slot(ring, writer)->owner;

    if (ring->writers[writer].context != NULL || ring->writers[writer].closed)
        return;
    if (atomic_load_explicit(&lane_of(ring, writer)->waiters, memory_order_relaxed) & bit_of(writer))
        stop_waiting(ring, writer);
    atomic_store_explicit(&owner->state, RINGD_OWNER_NONE, memory_order_release);
}

static void clear_free_reader(const struct shared_ring *ring, uint32_t reader)
{
    struct ringd_control *control = ring->segment.control;
    uint64_t bits = atomic_load_explicit(&control->lossless[reader / 64], memory_order_seq_cst);

    if (ring->readers[reader].context != NULL || ring->readers[reader].closed)
        return;
    if (bits >> reader % 64 & 1)
        ring_leave(&ring->lanes[0], reader);
    atomic_store_explicit(&control->readers[reader].state, RINGD_OWNER_NONE, memory_order_release);
}

void slots_clear_free(const struct shared_ring *ring)
{
    for (uint32_t lane = 0; lane < ring->segment.geometry.lane_count; lane++)
        finish_closing(segment_lane(&ring->segment, lane));
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++)
        clear_free_writer(ring, i);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        clear_free_reader(ring, i);
    /* A predecessor may have been about to. */
    wake_all(&ring->segment.readers->waits.data);
    wake_all(&ring->segment.readers->waits.space);
}

bool slots_cursor_is_bad(const struct context *context)
{
    for (uint32_t lane = 0; lane < context->ring->segment.geometry.lane_count; lane++) {
        if (ring_check_cursor(&context->ring->lanes[lane], context->slot) != 0)
            return true;
    }
    return false;
}
