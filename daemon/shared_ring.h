/* shared_ring.h - a ring that this daemon keeps.
 *
 * The daemon's own knowledge of a ring: name, rights, descriptors, a mapping, and which context has which slot. What
 * the daemon decides by is in here, in private memory; what it loads from the mapping is numbers for people, or input
 * that is checked. The slots' incarnations are kept here too, so that nobody can make one come twice.
 *
 * Life: shared_ring_new makes the objects in shared memory; shared_ring_end says in them that the ring is at its end
 * (contexts go on with what they have mapped and are told); shared_ring_free takes everything down. A ring that was
 * removed while contexts are attached lives between the last two. Who frees it: registry.c.
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
#include "ringd.h"
#include "segment.h"
#include "segment_create.h"

struct context;
struct registry;

/* Of a writer or reader. */
struct slot {
    struct context *context; /* NULL: free */
    uint32_t incarnation;    /* of the last context that had it */
};

struct shared_ring {
    char name[RINGD_NAME_BYTES];
    struct object_name objects_name; /* what the names of its objects begin with */
    struct ring_rights rights;
    struct segment_objects objects;
    struct segment segment;
    struct ring *lanes;   /* [lane_count] */
    struct slot *writers; /* [lane_count * RINGD_WRITERS_PER_LANE] */
    struct slot readers[RINGD_READERS_MAX];
    uint32_t context_count; /* attached, the dead not counted */
    struct recovery recovery; /* of the dead */
    uint32_t evicted_count;
    bool removed;

    struct registry *registry;
    UT_hash_handle hh;             /* by name, while it is not removed */
    TAILQ_ENTRY(shared_ring) link; /* all */
};

/* As segment_create. `options` have been checked. *ring is NULL after a failure. */
int shared_ring_new(struct shared_ring **ring, const char *instance_id, const char *name,
                    const struct ringd_ring_options *options, const struct ring_rights *rights,
                    const struct ticks *ticks, struct problem *problem);

/* Its contexts are gone before. NULL and half-built ones are allowed. */
void shared_ring_free(struct shared_ring *ring);

uint32_t shared_ring_writer_count(const struct shared_ring *ring);

/* Tells everybody attached, the daemon excepted, that the ring is at its end: no more reservations; the state says so;
 * all who sleep are woken. Of a segment, so that leftovers can be ended too. */
void segment_end(struct segment *segment);

#endif
