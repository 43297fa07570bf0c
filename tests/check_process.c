/* check_process.c - contexts and what happens to their processes: fork, exec, signals, stops, and a daemon that is
 * gone.
 *
 * What holds: a handle belongs to the process that opened it; the daemon learns of a context's end from the kernel,
 * whatever children or sockets live on; a signal handler with handles of its own may write and read at any instruction;
 * the daemon is not needed for writing and reading; and who sleeps is woken, and uses no processor time until then.
 *
 * What must wake is waited for without a limit of its own: a lost wake-up shows as the guard's alarm. No time is looked
 * at but "not before the deadline"; that a sleeper does not poll shows in how often the kernel has switched to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "relax.h"
#include "support_check.h"
#include "writer.h"

#define RING      "process"

#define NS_PER_MS INT64_C(1000000)
#define PAYLOAD   32

/* What helper processes and their parent tell each other. */
struct board {
    _Atomic uint32_t ready;
    _Atomic uint32_t stop;
    _Atomic uint64_t count;
    pid_t pid;
};

static struct board *board_new(void)
{
    return shared_new(sizeof(struct board));
}

static void board_wait(const struct board *board, uint32_t ready)
{
    while (atomic_load(&board->ready) < ready)
        pause_ms(1);
}

static void ck_record(struct ringd_reader *reader, struct tracker *tracker)
{
    struct ringd_record record;
    int result = ringd_next(reader, &record);

    require(result == RINGD_OK, "result %d", result);
    tracker_record(tracker, &record);
    require(ringd_release(reader) == RINGD_OK, "evicted");
}

