/* check_quiet.c - R17: no system call on the data path while nobody sleeps, and no processor time while nothing
 * happens.
 *
 * The first is checked by the kernel: a process that has installed a seccomp filter is killed at its first system call
 * but the one that ends it. Behind the filter it does everything the data path has: single records, pieces, batches,
 * grants, bulk reading, gaps, full and empty rings. The second is checked by the kernel's accounts: who sleeps has not
 * been on a processor for a while when neither its processor time nor its count of context switches has changed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"
#include "support_idle.h"
#include "support_silence.h"
#include "writer.h"

#define RING "quiet"

/* ---- behind the filter ------------------------------------------------------------------------------------------- */

/* Whatever went wrong would have to be told by a system call; the number of the line is what can be told. */
static void end_quietly(int line)
{
    syscall(SYS_exit_group, line == 0 ? 0 : 100 + line % 100);
}

#define quietly_require(condition)                                                                                     \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            end_quietly(__LINE__);                                                                                     \
    } while (0)

/* How it ended, in words that say where to look. */
static void ck_quiet(pid_t pid)
{
    int status = child_wait(pid);

    ck_assert_msg(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS), "a system call was made");
    ck_assert_msg(WIFEXITED(status), "status 0x%x", (unsigned)status);
    ck_assert_msg(WEXITSTATUS(status) == 0, "the condition in line ..%02d does not hold", WEXITSTATUS(status) - 100);
}

static void do_nothing(void *argument)
{
    (void)argument;
    forbid_system_calls();
    end_quietly(0);
}

static void read_clock(void *argument)
{
    (void)argument;
    forbid_system_calls();
    now_ns();
    end_quietly(0);
}

static void call_something(void *argument)
{
    (void)argument;
    forbid_system_calls();
    getppid();
    end_quietly(0);
}

/* Whether a test can run here: seccomp is there, and (for a ring with a clock) reading the clock is not a call. */
static bool quiet_possible(const char *name, bool clock)
{
    if (!can_forbid_system_calls()) {
        support_skip(name, "this kernel has no seccomp filters");
        return false;
    }
    if (clock && child_wait(child_start(read_clock, NULL)) != 0) {
        support_skip(name, "reading CLOCK_MONOTONIC is a system call on this machine");
        return false;
    }
    return true;
}

/* ---- no system call ---------------------------------------------------------------------------------------------- */

struct everything {
    struct ringd_writer *w, *v;
    struct ringd_reader *readers[4];
};

static void write_each_way(struct ringd_writer *w)
{
    struct iovec pieces[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    size_t granted;
    void *data;

    quietly_require(ringd_write(w, "0123456789", 10) == RINGD_OK);
    quietly_require(ringd_writev(w, pieces, 3) == RINGD_OK);
    quietly_require(ringd_write_batch(w, pieces, 3) == RINGD_OK);
    quietly_require(ringd_reserve(w, 1, 100, &data, &granted) == RINGD_OK);
    quietly_require(ringd_commit(w, 50) == RINGD_OK);
    quietly_require(ringd_reserve(w, 10, 10, &data, &granted) == RINGD_OK);
    quietly_require(ringd_abort(w) == RINGD_OK);
    quietly_require(ringd_write(w, "", 5000) == -EMSGSIZE);
}

static void read_all(struct ringd_reader *reader, bool many)
{
    struct ringd_record records[16];
    size_t count;
    int result;

    do {
        result = many ? ringd_next_many(reader, records, 16, &count) : ringd_next(reader, records);
        quietly_require(ringd_release(reader) == RINGD_OK);
    } while (result == RINGD_OK || result == RINGD_GAP);
    quietly_require(result == RINGD_WOULD_BLOCK);
}

static void use_everything(const struct everything *all)
{
    struct ringd_writer_counters counters;

    for (int round = 0; round < 3000; round++) {
        write_each_way(all->w);
        write_each_way(all->v);
        for (int i = 0; i < 4; i++) {
            if (i < 2 || round % 97 == 0) /* the others are overtaken in between */
                read_all(all->readers[i], round % 2 == 0);
        }
    }
    quietly_require(ringd_writer_count(all->w, &counters) == RINGD_OK);
    quietly_require(counters.committed == 3000 * 6);
}

static void open_everything(struct everything *all)
{
    static const uint32_t modes[] = {RINGD_READ_LOSSLESS, RINGD_READ_LOSSLESS, RINGD_READ_LOSSY, RINGD_READ_OBSERVE};

    all->w = open_writer(RING);
    all->v = open_writer_until(RING, RINGD_FOREVER); /* may wait, and never has to */
    for (int i = 0; i < 4; i++)
        all->readers[i] = open_reader(RING, modes[i], RINGD_START_NOW);
}

static void use_everything_quietly(void *argument)
{
    struct everything all;

    (void)argument;
    open_everything(&all);
    forbid_system_calls();
    use_everything(&all);
    end_quietly(0);
}

START_TEST(rule_17_the_filter_works)
{
    int status;

    if (!quiet_possible("rule_17_the_filter_works", false))
        return;
    ck_quiet(child_start(do_nothing, NULL));
    status = child_wait(child_start(call_something, NULL));
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST

START_TEST(rule_17_no_system_call_on_the_data_path)
{
    static const char *const names[] = {"rule_17_time_none", "rule_17_time_monotonic", "rule_17_time_tsc"};

    if (!quiet_possible(names[_i], _i == RINGD_TIME_MONOTONIC))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .time = (uint32_t)_i});
    ck_quiet(child_start(use_everything_quietly, NULL));
}
END_TEST

