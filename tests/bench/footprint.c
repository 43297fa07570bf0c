/* footprint.c - size of the library's text and resident memory of an idle daemon; see footprint.h.
 *
 * The text is summed up from the section headers. Resident memory is what the kernel says in /proc/PID/status: private
 * pages and pages of files (program and libraries, shared with others or not), but not RssShmem, as that is the rings.
 */
#include "footprint.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ringd.h"

#define SETTLE_NS 200000000

/* Of this machine's word size. */
typedef ElfW(Ehdr) elf_header;
typedef ElfW(Shdr) elf_section;

/* ---- text ------------------------------------------------------------------------------------------------------- */

static int sections_sum(FILE *file, const elf_header *header, uint64_t *bytes)
{
    elf_section section;

    *bytes = 0;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (fseek(file, (long)(header->e_shoff + (uint64_t)i * header->e_shentsize), SEEK_SET))
            return -errno;
        if (fread(&section, sizeof(section), 1, file) != 1)
            return -EIO;
        if ((section.sh_flags & SHF_ALLOC) && !(section.sh_flags & SHF_WRITE))
            *bytes += section.sh_size;
    }
    return 0;
}

int footprint_text(const char *path, uint64_t *bytes)
{
    FILE *file = fopen(path, "re");
    elf_header header;
    int result;

    if (!file)
        return -errno;
    if (fread(&header, sizeof(header), 1, file) != 1 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        result = -ENOEXEC;
    else
        result = sections_sum(file, &header, bytes);
    fclose(file);
    return result;
}

/* ---- resident memory -------------------------------------------------------------------------------------------- */

static int status_read(pid_t pid, uint64_t *bytes)
{
    char line[256];
    unsigned long long kib;
    FILE *file;

    snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
    file = fopen(line, "re");
    if (!file)
        return -errno;
    *bytes = 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1 || sscanf(line, "RssFile: %llu kB", &kib) == 1)
            *bytes += kib * 1024;
    }
    fclose(file);
    return *bytes ? 0 : -ENOTSUP;
}

static void ring_name(char *name, size_t size, unsigned i)
{
    snprintf(name, size, "bench-idle-%u", i);
}

int footprint_resident(pid_t pid, uint64_t *bytes)
{
    const struct timespec settle = {.tv_nsec = SETTLE_NS};
    unsigned made = 0;
    char name[64];
    int result = 0;

    for (; made < FOOTPRINT_RINGS && !result; made += !result) {
        ring_name(name, sizeof(name), made);
        result = ringd_create(name, NULL);
    }
    nanosleep(&settle, NULL);
    if (!result)
        result = status_read(pid, bytes);
    while (made > 0) {
        ring_name(name, sizeof(name), --made);
        ringd_remove(name);
    }
    return result;
}
