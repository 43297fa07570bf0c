/* check_hostile_control.c - clients that send the daemon whatever they like.
 *
 * Each test is about one kind of bad manners: packets that are no requests, requests that make no sense, descriptors
 * that nobody asked for, connections that say nothing, that do not listen, or that go away in mid-request, and all of
 * it by the thousand. It gets an error or is disconnected. Meanwhile a well-behaved client, in a process of its own,
 * makes rings, attaches to them, writes, reads and removes them without noticing; and afterwards the daemon holds as
 * many connections, descriptors and objects, and as much memory, as before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"
#include "support_raw.h"

#define RING "victim"

/* What memory may have grown by: tables and arenas that are kept for next time. */
#define MEMORY_SLACK_KB 4096

struct polite {
    _Atomic bool stop;
    _Atomic uint64_t rounds;
};

static struct polite *polite;
static pid_t polite_pid;
static unsigned objects_before;
static uint64_t memory_before;

/* ---- the well-behaved client ------------------------------------------------------------------------------------- */

static void write_and_read(const char *name)
{
    struct ringd_writer *writer = open_writer(name);
    struct ringd_reader *reader = open_reader(name, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    struct tracker tracker = {0};

    for (int i = 0; i < 10; i++)
        require(write_record(writer, 64) == RINGD_OK, "write");
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK, "read");
    require(tracker_delivered(&tracker) == 10, "%" PRIu64 " of 10 records", tracker_delivered(&tracker));
    require(ring_info(name).writers == 1 && ring_info(name).lossless_readers == 1, "status");
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}

static void be_polite(void *argument)
{
    struct ringd_info infos[4];
    size_t count;

    (void)argument;
    while (!atomic_load(&polite->stop)) {
        make_ring("polite", (struct ringd_ring_options){.size = 16384, .max_record = 64});
        write_and_read("polite");
        require(ringd_list(infos, 4, &count) == 0 && count >= 1, "list: %s", ringd_error());
        require(ringd_remove("polite") == 0, "remove: %s", ringd_error());
        atomic_fetch_add(&polite->rounds, 1);
        support_guard(SUPPORT_GUARD_S);
    }
}

/* It goes on being served from now on: a whole round of it begins and ends. */
static void polite_is_served(void)
{
    uint64_t rounds = atomic_load(&polite->rounds);
    int status;

    while (atomic_load(&polite->rounds) < rounds + 2) {
        require(waitpid(polite_pid, &status, WNOHANG) == 0, "the well-behaved client failed");
        pause_ms(1);
    }
}

/* ---- what the daemon holds --------------------------------------------------------------------------------------- */

static uint64_t memory_kb(void)
{
    return process_number(server.pid, "status", "VmRSS");
}

static void note_daemon(void)
{
    raw_wait_disconnected(server.pid);
    objects_before = raw_daemon_descriptors(server.pid, "/");
    memory_before = memory_kb();
}

static void require_daemon_as_before(void)
{
    raw_wait_disconnected(server.pid);
    require(raw_daemon_descriptors(server.pid, "/") == objects_before, "%u descriptors, not %u",
            raw_daemon_descriptors(server.pid, "/"), objects_before);
    if (!support_sanitized())
        require(memory_kb() <= memory_before + MEMORY_SLACK_KB, "%" PRIu64 " kB, not %" PRIu64, memory_kb(),
                memory_before);
}

static void begin(const char *config)
{
    daemon_start(&server, config);
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 128});
    write_and_read(RING);
    note_daemon();
    polite = shared_new(sizeof *polite);
    polite_pid = child_start(be_polite, NULL);
    polite_is_served();
}

static void setup(void)
{
    begin(NULL);
}

