/* life.c - see life.h. */
#define _GNU_SOURCE
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIFE_BYTES 4096

/* The whole file, whatever its length. */
static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* What the client gets can only be read: a read lock is all that this needs. */
static int open_and_lock(const struct object_name *name)
{
    struct flock lock = whole_file(F_RDLCK);
    int fd = shm_open(name->text, O_RDONLY | O_CLOEXEC, 0), result;

    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    result = -errno;
    close(fd);
    return result;
}

int life_create(const struct object_name *name)
{
    int fd = shm_open(name->text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result;

    if (fd < 0)
        return -errno;
    result = -posix_fallocate(fd, 0, LIFE_BYTES);
    close(fd);
    if (result == 0)
        result = open_and_lock(name);
    if (result < 0)
        life_unlink(name);
    return result;
}

/* Lets go of it at once: whoever looks must not take this lock for the client's. */
int life_await(int fd)
{
    struct flock lock = whole_file(F_WRLCK);

    while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
        if (errno != EINTR)
            return -errno;
    }
    lock.l_type = F_UNLCK;
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

int life_open(const struct object_name *name)
{
    int fd = shm_open(name->text, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int life_look(const struct object_name *name)
{
    struct flock lock = whole_file(F_WRLCK);
    /* Who has a lease on it must not make the daemon wait; he lives. */
    int fd = shm_open(name->text, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return errno == EWOULDBLOCK ? LIFE_HELD : -errno;
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
