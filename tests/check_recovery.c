/* check_recovery.c - contexts that die, of anything, anywhere, with a real daemon and others going on.
 *
 * The others are a crowd: three writers, a reader that may lose nothing (where the policy has one) and an observer,
 * each a process of its own. What holds while others die beside them, and is checked at the end: they get on, each
 * committed record is read exactly once, whole and in its writer's order, and the accounts of the ring add up:
 *
 *     offered = committed + aborted + refused + dropped + lost in death
 *
 * Who is dead is the kernel's to say, so there is a test for each way to be dead, and for each to look like it.
 *
 * RINGD_KILLS says how many are killed at random (100 if not said); RINGD_SEED repeats a run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "writer.h"

#define RING       "recovery"
#define SIZE       65536
#define MAX_RECORD 1024
#define NS_PER_MS  INT64_C(1000000)

static uint32_t policy_of(int i)
{
    return RINGD_LOSSLESS + (uint32_t)i % 3;
}

static void make_policy_ring(uint32_t policy)
{
    make_ring(RING, (struct ringd_ring_options){.size = SIZE, .policy = policy, .max_record = MAX_RECORD});
}

/* ---- the crowd --------------------------------------------------------------------------------------------------- */

#define WRITERS 3
#define READERS 2

/* Records of each of the writers that make a lap together, and some more. */
#define ONCE_AROUND 250

struct crowd_board {
    _Atomic uint32_t ready, stop, readers_stop;
    bool slow; /* the writers take their time: the ring does not fill while somebody stands in it */
    _Atomic uint64_t written[WRITERS];
    _Atomic uint64_t delivered[READERS], lost[READERS];
};

struct member {
    struct crowd_board *board;
    uint32_t policy;
    int number;
};

struct crowd {
    struct crowd_board *board;
    struct member members[WRITERS + READERS];
    pid_t pids[WRITERS + READERS];
};

static void write_on(void *argument)
{
    const struct member *member = argument;
    struct crowd_board *board = member->board;
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);
    uint64_t rounds = 0;

    atomic_fetch_add(&board->ready, 1);
    for (; !atomic_load(&board->stop); rounds++) {
        int result = write_record(w, RECORD_MIN + rounds % 5 * 30);

        require(result == RINGD_OK || result == RINGD_DROPPED, "result %d", result);
        if (result == RINGD_OK)
            atomic_fetch_add(&board->written[member->number], 1);
        if (board->slow)
            pause_ms(1);
        else if (rounds % 8 == 0)
            sched_yield();
    }
    ringd_writer_close(w);
}

static void read_on(void *argument)
{
    const struct member *member = argument;
    struct crowd_board *board = member->board;
    bool lossless = member->number == 0 && member->policy != RINGD_OVERWRITE;
    struct ringd_reader *reader =
        open_reader(RING, lossless ? RINGD_READ_LOSSLESS : RINGD_READ_OBSERVE, RINGD_START_NOW);
    struct tracker tracker = {0};
    bool last;

    for (int i = 0; i < 31; i++)
        tracker.known[i] = true;
    atomic_fetch_add(&board->ready, 1);
    do {
        int result;

        last = atomic_load(&board->readers_stop);
        ringd_reader_deadline(reader, last ? RINGD_NO_WAIT : now_ns() + 2 * NS_PER_MS);
        result = tracker_drain(&tracker, reader);
        require(result == RINGD_WOULD_BLOCK, "result %d", result);
    } while (!last);
    require(!lossless || tracker_lost(&tracker) == 0, "a lossless reader lost something");
    atomic_store(&board->delivered[member->number], tracker_delivered(&tracker));
    atomic_store(&board->lost[member->number], tracker_lost(&tracker));
    ringd_reader_close(reader);
}

static void crowd_start(struct crowd *crowd, uint32_t policy, bool slow)
{
    *crowd = (struct crowd){.board = shared_new(sizeof *crowd->board)};
    crowd->board->slow = slow;
    for (int i = 0; i < WRITERS + READERS; i++) {
        bool reads = i < READERS;

        crowd->members[i] = (struct member){crowd->board, policy, reads ? i : i - READERS};
        crowd->pids[i] = child_start(reads ? read_on : write_on, &crowd->members[i]);
        while (atomic_load(&crowd->board->ready) <= (uint32_t)i)
            pause_ms(1);
    }
}

/* Each of the crowd's writers writes so many more. */
static void crowd_wait(const struct crowd *crowd, uint64_t records)
{
    uint64_t before[WRITERS];

    for (int i = 0; i < WRITERS; i++)
        before[i] = atomic_load(&crowd->board->written[i]);
    for (int i = 0; i < WRITERS; i++) {
        while (atomic_load(&crowd->board->written[i]) - before[i] < records)
            pause_ms(1);
    }
}

static void require_sum(const struct ringd_info *info)
{
    uint64_t sum = info->committed + info->aborted + info->refused + info->dropped_full + info->dropped_stalled;

    require(info->offered == sum + info->lost, "%llu offered, %llu accounted for, %llu lost",
            (unsigned long long)info->offered, (unsigned long long)sum, (unsigned long long)info->lost);
}

