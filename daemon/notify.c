/* notify.c - see notify.h. Failures are nobody's business: the service manager draws its own conclusions. */
#define _GNU_SOURCE
#include "notify.h"

#include <systemd/sd-daemon.h>

void notify_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    notify_alive();
}

void notify_init(struct notify *notify, struct ev_loop *loop)
{
    /* Figures that cannot be: the first status is always told. */
    *notify = (struct notify){.loop = loop, .rings = UINT32_MAX};
    ev_timer_init(&notify->watchdog, on_watchdog, 0.0, 0.0);
}

void notify_deinit(struct notify *notify)
{
    ev_timer_stop(notify->loop, &notify->watchdog);
}

void notify_ready(struct notify *notify)
{
    uint64_t period_us;

    sd_notify(0, "READY=1");
    if (sd_watchdog_enabled(0, &period_us) <= 0)
        return;
    ev_timer_set(&notify->watchdog, 0.0, (double)period_us / 2e6);
    ev_timer_start(notify->loop, &notify->watchdog);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void notify_status(struct notify *notify, uint32_t rings, uint32_t contexts, uint32_t clients)
{
    if (rings == notify->rings && contexts == notify->contexts && clients == notify->clients)
        return;
    notify->rings = rings;
    notify->contexts = contexts;
    notify->clients = clients;
    sd_notifyf(0, "STATUS=%u rings, %u contexts attached, %u connections", rings, contexts, clients);
}
