/* check_merge.c - one order out of several lanes: real writers in several processes and lanes, readers of every mode
 * that merge by time.
 *
 * What is promised: every reader gives the same order; along a lane it is the lane's; and a record whose write had
 * returned before the write of another began comes before it. The last is checked with a counter that all writers
 * share: each write takes a ticket before it begins and one after it has returned.
 *
 * Writers are held between the addition and the time, and between the time and the stamp, where a merge by the records'
 * own times, or one that believes too early that it has seen everything, goes wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_victim.h"
#include "writer.h"

#define RING        "merge"

#define WRITERS_MAX 12u
#define WRITES_MAX  4096u
#define READERS_MAX 5u
#define BATCH_MAX   100u

/* ---- records ------------------------------------------------------------------------------------------------------
 */

/* Whose, which of its writes, and which record of that. */
struct mark {
    uint32_t writer, write, part, parts;
};

struct board {
    _Atomic uint64_t tickets;
    _Atomic uint32_t ready; /* contexts that are attached */
    _Atomic uint32_t go;
    _Atomic uint32_t written; /* writes that have returned */
    uint64_t before[WRITERS_MAX][WRITES_MAX];
    uint64_t after[WRITERS_MAX][WRITES_MAX];
    uint32_t writes[WRITERS_MAX]; /* that were done */
    struct mark order[READERS_MAX][WRITERS_MAX * WRITES_MAX];
    uint32_t slot[READERS_MAX][WRITERS_MAX * WRITES_MAX];
    uint32_t count[READERS_MAX];
    uint64_t unordered[READERS_MAX];
};

/* Lanes count from 1. */
static struct ringd_writer *open_in_lane(uint32_t lane)
{
    struct ringd_writer_options options = {.deadline = RINGD_FOREVER, .lane = lane};

    return open_writer_with(RING, options);
}

static struct ringd_reader *open_merging(struct ringd_reader_options options)
{
    return open_reader_with(RING, options);
}

static struct ringd_reader *open_by_time(uint32_t mode, int64_t deadline)
{
    return open_merging((struct ringd_reader_options){
        .mode = mode, .start = RINGD_START_OLDEST, .deadline = deadline, .merge = RINGD_MERGE_TIME});
}

static void make_lanes(uint32_t lanes, uint64_t size, uint32_t time)
{
    make_ring(RING, (struct ringd_ring_options){
                        .size = size, .lanes = lanes, .time = time, .max_record = (uint32_t)(size / 64)});
}

/* ---- what every test of an order requires --------------------------------------------------------------------------
 */

/* From the last to the first: nothing that is given later had returned before this one began. */
static void require_real_order(const struct board *b, uint32_t reader)
{
    uint64_t earliest = UINT64_MAX;

    for (uint32_t i = b->count[reader]; i-- > 0;) {
        const struct mark *mark = &b->order[reader][i];
        uint64_t before = b->before[mark->writer][mark->write], after = b->after[mark->writer][mark->write];

        require(earliest >= before,
                "reader %u: what returned at %llu is given after write %u of writer %u, which began at %llu", reader,
                (unsigned long long)earliest, mark->write, mark->writer, (unsigned long long)before);
        earliest = after < earliest ? after : earliest;
    }
}

/* All that each writer wrote, once, in its order, batches in their order. */
static void require_whole(const struct board *b, uint32_t reader, uint32_t writers)
{
    uint32_t next[WRITERS_MAX] = {0}, part[WRITERS_MAX] = {0};

    for (uint32_t i = 0; i < b->count[reader]; i++) {
        const struct mark *mark = &b->order[reader][i];
        uint32_t w = mark->writer;

        require(w < writers && mark->write == next[w] && mark->part == part[w],
                "reader %u: record %u is part %u of write %u of writer %u", reader, i, mark->part, mark->write, w);
        part[w] = mark->part + 1 < mark->parts ? mark->part + 1 : 0;
        next[w] += part[w] == 0;
    }
    for (uint32_t w = 0; w < writers; w++)
        require(next[w] == b->writes[w], "reader %u has %u writes of writer %u", reader, next[w], w);
}

static void require_same(const struct board *b, uint32_t one, uint32_t other)
{
    require(b->count[one] == b->count[other], "%u and %u records", b->count[one], b->count[other]);
    for (uint32_t i = 0; i < b->count[one]; i++) {
        require(memcmp(&b->order[one][i], &b->order[other][i], sizeof(struct mark)) == 0,
                "readers %u and %u: record %u is of writer %u for one and of writer %u for the other", one, other, i,
                b->order[one][i].writer, b->order[other][i].writer);
    }
}