/* All have left but the crowd; it leaves, and everything adds up. */
static struct ringd_info crowd_finish(struct crowd *crowd)
{
    struct ringd_info info;

    wait_for_contexts(RING, WRITERS + READERS);
    atomic_store(&crowd->board->stop, 1);
    for (int i = READERS; i < WRITERS + READERS; i++)
        child_finish(crowd->pids[i]);
    wait_for_contexts(RING, READERS);
    info = ring_info(RING);
    atomic_store(&crowd->board->readers_stop, 1);
    for (int i = 0; i < READERS; i++)
        child_finish(crowd->pids[i]);
    require_sum(&info);
    for (int i = 0; i < READERS; i++) {
        uint64_t delivered = atomic_load(&crowd->board->delivered[i]), lost = atomic_load(&crowd->board->lost[i]);

        require(delivered + lost == info.committed, "reader %d: %llu and %llu lost of %llu", i,
                (unsigned long long)delivered, (unsigned long long)lost, (unsigned long long)info.committed);
    }
    return info;
}

/* ---- victims ----------------------------------------------------------------------------------------------------- */

static void reserve_and(struct ringd_writer *w, bool commit)
{
    size_t granted;
    void *place;

    if (ringd_reserve(w, 100, 300, &place, &granted) != RINGD_OK)
        return;
    memset(place, 'x', granted);
    if (commit) {
        record_make(place, 50, writer_slot(w), writer_sequence(w));
        ringd_commit(w, 50);
    } else {
        ringd_abort(w);
    }
}

/* Everything that a writer does, again and again. */
static void write_in_turn(struct ringd_writer *w)
{
    write_record(w, 40);
    write_record(w, 700);
    write_pair(w, 100, 40);
    reserve_and(w, true);
    reserve_and(w, false);
}

static void write_all_ways(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)unused;
    for (int i = 0; i < 300; i++)
        write_in_turn(w);
    ringd_writer_close(w);
}

static void write_for_ever(void *unused)
{
    struct ringd_writer *w = open_writer_until(RING, RINGD_FOREVER);

    (void)unused;
    for (;;)
        write_in_turn(w);
}

static void read_all(uint32_t mode, int rounds)
{
    struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
    struct tracker tracker = {0};

    for (int i = 0; i < rounds; i++) {
        ringd_reader_deadline(reader, now_ns() + NS_PER_MS);
        tracker_drain(&tracker, reader);
    }
    ringd_reader_close(reader);
}

static void read_lossless(void *unused)
{
    (void)unused;
    read_all(RINGD_READ_LOSSLESS, 200);
}

static void read_lossy(void *unused)
{
    (void)unused;
    read_all(RINGD_READ_LOSSY, 200);
}

/* Without an end, for those who shall be killed somewhere. */
static void read_lossless_on(void *unused)
{
    (void)unused;
    read_all(RINGD_READ_LOSSLESS, INT_MAX);
}

static void read_lossy_on(void *unused)
{
    (void)unused;
    read_all(RINGD_READ_LOSSY, INT_MAX);
}

/* Those that every victim passes; then those that it depends on the others whether it does. */
static const char *const writer_points[] = {
    "reserve-offered",    "reserve-length", "reserve-begin",  "reserve-added",   "reserve-exact",   "commit-payload",
    "commit-header",      "commit-stamped", "commit-counted", "commit-sequence", "commit-finished", "batch-filled",
    "batch-record",       "pad-header",     "pad-stamped",    "abort-padded",    "abort-counted",   "attach-received",
    "attach-life-mapped", "attach-mapped",  "mark-stored",    "raise-computed",  "raise-swapped",   "queue-need",
    "queue-cleared",      "queue-entered",  "queue-drawn",    "queue-ticket",    "queue-left",      "wait-announced",
    "wake-counted",       "wake-sent",      "drop-counted",
};

#define POINTS         (int)(sizeof writer_points / sizeof *writer_points)
#define CERTAIN_POINTS 20
#define PAIR_POINTS    17 /* of reserve, commit, batch, padding, abort */

static const char *const reader_points[] = {
    "attach-life-mapped", "attach-mapped",  "attach-cursor",  "next-stamp",     "next-delivered",
    "next-counted",       "release-stored", "publish-stored", "wait-announced",
};

/* Killed while it stands there, with the others about to fill the ring up to it, or kept by it already; then they go
 * on. */
static void kill_at(const struct crowd *crowd, const char *point, unsigned long nth, void (*run)(void *unused),
                    bool certain)
{
    struct at_point at = at_point_start(point, STOP_HOLD, nth, run, NULL);

    if (at_point_pid(&at) == 0) {
        require(!certain, "nobody passed %s", point);
        at_point_finish(&at);
        return;
    }
    at_point_kill(&at);
    wait_for_contexts(RING, WRITERS + READERS);
    crowd_wait(crowd, ONCE_AROUND);
}

