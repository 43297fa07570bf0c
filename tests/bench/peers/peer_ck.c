/* peer_ck.c - Concurrency Kit's ring in shared memory, with fixed slots that hold the record itself: many writers and
 * many readers, or one of each. It has no way to sleep. One slot of a ring is always empty. */
#include "peer_list.h"

#if __has_include(<ck_ring.h>)
#include <ck_ring.h>
#include <errno.h>
#include <stdlib.h>

struct ck_line {
    struct ck_ring ring;
    size_t map_bytes;
    uint32_t slots, bytes;
    _Alignas(128) unsigned char data[];
};

struct ck_end {
    struct ck_line *line;
    unsigned char *buffer;
};

static int ck_open(const struct peer_setup *setup, void **line)
{
    uint32_t slots = power_below(setup->ring_bytes / setup->bytes);
    size_t bytes = sizeof(struct ck_line) + (size_t)slots * setup->bytes;
    struct ck_line *own = shared_new(bytes);

    if (!own)
        return -ENOMEM;
    own->map_bytes = bytes;
    own->slots = slots;
    own->bytes = setup->bytes;
    ck_ring_init(&own->ring, slots);
    *line = own;
    return 0;
}

static void ck_close(void *line)
{
    struct ck_line *own = line;

    shared_free(own, own->map_bytes);
}

static uint32_t ck_depth(void *line)
{
    const struct ck_line *own = line;

    return own->slots / 2;
}

static int ck_attach(void *line, unsigned index, void **end)
{
    struct ck_end *own = calloc(1, sizeof(*own));

    (void)index;
    if (!own)
        return -ENOMEM;
    own->line = line;
    own->buffer = record_buffer_new(own->line->bytes);
    *end = own;
    return own->buffer ? 0 : -ENOMEM;
}

static void ck_leave(void *end)
{
    free(end);
}

/* With the slot's size as a constant, as the macros of ck_ring.h for a type have it. */
#define SLOT_SIZES(call)                                                                                               \
    switch (line->bytes) {                                                                                             \
    case 8:                                                                                                            \
        return call(8);                                                                                                \
    case 64:                                                                                                           \
        return call(64);                                                                                               \
    case 256:                                                                                                          \
        return call(256);                                                                                              \
    case 1024:                                                                                                         \
        return call(1024);                                                                                             \
    default:                                                                                                           \
        return call(line->bytes);                                                                                      \
    }

static inline bool enqueue_mpmc(struct ck_line *line, const void *data)
{
#define ENQUEUE(bytes) _ck_ring_enqueue_mp(&line->ring, line->data, data, bytes, NULL)
    SLOT_SIZES(ENQUEUE)
#undef ENQUEUE
}

static inline bool dequeue_mpmc(struct ck_line *line, void *data)
{
#define DEQUEUE(bytes) _ck_ring_dequeue_mc(&line->ring, line->data, data, bytes)
    SLOT_SIZES(DEQUEUE)
#undef DEQUEUE
}

static inline bool enqueue_spsc(struct ck_line *line, const void *data)
{
#define ENQUEUE(bytes) _ck_ring_enqueue_sp(&line->ring, line->data, data, bytes, NULL)
    SLOT_SIZES(ENQUEUE)
#undef ENQUEUE
}

static inline bool dequeue_spsc(struct ck_line *line, void *data)
{
#define DEQUEUE(bytes) _ck_ring_dequeue_sc(&line->ring, line->data, data, bytes)
    SLOT_SIZES(DEQUEUE)
#undef DEQUEUE
}

static int ck_mpmc_send(void *end, const void *data, bool wait)
{
    const struct ck_end *own = end;

    (void)wait;
    return enqueue_mpmc(own->line, data) ? PEER_OK : PEER_AGAIN;
}

static int ck_mpmc_receive(void *end, const void **data, bool wait)
{
    const struct ck_end *own = end;

    (void)wait;
    *data = own->buffer;
    return dequeue_mpmc(own->line, own->buffer) ? PEER_OK : PEER_AGAIN;
}

static int ck_spsc_send(void *end, const void *data, bool wait)
{
    const struct ck_end *own = end;

    (void)wait;
    return enqueue_spsc(own->line, data) ? PEER_OK : PEER_AGAIN;
}

static int ck_spsc_receive(void *end, const void **data, bool wait)
{
    const struct ck_end *own = end;

    (void)wait;
    *data = own->buffer;
    return dequeue_spsc(own->line, own->buffer) ? PEER_OK : PEER_AGAIN;
}
#define CK(value)  (value)
#define CK_MISSING NULL
#else
#define CK(value)  NULL
static const char *ck_missing(void)
{
    return "libck-dev was not installed when this was built";
}
#define CK_MISSING ck_missing
#endif

const struct peer peer_ck_mpmc = {
    .name = "ck-mpmc",
    .what = "Concurrency Kit ck_ring, many writers and readers; fixed slots",
    .package = "libck-dev",
    .can = PEER_WRITERS | PEER_READERS | PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT,
    .cases = PEER_EVERYTHING,
    .bytes_max = 65536,
    .missing = CK_MISSING,
    .open = CK(ck_open),
    .close = CK(ck_close),
    .depth = CK(ck_depth),
    .writer = CK(ck_attach),
    .reader = CK(ck_attach),
    .send = CK(ck_mpmc_send),
    .receive = CK(ck_mpmc_receive),
    .writer_leave = CK(ck_leave),
    .reader_leave = CK(ck_leave),
};

const struct peer peer_ck_spsc = {
    .name = "ck-spsc",
    .what = "Concurrency Kit ck_ring, one writer and one reader; fixed slots",
    .package = "libck-dev",
    .can = PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT,
    .cases = PEER_WRITE | PEER_STREAMS | PEER_LATENCY,
    .bytes_max = 65536,
    .missing = CK_MISSING,
    .open = CK(ck_open),
    .close = CK(ck_close),
    .depth = CK(ck_depth),
    .writer = CK(ck_attach),
    .reader = CK(ck_attach),
    .send = CK(ck_spsc_send),
    .receive = CK(ck_spsc_receive),
    .writer_leave = CK(ck_leave),
    .reader_leave = CK(ck_leave),
};
