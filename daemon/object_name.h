/* object_name.h - the names of a daemon's shared-memory objects.
 *
 * Everything a daemon keeps in /dev/shm begins with `ringd-` and the id of its instance (instance.h), so that several
 * daemons never touch each other's objects and a daemon that was killed is found out by its successor:
 *
 *     /ringd-<instance>-<ring>-<generation>-segment
 *     /ringd-<instance>-<ring>-<generation>-readers
 *     /ringd-<instance>-<ring>-<generation>-life-w<slot>-<incarnation>-<ring id>     of a writer
 *     /ringd-<instance>-<ring>-<generation>-life-r<slot>-<incarnation>-<ring id>     of a reader or observer
 *
 * A ring that was removed lives on without a name while somebody is attached, and a new one of its name may be made
 * meanwhile: hence the ring's id in the names of life pages.
 *
 * Called by segment_create.c, context.c and leftovers.c.
 */
#ifndef DAEMON_OBJECT_NAME_H
#define DAEMON_OBJECT_NAME_H

#include <stdint.h>

struct object_name {
    char text[192];
};

/* What the names of a ring's objects have in common: "/ringd-<instance>-<ring>-<generation>". */
struct object_name object_name_ring(const char *instance_id, const char *ring, uint64_t generation);

struct object_name object_name_segment(const struct object_name *ring);
struct object_name object_name_readers(const struct object_name *ring);

/* `side` is 'w' or 'r'. */
struct object_name object_name_life(const struct object_name *ring, char side, uint32_t slot, uint32_t incarnation,
                                    uint64_t ring_id);

#endif
