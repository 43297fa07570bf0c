/* takeover.h - a starting daemon and what its predecessor left in shared memory.
 *
 * A daemon that was killed, or stopped while somebody was attached, leaves its rings in /dev/shm, and contexts that go
 * on writing and reading them. What becomes of it is decided here, object by object, each with a line in the log:
 *
 *   record LIVE, and the ring is what it says       the ring is taken over, with all that is in it
 *     life page of it, lock held                    attached; it connects again when it needs to
 *     life page of it, no lock                      died meanwhile: as if it had died now
 *     a slot that somebody has, and no life page    is given to nobody: somebody else has removed the evidence
 *   record MAKING or REMOVED                        its daemon was killed in between: what there is of the ring goes
 *   record of another version, or of a layout of    left alone, with everything of that ring
 *     another version
 *   record LIVE, and the ring is not what it says   goes; those who can be told are told
 *   anything else that bears the instance's id      goes
 *
 * Before anything is touched all records are locked. If a daemon that still lives owns one (the lock file in the
 * runtime directory was removed under it), this one does not start, and says who that is. That daemon may be stopped
 * for now; it owns its rings until it ends.
 *
 * Everything is decided by objects that only the daemon's own user can have made; a segment, which its writers can
 * write to, is only compared with what its record says.
 *
 * Called by daemon.c at the start, under the instance's lock.
 */
#ifndef DAEMON_TAKEOVER_H
#define DAEMON_TAKEOVER_H

#include "problem.h"
#include "registry.h"

/* -EBUSY: another daemon owns a ring of this instance. Then, and after any other failure, nothing has been touched. */
int takeover_run(struct registry *registry, struct problem *problem);

#endif
