/* check_daemon.c - rings and contexts as the daemon manages them, and life without it: stopped, killed, started again;
 * removal; two daemons beside each other; what it says of who is attached.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"

#define RING       "daemon"
#define HUGE_BYTES (UINT64_C(2) << 20)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static const struct ringd_ring_options small = {.size = 8192, .max_record = 128};

static void drain(struct tracker *tracker, struct ringd_reader *reader)
{
    ck_assert_int_eq(tracker_drain(tracker, reader), RINGD_WOULD_BLOCK);
}

/* ---- without it -------------------------------------------------------------------------------------------------- */

/* Writers and readers of all kinds in one process, some laps. */
struct company {
    struct ringd_writer *writers[2];
    struct ringd_reader *readers[3];
    struct tracker trackers[3];
};

static void company_open(struct company *company)
{
    *company = (struct company){0};
    make_ring(RING, small);
    for (int i = 0; i < 2; i++)
        company->writers[i] = open_writer(RING);
    for (uint32_t i = 0; i < 3; i++)
        company->readers[i] = open_reader(RING, i, RINGD_START_NOW);
}

static void company_works(struct company *company)
{
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 2; i++)
            require(write_record(company->writers[i], RECORD_MIN + (size_t)round % 90) == RINGD_OK, "round %d", round);
        for (int i = 0; i < 3; i++)
            require(tracker_drain(&company->trackers[i], company->readers[i]) == RINGD_WOULD_BLOCK, "round %d", round);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(tracker_lost(&company->trackers[i]), 0);
        ck_assert_uint_eq(company->trackers[i].next[0], writer_sequence(company->writers[0]));
    }
}

START_TEST(work_goes_on_while_the_daemon_is_stopped)
{
    struct company company;

    company_open(&company);
    child_stop(server.pid);
    company_works(&company);
    child_continue(server.pid);
    company_works(&company);
    ck_assert_uint_eq(ring_info(RING).committed, 4000);
}
END_TEST

/* Its successor has the ring with everybody in it; it is removed as ever, and nothing is left behind. (More of this in
 * check_takeover.) */
START_TEST(work_goes_on_while_the_daemon_is_killed)
{
    struct company company;
    struct ringd *ring;

    company_open(&company);
    daemon_kill(&server);
    company_works(&company);
    ck_assert_int_eq(ringd_open(&ring, RING), -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(ringd_error(), server.socket));
    ck_assert_ptr_nonnull(strstr(ringd_error(), "RINGD_SOCKET"));

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(write_record(company.writers[i], 40), RINGD_OK);
    daemon_restart(&server, NULL);
    company_works(&company);
    ck_assert_uint_eq(ring_info(RING).committed, 4002);
    ck_assert_uint_eq(ring_info(RING).writers, 2);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(write_record(company.writers[i], 40), -ESHUTDOWN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tracker_drain(&company.trackers[i], company.readers[i]), RINGD_END);
        ck_assert_uint_eq(tracker_delivered(&company.trackers[i]), 4002);
    }
    make_ring(RING, small); /* the name is free */
    for (int i = 0; i < 2; i++)
        ringd_writer_close(company.writers[i]);
    for (int i = 0; i < 3; i++)
        ringd_reader_close(company.readers[i]);
    ck_assert_int_eq(write_record(open_writer(RING), 40), RINGD_OK);
}
END_TEST

/* A call that needs a daemon that is stopped ends, and says what is the matter. */
START_TEST(a_stopped_daemon_is_reported)
{
    struct ringd *ring;

    make_ring(RING, small);
    child_stop(server.pid);
    ck_assert_int_eq(ringd_open(&ring, RING), -ETIMEDOUT);
    ck_assert_ptr_null(ring);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "stopped"));
    child_continue(server.pid);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ringd_close(ring);
}
END_TEST

