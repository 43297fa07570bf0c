/* reader_merge.c - see reader_merge.h.
 *
 * Of each lane a window is kept: the headers that follow the reader's position, as far as they have been looked at. The
 * smallest time in it is the key of the lane's first record if nothing behind the window can be earlier. That is so
 *   - if some writer has two records in the window: what was added after the second is later than the first;
 *   - or if the window reaches the position that W had after some time t, and the smallest is not later than t.
 * A window of more records than a lane has writers always has the former.
 */
#define _GNU_SOURCE
#include "reader_merge.h"

#include <stdlib.h>

#include "reader_lane.h"
#include "record_time.h"

/* More than twice as many as there are writers. */
#define WINDOW 64u

/* Padding in a row that is passed in one look. */
#define PADDING_MAX 64

/* Records in a row that a reader takes from one lane, in any order. */
#define MERGE_RUN 64

/* A time later than all. */
#define NEVER UINT64_MAX

struct seen {
    uint64_t position, time;
    uint64_t key;        /* the smallest time from here to the window's end */
    uint32_t writer;     /* in the lane */
    bool pair_from_here; /* some writer has two records from here to the window's end */
};

struct window {
    uint64_t end;        /* all below has been looked at */
    uint64_t bound;      /* what is written here or later */
    uint64_t bound_time; /* has this time or a later one */
    uint32_t first, count;
    bool leaving; /* as the lane was when it was looked at */
    bool stuck;   /* what stands at its end makes no sense, or has been overwritten: the lane's own look will tell */
    struct seen seen[WINDOW];
};

struct reader_merge {
    uint32_t time_source;
    bool foreign;       /* when bounds were taken last, there was a record whose time had not come yet */
    uint64_t unordered; /* how often that was so */
    struct window windows[];
};

static size_t merge_bytes(uint32_t lane_count)
{
    return sizeof(struct reader_merge) + lane_count * sizeof(struct window);
}

struct reader_merge *merge_new(uint32_t lane_count, uint32_t time_source)
{
    struct reader_merge *merge = handle_new(merge_bytes(lane_count));

    if (merge != NULL)
        merge->time_source = time_source;
    return merge;
}

void merge_free(struct reader_merge *merge, uint32_t lane_count)
{
    if (merge != NULL)
        handle_free(merge, merge_bytes(lane_count));
}

/* ---- a window ---------------------------------------------------------------------------------------------------- */

/* Room at its end, and nothing in it that the reader has passed. */
static void shift(const struct reader_lane *l, struct window *w)
{
    if ((int64_t)(w->end - l->position) < 0 || w->end - l->position > l->ring.size || w->leaving != l->leaving) {
        w->end = l->position;
        w->count = 0;
    }
    w->leaving = l->leaving;
    w->stuck = false;
    while (w->count > 0 && (int64_t)(w->seen[w->first].position - l->position) < 0) {
        w->first++;
        w->count--;
    }
    if (w->count == 0)
        w->first = 0;
}

static bool is_drained(const struct reader_lane *l, uint64_t position)
{
    return l->leaving && position == l->tail.end;
}

/* Looks at what stands at the window's end. False: nothing that could be looked at. */
static bool look_further(const struct reader_lane *l, struct window *w)
{
    const struct ring_range *gone = l->leaving ? ring_gone_at(&l->tail, w->end) : NULL;
    uint64_t state = ring_stamp_state(&l->ring, w->end, memory_order_acquire); /* N1 */
    const struct ringd_record_header *h = ring_header(&l->ring, w->end);
    uint64_t extent = atomic_load_explicit(&h->extent, memory_order_relaxed), bytes;
    struct seen *seen = &w->seen[w->first + w->count];

    if (is_drained(l, w->end))
        return false;
    if (gone != NULL) {
        w->end = gone->end;
        return true;
    }
    if (!ring_state_valid(state))
        return false;
    if (!l->leaving && atomic_load_explicit(&l->ring.control->moving, memory_order_acquire) != 0) { /* X2 */
        w->stuck = true;
        return false;
    }
    *seen = (struct seen){
        .position = w->end,
        .time = atomic_load_explicit(&h->time, memory_order_relaxed),
        .writer = (uint32_t)(atomic_load_explicit(&h->origin, memory_order_relaxed) & RINGD_ORIGIN_WRITER_MASK) -
                  l->number * RINGD_WRITERS_PER_LANE,
    };
    bytes = ring_record_bytes((uint32_t)extent);
    if (bytes > l->ring.max_grant || (state == RINGD_STATE_COMMITTED && seen->writer >= RINGD_WRITERS_PER_LANE)) {
        w->stuck = true;
        return false;
    }
    w->count += state == RINGD_STATE_COMMITTED;
    w->end += bytes;
    return true;
}

