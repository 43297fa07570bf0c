/* ring.h - the ring itself: how writers get space, how readers know what is valid, how space comes back.
 *
 * One lane of a ring is the packed word W {position:32 | sealed:1 | active:31}, the `limit` up to which writers may go,
 * a slot for each writer and the data, mapped twice. (Map: include/ringd_segment.h. Method: US 9,268,698 B1 and
 * US 9,003,131 B1; R1 to R18 are the promises in README.md.)
 *
 * - reserve (ring_take): checks `position + bytes <= limit`, says in its slot how much and from where on it looks
 *   for space, adds {units, my bit} to W in ONE fetch-and-add (the old value is its place: R2, R11), says in its
 *   slot exactly where.
 *
 * - commit (ring_finish): after the record's stamp is stored (R5, R8) subtracts its bit. If no other bit was set, W
 *   now says "position P, nobody active": that opens all below P in the same step (R6, R7).
 *
 * - frontier (ring_frontier): the smallest of the position in ONE snapshot of W and the places of the writers active
 *   in it. All below is final.
 *
 * - raise (ring_raise): by any writer that is short: limit := min(frontier, cursors of lossless readers) + size -
 *   head room, in one compare-and-swap from the value read before the scan.
 *
 * - floor M: limit - (size - head room), what the limit was computed from. A record boundary, but where a lane that
 *   goes on from an older generation has not been round once: there it may lie below the place where the lane begins
 *   (`first`). What lies at M or above is not overwritten while the limit stands.
 *
 * Why the head room (32 grants) suffices: between a writer's check and its addition others may add. Of the additions
 * since the one that passed the limit every one was checked before it, so each of 31 writers has at most one of them.
 *
 * Why 32 bits of position suffice: the true position lies between M and limit + head room. Loading limit, W, limit and
 * starting over if the limit moved by more than 2^30 units between the two makes the extension unique, however long one
 * sleeps in between. After the addition one load of limit suffices: my bit holds the frontier, and so the limit, back.
 *
 * The limit is raised by steps. Only as far as needed and a little more (to a mark: a record boundary that the writer
 * who crossed from one sixteenth of the data into the next has noted), so that the newest part of a ring can always be
 * read from its floor on, however it is used.
 *
 * A writer that dies between reserve and commit leaves its bit set, which holds the frontier. Its daemon finds out,
 * makes its grant padding unless it was committed, and clears the bit by an atomic AND: ring_repair.h.
 *
 * Waiting for space is in the order of arrival (R11): a writer that spinning and naps (a millisecond in all, or some
 * more while others are in flow) have not helped gets in line. It has a bit in `waiters`, a ticket and its need in its
 * slot. (One that waits busy, or is to sleep at once, gets in line at once, too.) Nobody takes room that those before
 * it need; a newcomer comes after everybody, and goes on beside them only if there is room for all of them, for one
 * grant of everybody who may be looking at the same moment, and for its own. So a waiting writer that stopped or died
 * costs the others the room it asked for and nothing else.
 *
 * A lossless reader joins by its daemon: cursors published in all lanes, bit in `lossless` set, then in each lane
 * `joins` counted up and M read; it starts no earlier than that M. A raise whose scan did not see the cursor read
 * `joins` before and fails. (Beginning at "now" needs no count: a raise that has not seen the cursor stays below a
 * position loaded after it was published.)
 *
 * One that reads a single lane joins there alone. The bit is one for all lanes; in the others its cursor, which is
 * stored before the bit is set (J2 releases it), says that it is elsewhere: later than any position, so that nobody who
 * compares it finds it in the way, and a raise does not count it as a reader of the lane, which may hold for one.
 *
 * A lossless reader that is further behind than slow_bytes is met at each mark and when there is no room (far_behind);
 * one that keeps a writer waiting, before it sleeps (behind_reader, watch). The writer only says so; the daemon judges,
 * tells the reader (V3) and takes its bit out of `lossless`. Whoever reads in place looks (V2) after it has read.
 *
 * Readers that share a lane, each record going to one of them, have a word of their own, the mirror image of W:
 * ring_group.h.
 *
 * A ring has 1 to 64 lanes, each with all of this for itself; they share control, waits and the bits of `lossless` and
 * `groups`. A message longer than max_record is written as several records, which readers put together:
 * reader_message.h.
 *
 * What a lossless reader still has to read of the generation before (`behind` beside its cursor) counts as if it lay
 * below the beginning of this one: so a move gives writers no more room than they had. It becomes less as the reader
 * gets on there, and is 0 before its cursor moves; whoever loads cursor and then `behind` finds a place that is not too
 * high.
 *
 * A lane ends, for a move of its ring to a new generation, by `closing` in limit and `sealed` in W: ring_move.h.
 */