static void ck_write(struct ringd_writer *w)
{
    int result = write_record(w, PAYLOAD);

    require(result == RINGD_OK, "result %d", result);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

struct inherited {
    struct ringd_writer *writer, *busy;
    struct ringd_reader *readers[3];
};

static void use_writer_of_parent(struct ringd_writer *w)
{
    struct iovec piece = {.iov_base = "abc", .iov_len = 3};
    struct ringd_writer_counters counters;
    size_t granted;
    void *data;

    require(ringd_writer_deadline(w, RINGD_FOREVER) == -ECHILD, "deadline");
    require(ringd_writer_label(w, 1, 1) == -ECHILD, "label");
    require(ringd_write(w, "abc", 3) == -ECHILD, "write");
    require(ringd_write(w, "", 0) == -ECHILD, "write of nothing");
    require(ringd_writev(w, &piece, 1) == -ECHILD, "writev");
    require(ringd_write_batch(w, &piece, 1) == -ECHILD, "batch");
    require(ringd_reserve(w, 1, 3, &data, &granted) == -ECHILD, "reserve");
    require(ringd_commit(w, 1) == -ECHILD, "commit");
    require(ringd_abort(w) == -ECHILD, "abort");
    require(ringd_writer_count(w, &counters) == -ECHILD, "count");
}

static void use_reader_of_parent(struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;
    struct ringd_record records[4];
    size_t count;

    require(ringd_reader_deadline(reader, RINGD_FOREVER) == -ECHILD, "deadline");
    require(ringd_next(reader, records) == -ECHILD, "next");
    require(ringd_next_many(reader, records, 4, &count) == -ECHILD, "next_many");
    require(ringd_release(reader) == -ECHILD, "release");
    require(ringd_reader_count(reader, &counters) == -ECHILD, "count");
    (void)ringd_reader_position(reader);
}

/* All of the parent's, then its own. */
static void be_a_child(void *argument)
{
    const struct inherited *inherited = argument;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    use_writer_of_parent(inherited->writer);
    use_writer_of_parent(inherited->busy);
    for (int i = 0; i < 3; i++)
        use_reader_of_parent(inherited->readers[i]);
    ringd_writer_close(inherited->writer);
    ringd_writer_close(inherited->busy);
    for (int i = 0; i < 3; i++)
        ringd_reader_close(inherited->readers[i]);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    ck_record(reader, &tracker);
    ringd_writer_close(w);
    ringd_reader_close(reader);
}

START_TEST(a_child_cannot_use_its_parents_handles)
{
    struct tracker trackers[3] = {0};
    struct inherited inherited;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    inherited.writer = open_writer(RING);
    inherited.busy = open_writer(RING);
    for (uint32_t i = 0; i < 3; i++)
        inherited.readers[i] = open_reader(RING, i, RINGD_START_NOW);
    for (int round = 0; round < 20; round++) {
        ck_write(inherited.writer);
        ck_assert_int_eq(ringd_reserve(inherited.busy, PAYLOAD, PAYLOAD, &data, &granted), RINGD_OK);
        child_finish(child_start(be_a_child, &inherited));
        wait_for_contexts(RING, 5);
        record_make(data, PAYLOAD, writer_slot(inherited.busy), writer_sequence(inherited.busy));
        ck_assert_int_eq(ringd_commit(inherited.busy, PAYLOAD), RINGD_OK);
        for (int i = 0; i < 3; i++) {
            ck_record(inherited.readers[i], &trackers[i]);
            ck_record(inherited.readers[i], &trackers[i]);
        }
    }
}
END_TEST

/* What it means when nobody takes it back: a process with contexts of every kind that ends while a child lives on. */
static void attach_all(void)
{
    open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
}

/* It is nobody's helper: it must live on when its parent dies. */
static void live_on(struct board *board)
{
    prctl(PR_SET_PDEATHSIG, 0);
    support_guard(SUPPORT_GUARD_S);
    board->pid = getpid();
    atomic_fetch_add(&board->ready, 1);
    for (;;)
        pause();
}

static void attach_and_fork(void *argument)
{
    attach_all();
    if (fork() == 0)
        live_on(argument);
    for (;;)
        pause();
}

/* Without the handlers of pthread_atfork: the child has the connections too. */
static void attach_and_fork_unseen(void *argument)
{
    attach_all();
    if (syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0)
        live_on(argument);
    for (;;)
        pause();
}

static pid_t leave_an_orphan(void (*run)(void *argument))
{
    struct board *board = board_new();
    pid_t parent;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    parent = child_start(run, board);
    board_wait(board, 1);
    wait_for_contexts(RING, 4);
    child_kill(parent);
    ck_assert_int_eq(kill(board->pid, 0), 0);
    return board->pid;
}

START_TEST(a_dead_parent_is_noticed_while_its_child_lives)
{
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    for (int round = 0; round < 10; round++) {
        pid_t orphan = leave_an_orphan(attach_and_fork);
        struct ringd_writer *w;

        wait_for_contexts(RING, 0);
        w = open_writer_until(RING, RINGD_FOREVER);
        ck_assert_uint_eq(writer_slot(w), 0);
        for (int i = 0; i < 3000; i++)
            ck_write(w); /* its lossless reader is in nobody's way */
        ringd_writer_close(w);
        wait_for_contexts(RING, 0);
        ck_assert_int_eq(kill(orphan, 0), 0);
        child_kill(orphan);
    }
}
END_TEST

/* Its connection does not end, but its slot is free when it is needed. */
START_TEST(a_dead_parents_slot_is_found_when_needed)
{
    pid_t orphan;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    orphan = leave_an_orphan(attach_and_fork_unseen);
    for (int i = 0; i < 31; i++)
        open_writer(RING);
    ck_assert_int_eq(kill(orphan, 0), 0);
    child_kill(orphan);
}
END_TEST

/* ---- exec, kill, stop -------------------------------------------------------------------------------------------- */

static void attach_and_exec(void *argument)
{
    struct board *board = argument;

    attach_all();
    atomic_fetch_add(&board->ready, 1);
    while (!atomic_load(&board->stop))
        pause_ms(1);
    execl("/bin/sleep", "sleep", "1000", NULL);
    require(false, "errno %d", errno);
}

START_TEST(a_context_ends_with_exec_and_with_kill)
{
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    for (int round = 0; round < 10; round++) {
        struct board *board = board_new();
        pid_t pid = child_start(attach_and_exec, board);

        board_wait(board, 1);
        wait_for_contexts(RING, 4);
        if (round % 2 == 0) {
            atomic_store(&board->stop, 1);
            wait_for_contexts(RING, 0);
            ck_assert_int_eq(kill(pid, 0), 0); /* the process is there, its contexts are gone */
            child_kill(pid);
        } else {
            child_kill(pid);
            wait_for_contexts(RING, 0);
        }
    }
}
END_TEST

static void write_and_rest(void *argument)
{
    struct board *board = argument;
    struct ringd_writer *w = open_writer(RING);

    while (!atomic_load(&board->stop)) {
        if (atomic_load(&board->ready) == 0) {
            ck_write(w);
            atomic_fetch_add(&board->ready, 1);
        }
        pause_ms(1);
    }
    ck_write(w);
}

START_TEST(a_writer_stopped_between_records_holds_nobody_up)
{
    struct board *board = board_new();
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 16384, .max_record = 64});
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    pid = child_start(write_and_rest, board);
    board_wait(board, 1);
    child_wait_asleep(pid); /* it is between records from now on */
    child_stop(pid);
    ck_record(reader, &tracker);
    w = open_writer_until(RING, RINGD_FOREVER);
    for (int i = 0; i < 5000; i++) {
        ck_write(w);
        ck_record(reader, &tracker);
    }
    atomic_store(&board->stop, 1);
    child_continue(pid);
    child_finish(pid);
    ck_record(reader, &tracker);
    ck_assert_uint_eq(tracker_delivered(&tracker), 5002);
}
END_TEST

