/* registry.h - all rings of this daemon, by name.
 *
 * A ring is found by its name until it is removed. What was removed stays in the list of all, without a name, until its
 * last context has gone; a new ring of the same name may exist beside it. The registry owns the rings, and through them
 * the contexts: registry_settle is called when a context has left, and frees a removed ring that nobody is attached to.
 *
 * ring_count and context_count are what the service's status line shows.
 *
 * Called by daemon.c, request.c, generation.c and context.c. One thread: the event loop's.
 */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include <ev.h>

#include "instance.h"
#include "later.h"
#include "life_wait.h"
#include "shared_ring.h"
#include "ticks.h"

TAILQ_HEAD(shared_ring_list, shared_ring);

struct making;
LIST_HEAD(making_list, making);

struct registry {
    struct ev_loop *loop; /* contexts wait on it */
    const struct instance *instance;
    struct ticks ticks;
    struct life_waits life_waits;  /* for contexts that are lost */
    struct shared_ring *by_name;   /* uthash */
    struct shared_ring_list rings; /* in the order they were made */
    struct making_list making;     /* those whose memory is being made: nobody can find them yet */
    uint32_t ring_count;           /* those with a name */
    uint32_t context_count;        /* attached to any ring, the dead in mid-record not counted */
};

/* `loop` and `instance` outlive it. */
void registry_init(struct registry *registry, struct ev_loop *loop, const struct instance *instance);

/* What becomes of the rings when a daemon ends. */
enum registry_end {
    REGISTRY_END_UNUSED, /* those that nobody is attached to go, the others stay for a successor */
    REGISTRY_KEEP,       /* all stay */
    REGISTRY_UNDO,       /* the start has failed: those that were taken over stay, those that were made go */
};

/* Frees every ring and every context. */
void registry_deinit(struct registry *registry, enum registry_end end);

/* A ring that was taken over; it is the registry's then. -ENOMEM: it is not. */
int registry_adopt(struct registry *registry, struct shared_ring *ring);

/* Checks name and options, then makes the ring. -EEXIST, and as ring_name_check, ring_options_check, segment_create.
 * With somebody who is told when it is there (or why not: a failure to reserve its memory comes late) others are served
 * meanwhile. Without one it is there when this returns. */
int registry_create(struct registry *registry, const char *name, const struct ringd_ring_options *options,
                    const struct ring_rights *rights, struct later *later, struct problem *problem);

/* NULL: there is none of that name. Valid until the ring is removed or its last context leaves. */
struct shared_ring *registry_find(const struct registry *registry, const char *name);

/* Takes name and objects away at once and tells those attached. The ring may be gone afterwards. */
void registry_remove(struct registry *registry, struct shared_ring *ring);

/* Frees the ring if it was removed and nobody is attached any more. */
void registry_settle(struct registry *registry, struct shared_ring *ring);

/* Removes rings whose shared memory somebody has shortened: those that are short now, and the one mapped at `fault`. */
void registry_remove_damaged(struct registry *registry, const void *fault);

#endif
