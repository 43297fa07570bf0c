/* life.h - the kernel's evidence that a context is alive, and what identifies it.
 *
 * For each context the daemon makes a life page: a shared-memory object of one page, opened for it alone, with an
 * open-file-description lock on it that is taken through that very descriptor. The descriptor goes to the client, which
 * maps the page and closes it; the daemon closes its copy too. The kernel drops the lock exactly when the last mapping
 * (or descriptor) is gone: at exit, kill, munmap or exec, and not when a client closes its socket or a child inherits
 * it. Whoever opens the page anew, by name, can see whether the lock is still held:
 *
 *     LIFE_GONE  the context is certainly no more: it can neither read nor write the ring
 *     LIFE_HELD  it is there, or the kernel is still taking it down: wait (life_wait.h)
 *
 * No clock, pid or connection is part of the evidence, so a later daemon can look as well. In the page stands who the
 * context is (struct ringd_life): only the daemon can write it, and the client's descriptor is for reading. A successor
 * learns from it who is attached; a client that connects again shows the token in it.
 *
 * A page gets its name when it is complete and locked: one without a lock is that of a context that has ended, or of
 * one that never began because the daemon was killed before it could send it.
 *
 * Called by context.c, life_wait.c and takeover.c.
 */
#ifndef DAEMON_LIFE_H
#define DAEMON_LIFE_H

#include "object_name.h"
#include "ringd_proto.h"

enum life {
    LIFE_GONE = 0,
    LIFE_HELD = 1,
};

/* Makes and locks the page; returns its only descriptor, which keeps the lock, or a negative errno. */
int life_create(const struct object_name *name, const struct ringd_life *page);

/* What stands in a page, checked as far as the page itself goes. -EBADMSG (no life page, or one of another version),
 * -EPERM (not ours), -ENOENT. */
int life_read(const struct object_name *name, struct ringd_life *page);

/* Gives a page to the service manager as well, if there is one, as life_create does (fd_store.h). */
void life_keep(const struct object_name *name);

/* enum life, or a negative errno: then nothing is known. */
int life_look(const struct object_name *name);

/* A descriptor for life_await, or a negative errno; -EWOULDBLOCK: somebody has a lease on the page. */
int life_open(const struct object_name *name);

/* Sleeps until nobody holds the lock. 0, or a negative errno: then nothing is known. A cancellation point; also for
 * threads. */
int life_await(int fd);

/* The page lives on without its name for whoever has it mapped. */
void life_unlink(const struct object_name *name);

#endif
