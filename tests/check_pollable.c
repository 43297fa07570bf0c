/* check_pollable.c - a writer that waits for room, and a reader for records, in poll or epoll: ringd_writer_fd,
 * ringd_reader_fd.
 *
 * The descriptor is readable while there may be room, or something to say, and is not when there is none; a wake-up
 * that got lost would leave poll waiting for ever, until the guard of the test ends it. That nobody works while nothing
 * happens is checked by the kernel's accounts of all threads.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "wake.h"
#include "writer.h"

#define RING "pollable"
#define LEN  64u

static const struct ringd_ring_options small = {.size = 4096, .max_record = LEN};

static bool is_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int ready = poll(&wanted, 1, 0);

    require(ready >= 0, "errno %d", errno);
    require(ready == 0 || wanted.revents == POLLIN, "revents 0x%x", (unsigned)wanted.revents);
    return ready == 1;
}

static void wait_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    require(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLIN, "poll");
}

static int fd_of(struct ringd_writer *w)
{
    int fd = ringd_writer_fd(w);

    require(fd >= 0, "fd: %s", ringd_strerror(fd));
    return fd;
}

/* Writes until there is no room; the last result. */
static int fill_up(struct ringd_writer *w)
{
    int result;

    while ((result = write_record(w, LEN)) == RINGD_OK)
        ;
    return result;
}

/* Until the descriptor is not readable after the ring was full: what was on its way has arrived. */
static void fill_for_good(struct ringd_writer *w, int no)
{
    do
        ck_assert_int_eq(fill_up(w), no);
    while (is_readable(fd_of(w)));
}

static void give_back(struct ringd_reader *reader, int count)
{
    struct ringd_record record;

    for (int i = 0; i < count; i++)
        require(ringd_next(reader, &record) == RINGD_OK, "nothing to read");
    require(ringd_release(reader) == RINGD_OK, "evicted");
}

static void drain(struct ringd_reader *reader)
{
    struct ringd_record record;
    int result;

    while ((result = ringd_next(reader, &record)) == RINGD_OK)
        require(ringd_release(reader) == RINGD_OK, "evicted");
    require(result == RINGD_WOULD_BLOCK, "result %d", result);
}

struct party {
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct tracker tracker;
    int fd; /* of one of them */
};

static struct party meet(struct ringd_ring_options options, uint32_t mode)
{
    make_ring(RING, options);
    return (struct party){.w = open_writer(RING), .reader = open_reader(RING, mode, RINGD_START_NOW)};
}

static struct party come(struct ringd_ring_options options)
{
    struct party party = meet(options, RINGD_READ_LOSSLESS);

    party.fd = fd_of(party.w);
    return party;
}

static void leave(struct party *party)
{
    ringd_reader_close(party->reader);
    ringd_writer_close(party->w);
}

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

