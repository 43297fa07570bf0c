/* support_ring.c - rings, contexts and records that describe themselves. See support.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../daemon/ring_options.h"
#include "../daemon/segment_create.h"
#include "support.h"
#include "writer.h"

#define CONTEXTS_MAX 320

/* ---- rings and contexts ------------------------------------------------------------------------------------------ */

void make_ring(const char *name, struct ringd_ring_options options)
{
    uint64_t size = options.size != 0 ? options.size : UINT64_C(1) << 20;
    int result;

    if (options.first_position == 0)
        options.first_position = SUPPORT_WRAP - size / 2;
    result = ringd_create(name, &options);
    require(result == 0, "create %s: %d (%s)", name, result, ringd_error());
}

static struct ringd *open_ring(const char *name)
{
    struct ringd *ring;
    int result = ringd_open(&ring, name);

    require(result == 0, "open %s: %d (%s)", name, result, ringd_error());
    return ring;
}

struct ringd_writer *open_writer_with(const char *name, struct ringd_writer_options options)
{
    struct ringd *ring = open_ring(name);
    struct ringd_writer *writer;
    int result = ringd_writer_open(&writer, ring, &options);

    require(result == 0, "writer of %s: %d (%s)", name, result, ringd_error());
    ringd_close(ring);
    return writer;
}

struct ringd_writer *open_writer_until(const char *name, int64_t deadline)
{
    return open_writer_with(name, (struct ringd_writer_options){.deadline = deadline});
}

struct ringd_writer *open_writer(const char *name)
{
    return open_writer_until(name, RINGD_NO_WAIT);
}

struct ringd_reader *open_reader_with(const char *name, struct ringd_reader_options options)
{
    struct ringd *ring = open_ring(name);
    struct ringd_reader *reader;
    int result = ringd_reader_open(&reader, ring, &options);

    require(result == 0, "reader of %s: %d (%s)", name, result, ringd_error());
    ringd_close(ring);
    return reader;
}

struct ringd_reader *open_reader_until(const char *name, uint32_t mode, uint32_t start, int64_t deadline)
{
    return open_reader_with(name, (struct ringd_reader_options){.mode = mode, .start = start, .deadline = deadline});
}

struct ringd_reader *open_reader(const char *name, uint32_t mode, uint32_t start)
{
    return open_reader_until(name, mode, start, RINGD_NO_WAIT);
}

struct ringd_info ring_info(const char *name)
{
    struct ringd_info info;
    int result = ringd_status(name, &info, NULL, 0, NULL);

    require(result == 0, "status of %s: %d (%s)", name, result, ringd_error());
    return info;
}

bool find_context(const char *name, uint32_t kind, struct ringd_context_info *context)
{
    static struct ringd_context_info contexts[CONTEXTS_MAX];
    size_t count;
    int result = ringd_status(name, NULL, contexts, CONTEXTS_MAX, &count);

    require(result == 0, "status of %s: %d (%s)", name, result, ringd_error());
    for (size_t i = 0; i < count && i < CONTEXTS_MAX; i++) {
        if (contexts[i].kind != kind)
            continue;
        *context = contexts[i];
        return true;
    }
    return false;
}

void wait_for_contexts(const char *name, size_t count)
{
    size_t attached;

    for (;;) {
        int result = ringd_status(name, NULL, NULL, 0, &attached);

        require(result == 0, "status of %s: %d (%s)", name, result, ringd_error());
        if (attached == count)
            return;
        pause_ms(1);
    }
}

/* The names go at once: nothing is left behind, whatever happens. */
void own_ring_new(struct own_ring *ring, struct ringd_ring_options options)
{
    struct object_name name;
    struct problem problem;
    struct ticks ticks;
    int result;

    if (options.first_position == 0)
        options.first_position = SUPPORT_WRAP - 1024;
    ring->objects = calloc(1, sizeof *ring->objects);
    ring->segment = calloc(1, sizeof *ring->segment);
    require(ring->objects != NULL && ring->segment != NULL, "no memory");
    ticks_init(&ticks);
    segment_objects_init(ring->objects);
    snprintf(name.text, sizeof name.text, "/ringd-check-%ld", (long)getpid());
    result = ring_options_check(&options, &problem);
    if (result == 0)
        result = segment_create(ring->objects, &name, "own", &options, &ticks, &problem);
    require(result == 0, "%d (%s)", result, problem.text);
    segment_objects_unlink(ring->objects);
    result = segment_map(ring->segment, ring->objects->segment.fd, ring->objects->readers.fd, SEGMENT_WRITER);
    require(result == 0, "%d", result);
}

void own_ring_free(struct own_ring *ring)
{
    segment_unmap(ring->segment);
    segment_objects_deinit(ring->objects);
    free(ring->segment);
    free(ring->objects);
}

/* ---- records that describe themselves ---------------------------------------------------------------------------- */

struct record_head {
    uint32_t writer;
    uint32_t len;
    uint64_t sequence;
    uint64_t sum;
};

_Static_assert(sizeof(struct record_head) == RECORD_MIN, "a record's own head");

static uint64_t stir(uint64_t value)
{
    value = (value ^ value >> 31) * UINT64_C(0x7fb5d329728ea185);
    return value ^ value >> 27;
}

