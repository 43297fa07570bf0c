/* check_single.c - rings whose lanes have one writer each (`writers` = 1, libclient/ring_single.h).
 *
 *     who        a second writer of a lane is refused; the next one comes in when the first has closed, was killed,
 *                between records or in one, or has become another program; numbers and accounts go on
 *     what       every call, with every kind of time, under every policy, for every grade of reader, for many laps and
 *                over the place where the 32 bits of position wrap: each record is what was written, once and in order
 *     order      lanes that are merged by time
 *     sleep      whoever waits is woken by each record, however close it came; also where the kernel runs no barriers
 *     changes    the daemon is killed and comes back, and the ring moves, beside writers at full speed
 *     damage     bits that nobody owns
 *
 * Its steps one by one are in check_single_steps.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_silence.h"
#include "writer.h"

#define RING       "single"
#define SIZE       16384
#define MAX_RECORD 200
#define PATIENCE   INT64_C(30000000000)

static void make(struct ringd_ring_options options)
{
    options.writers = 1;
    make_ring(RING, options);
}

static struct ringd_writer *open_in(uint32_t lane, int64_t deadline)
{
    return open_writer_with(RING, (struct ringd_writer_options){.lane = lane, .deadline = deadline});
}

static void put(struct ringd_writer *w, size_t len)
{
    int result = write_record(w, len);

    require(result == RINGD_OK, "result %d (%s)", result, ringd_strerror(result));
}

static void require_healthy(void)
{
    struct command doctor;

    ringctl(&doctor, "", 0, "doctor", RING, NULL);
    require(doctor.code == 0, "doctor: %d\n%s%s", doctor.code, doctor.out, doctor.err);
    command_free(&doctor);
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static void refused(uint32_t lane, const char *text)
{
    struct ringd_writer_options options = {.lane = lane};
    struct ringd_writer *w;
    struct ringd *ring;

    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_writer_open(&w, ring, &options), -EUSERS);
    ck_assert_ptr_null(w);
    ck_assert_msg(strstr(ringd_error(), text) != NULL, "%s", ringd_error());
    ringd_close(ring);
}

START_TEST(a_second_writer_is_refused)
{
    struct ringd_writer *w;

    make((struct ringd_ring_options){.size = SIZE});
    for (int i = 0; i < 3; i++) {
        w = open_writer(RING);
        ck_assert_uint_eq(writer_slot(w), 0);
        ck_assert_uint_eq(writer_sequence(w), 5 * (unsigned)i);
        for (int j = 0; j < 5; j++)
            put(w, RECORD_MIN);
        refused(0, "one writer at a time");
        refused(1, "one writer at a time");
        ringd_writer_close(w);
        wait_for_contexts(RING, 0);
    }
}
END_TEST

START_TEST(each_lane_has_one)
{
    struct ringd_writer *writers[3];

    make((struct ringd_ring_options){.size = SIZE, .lanes = 3});
    for (uint32_t i = 0; i < 3; i++) {
        writers[i] = i == 1 ? open_in(3, RINGD_NO_WAIT) : open_writer(RING);
        ck_assert_uint_eq(writer_slot(writers[i]) % 31, 0);
    }
    for (uint32_t lane = 0; lane <= 3; lane++)
        refused(lane, "one writer a lane at a time");
    ck_assert_uint_eq(writer_slot(writers[1]), 62);
    ck_assert_uint_eq(writer_slot(writers[0]) + writer_slot(writers[2]), 31);
    ringd_writer_close(writers[1]);
    wait_for_contexts(RING, 2);
    refused(1, "one writer a lane at a time");
    ck_assert_uint_eq(writer_slot(open_writer(RING)), 62);
}
END_TEST

/* How a writer ends, and how many records it has offered and committed by then. */
enum end { END_CLOSE, END_KILL, END_KILL_IN_RECORD, END_EXEC, END_EXEC_IN_RECORD, ENDS };

struct leaver {
    enum end end;
    _Atomic uint32_t ready;
};

static void write_and_end(void *argument)
{
    struct leaver *leaver = argument;
    struct ringd_writer *w = open_writer(RING);
    size_t granted;
    void *data;

    for (int i = 0; i < 3; i++)
        put(w, 50);
    if (leaver->end == END_KILL_IN_RECORD || leaver->end == END_EXEC_IN_RECORD) {
        require(ringd_reserve(w, 100, 100, &data, &granted) == RINGD_OK, "reserve");
        memset(data, 0xa5, granted);
    }
    if (leaver->end == END_CLOSE)
        ringd_writer_close(w);
    atomic_store(&leaver->ready, 1);
    if (leaver->end == END_EXEC || leaver->end == END_EXEC_IN_RECORD)
        execl("/bin/sleep", "sleep", "1000", NULL);
    pause_ms(1000000);
}

