/* support_raw.c - see support_raw.h. */
#define _GNU_SOURCE
#include "support_raw.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 253 /* the most that one packet can carry */

int raw_try_connect(void)
{
    int fd = proto_socket(), result = fd < 0 ? fd : proto_connect(fd, proto_socket_path());

    if (result < 0 && fd >= 0)
        close(fd);
    return result < 0 ? result : fd;
}

int raw_connect(void)
{
    int fd = raw_try_connect();

    require(fd >= 0, "connect: %d (%s)", fd, strerror(-fd));
    return fd;
}

bool raw_send_descriptors(int fd, const void *bytes, size_t len, const int *descriptors, size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    require(count <= DESCRIPTORS_MAX, "%zu", count);
    if (count > 0) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
        return true;
    require(errno == EPIPE || errno == ECONNRESET, "sendmsg: %s", strerror(errno));
    return false;
}

bool raw_send(int fd, const void *bytes, size_t len)
{
    return raw_send_descriptors(fd, bytes, len, NULL, 0);
}

static void take(struct msghdr *message, int *descriptors)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    size_t count = c != NULL ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++) {
        descriptors[i] = -1;
        if (i < count)
            memcpy(&descriptors[i], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

size_t raw_receive_descriptors(int fd, struct proto_reply *reply, int *descriptors)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(RINGD_PROTO_DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec part = {reply, sizeof *reply};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    require(len >= 0 || errno == ECONNRESET, "recvmsg: %s", strerror(errno));
    if (len <= 0)
        message.msg_controllen = 0;
    take(&message, descriptors);
    return len > 0 ? (size_t)len : 0;
}

size_t raw_receive(int fd, struct proto_reply *reply)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    size_t len = raw_receive_descriptors(fd, reply, descriptors);

    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    return len;
}

int raw_ask(int fd, const struct ringd_request *request, struct proto_reply *reply)
{
    require(raw_send(fd, request, sizeof *request), "the daemon has hung up");
    require(raw_receive(fd, reply) >= sizeof reply->head, "no answer");
    return reply->head.result;
}

int raw_attach(int fd, const char *ring, uint32_t kind, int *descriptors)
{
    struct ringd_request request;
    struct proto_reply reply;

    proto_request_init(&request, RINGD_REQUEST_ATTACH, ring);
    request.kind = kind;
    require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
    require(raw_receive_descriptors(fd, &reply, descriptors) >= sizeof reply.head, "no answer");
    return reply.head.result;
}

unsigned raw_daemon_descriptors(pid_t daemon, const char *beginning)
{
    char folder[64], path[400], target[256];
    const struct dirent *entry;
    unsigned count = 0;
    DIR *directory;

    snprintf(folder, sizeof folder, "/proc/%ld/fd", (long)daemon);
    directory = opendir(folder);
    require(directory != NULL, "%s: %s", folder, strerror(errno));
    while ((entry = readdir(directory)) != NULL) {
        ssize_t len;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        len = readlink(path, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = '\0';
        count += strncmp(target, beginning, strlen(beginning)) == 0;
    }
    closedir(directory);
    return count;
}

/* The one that is left is the socket it listens on. */
void raw_wait_disconnected(pid_t daemon)
{
    while (raw_daemon_descriptors(daemon, "socket:") > 1)
        pause_ms(1);
}
