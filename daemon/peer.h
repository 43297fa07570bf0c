/* peer.h - a connection.
 *
 * A peer is a connected socket, who is at its other end, and the context it has attached, if it has. Its packets are
 * handled one for each turn of the event loop, so that one who floods gets no more than his turn. A peer that sends
 * what is no request, or does not read its answers, is disconnected; so is one whose other end is gone. Then its
 * context is looked at (context.h): the connection's end is not the context's.
 *
 * The listener keeps the list of peers; a peer frees itself when its connection ends. One thread: the event loop's.
 */
#ifndef DAEMON_PEER_H
#define DAEMON_PEER_H

#include <ev.h>
#include <sys/queue.h>

#include "later.h"
#include "rights.h"

struct context;
struct daemon;

struct peer {
    ev_io io;
    struct daemon *daemon;
    struct credentials credentials;
    struct context *context; /* cleared by the context if that goes first */
    struct later later;      /* waits for the answer to what it has asked */
    uint16_t asked;
    bool gone; /* takes no answers: it is freed in a moment */
    TAILQ_ENTRY(peer) link;
};

TAILQ_HEAD(peer_list, peer);

/* Takes the accepted socket over, also when it fails: -ENOMEM, or an errno of getsockopt. */
int peer_new(struct daemon *daemon, int fd);

/* Closes the connection. */
void peer_free(struct peer *peer);

#endif
