/* segment_create.c - see segment_create.h; the map that is filled here is include/ringd_segment.h. */
#define _GNU_SOURCE
#include "segment_create.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "fd_store.h"
#include "reservation.h"
#include "shared_file.h"
#include "stop_point.h"

#define NS_PER_S UINT64_C(1000000000)

/* ---- objects --------------------------------------------------------------------------------------------------- */

static void object_init(struct shared_object *object)
{
    *object = (struct shared_object){.fd = -1, .read_fd = -1};
}

void segment_objects_init(struct segment_objects *objects)
{
    object_init(&objects->segment);
    object_init(&objects->readers);
}

static void object_unlink(struct shared_object *object)
{
    if (object->named && shared_file_is_named(object->fd, &object->name))
        shm_unlink(object->name.text);
    if (object->named || object->stored)
        fd_store_forget(&object->name);
    object->named = object->stored = false;
}

static void object_deinit(struct shared_object *object)
{
    object_unlink(object);
    if (object->fd >= 0)
        close(object->fd);
    if (object->read_fd >= 0)
        close(object->read_fd);
    object_init(object);
}

void segment_objects_leave(struct segment_objects *objects)
{
    objects->segment.named = objects->segment.stored = false;
    objects->readers.named = objects->readers.stored = false;
}

void segment_objects_unlink(struct segment_objects *objects)
{
    object_unlink(&objects->segment);
    object_unlink(&objects->readers);
}

void segment_objects_deinit(struct segment_objects *objects)
{
    object_deinit(&objects->segment);
    object_deinit(&objects->readers);
}

static bool object_damaged(const struct shared_object *object)
{
    struct stat status;

    return fstat(object->fd, &status) == 0 && (uint64_t)status.st_size < object->bytes;
}

bool segment_objects_damaged(const struct segment_objects *objects)
{
    return object_damaged(&objects->segment) || object_damaged(&objects->readers);
}

