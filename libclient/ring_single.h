/* ring_single.h - a lane with a single writer: reserve and commit without a locked instruction.
 *
 * The ring is the same: word, slots, records, readers, repair, moves. But nobody else adds to W, so its only writer (at
 * a time, in the lane's first slot) knows its place beforehand and stores the two parts of W that are its own: the byte
 * with its bit, and the half with the position. The seal of a move lies in another byte, so a store never wipes it.
 *
 *   reserve   ring_single_take    says in its slot how much and exactly where, sets its bit, moves the position on.
 *                                 Between the two W says "position P, one active", as if the addition were still to
 *                                 come: repair and settle know it by the place, which is P then.
 *   commit    ring_single_finish  clears its bit, which opens all below the position.
 *
 * Two things ask for more than order among stores: after it has set or cleared its bit the writer looks whether the
 * lane closes, and after it has cleared it whether somebody sleeps. What it stored must be seen by whoever closes or
 * goes to sleep if it does not see that. With W3 and C3 the locked instruction saw to it. Here those do who rarely
 * come: having closed or announced, and before they look, they let the kernel run a barrier on every processor with a
 * process that has asked for it (membarrier, global expedited; wake_barrier()). Where a writer may not ask it has a
 * fence of its own. Where the others may not have it run, time does: they look again a little later.
 *
 * A third, in a ring with time: who merges lanes takes the time and then loads W, and what is not in it then has a
 * later time (reader_merge.c). So the addition has to be seen before its writer takes the time: Z8, a fence of its own,
 * as those who merge do so all the time.
 *
 * Cost of an uncontended write: no RMW, no fence (one with time); loads of limit (twice) and waits; stores to W's line,
 * to its own slot (one line) and to the record.
 *
 * Called by writer.c and ring.c; what is rarely needed is in ring_single.c. Orders are in the table at the head of
 * ring.h (Z1 to Z8, Y1, Y2).
 */
#ifndef LIBCLIENT_RING_SINGLE_H
#define LIBCLIENT_RING_SINGLE_H

#include "ring.h"

/* The same for callers that have no need to be fast. */
int ring_single_take_cold(struct ring_writer *writer, uint64_t bytes, struct ring_grant *grant);
int ring_single_finish_cold(const struct ring_writer *writer);

/* The lane closes, and I have set my bit: RINGD_OK (the grant counts) or -ESHUTDOWN (it is sealed already: void). */
int ring_single_closing(struct ringd_lane *lane);

/* The lane closes or somebody sleeps: RING_SEALED or RINGD_OK. */
int ring_single_finish_slow(struct ringd_lane *lane, struct ringd_waits *waits);

RING_HOT void ring_single_barrier(bool fenced)
{
    if (__builtin_expect(fenced, 0))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
}

/* Whether `bytes` fit at once and there is nothing else to look at. */
RING_HOT bool ring_single_has_room(struct ring_writer w, uint64_t bytes)
{
    uint64_t limit = atomic_load_explicit(&w.ring.lane->limit, memory_order_acquire); /* W0 */

    return __builtin_expect(limit == w.limit_seen && (int64_t)(w.stop - w.position - bytes) >= 0, 1);
}

/* The caller moves its position on to the grant's end, whatever the result is. */
RING_HOT int ring_single_take(struct ring_writer w, uint64_t bytes, struct ring_grant *grant)
{
    struct ringd_lane *lane = w.ring.lane;
    uint64_t place = w.position, end = place + bytes;
    int result = RINGD_OK;

    atomic_store_explicit(&w.slot->length, (uint32_t)bytes, memory_order_release); /* W1 */
    STOP_POINT("reserve-length");
    atomic_store_explicit(&w.slot->begin, place | RINGD_BEGIN_EXACT, memory_order_release); /* Z1 */
    STOP_POINT("reserve-exact");
    atomic_store_explicit(&lane->single_active, 1, memory_order_release); /* Z2 */
    STOP_POINT("reserve-active");
    atomic_store_explicit(&lane->single_units, (uint32_t)(end >> RINGD_UNIT_SHIFT), memory_order_release); /* Z3 */
    STOP_POINT("reserve-added");
    ring_single_barrier(w.fenced);
    if (__builtin_expect((atomic_load_explicit(&lane->limit, memory_order_acquire) & RINGD_LIMIT_CLOSING) != 0, 0))
        result = ring_single_closing(lane);    /* Z4 */
    atomic_thread_fence(memory_order_release); /* W6 */
    ring_prefetch(&w.ring, end + RING_PREFETCH, bytes < RING_PREFETCH_MOST ? bytes : RING_PREFETCH_MOST);
    *grant = (struct ring_grant){.place = place, .bytes = bytes};
    return result;
}

RING_HOT int ring_single_finish(struct ring_writer w)
{
    uint32_t asleep;
    uint64_t limit;

    atomic_store_explicit(&w.ring.lane->single_active, 0, memory_order_release); /* Z5 */
    STOP_POINT("commit-finished");
    ring_single_barrier(w.fenced);
    asleep = atomic_load_explicit(&w.ring.waits->data, memory_order_acquire) |
             atomic_load_explicit(&w.ring.waits->space, memory_order_acquire); /* C4 */
    limit = atomic_load_explicit(&w.ring.lane->limit, memory_order_acquire);   /* Z6 */
    if (__builtin_expect(((asleep & 1) | (limit & RINGD_LIMIT_CLOSING)) != 0, 0))
        return ring_single_finish_slow(w.ring.lane, w.ring.waits);
    return RINGD_OK;
}

#endif
