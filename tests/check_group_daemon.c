/* check_group_daemon.c - reader groups as ringd keeps them: names, seats, what members leave, restarts, moves.
 *
 * Members are driven by hand (support_group.h) on what an attach brings; the daemon is the real one. Those that die are
 * processes of their own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support_check.h"
#include "support_group.h"
#include "support_raw.h"
#include "writer.h"

#define RING "groups"
#define SIZE 65536

static struct tally *tally;

/* ---- members ------------------------------------------------------------------------------------------------------
 */

struct raw {
    int fd;
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    struct ringd_reply reply;
    struct segment segment;
    struct member member;
};

struct wanted {
    const char *label;
    uint32_t start, orphans, kind;
};

static int ask(struct raw *raw, const char *ring, struct wanted wanted)
{
    struct ringd_request request;
    struct proto_reply reply;

    *raw = (struct raw){.fd = raw_try_connect()};
    if (raw->fd < 0)
        return -EPIPE;
    proto_request_init(&request, RINGD_REQUEST_ATTACH, ring);
    request.kind = wanted.kind != 0 ? wanted.kind : RINGD_CONTEXT_LOSSLESS;
    request.start = wanted.start;
    request.orphans = wanted.orphans;
    request.group = 1;
    memcpy(request.label, wanted.label, strnlen(wanted.label, sizeof request.label));
    if (!raw_send(raw->fd, &request, sizeof request) ||
        raw_receive_descriptors(raw->fd, &reply, raw->descriptors) < sizeof reply.head)
        return -EPIPE; /* the daemon was killed */
    raw->reply = reply.head;
    return reply.head.result;
}

static void map(struct raw *raw)
{
    require(segment_map(&raw->segment, raw->descriptors[0], raw->descriptors[1], SEGMENT_READER) == 0, "cannot map");
    member_init(&raw->member, &raw->segment, raw->reply.label_plus - 1, raw->reply.seat, raw->reply.slot, tally);
}

static void attach(struct raw *raw, struct wanted wanted)
{
    int result = ask(raw, RING, wanted);

    require(result == 0, "attach: %d (%s)", result, raw->reply.text);
    require(raw->reply.label_plus > 0, "no group");
    map(raw);
}

static void join(struct raw *raw, const char *label)
{
    attach(raw, (struct wanted){.label = label});
}

static void leave(struct raw *raw)
{
    segment_unmap(&raw->segment);
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++)
        close(raw->descriptors[i]);
    close(raw->fd);
}

static void require_refused(const char *ring, struct wanted wanted, int error, const char *words)
{
    struct raw raw;

    require(ask(&raw, ring, wanted) == error, "result %d, not %d (%s)", raw.reply.result, error, raw.reply.text);
    require(strstr(raw.reply.text, words) != NULL, "no \"%s\" in: %s", words, raw.reply.text);
    close(raw.fd);
}

/* ---- a ring -------------------------------------------------------------------------------------------------------
 */

static struct ringd_writer *setup(struct ringd_ring_options options)
{
    tally = shared_new(sizeof *tally);
    options.size = SIZE;
    options.max_record = 128;
    make_ring(RING, options);
    return open_writer_until(RING, RINGD_NO_WAIT);
}

static void put(struct ringd_writer *w, unsigned records)
{
    for (unsigned i = 0; i < records; i++) {
        int result = write_record(w, RECORD_MIN);

        require(result == RINGD_OK, "result %d (%s)", result, ringd_strerror(result));
    }
}

static struct ringd_control *control_of(struct ringd_writer *w)
{
    return w->ring.ring.control;
}

static struct ringd_group *group_of(struct ringd_writer *w, uint32_t number)
{
    return &control_of(w)->group[number];
}

/* Until the daemon has dealt with a death. */
static void wait_orphaned(struct ringd_writer *w, uint32_t number)
{
    while (atomic_load(&w->ring.ring.groups[number].orphaned) == 0)
        pause_ms(1);
}

static void wait_ended(struct ringd_writer *w)
{
    while (atomic_load(&control_of(w)->groups) != 0)
        pause_ms(1);
}

static size_t count_members(const char *label)
{
    static struct ringd_context_info infos[300];
    size_t count = 0, members = 0;

    require(ringd_status(RING, &(struct ringd_info){0}, infos, 300, &count) == 0, "%s", ringd_error());
    for (size_t i = 0; i < count; i++)
        members += infos[i].member == 1 && strcmp(infos[i].label, label) == 0;
    return members;
}

