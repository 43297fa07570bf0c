/* support_at_point.c - see support_at_point.h. */
#define _GNU_SOURCE
#include "support_at_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

struct at_point_board {
    _Atomic pid_t pid; /* stands at the point */
};

struct journey {
    struct stop_order order;
    struct at_point_board *board;
    void (*run)(void *argument);
    void *argument;
};

static void run_it(void *argument)
{
    const struct journey *journey = argument;

    support_guard(SUPPORT_GUARD_S);
    journey->run(journey->argument);
}

static void note_reached(pid_t pid, void *argument)
{
    const struct journey *journey = argument;

    atomic_store(&journey->board->pid, pid);
}

static void trace_it(void *argument)
{
    const struct journey *journey = argument;

    _exit(stop_run(&journey->order));
}

static bool has_ended(struct at_point *at)
{
    int status;

    if (at->ended || waitpid(at->tracer, &status, WNOHANG) != at->tracer)
        return at->ended;
    require(WIFEXITED(status), "the tracer ended with status 0x%x", (unsigned)status);
    at->code = WEXITSTATUS(status);
    at->ended = true;
    return true;
}

struct at_point at_point_start(const char *point, enum stop_action action, unsigned long nth,
                               void (*run)(void *argument), void *argument)
{
    struct at_point at = {.action = action, .board = shared_new(sizeof *at.board)};
    struct journey journey = {
        .order = {.point = point, .action = action, .nth = nth, .run = run_it, .reached = note_reached, .quiet = true},
        .board = at.board,
        .run = run,
        .argument = argument,
    };

    journey.order.argument = &journey;
    at.tracer = child_start(trace_it, &journey);
    while (atomic_load(&at.board->pid) == 0 && !has_ended(&at))
        pause_ms(1);
    return at;
}

pid_t at_point_pid(const struct at_point *at)
{
    return atomic_load(&at->board->pid);
}

void at_point_go_on(const struct at_point *at)
{
    if (at->action == STOP_HOLD)
        kill(at->tracer, SIGUSR1);
    else
        kill(at_point_pid(at), SIGCONT);
}

int at_point_finish(struct at_point *at)
{
    while (!has_ended(at))
        pause_ms(1);
    return at->code;
}

void at_point_kill(struct at_point *at)
{
    if (at_point_pid(at) != 0)
        kill(at_point_pid(at), SIGKILL);
    at_point_finish(at);
}

static void do_nothing(void *argument)
{
    (void)argument;
}

bool at_point_allowed(const char *test)
{
    struct at_point at = at_point_start("none", STOP_KILL, 1, do_nothing, NULL);

    if (at_point_finish(&at) != STOP_EXIT_NOT_TRACED)
        return true;
    support_skip(test, "this machine does not let a process trace another");
    return false;
}
