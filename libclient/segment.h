/* segment.h - a mapped ring: validated once, its geometry kept in private memory.
 *
 * segment_map() takes descriptors, copies the header, checks every figure against the sizes of the mappings and against
 * each other, and maps the data twice, back to back, so that every record is contiguous. After that nobody reads the
 * header again: `geometry` is ours, the pointers lead into shared memory, and whatever is loaded through them is input.
 *
 * Called by client.c for each context (a context has its own mappings and loses them when it closes), by the daemon for
 * each ring it keeps, and by tests.
 */
#ifndef LIBCLIENT_SEGMENT_H
#define LIBCLIENT_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringd_segment.h"

/* What may be written through a mapping; the descriptors must allow it. */
enum segment_grade {
    SEGMENT_OBSERVER, /* nothing */
    SEGMENT_READER,   /* the readers' object */
    SEGMENT_WRITER,   /* everything; also the daemon's grade */
};

/* Private, checked copy of the header. Sizes in bytes. */
struct geometry {
    uint64_t ring_id;
    uint64_t segment_bytes;
    uint64_t readers_bytes;
    uint64_t data_offset;
    uint64_t data_bytes;
    uint64_t max_grant;
    uint64_t head_room; /* RINGD_WRITERS_PER_LANE + 1 grants */
    uint64_t stamp_key;
    uint64_t first_position;
    uint64_t generation;
    uint64_t created_ns;
    uint64_t ticks_per_second;
    uint32_t lane_count;
    uint32_t lane_bytes;
    uint32_t max_record;
    uint32_t policy;
    uint32_t time_source;
    uint32_t stopped_policy;
    uint32_t stopped_after_ms;
    uint32_t slow_policy;
    uint32_t slow_after_ms;
    uint64_t slow_bytes;
    bool hold;
    bool single;
    char name[RINGD_NAME_BYTES];
};

struct segment {
    struct geometry geometry;
    struct ringd_control *control;
    struct ringd_readers_header *readers;
    struct ringd_reader_slot *reader_slots; /* RINGD_READERS_MAX */
    struct ringd_cursor *cursors;           /* [lane][RINGD_READERS_MAX] */
    struct ringd_group_lane *groups;        /* [lane][RINGD_GROUPS_MAX] */
    struct ringd_named_lane *named;         /* [lane][RINGD_NAMED_MAX] */
    unsigned char *lanes;
    unsigned char *data;              /* lane 0: data_bytes, twice */
    uint64_t firsts[RINGD_LANES_MAX]; /* where the lanes began when this was mapped */

    /* what to unmap */
    void *control_map;
    size_t control_map_bytes;
    void *readers_map;
    size_t readers_map_bytes;
    void *data_map;
    size_t data_map_bytes;
};

/* How many writers a lane may have at once. */
static inline uint32_t geometry_writers(const struct geometry *geometry)
{
    return geometry->single ? 1 : RINGD_WRITERS_PER_LANE;
}

/* The most one addition may take for records of up to max_record bytes: a header, rounded up. */
uint64_t segment_max_grant(uint64_t max_record);

/* The bytes that objects with this geometry have: what comes before the data, where the data begins, the readers'. */
uint64_t segment_control_bytes(uint32_t lane_count);
uint64_t segment_data_offset(uint32_t lane_count, uint64_t data_bytes);
uint64_t segment_readers_bytes(uint32_t lane_count);

/* A range of addresses that nothing else is mapped to, and nothing can be read from. It begins at a multiple of
 * RINGD_HUGE_BYTES if it has that many bytes. 0, or the errno of mmap. */
int segment_reserve_range(void **range, size_t bytes);

/* Checks the copy of a header against the real sizes of the objects and fills *geometry. 0, -EPROTONOSUPPORT (another
 * layout version), -EBADMSG (not a ring, or figures that do not fit together). */
int segment_validate(const struct ringd_segment_header *header, uint64_t segment_bytes, uint64_t readers_bytes,
                     struct geometry *geometry);

/* Maps and validates. The mappings are not inherited by children and not dumped. *segment is empty after a failure. 0,
 * as segment_validate, or the errno of fstat or mmap. The descriptors stay the caller's. */
int segment_map(struct segment *segment, int segment_fd, int readers_fd, enum segment_grade grade);

/* Only the readers' object of another generation of the ring that this geometry is of: its waits and cursors can be
 * used. As segment_map. */
int segment_map_readers(struct segment *segment, const struct geometry *geometry, int readers_fd);

/* An empty (zeroed) segment is allowed. */
void segment_unmap(struct segment *segment);

/* An eighth of its data, from the end on; what remains is no ring any more, only something to unmap. To take down a
 * large mapping in one go lasts milliseconds. Empty after SEGMENT_UNMAP_PARTS calls; an empty segment is allowed. */
#define SEGMENT_UNMAP_PARTS 8u
void segment_unmap_part(struct segment *segment);

/* Whether the address lies in one of the mappings. */
bool segment_contains(const struct segment *segment, const void *address);

/* Where the lane begins in this generation: where it ended in the one before. A copy that was made when the segment was
 * mapped. It is input all the same, and only sure to be a multiple of a unit: who goes on from an older generation
 * compares it with the end that he knows. */
uint64_t segment_lane_first(const struct segment *segment, uint32_t lane);

struct ringd_lane *segment_lane(const struct segment *segment, uint32_t lane);
unsigned char *segment_lane_data(const struct segment *segment, uint32_t lane);
struct ringd_cursor *segment_cursor(const struct segment *segment, uint32_t lane, uint32_t reader);
struct ringd_group_lane *segment_group(const struct segment *segment, uint32_t lane, uint32_t group);
struct ringd_named_lane *segment_named(const struct segment *segment, uint32_t lane, uint32_t named);

#endif