static void teardown(void)
{
    polite_is_served();
    atomic_store(&polite->stop, true);
    child_finish(polite_pid);
    wait_for_contexts(RING, 0);
    require_daemon_as_before();
    server_teardown();
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static struct ringd_request good_request(uint16_t type)
{
    struct ringd_request request;

    proto_request_init(&request, type, RING);
    return request;
}

/* An answer that refuses, and then nothing more; or nothing at all. */
static void require_disconnected(int fd, int result)
{
    struct proto_reply reply;
    size_t len = raw_receive(fd, &reply);

    if (len > 0) {
        require(len == sizeof reply.head && reply.head.magic == RINGD_PROTO_MAGIC, "an answer of %zu bytes", len);
        require(result == 0 ? reply.head.result < 0 : reply.head.result == result, "%d, not %d: %s", reply.head.result,
                result, reply.head.text);
        require(memchr(reply.head.text, 0, sizeof reply.head.text) != NULL && reply.head.text[0] != '\0', "no words");
        len = raw_receive(fd, &reply);
    }
    require(len == 0, "the connection goes on");
    close(fd);
}

START_TEST(packets_of_a_wrong_length)
{
    static unsigned char bytes[65536];
    static const size_t lengths[] = {0, 1, 2, 4, 8, 72, 183, 185, 186, 368, 1000, 4096, 65536};
    struct ringd_request request = good_request(RINGD_REQUEST_STATUS);

    memcpy(bytes, &request, sizeof request);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int fd = raw_connect();

        require(raw_send(fd, bytes, lengths[i]), "hung up before");
        require_disconnected(fd, lengths[i] == 0 ? 0 : -EPROTO);
    }
}
END_TEST

START_TEST(packets_that_are_no_requests)
{
    struct ringd_request request = good_request(RINGD_REQUEST_STATUS);
    static const uint32_t magics[] = {0, UINT32_MAX, RINGD_PROTO_MAGIC + 1, 0x52676e72};
    static const uint16_t versions[] = {0, RINGD_PROTO_VERSION - 1, RINGD_PROTO_VERSION + 1, UINT16_MAX};

    for (size_t i = 0; i < 4; i++) {
        int fd = raw_connect();

        request.magic = magics[i];
        raw_send(fd, &request, sizeof request);
        require_disconnected(fd, -EPROTO);
        fd = raw_connect();
        request.magic = RINGD_PROTO_MAGIC;
        request.version = versions[i];
        raw_send(fd, &request, sizeof request);
        require_disconnected(fd, -EPROTONOSUPPORT);
        request.version = RINGD_PROTO_VERSION;
    }
}
END_TEST

/* Of these the connection survives. */
static void require_refused(int fd, const struct ringd_request *request, int result)
{
    struct ringd_request good = good_request(RINGD_REQUEST_OPEN);
    struct proto_reply reply;
    int found = raw_ask(fd, request, &reply);

    require(result == 0 ? found < 0 : found == result, "type %u: %d, not %d: %s", request->type, found, result,
            reply.head.text);
    require(reply.head.text[0] != '\0' && reply.head.count == 0 && reply.head.contexts == 0, "%d without words", found);
    require(raw_ask(fd, &good, &reply) == 0, "after that: %s", reply.head.text);
}

START_TEST(unknown_types)
{
    static const uint16_t types[] = {0, 200, 201, 255, 256, 4096, INT16_MAX, UINT16_MAX};
    int fd = raw_connect();

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ringd_request request = good_request(types[i]);

        require_refused(fd, &request, -EINVAL);
    }
    close(fd);
}
END_TEST

/* Each where a name is wanted. */
START_TEST(names_that_are_none)
{
    static const char *const names[] = {
        "",         ".",   "..",      ".hidden",  "a/b",      "/etc/passwd", "../../etc/passwd",
        "a b",      "a\n", "\033[2J", "%s%n%s%n", "\xff\xfe", "a\\b",        "a:b",
        "a;rm -rf", "*",   "-/",      "~"};
    static const uint16_t types[] = {RINGD_REQUEST_CREATE, RINGD_REQUEST_REMOVE, RINGD_REQUEST_STATUS,
                                     RINGD_REQUEST_OPEN, RINGD_REQUEST_ATTACH};
    int fd = raw_connect();

    for (size_t i = 0; i < sizeof names / sizeof names[0] * 5; i++) {
        struct ringd_request request;

        proto_request_init(&request, types[i % 5], names[i / 5]);
        request.kind = RINGD_CONTEXT_OBSERVER;
        require_refused(fd, &request, request.type == RINGD_REQUEST_CREATE ? -EINVAL : 0);
    }
    for (size_t i = 0; i < 5; i++) {
        struct ringd_request request = good_request(types[i]);

        memset(request.ring, 'a', sizeof request.ring);
        request.kind = RINGD_CONTEXT_OBSERVER;
        require_refused(fd, &request, -EINVAL);
    }
    close(fd);
}
END_TEST

