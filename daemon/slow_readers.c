/* slow_readers.c - see slow_readers.h. */
#define _GNU_SOURCE
#include "slow_readers.h"

#include <stdio.h>
#include <string.h>

#include "context.h"
#include "groups.h"
#include "log.h"
#include "ring_group.h"
#include "shared_ring.h"
#include "slots.h"
#include "wake.h"

#define NS_PER_MS INT64_C(1000000)

/* What becomes of it. */
static const char *outcome(const struct shared_ring *ring)
{
    return ring->segment.geometry.slow_policy == RINGD_SLOW_EVICT ? "has to be opened anew"
                                                                  : "goes on as a lossy reader";
}

/* How far behind a reader, or its group, is. */
static uint64_t lag_in_lane(const struct shared_ring *ring, uint32_t lane, uint32_t reader)
{
    const struct context *context = ring->readers[reader].context;
    uint64_t position;

    if (ring_position(&ring->lanes[lane], &position) < 0)
        return 0;
    if (context != NULL && context->member)
        return ring_group_lag(&ring->lanes[lane], context->group, position);
    return ring_lag(&ring->lanes[lane], reader, position);
}

/* In the lane where it is furthest behind. */
static uint64_t furthest_lag(const struct shared_ring *ring, uint32_t reader)
{
    uint64_t furthest = 0;

    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++) {
        uint64_t lag = lag_in_lane(ring, i, reader);

        furthest = lag > furthest ? lag : furthest;
    }
    return furthest;
}

static bool is_lossless(const struct context *context)
{
    return context != NULL && context->kind == RINGD_CONTEXT_LOSSLESS &&
           (!context->member || groups_first_member(context->ring, context->group) == context);
}

/* Returns how many readers were put out. */
static uint32_t put_out(struct context *context, const char *why)
{
    const struct shared_ring *ring = context->ring;

    if (context->member)
        return groups_evict(context->ring, context->group, why);
    context_evict(context);
    log_warning("ring %s: reader %u (pid %u, %s), %s; it is lossless no more and %s (%u evicted so far)", ring->name,
                context->slot, context->pid, context->command, why, outcome(ring), ring->evicted_count);
    return 1;
}

/* ---- too far behind -------------------------------------------------------------------------------------------- */

static uint32_t check_lags(struct shared_ring *ring)
{
    uint64_t most = ring->segment.geometry.slow_bytes;
    uint32_t evicted = 0;

    for (uint32_t i = 0; most != 0 && i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;
        uint64_t lag = is_lossless(context) ? furthest_lag(ring, i) : 0;

        char why[96];

        if (lag <= most)
            continue;
        snprintf(why, sizeof why, "was %ju bytes behind, and %ju are allowed", (uintmax_t)lag, (uintmax_t)most);
        evicted += put_out(context, why);
    }
    return evicted;
}

/* ---- in the way too long --------------------------------------------------------------------------------------- */

/* What has become of the grants that this writer got; any change says that it had room. */
static uint64_t grants_done(const struct context *writer)
{
    const struct ringd_lane *lane = segment_lane(&writer->ring->segment, writer->slot / RINGD_WRITERS_PER_LANE);
    const struct ringd_writer_slot *slot = &lane->writers[writer->slot % RINGD_WRITERS_PER_LANE];

    return atomic_load_explicit(&slot->sequence, memory_order_relaxed) +
           atomic_load_explicit(&slot->aborted, memory_order_relaxed);
}

static uint32_t lane_of(const struct context *writer)
{
    return writer->slot / RINGD_WRITERS_PER_LANE;
}

/* A bit for each reader because of which there are no `needed` bytes in the writer's lane. No more can be needed than
 * there is head room. */
static void find_obstacles(const struct context *writer, uint64_t needed, uint64_t readers[RINGD_READERS_MAX / 64])
{
    const struct shared_ring *ring = writer->ring;
    uint64_t reach = ring->lanes[0].reach;
    uint64_t head_room = ring->segment.geometry.head_room;

    memset(readers, 0, RINGD_READERS_MAX / 8);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (is_lossless(ring->readers[i].context) &&
            lag_in_lane(ring, lane_of(writer), i) + (needed < head_room ? needed : head_room) > reach)
            readers[i / 64] |= UINT64_C(1) << i % 64;
    }
}

/* Takes this look into account; true: it goes on what earlier ones saw. */
static bool watch_continue(struct slow_watch *watch, const uint64_t readers[], uint64_t done, int64_t now,
                           int64_t slow_after)
{
    bool goes_on = watch->since != 0 && watch->done == done && now - watch->last <= slow_after, any = false;

    watch->last = now;
    for (uint32_t i = 0; i < RINGD_READERS_MAX / 64; i++) {
        watch->readers[i] = goes_on ? watch->readers[i] & readers[i] : readers[i];
        any |= watch->readers[i] != 0;
    }
    if (goes_on && any)
        return true;
    memcpy(watch->readers, readers, sizeof watch->readers);
    watch->since = now;
    watch->done = done;
    return false;
}

static uint32_t evict_obstacles(const struct context *writer, const uint64_t readers[], uint32_t after_ms)
{
    struct shared_ring *ring = writer->ring;
    uint32_t evicted = 0;

    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;
        uint64_t lag = lag_in_lane(ring, lane_of(writer), i);

        char why[96];

        if (!(readers[i / 64] >> i % 64 & 1) || !is_lossless(context))
            continue;
        snprintf(why, sizeof why, "%ju bytes behind, has kept writers waiting for %u ms", (uintmax_t)lag, after_ms);
        evicted += put_out(context, why);
    }
    return evicted;
}

static uint32_t check_obstacles(struct context *writer, uint64_t needed)
{
    uint32_t after_ms = writer->ring->segment.geometry.slow_after_ms;
    int64_t slow_after = after_ms * NS_PER_MS, now = wake_now();
    uint64_t readers[RINGD_READERS_MAX / 64];

    if (after_ms == 0 || needed == 0)
        return 0;
    find_obstacles(writer, needed, readers);
    if (!watch_continue(&writer->watch, readers, grants_done(writer), now, slow_after))
        return 0;
    if (now - writer->watch.since < slow_after / 2)
        return 0;
    return evict_obstacles(writer, writer->watch.readers, after_ms);
}

uint32_t slow_readers_check(struct context *writer, uint64_t needed)
{
    return check_lags(writer->ring) + check_obstacles(writer, needed);
}