START_TEST(the_next_one_comes_in)
{
    bool in_record = _i == END_KILL_IN_RECORD || _i == END_EXEC_IN_RECORD;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct ringd_info info;

    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (uint64_t round = 1; round <= 3; round++) {
        struct leaver *leaver = shared_new(sizeof *leaver);
        pid_t pid;

        leaver->end = (enum end)_i;
        pid = child_start(write_and_end, leaver);
        while (atomic_load(&leaver->ready) == 0)
            pause_ms(1);
        if (_i == END_KILL || _i == END_KILL_IN_RECORD)
            child_kill(pid);
        wait_for_contexts(RING, 1);
        w = open_writer(RING);
        ck_assert_uint_eq(writer_slot(w), 0);
        ck_assert_uint_eq(writer_sequence(w), 4 * round - 1);
        put(w, 50);
        ringd_writer_close(w);
        wait_for_contexts(RING, 1);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(tracker.delivered[0], 4 * round);
        info = ring_info(RING);
        ck_assert_uint_eq(info.committed, 4 * round);
        ck_assert_uint_eq(info.lost, in_record ? round : 0);
        ck_assert_uint_eq(info.offered, info.committed + info.lost);
        if (_i != END_KILL && _i != END_KILL_IN_RECORD)
            child_kill(pid);
    }
    require_healthy();
}
END_TEST

/* ---- how it is said ---------------------------------------------------------------------------------------------- */

static void status_says(const char *ring, const char *text)
{
    struct command status;

    ringctl(&status, "", 0, "status", "--json", ring, NULL);
    ck_assert_int_eq(status.code, 0);
    ck_assert_msg(strstr(status.out, text) != NULL, "%s", status.out);
    command_free(&status);
}

START_TEST(what_is_said_of_it)
{
    static const uint32_t no[] = {2, 30, 32, UINT32_MAX};
    struct command command;

    make((struct ringd_ring_options){.size = SIZE});
    make_ring("many", (struct ringd_ring_options){.size = SIZE, .writers = 31});
    make_ring("usual", (struct ringd_ring_options){.size = SIZE});
    ck_assert_uint_eq(ring_info(RING).writers_max, 1);
    ck_assert_uint_eq(ring_info("many").writers_max, 31);
    ck_assert_uint_eq(ring_info("usual").writers_max, 31);
    status_says(RING, "\"writers_max\": 1,");
    status_says("many", "\"writers_max\": 31,");
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct ringd_ring_options options = {.size = SIZE, .writers = no[i]};

        ck_assert_int_eq(ringd_create("no", &options), -EINVAL);
        ck_assert_msg(strstr(ringd_error(), "writers") != NULL, "%s", ringd_error());
    }
    ringctl(&command, "", 0, "create", "by-command", "--size", "16K", "--writers", "1", "--lanes", "2", NULL);
    ck_assert_int_eq(command.code, 0);
    command_free(&command);
    ck_assert_uint_eq(ring_info("by-command").writers_max, 1);
    ringctl(&command, "", 0, "create", "no", "--size", "16K", "--writers", "2", NULL);
    ck_assert_int_ne(command.code, 0);
    ck_assert_msg(strstr(command.err, "31") != NULL, "%s", command.err);
    command_free(&command);
    ringctl(&command, "", 0, "status", "by-command", NULL);
    ck_assert_msg(strstr(command.out, "2 lanes, one writer each") != NULL, "%s", command.out);
    command_free(&command);
    ck_assert_int_eq(ringd_resize(RING, 2 * SIZE), 0);
    ck_assert_uint_eq(ring_info(RING).writers_max, 1);
}
END_TEST

START_TEST(it_stands_in_the_configuration)
{
    char path[4200], folder[200], config[200];
    const char *const words[] = {path, "--runtime-dir", folder, "--config", config, NULL};
    struct daemon_process other;
    struct command command;
    FILE *file;

    daemon_start(&other, "[ring one]\nsize = 64K\nwriters = 1\n[ring all]\nsize = 64K\nwriters = 31\n");
    ck_assert_uint_eq(ring_info("one").writers_max, 1);
    ck_assert_uint_eq(ring_info("all").writers_max, 31);
    daemon_stop(&other);
    snprintf(path, sizeof path, "%s", support_built("ringd"));
    snprintf(folder, sizeof folder, "%s/bad", support_folder());
    snprintf(config, sizeof config, "%s/bad.conf", support_folder());
    file = fopen(config, "we");
    ck_assert(file != NULL && fputs("[ring a]\nwriters = 2\n", file) >= 0 && fclose(file) == 0);
    command_run(&command, "", 0, words);
    ck_assert_int_eq(command.code, 2);
    ck_assert_msg(strstr(command.err, "1 or 31") != NULL, "%s", command.err);
    command_free(&command);
}
END_TEST

/* ---- what: every call -------------------------------------------------------------------------------------------- */

#define LISTENERS   4
#define MESSAGE_MAX (5 * MAX_RECORD)
#define ROUND_MAX   4
#define ROUNDS      1500

/* What one call has written. */
struct expected {
    unsigned char bytes[ROUND_MAX][MESSAGE_MAX];
    size_t len[ROUND_MAX], count;
};

