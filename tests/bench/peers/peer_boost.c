/* peer_boost.c - Boost.Interprocess message_queue: messages in shared memory below one mutex, all of one priority;
 * copied in and out while it is locked. Waiters sleep on a condition in shared memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "boost_queue.h"
#include "peer_list.h"

#define MESSAGE_COST 64u /* beside its bytes */

struct boost_line {
    struct peer_setup setup;
    char name[48];
    void *queue;
    uint32_t messages;
};

struct boost_end {
    void *queue;
    uint32_t bytes;
    unsigned char *buffer;
};

static const char *boost_missing(void)
{
    return boost_queue_available() ? NULL : "libboost-dev was not installed when this was built";
}

static int boost_open(const struct peer_setup *setup, void **line)
{
    struct boost_line *own = calloc(1, sizeof(*own));

    if (!own)
        return -ENOMEM;
    own->setup = *setup;
    own->messages = (uint32_t)(setup->ring_bytes / (setup->bytes + MESSAGE_COST));
    own->messages = own->messages < 4 ? 4 : own->messages;
    snprintf(own->name, sizeof(own->name), "bench-peers-%d-%u", (int)getpid(), setup->line);
    own->queue = boost_queue_open(own->name, own->messages, setup->bytes);
    *line = own;
    if (own->queue)
        return 0;
    free(own);
    return -ENOMEM;
}

static void boost_close(void *line)
{
    struct boost_line *own = line;

    boost_queue_close(own->queue);
    boost_queue_remove(own->name);
    free(own);
}

static uint32_t boost_depth(void *line)
{
    const struct boost_line *own = line;

    return own->messages / 2;
}

static int boost_attach(void *line, unsigned index, void **end)
{
    const struct boost_line *own = line;
    struct boost_end *boost = calloc(1, sizeof(*boost));

    (void)index;
    if (!boost)
        return -ENOMEM;
    boost->queue = boost_queue_open(own->name, 0, 0);
    boost->bytes = own->setup.bytes;
    boost->buffer = record_buffer_new(boost->bytes);
    *end = boost;
    return boost->queue && boost->buffer ? 0 : -ENOMEM;
}

static int boost_send(void *end, const void *data, bool wait)
{
    const struct boost_end *own = end;
    int result = boost_queue_send(own->queue, data, own->bytes, wait);

    return result < 0 ? -EIO : result ? PEER_AGAIN : PEER_OK;
}

static int boost_receive(void *end, const void **data, bool wait)
{
    const struct boost_end *own = end;
    int result = boost_queue_receive(own->queue, own->buffer, own->bytes, wait);

    *data = own->buffer;
    return result < 0 ? -EIO : result ? PEER_AGAIN : PEER_OK;
}

static void boost_leave(void *end)
{
    struct boost_end *own = end;

    boost_queue_close(own->queue);
    free(own);
}

const struct peer peer_boost_mq = {
    .name = "boost-mq",
    .what = "Boost.Interprocess message_queue, one priority",
    .package = "libboost-dev",
    .can = PEER_WRITERS | PEER_READERS | PEER_WAITS | PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .missing = boost_missing,
    .open = boost_open,
    .close = boost_close,
    .depth = boost_depth,
    .writer = boost_attach,
    .reader = boost_attach,
    .send = boost_send,
    .receive = boost_receive,
    .writer_leave = boost_leave,
    .reader_leave = boost_leave,
};
