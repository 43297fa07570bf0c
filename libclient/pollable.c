/* pollable.c - see pollable.h: one eventfd and one thread for each. */
#define _GNU_SOURCE
#include "pollable.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wake.h"

#define NS_PER_S INT64_C(1000000000)

/* Two system calls; far less than this is touched. */
#define STACK_BYTES 65536

/* Between two looks of an owner for whom nobody has announced. */
#define BLIND_LOOK_NS 2000000

/* Low bits of the state; the rest is a number, another each time that it is armed. */
enum {
    LOUD = 0,
    ARMED = 1,
    FIRING = 2,
    ENDED = 3,
    KIND = 3,
    NUMBER = 4,
};

struct pollable {
    struct pollable *next; /* of this process */
    _Atomic uint32_t state;
    int fd;
    dev_t device; /* what it was when it was opened */
    ino_t inode;
    pthread_t thread;
    struct pollable_source source;
    bool announced;          /* `value` is one to sleep on */
    uint32_t value;          /* of the announcement */
    uint32_t slept_on;       /* the value that was armed last; 0: none */
    int64_t announced_until; /* nobody has announced: look again then */

    /* For the thread, while it is armed. */
    _Atomic(_Atomic uint32_t *) word;
    _Atomic uint32_t armed_value;
    _Atomic int64_t until;
};

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t list_once = PTHREAD_ONCE_INIT;
static struct pollable *list; /* of this process; under list_mutex */

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

/* The program may have closed it and have the number for something else. (All eventfds look alike, but none of them is
 * a file or socket.) */
static bool fd_is_ours(const struct pollable *p)
{
    struct stat is;

    return fstat(p->fd, &is) == 0 && is.st_dev == p->device && is.st_ino == p->inode;
}

static void make_readable(const struct pollable *p)
{
    const uint64_t one = 1;

    /* Fails only if it is very readable already. */
    if (fd_is_ours(p) && write(p->fd, &one, sizeof one) < 0)
        return;
}

