/* support_victim.h - a ring without a daemon, mapped where an access out of bounds cannot go unnoticed.
 *
 * The two objects are made by the daemon's own segment_create() and have no names. The mapping is segment_map()'s,
 * moved to a place where inaccessible pages lie before and behind each of its parts: reading or writing one byte
 * outside ends the process. victim_restore() makes the contents what they were when the ring was new.
 *
 * Used by fuzz_calls and the checks of hostile contents.
 */
#ifndef TESTS_SUPPORT_VICTIM_H
#define TESTS_SUPPORT_VICTIM_H

#include "../daemon/segment_create.h"
#include "segment.h"

struct victim {
    struct segment_objects objects;
    struct segment segment; /* mapped as a writer */
    unsigned char *saved;   /* contents of the new ring */
    void *range;            /* of addresses: the mapping with its guards */
    size_t range_bytes;
};

/* Options as for ringd_create. Requires that it works. */
void victim_init(struct victim *victim, const struct ringd_ring_options *options);
void victim_deinit(struct victim *victim);

/* Whatever was scribbled is gone; there must be no handles. */
void victim_restore(struct victim *victim);

/* Whether `len` bytes at `data` lie inside the ring's data (mapped twice). */
bool victim_holds(const struct victim *victim, const void *data, size_t len);

#endif
