/* support_stop.c - see support_stop.h.
 *
 * A tracee is always in one of three ways: it runs; it stands, and the caller knows why and is about to let it go on;
 * or it stands with a status that is still to be looked at, as somebody else had to be looked at first (`waiting`).
 * What the kernel says of a process that has been killed meanwhile (ESRCH) is of no interest: its end is reported too.
 */
#define _GNU_SOURCE
#include "support_stop.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_points.h"
#include "support_trace.h"

#define OPTIONS                                                                                                        \
    (PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)

/* A breakpoint, and what stood there. */
struct place {
    uint64_t address, code;
};

/* An address space, as far as it matters here. */
struct process {
    struct process *next;
    pid_t pid;
    struct place *places;
    size_t count;
    bool at_entry; /* the only place is the first instruction of a program */
};

struct thread {
    struct thread *next;
    struct process *process;
    pid_t tid;
    bool stands;
    bool waiting; /* with `status` */
    int status;
};

struct tracer {
    const struct stop_order *order;
    struct process *processes;
    struct thread *threads;
    pid_t command;
    sigset_t signals;
    unsigned long passed;
    struct thread *reached; /* the one that has passed for the n-th time */
    bool found;             /* the point was in what has been run */
    bool executed;
    bool ended;
    int code; /* of the command, when it has ended */
};

/* ---- who there is ------------------------------------------------------------------------------------------------ */

/* The first number of a line of /proc/PID/status, or 0. */
static uint64_t status_number(pid_t tid, const char *key, int base)
{
    char path[64], line[256];
    uint64_t number = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)tid);
    file = fopen(path, "re");
    while (file != NULL && number == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtoull(line + strlen(key), NULL, base);
    if (file != NULL)
        fclose(file);
    return number;
}

static char state_of(pid_t tid)
{
    char path[64], text[512] = "";
    FILE *file;
    const char *end;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)tid);
    file = fopen(path, "re");
    if (file == NULL)
        return 'X';
    end = fgets(text, sizeof text, file) != NULL ? strrchr(text, ')') : NULL;
    fclose(file);
    return end != NULL && end[1] == ' ' ? end[2] : 'X';
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static struct thread *find_thread(const struct tracer *t, pid_t tid)
{
    struct thread *thread = t->threads;

    while (thread != NULL && thread->tid != tid)
        thread = thread->next;
    return thread;
}

static struct process *find_process(const struct tracer *t, pid_t pid)
{
    struct process *process = t->processes;

    while (process != NULL && process->pid != pid)
        process = process->next;
    return process;
}

/* A child begins with a copy of its parent's memory and all that is planted in it. */
static struct process *add_process(struct tracer *t, pid_t pid, pid_t parent)
{
    const struct process *model = find_process(t, parent);
    struct process *process = must(calloc(1, sizeof *process));

    process->pid = pid;
    if (model != NULL && model->count > 0) {
        process->places = must(calloc(model->count, sizeof *process->places));
        memcpy(process->places, model->places, model->count * sizeof *process->places);
        process->count = model->count;
        process->at_entry = model->at_entry;
    }
    process->next = t->processes;
    t->processes = process;
    return process;
}

/* Whichever comes first, its own first stop or its parent's word. */
static struct thread *add_thread(struct tracer *t, pid_t tid)
{
    struct thread *thread = find_thread(t, tid);
    pid_t pid = (pid_t)status_number(tid, "Tgid:", 10);
    struct process *process;

    if (thread != NULL || pid == 0)
        return thread;
    process = find_process(t, pid);
    if (process == NULL)
        process = add_process(t, pid, (pid_t)status_number(tid, "PPid:", 10));
    thread = must(calloc(1, sizeof *thread));
    thread->tid = tid;
    thread->process = process;
    thread->next = t->threads;
    t->threads = thread;
    return thread;
}

static struct thread *thread_of(const struct tracer *t, const struct process *process)
{
    struct thread *thread = t->threads;

    while (thread != NULL && thread->process != process)
        thread = thread->next;
    return thread;
}

static void drop_process(struct tracer *t, struct process *process)
{
    struct process **link = &t->processes;

    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    free(process->places);
    free(process);
}

static void drop_thread(struct tracer *t, struct thread *thread)
{
    struct process *process = thread->process;
    struct thread **link = &t->threads;

    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
    free(thread);
    if (thread_of(t, process) == NULL)
        drop_process(t, process);
}

