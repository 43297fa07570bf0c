/* check_stop_points.c - stop points: each can be reached, and what is brought to one stands exactly there.
 *
 * The table below has an operation for each point in the code of writers, readers and attaching, and for each of the
 * daemon's in what a ring and its contexts go through; a point that is in the built files and not in the table fails.
 * (Points with other first words have checks of their own, beside what they are in.) At each of them a process is
 * killed. What the steps look like from outside is checked on the words of a ring; and build/at-stop-point with
 * `ringctl` and `ringd`, as users run it.
 *
 * That points cost no instruction is checked in test_stop_points.sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto.h"
#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_points.h"
#include "wake.h"
#include "writer.h"

#define RING      "points"
#define NS_PER_MS INT64_C(1000000)

/* ---- operations that pass points --------------------------------------------------------------------------------- */

static const unsigned char payload[400];

static void make(uint32_t policy, uint32_t hold)
{
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .policy = policy, .hold = hold, .max_record = 1024});
}

static void write_records(void *unused);

/* To a ring that has one writer at a time. */
static void write_single(void *unused)
{
    ringd_remove(RING);
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1024, .writers = 1});
    write_records(unused);
}

static void write_records(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    for (int i = 0; i < 10; i++)
        require(ringd_write(w, payload, 40) == RINGD_OK, "write");
    require(ringd_write(w, payload, sizeof payload) == RINGD_OK, "write");
    ringd_writer_close(w);
}

