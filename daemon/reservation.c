/* reservation.c - see reservation.h. */
#define _GNU_SOURCE
#include "reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "notify.h"
#include "quiet_thread.h"
#include "ringd_segment.h"
#include "segment.h"

/* What is made in one go, which keeps a processor busy for a fraction of a millisecond. */
#define SLICE_BYTES  RINGD_HUGE_BYTES

#define PAUSE_NS_MAX INT64_C(5000000)

/* How often the service manager is told that this is no hang. */
#define ALIVE_BYTES (UINT64_C(1) << 25)

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

/* The next huge page that the kernel gives to this processor is one that can be written at once. A virtual machine's
 * memory may be made by its host when it is touched first, which takes milliseconds for a huge page. The kernel lets
 * others run meanwhile if it is touched as a process's own memory, but not in MADV_COLLAPSE; and what is given back
 * last is given out first. Nothing depends on it. */
static void warm_huge_page(void)
{
    void *range;

    if (segment_reserve_range(&range, RINGD_HUGE_BYTES) < 0)
        return;
    if (mprotect(range, RINGD_HUGE_BYTES, PROT_READ | PROT_WRITE) == 0 &&
        madvise(range, RINGD_HUGE_BYTES, MADV_HUGEPAGE) == 0)
        *(volatile unsigned char *)range = 0;
    munmap(range, RINGD_HUGE_BYTES);
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
    warm_huge_page();
    if (mmap(range, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pages->fd, (off_t)pages->begin) == range) {
        reserve_pages(&(struct page_range){pages->fd, pages->begin, pages->begin + 1});
        huge = madvise(range, bytes, MADV_COLLAPSE) == 0;
    }
    munmap(range, bytes);
    return huge;
}

/* The first slice of what is left. *huge becomes false if it is not in huge pages, and nothing after it will be. */
static int reserve_slice(struct page_range *left, bool *huge)
{
    uint64_t bytes = left->end - left->begin;
    const struct page_range slice = {left->fd, left->begin, left->begin + (bytes < SLICE_BYTES ? bytes : SLICE_BYTES)};

    *huge =
        *huge && slice.begin % RINGD_HUGE_BYTES == 0 && slice.end % RINGD_HUGE_BYTES == 0 && reserve_huge_pages(&slice);
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
        if (pages.begin < pages.end && pages.begin % ALIVE_BYTES == 0)
            notify_alive();
    }
    tell_huge(huge, all_huge);
    return result;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static int64_t own_time_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* As long as it has worked. Writers and readers who need this very processor wait for it otherwise, for up to 20 ms at
 * a time, and no niceness prevents that: it counts among the threads of one service only. */
static void let_others_run(int64_t worked_ns)
{
    const struct timespec pause = {.tv_nsec = worked_ns < PAUSE_NS_MAX ? worked_ns : PAUSE_NS_MAX};

    nanosleep(&pause, NULL);
}

static void *reserve(void *argument)
{
    struct reservation *r = argument;

    while (r->pages.begin < r->pages.end && r->result == 0) {
        uint64_t begin = r->pages.begin;
        int64_t start_ns = own_time_ns();

        if (atomic_load_explicit(&r->stop, memory_order_relaxed)) {
            r->result = -ECANCELED;
            break;
        }
        r->result = reserve_slice(&r->pages, &r->huge);
        atomic_fetch_sub_explicit(&pending_bytes, r->pages.begin - begin, memory_order_relaxed);
        let_others_run(own_time_ns() - start_ns);
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
