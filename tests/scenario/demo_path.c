/* demo_path.c - two measurements of the demo on the data path alone: one writer process, one busy reader process, each
 * on a processor of its own if there are two.
 *
 *     demo_path latency RING RECORDS    prints: P50 P99 P99.9 in nanoseconds, RECORDS
 *     demo_path calls RING RECORDS      prints: WRITER READER, system calls each of them made
 *
 * `latency`: every record carries the time at which it was written (CLOCK_MONOTONIC, read just before ringd_write); the
 * reader, which polls, reads the clock when ringd_next has returned it. So two reads of the clock are in the figures. A
 * record is written some microseconds after the reader had the one before it: what is measured is the way of one record
 * to a reader that polls, not a queue, and not how long a processor was busy with something else before. It ends
 * earlier when the time is up, as it will be where the two have to share one processor.
 *
 * `calls`: both processes put a seccomp filter on themselves that turns every system call into a signal, whose handler
 * counts it; then RECORDS records of 64 bytes go from one to the other as fast as they can, and are checked. At the end
 * each makes one system call on purpose and looks whether it was counted: a filter that sees nothing would otherwise
 * read as a good result. Exit code 77: this machine does not allow such filters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ringd.h"

#define PAYLOAD_WORDS 8
#define PACE_NS       2000
#define LATENCY_NS    INT64_C(3000000000)
#define WARM_UP       1000
#define TOO_LONG_S    15
#define NOT_MEASURED  77

/* Shared by the two processes and their parent. */
struct shared {
    _Atomic uint32_t ready;
    _Atomic uint64_t writer_calls, reader_calls;
    _Alignas(128) _Atomic uint64_t read; /* records the reader has timed */
    _Alignas(128) uint64_t latency_ns[]; /* of each */
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "demo_path: %s: %s\n", what, why);
    return 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct ringd_writer *open_writer(const char *name)
{
    struct ringd *ring;
    struct ringd_writer *writer = NULL;

    if (ringd_open(&ring, name) != 0 || ringd_writer_open(&writer, ring, NULL) != 0)
        fail(name, ringd_error());
    ringd_close(ring);
    return writer;
}

static struct ringd_reader *open_reader(const char *name)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_NOW};
    struct ringd *ring;
    struct ringd_reader *reader = NULL;

    if (ringd_open(&ring, name) != 0 || ringd_reader_open(&reader, ring, &options) != 0)
        fail(name, ringd_error());
    ringd_close(ring);
    return reader;
}

/* Neither waits in the kernel: both look again. */
static int write_busily(struct ringd_writer *writer, const uint64_t *payload)
{
    int result = RINGD_FULL;

    while (result == RINGD_FULL)
        result = ringd_write(writer, payload, PAYLOAD_WORDS * sizeof *payload);
    return result;
}

/* The next record's payload, checked: all its words but the first are its number. */
static int read_busily(struct ringd_reader *reader, uint64_t number, uint64_t *first_word)
{
    uint64_t words[PAYLOAD_WORDS];
    struct ringd_record record;
    int result = RINGD_WOULD_BLOCK;

    while (result == RINGD_WOULD_BLOCK)
        result = ringd_next(reader, &record);
    if (result != RINGD_OK || record.len != sizeof words)
        return -EIO;
    memcpy(words, record.data, sizeof words);
    for (int i = 1; i < PAYLOAD_WORDS; i++)
        if (words[i] != number)
            return -EIO;
    *first_word = words[0];
    return ringd_release(reader);
}

static void fill(uint64_t *payload, uint64_t number)
{
    for (int i = 0; i < PAYLOAD_WORDS; i++)
        payload[i] = number;
}

/* ---- latency --------------------------------------------------------------------------------------------------- */

static int write_timed(struct ringd_writer *writer, uint64_t number, bool last)
{
    uint64_t payload[PAYLOAD_WORDS];

    fill(payload, number);
    payload[0] = last ? 0 : (uint64_t)now_ns();
    return write_busily(writer, payload) == RINGD_OK ? 0 : 1;
}

static void wait_until(int64_t due)
{
    while (now_ns() < due)
        ;
}

static int write_paced(struct ringd_writer *writer, uint64_t records, struct shared *shared)
{
    int64_t end = now_ns() + LATENCY_NS;
    uint64_t i;

    for (i = 0; i < records && now_ns() < end; i++) {
        if (write_timed(writer, i, false) != 0)
            return 1;
        while (shared->read != i + 1)
            ;
        wait_until(now_ns() + PACE_NS);
    }
    return write_timed(writer, i, true);
}

