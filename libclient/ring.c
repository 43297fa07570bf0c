/* ring.c - the ring's slow paths: looking for room, raising the limit, waiting in turn, joining and leaving.
 *
 * What holds true, and the order of every access, stands at the head of ring.h; the labels here are those of its table.
 * Everything loaded from shared memory is input: positions are masked before they index, lengths are bounded before
 * they are used, and loops that could be kept going by somebody who scribbles are counted.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <sched.h>

#include "pair.h"
#include "relax.h"
#include "ring_group.h"
#include "ring_single.h"
#include "wake.h"

/* Loops over shared words that honest contexts leave after a few rounds. */
#define RING_ROUNDS_MAX 4096

/* Looks before a writer that waits for space goes to sleep. */
#define RING_SPINS_MIN 16
#define RING_SPINS_MAX 256

/* Naps of a writer that has found the ring full, before it gets in line; see ring_nap(). */
#define RING_NAPS        8     /* while nobody writes */
#define RING_NAPS_FLOW   24    /* while others are in flow */
#define RING_NAP_NS      50000 /* the kernel adds some 50000 */
#define RING_NAP_SHARE   2     /* of the ring: one half */
#define RING_STAND_ASIDE 64

/* How often a writer that waits busy looks who is in its way. */
#define RING_BUSY_WATCH_NS 1000000

/* A ticket later than every other. */
#define RING_NO_TICKET UINT64_MAX

void ring_init(struct ring *ring, const struct segment *segment, uint32_t lane)
{
    const struct geometry *g = &segment->geometry;

    *ring = (struct ring){
        .lane = segment_lane(segment, lane),
        .data = segment_lane_data(segment, lane),
        .mask = g->data_bytes - 1,
        .reach = g->data_bytes - g->head_room,
        .first = segment_lane_first(segment, lane),
        .stamp_key = g->stamp_key,
        .max_grant = g->max_grant,
        .size = g->data_bytes,
        .control = segment->control,
        .waits = &segment->readers->waits,
        .cursors = segment_cursor(segment, lane, 0),
        .groups = segment_group(segment, lane, 0),
        .slow_bytes = g->slow_bytes,
        .keeps = g->policy != RINGD_OVERWRITE,
        .hold = g->hold,
        .single = g->single,
    };
}

