/* reservation.c - see reservation.h. */
#define _GNU_SOURCE
#include "reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "notify.h"
#include "ringd_segment.h"
#include "segment.h"

#define SLICE_BYTES (UINT64_C(1) << 25)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* the C library may be older than the kernel */
#endif

struct reservation {
    struct page_range pages; /* those that are still to be made */
    bool huge;
    int result;
    _Atomic bool stop;
    bool threaded;
    pthread_t thread;
    struct ev_loop *loop;
    ev_async done;
    void (*tell)(void *argument);
    void *argument;
};

static _Atomic uint64_t pending_bytes;

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static int reserve_pages(const struct page_range *pages)
{
    int result;

    do
        result = posix_fallocate(pages->fd, (off_t)pages->begin, (off_t)(pages->end - pages->begin));
    while (result == EINTR);
    return -result;
}

/* The kernel makes a huge page of what has a page in it, and fills up the rest; to ask for it needs addresses. Where it
 * will not (MADV_COLLAPSE came with Linux 6.1, "deny" in shmem_enabled means no, memory may be in pieces) nothing is
 * lost. */
static bool reserve_huge_pages(const struct page_range *pages)
{
    uint64_t bytes = pages->end - pages->begin;
    bool huge = false;
    void *range;

    if (segment_reserve_range(&range, bytes) < 0)
        return false;
    if (mmap(range, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pages->fd, (off_t)pages->begin) == range) {
        for (uint64_t at = pages->begin; at < pages->end; at += RINGD_HUGE_BYTES)
            reserve_pages(&(struct page_range){pages->fd, at, at + 1});
        huge = madvise(range, bytes, MADV_COLLAPSE) == 0;
    }
    munmap(range, bytes);
    return huge;
}

static int reserve_slice(const struct page_range *slice, bool *huge)
{
    if (slice->begin % RINGD_HUGE_BYTES != 0 || slice->end % RINGD_HUGE_BYTES != 0 || !reserve_huge_pages(slice))
        *huge = false;
    return reserve_pages(slice);
}

static struct page_range first_slice(const struct page_range *pages)
{
    uint64_t bytes = pages->end - pages->begin;

    return (struct page_range){pages->fd, pages->begin, pages->begin + (bytes < SLICE_BYTES ? bytes : SLICE_BYTES)};
}

int reservation_run(struct page_range pages, bool *huge)
{
    int result = 0;

    *huge = true;
    while (pages.begin < pages.end && result == 0) {
        struct page_range slice = first_slice(&pages);

        result = reserve_slice(&slice, huge);
        pages.begin = slice.end;
        if (pages.begin < pages.end)
            notify_alive();
    }
    return result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void *reserve(void *argument)
{
    struct reservation *r = argument;

    while (r->pages.begin < r->pages.end && r->result == 0) {
        struct page_range slice = first_slice(&r->pages);

        if (atomic_load_explicit(&r->stop, memory_order_relaxed)) {
            r->result = -ECANCELED;
            break;
        }
        r->result = reserve_slice(&slice, &r->huge);
        r->pages.begin = slice.end;
        atomic_fetch_sub_explicit(&pending_bytes, slice.end - slice.begin, memory_order_relaxed);
    }
    ev_async_send(r->loop, &r->done);
    return NULL;
}

static void on_done(struct ev_loop *loop, ev_async *done, int events)
{
    struct reservation *r = done->data;

    (void)loop;
    (void)events;
    r->tell(r->argument);
}

/* Signals are for the loop's thread. */
static bool start_thread(struct reservation *r)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&r->thread, NULL, reserve, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0;
}

int reservation_start(struct reservation **reservation, struct ev_loop *loop, struct page_range pages,
                      void (*tell)(void *argument), void *argument)
{
    struct reservation *r = calloc(1, sizeof *r);

    *reservation = r;
    if (r == NULL)
        return -ENOMEM;
    *r = (struct reservation){.pages = pages, .huge = true, .loop = loop, .tell = tell, .argument = argument};
    atomic_fetch_add_explicit(&pending_bytes, pages.end - pages.begin, memory_order_relaxed);
    ev_async_init(&r->done, on_done);
    r->done.data = r;
    ev_async_start(loop, &r->done);
    r->threaded = start_thread(r);
    if (!r->threaded)
        reserve(r);
    return 0;
}

int reservation_end(struct reservation *reservation, bool *huge)
{
    int result;

    atomic_store_explicit(&reservation->stop, true, memory_order_relaxed);
    if (reservation->threaded)
        pthread_join(reservation->thread, NULL);
    ev_async_stop(reservation->loop, &reservation->done);
    atomic_fetch_sub_explicit(&pending_bytes, reservation->pages.end - reservation->pages.begin, memory_order_relaxed);
    *huge = reservation->huge;
    result = reservation->result;
    free(reservation);
    return result;
}

uint64_t reservation_pending_bytes(void)
{
    return atomic_load_explicit(&pending_bytes, memory_order_relaxed);
}
