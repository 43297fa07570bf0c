/* check_systemd.c - ringd as a service manager sees it: the socket that it is given, and what it says.
 *
 * The manager's side is played here: a datagram socket that NOTIFY_SOCKET names, and systemd-socket-activate, which
 * listens and starts ringd at the first connection. (With a real manager: the unit files are checked by
 * test_systemd.sh.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"

#define ACTIVATE "/usr/bin/systemd-socket-activate"

struct service {
    pid_t pid;
    int notify_fd;
    char folder[100];  /* its runtime directory */
    char notify[120];  /* path of the datagram socket */
    char control[120]; /* where clients connect */
    char log[120];
    char status[200]; /* the last STATUS= */
    unsigned ready, stopping, watchdog;
};

static struct service service;

/* ---- the manager's side ------------------------------------------------------------------------------------------ */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    require(strlen(path) < sizeof address.sun_path, "%s", path);
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static int bind_socket(const char *path, int type)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    require(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0, "%s: %s", path,
            strerror(errno));
    return fd;
}

static void setup(void)
{
    service = (struct service){0};
    snprintf(service.folder, sizeof service.folder, "%s/%ld", support_folder(), (long)getpid());
    snprintf(service.notify, sizeof service.notify, "%s.notify", service.folder);
    snprintf(service.log, sizeof service.log, "%s.log", service.folder);
    snprintf(service.control, sizeof service.control, "%s/ringd.sock", service.folder);
    service.notify_fd = bind_socket(service.notify, SOCK_DGRAM);
    support_note_instance(service.folder);
    setenv("NOTIFY_SOCKET", service.notify, 1);
    setenv("RINGD_SOCKET", service.control, 1);
}

