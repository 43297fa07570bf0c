/* check_survival.c - somebody is killed, stopped or moved past at every stop point, while others go on.
 *
 * The matrix: each stop point of the library that writers and readers pass, by each of three actions, under each
 * policy:
 *
 *     kill    there
 *     stop    for a while, and go on
 *     move    the ring moves to a new generation while it stands, then it goes on
 *
 * beside a crew (support_crew.h) of three writers and two readers at full speed. After each the crew's accounts are
 * settled: every committed record has been given to every reader once, whole and in its writer's order; of the
 * victim's, what it was told is committed, is, and of the operation that it stood in all records are or none; the
 * accounts of the ring add up. Nobody is held up: while the victim stands, if it has no unfinished grant and is no
 * lossless reader, each of the crew goes on for more than a lap of the ring; else as soon as it goes on, is dead, or
 * has been moved past.
 *
 * Points are taken from this program itself. Who passes which is found out: roles are tried until one passes. A point
 * that none passes under some policy fails, unless it is in the table of those.
 *
 * Then what a stopped writer stores late; and the daemon that is killed at its own points in a repair, and in a move
 * past somebody who stands, once and twice.
 *
 * `make test` does each point with each action under one of the policies; RINGD_SURVIVAL=all does everything,
 * RINGD_SURVIVAL=POINT all about one point.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "reader.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_crew.h"
#include "support_points.h"
#include "writer.h"

#define RING      "survival"
#define SMALL     UINT64_C(65536)
#define LARGE     (2 * SMALL)
#define NS_PER_MS INT64_C(1000000)

static const uint32_t policies[] = {RINGD_LOSSLESS, RINGD_DROP, RINGD_OVERWRITE};
static const char *const policy_names[] = {"lossless", "drop", "overwrite"};

#define POLICIES 3

/* ---- a victim's own account -------------------------------------------------------------------------------------- */

#define HANDLES 2

/* Shared with the test. */
struct victim {
    uint32_t policy;
    _Atomic uint32_t over;  /* it ends when it can */
    _Atomic uint32_t ended; /* it has, with everything right */
    _Atomic uint32_t slots; /* of its open writers */
    _Atomic uint64_t accounts[HANDLES];
};

/* An account is one word, so that it holds whenever it is looked at: records that it was told are committed; of the
 * operation under way, those that may be; and those that are offered. */
struct account {
    uint64_t committed, pending, offered;
};

#define ACCOUNT_BITS 8
#define ACCOUNT_MASK UINT64_C(0xff)

static struct account account_of(const struct victim *victim, int handle)
{
    uint64_t word = atomic_load(&victim->accounts[handle]);

    return (struct account){.committed = word >> 2 * ACCOUNT_BITS,
                            .pending = word >> ACCOUNT_BITS & ACCOUNT_MASK,
                            .offered = word & ACCOUNT_MASK};
}

static void note_begin(struct victim *victim, int handle, uint64_t pending, uint64_t offered)
{
    uint64_t committed = account_of(victim, handle).committed;

    atomic_store(&victim->accounts[handle], committed << 2 * ACCOUNT_BITS | pending << ACCOUNT_BITS | offered);
}

static int note_end(struct victim *victim, int handle, int result)
{
    struct account account = account_of(victim, handle);
    int no = victim->policy == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL;

    require(result == RINGD_OK || result == no, "result %d (%s)", result, ringd_strerror(result));
    if (result == RINGD_OK)
        account.committed += account.pending;
    atomic_store(&victim->accounts[handle], account.committed << 2 * ACCOUNT_BITS);
    return result;
}

/* ---- what victims do --------------------------------------------------------------------------------------------- */

#define ROUNDS 12

static bool is_over(const struct victim *victim)
{
    return atomic_load(&victim->over) != 0;
}

static struct ringd_writer *come(struct victim *victim, int64_t deadline)
{
    struct ringd_writer *w = open_writer_until(RING, deadline);

    atomic_fetch_or(&victim->slots, UINT32_C(1) << writer_slot(w));
    return w;
}

static void leave(struct victim *victim, struct ringd_writer *w)
{
    uint32_t bit = UINT32_C(1) << writer_slot(w);
    struct ringd_writer_counters c;

    require(ringd_writer_count(w, &c) == RINGD_OK, "count");
    require(c.offered == c.committed + c.aborted + c.refused + c.dropped_full + c.dropped_stalled,
            "%" PRIu64 " offered", c.offered);
    ringd_writer_close(w);
    atomic_fetch_and(&victim->slots, ~bit);
}

static int put(struct victim *victim, int handle, struct ringd_writer *w, size_t len)
{
    note_begin(victim, handle, 1, 1);
    return note_end(victim, handle, write_record(w, len));
}

static void put_pieces(struct victim *victim, struct ringd_writer *w)
{
    unsigned char payload[120];
    struct iovec pieces[2] = {{payload, 50}, {payload + 50, sizeof payload - 50}};

    record_make(payload, sizeof payload, writer_slot(w), writer_sequence(w));
    note_begin(victim, 0, 1, 1);
    note_end(victim, 0, ringd_writev(w, pieces, 2));
}

static void put_batch(struct victim *victim, struct ringd_writer *w)
{
    unsigned char payloads[2][100];
    struct iovec records[2] = {{payloads[0], RECORD_MIN}, {payloads[1], 100}};

    for (uint32_t i = 0; i < 2; i++)
        record_make(payloads[i], records[i].iov_len, writer_slot(w), writer_sequence(w) + i);
    note_begin(victim, 0, 2, 2);
    note_end(victim, 0, ringd_write_batch(w, records, 2));
}

