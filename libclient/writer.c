/* writer.c - the public calls of a writer: write, reserve and commit, batches, messages.
 *
 * All of them are the same three steps: writer_grant (room for a number of bytes), records put into it with the stamp
 * of the first one last, ring_finish. What a grant has and its records do not use is stamped as padding, so that the
 * stamps alone lead through the ring. A grant is in or out as a whole (R4): readers stop at the first stamp that is not
 * there, and the first is stored last.
 *
 * A message that is too long for one record is written as several, in as many grants: the first says so, the last ends
 * it, and a reader puts it together from the records of this writer, which are one by one in sequence.
 *
 * An ordinary write costs two locked instructions, see the head of ring.h; the slot's counters are plain stores to the
 * writer's own line.
 */
#define _GNU_SOURCE
#include "writer.h"

#include <sys/uio.h>

#include "copy.h"
#include "record_time.h"
#include "relax.h"
#include "ring_move.h"
#include "wake.h"

#define WRITEV_MAX 1024

/* Turns, see take_turns(): how long they are, and how long others are let have theirs. */
#define TURN_RECORDS     128
#define TURN_RECORDS_MAX 65536
#define TURN_PAUSES      256

/* Between two reports of a reader that is too far behind: the daemon needs a fraction of it. */
#define REPORT_PAUSE_NS 20000000

/* Between two looks while a cursor that makes no sense holds the ring. */
#define SUSPICION_PAUSE_NS 2000000

/* How long a writer that does not wait for room waits for a ring that moves: the daemon may need this very processor.
 */
#define MOVE_PATIENCE_NS 100000000

/* Moves in one call; more are none, but somebody who scribbles. */
#define MOVES_MAX 1000
/* ---- slow readers ---------------------------------------------------------------------------------------------- */

/* When the daemon is to hear that a lossless reader keeps this writer waiting: after half the time that a reader may,
 * and then every quarter, so that it can measure for itself. What breaks it off is a grant, or a time without a look.
 */
static int64_t writer_tell_kept(struct ringd_writer *w, int64_t now)
{
    struct writer_watch *watch = &w->watch;
    uint64_t done = w->sequence + atomic_load_explicit(&w->ring.slot->aborted, memory_order_relaxed);

    if (watch->slow_after == 0 || !w->ring.behind_reader)
        return INT64_MAX;
    if (watch->seen == 0 || now - watch->seen > watch->slow_after || watch->done != done)
        watch->tell_kept = now + watch->slow_after / 2;
    watch->done = done;
    watch->seen = now;
    return watch->tell_kept;
}

/* Readers beyond the ring's limits, see slow_readers.h: says so to the daemon, which judges for itself. For
 * struct ring_writer.watch: when to look again at the latest. */
