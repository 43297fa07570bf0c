/* ringd_segment.h - the map of a ring in shared memory.
 *
 * A ring is two shared-memory objects that ringd creates and hands out as descriptors:
 *
 *   the segment    header | control | lanes | data          readers map it read-only
 *   the readers    waits  | reader slots | cursors          readers and writers map it writable
 *
 * (A reader must not be able to write records, but has to publish its cursor; hence two objects. Where a peer can map
 * only one object, as a virtual machine can, `readers_offset` places the second inside the first.)
 *
 * What holds true:
 *   - The header is written once by the daemon; `magic` is stored last, with release. Everybody checks it against the
 *     size of the mapping and keeps a private copy of the geometry (libclient/segment.c); nobody looks at it again.
 *   - Positions are byte counts from the beginning of time, multiples of RINGD_UNIT, 64 bits; the packed word of a lane
 *     holds the low 32 bits of position / RINGD_UNIT. They only grow. Masked they index the data, subtracted they
 *     compare.
 *   - Fields are grouped by who writes them, each group on cache lines of its own. Two lines (128 bytes) are kept
 *     between groups, because processors fetch lines in pairs.
 *   - Everything here can be written by some other process. It is input: copied, checked, never trusted.
 *
 * The algorithm on these fields, with the order of every access, is described at the head of libclient/ring.h.
 */
#ifndef RINGD_SEGMENT_H
#define RINGD_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RINGD_MAGIC            UINT64_C(0x31303064676e6972) /* "ringd001", little endian */
#define RINGD_LAYOUT_VERSION   5u
#define RINGD_UNIT             32u /* bytes; every record begins at a multiple of it, and a header fills one */
#define RINGD_UNIT_SHIFT       5u
#define RINGD_WRITERS_PER_LANE 31u
#define RINGD_LANES_MAX        64u
#define RINGD_READERS_MAX      256u
#define RINGD_MARKS            16u
#define RINGD_GROUPS_MAX       16u
#define RINGD_GROUPS_MASK      UINT64_C(0xffff)
#define RINGD_SEATS_MAX        64u /* members of a group at once */
#define RINGD_NAMED_MAX        32u /* named cursors */
#define RINGD_NAME_BYTES       64u /* with the terminating zero */
#define RINGD_SIZE_MIN         UINT64_C(4096)
#define RINGD_SIZE_MAX         (UINT64_C(1) << 36) /* 2^31 units */

/* ---- the packed word W of a lane: position : 32 | sealed : 1 | active : 31 ------------------------------------- */

#define RINGD_W_POSITION_SHIFT 32u
#define RINGD_W_SEALED         (UINT64_C(1) << 31)
#define RINGD_W_ACTIVE         (RINGD_W_SEALED - 1)

/* ---- limit: position | closing --------------------------------------------------------------------------------- */

#define RINGD_LIMIT_CLOSING UINT64_C(1) /* no more reservations: the ring is removed, or (control.moving) moves */
#define RINGD_POSITION_MASK (~(uint64_t)(RINGD_UNIT - 1))

/* ---- a writer's place: position | exact ------------------------------------------------------------------------ */

#define RINGD_BEGIN_EXACT UINT64_C(1)

/* ---- record ---------------------------------------------------------------------------------------------------- */

/* The low bits of a stamp, below the position. */
enum ringd_record_state {
    RINGD_STATE_COMMITTED = 1,
    RINGD_STATE_PADDING = 2, /* aborted, or the unused rest of a grant: readers pass over it */
};

/* In band before each payload. The payload follows at once; the next header is at the next multiple of RINGD_UNIT
 * after it. What is granted and not used is stamped as a padding record of its own, so the payload's length is all it
 * takes to find the next header. */
struct ringd_record_header {
    _Atomic uint64_t stamp;  /*  0  (position | state) ^ stamp_key; stored last */
    _Atomic uint64_t extent; /*  8  payload bytes (low 32) | sequence << 32: low 32 bits of how many records this slot
                                    had committed before */
    _Atomic uint64_t origin; /* 16  writer (low 11: lane * 31 + bit) | incarnation << 11 (21 bits) | type << 32 (16) |
                                    level << 48 (8) | flags << 56 (8) */
    _Atomic uint64_t time;   /* 24  as the ring's time source says; 0 without one */
};

