/* peer_nng.c - nng over ipc: push and pull. (Its pub throws messages away when a reader is slow.) Each process has
 * nng's own threads. Buffers are as many messages as fit a ring of the case's size, at most the 8192 that nng allows.
 */
#define _GNU_SOURCE
#include "peer_list.h"

#if __has_include(<nng/nng.h>)
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_MOST 8192

struct nng_line {
    struct peer_setup setup;
    char address[128];
    int buffer;
};

struct nng_end {
    nng_socket socket;
    nng_msg *message;
    uint32_t bytes;
};

static int nng_line_open(const struct peer_setup *setup, void **line)
{
    struct nng_line *own = calloc(1, sizeof(*own));
    uint64_t buffer = setup->ring_bytes / setup->bytes;

    if (!own)
        return -ENOMEM;
    own->setup = *setup;
    own->buffer = buffer > BUFFER_MOST ? BUFFER_MOST : (int)buffer;
    snprintf(own->address, sizeof(own->address), "ipc://%.90s/nng-%u", setup->folder, setup->line);
    *line = own;
    return 0;
}

static void nng_line_close(void *line)
{
    const struct nng_line *own = line;

    unlink(own->address + 6);
    free(line);
}

static uint32_t nng_depth(void *line)
{
    const struct nng_line *own = line;

    return own->buffer > 1 ? (uint32_t)own->buffer / 2 : 1;
}

/* The one of whom there is only one listens. */
static int end_begin(const struct nng_line *line, struct nng_end *end, bool listens)
{
    const struct timespec nap = {.tv_nsec = 2000000};
    int result;

    end->bytes = line->setup.bytes;
    if (listens) {
        unlink(line->address + 6);
        return nng_listen(end->socket, line->address, NULL, 0);
    }
    result = nng_dial(end->socket, line->address, NULL, 0);
    for (unsigned i = 0; i < 1000 && (result == NNG_ECONNREFUSED || result == NNG_ENOENT); i++) {
        nanosleep(&nap, NULL);
        result = nng_dial(end->socket, line->address, NULL, 0);
    }
    return result;
}

static int nng_writer(void *line, unsigned index, void **end)
{
    const struct nng_line *own = line;
    struct nng_end *writer = calloc(1, sizeof(*writer));

    (void)index;
    if (!writer || nng_push0_open(&writer->socket))
        return -ENOMEM;
    nng_socket_set_int(writer->socket, NNG_OPT_SENDBUF, own->buffer);
    *end = writer;
    return end_begin(own, writer, own->setup.readers > 1) ? -EIO : 0;
}

static int nng_reader(void *line, unsigned index, void **end)
{
    const struct nng_line *own = line;
    struct nng_end *reader = calloc(1, sizeof(*reader));

    (void)index;
    if (!reader || nng_pull0_open(&reader->socket))
        return -ENOMEM;
    nng_socket_set_int(reader->socket, NNG_OPT_RECVBUF, own->buffer);
    *end = reader;
    return end_begin(own, reader, own->setup.readers <= 1) ? -EIO : 0;
}

static int nng_line_send(void *end, const void *data, bool wait)
{
    const struct nng_end *own = end;
    int result = nng_send(own->socket, (void *)(uintptr_t)data, own->bytes, wait ? 0 : NNG_FLAG_NONBLOCK);

    return result == 0 ? PEER_OK : result == NNG_EAGAIN ? PEER_AGAIN : -EIO;
}

static int nng_receive(void *end, const void **data, bool wait)
{
    struct nng_end *own = end;
    int result = nng_recvmsg(own->socket, &own->message, wait ? 0 : NNG_FLAG_NONBLOCK);

    if (result)
        return result == NNG_EAGAIN ? PEER_AGAIN : -EIO;
    *data = nng_msg_body(own->message);
    return nng_msg_len(own->message) == own->bytes ? PEER_OK : -EMSGSIZE;
}

static void nng_release(void *end)
{
    struct nng_end *own = end;

    nng_msg_free(own->message);
}

static void nng_leave(void *end)
{
    struct nng_end *own = end;

    nng_close(own->socket);
    free(own);
}
#define NNG(value)  (value)
#define NNG_MISSING NULL
#else
#define NNG(value)  NULL
static const char *nng_missing(void)
{
    return "libnng-dev was not installed when this was built";
}
#define NNG_MISSING nng_missing
#endif

const struct peer peer_nng = {
    .name = "nng",
    .what = "push and pull over ipc",
    .package = "libnng-dev",
    .can = PEER_WRITERS | PEER_READERS | PEER_WAITS,
    .cases = PEER_EVERYTHING & ~PEER_BUSY,
    .bytes_max = 65536,
    .missing = NNG_MISSING,
    .open = NNG(nng_line_open),
    .close = NNG(nng_line_close),
    .depth = NNG(nng_depth),
    .writer = NNG(nng_writer),
    .reader = NNG(nng_reader),
    .send = NNG(nng_line_send),
    .receive = NNG(nng_receive),
    .release = NNG(nng_release),
    .writer_leave = NNG(nng_leave),
    .reader_leave = NNG(nng_leave),
};