static void write_pieces(void *unused)
{
    struct iovec pieces[2] = {{(void *)(uintptr_t)payload, 10}, {(void *)(uintptr_t)payload, 100}};
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    require(ringd_writev(w, pieces, 2) == RINGD_OK, "write");
    require(ringd_write_batch(w, pieces, 2) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* Longer than a record. */
static void write_long(void *unused)
{
    struct ringd_writer *w = open_writer(RING);
    static char message[3000];

    (void)unused;
    require(ringd_write_message(w, message, sizeof message) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* Less than was granted, and nothing at all. */
static void write_less(void *unused)
{
    struct ringd_writer *w = open_writer(RING);
    size_t granted;
    void *place;

    (void)unused;
    require(ringd_reserve(w, 100, 300, &place, &granted) == RINGD_OK, "reserve");
    require(ringd_commit(w, 20) == RINGD_OK, "commit");
    require(ringd_reserve(w, 100, 300, &place, &granted) == RINGD_OK, "reserve");
    require(ringd_abort(w) == RINGD_OK, "abort");
    ringd_writer_close(w);
}

/* Three laps: crosses marks and raises the limit. */
static void write_laps(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    for (int i = 0; i < 3 * 65536 / 64; i++)
        require(ringd_write(w, payload, 32) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* On a ring that holds what it has. */
static void write_full(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, 0);
    int result;

    (void)unused;
    do
        result = ringd_write(w, payload, 100);
    while (result == RINGD_OK);
    require(result == RINGD_FULL || result == RINGD_DROPPED, "result %d", result);
    ringd_writer_deadline(w, now_ns() + 20 * NS_PER_MS);
    ringd_write(w, payload, 100);
    ringd_writer_close(w);
}

static void write_behind_reader(void *unused)
{
    struct ringd_reader *r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);

    write_full(unused);
    ringd_reader_close(r);
}

/* The seal comes between the look and the addition. */
static void write_sealed(void *unused)
{
    struct ringd_writer *w = open_writer(RING);
    struct ring_grant grant;
    uint64_t position;

    (void)unused;
    require(ringd_write(w, payload, 32) == RINGD_OK, "write"); /* the first of all crosses a mark */
    require(ring_has_room(w->ring, 64, &position), "full");
    atomic_fetch_or(&w->ring.ring.lane->word, RINGD_W_SEALED);
    require(ring_take(w->ring, position, 64, &grant) == -ESHUTDOWN, "granted");
    ringd_writer_close(w);
}

static void write_awake(void *unused)
{
    struct ringd_writer *w = open_writer(RING);

    (void)unused;
    wake_announce(&w->ring.ring.waits->data);
    require(ringd_write(w, payload, 32) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* While a waker is between its two steps. */
static void announce_late(void *unused)
{
    struct ringd_writer *w = open_writer(RING);
    _Atomic uint32_t *word = &w->ring.ring.waits->data;

    (void)unused;
    wake_announce(word);
    atomic_fetch_or(word, WAKE_WAKING);
    wake_announce(word);
    ringd_writer_close(w);
}

static void read_as(uint32_t mode)
{
    struct ringd_reader *r = open_reader(RING, mode, RINGD_START_NOW);
    struct ringd_record record;
    int result;

    write_records(NULL);
    do {
        result = ringd_next(r, &record);
        require(result == RINGD_OK || result == RINGD_WOULD_BLOCK, "result %d", result);
        require(ringd_release(r) == RINGD_OK, "evicted");
    } while (result == RINGD_OK);
    ringd_reader_deadline(r, now_ns() + 5 * NS_PER_MS);
    ringd_next(r, &record);
    ringd_reader_close(r);
}

/* All of a message. */
static void read_long(void *unused)
{
    struct ringd_reader *r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct ringd_record record;

    write_long(unused);
    require(ringd_next(r, &record) == RINGD_OK && record.len == 3000, "next");
    ringd_reader_close(r);
}

static void read_lossless(void *unused)
{
    (void)unused;
    read_as(RINGD_READ_LOSSLESS);
}

static void read_lossy(void *unused)
{
    (void)unused;
    read_as(RINGD_READ_LOSSY);
}

static void read_named(void *unused)
{
    struct ringd_reader_options options = {.cursor = "named"};
    struct ringd_reader *r;
    struct ringd *ring;

    (void)unused;
    require(ringd_open(&ring, RING) == 0 && ringd_reader_open(&r, ring, &options) == 0, "%s", ringd_error());
    require(ringd_release(r) == RINGD_OK, "release");
    ringd_reader_close(r);
    ringd_close(ring);
}

static void read_gap(void *unused)
{
    struct ringd_reader *r = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    struct ringd_record record;

    (void)unused;
    write_laps(NULL);
    require(ringd_next(r, &record) == RINGD_GAP, "no gap");
    ringd_reader_close(r);
}

/* What it does not want, and before that what is missing of it. */
static void read_nothing(void *unused)
{
    static const uint32_t other = 30;
    const struct ringd_filter filter = {.writers = &other, .writer_count = 1};
    struct ringd_reader *r = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    struct ringd_record record;

    require(ringd_reader_filter(r, &filter) == RINGD_OK, "filter");
    write_laps(unused);
    require(ringd_next(r, &record) == RINGD_WOULD_BLOCK, "a record");
    ringd_reader_close(r);
}

/* ---- what a daemon goes through; it may be gone at any call ------------------------------------------------------ */

static bool come_and_write(void)
{
    struct ringd_writer *w = NULL;
    struct ringd *ring = NULL;
    bool done = ringd_open(&ring, RING) == 0 && ringd_writer_open(&w, ring, NULL) == 0;

    for (int i = 0; done && i < 1000; i++)
        ringd_write(w, payload, 100);
    ringd_writer_close(w);
    ringd_close(ring);
    return done;
}

static bool was_evicted(const struct ringd_reader *r)
{
    return atomic_load(&r->lanes[0].ring.control->readers[r->slot].state) == RINGD_OWNER_EVICTED;
}

/* A lossless reader whose cursor makes no sense, while writers want room; and one that just comes and goes. Both under
 * a name. */
static bool come_and_read(bool evicted)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST, .cursor = "named"};
    struct ringd_reader *r = NULL;
    struct ringd *ring = NULL;
    bool done = ringd_open(&ring, RING) == 0 && ringd_reader_open(&r, ring, &options) == 0;

    if (done && evicted) {
        atomic_store(&r->lanes[0].cursor->position, 4711);
        while (!was_evicted(r) && come_and_write())
            pause_ms(1);
    }
    ringd_reader_close(r);
    ringd_close(ring);
    return done;
}

static void use_daemon(void *unused)
{
    struct ringd_ring_options options = {.size = 65536};
    bool done;

    (void)unused;
    done = ringd_create(RING, &options) == 0 && come_and_write() && come_and_write() && come_and_read(true) &&
           come_and_read(false) && ringd_forget(RING, "named") == 0 && ringd_remove(RING) == 0;
    (void)done;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

struct row {
    const char *point;
    void (*run)(void *unused); /* use_daemon: it is the daemon that passes */
    uint32_t policy, hold;
};

static const struct row rows[] = {
    {"reserve-offered", write_records, RINGD_LOSSLESS, 0},
    {"reserve-length", write_records, RINGD_LOSSLESS, 0},
    {"reserve-begin", write_records, RINGD_LOSSLESS, 0},
    {"reserve-active", write_single, RINGD_LOSSLESS, 0},
    {"reserve-added", write_records, RINGD_LOSSLESS, 0},
    {"reserve-exact", write_records, RINGD_LOSSLESS, 0},
    {"reserve-voided", write_sealed, RINGD_LOSSLESS, 0},
    {"commit-payload", write_pieces, RINGD_LOSSLESS, 0},
    {"commit-header", write_records, RINGD_LOSSLESS, 0},
    {"commit-stamped", write_records, RINGD_LOSSLESS, 0},
    {"commit-counted", write_records, RINGD_LOSSLESS, 0},
    {"commit-sequence", write_records, RINGD_LOSSLESS, 0},
    {"commit-finished", write_records, RINGD_LOSSLESS, 0},
    {"batch-filled", write_pieces, RINGD_LOSSLESS, 0},
    {"batch-record", write_pieces, RINGD_LOSSLESS, 0},
    {"message-part", write_long, RINGD_LOSSLESS, 0},
    {"message-unskipped", read_long, RINGD_LOSSLESS, 0},
    {"message-delivered", read_long, RINGD_LOSSLESS, 0},
    {"pad-header", write_less, RINGD_LOSSLESS, 0},
    {"pad-stamped", write_less, RINGD_LOSSLESS, 0},
    {"abort-padded", write_less, RINGD_LOSSLESS, 0},
    {"abort-counted", write_less, RINGD_LOSSLESS, 0},
    {"mark-stored", write_laps, RINGD_LOSSLESS, 0},
    {"raise-computed", write_laps, RINGD_LOSSLESS, 0},
    {"raise-swapped", write_laps, RINGD_LOSSLESS, 0},
    {"refuse-counted", write_full, RINGD_LOSSLESS, 1},
    {"drop-counted", write_behind_reader, RINGD_DROP, 0},
    {"queue-need", write_full, RINGD_LOSSLESS, 1},
    {"queue-cleared", write_full, RINGD_LOSSLESS, 1},
    {"queue-entered", write_full, RINGD_LOSSLESS, 1},
    {"queue-drawn", write_full, RINGD_LOSSLESS, 1},
    {"queue-ticket", write_full, RINGD_LOSSLESS, 1},
    {"queue-left", write_full, RINGD_LOSSLESS, 1},
    {"wait-announced", write_full, RINGD_LOSSLESS, 1},
    {"wait-kept", announce_late, RINGD_LOSSLESS, 0},
    {"wait-counted", read_lossless, RINGD_LOSSLESS, 0},
    {"wake-counted", write_awake, RINGD_LOSSLESS, 0},
    {"wake-sent", write_awake, RINGD_LOSSLESS, 0},
    {"wake-cleared", write_awake, RINGD_LOSSLESS, 0},
    {"next-stamp", read_lossless, RINGD_LOSSLESS, 0},
    {"next-copied", read_lossy, RINGD_LOSSLESS, 0},
    {"next-delivered", read_lossless, RINGD_LOSSLESS, 0},
    {"next-counted", read_lossy, RINGD_LOSSLESS, 0},
    {"release-settling", read_lossless, RINGD_LOSSLESS, 0},
    {"release-stored", read_lossless, RINGD_LOSSLESS, 0},
    {"release-settled", read_lossless, RINGD_LOSSLESS, 0},
    {"publish-stored", read_lossless, RINGD_LOSSLESS, 0},
    {"named-expected", read_named, RINGD_LOSSLESS, 0},
    {"named-stored", read_named, RINGD_LOSSLESS, 0},
    {"gap-lost", read_gap, RINGD_OVERWRITE, 0},
    {"gap-counted", read_gap, RINGD_OVERWRITE, 0},
    {"skip-counted", read_nothing, RINGD_LOSSLESS, 0},
    {"skip-missing", read_nothing, RINGD_OVERWRITE, 0},
    {"attach-asked", write_records, RINGD_LOSSLESS, 0},
    {"attach-received", write_records, RINGD_LOSSLESS, 0},
    {"attach-life-mapped", read_lossless, RINGD_LOSSLESS, 0},
    {"attach-mapped", write_records, RINGD_LOSSLESS, 0},
    {"attach-closed", read_lossy, RINGD_LOSSLESS, 0},
    {"attach-cursor", read_lossless, RINGD_LOSSLESS, 0},
    {"detach-unmapped", write_records, RINGD_LOSSLESS, 0},
    {"detach-life-unmapped", read_lossless, RINGD_LOSSLESS, 0},
    {"detach-closed", write_records, RINGD_LOSSLESS, 0},
    {"create-named", use_daemon, 0, 0},
    {"create-reserved", use_daemon, 0, 0},
    {"create-filled", use_daemon, 0, 0},
    {"create-published", use_daemon, 0, 0},
    {"slot-life-made", use_daemon, 0, 0},
    {"slot-sums-written", use_daemon, 0, 0},
    {"slot-closing", use_daemon, 0, 0},
    {"slot-sums-stored", use_daemon, 0, 0},
    {"slot-counters-cleared", use_daemon, 0, 0},
    {"slot-closed", use_daemon, 0, 0},
    {"slot-waits-no-more", use_daemon, 0, 0},
    {"slot-life-unlinked", use_daemon, 0, 0},
    {"slot-name-written", use_daemon, 0, 0},
    {"slot-name-used", use_daemon, 0, 0},
    {"slot-name-given", use_daemon, 0, 0},
    {"slot-name-forgotten", use_daemon, 0, 0},
    {"owner-named", use_daemon, 0, 0},
    {"owner-published", use_daemon, 0, 0},
    {"owner-cleared", use_daemon, 0, 0},
    {"join-cursor", use_daemon, 0, 0},
    {"join-lossless", use_daemon, 0, 0},
    {"join-counted", use_daemon, 0, 0},
    {"join-published", use_daemon, 0, 0},
    {"leave-lossless", use_daemon, 0, 0},
    {"evict-told", use_daemon, 0, 0},
    {"answer-sent", use_daemon, 0, 0},
    {"remove-recorded", use_daemon, 0, 0},
    {"remove-unlinked", use_daemon, 0, 0},
    {"remove-closing", use_daemon, 0, 0},
    {"remove-told", use_daemon, 0, 0},
};

#define ROWS (int)(sizeof rows / sizeof *rows)

/* First words of points that the table answers for. */
static bool in_table(const char *point)
{
    for (int i = 0; i < ROWS; i++)
        if (strncmp(rows[i].point, point, strcspn(rows[i].point, "-") + 1) == 0)
            return true;
    return false;
}

static bool has_row(const char *point)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].point, point) == 0)
            return true;
    return false;
}

static void check_rows(const char *file)
{
    struct stop_points points;
    int result = stop_points_open(&points, support_built(file));

    require(result == 0 && points.count > 0, "%s: %d", file, result);
    for (size_t i = 0; i < points.count; i++) {
        const char *name = points.points[i].name;

        require(!in_table(name) || has_row(name), "nothing here passes %s", name);
    }
    stop_points_close(&points);
}

START_TEST(each_point_has_an_operation)
{
    check_rows("libringd.so");
    check_rows("ringd");
}
END_TEST

/* ---- each of them ------------------------------------------------------------------------------------------------ */

static const char *tool(void)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s", support_built("at-stop-point"));
    return path;
}

