/* peer_zmq.c - ZeroMQ over ipc: PUSH and PULL; PUB and SUB where each reader gets all, with XPUB_NODROP, so that
 * nothing is thrown away for a slow one. Each process has a context with one thread of its own, which moves messages
 * between its queues and the socket. The queues' limits are as many records as fit a ring of the case's size. */
#define _GNU_SOURCE
#include "peer_list.h"

#if __has_include(<zmq.h>)
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

struct zmq_line {
    struct peer_setup setup;
    char address[128];
    int limit;
};

struct zmq_end {
    void *context, *socket;
    zmq_msg_t message;
    uint32_t bytes;
};

static int zmq_line_open(const struct peer_setup *setup, void **line)
{
    struct zmq_line *own = calloc(1, sizeof(*own));

    if (!own)
        return -ENOMEM;
    own->setup = *setup;
    own->limit = (int)(setup->ring_bytes / setup->bytes < 16 ? 16 : setup->ring_bytes / setup->bytes);
    snprintf(own->address, sizeof(own->address), "ipc://%.90s/zmq-%u", setup->folder, setup->line);
    *line = own;
    return 0;
}

static void zmq_line_close(void *line)
{
    const struct zmq_line *own = line;

    unlink(own->address + 6);
    free(line);
}

static uint32_t zmq_depth(void *line)
{
    const struct zmq_line *own = line;

    return (uint32_t)own->limit / 2;
}

/* The one of whom there is only one binds. */
static bool writer_binds(const struct zmq_line *line)
{
    return line->setup.readers > 1 || line->setup.all;
}

static int end_new(const struct zmq_line *line, int type, bool bind, struct zmq_end **end)
{
    struct zmq_end *own = calloc(1, sizeof(*own));
    int yes = 1, result = 0, again_ms = 1; /* else it tries every 100 ms until the other side is there */

    if (!own)
        return -ENOMEM;
    own->bytes = line->setup.bytes;
    own->context = zmq_ctx_new();
    own->socket = own->context ? zmq_socket(own->context, type) : NULL;
    if (!own->socket)
        return -ENOMEM;
    zmq_setsockopt(own->socket, ZMQ_SNDHWM, &line->limit, sizeof(line->limit));
    zmq_setsockopt(own->socket, ZMQ_RCVHWM, &line->limit, sizeof(line->limit));
    zmq_setsockopt(own->socket, ZMQ_RECONNECT_IVL, &again_ms, sizeof(again_ms));
    if (type == ZMQ_XPUB) {
        zmq_setsockopt(own->socket, ZMQ_XPUB_NODROP, &yes, sizeof(yes));
        zmq_setsockopt(own->socket, ZMQ_XPUB_VERBOSE, &yes, sizeof(yes)); /* tells of each subscriber */
    }
    if (type == ZMQ_SUB)
        zmq_setsockopt(own->socket, ZMQ_SUBSCRIBE, "", 0);
    if (bind) {
        unlink(line->address + 6);
        result = zmq_bind(own->socket, line->address);
    } else {
        result = zmq_connect(own->socket, line->address);
    }
    *end = own;
    return result ? -errno : 0;
}

static int zmq_writer(void *line, unsigned index, void **end)
{
    const struct zmq_line *own = line;
    struct zmq_end *writer = NULL;
    int result = end_new(own, own->setup.all ? ZMQ_XPUB : ZMQ_PUSH, writer_binds(own), &writer);

    (void)index;
    for (uint32_t i = 0; own->setup.all && !result && i < own->setup.readers; i++) {
        char subscription[16];

        if (zmq_recv(writer->socket, subscription, sizeof(subscription), 0) < 0)
            result = -errno;
    }
    *end = writer;
    return result;
}

static int zmq_reader(void *line, unsigned index, void **end)
{
    const struct zmq_line *own = line;
    struct zmq_end *reader = NULL;
    int result = end_new(own, own->setup.all ? ZMQ_SUB : ZMQ_PULL, !writer_binds(own), &reader);

    (void)index;
    if (!result)
        zmq_msg_init(&reader->message);
    *end = reader;
    return result;
}

static int zmq_line_send(void *end, const void *data, bool wait)
{
    const struct zmq_end *own = end;

    if (zmq_send(own->socket, data, own->bytes, wait ? 0 : ZMQ_DONTWAIT) == (int)own->bytes)
        return PEER_OK;
    return errno == EAGAIN || errno == EINTR ? PEER_AGAIN : -errno;
}

static int zmq_receive(void *end, const void **data, bool wait)
{
    struct zmq_end *own = end;
    int count = zmq_msg_recv(&own->message, own->socket, wait ? 0 : ZMQ_DONTWAIT); /* ends what was there before */

    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? PEER_AGAIN : -errno;
    *data = zmq_msg_data(&own->message);
    return count == (int)own->bytes ? PEER_OK : -EMSGSIZE;
}

static void zmq_leave(void *end)
{
    struct zmq_end *own = end;
    int linger = 0;

    zmq_setsockopt(own->socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_close(own->socket);
    zmq_ctx_term(own->context);
    free(own);
}
#define ZMQ(value)  (value)
#define ZMQ_MISSING NULL
#else
#define ZMQ(value)  NULL
static const char *zmq_missing(void)
{
    return "libzmq3-dev was not installed when this was built";
}
#define ZMQ_MISSING zmq_missing
#endif

const struct peer peer_zeromq = {
    .name = "zeromq",
    .what = "PUSH and PULL over ipc; XPUB (no drop) and SUB where each reader gets all",
    .package = "libzmq3-dev",
    .can = PEER_WRITERS | PEER_READERS | PEER_ALL | PEER_WAITS,
    .cases = PEER_EVERYTHING & ~PEER_BUSY,
    .bytes_max = 65536,
    .missing = ZMQ_MISSING,
    .open = ZMQ(zmq_line_open),
    .close = ZMQ(zmq_line_close),
    .depth = ZMQ(zmq_depth),
    .writer = ZMQ(zmq_writer),
    .reader = ZMQ(zmq_reader),
    .send = ZMQ(zmq_line_send),
    .receive = ZMQ(zmq_receive),
    .writer_leave = ZMQ(zmq_leave),
    .reader_leave = ZMQ(zmq_leave),
};