#define RINGD_ORIGIN_WRITER_MASK       UINT64_C(0x7ff)
#define RINGD_ORIGIN_INCARNATION_SHIFT 11u
#define RINGD_ORIGIN_INCARNATION_MASK  UINT64_C(0x1fffff)
#define RINGD_ORIGIN_TYPE_SHIFT        32u
#define RINGD_ORIGIN_LEVEL_SHIFT       48u
#define RINGD_ORIGIN_FLAGS_SHIFT       56u

enum ringd_record_flag {
    RINGD_FLAG_MORE = 1,  /* the next record is of the same batch */
    RINGD_FLAG_PART = 2,  /* part of a message: its writer's next record goes on with it */
    RINGD_FLAG_FIRST = 4, /* with PART: the message begins here */
    RINGD_FLAG_LAST = 8,  /* with PART: and ends here; there is one only when all the others are there */
};

/* ---- header ---------------------------------------------------------------------------------------------------- */

enum ringd_segment_flag {
    RINGD_SEGMENT_HOLD = 1,   /* a lossless ring without a lossless reader keeps what it has */
    RINGD_SEGMENT_SINGLE = 2, /* each lane has one writer at a time, in its first slot: see ring_single.h */
};

struct ringd_segment_header {
    _Atomic uint64_t magic;      /*   0  published last */
    uint32_t layout_version;     /*   8 */
    uint32_t flags;              /*  12  enum ringd_segment_flag */
    uint64_t ring_id;            /*  16  random; both objects carry it */
    uint64_t segment_bytes;      /*  24  length of the segment, data included once */
    uint64_t readers_bytes;      /*  32  length of the readers' object */
    uint64_t readers_offset;     /*  40  0: an object of its own */
    uint64_t lanes_offset;       /*  48 */
    uint64_t data_offset;        /*  56  lane i's data: data_offset + i * data_bytes */
    uint64_t data_bytes;         /*  64  per lane; a power of two */
    uint32_t lane_count;         /*  72 */
    uint32_t lane_bytes;         /*  76  distance between lanes */
    uint32_t readers_max;        /*  80 */
    uint32_t max_record;         /*  84  payload bytes */
    uint64_t max_grant;          /*  88  bytes: the most that one addition may take */
    uint32_t policy;             /*  96  enum ringd_policy */
    uint32_t time_source;        /* 100  enum ringd_time */
    uint64_t stamp_key;          /* 104 */
    uint64_t first_position;     /* 112  of the first lane; of generation 1, of all lanes. Later: lane.first */
    uint64_t generation;         /* 120  1 for a ring that was never moved */
    uint64_t created_ns;         /* 128  CLOCK_REALTIME */
    uint64_t ticks_per_second;   /* 136  of the time source; 0 when not known */
    uint32_t stopped_policy;     /* 144  enum ringd_stopped */
    uint32_t stopped_after_ms;   /* 148  how long a stopped writer may be in the way; 0 with the policy "report" */
    uint32_t slow_policy;        /* 152  enum ringd_slow */
    uint32_t slow_after_ms;      /* 156  how long a lossless reader may keep writers waiting; 0: as long as it likes */
    uint64_t slow_bytes;         /* 160  how far it may be behind; 0: as far as the ring reaches */
    uint64_t reserved[3];        /* 168 */
    char name[RINGD_NAME_BYTES]; /* 192 */
};

/* ---- control: written by the daemon ---------------------------------------------------------------------------- */

enum ringd_ring_state {
    RINGD_RING_LIVE = 1,
    RINGD_RING_REMOVED = 2, /* readers drain what is there, then see the end */
};

enum ringd_owner_state {
    RINGD_OWNER_NONE = 0,
    RINGD_OWNER_WRITER = 1,
    RINGD_OWNER_LOSSLESS = 2,
    RINGD_OWNER_LOSSY = 3,
    RINGD_OWNER_OBSERVER = 4,
    RINGD_OWNER_EVICTED = 5, /* was lossless, holds nobody up any more */
};

struct ringd_owner {
    _Atomic uint32_t state;       /*  0  enum ringd_owner_state */
    _Atomic uint32_t incarnation; /*  4  of the slot, counts up with each attach */
    _Atomic uint32_t pid;         /*  8  for people; evidence of nothing */
    _Atomic uint32_t uid;         /* 12 */
};