struct launch {
    const char *words[12];
    int err;
};

static void launch(void *argument)
{
    const struct launch *l = argument;

    if (l->err >= 0)
        dup2(l->err, STDERR_FILENO);
    execv(l->words[0], (char *const *)(uintptr_t)l->words);
    _exit(EXIT_FAILURE);
}

/* Without a request, which could pass a point. */
static void wait_listening(const char *socket_path)
{
    bool listens;

    do {
        int fd = proto_socket();

        require(fd >= 0, "%d", fd);
        listens = proto_connect(fd, socket_path) == 0;
        close(fd);
        pause_ms(1);
    } while (!listens);
}

/* The daemon, killed while somebody uses it, at a point of its own. */
static void kill_daemon_at(const char *point)
{
    struct daemon_process daemon;
    struct launch l = {.err = -1};
    int status;
    pid_t pid;

    daemon_start(&daemon, NULL);
    daemon_stop(&daemon);
    l = (struct launch){{tool(), point, "kill", "--", NULL, "--runtime-dir", daemon.folder, NULL}, -1};
    l.words[4] = support_built("ringd");
    pid = child_start(launch, &l);
    wait_listening(daemon.socket);
    use_daemon(NULL);
    status = child_wait(pid);
    require(WIFEXITED(status) && WEXITSTATUS(status) == STOP_EXIT_KILLED, "%s: status 0x%x", point, (unsigned)status);
}

