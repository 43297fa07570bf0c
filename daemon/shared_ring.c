/* shared_ring.c - see shared_ring.h. */
#define _GNU_SOURCE
#include "shared_ring.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stop_point.h"
#include "wake.h"

uint32_t shared_ring_writer_count(const struct shared_ring *ring)
{
    return ring->segment.geometry.lane_count * RINGD_WRITERS_PER_LANE;
}

static int allocate_tables(struct shared_ring *ring, uint32_t lane_count)
{
    ring->lanes = calloc(lane_count, sizeof *ring->lanes);
    ring->writers = calloc((size_t)lane_count * RINGD_WRITERS_PER_LANE, sizeof *ring->writers);
    return ring->lanes == NULL || ring->writers == NULL ? -ENOMEM : 0;
}

static int map_segment(struct shared_ring *ring, struct problem *problem)
{
    int result = segment_map(&ring->segment, ring->objects.segment.fd, ring->objects.readers.fd, SEGMENT_WRITER);

    if (result < 0)
        return problem_say(problem, result, "cannot map the new ring: %s", strerror(-result));
    for (uint32_t i = 0; i < ring->segment.geometry.lane_count; i++)
        ring_init(&ring->lanes[i], &ring->segment, i);
    return 0;
}

static int build(struct shared_ring *ring, const struct ringd_ring_options *options, const struct ticks *ticks,
                 struct problem *problem)
{
    int result = allocate_tables(ring, options->lanes);

    if (result < 0)
        return problem_say(problem, result, "out of memory");
    result = segment_create(&ring->objects, &ring->objects_name, ring->name, options, ticks, problem);
    return result < 0 ? result : map_segment(ring, problem);
}

int shared_ring_new(struct shared_ring **ring, const char *instance_id, const char *name,
                    const struct ringd_ring_options *options, const struct ring_rights *rights,
                    const struct ticks *ticks, struct problem *problem)
{
    struct shared_ring *made = calloc(1, sizeof *made);
    int result;

    *ring = NULL;
    if (made == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    segment_objects_init(&made->objects);
    strlcpy(made->name, name, sizeof made->name);
    made->objects_name = object_name_ring(instance_id, name, 1);
    made->rights = *rights;
    result = build(made, options, ticks, problem);
    if (result < 0)
        shared_ring_free(made);
    else
        *ring = made;
    return result;
}

void shared_ring_free(struct shared_ring *ring)
{
    if (ring == NULL)
        return;
    segment_unmap(&ring->segment);
    segment_objects_deinit(&ring->objects);
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
