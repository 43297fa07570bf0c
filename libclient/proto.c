/* proto.c - one request and one reply on the control socket; see proto.h. */
#define _GNU_SOURCE
#include "proto.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "wake.h"

const char *proto_socket_path(void)
{
    const char *path = getenv("RINGD_SOCKET");

    return path != NULL && path[0] != '\0' ? path : RINGD_SOCKET_DEFAULT;
}

int proto_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int proto_socket_no_wait(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

int proto_connect(int socket_fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = PROTO_TIMEOUT_MS / 1000};

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* Bounds connect and send: a daemon that does not accept must not hold us. */
    setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(socket_fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (errno == EAGAIN)
        return -ETIMEDOUT;
    return errno == ENOENT ? -ECONNREFUSED : -errno;
}

void proto_request_init(struct ringd_request *request, uint16_t type, const char *ring)
{
    *request = (struct ringd_request){
        .magic = RINGD_PROTO_MAGIC,
        .version = RINGD_PROTO_VERSION,
        .type = type,
    };
    strncpy(request->ring, ring, sizeof request->ring - 1);
}

int proto_send(int socket_fd, const struct ringd_request *request)
{
    for (;;) {
        if (send(socket_fd, request, sizeof *request, MSG_NOSIGNAL) == (ssize_t)sizeof *request)
            return 0;
        if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
}

int proto_wait(int socket_fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = socket_fd, .events = POLLIN};
    int64_t until = wake_now() + timeout_ms * INT64_C(1000000);

    for (;;) {
        int64_t left_ms = (until - wake_now()) / 1000000;
        int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);

        if (ready > 0)
            return 0;
        if (ready == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static void take_descriptors(struct msghdr *message, int *descriptors)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (i < RINGD_PROTO_DESCRIPTORS && descriptors[i] < 0)
                descriptors[i] = fd;
            else
                close(fd);
        }
    }
}

static int check_reply(const struct proto_reply *reply, size_t bytes, uint16_t type)
{
    const struct ringd_reply *head = &reply->head;
    size_t expected = sizeof *head;

    if (bytes < sizeof *head || head->magic != RINGD_PROTO_MAGIC)
        return -EBADMSG;
    if (head->version != RINGD_PROTO_VERSION)
        return -EPROTONOSUPPORT;
    if (head->count > RINGD_PROTO_INFOS || head->contexts > RINGD_PROTO_CONTEXTS)
        return -EBADMSG;
    if (head->contexts > 0 && head->count != 1)
        return -EBADMSG;
    expected += head->count * sizeof reply->infos[0] + head->contexts * sizeof reply->status.contexts[0];
    if (bytes != expected || memchr(head->text, 0, sizeof head->text) == NULL)
        return -EBADMSG;
    /* A packet the daemon could not read at all is answered with type 0. */
    return head->type == type || (head->type == 0 && head->result < 0) ? 0 : -EBADMSG;
}

int proto_receive(int socket_fd, uint16_t type, struct proto_reply *reply, int *descriptors)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(RINGD_PROTO_DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = reply, .iov_len = sizeof *reply};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int received[RINGD_PROTO_DESCRIPTORS] = {-1, -1, -1}, result;
    ssize_t bytes;

    do
        bytes = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (bytes < 0 && errno == EINTR);
    if (bytes <= 0)
        return bytes == 0 ? -ECONNRESET : -errno;
    take_descriptors(&message, received);
    result = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG : check_reply(reply, (size_t)bytes, type);
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++) {
        if (descriptors != NULL)
            descriptors[i] = result == 0 ? received[i] : -1;
        if ((descriptors == NULL || result < 0) && received[i] >= 0)
            close(received[i]);
    }
    return result;
}

/* To reserve memory takes a while, some tenths of a second for each GiB. (How many lanes a ring has that is there
 * nobody has said: a resize counts as one of eight.) */
static int reply_timeout_ms(const struct ringd_request *request)
{
    uint64_t lanes = request->type == RINGD_REQUEST_CREATE ? request->options.lanes | 1 : 8;
    uint64_t gib = (request->options.size >> 24) * (lanes % 128) >> 6;

    if (request->type != RINGD_REQUEST_CREATE && request->type != RINGD_REQUEST_RESIZE)
        gib = 0;
    return PROTO_TIMEOUT_MS * (1 + (int)(gib < 100 ? gib : 100));
}

int proto_exchange(int socket_fd, const struct ringd_request *request, struct proto_reply *reply)
{
    int result = proto_send(socket_fd, request);

    if (result == 0)
        result = proto_wait(socket_fd, reply_timeout_ms(request));
    if (result == 0)
        result = proto_receive(socket_fd, request->type, reply, NULL);
    return result;
}