/* The pattern's bytes from `body` on, eight at a time; returns their sum. */
static uint64_t fill_body(unsigned char *body, size_t len, uint64_t start)
{
    uint64_t word = start, sum = start;

    for (size_t i = 0; i < len; i += sizeof word) {
        word = stir(word + i + 1);
        sum = stir(sum ^ word);
        memcpy(body + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
    return sum;
}

static uint64_t body_start(const struct record_head *head)
{
    return stir((uint64_t)head->writer << 32 ^ head->len ^ head->sequence * UINT64_C(0x9e3779b97f4a7c15));
}

void record_make(void *payload, size_t len, uint32_t writer, uint64_t sequence)
{
    struct record_head head = {.writer = writer, .len = (uint32_t)len, .sequence = sequence};

    require(len >= RECORD_MIN && len <= RECORD_MAX, "%zu", len);
    head.sum = fill_body((unsigned char *)payload + sizeof head, len - sizeof head, body_start(&head));
    memcpy(payload, &head, sizeof head);
}

void record_verify(const struct ringd_record *record)
{
    unsigned char expected[RECORD_MAX]; /* not static: signal handlers check records too */
    struct record_head head;

    require(record->len >= RECORD_MIN && record->len <= RECORD_MAX, "length %zu", record->len);
    memcpy(&head, record->data, sizeof head);
    require(head.len == record->len, "record of %zu bytes says it has %" PRIu32, record->len, head.len);
    require(head.writer == record->writer && head.sequence == record->sequence,
            "record %" PRIu64 " of writer %" PRIu32 " says it is %" PRIu64 " of %" PRIu32, record->sequence,
            record->writer, head.sequence, head.writer);
    record_make(expected, record->len, head.writer, head.sequence);
    require(memcmp(expected, record->data, record->len) == 0, "record %" PRIu64 " of writer %" PRIu32 " is torn",
            record->sequence, record->writer);
}

uint32_t writer_slot(const struct ringd_writer *writer)
{
    return (uint32_t)(writer->origin & RINGD_ORIGIN_WRITER_MASK);
}

uint64_t writer_sequence(const struct ringd_writer *writer)
{
    return writer->sequence;
}

int write_record(struct ringd_writer *writer, size_t len)
{
    unsigned char payload[RECORD_MAX];

    record_make(payload, len, writer_slot(writer), writer_sequence(writer));
    return ringd_write(writer, payload, len);
}

int write_pair(struct ringd_writer *writer, size_t first_len, size_t second_len)
{
    unsigned char first[RECORD_MAX], second[RECORD_MAX];
    struct iovec batch[] = {{first, first_len}, {second, second_len}};

    record_make(first, first_len, writer_slot(writer), writer_sequence(writer));
    record_make(second, second_len, writer_slot(writer), writer_sequence(writer) + 1);
    return ringd_write_batch(writer, batch, 2);
}

int write_granted(struct ringd_writer *writer, size_t bytes, bool keep)
{
    size_t granted;
    void *data;
    int result = ringd_reserve(writer, bytes, bytes, &data, &granted);

    if (result != RINGD_OK)
        return result;
    if (!keep) {
        memset(data, 'x', granted);
        return ringd_abort(writer);
    }
    record_make(data, RECORD_MIN, writer_slot(writer), writer_sequence(writer));
    return ringd_commit(writer, RECORD_MIN);
}

/* ---- what a reader has had --------------------------------------------------------------------------------------- */

void tracker_record(struct tracker *tracker, const struct ringd_record *record)
{
    uint32_t writer = record->writer;

    record_verify(record);
    require(writer < 31, "writer %" PRIu32, writer);
    require(!tracker->known[writer] || record->sequence == tracker->next[writer],
            "record %" PRIu64 " of writer %" PRIu32 " instead of %" PRIu64, record->sequence, writer,
            tracker->next[writer]);
    require(record->position >= tracker->position, "position %" PRIu64 " after %" PRIu64, record->position,
            tracker->position);
    tracker->known[writer] = true;
    tracker->next[writer] = record->sequence + 1;
    tracker->delivered[writer]++;
    tracker->position = record->next;
}

void tracker_gap(struct tracker *tracker, const struct ringd_record *gap)
{
    require(gap->writer < 31 && gap->lost > 0, "gap of %" PRIu64 " of writer %" PRIu32, gap->lost, gap->writer);
    tracker->lost[gap->writer] += gap->lost;
    tracker->next[gap->writer] += gap->lost;
}

int tracker_drain(struct tracker *tracker, struct ringd_reader *reader)
{
    struct ringd_record record;
    int result;

    for (;;) {
        result = ringd_next(reader, &record);
        if (result == RINGD_OK)
            tracker_record(tracker, &record);
        else if (result == RINGD_GAP)
            tracker_gap(tracker, &record);
        else
            break;
        require(ringd_release(reader) == RINGD_OK, "evicted at %" PRIu64, ringd_reader_position(reader));
    }
    return result;
}

static uint64_t sum_of(const uint64_t numbers[31])
{
    uint64_t sum = 0;

    for (int i = 0; i < 31; i++)
        sum += numbers[i];
    return sum;
}

uint64_t tracker_delivered(const struct tracker *tracker)
{
    return sum_of(tracker->delivered);
}

uint64_t tracker_lost(const struct tracker *tracker)
{
    return sum_of(tracker->lost);
}