START_TEST(the_descriptor_stays_the_same_and_goes_with_its_writer)
{
    struct party party = come(small);

    ck_assert_int_eq(ringd_writer_fd(party.w), party.fd);
    fill_up(party.w);
    ck_assert_int_eq(ringd_writer_fd(party.w), party.fd);
    ck_assert(fcntl(party.fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(party.fd, F_GETFL) & O_NONBLOCK);
    leave(&party);
    ck_assert_int_eq(fcntl(party.fd, F_GETFD), -1);
}
END_TEST

START_TEST(without_descriptors_there_is_none)
{
    struct ringd_writer *w;
    int fds[1024], count = 0, fd;

    make_ring(RING, small);
    w = open_writer(RING);
    while (count < 1024 && (fds[count] = open("/dev/null", O_RDONLY)) >= 0)
        count++;
    if (count < 1024) {
        ck_assert_int_eq(ringd_writer_fd(w), -EMFILE);
        close(fds[--count]);
    }
    fd = ringd_writer_fd(w);
    ck_assert_int_ge(fd, 0);
    ck_assert(is_readable(fd));
    while (count > 0)
        close(fds[--count]);
    ck_assert_int_eq(write_record(w, LEN), RINGD_OK);
    ringd_writer_close(w);
}
END_TEST

static void use_in_child(void *argument)
{
    const struct party *party = argument;

    require(ringd_writer_fd(party->w) == -ECHILD, "fd");
    require(fcntl(party->fd, F_GETFD) == -1 && errno == EBADF, "it was inherited");
    ringd_writer_close(party->w); /* waits for no thread, which is not there */
}

/* A parent's epoll would go on about a descriptor that it has closed, if the child kept it open. */
START_TEST(a_child_has_none_of_it)
{
    struct party party = come(small);

    child_finish(child_start(use_in_child, &party));
    fill_for_good(party.w, RINGD_FULL);
    child_finish(child_start(use_in_child, &party));
    give_back(party.reader, 1);
    wait_readable(party.fd);
    ck_assert_int_eq(write_record(party.w, LEN), RINGD_OK);
    leave(&party);
}
END_TEST

/* The program has closed it, and has a file under its number: that is not written to, read or closed. */
START_TEST(a_number_that_is_somebody_elses_by_now)
{
    struct party party = come(small);
    char bytes[16];
    int fd = memory_file("hello", 5);

    fill_for_good(party.w, RINGD_FULL);
    ck_assert_int_eq(dup2(fd, party.fd), party.fd);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    for (int i = 0; i < 20; i++) {
        give_back(party.reader, 1);
        pause_ms(1);
        ck_assert_int_eq(fill_up(party.w), RINGD_FULL);
    }
    leave(&party);
    ck_assert_int_eq(pread(party.fd, bytes, sizeof bytes, 0), 5);
    ck_assert_int_eq(lseek(party.fd, 0, SEEK_CUR), 0);
    close(party.fd);
    close(fd);
}
END_TEST

START_TEST(many_come_and_go)
{
    struct ringd_reader *reader;
    struct ringd_writer *w;
    int fd;

    make_ring(RING, small);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 200; i++) {
        w = open_writer(RING);
        fd = fd_of(w);
        if (i % 3 > 0)
            ck_assert_int_eq(fill_up(w), RINGD_FULL); /* it leaves armed */
        if (i % 3 > 1)
            drain(reader); /* and while it is woken */
        ringd_writer_close(w);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        drain(reader);
    }
    ringd_reader_close(reader);
}
END_TEST

/* ---- readable, and not ------------------------------------------------------------------------------------------- */

START_TEST(readable_while_there_may_be_room)
{
    bool drops = _i == RINGD_DROP;
    int no = drops ? RINGD_DROPPED : RINGD_FULL;
    struct ringd_ring_options options = small;
    struct party party;

    options.policy = (uint32_t)_i;
    party = come(options);
    ck_assert(is_readable(party.fd));
    for (int round = 0; round < 500; round++) {
        fill_for_good(party.w, no);
        ck_assert(!is_readable(party.fd));
        give_back(party.reader, 1 + round % 5);
        wait_readable(party.fd);
        ck_assert(is_readable(party.fd)); /* level-triggered: until it has tried and found nothing */
        for (int i = 0; i <= round % 5; i++) {
            ck_assert_int_eq(write_record(party.w, LEN), RINGD_OK);
            ck_assert(is_readable(party.fd));
        }
    }
    leave(&party);
}
END_TEST

/* Nobody has to ask twice, whoever opens the room: here another writer that was in mid-record, and then a reader that
 * goes. */
START_TEST(woken_by_whoever_makes_room)
{
    struct party party = come(small);
    struct ringd_writer *other = open_writer(RING);
    size_t granted;
    void *data;

    ck_assert_int_eq(ringd_reserve(other, LEN, LEN, &data, &granted), RINGD_OK);
    fill_for_good(party.w, RINGD_FULL);
    record_make(data, LEN, writer_slot(other), writer_sequence(other));
    ck_assert_int_eq(ringd_commit(other, LEN), RINGD_OK);
    wait_readable(party.fd);
    fill_for_good(party.w, RINGD_FULL);
    ringd_reader_close(party.reader);
    wait_readable(party.fd);
    ck_assert_int_eq(write_record(party.w, LEN), RINGD_OK);
    ringd_writer_close(other);
    ringd_writer_close(party.w);
}
END_TEST

START_TEST(it_works_without_the_daemon)
{
    struct party party = come(small);

    fill_for_good(party.w, RINGD_FULL);
    daemon_kill(&server);
    for (int i = 0; i < 50; i++) {
        give_back(party.reader, 1);
        wait_readable(party.fd);
        ck_assert_int_eq(write_record(party.w, LEN), RINGD_OK);
        fill_for_good(party.w, RINGD_FULL);
    }
    daemon_restart(&server, NULL);
    give_back(party.reader, 1);
    wait_readable(party.fd);
    leave(&party);
}
END_TEST

