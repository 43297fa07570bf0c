/* reader.c - the public calls of a reader: next, release, and what to do when there is nothing to read.
 *
 * A reader has a part in each lane of the ring (reader_lane.h). Of one lane the next record is simply the next one
 * there; of several, reader_merge.h says which lane is next. A release is a plain store for each lane that may have
 * been looked at since the last one; with a locked one it is repeated when there is nothing more to read, and so before
 * the reader sleeps. (A writer about to sleep for space may miss the plain one by nanoseconds; it looks once more, see
 * ring_wait_in_turn.)
 *
 * All lanes have one word to sleep on. The daemon announces the sleep of an observer, which cannot.
 *
 * Of a ring that moves (reader_move.h) all that reading pays for is a load of control.moving, in a line that changes
 * once in the life of a generation.
 */
#define _GNU_SOURCE
#include "reader.h"

#include <sched.h>

#include "pollable.h"
#include "reader_filter.h"
#include "reader_group.h"
#include "reader_lane.h"
#include "reader_merge.h"
#include "reader_message.h"
#include "reader_move.h"
#include "reader_named.h"
#include "reader_open.h"
#include "reader_start.h"
#include "relax.h"
#include "wake.h"

/* Looks at the next stamp before a reader says that there is nothing: a fraction of a microsecond. */
#define READER_GLANCES 16

/* Looks at the next stamp, with pauses, before a reader that may wait goes to sleep: fewer after each time that was in
 * vain, as whoever is to write may need this very processor. */
#define READER_SPINS_MIN 8
#define READER_SPINS_MAX 200

/* Looks of a busy reader between two thorough ones and a look at the clock. */
#define READER_BUSY_LOOKS 512

/* Napping, see nap_for_data(): how many records since the last sleep, how recent that was, how long. */
#define NAP_RUN       4
#define NAP_WITHIN_NS 300000
#define NAP_NS        50000

/* Sleeps in a row for less than that and fewer records than those, after which it lets others run first. */
#define HASTY_SLEEPS 8
#define HASTY_NS     20000

/* How many headers ahead bulk reading asks for. */
#define HEADERS_AHEAD 4

/* An observer without a daemon looks this often, and whoever may not have the kernel run barriers (ring_single.h). */
#define BLIND_LOOK_NS 2000000

/* So does a group's member for what nobody wakes it for. */
#define MEMBER_LOOK_NS 10000000

/* A pollable reader that could not follow a ring that has moved is to try again so soon. */
#define FOLLOW_LOOK_NS 10000000

/* Looks in a row, each with a reason to look again, before the clock is asked. */
#define ROUNDS_MAX 64

/* How many empty looks pass before a busy reader makes sure that the ring is not damaged. */
#define IDLE_CHECK 1024

/* Pacing, see pace(): how long (a pause for so many bytes of the ring, in which no writer gets a quarter of it ahead),
 * how many records make it worth while (one in so many pauses), how rarely it is tried. */
#define PACE_PAUSES_MIN 32
#define PACE_PAUSES_MAX 128
#define PACE_BYTES      8192
#define PACE_RUN        16
#define PACE_EVERY_MIN  512
#define PACE_EVERY_MAX  65536

