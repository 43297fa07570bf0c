/* reader_named.c - see reader_named.h. */
#define _GNU_SOURCE
#include "reader_named.h"

#include "reader_message.h"

void named_store(struct reader_lane *lane)
{
    struct ringd_named_lane *named = lane->named;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        const struct reader_writer *w = &lane->writers[i];
        uint64_t next = message_expected(lane, lane->number * RINGD_WRITERS_PER_LANE + i, w->next);

        atomic_store_explicit(&named->next[i], next | (w->known || w->resumed ? RINGD_NEXT_KNOWN : 0),
                              memory_order_relaxed);
    }
    STOP_POINT("named-expected");
    /* A message that is not finished is read again from its beginning, and what others wrote in between is passed. */
    atomic_store_explicit(&named->position, message_oldest(lane, lane->released - INT64_MAX, lane->released),
                          memory_order_release);
    STOP_POINT("named-stored");
}

bool named_load(struct reader_lane *lane, uint64_t *position)
{
    const struct ringd_named_lane *named = lane->named;

    *position = atomic_load_explicit(&named->position, memory_order_acquire);
    if (*position % RINGD_UNIT != 0)
        return false;
    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        uint64_t next = atomic_load_explicit(&named->next[i], memory_order_relaxed);

        lane->writers[i] = (struct reader_writer){.next = next & ~RINGD_NEXT_KNOWN, .resumed = next & RINGD_NEXT_KNOWN};
    }
    return true;
}