/* The library says so before it asks anybody. */
START_TEST(names_of_300_characters)
{
    struct ringd *ring;
    char name[301];

    memset(name, 'n', 300);
    name[300] = '\0';
    require(ringd_create(name, NULL) == -EINVAL && strstr(ringd_error(), "63") != NULL, "%s", ringd_error());
    require(ringd_open(&ring, name) == -EINVAL && ring == NULL, "open");
    require(ringd_open(&ring, "a/b") == -EINVAL && ring == NULL, "open");
    require(ringd_remove(name) == -EINVAL, "remove");
    require(ringd_status(name, NULL, NULL, 0, NULL) == -EINVAL, "status");
}
END_TEST

static void require_options_refused(int fd, const struct ringd_ring_options *options)
{
    struct ringd_request request;

    proto_request_init(&request, RINGD_REQUEST_CREATE, "odd");
    request.options = *options;
    require_refused(fd, &request, -EINVAL);
}

START_TEST(options_that_make_no_sense)
{
    static const uint64_t sizes[] = {1, 32, 4095, 4097, 3000000, UINT64_C(1) << 37, UINT64_C(1) << 63, UINT64_MAX};
    static const struct ringd_ring_options odd[] = {
        {.policy = 4},
        {.policy = UINT32_MAX},
        {.time = 3},
        {.max_record = 65537},
        {.max_record = UINT32_MAX},
        {.size = 4096, .max_record = 65},
        {.hold = 2},
        {.hold = 1, .policy = RINGD_DROP},
        {.lanes = 65},
        {.lanes = 2, .first_position = UINT64_C(1) << 61},
        {.lanes = UINT32_MAX},
        {.mode = 01000},
        {.mode = UINT32_MAX},
        {.first_position = 1},
        {.first_position = UINT64_C(1) << 62},
        {.first_position = ~UINT64_C(31)},
        {.reserved = {[1] = 1}},
    };
    int fd = raw_connect();

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        require_options_refused(fd, &odd[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        require_options_refused(fd, &(struct ringd_ring_options){.size = sizes[i]});
    close(fd);
}
END_TEST

/* ---- attaching --------------------------------------------------------------------------------------------------- */

START_TEST(attaching_as_what_there_is_not)
{
    static const uint32_t odd[] = {0, RINGD_CONTEXT_EVICTED, 6, UINT32_MAX};
    struct ringd_request request = good_request(RINGD_REQUEST_ATTACH);
    int fd = raw_connect();

    for (size_t i = 0; i < 4; i++) {
        request.kind = odd[i];
        require_refused(fd, &request, -EINVAL);
    }
    request.kind = RINGD_CONTEXT_LOSSLESS;
    request.start = RINGD_START_TIME + 1;
    require_refused(fd, &request, -EINVAL);
    request.start = RINGD_START_TIME;
    require_refused(fd, &request, -EOPNOTSUPP); /* there are no times */
    request.start = RINGD_START_POSITION;
    for (size_t i = 0; i < 4; i++) {
        static const uint64_t positions[] = {0, 1, UINT64_MAX, UINT64_MAX - 31};

        request.position = positions[i];
        require_refused(fd, &request, 0);
    }
    proto_request_init(&request, RINGD_REQUEST_ATTACH, "nothing");
    request.kind = RINGD_CONTEXT_WRITER;
    require_refused(fd, &request, -ENOENT);
    request = good_request(RINGD_REQUEST_ATTACH);
    request.kind = RINGD_CONTEXT_WRITER;
    for (size_t i = 0; i < 4; i++) {
        static const uint32_t lanes[] = {2, 64, 65, UINT32_MAX};

        request.lane = lanes[i];
        require_refused(fd, &request, -EINVAL);
    }
    close(fd);
}
END_TEST

static void close_all(const int *descriptors)
{
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

START_TEST(attaching_twice_on_one_connection)
{
    int first[RINGD_PROTO_DESCRIPTORS], second[RINGD_PROTO_DESCRIPTORS], fd = raw_connect();
    struct ringd_context_info context;

    require(raw_attach(fd, RING, RINGD_CONTEXT_WRITER, first) == 0, "attach");
    for (uint32_t kind = RINGD_CONTEXT_WRITER; kind <= RINGD_CONTEXT_OBSERVER; kind++) {
        require(raw_attach(fd, RING, kind, second) < 0, "a second context");
        require(second[0] < 0 && second[1] < 0 && second[2] < 0, "descriptors with a refusal");
    }
    require(ring_info(RING).writers == 1 && find_context(RING, RINGD_CONTEXT_WRITER, &context), "the first is there");
    close_all(first);
    close(fd);
}
END_TEST

START_TEST(requests_of_the_attached_by_others)
{
    int writer[RINGD_PROTO_DESCRIPTORS], observer[RINGD_PROTO_DESCRIPTORS], fd = raw_connect(), other = raw_connect();
    struct ringd_request arm = good_request(RINGD_REQUEST_ARM), check = good_request(RINGD_REQUEST_CHECK);
    struct proto_reply reply;

    require_refused(fd, &arm, -EINVAL);
    require_refused(fd, &check, -EINVAL);
    require(raw_attach(fd, RING, RINGD_CONTEXT_WRITER, writer) == 0, "attach");
    require(raw_attach(other, RING, RINGD_CONTEXT_OBSERVER, observer) == 0, "attach");
    require_refused(fd, &arm, -EINVAL);
    require_refused(other, &check, -EINVAL);
    require(raw_ask(fd, &check, &reply) == 0 && reply.head.value == 0, "check");
    require(raw_ask(other, &arm, &reply) == 0 && (reply.head.value & 1) == 1, "arm");
    close_all(writer);
    close_all(observer);
    close(fd);
    close(other);
}
END_TEST

/* All writers and all readers there can be, and one more of each. */
START_TEST(as_many_contexts_as_there_is_room_for)
{
    static int connections[RINGD_WRITERS_PER_LANE + RINGD_READERS_MAX][1 + RINGD_PROTO_DESCRIPTORS];
    struct ringd_context_info contexts[RINGD_READERS_MAX + RINGD_WRITERS_PER_LANE];
    size_t count = 0, max = sizeof connections / sizeof connections[0];
    int fd = raw_connect(), none[RINGD_PROTO_DESCRIPTORS];

    for (size_t i = 0; i < max; i++) {
        uint32_t kind = i < RINGD_WRITERS_PER_LANE ? RINGD_CONTEXT_WRITER : 2 + i % 3;

        connections[i][0] = raw_connect();
        require(raw_attach(connections[i][0], RING, kind, &connections[i][1]) == 0, "context %zu", i);
    }
    require(raw_attach(fd, RING, RINGD_CONTEXT_WRITER, none) == -EUSERS, "one writer more");
    require(raw_attach(fd, RING, RINGD_CONTEXT_OBSERVER, none) == -EUSERS, "one reader more");
    require(ringd_status(RING, NULL, contexts, max, &count) == 0 && count == max, "%zu of %zu", count, max);
    polite_is_served();
    for (size_t i = 0; i < max; i++) {
        close_all(&connections[i][1]);
        close(connections[i][0]);
    }
    wait_for_contexts(RING, 0);
    require(raw_attach(fd, RING, RINGD_CONTEXT_WRITER, none) == 0, "room again");
    close_all(none);
    close(fd);
}
END_TEST

/* ---- descriptors nobody asked for -------------------------------------------------------------------------------- */

START_TEST(descriptors_along_with_a_request)
{
    struct ringd_request request = good_request(RINGD_REQUEST_STATUS);
    static const size_t counts[] = {1, 2, 3, 4, 16, 100, 253};
    int descriptors[253];

    for (int i = 0; i < 253; i++)
        descriptors[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < 7 * 20; i++) {
        int fd = raw_connect();

        descriptors[0] = i % 2 == 0 ? fd : descriptors[1]; /* the connection itself, too */
        require(raw_send_descriptors(fd, &request, sizeof request, descriptors, counts[i % 7]), "send");
        require_disconnected(fd, -EPROTO);
    }
    for (int i = 1; i < 253; i++)
        close(descriptors[i]);
}
END_TEST

/* ---- anything ---------------------------------------------------------------------------------------------------- */

static void fill_random(struct random_source *random, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)random_next(random);
}

/* A correct request with some bytes changed; never one that makes a ring of a size that hurts. */
static size_t mutated_request(struct random_source *random, unsigned char *bytes)
{
    struct ringd_request request = good_request((uint16_t)(1 + random_below(random, 8)));

    request.kind = (uint32_t)(1 + random_below(random, 4));
    request.start = (uint32_t)random_below(random, 3);
    memcpy(bytes, &request, sizeof request);
    for (uint64_t changes = random_below(random, 4); changes > 0; changes--)
        bytes[random_below(random, sizeof request)] = (unsigned char)random_next(random);
    memset(bytes + offsetof(struct ringd_request, options.size) + 3, 0, 5);
    return random_below(random, 20) == 0 ? random_below(random, 400) : sizeof request;
}

static size_t random_packet(struct random_source *random, unsigned char *bytes)
{
    size_t len = random_below(random, 400);

    if (random_below(random, 4) != 0)
        return mutated_request(random, bytes);
    fill_random(random, bytes, len);
    return len;
}

/* The rings that such requests have made go, and the one that they may have removed comes back. */
static void tidy_rings(void)
{
    static struct ringd_info infos[256];
    size_t count;

    require(ringd_list(infos, 256, &count) == 0, "%s", ringd_error());
    for (size_t i = 0; i < count && i < 256; i++)
        if (strcmp(infos[i].name, RING) != 0 && strcmp(infos[i].name, "polite") != 0)
            ringd_remove(infos[i].name);
    if (ringd_status(RING, NULL, NULL, 0, NULL) == -ENOENT)
        make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 128});
}