START_TEST(a_process_is_killed_at_each_point)
{
    const struct row *row = &rows[_i];
    struct at_point at;
    int code;

    if (!at_point_allowed("a_process_is_killed_at_each_point"))
        return;
    if (row->run == use_daemon) {
        kill_daemon_at(row->point);
        return;
    }
    make(row->policy, row->hold);
    at = at_point_start(row->point, STOP_KILL, 1, row->run, NULL);
    code = at_point_finish(&at);
    require(code == STOP_EXIT_KILLED, "%s: code %d", row->point, code);
}
END_TEST

/* ---- what the steps of a write look like from outside ------------------------------------------------------------ */

struct sight {
    bool active, exact, stamped;
    uint64_t position, offered, committed;
};

/* Of writer slot 0, seen through another writer's mapping. */
static struct sight look(struct ringd_writer *witness)
{
    const struct ring *ring = &witness->ring.ring;
    const struct ringd_writer_slot *slot = &ring->lane->writers[0];
    uint64_t word = atomic_load(&ring->lane->word), begin = atomic_load(&slot->begin);
    struct sight sight = {
        .active = word & 1,
        .exact = begin & RINGD_BEGIN_EXACT,
        .offered = atomic_load(&slot->offered),
        .committed = atomic_load(&slot->sequence),
    };