/* Payload that may change while it is copied: the copy counts only if lane_intact() says so afterwards. */
__attribute__((no_sanitize("thread"))) void *reader_keep_copy(struct ringd_reader *r, const void *payload, size_t len)
{
    unsigned char *copy = r->copies + r->copies_used;

    copy_payload(copy, payload, len);
    return copy;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

RING_COLD int ringd_reader_valid(const struct ringd_reader *reader)
{
    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    if (!reader->in_place && !reader_was_evicted(reader))
        return RINGD_OK; /* copies, or held */
    for (uint32_t i = 0; i < reader->lane_count; i++) {
        const struct reader_lane *l = &reader->lanes[i];

        uint64_t from = reader->in_place ? l->in_place_from : l->released;

        if (from != l->position && !lane_intact(l, from))
            return RINGD_EVICTED;
    }
    return RINGD_OK;
}

/* What the cursor would say is what it says. */
static inline bool is_released(const struct reader_lane *l)
{
    return atomic_load_explicit(&l->cursor->position, memory_order_relaxed) == l->position &&
           atomic_load_explicit(&l->cursor->settled, memory_order_relaxed) == l->settled && l->named == NULL;
}

/* Everything that was given back is so for writers as well: the plain store, and whoever waits for it. */
static inline void release_lane(struct ringd_reader *r, struct reader_lane *l)
{
    l->released = l->position;
    if (r->mode != RINGD_READ_OBSERVE)
        lane_store_cursor(r, l, l->released);
    if (__builtin_expect(l->named != NULL, 0))
        named_store(l);
}

/* Of many lanes only those that have been looked at since the last time. */
__attribute__((noinline)) static void release_looked_at(struct ringd_reader *r)
{
    uint64_t left = r->looked_at & UINT64_MAX >> (RINGD_LANES_MAX - r->lane_count);

    for (; left != 0; left &= left - 1) {
        struct reader_lane *l = &r->lanes[__builtin_ctzll(left)];

        if (l->released != l->position || !is_released(l))
            release_lane(r, l);
    }
    r->looked_at = 0;
}

static inline void free_given(struct ringd_reader *r)
{
    if (__builtin_expect(r->given_messages != NULL, 0))
        message_free_all(r, &r->given_messages);
    if (__builtin_expect(r->held_messages != NULL, 0))
        message_free_all(r, &r->held_messages);
    if (__builtin_expect((r->kept_count | r->ahead_count) != 0, 0))
        reader_released(r);
}

int ringd_release(struct ringd_reader *reader)
{
    if (__builtin_expect(reader->alive != HANDLE_ALIVE, 0))
        return -ECHILD;
    reader->copies_used = 0;
    reader->in_place = false;
    if (__builtin_expect(reader->group != NULL, 0))
        group_release(reader);
    else if (__builtin_expect(reader->lane_count == 1, 1))
        release_lane(reader, &reader->one_lane);
    else
        release_looked_at(reader);
    if (reader->mode == RINGD_READ_LOSSLESS &&
        (atomic_load_explicit(&reader->waits->space, memory_order_seq_cst) & WAKE_SLEEPING)) /* P2 */
        wake_all(&reader->waits->space);
    free_given(reader);
    if (__builtin_expect(reader_was_evicted(reader), 0)) {
        reader_turn_lossy(reader);
        reader->in_place = false;
        return RINGD_EVICTED;
    }
    return RINGD_OK;
}

/* ---- nothing to read --------------------------------------------------------------------------------------------- */

void reader_rest(struct ringd_reader *r)
{
    r->pace_in = r->pace_every = PACE_EVERY_MIN;
    r->spins = READER_SPINS_MAX;
    r->backlog = true;
}

/* The lane to take the next record from, if there is one and it can be said. */
static struct reader_lane *next_lane(struct ringd_reader *r)
{
    return r->merge != NULL ? merge_next(r) : merge_any(r);
}

/* Whether it is worth while to look again. One lane is looked at in place. */
static inline bool anything_new(struct ringd_reader *r)
{
    if (__builtin_expect(r->group != NULL, 0))
        return group_ready(r);
    if (__builtin_expect(r->lane_count == 1, 1))
        return ring_record_at(&r->one_lane.ring, r->one_lane.position);
    return next_lane(r) != NULL;
}

/* A lane with a record that has to wait for those of other lanes. */
static int explain_waiting(const struct ringd_reader *r, struct reader_lane *l)
{
    struct ring_view view;

    if (ring_moving(&l->ring) != RINGD_MOVING_NO)
        return RINGD_OK;
    if (lane_below_floor(r, l)) {
        lane_resume(l);
        return RINGD_OK;
    }
    return ring_look(&l->ring, &view) < 0 ? -EBADMSG : RINGD_WOULD_BLOCK;
}

/* Of all lanes: the first that has something to say, else that there is nothing yet, or the end of all. A merge may
 * wait for one lane while there are records in others. */
RING_COLD static int explain_nothing(struct ringd_reader *r, struct ringd_record *record)
{
    bool ended = true;

    if (r->group != NULL)
        return group_explain(r);
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];
        bool waits = r->merge != NULL && ring_record_at(&l->ring, l->position);
        int result = waits ? explain_waiting(r, l) : lane_explain(r, l, record);

        if (result != RINGD_WOULD_BLOCK && result != RINGD_END)
            return result;
        ended &= result == RINGD_END;
    }
    if (r->merge != NULL && (reader_was_evicted(r) || next_lane(r) != NULL))
        return RINGD_OK;
    return ended ? RINGD_END : RINGD_WOULD_BLOCK;
}

