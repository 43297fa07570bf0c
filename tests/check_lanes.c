/* check_lanes.c - rings of several lanes: who gets into which, what holds in each, and that nothing in one lane is
 * taken for something in another.
 *
 * Writers use the public calls, in processes of their own. What they wrote is looked at from outside, lane by lane, in
 * the memory of an observer that attaches with plain messages (struct view); lossless readers are such too: they hold
 * writers up by their cursors, which the test moves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reader.h"
#include "reader_message.h"
#include "ring_move.h"
#include "segment.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_raw.h"
#include "writer.h"

#define RING    "lanes"
#define SLOTS   (RINGD_LANES_MAX * RINGD_WRITERS_PER_LANE)
#define LANES   3u
#define PAYLOAD 40u

/* ---- a look from outside ----------------------------------------------------------------------------------------- */

struct view {
    int fd, life_fd;
    struct proto_reply reply;
    struct segment segment;
    struct ring lanes[RINGD_LANES_MAX];
};

static void view_map(struct view *view, const int *descriptors, enum segment_grade grade)
{
    require(segment_map(&view->segment, descriptors[0], descriptors[1], grade) == 0, "cannot map");
    for (uint32_t i = 0; i < view->segment.geometry.lane_count; i++)
        ring_init(&view->lanes[i], &view->segment, i);
    close(descriptors[0]);
    close(descriptors[1]);
}

/* The result of an attach; 0: to be closed. */
static int view_try(struct view *view, struct ringd_request request)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    enum segment_grade grade = request.kind == RINGD_CONTEXT_WRITER     ? SEGMENT_WRITER
                               : request.kind == RINGD_CONTEXT_OBSERVER ? SEGMENT_OBSERVER
                                                                        : SEGMENT_READER;

    *view = (struct view){.fd = raw_connect()};
    require(raw_send(view->fd, &request, sizeof request), "the daemon has hung up");
    require(raw_receive_descriptors(view->fd, &view->reply, descriptors) >= sizeof view->reply.head, "no answer");
    if (view->reply.head.result < 0) {
        close(view->fd);
        return view->reply.head.result;
    }
    view_map(view, descriptors, grade);
    view->life_fd = descriptors[2];
    return 0;
}

static struct ringd_request wish(uint32_t kind, uint32_t start)
{
    struct ringd_request request;

    proto_request_init(&request, RINGD_REQUEST_ATTACH, RING);
    request.kind = kind;
    request.start = start;
    return request;
}

static struct ringd_request writer_wish(uint32_t lane)
{
    struct ringd_request request = wish(RINGD_CONTEXT_WRITER, 0);

    request.lane = lane;
    return request;
}

static void view_open(struct view *view, uint32_t kind, uint32_t start)
{
    int result = view_try(view, wish(kind, start));

    require(result == 0, "%d (%s)", result, view->reply.head.text);
}

static void view_close(struct view *view)
{
    segment_unmap(&view->segment);
    close(view->life_fd);
    close(view->fd);
}

/* The next generation, on the same connection. */
static void view_follow(struct view *view)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_request request;

    proto_request_init(&request, RINGD_REQUEST_FOLLOW, RING);
    request.position = view->segment.geometry.generation;
    require(raw_send(view->fd, &request, sizeof request), "the daemon has hung up");
    require(raw_receive_descriptors(view->fd, &view->reply, descriptors) >= sizeof view->reply.head, "no answer");
    require(view->reply.head.result == 0, "%d (%s)", view->reply.head.result, view->reply.head.text);
    segment_unmap(&view->segment);
    view_map(view, descriptors, SEGMENT_OBSERVER);
}

static uint64_t cursor_of(const struct view *view, uint32_t lane)
{
    return atomic_load(&view->lanes[lane].cursors[view->reply.head.slot].position);
}

/* What a reader that has read all of a lane would store. */
static void release_lane(struct view *view, uint32_t lane)
{
    uint64_t position;

    require(ring_position(&view->lanes[lane], &position) == 0, "no position");
    atomic_store(&view->lanes[lane].cursors[view->reply.head.slot].position, position);
}

/* ---- what is in a lane ------------------------------------------------------------------------------------------- */

/* Of all writers, over the generations. */
struct tally {
    uint64_t next[SLOTS];
    uint64_t records;
};

/* Every record from `from` to `to`: whole, of a writer of this lane, and its next. */
static void walk(const struct view *view, uint32_t lane, uint64_t from, uint64_t to, const struct ring_tail *tail,
                 struct tally *tally)
{
    const struct ring *ring = &view->lanes[lane];

    while (from != to) {
        const struct ring_range *gone = tail != NULL ? ring_gone_at(tail, from) : NULL;
        const struct ringd_record_header *h = ring_header(ring, from);
        uint64_t state = ring_stamp_state(ring, from, memory_order_acquire), extent = atomic_load(&h->extent);
        struct ringd_record record = {.data = h + 1,
                                      .len = (uint32_t)extent,
                                      .sequence = extent >> 32,
                                      .writer = (uint32_t)(atomic_load(&h->origin) & RINGD_ORIGIN_WRITER_MASK)};

        if (gone != NULL) {
            from = gone->end;
            continue;
        }
        require(ring_state_valid(state), "no stamp at %ju of lane %u", (uintmax_t)from, lane + 1);
        from += ring_record_bytes(record.len);
        if (state != RINGD_STATE_COMMITTED)
            continue;
        require(record.writer / RINGD_WRITERS_PER_LANE == lane, "a record of writer %u in lane %u", record.writer,
                lane + 1);
        record_verify(&record);
        require(record.sequence == tally->next[record.writer], "record %ju of writer %u instead of %ju",
                (uintmax_t)record.sequence, record.writer, (uintmax_t)tally->next[record.writer]);
        tally->next[record.writer]++;
        tally->records++;
    }
}

/* All of the generation it is in, which is not written any more. */
static void walk_generation(const struct view *view, struct tally *tally)
{
    for (uint32_t i = 0; i < view->segment.geometry.lane_count; i++) {
        uint64_t end;

        require(ring_oldest(&view->lanes[i]) == segment_lane_first(&view->segment, i), "lane %u was overwritten",
                i + 1);
        if (ring_moving(&view->lanes[i]) == RINGD_MOVING_DONE) {
            struct ring_tail tail;

            require(ring_read_tail(&view->lanes[i], &tail) == 0, "lane %u has no end", i + 1);
            walk(view, i, segment_lane_first(&view->segment, i), tail.end, &tail, tally);
        } else {
            require(ring_position(&view->lanes[i], &end) == 0, "no position");
            walk(view, i, segment_lane_first(&view->segment, i), end, NULL, tally);
        }
    }
}

