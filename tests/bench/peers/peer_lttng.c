/* peer_lttng.c - the cost of a tracepoint of LTTng-UST with the record as its only field: what a program pays, with the
 * time stamp that is always in it. Its reader is LTTng's own daemon.
 *
 *   lttng-flight   flight recorder: a snapshot session, overwriting buffers
 *   lttng-discard  a session that writes to files; what has no room is discarded. Written no faster than it has room.
 *
 * After each burst the trace is written (a snapshot, or by stopping) and every record's bytes are looked up in its
 * files, in order: they lie in them as they are.
 *
 * A session daemon of our own is started when it is first needed, with its home in the bench's folder, and ends with
 * us. For root LTTng has one place for all: where somebody else's runs already this peer is left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../payload.h"
#include "peer_list.h"

#define SUB_BUFFER_KIB 1024u
#define SUB_BUFFERS    8u
#define RECORD_COST    48u /* beside its bytes, at most */
#define BURST_MOST     50000u

struct lttng_line {
    struct peer_setup setup;
    bool flight;
    char folder[128];
};

struct lttng_writer_end {
    void (*record)(const void *data, uint32_t bytes);
    uint32_t bytes;
};

struct lttng_reader_end {
    const struct lttng_line *line;
    unsigned char *trace; /* all files of it, one behind the other */
    size_t trace_bytes, at;
    uint64_t next; /* number of the record that is looked for */
};

static pid_t daemon_pid;

/* ---- commands --------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int command(const char *folder, const char *format, ...)
{
    char words[512], line[1024];
    va_list arguments;
    int status;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    snprintf(line, sizeof(line), "LTTNG_HOME='%s' %s >>'%s/lttng.log' 2>&1", folder, words, folder);
    status = system(line);
    return status == 0 ? 0 : -EIO;
}

static const char *lttng_missing(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 16);

    if (length <= 0)
        return "/proc is not there";
    path[length] = '\0';
    strcpy(strrchr(path, '/'), "/bench_lttng.so");
    if (access(path, R_OK))
        return "liblttng-ust-dev was not installed when this was built";
    if (system("command -v lttng >/dev/null && command -v lttng-sessiond >/dev/null"))
        return "lttng-tools is not installed";
    return NULL;
}

static _Noreturn void daemon_exec(const char *folder)
{
    char log[160];
    int fd;

    snprintf(log, sizeof(log), "%s/lttng.log", folder);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setenv("LTTNG_HOME", folder, 1);
    execlp("lttng-sessiond", "lttng-sessiond", "--no-kernel", (char *)NULL);
    _exit(127);
}

static void daemon_stop(void)
{
    if (daemon_pid > 0) {
        kill(daemon_pid, SIGTERM);
        waitpid(daemon_pid, NULL, 0);
    }
    daemon_pid = 0;
}

static int daemon_start(const char *folder)
{
    const struct timespec nap = {.tv_nsec = 20000000};

    if (daemon_pid > 0)
        return 0;
    if (command(folder, "lttng --no-sessiond list") == 0)
        return -EBUSY;
    daemon_pid = fork();
    if (daemon_pid < 0)
        return -errno;
    if (daemon_pid == 0)
        daemon_exec(folder);
    for (unsigned i = 0; i < 250; i++) {
        nanosleep(&nap, NULL);
        if (waitpid(daemon_pid, NULL, WNOHANG) == daemon_pid) {
            daemon_pid = 0;
            return -EPERM;
        }
        if (command(folder, "lttng --no-sessiond list") == 0)
            return 0;
    }
    daemon_stop();
    return -ETIMEDOUT;
}

/* ---- a session -------------------------------------------------------------------------------------------------- */

static int line_open(const struct peer_setup *setup, bool flight, void **line)
{
    struct lttng_line *own = calloc(1, sizeof(*own));
    int result;

    if (!own)
        return -ENOMEM;
    own->setup = *setup;
    own->flight = flight;
    snprintf(own->folder, sizeof(own->folder), "%.100s", setup->folder);
    result = daemon_start(own->folder);
    if (!result)
        result =
            command(own->folder, "lttng create bench %s --output='%s/trace'", flight ? "--snapshot" : "", own->folder);
    if (!result)
        result = command(own->folder,
                         "lttng enable-channel -u -s bench ch --subbuf-size=%uK --num-subbuf=%u --%s --buffers-uid",
                         SUB_BUFFER_KIB, SUB_BUFFERS, flight ? "overwrite" : "discard");
    if (!result)
        result = command(own->folder, "lttng enable-event -u -s bench -c ch ringd_bench:record");
    if (!result)
        result = command(own->folder, "lttng start bench");
    if (result) {
        command(own->folder, "lttng destroy bench");
        free(own);
        return result;
    }
    *line = own;
    return 0;
}

static int lttng_open_flight(const struct peer_setup *setup, void **line)
{
    return line_open(setup, true, line);
}

