/* peer_qb.c - libqb: its ring buffer, and its IPC over shared memory.
 *
 *   libqb-ring  one writer, one reader. Reads in place (peek, reclaim). Busy: without the semaphore
 *               (QB_RB_FLAG_NO_SEMAPHORE), as it is fastest; sleeping: with it.
 *   libqb-ipc   the reader is the server, writers are clients, each with a ring of its own (QB_IPC_SHM) and a byte in a
 *               socket for each request. The server's event loop is a poll() over what libqb asks to be watched. Its
 *               callbacks hand out up to some dozen requests at a time: they are copied to where receive() finds them.
 *
 * What libqb leaves in /dev/shm when a server or a client is killed is removed with the line. */
#define _GNU_SOURCE
#include "peer_list.h"

#if __has_include(<qb/qbrb.h>)
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <qb/qbipcc.h>
#include <qb/qbipcs.h>
#include <qb/qbrb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS      100
#define SOCKET_DEPTH 64u

struct qb_line {
    struct peer_setup setup;
    char name[48];
    qb_ringbuffer_t *ring; /* of the parent: keeps the name */
    pid_t server;          /* IPC: by the reader; its files are named by it */
};

struct qb_ring_end {
    qb_ringbuffer_t *ring;
    uint32_t bytes;
};

/* ---- the ring --------------------------------------------------------------------------------------------------- */

static uint32_t ring_flags(const struct peer_setup *setup)
{
    return QB_RB_FLAG_SHARED_PROCESS | (setup->sleeping ? 0 : QB_RB_FLAG_NO_SEMAPHORE);
}

static int line_new(const struct peer_setup *setup, struct qb_line **line)
{
    *line = shared_new(sizeof(**line));
    if (!*line)
        return -ENOMEM;
    (*line)->setup = *setup;
    snprintf((*line)->name, sizeof((*line)->name), "bench-peers-%d-%u", (int)getpid(), setup->line);
    return 0;
}

static int qb_ring_line_open(const struct peer_setup *setup, void **line)
{
    struct qb_line *own;
    int result = line_new(setup, &own);

    if (result)
        return result;
    own->ring = qb_rb_open(own->name, setup->ring_bytes, ring_flags(setup) | QB_RB_FLAG_CREATE, 0);
    if (!own->ring) {
        result = -errno;
        shared_free(own, sizeof(*own));
        return result;
    }
    *line = own;
    return 0;
}

static void qb_ring_line_close(void *line)
{
    struct qb_line *own = line;

    qb_rb_close(own->ring); /* made here, so this removes the name too */
    shared_free(own, sizeof(*own));
}

static uint32_t qb_depth(void *line)
{
    const struct qb_line *own = line;
    uint64_t depth = own->setup.ring_bytes / 2 / (own->setup.bytes + 32u);

    return depth ? (uint32_t)depth : 1;
}

/* So many bytes fit into the socket for sure while the server looks away. */
static uint32_t qb_ipc_depth(void *line)
{
    uint32_t depth = qb_depth(line);

    return depth < SOCKET_DEPTH ? depth : SOCKET_DEPTH;
}

static int qb_ring_attach(void *line, unsigned index, void **end)
{
    const struct qb_line *own = line;
    struct qb_ring_end *ring = calloc(1, sizeof(*ring));

    (void)index;
    if (!ring)
        return -ENOMEM;
    ring->ring = qb_rb_open(own->name, own->setup.ring_bytes, ring_flags(&own->setup), 0);
    ring->bytes = own->setup.bytes;
    *end = ring;
    return ring->ring ? 0 : -errno;
}

static int qb_ring_send(void *end, const void *data, bool wait)
{
    const struct qb_ring_end *own = end;
    ssize_t count = qb_rb_chunk_write(own->ring, data, own->bytes);

    (void)wait; /* it has no way to wait for room */
    if (count == (ssize_t)own->bytes)
        return PEER_OK;
    return count == -EAGAIN || errno == EAGAIN ? PEER_AGAIN : (int)count;
}

