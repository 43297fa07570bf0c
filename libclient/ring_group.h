/* ring_group.h - a group of readers shares a lane: each record goes to exactly one of its members.
 *
 * The mirror image of what writers do. A lane has one word for each group, {position:64 | active:64}: all below
 * `position` is claimed, and a member (a seat, one bit) with a claim that is not finished is active.
 *
 *   look       ring_group_look      position and active of one moment.
 *   choose     ring_group_choose    lengths must be read before a claim: walks the stamps from the position on. Nothing
 *                                   is held for it, but the group holds its position: if the claim succeeds, nobody
 *                                   had passed it, so what was read had not been overwritten.
 *   claim      ring_group_claim     says in its cursor from where and up to where, then {p, A} -> {end, A | seat} in
 *                                   ONE 16-byte compare-and-swap. Positions have 64 bits and never come again: whoever
 *                                   slept between look and claim, however long, fails if anybody has claimed since.
 *   advance    ring_group_advance   gives back a part of a claim.
 *   finish     ring_group_finish    clears its bit by an atomic AND. The last one out leaves a word that says
 * "position, nobody": that opens all below it to writers in the same step (R9). frontier   ring_group_frontier  the
 * smallest of the position in ONE snapshot of the word and the cursors of the members active in it; loaded by writers
 * when they raise the limit. (The position belongs in it although somebody is active: a cursor may by now speak of its
 * owner's next claim.)
 *
 * A batch is never split: a claim does not end behind a record with RINGD_FLAG_MORE. A message in parts may lie in
 * several claims. Its reader is the member whose claim has its first part; everybody else passes over parts that are
 * not the first (they settle as skipped). That member does not advance beyond the first part before it has the last
 * one: as long as it is active its cursor holds everything from there on, also beyond the end of its claim, and it may
 * read on there for the parts of this writer. Where it comes to what nobody has claimed it goes on claiming while it is
 * active (ring_group_go_on): nobody else may come. Where that would make others' records its own, or where a message is
 * too long (a good part of the lane lies behind the cursor), it copies, advances along, past the end of its claim too,
 * and finishes when it has the last part: then the message is lost if this member dies.
 *
 * Orphans. A member that goes while its bit is set leaves the range from its cursor to claim_end. The daemon (after its
 * certain death), or the member itself (which leaves in order and has not read all of its claim), sets its bit in
 * `orphaned`. Whoever then stores his seat into `takers` by compare-and-swap from "nobody" has the claim: reads it from
 * that cursor on, advances that cursor, and finishes it. If he dies, the daemon takes him out of `takers` and the claim
 * is an orphan as before. Until a seat is clear in every lane neither it nor its reader slot is given to anybody.
 * A claim that was given back in order was not seen by anybody; any other may have been (RINGD_PERHAPS_SEEN).
 *
 * A member that moves with its ring (ring_move.h). A claim made before the end was known may have records in it that
 * the list gives up; so the flag is loaded after the claim, for each record as by every reader, and the list decides.
 * The claim's end may lie within a range of the list. Once the list is closed ring_group_choose is given the tail: it
 * goes by the list, up to the end. A member follows when ring_group_drained says so of every lane: all is claimed and
 * all claims are finished; until then it waits for data and looks for orphans. In the next generation the group's
 * words begin where the lanes do, with nobody active; seats and group numbers are the same. Only who waits there for
 * the rest of a message follows sooner, when all has been read: it claims nothing at the beginning, which holds it,
 * before it finishes in the old generation, and does not go on before that is drained.
 *
 * All words here are input: positions are checked by their stamps, lengths are bounded, loops are counted. A member
 * that is hostile can lose records for its group, or hold it, and is evicted with it; no more.
 *
 * Orders: K1 to K6 and O1 to O4 in the table at the head of ring.h. Used by reader.c, ring.c and the daemon.
 *
 * Cost of a claim: one RMW (K2), three loads of the group's word, the headers of its records (read anyway), two stores
 * to the own cursor. A finish: one RMW (K6). Both per claim, not per record.
 */
#ifndef LIBCLIENT_RING_GROUP_H
#define LIBCLIENT_RING_GROUP_H

#include "ring.h"
#include "ring_move.h"