/* ---- victims: attach, claim some, stand ----------------------------------------------------------------------------
 */

struct victim {
    struct wanted wanted;
    uint64_t most;
    _Atomic uint32_t *stands;
};

static void claim_and_stand(void *argument)
{
    const struct victim *victim = argument;
    struct claim claim;
    struct raw raw;

    attach(&raw, victim->wanted);
    while (atomic_load(victim->stands) == 0)
        pause_ms(1);
    if (victim->most > 0) {
        require(member_claim(&raw.member, victim->most, &claim) == RINGD_OK, "no claim");
        member_read(&raw.member, &claim, false);
    }
    atomic_store(victim->stands, 2);
    for (;;)
        pause();
}

/* It joins before `records` are written, and claims `most` of them. */
static pid_t victim_start(struct ringd_writer *w, struct wanted wanted, unsigned records, uint64_t most)
{
    static struct victim victim;
    size_t before = count_members(wanted.label);
    pid_t pid;

    victim = (struct victim){wanted, most, shared_new(sizeof(uint32_t))};
    pid = child_start(claim_and_stand, &victim);
    while (count_members(wanted.label) == before)
        pause_ms(1);
    put(w, records);
    atomic_store(victim.stands, 1);
    while (atomic_load(victim.stands) != 2)
        pause_ms(1);
    return pid;
}

/* ---- names and seats ------------------------------------------------------------------------------------------------
 */

START_TEST(members_share_a_group_by_its_name)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw a, b, c;

    join(&a, "one");
    join(&b, "one");
    join(&c, "two");
    ck_assert_uint_eq(a.reply.label_plus, b.reply.label_plus);
    ck_assert_uint_ne(a.reply.label_plus, c.reply.label_plus);
    ck_assert_uint_ne(a.reply.seat, b.reply.seat);
    ck_assert_uint_eq(count_members("one"), 2);
    ck_assert_uint_eq(count_members("two"), 1);
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 3);
    put(w, 10);
    ck_assert_uint_eq(member_drain(&a.member, 4), 10);
    ck_assert_uint_eq(member_drain(&b.member, 4), 0);
    tally_settle(tally, 0, 10);
    ck_assert_uint_eq(member_drain(&c.member, 4), 10);
    leave(&a);
    leave(&b);
    leave(&c);
    wait_ended(w);
    ringd_writer_close(w);
}
END_TEST

START_TEST(what_is_no_member_is_refused)
{
    static const char long_name[] = "0123456789012345678901234567890123456789012345678";
    struct ringd_writer *w = setup((struct ringd_ring_options){0});

    make_ring("over", (struct ringd_ring_options){.policy = RINGD_OVERWRITE});
    require_refused(RING, (struct wanted){.label = ""}, -EINVAL, "the group's name is empty");
    require_refused(RING, (struct wanted){.label = "a b"}, -EINVAL, "cannot be a group's name");
    require_refused(RING, (struct wanted){.label = long_name}, -EINVAL, "1 to 47");
    require_refused(RING, (struct wanted){.label = "a", .orphans = 2}, -EINVAL, "orphans 2");
    require_refused(RING, (struct wanted){.label = "a", .kind = RINGD_CONTEXT_LOSSY}, -EINVAL, "losslessly");
    require_refused(RING, (struct wanted){.label = "a", .kind = RINGD_CONTEXT_OBSERVER}, -EINVAL, "losslessly");
    require_refused("over", (struct wanted){.label = "a"}, -EOPNOTSUPP, "no groups");
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 0);
    ringd_writer_close(w);
}
END_TEST

START_TEST(seats_and_groups_run_out)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    static struct raw members[RINGD_SEATS_MAX], groups[RINGD_GROUPS_MAX];
    char name[16];

    for (uint32_t i = 0; i < RINGD_SEATS_MAX; i++)
        join(&members[i], "full");
    require_refused(RING, (struct wanted){.label = "full"}, -EUSERS, "64 members");
    for (uint32_t i = 1; i < RINGD_GROUPS_MAX; i++) {
        snprintf(name, sizeof name, "g%" PRIu32, i);
        join(&groups[i], name);
    }
    require_refused(RING, (struct wanted){.label = "another"}, -EUSERS, "16 groups");
    leave(&members[17]);
    join(&members[17], "full"); /* who has left without its being noticed is let go */
    ck_assert_uint_eq(members[17].reply.seat, 17);
    leave(&groups[5]);
    join(&groups[5], "another");
    ck_assert_uint_eq(count_members("full"), RINGD_SEATS_MAX);
    ringd_writer_close(w);
}
END_TEST