/* ---- a signal handler that writes and reads ---------------------------------------------------------------------- */

#define SIGNALS 20000

static struct {
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct tracker tracker;
    volatile sig_atomic_t signals;
    volatile sig_atomic_t failed; /* line */
} handler;

/* As tracker_record(), which is not for handlers. */
static bool handler_accepts(const struct ringd_record *record)
{
    unsigned char expected[PAYLOAD];
    bool next = record->sequence == handler.tracker.next[record->writer];

    handler.tracker.next[record->writer]++;
    handler.tracker.delivered[record->writer]++;
    record_make(expected, PAYLOAD, record->writer, record->sequence);
    return next && record->len == PAYLOAD && memcmp(record->data, expected, PAYLOAD) == 0;
}

static void on_signal(int number)
{
    unsigned char payload[PAYLOAD];
    struct ringd_record record;
    int result, error = errno;

    (void)number;
    handler.signals++;
    record_make(payload, PAYLOAD, writer_slot(handler.writer), writer_sequence(handler.writer));
    result = ringd_write(handler.writer, payload, PAYLOAD);
    if (result != RINGD_OK && result != RINGD_FULL)
        handler.failed = __LINE__;
    while ((result = ringd_next(handler.reader, &record)) == RINGD_OK) {
        if (!handler_accepts(&record))
            handler.failed = __LINE__;
    }
    if (result != RINGD_WOULD_BLOCK)
        handler.failed = __LINE__;
    if (ringd_release(handler.reader) != RINGD_OK)
        handler.failed = __LINE__;
    errno = error;
}

static void set_timer(unsigned interval_us)
{
    struct itimerval timer = {.it_interval.tv_usec = interval_us, .it_value.tv_usec = interval_us};

    require(setitimer(ITIMER_REAL, &timer, NULL) == 0, "errno %d", errno);
}

/* Writes in each of the three ways, reads what there is, now and then by waiting. Returns how many were written. */
static uint64_t work_while_interrupted(struct ringd_writer *w, struct ringd_reader *reader, struct tracker *tracker)
{
    static unsigned char payload[PAYLOAD];
    struct iovec piece = {.iov_base = payload, .iov_len = PAYLOAD};
    uint64_t rounds = 0;
    size_t granted;
    void *data;

    for (; handler.signals < SIGNALS; rounds++) {
        int result;

        record_make(payload, PAYLOAD, writer_slot(w), writer_sequence(w));
        if (rounds % 3 == 0)
            result = ringd_write(w, payload, PAYLOAD);
        else if (rounds % 3 == 1)
            result = ringd_write_batch(w, &piece, 1);
        else if ((result = ringd_reserve(w, PAYLOAD, PAYLOAD, &data, &granted)) == RINGD_OK) {
            memcpy(data, payload, PAYLOAD);
            result = ringd_commit(w, PAYLOAD);
        }
        require(result == RINGD_OK || result == RINGD_FULL, "result %d", result);
        ringd_reader_deadline(reader, rounds % 1000 == 0 ? now_ns() + NS_PER_MS : RINGD_NO_WAIT);
        result = tracker_drain(tracker, reader);
        require(result == RINGD_WOULD_BLOCK || result == -EINTR, "result %d", result);
    }
    return rounds;
}