    require(ring_position(ring, &sight.position) == 0, "no position");
    sight.stamped = ring_record_at(ring, begin & RINGD_POSITION_MASK);
    return sight;
}

/* What holds at each, of a first record of 40 bytes: 96 bytes with its header. */
static const struct step {
    const char *point;
    uint64_t offered, taken;
    bool active, exact, stamped;
    uint64_t committed;
} steps[] = {
    {"reserve-offered", 1, 0, false, false, false, 0}, {"reserve-length", 1, 0, false, false, false, 0},
    {"reserve-begin", 1, 0, false, false, false, 0},   {"reserve-added", 1, 96, true, false, false, 0},
    {"reserve-exact", 1, 96, true, true, false, 0},    {"commit-payload", 1, 96, true, true, false, 0},
    {"commit-header", 1, 96, true, true, false, 0},    {"commit-stamped", 1, 96, true, true, true, 0},
    {"commit-counted", 1, 96, true, true, true, 0},    {"commit-sequence", 1, 96, true, true, true, 1},
    {"commit-finished", 1, 96, false, true, true, 1},
};

static void write_first(void *argument)
{
    struct ringd_writer *w = open_writer(RING);

    require(writer_slot(w) == 0, "slot %u", writer_slot(w));
    require(ringd_write(w, payload, *(const size_t *)argument) == RINGD_OK, "write");
    ringd_writer_close(w);
}

/* Slot 0 is free, and the witness has another. */
static struct ringd_writer *open_witness(void)
{
    struct ringd_writer *first = open_writer(RING), *witness = open_writer(RING);

    ringd_writer_close(first);
    wait_for_contexts(RING, 1);
    return witness;
}

START_TEST(a_writer_stands_right_after_the_step)
{
    const struct step *step = &steps[_i / 2];
    enum stop_action action = _i % 2 == 0 ? STOP_STOP : STOP_HOLD;
    struct ringd_writer *witness;
    struct at_point at;
    struct sight before, now;
    size_t len = 40;

    if (!at_point_allowed("a_writer_stands_right_after_the_step"))
        return;
    make(RINGD_LOSSLESS, 0);
    witness = open_witness();
    before = look(witness);
    at = at_point_start(step->point, action, 1, write_first, &len);
    require(at_point_pid(&at) != 0, "it was not passed");
    now = look(witness);
    ck_assert_uint_eq(now.offered, step->offered);
    ck_assert_uint_eq(now.position - before.position, step->taken);
    ck_assert_uint_eq(now.active, step->active);
    ck_assert_uint_eq(now.exact, step->exact);
    ck_assert_uint_eq(now.stamped && now.active + step->committed > 0, step->stamped);
    ck_assert_uint_eq(now.committed, step->committed);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    now = look(witness);
    ck_assert_uint_eq(now.committed, 1);
    ck_assert(!now.active);
    ringd_writer_close(witness);
}
END_TEST

