/* instance.h - one daemon for one runtime directory.
 *
 * The runtime directory holds the daemon's socket and its lock file. Who holds the lock (flock, so it goes with the
 * process however that ends) is the only daemon there, and everything else in the directory and in /dev/shm that bears
 * the instance's id is its own: a socket file is a stale one, shared memory is a predecessor's. (Should the lock file
 * be removed under a living daemon, the locks on its rings' records still keep another one off them; ring_record.h.)
 *
 * The id is a hash of the directory's real path: daemons of different directories never meet, and a daemon that is
 * started again finds what the last one left. (Two containers that share /dev/shm but not their files need different
 * paths.)
 *
 * Called by daemon.c; listener.c, registry.c and takeover.c use the id and the path.
 */
#ifndef DAEMON_INSTANCE_H
#define DAEMON_INSTANCE_H

#include <stdbool.h>

#include "object_name.h"
#include "problem.h"

struct instance {
    char *directory; /* real path */
    char id[INSTANCE_ID_BYTES];
    char *lock_path;
    int lock_fd;
};

/* Empty: may be closed. */
void instance_init(struct instance *instance);

/* Makes the directory if it is missing (mode 0755, the last component only) and takes the lock. -EBUSY: another daemon
 * runs there. `instance` is to be closed after a failure too. */
int instance_open(struct instance *instance, const char *directory, struct problem *problem);

/* Whether the lock file is still the one that we hold: somebody may have removed it, and another daemon may have made a
 * new one. Then what is in the directory is that one's. */
bool instance_holds(const struct instance *instance);

/* The lock file stays: removing it would open a gap in which two daemons hold "the" lock. */
void instance_close(struct instance *instance);

#endif
