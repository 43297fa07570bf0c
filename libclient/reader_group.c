/* reader_group.c - see reader_group.h. */
#define _GNU_SOURCE
#include "reader_group.h"

#include "ring_group.h"
#include "wake.h"

/* Records in one claim, and how long these should take. */
#define CLAIM_MOST 64
#define CLAIM_NS   50000

/* What of a lane may lie behind the cursor because of a message that is not whole yet: one quarter. */
#define MESSAGE_SHARE 4

enum hold {
    HOLD_NOTHING = 0,
    HOLD_CLAIM,
    HOLD_ORPHAN,
};

/* A member's part of one lane: what it holds goes up to `end`; the lane's position tells how far it has come. */
struct member {
    struct ring_group group;
    enum hold hold;
    uint64_t end;
    uint64_t cursor; /* all below is given back */
    struct ring_orphan orphan;
};

struct reader_group {
    uint32_t number, seat;
    uint64_t most;   /* records in the next claim */
    uint64_t wanted; /* in bulk; 0: as good */
    int64_t claimed_ns;
    struct member members[];
};

static size_t group_bytes(uint32_t lane_count)
{
    return sizeof(struct reader_group) + lane_count * sizeof(struct member);
}

void group_begin_generation(struct ringd_reader *r, const struct segment *segment)
{
    struct reader_group *g = r->group;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct member *m = &g->members[i];

        *m = (struct member){0};
        ring_group_init(&m->group, segment, &r->lanes[i].ring, i, g->number, g->seat, r->slot);
    }
}

struct reader_group *group_new(struct ringd_reader *r, const struct segment *segment, uint32_t number, uint32_t seat)
{
    struct reader_group *g = handle_new(group_bytes(r->lane_count));

    if (g == NULL)
        return NULL;
    g->number = number;
    g->seat = seat;
    g->most = 1;
    r->group = g;
    group_begin_generation(r, segment);
    return g;
}

/* ---- giving back --------------------------------------------------------------------------------------------------
 */

/* Where the member's account is; the cursor's position is its hold. */
static void settle(struct reader_lane *l)
{
    atomic_store_explicit(&l->cursor->settled, l->settled, memory_order_release);
}

static void finish(struct reader_lane *l, struct member *m)
{
    bool last;

    settle(l);
    if (m->hold == HOLD_CLAIM)
        ring_group_finish(&m->group, &last);
    else
        ring_group_finish_orphan(&m->group, &m->orphan);
    m->hold = HOLD_NOTHING;
}

/* How far everything is done with: up to the first part of a message that is still to become whole, unless that holds
 * back too much. */
static uint64_t done_with(const struct reader_lane *l)
{
    uint64_t oldest = message_oldest(l, l->position);

    return l->position - oldest > l->ring.size / MESSAGE_SHARE ? l->position : oldest;
}

static void release_lane(struct reader_lane *l, struct member *m)
{
    uint64_t cursor = done_with(l);

    if (m->hold == HOLD_NOTHING || m->cursor == cursor)
        return;
    if (l->messages == NULL && l->position == m->end) {
        finish(l, m);
        return;
    }
    settle(l);
    m->cursor = cursor;
    if (m->hold == HOLD_CLAIM)
        ring_group_advance(&m->group, cursor);
    else
        ring_group_advance_orphan(&m->group, &m->orphan, cursor);
}

void group_release(struct ringd_reader *r)
{
    for (uint32_t i = 0; i < r->lane_count; i++)
        release_lane(&r->lanes[i], &r->group->members[i]);
}

void group_free(struct ringd_reader *r)
{
    struct reader_group *g = r->group;

    if (g == NULL)
        return;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct member *m = &g->members[i];

        message_free_all(&r->lanes[i].messages);
        settle(&r->lanes[i]);
        if (m->hold == HOLD_CLAIM)
            ring_group_give_back(&m->group, r->lanes[i].position);
        else if (m->hold == HOLD_ORPHAN)
            ring_group_give_back_orphan(&m->group, &m->orphan, r->lanes[i].position);
    }
    handle_free(g, group_bytes(r->lane_count));
    r->group = NULL;
}

/* ---- getting ------------------------------------------------------------------------------------------------------
 */

void group_want(struct ringd_reader *r, size_t most)
{
    r->group->wanted = most;
}

bool group_holds(const struct ringd_reader *r, const struct reader_lane *l)
{
    const struct member *m = &r->group->members[l->number];

    return m->hold != HOLD_NOTHING && (int64_t)(m->end - l->position) > 0;
}