struct audience {
    struct ringd_reader *readers[LISTENERS];
    int count;
    uint64_t time; /* of the last record */
};

static void come(struct audience *a, struct ringd_reader_options options)
{
    a->readers[a->count++] = open_reader_with(RING, options);
}

static size_t some_len(struct random_source *chance)
{
    static const size_t special[] = {0, 1, 31, 32, 33, MAX_RECORD - 1, MAX_RECORD};
    size_t i = random_below(chance, 20);

    return i < sizeof special / sizeof special[0] ? special[i] : random_below(chance, MAX_RECORD + 1);
}

static unsigned char *expect(struct expected *e, struct random_source *chance, size_t len)
{
    unsigned char *bytes = e->bytes[e->count];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)random_next(chance);
    e->len[e->count++] = len;
    return bytes;
}

static int write_batch(struct ringd_writer *w, struct expected *e, struct random_source *chance)
{
    struct iovec records[3];

    for (int i = 0; i < 3; i++) {
        size_t len = random_below(chance, 33);

        records[i] = (struct iovec){expect(e, chance, len), len};
    }
    return ringd_write_batch(w, records, 3);
}

static int write_pieces(struct ringd_writer *w, struct expected *e, struct random_source *chance)
{
    size_t len = some_len(chance), half = len / 2;
    unsigned char *bytes = expect(e, chance, len);
    struct iovec pieces[3] = {{bytes, half}, {NULL, 0}, {bytes + half, len - half}};

    return ringd_writev(w, pieces, 3);
}

/* All of what was asked for, less, or nothing. */
static int write_in_place(struct ringd_writer *w, struct expected *e, struct random_source *chance)
{
    size_t want = some_len(chance), len = random_below(chance, 2) == 0 ? want : random_below(chance, want + 1), granted;
    unsigned char *bytes;
    void *data;
    int result = ringd_reserve(w, want, want, &data, &granted);

    if (result != RINGD_OK)
        return result;
    if (random_below(chance, 4) == 0)
        return ringd_abort(w);
    bytes = expect(e, chance, len);
    if (len > 0)
        memcpy(data, bytes, len);
    return ringd_commit(w, len);
}

static int write_something(struct ringd_writer *w, struct expected *e, struct random_source *chance)
{
    size_t len;

    e->count = 0;
    switch (random_below(chance, 6)) {
    case 0:
        return write_batch(w, e, chance);
    case 1:
        return write_pieces(w, e, chance);
    case 2:
        return write_in_place(w, e, chance);
    case 3:
        len = random_below(chance, MESSAGE_MAX + 1);
        return ringd_write_message(w, expect(e, chance, len), len);
    default:
        len = some_len(chance);
        return ringd_write(w, expect(e, chance, len), len);
    }
}

static void require_record(const struct ringd_record *record, const struct expected *e, size_t i, uint32_t time)
{
    require(record->len == e->len[i] && (record->len == 0 || memcmp(record->data, e->bytes[i], record->len) == 0),
            "a record of %zu bytes is not the one of %zu bytes that was written", record->len, e->len[i]);
    require((record->time != 0) == (time != RINGD_TIME_NONE), "time %" PRIu64, record->time);
}

static void hear(struct audience *a, const struct expected *e, uint32_t time)
{
    for (int r = 0; r < a->count; r++) {
        struct ringd_record record;
        uint64_t last = a->time;

        for (size_t i = 0; i < e->count; i++) {
            int result = ringd_next(a->readers[r], &record);

            require(result == RINGD_OK, "reader %d: result %d (%s)", r, result, ringd_strerror(result));
            require_record(&record, e, i, time);
            require(record.time >= last, "reader %d: the time goes back", r);
            last = record.time;
            require(ringd_release(a->readers[r]) == RINGD_OK, "evicted");
        }
        require(ringd_next(a->readers[r], &record) == RINGD_WOULD_BLOCK, "reader %d: more than was written", r);
        a->time = r == a->count - 1 ? last : a->time;
    }
}

static void write_and_hear(uint32_t policy, uint32_t time, uint64_t rounds)
{
    struct random_source chance = {.state = support_seed()};
    struct audience audience = {0};
    struct ringd_writer_counters c;
    struct ringd_writer *w;
    uint64_t begin;

    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .policy = policy, .time = time});
    begin = ring_info(RING).position;
    w = open_writer(RING);
    come(&audience, (struct ringd_reader_options){.mode = RINGD_READ_LOSSY});
    come(&audience, (struct ringd_reader_options){.mode = RINGD_READ_OBSERVE});
    if (policy != RINGD_OVERWRITE) {
        come(&audience, (struct ringd_reader_options){.mode = RINGD_READ_LOSSLESS});
        come(&audience, (struct ringd_reader_options){.mode = RINGD_READ_LOSSLESS, .group = "g"});
    }
    for (uint64_t round = 0; round < rounds; round++) {
        static struct expected e;
        int result = write_something(w, &e, &chance);

        require(result == RINGD_OK, "round %" PRIu64 ": result %d (%s)", round, result, ringd_strerror(result));
        hear(&audience, &e, time);
    }
    ck_assert_uint_lt(begin, SUPPORT_WRAP);
    ck_assert_uint_gt(ring_info(RING).position, SUPPORT_WRAP + 8 * SIZE);
    ck_assert_int_eq(ringd_writer_count(w, &c), RINGD_OK);
    ck_assert_uint_eq(c.offered, c.committed + c.aborted);
    ck_assert_uint_gt(c.aborted, 0);
    require_healthy();
}