/* A move to the next generation, of which this segment is the one that is left. */
enum ringd_moving {
    RINGD_MOVING_NO = 0,
    RINGD_MOVING_BEGUN = 1, /* nobody reserves any more; readers wait for the lists of what was given up */
    RINGD_MOVING_DONE = 2,  /* the lists are closed and the next generation is there: ask the daemon for it */
};

/* A group of readers, each record of which goes to one of its members. Who has a seat is a reader slot; what the
 * members share of each lane is in struct ringd_group_lane. */
enum ringd_group_state {
    RINGD_GROUP_NONE = 0,
    RINGD_GROUP_LIVE = 1,
    RINGD_GROUP_EVICTED = 2, /* holds nobody up any more; its members are at their end */
};

struct ringd_group {
    _Atomic uint32_t state;                 /*  0  enum ringd_group_state */
    _Atomic uint32_t orphans;               /*  4  enum ringd_orphans */
    _Atomic uint64_t seated;                /*  8  bit per seat that is taken, also by one who died with a claim */
    _Atomic uint8_t seats[RINGD_SEATS_MAX]; /* 16  the reader slot that has it */
    _Atomic uint64_t lost;                  /* 80  records of claims whose members died (RINGD_ORPHANS_LOST) */
    uint8_t reserved[40];
};

struct ringd_control {
    _Atomic uint32_t state;      /*   0  enum ringd_ring_state */
    _Atomic uint32_t moving;     /*   4  enum ringd_moving */
    _Atomic uint64_t next_bytes; /*   8  data_bytes of the next generation; for the daemon's successor */
    uint32_t reserved_0[28];
    _Atomic uint64_t lossless[RINGD_READERS_MAX / 64]; /* 128  bit r: reader slot r holds writers up, at its cursors */
    _Atomic uint64_t groups;                           /* 160  bit g: group g holds writers up */
    uint8_t reserved_1[344];
    struct ringd_owner readers[RINGD_READERS_MAX]; /* 512 */
    struct ringd_group group[RINGD_GROUPS_MAX];    /* 4608 */
    uint8_t reserved_2[1536];                      /* 6656 */
};

/* ---- lane ------------------------------------------------------------------------------------------------------ */

/* Written by the writer that owns the slot, but for `owner`, `first_sequence` and `lost` (the daemon).
 * Line 0 is all that an ordinary write touches. */
struct ringd_writer_slot {
    _Atomic uint64_t begin;    /*   0  position | exact; before the addition a lower bound, then the exact place */
    _Atomic uint32_t length;   /*   8  bytes of the grant; stored before `begin` */
    _Atomic uint32_t need;     /*  12  bytes it looks for, or waits for if its bit in `waiters` is set; else 0 */
    _Atomic uint64_t ticket;   /*  16  its turn among the waiting; 0: not drawn yet */
    _Atomic uint64_t offered;  /*  24  records; counted before the addition */
    _Atomic uint64_t sequence; /*  32  records committed through this slot since the ring was made, all incarnations */
    _Atomic uint64_t bytes;    /*  40  payload bytes committed */
    _Atomic uint64_t aborted;  /*  48  records */
    _Atomic uint64_t refused;  /*  56  records: full, too large */
    _Atomic uint64_t dropped_full;    /*  64  records: a lossless reader was in the way */
    _Atomic uint64_t dropped_stalled; /*  72  records: an unfinished writer was in the way */
    _Atomic uint64_t waited;          /*  80  times it slept for space */
    uint64_t first_sequence;          /*  88  `sequence` when the owner attached */
    struct ringd_owner owner;         /*  96 */
    _Atomic uint64_t lost;    /* 112  records offered by an owner that died with them; the daemon, at its repair */
    _Atomic uint64_t verdict; /* 120  enum ringd_verdict */
};

/* The counters of writers that have left, so that the sums stay true when a slot gets a new owner. Daemon only. */
struct ringd_departed {
    _Atomic uint64_t offered, committed, bytes, aborted, refused, dropped_full, dropped_stalled, waited, lost;
};

/* While an owner that has left is added to the departed: what the sums are going to be with it. Daemon only. */
struct ringd_closing {
    _Atomic uint64_t slot;      /* 0  its number and one more; 0: nothing is under way */
    struct ringd_departed sums; /* 8 */
};

