/* ring_group_seats.h - the steps on a group's word, cursors and orphans that its members (ring_group.c) and the daemon
 * (ring_group_daemon.c) have in common; see ring_group.h.
 */
#ifndef LIBCLIENT_RING_GROUP_SEATS_H
#define LIBCLIENT_RING_GROUP_SEATS_H

#include "ring_group.h"
#include "wake.h"

/* The cursor of who has, or had, the seat: a reader's number is a byte, and there are as many readers. */
static inline struct ringd_cursor *cursor_of(const struct ring *ring, const struct ringd_group *group, uint32_t seat)
{
    return &ring->cursors[atomic_load_explicit(&group->seats[seat], memory_order_acquire)];
}

static inline uint64_t load_cursor(const struct ringd_cursor *cursor)
{
    return atomic_load_explicit(&cursor->position, memory_order_seq_cst); /* K4 */
}

/* How far it leads on from `at`: 0, there is nothing yet. *more: the batch goes on behind it. *record: it is one. */
static inline uint64_t step_on(const struct ring *ring, uint64_t at, const struct ring_tail *tail, bool *record,
                               bool *more)
{
    const struct ring_range *gone = tail != NULL ? ring_gone_at(tail, at) : NULL;
    uint64_t state, origin;

    *record = *more = false;
    if (tail != NULL && (int64_t)(tail->end - at) <= 0)
        return 0;
    if (gone != NULL)
        return gone->end - at;
    state = ring_stamp_state(ring, at, memory_order_acquire); /* N1 */
    if (!ring_state_valid(state))
        return 0;
    origin = atomic_load_explicit(&ring_header(ring, at)->origin, memory_order_relaxed);
    *record = state == RINGD_STATE_COMMITTED;
    *more = *record && (origin >> RINGD_ORIGIN_FLAGS_SHIFT & RINGD_FLAG_MORE) != 0;
    return ring_span(ring, at);
}

/* Wakes writers that wait for space, if any do. */
static inline void offer_space(const struct ring *ring)
{
    if (atomic_load_explicit(&ring->waits->space, memory_order_seq_cst) & WAKE_SLEEPING) /* P2 */
        wake_all(&ring->waits->space);
}

/* Members that wait for the end of a lane that moves are woken by whoever finishes there. */
static inline void tell_finished(const struct ring *ring)
{
    offer_space(ring);
    if (ring_moving(ring) != RINGD_MOVING_NO)
        wake_all(&ring->waits->data);
}

/* What the seat had active before. */
static inline uint64_t leave_active(struct ringd_group_lane *lane, uint64_t bit)
{
    uint64_t old = atomic_fetch_and_explicit(&lane->active, ~bit, memory_order_seq_cst); /* K6 */

    STOP_POINT("claim-finished");
    return old;
}

static inline bool is_orphaned(const struct ringd_group_lane *lane, uint64_t bit)
{
    return (atomic_load_explicit(&lane->active, memory_order_seq_cst) & bit) != 0 &&
           (atomic_load_explicit(&lane->orphaned, memory_order_seq_cst) & bit) != 0; /* O3 */
}

/* Somebody who is in `takers` finishes. As long as he is there nobody else takes it; and until it is not active any
 * more it is orphaned, so that active without orphaned is one that was not given to others yet. */
static inline void clear_seat(struct ringd_group_lane *lane, uint32_t seat)
{
    uint64_t bit = UINT64_C(1) << seat;

    leave_active(lane, bit);
    atomic_fetch_and_explicit(&lane->orphaned, ~bit, memory_order_seq_cst); /* O4 */
    STOP_POINT("orphan-cleared");
    atomic_store_explicit(&lane->takers[seat], 0, memory_order_release); /* O4 */
    STOP_POINT("orphan-left");
}

/* The claim of a seat, copied. False: no range that could have been claimed. */
static inline bool read_claim(const struct ring *ring, const struct ringd_group *group, uint64_t position,
                              uint32_t seat, struct ring_orphan *orphan)
{
    struct ringd_cursor *cursor = cursor_of(ring, group, seat);
    uint64_t end = atomic_load_explicit(&cursor->claim_end, memory_order_acquire);

    *orphan = (struct ring_orphan){
        .cursor = cursor,
        .bit = UINT64_C(1) << seat,
        .seat = seat,
        .begin = load_cursor(cursor),
        .end = end & RINGD_POSITION_MASK,
        .seen = !(end & RINGD_CLAIM_RETURNED),
    };
    if (orphan->end - position < ring->size)
        orphan->end = position; /* it was about to go on */
    return orphan->begin % RINGD_UNIT == 0 && (int64_t)(orphan->begin - ring_oldest(ring)) >= 0 &&
           orphan->end - orphan->begin - 1 < ring->size;
}

#endif
