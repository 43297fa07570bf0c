/* reader_message.c - see reader_message.h. */
#define _GNU_SOURCE
#include "reader_message.h"

#include <string.h>
#include <sys/mman.h>

#include "reader_lane.h"

#define MESSAGE_BYTES_FIRST 65536

/* The memory of one message is kept for the next, unless it is longer. */
#define SPARE_BYTES_MOST (4u << 20)

/* At the beginning of its own mapping; the payload follows. */
struct reader_message {
    struct reader_message *next;
    size_t map_bytes;
    size_t len;
    uint64_t position; /* of the first part */
    uint64_t sequence; /* of the next part */
    uint64_t parts;
    uint32_t writer, incarnation;
    uint32_t marks; /* record.flags of the whole, as of the first part */
};

static unsigned char *payload_of(struct reader_message *message)
{
    return (unsigned char *)(message + 1);
}

static struct reader_message **find(struct reader_lane *l, uint32_t writer)
{
    struct reader_message **link = &l->messages;

    while (*link != NULL && (*link)->writer != writer)
        link = &(*link)->next;
    return link;
}

static struct reader_message *take_out(struct reader_message **link)
{
    struct reader_message *message = *link;

    *link = message->next;
    message->next = NULL;
    return message;
}

static void message_free(struct ringd_reader *r, struct reader_message *message)
{
    if (r->spare_message == NULL && message->map_bytes <= SPARE_BYTES_MOST)
        r->spare_message = message;
    else
        munmap(message, message->map_bytes);
}

void message_free_all(struct ringd_reader *r, struct reader_message **messages)
{
    while (*messages != NULL)
        message_free(r, take_out(messages));
}

void message_free_spare(struct ringd_reader *r)
{
    if (r->spare_message != NULL)
        munmap(r->spare_message, r->spare_message->map_bytes);
    r->spare_message = NULL;
}

/* Memory for one, or NULL: pages that are new cost more than what is copied into them. */
static struct reader_message *message_memory(struct ringd_reader *r)
{
    struct reader_message *message = r->spare_message;
    size_t bytes = MESSAGE_BYTES_FIRST;

    r->spare_message = NULL;
    if (message != NULL)
        bytes = message->map_bytes;
    else
        message = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (message == MAP_FAILED)
        return NULL;
    *message = (struct reader_message){.map_bytes = bytes};
    return message;
}

/* As long as one is begun, ordinary records are looked at closely too: one may be its writer's. */
void message_look_closely(struct ringd_reader *r)
{
    bool any = r->filter != NULL;

    for (uint32_t i = 0; i < r->lane_count; i++)
        any |= r->lanes[i].messages != NULL;
    r->choosy = any ? READER_CHOOSY : 0;
}

void message_end(struct ringd_reader *r, struct reader_lane *l, uint32_t writer)
{
    struct reader_message **link = find(l, writer);

    if (*link == NULL)
        return;
    message_free(r, take_out(link));
    message_look_closely(r);
}

static struct reader_message *message_new(struct ringd_reader *r, struct reader_lane *l,
                                          const struct ringd_record *record)
{
    struct reader_message *message = message_memory(r);

    if (message == NULL)
        return NULL;
    message->writer = record->writer;
    message->incarnation = record->incarnation;
    message->position = record->position;
    message->marks = l->marks;
    message->sequence = record->sequence;
    message->next = l->messages;
    l->messages = message;
    message_look_closely(r);
    return message;
}

/* Room for `len` more bytes; the mapping may move. */
static struct reader_message *make_room(struct reader_message **link, size_t len)
{
    struct reader_message *message = *link;
    size_t needed = sizeof *message + message->len + len, bytes = message->map_bytes;

    if (needed <= bytes)
        return message;
    while (bytes < needed)
        bytes *= 2;
    message = mremap(message, message->map_bytes, bytes, MREMAP_MAYMOVE);
    if (message == MAP_FAILED)
        return NULL;
    message->map_bytes = bytes;
    *link = message;
    return message;
}

