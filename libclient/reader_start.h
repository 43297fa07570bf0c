/* reader_start.h - where a reader starts: now, at the oldest record, at a position, at a time, or where the last one of
 * its name stopped.
 *
 * Called by reader.c when a reader is opened. A lossless one has been given a place in each lane by the daemon, from
 * which on nothing is overwritten; it may go on from there, but not back.
 */
#ifndef LIBCLIENT_READER_START_H
#define LIBCLIENT_READER_START_H

#include "reader.h"

/* Sets position and expectations of every lane. `position`: what the daemon gave a lossless reader in the first one. 0,
 * -ERANGE, -EINVAL (as ring_check_start), -EBADMSG. */
int reader_start(struct ringd_reader *r, uint64_t position, const struct ringd_reader_options *options);

#endif