/* A grant that is filled by half; `wait` is called while it is open. */
static void put_in_place(struct victim *victim, struct ringd_writer *w, bool keep,
                         void (*wait)(const struct victim *victim, const struct ringd_writer *w))
{
    size_t granted;
    void *data;

    note_begin(victim, 0, 0, 1);
    if (ringd_reserve(w, 100, 200, &data, &granted) != RINGD_OK) {
        note_begin(victim, 0, 0, 0);
        return;
    }
    memset(data, 0xa5, granted);
    record_make(data, 60, writer_slot(w), writer_sequence(w));
    if (wait != NULL)
        wait(victim, w);
    note_begin(victim, 0, keep, 1);
    note_end(victim, 0, keep ? ringd_commit(w, 60) : ringd_abort(w));
}

static void write_in_turn(struct victim *victim, struct ringd_writer *w, int number)
{
    ringd_writer_deadline(w, number % 4 == 3 ? RINGD_NO_WAIT : now_ns() + NS_PER_MS);
    if (number % 8 == 1)
        put_pieces(victim, w);
    else if (number % 8 == 3)
        put_batch(victim, w);
    else if (number % 8 == 5 || number % 8 == 6)
        put_in_place(victim, w, number % 8 == 5, NULL);
    else
        put(victim, 0, w, number % 8 == 7 ? CREW_MAX_RECORD : RECORD_MIN + (size_t)number);
}

/* All that a writer can do, again and again. */
static void write_all(struct victim *victim)
{
    for (int round = 0; round < ROUNDS && !is_over(victim); round++) {
        struct ringd_writer *w = come(victim, RINGD_NO_WAIT);

        for (int i = 0; i < 24 && !is_over(victim); i++)
            write_in_turn(victim, w, i);
        leave(victim, w);
    }
}

/* Behind a grant of its own, which fills the ring. */
static void write_behind(struct victim *victim)
{
    for (int round = 0; round < 4 && !is_over(victim); round++) {
        struct ringd_writer *first = come(victim, RINGD_FOREVER), *second = come(victim, RINGD_NO_WAIT);
        size_t granted;
        void *data;
        int result;

        note_begin(victim, 0, 0, 1);
        result = ringd_reserve(first, 60, 60, &data, &granted);
        while (put(victim, 1, second, 200) == RINGD_OK)
            ;
        ringd_writer_deadline(second, now_ns() + 3 * NS_PER_MS);
        put(victim, 1, second, 200);
        if (result == RINGD_OK) {
            record_make(data, 60, writer_slot(first), writer_sequence(first));
            note_begin(victim, 0, 1, 1);
            result = ringd_commit(first, 60);
        }
        note_end(victim, 0, result);
        leave(victim, second);
        leave(victim, first);
    }
}

/* Records of a reader that came just now. */
static void read_record(struct tracker *tracker, struct ringd_reader *reader, uint32_t mode)
{
    struct ringd_record record;
    int result;

    ringd_reader_deadline(reader, now_ns() + NS_PER_MS);
    result = ringd_next(reader, &record);
    require(result == RINGD_OK || result == RINGD_WOULD_BLOCK || (result == RINGD_GAP && mode != RINGD_READ_LOSSLESS),
            "result %d (%s)", result, ringd_strerror(result));
    if (result == RINGD_OK)
        tracker_record(tracker, &record);
    if (result == RINGD_GAP)
        tracker_gap(tracker, &record);
}

static void read_all(const struct victim *victim, uint32_t mode)
{
    for (int round = 0; round < ROUNDS && !is_over(victim); round++) {
        struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
        struct tracker tracker = {0};

        for (int i = 0; i < 60 && !is_over(victim); i++) {
            read_record(&tracker, reader, mode);
            if (i % 3 != 0)
                require(ringd_release(reader) == RINGD_OK, "evicted");
        }
        ringd_reader_close(reader);
    }
}

static void read_lossless(struct victim *victim)
{
    read_all(victim, RINGD_READ_LOSSLESS);
}

static void read_lossy(struct victim *victim)
{
    read_all(victim, RINGD_READ_LOSSY);
}

/* Lets the others lap it first. */
static void read_lapped(struct victim *victim)
{
    for (int round = 0; round < 4 && !is_over(victim); round++) {
        struct ringd_reader *reader = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
        struct tracker tracker = {0};

        while (ring_oldest(&reader->lanes[0].ring) - reader->lanes[0].position <= reader->lanes[0].ring.size &&
               !is_over(victim))
            pause_ms(1);
        for (int i = 0; i < 60; i++)
            read_record(&tracker, reader, RINGD_READ_LOSSY);
        ringd_reader_close(reader);
    }
}

/* Catches up with what it writes itself. */
static void read_own(struct victim *victim)
{
    for (int round = 0; round < ROUNDS && !is_over(victim); round++) {
        uint32_t mode = victim->policy == RINGD_OVERWRITE ? RINGD_READ_LOSSY : RINGD_READ_LOSSLESS;
        struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
        struct ringd_writer *w = come(victim, RINGD_NO_WAIT);
        struct tracker tracker = {0};

        for (int i = 0; i < 10 && !is_over(victim); i++) {
            put(victim, 0, w, RECORD_MIN);
            read_record(&tracker, reader, mode);
            require(ringd_release(reader) == RINGD_OK, "evicted");
            read_record(&tracker, reader, mode);
        }
        leave(victim, w);
        ringd_reader_close(reader);
    }
}