/* From the generation that the view is in to the present one, each lane going on where it ended. */
static void walk_all(struct view *view, uint64_t generation, struct tally *tally)
{
    for (;;) {
        uint64_t ends[RINGD_LANES_MAX];
        struct ring_tail tail;

        walk_generation(view, tally);
        if (view->segment.geometry.generation == generation)
            return;
        for (uint32_t i = 0; i < view->segment.geometry.lane_count; i++) {
            require(ring_read_tail(&view->lanes[i], &tail) == 0, "lane %u has no end", i + 1);
            ends[i] = tail.end;
        }
        view_follow(view);
        for (uint32_t i = 0; i < view->segment.geometry.lane_count; i++)
            require(segment_lane_first(&view->segment, i) == ends[i], "lane %u begins at %ju, not %ju", i + 1,
                    (uintmax_t)segment_lane_first(&view->segment, i), (uintmax_t)ends[i]);
    }
}

/* ---- small things ------------------------------------------------------------------------------------------------ */

static uint32_t lane_of(const struct ringd_writer *writer)
{
    return writer_slot(writer) / RINGD_WRITERS_PER_LANE;
}

static void make(struct ringd_ring_options options)
{
    if (options.lanes == 0)
        options.lanes = LANES;
    make_ring(RING, options);
}

/* Writers in lanes 1, 2, 3 ... of an empty ring. */
static void open_in_each(struct ringd_writer *writers[], uint32_t lanes)
{
    for (uint32_t i = 0; i < lanes; i++) {
        writers[i] = open_writer(RING);
        ck_assert_uint_eq(lane_of(writers[i]), i);
    }
}

static void close_all(struct ringd_writer *writers[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ringd_writer_close(writers[i]);
}

/* Until there is no room; how many records that were. */
static uint64_t fill(struct ringd_writer *writer, uint64_t most)
{
    uint64_t count = 0;
    int result = RINGD_OK;

    while (count < most && (result = write_record(writer, PAYLOAD)) == RINGD_OK)
        count++;
    require(result == RINGD_OK || result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
    return count;
}

/* ringctl has to end with this code and to print this; NULL: whatever. */
static void require_doctor(int code, const char *text)
{
    struct command command;

    ringctl(&command, "", 0, "doctor", RING, NULL);
    require(command.code == code && (text == NULL || strstr(command.out, text) != NULL), "%d: %s%s", command.code,
            command.out, command.err);
    command_free(&command);
}

static void require_printed(const char *text, int code, const struct command *command)
{
    require(command->code == code && strstr(code == 0 ? command->out : command->err, text) != NULL,
            "%d, and \"%s\" is not in: %s%s", command->code, text, command->out, command->err);
}

static bool context_of(uint32_t kind, uint32_t slot, struct ringd_context_info *info)
{
    static struct ringd_context_info all[SLOTS + RINGD_READERS_MAX];
    size_t count;

    require(ringd_status(RING, NULL, all, sizeof all / sizeof all[0], &count) == 0, "status");
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind != kind || all[i].slot != slot)
            continue;
        *info = all[i];
        return true;
    }
    return false;
}

/* ---- making them ------------------------------------------------------------------------------------------------- */

START_TEST(a_ring_has_the_lanes_it_was_made_with)
{
    static const uint32_t counts[] = {1, 2, 3, 17, 64};
    struct command command;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct ringd_info info;

        make((struct ringd_ring_options){.size = 4096, .lanes = counts[i], .first_position = 320});
        info = ring_info(RING);
        ck_assert_uint_eq(info.lanes, counts[i]);
        ck_assert_uint_eq(info.size, 4096);
        ck_assert_uint_eq(info.position, counts[i] * UINT64_C(320));
        require_doctor(0, NULL);
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
    ringctl(&command, "", 0, "create", RING, "--lanes", "4", "--size", "64K", "--json", NULL);
    require_printed("\"lanes\": 4", 0, &command);
    command_free(&command);
    ringctl(&command, "", 0, "list", "--json", NULL);
    require_printed("\"lanes\": 4", 0, &command);
    command_free(&command);
    ringctl(&command, "", 0, "status", RING, "--interval", "0", NULL);
    require_printed("in each of 4 lanes", 0, &command);
    command_free(&command);
    ringctl(&command, "", 0, "create", "more", "--lanes", "65", NULL);
    require_printed("from 1 to 64", 2, &command);
    command_free(&command);
}
END_TEST

START_TEST(the_configuration_makes_them)
{
    daemon_terminate(&server);
    daemon_restart(&server, "[ring " RING "]\nlanes = 7\nsize = 8K\n");
    ck_assert_uint_eq(ring_info(RING).lanes, 7);
}
END_TEST

/* ---- writers get into them --------------------------------------------------------------------------------------- */

START_TEST(a_writer_goes_where_there_are_fewest)
{
    struct ringd_writer *writers[7];
    struct ringd_context_info info;

    make((struct ringd_ring_options){.size = 65536});
    for (uint32_t i = 0; i < 6; i++) {
        writers[i] = open_writer(RING);
        ck_assert_uint_eq(lane_of(writers[i]), i % LANES);
        ck_assert(context_of(RINGD_CONTEXT_WRITER, writer_slot(writers[i]), &info));
        ck_assert_uint_eq(info.lane, i % LANES + 1);
    }
    ringd_writer_close(writers[1]);
    ringd_writer_close(writers[4]);
    wait_for_contexts(RING, 4);
    writers[1] = open_writer(RING);
    writers[4] = open_writer(RING);
    writers[6] = open_writer(RING);
    ck_assert_uint_eq(lane_of(writers[1]), 1);
    ck_assert_uint_eq(lane_of(writers[4]), 1);
    ck_assert_uint_eq(lane_of(writers[6]), 0);
    close_all(writers, 7);
}
END_TEST