static void require_good(const struct board *b, uint32_t readers, uint32_t writers)
{
    for (uint32_t i = 0; i < readers; i++) {
        require_whole(b, i, writers);
        require_real_order(b, i);
        require(b->unordered[i] == 0, "reader %u: %llu out of order", i, (unsigned long long)b->unordered[i]);
        require_same(b, 0, i);
    }
}

/* ---- a crew: writers and readers in processes of their own ----------------------------------------------------------
 */

struct context {
    struct board *board;
    uint32_t number;
    uint32_t lane;
    uint32_t writes; /* of a writer */
    bool long_batches;
    uint32_t records; /* that a reader wants; 0: until the end */
    uint64_t seed;
    struct ringd_reader_options options;
    bool many; /* reads with ringd_next_many */
};

static void write_parts(struct ringd_writer *w, struct mark mark, uint32_t parts, size_t len)
{
    static unsigned char payloads[BATCH_MAX][512];
    struct iovec records[BATCH_MAX];
    int result;

    mark.parts = parts;
    for (mark.part = 0; mark.part < parts; mark.part++) {
        memcpy(payloads[mark.part], &mark, sizeof mark);
        records[mark.part] = (struct iovec){.iov_base = payloads[mark.part], .iov_len = len};
    }
    result = parts == 1 ? ringd_write(w, payloads[0], len) : ringd_write_batch(w, records, (int)parts);
    require(result == RINGD_OK, "%d", result);
}

/* With a rest in the middle: others come between the addition and the stamp. */
static void write_slowly(struct ringd_writer *w, struct mark mark, bool aborts)
{
    void *data;
    size_t granted;
    int result;

    if (aborts) {
        result = ringd_reserve(w, 200, 200, &data, &granted);
        require(result == RINGD_OK && ringd_abort(w) == RINGD_OK, "%d", result);
    }
    result = ringd_reserve(w, sizeof mark, 300, &data, &granted);
    require(result == RINGD_OK, "%d", result);
    sched_yield();
    mark.parts = 1;
    memcpy(data, &mark, sizeof mark);
    result = ringd_commit(w, sizeof mark);
    require(result == RINGD_OK, "%d", result);
}

/* What write_one does: a record in a reservation, after one that is given up or without; a batch of so many; */
static const uint32_t TWO = 2, THREE = 3, ONE = 4;
/* a batch that is longer than a merge's look ahead. */
static const uint32_t BATCH = 99;

static void write_one(struct board *b, struct ringd_writer *w, uint32_t writer, uint32_t kind, size_t len)
{
    struct mark mark = {.writer = writer, .write = b->writes[writer]};

    b->before[writer][mark.write] = atomic_fetch_add(&b->tickets, 1);
    if (kind < TWO)
        write_slowly(w, mark, kind == 0);
    else
        write_parts(w, mark, kind <= THREE ? kind : kind == BATCH ? BATCH_MAX : 1, len);
    b->after[writer][mark.write] = atomic_fetch_add(&b->tickets, 1);
    b->writes[writer]++;
    atomic_fetch_add(&b->written, 1);
}

static void wait_to_go(struct board *b)
{
    atomic_fetch_add(&b->ready, 1);
    while (atomic_load(&b->go) == 0)
        sched_yield();
}

static void run_writer(void *argument)
{
    struct context *c = argument;
    struct ringd_writer *w = open_in_lane(c->lane);
    struct random_source random = {.state = c->seed};

    wait_to_go(c->board);
    for (uint32_t i = 0; i < c->writes; i++) {
        bool long_batch = c->long_batches && random_below(&random, 100) == 0;

        write_one(c->board, w, c->number, long_batch ? BATCH : (uint32_t)random_below(&random, 12),
                  16 + random_below(&random, 60));
        if (random_below(&random, 50) == 0)
            sched_yield();
    }
    ringd_writer_close(w);
}

static void note(struct board *b, uint32_t reader, const struct ringd_record *record)
{
    uint32_t i = b->count[reader]++;

    require(i < WRITERS_MAX * WRITES_MAX && record->len >= sizeof(struct mark), "record %u, length %zu", i,
            record->len);
    memcpy(&b->order[reader][i], record->data, sizeof(struct mark));
    b->slot[reader][i] = record->writer;
}