START_TEST(the_first_member_says_where_it_begins)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw now, oldest, late;

    put(w, 10);
    join(&now, "now");
    attach(&oldest, (struct wanted){.label = "oldest", .start = RINGD_START_OLDEST});
    attach(&late, (struct wanted){.label = "now", .start = RINGD_START_OLDEST});
    put(w, 1);
    ck_assert_uint_eq(member_drain(&oldest.member, 100), 11);
    tally_settle(tally, 0, 11);
    ck_assert_uint_eq(member_drain(&late.member, 100), 1);
    ringd_writer_close(w);
    leave(&now);
    leave(&oldest);
    leave(&late);
}
END_TEST

static void require_prints(const char *command, const char *words)
{
    struct command c;

    ringctl(&c, NULL, 0, command, RING, NULL);
    require(c.code == 0 && strstr(c.out, words) != NULL, "%s: code %d, no \"%s\" in: %s%s", command, c.code, words,
            c.out, c.err);
    command_free(&c);
}

START_TEST(ringctl_knows_groups)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct claim claim;
    struct raw a, b;

    join(&a, "jobs");
    join(&b, "jobs");
    put(w, 20);
    member_drain(&a.member, 4);
    put(w, 5);
    ck_assert_int_eq(member_claim(&b.member, 4, &claim), RINGD_OK);
    require_prints("status", "jobs");
    require_prints("doctor", "group 0 holds writers up");
    leave(&a);
    leave(&b);
    ringd_writer_close(w);
}
END_TEST

/* ---- what members leave ---------------------------------------------------------------------------------------------
 */

START_TEST(r13_another_member_gets_what_a_dead_one_had)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw other, next;
    pid_t pid;

    join(&other, "g");
    pid = victim_start(w, (struct wanted){.label = "g"}, 6, 4);
    child_kill(pid);
    wait_orphaned(w, other.reply.label_plus - 1);
    ck_assert_uint_eq(count_members("g"), 2); /* its seat is not free yet */
    ck_assert_uint_eq(member_drain(&other.member, 5), 6);
    for (uint64_t i = 0; i < 4; i++)
        ck_assert_uint_eq(tally->again[i], 1);
    tally_settle(tally, 0, 6);
    join(&next, "other"); /* the daemon has a look when somebody comes or goes */
    leave(&next);
    while (count_members("g") != 1)
        pause_ms(1);
    leave(&other);
    ringd_writer_close(w);
}
END_TEST

START_TEST(r16_what_a_dead_member_had_is_counted_as_lost)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    const struct wanted wanted = {.label = "g", .orphans = RINGD_ORPHANS_LOST};
    struct raw other;
    uint32_t number;
    pid_t pid;

    attach(&other, wanted);
    number = other.reply.label_plus - 1;
    pid = victim_start(w, wanted, 6, 4);
    child_kill(pid);
    while (count_members("g") != 1)
        pause_ms(1);
    ck_assert_uint_eq(atomic_load(&group_of(w, number)->lost), 4);
    ck_assert_uint_eq(atomic_load(&w->ring.ring.groups[number].active), 0);
    ck_assert_uint_eq(member_drain(&other.member, 5), 2);
    leave(&other);
    ringd_writer_close(w);
}
END_TEST

