/* writer.h - a writer's handle, for writer.c and for tests that put several writers on one mapping. */
#ifndef LIBCLIENT_WRITER_H
#define LIBCLIENT_WRITER_H

#include "client.h"
#include "pollable.h"
#include "ring.h"

/* What a writer knows of the lossless readers that are in its way. Times are nanoseconds of CLOCK_MONOTONIC. */
struct writer_watch {
    int64_t slow_after; /* how long they may be; 0: as long as they like */
    int64_t seen;       /* when one was met last */
    int64_t tell_kept;  /* when the daemon is to hear that one is in the way all the time */
    int64_t tell_far;   /* when it may hear again that one is too far behind */
    uint64_t done;      /* what had become of this writer's grants when it was met: any other has come through since */
};

struct ringd_writer {
    uint32_t alive; /* HANDLE_ALIVE; HANDLE_GRANT with a grant open; 0 in a child */
    uint32_t time_source;
    uint32_t max_record;
    uint32_t short_end; /* shorter than this a record needs nothing but room */
    uint32_t wait;      /* enum ringd_wait */
    bool drops;         /* the ring's policy */
    uint64_t origin;    /* of its records: who, type, level */
    uint64_t sequence;  /* of the next record */
    uint64_t turn_over; /* from this one on others may have a turn, see take_turns() */
    uint64_t turn_records;
    struct ring_writer ring;
    struct ring_stall stall; /* seen by calls that do not wait */
    struct ring_grant grant; /* the open one */
    uint64_t granted;        /* its payload bytes */
    uint64_t time;           /* of it */
    int64_t deadline;
    struct writer_watch watch;
    struct ringd_writer_counters base; /* the slot's counters when it was opened */
    struct attachment *attachment;
    struct pollable *pollable; /* NULL: nobody has asked for a descriptor */
    struct segment left;       /* the generation before this one, on its way out */
};

/* A writer on a mapping that somebody else owns: slot `slot` of lane 0 (its owner's word is the caller's business).
 * Closed with ringd_writer_close. 0 or -ENOMEM. */
int writer_new(struct ringd_writer **writer, const struct segment *segment, uint32_t slot, uint32_t incarnation,
               const struct ringd_writer_options *options);

#endif
