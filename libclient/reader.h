/* reader.h - a reader's handle, for the files reader*.c and for tests that put readers and writers on one mapping.
 *
 *   reader.c          the public calls; waiting
 *   reader_move.c     following a ring that moves
 *   reader_lane.c     one lane: the next record, what has been lost, how a lane ends
 *   reader_group.c    what a member of a group has of it
 *   reader_merge.c    which lane is next
 *   reader_filter.c   what the reader wants to see
 *   reader_message.c  messages of several records
 *   reader_named.c    what a named cursor remembers
 *   reader_start.c    where a reader starts
 */
#ifndef LIBCLIENT_READER_H
#define LIBCLIENT_READER_H

#include "client.h"
#include "ring.h"
#include "ring_move.h"

/* Old generations that a lossless reader may still look into, until it releases. */
#define READER_KEPT_MAX 16

struct pollable;
struct reader_filter;
struct reader_group;
struct reader_merge;
struct reader_message;

/* What a reader knows of one writer slot: the sequence number it expects next. Until it has seen a record, `next` is
 * how many the slot had committed when the reader joined. */
struct reader_writer {
    uint64_t next;
    bool known;
    bool resumed; /* not seen yet; all before `next` was released under this reader's name before it came */
};

/* A reader's part of one lane. */
struct reader_lane {
    uint64_t position;      /* of the next record: all below has been given out */
    uint64_t released;      /* all below has been given back */
    uint64_t published;     /* all below has been given back with a locked store */
    uint64_t opened;        /* everything below is final: what the last writer out has opened, as of some look */
    uint64_t wall;          /* of a call that passes over much: P when it began to */
    uint64_t settled;       /* records of this lane that were delivered, skipped or lost */
    uint64_t settled_below; /* of these what belongs to `released` */
    struct ring ring;
    struct reader_writer writers[RINGD_WRITERS_PER_LANE];
    struct ringd_cursor *cursor; /* the shared one, or `own_cursor` where that cannot be written */
    struct ringd_cursor own_cursor;
    uint32_t number;
    bool lapped;             /* writers have overtaken it at some time */
    bool ask_silent;         /* since then some writers may have been silent: their counts are to be asked for */
    bool leaving;            /* the ring has moved: `tail` says how this generation ends */
    struct ring_stall stall; /* at `stall_position` */
    uint64_t stall_position;
    uint64_t in_place_from;
    struct ringd_named_lane *named;  /* of a reader with a named cursor */
    struct reader_message *messages; /* whose last part is still to come */
    uint32_t marks;                  /* of a group's member: flags of the records that it looks at */
    struct ring_tail tail;
    struct ringd_cursor *ahead; /* while it leaves: its cursor in the next generation, or NULL */
};

struct ringd_reader {
    uint32_t alive; /* HANDLE_ALIVE; 0 in a child */
    uint32_t mode;  /* enum ringd_reader_mode; lossless turns lossy when evicted */
    uint32_t max_record;
    uint32_t slot;
    uint32_t lane_count;                /* of those that it reads: all of the ring's, or one */
    uint32_t turn;                      /* the lane to look at first, and how many records in a row it has given; */
    uint32_t run;                       /* see reader_merge.h */
    struct reader_lane *lanes;          /* [lane_count]; one_lane if there is only one */
    uint64_t looked_at;                 /* of several, a bit for each: that may have been since the last release */
    struct ringd_reader_slot *counters; /* the shared slot, or `own` where that cannot be written */
    struct ringd_reader_slot own;
    struct ringd_control *control;
    struct ringd_waits *waits;
    unsigned char *copies; /* lossy: records are copied here first */
    size_t copies_bytes;
    size_t copies_used;
    _Atomic int64_t deadline; /* a signal handler may change it */
    uint64_t choosy;          /* READER_CHOOSY: records are to be looked at with reader_filter.h and reader_message.h */
    uint32_t wait;            /* enum ringd_wait */
    uint32_t idle;            /* looks that found nothing */
    bool backlog;             /* the last bulk read was full or in vain: worth a look at W what has been opened since */
    uint32_t spins;           /* looks before it sleeps */
    uint32_t hasty;           /* sleeps in a row that were over at once */
    int64_t nap_ns;           /* when it slept last */
    uint64_t nap_delivered;   /* and what it had delivered by then */
    bool pacing;              /* lets writers get ahead when it has caught up */
    uint32_t pace_in;         /* tries that in so many turns */
    uint32_t pace_every;
    uint64_t pace_delivered;
    bool pending; /* the next call has something else to say first: `gap`, or that it is at its end */
    struct ringd_record gap;
    struct ring_watch watch;
    uint32_t kept_count;
    uint32_t ahead_count; /* lanes that have an `ahead` */
    struct reader_kept {
        void *map;
        size_t bytes;
    } kept[READER_KEPT_MAX]; /* data of generations it has left, with records that were given out */
    struct segment ahead;    /* while it leaves: the readers' object of the next generation, or nothing */
    bool ends_evicted;       /* the ring's policy: an evicted reader has come to its end */
    bool ended;
    bool in_place; /* evicted, and has not released since: what it was given from `in_place_from` on is not held */
    struct reader_filter *filter;
    struct reader_merge *merge;            /* NULL: lanes in any order */
    struct reader_message *spare_message;  /* memory for the next one */
    struct pollable *pollable;             /* NULL: nobody has asked for a descriptor */
    struct reader_message *given_messages; /* that the caller looks at */
    struct reader_message *held_messages;  /* of these, until a release: given before it was evicted */
    bool member;                           /* of a group */
    struct reader_group *group;
    struct attachment *attachment;
    struct reader_lane one_lane;
};

/* A reader on a mapping that somebody else owns; a lossless one has joined already and starts in the first lane at
 * `position`, in the others where its cursors are. Closed with ringd_reader_close. 0, -ENOMEM, -ERANGE, -EINVAL,
 * -EBADMSG. */
int reader_new(struct ringd_reader **reader, const struct segment *segment, uint32_t slot, uint64_t position,
               const struct ringd_reader_options *options);

#endif
