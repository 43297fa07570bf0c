/* check_reservation.c - others are served while a ring's memory is made.
 *
 * A ring of 512 MiB is made, or a small one is about to move to that size. Meanwhile others ask for all kinds of things
 * and use that ring and another; the ring is removed; who asked hangs up, or has asked for more; the daemon is told to
 * end, or killed. Who asks is a connection that need not wait for its answer (support_raw.h).
 *
 * That something came in time is seen in /dev/shm and not on a clock: the new segment is there, and before and after it
 * had fewer pages than its data takes. What came too late is undone and tried again. A daemon that lets nobody in while
 * it makes memory is always too late, and that fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "object_name.h"
#include "support_check.h"
#include "support_raw.h"

#define RING      "reservation"
#define OTHER     "other"
#define SMALL     UINT64_C(65536)
#define MEDIUM    (UINT64_C(64) << 20) /* where nothing has to come in time */
#define LARGE     (UINT64_C(512) << 20)
#define TRIES     20
#define NS_PER_MS INT64_C(1000000)

static const struct ringd_ring_options small = {.size = SMALL, .max_record = 256};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* What the daemon looks at, too. */
static uint64_t shared_bytes(void)
{
    struct statvfs status;

    require(statvfs("/dev/shm", &status) == 0, "errno %d", errno);
    return (uint64_t)status.f_bavail * status.f_frsize;
}

static uint64_t machine_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t available_kib = 0, swap_kib = 0;
    char line[128];

    require(file != NULL, "errno %d", errno);
    while (fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "MemAvailable: %" SCNu64, &available_kib);
        sscanf(line, "SwapFree: %" SCNu64, &swap_kib);
    }
    fclose(file);
    return (available_kib + swap_kib) * 1024;
}

/* Other tests run at the same time, and the machine is not ours alone. */
static bool has_room(const char *test, uint64_t bytes)
{
    if (bytes <= shared_bytes() / 4 * 3 && bytes <= machine_bytes() / 2)
        return true;
    support_skip(test, "it takes %ju MiB of shared memory; /dev/shm has %ju MiB, the machine %ju MiB",
                 (uintmax_t)(bytes >> 20), (uintmax_t)(shared_bytes() >> 20), (uintmax_t)(machine_bytes() >> 20));
    return false;
}

static bool find_segment(const char *ring, uint64_t generation, struct stat *status)
{
    char id[INSTANCE_ID_BYTES], path[sizeof(struct object_name) + 16];
    struct object_name name;

    object_name_instance(id, server.folder);
    name = object_name_ring(id, ring, generation);
    name = object_name_segment(&name);
    snprintf(path, sizeof path, "/dev/shm%s", name.text);
    return stat(path, status) == 0;
}

