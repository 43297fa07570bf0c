/* reader_lane.c - the parts of reading one lane that are rarely needed; see reader_lane.h. */
#define _GNU_SOURCE
#include "reader_lane.h"

#include "reader_filter.h"
#include "wake.h"

/* How far a sequence number may be ahead of its slot's count: the records of one grant. */
#define SEQUENCE_AHEAD (UINT64_C(1) << 26)

/* ---- accounts ------------------------------------------------------------------------------------------------------
 *
 * What a reader has to say of itself, so that others can add it up (ringctl doctor): at its cursor, what it has had,
 * skipped and lost of the slots it knows is what they have committed below there, less what they had when it got to
 * know them. */

static void store_cursor(struct reader_lane *l, uint64_t position)
{
    atomic_store_explicit(&l->cursor->settling, l->settled_below, memory_order_relaxed);
    STOP_POINT("release-settling");
    atomic_store_explicit(&l->cursor->position, position, memory_order_release); /* P1 */
    STOP_POINT("release-stored");
    atomic_store_explicit(&l->cursor->settled, l->settled_below, memory_order_release); /* P3 */
    STOP_POINT("release-settled");
}

/* With one lane that is what the counters say, so that an error in these shows in the account. */
void lane_store_cursor(const struct ringd_reader *r, struct reader_lane *l, uint64_t position)
{
    const struct ringd_reader_slot *counters = r->counters;

    if (r->lane_count == 1)
        l->settled = atomic_load_explicit(&counters->delivered, memory_order_relaxed) +
                     atomic_load_explicit(&counters->skipped, memory_order_relaxed) +
                     atomic_load_explicit(&counters->lost, memory_order_relaxed);
    l->settled_below = l->settled;
    store_cursor(l, position);
}

/* Nobody waits for the cursor of a lossy reader. */
void lane_settle_gap(const struct ringd_reader *r, struct reader_lane *l)
{
    if (r->mode != RINGD_READ_LOSSLESS)
        lane_store_cursor(r, l, l->position);
}

/* Writers that sleep for what was just published. */
static void wake_for_space(const struct ringd_reader *r)
{
    if (atomic_load_explicit(&r->waits->space, memory_order_seq_cst) & WAKE_SLEEPING) /* P2 */
        wake_all(&r->waits->space);
}

/* From here on the account of this slot is kept: it had committed `start` records before. */
static void know_writer(struct reader_lane *l, uint32_t writer, uint64_t start)
{
    struct ringd_cursor *cursor = l->cursor;
    uint64_t known = atomic_load_explicit(&cursor->known, memory_order_relaxed);

    l->writers[writer].known = true;
    atomic_store_explicit(&cursor->known, known | RINGD_KNOWN_CHANGING, memory_order_relaxed);
    STOP_POINT("account-changing");
    atomic_thread_fence(memory_order_release);
    ring_count(&cursor->base, start);
    STOP_POINT("account-base");
    atomic_store_explicit(&cursor->known, known | UINT64_C(1) << writer, memory_order_release);
}

/* How many records each slot has committed below the reader's start: known if its owner is between two records and the
 * last one lies below. Otherwise its next record will tell. */
static void baseline(struct reader_lane *l, bool now)
{
    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        /* What a start in the past shows first counts as where it joined. */
        if (ring_count_below(&l->ring, i, l->position, &l->writers[i].next) && now)
            know_writer(l, i, l->writers[i].next);
    }
}

void lane_point_at_cursor(struct ringd_reader *r, struct reader_lane *l, const struct segment *segment)
{
    l->cursor = r->mode == RINGD_READ_OBSERVE ? &l->own_cursor : segment_cursor(segment, l->number, r->slot);
}

/* A lossless one may begin further on than where the daemon has let it join. */
void lane_begin_again(struct ringd_reader *r, struct reader_lane *l)
{
    l->released = l->published = l->opened = l->position;
    if (r->mode != RINGD_READ_OBSERVE)
        atomic_store_explicit(&l->cursor->position, l->position, memory_order_seq_cst); /* P1 */
    STOP_POINT("attach-cursor");
    if (r->mode == RINGD_READ_LOSSLESS)
        wake_for_space(r);
}

