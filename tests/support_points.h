/* support_points.h - the stop points of ELF files (libclient/stop_point.h) and where they are in a running process.
 *
 * Called by at_stop_point.c, support_stop.c and check_stop_points.c.
 */
#ifndef TESTS_SUPPORT_POINTS_H
#define TESTS_SUPPORT_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stop_point {
    uint64_t address;     /* as linked */
    uint64_t file_offset; /* of the instruction */
    const char *name;
};

struct stop_points {
    struct stop_point *points;
    size_t count;
    void *map;
    size_t map_bytes;
};

/* Reads a file's points; none, if it has no such section. 0, or a negative errno; -ENOEXEC: no ELF file of this kind of
 * machine, or a damaged one. Names live until the close. Both may be used on {0}. */
int stop_points_open(struct stop_points *points, const char *path);
void stop_points_close(struct stop_points *points);

bool stop_points_have(const struct stop_points *points, const char *name);

/* Prints the names in these files, sorted, each once, one a line; or all places, with their addresses. 0, or a negative
 * errno with *bad, the file. */
int stop_points_list(char *const paths[], int count, bool addresses, const char **bad);

/* All addresses of a point in what a process has mapped now, each once. The caller frees them. 0 or -ENOMEM. */
int stop_points_find(pid_t pid, const char *name, uint64_t **addresses, size_t *count);

#endif
