/* ring_group_daemon.c - what only the daemon does to a group: begins and ends it, looks at its cursors, finds what the
 * dead have left; see ring_group.h.
 */
#define _GNU_SOURCE
#include "ring_group_seats.h"

int ring_group_check(const struct ring *ring, uint32_t number)
{
    struct ring_view before, after;
    bool unsettled = false;
    uint64_t lowest;

    if (ring_look(ring, &before) < 0)
        return 0;
    if (ring_group_frontier(ring, number, ring_floor(ring, before.limit), ring_frontier(ring, &before, &unsettled),
                            &lowest) != -EBADMSG)
        return 0;
    return ring_look(ring, &after) == 0 && after.limit == before.limit;
}

/* Nobody is a member yet. */
static void begin_at(struct ringd_group_lane *lane, uint64_t position)
{
    atomic_store_explicit(&lane->active, 0, memory_order_relaxed);
    atomic_store_explicit(&lane->orphaned, 0, memory_order_relaxed);
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++)
        atomic_store_explicit(&lane->takers[seat], 0, memory_order_relaxed);
    atomic_store_explicit(&lane->position, position, memory_order_seq_cst); /* J5 */
}

/* Where it begins in one lane, once its bit is set. */
static int settle_start(struct ring *ring, uint32_t number, uint32_t start)
{
    struct ringd_group_lane *lane = &ring->groups[number];
    uint64_t position = atomic_load_explicit(&lane->position, memory_order_relaxed), floor;

    if (start == RINGD_START_NOW) {
        int result = ring_position(ring, &position); /* J4 */

        if (result < 0)
            return result;
    } else {
        atomic_fetch_add_explicit(&ring->lane->joins, 1, memory_order_seq_cst); /* J3 */
        STOP_POINT("group-counted");
        floor = ring_oldest_at(ring, atomic_load_explicit(&ring->lane->limit, memory_order_seq_cst)); /* J4 */
        if ((int64_t)(position - floor) < 0)
            position = floor;
    }
    /* A ring that holds runs on with the first reader, and what was published before may have been lower. */
    atomic_store_explicit(&lane->position, position, memory_order_seq_cst); /* J5 */
    STOP_POINT("group-published");
    return 0;
}

int ring_group_begin(struct ring *lanes, uint32_t lane_count, uint32_t number, uint32_t start, uint64_t *starts)
{
    int result = 0;

    for (uint32_t i = 0; i < lane_count; i++)
        begin_at(&lanes[i].groups[number], start == RINGD_START_POSITION ? starts[i] : ring_oldest(&lanes[i]));
    STOP_POINT("group-begun");
    atomic_fetch_or_explicit(&lanes[0].control->groups, UINT64_C(1) << number, memory_order_seq_cst); /* J6 */
    STOP_POINT("group-set");
    for (uint32_t i = 0; i < lane_count && result == 0; i++) {
        result = settle_start(&lanes[i], number, start);
        if (starts != NULL)
            starts[i] = atomic_load_explicit(&lanes[i].groups[number].position, memory_order_relaxed);
    }
    if (result < 0) {
        ring_group_end(&lanes[0], number);
        return result;
    }
    wake_all(&lanes[0].waits->space);
    return 0;
}

void ring_group_end(struct ring *ring, uint32_t number)
{
    atomic_fetch_and_explicit(&ring->control->groups, ~(UINT64_C(1) << number), memory_order_seq_cst);
    STOP_POINT("group-ended");
    wake_all(&ring->waits->space);
}

/* Its own claim, if nobody was given it yet. `orphaned` is loaded first: it is cleared only after `active`. */
static bool holds_own(const struct ringd_group_lane *lane, uint32_t seat)
{
    uint64_t bit = UINT64_C(1) << seat;
    bool orphaned = (atomic_load_explicit(&lane->orphaned, memory_order_seq_cst) & bit) != 0;

    return !orphaned && (atomic_load_explicit(&lane->active, memory_order_seq_cst) & bit) != 0;
}

