/* check_fork.c - forks and signals: a child with its parent's handles, and a signal handler with its own.
 *
 * A handle belongs to the process that opened it. A child's use of it is -ECHILD, changes nothing, and makes no system
 * call; the parent's death is noticed although the child lives. A handler may use handles of its own at any moment,
 * also in the middle of a call on the same ring.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"

#define RING "fork"

static const struct ringd_ring_options small = {.size = 8192, .max_record = 128};

/* ---- a child and its parent's handles ---------------------------------------------------------------------------- */

struct inherited {
    struct ringd_writer *w;
    struct ringd_reader *readers[3];
};

static void require_no_writer(struct ringd_writer *w)
{
    struct ringd_writer_counters counters;
    struct iovec piece = {"x", 1};
    size_t granted;
    void *data = NULL;

    require(ringd_write(w, "x", 1) == -ECHILD, "write");
    require(ringd_writev(w, &piece, 1) == -ECHILD, "writev");
    require(ringd_write_batch(w, &piece, 1) == -ECHILD, "write_batch");
    require(ringd_write_message(w, "x", 1) == -ECHILD, "write_message");
    require(ringd_write_message(w, data, 1000000) == -ECHILD, "write_message");
    require(ringd_writer_fd(w) == -ECHILD, "fd");
    require(ringd_reserve(w, 1, 1, &data, &granted) == -ECHILD, "reserve");
    require(ringd_commit(w, 0) == -ECHILD, "commit");
    require(ringd_abort(w) == -ECHILD, "abort");
    require(ringd_writer_deadline(w, 5) == -ECHILD, "deadline");
    require(ringd_writer_label(w, 1, 1) == -ECHILD, "label");
    require(ringd_writer_count(w, &counters) == -ECHILD, "count");
}

static void require_no_reader(struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;
    struct ringd_record record;
    size_t count;

    require(ringd_next(reader, &record) == -ECHILD, "next");
    require(ringd_next_many(reader, &record, 1, &count) == -ECHILD && count == 0, "next_many");
    require(ringd_release(reader) == -ECHILD, "release");
    require(ringd_reader_deadline(reader, 5) == -ECHILD, "deadline");
    require(ringd_reader_count(reader, &counters) == -ECHILD, "count");
    ringd_reader_position(reader);
}

static void use_inherited(void *argument)
{
    struct inherited *inherited = argument;
    struct ringd_writer *own;

    for (int i = 0; i < 100; i++) {
        require_no_writer(inherited->w);
        for (int r = 0; r < 3; r++)
            require_no_reader(inherited->readers[r]);
    }
    ringd_writer_close(inherited->w);
    for (int r = 0; r < 3; r++)
        ringd_reader_close(inherited->readers[r]);
    own = open_writer(RING); /* anew it may */
    require(write_record(own, 50) == RINGD_OK, "a writer of its own");
    ringd_writer_close(own);
}

static void open_all(struct inherited *inherited)
{
    inherited->w = open_writer(RING);
    for (uint32_t mode = 0; mode < 3; mode++)
        inherited->readers[mode] = open_reader(RING, mode, RINGD_START_NOW);
}

START_TEST(a_child_cannot_use_its_parents_handles)
{
    struct inherited inherited;
    struct tracker trackers[3] = {0};

    make_ring(RING, small);
    open_all(&inherited);
    for (int round = 1; round <= 20; round++) {
        ck_assert_int_eq(write_record(inherited.w, 40), RINGD_OK);
        child_finish(child_start(use_inherited, &inherited));
        ck_assert_int_eq(write_record(inherited.w, 40), RINGD_OK);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(tracker_drain(&trackers[i], inherited.readers[i]), RINGD_WOULD_BLOCK);
            ck_assert_uint_eq(tracker_delivered(&trackers[i]), 3 * (uint64_t)round);
            ck_assert_uint_eq(tracker_lost(&trackers[i]), 0);
        }
    }
    wait_for_contexts(RING, 4);
    ck_assert_uint_eq(ring_info(RING).committed, 60);
    ck_assert_uint_eq(ring_info(RING).offered, 60);
}
END_TEST

/* The parent stands between reserve and commit meanwhile. */
START_TEST(a_child_leaves_an_open_grant_alone)
{
    struct inherited inherited;
    struct tracker tracker = {0};
    size_t granted;
    void *data;

    make_ring(RING, small);
    open_all(&inherited);
    ck_assert_int_eq(ringd_reserve(inherited.w, 40, 40, &data, &granted), RINGD_OK);
    child_finish(child_start(use_inherited, &inherited));
    record_make(data, 40, 0, 0);
    ck_assert_int_eq(ringd_commit(inherited.w, 40), RINGD_OK);
    ck_assert_int_eq(tracker_drain(&tracker, inherited.readers[1]), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), 2);
}
END_TEST