void lane_begin(struct ringd_reader *r, struct reader_lane *l, bool now)
{
    baseline(l, now);
    lane_begin_again(r, l);
}

void lane_publish(struct ringd_reader *r, struct reader_lane *l)
{
    l->published = l->released;
    if (r->mode != RINGD_READ_LOSSLESS) {
        lane_store_cursor(r, l, l->released);
        return;
    }
    if (atomic_load_explicit(&l->cursor->settled, memory_order_relaxed) != l->settled_below)
        store_cursor(l, l->released); /* of what was skipped nobody else tells */
    atomic_store_explicit(&l->cursor->position, l->released, memory_order_seq_cst); /* P1 */
    STOP_POINT("publish-stored");
    wake_for_space(r);
}

/* ---- gaps ------------------------------------------------------------------------------------------------------ */

/* Of a lossless reader, which has a name then, it was lost before it came: below all that it has been given. */
static void settle_loss(const struct ringd_reader *r, struct reader_lane *l)
{
    if (r->mode == RINGD_READ_LOSSLESS)
        store_cursor(l, l->released);
    else
        lane_settle_gap(r, l);
}

/* RINGD_GAP, or RINGD_OK if nobody wants to know: records of a writer that the reader does not want are skipped, also
 * when they are missing. */
static int tell_gap(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint32_t writer,
                    uint64_t lost)
{
    bool unwanted = r->filter != NULL && !filter_wants_writer(r->filter, l->number * RINGD_WRITERS_PER_LANE + writer);

    l->settled += lost;
    l->settled_below += lost;
    if (unwanted) {
        ring_count(&r->counters->skipped, lost);
        STOP_POINT("skip-missing");
        settle_loss(r, l);
        return RINGD_OK;
    }
    *record = (struct ringd_record){
        .position = l->position,
        .next = l->position,
        .sequence = l->writers[writer].next - lost,
        .writer = l->number * RINGD_WRITERS_PER_LANE + writer,
        .lost = lost,
    };
    ring_count(&r->counters->lost, lost);
    STOP_POINT("gap-lost");
    ring_count(&r->counters->gaps, 1);
    STOP_POINT("gap-counted");
    if (r->mode == RINGD_READ_LOSSLESS)
        settle_loss(r, l);
    return RINGD_GAP;
}

/* The 64 bits of a sequence number in band: near the slot's own count, which it has passed by at most a batch. */
static uint64_t extend_sequence(const struct reader_lane *l, uint32_t writer, uint32_t sequence)
{
    const struct ringd_writer_slot *slot = &l->ring.lane->writers[writer];
    uint64_t count = atomic_load_explicit(&slot->sequence, memory_order_acquire) + SEQUENCE_AHEAD; /* N4 */

    return count - (uint32_t)((uint32_t)count - sequence);
}

/* It was released before, under this reader's name. What is remembered is input: nothing that its writer has not
 * written yet can have been released. */
static bool was_released(struct reader_lane *l, uint32_t writer, uint32_t sequence)
{
    struct reader_writer *w = &l->writers[writer];
    uint64_t count = atomic_load_explicit(&l->ring.lane->writers[writer].sequence, memory_order_acquire); /* N4 */
    uint64_t open = l->ring.max_grant / RINGD_UNIT;

    w->resumed = w->resumed && w->next <= count + open && extend_sequence(l, writer, sequence) < w->next;
    return w->resumed;
}

/* For a record that is not the one expected from its writer: how many are missing before it. The first one seen tells
 * where the reader joined, unless it has been lapped since, or is remembered under its name (`resumed`): who had the
 * name before may have been lapped, and not have met this writer again. */
static uint64_t missing_before(struct reader_lane *l, uint32_t writer, uint32_t sequence, bool resumed)
{
    struct reader_writer *w = &l->writers[writer];
    uint64_t found = extend_sequence(l, writer, sequence), expected = w->next;
    bool counts = w->known || l->lapped || resumed;

    if (!w->known)
        know_writer(l, writer, counts && expected < found ? expected : found);
    w->next = found;
    return counts && found > expected ? found - expected : 0;
}