static void write_messages_quietly(void *unused)
{
    struct ringd_writer *w = open_writer(RING);
    static const char message[5000];

    (void)unused;
    forbid_system_calls();
    for (int i = 0; i < 1000; i++)
        quietly_require(ringd_write_message(w, message, (size_t)i * 5) == RINGD_OK);
    end_quietly(0);
}

START_TEST(rule_17_no_system_call_for_the_parts_of_a_message)
{
    if (!quiet_possible("rule_17_messages", false))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    ck_quiet(child_start(write_messages_quietly, NULL));
}
END_TEST

static void fill_quietly(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    int *expected = argument;

    forbid_system_calls();
    while (ringd_write(w, "abc", 3) == RINGD_OK)
        ;
    for (int i = 0; i < 1000; i++)
        quietly_require(ringd_write(w, "abc", 3) == *expected);
    end_quietly(0);
}

/* "Full" and "dropped" are answers, not waits. */
START_TEST(rule_17_no_system_call_on_a_full_ring)
{
    int expected = _i == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL;

    if (!quiet_possible("rule_17_full_ring", false))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .policy = (uint32_t)_i});
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    ck_quiet(child_start(fill_quietly, &expected));
}
END_TEST

struct patient {
    uint32_t wait; /* enum ringd_wait */
    _Atomic uint32_t bit;
    _Atomic uint64_t waited;
};

static struct ringd_writer *open_patient(struct patient *patient)
{
    struct ringd_writer_options options = {.deadline = RINGD_FOREVER, .wait = patient->wait};

    return open_writer_with(RING, options);
}

/* Until somebody makes room. */
static void wait_quietly(void *argument)
{
    struct patient *patient = argument;
    struct ringd_writer *w = open_patient(patient);

    atomic_store(&patient->bit, UINT32_C(1) << writer_slot(w));
    forbid_system_calls();
    quietly_require(ringd_write(w, "abc", 3) == RINGD_OK);
    end_quietly(0);
}

static void wait_and_count(void *argument)
{
    struct patient *patient = argument;
    struct ringd_writer *w = open_patient(patient);
    struct ringd_writer_counters counters;

    atomic_store(&patient->bit, UINT32_C(1) << writer_slot(w));
    require(ringd_write(w, "abc", 3) == RINGD_OK, "it was to wait");
    require(ringd_writer_count(w, &counters) == RINGD_OK, "count");
    atomic_store(&patient->waited, counters.waited);
}

/* A full ring, and one in line that waits as this says. */
static pid_t start_patient(struct patient *patient, struct ringd_reader **reader, void (*run)(void *argument))
{
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 4096, .max_record = 64});
    w = open_writer(RING);
    *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    while (ringd_write(w, "abc", 3) == RINGD_OK)
        ;
    pid = child_start(run, patient);
    while (patient->bit == 0 || !(atomic_load(&w->ring.ring.lane->waiters) & patient->bit))
        pause_ms(1);
    return pid;
}

static void make_room(struct ringd_reader *reader)
{
    struct ringd_record record;

    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
}

/* Not even for waiting, if that is how it waits. */
START_TEST(who_waits_busy_makes_no_system_call)
{
    struct patient *patient = shared_new(sizeof *patient);
    struct ringd_reader *reader;
    pid_t pid;

    if (!quiet_possible("who_waits_busy_makes_no_system_call", true))
        return;
    patient->wait = RINGD_WAIT_BUSY;
    pid = start_patient(patient, &reader, wait_quietly);
    pause_ms(20);
    make_room(reader);
    ck_quiet(pid);
}
END_TEST