START_TEST(thousands_of_random_packets)
{
    struct random_source random = {.state = support_seed()};
    unsigned char bytes[400];
    struct proto_reply reply;
    int fd = raw_connect();

    for (int i = 0; i < 8000; i++) {
        size_t len = random_packet(&random, bytes);

        if (!raw_send(fd, bytes, len) || raw_receive(fd, &reply) == 0) {
            close(fd);
            fd = raw_connect();
        }
        if (i % 50 == 49)
            tidy_rings();
    }
    close(fd);
    tidy_rings();
}
END_TEST

/* ---- floods ------------------------------------------------------------------------------------------------------ */

/* Sends until the daemon takes no more, and reads nothing. */
static void flood(void *argument)
{
    const struct ringd_request *request = argument;

    for (int round = 0; round < 20; round++) {
        int fd = raw_connect();

        for (int i = 0; i < 20000 && send(fd, request, sizeof *request, MSG_NOSIGNAL) > 0; i++)
            ;
        close(fd);
    }
}

START_TEST(a_flood_without_reading)
{
    static const uint16_t types[] = {RINGD_REQUEST_LIST, RINGD_REQUEST_STATUS, 99};
    struct ringd_request requests[3];
    pid_t flooders[3];

    for (int i = 0; i < 3; i++) {
        requests[i] = good_request(types[i]);
        flooders[i] = child_start(flood, &requests[i]);
    }
    polite_is_served();
    for (int i = 0; i < 3; i++)
        child_finish(flooders[i]);
}
END_TEST

