/* writer_room.c - a writer that does not find room at once: it waits as it may, follows the ring when that moves, tells
 * the daemon who is in its way, and is turned away by the ring's policy in the end.
 *
 * Called by writer.c and writer_move.c.
 */
#define _GNU_SOURCE
#include "writer.h"

#include "ring_move.h"
#include "wake.h"

/* Between two looks while a cursor that makes no sense holds the ring. */
#define SUSPICION_PAUSE_NS 2000000

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

int writer_turn_away(struct ringd_writer *w, uint64_t records, enum ring_shortage shortage)
{
    struct ringd_writer_slot *slot = w->ring.slot;

    if (!w->drops) {
        ring_count(&slot->refused, records);
        STOP_POINT("refuse-counted");
        writer_carry_account(w);
        return RINGD_FULL;
    }
    ring_count(shortage == RING_FULL_READER ? &slot->dropped_full : &slot->dropped_stalled, records);
    STOP_POINT("drop-counted");
    writer_carry_account(w);
    return RINGD_DROPPED;
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
        if (result == -ESHUTDOWN && ring_moving(&w->ring.ring) != RINGD_MOVING_NO && moves++ < WRITER_MOVES_MAX) {
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

int writer_grant_slow(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant)
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
        writer_carry_account(w);
    }
    return result;
}