/* Results beside RINGD_OK. They never leave the library. */
#define RING_GROUP_NOTHING 65 /* there is nothing to claim, or no orphan */
#define RING_GROUP_LOST    66 /* somebody else was faster: look again */

/* A member's view of its group in one lane; private memory. The daemon and writers use the functions that take a lane
 * and a group's number. */
struct ring_group {
    const struct ring *ring;
    struct ringd_group_lane *lane;
    const struct ringd_group *group; /* in the segment: which reader has which seat */
    struct ringd_cursor *cursor;     /* the member's own, of this lane */
    uint32_t seat;
    uint64_t bit;
};

/* The word as of one moment. */
struct ring_group_view {
    uint64_t position;
    uint64_t active;
};

/* A claim that was taken over. */
struct ring_orphan {
    struct ringd_cursor *cursor; /* the one that holds it */
    uint64_t bit;                /* the seat that had it */
    uint32_t seat;
    uint64_t begin; /* first that was not released; a record begins here, or it is the end */
    uint64_t end;
    bool taken; /* left by one who had taken it over; the daemon's */
    bool seen;  /* its records are to be marked RINGD_PERHAPS_SEEN */
};

/* `ring` must outlive it. Group, seat and reader are what the daemon gave; reader < RINGD_READERS_MAX. */
void ring_group_init(struct ring_group *group, const struct segment *segment, const struct ring *ring, uint32_t lane,
                     uint32_t number, uint32_t seat, uint32_t reader);

/* ---- a member's steps, in this order ------------------------------------------------------------------------------
 */

/* 0 or -EBADMSG (the word jumps about). */
int ring_group_look(const struct ring_group *group, struct ring_group_view *view);

/* How far a claim from view->position may go: up to `most` records (at least 1; padding does not count, and is claimed
 * along), up to the first place that has no stamp yet, a sixteenth of the data, never into the middle of a batch.
 * `tail` is NULL, or the lane's when it has moved (its end is not passed, and its list decides). RINGD_OK with *end
 * beyond the position; RING_GROUP_NOTHING; -EBADMSG (a length leads beyond what was ever granted). */
int ring_group_choose(const struct ring_group *group, const struct ring_group_view *view, uint64_t most,
                      const struct ring_tail *tail, uint64_t *end);

/* Claims from view->position to `end`: from RINGD_OK on the records there are this member's, it is active, and its
 * cursor holds them. RING_GROUP_LOST. -EBADMSG: its bit is set already. */
int ring_group_claim(const struct ring_group *group, const struct ring_group_view *view, uint64_t end);

/* For one that is active and has read all that is claimed, view->position and not before `end`: claims on from there to
 * `end` and stays active. What its cursor holds it goes on holding; so either the own claim ended at view->position, or
 * its cursor is there. As ring_group_claim. */
int ring_group_go_on(const struct ring_group *group, const struct ring_group_view *view, uint64_t end);

/* All of the own claim below `position` (a record boundary, not below the last one) is released. Writers that wait for
 * space are woken. */
void ring_group_advance(const struct ring_group *group, uint64_t position);

/* All of it is released: the member is active no more; wakes writers that wait for space, and in a lane that moves the
 * members that wait for its end. *last: nobody else was active, so this has opened all below the position. RINGD_OK,
 * -EBADMSG (its bit was not set). */
int ring_group_finish(const struct ring_group *group, bool *last);

/* For one that leaves in order with an open claim: what lies from `position` to the claim's end was not delivered and
 * goes to another member; `seen`: some of it was, as it lies between the parts of a message. Nothing of this lane may
 * be claimed by this member after that. */
void ring_group_give_back(const struct ring_group *group, uint64_t position, bool seen);

/* ---- orphans: for a member without a claim in this lane, when there is nothing to claim, and now and then ----------
 */

/* Whether it is worth while to call ring_group_take_over: one load. */
static inline bool ring_group_has_orphans(const struct ring_group *group)
{
    return atomic_load_explicit(&group->lane->orphaned, memory_order_acquire) != 0; /* O2 */
}

/* Whether there is one that nobody has taken over yet. */
bool ring_group_offers_orphan(const struct ring_group *group);

