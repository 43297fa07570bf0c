/* check_takeover.c - ringd is killed, stopped, started again and replaced while its clients go on.
 *
 * What holds: writers and readers notice nothing, no record is lost, and each writer's order is kept; the next daemon
 * has the rings with everybody who is attached and nobody who is not; two daemons never own one ring; whatever a daemon
 * left half done is finished or taken away. RINGD_RESTARTS says how often it is killed under load (50).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../daemon/life.h"
#include "../daemon/ring_record.h"
#include "reader.h"
#include "support_check.h"
#include "support_raw.h"
#include "writer.h"

#define RING "takeover"

static const struct ringd_ring_options small = {.size = 65536, .max_record = 256};

static char said[65536]; /* the daemon's log */

static void require_said(const char *words)
{
    daemon_read_log(&server, said, sizeof said);
    require(strstr(said, words) != NULL, "no \"%s\" in: %s", words, said);
}

static void kill_and_restart(void)
{
    daemon_kill(&server);
    daemon_restart(&server, NULL);
}

static struct object_name object(const char *ring, const char *suffix)
{
    struct object_name name;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = server.folder; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    snprintf(name.text, sizeof name.text, "/ringd-%016jx-%s-%s", (uintmax_t)hash, ring, suffix);
    return name;
}

static bool object_exists(const char *ring, const char *suffix)
{
    struct object_name name = object(ring, suffix);
    int fd = shm_open(name.text, O_RDONLY | O_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Writes over bytes of an object. */
static void object_write(const char *ring, const char *suffix, const void *bytes, size_t len, off_t offset)
{
    struct object_name name = object(ring, suffix);
    int fd = shm_open(name.text, O_RDWR | O_CLOEXEC, 0);

    require(fd >= 0 && pwrite(fd, bytes, len, offset) == (ssize_t)len, "%s: errno %d", name.text, errno);
    close(fd);
}

/* ---- under load -------------------------------------------------------------------------------------------------- */

#define WRITERS 2
#define READERS 2

/* Shared with the helpers. */
struct load {
    _Atomic uint32_t started; /* contexts */
    _Atomic bool over;        /* for writers */
    _Atomic bool drained;     /* for readers: writers have ended */
    _Atomic uint64_t written, delivered[READERS], observed;
};

static struct load *load;

static void write_on(void *argument)
{
    struct ringd_writer *writer = open_writer_until(RING, RINGD_FOREVER);
    uint64_t count = 0;

    (void)argument;
    atomic_fetch_add(&load->started, 1);
    while (!atomic_load(&load->over)) {
        int result = write_record(writer, RECORD_MIN + count++ % 200);

        require(result == RINGD_OK, "record %ju: %d (%s)", (uintmax_t)count, result, ringd_strerror(result));
    }
    atomic_fetch_add(&load->written, count);
    ringd_writer_close(writer);
}

static void read_on(void *argument)
{
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    _Atomic uint64_t *delivered = argument;
    struct tracker tracker = {0};
    bool drained;

    atomic_fetch_add(&load->started, 1);
    do {
        int result;

        drained = atomic_load(&load->drained);
        ringd_reader_deadline(reader, now_ns() + 2000000);
        result = tracker_drain(&tracker, reader);
        require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
        atomic_store(delivered, tracker_delivered(&tracker));
    } while (!drained);
    require(tracker_lost(&tracker) == 0, "%ju records lost", (uintmax_t)tracker_lost(&tracker));
    ringd_reader_close(reader);
}

/* May be lapped; asks the daemon to announce its sleep again and again. */
static void observe_on(void *argument)
{
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    struct tracker tracker = {0};

    (void)argument;
    atomic_fetch_add(&load->started, 1);
    while (!atomic_load(&load->drained)) {
        int result;

        ringd_reader_deadline(reader, now_ns() + 2000000);
        result = tracker_drain(&tracker, reader);
        require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
    }
    atomic_store(&load->observed, tracker_delivered(&tracker) + tracker_lost(&tracker));
    ringd_reader_close(reader);
}

static pid_t crew[WRITERS + READERS + 1];

static void load_begin(void)
{
    load = shared_new(sizeof *load);
    make_ring(RING, small);
    for (unsigned i = 0; i < READERS; i++)
        crew[i] = child_start(read_on, &load->delivered[i]);
    crew[READERS] = child_start(observe_on, NULL);
    while (atomic_load(&load->started) < READERS + 1)
        pause_ms(1);
    for (unsigned i = 0; i < WRITERS; i++)
        crew[READERS + 1 + i] = child_start(write_on, NULL);
    while (atomic_load(&load->started) < WRITERS + READERS + 1)
        pause_ms(1);
}

static void load_end(void)
{
    uint64_t written;

    atomic_store(&load->over, true);
    for (unsigned i = 0; i < WRITERS; i++)
        child_finish(crew[READERS + 1 + i]);
    atomic_store(&load->drained, true);
    for (unsigned i = 0; i <= READERS; i++)
        child_finish(crew[i]);
    written = atomic_load(&load->written);
    for (unsigned i = 0; i < READERS; i++)
        require(atomic_load(&load->delivered[i]) == written, "%ju of %ju records", (uintmax_t)load->delivered[i],
                (uintmax_t)written);
    require(atomic_load(&load->observed) <= written, "%ju of %ju observed", (uintmax_t)load->observed,
            (uintmax_t)written);
    printf("%ju records\n", (uintmax_t)written);
}

static void require_all_attached(void)
{
    struct ringd_info info = ring_info(RING);

    require(info.writers == WRITERS && info.lossless_readers == READERS && info.observers == 1, "%u, %u, %u attached",
            info.writers, info.lossless_readers, info.observers);
    require(info.daemon_pid == (uint32_t)server.pid, "pid %u", info.daemon_pid);
}

static unsigned restarts(void)
{
    const char *given = getenv("RINGD_RESTARTS");

    return given != NULL && atoi(given) > 0 ? (unsigned)atoi(given) : 50;
}

START_TEST(killed_and_started_again_under_load)
{
    struct random_source random = {support_seed()};

    load_begin();
    for (unsigned i = 0; i < restarts(); i++) {
        uint64_t before = atomic_load(&load->delivered[0]);

        pause_ms((unsigned)random_below(&random, 5));
        daemon_kill(&server);
        while (i % 8 == 0 && atomic_load(&load->delivered[0]) == before)
            pause_ms(1); /* work goes on without it */
        daemon_restart(&server, NULL);
        require_all_attached();
    }
    load_end();
    wait_for_contexts(RING, 0);
    require(ring_info(RING).committed == load->written, "%ju committed", (uintmax_t)ring_info(RING).committed);
}
END_TEST

/* An upgrade: the old one ends in order, another binary goes on. */
START_TEST(replaced_by_another_binary_under_load)
{
    char path[200], command[9000];

    snprintf(path, sizeof path, "%s/ringd-new", support_folder());
    snprintf(command, sizeof command, "cp %s %s", support_built("ringd"), path);
    require(system(command) == 0, "%s", command);
    load_begin();
    for (int i = 0; i < 5; i++) {
        daemon_terminate(&server);
        require(object_exists(RING, "record"), "the record is gone");
        daemon_restart_as(&server, i % 2 == 0 ? path : NULL, NULL);
        require_all_attached();
    }
    load_end();
    wait_for_contexts(RING, 0);
}
END_TEST

/* ---- who is attached -----------------------------------------------------------------------------------------------
 */

static void status_now(struct ringd_context_info *contexts, size_t *count)
{
    require(ringd_status(RING, NULL, contexts, 16, count) == 0, "%s", ringd_error());
}

/* All that can be said of a context is said of it after a restart. */
START_TEST(contexts_are_what_they_were)
{
    static struct ringd_context_info before[16], after[16];
    struct ringd_writer *writer, *idle;
    struct ringd_info info;
    size_t count, granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 256, .mode = 0642});
    writer = open_writer(RING);
    idle = open_writer(RING);
    for (uint32_t mode = 0; mode < 3; mode++)
        open_reader(RING, mode, RINGD_START_NOW);
    require(write_record(idle, 40) == RINGD_OK, "write");
    require(ringd_reserve(writer, 10, 10, &data, &granted) == RINGD_OK, "reserve");
    status_now(before, &count);
    require(count == 5, "%zu contexts", count);
    kill_and_restart();
    status_now(after, &count);
    require(count == 5, "%zu contexts", count);
    require(memcmp(before, after, 5 * sizeof before[0]) == 0, "they have changed");
    require(after[0].state == RINGD_CONTEXT_IN_RECORD && after[1].state == RINGD_CONTEXT_IDLE, "states %u, %u",
            after[0].state, after[1].state);
    info = ring_info(RING);
    require(info.mode == 0642 && info.owner_uid == getuid() && info.committed == 1 && info.offered == 2, "mode 0%o",
            info.mode);
    require(ringd_commit(writer, 10) == RINGD_OK, "commit");
}
END_TEST

