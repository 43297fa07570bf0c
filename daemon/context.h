/* context.h - a writer, reader or observer that is attached to a ring.
 *
 * A context has a slot in the ring, a life page (life.h) and usually a connection, which is its own as long as it
 * lives.
 *
 *     attached -- its connection ends --> lost -- its life page's lock is gone --> left: the slot is free
 *                                                                              \-> dead: it died in mid-record
 *
 * The end of a connection only says that there is something to look at; the lock says what is certain. It is looked at
 * at once, and then again after 1, 2, 4 ... 1000 ms for as long as it is held: the kernel may still be taking the
 * process down, or the process is stopped, or only closed its socket. A lost context keeps its slot, and a lossless
 * reader its hold on writers, however long that takes.
 *
 * A writer that died between reserve and commit keeps its slot too, as its grant is still open and holds the frontier:
 * it is dead, and waits for repair. (Repair will live in recovery.c; context_end is where it is called from.)
 *
 * Contexts belong to their ring: slots[..].context. `holder` is where the connection keeps its pointer to the context,
 * which is cleared when the context goes first. One thread: the event loop's.
 */
#ifndef DAEMON_CONTEXT_H
#define DAEMON_CONTEXT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "problem.h"
#include "rights.h"
#include "ringd.h"
#include "slow_readers.h"

struct shared_ring;

struct context {
    struct shared_ring *ring;
    struct context **holder; /* NULL: its connection has ended */
    enum ringd_context_kind kind;
    uint32_t slot; /* writer: lane * RINGD_WRITERS_PER_LANE + bit; reader: its slot */
    uint32_t incarnation;
    uint32_t pid, uid;    /* for people */
    uint64_t attached_ns; /* CLOCK_REALTIME */
    char command[16];
    bool dead;               /* in mid-record; without a life page, not counted as attached */
    struct slow_watch watch; /* of a writer */
    ev_timer look;           /* runs while it is lost */
    double look_s;           /* how long it waits */
};

/* What a client asked for. `kind` is a writer, lossless, lossy or observer. */
struct context_wish {
    enum ringd_context_kind kind;
    enum ringd_reader_start start;
    uint64_t position;
};

/* What it gets. life_fd is the receiver's to close. */
struct attached {
    struct context *context;
    uint64_t position; /* of a reader: where a lossless one starts */
    int life_fd;
};

/* Gives the wish a slot, a life page and, if it is lossless, its place before all writers. `holder` is set. -EUSERS,
 * -ERANGE, -EINVAL (position), -EBADMSG (the ring is damaged), -ENOSPC and others of shm_open. */
int context_attach(struct shared_ring *ring, const struct context_wish *wish, const struct credentials *credentials,
                   struct context **holder, struct attached *attached, struct problem *problem);

/* Its connection has ended. The context, and a removed ring with it, may be gone afterwards. */
void context_disconnect(struct context *context);

/* A lossless reader holds nobody up any more, and is told. Saying why is the caller's. */
void context_evict(struct context *context);

/* A writer met a cursor that makes no sense: looks at all lossless readers and evicts those that certainly hold writers
 * up for ever. Returns how many. */
uint32_t context_evict_bad(struct shared_ring *ring);

bool context_is_writer(const struct context *context);

/* Frees all contexts of a ring that is at its end, without a look at anything. */
void context_free_all(struct shared_ring *ring);

#endif
