/* context.c - see context.h. What is written into shared memory on the way is in slots.c. */
#define _GNU_SOURCE
#include "context.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "life.h"
#include "life_wait.h"
#include "log.h"
#include "recovery.h"
#include "registry.h"
#include "slots.h"
#include "stop_point.h"

#define LOOK_FIRST_S 0.001
#define LOOK_LAST_S  1.0
#define NS_PER_S     UINT64_C(1000000000)

bool context_is_writer(const struct context *context)
{
    return context->kind == RINGD_CONTEXT_WRITER;
}

static const char *kind_text(const struct context *context)
{
    static const char *const texts[] = {
        [RINGD_CONTEXT_WRITER] = "writer",          [RINGD_CONTEXT_LOSSLESS] = "lossless reader",
        [RINGD_CONTEXT_LOSSY] = "lossy reader",     [RINGD_CONTEXT_OBSERVER] = "observer",
        [RINGD_CONTEXT_EVICTED] = "evicted reader",
    };
    return texts[context->kind];
}

static struct slot *own_slot(const struct context *context)
{
    return context_is_writer(context) ? &context->ring->writers[context->slot] : &context->ring->readers[context->slot];
}

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct object_name life_name(const struct context *context)
{
    return object_name_life(&context->ring->objects_name, context_is_writer(context) ? 'w' : 'r', context->slot,
                            context->incarnation, context->ring->segment.geometry.ring_id);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void stop_watching(struct context *context)
{
    struct ev_loop *loop = context->ring->registry->loop;

    ev_timer_stop(loop, &context->look);
    life_wait_stop(context->wait);
    context->wait = NULL;
    if (context->process.fd >= 0) {
        ev_io_stop(loop, &context->process);
        close(context->process.fd);
        context->process.fd = -1;
    }
    if (context->holder != NULL)
        *context->holder = NULL;
    context->holder = NULL;
}

void context_free(struct context *context)
{
    struct object_name name = life_name(context);

    stop_watching(context);
    life_unlink(&name);
    STOP_POINT("slot-life-unlinked");
    own_slot(context)->context = NULL;
    free(context);
}

static void count(struct shared_ring *ring, int change)
{
    ring->context_count += (uint32_t)change;
    ring->registry->context_count += (uint32_t)change;
}

void context_say_left(const struct context *context)
{
    log_debug("ring %s: %s %u (pid %u, %s) has left", context->ring->name, kind_text(context), context->slot,
              context->pid, context->command);
}

bool context_check(struct context *context)
{
    struct object_name name = life_name(context);

    if (context->dead || life_look(&name) != LIFE_GONE)
        return context->dead;
    stop_watching(context);
    context->dead = true;
    count(context->ring, -1);
    return true;
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

static void on_lock_gone(void *argument)
{
    struct context *context = argument;

    life_wait_stop(context->wait);
    context->wait = NULL;
    context->waited = true;
    context_look(context);
}

/* True: somebody waits. */
static bool wait_for_lock(struct context *context)
{
    struct object_name name = life_name(context);

    if (context->wait == NULL && !context->waited)
        life_wait_start(&context->wait, &context->ring->registry->life_waits, &name, on_lock_gone, context);
    return context->wait != NULL;
}

static void start_timer(struct context *context, double seconds)
{
    struct ev_loop *loop = context->ring->registry->loop;

    ev_timer_stop(loop, &context->look);
    ev_timer_set(&context->look, seconds, 0.0);
    ev_timer_start(loop, &context->look);
}

/* Its lock is held. */
static void watch(struct context *context)
{
    if (wait_for_lock(context)) {
        if (context->holder == NULL && !context->said_lost)
            start_timer(context, LOOK_LAST_S);
        return;
    }
    start_timer(context, context->look_s);
    context->look_s = context->look_s * 2 < LOOK_LAST_S ? context->look_s * 2 : LOOK_LAST_S;
}

void context_look(struct context *context)
{
    struct shared_ring *ring = context->ring;

    if (!context_check(context)) {
        watch(context);
        return;
    }
    recovery_run(ring);
    registry_settle(ring->registry, ring);
}

void context_look_at_all(struct shared_ring *ring)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        if (ring->writers[i].context != NULL)
            context_check(ring->writers[i].context);
    }
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (ring->readers[i].context != NULL)
            context_check(ring->readers[i].context);
    }
    recovery_run(ring);
}

/* After the first second, once; and again and again where nobody waits. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct context *context = timer->data;

    (void)loop;
    (void)events;
    if (context->holder == NULL && !context->said_lost && realtime_ns() - context->lost_ns >= NS_PER_S) {
        log_info("ring %s: %s %u (pid %u, %s) is lost: its connection has ended, and it is still there",
                 context->ring->name, kind_text(context), context->slot, context->pid, context->command);
        context->said_lost = true;
    }
    context_look(context);
}

/* For the rest of its life its descriptor would be readable. */
static void on_process_end(struct ev_loop *loop, ev_io *io, int events)
{
    struct context *context = io->data;

    (void)events;
    ev_io_stop(loop, io);
    close(io->fd);
    io->fd = -1;
    context_look(context);
}

void context_disconnect(struct context *context)
{
    context->holder = NULL;
    context->lost_ns = realtime_ns();
    context_look(context);
}