/* ---- while the ring moves, again and again ----------------------------------------------------------------------- */

/* Until the generation that the writer is in has been left. */
static void wait_moved(const struct victim *victim, const struct ringd_writer *w)
{
    while (ring_moving(&w->ring.ring) != RINGD_MOVING_DONE && !is_over(victim))
        pause_ms(1);
}

/* The seal comes between the look and the addition. */
static void add_to_sealed(const struct victim *victim, struct ringd_writer *w)
{
    struct ring_grant grant;
    uint64_t position;

    require(ring_position(&w->ring.ring, &position) == 0, "no position");
    wait_moved(victim, w);
    if (!is_over(victim))
        require(ring_take(w->ring, position, 64, &grant) == -ESHUTDOWN, "granted");
}

static void write_moving(struct victim *victim)
{
    for (int round = 0; round < ROUNDS && !is_over(victim); round++) {
        struct ringd_writer *w = come(victim, RINGD_FOREVER);

        for (int i = 0; i < 4 && !is_over(victim); i++) {
            put_in_place(victim, w, i % 4 < 3, wait_moved);
            add_to_sealed(victim, w);
            put(victim, 0, w, RECORD_MIN);
        }
        leave(victim, w);
    }
}

/* ---- roles ------------------------------------------------------------------------------------------------------- */

static const struct role {
    const char *name;
    void (*play)(struct victim *victim);
    bool lossless; /* a reader that holds others up */
    bool moving;   /* it comes to its point while the ring moves */
    bool alone;    /* or while the crew rests */
} roles[] = {
    {.name = "writes", .play = write_all},
    {.name = "writes behind a grant", .play = write_behind},
    {.name = "reads losslessly", .play = read_lossless, .lossless = true},
    {.name = "reads", .play = read_lossy},
    {.name = "reads, lapped", .play = read_lapped},
    {.name = "writes alone", .play = write_all, .alone = true},
    {.name = "reads alone", .play = read_own, .lossless = true, .alone = true},
    {.name = "writes, moving", .play = write_moving, .moving = true},
    {.name = "reads losslessly, moving", .play = read_lossless, .lossless = true, .moving = true},
    {.name = "reads, moving", .play = read_lossy, .moving = true},
};

#define ROLES (sizeof roles / sizeof *roles)

static bool can_play(const struct role *role, uint32_t policy)
{
    return !role->lossless || policy != RINGD_OVERWRITE;
}

struct performance {
    const struct role *role;
    struct victim *victim;
};

static void perform(void *argument)
{
    const struct performance *p = argument;

    p->role->play(p->victim);
    atomic_store(&p->victim->ended, 1);
}

/* ---- a ring that moves, again and again -------------------------------------------------------------------------- */

struct mover {
    _Atomic uint32_t wanted, busy;
    pid_t pid;
};

/* `often`: it may have moved so often already past somebody who stands that it does not once more. */
static void resize(uint64_t size, bool often)
{
    int result;

    while ((result = ringd_resize(RING, size)) == -EBUSY && !often)
        pause_ms(1);
    require(result == 0 || (often && result == -EBUSY), "resize: %d (%s)", result, ringd_error());
}

static void run_mover(void *argument)
{
    struct mover *mover = argument;

    support_guard(0);
    for (uint64_t i = 0;; i++) {
        atomic_store(&mover->busy, 1);
        if (atomic_load(&mover->wanted) != 0) {
            int result = ringd_resize(RING, i % 2 == 0 ? LARGE : SMALL);

            require(result == 0 || result == -EBUSY, "resize: %d (%s)", result, ringd_error());
        }
        atomic_store(&mover->busy, 0);
        pause_ms(1);
    }
}

static struct mover *mover_start(void)
{
    struct mover *mover = shared_new(sizeof *mover);

    mover->pid = child_start(run_mover, mover);
    return mover;
}

