/* stall.c - see stall.h. */
#define _GNU_SOURCE
#include "stall.h"

#include <bsd/string.h>
#include <errno.h>
#include <ev.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "generation.h"
#include "log.h"
#include "process.h"
#include "registry.h"
#include "shared_ring.h"

#define DEFAULT_AFTER_MS 1000
#define NS_PER_S         UINT64_C(1000000000)
#define NS_PER_MS        UINT64_C(1000000)

/* A writer that was in mid-record when it was looked at first. */
struct suspect {
    uint32_t incarnation; /* 0: none */
    uint64_t begin;       /* of its slot */
};

/* Of a ring, between a report and the second look. */
struct stall {
    struct shared_ring *ring;
    ev_timer timer;
    uint64_t generation;
    uint64_t since_ns;
    struct suspect suspects[]; /* of each writer slot */
};

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- places ---------------------------------------------------------------------------------------------------- */

/* Where the writer is in mid-record; false: it is not. */
static bool place_of(const struct shared_ring *ring, uint32_t slot, uint64_t *begin)
{
    const struct ringd_lane *lane = segment_lane(&ring->segment, slot / RINGD_WRITERS_PER_LANE);
    uint32_t bit = slot % RINGD_WRITERS_PER_LANE;

    *begin = atomic_load_explicit(&lane->writers[bit].begin, memory_order_acquire);
    return atomic_load_explicit(&lane->word, memory_order_acquire) >> bit & 1;
}

static void note_suspects(struct stall *stall)
{
    const struct shared_ring *ring = stall->ring;

    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++) {
        const struct context *context = ring->writers[i].context;
        uint64_t begin;

        if (context == NULL || context->dead || !place_of(ring, i, &begin))
            continue;
        stall->suspects[i] = (struct suspect){.incarnation = context->incarnation, .begin = begin};
    }
}

/* Living, and where it was. */
static bool still_there(const struct stall *stall, uint32_t slot)
{
    const struct suspect *suspect = &stall->suspects[slot];
    const struct context *context = stall->ring->writers[slot].context;
    uint64_t begin;

    return suspect->incarnation != 0 && context != NULL && !context->dead &&
           context->incarnation == suspect->incarnation && place_of(stall->ring, slot, &begin) &&
           begin == suspect->begin && stall->generation == stall->ring->segment.geometry.generation;
}

/* ---- what is done ---------------------------------------------------------------------------------------------- */

/* It stays where it is until it is dead or can be killed, and is looked at again; once is enough for the log. */
static void kill_writer(struct context *context)
{
    const char *name = context->ring->name;
    int result = context_kill(context);

    if (context->said_stuck)
        return;
    context->said_stuck = true;
    if (result == 0)
        log_warning("ring %s: writer %u (pid %u, %s) was stopped in mid-record and held others up: killed", name,
                    context->slot, context->pid, context->command);
    else
        log_warning("ring %s: writer %u (pid %u, %s) holds others up and cannot be killed: %s", name, context->slot,
                    context->pid, context->command,
                    result == -ESRCH ? "its process is not known here" : strerror(-result));
}

/* Waits for a move, and outlives the ring. */
struct mover {
    struct later later;
    bool said; /* before: once is enough for the log */
    char name[RINGD_NAME_BYTES];
};

static void on_moved(struct later *later, int result, uint64_t number, const struct problem *problem)
{
    struct mover *mover = (struct mover *)((char *)later - offsetof(struct mover, later));

    (void)number;
    if (result < 0 && result != -ESHUTDOWN && !mover->said)
        log_warning("ring %s: cannot move, and is tried again: %s", mover->name, problem->text);
    free(mover);
}

