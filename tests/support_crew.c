/* support_crew.c - see support_crew.h. */
#define _GNU_SOURCE
#include "support_crew.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NS_PER_MS INT64_C(1000000)

/* Looks, of a millisecond each, at a ring at rest in which something is missing, before that counts as lost. */
#define SETTLE_LOOKS 4000

enum order {
    ORDER_RUN,
    ORDER_REST,
    ORDER_END,
};

/* Shared by all. */
struct crew_board {
    _Atomic uint32_t ready, order;
    _Atomic uint64_t count[CREW];
    _Atomic uint32_t resting[CREW_WRITERS];
    struct ringd_writer_counters counters[CREW_WRITERS]; /* of those that rest */
    uint32_t slots[CREW_WRITERS];
    _Atomic uint32_t settle, settled[CREW_READERS]; /* numbers of settlements */
    uint64_t committed;                             /* by all, as of the settlement */
    struct tracker trackers[CREW_READERS];
};

struct member {
    const struct crew *crew;
    uint32_t number; /* among the writers or readers */
};

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static int write_two(struct ringd_writer *w, struct random_source *random)
{
    unsigned char first[100], second[40];
    struct iovec batch[] = {{first, RECORD_MIN + random_below(random, 76)}, {second, sizeof second}};

    record_make(first, batch[0].iov_len, writer_slot(w), writer_sequence(w));
    record_make(second, sizeof second, writer_slot(w), writer_sequence(w) + 1);
    return ringd_write_batch(w, batch, 2);
}

static int write_in_place(struct ringd_writer *w, struct random_source *random)
{
    size_t len = RECORD_MIN + random_below(random, 100), granted;
    void *data;
    int result = ringd_reserve(w, len, 2 * len, &data, &granted);

    if (result != RINGD_OK)
        return result;
    if (random_below(random, 4) == 0)
        return ringd_abort(w);
    record_make(data, len, writer_slot(w), writer_sequence(w));
    return ringd_commit(w, len);
}

static int write_somehow(struct ringd_writer *w, struct random_source *random)
{
    uint64_t kind = random_below(random, 16);

    if (kind == 0)
        return write_two(w, random);
    if (kind == 1)
        return write_in_place(w, random);
    return write_record(w, RECORD_MIN + random_below(random, kind == 2 ? CREW_MAX_RECORD - RECORD_MIN : 60));
}

static uint64_t sum_of(const struct ringd_writer_counters *c)
{
    return c->committed + c->aborted + c->refused + c->dropped_full + c->dropped_stalled;
}

static void rest(const struct member *member, const struct ringd_writer *w)
{
    struct crew_board *board = member->crew->board;
    struct ringd_writer_counters *c = &board->counters[member->number];

    require(ringd_writer_count(w, c) == RINGD_OK, "count");
    require(c->offered == sum_of(c), "%" PRIu64 " offered, %" PRIu64 " accounted for", c->offered, sum_of(c));
    board->slots[member->number] = writer_slot(w);
    atomic_store(&board->resting[member->number], 1);
    while (atomic_load(&board->order) == ORDER_REST)
        pause_ms(1);
    atomic_store(&board->resting[member->number], 0);
}

static void write_on(const struct member *member, struct ringd_writer *w, struct random_source *random)
{
    int result = write_somehow(w, random);

    require(result == RINGD_OK || (result == RINGD_DROPPED && member->crew->policy == RINGD_DROP), "%d (%s)", result,
            ringd_strerror(result));
    atomic_fetch_add(&member->crew->board->count[member->number], 1);
}