#define TIMES    3 /* enum ringd_time */
#define POLICIES 3 /* enum ringd_policy, from 1 */

START_TEST(every_call_is_read_as_it_was_written)
{
    write_and_hear(RINGD_LOSSLESS + (uint32_t)_i / TIMES, (uint32_t)_i % TIMES, ROUNDS);
}
END_TEST

/* Too long, and a full ring: told, counted, and room again afterwards. */
START_TEST(what_does_not_fit_is_told)
{
    uint32_t policy = RINGD_LOSSLESS + (uint32_t)_i;
    int no = policy == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL, result;
    unsigned char bytes[MAX_RECORD + 1] = {0};
    struct ringd_writer_counters c;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .policy = policy});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(ringd_write(w, bytes, sizeof bytes), -EMSGSIZE);
    for (int lap = 0; lap < 20; lap++) {
        while ((result = write_record(w, 100)) == RINGD_OK)
            ;
        ck_assert_int_eq(result, no);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
    }
    ck_assert_uint_eq(tracker.delivered[0], writer_sequence(w));
    ck_assert_int_eq(ringd_writer_count(w, &c), RINGD_OK);
    ck_assert_uint_eq(c.offered, c.committed + c.refused + c.dropped_full + c.dropped_stalled);
    ck_assert_uint_eq(c.committed, writer_sequence(w));
    ck_assert_uint_eq(c.refused, policy == RINGD_DROP ? 1 : 21);
    require_healthy();
}
END_TEST

/* ---- order: lanes that are merged -------------------------------------------------------------------------------- */

#define LANES  3
#define MERGED 30000

struct merge_writer {
    uint32_t lane;
    _Atomic uint32_t *go;
};

static void write_merged(void *argument)
{
    const struct merge_writer *m = argument;
    struct ringd_writer *w = open_in(m->lane, RINGD_FOREVER);

    atomic_fetch_add(m->go, 1);
    while (atomic_load(m->go) <= LANES)
        sched_yield();
    for (int i = 0; i < MERGED; i++)
        put(w, RECORD_MIN);
    ringd_writer_close(w);
}

/* Several readers at once: all get the same order, by time, while the writers are at it. */
START_TEST(lanes_are_merged_by_time)
{
    uint32_t source = _i == 0 ? RINGD_TIME_TSC : RINGD_TIME_MONOTONIC;
    _Atomic uint32_t *go = shared_new(sizeof *go);
    uint64_t next[LANES] = {0}, time = 0;
    struct ringd_reader_counters counters;
    struct ringd_reader *reader;
    struct ringd_record record;
    pid_t pids[LANES];

    make((struct ringd_ring_options){.size = 1 << 20, .lanes = LANES, .time = source, .max_record = MAX_RECORD});
    reader =
        open_reader_with(RING, (struct ringd_reader_options){
                                   .mode = RINGD_READ_LOSSLESS, .deadline = RINGD_FOREVER, .merge = RINGD_MERGE_TIME});
    for (uint32_t i = 0; i < LANES; i++) {
        struct merge_writer m = {.lane = i + 1, .go = go};

        pids[i] = child_start(write_merged, &m);
    }
    while (atomic_load(go) < LANES)
        sched_yield();
    atomic_fetch_add(go, 1);
    for (int i = 0; i < LANES * MERGED; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        record_verify(&record);
        require(record.sequence == next[record.writer / 31]++, "order in a lane");
        require(record.time >= time, "record %d: its time is %" PRIu64 " earlier than that before", i,
                time - record.time);
        time = record.time;
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    ck_assert_int_eq(ringd_reader_count(reader, &counters), RINGD_OK);
    ck_assert_uint_eq(counters.unordered, 0);
    for (uint32_t i = 0; i < LANES; i++)
        child_finish(pids[i]);
}
END_TEST

#define MERGE_NS INT64_C(1000000000)

/* If there is such a processor. */
static void stay_on(int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return;
}

static void put_short(struct ringd_writer *w)
{
    require(ringd_write(w, "abc", 3) == RINGD_OK, "write");
}

static void ck_merged(struct ringd_reader *reader, struct ringd_record *record)
{
    require(ringd_next(reader, record) == RINGD_OK, "next");
    require(ringd_release(reader) == RINGD_OK, "evicted");
}

/* A reader that writes into one lane itself, right before it looks at the other, in which another writer on another
 * processor has just taken the time: what it is given must not be later than what is still on its way from there. Only
 * with two processors does it show, and then by chance. */
static void write_beside(void *argument)
{
    _Atomic uint32_t *go = argument;
    struct ringd_writer *w = open_in(1, RINGD_FOREVER);

    stay_on(1);
    atomic_store(go, 1);
    while (atomic_load(go) == 1) {
        put_short(w);
        for (int i = 0; i < 200; i++)
            __asm__ volatile("");
    }
}

START_TEST(a_merge_is_not_ahead_of_a_writer)
{
    _Atomic uint32_t *go = shared_new(sizeof *go);
    struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS, .deadline = RINGD_FOREVER, .merge = RINGD_MERGE_TIME};
    struct ringd_reader_counters counters;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    int64_t end;
    pid_t pid;

    make((struct ringd_ring_options){.lanes = 2, .time = RINGD_TIME_TSC});
    reader = open_reader_with(RING, options);
    pid = child_start(write_beside, go);
    stay_on(0);
    while (atomic_load(go) == 0)
        sched_yield();
    w = open_in(2, RINGD_FOREVER);
    end = now_ns() + MERGE_NS;
    while (now_ns() < end) {
        put_short(w);
        do {
            ck_merged(reader, &record);
        } while (record.writer != 31);
    }
    require(ringd_reader_count(reader, &counters) == RINGD_OK, "count");
    require(counters.unordered == 0, "%" PRIu64 " out of order", counters.unordered);
    atomic_store(go, 2);
    ringd_reader_close(reader); /* the other may be waiting for it */
    child_finish(pid);
}
END_TEST

