/* context.c - see context.h. What is written into shared memory on the way is in slots.c. */
#define _GNU_SOURCE
#include "context.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "generation.h"
#include "groups.h"
#include "life.h"
#include "life_wait.h"
#include "log.h"
#include "named.h"
#include "process.h"
#include "recovery.h"
#include "registry.h"
#include "slots.h"
#include "stop_point.h"

#define LOOK_FIRST_S 0.001
#define LOOK_LAST_S  1.0

/* Looks at the lock of one that has just come to its end, before it is waited for. */
#define LOOKS_AT_ONCE 8

#define NS_PER_S      UINT64_C(1000000000)

bool context_is_writer(const struct context *context)
{
    return context->kind == RINGD_CONTEXT_WRITER;
}

bool context_reads(const struct context *context, uint32_t lane)
{
    return context->lane == 0 || context->lane == lane + 1;
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
    return object_name_life(&context->ring->life_name, context_is_writer(context) ? 'w' : 'r', context->slot,
                            context->incarnation, context->ring->segment.geometry.ring_id);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

/* What the record says of its slot, for a successor. */
static void record_kind(const struct context *context, uint32_t kind)
{
    struct record_slot *slot = shared_ring_record_slot(context->ring, context_is_writer(context), context->slot);

    atomic_store_explicit(&slot->kind, kind, memory_order_release);
}

void context_set_generation(struct context *context, uint64_t generation)
{
    struct record_slot *slot = shared_ring_record_slot(context->ring, context_is_writer(context), context->slot);

    context->generation = generation;
    atomic_store_explicit(&slot->generation, generation, memory_order_release);
}

/* What its predecessor gave it last. */
static uint64_t recorded_generation(const struct context *context)
{
    struct record_slot *slot = shared_ring_record_slot(context->ring, context_is_writer(context), context->slot);
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
    uint64_t present = context->ring->segment.geometry.generation;

    return generation != 0 && generation < present ? generation : present;
}

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

/* Only what is in private memory. */
static void context_drop(struct context *context)
{
    stop_watching(context);
    own_slot(context)->context = NULL;
    free(context);
}

void context_free(struct context *context)
{
    struct object_name name = life_name(context);

    if (context->member)
        groups_leave_seat(context);
    record_kind(context, 0);
    life_unlink(&name);
    STOP_POINT("slot-life-unlinked");
    context_drop(context);
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
        if (context->holder == NULL && !context->adopted && !context->said_lost)
            start_timer(context, LOOK_LAST_S);
        return;
    }
    start_timer(context, context->look_s);
    context->look_s = context->look_s * 2 < LOOK_LAST_S ? context->look_s * 2 : LOOK_LAST_S;
}

/* The kernel lets go of the lock some ten microseconds after it has said that the connection or the process is at its
 * end: far less than it takes to start a thread that waits. */
static bool check_in_a_moment(struct context *context)
{
    bool anew = context->wait == NULL && !context->waited && !context->adopted;
    bool dead = context_check(context);

    for (int look = 1; look < LOOKS_AT_ONCE && anew && !dead; look++) {
        sched_yield();
        dead = context_check(context);
    }
    return dead;
}

void context_look(struct context *context)
{
    struct shared_ring *ring = context->ring;

    if (!check_in_a_moment(context)) {
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

/* All are looked at before the first is repaired. */
void context_watch_all(struct shared_ring *ring)
{
    context_look_at_all(ring);
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        if (ring->writers[i].context != NULL && !ring->writers[i].context->dead)
            watch(ring->writers[i].context);
    }
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        if (ring->readers[i].context != NULL && !ring->readers[i].context->dead)
            watch(ring->readers[i].context);
    }
}

