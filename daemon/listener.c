/* listener.c - see listener.h. */
#define _GNU_SOURCE
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "answer.h"
#include "daemon.h"
#include "descriptors.h"
#include "log.h"

#define SOCKET_NAME  "ringd.sock"
#define SOCKET_QUEUE 4096
#define RETRY_S      1.0

/* ---- connections ----------------------------------------------------------------------------------------------- */

static void pause_accepting(struct listener *listener, int why)
{
    struct ev_loop *loop = listener->daemon->loop;

    if (!listener->short_told)
        log_warning("no more connections for now: %s (%u are open)", strerror(why), listener->peer_count);
    listener->short_told = true;
    ev_io_stop(loop, &listener->io);
    ev_timer_set(&listener->retry, RETRY_S, 0.0);
    ev_timer_start(loop, &listener->retry);
}

static void resume_accepting(struct listener *listener)
{
    ev_timer_stop(listener->daemon->loop, &listener->retry);
    ev_io_start(listener->daemon->loop, &listener->io);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    resume_accepting(timer->data);
}

/* The answer comes before the question. */
static void refuse(int fd, int result, const struct problem *problem)
{
    struct answer answer;

    answer_init(&answer, 0);
    answer_fail(&answer, result, problem);
    answer_send(&answer, fd);
    close(fd);
}

static void refuse_another(const struct listener *listener, int fd)
{
    struct problem problem;
    int result = problem_say(&problem, -EAGAIN,
                             "ringd has %u connections, as many as it may (max_clients in its configuration); "
                             "close some or try again later",
                             listener->peer_count);

    refuse(fd, result, &problem);
}

/* It is one of the descriptors that ringd keeps for itself. */
static void refuse_short(struct listener *listener, int fd)
{
    struct problem problem;
    int result = descriptors_say_short(&problem);

    if (!listener->short_told)
        log_warning("no more connections for now, %u are open: %s", listener->peer_count, problem.text);
    listener->short_told = true;
    refuse(fd, result, &problem);
}

/* Of all that are connected and have not attached nor wait for an answer, the one that has been here longest: others
 * ask and go. */
static bool drop_silent(struct listener *listener)
{
    struct peer *peer;

    TAILQ_FOREACH(peer, &listener->peers, link)
    {
        if (peer->context == NULL && !peer->later.waits) {
            peer_free(peer);
            return true;
        }
    }
    return false;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    struct listener *listener = io->data;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int result;

    (void)loop;
    (void)events;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(listener, errno);
        return;
    }
    if (descriptors_short(fd) && !drop_silent(listener)) {
        refuse_short(listener, fd);
        return;
    }
    listener->short_told = false;
    if (listener->peer_count >= listener->max_clients && !drop_silent(listener)) {
        refuse_another(listener, fd);
        return;
    }
    result = peer_new(listener->daemon, fd);
    if (result < 0)
        log_warning("a connection was refused: %s", strerror(-result));
}

void listener_remember(struct listener *listener, struct peer *peer)
{
    TAILQ_INSERT_TAIL(&listener->peers, peer, link);
    listener->peer_count++;
}

void listener_forget(struct listener *listener, struct peer *peer)
{
    TAILQ_REMOVE(&listener->peers, peer, link);
    listener->peer_count--;
    if (ev_is_active(&listener->retry))
        resume_accepting(listener);
}

/* ---- the socket ------------------------------------------------------------------------------------------------ */

void listener_init(struct listener *listener, struct daemon *daemon, uint32_t max_clients)
{
    *listener = (struct listener){.daemon = daemon, .max_clients = max_clients};
    TAILQ_INIT(&listener->peers);
    ev_io_init(&listener->io, on_connection, -1, EV_READ);
    listener->io.data = listener;
    ev_timer_init(&listener->retry, on_retry, RETRY_S, 0.0);
    listener->retry.data = listener;
}

static int make_path(struct listener *listener, const struct instance *instance, struct sockaddr_un *address,
                     struct problem *problem)
{
    if (asprintf(&listener->path, "%s/" SOCKET_NAME, instance->directory) < 0) {
        listener->path = NULL;
        return problem_say(problem, -ENOMEM, "out of memory");
    }
    if (strlen(listener->path) >= sizeof address->sun_path)
        return problem_say(problem, -ENAMETOOLONG,
                           "the socket's path %s has %zu characters and may have %zu; choose a shorter --runtime-dir",
                           listener->path, strlen(listener->path), sizeof address->sun_path - 1);
    strcpy(address->sun_path, listener->path);
    return 0;
}

static int remove_stale(const char *path, struct problem *problem)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0 : problem_say(problem, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return problem_say(problem, -EEXIST, "%s is in the way and is no socket; remove it", path);
    if (unlink(path) != 0)
        return problem_say(problem, -errno, "cannot remove the old socket %s: %s", path, strerror(errno));
    return 0;
}

/* Nobody can connect before listen(), so the mode is right from the first moment on. */
static int bind_and_listen(struct listener *listener, int fd, const struct sockaddr_un *address,
                           struct problem *problem)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return problem_say(problem, -errno, "cannot make the socket %s: %s", listener->path, strerror(errno));
    listener->made = true;
    if (chmod(listener->path, 0666) != 0 || listen(fd, SOCKET_QUEUE) != 0)
        return problem_say(problem, -errno, "cannot listen on %s: %s", listener->path, strerror(errno));
    return 0;
}

static int make_socket(struct listener *listener, const struct instance *instance, struct problem *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int result = make_path(listener, instance, &address, problem);
    int fd;

    if (result == 0)
        result = remove_stale(listener->path, problem);
    if (result < 0)
        return result;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return problem_say(problem, -errno, "cannot make a socket: %s", strerror(errno));
    ev_io_set(&listener->io, fd, EV_READ);
    return bind_and_listen(listener, fd, &address, problem);
}

static int take_path(struct listener *listener, struct problem *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address - 1; /* so that the path has an end */

    getsockname(listener->io.fd, (struct sockaddr *)&address, &len);
    listener->path = strdup(address.sun_path[0] != '\0' ? address.sun_path : "a socket without a path");
    return listener->path == NULL ? problem_say(problem, -ENOMEM, "out of memory") : 0;
}

static int take_socket(struct listener *listener, int fd, struct problem *problem)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return problem_say(problem, -errno, "cannot use the service manager's socket: %s", strerror(errno));
    ev_io_set(&listener->io, fd, EV_READ);
    return take_path(listener, problem);
}

int listener_open(struct listener *listener, const struct instance *instance, int passed_fd, struct problem *problem)
{
    listener->instance = instance;
    return passed_fd >= 0 ? take_socket(listener, passed_fd, problem) : make_socket(listener, instance, problem);
}

void listener_start(struct listener *listener)
{
    ev_io_start(listener->daemon->loop, &listener->io);
}

void listener_close(struct listener *listener)
{
    struct peer *peer;

    while ((peer = TAILQ_FIRST(&listener->peers)) != NULL)
        peer_free(peer);
    ev_timer_stop(listener->daemon->loop, &listener->retry);
    ev_io_stop(listener->daemon->loop, &listener->io);
    if (listener->made && instance_holds(listener->instance))
        unlink(listener->path);
    if (listener->io.fd >= 0)
        close(listener->io.fd);
    free(listener->path);
    listener_init(listener, listener->daemon, listener->max_clients);
}
