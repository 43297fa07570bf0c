/* support_step.c - stepping by ptrace; see support_step.h. */
#define _GNU_SOURCE
#include "support_step.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

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

#if defined(__x86_64__)
#define PROGRAM_COUNTER(registers) ((registers).rip)
#define CALL_NUMBER(registers)     ((registers).rax)
#define BREAKPOINT                 UINT64_C(0xcc)
#define BREAKPOINT_MASK            UINT64_C(0xff)
#define BREAKPOINT_PASSED          1u /* the program counter stands behind it */
static const unsigned char system_call[] = {0x0f, 0x05};
#elif defined(__aarch64__)
#define PROGRAM_COUNTER(registers) ((registers).pc)
#define CALL_NUMBER(registers)     ((registers).regs[8])
#define BREAKPOINT                 UINT64_C(0xd4200000)
#define BREAKPOINT_MASK            UINT64_C(0xffffffff)
#define BREAKPOINT_PASSED          0u
static const unsigned char system_call[] = {0x01, 0x00, 0x00, 0xd4};
#else
#error "say here what a system call and a breakpoint look like"
#endif

static void read_code(const struct stepper *stepper, uint64_t address, unsigned char bytes[static 16])
{
    for (int i = 0; i < 2; i++) {
        long word;

        errno = 0;
        word = ptrace(PTRACE_PEEKTEXT, stepper->pid, (void *)(uintptr_t)(address + 8 * (uint64_t)i), NULL);
        if (errno != 0)
            word = 0; /* the end of a mapping */
        memcpy(bytes + 8 * i, &word, sizeof word);
    }
}

static struct user_regs_struct read_registers(const struct stepper *stepper)
{
    struct user_regs_struct registers;
    struct iovec iov = {.iov_base = &registers, .iov_len = sizeof registers};

    require(ptrace(PTRACE_GETREGSET, stepper->pid, (void *)NT_PRSTATUS, &iov) == 0, "errno %d", errno);
    return registers;
}

bool step_at_sleep(const struct stepper *stepper)
{
    struct user_regs_struct registers = read_registers(stepper);
    unsigned char code[16];

    if (CALL_NUMBER(registers) != SYS_futex)
        return false;
    read_code(stepper, PROGRAM_COUNTER(registers), code);
    return memcmp(code, system_call, sizeof system_call) == 0;
}

static void write_code(const struct stepper *stepper, const void *address, uint64_t word)
{
    void *at = (void *)(uintptr_t)address;

    require(ptrace(PTRACE_POKETEXT, stepper->pid, at, (void *)(uintptr_t)word) == 0, "errno %d", errno);
}

static void set_program_counter(const struct stepper *stepper, uint64_t address)
{
    struct user_regs_struct registers = read_registers(stepper);
    struct iovec iov = {.iov_base = &registers, .iov_len = sizeof registers};

    PROGRAM_COUNTER(registers) = address;
    require(ptrace(PTRACE_SETREGSET, stepper->pid, (void *)NT_PRSTATUS, &iov) == 0, "errno %d", errno);
}

/* A breakpoint for once: what stood there is put back when it is reached. */
bool step_to(struct stepper *stepper, const void *function)
{
    unsigned char code[16];
    int signal_number;
    uint64_t word;

    read_code(stepper, (uint64_t)(uintptr_t)function, code);
    memcpy(&word, code, sizeof word);
    write_code(stepper, function, (word & ~BREAKPOINT_MASK) | BREAKPOINT);
    signal_number = run_on(stepper);
    write_code(stepper, function, word);
    if (signal_number == SIGSTOP)
        return false;
    require(signal_number == SIGTRAP, "signal %d", signal_number);
    require(PROGRAM_COUNTER(read_registers(stepper)) - BREAKPOINT_PASSED == (uint64_t)(uintptr_t)function,
            "it stands elsewhere");
    set_program_counter(stepper, (uint64_t)(uintptr_t)function);
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

    read_code(stepper, PROGRAM_COUNTER(read_registers(stepper)), code);
    while (i < 14 && is_prefix(code[i]))
        i++;
    if (code[i] == 0xf0)
        return true;
    return (code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0;
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

bool step_knows_locked(void)
{
    return false;
}

#endif