/* What `who` has taken over and not finished. Where he had finished but for his name, or had put it there too late,
 * that is put in order: the seat may be another's by now, whose claim is not touched. */
static bool holds_other(struct ringd_group_lane *lane, uint32_t seat, uint32_t who)
{
    uint64_t bit = UINT64_C(1) << seat;

    if (atomic_load_explicit(&lane->takers[seat], memory_order_acquire) != who + 1)
        return false;
    if (is_orphaned(lane, bit))
        return true;
    atomic_fetch_and_explicit(&lane->orphaned, ~bit, memory_order_seq_cst); /* O4 */
    STOP_POINT("orphan-cleared");
    atomic_store_explicit(&lane->takers[seat], 0, memory_order_release); /* O4 */
    STOP_POINT("orphan-left");
    return false;
}

int ring_group_left_behind(const struct ring *ring, uint32_t number, uint32_t seat, struct ring_orphan *orphan)
{
    struct ringd_group_lane *lane = &ring->groups[number];
    uint64_t position = atomic_load_explicit(&lane->position, memory_order_acquire);

    for (uint32_t i = 0; i < RINGD_SEATS_MAX; i++) {
        bool other = holds_other(lane, i, seat);

        if (!other && !(i == seat && holds_own(lane, i)))
            continue;
        if (!read_claim(ring, &ring->control->group[number], position, i, orphan)) {
            clear_seat(lane, i);
            tell_finished(ring);
            continue;
        }
        orphan->seen |= other;
        orphan->taken = other;
        return RINGD_OK;
    }
    return RING_GROUP_NOTHING;
}

void ring_group_make_orphan(const struct ring *ring, uint32_t number, const struct ring_orphan *orphan)
{
    struct ringd_group_lane *lane = &ring->groups[number];

    if (orphan->seen)
        atomic_store_explicit(&orphan->cursor->claim_end, orphan->end, memory_order_release);
    STOP_POINT("orphan-marked");
    atomic_fetch_or_explicit(&lane->orphaned, orphan->bit, memory_order_seq_cst); /* O1 */
    STOP_POINT("orphan-made");
    /* Before it was an orphan nobody could be there, and by now somebody may. */
    if (orphan->taken)
        atomic_store_explicit(&lane->takers[orphan->seat], 0, memory_order_release);
    wake_all(&ring->waits->data);
}

uint64_t ring_group_count_orphan(const struct ring *ring, const struct ring_orphan *orphan,
                                 const struct ring_tail *tail)
{
    uint64_t at = orphan->begin, records = 0;
    bool record, more;

    while ((int64_t)(orphan->end - at) > 0) {
        uint64_t span = step_on(ring, at, tail, &record, &more);

        if (span == 0)
            break;
        at += span;
        records += record;
    }
    return records;
}

void ring_group_clear_seat(const struct ring *ring, uint32_t number, uint32_t seat)
{
    clear_seat(&ring->groups[number], seat);
    tell_finished(ring);
}

bool ring_group_is_owed(const struct ring *ring, uint32_t number)
{
    uint64_t active = atomic_load_explicit(&ring->groups[number].active, memory_order_seq_cst);

    for (; active != 0; active &= active - 1) {
        const struct ringd_cursor *cursor =
            cursor_of(ring, &ring->control->group[number], (uint32_t)__builtin_ctzll(active));

        if (!(atomic_load_explicit(&cursor->claim_end, memory_order_acquire) & RINGD_CLAIM_RETURNED))
            return true;
    }
    return false;
}

bool ring_group_seat_is_clear(const struct ring *ring, uint32_t number, uint32_t seat)
{
    const struct ringd_group_lane *lane = &ring->groups[number];
    uint64_t bits = atomic_load_explicit(&lane->active, memory_order_seq_cst) |
                    atomic_load_explicit(&lane->orphaned, memory_order_seq_cst);

    return (bits >> seat & 1) == 0 && atomic_load_explicit(&lane->takers[seat], memory_order_acquire) == 0;
}