START_TEST(a_group_whose_last_member_died_with_a_claim_stays)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw next;
    unsigned room = 0;
    pid_t pid;

    pid = victim_start(w, (struct wanted){.label = "g"}, 6, 4);
    child_kill(pid);
    wait_orphaned(w, 0);
    while (write_record(w, RECORD_MIN) == RINGD_OK)
        room++;
    ck_assert_uint_le(room, SIZE / 64);
    join(&next, "g");
    ck_assert_uint_ne(next.reply.seat, 0);
    ck_assert_uint_eq(member_drain(&next.member, 5), 6 + room);
    tally_settle(tally, 0, 6 + room);
    put(w, SIZE / 64 / 2);
    leave(&next);
    wait_ended(w);
    put(w, 3 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

START_TEST(a_group_ends_with_its_last_member)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct claim claim;
    struct raw a;
    pid_t pid;

    pid = victim_start(w, (struct wanted){.label = "g"}, 6, 0);
    child_kill(pid); /* died, but without a claim */
    wait_ended(w);
    put(w, 3 * SIZE / 64);
    join(&a, "g");
    put(w, 6);
    ck_assert_int_eq(member_claim(&a.member, 4, &claim), RINGD_OK);
    ring_group_give_back(&a.member.group, claim.begin, false);
    leave(&a);
    wait_ended(w);
    put(w, 3 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

START_TEST(what_was_given_back_is_not_lost)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    const struct wanted wanted = {.label = "g", .orphans = RINGD_ORPHANS_LOST};
    struct claim claim;
    struct raw a, b;

    attach(&a, wanted);
    attach(&b, wanted);
    put(w, 6);
    ck_assert_int_eq(member_claim(&a.member, 4, &claim), RINGD_OK);
    ring_group_give_back(&a.member.group, claim.begin, false);
    leave(&a);
    ck_assert_uint_eq(member_drain(&b.member, 4), 6);
    tally_settle(tally, 0, 6);
    join(&a, "g");
    ck_assert_uint_eq(atomic_load(&group_of(w, 0)->lost), 0);
    leave(&a);
    leave(&b);
    ringd_writer_close(w);
}
END_TEST

/* ---- evicting -------------------------------------------------------------------------------------------------------
 */

START_TEST(a_group_that_is_too_slow_is_put_out_as_a_whole)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){.slow_bytes = SIZE / 4, .slow = RINGD_SLOW_EVICT});
    struct raw a, b, next;
    struct claim claim;

    join(&a, "g");
    join(&b, "g");
    put(w, 2);
    ck_assert_int_eq(member_claim(&a.member, 1, &claim), RINGD_OK);
    member_finish(&a.member);
    ck_assert_int_eq(member_claim(&b.member, 1, &claim), RINGD_OK);
    while (atomic_load(&control_of(w)->groups) != 0)
        write_record(w, RECORD_MIN);
    ck_assert_uint_eq(atomic_load(&control_of(w)->readers[a.reply.slot].state), RINGD_OWNER_EVICTED);
    ck_assert_uint_eq(atomic_load(&control_of(w)->readers[b.reply.slot].state), RINGD_OWNER_EVICTED);
    ck_assert_uint_eq(atomic_load(&group_of(w, 0)->state), RINGD_GROUP_EVICTED);
    put(w, 3 * SIZE / 64);
    join(&next, "g"); /* the name is free */
    ck_assert_uint_ne(next.reply.label_plus, a.reply.label_plus);
    leave(&a);
    leave(&b);
    leave(&next);
    wait_ended(w);
    ringd_writer_close(w);
}
END_TEST

START_TEST(a_group_whose_place_makes_no_sense_is_put_out)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw a;

    join(&a, "g");
    put(w, 2);
    atomic_store(&a.member.group.lane->position, 32);
    while (atomic_load(&control_of(w)->groups) != 0)
        write_record(w, RECORD_MIN);
    ck_assert_uint_eq(atomic_load(&control_of(w)->readers[a.reply.slot].state), RINGD_OWNER_EVICTED);
    put(w, 3 * SIZE / 64);
    leave(&a);
    ringd_writer_close(w);
}
END_TEST

/* ---- restarts -------------------------------------------------------------------------------------------------------
 */

