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

/* How often it leaves what nobody has claimed yet to others, while it waits for the rest of a message. */
#define PATIENCE 256

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
    uint64_t in_memory;
    uint32_t patience;
    struct ring_orphan orphan;
};

struct reader_group {
    uint32_t number, seat;
    uint64_t most;   /* records in the next claim */
    uint64_t wanted; /* in bulk; 0: as good */
    int64_t claimed_ns;
    bool given; /* the caller looks at something: nothing may be given back */
    bool early; /* came here before all others had left the last generation, `old`: nothing is claimed until then */
    struct segment old;
    struct member members[];
};

static size_t group_bytes(uint32_t lane_count)
{
    return sizeof(struct reader_group) + lane_count * sizeof(struct member);
}

static void begin_lane(struct ringd_reader *r, struct member *m, const struct segment *segment, uint32_t lane)
{
    uint64_t first = segment_lane_first(segment, lane);

    *m = (struct member){.cursor = first, .end = first};
    ring_group_init(&m->group, segment, &r->lanes[lane].ring, lane, r->group->number, r->group->seat, r->slot);
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
    for (uint32_t i = 0; i < r->lane_count; i++)
        begin_lane(r, &g->members[i], segment, i);
    return g;
}

/* Said before the first part of a message is given back: from there on the message is lost if this member goes, and the
 * daemon counts it. */
static void say_in_memory(const struct reader_lane *l, struct member *m, uint64_t cursor)
{
    uint64_t count = message_count_below(l, cursor);

    if (count == m->in_memory)
        return;
    m->in_memory = count;
    atomic_store_explicit(&m->group.cursor->in_memory, count, memory_order_release); /* K7 */
    STOP_POINT("claim-remembered");
}

/* ---- a message that goes on in the next generation ------------------------------------------------------------------
 *
 * Whose parts nobody else keeps: so its owner holds the beginning of the next generation before anything is claimed
 * there. It goes there with its claim in the old one still open, though all is read; nobody without a message follows
 * before that is finished, and nobody with one claims. */

static void drop_old(struct reader_group *g)
{
    if (g->early)
        segment_unmap(&g->old);
    g->early = false;
}

/* Others are still to leave the old generation, or to hold this one. */
static bool is_barred(struct ringd_reader *r)
{
    struct reader_group *g = r->group;

    for (uint32_t i = 0; g->early && i < r->lane_count; i++) {
        const struct ring_group old = {.lane = segment_group(&g->old, i, g->number)};

        if (!ring_group_drained(&old, segment_lane_first(&r->attachment->segment, i)))
            return true;
    }
    drop_old(g);
    return false;
}

/* A claim without any records, from the lane's beginning on. -EBADMSG */
static int hold_beginning(struct member *m)
{
    struct ring_group_view view;
    int result;

    do {
        result = ring_group_look(&m->group, &view);
        if (result == RINGD_OK && view.position != m->end)
            result = -EBADMSG;
        if (result == RINGD_OK)
            result = ring_group_claim(&m->group, &view, view.position);
    } while (result == RING_GROUP_LOST);
    m->hold = result == RINGD_OK ? HOLD_CLAIM : HOLD_NOTHING;
    return result;
}

bool group_keep_old(struct ringd_reader *r, const struct segment *old)
{
    struct reader_group *g = r->group;

    drop_old(g);
    for (uint32_t i = 0; i < r->lane_count; i++)
        g->early |= g->members[i].hold != HOLD_NOTHING;
    if (g->early)
        g->old = *old;
    return g->early;
}