static void mover_order(struct mover *mover, bool moves)
{
    atomic_store(&mover->wanted, moves);
    while (!moves && atomic_load(&mover->busy) != 0)
        pause_ms(1);
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

#define POINTS_MAX 200

struct points {
    const char *names[POINTS_MAX];
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* By their first word. */
static bool begins_with_one_of(const char *name, const char *const words[])
{
    size_t len = strcspn(name, "-");

    for (size_t i = 0; words[i] != NULL; i++)
        if (strlen(words[i]) == len && strncmp(words[i], name, len) == 0)
            return true;
    return false;
}

/* Those of a built file, each once; only those that begin with one of the words, or (`without`) all others. Names live
 * as long as the process. */
static void find_points(struct points *points, const char *file, const char *const words[], bool without)
{
    static struct stop_points found;
    int result = stop_points_open(&found, support_built(file));

    require(result == 0 && found.count > 0, "%s: %d", file, result);
    *points = (struct points){0};
    for (size_t i = 0; i < found.count; i++) {
        bool known = begins_with_one_of(found.points[i].name, words) == without;

        for (size_t j = 0; j < points->count; j++)
            known |= strcmp(points->names[j], found.points[i].name) == 0;
        if (known)
            continue;
        require(points->count < POINTS_MAX, "more points than there is room for");
        points->names[points->count++] = found.points[i].name;
    }
    qsort(points->names, points->count, sizeof points->names[0], compare_names);
}

/* ---- a victim at a point ----------------------------------------------------------------------------------------- */

struct scene {
    struct crew crew;
    struct mover *mover;
    struct random_source chance;
    uint32_t policy;
    struct crew_others before; /* as of the last settlement */
    size_t favourite;          /* role that passed the last point */
    uint64_t size;
};

static void scene_begin(struct scene *scene, uint32_t policy, struct ringd_ring_options options)
{
    *scene = (struct scene){.chance = {.state = support_seed() + policy}, .policy = policy, .size = SMALL};
    options.size = SMALL;
    options.policy = policy;
    crew_start(&scene->crew, RING, options);
    scene->mover = mover_start();
}

static void scene_end(struct scene *scene)
{
    child_kill(scene->mover->pid);
    crew_finish(&scene->crew);
}

static struct at_point start_at(struct scene *scene, const struct role *role, const char *point,
                                enum stop_action action, unsigned long nth, struct victim **victim)
{
    struct performance performance = {role, shared_new(sizeof **victim)};
    struct at_point at;

    *victim = performance.victim;
    performance.victim->policy = scene->policy;
    mover_order(scene->mover, role->moving);
    if (role->alone)
        crew_rest(&scene->crew);
    at = at_point_start(point, action, nth, perform, &performance);
    if (role->alone)
        crew_resume(&scene->crew);
    mover_order(scene->mover, false);
    return at;
}

/* True: it has been killed, or stands there. */
static bool has_passed(struct at_point *at, const struct victim *victim, const char *point)
{
    int code;

    if (at_point_pid(at) != 0)
        return true;
    code = at_point_finish(at);
    if (at->action == STOP_KILL && code == STOP_EXIT_KILLED)
        return true;
    require(code == STOP_EXIT_NOT_PASSED && atomic_load(&victim->ended) == 1, "%s: code %d%s", point, code,
            atomic_load(&victim->ended) == 1 ? "" : ": it failed");
    return false;
}

static uint64_t told_committed(const struct victim *victim)
{
    return account_of(victim, 0).committed + account_of(victim, 1).committed;
}

/* NULL: no role passes it. */
static const struct role *bring_to(struct scene *scene, const char *point, enum stop_action action, struct at_point *at,
                                   struct victim **victim)
{
    for (size_t i = 0; i < ROLES; i++) {
        size_t number = (scene->favourite + i) % ROLES;
        unsigned long nth = 1 + random_below(&scene->chance, 3);

        if (!can_play(&roles[number], scene->policy))
            continue;
        do {
            *at = start_at(scene, &roles[number], point, action, nth, victim);
            if (!has_passed(at, *victim, point)) {
                scene->before.committed += told_committed(*victim);
                continue;
            }
            scene->favourite = number;
            return &roles[number];
        } while (nth > 1 && (nth = 1));
    }
    return NULL;
}

/* ---- whom it holds up -------------------------------------------------------------------------------------------- */

static bool holds_a_grant(const struct victim *victim)
{
    struct ringd_writer *witness = open_writer(RING);
    uint64_t word = atomic_load(&witness->ring.ring.lane->word);

    ringd_writer_close(witness);
    return (word & atomic_load(&victim->slots)) != 0;
}

/* Once round the ring, each of them. */
static void others_go_on(const struct scene *scene)
{
    struct crew_progress since = crew_progress(&scene->crew);
    uint64_t until = ring_info(RING).position + LARGE;

    while (ring_info(RING).position < until) {
        crew_require_alive(&scene->crew);
        pause_ms(1);
    }
    crew_wait_progress(&scene->crew, since, 20);
}

/* Until the ring has no more room for the longest record, or for a while. */
static void others_go_as_far_as_they_can(void)
{
    struct ringd_info info = ring_info(RING);
    uint64_t until = info.position + LARGE;

    for (int look = 0; look < 20 && info.position < until; look++) {
        if ((int64_t)(info.limit - info.position) <= (int64_t)CREW_MAX_RECORD + 64)
            return;
        pause_ms(1);
        info = ring_info(RING);
    }
}

/* ---- actions ----------------------------------------------------------------------------------------------------- */

enum action {
    ACTION_KILL,
    ACTION_STOP,
    ACTION_MOVE,
    ACTIONS,
};

static const char *const action_names[] = {"kill", "stop", "move"};

static void stand(struct scene *scene, const struct role *role, const struct victim *victim, enum action action)
{
    bool holds = role->lossless && scene->policy != RINGD_OVERWRITE;

    if (!holds && !holds_a_grant(victim))
        others_go_on(scene);
    else
        others_go_as_far_as_they_can();
    if (action != ACTION_MOVE)
        return;
    scene->size = LARGE + SMALL - scene->size;
    resize(scene->size, role->moving);
    if (!holds)
        others_go_on(scene);
}

/* It ends by itself. */
static void go_on(struct at_point *at, struct victim *victim, const char *point)
{
    int code;

    atomic_store(&victim->over, 1);
    at_point_go_on(at);
    code = at_point_finish(at);
    require(code == 0 && atomic_load(&victim->ended) == 1, "%s: the victim ended with code %d", point, code);
}

/* Of the operation that it was in, all is committed or nothing. */
static bool is_whole(const struct victim *victim, uint64_t committed)
{
    struct account a = account_of(victim, 0), b = account_of(victim, 1);
    uint64_t more = committed - told_committed(victim);

    return more == 0 || more == a.pending || more == b.pending || more == a.pending + b.pending;
}

static void settle(struct scene *scene, const struct victim *victim, bool killed, const char *point)
{
    struct account a = account_of(victim, 0), b = account_of(victim, 1);
    struct crew_others now, before = scene->before;
    uint64_t committed, lost;

    crew_rest(&scene->crew);
    now = crew_settle(&scene->crew, 0);
    scene->before = now;
    committed = now.committed - before.committed;
    lost = now.lost - before.lost;
    require(is_whole(victim, committed), "%s: %" PRIu64 " of its records are committed, it was told of %" PRIu64, point,
            committed, told_committed(victim));
    require(lost <= a.offered + b.offered, "%s: %" PRIu64 " records are lost", point, lost);
    require(killed || (lost == 0 && committed == told_committed(victim)), "%s: %" PRIu64 " lost, %" PRIu64 " committed",
            point, lost, committed);
    crew_resume(&scene->crew);
}

/* False: nobody passes this point. */
static bool act(struct scene *scene, const char *point, enum action action)
{
    struct victim *victim;
    struct at_point at;
    const struct role *role = bring_to(scene, point, action == ACTION_KILL ? STOP_KILL : STOP_STOP, &at, &victim);

    printf("%s %s %s: %s\n", policy_names[scene->policy - RINGD_LOSSLESS], point, action_names[action],
           role != NULL ? role->name : "not passed");
    if (role == NULL)
        return false;
    if (action != ACTION_KILL) {
        stand(scene, role, victim, action);
        go_on(&at, victim, point);
    }
    others_go_on(scene);
    settle(scene, victim, action == ACTION_KILL, point);
    return true;
}

/* ---- the matrix -------------------------------------------------------------------------------------------------- */

/* What nobody does under a policy: what is turned away is dropped or refused; on a ring that drops, nobody waits for
 * room; and what is overwritten has no lossless readers. */
static const struct exception {
    const char *beginning; /* of the point's name */
    uint32_t policy;
} exceptions[] = {
    {"drop-counted", RINGD_LOSSLESS},
    {"drop-counted", RINGD_OVERWRITE},
    {"refuse-counted", RINGD_DROP},
    {"queue-", RINGD_DROP},
    {"publish-stored", RINGD_OVERWRITE},
    {"ahead-", RINGD_OVERWRITE},
    {"follow-caught-up", RINGD_OVERWRITE},
    {"reserve-active", RINGD_LOSSLESS},
    {"reserve-active", RINGD_DROP},
    {"reserve-active", RINGD_OVERWRITE}, /* of rings with one writer: check_single.c */
    {"follow-held", RINGD_LOSSLESS},
    {"follow-held", RINGD_DROP},
    {"follow-held", RINGD_OVERWRITE}, /* of groups */
    {"follow-remembered", RINGD_LOSSLESS},
    {"follow-remembered", RINGD_DROP},
    {"follow-remembered", RINGD_OVERWRITE},
};

static bool is_exception(const char *point, uint32_t policy)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strncmp(exceptions[i].beginning, point, strlen(exceptions[i].beginning)) == 0 &&
            (policy == 0 || exceptions[i].policy == policy))
            return true;
    return false;
}