/* More at a time if the last ones took no time. */
static uint64_t claim_size(struct reader_group *g)
{
    int64_t now;

    if (g->wanted != 0)
        return g->wanted;
    now = wake_now();
    if (now - g->claimed_ns < CLAIM_NS)
        g->most = g->most * 2 < CLAIM_MOST ? g->most * 2 : CLAIM_MOST;
    else
        g->most = g->most / 2 > 1 ? g->most / 2 : 1;
    g->claimed_ns = now;
    return g->most;
}

static void begin(struct reader_lane *l, struct member *m, enum hold hold, uint64_t position, uint64_t end)
{
    m->hold = hold;
    m->cursor = l->position = l->released = l->opened = position;
    m->end = end;
}

/* An orphan first, else what nobody has claimed. RINGD_OK, RING_GROUP_NOTHING, RING_GROUP_LOST, -EBADMSG. */
static int get(struct ringd_reader *r, struct reader_lane *l, struct member *m)
{
    struct ring_group_view view;
    uint64_t end;
    int result;

    if (ring_group_has_orphans(&m->group) && ring_group_take_over(&m->group, &m->orphan) == RINGD_OK) {
        begin(l, m, HOLD_ORPHAN, m->orphan.begin, m->orphan.end);
        return RINGD_OK;
    }
    result = ring_group_look(&m->group, &view);
    if (result == RINGD_OK && !ring_record_at(&l->ring, view.position) && !l->leaving)
        return RING_GROUP_NOTHING;
    if (result == RINGD_OK)
        result = ring_group_choose(&m->group, &view, claim_size(r->group), l->leaving ? &l->tail : NULL, &end);
    if (result == RINGD_OK)
        result = ring_group_claim(&m->group, &view, end);
    if (result == RINGD_OK)
        begin(l, m, HOLD_CLAIM, view.position, end);
    return result;
}

/* ---- the rest of a message -----------------------------------------------------------------------------------------
 */

/* Whoever was to write the rest has gone, and everything is read. */
static void end_forsaken(struct ringd_reader *r, struct reader_lane *l)
{
    struct ring_view view;

    if (ring_look(&l->ring, &view) < 0 || view.position != l->position)
        return;
    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        const struct ringd_owner *owner = &l->ring.lane->writers[i].owner;

        if (atomic_load_explicit(&owner->state, memory_order_acquire) != RINGD_OWNER_WRITER)
            message_end(r, l, l->number * RINGD_WRITERS_PER_LANE + i);
    }
}

/* Looks at what lies behind the claim, which is others': only for parts. LOOK_AGAIN, LOOK_RECORD, LOOK_NOTHING and what
 * is not for here. */
static enum look look_behind(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    const struct ringd_record_header *h = ring_header(&l->ring, l->position);
    uint64_t state = ring_stamp_state(&l->ring, l->position, memory_order_acquire), extent, origin;
    uint32_t len;

    if (!ring_state_valid(state)) {
        end_forsaken(r, l);
        return l->messages == NULL ? LOOK_AGAIN : LOOK_NOTHING;
    }
    if (atomic_load_explicit(&l->ring.control->moving, memory_order_acquire) != 0 &&
        (!l->leaving || l->position == l->tail.end || ring_gone_at(&l->tail, l->position) != NULL))
        return LOOK_LEAVING;
    extent = atomic_load_explicit(&h->extent, memory_order_relaxed);
    origin = atomic_load_explicit(&h->origin, memory_order_relaxed);
    len = (uint32_t)extent;
    if (reader_was_evicted(r))
        return LOOK_LAPPED;
    if (ring_record_bytes(len) > l->ring.max_grant)
        return LOOK_DAMAGED;
    reader_fill_record(record, h + 1, len, l->position, l->position + ring_record_bytes(len), extent >> 32, origin);
    record->time = atomic_load_explicit(&h->time, memory_order_relaxed);
    l->position = record->next;
    return state == RINGD_STATE_COMMITTED ? message_follow(r, l, record, origin) : LOOK_AGAIN;
}

/* ---- looking ------------------------------------------------------------------------------------------------------
 */

/* In what it holds. LOOK_AGAIN: passed over, or all of it has been read and given back. */
static enum look look_in_hold(struct ringd_reader *r, struct reader_lane *l, struct member *m,
                              struct ringd_record *record)
{
    enum look look;

