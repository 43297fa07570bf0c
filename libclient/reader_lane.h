/* reader_lane.h - one lane of a reader: the next record, what has been lost, how the lane ends.
 *
 * The next record is there when the stamp for exactly its position is there; that one look at its own line is all that
 * reading costs while there is something to read. What has been lost shows in the writers' sequence numbers.
 *
 *   lossless   reads in place. Its published cursor holds writers back, so what it looks at stays, until it is evicted
 *              (its slot says so before any writer may pass it; reader_was_evicted).
 *   lossy      copies the record first and then makes sure that it had not been overwritten meanwhile (lane_intact).
 *   observer   is lossy and cannot write: its counters are its own.
 *
 * Everything loaded is input: a record's length and writer are checked before use, so that whatever stands in the
 * segment, nothing outside the mapping is touched and no loop is endless. A stamp that leads beyond P, as only a
 * damaged ring has it, is noticed when there is nothing to read at that place.
 *
 * Called by the files reader*.c. lane_look() is the hot path and made part of each caller.
 */
#ifndef LIBCLIENT_READER_LANE_H
#define LIBCLIENT_READER_LANE_H

#include "copy.h"
#include "reader.h"
#include "reader_message.h"

/* Padding and records that are not wanted which are passed over in one look. */
#define READER_PASSES_MAX 64

/* In an origin: it is a part of a message. In reader.choosy: the reader does not want everything, or has a message
 * begun. */
#define READER_CHOOSY ((uint64_t)RINGD_FLAG_PART << RINGD_ORIGIN_FLAGS_SHIFT)

/* In how many steps of a ring's size a reader that leaves a generation says how it gets on, and others are told what
 * has been opened: a fraction of what is in a ring is read without a look at whether it moves. */
#define LANE_AHEAD_STEPS  32
#define LANE_OPENING_PART 8

/* What one look at the lane's position shows. */
enum look {
    LOOK_RECORD,  /* a record: *record */
    LOOK_GAP,     /* some are missing before it: *record */
    LOOK_AGAIN,   /* padding, passed over, or what is the expected record on the next look */
    LOOK_PASSED,  /* READER_PASSES_MAX of these, and there may be more */
    LOOK_NOTHING, /* no stamp */
    LOOK_LAPPED,  /* a lossy reader was overtaken while it looked */
    LOOK_NO_ROOM, /* no room for another copy */
    LOOK_LEAVING, /* the ring has moved, and there is something to wait for or to do before the next look */
    LOOK_DAMAGED,
};

/* ---- slow paths (reader_lane.c) ---------------------------------------------------------------------------------- */

/* Starts at lane->position. `now`: what each writer has committed so far is before it. */
void lane_begin(struct ringd_reader *r, struct reader_lane *l, bool now);

/* The same with expectations that have been loaded. The account of each writer begins where it is seen first. */
void lane_begin_again(struct ringd_reader *r, struct reader_lane *l);

/* All given out, or lost, belongs to this position. */
void lane_store_cursor(const struct ringd_reader *r, struct reader_lane *l, uint64_t position);

/* A gap is in the accounts at once: there may be no release after it. */
void lane_settle_gap(const struct ringd_reader *r, struct reader_lane *l);

/* What a lossless reader's release does without the cost of a locked store, once more with it: from here on no writer
 * that is about to sleep for space has missed what was released. Of others the cursor. */
void lane_publish(struct ringd_reader *r, struct reader_lane *l);

/* Goes on at the oldest record. What was lost shows in the sequence numbers, or is asked for later. */
void lane_resume(struct reader_lane *l);

/* Whether nothing from `from` on has been overwritten: it lies at or above M, or P is not more than one ring ahead. */
bool lane_intact(const struct reader_lane *l, uint64_t from);

bool lane_below_floor(const struct ringd_reader *r, const struct reader_lane *l);

/* There is nothing to give at the lane's position: why? RINGD_OK: look again; RINGD_WOULD_BLOCK: nothing yet;
 * RINGD_END, RINGD_GAP, RINGD_EVICTED; -EBADMSG: there should be something. */
int lane_explain(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record);

/* How long a reader may sleep: a writer that stays in mid-record is reported. With nobody active that is for ever. */
int64_t lane_watch_writers(const struct ringd_reader *r, struct reader_lane *l, int64_t until);

/* If nobody is active now, everything below P has been opened by the last writer out (R6). */
void lane_look_for_opening(struct reader_lane *l);

/* The ring moves, and the next thing to do is not to read a record. RINGD_OK: look again. RINGD_END: the lane is
 * drained. */
int lane_leave(struct ringd_reader *r, struct reader_lane *l);

/* Of a lane that has an `ahead`: to writers of the next generation, how much it still has to read in this one; or not
 * yet, if that is less than `step` bytes less than before. */
void lane_tell_ahead(const struct ringd_reader *r, const struct reader_lane *l, uint64_t step);

/* The same lane of the next generation, which begins where the last one ended. -EBADMSG: it does not. */
int lane_begin_generation(struct ringd_reader *r, struct reader_lane *l, const struct segment *segment);

/* Where the shared cursor is, or the reader's own. */
void lane_point_at_cursor(struct ringd_reader *r, struct reader_lane *l, const struct segment *segment);

/* Says so before any writer may write where this reader has not released: what was loaded before and was overwritten
 * already is known to be by this. */
bool reader_was_evicted(const struct ringd_reader *r);

/* From here on a lossy reader, or one at its end. What it has been given in place is not given back yet. */
int reader_turn_lossy(struct ringd_reader *r);

