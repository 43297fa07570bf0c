/* idle.c - the processor time of a system in which nothing happens; see idle.h.
 *
 * What the kernel counts is read from /proc/PID/task/TID/schedstat and .../status, which leaves the thread in question
 * alone. `line_there` counts the contexts that are attached, `line_back` the readers that got the last record.
 */
#define _GNU_SOURCE
#include "idle.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "contexts.h"

#define RING      "bench-idle"
#define LAST      1u /* type of the last record */
#define SETTLE_NS INT64_C(1500000000)
#define WATCH_NS  INT64_C(1000000000)
#define AWAIT_NS  INT64_C(10000000000)
#define READERS   (IDLE_CONTEXTS / 2)
#define GROUP     "bench"

enum sleeper {
    SLEEPER_LOSSLESS,
    SLEEPER_LOSSY,
    SLEEPER_OBSERVER,
    SLEEPER_MEMBER,
    SLEEPER_POLLS,
    SLEEPERS,
};

#define READERS_WOKEN (READERS - READERS / SLEEPERS + 1) /* one of the group's */

struct idlers {
    pid_t pids[IDLE_CONTEXTS];
    unsigned count;
};

static void nap(int64_t ns)
{
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&time, NULL);
}

/* ---- contexts --------------------------------------------------------------------------------------------------- */

static void writer_play(struct crew *crew)
{
    struct bench_writer writer;

    bench_writer_open(&writer, crew, 0, RING, 0, 8, RINGD_FOREVER);
    bench_write(&writer);
    atomic_fetch_add(&crew->line_there, 1);
    for (;;)
        pause();
}

static struct ringd_reader *reader_open(struct crew *crew, unsigned number)
{
    enum sleeper sleeper = number % SLEEPERS;
    struct ringd_reader_options options = {
        .mode = sleeper == SLEEPER_LOSSY      ? RINGD_READ_LOSSY
                : sleeper == SLEEPER_OBSERVER ? RINGD_READ_OBSERVE
                                              : RINGD_READ_LOSSLESS,
        .deadline = sleeper == SLEEPER_POLLS ? RINGD_NO_WAIT : RINGD_FOREVER,
        .wait = number / SLEEPERS % 2 ? RINGD_WAIT_SLEEP : RINGD_WAIT_ADAPTIVE,
        .group = sleeper == SLEEPER_MEMBER ? GROUP : NULL,
    };
    struct ringd_reader *reader;
    struct ringd *ring;
    int result = ringd_open(&ring, RING);

    if (!result)
        result = ringd_reader_open(&reader, ring, &options);
    if (result)
        crew_fail(crew, 0, "a reader of the idle system cannot attach", result);
    ringd_close(ring);
    return reader;
}

static void reader_poll(struct crew *crew, struct ringd_reader *reader)
{
    struct pollfd entry = {.fd = ringd_reader_fd(reader), .events = POLLIN};

    if (entry.fd < 0)
        crew_fail(crew, 0, "ringd_reader_fd", entry.fd);
    poll(&entry, 1, -1);
}

static void reader_play(struct crew *crew, unsigned number)
{
    struct ringd_reader *reader = reader_open(crew, number);
    struct ringd_record record = {0};

    atomic_fetch_add(&crew->line_there, 1);
    while (record.type != LAST) {
        int result = ringd_next(reader, &record);

        if (result == RINGD_WOULD_BLOCK)
            reader_poll(crew, reader);
        else if (result)
            crew_fail(crew, 0, "a reader of the idle system", result);
        else
            ringd_release(reader);
    }
    atomic_fetch_add(&crew->line_back, 1);
    for (;;)
        pause();
}

static int idlers_begin(struct idlers *idlers, struct crew *crew)
{
    while (idlers->count < IDLE_CONTEXTS) {
        unsigned number = idlers->count;
        pid_t pid = fork();

        if (pid < 0)
            return -errno;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (number < READERS)
                reader_play(crew, number);
            writer_play(crew);
        }
        idlers->pids[idlers->count++] = pid;
    }
    return 0;
}

static void idlers_end(struct idlers *idlers)
{
    for (unsigned i = 0; i < idlers->count; i++) {
        kill(idlers->pids[i], SIGKILL);
        waitpid(idlers->pids[i], NULL, 0);
    }
}