/* The word that is slept on is another one after each move, and the memory of the old one goes. */
START_TEST(it_follows_a_ring_that_moves)
{
    struct party party = come(small);

    for (uint64_t i = 0; i < 12; i++) {
        fill_for_good(party.w, RINGD_FULL);
        ck_assert_int_eq(ringd_resize(RING, i % 2 ? 4096 : 8192), 0);
        wait_readable(party.fd);
        while (write_record(party.w, LEN) == RINGD_OK)
            ;
        drain(party.reader);
        wait_readable(party.fd);
        ck_assert_int_eq(write_record(party.w, LEN), RINGD_OK);
        ck_assert_int_eq(ringd_writer_fd(party.w), party.fd);
    }
    leave(&party);
}
END_TEST

START_TEST(it_tells_that_the_ring_is_removed)
{
    struct party party = come(small);

    fill_for_good(party.w, RINGD_FULL);
    ck_assert_int_eq(ringd_remove(RING), 0);
    wait_readable(party.fd);
    ck_assert_int_eq(write_record(party.w, LEN), -ESHUTDOWN);
    leave(&party);
}
END_TEST

/* ---- nothing happens --------------------------------------------------------------------------------------------- */

/* How often all threads of a process have been on a processor. */
static uint64_t all_switches(pid_t pid)
{
    struct dirent *entry;
    uint64_t sum = 0;
    char path[64];
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    require(tasks != NULL, "%s: errno %d", path, errno);
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.')
            sum += process_switches((pid_t)atoi(entry->d_name));
    }
    closedir(tasks);
    return sum;
}

/* Waits until it has not been for a while; for ever if it never rests. */
static void wait_all_still(pid_t pid)
{
    uint64_t before, now = 0;

    do {
        before = now;
        pause_ms(100);
        now = all_switches(pid);
    } while (now != before);
}

struct poller {
    _Atomic uint32_t full, written;
    _Atomic uint32_t slot; /* and one */
};

/* Tries whenever it is told to. */
static void poll_and_write(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct poller *poller = argument;
    int fd = fd_of(w);

    atomic_store(&poller->slot, writer_slot(w) + 1);
    for (;;) {
        int result = write_record(w, LEN);

        require(result == RINGD_OK || result == RINGD_FULL, "result %d", result);
        atomic_fetch_add(result == RINGD_OK ? &poller->written : &poller->full, 1);
        if (result == RINGD_FULL)
            wait_readable(fd);
    }
}

static void wait_and_write(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct poller *poller = argument;

    atomic_store(&poller->slot, writer_slot(w) + 1);
    require(write_record(w, LEN) == RINGD_OK, "it was to wait");
    atomic_store(&poller->written, 1);
}

static struct poller *start_polling(pid_t *pid)
{
    struct poller *poller = shared_new(sizeof *poller);

    *pid = child_start(poll_and_write, poller);
    while (atomic_load(&poller->full) == 0)
        pause_ms(1);
    return poller;
}

/* All of it: the threads, and whoever else waits. Several pollers, one in line: they do not wake each other. */
START_TEST(idle_pollers_use_no_processor_time)
{
    struct poller *line = shared_new(sizeof *line), *pollers[3];
    struct ringd_reader *reader;
    struct ringd_writer *w;
    uint64_t rest, full;
    pid_t pids[4];

    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_assert_int_eq(fill_up(w), RINGD_FULL);
    if (_i > 0) {
        pids[3] = child_start(wait_and_write, line);
        while (line->slot == 0 || !(atomic_load(&w->ring.ring.lane->waiters) >> (line->slot - 1) & 1))
            pause_ms(1);
    }
    for (int i = 0; i < 3; i++)
        pollers[i] = start_polling(&pids[i]);
    for (int i = 0; i < 3; i++)
        wait_all_still(pids[i]);
    if (_i > 0)
        wait_all_still(pids[3]);
    rest = full = 0;
    for (int i = 0; i < 3; i++) {
        rest += pollers[i]->written;
        full += pollers[i]->full;
    }
    ck_assert_uint_eq(rest, 0);
    ck_assert_uint_lt(full, 10000); /* and then no more: they are still */
    give_back(reader, 1);           /* who stands in line comes first */
    if (_i > 0)
        child_finish(pids[3]);
    else
        while (pollers[0]->written + pollers[1]->written + pollers[2]->written == 0)
            pause_ms(1);
    for (int i = 0; i < 3; i++)
        wait_all_still(pids[i]);
    ck_assert_uint_eq(pollers[0]->written + pollers[1]->written + pollers[2]->written, _i > 0 ? 0 : 1);
    for (int i = 0; i < 3; i++)
        child_kill(pids[i]);
}
END_TEST