/* After the first second, once; and again and again where nobody waits. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct context *context = timer->data;

    (void)loop;
    (void)events;
    if (context->holder == NULL && !context->adopted && !context->said_lost &&
        realtime_ns() - context->lost_ns >= NS_PER_S) {
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

static void find_process(struct context *context)
{
    struct object_name name = life_name(context);
    int life_fd = life_open(&name), fd = -1;
    struct stat life;

    if (life_fd < 0)
        return;
    if (fstat(life_fd, &life) == 0)
        fd = process_open(context->pid, &life);
    close(life_fd);
    if (fd < 0)
        return;
    ev_io_set(&context->process, fd, EV_READ);
    ev_io_start(context->ring->registry->loop, &context->process);
}

int context_kill(struct context *context)
{
    if (context->process.fd < 0)
        find_process(context);
    if (context->process.fd < 0)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, context->process.fd, SIGKILL, NULL, 0) == 0 ? 0 : -errno;
}

static int say_full(const struct shared_ring *ring, const struct context_wish *wish, struct problem *problem)
{
    const struct geometry *g = &ring->segment.geometry;

    if (wish->kind != RINGD_CONTEXT_WRITER)
        return problem_say(problem, -EUSERS, "ring \"%s\" has its %u readers and observers already; close one first",
                           ring->name, RINGD_READERS_MAX);
    if (g->single)
        return problem_say(problem, -EUSERS,
                           "ring \"%s\" is made for one writer%s at a time, and has it; close it first, or make a ring "
                           "for more",
                           ring->name, g->lane_count > 1 ? " a lane" : "");
    if (wish->lane != 0 && g->lane_count > 1)
        return problem_say(problem, -EUSERS,
                           "lane %u of ring \"%s\" has its %u writers already; close one first, or take another of the "
                           "%u lanes (0: the one with the fewest)",
                           wish->lane, ring->name, RINGD_WRITERS_PER_LANE, g->lane_count);
    return problem_say(problem, -EUSERS, "ring \"%s\" has its %u writers already; close one first%s", ring->name,
                       shared_ring_writer_count(ring),
                       g->lane_count < RINGD_LANES_MAX ? ", or make a ring with more lanes, each of which has 31" : "");
}

static int find_slot(struct shared_ring *ring, const struct context_wish *wish, uint32_t *slot, struct problem *problem)
{
    int result = slots_find(ring, wish, slot);

    /* Before somebody is refused: whoever has ended without our noticing is let go now. */
    if (result == -EUSERS) {
        context_look_at_all(ring);
        result = slots_find(ring, wish, slot);
    }
    return result < 0 ? say_full(ring, wish, problem) : 0;
}

static struct context *context_alloc(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot)
{
    struct context *context = calloc(1, sizeof *context);

    if (context == NULL)
        return NULL;
    context->ring = ring;
    context->kind = kind;
    context->slot = slot;
    context->look_s = LOOK_FIRST_S;
    ev_timer_init(&context->look, on_look, LOOK_FIRST_S, 0.0);
    context->look.data = context;
    ev_io_init(&context->process, on_process_end, -1, EV_READ);
    context->process.data = context;
    own_slot(context)->context = context;
    return context;
}

/* The record has the incarnation before anything else has it: it never comes twice, whoever dies. */
static void count_incarnation(struct context *context)
{
    struct record_slot *slot = shared_ring_record_slot(context->ring, context_is_writer(context), context->slot);

    context->incarnation = ++own_slot(context)->incarnation;
    atomic_store_explicit(&slot->incarnation, context->incarnation, memory_order_release);
}

static struct context *context_new(struct shared_ring *ring, const struct context_wish *wish, uint32_t slot,
                                   const struct credentials *credentials)
{
    struct context *context = context_alloc(ring, wish->kind, slot);

    if (context == NULL)
        return NULL;
    context->pid = (uint32_t)credentials->pid;
    context->uid = credentials->uid;
    context->attached_ns = realtime_ns();
    context->lane = context_is_writer(context) ? 0 : wish->lane;
    process_command(context->command, sizeof context->command, context->pid);
    count_incarnation(context);
    context_set_generation(context, ring->segment.geometry.generation);
    return context;
}

static int make_life(struct context *context)
{
    struct object_name name = life_name(context);
    struct ringd_life page = {
        .magic = RINGD_LIFE_MAGIC,
        .version = RINGD_LIFE_VERSION,
        .kind = context->kind,
        .ring_id = context->ring->segment.geometry.ring_id,
        .slot = context->slot,
        .incarnation = context->incarnation,
        .pid = context->pid,
        .uid = context->uid,
        .attached_ns = context->attached_ns,
        .lane = context->lane,
    };

    memcpy(page.command, context->command, sizeof page.command);
    if (getrandom(&page.token, sizeof page.token, 0) != sizeof page.token)
        return -EAGAIN;
    page.token |= page.token == 0; /* 0 is nobody's */
    context->token = page.token;
    return life_create(&name, &page);
}

/* A reader of what the ring has left behind joins the present generation at its beginning, and begins in an old one. */
static int start_older(struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
                       struct problem *problem)
{
    struct shared_ring *ring = context->ring;
    uint64_t number = generation_for_reader(ring, wish, cursors);
    int result = 0;

