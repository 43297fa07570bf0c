/* load.h - the others: two busy writers and a reader, who go on while something happens beside them.
 *
 * What ringd does about a death or for a move is measured by what those notice who had nothing to do with it. They are
 * the same in death.c, storm.c and move.c: two writers, one on each processor, that write record after record, and a
 * lossless reader that checks every one of them and sleeps in RINGD_FOREVER when there is nothing. A further role, the
 * director, makes happen what is measured, and tells them to stop.
 *
 * What holds true:
 *   - Writers write as fast as the ring takes it and wait for room with RINGD_FOREVER, as in all streams of the bench.
 * Or they crowd: they work a moment for each record and never sleep (where the ring is full they ask again at once), so
 *     that the ring is far from full and yet no processor is ever free.
 *   - The reader ends when it has received as many records as everybody says to have committed, each right and in
 * order; so a run in which a single one was lost does not end well.
 *   - The director may commit records too, as writer LOAD_DIRECTOR; it says how many before it says stop.
 *
 * Called by death.c, storm.c and move.c. The struct load lives in a shared mapping, as the crew does.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crew.h"
#include "ringd.h"

#define LOAD_WRITERS  2u
#define LOAD_DIRECTOR LOAD_WRITERS /* its index as a writer */
#define LOAD_SOURCES  (LOAD_WRITERS + 1u)
#define LOAD_ROLES    (LOAD_WRITERS + 2u)
#define LOAD_BYTES    64u /* of a record */
#define LOAD_RING     "bench-load"
#define LOAD_OPEN     UINT64_MAX /* a source that goes on */
#define LOAD_NOTHING  UINT64_MAX /* to watch for */
#define LOAD_WINDOWS  512u
#define LOAD_SERIES   5u
#define LOAD_SAMPLES  1024u

enum load_writers {
    LOAD_FULL_SPEED,
    LOAD_CROWD,
};

/* The record that was watched for: whose it is, when the reader had it, how many it had received before, and how much
 * room lies before it that holds no record. */
struct load_next {
    uint32_t writer;
    int64_t at_ns;
    uint64_t received, hole_bytes;
};

/* The longest time from one write to the next of one writer in one window. One that lies in two windows counts for the
 * odd one of these. */
struct load_pauses {
    _Alignas(128) int64_t longest_ns[LOAD_WINDOWS];
};

struct load {
    enum load_writers writers;       /* by the parent */
    _Alignas(128) _Atomic bool stop; /* by the director */
    _Atomic bool rest;       /* by the director: each writer writes one more record, then none for the time being */
    _Atomic uint32_t window; /* by the director: which of `longest_ns` it is now; odd: something is done in it */
    int64_t commit_ns;       /* by the director's */
    _Alignas(128) _Atomic uint64_t totals[LOAD_SOURCES]; /* records committed by each, or LOAD_OPEN */
    _Alignas(128) _Atomic uint64_t received;
    _Alignas(128) _Atomic uint64_t watch; /* by the director: note the first record after so many; by the reader, when
                                             it has done so: LOAD_NOTHING */
    struct load_next next;
    struct load_pauses pauses[LOAD_WRITERS];
    uint32_t sample_counts[LOAD_SERIES]; /* what the director measured, nanoseconds; what it is: its own affair */
    uint32_t samples[LOAD_SERIES][LOAD_SAMPLES];
};

/* NULL: no memory. */
struct load *load_new(void);
void load_free(struct load *load);

/* Makes the ring LOAD_RING and plays: the two writers, the reader, and `direct` with `task` as the director. Removes
 * the ring. As crew_run. */
int load_run(struct load *load, struct crew *crew, const int cpus[2], const struct ringd_ring_options *options,
             void (*direct)(struct crew *crew, unsigned self, const void *task), const void *task, char *failure);

/* For the director. What it committed itself is `total`. */
void load_stop(struct load *load, uint64_t total);

/* Beyond LOAD_SAMPLES samples are not taken; one of more than four seconds counts as four. */
void load_sample(struct load *load, unsigned series, int64_t ns);
/* Sorts. NAN: no samples. */
double load_quantile(struct load *load, unsigned series, double part);

/* Records that the reader has received. */
uint64_t load_received(const struct load *load);

void load_nap(long microseconds);

#endif