static int qb_ring_receive(void *end, const void **data, bool wait)
{
    const struct qb_ring_end *own = end;
    void *place = NULL;
    ssize_t count = qb_rb_chunk_peek(own->ring, &place, wait ? -1 : 0);

    *data = place;
    if (count == (ssize_t)own->bytes)
        return PEER_OK;
    /* without the semaphore an empty ring is a bad message to it */
    if (count == 0 || count == -ETIMEDOUT || count == -EAGAIN || count == -EBADMSG)
        return PEER_AGAIN;
    return count < 0 ? (int)count : -EMSGSIZE;
}

static void qb_ring_release(void *end)
{
    const struct qb_ring_end *own = end;

    qb_rb_chunk_reclaim(own->ring);
}

static void qb_ring_leave(void *end)
{
    struct qb_ring_end *own = end;

    qb_rb_close(own->ring);
    free(own);
}

/* ---- IPC: the client -------------------------------------------------------------------------------------------- */

struct client_end {
    qb_ipcc_connection_t *connection;
    struct qb_ipc_request_header header;
    uint32_t bytes;
};

static size_t request_bytes(uint32_t bytes)
{
    return sizeof(struct qb_ipc_request_header) + bytes;
}

/* What a connection's ring takes; the client says it. libqb gives a ring that is not smaller. */
static size_t connection_bytes(const struct peer_setup *setup)
{
    return setup->ring_bytes > 4 * request_bytes(setup->bytes) ? setup->ring_bytes : 4 * request_bytes(setup->bytes);
}

static int qb_ipc_writer(void *line, unsigned index, void **end)
{
    const struct qb_line *own = line;
    struct client_end *client = calloc(1, sizeof(*client));
    const struct timespec nap = {.tv_nsec = 2000000};

    (void)index;
    if (!client)
        return -ENOMEM;
    for (unsigned tries = 0; !client->connection && tries < 1000; tries++) {
        client->connection = qb_ipcc_connect(own->name, connection_bytes(&own->setup));
        if (!client->connection)
            nanosleep(&nap, NULL);
    }
    client->bytes = own->setup.bytes;
    client->header.id = QB_IPC_MSG_USER_START + 1;
    client->header.size = (int32_t)request_bytes(client->bytes);
    *end = client;
    return client->connection ? 0 : -errno;
}

static int qb_ipc_send(void *end, const void *data, bool wait)
{
    struct client_end *own = end;
    const struct iovec pieces[2] = {{&own->header, sizeof(own->header)}, {(void *)(uintptr_t)data, own->bytes}};
    ssize_t count = qb_ipcc_sendv(own->connection, pieces, 2);

    if (count == (ssize_t)request_bytes(own->bytes))
        return PEER_OK;
    if (count != -EAGAIN && count != -ETIMEDOUT)
        return count < 0 ? (int)count : -EMSGSIZE;
    if (wait)
        sched_yield(); /* it has no way to wait for room */
    return PEER_AGAIN;
}

static void qb_ipc_writer_leave(void *end)
{
    struct client_end *own = end;

    qb_ipcc_disconnect(own->connection);
    free(own);
}

/* ---- IPC: the server -------------------------------------------------------------------------------------------- */

#define WATCHES 40
#define WAITING 512u /* requests handed out at once, at most */

struct watch {
    int fd;
    void *data;
    qb_ipcs_dispatch_fn_t call;
    short events;
};

struct job {
    void *data;
    qb_loop_job_dispatch_fn call;
};

struct server_end {
    qb_ipcs_service_t *service;
    struct watch watches[WATCHES];
    int watch_count;
    struct job jobs[WATCHES];
    int job_count;
    uint32_t connected, bytes;
    unsigned char *requests;
    uint32_t next, count;
};

static struct server_end *server; /* one in a process; libqb's handlers for polling have no context of their own */

