/* support_group.h - members of a group, driven by hand over a mapping: look, choose, claim, read, finish.
 *
 * What each record's reader does is noted in a tally that processes share, so that it can be asked afterwards whether
 * every record went to exactly one member, or to a second one only marked as perhaps seen. Records are those of one
 * writer, made by write_record().
 *
 * Used by check_group_steps and check_group_daemon.
 */
#ifndef TESTS_SUPPORT_GROUP_H
#define TESTS_SUPPORT_GROUP_H

#include <stdatomic.h>
#include <stdint.h>

#include "ring_group.h"
#include "support.h"

#define TALLY_MAX 65536

struct tally {
    _Atomic uint8_t given[TALLY_MAX]; /* times, by sequence number (modulo) */
    _Atomic uint8_t again[TALLY_MAX]; /* of these, marked as perhaps seen */
};

struct member {
    struct ring ring;
    struct ring_group group;
    struct tally *tally;
};

struct claim {
    uint64_t begin, end;
};

void member_init(struct member *member, const struct segment *segment, uint32_t number, uint32_t seat, uint32_t reader,
                 struct tally *tally);

/* Claims up to `most` records: RINGD_OK, RING_GROUP_NOTHING, RING_GROUP_LOST or a failure. */
int member_claim(const struct member *member, uint64_t most, struct claim *claim);

/* Reads what lies there, and notes it; each record must be whole. Returns how many records. */
unsigned member_read(const struct member *member, const struct claim *claim, bool seen);

/* Finishes. Returns whether it was the last one out. */
bool member_finish(const struct member *member);

/* Claims and reads and finishes until there is nothing more, orphans too. Returns how many records. */
unsigned member_drain(const struct member *member, uint64_t most);

/* Every record from `first` up to `end` was given to exactly one, or again with the mark; others to nobody. Then the
 * tally is empty. */
void tally_settle(struct tally *tally, uint64_t first, uint64_t end);

#endif
