/* check_wait_modes.c - how readers wait: busily, asleep, or what seems best.
 *
 * What holds true of each way, in each mode, with the daemon or without: what is written arrives, and a deadline is
 * kept. A busy reader makes no system call while it waits (a seccomp filter would end it); one that sleeps is not on a
 * processor until it is woken (the kernel's own counts). A hundred that wait, each in its way, use no processor time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "support_idle.h"
#include "support_silence.h"

#define RING  "modes"
#define WAITS 3 /* enum ringd_wait */
#define MODES 3 /* enum ringd_reader_mode */

static struct ringd_reader *open_waiting(uint32_t mode, uint32_t wait, int64_t deadline)
{
    struct ringd_reader_options options = {.mode = mode, .wait = wait, .deadline = deadline};

    return open_reader_with(RING, options);
}

static uint64_t slept(const struct ringd_reader *reader)
{
    struct ringd_reader_counters counters;

    require(ringd_reader_count(reader, &counters) == RINGD_OK, "count");
    return counters.slept;
}

START_TEST(a_way_that_is_not_known)
{
    struct ringd_reader_options options = {.wait = RINGD_WAIT_SLEEP + 1};
    struct ringd_reader *reader;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){0});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, &options), -EINVAL);
    ck_assert_msg(strstr(ringd_error(), "wait 3") != NULL, "%s", ringd_error());
    ringd_close(ring);
}
END_TEST

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

static void ck_deadlines(struct ringd_reader *reader)
{
    struct ringd_record record;
    size_t count;

    for (int64_t ms = 1; ms <= 16; ms *= 4) {
        int64_t deadline = now_ns() + ms * 1000000;

        ringd_reader_deadline(reader, deadline);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
        ck_assert_int_ge(now_ns(), deadline);
        deadline = now_ns() + ms * 1000000;
        ringd_reader_deadline(reader, deadline);
        ck_assert_int_eq(ringd_next_many(reader, &record, 1, &count), RINGD_WOULD_BLOCK);
        ck_assert_int_ge(now_ns(), deadline);
    }
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ringd_reader_deadline(reader, 1);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
}

/* Each way in each mode; also while the daemon is away. */
START_TEST(deadlines_are_kept)
{
    uint32_t mode = (uint32_t)_i / WAITS, wait = (uint32_t)_i % WAITS;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    reader = open_waiting(mode, wait, 0);
    ck_deadlines(reader);
    ck_assert_uint_eq(slept(reader) > 0, wait != RINGD_WAIT_BUSY);
    daemon_kill(&server);
    ck_deadlines(reader);
    ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
    ringd_reader_deadline(reader, RINGD_FOREVER);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    ringd_reader_deadline(reader, RINGD_NO_WAIT);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(slept(reader) > 0, wait != RINGD_WAIT_BUSY);
    daemon_restart(&server, NULL);
}
END_TEST

/* ---- what arrives ------------------------------------------------------------------------------------------------ */

struct waiter {
    uint32_t mode, wait;
    _Atomic uint32_t ready, seen;
};

/* Until the first record that says so. */
static void wait_for_records(void *argument)
{
    struct waiter *waiter = argument;
    struct ringd_reader *reader = open_waiting(waiter->mode, waiter->wait, RINGD_FOREVER);
    struct ringd_record record;
    int result;

    support_guard(0);
    atomic_store(&waiter->ready, 1);
    do {
        result = ringd_next(reader, &record);
        require(result == RINGD_OK, "result %d", result);
        require(ringd_release(reader) == RINGD_OK, "release");
        atomic_fetch_add(&waiter->seen, 1);
    } while (record.len != 0);
    require(waiter->wait != RINGD_WAIT_BUSY || slept(reader) == 0, "it slept");
}

static pid_t start_waiter(struct waiter *waiter, uint32_t mode, uint32_t wait)
{
    pid_t pid;

    waiter->mode = mode;
    waiter->wait = wait;
    pid = child_start(wait_for_records, waiter);
    while (atomic_load(&waiter->ready) == 0)
        pause_ms(1);
    return pid;
}

/* Each time it waits again: nothing is written before it has seen what was. Also while the daemon is away. */
START_TEST(what_is_written_arrives)
{
    struct waiter *waiter = shared_new(sizeof *waiter);
    struct ringd_writer *w;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    pid = start_waiter(waiter, (uint32_t)_i / WAITS, (uint32_t)_i % WAITS);
    for (uint32_t i = 1; i <= 60; i++) {
        if (i == 40)
            daemon_kill(&server);
        if (i % 20 == 0)
            pause_ms(10);
        ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
        while (atomic_load(&waiter->seen) < i)
            pause_ms(1);
    }
    ck_assert_int_eq(ringd_write(w, "", 0), RINGD_OK);
    child_finish(pid);
    daemon_restart(&server, NULL);
}
END_TEST

/* ---- no processor time ------------------------------------------------------------------------------------------- */

#define IDLERS 100

/* Ten write, ten are just there, eighty wait for records, in each mode, asleep or adaptively. */
static struct idler start_idler(int number)
{
    enum idle_way way = number % 10 == 0 ? IDLE_WRITING : number % 10 == 1 ? IDLE_ATTACHED : IDLE_READING;