static const char *wanted(void)
{
    const char *text = getenv("RINGD_SURVIVAL");

    return text != NULL ? text : "";
}

/* How often everybody is tried, and how much may stay untried in spite of that. */
#define TRIES      4
#define MISSED_MAX 4

/* Of each point all actions under one policy or another; which, the seed says. */
static bool is_chosen(const char *point, enum action action, int policy, uint64_t seed)
{
    uint64_t number = seed;

    if (wanted()[0] != '\0')
        return strcmp(wanted(), "all") == 0 || strcmp(wanted(), point) == 0;
    for (const char *c = point; *c != '\0'; c++)
        number = number * 31 + (unsigned char)*c;
    return is_exception(point, 0) || (number + (uint64_t)action) % POLICIES == (uint64_t)policy;
}

/* What nobody here does: groups, messages, named cursors and filters have tests of their own. */
static const char *const others_words[] = {"claim", "orphan", "message", "named", "skip", NULL};

START_TEST(rule_13_14_at_every_point)
{
    static struct points points;
    struct scene scene;
    unsigned missed = 0;

    if (!at_point_allowed("rule_13_14_at_every_point"))
        return;
    find_points(&points, "libringd.so", others_words, true);
    scene_begin(&scene, policies[_i], (struct ringd_ring_options){0});
    for (size_t i = 0; i < points.count; i++) {
        for (int action = 0; action < ACTIONS; action++) {
            bool passed;

            if (is_exception(points.names[i], policies[_i]) ||
                !is_chosen(points.names[i], (enum action)action, _i, support_seed()))
                continue;
            passed = false;
            for (int try = 0; try < TRIES && !passed; try++)
                passed = act(&scene, points.names[i], (enum action)action);
            /* Some points are only passed when others are at the right place at the right time. */
            if (!passed)
                support_skip(points.names[i], "nobody passed it this time, %s, %s", policy_names[_i],
                             action_names[action]);
            missed += !passed;
        }
    }
    require(missed <= MISSED_MAX, "%u points were passed by nobody", missed);
    scene_end(&scene);
}
END_TEST

/* ---- coming and leaving while the ring moves --------------------------------------------------------------------- */

#define VISITS 5