START_TEST(a_writer_gets_the_lane_it_asks_for)
{
    static struct view views[LANES * RINGD_WRITERS_PER_LANE], more;
    uint32_t count = 0;

    make((struct ringd_ring_options){.size = 4096});
    for (; count < RINGD_WRITERS_PER_LANE; count++) {
        ck_assert_int_eq(view_try(&views[count], writer_wish(2)), 0);
        ck_assert_uint_eq(views[count].reply.head.slot / RINGD_WRITERS_PER_LANE, 1);
    }
    ck_assert_int_eq(view_try(&more, writer_wish(2)), -EUSERS);
    ck_assert_msg(strstr(more.reply.head.text, "lane 2") != NULL, "%s", more.reply.head.text);
    ck_assert_int_eq(view_try(&more, writer_wish(4)), -EINVAL);
    ck_assert_msg(strstr(more.reply.head.text, "no lane 4") != NULL, "%s", more.reply.head.text);
    ck_assert_int_eq(view_try(&more, writer_wish(UINT32_MAX)), -EINVAL);
    for (; count < LANES * RINGD_WRITERS_PER_LANE; count++) {
        ck_assert_int_eq(view_try(&views[count], writer_wish(0)), 0);
        ck_assert_uint_ne(views[count].reply.head.slot / RINGD_WRITERS_PER_LANE, 1);
    }
    ck_assert_int_eq(view_try(&more, writer_wish(0)), -EUSERS);
    ck_assert_msg(strstr(more.reply.head.text, "its 93 writers") != NULL, "%s", more.reply.head.text);
    while (count > 0)
        view_close(&views[--count]);
}
END_TEST

/* ---- each is a ring of its own ----------------------------------------------------------------------------------- */

struct crowd {
    uint64_t records; /* each writer's; 0: until it is over */
    size_t most;      /* bytes of payload */
    _Atomic uint32_t ready, over;
    _Atomic uint64_t written;
};

static void write_in_crowd(void *argument)
{
    struct crowd *crowd = argument;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct random_source random = {.state = support_seed() + atomic_fetch_add(&crowd->ready, 1)};
    uint64_t count = 0;

    while (crowd->records != 0 ? count < crowd->records : atomic_load(&crowd->over) == 0) {
        int result = write_record(w, RECORD_MIN + random_below(&random, crowd->most - RECORD_MIN));

        require(result == RINGD_OK, "%d (%s)", result, ringd_strerror(result));
        count++;
    }
    atomic_fetch_add(&crowd->written, count);
    ringd_writer_close(w);
}

START_TEST(each_lane_keeps_its_order)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct tally *tally = shared_new(sizeof *tally);
    struct view view;
    pid_t pids[7];

    *crowd = (struct crowd){.records = 2000, .most = 256};
    make((struct ringd_ring_options){.size = UINT64_C(1) << 21, .max_record = 1024});
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    for (int i = 0; i < 7; i++)
        pids[i] = child_start(write_in_crowd, crowd);
    for (int i = 0; i < 7; i++)
        child_finish(pids[i]);
    walk_all(&view, 1, tally);
    ck_assert_uint_eq(tally->records, 7 * 2000);
    ck_assert_uint_eq(ring_info(RING).committed, 7 * 2000);
    require_doctor(0, NULL);
    view_close(&view);
}
END_TEST

/* ---- lossless readers join and hold all of them -------------------------------------------------------------------
 */

START_TEST(a_lossless_reader_holds_every_lane)
{
    struct ringd_writer *writers[LANES];
    struct view reader;
    uint64_t oldest[LANES];

    make((struct ringd_ring_options){.size = 8192, .max_record = 64});
    open_in_each(writers, LANES);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(fill(writers[i], 100 * (i + 1)), 100 * (i + 1)); /* nobody is in the way yet */
    view_open(&reader, RINGD_CONTEXT_LOSSLESS, _i == 0 ? RINGD_START_OLDEST : RINGD_START_NOW);
    ck_assert_uint_eq(reader.reply.head.position, cursor_of(&reader, 0));
    for (uint32_t i = 0; i < LANES; i++) {
        uint64_t position;

        ck_assert_int_eq(ring_position(&reader.lanes[i], &position), 0);
        oldest[i] = ring_oldest(&reader.lanes[i]);
        ck_assert_uint_eq(cursor_of(&reader, i), _i == 0 ? oldest[i] : position);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        ck_assert_uint_lt(fill(writers[i], 1000), 1000);
        ck_assert(cursor_of(&reader, i) >= ring_oldest(&reader.lanes[i]));
    }
    release_lane(&reader, 1);
    ck_assert_uint_eq(fill(writers[0], 10), 0);
    ck_assert_uint_eq(fill(writers[1], 10), 10);
    ck_assert_uint_eq(fill(writers[2], 10), 0);
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 1);
    view_close(&reader);
    wait_for_contexts(RING, LANES);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(fill(writers[i], 1000), 1000);
    close_all(writers, LANES);
}
END_TEST

static void write_on_and_on(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct crowd *crowd = argument;

    atomic_fetch_add(&crowd->ready, 1);
    while (atomic_load(&crowd->over) == 0) {
        int result = write_record(w, PAYLOAD);

        require(result == RINGD_OK || result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
        atomic_fetch_add(&crowd->written, result == RINGD_FULL);
    }
    ringd_writer_close(w);
}

/* Writers lap the ring all the time. Wherever the reader joins, in no lane is what it starts at overwritten. */
START_TEST(a_lossless_join_holds_in_every_lane_under_load)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    pid_t pids[LANES];

    make((struct ringd_ring_options){.size = 4096, .max_record = 64});
    for (uint32_t i = 0; i < LANES; i++)
        pids[i] = child_start(write_on_and_on, crowd);
    while (atomic_load(&crowd->ready) < LANES)
        pause_ms(1);
    for (int round = 0; round < 300; round++) {
        struct view reader;

        view_open(&reader, RINGD_CONTEXT_LOSSLESS, round % 2 == 0 ? RINGD_START_OLDEST : RINGD_START_NOW);
        for (uint32_t i = 0; i < LANES; i++) {
            uint64_t full = atomic_load(&crowd->written);

            while (atomic_load(&crowd->written) < full + LANES)
                sched_yield();
        }
        for (uint32_t i = 0; i < LANES; i++) {
            uint64_t cursor = cursor_of(&reader, i), position;

            require(ring_position(&reader.lanes[i], &position) == 0, "no position");
            require((int64_t)(cursor - ring_oldest(&reader.lanes[i])) >= 0, "lane %u went past its reader", i + 1);
            require(cursor == position || ring_record_at(&reader.lanes[i], cursor), "no record at the start in lane %u",
                    i + 1);
        }
        view_close(&reader);
    }
    atomic_store(&crowd->over, 1);
    for (uint32_t i = 0; i < LANES; i++)
        child_finish(pids[i]);
}
END_TEST