static uint64_t unordered_of(const struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;

    require(ringd_reader_count(reader, &counters) == RINGD_OK, "no counters");
    require(counters.lost == 0, "%llu lost", (unsigned long long)counters.lost);
    return counters.unordered;
}

/* Until there is nothing at once, the end, or so many. */
static int read_all(struct board *b, uint32_t number, struct ringd_reader *reader, uint32_t wanted, bool many)
{
    static struct ringd_record records[64];
    int result = RINGD_OK;

    while (result == RINGD_OK && (wanted == 0 || b->count[number] < wanted)) {
        size_t count = 1;

        result = many ? ringd_next_many(reader, records, 64, &count) : ringd_next(reader, records);
        require(result == RINGD_OK || result == RINGD_END || result == RINGD_WOULD_BLOCK, "%d", result);
        for (size_t i = 0; result == RINGD_OK && i < count; i++)
            note(b, number, &records[i]);
        require(ringd_release(reader) == RINGD_OK, "evicted");
    }
    b->unordered[number] = unordered_of(reader);
    return result;
}

static void run_reader(void *argument)
{
    struct context *c = argument;
    struct ringd_reader *reader = open_merging(c->options);

    wait_to_go(c->board);
    read_all(c->board, c->number, reader, c->records, c->many);
    ringd_reader_close(reader);
}

/* Starts one and waits until it is attached. */
static pid_t start_context(void (*run)(void *argument), struct context *c)
{
    uint32_t before = atomic_load(&c->board->ready);
    pid_t pid = child_start(run, c);

    while (atomic_load(&c->board->ready) == before)
        sched_yield();
    return pid;
}

struct crew {
    struct board *board;
    pid_t writers[WRITERS_MAX], readers[READERS_MAX];
    uint32_t writer_count, reader_count;
};

static void start_writers(struct crew *crew, uint32_t count, uint32_t lanes, uint32_t writes, bool long_batches)
{
    uint64_t seed = support_seed();

    crew->board = shared_new(sizeof *crew->board);
    crew->writer_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct context c = {.board = crew->board,
                            .number = i,
                            .lane = i % lanes + 1,
                            .writes = writes,
                            .long_batches = long_batches,
                            .seed = seed + i};

        crew->writers[i] = start_context(run_writer, &c);
    }
}

static void start_reader(struct crew *crew, uint32_t mode, uint32_t wait)
{
    struct context c = {
        .board = crew->board,
        .number = crew->reader_count,
        .options = {.mode = mode,
                    .start = RINGD_START_OLDEST,
                    .deadline = RINGD_FOREVER,
                    .wait = wait,
                    .merge = RINGD_MERGE_TIME},
        .many = crew->reader_count % 2 == 1,
    };

    crew->readers[crew->reader_count++] = start_context(run_reader, &c);
}

static void let_go(struct crew *crew)
{
    atomic_store(&crew->board->go, 1);
}

static void wait_written(struct crew *crew, uint32_t writes)
{
    while (atomic_load(&crew->board->written) < writes)
        pause_ms(1);
}

/* The ring is removed when all is written: readers then come to its end. */
static void finish(struct crew *crew)
{
    for (uint32_t i = 0; i < crew->writer_count; i++)
        child_finish(crew->writers[i]);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    for (uint32_t i = 0; i < crew->reader_count; i++)
        child_finish(crew->readers[i]);
    require_good(crew->board, crew->reader_count, crew->writer_count);
}

/* Everything fits; so a lossy reader and an observer lose nothing, and who joins later finds all. */
static void merge_what_fits(uint32_t lanes, uint32_t writers, uint32_t time)
{
    struct crew crew = {0};

    make_lanes(lanes, UINT64_C(1) << 22, time);
    start_writers(&crew, writers, lanes, 1500, true);
    start_reader(&crew, RINGD_READ_LOSSLESS, RINGD_WAIT_ADAPTIVE);
    start_reader(&crew, RINGD_READ_LOSSY, RINGD_WAIT_SLEEP);
    let_go(&crew);
    wait_written(&crew, writers * 500);
    start_reader(&crew, RINGD_READ_OBSERVE, RINGD_WAIT_BUSY);
    wait_written(&crew, writers * 1000);
    start_reader(&crew, RINGD_READ_LOSSY, RINGD_WAIT_ADAPTIVE);
    finish(&crew);
}

static const struct {
    uint32_t lanes, writers, time;
} shapes[] = {
    {2, 4, RINGD_TIME_TSC},  {3, 7, RINGD_TIME_MONOTONIC}, {2, 2, RINGD_TIME_MONOTONIC},
    {8, 12, RINGD_TIME_TSC}, {64, 5, RINGD_TIME_TSC},
};