/* What becomes of a grant that was open when its lane was sealed. The daemon and its writer settle it by
 * compare-and-swap, once. */
enum ringd_verdict {
    RINGD_VERDICT_NONE = 0,
    RINGD_VERDICT_COMMITTED = 1, /* it is finished and counts */
    RINGD_VERDICT_ABANDONED = 2, /* it is not there; its writer appends it anew in the next generation */
};

/* How a lane ended. Daemon only; read once control.moving says that it is closed. */
struct ringd_move {
    _Atomic uint64_t end;   /*   0  position: the lane ends here */
    _Atomic uint64_t word;  /*   8  W as it was sealed, without the seal: the writers in it had grants open */
    _Atomic uint64_t count; /*  16  of the following */
    _Atomic uint64_t gone[RINGD_WRITERS_PER_LANE]; /* 24  not there: units from its begin to `end` << 32 | units */
};

struct ringd_lane {
    union { /*    0  W: every writer, by fetch-and-add, fetch-and-sub, (repair) fetch-and-and only; a
                     move seals it by compare-and-swap */
        _Atomic uint64_t word;
        struct { /* the parts that a lane's single writer stores by themselves */
            _Atomic uint8_t single_active;
            uint8_t others_and_sealed[3];
            _Atomic uint32_t single_units;
        };
    };
    uint64_t reserved_0[15];
    union { /* 128  one 16-byte word for the compare-and-swap that raises the limit */
        struct {
            _Atomic uint64_t limit; /* 128  position | closing */
            _Atomic uint64_t joins; /* 136  lossless readers that joined behind the frontier; the daemon adds */
        };
        _Alignas(16) unsigned __int128 limit_and_joins;
    };
    _Atomic uint32_t waiters; /*  144  bit per writer that waits for space; read with `limit` on every reserve */
    uint32_t reserved_1[27];
    _Atomic uint64_t next_ticket; /*  256 */
    uint64_t reserved_2[15];
    _Atomic uint64_t marks[RINGD_MARKS]; /*  384  mark i: a record boundary in section i of the data, by lap */
    struct ringd_departed departed;      /*  512 */
    struct ringd_move move;              /*  584 */
    struct ringd_closing closing;        /*  856 */
    _Atomic uint64_t first;              /*  936  position where the lane begins in this generation; the daemon */
    uint8_t reserved_3[80];              /*  944 */
    struct ringd_writer_slot writers[RINGD_WRITERS_PER_LANE]; /* 1024 */
    uint8_t reserved_4[128];
};

/* ---- the readers' object --------------------------------------------------------------------------------------- */

/* An eventcount, twice, in one aligned word so that one load looks at both. Bit 0 of each: somebody sleeps; the rest
 * counts wake-ups. `data`: readers sleep on it. `space`: writers sleep on it. */
struct ringd_waits {
    _Atomic uint32_t data;
    _Atomic uint32_t space;
};

struct ringd_readers_header {
    uint64_t ring_id; /*   0  as in the segment's header */
    uint64_t reserved_0[15];
    _Alignas(8) struct ringd_waits waits; /* 128 */
    uint8_t reserved_1[3960];
};

#define RINGD_KNOWN_CHANGING (UINT64_C(1) << 63) /* in `known`: it and `base` do not belong together just now */

/* Written by the reader that owns the slot. Observers cannot, theirs stay zero. */
struct ringd_reader_slot {
    _Atomic uint64_t delivered; /*  0  records */
    _Atomic uint64_t bytes;     /*  8  payload bytes */
    _Atomic uint64_t lost;      /* 16  records, in gaps */
    _Atomic uint64_t gaps;      /* 24 */
    _Atomic uint64_t slept;     /* 32 */
    _Atomic uint64_t skipped;   /* 40  records: not what it wants to see, or parts of a message that was not finished */
    uint64_t reserved[10];
};

/* One line for each reader of each lane: all below it is released. Where a reader that reads one lane does not look it
 * is RINGD_CURSOR_ELSEWHERE. `settled` is how many records of the lane it has
 * been given, has skipped and has lost as of that position; it belongs to it if `settling`, loaded after it, is the
 * same (the reader stores settling, position, settled). */
