/* reader.h - a reader's handle, for reader.c and for tests that put readers and writers on one mapping. */
#ifndef LIBCLIENT_READER_H
#define LIBCLIENT_READER_H

#include "client.h"
#include "ring.h"
#include "ring_move.h"

/* Old generations that a lossless reader may still look into, until it releases. */
#define READER_KEPT_MAX 16

/* What a reader knows of one writer slot: the sequence number it expects next. Until it has seen a record, `next` is
 * how many the slot had committed when the reader joined. */
struct reader_writer {
    uint64_t next;
    bool known;
};

struct ringd_reader {
    uint32_t alive; /* HANDLE_ALIVE; 0 in a child */
    uint32_t mode;  /* enum ringd_reader_mode; lossless turns lossy when evicted */
    uint32_t max_record;
    uint32_t slot;
    uint64_t position;  /* of the next record: all below has been given out */
    uint64_t released;  /* all below has been given back */
    uint64_t published; /* all below has been given back with a locked store */
    uint64_t opened;    /* everything below is final: what the last writer out has opened, as of some look */
    struct ring ring;
    struct reader_writer writers[RINGD_WRITERS_PER_LANE];
    struct ringd_reader_slot *counters; /* the shared slot, or `own` where that cannot be written */
    struct ringd_cursor *cursor;        /* likewise */
    struct ringd_reader_slot own;
    struct ringd_cursor own_cursor;
    unsigned char *copies; /* lossy: records are copied here first */
    size_t copies_bytes;
    size_t copies_used;
    int64_t deadline;
    uint32_t idle;          /* looks that found nothing */
    bool backlog;           /* the last bulk read was full or in vain: worth a look at W what has been opened since */
    uint32_t spins;         /* looks before it sleeps */
    uint32_t hasty;         /* sleeps in a row that were over at once */
    int64_t nap_ns;         /* when it slept last */
    uint64_t nap_delivered; /* and what it had delivered by then */
    bool lapped;            /* writers have overtaken it at some time */
    bool ask_silent;        /* since then some writers may have been silent: their counts are to be asked for */
    bool pacing;            /* lets writers get ahead when it has caught up */
    uint32_t pace_in;       /* tries that in so many turns */
    uint32_t pace_every;
    uint64_t pace_delivered;
    bool pending; /* the next call has something else to say first: `gap`, or that it is at its end */
    struct ringd_record gap;
    struct ring_watch watch;
    struct ring_stall stall; /* at `stall_position` */
    uint64_t stall_position;
    bool leaving; /* the ring has moved: `tail` says how this generation ends */
    struct ring_tail tail;
    uint32_t kept_count;
    struct reader_kept {
        void *map;
        size_t bytes;
    } kept[READER_KEPT_MAX]; /* data of generations it has left, with records that were given out */
    bool ends_evicted;       /* the ring's policy: an evicted reader has come to its end */
    bool ended;
    bool in_place; /* evicted, and has not released since: what it was given from `in_place_from` on is not held */
    uint64_t in_place_from;
    struct attachment *attachment;
};

/* A reader on a mapping that somebody else owns; a lossless one has joined already and starts at `position`.
 * Closed with ringd_reader_close. 0, -ENOMEM, -ERANGE, -EINVAL. */
int reader_new(struct ringd_reader **reader, const struct segment *segment, uint32_t slot, uint64_t position,
               const struct ringd_reader_options *options);

#endif
