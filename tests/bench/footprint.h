/* footprint.h - what ringd and libringd take up.
 *
 *   text       of the shared library: what every process that links it has mapped and shares with the others
 *   resident   memory of an idle ringd with some rings in it: its own pages and those of its program and libraries. The
 *              rings themselves do not count, they are as large as one makes them
 *
 * Both are measured once, on the library and the daemon that the bench runs with, and are small enough to be promised.
 * Called by bench.c.
 */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include <stdint.h>
#include <sys/types.h>

#define FOOTPRINT_RINGS 10u

/* What size(1) calls text of a shared object: all that is loaded and never written, code, constants and tables. 0 or a
 * negative errno. */
int footprint_text(const char *path, uint64_t *bytes);

/* Resident memory of the daemon `pid` with FOOTPRINT_RINGS rings of the default size in it and nothing to do, without
 * the rings themselves (resident shared memory). Makes the rings and removes them. 0 or a negative errno. */
int footprint_resident(pid_t pid, uint64_t *bytes);

#endif