/* ---- no wake-up is lost ------------------------------------------------------------------------------------------ */

#define EPOLL_WRITERS 4
#define EPOLL_RECORDS 1500

struct game {
    _Atomic uint32_t ready;
};

static void write_by_epoll(void *argument)
{
    struct ringd_writer *writers[EPOLL_WRITERS];
    uint32_t left[EPOLL_WRITERS];
    struct game *game = argument;
    int epoll = epoll_create1(EPOLL_CLOEXEC), open_count = EPOLL_WRITERS;

    for (uint32_t i = 0; i < EPOLL_WRITERS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        writers[i] = open_writer(RING);
        left[i] = EPOLL_RECORDS;
        require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd_of(writers[i]), &event) == 0, "errno %d", errno);
    }
    atomic_fetch_add(&game->ready, 1);
    while (open_count > 0) {
        struct epoll_event event;
        struct ringd_writer *w;
        int result = RINGD_OK;

        require(epoll_wait(epoll, &event, 1, -1) == 1, "errno %d", errno);
        w = writers[event.data.u32];
        for (int i = 0; i < 50 && result == RINGD_OK && left[event.data.u32] > 0; i++) {
            result = write_record(w, RECORD_MIN + left[event.data.u32] % 40);
            left[event.data.u32] -= result == RINGD_OK;
        }
        require(result == RINGD_OK || result == RINGD_FULL, "result %d", result);
        if (left[event.data.u32] == 0) {
            ringd_writer_close(w);
            open_count--;
        }
    }
    close(epoll);
}

/* Two such processes, a writer that waits in its calls, and a reader that sleeps whenever it can. */
static void write_in_calls(void *argument)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    struct game *game = argument;

    atomic_fetch_add(&game->ready, 1);
    for (int i = 0; i < EPOLL_RECORDS; i++)
        require(write_record(w, RECORD_MIN) == RINGD_OK, "record %d", i);
    ringd_writer_close(w);
}

START_TEST(no_wake_up_is_lost)
{
    struct game *game = shared_new(sizeof *game);
    struct random_source random = {support_seed()};
    const uint64_t all = (2 * EPOLL_WRITERS + 1) * EPOLL_RECORDS;
    struct ringd_reader *reader;
    struct tracker tracker = {0};
    pid_t pids[3];

    make_ring(RING, small);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    pids[0] = child_start(write_by_epoll, game);
    pids[1] = child_start(write_by_epoll, game);
    pids[2] = child_start(write_in_calls, game);
    for (uint64_t delivered = 0; delivered < all; delivered++) {
        struct ringd_record record;
        int result;

        ringd_reader_deadline(reader, RINGD_NO_WAIT);
        result = ringd_next(reader, &record);
        if (result == RINGD_WOULD_BLOCK) { /* who sleeps on what it has not given back sleeps for ever */
            ck_assert_int_eq(ringd_release(reader), RINGD_OK);
            ringd_reader_deadline(reader, RINGD_FOREVER);
            result = ringd_next(reader, &record);
        }
        ck_assert_int_eq(result, RINGD_OK);
        tracker_record(&tracker, &record);
        if (random_below(&random, 3) == 0)
            ck_assert_int_eq(ringd_release(reader), RINGD_OK);
        if (random_below(&random, 2000) == 0)
            pause_ms(1);
    }
    for (int i = 0; i < 3; i++)
        child_finish(pids[i]);
    ringd_reader_close(reader);
}
END_TEST

/* ---- readers ----------------------------------------------------------------------------------------------------- */

#define MODES 3 /* lossy, lossless, observer: enum ringd_reader_mode */

static const struct ringd_ring_options roomy = {.size = 1 << 20, .max_record = LEN};

static int reader_fd_of(struct ringd_reader *reader)
{
    int fd = ringd_reader_fd(reader);

    require(fd >= 0, "fd: %s", ringd_strerror(fd));
    return fd;
}

static struct party gather(struct ringd_ring_options options, uint32_t mode)
{
    struct party party = meet(options, mode);

