/* ringd_proto.h - the messages between a client and ringd, on a SOCK_SEQPACKET Unix socket.
 *
 * One request, one reply, each a single packet in the machine's own byte order. A connection that has attached is the
 * context's own: it stays open as long as the context lives, and its end tells the daemon to look at the context's life
 * page. Everything in a request is input to the daemon, everything in a reply is input to the client. A packet of the
 * wrong length, magic or version gets an error and ends the connection.
 */
#ifndef RINGD_PROTO_H
#define RINGD_PROTO_H

#include <stdint.h>

#include "ringd.h"
#include "ringd_segment.h"

#define RINGD_PROTO_MAGIC      UINT32_C(0x72676e52)
#define RINGD_PROTO_VERSION    2u
#define RINGD_PROTO_TEXT_BYTES 320u
#define RINGD_LABEL_BYTES      48u /* of a group or named cursor, with the terminating zero */
#define RINGD_PROTO_INFOS      32u /* rings in one reply */
#define RINGD_PROTO_CONTEXTS   64u /* contexts in one reply */
#define RINGD_PROTO_DESCRIPTORS                                                                                        \
    3u /* attach: segment, readers, life page, in this order; follow: the first two; ahead: the second */

#define RINGD_SOCKET_DEFAULT "/run/ringd/ringd.sock"

enum ringd_request_type {
    RINGD_REQUEST_CREATE = 1, /* ring, options */
    RINGD_REQUEST_REMOVE = 2, /* ring */
    RINGD_REQUEST_LIST = 3,   /* first: index of the first ring wanted */
    RINGD_REQUEST_STATUS = 4, /* ring; first: index of the first context wanted */
    RINGD_REQUEST_OPEN = 5,   /* ring: may I, is it there */
    RINGD_REQUEST_ATTACH = 6, /* ring, kind, start, position */
    /* on an attached connection: */
    RINGD_REQUEST_ARM = 7,   /* observer: say for me that I sleep; reply.value is what to sleep on */
    RINGD_REQUEST_CHECK = 8, /* writer: a reader's cursor makes no sense, or a reader is beyond the ring's limits; look
                                and evict. position: bytes that it waits for because of a reader, or 0 */
    RINGD_REQUEST_STALLED = 10, /* writer, reader: somebody is in mid-record and does not get on; look at him */
    RINGD_REQUEST_FOLLOW = 12,  /* position: the generation I have; the reply brings segment and readers of the next */
    RINGD_REQUEST_AHEAD = 15, /* lossless reader: position: the generation I have; the reply brings the readers' object
                                 of the next, which it does not follow into yet */
    /* on a new connection, after the context's own has ended (a restarted daemon): */
    RINGD_REQUEST_REATTACH = 9, /* ring, kind, slot, incarnation, token: this connection is that context's */
    /* on any: */
    RINGD_REQUEST_RESIZE = 11,  /* ring, options.size: goes on in a new generation of this size */
    RINGD_REQUEST_CURSORS = 13, /* as status, with a context for each named cursor */
    RINGD_REQUEST_FORGET = 14,  /* ring, label: that named cursor is no more */
};

struct ringd_request {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    char ring[RINGD_NAME_BYTES];
    union {
        uint32_t first;
        uint32_t slot;
    };
    uint32_t kind; /* enum ringd_context_kind: writer, lossless, lossy, observer */
    union {
        uint32_t start; /* enum ringd_reader_start */
        uint32_t incarnation;
    };
    uint32_t reserved;
    union {
        uint64_t position;
        uint64_t token; /* from the life page */
    };
    struct ringd_ring_options options;
    char label[RINGD_LABEL_BYTES]; /* attach of a reader: the name of its group or cursor, "" without one; forget */
    uint32_t lane;                 /* attach, 1 to lanes; 0: a writer in any, a reader of all */
    uint32_t group;                /* attach of a reader: 1: label is a group's */
    uint32_t orphans;              /* of it */
    uint32_t reserved_1;
};

/* Followed by `count` struct ringd_info (list, open: at most one; status, cursors: exactly one) and then, for the
 * latter two, `contexts` struct ringd_context_info. */
struct ringd_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t type;  /* of the request */
    int32_t result; /* 0 or a negative errno, with `text` */
    uint32_t total; /* list: rings there are; status, cursors: contexts there are */
    uint32_t count;
    uint32_t contexts;
    uint32_t slot; /* attach */
    uint32_t incarnation;
    union {
        uint32_t value;      /* arm */
        uint32_t label_plus; /* attach of a reader with a label: the number of the group or cursor, and one; else 0 */
    };
    union {
        uint32_t seat; /* attach of a group's member */
        uint32_t lane; /* attach of another reader: as in the request, which a ringd before this did not look at */
    };
    uint64_t position;                 /* attach of a reader: where it starts; resize, follow: the new generation */
    char text[RINGD_PROTO_TEXT_BYTES]; /* for people: what was asked, what is wrong, what to do */
};

/* What stands in a life page. The daemon writes it before anybody gets the page, and nobody afterwards: a later daemon
 * learns from it who is attached, and the context shows the token when it connects again. */
#define RINGD_LIFE_MAGIC   UINT64_C(0x316566696c676e72) /* "rnglife1", little endian */
#define RINGD_LIFE_VERSION 1u
#define RINGD_LIFE_BYTES   4096u

struct ringd_life {
    uint64_t magic;
    uint32_t version;
    uint32_t kind; /* enum ringd_context_kind, as it attached */
    uint64_t ring_id;
    uint32_t slot, incarnation;
    uint32_t pid, uid;    /* for people; the uid is also whose connection may be this context's */
    uint64_t attached_ns; /* CLOCK_REALTIME */
    uint64_t token;       /* random */
    char command[16];
    uint32_t lane; /* of a reader, the only one that it reads; 0: all */
    uint32_t reserved;
};

_Static_assert(sizeof(struct ringd_life) == 80, "life page");
_Static_assert(sizeof(struct ringd_request) == 248, "request");
_Static_assert(sizeof(struct ringd_reply) == 368, "reply");

#endif
