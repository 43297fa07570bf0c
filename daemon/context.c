/* context.c - see context.h. What is written into shared memory on the way is in slots.c. */
#define _GNU_SOURCE
#include "context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "life.h"
#include "log.h"
#include "process.h"
#include "registry.h"
#include "slots.h"

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

static struct object_name life_name(const struct context *context)
{
    return object_name_life(&context->ring->objects_name, context_is_writer(context) ? 'w' : 'r', context->slot,
                            context->incarnation, context->ring->segment.geometry.ring_id);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

/* What the record says of its slot, for a successor. */
static void record_kind(const struct context *context, uint32_t kind)
{
    struct record_slot *slot = shared_ring_record_slot(context->ring, context_is_writer(context), context->slot);

    atomic_store_explicit(&slot->kind, kind, memory_order_release);
}

/* Only what is in private memory. */
static void context_drop(struct context *context)
{
    ev_timer_stop(context->ring->registry->loop, &context->look);
    if (context->holder != NULL)
        *context->holder = NULL;
    own_slot(context)->context = NULL;
    free(context);
}

/* Neither the slot in shared memory nor the ring's count: those are its callers'. */
static void context_free(struct context *context)
{
    struct object_name name = life_name(context);

    record_kind(context, 0);
    life_unlink(&name);
    context_drop(context);
}

static void count(struct shared_ring *ring, int change)
{
    ring->context_count += (uint32_t)change;
    ring->registry->context_count += (uint32_t)change;
}

/* Keeps its slot until its grant is repaired, and its life page, so that a successor knows. */
static void context_die(struct context *context)
{
    log_warning("ring %s: writer %u (pid %u, %s) died in mid-record; what was written after it waits for its repair",
                context->ring->name, context->slot, context->pid, context->command);
    ev_timer_stop(context->ring->registry->loop, &context->look);
    if (context->holder != NULL)
        *context->holder = NULL;
    context->holder = NULL;
    context->dead = true;
}

static void context_leave(struct context *context)
{
    log_debug("ring %s: %s %u (pid %u, %s) has left", context->ring->name, kind_text(context), context->slot,
              context->pid, context->command);
    context_free(context);
}

/* On certain evidence only. The place for repair: a writer that died in mid-record is handed to it here. */
static void context_end(struct context *context)
{
    struct shared_ring *ring = context->ring;

    if (slots_leave(context))
        context_die(context);
    else
        context_leave(context);
    count(ring, -1);
    registry_settle(ring->registry, ring);
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

static void look_later(struct context *context)
{
    struct ev_loop *loop = context->ring->registry->loop;
    double next_s = context->look_s * 2 < LOOK_LAST_S ? context->look_s * 2 : LOOK_LAST_S;

    if (context->look_s < LOOK_LAST_S && next_s >= LOOK_LAST_S && !context->adopted)
        log_info("ring %s: %s %u (pid %u, %s) is lost: its connection has ended, and it is still there",
                 context->ring->name, kind_text(context), context->slot, context->pid, context->command);
    ev_timer_stop(loop, &context->look);
    ev_timer_set(&context->look, context->look_s, 0.0);
    ev_timer_start(loop, &context->look);
    context->look_s = next_s;
}

/* The context may be gone afterwards. */
static void context_look(struct context *context)
{
    struct object_name name = life_name(context);
    int life = context->dead ? LIFE_HELD : life_look(&name);

    if (life == LIFE_GONE)
        context_end(context);
    else if (context->holder == NULL && !context->dead)
        look_later(context);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    context_look(timer->data);
}

void context_disconnect(struct context *context)
{
    context->holder = NULL;
    context->look_s = LOOK_FIRST_S;
    context_look(context);
}

/* Before somebody is refused: whoever has ended without our noticing (a child may still have its connection open) is
 * let go now. The ring has a name and stays. */
static void sweep(struct slot *slots, uint32_t slot_count)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        if (slots[i].context != NULL)
            context_look(slots[i].context);
    }
}

/* ---- attaching ------------------------------------------------------------------------------------------------- */

static int find_slot(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t *slot, struct problem *problem)
{
    bool writer = kind == RINGD_CONTEXT_WRITER;
    uint32_t slot_count = writer ? shared_ring_writer_count(ring) : RINGD_READERS_MAX;
    int result = slots_find(ring, kind, slot);

    if (result == -EUSERS) {
        sweep(writer ? ring->writers : ring->readers, slot_count);
        result = slots_find(ring, kind, slot);
    }
    if (result < 0)
        return problem_say(problem, result, "ring \"%s\" has its %u %s already; close one first", ring->name,
                           slot_count, writer ? "writers" : "readers and observers");
    return 0;
}

static struct context *context_alloc(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot)
{
    struct context *context = calloc(1, sizeof *context);

    if (context == NULL)
        return NULL;
    context->ring = ring;
    context->kind = kind;
    context->slot = slot;
    ev_timer_init(&context->look, on_look, LOOK_FIRST_S, 0.0);
    context->look.data = context;
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
    struct timespec now;

    if (context == NULL)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    context->pid = (uint32_t)credentials->pid;
    context->uid = credentials->uid;
    context->attached_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    process_command(context->command, sizeof context->command, context->pid);
    count_incarnation(context);
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
    };

    memcpy(page.command, context->command, sizeof page.command);
    if (getrandom(&page.token, sizeof page.token, 0) != sizeof page.token)
        return -EAGAIN;
    page.token |= page.token == 0; /* 0 is nobody's */
    context->token = page.token;
    return life_create(&name, &page);
}

/* Life page first: from its slot on, everything about a context has evidence behind it. */
static int context_start(struct context *context, const struct context_wish *wish, struct attached *attached,
                         struct problem *problem)
{
    int result;

    attached->life_fd = make_life(context);
    if (attached->life_fd < 0)
        return problem_say(problem, attached->life_fd, "cannot make a life page for a new context of ring \"%s\": %s",
                           context->ring->name, strerror(-attached->life_fd));
    record_kind(context, context->kind);
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
    memcpy(context->command, page->command, sizeof context->command);
    context->adopted = true;
    context->look_s = LOOK_FIRST_S;
    count(ring, +1);
    record_kind(context, kind);
    if (kind == RINGD_CONTEXT_EVICTED)
        slots_evict(context); /* its predecessor may have been about to */
    context_look(context);
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
    ev_timer_stop(ring->registry->loop, &context->look);
    context->adopted = false;
    context->holder = holder;
    *holder = context;
    log_debug("ring %s: %s %u (pid %u, %s) has connected again", ring->name, kind_text(context), slot, context->pid,
              context->command);
    return 0;
}

/* ---- evicting -------------------------------------------------------------------------------------------------- */

uint32_t context_evict_bad(struct shared_ring *ring)
{
    uint32_t evicted = 0;

    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;

        if (context == NULL || context->kind != RINGD_CONTEXT_LOSSLESS || !slots_cursor_is_bad(context))
            continue;
        record_kind(context, RINGD_CONTEXT_EVICTED);
        slots_evict(context);
        context->kind = RINGD_CONTEXT_EVICTED;
        evicted++;
        ring->evicted_count++;
        log_warning("ring %s: reader %u (pid %u, %s) is lossless no more: its cursor made no sense (%u evicted so far)",
                    ring->name, context->slot, context->pid, context->command, ring->evicted_count);
    }
    return evicted;
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
    sweep(ring->writers, shared_ring_writer_count(ring));
    sweep(ring->readers, RINGD_READERS_MAX);
    return ring->context_count > 0;
}
