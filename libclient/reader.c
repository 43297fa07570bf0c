/* reader.c - the public calls of a reader: next, release, and what to do when there is nothing to read.
 *
 * The next record is there when the stamp for exactly its position is there; that one look at its own line is all that
 * reading costs while there is something to read. What has been lost shows in the writers' sequence numbers.
 *
 *   lossless   reads in place. Its published cursor holds writers back, so what it looks at stays, until it is evicted
 *              (its slot says so before any writer may pass it; was_evicted). Then it is a lossy one, or at its end. A
 *              release is a plain store; with a locked one it is repeated when there is nothing more to read, and so
 *              before it sleeps. (A writer about to sleep for space may miss the plain one by nanoseconds; it looks
 * once more, see ring_wait_in_turn.) lossy      copies the record first and then makes sure that it had not been
 * overwritten meanwhile (reader_intact). observer   is lossy and cannot write: its counters are its own, and the daemon
 * announces its sleep for it.
 *
 * When the ring has moved (ring_move.h) the reader drains the old generation to its end and follows; what is in it is
 * told by the list from then on, by look_leaving and reader_leave. All that reading pays for it is a load of
 * control.moving, in a line that changes once in the life of a generation.
 *
 * Everything loaded is input: a record's length and writer are checked before use, so that whatever stands in the
 * segment, nothing outside the mapping is touched and no loop is endless. A stamp that leads beyond P, as only a
 * damaged ring has it, is noticed when there is nothing to read at that place.
 */
#define _GNU_SOURCE
#include "reader.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "copy.h"
#include "relax.h"
#include "wake.h"

/* Looks at the next stamp before a reader says that there is nothing: a fraction of a microsecond. */
#define READER_GLANCES 16

/* Looks at the next stamp, with pauses, before a reader that may wait goes to sleep: fewer after each time that was in
 * vain, as whoever is to write may need this very processor. */
#define READER_SPINS_MIN 8
#define READER_SPINS_MAX 200

/* Napping, see nap_for_data(): how many records since the last sleep, how recent that was, how long. */
#define NAP_RUN       4
#define NAP_WITHIN_NS 300000
#define NAP_NS        50000

/* Sleeps in a row for less than that and fewer records than those, after which it lets others run first. */
#define HASTY_SLEEPS 8
#define HASTY_NS     20000

/* How many headers ahead bulk reading asks for. */
#define HEADERS_AHEAD 4

/* An observer without a daemon looks this often. */
#define OBSERVER_LOOK_NS 2000000

/* Room for the copies of one ringd_next_many, at least one record's. */
#define COPIES_BYTES 65536

/* Padding that is passed over in one look. */
#define PADDING_MAX 64

/* Looks in a row, each with a reason to look again, before the clock is asked. */
#define ROUNDS_MAX 64

/* How many empty looks pass before a busy reader makes sure that the ring is not damaged. */
#define IDLE_CHECK 1024

/* Pacing, see pace(): how long, how many records make it worth while, how rarely it is tried. */
#define PACE_PAUSES    32
#define PACE_RUN       4
#define PACE_EVERY_MIN 512
#define PACE_EVERY_MAX 65536

/* How long a reader that does not wait waits for the daemon's answer when it follows a ring that has moved. */
#define FOLLOW_PATIENCE_NS 100000000

/* How far a sequence number may be ahead of its slot's count: the records of one grant. */
#define SEQUENCE_AHEAD (UINT64_C(1) << 26)

/* ---- accounts ------------------------------------------------------------------------------------------------------
 *
 * What a reader has to say of itself, so that others can add it up (ringctl doctor): at its cursor, what it has had and
 * lost of the slots it knows is what they have committed below there, less what they had when it got to know them. */

/* All given out, or lost, belongs to this position. */
static inline void store_cursor(struct ringd_reader *r, uint64_t position)
{
    uint64_t settled = atomic_load_explicit(&r->counters->delivered, memory_order_relaxed) +
                       atomic_load_explicit(&r->counters->lost, memory_order_relaxed);

    atomic_store_explicit(&r->cursor->settling, settled, memory_order_relaxed);
    STOP_POINT("release-settling");
    atomic_store_explicit(&r->cursor->position, position, memory_order_release); /* P1 */
    STOP_POINT("release-stored");
    atomic_store_explicit(&r->cursor->settled, settled, memory_order_release); /* P3 */
    STOP_POINT("release-settled");
}

/* A gap is in the accounts at once: there may be no release after it. Nobody waits for the cursor of a lossy reader. */
static void settle_gap(struct ringd_reader *r)
{
    if (r->mode != RINGD_READ_LOSSLESS)
        store_cursor(r, r->position);
}

