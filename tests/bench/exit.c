/* exit.c - the kernel's own time to end a process; see exit.h.
 *
 * What a writer has mapped is read from /proc/self/maps while one is attached; it is detached, and the same is mapped
 * again, by path. (The bench runs its own ringd, so these files are its own.)
 *
 * The life page is made and locked as daemon/life.c does it: the lock is for reading, taken through a descriptor that
 * can only read, of which the child's mapping is the last user. It is waited for with a lock for writing.
 */
#define _GNU_SOURCE
#include "exit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "ringd.h"

#define LIFE_BYTES 4096u
#define PARTS_MOST 16u
#define RING_PATH  "/dev/shm/"

/* One mapping of a shared-memory object. */
struct exit_part {
    unsigned char *from;
    size_t bytes;
    off_t offset;
    int protection, fd;
};

/* ---- children --------------------------------------------------------------------------------------------------- */

pid_t child_fork(int *socket, struct crew *crew, unsigned self)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        crew_fail_errno(crew, self, "cannot make a socket", -errno);
    pid = fork();
    if (pid < 0)
        crew_fail_errno(crew, self, "cannot start a process", -errno);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    *socket = ends[pid == 0];
    close(ends[pid != 0]);
    return pid;
}

void child_say(int socket)
{
    if (write(socket, "", 1) != 1)
        _exit(1);
}

/* A child that failed has said why (crew_fail), and its parent has nothing to add. */
void child_await(int socket, struct crew *crew, unsigned self, const char *what)
{
    char byte;

    if (read(socket, &byte, 1) == 1)
        return;
    if (*crew->results[self].failure)
        _exit(1);
    crew_fail(crew, self, what, 0);
}

/* ---- what is mapped --------------------------------------------------------------------------------------------- */

/* Opens it, if asked. False: it is none of a ring's, or a life page, which has had no name when it was mapped. */
static bool part_parse(const char *line, struct exit_part *part, bool open_it)
{
    unsigned long from, to, offset;
    char rights[5], path[256];

    if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %255s", &from, &to, rights, &offset, path) != 5 ||
        strncmp(path, RING_PATH, strlen(RING_PATH)) != 0 || strstr(line, "(deleted)"))
        return false;
    *part = (struct exit_part){.from = (unsigned char *)from, .bytes = to - from, .offset = (off_t)offset, .fd = -1};
    part->protection = rights[1] == 'w' ? PROT_READ | PROT_WRITE : PROT_READ;
    if (open_it)
        part->fd = open(path, (rights[1] == 'w' ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    return true;
}

/* Returns how many, or a negative errno. */
static int parts_read(struct exit_part *parts, bool open_them)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;

    if (!maps)
        return -errno;
    while (count < (int)PARTS_MOST && fgets(line, sizeof(line), maps))
        count += part_parse(line, &parts[count], open_them);
    fclose(maps);
    return count;
}

static int part_touch(const struct exit_part *part)
{
    int advice = part->protection & PROT_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

    return madvise(part->from, part->bytes, advice) ? -errno : 0;
}

int rings_touch(void)
{
    struct exit_part parts[PARTS_MOST];
    int count = parts_read(parts, false), result = count < 0 ? count : 0;

    for (int i = 0; i < count && !result; i++)
        result = part_touch(&parts[i]);
    return result;
}

/* Where it was, as the library does it: nothing else has been mapped since. */
static int part_map(const struct exit_part *part)
{
    const int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;

    if (part->fd < 0)
        return -ENOENT;
    if (mmap(part->from, part->bytes, part->protection, flags, part->fd, part->offset) == MAP_FAILED ||
        madvise(part->from, part->bytes, MADV_DONTFORK) || madvise(part->from, part->bytes, MADV_DONTDUMP))
        return -errno;
    close(part->fd);
    return part_touch(part);
}

static int ring_map(const char *name)
{
    struct exit_part parts[PARTS_MOST];
    struct ringd_writer *writer;
    struct ringd *ring;
    int result = ringd_open(&ring, name), count = 0;

    if (!result)
        result = ringd_writer_open(&writer, ring, NULL);
    if (result)
        return result;
    count = parts_read(parts, true);
    ringd_writer_close(writer);
    ringd_close(ring);
    for (int i = 0; i < count && !result; i++)
        result = part_map(&parts[i]);
    return count < 0 ? count : result;
}

/* ---- the life page ---------------------------------------------------------------------------------------------- */

/* Two open file descriptions of one page: *locked has the lock. */
static int life_create(int *locked)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "/ringd-bench.%d.life", (int)getpid());
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    *locked = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    shm_unlink(name);
    if (*locked < 0 || posix_fallocate(fd, 0, LIFE_BYTES) || fcntl(*locked, F_OFD_SETLK, &lock))
        return -EIO;
    return fd;
}

static void lock_await(int fd, struct crew *crew, unsigned self)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    while (fcntl(fd, F_OFD_SETLKW, &lock)) {
        if (errno != EINTR)
            crew_fail_errno(crew, self, "cannot wait for a lock", -errno);
    }
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

static _Noreturn void exit_play(struct crew *crew, unsigned self, const char *ring, int life, int socket)
{
    int result = ring_map(ring);

    if (!result && mmap(NULL, LIFE_BYTES, PROT_READ, MAP_SHARED, life, 0) == MAP_FAILED)
        result = -errno;
    close(life);
    if (result)
        crew_fail_errno(crew, self, "cannot map what a writer has mapped", result);
    child_say(socket);
    for (;;)
        pause();
}

void exit_begin(struct exit_process *process, struct crew *crew, unsigned self, const char *ring)
{
    int life = -1;

    process->lock = life_create(&life);
    if (process->lock < 0)
        crew_fail_errno(crew, self, "cannot make a life page", process->lock);
    process->pid = child_fork(&process->socket, crew, self);
    if (process->pid == 0)
        exit_play(crew, self, ring, life, process->socket);
    close(life);
    child_await(process->socket, crew, self, "a process that maps a ring has ended before its time");
}

struct exit_times exit_measure(struct exit_process *process, struct crew *crew, unsigned self)
{
    struct pollfd hangup = {.fd = process->socket, .events = POLLIN};
    struct exit_times times;
    int64_t start_ns = clock_now_ns();

    kill(process->pid, SIGKILL);
    while (poll(&hangup, 1, -1) < 0 && errno == EINTR)
        ;
    times.hangup_ns = clock_now_ns() - start_ns;
    lock_await(process->lock, crew, self);
    times.lock_ns = clock_now_ns() - start_ns;
    waitpid(process->pid, NULL, 0);
    close(process->socket);
    close(process->lock);
    return times;
}
