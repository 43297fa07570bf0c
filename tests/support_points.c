/* support_points.c - see support_points.h. */
#define _GNU_SOURCE
#include "support_points.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION ".ringd_stop_points"

/* ---- an ELF file ------------------------------------------------------------------------------------------------- */

static int map_file(struct stop_points *points, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
    struct stat status;
    void *map;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0)
        result = -errno;
    else if (!S_ISREG(status.st_mode) || (size_t)status.st_size < sizeof(Elf64_Ehdr))
        result = -ENOEXEC;
    if (result == 0) {
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        result = map == MAP_FAILED ? -errno : 0;
    }
    close(fd);
    if (result < 0)
        return result;
    points->map = map;
    points->map_bytes = (size_t)status.st_size;
    return 0;
}

/* A part of the file; NULL if it is not all in there. */
static const void *part(const struct stop_points *points, uint64_t offset, uint64_t bytes)
{
    if (offset > points->map_bytes || bytes > points->map_bytes - offset)
        return NULL;
    return (const unsigned char *)points->map + offset;
}

static bool is_elf(const Elf64_Ehdr *elf)
{
    return memcmp(elf->e_ident, ELFMAG, SELFMAG) == 0 && elf->e_ident[EI_CLASS] == ELFCLASS64 &&
           elf->e_ident[EI_DATA] == ELFDATA2LSB && (elf->e_shnum == 0 || elf->e_shentsize == sizeof(Elf64_Shdr)) &&
           (elf->e_phnum == 0 || elf->e_phentsize == sizeof(Elf64_Phdr));
}

/* The contents of the section; NULL with *bytes 0: there is none. */
static const char *find_section(const struct stop_points *points, const Elf64_Ehdr *elf, uint64_t *bytes)
{
    const Elf64_Shdr *sections = part(points, elf->e_shoff, elf->e_shnum * sizeof *sections);
    const Elf64_Shdr *names;
    const char *text;

    *bytes = 0;
    if (sections == NULL || elf->e_shstrndx >= elf->e_shnum)
        return NULL;
    names = &sections[elf->e_shstrndx];
    text = part(points, names->sh_offset, names->sh_size);
    for (uint32_t i = 0; text != NULL && i < elf->e_shnum; i++) {
        const Elf64_Shdr *s = &sections[i];

        if (s->sh_type != SHT_PROGBITS || s->sh_name >= names->sh_size ||
            names->sh_size - s->sh_name < sizeof SECTION || memcmp(text + s->sh_name, SECTION, sizeof SECTION) != 0)
            continue;
        *bytes = s->sh_size;
        return part(points, s->sh_offset, s->sh_size);
    }
    return NULL;
}

/* Where in the file a linked address is; false: nowhere. */
static bool to_offset(const struct stop_points *points, const Elf64_Ehdr *elf, uint64_t address, uint64_t *offset)
{
    const Elf64_Phdr *segments = part(points, elf->e_phoff, elf->e_phnum * sizeof *segments);

    for (uint32_t i = 0; segments != NULL && i < elf->e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD || address - segments[i].p_vaddr >= segments[i].p_filesz)
            continue;
        *offset = segments[i].p_offset + (address - segments[i].p_vaddr);
        return true;
    }
    return false;
}

/* Each entry is an address and a name with its zero. */
static int read_entries(struct stop_points *points, const Elf64_Ehdr *elf, const char *entry, uint64_t bytes)
{
    while (bytes > 0) {
        struct stop_point point = {0}, *more;
        uint64_t len = bytes > sizeof point.address ? strnlen(entry + 8, bytes - 8) + 1 : UINT64_MAX;

        if (len > bytes - sizeof point.address)
            return -ENOEXEC;
        memcpy(&point.address, entry, sizeof point.address);
        point.name = entry + sizeof point.address;
        if (!to_offset(points, elf, point.address, &point.file_offset) && elf->e_type != ET_REL)
            return -ENOEXEC;
        more = realloc(points->points, (points->count + 1) * sizeof *more);
        if (more == NULL)
            return -ENOMEM;
        points->points = more;
        points->points[points->count++] = point;
        entry += sizeof point.address + len;
        bytes -= sizeof point.address + len;
    }
    return 0;
}

