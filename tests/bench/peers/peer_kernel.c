/* peer_kernel.c - what the kernel itself has: a pipe, a Unix seqpacket socket, a POSIX message queue.
 *
 *   pipe       as large as the kernel allows, up to the ring's size; records of a fixed length, each written by one
 *              write(). Above PIPE_BUF (4096) the kernel may mix writers: larger records only for a single one.
 *   seqpacket  one socketpair, all writers share one end, as after a fork. Its buffer as large as allowed.
 *   posix-mq   as many messages as allowed (without privileges: 10), each at most 8 KiB unless privileged.
 *
 * All sides sleep in the kernel; for busy waiting they are asked with O_NONBLOCK. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_list.h"

#define PACKET_COST 1024u /* what the kernel books for a packet beside its bytes, at most */
#define QUEUE_MOST  256

struct kernel_line {
    struct peer_setup setup;
    int read_fd, write_fd;
    mqd_t queue;
    char queue_name[32];
    uint32_t depth;
};

struct kernel_end {
    int fd;
    mqd_t queue;
    uint32_t bytes;
    unsigned char *buffer;
};

static struct kernel_line *line_new(const struct peer_setup *setup)
{
    struct kernel_line *line = calloc(1, sizeof(*line));

    if (line) {
        line->setup = *setup;
        line->read_fd = line->write_fd = -1;
        line->queue = (mqd_t)-1;
    }
    return line;
}

static void kernel_close(void *line)
{
    struct kernel_line *own = line;

    if (own->read_fd >= 0)
        close(own->read_fd);
    if (own->write_fd >= 0)
        close(own->write_fd);
    if (own->queue != (mqd_t)-1) {
        mq_close(own->queue);
        mq_unlink(own->queue_name);
    }
    free(own);
}

static uint32_t kernel_depth(void *line)
{
    const struct kernel_line *own = line;

    return own->depth ? own->depth : 1;
}

/* Whether they wait is a flag of the descriptor, which all who inherit it share: it is set when the line is made. */
static int end_new(const struct kernel_line *line, int fd, void **end)
{
    struct kernel_end *own = calloc(1, sizeof(*own));

    if (!own)
        return -ENOMEM;
    own->fd = fd;
    own->queue = line->queue;
    own->bytes = line->setup.bytes;
    own->buffer = record_buffer_new(own->bytes);
    *end = own;
    return own->buffer ? 0 : -ENOMEM;
}

static int kernel_writer(void *line, unsigned index, void **end)
{
    const struct kernel_line *own = line;

    (void)index;
    return end_new(own, own->write_fd, end);
}

static int kernel_reader(void *line, unsigned index, void **end)
{
    const struct kernel_line *own = line;

    (void)index;
    return end_new(own, own->read_fd, end);
}

static void kernel_leave(void *end)
{
    free(end);
}

/* Of a system call for one record. */
static int outcome(bool done)
{
    if (done)
        return PEER_OK;
    return errno == EAGAIN || errno == EINTR ? PEER_AGAIN : -errno;
}

/* ---- pipe ------------------------------------------------------------------------------------------------------- */

static int pipe_open(const struct peer_setup *setup, void **line)
{
    struct kernel_line *own = line_new(setup);
    int fds[2], size;

    if (!own)
        return -ENOMEM;
    if (pipe2(fds, O_CLOEXEC | (setup->sleeping ? 0 : O_NONBLOCK))) {
        free(own);
        return -errno;
    }
    own->read_fd = fds[0];
    own->write_fd = fds[1];
    for (uint64_t bytes = setup->ring_bytes; fcntl(fds[1], F_SETPIPE_SZ, (int)bytes) < 0 && bytes > 65536; bytes /= 2)
        ;
    size = fcntl(fds[1], F_GETPIPE_SZ);
    own->depth = (uint32_t)size / 2 / setup->bytes;
    *line = own;
    return 0;
}