START_TEST(every_reader_gives_the_same_order)
{
    merge_what_fits(shapes[_i].lanes, shapes[_i].writers, shapes[_i].time);
}
END_TEST

/* A small ring: its readers hold writers up, and each lane goes round many times. */
START_TEST(the_order_is_the_same_on_a_full_ring)
{
    struct crew crew = {0};

    make_lanes(3, 32768, _i == 0 ? RINGD_TIME_TSC : RINGD_TIME_MONOTONIC);
    start_writers(&crew, 6, 3, 2000, false);
    start_reader(&crew, RINGD_READ_LOSSLESS, RINGD_WAIT_ADAPTIVE);
    start_reader(&crew, RINGD_READ_LOSSLESS, RINGD_WAIT_SLEEP);
    let_go(&crew);
    finish(&crew);
}
END_TEST

START_TEST(the_order_is_the_same_while_the_ring_moves)
{
    struct crew crew = {0};

    make_lanes(2, 65536, RINGD_TIME_TSC);
    start_writers(&crew, 4, 2, 3000, false);
    start_reader(&crew, RINGD_READ_LOSSLESS, RINGD_WAIT_ADAPTIVE);
    start_reader(&crew, RINGD_READ_LOSSLESS, RINGD_WAIT_SLEEP);
    let_go(&crew);
    for (uint32_t i = 1; i < 6; i++) {
        wait_written(&crew, i * 2000);
        require(ringd_resize(RING, i % 2 == 1 ? 131072 : 65536) == 0, "%s", ringd_error());
    }
    finish(&crew);
}
END_TEST

/* ---- writers that are held ------------------------------------------------------------------------------------------
 */

/* One write, by a process that is held on its way. */
struct held {
    struct board *board;
    uint32_t number, lane, kind;
};

static void write_held(void *argument)
{
    const struct held *held = argument;
    struct ringd_writer *w = open_in_lane(held->lane);

    write_one(held->board, w, held->number, held->kind, 64);
    ringd_writer_close(w);
}

struct scene {
    struct board *board;
    struct ringd_writer *w[3]; /* of lane i + 1; numbers 0 to 2 */
    struct ringd_reader *readers[2];
};

static void open_scene(struct scene *s, uint32_t lanes, uint32_t time)
{
    make_lanes(lanes, 65536, time);
    s->board = shared_new(sizeof *s->board);
    for (uint32_t i = 0; i < 3 && i < lanes; i++)
        s->w[i] = open_in_lane(i + 1);
    s->readers[0] = open_by_time(RINGD_READ_LOSSLESS, RINGD_NO_WAIT);
}

static void scene_write(struct scene *s, uint32_t writer)
{
    write_one(s->board, s->w[writer], writer, ONE, 64);
}

static uint32_t scene_read(struct scene *s, uint32_t reader)
{
    uint32_t before = s->board->count[reader];

    read_all(s->board, reader, s->readers[reader], 0, false);
    return s->board->count[reader] - before;
}

/* A second reader, which has seen nothing on the way, gives the same. */
static void scene_check(struct scene *s, uint32_t writers)
{
    s->readers[1] = open_by_time(RINGD_READ_LOSSY, RINGD_NO_WAIT);
    scene_read(s, 0);
    scene_read(s, 1);
    require_good(s->board, 2, writers);
}

static void require_order(const struct board *b, const char *writers)
{
    char given[64] = "";

    for (uint32_t i = 0; i < b->count[0] && i < sizeof given - 1; i++)
        given[i] = (char)('0' + b->order[0][i].writer);
    require(strcmp(given, writers) == 0, "the order is %s and not %s", given, writers);
}

static const char *const points[] = {"reserve-added", "reserve-exact", "commit-payload"};

/* Writer 3 has its place in lane 1 before writer 0 has, and its time, if it has none yet, after writer 1 in lane 2 and
 * writer 0 are done. */
START_TEST(one_that_is_held_comes_where_its_place_is)
{
    struct scene s = {0};
    struct held held = {.number = 3, .lane = 1, .kind = ONE};
    struct at_point at;

    if (!at_point_allowed("one_that_is_held_comes_where_its_place_is"))
        return;
    open_scene(&s, 2, RINGD_TIME_TSC);
    held.board = s.board;
    scene_write(&s, 1);
    ck_assert_uint_eq(scene_read(&s, 0), 1);
    at = at_point_start(points[_i], STOP_HOLD, 1, write_held, &held);
    ck_assert_int_ne(at_point_pid(&at), 0);
    scene_write(&s, 0);
    scene_write(&s, 1);
    ck_assert_uint_eq(scene_read(&s, 0), 0); /* the held one may still come first */
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    scene_check(&s, 4);
    require_order(s.board, "1301");
}
END_TEST