int group_begin_generation(struct ringd_reader *r, const struct segment *segment)
{
    int result = RINGD_OK;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct member *m = &r->group->members[i], before = *m;
        bool last;

        begin_lane(r, m, segment, i);
        r->lanes[i].marks = 0;
        if (before.hold == HOLD_NOTHING)
            continue;
        say_in_memory(&r->lanes[i], m, m->cursor);
        if (result == RINGD_OK)
            result = hold_beginning(m);
        STOP_POINT("follow-held");
        atomic_store_explicit(&before.group.cursor->in_memory, 0, memory_order_release);
        STOP_POINT("follow-remembered");
        if (before.hold == HOLD_CLAIM)
            ring_group_finish(&before.group, &last);
        else
            ring_group_finish_orphan(&before.group, &before.orphan);
    }
    return result == RINGD_OK ? 0 : -EBADMSG;
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
    say_in_memory(l, m, l->position);
    if (m->hold == HOLD_CLAIM)
        ring_group_finish(&m->group, &last);
    else if (m->hold == HOLD_ORPHAN)
        ring_group_finish_orphan(&m->group, &m->orphan);
    m->hold = HOLD_NOTHING;
}

/* How far everything is done with: up to the first part of a message that is still to become whole, unless that holds
 * back too much. (What was given back already is so for good.) */
static uint64_t done_with(const struct reader_lane *l, const struct member *m)
{
    uint64_t oldest = message_oldest(l, m->cursor, l->position);

    return l->position - oldest > l->ring.size / MESSAGE_SHARE ? l->position : oldest;
}

static void release_lane(struct reader_lane *l, struct member *m)
{
    uint64_t cursor = done_with(l, m);

    l->released = l->position;
    if (m->hold == HOLD_NOTHING)
        return;
    say_in_memory(l, m, cursor);
    if (l->messages == NULL && (int64_t)(m->end - l->position) <= 0) {
        finish(l, m);
        return;
    }
    if (m->cursor == cursor)
        return;
    settle(l);
    m->cursor = cursor;
    if (m->hold == HOLD_CLAIM)
        ring_group_advance(&m->group, cursor);
    else if (m->hold == HOLD_ORPHAN)
        ring_group_advance_orphan(&m->group, &m->orphan, cursor);
}

void group_release(struct ringd_reader *r)
{
    r->group->given = false;
    for (uint32_t i = 0; i < r->lane_count; i++)
        release_lane(&r->lanes[i], &r->group->members[i]);
}

void group_free(struct ringd_reader *r)
{
    struct reader_group *g = r->group;

    if (g == NULL)
        return;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];
        struct member *m = &g->members[i];
        uint64_t rest = done_with(l, m);
        bool seen = rest != l->position; /* what lies between the parts of a message that is another's now */

        settle(l);
        message_free_all(r, &l->messages);
        if (m->hold == HOLD_CLAIM)
            ring_group_give_back(&m->group, rest, seen);
        else if (m->hold == HOLD_ORPHAN)
            ring_group_give_back_orphan(&m->group, &m->orphan, rest, seen);
    }
    drop_old(g);
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

/* As many as take about CLAIM_NS, going by the last claim; twice as many at most. */
static uint64_t claim_size(const struct reader_group *g, int64_t now)
{
    uint64_t most = g->most * 2 < CLAIM_MOST ? g->most * 2 : CLAIM_MOST;

    if (g->wanted != 0)
        return g->wanted;
    for (int64_t took = now - g->claimed_ns; took > CLAIM_NS && most > 1; took /= 2)
        most /= 2;
    return most;
}

static void note_claim(struct reader_group *g, uint64_t most, int64_t now)
{
    if (g->wanted == 0)
        g->most = most;
    g->claimed_ns = now;
}

static void begin(struct reader_lane *l, struct member *m, enum hold hold, uint64_t position, uint64_t end)
{
    m->hold = hold;
    m->cursor = l->position = l->released = l->opened = position;
    m->end = end;
    l->marks = hold == HOLD_ORPHAN && m->orphan.seen ? RINGD_PERHAPS_SEEN : 0;
}

