/* leftovers.h - the shared memory of a predecessor that was killed.
 *
 * A daemon that stops in order removes everything; one that was killed leaves its rings in /dev/shm, perhaps with
 * contexts that still write and read them. In this version their successor ends them: rings that are sound are marked
 * removed and everybody who waits is woken, so that those attached are told (writers -ESHUTDOWN, readers the end after
 * the last record). Then all that bears the instance's id is unlinked, with a line in the log for each ring.
 *
 * Only objects that belong to the daemon's own user are opened: /dev/shm is open to all, and a file with a fitting name
 * may have been put there by anybody.
 *
 * Called by daemon.c at the start, under the instance's lock.
 */
#ifndef DAEMON_LEFTOVERS_H
#define DAEMON_LEFTOVERS_H

#include "instance.h"

void leftovers_clear(const struct instance *instance);

#endif
