/* peer_ringd.c - ringd itself: ringd_write, ringd_next and ringd_release through the shared library; batches of 16 (as
 * far as they fit max_record) with ringd_next_many; both in rings that are made for one writer; with time stamps, which is
 * what LTTng is to be compared with.
 *
 * Records beyond the ring's max_record (a 64th of it) go through ringd_write_message, in parts. In the faults a writer
 * that is stopped in mid-record is in the way for 20 ms, then the ring moves; by default that would be a second. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "peer_list.h"
#include "ringd.h"

#define BATCH            16u
#define MANY             64u
#define STOPPED_AFTER_MS 20u

struct ringd_line {
    char name[24];
    struct peer_setup setup;
    uint32_t max_record;
};

struct ringd_writer_end {
    struct ringd_writer *writer;
    uint32_t bytes, batch, pending;
    int64_t deadline;
    bool parts;
    struct iovec pieces[BATCH];
};

struct ringd_reader_end {
    struct ringd_reader *reader;
    int64_t deadline;
    size_t next, count;
    struct ringd_record records[MANY];
};

static int line_open(const struct peer_setup *setup, uint32_t time, uint32_t writers, void **line)
{
    struct ringd_line *own = calloc(1, sizeof(*own));
    struct ringd_ring_options options = {
        .size = setup->ring_bytes,
        .policy = RINGD_LOSSLESS,
        .time = time,
        .writers = writers,
        .hold = 1,
        .max_record = (uint32_t)(setup->ring_bytes / 64),
        .stopped = RINGD_STOPPED_MOVE,
        .stopped_after_ms = STOPPED_AFTER_MS,
    };
    int result;

    if (!own)
        return -ENOMEM;
    own->setup = *setup;
    own->max_record = options.max_record;
    snprintf(own->name, sizeof(own->name), "peers-%u", setup->line);
    ringd_remove(own->name); /* if a run was ended by force */
    result = ringd_create(own->name, &options);
    if (result) {
        free(own);
        return result;
    }
    *line = own;
    return 0;
}

static int ringd_line_open(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RINGD_TIME_NONE, 0, line);
}

static int ringd_line_open_monotonic(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RINGD_TIME_MONOTONIC, 0, line);
}

static int ringd_line_open_tsc(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RINGD_TIME_TSC, 0, line);
}

static int ringd_line_open_single(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RINGD_TIME_NONE, 1, line);
}

static void ringd_line_close(void *line)
{
    struct ringd_line *own = line;

    ringd_remove(own->name);
    free(own);
}

static uint32_t ringd_depth(void *line)
{
    const struct ringd_line *own = line;
    uint64_t depth = own->setup.ring_bytes / 2 / (own->setup.bytes + 64u);

    return (uint32_t)(depth > BATCH ? depth / BATCH * BATCH : depth > 0 ? depth : 1);
}

static int ringd_writer_attach(void *line, unsigned index, void **end)
{
    const struct ringd_line *own = line;
    const struct ringd_writer_options options = {.deadline = RINGD_NO_WAIT, .type = (uint16_t)index};
    struct ringd_writer_end *writer = calloc(1, sizeof(*writer));
    struct ringd *ring;
    int result;

    if (!writer)
        return -ENOMEM;
    result = ringd_open(&ring, own->name);
    if (result)
        return result;
    result = ringd_writer_open(&writer->writer, ring, &options);
    ringd_close(ring);
    writer->bytes = own->setup.bytes;
    writer->batch = own->max_record / (writer->bytes + 64u);
    writer->batch = writer->batch < 1 ? 1 : writer->batch > BATCH ? BATCH : writer->batch;
    writer->parts = own->setup.bytes > own->max_record;
    *end = writer;
    return result;
}

static int ringd_reader_attach(void *line, unsigned index, void **end)
{
    const struct ringd_line *own = line;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST, .deadline = RINGD_NO_WAIT};
    struct ringd_reader_end *reader = calloc(1, sizeof(*reader));
    struct ringd *ring;
    int result;

    (void)index;
    if (!reader)
        return -ENOMEM;
    result = ringd_open(&ring, own->name);
    if (result)
        return result;
    result = ringd_reader_open(&reader->reader, ring, &options);
    ringd_close(ring);
    *end = reader;
    return result;
}

static inline void writer_deadline(struct ringd_writer_end *writer, bool wait)
{
    int64_t deadline = wait ? RINGD_FOREVER : RINGD_NO_WAIT;

    if (writer->deadline != deadline) {
        ringd_writer_deadline(writer->writer, deadline);
        writer->deadline = deadline;
    }
}

static inline void reader_deadline(struct ringd_reader_end *reader, bool wait)
{
    int64_t deadline = wait ? RINGD_FOREVER : RINGD_NO_WAIT;

    if (reader->deadline != deadline) {
        ringd_reader_deadline(reader->reader, deadline);
        reader->deadline = deadline;
    }
}

static inline int answer(int result, int again)
{
    return result == RINGD_OK ? PEER_OK : result == again ? PEER_AGAIN : result < 0 ? result : -EPROTO;
}

