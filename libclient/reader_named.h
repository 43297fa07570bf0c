/* reader_named.h - what a named cursor remembers of each lane: how far its reader has released, and which record it
 * expected next of each writer, so that the one who comes back knows exactly what it has missed.
 *
 * It stands in the readers' object (struct ringd_named_lane); which name has which number is the daemon's
 * (daemon/named.c). The position says where to begin; the expectations say what from there on was released all the
 * same, and is passed over: what others wrote inside a message that was not finished, and all of a release in whose
 * middle the reader died, as they are stored before the position. Where a reader starts is stored when it comes, so
 * that one that dies before its first release comes back there.
 *
 * Called by reader.c and reader_start.c.
 */
#ifndef LIBCLIENT_READER_NAMED_H
#define LIBCLIENT_READER_NAMED_H

#include "reader.h"

/* Everything below lane->released is released. Costs a store for each writer of the lane. */
void named_store(struct reader_lane *lane);

/* False: nobody has been here under this name yet. True: *position is where, to be checked, and the lane
 * expects what is remembered. */
bool named_load(struct reader_lane *lane, uint64_t *position);

#endif
