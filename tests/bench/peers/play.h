/* play.h - one run of a case on a peer.
 *
 *   write     One writer in bursts that fit the line, and a reader that takes them out in between, both on one
 * processor so that what they touch stays in its caches; only the bursts are timed. stream    Writers to one reader, or
 * one writer to readers each of which gets all. latency   One way: half a round trip over two lines; both sides busy,
 * or both asleep.
 *
 * What holds true:
 *   - A run lasts a fixed time, as peers differ a thousandfold. A role of its own, which sleeps, says when it has
 * warmed up (the first laps touch memory for the first time) and when it is over. A stream is timed by its readers:
 * records received between the first after the one and the first after the other. Then each writer sends a last record.
 *   - Records are filled and checked in full inside the time that is taken (payload.h). Whose a record is, its first
 * word says: it is the next of one of the writers, or it is wrong.
 *   - Two processes alone that can ask poll, others sleep in the peer's own way if it has one; where there are more
 *     processes than processors those that cannot sleep give their processor away each time they ask in vain.
 *   - What has not ended PLAY_LIMIT_S seconds after it began stalls. That is a result.
 *
 * Called by peers_plan.c.
 */
#ifndef BENCH_PLAY_H
#define BENCH_PLAY_H

#include <stdatomic.h>

#include "../crew.h"
#include "peer.h"

#define PLAY_FIGURES 3u
#define PLAY_READERS 4u
#define PLAY_WRITERS 8u
#define PLAY_LIMIT_S 5u
#define PLAY_LAST    (UINT64_MAX - 1) /* number of a writer's last record */

enum play_shape { PLAY_WRITE, PLAY_STREAM, PLAY_BUSY, PLAY_SLEEPING };

struct play_case {
    const char *name;
    enum play_shape shape;
    uint32_t bytes, writers, readers;
    uint64_t ring_bytes;
};

struct play_window {
    _Alignas(128) int64_t start_ns, end_ns;
    uint64_t start_count, end_count;
};

/* Shared by the roles. */
struct play_shared {
    _Atomic uint32_t stage;              /* enum play_stage of play.c */
    _Alignas(128) _Atomic uint32_t turn; /* write: whose it is, 0: the writer's, 1: the reader's */
    _Atomic uint32_t burst;              /* records to take out; 0: no more come */
    _Atomic uint32_t finished;           /* readers that have all */
    struct play_window windows[PLAY_READERS];
    double burst_ns;
    uint64_t burst_count;
};

struct play {
    const struct peer *peer;
    const struct play_case *play_case;
    const char *folder;
    struct crew *crew;
    const int *cpus;
    struct play_shared *shared;
    void *lines[2];
    bool sleeping, alone; /* as peer_setup; each has a processor to itself */
    /* results: nanoseconds a record; latency: p50, p99, p99.9 one way */
    double figures[PLAY_FIGURES];
    double share; /* of the roles that never sleep */
    bool refused; /* the peer could not be set up; `failure` says why */
};

/* Whether a peer has this case. */
bool play_can(const struct peer *peer, const struct play_case *play_case);

/* As crew_run; latency leaves crew->samples. A run that stalls: -ECANCELED, crew->timed_out. */
int play_run(struct play *play, char *failure);

double play_sample_ns(double ticks);

#endif
