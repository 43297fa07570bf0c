/* reader_merge.c - see reader_merge.h.
 *
 * Of each lane a window is kept: what follows the reader's position, as far as it has been looked at, in runs. A run is
 * records in a row of one writer with one time, as those of a batch are: it has ONE addition and its time was taken
 * after that, so it counts as one record. (So may records that have the same time by chance: that costs a look.)
 *
 * The smallest time in the window is the key of the lane's first record if nothing behind the window can be earlier. So
 * it is
 *   - if some writer has two runs in the window: what was added after the second is later than the first;
 *   - or if the window has come to where W stood after some time t (`sure`), and the smallest is not later than t;
 *   - or if nothing comes behind it: the lane has ended there (ring_move.h), or makes no sense there.
 * A full window always has the first.
 *
 * What is known of each lane's next key stands in a heap: the key itself, or a time that it is not earlier than. Keys
 * grow along a lane, so what was known once stays a lower bound, and only the lane at the top has to be looked at
 * again: if its key is known then, it is the next. If it is not, the time and all words are loaded anew; if it is not
 * even then, somebody is between his addition and his stamp, or there is nothing.
 */
#define _GNU_SOURCE
#include "reader_merge.h"

#include <stdlib.h>

#include "reader_lane.h"
#include "record_time.h"

/* Runs; a power of two, and more than twice as many as there are writers. */
#define WINDOW 64u

/* Records in a row that a reader takes from one lane, in any order. */
#define MERGE_RUN 64

/* A time later than all. */
#define NEVER UINT64_MAX

/* How often the clock and all words are loaded again for one record. */
#define ASK_TRIES 1000

struct seen {
    uint64_t position, end;
    uint64_t time;
    uint64_t key;        /* the smallest time from here to the window's end */
    uint32_t writer;     /* in the lane */
    bool pair_from_here; /* some writer has two runs from here to the window's end */
};

struct window {
    uint64_t end;        /* all below has been looked at */
    uint64_t sure;       /* what is added at `end` or later has this time or a later one */
    uint64_t bound;      /* if `asked`: what is added here or later */
    uint64_t bound_time; /* has this time or a later one */
    uint64_t opened;     /* all below is final, as of the last look at W */
    uint32_t first, count;
    bool lapped;  /* what stands at its beginning is overwritten */
    bool asked;   /* `bound` has not been reached yet */
    bool leaving; /* as the lane was when it was looked at */
    bool final;   /* nothing behind the end will ever make sense, */
    bool bad;     /* as there is a stamp with a header that cannot be: the lane's own look will tell */
    struct seen seen[WINDOW];
};

/* What is known of a lane's next key. */
struct rival {
    uint64_t key;
    uint32_t lane;
};

struct reader_merge {
    uint32_t time_source;
    uint32_t lane_count;
    uint64_t last_key;  /* of what was given out last */
    uint64_t unordered; /* records that came when something later had been given out, or before their time had come */
    uint64_t counted_position; /* the last of them */
    uint32_t counted_lane;
    struct rival heap[RINGD_LANES_MAX]; /* the smallest first; equal keys: by lane */
    struct window windows[];
};

static size_t merge_bytes(uint32_t lane_count)
{
    return sizeof(struct reader_merge) + lane_count * sizeof(struct window);
}

struct reader_merge *merge_new(uint32_t lane_count, uint32_t time_source)
{
    struct reader_merge *merge = handle_new(merge_bytes(lane_count));

    if (merge == NULL)
        return NULL;
    merge->time_source = time_source;
    merge->lane_count = lane_count;
    merge->counted_lane = RINGD_LANES_MAX;
    merge_begin_generation(merge);
    return merge;
}

/* Where lanes had ended, nothing was to come. */
void merge_begin_generation(struct reader_merge *merge)
{
    for (uint32_t i = 0; i < merge->lane_count; i++)
        merge->heap[i] = (struct rival){.lane = i};
}

