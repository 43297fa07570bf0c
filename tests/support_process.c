/* support_process.c - helper processes, commands and the daemon. See support.h.
 *
 * A helper gets SIGKILL when the process that started it ends, a daemon SIGTERM, so that it cleans up: nothing outlives
 * a failed test. The id under which a daemon keeps its shared memory is found in its first object's name and noted in
 * the temporary folder, for support_end().
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ringd_proto.h"
#include "support.h"

#define WORDS_MAX 24

struct daemon_process server;

/* ---- helper processes -------------------------------------------------------------------------------------------- */

/* In a new process: end with who started it, by this signal. */
static void end_with_parent(pid_t parent, int signal_number)
{
    require(prctl(PR_SET_PDEATHSIG, signal_number) == 0, "errno %d", errno);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
}

pid_t child_start(void (*run)(void *argument), void *argument)
{
    pid_t parent = getpid(), pid;

    fflush(NULL);
    pid = fork();
    require(pid >= 0, "errno %d", errno);
    if (pid > 0)
        return pid;
    end_with_parent(parent, SIGKILL);
    support_guard(SUPPORT_GUARD_S);
    run(argument);
    fflush(NULL);
    _exit(EXIT_SUCCESS);
}

int child_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) != pid)
        require(errno == EINTR, "errno %d", errno);
    return status;
}

void child_finish(pid_t pid)
{
    int status = child_wait(pid);

    require(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS, "helper %ld ended with status 0x%x%s", (long)pid,
            (unsigned)status, WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
}

void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    child_wait(pid);
}

void child_stop(pid_t pid)
{
    int status;

    kill(pid, SIGSTOP);
    while (waitpid(pid, &status, WUNTRACED) != pid)
        require(errno == EINTR, "errno %d", errno);
    require(WIFSTOPPED(status), "status 0x%x", (unsigned)status);
}

void child_continue(pid_t pid)
{
    kill(pid, SIGCONT);
}

static char process_state(pid_t pid)
{
    char path[64], text[512] = "";
    const char *end;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 'X';
    end = fgets(text, sizeof text, file);
    fclose(file);
    end = end != NULL ? strrchr(text, ')') : NULL;
    return end != NULL && end[1] == ' ' ? end[2] : 'X';
}

/* Each time counts in one of the two. */
uint64_t process_switches(pid_t pid)
{
    return process_number(pid, "status", "voluntary_ctxt_switches") +
           process_number(pid, "status", "nonvoluntary_ctxt_switches");
}

void child_wait_asleep(pid_t pid)
{
    while (process_state(pid) != 'S') {
        require(process_state(pid) != 'X' && process_state(pid) != 'Z', "process %ld has ended", (long)pid);
        pause_ms(1);
    }
}

void child_wait_still(pid_t pid)
{
    uint64_t before;

    do {
        child_wait_asleep(pid);
        before = process_switches(pid);
        pause_ms(30);
    } while (process_state(pid) != 'S' || process_switches(pid) != before);
}

uint64_t process_number(pid_t pid, const char *file_name, const char *key)
{
    char path[64], line[256];
    uint64_t number = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file_name);
    file = fopen(path, "re");
    require(file != NULL, "%s: errno %d", path, errno);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtoull(line + strlen(key) + strspn(line + strlen(key), " :\t"), NULL, 10);
    }
    fclose(file);
    return number;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

int memory_file(const void *contents, size_t len)
{
    int fd = memfd_create("ringd-check", MFD_CLOEXEC);

    require(fd >= 0, "errno %d", errno);
    require(len == 0 || write(fd, contents, len) == (ssize_t)len, "errno %d", errno);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

char *memory_file_read(int fd, size_t *len)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)bytes + 1);

    require(text != NULL && pread(fd, text, (size_t)bytes, 0) == bytes, "errno %d", errno);
    text[bytes] = '\0';
    *len = (size_t)bytes;
    return text;
}

struct execution {
    const char *const *words;
    int in, out, err;
};

static void execute(void *argument)
{
    const struct execution *e = argument;

    signal(SIGPIPE, SIG_DFL);
    dup2(e->in, STDIN_FILENO);
    dup2(e->out, STDOUT_FILENO);
    dup2(e->err, STDERR_FILENO);
    execv(e->words[0], (char *const *)(uintptr_t)e->words);
    require(false, "cannot run %s: errno %d", e->words[0], errno);
}

