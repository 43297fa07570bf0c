/* registry.c - see registry.h. */
#define _GNU_SOURCE
#define HASH_NONFATAL_OOM 1 /* a table that cannot grow leaves the ring out, and says so in hh.tbl */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "generation.h"
#include "log.h"
#include "quantity.h"
#include "reservation.h"
#include "ring_options.h"
#include "stall.h"
#include "stop_point.h"

void registry_init(struct registry *registry, struct ev_loop *loop, const struct instance *instance)
{
    *registry = (struct registry){.loop = loop, .instance = instance};
    TAILQ_INIT(&registry->rings);
    LIST_INIT(&registry->making);
    ticks_init(&registry->ticks);
    life_waits_init(&registry->life_waits, loop);
}

static int add_ring(struct registry *registry, struct shared_ring *ring)
{
    HASH_ADD_STR(registry->by_name, name, ring);
    if (ring->hh.tbl == NULL)
        return -ENOMEM;
    TAILQ_INSERT_TAIL(&registry->rings, ring, link);
    ring->registry = registry;
    recovery_init(&ring->recovery, ring);
    registry->ring_count++;
    return 0;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

struct making {
    struct registry *registry;
    struct shared_ring *ring;
    struct reservation *reservation;
    struct later_list waiting;
    LIST_ENTRY(making) link;
};

/* The ring is the registry's, or freed. */
static int finish_ring(struct registry *registry, struct shared_ring *ring, int reserved, bool huge,
                       struct problem *problem)
{
    int result = shared_ring_publish(ring, reserved, problem);

    if (result == 0 && add_ring(registry, ring) < 0)
        result = problem_say(problem, -ENOMEM, "out of memory");
    if (result < 0) {
        shared_ring_free(ring);
        return result;
    }
    log_info("ring %s: made, size %s%s, owner uid %u, mode 0%o", ring->name,
             quantity_text(ring->segment.geometry.data_bytes).text, huge ? " in huge pages" : "", ring->rights.owner,
             ring->rights.mode);
    return 0;
}

static void end_making(struct making *making, int result, const struct problem *problem)
{
    LIST_REMOVE(making, link);
    later_tell(&making->waiting, result, 0, problem);
    free(making);
}

static void on_reserved(void *argument)
{
    struct making *making = argument;
    struct problem problem = {""};
    bool huge;
    int reserved = reservation_end(making->reservation, &huge);

    end_making(making, finish_ring(making->registry, making->ring, reserved, huge, &problem), &problem);
}

/* Nobody has found it yet. */
static void cancel_making(struct making *making)
{
    struct problem problem;
    int result = problem_say(&problem, -ECANCELED, "ring \"%s\" was not made: ringd ends", making->ring->name);

    reservation_end(making->reservation, NULL);
    shared_ring_free(making->ring);
    end_making(making, result, &problem);
}

/* The ring is freed after a failure. */
static int finish_ring_later(struct registry *registry, struct shared_ring *ring, struct later *later,
                             struct problem *problem)
{
    struct making *making = calloc(1, sizeof *making);

    if (making == NULL || reservation_start(&making->reservation, registry->loop, segment_data_pages(&ring->objects),
                                            on_reserved, making) < 0) {
        free(making);
        shared_ring_free(ring);
        return problem_say(problem, -ENOMEM, "out of memory");
    }
    making->registry = registry;
    making->ring = ring;
    LIST_INIT(&making->waiting);
    later_add(&making->waiting, later);
    LIST_INSERT_HEAD(&registry->making, making, link);
    return 0;
}

static int make_ring(struct registry *registry, const char *name, const struct ringd_ring_options *options,
                     const struct ring_rights *rights, struct later *later, struct problem *problem)
{
    struct shared_ring *ring;
    int result = shared_ring_new(&ring, registry->instance->id, name, options, rights, &registry->ticks, problem);
    bool huge;

    if (result < 0)
        return result;
    if (later != NULL)
        return finish_ring_later(registry, ring, later, problem);
    result = reservation_run(segment_data_pages(&ring->objects), &huge);
    return finish_ring(registry, ring, result, huge, problem);
}

static bool is_making(const struct registry *registry, const char *name)
{
    const struct making *making;

    LIST_FOREACH(making, &registry->making, link)
    {
        if (strcmp(making->ring->name, name) == 0)
            return true;
    }
    return false;
}

int registry_adopt(struct registry *registry, struct shared_ring *ring)
{
    return add_ring(registry, ring);
}

int registry_create(struct registry *registry, const char *name, const struct ringd_ring_options *options,
                    const struct ring_rights *rights, struct later *later, struct problem *problem)
{
    struct ringd_ring_options checked = *options;
    struct ring_rights given = *rights;
    int result = ring_name_check(name, problem);

    if (result == 0)
        result = ring_options_check(&checked, problem);
    if (result < 0)
        return result;
    if (registry_find(registry, name) != NULL)
        return problem_say(problem, -EEXIST, "there is a ring \"%s\" already; remove it first or choose another name",
                           name);
    if (is_making(registry, name))
        return problem_say(problem, -EEXIST, "a ring \"%s\" is being made already; wait for it or choose another name",
                           name);
    given.mode = checked.mode;
    return make_ring(registry, name, &checked, &given, later, problem);
}

struct shared_ring *registry_find(const struct registry *registry, const char *name)
{
    struct shared_ring *ring;

    HASH_FIND_STR(registry->by_name, name, ring);
    return ring;
}

void registry_remove(struct registry *registry, struct shared_ring *ring)
{
    if (ring->removed)
        return;
    generation_cancel_move(ring, "it was removed");
    HASH_DEL(registry->by_name, ring);
    registry->ring_count--;
    ring->removed = true;
    shared_ring_end(ring);
    log_info("ring %s: removed, %u attached are told", ring->name, ring->context_count);
    registry_settle(registry, ring);
}

static void free_ring(struct registry *registry, struct shared_ring *ring)
{
    TAILQ_REMOVE(&registry->rings, ring, link);
    context_free_all(ring);
    recovery_deinit(&ring->recovery, ring);
    stall_forget(ring);
    shared_ring_free(ring);
}

/* Contexts go on without us, and their life pages say to a successor who they are. */
static void leave_ring(struct registry *registry, struct shared_ring *ring)
{
    generation_cancel_move(ring, "ringd ends");
    log_info("ring %s: left to the next ringd, %u attached", ring->name, ring->context_count);
    HASH_DEL(registry->by_name, ring);
    registry->ring_count--;
    TAILQ_REMOVE(&registry->rings, ring, link);
    context_leave_all(ring);
    recovery_deinit(&ring->recovery, ring);
    stall_forget(ring);
    shared_ring_leave(ring);
    shared_ring_free(ring);
}

void registry_settle(struct registry *registry, struct shared_ring *ring)
{
    if (ring->removed && ring->context_count == 0)
        free_ring(registry, ring);
    else
        generation_settle(ring);
}

void registry_remove_damaged(struct registry *registry, const void *fault)
{
    struct shared_ring *ring = TAILQ_FIRST(&registry->rings), *next;

    for (; ring != NULL; ring = next) {
        next = TAILQ_NEXT(ring, link);
        /* It may be as long as it was again by now, but where the fault was we have a page of our own. */
        if (ring->removed || (!segment_objects_damaged(&ring->objects) && !segment_contains(&ring->segment, fault) &&
                              !generation_contains(ring, fault)))
            continue;
        log_error("ring %s: somebody with a writable descriptor has shortened its shared memory; nobody can use it "
                  "any more",
                  ring->name);
        registry_remove(registry, ring);
    }
}

static bool stays(struct shared_ring *ring, enum registry_end end)
{
    if (ring->removed)
        return false;
    if (end == REGISTRY_UNDO)
        return ring->adopted;
    return end == REGISTRY_KEEP || context_any(ring);
}

void registry_deinit(struct registry *registry, enum registry_end end)
{
    struct shared_ring *ring = TAILQ_FIRST(&registry->rings), *next;
    struct making *making;

    while ((making = LIST_FIRST(&registry->making)) != NULL)
        cancel_making(making);
    for (; ring != NULL; ring = next) {
        next = TAILQ_NEXT(ring, link);
        if (stays(ring, end))
            leave_ring(registry, ring);
        else
            registry_remove(registry, ring);
    }
    while ((ring = TAILQ_FIRST(&registry->rings)) != NULL)
        free_ring(registry, ring);
    life_waits_deinit(&registry->life_waits);
}
