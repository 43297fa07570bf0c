/* check_hostile_memory.c - what a client can do with the descriptors it is given.
 *
 * A client has, for a moment, the descriptors of two objects and of its life page, and may keep them instead of closing
 * them. Nothing that the kernel lets it do with them may reach others: neither cut off memory that others have mapped
 * (their next access would be a SIGBUS), nor fill up the machine's shared memory, nor make the daemon wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support_check.h"
#include "support_raw.h"

#define RING      "victim"
#define BYSTANDER "bystander"

static const char *const kind_names[] = {"nobody", "writer", "lossless reader", "lossy reader", "observer"};

struct work {
    _Atomic bool stop;
    _Atomic uint64_t rounds;
};

static struct work *work;

static void setup(void)
{
    server_setup();
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 128});
    make_ring(BYSTANDER, (struct ringd_ring_options){.size = 65536, .max_record = 128});
    work = shared_new(sizeof *work);
}

/* Another ring works from end to end. */
static void require_served(void)
{
    struct ringd_writer *writer = open_writer(BYSTANDER);
    struct ringd_reader *reader = open_reader(BYSTANDER, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct tracker tracker = {0};

    require(write_record(writer, 64) == RINGD_OK, "write");
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK && tracker_delivered(&tracker) == 1, "read");
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}

static void attach(int *fd, uint32_t kind, int *descriptors)
{
    *fd = raw_connect();
    require(raw_attach(*fd, RING, kind, descriptors) == 0, "attach as %s", kind_names[kind]);
}

static void detach(int fd, const int *descriptors)
{
    for (int i = 0; i < (int)RINGD_PROTO_DESCRIPTORS; i++)
        close(descriptors[i]);
    close(fd);
}

/* Objects that have a name cannot be sealed: then who may write one can also change its length, and those who have it
 * mapped are hit by that. Only objects without a name (memfd_create) can keep this promise. */
static bool is_sealed(int fd, const char *test)
{
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0)
        return true;
    support_skip(test, "shared memory with a name cannot be sealed, and who may write it may cut it off");
    return false;
}

/* ---- grades ------------------------------------------------------------------------------------------------------ */

static bool writable(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    require(flags >= 0, "errno %d", errno);
    return (flags & O_ACCMODE) != O_RDONLY;
}

/* Of each kind of context: segment, readers, life page. */
START_TEST(descriptors_allow_what_they_have_to)
{
    static const bool allowed[][RINGD_PROTO_DESCRIPTORS] = {
        {false, false, false}, {true, true, false}, {false, true, false}, {false, true, false}, {false, false, false},
    };
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];

    attach(&fd, (uint32_t)_i, descriptors);
    for (int i = 0; i < (int)RINGD_PROTO_DESCRIPTORS; i++) {
        require(writable(descriptors[i]) == allowed[_i][i], "descriptor %d of a %s %s be written", i, kind_names[_i],
                writable(descriptors[i]) ? "can" : "cannot");
        require((fcntl(descriptors[i], F_GETFD) & FD_CLOEXEC) != 0, "descriptor %d", i);
    }
    detach(fd, descriptors);
}
END_TEST

/* What is reserved at creation is all that a ring takes. */
START_TEST(no_object_can_be_made_longer)
{
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];

    for (uint32_t kind = RINGD_CONTEXT_OBSERVER; kind >= RINGD_CONTEXT_WRITER; kind--) {
        attach(&fd, kind, descriptors);
        for (int i = 0; i < (int)RINGD_PROTO_DESCRIPTORS; i++) {
            if (writable(descriptors[i]) && !is_sealed(descriptors[i], "no_object_can_be_made_longer"))
                return;
            require(ftruncate(descriptors[i], 1 << 30) != 0, "descriptor %d of a %s", i, kind_names[kind]);
        }
        detach(fd, descriptors);
    }
}
END_TEST

