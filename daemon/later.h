/* later.h - somebody who is told how something ended that goes on while the event loop does other things.
 *
 * Who waits has a struct later of its own, in one list at a time, and may leave it before it is told (later_forget):
 * what it waits for goes on all the same. It is told once, from the event loop, and is in no list by then.
 *
 * Called by registry.c and generation.c, which tell, and by peer.c and stall.c, which are told.
 */
#ifndef DAEMON_LATER_H
#define DAEMON_LATER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "problem.h"

struct later {
    /* `value` is for a success, `problem` for a failure. */
    void (*tell)(struct later *later, int result, uint64_t value, const struct problem *problem);
    LIST_ENTRY(later) link;
    bool waits; /* whether it is in a list */
};

LIST_HEAD(later_list, later);

/* NULL, nobody waits, is allowed. */
void later_add(struct later_list *list, struct later *later);

/* One that does not wait is allowed. */
void later_forget(struct later *later);

/* Tells all; the list is empty afterwards. */
void later_tell(struct later_list *list, int result, uint64_t value, const struct problem *problem);

#endif
