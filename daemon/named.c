/* named.c - see named.h. */
#define _GNU_SOURCE
#include "named.h"

#include <bsd/string.h>
#include <errno.h>
#include <string.h>

#include "context.h"
#include "generation.h"
#include "stop_point.h"

/* In struct ringd_named_lane: nobody has been there. */
#define NOWHERE UINT64_MAX

/* ---- the table --------------------------------------------------------------------------------------------------- */

static struct record_named *entry_of(const struct shared_ring *ring, uint32_t number)
{
    return &ring->record.page->named[number];
}

static bool is_used(const struct record_named *entry)
{
    return atomic_load_explicit(&entry->used, memory_order_acquire) != 0;
}

/* RINGD_NAMED_MAX: there is none. */
static uint32_t find_name(const struct shared_ring *ring, const char *name)
{
    uint32_t i = 0;

    while (i < RINGD_NAMED_MAX &&
           (!is_used(entry_of(ring, i)) || strncmp(entry_of(ring, i)->name, name, sizeof entry_of(ring, i)->name) != 0))
        i++;
    return i;
}

static uint32_t find_free(const struct shared_ring *ring)
{
    uint32_t i = 0;

    while (i < RINGD_NAMED_MAX && is_used(entry_of(ring, i)))
        i++;
    return i;
}

static uint64_t owner_word(uint32_t incarnation, uint32_t slot)
{
    return (uint64_t)incarnation << 32 | slot;
}

/* The slot of who has the name, as long as he is there or may be. NULL: nobody. */
static const struct slot *holder_of(const struct shared_ring *ring, uint32_t number)
{
    uint64_t owner = atomic_load_explicit(&entry_of(ring, number)->owner, memory_order_relaxed);
    const struct slot *slot = &ring->readers[(uint32_t)owner % RINGD_READERS_MAX];
    bool there = (slot->context != NULL || slot->closed) && slot->incarnation == (uint32_t)(owner >> 32);

    return owner != 0 && there ? slot : NULL;
}

static bool find_named(const struct context *context, uint32_t *number)
{
    uint64_t owner = owner_word(context->incarnation, context->slot);

    for (uint32_t i = 0; i < RINGD_NAMED_MAX && !context_is_writer(context); i++) {
        const struct record_named *entry = entry_of(context->ring, i);

        if (is_used(entry) && atomic_load_explicit(&entry->owner, memory_order_relaxed) == owner) {
            *number = i;
            return true;
        }
    }
    return false;
}

const char *named_label(const struct context *context)
{
    uint32_t number;

    return find_named(context, &number) ? entry_of(context->ring, number)->name : "";
}

/* ---- what is remembered ------------------------------------------------------------------------------------------ */

static void clear_lanes(const struct segment *segment, uint32_t number)
{
    for (uint32_t lane = 0; lane < segment->geometry.lane_count; lane++)
        atomic_store_explicit(&segment_named(segment, lane, number)->position, NOWHERE, memory_order_release);
}

static void carry(const struct segment *from, const struct segment *to, uint32_t number)
{
    for (uint32_t lane = 0; lane < to->geometry.lane_count && from != to; lane++) {
        const struct ringd_named_lane *old = segment_named(from, lane, number);
        struct ringd_named_lane *present = segment_named(to, lane, number);
        /* First: of a reader that goes on storing meanwhile, the expectations are never older than the position. */
        uint64_t position = atomic_load_explicit(&old->position, memory_order_acquire);

        for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++)
            atomic_store_explicit(&present->next[i], atomic_load_explicit(&old->next[i], memory_order_relaxed),
                                  memory_order_relaxed);
        atomic_store_explicit(&present->position, position, memory_order_release);
        STOP_POINT("move-named");
    }
}

void named_carry_all(const struct segment *from, const struct segment *to)
{
    for (uint32_t i = 0; i < RINGD_NAMED_MAX; i++)
        carry(from, to, i);
}

bool named_stopped_at(const struct context *context, uint32_t number, uint64_t *position)
{
    const struct segment *segment = &context->ring->segment;
    struct lane_range lanes = shared_ring_lanes(context->ring, context->lane);

    *position = NOWHERE;
    for (uint32_t lane = lanes.first; lane < lanes.end; lane++) {
        uint64_t there = atomic_load_explicit(&segment_named(segment, lane, number)->position, memory_order_acquire);

        if (there < *position)
            *position = there;
    }
    return *position != NOWHERE;
}

/* ---- what others see --------------------------------------------------------------------------------------------- */

