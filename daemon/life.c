/* life.c - see life.h. */
#define _GNU_SOURCE
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIFE_BYTES 4096

/* The whole file, whatever its length. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static int fill_and_lock(int fd)
{
    struct flock lock = whole_file();
    int result = posix_fallocate(fd, 0, LIFE_BYTES);

    if (result != 0)
        return -result;
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

int life_create(const struct object_name *name)
{
    int fd = shm_open(name->text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result;

    if (fd < 0)
        return -errno;
    result = fill_and_lock(fd);
    if (result < 0) {
        close(fd);
        life_unlink(name);
        return result;
    }
    return fd;
}

int life_look(const struct object_name *name)
{
    struct flock lock = whole_file();
    int fd = shm_open(name->text, O_RDWR | O_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return -errno;
    result = fcntl(fd, F_OFD_GETLK, &lock) == 0 ? 0 : -errno;
    close(fd);
    if (result < 0)
        return result;
    return lock.l_type == F_UNLCK ? LIFE_GONE : LIFE_HELD;
}

void life_unlink(const struct object_name *name)
{
    shm_unlink(name->text);
}
