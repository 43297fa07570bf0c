/* reader_merge.h - which lane a reader of several takes the next record from.
 *
 * By time the order is exact, and the same for every reader that misses nothing. A writer takes its time after its
 * addition, so times are not sorted along a lane: the key of a record is the smallest time from it onwards. It is
 * sorted, and true: what was committed before another write began has a smaller time than that, and so has everything
 * that is before it in its lane. (Equal keys: by lane.)
 *
 * How far one has to look for the smallest: whatever was added after the same writer's next record has a later time
 * than this one, as that writer had taken this time before it added the next. And with a time t taken BEFORE the lanes'
 * words are loaded, everything at or beyond these positions will have a time of t or later. So a reader need not wait
 * for anything to be written on an idle lane; it waits for a writer that is between reserve and commit, as everybody
 * who reads that lane does.
 *
 * The time is that of one clock. Where a writer's clock is not this reader's (virtual machines, time namespaces), a
 * record may have a time that has not come yet, or one that is past already. The first comes when everything else that
 * is there has been looked at, the second at once: nothing waits for another clock. merge_unordered() tells how many.
 *
 * Cost for each record: a look at its own header once more, before it is read, and its lane's way in a heap of lanes.
 * Words are loaded only when a lane has run empty or a writer's next record is not there yet. Called by reader.c.
 */
#ifndef LIBCLIENT_READER_MERGE_H
#define LIBCLIENT_READER_MERGE_H

#include "reader.h"

/* For a reader on a ring with this time source (enum ringd_time, not none). NULL: no memory. */
struct reader_merge *merge_new(uint32_t lane_count, uint32_t time_source);
void merge_free(struct reader_merge *merge, uint32_t lane_count);

/* The lanes begin anew, where they had ended. */
void merge_begin_generation(struct reader_merge *merge);

/* The lane whose record is next, or in which something else is to be passed, and one look at it is due (whatever is
 * passed over, another lane may be next then). NULL: that cannot be said yet. */
struct reader_lane *merge_next(struct ringd_reader *r);

/* How many records came before their time had come, or after something later: the order is not exact there. NULL: 0. */
uint64_t merge_unordered(const struct reader_merge *merge);

/* In any order: a lane that has a record, from r->turn on, or NULL. */
struct reader_lane *merge_any(struct ringd_reader *r);

#endif
