/* client.h - what a context owns besides its place in the ring: a connection, mappings, a life page, its handle.
 *
 * An attachment is made from one reply of the daemon and ends with attachment_free: mappings first, the life page last,
 * then the connection. The daemon learns nothing else about the end of a context, however it comes about: the kernel
 * drops the lock on the life page exactly when its last mapping is gone.
 *
 * Handles live in private pages that the kernel empties in a child (MADV_WIPEONFORK), so that the first field of a
 * handle, `alive`, tells a child that it has inherited somebody else's: one load, no system call. The mappings are not
 * inherited at all. Connections are closed in the child (pthread_atfork), so that it does not keep a dead parent's
 * open.
 *
 * A connection ends with its daemon; the context goes on without one. When it next has something to ask it connects
 * again, to the daemon that has taken the ring over by then, and shows the token of its life page
 * (RINGD_REQUEST_REATTACH). That is tried at most once in RETRY_NS, takes no longer than the request itself may take,
 * and makes only async-signal-safe calls, as the requests come from calls that are.
 *
 * A program may close all its descriptors (closefrom) and open others: the number of a connection can be that of its
 * own file or socket by then. So each use of it begins with a look at whether it is still ours; if not it is forgotten,
 * not closed.
 *
 * Used by the files writer*.c and reader*.c.
 */
#ifndef LIBCLIENT_CLIENT_H
#define LIBCLIENT_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring.h"
#include "ringd.h"
#include "ringd_proto.h"
#include "segment.h"

#define HANDLE_ALIVE UINT32_C(0x72676e68)
#define HANDLE_GRANT UINT32_C(0x72676e67) /* a writer with a grant open */

struct attachment {
    struct attachment *next; /* of this process */
    _Atomic int socket_fd;   /* -1: none; the program may have closed it and have the number for something else */
    dev_t socket_device;     /* what it was when it was opened */
    ino_t socket_inode;
    void *life;
    struct segment segment;
    uint32_t slot;
    uint32_t incarnation;
    uint64_t position;             /* where a lossless reader starts */
    uint32_t label_plus;           /* the number of its group or named cursor, and one; 0: neither */
    uint32_t seat;                 /* of a group's member */
    uint32_t lane;                 /* of another reader: as it wished */
    uint16_t pending;              /* type of the request on the connection that has not been answered yet; 0: none */
    bool connected;                /* the daemon takes the connection for this context's */
    int64_t retry_ns;              /* CLOCK_MONOTONIC: no other daemon is looked for before */
    struct ringd_request reattach; /* what it says then */
    char socket_path[108];
};

/* What a context wants to be. Zeroed but for its kind: any lane or all, from now, no label. */
struct attachment_wish {
    uint32_t kind;     /* enum ringd_context_kind */
    uint32_t lane;     /* 1 to the ring's lanes; 0: any for a writer, all for a reader */
    uint32_t start;    /* reader: enum ringd_reader_start */
    uint64_t position; /* with RINGD_START_POSITION */
    const char *label; /* reader: the name of its group or cursor; NULL: neither */
    bool group;        /* `label` is a group's */
    uint32_t orphans;  /* of it: enum ringd_orphans */
};

/* Asks the daemon for a context on the ring. 0, or a failure with ringd_error() set: -EINVAL (the label is empty or too
 * long), and what the daemon says. */
int attachment_new(struct attachment **attachment, const struct ringd *ring, const struct attachment_wish *wish);

/* NULL is allowed. */
void attachment_free(struct attachment *attachment);

/* Asks the daemon to announce this observer's sleep. 0 with the value to sleep on, or a failure, within milliseconds
 * (as when there is no daemon, or it has just been started again). */
int attachment_arm(struct attachment *attachment, uint32_t *value);

/* Tells the daemon that a reader's cursor makes no sense or that a reader is beyond the ring's limits; `needed`: bytes
 * that this writer waits for because of a reader, 0: none. Waits for no answer; one report at a time. */
void attachment_report_cursor(struct attachment *attachment, uint64_t needed);

/* How those who wait behind a writer in mid-record report it. Points to the attachment; NULL: not at all. */
struct ring_watch attachment_watch(struct attachment *attachment);

/* Gets the next generation of a ring whose move is done (a writer: the present one) from the daemon and maps it.
 * attachment->segment is the new one then, *old the one before, the caller's to unmap. RINGD_OK; RINGD_WOULD_BLOCK: no
 * answer by the deadline, ask again; or a failure, and nothing has changed: -EBADMSG (there is no next, or it does not
 * fit), -ESHUTDOWN (the ring is gone). A daemon that is away is waited for. */
int attachment_follow(struct attachment *attachment, uint32_t kind, int64_t deadline, struct segment *old);

/* The readers' object of the next generation, for a lossless reader that is still in this one. 0, or a failure, also
 * when there is no daemon now: then writers wait until it follows. *ahead is empty then, else the caller's to unmap. */
int attachment_look_ahead(struct attachment *attachment, struct segment *ahead);

/* A handle of `bytes` bytes, zeroed, or NULL. */
void *handle_new(size_t bytes);
void handle_free(void *handle, size_t bytes);

/* Says for ringd_error() what went wrong, and returns `result`. */
__attribute__((format(printf, 2, 3))) int client_fail(int result, const char *format, ...);

#endif
