/* process.c - see process.h. */
#define _GNU_SOURCE
#include "process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

/* What a file of /proc/PID has, up to `bytes` - 1. */
static void read_file(char *text, size_t bytes, uint32_t pid, const char *file)
{
    char path[48];
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/%s", pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, text, bytes - 1);
        close(fd);
    }
    text[len < 0 ? 0 : len] = '\0';
}

/* "PID (command) STATE ..."; anything may be in the command. */
bool process_is_stopped(uint32_t pid)
{
    char text[128];
    const char *end;

    read_file(text, sizeof text, pid, "stat");
    end = strrchr(text, ')');
    return end != NULL && (strncmp(end, ") T", 3) == 0 || strncmp(end, ") t", 3) == 0);
}

void process_command(char *command, size_t bytes, uint32_t pid)
{
    read_file(command, bytes, pid, "comm");
    command[strcspn(command, "\n")] = '\0';
    for (char *c = command; *c != '\0'; c++) {
        if (!isprint((unsigned char)*c))
            *c = '?';
    }
}

/* "BEGIN-END RIGHTS OFFSET MAJOR:MINOR INODE NAME" */
static bool line_is_of(const char *line, const struct stat *file)
{
    unsigned int major_number, minor_number;
    unsigned long long inode;

    return sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number, &inode) == 3 &&
           major_number == major(file->st_dev) && minor_number == minor(file->st_dev) && inode == file->st_ino;
}

/* 0, or a negative errno. */
static int look_for_mapping(uint32_t pid, const struct stat *file)
{
    char path[48], *line = NULL;
    size_t bytes = 0;
    int result = -ESRCH;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%u/maps", pid);
    maps = fopen(path, "re");
    if (maps == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    while (result != 0 && getline(&line, &bytes, maps) > 0) {
        if (line_is_of(line, file))
            result = 0;
    }
    free(line);
    fclose(maps);
    return result;
}

int process_open(uint32_t pid, const struct stat *file)
{
    int fd = pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0), result;

    if (fd < 0)
        return pid == 0 ? -ESRCH : -errno;
    result = look_for_mapping(pid, file);
    if (result == 0)
        return fd;
    close(fd);
    return result;
}