/* When a reader that found nothing has to look again, whether it is woken or not. */
RING_COLD static int64_t watch_writers(struct ringd_reader *r, int64_t until)
{
    if (r->group != NULL && group_must_look(r) && wake_now() + MEMBER_LOOK_NS < until)
        until = wake_now() + MEMBER_LOOK_NS;
    for (uint32_t i = 0; i < r->lane_count; i++)
        until = lane_watch_writers(r, &r->lanes[i], until);
    return until;
}

/* A reader that is woken for each handful of records of a stream costs itself and the writer two changes of context and
 * a wake-up each time. If it sleeps shortly after its last sleep and that has brought several records, the next one is
 * a nap: it announces nothing, nobody has to wake it, and it finds more.
 *
 * If it brings one record at a time, again and again in a few microseconds, the writer is probably on this processor
 * and was pushed aside by its own wake-up: it may finish what it was at, before this reader sleeps. (Where there is
 * nobody to let go first, as when two processes on two processors answer each other, that takes no time.) */
static bool nap_for_data(struct ringd_reader *r, int *result)
{
    uint64_t delivered = atomic_load_explicit(&r->counters->delivered, memory_order_relaxed);
    uint64_t run = delivered - r->nap_delivered;
    int64_t now = wake_now(), since = now - r->nap_ns;

    r->nap_delivered = delivered;
    r->nap_ns = now;
    r->hasty = run < NAP_RUN && since < HASTY_NS ? r->hasty + 1 : 0;
    if (r->hasty >= HASTY_SLEEPS) {
        sched_yield();
        *result = RINGD_OK;
        return anything_new(r);
    }
    if (run < NAP_RUN || since >= NAP_WITHIN_NS || r->deadline - now <= NAP_NS)
        return false;
    ring_count(&r->counters->slept, 1);
    *result = wake_sleep(&r->waits->data, atomic_load_explicit(&r->waits->data, memory_order_relaxed), now + NAP_NS);
    if (*result == -ETIMEDOUT)
        *result = RINGD_OK;
    return true;
}

/* When one that may be woken too late looks for itself. */
static int64_t soon(int64_t deadline)
{
    int64_t look = wake_now() + BLIND_LOOK_NS;

    return look < deadline ? look : deadline;
}

/* Announces, looks again, sleeps. RINGD_OK: look again. */
RING_COLD static int sleep_for_data(struct ringd_reader *r, struct ringd_record *record)
{
    _Atomic uint32_t *word = &r->waits->data;
    int64_t until = r->deadline;
    uint32_t value;
    int result;

    if (r->mode != RINGD_READ_OBSERVE) {
        value = wake_announce(word);                    /* S1 */
        if (r->lanes[0].ring.single && !wake_barrier()) /* Y2 */
            until = soon(r->deadline);
    } else if (r->attachment == NULL || attachment_arm(r->attachment, &value) < 0) {
        value = atomic_load_explicit(word, memory_order_seq_cst);
        until = soon(r->deadline);
    }
    result = explain_nothing(r, record); /* S2 */
    if (result != RINGD_WOULD_BLOCK || wake_now() >= r->deadline)
        return result;
    ring_count(&r->counters->slept, 1);
    STOP_POINT("wait-counted");
    result = wake_sleep(word, value, watch_writers(r, until));
    if (result == -ETIMEDOUT)
        return wake_now() >= r->deadline ? RINGD_WOULD_BLOCK : RINGD_OK;
    return result;
}

/* Of a reader that does not wait: whether there may be more to say than "nothing". Looks at lines that rarely change;
 * W, which writers are busy with, only every so often, to notice a damaged ring. */
RING_COLD static bool worth_explaining(struct ringd_reader *r)
{
    bool worth = ++r->idle % IDLE_CHECK == 0 || reader_ring_removed(r) || reader_was_evicted(r) ||
                 ring_moving(&r->lanes[0].ring) != RINGD_MOVING_NO ||
                 (r->pollable != NULL && pollable_announced(r->pollable)); /* S2 */

    for (uint32_t i = 0; i < r->lane_count; i++)
        worth |= r->lanes[i].ask_silent || lane_below_floor(r, &r->lanes[i]);
    return worth;
}

/* A reader right behind a writer in full flow makes every record bounce a line between their processors; one that lets
 * the writer get a little ahead reads several at once and both are faster. But one that answers each record must not
 * wait at all. So: wait if waiting has brought several records each time, try that now and then, and less and less
 * often while it brings one. */
