/* context.h - a writer, reader or observer that is attached to a ring.
 *
 * A context has a slot in the ring, a life page (life.h) and usually a connection, which is its own as long as it
 * lives.
 *
 *     attached -- its connection or its process ends --> lost -- its life page's lock is gone --> dead --> gone
 *
 * The end of a connection, or of the process that made it (a child may still have the connection open), only says that
 * there is something to look at; the lock says what is certain. It is looked at once, and if it is still held it is
 * waited for (life_wait.h): the kernel may still be taking the process down, or the process is stopped, or only closed
 * its socket. A lost context keeps its slot, and a lossless reader its hold on writers, however long that takes. Where
 * no more waits can be had the lock is looked at again after 1, 2, 4 ... 1000 ms.
 *
 * A dead context is handed to recovery.h, which repairs what it left, frees its slot and then the context; usually at
 * once.
 *
 * A daemon that is started anew adopts the contexts of its predecessor: their life pages say who they are, the lock
 * whether they still are. An adopted context has no connection until it needs one; that tells nothing about it, so it
 * is not lost. It shows the token in its life page with the connection that it makes then (context_reattach).
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
#include "ring_repair.h"
#include "ringd.h"
#include "ringd_proto.h"
#include "slow_readers.h"

struct life_wait;
struct shared_ring;

struct context {
    struct shared_ring *ring;
    struct context **holder; /* NULL: it has no connection */
    enum ringd_context_kind kind;
    uint32_t slot; /* writer: lane * RINGD_WRITERS_PER_LANE + bit; reader: its slot */
    uint32_t lane; /* reader: the only one it reads, 1 to the ring's lanes; 0: all */
    uint32_t incarnation;
    uint64_t generation;  /* the one it has asked for last */
    uint32_t pid, uid;    /* for people */
    uint64_t attached_ns; /* CLOCK_REALTIME */
    char command[16];
    uint64_t token;         /* as in its life page */
    bool adopted;           /* attached at a predecessor, and has not connected since */
    ev_io process;          /* readable: the process that connected has ended; fd -1: not known */
    struct life_wait *wait; /* for its lock, while it is lost */
    bool waited;            /* such a wait came to its end, and the lock was held */
    ev_timer look;          /* runs while it is lost and nobody waits; at first, to say that it is lost */
    double look_s;          /* how long it runs */
    uint64_t lost_ns;       /* CLOCK_REALTIME, when its connection ended; 0: it has one */
    bool said_lost;
    uint64_t stopped_ns;     /* CLOCK_REALTIME, since when it is known to be stopped (stall.h); 0: it is not */
    uint64_t stopped_begin;  /* where in mid-record; 0: the kernel says so */
    bool said_stuck;         /* that it is there and nothing could be done about it is in the log */
    struct slow_watch watch; /* of a writer */
    bool member;             /* of a group, as follows */
    uint32_t group, seat;
    bool dead; /* certainly; not counted as attached any more */
    struct ring_repair repair;
};

/* What a client asked for. `kind` is a writer, lossless, lossy or observer. */
struct context_wish {
    enum ringd_context_kind kind;
    enum ringd_reader_start start; /* now, oldest, or of one lane a position */
    uint64_t position;
    const char *group;  /* a lossless reader: the name of its group; NULL: none */
    uint32_t orphans;   /* enum ringd_orphans, if it is the first of it */
    uint32_t lane;      /* 1 to the ring's lanes; 0: for a writer the one with the fewest, for a reader all */
    const char *cursor; /* the name of a reader's named cursor; NULL: none */
};

/* What it gets. life_fd is the receiver's to close. */
struct attached {
    struct context *context;
    uint64_t position; /* of a reader: where a lossless one starts in its first lane; its cursors say where in others */
    uint32_t named_plus; /* the number of its named cursor, and one; 0: none */
    int life_fd;
};

/* Gives the wish a slot, a life page and, if it is lossless, its place before all writers. `holder` is set. -EUSERS,
 * -EBUSY (the name is in use), -ERANGE, -EINVAL (position), -EBADMSG (the ring is damaged), -ENOSPC and others of
 * shm_open. */
int context_attach(struct shared_ring *ring, const struct context_wish *wish, const struct credentials *credentials,
                   struct context **holder, struct attached *attached, struct problem *problem);

/* A predecessor's context, as its life page says; `kind` is what it is by now. The page fits ring and slot, which is
 * free. It is not looked at yet: a repair needs to know all that are attached. */
int context_adopt(struct shared_ring *ring, const struct ringd_life *page, enum ringd_context_kind kind);

/* Whether such a context is attached. */
bool context_is_attached(const struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot,
                         uint32_t incarnation, uint64_t token);

/* The connection of `holder` is that of the context with this slot, incarnation and token. -ESTALE (there is none),
 * -EPERM (of another user), -EBUSY (it has one). */
int context_reattach(struct shared_ring *ring, enum ringd_context_kind kind, uint32_t slot, uint32_t incarnation,
                     uint64_t token, const struct credentials *credentials, struct context **holder,
                     struct problem *problem);

/* Its connection has ended. The context, and a removed ring with it, may be gone afterwards. */
void context_disconnect(struct context *context);

/* Looks at its lock: recovers it if that is gone, waits for it if not. The context, and a removed ring with it, may be
 * gone afterwards. (Also for a context that has been taken over and has no connection.) */
void context_look(struct context *context);

/* The same for all of a ring that has its name, whether they are lost or not: some may be dead without anybody having
 * been told. Nobody is waited for. */
void context_look_at_all(struct shared_ring *ring);

/* Looks at its lock and marks it as dead if that is gone; recovery_run has then to be called. */
bool context_check(struct context *context);

/* That it is no more, if there is nothing else to say. */
void context_say_left(const struct context *context);

/* Neither its slot in shared memory nor the ring's count: those are its callers'. */
void context_free(struct context *context);

/* A lossless reader holds nobody up any more, and is told. Saying why is the caller's. */
void context_evict(struct context *context);

/* A writer met a cursor that makes no sense: looks at all lossless readers and evicts those that certainly hold writers
 * up for ever. Returns how many. */
uint32_t context_evict_bad(struct shared_ring *ring);

/* SIGKILL to the process that a context belongs to. One that was adopted and has not connected since is known by its
 * life page, which no other process has mapped. 0, or a negative errno: -ESRCH (it is not known here). */
int context_kill(struct context *context);

bool context_is_writer(const struct context *context);

/* Whether a reader reads this lane, counted from 0. */
bool context_reads(const struct context *context, uint32_t lane);

/* It gets the objects of this generation next; for a successor, before it has them. */
void context_set_generation(struct context *context, uint64_t generation);

/* Looks at all of a ring as context_look does: who is dead is recovered, the others are waited for. */
void context_watch_all(struct shared_ring *ring);

/* Whether anybody is attached, after a look at all of them. */
bool context_any(struct shared_ring *ring);

/* Frees all contexts of a ring that is at its end, without a look at anything. */
void context_free_all(struct shared_ring *ring);

/* The same, and leaves their life pages to a successor. */
void context_leave_all(struct shared_ring *ring);

#endif
