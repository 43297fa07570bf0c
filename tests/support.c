/* support.c - the program around the tests: its temporary folder, failing, skipping, random numbers, time. See
 * support.h. */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

/* A longer one would not leave room for a socket's name below it. */
#define FOLDER_MAX 48

static char folder[PATH_MAX];
static uint64_t seed;

/* ---- failing and skipping ---------------------------------------------------------------------------------------- */

void support_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: process %ld: not so: %s; %s\n", file, line, (long)getpid(), condition, text);
    fflush(stderr);
    _exit(EXIT_FAILURE);
}

void support_skip(const char *name, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("skip %s: %s\n", name, text);
    fflush(stdout);
}

bool support_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

void support_guard(unsigned seconds)
{
    const char *factor = getenv("CK_TIMEOUT_MULTIPLIER");

    alarm(factor != NULL && atoi(factor) > 1 ? seconds * (unsigned)atoi(factor) : seconds);
}

/* ---- the temporary folder ---------------------------------------------------------------------------------------- */

const char *support_folder(void)
{
    return folder;
}

const char *support_built(const char *file)
{
    static char path[PATH_MAX + 64];
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    require(len > 0, "errno %d", errno);
    self[len] = '\0';
    for (int level = 0; level < 2; level++) {
        slash = strrchr(self, '/');
        require(slash != NULL, "%s", self);
        *slash = '\0';
    }
    snprintf(path, sizeof path, "%s/%s", self, file);
    return path;
}

/* The ids of the daemons that were started are kept as files id-<ID>; whatever bears one of them goes. */
static void remove_shared(const char *id)
{
    DIR *directory = opendir("/dev/shm");
    char prefix[40], path[PATH_MAX];
    const struct dirent *entry;

    snprintf(prefix, sizeof prefix, "ringd-%.16s-", id);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
        unlink(path);
    }
    if (directory != NULL)
        closedir(directory);
}

static void remove_all_shared(void)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "id-", 3) == 0)
            remove_shared(entry->d_name + 3);
    }
    if (directory != NULL)
        closedir(directory);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    remove(path);
    return 0;
}

void support_begin(void)
{
    const char *base = getenv("TMPDIR");
    char made[FOLDER_MAX + 32];

    if (base == NULL || base[0] != '/' || strlen(base) > FOLDER_MAX)
        base = "/tmp";
    snprintf(made, sizeof made, "%s/ringd-check-XXXXXX", base);
    require(mkdtemp(made) != NULL && realpath(made, folder) != NULL, "errno %d: %s", errno, made);
    require(chmod(folder, 0755) == 0, "errno %d", errno);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    support_seed();
}

/* Daemons of failed tests are on their way out, told by the death of who started them; what they have not removed by
 * the second look is removed here. */
void support_end(void)
{
    pause_ms(20);
    remove_all_shared();
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

uint64_t support_seed(void)
{
    const char *given = getenv("RINGD_SEED");

    if (seed != 0)
        return seed;
    if (given != NULL && given[0] != '\0')
        seed = strtoull(given, NULL, 0);
    while (seed == 0)
        require(getrandom(&seed, sizeof seed, 0) == sizeof seed, "errno %d", errno);
    printf("RINGD_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

uint64_t random_next(struct random_source *source)
{
    uint64_t z = source->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t random_below(struct random_source *source, uint64_t end)
{
    return random_next(source) % end;
}

/* ---- memory and time --------------------------------------------------------------------------------------------- */

void *shared_new(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    require(memory != MAP_FAILED, "errno %d", errno);
    return memory;
}

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}