/* ---- breakpoints ------------------------------------------------------------------------------------------------- */

static struct place *find_place(struct process *process, uint64_t address)
{
    for (size_t i = 0; i < process->count; i++)
        if (process->places[i].address == address)
            return &process->places[i];
    return NULL;
}

static void forget_places(struct process *process)
{
    free(process->places);
    process->places = NULL;
    process->count = 0;
}

static void plant(struct thread *thread, const uint64_t *addresses, size_t count)
{
    struct process *process = thread->process;

    forget_places(process);
    process->places = must(calloc(count + 1, sizeof *process->places));
    for (size_t i = 0; i < count; i++) {
        struct place *place = &process->places[process->count];

        place->address = addresses[i];
        if (trace_plant(thread->tid, place->address, &place->code) == 0)
            process->count++;
    }
}

static void restore(struct thread *thread)
{
    for (size_t i = 0; i < thread->process->count; i++)
        trace_restore(thread->tid, thread->process->places[i].address, thread->process->places[i].code);
    forget_places(thread->process);
}

static void plant_points(struct tracer *t, struct thread *thread)
{
    uint64_t *addresses;
    size_t count;

    if (stop_points_find(thread->process->pid, t->order->point, &addresses, &count) < 0)
        abort();
    t->found |= count > 0;
    plant(thread, addresses, count);
    thread->process->at_entry = false;
    free(addresses);
}

/* Where a program begins when its libraries have been loaded. */
static uint64_t entry_of(pid_t pid)
{
    Elf64_auxv_t value;
    uint64_t entry = 0;
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/auxv", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && entry == 0 && read(fd, &value, sizeof value) == sizeof value)
        if (value.a_type == AT_ENTRY)
            entry = value.a_un.a_val;
    if (fd >= 0)
        close(fd);
    return entry;
}

static void plant_entry(struct thread *thread)
{
    uint64_t entry = entry_of(thread->process->pid);

    plant(thread, &entry, entry != 0);
    thread->process->at_entry = true;
}

/* ---- letting go on, and making stand ----------------------------------------------------------------------------- */

static void go_on(struct thread *thread, int signal_number)
{
    thread->stands = false;
    ptrace(PTRACE_CONT, thread->tid, NULL, (void *)(uintptr_t)signal_number);
}

static bool is_event(int status, int event)
{
    return status >> 16 == event;
}

static bool is_birth(int status)
{
    return is_event(status, PTRACE_EVENT_CLONE) || is_event(status, PTRACE_EVENT_FORK) ||
           is_event(status, PTRACE_EVENT_VFORK);
}

/* Stopped as by SIGSTOP, which ptrace leaves in force. */
static bool is_group_stop(int status)
{
    return is_event(status, PTRACE_EVENT_STOP) && WSTOPSIG(status) != SIGTRAP;
}

