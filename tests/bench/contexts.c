/* contexts.c - writers and readers as the roles of a case use them; see contexts.h.
 *
 * These functions are what a user's program would do and no more: fill a buffer, call ringd_write(); call ringd_next(),
 * look at every byte, call ringd_release(). They are compiled like any user's code and reach the library through its
 * shared object.
 *
 * Streams fill each record one ahead of the one they write, as a program does that passes on what it has received.
 * Filled and written at once, a processor may have to wait until the narrow stores of the fill have left its store
 * buffer before the wide loads of the library's copy can have them (4 ns here, a quarter of a write): that is no cost
 * of the ring.
 */
#include "contexts.h"

#include <errno.h>
#include <stdlib.h>

#include "payload.h"

#define LAP_PART 2u /* a half of a lane must still be readable when its writer has finished */

/* ---- writers ---------------------------------------------------------------------------------------------------- */

static void buffer_init(struct bench_writer *writer)
{
    size_t stride = (writer->bytes + 63u) / 64u * 64u;

    writer->buffer = aligned_alloc(64, CASE_BATCH * stride);
    if (!writer->buffer)
        crew_fail(writer->crew, writer->self, "no memory for the records to write", -ENOMEM);
    for (unsigned i = 0; i < CASE_BATCH; i++)
        writer->pieces[i] = (struct iovec){writer->buffer + i * stride, writer->bytes};
}

static void writer_open(struct bench_writer *writer, const char *ring, const struct ringd_writer_options *options)
{
    struct crew *crew = writer->crew;
    unsigned self = writer->self;
    struct ringd *handle;
    int result = ringd_open(&handle, ring);

    if (result)
        crew_fail(crew, self, "cannot open the ring to write", result);
    result = ringd_writer_open(&writer->writer, handle, options);
    if (result)
        crew_fail(crew, self, "cannot attach a writer", result);
    ringd_close(handle);
    buffer_init(writer);
    bench_fill(writer, 0);
}

void bench_writer_open(struct bench_writer *writer, struct crew *crew, unsigned self, const char *ring, uint32_t index,
                       uint32_t bytes, int64_t deadline)
{
    const struct ringd_writer_options options = {.deadline = deadline, .type = (uint16_t)index};

    *writer = (struct bench_writer){.crew = crew, .self = self, .index = index, .bytes = bytes};
    writer_open(writer, ring, &options);
}

void bench_writer_open_lane(struct bench_writer *writer, struct crew *crew, unsigned self, const char *ring,
                            uint32_t index, uint32_t bytes, int64_t deadline)
{
    const struct ringd_writer_options options = {.deadline = deadline, .type = (uint16_t)index, .lane = index + 1};

    *writer = (struct bench_writer){.crew = crew, .self = self, .index = index, .bytes = bytes};
    writer_open(writer, ring, &options);
}

void bench_writer_close(struct bench_writer *writer)
{
    struct ringd_writer_counters counters;
    int result = ringd_writer_count(writer->writer, &counters);

    if (result)
        crew_fail(writer->crew, writer->self, "cannot read a writer's counters", result);
    if (counters.committed != writer->sequence || counters.bytes != writer->sequence * writer->bytes)
        crew_fail(writer->crew, writer->self, "a writer's counters are not what it wrote", 0);
    if (counters.offered !=
        counters.committed + counters.aborted + counters.refused + counters.dropped_full + counters.dropped_stalled)
        crew_fail(writer->crew, writer->self, "a writer's counters do not add up", 0);
    ringd_writer_close(writer->writer);
    free(writer->buffer);
}

void bench_fill(struct bench_writer *writer, uint64_t sequence)
{
    payload_fill(writer->pieces[sequence % CASE_BATCH].iov_base, writer->bytes, payload_first(writer->index, sequence));
}

bool bench_write(struct bench_writer *writer)
{
    int result = ringd_write(writer->writer, writer->pieces[writer->sequence % CASE_BATCH].iov_base, writer->bytes);

    if (result == RINGD_FULL)
        return false;
    if (result)
        crew_fail(writer->crew, writer->self, "ringd_write", result);
    writer->sequence++;
    return true;
}

void bench_write_batch(struct bench_writer *writer)
{
    int result;

    for (unsigned i = 0; i < CASE_BATCH; i++)
        bench_fill(writer, writer->sequence + i); /* a batch begins with buffer 0 */
    result = ringd_write_batch(writer->writer, writer->pieces, CASE_BATCH);
    if (result)
        crew_fail(writer->crew, writer->self, "ringd_write_batch", result);
    writer->sequence += CASE_BATCH;
}