struct ringd_cursor {
    _Atomic uint64_t position;  /*  0  of a group's member with a claim: all of the claim below it is released */
    _Atomic uint64_t settling;  /*  8 */
    _Atomic uint64_t settled;   /* 16 */
    _Atomic uint64_t known;     /* 24  bit per writer of the lane: where the account of it begins is in `base` */
    _Atomic uint64_t base;      /* 32  sum over these: how many records the slot had committed before */
    _Atomic uint64_t unsettled; /* 40  1: it was overtaken, and for some slots has yet to find out what it lost */
    union {
        _Atomic uint64_t claim_end; /* 48  of a group's member: where its claim ends | returned */
        _Atomic uint64_t behind;    /* 48  of another lossless one: bytes that it still has to read in the generation
                                           before this one. They count as if they were in this one */
    };
    _Atomic uint64_t in_memory; /* 56  of a group's member: messages begun whose first part it holds no more */
};

/* Later than every position that there will be (they begin below 2^62): whoever compares it with one finds that nothing
 * is held. */
#define RINGD_CURSOR_ELSEWHERE ((UINT64_C(1) << 63) - RINGD_UNIT)

#define RINGD_CLAIM_RETURNED   UINT64_C(1) /* its member left in order: nobody has seen what was not released of it */

/* What a group's members share of one lane: the mirror image of W. */
struct ringd_group_lane {
    union { /* 0  one 16-byte word: claimed by compare-and-swap, finished by fetch-and-and */
        struct {
            _Atomic uint64_t position; /* 0  all below is claimed */
            _Atomic uint64_t active;   /* 8  bit per seat with a claim that is not finished */
        };
        _Alignas(16) unsigned __int128 position_and_active;
    };
    _Atomic uint64_t orphaned; /* 16  bit per active seat whose reader has gone: another member takes its claim over */
    _Atomic uint8_t takers[RINGD_SEATS_MAX]; /* 24  of an orphaned claim: the seat of who has taken it over, and one; 0:
                                                     nobody. By compare-and-swap from 0 */
    uint64_t reserved[5];
};

/* What a named cursor has to remember of one lane, for when its reader comes back. Written by that reader; by the
 * daemon when nobody has it, and before a reader goes on to this generation. */
struct ringd_named_lane {
    _Atomic uint64_t position;                     /* 0  all below is released; UINT64_MAX: nobody has been here */
    _Atomic uint64_t next[RINGD_WRITERS_PER_LANE]; /* 8  the sequence number expected from each writer as of there;
                                                         RINGD_NEXT_KNOWN: it has been counted from its start on */
};

#define RINGD_NEXT_KNOWN (UINT64_C(1) << 63)

/* The readers' object:
 *
 *        0  struct ringd_readers_header
 *     4096  struct ringd_reader_slot slots[RINGD_READERS_MAX]
 *    36864  struct ringd_cursor cursors[lane_count][RINGD_READERS_MAX]
 *           struct ringd_group_lane groups[lane_count][RINGD_GROUPS_MAX]
 *           struct ringd_named_lane named[lane_count][RINGD_NAMED_MAX]
 *
 * The segment:
 *
 *        0  struct ringd_segment_header
 *     4096  struct ringd_control
 *    12288  struct ringd_lane lanes[lane_count]
 *           data: data_bytes for each lane; mapped twice, back to back
 *
 * Data begins at a multiple of RINGD_HUGE_BYTES if it has that many bytes, so that huge pages fit it, and is followed
 * by nothing; what lies before it takes no memory. Smaller data begins at the page after the lanes.
 */
#define RINGD_HUGE_BYTES     UINT64_C(2097152)
#define RINGD_CONTROL_OFFSET UINT64_C(4096)
#define RINGD_LANES_OFFSET   UINT64_C(12288)
#define RINGD_SLOTS_OFFSET   UINT64_C(4096)
#define RINGD_CURSORS_OFFSET UINT64_C(36864)

/* ---- the numbers above, held to ----------------------------------------------------------------------------------*/