void command_run(struct command *command, const void *input, size_t input_len, const char *const words[])
{
    struct execution e = {
        .words = words, .in = memory_file(input, input_len), .out = memory_file("", 0), .err = memory_file("", 0)};
    int status = child_wait(child_start(execute, &e));

    close(e.in);
    command->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    command->out = memory_file_read(e.out, &command->out_len);
    command->err = memory_file_read(e.err, &command->err_len);
    close(e.out);
    close(e.err);
}

void command_free(struct command *command)
{
    free(command->out);
    free(command->err);
    *command = (struct command){0};
}

static void ringctl_words(const char *words[WORDS_MAX], char path[static PATH_MAX], va_list arguments)
{
    int count = 0;

    snprintf(path, PATH_MAX, "%s", support_built("ringctl"));
    words[count++] = path;
    do
        words[count] = va_arg(arguments, const char *);
    while (words[count++] != NULL && count < WORDS_MAX);
    require(words[count - 1] == NULL, "too many words");
}

void ringctl(struct command *command, const void *input, size_t input_len, ...)
{
    const char *words[WORDS_MAX];
    char path[PATH_MAX];
    va_list arguments;

    va_start(arguments, input_len);
    ringctl_words(words, path, arguments);
    va_end(arguments);
    command_run(command, input, input_len, words);
}

pid_t ringctl_start(int in, int out, int err, ...)
{
    const char *words[WORDS_MAX];
    char path[PATH_MAX];
    va_list arguments;
    struct execution e = {.words = words, .in = in, .out = out, .err = err};

    va_start(arguments, err);
    ringctl_words(words, path, arguments);
    va_end(arguments);
    return child_start(execute, &e);
}

/* ---- the daemon -------------------------------------------------------------------------------------------------- */

/* FNV-1a over the folder's path, as ringd names its objects. */
static void instance_id(const char *folder, char id[static 17])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = folder; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    snprintf(id, 17, "%016" PRIx64, hash);
}

void support_note_instance(const char *directory)
{
    char id[17], path[160];
    int fd;

    instance_id(directory, id);
    snprintf(path, sizeof path, "%s/id-%s", support_folder(), id);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: errno %d", path, errno);
    close(fd);
}