/* Writers that have written nothing since the reader was lapped: what they had committed before is lost too. */
static int silent_writers(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    bool resolved = true;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        uint64_t committed, expected = l->writers[i].next;

        if (!ring_count_below(&l->ring, i, l->position, &committed)) {
            resolved = false;
            continue;
        }
        if (l->writers[i].resumed && committed <= expected)
            continue;
        if (!l->writers[i].known)
            know_writer(l, i, expected);
        l->writers[i].next = committed;
        if (committed > expected && tell_gap(r, l, record, i, committed - expected) == RINGD_GAP)
            return RINGD_GAP;
    }
    l->ask_silent = !resolved;
    atomic_store_explicit(&l->cursor->unsettled, l->ask_silent, memory_order_relaxed);
    return RINGD_OK;
}

/* ---- lossy reading --------------------------------------------------------------------------------------------- */

bool lane_intact(const struct reader_lane *l, uint64_t from)
{
    uint64_t position;

    atomic_thread_fence(memory_order_acquire); /* V1 */
    if ((int64_t)(from - ring_oldest(&l->ring)) >= 0)
        return true;
    return ring_position(&l->ring, &position) == 0 && position - from <= l->ring.size;
}

bool lane_below_floor(const struct ringd_reader *r, const struct reader_lane *l)
{
    return r->mode != RINGD_READ_LOSSLESS && (int64_t)(l->position - ring_oldest(&l->ring)) < 0;
}

void lane_resume(struct reader_lane *l)
{
    atomic_store_explicit(&l->cursor->unsettled, 1, memory_order_relaxed);
    l->position = ring_oldest(&l->ring);
    l->lapped = l->ask_silent = true;
}

bool reader_was_evicted(const struct ringd_reader *r)
{
    const struct ringd_owner *owner = &r->control->readers[r->slot];

    atomic_thread_fence(memory_order_acquire); /* V2 */
    return r->mode == RINGD_READ_LOSSLESS &&
           atomic_load_explicit(&owner->state, memory_order_acquire) == RINGD_OWNER_EVICTED;
}

int reader_turn_lossy(struct ringd_reader *r)
{
    r->mode = RINGD_READ_LOSSY;
    r->in_place = true;
    r->held_messages = r->given_messages;
    r->given_messages = NULL;
    for (uint32_t i = 0; i < r->lane_count; i++)
        r->lanes[i].in_place_from = r->lanes[i].released;
    if (r->ends_evicted)
        r->pending = r->ended = true;
    return RINGD_EVICTED;
}

/* ---- the next record ------------------------------------------------------------------------------------------- */

/* Nobody is shown it, and nobody can release it. */
static void pass(struct reader_lane *l, uint64_t bytes)
{
    if (l->released == l->position)
        l->released += bytes;
    l->position += bytes;
}

enum look lane_pass_padding(struct ringd_reader *r, struct reader_lane *l, const struct ringd_record_header *h)
{
    uint64_t bytes = ring_record_bytes((uint32_t)atomic_load_explicit(&h->extent, memory_order_relaxed));

    if (r->mode == RINGD_READ_LOSSLESS ? reader_was_evicted(r) : !lane_intact(l, l->position))
        return LOOK_LAPPED;
    if (bytes > l->ring.max_grant)
        return LOOK_DAMAGED;
    pass(l, bytes);
    return LOOK_AGAIN;
}

/* A record that is not the one expected from its writer. In place it may be none at all, but bytes of what overwrites
 * it. Some are missing before it, or it is to be looked at again, now that it is the one expected. */