static void visit(void *argument)
{
    const struct performance *p = argument;

    for (int i = 0; i < VISITS; i++)
        perform(argument);
    require(atomic_load(&p->victim->ended) == 1, "it has not ended");
}

/* A generation may be left between the daemon's answer and the first look at it. */
START_TEST(contexts_come_and_leave_while_the_ring_moves)
{
    struct performance visitors[ROLES];
    pid_t pids[ROLES];
    struct scene scene;

    scene_begin(&scene, policies[_i], (struct ringd_ring_options){0});
    mover_order(scene.mover, true);
    for (size_t i = 0; i < ROLES; i++) {
        visitors[i] = (struct performance){&roles[i], shared_new(sizeof(struct victim))};
        visitors[i].victim->policy = scene.policy;
        pids[i] = roles[i].moving && can_play(&roles[i], scene.policy) ? child_start(visit, &visitors[i]) : 0;
    }
    for (size_t i = 0; i < ROLES; i++) {
        if (pids[i] != 0)
            child_finish(pids[i]);
    }
    mover_order(scene.mover, false);
    scene_end(&scene);
}
END_TEST

/* What is counted after the ring has moved, too. */
START_TEST(an_abort_after_a_move_is_in_the_accounts)
{
    struct ringd_writer *w;
    struct ringd_info info;
    size_t granted;
    void *data;

    make_ring(RING, (struct ringd_ring_options){.size = SMALL, .max_record = CREW_MAX_RECORD});
    for (int i = 0; i < 2; i++) {
        w = open_writer(RING);
        ck_assert_int_eq(ringd_reserve(w, 100, 100, &data, &granted), RINGD_OK);
        ck_assert_int_eq(ringd_resize(RING, i == 0 ? LARGE : SMALL), 0);
        if (i == _i) {
            ck_assert_int_eq(ringd_abort(w), RINGD_OK);
            ck_assert_uint_eq(ring_info(RING).aborted, (uint64_t)i + 1);
        }
        ringd_writer_close(w);
        wait_for_contexts(RING, 0);
        info = ring_info(RING);
        ck_assert_uint_eq(info.offered, (uint64_t)i + 1);
        ck_assert_uint_eq(info.aborted, (uint64_t)i + 1);
        ck_assert_uint_eq(info.lost, 0);
    }
}
END_TEST

static void fill_late(struct ringd_writer *w, void *data)
{
    record_make(data, RECORD_MIN, writer_slot(w), writer_sequence(w));
    require(ringd_commit(w, RECORD_MIN) == RINGD_OK, "commit");
}

/* Both are given up in one piece. Reader and writers in any order: each record is there once. */
START_TEST(a_reader_comes_between_two_open_grants)
{
    struct tracker trackers[2] = {0};
    struct ringd_reader *readers[2];
    struct ringd_writer *first, *second;
    void *data[2];
    size_t granted;

    make_ring(RING, (struct ringd_ring_options){.size = SMALL, .max_record = CREW_MAX_RECORD});
    first = open_writer(RING);
    second = open_writer(RING);
    ck_assert_int_eq(ringd_reserve(first, 100, 100, &data[0], &granted), RINGD_OK);
    readers[0] = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    readers[1] = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    ck_assert_int_eq(ringd_reserve(second, 100, 100, &data[1], &granted), RINGD_OK);
    ck_assert_int_eq(ringd_resize(RING, LARGE), 0);
    if (_i == 0) {
        fill_late(second, data[1]);
        fill_late(first, data[0]);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tracker_drain(&trackers[i], readers[i]), RINGD_WOULD_BLOCK);
    if (_i == 1) {
        fill_late(first, data[0]);
        fill_late(second, data[1]);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tracker_drain(&trackers[i], readers[i]), RINGD_WOULD_BLOCK);
        ck_assert_uint_eq(trackers[i].delivered[writer_slot(first)], 1);
        ck_assert_uint_eq(trackers[i].delivered[writer_slot(second)], 1);
    }
}
END_TEST

/* ---- what is stored late ----------------------------------------------------------------------------------------- */

#define SIGHTS_MAX 16384

/* What a reader saw at a place. */
struct sight {
    uint64_t position, sequence, sum;
    uint32_t writer;
};

struct sights {
    struct sight list[SIGHTS_MAX];
    size_t count;
    uint64_t lost;
    uint64_t end; /* position behind the last */
};

static uint64_t sum_of_bytes(const void *data, size_t len)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void see(struct sights *sights, const struct ringd_record *record)
{
    record_verify(record);
    require(sights->count < SIGHTS_MAX, "more records than there is room for");
    sights->list[sights->count++] = (struct sight){.position = record->position,
                                                   .sequence = record->sequence,
                                                   .sum = sum_of_bytes(record->data, record->len),
                                                   .writer = record->writer};
}

/* All that can be read at rest, in the generation that the reader is in and in those after it. */
static void see_all(struct sights *sights, struct ringd_reader *reader)
{
    struct ringd_record record;
    int result;

    sights->count = sights->lost = 0;
    sights->end = ring_info(RING).position;
    do {
        ringd_reader_deadline(reader, now_ns() + NS_PER_MS);
        result = ringd_next(reader, &record);
        require(result == RINGD_OK || result == RINGD_GAP || result == RINGD_WOULD_BLOCK, "result %d (%s)", result,
                ringd_strerror(result));
        if (result == RINGD_OK)
            see(sights, &record);
        if (result == RINGD_GAP)
            sights->lost += record.lost;
    } while (result != RINGD_WOULD_BLOCK || ringd_reader_position(reader) != sights->end);
}