static int object_open(struct shared_object *object, struct object_name name, uint64_t bytes, struct problem *problem)
{
    object->name = name;
    object->bytes = bytes;
    object->fd = shm_open(name.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (object->fd < 0)
        return problem_say(problem, -errno, "cannot make shared memory %s: %s%s", name.text, strerror(errno),
                           errno == EEXIST ? "; it is not this ringd's, remove /dev/shm's file of that name" : "");
    object->named = true;
    object->read_fd = shm_open(name.text, O_RDONLY | O_CLOEXEC, 0);
    if (object->read_fd < 0)
        return problem_say(problem, -errno, "cannot open shared memory %s: %s", name.text, strerror(errno));
    if (ftruncate(object->fd, (off_t)bytes) != 0)
        return problem_say(problem, -errno, "cannot make shared memory %s %ju bytes long: %s", name.text,
                           (uintmax_t)bytes, strerror(errno));
    return 0;
}

static int object_take(struct shared_object *object, struct object_name name, uint64_t bytes)
{
    object->name = name;
    object->bytes = bytes;
    object->fd = fd_store_open(&name, O_RDWR, &object->named);
    if (object->fd < 0)
        return object->fd;
    object->read_fd = shared_file_reopen(object->fd, O_RDONLY);
    if (object->read_fd < 0)
        return object->read_fd;
    return object_damaged(object) ? -EBADMSG : 0;
}

int segment_objects_open(struct segment_objects *objects, const struct object_name *ring, uint64_t segment_bytes,
                         uint64_t readers_bytes)
{
    int result;

    segment_objects_init(objects);
    result = object_take(&objects->segment, object_name_segment(ring), segment_bytes);
    if (result == 0)
        result = object_take(&objects->readers, object_name_readers(ring), readers_bytes);
    if (result < 0) {
        segment_objects_leave(objects);
        segment_objects_deinit(objects);
    }
    return result;
}

void segment_objects_keep(struct segment_objects *objects)
{
    fd_store_keep(&objects->segment.name, objects->segment.fd);
    fd_store_keep(&objects->readers.name, objects->readers.fd);
    objects->segment.stored = objects->readers.stored = true;
}

/* What tmpfs would still give out. One without a size of its own tells no blocks. */
static uint64_t free_in_file_system(int fd)
{
    struct statvfs status;

    if (fstatvfs(fd, &status) != 0 || status.f_blocks == 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

/* What the machine has: tmpfs may be larger than that, and to fill it would end other processes. */
static uint64_t free_in_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t available_kib = 0, swap_kib = 0;
    char line[128];
    bool found = false;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        found |= sscanf(line, "MemAvailable: %" SCNu64, &available_kib) == 1;
        sscanf(line, "SwapFree: %" SCNu64, &swap_kib);
    }
    if (file != NULL)
        fclose(file);
    return found ? (available_kib + swap_kib) * 1024 : UINT64_MAX;
}

static uint64_t less(uint64_t bytes, uint64_t taken_bytes)
{
    return bytes > taken_bytes ? bytes - taken_bytes : 0;
}

/* What others have been promised and have not got yet is not free any more. */
static int check_free(int fd, uint64_t bytes, struct problem *problem)
{
    uint64_t promised_bytes = reservation_pending_bytes();
    uint64_t file_system_bytes = less(free_in_file_system(fd), promised_bytes);
    uint64_t memory_bytes = less(free_in_memory(), promised_bytes);

    if (bytes > file_system_bytes)
        return problem_say(
            problem, -ENOSPC,
            "the ring takes %ju bytes of shared memory and /dev/shm has %ju free; make it smaller, remove "
            "other rings, or enlarge /dev/shm (mount -o remount,size=...)",
            (uintmax_t)bytes, (uintmax_t)file_system_bytes);
    if (bytes > memory_bytes)
        return problem_say(problem, -ENOSPC,
                           "the ring takes %ju bytes of memory and this machine has %ju available; make it smaller or "
                           "remove other rings",
                           (uintmax_t)bytes, (uintmax_t)memory_bytes);
    return 0;
}

static int say_short(uint64_t bytes, int result, struct problem *problem)
{
    return problem_say(problem, result, "cannot reserve %ju bytes of shared memory for the ring: %s", (uintmax_t)bytes,
                       strerror(-result));
}

static int reserve(struct page_range pages, struct problem *problem)
{
    int result = reservation_run(pages, NULL);

    return result < 0 ? say_short(pages.end - pages.begin, result, problem) : 0;
}

/* ---- contents -------------------------------------------------------------------------------------------------- */

static int fill_random(void *bytes, size_t len, struct problem *problem)
{
    /* Up to 256 bytes come whole. */
    if (getrandom(bytes, len, 0) != (ssize_t)len)
        return problem_say(problem, -errno, "no random numbers: %s", strerror(errno));
    return 0;
}

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What a segment is made from. `before`: the generation before it, NULL for a ring that is new. */
struct plan {
    const char *name;
    const struct ringd_ring_options *options;
    const struct geometry *before;
    const struct ticks *ticks;
};

static uint64_t time_ticks(const struct plan *plan)
{
    const struct ringd_ring_options *options = plan->options;

    if (plan->before != NULL)
        return plan->before->ticks_per_second;
    if (options->time == RINGD_TIME_MONOTONIC)
        return NS_PER_S;
    return options->time == RINGD_TIME_TSC ? ticks_per_second(plan->ticks) : 0;
}

/* All but what is random, and magic. */
static void header_init(struct ringd_segment_header *header, const struct segment_objects *objects,
                        const struct plan *plan)
{
    const struct ringd_ring_options *options = plan->options;

    header->layout_version = RINGD_LAYOUT_VERSION;
    header->flags = (options->hold ? RINGD_SEGMENT_HOLD : 0) | (options->writers == 1 ? RINGD_SEGMENT_SINGLE : 0);
    header->segment_bytes = objects->segment.bytes;
    header->readers_bytes = objects->readers.bytes;
    header->readers_offset = 0;
    header->lanes_offset = RINGD_LANES_OFFSET;
    header->data_offset = segment_data_offset(options->lanes, options->size);
    header->data_bytes = options->size;
    header->lane_count = options->lanes;
    header->lane_bytes = sizeof(struct ringd_lane);
    header->readers_max = RINGD_READERS_MAX;
    header->max_record = options->max_record;
    header->max_grant = segment_max_grant(options->max_record);
    header->policy = options->policy;
    header->time_source = options->time;
    header->first_position = options->first_position;
    header->generation = plan->before != NULL ? plan->before->generation + 1 : 1;
    header->created_ns = plan->before != NULL ? plan->before->created_ns : realtime_ns();
    header->ticks_per_second = time_ticks(plan);
    header->stopped_policy = options->stopped;
    header->stopped_after_ms = options->stopped_after_ms;
    header->slow_policy = options->slow;
    header->slow_after_ms = options->slow_after_ms;
    header->slow_bytes = options->slow_bytes;
    strlcpy(header->name, plan->name, sizeof header->name);
}

/* An empty lane: nobody active, everything up to a ring's length (less head room) ahead of the first position free. */
static void lane_init(struct ringd_lane *lane, const struct ringd_segment_header *header)
{
    uint64_t head_room = (RINGD_WRITERS_PER_LANE + 1) * header->max_grant;
    uint64_t units = header->first_position >> RINGD_UNIT_SHIFT;

    atomic_init(&lane->word, units << RINGD_W_POSITION_SHIFT);
    atomic_init(&lane->limit, header->first_position + header->data_bytes - head_room);
    atomic_init(&lane->first, header->first_position);
}

/* A generation has a key of its own; the ring's id stays. */
static int fill_random_part(struct ringd_segment_header *header, const struct plan *plan, struct problem *problem)
{
    int result = fill_random(&header->stamp_key, sizeof header->stamp_key, problem);

    if (result == 0 && plan->before == NULL)
        return fill_random(&header->ring_id, sizeof header->ring_id, problem);
    if (result == 0)
        header->ring_id = plan->before->ring_id;
    return result;
}

static int fill_segment(void *map, const struct segment_objects *objects, const struct plan *plan,
                        struct problem *problem)
{
    struct ringd_segment_header *header = map;
    struct ringd_control *control = (void *)((unsigned char *)map + RINGD_CONTROL_OFFSET);
    struct ringd_lane *lanes = (void *)((unsigned char *)map + RINGD_LANES_OFFSET);
    int result = fill_random_part(header, plan, problem);

    if (result < 0)
        return result;
    header_init(header, objects, plan);
    atomic_init(&control->state, RINGD_RING_LIVE);
    for (uint32_t i = 0; i < header->lane_count; i++)
        lane_init(&lanes[i], header);
    return 0;
}

/* The readers' object carries the ring's id. */
static int fill(const struct segment_objects *objects, const struct plan *plan, struct problem *problem)
{
    uint64_t bytes = segment_control_bytes(plan->options->lanes);
    struct ringd_segment_header *header = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, objects->segment.fd, 0);
    int result;

    if (header == MAP_FAILED)
        return problem_say(problem, -errno, "cannot map the ring's shared memory: %s", strerror(errno));
    result = fill_segment(header, objects, plan, problem);
    if (result == 0 && pwrite(objects->readers.fd, &header->ring_id, sizeof header->ring_id,
                              offsetof(struct ringd_readers_header, ring_id)) != sizeof header->ring_id)
        result = problem_say(problem, -EIO, "cannot write the readers' shared memory");
    munmap(header, bytes);
    return result;
}

