/* answer.h - a reply under construction, with what goes behind it and along with it.
 *
 * A reply is one packet: struct ringd_reply, then rings, then contexts, then (as ancillary data) descriptors. Of the
 * descriptors only the life page is the answer's own; it is closed when the answer has been sent, because the lock on
 * it shall be the client's alone.
 *
 * An answer that cannot be sent at once is not sent later: the client does not read, and its connection ends.
 *
 * Called by peer.c, request.c and listener.c.
 */
#ifndef DAEMON_ANSWER_H
#define DAEMON_ANSWER_H

#include <stdbool.h>

#include "problem.h"
#include "ringd_proto.h"

struct answer {
    struct ringd_reply reply; /* count and contexts say how many of the following are sent */
    struct ringd_info infos[RINGD_PROTO_INFOS];
    struct ringd_context_info contexts[RINGD_PROTO_CONTEXTS];
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    uint32_t descriptor_count;
    int life_fd; /* -1: none */
    bool later;  /* there is none yet: the peer is told (later.h) */
};

/* An empty answer to a request of this type. */
void answer_init(struct answer *answer, uint16_t type);
void answer_deinit(struct answer *answer);

/* Makes it the answer "this failed", whatever was put into it before. */
void answer_fail(struct answer *answer, int result, const struct problem *problem);

/* 0 or a negative errno: -EAGAIN (the client does not read), -EPIPE (it is gone). */
int answer_send(const struct answer *answer, int socket_fd);

#endif