/* A move that fails (memory is short) is tried again while somebody waits, without another word. */
static void move_ring(struct shared_ring *ring, struct context *context)
{
    struct mover *mover = calloc(1, sizeof *mover);
    struct problem problem;
    int result;

    if (mover == NULL)
        return;
    *mover = (struct mover){.later.tell = on_moved, .said = context->said_stuck};
    strlcpy(mover->name, ring->name, sizeof mover->name);
    context->said_stuck = true;
    if (!mover->said)
        log_warning("ring %s: writer %u (pid %u, %s) is stopped in mid-record and holds others up: the ring is to move",
                    ring->name, context->slot, context->pid, context->command);
    result = generation_move(ring, ring->segment.geometry.data_bytes, &mover->later, &problem);
    if (result < 0)
        on_moved(&mover->later, result, 0, &problem);
}

/* Marks those who are stopped; returns one of them, or NULL. */
static struct context *find_stopped(const struct stall *stall)
{
    struct context *found = NULL;

    for (uint32_t i = 0; i < shared_ring_writer_count(stall->ring); i++) {
        struct context *context = stall->ring->writers[i].context;

        if (!still_there(stall, i))
            continue;
        if (context->stopped_ns == 0 || context->stopped_begin != stall->suspects[i].begin) {
            context->stopped_ns = stall->since_ns;
            context->said_stuck = false;
        }
        context->stopped_begin = stall->suspects[i].begin;
        found = context;
    }
    return found;
}

static void kill_stopped(const struct stall *stall)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(stall->ring); i++) {
        if (still_there(stall, i))
            kill_writer(stall->ring->writers[i].context);
    }
}

/* One that is about to move needs no other move. */
static void on_second_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct stall *stall = timer->data;
    struct shared_ring *ring = stall->ring;
    uint32_t policy = ring->segment.geometry.stopped_policy;
    struct context *context = find_stopped(stall);

    (void)loop;
    (void)events;
    if (context != NULL && policy == RINGD_STOPPED_KILL)
        kill_stopped(stall);
    stall_forget(ring);
    if (context != NULL && policy == RINGD_STOPPED_MOVE && !ring->removed && ring->move == NULL)
        move_ring(ring, context);
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

int stall_report(struct shared_ring *ring)
{
    uint32_t slot_count = shared_ring_writer_count(ring), after_ms = ring->segment.geometry.stopped_after_ms;
    struct stall *stall;

    if (after_ms == 0)
        after_ms = DEFAULT_AFTER_MS;
    if (ring->stall != NULL || ring->removed)
        return 0;
    stall = calloc(1, sizeof *stall + slot_count * sizeof stall->suspects[0]);
    if (stall == NULL)
        return -ENOMEM;
    stall->ring = ring;
    stall->generation = ring->segment.geometry.generation;
    stall->since_ns = realtime_ns() - after_ms * (NS_PER_MS / 4);
    note_suspects(stall);
    ring->stall = stall;
    /* Who reported has waited for the first quarter. */
    ev_timer_init(&stall->timer, on_second_look, after_ms * 0.75e-3, 0.0);
    stall->timer.data = stall;
    ev_timer_start(ring->registry->loop, &stall->timer);
    return 0;
}

void stall_forget(struct shared_ring *ring)
{
    if (ring->stall == NULL)
        return;
    ev_timer_stop(ring->registry->loop, &ring->stall->timer);
    free(ring->stall);
    ring->stall = NULL;
}

/* ---- since when ------------------------------------------------------------------------------------------------ */

uint64_t stall_since(struct context *context)
{
    uint64_t begin;
    bool stuck = context->stopped_ns != 0 && context->stopped_begin != 0 && context_is_writer(context) &&
                 place_of(context->ring, context->slot, &begin) && begin == context->stopped_begin;

    if (context->dead || (context->holder == NULL && !context->adopted))
        return 0;
    if (!stuck) {
        context->stopped_begin = 0;
        if (!process_is_stopped(context->pid))
            context->stopped_ns = 0;
        else if (context->stopped_ns == 0)
            context->stopped_ns = realtime_ns();
    }
    return context->stopped_ns;
}