    party.fd = reader_fd_of(party.reader);
    return party;
}

static void write_some(struct ringd_writer *w, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(write_record(w, LEN), RINGD_OK);
}

/* Reads until the descriptor is not readable after there was nothing; what was asked to be woken for before has come
 * by then. */
static void hear_all(struct party *a)
{
    do
        ck_assert_int_eq(tracker_drain(&a->tracker, a->reader), RINGD_WOULD_BLOCK);
    while (is_readable(a->fd));
}

START_TEST(a_readers_descriptor_stays_the_same_and_goes_with_it)
{
    struct party a = gather(roomy, (uint32_t)_i);

    ck_assert_int_eq(ringd_reader_fd(a.reader), a.fd);
    ck_assert(is_readable(a.fd)); /* until it has looked */
    hear_all(&a);
    ck_assert_int_eq(ringd_reader_fd(a.reader), a.fd);
    ck_assert(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(a.fd, F_GETFL) & O_NONBLOCK);
    leave(&a);
    ck_assert_int_eq(fcntl(a.fd, F_GETFD), -1);
}
END_TEST

/* Level-triggered: however often one asks, until it has read all and was told that there is nothing. */
START_TEST(readable_while_there_is_something)
{
    struct party a = gather(roomy, (uint32_t)_i % MODES);
    struct ringd_record records[4];
    size_t count;

    for (int round = 0; round < 300; round++) {
        int some = 1 + round % 5;

        hear_all(&a);
        ck_assert(!is_readable(a.fd));
        write_some(a.w, some);
        wait_readable(a.fd);
        for (int i = 0; i < some; i += (int)count) {
            count = 1;
            ck_assert(is_readable(a.fd));
            ck_assert_int_eq(_i / MODES ? ringd_next_many(a.reader, records, 4, &count) : ringd_next(a.reader, records),
                             RINGD_OK);
            for (size_t n = 0; n < count; n++)
                tracker_record(&a.tracker, &records[n]);
        }
        ck_assert(is_readable(a.fd)); /* it has not been told */
        ck_assert_int_eq(ringd_release(a.reader), RINGD_OK);
    }
    leave(&a);
}
END_TEST

START_TEST(an_epoll_tells_again_and_again)
{
    struct party a = gather(roomy, (uint32_t)_i);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, a.fd, &event), 0);
    for (int round = 0; round < 100; round++) {
        hear_all(&a);
        ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
        write_some(a.w, 3);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(epoll_wait(epoll, &event, 1, -1), 1);
    }
    close(epoll);
    leave(&a);
}
END_TEST

/* What it passes over is nothing to say, and an open grant is nothing yet. */
START_TEST(not_readable_for_what_is_not_there_yet)
{
    struct party a = gather(roomy, (uint32_t)_i);
    struct ringd_writer *other = open_writer(RING);
    struct ringd_record record;
    size_t granted;
    void *data;

    hear_all(&a);
    ck_assert_int_eq(ringd_reserve(other, LEN, LEN, &data, &granted), RINGD_OK);
    write_some(a.w, 1); /* behind it */
    ck_assert_int_eq(ringd_next(a.reader, &record), RINGD_WOULD_BLOCK);
    hear_all(&a);
    ck_assert(!is_readable(a.fd));
    record_make(data, LEN, writer_slot(other), writer_sequence(other));
    ck_assert_int_eq(ringd_commit(other, LEN), RINGD_OK);
    wait_readable(a.fd);
    hear_all(&a);
    ck_assert_int_eq(ringd_reserve(other, LEN, LEN, &data, &granted), RINGD_OK);
    write_some(a.w, 1);
    hear_all(&a);
    ck_assert_int_eq(ringd_abort(other), RINGD_OK);
    wait_readable(a.fd);
    hear_all(&a);
    ck_assert_uint_eq(tracker_delivered(&a.tracker), 3);
    ringd_writer_close(other);
    leave(&a);
}
END_TEST

/* How often somebody was woken: each is one system call, and nothing else makes one. */
static uint32_t wakes(const struct ringd_writer *w)
{
    return atomic_load(&w->ring.ring.waits->data) / WAKE_STEP;
}

/* None for one that is awake, one for the first record of a burst, none for the others. (For an observer the daemon
 * announces, if it answers in time.) */