/* The kernel says who ended; without a connection nobody else does. */
START_TEST(who_closes_after_a_restart_has_left)
{
    struct ringd_writer *writers[31];
    struct ringd_reader *reader;

    make_ring(RING, small);
    for (int i = 0; i < 31; i++)
        writers[i] = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    kill_and_restart();
    for (int i = 0; i < 31; i++)
        ringd_writer_close(writers[i]);
    ringd_reader_close(reader);
    wait_for_contexts(RING, 0);
    for (int i = 0; i < 31; i++) {
        writers[i] = open_writer(RING);
        require(writers[i]->attachment->incarnation == 2, "slot %u: incarnation %u", writer_slot(writers[i]),
                writers[i]->attachment->incarnation);
    }
}
END_TEST

static void hold_a_grant(void *argument)
{
    struct ringd_writer *writer = open_writer(RING);
    size_t granted;
    void *data;

    require(write_record(writer, 40) == RINGD_OK, "write");
    require(ringd_reserve(writer, 100, 100, &data, &granted) == RINGD_OK, "reserve");
    atomic_store((_Atomic bool *)argument, true);
    for (;;)
        pause();
}

static pid_t start_and_wait(void (*run)(void *), _Atomic bool *flag)
{
    pid_t pid;

    atomic_store(flag, false);
    pid = child_start(run, flag);
    while (!atomic_load(flag))
        pause_ms(1);
    return pid;
}

