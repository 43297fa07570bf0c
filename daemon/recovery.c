/* recovery.c - see recovery.h. */
#define _GNU_SOURCE
#include "recovery.h"

#include <errno.h>
#include <stdio.h>

#include "context.h"
#include "groups.h"
#include "log.h"
#include "named.h"
#include "registry.h"
#include "ring_repair.h"
#include "slots.h"

#define PAUSE_FIRST_S 0.001
#define PAUSE_LAST_S  0.064

/* ---- what is said ---------------------------------------------------------------------------------------------- */

/* "1 record that was being written is lost" */
static const char *loss_text(char *text, size_t bytes, uint64_t lost)
{
    if (lost == 0)
        return "nothing is lost";
    snprintf(text, bytes, "%ju record%s being written %s lost", (uintmax_t)lost,
             lost == 1 ? " that was" : "s that were", lost == 1 ? "is" : "are");
    return text;
}

static void say_damaged(const struct context *context)
{
    log_error("ring %s: damaged: what writer %u (pid %u, %s) left when it died makes no sense; readers will be told, "
              "remove the ring and make it anew",
              context->ring->name, context->slot, context->pid, context->command);
}

static void say_repaired(const struct context *context, uint64_t lost)
{
    const struct ring_repair *repair = &context->repair;
    const char *name = context->ring->name;
    char text[80];
    const char *loss = loss_text(text, sizeof text, lost);

    if (repair->outcome == RING_REPAIR_PADDED)
        log_warning("ring %s: writer %u (pid %u, %s) died in mid-record; %s, %ju bytes passed over; others go on", name,
                    context->slot, context->pid, context->command, loss, (uintmax_t)repair->bytes_passed);
    else if (repair->outcome == RING_REPAIR_KEPT)
        log_warning("ring %s: writer %u (pid %u, %s) died right after a commit, which is kept; %s; others go on", name,
                    context->slot, context->pid, context->command, loss);
    else if (lost > 0)
        log_info("ring %s: writer %u (pid %u, %s) died before it had a place; %s", name, context->slot, context->pid,
                 context->command, loss);
    else
        context_say_left(context);
}

/* ---- one context ----------------------------------------------------------------------------------------------- */

static uint32_t lane_of(const struct context *context)
{
    return context->slot / RINGD_WRITERS_PER_LANE;
}

/* Writers of a lane who certainly live no more, those of free slots among them. */
static uint32_t dead_of_lane(const struct shared_ring *ring, uint32_t lane)
{
    const struct slot *slots = &ring->writers[lane * RINGD_WRITERS_PER_LANE];
    uint32_t dead = 0;

    for (uint32_t bit = 0; bit < RINGD_WRITERS_PER_LANE; bit++) {
        if (slots[bit].context == NULL ? !slots[bit].closed : slots[bit].context->dead)
            dead |= UINT32_C(1) << bit;
    }
    return dead;
}

/* enum ring_repair_result; the context is gone unless it is positive. */
static int recover_writer(struct context *context)
{
    struct shared_ring *ring = context->ring;
    uint32_t lane = lane_of(context);
    uint64_t lost;
    int result;

    slots_stop_waiting(context);
    result = ring_repair(&ring->lanes[lane], context->slot % RINGD_WRITERS_PER_LANE, dead_of_lane(ring, lane),
                         &context->repair);
    if (result > 0)
        return result;
    lost = slots_settle(context);
    slots_leave(context);
    if (result < 0)
        say_damaged(context);
    else
        say_repaired(context, lost);
    context_free(context);
    return RING_REPAIRED;
}

static void recover_reader(struct context *context)
{
    if (context->member) {
        groups_recover(context);
        return;
    }
    named_come_along(context);
    slots_leave(context);
    context_say_left(context);
    context_free(context);
}

/* ---- all of a ring --------------------------------------------------------------------------------------------- */

static int recover_writers(struct shared_ring *ring)
{
    int all = RING_REPAIRED;

    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        struct context *context = ring->writers[i].context;
        int result = context != NULL && context->dead ? recover_writer(context) : RING_REPAIRED;

        if (result > all)
            all = result;
    }
    return all;
}

static void recover_readers(struct shared_ring *ring)
{
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++) {
        struct context *context = ring->readers[i].context;

        if (context != NULL && context->dead)
            recover_reader(context);
    }
    groups_settle(ring);
}

static void go_on_later(struct shared_ring *ring, int result)
{
    struct recovery *recovery = &ring->recovery;
    struct ev_loop *loop = ring->registry->loop;

    ev_timer_stop(loop, &recovery->retry);
    if (result == RING_REPAIRED) {
        recovery->pause_s = PAUSE_FIRST_S;
        return;
    }
    ev_timer_set(&recovery->retry, result == RING_REPAIR_GOES_ON ? 0.0 : recovery->pause_s, 0.0);
    ev_timer_start(loop, &recovery->retry);
    if (result == RING_REPAIR_WAITS && recovery->pause_s < PAUSE_LAST_S)
        recovery->pause_s *= 2;
}

void recovery_run(struct shared_ring *ring)
{
    recover_readers(ring);
    go_on_later(ring, recover_writers(ring));
}

/* Those that a repair waits for may have died themselves, and be told of later. */
static void look_at_neighbours(struct shared_ring *ring)
{
    uint32_t wanted[RINGD_LANES_MAX] = {0};

    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        if (ring->writers[i].context != NULL && ring->writers[i].context->dead)
            wanted[i / RINGD_WRITERS_PER_LANE] |= ring->writers[i].context->repair.unresolved;
    }
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        struct context *context = ring->writers[i].context;

        if (context != NULL && !context->dead && wanted[lane_of(context)] >> i % RINGD_WRITERS_PER_LANE & 1)
            context_check(context);
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct shared_ring *ring = timer->data;

    (void)loop;
    (void)events;
    look_at_neighbours(ring);
    recovery_run(ring);
    registry_settle(ring->registry, ring);
}

void recovery_init(struct recovery *recovery, struct shared_ring *ring)
{
    ev_timer_init(&recovery->retry, on_retry, 0.0, 0.0);
    recovery->retry.data = ring;
    recovery->pause_s = PAUSE_FIRST_S;
}

void recovery_deinit(struct recovery *recovery, struct shared_ring *ring)
{
    ev_timer_stop(ring->registry->loop, &recovery->retry);
}