/* What a daemon leaves that dies while somebody joins holds nobody up. */
START_TEST(the_daemon_dies_in_a_join)
{
    static const struct {
        const char *point;
        unsigned nth;
    } deaths[] = {{"join-cursor", 1},  {"join-cursor", 3},  {"join-lossless", 1},
                  {"join-counted", 2}, {"join-counted", 3}, {"join-published", 2}};
    struct ringd_writer *writers[LANES];

    if (!at_point_allowed("the_daemon_dies_in_a_join"))
        return;
    make((struct ringd_ring_options){.size = 4096, .max_record = 64});
    open_in_each(writers, LANES);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        struct ringd_request request = wish(RINGD_CONTEXT_LOSSLESS, RINGD_START_OLDEST);
        struct proto_reply reply;
        int fd;

        daemon_kill(&server);
        require(daemon_restart_to_die(&server, deaths[i].point, deaths[i].nth), "it died at its start");
        fd = raw_connect();
        require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
        require(raw_receive(fd, &reply) == 0, "it went on at %s", deaths[i].point);
        close(fd);
        child_wait(server.pid);
        daemon_restart(&server, NULL);
        for (uint32_t lane = 0; lane < LANES; lane++)
            ck_assert_uint_eq(fill(writers[lane], 300), 300);
        require_doctor(0, NULL);
    }
    close_all(writers, LANES);
}
END_TEST

/* ---- where to start -----------------------------------------------------------------------------------------------
 */

START_TEST(what_is_not_in_the_ring_is_no_start)
{
    struct view view;
    struct ringd_writer *writers[LANES];

    make((struct ringd_ring_options){.size = 65536});
    for (uint32_t kind = RINGD_CONTEXT_LOSSLESS; kind <= RINGD_CONTEXT_OBSERVER; kind++) {
        ck_assert_int_eq(view_try(&view, wish(kind, RINGD_START_POSITION)), -EOPNOTSUPP);
        ck_assert_msg(strstr(view.reply.head.text, "3 lanes") != NULL, "%s", view.reply.head.text);
        ck_assert_int_eq(view_try(&view, wish(kind, RINGD_START_TIME)), -EOPNOTSUPP);
        ck_assert_msg(strstr(view.reply.head.text, "--time") != NULL, "%s", view.reply.head.text);
        ck_assert_int_eq(view_try(&view, wish(kind, RINGD_START_TIME + 1)), -EINVAL);
    }
    ck_assert_int_eq(ringd_remove(RING), 0);
    make((struct ringd_ring_options){.size = 65536, .time = RINGD_TIME_MONOTONIC});
    open_in_each(writers, LANES);
    fill(writers[2], 20);
    view_open(&view, RINGD_CONTEXT_LOSSLESS, RINGD_START_TIME);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(cursor_of(&view, i), segment_lane_first(&view.segment, i));
    view_close(&view);
    close_all(writers, LANES);
}
END_TEST

/* ---- deaths, stops and slow readers --------------------------------------------------------------------------------
 */

/* In the last lane: the test has a writer in each of the others. */
static void write_until_stopped(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    require(lane_of(w) == LANES - 1, "lane %u", lane_of(w));
    for (int i = 0; i < 10; i++)
        require(write_record(w, PAYLOAD) == RINGD_OK, "write");
    (void)argument;
    ringd_writer_close(w);
}

START_TEST(a_death_in_any_lane_is_repaired)
{
    static const char *const points[] = {"reserve-begin", "reserve-added", "reserve-exact", "commit-stamped"};
    struct ringd_writer *writers[LANES];
    uint64_t lost = 0;

    if (!at_point_allowed("a_death_in_any_lane_is_repaired"))
        return;
    make((struct ringd_ring_options){.size = 8192, .max_record = 64});
    open_in_each(writers, LANES - 1);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct at_point at = at_point_start(points[i], STOP_KILL, 3, write_until_stopped, NULL);
        int code = at_point_finish(&at);

        require(code == STOP_EXIT_KILLED, "%s: %d", points[i], code);
        wait_for_contexts(RING, LANES - 1);
        writers[LANES - 1] = open_writer(RING);
        ck_assert_uint_eq(lane_of(writers[LANES - 1]), LANES - 1);
        for (uint32_t lane = 0; lane < LANES; lane++)
            ck_assert_uint_eq(fill(writers[lane], 200), 200);
        ck_assert_uint_ge(ring_info(RING).lost, lost);
        lost = ring_info(RING).lost;
        ringd_writer_close(writers[LANES - 1]);
        wait_for_contexts(RING, LANES - 1);
        require_doctor(0, NULL);
    }
    ck_assert_uint_ge(lost, 2);
    close_all(writers, LANES - 1);
}
END_TEST

/* Stops itself with a grant open; then commits it, and writes another record. */
static void stop_in_record(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    unsigned char *data;
    size_t granted;

    (void)argument;
    require(ringd_reserve(w, PAYLOAD, PAYLOAD, (void **)&data, &granted) == RINGD_OK, "reserve");
    record_make(data, PAYLOAD, writer_slot(w), writer_sequence(w));
    raise(SIGSTOP);
    require(ringd_commit(w, PAYLOAD) == RINGD_OK, "commit");
    require(write_record(w, PAYLOAD) == RINGD_OK, "write");
    ringd_writer_close(w);
}

static pid_t stopped_in_last_lane(void)
{
    struct ringd_context_info info = {0};
    pid_t pid = child_start(stop_in_record, NULL);

    while (!context_of(RINGD_CONTEXT_WRITER, (LANES - 1) * RINGD_WRITERS_PER_LANE, &info) ||
           info.state != RINGD_CONTEXT_STOPPED)
        pause_ms(1);
    return pid;
}

/* There is one in each lane: it takes one more in those before. */
static struct ringd_writer *open_beside(uint32_t lane)
{
    struct ringd_writer *writers[LANES];
    uint32_t count = 0;

    do
        writers[count] = open_writer(RING);
    while (lane_of(writers[count++]) != lane && count < LANES);
    require(lane_of(writers[count - 1]) == lane, "lane %u", lane_of(writers[count - 1]));
    close_all(writers, count - 1);
    return writers[count - 1];
}

