/* slow_readers.c - see slow_readers.h. */
#define _GNU_SOURCE
#include "slow_readers.h"

#include <string.h>

#include "context.h"
#include "log.h"
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

static uint64_t lag_in_lane(const struct ring *lane, uint32_t reader)
{
    uint64_t position;

    return ring_position(lane, &position) == 0 ? ring_lag(lane, reader, position) : 0;
}

/* How far behind it is in the lane where it is furthest. */
static uint64_t furthest_lag(const struct shared_ring *ring, uint32_t reader)
{
    uint64_t furthest = 0;

    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++) {
        uint64_t lag = lag_in_lane(&ring->lanes[i], reader);

        furthest = lag > furthest ? lag : furthest;
    }
    return furthest;
}

static bool is_lossless(const struct context *context)
{
    return context != NULL && context->kind == RINGD_CONTEXT_LOSSLESS;
}

/* ---- too far behind -------------------------------------------------------------------------------------------- */

static uint32_t check_lags(struct shared_ring *ring)
{
    uint64_t most = ring->segment.geometry.slow_bytes;
    uint32_t evicted = 0;

    for (uint32_t i = 0; most != 0 && i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;
        uint64_t lag = is_lossless(context) ? furthest_lag(ring, i) : 0;

        if (lag <= most)
            continue;
        context_evict(context);
        evicted++;
        log_warning(
            "ring %s: reader %u (pid %u, %s) was %ju bytes behind, and %ju are allowed; it is lossless no more and "
            "%s (%u evicted so far)",
            ring->name, i, context->pid, context->command, (uintmax_t)lag, (uintmax_t)most, outcome(ring),
            ring->evicted_count);
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

static const struct ring *lane_of(const struct context *writer)
{
    return &writer->ring->lanes[writer->slot / RINGD_WRITERS_PER_LANE];
}

/* A bit for each reader because of which there are no `needed` bytes in the writer's lane. No more can be needed than
 * there is head room. */
static void find_obstacles(const struct context *writer, uint64_t needed, uint64_t readers[RINGD_READERS_MAX / 64])
{
    const struct shared_ring *ring = writer->ring;
    const struct ring *lane = lane_of(writer);
    uint64_t head_room = ring->segment.geometry.head_room;

    memset(readers, 0, RINGD_READERS_MAX / 8);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (is_lossless(ring->readers[i].context) &&
            lag_in_lane(lane, i) + (needed < head_room ? needed : head_room) > lane->reach)
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
        uint64_t lag = lag_in_lane(lane_of(writer), i);

        if (!(readers[i / 64] >> i % 64 & 1) || !is_lossless(context))
            continue;
        context_evict(context);
        evicted++;
        log_warning(
            "ring %s: reader %u (pid %u, %s), %ju bytes behind, has kept writers waiting for %u ms; it is lossless "
            "no more and %s (%u evicted so far)",
            ring->name, i, context->pid, context->command, (uintmax_t)lag, after_ms, outcome(ring),
            ring->evicted_count);
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