RING_COLD static int64_t writer_watch(struct ring_writer *ring)
{
    struct ringd_writer *w = (void *)((unsigned char *)ring - offsetof(struct ringd_writer, ring));
    int64_t now = wake_now(), kept = writer_tell_kept(w, now), far = ring->far_behind ? w->watch.tell_far : INT64_MAX;

    if (now < kept && now < far)
        return kept < far ? kept : far;
    if (now >= kept)
        kept = w->watch.tell_kept = now + w->watch.slow_after / 4;
    w->watch.tell_far = now + REPORT_PAUSE_NS;
    if (w->attachment != NULL)
        attachment_report_cursor(w->attachment, ring->behind_reader ? ring->needed : 0);
    return kept < w->watch.tell_far ? kept : w->watch.tell_far;
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

static void read_counters(const struct ringd_writer *w, struct ringd_writer_counters *c)
{
    const struct ringd_writer_slot *slot = w->ring.slot;

    *c = (struct ringd_writer_counters){
        .offered = atomic_load_explicit(&slot->offered, memory_order_relaxed),
        .committed = atomic_load_explicit(&slot->sequence, memory_order_relaxed),
        .bytes = atomic_load_explicit(&slot->bytes, memory_order_relaxed),
        .aborted = atomic_load_explicit(&slot->aborted, memory_order_relaxed),
        .refused = atomic_load_explicit(&slot->refused, memory_order_relaxed),
        .dropped_full = atomic_load_explicit(&slot->dropped_full, memory_order_relaxed),
        .dropped_stalled = atomic_load_explicit(&slot->dropped_stalled, memory_order_relaxed),
        .waited = atomic_load_explicit(&slot->waited, memory_order_relaxed),
    };
}

/* enum ringd_record_flag, where an origin has them. */
static inline uint64_t with_flags(uint64_t flags)
{
    return flags << RINGD_ORIGIN_FLAGS_SHIFT;
}

static void set_label(struct ringd_writer *w, uint16_t type, uint8_t level)
{
    w->origin &= (UINT64_C(1) << RINGD_ORIGIN_TYPE_SHIFT) - 1;
    w->origin |= (uint64_t)type << RINGD_ORIGIN_TYPE_SHIFT | (uint64_t)level << RINGD_ORIGIN_LEVEL_SHIFT;
}

static void begin_turn(struct ringd_writer *w, uint64_t records)
{
    w->turn_records = records;
    w->turn_over = w->sequence + records;
}

/* Its part in this generation of the ring. */
static void enter(struct ringd_writer *w, const struct segment *segment, uint32_t slot)
{
    ring_writer_init(&w->ring, segment, slot / RINGD_WRITERS_PER_LANE, slot % RINGD_WRITERS_PER_LANE);
    w->ring.wait = w->wait;
    if (w->watch.slow_after != 0 || segment->geometry.slow_bytes != 0)
        w->ring.watch = writer_watch;
}

RING_COLD int writer_new(struct ringd_writer **writer, const struct segment *segment, uint32_t slot,
                         uint32_t incarnation, const struct ringd_writer_options *options)
{
    static const struct ringd_writer_options defaults;
    const struct ringd_writer_options *o = options != NULL ? options : &defaults;
    struct ringd_writer *w = handle_new(sizeof *w);

    *writer = w;
    if (w == NULL)
        return -ENOMEM;
    w->alive = HANDLE_ALIVE;
    w->origin = slot | (incarnation & RINGD_ORIGIN_INCARNATION_MASK) << RINGD_ORIGIN_INCARNATION_SHIFT;
    set_label(w, o->type, o->level);
    w->time_source = segment->geometry.time_source;
    w->max_record = segment->geometry.max_record;
    if (w->time_source == RINGD_TIME_NONE)
        w->short_end = 1 + (w->max_record < COPY_SHORT_MAX ? w->max_record : COPY_SHORT_MAX);
    w->drops = segment->geometry.policy == RINGD_DROP;
    w->deadline = o->deadline;
    w->wait = o->wait;
    w->watch.slow_after = segment->geometry.slow_after_ms * INT64_C(1000000);
    enter(w, segment, slot);
    w->sequence = atomic_load_explicit(&w->ring.slot->sequence, memory_order_relaxed);
    begin_turn(w, TURN_RECORDS);
    read_counters(w, &w->base);
    return 0;
}

RING_COLD int ringd_writer_open(struct ringd_writer **writer, struct ringd *ring,
                                const struct ringd_writer_options *options)
{
    struct attachment_wish wish = {.kind = RINGD_CONTEXT_WRITER, .lane = options != NULL ? options->lane : 0};
    struct attachment *attachment;
    int result;

    *writer = NULL;
    if (options != NULL && options->wait > RINGD_WAIT_SLEEP)
        return client_fail(-EINVAL, "writer wait %u is none of adaptive, busy, sleep", options->wait);
    result = attachment_new(&attachment, ring, &wish);
    if (result < 0)
        return result;
    result = writer_new(writer, &attachment->segment, attachment->slot, attachment->incarnation, options);
    if (result < 0) {
        attachment_free(attachment);
        return client_fail(result, "no memory for a writer's handle");
    }
    (*writer)->attachment = attachment;
    (*writer)->ring.stall_watch = attachment_watch(attachment);
    return 0;
}

/* In this process, with a grant open or not. */
static bool writer_alive(const struct ringd_writer *w)
{
    return w->alive == HANDLE_ALIVE || w->alive == HANDLE_GRANT;
}

int ringd_writer_deadline(struct ringd_writer *writer, int64_t deadline_ns)
{
    if (!writer_alive(writer))
        return -ECHILD;
    writer->deadline = deadline_ns;
    return RINGD_OK;
}

RING_COLD int ringd_writer_fd(struct ringd_writer *writer)
{
    if (!writer_alive(writer))
        return -ECHILD;
    if (writer->pollable == NULL) {
        const struct pollable_source source = {.word = &writer->ring.ring.waits->space,
                                               .second_look_ns = RING_SECOND_LOOK_NS};
        int result = pollable_new(&writer->pollable, &source);

        if (result < 0)
            return result;
    }
    return pollable_fd(writer->pollable);
}

int ringd_writer_label(struct ringd_writer *writer, uint16_t type, uint8_t level)
{
    if (!writer_alive(writer))
        return -ECHILD;
    set_label(writer, type, level);
    return RINGD_OK;
}

int ringd_writer_count(const struct ringd_writer *writer, struct ringd_writer_counters *counters)
{
    const struct ringd_writer_counters *base = &writer->base;
    struct ringd_writer_counters now;

    if (!writer_alive(writer))
        return -ECHILD;
    read_counters(writer, &now);
    *counters = (struct ringd_writer_counters){
        .offered = now.offered - base->offered,
        .committed = now.committed - base->committed,
        .bytes = now.bytes - base->bytes,
        .aborted = now.aborted - base->aborted,
        .refused = now.refused - base->refused,
        .dropped_full = now.dropped_full - base->dropped_full,
        .dropped_stalled = now.dropped_stalled - base->dropped_stalled,
        .waited = now.waited - base->waited,
    };
    return RINGD_OK;
}

/* ---- a grant --------------------------------------------------------------------------------------------------- */

/* A lossless reader's cursor makes no sense and holds the ring. Only the daemon can put that reader out; it takes some
 * microseconds, or for ever if there is no daemon. */
RING_COLD static int writer_report_cursor(struct ringd_writer *w, int64_t deadline)
{
    _Atomic uint32_t *space = &w->ring.ring.waits->space;
    int64_t pause = wake_now() + SUSPICION_PAUSE_NS;
    int result;

    w->ring.suspicious = false;
    if (w->attachment != NULL)
        attachment_report_cursor(w->attachment, 0);
    if (deadline == RINGD_NO_WAIT || w->wait == RINGD_WAIT_BUSY)
        return RINGD_OK;
    result = wake_sleep(space, wake_announce(space), pause < deadline ? pause : deadline);
    return result == -EINTR ? result : RINGD_OK;
}

/* ---- following a ring that moves -------------------------------------------------------------------------------- */

static int64_t writer_deadline(const struct ringd_writer *w)
{
    return w->drops ? RINGD_NO_WAIT : w->deadline;
}

/* What I have counted since the daemon carried my counters over. The slot is mine, in both generations. */
static void carry_counters(const struct ringd_writer *w, const struct ringd_writer_slot *from,
                           struct ringd_writer_slot *to)
{
    static const size_t fields[] = {
        offsetof(struct ringd_writer_slot, offered),      offsetof(struct ringd_writer_slot, bytes),
        offsetof(struct ringd_writer_slot, aborted),      offsetof(struct ringd_writer_slot, refused),
        offsetof(struct ringd_writer_slot, dropped_full), offsetof(struct ringd_writer_slot, dropped_stalled),
        offsetof(struct ringd_writer_slot, waited),
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const _Atomic uint64_t *counter = (const void *)((const unsigned char *)from + fields[i]);

        atomic_store_explicit((_Atomic uint64_t *)(void *)((unsigned char *)to + fields[i]),
                              atomic_load_explicit(counter, memory_order_relaxed), memory_order_relaxed);
    }
    atomic_store_explicit(&to->sequence, w->sequence, memory_order_release);
}

/* Waits for the next generation, gets it, and goes on in it. *old: the mapping that was left, the caller's to unmap;
 * empty if the move was given up. RINGD_FULL: not by the deadline. */
RING_COLD static int writer_follow(struct ringd_writer *w, struct segment *old)
{
    const struct ringd_writer_slot *before = w->ring.slot;
    int64_t deadline = writer_deadline(w), patience = wake_now() + MOVE_PATIENCE_NS;
    uint32_t slot = (uint32_t)(w->origin & RINGD_ORIGIN_WRITER_MASK), spins = w->ring.spins;
    int result;

    *old = (struct segment){0};
    deadline = deadline > patience ? deadline : patience;
    result = ring_await_move(&w->ring.ring, &w->ring.ring.waits->space, true, deadline);
    if (result == RINGD_OK && ring_moving(&w->ring.ring) == RINGD_MOVING_NO)
        return RINGD_OK;
    if (result == RINGD_OK)
        result =
            w->attachment == NULL ? -ESHUTDOWN : attachment_follow(w->attachment, RINGD_CONTEXT_WRITER, deadline, old);
    if (result != RINGD_OK)
        return result == RINGD_WOULD_BLOCK ? RINGD_FULL : result;
    enter(w, &w->attachment->segment, slot);
    w->ring.spins = spins;
    w->ring.stall_watch = attachment_watch(w->attachment);
    carry_counters(w, before, w->ring.slot);
    if (w->pollable != NULL)
        pollable_move(w->pollable, &w->ring.ring.waits->space);
    return RINGD_OK;
}

/* What was left is taken down bit by bit, one each time that this writer comes to writer_grant_slow, which is sixteen
 * times a lap at least: to do it at once would be most of the pause that a move costs. */
static void leave_behind(struct ringd_writer *w, const struct segment *old)
{
    if (old->data_map == NULL)
        return;
    segment_unmap(&w->left);
    w->left = *old;
}

/* The same for one who needs nothing of what was left. */
static int writer_move_on(struct ringd_writer *w)
{
    struct segment old;
    int result = writer_follow(w, &old);

    leave_behind(w, &old);
    return result;
}

/* What was counted in a generation that has been left since then is carried to where the account is kept now. (What is
 * stored before `moving` is looked at and found to be NO, the daemon carries itself: X1.) If that does not come about
 * soon, the next call does it. */
static void carry_account(struct ringd_writer *w)
{
    int64_t deadline = w->deadline;
    int moves = 0;

    w->deadline = RINGD_NO_WAIT;
    atomic_thread_fence(memory_order_seq_cst);
    while (ring_moving(&w->ring.ring) != RINGD_MOVING_NO && moves++ < MOVES_MAX && writer_move_on(w) == RINGD_OK)
        atomic_thread_fence(memory_order_seq_cst);
    w->deadline = deadline;
}

/* No room: refused or dropped, by the ring's policy and the reason. */
static int writer_turn_away(struct ringd_writer *w, uint64_t records, enum ring_shortage shortage)
{
    struct ringd_writer_slot *slot = w->ring.slot;

    if (!w->drops) {
        ring_count(&slot->refused, records);
        STOP_POINT("refuse-counted");
        carry_account(w);
        return RINGD_FULL;
    }
    ring_count(shortage == RING_FULL_READER ? &slot->dropped_full : &slot->dropped_stalled, records);
    STOP_POINT("drop-counted");
    carry_account(w);
    return RINGD_DROPPED;
}

RING_COLD void ringd_writer_close(struct ringd_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer_alive(writer)) {
        if (writer->alive == HANDLE_GRANT)
            ringd_abort(writer);
        carry_account(writer);
        pollable_free(writer->pollable);
        segment_unmap(&writer->left);
        attachment_free(writer->attachment);
    }
    handle_free(writer, sizeof *writer);
}

