/* reader_start.c - see reader_start.h. */
#define _GNU_SOURCE
#include "reader_start.h"

#include "reader_lane.h"
#include "reader_named.h"

/* How often a start at a time is tried anew. */
#define ROUNDS_MAX 16

/* ---- at a time ----------------------------------------------------------------------------------------------------
 *
 * Times are nearly in order: a writer takes its time after its addition, and may be slow. The marks, record boundaries
 * that writers have noted at each sixteenth of the lane, tell where to begin; from the one before, records are passed
 * one by one, by their headers. */

/* The time of the record at `position`. False: there is none (any more). */
static bool time_at(const struct reader_lane *l, uint64_t position, uint64_t *time)
{
    if (!ring_record_at(&l->ring, position) ||
        ring_stamp_state(&l->ring, position, memory_order_acquire) != RINGD_STATE_COMMITTED)
        return false;
    *time = atomic_load_explicit(&ring_header(&l->ring, position)->time, memory_order_relaxed);
    return lane_intact(l, position);
}

/* The last but one mark from which on everything may be of that time or later, or `from`. Marks are input. */
static uint64_t mark_before(const struct reader_lane *l, uint64_t from, uint64_t end, uint64_t time)
{
    uint64_t last = from, before = from, found;

    for (uint32_t i = 0; i < RINGD_MARKS; i++) {
        uint64_t mark = atomic_load_explicit(&l->ring.lane->marks[i], memory_order_relaxed);

        if (mark % RINGD_UNIT != 0 || mark - from > end - from || !time_at(l, mark, &found) || found >= time)
            continue;
        if (mark > last) {
            before = last;
            last = mark;
        } else if (mark > before) {
            before = mark;
        }
    }
    return before;
}

/* Goes on from the lane's position to the first record of that time or later, or to the first place without a record.
 * False: what it looked at was overwritten meanwhile. */
static bool pass_earlier(struct reader_lane *l, uint64_t time)
{
    uint64_t start = l->position;

    while (l->position - start <= l->ring.size) {
        uint64_t state = ring_stamp_state(&l->ring, l->position, memory_order_acquire);
        const struct ringd_record_header *h = ring_header(&l->ring, l->position);
        uint64_t extent = atomic_load_explicit(&h->extent, memory_order_relaxed);
        uint64_t found = atomic_load_explicit(&h->time, memory_order_relaxed);

        if (!lane_intact(l, l->position))
            return false;
        if (!ring_state_valid(state) || ring_record_bytes((uint32_t)extent) > l->ring.max_grant ||
            (state == RINGD_STATE_COMMITTED && found >= time))
            return true;
        l->position += ring_record_bytes((uint32_t)extent);
    }
    return true;
}

/* Writers may be faster than a lossy reader looks: then at the oldest there is, as one that was overtaken. */
static int start_at_time(struct reader_lane *l, uint64_t from, uint64_t time)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        uint64_t end;
        int result = ring_position(&l->ring, &end);

        if (result < 0)
            return result;
        l->position = mark_before(l, from, end, time);
        if (pass_earlier(l, time))
            return 0;
        from = ring_oldest(&l->ring);
    }
    l->position = from;
    return 0;
}

/* ---- under a name ------------------------------------------------------------------------------------------------ */

/* It stopped in a later generation than this one, which it has to pass because of another lane. */
static bool is_in_next(struct reader_lane *l, uint64_t position)
{
    uint64_t end;

    if (ring_moving(&l->ring) == RINGD_MOVING_NO || ring_position(&l->ring, &end) < 0 || (int64_t)(position - end) <= 0)
        return false;
    l->position = end;
    return true;
}

/* Where the last one of this name stopped, or, if that was overwritten, at the oldest: what is missing shows in the
 * sequence numbers that were expected there. False: there was none. */
static bool start_where_named(struct ringd_reader *r, struct reader_lane *l, uint64_t from)
{
    uint64_t position;

    if (l->named == NULL || !named_load(l, &position))
        return false;
    if (ring_check_start(&l->ring, position) == 0 && (int64_t)(position - from) >= 0) {
        l->position = position;
        l->ask_silent = true; /* what who had the name before had lost, and not found out */
    } else if (!is_in_next(l, position)) {
        lane_resume(l);
        if (r->mode == RINGD_READ_LOSSLESS)
            l->position = from;
    }
    return true;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static int start_lane(struct ringd_reader *r, struct reader_lane *l, uint64_t from,
                      const struct ringd_reader_options *o)
{
    bool joined = r->mode == RINGD_READ_LOSSLESS, named;
    int result = 0;

    /* Of a generation that is left, a lossless reader has not joined what was overwritten before. */
    if (!joined || (int64_t)(ring_oldest(&l->ring) - from) > 0)
        from = ring_oldest(&l->ring);
    named = start_where_named(r, l, from);
    if (named) {
        lane_begin_again(r, l);
        return 0;
    }
    l->position = from;
    /* The name may be known in other lanes: then it has joined at the oldest. (In an old generation, as these may need
     * it, now is where that ended.) */
    if (joined && l->named != NULL && o->start == RINGD_START_NOW)
        result = ring_position(&l->ring, &l->position);
    if (o->start == RINGD_START_TIME)
        result = start_at_time(l, from, o->time);
    else if (!joined && o->start == RINGD_START_NOW)
        result = ring_position(&l->ring, &l->position);
    else if (!joined && o->start == RINGD_START_POSITION) {
        l->position = o->position;
        result = ring_check_start(&l->ring, o->position);
    }
    if (result < 0)
        return result;
    lane_begin(r, l, o->start == RINGD_START_NOW);
    if (l->named != NULL)
        named_store(l);
    return 0;
}

int reader_start(struct ringd_reader *r, uint64_t position, const struct ringd_reader_options *options)
{
    int result = 0;

    for (uint32_t i = 0; i < r->lane_count && result == 0; i++) {
        struct reader_lane *l = &r->lanes[i];
        uint64_t from = i == 0 ? position : atomic_load_explicit(&l->cursor->position, memory_order_relaxed);

        if (r->mode == RINGD_READ_LOSSLESS && from % RINGD_UNIT != 0)
            return -EBADMSG;
        result = start_lane(r, l, from, options);
    }
    return result;
}