static bool is_same(const struct sight *a, const struct sight *b)
{
    return a->position == b->position && a->sequence == b->sequence && a->sum == b->sum && a->writer == b->writer;
}

/* What was there before is the same afterwards, as far as it is still there: what came later may have gone over the
 * oldest. */
static void require_same(const struct sights *before, const struct sights *after, const char *point)
{
    size_t i = 0;

    for (size_t j = 0; j < after->count && after->list[j].position < before->end; j++) {
        while (i < before->count && before->list[i].position < after->list[j].position)
            i++;
        require(i < before->count && is_same(&before->list[i], &after->list[j]), "%s: at %" PRIu64 " stands %s", point,
                after->list[j].position, i < before->count ? "something else" : "something new");
    }
}

/* Stands with an open grant until the ring has been moved past it; then goes on. One of two readers, who have been
 * there before, looks before that and one afterwards. */
static bool wake_late(struct scene *scene, const char *point)
{
    static struct sights before, after;
    struct ringd_reader *readers[2];
    uint64_t generation, committed;
    struct victim *victim;
    struct at_point at;

    crew_rest(&scene->crew);
    for (int i = 0; i < 2; i++)
        readers[i] = open_reader(RING, RINGD_READ_LOSSY, RINGD_START_NOW);
    crew_resume(&scene->crew);
    if (bring_to(scene, point, STOP_STOP, &at, &victim) == NULL)
        return false;
    generation = ring_info(RING).generation;
    if (!holds_a_grant(victim)) {
        others_go_on(scene);
        generation = 0;
    }
    while (ring_info(RING).generation == generation) {
        crew_require_alive(&scene->crew);
        pause_ms(1);
    }
    others_go_on(scene);
    crew_rest(&scene->crew);
    see_all(&before, readers[0]);
    committed = ring_info(RING).committed;
    go_on(&at, victim, point);
    see_all(&after, readers[1]);
    require_same(&before, &after, point);
    require(after.count + after.lost == before.count + before.lost + ring_info(RING).committed - committed,
            "%s: %zu and %" PRIu64 " lost, then %zu and %" PRIu64 " lost", point, before.count, before.lost,
            after.count, after.lost);
    for (int i = 0; i < 2; i++)
        ringd_reader_close(readers[i]);
    settle(scene, victim, false, point);
    printf("%s %s: %s\n", policy_names[scene->policy - RINGD_LOSSLESS], point,
           generation != 0 ? "moved past" : "no grant");
    return true;
}

static const char *const grant_words[] = {"reserve", "commit", "batch", "pad", "abort", NULL};

/* Stopped in mid-record for longer than the policy allows: the ring moves, others get on, and what is stored late is in
 * nobody's way. (Where its operation does not hold anybody up, nothing has to happen.) */
START_TEST(rule_14_late_stores_change_nothing_that_can_be_read)
{
    static struct points points;
    struct scene scene;

    if (!at_point_allowed("rule_14_late_stores_change_nothing_that_can_be_read"))
        return;
    find_points(&points, "libringd.so", grant_words, false);
    scene_begin(&scene, policies[_i],
                (struct ringd_ring_options){.stopped = RINGD_STOPPED_MOVE, .stopped_after_ms = 10});
    for (size_t i = 0; i < points.count; i++) {
        if (!is_exception(points.names[i], policies[_i]) &&
            strcmp(points.names[i], "reserve-voided") != 0) /* in a move only */
            require(wake_late(&scene, points.names[i]), "nobody passes %s", points.names[i]);
    }
    scene_end(&scene);
}
END_TEST

/* ---- the daemon dies --------------------------------------------------------------------------------------------- */

/* Whether the daemon is gone; then its process has been waited for. */
static bool daemon_has_died(void)
{
    int status;

    if (server.pid == 0 || waitpid(server.pid, &status, WNOHANG) == 0)
        return server.pid == 0;
    require(WIFEXITED(status) && WEXITSTATUS(status) == STOP_EXIT_KILLED, "ringd ended with status 0x%x",
            (unsigned)status);
    server.pid = 0;
    return true;
}

/* Itself, if it runs under build/at-stop-point. */
static void end_daemon(void)
{
    if (server.pid == 0)
        return;
    kill((pid_t)ring_info(RING).daemon_pid, SIGKILL);
    child_wait(server.pid);
    server.pid = 0;
}

/* The next daemon, which is to die at this point. True: it did already, as it took over. */
static bool next_daemon(const char *point)
{
    end_daemon();
    if (daemon_restart_to_die(&server, point, 1))
        return false;
    server.pid = 0;
    return true;
}

static void last_daemon(void)
{
    end_daemon();
    daemon_restart(&server, NULL);
}

/* Until only the crew is attached. False: the daemon has died. */
static bool wait_for_crew(const struct crew *crew)
{
    size_t count = 0;

    while (!daemon_has_died()) {
        crew_require_alive(crew);
        if (ringd_status(RING, NULL, NULL, 0, &count) == 0 && count == CREW)
            return true;
        pause_ms(1);
    }
    return false;
}

/* The next owner of the slot: with it the last one's account is closed. */
static void come_and_leave(void)
{
    struct ringd_writer *w = NULL;
    struct ringd *ring = NULL;

    if (ringd_open(&ring, RING) == 0)
        ringd_writer_open(&w, ring, NULL);
    ringd_writer_close(w);
    ringd_close(ring);
}

