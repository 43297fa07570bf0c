/* shared_file.h - files in /dev/shm: made whole, opened only if they are our own.
 *
 * A file that shall never be seen half made gets its contents, and a lock on it, before it gets its name: it is made
 * without one (O_TMPFILE) and linked when it is complete. Whoever finds the name finds everything, however its maker
 * ended.
 *
 * /dev/shm is open to all: what is found there by its name is the daemon's only if it is a regular file of the
 * daemon's own user. Everything else is not opened further.
 *
 * A file is opened anew (another open file description, with locks and an access mode of its own) through
 * /proc/self/fd, also when its name is gone.
 *
 * Called by the daemon (life.c, ring_record.c, segment_create.c, takeover.c) and by ringctl, which only looks.
 */
#ifndef LIBCLIENT_SHARED_FILE_H
#define LIBCLIENT_SHARED_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "object_name.h"

/* A descriptor (reading and writing) of a new file of this length without a name, every page of it reserved; -ENOSPC
 * and others of open. */
int shared_file_new(uint64_t bytes);

/* Gives it its name. -EEXIST. */
int shared_file_link(int fd, const struct object_name *name);

/* The file of this name: a descriptor, -ENOENT, or -EPERM (no regular file, or somebody else's). `flags`: O_RDONLY or
 * O_RDWR. */
int shared_file_open(const struct object_name *name, int flags);

/* The same of another user's daemon. */
int shared_file_open_of(const struct object_name *name, int flags, uid_t user);

/* The file behind a descriptor, opened anew. */
int shared_file_reopen(int fd, int flags);

/* Whether this name leads to this very file. */
bool shared_file_is_named(int fd, const struct object_name *name);

/* Calls `visit` with the name of each file (without the slash) that begins with `prefix`; -ENOMEM and others of
 * opendir. Files may come and go meanwhile. */
int shared_file_each(const char *prefix, int (*visit)(const char *file, void *argument), void *argument);

#endif
