/* life_wait.h - waiting for the lock of a life page to go.
 *
 * When a connection has ended, or a process, the lock of its life page is often still held for some microseconds, or,
 * if the context is only stopped or has closed its socket, for as long as it lives. The kernel tells nobody when the
 * lock goes, except one who waits for it: so a thread of its own with a small stack does (F_OFD_SETLKW), and tells the
 * event loop. It uses no processor time, has no time limit, and no verdict but the kernel's ends it.
 *
 * There are at most LIFE_WAITS_MAX of them. Where one more cannot be had the caller looks from time to time instead.
 *
 * The threads touch nothing but their own wait and the loop's ev_async; signals are blocked in them. All functions are
 * the event loop's.
 *
 * Called by context.c.
 */
#ifndef DAEMON_LIFE_WAIT_H
#define DAEMON_LIFE_WAIT_H

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "object_name.h"

#define LIFE_WAITS_MAX 1024u

struct life_wait;
TAILQ_HEAD(life_wait_list, life_wait);

/* All waits of a daemon. */
struct life_waits {
    struct ev_loop *loop;
    ev_async gone; /* some lock has gone */
    uint32_t count;
    struct life_wait_list list;
};

void life_waits_init(struct life_waits *waits, struct ev_loop *loop);
void life_waits_deinit(struct life_waits *waits); /* all have been stopped */

/* Has `tell(argument)` called, once and from the event loop, when the lock on the page is gone (or cannot be waited
 * for: the receiver looks for itself, and stops the wait). -EAGAIN (too many, or no thread), -EWOULDBLOCK (somebody has
 * a lease on the page), or another errno of shm_open: then *wait is NULL. */
int life_wait_start(struct life_wait **wait, struct life_waits *waits, const struct object_name *page,
                    void (*tell)(void *argument), void *argument);

/* Ends it, whether it has told or not. NULL is allowed. */
void life_wait_stop(struct life_wait *wait);

#endif
