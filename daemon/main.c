/* main.c - ringd's command line.
 *
 *     ringd [--runtime-dir DIR] [--config FILE] [--keep] [--verbose]
 *
 * Stays in the foreground, says `ringd: ready on DIR/ringd.sock` on stderr when clients may come, and serves until
 * SIGTERM, SIGINT or SIGHUP. Exit codes: 0 stopped in order (or help, version); 1 could not start, with the reason on
 * stderr; 2 the command line or the configuration is wrong, with what would do.
 *
 * Without --config, /etc/ringd/ringd.conf is read if it exists and the runtime directory is the default one: a daemon
 * that a user starts in a folder of his own is not configured by the machine's file.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon.h"
#include "log.h"
#include "problem.h"
#include "ringd.h"

#define DIRECTORY_DEFAULT "/run/ringd"
#define CONFIG_DEFAULT    "/etc/ringd/ringd.conf"

enum exit_code {
    EXIT_NOT_STARTED = 1,
    EXIT_USAGE = 2,
};

struct arguments {
    const char *directory;
    const char *config; /* NULL: none given */
    bool keep;
    bool verbose;
};

static const char usage[] =
    "usage: ringd [--runtime-dir DIR] [--config FILE] [--keep] [--verbose]\n"
    "\n"
    "Keeps rings in shared memory and hands them out over DIR/ringd.sock.\n"
    "\n"
    "  -d, --runtime-dir DIR  where the socket and the lock are; made if missing (" DIRECTORY_DEFAULT ")\n"
    "  -c, --config FILE      rings to make and who may make more; see ringd.conf(5)\n"
    "                         (" CONFIG_DEFAULT ", if it is there and DIR is " DIRECTORY_DEFAULT ")\n"
    "  -k, --keep             when stopped, leave all rings to the next ringd of DIR; without it those that\n"
    "                         nobody is attached to are removed\n"
    "  -v, --verbose          also log contexts that come and go, and requests that are refused\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this\n"
    "\n"
    "Programs find it through RINGD_SOCKET=DIR/ringd.sock.\n"
    "Exit codes: 0 stopped in order, 1 could not start, 2 wrong command line or configuration.\n";

static const struct option options[] = {
    {"runtime-dir", required_argument, NULL, 'd'},
    {"config", required_argument, NULL, 'c'},
    {"keep", no_argument, NULL, 'k'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int refuse_usage(void)
{
    fputs("Try `ringd --help`.\n", stderr);
    return EXIT_USAGE;
}

/* -1: go on and serve; otherwise the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    int option;

    while ((option = getopt_long(argc, argv, "d:c:kvVh", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            arguments->directory = optarg;
            break;
        case 'c':
            arguments->config = optarg;
            break;
        case 'k':
            arguments->keep = true;
            break;
        case 'v':
            arguments->verbose = true;
            break;
        case 'V':
            printf("ringd %s\n", ringd_version());
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            return refuse_usage();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ringd: \"%s\" is no option, and ringd takes nothing else\n", argv[optind]);
        return refuse_usage();
    }
    return -1;
}

/* Which file to read; NULL: none. */
static const char *config_path(const struct arguments *arguments)
{
    if (arguments->config != NULL)
        return arguments->config;
    if (strcmp(arguments->directory, DIRECTORY_DEFAULT) == 0 && access(CONFIG_DEFAULT, F_OK) == 0)
        return CONFIG_DEFAULT;
    return NULL;
}

static int serve(const struct arguments *arguments, struct config *config, struct problem *problem)
{
    const char *path = config_path(arguments);

    if (path != NULL && config_load(config, path, problem) < 0)
        return EXIT_USAGE;
    return daemon_run(arguments->directory, config, arguments->keep, problem) < 0 ? EXIT_NOT_STARTED : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.directory = DIRECTORY_DEFAULT};
    struct problem problem = {""};
    struct config config;
    int code = parse_arguments(argc, argv, &arguments);

    if (code >= 0)
        return code;
    log_open(arguments.verbose);
    config_init(&config);
    code = serve(&arguments, &config, &problem);
    if (code != EXIT_SUCCESS)
        log_error("%s", problem.text);
    config_deinit(&config);
    return code;
}
