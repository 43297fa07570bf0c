/* stress_ring.c - whole rings at random: policy, size, longest record, clock, writers and readers of all kinds in
 * processes of their own, which are stopped and continued, as is the daemon, at random moments; lossless readers are
 * also killed. At the end of each round every account has to be right:
 *
 *     a writer     offered = committed + aborted + dropped + refused
 *     a reader     delivered + lost = committed, for each writer; a lossless one lost nothing
 *     a record     whole, the one that it says it is, next of its writer, behind the last one
 *     the ring     says the same as its writers
 *
 * Writers are not killed here but in check_recovery.c.
 *
 * RINGD_SEED repeats a run; RINGD_STRESS_ROUNDS says how many rounds (60 if not said, which is the short form).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define RING    "stress"
#define WRITERS 12
#define READERS 6
#define ROUNDS  60

struct round {
    struct ringd_ring_options options;
    uint32_t writers, readers;
    uint64_t records; /* each writer's, at least */
    uint64_t seed;
    uint32_t modes[READERS];
    _Atomic uint32_t joined, opened, done;
    struct ringd_writer_counters counters[31];
    struct tracker trackers[READERS];
};

struct role {
    struct round *round;
    uint32_t number;
};

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static int write_grant(struct ringd_writer *w, struct random_source *random, size_t len, size_t most)
{
    size_t want = len + random_below(random, most - len + 1), granted;
    void *data;
    int result = ringd_reserve(w, len, want, &data, &granted);

    if (result != RINGD_OK)
        return result;
    memset(data, 0x55, granted);
    if (random_below(random, 3) == 0)
        return ringd_abort(w);
    record_make(data, len, writer_slot(w), writer_sequence(w));
    return ringd_commit(w, len);
}

static int write_once(struct ringd_writer *w, struct random_source *random, size_t most)
{
    size_t len = RECORD_MIN + random_below(random, most - RECORD_MIN + 1);

    return random_below(random, 4) == 0 ? write_grant(w, random, len, most) : write_record(w, len);
}

static int64_t random_deadline(struct random_source *random)
{
    switch (random_below(random, 3)) {
    case 0:
        return RINGD_NO_WAIT;
    case 1:
        return now_ns() + (int64_t)random_below(random, 2000000);
    default:
        return RINGD_FOREVER;
    }
}

