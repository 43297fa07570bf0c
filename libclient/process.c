/* process.c - see process.h. */
#define _GNU_SOURCE
#include "process.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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