static int read_paced(struct ringd_reader *reader, struct shared *shared)
{
    uint64_t sent;

    for (uint64_t i = 0;; i++) {
        if (read_busily(reader, i, &sent) != RINGD_OK)
            return fail("latency", "a record is not the one that was written");
        if (sent == 0)
            return 0;
        shared->latency_ns[i] = (uint64_t)now_ns() - sent;
        shared->read = i + 1;
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void print_latency(struct shared *shared)
{
    uint64_t *sorted = shared->latency_ns, count = shared->read;

    qsort(sorted, count, sizeof sorted[0], compare);
    printf("%llu %llu %llu %llu\n", (unsigned long long)sorted[count / 2], (unsigned long long)sorted[count * 99 / 100],
           (unsigned long long)sorted[count * 999 / 1000], (unsigned long long)count);
}

/* ---- system calls ---------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t calls; /* since count_calls */

static void on_call(int signal_number)
{
    (void)signal_number;
    calls++;
}

/* From here on every system call is counted and not made, but for the return from the handler and the end of the
 * process. */
static int count_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    struct sigaction action = {.sa_handler = on_call};

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

/* How many there were; proves that one more would have been seen. */
static int counted_calls(_Atomic uint64_t *result)
{
    sig_atomic_t counted = calls;

    syscall(SYS_getppid);
    *result = (uint64_t)counted;
    return calls == counted + 1 ? 0 : NOT_MEASURED;
}

static int write_fast(struct ringd_writer *writer, uint64_t begin, uint64_t end)
{
    uint64_t payload[PAYLOAD_WORDS];

    for (uint64_t i = begin; i < end; i++) {
        fill(payload, i);
        if (write_busily(writer, payload) != RINGD_OK)
            return 1;
    }
    return 0;
}

static int read_fast(struct ringd_reader *reader, uint64_t begin, uint64_t end)
{
    uint64_t first_word;

    for (uint64_t i = begin; i < end; i++)
        if (read_busily(reader, i, &first_word) != RINGD_OK || first_word != i)
            return 1;
    return 0;
}

static int write_counted(struct ringd_writer *writer, uint64_t records, struct shared *shared)
{
    if (write_fast(writer, 0, WARM_UP) != 0)
        return 1;
    if (count_calls() != 0)
        return NOT_MEASURED;
    if (write_fast(writer, WARM_UP, WARM_UP + records) != 0)
        return 1;
    return counted_calls(&shared->writer_calls);
}

static int read_counted(struct ringd_reader *reader, uint64_t records, struct shared *shared)
{
    if (read_fast(reader, 0, WARM_UP) != 0)
        return 1;
    if (count_calls() != 0)
        return NOT_MEASURED;
    if (read_fast(reader, WARM_UP, WARM_UP + records) != 0)
        return 1;
    return counted_calls(&shared->reader_calls);
}

/* ---- two processes --------------------------------------------------------------------------------------------- */

/* The two keep to different processors, if there are: sharing one, each would wait for the other's turn to end. */
static void keep_to_processor(bool last)
{
    cpu_set_t allowed, own;
    int chosen = -1;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && (last || chosen < 0))
            chosen = i;
    CPU_ZERO(&own);
    CPU_SET(chosen, &own);
    sched_setaffinity(0, sizeof own, &own);
}

/* Ends by _exit: closing the handles would be system calls, and the daemon sees that the process is gone. */
static void reader_process(const char *name, bool latency, uint64_t records, struct shared *shared)
{
    struct ringd_reader *reader = open_reader(name);

    keep_to_processor(false);
    alarm(TOO_LONG_S);
    if (reader == NULL)
        _exit(1);
    shared->ready = 1;
    _exit(latency ? read_paced(reader, shared) : read_counted(reader, records, shared));
}

static void writer_process(const char *name, bool latency, uint64_t records, struct shared *shared)
{
    struct ringd_writer *writer = open_writer(name);

    keep_to_processor(true);
    alarm(TOO_LONG_S);
    if (writer == NULL)
        _exit(1);
    while (shared->ready == 0)
        usleep(1000);
    _exit(latency ? write_paced(writer, records, shared) : write_counted(writer, records, shared));
}

static int exit_code(pid_t pid)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 1;
    return WEXITSTATUS(status);
}

static int run(const char *name, bool latency, uint64_t records, struct shared *shared)
{
    pid_t reader, writer;
    int reader_code, writer_code;

    reader = fork();
    if (reader == 0)
        reader_process(name, latency, records, shared);
    writer = fork();
    if (writer == 0)
        writer_process(name, latency, records, shared);
    reader_code = exit_code(reader);
    writer_code = exit_code(writer);
    return reader_code != 0 ? reader_code : writer_code;
}

int main(int argc, char **argv)
{
    uint64_t records = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    bool latency = argc == 4 && strcmp(argv[1], "latency") == 0;
    size_t bytes = sizeof(struct shared) + records * sizeof(uint64_t);
    struct shared *shared;
    int code;

    if (records == 0 || (!latency && strcmp(argv[1], "calls") != 0))
        return fail("usage", "latency RING RECORDS, or calls RING RECORDS");
    shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return fail("memory", strerror(errno));
    code = run(argv[2], latency, records, shared);
    if (code != 0)
        return code;
    if (latency)
        print_latency(shared);
    else
        printf("%llu %llu\n", (unsigned long long)shared->writer_calls, (unsigned long long)shared->reader_calls);
    return 0;
}