/* clang-format off */
/* ORDERS. Each end is labelled where it stands. RMW: a locked instruction. On x86 acquire loads and release stores are
 * plain moves; only the RMWs and the seq_cst stores cost.
 *
 *   end                              partner                          without it
 *   W1 store slot.length  release    E2 load length   acquire         a length of the next grant beside the old place
 *   W2 store slot.begin   release    F2 load begin    acquire         (travels with W3)
 *   W3 RMW   W += grant   seq_cst    F1 load W        seq_cst         a frontier above a reservation under way
 *   W4 load  limit        acquire    G2 CAS limit                     floor from before the raise that let it pass
 *   W5 store begin exact  release    F2 load begin    acquire         frontier held back longer than need be
 *   W6 fence              release    V1 fence         acquire         a lossy copy with bytes of the next lap passes
 *   C1 store stamp        release    N1 load stamp    acquire         payload not there yet
 *   C2 store sequence     release    N4 load sequence acquire         a count that lags behind the records seen
 *   C3 RMW   W -= bit     seq_cst    N2 load W        acquire         "nobody active" before data of those who left
 *                                    S2 load W        seq_cst         sleeper misses the record that was to wake it
 *   C4 load  waits        seq_cst    S1 RMW announce  seq_cst         writer misses the sleeper (both: lost wake-up)
 *   G1 load  joins, limit seq_cst    J3 RMW joins++   seq_cst         a raise past a cursor it did not see
 *   G2 CAS   limit,joins  seq_cst    W0 load limit    acquire         writing over what readers have not given back
 *   G3 load  cursor       seq_cst    P1 store cursor  release         overwriting what is being read
 *                                    P1 again         seq_cst         lost wake-up (when caught up; see reader.c)
 *   G3 load  behind       seq_cst    P4 store behind  seq_cst         lost wake-up; after G3 of the cursor: a place
 *      (after the cursor)               before P1 in this generation    above what is still to be read there
 *   P3 store settled      release    doctor: settled, cursor, settling; all acquire: an account of another position
 *   P2 load  waits.space  seq_cst    S1 RMW announce  seq_cst         reader misses the writer that waits for space
 *   V3 store owner EVICTED seq_cst   V2 fence, load   acquire         what was read in place of a record that is gone
 *   J1 store cursor       seq_cst    G3 load cursor   seq_cst         (as J3)
 *   J2 RMW   lossless     seq_cst    G3 load lossless seq_cst         (as J3)
 *   J4 load  limit or W   seq_cst    G2, W3                           start below what may be overwritten already
 *   E1 load  W (snapshot) seq_cst    W3 RMW           seq_cst         repair: a grant of somebody who is not in it
 *   E2 load  slot.length  acquire    W1 store         release         repair: no stamp seen beside a later length
 *   E3 fence, load limit  acquire    W6 fence, G2     release         repair: bytes of the next lap taken for a span
 *   E4 store padding      release    N1 load stamp    acquire         padding with an old length
 *   E5 store sequence     release    N4 load sequence acquire         (as C2, for a writer that died before it)
 *   E6 RMW   W &= ~bit    seq_cst    N2, S2 load W    seq_cst         (as C3)
 *   Q1 RMW   waiters |=   seq_cst    W0 load waiters  relaxed         only order of service; the limit guards data
 *   T1 RMW   next_ticket  seq_cst    Q1 of another                    a later ticket that does not see the earlier one
 *   T2 load  next_ticket  seq_cst    T1 of another    seq_cst         one who counts a need that has gone sleeps on
 *      after waiters &=   seq_cst
 *   X1 store moving       seq_cst    X2 load moving   seq_cst         (sleepers) nobody wakes who waits in vain
 *      then a full fence, X4         X2 load moving   acquire, after  a record delivered that X4 did not see and gave
 *                                       N1 load stamp                 up (stores are to be seen by all at once, as on
 *                                                                     x86 and arm64)
 *   X1 store moving       seq_cst    W0, G1 limit with closing        a ring that moves taken for one that is removed
 *   X3 CAS   W sealed     seq_cst    W3, C3           seq_cst         members and end are those of one moment
 *   X4 load  stamp        acquire    C1 store stamp   release         (as X1)
 *   X5 CAS   verdict      seq_cst    X5 of the other  seq_cst         committed and appended anew
 *   X6 store moving DONE  seq_cst    X2 load moving   acquire         a list that is not there yet
 *   X7 load  sequence     acquire    C2 store sequence release        a count of a record that is then given up
 *   K1 store claim, cursor release   K4 load cursor   seq_cst         (travels with K2)
 *   K2 CAS   position,active seq_cst K3 load both     seq_cst         a group's frontier above a claim under way
 *      and its load K3    seq_cst    K2 of another    seq_cst         lengths of the next lap claimed by
 *   K5 store cursor       release    K4 load cursor   seq_cst         (as P1, for a part of a claim)
 *   K6 RMW   active &=    seq_cst    K3 load both     seq_cst         overwriting what is being read (as G3)
 *                                    X8 load active   acquire         following while a claim is still read
 *      (after K2 in the next generation)                               going on there before a message's owner holds it
 *   K7 store in_memory    release    K7 load by the daemon acquire    a message lost with its owner and not counted
 *      (before K5, K6)               (after the member's death)
 *   O1 RMW   orphaned |=  seq_cst    O2 load orphaned acquire         an orphan without its range
 *   O3 CAS   takers       seq_cst    O3 of another    seq_cst         two members with one orphan
 *      then load active,             K6, O4           seq_cst         an orphan that was finished before
 *         orphaned        seq_cst
 *   O4 RMW   orphaned &=, then       O3, O1 of the next owner         (as above: after K6 and before it goes out of
 *      store takers       release                                        takers, so that active without orphaned is
 *                                                                        no orphan yet)
 *   J5 store position     seq_cst    K3 load position seq_cst         (as J1, of a group)
 *   J6 RMW   groups       seq_cst    G3 load groups   seq_cst         (as J2)
 *   counters and marks    relaxed    -                                (numbers; a mark is checked by the frontier)
 *   in a lane with a single writer, for W3 to W5 and C3 (ring_single.h):
 *   Z1 store begin exact  release    F2 load begin    acquire         (as W2)
 *   Z2 store active 1     release    N2, F1 load W                    "nobody active" above a grant under way (Z3)
 *   Z3 store units        release    V1 fence, load W acquire         (as W6, with its fence)
 *   Z4 load  limit        acquire    Y1 barrier       membarrier      a grant that is neither void nor a member's
 *      after Z2              after closing, before X3
 *   Z5 store active 0     release    N2, S2 load W                    (as C3)
 *   Z6 load  limit        acquire    Y1 (as Z4)                       a member that does not ask for its verdict
 *      after Z5
 *   C4 load  waits        acquire    Y2 barrier       membarrier      (as C4)
 *      after Z5              after S1, before S2
 *   Z7 fence              seq_cst    J1, J4                           start below what a raise lets be overwritten whose
 *      before G3                                                        scan did not see the cursor
 *   Z8 fence              seq_cst    N2 load W        seq_cst         a record with a time before that at which one who
 *      after Z3, before the time        after the time                  merges has not seen it
 */
