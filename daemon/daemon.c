/* daemon.c - see daemon.h. */
#define _GNU_SOURCE
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "descriptors.h"
#include "fault.h"
#include "fd_store.h"
#include "log.h"
#include "ring_options.h"
#include "takeover.h"

static const int stop_signals[DAEMON_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

/* ---- watchers -------------------------------------------------------------------------------------------------- */

static void on_stop(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)events;
    log_info("stopping: %s", strsignal(signal->signum));
    ev_break(loop, EVBREAK_ALL);
}

/* Once for each turn of the loop, when all that came in has been handled. */
static void on_turn(struct ev_loop *loop, ev_prepare *turn, int events)
{
    struct daemon *daemon = turn->data;
    const void *fault;

    (void)loop;
    (void)events;
    if (fault_seen(&fault))
        registry_remove_damaged(&daemon->registry, fault);
    notify_status(&daemon->notify, daemon->registry.ring_count, daemon->registry.context_count,
                  daemon->listener.peer_count);
}

static void on_clock_watch(struct ev_loop *loop, ev_periodic *periodic, int events)
{
    (void)loop;
    (void)periodic;
    (void)events;
}

static void watchers_init(struct daemon *daemon)
{
    for (int i = 0; i < DAEMON_SIGNALS; i++)
        ev_signal_init(&daemon->signals[i], on_stop, stop_signals[i]);
    ev_prepare_init(&daemon->turn, on_turn);
    daemon->turn.data = daemon;
    ev_periodic_init(&daemon->clock_watch, on_clock_watch, 1e12, 0.0, NULL); /* in 30,000 years */
}

static void watchers_start(struct daemon *daemon)
{
    for (int i = 0; i < DAEMON_SIGNALS; i++)
        ev_signal_start(daemon->loop, &daemon->signals[i]);
    ev_prepare_start(daemon->loop, &daemon->turn);
    ev_periodic_start(daemon->loop, &daemon->clock_watch);
}

static void watchers_stop(struct daemon *daemon)
{
    for (int i = 0; i < DAEMON_SIGNALS; i++)
        ev_signal_stop(daemon->loop, &daemon->signals[i]);
    ev_prepare_stop(daemon->loop, &daemon->turn);
    ev_periodic_stop(daemon->loop, &daemon->clock_watch);
}

/* ---- start and stop -------------------------------------------------------------------------------------------- */

/* What the whole process needs, once. */
static int prepare_process(const struct config *config, struct problem *problem)
{
    int result = fault_install();

    if (result < 0)
        return problem_say(problem, result, "cannot handle SIGBUS: %s", strerror(-result));
    descriptors_raise(config->max_clients);
    umask(0); /* modes are given in full wherever something is made */
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int daemon_init(struct daemon *daemon, const struct config *config, struct problem *problem)
{
    *daemon = (struct daemon){.creators = &config->creators, .end = REGISTRY_UNDO, .passed_socket = -1};
    daemon->loop = ev_loop_new(EVFLAG_AUTO);
    if (daemon->loop == NULL)
        return problem_say(problem, -ENOMEM, "cannot make an event loop: %s", strerror(errno));
    instance_init(&daemon->instance);
    registry_init(&daemon->registry, daemon->loop, &daemon->instance);
    listener_init(&daemon->listener, daemon, config->max_clients);
    notify_init(&daemon->notify, daemon->loop);
    watchers_init(daemon);
    return 0;
}

/* A ring that was taken over stays as it is, whatever the configuration says by now. */
static void compare_ring(const struct shared_ring *ring, const struct config_ring *wanted)
{
    struct ringd_ring_options options = wanted->options;
    struct problem why;

    if (ring_options_check(&options, &why) < 0)
        return;
    if (memcmp(&options, &ring->record.page->options, sizeof options) != 0 ||
        ring->rights.owner != wanted->rights.owner || ring->rights.group != wanted->rights.group)
        log_warning("[ring %s], line %u of the configuration, is not what the ring was made with; it stays as it is "
                    "until it is removed (ringctl remove)",
                    ring->name, wanted->line);
}

static int make_ring(struct daemon *daemon, const struct config_ring *ring, struct problem *why)
{
    const struct shared_ring *adopted = registry_find(&daemon->registry, ring->name);
    int result;

    if (adopted != NULL) {
        compare_ring(adopted, ring);
        return 0;
    }
    result = registry_create(&daemon->registry, ring->name, &ring->options, &ring->rights, NULL, why);
    if (result != -EEXIST)
        return result;
    log_error("[ring %s], line %u of the configuration: %s", ring->name, ring->line, why->text);
    return 0; /* another version's: the other rings can be served */
}

static int make_rings(struct daemon *daemon, const struct config *config, struct problem *problem)
{
    struct problem why;

    for (size_t i = 0; i < config->ring_count; i++) {
        const struct config_ring *ring = &config->rings[i];
        int result = make_ring(daemon, ring, &why);

        if (result < 0)
            return problem_say(problem, result, "[ring %s], line %u of the configuration: %s", ring->name, ring->line,
                               why.text);
    }
    return 0;
}

static int daemon_start(struct daemon *daemon, const char *directory, const struct config *config,
                        struct problem *problem)
{
    int result = instance_open(&daemon->instance, directory, problem);

    if (result == 0)
        result = fd_store_receive(daemon->instance.id, &daemon->passed_socket, problem);
    if (result == 0)
        result = takeover_run(&daemon->registry, problem);
    if (result < 0)
        return result;
    watchers_start(daemon);
    result = make_rings(daemon, config, problem);
    if (result == 0)
        result = listener_open(&daemon->listener, &daemon->instance, daemon->passed_socket, problem);
    if (result < 0)
        return result;
    listener_start(&daemon->listener);
    notify_ready(&daemon->notify);
    log_info("ready on %s", daemon->listener.path);
    return 0;
}

/* Also of one that has not started, or only in part. Rings first: the end of the connections tells nothing then. */
static void daemon_deinit(struct daemon *daemon)
{
    if (daemon->loop == NULL)
        return;
    notify_stopping();
    registry_deinit(&daemon->registry, daemon->end);
    listener_close(&daemon->listener);
    notify_deinit(&daemon->notify);
    watchers_stop(daemon);
    instance_close(&daemon->instance);
    ev_loop_destroy(daemon->loop);
}

int daemon_run(const char *directory, const struct config *config, bool keep, struct problem *problem)
{
    struct daemon daemon = {0};
    int result = prepare_process(config, problem);

    if (result == 0)
        result = daemon_init(&daemon, config, problem);
    if (result == 0)
        result = daemon_start(&daemon, directory, config, problem);
    if (result == 0) {
        daemon.end = keep ? REGISTRY_KEEP : REGISTRY_END_UNUSED;
        ev_run(daemon.loop, 0);
    }
    daemon_deinit(&daemon);
    return result;
}