/* A batch has one addition: its second record says nothing of what stands behind it. */
START_TEST(a_batch_does_not_bound_what_follows_it)
{
    struct scene s = {0};
    struct held batch = {.number = 3, .lane = 1, .kind = TWO}, late = {.number = 4, .lane = 1, .kind = ONE};
    struct at_point first, second;

    if (!at_point_allowed("a_batch_does_not_bound_what_follows_it"))
        return;
    open_scene(&s, 2, RINGD_TIME_TSC);
    batch.board = late.board = s.board;
    first = at_point_start("reserve-added", STOP_HOLD, 1, write_held, &batch);
    second = at_point_start("commit-payload", STOP_HOLD, 1, write_held, &late); /* has its time */
    scene_write(&s, 1);
    at_point_go_on(&first);
    ck_assert_int_eq(at_point_finish(&first), 0); /* has a later one than writer 1 */
    ck_assert_uint_eq(scene_read(&s, 0), 0);
    at_point_go_on(&second);
    ck_assert_int_eq(at_point_finish(&second), 0);
    scene_check(&s, 5);
    require_order(s.board, "3341");
}
END_TEST

/* The time of a record that can be read is later than that of one behind it that cannot be yet. */
START_TEST(a_record_waits_for_what_was_added_before_the_look)
{
    struct scene s = {0};
    struct held early = {.number = 3, .lane = 1, .kind = ONE}, late = {.number = 4, .lane = 1, .kind = ONE};
    struct at_point first, second;

    if (!at_point_allowed("a_record_waits_for_what_was_added_before_the_look"))
        return;
    open_scene(&s, 2, RINGD_TIME_MONOTONIC);
    early.board = late.board = s.board;
    first = at_point_start("reserve-added", STOP_HOLD, 1, write_held, &early);
    second = at_point_start("commit-payload", STOP_HOLD, 1, write_held, &late);
    scene_write(&s, 1);
    at_point_go_on(&first);
    ck_assert_int_eq(at_point_finish(&first), 0);
    ck_assert_uint_eq(scene_read(&s, 0), 0);
    at_point_go_on(&second);
    ck_assert_int_eq(at_point_finish(&second), 0);
    scene_check(&s, 5);
    require_order(s.board, "341");
}
END_TEST