START_TEST(tail_merges_lanes)
{
    struct ringd_writer *writers[LANES];
    char line[16], all[2000] = "";
    struct command tail;

    make((struct ringd_ring_options){.size = SIZE, .lanes = LANES, .time = RINGD_TIME_MONOTONIC});
    for (uint32_t i = 0; i < LANES; i++)
        writers[i] = open_in(i + 1, RINGD_NO_WAIT);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        strcat(all, line);
        ck_assert_int_eq(ringd_write(writers[i * 7 % LANES], line, strlen(line) - 1), RINGD_OK);
    }
    ringctl(&tail, "", 0, "tail", RING, "--from", "oldest", "--count", "100", "--merge", "time", NULL);
    ck_assert_int_eq(tail.code, 0);
    ck_assert_str_eq(tail.out, all);
    command_free(&tail);
}
END_TEST

/* ---- sleep ------------------------------------------------------------------------------------------------------- */

#define READER_MODES 3
#define WAITS        3 /* enum ringd_wait; and by descriptor */
#define BY_FD        3

struct sleeper {
    uint32_t mode, wait;
    bool blind; /* it may not have barriers run */
    _Atomic uint32_t ready, over;
    _Atomic uint64_t seen;
};

static int next_by_fd(struct ringd_reader *reader, struct ringd_record *record)
{
    struct pollfd pollfd = {.fd = ringd_reader_fd(reader), .events = POLLIN};
    int result;

    require(pollfd.fd >= 0, "fd: %s", ringd_strerror(pollfd.fd));
    while ((result = ringd_next(reader, record)) == RINGD_WOULD_BLOCK)
        require(poll(&pollfd, 1, PATIENCE / 1000000) == 1, "nobody woke it");
    return result;
}

static void sleep_and_read(void *argument)
{
    struct sleeper *s = argument;
    struct ringd_reader *reader;
    struct tracker tracker = {0};

    if (s->blind)
        forbid_barriers();
    reader = open_reader_with(
        RING, (struct ringd_reader_options){.mode = s->mode, .wait = s->wait == BY_FD ? RINGD_WAIT_ADAPTIVE : s->wait});
    atomic_store(&s->ready, 1);
    while (atomic_load(&s->over) == 0) {
        struct ringd_record record;
        int result;

        if (s->wait != BY_FD)
            ringd_reader_deadline(reader, now_ns() + PATIENCE);
        result = s->wait == BY_FD ? next_by_fd(reader, &record) : ringd_next(reader, &record);
        require(result == RINGD_OK, "record %" PRIu64 ": result %d (%s)", tracker.delivered[0], result,
                ringd_strerror(result));
        tracker_record(&tracker, &record);
        require(ringd_release(reader) == RINGD_OK, "evicted");
        atomic_fetch_add(&s->seen, 1);
    }
}

/* The next record at once, or a little later, while the reader is on its way to sleep or asleep. */
static void ping(struct ringd_writer *w, const struct sleeper *s, struct random_source *chance)
{
    uint64_t wait = random_below(chance, 3000);

    put(w, RECORD_MIN);
    while (atomic_load(&s->seen) < writer_sequence(w))
        sched_yield();
    for (uint64_t i = 0; i < wait; i++)
        __asm__ volatile("" ::: "memory");
}