void bench_write_reserved(struct bench_writer *writer)
{
    size_t granted;
    void *data;
    int result = ringd_reserve(writer->writer, writer->bytes, writer->bytes, &data, &granted);

    if (result)
        crew_fail(writer->crew, writer->self, "ringd_reserve", result);
    payload_fill(data, writer->bytes, payload_first(writer->index, writer->sequence));
    result = ringd_commit(writer->writer, writer->bytes);
    if (result)
        crew_fail(writer->crew, writer->self, "ringd_commit", result);
    writer->sequence++;
}

/* ---- readers ---------------------------------------------------------------------------------------------------- */

void bench_reader_open(struct bench_reader *reader, struct crew *crew, unsigned self, const char *ring,
                       uint32_t writers, uint32_t bytes, const struct ringd_reader_options *options)
{
    struct ringd *handle;
    int result = ringd_open(&handle, ring);

    *reader = (struct bench_reader){.crew = crew, .self = self, .writers = writers, .bytes = bytes};
    if (result)
        crew_fail(crew, self, "cannot open the ring to read", result);
    result = ringd_reader_open(&reader->reader, handle, options);
    if (result)
        crew_fail(crew, self, "cannot attach a reader", result);
    ringd_close(handle);
}

void bench_reader_close(struct bench_reader *reader)
{
    struct ringd_reader_counters counters;
    int result = ringd_reader_count(reader->reader, &counters);

    if (result)
        crew_fail(reader->crew, reader->self, "cannot read a reader's counters", result);
    if (counters.delivered != reader->received || counters.bytes != reader->received * reader->bytes || counters.lost)
        crew_fail(reader->crew, reader->self, "a reader's counters are not what it received", 0);
    reader->crew->results[reader->self].slept = counters.slept;
    ringd_reader_close(reader->reader);
}

static inline void record_check(struct bench_reader *reader, const struct ringd_record *record)
{
    uint32_t writer = record->type;

    if (writer >= reader->writers || record->len != reader->bytes)
        crew_fail(reader->crew, reader->self, "a record of a writer or a length that does not exist", 0);
    if (reader->some && record->sequence > reader->expected[writer])
        reader->expected[writer] = record->sequence; /* of the slot; in a fresh ring that is the writer's own count */
    if (!payload_check(record->data, reader->bytes, payload_first(writer, reader->expected[writer])))
        crew_fail(reader->crew, reader->self, "a record's contents are wrong, or it came out of order", 0);
    reader->expected[writer]++;
    reader->received++;
}

static void reader_release(struct bench_reader *reader)
{
    int result = ringd_release(reader->reader);

    if (result)
        crew_fail(reader->crew, reader->self, "ringd_release", result);
}

bool bench_read(struct bench_reader *reader)
{
    struct ringd_record record;
    int result = ringd_next(reader->reader, &record);

    if (result == RINGD_WOULD_BLOCK)
        return false;
    if (result)
        crew_fail(reader->crew, reader->self, "ringd_next", result);
    record_check(reader, &record);
    reader_release(reader);
    return true;
}

bool bench_read_record(struct bench_reader *reader, struct ringd_record *record)
{
    int result = ringd_next(reader->reader, record);

    if (result == RINGD_WOULD_BLOCK)
        return false;
    if (result)
        crew_fail(reader->crew, reader->self, "ringd_next", result);
    record_check(reader, record);
    reader_release(reader);
    return true;
}

bool bench_read_many(struct bench_reader *reader)
{
    struct ringd_record records[CONTEXT_MANY];
    size_t count;
    int result = ringd_next_many(reader->reader, records, CONTEXT_MANY, &count);

    if (result == RINGD_WOULD_BLOCK)
        return false;
    if (result)
        crew_fail(reader->crew, reader->self, "ringd_next_many", result);
    for (size_t i = 0; i < count; i++)
        record_check(reader, &records[i]);
    reader_release(reader);
    return true;
}

void bench_lap_check(struct crew *crew, unsigned self, const char *ring, uint32_t writers, uint32_t bytes,
                     uint64_t count)
{
    const struct ringd_reader_options options = {.mode = RINGD_READ_OBSERVE, .start = RINGD_START_OLDEST};
    uint64_t lap = CASE_RING_BYTES / LAP_PART / (bytes + 64);
    struct bench_reader reader;

    bench_reader_open(&reader, crew, self, ring, writers, bytes, &options);
    reader.some = true;
    while (bench_read(&reader))
        ;
    for (uint32_t i = 0; i < writers; i++) {
        if (reader.expected[i] != count)
            crew_fail(crew, self, "what is left in the ring does not end with the last record written", 0);
    }
    if (reader.received < (lap < count ? lap : count) * writers)
        crew_fail(crew, self, "less is left in the ring than what fits into it", 0);
    bench_reader_close(&reader);
}