/* Takes one over. RINGD_OK with *orphan, RING_GROUP_NOTHING. One that makes no sense is cleared away on the way. */
int ring_group_take_over(const struct ring_group *group, struct ring_orphan *orphan);

/* As ring_group_advance and ring_group_finish; and, for one that leaves in order, give_back: it is an orphan as before,
 * and what it had not delivered is marked as it was, or if some of it was `seen`. */
void ring_group_advance_orphan(const struct ring_group *group, const struct ring_orphan *orphan, uint64_t position);
void ring_group_finish_orphan(const struct ring_group *group, const struct ring_orphan *orphan);
void ring_group_give_back_orphan(const struct ring_group *group, const struct ring_orphan *orphan, uint64_t position,
                                 bool seen);

/* Of a lane that ended at `end`: all is claimed and every claim is finished. */
bool ring_group_drained(const struct ring_group *group, uint64_t end);

/* All is claimed and has been read, though who waits for the rest of a message has not finished. */
bool ring_group_all_read(const struct ring_group *group, uint64_t end);

/* ---- writers and the daemon: of a lane and a group's number -------------------------------------------------------
 */

/* *lowest: below this nobody of the group has anything to read any more. `floor` and `frontier` are the lane's, of one
 * look. 0; -EBADMSG: the word jumps about, or the position or an active member's cursor lies below the floor, or below
 * the frontier and at no record; -EAGAIN: it was so and has moved. */
int ring_group_frontier(const struct ring *ring, uint32_t number, uint64_t floor, uint64_t frontier, uint64_t *lowest);

/* 1: its position, or an active member's cursor, lies below M or at no record, certainly, and would hold writers up for
 * ever. 0: it is fine. (As ring_check_cursor.) */
int ring_group_check(const struct ring *ring, uint32_t number);

/* Where the member of this seat is: at what it has not released of its claim, else where the group is. */
uint64_t ring_group_cursor(const struct ring *ring, uint32_t number, uint32_t seat);

/* How far the group is behind `position`; 0 for one that makes no sense. (As ring_lag.) */
uint64_t ring_group_lag(const struct ring *ring, uint32_t number, uint64_t position);

/* ---- the daemon ---------------------------------------------------------------------------------------------------
 */

/* A new group, in all lanes of a ring: publishes its positions, sets its bit in control.groups, counts the joins and
 * begins at M (RINGD_START_OLDEST), P (NOW), or in each lane at `starts[lane]` or M, whichever is later (POSITION;
 * starts may be NULL otherwise). As ring_join for every lane. `starts`, if given, is filled with where it begins.
 * -EBADMSG. Nobody is a member yet. */
int ring_group_begin(struct ring *lanes, uint32_t lane_count, uint32_t number, uint32_t start, uint64_t *starts);

/* The group holds nobody up any more; writers are woken. */
void ring_group_end(struct ring *ring, uint32_t number);

/* After a member's certain death: the next claim that it has left, its own or one that it had taken over. RINGD_OK with
 * *orphan, which is to be released to others (ring_group_make_orphan), or counted and cleared (ring_group_count_orphan,
 * ring_group_clear_seat); then there is the one after it. RING_GROUP_NOTHING: that was all. May be repeated. A claim
 * that makes no sense is cleared on the way. */
int ring_group_left_behind(const struct ring *ring, uint32_t number, uint32_t seat, struct ring_orphan *orphan);

/* Somebody may take it over; wakes the members. May be repeated. */
void ring_group_make_orphan(const struct ring *ring, uint32_t number, const struct ring_orphan *orphan);

/* How many records an orphan has, by the stamps in it. 0 for one that makes no sense. `tail`: as of ring_group_choose.
 */
uint64_t ring_group_count_orphan(const struct ring *ring, const struct ring_orphan *orphan,
                                 const struct ring_tail *tail);

/* Nobody reads it any more: clears the seat in all words of the lane; writers are woken. May be repeated. */
void ring_group_clear_seat(const struct ring *ring, uint32_t number, uint32_t seat);

/* Whether there is a claim that was not given back by one who left in order. */
bool ring_group_is_owed(const struct ring *ring, uint32_t number);

/* Whether the seat is clear in this lane: not active and not orphaned. */
bool ring_group_seat_is_clear(const struct ring *ring, uint32_t number, uint32_t seat);

#endif
