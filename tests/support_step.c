/* support_step.c - stepping by ptrace; see support_step.h. */
#define _GNU_SOURCE
#include "support_step.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "support_trace.h"

/* ---- in the process that is stepped ------------------------------------------------------------------------------ */

void step_enter(struct step_gate *gate)
{
    raise(SIGSTOP);
    atomic_store_explicit(&gate->inside, 1, memory_order_release);
}

/* No locked instruction: they are counted. */
void step_leave(struct step_gate *gate, int result)
{
    atomic_store_explicit(&gate->result, result, memory_order_release);
    atomic_store_explicit(&gate->inside, 0, memory_order_release);
}

struct step_life {
    struct step_gate *gate;
    void (*run)(struct step_gate *gate, void *argument);
    void *argument;
};

static void live(void *argument)
{
    struct step_life *life = argument;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(errno);
    life->run(life->gate, life->argument);
}

/* ---- in the test ------------------------------------------------------------------------------------------------- */

/* Waits until it stands again; the signal that stopped it. */
static int wait_stop(const struct stepper *stepper)
{
    int status;

    while (waitpid(stepper->pid, &status, 0) != stepper->pid)
        require(errno == EINTR, "errno %d", errno);
    require(WIFSTOPPED(status), "the stepped process ended with status 0x%x", (unsigned)status);
    return WSTOPSIG(status);
}

bool step_start(struct stepper *stepper, void (*run)(struct step_gate *gate, void *argument), void *argument,
                int *error)
{
    struct step_life life = {.gate = shared_new(sizeof *life.gate), .run = run, .argument = argument};
    int status;

    stepper->gate = life.gate;
    stepper->pid = child_start(live, &life);
    while (waitpid(stepper->pid, &status, 0) != stepper->pid)
        require(errno == EINTR, "errno %d", errno);
    *error = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (*error == EPERM || *error == ENOSYS)
        return false;
    require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "status 0x%x", (unsigned)status);
    require(ptrace(PTRACE_SETOPTIONS, stepper->pid, NULL, (void *)PTRACE_O_EXITKILL) == 0, "errno %d", errno);
    return true;
}

static void step_raw(const struct stepper *stepper)
{
    int signal_number;

    require(ptrace(PTRACE_SINGLESTEP, stepper->pid, NULL, NULL) == 0, "errno %d", errno);
    signal_number = wait_stop(stepper);
    require(signal_number == SIGTRAP, "signal %d", signal_number);
}

void step_begin(struct stepper *stepper)
{
    while (atomic_load(&stepper->gate->inside) == 0)
        step_raw(stepper);
}

bool step_once(struct stepper *stepper)
{
    step_raw(stepper);
    return atomic_load(&stepper->gate->inside) == 1;
}

uint64_t step_many(struct stepper *stepper, uint64_t count)
{
    uint64_t steps = 0;

    while (steps < count && step_once(stepper))
        steps++;
    return steps;
}

uint64_t step_many_awake(struct stepper *stepper, uint64_t count)
{
    uint64_t steps = 0;

    while (steps < count && !step_at_sleep(stepper) && step_once(stepper))
        steps++;
    return steps;
}

/* Until the next signal. */
static int run_on(const struct stepper *stepper)
{
    require(ptrace(PTRACE_CONT, stepper->pid, NULL, NULL) == 0, "errno %d", errno);
    return wait_stop(stepper);
}

void step_finish(struct stepper *stepper)
{
    int signal_number = run_on(stepper);

    require(signal_number == SIGSTOP, "signal %d", signal_number);
    require(atomic_load(&stepper->gate->inside) == 0, "it stands inside the operation");
}

void step_stop(struct stepper *stepper)
{
    child_kill(stepper->pid);
}

/* ---- looking at the next instruction ----------------------------------------------------------------------------- */

static uint64_t program_counter(const struct stepper *stepper)
{
    uint64_t pc;
    int result = trace_get_pc(stepper->pid, &pc);

    require(result == 0, "result %d", result);
    return pc;
}

bool step_at_sleep(const struct stepper *stepper)
{
    return trace_at_call(stepper->pid, SYS_futex) == 1;
}

/* A breakpoint for once: what stood there is put back when it is reached. */
bool step_to(struct stepper *stepper, const void *function)
{
    uint64_t address = (uint64_t)(uintptr_t)function, code;
    int signal_number, result = trace_plant(stepper->pid, address, &code);

    require(result == 0, "result %d", result);
    signal_number = run_on(stepper);
    result = trace_restore(stepper->pid, address, code);
    require(result == 0, "result %d", result);
    if (signal_number == SIGSTOP)
        return false;
    require(signal_number == SIGTRAP, "signal %d", signal_number);
    require(trace_hit(program_counter(stepper)) == address, "it stands elsewhere");
    result = trace_set_pc(stepper->pid, address);
    require(result == 0, "result %d", result);
    return true;
}

#if defined(__x86_64__)

static bool is_prefix(unsigned char byte)
{
    return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x36 || byte == 0x3e ||
           byte == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0x67 || (byte >= 0x40 && byte <= 0x4f);
}

/* A lock prefix, or xchg with memory, which is locked without one. */
bool step_at_locked(const struct stepper *stepper)
{
    unsigned char code[16];
    int i = 0;

    trace_read(stepper->pid, program_counter(stepper), code, sizeof code);
    while (i < 14 && is_prefix(code[i]))
        i++;
    if (code[i] == 0xf0)
        return true;
    return (code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0;
}

/* 0f ae with a register: 5, 6, 7 in the middle of the next byte. */
bool step_at_fence(const struct stepper *stepper)
{
    unsigned char code[3];

    trace_read(stepper->pid, program_counter(stepper), code, sizeof code);
    return code[0] == 0x0f && code[1] == 0xae && code[2] >= 0xe8;
}

bool step_knows_locked(void)
{
    return true;
}

#else

bool step_at_locked(const struct stepper *stepper)
{
    (void)stepper;
    return false;
}

bool step_at_fence(const struct stepper *stepper)
{
    (void)stepper;
    return false;
}

bool step_knows_locked(void)
{
    return false;
}

#endif
