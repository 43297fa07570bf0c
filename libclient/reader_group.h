/* reader_group.h - a reader that is a member of a group: what it claims, and when it gives that back.
 *
 * Claims, orphans and the end of a lane are ring_group.h's. A member has at most one claim in each lane at a time, or
 * an orphan that it has taken over, and looks only at what is in it. Asking for the next record says that all before it
 * is done with: so a claim can be given back as soon as it has been read, and if a member dies, what it had in its
 * hands goes to another one, and no more.
 *
 * How many records are claimed at a time goes by how long the last ones have taken: one, where each of them is work, so
 * that nobody waits for what another has not come to yet; many, in a stream, where a claim would cost more than the
 * records.
 *
 * A message in parts goes to the member that has claimed its first part. It keeps the claim until the message is whole,
 * and reads on beyond it for the parts; others pass over these. What nobody else has claimed it claims along the way,
 * so that a message never stands in the way of what comes behind it. Where that, or the length of the message, would
 * hold back what is others' or a good part of the lane, it holds only what it has not seen yet; from then on the
 * message is lost if this member dies. So it is if the end of a generation cuts it in two.
 *
 * The order of lanes is any; writers' gaps are nobody's: what a member does not get another one does. Called by
 * reader.c and reader_move.c.
 */
#ifndef LIBCLIENT_READER_GROUP_H
#define LIBCLIENT_READER_GROUP_H

#include "reader_lane.h"

struct reader_group;

/* For group and seat as the daemon gave them; NULL: no memory. */
struct reader_group *group_new(struct ringd_reader *r, const struct segment *segment, uint32_t number, uint32_t seat);

/* Leaves: what was not given out goes to others. NULL is allowed. */
void group_free(struct ringd_reader *r);

/* As lane_look, in whichever lane there is something; *lane: where that was. */
enum look group_look(struct ringd_reader *r, struct reader_lane **lane, struct ringd_record *record);

/* From here on the next claim may be of up to so many records; 0: as it has turned out to be good. */
void group_want(struct ringd_reader *r, size_t most);

/* Whether there is more in what is held of this lane. */
bool group_holds(const struct ringd_reader *r, const struct reader_lane *l);

/* Everything that was given out is done with. */
void group_release(struct ringd_reader *r);

/* Whether group_look would find something. */
bool group_ready(struct ringd_reader *r);

/* There is nothing: why? (While the ring moves: of what is left.) RINGD_OK: look again; RINGD_WOULD_BLOCK; RINGD_END;
 * RINGD_EVICTED; -EBADMSG. */
int group_explain(struct ringd_reader *r);

/* Whether something that it waits for may come without anybody waking it: the end of a ring that was removed, when
 * another member is done with the last records; or that the writer of a message has gone. */
bool group_must_look(const struct ringd_reader *r);

/* The ring moves, and every lane's end is known. RINGD_OK: look again; RINGD_END: the group has read all of it;
 * RINGD_WOULD_BLOCK: others have something to finish. */
int group_leave(struct ringd_reader *r);

/* In the next generation, while the lanes are still in the last one. 0 or -EBADMSG. */
int group_begin_generation(struct ringd_reader *r, const struct segment *segment);

/* Before that: whether it goes on needing the old one, which is the group's from then on. */
bool group_keep_old(struct ringd_reader *r, const struct segment *old);

#endif