/* When it stops in order, rings that nobody uses go; in the others work goes on, for the next daemon. */
START_TEST(a_daemon_that_ends_leaves_what_is_used)
{
    struct company company;

    company_open(&company);
    make_ring("unused", small);
    company_works(&company);
    daemon_terminate(&server);
    company_works(&company);
    daemon_restart(&server, NULL);
    company_works(&company);
    ck_assert_uint_eq(ring_info(RING).committed, 6000);
    ck_assert_int_eq(ringd_status("unused", NULL, NULL, 0, NULL), -ENOENT);
}
END_TEST

/* ---- removal ----------------------------------------------------------------------------------------------------- */

START_TEST(a_removed_ring_is_drained_to_the_last_record)
{
    struct company company;
    struct ringd_record record;

    company_open(&company);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(write_record(company.writers[i % 2], 40), RINGD_OK);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(write_record(company.writers[0], 40), -ESHUTDOWN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tracker_drain(&company.trackers[i], company.readers[i]), RINGD_END);
        ck_assert_uint_eq(tracker_delivered(&company.trackers[i]), 10);
        ck_assert_int_eq(ringd_next(company.readers[i], &record), RINGD_END); /* and so it stays */
    }
}
END_TEST

/* A grant that was open then may be finished; readers wait for it. */
START_TEST(a_grant_open_at_the_removal_is_finished)
{
    struct company company;
    size_t granted;
    void *data;

    company_open(&company);
    ck_assert_int_eq(ringd_reserve(company.writers[0], 40, 40, &data, &granted), RINGD_OK);
    record_make(data, 40, writer_slot(company.writers[0]), 0);
    ck_assert_int_eq(ringd_remove(RING), 0);
    for (int i = 0; i < 3; i++)
        drain(&company.trackers[i], company.readers[i]); /* not the end yet */
    ck_assert_int_eq(ringd_commit(company.writers[0], 40), RINGD_OK);
    ck_assert_int_eq(ringd_reserve(company.writers[0], 40, 40, &data, &granted), -ESHUTDOWN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tracker_drain(&company.trackers[i], company.readers[i]), RINGD_END);
        ck_assert_uint_eq(tracker_delivered(&company.trackers[i]), 1);
    }
}
END_TEST

START_TEST(a_new_ring_of_the_same_name_is_another)
{
    struct company company;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_writer *w;

    company_open(&company);
    ck_assert_int_eq(write_record(company.writers[0], 40), RINGD_OK);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(ringd_remove(RING), -ENOENT);
    make_ring(RING, small);
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    drain(&tracker, reader);
    ck_assert_uint_eq(tracker_delivered(&tracker), 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(write_record(w, 40), RINGD_OK);
        drain(&tracker, reader);
    }
    ck_assert_int_eq(tracker_drain(&company.trackers[0], company.readers[0]), RINGD_END);
    ck_assert_uint_eq(tracker_delivered(&company.trackers[0]), 1);
    ck_assert_uint_eq(ring_info(RING).committed, 1000);
}
END_TEST

/* A handle that was opened before, with no context yet, finds nothing to attach to. */
START_TEST(attaching_to_a_removed_ring)
{
    struct ringd_writer *w;
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, small);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(ringd_writer_open(&w, ring, NULL), -ENOENT);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, NULL), -ENOENT);
    ck_assert_ptr_null(w);
    ck_assert_ptr_null(reader);
    ringd_close(ring);
}
END_TEST

/* ---- two beside each other --------------------------------------------------------------------------------------- */

START_TEST(two_daemons_with_rings_of_one_name)
{
    struct tracker first_tracker = {0}, second_tracker = {0};
    struct ringd_reader *first_reader, *second_reader;
    struct ringd_writer *first, *second;
    struct daemon_process other;

    make_ring(RING, small);
    first = open_writer(RING);
    first_reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    daemon_start(&other, NULL); /* from now on RINGD_SOCKET is its */
    make_ring(RING, small);
    second = open_writer(RING);
    second_reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(write_record(first, 40), RINGD_OK);
        drain(&first_tracker, first_reader);
        if (i % 3 == 0)
            ck_assert_int_eq(write_record(second, 50), RINGD_OK);
        drain(&second_tracker, second_reader);
    }
    ck_assert_uint_eq(tracker_delivered(&first_tracker), 300);
    ck_assert_uint_eq(tracker_delivered(&second_tracker), 100);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(write_record(second, 50), -ESHUTDOWN);
    ck_assert_int_eq(write_record(first, 50), RINGD_OK);
    daemon_stop(&other);
    ck_assert_int_eq(write_record(first, 50), RINGD_OK);
    ck_assert_uint_gt(daemon_objects(&server), 0);
    setenv("RINGD_SOCKET", server.socket, 1);
    ck_assert_uint_eq(ring_info(RING).committed, 302);
}
END_TEST

