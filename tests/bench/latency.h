/* latency.h - one-way latency: a message goes there on one ring and comes back on another.
 *
 * The asker writes a record, the answerer reads it, checks it and writes one of its own, the asker reads and checks
 * that. One way is half of it. A busy round trip is the time from one answer to the next, so it holds everything that
 * both processes do: fill, write, read, check, release. The one thing taken off is the asker's own reading of the clock
 * (clock.h). Before a message to a sleeper the asker rests, so that the answerer is asleep; that rest is not counted.
 *
 * Called by cases.c.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "cases.h"

/* Round trips, recorded ones, near `wanted`. */
uint64_t latency_rounds(const struct bench_case *bench_case, double wanted);

int latency_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, const char *ring_there,
                const char *ring_back, struct case_figures *figures, char *failure);

#endif
