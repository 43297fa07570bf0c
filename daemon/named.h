/* named.h - named cursors: which name has which number, and who has it.
 *
 * A name is a number from 0 to RINGD_NAMED_MAX - 1; what is remembered under it stands in the readers' object, in
 * struct ringd_named_lane of that number in each lane, written by the reader that has the name. The table of names is
 * in the ring's record, for a successor. A name has an entry from the first reader that asks for it on, until somebody
 * has it forgotten; the entry says which reader had it last, by slot and incarnation, and is in use as long as that
 * context is there, its repair included.
 *
 * What is in the present generation is the newest as soon as nobody has the name: a move carries everything over, a
 * reader that follows finds in each generation what it had stored in the one before, and of one that dies in an old one
 * it is carried when it is recovered. Each can be done again by a successor.
 *
 * Called by context.c, generation.c, recovery.c, request.c and status.c. One thread: the event loop's.
 */
#ifndef DAEMON_NAMED_H
#define DAEMON_NAMED_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"
#include "shared_ring.h"

struct context;

/* The number of this name, plus one: an old one that nobody has, or a new one. -EBUSY (a reader has it), -EUSERS (all
 * numbers are taken). */
int named_take(struct shared_ring *ring, const char *name, uint32_t *number_plus, struct problem *problem);

/* There is no such name any more, and its number is free. -ENOENT, -EBUSY (a reader has it). */
int named_forget(struct shared_ring *ring, const char *name, struct problem *problem);

/* From here on the context has it. */
void named_give(const struct context *context, uint32_t number);

/* The name of a context's cursor; "": it has none. */
const char *named_label(const struct context *context);

/* The name that has this number, or NULL; and the reader that has the name now, or NULL. */
const char *named_name(const struct shared_ring *ring, uint32_t number);
struct context *named_holder(const struct shared_ring *ring, uint32_t number);

/* The lowest position that is remembered in a lane that the context reads. False: none is, the name is new there. */
bool named_stopped_at(const struct context *context, uint32_t number, uint64_t *position);

/* A new generation is being filled. */
void named_carry_all(const struct segment *from, const struct segment *to);

/* The context begins in its generation, which may be an old one: what it remembers is there. */
void named_begin(const struct context *context);

/* The context is about to get `to`: what it remembers is there. Does nothing without a named cursor. */
void named_follow(const struct context *context, const struct segment *to);

/* It has died: what it remembers is in the present generation. */
void named_come_along(const struct context *context);

#endif
