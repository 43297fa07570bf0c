/* peer.h - a way to pass records between processes: ringd and each of those that people use today, behind one
 * interface.
 *
 * A line is one channel: a ring, a queue, a pipe. The parent opens it before it forks, so that descriptors and mappings
 * are inherited; each process then attaches to it as a writer or as a reader and gets an end of its own. All records of
 * a line have the same length.
 *
 * What holds true:
 *   - Each peer is used as its manual says and with the settings that make it fastest for the case; what is special
 *     about one stands at the head of its file.
 *   - send() has taken the record when it answers PEER_OK; `data` is the caller's again then, or after `held` more
 *     records and at the latest after flush(). receive() gives a record that stays as it is until release(), in place
 * if the peer can do that.
 *   - With `wait` a peer that can (PEER_WAITS) sleeps until it can do it; the others answer PEER_AGAIN and the caller
 *     asks again, as their users do.
 *   - Results: PEER_OK, PEER_AGAIN, or a negative errno.
 *   - A peer whose package is not installed where this is built is still in the list, and says so (`missing`).
 *
 * Called by play.c and fault.c.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_OK    0
#define PEER_AGAIN 1

enum peer_can {
    PEER_WRITERS = 1,    /* many writers */
    PEER_READERS = 2,    /* many readers, each record goes to one of them */
    PEER_ALL = 4,        /* many readers, each of which gets all records (struct peer_setup, all) */
    PEER_WAITS = 8,      /* sleeps and is woken */
    PEER_ASKS = 16,      /* can be asked without waiting, at the price of a look at memory: a reader polls it */
    PEER_COPIES = 32,    /* the writer's process itself copies into what is shared: it can die half-way */
    PEER_COPIES_OUT = 64 /* and the reader's out of it */
};

enum peer_cases {
    PEER_WRITE = 1, /* a writer alone */
    PEER_STREAMS = 2,
    PEER_BUSY = 4,     /* round trips in which nobody sleeps; not where the peer has threads of its own */
    PEER_SLEEPING = 8, /* and in which both do */
    PEER_FAULTS = 16,
    PEER_LATENCY = PEER_BUSY | PEER_SLEEPING,
    PEER_EVERYTHING = 31,
};

/* The same for both ends of a line. */
struct peer_setup {
    const char *folder; /* for sockets and the like */
    unsigned line;      /* which of the lines of a run: part of names */
    uint32_t bytes;     /* of a record */
    uint32_t writers, readers;
    uint64_t ring_bytes; /* of a ring, where the peer lets one say so */
    bool all;            /* every reader gets everything */
    bool sleeping;       /* send and receive will be told to wait; else never */
};

struct peer {
    const char *name;    /* as in the table and in the tsv */
    const char *what;    /* one line: what it is, how it is set up */
    const char *package; /* of Debian */
    unsigned can;        /* enum peer_can */
    unsigned cases;      /* enum peer_cases */
    uint32_t bytes_max;
    uint32_t bytes_many;          /* the same with many writers or readers; 0: bytes_max */
    const char *(*missing)(void); /* NULL: it can be used; else why not. `missing` NULL: always */
    uint32_t held;                /* records that send() keeps pointing to */
    int (*open)(const struct peer_setup *setup, void **line);
    void (*close)(void *line);
    uint32_t (*depth)(void *line); /* how many records a writer can send for sure while nobody receives */
    int (*writer)(void *line, unsigned index, void **end);
    int (*reader)(void *line, unsigned index, void **end);
    int (*send)(void *end, const void *data, bool wait);
    int (*receive)(void *end, const void **data, bool wait);
    void (*release)(void *end); /* NULL: nothing to do */
    int (*flush)(void *end);    /* sends what was held; NULL: nothing is */
    void (*writer_leave)(void *end);
    void (*reader_leave)(void *end);
};

/* Ends with NULL; ringd first. */
extern const struct peer *const peers_all[];

/* A buffer for a record to be copied into or out of. After record_buffers_halve() those that this process makes lie
 * across the end of a page, and after record_buffer_break() the second half of the last one cannot be touched: who
 * copies it stops in the middle. */
unsigned char *record_buffer_new(size_t bytes);
void record_buffers_halve(void);
int record_buffer_break(void);

/* Shared memory of all processes forked later; touched already. NULL: no memory. */
void *shared_new(size_t bytes);
void shared_free(void *memory, size_t bytes);

/* Touches every page that this process shares with others, without changing a byte, but for the mapping in which `but`
 * lies: what a peer has mapped by then is not looked at for the first time while it is timed. */
void shared_touch(const void *but);

/* The largest power of two that is not above. */
static inline uint32_t power_below(uint64_t value)
{
    uint32_t power = 1;

    while (2ull * power <= value)
        power *= 2;
    return power;
}

#endif