static void run_writer(void *argument)
{
    const struct member *member = argument;
    struct crew_board *board = member->crew->board;
    struct random_source random = {.state = support_seed() + member->number};
    struct ringd_writer *w = open_writer_until(member->crew->ring, RINGD_FOREVER);

    support_guard(0);
    atomic_fetch_add(&board->ready, 1);
    for (uint32_t order; (order = atomic_load(&board->order)) != ORDER_END;) {
        if (order == ORDER_REST)
            rest(member, w);
        else
            write_on(member, w, &random);
    }
    ringd_writer_close(w);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static int read_some(const struct member *member, struct ringd_reader *reader, int64_t deadline)
{
    struct crew_board *board = member->crew->board;
    struct tracker *tracker = &board->trackers[member->number];
    struct ringd_record records[32];
    size_t count = 1;
    int result;

    ringd_reader_deadline(reader, deadline);
    result = member->number == 0 ? ringd_next(reader, records) : ringd_next_many(reader, records, 32, &count);
    require(result == RINGD_OK || result == RINGD_GAP || result == RINGD_WOULD_BLOCK || result == -EINTR, "%d (%s)",
            result, ringd_strerror(result));
    if (result == RINGD_WOULD_BLOCK || result == -EINTR)
        return result;
    for (size_t i = 0; i < count && result == RINGD_OK; i++)
        tracker_record(tracker, &records[i]);
    if (result == RINGD_GAP)
        tracker_gap(tracker, records);
    require(ringd_release(reader) == RINGD_OK, "evicted");
    atomic_fetch_add(&board->count[CREW_WRITERS + member->number], 1);
    return result;
}

static uint64_t had_of(const struct tracker *tracker)
{
    return tracker_delivered(tracker) + tracker_lost(tracker);
}

static void require_had(const struct member *member, const struct ringd_reader *reader)
{
    const struct crew_board *board = member->crew->board;
    const struct tracker *tracker = &board->trackers[member->number];
    struct ringd_reader_counters c;

    for (uint32_t i = 0; i < CREW_WRITERS; i++) {
        uint32_t slot = board->slots[i];
        uint64_t had = tracker->delivered[slot] + tracker->lost[slot];

        require(had == board->counters[i].committed, "reader %u has %" PRIu64 " of %" PRIu64 " records of writer %u",
                member->number, had, board->counters[i].committed, slot);
    }
    require(had_of(tracker) == board->committed, "reader %u has %" PRIu64 " of %" PRIu64 " records", member->number,
            had_of(tracker), board->committed);
    require(member->number != 0 || member->crew->policy == RINGD_OVERWRITE || tracker_lost(tracker) == 0,
            "the lossless reader has lost %" PRIu64, tracker_lost(tracker));
    require(ringd_reader_count(reader, &c) == RINGD_OK, "count");
    require(c.delivered == tracker_delivered(tracker) && c.lost == tracker_lost(tracker),
            "reader %u counts %" PRIu64 " and %" PRIu64 " lost, was given %" PRIu64 " and %" PRIu64, member->number,
            c.delivered, c.lost, tracker_delivered(tracker), tracker_lost(tracker));
}

/* Everything that there is, and then nothing more. */
static void settle(const struct member *member, struct ringd_reader *reader)
{
    const struct crew_board *board = member->crew->board;

    for (int look = 0; look < SETTLE_LOOKS && had_of(&board->trackers[member->number]) < board->committed;)
        look += read_some(member, reader, now_ns() + NS_PER_MS) == RINGD_WOULD_BLOCK;
    while (read_some(member, reader, RINGD_NO_WAIT) != RINGD_WOULD_BLOCK)
        ;
    require_had(member, reader);
}

static void note_nothing(int signal_number)
{
    (void)signal_number;
}

/* Between two orders it sleeps until it is woken: a lost wake-up shows. */
static void run_reader(void *argument)
{
    const struct sigaction on_order = {.sa_handler = note_nothing};
    const struct member *member = argument;
    struct crew_board *board = member->crew->board;
    bool overwrites = member->crew->policy == RINGD_OVERWRITE;
    uint32_t mode = member->number > 0 ? RINGD_READ_LOSSY : overwrites ? RINGD_READ_OBSERVE : RINGD_READ_LOSSLESS;
    struct ringd_reader *reader = open_reader(member->crew->ring, mode, RINGD_START_NOW);
    uint32_t settled = 0;

    support_guard(0);
    sigaction(SIGUSR1, &on_order, NULL);
    for (int i = 0; i < 31; i++)
        board->trackers[member->number].known[i] = true; /* from the first record on */
    atomic_fetch_add(&board->ready, 1);
    while (atomic_load(&board->order) != ORDER_END) {
        uint32_t wanted = atomic_load(&board->settle);

        if (wanted != settled)
            settle(member, reader);
        settled = wanted;
        atomic_store(&board->settled[member->number], settled);
        read_some(member, reader, RINGD_FOREVER);
    }
    ringd_reader_close(reader);
}

/* ---- the test's side --------------------------------------------------------------------------------------------- */

void crew_require_alive(const struct crew *crew)
{
    for (int i = 0; i < CREW; i++) {
        int status;

        require(waitpid(crew->pids[i], &status, WNOHANG) == 0, "the crew's %s %d has ended with status 0x%x",
                i < CREW_WRITERS ? "writer" : "reader", i < CREW_WRITERS ? i : i - CREW_WRITERS, (unsigned)status);
    }
}

static void wait_ready(const struct crew *crew, int count)
{
    while (atomic_load(&crew->board->ready) < (uint32_t)count)
        pause_ms(1);
}

void crew_start(struct crew *crew, const char *ring, struct ringd_ring_options options)
{
    *crew = (struct crew){.ring = ring, .policy = options.policy, .board = shared_new(sizeof *crew->board)};
    options.max_record = CREW_MAX_RECORD;
    make_ring(ring, options);
    for (uint32_t i = 0; i < CREW; i++) {
        bool reads = i < CREW_READERS;
        struct member member = {crew, reads ? i : i - CREW_READERS};
        pid_t pid = child_start(reads ? run_reader : run_writer, &member);

        crew->pids[reads ? CREW_WRITERS + i : i - CREW_READERS] = pid;
        wait_ready(crew, (int)i + 1);
    }
}

struct crew_progress crew_progress(const struct crew *crew)
{
    struct crew_progress progress;

    for (int i = 0; i < CREW; i++)
        progress.count[i] = atomic_load(&crew->board->count[i]);
    return progress;
}

void crew_wait_progress(const struct crew *crew, struct crew_progress since, uint64_t count)
{
    for (int i = 0; i < CREW; i++) {
        while (atomic_load(&crew->board->count[i]) - since.count[i] < count) {
            crew_require_alive(crew);
            pause_ms(1);
        }
    }
}

void crew_rest(struct crew *crew)
{
    atomic_store(&crew->board->order, ORDER_REST);
    for (int i = 0; i < CREW_WRITERS; i++) {
        while (atomic_load(&crew->board->resting[i]) == 0) {
            crew_require_alive(crew);
            pause_ms(1);
        }
    }
}

void crew_resume(struct crew *crew)
{
    atomic_store(&crew->board->order, ORDER_RUN);
    for (int i = 0; i < CREW_WRITERS; i++) {
        while (atomic_load(&crew->board->resting[i]) != 0) {
            crew_require_alive(crew);
            pause_ms(1);
        }
    }
}

static void wait_settled(const struct crew *crew, uint32_t number)
{
    for (int i = 0; i < CREW_READERS; i++) {
        while (atomic_load(&crew->board->settled[i]) != number) {
            crew_require_alive(crew);
            kill(crew->pids[CREW_WRITERS + i], SIGUSR1);
            pause_ms(1);
        }
    }
}

static void require_sum(const struct ringd_info *info)
{
    uint64_t sum = info->committed + info->aborted + info->refused + info->dropped_full + info->dropped_stalled;

    require(info->offered == sum + info->lost,
            "offered %" PRIu64 " and not committed %" PRIu64 " + aborted %" PRIu64 " + refused %" PRIu64
            " + dropped %" PRIu64 " + %" PRIu64 " + lost %" PRIu64,
            info->offered, info->committed, info->aborted, info->refused, info->dropped_full, info->dropped_stalled,
            info->lost);
}

struct crew_others crew_settle(struct crew *crew, uint32_t guests)
{
    struct crew_board *board = crew->board;
    struct crew_others others;
    struct ringd_info info;

    wait_for_contexts(crew->ring, CREW + guests);
    info = ring_info(crew->ring);
    require_sum(&info);
    board->committed = info.committed;
    wait_settled(crew, atomic_fetch_add(&board->settle, 1) + 1);
    others = (struct crew_others){.offered = info.offered, .committed = info.committed, .lost = info.lost};
    for (int i = 0; i < CREW_WRITERS; i++) {
        others.offered -= board->counters[i].offered;
        others.committed -= board->counters[i].committed;
    }
    return others;
}

static void finish_reader(pid_t pid)
{
    siginfo_t end = {0};

    do {
        kill(pid, SIGUSR1);
        pause_ms(1);
        require(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0, "errno %d", errno);
    } while (end.si_pid == 0);
    child_finish(pid);
}

void crew_finish(struct crew *crew)
{
    crew_rest(crew);
    crew_settle(crew, 0);
    atomic_store(&crew->board->order, ORDER_END);
    for (int i = 0; i < CREW_WRITERS; i++)
        child_finish(crew->pids[i]);
    for (int i = CREW_WRITERS; i < CREW; i++)
        finish_reader(crew->pids[i]);
}