/* From here on the account of this slot is kept: it had committed `start` records before. */
static void know_writer(struct ringd_reader *r, uint32_t writer, uint64_t start)
{
    struct ringd_cursor *cursor = r->cursor;
    uint64_t known = atomic_load_explicit(&cursor->known, memory_order_relaxed);

    r->writers[writer].known = true;
    atomic_store_explicit(&cursor->known, known | RINGD_KNOWN_CHANGING, memory_order_relaxed);
    STOP_POINT("account-changing");
    atomic_thread_fence(memory_order_release);
    ring_count(&cursor->base, start);
    STOP_POINT("account-base");
    atomic_store_explicit(&cursor->known, known | UINT64_C(1) << writer, memory_order_release);
}

/* ---- joining --------------------------------------------------------------------------------------------------- */

/* How many records each slot has committed below the reader's start: known if its owner is between two records and the
 * last one lies below. Otherwise its next record will tell. */
static void baseline(struct ringd_reader *r, bool now)
{
    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        /* What a start in the past shows first counts as where it joined. */
        if (ring_count_below(&r->ring, i, r->position, &r->writers[i].next) && now)
            know_writer(r, i, r->writers[i].next);
    }
}

static int start_at(struct ringd_reader *r, const struct ringd_reader_options *o)
{
    if (o->start == RINGD_START_NOW)
        return ring_position(&r->ring, &r->position);
    r->position = o->start == RINGD_START_OLDEST ? ring_oldest(&r->ring) : o->position;
    return o->start == RINGD_START_OLDEST ? 0 : ring_check_start(&r->ring, o->position);
}

/* Where it starts and what it expects. `position` is what the daemon gave a lossless reader. */
static int join(struct ringd_reader *r, uint64_t position, const struct ringd_reader_options *o)
{
    int result = 0;

    if (r->mode == RINGD_READ_LOSSLESS)
        r->position = position;
    else
        result = start_at(r, o);
    baseline(r, o->start == RINGD_START_NOW);
    r->released = r->published = r->opened = r->position;
    if (r->cursor != &r->own_cursor)
        atomic_store_explicit(&r->cursor->position, r->position, memory_order_seq_cst);
    STOP_POINT("attach-cursor");
    return result;
}

static void point_at_slot(struct ringd_reader *r, const struct segment *segment)
{
    bool observer = r->mode == RINGD_READ_OBSERVE;

    r->counters = observer ? &r->own : &segment->reader_slots[r->slot];
    r->cursor = observer ? &r->own_cursor : segment_cursor(segment, 0, r->slot);
}

int reader_new(struct ringd_reader **reader, const struct segment *segment, uint32_t slot, uint64_t position,
               const struct ringd_reader_options *options)
{
    uint32_t max_record = segment->geometry.max_record;
    struct ringd_reader *r = handle_new(sizeof *r);
    int result = -ENOMEM;

    *reader = NULL;
    if (r == NULL)
        return -ENOMEM;
    r->alive = HANDLE_ALIVE;
    r->mode = options->mode;
    r->deadline = options->deadline;
    r->max_record = max_record;
    r->ends_evicted = segment->geometry.slow_policy == RINGD_SLOW_EVICT;
    r->slot = slot;
    ring_init(&r->ring, segment, 0);
    r->pace_in = r->pace_every = PACE_EVERY_MIN;
    r->spins = READER_SPINS_MAX;
    r->backlog = true;
    point_at_slot(r, segment);
    r->copies_bytes = max_record > COPIES_BYTES ? max_record : COPIES_BYTES;
    r->copies = malloc(r->copies_bytes);
    if (r->copies != NULL)
        result = join(r, position, options);
    if (result < 0)
        ringd_reader_close(r);
    else
        *reader = r;
    return result;
}

static int check_options(const struct ringd_reader_options *o)
{
    if (o->mode > RINGD_READ_OBSERVE)
        return client_fail(-EINVAL, "reader mode %u is none of lossy, lossless, observe", o->mode);
    if (o->start > RINGD_START_POSITION)
        return client_fail(-EINVAL, "reader start %u is none of now, oldest, position", o->start);
    return 0;
}

static uint32_t kind_of(uint32_t mode)
{
    if (mode == RINGD_READ_LOSSLESS)
        return RINGD_CONTEXT_LOSSLESS;
    return mode == RINGD_READ_OBSERVE ? RINGD_CONTEXT_OBSERVER : RINGD_CONTEXT_LOSSY;
}

static int explain_start(int result, const struct ringd_reader_options *o)
{
    if (result == -ERANGE)
        return client_fail(result, "position %llu was overwritten already or is not written yet; start at the oldest",
                           (unsigned long long)o->position);
    if (result == -EINVAL)
        return client_fail(result, "no record begins at position %llu", (unsigned long long)o->position);
    return client_fail(result, "%s", ringd_strerror(result));
}

int ringd_reader_open(struct ringd_reader **reader, struct ringd *ring, const struct ringd_reader_options *options)
{
    static const struct ringd_reader_options defaults;
    const struct ringd_reader_options *o = options != NULL ? options : &defaults;
    struct attachment_wish wish = {.kind = kind_of(o->mode), .start = o->start, .position = o->position};
    struct attachment *attachment;
    int result = check_options(o);

    *reader = NULL;
    if (result < 0)
        return result;
    result = attachment_new(&attachment, ring, &wish);
    if (result < 0)
        return result;
    result = reader_new(reader, &attachment->segment, attachment->slot, attachment->position, o);
    if (result < 0) {
        attachment_free(attachment);
        return explain_start(result, o);
    }
    (*reader)->attachment = attachment;
    (*reader)->watch = attachment_watch(attachment);
    return 0;
}

