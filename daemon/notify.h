/* notify.h - what the service manager is told.
 *
 * Ready, a line of status, stopping, and that the event loop is alive. The status line is sent when a figure in it has
 * changed, once for each turn of the loop at most. The watchdog is fed by a timer of the same event loop that serves
 * clients, at half the period that was asked for, and only if one was: without a watchdog nothing runs when nothing
 * happens. Without a service manager all of it does nothing.
 *
 * Called by daemon.c; notify_alive by reservation.c.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <ev.h>
#include <stdint.h>

struct notify {
    struct ev_loop *loop;
    ev_timer watchdog;
    uint32_t rings, contexts, clients; /* as told last */
};

void notify_init(struct notify *notify, struct ev_loop *loop);
void notify_deinit(struct notify *notify);

/* Says that clients may come, and begins to feed the watchdog. */
void notify_ready(struct notify *notify);

void notify_stopping(void);

/* In the middle of something that takes long: the loop will come back. Harmless without one. */
void notify_alive(void);

/* Tells these figures if they are not those told last. */
void notify_status(struct notify *notify, uint32_t rings, uint32_t contexts, uint32_t clients);

#endif
