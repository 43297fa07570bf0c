/* shared_ring.c - see shared_ring.h. */
#define _GNU_SOURCE
#include "shared_ring.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "generation.h"
#include "stop_point.h"
#include "wake.h"

uint32_t shared_ring_writer_count(const struct shared_ring *ring)
{
    return ring->segment.geometry.lane_count * RINGD_WRITERS_PER_LANE;
}

struct lane_range shared_ring_lanes(const struct shared_ring *ring, uint32_t lane)
{
    if (lane == 0)
        return (struct lane_range){0, ring->segment.geometry.lane_count};
    return (struct lane_range){lane - 1, lane};
}

static int allocate_tables(struct shared_ring *ring, uint32_t lane_count)
{
    ring->lanes = calloc(lane_count, sizeof *ring->lanes);
    ring->writers = calloc((size_t)lane_count * RINGD_WRITERS_PER_LANE, sizeof *ring->writers);
    return ring->lanes == NULL || ring->writers == NULL ? -ENOMEM : 0;
}

static int map_segment(struct shared_ring *ring)
{
    int result = segment_map(&ring->segment, ring->objects.segment.fd, ring->objects.readers.fd, SEGMENT_WRITER);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++)
        ring_init(&ring->lanes[i], &ring->segment, i);
    return 0;
}

struct record_slot *shared_ring_record_slot(const struct shared_ring *ring, bool writer, uint32_t slot)
{
    return writer ? &ring->record.page->writers[slot] : &ring->record.page->readers[slot];
}

/* ---- a new one ------------------------------------------------------------------------------------------------- */

static int build(struct shared_ring *ring, const char *instance_id, const struct ringd_ring_options *options,
                 const struct ticks *ticks, struct problem *problem)
{
    int result = allocate_tables(ring, options->lanes);

    if (result < 0)
        return problem_say(problem, result, "out of memory");
    result = ring_record_create(&ring->record, instance_id, ring->name, options, &ring->rights, problem);
    if (result < 0)
        return result;
    return segment_create_begin(&ring->objects, &ring->objects_name, ring->name, options, ticks, problem);
}

int shared_ring_publish(struct shared_ring *ring, int reserved, struct problem *problem)
{
    int result = segment_create_end(&ring->objects, reserved, problem);

    if (result < 0)
        return result;
    result = map_segment(ring);
    if (result < 0)
        return problem_say(problem, result, "cannot map the new ring: %s", strerror(-result));
    segment_objects_keep(&ring->objects);
    ring_record_publish(&ring->record, ring->segment.control_map);
    return 0;
}

static struct shared_ring *ring_alloc(const char *instance_id, const char *name, uint64_t generation)
{
    struct shared_ring *ring = calloc(1, sizeof *ring);

    if (ring == NULL)
        return NULL;
    ring_record_init(&ring->record);
    segment_objects_init(&ring->objects);
    TAILQ_INIT(&ring->older);
    ring->instance_id = instance_id;
    ring->life_name = object_name_ring(instance_id, name, 1);
    strlcpy(ring->name, name, sizeof ring->name);
    ring->objects_name = object_name_ring(instance_id, name, generation);
    return ring;
}

