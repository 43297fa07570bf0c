/* writer.h - a writer's handle: for writer.c (its calls), writer_open.c, writer_move.c (in a ring that moves), and for
 * tests that put several writers on one mapping.
 */
#ifndef LIBCLIENT_WRITER_H
#define LIBCLIENT_WRITER_H

#include "client.h"
#include "pollable.h"
#include "ring.h"

/* Turns, see take_turns() in writer.c. */
#define WRITER_TURN_RECORDS 128

/* Moves in one call; more are none, but somebody who scribbles. */
#define WRITER_MOVES_MAX 1000

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
    uint32_t short_end;  /* shorter than this a record needs nothing but room */
    uint32_t single_end; /* the same for the single writer of a lane */
    uint32_t wait;       /* enum ringd_wait */
    bool drops;          /* the ring's policy */
    uint64_t origin;     /* of its records: who, type, level */
    uint64_t sequence;   /* of the next record */
    uint64_t turn_over;  /* from this one on others may have a turn, see take_turns() */
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

/* ---- writer_open.c ----------------------------------------------------------------------------------------------- */

/* In this process, with a grant open or not. */
static inline bool writer_alive(const struct ringd_writer *w)
{
    return w->alive == HANDLE_ALIVE || w->alive == HANDLE_GRANT;
}

static inline int64_t writer_deadline(const struct ringd_writer *w)
{
    return w->drops ? RINGD_NO_WAIT : w->deadline;
}

static inline void writer_begin_turn(struct ringd_writer *w, uint64_t records)
{
    w->turn_records = records;
    w->turn_over = w->sequence + records;
}

/* Its part in this generation of the ring. */
void writer_enter(struct ringd_writer *w, const struct segment *segment, uint32_t slot);

/* Readers beyond the ring's limits, see slow_readers.h: says so to the daemon, which judges for itself. For
 * struct ring_writer.watch: when to look again at the latest. */
int64_t writer_watch(struct ring_writer *ring);

/* ---- writer.c ---------------------------------------------------------------------------------------------------- */

/* Of a ring with time. Taken after the addition: so a reader that takes the time and then loads W knows what is below
 * it. */
uint64_t writer_clock(const struct ringd_writer *w);

static inline uint64_t writer_time(const struct ringd_writer *w)
{
    return __builtin_expect(w->time_source == RINGD_TIME_NONE, 1) ? 0 : writer_clock(w);
}

/* Room for `want` bytes, or for at least `min`, for a number of records that have been counted as offered. */
int writer_find_room(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant);

/* The end of a grant whose records are stamped: accounts, then out. */
int writer_finish_grant(struct ringd_writer *w, uint64_t records, uint64_t bytes);

/* ---- writer_room.c ----------------------------------------------------------------------------------------------- */

/* The same when the ring is full, or anything else is out of the ordinary. */
int writer_grant_slow(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant);

/* No room: refused or dropped, by the ring's policy and the reason. */
int writer_turn_away(struct ringd_writer *w, uint64_t records, enum ring_shortage shortage);

/* ---- writer_move.c ----------------------------------------------------------------------------------------------- */

/* Waits for the next generation and goes on there. RINGD_OK (also if the move was given up), RINGD_FULL: not by the
 * deadline, or a failure. */
int writer_move_on(struct ringd_writer *w);

/* The lane was sealed while my grant was open. */
int writer_sealed(struct ringd_writer *w);

/* What was counted in a generation that has been left since then is carried to where the account is kept now. (What is
 * stored before `moving` is looked at and found to be NO, the daemon carries itself: X1.) If that does not come about
 * soon, the next call does it. */
void writer_carry_account(struct ringd_writer *w);

#endif
