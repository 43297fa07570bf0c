/* generation.h - a ring goes on in fresh memory: another size, or past a writer that is stopped in mid-record.
 *
 * The new segment is made first, with every page of it reserved, while contexts go on in the old one and the event loop
 * with its work; that is all that can fail. Then, in one turn of the loop that takes some microseconds and waits for
 * nobody, the old one is closed, sealed and settled lane by lane (libclient/ring_move.h), the new one filled with what
 * goes on (counters, owners, lossless readers' cursors; each lane begins where it ended in the old one), `moving` is
 * DONE, and all who sleep are woken.
 *
 * Contexts come by themselves: a writer when it finds the old one closed, a reader when it has read it to its end; they
 * ask on their connection (RINGD_REQUEST_FOLLOW) and get the new objects. Until then their old generation is kept
 * (`older` of struct shared_ring); it is freed when nobody is in it or in one before it, and nobody is promised what is
 * in it: a ring that overwrites has to show its past until a lane of the present one has been filled, one that holds
 * its records keeps them for a lossless reader. A lossless reader that is still in an old one holds writers of the new
 * one at its beginning, and if that is the last old one, at as many bytes before that as it has still to read.
 *
 * A daemon may die anywhere in this. The ring has moved when its record says so (ring_record_move): then the new
 * generation is complete, and DONE and waking are all that may be missing. Before that the objects of the next
 * generation are nobody's, and go; if the present one's control.moving is set, the move is finished by doing all of it
 * again with a new segment of next_bytes bytes: no context has seen the first attempt's. generation_resume does
 * whichever it is.
 *
 * Called by request.c, stall.c, registry.c, shared_ring.c and takeover.c. One thread: the event loop's.
 */
#ifndef DAEMON_GENERATION_H
#define DAEMON_GENERATION_H

#include <stdint.h>

#include "later.h"
#include "problem.h"
#include "shared_ring.h"

struct context;
struct context_wish;

/* Begins to move the ring to a new generation of `size` bytes a lane. 0: who waits (NULL: nobody) will be told how it
 * went, with the generation's number; if it is moving to that size already, by that move. -EINVAL (size), -EBUSY (too
 * many old ones are still read, or it is moving to another size), -ESHUTDOWN (removed), -EBADMSG (damaged), -ENOSPC and
 * others of segment_create, at once or later: then the ring goes on as it was. */
int generation_move(struct shared_ring *ring, uint64_t size, struct later *later, struct problem *problem);

/* A move that has only been begun is taken back, for this reason, and who waits for it is told -ESHUTDOWN. */
void generation_cancel_move(struct shared_ring *ring, const char *why);

/* While a ring is adopted: the old generations that its record names. */
void generation_adopt_older(struct shared_ring *ring);

/* For a ring that has been adopted with its contexts, none of which has been looked at yet: undoes or finishes what a
 * predecessor began. 0, or what a move fails with; a ring that is sealed and cannot go on is at its end then. */
int generation_resume(struct shared_ring *ring, struct problem *problem);

/* What a context in generation `from` gets next: a reader the one after it, as it reads all of them, a writer the
 * present one. From then on it counts as being there. -EALREADY: there is none. Old generations may be freed. */
int generation_follow(struct context *context, uint64_t from, struct problem *problem,
                      const struct segment_objects **objects);

/* Where a new reader begins that wants the oldest record or a position: in an old generation, if it is still there and
 * nothing between it and now has been overwritten in any lane that it reads. cursors[lane]: where in it; unchanged,
 * with 0, if it is the present one, in which a lossless reader has joined there before. */
uint64_t generation_for_reader(const struct shared_ring *ring, const struct context_wish *wish,
                               uint64_t cursors[RINGD_LANES_MAX]);

/* As ring_check_start, of a wish for a position in an old generation. */
int generation_check_start(const struct shared_ring *ring, uint64_t number, const struct context_wish *wish);

/* Where the lanes of a generation that is there begin, as far as it has not been overwritten. */
void generation_oldest(const struct shared_ring *ring, uint64_t number, uint64_t cursors[RINGD_LANES_MAX]);

/* The objects of a generation that is there. */
const struct segment_objects *generation_objects(const struct shared_ring *ring, uint64_t number);

/* The segment that the context is in. */
const struct segment *generation_of(const struct context *context);

/* Frees old generations that nobody is in any more; after a context has left. */
void generation_settle(struct shared_ring *ring);

/* Tells those in old generations that the ring is at its end, and takes the names away. */
void generation_end_all(struct shared_ring *ring);

/* Whether the address lies in a mapping of an old one. */
bool generation_contains(const struct shared_ring *ring, const void *address);

/* Whether an old one has an object of this name. */
bool generation_has_object(const struct shared_ring *ring, const struct object_name *name);

/* Names and what the service manager has of old ones stay, for a successor. */
void generation_leave_all(struct shared_ring *ring);

/* All old ones. Also of a ring that is half built. */
void generation_free_all(struct shared_ring *ring);

#endif
