/* registry.c - see registry.h. */
#define _GNU_SOURCE
#define HASH_NONFATAL_OOM 1 /* a table that cannot grow leaves the ring out, and says so in hh.tbl */
#include "registry.h"

#include <errno.h>
#include <string.h>

#include "context.h"
#include "generation.h"
#include "log.h"
#include "quantity.h"
#include "ring_options.h"
#include "stall.h"
#include "stop_point.h"

void registry_init(struct registry *registry, struct ev_loop *loop, const struct instance *instance)
{
    *registry = (struct registry){.loop = loop, .instance = instance};
    TAILQ_INIT(&registry->rings);
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

static int make_ring(struct registry *registry, const char *name, const struct ringd_ring_options *options,
                     const struct ring_rights *rights, struct problem *problem)
{
    struct shared_ring *ring;
    int result = shared_ring_new(&ring, registry->instance->id, name, options, rights, &registry->ticks, problem);

    if (result < 0)
        return result;
    result = add_ring(registry, ring);
    if (result < 0) {
        shared_ring_free(ring);
        return problem_say(problem, result, "out of memory");
    }
    log_info("ring %s: made, size %s%s, owner uid %u, mode 0%o", ring->name, quantity_text(options->size).text,
             ring->objects.segment.huge ? " in huge pages" : "", rights->owner, rights->mode);
    return 0;
}

int registry_adopt(struct registry *registry, struct shared_ring *ring)
{
    return add_ring(registry, ring);
}

int registry_create(struct registry *registry, const char *name, const struct ringd_ring_options *options,
                    const struct ring_rights *rights, struct problem *problem)
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
    given.mode = checked.mode;
    return make_ring(registry, name, &checked, &given, problem);
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