/* How far others can go is told of the lane where it stands. */
START_TEST(a_stopped_writer_is_told_in_its_lane)
{
    struct ringd_writer *writers[LANES];
    struct ringd_context_info info;
    struct view view;
    uint64_t position;
    pid_t pid;

    make((struct ringd_ring_options){.size = 65536});
    open_in_each(writers, LANES - 1);
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    pid = stopped_in_last_lane();
    for (uint32_t i = 0; i < LANES - 1; i++)
        fill(writers[i], 100 * (i + 1));
    ck_assert(context_of(RINGD_CONTEXT_WRITER, (LANES - 1) * RINGD_WRITERS_PER_LANE, &info));
    ck_assert_uint_eq(info.lane, LANES);
    ck_assert_int_eq(ring_position(&view.lanes[LANES - 1], &position), 0);
    ck_assert_uint_eq(info.ahead, (atomic_load(&view.lanes[LANES - 1].lane->limit) & RINGD_POSITION_MASK) - position);
    child_continue(pid);
    child_finish(pid);
    view_close(&view);
    close_all(writers, LANES - 1);
}
END_TEST

/* A reader that is far behind in one lane is not in the way of a writer in another. */
START_TEST(a_slow_reader_is_one_in_the_writers_lane)
{
    struct ringd_writer *writers[LANES];
    struct view first, last;
    int64_t begin;

    make((struct ringd_ring_options){.size = 8192, .max_record = 64, .slow = RINGD_SLOW_EVICT, .slow_after_ms = 50});
    open_in_each(writers, LANES);
    view_open(&first, RINGD_CONTEXT_LOSSLESS, RINGD_START_NOW);
    view_open(&last, RINGD_CONTEXT_LOSSLESS, RINGD_START_NOW);
    for (uint32_t i = 0; i < LANES; i++)
        fill(writers[i], 1000);
    release_lane(&first, LANES - 1); /* it keeps back the others, where nobody waits */
    begin = now_ns();
    ringd_writer_deadline(writers[LANES - 1], RINGD_FOREVER);
    while (ring_info(RING).lossless_readers == 2)
        require(write_record(writers[LANES - 1], PAYLOAD) == RINGD_OK, "after %jd ns", (intmax_t)(now_ns() - begin));
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 1);
    ck_assert_uint_eq(atomic_load(&first.segment.control->readers[first.reply.head.slot].state), RINGD_OWNER_LOSSLESS);
    ck_assert_uint_eq(atomic_load(&first.segment.control->readers[last.reply.head.slot].state), RINGD_OWNER_EVICTED);
    ck_assert_uint_eq(fill(writers[0], 10), 0);
    view_close(&first);
    view_close(&last);
    close_all(writers, LANES);
}
END_TEST

/* ---- doctor --------------------------------------------------------------------------------------------------------
 */

START_TEST(doctor_says_in_which_lane)
{
    struct ringd_writer *writers[LANES];
    struct ringd_record_header *h;
    struct ringd_cursor *cursor;
    struct view view;
    struct command command;
    struct ringd_context_info info;

    make((struct ringd_ring_options){.size = 65536});
    open_in_each(writers, LANES);
    for (uint32_t i = 0; i < LANES; i++)
        fill(writers[i], 50);
    view_open(&view, RINGD_CONTEXT_LOSSLESS, RINGD_START_NOW);
    for (uint32_t i = 0; i < LANES; i++)
        fill(writers[i], 50);
    require_doctor(0, "lane 3: 100 records");

    cursor = &view.lanes[1].cursors[view.reply.head.slot];
    atomic_store(&cursor->settling, 2);
    atomic_store(&cursor->settled, 2);
    require_doctor(8, "in lane 2 2 too many are accounted for");
    atomic_store(&cursor->settling, 0);
    atomic_store(&cursor->settled, 0);
    atomic_store(&view.segment.reader_slots[view.reply.head.slot].delivered, 1000);
    require_doctor(8, "1000 more are in its hands");
    atomic_store(&view.segment.reader_slots[view.reply.head.slot].delivered, 0);
    require_doctor(0, NULL);

    /* Known, and counted from the first one it got: as a reader has it that has released all in lane 2. */
    ck_assert(context_of(RINGD_CONTEXT_LOSSLESS, view.reply.head.slot, &info));
    ck_assert_uint_eq(info.lag, LANES * 50 * ring_record_bytes(PAYLOAD));
    atomic_store(&cursor->base, 50);
    atomic_store(&cursor->known, 1);
    atomic_store(&cursor->settling, 50);
    release_lane(&view, 1);
    atomic_store(&cursor->settled, 50);
    atomic_store(&view.segment.reader_slots[view.reply.head.slot].delivered, 40);
    atomic_store(&view.segment.reader_slots[view.reply.head.slot].skipped, 10);
    require_doctor(0, "40 delivered + 10 skipped");
    ck_assert(context_of(RINGD_CONTEXT_LOSSLESS, view.reply.head.slot, &info));
    ck_assert_uint_eq(info.lag, (LANES - 1) * 50 * ring_record_bytes(PAYLOAD));
    ck_assert_uint_eq(info.skipped, 10);

    atomic_fetch_add(&writers[2]->ring.slot->refused, 1);
    require_doctor(8, "lane 3: (pid ");
    atomic_fetch_sub(&writers[2]->ring.slot->refused, 1);
    h = ring_header(&writers[1]->ring.ring, segment_lane_first(&view.segment, 1));
    atomic_fetch_xor(&h->stamp, 32);
    require_doctor(8, "lane 2: damaged at position");
    ringctl(&command, "", 0, "doctor", RING, "--json", NULL);
    require(command.code == 8 && strstr(command.out, "\"lane\": 2") != NULL, "%s", command.out);
    command_free(&command);
    atomic_fetch_xor(&h->stamp, 32);
    require_doctor(0, NULL);
    view_close(&view);
    close_all(writers, LANES);
}
END_TEST

/* ---- releasing --------------------------------------------------------------------------------------------------- */

/* How those who release may differ. */
static const struct releaser {
    uint32_t mode, merge;
    const char *cursor;
    struct ringd_ring_options ring;
} releasers[] = {
    {RINGD_READ_LOSSLESS, RINGD_MERGE_NONE, NULL, {.policy = RINGD_LOSSLESS}},
    {RINGD_READ_LOSSLESS, RINGD_MERGE_TIME, "name", {.policy = RINGD_LOSSLESS}},
    {RINGD_READ_LOSSLESS, RINGD_MERGE_NONE, "name", {.slow = RINGD_SLOW_LOSSY, .slow_bytes = 8192}},
    {RINGD_READ_LOSSY, RINGD_MERGE_NONE, "name", {.policy = RINGD_OVERWRITE}},
    {RINGD_READ_LOSSY, RINGD_MERGE_TIME, NULL, {.policy = RINGD_OVERWRITE}},
    {RINGD_READ_OBSERVE, RINGD_MERGE_NONE, NULL, {.policy = RINGD_OVERWRITE}},
};