static int lttng_open_discard(const struct peer_setup *setup, void **line)
{
    return line_open(setup, false, line);
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void trace_remove(const struct lttng_line *line)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/trace", line->folder);
    nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void lttng_close(void *line)
{
    struct lttng_line *own = line;

    command(own->folder, "lttng destroy bench");
    trace_remove(own);
    free(own);
}

static uint32_t lttng_depth(void *line)
{
    const struct lttng_line *own = line;
    uint32_t depth = SUB_BUFFER_KIB * 1024u * (SUB_BUFFERS - 2) / (own->setup.bytes + RECORD_COST);

    return depth < BURST_MOST ? depth : BURST_MOST;
}

/* ---- the program that is traced --------------------------------------------------------------------------------- */

static int lttng_writer(void *line, unsigned index, void **end)
{
    const struct lttng_line *own = line;
    struct lttng_writer_end *writer = calloc(1, sizeof(*writer));
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 16);
    void *object;

    (void)index;
    if (!writer || length <= 0)
        return -ENOMEM;
    path[length] = '\0';
    strcpy(strrchr(path, '/'), "/bench_lttng.so");
    setenv("LTTNG_HOME", own->folder, 1);
    object = dlopen(path, RTLD_NOW);
    if (!object)
        return -ELIBACC;
    *(void **)&writer->record = dlsym(object, "bench_lttng_record");
    writer->bytes = own->setup.bytes;
    *end = writer;
    return writer->record ? 0 : -ELIBBAD;
}

static int lttng_send(void *end, const void *data, bool wait)
{
    const struct lttng_writer_end *own = end;

    (void)wait;
    own->record(data, own->bytes);
    return PEER_OK;
}

static void lttng_writer_leave(void *end)
{
    free(end);
}

/* ---- what was recorded ------------------------------------------------------------------------------------------ */

static int lttng_reader(void *line, unsigned index, void **end)
{
    struct lttng_reader_end *reader = calloc(1, sizeof(*reader));

    (void)index;
    if (!reader)
        return -ENOMEM;
    reader->line = line;
    *end = reader;
    return 0;
}

static struct lttng_reader_end *loading;

static int file_load(const char *path, const struct stat *status, int type, struct FTW *where)
{
    const char *name = path + where->base;
    size_t bytes = (size_t)status->st_size;
    FILE *file;

    if (type != FTW_F || strncmp(name, "ch_", 3) != 0 || strstr(name, ".idx") || bytes == 0)
        return 0;
    loading->trace = realloc(loading->trace, loading->trace_bytes + bytes);
    file = fopen(path, "re");
    if (!loading->trace || !file)
        return -ENOMEM;
    loading->trace_bytes += fread(loading->trace + loading->trace_bytes, 1, bytes, file);
    fclose(file);
    return 0;
}

static int trace_load(struct lttng_reader_end *reader)
{
    const struct lttng_line *line = reader->line;
    char path[160];
    int result;

    free(reader->trace);
    reader->trace = NULL;
    reader->trace_bytes = reader->at = 0;
    if (line->flight)
        result = command(line->folder, "lttng snapshot record -s bench");
    else
        result = command(line->folder, "lttng stop bench");
    if (result)
        return result;
    loading = reader;
    snprintf(path, sizeof(path), "%s/trace", line->folder);
    result = nftw(path, file_load, 16, FTW_PHYS);
    if (!result && line->flight)
        trace_remove(line);
    if (!result && !line->flight)
        result = command(line->folder, "lttng start bench");
    return result;
}

static int lttng_receive(void *end, const void **data, bool wait)
{
    struct lttng_reader_end *own = end;
    uint64_t first = payload_first(0, own->next);
    unsigned char *found;

    (void)wait;
    found = own->trace ? memmem(own->trace + own->at, own->trace_bytes - own->at, &first, sizeof(first)) : NULL;
    if (!found) { /* of the next burst */
        int result = trace_load(own);

        if (result)
            return result;
        found = memmem(own->trace, own->trace_bytes, &first, sizeof(first));
    }
    if (!found || (size_t)(found - own->trace) + own->line->setup.bytes > own->trace_bytes)
        return -ENODATA;
    own->at = (size_t)(found - own->trace) + own->line->setup.bytes;
    own->next++;
    *data = found;
    return PEER_OK;
}

static void lttng_reader_leave(void *end)
{
    struct lttng_reader_end *own = end;

    free(own->trace);
    free(own);
}

/* clang-format off */
#define LTTNG_COMMON \
    .package = "liblttng-ust-dev lttng-tools", .cases = PEER_WRITE, .bytes_max = 65536, .missing = lttng_missing, \
    .close = lttng_close, .depth = lttng_depth, .writer = lttng_writer, .reader = lttng_reader, .send = lttng_send, \
    .receive = lttng_receive, .writer_leave = lttng_writer_leave, .reader_leave = lttng_reader_leave

const struct peer peer_lttng_flight = {
    .name = "lttng-flight", .what = "LTTng-UST tracepoint, with time; flight recorder (snapshot session)",
    .open = lttng_open_flight, LTTNG_COMMON};

const struct peer peer_lttng_discard = {
    .name = "lttng-discard", .what = "LTTng-UST tracepoint, with time; session to files, discard mode",
    .open = lttng_open_discard, LTTNG_COMMON};