/* Room by the deadline; follows the ring when it moves, and asks the daemon about a cursor that makes no sense. */
static int writer_seek_room(struct ringd_writer *w, uint64_t min, uint64_t want, int64_t deadline,
                            struct ring_grant *grant, enum ring_shortage *shortage)
{
    int result, moves = 0;

    for (;;) {
        int reported = RINGD_OK;

        atomic_store_explicit(&w->ring.slot->need, (uint32_t)min, memory_order_relaxed); /* offered, and not in W yet */
        result = ring_reserve_slow(&w->ring, min, want, deadline, grant, shortage);
        if (result == -ESHUTDOWN && ring_moving(&w->ring.ring) != RINGD_MOVING_NO && moves++ < MOVES_MAX) {
            *shortage = RING_FULL_WRITER;
            result = writer_move_on(w);
            if (result == RINGD_OK)
                continue;
            return result;
        }
        if (!w->ring.suspicious)
            return result;
        reported = writer_report_cursor(w, result == RINGD_FULL ? deadline : RINGD_NO_WAIT);
        if (result == RINGD_FULL && reported < 0)
            result = reported;
        if (result != RINGD_FULL || deadline == RINGD_NO_WAIT || wake_now() >= deadline)
            return result;
    }
}

/* After a look for room: tells the daemon of those who are in the way for too long. When to look again at the latest,
 * if it was in vain. */
