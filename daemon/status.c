/* status.c - see status.h. */
#define _GNU_SOURCE
#include "status.h"

#include <bsd/string.h>
#include <unistd.h>

#include "context.h"
#include "generation.h"
#include "groups.h"
#include "named.h"
#include "stall.h"
#include "wake.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- a ring ---------------------------------------------------------------------------------------------------- */

static void add_departed(struct ringd_info *info, const struct ringd_departed *departed)
{
    info->offered += load(&departed->offered);
    info->committed += load(&departed->committed);
    info->bytes += load(&departed->bytes);
    info->aborted += load(&departed->aborted);
    info->refused += load(&departed->refused);
    info->dropped_full += load(&departed->dropped_full);
    info->dropped_stalled += load(&departed->dropped_stalled);
    info->lost += load(&departed->lost);
}

/* Also of a slot whose owner has left: its counters are added to the departed when it gets the next one. */
static void add_slot(struct ringd_info *info, const struct ringd_writer_slot *slot)
{
    info->offered += load(&slot->offered);
    info->committed += load(&slot->sequence) - slot->first_sequence;
    info->bytes += load(&slot->bytes);
    info->aborted += load(&slot->aborted);
    info->refused += load(&slot->refused);
    info->dropped_full += load(&slot->dropped_full);
    info->dropped_stalled += load(&slot->dropped_stalled);
    info->lost += load(&slot->lost);
}

static void add_counters(struct ringd_info *info, const struct segment *segment)
{
    for (uint32_t i = 0; i < segment->geometry.lane_count; i++) {
        const struct ringd_lane *lane = segment_lane(segment, i);

        add_departed(info, &lane->departed);
        for (uint32_t bit = 0; bit < RINGD_WRITERS_PER_LANE; bit++)
            add_slot(info, &lane->writers[bit]);
    }
}

/* Sums: what they mean to people, how much is there and how far one can go, is one number. */
static void add_positions(struct ringd_info *info, const struct shared_ring *ring)
{
    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++) {
        const struct ring *lane = &ring->lanes[i];
        uint64_t oldest = ring_oldest(lane), position;

        info->oldest += oldest;
        info->position += ring_position(lane, &position) == 0 ? position : oldest;
        info->limit += load(&lane->lane->limit) & RINGD_POSITION_MASK;
    }
}

static void count_contexts(struct ringd_info *info, const struct shared_ring *ring)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++)
        info->writers += ring->writers[i].context != NULL && !ring->writers[i].context->dead;
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        const struct context *context = ring->readers[i].context;

        if (context == NULL || context->dead)
            continue;
        info->lossless_readers += context->kind == RINGD_CONTEXT_LOSSLESS;
        info->lossy_readers += context->kind == RINGD_CONTEXT_LOSSY || context->kind == RINGD_CONTEXT_EVICTED;
        info->observers += context->kind == RINGD_CONTEXT_OBSERVER;
    }
}

void status_of_ring(const struct shared_ring *ring, struct ringd_info *info)
{
    const struct geometry *geometry = &ring->segment.geometry;

    *info = (struct ringd_info){
        .size = geometry->data_bytes,
        .policy = geometry->policy,
        .time = geometry->time_source,
        .max_record = geometry->max_record,
        .hold = geometry->hold,
        .writers_max = geometry_writers(geometry),
        .lanes = geometry->lane_count,
        .mode = ring->rights.mode,
        .owner_uid = ring->rights.owner,
        .owner_gid = ring->rights.group,
        .state = ring->removed ? RINGD_RING_REMOVED : RINGD_RING_LIVE,
        .daemon_pid = (uint32_t)getpid(),
        .generation = geometry->generation,
        .created_ns = geometry->created_ns,
        .ticks_per_second = geometry->ticks_per_second,
        .stopped = geometry->stopped_policy,
        .stopped_after_ms = geometry->stopped_after_ms,
        .slow = geometry->slow_policy,
        .slow_after_ms = geometry->slow_after_ms,
        .slow_bytes = geometry->slow_bytes,
        .sampled_ns = (uint64_t)wake_now(),
    };
    strlcpy(info->name, ring->name, sizeof info->name);
    add_positions(info, ring);
    add_counters(info, &ring->segment);
    count_contexts(info, ring);
    info->group_lost = groups_lost_in_all(ring);
}

/* ---- a context ------------------------------------------------------------------------------------------------- */

static uint32_t writer_state(const struct context *context, const struct ringd_lane *lane, uint32_t bit)
{
    if (context->dead)
        return RINGD_CONTEXT_DEAD;
    if (context->holder == NULL && !context->adopted)
        return RINGD_CONTEXT_LOST;
    if (load(&lane->word) >> bit & 1)
        return RINGD_CONTEXT_IN_RECORD;
    if (atomic_load_explicit(&lane->waiters, memory_order_relaxed) >> bit & 1)
        return RINGD_CONTEXT_WAITING;
    return RINGD_CONTEXT_IDLE;
}

static void fill_writer(struct ringd_context_info *info, const struct context *context)
{
    const struct ringd_lane *lane = segment_lane(&context->ring->segment, context->slot / RINGD_WRITERS_PER_LANE);
    uint32_t bit = context->slot % RINGD_WRITERS_PER_LANE;
    const struct ringd_writer_slot *slot = &lane->writers[bit];

    info->lane = context->slot / RINGD_WRITERS_PER_LANE + 1;
    info->state = writer_state(context, lane, bit);
    info->offered = load(&slot->offered);
    info->committed = load(&slot->sequence) - slot->first_sequence;
    info->bytes = load(&slot->bytes);
    info->aborted = load(&slot->aborted);
    info->refused = load(&slot->refused);
    info->dropped_full = load(&slot->dropped_full);
    info->dropped_stalled = load(&slot->dropped_stalled);
    info->waited = load(&slot->waited);
}