unsigned daemon_objects(const struct daemon_process *daemon)
{
    DIR *directory = opendir("/dev/shm");
    const struct dirent *entry;
    char id[17], prefix[40];
    unsigned count = 0;

    require(directory != NULL, "errno %d", errno);
    instance_id(daemon->folder, id);
    snprintf(prefix, sizeof prefix, "ringd-%s-", id);
    while ((entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(directory);
    return count;
}

static const char *write_config(const struct daemon_process *daemon, const char *text)
{
    static char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s.conf", daemon->folder);
    file = fopen(path, "we");
    require(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "%s: errno %d", path, errno);
    return path;
}

struct daemon_launch {
    const struct daemon_process *daemon;
    const char *program; /* NULL: ringd of this build */
    const char *option;  /* NULL: none */
    const char *point;   /* NULL: it is not killed at one */
    unsigned nth;
    const char *config;
    int log;
};

static void run_daemon(const struct daemon_launch *launch, pid_t parent)
{
    char tool[PATH_MAX], program[PATH_MAX], nth[16];
    const char *words[16];
    unsigned count = 0;

    snprintf(tool, sizeof tool, "%s", support_built("at-stop-point"));
    snprintf(program, sizeof program, "%s", launch->program != NULL ? launch->program : support_built("ringd"));
    snprintf(nth, sizeof nth, "%u", launch->nth);
    if (launch->point != NULL) {
        const char *const before[] = {tool, launch->point, "kill", "--nth", nth, "--"};

        memcpy(words, before, sizeof before);
        count = 6;
    }
    words[count++] = program;
    words[count++] = "--runtime-dir";
    words[count++] = launch->daemon->folder;
    if (launch->option != NULL)
        words[count++] = launch->option;
    if (launch->config != NULL) {
        words[count++] = "--config";
        words[count++] = launch->config;
    }
    words[count] = NULL;
    /* A process group of its own: a test's end must not kill it before it has cleaned up. */
    setpgid(0, 0);
    end_with_parent(parent, SIGTERM);
    dup2(launch->log, STDERR_FILENO);
    execv(words[0], (char *const *)(uintptr_t)words);
    require(false, "cannot run %s: errno %d", words[0], errno);
}

void daemon_read_log(const struct daemon_process *daemon, char *text, size_t bytes)
{
    int fd = open(daemon->log, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, bytes - 1) : 0;

    close(fd);
    text[len > 0 ? len : 0] = '\0';
}

/* Waits for the ready line. False: it has ended. */
static bool wait_ready(const struct daemon_process *daemon, bool may_end)
{
    static char text[65536];

    for (;;) {
        int status;

        daemon_read_log(daemon, text, sizeof text);
        if (strstr(text, "ringd: ready on ") != NULL)
            return true;
        if (waitpid(daemon->pid, &status, WNOHANG) != 0) {
            require(may_end, "ringd ended: %s", text);
            return false;
        }
        pause_ms(1);
    }
}

static bool launch_daemon(struct daemon_process *daemon, struct daemon_launch *launch)
{
    pid_t parent = getpid();
    bool ready;

    launch->log = open(daemon->log, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    require(launch->log >= 0, "%s: errno %d", daemon->log, errno);
    fflush(NULL);
    daemon->pid = fork();
    require(daemon->pid >= 0, "errno %d", errno);
    if (daemon->pid == 0)
        run_daemon(launch, parent);
    close(launch->log);
    ready = wait_ready(daemon, launch->point != NULL);
    require(setenv("RINGD_SOCKET", daemon->socket, 1) == 0, "errno %d", errno);
    return ready;
}

void daemon_restart(struct daemon_process *daemon, const char *config)
{
    struct daemon_launch launch = {.daemon = daemon};

    if (config != NULL)
        launch.config = write_config(daemon, config);
    launch_daemon(daemon, &launch);
}

void daemon_restart_as(struct daemon_process *daemon, const char *program, const char *option)
{
    struct daemon_launch launch = {.daemon = daemon, .program = program, .option = option};

    launch_daemon(daemon, &launch);
}

bool daemon_restart_to_die(struct daemon_process *daemon, const char *point, unsigned nth)
{
    struct daemon_launch launch = {.daemon = daemon, .point = point, .nth = nth};

    return launch_daemon(daemon, &launch);
}

void daemon_start(struct daemon_process *daemon, const char *config)
{
    static unsigned count;

    *daemon = (struct daemon_process){0};
    snprintf(daemon->folder, sizeof daemon->folder, "%s/%ld.%u", support_folder(), (long)getpid(), count++);
    snprintf(daemon->socket, sizeof daemon->socket, "%s/ringd.sock", daemon->folder);
    snprintf(daemon->log, sizeof daemon->log, "%s.log", daemon->folder);
    support_note_instance(daemon->folder);
    daemon_restart(daemon, config);
}

static void show_log(const struct daemon_process *daemon)
{
    FILE *file = fopen(daemon->log, "re");
    char line[512];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        fprintf(stderr, "its log: %s", line);
    if (file != NULL)
        fclose(file);
}

void daemon_terminate(struct daemon_process *daemon)
{
    int status;

    kill(daemon->pid, SIGTERM);
    status = child_wait(daemon->pid);
    if (status != 0)
        show_log(daemon);
    require(status == 0, "ringd ended with status 0x%x", (unsigned)status);
    daemon->pid = 0;
}

/* Of the daemon that RINGD_SOCKET names. What cannot be removed is seen by who looks afterwards. */
static void remove_rings(void)
{
    static struct ringd_info infos[RINGD_PROTO_INFOS];
    size_t count = 0, before;

    do {
        before = count;
        if (ringd_list(infos, RINGD_PROTO_INFOS, &count) != 0)
            return;
        for (size_t i = 0; i < count && i < RINGD_PROTO_INFOS; i++)
            ringd_remove(infos[i].name);
    } while (count > RINGD_PROTO_INFOS && count != before);
}

void daemon_stop(struct daemon_process *daemon)
{
    const char *named = getenv("RINGD_SOCKET");
    char *before = strdup(named != NULL ? named : "");

    require(before != NULL && setenv("RINGD_SOCKET", daemon->socket, 1) == 0, "errno %d", errno);
    remove_rings();
    setenv("RINGD_SOCKET", before, 1);
    free(before);
    daemon_terminate(daemon);
    require(daemon_objects(daemon) == 0, "%u of its objects are left in /dev/shm", daemon_objects(daemon));
}

void daemon_kill(struct daemon_process *daemon)
{
    child_kill(daemon->pid);
    daemon->pid = 0;
}

void server_setup(void)
{
    daemon_start(&server, NULL);
}

/* A test may have stopped it, in either sense. */
void server_teardown(void)
{
    if (server.pid == 0)
        return;
    kill(server.pid, SIGCONT);
    daemon_stop(&server);
}