/* SIGALRM is the timer's here; Check's own guard stays. */
START_TEST(a_signal_handler_writes_and_reads)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    handler.writer = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    handler.reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    tracker.known[0] = tracker.known[1] = true;
    ck_assert_ptr_ne(signal(SIGALRM, on_signal), SIG_ERR);
    set_timer(50);
    work_while_interrupted(w, reader, &tracker);
    set_timer(0);
    on_signal(SIGALRM); /* for what has been written since the last one */
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    ck_assert_int_eq(handler.failed, 0);
    ck_assert_uint_gt(writer_sequence(handler.writer), SIGNALS / 2);
    ck_assert_uint_gt(writer_sequence(w), SIGNALS / 2);
    for (int i = 0; i < 2; i++) {
        uint64_t committed = writer_sequence(i == 0 ? w : handler.writer);

        ck_assert_uint_eq(tracker.delivered[i], committed);
        ck_assert_uint_eq(handler.tracker.delivered[i], committed);
    }
}
END_TEST

/* ---- without the daemon ------------------------------------------------------------------------------------------ */

/* Reads and counts on the board; waits without limit each time. */
struct counting {
    struct board *board;
    uint32_t mode;
    uint64_t total;
    bool lingers; /* then reads on until the board says stop */
};

static void count_records(void *argument)
{
    const struct counting *c = argument;
    struct ringd_reader *reader = open_reader_until(RING, c->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct tracker tracker = {0};

    atomic_fetch_add(&c->board->ready, 1);
    for (uint64_t i = 0; i < c->total; i++) {
        ck_record(reader, &tracker);
        atomic_fetch_add(&c->board->count, 1);
    }
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    while (c->lingers && !atomic_load(&c->board->stop)) {
        tracker_drain(&tracker, reader);
        sched_yield();
    }
    ringd_reader_close(reader);
}

/* One record at a time, each when all readers have had the one before and sleep. */
static void feed(struct ringd_writer *w, struct board *board, const pid_t *pids, uint64_t readers, uint64_t total)
{
    for (uint64_t i = 1; i <= total; i++) {
        for (uint64_t j = 0; j < readers; j++)
            child_wait_asleep(pids[j]);
        ck_write(w);
        while (atomic_load(&board->count) < i * readers)
            pause_ms(1);
    }
}

static void ck_no_daemon(struct ringd *ring, int error)
{
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct ringd *other;
    size_t count;

    ck_assert_int_eq(ringd_open(&other, RING), error);
    ck_assert_ptr_eq(other, NULL);
    ck_assert_uint_gt(strlen(ringd_error()), 0);
    ck_assert_int_eq(ringd_writer_open(&writer, ring, NULL), error);
    ck_assert_ptr_eq(writer, NULL);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, NULL), error);
    ck_assert_ptr_eq(reader, NULL);
    ck_assert_int_eq(ringd_create("another", NULL), error);
    ck_assert_int_eq(ringd_remove(RING), error);
    ck_assert_int_eq(ringd_list(NULL, 0, &count), error);
    ck_assert_int_eq(ringd_status(RING, NULL, NULL, 0, &count), error);
}

/* Who leaves now is not noticed before there is a daemon again, so the lossless readers stay to the end. First readers
 * of all modes, then an observer alone, for which nobody announces its sleep. */
START_TEST(contexts_go_on_without_a_daemon)
{
    uint32_t count = _i == 0 ? 3 : 1;
    struct counting counting[3];
    struct board *board = board_new();
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct ringd *ring;
    pid_t pids[3];

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    w = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint32_t i = 0; i < count; i++) {
        counting[i] = (struct counting){
            .board = board, .mode = count == 3 ? i : RINGD_READ_OBSERVE, .total = 60, .lingers = true};
        pids[i] = child_start(count_records, &counting[i]);
    }
    board_wait(board, count);
    feed(w, board, pids, count, 30);
    daemon_kill(&server);
    ck_no_daemon(ring, -ECONNREFUSED);
    atomic_store(&board->count, 0);
    feed(w, board, pids, count, 30);
    ringd_close(ring);
    for (int i = 0; i < 10000; i++) { /* many laps */
        ck_write(w);
        tracker_drain(&tracker, reader);
    }
    atomic_store(&board->stop, 1);
    for (uint32_t i = 0; i < count; i++)
        child_finish(pids[i]);
    ck_assert_uint_eq(tracker_delivered(&tracker), 10060);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ringd_writer_close(w);
    ringd_reader_close(reader);
}
END_TEST