/* Its last grant is repaired by the next daemon; what others wrote after it, and what it had committed, is there. */
START_TEST(a_writer_that_dies_while_there_is_no_daemon)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_writer *other;
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    pid_t victim;

    make_ring(RING, small);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    other = open_writer(RING);
    victim = start_and_wait(hold_a_grant, flag);
    require(write_record(other, 40) == RINGD_OK, "write");
    daemon_kill(&server);
    child_kill(victim);
    require(write_record(other, 40) == RINGD_OK, "write");
    daemon_restart(&server, NULL);
    require_said("died in mid-record");
    require(ring_info(RING).writers == 1 && ring_info(RING).lost == 1, "%u writers", ring_info(RING).writers);
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK, "drain");
    require(tracker_delivered(&tracker) == 3 && tracker_lost(&tracker) == 0, "%ju delivered",
            (uintmax_t)tracker_delivered(&tracker));
    for (int i = 0; i < 10000; i++) { /* nothing is in the way */
        require(write_record(other, 40) == RINGD_OK, "write %d", i);
        require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK, "drain");
    }
}
END_TEST

static void hold_a_cursor(void *argument)
{
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    atomic_store((_Atomic bool *)argument, true);
    for (;;)
        pause();
}

START_TEST(a_reader_that_dies_while_there_is_no_daemon)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_writer *writer;
    pid_t victim;
    int result;

    make_ring(RING, small);
    victim = start_and_wait(hold_a_cursor, flag);
    writer = open_writer(RING);
    do
        result = write_record(writer, 40);
    while (result == RINGD_OK);
    require(result == RINGD_FULL, "%d", result);
    daemon_kill(&server);
    child_kill(victim);
    require(write_record(writer, 40) == RINGD_FULL, "somebody has given its space away");
    daemon_restart(&server, NULL);
    for (int i = 0; i < 10000; i++)
        require(write_record(writer, 40) == RINGD_OK, "write %d", i);
}
END_TEST

/* A stopped context is not dead: it keeps its place over any number of restarts. */
START_TEST(a_stopped_writer_is_not_dead)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_context_info context;
    pid_t victim;

    make_ring(RING, small);
    victim = start_and_wait(hold_a_grant, flag);
    child_stop(victim);
    for (int i = 0; i < 3; i++)
        kill_and_restart();
    require(find_context(RING, RINGD_CONTEXT_WRITER, &context) && context.pid == (uint32_t)victim, "it is gone");
    require(context.state == RINGD_CONTEXT_IN_RECORD || context.state == RINGD_CONTEXT_STOPPED, "state %u",
            context.state);
    child_kill(victim);
    wait_for_contexts(RING, 0);
}
END_TEST

/* No connection says who it is: its life page does. The policy holds, and status shows what stands in the way. */
START_TEST(a_stopped_writer_is_killed_by_the_next_daemon)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_ring_options options = small;
    struct ringd_context_info context;
    struct ringd_writer *writer;
    int status;
    pid_t victim;

    options.stopped = RINGD_STOPPED_KILL;
    options.stopped_after_ms = 50;
    make_ring(RING, options);
    victim = start_and_wait(hold_a_grant, flag);
    child_stop(victim);
    kill_and_restart();
    require(find_context(RING, RINGD_CONTEXT_WRITER, &context) && context.state == RINGD_CONTEXT_STOPPED &&
                context.since_ns != 0,
            "state %u", context.state);
    writer = open_writer(RING);
    ringd_writer_deadline(writer, RINGD_FOREVER);
    for (int i = 0; i < 10000; i++)
        require(write_record(writer, 40) == RINGD_OK, "write %d", i);
    status = child_wait(victim);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
    require_said("held others up: killed");
}
END_TEST

/* ---- everything at once ------------------------------------------------------------------------------------------ */

static void write_and_stay(void *argument)
{
    struct ringd_writer *writer = open_writer(RING);

    for (int i = 0; i < 100; i++)
        require(write_record(writer, 40) == RINGD_OK, "write");
    atomic_store((_Atomic bool *)argument, true);
    for (;;)
        pause();
}

