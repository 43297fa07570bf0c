/* check_backlog.c - what a lossless reader still has to read of an old generation counts in the new one.
 *
 * A ring that moves gives its writers no more room than it did before, and no less, until the reader has come along: it
 * tells them how it gets on, and nobody who waits for that sleeps on. Where nobody tells (no daemon, a reader that is
 * two generations behind, or has gone) it ends well all the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "support_raw.h"
#include "writer.h"

#define RING   "backlog"
#define SIZE   (UINT64_C(1) << 20)
#define LENGTH 96u                /* of a payload; */
#define TAKES  UINT64_C(128)      /* a record with its header */
#define SOME   (SIZE / TAKES / 4) /* records that are a quarter of the ring */

static void make_lossless(uint32_t lanes)
{
    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .lanes = lanes, .max_record = 128});
}

/* Writes until there is no room; how many that was. */
static uint64_t fill(struct ringd_writer *w)
{
    uint64_t count = 0;
    int result;

    while ((result = write_record(w, LENGTH)) == RINGD_OK)
        count++;
    require(result == RINGD_FULL, "record %" PRIu64 ": %d (%s)", count, result, ringd_strerror(result));
    return count;
}

static void read_some(struct ringd_reader *r, struct tracker *tracker, uint64_t count)
{
    struct ringd_record record;

    for (uint64_t i = 0; i < count; i++) {
        int result = ringd_next(r, &record);

        require(result == RINGD_OK, "record %" PRIu64 ": %d (%s)", i, result, ringd_strerror(result));
        tracker_record(tracker, &record);
    }
    require(ringd_release(r) == RINGD_OK, "release");
}

static void resize(uint64_t size)
{
    require(ringd_resize(RING, size) == 0, "resize: %s", ringd_error());
}

static struct tracker known_from_the_start(void)
{
    struct tracker tracker = {0};

    memset(tracker.known, true, sizeof tracker.known);
    return tracker;
}

/* Steps and head room are a fraction of the ring. */
static void require_near(uint64_t found, uint64_t expected)
{
    require(found <= expected + SOME / 4 && found + SOME / 4 >= expected,
            "room for %" PRIu64 " records, not for some %" PRIu64, found, expected);
}

/* A ring of one lane, its reader, which keeps to the beginning, and a writer that does not wait. */
struct scene {
    struct ringd_reader *r;
    struct ringd_writer *w;
    struct tracker tracker;
};

static struct scene scene_new(void)
{
    struct scene scene = {.tracker = known_from_the_start()};

    make_lossless(1);
    scene.r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    scene.w = open_writer(RING);
    return scene;
}

static void scene_end(struct scene *scene)
{
    ringd_writer_close(scene->w);
    ringd_reader_close(scene->r);
}