RING_COLD enum look lane_look_closely(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record,
                                      uint32_t writer, uint32_t sequence, uint32_t len)
{
    bool resumed = l->writers[writer].resumed;
    uint64_t lost;

    if (reader_was_evicted(r))
        return LOOK_LAPPED;
    if (r->member) { /* others have what is missing */
        l->writers[writer] = (struct reader_writer){.next = extend_sequence(l, writer, sequence), .known = true};
        return LOOK_AGAIN;
    }
    if (resumed && was_released(l, writer, sequence)) {
        pass(l, ring_record_bytes(len));
        return LOOK_AGAIN;
    }
    lost = missing_before(l, writer, sequence, resumed);
    return lost != 0 && tell_gap(r, l, record, writer, lost) == RINGD_GAP ? LOOK_GAP : LOOK_AGAIN;
}

void lane_tell_ahead(const struct ringd_reader *r, const struct reader_lane *l, uint64_t step)
{
    uint64_t behind = l->tail.end - l->released;
    uint64_t told = atomic_load_explicit(&l->ahead->behind, memory_order_relaxed);
    _Atomic uint32_t *space = &r->ahead.readers->waits.space;

    if (r->mode != RINGD_READ_LOSSLESS || behind >= told || told - behind < step)
        return;
    atomic_store_explicit(&l->ahead->behind, behind, memory_order_seq_cst); /* P4 */
    STOP_POINT("ahead-told");
    if (atomic_load_explicit(space, memory_order_seq_cst) & WAKE_SLEEPING) /* P2 */
        wake_all(space);
}

/* A stamp was seen at the lane's position, and the ring moves. Once the list is closed it decides; all else is final.
 */
enum look lane_look_leaving(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    if (!l->leaving || l->position == l->tail.end || ring_gone_at(&l->tail, l->position) != NULL)
        return LOOK_LEAVING;
    if (l->ahead != NULL)
        lane_tell_ahead(r, l, l->ring.size / LANE_AHEAD_STEPS); /* what is passed over nobody releases */
    return lane_look_at(r, l, record, true, false);
}

enum look lane_look_choosily(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, bool opened)
{
    return lane_look_at(r, l, record, opened, true);
}

enum choice reader_choose(const struct ringd_reader *r, uint64_t origin)
{
    if (r->filter != NULL && !filter_wants(r->filter, origin))
        return CHOICE_SKIP;
    return origin & READER_CHOOSY ? CHOICE_PART : CHOICE_GIVE;
}

/* *record is the record as it is in the ring, and the lane stands behind it. */
enum look lane_take_choice(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record,
                           enum choice choice, uint64_t origin)
{
    enum look look = LOOK_AGAIN;

    /* Nobody is shown it, and nobody can release it. */
    if (l->released == record->position) {
        l->released = l->position;
        l->settled_below = l->settled;
    }
    if (choice == CHOICE_PART) {
        look = message_take(r, l, record, origin);
    } else {
        ring_count(&r->counters->skipped, 1);
        STOP_POINT("skip-counted");
        if (l->messages != NULL)
            message_end(r, l, record->writer);
    }
    /* What is published with a locked store later is the position alone: the account goes with it. */
    if (l->released == l->position && r->mode != RINGD_READ_OBSERVE && !r->member)
        store_cursor(l, l->released);
    return look;
}

void lane_look_for_opening(struct reader_lane *l)
{
    struct ring_view view;

    if (ring_look(&l->ring, &view) < 0 || (view.word & (RINGD_W_ACTIVE | RINGD_W_SEALED))) /* N2 */
        return;
    l->opened = view.position;
    if ((int64_t)(l->opened - l->position - l->ring.size / LANE_OPENING_PART) > 0)
        l->opened = l->position + l->ring.size / LANE_OPENING_PART;
}

/* ---- nothing to read ------------------------------------------------------------------------------------------- */