static int make(struct segment_objects *objects, const struct object_name *ring, const struct plan *plan,
                struct problem *problem)
{
    const struct ringd_ring_options *options = plan->options;
    uint64_t control_bytes = segment_control_bytes(options->lanes), data_bytes = options->lanes * options->size;
    uint64_t readers_bytes = segment_readers_bytes(options->lanes);
    int result;

    objects->data_offset = segment_data_offset(options->lanes, options->size);
    result = object_open(&objects->segment, object_name_segment(ring), objects->data_offset + data_bytes, problem);
    if (result == 0) {
        STOP_POINT("create-named");
        result = object_open(&objects->readers, object_name_readers(ring), readers_bytes, problem);
    }
    if (result == 0)
        result = check_free(objects->segment.fd, control_bytes + data_bytes + readers_bytes, problem);
    if (result == 0)
        result = reserve((struct page_range){objects->readers.fd, 0, readers_bytes}, problem);
    if (result == 0)
        result = reserve((struct page_range){objects->segment.fd, 0, control_bytes}, problem);
    return result < 0 ? result : fill(objects, plan, problem);
}

/* All but the pages of the data. */
static int begin(struct segment_objects *objects, const struct object_name *ring, const struct plan *plan,
                 struct problem *problem)
{
    int result = make(objects, ring, plan, problem);