static int64_t writer_watch_others(struct ringd_writer *w, int result, enum ring_shortage shortage)
{
    int64_t again = INT64_MAX, second;

    if (w->ring.watch != NULL && (w->ring.far_behind || result == RINGD_FULL))
        again = writer_watch(&w->ring);
    w->ring.far_behind = false;
    if (result != RINGD_FULL)
        return again;
    again = ring_watch_stall(&w->ring.stall_watch, shortage == RING_FULL_WRITER, &w->stall, again);
    second = w->ring.unsettled ? wake_now() + RING_SECOND_LOOK_NS : INT64_MAX;
    return second < again ? second : again;
}

/* When the ring is full, or anything else is out of the ordinary. */
__attribute__((noinline)) static int writer_grant_slow(struct ringd_writer *w, uint64_t min, uint64_t want,
                                                       uint64_t records, struct ring_grant *grant)
{
    enum ring_shortage shortage = RING_FULL_READER;
    int64_t deadline = writer_deadline(w), again;
    int result;

    if (w->left.data_map != NULL)
        segment_unmap_part(&w->left);
    do {
        result = writer_seek_room(w, min, want, deadline, grant, &shortage);
        again = writer_watch_others(w, result, shortage);
        deadline = RINGD_NO_WAIT;
    } while (result == RINGD_FULL && w->pollable != NULL && pollable_arm(w->pollable, again));
    atomic_store_explicit(&w->ring.slot->need, 0, memory_order_relaxed);
    if (result == RINGD_FULL)
        return writer_turn_away(w, records, shortage);
    if (result < 0) {
        ring_count(&w->ring.slot->refused, records);
        carry_account(w);
    }
    return result;
}

/* Room for `want` bytes, or for at least `min`, for a number of records that have been counted as offered. */
static int writer_find_room(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records,
                            struct ring_grant *grant)
{
    uint64_t position;

