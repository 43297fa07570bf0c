/* syscount.c - counts the system calls between two marks of a writer and a reader; see syscount.h.
 *
 * The two are roles of a crew, but run by a small loop of its own here, as the parent has to let them go on from stop
 * to stop: each stops when it begins (SIGSTOP, sent to itself), at every entry to and exit from a system call, and for
 * signals. Between system calls they run at full speed. The mark is getppid(), which nothing else calls.
 *
 * What holds true: a process that is between its marks is counted whatever it calls; one that ends without both marks
 * makes the count fail.
 */
#define _GNU_SOURCE
#include "syscount.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "cases.h"
#include "clock.h"
#include "contexts.h"

#define RING          "bench-syscount"
#define TRACED        2u
#define TRACE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
#define SYSCALL_STOP  (SIGTRAP | 0x80)
#define EXIT_REFUSED  2 /* of a child that may not be traced */

struct traced {
    pid_t pid; /* 0: has ended */
    unsigned marks;
};

/* ---- the traced ------------------------------------------------------------------------------------------------- */

static void mark(void)
{
    syscall(SYS_getppid);
}

/* Whoever is late does not make up for it. */
static uint64_t pace(uint64_t due, uint64_t ticks)
{
    uint64_t now = clock_ticks();

    while (now < due)
        now = clock_ticks();
    return (now - due < ticks ? due : now) + ticks;
}

static void writer_play(struct crew *crew, unsigned self, const void *task)
{
    const struct syscount_load *load = task;
    uint64_t ticks = load->hz > 0 ? (uint64_t)(1e9 / load->hz / clock_ns_per_tick()) : 0, due;
    struct bench_writer writer;

    bench_writer_open(&writer, crew, self, RING, 0, SYSCOUNT_RECORD, load->busy ? RINGD_NO_WAIT : RINGD_FOREVER);
    crew_ready(crew, self);
    due = clock_ticks() + ticks;
    mark();
    while (writer.sequence < load->records) {
        bench_fill(&writer, writer.sequence + 1);
        if (ticks > 0)
            due = pace(due, ticks);
        bench_write(&writer);
    }
    mark();
    crew_done(crew, self);
    bench_writer_close(&writer);
}

static void reader_play(struct crew *crew, unsigned self, const void *task)
{
    const struct syscount_load *load = task;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS,
        .start = RINGD_START_OLDEST,
        .deadline = load->busy ? RINGD_NO_WAIT : RINGD_FOREVER,
        .wait = load->wait,
    };
    struct bench_reader reader;

    bench_reader_open(&reader, crew, self, RING, 1, SYSCOUNT_RECORD, &options);
    crew_ready(crew, self);
    mark();
    while (reader.received < load->records)
        bench_read(&reader);
    mark();
    crew_done(crew, self);
    bench_reader_close(&reader);
}

static _Noreturn void traced_play(struct crew *crew, unsigned self, const int cpus[2], const struct syscount_load *load)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)cpus[self], &set);
    sched_setaffinity(0, sizeof(set), &set);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(CREW_LIMIT_S);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(EXIT_REFUSED);
    raise(SIGSTOP);
    if (self == SYSCOUNT_WRITER)
        writer_play(crew, self, load);
    else
        reader_play(crew, self, load);
    _exit(0);
}

/* ---- the tracer ------------------------------------------------------------------------------------------------- */

static struct traced *traced_of(struct traced *traced, pid_t pid)
{
    for (unsigned i = 0; i < TRACED; i++) {
        if (traced[i].pid == pid)
            return &traced[i];
    }
    return NULL;
}

static int call_count(struct traced *traced, unsigned self, struct syscount *count)
{
    struct ptrace_syscall_info info;

    if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, traced->pid, sizeof(info), &info) <= 0)
        return -ENOTSUP;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return 0;
    if (info.entry.nr == SYS_getppid) {
        traced->marks++;
    } else if (traced->marks == 1) {
        count->number = count->number < 0 ? (long)info.entry.nr : count->number;
        count->calls[self]++;
    }
    return 0;
}