/* What was given out of generations that it has left is given back. */
static void drop_kept(struct ringd_reader *r)
{
    while (r->kept_count > 0) {
        r->kept_count--;
        munmap(r->kept[r->kept_count].map, r->kept[r->kept_count].bytes);
    }
}

void ringd_reader_close(struct ringd_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->alive == HANDLE_ALIVE) {
        drop_kept(reader);
        attachment_free(reader->attachment);
        free(reader->copies);
    }
    handle_free(reader, sizeof *reader);
}

int ringd_reader_deadline(struct ringd_reader *reader, int64_t deadline_ns)
{
    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    reader->deadline = deadline_ns;
    return RINGD_OK;
}

uint64_t ringd_reader_position(const struct ringd_reader *reader)
{
    return reader->position;
}

int ringd_reader_count(const struct ringd_reader *reader, struct ringd_reader_counters *counters)
{
    const struct ringd_reader_slot *slot = reader->counters;

    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    *counters = (struct ringd_reader_counters){
        .delivered = atomic_load_explicit(&slot->delivered, memory_order_relaxed),
        .bytes = atomic_load_explicit(&slot->bytes, memory_order_relaxed),
        .lost = atomic_load_explicit(&slot->lost, memory_order_relaxed),
        .gaps = atomic_load_explicit(&slot->gaps, memory_order_relaxed),
        .slept = atomic_load_explicit(&slot->slept, memory_order_relaxed),
    };
    return RINGD_OK;
}

/* ---- giving back ----------------------------------------------------------------------------------------------- */

/* Wakes writers that wait for space, if any do. */
static void offer_space(struct ringd_reader *r)
{
    if (atomic_load_explicit(&r->ring.waits->space, memory_order_seq_cst) & WAKE_SLEEPING) /* P2 */
        wake_all(&r->ring.waits->space);
}

/* What ringd_release does without the cost of a locked store, once more with it: from here on no writer that is about
 * to sleep for space has missed what was released. */
static void publish(struct ringd_reader *r)
{
    r->published = r->released;
    if (r->mode != RINGD_READ_LOSSLESS) {
        store_cursor(r, r->released);
        return;
    }
    atomic_store_explicit(&r->cursor->position, r->released, memory_order_seq_cst); /* P1 */
    STOP_POINT("publish-stored");
    offer_space(r);
}

/* Says so before any writer may write where this reader has not released: what was loaded before and was overwritten
 * already is known to be by this. */
static bool was_evicted(const struct ringd_reader *r)
{
    const struct ringd_owner *owner = &r->ring.control->readers[r->slot];

    atomic_thread_fence(memory_order_acquire); /* V2 */
    return r->mode == RINGD_READ_LOSSLESS &&
           atomic_load_explicit(&owner->state, memory_order_acquire) == RINGD_OWNER_EVICTED;
}

/* From here on a lossy reader, or one at its end. What it has been given in place is not given back yet. */
__attribute__((noinline)) static int turn_lossy(struct ringd_reader *r)
{
    r->mode = RINGD_READ_LOSSY;
    r->in_place = true;
    r->in_place_from = r->released;
    if (r->ends_evicted)
        r->pending = r->ended = true;
    return RINGD_EVICTED;
}

/* Whether nothing from `position` on has been overwritten: it lies at or above M, or P is not more than one ring ahead.
 */
__attribute__((always_inline)) static inline bool intact_from(const struct ringd_reader *r, uint64_t from)
{
    uint64_t position;

    atomic_thread_fence(memory_order_acquire); /* V1 */
    if ((int64_t)(from - ring_oldest(&r->ring)) >= 0)
        return true;
    return ring_position(&r->ring, &position) == 0 && position - from <= r->ring.size;
}

int ringd_reader_valid(const struct ringd_reader *reader)
{
    uint64_t from = reader->in_place ? reader->in_place_from : reader->released;

    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    if (!reader->in_place && !was_evicted(reader))
        return RINGD_OK; /* copies, or held */
    return intact_from(reader, from) ? RINGD_OK : RINGD_EVICTED;
}

int ringd_release(struct ringd_reader *reader)
{
    if (__builtin_expect(reader->alive != HANDLE_ALIVE, 0))
        return -ECHILD;
    reader->released = reader->position;
    reader->copies_used = 0;
    reader->in_place = false;
    if (reader->mode != RINGD_READ_OBSERVE)
        store_cursor(reader, reader->released);
    if (reader->mode == RINGD_READ_LOSSLESS)
        offer_space(reader);
    if (__builtin_expect(reader->kept_count != 0, 0))
        drop_kept(reader);
    if (__builtin_expect(was_evicted(reader), 0)) {
        turn_lossy(reader);
        reader->in_place = false;
        return RINGD_EVICTED;
    }
    return RINGD_OK;
}