/* What nobody has claimed yet, by `claim`. RINGD_OK: from view->position to *end. */
static int claim(struct ringd_reader *r, struct reader_lane *l, struct member *m, const struct ring_group_view *view,
                 int (*by)(const struct ring_group *, const struct ring_group_view *, uint64_t), uint64_t *end)
{
    int64_t now = wake_now();
    uint64_t most = claim_size(r->group, now);
    int result = ring_group_choose(&m->group, view, most, l->leaving ? &l->tail : NULL, end);

    if (result == RINGD_OK)
        result = by(&m->group, view, *end);
    if (result == RINGD_OK)
        note_claim(r->group, most, now);
    return result;
}

/* Whether there may be something to claim at the group's position. */
static bool claimable(const struct reader_lane *l, uint64_t position)
{
    return l->leaving ? position != l->tail.end : ring_record_at(&l->ring, position);
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
    if (result == RINGD_OK && !claimable(l, view.position))
        result = RING_GROUP_NOTHING;
    if (result == RINGD_OK)
        result = claim(r, l, m, &view, ring_group_claim, &end);
    if (result == RINGD_OK)
        begin(l, m, HOLD_CLAIM, view.position, end);
    else if (result == RING_GROUP_NOTHING && l->messages == NULL)
        l->position = l->released = view.position; /* where others go on */
    return result;
}

/* ---- the rest of a message -----------------------------------------------------------------------------------------
 */

/* Whoever was to write the rest has gone, or nothing can be written any more, and everything is read. In this order:
 * one who was seen to be gone has written all he ever will. */
static void end_forsaken(struct ringd_reader *r, struct reader_lane *l)
{
    bool removed = atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;
    struct ring_view view;
    uint32_t gone = 0;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        const struct ringd_owner *owner = &l->ring.lane->writers[i].owner;

        if (removed || atomic_load_explicit(&owner->state, memory_order_acquire) != RINGD_OWNER_WRITER)
            gone |= UINT32_C(1) << i;
    }
    STOP_POINT("claim-forsaken");
    if (ring_look(&l->ring, &view) < 0 || view.position != l->position)
        return;
    for (; gone != 0; gone &= gone - 1)
        message_end(r, l, l->number * RINGD_WRITERS_PER_LANE + (uint32_t)__builtin_ctz(gone));
}

/* All that is claimed has been read, and it waits for the rest of a message: what comes now others may have, while
 * there are any. Then it is claimed, without a gap. As long as what it holds is its own alone it goes on holding it;
 * else the message is in its memory only from here on. */
static enum look go_on(struct ringd_reader *r, struct reader_lane *l, struct member *m,
                       const struct ring_group_view *view)
{
    bool own = m->hold == HOLD_CLAIM, all_own = own && m->end == view->position;
    uint64_t end;
    int result;

    if (!all_own && m->patience++ < PATIENCE)
        return LOOK_NOTHING;
    m->patience = 0;
    if (!all_own)
        say_in_memory(l, m, l->position);
    if (own && !all_own) {
        m->cursor = l->position;
        ring_group_advance(&m->group, l->position);
    }
    result = claim(r, l, m, view, own ? ring_group_go_on : ring_group_claim, &end);
    if (result == RING_GROUP_NOTHING)
        return LOOK_NOTHING;
    if (result != RINGD_OK)
        return result == RING_GROUP_LOST ? LOOK_AGAIN : LOOK_DAMAGED;
    STOP_POINT("claim-held");
    if (m->hold == HOLD_ORPHAN)
        ring_group_finish_orphan(&m->group, &m->orphan);
    if (own)
        m->end = end;
    else
        begin(l, m, HOLD_CLAIM, view->position, end);
    return LOOK_AGAIN;
}