/* clang-format on */
/* Cost of an uncontended write: 2 RMW (W3, C3), none in a lane with a single writer; loads of W, limit (with waiters),
 * waits; stores to its own slot (one line) and to the record. The lines of W, limit and waits are shared; only that of
 * W is written per record. (Writers in full flow on several processors take turns, so that most of their records find
 * that line at home: take_turns().) Cost of a read: the record's own lines. W, limit and cursors only when there is
 * nothing to read or a batch is done.
 */
#ifndef LIBCLIENT_RING_H
#define LIBCLIENT_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringd.h"
#include "ringd_segment.h"
#include "segment.h"
#include "stop_point.h"

/* A context's own view of one lane: private memory, pointers into shared memory. */
struct ring {
    struct ringd_lane *lane;
    unsigned char *data;
    uint64_t mask;  /* size - 1 */
    uint64_t reach; /* size - head room: limit - floor */
    uint64_t first; /* where the lane begins in this generation: nothing below it is here */
    uint64_t stamp_key;
    uint64_t max_grant;
    uint64_t size;
    struct ringd_control *control;
    struct ringd_waits *waits;
    struct ringd_cursor *cursors;    /* RINGD_READERS_MAX of this lane */
    struct ringd_group_lane *groups; /* RINGD_GROUPS_MAX of this lane */
    uint64_t slow_bytes;             /* further behind a lossless reader should not be; 0: as it likes */
    bool keeps;                      /* policy: lossless readers count */
    bool hold;
    bool single; /* ring_single.h */
};