const char *named_name(const struct shared_ring *ring, uint32_t number)
{
    return is_used(entry_of(ring, number)) ? entry_of(ring, number)->name : NULL;
}

struct context *named_holder(const struct shared_ring *ring, uint32_t number)
{
    const struct slot *slot = holder_of(ring, number);

    return slot != NULL ? slot->context : NULL;
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */

/* `or_else`: what can be done but to end the reader, ", or ...". */
static int say_in_use(const struct shared_ring *ring, uint32_t number, const struct slot *slot, const char *or_else,
                      struct problem *problem)
{
    const struct context *context = slot->context;
    const char *name = entry_of(ring, number)->name;

    if (context == NULL)
        return problem_say(problem, -EBUSY,
                           "named cursor \"%s\" of ring \"%s\" may be in use by reader %zu, whose life page somebody "
                           "has removed; end its process%s",
                           name, ring->name, (size_t)(slot - ring->readers), or_else);
    return problem_say(problem, -EBUSY,
                       "named cursor \"%s\" of ring \"%s\" is in use by reader %u (pid %u, %s); end it first%s", name,
                       ring->name, context->slot, context->pid, context->command, or_else);
}

/* Before somebody is refused: whoever has ended without our noticing is let go now. */
static const struct slot *holder_after_look(struct shared_ring *ring, uint32_t number)
{
    if (holder_of(ring, number) != NULL)
        context_look_at_all(ring);
    return holder_of(ring, number);
}

static int take_known(struct shared_ring *ring, uint32_t number, struct problem *problem)
{
    const struct slot *slot = holder_after_look(ring, number);

    return slot != NULL ? say_in_use(ring, number, slot, ", or choose another name", problem) : 0;
}

/* The name stands there when there is nothing of who had the number before. */
static int take_new(struct shared_ring *ring, const char *name, uint32_t number, struct problem *problem)
{
    struct record_named *entry;

    if (number == RINGD_NAMED_MAX)
        return problem_say(
            problem, -EUSERS,
            "ring \"%s\" has %u named cursors already, more it cannot keep; use one of their names again, "
            "or have one forgotten that nobody needs: `ringctl forget %s CURSOR` (`ringctl status` shows "
            "them)",
            ring->name, RINGD_NAMED_MAX, ring->name);
    entry = entry_of(ring, number);
    clear_lanes(&ring->segment, number);
    atomic_store_explicit(&entry->owner, 0, memory_order_relaxed);
    strlcpy(entry->name, name, sizeof entry->name);
    STOP_POINT("slot-name-written");
    atomic_store_explicit(&entry->used, 1, memory_order_release);
    STOP_POINT("slot-name-used");
    return 0;
}

int named_take(struct shared_ring *ring, const char *name, uint32_t *number_plus, struct problem *problem)
{
    uint32_t number = find_name(ring, name);
    int result;

    if (number < RINGD_NAMED_MAX) {
        result = take_known(ring, number, problem);
    } else {
        number = find_free(ring);
        result = take_new(ring, name, number, problem);
    }
    *number_plus = result == 0 ? number + 1 : 0;
    return result;
}

/* One step: what stood under the number is cleared when the next name gets it. */
int named_forget(struct shared_ring *ring, const char *name, struct problem *problem)
{
    uint32_t number = find_name(ring, name);
    const struct slot *slot;

    if (number == RINGD_NAMED_MAX)
        return problem_say(problem, -ENOENT,
                           "ring \"%s\" has no named cursor \"%s\"; `ringctl status %s` shows those it has", ring->name,
                           name, ring->name);
    slot = holder_after_look(ring, number);
    if (slot != NULL)
        return say_in_use(ring, number, slot, "", problem);
    atomic_store_explicit(&entry_of(ring, number)->used, 0, memory_order_release);
    STOP_POINT("slot-name-forgotten");
    return 0;
}

void named_give(const struct context *context, uint32_t number)
{
    atomic_store_explicit(&entry_of(context->ring, number)->owner, owner_word(context->incarnation, context->slot),
                          memory_order_release);
    STOP_POINT("slot-name-given");
}

void named_begin(const struct context *context)
{
    uint32_t number;

    if (find_named(context, &number))
        carry(&context->ring->segment, generation_of(context), number);
}

void named_follow(const struct context *context, const struct segment *to)
{
    uint32_t number;

    if (find_named(context, &number))
        carry(generation_of(context), to, number);
}

void named_come_along(const struct context *context)
{
    named_follow(context, &context->ring->segment);
}