static void note_end(struct tracer *t, pid_t tid, int status)
{
    struct thread *thread = find_thread(t, tid);

    if (tid == t->command) {
        t->ended = true;
        t->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (thread != NULL)
        drop_thread(t, thread);
}

static void adopt_child(struct tracer *t, pid_t parent)
{
    unsigned long child = 0;

    if (ptrace(PTRACE_GETEVENTMSG, parent, NULL, &child) == 0)
        add_thread(t, (pid_t)child);
}

static bool trap_pends(pid_t tid)
{
    return status_number(tid, "SigPnd:", 16) >> (SIGTRAP - 1) & 1;
}

/* Waits for what this one has to tell. The kernel tells first that it stands because it was told to, though it may have
 * executed a breakpoint or a step just before: that is what counts, and it comes next. */
static bool wait_for(pid_t tid, int *status)
{
    for (;;) {
        if (waitpid(tid, status, __WALL) != tid) {
            if (errno != EINTR)
                return false;
        } else if (WIFSTOPPED(*status) && is_event(*status, PTRACE_EVENT_STOP) && trap_pends(tid)) {
            ptrace(PTRACE_CONT, tid, NULL, NULL);
        } else {
            return true;
        }
    }
}

/* Waits for this one to stand; what it stands for is kept for later, unless it is only that it was told to. False: it
 * has ended, or (a leader without whom the others go on) does not stand any more. */
static bool wait_standing(struct tracer *t, struct thread *thread)
{
    pid_t tid = thread->tid;
    int status;

    if (state_of(tid) == 'Z' || !wait_for(tid, &status))
        return false;
    if (!WIFSTOPPED(status)) {
        note_end(t, tid, status);
        return false;
    }
    if (is_birth(status))
        adopt_child(t, tid);
    thread->stands = true;
    thread->waiting = !is_event(status, PTRACE_EVENT_STOP);
    thread->status = status;
    return true;
}

static struct thread *find_running(const struct tracer *t, const struct process *process)
{
    struct thread *thread = t->threads;

    while (thread != NULL && (thread->process != process || thread->stands))
        thread = thread->next;
    return thread;
}

/* All threads of a process, also those that come into being meanwhile. One thread of it stands already. */
static void make_stand(struct tracer *t, const struct process *process)
{
    struct thread *thread;

    while ((thread = find_running(t, process)) != NULL) {
        pid_t tid = thread->tid;

        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        if (!wait_standing(t, thread) && find_thread(t, tid) != NULL)
            drop_thread(t, thread);
    }
}

/* Those that make_stand() has stopped and that have nothing else to tell. */
static void let_others_go(const struct tracer *t, const struct process *process)
{
    for (struct thread *thread = t->threads; thread != NULL; thread = thread->next)
        if (thread->process == process && thread->stands && !thread->waiting) {
            thread->stands = false;
            ptrace(is_group_stop(thread->status) ? PTRACE_LISTEN : PTRACE_CONT, thread->tid, NULL, NULL);
        }
}

/* ---- past a breakpoint ------------------------------------------------------------------------------------------- */

static void send_again(const struct thread *thread, int signal_number)
{
    syscall(SYS_tgkill, thread->process->pid, thread->tid, signal_number);
}

/* Executes the instruction at `address` (which may take several steps on x86, as with "rep"). Signals come later.
 * False: the thread has ended. */
static bool step_past(struct tracer *t, struct thread *thread, uint64_t address)
{
    uint64_t deferred = 0, pc = address;
    pid_t tid = thread->tid;
    int status = 0;

    while (pc == address) {
        ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL);
        if (!wait_for(tid, &status) || !WIFSTOPPED(status)) {
            note_end(t, tid, status);
            return false;
        }
        if (is_birth(status))
            adopt_child(t, tid);
        if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
            deferred |= UINT64_C(1) << (WSTOPSIG(status) - 1);
        if (trace_get_pc(tid, &pc) < 0)
            pc = address;
    }
    for (; deferred != 0; deferred &= deferred - 1)
        send_again(thread, __builtin_ctzll(deferred) + 1);
    /* A stop of the whole process that came just now is told again. */
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    return true;
}

static void step_over(struct tracer *t, struct thread *thread, struct place place)
{
    struct process *process = thread->process;
    bool lives;

    make_stand(t, process);
    trace_restore(thread->tid, place.address, place.code);
    lives = step_past(t, thread, place.address);
    if (lives) {
        trace_plant(thread->tid, place.address, &place.code);
        thread->status = 0;
        let_others_go(t, process);
    }
}

/* ---- what a thread stands for ------------------------------------------------------------------------------------ */

static void on_breakpoint(struct tracer *t, struct thread *thread, struct place place)
{
    trace_set_pc(thread->tid, place.address);
    if (thread->process->at_entry) {
        restore(thread);
        plant_points(t, thread);
        go_on(thread, 0);
    } else if (++t->passed < t->order->nth) {
        step_over(t, thread, place);
    } else {
        t->reached = thread;
    }
}

static void on_trap(struct tracer *t, struct thread *thread)
{
    const struct place *place;
    uint64_t pc;

    place = trace_get_pc(thread->tid, &pc) == 0 ? find_place(thread->process, trace_hit(pc)) : NULL;
    if (place != NULL)
        on_breakpoint(t, thread, *place);
    else
        go_on(thread, SIGTRAP);
}

/* The other threads are gone with the memory; this one has the process' id now. */
static void on_exec(struct tracer *t, struct thread *thread)
{
    struct process *process = thread->process;

    for (struct thread *other = t->threads, *next; other != NULL; other = next) {
        next = other->next;
        if (other->process == process && other != thread)
            drop_thread(t, other);
    }
    t->executed = true;
    plant_entry(thread);
    go_on(thread, 0);
}