int lane_explain(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    bool removed = atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;
    struct ring_view view;

    if (reader_was_evicted(r))
        return reader_turn_lossy(r);
    if (ring_moving(&l->ring) != RINGD_MOVING_NO)
        return RINGD_OK;
    if (ring_look(&l->ring, &view) < 0) /* N2, S2 */
        return -EBADMSG;
    if (ring_record_at(&l->ring, l->position))
        return RINGD_OK;
    if (lane_below_floor(r, l)) {
        lane_resume(l);
        return RINGD_OK;
    }
    if ((int64_t)(view.position - l->position) < 0)
        return -EBADMSG;
    if (view.word & (RINGD_W_ACTIVE | RINGD_W_SEALED))
        return RINGD_WOULD_BLOCK;
    if (view.position != l->position)
        return -EBADMSG; /* nobody active, below P, not overwritten: a stamp must be there */
    if (l->ask_silent && silent_writers(r, l, record) == RINGD_GAP) {
        lane_settle_gap(r, l);
        return RINGD_GAP;
    }
    return removed ? RINGD_END : RINGD_WOULD_BLOCK;
}

int64_t lane_watch_writers(const struct ringd_reader *r, struct reader_lane *l, int64_t until)
{
    bool active = atomic_load_explicit(&l->ring.lane->word, memory_order_relaxed) & RINGD_W_ACTIVE;

    if (l->stall_position != l->position)
        l->stall = (struct ring_stall){0};
    l->stall_position = l->position;
    return ring_watch_stall(&r->watch, active, &l->stall, until);
}

/* ---- leaving a generation -------------------------------------------------------------------------------------- */

/* The move is done: how does this generation end? */
static int begin_leaving(const struct ringd_reader *r, struct reader_lane *l)
{
    int result = ring_await_move(&l->ring, &r->waits->data, r->mode != RINGD_READ_OBSERVE, r->deadline);

    if (result != RINGD_OK || ring_moving(&l->ring) == RINGD_MOVING_NO)
        return result;
    result = ring_read_tail(&l->ring, &l->tail);
    l->leaving = result == 0;
    /* It began at W's position, and that was beyond the end by additions that were void. */
    if (l->leaving && (int64_t)(l->position - l->tail.end) > 0)
        l->released = l->position = l->tail.end;
    return result;
}

int lane_leave(struct ringd_reader *r, struct reader_lane *l)
{
    const struct ring_range *gone;

    if (!l->leaving)
        return begin_leaving(r, l);
    if (l->ahead != NULL)
        lane_tell_ahead(r, l, 0);
    if (l->position == l->tail.end)
        return RINGD_END;
    gone = ring_gone_at(&l->tail, l->position);
    if (gone != NULL) {
        if (l->released == l->position)
            l->released = gone->end;
        l->position = gone->end;
        return RINGD_OK;
    }
    if (ring_record_at(&l->ring, l->position))
        return RINGD_OK;
    if (!lane_below_floor(r, l))
        return -EBADMSG;
    lane_resume(l);
    return RINGD_OK;
}

/* The cursor is the reader's own, in both generations. */
static void carry_account(const struct ringd_cursor *from, struct ringd_cursor *to)
{
    atomic_store_explicit(&to->unsettled, atomic_load_explicit(&from->unsettled, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(&to->base, atomic_load_explicit(&from->base, memory_order_relaxed), memory_order_release);
    atomic_store_explicit(&to->known, atomic_load_explicit(&from->known, memory_order_relaxed), memory_order_release);
}

int lane_begin_generation(struct ringd_reader *r, struct reader_lane *l, const struct segment *segment)
{
    const struct ringd_cursor *before = l->cursor;

    l->leaving = false;
    l->ahead = NULL;
    ring_init(&l->ring, segment, l->number);
    lane_point_at_cursor(r, l, segment);
    if (r->mode != RINGD_READ_OBSERVE)
        carry_account(before, l->cursor);
    if (r->member)
        l->position = segment_lane_first(segment, l->number); /* nothing is claimed yet */
    if (segment_lane_first(segment, l->number) != l->position)
        return -EBADMSG;
    /* Writers of this generation have been waiting for this position since it began. */
    l->released = l->published = l->opened = l->position;
    if (r->mode == RINGD_READ_LOSSLESS && !r->member) {
        atomic_store_explicit(&l->cursor->behind, 0, memory_order_seq_cst); /* P4 */
        STOP_POINT("follow-caught-up");
        wake_for_space(r);
    }
    if (!r->member)
        lane_store_cursor(r, l, l->position);
    return RINGD_OK;
}