static void ping_pong(struct ringd_writer *w, uint32_t mode, uint32_t wait, bool blind, uint64_t rounds)
{
    struct random_source chance = {.state = support_seed() + mode * 4 + wait};
    struct sleeper *s = shared_new(sizeof *s);
    pid_t pid;

    s->mode = mode;
    s->wait = wait;
    s->blind = blind;
    atomic_store(&s->seen, writer_sequence(w));
    pid = child_start(sleep_and_read, s);
    while (atomic_load(&s->ready) == 0)
        pause_ms(1);
    for (uint64_t i = 0; i < rounds; i++)
        ping(w, s, &chance);
    atomic_store(&s->over, 1);
    put(w, RECORD_MIN);
    child_finish(pid);
}

START_TEST(each_record_wakes_who_sleeps)
{
    uint32_t mode = (uint32_t)_i / (WAITS + 1), wait = (uint32_t)_i % (WAITS + 1);
    struct ringd_writer *w;

    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    w = open_writer(RING);
    ck_assert(!w->ring.fenced);
    ping_pong(w, mode, wait, false, 2000);
}
END_TEST

/* Who may not have barriers run: 1 the writer, 2 the reader, 4 the daemon. */
START_TEST(each_record_wakes_without_barriers)
{
    uint64_t rounds = _i & 6 ? 150 : 1000;
    struct ringd_writer *w;

    if (!can_forbid_system_calls()) {
        support_skip("each_record_wakes_without_barriers", "this kernel has no filters for system calls");
        return;
    }
    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD});
    w = _i & 1 ? NULL : open_writer(RING);
    if (_i & 1)
        forbid_barriers(); /* also for what it starts */
    if (_i & 4) {
        daemon_kill(&server);
        forbid_barriers();
        daemon_restart(&server, NULL);
    }
    if (w == NULL)
        w = open_writer(RING);
    ck_assert_int_eq(w->ring.fenced, _i & 1);
    for (uint32_t mode = 0; mode < READER_MODES; mode++) {
        ping_pong(w, mode, RINGD_WAIT_SLEEP, (_i & 2) != 0, rounds);
        ping_pong(w, mode, BY_FD, (_i & 2) != 0, rounds);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ringd_resize(RING, i % 2 == 0 ? 2 * SIZE : SIZE), 0);
        ringd_writer_deadline(w, RINGD_FOREVER);
        put(w, RECORD_MIN);
    }
    require_healthy();
}
END_TEST

/* ---- changes ----------------------------------------------------------------------------------------------------- */

#define FLOWS 3

struct flow {
    uint32_t lane;
    _Atomic uint32_t over;
    _Atomic uint64_t written;
};

static void flow_on(void *argument)
{
    struct flow *flow = argument;
    struct ringd_writer *w = open_in(flow->lane, RINGD_FOREVER);
    struct ringd_writer_counters c;

    atomic_store_explicit(&flow->written, writer_sequence(w), memory_order_relaxed); /* after one that died */
    for (uint64_t i = 0; atomic_load_explicit(&flow->over, memory_order_relaxed) == 0; i++) {
        put(w, RECORD_MIN + i % 150);
        atomic_store_explicit(&flow->written, writer_sequence(w), memory_order_relaxed);
    }
    require(ringd_writer_count(w, &c) == RINGD_OK && c.offered == c.committed, "%" PRIu64 " of %" PRIu64, c.committed,
            c.offered);
    ringd_writer_close(w);
}

static bool are_over(struct flow *flows)
{
    bool over = true;

    for (int i = 0; i < FLOWS; i++)
        over &= atomic_load(&flows[i].over) == 2;
    return over;
}

static bool has_all(struct flow *flows, const uint64_t *next)
{
    bool all = true;

    for (int i = 0; i < FLOWS; i++)
        all &= next[i] == atomic_load(&flows[i].written);
    return all;
}

/* All lanes, until all writers have ended and nothing is left. */
static void listen(void *argument)
{
    struct flow *flows = argument;
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    uint64_t next[FLOWS] = {0};
    struct ringd_record record;
    bool over = false;

    for (;;) {
        int result;

        ringd_reader_deadline(reader, now_ns() + 20000000);
        result = ringd_next(reader, &record);
        require(result == RINGD_OK || result == RINGD_WOULD_BLOCK, "result %d (%s)", result, ringd_strerror(result));
        if (result == RINGD_OK) {
            record_verify(&record);
            require(record.sequence == next[record.writer / 31],
                    "sequence %" PRIu64 " of writer %" PRIu32 " and not %" PRIu64, record.sequence, record.writer,
                    next[record.writer / 31]);
            next[record.writer / 31]++;
            require(ringd_release(reader) == RINGD_OK, "evicted");
        } else if (over && has_all(flows, next)) {
            return;
        }
        over = are_over(flows);
    }
}

/* Writers of two lanes, and a reader of all. */
struct stream {
    struct flow *flows;
    pid_t writers[2], reader;
};

