/* peer.c - see peer.h. */
#define _GNU_SOURCE
#include "peer.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"
#include "daemon.h"
#include "log.h"
#include "request.h"

void peer_free(struct peer *peer)
{
    ev_io_stop(peer->daemon->loop, &peer->io);
    later_forget(&peer->later);
    close(peer->io.fd);
    if (peer->context != NULL)
        context_disconnect(peer->context);
    listener_forget(&peer->daemon->listener, peer);
    credentials_deinit(&peer->credentials);
    free(peer);
}

/* Bytes that arrived, also when they were more than fit (MSG_TRUNC); 0: the connection has ended, or an empty packet,
 * which is none of ours either. Descriptors that came along have no room here: the kernel closes them and says so. */
static ssize_t receive(const struct peer *peer, struct ringd_request *request, bool *descriptors)
{
    struct iovec part = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t len = recvmsg(peer->io.fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);

    *descriptors = len >= 0 && (message.msg_flags & MSG_CTRUNC) != 0;
    return len < 0 ? -errno : len;
}

/* False: it takes no answer. */
static bool send_answer(const struct peer *peer, struct answer *answer)
{
    int sent = answer_send(answer, peer->io.fd);

    if (answer->reply.result < 0)
        log_debug("pid %d, uid %u: %s", peer->credentials.pid, peer->credentials.uid, answer->reply.text);
    /* The life page's lock shall be the client's alone, before anybody looks at it. */
    answer_deinit(answer);
    if (sent < 0)
        log_debug("pid %d, uid %u: disconnected, it takes no answer (%s)", peer->credentials.pid, peer->credentials.uid,
                  strerror(-sent));
    return sent == 0;
}

static void reply(struct peer *peer, struct answer *answer, int malformed)
{
    if (!send_answer(peer, answer) || malformed < 0)
        peer_free(peer);
}

/* Who has to wait for an answer is not listened to before. */
static void serve(struct peer *peer, const struct ringd_request *request, size_t len, bool descriptors)
{
    struct answer answer;
    int malformed = request_handle(peer, request, len, descriptors, &answer);

    if (answer.later) {
        peer->asked = request->type;
        ev_io_stop(peer->daemon->loop, &peer->io);
    } else {
        reply(peer, &answer, malformed);
    }
}

/* Who tells is in the midst of something, and with a connection its context may go, and with that a ring: so one that
 * takes no answer goes when it is the loop's turn again. */
static void on_later(struct later *later, int result, uint64_t value, const struct problem *problem)
{
    struct peer *peer = (struct peer *)((char *)later - offsetof(struct peer, later));
    struct answer answer;

    answer_init(&answer, peer->asked);
    if (result < 0)
        answer_fail(&answer, result, problem);
    else
        answer.reply.position = value;
    ev_io_start(peer->daemon->loop, &peer->io);
    peer->gone = !send_answer(peer, &answer);
    if (peer->gone)
        ev_feed_event(peer->daemon->loop, &peer->io, EV_READ);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct peer *peer = io->data;
    struct ringd_request request = {0};
    bool descriptors;
    ssize_t len = peer->gone ? 0 : receive(peer, &request, &descriptors);

    (void)loop;
    (void)events;
    if (len == -EAGAIN || len == -EINTR)
        return;
    if (len <= 0)
        peer_free(peer);
    else
        serve(peer, &request, (size_t)len, descriptors);
}

int peer_new(struct daemon *daemon, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);
    int result = peer == NULL ? -ENOMEM : credentials_init(&peer->credentials, fd);

    if (result < 0) {
        free(peer);
        close(fd);
        return result;
    }
    peer->daemon = daemon;
    peer->later.tell = on_later;
    ev_io_init(&peer->io, on_readable, fd, EV_READ);
    peer->io.data = peer;
    ev_io_start(daemon->loop, &peer->io);
    listener_remember(&daemon->listener, peer);
    return 0;
}