/* The parts of lane_look() that are rarely needed. */
enum look lane_look_leaving(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record);
enum look lane_look_choosily(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, bool opened);
enum look lane_look_closely(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint32_t writer,
                            uint32_t sequence, uint32_t len);
enum look lane_pass_padding(struct ringd_reader *r, struct reader_lane *l, const struct ringd_record_header *h);
void *reader_keep_copy(struct ringd_reader *r, const void *payload, size_t len);

/* ---- inline: the hot path --------------------------------------------------------------------------------------- */

/* Field by field: clearing the whole first would cost more than reading the record. */
static inline void reader_fill_record(struct ringd_record *record, const void *data, size_t len, uint64_t position,
                                      uint64_t next, uint64_t sequence, uint64_t origin)
{
    record->data = data;
    record->len = len;
    record->position = position;
    record->next = next;
    record->sequence = sequence;
    record->lost = 0;
    record->writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK);
    record->incarnation = (uint32_t)(origin >> RINGD_ORIGIN_INCARNATION_SHIFT & RINGD_ORIGIN_INCARNATION_MASK);
    record->type = (uint16_t)(origin >> RINGD_ORIGIN_TYPE_SHIFT);
    record->level = (uint8_t)(origin >> RINGD_ORIGIN_LEVEL_SHIFT);
    record->flags = 0;
}

enum choice {
    CHOICE_GIVE,
    CHOICE_SKIP, /* it is not wanted */
    CHOICE_PART, /* of a message */
};

enum choice reader_choose(const struct ringd_reader *r, uint64_t origin);
enum look lane_take_choice(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record,
                           enum choice choice, uint64_t origin);

/* `opened`: the position lies below what the last writer out has opened, so that the header is there for certain,
 * whatever moves. `choosily`: not every record is given out as it is. */
RING_HOT enum look lane_look_at(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, bool opened,
                                bool choosily)
{
    const struct ringd_record_header *h = ring_header(&l->ring, l->position);
    uint64_t state = ring_stamp_state(&l->ring, l->position, memory_order_acquire);
    enum choice choice = CHOICE_GIVE;
    struct ringd_reader_slot *counters;
    uint64_t extent, origin, time, next;
    uint32_t len, sequence, writer, in_lane;
    const void *data = h + 1;

    if (!ring_state_valid(state)) /* N1 */
        return LOOK_NOTHING;
    /* X2: after the stamp. What was opened before any seal needs no look. */
    if (!opened && __builtin_expect(atomic_load_explicit(&l->ring.control->moving, memory_order_acquire) != 0, 0))
        return lane_look_leaving(r, l, record);
    if (state == RINGD_STATE_PADDING)
        return lane_pass_padding(r, l, h);
    STOP_POINT("next-stamp");
    extent = atomic_load_explicit(&h->extent, memory_order_relaxed);
    origin = atomic_load_explicit(&h->origin, memory_order_relaxed);
    time = atomic_load_explicit(&h->time, memory_order_relaxed);
    if (!choosily && __builtin_expect(((origin | r->choosy) & READER_CHOOSY) != 0, 0))
        return lane_look_choosily(r, l, record, opened);
    len = (uint32_t)extent;
    sequence = (uint32_t)(extent >> 32);
    if (choosily)
        choice = reader_choose(r, origin);
    if (r->mode != RINGD_READ_LOSSLESS) {
        bool copied = choice != CHOICE_SKIP && len <= r->max_record;

        if (copied && r->copies_used + len > r->copies_bytes)
            return LOOK_NO_ROOM;
        if (copied)
            data = reader_keep_copy(r, data, len);
        STOP_POINT("next-copied");
        if (!lane_intact(l, l->position))
            return LOOK_LAPPED;
    } else if (choosily && choice != CHOICE_GIVE && reader_was_evicted(r)) {
        return LOOK_LAPPED; /* the choice was made by what may have been overwritten, and nobody is shown it */
    }
    writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK);
    in_lane = writer - l->number * RINGD_WRITERS_PER_LANE;
    if (__builtin_expect(len > r->max_record || in_lane >= RINGD_WRITERS_PER_LANE, 0))
        return LOOK_DAMAGED;
    if (__builtin_expect(sequence != (uint32_t)l->writers[in_lane].next || !l->writers[in_lane].known, 0))
        return lane_look_closely(r, l, record, in_lane, sequence, len);
    next = l->position + ring_record_bytes(len);
    reader_fill_record(record, data, len, l->position, next, l->writers[in_lane].next++, origin);
    record->time = time;
    l->position = next;
    l->settled++;
    if (choosily && choice != CHOICE_GIVE)
        return lane_take_choice(r, l, record, choice, origin);
    if (choosily && l->messages != NULL)
        message_end(r, l, writer);
    if (r->mode != RINGD_READ_LOSSLESS)
        r->copies_used += (len + 7) & ~(size_t)7;
    counters = r->counters;
    ring_count(&counters->delivered, 1);
    STOP_POINT("next-delivered");
    ring_count(&counters->bytes, len);
    STOP_POINT("next-counted");
    return LOOK_RECORD;
}

/* `bulk`: what has been opened below is of use. */
RING_HOT enum look lane_look_once(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, bool bulk)
{
    bool opened = bulk && (int64_t)(l->opened - l->position) > 0;

    return lane_look_at(r, l, record, opened, false);
}

/* The first look in a row that shows something else than what is passed over, which may be without end. */
RING_HOT enum look lane_look(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, bool bulk)
{
    for (int i = 0; i < READER_PASSES_MAX; i++) {
        enum look look = lane_look_once(r, l, record, bulk);

        if (__builtin_expect(look != LOOK_AGAIN, 1))
            return look;
    }
    return LOOK_PASSED;
}

#endif
