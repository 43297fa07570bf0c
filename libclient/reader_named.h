/* reader_named.h - what a named cursor remembers of each lane: how far its reader has released, and which record it
 * expected next of each writer, so that the one who comes back knows exactly what it has missed.
 *
 * It stands in the readers' object (struct ringd_named_lane); which name has which number is the daemon's
 * (daemon/named.c). The expectations are stored before the position: a reader that dies in between expects too much,
 * and notices when it meets the record again. Called by reader.c.
 */
#ifndef LIBCLIENT_READER_NAMED_H
#define LIBCLIENT_READER_NAMED_H

#include "reader.h"

/* Everything below lane->released is released. Costs a store for each writer of the lane. */
void named_store(struct reader_lane *lane);

/* False: nobody has released anything under this name yet. True: *position is where, to be checked, and the lane
 * expects what is remembered. */
bool named_load(struct reader_lane *lane, uint64_t *position);

#endif
