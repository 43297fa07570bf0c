/* support_at_point.h - brings functions of a check, and commands, exactly to a stop point.
 *
 *     struct at_point at = at_point_start("reserve-added", STOP_HOLD, 1, write_some, &argument);
 *
 *     ... look at the ring, which the process at_point_pid(&at) has open ...
 *     at_point_go_on(&at);
 *     ck_assert_int_eq(at_point_finish(&at), 0);
 *
 * `write_some` runs in a process of its own, under a helper process that traces it (support_stop.h); it is no child of
 * the test's. All end with the test. Where ptrace is not allowed the test says so and is skipped: at_point_allowed().
 *
 * Called by check_stop_points.c and by whoever needs somebody to die at a certain step.
 */
#ifndef TESTS_SUPPORT_AT_POINT_H
#define TESTS_SUPPORT_AT_POINT_H

#include <stdbool.h>
#include <sys/types.h>

#include "support_stop.h"

struct at_point_board;

struct at_point {
    pid_t tracer;
    enum stop_action action;
    struct at_point_board *board; /* shared with the tracer */
    int code;                     /* once `ended` */
    bool ended;
};

/* False, with a line for the runner: this machine does not let a process trace another. */
bool at_point_allowed(const char *test);

/* Starts `run` in a new process and returns when it stands at the point for the n-th time; with STOP_KILL, when it has
 * been killed. If it ended before, at_point_finish() says so: STOP_EXIT_NOT_PASSED. */
struct at_point at_point_start(const char *point, enum stop_action action, unsigned long nth,
                               void (*run)(void *argument), void *argument);

/* The process that stands there; 0: none does. */
pid_t at_point_pid(const struct at_point *at);

/* Ends the stop or hold. */
void at_point_go_on(const struct at_point *at);

/* Waits for the end; the exit code as stop_run() gives it. */
int at_point_finish(struct at_point *at);

/* Kills what stands there and waits for its end. */
void at_point_kill(struct at_point *at);

#endif
