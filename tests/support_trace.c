/* support_trace.c - see support_trace.h. */
#define _GNU_SOURCE
#include "support_trace.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#define WORD sizeof(uint64_t)

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

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int peek(pid_t tid, uint64_t address, uint64_t *word)
{
    long value;

    errno = 0;
    value = ptrace(PTRACE_PEEKTEXT, tid, (void *)(uintptr_t)address, NULL);
    *word = errno == 0 ? (uint64_t)value : 0;
    return -errno;
}

void trace_read(pid_t tid, uint64_t address, unsigned char *bytes, size_t count)
{
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || (address + i) % WORD == 0)
            peek(tid, (address + i) & ~(WORD - 1), &word);
        bytes[i] = (unsigned char)(word >> (address + i) % WORD * 8);
    }
}

/* Replaces the bits of `mask`, as if it stood at `address`; both of these machines store the lowest byte first. */
static int replace_code(pid_t tid, uint64_t address, uint64_t mask, uint64_t code, uint64_t *before)
{
    uint64_t at = address & ~(WORD - 1), shift = address % WORD * 8, word;
    int result = peek(tid, at, &word);

    if (result < 0)
        return result;
    *before = word >> shift & mask;
    word = (word & ~(mask << shift)) | code << shift;
    return ptrace(PTRACE_POKETEXT, tid, (void *)(uintptr_t)at, (void *)(uintptr_t)word) == 0 ? 0 : -errno;
}

int trace_plant(pid_t tid, uint64_t address, uint64_t *code)
{
    return replace_code(tid, address, BREAKPOINT_MASK, BREAKPOINT, code);
}

int trace_restore(pid_t tid, uint64_t address, uint64_t code)
{
    uint64_t breakpoint;

    return replace_code(tid, address, BREAKPOINT_MASK, code, &breakpoint);
}

/* ---- registers --------------------------------------------------------------------------------------------------- */

static int read_registers(pid_t tid, struct user_regs_struct *registers)
{
    struct iovec iov = {.iov_base = registers, .iov_len = sizeof *registers};

    return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) == 0 ? 0 : -errno;
}

int trace_get_pc(pid_t tid, uint64_t *pc)
{
    struct user_regs_struct registers;
    int result = read_registers(tid, &registers);

    *pc = result == 0 ? PROGRAM_COUNTER(registers) : 0;
    return result;
}

int trace_set_pc(pid_t tid, uint64_t pc)
{
    struct user_regs_struct registers;
    struct iovec iov = {.iov_base = &registers, .iov_len = sizeof registers};
    int result = read_registers(tid, &registers);

    if (result < 0)
        return result;
    PROGRAM_COUNTER(registers) = pc;
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) == 0 ? 0 : -errno;
}

uint64_t trace_hit(uint64_t pc)
{
    return pc - BREAKPOINT_PASSED;
}

int trace_at_call(pid_t tid, int64_t number)
{
    struct user_regs_struct registers;
    unsigned char code[sizeof system_call];
    int result = read_registers(tid, &registers);

    if (result < 0 || (int64_t)CALL_NUMBER(registers) != number)
        return result;
    trace_read(tid, PROGRAM_COUNTER(registers), code, sizeof code);
    return memcmp(code, system_call, sizeof code) == 0;
}
