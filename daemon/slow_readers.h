/* slow_readers.h - lossless readers that are beyond what their ring allows.
 *
 * A ring has up to two limits: how far a lossless reader may be behind (slow_bytes), and how long it may keep a writer
 * waiting (slow_after_ms). Nothing looks at them all the time: a writer that passes a sixteenth of the ring, or finds
 * no room, sees who is beyond them and says so (RINGD_REQUEST_CHECK). What it says is only the reason to look. The lag
 * is measured here. That a reader is in the way is seen here too, and for how long: a writer says so after half the
 * time and then every quarter of it, and a reader is out when it stood in the way in all looks of half the time during
 * which nothing came of the writer's grants. So nobody is put out on the word of others, nor for being slow while
 * nobody waits.
 *
 * A reader that is put out is told (it is EVICTED in its slot, and woken) before a writer may pass it. By the ring's
 * policy it goes on as a lossy reader or has come to its end; that is the reader's business (reader.c).
 *
 * A group is behind, in the way and put out as a whole. Here the first of its members stands for it.
 *
 * Called by request.c. One thread: the event loop's.
 */
#ifndef DAEMON_SLOW_READERS_H
#define DAEMON_SLOW_READERS_H

#include <stdint.h>

#include "ringd_segment.h"

struct context;

/* What has been seen of the readers in a writer's way; zeroed: nothing. Nanoseconds of CLOCK_MONOTONIC. */
struct slow_watch {
    int64_t since, last;                      /* the first and the last look */
    uint64_t done;                            /* what had become of the writer's grants */
    uint64_t readers[RINGD_READERS_MAX / 64]; /* those that were in the way in each look, of groups one member */
};

/* A writer reports. `needed`: bytes that it waits for because of a reader, 0: it does not wait. Returns how many
 * readers were put out. */
uint32_t slow_readers_check(struct context *writer, uint64_t needed);

#endif