static void on_event(struct tracer *t, struct thread *thread, int status)
{
    if (is_group_stop(status)) {
        thread->stands = false;
        ptrace(PTRACE_LISTEN, thread->tid, NULL, NULL);
    } else if (is_event(status, PTRACE_EVENT_EXEC)) {
        on_exec(t, thread);
    } else {
        if (is_birth(status))
            adopt_child(t, thread->tid);
        go_on(thread, 0);
    }
}

static void look_at(struct tracer *t, struct thread *thread, int status)
{
    thread->stands = true;
    thread->waiting = false;
    if (status >> 16 != 0)
        on_event(t, thread, status);
    else if (WSTOPSIG(status) == SIGTRAP)
        on_trap(t, thread);
    else
        go_on(thread, WSTOPSIG(status));
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool asks_for_end(int signal_number)
{
    return signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGQUIT || signal_number == SIGHUP;
}

/* Waits for the next signal and passes it on, if it is for the command. */
static int wait_signal(const struct tracer *t)
{
    siginfo_t info;
    int signal_number = sigwaitinfo(&t->signals, &info);

    if (signal_number > 0 && signal_number != SIGCHLD && info.si_code != SI_KERNEL &&
        !(signal_number == SIGUSR1 && t->reached != NULL && t->order->action == STOP_HOLD))
        kill(t->command, signal_number);
    return signal_number;
}

static void look_at_waiting(struct tracer *t)
{
    struct thread *thread = t->threads;

    while (thread != NULL && !thread->waiting)
        thread = thread->next;
    if (thread != NULL)
        look_at(t, thread, thread->status);
}

static bool anybody_waits(const struct tracer *t)
{
    const struct thread *thread = t->threads;

    while (thread != NULL && !thread->waiting)
        thread = thread->next;
    return thread != NULL;
}

/* Looks at what has changed; false: nothing has. */
static bool look_once(struct tracer *t)
{
    struct thread *thread;
    int status;
    pid_t tid;

    if (anybody_waits(t)) {
        look_at_waiting(t);
        return true;
    }
    tid = waitpid(-1, &status, __WALL | WNOHANG);
    if (tid <= 0)
        return false;
    if (!WIFSTOPPED(status)) {
        note_end(t, tid, status);
        return true;
    }
    thread = add_thread(t, tid);
    if (thread != NULL)
        look_at(t, thread, status);
    return true;
}

/* ---- the end of tracing ------------------------------------------------------------------------------------------ */

/* A breakpoint that it has run into counts as not reached yet; a signal that it stands for is delivered. */
static void let_go(struct tracer *t, struct thread *thread)
{
    int signal_number = 0;
    uint64_t pc;

    if (thread->waiting && thread->status >> 16 == 0) {
        signal_number = WSTOPSIG(thread->status);
        if (signal_number == SIGTRAP && trace_get_pc(thread->tid, &pc) == 0 &&
            find_place(thread->process, trace_hit(pc)) != NULL) {
            trace_set_pc(thread->tid, trace_hit(pc));
            signal_number = 0;
        }
    }
    ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(uintptr_t)signal_number);
    drop_thread(t, thread);
}

/* Takes the breakpoints out of a process and lets it go its way. */
static void release(struct tracer *t, struct process *process)
{
    pid_t pid = process->pid;
    struct thread *thread;

    make_stand(t, process);
    if (find_process(t, pid) == NULL)
        return;
    /* Places are needed until all have been let go; the code is put back before the first one is. */
    thread = thread_of(t, process);
    for (size_t i = 0; i < process->count; i++)
        trace_restore(thread->tid, process->places[i].address, process->places[i].code);
    while (find_process(t, pid) != NULL && (thread = thread_of(t, process)) != NULL)
        let_go(t, thread);
}

/* All but one. */
static void release_all(struct tracer *t, const struct process *but)
{
    struct process *process;

    do {
        process = t->processes;
        while (process != NULL && process == but)
            process = process->next;
        if (process != NULL)
            release(t, process);
    } while (process != NULL);
}

static void tell(const struct tracer *t, pid_t pid)
{
    if (t->order->reached != NULL)
        t->order->reached(pid, t->order->argument);
}

/* The thread at the point first: when it has stopped, so have all others, before their next instruction. */
static void stop_there(struct tracer *t)
{
    struct process *process = t->reached->process;
    struct thread *thread = t->reached;
    pid_t pid = process->pid, tid = thread->tid;

    make_stand(t, process);
    restore(thread);
    ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)SIGSTOP);
    while (strchr("TZX", state_of(tid)) == NULL)
        sched_yield();
    drop_thread(t, thread);
    if (find_process(t, pid) != NULL)
        release(t, process);
    tell(t, pid);
}