void merge_free(struct reader_merge *merge, uint32_t lane_count)
{
    if (merge != NULL)
        handle_free(merge, merge_bytes(lane_count));
}

uint64_t merge_unordered(const struct reader_merge *merge)
{
    return merge != NULL ? merge->unordered : 0;
}

/* ---- a window ---------------------------------------------------------------------------------------------------- */

static inline struct seen *seen_at(struct window *w, uint32_t i)
{
    return &w->seen[(w->first + i) % WINDOW];
}

/* Nothing is known of what is behind it. */
static void begin_window(struct window *w, const struct reader_lane *l)
{
    w->end = l->position;
    w->count = 0;
    w->sure = 0;
    w->asked = w->final = w->bad = false;
    w->leaving = l->leaving;
}

/* Nothing in it that the reader has passed. */
static inline void shift(struct window *w, const struct reader_lane *l)
{
    if (__builtin_expect(w->end - l->position > l->ring.size || w->leaving != l->leaving, 0))
        begin_window(w, l);
    while (w->count > 0 && (int64_t)(seen_at(w, 0)->end - l->position) <= 0) {
        w->first = (w->first + 1) % WINDOW;
        w->count--;
    }
}

static bool is_drained(const struct reader_lane *l, uint64_t position)
{
    return l->leaving && position == l->tail.end;
}

/* A record from the window's end on. */
static void add_record(struct window *w, uint64_t bytes, uint64_t time, uint32_t writer)
{
    struct seen *last = seen_at(w, w->count - 1);

    time = time == NEVER ? NEVER - 1 : time;
    if (w->count > 0 && last->end == w->end && last->writer == writer && last->time == time)
        last->end += bytes;
    else
        *seen_at(w, w->count++) =
            (struct seen){.position = w->end, .end = w->end + bytes, .time = time, .writer = writer};
}

/* Nothing is there to be looked at. There should be if it was opened, or if no more is going to be written. */
static bool look_in_vain(const struct reader_lane *l, struct window *w)
{
    w->final = l->leaving || (int64_t)(w->opened - w->end) > 0;
    return false;
}

/* Looks at what stands at the window's end. False: nothing that could be looked at. */
static bool look_further(const struct reader_lane *l, struct window *w)
{
    const struct ring_range *gone = l->leaving ? ring_gone_at(&l->tail, w->end) : NULL;
    uint64_t state = ring_stamp_state(&l->ring, w->end, memory_order_acquire); /* N1 */
    const struct ringd_record_header *h = ring_header(&l->ring, w->end);
    uint64_t bytes = ring_record_bytes((uint32_t)atomic_load_explicit(&h->extent, memory_order_relaxed));
    uint64_t origin = atomic_load_explicit(&h->origin, memory_order_relaxed);
    uint32_t writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK) - l->number * RINGD_WRITERS_PER_LANE;

    if (is_drained(l, w->end))
        return look_in_vain(l, w);
    if (gone != NULL) {
        w->end = gone->end;
        return true;
    }
    if (!ring_state_valid(state))
        return look_in_vain(l, w);
    /* X2: what has a stamp now may be given up. */
    if (!l->leaving && atomic_load_explicit(&l->ring.control->moving, memory_order_acquire) != 0)
        return false;
    if (bytes > l->ring.max_grant || (state == RINGD_STATE_COMMITTED && writer >= RINGD_WRITERS_PER_LANE)) {
        w->final = w->bad = true;
        return false;
    }
    if (state == RINGD_STATE_COMMITTED)
        add_record(w, bytes, atomic_load_explicit(&h->time, memory_order_relaxed), writer);
    w->end += bytes;
    return true;
}

/* From the last to the first. */
static void compute_keys(struct window *w)
{
    uint64_t key = NEVER, writers = 0;
    bool pair = false;

    for (uint32_t i = w->count; i-- > 0;) {
        struct seen *seen = seen_at(w, i);

        key = seen->time < key ? seen->time : key;
        pair |= writers >> seen->writer & 1;
        writers |= UINT64_C(1) << seen->writer;
        seen->key = key;
        seen->pair_from_here = pair;
    }
}