    if (number == 0 && wish->start == RINGD_START_POSITION)
        result = -ERANGE;
    else if (number != 0 && wish->start == RINGD_START_POSITION)
        result = generation_check_start(ring, number, wish);
    if (result < 0) {
        slots_leave(context);
        return problem_say(problem, result, "position %ju is not in ring \"%s\" any more, or no record begins there",
                           (uintmax_t)wish->position, ring->name);
    }
    if (number != 0) {
        slots_take_older(context, number, cursors);
        context_set_generation(context, number);
    }
    return 0;
}

/* Somebody has been there under this name: where he stopped, or as near as the ring goes back. The library finds the
 * very place. */
static int take_slot_again(struct context *context, const struct context_wish *wish, uint64_t stopped_at,
                           uint64_t cursors[RINGD_LANES_MAX], struct problem *problem)
{
    struct shared_ring *ring = context->ring;
    struct lane_range lanes = shared_ring_lanes(ring, context->lane);
    struct context_wish oldest = *wish, there = *wish;
    uint64_t number;
    int result;

    oldest.start = RINGD_START_OLDEST;
    /* A position is one in a single lane: of several, from as far back as there is anything. */
    there.start = lanes.end - lanes.first == 1 ? RINGD_START_POSITION : RINGD_START_OLDEST;
    there.position = stopped_at;
    result = slots_take(context, &oldest, cursors, problem);
    number = result < 0 ? 0 : generation_for_reader(ring, &there, cursors);
    if (number != 0) {
        generation_oldest(ring, number, cursors);
        slots_take_older(context, number, cursors);
        context_set_generation(context, number);
    }
    return result;
}

static int take_slot(struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
                     struct problem *problem)
{
    const struct shared_ring *ring = context->ring;
    uint32_t lane = shared_ring_lanes(ring, context->lane).first;
    struct context_wish present = *wish;
    bool past =
        wish->start == RINGD_START_POSITION && (int64_t)(wish->position - segment_lane_first(&ring->segment, lane)) < 0;
    int result;

    if (context->member)
        return groups_join(context, wish, cursors, problem);
    if (past)
        present.start = RINGD_START_OLDEST;
    if (wish->kind == RINGD_CONTEXT_WRITER || TAILQ_EMPTY(&ring->older))
        return slots_take(context, wish, cursors, problem);
    result = slots_take(context, &present, cursors, problem);
    if (result == 0 && (past || wish->start == RINGD_START_OLDEST))
        result = start_older(context, wish, cursors, problem);
    return result;
}

/* Life page first: from its slot on, everything about a context has evidence behind it. */
static int context_start(struct context *context, const struct context_wish *wish, struct attached *attached,
                         struct problem *problem)
{
    uint64_t cursors[RINGD_LANES_MAX], stopped_at;
    int result;

    attached->life_fd = make_life(context);
    STOP_POINT("slot-life-made");
    if (descriptors_short(attached->life_fd)) {
        close(attached->life_fd);
        attached->life_fd = -EMFILE;
    }
    if (attached->life_fd == -EMFILE)
        return descriptors_say_short(problem);
    if (attached->life_fd < 0)
        return problem_say(problem, attached->life_fd, "cannot make a life page for a new context of ring \"%s\": %s",
                           context->ring->name, strerror(-attached->life_fd));
    record_kind(context, context->kind);
    if (wish->cursor != NULL)
        named_give(context, attached->named_plus - 1);
    if (wish->cursor != NULL && named_stopped_at(context, attached->named_plus - 1, &stopped_at))
        result = take_slot_again(context, wish, stopped_at, cursors, problem);
    else
        result = take_slot(context, wish, cursors, problem);
    attached->position = cursors[shared_ring_lanes(context->ring, context->lane).first];
    if (result == 0)
        named_begin(context);
    else
        close(attached->life_fd);
    return result;
}

int context_attach(struct shared_ring *ring, const struct context_wish *wish, const struct credentials *credentials,
                   struct context **holder, struct attached *attached, struct problem *problem)
{
    struct context *context;
    struct group_seat seat;
    uint32_t slot;
    int result = find_slot(ring, wish, &slot, problem);

