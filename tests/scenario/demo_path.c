/* demo_path.c - two measurements of the demo on the data path alone: one writer process, one busy reader process.
 *
 *     demo_path latency RING RECORDS    prints: P50 P99 P99.9 MAX in nanoseconds
 *     demo_path calls RING RECORDS      prints: WRITER READER, system calls each of them made
 *
 * `latency`: every record carries the time at which it was written (CLOCK_MONOTONIC, read just before ringd_write); the
 * reader, which polls, reads the clock when ringd_next has returned it. So the two reads of the clock are in the
 * figures. A record is written some microseconds after the one before it: what is measured is the way of one record,
 * not a queue.
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
#define PACE_NS       10000
#define WARM_UP       1000
#define TOO_LONG_S    15
#define NOT_MEASURED  77

/* Shared by the two processes and their parent. */
struct shared {
    _Atomic uint32_t ready;
    _Atomic uint64_t writer_calls, reader_calls;
    uint64_t latency_ns[]; /* RECORDS of them, by the reader */
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

static int write_paced(struct ringd_writer *writer, uint64_t records)
{
    int64_t due = now_ns();
    uint64_t payload[PAYLOAD_WORDS];

    for (uint64_t i = 0; i < records; i++) {
        fill(payload, i);
        due += PACE_NS;
        while ((payload[0] = (uint64_t)now_ns()) < (uint64_t)due)
            ;
        due = (int64_t)payload[0];
        if (write_busily(writer, payload) != RINGD_OK)
            return 1;
    }
    return 0;
}

static int read_paced(struct ringd_reader *reader, uint64_t records, struct shared *shared)
{
    uint64_t sent;

    for (uint64_t i = 0; i < records; i++) {
        if (read_busily(reader, i, &sent) != RINGD_OK)
            return fail("latency", "a record is not the one that was written");
        shared->latency_ns[i] = (uint64_t)now_ns() - sent;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void print_latency(struct shared *shared, uint64_t records)
{
    const uint64_t *sorted = shared->latency_ns;

    qsort(shared->latency_ns, records, sizeof shared->latency_ns[0], compare);
    printf("%llu %llu %llu %llu\n", (unsigned long long)sorted[records / 2],
           (unsigned long long)sorted[records * 99 / 100], (unsigned long long)sorted[records * 999 / 1000],
           (unsigned long long)sorted[records - 1]);
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

/* Ends by _exit: closing the handles would be system calls, and the daemon sees that the process is gone. */
static void reader_process(const char *name, bool latency, uint64_t records, struct shared *shared)
{
    struct ringd_reader *reader = open_reader(name);

    alarm(TOO_LONG_S);
    if (reader == NULL)
        _exit(1);
    shared->ready = 1;
    _exit(latency ? read_paced(reader, records, shared) : read_counted(reader, records, shared));
}

static void writer_process(const char *name, bool latency, uint64_t records, struct shared *shared)
{
    struct ringd_writer *writer = open_writer(name);

    alarm(TOO_LONG_S);
    if (writer == NULL)
        _exit(1);
    while (shared->ready == 0)
        usleep(1000);
    _exit(latency ? write_paced(writer, records) : write_counted(writer, records, shared));
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
        print_latency(shared, records);
    else
        printf("%llu %llu\n", (unsigned long long)shared->writer_calls, (unsigned long long)shared->reader_calls);
    return 0;
}