START_TEST(rule_13_a_writer_killed_at_each_point)
{
    struct random_source chance = {.state = support_seed()};
    uint32_t policy = policy_of(_i);
    struct crowd crowd;

    if (!at_point_allowed("rule_13_a_writer_killed_at_each_point"))
        return;
    make_policy_ring(policy);
    crowd_start(&crowd, policy, false);
    for (int i = 0; i < POINTS; i++)
        kill_at(&crowd, writer_points[i], i < PAIR_POINTS ? 1 + random_below(&chance, 9) : 1,
                i < CERTAIN_POINTS ? write_for_ever : write_all_ways, i < CERTAIN_POINTS);
    crowd_finish(&crowd);
}
END_TEST

START_TEST(rule_13_a_reader_killed_at_each_point)
{
    uint32_t policy = policy_of(_i);
    struct crowd crowd;

    if (!at_point_allowed("rule_13_a_reader_killed_at_each_point"))
        return;
    make_policy_ring(policy);
    crowd_start(&crowd, policy, false);
    for (size_t i = 0; i < sizeof reader_points / sizeof *reader_points; i++) {
        if (policy != RINGD_OVERWRITE)
            kill_at(&crowd, reader_points[i], 1, read_lossless, false);
        kill_at(&crowd, reader_points[i], 1, read_lossy, false);
    }
    crowd_finish(&crowd);
}
END_TEST

/* ---- two at once ------------------------------------------------------------------------------------------------- */

START_TEST(rule_13_two_writers_killed_at_each_pair_of_points)
{
    uint32_t policy = policy_of(_i);
    struct crowd crowd;

    if (!at_point_allowed("rule_13_two_writers_killed_at_each_pair_of_points"))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20, .policy = policy, .max_record = MAX_RECORD});
    crowd_start(&crowd, policy, true);
    for (int i = _i; i < PAIR_POINTS * PAIR_POINTS; i += 3) {
        struct at_point first, second;

        first = at_point_start(writer_points[i / PAIR_POINTS], STOP_HOLD, 2, write_for_ever, NULL);
        second = at_point_start(writer_points[i % PAIR_POINTS], STOP_HOLD, 2, write_for_ever, NULL);
        require(at_point_pid(&first) != 0 && at_point_pid(&second) != 0, "pair %d", i);
        kill(at_point_pid(&first), SIGKILL);
        kill(at_point_pid(&second), SIGKILL);
        at_point_finish(&first);
        at_point_finish(&second);
        wait_for_contexts(RING, WRITERS + READERS);
        crowd_wait(&crowd, 5);
    }
    crowd_finish(&crowd);
}
END_TEST

/* ---- many at once ------------------------------------------------------------------------------------------------ */

#define GROUP_WRITERS 31
#define GROUP_READERS 120

struct group {
    _Atomic uint64_t count[GROUP_WRITERS + GROUP_READERS];
    uint32_t policy;
    pid_t leader;
};

struct group_member {
    struct group *group;
    int number;
};

static void be_in_group(void *argument)
{
    const struct group_member *member = argument;
    struct group *group = member->group;
    bool writes = member->number < GROUP_WRITERS;
    struct tracker tracker = {0};
    struct ringd_reader *reader = NULL;
    struct ringd_writer *w = NULL;
    uint32_t mode =
        member->number % 2 == 0 && group->policy != RINGD_OVERWRITE ? RINGD_READ_LOSSLESS : RINGD_READ_LOSSY;

    require(setpgid(0, group->leader) == 0, "errno %d", errno);
    if (writes)
        w = open_writer_until(RING, RINGD_FOREVER);
    else
        reader = open_reader(RING, mode, RINGD_START_NOW);
    for (;;) {
        atomic_fetch_add(&group->count[member->number], 1);
        if (writes) {
            write_record(w, 40);
            write_pair(w, 100, 40);
            reserve_and(w, true);
        } else {
            ringd_reader_deadline(reader, now_ns() + NS_PER_MS);
            tracker_drain(&tracker, reader);
        }
    }
}

static void lead(void *unused)
{
    (void)unused;
    setpgid(0, 0);
    for (;;)
        pause();
}

/* All of a process group at once, in full flow; a reader outside it has everything that was committed. */
START_TEST(rule_13_a_group_is_killed_at_once)
{
    struct group *group = shared_new(sizeof *group);
    struct group_member members[GROUP_WRITERS + GROUP_READERS];
    pid_t pids[GROUP_WRITERS + GROUP_READERS];
    int readers = _i == 0 ? GROUP_READERS : 0, count = GROUP_WRITERS + readers;
    struct tracker tracker = {0};
    struct ringd_reader *reader;
    struct ringd_info info;

    group->policy = policy_of(_i);
    make_policy_ring(group->policy);
    reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    for (int round = 0; round < 3; round++) {
        group->leader = child_start(lead, NULL);
        while (getpgid(group->leader) != group->leader)
            pause_ms(1);
        for (int i = 0; i < count; i++) {
            atomic_store(&group->count[i], 0);
            members[i] = (struct group_member){group, i};
            pids[i] = child_start(be_in_group, &members[i]);
        }
        for (int i = 0; i < count; i++) {
            while (atomic_load(&group->count[i]) < 3)
                tracker_drain(&tracker, reader);
        }
        require(kill(-group->leader, SIGKILL) == 0, "errno %d", errno);
        wait_for_contexts(RING, 1); /* as zombies */
        for (int i = 0; i < count; i++)
            child_wait(pids[i]);
        child_wait(group->leader);
        ck_assert_int_eq(tracker_drain(&tracker, reader), RINGD_WOULD_BLOCK);
        info = ring_info(RING);
        require_sum(&info);
        ck_assert_uint_eq(tracker_delivered(&tracker) + tracker_lost(&tracker), info.committed);
        ck_assert_uint_le(info.lost, 2 * GROUP_WRITERS * ((uint64_t)round + 1));
    }
}
END_TEST