    attached->named_plus = 0;
    if (result == 0 && wish->group != NULL)
        result = groups_find_seat(ring, wish, &seat, problem);
    if (result == 0 && wish->cursor != NULL)
        result = named_take(ring, wish->cursor, &attached->named_plus, problem);
    if (result < 0)
        return result;
    context = context_new(ring, wish, slot, credentials);
    if (context == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    if (wish->group != NULL)
        groups_take_seat(context, wish, &seat);
    result = context_start(context, wish, attached, problem);
    if (result < 0) {
        context_free(context);
        groups_settle(ring);
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

/* ---- adopting --------------------------------------------------------------------------------------------------- */

int context_adopt(struct shared_ring *ring, const struct ringd_life *page, enum ringd_context_kind kind)
{
    struct context *context = context_alloc(ring, kind, page->slot);

    if (context == NULL)
        return -ENOMEM;
    context->incarnation = page->incarnation;
    context->pid = page->pid;
    context->uid = page->uid;
    context->attached_ns = page->attached_ns;
    context->token = page->token;
    context->lane = page->lane;
    memcpy(context->command, page->command, sizeof context->command);
    context->adopted = true;
    context->generation = recorded_generation(context);
    groups_adopt_member(context);
    count(ring, +1);
    record_kind(context, kind);
    if (kind == RINGD_CONTEXT_EVICTED)
        slots_evict(context); /* its predecessor may have been about to */
    return 0;
}

static struct context *find_context(const struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot)
{
    if (kind == RINGD_CONTEXT_WRITER)
        return slot < shared_ring_writer_count(ring) ? ring->writers[slot].context : NULL;
    return slot < RINGD_READERS_MAX ? ring->readers[slot].context : NULL;
}

/* A token of 0 is nobody's: it would be that of a page that was never filled. */
bool context_is_attached(const struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot,
                         uint32_t incarnation, uint64_t token)
{
    const struct context *context = find_context(ring, kind, slot);

    return context != NULL && !context->dead && context->incarnation == incarnation && context->token == token &&
           token != 0;
}

int context_reattach(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot, uint32_t incarnation,
                     uint64_t token, const struct credentials *credentials, struct context **holder,
                     struct problem *problem)
{
    struct context *context = find_context(ring, kind, slot);

    if (!context_is_attached(ring, kind, slot, incarnation, token))
        return problem_say(problem, -ESTALE, "nobody of that kind, slot and token is attached to ring \"%s\"",
                           ring->name);
    if (context->uid != credentials->uid)
        return problem_say(problem, -EPERM, "that context of ring \"%s\" was attached by uid %u, this is uid %u",
                           ring->name, context->uid, credentials->uid);
    if (context->holder != NULL)
        return problem_say(problem, -EBUSY, "that context of ring \"%s\" has a connection already", ring->name);
    stop_watching(context);
    context->adopted = context->said_lost = false;
    context->lost_ns = 0;
    context->holder = holder;
    *holder = context;
    watch_process(context);
    log_debug("ring %s: %s %u (pid %u, %s) has connected again", ring->name, kind_text(context), slot, context->pid,
              context->command);
    return 0;
}

/* ---- evicting -------------------------------------------------------------------------------------------------- */

void context_evict(struct context *context)
{
    record_kind(context, RINGD_CONTEXT_EVICTED);
    slots_evict(context);
    context->kind = RINGD_CONTEXT_EVICTED;
    context->ring->evicted_count++;
}

uint32_t context_evict_bad(struct shared_ring *ring)
{
    uint32_t evicted = 0;

    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;

        if (context == NULL || context->kind != RINGD_CONTEXT_LOSSLESS || context->member ||
            !slots_cursor_is_bad(context))
            continue;
        context_evict(context);
        evicted++;
        log_warning("ring %s: reader %u (pid %u, %s) is lossless no more: its cursor made no sense (%u evicted so far)",
                    ring->name, context->slot, context->pid, context->command, ring->evicted_count);
    }
    return evicted + groups_evict_bad(ring);
}

/* ---- all of a ring --------------------------------------------------------------------------------------------- */

static void free_slots(struct shared_ring *ring, struct slot *slots, uint32_t slot_count,
                       void (*free_one)(struct context *context))
{
    for (uint32_t i = 0; i < slot_count; i++) {
        struct context *context = slots[i].context;

        if (context == NULL)
            continue;
        if (!context->dead)
            count(ring, -1);
        free_one(context);
    }
}

void context_free_all(struct shared_ring *ring)
{
    free_slots(ring, ring->writers, shared_ring_writer_count(ring), context_free);
    free_slots(ring, ring->readers, RINGD_READERS_MAX, context_free);
}

void context_leave_all(struct shared_ring *ring)
{
    free_slots(ring, ring->writers, shared_ring_writer_count(ring), context_drop);
    free_slots(ring, ring->readers, RINGD_READERS_MAX, context_drop);
}

bool context_any(struct shared_ring *ring)
{
    context_look_at_all(ring);
    return ring->context_count > 0;
}