/* ---- the n-th passing -------------------------------------------------------------------------------------------- */

START_TEST(the_nth_passing_counts)
{
    struct ringd_writer *witness;
    struct at_point at;

    if (!at_point_allowed("the_nth_passing_counts"))
        return;
    make(RINGD_LOSSLESS, 0);
    witness = open_witness();
    at = at_point_start("reserve-added", STOP_STOP, 7, write_records, NULL);
    ck_assert_uint_eq(look(witness).committed, 6);
    at_point_kill(&at);
    ck_assert_int_eq(at_point_finish(&at), 128 + SIGKILL);
    at = at_point_start("reserve-added", STOP_STOP, 12, write_records, NULL);
    ck_assert_int_eq(at_point_pid(&at), 0);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_NOT_PASSED);
    ringd_writer_close(witness);
}
END_TEST

#define THREADS 3
#define EACH    40

static void *write_in_thread(void *together)
{
    struct ringd_writer *w = open_writer(RING);

    pthread_barrier_wait(together);
    for (int i = 0; i < EACH; i++)
        require(write_record(w, 40) == RINGD_OK, "write");
    ringd_writer_close(w);
    return NULL;
}

static void write_in_threads(void *unused)
{
    pthread_barrier_t together;
    pthread_t threads[THREADS];

    (void)unused;
    pthread_barrier_init(&together, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, write_in_thread, &together) == 0, "no thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* No thread gets past a breakpoint uncounted while another is being taken over it: all of them are counted. */
START_TEST(every_passing_of_threads_counts)
{
    struct at_point at;

    if (!at_point_allowed("every_passing_of_threads_counts"))
        return;
    make(RINGD_LOSSLESS, 0);
    at = at_point_start("reserve-added", STOP_HOLD, THREADS * EACH, write_in_threads, NULL);
    ck_assert_int_ne(at_point_pid(&at), 0);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    ck_assert_uint_eq(ring_info(RING).committed, THREADS * EACH);
    at = at_point_start("reserve-added", STOP_HOLD, THREADS * EACH + 1, write_in_threads, NULL);
    ck_assert_int_eq(at_point_finish(&at), STOP_EXIT_NOT_PASSED);
}
END_TEST

/* Who has run into a breakpoint when all are taken out executes what stood there, whole. */
START_TEST(threads_that_are_let_go_go_on)
{
    struct tracker tracker = {0};
    struct ringd_reader *reader;

    if (!at_point_allowed("threads_that_are_let_go_go_on"))
        return;
    make(RINGD_LOSSLESS, 0);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint64_t i = 1; i <= 10; i++) {
        struct at_point at = at_point_start("reserve-begin", STOP_HOLD, i * 10, write_in_threads, NULL);

        ck_assert_int_ne(at_point_pid(&at), 0);
        at_point_go_on(&at);
        ck_assert_int_eq(at_point_finish(&at), 0);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(tracker_delivered(&tracker), i * THREADS * EACH);
    }
    ringd_reader_close(reader);
}
END_TEST

static void write_in_children(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        child_finish(child_start(write_records, NULL));
}

START_TEST(children_are_followed)
{
    struct at_point at;

    if (!at_point_allowed("children_are_followed"))
        return;
    make(RINGD_LOSSLESS, 0);
    at = at_point_start("detach-closed", STOP_STOP, 3, write_in_children, NULL);
    ck_assert_int_ne(at_point_pid(&at), 0);
    ck_assert_uint_eq(ring_info(RING).committed, 33);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
}
END_TEST

/* ---- the tool ---------------------------------------------------------------------------------------------------- */

static char state_of(pid_t pid)
{
    char path[64], text[256] = "";
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 'X';
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    return strrchr(text, ')') != NULL ? strrchr(text, ')')[2] : 'X';
}