int shared_ring_new(struct shared_ring **ring, const char *instance_id, const char *name,
                    const struct ringd_ring_options *options, const struct ring_rights *rights,
                    const struct ticks *ticks, struct problem *problem)
{
    struct shared_ring *made = ring_alloc(instance_id, name, 1);
    int result;

    *ring = NULL;
    if (made == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    made->rights = *rights;
    result = build(made, instance_id, options, ticks, problem);
    if (result < 0)
        shared_ring_free(made);
    else
        *ring = made;
    return result;
}

/* ---- a predecessor's ------------------------------------------------------------------------------------------- */

/* The present generation as it was recorded, or NULL. */
static const struct ringd_segment_header *recorded_header(const struct ring_record *record)
{
    return ring_record_header(record, atomic_load_explicit(&record->page->generation, memory_order_acquire));
}

static int adopt_segment(struct shared_ring *ring, struct problem *problem)
{
    const struct ringd_segment_header *header = recorded_header(&ring->record);
    int result;

    if (header->layout_version != RINGD_LAYOUT_VERSION)
        return problem_say(problem, -EPROTONOSUPPORT, "its layout is of version %u, this ringd's is %u",
                           header->layout_version, RINGD_LAYOUT_VERSION);
    result = segment_objects_open(&ring->objects, &ring->objects_name, header->segment_bytes, header->readers_bytes);
    if (result < 0)
        return problem_say(problem, result, "its shared memory is %s",
                           result == -ENOENT    ? "gone"
                           : result == -EBADMSG ? "shorter than it was"
                                                : strerror(-result));
    result = map_segment(ring);
    if (result == 0 && memcmp(ring->segment.control_map, header, sizeof *header) != 0)
        result = -EBADMSG; /* everybody may have written to it since */
    if (result < 0)
        return problem_say(problem, result, "somebody has written over its header (%s)", strerror(-result));
    return 0;
}

static void adopt_slots(struct shared_ring *ring)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++)
        ring->writers[i].incarnation =
            atomic_load_explicit(&ring->record.page->writers[i].incarnation, memory_order_relaxed);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        ring->readers[i].incarnation =
            atomic_load_explicit(&ring->record.page->readers[i].incarnation, memory_order_relaxed);
}

static int adopt(struct shared_ring *ring, struct problem *problem)
{
    const struct record_page *page = ring->record.page;
    int result = allocate_tables(ring, page->lane_count);

    ring->rights = (struct ring_rights){.owner = page->owner, .group = page->group, .mode = page->options.mode};
    ring->adopted = true;
    if (result < 0)
        return problem_say(problem, result, "out of memory");
    result = adopt_segment(ring, problem);
    if (result == 0 && ring->segment.geometry.lane_count != page->lane_count)
        result = problem_say(problem, -EBADMSG, "its record contradicts itself");
    if (result == 0) {
        adopt_slots(ring);
        generation_adopt_older(ring);
    }
    return result;
}

int shared_ring_adopt(struct shared_ring **ring, const char *instance_id, struct ring_record *record,
                      struct problem *problem)
{
    const struct ringd_segment_header *header = recorded_header(record);
    struct shared_ring *taken = header == NULL ? NULL : ring_alloc(instance_id, record->page->name, header->generation);
    int result;

    *ring = NULL;
    if (header == NULL)
        return problem_say(problem, -EBADMSG, "its record contradicts itself");
    if (taken == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    taken->record = *record;
    result = adopt(taken, problem);
    if (result < 0) {
        ring_record_init(&taken->record); /* it stays the caller's */
        shared_ring_leave(taken);
        shared_ring_free(taken);
        return result;
    }
    ring_record_init(record);
    ring_record_keep(&taken->record);
    segment_objects_keep(&taken->objects);
    *ring = taken;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

void shared_ring_end(struct shared_ring *ring)
{
    ring_record_end(&ring->record);
    STOP_POINT("remove-recorded");
    segment_end(&ring->segment);
    if (!ring_record_claimed(&ring->record)) {
        segment_objects_leave(&ring->objects);
        generation_leave_all(ring);
    }
    segment_objects_unlink(&ring->objects);
    STOP_POINT("remove-unlinked");
    generation_end_all(ring);
    ring_record_unlink(&ring->record);
}

void shared_ring_leave(struct shared_ring *ring)
{
    segment_objects_leave(&ring->objects);
    generation_leave_all(ring);
    ring->record.named = false;
}

void shared_ring_free(struct shared_ring *ring)
{
    if (ring == NULL)
        return;
    generation_free_all(ring);
    segment_unmap(&ring->segment);
    segment_objects_deinit(&ring->objects);
    if (ring->record.named)
        ring_record_unlink(&ring->record);
    ring_record_deinit(&ring->record);
    free(ring->lanes);
    free(ring->writers);
    free(ring);
}

void segment_end(struct segment *segment)
{
    struct ring lane;

    for (uint32_t i = 0; i < segment->geometry.lane_count; i++) {
        ring_init(&lane, segment, i);
        ring_close(&lane);
    }
    atomic_store_explicit(&segment->control->state, RINGD_RING_REMOVED, memory_order_seq_cst);
    STOP_POINT("remove-told");
    wake_all(&segment->readers->waits.data);
    wake_all(&segment->readers->waits.space);
}
