/* ring_record.c - see ring_record.h. */
#define _GNU_SOURCE
#include "ring_record.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_store.h"
#include "shared_file.h"

void ring_record_init(struct ring_record *record)
{
    *record = (struct ring_record){.fd = -1};
}

void ring_record_deinit(struct ring_record *record)
{
    if (record->page != NULL)
        munmap(record->page, record->bytes);
    if (record->fd >= 0)
        close(record->fd);
    ring_record_init(record);
}

static int map(struct ring_record *record, uint64_t bytes)
{
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, record->fd, 0);

    if (page == MAP_FAILED)
        return -errno;
    record->page = page;
    record->bytes = bytes;
    return 0;
}

static void claim(struct ring_record *record)
{
    atomic_store_explicit(&record->page->daemon_pid, (uint32_t)getpid(), memory_order_relaxed);
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

static void fill(struct record_page *page, const char *ring, const struct ringd_ring_options *options,
                 const struct ring_rights *rights)
{
    page->magic = RECORD_MAGIC;
    page->version = RECORD_VERSION;
    page->owner = rights->owner;
    page->group = rights->group;
    page->lane_count = options->lanes;
    page->options = *options;
    strlcpy(page->name, ring, sizeof page->name);
    atomic_store_explicit(&page->state, RECORD_MAKING, memory_order_release);
}

static int make(struct ring_record *record, const char *ring, const struct ringd_ring_options *options,
                const struct ring_rights *rights)
{
    uint64_t bytes = record_page_bytes(options->lanes);
    int result;

    record->fd = shared_file_new(bytes);
    result = record->fd < 0 ? record->fd : map(record, bytes);
    if (result < 0)
        return result;
    fill(record->page, ring, options, rights);
    claim(record);
    if (flock(record->fd, LOCK_EX | LOCK_NB) != 0)
        return -errno;
    result = shared_file_link(record->fd, &record->name);
    record->named = result == 0;
    return result;
}

int ring_record_create(struct ring_record *record, const char *instance_id, const char *ring,
                       const struct ringd_ring_options *options, const struct ring_rights *rights,
                       struct problem *problem)
{
    int result;

    ring_record_init(record);
    record->name = object_name_record(instance_id, ring);
    result = make(record, ring, options, rights);
    if (result == -EEXIST)
        problem_say(problem, result,
                    "/dev/shm%s is there already: the ring of another version of ringd, or not of this ringd at all; "
                    "remove it, or choose another name for the ring",
                    record->name.text);
    else if (result < 0)
        problem_say(problem, result, "cannot make shared memory %s: %s", record->name.text, strerror(-result));
    if (result < 0)
        ring_record_deinit(record);
    return result;
}

/* ---- taking over ----------------------------------------------------------------------------------------------- */

static int check(struct ring_record *record, const char *ring)
{
    struct stat status;
    int result;

    if (fstat(record->fd, &status) != 0 || (uint64_t)status.st_size < sizeof(struct record_page))
        return -EBADMSG;
    result = map(record, (uint64_t)status.st_size);
    return result < 0 ? result : record_page_check(record->page, record->bytes, ring);
}

/* Its pid stands at the same place in every version. */
static uint32_t read_owner(int fd)
{
    uint32_t pid = 0;

    if (pread(fd, &pid, sizeof pid, offsetof(struct record_page, daemon_pid)) != sizeof pid)
        return 0;
    return pid;
}

/* Whoever held the lock may have removed the name just before he let go. */
static int lock(const struct ring_record *record, uint32_t *pid)
{
    if (flock(record->fd, LOCK_EX | LOCK_NB) == 0)
        return !record->named || shared_file_is_named(record->fd, &record->name) ? 0 : -ENOENT;
    *pid = read_owner(record->fd);
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

int ring_record_open(struct ring_record *record, const struct object_name *name, const char *ring, uint32_t *pid)
{
    int result;

    ring_record_init(record);
    record->name = *name;
    record->fd = fd_store_open(name, O_RDWR, &record->named);
    result = record->fd < 0 ? record->fd : lock(record, pid);
    if (result == 0)
        result = check(record, ring);
    if (result < 0 && result != -EBADMSG)
        ring_record_deinit(record);
    else if (result == 0)
        claim(record);
    return result;
}

/* ---- what becomes of it ---------------------------------------------------------------------------------------- */

static struct record_generation *entry_of(const struct ring_record *record, uint64_t generation)
{
    return &record->page->generations[generation % RECORD_GENERATIONS];
}

void ring_record_move(struct ring_record *record, const struct ringd_segment_header *header)
{
    struct record_generation *entry = entry_of(record, header->generation);

    memcpy(&entry->header, header, sizeof *header);
    atomic_store_explicit(&entry->number, header->generation, memory_order_release);
    atomic_store_explicit(&record->page->generation, header->generation, memory_order_release);
}

void ring_record_forget(struct ring_record *record, uint64_t generation)
{
    struct record_generation *entry = entry_of(record, generation);

    if (atomic_load_explicit(&entry->number, memory_order_relaxed) == generation)
        atomic_store_explicit(&entry->number, 0, memory_order_release);
}

const struct ringd_segment_header *ring_record_header(const struct ring_record *record, uint64_t generation)
{
    return record_page_header(record->page, generation);
}

void ring_record_publish(struct ring_record *record, const struct ringd_segment_header *header)
{
    ring_record_move(record, header);
    atomic_store_explicit(&record->page->state, RECORD_LIVE, memory_order_release);
    ring_record_keep(record);
}

void ring_record_keep(const struct ring_record *record)
{
    fd_store_keep(&record->name, record->fd);
}

void ring_record_end(struct ring_record *record)
{
    atomic_store_explicit(&record->page->state, RECORD_REMOVED, memory_order_release);
}

bool ring_record_claimed(const struct ring_record *record)
{
    return !record->named || shared_file_is_named(record->fd, &record->name);
}

void ring_record_unlink(struct ring_record *record)
{
    if (record->named && ring_record_claimed(record))
        shm_unlink(record->name.text);
    record->named = false;
    fd_store_forget(&record->name);
}
