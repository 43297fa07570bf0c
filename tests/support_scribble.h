/* support_scribble.h - what a hostile writer does to a ring.
 *
 * A writer's mapping allows it to store anything anywhere: header, control, lane, slots, data, and the readers' object.
 * scribble() does one such thing, drawn from a generator: random bytes at random places, and, more often, what somebody
 * who knows the algorithm would try: stamps that are valid for exactly their place with lengths and writers that are
 * not, limits and positions that jump, bits and needs of others, cursors, marks, owners and wake words.
 *
 * scribble_hammer() does one thing over and over, so that it falls between any two loads of a victim in another
 * process.
 *
 * Used by fuzz_calls (between the calls of one process), fuzz_segment (beside other processes) and the checks of
 * hostile contents.
 */
#ifndef TESTS_SUPPORT_SCRIBBLE_H
#define TESTS_SUPPORT_SCRIBBLE_H

#include "ring.h"
#include "segment.h"
#include "support.h"

struct scribbler {
    const struct segment *segment; /* mapped as a writer */
    struct ring ring;
    struct random_source *random;
    struct ringd_segment_header header; /* as it was at the beginning */
};

/* `segment` and `random` outlive it. */
void scribbler_init(struct scribbler *scribbler, const struct segment *segment, struct random_source *random);

/* One mutation; returns its name. */
const char *scribble(struct scribbler *scribbler);

/* One kind of store, `rounds` times; returns its name. */
const char *scribble_hammer(struct scribbler *scribbler, uint32_t rounds);

/* Makes the ring one that can be attached to and written again, without regard to what is in it: damage that nobody
 * gets beyond hides what comes after it. */
void scribble_heal(struct scribbler *scribbler);

/* A number that a check is likely to have forgotten, perhaps one near `around`. */
uint64_t scribble_nasty(struct scribbler *scribbler, uint64_t around);

#endif