static void pace(struct ringd_reader *r)
{
    uint64_t share = r->lanes[0].ring.size / PACE_BYTES;
    uint64_t pauses = share < PACE_PAUSES_MIN ? PACE_PAUSES_MIN : share > PACE_PAUSES_MAX ? PACE_PAUSES_MAX : share;
    uint64_t delivered = atomic_load_explicit(&r->counters->delivered, memory_order_relaxed);
    uint64_t run = delivered - r->pace_delivered;

    r->pace_delivered = delivered;
    if (run > 0 && r->pacing) {
        r->pacing = run * PACE_RUN >= pauses;
        r->pace_every = r->pacing                            ? PACE_EVERY_MIN
                        : r->pace_every * 2 < PACE_EVERY_MAX ? r->pace_every * 2
                                                             : PACE_EVERY_MAX;
        r->pace_in = r->pace_every;
    } else if (run > 0) {
        r->pacing = --r->pace_in == 0;
    }
    for (uint64_t i = 0; r->pacing && i < pauses; i++)
        relax();
}

/* What was released is so for everybody, from here on also for who is about to sleep for it. */
static void publish(struct ringd_reader *r)
{
    if (r->group != NULL)
        return; /* a claim is given back with a locked instruction */
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];

        if (r->mode != RINGD_READ_LOSSLESS)
            l->released = l->position;
        if (l->published != l->released)
            lane_publish(r, l);
    }
}

/* RINGD_OK: look again; RINGD_WOULD_BLOCK: there is nothing by the deadline. */
static int wait_busily(struct ringd_reader *r)
{
    do {
        for (int i = 0; i < READER_BUSY_LOOKS; i++) {
            if (anything_new(r))
                return RINGD_OK;
            relax();
        }
        if (worth_explaining(r))
            return RINGD_OK;
        watch_writers(r, INT64_MAX);
    } while (wake_now() < r->deadline);
    return RINGD_WOULD_BLOCK;
}

static bool spin(struct ringd_reader *r)
{
    for (uint32_t spin = 0; spin < r->spins; spin++) {
        if (anything_new(r)) {
            r->spins = r->spins * 2 < READER_SPINS_MAX ? r->spins * 2 : READER_SPINS_MAX;
            return true;
        }
        relax();
    }
    r->spins = r->spins / 2 > READER_SPINS_MIN ? r->spins / 2 : READER_SPINS_MIN;
    return false;
}

/* Nothing at the reader's position. RINGD_OK: look again; anything else is the caller's result. */
__attribute__((noinline)) static int wait_for_data(struct ringd_reader *r, struct ringd_record *record)
{
    int result;

    if (ring_moving(&r->lanes[0].ring) != RINGD_MOVING_NO) {
        result = reader_leave(r);
        if (result != RINGD_WOULD_BLOCK || r->group == NULL || r->deadline == RINGD_NO_WAIT)
            return result;
        return sleep_for_data(r, record); /* other members have something to finish */
    }
    publish(r);
    if (r->wait == RINGD_WAIT_ADAPTIVE)
        pace(r);
    for (int i = 0; !r->pacing && i < READER_GLANCES; i++) {
        relax(); /* each look takes the line away from who is about to write it */
        if (anything_new(r))
            return RINGD_OK;
    }
    if (r->deadline == RINGD_NO_WAIT && !worth_explaining(r))
        return RINGD_WOULD_BLOCK;
    result = explain_nothing(r, record);
    if (result != RINGD_WOULD_BLOCK || r->deadline == RINGD_NO_WAIT)
        return result;
    if (r->wait == RINGD_WAIT_BUSY)
        return wait_busily(r);
    if (r->wait == RINGD_WAIT_ADAPTIVE) {
        if (spin(r))
            return RINGD_OK;
        if (nap_for_data(r, &result))
            return result;
    }
    return sleep_for_data(r, record);
}