/* From the last to the first. */
static void compute_keys(struct window *w)
{
    uint64_t key = NEVER, writers = 0;
    bool pair = false;

    for (uint32_t i = w->first + w->count; i-- > w->first;) {
        struct seen *seen = &w->seen[i];

        key = seen->time < key ? seen->time : key;
        pair |= writers >> seen->writer & 1;
        writers |= UINT64_C(1) << seen->writer;
        seen->key = key;
        seen->pair_from_here = pair;
    }
}

static void move_to_front(struct window *w)
{
    for (uint32_t i = 0; w->first > 0 && i < w->count; i++)
        w->seen[i] = w->seen[w->first + i];
    w->first = 0;
}

/* As far as there is anything, and as there is room. */
static void look_ahead(const struct reader_lane *l, struct window *w)
{
    move_to_front(w);
    for (uint32_t padding = 0; w->count < WINDOW && padding < WINDOW + PADDING_MAX; padding++) {
        if (!look_further(l, w))
            break;
    }
    if (!lane_intact(l, l->position)) {
        w->end = l->position;
        w->count = 0;
        w->stuck = true;
    }
    compute_keys(w);
}

/* ---- which lane ---------------------------------------------------------------------------------------------------
 */

/* Whether nothing behind the window is earlier than `key`. */
static bool is_bounded(const struct reader_merge *m, const struct reader_lane *l, const struct window *w, uint64_t key)
{
    if (is_drained(l, w->end))
        return true;
    return (int64_t)(w->end - w->bound) >= 0 && (key <= w->bound_time || m->foreign);
}

static bool is_resolved(const struct reader_merge *m, const struct reader_lane *l, const struct window *w)
{
    const struct seen *head = &w->seen[w->first];

    return w->count > 0 && (head->pair_from_here || is_bounded(m, l, w, head->key));
}

/* Whether a lane without a record cannot get one that comes before `key` of lane `chosen`. Equal keys: by lane. */
static bool stays_behind(const struct reader_merge *m, const struct reader_lane *l, const struct window *w,
                         uint64_t key, uint32_t chosen)
{
    return is_bounded(m, l, w, l->number < chosen && key != NEVER ? key + 1 : key);
}

/* The time first, then the words. What has been seen before has an earlier time, or one of another clock. */
static void take_bounds(struct ringd_reader *r)
{
    uint64_t time = record_time_then_load(r->merge->time_source), position;

    r->merge->foreign = false;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct window *w = &r->merge->windows[i];

        r->merge->foreign |= w->count > 0 && w->seen[w->first].key > time;
        if (ring_position(&r->lanes[i].ring, &position) < 0)
            continue;
        w->bound = position;
        w->bound_time = time;
    }
    r->merge->unordered += r->merge->foreign;
}

/* The lane with the smallest key among those that have a record; all of them resolved. *settled: that is the answer. */
static struct reader_lane *smallest(struct ringd_reader *r, bool *settled)
{
    struct reader_lane *chosen = NULL;
    struct reader_merge *m = r->merge;
    uint64_t key = NEVER;

    *settled = true;
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];
        struct window *w = &m->windows[i];

        shift(l, w);
        if (!is_resolved(m, l, w))
            look_ahead(l, w);
        if (w->stuck && w->count == 0)
            return l;
        if (w->count == 0)
            continue;
        if (!is_resolved(m, l, w)) {
            *settled = false;
        } else if (chosen == NULL || w->seen[w->first].key < key) {
            chosen = l;
            key = w->seen[w->first].key;
        }
    }
    for (uint32_t i = 0; chosen != NULL && i < r->lane_count; i++) {
        if (m->windows[i].count == 0)
            *settled &= stays_behind(m, &r->lanes[i], &m->windows[i], key, chosen->number);
    }
    return chosen;
}

struct reader_lane *merge_next(struct ringd_reader *r)
{
    bool settled;
    struct reader_lane *lane = smallest(r, &settled);

    if (settled)
        return lane;
    take_bounds(r);
    lane = smallest(r, &settled);
    return settled ? lane : NULL;
}

uint64_t merge_unordered(const struct reader_merge *merge)
{
    return merge != NULL ? merge->unordered : 0;
}

struct reader_lane *merge_any(struct ringd_reader *r)
{
    if (++r->run > MERGE_RUN) {
        r->run = 0;
        r->turn = (r->turn + 1) % r->lane_count;
    }
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[(r->turn + i) % r->lane_count];

        if (!is_drained(l, l->position) && ring_record_at(&l->ring, l->position)) {
            r->run = r->turn == l->number ? r->run : 0;
            r->turn = l->number;
            return l;
        }
    }
    return NULL;
}
