/* segment.c - checks a segment's header and maps the segment; what holds afterwards is described in segment.h. */
#define _GNU_SOURCE
#include "segment.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ringd.h"

#define PAGE_BYTES UINT64_C(4096)

static uint64_t round_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

uint64_t segment_max_grant(uint64_t max_record)
{
    return round_up(sizeof(struct ringd_record_header) + max_record, RINGD_UNIT);
}

uint64_t segment_control_bytes(uint32_t lane_count)
{
    return round_up(RINGD_LANES_OFFSET + lane_count * sizeof(struct ringd_lane), PAGE_BYTES);
}

uint64_t segment_data_offset(uint32_t lane_count, uint64_t data_bytes)
{
    return round_up(segment_control_bytes(lane_count), data_bytes < RINGD_HUGE_BYTES ? PAGE_BYTES : RINGD_HUGE_BYTES);
}

uint64_t segment_readers_bytes(uint32_t lane_count)
{
    return round_up(RINGD_CURSORS_OFFSET + (uint64_t)lane_count * (RINGD_READERS_MAX * sizeof(struct ringd_cursor) +
                                                                   RINGD_GROUPS_MAX * sizeof(struct ringd_group_lane) +
                                                                   RINGD_NAMED_MAX * sizeof(struct ringd_named_lane)),
                    PAGE_BYTES);
}

static bool sizes_fit(const struct ringd_segment_header *h)
{
    return h->data_bytes >= RINGD_SIZE_MIN && h->data_bytes <= RINGD_SIZE_MAX &&
           (h->data_bytes & (h->data_bytes - 1)) == 0 && h->lane_count >= 1 && h->lane_count <= RINGD_LANES_MAX &&
           h->max_record >= 1 && h->max_record <= h->data_bytes / 64 &&
           h->max_grant == segment_max_grant(h->max_record);
}

static bool places_fit(const struct ringd_segment_header *h, uint64_t segment_bytes, uint64_t readers_bytes)
{
    return h->lanes_offset == RINGD_LANES_OFFSET && h->lane_bytes == sizeof(struct ringd_lane) &&
           h->data_offset == segment_data_offset(h->lane_count, h->data_bytes) &&
           h->segment_bytes == h->data_offset + h->lane_count * h->data_bytes && h->segment_bytes <= segment_bytes &&
           h->readers_offset == 0 && h->readers_bytes == segment_readers_bytes(h->lane_count) &&
           h->readers_bytes <= readers_bytes && h->readers_max == RINGD_READERS_MAX;
}

static bool choices_fit(const struct ringd_segment_header *h)
{
    return h->policy >= RINGD_LOSSLESS && h->policy <= RINGD_OVERWRITE && h->time_source <= RINGD_TIME_TSC &&
           h->first_position % RINGD_UNIT == 0 && memchr(h->name, 0, sizeof h->name) != NULL;
}

static bool limits_fit(const struct ringd_segment_header *h)
{
    return h->stopped_policy >= RINGD_STOPPED_REPORT && h->stopped_policy <= RINGD_STOPPED_KILL &&
           (h->stopped_policy == RINGD_STOPPED_REPORT) == (h->stopped_after_ms == 0) &&
           h->slow_policy >= RINGD_SLOW_WAIT && h->slow_policy <= RINGD_SLOW_EVICT && h->slow_bytes <= h->data_bytes;
}

static void copy_geometry(const struct ringd_segment_header *h, struct geometry *g)
{
    *g = (struct geometry){
        .ring_id = h->ring_id,
        .segment_bytes = h->segment_bytes,
        .readers_bytes = h->readers_bytes,
        .data_offset = h->data_offset,
        .data_bytes = h->data_bytes,
        .max_grant = h->max_grant,
        .head_room = (RINGD_WRITERS_PER_LANE + 1) * h->max_grant,
        .stamp_key = h->stamp_key,
        .first_position = h->first_position,
        .generation = h->generation,
        .created_ns = h->created_ns,
        .ticks_per_second = h->ticks_per_second,
        .lane_count = h->lane_count,
        .lane_bytes = h->lane_bytes,
        .max_record = h->max_record,
        .policy = h->policy,
        .time_source = h->time_source,
        .stopped_policy = h->stopped_policy,
        .stopped_after_ms = h->stopped_after_ms,
        .slow_policy = h->slow_policy,
        .slow_after_ms = h->slow_after_ms,
        .slow_bytes = h->slow_bytes,
        .hold = h->flags & RINGD_SEGMENT_HOLD,
        .single = h->flags & RINGD_SEGMENT_SINGLE,
    };
    memcpy(g->name, h->name, sizeof g->name);
}

int segment_validate(const struct ringd_segment_header *header, uint64_t segment_bytes, uint64_t readers_bytes,
                     struct geometry *geometry)
{
    if (atomic_load_explicit(&header->magic, memory_order_relaxed) != RINGD_MAGIC)
        return -EBADMSG;
    if (header->layout_version != RINGD_LAYOUT_VERSION)
        return -EPROTONOSUPPORT;
    if (!sizes_fit(header) || !places_fit(header, segment_bytes, readers_bytes) || !choices_fit(header) ||
        !limits_fit(header))
        return -EBADMSG;
    copy_geometry(header, geometry);
    return 0;
}

