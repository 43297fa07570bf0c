/* writer_move.c - a writer of a ring that moves: it goes on in the next generation, carries its account along, and
 * appends anew what was given up of it; see ring_move.h.
 *
 * Called by writer.c and writer_open.c.
 */
#define _GNU_SOURCE
#include "writer.h"

#include "copy.h"
#include "record_put.h"
#include "ring_move.h"
#include "wake.h"

/* How long a writer that does not wait for room waits for a ring that moves: the daemon may need this very processor.
 */
#define MOVE_PATIENCE_NS 100000000

/* ---- following -------------------------------------------------------------------------------------------------- */

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
    writer_enter(w, &w->attachment->segment, slot);
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

int writer_move_on(struct ringd_writer *w)
{
    struct segment old;
    int result = writer_follow(w, &old);

    leave_behind(w, &old);
    return result;
}

void writer_carry_account(struct ringd_writer *w)
{
    int64_t deadline = w->deadline;
    int moves = 0;

    w->deadline = RINGD_NO_WAIT;
    atomic_thread_fence(memory_order_seq_cst);
    while (ring_moving(&w->ring.ring) != RINGD_MOVING_NO && moves++ < WRITER_MOVES_MAX && writer_move_on(w) == RINGD_OK)
        atomic_thread_fence(memory_order_seq_cst);
    w->deadline = deadline;
}

/* ---- what was given up ------------------------------------------------------------------------------------------- */

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
        pad_rest(&ring.ring, to, grant.place + grant.bytes - to);
    if (records > 0)
        store_stamp(&ring.ring, ring_header(&ring.ring, grant.place), grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("verdict-appended");
    return writer_finish_grant(w, records, payload_bytes);
}

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

int writer_sealed(struct ringd_writer *w)
{
    return ring_claim(&w->ring) ? RINGD_OK : append_anew(w);
}