/* What somebody finds who comes now and begins with the oldest. */
static uint64_t drain_all(void)
{
    struct ringd_reader *r = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    struct tracker tracker = known_from_the_start();

    ck_assert_int_eq(tracker_drain(&tracker, r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_lost(&tracker), 0);
    ringd_reader_close(r);
    return tracker_delivered(&tracker);
}

START_TEST(a_move_gives_no_more_room_than_there_was)
{
    struct scene scene = scene_new();

    ck_assert_uint_gt(fill(scene.w), 3 * SOME);
    resize(SIZE);
    require_near(fill(scene.w), 0);
    for (int i = 0; i < 3; i++) { /* in the old generation */
        read_some(scene.r, &scene.tracker, SOME);
        require_near(fill(scene.w), SOME);
    }
    ck_assert_uint_eq(ring_info(RING).generation, 2);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    ck_assert_uint_eq(tracker_lost(&scene.tracker), 0);
    require_near(fill(scene.w), 4 * SOME - 4096 / TAKES); /* and in the new one all of it */
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    scene_end(&scene);
}
END_TEST

START_TEST(a_larger_one_gives_the_rest)
{
    struct scene scene = scene_new();

    fill(scene.w);
    resize(2 * SIZE);
    require_near(fill(scene.w), 4 * SOME);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    scene_end(&scene);
}
END_TEST

/* What is behind is more than the new one has room for: there is none until it is less. */
START_TEST(a_smaller_one_waits)
{
    struct scene scene = scene_new();

    fill(scene.w);
    resize(SIZE / 4);
    require_near(fill(scene.w), 0);
    ck_assert_uint_eq(drain_all(), writer_sequence(scene.w));
    read_some(scene.r, &scene.tracker, 2 * SOME);
    require_near(fill(scene.w), 0);
    read_some(scene.r, &scene.tracker, SOME + SOME / 2);
    require_near(fill(scene.w), SOME / 2);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    require_near(fill(scene.w), SOME);
    scene_end(&scene);
}
END_TEST

/* Each lane for itself, and a reader that is told of records in bulk. */
START_TEST(in_every_lane)
{
    struct ringd_record records[64];
    struct ringd_writer *w[2];
    struct ringd_reader *r;
    uint64_t more = 0, read = 0;
    size_t count;

    make_lossless(2);
    r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    for (uint32_t i = 0; i < 2; i++) {
        w[i] = open_writer_with(RING, (struct ringd_writer_options){.lane = i + 1, .deadline = RINGD_NO_WAIT});
        fill(w[i]);
    }
    resize(SIZE);
    for (uint32_t i = 0; i < 2; i++)
        require_near(fill(w[i]), 0);
    for (; read < 4 * SOME; read += count) {
        ck_assert_int_eq(ringd_next_many(r, records, 64, &count), RINGD_OK);
        ck_assert_int_eq(ringd_release(r), RINGD_OK);
    }
    for (uint32_t i = 0; i < 2; i++)
        more += fill(w[i]);
    require_near(more, 4 * SOME);
    for (uint64_t all = writer_sequence(w[0]) + writer_sequence(w[1]); read < all; read += count) {
        ck_assert_int_eq(ringd_next_many(r, records, 64, &count), RINGD_OK);
        ck_assert_int_eq(ringd_release(r), RINGD_OK);
    }
    for (uint32_t i = 0; i < 2; i++) {
        require_near(fill(w[i]), 4 * SOME);
        ringd_writer_close(w[i]);
    }
    ringd_reader_close(r);
}
END_TEST

/* ---- waiting for it ---------------------------------------------------------------------------------------------- */

struct waiter {
    uint64_t to_write;
    _Atomic uint32_t moved;
};

static void write_them(void *argument)
{
    struct waiter *waiter = argument;
    struct ringd_writer *w =
        open_writer_with(RING, (struct ringd_writer_options){.deadline = RINGD_FOREVER, .wait = RINGD_WAIT_SLEEP});

    for (uint64_t i = 0; i < waiter->to_write; i++)
        require(write_record(w, LENGTH) == RINGD_OK, "record %" PRIu64, i);
    ringd_writer_close(w);
}

/* It sleeps in the new generation; half of what is in the old one makes room for what it has to write. */
START_TEST(who_sleeps_for_room_is_woken_from_the_old_generation)
{
    struct waiter *waiter = shared_new(sizeof *waiter);
    struct tracker tracker = known_from_the_start();
    struct ringd_context_info writer;
    struct ringd_reader *r;
    pid_t pid;

    make_lossless(1);
    r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    waiter->to_write = 5 * SOME;
    pid = child_start(write_them, waiter);
    do
        pause_ms(1);
    while (!find_context(RING, RINGD_CONTEXT_WRITER, &writer) || writer.committed < 3 * SOME);
    child_wait_asleep(pid);
    resize(SIZE);
    pause_ms(5);
    child_wait_asleep(pid);
    read_some(r, &tracker, 2 * SOME); /* does not end before the writer does */
    child_finish(pid);
    ck_assert_int_eq(tracker_drain(&tracker, r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&tracker), waiter->to_write);
    ringd_reader_close(r);
}
END_TEST

static void read_nothing(void *argument)
{
    struct waiter *waiter = argument;
    struct ringd_reader *r = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);

    atomic_store(&waiter->moved, 1);
    for (;;)
        pause_ms(1000);
    ringd_reader_close(r);
}

/* Killed, or closed in order: what it had not read is in nobody's way. */
START_TEST(a_reader_that_goes_holds_nobody_up)
{
    struct waiter *waiter = shared_new(sizeof *waiter);
    struct ringd_writer *w;
    pid_t pid;

    make_lossless(1);
    pid = child_start(read_nothing, waiter);
    while (atomic_load(&waiter->moved) == 0)
        pause_ms(1);
    w = open_writer(RING);
    fill(w);
    resize(SIZE);
    require_near(fill(w), 0);
    child_kill(pid);
    wait_for_contexts(RING, 1);
    for (uint64_t i = 0; i < 8 * SOME; i++)
        require(write_record(w, LENGTH) == RINGD_OK, "record %" PRIu64, i);
    ringd_writer_close(w);
}
END_TEST

/* Two moves while it reads: of the generation before the last nobody tells the last one how it gets on. */
START_TEST(a_reader_two_generations_behind_gets_everything)
{
    struct scene scene = scene_new();

    fill(scene.w);
    resize(SIZE);
    read_some(scene.r, &scene.tracker, 3 * SOME);
    require_near(fill(scene.w), 3 * SOME);
    resize(SIZE);
    read_some(scene.r, &scene.tracker, SOME / 2);
    require_near(fill(scene.w), 4 * SOME);
    resize(2 * SIZE);
    fill(scene.w);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    ck_assert_uint_eq(tracker_lost(&scene.tracker), 0);
    require_near(fill(scene.w), 8 * SOME);
    scene_end(&scene);
}
END_TEST