    return idle_start(way, (uint32_t)number % 3, number / 3 % 2 ? RINGD_WAIT_SLEEP : RINGD_WAIT_ADAPTIVE);
}

/* The daemon is one of them. */
START_TEST(a_hundred_that_wait_use_no_processor_time)
{
    struct idler idlers[IDLERS + 1];

    idle_make_rings();
    for (int i = 0; i < IDLERS; i++)
        idlers[i] = start_idler(i);
    idlers[IDLERS] = (struct idler){.pid = server.pid};
    idle_settle(idlers, IDLERS + 1);
    idle_require_still(idlers, IDLERS + 1);
    for (int i = 0; i < IDLERS; i++)
        child_kill(idlers[i].pid);
}
END_TEST

/* ---- busy -------------------------------------------------------------------------------------------------------- */

/* From when it is ready, nothing but the exit is a system call. */
static void wait_quietly(void *argument)
{
    struct waiter *waiter = argument;
    struct ringd_reader *reader = open_waiting(waiter->mode, waiter->wait, RINGD_FOREVER);
    struct ringd_record record;
    int failed = 0;

    forbid_system_calls();
    atomic_store(&waiter->ready, 1);
    for (int i = 0; i < 10 && failed == 0; i++) {
        failed = ringd_next(reader, &record) == RINGD_OK ? 0 : 1;
        ringd_release(reader);
        atomic_fetch_add(&waiter->seen, 1);
    }
    ringd_reader_deadline(reader, now_ns() + 20000000);
    if (failed == 0)
        failed = ringd_next(reader, &record) == RINGD_WOULD_BLOCK ? 0 : 2;
    syscall(SYS_exit_group, failed);
}

static void read_clock(void *argument)
{
    (void)argument;
    forbid_system_calls();
    now_ns();
    syscall(SYS_exit_group, 0);
}

static bool can_be_quiet(void)
{
    if (!can_forbid_system_calls()) {
        support_skip("busy_readers_make_no_system_call", "this kernel has no seccomp filters");
        return false;
    }
    if (child_wait(child_start(read_clock, NULL)) != 0) {
        support_skip("busy_readers_make_no_system_call", "reading the clock is a system call on this machine");
        return false;
    }
    return true;
}

/* And that a sleeper would be noticed (the last one). */
START_TEST(busy_readers_make_no_system_call)
{
    struct waiter *waiter = shared_new(sizeof *waiter);
    bool busy = _i < MODES;
    struct ringd_writer *w;
    int status;
    pid_t pid;

    if (!can_be_quiet())
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    waiter->mode = (uint32_t)_i % MODES;
    waiter->wait = busy ? RINGD_WAIT_BUSY : RINGD_WAIT_SLEEP;
    pid = child_start(wait_quietly, waiter);
    while (atomic_load(&waiter->ready) == 0)
        pause_ms(1);
    for (uint32_t i = 0; busy && i < 10; i++) {
        pause_ms(3);
        ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
        while (atomic_load(&waiter->seen) == i)
            pause_ms(1);
    }
    status = child_wait(pid);
    if (busy)
        ck_assert_msg(status == 0, "status 0x%x", (unsigned)status);
    else
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status 0x%x", (unsigned)status);
}
END_TEST

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static struct ringd_reader *interrupted;

static void on_signal(int number)
{
    (void)number;
    ringd_reader_deadline(interrupted, RINGD_NO_WAIT);
}

static void wait_for_signal(void *argument)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct waiter *waiter = argument;
    struct ringd_record record;
    int result;

    interrupted = open_waiting(waiter->mode, waiter->wait, RINGD_FOREVER);
    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&waiter->ready, 1);
    result = ringd_next(interrupted, &record);
    require(result == RINGD_WOULD_BLOCK || (result == -EINTR && waiter->wait != RINGD_WAIT_BUSY), "result %d", result);
}

/* Repeated, as it may come before the call. */
START_TEST(a_signal_handler_ends_the_wait)
{
    struct waiter *waiter = shared_new(sizeof *waiter);
    int status = 0;
    pid_t pid;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    waiter->mode = (uint32_t)_i / WAITS;
    waiter->wait = (uint32_t)_i % WAITS;
    pid = child_start(wait_for_signal, waiter);
    while (atomic_load(&waiter->ready) == 0)
        pause_ms(1);
    for (pid_t ended = 0; ended == 0; ended = waitpid(pid, &status, WNOHANG)) {
        kill(pid, SIGUSR1);
        pause_ms(20);
    }
    ck_assert_msg(status == 0, "status 0x%x", (unsigned)status);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wait modes");
    TCase *tests = add_case(suite, "wait modes");

    tcase_add_test(tests, a_way_that_is_not_known);
    tcase_add_loop_test(tests, deadlines_are_kept, 0, MODES * WAITS);
    tcase_add_loop_test(tests, what_is_written_arrives, 0, MODES * WAITS);
    tcase_add_test(tests, a_hundred_that_wait_use_no_processor_time);
    tcase_add_loop_test(tests, busy_readers_make_no_system_call, 0, MODES + 1);
    tcase_add_loop_test(tests, a_signal_handler_ends_the_wait, 0, MODES * WAITS);
    return run_suite(suite);
}
