/* fd_store.h - descriptors that the service manager keeps for the next daemon.
 *
 * Under a service manager (NOTIFY_SOCKET) the descriptors of each ring's objects are given to it, under the objects'
 * names, and taken back with the ring. A daemon that it starts later gets them all, with the listening socket among
 * them, which is told apart by being a socket. They matter when the names in /dev/shm are gone (logind's RemoveIPC, a
 * tidy administrator): a ring then lives on through its descriptors, without names. A file that has lost its name
 * cannot be given one again.
 *
 * Life pages are given away too: without their names they are the only way to the evidence.
 *
 * What is given away is opened anew: the locks of the daemon's own descriptors stay the daemon's.
 *
 * The manager is one for the process, and so is this table. Without one everything here does nothing.
 *
 * Called by listener.c, takeover.c and those who make and remove objects.
 */
#ifndef DAEMON_FD_STORE_H
#define DAEMON_FD_STORE_H

#include <stdbool.h>

#include "object_name.h"
#include "problem.h"

/* Sorts what the service manager has passed: the listening socket (*socket_fd; -1: none came) and the stored. -EINVAL:
 * something else came, or several sockets. */
int fd_store_receive(const char *instance_id, int *socket_fd, struct problem *problem);

/* Calls `visit` with the name of each stored descriptor, until it fails. */
int fd_store_each(int (*visit)(const struct object_name *name, void *argument), void *argument);

/* Opens a file by its name, or by the stored descriptor if the name is gone. *named says which. As shared_file_open. */
int fd_store_open(const struct object_name *name, int flags, bool *named);

/* The takeover is over: what was not kept is forgotten; ours are closed, but for those of files without a name. */
void fd_store_settle(void);

/* Has the file kept, unless it is already; has it forgotten. */
void fd_store_keep(const struct object_name *name, int fd);
void fd_store_forget(const struct object_name *name);

#endif