    if ((int64_t)(m->end - l->position) > 0) {
        look = lane_look_at(r, l, record, false, false);
        if (look == LOOK_RECORD && m->hold == HOLD_ORPHAN && m->orphan.seen)
            record->flags |= RINGD_PERHAPS_SEEN;
        return look == LOOK_NOTHING ? LOOK_DAMAGED : look;
    }
    if (l->messages != NULL) {
        look = look_behind(r, l, record);
        release_lane(l, m);
        return look;
    }
    finish(l, m);
    return LOOK_AGAIN;
}

static enum look look_in_lane(struct ringd_reader *r, struct reader_lane *l, struct member *m,
                              struct ringd_record *record)
{
    for (int i = 0; i < READER_PASSES_MAX; i++) {
        int result = m->hold == HOLD_NOTHING ? get(r, l, m) : RINGD_OK;
        enum look look = LOOK_AGAIN;

        if (result == -EBADMSG)
            return LOOK_DAMAGED;
        if (result == RING_GROUP_NOTHING)
            return LOOK_NOTHING;
        if (result == RINGD_OK)
            look = look_in_hold(r, l, m, record);
        if (look != LOOK_AGAIN)
            return look;
    }
    return LOOK_PASSED;
}

enum look group_look(struct ringd_reader *r, struct reader_lane **lane, struct ringd_record *record)
{
    for (uint32_t i = 0; i < r->lane_count; i++) {
        uint32_t number = (r->turn + i) % r->lane_count;
        enum look look;

        *lane = &r->lanes[number];
        look = look_in_lane(r, *lane, &r->group->members[number], record);
        if (look == LOOK_NOTHING)
            continue;
        r->turn = r->group->members[number].hold != HOLD_NOTHING ? number : (number + 1) % r->lane_count;
        return look;
    }
    return LOOK_NOTHING;
}

/* ---- nothing ------------------------------------------------------------------------------------------------------
 */

static bool lane_is_ready(const struct reader_lane *l, const struct member *m)
{
    struct ring_group_view view;

    if (m->hold != HOLD_NOTHING)
        return (int64_t)(m->end - l->position) > 0 || ring_record_at(&l->ring, l->position);
    return ring_group_has_orphans(&m->group) ||
           (ring_group_look(&m->group, &view) == RINGD_OK && ring_record_at(&l->ring, view.position));
}

bool group_ready(struct ringd_reader *r)
{
    for (uint32_t i = 0; i < r->lane_count; i++) {
        if (lane_is_ready(&r->lanes[i], &r->group->members[i]))
            return true;
    }
    return false;
}

/* Nothing is written any more: the group is at its end when all is claimed and all claims are finished. */
static bool is_at_end(const struct ringd_reader *r)
{
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct ring_view view;

        if (ring_look(&r->lanes[i].ring, &view) < 0 || (view.word & RINGD_W_ACTIVE) != 0 ||
            !ring_group_drained(&r->group->members[i].group, view.position))
            return false;
    }
    return true;
}

int group_explain(struct ringd_reader *r)
{
    bool removed = atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;

    if (reader_was_evicted(r))
        return reader_turn_lossy(r);
    if (ring_moving(&r->lanes[0].ring) != RINGD_MOVING_NO || group_ready(r))
        return RINGD_OK;
    return removed && is_at_end(r) ? RINGD_END : RINGD_WOULD_BLOCK;
}

/* ---- leaving a generation ------------------------------------------------------------------------------------------
 */

/* What the list gives up in a claim is passed over, up to its end. */
static void pass_gone(struct reader_lane *l, const struct member *m)
{
    const struct ring_range *gone = ring_gone_at(&l->tail, l->position);

    if (m->hold == HOLD_NOTHING || gone == NULL)
        return;
    l->position = (int64_t)(m->end - gone->end) < 0 && (int64_t)(m->end - l->position) > 0 ? m->end : gone->end;
}

int group_leave(struct ringd_reader *r)
{
    bool drained = true;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];
        struct member *m = &r->group->members[i];

        pass_gone(l, m);
        if (m->hold != HOLD_NOTHING && l->position == l->tail.end) {
            /* There is nothing behind it: a message that is not whole goes on in the next generation. */
            finish(l, m);
            return RINGD_OK;
        }
        drained &= ring_group_drained(&m->group, l->tail.end);
    }
    if (drained)
        return RINGD_END;
    return RINGD_WOULD_BLOCK;
}
