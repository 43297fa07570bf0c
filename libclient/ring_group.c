/* ring_group.c - see ring_group.h. */
#define _GNU_SOURCE
#include "ring_group.h"

#include "pair.h"
#include "ring_group_seats.h"
#include "wake.h"

/* Looks at a word that honest members leave alone for long enough after a few. */
#define GROUP_ROUNDS_MAX 4096

void ring_group_init(struct ring_group *group, const struct segment *segment, const struct ring *ring, uint32_t lane,
                     uint32_t number, uint32_t seat, uint32_t reader)
{
    *group = (struct ring_group){
        .ring = ring,
        .lane = segment_group(segment, lane, number),
        .group = &segment->control->group[number],
        .cursor = segment_cursor(segment, lane, reader),
        .seat = seat,
        .bit = UINT64_C(1) << seat,
    };
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

/* The position only grows, so that between two equal loads of it it was that; and so it was when `active` was loaded.
 */
static int look(const struct ringd_group_lane *lane, struct ring_group_view *view)
{
    for (int round = 0; round < GROUP_ROUNDS_MAX; round++) {
        uint64_t before = atomic_load_explicit(&lane->position, memory_order_seq_cst); /* K3 */
        uint64_t active = atomic_load_explicit(&lane->active, memory_order_seq_cst);   /* K3 */

        if (atomic_load_explicit(&lane->position, memory_order_seq_cst) == before) { /* K3 */
            *view = (struct ring_group_view){.position = before, .active = active};
            return 0;
        }
    }
    return -EBADMSG;
}

int ring_group_look(const struct ring_group *group, struct ring_group_view *view)
{
    return look(group->lane, view);
}

/* ---- claiming -------------------------------------------------------------------------------------------------- */

/* What was loaded makes no sense: because it was overwritten meanwhile, as the group has gone on or is evicted, or
 * because the ring is damaged. */
static int senseless(const struct ring_group *group, const struct ring_group_view *view)
{
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&group->lane->position, memory_order_seq_cst) != view->position ||
        atomic_load_explicit(&group->group->state, memory_order_acquire) != RINGD_GROUP_LIVE)
        return RING_GROUP_LOST;
    return -EBADMSG;
}

int ring_group_choose(const struct ring_group *group, const struct ring_group_view *view, uint64_t most,
                      const struct ring_tail *tail, uint64_t *end)
{
    const struct ring *ring = group->ring;
    uint64_t at = view->position, records = 0, reach = at + ring->size / 16;
    bool record, more = false;

    *end = at;
    if (at % RINGD_UNIT != 0)
        return senseless(group, view);
    /* A batch is visible as a whole; where one is not complete the claim ends before it. */
    while (more || (records < most && (int64_t)(reach - at) > 0)) {
        uint64_t span = step_on(ring, at, tail, &record, &more);

        if (span == 0)
            break;
        if (span > ring->max_grant && tail == NULL)
            return senseless(group, view);
        at += span;
        records += record;
        if (more && at - *end > ring->max_grant)
            return senseless(group, view);
        if (!more)
            *end = at;
    }
    return *end != view->position ? RINGD_OK : RING_GROUP_NOTHING;
}

int ring_group_claim(const struct ring_group *group, const struct ring_group_view *view, uint64_t end)
{
    bool mine;

    if (view->active & group->bit)
        return -EBADMSG;
    atomic_store_explicit(&group->cursor->claim_end, end, memory_order_release);           /* K1 */
    atomic_store_explicit(&group->cursor->position, view->position, memory_order_release); /* K1 */
    pair_tell_sanitizer(&group->lane->position);
    STOP_POINT("claim-said");
    mine = pair_swap(&group->lane->position_and_active, (struct pair){view->position, view->active},
                     (struct pair){end, view->active | group->bit}); /* K2 */
    STOP_POINT("claim-made");
    return mine ? RINGD_OK : RING_GROUP_LOST;
}