/* It lies dead in lane 1; lane 2 goes on when the daemon has made padding of it. */
START_TEST(a_writer_that_dies_in_mid_record_is_passed_over)
{
    struct scene s = {0};
    struct held held = {.number = 3, .lane = 1, .kind = ONE};
    struct at_point at;

    if (!at_point_allowed("a_writer_that_dies_in_mid_record_is_passed_over"))
        return;
    open_scene(&s, 2, RINGD_TIME_TSC);
    held.board = s.board;
    scene_write(&s, 0);
    at = at_point_start(points[_i], STOP_KILL, 1, write_held, &held);
    at_point_finish(&at);
    scene_write(&s, 1);
    scene_write(&s, 0);
    ringd_reader_deadline(s.readers[0], RINGD_FOREVER);
    read_all(s.board, 0, s.readers[0], 3, false);
    ringd_reader_deadline(s.readers[0], RINGD_NO_WAIT);
    scene_check(&s, 3);
    require_order(s.board, "010");
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------------------------------
 */

static pid_t start_sleeper(struct board *b, uint32_t records)
{
    struct context c = {
        .board = b,
        .records = records,
        .options = {.mode = RINGD_READ_LOSSLESS,
                    .start = RINGD_START_OLDEST,
                    .deadline = RINGD_FOREVER,
                    .wait = RINGD_WAIT_SLEEP,
                    .merge = RINGD_MERGE_TIME},
    };
    pid_t pid = start_context(run_reader, &c);

    atomic_store(&b->go, 1);
    return pid;
}

START_TEST(idle_lanes_hold_nothing_up)
{
    struct board *b = shared_new(sizeof *b);
    struct ringd_writer *w;
    pid_t pid;

    make_lanes(64, 4096, RINGD_TIME_TSC);
    w = open_in_lane(_i == 0 ? 64 : 1);
    pid = start_sleeper(b, 3);
    for (int i = 0; i < 3; i++) {
        child_wait_still(pid);
        ck_assert_uint_eq(*(volatile uint32_t *)&b->count[0], i);
        write_one(b, w, 0, ONE, 64);
    }
    child_finish(pid);
    require_good(b, 1, 1);
}
END_TEST

START_TEST(who_waits_for_a_stopped_writer_sleeps)
{
    struct scene s = {0};
    struct held held = {.number = 3, .lane = 1, .kind = ONE};
    struct at_point at;
    pid_t pid;

    if (!at_point_allowed("who_waits_for_a_stopped_writer_sleeps"))
        return;
    open_scene(&s, 2, RINGD_TIME_TSC);
    held.board = s.board;
    pid = start_sleeper(s.board, 6);
    at = at_point_start("reserve-exact", STOP_HOLD, 1, write_held, &held);
    for (int i = 0; i < 5; i++) {
        scene_write(&s, 1);
        child_wait_still(pid);
    }
    ck_assert_uint_eq(*(volatile uint32_t *)&s.board->count[0], 0);
    at_point_go_on(&at);
    ck_assert_int_eq(at_point_finish(&at), 0);
    child_finish(pid);
    require_good(s.board, 1, 4);
}
END_TEST

/* Nothing but grants that were given up: they are given back, by a reader that merges too. */
static void abort_much(void *argument)
{
    struct ringd_writer *w = open_in_lane(1);

    (void)argument;
    for (int i = 0; i < 2000; i++) {
        void *data;
        size_t granted;
        int result = ringd_reserve(w, 32, 32, &data, &granted);

        require(result == RINGD_OK && ringd_abort(w) == RINGD_OK, "%d", result);
    }
}

START_TEST(a_lane_of_padding_is_given_back)
{
    struct board *b = shared_new(sizeof *b);
    struct ringd_writer *w;
    pid_t reader, writer;

    make_lanes(2, 4096, RINGD_TIME_TSC);
    w = open_in_lane(2);
    reader = start_sleeper(b, 1);
    writer = child_start(abort_much, NULL);
    child_finish(writer);
    write_one(b, w, 0, ONE, 64);
    child_finish(reader);
}
END_TEST

/* ---- filters, ends, damage ------------------------------------------------------------------------------------------
 */

static void write_typed(struct scene *s, uint32_t writer, uint16_t type)
{
    ringd_writer_label(s->w[writer], type, 0);
    scene_write(s, writer);
}

START_TEST(what_is_filtered_out_makes_nothing_early)
{
    static const uint16_t wanted[] = {2};
    struct ringd_filter filter = {.types = wanted, .type_count = 1};
    struct scene s = {0};

    open_scene(&s, 2, RINGD_TIME_TSC);
    ck_assert_int_eq(ringd_reader_filter(s.readers[0], &filter), RINGD_OK);
    for (int i = 0; i < 100; i++) {
        write_typed(&s, 0, 1);
        write_typed(&s, 1, 2);
        write_typed(&s, 0, 2);
    }
    for (int many = 0; many < 2; many++) {
        while (read_all(s.board, 0, s.readers[0], many == 0 ? 50 : 0, many) == RINGD_OK && s.board->count[0] < 50)
            ;
    }
    ck_assert_uint_eq(s.board->count[0], 200);
    for (uint32_t i = 0; i < 200; i++)
        ck_assert_uint_eq(s.board->order[0][i].writer, 1 - i % 2);
}
END_TEST

START_TEST(the_end_comes_when_all_lanes_are_at_theirs)
{
    struct scene s = {0};

    open_scene(&s, 3, RINGD_TIME_TSC);
    for (uint32_t i = 0; i < 30; i++)
        scene_write(&s, i * 7 % 3);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(read_all(s.board, 0, s.readers[0], 0, _i == 1), RINGD_END);
    ck_assert_uint_eq(s.board->count[0], 30);
    require_good(s.board, 1, 3);
}
END_TEST

/* Laps: a merging reader that is overtaken is told what it lost, and gets everything else in each lane's order. */
START_TEST(a_reader_that_is_lapped_keeps_its_accounts)
{
    struct ringd_reader_counters counters;
    struct ringd_record record;
    struct ringd_writer *w[2];
    struct ringd_reader *reader;
    uint64_t last[2] = {0}, last_time = 0;
    int result;

    make_ring(RING,
              (struct ringd_ring_options){.size = 8192, .lanes = 2, .time = RINGD_TIME_TSC, .policy = RINGD_OVERWRITE});
    for (uint32_t i = 0; i < 2; i++)
        w[i] = open_in_lane(i + 1);
    reader = open_by_time(RINGD_READ_LOSSY, RINGD_NO_WAIT);
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 400; i++)
            ck_assert_int_eq(ringd_write(w[(i + round) % 3 % 2], "0123456789abcdef", 16), RINGD_OK);
        for (uint32_t i = 0; round == 49 || i < 70; i++) {
            result = ringd_next(reader, &record);
            if (result == RINGD_WOULD_BLOCK)
                break;
            ck_assert(result == RINGD_OK || result == RINGD_GAP);
            if (result == RINGD_GAP)
                continue;
            ck_assert_uint_gt(record.position + 1, last[record.writer / 31]);
            ck_assert_uint_ge(record.time, last_time);
            last[record.writer / 31] = record.next;
            last_time = record.time;
        }
    }
    ck_assert_int_eq(ringd_reader_count(reader, &counters), RINGD_OK);
    ck_assert_uint_gt(counters.lost, 0);
    ck_assert_uint_eq(counters.delivered + counters.lost, 50 * 400);
    ck_assert_uint_eq(counters.unordered, 0);
}
END_TEST