#define RINGD_AT(type, field, offset)                                                                                  \
    _Static_assert(offsetof(struct type, field) == (offset), #type "." #field " is at " #offset)
#define RINGD_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has " #bytes " bytes")

RINGD_SIZE(ringd_record_header, 32);
RINGD_AT(ringd_record_header, extent, 8);
RINGD_AT(ringd_record_header, origin, 16);
RINGD_AT(ringd_record_header, time, 24);
RINGD_SIZE(ringd_segment_header, 256);
RINGD_AT(ringd_segment_header, ring_id, 16);
RINGD_AT(ringd_segment_header, segment_bytes, 24);
RINGD_AT(ringd_segment_header, readers_offset, 40);
RINGD_AT(ringd_segment_header, data_offset, 56);
RINGD_AT(ringd_segment_header, lane_count, 72);
RINGD_AT(ringd_segment_header, max_record, 84);
RINGD_AT(ringd_segment_header, max_grant, 88);
RINGD_AT(ringd_segment_header, policy, 96);
RINGD_AT(ringd_segment_header, stamp_key, 104);
RINGD_AT(ringd_segment_header, generation, 120);
RINGD_AT(ringd_segment_header, ticks_per_second, 136);
RINGD_AT(ringd_segment_header, stopped_policy, 144);
RINGD_AT(ringd_segment_header, slow_bytes, 160);
RINGD_AT(ringd_segment_header, name, 192);
RINGD_SIZE(ringd_owner, 16);
RINGD_SIZE(ringd_control, 8192);
RINGD_AT(ringd_control, moving, 4);
RINGD_AT(ringd_control, next_bytes, 8);
RINGD_AT(ringd_control, lossless, 128);
RINGD_AT(ringd_control, readers, 512);
RINGD_SIZE(ringd_writer_slot, 128);
RINGD_AT(ringd_writer_slot, length, 8);
RINGD_AT(ringd_writer_slot, ticket, 16);
RINGD_AT(ringd_writer_slot, sequence, 32);
RINGD_AT(ringd_writer_slot, refused, 56);
RINGD_AT(ringd_writer_slot, dropped_full, 64);
RINGD_AT(ringd_writer_slot, first_sequence, 88);
RINGD_AT(ringd_writer_slot, owner, 96);
RINGD_AT(ringd_writer_slot, lost, 112);
RINGD_AT(ringd_writer_slot, verdict, 120);
RINGD_SIZE(ringd_lane, 5120);
RINGD_AT(ringd_lane, limit, 128);
RINGD_AT(ringd_lane, limit_and_joins, 128);
RINGD_AT(ringd_lane, joins, 136);
RINGD_AT(ringd_lane, waiters, 144);
RINGD_AT(ringd_lane, next_ticket, 256);
RINGD_AT(ringd_lane, marks, 384);
RINGD_AT(ringd_lane, departed, 512);
RINGD_AT(ringd_lane, move, 584);
RINGD_AT(ringd_lane, closing, 856);
RINGD_AT(ringd_lane, first, 936);
RINGD_AT(ringd_lane, writers, 1024);
RINGD_SIZE(ringd_readers_header, 4096);
RINGD_AT(ringd_readers_header, waits, 128);
RINGD_AT(ringd_control, groups, 160);
RINGD_AT(ringd_control, group, 4608);
RINGD_SIZE(ringd_group, 128);
RINGD_AT(ringd_group, seats, 16);
RINGD_AT(ringd_group, lost, 80);
RINGD_SIZE(ringd_reader_slot, 128);
RINGD_AT(ringd_reader_slot, skipped, 40);
RINGD_SIZE(ringd_cursor, 64);
RINGD_AT(ringd_cursor, settled, 16);
RINGD_AT(ringd_cursor, known, 24);
RINGD_AT(ringd_cursor, claim_end, 48);
RINGD_AT(ringd_cursor, in_memory, 56);
RINGD_SIZE(ringd_group_lane, 128);
RINGD_AT(ringd_group_lane, orphaned, 16);
RINGD_AT(ringd_group_lane, takers, 24);
RINGD_SIZE(ringd_named_lane, 256);
_Static_assert(RINGD_CURSORS_OFFSET == RINGD_SLOTS_OFFSET + RINGD_READERS_MAX * 128, "cursors follow the slots");
_Static_assert(RINGD_LANES_OFFSET == RINGD_CONTROL_OFFSET + 8192, "lanes follow the control");
_Static_assert(RINGD_UNIT == 1u << RINGD_UNIT_SHIFT, "one unit");

#endif
