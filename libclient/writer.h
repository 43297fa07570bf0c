/* writer.h - a writer's handle, for writer.c and for tests that put several writers on one mapping. */
#ifndef LIBCLIENT_WRITER_H
#define LIBCLIENT_WRITER_H

#include "client.h"
#include "ring.h"

struct ringd_writer {
    uint32_t alive; /* HANDLE_ALIVE; 0 in a child */
    uint32_t origin;
    uint32_t label;
    uint32_t time_source;
    uint32_t max_record;
    bool drops; /* the ring's policy */
    int64_t deadline;
    uint64_t sequence; /* of the next record */
    uint64_t records;  /* of the open grant, offered already */
    uint64_t granted;  /* of the open grant: payload bytes */
    uint64_t time;     /* of the open grant */
    struct ring_writer ring;
    struct ringd_writer_counters base; /* the slot's counters when it was opened */
    struct attachment *attachment;
};

/* A writer on a mapping that somebody else owns: slot `slot` of lane 0 (its owner's word is the caller's business).
 * Closed with ringd_writer_close. 0 or -ENOMEM. */
int writer_new(struct ringd_writer **writer, const struct segment *segment, uint32_t slot, uint32_t incarnation,
               const struct ringd_writer_options *options);

#endif