START_TEST(a_second_daemon_in_the_same_folder_refuses)
{
    char path[4200];
    const char *const words[] = {path, "--runtime-dir", server.folder, NULL};
    struct command command;
    char pid[32];

    make_ring(RING, small);
    snprintf(path, sizeof path, "%s", support_built("ringd"));
    snprintf(pid, sizeof pid, "%ld", (long)server.pid);
    command_run(&command, "", 0, words);
    ck_assert_int_ne(command.code, 0);
    ck_assert_ptr_nonnull(strstr(command.err, server.folder));
    ck_assert_ptr_nonnull(strstr(command.err, pid));
    ck_assert_ptr_nonnull(strstr(command.err, "--runtime-dir"));
    command_free(&command);
    ck_assert_int_eq(write_record(open_writer(RING), 40), RINGD_OK); /* and the first is not disturbed */
}
END_TEST

/* ---- what it says ------------------------------------------------------------------------------------------------ */

START_TEST(status_says_who_is_attached_and_how_far)
{
    static struct ringd_context_info contexts[16];
    struct ringd_record record;
    struct ringd_reader *reader;
    struct ringd_writer *w;
    struct ringd_info info;
    size_t count, granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = 65536, .max_record = 1000, .mode = 0642});
    w = open_writer(RING);
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    ck_assert_int_eq(ringd_write(w, "abcd", 4), RINGD_OK);
    ck_assert_int_eq(ringd_write(w, "ef", 2), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ck_assert_int_eq(ringd_reserve(w, 10, 10, &data, &granted), RINGD_OK);

    ck_assert_int_eq(ringd_status(RING, &info, contexts, 16, &count), 0);
    ck_assert_str_eq(info.name, RING);
    ck_assert_uint_eq(info.size, 65536);
    ck_assert_uint_eq(info.max_record, 1000);
    ck_assert_uint_eq(info.policy, RINGD_LOSSLESS);
    ck_assert_uint_eq(info.mode, 0642);
    ck_assert_uint_eq(info.owner_uid, getuid());
    ck_assert_uint_eq(info.owner_gid, getgid());
    ck_assert_uint_eq(info.state, 1);
    ck_assert_uint_eq(info.daemon_pid, (uint32_t)server.pid);
    ck_assert_uint_eq(info.writers, 1);
    ck_assert_uint_eq(info.lossless_readers, 1);
    ck_assert_uint_eq(info.lossy_readers, 1);
    ck_assert_uint_eq(info.observers, 1);
    ck_assert_uint_eq(info.committed, 2);
    ck_assert_uint_eq(info.bytes, 6);
    ck_assert_uint_eq(info.offered, 3);
    ck_assert_uint_eq(info.position - info.oldest, 2 * 64 + 64);
    ck_assert_uint_gt(info.limit, info.position);

    ck_assert_uint_eq(count, 4);
    for (size_t i = 0; i < count; i++) {
        const struct ringd_context_info *c = &contexts[i];

        ck_assert_uint_eq(c->pid, (uint32_t)getpid());
        ck_assert_uint_eq(c->uid, getuid());
        ck_assert_str_eq(c->command, "check_daemon");
        ck_assert_uint_eq(c->state, c->kind == RINGD_CONTEXT_WRITER ? RINGD_CONTEXT_IN_RECORD : RINGD_CONTEXT_IDLE);
        ck_assert(c->kind != RINGD_CONTEXT_LOSSLESS || c->delivered == 1);
        ck_assert(c->kind != RINGD_CONTEXT_LOSSLESS || c->cursor <= info.position);
    }
}
END_TEST