RING_COLD static int after_look(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record,
                                enum look look)
{
    r->looked_at = UINT64_MAX; /* what follows may change any of them */
    if (reader_was_evicted(r))
        return reader_turn_lossy(r);
    switch (look) {
    case LOOK_GAP:
        lane_settle_gap(r, l);
        return RINGD_GAP;
    case LOOK_LAPPED:
        lane_resume(l);
        return RINGD_OK;
    case LOOK_PASSED:
        publish(r);
        return RINGD_OK;
    case LOOK_NOTHING:
        return wait_for_data(r, record);
    case LOOK_LEAVING:
        return reader_leave(r);
    default:
        return -EBADMSG;
    }
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

/* What is to be said before anything else. */
__attribute__((noinline)) static int say_pending(struct ringd_reader *r, struct ringd_record *record)
{
    if (r->ended)
        return RINGD_END;
    *record = r->gap;
    r->pending = false;
    return RINGD_GAP;
}

/* A call that has reason to look again and again, which can be without end: what it does not want to see may be written
 * faster than it passes over it, and the limit of a damaged ring runs away. */
struct search {
    uint64_t rounds, passes;
};

/* Of a call that passes over much: whether all that was there when it began to has been passed. */
RING_COLD static bool passed_all(const struct ringd_reader *r, const struct search *search)
{
    /* Whatever the ring says, that is at most a header in each unit. */
    bool all = true, too_many = search->passes / r->lane_count >
                                r->lanes[0].ring.size / RINGD_UNIT / READER_PASSES_MAX + ROUNDS_MAX;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        const struct reader_lane *l = &r->lanes[i];

        all &= (int64_t)(l->position - l->wall) >= 0 || !ring_record_at(&l->ring, l->position);
    }
    return all || too_many;
}

RING_COLD static void set_walls(struct ringd_reader *r)
{
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];

        if (ring_position(&l->ring, &l->wall) < 0)
            l->wall = l->position; /* damaged, which it is told when there is nothing to pass over */
    }
}

/* Not beyond the deadline, but nothing that is there by then is left out. */
RING_COLD static bool looked_long_enough(struct ringd_reader *r, struct search *search, enum look look)
{
    if (look == LOOK_PASSED && search->passes++ == 0)
        set_walls(r);
    return ++search->rounds % ROUNDS_MAX == 0 && wake_now() >= r->deadline &&
           (search->passes == 0 || passed_all(r, search));
}

/* Copies are good until the next call, and so is all that a group's member was given; else what a lossless reader was
 * given is good until it is released. */
static inline void forget_copies(struct ringd_reader *r)
{
    r->copies_used = 0;
    if (__builtin_expect(r->group != NULL, 0)) {
        group_release(r); /* the call itself tells of an eviction */
        free_given(r);
    }
    if (__builtin_expect(r->given_messages != NULL && r->mode != RINGD_READ_LOSSLESS, 0))
        message_free_all(r, &r->given_messages);
}

/* Before it says that there is nothing: its descriptor is to be readable when there is something again. Nobody wakes a
 * reader that could not follow its ring, for want of a daemon or because of all that it has not released. */
static bool must_look_again(struct ringd_reader *r)
{
    bool leaving = ring_moving(&r->lanes[0].ring) != RINGD_MOVING_NO;

    if (r->pollable == NULL)
        return false;
    return pollable_arm(r->pollable, watch_writers(r, leaving ? wake_now() + FOLLOW_LOOK_NS : INT64_MAX));
}

/* A merge has seen a record there, and now it is not. */
static enum look explain_gone(const struct ringd_reader *r, const struct reader_lane *l)
{
    if (ring_moving(&l->ring) != RINGD_MOVING_NO)
        return LOOK_LEAVING;
    return lane_below_floor(r, l) ? LOOK_LAPPED : LOOK_DAMAGED; /* evicted: after_look() */
}

/* Of several lanes: whatever is passed over in one, another may be the next. */
static enum look look_at_lanes(struct ringd_reader *r, struct reader_lane **l, struct ringd_record *record, bool bulk)
{
    for (int i = 0; i < READER_PASSES_MAX; i++) {
        struct reader_lane *next = next_lane(r);
        enum look look;

        if (next == NULL)
            return LOOK_NOTHING;
        *l = next;
        look = lane_look_once(r, next, record, bulk);
        if (__builtin_expect(look == LOOK_NOTHING && r->merge != NULL, 0))
            return explain_gone(r, next);
        if (__builtin_expect(look != LOOK_AGAIN, 1))
            return look;
    }
    return LOOK_PASSED;
}

static inline enum look look_for_one(struct ringd_reader *r, struct reader_lane **l, struct ringd_record *record)
{
    *l = r->lanes;
    if (__builtin_expect(r->group != NULL, 0))
        return group_look(r, l, record);
    if (__builtin_expect(r->lane_count == 1, 1))
        return lane_look(r, *l, record, false);
    return look_at_lanes(r, l, record, false);
}

