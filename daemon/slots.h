/* slots.h - what the daemon writes into a ring's slots when a context comes and goes.
 *
 * The order in which a slot is filled: what the last owner left is added to the sums of the departed and cleared; then
 * who the new owner is; then, with release, its kind. The first is done in steps that a successor can do again: what
 * the sums are going to be is written down before anything changes. A slot that is free for the daemon but whose bit is
 * set in W is not given to anybody: a writer's addition counts on its bit being clear.
 *
 * A lossless reader is joined last, when its slot says who it is, and leaves first.
 *
 * Called by context.c and recovery.c; the algorithm behind joining and leaving is libclient/ring.c.
 */
#ifndef DAEMON_SLOTS_H
#define DAEMON_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"

/* A free slot for a context that wants this: a writer's in its lane, or in the one with the fewest. 0 or -EUSERS. */
int slots_find(const struct shared_ring *ring, const struct context_wish *wish, uint32_t *slot);

/* Fills the slot for context->slot, incarnation and so on. cursors[lane]: where a lossless reader starts. -ERANGE,
 * -EINVAL, -EBADMSG: the slot is as free as before. */
int slots_take(const struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
               struct problem *problem);

/* After a context's certain end: a writer does not wait for space any more; what it took with it goes into its account
 * and is returned; a lossless reader holds nobody up any more, and the slot is free. Each may be done twice. */
void slots_stop_waiting(const struct context *context);
uint64_t slots_settle(const struct context *context);
void slots_leave(const struct context *context);

/* After a takeover: what a predecessor began with an account is finished, and nothing that stands in a free slot holds
 * anybody up or looks like somebody. */
void slots_clear_free(const struct shared_ring *ring);

/* A reader that begins in an old generation has its slot there and in those after it, up to the present one, which it
 * has joined. cursors[lane]: where it begins. */
void slots_take_older(const struct context *context, uint64_t generation, const uint64_t cursors[RINGD_LANES_MAX]);

/* A lossless reader becomes a lossy one: it is told before writers may pass it. */
void slots_evict(const struct context *context);

/* Whether its cursor would certainly hold writers up for ever. */
bool slots_cursor_is_bad(const struct context *context);

#endif