START_TEST(all_rings_are_listed)
{
    static struct ringd_info infos[100];
    size_t count;
    char name[16];

    ck_assert_int_eq(ringd_list(infos, 100, &count), 0);
    ck_assert_uint_eq(count, 0);
    for (int i = 0; i < 80; i++) {
        snprintf(name, sizeof name, "ring-%02d", i);
        make_ring(name, (struct ringd_ring_options){.size = 4096});
    }
    ck_assert_int_eq(ringd_list(infos, 100, &count), 0); /* more than one reply has room for */
    ck_assert_uint_eq(count, 80);
    for (int i = 0; i < 80; i++) {
        int found = 0;

        snprintf(name, sizeof name, "ring-%02d", i);
        for (int j = 0; j < 80; j++)
            found += strcmp(infos[j].name, name) == 0;
        ck_assert_int_eq(found, 1);
    }
    ck_assert_int_eq(ringd_list(infos, 7, &count), 0);
    ck_assert_uint_eq(count, 80);
    ck_assert_int_eq(ringd_list(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 80);
}
END_TEST

START_TEST(many_contexts_are_listed)
{
    static struct ringd_context_info contexts[400];
    uint32_t seen[256] = {0};
    size_t count;

    make_ring(RING, small);
    for (int i = 0; i < 200; i++)
        open_reader(RING, (uint32_t)i % 3, RINGD_START_NOW);
    ck_assert_int_eq(ringd_status(RING, NULL, contexts, 400, &count), 0);
    ck_assert_uint_eq(count, 200);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(seen[contexts[i].slot]++, 0);
}
END_TEST

/* What writers that have left did stays in the ring's sums. */
START_TEST(sums_outlive_their_writers)
{
    uint64_t committed = 0, aborted = 0, refused = 0;
    struct ringd_info info;
    char big[200] = {0};

    make_ring(RING, small);
    for (int i = 0; i < 60; i++) {
        struct ringd_writer *w = open_writer(RING);
        size_t granted;
        void *data;

        for (int n = 0; n < i; n++, committed++)
            ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
        ck_assert_int_eq(ringd_reserve(w, 1, 1, &data, &granted), RINGD_OK);
        ck_assert_int_eq(ringd_abort(w), RINGD_OK);
        aborted++;
        ck_assert_int_eq(ringd_write(w, big, sizeof big), -EMSGSIZE);
        refused++;
        ringd_writer_close(w);
    }
    wait_for_contexts(RING, 0);
    info = ring_info(RING);
    ck_assert_uint_eq(info.committed, committed);
    ck_assert_uint_eq(info.bytes, 3 * committed);
    ck_assert_uint_eq(info.aborted, aborted);
    ck_assert_uint_eq(info.refused, refused);
    ck_assert_uint_eq(info.offered, committed + aborted + refused);
}
END_TEST

/* Rings from the configuration file are there when it is ready; a bad file is an error that names place and remedy. */
START_TEST(rings_from_the_configuration)
{
    struct daemon_process other;
    struct ringd_info info;

    daemon_start(&other, "[ring first]\nsize = 64K\npolicy = drop\ntime = monotonic\nmax_record = 512\n"
                         "[ring second]\nsize=4096\nhold=yes\n"
                         "[ring third]\nstopped = kill:200ms\nslow = lossy\nslow_bytes = 512K\nslow_after = 1.5s\n");
    info = ring_info("first");
    ck_assert_uint_eq(info.size, 65536);
    ck_assert_uint_eq(info.policy, RINGD_DROP);
    ck_assert_uint_eq(info.time, RINGD_TIME_MONOTONIC);
    ck_assert_uint_eq(info.max_record, 512);
    ck_assert_uint_eq(ring_info("second").hold, 1);
    ck_assert_uint_eq(ring_info("second").stopped, RINGD_STOPPED_REPORT);
    info = ring_info("third");
    ck_assert_uint_eq(info.stopped, RINGD_STOPPED_KILL);
    ck_assert_uint_eq(info.stopped_after_ms, 200);
    ck_assert_uint_eq(info.slow, RINGD_SLOW_LOSSY);
    ck_assert_uint_eq(info.slow_bytes, 512 << 10);
    ck_assert_uint_eq(info.slow_after_ms, 1500);
    daemon_stop(&other);
}
END_TEST

START_TEST(a_bad_configuration_is_refused_with_its_line)
{
    static const struct {
        const char *text, *say;
    } bad[] = {
        {"[ring a]\nsize = 5000\n", "8192"},
        {"[ring a]\nsize = 4096\npolicy = maybe\n", "overwrite"},
        {"[ring a]\nsize = 4096\ncolour = red\n", "colour"},
        {"[ring a/b]\nsize = 4096\n", "a/b"},
        {"[nonsense]\nx = 1\n", "nonsense"},
        {"[ring a]\nmode = 9\n", "mode"},
        {"[ring a]\nstopped = maybe\n", "kill:200ms"},
        {"[ring a]\nstopped = kill:0\n", "kill:200ms"},
        {"[ring a]\nstopped = report:1s\n", "move or kill"},
        {"[ring a]\nstopped = kill:2h\n", "3600000"},
        {"[ring a]\nslow = maybe\n", "evict"},
        {"[ring a]\nslow = evict\n", "slow_after_ms"},
        {"[ring a]\nslow_after = 0\n", "500ms"},
        {"[ring a]\nslow_after = 2 days\n", "500ms"},
        {"[ring a]\nslow_bytes = 0\n", "4M"},
        {"[ring a]\nslow = lossy\nslow_bytes = 2M\n", "912352"},
    };
    char path[4200], folder[200], config[200];
    const char *const words[] = {path, "--runtime-dir", folder, "--config", config, NULL};
    struct command command;

    snprintf(path, sizeof path, "%s", support_built("ringd"));
    snprintf(folder, sizeof folder, "%s/bad", support_folder());
    snprintf(config, sizeof config, "%s/bad.conf", support_folder());
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FILE *file = fopen(config, "we");

        ck_assert(file != NULL && fputs(bad[i].text, file) >= 0 && fclose(file) == 0);
        command_run(&command, "", 0, words);
        ck_assert_msg(command.code == 2, "exit code %d for %s", command.code, bad[i].text);
        ck_assert_msg(strstr(command.err, "bad.conf") != NULL, "the file is not named: %s", command.err);
        ck_assert_msg(strstr(command.err, bad[i].say) != NULL, "%s is not in: %s", bad[i].say, command.err);
        command_free(&command);
    }
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Whether this machine makes a huge page of shared memory for somebody who asks. */
static bool has_huge_pages(void)
{
    int fd = memfd_create("huge", MFD_CLOEXEC);
    unsigned char *map = NULL, *place;
    bool has;

    ck_assert(fd >= 0 && ftruncate(fd, 2 * HUGE_BYTES) == 0);
    map = mmap(NULL, 2 * HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(map != MAP_FAILED);
    place = map + -(uintptr_t)map % HUGE_BYTES;
    ck_assert(mmap(place, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == place);
    place[0] = 1;
    has = madvise(place, HUGE_BYTES, MADV_COLLAPSE) == 0;
    munmap(map, 2 * HUGE_BYTES);
    close(fd);
    return has;
}

/* Of this process, in huge pages of shared memory. */
static uint64_t huge_mapped_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    uint64_t kib = 0;
    char line[256];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib);
    fclose(file);
    return kib * 1024;
}

/* Every huge page of every lane, in a writer's mapping and a reader's, at every kind of size. */
START_TEST(large_rings_are_in_huge_pages)
{
    static const struct {
        uint32_t lanes;
        uint64_t size;
    } rings[] = {{1, HUGE_BYTES}, {3, 2 * HUGE_BYTES}, {64, HUGE_BYTES}};
    char payload[1000] = {0};

    if (!has_huge_pages()) {
        support_skip("large_rings_are_in_huge_pages", "the kernel has no huge pages for shared memory");
        return;
    }
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        uint64_t data_bytes = rings[i].lanes * rings[i].size;
        struct ringd_reader *reader;
        struct ringd_record record;

        make_ring("huge", (struct ringd_ring_options){
                              .size = rings[i].size, .lanes = rings[i].lanes, .policy = RINGD_OVERWRITE});
        for (uint32_t lane = 1; lane <= rings[i].lanes; lane++) {
            struct ringd_writer *writer = open_writer_with("huge", (struct ringd_writer_options){.lane = lane});

            for (uint64_t n = 0; n < rings[i].size / 1000; n++)
                ck_assert_int_eq(ringd_write(writer, payload, sizeof payload), RINGD_OK);
            ck_assert_uint_ge(huge_mapped_bytes(), rings[i].size);
            ringd_writer_close(writer);
        }
        reader = open_reader("huge", RINGD_READ_OBSERVE, RINGD_START_OLDEST);
        while (ringd_next(reader, &record) != RINGD_WOULD_BLOCK)
            ;
        ck_assert_uint_ge(huge_mapped_bytes(), data_bytes);
        ringd_reader_close(reader);
        ck_assert_int_eq(ringd_remove("huge"), RINGD_OK);
    }
}
END_TEST

