/* object_name.h - the names of a daemon's shared-memory objects.
 *
 * Everything a daemon keeps in /dev/shm begins with `ringd-` and the id of its instance (instance.h), so that several
 * daemons never touch each other's objects and a daemon finds what its predecessor left:
 *
 *     /ringd-<instance>-<ring>-record                    what the daemon alone knows of the ring (ring_record.h)
 *     /ringd-<instance>-<ring>-<generation>-segment
 *     /ringd-<instance>-<ring>-<generation>-readers
 *     /ringd-<instance>-<ring>-<generation>-life-w<slot>-<incarnation>-<ring id>     of a writer
 *     /ringd-<instance>-<ring>-<generation>-life-r<slot>-<incarnation>-<ring id>     of a reader or observer
 *
 * A ring that was removed lives on without a name while somebody is attached, and a new one of its name may be made
 * meanwhile: hence the ring's id in the names of life pages. A ring's name may itself end like one of these; names are
 * therefore taken apart from their ends, and whatever is not exactly what would be made from its parts is no name.
 *
 * The instance's id is a hash of the real path of the daemon's runtime directory.
 *
 * Called by the daemon (instance.c, segment_create.c, ring_record.c, context.c, takeover.c), and by ringctl, which
 * explains what a daemon has left.
 */
#ifndef LIBCLIENT_OBJECT_NAME_H
#define LIBCLIENT_OBJECT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "ringd_segment.h"

struct object_name {
    char text[192];
};

enum object_kind {
    OBJECT_RECORD,
    OBJECT_SEGMENT,
    OBJECT_READERS,
    OBJECT_LIFE,
};

/* What a name says. */
struct object_parts {
    enum object_kind kind;
    char ring[RINGD_NAME_BYTES];
    uint64_t generation; /* 0 of a record */
    char side;           /* of a life page: 'w' or 'r' */
    uint32_t slot, incarnation;
    uint64_t ring_id;
};

#define INSTANCE_ID_BYTES  17           /* 16 hexadecimal digits */
#define INSTANCE_LOCK_NAME "ringd.lock" /* in the runtime directory; instance.h */

/* The id of the instance with this runtime directory, given by its real path. */
void object_name_instance(char id[static INSTANCE_ID_BYTES], const char *directory);

/* What the names of all its files in /dev/shm begin with: "ringd-<instance>-". */
struct object_name object_name_prefix(const char *instance_id);

/* A file in /dev/shm to its name. */
struct object_name object_name_of_file(const char *file);

/* What the names of a ring's objects have in common: "/ringd-<instance>-<ring>-<generation>". */
struct object_name object_name_ring(const char *instance_id, const char *ring, uint64_t generation);

struct object_name object_name_record(const char *instance_id, const char *ring);
struct object_name object_name_segment(const struct object_name *ring);
struct object_name object_name_readers(const struct object_name *ring);

/* `side` is 'w' or 'r'. */
struct object_name object_name_life(const struct object_name *ring, char side, uint32_t slot, uint32_t incarnation,
                                    uint64_t ring_id);

/* Takes a name of this instance apart. False: it is none. */
bool object_name_parse(const struct object_name *name, const char *instance_id, struct object_parts *parts);

#endif