/* Reads all answers, and asks again at once. */
static void ask_and_ask(void *argument)
{
    struct ringd_request request = good_request(RINGD_REQUEST_STATUS);
    struct proto_reply reply;
    int fd = raw_connect();

    (void)argument;
    for (int i = 0; i < 20000; i++)
        require(raw_ask(fd, &request, &reply) == 0, "%s", reply.head.text);
    close(fd);
}

START_TEST(many_who_ask_all_the_time)
{
    pid_t askers[8];

    for (int i = 0; i < 8; i++)
        askers[i] = child_start(ask_and_ask, NULL);
    polite_is_served();
    for (int i = 0; i < 8; i++)
        child_finish(askers[i]);
}
END_TEST

/* Opens connections and says nothing. Returns how many. */
static int open_silent(int *connections, int max)
{
    int count = 0;

    while (count < max && (connections[count] = raw_try_connect()) >= 0)
        count++;
    return count;
}

START_TEST(thousands_of_silent_connections)
{
    static int connections[3000];
    struct rlimit limit;
    int count;

    require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "errno %d", errno);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    count = open_silent(connections, limit.rlim_max > 3100 ? 3000 : (int)limit.rlim_max - 100);
    require(count > 100, "only %d", count);
    polite_is_served();
    while (count > 0)
        close(connections[--count]);
}
END_TEST