/* ---- gaps ------------------------------------------------------------------------------------------------------ */

static int tell_gap(struct ringd_reader *r, struct ringd_record *record, uint32_t writer, uint64_t lost)
{
    *record = (struct ringd_record){
        .position = r->position,
        .next = r->position,
        .sequence = r->writers[writer].next - lost,
        .writer = writer,
        .lost = lost,
    };
    ring_count(&r->counters->lost, lost);
    STOP_POINT("gap-lost");
    ring_count(&r->counters->gaps, 1);
    STOP_POINT("gap-counted");
    return RINGD_GAP;
}

/* The 64 bits of a sequence number in band: near the slot's own count, which it has passed by at most a batch. */
static uint64_t extend_sequence(const struct ringd_reader *r, uint32_t writer, uint32_t sequence)
{
    const struct ringd_writer_slot *slot = &r->ring.lane->writers[writer];
    uint64_t count = atomic_load_explicit(&slot->sequence, memory_order_acquire) + SEQUENCE_AHEAD; /* N4 */

    return count - (uint32_t)((uint32_t)count - sequence);
}

/* For a record that is not the one expected from its writer: how many are missing before it. The first one seen tells
 * where the reader joined, unless it has been lapped since. */
static uint64_t missing_before(struct ringd_reader *r, uint32_t writer, uint32_t sequence)
{
    struct reader_writer *w = &r->writers[writer];
    uint64_t found = extend_sequence(r, writer, sequence), expected = w->next;
    bool counts = w->known || r->lapped;

    if (!w->known)
        know_writer(r, writer, counts ? expected : found);
    w->next = found;
    return counts && found > expected ? found - expected : 0;
}

/* Writers that have written nothing since the reader was lapped: what they had committed before is lost too. */
static int silent_writers(struct ringd_reader *r, struct ringd_record *record)
{
    bool resolved = true;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        uint64_t committed, expected = r->writers[i].next;

        if (!ring_count_below(&r->ring, i, r->position, &committed)) {
            resolved = false;
            continue;
        }
        if (!r->writers[i].known)
            know_writer(r, i, expected);
        r->writers[i].next = committed;
        if (committed > expected)
            return tell_gap(r, record, i, committed - expected);
    }
    r->ask_silent = !resolved;
    atomic_store_explicit(&r->cursor->unsettled, r->ask_silent, memory_order_relaxed);
    return RINGD_OK;
}

/* ---- lossy reading --------------------------------------------------------------------------------------------- */

/* Whether what has just been copied from the reader's position is what stood there. */
__attribute__((noinline)) static bool reader_intact(const struct ringd_reader *r)
{
    return intact_from(r, r->position);
}

/* Goes on at the oldest record. What was lost shows in the sequence numbers, or is asked for later. */
static void reader_resume(struct ringd_reader *r)
{
    atomic_store_explicit(&r->cursor->unsettled, 1, memory_order_relaxed);
    r->position = ring_oldest(&r->ring);
    r->lapped = r->ask_silent = true;
}

/* Payload that may change while it is copied: the copy counts only if reader_intact() says so afterwards. */
__attribute__((no_sanitize("thread"))) static void *keep_copy(struct ringd_reader *r, const void *payload, size_t len)
{
    unsigned char *copy = r->copies + r->copies_used;

    copy_payload(copy, payload, len);
    return copy;
}

/* ---- the next record ------------------------------------------------------------------------------------------- */

/* What one look at the reader's position shows. */
enum look {
    LOOK_RECORD,  /* a record: *record */
    LOOK_GAP,     /* some are missing before it: *record */
    LOOK_AGAIN,   /* padding, passed over, or what is the expected record on the next look */
    LOOK_NOTHING, /* no stamp */
    LOOK_LAPPED,  /* a lossy reader was overtaken while it looked */
    LOOK_NO_ROOM, /* no room for another copy */
    LOOK_LEAVING, /* the ring has moved, and there is something to wait for or to do before the next look */
    LOOK_DAMAGED,
};

static enum look look_leaving(struct ringd_reader *r, struct ringd_record *record);

static enum look look_at_padding(struct ringd_reader *r, const struct ringd_record_header *h)
{
    uint64_t bytes = ring_record_bytes((uint32_t)atomic_load_explicit(&h->extent, memory_order_relaxed));

    if (r->mode == RINGD_READ_LOSSLESS ? was_evicted(r) : !reader_intact(r))
        return LOOK_LAPPED;
    if (bytes > r->ring.max_grant)
        return LOOK_DAMAGED;
    if (r->released == r->position)
        r->released += bytes; /* nobody is shown it, and nobody can release it */
    r->position += bytes;
    return LOOK_AGAIN;
}