    if (result < 0) {
        segment_objects_deinit(objects);
        return result;
    }
    STOP_POINT("create-filled");
    return 0;
}

int segment_create_begin(struct segment_objects *objects, const struct object_name *ring, const char *name,
                         const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem)
{
    const struct plan plan = {.name = name, .options = options, .ticks = ticks};

    return begin(objects, ring, &plan, problem);
}

int segment_create_begin_next(struct segment_objects *objects, const struct object_name *ring,
                              const struct geometry *before, uint64_t size, struct problem *problem)
{
    const struct ringd_ring_options options = {
        .size = size,
        .policy = before->policy,
        .time = before->time_source,
        .max_record = before->max_record,
        .hold = before->hold,
        .writers = geometry_writers(before),
        .lanes = before->lane_count,
        .stopped = before->stopped_policy,
        .stopped_after_ms = before->stopped_after_ms,
        .slow = before->slow_policy,
        .slow_after_ms = before->slow_after_ms,
        .slow_bytes = before->slow_bytes < size ? before->slow_bytes : size,
    };
    const struct plan plan = {.name = before->name, .options = &options, .before = before};

    return begin(objects, ring, &plan, problem);
}

struct page_range segment_data_pages(const struct segment_objects *objects)
{
    return (struct page_range){objects->segment.fd, objects->data_offset, objects->segment.bytes};
}

/* The magic says that everything is there. */
int segment_create_end(const struct segment_objects *objects, int reserved, struct problem *problem)
{
    struct ringd_segment_header *header;

    if (reserved < 0)
        return say_short(objects->segment.bytes - objects->data_offset, reserved, problem);
    STOP_POINT("create-reserved");
    header = mmap(NULL, sizeof *header, PROT_READ | PROT_WRITE, MAP_SHARED, objects->segment.fd, 0);
    if (header == MAP_FAILED)
        return problem_say(problem, -errno, "cannot map the ring's shared memory: %s", strerror(errno));
    atomic_store_explicit(&header->magic, RINGD_MAGIC, memory_order_release);
    STOP_POINT("create-published");
    munmap(header, sizeof *header);
    return 0;
}

int segment_create(struct segment_objects *objects, const struct object_name *ring, const char *name,
                   const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem)
{
    int result = segment_create_begin(objects, ring, name, options, ticks, problem);

    if (result < 0)
        return result;
    result = segment_create_end(objects, reservation_run(segment_data_pages(objects), NULL), problem);
    if (result < 0)
        segment_objects_deinit(objects);
    return result;
}

void segment_begin_at(struct segment *segment, uint32_t lane, uint64_t position)
{
    struct ringd_segment_header *header = segment->control_map;

    atomic_store_explicit(&segment_lane(segment, lane)->first, position, memory_order_relaxed);
    segment->firsts[lane] = position;
    if (lane != 0)
        return;
    header->first_position = position;
    segment->geometry.first_position = position;
}