/* Daemon and clients, in any order: what was committed can be read, and all places are free. */
START_TEST(everybody_is_killed_at_once)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct tracker tracker = {0};
    pid_t victims[3];

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 256, .policy = RINGD_OVERWRITE});
    victims[0] = start_and_wait(write_and_stay, flag);
    victims[1] = start_and_wait(hold_a_grant, flag);
    victims[2] = start_and_wait(write_and_stay, flag);
    kill(server.pid, SIGKILL);
    for (int i = 0; i < 3; i++)
        kill(victims[i], SIGKILL);
    for (int i = 0; i < 3; i++)
        child_wait(victims[i]);
    child_wait(server.pid);
    daemon_restart(&server, NULL);
    require_said("ring " RING ": taken over, 0 attached");
    require_said("1 rings taken over, 0 contexts still attached, 3 ended meanwhile");
    wait_for_contexts(RING, 0);
    require(tracker_drain(&tracker, open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST)) == RINGD_WOULD_BLOCK,
            "drain");
    require(tracker_delivered(&tracker) == 201 && tracker_lost(&tracker) == 0, "%ju delivered",
            (uintmax_t)tracker_delivered(&tracker));
    for (int i = 0; i < 31; i++)
        open_writer(RING);
}
END_TEST

/* ---- stopping in order ---------------------------------------------------------------------------------------------
 */

START_TEST(what_nobody_uses_goes_unless_it_is_kept)
{
    struct tracker tracker = {0};
    struct ringd_writer *writer;

    make_ring(RING, small);
    make_ring("removed", small);
    ringd_writer_close(open_writer("removed"));
    writer = open_writer(RING);
    require(write_record(writer, 40) == RINGD_OK, "write");
    daemon_terminate(&server);
    require(object_exists(RING, "record") && !object_exists("removed", "record"), "the wrong one is there");
    daemon_restart_as(&server, NULL, "--keep");
    require(ringd_status("removed", NULL, NULL, 0, NULL) == -ENOENT, "it is there");
    ringd_writer_close(writer);
    wait_for_contexts(RING, 0);
    daemon_terminate(&server);
    daemon_restart(&server, NULL);
    require(tracker_drain(&tracker, open_reader(RING, RINGD_READ_LOSSY, RINGD_START_OLDEST)) == RINGD_WOULD_BLOCK,
            "drain");
    require(tracker_delivered(&tracker) == 1, "%ju delivered", (uintmax_t)tracker_delivered(&tracker));
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    require(!object_exists(RING, "record"), "it is there");
}
END_TEST

/* What was removed does not come back, and those who were attached know the end. */
START_TEST(a_removed_ring_stays_removed)
{
    struct ringd_writer *writer;

    make_ring(RING, small);
    writer = open_writer(RING);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    kill_and_restart();
    require(daemon_objects(&server) == 0, "%u objects", daemon_objects(&server));
    require(write_record(writer, 40) == -ESHUTDOWN, "it goes on");
    make_ring(RING, small);
    require(write_record(open_writer(RING), 40) == RINGD_OK, "write");
}
END_TEST

START_TEST(a_ring_stays_as_it_is_whatever_the_configuration_says)
{
    daemon_terminate(&server);
    daemon_restart(&server, "[ring " RING "]\nsize = 64K\n[ring other]\nsize = 4096\n");
    open_writer(RING);
    open_writer("other");
    daemon_kill(&server);
    daemon_restart(&server, "[ring " RING "]\nsize = 128K\n[ring other]\nsize = 4096\n[ring third]\nsize = 4096\n");
    require(ring_info(RING).size == 65536, "it has changed");
    require(ring_info("third").size == 4096, "it is not there");
    require_said("[ring " RING "], line 1 of the configuration, is not what the ring was made with");
    require(strstr(said, "[ring other]") == NULL, "%s", said);
}
END_TEST

/* ---- two daemons ---------------------------------------------------------------------------------------------------
 */

/* Another one on the same folder; what it said, and how it ended. */
static void start_another(struct command *command)
{
    char path[4200];
    const char *const words[] = {path, "--runtime-dir", server.folder, NULL};

    snprintf(path, sizeof path, "%s", support_built("ringd"));
    command_run(command, "", 0, words);
}

static void require_refused(const char *words)
{
    struct command command;
    char pid[32];

    start_another(&command);
    snprintf(pid, sizeof pid, "pid %ld", (long)server.pid);
    require(command.code == 1, "exit code %d", command.code);
    require(strstr(command.err, pid) != NULL && strstr(command.err, words) != NULL, "%s", command.err);
    command_free(&command);
}

static void remove_lock_file(void)
{
    char path[200];

    snprintf(path, sizeof path, "%s/ringd.lock", server.folder);
    require(unlink(path) == 0, "errno %d", errno);
}

/* Whatever becomes of the lock file, and also if it is stopped: the rings are the first one's until it ends. */
START_TEST(a_second_daemon_takes_nothing_from_the_first)
{
    struct ringd_writer *writer;
    struct stat before, after;

    make_ring(RING, small);
    writer = open_writer(RING);
    require(stat(server.socket, &before) == 0, "errno %d", errno);
    child_stop(server.pid);
    require_refused("kill -CONT");
    remove_lock_file();
    require_refused("kill -9");
    child_continue(server.pid);
    remove_lock_file();
    require_refused(RING);
    require(write_record(writer, 40) == RINGD_OK, "write");
    require(ring_info(RING).writers == 1, "%u writers", ring_info(RING).writers);
    require(stat(server.socket, &after) == 0 && before.st_ino == after.st_ino, "the socket is another");
    kill_and_restart();
    require(ring_info(RING).writers == 1, "%u writers", ring_info(RING).writers);
    require(write_record(writer, 40) == RINGD_OK, "write");
}
END_TEST