/* A record that is not the one expected from its writer. In place it may be none at all, but bytes of what overwrites
 * it. Some are missing before it, or it is to be looked at again, now that it is the one expected. */
__attribute__((noinline, cold)) static enum look look_closely(struct ringd_reader *r, struct ringd_record *record,
                                                              uint32_t writer, uint32_t sequence)
{
    uint64_t lost;

    if (was_evicted(r))
        return LOOK_LAPPED;
    lost = missing_before(r, writer, sequence);
    if (lost == 0)
        return LOOK_AGAIN;
    tell_gap(r, record, writer, lost);
    return LOOK_GAP;
}

/* Field by field: clearing the whole first would cost more than reading the record. */
static inline void fill_record(struct ringd_record *record, const void *data, uint32_t len, uint64_t position,
                               uint64_t sequence, uint64_t origin)
{
    record->data = data;
    record->len = len;
    record->position = position;
    record->next = position + ring_record_bytes(len);
    record->sequence = sequence;
    record->lost = 0;
    record->writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK);
    record->incarnation = (uint32_t)(origin >> RINGD_ORIGIN_INCARNATION_SHIFT & RINGD_ORIGIN_INCARNATION_MASK);
    record->type = (uint16_t)(origin >> RINGD_ORIGIN_TYPE_SHIFT);
    record->level = (uint8_t)(origin >> RINGD_ORIGIN_LEVEL_SHIFT);
}

/* `opened`: the position lies below what the last writer out has opened, so that the header is there for certain and
 * the order of its stamp does not matter any more. */
__attribute__((always_inline)) static inline enum look look_at(struct ringd_reader *r, struct ringd_record *record,
                                                               bool opened)
{
    const struct ringd_record_header *h = ring_header(&r->ring, r->position);
    uint64_t state = ring_stamp_state(&r->ring, r->position, opened ? memory_order_relaxed : memory_order_acquire);
    struct ringd_reader_slot *counters;
    uint64_t extent, origin, time;
    uint32_t len, sequence, writer;
    const void *data = h + 1;

    if (!ring_state_valid(state)) /* N1 */
        return LOOK_NOTHING;
    /* X2: after the stamp. What was opened before any seal needs no look. */
    if (!opened && __builtin_expect(atomic_load_explicit(&r->ring.control->moving, memory_order_acquire) != 0, 0))
        return look_leaving(r, record);
    if (state == RINGD_STATE_PADDING)
        return look_at_padding(r, h);
    STOP_POINT("next-stamp");
    extent = atomic_load_explicit(&h->extent, memory_order_relaxed);
    origin = atomic_load_explicit(&h->origin, memory_order_relaxed);
    time = atomic_load_explicit(&h->time, memory_order_relaxed);
    len = (uint32_t)extent;
    sequence = (uint32_t)(extent >> 32);
    if (r->mode != RINGD_READ_LOSSLESS) {
        if (len <= r->max_record && r->copies_used + len > r->copies_bytes)
            return LOOK_NO_ROOM;
        if (len <= r->max_record)
            data = keep_copy(r, data, len);
        STOP_POINT("next-copied");
        if (!reader_intact(r))
            return LOOK_LAPPED;
    }
    writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK);
    if (__builtin_expect(len > r->max_record || writer >= RINGD_WRITERS_PER_LANE, 0))
        return LOOK_DAMAGED;
    if (__builtin_expect(sequence != (uint32_t)r->writers[writer].next || !r->writers[writer].known, 0))
        return look_closely(r, record, writer, sequence);
    fill_record(record, data, len, r->position, r->writers[writer].next++, origin);
    record->time = time;
    if (r->mode != RINGD_READ_LOSSLESS)
        r->copies_used += (len + 7) & ~(size_t)7;
    counters = r->counters;
    r->position = record->next;
    ring_count(&counters->delivered, 1);
    STOP_POINT("next-delivered");
    ring_count(&counters->bytes, len);
    STOP_POINT("next-counted");
    return LOOK_RECORD;
}

/* A stamp was seen at the reader's position, and the ring moves. Once the list is closed it decides; all else is final.
 */
__attribute__((noinline)) static enum look look_leaving(struct ringd_reader *r, struct ringd_record *record)
{
    if (!r->leaving || r->position == r->tail.end || ring_gone_at(&r->tail, r->position) != NULL)
        return LOOK_LEAVING;
    return look_at(r, record, true);
}

/* The first look in a row that shows something else than padding, or nothing after many of that: it may be without end.
 * `bulk`: what has been opened below is of use. */
static inline enum look look_on(struct ringd_reader *r, struct ringd_record *record, bool bulk)
{
    for (int i = 0; i < PADDING_MAX; i++) {
        bool opened = bulk && (int64_t)(r->opened - r->position) > 0;
        enum look look = opened ? look_at(r, record, true) : look_at(r, record, false);

        if (__builtin_expect(look != LOOK_AGAIN, 1))
            return look;
    }
    return LOOK_NOTHING;
}

/* ---- nothing to read ------------------------------------------------------------------------------------------- */