/* Sums of the lanes' that it reads. A cursor beyond the position (nonsense, or moved on since the position was loaded)
 * lags behind nothing. */
static void add_cursor(struct ringd_context_info *info, const struct shared_ring *ring, uint32_t lane, uint64_t cursor)
{
    uint64_t position;

    info->cursor += cursor;
    if (ring_position(&ring->lanes[lane], &position) == 0 && cursor < position)
        info->lag += position - cursor;
}

static void fill_cursor(struct ringd_context_info *info, const struct context *context)
{
    const struct segment *segment = generation_of(context);
    struct lane_range lanes = shared_ring_lanes(context->ring, context->lane);

    for (uint32_t i = lanes.first; i < lanes.end; i++)
        add_cursor(info, context->ring, i,
                   context->member ? groups_cursor(context, i)
                                   : load(&segment_cursor(segment, i, context->slot)->position));
}

static void fill_reader(struct ringd_context_info *info, const struct context *context)
{
    const struct ringd_reader_slot *slot = &generation_of(context)->reader_slots[context->slot];

    info->state = context->holder == NULL && !context->adopted ? RINGD_CONTEXT_LOST : RINGD_CONTEXT_IDLE;
    if (context->dead)
        info->state = RINGD_CONTEXT_DEAD; /* of a group, until another member has read what it had claimed */
    if (context->member) {
        info->member = 1;
        info->group_lost = groups_lost(context->ring, context->group);
        strlcpy(info->label, groups_label(context->ring, context->group), sizeof info->label);
    }
    info->lane = context->lane;
    info->delivered = load(&slot->delivered);
    info->delivered_bytes = load(&slot->bytes);
    info->lost = load(&slot->lost);
    info->gaps = load(&slot->gaps);
    info->slept = load(&slot->slept);
    info->skipped = load(&slot->skipped);
    if (context->kind != RINGD_CONTEXT_OBSERVER)
        fill_cursor(info, context);
    if (!context->member)
        strlcpy(info->label, named_label(context), sizeof info->label);
}

/* A stopped writer in mid-record holds those of its lane up where the limit is: it cannot be raised beyond that for
 * long. */
static uint64_t bytes_ahead(const struct context *writer)
{
    const struct ring *lane = &writer->ring->lanes[writer->slot / RINGD_WRITERS_PER_LANE];
    uint64_t position, ahead = 0;

    if (ring_position(lane, &position) == 0)
        ahead = (load(&lane->lane->limit) & RINGD_POSITION_MASK) - position;
    return (int64_t)ahead < 0 ? 0 : ahead;
}

static void fill_stopped(struct ringd_context_info *info, struct context *context)
{
    uint64_t since_ns = stall_since(context);

    if (since_ns == 0)
        return;
    info->since_ns = since_ns;
    if (info->state == RINGD_CONTEXT_IN_RECORD)
        info->ahead = bytes_ahead(context);
    info->state = RINGD_CONTEXT_STOPPED;
}

static void fill_context(struct ringd_context_info *info, struct context *context)
{
    *info = (struct ringd_context_info){
        .kind = context->kind,
        .slot = context->slot,
        .incarnation = context->incarnation,
        .pid = context->pid,
        .uid = context->uid,
        .attached_ns = context->attached_ns,
        .since_ns = context->lost_ns,
    };
    strlcpy(info->command, context->command, sizeof info->command);
    if (context_is_writer(context))
        fill_writer(info, context);
    else
        fill_reader(info, context);
    fill_stopped(info, context);
}

/* A page of the list: `first` and `max` of the caller's, and how far it has come. */
struct page {
    uint32_t first, max;
    uint32_t seen, filled;
    struct ringd_context_info *infos;
};

static void add_slots(struct page *page, const struct slot *slots, uint32_t slot_count)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        if (slots[i].context == NULL)
            continue;
        if (page->seen >= page->first && page->filled < page->max)
            fill_context(&page->infos[page->filled++], slots[i].context);
        page->seen++;
    }
}

uint32_t status_of_contexts(const struct shared_ring *ring, uint32_t first, struct ringd_context_info *infos,
                            uint32_t max, uint32_t *total)
{
    struct page page = {.first = first, .max = max, .infos = infos};

    add_slots(&page, ring->writers, shared_ring_writer_count(ring));
    add_slots(&page, ring->readers, RINGD_READERS_MAX);
    *total = page.seen;
    return page.filled;
}

/* ---- a named cursor ---------------------------------------------------------------------------------------------- */

/* What is no position, of somebody who has not been in the lane, counts as none. */
static void fill_named(struct ringd_context_info *info, const struct shared_ring *ring, uint32_t number)
{
    struct context *holder = named_holder(ring, number);

    if (holder != NULL) {
        fill_context(info, holder);
        return;
    }
    *info = (struct ringd_context_info){0};
    strlcpy(info->label, named_name(ring, number), sizeof info->label);
    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++) {
        uint64_t cursor = load(&segment_named(&ring->segment, i, number)->position);

        if (cursor % RINGD_UNIT == 0)
            add_cursor(info, ring, i, cursor);
    }
}

uint32_t status_of_named(const struct shared_ring *ring, uint32_t first, struct ringd_context_info *infos, uint32_t max,
                         uint32_t *total)
{
    struct page page = {.first = first, .max = max, .infos = infos};

    for (uint32_t i = 0; i < RINGD_NAMED_MAX; i++) {
        if (named_name(ring, i) == NULL)
            continue;
        if (page.seen >= page.first && page.filled < page.max)
            fill_named(&page.infos[page.filled++], ring, i);
        page.seen++;
    }
    *total = page.seen;
    return page.filled;
}