START_TEST(one_wake_up_a_burst)
{
    struct party a = gather(roomy, (uint32_t)_i);
    uint32_t before;

    for (int round = 0; round < 50; round++) {
        hear_all(&a);
        before = wakes(a.w);
        write_some(a.w, 1);
        ck_assert_uint_eq(wakes(a.w) - before, 1);
        write_some(a.w, 100);
        ck_assert_uint_eq(wakes(a.w) - before, 1);
        wait_readable(a.fd);
        write_some(a.w, 100);
        ck_assert_uint_eq(wakes(a.w) - before, 1);
    }
    leave(&a);
}
END_TEST

/* An observer cannot say that it sleeps: it looks by itself until there is a daemon again. */
START_TEST(readers_need_no_daemon)
{
    struct party a = gather(roomy, (uint32_t)_i);

    hear_all(&a);
    daemon_kill(&server);
    for (uint64_t i = 0; i < 50; i++) {
        write_some(a.w, 1);
        while (tracker_delivered(&a.tracker) == i) {
            wait_readable(a.fd);
            ck_assert_int_eq(tracker_drain(&a.tracker, a.reader), RINGD_WOULD_BLOCK);
        }
    }
    daemon_restart(&server, NULL);
    hear_all(&a);
    write_some(a.w, 1);
    wait_readable(a.fd);
    hear_all(&a);
    ck_assert_uint_eq(tracker_delivered(&a.tracker), 51);
    leave(&a);
}
END_TEST

START_TEST(a_reader_follows_a_ring_that_moves)
{
    struct party a = gather(roomy, (uint32_t)_i);

    for (uint64_t i = 0; i < 10; i++) {
        hear_all(&a);
        ck_assert_int_eq(ringd_resize(RING, i % 2 ? 1 << 20 : 1 << 19), 0);
        wait_readable(a.fd);
        hear_all(&a);
        write_some(a.w, 1);
        wait_readable(a.fd);
        hear_all(&a);
        ck_assert_uint_eq(tracker_delivered(&a.tracker), i + 1);
        ck_assert_int_eq(ringd_reader_fd(a.reader), a.fd);
    }
    leave(&a);
}
END_TEST

/* The daemon has gone when it is to follow: whoever polls goes on when there is one again. */
START_TEST(a_reader_that_could_not_follow_tries_again)
{
    struct party a = gather(roomy, (uint32_t)_i);
    struct ringd_record record;

    hear_all(&a);
    ck_assert_int_eq(ringd_resize(RING, 1 << 19), 0);
    daemon_kill(&server);
    ck_assert_int_eq(ringd_next(a.reader, &record), RINGD_WOULD_BLOCK);
    daemon_restart(&server, NULL);
    ringd_writer_deadline(a.w, RINGD_FOREVER); /* it follows, too */
    write_some(a.w, 1);
    while (tracker_delivered(&a.tracker) == 0) {
        wait_readable(a.fd);
        ck_assert_int_eq(tracker_drain(&a.tracker, a.reader), RINGD_WOULD_BLOCK);
    }
    leave(&a);
}
END_TEST

START_TEST(a_reader_is_told_of_the_end)
{
    struct party a = gather(roomy, (uint32_t)_i);

    hear_all(&a);
    write_some(a.w, 2);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 3; i++) {
        wait_readable(a.fd);
        ck_assert_int_eq(tracker_drain(&a.tracker, a.reader), RINGD_END);
    }
    ck_assert_uint_eq(tracker_delivered(&a.tracker), 2);
    leave(&a);
}
END_TEST

/* It polls with records that it has not given back, and is put out for it. */
START_TEST(a_reader_is_told_of_its_eviction)
{
    struct ringd_ring_options options = {.size = 16384, .max_record = LEN, .slow = (uint32_t)_i, .slow_bytes = 8192};
    struct party a = gather(options, RINGD_READ_LOSSLESS);
    struct ringd_record record;
    int result;

    write_some(a.w, 1);
    do
        result = ringd_next(a.reader, &record);
    while (result == RINGD_OK || is_readable(a.fd));
    ck_assert_int_eq(result, RINGD_WOULD_BLOCK);
    ringd_writer_deadline(a.w, RINGD_FOREVER);
    write_some(a.w, 1000);
    wait_readable(a.fd);
    do
        result = ringd_next(a.reader, &record);
    while (result == RINGD_OK);
    ck_assert_int_eq(result, RINGD_EVICTED);
    wait_readable(a.fd);
    result = ringd_next(a.reader, &record);
    ck_assert(_i == RINGD_SLOW_EVICT ? result == RINGD_END : result == RINGD_OK || result == RINGD_GAP);
    leave(&a);
}
END_TEST

