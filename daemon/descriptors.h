/* descriptors.h - how many files ringd may have open, and what is done when they run out.
 *
 * An attached context takes two descriptors: its connection, and one by which the kernel tells that its process has
 * ended. A ring takes five, and four more for each generation that it has left. A ring has up to 1,984 writers and 256
 * readers; ringd asks for what several such rings need, as much as it may: root may have more than the limit that it
 * was started with, unless it has no capabilities (systemd/ringd.service), others may not.
 *
 * The last DESCRIPTORS_KEPT are not for those who want to attach: ringd needs some to look at the dead, to move a ring
 * and to say that it has none left. As the kernel always gives the lowest number that is free, a number says how many
 * are left.
 *
 * Called by daemon.c, listener.c and context.c.
 */
#ifndef DAEMON_DESCRIPTORS_H
#define DAEMON_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"

#define DESCRIPTORS_KEPT 64u

/* Raises the limit; says in the log if it is short of what `max_clients` connections need, and what to do. */
void descriptors_raise(uint32_t max_clients);

/* Whether this one, which has just been opened, is one of those that are kept. */
bool descriptors_short(int fd);

/* -EMFILE, with what to do. */
int descriptors_say_short(struct problem *problem);

#endif
