/* shared_file.c - see shared_file.h. */
#define _GNU_SOURCE
#include "shared_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARED_DIRECTORY "/dev/shm"

struct descriptor_path {
    char text[32];
};

static struct descriptor_path path_of(int fd)
{
    struct descriptor_path path;

    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

int shared_file_new(uint64_t bytes)
{
    int fd = open(SHARED_DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), result;

    if (fd < 0)
        return -errno;
    result = -posix_fallocate(fd, 0, (off_t)bytes);
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

int shared_file_link(int fd, const struct object_name *name)
{
    char path[sizeof SHARED_DIRECTORY + sizeof name->text];

    snprintf(path, sizeof path, SHARED_DIRECTORY "%s", name->text);
    return linkat(AT_FDCWD, path_of(fd).text, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

int shared_file_open_of(const struct object_name *name, int flags, uid_t user)
{
    /* Who has a lease on it, or has put a pipe there, must not make the daemon wait. */
    int fd = shm_open(name->text, flags | O_NONBLOCK | O_CLOEXEC, 0);
    struct stat status;

    if (fd < 0)
        return errno == ELOOP || errno == EACCES ? -EPERM : -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == user)
        return fd;
    close(fd);
    return -EPERM;
}

int shared_file_open(const struct object_name *name, int flags)
{
    return shared_file_open_of(name, flags, geteuid());
}

int shared_file_reopen(int fd, int flags)
{
    int opened = open(path_of(fd).text, flags | O_NONBLOCK | O_CLOEXEC);

    return opened < 0 ? -errno : opened;
}

bool shared_file_is_named(int fd, const struct object_name *name)
{
    char path[sizeof SHARED_DIRECTORY + sizeof name->text];
    struct stat file, named;

    snprintf(path, sizeof path, SHARED_DIRECTORY "%s", name->text);
    return fstat(fd, &file) == 0 && lstat(path, &named) == 0 && file.st_dev == named.st_dev &&
           file.st_ino == named.st_ino;
}

int shared_file_each(const char *prefix, int (*visit)(const char *file, void *argument), void *argument)
{
    DIR *directory = opendir(SHARED_DIRECTORY);
    const struct dirent *entry;
    int result = 0;

    if (directory == NULL)
        return -errno;
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            result = visit(entry->d_name, argument);
    }
    closedir(directory);
    return result;
}