    /* An addition that was void finds the reason on a second look. */
    if (ring_has_room(w->ring, want, &position) && ring_take(w->ring, position, want, grant) == RINGD_OK)
        return RINGD_OK;
    return writer_grant_slow(w, min, want, records, grant);
}

static int writer_grant(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant)
{
    ring_count(&w->ring.slot->offered, records);
    STOP_POINT("reserve-offered");
    return writer_find_room(w, min, want, records, grant);
}

/* ---- records in a grant ---------------------------------------------------------------------------------------- */

/* Taken after the addition: so a reader that takes the time and then loads W knows what is below it. */
static inline uint64_t writer_time(const struct ringd_writer *w)
{
    if (__builtin_expect(w->time_source == RINGD_TIME_NONE, 1))
        return 0;
    return record_time(w->time_source);
}

/* Everything of a header but the stamp. */
RING_HOT void fill_header(struct ringd_record_header *h, uint64_t len, uint64_t sequence, uint64_t origin,
                          uint64_t time)
{
    atomic_store_explicit(&h->extent, len | sequence << 32, memory_order_relaxed);
    atomic_store_explicit(&h->origin, origin, memory_order_relaxed);
    atomic_store_explicit(&h->time, time, memory_order_relaxed);
}

RING_HOT void store_stamp(const struct ring *ring, struct ringd_record_header *h, uint64_t position, uint64_t state)
{
    atomic_store_explicit(&h->stamp, (position | state) ^ ring->stamp_key, memory_order_release); /* C1 */
}

/* What is left of a grant becomes a record that readers pass over. */
static void pad(const struct ring *ring, uint64_t position, uint64_t bytes)
{
    struct ringd_record_header *h = ring_header(ring, position);

    fill_header(h, bytes - sizeof *h, 0, 0, 0);
    STOP_POINT("pad-header");
    store_stamp(ring, h, position, RINGD_STATE_PADDING);
    STOP_POINT("pad-stamped");
}

/* The records of a grant that was given up, read from the memory where they were written. Nobody but who scribbles has
 * written there since. */
struct lost_grant {
    const struct ring *ring; /* the one that was left */
    struct ring_grant grant;
    uint64_t records, bytes, payload_bytes; /* what they take, of which payload */
};

/* The next record at or after *position, passing over padding, or NULL. *position comes to stand behind it. */
static const struct ringd_record_header *next_lost(const struct ringd_writer *w, const struct lost_grant *lost,
                                                   uint64_t *position, size_t *len)
{
    uint64_t end = lost->grant.place + lost->grant.bytes;

    while (end - *position != 0 && end - *position <= lost->grant.bytes) {
        const struct ringd_record_header *h = ring_header(lost->ring, *position);
        uint64_t state = ring_stamp_state(lost->ring, *position, memory_order_relaxed);

        *len = (uint32_t)atomic_load_explicit(&h->extent, memory_order_relaxed);
        *position += ring_record_bytes(*len);
        if (state == RINGD_STATE_COMMITTED && *len <= w->max_record)
            return h;
    }
    return NULL;
}

/* Takes the records off the accounts again. */
RING_COLD static int recall(struct ringd_writer *w, struct lost_grant *lost)
{
    struct ringd_writer_slot *slot = w->ring.slot;
    uint64_t position;
    size_t len;

    if (!ring_last_grant(&w->ring, &lost->grant))
        return -EBADMSG;
    position = lost->grant.place;
    while (next_lost(w, lost, &position, &len) != NULL) {
        lost->records++;
        lost->bytes += ring_record_bytes(len);
        lost->payload_bytes += len;
    }
    w->sequence -= lost->records;
    ring_count(&slot->bytes, -lost->payload_bytes);
    atomic_store_explicit(&slot->sequence, w->sequence, memory_order_release);
    return lost->bytes <= lost->grant.bytes ? RINGD_OK : -EBADMSG;
}

RING_COLD static int append_lost(struct ringd_writer *w, const struct lost_grant *lost, struct ring_grant grant);

/* My grant was given up while I was stopped or slow: its records go into the next generation, in one grant and with a
 * new time, or are refused or dropped. The lane's ring of the old generation is copied: `w->ring` becomes the new one.
 */
RING_COLD static int append_anew(struct ringd_writer *w)
{
    const struct ring before = w->ring.ring;
    struct lost_grant lost = {.ring = &before};
    struct ring_grant grant;
    struct segment old = {0};
    int result = recall(w, &lost);

    if (result < 0 || lost.records == 0)
        return result;
    result = writer_follow(w, &old);
    if (result == RINGD_FULL)
        result = writer_turn_away(w, lost.records, RING_FULL_WRITER);
    else if (result < 0)
        ring_count(&w->ring.slot->refused, lost.records);
    else
        result = writer_find_room(w, lost.bytes, lost.bytes, lost.records, &grant);
    if (result == RINGD_OK)
        result = append_lost(w, &lost, grant);
    leave_behind(w, &old);
    return result;
}