static void just_live(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

struct family {
    _Atomic int32_t grandchild;
};

/* Opens contexts, leaves a child behind, and waits to be killed. */
static void have_a_child(void *argument)
{
    struct family *family = argument;
    struct inherited inherited;
    pid_t pid;

    open_all(&inherited);
    pid = fork();
    require(pid >= 0, "errno %d", errno);
    if (pid == 0)
        just_live(NULL);
    atomic_store(&family->grandchild, pid);
    just_live(NULL);
}

START_TEST(a_parents_death_is_noticed_although_its_child_lives)
{
    struct family *family = shared_new(sizeof *family);
    pid_t parent;

    make_ring(RING, small);
    parent = child_start(have_a_child, family);
    while (atomic_load(&family->grandchild) == 0)
        pause_ms(1);
    wait_for_contexts(RING, 4);
    child_kill(parent);
    wait_for_contexts(RING, 0);
    ck_assert_int_eq(kill(family->grandchild, 0), 0);
    kill(family->grandchild, SIGKILL);
}
END_TEST

/* Neither does it stay when its process becomes another program. */
static void become_another_program(void *argument)
{
    struct inherited inherited;

    (void)argument;
    open_all(&inherited);
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

static bool runs(pid_t pid, const char *program)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    file = fopen(path, "re");
    if (file != NULL && fgets(name, sizeof name, file) != NULL)
        name[strcspn(name, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
    return strcmp(name, program) == 0;
}

START_TEST(a_context_ends_with_exec)
{
    pid_t pid;

    make_ring(RING, small);
    pid = child_start(become_another_program, NULL);
    while (!runs(pid, "sleep"))
        pause_ms(1);
    wait_for_contexts(RING, 0);
    ck_assert_int_eq(kill(pid, 0), 0);
    child_kill(pid);
}
END_TEST

/* ---- attaching and forking at once ------------------------------------------------------------------------------- */

static _Atomic bool enough;

static void *attach_all_the_time(void *argument)
{
    (void)argument;
    while (!atomic_load(&enough))
        ringd_writer_close(open_writer(RING));
    return NULL;
}

/* Children that were forked while a thread of their parent was attaching keep none of it. */
START_TEST(attaching_and_forking_at_once)
{
    pthread_t thread;
    pid_t pids[100];

    make_ring(RING, small);
    ck_assert_int_eq(pthread_create(&thread, NULL, attach_all_the_time, NULL), 0);
    for (int i = 0; i < 100; i++)
        pids[i] = child_start(just_live, NULL);
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    wait_for_contexts(RING, 0); /* although the children live */
    for (int i = 0; i < 100; i++)
        child_kill(pids[i]);
}
END_TEST

/* ---- signal handlers --------------------------------------------------------------------------------------------- */

static struct ringd_writer *handler_writer;
static struct ringd_reader *handler_reader;
static struct tracker handler_tracker;
static _Atomic uint64_t handler_wrote, handler_runs;

/* Only calls marked [signal], on handles that nobody else uses. */
static void on_signal(int number)
{
    unsigned char payload[RECORD_MIN + 8];
    struct ringd_record record;
    size_t granted;
    void *data;
    int result;

    (void)number;
    atomic_fetch_add(&handler_runs, 1);
    record_make(payload, sizeof payload, writer_slot(handler_writer), writer_sequence(handler_writer));
    if (ringd_write(handler_writer, payload, sizeof payload) == RINGD_OK)
        atomic_fetch_add(&handler_wrote, 1);
    if (ringd_reserve(handler_writer, 30, 60, &data, &granted) == RINGD_OK) {
        record_make(data, 30, writer_slot(handler_writer), writer_sequence(handler_writer));
        ringd_commit(handler_writer, 30);
        atomic_fetch_add(&handler_wrote, 1);
    }
    while ((result = ringd_next(handler_reader, &record)) == RINGD_OK || result == RINGD_GAP) {
        if (result == RINGD_OK)
            tracker_record(&handler_tracker, &record);
        else
            tracker_gap(&handler_tracker, &record);
    }
    ringd_release(handler_reader);
}

static void start_signals(void)
{
    struct itimerval often = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
    struct sigaction action = {.sa_handler = on_signal};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void stop_signals(void)
{
    struct itimerval never = {0};

    setitimer(ITIMER_REAL, &never, NULL);
}

/* The main loop writes and reads the same ring the handler does, and is interrupted at arbitrary instructions. A
 * lossless ring with room enough: the handler must not have to wait for what it interrupted. */
START_TEST(a_signal_handler_with_handles_of_its_own)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t written = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20, .max_record = 256});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    handler_writer = open_writer(RING);
    handler_reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    start_signals();
    while (atomic_load(&handler_runs) < 2000) {
        int result = write_record(w, RECORD_MIN + written % 200);

        require(result == RINGD_OK || result == RINGD_FULL, "result %d", result);
        written += result == RINGD_OK;
        require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK, "after %lu", (unsigned long)written);
    }
    stop_signals();
    on_signal(0);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker.delivered[writer_slot(w)], written);
    ck_assert_uint_eq(tracker.delivered[writer_slot(handler_writer)], handler_wrote);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ck_assert_uint_eq(tracker_delivered(&handler_tracker) + tracker_lost(&handler_tracker), written + handler_wrote);
    ck_assert_uint_gt(handler_wrote, 2000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *tests = add_case(suite, "fork");

    tcase_add_test(tests, a_child_cannot_use_its_parents_handles);
    tcase_add_test(tests, a_child_leaves_an_open_grant_alone);
    tcase_add_test(tests, a_parents_death_is_noticed_although_its_child_lives);
    tcase_add_test(tests, a_context_ends_with_exec);
    tcase_add_test(tests, a_signal_handler_with_handles_of_its_own);
    tests = add_case(suite, "fork while attaching");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, attaching_and_forking_at_once);
    return run_suite(suite);
}