static bool dies_before_all_is_done(const struct crew *crew)
{
    if (!wait_for_crew(crew))
        return true;
    come_and_leave();
    return !wait_for_crew(crew);
}

/* Somebody dies, standing at `place`, and so does the daemon, in the repair; so does the next one, if it comes to that
 * point. False: the repair does not pass the point. */
static bool die_in_repair(struct scene *scene, const char *point, const char *place, int deaths)
{
    struct victim *victim;
    struct at_point at;
    bool died;

    if (bring_to(scene, place, STOP_STOP, &at, &victim) == NULL)
        return false;
    died = next_daemon(point);
    at_point_kill(&at);
    died = died || dies_before_all_is_done(&scene->crew);
    for (int i = 1; i < deaths && died; i++) {
        if (!next_daemon(point))
            dies_before_all_is_done(&scene->crew);
    }
    last_daemon();
    others_go_on(scene);
    settle(scene, victim, true, point);
    printf("%s %s: %s at %s, %s\n", policy_names[scene->policy - RINGD_LOSSLESS], point,
           died ? "the daemon died" : "passed over", place, deaths == 1 ? "once" : "twice");
    return died;
}

/* Of each kind of repair one. */
static const char *const places[] = {"reserve-added", "commit-stamped", "commit-header", "commit-finished"};

#define PLACES (sizeof places / sizeof *places)

static const char *const repair_words[] = {"repair", "slot", NULL};

/* Each under one of the policies. */
static bool is_turn(size_t number, int policy)
{
    return strcmp(wanted(), "all") == 0 || (number + support_seed()) % POLICIES == (uint64_t)policy;
}

START_TEST(rule_15_the_daemon_dies_in_a_repair)
{
    static struct points points;
    struct scene scene;

    if (!at_point_allowed("rule_15_the_daemon_dies_in_a_repair"))
        return;
    find_points(&points, "ringd", repair_words, false);
    scene_begin(&scene, policies[_i], (struct ringd_ring_options){0});
    for (size_t i = 0; i < points.count; i++) {
        bool died = !is_turn(i, _i) || strcmp(points.names[i], "slot-life-made") == 0 ||
                    strncmp(points.names[i], "slot-name", 9) == 0; /* in an attach */

        for (size_t place = 0; place < PLACES && !died; place++)
            died = die_in_repair(&scene, points.names[i], places[place], 1) &&
                   die_in_repair(&scene, points.names[i], places[place], 2);
        require(died, "no repair passes %s", points.names[i]);
    }
    scene_end(&scene);
}
END_TEST

/* Of a ring, one of which passes a point of a move. */
#define MOVES 200

/* Past somebody who stands in mid-record, and wakes when all is over. */
static void die_in_move(struct scene *scene, const char *point, const char *place, int deaths)
{
    uint64_t size = LARGE + SMALL - ring_info(RING).size;
    struct victim *victim;
    struct at_point at;

    require(bring_to(scene, place, STOP_STOP, &at, &victim) != NULL, "nobody passes %s", place);
    for (int i = 0; i < deaths; i++) {
        unsigned moves = 0;

        if (next_daemon(point))
            continue; /* as it finished its predecessor's move */
        /* Some points are passed only when one of the crew is in mid-record, too: the victim may be two moves behind.
         */
        while (!daemon_has_died() && moves < MOVES) {
            if (ringd_resize(RING, size) == 0) {
                size = LARGE + SMALL - size;
                moves++;
            }
            pause_ms(1);
        }
        require(moves < MOVES, "the move does not pass %s", point);
    }
    last_daemon();
    go_on(&at, victim, point);
    others_go_on(scene);
    settle(scene, victim, false, point);
    printf("%s %s: the daemon died %s, with a writer at %s\n", policy_names[scene->policy - RINGD_LOSSLESS], point,
           deaths == 1 ? "once" : "twice", place);
}

static const char *const move_words[] = {"move", NULL};

START_TEST(rule_15_the_daemon_dies_in_a_move)
{
    static struct points points;
    struct scene scene;

    if (!at_point_allowed("rule_15_the_daemon_dies_in_a_move"))
        return;
    find_points(&points, "ringd", move_words, false);
    scene_begin(&scene, policies[_i], (struct ringd_ring_options){0});
    for (size_t i = 0; i < points.count; i++) {
        for (size_t place = 0; place < 3 && is_turn(i, _i); place++)
            die_in_move(&scene, points.names[i], places[place], 1 + (int)random_below(&scene.chance, 2));
    }
    scene_end(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("survival");
    TCase *tests = add_case(suite, "moving");

    tcase_add_loop_test(tests, contexts_come_and_leave_while_the_ring_moves, 0, POLICIES);
    tcase_add_loop_test(tests, an_abort_after_a_move_is_in_the_accounts, 0, 2);
    tcase_add_loop_test(tests, a_reader_comes_between_two_open_grants, 0, 2);
    tests = add_case(suite, "matrix");

    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, rule_13_14_at_every_point, 0, POLICIES);
    tests = add_case(suite, "late");
    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, rule_14_late_stores_change_nothing_that_can_be_read, 0, POLICIES);
    tests = add_case(suite, "daemon");
    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, rule_15_the_daemon_dies_in_a_repair, 0, POLICIES);
    tcase_add_loop_test(tests, rule_15_the_daemon_dies_in_a_move, 0, POLICIES);
    return run_suite(suite);
}
