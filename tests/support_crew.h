/* support_crew.h - others who go on: writers and readers of one ring at full speed, each a process of its own.
 *
 * A test has something happen to somebody else in the ring and then asks the crew how it fared:
 *
 *     crew_start(&crew, RING, options);
 *     ... somebody comes, and is stopped or killed ...
 *     crew_wait_progress(&crew, crew_progress(&crew), 20);     nobody is held up
 *     crew_rest(&crew);                                        its writers stand between two records
 *     left = crew_settle(&crew);                               every account is right; left: what the others have done
 *     crew_resume(&crew);
 *
 * Each record describes itself and is verified by every reader; each writer's records have to come in order. To settle
 * means, with nobody active and nobody but the crew (and `guests` of the test's own) attached:
 *
 *     the ring     offered = committed + aborted + refused + dropped + lost
 *     a writer     the same, without lost
 *     a reader     delivered + lost = committed, for each writer of the crew and for all others together; the lossless
 *                  one has lost nothing; and what it says of itself is what it was given
 *
 * A member that fails makes the test fail at the next wait for it. The first reader is lossless where the policy has
 * such (else an observer) and reads one by one, the second is lossy and reads many at once.
 *
 * Called by check_survival.c.
 */
#ifndef TESTS_SUPPORT_CREW_H
#define TESTS_SUPPORT_CREW_H

#include <stdint.h>
#include <sys/types.h>

#include "support.h"

#define CREW_WRITERS    3
#define CREW_READERS    2
#define CREW            (CREW_WRITERS + CREW_READERS)
#define CREW_MAX_RECORD 1024u /* the ring's max_record */

struct crew_board;

struct crew {
    const char *ring;
    uint32_t policy;
    struct crew_board *board;
    pid_t pids[CREW]; /* writers first */
};

/* How often each has been successful, or told of a drop or gap. */
struct crew_progress {
    uint64_t count[CREW];
};

/* The sums of all writers that are not of the crew. */
struct crew_others {
    uint64_t offered, committed, lost;
};

/* Makes the ring (max_record is the crew's) and starts all. */
void crew_start(struct crew *crew, const char *ring, struct ringd_ring_options options);

/* Settles once more and ends all. */
void crew_finish(struct crew *crew);

struct crew_progress crew_progress(const struct crew *crew);

/* Waits until each has gone on by so much. */
void crew_wait_progress(const struct crew *crew, struct crew_progress since, uint64_t count);

/* Fails if a member has ended; for a test's own waits. */
void crew_require_alive(const struct crew *crew);

void crew_rest(struct crew *crew);
void crew_resume(struct crew *crew);

/* Resting. `guests`: contexts of the ring that are not of the crew and are idle. */
struct crew_others crew_settle(struct crew *crew, uint32_t guests);

#endif
