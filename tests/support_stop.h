/* support_stop.h - runs something exactly to a stop point, and there kills, stops or holds it.
 *
 * What is run is a new process under ptrace; its threads, its children and what they exec are followed. A breakpoint
 * stands at each address of the point, in every program and library that has it: planted when a program's first
 * instruction is reached, so after its libraries have been loaded (what is loaded later is not looked at). Passings
 * count over all processes; one that does not count yet is stepped over while the other threads of its process stand.
 *
 * Once the point has been passed for the n-th time, all breakpoints are taken out, and whatever goes on does so without
 * ptrace and at its usual speed:
 *
 *     STOP_KILL   the process that passes gets SIGKILL
 *     STOP_STOP   it is stopped as by SIGSTOP, before the next instruction; for whoever sends SIGCONT or SIGKILL
 *     STOP_HOLD   none of its threads runs until the calling process gets SIGUSR1
 *
 * Signals that the calling process gets (HUP, INT, QUIT, TERM, USR1, USR2) go to the process that was started, unless
 * they came from the terminal, which has sent them to that one too. One that asks for an end also ends the hold or
 * stop. When the caller dies, the started process gets SIGKILL.
 *
 * Called by at_stop_point.c, and by checks through support_at_point.c, for functions of their own program.
 */
#ifndef TESTS_SUPPORT_STOP_H
#define TESTS_SUPPORT_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum stop_action {
    STOP_KILL,
    STOP_STOP,
    STOP_HOLD,
};

/* Exit codes that are not the command's. */
enum stop_exit {
    STOP_EXIT_NOT_PASSED = 100,
    STOP_EXIT_NOT_TRACED = 101, /* this machine does not allow it; the reason is on stderr */
    STOP_EXIT_NOT_RUN = 127,
    STOP_EXIT_KILLED = 137,
};

struct stop_order {
    const char *point;
    enum stop_action action;
    unsigned long nth; /* from 1 */
    /* What is run, in a new process, which ends with exit code 0 when it returns; it may exec. */
    void (*run)(void *argument);
    void *argument;
    /* Stopped or held: it stands there. May be NULL. */
    void (*reached)(pid_t pid, void *argument);
    bool quiet; /* does not say why the point was not passed */
};

/* Until the started process has ended. Returns an exit code: enum stop_exit, or that of the process (128 + the signal
 * that ended it). For a process that has no other children. */
int stop_run(const struct stop_order *order);

#endif
