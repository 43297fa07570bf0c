/* listener.h - the socket that clients connect to, and the connections it gave.
 *
 * A SOCK_SEQPACKET socket at <runtime directory>/ringd.sock, open to everybody (rights are a ring's), or one that a
 * service manager has opened for us. A file left at the path by a predecessor is replaced: the instance's lock says
 * that nobody listens there. Only a socket that was made here is unlinked at the end, and only if the lock is still
 * ours.
 *
 * There are at most `max_clients` connections; the next one is told so and closed. When descriptors run out, nothing is
 * accepted until a connection has ended or a second has passed: the waiting stay in the kernel's queue, and the loop
 * does not spin.
 *
 * Called by daemon.c; peers come and go by peer.c.
 */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "peer.h"
#include "problem.h"

struct instance;

struct listener {
    struct daemon *daemon;
    ev_io io;       /* fd -1: not open */
    ev_timer retry; /* runs while nothing is accepted */
    const struct instance *instance;
    char *path;      /* for people, and to unlink */
    bool made;       /* the socket file is ours */
    bool short_told; /* said once, until there is a connection again */
    uint32_t max_clients;
    uint32_t peer_count;
    struct peer_list peers;
};

/* Empty: may be closed. */
void listener_init(struct listener *listener, struct daemon *daemon, uint32_t max_clients);

/* Takes the service manager's socket (`passed_fd`, or -1 if there is none), else makes one. Nothing is accepted yet.
 * `listener` is to be closed after a failure too. */
int listener_open(struct listener *listener, const struct instance *instance, int passed_fd, struct problem *problem);

/* From now on connections are accepted. */
void listener_start(struct listener *listener);

/* Ends all connections. */
void listener_close(struct listener *listener);

void listener_remember(struct listener *listener, struct peer *peer);
void listener_forget(struct listener *listener, struct peer *peer);

#endif