static void hold_there(struct tracer *t)
{
    pid_t pid = t->reached->process->pid;
    int signal_number = 0;

    make_stand(t, t->reached->process);
    tell(t, pid);
    while (signal_number != SIGUSR1 && !asks_for_end(signal_number) && find_process(t, pid) != NULL) {
        if (!look_once(t))
            signal_number = wait_signal(t);
    }
    release_all(t, NULL);
}

static void act(struct tracer *t)
{
    struct process *process = t->reached->process;

    if (t->order->action == STOP_KILL)
        kill(process->pid, SIGKILL);
    release_all(t, process);
    if (t->order->action == STOP_STOP)
        stop_there(t);
    else if (t->order->action == STOP_HOLD)
        hold_there(t);
}

/* ---- from the beginning ------------------------------------------------------------------------------------------ */

/* In the new process: waits until it is traced, so that nothing is missed. */
static void live(const struct stop_order *order, pid_t parent, const int go[2], const sigset_t *mask)
{
    char byte;

    close(go[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || read(go[0], &byte, 1) != 1)
        _exit(STOP_EXIT_NOT_TRACED);
    close(go[0]);
    sigprocmask(SIG_SETMASK, mask, NULL);
    order->run(order->argument);
    fflush(NULL);
    _exit(EXIT_SUCCESS);
}

static int seize(struct tracer *t)
{
    struct thread *thread;

    if (ptrace(PTRACE_SEIZE, t->command, NULL, (void *)(uintptr_t)OPTIONS) != 0)
        return -errno;
    thread = must(add_thread(t, t->command));
    ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
    if (!wait_standing(t, thread))
        return -ESRCH;
    plant_points(t, thread);
    go_on(thread, 0);
    return 0;
}

static int refuse(const struct tracer *t, int result)
{
    fprintf(stderr, "stop point %s: cannot trace a process: %s\n", t->order->point, strerror(-result));
    kill(t->command, SIGKILL);
    waitpid(t->command, NULL, __WALL);
    return STOP_EXIT_NOT_TRACED;
}

static int explain_not_passed(const struct tracer *t)
{
    if (!t->executed && t->code == STOP_EXIT_NOT_RUN)
        return STOP_EXIT_NOT_RUN;
    if (t->order->quiet)
        return STOP_EXIT_NOT_PASSED;
    if (!t->found)
        fprintf(stderr, "stop point %s: nothing that was run has it; it ended with code %d\n", t->order->point,
                t->code);
    else
        fprintf(stderr, "stop point %s: passed %lu times of %lu before the end, with code %d\n", t->order->point,
                t->passed, t->order->nth, t->code);
    return STOP_EXIT_NOT_PASSED;
}

static int trace(struct tracer *t)
{
    while (t->reached == NULL && !t->ended)
        if (!look_once(t))
            wait_signal(t);
    if (t->reached == NULL) {
        release_all(t, NULL);
        return explain_not_passed(t);
    }
    act(t);
    while (!t->ended)
        if (!look_once(t) && asks_for_end(wait_signal(t)))
            kill(t->command, SIGCONT);
    return t->order->action == STOP_KILL ? STOP_EXIT_KILLED : t->code;
}

static void take_signals(struct tracer *t, sigset_t *mask)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

    sigemptyset(&t->signals);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&t->signals, numbers[i]);
    sigprocmask(SIG_BLOCK, &t->signals, mask);
}

int stop_run(const struct stop_order *order)
{
    struct tracer t = {.order = order};
    pid_t parent = getpid();
    int go[2], result;
    sigset_t mask;

    take_signals(&t, &mask);
    fflush(NULL);
    if (pipe2(go, O_CLOEXEC) != 0 || (t.command = fork()) < 0) {
        fprintf(stderr, "stop point %s: cannot start a process: %s\n", order->point, strerror(errno));
        return STOP_EXIT_NOT_TRACED;
    }
    if (t.command == 0)
        live(order, parent, go, &mask);
    close(go[0]);
    result = seize(&t);
    if (result < 0)
        return refuse(&t, result);
    result = write(go[1], "g", 1) == 1 ? 0 : -errno;
    close(go[1]);
    return result < 0 ? refuse(&t, result) : trace(&t);
}
