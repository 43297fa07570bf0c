/* life_wait.c - see life_wait.h. */
#define _GNU_SOURCE
#include "life_wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "life.h"
#include "quiet_thread.h"

/* fcntl and a write to the loop's pipe; far less than this is touched. */
#define STACK_BYTES 65536

struct life_wait {
    struct life_waits *waits;
    int fd;
    pthread_t thread;
    _Atomic bool over; /* by the thread */
    bool told;
    void (*tell)(void *argument);
    void *argument;
    TAILQ_ENTRY(life_wait) link;
};

/* Can be cancelled while it waits, and not while it tells: the loop's wake-up must be whole. */
static void *wait_for_lock(void *argument)
{
    struct life_wait *wait = argument;
    int state;

    life_await(wait->fd);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    atomic_store_explicit(&wait->over, true, memory_order_release);
    ev_async_send(wait->waits->loop, &wait->waits->gone);
    return NULL;
}

static struct life_wait *first_untold(struct life_waits *waits)
{
    struct life_wait *wait;

    TAILQ_FOREACH(wait, &waits->list, link)
    {
        if (!wait->told && atomic_load_explicit(&wait->over, memory_order_acquire))
            return wait;
    }
    return NULL;
}

/* Whoever is told may stop any of them, so each is looked for anew. */
static void on_gone(struct ev_loop *loop, ev_async *async, int events)
{
    struct life_waits *waits = async->data;
    struct life_wait *wait;

    (void)loop;
    (void)events;
    while ((wait = first_untold(waits)) != NULL) {
        wait->told = true;
        wait->tell(wait->argument);
    }
}

void life_waits_init(struct life_waits *waits, struct ev_loop *loop)
{
    *waits = (struct life_waits){.loop = loop};
    TAILQ_INIT(&waits->list);
    ev_async_init(&waits->gone, on_gone);
    waits->gone.data = waits;
    ev_async_start(loop, &waits->gone);
}

void life_waits_deinit(struct life_waits *waits)
{
    ev_async_stop(waits->loop, &waits->gone);
}

static int start_thread(struct life_wait *wait)
{
    pthread_attr_t attributes;
    int result;

    if (pthread_attr_init(&attributes) != 0)
        return -EAGAIN;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    result = quiet_thread_start(&wait->thread, &attributes, wait_for_lock, wait);
    pthread_attr_destroy(&attributes);
    return result;
}

static int wait_init(struct life_wait *wait, const struct object_name *page)
{
    int result;

    wait->fd = life_open(page);
    if (wait->fd < 0)
        return wait->fd;
    result = start_thread(wait);
    if (result < 0)
        close(wait->fd);
    return result;
}

int life_wait_start(struct life_wait **wait, struct life_waits *waits, const struct object_name *page,
                    void (*tell)(void *argument), void *argument)
{
    struct life_wait *made = waits->count < LIFE_WAITS_MAX ? calloc(1, sizeof *made) : NULL;
    int result;

    *wait = NULL;
    if (made == NULL)
        return -EAGAIN;
    made->waits = waits;
    made->tell = tell;
    made->argument = argument;
    result = wait_init(made, page);
    if (result < 0) {
        free(made);
        return result;
    }
    TAILQ_INSERT_TAIL(&waits->list, made, link);
    waits->count++;
    *wait = made;
    return 0;
}

void life_wait_stop(struct life_wait *wait)
{
    if (wait == NULL)
        return;
    pthread_cancel(wait->thread);
    pthread_join(wait->thread, NULL);
    close(wait->fd);
    TAILQ_REMOVE(&wait->waits->list, wait, link);
    wait->waits->count--;
    free(wait);
}