/* What is done about a writer that stays in mid-record, by those who wait for it: after a while, and then ever more
 * rarely, the daemon is asked to look. */
struct ring_watch {
    int64_t after_ns; /* 0: nothing is done */
    void (*report)(void *argument);
    void *argument;
};

/* Since when somebody has been in the way of one that waits; zeroed: nobody. */
struct ring_stall {
    int64_t since_ns;
    int64_t pause_ns;
};

/* A writer's part of it. */
struct ring_writer {
    struct ring ring;
    struct ringd_writer_slot *slot;
    uint64_t bit;
    uint64_t limit_seen; /* some earlier value of limit: the first of the three loads */
    uint64_t floor;      /* of it */
    uint64_t next_mark;  /* a grant that ends here or later is the first in another section */
    uint64_t stop;       /* up to here there is nothing to look at: the limit or the next mark, whichever is first */
    uint64_t position;   /* of a lane with a single writer: where its next grant begins */
    bool fenced;         /* such a writer that makes its own barriers */
    uint32_t wait;       /* enum ringd_wait */
    uint32_t spins;      /* looks for space before it sleeps */
    bool brisk;          /* the last nap was longer than what was in the ring lasted */
    bool unsettled;      /* the last look met a place or a ticket that is about to be stored */
    bool crowded;        /* the last look left room to others who wait */
    bool suspicious;     /* met a cursor that makes no sense; the daemon should look */
    struct ring_watch stall_watch; /* of one that stays in mid-record */
    bool far_behind;               /* met a lossless reader that is further behind than slow_bytes; likewise */
    bool behind_reader;            /* the last look for space found a lossless reader in the way */
    uint64_t needed;               /* bytes that the last look did not find, with what those before it need */

    /* Called before it sleeps for space; gives when it wants to be called again at the latest. May be NULL. */
    int64_t (*watch)(struct ring_writer *writer);
};

/* What one addition has brought: `bytes` from `place` on, the writer's own until ring_finish. */
struct ring_grant {
    uint64_t place;
    uint64_t bytes;
};

/* What the three loads give. */
struct ring_view {
    uint64_t joins;
    uint64_t limit; /* with its flag */
    uint64_t word;
    uint64_t position; /* of `word`, all 64 bits */
};

/* ring_finish: the lane was sealed while the grant was open (ring_move.h). Never leaves the library. */
#define RING_SEALED 64

/* ring_finish: others are in mid-record at this moment. Never leaves the library either. */
#define RING_IN_COMPANY 63

