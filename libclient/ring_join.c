/* ring_join.c - what only the daemon does to lanes: lossless readers join and leave, cursors are checked, lanes are
 * closed; see ring.h.
 */
#define _GNU_SOURCE
#include "ring.h"
#include "wake.h"

static void ring_publish_for(struct ring *ring, uint32_t reader, uint64_t position)
{
    atomic_store_explicit(&ring->cursors[reader].position, position, memory_order_seq_cst); /* J1 */
}

/* The lowest cursor that the reader may want, in each lane. (These three are not inlined: around the loops of others
 * the compiler would make an instruction of a stop point.) */
static __attribute__((noinline)) void ring_publish_first(struct ring *lanes, uint32_t lane_count, uint32_t reader,
                                                         uint32_t start, uint64_t position, uint64_t *cursors)
{
    for (uint32_t i = 0; i < lane_count; i++) {
        cursors[i] = start == RINGD_START_POSITION ? position : ring_oldest(&lanes[i]);
        ring_publish_for(&lanes[i], reader, cursors[i]);
        STOP_POINT("join-cursor");
    }
}

/* Where the reader starts in a lane, now that all writers see its bit. */
static __attribute__((noinline)) int ring_settle_join(struct ring *ring, uint32_t start, uint64_t *cursor)
{
    uint64_t floor;

    if (start == RINGD_START_NOW)
        return ring_position(ring, cursor);                                 /* J4 */
    atomic_fetch_add_explicit(&ring->lane->joins, 1, memory_order_seq_cst); /* J3 */
    STOP_POINT("join-counted");
    floor = ring_oldest_at(ring, atomic_load_explicit(&ring->lane->limit, memory_order_seq_cst)); /* J4 */
    if ((int64_t)(*cursor - floor) < 0)
        *cursor = floor;
    return 0;
}

/* A ring that holds runs on with the first reader, and what was published before may have been lower. */
static __attribute__((noinline)) void ring_publish_joined(struct ring *lanes, uint32_t lane_count, uint32_t reader,
                                                          const uint64_t *cursors)
{
    for (uint32_t i = 0; i < lane_count; i++) {
        ring_publish_for(&lanes[i], reader, cursors[i]);
        STOP_POINT("join-published");
    }
    wake_all(&lanes[0].waits->space);
}

int ring_join(struct ring *lanes, uint32_t lane_count, uint32_t reader, uint32_t start, uint64_t position,
              uint64_t *cursors)
{
    int result = 0;

    ring_publish_first(lanes, lane_count, reader, start, position, cursors);
    atomic_fetch_or_explicit(&lanes[0].control->lossless[reader / 64], UINT64_C(1) << reader % 64,
                             memory_order_seq_cst); /* J2 */
    STOP_POINT("join-lossless");
    for (uint32_t i = 0; i < lane_count && result == 0; i++)
        result = ring_settle_join(&lanes[i], start, &cursors[i]);
    if (result == 0)
        ring_publish_joined(lanes, lane_count, reader, cursors);
    else
        ring_leave(&lanes[0], reader);
    return result;
}

void ring_leave(struct ring *ring, uint32_t reader)
{
    atomic_fetch_and_explicit(&ring->control->lossless[reader / 64], ~(UINT64_C(1) << reader % 64),
                              memory_order_seq_cst);
    STOP_POINT("leave-lossless");
    wake_all(&ring->waits->space);
}

int ring_check_cursor(const struct ring *ring, uint32_t reader)
{
    struct ring_view before, after;
    bool unsettled = false;
    uint64_t cursor = atomic_load_explicit(&ring->cursors[reader].position, memory_order_seq_cst);

    if (ring_look(ring, &before) < 0)
        return 0;
    if ((int64_t)(cursor - ring_frontier(ring, &before, &unsettled)) >= 0)
        return 0;
    if ((int64_t)(cursor - ring_floor(ring, before.limit)) >= 0 && ring_record_at(ring, cursor))
        return 0;
    if (ring_look(ring, &after) < 0 || after.limit != before.limit)
        return 0;
    return atomic_load_explicit(&ring->cursors[reader].position, memory_order_seq_cst) == cursor;
}

void ring_close(struct ring *ring)
{
    atomic_fetch_or_explicit(&ring->lane->limit, RINGD_LIMIT_CLOSING, memory_order_seq_cst);
    STOP_POINT("remove-closing");
}