static void open_in_vain(void *argument)
{
    struct ringd *ring;
    int result = ringd_open(&ring, RING);

    (void)argument;
    require(result == -ETIMEDOUT && ring == NULL, "result %d", result);
}

/* One that is stopped takes connections and does not answer. An observer about to sleep waits for it in vain and then
 * looks for itself. */
START_TEST(contexts_go_on_with_a_stopped_daemon)
{
    struct board *board = board_new();
    struct counting counting = {.board = board, .mode = RINGD_READ_OBSERVE, .total = 12};
    pid_t observer, opening;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer_until(RING, RINGD_FOREVER);
    observer = child_start(count_records, &counting);
    board_wait(board, 1);
    feed(w, board, &observer, 1, 5);
    child_wait_asleep(observer);
    child_stop(server.pid);
    opening = child_start(open_in_vain, NULL);
    atomic_store(&board->count, 0);
    feed(w, board, &observer, 1, 2);
    child_finish(opening);
    child_continue(server.pid);
    atomic_store(&board->count, 0);
    feed(w, board, &observer, 1, 5);
    child_finish(observer);
}
END_TEST

/* ---- sleeping and waking ----------------------------------------------------------------------------------------- */

#define STREAM_RECORDS 40000

/* On a ring of a dozen records, both sides wait again and again. */
static void stream_write(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {.state = support_seed()};
    struct board *board = argument;
    struct ringd_writer_counters c;

    atomic_fetch_add(&board->ready, 1);
    board_wait(board, 2);
    for (int i = 0; i < STREAM_RECORDS; i++) {
        ck_write(w);
        if (random_below(&random, 50) == 0)
            sched_yield();
        if (random_below(&random, 1000) == 0)
            pause_ms(1);
    }
    require(ringd_writer_count(w, &c) == RINGD_OK && c.waited > 0, "waited %" PRIu64 " times", c.waited);
}

static void stream_read(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct random_source random = {.state = ~support_seed()};
    struct board *board = argument;
    struct ringd_reader_counters c;
    struct tracker tracker = {0};

    atomic_fetch_add(&board->ready, 1);
    for (int i = 0; i < STREAM_RECORDS; i++) {
        ck_record(reader, &tracker);
        if (random_below(&random, 1000) == 0)
            pause_ms(1);
    }
    require(ringd_reader_count(reader, &c) == RINGD_OK && c.slept > 0, "slept %" PRIu64 " times", c.slept);
}

START_TEST(a_stream_through_a_tiny_ring)
{
    struct board *board = board_new();
    pid_t pids[2];

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    pids[0] = child_start(stream_write, board);
    pids[1] = child_start(stream_read, board);
    for (int i = 0; i < 2; i++)
        child_finish(pids[i]);
}
END_TEST

/* There and back through two rings: at each moment one of the two has nothing to do but to sleep. */
struct player {
    const char *from, *to;
    uint32_t mode;
    bool serves;
    uint64_t rounds;
    struct board *board;
};