static void execute(const char *const words[])
{
    int log = open(service.log, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    require(log >= 0 && dup2(log, STDERR_FILENO) >= 0, "%s: %s", service.log, strerror(errno));
    execv(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

/* Ends with this process, like everything that a test starts. */
static void start(const char *const words[])
{
    pid_t parent = getpid();

    fflush(NULL);
    service.pid = fork();
    require(service.pid >= 0, "errno %d", errno);
    if (service.pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent)
        execute(words);
    _exit(127);
}

static void start_ringd(void)
{
    const char *words[] = {support_built("ringd"), "--runtime-dir", service.folder, NULL};

    start(words);
}

/* ---- its descriptor store ---------------------------------------------------------------------------------------- */

#define STORE_MAX 64

static struct {
    char name[200];
    int fd;
} store[STORE_MAX];
static unsigned store_count;

static void store_put(const char *name, int fd)
{
    require(store_count < STORE_MAX && fd >= 0, "%s, descriptor %d", name, fd);
    snprintf(store[store_count].name, sizeof store[0].name, "%s", name);
    store[store_count++].fd = fd;
}

static void store_remove(const char *name)
{
    for (unsigned i = store_count; i-- > 0;) {
        if (strcmp(store[i].name, name) != 0)
            continue;
        close(store[i].fd);
        store[i] = store[--store_count];
    }
}

static unsigned store_has(const char *words)
{
    unsigned count = 0;

    for (unsigned i = 0; i < store_count; i++)
        count += strstr(store[i].name, words) != NULL;
    return count;
}

static const char *field(const char *text, const char *key)
{
    static char value[200];
    const char *found = strstr(text, key);

    snprintf(value, sizeof value, "%s", found != NULL ? found + strlen(key) : "");
    value[strcspn(value, "\n")] = '\0';
    return value;
}

static void take_stored(const char *text, int fd)
{
    if (strstr(text, "FDSTORE=1") != NULL)
        store_put(field(text, "FDNAME="), fd);
    if (strstr(text, "FDSTOREREMOVE=1") != NULL)
        store_remove(field(text, "FDNAME="));
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* One line of a message. */
static void take_line(const char *line)
{
    service.ready += strcmp(line, "READY=1") == 0;
    service.stopping += strcmp(line, "STOPPING=1") == 0;
    service.watchdog += strcmp(line, "WATCHDOG=1") == 0;
    if (strncmp(line, "STATUS=", 7) == 0)
        snprintf(service.status, sizeof service.status, "%s", line + 7);
}

/* Waits for one message. */
static void take_message(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char text[1024];
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t len = recvmsg(service.notify_fd, &message, MSG_CMSG_CLOEXEC);
    int fd = -1;

    require(len > 0, "recvmsg: %s", strerror(errno));
    text[len] = '\0';
    if (message.msg_controllen > 0)
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    take_stored(text, fd);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
        take_line(line);
}

/* All that have come by now. */
static void take_messages(void)
{
    char byte;

    while (recv(service.notify_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        take_message();
}

static void wait_for_status(const char *words)
{
    while (strstr(service.status, words) == NULL)
        take_message();
}

/* SIGTERM; what it says at the end has arrived then. It is listened to meanwhile: the socket has room for ten messages.
 */
static void stop_ringd(void)
{
    int status;

    kill(service.pid, SIGTERM);
    while (waitpid(service.pid, &status, WNOHANG) != service.pid) {
        take_messages();
        pause_ms(1);
    }
    require(status == 0, "ringd did not stop in order");
    take_messages();
}

static void require_in_log(const char *words)
{
    char text[4096] = "";
    int fd = open(service.log, O_RDONLY | O_CLOEXEC);

    require(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "%s is empty", service.log);
    close(fd);
    require(strstr(text, words) != NULL, "no \"%s\" in: %s", words, text);
}

static void use_a_ring(void)
{
    struct tracker tracker = {0};
    struct ringd_writer *writer;
    struct ringd_reader *reader;

    take_messages();
    make_ring("events", (struct ringd_ring_options){.size = 65536});
    take_messages();
    writer = open_writer("events");
    reader = open_reader("events", RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    require(write_record(writer, 64) == RINGD_OK, "write");
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK && tracker_delivered(&tracker) == 1, "read");
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

/* When READY=1 is there, a client that connects is served. */
START_TEST(it_says_when_it_is_ready_and_when_it_stops)
{
    struct ringd_info infos[1];
    size_t count;

    start_ringd();
    while (service.ready == 0)
        take_message();
    require(ringd_list(infos, 1, &count) == 0 && count == 0, "%s", ringd_error());
    require(service.stopping == 0, "STOPPING=1 already");
    stop_ringd();
    require(service.ready == 1 && service.stopping == 1, "ready %u, stopping %u times", service.ready,
            service.stopping);
}
END_TEST

START_TEST(its_status_tells_rings_and_contexts)
{
    struct ringd_writer *writer;

    start_ringd();
    wait_for_status("0 rings");
    make_ring("events", (struct ringd_ring_options){.size = 65536});
    wait_for_status("1 ring");
    writer = open_writer("events");
    wait_for_status("1 context");
    ringd_writer_close(writer);
    wait_for_status("0 contexts");
    require(ringd_remove("events") == 0, "%s", ringd_error());
    wait_for_status("0 rings");
    stop_ringd();
}
END_TEST

/* By itself, again and again, while nothing else happens; and not while the loop is stopped. */
START_TEST(the_loop_feeds_the_watchdog)
{
    setenv("WATCHDOG_USEC", "100000", 1);
    start_ringd();
    while (service.watchdog < 5)
        take_message();
    require(service.ready == 1, "fed before it was ready");
    child_stop(service.pid);
    take_messages();
    service.watchdog = 0;
    pause_ms(300);
    take_messages();
    require(service.watchdog == 0, "fed by something else than the loop");
    child_continue(service.pid);
    while (service.watchdog < 2)
        take_message();
    stop_ringd();
}
END_TEST

START_TEST(without_a_watchdog_nobody_feeds_it)
{
    start_ringd();
    while (service.ready == 0)
        take_message();
    pause_ms(200);
    stop_ringd();
    require(service.watchdog == 0, "fed %u times", service.watchdog);
}
END_TEST

/* A watchdog of somebody else's, whose environment it has inherited. */
START_TEST(a_watchdog_of_another_process_is_left_alone)
{
    setenv("WATCHDOG_USEC", "100000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    start_ringd();
    while (service.ready == 0)
        take_message();
    pause_ms(300);
    stop_ringd();
    require(service.watchdog == 0, "fed %u times", service.watchdog);
}
END_TEST

/* Nobody listens to what it says, or the socket is gone: it serves all the same. */
START_TEST(it_serves_when_nobody_listens)
{
    struct ringd_info infos[1];
    size_t count;

    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    close(service.notify_fd);
    start_ringd();
    while (ringd_list(infos, 1, &count) != 0)
        pause_ms(1);
    use_a_ring();
    kill(service.pid, SIGTERM);
    require(child_wait(service.pid) == 0, "ringd did not stop in order");
}
END_TEST

/* ---- what it keeps in the store ---------------------------------------------------------------------------------- */

/* As the manager starts it: with the socket, if there is one, and then what it has stored. */
static void execute_with_store(int socket_fd)
{
    char names[STORE_MAX * 210] = "", number[16];
    unsigned count = 0;
    const char *words[] = {support_built("ringd"), "--runtime-dir", service.folder, NULL};

    if (socket_fd >= 0) {
        require(dup2(socket_fd, 100 + (int)count++) >= 0, "errno %d", errno);
        strcat(names, "ringd.socket:");
    }
    for (unsigned i = 0; i < store_count; i++) {
        require(dup2(store[i].fd, 100 + (int)count++) >= 0, "errno %d", errno);
        strcat(strcat(names, store[i].name), ":");
    }
    for (unsigned i = 0; i < count; i++)
        require(dup2(100 + (int)i, 3 + (int)i) >= 0 && close(100 + (int)i) == 0, "errno %d", errno);
    names[strlen(names) > 0 ? strlen(names) - 1 : 0] = '\0';
    setenv("LISTEN_FDNAMES", names, 1);
    snprintf(number, sizeof number, "%u", count);
    setenv("LISTEN_FDS", number, 1);
    snprintf(number, sizeof number, "%ld", (long)getpid());
    setenv("LISTEN_PID", number, 1);
    execute(words);
}

static void start_with_store(int socket_fd)
{
    pid_t parent = getpid();

    service.ready = 0;
    fflush(NULL);
    service.pid = fork();
    require(service.pid >= 0, "errno %d", errno);
    if (service.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent)
            execute_with_store(socket_fd);
        _exit(127);
    }
    while (service.ready == 0)
        take_message();
}

static void kill_ringd(void)
{
    kill(service.pid, SIGKILL);
    child_wait(service.pid);
    take_messages();
}

/* As logind does it (RemoveIPC), or an administrator. */
static void remove_names(void)
{
    for (unsigned i = 0; i < store_count; i++) {
        char path[256];

        snprintf(path, sizeof path, "/dev/shm/%s", store[i].name);
        require(unlink(path) == 0 || errno == ENOENT, "%s: errno %d", path, errno);
    }
}

START_TEST(the_store_has_what_there_is)
{
    struct ringd_writer *writer;

    start_ringd();
    while (service.ready == 0)
        take_message();
    require(store_count == 0, "%u stored", store_count);
    make_ring("events", (struct ringd_ring_options){.size = 65536});
    wait_for_status("1 ring");
    require(store_count == 3 && store_has("-segment") == 1 && store_has("-readers") == 1 && store_has("-record") == 1,
            "%u stored", store_count);
    writer = open_writer("events");
    wait_for_status("1 context");
    require(store_count == 4 && store_has("-life-w0-1-") == 1, "%u stored", store_count);
    ringd_writer_close(writer);
    wait_for_status("0 contexts");
    require(store_count == 3, "%u stored", store_count);
    require(ringd_remove("events") == 0, "%s", ringd_error());
    wait_for_status("0 rings");
    require(store_count == 0, "%u stored", store_count);
    stop_ringd();
}
END_TEST

/* With the names there the stored descriptors are not needed, and are not stored twice. */
START_TEST(it_is_started_again_with_its_store)
{
    struct ringd_writer *writer;

    start_ringd();
    while (service.ready == 0)
        take_message();
    make_ring("events", (struct ringd_ring_options){.size = 65536});
    writer = open_writer("events");
    wait_for_status("1 context");
    for (int i = 0; i < 3; i++) {
        kill_ringd();
        start_with_store(-1);
        take_messages();
        require(store_count == 4, "%u stored", store_count);
        require(write_record(writer, 40) == RINGD_OK, "write");
        require(ring_info("events").committed == (uint64_t)i + 1 && ring_info("events").writers == 1, "it is another");
    }
    ringd_writer_close(writer);
    require(ringd_remove("events") == 0, "%s", ringd_error());
    wait_for_status("0 rings, 0 contexts");
    require(store_count == 0, "%u stored", store_count);
    stop_ringd();
}
END_TEST

static void use_and_die(void *argument)
{
    struct ringd_writer *writer = open_writer("events");
    size_t granted;
    void *data;

    require(write_record(writer, 40) == RINGD_OK, "write");
    require(ringd_reserve(writer, 40, 40, &data, &granted) == RINGD_OK, "reserve");
    *(_Atomic bool *)argument = true;
    for (;;)
        pause();
}

/* The names are gone, with those of the life pages: ring, contexts and the evidence of death are reached through the
 * descriptors alone, over several restarts. */
START_TEST(rings_without_names_live_on)
{
    int socket_fd = mkdir(service.folder, 0755) == 0 ? bind_socket(service.control, SOCK_SEQPACKET) : -1;
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_reader *reader;
    struct ringd_writer *writer;
    struct tracker tracker = {0};
    pid_t victim;

    require(listen(socket_fd, 100) == 0, "errno %d", errno);
    start_with_store(socket_fd);
    make_ring("events", (struct ringd_ring_options){.size = 65536});
    wait_for_status("1 ring");
    reader = open_reader("events", RINGD_READ_LOSSLESS, RINGD_START_NOW);
    wait_for_status("1 context");
    writer = open_writer("events");
    wait_for_status("2 contexts");
    victim = child_start(use_and_die, flag);
    wait_for_status("3 contexts");
    while (!*flag)
        pause_ms(1);
    for (int i = 0; i < 3; i++) {
        kill_ringd();
        remove_names();
        start_with_store(socket_fd);
        take_messages();
        require(store_count == 6, "%u stored", store_count);
        require(ring_info("events").writers == 2 && ring_info("events").lossless_readers == 1, "somebody is gone");
        require(write_record(writer, 40) == RINGD_OK, "write");
    }
    child_kill(victim);
    wait_for_status("2 contexts");
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK && tracker_delivered(&tracker) == 4, "%ju delivered",
            (uintmax_t)tracker_delivered(&tracker));
    ringd_writer_close(open_writer("events"));
    take_messages();
    require(ringd_remove("events") == 0, "%s", ringd_error());
    require(write_record(writer, 40) == -ESHUTDOWN, "it goes on");
    ringd_writer_close(writer);
    ringd_reader_close(reader);
    wait_for_status("0 rings, 0 contexts");
    require(store_count == 0, "%u stored", store_count);
    stop_ringd();
}
END_TEST

/* What is none of it, in the store of a unit that was edited: it is forgotten. */
START_TEST(a_store_with_nonsense_in_it)
{
    store_put("nonsense", memory_file("abc", 3));
    store_put("ringd-0123456789abcdef-events-record", memory_file("abc", 3));
    start_with_store(-1);
    take_messages();
    require(store_count == 0, "%u stored", store_count);
    use_a_ring();
    stop_ringd();
}
END_TEST

/* ---- the socket it is given -------------------------------------------------------------------------------------- */

/* `type`: "--seqpacket" or NULL for a stream. */
static void activate(const char *type, const char *second_socket)
{
    const char *words[20] = {ACTIVATE, "-l", service.control, "-E", "NOTIFY_SOCKET"};
    unsigned n = 5;

    if (second_socket != NULL) {
        words[n++] = "-l";
        words[n++] = second_socket;
    }
    if (type != NULL)
        words[n++] = type;
    words[n++] = support_built("ringd");
    words[n++] = "--runtime-dir";
    words[n++] = service.folder;
    start(words);
    while (access(service.control, F_OK) != 0)
        pause_ms(1);
}

/* Where the manager's socket is: outside the runtime directory, which ringd makes when it starts. */
static void setup_activation(void)
{
    setup();
    snprintf(service.control, sizeof service.control, "%s.control", service.folder);
    setenv("RINGD_SOCKET", service.control, 1);
}

/* systemd-socket-activate listens a moment after the file is there; the manager itself has no such moment. */
static void wait_for_answer(void)
{
    struct ringd_info infos[1];
    size_t count;

    while (ringd_list(infos, 1, &count) == -ECONNREFUSED)
        pause_ms(1);
    require(ringd_list(infos, 1, &count) == 0, "%s", ringd_error());
}

static bool can_activate(const char *test)
{
    if (access(ACTIVATE, X_OK) == 0)
        return true;
    support_skip(test, "there is no " ACTIVATE);
    return false;
}

START_TEST(it_takes_over_the_managers_socket)
{
    struct stat before, after;

    if (!can_activate("it_takes_over_the_managers_socket"))
        return;
    activate("--seqpacket", NULL);
    require(stat(service.control, &before) == 0, "errno %d", errno);
    wait_for_answer();
    use_a_ring();
    while (service.ready == 0)
        take_message();
    require_in_log(service.control);
    stop_ringd();
    require(service.stopping == 1, "STOPPING=1 %u times", service.stopping);
    require(stat(service.control, &after) == 0 && before.st_ino == after.st_ino, "the manager's socket is gone");
}
END_TEST

/* The connection that made the manager start it is the first it serves. */
START_TEST(the_connection_that_starts_it_is_served)
{
    if (!can_activate("the_connection_that_starts_it_is_served"))
        return;
    activate("--seqpacket", NULL);
    while (ringd_create("first", &(struct ringd_ring_options){.size = 4096}) == -ECONNREFUSED)
        pause_ms(1);
    require(ring_info("first").size == 4096, "it is not there");
    stop_ringd();
}
END_TEST

/* Anything that connects makes the manager start it. */
static void knock(int type)
{
    struct sockaddr_un address = address_of(service.control);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        pause_ms(1);
    close(fd);
}

START_TEST(a_socket_of_another_kind_is_refused)
{
    int status;

    if (!can_activate("a_socket_of_another_kind_is_refused"))
        return;
    activate(NULL, NULL);
    knock(SOCK_STREAM);
    status = child_wait(service.pid);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %#x", (unsigned)status);
    require_in_log("SOCK_SEQPACKET");
}
END_TEST

START_TEST(two_sockets_are_refused)
{
    char second[130];
    int status;

    if (!can_activate("two_sockets_are_refused"))
        return;
    snprintf(second, sizeof second, "%s.2", service.control);
    activate("--seqpacket", second);
    knock(SOCK_SEQPACKET);
    status = child_wait(service.pid);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %#x", (unsigned)status);
    require_in_log("2 sockets");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("systemd");
    TCase *notices = tcase_create("notices"), *sockets = tcase_create("sockets");

    tcase_add_checked_fixture(notices, setup, NULL);
    tcase_add_checked_fixture(sockets, setup_activation, NULL);
    tcase_set_timeout(notices, SUPPORT_GUARD_S);
    tcase_set_timeout(sockets, SUPPORT_GUARD_S);
    suite_add_tcase(suite, notices);
    suite_add_tcase(suite, sockets);
    tcase_add_test(notices, it_says_when_it_is_ready_and_when_it_stops);
    tcase_add_test(notices, its_status_tells_rings_and_contexts);
    tcase_add_test(notices, the_loop_feeds_the_watchdog);
    tcase_add_test(notices, without_a_watchdog_nobody_feeds_it);
    tcase_add_test(notices, a_watchdog_of_another_process_is_left_alone);
    tcase_add_test(notices, it_serves_when_nobody_listens);
    tcase_add_test(notices, the_store_has_what_there_is);
    tcase_add_test(notices, it_is_started_again_with_its_store);
    tcase_add_test(notices, rings_without_names_live_on);
    tcase_add_test(notices, a_store_with_nonsense_in_it);
    tcase_add_test(sockets, it_takes_over_the_managers_socket);
    tcase_add_test(sockets, the_connection_that_starts_it_is_served);
    tcase_add_test(sockets, a_socket_of_another_kind_is_refused);
    tcase_add_test(sockets, two_sockets_are_refused);
    return run_suite(suite);
}
