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

#include "notify.h"
#include "segment.h"
#include "stop_point.h"

#define NS_PER_S    UINT64_C(1000000000)
#define SLICE_BYTES (UINT64_C(1) << 28)

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
    if (object->named)
        shm_unlink(object->name.text);
    object->named = false;
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
    return 0;
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

static int check_free(int fd, uint64_t bytes, struct problem *problem)
{
    uint64_t file_system_bytes = free_in_file_system(fd), memory_bytes = free_in_memory();

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

/* In slices, because a large one takes seconds: the watchdog is told that this is no hang, and a signal costs no more
 * than a slice. */
static int object_reserve(const struct shared_object *object, struct problem *problem)
{
    int result = 0;

    for (uint64_t begin = 0; begin < object->bytes && result == 0; begin += SLICE_BYTES) {
        uint64_t left = object->bytes - begin;

        do
            result = posix_fallocate(object->fd, (off_t)begin, (off_t)(left < SLICE_BYTES ? left : SLICE_BYTES));
        while (result == EINTR);
        notify_alive();
    }
    if (result != 0)
        return problem_say(problem, -result, "cannot reserve %ju bytes of shared memory for the ring: %s",
                           (uintmax_t)object->bytes, strerror(result));
    return 0;
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

static uint64_t time_ticks(const struct ringd_ring_options *options, const struct ticks *ticks)
{
    if (options->time == RINGD_TIME_MONOTONIC)
        return NS_PER_S;
    return options->time == RINGD_TIME_TSC ? ticks_per_second(ticks) : 0;
}

/* All but what is random, and magic. */
static void header_init(struct ringd_segment_header *header, const struct segment_objects *objects, const char *name,
                        const struct ringd_ring_options *options, const struct ticks *ticks)
{
    header->layout_version = RINGD_LAYOUT_VERSION;
    header->flags = options->hold ? RINGD_SEGMENT_HOLD : 0;
    header->segment_bytes = objects->segment.bytes;
    header->readers_bytes = objects->readers.bytes;
    header->readers_offset = 0;
    header->lanes_offset = RINGD_LANES_OFFSET;
    header->data_offset = segment_data_offset(options->lanes);
    header->data_bytes = options->size;
    header->lane_count = options->lanes;
    header->lane_bytes = sizeof(struct ringd_lane);
    header->readers_max = RINGD_READERS_MAX;
    header->max_record = options->max_record;
    header->max_grant = segment_max_grant(options->max_record);
    header->policy = options->policy;
    header->time_source = options->time;
    header->first_position = options->first_position;
    header->generation = 1;
    header->created_ns = realtime_ns();
    header->ticks_per_second = time_ticks(options, ticks);
    header->stopped_policy = options->stopped;
    header->stopped_after_ms = options->stopped_after_ms;
    header->slow_policy = options->slow;
    header->slow_after_ms = options->slow_after_ms;
    header->slow_bytes = options->slow_bytes;
    strlcpy(header->name, name, sizeof header->name);
}

/* An empty lane: nobody active, everything up to a ring's length (less head room) ahead of the first position free. */
static void lane_init(struct ringd_lane *lane, const struct ringd_segment_header *header)
{
    uint64_t head_room = (RINGD_WRITERS_PER_LANE + 1) * header->max_grant;
    uint64_t units = header->first_position >> RINGD_UNIT_SHIFT;

    atomic_init(&lane->word, units << RINGD_W_POSITION_SHIFT);
    atomic_init(&lane->limit, header->first_position + header->data_bytes - head_room);
}

static int fill_segment(void *map, const struct segment_objects *objects, const char *name,
                        const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem)
{
    struct ringd_segment_header *header = map;
    struct ringd_control *control = (void *)((unsigned char *)map + RINGD_CONTROL_OFFSET);
    struct ringd_lane *lanes = (void *)((unsigned char *)map + RINGD_LANES_OFFSET);
    int result = fill_random(&header->ring_id, sizeof header->ring_id, problem);

    if (result == 0)
        result = fill_random(&header->stamp_key, sizeof header->stamp_key, problem);
    if (result < 0)
        return result;
    header_init(header, objects, name, options, ticks);
    atomic_init(&control->state, RINGD_RING_LIVE);
    for (uint32_t i = 0; i < options->lanes; i++)
        lane_init(&lanes[i], header);
    return 0;
}

/* The readers' object carries the ring's id; then the magic says that everything is there. */
static int publish(struct ringd_segment_header *header, int readers_fd, struct problem *problem)
{
    uint64_t ring_id = header->ring_id;

    if (pwrite(readers_fd, &ring_id, sizeof ring_id, offsetof(struct ringd_readers_header, ring_id)) != sizeof ring_id)
        return problem_say(problem, -EIO, "cannot write the readers' shared memory");
    STOP_POINT("create-filled");
    atomic_store_explicit(&header->magic, RINGD_MAGIC, memory_order_release);
    STOP_POINT("create-published");
    return 0;
}

static int fill(const struct segment_objects *objects, const char *name, const struct ringd_ring_options *options,
                const struct ticks *ticks, struct problem *problem)
{
    uint64_t bytes = segment_data_offset(options->lanes);
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, objects->segment.fd, 0);
    int result;

    if (map == MAP_FAILED)
        return problem_say(problem, -errno, "cannot map the ring's shared memory: %s", strerror(errno));
    result = fill_segment(map, objects, name, options, ticks, problem);
    if (result == 0)
        result = publish(map, objects->readers.fd, problem);
    munmap(map, bytes);
    return result;
}

int segment_create(struct segment_objects *objects, const struct object_name *ring, const char *name,
                   const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem)
{
    uint64_t segment_bytes = segment_data_offset(options->lanes) + options->lanes * options->size;
    uint64_t readers_bytes = segment_readers_bytes(options->lanes);
    int result = object_open(&objects->segment, object_name_segment(ring), segment_bytes, problem);

    if (result == 0) {
        STOP_POINT("create-named");
        result = object_open(&objects->readers, object_name_readers(ring), readers_bytes, problem);
    }
    if (result == 0)
        result = check_free(objects->segment.fd, segment_bytes + readers_bytes, problem);
    if (result == 0)
        result = object_reserve(&objects->segment, problem);
    if (result == 0)
        result = object_reserve(&objects->readers, problem);
    if (result == 0) {
        STOP_POINT("create-reserved");
        result = fill(objects, name, options, ticks, problem);
    }
    if (result < 0)
        segment_objects_deinit(objects);
    return result;
}