static void read_in_child(void *argument)
{
    const struct party *a = argument;

    require(ringd_reader_fd(a->reader) == -ECHILD, "fd");
    require(fcntl(a->fd, F_GETFD) == -1 && errno == EBADF, "it was inherited");
    ringd_reader_close(a->reader);
}

START_TEST(a_child_has_none_of_a_readers)
{
    struct party a = gather(roomy, (uint32_t)_i);

    child_finish(child_start(read_in_child, &a));
    hear_all(&a);
    child_finish(child_start(read_in_child, &a));
    write_some(a.w, 1);
    wait_readable(a.fd);
    hear_all(&a);
    ck_assert_uint_eq(tracker_delivered(&a.tracker), 1);
    leave(&a);
}
END_TEST

/* ---- many readers ------------------------------------------------------------------------------------------------ */

#define CROWD 200

static unsigned count_descriptors(pid_t pid)
{
    struct dirent *entry;
    unsigned count = 0;
    char path[64];
    DIR *fds;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    fds = opendir(path);
    require(fds != NULL, "%s: errno %d", path, errno);
    while ((entry = readdir(fds)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(fds);
    return count;
}

struct crowd {
    _Atomic uint32_t ready, go, heard;
};

static void write_on_demand(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct crowd *crowd = argument;

    for (uint32_t written = 0; written < 20; written++) {
        atomic_store(&crowd->ready, written + 1);
        while (atomic_load(&crowd->go) == written)
            pause_ms(1);
        require(write_record(w, LEN) == RINGD_OK, "record %u", written);
    }
    ringd_writer_close(w);
}

/* All are woken by each record, and the writer has not one descriptor for them. */
START_TEST(many_readers_cost_a_writer_no_descriptor)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    static struct party all[CROWD];
    unsigned before;
    pid_t pid;

    make_ring(RING, roomy);
    pid = child_start(write_on_demand, crowd);
    while (atomic_load(&crowd->ready) == 0)
        pause_ms(1);
    before = count_descriptors(pid);
    for (uint32_t i = 0; i < CROWD; i++) {
        all[i].reader = open_reader(RING, i % MODES, RINGD_START_NOW);
        all[i].fd = reader_fd_of(all[i].reader);
    }
    for (uint32_t n = 0; n < 20; n++) {
        while (atomic_load(&crowd->ready) <= n)
            pause_ms(1);
        for (int i = 0; i < CROWD; i++)
            hear_all(&all[i]);
        ck_assert_uint_eq(count_descriptors(pid), before);
        atomic_store(&crowd->go, n + 1);
        for (int i = 0; i < CROWD; i++)
            wait_readable(all[i].fd);
    }
    child_finish(pid);
    for (int i = 0; i < CROWD; i++) {
        hear_all(&all[i]);
        ck_assert_uint_eq(tracker_delivered(&all[i].tracker), 20);
        ringd_reader_close(all[i].reader);
    }
}
END_TEST

/* Nobody is on a processor while nothing is written. */
static void poll_and_read(void *argument)
{
    struct crowd *crowd = argument;
    struct ringd_reader *readers[MODES];
    struct pollfd wanted[MODES];

    for (uint32_t i = 0; i < MODES; i++) {
        readers[i] = open_reader(RING, i, RINGD_START_NOW);
        wanted[i] = (struct pollfd){.fd = reader_fd_of(readers[i]), .events = POLLIN};
    }
    atomic_store(&crowd->ready, 1);
    for (;;) {
        struct tracker tracker = {0};

        require(poll(wanted, MODES, -1) > 0, "poll");
        for (int i = 0; i < MODES; i++) {
            require(tracker_drain(&tracker, readers[i]) == RINGD_WOULD_BLOCK, "drain");
            atomic_fetch_add(&crowd->heard, (uint32_t)tracker_delivered(&tracker));
            tracker = (struct tracker){0};
        }
    }
}

START_TEST(idle_readers_use_no_processor_time)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, roomy);
    w = open_writer(RING);
    pid = child_start(poll_and_read, crowd);
    while (atomic_load(&crowd->ready) == 0)
        pause_ms(1);
    for (uint32_t i = 1; i < 5; i++) {
        wait_all_still(pid);
        wait_all_still(server.pid);
        write_some(w, 1);
        while (atomic_load(&crowd->heard) < i * MODES)
            pause_ms(1);
    }
    child_kill(pid);
}
END_TEST