int ringd_next(struct ringd_reader *reader, struct ringd_record *record)
{
    struct search search = {0};

    if (__builtin_expect(reader->alive != HANDLE_ALIVE, 0))
        return -ECHILD;
    if (__builtin_expect(reader->pending, 0))
        return say_pending(reader, record);
    forget_copies(reader);
    for (;;) {
        struct reader_lane *l;
        enum look look = look_for_one(reader, &l, record);
        int result;

        if (__builtin_expect(look == LOOK_RECORD, 1))
            return RINGD_OK;
        result = after_look(reader, l, record, look);
        if (result == RINGD_WOULD_BLOCK && must_look_again(reader))
            continue;
        if (result != RINGD_OK)
            return result;
        if (looked_long_enough(reader, &search, look))
            return RINGD_WOULD_BLOCK;
    }
}

/* Only headers are looked at here, one line of each record, and where the next one is stands in the one before: without
 * asking ahead every record would cost a whole hop. Those to come are probably as long as this one. Nothing is asked
 * for that may still be written. */
static inline void ask_ahead(const struct reader_lane *l, const struct ringd_record *record)
{
    uint64_t distance = HEADERS_AHEAD * (record->next - record->position);

    if ((int64_t)(l->opened - l->position - distance) > 0)
        __builtin_prefetch(ring_header(&l->ring, l->position + distance));
}

/* As many as there are in one claim. */
static enum look fill_from_group(struct ringd_reader *r, struct reader_lane **l, struct ringd_record *records,
                                 size_t max, size_t *count)
{
    enum look look;

    group_want(r, max);
    do {
        look = group_look(r, l, &records[*count]);
        *count += look == LOOK_RECORD;
    } while (look == LOOK_RECORD && *count < max && group_holds(r, *l));
    group_want(r, 0);
    return look;
}

/* As many as there are. *l: the lane looked at last. */
static enum look fill(struct ringd_reader *r, struct reader_lane **l, struct ringd_record *records, size_t max,
                      size_t *count)
{
    enum look look = LOOK_NOTHING;

    if (__builtin_expect(r->group != NULL, 0))
        return fill_from_group(r, l, records, max, count);
    while (*count < max) {
        if (__builtin_expect(r->lane_count == 1, 1))
            look = lane_look(r, *l, &records[*count], true);
        else
            look = look_at_lanes(r, l, &records[*count], true);
        if (look != LOOK_RECORD)
            break;
        ask_ahead(*l, &records[*count]);
        ++*count;
    }
    return look;
}

/* For the next call to tell. */
static void keep_gap(struct ringd_reader *r, struct reader_lane *l, const struct ringd_record *gap)
{
    r->pending = true;
    r->gap = *gap;
    lane_settle_gap(r, l);
}

/* The lane whose turn it is. (Not to be asked for yet: which one is next is asked when it is looked at.) */
static inline struct reader_lane *likely_lane(struct ringd_reader *r)
{
    return __builtin_expect(r->lane_count == 1, 1) ? r->lanes : &r->lanes[r->turn];
}

int ringd_next_many(struct ringd_reader *reader, struct ringd_record *records, size_t max, size_t *count)
{
    struct search search = {0};
    int result;

    *count = 0;
    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    if (max == 0)
        return -EINVAL;
    if (reader->pending) {
        result = say_pending(reader, records);
        *count = result == RINGD_GAP;
        return result;
    }
    forget_copies(reader);
    for (;;) {
        struct reader_lane *l = likely_lane(reader);
        enum look look;

        if (reader->backlog && reader->group == NULL && (int64_t)(l->opened - l->position) <= 0)
            lane_look_for_opening(l);
        look = fill(reader, &l, records, max, count);
        reader->backlog = *count == max || *count == 0;
        if (*count > 0) {
            if (look == LOOK_GAP)
                keep_gap(reader, l, &records[*count]);
            return RINGD_OK;
        }
        result = after_look(reader, l, records, look);
        if (result == RINGD_WOULD_BLOCK && must_look_again(reader))
            continue;
        *count = result == RINGD_GAP;
        if (result != RINGD_OK)
            return result;
        if (looked_long_enough(reader, &search, look))
            return RINGD_WOULD_BLOCK;
    }
}