static void write_round(void *argument)
{
    const struct role *role = argument;
    struct round *round = role->round;
    struct random_source random = {.state = round->seed + role->number};
    struct ringd_writer *w = open_writer(RING);
    struct ringd_writer_counters c = {0};

    atomic_fetch_add(&round->opened, 1);
    while (atomic_load(&round->opened) < round->writers)
        pause_ms(1);
    while (c.committed < round->records) {
        int result;

        ringd_writer_deadline(w, random_deadline(&random));
        result = write_once(w, &random, round->options.max_record);
        require(result == RINGD_OK || result == RINGD_FULL || result == RINGD_DROPPED, "result %d", result);
        ringd_writer_count(w, &c);
        if (result != RINGD_OK)
            pause_ms(1);
    }
    require(c.offered == c.committed + c.aborted + c.refused + c.dropped_full + c.dropped_stalled,
            "it does not add up");
    round->counters[writer_slot(w)] = c;
    atomic_fetch_add(&round->done, 1);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static void read_round(void *argument)
{
    const struct role *role = argument;
    struct round *round = role->round;
    struct tracker *tracker = &round->trackers[role->number];
    struct ringd_reader *reader = open_reader_until(RING, round->modes[role->number], RINGD_START_NOW, RINGD_FOREVER);
    struct ringd_record records[32];
    size_t count;
    int result;

    for (int i = 0; i < 31; i++)
        tracker->known[i] = true;
    atomic_fetch_add(&round->joined, 1);
    do {
        count = 1;
        result = role->number % 2 == 0 ? ringd_next(reader, records) : ringd_next_many(reader, records, 32, &count);
        for (size_t i = 0; i < count && result == RINGD_OK; i++)
            tracker_record(tracker, &records[i]);
        if (result == RINGD_GAP)
            tracker_gap(tracker, records);
        require(ringd_release(reader) == RINGD_OK, "release");
    } while (result == RINGD_OK || result == RINGD_GAP);
    require(result == RINGD_END, "result %d", result);
}

/* Reads losslessly until it is killed. */
static void read_until_killed(void *argument)
{
    struct ringd_reader *reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST, RINGD_FOREVER);
    struct tracker tracker = {0};
    struct ringd_record record;

    (void)argument;
    while (ringd_next(reader, &record) == RINGD_OK) {
        tracker_record(&tracker, &record);
        ringd_release(reader);
    }
    for (;;)
        pause();
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static void choose_round(struct round *round, struct random_source *random)
{
    uint64_t size = UINT64_C(4096) << random_below(random, 6);
    uint32_t most = (uint32_t)(size / 64);

    round->seed = random_next(random);
    round->options = (struct ringd_ring_options){
        .size = size,
        .max_record = 40 + (uint32_t)random_below(random, most - 40 + 1),
        .policy = 1 + (uint32_t)random_below(random, 3),
        .time = (uint32_t)random_below(random, 3),
        .first_position = SUPPORT_WRAP * (1 + random_below(random, 5)) - 32 * random_below(random, 2000),
    };
    round->writers = 1 + (uint32_t)random_below(random, WRITERS);
    round->readers = 1 + (uint32_t)random_below(random, READERS);
    round->records = 300 + random_below(random, 4000);
    for (uint32_t i = 0; i < round->readers; i++) {
        round->modes[i] = (uint32_t)random_below(random, 3);
        if (round->options.policy == RINGD_OVERWRITE && round->modes[i] == RINGD_READ_LOSSLESS)
            round->modes[i] = RINGD_READ_LOSSY;
    }
    printf("size %" PRIu64 ", max_record %" PRIu32 ", policy %" PRIu32 ", time %" PRIu32 ", %" PRIu32
           " writers of %" PRIu64 " records, %" PRIu32 " readers\n",
           size, round->options.max_record, round->options.policy, round->options.time, round->writers, round->records,
           round->readers);
}

/* Stops somebody for a moment, or has a further lossless reader come and be killed. */
static void disturb(struct round *round, struct random_source *random, const pid_t *pids, uint32_t count)
{
    uint64_t choice = random_below(random, 10);
    pid_t pid;

    if (choice < 7)
        pid = pids[random_below(random, count)];
    else if (choice < 9)
        pid = server.pid;
    else
        pid = round->options.policy == RINGD_OVERWRITE ? 0 : child_start(read_until_killed, NULL);
    if (choice < 9)
        kill(pid, SIGSTOP);
    pause_ms((unsigned)random_below(random, 6));
    if (choice < 9)
        kill(pid, SIGCONT);
    else if (pid != 0)
        child_kill(pid);
}

static void require_accounts(const struct round *round)
{
    struct ringd_info info = ring_info(RING);
    uint64_t committed = 0, offered = 0;

    for (int w = 0; w < 31; w++) {
        committed += round->counters[w].committed;
        offered += round->counters[w].offered;
    }
    require(info.committed == committed && info.offered == offered,
            "the ring says %" PRIu64 " of %" PRIu64 ", its writers %" PRIu64 " of %" PRIu64, info.committed,
            info.offered, committed, offered);
}

static void require_read(const struct round *round)
{
    for (uint32_t r = 0; r < round->readers; r++) {
        const struct tracker *t = &round->trackers[r];

        for (int w = 0; w < 31; w++) {
            require(t->delivered[w] + t->lost[w] == round->counters[w].committed,
                    "reader %" PRIu32 " had %" PRIu64 " and lost %" PRIu64 " of %" PRIu64, r, t->delivered[w],
                    t->lost[w], round->counters[w].committed);
        }
        require(round->modes[r] != RINGD_READ_LOSSLESS || tracker_lost(t) == 0, "reader %" PRIu32, r);
    }
}

static void run_round(struct random_source *random)
{
    struct round *round = shared_new(sizeof *round);
    struct role roles[WRITERS + READERS];
    pid_t pids[WRITERS + READERS];
    uint32_t count = 0;

    choose_round(round, random);
    make_ring(RING, round->options);
    for (uint32_t i = 0; i < round->readers; i++) {
        roles[count] = (struct role){round, i};
        pids[count] = child_start(read_round, &roles[count]);
        count++;
    }
    while (atomic_load(&round->joined) < round->readers)
        pause_ms(1);
    for (uint32_t i = 0; i < round->writers; i++) {
        roles[count] = (struct role){round, i};
        pids[count] = child_start(write_round, &roles[count]);
        count++;
    }
    while (atomic_load(&round->opened) < round->writers)
        pause_ms(1);
    while (atomic_load(&round->done) < round->writers)
        disturb(round, random, pids, count);
    for (uint32_t i = round->readers; i < count; i++)
        child_finish(pids[i]);
    wait_for_contexts(RING, round->readers);
    require_accounts(round);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    for (uint32_t i = 0; i < round->readers; i++)
        child_finish(pids[i]);
    require_read(round);
}

int main(void)
{
    const char *rounds = getenv("RINGD_STRESS_ROUNDS");
    int count = rounds != NULL && atoi(rounds) > 0 ? atoi(rounds) : ROUNDS;
    struct random_source random;

    support_begin();
    random.state = support_seed();
    server_setup();
    for (int i = 0; i < count; i++) {
        support_guard(SUPPORT_GUARD_S);
        run_round(&random);
    }
    server_teardown();
    support_end();
    printf("100%%: Checks: %d, Failures: 0, Errors: 0\n", count);
    return EXIT_SUCCESS;
}