/* As far as there is anything, and as there is room. */
static void look_ahead(const struct reader_lane *l, struct window *w)
{
    uint32_t count = w->count;

    w->final = w->bad = w->lapped = false;
    while (w->count < WINDOW && w->end - l->position < l->ring.size && look_further(l, w))
        ;
    if (!lane_intact(l, l->position)) {
        begin_window(w, l);
        w->lapped = true;
        return;
    }
    if (w->count != count)
        compute_keys(w);
    if (w->asked && (int64_t)(w->end - w->bound) >= 0) {
        w->sure = w->bound_time;
        w->asked = false;
    }
}

/* ---- a lane's next key --------------------------------------------------------------------------------------------
 */

static inline bool is_known(struct window *w)
{
    const struct seen *head = seen_at(w, 0);

    return w->count > 0 && (head->pair_from_here || head->key <= w->sure || w->final);
}

/* There is something before the first record: padding, or a header that cannot be. */
static inline bool is_in_the_way(const struct reader_lane *l, struct window *w)
{
    return w->count > 0 ? (int64_t)(seen_at(w, 0)->position - l->position) > 0 : w->end != l->position || w->bad;
}

/* True: *key is that of the lane's next record, or 0 if something else is to be passed first, which needs no turn.
 * False: no record with an earlier key will come. */
static inline bool find_key(const struct reader_lane *l, struct window *w, uint64_t *key)
{
    shift(w, l);
    if (!is_known(w))
        look_ahead(l, w);
    if (__builtin_expect(is_in_the_way(l, w), 0)) {
        *key = 0;
        return true;
    }
    if (is_known(w)) {
        *key = seen_at(w, 0)->key;
        return true;
    }
    *key = is_drained(l, w->end) ? NEVER : w->sure;
    return false;
}

/* ---- the heap -----------------------------------------------------------------------------------------------------
 */

static inline bool comes_before(struct rival a, struct rival b)
{
    return a.key < b.key || (a.key == b.key && a.lane < b.lane);
}

/* What stands at `i` has become later. */
static inline void sink(struct reader_merge *m, uint32_t i)
{
    struct rival rival = m->heap[i];

    for (uint32_t child; (child = 2 * i + 1) < m->lane_count; i = child) {
        child += child + 1 < m->lane_count && comes_before(m->heap[child + 1], m->heap[child]);
        if (!comes_before(m->heap[child], rival))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = rival;
}

static void look_at_all(struct ringd_reader *r)
{
    struct reader_merge *m = r->merge;

    for (uint32_t i = 0; i < m->lane_count; i++) {
        m->heap[i].lane = i;
        find_key(&r->lanes[i], &m->windows[i], &m->heap[i].key);
    }
    for (uint32_t i = m->lane_count / 2; i-- > 0;)
        sink(m, i);
}

/* ---- which lane ---------------------------------------------------------------------------------------------------
 */

/* The time first, then the words: S2 if the reader is about to sleep. A bound that has not been reached stays: on a
 * busy lane a new one would never be. */
static uint64_t take_bounds(struct ringd_reader *r)
{
    uint64_t time = record_time_then_load(r->merge->time_source);

    for (uint32_t i = 0; i < r->lane_count; i++) {
        const struct reader_lane *l = &r->lanes[i];
        struct window *w = &r->merge->windows[i];
        struct ring_view view;

        shift(w, l);
        if (l->leaving || ring_look(&l->ring, &view) < 0)
            continue;
        if (!(view.word & (RINGD_W_ACTIVE | RINGD_W_SEALED))) /* N2 */
            w->opened = view.position;
        if (w->asked)
            continue;
        w->bound = view.position;
        w->bound_time = time;
        w->asked = true;
    }
    return time;
}

/* All lanes have been looked at as far as W, and there are only records whose time has not come yet. The first of them.
 */
static struct reader_lane *from_the_future(struct ringd_reader *r, uint64_t *key)
{
    struct reader_lane *chosen = NULL;

    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct window *w = &r->merge->windows[i];

        if (w->asked || w->lapped)
            return NULL;
        if (w->count > 0 && (chosen == NULL || seen_at(w, 0)->key < *key)) {
            chosen = &r->lanes[i];
            *key = seen_at(w, 0)->key;
        }
    }
    return chosen;
}