/* The lane was sealed while my grant was open. */
static int writer_sealed(struct ringd_writer *w)
{
    return ring_claim(&w->ring) ? RINGD_OK : append_anew(w);
}

/* Writers in full flow on different processors pass the line of W back and forth with every record, a hop or more each
 * time; writers that take turns do not. So: one that has had its turn and meets others in mid-record lets them have
 * theirs, for some microseconds in which it holds nothing. If nobody has made use of that (they stand still, or wait
 * for this very processor), its next turn is twice as long. The looks at W are hints: nothing is concluded from them.
 */
static void take_turns(struct ringd_writer *w)
{
    const _Atomic uint64_t *word = &w->ring.ring.lane->word;
    uint64_t records = w->turn_records * 2 < TURN_RECORDS_MAX ? w->turn_records * 2 : TURN_RECORDS_MAX, before;

    if ((int64_t)(w->sequence - w->turn_over) < 0 || w->wait != RINGD_WAIT_ADAPTIVE)
        return;
    before = atomic_load_explicit(word, memory_order_relaxed) >> RINGD_W_POSITION_SHIFT;
    for (int i = 0; i < TURN_PAUSES; i++)
        relax();
    if (atomic_load_explicit(word, memory_order_relaxed) >> RINGD_W_POSITION_SHIFT != before)
        records = TURN_RECORDS;
    begin_turn(w, records);
}

/* RING_SEALED, RING_IN_COMPANY or a failure. */
__attribute__((noinline)) static int writer_finish_slow(struct ringd_writer *w, int result)
{
    if (result == RING_SEALED)
        return writer_sealed(w);
    if (result != RING_IN_COMPANY)
        return result;
    take_turns(w);
    return RINGD_OK;
}

/* The accounts of `records` records, then out. */
RING_HOT int writer_finish(struct ringd_writer *w, struct ring_writer ring, uint64_t records, uint64_t bytes)
{
    int result;

    w->sequence += records;
    ring_count(&ring.slot->bytes, bytes);
    STOP_POINT("commit-counted");
    atomic_store_explicit(&ring.slot->sequence, w->sequence, memory_order_release); /* C2 */
    STOP_POINT("commit-sequence");
    result = ring_finish(ring);
    return __builtin_expect(result != RINGD_OK, 0) ? writer_finish_slow(w, result) : RINGD_OK;
}