/* What a ring takes is what it has: nothing before its data but what is used, whatever its size. */
START_TEST(a_ring_takes_what_it_uses)
{
    struct stat status;

    for (uint64_t size = 4096; size <= 4 * HUGE_BYTES; size *= 8) {
        uint64_t taken_bytes = 0;
        glob_t objects;

        make_ring("taken", (struct ringd_ring_options){.size = size, .max_record = 32});
        ck_assert_int_eq(glob("/dev/shm/ringd-*-taken-*", 0, NULL, &objects), 0);
        for (size_t i = 0; i < objects.gl_pathc; i++) {
            ck_assert_int_eq(stat(objects.gl_pathv[i], &status), 0);
            taken_bytes += (uint64_t)status.st_blocks * 512;
        }
        globfree(&objects);
        ck_assert_msg(taken_bytes >= size && taken_bytes < size + (512 << 10), "%ju bytes for %ju of data",
                      (uintmax_t)taken_bytes, (uintmax_t)size);
        ck_assert_int_eq(ringd_remove("taken"), RINGD_OK);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon");
    TCase *tests = add_case(suite, "daemon");

    tcase_add_test(tests, work_goes_on_while_the_daemon_is_stopped);
    tcase_add_test(tests, work_goes_on_while_the_daemon_is_killed);
    tcase_add_test(tests, a_stopped_daemon_is_reported);
    tcase_add_test(tests, a_daemon_that_ends_leaves_what_is_used);
    tcase_add_test(tests, a_removed_ring_is_drained_to_the_last_record);
    tcase_add_test(tests, a_grant_open_at_the_removal_is_finished);
    tcase_add_test(tests, a_new_ring_of_the_same_name_is_another);
    tcase_add_test(tests, attaching_to_a_removed_ring);
    tcase_add_test(tests, two_daemons_with_rings_of_one_name);
    tcase_add_test(tests, a_second_daemon_in_the_same_folder_refuses);
    tcase_add_test(tests, status_says_who_is_attached_and_how_far);
    tcase_add_test(tests, all_rings_are_listed);
    tcase_add_test(tests, many_contexts_are_listed);
    tcase_add_test(tests, sums_outlive_their_writers);
    tcase_add_test(tests, rings_from_the_configuration);
    tcase_add_test(tests, a_bad_configuration_is_refused_with_its_line);
    tcase_add_test(tests, large_rings_are_in_huge_pages);
    tcase_add_test(tests, a_ring_takes_what_it_uses);
    return run_suite(suite);
}