/* Until `count` contexts have counted themselves. */
static int line_await(struct crew *crew, const _Atomic uint64_t *line, uint64_t count, const char *what, char *failure)
{
    int64_t until_ns = clock_now_ns() + AWAIT_NS;

    while (atomic_load(line) < count && !*crew->results[0].failure) {
        if (clock_now_ns() > until_ns) {
            snprintf(failure, CREW_TEXT, "idle system: only %llu of %llu contexts %s",
                     (unsigned long long)atomic_load(line), (unsigned long long)count, what);
            return -ECANCELED;
        }
        nap(1000000);
    }
    if (!*crew->results[0].failure)
        return 0;
    snprintf(failure, CREW_TEXT, "%s", crew->results[0].failure);
    return -ECANCELED;
}

/* ---- what the kernel counts ------------------------------------------------------------------------------------- */

static int schedstat_add(const char *folder, struct idle *sum)
{
    unsigned long long run_ns, waited_ns, turns;
    char path[320];
    FILE *file;
    int count;

    snprintf(path, sizeof(path), "%s/schedstat", folder);
    file = fopen(path, "re");
    if (!file)
        return -ENOTSUP;
    count = fscanf(file, "%llu %llu %llu", &run_ns, &waited_ns, &turns);
    fclose(file);
    if (count != 3)
        return -ENOTSUP;
    sum->run_ns += run_ns;
    sum->turns += turns;
    return 0;
}

static int status_add(const char *folder, struct idle *sum)
{
    unsigned long long switches;
    char line[320];
    FILE *file;

    snprintf(line, sizeof(line), "%s/status", folder);
    file = fopen(line, "re");
    if (!file)
        return -errno;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &switches) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %llu", &switches) == 1)
            sum->switches += switches;
    }
    fclose(file);
    return 0;
}

static int process_add(pid_t pid, struct idle *sum)
{
    char folder[300];
    struct dirent *entry;
    int result = 0;
    DIR *tasks;

    snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pid);
    tasks = opendir(folder);
    if (!tasks)
        return -errno;
    while (!result && (entry = readdir(tasks))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof(folder), "/proc/%d/task/%s", (int)pid, entry->d_name);
        result = schedstat_add(folder, sum);
        if (!result)
            result = status_add(folder, sum);
        sum->threads++;
    }
    closedir(tasks);
    return result;
}

static int all_count(const struct idlers *idlers, pid_t server, struct idle *sum)
{
    int result;

    *sum = (struct idle){0};
    result = process_add(server, sum);
    for (unsigned i = 0; i < idlers->count && !result; i++)
        result = process_add(idlers->pids[i], sum);
    return result;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static int idle_watch(const struct idlers *idlers, pid_t server, struct idle *idle)
{
    struct idle before, after;
    int result;

    nap(SETTLE_NS);
    result = all_count(idlers, server, &before);
    if (result)
        return result;
    nap(WATCH_NS);
    result = all_count(idlers, server, &after);
    *idle = (struct idle){
        .threads = after.threads,
        .run_ns = after.run_ns - before.run_ns,
        .turns = after.turns - before.turns,
        .switches = after.switches - before.switches,
    };
    return result;
}

static int last_write(char *failure)
{
    const struct ringd_writer_options options = {.type = LAST};
    struct ringd_writer *writer = NULL;
    struct ringd *ring;
    int result = ringd_open(&ring, RING);

    if (!result)
        result = ringd_writer_open(&writer, ring, &options);
    if (!result)
        result = ringd_write(writer, "last", 4);
    if (result)
        snprintf(failure, CREW_TEXT, "idle system: cannot write the last record: %s", ringd_strerror(result));
    ringd_writer_close(writer);
    ringd_close(ring);
    return result;
}

static int idlers_measure(struct idlers *idlers, struct crew *crew, pid_t server, struct idle *idle, char *failure)
{
    int result = idlers_begin(idlers, crew);

    if (!result)
        result = line_await(crew, &crew->line_there, IDLE_CONTEXTS, "are attached", failure);
    if (!result)
        result = idle_watch(idlers, server, idle);
    if (!result)
        result = last_write(failure);
    if (!result)
        result = line_await(crew, &crew->line_back, READERS_WOKEN, "got the record that woke them", failure);
    return result;
}

int idle_run(struct crew *crew, pid_t server, struct idle *idle, char *failure)
{
    const struct ringd_ring_options options = {.lanes = 2};
    struct idlers idlers = {.count = 0};
    int result = ringd_create(RING, &options);

    snprintf(failure, CREW_TEXT, "idle system: %.150s", result ? ringd_error() : "cannot start a process");
    if (result)
        return result;
    memset(crew->results, 0, sizeof(crew->results));
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
    result = idlers_measure(&idlers, crew, server, idle, failure);
    idlers_end(&idlers);
    ringd_remove(RING);
    return result;
}