#define RELEASERS (int)(sizeof releasers / sizeof *releasers)

static struct ringd_reader *open_releaser(const struct releaser *releaser)
{
    static const uint16_t wanted[] = {0};
    struct ringd_filter filter = {.types = wanted, .type_count = 1};
    struct ringd_reader_options options = {
        .mode = releaser->mode, .merge = releaser->merge, .cursor = releaser->cursor, .filter = &filter};

    return open_reader_with(RING, options);
}

/* Whatever comes of it. */
static void write_something(struct ringd_writer *writer, struct random_source *random)
{
    static char message[3000];
    size_t granted;
    void *place;

    ringd_writer_label(writer, random_below(random, 3) == 0, 0);
    switch (random_below(random, 8)) {
    case 0:
        if (ringd_reserve(writer, 1, 100, &place, &granted) == RINGD_OK)
            ringd_abort(writer);
        return;
    case 1:
        ringd_write_message(writer, message, random_below(random, sizeof message));
        return;
    default:
        for (uint64_t i = random_below(random, 30); i > 0; i--)
            ringd_write(writer, message, PAYLOAD);
    }
}

static void read_something(struct ringd_reader *reader, struct random_source *random)
{
    struct ringd_record records[10];
    size_t count;

    for (uint64_t i = random_below(random, 20); i > 0; i--)
        ringd_next(reader, records);
    if (random_below(random, 2) == 0)
        ringd_next_many(reader, records, 1 + random_below(random, 10), &count);
}

/* What is given back is so in every lane. */
static void require_released(const struct ringd_reader *reader)
{
    for (uint32_t i = 0; i < reader->lane_count; i++) {
        const struct reader_lane *l = &reader->lanes[i];

        require(l->released == l->position, "lane %u", i + 1);
        if (reader->mode == RINGD_READ_OBSERVE)
            continue;
        require(atomic_load(&l->cursor->position) == l->position, "lane %u: %ju, not %ju", i + 1,
                (uintmax_t)atomic_load(&l->cursor->position), (uintmax_t)l->position);
        require(atomic_load(&l->cursor->settled) == l->settled, "lane %u: %ju records, not %ju", i + 1,
                (uintmax_t)atomic_load(&l->cursor->settled), (uintmax_t)l->settled);
        require(l->named == NULL ||
                    atomic_load(&l->named->position) == message_oldest(l, l->released - INT64_MAX, l->released),
                "lane %u is not remembered", i + 1);
    }
}

/* Records, messages, padding, what is not wanted, what was overwritten, another generation: now in this lane, now in
 * that. */
START_TEST(a_release_leaves_no_lane_out)
{
    const struct releaser *releaser = &releasers[_i];
    struct random_source random = {.state = support_seed()};
    struct ringd_ring_options options = releaser->ring;
    struct ringd_writer *writers[7];
    struct ringd_reader *reader;

    options.size = 16384;
    options.lanes = 7;
    options.time = RINGD_TIME_MONOTONIC;
    make(options);
    open_in_each(writers, 7);
    reader = open_releaser(releaser);
    for (int i = 0; i < 5000; i++) {
        uint64_t what = random_below(&random, 100);

        if (what == 0)
            ringd_resize(RING, random_below(&random, 2) == 0 ? 16384 : 32768);
        else if (what < 50)
            write_something(writers[random_below(&random, 7)], &random);
        else if (what < 75)
            read_something(reader, &random);
        else if (ringd_release(reader) >= 0)
            require_released(reader);
    }
    ringd_reader_close(reader);
    close_all(writers, 7);
    require_doctor(0, NULL);
}
END_TEST

/* ---- moving --------------------------------------------------------------------------------------------------------
 */

/* Resized while all lanes are written: nothing is lost or comes twice, and each lane goes on where it ended. */
START_TEST(a_ring_of_lanes_is_resized_under_load)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct tally *tally = shared_new(sizeof *tally);
    struct view view;
    pid_t pids[6];
    uint64_t generation;

    *crowd = (struct crowd){.records = 5000, .most = 200};
    make((struct ringd_ring_options){.size = UINT64_C(1) << 22, .max_record = 1024});
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    for (int i = 0; i < 6; i++)
        pids[i] = child_start(write_in_crowd, crowd);
    while (atomic_load(&crowd->ready) < 6)
        pause_ms(1);
    for (int i = 0; i < 8; i++)
        require(ringd_resize(RING, UINT64_C(1) << (i % 2 == 0 ? 23 : 22)) == 0, "%s", ringd_error());
    for (int i = 0; i < 6; i++)
        child_finish(pids[i]);
    generation = ring_info(RING).generation;
    ck_assert_uint_eq(generation, 9);
    walk_all(&view, generation, tally);
    ck_assert_uint_eq(tally->records, 6 * 5000);
    ck_assert_uint_eq(ring_info(RING).committed, 6 * 5000);
    require_doctor(0, NULL);
    view_close(&view);
}
END_TEST

/* One that stands in mid-record in the last lane is passed; its record arrives once, and the other lanes go on. */
START_TEST(others_move_past_one_that_is_stopped_in_a_lane)
{
    struct tally *tally = shared_new(sizeof *tally);
    struct ringd_writer *writers[LANES];
    struct ringd_info info;
    uint64_t written = 0;
    struct view view;
    pid_t pid;

    make((struct ringd_ring_options){
        .size = 65536, .max_record = 64, .stopped = RINGD_STOPPED_MOVE, .stopped_after_ms = 20});
    open_in_each(writers, LANES - 1);
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    pid = stopped_in_last_lane();
    for (uint32_t i = 0; i < LANES; i++) {
        if (i == LANES - 1)
            writers[i] = open_beside(i);
        written += fill(writers[i], 100);
    }
    ringd_writer_deadline(writers[LANES - 1], RINGD_FOREVER);
    for (; ring_info(RING).generation == 1; written++)
        require(write_record(writers[LANES - 1], PAYLOAD) == RINGD_OK, "write");
    for (uint32_t i = 0; i < LANES; i++)
        written += fill(writers[i], 20);
    child_continue(pid);
    child_finish(pid);
    info = ring_info(RING);
    ck_assert_uint_eq(info.committed, written + 2);
    walk_all(&view, info.generation, tally);
    ck_assert_uint_eq(tally->records, written + 2);
    require_doctor(0, NULL);
    view_close(&view);
    close_all(writers, LANES);
}
END_TEST

