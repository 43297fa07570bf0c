/* recovery.h - what happens after a context's certain end.
 *
 * On the evidence of life.h alone context.c marks a context as dead; recovery_run then, for each dead context of a
 * ring:
 *
 *   reader    takes it out of those that hold writers up, which wakes writers, and frees its slot.
 *   writer    takes it out of those that wait for space; repairs what it left in mid-record (libclient/ring_repair.h);
 *             settles its account: what it had offered and neither committed, aborted, dropped nor had refused is lost
 *             with it, at most the grant that was being written; frees its slot.
 *
 * and says in one line what was done and what was lost. All of it can be done again from any place where a daemon was
 * killed: slot, bit and life page are freed in this order of what they tell, the page's name last, so that a successor
 * that finds a slot taken and its lock gone calls context_look and comes here.
 *
 * A repair that has to wait for a living neighbour (one that is stopped between two particular instructions), or that
 * has a long way to walk, is gone on with from the event loop: after 1, 2, 4 ... 64 ms, and whenever another context of
 * the ring ends. Meanwhile the dead one keeps its slot and shows as RINGD_CONTEXT_DEAD.
 *
 * Called by context.c. One thread: the event loop's; one repairer for each ring.
 */
#ifndef DAEMON_RECOVERY_H
#define DAEMON_RECOVERY_H

#include <ev.h>

struct shared_ring;

/* Of a ring. */
struct recovery {
    ev_timer retry; /* runs while a repair has to be gone on with */
    double pause_s;
};

/* The ring is in its registry. */
void recovery_init(struct recovery *recovery, struct shared_ring *ring);
void recovery_deinit(struct recovery *recovery, struct shared_ring *ring);

/* Does for the dead contexts of the ring what can be done now. The ring stays; its contexts may be gone. */
void recovery_run(struct shared_ring *ring);

#endif
