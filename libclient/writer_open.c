/* writer_open.c - a writer's handle: opening and closing, its label, deadline, counters and descriptor; and what it
 * tells the daemon of slow readers.
 */
#define _GNU_SOURCE
#include "writer.h"

#include "copy.h"
#include "ring_move.h"
#include "wake.h"

/* Between two reports of a reader that is too far behind: the daemon needs a fraction of it. */
#define REPORT_PAUSE_NS 20000000

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

RING_COLD int64_t writer_watch(struct ring_writer *ring)
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

static void set_label(struct ringd_writer *w, uint16_t type, uint8_t level)
{
    w->origin &= (UINT64_C(1) << RINGD_ORIGIN_TYPE_SHIFT) - 1;
    w->origin |= (uint64_t)type << RINGD_ORIGIN_TYPE_SHIFT | (uint64_t)level << RINGD_ORIGIN_LEVEL_SHIFT;
}

void writer_enter(struct ringd_writer *w, const struct segment *segment, uint32_t slot)
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
        *(segment->geometry.single ? &w->single_end : &w->short_end) =
            1 + (w->max_record < COPY_SHORT_MAX ? w->max_record : COPY_SHORT_MAX);
    w->drops = segment->geometry.policy == RINGD_DROP;
    w->deadline = o->deadline;
    w->wait = o->wait;
    w->watch.slow_after = segment->geometry.slow_after_ms * INT64_C(1000000);
    writer_enter(w, segment, slot);
    w->sequence = atomic_load_explicit(&w->ring.slot->sequence, memory_order_relaxed);
    writer_begin_turn(w, WRITER_TURN_RECORDS);
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

RING_COLD void ringd_writer_close(struct ringd_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer_alive(writer)) {
        if (writer->alive == HANDLE_GRANT)
            ringd_abort(writer);
        writer_carry_account(writer);
        pollable_free(writer->pollable);
        segment_unmap(&writer->left);
        attachment_free(writer->attachment);
    }
    handle_free(writer, sizeof *writer);
}
