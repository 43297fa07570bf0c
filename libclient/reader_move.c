/* reader_move.c - see reader_move.h. */
#define _GNU_SOURCE
#include "reader_move.h"

#include "pollable.h"
#include "reader_group.h"
#include "reader_lane.h"
#include "reader_merge.h"
#include "reader_open.h"
#include "wake.h"

/* How long a reader that does not wait waits for the daemon's answer when it follows a ring that has moved. */
#define FOLLOW_PATIENCE_NS 100000000

/* Pointers into it that were given out stay good until they are released. */
static void keep_or_unmap(struct ringd_reader *r, bool held, struct segment *old)
{
    if (held) {
        r->kept[r->kept_count++] = (struct reader_kept){.map = old->data_map, .bytes = old->data_map_bytes};
        old->data_map = NULL;
    }
    segment_unmap(old);
}

/* The slot is the reader's own, in both generations. */
static void carry_counters(const struct ringd_reader_slot *from, struct ringd_reader_slot *to)
{
    static const size_t fields[] = {
        offsetof(struct ringd_reader_slot, delivered), offsetof(struct ringd_reader_slot, bytes),
        offsetof(struct ringd_reader_slot, lost),      offsetof(struct ringd_reader_slot, gaps),
        offsetof(struct ringd_reader_slot, slept),     offsetof(struct ringd_reader_slot, skipped),
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const _Atomic uint64_t *counter = (const void *)((const unsigned char *)from + fields[i]);

        atomic_store_explicit((_Atomic uint64_t *)(void *)((unsigned char *)to + fields[i]),
                              atomic_load_explicit(counter, memory_order_relaxed), memory_order_release);
    }
}

/* Goes on at the beginning of the next generation, which is where the last one ended. */
RING_COLD static int begin_generation(struct ringd_reader *r, struct segment *old)
{
    const struct segment *segment = &r->attachment->segment;
    const struct ringd_reader_slot *before = r->counters;
    bool held = false, kept = r->group != NULL && group_keep_old(r, old);
    int result = 0;

    if (r->group != NULL)
        result = group_begin_generation(r, segment);
    reader_point_at_slot(r, segment);
    if (r->mode != RINGD_READ_OBSERVE)
        carry_counters(before, r->counters);
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct reader_lane *l = &r->lanes[i];

        held |= r->mode == RINGD_READ_LOSSLESS && l->released != l->position;
        if (l->named != NULL)
            l->named = segment_named(segment, l->number, r->attachment->label_plus - 1);
        result = lane_begin_generation(r, l, segment) < 0 ? -EBADMSG : result;
    }
    if (r->pollable != NULL)
        pollable_move(r->pollable, &r->waits->data);
    if (r->merge != NULL)
        merge_begin_generation(r->merge);
    segment_unmap(&r->ahead);
    r->ahead_count = 0;
    if (!kept)
        keep_or_unmap(r, held, old);
    r->watch = attachment_watch(r->attachment);
    STOP_POINT("follow-begun");
    return result;
}

/* The old generation is drained. RINGD_OK: look again. */
RING_COLD static int follow(struct ringd_reader *r)
{
    int64_t patience = wake_now() + FOLLOW_PATIENCE_NS;
    struct segment old;
    int result;

    if (r->attachment == NULL)
        return RINGD_END;
    if (r->kept_count == READER_KEPT_MAX)
        return RINGD_WOULD_BLOCK; /* so much has been given out and not released */
    result = attachment_follow(r->attachment, reader_kind_of(r->mode), r->deadline > patience ? r->deadline : patience,
                               &old);
    if (result == RINGD_OK)
        return begin_generation(r, &old);
    /* The ring was removed, and with it the daemon. */
    return result < 0 && result != -EBADMSG && reader_ring_removed(r) ? RINGD_END : result;
}

/* Every lane goes on to its end. RINGD_OK: look again. */
RING_COLD static int leave_group(struct ringd_reader *r)
{
    int result = RINGD_OK;
    bool knew = true;

    for (uint32_t i = 0; i < r->lane_count && result == RINGD_OK; i++) {
        knew &= r->lanes[i].leaving;
        result = r->lanes[i].leaving ? RINGD_OK : lane_leave(r, &r->lanes[i]);
    }
    if (result == RINGD_OK && knew)
        result = group_leave(r);
    return result == RINGD_END ? follow(r) : result;
}

/* Whether in some lane it has so much left to read that writers of the next generation are to know how it gets on. */
static bool is_far_behind(const struct ringd_reader *r)
{
    bool far = false;

    for (uint32_t i = 0; i < r->lane_count; i++)
        far |= r->lanes[i].tail.end - r->lanes[i].released > r->lanes[i].ring.size / LANE_AHEAD_STEPS;
    return far;
}

/* Once: without an answer they wait until it follows. */
RING_COLD static void look_ahead(struct ringd_reader *r)
{
    if (r->mode != RINGD_READ_LOSSLESS || r->attachment == NULL || !is_far_behind(r) ||
        attachment_look_ahead(r->attachment, &r->ahead) < 0)
        return;
    for (uint32_t i = 0; i < r->lane_count; i++)
        r->lanes[i].ahead = segment_cursor(&r->ahead, r->lanes[i].number, r->slot);
    r->ahead_count = r->lane_count;
    STOP_POINT("ahead-mapped");
}

RING_COLD void reader_released(struct ringd_reader *r)
{
    reader_drop_kept(r);
    for (uint32_t i = 0; i < r->ahead_count; i++)
        lane_tell_ahead(r, &r->lanes[i], 0);
}

int reader_leave(struct ringd_reader *r)
{
    bool drained = true, knew = true;

    if (r->group != NULL)
        return leave_group(r);
    for (uint32_t i = 0; i < r->lane_count; i++) {
        int result;

        knew &= r->lanes[i].leaving;
        result = lane_leave(r, &r->lanes[i]);
        if (result != RINGD_OK && result != RINGD_END)
            return result;
        drained &= result == RINGD_END;
    }
    if (drained)
        return follow(r);
    if (!knew && ring_moving(&r->lanes[0].ring) == RINGD_MOVING_DONE)
        look_ahead(r);
    return RINGD_OK;
}
