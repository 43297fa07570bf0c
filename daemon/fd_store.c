/* fd_store.c - see fd_store.h. Failures to store are nobody's business: the names are there, and the manager logs. */
#define _GNU_SOURCE
#include "fd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "shared_file.h"

struct stored {
    struct object_name name;
    int fd;
    bool used; /* the object is still wanted */
};

static struct stored *table; /* what came, and afterwards that of it which has no name */
static size_t table_count;

/* ---- what came ------------------------------------------------------------------------------------------------- */

static int add(const struct object_name *name, int fd)
{
    struct stored *longer = reallocarray(table, table_count + 1, sizeof *table);

    if (longer == NULL)
        return -ENOMEM;
    table = longer;
    table[table_count++] = (struct stored){.name = *name, .fd = fd};
    return 0;
}

static struct stored *find(const struct object_name *name)
{
    for (size_t i = 0; i < table_count; i++) {
        if (strcmp(table[i].name.text, name->text) == 0)
            return &table[i];
    }
    return NULL;
}

/* Of an object of this instance, a regular file of our own. */
static bool is_object(int fd, const struct object_name *name, const char *instance_id)
{
    struct object_parts parts;
    struct stat status;

    return object_name_parse(name, instance_id, &parts) && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           status.st_uid == geteuid();
}

static int take_socket(int fd, int count, int *socket_fd, struct problem *problem)
{
    if (*socket_fd >= 0 || sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
        return problem_say(problem, -EINVAL,
                           "%d sockets came from the service manager; ringd takes one listening Unix socket of type "
                           "SOCK_SEQPACKET (ListenSequentialPacket=)",
                           count);
    *socket_fd = fd;
    return 0;
}

/* A file that is none of ours (another runtime directory than last time?) is closed, and the manager told to do so. */
static int take(int fd, const char *label, int count, const char *instance_id, int *socket_fd, struct problem *problem)
{
    struct object_name name = object_name_of_file(label);
    struct stat status;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return take_socket(fd, count, socket_fd, problem);
    if (is_object(fd, &name, instance_id) && find(&name) == NULL)
        return add(&name, fd) < 0 ? problem_say(problem, -ENOMEM, "out of memory") : 0;
    close(fd);
    fd_store_forget(&name);
    return 0;
}

int fd_store_receive(const char *instance_id, int *socket_fd, struct problem *problem)
{
    char **labels = NULL;
    int count = sd_listen_fds_with_names(1, &labels), result = 0;

    *socket_fd = -1;
    if (count < 0)
        return problem_say(problem, count, "cannot tell which descriptors the service manager passed: %s",
                           strerror(-count));
    for (int i = 0; i < count && result == 0; i++)
        result = take(SD_LISTEN_FDS_START + i, labels[i], count, instance_id, socket_fd, problem);
    for (int i = 0; i < count; i++)
        free(labels[i]);
    free(labels);
    return result;
}

int fd_store_each(int (*visit)(const struct object_name *name, void *argument), void *argument)
{
    int result = 0;

    for (size_t i = 0; i < table_count && result == 0; i++)
        result = visit(&table[i].name, argument);
    return result;
}

int fd_store_open(const struct object_name *name, int flags, bool *named)
{
    struct stored *stored = find(name);
    int fd = shared_file_open(name, flags);

    *named = fd >= 0;
    if (fd == -ENOENT && stored != NULL)
        fd = shared_file_reopen(stored->fd, flags);
    return fd;
}

static void drop(struct stored *stored)
{
    close(stored->fd);
    *stored = table[--table_count];
}

/* From the end on, as the last one takes the place of each that goes. */
void fd_store_settle(void)
{
    for (size_t i = table_count; i-- > 0;) {
        struct object_name name = table[i].name;

        if (!table[i].used)
            fd_store_forget(&name);
        else if (shared_file_is_named(table[i].fd, &name))
            drop(&table[i]);
    }
}

/* ---- what goes ------------------------------------------------------------------------------------------------- */

static bool same_file(int a, int b)
{
    struct stat first, second;

    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool has_manager(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

void fd_store_keep(const struct object_name *name, int fd)
{
    struct stored *stored = find(name);
    char text[sizeof name->text + 32];
    int opened;

    if (stored != NULL && same_file(stored->fd, fd)) {
        stored->used = true;
        return;
    }
    if (stored != NULL)
        fd_store_forget(name);
    if (!has_manager())
        return;
    opened = shared_file_reopen(fd, O_RDWR);
    if (opened < 0)
        return;
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name->text + 1);
    sd_pid_notify_with_fds(0, 0, text, &opened, 1);
    close(opened);
}

void fd_store_forget(const struct object_name *name)
{
    struct stored *stored = find(name);

    if (stored != NULL)
        drop(stored);
    if (has_manager())
        sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name->text + 1);
}
