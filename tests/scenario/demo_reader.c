/* demo_reader.c - one reader of the demo; and the measuring of its input.
 *
 *     demo_reader measure FILE                        prints: RECORDS BYTES LONGEST
 *     demo_reader read RING MODE DIRECTORY WRITERS    MODE: lossless, lossy or observe
 *
 * `measure` counts what `ringctl write` makes of a file: a record a line without its newline, an unterminated last line
 * included.
 *
 * `read` starts at the oldest record, says "ready" once it is attached, and reads until the ring is removed. The
 * writers of the demo label their records with a type of their own, 1 to WRITERS; the records of each go to
 * DIRECTORY/TYPE, a line each, so that demo.sh can compare them with what the writer was fed. At the end it prints
 *
 *     RECORDS BYTES LOST GAPS BREAKS SWITCHES NANOSECONDS
 *
 * BREAKS: places where a writer's sequence number is not the one after its last, and no gap had been told. SWITCHES:
 * how often a record came from another writer than the one before it. NANOSECONDS: from the first record to the last.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ringd.h"

#define WRITERS_MAX   31
#define BATCH_RECORDS 256
#define FILE_BYTES    (1u << 18)

struct reader {
    struct ringd_reader *handle;
    FILE *files[WRITERS_MAX]; /* of type i + 1 */
    int writers;
    uint64_t expected[WRITERS_MAX]; /* sequence, by slot: the ring is new, so all begin at 0 */
    uint64_t records, bytes, lost, gaps, breaks, switches;
    uint32_t last_writer;
    int64_t first_ns, last_ns;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "demo_reader: %s: %s\n", what, why);
    return 1;
}

/* ---- measure --------------------------------------------------------------------------------------------------- */

static int measure(const char *path)
{
    unsigned long long records = 0, bytes = 0, longest = 0, len = 0;
    FILE *file = fopen(path, "rb");
    int c;

    if (file == NULL)
        return fail(path, strerror(errno));
    while ((c = getc_unlocked(file)) != EOF) {
        bool newline = c == '\n';

        records += newline;
        len = newline ? 0 : len + 1;
        bytes += !newline;
        longest = len > longest ? len : longest;
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return fail(path, "cannot be read");
    printf("%llu %llu %llu\n", records + (len > 0), bytes, longest);
    return 0;
}

/* ---- read ------------------------------------------------------------------------------------------------------ */

static bool keep(struct reader *r, const struct ringd_record *record)
{
    int file = record->type - 1;

    if (file < 0 || file >= r->writers || record->writer >= WRITERS_MAX)
        return false;
    r->breaks += record->sequence != r->expected[record->writer];
    r->expected[record->writer] = record->sequence + 1;
    r->switches += r->records > 0 && record->writer != r->last_writer;
    r->last_writer = record->writer;
    r->records++;
    r->bytes += record->len;
    return fwrite(record->data, 1, record->len, r->files[file]) == record->len && putc('\n', r->files[file]) != EOF;
}

static bool keep_all(struct reader *r, const struct ringd_record *records, size_t count)
{
    r->last_ns = now_ns();
    if (r->records == 0)
        r->first_ns = r->last_ns;
    for (size_t i = 0; i < count; i++)
        if (!keep(r, &records[i]))
            return false;
    return ringd_release(r->handle) == RINGD_OK;
}

static bool note_gap(struct reader *r, const struct ringd_record *gap)
{
    if (gap->writer >= WRITERS_MAX)
        return false;
    r->expected[gap->writer] += gap->lost;
    r->lost += gap->lost;
    r->gaps++;
    return true;
}

/* RINGD_END when all went well. */
static int read_all(struct reader *r)
{
    struct ringd_record records[BATCH_RECORDS];
    size_t count;
    bool good = true;
    int result = RINGD_OK;

    while (good && (result == RINGD_OK || result == RINGD_GAP)) {
        result = ringd_next_many(r->handle, records, BATCH_RECORDS, &count);
        if (result == RINGD_OK)
            good = keep_all(r, records, count);
        else if (result == RINGD_GAP)
            good = note_gap(r, &records[0]);
    }
    return good ? result : -EIO;
}

static bool open_files(struct reader *r, const char *directory)
{
    for (int i = 0; i < r->writers; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%d", directory, i + 1);
        r->files[i] = fopen(path, "wb");
        if (r->files[i] == NULL)
            return false;
        setvbuf(r->files[i], NULL, _IOFBF, FILE_BYTES);
    }
    return true;
}

static bool close_files(struct reader *r)
{
    bool good = true;

    for (int i = 0; i < r->writers; i++)
        if (r->files[i] != NULL && fclose(r->files[i]) != 0)
            good = false;
    return good;
}

static int attach(struct reader *r, const char *name, const char *mode)
{
    struct ringd_reader_options options = {
        .mode = strcmp(mode, "lossless") == 0  ? RINGD_READ_LOSSLESS
                : strcmp(mode, "observe") == 0 ? RINGD_READ_OBSERVE
                                               : RINGD_READ_LOSSY,
        .start = RINGD_START_OLDEST,
        .deadline = RINGD_FOREVER,
    };
    struct ringd *ring;
    int result = ringd_open(&ring, name);

    if (result == 0) {
        result = ringd_reader_open(&r->handle, ring, &options);
        ringd_close(ring);
    }
    return result;
}

static int read_ring(struct reader *r)
{
    int result;

    printf("ready\n");
    fflush(stdout);
    result = read_all(r);
    if (result != RINGD_END)
        return fail("read", ringd_strerror(result));
    printf("%llu %llu %llu %llu %llu %llu %lld\n", (unsigned long long)r->records, (unsigned long long)r->bytes,
           (unsigned long long)r->lost, (unsigned long long)r->gaps, (unsigned long long)r->breaks,
           (unsigned long long)r->switches, (long long)(r->last_ns - r->first_ns));
    return 0;
}

static int read_main(const char *name, const char *mode, const char *directory, const char *writers)
{
    struct reader reader = {.writers = atoi(writers)};
    int code;

    if (reader.writers < 1 || reader.writers > WRITERS_MAX)
        return fail(writers, "give 1 to 31 writers");
    if (!open_files(&reader, directory))
        code = fail(directory, strerror(errno));
    else if (attach(&reader, name, mode) != 0)
        code = fail(name, ringd_error());
    else
        code = read_ring(&reader);
    ringd_reader_close(reader.handle);
    return close_files(&reader) ? code : fail(directory, strerror(errno));
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2]);
    if (argc == 6 && strcmp(argv[1], "read") == 0)
        return read_main(argv[2], argv[3], argv[4], argv[5]);
    return fail("usage", "measure FILE, or read RING lossless|lossy|observe DIRECTORY WRITERS");
}
