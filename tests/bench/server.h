/* server.h - the ringd that the bench runs against.
 *
 * server_start() runs BUILD/ringd in a folder of its own and points RINGD_SOCKET at it; server_stop() asks it to end
 * and waits. What it says goes to FOLDER/log, which is shown when it does not come up. It ends with its parent,
 * whatever happens. Nothing of it is on the path of what is measured.
 *
 * Called by bench.c.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <sys/types.h>

struct server {
    pid_t pid; /* 0: none */
};

/* 0 when it answers; a negative errno, explained on stderr, when it does not within five seconds. */
int server_start(struct server *server, const char *build, const char *folder);

/* 0 when it ended by itself with exit code 0. An empty server is allowed. */
int server_stop(struct server *server);

#endif
