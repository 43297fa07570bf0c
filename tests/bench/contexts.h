/* contexts.h - writers and readers as the roles of a case use them.
 *
 * A writer here is a process's own attachment to one ring plus the buffer it fills; a reader is an attachment plus what
 * it expects of each writer next. Both end the process with a reason (crew_fail) when anything is not as it must be: a
 * result they did not ask for, a wrong byte, a wrong order, a counter that does not add up.
 *
 * What holds true: record number n of a writer has the contents payload_first(writer, n); the writer's index travels as
 * the record's type, so that readers know it whatever slot the writer was given.
 *
 * Called by cases.c, drain.c, latency.c, load.c, death.c, storm.c, syscount.c, waking.c and lanes.c, in forked roles
 * only.
 */
#ifndef BENCH_CONTEXTS_H
#define BENCH_CONTEXTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "cases.h"
#include "crew.h"
#include "ringd.h"

#define CONTEXT_MANY 64u /* records asked of ringd_next_many */

struct bench_writer {
    struct crew *crew;
    unsigned self;
    struct ringd_writer *writer;
    uint32_t index, bytes;
    uint64_t sequence;     /* of the next record */
    unsigned char *buffer; /* CASE_BATCH records */
    struct iovec pieces[CASE_BATCH];
};

struct bench_reader {
    struct crew *crew;
    unsigned self;
    struct ringd_reader *reader;
    uint32_t writers, bytes;
    uint64_t expected[CASE_SOURCES]; /* sequence of each writer's next record */
    bool some; /* it gets some records of each writer, in their order, and not all: of a group, or begins late */
    uint64_t received;
};

void bench_writer_open(struct bench_writer *writer, struct crew *crew, unsigned self, const char *ring, uint32_t index,
                       uint32_t bytes, int64_t deadline);
/* Alone in its lane, the one with its index. */
void bench_writer_open_lane(struct bench_writer *writer, struct crew *crew, unsigned self, const char *ring,
                            uint32_t index, uint32_t bytes, int64_t deadline);
/* Checks the counters against `sequence` and detaches. */
void bench_writer_close(struct bench_writer *writer);

/* Fills the buffer for record number `sequence`; the buffers of the last CASE_BATCH numbers are kept. bench_writer_open
 * has filled the first. */
void bench_fill(struct bench_writer *writer, uint64_t sequence);

/* Writes the next record, which must have been filled. False: the ring is full (only with RINGD_NO_WAIT). */
bool bench_write(struct bench_writer *writer);

/* These fill what they write, the second in the ring itself. */
void bench_write_batch(struct bench_writer *writer);
void bench_write_reserved(struct bench_writer *writer);

void bench_reader_open(struct bench_reader *reader, struct crew *crew, unsigned self, const char *ring,
                       uint32_t writers, uint32_t bytes, const struct ringd_reader_options *options);
/* Checks the counters against `received`, leaves the number of sleeps in the role's result and detaches. */
void bench_reader_close(struct bench_reader *reader);

/* One record, checked and released; or up to CONTEXT_MANY. False: nothing is there yet. */
bool bench_read(struct bench_reader *reader);
bool bench_read_many(struct bench_reader *reader);

/* As bench_read, and leaves what the record says of itself. Its data is released already. */
bool bench_read_record(struct bench_reader *reader, struct ringd_record *record);

/* Checks the newest lap of what the `writers` of a fresh ring that overwrites have written, `count` records each: an
 * unbroken row of each one's records that ends with its last one. Nobody may write any more. */
void bench_lap_check(struct crew *crew, unsigned self, const char *ring, uint32_t writers, uint32_t bytes,
                     uint64_t count);

#endif
