/* ring_move.c - the end of a lane, for writers and readers; see ring_move.h for what holds true. */
#define _GNU_SOURCE
#include "ring_move.h"

#include "wake.h"

/* ---- writers --------------------------------------------------------------------------------------------------- */

/* A single writer whose lane ends where its grant begins was found between Z2 and Z3, and is void by Z4. One that comes
 * here all the same was not seen in time, where time stands in for barriers (ring_seal.c). */
static bool ends_before(const struct ring_writer *w)
{
    uint64_t end = atomic_load_explicit(&w->ring.lane->move.end, memory_order_acquire);
    uint64_t place = atomic_load_explicit(&w->slot->begin, memory_order_relaxed) & RINGD_POSITION_MASK;

    return w->ring.single && (int64_t)(end - place) <= 0;
}

bool ring_claim(struct ring_writer *w)
{
    bool mine = !ends_before(w) && ring_give_verdict(w->slot, RINGD_VERDICT_COMMITTED);

    STOP_POINT("verdict-claimed");
    return mine;
}

bool ring_last_grant(const struct ring_writer *w, struct ring_grant *grant)
{
    uint64_t begin = atomic_load_explicit(&w->slot->begin, memory_order_relaxed);

    *grant = (struct ring_grant){
        .place = begin & RINGD_POSITION_MASK,
        .bytes = atomic_load_explicit(&w->slot->length, memory_order_relaxed),
    };
    return (begin & RINGD_BEGIN_EXACT) && grant->bytes != 0 && grant->bytes % RINGD_UNIT == 0 &&
           grant->bytes <= w->ring.max_grant;
}

/* ---- readers and writers --------------------------------------------------------------------------------------- */

int ring_await_move(const struct ring *ring, _Atomic uint32_t *wait_word, bool may_announce, int64_t deadline)
{
    while (ring_moving(ring) == RINGD_MOVING_BEGUN) {
        uint32_t value =
            may_announce ? wake_announce(wait_word) : atomic_load_explicit(wait_word, memory_order_seq_cst);
        int result;

        if (ring_moving(ring) != RINGD_MOVING_BEGUN)
            return RINGD_OK;
        result = wake_now() < deadline ? wake_sleep(wait_word, value, deadline) : -ETIMEDOUT;
        if (result < 0)
            return result == -ETIMEDOUT ? RINGD_WOULD_BLOCK : result;
    }
    return RINGD_OK;
}

int ring_read_tail(const struct ring *ring, struct ring_tail *tail)
{
    const struct ringd_move *move = &ring->lane->move;
    uint64_t count = atomic_load_explicit(&move->count, memory_order_relaxed);

    *tail = (struct ring_tail){.end = atomic_load_explicit(&move->end, memory_order_relaxed)};
    if (!ring_end_fits(ring, tail->end) || count > RINGD_WRITERS_PER_LANE)
        return -EBADMSG;
    for (; tail->count < count; tail->count++) {
        uint64_t packed = atomic_load_explicit(&move->gone[tail->count], memory_order_relaxed);
        uint64_t before = packed >> 32 << RINGD_UNIT_SHIFT, bytes = (uint32_t)packed * (uint64_t)RINGD_UNIT;

        if (bytes == 0 || bytes > before || before > ring->size)
            return -EBADMSG;
        tail->gone[tail->count] = (struct ring_range){.begin = tail->end - before, .end = tail->end - before + bytes};
    }
    return 0;
}

const struct ring_range *ring_gone_at(const struct ring_tail *tail, uint64_t position)
{
    for (uint32_t i = 0; i < tail->count; i++) {
        if (position - tail->gone[i].begin < tail->gone[i].end - tail->gone[i].begin)
            return &tail->gone[i];
    }
    return NULL;
}
