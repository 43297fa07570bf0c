/* peer_memory.c - buffers and shared memory for peers; see peer.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

static bool halve;
static unsigned char *half_page;
static size_t half_bytes;

static unsigned char *half_buffer_new(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), half = (bytes / 2 + 7) / 8 * 8, room = (half + page - 1) / page * page;
    unsigned char *map =
        mmap(NULL, 2 * room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (map == MAP_FAILED)
        return NULL;
    half_page = map + room;
    half_bytes = room;
    return map + room - half;
}

unsigned char *record_buffer_new(size_t bytes)
{
    return halve ? half_buffer_new(bytes) : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void record_buffers_halve(void)
{
    halve = true;
}

int record_buffer_break(void)
{
    return mprotect(half_page, half_bytes, PROT_NONE) ? -errno : 0;
}

void *shared_new(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

void shared_free(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

static void pages_touch(uintptr_t from, uintptr_t to, bool write)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (; from < to; from += page) {
        if (write)
            __atomic_fetch_or((unsigned char *)from, 0, __ATOMIC_RELAXED);
        else
            (void)*(volatile unsigned char *)from;
    }
}

void shared_touch(const void *but)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from, to;
    char rights[8], line[512];

    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[3] != 's' || rights[0] != 'r')
            continue;
        if ((uintptr_t)but < from || (uintptr_t)but >= to)
            pages_touch(from, to, rights[1] == 'w');
    }
    if (maps)
        fclose(maps);
}
