/* ring_record.h - what the daemon alone knows of a ring, kept where its successor finds it.
 *
 * Everybody who may write a ring can write all of its segment. What a daemon decides by after a restart therefore comes
 * from an object of its own in /dev/shm that nobody else ever gets a descriptor of (record_page.h): rights and
 * options, a copy of the segment's header, the lengths of the objects, and for each slot its last incarnation and who
 * has it.
 *
 * Ownership. The daemon that keeps a ring holds a lock (flock) on the record as long as it lives, stopped or not; the
 * record is made with the lock on it. So no two daemons own one ring, whatever becomes of the lock file in the runtime
 * directory. A daemon whose record has lost its name, or whose name leads to another file, takes nothing away by name
 * any more (ring_record_claimed).
 *
 * A ring is made and removed in steps; a daemon may be killed between any two of them:
 *
 *     record MAKING -> segment, readers -> record LIVE            only a LIVE one is taken over; what belongs to a
 * MAKING record REMOVED -> all are told -> segment, readers go       or REMOVED one is taken away
 *                    -> record goes, last
 *
 *     slot: incarnation -> life page -> kind -> slot in the segment is filled
 *           slot in the segment is freed -> kind NONE -> life page goes
 *
 * So a slot with a kind has a life page behind it, unless somebody else has removed that.
 *
 * A ring that moves (generation.h) has an entry for each generation that somebody may still be in, and says which one
 * is the present; that changes when the new one is complete, and is the moment at which the ring has moved. A context's
 * slot says which one it was given last.
 *
 * Called by shared_ring.c, generation.c, registry.c, context.c and takeover.c.
 */
#ifndef DAEMON_RING_RECORD_H
#define DAEMON_RING_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "object_name.h"
#include "problem.h"
#include "record_page.h"
#include "rights.h"
#include "ringd.h"

/* Empty: page NULL. */
struct ring_record {
    struct record_page *page;
    uint64_t bytes;
    struct object_name name;
    int fd;     /* with the lock */
    bool named; /* the name is ours to remove */
};

void ring_record_init(struct ring_record *record);

/* Makes the record of a ring that is about to be made. -EEXIST: there is one, of another daemon or version. */
int ring_record_create(struct ring_record *record, const char *instance_id, const char *ring,
                       const struct ringd_ring_options *options, const struct ring_rights *rights,
                       struct problem *problem);

/* Takes an existing one over. -EBUSY (a daemon owns it; *pid says which), -EPROTONOSUPPORT (another version's),
 * -EBADMSG (no record: `record` is open all the same, so that it can be removed under its lock), -EPERM (not ours),
 * -ENOENT (gone by now). `ring`: the name it must be of. */
int ring_record_open(struct ring_record *record, const struct object_name *name, const char *ring, uint32_t *pid);

/* The ring is complete: this is what its header looks like. */
void ring_record_publish(struct ring_record *record, const struct ringd_segment_header *header);

/* It has moved: this is the header of what is the present generation from now on. */
void ring_record_move(struct ring_record *record, const struct ringd_segment_header *header);

/* Nobody is in that generation any more. */
void ring_record_forget(struct ring_record *record, uint64_t generation);

/* The header of a generation, or NULL. */
const struct ringd_segment_header *ring_record_header(const struct ring_record *record, uint64_t generation);

/* From now on it is to be taken away. */
void ring_record_end(struct ring_record *record);

/* Whether the objects that the record's name stands for are still this daemon's. */
bool ring_record_claimed(const struct ring_record *record);

/* Gives it to the service manager as well, if there is one (fd_store.h). */
void ring_record_keep(const struct ring_record *record);

void ring_record_unlink(struct ring_record *record);

/* Gives the lock up; the name stays. */
void ring_record_deinit(struct ring_record *record);

#endif