static void stream_start(struct stream *s)
{
    s->flows = shared_new(FLOWS * sizeof *s->flows);
    make((struct ringd_ring_options){.size = 65536, .max_record = MAX_RECORD, .lanes = FLOWS, .hold = 1});
    s->reader = child_start(listen, s->flows);
    wait_for_contexts(RING, 1);
    for (uint32_t i = 0; i < FLOWS; i++)
        s->flows[i].lane = i + 1;
    for (int i = 0; i < 2; i++)
        s->writers[i] = child_start(flow_on, &s->flows[i]);
    wait_for_contexts(RING, 3);
}

/* Both get on. */
static void stream_flows(const struct stream *s, uint64_t records)
{
    for (int i = 0; i < 2; i++) {
        uint64_t until = atomic_load(&s->flows[i].written) + records;

        while (atomic_load(&s->flows[i].written) < until)
            pause_ms(1);
    }
}

/* The third lane has nobody. */
static void stream_finish(struct stream *s, uint64_t lost_max)
{
    for (int i = 0; i < 2; i++)
        atomic_store(&s->flows[i].over, 1);
    for (int i = 0; i < 2; i++) {
        child_finish(s->writers[i]);
        atomic_store(&s->flows[i].over, 2);
    }
    atomic_store(&s->flows[2].over, 2);
    child_finish(s->reader);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(ring_info(RING).committed, s->flows[0].written + s->flows[1].written + s->flows[2].written);
    ck_assert_uint_eq(ring_info(RING).offered, ring_info(RING).committed + ring_info(RING).lost);
    ck_assert_uint_le(ring_info(RING).lost, lost_max);
    require_healthy();
}

START_TEST(the_ring_moves_at_full_speed)
{
    struct stream stream;
    int moves = 0;

    stream_start(&stream);
    while (moves < 60) {
        int result = ringd_resize(RING, moves % 2 == 0 ? 131072 : 65536);

        require(result == 0 || result == -EBUSY, "resize: %d (%s)", result, ringd_error());
        moves += result == 0;
        stream_flows(&stream, moves % 4 == 0 ? 2000 : 1);
    }
    stream_finish(&stream, 0);
}
END_TEST

/* They go on without it, and with the next one; a move comes right after it has taken over. */
START_TEST(the_daemon_comes_back)
{
    struct stream stream;

    stream_start(&stream);
    for (int i = 0; i < 5; i++) {
        stream_flows(&stream, 1000);
        daemon_kill(&server);
        stream_flows(&stream, 1000);
        daemon_restart(&server, NULL);
        wait_for_contexts(RING, 3);
        refused(1, "one writer a lane");
        ck_assert_uint_eq(ring_info(RING).writers_max, 1);
        if (i % 2 == 0)
            ck_assert_int_eq(ringd_resize(RING, i % 4 == 0 ? 131072 : 65536), 0);
    }
    stream_finish(&stream, 0);
}
END_TEST

/* ---- at stop points ---------------------------------------------------------------------------------------------- */

static const char *const points[] = {"reserve-offered", "reserve-length",  "reserve-exact",  "reserve-active",
                                     "reserve-added",   "commit-payload",  "commit-header",  "commit-stamped",
                                     "commit-counted",  "commit-sequence", "commit-finished"};

#define POINTS (sizeof points / sizeof points[0])

enum action { ACTION_KILL, ACTION_STOP, ACTION_MOVE, ACTIONS };

/* The writer of the third lane comes to the point; then the next one goes on there. */
static void act(struct stream *stream, const char *point, enum action action, unsigned long nth)
{
    struct flow *flow = &stream->flows[2];
    struct at_point at;
    pid_t pid;

    atomic_store(&flow->over, 0);
    at = at_point_start(point, action == ACTION_KILL ? STOP_KILL : STOP_STOP, nth, flow_on, flow);
    require(action == ACTION_KILL || at_point_pid(&at) != 0, "%s is not passed", point);
    stream_flows(stream, 2000);
    if (action == ACTION_MOVE)
        require(ringd_resize(RING, ring_info(RING).size == 65536 ? 131072 : 65536) == 0, "%s", ringd_error());
    stream_flows(stream, 100);
    atomic_store(&flow->over, action != ACTION_KILL);
    if (action != ACTION_KILL)
        at_point_go_on(&at);
    require(at_point_finish(&at) == (action == ACTION_KILL ? STOP_EXIT_KILLED : 0), "%s: it failed", point);
    wait_for_contexts(RING, 3);
    atomic_store(&flow->over, 0);
    pid = child_start(flow_on, flow);
    wait_for_contexts(RING, 4);
    atomic_store(&flow->over, 1);
    child_finish(pid);
    wait_for_contexts(RING, 3);
}