/* Mappings are private to this process: a child gets none, so the kernel's evidence of death stays with the parent. */
static int map_bytes(void *at, size_t bytes, int protection, int fd, uint64_t offset, void **map)
{
    int flags = MAP_SHARED | (at != NULL ? MAP_FIXED : 0);
    void *address = mmap(at, bytes, protection, flags, fd, (off_t)offset);

    if (address == MAP_FAILED)
        return -errno;
    *map = address;
    if (madvise(address, bytes, MADV_DONTFORK) != 0 || madvise(address, bytes, MADV_DONTDUMP) != 0)
        return -errno;
    return 0;
}

/* The header is copied in one go and only the copy is looked at: who may write the segment may write its header. */
static int copy_header(const void *map, struct ringd_segment_header *copy)
{
    const struct ringd_segment_header *shared = map;

    if (atomic_load_explicit(&shared->magic, memory_order_acquire) != RINGD_MAGIC)
        return -EBADMSG;
    memcpy(copy, shared, sizeof *copy);
    return 0;
}

static int object_bytes(int fd, uint64_t at_least, uint64_t *bytes)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return -errno;
    if (status.st_size < 0 || (uint64_t)status.st_size < at_least)
        return -EBADMSG;
    *bytes = (uint64_t)status.st_size;
    return 0;
}

static int map_control(struct segment *segment, int segment_fd, uint64_t segment_bytes, uint64_t readers_bytes,
                       int protection)
{
    struct ringd_segment_header header;
    uint64_t control_bytes = segment_control_bytes(1);
    int result = map_bytes(NULL, control_bytes, protection, segment_fd, 0, &segment->control_map);

    if (segment->control_map != NULL)
        segment->control_map_bytes = control_bytes;
    if (result == 0)
        result = copy_header(segment->control_map, &header);
    if (result == 0)
        result = segment_validate(&header, segment_bytes, readers_bytes, &segment->geometry);
    if (result < 0 || segment->geometry.lane_count == 1)
        return result;

    /* More than one lane: the control part is longer than what was mapped to look at the header. */
    munmap(segment->control_map, control_bytes);
    segment->control_map = NULL;
    control_bytes = segment_control_bytes(segment->geometry.lane_count);
    result = map_bytes(NULL, control_bytes, protection, segment_fd, 0, &segment->control_map);
    segment->control_map_bytes = segment->control_map != NULL ? control_bytes : 0;
    return result;
}

static int map_readers(struct segment *segment, int readers_fd, int protection)
{
    int result = map_bytes(NULL, segment->geometry.readers_bytes, protection, readers_fd, 0, &segment->readers_map);

    if (segment->readers_map != NULL)
        segment->readers_map_bytes = segment->geometry.readers_bytes;
    if (result < 0)
        return result;
    segment->readers = segment->readers_map;
    segment->reader_slots = (void *)((unsigned char *)segment->readers_map + RINGD_SLOTS_OFFSET);
    segment->cursors = (void *)((unsigned char *)segment->readers_map + RINGD_CURSORS_OFFSET);
    segment->groups = (void *)(segment->cursors + (size_t)segment->geometry.lane_count * RINGD_READERS_MAX);
    segment->named = (void *)(segment->groups + (size_t)segment->geometry.lane_count * RINGD_GROUPS_MAX);
    return segment->readers->ring_id == segment->geometry.ring_id ? 0 : -EBADMSG;
}