/* One that has no rings cannot be known of once its lock file is gone. When it ends it leaves alone what is not its own
 * any more. */
START_TEST(one_that_has_lost_its_claim_touches_nothing)
{
    struct daemon_process first = server;
    struct ringd_writer *writer;

    remove_lock_file();
    daemon_restart(&server, NULL);
    make_ring(RING, small);
    writer = open_writer(RING);
    daemon_terminate(&first);
    require(access(server.socket, F_OK) == 0, "the socket is gone");
    require(write_record(writer, 40) == RINGD_OK && ring_info(RING).committed == 1, "the ring is gone");
}
END_TEST

/* ---- what is no ring -----------------------------------------------------------------------------------------------
 */

/* With what was in it, and a writer that lives. */
static struct ringd_writer *leave_a_ring(void)
{
    struct ringd_writer *writer;

    make_ring(RING, small);
    writer = open_writer(RING);
    require(write_record(writer, 40) == RINGD_OK, "write");
    daemon_kill(&server);
    return writer;
}

static void require_gone(const char *words)
{
    daemon_restart(&server, NULL);
    require_said(words);
    require(daemon_objects(&server) == 0, "%u objects", daemon_objects(&server));
    require(ringd_status(RING, NULL, NULL, 0, NULL) == -ENOENT, "it is there");
    make_ring(RING, small);
    require(write_record(open_writer(RING), 40) == RINGD_OK, "write");
}

START_TEST(a_ring_whose_header_was_written_over)
{
    uint64_t nonsense = 12345;

    leave_a_ring();
    object_write(RING, "1-segment", &nonsense, sizeof nonsense, offsetof(struct ringd_segment_header, stamp_key));
    require_gone("ring " RING ": cannot be taken over, removed: somebody has written over its header");
}
END_TEST

START_TEST(a_ring_whose_memory_was_cut_off)
{
    struct object_name name = object(RING, "1-segment");
    int fd;

    leave_a_ring();
    fd = shm_open(name.text, O_RDWR | O_CLOEXEC, 0);
    require(fd >= 0 && ftruncate(fd, 8192) == 0, "errno %d", errno);
    close(fd);
    require_gone("shorter than it was");
}
END_TEST

START_TEST(a_ring_of_which_a_part_is_gone)
{
    static const char *const parts[] = {"record", "1-segment", "1-readers"};
    struct object_name name = object(RING, parts[_i]);

    leave_a_ring();
    require(shm_unlink(name.text) == 0, "errno %d", errno);
    require_gone(_i == 0 ? "belongs to no ring" : "gone");
}
END_TEST

START_TEST(a_record_that_is_none)
{
    static char nonsense[8192];
    struct object_name name = object(RING, "record");

    leave_a_ring();
    if (_i == 0)
        object_write(RING, "record", nonsense, 64, 0);
    if (_i == 1) {
        int fd = shm_open(name.text, O_RDWR | O_CLOEXEC, 0);

        require(fd >= 0 && ftruncate(fd, 100) == 0, "errno %d", errno);
        close(fd);
    }
    if (_i == 2)
        object_write(RING, "record", "another", 8, offsetof(struct record_page, name));
    require_gone("its record is none");
}
END_TEST

/* Of a version that this ringd does not know: it is not for it to judge. Who is attached goes on. */
static void require_left_alone(struct ringd_writer *writer)
{
    daemon_restart(&server, NULL);
    require_said("ring " RING ": left alone");
    require(object_exists(RING, "record") && object_exists(RING, "1-segment") && object_exists(RING, "1-readers"),
            "something is gone");
    require(daemon_objects(&server) == RING_OBJECTS + 1, "%u objects", daemon_objects(&server));
    require(write_record(writer, 40) == RINGD_OK, "write");
    require(ringd_status(RING, NULL, NULL, 0, NULL) == -ENOENT, "it is served");
    require(ringd_create(RING, NULL) == -EEXIST, "it is made anew");
    require(strstr(ringd_error(), "another version") != NULL, "%s", ringd_error());
    make_ring("beside", small);
    require(write_record(open_writer("beside"), 40) == RINGD_OK, "write");
}

START_TEST(a_ring_of_another_version)
{
    size_t places[] = {offsetof(struct record_page, version),
                       offsetof(struct record_page, generations[1].header) +
                           offsetof(struct ringd_segment_header, layout_version)};
    uint32_t version = 77, right = _i == 0 ? RECORD_VERSION : RINGD_LAYOUT_VERSION;
    struct ringd_writer *writer = leave_a_ring();

    object_write(RING, "record", &version, sizeof version, (off_t)places[_i]);
    require_left_alone(writer);
    daemon_kill(&server);
    object_write(RING, "record", &right, sizeof right, (off_t)places[_i]); /* back to the ringd that knows it */
    daemon_restart(&server, NULL);
    require(ring_info(RING).committed == 2 && ring_info(RING).writers == 1, "it is another");
}
END_TEST