/* ---- memory that is cut off -------------------------------------------------------------------------------------- */

static void write_on(void *argument)
{
    struct ringd_writer *writer = open_writer(RING);

    (void)argument;
    while (!atomic_load(&work->stop)) {
        int result = write_record(writer, 64);

        require(result == RINGD_OK || result < 0, "%d", result);
        atomic_fetch_add(&work->rounds, 1);
    }
    ringd_writer_close(writer);
}

static void wait_for_rounds(uint64_t more)
{
    uint64_t rounds = atomic_load(&work->rounds);

    while (atomic_load(&work->rounds) < rounds + more)
        pause_ms(1);
}

static const struct {
    uint32_t kind;
    int object;
} cuts[] = {{RINGD_CONTEXT_WRITER, 0}, {RINGD_CONTEXT_WRITER, 1}, {RINGD_CONTEXT_LOSSY, 1}};

#define CUTS (sizeof cuts / sizeof cuts[0])

/* A writer beside it does not notice. */
START_TEST(others_live_on_when_memory_is_cut_off)
{
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];

    for (size_t i = 0; i < CUTS; i++) {
        pid_t writer;

        attach(&fd, cuts[i].kind, descriptors);
        if (!is_sealed(descriptors[cuts[i].object], "others_live_on_when_memory_is_cut_off"))
            return;
        writer = child_start(write_on, NULL);
        wait_for_rounds(10);
        require(ftruncate(descriptors[cuts[i].object], 0) != 0, "it was cut off");
        wait_for_rounds(10);
        atomic_store(&work->stop, true);
        child_finish(writer);
        atomic_store(&work->stop, false);
        detach(fd, descriptors);
    }
}
END_TEST

/* The daemon looks at it in every way, and goes on serving. */
START_TEST(the_daemon_lives_on_when_memory_is_cut_off)
{
    struct ringd_request check;
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_info infos[4];
    struct proto_reply reply;
    size_t count;

    attach(&fd, cuts[_i].kind, descriptors);
    ftruncate(descriptors[cuts[_i].object], 0);
    proto_request_init(&check, RINGD_REQUEST_CHECK, "");
    raw_ask(fd, &check, &reply);
    ringd_status(RING, infos, NULL, 0, NULL);
    require(ringd_list(infos, 4, &count) == 0, "%s", ringd_error());
    detach(fd, descriptors);
    require_served();
    require(ringd_remove(RING) == 0 || ringd_status(RING, infos, NULL, 0, NULL) == -ENOENT, "%s", ringd_error());
    make_ring(RING, (struct ringd_ring_options){0});
    require_served();
}
END_TEST

/* Cut off and put back: what the daemon has mapped and what clients get is one and the same memory, or the ring is no
 * more. */
START_TEST(memory_that_is_cut_off_and_put_back)
{
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_info info;
    struct stat status;

    attach(&fd, RINGD_CONTEXT_WRITER, descriptors);
    require(fstat(descriptors[0], &status) == 0, "errno %d", errno);
    if (ftruncate(descriptors[0], 0) == 0) {
        ringd_status(RING, &info, NULL, 0, NULL);
        require(ftruncate(descriptors[0], status.st_size) == 0, "errno %d", errno);
        require_served();
        require(ringd_status(RING, &info, NULL, 0, NULL) == -ENOENT, "the daemon goes on with pages of its own");
    }
    detach(fd, descriptors);
    require_served();
}
END_TEST

