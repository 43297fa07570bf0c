/* life.c - see life.h. */
#define _GNU_SOURCE
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_store.h"
#include "record_page.h"
#include "shared_file.h"

/* The whole file, whatever its length. */
static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* What the client gets can only be read: a read lock is all that this needs. */
static int lock_anew(int fd)
{
    struct flock lock = whole_file(F_RDLCK);
    int locked = shared_file_reopen(fd, O_RDONLY), result;

    if (locked < 0)
        return locked;
    if (fcntl(locked, F_OFD_SETLK, &lock) == 0)
        return locked;
    result = -errno;
    close(locked);
    return result;
}

static int fill_lock_and_link(int fd, const struct object_name *name, const struct ringd_life *page)
{
    int locked, result;

    if (pwrite(fd, page, sizeof *page, 0) != sizeof *page)
        return -EIO;
    locked = lock_anew(fd);
    if (locked < 0)
        return locked;
    result = shared_file_link(fd, name);
    if (result == 0) {
        fd_store_keep(name, fd);
        return locked;
    }
    close(locked);
    return result;
}

int life_create(const struct object_name *name, const struct ringd_life *page)
{
    int fd = shared_file_new(RINGD_LIFE_BYTES), result;

    if (fd < 0)
        return fd;
    result = fill_lock_and_link(fd, name, page);
    close(fd);
    return result;
}

int life_read(const struct object_name *name, struct ringd_life *page)
{
    bool named;
    int fd = fd_store_open(name, O_RDONLY, &named);
    ssize_t len;

    if (fd < 0)
        return fd;
    len = pread(fd, page, sizeof *page, 0);
    close(fd);
    return len == sizeof *page && life_page_is_sound(page) ? 0 : -EBADMSG;
}

void life_keep(const struct object_name *name)
{
    bool named;
    int fd = fd_store_open(name, O_RDONLY, &named);

    if (fd < 0)
        return;
    fd_store_keep(name, fd);
    close(fd);
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
    bool named;

    return fd_store_open(name, O_RDWR, &named);
}

int life_look(const struct object_name *name)
{
    struct flock lock = whole_file(F_WRLCK);
    bool named;
    int fd = fd_store_open(name, O_RDONLY, &named), result;

    if (fd < 0)
        return fd == -EWOULDBLOCK ? LIFE_HELD : fd; /* who has a lease on it lives */
    result = fcntl(fd, F_OFD_GETLK, &lock) == 0 ? 0 : -errno;
    close(fd);
    if (result < 0)
        return result;
    return lock.l_type == F_UNLCK ? LIFE_GONE : LIFE_HELD;
}

void life_unlink(const struct object_name *name)
{
    shm_unlink(name->text);
    fd_store_forget(name);
}
