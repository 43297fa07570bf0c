/* instance.c - see instance.h. */
#define _GNU_SOURCE
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

void instance_init(struct instance *instance)
{
    *instance = (struct instance){.lock_fd = -1};
}

static int make_directory(struct instance *instance, const char *directory, struct problem *problem)
{
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return problem_say(problem, -errno, "cannot make the runtime directory %s: %s; choose one with --runtime-dir",
                           directory, strerror(errno));
    instance->directory = realpath(directory, NULL);
    if (instance->directory == NULL)
        return problem_say(problem, -errno, "cannot use the runtime directory %s: %s", directory, strerror(errno));
    return 0;
}

/* For the words of a second daemon; 0 when the first has not written it yet. */
static uint32_t lock_holder(int fd)
{
    char text[24] = "";

    if (pread(fd, text, sizeof text - 1, 0) < 0)
        return 0;
    return (uint32_t)strtoul(text, NULL, 10);
}

static int take_lock(struct instance *instance, struct problem *problem)
{
    uint32_t pid;

    if (flock(instance->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return problem_say(problem, -errno, "cannot lock %s/" INSTANCE_LOCK_NAME ": %s", instance->directory,
                           strerror(errno));
    pid = lock_holder(instance->lock_fd);
    if (process_is_stopped(pid))
        return problem_say(
            problem, -EBUSY,
            "another ringd (pid %u) owns %s and is stopped; kill -CONT %u lets it go on, kill -9 %u ends "
            "it; or choose another directory with --runtime-dir",
            pid, instance->directory, pid, pid);
    return problem_say(problem, -EBUSY,
                       "another ringd (pid %u) runs on %s; stop it, or choose another directory with --runtime-dir",
                       pid, instance->directory);
}

static int open_lock(struct instance *instance, struct problem *problem)
{
    if (asprintf(&instance->lock_path, "%s/" INSTANCE_LOCK_NAME, instance->directory) < 0) {
        instance->lock_path = NULL;
        return problem_say(problem, -ENOMEM, "out of memory");
    }
    instance->lock_fd = open(instance->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (instance->lock_fd < 0)
        return problem_say(problem, -errno,
                           "cannot open %s/" INSTANCE_LOCK_NAME ": %s; choose another directory with --runtime-dir",
                           instance->directory, strerror(errno));
    return take_lock(instance, problem);
}

static void write_pid(const struct instance *instance)
{
    if (ftruncate(instance->lock_fd, 0) == 0)
        dprintf(instance->lock_fd, "%ld\n", (long)getpid());
}

int instance_open(struct instance *instance, const char *directory, struct problem *problem)
{
    int result = make_directory(instance, directory, problem);

    if (result == 0)
        result = open_lock(instance, problem);
    if (result < 0)
        return result;
    write_pid(instance);
    object_name_instance(instance->id, instance->directory);
    return 0;
}

bool instance_holds(const struct instance *instance)
{
    struct stat file, named;

    return instance->lock_fd >= 0 && fstat(instance->lock_fd, &file) == 0 && stat(instance->lock_path, &named) == 0 &&
           file.st_dev == named.st_dev && file.st_ino == named.st_ino;
}

void instance_close(struct instance *instance)
{
    if (instance->lock_fd >= 0)
        close(instance->lock_fd);
    free(instance->lock_path);
    free(instance->directory);
    instance_init(instance);
}