/* Of a ring of LARGE; once it has all its data's pages, it does not matter any more whether anybody has been told. */
static bool is_being_made(const char *ring, uint64_t generation)
{
    struct stat status;

    return find_segment(ring, generation, &status) && (uint64_t)status.st_blocks * 512 < LARGE;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void send_request(int fd, uint16_t type, const char *ring, uint64_t size)
{
    struct ringd_request request;

    proto_request_init(&request, type, ring);
    request.options.size = size;
    require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
}

static int ask(uint16_t type, const char *ring, uint64_t size)
{
    int fd = raw_connect();

    send_request(fd, type, ring, size);
    return fd;
}

/* The connection's next; -ECONNRESET: the daemon has hung up. */
static int next_answer(int fd, struct proto_reply *reply)
{
    size_t len = raw_receive(fd, reply);

    require(len == 0 || len >= sizeof reply->head, "an answer of %zu bytes", len);
    return len == 0 ? -ECONNRESET : reply->head.result;
}

static int last_answer(int fd, struct proto_reply *reply)
{
    int result = next_answer(fd, reply);

    close(fd);
    return result;
}

static bool is_answered(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

/* Asks for LARGE, and waits until the daemon has begun. False: it has done with it already. */
static bool begin(int *fd, uint16_t type, const char *ring, uint64_t generation)
{
    struct stat status;

    *fd = ask(type, ring, LARGE);
    while (!find_segment(ring, generation, &status) && !is_answered(*fd))
        pause_ms(1);
    return is_being_made(ring, generation);
}

static bool begin_making(int *fd, const char *ring)
{
    return begin(fd, RINGD_REQUEST_CREATE, ring, 1);
}

static bool begin_moving(int *fd, const char *ring)
{
    return begin(fd, RINGD_REQUEST_RESIZE, ring, 2);
}

/* Of contexts that have left, life pages stay until that is noticed. */
static void wait_for_objects(unsigned count)
{
    while (daemon_objects(&server) != count)
        pause_ms(1);
}

static void clear(void)
{
    ringd_remove(RING);
    ringd_remove(OTHER);
    wait_for_objects(0);
}

/* An attempt is true if it came in time. */
static void until_in_time(bool (*attempt)(void))
{
    for (int i = 0; i < TRIES; i++) {
        bool done = attempt();

        clear();
        if (done)
            return;
    }
    require(false, "%d times the memory had been made before anybody was served", TRIES);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

static void write_records(struct ringd_writer *writer, int count)
{
    for (int i = 0; i < count; i++)
        require(write_record(writer, 64) == RINGD_OK, "record %d", i);
}

/* A reader that does not wait may find nothing while it follows a move. */
static void read_records(struct ringd_reader *reader, struct tracker *tracker, uint64_t count)
{
    int result;

    while ((result = tracker_drain(tracker, reader)) == RINGD_WOULD_BLOCK && tracker_delivered(tracker) < count)
        pause_ms(1);
    require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
    require(tracker_delivered(tracker) == count && tracker_lost(tracker) == 0, "%" PRIu64 " of %" PRIu64 " records",
            tracker_delivered(tracker), count);
}

/* A ring that is new to all: attaches, writes, reads. */
static void use(const char *ring)
{
    struct ringd_writer *writer = open_writer(ring);
    struct ringd_reader *reader = open_reader(ring, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct tracker tracker = {0};

    write_records(writer, 10);
    read_records(reader, &tracker, 10);
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}

static int attach_writer(const char *ring, int *descriptors)
{
    int fd = raw_connect();

    require(raw_attach(fd, ring, RINGD_CONTEXT_WRITER, descriptors) == 0, "attach to %s", ring);
    return fd;
}

static void close_all(const int *descriptors)
{
    for (int i = 0; i < (int)RINGD_PROTO_DESCRIPTORS; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    }
}

static void require_nothing_left(void)
{
    require(daemon_objects(&server) == 0, "%u objects are left", daemon_objects(&server));
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* What others see of a ring that is being made. */
struct view {
    int created, removed, status;
    char problem[RINGD_PROTO_TEXT_BYTES]; /* of the first */
    size_t listed;
};

static struct view look_at_ring(void)
{
    struct view view = {.created = ringd_create(RING, NULL)};

    snprintf(view.problem, sizeof view.problem, "%s", ringd_error());
    view.removed = ringd_remove(RING);
    view.status = ringd_status(RING, NULL, NULL, 0, NULL);
    require(ringd_list(NULL, 0, &view.listed) == 0, "list: %s", ringd_error());
    return view;
}

static void require_not_there(const struct view *view)
{
    require(view->created == -EEXIST && strstr(view->problem, "is being made") != NULL, "create: %d (%s)",
            view->created, view->problem);
    require(view->removed == -ENOENT, "remove: %d", view->removed);
    require(view->status == -ENOENT, "status: %d", view->status);
    require(view->listed == 1, "%zu rings in the list", view->listed);
}

static bool others_while_made(void)
{
    struct proto_reply reply;
    struct view view;
    bool in_time;
    int fd;

    make_ring(OTHER, small);
    in_time = begin_making(&fd, RING);
    view = look_at_ring();
    use(OTHER);
    in_time = in_time && is_being_made(RING, 1);
    require(last_answer(fd, &reply) == 0, "%s", reply.head.text);
    if (!in_time)
        return false;
    require_not_there(&view);
    require(ring_info(RING).size == LARGE && ring_info(RING).generation == 1, "not what was asked for");
    use(RING);
    return true;
}

START_TEST(others_are_served_while_a_ring_is_made)
{
    if (has_room("others_are_served_while_a_ring_is_made", LARGE))
        until_in_time(others_while_made);
}
END_TEST

/* ---- moving ------------------------------------------------------------------------------------------------------ */

/* A writer and a reader in processes of their own. */
struct traffic {
    _Atomic bool over;
    _Atomic uint32_t ready;
    _Atomic uint64_t written, read;
    _Atomic uint64_t total; /* of all writers; UINT64_MAX: not known yet */
    pid_t writer, reader;
};

static void write_on(void *argument)
{
    struct traffic *traffic = argument;
    struct ringd_writer *writer = open_writer_until(RING, RINGD_FOREVER);

    atomic_fetch_add(&traffic->ready, 1);
    while (!atomic_load(&traffic->over)) {
        write_records(writer, 1);
        atomic_fetch_add(&traffic->written, 1);
    }
    ringd_writer_close(writer);
}

static void read_on(void *argument)
{
    struct traffic *traffic = argument;
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct tracker tracker = {0};
    struct ringd_record record;

    atomic_fetch_add(&traffic->ready, 1);
    while (tracker_delivered(&tracker) < atomic_load(&traffic->total)) {
        int result;

        ringd_reader_deadline(reader, now_ns() + 10 * NS_PER_MS);
        result = ringd_next(reader, &record);
        require(result == RINGD_OK || result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
        if (result == RINGD_OK)
            tracker_record(&tracker, &record);
        require(ringd_release(reader) == RINGD_OK, "release");
        atomic_store(&traffic->read, tracker_delivered(&tracker));
    }
    require(tracker_delivered(&tracker) == atomic_load(&traffic->total), "%" PRIu64 " records too many",
            tracker_delivered(&tracker) - atomic_load(&traffic->total));
    ringd_reader_close(reader);
}

static void wait_for_ready(const struct traffic *traffic, uint32_t count)
{
    while (atomic_load(&traffic->ready) < count)
        pause_ms(1);
}

static struct traffic *start_traffic(void)
{
    struct traffic *traffic = shared_new(sizeof *traffic);

    make_ring(RING, small);
    atomic_store(&traffic->total, UINT64_MAX);
    traffic->reader = child_start(read_on, traffic);
    wait_for_ready(traffic, 1);
    traffic->writer = child_start(write_on, traffic);
    wait_for_ready(traffic, 2);
    return traffic;
}

static void traffic_goes_on(const struct traffic *traffic)
{
    uint64_t written = atomic_load(&traffic->written), read = atomic_load(&traffic->read);
    int status;

    while (atomic_load(&traffic->written) < written + 100 || atomic_load(&traffic->read) < read + 100) {
        require(waitpid(traffic->writer, &status, WNOHANG) == 0, "the writer failed");
        require(waitpid(traffic->reader, &status, WNOHANG) == 0, "the reader failed");
        pause_ms(1);
    }
}

/* Everything that anybody has written has been read, once. */
static void finish_traffic(struct traffic *traffic)
{
    atomic_store(&traffic->over, true);
    child_finish(traffic->writer);
    atomic_store(&traffic->total, ring_info(RING).committed);
    child_finish(traffic->reader);
}

static void write_beside(void)
{
    struct ringd_writer *writer = open_writer_until(RING, RINGD_FOREVER);

    write_records(writer, 10);
    ringd_writer_close(writer);
}

/* Any answer says that the daemon has the connection and listens to it. */
static int connect_and_speak(void)
{
    struct ringd_request request;
    struct proto_reply reply;
    int fd = raw_connect();

    proto_request_init(&request, RINGD_REQUEST_OPEN, RING);
    raw_ask(fd, &request, &reply);
    return fd;
}

static bool others_while_moving(void)
{
    struct traffic *traffic = start_traffic();
    int first, second = connect_and_speak(), elsewhere;
    struct proto_reply replies[2];
    char problem[RINGD_PROTO_TEXT_BYTES];
    bool in_time = begin_moving(&first, RING);

    /* `second` is looked at before a connection that is made later. */
    send_request(second, RINGD_REQUEST_RESIZE, RING, LARGE);
    elsewhere = ringd_resize(RING, 2 * SMALL);
    snprintf(problem, sizeof problem, "%s", ringd_error());
    write_beside();
    traffic_goes_on(traffic);
    in_time = in_time && is_being_made(RING, 2);
    require(last_answer(first, &replies[0]) == 0, "%s", replies[0].head.text);
    require(last_answer(second, &replies[1]) == 0, "%s", replies[1].head.text);
    traffic_goes_on(traffic);
    finish_traffic(traffic);
    if (!in_time)
        return false;
    require(elsewhere == -EBUSY && strstr(problem, "is about to move") != NULL, "%d (%s)", elsewhere, problem);
    require(replies[0].head.position == 2 && replies[1].head.position == 2, "generations %" PRIu64 " and %" PRIu64,
            replies[0].head.position, replies[1].head.position);
    require(ring_info(RING).generation == 2 && ring_info(RING).size == LARGE, "in generation %" PRIu64,
            ring_info(RING).generation);
    return true;
}

START_TEST(others_are_served_while_a_ring_is_about_to_move)
{
    if (has_room("others_are_served_while_a_ring_is_about_to_move", LARGE))
        until_in_time(others_while_moving);
}
END_TEST

/* Contexts that have not noticed the move before ask for what came of that. */
static bool following_while_moving(void)
{
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    struct proto_reply reply;
    bool in_time;
    int fd;

    make_ring(RING, small);
    writer = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    write_records(writer, 10);
    require(ringd_resize(RING, 2 * SMALL) == 0, "%s", ringd_error());
    in_time = begin(&fd, RINGD_REQUEST_RESIZE, RING, 3);
    write_records(writer, 10);
    read_records(reader, &tracker, 20);
    in_time = in_time && is_being_made(RING, 3);
    require(last_answer(fd, &reply) == 0 && reply.head.position == 3, "%s", reply.head.text);
    write_records(writer, 10);
    read_records(reader, &tracker, 30);
    ringd_writer_close(writer);
    ringd_reader_close(reader);
    return in_time;
}

START_TEST(an_earlier_move_is_followed_while_a_ring_is_about_to_move)
{
    if (has_room("an_earlier_move_is_followed_while_a_ring_is_about_to_move", LARGE))
        until_in_time(following_while_moving);
}
END_TEST

/* ---- removal ----------------------------------------------------------------------------------------------------- */

/* Too late is after the move. */
static bool is_refused(int fd)
{
    struct proto_reply reply;
    int result = last_answer(fd, &reply);

    require(result == 0 || (result == -ESHUTDOWN && strstr(reply.head.text, "did not move") != NULL), "%d (%s)", result,
            reply.head.text);
    return result == -ESHUTDOWN;
}

static bool removed_while_moving(void)
{
    bool in_time;
    int fd;

    make_ring(RING, small);
    in_time = begin_moving(&fd, RING);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    require_nothing_left();
    make_ring(RING, small); /* the name is free */
    in_time = is_refused(fd) && in_time;
    require(ring_info(RING).generation == 1, "the new ring has moved");
    use(RING);
    return in_time;
}

START_TEST(a_ring_may_be_removed_while_it_is_about_to_move)
{
    if (has_room("a_ring_may_be_removed_while_it_is_about_to_move", LARGE))
        until_in_time(removed_while_moving);
    require_nothing_left();
}
END_TEST

static bool removed_in_use(void)
{
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    bool in_time;
    int fd, result;

    make_ring(RING, small);
    writer = open_writer_until(RING, RINGD_FOREVER);
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    write_records(writer, 5);
    in_time = begin_moving(&fd, RING);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    in_time = is_refused(fd) && in_time;
    require(write_record(writer, 64) == -ESHUTDOWN, "the writer goes on");
    result = tracker_drain(&tracker, reader);
    require(result == RINGD_END && tracker_delivered(&tracker) == 5, "%d after %" PRIu64 " records", result,
            tracker_delivered(&tracker));
    ringd_writer_close(writer);
    ringd_reader_close(reader);
    wait_for_objects(0);
    return in_time;
}

START_TEST(those_attached_learn_of_a_removal_before_a_move)
{
    if (has_room("those_attached_learn_of_a_removal_before_a_move", LARGE))
        until_in_time(removed_in_use);
}
END_TEST

/* A status makes the daemon look at what is not there any more. */
static bool damaged_while_moving(void)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS], writer, fd, result;
    struct proto_reply reply;
    bool in_time;

    make_ring(RING, small);
    writer = attach_writer(RING, descriptors);
    in_time = begin_moving(&fd, RING);
    require(ftruncate(descriptors[0], 0) == 0, "errno %d", errno);
    ringd_status(RING, NULL, NULL, 0, NULL);
    result = last_answer(fd, &reply);
    if (result == -ESHUTDOWN)
        require(ringd_status(RING, NULL, NULL, 0, NULL) == -ENOENT, "the ring is there");
    close_all(descriptors);
    close(writer);
    return in_time && result == -ESHUTDOWN;
}

START_TEST(a_ring_that_is_damaged_does_not_move)
{
    if (has_room("a_ring_that_is_damaged_does_not_move", LARGE))
        until_in_time(damaged_while_moving);
}
END_TEST

/* ---- those who ask ----------------------------------------------------------------------------------------------- */

static void wait_for_ring(uint64_t generation)
{
    struct ringd_info info = {0};

    while (ringd_status(RING, &info, NULL, 0, NULL) != 0 || info.generation != generation)
        pause_ms(1);
    require(info.size == MEDIUM, "%" PRIu64 " bytes", info.size);
    raw_wait_disconnected(server.pid);
    use(RING);
}

START_TEST(who_asked_may_hang_up_at_once)
{
    if (!has_room("who_asked_may_hang_up_at_once", MEDIUM))
        return;
    close(ask(RINGD_REQUEST_CREATE, RING, MEDIUM));
    wait_for_ring(1);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    make_ring(RING, small);
    close(ask(RINGD_REQUEST_RESIZE, RING, MEDIUM));
    wait_for_ring(2);
    raw_wait_disconnected(server.pid);
    wait_for_objects(RING_OBJECTS);
}
END_TEST

/* The next answer is to this, and what it was. */
static void require_answer(int fd, uint16_t type, int result, uint64_t generation)
{
    struct proto_reply reply;
    int found = next_answer(fd, &reply);

    require(found == result && reply.head.type == type, "%d to type %u: %s", found, reply.head.type, reply.head.text);
    if (type == RINGD_REQUEST_STATUS)
        require(reply.status.info.generation == generation, "generation %" PRIu64, reply.status.info.generation);
    if (type == RINGD_REQUEST_RESIZE)
        require(reply.head.position == generation, "generation %" PRIu64, reply.head.position);
}

START_TEST(requests_on_one_connection_are_answered_in_order)
{
    int fd;

    if (!has_room("requests_on_one_connection_are_answered_in_order", MEDIUM))
        return;
    fd = raw_connect();
    send_request(fd, RINGD_REQUEST_CREATE, RING, MEDIUM);
    send_request(fd, RINGD_REQUEST_STATUS, RING, 0);
    send_request(fd, RINGD_REQUEST_CREATE, RING, MEDIUM);
    send_request(fd, RINGD_REQUEST_REMOVE, RING, 0);
    send_request(fd, RINGD_REQUEST_CREATE, RING, SMALL);
    send_request(fd, RINGD_REQUEST_RESIZE, RING, MEDIUM);
    send_request(fd, RINGD_REQUEST_CREATE, OTHER, SMALL);
    send_request(fd, RINGD_REQUEST_STATUS, RING, 0);
    require_answer(fd, RINGD_REQUEST_CREATE, 0, 1);
    require_answer(fd, RINGD_REQUEST_STATUS, 0, 1);
    require_answer(fd, RINGD_REQUEST_CREATE, -EEXIST, 1);
    require_answer(fd, RINGD_REQUEST_REMOVE, 0, 1);
    require_answer(fd, RINGD_REQUEST_CREATE, 0, 1);
    require_answer(fd, RINGD_REQUEST_RESIZE, 0, 2);
    require_answer(fd, RINGD_REQUEST_CREATE, 0, 1);
    require_answer(fd, RINGD_REQUEST_STATUS, 0, 2);
    close(fd);
}
END_TEST

START_TEST(a_context_may_ask_on_its_own_connection)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS], fd;
    struct ringd_request follow;
    struct proto_reply reply;

    if (!has_room("a_context_may_ask_on_its_own_connection", MEDIUM))
        return;
    make_ring(RING, small);
    fd = attach_writer(RING, descriptors);
    proto_request_init(&follow, RINGD_REQUEST_FOLLOW, RING);
    follow.position = 1;
    send_request(fd, RINGD_REQUEST_RESIZE, RING, MEDIUM);
    require(raw_send(fd, &follow, sizeof follow), "hung up");
    require_answer(fd, RINGD_REQUEST_RESIZE, 0, 2);
    require(next_answer(fd, &reply) == 0 && reply.head.type == RINGD_REQUEST_FOLLOW && reply.head.position == 2, "%s",
            reply.head.text);
    close_all(descriptors);
    close(fd);
    wait_for_contexts(RING, 0);
}
END_TEST

/* ---- the daemon ends --------------------------------------------------------------------------------------------- */

static char said[65536]; /* the daemon's log */

static bool daemon_said(const char *words)
{
    daemon_read_log(&server, said, sizeof said);
    return strstr(said, words) != NULL;
}

/* RING is about to move, and OTHER is made. */
static bool begin_both(int *moving, int *making)
{
    bool begun = begin_moving(moving, RING);

    return begin_making(making, OTHER) && begun && is_being_made(RING, 2);
}

static bool both_are_refused(int moving, int making)
{
    bool moved = !is_refused(moving);
    struct proto_reply reply;
    int made = last_answer(making, &reply);

    require(made == 0 || (made == -ECANCELED && strstr(reply.head.text, "ringd ends") != NULL), "create: %d (%s)", made,
            reply.head.text);
    return !moved && made < 0;
}

static bool ended_while_both(void)
{
    int moving, making;
    bool in_time;

    make_ring(RING, small);
    in_time = begin_both(&moving, &making);
    daemon_terminate(&server);
    require_nothing_left();
    in_time = both_are_refused(moving, making) && in_time;
    daemon_restart(&server, NULL);
    return in_time;
}

START_TEST(a_daemon_that_ends_leaves_nothing_half_made)
{
    if (has_room("a_daemon_that_ends_leaves_nothing_half_made", 2 * LARGE))
        until_in_time(ended_while_both);
}
END_TEST

/* Those attached to RING, whatever becomes of the daemon. */
struct company {
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct tracker tracker;
    unsigned objects;
};

static struct company new_company(void)
{
    struct company company = {0};

    make_ring(RING, small);
    company.writer = open_writer_until(RING, RINGD_FOREVER);
    company.reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    company.objects = daemon_objects(&server);
    write_records(company.writer, 5);
    return company;
}

/* The next daemon has the ring as it was, with nothing beside it; it can move, and the other can be made. */
static void require_as_before(struct company *company)
{
    require(daemon_objects(&server) == company->objects, "%u objects, not %u", daemon_objects(&server),
            company->objects);
    require(ring_info(RING).generation == 1 && ring_info(RING).committed == 5 && ring_info(RING).writers == 1,
            "generation %" PRIu64, ring_info(RING).generation);
    require(ringd_status(OTHER, NULL, NULL, 0, NULL) == -ENOENT, "the other is there");
    write_records(company->writer, 5);
    read_records(company->reader, &company->tracker, 10);
    require(ringd_resize(RING, 2 * SMALL) == 0, "%s", ringd_error());
    write_records(company->writer, 5);
    read_records(company->reader, &company->tracker, 15);
    make_ring(OTHER, small);
    use(OTHER);
}

static void dismiss_company(struct company *company)
{
    ringd_writer_close(company->writer);
    ringd_reader_close(company->reader);
}

static bool ended_in_use(void)
{
    struct company company = new_company();
    int moving, making;
    bool in_time = begin_both(&moving, &making);

    daemon_terminate(&server);
    in_time = both_are_refused(moving, making) && in_time;
    if (in_time)
        require(daemon_objects(&server) == company.objects, "%u objects, not %u", daemon_objects(&server),
                company.objects);
    daemon_restart(&server, NULL);
    if (in_time)
        require_as_before(&company);
    dismiss_company(&company);
    return in_time;
}

START_TEST(a_ring_in_use_stays_as_it_was_when_the_daemon_ends)
{
    if (has_room("a_ring_in_use_stays_as_it_was_when_the_daemon_ends", 2 * LARGE))
        until_in_time(ended_in_use);
}
END_TEST

/* Both are in the state in which the daemon was killed, so it is certain that this was in time. */
static bool killed_while_both(void)
{
    struct company company = new_company();
    struct proto_reply reply;
    int moving, making, moved, made;
    bool in_time;

    begin_both(&moving, &making);
    daemon_kill(&server);
    in_time = is_being_made(RING, 2) && is_being_made(OTHER, 1);
    moved = last_answer(moving, &reply);
    made = last_answer(making, &reply);
    require(!in_time || (moved == -ECONNRESET && made == -ECONNRESET), "answered: %d, %d", moved, made);
    daemon_restart(&server, NULL);
    if (in_time) {
        require(daemon_said("ring " OTHER ": removed: the last ringd ended while it was being made"), "%s", said);
        require_as_before(&company);
    }
    dismiss_company(&company);
    return in_time;
}

START_TEST(what_a_killed_daemon_has_half_made_goes)
{
    if (has_room("what_a_killed_daemon_has_half_made_goes", 2 * LARGE))
        until_in_time(killed_while_both);
}
END_TEST

/* Who has asked for the move is attached to a ring that was removed, the next in the daemon's list, and hangs up: that
 * ring has gone by the time the daemon has told him that it ends. */
static bool ended_with_a_removed_ring(void)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS], fd;
    struct stat status;
    bool in_time;

    make_ring(RING, small);
    make_ring(OTHER, small);
    fd = attach_writer(OTHER, descriptors);
    require(ringd_remove(OTHER) == 0, "%s", ringd_error());
    send_request(fd, RINGD_REQUEST_RESIZE, RING, LARGE);
    while (!find_segment(RING, 2, &status))
        pause_ms(1);
    close_all(descriptors);
    close(fd);
    in_time = is_being_made(RING, 2);
    daemon_terminate(&server);
    require_nothing_left();
    in_time = !daemon_said("moved to generation") && in_time;
    daemon_restart(&server, NULL);
    return in_time;
}