static bool ring_removed(const struct ringd_reader *r)
{
    return atomic_load_explicit(&r->ring.control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;
}

static bool below_floor(const struct ringd_reader *r)
{
    return r->mode != RINGD_READ_LOSSLESS && (int64_t)(r->position - ring_oldest(&r->ring)) < 0;
}

/* There is no stamp at the reader's position: why? RINGD_OK: look again; RINGD_WOULD_BLOCK: nothing yet; RINGD_END,
 * RINGD_GAP, RINGD_EVICTED; -EBADMSG: there should be one. */
static int explain_nothing(struct ringd_reader *r, struct ringd_record *record)
{
    bool removed = ring_removed(r);
    struct ring_view view;

    if (was_evicted(r))
        return turn_lossy(r);
    if (ring_moving(&r->ring) != RINGD_MOVING_NO)
        return RINGD_OK;
    if (ring_look(&r->ring, &view) < 0) /* N2, S2 */
        return -EBADMSG;
    if (ring_record_at(&r->ring, r->position))
        return RINGD_OK;
    if (below_floor(r)) {
        reader_resume(r);
        return RINGD_OK;
    }
    if ((int64_t)(view.position - r->position) < 0)
        return -EBADMSG;
    if (view.word & (RINGD_W_ACTIVE | RINGD_W_SEALED))
        return RINGD_WOULD_BLOCK;
    if (view.position != r->position)
        return -EBADMSG; /* nobody active, below P, not overwritten: a stamp must be there */
    if (r->ask_silent && silent_writers(r, record) == RINGD_GAP) {
        settle_gap(r);
        return RINGD_GAP;
    }
    return removed ? RINGD_END : RINGD_WOULD_BLOCK;
}

/* How long it may sleep: a writer that stays in mid-record is reported. With nobody active that is for ever. */
static int64_t watch_writers(struct ringd_reader *r, int64_t until)
{
    bool active = atomic_load_explicit(&r->ring.lane->word, memory_order_relaxed) & RINGD_W_ACTIVE;

    if (r->stall_position != r->position)
        r->stall = (struct ring_stall){0};
    r->stall_position = r->position;
    return ring_watch_stall(&r->watch, active, &r->stall, until);
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
        return ring_record_at(&r->ring, r->position);
    }
    if (run < NAP_RUN || since >= NAP_WITHIN_NS || r->deadline - now <= NAP_NS)
        return false;
    ring_count(&r->counters->slept, 1);
    *result = wake_sleep(&r->ring.waits->data, atomic_load_explicit(&r->ring.waits->data, memory_order_relaxed),
                         now + NAP_NS);
    if (*result == -ETIMEDOUT)
        *result = RINGD_OK;
    return true;
}

