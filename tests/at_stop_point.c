/* at_stop_point.c - runs a command exactly to a stop point, and there kills, stops or holds it.
 *
 *     build/at-stop-point NAME kill|stop|hold [--nth N] -- COMMAND [ARGUMENTS]
 *     build/at-stop-point --list [--addresses] FILE...
 *
 * The command may be anything that links the library, and a shell that runs such things: `ringctl write`, `ringd`. The
 * work is done in support_stop.c; `--help` says the rest. `make stop-points` is the second form for what was built.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support_points.h"
#include "support_stop.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: at-stop-point NAME kill|stop|hold [--nth N] -- COMMAND [ARGUMENTS]\n"
    "       at-stop-point --list [--addresses] FILE...\n"
    "\n"
    "Runs COMMAND, whose input and output stay its own, exactly to where it passes the stop point NAME: after the "
    "step\n"
    "that the name says and before the next one. Threads, children and what they exec are followed.\n"
    "\n"
    "  kill      the process that passes gets SIGKILL\n"
    "  stop      it is stopped, as by SIGSTOP, until somebody sends SIGCONT or SIGKILL\n"
    "  hold      it is held until this tool gets SIGUSR1\n"
    "\n"
    "  -n, --nth N  not the first but the N-th passing, counted over all processes\n"
    "  -l, --list   print the names in programs and libraries; `make stop-points` does so for what was built\n"
    "  -a, --addresses  with --list: print every place, as \"ADDRESS NAME\"\n"
    "  -h, --help   print this\n"
    "\n"
    "When a process stands there, a line on stderr says so: \"at-stop-point: NAME: pid PID is stopped\", or \"... is "
    "held\n"
    "until SIGUSR1 to PID\". Nothing is traced any more then. Signals to this tool (HUP, INT, QUIT, TERM, USR1, USR2) "
    "are\n"
    "passed on to COMMAND; those that ask for an end also wake it. COMMAND dies with this tool.\n"
    "\n"
    "Exit codes: that of COMMAND (128 + N: ended by signal N); 137 killed at the point; 100 it ended without passing "
    "it\n"
    "(so often); 101 processes cannot be traced here; 2 wrong command line, or there is no such point; 127 COMMAND "
    "cannot\n"
    "be run.\n";

static const struct option options[] = {
    {"nth", required_argument, NULL, 'n'},
    {"list", no_argument, NULL, 'l'},
    {"addresses", no_argument, NULL, 'a'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct arguments {
    struct stop_order order;
    bool list, addresses;
    char **rest; /* COMMAND, or files */
    int count;
};

/* ---- the command line -------------------------------------------------------------------------------------------- */

static int refuse(const char *what, const char *word)
{
    fprintf(stderr, "at-stop-point: %s%s\nTry `at-stop-point --help`.\n", what, word);
    return EXIT_USAGE;
}

static bool parse_action(const char *word, enum stop_action *action)
{
    static const char *const words[] = {[STOP_KILL] = "kill", [STOP_STOP] = "stop", [STOP_HOLD] = "hold"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *action = (enum stop_action)i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *word, unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(word, &end, 10);
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && errno == 0 && *number > 0;
}

/* The options stand before or after NAME and the action, and end with "--" or with COMMAND. -1: go on. */
static int parse_options(int argc, char **argv, struct arguments *a, const char **words)
{
    int option, count = 0;

    while ((option = getopt_long(argc, argv, "-n:lah", options, NULL)) != -1) {
        if (option == 'n' && !parse_number(optarg, &a->order.nth))
            return refuse("--nth takes a whole number from 1 on, and not ", optarg);
        if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        }
        if (option == '?')
            return refuse("", "wrong option");
        a->list |= option == 'l';
        a->addresses |= option == 'a';
        if (option != 1)
            continue;
        if (a->list || count == 2) {
            optind--;
            break;
        }
        words[count++] = optarg;
    }
    a->rest = argv + optind;
    a->count = argc - optind;
    return -1;
}

static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    const char *words[2] = {NULL, NULL};
    int code = parse_options(argc, argv, a, words);

    if (code >= 0)
        return code;
    if (a->list)
        return a->count > 0 ? -1 : refuse("--list needs files", "");
    if (words[0] == NULL || words[1] == NULL || a->count == 0)
        return refuse("a stop point, an action and a command are needed", "");
    if (!parse_action(words[1], &a->order.action))
        return refuse("the action is kill, stop or hold, and not ", words[1]);
    a->order.point = words[0];
    return -1;
}

/* ---- which points there are -------------------------------------------------------------------------------------- */

static bool file_has(const char *path, const char *name)
{
    struct stop_points points;
    bool found;

    if (stop_points_open(&points, path) < 0)
        return false;
    found = stop_points_have(&points, name);
    stop_points_close(&points);
    return found;
}

/* In what was built with this tool, or in the program that is to be run. */
static bool is_known(const char *name, const char *command)
{
    static const char *const built[] = {"libringd.so", "ringd"};
    char self[PATH_MAX] = "", path[PATH_MAX + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *folder = len > 0 ? dirname(self) : ".";

    for (size_t i = 0; i < sizeof built / sizeof *built; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, built[i]);
        if (file_has(path, name))
            return true;
    }
    return file_has(command, name);
}

static int list(const struct arguments *a)
{
    const char *bad;
    int result = stop_points_list(a->rest, a->count, a->addresses, &bad);

    if (result < 0)
        fprintf(stderr, "at-stop-point: %s: %s\n", bad, strerror(-result));
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void execute(void *argument)
{
    const struct arguments *a = argument;

    execvp(a->rest[0], a->rest);
    fprintf(stderr, "at-stop-point: cannot run %s: %s\n", a->rest[0], strerror(errno));
    _exit(STOP_EXIT_NOT_RUN);
}

static void say_reached(pid_t pid, void *argument)
{
    const struct arguments *a = argument;

    if (a->order.action == STOP_STOP)
        fprintf(stderr, "at-stop-point: %s: pid %ld is stopped\n", a->order.point, (long)pid);
    else
        fprintf(stderr, "at-stop-point: %s: pid %ld is held until SIGUSR1 to %ld\n", a->order.point, (long)pid,
                (long)getpid());
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.order = {.nth = 1, .run = execute, .reached = say_reached}};
    int code = parse_arguments(argc, argv, &arguments);

    if (code >= 0)
        return code;
    if (arguments.list)
        return list(&arguments);
    if (!is_known(arguments.order.point, arguments.rest[0])) {
        fprintf(stderr, "at-stop-point: there is no stop point %s; `make stop-points` lists them\n",
                arguments.order.point);
        return EXIT_USAGE;
    }
    arguments.order.argument = &arguments;
    return stop_run(&arguments.order);
}