/* A stopped process goes on. Anything but a stop at a system call, the first SIGSTOP and SIGTRAP is its own signal. */
static int stop_handle(struct traced *traced, unsigned self, int status, struct syscount *count)
{
    int signal_number = WSTOPSIG(status), result = 0;

    if (signal_number == SYSCALL_STOP)
        result = call_count(traced, self, count);
    else if (signal_number == SIGSTOP)
        ptrace(PTRACE_SETOPTIONS, traced->pid, NULL, TRACE_OPTIONS);
    if (signal_number == SYSCALL_STOP || signal_number == SIGSTOP || signal_number == SIGTRAP)
        signal_number = 0;
    ptrace(PTRACE_SYSCALL, traced->pid, NULL, (long)signal_number);
    return result;
}

static int end_handle(struct crew *crew, unsigned self, struct traced *traced, int status, char *failure)
{
    traced->pid = 0;
    if (status == 0 && traced->marks == 2)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED)
        return -EPERM;
    if (*crew->results[self].failure)
        snprintf(failure, CREW_TEXT, "counting system calls: %.150s", crew->results[self].failure);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(failure, CREW_TEXT, "counting system calls: process %u did not finish within %u s", self,
                 CREW_LIMIT_S);
    else
        snprintf(failure, CREW_TEXT, "process %u ended (status %#x) after %u of 2 marks", self, (unsigned)status,
                 traced->marks);
    return -ECANCELED;
}

static int traced_follow(struct crew *crew, struct traced *traced, struct syscount *count, char *failure)
{
    int result = 0;

    while (!result && (traced[0].pid || traced[1].pid)) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        struct traced *which = pid > 0 ? traced_of(traced, pid) : NULL;

        if (pid < 0 && errno != EINTR)
            return -errno;
        if (!which)
            continue;
        if (WIFSTOPPED(status))
            result = stop_handle(which, (unsigned)(which - traced), status, count);
        else
            result = end_handle(crew, (unsigned)(which - traced), which, status, failure);
        if (atomic_load(&crew->ready) == TRACED)
            atomic_store(&crew->go, 1);
    }
    return result;
}

static int traced_begin(struct crew *crew, struct traced *traced, const int cpus[2], const struct syscount_load *load)
{
    for (unsigned i = 0; i < TRACED; i++) {
        traced[i].pid = fork();
        if (traced[i].pid == 0)
            traced_play(crew, i, cpus, load);
        if (traced[i].pid < 0) {
            traced[i].pid = 0;
            return -errno;
        }
    }
    return 0;
}

static void traced_end(struct traced *traced)
{
    for (unsigned i = 0; i < TRACED; i++) {
        if (traced[i].pid <= 0)
            continue;
        kill(traced[i].pid, SIGKILL);
        waitpid(traced[i].pid, NULL, 0);
    }
}

int syscount_run(struct crew *crew, const int cpus[2], const struct syscount_load *load, struct syscount *count,
                 char *failure)
{
    struct traced traced[TRACED] = {{0}};
    int result = ringd_create(RING, NULL);

    *count = (struct syscount){.records = load->records, .number = -1};
    snprintf(failure, CREW_TEXT, "%s", result ? ringd_error() : "");
    if (result)
        return result;
    memset(crew->results, 0, sizeof(crew->results));
    atomic_store(&crew->ready, 0);
    atomic_store(&crew->go, 0);
    result = traced_begin(crew, traced, cpus, load);
    if (!result)
        result = traced_follow(crew, traced, count, failure);
    traced_end(traced);
    ringd_remove(RING);
    return result;
}

int syscount_sleeps(struct crew *crew, const int cpus[2], const struct syscount_load *load, double *sleeps,
                    char *failure)
{
    const struct crew_role roles[] = {{.cpu = cpus[0], .play = writer_play, .task = load},
                                      {.cpu = cpus[1], .play = reader_play, .task = load}};
    int result = ringd_create(RING, NULL);

    snprintf(failure, CREW_TEXT, "%s", result ? ringd_error() : "");
    if (result)
        return result;
    result = crew_run(crew, roles, 2, failure);
    *sleeps = (double)crew->results[SYSCOUNT_READER].slept / (double)load->records;
    ringd_remove(RING);
    return result;
}