static int32_t server_job_add(enum qb_loop_priority priority, void *data, qb_loop_job_dispatch_fn call)
{
    (void)priority;
    if (server->job_count == WATCHES)
        return -ENOMEM;
    server->jobs[server->job_count++] = (struct job){data, call};
    return 0;
}

static int32_t server_watch_add(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data,
                                qb_ipcs_dispatch_fn_t call)
{
    (void)priority;
    if (server->watch_count == WATCHES)
        return -ENOMEM;
    server->watches[server->watch_count++] = (struct watch){fd, data, call, (short)events};
    return 0;
}

static int32_t server_watch_mod(enum qb_loop_priority priority, int32_t fd, int32_t events, void *data,
                                qb_ipcs_dispatch_fn_t call)
{
    (void)priority;
    for (int i = 0; i < server->watch_count; i++) {
        if (server->watches[i].fd == fd)
            server->watches[i] = (struct watch){fd, data, call, (short)events};
    }
    return 0;
}

static int32_t server_watch_del(int32_t fd)
{
    for (int i = 0; i < server->watch_count; i++) {
        if (server->watches[i].fd == fd)
            server->watches[i] = server->watches[--server->watch_count];
    }
    return 0;
}

static int32_t server_accept(qb_ipcs_connection_t *connection, uid_t uid, gid_t gid)
{
    (void)connection;
    (void)uid;
    (void)gid;
    return 0;
}

static void server_created(qb_ipcs_connection_t *connection)
{
    (void)connection;
    server->connected++;
}

static int32_t server_request(qb_ipcs_connection_t *connection, void *data, size_t size)
{
    (void)connection;
    if (size != request_bytes(server->bytes))
        return -EMSGSIZE;
    if (server->count == WAITING)
        return -ENOBUFS;
    memcpy(server->requests + (size_t)server->count * server->bytes,
           (const unsigned char *)data + sizeof(struct qb_ipc_request_header), server->bytes);
    server->count++;
    return 0;
}

static int32_t server_closed(qb_ipcs_connection_t *connection)
{
    (void)connection;
    return 0;
}

static void server_destroyed(qb_ipcs_connection_t *connection)
{
    (void)connection;
}

/* One turn of the event loop. */
static int server_turn(int timeout_ms)
{
    struct watch watches[WATCHES];
    struct pollfd polls[WATCHES];
    struct job jobs[WATCHES];
    int count = server->watch_count, job_count = server->job_count;

    memcpy(jobs, server->jobs, sizeof(jobs));
    server->job_count = 0;
    for (int i = 0; i < job_count; i++)
        jobs[i].call(jobs[i].data);
    memcpy(watches, server->watches, sizeof(watches));
    for (int i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = watches[i].fd, .events = watches[i].events};
    if (poll(polls, (nfds_t)count, timeout_ms) < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count && server->count < WAITING / 2; i++) {
        if (polls[i].revents && watches[i].call(polls[i].fd, polls[i].revents, watches[i].data) < 0)
            server_watch_del(polls[i].fd);
    }
    return 0;
}

static int qb_ipc_reader(void *line, unsigned index, void **end)
{
    static struct qb_ipcs_service_handlers handlers = {.connection_accept = server_accept,
                                                       .connection_created = server_created,
                                                       .msg_process = server_request,
                                                       .connection_closed = server_closed,
                                                       .connection_destroyed = server_destroyed};
    static struct qb_ipcs_poll_handlers polls = {.job_add = server_job_add,
                                                 .dispatch_add = server_watch_add,
                                                 .dispatch_mod = server_watch_mod,
                                                 .dispatch_del = server_watch_del};
    struct qb_line *own = line;
    int result;

    (void)index;
    own->server = getpid();
    server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->bytes = own->setup.bytes;
    server->requests = malloc((size_t)WAITING * server->bytes);
    server->service = qb_ipcs_create(own->name, 4, QB_IPC_SHM, &handlers);
    if (!server->service || !server->requests)
        return -ENOMEM;
    qb_ipcs_poll_handlers_set(server->service, &polls);
    qb_ipcs_request_rate_limit(server->service, QB_IPCS_RATE_FAST);
    qb_ipcs_enforce_buffer_size(server->service, (uint32_t)connection_bytes(&own->setup));
    result = qb_ipcs_run(server->service);
    while (!result && server->connected < own->setup.writers)
        result = server_turn(TURN_MS);
    *end = server;
    return result;
}