/* Why there is no room. */
enum ring_shortage {
    RING_FULL_READER = 1, /* a lossless reader, or the ring holds for one */
    RING_FULL_WRITER = 2, /* a writer has not finished what lies a lap behind */
};

/* How far ahead of its grant a writer asks for lines, for how much at most (more would push out what it is copying),
 * and how long these are. */
#define RING_PREFETCH      1024
#define RING_PREFETCH_MOST 2048
#define RING_LINE          64

/* How soon a writer that has gone to sleep for space looks once more; see ring_wait_in_turn. */
#define RING_SECOND_LOOK_NS 1000000

/* How far the limit may move between the loads that extend a position. */
#define RING_LIMIT_JUMP (UINT64_C(1) << (30 + RINGD_UNIT_SHIFT))

void ring_init(struct ring *ring, const struct segment *segment, uint32_t lane);
void ring_writer_init(struct ring_writer *writer, const struct segment *segment, uint32_t lane, uint32_t bit_number);

/* ---- slow paths (ring.c) --------------------------------------------------------------------------------------- */

/* Room for `want` bytes, at least `min` (with headers, multiples of a unit), raising the limit if need be, waiting
 * until the deadline if allowed. RINGD_OK with *grant; RINGD_FULL with *shortage; -ESHUTDOWN, -EBADMSG, -EINTR. */
int ring_reserve_slow(struct ring_writer *writer, uint64_t min, uint64_t want, int64_t deadline,
                      struct ring_grant *grant, enum ring_shortage *shortage);

/* Before one that waits sleeps until `until`: reports if somebody has been in the way long enough, and returns how long
 * it may sleep before it looks again. `stalled`: somebody in mid-record is in the way. */
int64_t ring_watch_stall(const struct ring_watch *watch, bool stalled, struct ring_stall *stall, int64_t until);

/* Another value of limit, or of next_mark, has been met. */
void ring_see_limit(struct ring_writer *writer, uint64_t limit);

/* An addition that found the word sealed or my bit set. */
int ring_take_failed(struct ringd_lane *lane, uint64_t bit, uint64_t old_word);

/* Notes a record boundary in another section of the data, for raises that need not go all the way. */
void ring_mark(struct ring_writer *writer, uint64_t position);

/* Somebody may sleep, or the word that I took my bit from was not {.., my bit}: -EBADMSG, RING_SEALED, RING_IN_COMPANY,
 * else RINGD_OK. */
int ring_finish_slow(struct ringd_waits *waits, uint64_t old_word, uint64_t bit);

/* ---- what readers and the daemon ask ---------------------------------------------------------------------------- */

/* Limit, W, limit. 0 or -EBADMSG (the limit jumps about: the segment is being scribbled over). */
int ring_look(const struct ring *ring, struct ring_view *view);

/* P with all its bits; as ring_look. */
int ring_position(const struct ring *ring, uint64_t *position);

/* ring_oldest_at, as of one load of limit. */
uint64_t ring_oldest(const struct ring *ring);

/* The smallest of the view's position and the places of the writers active in it: all below is final. *unsettled is set
 * if one of them stands between its addition and its exact place. */
uint64_t ring_frontier(const struct ring *ring, const struct ring_view *view, bool *unsettled);

/* Whether a stamp for exactly this position is there. */
bool ring_record_at(const struct ring *ring, uint64_t position);

/* Whether a reader may start at this position: 0, -ERANGE (overwritten already, or beyond P), -EINVAL (no record begins
 * there), -EBADMSG. */
int ring_check_start(const struct ring *ring, uint64_t position);

/* How many records slot `writer` has committed, if they all lie below `position` and its owner is between two of them.
 */
bool ring_count_below(const struct ring *ring, uint32_t writer, uint64_t position, uint64_t *count);

/* Lossless joins and leaves; called by the daemon for reader slot `reader`, one at a time. ring_join publishes the
 * cursors in all these lanes, sets the bit in `lossless`, which is one for all there are, and then finds in
 * cursors[lane] where the reader starts: at `position` or at M, whichever is later (RINGD_START_OLDEST: M).
 * RINGD_START_NOW: at P. In lanes of the ring that are not among these its cursors are RINGD_CURSOR_ELSEWHERE before.
 * ring_leave takes the bit back and wakes writers; any of the lanes will do. */
