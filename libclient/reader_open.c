/* reader_open.c - the calls that open, set and close a reader; reader.c has those that read.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pollable.h"
#include "reader_filter.h"
#include "reader_group.h"
#include "reader_lane.h"
#include "reader_merge.h"
#include "reader_message.h"
#include "reader_open.h"
#include "reader_start.h"
#include "wake.h"

/* Room for the copies of one ringd_next_many, at least one record's. */
#define COPIES_BYTES 65536

void reader_point_at_slot(struct ringd_reader *r, const struct segment *segment)
{
    r->counters = r->mode == RINGD_READ_OBSERVE ? &r->own : &segment->reader_slots[r->slot];
    r->control = segment->control;
    r->waits = &segment->readers->waits;
}

static void point_at_lane(struct ringd_reader *r, struct reader_lane *l, uint32_t number, const struct segment *segment)
{
    l->number = number;
    ring_init(&l->ring, segment, number);
    lane_point_at_cursor(r, l, segment);
    if (r->attachment != NULL && r->attachment->label_plus != 0 && !r->member)
        l->named = segment_named(segment, number, r->attachment->label_plus - 1);
}

static int prepare(struct ringd_reader *r, const struct segment *segment, const struct ringd_reader_options *o)
{
    int result = filter_new(&r->filter, o->filter);

    if (result < 0)
        return result;
    r->choosy = r->filter != NULL ? READER_CHOOSY : 0;
    r->copies_bytes = r->max_record > COPIES_BYTES ? r->max_record : COPIES_BYTES;
    r->copies = malloc(r->copies_bytes);
    r->lanes = r->lane_count == 1 ? &r->one_lane : handle_new(r->lane_count * sizeof *r->lanes);
    if (r->copies == NULL || r->lanes == NULL)
        return -ENOMEM;
    if (o->merge == RINGD_MERGE_TIME && r->lane_count > 1) {
        r->merge = merge_new(r->lane_count, segment->geometry.time_source);
        if (r->merge == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* With the attachment, if there is one, which is the reader's from the beginning. */
static int reader_make(struct ringd_reader **reader, struct attachment *attachment, const struct segment *segment,
                       uint32_t slot, uint64_t position, const struct ringd_reader_options *o)
{
    struct ringd_reader *r = handle_new(sizeof *r);
    uint32_t first = o->lane != 0 ? o->lane - 1 : 0;
    int result;

    *reader = NULL;
    if (r == NULL)
        return -ENOMEM;
    r->alive = HANDLE_ALIVE;
    r->attachment = attachment;
    r->mode = o->group != NULL ? RINGD_READ_LOSSLESS : o->mode;
    r->member = o->group != NULL;
    atomic_store_explicit(&r->deadline, o->deadline, memory_order_relaxed);
    r->wait = o->wait;
    r->max_record = segment->geometry.max_record;
    r->lane_count = o->lane != 0 ? 1 : segment->geometry.lane_count;
    r->looked_at = UINT64_MAX;
    r->ends_evicted = r->member || segment->geometry.slow_policy == RINGD_SLOW_EVICT;
    r->slot = slot;
    reader_rest(r);
    reader_point_at_slot(r, segment);
    result = prepare(r, segment, o);
    for (uint32_t i = 0; result == 0 && i < r->lane_count; i++)
        point_at_lane(r, &r->lanes[i], first + i, segment);
    if (result == 0 && r->member)
        result = group_new(r, segment, attachment->label_plus - 1, attachment->seat) != NULL ? 0 : -ENOMEM;
    else if (result == 0)
        result = reader_start(r, position, o);
    if (result < 0) {
        r->attachment = NULL;
        ringd_reader_close(r);
        return result;
    }
    *reader = r;
    return 0;
}

int reader_new(struct ringd_reader **reader, const struct segment *segment, uint32_t slot, uint64_t position,
               const struct ringd_reader_options *options)
{
    return reader_make(reader, NULL, segment, slot, position, options);
}

/* ---- options ---- */

static int check_choices(const struct ringd_reader_options *o)
{
    if (o->mode > RINGD_READ_OBSERVE)
        return client_fail(-EINVAL, "reader mode %u is none of lossy, lossless, observe", o->mode);
    if (o->start > RINGD_START_TIME)
        return client_fail(-EINVAL, "reader start %u is none of now, oldest, position, time", o->start);
    if (o->wait > RINGD_WAIT_SLEEP)
        return client_fail(-EINVAL, "wait %u is none of adaptive, busy, sleep", o->wait);
    if (o->merge > RINGD_MERGE_TIME)
        return client_fail(-EINVAL, "merge %u is none of none, time", o->merge);
    if (o->orphans > RINGD_ORPHANS_LOST)
        return client_fail(-EINVAL, "orphans %u is none of again, lost", o->orphans);
    for (size_t i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) {
        if (o->reserved[i] != 0)
            return client_fail(-EINVAL, "what is reserved in a reader's options has to be zero; clear them first");
    }
    return 0;
}

static int check_options(const struct ringd_reader_options *o)
{
    int result = check_choices(o);

    if (result == 0)
        result = filter_check(o->filter);
    if (result == 0 && o->group != NULL && o->cursor != NULL)
        result = client_fail(-EINVAL, "a reader is of a group or has a named cursor; a group remembers where it is");
    if (result == 0 && o->group != NULL && o->merge != RINGD_MERGE_NONE)
        result = client_fail(-EINVAL, "the members of a group get the records of its lanes in any order; merge none");
    if (result == 0 && o->group != NULL && o->mode == RINGD_READ_OBSERVE)
        result = client_fail(-EINVAL, "a group's members are lossless readers, and observers are not");
    if (result == 0 && o->cursor != NULL && o->mode == RINGD_READ_OBSERVE)
        result = client_fail(-EINVAL, "an observer writes nothing, not even a named cursor; be a lossy reader");
    return result;
}

uint32_t reader_kind_of(uint32_t mode)
{
    if (mode == RINGD_READ_LOSSLESS)
        return RINGD_CONTEXT_LOSSLESS;
    return mode == RINGD_READ_OBSERVE ? RINGD_CONTEXT_OBSERVER : RINGD_CONTEXT_LOSSY;
}

static int explain_start(int result, const struct ringd_reader_options *o)
{
    if (result == -ERANGE)
        return client_fail(result, "position %llu was overwritten already or is not written yet; start at the oldest",
                           (unsigned long long)o->position);
    if (result == -EINVAL)
        return client_fail(result, "no record begins at position %llu; give a record's position or its next",
                           (unsigned long long)o->position);
    return client_fail(result, "%s", ringd_strerror(result));
}

/* What the ring must have for it, of which the daemon knows nothing. */
static int check_ring(const struct segment *segment, const struct ringd_reader_options *o)
{
    if (segment->geometry.time_source == RINGD_TIME_NONE && o->merge == RINGD_MERGE_TIME)
        return client_fail(-EOPNOTSUPP, "the ring's records have no time to merge by; create it with --time tsc or "
                                        "--time monotonic");
    return 0;
}

int ringd_reader_open(struct ringd_reader **reader, struct ringd *ring, const struct ringd_reader_options *options)
{
    static const struct ringd_reader_options defaults;
    const struct ringd_reader_options *o = options != NULL ? options : &defaults;
    struct attachment_wish wish = {
        .kind = o->group != NULL ? RINGD_CONTEXT_LOSSLESS : reader_kind_of(o->mode),
        .start = o->start,
        .position = o->position,
        .lane = o->lane,
        .label = o->group != NULL ? o->group : o->cursor,
        .group = o->group != NULL,
        .orphans = o->orphans,
    };
    struct attachment *attachment;
    int result = check_options(o);

    *reader = NULL;
    if (result < 0)
        return result;
    result = attachment_new(&attachment, ring, &wish);
    if (result < 0)
        return result;
    result = check_ring(&attachment->segment, o);
    if (result == 0) {
        result = reader_make(reader, attachment, &attachment->segment, attachment->slot, attachment->position, o);
        result = result < 0 ? explain_start(result, o) : 0;
    }
    if (result < 0) {
        attachment_free(attachment);
        return result;
    }
    (*reader)->watch = attachment_watch(attachment);
    return 0;
}

/* What was given out of generations that it has left is given back. */
void reader_drop_kept(struct ringd_reader *r)
{
    while (r->kept_count > 0) {
        r->kept_count--;
        munmap(r->kept[r->kept_count].map, r->kept[r->kept_count].bytes);
    }
}

static void free_lanes(struct ringd_reader *r)
{
    for (uint32_t i = 0; r->lanes != NULL && i < r->lane_count; i++)
        message_free_all(r, &r->lanes[i].messages);
    if (r->lanes != NULL && r->lanes != &r->one_lane)
        handle_free(r->lanes, r->lane_count * sizeof *r->lanes);
}

void ringd_reader_close(struct ringd_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->alive == HANDLE_ALIVE) {
        pollable_free(reader->pollable);
        reader_drop_kept(reader);
        segment_unmap(&reader->ahead);
        group_free(reader);
        attachment_free(reader->attachment);
        message_free_all(reader, &reader->given_messages);
        message_free_all(reader, &reader->held_messages);
        merge_free(reader->merge, reader->lane_count);
        filter_free(reader->filter);
        free_lanes(reader);
        message_free_spare(reader);
        free(reader->copies);
    }
    handle_free(reader, sizeof *reader);
}

int ringd_reader_deadline(struct ringd_reader *reader, int64_t deadline_ns)
{
    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    atomic_store_explicit(&reader->deadline, deadline_ns, memory_order_relaxed);
    return RINGD_OK;
}

int ringd_reader_filter(struct ringd_reader *reader, const struct ringd_filter *filter)
{
    struct reader_filter *made;
    int result;

    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    result = filter_new(&made, filter);
    if (result < 0)
        return result;
    filter_free(reader->filter);
    reader->filter = made;
    message_look_closely(reader);
    return RINGD_OK;
}

static int arm_by_daemon(void *argument, uint32_t *value)
{
    struct ringd_reader *r = argument;

    return r->attachment != NULL ? attachment_arm(r->attachment, value) : -ENOTCONN;
}

/* See ring_single.h. */
static int arm_with_barrier(void *argument, uint32_t *value)
{
    struct ringd_reader *r = argument;

    *value = wake_announce(&r->waits->data);
    return wake_barrier() ? 0 : -ENOSYS;
}

int ringd_reader_fd(struct ringd_reader *reader)
{
    struct pollable_source source = {.word = NULL};
    int result = 0;

    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    source.word = &reader->waits->data;
    source.arm = reader->mode == RINGD_READ_OBSERVE ? arm_by_daemon
                 : reader->lanes[0].ring.single     ? arm_with_barrier
                                                    : NULL;
    source.argument = reader;
    if (reader->pollable == NULL)
        result = pollable_new(&reader->pollable, &source);
    return result < 0 ? result : pollable_fd(reader->pollable);
}

uint64_t ringd_reader_position(const struct ringd_reader *reader)
{
    return reader->alive == HANDLE_ALIVE ? reader->lanes[0].position : 0;
}

int ringd_reader_count(const struct ringd_reader *reader, struct ringd_reader_counters *counters)
{
    const struct ringd_reader_slot *slot = reader->counters;

    if (reader->alive != HANDLE_ALIVE)
        return -ECHILD;
    *counters = (struct ringd_reader_counters){
        .delivered = atomic_load_explicit(&slot->delivered, memory_order_relaxed),
        .bytes = atomic_load_explicit(&slot->bytes, memory_order_relaxed),
        .lost = atomic_load_explicit(&slot->lost, memory_order_relaxed),
        .gaps = atomic_load_explicit(&slot->gaps, memory_order_relaxed),
        .slept = atomic_load_explicit(&slot->slept, memory_order_relaxed),
        .skipped = atomic_load_explicit(&slot->skipped, memory_order_relaxed),
        .unordered = merge_unordered(reader->merge),
    };
    return RINGD_OK;
}