/* With all connections that there may be taken by those who say nothing. */
START_TEST(silent_connections_keep_nobody_out)
{
    int connections[200], count;

    begin("[ringd]\nmax_clients = 64\n");
    count = open_silent(connections, 200);
    polite_is_served();
    while (count > 0)
        close(connections[--count]);
    teardown();
}
END_TEST

START_TEST(connections_that_end_in_mid_request)
{
    for (int i = 0; i < 2000; i++) {
        struct ringd_request request = good_request((uint16_t)(3 + i % 6));
        int fd = raw_connect();

        request.kind = (uint32_t)(1 + i / 6 % 4);
        for (int j = 0; j < i % 3 + 1; j++)
            raw_send(fd, &request, sizeof request);
        close(fd);
    }
    wait_for_contexts(RING, 0);
}
END_TEST

/* Half of a conversation is over: nothing more will come, but answers are read. */
START_TEST(connections_that_are_shut_down_for_writing)
{
    for (int i = 0; i < 500; i++) {
        struct ringd_request request = good_request(RINGD_REQUEST_STATUS);
        struct proto_reply reply;
        int fd = raw_connect();

        raw_send(fd, &request, sizeof request);
        shutdown(fd, SHUT_WR);
        while (raw_receive(fd, &reply) > 0)
            ;
        close(fd);
    }
}
END_TEST

/* Attaches, and is killed or leaves, over and over, eight at a time. */
static void come_and_go(void *argument)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS];

    (void)argument;
    for (int i = 0; i < 300; i++) {
        int fd = raw_connect();

        if (raw_attach(fd, RING, (uint32_t)(1 + i % 4), descriptors) == 0)
            close_all(descriptors);
        close(fd);
    }
    kill(getpid(), SIGKILL);
}

START_TEST(contexts_that_come_and_go)
{
    pid_t visitors[8];

    for (int i = 0; i < 8; i++)
        visitors[i] = child_start(come_and_go, NULL);
    for (int i = 0; i < 8; i++)
        require(WIFSIGNALED(child_wait(visitors[i])), "a visitor failed");
    wait_for_contexts(RING, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile control messages");
    TCase *packets = tcase_create("packets"), *floods = tcase_create("floods"), *full = tcase_create("full");

    tcase_add_checked_fixture(packets, setup, teardown);
    tcase_add_checked_fixture(floods, setup, teardown);
    tcase_set_timeout(packets, SUPPORT_GUARD_S);
    tcase_set_timeout(floods, SUPPORT_GUARD_S);
    tcase_set_timeout(full, SUPPORT_GUARD_S);
    suite_add_tcase(suite, packets);
    suite_add_tcase(suite, floods);
    suite_add_tcase(suite, full);
    tcase_add_test(packets, packets_of_a_wrong_length);
    tcase_add_test(packets, packets_that_are_no_requests);
    tcase_add_test(packets, unknown_types);
    tcase_add_test(packets, names_that_are_none);
    tcase_add_test(packets, names_of_300_characters);
    tcase_add_test(packets, options_that_make_no_sense);
    tcase_add_test(packets, attaching_as_what_there_is_not);
    tcase_add_test(packets, attaching_twice_on_one_connection);
    tcase_add_test(packets, requests_of_the_attached_by_others);
    tcase_add_test(packets, as_many_contexts_as_there_is_room_for);
    tcase_add_test(packets, descriptors_along_with_a_request);
    tcase_add_test(packets, thousands_of_random_packets);
    tcase_add_test(floods, a_flood_without_reading);
    tcase_add_test(floods, many_who_ask_all_the_time);
    tcase_add_test(floods, thousands_of_silent_connections);
    tcase_add_test(floods, connections_that_end_in_mid_request);
    tcase_add_test(floods, connections_that_are_shut_down_for_writing);
    tcase_add_test(floods, contexts_that_come_and_go);
    tcase_add_test(full, silent_connections_keep_nobody_out);
    return run_suite(suite);
}