/* Whoever asks which lane is next looks at it. */
static inline struct reader_lane *note(struct ringd_reader *r, struct reader_lane *l)
{
    if (l != NULL)
        r->looked_at |= UINT64_C(1) << l->number;
    return l;
}

/* Some clock is not the reader's. Not to be counted again when the same record is looked at again. */
static void count_unordered(struct reader_merge *m, const struct reader_lane *l)
{
    m->unordered += m->counted_lane != l->number || m->counted_position != l->position;
    m->counted_lane = l->number;
    m->counted_position = l->position;
}

static inline struct reader_lane *choose(struct reader_merge *m, struct reader_lane *l, uint64_t key)
{
    if (__builtin_expect(key < m->last_key, 0)) {
        if (is_in_the_way(l, &m->windows[l->number]))
            return l;
        count_unordered(m, l);
    }
    m->last_key = key;
    return l;
}

/* The lane at the top is looked at again until it stays there. True: with its key. */
static inline bool settle_top(struct ringd_reader *r)
{
    struct reader_merge *m = r->merge;

    for (;;) {
        uint32_t lane = m->heap[0].lane;
        bool known = find_key(&r->lanes[lane], &m->windows[lane], &m->heap[0].key);

        sink(m, 0);
        if (m->heap[0].lane == lane)
            return known;
    }
}

/* The same with new bounds: the next record's lane, if it can be said. They are taken once more if a lane's bound was
 * one of before and has just been reached, if a record was added after they were taken, and while the clock has not
 * moved on since a record's time, as another one may still get the same and come first. Only a record that is ahead of
 * a time that was taken after it was seen has another clock. */
__attribute__((noinline)) static struct reader_lane *ask_all(struct ringd_reader *r)
{
    struct reader_merge *m = r->merge;
    struct reader_lane *l = NULL, *seen;
    uint64_t key = NEVER;

    for (int tries = 0; tries < ASK_TRIES; tries++) {
        uint64_t time = take_bounds(r), seen_key = key;
        const struct window *top;

        seen = l;
        look_at_all(r);
        if (settle_top(r))
            return choose(m, &r->lanes[m->heap[0].lane], m->heap[0].key);
        top = &m->windows[m->heap[0].lane];
        if (top->leaving || top->asked || top->lapped)
            return NULL;
        l = NULL;
        if (top->sure < time)
            continue;
        l = from_the_future(r, &key);
        if (l == NULL || (l == seen && key == seen_key && key > time))
            break;
    }
    if (l != NULL)
        count_unordered(m, l);
    return l;
}

struct reader_lane *merge_next(struct ringd_reader *r)
{
    struct reader_merge *m = r->merge;

    if (__builtin_expect(settle_top(r), 1))
        return note(r, choose(m, &r->lanes[m->heap[0].lane], m->heap[0].key));
    return r->lanes[m->heap[0].lane].leaving ? NULL : note(r, ask_all(r));
}

/* ---- in any order -------------------------------------------------------------------------------------------------
 */

struct reader_lane *merge_any(struct ringd_reader *r)
{
    uint32_t number = r->turn;

    if (++r->run > MERGE_RUN) {
        r->run = 0;
        number = number + 1 < r->lane_count ? number + 1 : 0;
    }
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[number];

        if (!is_drained(l, l->position) && ring_record_at(&l->ring, l->position)) {
            r->run = r->turn == number ? r->run : 0;
            r->turn = number;
            return note(r, l);
        }
        number = number + 1 < r->lane_count ? number + 1 : 0;
    }
    return NULL;
}