/* A reader that comes later begins in the old generation as long as nothing of the new one has gone, in any lane. */
START_TEST(a_late_reader_begins_before_a_move)
{
    bool holds = _i == 1;
    struct ringd_writer *writers[LANES];
    struct view view;
    uint64_t ends[LANES];

    make((struct ringd_ring_options){
        .size = 8192, .max_record = 64, .policy = holds ? RINGD_LOSSLESS : RINGD_OVERWRITE, .hold = holds});
    open_in_each(writers, LANES);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(fill(writers[i], 10 * (i + 1)), 10 * (i + 1));
    ck_assert_int_eq(ringd_resize(RING, 16384), 0);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(fill(writers[i], 5), 5);
    view_open(&view, holds ? RINGD_CONTEXT_LOSSLESS : RINGD_CONTEXT_LOSSY, RINGD_START_OLDEST);
    ck_assert_uint_eq(view.segment.geometry.generation, 1);
    for (uint32_t i = 0; i < LANES; i++) {
        struct ring_tail tail;

        ck_assert_uint_eq(cursor_of(&view, i), segment_lane_first(&view.segment, i));
        ck_assert_int_eq(ring_read_tail(&view.lanes[i], &tail), 0);
        ck_assert_uint_eq(tail.end - cursor_of(&view, i), 10 * (i + 1) * ring_record_bytes(PAYLOAD));
        ends[i] = tail.end;
    }
    view_close(&view);
    wait_for_contexts(RING, LANES);
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    ck_assert_uint_eq(view.segment.geometry.generation, 2);
    for (uint32_t i = 0; i < LANES; i++)
        ck_assert_uint_eq(segment_lane_first(&view.segment, i), ends[i]);
    view_close(&view);
    if (!holds) {
        ck_assert_uint_eq(fill(writers[1], 150), 150); /* so that the first of them go, in one lane */
        view_open(&view, RINGD_CONTEXT_LOSSY, RINGD_START_OLDEST);
        ck_assert_uint_eq(view.segment.geometry.generation, 2);
        view_close(&view);
    }
    close_all(writers, LANES);
}
END_TEST

/* Wherever the daemon dies in a move, in whichever lane: the next one finishes it. */
START_TEST(the_daemon_dies_in_a_move)
{
    static const struct {
        const char *point;
        unsigned nth;
    } deaths[] = {{"move-begun", 1},   {"move-closed", 2},   {"move-journal", 2},
                  {"move-sealed", 1},  {"move-sealed", 2},   {"move-settled", 2},
                  {"move-carried", 1}, {"move-recorded", 1}, {"move-done", 1}};
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct tally *tally = shared_new(sizeof *tally);
    struct ringd_info info;
    struct view view;
    pid_t pids[6];

    if (!at_point_allowed("the_daemon_dies_in_a_move"))
        return;
    *crowd = (struct crowd){.most = 64};
    make((struct ringd_ring_options){.size = 65536, .max_record = 64, .hold = 1});
    for (int i = 0; i < 6; i++)
        pids[i] = child_start(write_in_crowd, crowd);
    while (atomic_load(&crowd->ready) < 6)
        pause_ms(1);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        int result;

        daemon_kill(&server);
        require(daemon_restart_to_die(&server, deaths[i].point, deaths[i].nth), "it died at its start");
        while ((result = ringd_resize(RING, 65536)) == -EBUSY)
            pause_ms(1);
        require(result == -ECONNRESET, "at %s it went on: %d (%s)", deaths[i].point, result, ringd_error());
        child_wait(server.pid);
        daemon_restart(&server, NULL);
        require(ring_info(RING).generation == i + 2, "at %s the move was not finished", deaths[i].point);
    }
    atomic_store(&crowd->over, 1);
    ck_assert_int_eq(ringd_resize(RING, UINT64_C(1) << 20), 0); /* whoever waits for room has some */
    for (int i = 0; i < 6; i++)
        child_finish(pids[i]);
    view_open(&view, RINGD_CONTEXT_LOSSLESS, RINGD_START_OLDEST);
    ck_assert_uint_eq(view.segment.geometry.generation, 1);
    info = ring_info(RING);
    walk_all(&view, info.generation, tally);
    ck_assert_uint_eq(tally->records, atomic_load(&crowd->written));
    ck_assert_uint_eq(info.committed, atomic_load(&crowd->written));
    view_close(&view);
    require_doctor(0, NULL);
}
END_TEST

/* ---- as many as there can be
 * ----------------------------------------------------------------------------------------- */

#define WRITING_PROCESSES 8u
#define WRITERS_EACH      (SLOTS / WRITING_PROCESSES)
#define READING_PROCESSES 2u
#define READERS_EACH      (RINGD_READERS_MAX / READING_PROCESSES)

/* What they wait for: 1 all write, 2 all end. */
struct host {
    _Atomic uint32_t attached, written, step;
};

static void await_step(const struct host *host, uint32_t step)
{
    while (atomic_load(&host->step) < step)
        pause_ms(1);
}

static void host_writers(void *argument)
{
    static struct ringd_writer *writers[WRITERS_EACH];
    struct host *host = argument;

    for (uint32_t i = 0; i < WRITERS_EACH; i++, atomic_fetch_add(&host->attached, 1))
        writers[i] = open_writer(RING);
    await_step(host, 1);
    for (uint32_t i = 0; i < WRITERS_EACH; i++, atomic_fetch_add(&host->written, 1))
        require(write_record(writers[i], RECORD_MIN) == RINGD_OK, "write");
    await_step(host, 2);
    for (uint32_t i = 0; i < WRITERS_EACH; i++)
        ringd_writer_close(writers[i]);
}

static void host_readers(void *argument)
{
    static struct ringd_reader *readers[READERS_EACH];
    struct host *host = argument;

    for (uint32_t i = 0; i < READERS_EACH; i++, atomic_fetch_add(&host->attached, 1))
        readers[i] = open_reader(RING,
                                 i % 4 == 0   ? RINGD_READ_LOSSY
                                 : i % 4 == 1 ? RINGD_READ_OBSERVE
                                              : RINGD_READ_LOSSLESS,
                                 RINGD_START_NOW);
    await_step(host, 2);
    for (uint32_t i = 0; i < READERS_EACH; i++)
        ringd_reader_close(readers[i]);
}