/* ---- no wake-up of a reader is lost ------------------------------------------------------------------------------ */

#define SINGLES 5000

static void write_singles(void *argument)
{
    struct random_source random = {support_seed()};
    struct ringd_writer *w = open_writer(RING);
    struct crowd *crowd = argument;

    while (atomic_load(&crowd->go) == 0)
        pause_ms(1);
    for (uint32_t i = 0; i < SINGLES; i++) {
        uint64_t pauses = random_below(&random, 2000);

        while (i - atomic_load(&crowd->heard) > 1) /* one at a time, or two */
            sched_yield();
        for (_Atomic uint64_t n = 0; n < pauses; n++)
            ;
        require(write_record(w, RECORD_MIN) == RINGD_OK, "record %u", i);
    }
    ringd_writer_close(w);
}

START_TEST(no_wake_up_of_a_reader_is_lost)
{
    struct crowd *crowd = shared_new(sizeof *crowd);
    struct party a = gather(roomy, (uint32_t)_i);
    struct ringd_record record;
    pid_t pid;

    pid = child_start(write_singles, crowd);
    atomic_store(&crowd->go, 1);
    for (uint32_t heard = 0; heard < SINGLES;) {
        int result = ringd_next(a.reader, &record);

        if (result == RINGD_WOULD_BLOCK) {
            wait_readable(a.fd);
            continue;
        }
        ck_assert_int_eq(result, RINGD_OK);
        tracker_record(&a.tracker, &record);
        ck_assert_int_eq(ringd_release(a.reader), RINGD_OK);
        atomic_store(&crowd->heard, ++heard);
    }
    child_finish(pid);
    leave(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pollable");
    TCase *tests = add_case(suite, "pollable");

    tcase_add_test(tests, the_descriptor_stays_the_same_and_goes_with_its_writer);
    tcase_add_test(tests, without_descriptors_there_is_none);
    tcase_add_test(tests, a_child_has_none_of_it);
    tcase_add_test(tests, a_number_that_is_somebody_elses_by_now);
    tcase_add_test(tests, many_come_and_go);
    tcase_add_loop_test(tests, readable_while_there_may_be_room, RINGD_LOSSLESS, RINGD_DROP + 1);
    tcase_add_test(tests, woken_by_whoever_makes_room);
    tcase_add_test(tests, it_works_without_the_daemon);
    tcase_add_test(tests, it_follows_a_ring_that_moves);
    tcase_add_test(tests, it_tells_that_the_ring_is_removed);
    tcase_add_loop_test(tests, idle_pollers_use_no_processor_time, 0, 2);
    tcase_add_test(tests, no_wake_up_is_lost);

    tests = add_case(suite, "pollable readers");
    tcase_add_loop_test(tests, a_readers_descriptor_stays_the_same_and_goes_with_it, 0, MODES);
    tcase_add_loop_test(tests, readable_while_there_is_something, 0, 2 * MODES);
    tcase_add_loop_test(tests, an_epoll_tells_again_and_again, 0, MODES);
    tcase_add_loop_test(tests, not_readable_for_what_is_not_there_yet, 0, MODES);
    tcase_add_loop_test(tests, one_wake_up_a_burst, 0, RINGD_READ_OBSERVE);
    tcase_add_loop_test(tests, readers_need_no_daemon, 0, MODES);
    tcase_add_loop_test(tests, a_reader_follows_a_ring_that_moves, 0, MODES);
    tcase_add_loop_test(tests, a_reader_that_could_not_follow_tries_again, 0, MODES);
    tcase_add_loop_test(tests, a_reader_is_told_of_the_end, 0, MODES);
    tcase_add_loop_test(tests, a_reader_is_told_of_its_eviction, RINGD_SLOW_LOSSY, RINGD_SLOW_EVICT + 1);
    tcase_add_loop_test(tests, a_child_has_none_of_a_readers, 0, MODES);
    tcase_add_test(tests, many_readers_cost_a_writer_no_descriptor);
    tcase_add_test(tests, idle_readers_use_no_processor_time);
    tcase_add_loop_test(tests, no_wake_up_of_a_reader_is_lost, 0, MODES);
    return run_suite(suite);
}
