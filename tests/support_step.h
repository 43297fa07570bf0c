/* support_step.h - runs an operation one machine instruction at a time.
 *
 * What happens when a writer is stopped between its check and its addition, or a reader between two loads, must hold at
 * every place, not only at those that come up in a hurry. So the operation runs in a process of its own under ptrace,
 * and the test stops it after each number of instructions, does whatever shall happen in between, and lets it go on.
 * Everything else is real: the handles, the ring, the daemon.
 *
 * The process that is stepped does its operations in rounds:
 *
 *     static void run(struct step_gate *gate, void *argument)     for (;;) in its test:
 *     {                                                              step_begin(&stepper);       stands before a round
 *         ... open handles ...                                       while (step_once(&stepper)) ...
 *         for (;;) {                                                  or step_finish(&stepper);   lets it run to the
 * end step_enter(gate);
 *             ... one operation ...
 *             step_leave(gate);
 *         }
 *     }
 *
 * It stops for good with the test. Counts of instructions include the few of entering and leaving.
 *
 * Called by check_steps.c, check_move_steps.c, check_group_steps.c, check_single_steps.c and others.
 */
#ifndef TESTS_SUPPORT_STEP_H
#define TESTS_SUPPORT_STEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Shared by both. */
struct step_gate {
    _Atomic uint32_t inside; /* 1: in the operation */
    _Atomic int32_t result;  /* of the operation, for the test to look at */
    _Atomic uint64_t number; /* of the operation: whatever the test and the stepped process agree on */
};

struct stepper {
    pid_t pid;
    struct step_gate *gate;
};

void step_enter(struct step_gate *gate);
void step_leave(struct step_gate *gate, int result);

/* Starts the process; it stands before its first round. False: this machine does not allow it (the reason is in
 * *error, an errno). */
bool step_start(struct stepper *stepper, void (*run)(struct step_gate *gate, void *argument), void *argument,
                int *error);

/* Into the operation. */
void step_begin(struct stepper *stepper);

/* One instruction. False: the operation is over (step_finish is still to be called). */
bool step_once(struct stepper *stepper);

/* Up to `count` instructions; returns how many were taken. The second one stops before a call that may sleep, which
 * makes it several times slower. */
uint64_t step_many(struct stepper *stepper, uint64_t count);
uint64_t step_many_awake(struct stepper *stepper, uint64_t count);

/* Lets it run until it is about to execute the first instruction of a function (of the same program, not inlined).
 * False: the operation was over before; it stands before its next round, as after step_finish. */
bool step_to(struct stepper *stepper, const void *function);

/* Lets the operation run to its end; the process then stands before its next round. */
void step_finish(struct stepper *stepper);

/* Whether the next instruction is a system call that may sleep (futex). */
bool step_at_sleep(const struct stepper *stepper);

/* Whether the next instruction is a locked one: an atomic read-modify-write. Known on x86-64 only. */
bool step_at_locked(const struct stepper *stepper);
bool step_knows_locked(void);

/* Whether it is a fence (mfence, lfence, sfence). */
bool step_at_fence(const struct stepper *stepper);

/* Ends the process. */
void step_stop(struct stepper *stepper);

#endif