int stop_points_open(struct stop_points *points, const char *path)
{
    const Elf64_Ehdr *elf;
    const char *entries;
    uint64_t bytes;
    int result;

    *points = (struct stop_points){0};
    result = map_file(points, path);
    if (result < 0)
        return result;
    elf = points->map;
    entries = is_elf(elf) ? find_section(points, elf, &bytes) : NULL;
    result = is_elf(elf) ? 0 : -ENOEXEC;
    if (entries != NULL)
        result = read_entries(points, elf, entries, bytes);
    if (result < 0)
        stop_points_close(points);
    return result;
}

void stop_points_close(struct stop_points *points)
{
    if (points->map != NULL)
        munmap(points->map, points->map_bytes);
    free(points->points);
    *points = (struct stop_points){0};
}

bool stop_points_have(const struct stop_points *points, const char *name)
{
    for (size_t i = 0; i < points->count; i++)
        if (strcmp(points->points[i].name, name) == 0)
            return true;
    return false;
}

/* ---- their names ------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int print_names(const struct stop_points *files, int count)
{
    const char **names;
    size_t total = 0, filled = 0;

    for (int i = 0; i < count; i++)
        total += files[i].count;
    names = calloc(total + 1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < files[i].count; j++)
            names[filled++] = files[i].points[j].name;
    qsort(names, total, sizeof *names, compare_names);
    for (size_t i = 0; i < total; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            puts(names[i]);
    free(names);
    return 0;
}

static void print_places(const struct stop_points *files, int count)
{
    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < files[i].count; j++)
            printf("%" PRIx64 " %s\n", files[i].points[j].address, files[i].points[j].name);
}

int stop_points_list(char *const paths[], int count, bool addresses, const char **bad)
{
    struct stop_points *files = calloc((size_t)count + 1, sizeof *files);
    int result = files == NULL ? -ENOMEM : 0;

    *bad = "";
    for (int i = 0; i < count && result == 0; i++) {
        *bad = paths[i];
        result = stop_points_open(&files[i], paths[i]);
    }
    if (result == 0 && addresses)
        print_places(files, count);
    else if (result == 0)
        result = print_names(files, count);
    for (int i = 0; i < count && files != NULL; i++)
        stop_points_close(&files[i]);
    free(files);
    return result;
}

/* ---- in a process ------------------------------------------------------------------------------------------------ */

/* A line of /proc/PID/maps. */
struct mapping {
    uint64_t start, end, offset;
    char path[PATH_MAX];
};

/* Only what is executable and has a file. */
static bool read_mapping(const char *line, struct mapping *m)
{
    char rights[8];
    int at = 0;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &m->start, &m->end, rights, &m->offset,
               &at) != 4)
        return false;
    if (strchr(rights, 'x') == NULL || at == 0 || line[at] != '/')
        return false;
    snprintf(m->path, sizeof m->path, "%.*s", (int)strcspn(line + at, "\n"), line + at);
    return true;
}

static int add_address(uint64_t **addresses, size_t *count, uint64_t address)
{
    uint64_t *more;

    for (size_t i = 0; i < *count; i++)
        if ((*addresses)[i] == address)
            return 0;
    more = realloc(*addresses, (*count + 1) * sizeof *more);
    if (more == NULL)
        return -ENOMEM;
    *addresses = more;
    more[(*count)++] = address;
    return 0;
}

static int find_in_mapping(const struct mapping *m, const char *name, uint64_t **addresses, size_t *count)
{
    struct stop_points points;
    int result = 0;

    if (stop_points_open(&points, m->path) < 0)
        return 0; /* gone, or no program */
    for (size_t i = 0; i < points.count && result == 0; i++) {
        uint64_t offset = points.points[i].file_offset;

        if (strcmp(points.points[i].name, name) == 0 && offset - m->offset < m->end - m->start)
            result = add_address(addresses, count, m->start + (offset - m->offset));
    }
    stop_points_close(&points);
    return result;
}

int stop_points_find(pid_t pid, const char *name, uint64_t **addresses, size_t *count)
{
    char path[64], line[PATH_MAX + 128];
    struct mapping *mapping = malloc(sizeof *mapping);
    int result = mapping == NULL ? -ENOMEM : 0;
    FILE *file;

    *addresses = NULL;
    *count = 0;
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    file = fopen(path, "re");
    while (file != NULL && result == 0 && fgets(line, sizeof line, file) != NULL)
        if (read_mapping(line, mapping))
            result = find_in_mapping(mapping, name, addresses, count);
    if (file != NULL)
        fclose(file);
    free(mapping);
    return result;
}