START_TEST(r15_groups_outlive_the_daemon)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw a, b;
    pid_t pid;

    join(&a, "g");
    pid = victim_start(w, (struct wanted){.label = "g"}, 8, 4);
    daemon_kill(&server);
    put(w, 4);
    child_kill(pid);
    daemon_restart(&server, NULL);
    wait_orphaned(w, 0);
    join(&b, "g");
    ck_assert_uint_eq(b.reply.label_plus, a.reply.label_plus);
    ck_assert_uint_ne(b.reply.seat, a.reply.seat);
    member_drain(&a.member, 3);
    member_drain(&b.member, 3);
    tally_settle(tally, 0, 12);
    daemon_kill(&server);
    daemon_restart(&server, NULL);
    ck_assert_uint_eq(count_members("g"), 2);
    leave(&a);
    leave(&b);
    wait_ended(w);
    put(w, 3 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

static bool daemon_answers(void)
{
    int fd = raw_try_connect();

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* As a member does that has a message's first parts only in its memory. */
static void say_in_memory(const struct raw *raw, uint64_t count)
{
    atomic_store(&raw->member.group.cursor->in_memory, count);
}

/* Points of the count of what was in memory, and none at all. */
static const char *const losing_points[] = {"",           "group-losing",     "group-losing-said",
                                            "group-lost", "group-remembered", "group-lost-done"};

#define LOSING_POINTS (int)(sizeof losing_points / sizeof *losing_points)

/* Whatever becomes of claims. A count that no member can come to is cut. */
START_TEST(r16_messages_in_a_members_memory_are_counted_once)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    bool dies = *losing_points[_i] != '\0';
    struct raw rest, first, second;

    join(&rest, "g");
    join(&first, "g");
    join(&second, "g");
    say_in_memory(&first, 2);
    say_in_memory(&second, UINT64_MAX);
    if (dies) {
        daemon_kill(&server);
        if (daemon_restart_to_die(&server, losing_points[_i], 1)) {
            leave(&first);
            while (daemon_answers())
                pause_ms(1);
            daemon_kill(&server);
        }
        daemon_restart(&server, NULL);
    } else {
        leave(&first);
    }
    while (count_members("g") != 2)
        pause_ms(1);
    ck_assert_uint_eq(atomic_load(&group_of(w, 0)->lost), 2);
    leave(&second);
    while (count_members("g") != 1)
        pause_ms(1);
    ck_assert_uint_eq(atomic_load(&group_of(w, 0)->lost), 2 + 31);
    leave(&rest);
    wait_ended(w);
    ringd_writer_close(w);
}
END_TEST

static const char *const points[] = {
    "group-named",     "group-recorded",  "group-seated",   "group-filled",   "group-begun",      "group-set",
    "group-counted",   "group-published", "group-cursors",  "group-sat",      "group-losing",     "group-losing-said",
    "group-lost",      "group-lost-done", "group-stood-up", "group-unseated", "group-state",      "group-ended",
    "group-forgotten", "orphan-marked",   "orphan-made",    "group-evicting", "group-remembered",
};

#define POINTS (int)(sizeof points / sizeof *points)

/* Joins, claims, leaves in order and dies, in groups of both kinds, and is put out, as far as the daemon lives. */
static void use_groups(void *unused)
{
    (void)unused;
    for (uint32_t kind = 0; kind < 4; kind++) {
        static const char *const labels[] = {"again", "lost", "order", "bad"};
        struct wanted wanted = {labels[kind], RINGD_START_OLDEST, kind == 1, 0};
        struct claim claim;
        struct raw raw[2];

        for (int i = 0; i < 2; i++) {
            if (ask(&raw[i], RING, wanted) != 0)
                return;
            map(&raw[i]);
        }
        if (kind != 2)
            member_claim(&raw[0].member, 2, &claim);
        else
            member_drain(&raw[0].member, 2);
        if (kind == 1)
            say_in_memory(&raw[0], 1);
        if (kind == 3) {
            atomic_store(&raw[0].member.group.lane->position, 32);
            while (atomic_load(&raw[0].segment.control->groups) != 0 && daemon_answers())
                pause_ms(1);
        }
        leave(&raw[0]);
        leave(&raw[1]);
    }
}

START_TEST(r15_the_daemon_is_killed_at_each_point)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw raw;
    pid_t pid;

    put(w, 20);
    daemon_kill(&server);
    if (daemon_restart_to_die(&server, points[_i], 1)) {
        pid = child_start(use_groups, NULL);
        /* Whoever is bad is found by one who looks for room. Until it has died there. */
        while (daemon_answers()) {
            write_record(w, RECORD_MIN);
            pause_ms(1);
        }
        child_wait(pid);
        daemon_kill(&server);
    }
    daemon_restart(&server, NULL);
    /* What was left is there for whoever comes; then nothing holds. */
    for (int i = 0; i < 4; i++) {
        static const char *const labels[] = {"again", "lost", "order", "new"};

        attach(&raw, (struct wanted){.label = labels[i], .start = RINGD_START_OLDEST});
        member_drain(&raw.member, 10);
        leave(&raw);
    }
    for (int i = 0; i < 2 * SIZE / 64; i++)
        write_record(w, RECORD_MIN);
    wait_ended(w);
    ck_assert_uint_eq(ring_info(RING).lossless_readers, 0);
    put(w, 3 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

/* ---- moves ----------------------------------------------------------------------------------------------------------
 */

/* The next generation, for a member that has read the old one. */
static void follow(struct raw *raw)
{
    struct ringd_request request;
    struct proto_reply reply;
    int descriptors[RINGD_PROTO_DESCRIPTORS];

    proto_request_init(&request, RINGD_REQUEST_FOLLOW, RING);
    request.position = raw->segment.geometry.generation;
    require(raw_send(raw->fd, &request, sizeof request), "the daemon has hung up");
    require(raw_receive_descriptors(raw->fd, &reply, descriptors) >= sizeof reply.head && reply.head.result == 0,
            "follow: %d (%s)", reply.head.result, reply.head.text);
    segment_unmap(&raw->segment);
    for (int i = 0; i < 2; i++) {
        close(raw->descriptors[i]);
        raw->descriptors[i] = descriptors[i];
    }
    map(raw);
}

START_TEST(r15_a_group_moves_with_its_ring)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct raw a, late;
    struct ring_tail tail;
    pid_t pid;

    join(&a, "g");
    pid = victim_start(w, (struct wanted){.label = "g"}, 6, 4);
    ck_assert_int_eq(ringd_resize(RING, 2 * SIZE), 0);
    put(w, 5);
    child_kill(pid);
    while (atomic_load(&a.member.group.lane->orphaned) == 0)
        pause_ms(1);
    /* Who comes now begins in the old one, as long as there is something to read for the group. */
    join(&late, "g");
    ck_assert_uint_eq(late.segment.geometry.generation, 1);
    daemon_kill(&server);
    daemon_restart(&server, NULL);
    leave(&late);
    ck_assert_int_eq(ring_read_tail(&a.member.ring, &tail), 0);
    ck_assert(!ring_group_drained(&a.member.group, tail.end));
    ck_assert_uint_eq(member_drain(&a.member, 3), 6);
    ck_assert(ring_group_drained(&a.member.group, tail.end));
    join(&late, "g");
    ck_assert_uint_eq(late.segment.geometry.generation, 2);
    ck_assert_uint_ne(late.reply.seat, a.reply.seat);
    ck_assert_uint_eq(member_drain(&late.member, 3), 5);
    tally_settle(tally, 0, 11);
    leave(&a);
    leave(&late);
    wait_ended(w);
    put(w, 6 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

START_TEST(r15_members_follow_one_by_one)
{
    struct ringd_writer *w = setup((struct ringd_ring_options){0});
    struct claim claim;
    struct raw a, b;

    join(&a, "g");
    join(&b, "g");
    for (uint64_t move = 0; move < 3; move++) {
        put(w, 4);
        ck_assert_int_eq(member_claim(&b.member, 2, &claim), RINGD_OK);
        ck_assert_int_eq(ringd_resize(RING, SIZE << (move + 1) % 2), 0);
        put(w, 1);
        ck_assert_uint_eq(member_drain(&a.member, 4), 2);
        member_read(&b.member, &claim, false);
        member_finish(&b.member);
        follow(&a);
        ck_assert_uint_eq(a.segment.geometry.generation, move + 2);
        ck_assert_uint_eq(member_drain(&a.member, 4), 1);
        follow(&b);
        ck_assert_uint_eq(member_drain(&b.member, 4), 0);
    }
    tally_settle(tally, 0, 15);
    leave(&a);
    leave(&b);
    wait_ended(w);
    put(w, 6 * SIZE / 64);
    ringd_writer_close(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group daemon");
    TCase *tests = add_case(suite, "groups");

    tcase_add_test(tests, members_share_a_group_by_its_name);
    tcase_add_test(tests, what_is_no_member_is_refused);
    tcase_add_test(tests, seats_and_groups_run_out);
    tcase_add_test(tests, the_first_member_says_where_it_begins);
    tcase_add_test(tests, ringctl_knows_groups);
    tcase_add_test(tests, r13_another_member_gets_what_a_dead_one_had);
    tcase_add_test(tests, r16_what_a_dead_member_had_is_counted_as_lost);
    tcase_add_test(tests, a_group_whose_last_member_died_with_a_claim_stays);
    tcase_add_test(tests, a_group_ends_with_its_last_member);
    tcase_add_test(tests, what_was_given_back_is_not_lost);
    tcase_add_test(tests, a_group_that_is_too_slow_is_put_out_as_a_whole);
    tcase_add_test(tests, a_group_whose_place_makes_no_sense_is_put_out);
    tcase_add_test(tests, r15_groups_outlive_the_daemon);
    tcase_add_loop_test(tests, r16_messages_in_a_members_memory_are_counted_once, 0, LOSING_POINTS);
    tcase_add_loop_test(tests, r15_the_daemon_is_killed_at_each_point, 0, POINTS);
    tcase_add_test(tests, r15_a_group_moves_with_its_ring);
    tcase_add_test(tests, r15_members_follow_one_by_one);
    return run_suite(suite);
}