/* ---- at random --------------------------------------------------------------------------------------------------- */

static uint64_t kills_wanted(void)
{
    const char *text = getenv("RINGD_KILLS");

    return text != NULL ? strtoull(text, NULL, 10) : 100;
}

START_TEST(rule_13_random_kills_under_load)
{
    struct random_source chance = {.state = support_seed()};
    uint64_t kills = kills_wanted();
    uint32_t policy = policy_of(_i);
    struct crowd crowd;
    pid_t pids[4];

    make_policy_ring(policy);
    crowd_start(&crowd, policy, false);
    for (uint64_t done = (uint64_t)_i; done < kills; done += 3) {
        uint64_t together = 1 + random_below(&chance, 4);

        for (uint64_t i = 0; i < together; i++) {
            bool reads = random_below(&chance, 4) == 0, lossless = policy != RINGD_OVERWRITE;

            pids[i] = child_start(!reads ? write_for_ever : lossless ? read_lossless_on : read_lossy_on, NULL);
        }
        wait_for_contexts(RING, WRITERS + READERS + together);
        for (uint64_t spin = random_below(&chance, 200000); spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
        for (uint64_t i = 0; i < together; i++)
            kill(pids[i], SIGKILL);
        wait_for_contexts(RING, WRITERS + READERS);
        for (uint64_t i = 0; i < together; i++)
            child_wait(pids[i]);
    }
    crowd_wait(&crowd, ONCE_AROUND);
    crowd_finish(&crowd);
}
END_TEST

/* ---- what is death, and what is not ------------------------------------------------------------------------------ */

/* In mid-record, with one before it. */
struct stand {
    void (*then)(struct stand *stand);
    _Atomic uint32_t ready, go_on;
    _Atomic int32_t other; /* a child's pid */
    struct ringd_writer *w;
    void *place;
};

static void stand_in_record(void *argument)
{
    struct stand *stand = argument;
    size_t granted;

    stand->w = open_writer(RING);
    require(write_record(stand->w, 40) == RINGD_OK, "no room");
    require(ringd_reserve(stand->w, 40, 40, &stand->place, &granted) == RINGD_OK, "no room");
    stand->then(stand);
}

static void signal_ready(struct stand *stand)
{
    atomic_store(&stand->ready, 1);
}

static void wait_go_on(const struct stand *stand)
{
    while (!atomic_load(&stand->go_on))
        pause_ms(1);
}

/* Waits until the context has gone or, `alive`, has been told to go on; it has written one record, or two. */
struct deathbed {
    struct stand *stand;
    struct ringd_reader *reader;
    struct tracker tracker;
    pid_t pid;
};

static void lie_down(struct deathbed *bed, void (*then)(struct stand *stand))
{
    *bed = (struct deathbed){.stand = shared_new(sizeof *bed->stand)};
    make_policy_ring(RINGD_LOSSLESS);
    bed->reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    bed->stand->then = then;
    bed->pid = child_start(stand_in_record, bed->stand);
    while (!atomic_load(&bed->stand->ready))
        pause_ms(1);
}

static bool log_has(const char *text)
{
    FILE *file = fopen(server.log, "re");
    bool found = false;
    char line[512];

    require(file != NULL, "errno %d", errno);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

/* Certainly gone: repaired, counted, told, and the ring is as new. */
static void require_dead(struct deathbed *bed)
{
    struct ringd_writer *w;
    struct ringd_info info;
    char line[160];

    wait_for_contexts(RING, 1);
    info = ring_info(RING);
    ck_assert_uint_eq(info.lost, 1);
    ck_assert_uint_eq(info.committed, 1);
    require_sum(&info);
    snprintf(line, sizeof line, "ring " RING ": writer 0 (pid %d, ", (int)bed->pid);
    ck_assert(log_has(line));
    ck_assert(
        log_has("died in mid-record; 1 record that was being written is lost, 96 bytes passed over; others go on"));
    w = open_writer(RING);
    ck_assert_uint_eq(writer_slot(w), 0);
    for (int i = 0; i < 3 * SIZE / 64; i++) {
        ck_assert_int_eq(write_record(w, 24), RINGD_OK);
        ck_assert_int_eq(tracker_drain(&bed->tracker, bed->reader), RINGD_WOULD_BLOCK);
    }
    ck_assert_uint_eq(tracker_lost(&bed->tracker), 0);
    ck_assert_uint_eq(tracker_delivered(&bed->tracker), 1 + 3 * SIZE / 64);
}

/* It lives: it commits what it was in, and then dies of SIGKILL between two records. */
static void require_alive(struct deathbed *bed, uint32_t state)
{
    struct ringd_context_info context;

    for (int i = 0; i < 30; i++) {
        ck_assert(find_context(RING, RINGD_CONTEXT_WRITER, &context));
        pause_ms(1);
    }
    ck_assert_uint_eq(context.state, state);
    atomic_store(&bed->stand->go_on, 1);
    while (tracker_delivered(&bed->tracker) < 2)
        ck_assert_int_eq(tracker_drain(&bed->tracker, bed->reader), RINGD_WOULD_BLOCK);
    child_kill(bed->pid);
    wait_for_contexts(RING, 1);
    ck_assert_uint_eq(ring_info(RING).lost, 0);
}

static void commit_and_wait(struct stand *stand)
{
    wait_go_on(stand);
    record_make(stand->place, 40, writer_slot(stand->w), writer_sequence(stand->w));
    require(ringd_commit(stand->w, 40) == RINGD_OK, "no commit");
    for (;;)
        pause();
}

static void just_stand(struct stand *stand)
{
    signal_ready(stand);
    commit_and_wait(stand);
}

START_TEST(a_killed_one_is_dead_as_a_zombie)
{
    struct deathbed bed;

    lie_down(&bed, just_stand);
    ck_assert_int_eq(kill(bed.pid, SIGKILL), 0);
    require_dead(&bed);
    ck_assert_int_eq(kill(bed.pid, 0), 0);
    child_wait(bed.pid);
}
END_TEST

static void exit_when_told(struct stand *stand)
{
    signal_ready(stand);
    wait_go_on(stand);
    _exit(0);
}

START_TEST(one_that_exits_in_mid_record_is_dead)
{
    struct deathbed bed;

    lie_down(&bed, exit_when_told);
    atomic_store(&bed.stand->go_on, 1);
    require_dead(&bed);
    child_finish(bed.pid);
}
END_TEST

static void exec_when_told(struct stand *stand)
{
    signal_ready(stand);
    wait_go_on(stand);
    execl("/bin/sleep", "sleep", "1000", NULL);
    require(false, "errno %d", errno);
}

START_TEST(one_that_execs_in_mid_record_is_dead)
{
    struct deathbed bed;

    lie_down(&bed, exec_when_told);
    atomic_store(&bed.stand->go_on, 1);
    require_dead(&bed);
    ck_assert_int_eq(kill(bed.pid, 0), 0);
    child_kill(bed.pid);
}
END_TEST

static void unmap_when_told(struct stand *stand)
{
    struct attachment *attachment = stand->w->attachment;

    signal_ready(stand);
    wait_go_on(stand);
    segment_unmap(&attachment->segment);
    munmap(attachment->life, 4096);
    close(attachment->socket_fd);
    for (;;)
        pause();
}

START_TEST(one_that_unmaps_in_mid_record_is_dead)
{
    struct deathbed bed;

    lie_down(&bed, unmap_when_told);
    atomic_store(&bed.stand->go_on, 1);
    require_dead(&bed);
    ck_assert_int_eq(kill(bed.pid, 0), 0);
    child_kill(bed.pid);
}
END_TEST

/* Behind the back of pthread_atfork: the child has its parent's socket. */
static void leave_a_child(struct stand *stand)
{
    if (syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        support_guard(SUPPORT_GUARD_S);
        atomic_store(&stand->other, (int32_t)syscall(SYS_getpid));
        signal_ready(stand);
        for (;;)
            pause();
    }
    commit_and_wait(stand);
}

START_TEST(one_whose_child_has_its_socket_is_dead)
{
    struct deathbed bed;
    pid_t child;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    lie_down(&bed, leave_a_child);
    child = atomic_load(&bed.stand->other);
    child_kill(bed.pid);
    require_dead(&bed);
    ck_assert_int_eq(kill(child, 0), 0);
    child_kill(child);
}
END_TEST

START_TEST(one_that_forked_is_alive)
{
    struct deathbed bed;

    lie_down(&bed, leave_a_child);
    ck_assert_int_eq(kill(atomic_load(&bed.stand->other), SIGKILL), 0);
    require_alive(&bed, RINGD_CONTEXT_IN_RECORD);
}
END_TEST

static void close_all_and_stand(struct stand *stand)
{
    require(syscall(SYS_close_range, 3, ~0u, 0) == 0, "errno %d", errno);
    signal_ready(stand);
    commit_and_wait(stand);
}

START_TEST(one_that_closed_its_descriptors_is_alive)
{
    struct deathbed bed;

    lie_down(&bed, close_all_and_stand);
    require_alive(&bed, RINGD_CONTEXT_LOST);
}
END_TEST

START_TEST(one_that_closed_its_descriptors_dies_later)
{
    struct deathbed bed;
    uint64_t switches;

    lie_down(&bed, close_all_and_stand);
    while (!log_has("is lost: its connection has ended, and it is still there"))
        pause_ms(10);
    child_wait_still(server.pid);
    switches = process_switches(server.pid);
    pause_ms(300);
    ck_assert_uint_eq(process_switches(server.pid), switches); /* nobody looks again and again */
    child_kill(bed.pid);
    require_dead(&bed);
}
END_TEST

/* One end of a pair: an alien socket is as easily written to, or read from, as a connection. */
static int fill_descriptors(int *descriptors, struct stat *is, int count)
{
    int pair[2];

    require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "errno %d", errno);
    for (int i = 0; i < count; i++) {
        descriptors[i] = dup(pair[0]);
        require(descriptors[i] >= 0 && fstat(descriptors[i], &is[i]) == 0, "errno %d", errno);
    }
    require(send(pair[1], "mine", 4, 0) == 4, "errno %d", errno);
    return pair[1];
}

/* What it does to each kind of use of a connection: sleeping, reporting, closing. */
static void use_other_descriptors(void *argument)
{
    struct ringd_writer *w = open_writer(RING);
    struct ringd_reader *observer = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    struct ringd_record record;
    struct stat before[8], after;
    int descriptors[8], other;
    char text[256];

    (void)argument;
    require(syscall(SYS_close_range, 3, ~0u, 0) == 0, "errno %d", errno);
    other = fill_descriptors(descriptors, before, 8);
    ringd_reader_deadline(observer, now_ns() + 100000000);
    require(ringd_next(observer, &record) == RINGD_WOULD_BLOCK, "a record");
    require(ringd_write(w, "x", 1) == RINGD_OK, "write");
    require(ringd_next(observer, &record) == RINGD_OK, "no record");
    ringd_reader_close(observer);
    ringd_writer_close(w);
    for (int i = 0; i < 8; i++)
        require(fstat(descriptors[i], &after) == 0 && after.st_ino == before[i].st_ino, "%d", i);
    require(recv(other, text, sizeof text, MSG_DONTWAIT) < 0 && errno == EAGAIN, "a request was sent to it");
    require(recv(descriptors[0], text, sizeof text, MSG_DONTWAIT) == 4, "a message was taken from it");
}

START_TEST(a_number_that_is_used_for_something_else_is_left_alone)
{
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    child_finish(child_start(use_other_descriptors, NULL));
}
END_TEST

static void *reserve_and_end(void *argument)
{
    struct stand *stand = argument;
    size_t granted;

    require(ringd_abort(stand->w) == RINGD_OK, "no abort");
    require(ringd_reserve(stand->w, 40, 40, &stand->place, &granted) == RINGD_OK, "no room");
    return NULL;
}

static void end_a_thread(struct stand *stand)
{
    pthread_t thread;

    require(pthread_create(&thread, NULL, reserve_and_end, stand) == 0, "no thread");
    pthread_join(thread, NULL);
    signal_ready(stand);
    commit_and_wait(stand);
}

START_TEST(a_thread_that_ends_in_mid_record_is_not_dead)
{
    struct deathbed bed;

    lie_down(&bed, end_a_thread);
    require_alive(&bed, RINGD_CONTEXT_IN_RECORD);
}
END_TEST

static void close_when_told(struct stand *stand)
{
    signal_ready(stand);
    wait_go_on(stand);
    ringd_writer_close(stand->w);
}

START_TEST(a_close_aborts_an_open_grant)
{
    struct deathbed bed;

    lie_down(&bed, close_when_told);
    atomic_store(&bed.stand->go_on, 1);
    child_finish(bed.pid);
    wait_for_contexts(RING, 1);
    ck_assert_uint_eq(ring_info(RING).aborted, 1);
    ck_assert_uint_eq(ring_info(RING).lost, 0);
    ck_assert_int_eq(tracker_drain(&bed.tracker, bed.reader), RINGD_WOULD_BLOCK);
    ck_assert_uint_eq(tracker_delivered(&bed.tracker), 1);
}
END_TEST

/* ---- readers, and those who wait --------------------------------------------------------------------------------- */

static void hold_up(void *argument)
{
    _Atomic uint32_t *ready = argument;

    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    atomic_store(ready, 1);
    for (;;)
        pause();
}

static void fill_and_wait(void *argument)
{
    _Atomic uint32_t *full = argument;
    struct ringd_writer *w = open_writer(RING);

    while (write_record(w, 1000) == RINGD_OK)
        ;
    ringd_writer_deadline(w, RINGD_FOREVER);
    atomic_store(full, 1);
    require(write_record(w, 1000) == RINGD_OK, "no room");
    ringd_writer_close(w);
}

START_TEST(a_dead_lossless_reader_gives_its_space_back)
{
    _Atomic uint32_t *ready = shared_new(2 * sizeof *ready);
    pid_t reader, writer;

    make_policy_ring(RINGD_LOSSLESS);
    for (int round = 0; round < 10; round++) {
        atomic_store(&ready[0], 0);
        atomic_store(&ready[1], 0);
        reader = child_start(hold_up, &ready[0]);
        while (!atomic_load(&ready[0]))
            pause_ms(1);
        writer = child_start(fill_and_wait, &ready[1]);
        while (!atomic_load(&ready[1]))
            pause_ms(1);
        child_wait_still(writer);
        child_kill(reader);
        child_finish(writer);
        wait_for_contexts(RING, 0);
    }
}
END_TEST

/* Killed while it waits: the next in the line is served, and what it had offered is lost with it. */
START_TEST(a_dead_waiting_writer_is_counted)
{
    _Atomic uint32_t *ready = shared_new(3 * sizeof *ready);
    struct ringd_info info;
    pid_t reader, writer;

    make_policy_ring(RINGD_LOSSLESS);
    reader = child_start(hold_up, &ready[0]);
    while (!atomic_load(&ready[0]))
        pause_ms(1);
    writer = child_start(fill_and_wait, &ready[1]);
    while (!atomic_load(&ready[1]))
        pause_ms(1);
    child_wait_still(writer);
    child_kill(writer);
    wait_for_contexts(RING, 1);
    info = ring_info(RING);
    ck_assert_uint_eq(info.lost, 1);
    require_sum(&info);
    child_kill(reader);
    wait_for_contexts(RING, 0);
}
END_TEST

static void read_and_wait(void *argument)
{
    _Atomic uint32_t *seen = argument;
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record record;

    for (;;) {
        int result;

        atomic_fetch_add(seen, 1);
        result = ringd_next(reader, &record);
        require(result == RINGD_OK && ringd_release(reader) == RINGD_OK, "result %d", result);
    }
}

/* What lies behind the dead one's place was committed long ago. */
START_TEST(a_reader_that_sleeps_behind_a_dead_writer_is_woken)
{
    _Atomic uint32_t *seen = shared_new(sizeof *seen);
    struct stand *stand = shared_new(sizeof *stand);
    pid_t reader, writer;
    struct ringd_writer *w;

    make_policy_ring(RINGD_LOSSLESS);
    w = open_writer(RING);
    reader = child_start(read_and_wait, seen);
    while (!atomic_load(seen))
        pause_ms(1);
    stand->then = just_stand;
    writer = child_start(stand_in_record, stand);
    while (!atomic_load(&stand->ready) || atomic_load(seen) < 2)
        pause_ms(1);
    ck_assert_int_eq(write_record(w, 40), RINGD_OK);
    child_wait_still(reader);
    ck_assert_uint_eq(atomic_load(seen), 2);
    child_kill(writer);
    while (atomic_load(seen) < 3)
        pause_ms(1);
    child_kill(reader);
}
END_TEST

/* ---- a neighbour that is stopped at a bad moment ----------------------------------------------------------------- */

/* Whose grant is whose cannot be told until it goes on; the daemon serves others meanwhile. */
START_TEST(a_stopped_neighbour_does_not_hold_the_daemon)
{
    struct ringd_context_info contexts[4];
    struct at_point neighbour, victim;
    struct ringd_info info;
    struct ringd_writer *w;
    size_t count, dead;

    if (!at_point_allowed("a_stopped_neighbour_does_not_hold_the_daemon"))
        return;
    make_policy_ring(RINGD_LOSSLESS);
    neighbour = at_point_start("reserve-added", STOP_HOLD, 3, write_all_ways, NULL);
    victim = at_point_start("reserve-added", STOP_HOLD, 3, write_all_ways, NULL);
    ck_assert_int_ne(at_point_pid(&neighbour), 0);
    ck_assert_int_ne(at_point_pid(&victim), 0);
    at_point_kill(&victim);
    do {
        dead = 0;
        ck_assert_int_eq(ringd_status(RING, NULL, contexts, 4, &count), 0);
        ck_assert_uint_eq(count, 2);
        for (size_t i = 0; i < count; i++)
            dead += contexts[i].state == RINGD_CONTEXT_DEAD;
    } while (dead == 0);
    ck_assert_int_eq(ringd_create("another", NULL), 0);
    at_point_kill(&neighbour);
    wait_for_contexts(RING, 0);
    info = ring_info(RING);
    require_sum(&info);
    ck_assert_uint_le(info.lost, 4);
    w = open_writer(RING);
    for (int i = 0; i < 3 * SIZE / 64; i++)
        ck_assert_int_eq(write_record(w, 24), RINGD_OK);
}
END_TEST

/* ---- the daemon dies in a repair --------------------------------------------------------------------------------- */

/* Its points, and where a writer has to have died for it to come there. */
static const struct fall {
    const char *repair_point, *writer_point;
    uint64_t lost;
} falls[] = {
    {"repair-filled", "reserve-exact", 1},   {"repair-filled", "reserve-added", 1},
    {"repair-stamped", "reserve-exact", 1},  {"repair-stamped", "reserve-added", 1},
    {"repair-counted", "commit-stamped", 0}, {"repair-opened", "reserve-exact", 1},
    {"repair-opened", "reserve-added", 1},   {"repair-opened", "commit-stamped", 0},
    {"repair-opened", "commit-sequence", 0}, {"repair-woken", "reserve-exact", 1},
    {"repair-woken", "reserve-begin", 1},    {"repair-settled", "reserve-added", 1},
    {"repair-settled", "commit-stamped", 0}, {"repair-settled", "commit-finished", 0},
};

#define FALLS (sizeof falls / sizeof *falls)

/* Killed there, and its successor too if that comes there (it may have nothing left to do at that point). */
static void die_at(const struct fall *fall)
{
    struct at_point victim;

    daemon_kill(&server);
    ck_assert(daemon_restart_to_die(&server, fall->repair_point, 1));
    victim = at_point_start(fall->writer_point, STOP_HOLD, 1, write_for_ever, NULL);
    ck_assert_int_ne(at_point_pid(&victim), 0);
    at_point_kill(&victim);
    child_wait(server.pid);
    if (daemon_restart_to_die(&server, fall->repair_point, 1))
        daemon_kill(&server);
    daemon_restart(&server, NULL);
    wait_for_contexts(RING, WRITERS + READERS);
}

START_TEST(rule_13_the_daemon_killed_at_each_point_of_a_repair)
{
    uint32_t policy = policy_of(_i);
    struct ringd_info info;
    struct crowd crowd;
    uint64_t lost = 0;

    if (!at_point_allowed("rule_13_the_daemon_killed_at_each_point_of_a_repair"))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 1 << 20, .policy = policy, .max_record = MAX_RECORD});
    crowd_start(&crowd, policy, true);
    for (size_t i = 0; i < FALLS; i++) {
        die_at(&falls[i]);
        crowd_wait(&crowd, 5);
        lost += falls[i].lost;
        ck_assert_uint_eq(ring_info(RING).lost, lost);
    }
    info = crowd_finish(&crowd);
    ck_assert_uint_eq(info.lost, lost);
}
END_TEST

