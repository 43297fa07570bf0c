/* fault.h - a client that shortens a ring's shared memory does not bring the daemon down.
 *
 * Who holds a writable descriptor of an object can also truncate it. The pages behind the new end are then gone from
 * every mapping, and the next access is a SIGBUS. In the daemon a handler puts an empty private page in the place of
 * the lost one and lets the access go on: what it reads there are zeroes, and whatever the daemon loads from shared
 * memory is checked as hostile input anyway. The event loop learns from fault_seen() that it should look for the ring
 * that was damaged (registry.c removes it: it is of use to nobody any more).
 *
 * The handler only deals with accesses beyond the end of a mapped file (BUS_ADRERR). Everything else ends the process,
 * as without it.
 *
 * Called by daemon.c.
 */
#ifndef DAEMON_FAULT_H
#define DAEMON_FAULT_H

#include <stdbool.h>

/* For the whole process; before anything shared is mapped. 0 or a negative errno. */
int fault_install(void);

/* Whether there was one since the last call, and where the last one was. */
bool fault_seen(const void **address);

#endif
