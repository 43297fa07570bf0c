/* object_name.c - see object_name.h. The longest parts (64 of instance and generation, 63 of the ring, 60 behind) leave
 * room in struct object_name.
 */
#define _GNU_SOURCE
#include "object_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct object_name object_name_ring(const char *instance_id, const char *ring, uint64_t generation)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "/ringd-%s-%s-%" PRIu64, instance_id, ring, generation);
    return name;
}

static struct object_name with_suffix(const struct object_name *ring, const char *suffix)
{
    struct object_name name = *ring;
    size_t len = strlen(ring->text);

    snprintf(name.text + len, sizeof name.text - len, "-%s", suffix);
    return name;
}

struct object_name object_name_segment(const struct object_name *ring)
{
    return with_suffix(ring, "segment");
}

struct object_name object_name_readers(const struct object_name *ring)
{
    return with_suffix(ring, "readers");
}

struct object_name object_name_life(const struct object_name *ring, char side, uint32_t slot, uint32_t incarnation,
                                    uint64_t ring_id)
{
    char suffix[64];

    snprintf(suffix, sizeof suffix, "life-%c%" PRIu32 "-%" PRIu32 "-%016" PRIx64, side, slot, incarnation, ring_id);
    return with_suffix(ring, suffix);
}