void ring_writer_init(struct ring_writer *writer, const struct segment *segment, uint32_t lane, uint32_t bit_number)
{
    *writer = (struct ring_writer){0};
    ring_init(&writer->ring, segment, lane);
    writer->slot = &writer->ring.lane->writers[bit_number];
    writer->bit = UINT64_C(1) << bit_number;
    writer->spins = RING_SPINS_MAX;
    writer->next_mark = ring_oldest(&writer->ring);
    writer->fenced = writer->ring.single && !wake_allow_barriers();
    ring_see_limit(writer, atomic_load_explicit(&writer->ring.lane->limit, memory_order_acquire) & RINGD_POSITION_MASK);
    writer->position = writer->stop; /* found by the first look */
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

int ring_look(const struct ring *ring, struct ring_view *view)
{
    struct ringd_lane *lane = ring->lane;

    for (int round = 0; round < RING_ROUNDS_MAX; round++) {
        uint64_t joins = atomic_load_explicit(&lane->joins, memory_order_seq_cst);  /* G1 */
        uint64_t before = atomic_load_explicit(&lane->limit, memory_order_seq_cst); /* G1 */
        uint64_t word = atomic_load_explicit(&lane->word, memory_order_seq_cst);    /* F1 */
        uint64_t after = atomic_load_explicit(&lane->limit, memory_order_acquire);

        if (after - (before & RINGD_POSITION_MASK) > RING_LIMIT_JUMP)
            continue;
        /* `before` goes with `joins`: what a raise starts from was there before the scan. */
        *view = (struct ring_view){
            .joins = joins,
            .limit = before | (after & RINGD_LIMIT_CLOSING),
            .word = word,
            .position = ring_extend(ring_floor(ring, before), word),
        };
        return 0;
    }
    return -EBADMSG;
}

int ring_position(const struct ring *ring, uint64_t *position)
{
    struct ring_view view;
    int result = ring_look(ring, &view);

    *position = result == 0 ? view.position : 0;
    return result;
}

uint64_t ring_oldest(const struct ring *ring)
{
    return ring_oldest_at(ring, atomic_load_explicit(&ring->lane->limit, memory_order_acquire));
}

bool ring_record_at(const struct ring *ring, uint64_t position)
{
    return position % RINGD_UNIT == 0 && ring_state_valid(ring_stamp_state(ring, position, memory_order_acquire));
}

/* ---- the limit ------------------------------------------------------------------------------------------------- */

/* The position belongs in it although somebody is active: by now a slot may speak of its owner's next reservation. A
 * `begin` below the floor is right too: its owner slept between check and addition; it holds the limit where it is. */
uint64_t ring_frontier(const struct ring *ring, const struct ring_view *view, bool *unsettled)
{
    uint64_t frontier = view->position;

    for (uint64_t active = view->word & RINGD_W_ACTIVE; active != 0; active &= active - 1) {
        const struct ringd_writer_slot *slot = &ring->lane->writers[__builtin_ctzll(active)];
        uint64_t begin = atomic_load_explicit(&slot->begin, memory_order_acquire); /* F2 */

        /* Between W3 and W5: it is going to say something higher, and wakes nobody for that. */
        *unsettled |= !(begin & RINGD_BEGIN_EXACT);
        begin &= RINGD_POSITION_MASK;
        if ((int64_t)(begin - frontier) < 0)
            frontier = begin;
    }
    return frontier;
}

/* As ring_lowest_cursor, of the groups; `lowest` and `attached` are what the readers by themselves have made of it. */
static int ring_lowest_group(const struct ring *ring, uint64_t floor, uint64_t frontier, uint64_t *lowest,
                             bool *attached)
{
    uint64_t groups = atomic_load_explicit(&ring->control->groups, memory_order_seq_cst); /* G3 */

    for (groups &= RINGD_GROUPS_MASK; groups != 0; groups &= groups - 1) {
        uint64_t behind;
        int result = ring_group_frontier(ring, (uint32_t)__builtin_ctzll(groups), floor, frontier, &behind);

        *attached = true;
        if (result < 0)
            return result;
        if ((int64_t)(behind - *lowest) < 0)
            *lowest = behind;
    }
    return 0;
}

/* A reader's cursor, below which by so much begins what it still has to read: in this generation or the one before. */
static uint64_t ring_held_from(const struct ring *ring, uint32_t reader, uint64_t cursor, uint64_t floor)
{
    uint64_t behind = atomic_load_explicit(&ring->cursors[reader].behind, memory_order_seq_cst); /* G3 */

    return behind % RINGD_UNIT != 0 || (int64_t)(cursor - behind - floor) < 0 ? floor : cursor - behind;
}

/* The lowest cursor of the lossless readers and groups, if below `frontier`, else `frontier`. *attached: there is one,
 * of this lane.
 * -EBADMSG: a cursor is below the floor or not at a record; -EAGAIN: it was, and has moved. */
static int ring_lowest_cursor(const struct ring *ring, uint64_t floor, uint64_t frontier, uint64_t *lowest,
                              bool *attached)
{
    *lowest = frontier;
    *attached = false;
    for (uint32_t block = 0; block < RINGD_READERS_MAX / 64; block++) {
        uint64_t readers = atomic_load_explicit(&ring->control->lossless[block], memory_order_seq_cst); /* G3 */

        for (; readers != 0; readers &= readers - 1) {
            uint32_t reader = block * 64 + (uint32_t)__builtin_ctzll(readers);
            uint64_t cursor = atomic_load_explicit(&ring->cursors[reader].position, memory_order_seq_cst); /* G3 */

            if (cursor == RINGD_CURSOR_ELSEWHERE)
                continue;
            *attached = true;
            if ((int64_t)(cursor - frontier) < 0 && ((int64_t)(cursor - floor) < 0 || !ring_record_at(ring, cursor)))
                return atomic_load_explicit(&ring->cursors[reader].position, memory_order_seq_cst) == cursor ? -EBADMSG
                                                                                                             : -EAGAIN;
            cursor = ring_held_from(ring, reader, cursor, floor);
            if ((int64_t)(cursor - *lowest) < 0)
                *lowest = cursor;
        }
    }
    return ring_lowest_group(ring, floor, frontier, lowest, attached);
}

static bool ring_swap_limit(struct ringd_lane *lane, const struct ring_view *view, uint64_t limit) /* G2 */
{
    bool swapped;

    pair_tell_sanitizer(&lane->limit);
    STOP_POINT("raise-computed");
    swapped =
        pair_swap(&lane->limit_and_joins, (struct pair){view->limit, view->joins}, (struct pair){limit, view->joins});
    STOP_POINT("raise-swapped");
    return swapped;
}

void ring_see_limit(struct ring_writer *writer, uint64_t limit)
{
    uint64_t end;

    writer->limit_seen = limit;
    writer->floor = ring_floor(&writer->ring, limit);
    end = writer->floor + writer->ring.reach;
    writer->stop = (int64_t)(writer->next_mark - end) < 0 ? writer->next_mark : end;
}

void ring_mark(struct ring_writer *writer, uint64_t position)
{
    uint64_t section_bytes = writer->ring.size / RINGD_MARKS, section = position / section_bytes;

    atomic_store_explicit(&writer->ring.lane->marks[section % RINGD_MARKS], position, memory_order_relaxed);
    STOP_POINT("mark-stored");
    writer->next_mark = (section + 1) * section_bytes;
    ring_see_limit(writer, writer->limit_seen);
}

/* How far the floor is to go: not lower than `needed`, not above `bound`; the lowest mark in between that leaves some
 * room for those who come next, if there is one. Marks are input: only those at a unit count, and whoever forges one
 * could have forged the limit. */
static uint64_t ring_choose_floor(const struct ring *ring, uint64_t needed, uint64_t bound)
{
    uint64_t best = bound, comfortable = needed + ring->size / RINGD_MARKS / 2;

    for (uint32_t i = 0; i < RINGD_MARKS; i++) {
        uint64_t mark = atomic_load_explicit(&ring->lane->marks[i], memory_order_relaxed);

        if (mark % RINGD_UNIT == 0 && (int64_t)(mark - comfortable) >= 0 && (int64_t)(mark - best) < 0)
            best = mark;
    }
    return best;
}

enum ring_raise_result {
    RING_RAISED = 0, /* the limit is higher, by us or somebody else: look again */
    RING_STANDS = 1, /* it cannot go higher now */
};

/* Raises the limit so that `bytes` fit behind the view's position, or as far as it goes. */
static int ring_raise(struct ring_writer *w, const struct ring_view *view, uint64_t bytes, enum ring_shortage *shortage)
{
    struct ring *ring = &w->ring;
    uint64_t floor = ring_floor(ring, view->limit), frontier = ring_frontier(ring, view, &w->unsettled),
             bound = frontier, target;
    bool attached = false;
    int cursors;

    if (ring->single)
        atomic_thread_fence(memory_order_seq_cst); /* Z7 */
    cursors = ring->keeps ? ring_lowest_cursor(ring, floor, frontier, &bound, &attached) : 0;

    if (cursors == -EAGAIN)
        return RING_RAISED;
    if (cursors < 0) {
        struct ring_view again;
        int result = ring_look(ring, &again);

        /* Bad only if nothing moved meanwhile; then the limit stays and the daemon has to look at that reader. */
        if (result < 0 || again.limit != view->limit || again.joins != view->joins)
            return result < 0 ? result : RING_RAISED;
        w->suspicious = true;
        bound = floor;
    }
    if (ring->hold && !attached)
        bound = floor;
    w->behind_reader = attached && bound != frontier && cursors == 0;
    *shortage = bound == frontier ? RING_FULL_WRITER : RING_FULL_READER;
    target = ring_choose_floor(ring, view->position + bytes - ring->reach, bound);
    if ((int64_t)(target - floor) <= 0)
        return RING_STANDS;
    /* If it fails somebody else has raised it, or a reader has joined: look again either way. */
    ring_swap_limit(ring->lane, view, target + ring->reach);
    return RING_RAISED;
}

static void ring_watch_groups(struct ring_writer *w, uint64_t position)
{
    uint64_t groups = atomic_load_explicit(&w->ring.control->groups, memory_order_relaxed) & RINGD_GROUPS_MASK;

    for (; w->ring.slow_bytes != 0 && groups != 0; groups &= groups - 1)
        w->far_behind |= ring_group_lag(&w->ring, (uint32_t)__builtin_ctzll(groups), position) > w->ring.slow_bytes;
}

/* Looks whether a lossless reader or a group is further behind than the ring allows: at each mark, and when there is no
 * room. */
static void ring_watch_lag(struct ring_writer *w, uint64_t position)
{
    ring_watch_groups(w, position);
    for (uint32_t block = 0; w->ring.slow_bytes != 0 && block < RINGD_READERS_MAX / 64; block++) {
        uint64_t readers = atomic_load_explicit(&w->ring.control->lossless[block], memory_order_relaxed);

        for (; readers != 0; readers &= readers - 1) {
            uint32_t reader = block * 64 + (uint32_t)__builtin_ctzll(readers);

            w->far_behind |= ring_lag(&w->ring, reader, position) > w->ring.slow_bytes;
        }
    }
}

/* ---- finding room ---------------------------------------------------------------------------------------------- */

/* What those who wait with an earlier ticket need; 0 is a ticket that is being drawn, and may be. Needs are input. */
static uint64_t ring_needs_before(struct ring_writer *w, uint64_t ticket)
{
    uint64_t waiters = atomic_load_explicit(&w->ring.lane->waiters, memory_order_seq_cst) & RINGD_W_ACTIVE & ~w->bit;
    uint64_t sum = 0;

    for (; waiters != 0; waiters &= waiters - 1) {
        const struct ringd_writer_slot *slot = &w->ring.lane->writers[__builtin_ctzll(waiters)];
        uint64_t need = atomic_load_explicit(&slot->need, memory_order_relaxed);
        uint64_t drawn = atomic_load_explicit(&slot->ticket, memory_order_acquire);

        w->unsettled |= drawn == 0;
        if (drawn < ticket)
            sum += need < w->ring.max_grant ? need : w->ring.max_grant;
    }
    return sum;
}

/* What a writer leaves free: the needs of those with an earlier ticket. Who has none and is not alone leaves one more
 * grant for each that may be looking at this moment as it does; and it takes `spare` bytes to be there besides. */
static uint64_t ring_left_to_others(struct ring_writer *w, uint64_t ticket, uint64_t spare)
{
    uint64_t needs = ring_needs_before(w, ticket);

    if (ticket != RING_NO_TICKET)
        return needs;
    return needs + spare + (needs > 0 ? RINGD_WRITERS_PER_LANE * w->ring.max_grant : 0);
}

/* Finds room once and takes it: RINGD_OK with the grant open, RINGD_FULL, or a failure. */
static int ring_try(struct ring_writer *w, uint64_t min, uint64_t want, uint64_t ticket, uint64_t spare,
                    struct ring_grant *grant, enum ring_shortage *shortage)
{
    for (int round = 0; round < RING_ROUNDS_MAX; round++) {
        struct ring_view view;
        uint64_t before;
        int64_t room;
        int result;

        /* First: who takes its room and leaves after that shows in W. */
        w->unsettled = w->behind_reader = false;
        before = ring_left_to_others(w, ticket, spare);
        w->crowded = before > spare;
        result = ring_look(&w->ring, &view);

        if (result < 0)
            return result;
        if ((view.limit & RINGD_LIMIT_CLOSING) || (view.word & RINGD_W_SEALED))
            return -ESHUTDOWN;
        if (view.word & w->bit)
            return -EBADMSG;
        w->position = view.position;
        /* Limit and needs are input, and a grant is whole units: anything less would change other bits of W. */
        room = (int64_t)((view.limit - view.position - before) & RINGD_POSITION_MASK);
        if (room < (int64_t)want) {
            result = ring_raise(w, &view, before + want, shortage);
            if (result < 0)
                return result;
            if (result == RING_RAISED)
                continue;
        }
        if (room < (int64_t)min) {
            w->needed = before + min;
            ring_watch_lag(w, view.position);
            return RINGD_FULL;
        }
        ring_see_limit(w, view.limit);
        want = room < (int64_t)want ? (uint64_t)room : want;
        result = w->ring.single ? ring_single_take_cold(w, want, grant) : ring_take(*w, view.position, want, grant);
        if (result == RINGD_OK && (int64_t)(grant->place + grant->bytes - w->next_mark) >= 0) {
            ring_mark(w, grant->place + grant->bytes);
            ring_watch_lag(w, grant->place);
        }
        return result;
    }
    *shortage = RING_FULL_READER;
    return RINGD_FULL;
}

__attribute__((noinline)) int ring_take_failed(struct ringd_lane *lane, uint64_t bit, uint64_t old_word)
{
    /* With my bit set already the addition has carried into other bits; nothing can be taken back. */
    if (old_word & bit)
        return -EBADMSG;
    atomic_fetch_sub_explicit(&lane->word, bit, memory_order_seq_cst);
    STOP_POINT("reserve-voided");
    return -ESHUTDOWN;
}

/* ---- waiting for it -------------------------------------------------------------------------------------------- */

/* The bit comes before the ticket is drawn: nobody with a later one can look without seeing that somebody is there. */
static uint64_t ring_queue_enter(struct ring_writer *w, uint64_t need)
{
    struct ringd_lane *lane = w->ring.lane;
    uint64_t ticket;

    atomic_store_explicit(&w->slot->need, (uint32_t)need, memory_order_relaxed);
    STOP_POINT("queue-need");
    atomic_store_explicit(&w->slot->ticket, 0, memory_order_relaxed);
    STOP_POINT("queue-cleared");
    atomic_fetch_or_explicit(&lane->waiters, (uint32_t)w->bit, memory_order_seq_cst); /* Q1 */
    STOP_POINT("queue-entered");
    ticket = 1 + atomic_fetch_add_explicit(&lane->next_ticket, 1, memory_order_seq_cst); /* T1 */
    STOP_POINT("queue-drawn");
    atomic_store_explicit(&w->slot->ticket, ticket, memory_order_release);
    STOP_POINT("queue-ticket");
    return ticket;
}

/* With a need gone, there may be room enough for those behind, if there are any: who draws a ticket after the second
 * step does not see the bit any more when it looks. */
static void ring_queue_leave(struct ring_writer *w, uint64_t ticket)
{
    struct ringd_lane *lane = w->ring.lane;

    atomic_fetch_and_explicit(&lane->waiters, ~(uint32_t)w->bit, memory_order_seq_cst);
    STOP_POINT("queue-left");
    if (atomic_load_explicit(&lane->next_ticket, memory_order_seq_cst) != ticket) /* T2 */
        wake_all(&w->ring.waits->space);
}

/* Looks a few times, if this writer may; RINGD_FULL if there is still no room. It looks less often each time that was
 * in vain: whoever could make room may need this very processor. */
static int ring_spin(struct ring_writer *w, uint64_t min, uint64_t want, uint64_t ticket, struct ring_grant *grant,
                     enum ring_shortage *shortage)
{
    int result = RINGD_FULL;

    if (w->wait == RINGD_WAIT_SLEEP)
        return result;
    for (uint32_t spin = 0; spin < w->spins && result == RINGD_FULL; spin++) {
        relax();
        result = ring_try(w, min, want, ticket, 0, grant, shortage);
    }
    if (result == RINGD_FULL)
        w->spins = w->spins / 2 > RING_SPINS_MIN ? w->spins / 2 : RING_SPINS_MIN;
    else
        w->spins = w->spins * 2 < RING_SPINS_MAX ? w->spins * 2 + 1 : RING_SPINS_MAX;
    return result;
}

int64_t ring_watch_stall(const struct ring_watch *watch, bool stalled, struct ring_stall *stall, int64_t until)
{
    int64_t now;

    if (!stalled || watch->after_ns == 0) {
        *stall = (struct ring_stall){0};
        return until;
    }
    now = wake_now();
    if (stall->since_ns == 0)
        *stall = (struct ring_stall){.since_ns = now, .pause_ns = watch->after_ns};
    if (now - stall->since_ns >= stall->pause_ns) {
        watch->report(watch->argument);
        *stall = (struct ring_stall){.since_ns = now, .pause_ns = 2 * stall->pause_ns};
    }
    return stall->since_ns + stall->pause_ns < until ? stall->since_ns + stall->pause_ns : until;
}

/* What keeps it may be somebody that the ring has limits for. Until when to sleep. */
static int64_t ring_watch_until(struct ring_writer *w, int64_t until)
{
    int64_t again = w->watch != NULL ? w->watch(w) : INT64_MAX;

    return again < until ? again : until;
}

/* One nap. *flow: others have written a good deal meanwhile. RINGD_OK, RINGD_FULL (it would last beyond the deadline),
 * or a failure. */
static int ring_nap_once(struct ring_writer *w, int64_t deadline, bool *flow)
{
    _Atomic uint32_t *space = &w->ring.waits->space;
    int64_t until = wake_now() + RING_NAP_NS;
    uint64_t before, after;
    int result;

    if (until >= deadline)
        return RINGD_FULL;
    result = ring_position(&w->ring, &before);
    if (result < 0)
        return result;
    ring_count(&w->slot->waited, 1);
    STOP_POINT("wait-counted");
    result = wake_sleep(space, atomic_load_explicit(space, memory_order_relaxed), until);
    if (result < 0 && result != -ETIMEDOUT)
        return result;
    result = ring_position(&w->ring, &after);
    *flow = after - before > 2 * w->ring.max_grant;
    return result;
}

/* After a nap. If nearly all of the ring is free by then it was too long. */
static int ring_try_rested(struct ring_writer *w, uint64_t min, uint64_t want, struct ring_grant *grant,
                           enum ring_shortage *shortage)
{
    int result = ring_try(w, min, want, RING_NO_TICKET, w->ring.reach - w->ring.size / 8, grant, shortage);

    w->brisk = result == RINGD_OK;
    if (result == RINGD_FULL)
        result = ring_try(w, min, want, RING_NO_TICKET, w->ring.size / RING_NAP_SHARE, grant, shortage);
    return result;
}

/* For a ring that is empty sooner than a nap is over. */
static int ring_stand_aside(struct ring_writer *w, uint64_t min, uint64_t want, struct ring_grant *grant,
                            enum ring_shortage *shortage)
{
    int result = RINGD_FULL;

    for (int turn = 0; turn < RING_STAND_ASIDE && result == RINGD_FULL && w->brisk; turn++) {
        sched_yield();
        result = ring_try(w, min, want, RING_NO_TICKET, w->ring.size / RING_NAP_SHARE, grant, shortage);
    }
    return result;
}

/* Not in line yet, for less than a millisecond if nobody writes. Nobody has to wake it, and a reader in full flow makes
 * room for thousands of records meanwhile, on the processor that it may share with this writer. It goes on when a good
 * part of the ring is free, and lets others that are in flow finish first, for some milliseconds at most: writers that
 * write at the same moment on different processors pass the line of W back and forth with every record, writers that
 * take turns do not. */
static int ring_nap(struct ring_writer *w, uint64_t min, uint64_t want, int64_t deadline, struct ring_grant *grant,
                    enum ring_shortage *shortage)
{
    int result = ring_stand_aside(w, min, want, grant, shortage), quiet = 0;

    for (int nap = 0; nap < RING_NAPS_FLOW && quiet < RING_NAPS && result == RINGD_FULL && !w->suspicious; nap++) {
        bool flow = false;

        result = ring_nap_once(w, deadline, &flow);
        if (result != RINGD_OK)
            return result;
        quiet += !flow;
        result = flow && nap < RING_NAPS_FLOW - 2 ? RINGD_FULL : ring_try_rested(w, min, want, grant, shortage);
    }
    return result;
}

/* A reader releases with a plain store and then looks whether somebody sleeps: a store that was still on its way when
 * we looked for it, by a reader that looked before we announced. By the time of a second look a moment later it has
 * arrived; who releases after that sees the announcement. So the first sleep is short, and the next one, if nobody has
 * woken this one meanwhile, is not: the announcement has stood all the time. */
static int ring_wait_in_turn(struct ring_writer *w, uint64_t min, uint64_t want, uint64_t ticket, int64_t deadline,
                             struct ring_grant *grant, enum ring_shortage *shortage)
{
    struct ring_stall stall = {0};
    bool rested = false;

    for (;;) {
        int result = ring_spin(w, min, want, ticket, grant, shortage);
        uint32_t value;
        int64_t until;

        if (result != RINGD_FULL)
            return result;
        value = wake_announce(&w->ring.waits->space); /* S1 */
        result = ring_try(w, min, want, ticket, 0, grant, shortage);
        if (result != RINGD_FULL || w->suspicious || wake_now() >= deadline)
            return result;
        until = rested && !w->unsettled ? deadline : wake_now() + RING_SECOND_LOOK_NS;
        until = ring_watch_until(w, until);
        until = ring_watch_stall(&w->stall_watch, *shortage == RING_FULL_WRITER, &stall, until);
        ring_count(&w->slot->waited, 1);
        STOP_POINT("wait-counted");
        result = wake_sleep(&w->ring.waits->space, value, until < deadline ? until : deadline);
        if (result < 0 && result != -ETIMEDOUT)
            return result;
        rested = result == -ETIMEDOUT;
    }
}

/* Looks until there is room or the deadline has passed, in its turn like all others. */
static int ring_wait_busy(struct ring_writer *w, uint64_t min, uint64_t want, uint64_t ticket, int64_t deadline,
                          struct ring_grant *grant, enum ring_shortage *shortage)
{
    struct ring_stall stall = {0};
    int64_t again = INT64_MIN;

    for (;;) {
        int result = ring_try(w, min, want, ticket, 0, grant, shortage);
        int64_t now;

        if (result != RINGD_FULL || w->suspicious)
            return result;
        now = wake_now();
        if (now >= deadline)
            return result;
        if (now >= again) {
            again = ring_watch_until(w, now + RING_BUSY_WATCH_NS);
            again = ring_watch_stall(&w->stall_watch, *shortage == RING_FULL_WRITER, &stall, again);
        }
        relax();
    }
}

int ring_reserve_slow(struct ring_writer *w, uint64_t min, uint64_t want, int64_t deadline, struct ring_grant *grant,
                      enum ring_shortage *shortage)
{
    int result = ring_try(w, min, want, RING_NO_TICKET, 0, grant, shortage);
    bool roams = deadline != RINGD_NO_WAIT && w->wait == RINGD_WAIT_ADAPTIVE;
    uint64_t ticket;

    if (result == RINGD_FULL && roams && !w->suspicious)
        result = ring_spin(w, min, want, RING_NO_TICKET, grant, shortage);
    if (result == RINGD_FULL && roams && !w->suspicious)
        result = ring_nap(w, min, want, deadline, grant, shortage);
    if (result != RINGD_FULL || (!w->crowded && deadline == RINGD_NO_WAIT))
        return result;
    /* Behind those who wait, also for one look only: two newcomers could each leave room enough, but not both. */
    ticket = ring_queue_enter(w, min);
    if (deadline == RINGD_NO_WAIT)
        result = ring_try(w, min, want, ticket, 0, grant, shortage);
    else if (w->wait == RINGD_WAIT_BUSY)
        result = ring_wait_busy(w, min, want, ticket, deadline, grant, shortage);
    else
        result = ring_wait_in_turn(w, min, want, ticket, deadline, grant, shortage);
    ring_queue_leave(w, ticket);
    return result;
}

int ring_finish_slow(struct ringd_waits *waits, uint64_t old_word, uint64_t bit)
{
    wake_all(&waits->data);
    wake_all(&waits->space);
    if (!(old_word & bit))
        return -EBADMSG;
    if (old_word & RINGD_W_SEALED)
        return RING_SEALED;
    return (old_word & RINGD_W_ACTIVE) != bit ? RING_IN_COMPANY : RINGD_OK;
}

/* ---- questions of readers --------------------------------------------------------------------------------------- */

int ring_check_start(const struct ring *ring, uint64_t position)
{
    struct ring_view view;
    bool unsettled = false;

    if (position % RINGD_UNIT != 0)
        return -EINVAL;
    if (ring_look(ring, &view) < 0)
        return -EBADMSG;
    if ((int64_t)(position - ring_oldest_at(ring, view.limit)) < 0 || (int64_t)(position - view.position) > 0)
        return -ERANGE;
    /* Between frontier and P there is nothing to check it against yet. */
    if ((int64_t)(position - ring_frontier(ring, &view, &unsettled)) >= 0 || ring_record_at(ring, position))
        return 0;
    return (int64_t)(position - ring_oldest(ring)) < 0 ? -ERANGE : -EINVAL;
}

bool ring_count_below(const struct ring *ring, uint32_t writer, uint64_t position, uint64_t *count)
{
    const struct ringd_writer_slot *slot = &ring->lane->writers[writer];
    uint64_t before = atomic_load_explicit(&slot->begin, memory_order_acquire);
    uint64_t word = atomic_load_explicit(&ring->lane->word, memory_order_acquire);
    uint64_t after;

    /* A reservation in between would have changed `begin` before it could change the count. */
    *count = atomic_load_explicit(&slot->sequence, memory_order_acquire); /* N4 */
    after = atomic_load_explicit(&slot->begin, memory_order_acquire);
    /* In a sealed lane it may be the count of one that was given up. */
    return !(word & RINGD_W_SEALED) && !(word >> writer & 1) && before == after &&
           (int64_t)((before & RINGD_POSITION_MASK) - position) < 0;
}

uint64_t ring_lag(const struct ring *ring, uint32_t reader, uint64_t position)
{
    const struct ringd_cursor *cursor = &ring->cursors[reader];
    uint64_t lag = position - atomic_load_explicit(&cursor->position, memory_order_seq_cst) +
                   atomic_load_explicit(&cursor->behind, memory_order_seq_cst);

    return lag <= ring->size ? lag : 0;
}
