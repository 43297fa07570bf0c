/* ring_single.c - what a lane's single writer rarely needs; see ring_single.h. */
#include "ring_single.h"

#include "wake.h"

int ring_single_take_cold(struct ring_writer *w, uint64_t bytes, struct ring_grant *grant)
{
    int result = ring_single_take(*w, bytes, grant);

    w->position = grant->place + bytes;
    return result;
}

int ring_single_finish_cold(const struct ring_writer *w)
{
    return ring_single_finish(*w);
}

static bool ring_single_sealed(const struct ringd_lane *lane)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&lane->word, memory_order_seq_cst) & RINGD_W_SEALED;
}

/* My bit is seen by now. Whoever seals after this look finds it; if it is sealed by now it may be among the members or
 * not: nothing has been written, and nothing will be. */
int ring_single_closing(struct ringd_lane *lane)
{
    if (!ring_single_sealed(lane))
        return RINGD_OK;
    atomic_store_explicit(&lane->single_active, 0, memory_order_release);
    STOP_POINT("reserve-voided");
    return -ESHUTDOWN;
}

/* Whether it was among the members does not matter to one that has committed: nobody else gives it a verdict then. */
int ring_single_finish_slow(struct ringd_lane *lane, struct ringd_waits *waits)
{
    bool sealed = ring_single_sealed(lane);

    wake_all(&waits->data);
    wake_all(&waits->space);
    return sealed ? RING_SEALED : RINGD_OK;
}