START_TEST(who_asked_takes_a_removed_ring_along)
{
    if (has_room("who_asked_takes_a_removed_ring_along", LARGE))
        until_in_time(ended_with_a_removed_ring);
}
END_TEST

/* ---- floods ------------------------------------------------------------------------------------------------------ */

#define CROWD 30

static const char *numbered_ring(int number)
{
    static char name[24];

    snprintf(name, sizeof name, "ring-%d", number);
    return name;
}

START_TEST(many_rings_are_made_at_once)
{
    struct proto_reply reply;
    int fds[CROWD];
    size_t count;

    if (!has_room("many_rings_are_made_at_once", CROWD * (UINT64_C(8) << 20)))
        return;
    for (int i = 0; i < CROWD; i++)
        fds[i] = ask(RINGD_REQUEST_CREATE, numbered_ring(i), UINT64_C(8) << 20);
    for (int i = 0; i < CROWD; i++)
        require(last_answer(fds[i], &reply) == 0, "%s", reply.head.text);
    require(ringd_list(NULL, 0, &count) == 0 && count == CROWD, "%zu rings", count);
    for (int i = 0; i < CROWD; i++)
        use(numbered_ring(i));
    wait_for_objects(CROWD * RING_OBJECTS);
}
END_TEST

#define CLIENTS      8 /* max_clients */
#define FEW_CLIENTS  "[ringd]\nmax_clients = 8\n"
#define SILENT_COUNT 50

