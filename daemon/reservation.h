/* reservation.h - the pages of an object are made, so that nobody who maps it is ever short of memory.
 *
 * That takes milliseconds, and of a large ring seconds: while a ring moves, others have to be answered that follow
 * another move, and deaths looked at. So a thread does it, and the event loop is told when it is done. A thread of its
 * own also keeps the scheduler from letting the loop wait for what its own thread has had.
 *
 * Pages are huge ones where the range consists of such and the kernel has them: all who map the ring are spared what
 * every single page costs them when they come, look at it first, and go.
 *
 * Whoever needs the same processor meanwhile goes on: slices are small, and the thread sleeps as long as it works. So
 * writers of a ring that moves wait no longer for their turn than they do without.
 *
 * The thread touches nothing but its reservation, the object's descriptor and the loop's ev_async; signals are blocked
 * in it. It works in slices and looks between them whether it shall end. All functions are the event loop's.
 *
 * Called by registry.c and generation.c for data, and by segment_create.c for the rest.
 */
#ifndef DAEMON_RESERVATION_H
#define DAEMON_RESERVATION_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of an object, which is at least that long. The descriptor stays the caller's, and open until the end. */
struct page_range {
    int fd;
    uint64_t begin, end;
};

struct reservation;

/* Here and now; now and then the service manager is told that this is no hang. 0, or a negative errno: -ENOSPC.
 * `huge`: whether all of it is in huge pages; may be NULL. */
int reservation_run(struct page_range pages, bool *huge);

/* Has `tell(argument)` called, once and from the event loop, when it is done. *reservation is NULL after a failure:
 * -ENOMEM. Without a thread it is done at once, and told later all the same. */
int reservation_start(struct reservation **reservation, struct ev_loop *loop, struct page_range pages,
                      void (*tell)(void *argument), void *argument);

/* Once it has told: how it went, as reservation_run. Before that it is stopped, which may last as long as a slice. */
int reservation_end(struct reservation *reservation, bool *huge);

/* Bytes that reservations which have been started still want. */
uint64_t reservation_pending_bytes(void);

#endif