static void play(void *argument)
{
    const struct player *p = argument;
    struct ringd_reader *reader = open_reader_until(p->from, p->mode, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_writer *w = open_writer_until(p->to, RINGD_FOREVER);
    struct random_source random = {.state = support_seed() + p->serves};
    struct ringd_reader_counters c;
    struct tracker tracker = {0};

    atomic_fetch_add(&p->board->ready, 1);
    board_wait(p->board, 2);
    if (p->serves)
        ck_write(w);
    for (uint64_t i = 0; i < p->rounds; i++) {
        ck_record(reader, &tracker);
        /* About as long as the other looks before it sleeps. */
        for (uint64_t pauses = random_below(&random, 1000); pauses > 0; pauses--)
            relax();
        if (i + 1 < p->rounds || !p->serves)
            ck_write(w);
    }
    require(ringd_reader_count(reader, &c) == RINGD_OK && c.slept > 0, "slept %" PRIu64 " times", c.slept);
}

static void ck_game(uint32_t mode, uint64_t rounds)
{
    struct board *board = board_new();
    struct player players[2] = {
        {.from = "there", .to = "back", .mode = mode, .rounds = rounds, .board = board},
        {.from = "back", .to = "there", .mode = mode, .serves = true, .rounds = rounds, .board = board},
    };
    pid_t pids[2];

    for (int i = 0; i < 2; i++)
        make_ring(players[i].from, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    for (int i = 0; i < 2; i++)
        pids[i] = child_start(play, &players[i]);
    for (int i = 0; i < 2; i++)
        child_finish(pids[i]);
}

START_TEST(sleepers_are_woken_thousands_of_times)
{
    ck_game((uint32_t)_i, _i == RINGD_READ_OBSERVE ? 3000 : 10000);
}
END_TEST

START_TEST(deadlines_are_absolute)
{
    struct ringd_record records[4];
    struct ringd_reader *reader;
    size_t count;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = open_reader(RING, (uint32_t)_i, RINGD_START_NOW);
    for (int i = 0; i < 10; i++) {
        int64_t deadline = now_ns() + (1 + 2 * i) * NS_PER_MS;

        ck_assert_int_eq(ringd_reader_deadline(reader, deadline), RINGD_OK);
        if (i % 2 == 0)
            ck_assert_int_eq(ringd_next(reader, records), RINGD_WOULD_BLOCK);
        else
            ck_assert_int_eq(ringd_next_many(reader, records, 4, &count), RINGD_WOULD_BLOCK);
        ck_assert_int_ge(now_ns(), deadline);
        for (int j = 0; j < 100; j++) /* it has passed: nothing is waited for any more */
            ck_assert_int_eq(ringd_next(reader, records), RINGD_WOULD_BLOCK);
    }
}
END_TEST

/* ---- nothing happens --------------------------------------------------------------------------------------------- */

static void wait_for_room(void *argument)
{
    struct board *board = argument;
    struct ringd_writer *w = open_writer_until("full", RINGD_FOREVER);
    int result;

    atomic_fetch_add(&board->ready, 1);
    do
        result = write_record(w, PAYLOAD);
    while (result == RINGD_OK);
    require(result == -ESHUTDOWN, "result %d", result);
}

static uint64_t switches_of(pid_t pid)
{
    return process_number(pid, "status", "voluntary_ctxt_switches") +
           process_number(pid, "status", "nonvoluntary_ctxt_switches");
}

/* Readers of all modes, a writer that waits for room, and the daemon. */
START_TEST(no_processor_time_while_nothing_happens)
{
    struct board *board = board_new();
    struct counting counting[3];
    uint64_t before[5];
    pid_t pids[5];

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    make_ring("full", (struct ringd_ring_options){.size = 4096, .max_record = 64});
    open_reader("full", RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint32_t i = 0; i < 3; i++) {
        counting[i] = (struct counting){.board = board, .mode = i, .total = 1};
        pids[i] = child_start(count_records, &counting[i]);
    }
    pids[3] = child_start(wait_for_room, board);
    pids[4] = server.pid;
    board_wait(board, 4);
    pause_ms(200); /* until they have come to rest */
    for (int i = 0; i < 5; i++)
        child_wait_asleep(pids[i]);
    for (int i = 0; i < 5; i++)
        before[i] = switches_of(pids[i]);
    pause_ms(800);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(switches_of(pids[i]), before[i]);
    ck_write(open_writer(RING));
    ck_assert_int_eq(ringd_remove("full"), 0);
    for (int i = 0; i < 4; i++)
        child_finish(pids[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process");
    TCase *tests = add_case(suite, "process");

    tcase_add_test(tests, a_child_cannot_use_its_parents_handles);
    tcase_add_test(tests, a_dead_parent_is_noticed_while_its_child_lives);
    tcase_add_test(tests, a_dead_parents_slot_is_found_when_needed);
    tcase_add_test(tests, a_context_ends_with_exec_and_with_kill);
    tcase_add_test(tests, a_writer_stopped_between_records_holds_nobody_up);
    tcase_add_test(tests, a_signal_handler_writes_and_reads);
    tcase_add_loop_test(tests, contexts_go_on_without_a_daemon, 0, 2);
    tcase_add_test(tests, contexts_go_on_with_a_stopped_daemon);
    tcase_add_test(tests, a_stream_through_a_tiny_ring);
    tcase_add_loop_test(tests, sleepers_are_woken_thousands_of_times, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_loop_test(tests, deadlines_are_absolute, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    tcase_add_test(tests, no_processor_time_while_nothing_happens);
    return run_suite(suite);
}