static int pipe_send(void *end, const void *data, bool wait)
{
    const struct kernel_end *own = end;
    uint32_t done = 0;

    (void)wait; /* as the descriptor was made */
    while (done < own->bytes) {
        ssize_t count = write(own->fd, (const char *)data + done, own->bytes - done);

        if (count > 0)
            done += (uint32_t)count;
        else if (errno == EAGAIN && done == 0)
            return PEER_AGAIN;
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return PEER_OK;
}

static int pipe_receive(void *end, const void **data, bool wait)
{
    const struct kernel_end *own = end;
    uint32_t done = 0;

    (void)wait;
    while (done < own->bytes) {
        ssize_t count = read(own->fd, own->buffer + done, own->bytes - done);

        if (count > 0)
            done += (uint32_t)count;
        else if (count == 0)
            return -EPIPE;
        else if (errno == EAGAIN && done == 0)
            return PEER_AGAIN;
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    *data = own->buffer;
    return PEER_OK;
}

const struct peer peer_pipe = {
    .name = "pipe",
    .what = "pipe(2), as large as the kernel allows, one write for each record",
    .package = "",
    .can = PEER_WRITERS | PEER_READERS | PEER_WAITS,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .bytes_many = 4096, /* PIPE_BUF */
    .open = pipe_open,
    .close = kernel_close,
    .depth = kernel_depth,
    .writer = kernel_writer,
    .reader = kernel_reader,
    .send = pipe_send,
    .receive = pipe_receive,
    .writer_leave = kernel_leave,
    .reader_leave = kernel_leave,
};

/* ---- seqpacket -------------------------------------------------------------------------------------------------- */

static int seqpacket_open(const struct peer_setup *setup, void **line)
{
    struct kernel_line *own = line_new(setup);
    int fds[2], bytes = (int)setup->ring_bytes;
    socklen_t length = sizeof(bytes);

    if (!own)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
        free(own);
        return -errno;
    }
    own->write_fd = fds[0];
    own->read_fd = fds[1];
    if (setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    getsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, &length);
    own->depth = (uint32_t)bytes / 2 / (setup->bytes + PACKET_COST);
    *line = own;
    return 0;
}

static int seqpacket_send(void *end, const void *data, bool wait)
{
    const struct kernel_end *own = end;
    ssize_t count = send(own->fd, data, own->bytes, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));

    return outcome(count == (ssize_t)own->bytes);
}

static int seqpacket_receive(void *end, const void **data, bool wait)
{
    const struct kernel_end *own = end;
    ssize_t count = recv(own->fd, own->buffer, own->bytes, wait ? 0 : MSG_DONTWAIT);

    *data = own->buffer;
    return count >= 0 && count != (ssize_t)own->bytes ? -EPIPE : outcome(count >= 0);
}

const struct peer peer_seqpacket = {
    .name = "seqpacket",
    .what = "Unix socketpair of SOCK_SEQPACKET, one send for each record",
    .package = "",
    .can = PEER_WRITERS | PEER_READERS | PEER_WAITS,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .open = seqpacket_open,
    .close = kernel_close,
    .depth = kernel_depth,
    .writer = kernel_writer,
    .reader = kernel_reader,
    .send = seqpacket_send,
    .receive = seqpacket_receive,
    .writer_leave = kernel_leave,
    .reader_leave = kernel_leave,
};

/* ---- POSIX message queue ---------------------------------------------------------------------------------------- */

static int posix_mq_open(const struct peer_setup *setup, void **line)
{
    struct kernel_line *own = line_new(setup);
    struct mq_attr attributes = {.mq_msgsize = (long)setup->bytes};

    if (!own)
        return -ENOMEM;
    snprintf(own->queue_name, sizeof(own->queue_name), "/bench-%d-%u", (int)getpid(), setup->line);
    for (attributes.mq_maxmsg = QUEUE_MOST; attributes.mq_maxmsg > 0; attributes.mq_maxmsg /= 2) {
        if ((uint64_t)attributes.mq_maxmsg * setup->bytes > setup->ring_bytes)
            continue;
        own->queue =
            mq_open(own->queue_name, O_RDWR | O_CREAT | O_EXCL | (setup->sleeping ? 0 : O_NONBLOCK), 0600, &attributes);
        if (own->queue != (mqd_t)-1)
            break;
    }
    if (own->queue == (mqd_t)-1) {
        int result = -errno;

        free(own);
        return result;
    }
    own->depth = (uint32_t)attributes.mq_maxmsg;
    *line = own;
    return 0;
}

static int posix_mq_send(void *end, const void *data, bool wait)
{
    const struct kernel_end *own = end;

    (void)wait;
    return outcome(mq_send(own->queue, data, own->bytes, 0) == 0);
}

static int posix_mq_receive(void *end, const void **data, bool wait)
{
    const struct kernel_end *own = end;
    ssize_t count = mq_receive(own->queue, (char *)own->buffer, own->bytes, NULL);

    (void)wait;
    *data = own->buffer;
    return count >= 0 && count != (ssize_t)own->bytes ? -EMSGSIZE : outcome(count >= 0);
}

const struct peer peer_posix_mq = {
    .name = "posix-mq",
    .what = "mq_send, mq_receive; as many messages as the kernel allows",
    .package = "",
    .can = PEER_WRITERS | PEER_READERS | PEER_WAITS,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .open = posix_mq_open,
    .close = kernel_close,
    .depth = kernel_depth,
    .writer = kernel_writer,
    .reader = kernel_reader,
    .send = posix_mq_send,
    .receive = posix_mq_receive,
    .writer_leave = kernel_leave,
    .reader_leave = kernel_leave,
};