static void make_unreadable(const struct pollable *p)
{
    uint64_t count;

    /* Fails only if it is not readable. */
    if (fd_is_ours(p) && read(p->fd, &count, sizeof count) < 0)
        return;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void sleep_on_state(struct pollable *p, uint32_t state)
{
    syscall(SYS_futex, &p->state, FUTEX_WAIT_PRIVATE, state, NULL, NULL, 0);
}

static void wake_thread(struct pollable *p)
{
    syscall(SYS_futex, &p->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Until the shared word or the state is not what it was, or the time has come. It may end for no reason, too. */
static void sleep_on_both(struct pollable *p, uint32_t state)
{
    int64_t until = atomic_load_explicit(&p->until, memory_order_relaxed);
    struct timespec time = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    struct futex_waitv both[2] = {
        {
            .uaddr = (uintptr_t)atomic_load_explicit(&p->word, memory_order_relaxed),
            .val = atomic_load_explicit(&p->armed_value, memory_order_relaxed),
            .flags = FUTEX_32,
        },
        {.uaddr = (uintptr_t)&p->state, .val = state, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
    };

    syscall(SYS_futex_waitv, both, 2, 0, until == INT64_MAX ? NULL : &time, CLOCK_MONOTONIC);
}

static void fire(struct pollable *p, uint32_t armed)
{
    uint32_t firing = (armed & ~(uint32_t)KIND) | FIRING;

    if (!atomic_compare_exchange_strong_explicit(&p->state, &armed, firing, memory_order_acq_rel, memory_order_relaxed))
        return; /* it was armed for something that is over */
    make_readable(p);
    atomic_compare_exchange_strong_explicit(&p->state, &firing, (firing & ~(uint32_t)KIND) | LOUD, memory_order_acq_rel,
                                            memory_order_relaxed);
}

static void *run_thread(void *argument)
{
    struct pollable *p = argument;
    uint32_t state;

    while ((state = atomic_load_explicit(&p->state, memory_order_acquire)) % NUMBER != ENDED) {
        if (state % NUMBER == ARMED) {
            sleep_on_both(p, state);
            fire(p, state);
        } else {
            sleep_on_state(p, state);
        }
    }
    return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(struct pollable *p)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int result;

    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&p->thread, &attributes, run_thread, p);
    if (result == EINVAL) /* too small a stack: for what the program has in each thread */
        result = pthread_create(&p->thread, NULL, run_thread, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -result;
}

/* ---- the list, for a child --------------------------------------------------------------------------------------- */

static void fork_prepare(void)
{
    pthread_mutex_lock(&list_mutex);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&list_mutex);
}

static void fork_child(void)
{
    while (list != NULL) {
        struct pollable *p = list;

        list = p->next;
        if (fd_is_ours(p))
            close(p->fd);
        munmap(p, sizeof *p);
    }
    pthread_mutex_unlock(&list_mutex);
}

static void register_fork_handlers(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* From its first moment to its last a descriptor is in the list. */
static int open_fd(struct pollable *p)
{
    struct stat is;
    int result = 0;

    pthread_mutex_lock(&list_mutex);
    p->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0 || fstat(p->fd, &is) != 0) {
        result = -errno;
        if (p->fd >= 0)
            close(p->fd);
    } else {
        p->device = is.st_dev;
        p->inode = is.st_ino;
        p->next = list;
        list = p;
    }
    pthread_mutex_unlock(&list_mutex);
    return result;
}

static void close_fd(struct pollable *p)
{
    pthread_mutex_lock(&list_mutex);
    for (struct pollable **link = &list; *link != NULL; link = &(*link)->next) {
        if (*link == p) {
            *link = p->next;
            break;
        }
    }
    if (fd_is_ours(p))
        close(p->fd);
    pthread_mutex_unlock(&list_mutex);
}

/* ---- the owner's calls ------------------------------------------------------------------------------------------- */

static bool kernel_waits_on_several(void)
{
    return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) >= 0 || errno == EINVAL;
}

int pollable_new(struct pollable **pollable, const struct pollable_source *source)
{
    struct pollable *p;
    int result;

    *pollable = NULL;
    if (!kernel_waits_on_several())
        return -ENOSYS;
    /* Not of the heap: the child gives it back in a place where the heap may be locked. */
    p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    pthread_once(&list_once, register_fork_handlers);
    p->source = *source;
    result = open_fd(p);
    if (result == 0) {
        result = start_thread(p);
        if (result < 0)
            close_fd(p);
    }
    if (result < 0) {
        munmap(p, sizeof *p);
        return result;
    }
    *pollable = p;
    return 0;
}

int pollable_fd(const struct pollable *pollable)
{
    return pollable->fd;
}

static void announce(struct pollable *p)
{
    p->announced_until = INT64_MAX;
    if (p->source.arm == NULL) {
        p->value = wake_announce(p->source.word);
    } else if (p->source.arm(p->source.argument, &p->value) < 0) {
        p->value = atomic_load_explicit(p->source.word, memory_order_seq_cst);
        p->announced_until = wake_now() + BLIND_LOOK_NS;
    }
    p->announced = true;
}

/* When the owner is to look again although the word has not moved. */
static int64_t look_until(const struct pollable *p, int64_t again_ns)
{
    int64_t until = again_ns < p->announced_until ? again_ns : p->announced_until;

    if (p->source.second_look_ns != 0 && p->value != p->slept_on) {
        int64_t second = wake_now() + p->source.second_look_ns;

        until = second < until ? second : until;
    }
    return until;
}

bool pollable_arm(struct pollable *p, int64_t again_ns)
{
    uint32_t state = atomic_load_explicit(&p->state, memory_order_acquire);

    if (state % NUMBER != LOUD)
        return false;
    if (!p->announced) {
        announce(p);
        return true;
    }
    p->announced = false;
    make_unreadable(p);
    atomic_store_explicit(&p->word, p->source.word, memory_order_relaxed);
    atomic_store_explicit(&p->armed_value, p->value, memory_order_relaxed);
    atomic_store_explicit(&p->until, look_until(p, again_ns), memory_order_relaxed);
    p->slept_on = p->value;
    atomic_store_explicit(&p->state, state - LOUD + NUMBER + ARMED, memory_order_release);
    wake_thread(p);
    return false;
}

bool pollable_announced(const struct pollable *pollable)
{
    return pollable->announced;
}

void pollable_move(struct pollable *p, _Atomic uint32_t *word)
{
    uint32_t state = atomic_load_explicit(&p->state, memory_order_acquire);

    p->source.word = word;
    p->announced = false;
    p->slept_on = 0;
    if (state % NUMBER == ARMED &&
        atomic_compare_exchange_strong_explicit(&p->state, &state, state - ARMED + LOUD, memory_order_acq_rel,
                                                memory_order_relaxed)) {
        make_readable(p);
        wake_thread(p);
    }
}

void pollable_free(struct pollable *p)
{
    if (p == NULL)
        return;
    atomic_store_explicit(&p->state, ENDED, memory_order_release);
    wake_thread(p);
    pthread_join(p->thread, NULL);
    close_fd(p);
    munmap(p, sizeof *p);
}
