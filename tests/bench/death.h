/* death.h - from SIGKILL of a writer in mid-record to the first later record in a waiting reader's hands.
 *
 * Beside two writers at full speed (load.h) a victim attaches, has touched all that it has mapped, reserves a record
 * and commits nothing. The reader cannot get past it. Then it is killed.
 *
 * That the right thing is timed:
 *   - Before the kill the number of records received has not changed for a while, and it is the same, to the record,
 * when the reader comes to the next one, and that lies behind a hole as large as the victim's grant: so it stood at the
 *     victim's place when the signal was sent. Where it is not so (the reader had only lost its processor) the kill
 * does not count.
 *   - The clock is read right before kill(), in the process that calls it.
 *
 * Beside each of these kills another process with the same memory mapped, which ringd has nothing to do with, is killed
 * under the same load (exit.h): what ringd takes beyond the kernel is the difference in such a pair, as the kernel's
 * own time with a large ring is many times that and differs from pair to pair. And in between there are victims that
 * are not killed but commit: from commit to record is what the machine takes to give a woken reader a processor, with
 * no death in it.
 *
 * Called by survival.c.
 */
#ifndef BENCH_DEATH_H
#define BENCH_DEATH_H

#include "load.h"

struct death {
    uint64_t ring_bytes;
    unsigned kills; /* and a quarter as many commits */
    enum load_writers writers;
    bool rest; /* the writers rest while the victim holds its grant */
};

/* Of one run, microseconds. */
struct death_figures {
    double p50_us, p99_us;               /* from kill to record */
    double commit_p50_us, commit_p99_us; /* from commit to record */
    double hangup_p50_us, hangup_p99_us; /* the kernel's own: from kill to hang-up ... */
    double lock_p50_us;                  /* ... and until the lock is gone */
    double beyond_p50_us;                /* from kill to record less the kernel's own beside it: median of the pairs */
    unsigned dropped;                    /* kills and commits that did not count */
};

int death_run(struct load *load, struct crew *crew, const int cpus[2], const struct death *death,
              struct death_figures *figures, char *failure);

#endif
