/* shared_ring.h - a ring that this daemon keeps.
 *
 * The daemon's own knowledge of a ring: name, rights, descriptors, a mapping, and which context has which slot. What
 * the daemon decides by is in here, in private memory; what it loads from the mapping is numbers for people, or input
 * that is checked. The slots' incarnations are kept here too, so that nobody can make one come twice. What a successor
 * has to know stands in the ring's record as well (ring_record.h), always before it takes effect.
 *
 * Life: shared_ring_new makes the objects in shared memory, shared_ring_adopt takes those of a predecessor;
 * shared_ring_end says in them that the ring is at its end (contexts go on with what they have mapped and are told) and
 * takes the names away; shared_ring_leave leaves everything to a successor; shared_ring_free frees what is private. A
 * ring that was removed while contexts are attached lives between the last two. Who frees it: registry.c.
 *
 * One thread: the event loop's.
 */
#ifndef DAEMON_SHARED_RING_H
#define DAEMON_SHARED_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "problem.h"
#include "recovery.h"
#include "rights.h"
#include "ring.h"
#include "ring_record.h"
#include "ringd.h"
#include "segment.h"
#include "segment_create.h"

struct context;
struct registry;
struct stall;

/* Of a writer or reader. */
struct slot {
    struct context *context; /* NULL: free */
    uint32_t incarnation;    /* of the last context that had it */
    bool closed;             /* somebody may have it of whom there is no evidence any more: it is given to nobody */
};

/* What a ring was before it moved, while contexts are still in it (generation.h). */
struct generation {
    uint64_t number;
    struct segment_objects objects;
    struct segment segment;
    struct ring *lanes;
    uint64_t drained; /* bit per lane: a lossless reader has read all of it */
    TAILQ_ENTRY(generation) link;
};

TAILQ_HEAD(generation_list, generation);

struct shared_ring {
    char name[RINGD_NAME_BYTES];
    struct object_name objects_name; /* what the names of its objects begin with */
    const char *instance_id;
    struct object_name life_name; /* what those of its life pages begin with: the same in all generations */
    struct ring_rights rights;
    struct ring_record record;
    struct segment_objects objects;
    struct segment segment;
    struct ring *lanes;   /* [lane_count] */
    struct slot *writers; /* [lane_count * RINGD_WRITERS_PER_LANE] */
    struct slot readers[RINGD_READERS_MAX];
    struct generation_list older; /* oldest first; objects, segment and lanes above are those of the present one */
    uint32_t older_count;
    struct move *move;        /* memory for the next generation is being made */
    struct stall *stall;      /* a stopped writer is being looked at */
    uint32_t context_count;   /* attached, the dead not counted */
    struct recovery recovery; /* of the dead */
    uint32_t evicted_count;
    bool removed;
    bool adopted; /* a predecessor made it */

    struct registry *registry;
    UT_hash_handle hh;             /* by name, while it is not removed */
    TAILQ_ENTRY(shared_ring) link; /* all */
};

/* As segment_create_begin. `options` have been checked. *ring is NULL after a failure. Until it is published nothing
 * but its name and objects may be looked at. */
int shared_ring_new(struct shared_ring **ring, const char *instance_id, const char *name,
                    const struct ringd_ring_options *options, const struct ring_rights *rights,
                    const struct ticks *ticks, struct problem *problem);

/* It is there, once its data's pages have been reserved with this result. After a failure (as segment_create_end) it
 * can only be freed. */
int shared_ring_publish(struct shared_ring *ring, int reserved, struct problem *problem);

/* The ring of a record that has been taken over and is LIVE. `record` is empty afterwards if it succeeds. -ENOENT,
 * -EPERM, -EBADMSG (it is not what the record says), -EPROTONOSUPPORT (another layout); *problem says why. */
int shared_ring_adopt(struct shared_ring **ring, const char *instance_id, struct ring_record *record,
                      struct problem *problem);

/* In this order: the record says so, all are told, the names go. If somebody else has taken the record's name away or
 * has put another in its place, names are left alone. */
void shared_ring_end(struct shared_ring *ring);

/* The names stay, for a successor. */
void shared_ring_leave(struct shared_ring *ring);

/* Who has a slot, for a successor. */
struct record_slot *shared_ring_record_slot(const struct shared_ring *ring, bool writer, uint32_t slot);

/* Its contexts are gone before. NULL and half-built ones are allowed; what they have of names goes. */
void shared_ring_free(struct shared_ring *ring);

uint32_t shared_ring_writer_count(const struct shared_ring *ring);

/* From the first to before the end: the lane with this number, counted from 1; 0: all. The same in all generations. */
struct lane_range {
    uint32_t first, end;
};
struct lane_range shared_ring_lanes(const struct shared_ring *ring, uint32_t lane);

/* Tells everybody attached, the daemon excepted, that the ring is at its end: no more reservations; the state says so;
 * all who sleep are woken. Of a segment, so that what is not taken over can be ended too. */
void segment_end(struct segment *segment);

#endif