static void few_clients_setup(void)
{
    daemon_start(&server, FEW_CLIENTS);
}

/* Each of them takes the place of one that was there before and says nothing. */
static bool silent_while_made(void)
{
    int silent[SILENT_COUNT], fd;
    struct proto_reply reply;
    bool in_time = begin_making(&fd, RING);

    for (int i = 0; i < SILENT_COUNT; i++)
        silent[i] = raw_connect();
    require(ringd_status(OTHER, NULL, NULL, 0, NULL) == -ENOENT, "%s", ringd_error());
    in_time = in_time && is_being_made(RING, 1);
    require(last_answer(fd, &reply) == 0, "%s", reply.head.text);
    for (int i = 0; i < SILENT_COUNT; i++)
        close(silent[i]);
    return in_time;
}

START_TEST(who_waits_for_an_answer_is_not_silent)
{
    if (has_room("who_waits_for_an_answer_is_not_silent", LARGE))
        until_in_time(silent_while_made);
}
END_TEST

/* All places are taken by those who wait, and one who is attached; he has been answered after them, so they are known
 * to wait. */
static bool all_wait(void)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS], waiting[CLIENTS - 1], attached, another;
    struct proto_reply reply;
    bool in_time;

    make_ring(RING, small);
    raw_wait_disconnected(server.pid);
    in_time = begin_moving(&waiting[0], RING);
    for (int i = 1; i < CLIENTS - 1; i++)
        waiting[i] = ask(RINGD_REQUEST_RESIZE, RING, LARGE);
    attached = attach_writer(RING, descriptors);
    another = raw_connect();
    while (!is_answered(another) && is_being_made(RING, 2))
        pause_ms(1);
    in_time = in_time && is_being_made(RING, 2);
    if (in_time)
        require(next_answer(another, &reply) == -EAGAIN && strstr(reply.head.text, "max_clients") != NULL, "%s",
                reply.head.text);
    close(another);
    for (int i = 0; i < CLIENTS - 1; i++) {
        int result = last_answer(waiting[i], &reply);

        require(!in_time || (result == 0 && reply.head.position == 2), "%d (%s), generation %" PRIu64, result,
                reply.head.text, reply.head.position);
    }
    close_all(descriptors);
    close(attached);
    return in_time;
}