/* Holes are zeroes: as good as anything else that a writer can store. */
START_TEST(holes_in_memory)
{
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_info info;
    pid_t writer = child_start(write_on, NULL);

    wait_for_rounds(10);
    attach(&fd, RINGD_CONTEXT_WRITER, descriptors);
    for (int i = 0; i < 2; i++)
        fallocate(descriptors[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    ringd_status(RING, &info, NULL, 0, NULL);
    wait_for_rounds(10);
    atomic_store(&work->stop, true);
    child_finish(writer);
    detach(fd, descriptors);
    require_served();
}
END_TEST

/* ---- making the daemon wait -------------------------------------------------------------------------------------- */

/* Who opens a file with a lease on it waits until the holder gives it back, or for 45 seconds. The daemon looks at the
 * life page when the connection ends. Its answer to others does not have to wait for that. */
START_TEST(a_lease_on_a_life_page_stops_nobody)
{
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_info info;

    signal(SIGIO, SIG_IGN); /* asks for the lease */
    attach(&fd, RINGD_CONTEXT_OBSERVER, descriptors);
    if (fcntl(descriptors[2], F_SETLEASE, F_WRLCK) != 0 && fcntl(descriptors[2], F_SETLEASE, F_RDLCK) != 0) {
        support_skip("a_lease_on_a_life_page_stops_nobody", "no leases on shared memory here (%s)", strerror(errno));
    } else {
        close(fd);
        fd = raw_connect();
        require(ringd_status(RING, &info, NULL, 0, NULL) == 0, "%s", ringd_error());
    }
    detach(fd, descriptors);
    wait_for_contexts(RING, 0);
}
END_TEST

/* Whoever gives up the lock on his life page while he lives has only himself to blame; the daemon is not confused. */
START_TEST(a_lock_that_is_given_up)
{
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int fd, descriptors[RINGD_PROTO_DESCRIPTORS];

    for (uint32_t kind = RINGD_CONTEXT_WRITER; kind <= RINGD_CONTEXT_OBSERVER; kind++) {
        attach(&fd, kind, descriptors);
        require(fcntl(descriptors[2], F_OFD_SETLK, &unlock) == 0, "errno %d", errno);
        close(fd);
        wait_for_contexts(RING, 0);
        fd = raw_connect();
        detach(fd, descriptors);
        require_served();
    }
}
END_TEST

/* ---- children ---------------------------------------------------------------------------------------------------- */

/* One thread attaches and detaches while another forks. */
static void *come_and_go(void *argument)
{
    (void)argument;
    while (!atomic_load(&work->stop)) {
        ringd_writer_close(open_writer(RING));
        ringd_reader_close(open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW));
        atomic_fetch_add(&work->rounds, 1);
    }
    return NULL;
}

static void sleep_on(void *argument)
{
    (void)argument;
    pause();
}

/* A child that has nothing to do with the ring keeps no copy of a connection: it would keep a context alive that its
 * parent has closed, or died with. */
START_TEST(children_keep_no_connections)
{
    pid_t children[100];
    pthread_t thread;

    require(pthread_create(&thread, NULL, come_and_go, NULL) == 0, "no thread");
    for (int i = 0; i < 100; i++) {
        wait_for_rounds(1);
        children[i] = child_start(sleep_on, NULL);
    }
    atomic_store(&work->stop, true);
    pthread_join(thread, NULL);
    wait_for_contexts(RING, 0);
    for (int i = 0; i < 100; i++)
        child_kill(children[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile memory");
    TCase *tests = tcase_create("descriptors");

    tcase_add_checked_fixture(tests, setup, server_teardown);
    tcase_set_timeout(tests, SUPPORT_GUARD_S);
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, descriptors_allow_what_they_have_to, 1, 5);
    tcase_add_test(tests, no_object_can_be_made_longer);
    tcase_add_test(tests, others_live_on_when_memory_is_cut_off);
    tcase_add_loop_test(tests, the_daemon_lives_on_when_memory_is_cut_off, 0, CUTS);
    tcase_add_test(tests, memory_that_is_cut_off_and_put_back);
    tcase_add_test(tests, holes_in_memory);
    tcase_add_test(tests, a_lease_on_a_life_page_stops_nobody);
    tcase_add_test(tests, a_lock_that_is_given_up);
    tcase_add_test(tests, children_keep_no_connections);
    return run_suite(suite);
}
