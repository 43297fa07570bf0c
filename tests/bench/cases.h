/* cases.h - what is measured on a ring, and one run of it.
 *
 * A case is a shape (a writer alone, a stream from writers to readers, readers alone, a ping-pong over two rings), the
 * calls that its writers and readers use, the size of its records and how many take part. One run makes fresh rings,
 * lets the crew play, has every record checked in full, compares the library's own counters with what was done, and
 * removes the rings.
 *
 * What holds true:
 *   - Only ringd.h is used, through the shared library; records are filled and checked inside the time that is taken.
 *   - Rings have 1 MiB of data, which is the default (2 MiB only where a batch of the largest records asks for it).
 *   - Processes: writer i runs on processor i modulo 2, reader i on processor i + 1 modulo 2.
 *   - A reader that has its processor to itself polls (RINGD_NO_WAIT). Everybody else, and every writer of a stream,
 *     waits through the library (RINGD_FOREVER), which spins a little and then sleeps.
 *
 * Called by plan.c.
 */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "crew.h"
#include "ringd.h"

#define CASE_BATCH      16u
#define CASE_WRITERS    8u
#define CASE_SOURCES    64u /* writers of one ring at most */
#define CASE_FIGURES    3u

#define CASE_RING_BYTES (UINT64_C(1) << 20)

enum case_shape {
    CASE_ALONE,    /* one writer, an overwriting ring, nobody reads meanwhile; the newest lap is checked afterwards */
    CASE_STREAM,   /* writers to lossless readers, each of which gets everything */
    CASE_DRAIN,    /* readers alone with a full ring, again and again; a writer for each lane */
    CASE_BUSY,     /* one-way latency, both sides poll */
    CASE_SLEEPING, /* one-way latency, both sides sleep until they are woken */
};

enum case_write {
    CASE_WRITE,       /* ringd_write */
    CASE_WRITE_BATCH, /* ringd_write_batch of CASE_BATCH records */
    CASE_RESERVE,     /* ringd_reserve, filled in place, ringd_commit */
    CASE_COPY,        /* no ring at all: the records filled and copied, one behind the other, to where a ring would have
                         them; what a batch cannot be faster than */
};

enum case_read {
    CASE_NEXT,      /* ringd_next and ringd_release for each record */
    CASE_NEXT_MANY, /* ringd_next_many of up to 64 records and one ringd_release */
};

struct bench_case {
    const char *name; /* as in the table and in bench.tsv */
    enum case_shape shape;
    enum case_write write;
    enum case_read read;
    enum ringd_time time;
    uint32_t bytes; /* payload of a record; a multiple of 8 */
    uint32_t writers, readers;
    bool group, merge; /* drain: the readers are members of one group; the order is by time */
    uint64_t records;  /* of one run, over all writers; for latency: round trips */
};

/* Latency: p50, p99, p99.9 in nanoseconds one way. Else: nanoseconds a record, the rest 0; of a drain nanoseconds of
 * processor time. */
struct case_figures {
    double values[CASE_FIGURES];
    double elapsed_ns;
    double share; /* crew_share() of the roles that never sleep, the smallest; 1: all of them sleep */
    double slept; /* times a reader slept for each record or message */
};

static inline bool case_is_latency(const struct bench_case *bench_case)
{
    return bench_case->shape == CASE_BUSY || bench_case->shape == CASE_SLEEPING;
}

/* A stream of more processes than there are processors. */
static inline bool case_is_crowd(const struct bench_case *bench_case)
{
    return bench_case->shape == CASE_STREAM && bench_case->writers + bench_case->readers > 2;
}

/* What a record takes in a ring, header and rounding included. */
static inline uint32_t case_record_bytes(const struct bench_case *bench_case)
{
    return (bench_case->bytes + 63u) / 32u * 32u;
}

/* A number of records near `wanted` that this case can have. */
uint64_t case_records(const struct bench_case *bench_case, double wanted);

/* Latency cases leave their round trips in crew->samples, sorted, in ticks; case_sample_ns turns one into nanoseconds
 * one way. 0, or negative with `failure` (CREW_TEXT bytes) filled. */
int case_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, struct case_figures *figures,
             char *failure);
double case_sample_ns(double ticks);

#endif