/* Others' record: only for parts. */
static enum look follow_others(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    const struct ringd_record_header *h = ring_header(&l->ring, l->position);
    uint64_t state = ring_stamp_state(&l->ring, l->position, memory_order_acquire), extent, origin;
    uint32_t len;

    extent = atomic_load_explicit(&h->extent, memory_order_relaxed);
    origin = atomic_load_explicit(&h->origin, memory_order_relaxed);
    len = (uint32_t)extent;
    if (reader_was_evicted(r))
        return LOOK_LAPPED;
    /* X2: after the stamp */
    if (!l->leaving && atomic_load_explicit(&l->ring.control->moving, memory_order_acquire) != 0)
        return LOOK_LEAVING;
    if (!ring_state_valid(state) || ring_record_bytes(len) > l->ring.max_grant ||
        (state == RINGD_STATE_COMMITTED && len > r->max_record))
        return LOOK_DAMAGED;
    reader_fill_record(record, h + 1, len, l->position, l->position + ring_record_bytes(len), extent >> 32, origin);
    record->time = atomic_load_explicit(&h->time, memory_order_relaxed);
    l->position = record->next;
    return state == RINGD_STATE_COMMITTED ? message_follow(r, l, record, origin) : LOOK_AGAIN;
}

/* Behind what it holds, as a message is not whole yet. LOOK_AGAIN, LOOK_RECORD, LOOK_NOTHING and what is not for here.
 */
static enum look look_behind(struct ringd_reader *r, struct reader_lane *l, struct member *m,
                             struct ringd_record *record)
{
    struct ring_group_view view;

    if (ring_group_look(&m->group, &view) < 0)
        return LOOK_DAMAGED;
    if (l->leaving && l->position == l->tail.end)
        return m->cursor == l->tail.end ? LOOK_NOTHING : LOOK_LEAVING;
    if (l->leaving && ring_gone_at(&l->tail, l->position) != NULL)
        return LOOK_LEAVING;
    if (view.position != l->position)
        return follow_others(r, l, record);
    if (claimable(l, l->position))
        return go_on(r, l, m, &view);
    end_forsaken(r, l);
    return l->messages == NULL ? LOOK_AGAIN : LOOK_NOTHING;
}

/* ---- looking ------------------------------------------------------------------------------------------------------
 */

/* No stamp where one was when it was claimed: only as the list gives it up. */
static enum look explain_missing(const struct reader_lane *l)
{
    return l->leaving && ring_gone_at(&l->tail, l->position) != NULL ? LOOK_LEAVING : LOOK_DAMAGED;
}

/* In what it holds. LOOK_AGAIN: passed over, or all of it has been read and given back. */
static enum look look_in_hold(struct ringd_reader *r, struct reader_lane *l, struct member *m,
                              struct ringd_record *record)
{
    enum look look;

    if ((int64_t)(m->end - l->position) > 0) {
        look = lane_look_at(r, l, record, false, false);
        if (look == LOOK_RECORD)
            record->flags |= l->marks;
        return look == LOOK_NOTHING ? explain_missing(l) : look;
    }
    if (l->messages != NULL) {
        look = look_behind(r, l, m, record);
        if (look == LOOK_AGAIN)
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
        enum look look = LOOK_AGAIN;
        int result;

        if (r->group->given && !group_holds(r, l))
            return LOOK_NOTHING;
        result = m->hold == HOLD_NOTHING ? get(r, l, m) : RINGD_OK;

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
    if (is_barred(r))
        return LOOK_NOTHING;
    /* All of a claim, then the next lane. */
    if (r->group->members[r->turn].hold == HOLD_NOTHING)
        r->turn = (r->turn + 1) % r->lane_count;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        uint32_t number = (r->turn + i) % r->lane_count;
        enum look look;

        *lane = &r->lanes[number];
        look = look_in_lane(r, *lane, &r->group->members[number], record);
        if (look == LOOK_NOTHING)
            continue;
        r->turn = number;
        r->group->given |= look == LOOK_RECORD;
        return look;
    }
    return LOOK_NOTHING;
}

/* ---- nothing ------------------------------------------------------------------------------------------------------
 */