/* Announces, looks again, sleeps. RINGD_OK: look again. */
static int sleep_for_data(struct ringd_reader *r, struct ringd_record *record)
{
    _Atomic uint32_t *word = &r->ring.waits->data;
    int64_t until = r->deadline;
    uint32_t value;
    int result;

    if (r->mode != RINGD_READ_OBSERVE) {
        value = wake_announce(word); /* S1 */
    } else if (r->attachment == NULL || attachment_arm(r->attachment, &value) < 0) {
        int64_t look = wake_now() + OBSERVER_LOOK_NS;

        value = atomic_load_explicit(word, memory_order_seq_cst);
        until = look < until ? look : until;
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
static bool worth_explaining(struct ringd_reader *r)
{
    return ++r->idle % IDLE_CHECK == 0 || r->ask_silent || ring_removed(r) || was_evicted(r) || below_floor(r);
}

/* A reader right behind a writer in full flow makes every record bounce a line between their processors; one that lets
 * the writer get a little ahead reads several at once and both are faster. But one that answers each record must not
 * wait at all. So: wait if waiting has brought several records each time, try that now and then, and less and less
 * often while it brings one. */
static void pace(struct ringd_reader *r)
{
    uint64_t delivered = atomic_load_explicit(&r->counters->delivered, memory_order_relaxed);
    uint64_t run = delivered - r->pace_delivered;

    r->pace_delivered = delivered;
    if (run > 0 && r->pacing) {
        r->pacing = run >= PACE_RUN;
        r->pace_every = r->pacing                            ? PACE_EVERY_MIN
                        : r->pace_every * 2 < PACE_EVERY_MAX ? r->pace_every * 2
                                                             : PACE_EVERY_MAX;
        r->pace_in = r->pace_every;
    } else if (run > 0) {
        r->pacing = --r->pace_in == 0;
    }
    for (int i = 0; r->pacing && i < PACE_PAUSES; i++)
        relax();
}

/* ---- leaving a generation -------------------------------------------------------------------------------------- */

/* Pointers into it that were given out stay good until they are released. */
static void keep_or_unmap(struct ringd_reader *r, struct segment *old)
{
    if (r->mode == RINGD_READ_LOSSLESS && r->released != r->position) {
        r->kept[r->kept_count++] = (struct reader_kept){.map = old->data_map, .bytes = old->data_map_bytes};
        old->data_map = NULL;
    }
    segment_unmap(old);
}

/* The slot is the reader's own, in both generations. */
static void carry_account(const struct ringd_cursor *from, struct ringd_cursor *to)
{
    atomic_store_explicit(&to->unsettled, atomic_load_explicit(&from->unsettled, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(&to->base, atomic_load_explicit(&from->base, memory_order_relaxed), memory_order_release);
    atomic_store_explicit(&to->known, atomic_load_explicit(&from->known, memory_order_relaxed), memory_order_release);
}

static void carry_reader(const struct ringd_reader_slot *from, struct ringd_reader_slot *to)
{
    static const size_t fields[] = {
        offsetof(struct ringd_reader_slot, delivered), offsetof(struct ringd_reader_slot, bytes),
        offsetof(struct ringd_reader_slot, lost),      offsetof(struct ringd_reader_slot, gaps),
        offsetof(struct ringd_reader_slot, slept),     offsetof(struct ringd_reader_slot, skipped),
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const _Atomic uint64_t *counter = (const void *)((const unsigned char *)from + fields[i]);

        atomic_store_explicit((_Atomic uint64_t *)(void *)((unsigned char *)to + fields[i]),
                              atomic_load_explicit(counter, memory_order_relaxed), memory_order_release);
    }
}

/* Goes on at the beginning of the next generation, which is where the last one ended. */
static int begin_generation(struct ringd_reader *r, struct segment *old)
{
    const struct segment *segment = &r->attachment->segment;
    const struct ringd_reader_slot *counters = r->counters;
    const struct ringd_cursor *cursor = r->cursor;

    ring_init(&r->ring, segment, 0);
    point_at_slot(r, segment);
    if (r->mode != RINGD_READ_OBSERVE) {
        carry_reader(counters, r->counters);
        carry_account(cursor, r->cursor);
    }
    keep_or_unmap(r, old);
    if (segment->geometry.first_position != r->position)
        return -EBADMSG;
    /* Writers of this generation have been waiting for this position since it began. */
    r->released = r->published = r->opened = r->position;
    store_cursor(r, r->position);
    r->leaving = false;
    r->watch = attachment_watch(r->attachment);
    STOP_POINT("follow-begun");
    return RINGD_OK;
}

/* The old generation is drained. RINGD_OK: look again. */
static int follow(struct ringd_reader *r)
{
    int64_t patience = wake_now() + FOLLOW_PATIENCE_NS;
    struct segment old;
    int result;

    if (r->attachment == NULL)
        return RINGD_END;
    if (r->kept_count == READER_KEPT_MAX)
        return RINGD_WOULD_BLOCK; /* so much has been given out and not released */
    result = attachment_follow(r->attachment, kind_of(r->mode), r->deadline > patience ? r->deadline : patience, &old);
    if (result == RINGD_OK)
        return begin_generation(r, &old);
    /* The ring was removed, and with it the daemon. */
    return result < 0 && result != -EBADMSG && ring_removed(r) ? RINGD_END : result;
}

/* The move is done: how does this generation end? */
static int begin_leaving(struct ringd_reader *r)
{
    int result = ring_await_move(&r->ring, &r->ring.waits->data, r->mode != RINGD_READ_OBSERVE, r->deadline);

    if (result != RINGD_OK || ring_moving(&r->ring) == RINGD_MOVING_NO)
        return result;
    result = ring_read_tail(&r->ring, &r->tail);
    r->leaving = result == 0;
    /* It began at W's position, and that was beyond the end by additions that were void. */
    if (r->leaving && (int64_t)(r->position - r->tail.end) > 0)
        r->released = r->position = r->tail.end;
    return result;
}

/* The ring moves, and the next thing to do is not to read a record. RINGD_OK: look again. */
static int reader_leave(struct ringd_reader *r)
{
    const struct ring_range *gone;

    if (!r->leaving)
        return begin_leaving(r);
    if (r->position == r->tail.end)
        return follow(r);
    gone = ring_gone_at(&r->tail, r->position);
    if (gone != NULL) {
        if (r->released == r->position)
            r->released = gone->end;
        r->position = gone->end;
        return RINGD_OK;
    }
    if (ring_record_at(&r->ring, r->position))
        return RINGD_OK;
    if (!below_floor(r))
        return -EBADMSG;
    reader_resume(r);
    return RINGD_OK;
}

/* Nothing at the reader's position. RINGD_OK: look again; anything else is the caller's result. */
__attribute__((noinline)) static int wait_for_data(struct ringd_reader *r, struct ringd_record *record)
{
    int result;

    if (ring_moving(&r->ring) != RINGD_MOVING_NO)
        return reader_leave(r);
    if (r->mode != RINGD_READ_LOSSLESS)
        r->released = r->position;
    if (r->published != r->released)
        publish(r);
    pace(r);
    for (int i = 0; !r->pacing && i < READER_GLANCES; i++) {
        relax(); /* each look takes the line away from who is about to write it */
        if (ring_record_at(&r->ring, r->position))
            return RINGD_OK;
    }
    if (r->deadline == RINGD_NO_WAIT && !worth_explaining(r))
        return RINGD_WOULD_BLOCK;
    result = explain_nothing(r, record);
    if (result != RINGD_WOULD_BLOCK || r->deadline == RINGD_NO_WAIT)
        return result;
    for (uint32_t spin = 0; spin < r->spins; spin++) {
        if (ring_record_at(&r->ring, r->position)) {
            r->spins = r->spins * 2 < READER_SPINS_MAX ? r->spins * 2 : READER_SPINS_MAX;
            return RINGD_OK;
        }
        relax();
    }
    r->spins = r->spins / 2 > READER_SPINS_MIN ? r->spins / 2 : READER_SPINS_MIN;
    return nap_for_data(r, &result) ? result : sleep_for_data(r, record);
}

static int after_look(struct ringd_reader *r, struct ringd_record *record, enum look look)
{
    if (was_evicted(r))
        return turn_lossy(r);
    switch (look) {
    case LOOK_GAP:
        settle_gap(r);
        return RINGD_GAP;
    case LOOK_LAPPED:
        reader_resume(r);
        return RINGD_OK;
    case LOOK_NOTHING:
        return wait_for_data(r, record);
    case LOOK_LEAVING:
        return reader_leave(r);
    default:
        return -EBADMSG;
    }
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

/* What is to be said before anything else. */
__attribute__((noinline)) static int say_pending(struct ringd_reader *r, struct ringd_record *record)
{
    if (r->ended)
        return RINGD_END;
    *record = r->gap;
    r->pending = false;
    return RINGD_GAP;
}

/* A ring whose limit runs away, as only a damaged one does, keeps a reader looking; not beyond its deadline. */
static bool looked_long_enough(const struct ringd_reader *r, int *rounds)
{
    return ++*rounds % ROUNDS_MAX == 0 && wake_now() >= r->deadline;
}

int ringd_next(struct ringd_reader *reader, struct ringd_record *record)
{
    int rounds = 0;

    if (__builtin_expect(reader->alive != HANDLE_ALIVE, 0))
        return -ECHILD;
    if (__builtin_expect(reader->pending, 0))
        return say_pending(reader, record);
    reader->copies_used = 0;
    for (;;) {
        enum look look = look_on(reader, record, false);
        int result;

        if (__builtin_expect(look == LOOK_RECORD, 1))
            return RINGD_OK;
        result = after_look(reader, record, look);
        if (result != RINGD_OK)
            return result;
        if (looked_long_enough(reader, &rounds))
            return RINGD_WOULD_BLOCK;
    }
}

/* If nobody is active now, everything below P has been opened by the last writer out (R6). */
static void look_for_opening(struct ringd_reader *r)
{
    struct ring_view view;

    if (ring_look(&r->ring, &view) == 0 && !(view.word & (RINGD_W_ACTIVE | RINGD_W_SEALED))) /* N2 */
        r->opened = view.position;
}

/* Only headers are looked at here, one line of each record, and where the next one is stands in the one before: without
 * asking ahead every record would cost a whole hop. Those to come are probably as long as this one. Nothing is asked
 * for that may still be written. */
static inline void ask_ahead(const struct ringd_reader *r, const struct ringd_record *record)
{
    uint64_t distance = HEADERS_AHEAD * (record->next - record->position);

    if ((int64_t)(r->opened - r->position - distance) > 0)
        __builtin_prefetch(ring_header(&r->ring, r->position + distance));
}

static enum look fill(struct ringd_reader *r, struct ringd_record *records, size_t max, size_t *count)
{
    enum look look = LOOK_NOTHING;

    while (*count < max) {
        look = look_on(r, &records[*count], true);
        if (look != LOOK_RECORD)
            break;
        ask_ahead(r, &records[*count]);
        ++*count;
    }
    return look;
}

/* For the next call to tell. */
static void keep_gap(struct ringd_reader *r, const struct ringd_record *gap)
{
    r->pending = true;
    r->gap = *gap;
    settle_gap(r);
}

int ringd_next_many(struct ringd_reader *reader, struct ringd_record *records, size_t max, size_t *count)
{
    int rounds = 0, result;

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
    reader->copies_used = 0;
    for (;;) {
        enum look look;

        if (reader->backlog && (int64_t)(reader->opened - reader->position) <= 0)
            look_for_opening(reader);
        look = fill(reader, records, max, count);
        reader->backlog = *count == max || *count == 0;
        if (*count > 0) {
            if (look == LOOK_GAP)
                keep_gap(reader, &records[*count]);
            return RINGD_OK;
        }
        result = after_look(reader, records, look);
        *count = result == RINGD_GAP;
        if (result != RINGD_OK)
            return result;
        if (looked_long_enough(reader, &rounds))
            return RINGD_WOULD_BLOCK;
    }
}