/* A configuration may name such a ring: the others are served. */
START_TEST(a_configured_ring_of_another_version)
{
    uint32_t version = 77;

    leave_a_ring();
    object_write(RING, "record", &version, sizeof version, offsetof(struct record_page, version));
    daemon_restart(&server, "[ring " RING "]\nsize = 64K\n[ring beside]\nsize = 4096\n");
    require(ring_info("beside").size == 4096, "it is not there");
    require_said("another version");
    daemon_kill(&server);
    version = RECORD_VERSION;
    object_write(RING, "record", &version, sizeof version, offsetof(struct record_page, version));
    daemon_restart(&server, NULL);
}
END_TEST

/* Somebody who may has removed a life page. Its slot is not given to anybody: its owner may live, and does. */
START_TEST(a_slot_without_evidence_is_given_to_nobody)
{
    struct ringd_writer *writer = leave_a_ring();
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct object_name name;
    char suffix[80];

    snprintf(suffix, sizeof suffix, "1-life-w0-1-%016jx", (uintmax_t)writer->attachment->segment.geometry.ring_id);
    name = object(RING, suffix);
    require(shm_unlink(name.text) == 0, "%s: errno %d", name.text, errno);
    daemon_restart(&server, NULL);
    require_said("writer's slot 0 is given to nobody");
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint32_t i = 1; i < 31; i++) {
        struct ringd_writer *other = open_writer(RING);

        require(writer_slot(other) == i, "slot %u", writer_slot(other));
        require(write_record(other, 40) == RINGD_OK && write_record(writer, 40) == RINGD_OK, "write");
    }
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK && tracker_delivered(&tracker) == 60, "%ju delivered",
            (uintmax_t)tracker_delivered(&tracker));
}
END_TEST

/* What others have put into /dev/shm under fitting names is not ours. */
START_TEST(files_that_are_none_of_ours)
{
    static const char *const suffixes[] = {"record",     "1-segment",     "1-life-w0-1-0000000000000001",
                                           "nonsense",   "1-life-w0-1-1", "18446744073709551615-segment",
                                           "1-segment-", "-1-readers"};
    struct ringd_writer *writer = leave_a_ring();

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        struct object_name name = object("planted", suffixes[i]);
        int fd = shm_open(name.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

        require(fd >= 0, "%s: errno %d", name.text, errno);
        require(write(fd, "nonsense", 8) == 8, "errno %d", errno);
        if (i == 0 && getuid() == 0)
            require(fchown(fd, 65534, 65534) == 0, "errno %d", errno);
        close(fd);
    }
    daemon_restart(&server, NULL);
    require(write_record(writer, 40) == RINGD_OK && ring_info(RING).committed == 2, "the ring beside them");
    require(!object_exists("planted", "nonsense"), "a file of ours that is no object is left");
    require(object_exists("planted", "record") == (getuid() == 0), "a file of somebody else's is ours");
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        struct object_name name = object("planted", suffixes[i]);

        shm_unlink(name.text);
    }
}
END_TEST

/* ---- connecting again ----------------------------------------------------------------------------------------------
 */

static void observe_one(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_OBSERVE, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    atomic_store((_Atomic bool *)argument, true);
    for (int i = 0; i < 2; i++)
        require(ringd_next(reader, &record) == RINGD_OK, "next %d", i);
    ringd_reader_close(reader);
}

/* An observer asks the daemon to announce its sleep. Without one it looks by itself from time to time; when there is
 * one again it connects, and sleeps for good. */
START_TEST(an_observer_connects_again)
{
    _Atomic bool *flag = shared_new(sizeof *flag);
    struct ringd_writer *writer;
    pid_t observer;

    make_ring(RING, small);
    writer = open_writer(RING);
    observer = start_and_wait(observe_one, flag);
    child_wait_still(observer);
    kill_and_restart();
    require(write_record(writer, 40) == RINGD_OK, "write"); /* the old announcement still stands */
    while (raw_daemon_descriptors(server.pid, "socket:") < 2)
        pause_ms(1);
    child_wait_still(observer);
    require(write_record(writer, 40) == RINGD_OK, "write");
    child_finish(observer);
    wait_for_contexts(RING, 1);
}
END_TEST