static bool lane_is_ready(const struct reader_lane *l, const struct member *m)
{
    struct ring_group_view view;

    /* While the ring moves: its end is to be dealt with, once. */
    if (m->hold != HOLD_NOTHING)
        return (int64_t)(m->end - l->position) > 0 || l->messages == NULL ||
               (l->leaving ? m->cursor != l->tail.end : ring_record_at(&l->ring, l->position));
    return ring_group_offers_orphan(&m->group) ||
           (ring_group_look(&m->group, &view) == RINGD_OK && claimable(l, view.position));
}

bool group_ready(struct ringd_reader *r)
{
    if (is_barred(r))
        return false;
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

/* Every lane's end is known. */
static bool is_leaving(const struct ringd_reader *r)
{
    bool leaving = true;

    for (uint32_t i = 0; i < r->lane_count; i++)
        leaving &= r->lanes[i].leaving;
    return leaving;
}

/* Nobody has anything left to read. Who has a message that is not whole yet follows first, see above. */
static bool is_drained(const struct ringd_reader *r)
{
    bool drained = true, holds = false;

    for (uint32_t i = 0; i < r->lane_count; i++)
        holds |= r->group->members[i].hold != HOLD_NOTHING;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        const struct ring_group *group = &r->group->members[i].group;
        uint64_t end = r->lanes[i].tail.end;

        drained &= holds ? ring_group_all_read(group, end) : ring_group_drained(group, end);
    }
    return drained;
}

int group_explain(struct ringd_reader *r)
{
    bool removed = atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;

    if (reader_was_evicted(r))
        return reader_turn_lossy(r);
    if (group_ready(r))
        return RINGD_OK;
    if (ring_moving(&r->lanes[0].ring) != RINGD_MOVING_NO)
        return is_leaving(r) && !is_drained(r) ? RINGD_WOULD_BLOCK : RINGD_OK;
    return removed && is_at_end(r) ? RINGD_END : RINGD_WOULD_BLOCK;
}

bool group_must_look(const struct ringd_reader *r)
{
    bool must = atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;

    for (uint32_t i = 0; i < r->lane_count; i++)
        must |= r->lanes[i].messages != NULL;
    return must;
}

/* ---- leaving a generation ------------------------------------------------------------------------------------------
 */

/* What the list gives up in a claim is passed over, up to its end. */
static bool pass_gone(struct reader_lane *l, const struct member *m)
{
    const struct ring_range *gone = ring_gone_at(&l->tail, l->position);
    bool within = (int64_t)(m->end - l->position) > 0;

    if (m->hold == HOLD_NOTHING || gone == NULL)
        return false;
    l->position = within && (int64_t)(m->end - gone->end) < 0 ? m->end : gone->end;
    return true;
}

/* There is nothing behind it: a message that is not whole goes on in the next generation, and is in the memory of this
 * member alone. */
static void read_to_end(struct ringd_reader *r, struct reader_lane *l, struct member *m)
{
    settle(l);
    say_in_memory(l, m, l->position);
    m->cursor = l->position;
    if (m->hold == HOLD_CLAIM)
        ring_group_advance(&m->group, m->cursor);
    else
        ring_group_advance_orphan(&m->group, &m->orphan, m->cursor);
    wake_all(&r->waits->data);
}

int group_leave(struct ringd_reader *r)
{
    bool passed = false;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];
        struct member *m = &r->group->members[i];

        passed |= pass_gone(l, m);
        if (m->hold == HOLD_NOTHING || l->position != l->tail.end || (l->messages != NULL && m->cursor == l->tail.end))
            continue;
        passed = true;
        if (l->messages == NULL)
            finish(l, m);
        else
            read_to_end(r, l, m);
    }
    if (passed || group_ready(r))
        return RINGD_OK;
    return is_drained(r) ? RINGD_END : RINGD_WOULD_BLOCK;
}
