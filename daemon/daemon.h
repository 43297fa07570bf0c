/* daemon.h - one running ringd: its parts, in the order in which they are built, and the loop that drives them.
 *
 *     instance   the runtime directory is ours alone
 *     takeover   what a predecessor left: rings go on, what is none is removed
 *     registry   the rings; those of the configuration that are not there yet are made
 *     listener   the socket, and a peer for each connection
 *     notify     the service manager is told
 *
 * One thread, one libev loop; a part may call those above it. With nothing to do the loop sleeps without a timer.
 * (libev itself wakes once a minute to see whether somebody has set the clock, unless it watches the clock for a
 * periodic watcher: `clock_watch` is one that never comes.)
 *
 * A stop in order (SIGTERM, SIGINT, SIGHUP) ends every ring that nobody is attached to; the others stay, their contexts
 * go on writing and reading, and the next daemon takes them over. With `keep` all rings stay. The socket goes if we
 * made it. After SIGKILL everything is there too, only that nothing was tidied up.
 *
 * Called by main.c.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <ev.h>

#include "config.h"
#include "instance.h"
#include "listener.h"
#include "notify.h"
#include "problem.h"
#include "registry.h"

#define DAEMON_SIGNALS 3

struct daemon {
    struct ev_loop *loop;
    const struct creators *creators;
    enum registry_end end; /* what becomes of the rings */
    int passed_socket;     /* the service manager's; -1: none */
    struct instance instance;
    struct registry registry;
    struct listener listener;
    struct notify notify;
    ev_signal signals[DAEMON_SIGNALS];
    ev_prepare turn; /* before the loop sleeps */
    ev_periodic clock_watch;
};

/* Serves until it is told to stop. `config` outlives it. 0, or a negative errno if it could not start; then everything
 * is as it was before, but for what was taken away because it was no ring. `keep`: all rings stay at the end. */
int daemon_run(const char *directory, const struct config *config, bool keep, struct problem *problem);

#endif