static int qb_ipc_receive(void *end, const void **data, bool wait)
{
    struct server_end *own = end;

    if (own->next == own->count) {
        own->next = own->count = 0;
        do {
            int result = server_turn(wait ? TURN_MS : 0);

            if (result)
                return result;
        } while (wait && own->count == 0);
        if (own->count == 0)
            return PEER_AGAIN;
    }
    *data = own->requests + (size_t)own->next++ * own->bytes;
    return PEER_OK;
}

static void qb_ipc_reader_leave(void *end)
{
    struct server_end *own = end;

    qb_ipcs_destroy(own->service);
    free(own->requests);
    free(own);
    server = NULL;
}

static int qb_ipc_line_open(const struct peer_setup *setup, void **line)
{
    struct qb_line *own;
    int result = line_new(setup, &own);

    *line = own;
    return result;
}

static void paths_remove(const char *pattern)
{
    glob_t found;

    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            remove(found.gl_pathv[i]);
        globfree(&found);
    }
}

static void qb_ipc_line_close(void *line)
{
    struct qb_line *own = line;
    char pattern[64];

    if (own->server > 0) {
        snprintf(pattern, sizeof(pattern), "/dev/shm/qb-%d-*/*", (int)own->server);
        paths_remove(pattern);
        snprintf(pattern, sizeof(pattern), "/dev/shm/qb-%d-*", (int)own->server);
        paths_remove(pattern);
    }
    shared_free(own, sizeof(*own));
}
#define QB(value)  (value)
#define QB_MISSING NULL
#else
#define QB(value)  NULL
static const char *qb_missing(void)
{
    return "libqb-dev was not installed when this was built";
}
#define QB_MISSING qb_missing
#endif

const struct peer peer_libqb_ring = {
    .name = "libqb-ring",
    .what = "qb_rb_chunk_write, _peek, _reclaim; one writer, one reader; without its semaphore where nobody sleeps",
    .package = "libqb-dev",
    .can = PEER_WAITS | PEER_ASKS | PEER_COPIES,
    .cases = PEER_WRITE | PEER_STREAMS | PEER_LATENCY,
    .bytes_max = 65536,
    .missing = QB_MISSING,
    .open = QB(qb_ring_line_open),
    .close = QB(qb_ring_line_close),
    .depth = QB(qb_depth),
    .writer = QB(qb_ring_attach),
    .reader = QB(qb_ring_attach),
    .send = QB(qb_ring_send),
    .receive = QB(qb_ring_receive),
    .release = QB(qb_ring_release),
    .writer_leave = QB(qb_ring_leave),
    .reader_leave = QB(qb_ring_leave),
};

const struct peer peer_libqb_ipc = {
    .name = "libqb-ipc",
    .what = "qb_ipcc_sendv to a server over shared memory, a ring and a socket for each client",
    .package = "libqb-dev",
    .can = PEER_WRITERS | PEER_WAITS | PEER_COPIES,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .missing = QB_MISSING,
    .open = QB(qb_ipc_line_open),
    .close = QB(qb_ipc_line_close),
    .depth = QB(qb_ipc_depth),
    .writer = QB(qb_ipc_writer),
    .reader = QB(qb_ipc_reader),
    .send = QB(qb_ipc_send),
    .receive = QB(qb_ipc_receive),
    .writer_leave = QB(qb_ipc_writer_leave),
    .reader_leave = QB(qb_ipc_reader_leave),
};
