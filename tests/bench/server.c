/* server.c - starts and stops the ringd that the bench runs against; see server.h.
 *
 * It is up when it answers a request (a list of its rings), so nothing here depends on the words of its log.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ringd.h"

#define START_TRIES  500u
#define START_NAP_NS 10000000

static _Noreturn void server_exec(const char *build, const char *folder)
{
    char program[4096], log[4096];
    int fd;

    snprintf(program, sizeof(program), "%s/ringd", build);
    snprintf(log, sizeof(log), "%s/log", folder);
    fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execl(program, program, "--runtime-dir", folder, (char *)NULL);
    perror(program);
    _exit(127);
}

static int server_await(struct server *server)
{
    const struct timespec nap = {.tv_nsec = START_NAP_NS};
    struct ringd_info info;
    size_t count;
    int result = -ECONNREFUSED;

    for (unsigned i = 0; i < START_TRIES && result; i++) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return -ECHILD;
        }
        nanosleep(&nap, NULL);
        result = ringd_list(&info, 1, &count);
    }
    return result;
}

static void log_show(const char *folder)
{
    char line[4096];
    FILE *log;

    snprintf(line, sizeof(line), "%s/log", folder);
    log = fopen(line, "re");
    while (log && fgets(line, sizeof(line), log))
        fprintf(stderr, "  %s", line);
    if (log)
        fclose(log);
}

int server_start(struct server *server, const char *build, const char *folder)
{
    char socket_path[4096];
    int result;

    snprintf(socket_path, sizeof(socket_path), "%s/ringd.sock", folder);
    if (setenv("RINGD_SOCKET", socket_path, 1))
        return -ENOMEM;
    server->pid = fork();
    if (server->pid < 0)
        return -errno;
    if (server->pid == 0)
        server_exec(build, folder);
    result = server_await(server);
    if (result) {
        fprintf(stderr, "bench: %s/ringd does not answer in %s; it says:\n", build, folder);
        log_show(folder);
    }
    return result;
}

int server_stop(struct server *server)
{
    int status = 0;

    if (server->pid <= 0)
        return 0;
    kill(server->pid, SIGTERM);
    if (waitpid(server->pid, &status, 0) < 0)
        return -errno;
    server->pid = 0;
    return status == 0 ? 0 : -ECHILD;
}