/* One short sleep and then one without end: it looks no more, and is on no processor. */
START_TEST(who_waits_asleep_does_nothing_else)
{
    struct patient *patient = shared_new(sizeof *patient);
    struct ringd_reader *reader;
    pid_t pid;

    patient->wait = RINGD_WAIT_SLEEP;
    pid = start_patient(patient, &reader, wait_and_count);
    child_wait_still(pid);
    make_room(reader);
    child_finish(pid);
    ck_assert_uint_ge(patient->waited, 1);
    ck_assert_uint_le(patient->waited, 2);
}
END_TEST

/* The usual way looks before it sleeps: naps before it gets in line. */
START_TEST(who_waits_adaptively_naps_first)
{
    struct patient *patient = shared_new(sizeof *patient);
    struct ringd_reader *reader;
    pid_t pid;

    patient->wait = RINGD_WAIT_ADAPTIVE;
    pid = start_patient(patient, &reader, wait_and_count);
    child_wait_still(pid);
    make_room(reader);
    child_finish(pid);
    ck_assert_uint_gt(patient->waited, 2);
}
END_TEST

/* ---- two processes at work --------------------------------------------------------------------------------------- */

#define BUSY_RECORDS 200000

struct busy {
    _Atomic uint32_t ready;
};

static void write_busily(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct busy *busy = argument;
    uint64_t number = 0;

    atomic_fetch_add(&busy->ready, 1);
    forbid_system_calls();
    while (atomic_load(&busy->ready) < 2)
        ;
    while (number < BUSY_RECORDS) {
        int result = ringd_write(w, &number, sizeof number);

        quietly_require(result == RINGD_OK || result == RINGD_FULL);
        number += result == RINGD_OK;
    }
    end_quietly(0);
}

static void read_busily(void *argument)
{
    struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    struct busy *busy = argument;
    struct ringd_record record;
    uint64_t number = 0;

    atomic_fetch_add(&busy->ready, 1);
    forbid_system_calls();
    while (number < BUSY_RECORDS) {
        int result = ringd_next(reader, &record);

        quietly_require(result == RINGD_OK || result == RINGD_WOULD_BLOCK);
        if (result != RINGD_OK)
            continue;
        quietly_require(record.len == sizeof number && memcmp(record.data, &number, sizeof number) == 0);
        quietly_require(ringd_release(reader) == RINGD_OK);
        number++;
    }
    end_quietly(0);
}

START_TEST(rule_17_no_system_call_between_busy_processes)
{
    struct busy *busy = shared_new(sizeof *busy);
    pid_t reader, writer;

    if (!quiet_possible("rule_17_between_busy_processes", false))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    reader = child_start(read_busily, busy);
    writer = child_start(write_busily, busy);
    ck_quiet(writer);
    ck_quiet(reader);
}
END_TEST

/* ---- no processor time ------------------------------------------------------------------------------------------- */

/* Also (_i 1) under a daemon that has taken all of them over: nobody has a connection then. */
START_TEST(rule_17_no_processor_time_while_nothing_happens)
{
    static const enum idle_way ways[] = {IDLE_READING, IDLE_READING, IDLE_READING, IDLE_WRITING, IDLE_ATTACHED};
    struct idler idlers[6];

    idle_make_rings();
    for (int i = 0; i < 5; i++)
        idlers[i] = idle_start(ways[i], (uint32_t)i % 3, RINGD_WAIT_ADAPTIVE);
    idlers[5] = (struct idler){.pid = server.pid};
    idle_settle(idlers, 6);
    if (_i == 1) {
        daemon_kill(&server);
        daemon_restart(&server, NULL);
        idlers[5].pid = server.pid;
        idle_settle(idlers, 6);
    }
    idle_require_still(idlers, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quiet");
    TCase *tests = add_case(suite, "quiet");

    tcase_add_test(tests, rule_17_the_filter_works);
    tcase_add_loop_test(tests, rule_17_no_system_call_on_the_data_path, RINGD_TIME_NONE, RINGD_TIME_TSC + 1);
    tcase_add_test(tests, rule_17_no_system_call_for_the_parts_of_a_message);
    tcase_add_test(tests, who_waits_busy_makes_no_system_call);
    tcase_add_test(tests, who_waits_asleep_does_nothing_else);
    tcase_add_test(tests, who_waits_adaptively_naps_first);
    tcase_add_loop_test(tests, rule_17_no_system_call_on_a_full_ring, RINGD_LOSSLESS, RINGD_DROP + 1);
    tcase_add_test(tests, rule_17_no_system_call_between_busy_processes);
    tcase_add_loop_test(tests, rule_17_no_processor_time_while_nothing_happens, 0, 2);
    return run_suite(suite);
}