/* The grant is as long as the records are. They stay what they were to each other: their flags come along. */
RING_COLD static int append_lost(struct ringd_writer *w, const struct lost_grant *lost, struct ring_grant grant)
{
    struct ring_writer ring = w->ring;
    uint64_t time = writer_time(w), from = lost->grant.place, to = grant.place, records = 0, payload_bytes = 0, flags;
    const struct ringd_record_header *old;
    size_t len;

    while ((old = next_lost(w, lost, &from, &len)) != NULL &&
           to - grant.place + ring_record_bytes(len) <= grant.bytes) {
        struct ringd_record_header *h = ring_header(&ring.ring, to);

        flags = atomic_load_explicit(&old->origin, memory_order_relaxed) & with_flags(UINT8_MAX);
        fill_header(h, len, w->sequence + records, w->origin | flags, time);
        copy_payload(h + 1, old + 1, len);
        if (records++ > 0)
            store_stamp(&ring.ring, h, to, RINGD_STATE_COMMITTED);
        to += ring_record_bytes(len);
        payload_bytes += len;
    }
    /* Only if somebody has scribbled over the old ones since they were counted. */
    if (to - grant.place < grant.bytes)
        pad(&ring.ring, to, grant.place + grant.bytes - to);
    if (records > 0)
        store_stamp(&ring.ring, ring_header(&ring.ring, grant.place), grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("verdict-appended");
    return writer_finish(w, ring, records, payload_bytes);
}

/* Publishes the one record of a grant. */
static int writer_publish(struct ringd_writer *w, struct ring_grant grant, size_t len, uint64_t time)
{
    struct ringd_record_header *h = ring_header(&w->ring.ring, grant.place);
    uint64_t used = ring_record_bytes(len);

    fill_header(h, len, w->sequence, w->origin, time);
    STOP_POINT("commit-header");
    if (used < grant.bytes)
        pad(&w->ring.ring, grant.place + used, grant.bytes - used);
    store_stamp(&w->ring.ring, h, grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
    return writer_finish(w, w->ring, 1, len);
}

static inline unsigned char *writer_payload(struct ringd_writer *w, struct ring_grant grant)
{
    return (unsigned char *)(ring_header(&w->ring.ring, grant.place) + 1);
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

/* Why a writer that is not HANDLE_ALIVE cannot begin. */
static int writer_unready(const struct ringd_writer *w)
{
    return w->alive == HANDLE_GRANT ? -EBUSY : -ECHILD;
}

/* Offered and refused at once. */
static int writer_refuse(struct ringd_writer *w, uint64_t records)
{
    ring_count(&w->ring.slot->offered, records);
    ring_count(&w->ring.slot->refused, records);
    return -EMSGSIZE;
}

/* Every case of ringd_write. */
__attribute__((noinline)) static int write_any(struct ringd_writer *w, const void *data, size_t len)
{
    struct ring_grant grant;
    uint64_t time;
    int result;

    if (w->alive != HANDLE_ALIVE)
        return writer_unready(w);
    if (len > w->max_record)
        return writer_refuse(w, 1);
    result = writer_grant(w, ring_record_bytes(len), ring_record_bytes(len), 1, &grant);
    if (result != RINGD_OK)
        return result;
    time = writer_time(w);
    copy_payload(writer_payload(w, grant), data, len);
    STOP_POINT("commit-payload");
    return writer_publish(w, grant, len, time);
}

/* The addition was void. It has been counted as offered and is going to be once more. */
__attribute__((noinline)) static int write_again(struct ringd_writer *w, const void *data, size_t len)
{
    ring_count(&w->ring.slot->offered, (uint64_t)-1);
    return write_any(w, data, len);
}

/* The usual case without a call: a short record, room for it, no time stamp. Two locked instructions; everything that
 * is needed after the first is loaded before it. */
int ringd_write(struct ringd_writer *writer, const void *data, size_t len)
{
    const struct ring_writer ring = writer->ring;
    uint64_t bytes = ring_record_bytes(len), sequence = writer->sequence, origin = writer->origin, position;
    struct ringd_record_header *h;
    struct ring_grant grant;

    if (__builtin_expect(writer->alive != HANDLE_ALIVE || len >= writer->short_end, 0))
        return write_any(writer, data, len);
    if (__builtin_expect(!ring_has_room(ring, bytes, &position), 0))
        return write_any(writer, data, len);
    ring_count(&ring.slot->offered, 1);
    STOP_POINT("reserve-offered");
    if (__builtin_expect(ring_take(ring, position, bytes, &grant) != RINGD_OK, 0))
        return write_again(writer, data, len);
    h = ring_header(&ring.ring, grant.place);
    copy_short((unsigned char *)(h + 1), data, len);
    STOP_POINT("commit-payload");
    fill_header(h, len, sequence, origin, 0);
    STOP_POINT("commit-header");
    store_stamp(&ring.ring, h, grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
    return writer_finish(writer, ring, 1, len);
}

/* One part after the other, until one is not written. A part is an ordinary record but for its flags, and so are its
 * accounts. (What is appended anew after a move keeps them.) */
static int write_parts(struct ringd_writer *w, const unsigned char *data, size_t len)
{
    uint64_t origin = w->origin, flags = RINGD_FLAG_PART | RINGD_FLAG_FIRST;
    int result;

    for (;;) {
        bool last = len <= w->max_record;
        size_t part = last ? len : w->max_record;

        w->origin = origin | with_flags(last ? flags | RINGD_FLAG_LAST : flags);
        result = write_any(w, data, part);
        if (last || result != RINGD_OK)
            break;
        STOP_POINT("message-part");
        flags = RINGD_FLAG_PART;
        data += part;
        len -= part;
    }
    w->origin = origin;
    return result;
}

/* Nothing says how many parts there are going to be, and nothing has to be taken back if one of them finds no room:
 * readers let go of a message when its writer's next record does not go on with it. */
int ringd_write_message(struct ringd_writer *writer, const void *data, size_t len)
{
    if (len <= writer->max_record)
        return ringd_write(writer, data, len);
    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (len > RINGD_MESSAGE_MAX)
        return writer_refuse(writer, 1);
    return write_parts(writer, data, len);
}

/* The length of the record that the pieces make, or something above max_record. */
static uint64_t sum_pieces(const struct ringd_writer *w, const struct iovec *pieces, int count)
{
    uint64_t len = 0;

    for (int i = 0; i < count && len <= w->max_record; i++)
        len = pieces[i].iov_len > w->max_record ? UINT64_MAX : len + pieces[i].iov_len;
    return len;
}

int ringd_writev(struct ringd_writer *writer, const struct iovec *pieces, int count)
{
    struct ring_grant grant;
    unsigned char *payload;
    uint64_t len, time;
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (count < 0 || count > WRITEV_MAX)
        return -EINVAL;
    len = sum_pieces(writer, pieces, count);
    if (len > writer->max_record)
        return writer_refuse(writer, 1);
    result = writer_grant(writer, ring_record_bytes(len), ring_record_bytes(len), 1, &grant);
    if (result != RINGD_OK)
        return result;
    time = writer_time(writer);
    payload = writer_payload(writer, grant);
    for (int i = 0; i < count; i++) {
        copy_payload(payload, pieces[i].iov_base, pieces[i].iov_len);
        payload += pieces[i].iov_len;
    }
    STOP_POINT("commit-payload");
    return writer_publish(writer, grant, len, time);
}

/* What `count` records take together; more than any grant if one of them alone is too long. */
static uint64_t batch_bytes(const struct ringd_writer *w, const struct iovec *records, int count)
{
    uint64_t bytes = 0;

    for (int i = 0; i < count; i++) {
        if (records[i].iov_len > w->max_record)
            return UINT64_MAX;
        bytes += ring_record_bytes(records[i].iov_len);
    }
    return bytes;
}

/* Fills the grant with the records, and stamps all but the first; returns their payload bytes. All but the last say
 * that there is more, so that readers who share records do not part them. */
static uint64_t put_batch(const struct ringd_writer *w, uint64_t position, const struct iovec *records, int count)
{
    const struct ring ring = w->ring.ring;
    uint64_t time = writer_time(w), sequence = w->sequence, origin = w->origin, payload_bytes = 0;
    uint64_t more = origin | with_flags(RINGD_FLAG_MORE);

    for (int i = 0; i < count; i++) {
        struct ringd_record_header *h = ring_header(&ring, position);
        size_t len = records[i].iov_len;

        if (len > COPY_SHORT_MAX) /* of a long batch ring_take has asked for the beginning only */
            ring_prefetch(&ring, position + RING_PREFETCH, ring_record_bytes(len));
        fill_header(h, len, sequence + (uint64_t)i, i < count - 1 ? more : origin, time);
        copy_payload(h + 1, records[i].iov_base, len);
        STOP_POINT("batch-filled");
        if (i > 0)
            store_stamp(&ring, h, position, RINGD_STATE_COMMITTED);
        STOP_POINT("batch-record");
        position += ring_record_bytes(len);
        payload_bytes += len;
    }
    return payload_bytes;
}

int ringd_write_batch(struct ringd_writer *writer, const struct iovec *records, int count)
{
    struct ring_grant grant;
    uint64_t bytes;
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (count <= 0)
        return count < 0 ? -EINVAL : RINGD_OK;
    bytes = batch_bytes(writer, records, count);
    if (bytes > writer->ring.ring.max_grant)
        return writer_refuse(writer, (uint64_t)count);
    result = writer_grant(writer, bytes, bytes, (uint64_t)count, &grant);
    if (result != RINGD_OK)
        return result;
    bytes = put_batch(writer, grant.place, records, count);
    store_stamp(&writer->ring.ring, ring_header(&writer->ring.ring, grant.place), grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
    return writer_finish(writer, writer->ring, (uint64_t)count, bytes);
}

int ringd_reserve(struct ringd_writer *writer, size_t min, size_t want, void **data, size_t *granted)
{
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (data == NULL || granted == NULL || min > want)
        return -EINVAL;
    if (min > writer->max_record)
        return writer_refuse(writer, 1);
    if (want > writer->max_record)
        want = writer->max_record;
    result = writer_grant(writer, ring_record_bytes(min), ring_record_bytes(want), 1, &writer->grant);
    if (result != RINGD_OK)
        return result;
    writer->alive = HANDLE_GRANT;
    writer->granted = writer->grant.bytes - sizeof(struct ringd_record_header);
    if (writer->granted > want)
        writer->granted = want;
    writer->time = writer_time(writer);
    *data = writer_payload(writer, writer->grant);
    *granted = writer->granted;
    return RINGD_OK;
}

/* Whether a grant is open to commit or abort. */
static int writer_has_grant(const struct ringd_writer *w)
{
    if (__builtin_expect(w->alive == HANDLE_GRANT, 1))
        return RINGD_OK;
    return w->alive == HANDLE_ALIVE ? -EINVAL : -ECHILD;
}

int ringd_commit(struct ringd_writer *writer, size_t len)
{
    int result = writer_has_grant(writer);

    if (result != RINGD_OK)
        return result;
    if (len > writer->granted)
        return -EINVAL;
    writer->alive = HANDLE_ALIVE;
    return writer_publish(writer, writer->grant, len, writer->time);
}

int ringd_abort(struct ringd_writer *writer)
{
    int result = writer_has_grant(writer);

    if (result != RINGD_OK)
        return result;
    writer->alive = HANDLE_ALIVE;
    pad(&writer->ring.ring, writer->grant.place, writer->grant.bytes);
    STOP_POINT("abort-padded");
    ring_count(&writer->ring.slot->aborted, 1);
    STOP_POINT("abort-counted");
    result = ring_finish(writer->ring);
    if (result == RING_SEALED)
        carry_account(writer); /* whatever the verdict is, there is nothing to see */
    return result < 0 ? result : RINGD_OK;
}
