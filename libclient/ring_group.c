/* ring_group.c - see ring_group.h. */
#define _GNU_SOURCE
#include "ring_group.h"

#include "pair.h"
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

/* The cursor of who has, or had, the seat: a reader's number is a byte, and there are as many readers. */
static struct ringd_cursor *cursor_of(const struct ring *ring, const struct ringd_group *group, uint32_t seat)
{
    return &ring->cursors[atomic_load_explicit(&group->seats[seat], memory_order_acquire)];
}

static uint64_t load_cursor(const struct ringd_cursor *cursor)
{
    return atomic_load_explicit(&cursor->position, memory_order_seq_cst); /* K4 */
}

/* ---- claiming -------------------------------------------------------------------------------------------------- */

/* How far it leads on from `at`: 0, there is nothing yet. *more: the batch goes on behind it. *record: it is one. */
static uint64_t step_on(const struct ring *ring, uint64_t at, const struct ring_tail *tail, bool *record, bool *more)
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
    bool mine;

    if (!(view->active & group->bit))
        return -EBADMSG;
    /* If it dies here its claim is taken to go on to where the group is by then: too much is perhaps seen. */
    atomic_store_explicit(claim_end, end, memory_order_release); /* K1 */
    pair_tell_sanitizer(&group->lane->position);
    STOP_POINT("claim-longer");
    mine = pair_swap(&group->lane->position_and_active, (struct pair){view->position, view->active},
                     (struct pair){end, view->active}); /* K2 */
    STOP_POINT("claim-extended");
    if (!mine)
        atomic_store_explicit(claim_end, before, memory_order_release);
    return mine ? RINGD_OK : RING_GROUP_LOST;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

/* Wakes writers that wait for space, if any do. */
static void offer_space(const struct ring *ring)
{
    if (atomic_load_explicit(&ring->waits->space, memory_order_seq_cst) & WAKE_SLEEPING) /* P2 */
        wake_all(&ring->waits->space);
}

/* Members that wait for the end of a lane that moves are woken by whoever finishes there. */
static void tell_finished(const struct ring *ring)
{
    offer_space(ring);
    if (ring_moving(ring) != RINGD_MOVING_NO)
        wake_all(&ring->waits->data);
}

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

/* What the seat had active before. */
static uint64_t leave_active(struct ringd_group_lane *lane, uint64_t bit)
{
    uint64_t old = atomic_fetch_and_explicit(&lane->active, ~bit, memory_order_seq_cst); /* K6 */

    STOP_POINT("claim-finished");
    return old;
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

static bool is_orphaned(const struct ringd_group_lane *lane, uint64_t bit)
{
    return (atomic_load_explicit(&lane->active, memory_order_seq_cst) & bit) != 0 &&
           (atomic_load_explicit(&lane->orphaned, memory_order_seq_cst) & bit) != 0; /* O3 */
}

/* Somebody who is in `takers` finishes. As long as he is there nobody else takes it; and until it is not active any
 * more it is orphaned, so that active without orphaned is one that was not given to others yet. */
static void clear_seat(struct ringd_group_lane *lane, uint32_t seat)
{
    uint64_t bit = UINT64_C(1) << seat;

    leave_active(lane, bit);
    atomic_fetch_and_explicit(&lane->orphaned, ~bit, memory_order_seq_cst); /* O4 */
    STOP_POINT("orphan-cleared");
    atomic_store_explicit(&lane->takers[seat], 0, memory_order_release); /* O4 */
    STOP_POINT("orphan-left");
}

/* The claim of a seat, copied. False: no range that could have been claimed. */
static bool read_claim(const struct ring *ring, const struct ringd_group *group, uint64_t position, uint32_t seat,
                       struct ring_orphan *orphan)
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

/* ---- the daemon ------------------------------------------------------------------------------------------------ */

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
        floor = ring_floor(ring, atomic_load_explicit(&ring->lane->limit, memory_order_seq_cst)); /* J4 */
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