static struct ringd_record_header *header_of_last(const struct ringd_writer *w)
{
    return ring_header(&w->ring.ring, atomic_load(&w->ring.slot->begin) & RINGD_POSITION_MASK);
}

/* Another clock, ahead or behind. */
START_TEST(another_clock_is_counted_and_holds_nothing_up)
{
    struct scene s = {0};
    struct ringd_reader_counters counters;
    uint64_t now;

    open_scene(&s, 2, RINGD_TIME_TSC);
    scene_write(&s, 0);
    now = atomic_load(&header_of_last(s.w[0])->time);
    atomic_store(&header_of_last(s.w[0])->time, _i == 2 ? UINT64_MAX : now + (now << 1));
    scene_write(&s, 1);
    ck_assert_uint_eq(scene_read(&s, 0), 2);
    require_order(s.board, "10");
    ringd_reader_count(s.readers[0], &counters);
    ck_assert_uint_eq(counters.unordered, 1);
    scene_write(&s, 0); /* the right time again */
    scene_write(&s, 1);
    ck_assert_uint_eq(scene_read(&s, 0), 2);
    require_order(s.board, "1001");
    ringd_reader_count(s.readers[0], &counters);
    ck_assert_uint_eq(counters.unordered, 1);
    scene_write(&s, 0);
    atomic_store(&header_of_last(s.w[0])->time, 1);
    ck_assert_uint_eq(scene_read(&s, 0), 1);
    ringd_reader_count(s.readers[0], &counters);
    ck_assert_uint_eq(counters.unordered, 2);
}
END_TEST

/* A hole where everything must be there: all before it is given, then it is an error, in either mode of waiting. */
START_TEST(a_hole_is_damage_and_no_reason_to_wait)
{
    struct ringd_record record;
    struct scene s = {0};
    int result, count = 0;

    open_scene(&s, 2, RINGD_TIME_TSC);
    scene_write(&s, 0);
    scene_write(&s, 0);
    if (_i == 0)
        atomic_store(&header_of_last(s.w[0])->stamp, 0);
    else
        atomic_store(&header_of_last(s.w[0])->extent, UINT32_MAX);
    scene_write(&s, 1);
    ringd_reader_deadline(s.readers[0], RINGD_FOREVER);
    while ((result = ringd_next(s.readers[0], &record)) == RINGD_OK)
        count++;
    ck_assert_int_eq(result, -EBADMSG);
    ck_assert_int_ge(count, 1);
}
END_TEST