/* ---- attaching ------------------------------------------------------------------------------------------------- */

/* What the kernel calls the process. Anything may be in there, and it goes to logs and terminals. */
static void read_command(char *command, size_t bytes, uint32_t pid)
{
    char path[32];
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, command, bytes - 1);
        close(fd);
    }
    command[len < 0 ? 0 : len] = '\0';
    command[strcspn(command, "\n")] = '\0';
    for (char *c = command; *c != '\0'; c++) {
        if (!isprint((unsigned char)*c))
            *c = '?';
    }
}

/* A hint only, so it does not matter that the number may be somebody else's by now, or nobody's, or of another
 * namespace (0): then the connection's end has to do. */
static void watch_process(struct context *context)
{
    int fd = context->pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, context->pid, 0);

    if (fd < 0)
        return;
    ev_io_set(&context->process, fd, EV_READ);
    ev_io_start(context->ring->registry->loop, &context->process);
}

static int find_slot(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t *slot, struct problem *problem)
{
    bool writer = kind == RINGD_CONTEXT_WRITER;
    uint32_t slot_count = writer ? shared_ring_writer_count(ring) : RINGD_READERS_MAX;
    int result = slots_find(ring, kind, slot);

    /* Before somebody is refused: whoever has ended without our noticing is let go now. */
    if (result == -EUSERS) {
        context_look_at_all(ring);
        result = slots_find(ring, kind, slot);
    }
    if (result < 0)
        return problem_say(problem, result, "ring \"%s\" has its %u %s already; close one first", ring->name,
                           slot_count, writer ? "writers" : "readers and observers");
    return 0;
}

static struct context *context_new(struct shared_ring *ring, const struct context_wish *wish, uint32_t slot,
                                   const struct credentials *credentials)
{
    struct context *context = calloc(1, sizeof *context);

    if (context == NULL)
        return NULL;
    context->ring = ring;
    context->kind = wish->kind;
    context->slot = slot;
    context->pid = (uint32_t)credentials->pid;
    context->uid = credentials->uid;
    context->attached_ns = realtime_ns();
    context->look_s = LOOK_FIRST_S;
    read_command(context->command, sizeof context->command, context->pid);
    ev_timer_init(&context->look, on_look, LOOK_FIRST_S, 0.0);
    context->look.data = context;
    ev_io_init(&context->process, on_process_end, -1, EV_READ);
    context->process.data = context;
    own_slot(context)->context = context;
    context->incarnation = ++own_slot(context)->incarnation;
    return context;
}

/* Life page first: from its slot on, everything about a context has evidence behind it. */
static int context_start(struct context *context, const struct context_wish *wish, struct attached *attached,
                         struct problem *problem)
{
    struct object_name name = life_name(context);
    int result;

    attached->life_fd = life_create(&name);
    STOP_POINT("slot-life-made");
    if (attached->life_fd < 0)
        return problem_say(problem, attached->life_fd, "cannot make a life page for a new context of ring \"%s\": %s",
                           context->ring->name, strerror(-attached->life_fd));
    result = slots_take(context, wish, &attached->position, problem);
    if (result < 0)
        close(attached->life_fd);
    return result;
}

int context_attach(struct shared_ring *ring, const struct context_wish *wish, const struct credentials *credentials,
                   struct context **holder, struct attached *attached, struct problem *problem)
{
    struct context *context;
    uint32_t slot;
    int result = find_slot(ring, wish->kind, &slot, problem);

    if (result < 0)
        return result;
    context = context_new(ring, wish, slot, credentials);
    if (context == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    result = context_start(context, wish, attached, problem);
    if (result < 0) {
        context_free(context);
        return result;
    }
    context->holder = holder;
    *holder = context;
    attached->context = context;
    count(ring, +1);
    watch_process(context);
    log_debug("ring %s: %s %u attached (pid %u, %s)", ring->name, kind_text(context), slot, context->pid,
              context->command);
    return 0;
}

/* ---- evicting -------------------------------------------------------------------------------------------------- */

void context_evict(struct context *context)
{
    slots_evict(context);
    context->kind = RINGD_CONTEXT_EVICTED;
    context->ring->evicted_count++;
}

uint32_t context_evict_bad(struct shared_ring *ring)
{
    uint32_t evicted = 0;

    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;

        if (context == NULL || context->kind != RINGD_CONTEXT_LOSSLESS || !slots_cursor_is_bad(context))
            continue;
        context_evict(context);
        evicted++;
        log_warning("ring %s: reader %u (pid %u, %s) is lossless no more: its cursor made no sense (%u evicted so far)",
                    ring->name, context->slot, context->pid, context->command, ring->evicted_count);
    }
    return evicted;
}

/* ---- all of a ring --------------------------------------------------------------------------------------------- */

static void free_slots(struct shared_ring *ring, struct slot *slots, uint32_t slot_count)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        struct context *context = slots[i].context;

        if (context == NULL)
            continue;
        if (!context->dead)
            count(ring, -1);
        context_free(context);
    }
}

void context_free_all(struct shared_ring *ring)
{
    free_slots(ring, ring->writers, shared_ring_writer_count(ring));
    free_slots(ring, ring->readers, RINGD_READERS_MAX);
}
