/* ring_repair.h - what a writer's death has left in a lane is put in order, and its bit in W is cleared.
 *
 * Called for a writer that is certainly dead (the kernel says so, see daemon/life.h), by one repairer at a time. What a
 * dead writer can have left:
 *
 *   bit not set     nothing was reserved, or it was finished. Nothing to do.
 *   place known     (its slot says exactly where.) If the first stamp says committed, the whole grant is in: in a batch
 *                   that stamp is stored last. It is kept, and counted if its writer did not come to that. Otherwise
 * the whole grant becomes padding. place unknown   it died between the addition (W3) and the next store (W5). Its grant
 * is the place below W's position that belongs to nobody, and is looked for:
 *
 *     1. ONE snapshot of W is taken and kept. The grant lies below its position.
 *     2. Each living writer that is active in it is resolved, once: seen exact, or its bit seen clear, or its `begin`
 * seen at or above the snapshot's position. Whoever is seen exact below it and without a stamp after that tells place
 *        and length of a grant: those facts stay true. Of all others in the snapshot the stamps are there by then. (The
 *        stamp is looked at after the length: that may be the one of the next grant already, which is only stored after
 *        the stamp.) One that dies meanwhile counts as dead. One that is stopped just there is waited for: not here.
 *     3. The walk, from the later of the dead one's `begin` and M, never past the snapshot's position. A stamp leads on
 * by its record, a fact by its length; at a place with neither begins a gap, which ends at the next place with a stamp
 * or a fact. After each of these M is loaded again, and if it has passed the place, what was seen there is discarded
 * and the walk goes on from M: a raise that was computed before the death can still be done during the walk. It cannot
 * pass a gap: that belongs to writers who died in it, and the bit of each holds the frontier.
 *     4. The gap becomes padding, in pieces that readers accept.
 *
 * Every step may be done twice: a repairer that dies anywhere is followed by another one who begins anew. So what was
 * committed is counted before the bit is cleared, and whoever sleeps is woken whether it was set or not.
 *
 * The bit is cleared by an atomic AND, never subtracted: a second subtraction would borrow from the other bits.
 *
 * All that stands in the segment is input. The walk is bounded by the ring's size and done in portions, what it meets
 * is checked against the geometry, and what makes no sense is -EBADMSG: then the bit is cleared too, and readers that
 * come to the place find the ring damaged.
 *
 * On a sealed lane (a ring that moves) the bit is all that is cleared: the list of the move decides about the record.
 *
 * Called by daemon/recovery.c; not part of the library.
 */
#ifndef LIBCLIENT_RING_REPAIR_H
#define LIBCLIENT_RING_REPAIR_H

#include "ring.h"

enum ring_repair_result {
    RING_REPAIRED = 0,
    RING_REPAIR_WAITS = 1,   /* for a living writer in `unresolved`: come again when some time has passed */
    RING_REPAIR_GOES_ON = 2, /* a long way to walk: come again soon */
};

/* What was found. */
enum ring_repair_outcome {
    RING_REPAIR_NOTHING = 0, /* its bit was not set */
    RING_REPAIR_KEPT,        /* a committed grant */
    RING_REPAIR_PADDED,      /* one that was not */
    RING_REPAIR_LEFT,        /* to the move of a sealed ring */
};

/* A repair under way; zeroed at first. The repairer's own. */
struct ring_repair {
    bool begun;          /* the snapshot is taken */
    bool in_gap;         /* from `gap` on there was nothing so far */
    uint32_t members;    /* of the snapshot, the dead one not among them */
    uint32_t unresolved; /* of these */
    uint32_t holes;      /* of these, died without a place; the dead one counted: as many grants may lie in gaps */
    uint64_t end;        /* the snapshot's position */
    uint64_t at;         /* how far the walk has come */
    uint64_t gap;
    uint64_t bytes_passed; /* became padding */
    enum ring_repair_outcome outcome;
    uint64_t places[RINGD_WRITERS_PER_LANE];  /* facts: grants of members without a stamp ... */
    uint32_t lengths[RINGD_WRITERS_PER_LANE]; /* ... and their length; 0: none */
};

/* Repairs what writer `bit_number` of the lane has left. `dead`: bits of all writers of the lane that are certainly
 * dead. enum ring_repair_result, or -EBADMSG (damaged; its bit is clear now as well). Both other results leave its bit
 * set; `repair` is then to be passed in again. */
int ring_repair(struct ring *ring, uint32_t bit_number, uint32_t dead, struct ring_repair *repair);

#endif