/* Whatever stands there: a result, and nothing out of bounds. */
START_TEST(any_contents_end_in_a_result)
{
    struct random_source random = {.state = support_seed() + (uint64_t)_i};
    struct ringd_ring_options options = {
        .size = 4096, .lanes = 4, .time = RINGD_TIME_MONOTONIC, .first_position = SUPPORT_WRAP - 2048};
    struct ringd_record records[8];
    struct victim v;
    size_t count;

    victim_init(&v, &options);
    for (int round = 0; round < 60; round++) {
        struct ringd_reader_options o = {.mode = random_below(&random, 2) == 0 ? RINGD_READ_LOSSY : RINGD_READ_LOSSLESS,
                                         .merge = RINGD_MERGE_TIME};
        struct ringd_reader *reader;
        struct ringd_writer *w;

        victim_restore(&v);
        require(writer_new(&w, &v.segment, (uint32_t)random_below(&random, 31), 1, NULL) == 0, "no memory");
        if (reader_new(&reader, &v.segment, 0, options.first_position, &o) < 0) {
            ringd_writer_close(w);
            continue;
        }
        for (int i = 0; i < 200; i++) {
            const struct segment *segment = &v.segment;
            bool in_data = random_below(&random, 3) != 0;
            unsigned char *where = in_data ? segment->data : segment->lanes;
            size_t bytes = in_data ? segment->data_map_bytes / 2 : 4 * sizeof(struct ringd_lane);
            uint64_t value = random_below(&random, 2) == 0 ? random_next(&random) : random_below(&random, 64);

            ringd_write(w, "0123456789abcdef", 1 + random_below(&random, 15));
            if (random_below(&random, 4) == 0)
                memcpy(where + random_below(&random, bytes / 8) * 8, &value, sizeof value);
            ringd_next_many(reader, records, 1 + random_below(&random, 8), &count);
            if (random_below(&random, 2) == 0)
                ringd_release(reader);
        }
        ringd_reader_close(reader);
        ringd_writer_close(w);
    }
    victim_deinit(&v);
}
END_TEST

/* ---- in any order ---------------------------------------------------------------------------------------------------
 */

START_TEST(without_a_merge_lanes_take_turns)
{
    struct scene s = {0};
    uint32_t early = 0;

    open_scene(&s, 2, RINGD_TIME_TSC);
    ringd_reader_close(s.readers[0]);
    s.readers[0] =
        open_merging((struct ringd_reader_options){.mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST});
    for (int i = 0; i < 300; i++)
        scene_write(&s, 0);
    for (int i = 0; i < 300; i++)
        scene_write(&s, 1);
    read_all(s.board, 0, s.readers[0], 0, _i == 1);
    require_whole(s.board, 0, 2);
    for (uint32_t i = 0; i < 200; i++)
        early += s.board->order[0][i].writer;
    ck_assert_uint_gt(early, 0);
}
END_TEST

START_TEST(a_ring_without_time_is_refused)
{
    struct ringd_reader_options options = {.merge = RINGD_MERGE_TIME};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_lanes(2, 4096, RINGD_TIME_NONE);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "have no time to merge by; create it with --time"));
    options.merge = RINGD_MERGE_NONE;
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), 0);
    ringd_reader_close(reader);
    ringd_close(ring);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merge");
    TCase *crews = add_case(suite, "crews"), *held = add_case(suite, "held"), *rest = add_case(suite, "rest");

    tcase_add_loop_test(crews, every_reader_gives_the_same_order, 0, (int)(sizeof shapes / sizeof shapes[0]));
    tcase_add_loop_test(crews, the_order_is_the_same_on_a_full_ring, 0, 2);
    tcase_add_test(crews, the_order_is_the_same_while_the_ring_moves);
    tcase_add_loop_test(held, one_that_is_held_comes_where_its_place_is, 0, 3);
    tcase_add_test(held, a_batch_does_not_bound_what_follows_it);
    tcase_add_test(held, a_record_waits_for_what_was_added_before_the_look);
    tcase_add_loop_test(held, a_writer_that_dies_in_mid_record_is_passed_over, 0, 3);
    tcase_add_loop_test(rest, idle_lanes_hold_nothing_up, 0, 2);
    tcase_add_test(rest, who_waits_for_a_stopped_writer_sleeps);
    tcase_add_test(rest, a_lane_of_padding_is_given_back);
    tcase_add_test(rest, what_is_filtered_out_makes_nothing_early);
    tcase_add_loop_test(rest, the_end_comes_when_all_lanes_are_at_theirs, 0, 2);
    tcase_add_test(rest, a_reader_that_is_lapped_keeps_its_accounts);
    tcase_add_loop_test(rest, another_clock_is_counted_and_holds_nothing_up, 1, 3);
    tcase_add_loop_test(rest, a_hole_is_damage_and_no_reason_to_wait, 0, 2);
    tcase_add_loop_test(rest, any_contents_end_in_a_result, 0, 3);
    tcase_add_loop_test(rest, without_a_merge_lanes_take_turns, 0, 2);
    tcase_add_test(rest, a_ring_without_time_is_refused);
    return run_suite(suite);
}