int segment_reserve_range(void **range, size_t bytes)
{
    size_t spare_bytes = bytes < RINGD_HUGE_BYTES ? 0 : RINGD_HUGE_BYTES, before_bytes;
    unsigned char *begin =
        mmap(NULL, bytes + spare_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (begin == MAP_FAILED)
        return -errno;
    before_bytes = spare_bytes == 0 ? 0 : -(uintptr_t)begin % RINGD_HUGE_BYTES;
    if (before_bytes > 0)
        munmap(begin, before_bytes);
    if (spare_bytes > before_bytes)
        munmap(begin + before_bytes + bytes, spare_bytes - before_bytes);
    *range = begin + before_bytes;
    return 0;
}

/* Each lane's data twice, back to back, inside one reserved range of addresses: A A B B C C. The second half of a lane
 * and the first of the next are one piece of the object too, and one mapping: A, AB, BC, C. */
static int map_data(struct segment *segment, int segment_fd, int protection)
{
    const struct geometry *g = &segment->geometry;
    size_t bytes = 2 * g->data_bytes * g->lane_count;
    int result = segment_reserve_range(&segment->data_map, bytes);

    if (result < 0)
        return result;
    segment->data_map_bytes = bytes;
    for (uint32_t piece = 0; piece <= g->lane_count; piece++) {
        uint64_t begin = piece == 0 ? 0 : piece - 1, end = piece == g->lane_count ? piece : piece + 1;
        void *map = NULL;

        result = map_bytes((unsigned char *)segment->data_map + (begin + piece) * g->data_bytes,
                           (end - begin) * g->data_bytes, protection, segment_fd,
                           g->data_offset + begin * g->data_bytes, &map);
        if (result < 0)
            return result;
    }
    return 0;
}

static void copy_firsts(struct segment *segment)
{
    for (uint32_t lane = 0; lane < segment->geometry.lane_count; lane++)
        segment->firsts[lane] =
            atomic_load_explicit(&segment_lane(segment, lane)->first, memory_order_relaxed) & RINGD_POSITION_MASK;
}

static int map_objects(struct segment *segment, int segment_fd, int readers_fd, enum segment_grade grade)
{
    int segment_protection = grade == SEGMENT_WRITER ? PROT_READ | PROT_WRITE : PROT_READ;
    int readers_protection = grade == SEGMENT_OBSERVER ? PROT_READ : PROT_READ | PROT_WRITE;
    uint64_t segment_bytes, readers_bytes;
    int result = object_bytes(segment_fd, segment_control_bytes(1), &segment_bytes);

    if (result == 0)
        result = object_bytes(readers_fd, segment_readers_bytes(1), &readers_bytes);
    if (result == 0)
        result = map_control(segment, segment_fd, segment_bytes, readers_bytes, segment_protection);
    if (result == 0)
        result = map_readers(segment, readers_fd, readers_protection);
    if (result == 0)
        result = map_data(segment, segment_fd, segment_protection);
    return result;
}

int segment_map(struct segment *segment, int segment_fd, int readers_fd, enum segment_grade grade)
{
    int result;

    *segment = (struct segment){0};
    result = map_objects(segment, segment_fd, readers_fd, grade);
    if (result < 0) {
        segment_unmap(segment);
        return result;
    }
    segment->control = (void *)((unsigned char *)segment->control_map + RINGD_CONTROL_OFFSET);
    segment->lanes = (unsigned char *)segment->control_map + RINGD_LANES_OFFSET;
    segment->data = segment->data_map;
    copy_firsts(segment);
    return 0;
}

int segment_map_readers(struct segment *segment, const struct geometry *geometry, int readers_fd)
{
    uint64_t readers_bytes;
    int result = object_bytes(readers_fd, geometry->readers_bytes, &readers_bytes);

    *segment = (struct segment){.geometry = *geometry};
    if (result == 0)
        result = map_readers(segment, readers_fd, PROT_READ | PROT_WRITE);
    if (result < 0)
        segment_unmap(segment);
    return result;
}

void segment_unmap(struct segment *segment)
{
    if (segment->data_map != NULL)
        munmap(segment->data_map, segment->data_map_bytes);
    if (segment->readers_map != NULL)
        munmap(segment->readers_map, segment->readers_map_bytes);
    if (segment->control_map != NULL)
        munmap(segment->control_map, segment->control_map_bytes);
    *segment = (struct segment){0};
}

/* What cannot be unmapped now (that would make too many mappings of one) is tried again by the next call. */
void segment_unmap_part(struct segment *segment)
{
    size_t part_bytes = 2 * segment->geometry.data_bytes * segment->geometry.lane_count / SEGMENT_UNMAP_PARTS;
    size_t left_bytes;

    if (segment->data_map_bytes <= part_bytes) {
        segment_unmap(segment);
        return;
    }
    left_bytes = (segment->data_map_bytes - part_bytes) / PAGE_BYTES * PAGE_BYTES;
    if (munmap((unsigned char *)segment->data_map + left_bytes, segment->data_map_bytes - left_bytes) == 0)
        segment->data_map_bytes = left_bytes;
}

static bool map_contains(const void *map, size_t bytes, const void *address)
{
    return (uintptr_t)address - (uintptr_t)map < bytes;
}

bool segment_contains(const struct segment *segment, const void *address)
{
    return map_contains(segment->control_map, segment->control_map_bytes, address) ||
           map_contains(segment->readers_map, segment->readers_map_bytes, address) ||
           map_contains(segment->data_map, segment->data_map_bytes, address);
}

uint64_t segment_lane_first(const struct segment *segment, uint32_t lane)
{
    return segment->firsts[lane];
}

struct ringd_lane *segment_lane(const struct segment *segment, uint32_t lane)
{
    return (struct ringd_lane *)(void *)(segment->lanes + (size_t)lane * segment->geometry.lane_bytes);
}

unsigned char *segment_lane_data(const struct segment *segment, uint32_t lane)
{
    return segment->data + 2 * (size_t)lane * segment->geometry.data_bytes;
}

struct ringd_cursor *segment_cursor(const struct segment *segment, uint32_t lane, uint32_t reader)
{
    return &segment->cursors[(size_t)lane * RINGD_READERS_MAX + reader];
}

struct ringd_group_lane *segment_group(const struct segment *segment, uint32_t lane, uint32_t group)
{
    return &segment->groups[(size_t)lane * RINGD_GROUPS_MAX + group];
}

struct ringd_named_lane *segment_named(const struct segment *segment, uint32_t lane, uint32_t named)
{
    return &segment->named[(size_t)lane * RINGD_NAMED_MAX + named];
}