/* ---- nonsense ---------------------------------------------------------------------------------------------------- */

static void scribble_when_told(struct stand *stand)
{
    struct ringd_writer_slot *slot = stand->w->ring.slot;

    atomic_store(&slot->begin, atomic_load(&slot->begin) + (UINT64_C(1) << 30));
    signal_ready(stand);
    for (;;)
        pause();
}

START_TEST(what_makes_no_sense_is_said)
{
    struct ringd_record record;
    struct deathbed bed;

    lie_down(&bed, scribble_when_told);
    child_kill(bed.pid);
    wait_for_contexts(RING, 1);
    ck_assert(log_has("ring " RING ": damaged: what writer 0 (pid "));
    ck_assert_int_eq(ringd_next(bed.reader, &record), RINGD_OK);
    ringd_reader_deadline(bed.reader, RINGD_FOREVER);
    ck_assert_int_eq(ringd_next(bed.reader, &record), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovery");
    TCase *tests = add_case(suite, "points");

    tcase_add_loop_test(tests, rule_13_a_writer_killed_at_each_point, 0, 3);
    tcase_add_loop_test(tests, rule_13_a_reader_killed_at_each_point, 0, 3);
    tests = add_case(suite, "pairs");
    tcase_add_loop_test(tests, rule_13_two_writers_killed_at_each_pair_of_points, 0, 3);
    tests = add_case(suite, "groups");
    tcase_add_loop_test(tests, rule_13_a_group_is_killed_at_once, 0, 3);
    tests = add_case(suite, "random");
    tcase_add_loop_test(tests, rule_13_random_kills_under_load, 0, 3);
    if (getenv("RINGD_KILLS") != NULL)
        tcase_set_timeout(tests, 3600);
    tests = add_case(suite, "daemon");
    tcase_add_loop_test(tests, rule_13_the_daemon_killed_at_each_point_of_a_repair, 0, 3);
    tests = add_case(suite, "evidence");
    tcase_add_test(tests, a_killed_one_is_dead_as_a_zombie);
    tcase_add_test(tests, one_that_exits_in_mid_record_is_dead);
    tcase_add_test(tests, one_that_execs_in_mid_record_is_dead);
    tcase_add_test(tests, one_that_unmaps_in_mid_record_is_dead);
    tcase_add_test(tests, one_whose_child_has_its_socket_is_dead);
    tcase_add_test(tests, one_that_forked_is_alive);
    tcase_add_test(tests, one_that_closed_its_descriptors_is_alive);
    tcase_add_test(tests, one_that_closed_its_descriptors_dies_later);
    tcase_add_test(tests, a_number_that_is_used_for_something_else_is_left_alone);
    tcase_add_test(tests, a_thread_that_ends_in_mid_record_is_not_dead);
    tcase_add_test(tests, a_close_aborts_an_open_grant);
    tests = add_case(suite, "others");
    tcase_add_test(tests, a_dead_lossless_reader_gives_its_space_back);
    tcase_add_test(tests, a_dead_waiting_writer_is_counted);
    tcase_add_test(tests, a_reader_that_sleeps_behind_a_dead_writer_is_woken);
    tcase_add_test(tests, a_stopped_neighbour_does_not_hold_the_daemon);
    tcase_add_test(tests, what_makes_no_sense_is_said);
    return run_suite(suite);
}
