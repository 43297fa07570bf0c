/* leftovers.c - see leftovers.h. The directory is read twice: rings first, then everything that has our id. */
#define _GNU_SOURCE
#include "leftovers.h"

#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "object_name.h"
#include "segment.h"
#include "shared_ring.h"

#define SHARED_DIRECTORY "/dev/shm"
#define SEGMENT_SUFFIX   "-segment"

/* A file in /dev/shm to a POSIX name. */
static struct object_name object_of_file(const char *file)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "/%s", file);
    return name;
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t text_len = strlen(text), suffix_len = strlen(suffix);

    return text_len > suffix_len && strcmp(text + text_len - suffix_len, suffix) == 0;
}

/* A descriptor, or -1: not there, not ours, not a file. */
static int open_own(const struct object_name *name)
{
    int fd = shm_open(name->text, O_RDWR | O_CLOEXEC, 0);
    struct stat status;

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid())
        return fd;
    close(fd);
    return -1;
}

static int end_mapped(int segment_fd, int readers_fd)
{
    struct segment segment;
    int result = segment_map(&segment, segment_fd, readers_fd, SEGMENT_WRITER);

    if (result < 0)
        return result;
    segment_end(&segment);
    segment_unmap(&segment);
    return 0;
}

static void end_ring(const char *segment_file)
{
    struct object_name segment_name = object_of_file(segment_file), ring = segment_name, readers_name;
    int segment_fd, readers_fd, result = -ENOENT;

    ring.text[strlen(ring.text) - strlen(SEGMENT_SUFFIX)] = '\0';
    readers_name = object_name_readers(&ring);
    segment_fd = open_own(&segment_name);
    readers_fd = open_own(&readers_name);
    if (segment_fd >= 0 && readers_fd >= 0)
        result = end_mapped(segment_fd, readers_fd);
    if (result < 0)
        log_warning("removing %s, left over from before: it is no ring (%s)", ring.text, strerror(-result));
    else
        log_info("removing %s, a ring left over from before; who is attached is told", ring.text);
    if (segment_fd >= 0)
        close(segment_fd);
    if (readers_fd >= 0)
        close(readers_fd);
}

/* Calls `visit` for each file whose name begins with this instance's id; returns how many there were. */
static unsigned for_each_own(const struct instance *instance, void (*visit)(const char *file))
{
    DIR *directory = opendir(SHARED_DIRECTORY);
    const struct dirent *entry;
    char prefix[32];
    unsigned count = 0;

    if (directory == NULL)
        return 0;
    snprintf(prefix, sizeof prefix, "ringd-%s-", instance->id);
    while ((entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            strlen(entry->d_name) > sizeof(struct object_name) - 2)
            continue;
        visit(entry->d_name);
        count++;
    }
    closedir(directory);
    return count;
}

static void visit_ring(const char *file)
{
    if (has_suffix(file, SEGMENT_SUFFIX))
        end_ring(file);
}

static void visit_unlink(const char *file)
{
    struct object_name name = object_of_file(file);

    if (shm_unlink(name.text) != 0)
        log_warning("cannot remove %s, left over from before: %s", name.text, strerror(errno));
}

void leftovers_clear(const struct instance *instance)
{
    unsigned count;

    for_each_own(instance, visit_ring);
    count = for_each_own(instance, visit_unlink);
    if (count != 0)
        log_info("%u shared-memory objects of a ringd that ended without cleaning up were removed", count);
}
