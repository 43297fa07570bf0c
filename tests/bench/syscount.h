/* syscount.h - how many system calls the data path makes.
 *
 * A writer and a reader on two processors pass records while this process stands behind both of them as a debugger
 * would (ptrace, which is also what strace does) and is told of every system call. Each of the two makes one call as a
 * mark right before its first and one right after its last record; what is told between its marks is counted. The marks
 * are seen the same way, so a count of zero with both marks seen is a measurement and not an assumption.
 *
 * A traced process takes some microseconds longer for each system call. At a million records a second a traced reader
 * therefore gets more of them at a time, and sleeps less often for each, than it would alone: syscount_sleeps() says
 * how often it sleeps then.
 *
 * Called by bench.c and scale.c.
 */
#ifndef BENCH_SYSCOUNT_H
#define BENCH_SYSCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "crew.h"

#define SYSCOUNT_WRITER 0u
#define SYSCOUNT_READER 1u
#define SYSCOUNT_RECORD 64u /* bytes */

struct syscount_load {
    uint64_t records;
    double hz;     /* records a second, at most; 0: as fast as they can */
    bool busy;     /* both ask again at once when the ring is full or empty (RINGD_NO_WAIT). Else both wait through
                      the library with RINGD_FOREVER */
    uint32_t wait; /* enum ringd_wait of the reader */
};

struct syscount {
    uint64_t records;
    uint64_t calls[2]; /* of writer and reader, between their marks */
    long number;       /* of the first of them; -1: none */
};

/* 0; -EPERM where tracing is not allowed, -ENOTSUP; -ECANCELED when a role failed (`failure`). */
int syscount_run(struct crew *crew, const int cpus[2], const struct syscount_load *load, struct syscount *count,
                 char *failure);

/* The same load, not traced: how often the reader slept, for each record. As crew_run. */
int syscount_sleeps(struct crew *crew, const int cpus[2], const struct syscount_load *load, double *sleeps,
                    char *failure);

#endif
