/* record_put.h - how a record is put into a grant: header, payload by whoever has it, and the stamp, which is last.
 *
 * Called by writer.c and writer_move.c.
 */
#ifndef LIBCLIENT_RECORD_PUT_H
#define LIBCLIENT_RECORD_PUT_H

#include "ring.h"

/* enum ringd_record_flag, where an origin has them. */
static inline uint64_t with_flags(uint64_t flags)
{
    return flags << RINGD_ORIGIN_FLAGS_SHIFT;
}

/* Everything of a header but the stamp. */
RING_HOT void fill_header(struct ringd_record_header *h, uint64_t len, uint64_t sequence, uint64_t origin,
                          uint64_t time)
{
    atomic_store_explicit(&h->extent, len | sequence << 32, memory_order_relaxed);
    atomic_store_explicit(&h->origin, origin, memory_order_relaxed);
    atomic_store_explicit(&h->time, time, memory_order_relaxed);
}

RING_HOT void store_stamp(const struct ring *ring, struct ringd_record_header *h, uint64_t position, uint64_t state)
{
    atomic_store_explicit(&h->stamp, (position | state) ^ ring->stamp_key, memory_order_release); /* C1 */
}

/* What is left of a grant becomes a record that readers pass over. */
static inline void pad_rest(const struct ring *ring, uint64_t position, uint64_t bytes)
{
    struct ringd_record_header *h = ring_header(ring, position);

    fill_header(h, bytes - sizeof *h, 0, 0, 0);
    STOP_POINT("pad-header");
    store_stamp(ring, h, position, RINGD_STATE_PADDING);
    STOP_POINT("pad-stamped");
}

#endif
