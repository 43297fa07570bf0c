/* pollable.h - a descriptor for poll, epoll or an event loop, that is readable while its owner may have something to
 * do.
 *
 * Who waits in a call sleeps on a word in shared memory (wake.h); a program with an event loop waits for descriptors.
 * So whoever asks for one gets an eventfd and a small thread of its own, which sleeps on that word in its owner's stead
 * and makes the eventfd readable when the word has moved on. Others do not notice: they wake whoever sleeps on the
 * word, as they do anyway; no descriptor goes to another process, the daemon need not be there, and while nothing
 * happens the thread uses no processor time.
 *
 * Level-triggered: readable from the beginning, and from a wake-up on, until the owner has looked and found nothing.
 * The owner is a reader or writer, `look` whatever finds it a record or room, at once:
 *
 *     do                                               in its call, just before it would report that there is nothing
 *         result = look();
 *     while (result == NOTHING && p != NULL && pollable_arm(p, again_ns));
 *
 * Why no wake-up is lost: the first pollable_arm announces that somebody sleeps, and the descriptor stays readable; the
 * second, after one more look in vain, clears it and lets the thread sleep on the value of that announcement. What was
 * published before the announcement the look between them has found. Who publishes after it sees the announcement and
 * moves the word on, so the thread does not fall asleep, or is woken. If the look finds something nothing is cleared;
 * the announcement stands until the word moves on, and serves the next time: all that was published since has moved it.
 *
 * The state is one word. LOUD: readable, the thread sleeps on the state. ARMED: the thread sleeps on the shared word
 * and on the state, both at once (futex_waitv, Linux 5.16). FIRING: the thread makes the eventfd readable, which nobody
 * else does or undoes meanwhile. Only the owner goes from LOUD to ARMED, with a new number each time; only the thread
 * from there to FIRING, by compare-and-swap, and on to LOUD. So a thread that was late fires for nothing that is over.
 * The thread never touches the shared word but by the system call: it may be unmapped at any time after pollable_move
 * or pollable_free.
 *
 * Fork: the thread is not there in the child, nor is the memory; the descriptor is closed there, so that a parent's
 * epoll does not go on reporting one that it has closed. Handles forget their pollable in a child (client.h).
 *
 * A writer that polls for room does not stand in line: who waits in a call comes before it.
 *
 * Used by writer.c (word: waits.space) and reader.c (word: waits.data; `arm`: attachment_arm, if it may not write).
 */
#ifndef LIBCLIENT_POLLABLE_H
#define LIBCLIENT_POLLABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pollable;

/* What its owner waits for. */
struct pollable_source {
    _Atomic uint32_t *word;

    /* For an owner that cannot write the word: has somebody else announce, and says what to sleep on. 0 or a negative
     * errno: then the owner is to look every 2 ms. NULL: the owner announces. Async-signal-safe. */
    int (*arm)(void *argument, uint32_t *value);
    void *argument;

    /* Not 0: what is published by a plain store may be on its way when the owner looks after its announcement. So it is
     * to look once more after this time; if the same announcement still stands then, it stood before all that came. */
    int64_t second_look_ns;
};

/* Makes one, readable. 0; -EMFILE, -ENFILE, -ENOMEM, -EAGAIN (no thread to be had), -ENOSYS (a kernel before 5.16). */
int pollable_new(struct pollable **pollable, const struct pollable_source *source);

/* The same at each call. */
int pollable_fd(const struct pollable *pollable);

/* The owner has found nothing. True: it must look again before it says so. False: the descriptor is readable when there
 * may be something, at `again_ns` (CLOCK_MONOTONIC; INT64_MAX: no such time) at the latest. [signal] */
bool pollable_arm(struct pollable *pollable, int64_t again_ns);

/* Whether an announcement stands, so that a look must be thorough: one at W, for all that was published before it. */
bool pollable_announced(const struct pollable *pollable);

/* The ring has gone on in other memory. Afterwards the old word may be unmapped. [signal] */
void pollable_move(struct pollable *pollable, _Atomic uint32_t *word);

/* Ends the thread and closes the descriptor. NULL is allowed. */
void pollable_free(struct pollable *pollable);

#endif
