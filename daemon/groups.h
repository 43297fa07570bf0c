/* groups.h - readers that share a ring's records: who is in which group, and what becomes of what they leave.
 *
 * A group has a number, a name, and a seat for each of its members, who are lossless readers without a bit of their
 * own: it is the group that holds writers up (libclient/ring_group.h). All of it stands in the ring's record, before it
 * takes effect, and is what this daemon and its successor decide by; in the segment is what writers and members need to
 * see.
 *
 *     first member attaches    -> the group begins, in every lane, where he wants to
 *     later members            -> get a free seat and go on with the others. In the oldest generation that the group
 * has not read to its end, so that what somebody left there is read. a member has gone        -> what he had claimed
 * and not released goes to another one, or is counted as lost. Until that is done he keeps seat and reader slot, as a
 * dead context, and with him his generation is kept. the last one has gone    -> so is the group. Unless he or another
 * had died with a claim and it is not to be lost: then it stays, and holds, until somebody comes or it is evicted.
 *     evicted                  -> as a whole: all members are told before the group's bit goes. Its name is free at
 * once.
 *
 * A move takes the groups along: in the next generation each begins where the lanes do, with the same seats. Members
 * follow when the group has read the old one to its end, and so do not leave claims behind in it.
 *
 * Every step may be done again by a successor: a seat is in the record before anything else says so and is taken out
 * after everything else; a count of lost records is written down before anything changes.
 *
 * Called by request.c, context.c, recovery.c, slow_readers.c, generation.c, takeover.c and status.c. One thread: the
 * event loop's.
 */
#ifndef DAEMON_GROUPS_H
#define DAEMON_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"
#include "problem.h"
#include "ring_move.h"
#include "ringd_proto.h"

/* Where a reader is going to be. */
struct group_seat {
    uint32_t group, seat;
};

/* A request for a place in a group: whether it can be one at all. -EINVAL. */
int groups_check(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem);

/* A seat in the group of that name, or in a new one. -EUSERS. */
int groups_find_seat(struct shared_ring *ring, const struct context_wish *wish, struct group_seat *seat,
                     struct problem *problem);

/* It is this context's from now on, says the record. */
void groups_take_seat(struct context *context, const struct context_wish *wish, const struct group_seat *seat);

/* The member's slot is filled, and its group there: *position is where the group is in the first lane, in the
 * generation that the context has been given. As slots_take. */
int groups_join(struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
                struct problem *problem);

/* The seat is free again; after everything else. */
void groups_leave_seat(struct context *context);

/* A member is certainly dead: what it had claimed is given to others or counted. groups_settle frees it when all of
 * that is done. */
void groups_recover(struct context *context);

/* Frees dead members whose claims have been read by others, and groups without members. */
void groups_settle(struct shared_ring *ring);

/* Takeover: the context's seat, as the record says; then, when all contexts are known, what a predecessor began. */
void groups_adopt_member(struct context *context);
void groups_adopt(struct shared_ring *ring);

/* A move: the groups in the next generation, which begins at `ends`. */
void groups_carry(const struct shared_ring *ring, const struct ring_end *ends, struct segment *to);

/* The group holds nobody up any more, and its members are at their end. Returns how many they are; `why` is for the
 * log. */
uint32_t groups_evict(struct shared_ring *ring, uint32_t group, const char *why);

/* As context_evict_bad, of groups. */
uint32_t groups_evict_bad(struct shared_ring *ring);

/* Whoever stands for the group; NULL: nobody that is known. */
const struct context *groups_first_member(const struct shared_ring *ring, uint32_t group);

/* Where a member is in a lane of its generation. */
uint64_t groups_cursor(const struct context *context, uint32_t lane);

/* Records that dead members of this group, or of all groups there are, have taken with them. */
uint64_t groups_lost(const struct shared_ring *ring, uint32_t group);
uint64_t groups_lost_in_all(const struct shared_ring *ring);

const char *groups_label(const struct shared_ring *ring, uint32_t group);

#endif
