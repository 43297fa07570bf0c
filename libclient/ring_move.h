/* ring_move.h - how a lane ends when its ring moves to a new generation, a fresh segment.
 *
 * The daemon moves a ring to get past a writer that is stopped in mid-record, or to give the ring another size. The old
 * lane must end at one exact position, with each record that was under way either in it or not, for everybody and for
 * good, although its writer may be stopped anywhere and wake at any time.
 *
 * - begin: control.moving = BEGUN, then `closing` in limit: whoever looks for room from now on finds none. W comes
 *   to rest but for one addition each of those that had looked before.
 *
 * - seal: the daemon writes the W it expects, and its position with all bits, into lane.move and sets `sealed` by
 *   ONE compare-and-swap from exactly that, else again. So the end is exact, and so are the members: the writers
 *   active at that moment. An addition that finds the seal is void: its writer takes its bit back.
 *
 * - settle: each member's grant gets a verdict by compare-and-swap, once: committed by its writer (whose subtraction
 *   finds the seal), committed by the daemon if the first stamp is there, abandoned by the daemon if not. It looks
 *   at the stamp after `moving` was stored, with a full fence between.
 *
 * - list: what was abandoned goes into lane.move.gone, as ranges. Where an abandoned writer stopped between its
 *   addition and saying where, its grant is found by a walk: it is what lies between the others. Nothing is stored
 *   into the data: a stopped writer may still store there, and nobody else is ever granted the place.
 *
 * - done: control.moving = DONE, when the next generation is complete: the lists are closed.
 *
 * Readers load `moving` after each stamp and before they deliver. Whatever they delivered while it was 0 had its stamp
 * before the daemon looked, so it was committed. Once it is set they wait for DONE, and then the list decides, not
 * stamps, slots or verdicts: all below the end that is not in it is there. At the end they follow. (What a reader knows
 * to be opened, by a W without members and without a seal, was finished before any seal and needs no look.)
 *
 * A writer whose grant was abandoned appends the record anew in the next generation. Its old bytes are where it wrote
 * them; it copies them from there.
 *
 * The rights of a successor: every step can be repeated. What the seal found stands in lane.move, and a verdict is
 * given once; so a successor that finds `moving` BEGUN goes through all of it again and comes to the same end and the
 * same list.
 *
 * Writers go on in the next generation with the room that they had: what lossless readers have still to read of the old
 * one is taken off it, and given as they read (`behind`, ring.h; reader_move.h).
 *
 * Lists and journal are input too: a reader checks each range against the end and the lane's size, the daemon checks a
 * journal against the limit, which stands still. Orders are in the table at the head of ring.h (X1 to X7).
 *
 * Called by daemon/generation.c, writer.c and reader.c.
 */
#ifndef LIBCLIENT_RING_MOVE_H
#define LIBCLIENT_RING_MOVE_H

#include "ring.h"

/* How a lane ended; the daemon's own copy. */
struct ring_end {
    uint64_t position;
    uint64_t members;                          /* active at the seal */
    uint64_t abandoned;                        /* of them */
    uint64_t sequence[RINGD_WRITERS_PER_LANE]; /* records that each slot has committed in this generation and before */
    uint64_t bytes[RINGD_WRITERS_PER_LANE];    /* payload */
};

/* What a reader has to know of an end. Ranges are in no order. */
struct ring_tail {
    uint64_t end;
    uint32_t count;
    struct ring_range {
        uint64_t begin, end;
    } gone[RINGD_WRITERS_PER_LANE];
};

/* ---- the daemon's part, in this order; the caller stores control.moving before and after ------------------------- */

/* No more reservations, and the lane sealed; also when a predecessor has done some of it. *end: position and members.
 * -EBADMSG: W or the journal makes no sense. Then the lane is as it was, unless it was sealed (ring_is_sealed). */
int ring_seal(struct ring *ring, struct ring_end *end);
bool ring_is_sealed(const struct ring *ring);

/* Takes `closing` back: the lane goes on. Only of one that is not sealed. */
void ring_reopen(struct ring *ring);

/* Every member's verdict, the counts and the list. Members that are about to finish get some microseconds. -EBADMSG:
 * what lies between the abandoned ones makes no sense. */
int ring_settle(struct ring *ring, struct ring_end *end);

/* The lane of the next generation, empty and private so far: begins where the other ended, with its counters. `behind`:
 * what of the other lossless readers have still to read at most, for which there must be room in this one. */
void ring_carry(const struct ring *from, const struct ring_end *end, uint64_t behind, struct ring *to);

/* ---- both sides -------------------------------------------------------------------------------------------------- */

/* Once: the first one counts. Whether it is this one. */
static inline bool ring_give_verdict(struct ringd_writer_slot *slot, uint64_t verdict) /* X5 */
{
    uint64_t none = RINGD_VERDICT_NONE;

    return atomic_compare_exchange_strong_explicit(&slot->verdict, &none, verdict, memory_order_seq_cst,
                                                   memory_order_seq_cst) ||
           none == verdict;
}

/* The limit stands still: `position` lies between the floor and a whole ring above it. */
static inline bool ring_end_fits(const struct ring *ring, uint64_t position)
{
    return position % RINGD_UNIT == 0 && position - ring_oldest(ring) <= ring->size;
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

/* After ring_finish said RING_SEALED: whether my grant counts. False: it was abandoned. */
bool ring_claim(struct ring_writer *writer);

/* My last grant, from my slot. False: the slot makes no sense. */
bool ring_last_grant(const struct ring_writer *writer, struct ring_grant *grant);

/* ---- readers and writers ----------------------------------------------------------------------------------------- */

/* enum ringd_moving of the generation. */
static inline uint32_t ring_moving(const struct ring *ring)
{
    return atomic_load_explicit(&ring->control->moving, memory_order_seq_cst); /* X2 */
}

/* Waits until a move that has begun is done or given up, or until the deadline. RINGD_OK, RINGD_WOULD_BLOCK, -EINTR. */
int ring_await_move(const struct ring *ring, _Atomic uint32_t *wait_word, bool may_announce, int64_t deadline);

/* Copies end and list of a lane whose move is done. 0 or -EBADMSG. */
int ring_read_tail(const struct ring *ring, struct ring_tail *tail);

/* The range that `position` lies in, or NULL. (In the middle of one begins a reader that joined between two grants
 * which were then both given up.) */
const struct ring_range *ring_gone_at(const struct ring_tail *tail, uint64_t position);

#endif
