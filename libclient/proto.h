/* proto.h - the client's side of the control socket: connect, one request, one reply.
 *
 * Called by client.c and, for an observer's sleep and a suspicious cursor, by reader.c and writer.c on an attached
 * connection. Every wait is bounded: a stopped daemon costs PROTO_TIMEOUT_MS and no more. What comes back is checked
 * for length, magic, version and counts before anybody sees it. The descriptors of a reply are closed on any failure.
 */
#ifndef LIBCLIENT_PROTO_H
#define LIBCLIENT_PROTO_H

#include <stdint.h>

#include "ringd_proto.h"

#define PROTO_TIMEOUT_MS 5000

/* A reply with everything that may follow it. */
struct proto_reply {
    struct ringd_reply head;
    union {
        struct ringd_info infos[RINGD_PROTO_INFOS];
        struct {
            struct ringd_info info;
            struct ringd_context_info contexts[RINGD_PROTO_CONTEXTS];
        } status;
    };
};

/* Where the daemon listens: $RINGD_SOCKET or the default. Lives as long as the environment. */
const char *proto_socket_path(void);

/* A socket for it (close-on-exec), or a negative errno. With one that does not wait, connecting and sending never take
 * time: -ETIMEDOUT. */
int proto_socket(void);
int proto_socket_no_wait(void);

/* Connects it. 0, -ECONNREFUSED (nobody listens there), -EACCES, -ENAMETOOLONG, -ETIMEDOUT. */
int proto_connect(int socket_fd, const char *path);

void proto_request_init(struct ringd_request *request, uint16_t type, const char *ring);

/* Sends a request. 0, -ETIMEDOUT, -EPIPE, -ECONNRESET. */
int proto_send(int socket_fd, const struct ringd_request *request);

/* Waits until a reply can be received at once. 0, -ETIMEDOUT. */
int proto_wait(int socket_fd, int timeout_ms);

/* Receives the reply to a request of `type`. 0 whatever reply->head.result says; -EPROTONOSUPPORT (another version),
 * -EBADMSG, -ECONNRESET (the daemon hung up). Up to RINGD_PROTO_DESCRIPTORS descriptors, -1 where none came;
 * `descriptors` may be NULL. */
int proto_receive(int socket_fd, uint16_t type, struct proto_reply *reply, int *descriptors);

/* The three of them. Making a ring may take PROTO_TIMEOUT_MS longer for each GiB that is to be reserved. */
int proto_exchange(int socket_fd, const struct ringd_request *request, struct proto_reply *reply);

#endif