int ring_join(struct ring *lanes, uint32_t lane_count, uint32_t reader, uint32_t start, uint64_t position,
              uint64_t *cursors);
void ring_leave(struct ring *ring, uint32_t reader);

/* 1: this reader's cursor lies below M or at no record, certainly, and would hold writers up for ever. 0: it is fine.
 */
int ring_check_cursor(const struct ring *ring, uint32_t reader);

/* How far the reader is behind `position`, in the generation before this one too; 0 if that makes no sense. */
uint64_t ring_lag(const struct ring *ring, uint32_t reader, uint64_t position);

/* No more reservations: the ring is removed, or moves if control.moving says so. Everybody who sleeps is woken by the
 * caller. */
void ring_close(struct ring *ring);

/* ---- inline: the hot path --------------------------------------------------------------------------------------- */

/* A step of every write, made part of each caller. */
#define RING_HOT __attribute__((always_inline)) static inline

/* What is rarely needed, in files that are built for speed: small rather than fast. */
#define RING_COLD __attribute__((cold))

static inline uint64_t ring_floor(const struct ring *ring, uint64_t limit)
{
    return (limit & RINGD_POSITION_MASK) - ring->reach;
}

/* The oldest place that is here and certainly not overwritten, as of this limit: M, or where the lane begins. */
static inline uint64_t ring_oldest_at(const struct ring *ring, uint64_t limit)
{
    uint64_t floor = ring_floor(ring, limit);

    return ring->first - floor <= ring->reach ? ring->first : floor;
}

/* The position of a word, given a floor that it lies less than 2^32 units above. */
static inline uint64_t ring_extend(uint64_t floor, uint64_t word)
{
    uint32_t units = (uint32_t)(word >> RINGD_W_POSITION_SHIFT) - (uint32_t)(floor >> RINGD_UNIT_SHIFT);

    return floor + ((uint64_t)units << RINGD_UNIT_SHIFT);
}

static inline uint64_t ring_round(uint64_t bytes)
{
    return (bytes + RINGD_UNIT - 1) & RINGD_POSITION_MASK;
}

/* What a record of `len` payload bytes takes. */
static inline uint64_t ring_record_bytes(uint64_t len)
{
    return ring_round(sizeof(struct ringd_record_header) + len);
}

static inline struct ringd_record_header *ring_header(const struct ring *ring, uint64_t position)
{
    return (struct ringd_record_header *)(void *)(ring->data + (position & ring->mask));
}

/* What the record or padding there takes. Input: the result may be anything but 0. */
static inline uint64_t ring_span(const struct ring *ring, uint64_t position)
{
    uint64_t extent = atomic_load_explicit(&ring_header(ring, position)->extent, memory_order_relaxed);

    return ring_record_bytes((uint32_t)extent);
}

/* Only its owner adds to a counter: no RMW is needed, and a reader of it gets some recent value. */
RING_HOT void ring_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Asks for the lines from `position` on that are to be written soon. A locked instruction waits for the stores before
 * it, and readers have the lines of the last lap; lines that are there already make that wait short. */
static inline void ring_prefetch(const struct ring *ring, uint64_t position, uint64_t bytes)
{
    for (uint64_t offset = 0; offset < bytes; offset += RING_LINE) {
        const unsigned char *line = ring->data + ((position + offset) & ring->mask);

#if defined(__x86_64__)
        __asm__ volatile("prefetchw %0" : : "m"(*line)); /* what __builtin_prefetch(line, 1) is elsewhere */
#else
        __builtin_prefetch(line, 1);
#endif
    }
}

/* The addition. `seen` is a position at or below the place it will find. (The writer comes by value: what is needed of
 * it is loaded before the locked instruction, which nothing overtakes.) */