static void run_tool(struct command *command, const char *point, const char *action, const char *nth,
                     const char *script)
{
    const char *words[] = {tool(), point, action, "--nth", nth, "--", "/bin/sh", "-c", script, NULL};

    command_run(command, "", 0, words);
}

/* `seq` as lines through the shipped ringctl: it writes them in batches of what there is, so one by one here. */
static const char *write_lines(void)
{
    static char script[4200];

    snprintf(script, sizeof script, "for i in 1 2 3; do echo line $i | %s write " RING " || exit; done",
             support_built("ringctl"));
    return script;
}

START_TEST(the_tool_kills)
{
    struct command command;

    if (!at_point_allowed("the_tool_kills"))
        return;
    make(RINGD_LOSSLESS, 0);
    run_tool(&command, "reserve-exact", "kill", "2", write_lines());
    ck_assert_msg(command.code == STOP_EXIT_KILLED, "%d: %s", command.code, command.err);
    command_free(&command);
    wait_for_contexts(RING, 0); /* the daemon repairs and counts */
    ck_assert_uint_eq(ring_info(RING).committed, 1);
    ck_assert_uint_eq(ring_info(RING).lost, 1);
}
END_TEST

START_TEST(the_tool_says_what_was_not_passed)
{
    struct command command;

    if (!at_point_allowed("the_tool_says_what_was_not_passed"))
        return;
    make(RINGD_LOSSLESS, 0);
    run_tool(&command, "commit-stamped", "kill", "4", write_lines());
    ck_assert_int_eq(command.code, STOP_EXIT_NOT_PASSED);
    ck_assert_msg(strstr(command.err, "passed 3 times of 4") != NULL, "%s", command.err);
    command_free(&command);
    run_tool(&command, "commit-stamped", "kill", "1", "exit 5");
    ck_assert_int_eq(command.code, STOP_EXIT_NOT_PASSED);
    ck_assert_msg(strstr(command.err, "code 5") != NULL, "%s", command.err);
    command_free(&command);
    run_tool(&command, "no-such-point", "kill", "1", "exit 5");
    ck_assert_int_eq(command.code, 2);
    ck_assert_msg(strstr(command.err, "make stop-points") != NULL, "%s", command.err);
    command_free(&command);
    run_tool(&command, "commit-stamped", "kill", "0", "exit 5");
    ck_assert_int_eq(command.code, 2);
    command_free(&command);
}
END_TEST

START_TEST(the_tool_runs_what_is_there)
{
    const char *words[] = {tool(), "reserve-added", "kill", "--", "/nonexistent", NULL};
    struct command command;

    if (!at_point_allowed("the_tool_runs_what_is_there"))
        return;
    command_run(&command, "", 0, words);
    ck_assert_int_eq(command.code, STOP_EXIT_NOT_RUN);
    command_free(&command);
}
END_TEST

/* The number behind `word` in what the tool says, as soon as it is there. */
static pid_t wait_said(int fd, const char *word)
{
    long number = 0;

    while (number == 0) {
        size_t len;
        char *text = memory_file_read(fd, &len), *at = strchr(text, '\n') != NULL ? strstr(text, word) : NULL;

        number = at != NULL ? strtol(at + strlen(word), NULL, 10) : 0;
        free(text);
        pause_ms(1);
    }
    return (pid_t)number;
}

static pid_t start_tool(struct launch *l, const char *point, const char *action)
{
    *l = (struct launch){{tool(), point, action, "--", "/bin/sh", "-c", write_lines(), NULL}, memory_file("", 0)};
    return child_start(launch, l);
}