/* Killed, stopped, and moved past at each point of a write, while others go on in their lanes. */
START_TEST(at_each_point_of_a_write)
{
    struct stream stream;

    if (!at_point_allowed("at_each_point_of_a_write"))
        return;
    stream_start(&stream);
    for (size_t i = 0; i < POINTS; i++)
        act(&stream, points[i], (enum action)_i, 1 + 37 * (i % 3));
    stream_finish(&stream, _i == ACTION_KILL ? POINTS : 0);
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------------------------------ */

/* Bits of slots that a lane with one writer does not have are set, and cleared, at random, beside a writer and readers
 * at full speed: nobody crashes or hangs, and what is asked of the daemon is answered. */
struct vandal {
    _Atomic uint32_t over;
};

static void set_bits(void *argument)
{
    struct vandal *vandal = argument;
    struct random_source chance = {.state = support_seed()};
    struct ringd_writer *w = open_in(2, RINGD_NO_WAIT);
    _Atomic uint64_t *word = &segment_lane(&w->attachment->segment, 0)->word;

    while (atomic_load(&vandal->over) == 0) {
        uint64_t bits = random_next(&chance) & RINGD_W_ACTIVE & ~UINT64_C(1);

        atomic_fetch_or(word, bits);
        for (uint64_t i = random_below(&chance, 10000); i > 0; i--)
            __asm__ volatile("" ::: "memory");
        if (random_below(&chance, 2) == 0)
            atomic_fetch_and(word, ~(RINGD_W_ACTIVE & ~UINT64_C(1)));
    }
    ringd_writer_close(w);
}

/* Whatever they are told. */
static void write_on(void *argument)
{
    struct vandal *vandal = argument;
    struct ringd_writer *w = open_in(1, RINGD_NO_WAIT);

    while (atomic_load(&vandal->over) == 0) {
        ringd_writer_deadline(w, now_ns() + 2000000);
        write_record(w, RECORD_MIN);
    }
    ringd_writer_close(w);
}

static void read_on(struct vandal *vandal, uint32_t mode)
{
    struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
    struct ringd_record record;

    while (atomic_load(&vandal->over) == 0) {
        ringd_reader_deadline(reader, now_ns() + 2000000);
        if (ringd_next(reader, &record) < 0)
            pause_ms(1);
        ringd_release(reader);
    }
    ringd_reader_close(reader);
}

static void read_losslessly(void *argument)
{
    read_on(argument, RINGD_READ_LOSSLESS);
}

static void observe(void *argument)
{
    read_on(argument, RINGD_READ_OBSERVE);
}

START_TEST(bits_that_nobody_owns)
{
    static void (*const roles[])(void *argument) = {set_bits, write_on, read_losslessly, observe};
    struct vandal *vandal = shared_new(sizeof *vandal);
    pid_t pids[4];

    make((struct ringd_ring_options){.size = SIZE, .max_record = MAX_RECORD, .lanes = 2});
    for (int i = 0; i < 4; i++)
        pids[i] = child_start(roles[i], vandal);
    wait_for_contexts(RING, 4);
    for (int i = 0; i < 20; i++) {
        struct command doctor;

        pause_ms(20);
        ringd_resize(RING, i % 2 == 0 ? 2 * SIZE : SIZE);
        ring_info(RING);
        if (i % 5 == 0) {
            ringctl(&doctor, "", 0, "doctor", RING, NULL);
            ck_assert_int_lt(doctor.code, 128);
            command_free(&doctor);
        }
    }
    child_kill(pids[1]);
    atomic_store(&vandal->over, 1);
    child_finish(pids[0]);
    child_finish(pids[2]);
    child_finish(pids[3]);
    wait_for_contexts(RING, 0);
    ck_assert_int_eq(ringd_remove(RING), 0);
    make((struct ringd_ring_options){.size = SIZE});
    put(open_writer(RING), RECORD_MIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("single");
    TCase *tests = add_case(suite, "single");

    tcase_add_test(tests, a_second_writer_is_refused);
    tcase_add_test(tests, each_lane_has_one);
    tcase_add_loop_test(tests, the_next_one_comes_in, 0, ENDS);
    tcase_add_test(tests, what_is_said_of_it);
    tcase_add_test(tests, it_stands_in_the_configuration);
    tcase_add_loop_test(tests, every_call_is_read_as_it_was_written, 0, TIMES * POLICIES);
    tcase_add_loop_test(tests, what_does_not_fit_is_told, 0, 2);
    tcase_add_loop_test(tests, lanes_are_merged_by_time, 0, 2);
    tcase_add_test(tests, a_merge_is_not_ahead_of_a_writer);
    tcase_add_test(tests, tail_merges_lanes);
    tcase_add_loop_test(tests, each_record_wakes_who_sleeps, 0, READER_MODES * (WAITS + 1));
    tcase_add_loop_test(tests, each_record_wakes_without_barriers, 1, 8);
    tcase_add_test(tests, the_ring_moves_at_full_speed);
    tcase_add_test(tests, the_daemon_comes_back);
    tcase_add_loop_test(tests, at_each_point_of_a_write, 0, ACTIONS);
    tcase_add_test(tests, bits_that_nobody_owns);
    return run_suite(suite);
}