RING_HOT int ring_take(struct ring_writer w, uint64_t seen, uint64_t bytes, struct ring_grant *grant)
{
    uint64_t addend = (bytes << (RINGD_W_POSITION_SHIFT - RINGD_UNIT_SHIFT)) + w.bit, old, limit, floor, place;

    ring_prefetch(&w.ring, seen, RING_LINE); /* a reader that has caught up looks at it all the time */
    atomic_store_explicit(&w.slot->length, (uint32_t)bytes, memory_order_release); /* W1 */
    STOP_POINT("reserve-length");
    atomic_store_explicit(&w.slot->begin, seen, memory_order_release); /* W2 */
    STOP_POINT("reserve-begin");
    old = atomic_fetch_add_explicit(&w.ring.lane->word, addend, memory_order_seq_cst); /* W3 */
    STOP_POINT("reserve-added");
    *grant = (struct ring_grant){0};
    if (__builtin_expect((old & (RINGD_W_SEALED | w.bit)) != 0, 0))
        return ring_take_failed(w.ring.lane, w.bit, old);
    limit = atomic_load_explicit(&w.ring.lane->limit, memory_order_acquire); /* W4 */
    floor = __builtin_expect(limit == w.limit_seen, 1) ? w.floor : ring_floor(&w.ring, limit);
    place = ring_extend(floor, old);
    atomic_store_explicit(&w.slot->begin, place | RINGD_BEGIN_EXACT, memory_order_release); /* W5 */
    STOP_POINT("reserve-exact");
    atomic_thread_fence(memory_order_release); /* W6 */
    ring_prefetch(&w.ring, place + bytes + RING_PREFETCH, bytes < RING_PREFETCH_MOST ? bytes : RING_PREFETCH_MOST);
    *grant = (struct ring_grant){.place = place, .bytes = bytes};
    return RINGD_OK;
}

/* Whether `bytes` fit at once and there is nothing else to look at, be it only that the limit has moved since I looked
 * last (so that the first and the last of the three loads are the same). *position is where they would go. */
RING_HOT bool ring_has_room(struct ring_writer w, uint64_t bytes, uint64_t *position)
{
    const struct ringd_lane *lane = w.ring.lane;
    uint64_t word = atomic_load_explicit(&lane->word, memory_order_acquire);
    uint64_t limit = atomic_load_explicit(&lane->limit, memory_order_acquire); /* W0 */
    uint64_t waiters = atomic_load_explicit(&lane->waiters, memory_order_relaxed);
    uint64_t unusual = (limit ^ w.limit_seen) | waiters | (word & (RINGD_W_SEALED | w.bit));

    *position = ring_extend(w.floor, word);
    return __builtin_expect(unusual == 0 && (int64_t)(w.stop - *position - bytes) >= 0, 1);
}

/* Ends a grant whose stamps are stored: I leave the active set, and if I am the last one out, this opens everything
 * below P to readers. Wakes only if somebody sleeps. */
RING_HOT int ring_finish(struct ring_writer w)
{
    uint64_t old = atomic_fetch_sub_explicit(&w.ring.lane->word, w.bit, memory_order_seq_cst); /* C3 */
    uint32_t asleep;

    STOP_POINT("commit-finished");
    asleep = atomic_load_explicit(&w.ring.waits->data, memory_order_seq_cst) |
             atomic_load_explicit(&w.ring.waits->space, memory_order_seq_cst); /* C4 */
    if (__builtin_expect((asleep & 1) != 0 || (old & (RINGD_W_SEALED | RINGD_W_ACTIVE)) != w.bit, 0))
        return ring_finish_slow(w.ring.waits, old, w.bit);
    return RINGD_OK;
}

/* A stamp against the one that this position must have: RINGD_STATE_COMMITTED, RINGD_STATE_PADDING, or not there. */
static inline uint64_t ring_stamp_state(const struct ring *ring, uint64_t position, memory_order order)
{
    return atomic_load_explicit(&ring_header(ring, position)->stamp, order) ^ ring->stamp_key ^ position;
}

static inline bool ring_state_valid(uint64_t state)
{
    return state == RINGD_STATE_COMMITTED || state == RINGD_STATE_PADDING;
}

#endif