/* A bad cursor is reported to the daemon that is there now, and the eviction is known to the one after it. */
START_TEST(a_bad_cursor_is_reported_after_a_restart)
{
    struct ringd_context_info context;
    struct ringd_reader *bad;
    struct ringd_writer *writer;
    struct ringd_record record;

    make_ring(RING, small);
    bad = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    writer = open_writer_until(RING, RINGD_FOREVER);
    for (int i = 0; i < 10; i++)
        require(write_record(writer, 40) == RINGD_OK && ringd_next(bad, &record) == RINGD_OK, "write");
    require(ringd_release(bad) == RINGD_OK, "release");
    kill_and_restart();
    atomic_store(&bad->lanes[0].cursor->position, bad->lanes[0].position + 32);
    for (int i = 0; i < 5000; i++)
        require(write_record(writer, 40) == RINGD_OK, "write %d", i);
    require(find_context(RING, RINGD_CONTEXT_EVICTED, &context), "nobody is evicted");
    kill_and_restart();
    require(find_context(RING, RINGD_CONTEXT_EVICTED, &context), "it is lossless again");
    for (int i = 0; i < 5000; i++)
        require(write_record(writer, 40) == RINGD_OK, "write %d", i);
    require(ringd_next(bad, &record) == RINGD_EVICTED, "it is not told");
}
END_TEST

static struct ringd_request reattach_as(const struct ringd_writer *writer)
{
    return writer->attachment->reattach;
}

static int ask_anew(const struct ringd_request *request)
{
    struct proto_reply reply;
    int fd = raw_connect(), result = raw_ask(fd, request, &reply);

    close(fd);
    return result;
}

static void ask_as_nobody(void *argument)
{
    require(setgid(65534) == 0 && setuid(65534) == 0, "errno %d", errno);
    require(ask_anew(argument) == -EPERM, "not refused");
}

/* Only the context itself knows its token. */
START_TEST(only_a_context_gets_its_connection_back)
{
    struct ringd_writer *writer;
    struct ringd_request right, wrong;
    struct proto_reply reply;
    int fd;

    make_ring(RING, small);
    writer = open_writer(RING);
    right = reattach_as(writer);
    require(ask_anew(&right) == -EBUSY, "it has a connection");
    kill_and_restart();
    for (int i = 0; i < 7; i++) {
        wrong = right;
        wrong.token ^= i == 0 ? 1 : 0;
        wrong.token = i == 1 ? 0 : wrong.token;
        wrong.incarnation += i == 2;
        wrong.slot = i == 3 ? 1 : i == 4 ? UINT32_MAX : wrong.slot;
        wrong.kind = i == 5 ? RINGD_CONTEXT_LOSSLESS : wrong.kind;
        wrong.ring[0] ^= i == 6;
        require(ask_anew(&wrong) == -ESTALE, "case %d", i);
    }
    if (getuid() == 0)
        child_finish(child_start(ask_as_nobody, &right));
    fd = raw_connect();
    require(raw_ask(fd, &right, &reply) == 0, "%s", reply.head.text);
    require(raw_ask(fd, &right, &reply) == -EISCONN, "twice");
    require(ask_anew(&right) == -EBUSY, "it has a connection");
    close(fd);
    while (ask_anew(&right) != 0)
        pause_ms(1); /* until the daemon has seen the end of the other */
    ringd_writer_close(writer);
    wait_for_contexts(RING, 0);
}
END_TEST

/* ---- killed in the middle
 * -------------------------------------------------------------------------------------------- */

static void do_create(void *argument)
{
    (void)argument;
    ringd_create(RING, &small);
}

static void do_remove(void *argument)
{
    (void)argument;
    ringd_remove(RING);
}

static void do_attach(void *argument)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST};
    struct ringd_reader *reader;
    struct ringd_writer *writer;
    struct ringd *ring;

    (void)argument;
    if (ringd_open(&ring, RING) != 0)
        return;
    if (ringd_writer_open(&writer, ring, NULL) == 0)
        require(write_record(writer, 40) == RINGD_OK, "write");
    ringd_reader_open(&reader, ring, &options);
}

static bool trace_daemon(void)
{
    int status;

    if (ptrace(PTRACE_SEIZE, server.pid, NULL, NULL) != 0)
        return false;
    require(ptrace(PTRACE_INTERRUPT, server.pid, NULL, NULL) == 0, "errno %d", errno);
    require(waitpid(server.pid, &status, __WALL) == server.pid && WIFSTOPPED(status), "status %#x", (unsigned)status);
    return true;
}

/* How long it makes no call before it is taken to be done. What is missed then is not tried; nothing fails by it. */
#define QUIET_NS INT64_C(30000000)

/* The next stop of the daemon or end of the asker; 0: none came. */
static pid_t next_event(int *status)
{
    struct timespec nap = {.tv_nsec = 20000};
    int64_t until = now_ns() + QUIET_NS;
    pid_t pid;

    while ((pid = waitpid(-1, status, __WALL | WNOHANG)) == 0 && now_ns() < until)
        nanosleep(&nap, NULL);
    require(pid >= 0, "errno %d", errno);
    return pid;
}

/* The daemon is killed after so many system calls from now on, while and after `act` asks it for something. False: it
 * was done before (and is killed now). */
