/* syscount.h - how many system calls the data path makes.
 *
 * A writer and a reader on two processors pass records while this process stands behind both of them as a debugger
 * would (ptrace, which is also what strace does) and is told of every system call. Each of the two makes one call as a
 * mark right before its first and one right after its last record; what is told between its marks is counted. The marks
 * are seen the same way, so a count of zero with both marks seen is a measurement and not an assumption.
 *
 * Called by bench.c.
 */
#ifndef BENCH_SYSCOUNT_H
#define BENCH_SYSCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "crew.h"

struct syscount {
    uint64_t records;
    uint64_t calls; /* of both, between their marks */
    long number;    /* of the first of them; -1: none */
};

/* `busy`: both ask again at once when the ring is full or empty (RINGD_NO_WAIT). Else both wait through the library
 * with RINGD_FOREVER. 0; -EPERM where tracing is not allowed, -ENOTSUP; -ECANCELED when a role failed (`failure`). */
int syscount_run(struct crew *crew, const int cpus[2], bool busy, struct syscount *count, char *failure);

#endif
