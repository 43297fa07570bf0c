/* record_page.h - what stands in a ring's record and in a life page, and when it is one.
 *
 * The record is what a daemon leaves its successor about a ring (daemon/ring_record.h says how it is used, locked and
 * changed); the life page says who a context is (struct ringd_life, daemon/life.h). Here is only the form of both, and
 * the test of it, for the daemon, which maps a record, and for ringctl, which explains a copy of it.
 */
#ifndef LIBCLIENT_RECORD_PAGE_H
#define LIBCLIENT_RECORD_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ringd.h"
#include "ringd_proto.h"
#include "ringd_segment.h"

#define RECORD_MAGIC   UINT64_C(0x3164726f63657272) /* "rrecord1", little endian */
#define RECORD_VERSION 2u

enum record_state {
    RECORD_MAKING = 1,
    RECORD_LIVE = 2,
    RECORD_REMOVED = 3,
};

struct record_slot {
    _Atomic uint32_t incarnation; /* of the last context that had it */
    _Atomic uint32_t kind;        /* enum ringd_context_kind of who has it now; 0: nobody */
    _Atomic uint64_t generation;  /* that it was given last */
};

/* A group of readers. */
struct record_group {
    _Atomic uint32_t state;                  /* enum ringd_group_state */
    _Atomic uint32_t orphans;                /* enum ringd_orphans */
    _Atomic uint64_t lost;                   /* records of claims that were given up */
    _Atomic uint64_t lost_next;              /* while one is counted: what `lost` is going to be, */
    _Atomic uint64_t losing_generation;      /* in which generation it is, */
    _Atomic uint32_t losing;                 /* and which one: lane * RINGD_SEATS_MAX + seat + 1, and whether what it
                                                had in memory; 0: none is */
    _Atomic uint16_t seats[RINGD_SEATS_MAX]; /* the reader slot that has it, and one; 0: nobody */
    char label[RINGD_LABEL_BYTES];
};

/* A named cursor. */
struct record_named {
    _Atomic uint64_t used;  /* 0: no name */
    _Atomic uint64_t owner; /* the reader that had it last: incarnation << 32 | slot */
    char name[RINGD_LABEL_BYTES];
};

/* The old ones that may be kept, the present and the next one. */
#define RECORD_GENERATIONS 18

struct record_generation {
    _Atomic uint64_t number;            /* 0: none */
    struct ringd_segment_header header; /* what the segment began with, byte for byte */
};

/* Changes to the first three fields are for a new version of everything behind them to say that it is one. */
struct record_page {
    uint64_t magic;
    uint32_t version;
    _Atomic uint32_t daemon_pid; /* who holds the lock; for people */
    _Atomic uint32_t state;      /* enum record_state */
    uint32_t owner, group;
    uint32_t lane_count;
    _Atomic uint64_t generation;       /* the present one */
    struct ringd_ring_options options; /* as checked; mode is in there */
    char name[RINGD_NAME_BYTES];
    struct record_generation generations[RECORD_GENERATIONS]; /* of a LIVE ring; at number % RECORD_GENERATIONS */
    _Alignas(1024) struct record_slot readers[RINGD_READERS_MAX];
    struct record_group groups[RINGD_GROUPS_MAX];
    struct record_named named[RINGD_NAMED_MAX];
    struct record_slot writers[]; /* [lane_count * RINGD_WRITERS_PER_LANE] */
};

/* The length of a record of a ring with so many lanes. */
uint64_t record_page_bytes(uint32_t lane_count);

/* The longest. */
#define RECORD_PAGE_BYTES_MAX (UINT64_C(64) << 10)

/* Whether these bytes, at least sizeof(struct record_page) of them, are the record of a ring of this name. 0,
 * -EPROTONOSUPPORT (another version's), -EBADMSG. */
int record_page_check(const struct record_page *page, uint64_t bytes, const char *ring);

/* The header of a generation, or NULL. */
const struct ringd_segment_header *record_page_header(const struct record_page *page, uint64_t generation);

/* Of the copy of a life page. */
bool life_page_is_sound(const struct ringd_life *page);

#endif