START_TEST(all_writers_and_readers_of_a_ring_at_once)
{
    struct host *host = shared_new(sizeof *host);
    struct tally *tally = shared_new(sizeof *tally);
    pid_t pids[WRITING_PROCESSES + READING_PROCESSES];
    struct ringd_reader *reader;
    struct ringd_writer *writer;
    struct ringd_info info;
    struct ringd *ring;
    struct view view;

    make((struct ringd_ring_options){.size = 8192, .lanes = RINGD_LANES_MAX, .max_record = 32});
    for (uint32_t i = 0; i < WRITING_PROCESSES; i++)
        pids[i] = child_start(host_writers, host);
    for (uint32_t i = 0; i < READING_PROCESSES; i++)
        pids[WRITING_PROCESSES + i] = child_start(host_readers, host);
    while (atomic_load(&host->attached) < SLOTS + RINGD_READERS_MAX)
        pause_ms(1);
    info = ring_info(RING);
    ck_assert_uint_eq(info.writers, SLOTS);
    ck_assert_uint_eq(info.lossless_readers, RINGD_READERS_MAX / 2);
    ck_assert_uint_eq(info.lossy_readers, RINGD_READERS_MAX / 4);
    ck_assert_uint_eq(info.observers, RINGD_READERS_MAX / 4);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_writer_open(&writer, ring, NULL), -EUSERS);
    ck_assert_msg(strstr(ringd_error(), "1984 writers") != NULL, "%s", ringd_error());
    ck_assert_int_eq(ringd_reader_open(&reader, ring, NULL), -EUSERS);
    ringd_close(ring);

    atomic_store(&host->step, 1);
    while (atomic_load(&host->written) < SLOTS)
        pause_ms(1);
    info = ring_info(RING);
    ck_assert_uint_eq(info.committed, SLOTS);
    ck_assert_uint_eq(info.position - RINGD_LANES_MAX * (SUPPORT_WRAP - 4096), SLOTS * ring_record_bytes(RECORD_MIN));
    atomic_store(&host->step, 2);
    for (uint32_t i = 0; i < WRITING_PROCESSES + READING_PROCESSES; i++)
        child_finish(pids[i]);
    wait_for_contexts(RING, 0);
    view_open(&view, RINGD_CONTEXT_OBSERVER, RINGD_START_NOW);
    walk_all(&view, 1, tally);
    ck_assert_uint_eq(tally->records, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++)
        ck_assert_uint_eq(tally->next[i], 1);
    view_close(&view);
    require_doctor(0, NULL);
}
END_TEST

/* ---- descriptors
 * ------------------------------------------------------------------------------------------------------ */

/* What is started from now on may not have more than it is given. */
static void drop_right_to_raise(void)
{
    if (geteuid() == 0)
        require(prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) == 0, "errno %d", errno);
}

START_TEST(who_gets_no_descriptor_is_told)
{
    static struct view views[200];
    struct view more;
    char log[8192];
    uint32_t count = 0;
    int result;

    daemon_terminate(&server);
    drop_right_to_raise();
    require(setrlimit(RLIMIT_NOFILE, &(struct rlimit){300, 300}) == 0, "errno %d", errno);
    daemon_restart(&server, NULL);
    daemon_read_log(&server, log, sizeof log);
    ck_assert_msg(strstr(log, "LimitNOFILE") != NULL && strstr(log, "enough for ") != NULL, "%s", log);

    make((struct ringd_ring_options){.size = 4096, .lanes = 8});
    while ((result = view_try(&views[count], writer_wish(0))) == 0)
        require(++count < 200, "it never ran out");
    ck_assert_int_eq(result, -EMFILE);
    ck_assert_msg(strstr(views[count].reply.head.text, "LimitNOFILE") != NULL, "%s", views[count].reply.head.text);
    ck_assert_uint_ge(count, 100);
    ck_assert_uint_eq(ring_info(RING).writers, count); /* who only asks is answered */
    ck_assert_int_eq(ringd_resize(RING, 8192), 0);     /* and it has some for itself */
    for (int i = 0; i < 5; i++)                        /* the generation that was left has some too */
        view_close(&views[--count]);
    wait_for_contexts(RING, count);
    ck_assert_int_eq(view_try(&more, writer_wish(0)), 0);
    view_close(&more);
    while (count > 0)
        view_close(&views[--count]);
    wait_for_contexts(RING, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lanes");
    TCase *tests = add_case(suite, "made");

    tcase_add_test(tests, a_ring_has_the_lanes_it_was_made_with);
    tcase_add_test(tests, the_configuration_makes_them);
    tests = add_case(suite, "attached");
    tcase_add_test(tests, a_writer_goes_where_there_are_fewest);
    tcase_add_test(tests, a_writer_gets_the_lane_it_asks_for);
    tcase_add_test(tests, each_lane_keeps_its_order);
    tcase_add_loop_test(tests, a_lossless_reader_holds_every_lane, 0, 2);
    tcase_add_test(tests, a_lossless_join_holds_in_every_lane_under_load);
    tcase_add_test(tests, the_daemon_dies_in_a_join);
    tcase_add_test(tests, what_is_not_in_the_ring_is_no_start);
    tests = add_case(suite, "in the way");
    tcase_add_test(tests, a_death_in_any_lane_is_repaired);
    tcase_add_test(tests, a_stopped_writer_is_told_in_its_lane);
    tcase_add_test(tests, a_slow_reader_is_one_in_the_writers_lane);
    tcase_add_test(tests, doctor_says_in_which_lane);
    tests = add_case(suite, "released");
    tcase_add_loop_test(tests, a_release_leaves_no_lane_out, 0, RELEASERS);
    tests = add_case(suite, "moved");
    tcase_add_test(tests, a_ring_of_lanes_is_resized_under_load);
    tcase_add_test(tests, others_move_past_one_that_is_stopped_in_a_lane);
    tcase_add_loop_test(tests, a_late_reader_begins_before_a_move, 0, 2);
    tcase_add_test(tests, the_daemon_dies_in_a_move);
    tests = add_case(suite, "many");
    tcase_add_test(tests, all_writers_and_readers_of_a_ring_at_once);
    tcase_add_test(tests, who_gets_no_descriptor_is_told);
    return run_suite(suite);
}
