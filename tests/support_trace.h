/* support_trace.h - code, program counter and breakpoints of a thread that stands under ptrace.
 *
 * What differs from machine to machine is in support_trace.c only. Calls return 0 (or what they say) or a negative
 * errno; -ESRCH: the thread has been killed meanwhile. A breakpoint replaces the instruction at its address, in that
 * process alone; who planted it keeps what stood there and puts it back. Code is written in aligned words, so that two
 * breakpoints may stand next to each other and nothing beyond a mapping's end is touched.
 *
 * Called by support_step.c (one instruction at a time) and support_stop.c (exactly to a stop point).
 */
#ifndef TESTS_SUPPORT_TRACE_H
#define TESTS_SUPPORT_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Up to the end of the mapping; what lies beyond reads as zero. */
void trace_read(pid_t tid, uint64_t address, unsigned char *bytes, size_t count);

int trace_get_pc(pid_t tid, uint64_t *pc);
int trace_set_pc(pid_t tid, uint64_t pc);

/* Plants a breakpoint and says what stood there; puts that back. */
int trace_plant(pid_t tid, uint64_t address, uint64_t *code);
int trace_restore(pid_t tid, uint64_t address, uint64_t code);

/* The address of the breakpoint that a thread has just run into, if it has, by its program counter. */
uint64_t trace_hit(uint64_t pc);

/* 1: the next instruction is this system call. 0: it is something else. */
int trace_at_call(pid_t tid, int64_t number);

#endif
