/* peer_rte.c - DPDK's rte_ring on shared memory of our own (rte_ring_init needs nothing of DPDK's environment), with
 * fixed slots that hold the record itself (rte_ring_elem.h): MPMC, the same with head-tail synchronisation (HTS), SPSC.
 * It has no way to sleep. */
#include "peer_list.h"

#if __has_include(<rte_ring.h>)
#include <errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdlib.h>

struct rte_line {
    size_t map_bytes;
    uint32_t slots, bytes;
    struct rte_ring *ring;
};

struct rte_end {
    struct rte_ring *ring;
    uint32_t bytes;
    unsigned char *buffer;
};

static int line_open(const struct peer_setup *setup, unsigned flags, void **line)
{
    uint32_t slots = power_below(setup->ring_bytes / setup->bytes);
    ssize_t bytes = rte_ring_get_memsize_elem(setup->bytes, slots);
    struct rte_line *own = calloc(1, sizeof(*own));
    int result;

    if (!own || bytes < 0)
        return -ENOMEM;
    *own = (struct rte_line){.map_bytes = (size_t)bytes, .slots = slots, .bytes = setup->bytes};
    own->ring = shared_new(own->map_bytes);
    result = own->ring ? rte_ring_init(own->ring, "bench", slots, flags) : -ENOMEM;
    *line = own;
    return result;
}

static int rte_open_mpmc(const struct peer_setup *setup, void **line)
{
    return line_open(setup, 0, line);
}

static int rte_open_hts(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ, line);
}

static int rte_open_spsc(const struct peer_setup *setup, void **line)
{
    return line_open(setup, RING_F_SP_ENQ | RING_F_SC_DEQ, line);
}

static void rte_close(void *line)
{
    struct rte_line *own = line;

    shared_free(own->ring, own->map_bytes);
    free(own);
}

static uint32_t rte_depth(void *line)
{
    const struct rte_line *own = line;

    return own->slots / 2;
}

static int rte_attach(void *line, unsigned index, void **end)
{
    const struct rte_line *own = line;
    struct rte_end *rte = calloc(1, sizeof(*rte));

    (void)index;
    if (!rte)
        return -ENOMEM;
    rte->ring = own->ring;
    rte->bytes = own->bytes;
    rte->buffer = record_buffer_new(own->bytes);
    *end = rte;
    return rte->buffer ? 0 : -ENOMEM;
}

static void rte_leave(void *end)
{
    free(end);
}

/* With the slot's size as a constant; each kind of ring by its own function, as its users call it. */
#define SLOT_SIZES(call)                                                                                               \
    switch (own->bytes) {                                                                                              \
    case 8:                                                                                                            \
        return call(8) ? PEER_AGAIN : PEER_OK;                                                                         \
    case 64:                                                                                                           \
        return call(64) ? PEER_AGAIN : PEER_OK;                                                                        \
    case 256:                                                                                                          \
        return call(256) ? PEER_AGAIN : PEER_OK;                                                                       \
    case 1024:                                                                                                         \
        return call(1024) ? PEER_AGAIN : PEER_OK;                                                                      \
    default:                                                                                                           \
        return call(own->bytes) ? PEER_AGAIN : PEER_OK;                                                                \
    }

#define RTE_SEND(name, function)                                                                                       \
    static int name(void *end, const void *data, bool wait)                                                            \
    {                                                                                                                  \
        const struct rte_end *own = end;                                                                               \
                                                                                                                       \
        (void)wait;                                                                                                    \
        SLOT_SIZES(function)                                                                                           \
    }

#define RTE_RECEIVE(name, function)                                                                                    \
    static int name(void *end, const void **data, bool wait)                                                           \
    {                                                                                                                  \
        const struct rte_end *own = end;                                                                               \
                                                                                                                       \
        (void)wait;                                                                                                    \
        *data = own->buffer;                                                                                           \
        SLOT_SIZES(function)                                                                                           \
    }

#define MPMC_ENQUEUE(bytes) rte_ring_mp_enqueue_elem(own->ring, (void *)(uintptr_t)data, bytes)
#define MPMC_DEQUEUE(bytes) rte_ring_mc_dequeue_elem(own->ring, own->buffer, bytes)
#define HTS_ENQUEUE(bytes)  (rte_ring_mp_hts_enqueue_bulk_elem(own->ring, (void *)(uintptr_t)data, bytes, 1, NULL) != 1)
#define HTS_DEQUEUE(bytes)  (rte_ring_mc_hts_dequeue_bulk_elem(own->ring, own->buffer, bytes, 1, NULL) != 1)
#define SPSC_ENQUEUE(bytes) rte_ring_sp_enqueue_elem(own->ring, (void *)(uintptr_t)data, bytes)
#define SPSC_DEQUEUE(bytes) rte_ring_sc_dequeue_elem(own->ring, own->buffer, bytes)

RTE_SEND(rte_mpmc_send, MPMC_ENQUEUE)
RTE_RECEIVE(rte_mpmc_receive, MPMC_DEQUEUE)
RTE_SEND(rte_hts_send, HTS_ENQUEUE)
RTE_RECEIVE(rte_hts_receive, HTS_DEQUEUE)
RTE_SEND(rte_spsc_send, SPSC_ENQUEUE)
RTE_RECEIVE(rte_spsc_receive, SPSC_DEQUEUE)
#define RTE(value)  (value)
#define RTE_MISSING NULL
#else
#define RTE(value)  NULL
static const char *rte_missing(void)
{
    return "libdpdk-dev was not installed when this was built";
}
#define RTE_MISSING rte_missing
#endif

/* clang-format off */
#define RTE_COMMON \
    .package = "libdpdk-dev", .bytes_max = 65536, .missing = RTE_MISSING, .close = RTE(rte_close), \
    .depth = RTE(rte_depth), .writer = RTE(rte_attach), .reader = RTE(rte_attach), .writer_leave = RTE(rte_leave), \
    .reader_leave = RTE(rte_leave)

const struct peer peer_rte_mpmc = {
    .name = "rte-mpmc", .what = "DPDK rte_ring, many writers and readers; fixed slots",
    .can = PEER_WRITERS | PEER_READERS | PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT, .cases = PEER_EVERYTHING, RTE_COMMON,
    .open = RTE(rte_open_mpmc), .send = RTE(rte_mpmc_send), .receive = RTE(rte_mpmc_receive)};

const struct peer peer_rte_hts = {
    .name = "rte-hts", .what = "DPDK rte_ring, the same with head-tail synchronisation; fixed slots",
    .can = PEER_WRITERS | PEER_READERS | PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT, .cases = PEER_EVERYTHING, RTE_COMMON,
    .open = RTE(rte_open_hts), .send = RTE(rte_hts_send), .receive = RTE(rte_hts_receive)};

const struct peer peer_rte_spsc = {
    .name = "rte-spsc", .what = "DPDK rte_ring, one writer and one reader; fixed slots",
    .can = PEER_ASKS | PEER_COPIES | PEER_COPIES_OUT, .cases = PEER_WRITE | PEER_STREAMS | PEER_LATENCY, RTE_COMMON,
    .open = RTE(rte_open_spsc), .send = RTE(rte_spsc_send), .receive = RTE(rte_spsc_receive)};