int ring_group_go_on(const struct ring_group *group, const struct ring_group_view *view, uint64_t end)
{
    _Atomic uint64_t *claim_end = &group->cursor->claim_end;
    uint64_t before = atomic_load_explicit(claim_end, memory_order_relaxed);

    if (!(view->active & group->bit))
        return -EBADMSG;
    /* If it dies here its claim is taken to go on to where the group is by then: too much is perhaps seen. */
    atomic_store_explicit(claim_end, end, memory_order_release); /* K1 */
    pair_tell_sanitizer(&group->lane->position);
    STOP_POINT("claim-longer");
    if (!pair_swap(&group->lane->position_and_active, (struct pair){view->position, view->active},
                   (struct pair){end, view->active})) { /* K2 */
        atomic_store_explicit(claim_end, before, memory_order_release);
        return RING_GROUP_LOST;
    }
    return RINGD_OK;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

static void advance(const struct ring *ring, struct ringd_cursor *cursor, uint64_t position)
{
    atomic_store_explicit(&cursor->position, position, memory_order_release); /* K5 */
    STOP_POINT("claim-advanced");
    offer_space(ring);
}

void ring_group_advance(const struct ring_group *group, uint64_t position)
{
    advance(group->ring, group->cursor, position);
}

int ring_group_finish(const struct ring_group *group, bool *last)
{
    uint64_t old = leave_active(group->lane, group->bit);

    tell_finished(group->ring);
    *last = old == group->bit;
    return old & group->bit ? RINGD_OK : -EBADMSG;
}

void ring_group_give_back(const struct ring_group *group, uint64_t position, bool seen)
{
    uint64_t end = atomic_load_explicit(&group->cursor->claim_end, memory_order_relaxed);
    bool last;

    if ((int64_t)(end - position) <= 0) {
        ring_group_finish(group, &last);
        return;
    }
    atomic_store_explicit(&group->cursor->position, position, memory_order_release); /* K5 */
    STOP_POINT("claim-released");
    atomic_store_explicit(&group->cursor->claim_end, seen ? end : end | RINGD_CLAIM_RETURNED, memory_order_release);
    STOP_POINT("claim-returned");
    atomic_fetch_or_explicit(&group->lane->orphaned, group->bit, memory_order_seq_cst); /* O1 */
    STOP_POINT("claim-orphaned");
    offer_space(group->ring);
    wake_all(&group->ring->waits->data);
}

/* ---- orphans --------------------------------------------------------------------------------------------------- */

/* Takes the orphan of this seat. */
static bool take_seat(const struct ring_group *group, uint32_t seat, struct ring_orphan *orphan)
{
    _Atomic uint8_t *taker = &group->lane->takers[seat];
    uint8_t nobody = 0;

    if (!atomic_compare_exchange_strong_explicit(taker, &nobody, (uint8_t)(group->seat + 1), memory_order_seq_cst,
                                                 memory_order_relaxed)) /* O3 */
        return false;
    STOP_POINT("orphan-taken");
    if (!is_orphaned(group->lane, UINT64_C(1) << seat)) {
        atomic_store_explicit(taker, 0, memory_order_release);
        STOP_POINT("orphan-missed");
        return false;
    }
    /* After it was seen to be an orphan: no claim of it lies beyond. */
    if (read_claim(group->ring, group->group, atomic_load_explicit(&group->lane->position, memory_order_acquire), seat,
                   orphan))
        return true;
    clear_seat(group->lane, seat);
    tell_finished(group->ring);
    return false;
}

bool ring_group_offers_orphan(const struct ring_group *group)
{
    uint64_t orphaned = atomic_load_explicit(&group->lane->orphaned, memory_order_acquire) & ~group->bit; /* O2 */

    for (; orphaned != 0; orphaned &= orphaned - 1) {
        uint32_t seat = (uint32_t)__builtin_ctzll(orphaned);

        if (is_orphaned(group->lane, UINT64_C(1) << seat) &&
            atomic_load_explicit(&group->lane->takers[seat], memory_order_acquire) == 0)
            return true;
    }
    return false;
}

int ring_group_take_over(const struct ring_group *group, struct ring_orphan *orphan)
{
    uint64_t orphaned = atomic_load_explicit(&group->lane->orphaned, memory_order_acquire); /* O2 */

    for (orphaned &= ~group->bit; orphaned != 0; orphaned &= orphaned - 1) {
        uint32_t seat = (uint32_t)__builtin_ctzll(orphaned);

        if (is_orphaned(group->lane, UINT64_C(1) << seat) && take_seat(group, seat, orphan))
            return RINGD_OK;
    }
    return RING_GROUP_NOTHING;
}

void ring_group_advance_orphan(const struct ring_group *group, const struct ring_orphan *orphan, uint64_t position)
{
    advance(group->ring, orphan->cursor, position);
}

void ring_group_finish_orphan(const struct ring_group *group, const struct ring_orphan *orphan)
{
    clear_seat(group->lane, orphan->seat);
    tell_finished(group->ring);
}

void ring_group_give_back_orphan(const struct ring_group *group, const struct ring_orphan *orphan, uint64_t position,
                                 bool seen)
{
    if ((int64_t)(orphan->end - position) <= 0) {
        ring_group_finish_orphan(group, orphan);
        return;
    }
    advance(group->ring, orphan->cursor, position);
    if (seen)
        atomic_store_explicit(&orphan->cursor->claim_end, orphan->end, memory_order_release);
    atomic_store_explicit(&group->lane->takers[orphan->seat], 0, memory_order_release);
    STOP_POINT("orphan-returned");
    wake_all(&group->ring->waits->data);
}

bool ring_group_drained(const struct ring_group *group, uint64_t end)
{
    uint64_t position = atomic_load_explicit(&group->lane->position, memory_order_seq_cst);

    return (int64_t)(position - end) >= 0 &&
           atomic_load_explicit(&group->lane->active, memory_order_acquire) == 0; /* X8 */
}

bool ring_group_all_read(const struct ring_group *group, uint64_t end)
{
    struct ring_group_view view;

    if (look(group->lane, &view) < 0 || (int64_t)(view.position - end) < 0)
        return false;
    for (; view.active != 0; view.active &= view.active - 1) {
        uint32_t seat = (uint32_t)__builtin_ctzll(view.active);

        if ((int64_t)(load_cursor(cursor_of(group->ring, group->group, seat)) - end) < 0)
            return false;
    }
    return true;
}

/* ---- writers and the daemon ------------------------------------------------------------------------------------ */

/* As for a lossless reader's cursor. */
static bool is_sound(const struct ring *ring, uint64_t position, uint64_t floor, uint64_t frontier)
{
    return (int64_t)(position - frontier) >= 0 || ((int64_t)(position - floor) >= 0 && ring_record_at(ring, position));
}

/* What a group's frontier is made of, and what of it makes no sense. */
struct lowest {
    uint64_t position;
    const struct ringd_cursor *bad; /* NULL: the group's position */
    uint64_t bad_position;
};

/* The position belongs in it although somebody is active: a cursor may by now speak of its owner's next claim, which
 * begins there or later. False: something makes no sense. */
static bool find_lowest(const struct ring *ring, uint32_t number, const struct ring_group_view *view, uint64_t floor,
                        uint64_t frontier, struct lowest *lowest)
{
    bool sound = is_sound(ring, view->position, floor, frontier);

    *lowest = (struct lowest){.position = view->position, .bad_position = view->position};
    for (uint64_t active = view->active; sound && active != 0; active &= active - 1) {
        lowest->bad = cursor_of(ring, &ring->control->group[number], (uint32_t)__builtin_ctzll(active));
        lowest->bad_position = load_cursor(lowest->bad);
        sound = is_sound(ring, lowest->bad_position, floor, frontier);
        if ((int64_t)(lowest->bad_position - lowest->position) < 0)
            lowest->position = lowest->bad_position;
    }
    return sound;
}

int ring_group_frontier(const struct ring *ring, uint32_t number, uint64_t floor, uint64_t frontier, uint64_t *position)
{
    const struct ringd_group_lane *lane = &ring->groups[number];
    struct ring_group_view view, again;
    struct lowest lowest;

    if (look(lane, &view) < 0)
        return -EBADMSG;
    if (find_lowest(ring, number, &view, floor, frontier, &lowest)) {
        *position = lowest.position;
        return 0;
    }
    /* Bad only if nothing has moved: with the seat another reader may have come, with the seat's last one his cursor.
     */
    if (look(lane, &again) < 0)
        return -EBADMSG;
    if (again.position != view.position || again.active != view.active)
        return -EAGAIN;
    return lowest.bad == NULL || load_cursor(lowest.bad) == lowest.bad_position ? -EBADMSG : -EAGAIN;
}

uint64_t ring_group_cursor(const struct ring *ring, uint32_t number, uint32_t seat)
{
    struct ring_group_view view = {0};

    if (look(&ring->groups[number], &view) == 0 && (view.active >> seat & 1) != 0)
        return load_cursor(cursor_of(ring, &ring->control->group[number], seat));
    return view.position;
}

uint64_t ring_group_lag(const struct ring *ring, uint32_t number, uint64_t position)
{
    struct ring_group_view view;
    struct lowest lowest;
    uint64_t lag = 0;

    /* With nothing to compare them to, all of them count as sound. */
    if (look(&ring->groups[number], &view) == 0) {
        find_lowest(ring, number, &view, 0, 0, &lowest);
        lag = position - lowest.position;
    }
    return lag <= ring->size ? lag : 0;
}
