/* reservation.c - see reservation.h. */
#define _GNU_SOURCE
#include "reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "notify.h"
#include "quiet_thread.h"
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

/* The first slice of what is left. *huge becomes false if it is not in huge pages. */
static int reserve_slice(struct page_range *left, bool *huge)
{
    uint64_t bytes = left->end - left->begin;
    const struct page_range slice = {left->fd, left->begin, left->begin + (bytes < SLICE_BYTES ? bytes : SLICE_BYTES)};

    if (slice.begin % RINGD_HUGE_BYTES != 0 || slice.end % RINGD_HUGE_BYTES != 0 || !reserve_huge_pages(&slice))
        *huge = false;
    left->begin = slice.end;
    return reserve_pages(&slice);
}

static void tell_huge(bool *told, bool huge)
{
    if (told != NULL)
        *told = huge;
}

int reservation_run(struct page_range pages, bool *huge)
{
    bool all_huge = true;
    int result = 0;

    while (pages.begin < pages.end && result == 0) {
        result = reserve_slice(&pages, &all_huge);
        if (pages.begin < pages.end)
            notify_alive();
    }
    tell_huge(huge, all_huge);
    return result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void *reserve(void *argument)
{
    struct reservation *r = argument;

    while (r->pages.begin < r->pages.end && r->result == 0) {
        uint64_t begin = r->pages.begin;

        if (atomic_load_explicit(&r->stop, memory_order_relaxed)) {
            r->result = -ECANCELED;
            break;
        }
        r->result = reserve_slice(&r->pages, &r->huge);
        atomic_fetch_sub_explicit(&pending_bytes, r->pages.begin - begin, memory_order_relaxed);
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
    r->threaded = quiet_thread_start(&r->thread, NULL, reserve, r) == 0;
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
    tell_huge(huge, reservation->huge);
    result = reservation->result;
    free(reservation);
    return result;
}

uint64_t reservation_pending_bytes(void)
{
    return atomic_load_explicit(&pending_bytes, memory_order_relaxed);
}