START_TEST(a_place_that_somebody_waits_in_is_not_given_away)
{
    if (has_room("a_place_that_somebody_waits_in_is_not_given_away", LARGE))
        until_in_time(all_wait);
}
END_TEST

/* ---- too little memory ------------------------------------------------------------------------------------------- */

/* No machine has this much. */
#define HUGE_LANES 64u

static int create_huge(struct proto_reply *reply)
{
    struct ringd_request request;
    int fd = raw_connect(), result;

    proto_request_init(&request, RINGD_REQUEST_CREATE, "huge");
    request.options = (struct ringd_ring_options){.size = RINGD_SIZE_MAX, .lanes = HUGE_LANES};
    result = raw_ask(fd, &request, reply);
    close(fd);
    return result;
}

static bool huge_while_made(void)
{
    struct proto_reply reply;
    bool in_time;
    int fd;

    make_ring(OTHER, small);
    in_time = begin_making(&fd, RING);
    require(create_huge(&reply) == -ENOSPC && strstr(reply.head.text, "make it smaller") != NULL, "%s",
            reply.head.text);
    if (shared_bytes() < RINGD_SIZE_MAX)
        require(ringd_resize(OTHER, RINGD_SIZE_MAX) == -ENOSPC, "%s", ringd_error());
    in_time = in_time && is_being_made(RING, 1);
    require(last_answer(fd, &reply) == 0, "%s", reply.head.text);
    require(ring_info(OTHER).generation == 1 && ringd_resize(OTHER, 2 * SMALL) == 0, "%s", ringd_error());
    require(daemon_objects(&server) == 2 * RING_OBJECTS, "%u objects", daemon_objects(&server));
    return in_time;
}