START_TEST(the_tool_stops)
{
    struct launch l;
    pid_t pid, stopped;
    int status;

    if (!at_point_allowed("the_tool_stops"))
        return;
    make(RINGD_LOSSLESS, 0);
    pid = start_tool(&l, "reserve-added", "stop");
    stopped = wait_said(l.err, "pid ");
    ck_assert_int_eq(state_of(stopped), 'T');
    ck_assert_uint_eq(process_number(stopped, "status", "TracerPid"), 0);
    ck_assert_uint_eq(ring_info(RING).committed, 0);
    kill(stopped, SIGCONT);
    status = child_wait(pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(ring_info(RING).committed, 3);
}
END_TEST

START_TEST(the_tool_holds)
{
    struct launch l;
    pid_t pid, held;

    if (!at_point_allowed("the_tool_holds"))
        return;
    make(RINGD_LOSSLESS, 0);
    pid = start_tool(&l, "reserve-added", "hold");
    held = wait_said(l.err, "pid ");
    ck_assert_int_eq(wait_said(l.err, "SIGUSR1 to "), pid);
    ck_assert_int_eq(state_of(held), 't');
    kill(held, SIGCONT);
    ck_assert_uint_eq(ring_info(RING).committed, 0);
    kill(pid, SIGUSR1);
    ck_assert_int_eq(child_wait(pid), 0);
    ck_assert_uint_eq(ring_info(RING).committed, 3);
}
END_TEST

/* Whether it stands or not, and however the tool ends. */
START_TEST(nothing_outlives_the_tool)
{
    static const char *const actions[] = {"stop", "hold"};
    struct launch l;
    pid_t pid;

    if (!at_point_allowed("nothing_outlives_the_tool"))
        return;
    make(RINGD_LOSSLESS, 0);
    for (int i = 0; i < 4; i++) {
        struct launch direct = {{tool(), "reserve-added", actions[i % 2], "--", NULL, "write", RING, NULL}, 0};
        int lines = memory_file("line\n", 5), status;

        l = direct;
        l.words[4] = support_built("ringctl");
        l.err = memory_file("", 0);
        dup2(lines, STDIN_FILENO);
        pid = child_start(launch, &l);
        wait_said(l.err, "pid ");
        kill(pid, i < 2 ? SIGKILL : SIGTERM);
        status = child_wait(pid);
        ck_assert_int_eq(WIFSIGNALED(status) ? WTERMSIG(status) : 0, i < 2 ? SIGKILL : 0);
        while (state_of(wait_said(l.err, "pid ")) != 'X' && state_of(wait_said(l.err, "pid ")) != 'Z')
            pause_ms(1);
        close(l.err);
    }
}
END_TEST

/* A daemon that is held in a join gives its answer when it is told. */
START_TEST(the_tool_holds_a_daemon)
{
    struct daemon_process daemon;
    struct launch l;
    pid_t pid, held, client;

    if (!at_point_allowed("the_tool_holds_a_daemon"))
        return;
    daemon_start(&daemon, NULL);
    daemon_stop(&daemon);
    l = (struct launch){{tool(), "join-counted", "hold", "--", NULL, "--runtime-dir", daemon.folder, NULL}, 0};
    l.words[4] = support_built("ringd");
    l.err = memory_file("", 0);
    pid = child_start(launch, &l);
    wait_listening(daemon.socket);
    client = child_start(use_daemon, NULL);
    held = wait_said(l.err, "join-counted: pid ");
    ck_assert_int_eq(state_of(held), 't');
    kill(pid, SIGUSR1);
    child_finish(client);
    kill(pid, SIGTERM);
    ck_assert_int_eq(child_wait(pid), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("stop_points");
    TCase *points = add_case(suite, "points"), *tools = add_case(suite, "tool");

    tcase_add_test(points, each_point_has_an_operation);
    tcase_add_loop_test(points, a_process_is_killed_at_each_point, 0, ROWS);
    tcase_add_loop_test(points, a_writer_stands_right_after_the_step, 0, 2 * (int)(sizeof steps / sizeof *steps));
    tcase_add_test(points, the_nth_passing_counts);
    tcase_add_test(points, every_passing_of_threads_counts);
    tcase_add_test(points, threads_that_are_let_go_go_on);
    tcase_add_test(points, children_are_followed);
    tcase_add_test(tools, the_tool_kills);
    tcase_add_test(tools, the_tool_says_what_was_not_passed);
    tcase_add_test(tools, the_tool_runs_what_is_there);
    tcase_add_test(tools, the_tool_stops);
    tcase_add_test(tools, the_tool_holds);
    tcase_add_test(tools, nothing_outlives_the_tool);
    tcase_add_test(tools, the_tool_holds_a_daemon);
    return suite;
}

/* A sanitizer's look for leaks needs ptrace itself. */
int main(void)
{
    const char *before = getenv("ASAN_OPTIONS");
    char options[1024];

    snprintf(options, sizeof options, "%s%sdetect_leaks=0", before != NULL ? before : "", before != NULL ? ":" : "");
    setenv("ASAN_OPTIONS", options, 1);
    return run_suite(make_suite());
}