static bool kill_after(unsigned calls, void (*act)(void *))
{
    pid_t asker = child_start(act, NULL), pid;
    unsigned stops = 0;
    bool asked = false;
    int status;

    require(ptrace(PTRACE_SYSCALL, server.pid, NULL, NULL) == 0, "errno %d", errno);
    while ((pid = next_event(&status)) != 0 || !asked) {
        if (pid == asker) {
            require(status == 0, "the asker: %#x", (unsigned)status);
            asked = true;
        }
        if (pid != server.pid)
            continue;
        if (++stops == 2 * calls) /* one as it begins, one as it ends */
            break;
        require(ptrace(PTRACE_SYSCALL, server.pid, NULL, NULL) == 0, "errno %d", errno);
    }
    kill(server.pid, SIGKILL);
    while (waitpid(server.pid, &status, __WALL) != server.pid || WIFSTOPPED(status))
        ;
    if (!asked)
        child_finish(asker);
    return stops == 2 * calls;
}

static void fill_slots(void *argument)
{
    (void)argument;
    for (int i = 0; i < 31; i++)
        require(write_record(open_writer(RING), 40) == RINGD_OK, "write");
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
}

/* After the next start there is the whole ring or nothing of it. */
static void require_whole_or_nothing(unsigned calls)
{
    daemon_restart(&server, NULL);
    if (ringd_status(RING, NULL, NULL, 0, NULL) == -ENOENT) {
        require(daemon_objects(&server) == 0, "call %u: %u objects of no ring", calls, daemon_objects(&server));
        make_ring(RING, small);
    }
    wait_for_contexts(RING, 0);
    require(daemon_objects(&server) == RING_OBJECTS, "call %u: %u objects of one ring", calls, daemon_objects(&server));
    child_finish(child_start(fill_slots, NULL));
    daemon_read_log(&server, said, sizeof said);
    require(strstr(said, "given to nobody") == NULL && strstr(said, "cannot") == NULL, "call %u: %s", calls, said);
}

static const struct {
    void (*act)(void *);
    bool ring; /* there is one before */
    const char *name;
} acts[] = {
    {do_create, false, "create"},
    {do_remove, true, "remove"},
    {do_attach, true, "attach and leave"},
};

/* It is killed after each system call that it makes for a request: there is nothing else that another process could see
 * of it, but for stores to the ring. */
START_TEST(killed_after_each_of_its_calls)
{
    unsigned calls = 0;
    bool killed;

    daemon_stop(&server);
    do {
        daemon_start(&server, NULL);
        if (acts[_i].ring)
            make_ring(RING, small);
        if (!trace_daemon()) {
            support_skip("killed_after_each_of_its_calls", "no ptrace here (%s)", strerror(errno));
            return;
        }
        killed = kill_after(++calls, acts[_i].act);
        require_whole_or_nothing(calls);
        daemon_stop(&server);
    } while (killed);
    printf("%s: killed after each of %u calls\n", acts[_i].name, calls - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("takeover");
    TCase *load_case = add_case(suite, "load"), *tests = add_case(suite, "takeover"), *calls = add_case(suite, "calls");

    tcase_set_timeout(load_case, SUPPORT_GUARD_S + restarts());
    tcase_set_timeout(calls, 2 * SUPPORT_GUARD_S);
    tcase_add_test(load_case, killed_and_started_again_under_load);
    tcase_add_test(load_case, replaced_by_another_binary_under_load);
    tcase_add_test(tests, contexts_are_what_they_were);
    tcase_add_test(tests, who_closes_after_a_restart_has_left);
    tcase_add_test(tests, a_writer_that_dies_while_there_is_no_daemon);
    tcase_add_test(tests, a_reader_that_dies_while_there_is_no_daemon);
    tcase_add_test(tests, a_stopped_writer_is_not_dead);
    tcase_add_test(tests, a_stopped_writer_is_killed_by_the_next_daemon);
    tcase_add_test(tests, everybody_is_killed_at_once);
    tcase_add_test(tests, what_nobody_uses_goes_unless_it_is_kept);
    tcase_add_test(tests, a_removed_ring_stays_removed);
    tcase_add_test(tests, a_ring_stays_as_it_is_whatever_the_configuration_says);
    tcase_add_test(tests, a_second_daemon_takes_nothing_from_the_first);
    tcase_add_test(tests, one_that_has_lost_its_claim_touches_nothing);
    tcase_add_test(tests, a_ring_whose_header_was_written_over);
    tcase_add_test(tests, a_ring_whose_memory_was_cut_off);
    tcase_add_loop_test(tests, a_ring_of_which_a_part_is_gone, 0, 3);
    tcase_add_loop_test(tests, a_record_that_is_none, 0, 3);
    tcase_add_loop_test(tests, a_ring_of_another_version, 0, 2);
    tcase_add_test(tests, a_configured_ring_of_another_version);
    tcase_add_test(tests, a_slot_without_evidence_is_given_to_nobody);
    tcase_add_test(tests, files_that_are_none_of_ours);
    tcase_add_test(tests, an_observer_connects_again);
    tcase_add_test(tests, a_bad_cursor_is_reported_after_a_restart);
    tcase_add_test(tests, only_a_context_gets_its_connection_back);
    tcase_add_loop_test(calls, killed_after_each_of_its_calls, 0, 3);
    return run_suite(suite);
}