/* The message that this is the next part of, or NULL. One that it is not the next part of is at its end. */
static struct reader_message *continued(struct ringd_reader *r, struct reader_lane *l,
                                        const struct ringd_record *record, uint64_t flags)
{
    struct reader_message *message = *find(l, record->writer);

    if (message != NULL &&
        (!(flags & RINGD_FLAG_PART) || (flags & RINGD_FLAG_FIRST) || message->incarnation != record->incarnation ||
         (uint32_t)message->sequence != (uint32_t)record->sequence || message->len > RINGD_MESSAGE_MAX)) {
        message_end(r, l, record->writer);
        message = NULL;
    }
    return message;
}

/* Of the parts that were counted as skipped, those that are not any more: of a group's member only the first, as the
 * others are skipped by whoever claims them. */
__attribute__((noinline)) static uint64_t take_back(struct ringd_reader *r, uint64_t parts)
{
    uint64_t mine = r->member ? 1 : parts;

    ring_count(&r->counters->skipped, -mine);
    STOP_POINT("message-unskipped");
    return mine;
}

/* There is no memory for it. */
static enum look lose(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint64_t parts)
{
    message_end(r, l, record->writer);
    record->data = NULL;
    record->len = 0;
    record->position = record->next;
    record->sequence -= parts - 1;
    record->lost = take_back(r, parts);
    ring_count(&r->counters->lost, record->lost);
    ring_count(&r->counters->gaps, 1);
    return LOOK_GAP;
}

static enum look give(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record)
{
    struct reader_message *message = take_out(find(l, record->writer));

    message_look_closely(r);
    record->data = payload_of(message);
    record->len = message->len;
    record->flags |= message->marks;
    message->next = r->given_messages;
    r->given_messages = message;
    ring_count(&r->counters->delivered, take_back(r, message->parts));
    STOP_POINT("message-delivered");
    ring_count(&r->counters->bytes, message->len);
    return LOOK_RECORD;
}

/* LOOK_AGAIN: nothing to show yet. */
static enum look add(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record,
                     struct reader_message *message, uint64_t flags)
{
    uint64_t parts = message->parts + 1;

    message = make_room(find(l, record->writer), record->len);
    if (message == NULL)
        return lose(r, l, record, parts);
    copy_payload(payload_of(message) + message->len, record->data, record->len);
    message->len += record->len;
    message->parts = parts;
    message->sequence = record->sequence + 1;
    if (reader_was_evicted(r)) { /* and what was copied may have been overwritten meanwhile */
        message_end(r, l, record->writer);
        return LOOK_AGAIN;
    }
    return flags & RINGD_FLAG_LAST ? give(r, l, record) : LOOK_AGAIN;
}

enum look message_take(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint64_t origin)
{
    uint64_t flags = origin >> RINGD_ORIGIN_FLAGS_SHIFT;
    struct reader_message *message = continued(r, l, record, flags);

    ring_count(&r->counters->skipped, 1);
    STOP_POINT("skip-counted");
    if (message == NULL && (flags & RINGD_FLAG_FIRST)) {
        message = message_new(r, l, record);
        if (message == NULL)
            return lose(r, l, record, 1);
    }
    return message != NULL ? add(r, l, record, message, flags) : LOOK_AGAIN;
}

enum look message_follow(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint64_t origin)
{
    uint64_t flags = origin >> RINGD_ORIGIN_FLAGS_SHIFT;
    struct reader_message *message = continued(r, l, record, flags);

    if (message == NULL)
        return LOOK_AGAIN;
    record->sequence = message->sequence; /* all bits of it */
    return add(r, l, record, message, flags);
}

uint64_t message_oldest(const struct reader_lane *l, uint64_t floor, uint64_t position)
{
    for (const struct reader_message *message = l->messages; message != NULL; message = message->next) {
        if ((int64_t)(message->position - floor) >= 0 && (int64_t)(message->position - position) < 0)
            position = message->position;
    }
    return position;
}

uint64_t message_count_below(const struct reader_lane *l, uint64_t position)
{
    uint64_t count = 0;

    for (const struct reader_message *message = l->messages; message != NULL; message = message->next)
        count += (int64_t)(message->position - position) < 0;
    return count;
}

uint64_t message_expected(const struct reader_lane *l, uint32_t writer, uint64_t next)
{
    for (const struct reader_message *message = l->messages; message != NULL; message = message->next) {
        if (message->writer == writer)
            next = message->sequence - message->parts;
    }
    return next;
}