/* It cannot look ahead then: the writer waits until it follows. */
START_TEST(without_a_daemon_it_is_told_at_the_end)
{
    struct scene scene = scene_new();
    uint64_t written;

    fill(scene.w);
    resize(SIZE);
    require_near(fill(scene.w), 0);
    written = writer_sequence(scene.w);
    daemon_kill(&server);
    read_some(scene.r, &scene.tracker, written - 2);
    require_near(fill(scene.w), 0);
    daemon_restart(&server, NULL);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    require_near(fill(scene.w), 4 * SOME);
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    scene_end(&scene);
}
END_TEST

/* ---- what it says is input --------------------------------------------------------------------------------------- */

static const uint64_t nonsense[] = {1, RINGD_UNIT, SIZE, 3 * SIZE, UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX};

/* It holds writers up, as a reader may that reads nothing, and no more: nobody is put out or crashes for it, and once
 * it makes sense again they go on. */
START_TEST(nonsense_is_a_slow_reader)
{
    struct scene scene = scene_new();
    _Atomic uint64_t *behind;

    behind = &scene.r->lanes[0].cursor->behind;
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        fill(scene.w);
        ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
        atomic_store(behind, nonsense[i]);
        fill(scene.w);
        ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
        atomic_store(behind, 0);
        require_near(fill(scene.w), 4 * SOME);
    }
    ck_assert_int_eq(tracker_drain(&scene.tracker, scene.r), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&scene.tracker), writer_sequence(scene.w));
    scene_end(&scene);
}
END_TEST

/* The answer to the question what is ahead of a generation; how many descriptors came along. */
static int ask_ahead(int fd, uint64_t generation, struct proto_reply *reply)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS], count = 0;
    struct ringd_request request;

    proto_request_init(&request, RINGD_REQUEST_AHEAD, RING);
    request.position = generation;
    require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
    require(raw_receive_descriptors(fd, reply, descriptors) >= sizeof reply->head, "no answer");
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++) {
        count += descriptors[i] >= 0;
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    }
    return count;
}

static const uint32_t others[] = {0, RINGD_CONTEXT_WRITER, RINGD_CONTEXT_LOSSY, RINGD_CONTEXT_OBSERVER};

/* The cursors of the next generation are for lossless readers only: others must not write them, or have no use. */
START_TEST(nobody_else_looks_ahead)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS] = {-1, -1, -1}, fd = raw_connect();
    struct proto_reply reply;

    make_lossless(1);
    if (others[_i] != 0)
        ck_assert_int_eq(raw_attach(fd, RING, others[_i], descriptors), 0);
    resize(SIZE);
    ck_assert_int_eq(ask_ahead(fd, 1, &reply), 0);
    ck_assert_int_eq(reply.head.result, -EINVAL);
    close(fd);
}
END_TEST

/* And does not count as one who has left the old one, however often it looks. */
START_TEST(a_reader_looks_ahead_by_one)
{
    static const uint64_t wrong[] = {0, 2, 3, 4, UINT64_MAX};
    int descriptors[RINGD_PROTO_DESCRIPTORS], fd = raw_connect();
    struct proto_reply reply;
    unsigned objects;

    make_lossless(1);
    ck_assert_int_eq(raw_attach(fd, RING, RINGD_CONTEXT_LOSSLESS, descriptors), 0);
    ck_assert_int_eq(ask_ahead(fd, 1, &reply), 0);
    ck_assert_int_eq(reply.head.result, -EALREADY); /* there is none */
    resize(SIZE);
    resize(SIZE);
    objects = daemon_objects(&server);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(ask_ahead(fd, wrong[i], &reply), 0);
        ck_assert_int_eq(reply.head.result, -EALREADY);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ask_ahead(fd, 1, &reply), 1);
        ck_assert_int_eq(reply.head.result, 0);
        ck_assert_uint_eq(reply.head.position, 2);
    }
    ck_assert_uint_eq(daemon_objects(&server), objects);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backlog");
    TCase *tests = add_case(suite, "backlog");

    tcase_add_test(tests, a_move_gives_no_more_room_than_there_was);
    tcase_add_test(tests, a_larger_one_gives_the_rest);
    tcase_add_test(tests, a_smaller_one_waits);
    tcase_add_test(tests, in_every_lane);
    tests = add_case(suite, "waiting");
    tcase_add_test(tests, who_sleeps_for_room_is_woken_from_the_old_generation);
    tcase_add_test(tests, a_reader_that_goes_holds_nobody_up);
    tcase_add_test(tests, a_reader_two_generations_behind_gets_everything);
    tcase_add_test(tests, without_a_daemon_it_is_told_at_the_end);
    tests = add_case(suite, "input");
    tcase_add_test(tests, nonsense_is_a_slow_reader);
    tcase_add_loop_test(tests, nobody_else_looks_ahead, 0, 4);
    tcase_add_test(tests, a_reader_looks_ahead_by_one);
    return run_suite(suite);
}