START_TEST(what_does_not_fit_is_refused_at_once)
{
    static const char test[] = "what_does_not_fit_is_refused_at_once";

    if (shared_bytes() >= HUGE_LANES * RINGD_SIZE_MAX)
        support_skip(test, "this machine has more than the largest ring takes");
    else if (has_room(test, LARGE))
        until_in_time(huge_while_made);
}
END_TEST

/* A ring of three quarters of what there is, which is no power of two: so it has lanes. */
static struct ringd_ring_options three_quarters(uint64_t bytes)
{
    struct ringd_ring_options options = {.size = RINGD_SIZE_MIN};

    while (options.size * 2 <= bytes / 16)
        options.size *= 2;
    options.lanes = (uint32_t)(bytes / 4 * 3 / options.size);
    return options;
}

static int ask_with(const char *ring, const struct ringd_ring_options *options)
{
    struct ringd_request request;
    int fd = raw_connect();

    proto_request_init(&request, RINGD_REQUEST_CREATE, ring);
    request.options = *options;
    require(raw_send(fd, &request, sizeof request), "the daemon has hung up");
    return fd;
}

/* Where there is little, other tests that run now could take the rest of it. */
START_TEST(two_that_fit_only_one_by_one)
{
    uint64_t shared = shared_bytes(), machine = machine_bytes(), bytes = shared < machine ? shared : machine;
    struct ringd_ring_options options = three_quarters(bytes);
    uint64_t one = options.lanes * options.size;
    struct proto_reply replies[2];
    int fds[2], results[2], refused;

    if (bytes < LARGE || one > machine / 2 || one > UINT64_C(8) << 30) {
        support_skip("two_that_fit_only_one_by_one", "one would take %ju MiB here", (uintmax_t)(one >> 20));
        return;
    }
    fds[0] = ask_with(RING, &options);
    fds[1] = ask_with(OTHER, &options);
    results[0] = last_answer(fds[0], &replies[0]);
    results[1] = last_answer(fds[1], &replies[1]);
    refused = results[0] < 0 ? 0 : 1;
    require(results[refused] == -ENOSPC && results[1 - refused] == 0, "%d (%s) and %d (%s)", results[0],
            replies[0].head.text, results[1], replies[1].head.text);
    require(strstr(replies[refused].head.text, "make it smaller") != NULL, "not at once: %s",
            replies[refused].head.text);
    require(daemon_objects(&server) == RING_OBJECTS, "%u objects", daemon_objects(&server));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory is made while others are served");
    TCase *making = add_case(suite, "making"), *moving = add_case(suite, "moving"), *askers = add_case(suite, "askers");
    TCase *ends = add_case(suite, "ends"), *memory = add_case(suite, "memory"), *few = tcase_create("few clients");

    tcase_add_checked_fixture(few, few_clients_setup, server_teardown);
    tcase_set_timeout(few, SUPPORT_GUARD_S);
    suite_add_tcase(suite, few);
    tcase_add_test(making, others_are_served_while_a_ring_is_made);
    tcase_add_test(making, many_rings_are_made_at_once);
    tcase_add_test(moving, others_are_served_while_a_ring_is_about_to_move);
    tcase_add_test(moving, an_earlier_move_is_followed_while_a_ring_is_about_to_move);
    tcase_add_test(moving, a_ring_may_be_removed_while_it_is_about_to_move);
    tcase_add_test(moving, those_attached_learn_of_a_removal_before_a_move);
    tcase_add_test(moving, a_ring_that_is_damaged_does_not_move);
    tcase_add_test(askers, who_asked_may_hang_up_at_once);
    tcase_add_test(askers, requests_on_one_connection_are_answered_in_order);
    tcase_add_test(askers, a_context_may_ask_on_its_own_connection);
    tcase_add_test(ends, a_daemon_that_ends_leaves_nothing_half_made);
    tcase_add_test(ends, a_ring_in_use_stays_as_it_was_when_the_daemon_ends);
    tcase_add_test(ends, what_a_killed_daemon_has_half_made_goes);
    tcase_add_test(ends, who_asked_takes_a_removed_ring_along);
    tcase_add_test(few, who_waits_for_an_answer_is_not_silent);
    tcase_add_test(few, a_place_that_somebody_waits_in_is_not_given_away);
    tcase_add_test(memory, what_does_not_fit_is_refused_at_once);
    tcase_add_test(memory, two_that_fit_only_one_by_one);
    return run_suite(suite);
}