static int ringd_send(void *end, const void *data, bool wait)
{
    struct ringd_writer_end *writer = end;

    writer_deadline(writer, wait);
    if (writer->parts) {
        writer_deadline(writer, true); /* half a message is no record */
        return answer(ringd_write_message(writer->writer, data, writer->bytes), RINGD_FULL);
    }
    return answer(ringd_write(writer->writer, data, writer->bytes), RINGD_FULL);
}

static int batch_flush(void *end)
{
    struct ringd_writer_end *writer = end;
    int result = answer(ringd_write_batch(writer->writer, writer->pieces, (int)writer->pending), RINGD_FULL);

    if (result == PEER_OK)
        writer->pending = 0;
    return result;
}

static int ringd_send_batch(void *end, const void *data, bool wait)
{
    struct ringd_writer_end *writer = end;

    (void)wait;
    writer_deadline(writer, true);
    writer->pieces[writer->pending++] = (struct iovec){(void *)(uintptr_t)data, writer->bytes};
    return writer->pending < writer->batch ? PEER_OK : batch_flush(writer);
}

static int ringd_receive(void *end, const void **data, bool wait)
{
    struct ringd_reader_end *reader = end;
    int result;

    reader_deadline(reader, wait);
    result = ringd_next(reader->reader, &reader->records[0]);
    *data = reader->records[0].data;
    return answer(result, RINGD_WOULD_BLOCK);
}

static int ringd_receive_many(void *end, const void **data, bool wait)
{
    struct ringd_reader_end *reader = end;

    if (reader->next == reader->count) {
        int result;

        reader_deadline(reader, wait);
        reader->next = reader->count = 0;
        result = ringd_next_many(reader->reader, reader->records, MANY, &reader->count);
        if (result)
            return answer(result, RINGD_WOULD_BLOCK);
    }
    *data = reader->records[reader->next++].data;
    return PEER_OK;
}

static void ringd_release_one(void *end)
{
    struct ringd_reader_end *reader = end;

    ringd_release(reader->reader);
}

static void ringd_release_many(void *end)
{
    struct ringd_reader_end *reader = end;

    if (reader->next == reader->count)
        ringd_release(reader->reader);
}

static void ringd_writer_leave(void *end)
{
    struct ringd_writer_end *writer = end;

    ringd_writer_close(writer->writer);
    free(writer);
}

static void ringd_reader_leave(void *end)
{
    struct ringd_reader_end *reader = end;

    ringd_reader_close(reader->reader);
    free(reader);
}

/* clang-format off */
#define RINGD_COMMON \
    .package = "", .close = ringd_line_close, .depth = ringd_depth, .writer = ringd_writer_attach, \
    .reader = ringd_reader_attach, .writer_leave = ringd_writer_leave, .reader_leave = ringd_reader_leave
#define RINGD_MANY .can = PEER_WRITERS | PEER_ALL | PEER_WAITS | PEER_ASKS | PEER_COPIES
#define RINGD_ONE  .can = PEER_ALL | PEER_WAITS | PEER_ASKS | PEER_COPIES
#define RINGD_BATCHES \
    .held = 2 * BATCH, .send = ringd_send_batch, .flush = batch_flush, .receive = ringd_receive_many, \
    .release = ringd_release_many
#define RINGD_RECORDS .send = ringd_send, .receive = ringd_receive, .release = ringd_release_one

const struct peer peer_ringd = {
    .name = "ringd", .what = "lossless ring; ringd_write, ringd_next, ringd_release",
    .cases = PEER_EVERYTHING, .bytes_max = 1u << 20, .open = ringd_line_open, RINGD_COMMON, RINGD_MANY, RINGD_RECORDS};

const struct peer peer_ringd_batch = {
    .name = "ringd-batch", .what = "the same in batches of up to 16: ringd_write_batch, ringd_next_many",
    .cases = PEER_WRITE | PEER_STREAMS, .bytes_max = 1024, .open = ringd_line_open, RINGD_COMMON, RINGD_MANY, RINGD_BATCHES};

const struct peer peer_ringd_single = {
    .name = "ringd-single", .what = "a ring made for one writer",
    .cases = PEER_EVERYTHING, .bytes_max = 1u << 20, .open = ringd_line_open_single, RINGD_COMMON, RINGD_ONE, RINGD_RECORDS};

const struct peer peer_ringd_single_batch = {
    .name = "ringd-single-b", .what = "the same in batches of up to 16",
    .cases = PEER_WRITE | PEER_STREAMS, .bytes_max = 1024, .open = ringd_line_open_single, RINGD_COMMON, RINGD_ONE, RINGD_BATCHES};

const struct peer peer_ringd_monotonic = {
    .name = "ringd-monotonic", .what = "with time stamps of CLOCK_MONOTONIC",
    .cases = PEER_WRITE, .bytes_max = 1u << 20, .open = ringd_line_open_monotonic, RINGD_COMMON, RINGD_MANY, RINGD_RECORDS};

const struct peer peer_ringd_tsc = {
    .name = "ringd-tsc", .what = "with time stamps of the processor's counter",
    .cases = PEER_WRITE, .bytes_max = 1u << 20, .open = ringd_line_open_tsc, RINGD_COMMON, RINGD_MANY, RINGD_RECORDS};
