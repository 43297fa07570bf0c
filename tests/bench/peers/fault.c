/* fault.c - deaths and stops on a peer; see fault.h.
 *
 * One process, the director, is the crew's only role; it forks the others (writer 0, which goes on; reader 0, which
 * goes on; the victim, writer 1 or reader 1), and ends them by their ids when it has seen enough: on a peer that stalls
 * they would never end by themselves. */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "../stats.h"
#include "sides.h"

#define VICTIM_RECORDS 100u /* before it comes to stand in the middle of one */
#define STAND_NS       5000000
#define QUIET_NS       20000000
#define LOOK_NS        200000
#define START_NS       INT64_C(4000000000)
#define RING_BYTES     (UINT64_C(1) << 18)

struct fault_shared {
    _Atomic uint32_t attached;
    _Atomic bool go;
    _Atomic bool stands;       /* the victim is where it is to be killed */
    _Atomic int64_t at_ns;     /* when it was; 0: not yet */
    _Atomic int64_t next_ns;   /* the record that was waited for; 0: not yet */
    _Atomic uint64_t sent;     /* by the victim, by calls that have returned */
    _Atomic uint64_t received; /* of the victim's, by the reader */
};

struct fault {
    const struct peer *peer;
    enum fault_kind kind;
    const char *folder;
    const int *cpus;
    struct fault_shared *shared;
    struct crew *crew;
    unsigned self;
    void *line;
    pid_t pids[3];
};

static struct fault_shared *victim_shared; /* for the handler of a signal */

static void nap(long ns)
{
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&time, NULL);
}

/* ---- those who go on -------------------------------------------------------------------------------------------- */

static void others_await(const struct fault *fault)
{
    atomic_fetch_add(&fault->shared->attached, 1);
    while (!atomic_load(&fault->shared->go))
        nap(LOOK_NS);
}

static void writer_play(struct fault *fault)
{
    struct sender sender;

    sender_open(&sender, fault->peer, fault->line, fault->crew, fault->self, 0, FAULT_BYTES);
    sender.wait = fault->peer->can & PEER_WAITS;
    sender.yields = true;
    others_await(fault);
    for (;;)
        sender_next(&sender);
}

static void reader_play(struct fault *fault)
{
    struct fault_shared *shared = fault->shared;
    bool alone = fault->kind != FAULT_READER_KILLED, shares = !alone && !(fault->peer->can & PEER_ALL);
    struct receiver receiver;

    receiver_open(&receiver, fault->peer, fault->line, fault->crew, fault->self, 0, FAULT_BYTES, alone ? 2 : 1);
    receiver.wait = fault->peer->can & PEER_WAITS;
    receiver.yields = true;
    receiver.gaps = shares;
    others_await(fault);
    for (;;) {
        uint32_t writer = receiver_next(&receiver);

        if (writer == 1)
            atomic_store(&shared->received, receiver.sequences[1]);
        else if (atomic_load(&shared->at_ns) && !atomic_load(&shared->next_ns))
            atomic_store(&shared->next_ns, clock_now_ns());
    }
}

/* ---- the victim ------------------------------------------------------------------------------------------------- */

static void stand(int signal)
{
    (void)signal;
    atomic_store(&victim_shared->stands, true);
    for (;;)
        pause();
}

static void stand_in_copy(const struct fault *fault)
{
    const struct sigaction action = {.sa_handler = stand};

    victim_shared = fault->shared;
    if (sigaction(SIGSEGV, &action, NULL) || record_buffer_break())
        crew_fail(fault->crew, fault->self, "cannot make half a buffer untouchable", 0);
}

static void victim_write(struct fault *fault)
{
    bool copies = fault->peer->can & PEER_COPIES;
    struct fault_shared *shared = fault->shared;
    struct sender sender;

    if (copies)
        record_buffers_halve();
    sender_open(&sender, fault->peer, fault->line, fault->crew, fault->self, 1, FAULT_BYTES);
    sender.wait = fault->peer->can & PEER_WAITS;
    sender.yields = true;
    others_await(fault);
    for (uint32_t i = 0; i < VICTIM_RECORDS; i++) {
        sender_next(&sender);
        atomic_store(&shared->sent, sender.sequence);
    }
    if (copies) {
        stand_in_copy(fault);
        sender_broken(&sender);
    }
    atomic_store(&shared->stands, true);
    for (;;) {
        sender_next(&sender);
        atomic_store(&shared->sent, sender.sequence);
    }
}

static void victim_read(struct fault *fault)
{
    bool copies = fault->peer->can & PEER_COPIES_OUT, in_place = fault->peer->release;
    struct receiver receiver;
    const void *data;

    if (copies)
        record_buffers_halve();
    receiver_open(&receiver, fault->peer, fault->line, fault->crew, fault->self, 1, FAULT_BYTES, 1);
    receiver.wait = fault->peer->can & PEER_WAITS;
    receiver.yields = true;
    receiver.gaps = !(fault->peer->can & PEER_ALL);
    others_await(fault);
    for (uint32_t i = 0; i < VICTIM_RECORDS; i++)
        receiver_next(&receiver);
    if (copies)
        stand_in_copy(fault);
    while (copies || in_place) { /* one more, which is not given back */
        if (fault->peer->receive(receiver.end, &data, receiver.wait) == PEER_OK) {
            victim_shared = fault->shared;
            stand(0);
        }
    }
    atomic_store(&fault->shared->stands, true);
    for (;;)
        receiver_next(&receiver);
}

/* ---- the director ----------------------------------------------------------------------------------------------- */

static pid_t role_fork(struct fault *fault, void (*play)(struct fault *fault))
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        crew_fail_errno(fault->crew, fault->self, "cannot start a process", -errno);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    play(fault);
    _exit(0);
}

static void roles_end(struct fault *fault)
{
    for (unsigned i = 0; i < 3; i++) {
        if (fault->pids[i] > 0) {
            kill(fault->pids[i], SIGKILL);
            waitpid(fault->pids[i], NULL, 0);
        }
        fault->pids[i] = 0;
    }
}

/* Whether `word` becomes true in time; who has ended meanwhile has said why. */
static bool word_await(struct fault *fault, bool (*word)(const struct fault *fault), int64_t limit_ns)
{
    int64_t until_ns = clock_now_ns() + limit_ns;

    while (!word(fault)) {
        for (unsigned i = 0; i < 3; i++) {
            if (fault->pids[i] > 0 && waitpid(fault->pids[i], NULL, WNOHANG) == fault->pids[i]) {
                fault->pids[i] = 0;
                roles_end(fault);
                crew_fail(fault->crew, fault->self,
                          *fault->crew->results[fault->self].failure ? fault->crew->results[fault->self].failure
                                                                     : "a process has ended before its time",
                          0);
            }
        }
        if (clock_now_ns() > until_ns)
            return false;
        nap(LOOK_NS);
    }
    return true;
}

static bool all_attached(const struct fault *fault)
{
    return atomic_load(&fault->shared->attached) == 3;
}

static bool victim_stands(const struct fault *fault)
{
    return atomic_load(&fault->shared->stands);
}

static bool next_there(const struct fault *fault)
{
    return atomic_load(&fault->shared->next_ns) != 0;
}

static void line_open(struct fault *fault)
{
    struct peer_setup setup = {.folder = fault->folder,
                               .bytes = FAULT_BYTES,
                               .writers = fault->kind == FAULT_READER_KILLED ? 1 : 2,
                               .readers = fault->kind == FAULT_READER_KILLED ? 2 : 1,
                               .ring_bytes = RING_BYTES,
                               .all = fault->kind == FAULT_READER_KILLED && (fault->peer->can & PEER_ALL),
                               .sleeping = fault->peer->can & PEER_WAITS};
    int result = fault->peer->open(&setup, &fault->line);

    if (result)
        crew_fail_errno(fault->crew, fault->self, "cannot be set up here", result);
}

/* One death; microseconds, or NAN. */
static double try_run(struct fault *fault, double *lost)
{
    struct fault_shared *shared = fault->shared;
    bool reader = fault->kind == FAULT_READER_KILLED;
    int64_t next_ns;

    memset(shared, 0, sizeof(*shared));
    line_open(fault);
    fault->pids[0] = role_fork(fault, reader_play);
    fault->pids[1] = role_fork(fault, writer_play);
    fault->pids[2] = role_fork(fault, reader ? victim_read : victim_write);
    if (!word_await(fault, all_attached, START_NS))
        crew_fail(fault->crew, fault->self, "the processes do not come up", 0);
    atomic_store(&shared->go, true);
    if (!word_await(fault, victim_stands, START_NS))
        crew_fail(fault->crew, fault->self, "the victim does not come to the middle of a record", 0);
    nap(STAND_NS);
    atomic_store(&shared->at_ns, clock_now_ns());
    kill(fault->pids[2], fault->kind == FAULT_WRITER_STOPPED ? SIGSTOP : SIGKILL);
    if (fault->kind != FAULT_WRITER_STOPPED) {
        waitpid(fault->pids[2], NULL, 0);
        fault->pids[2] = 0;
    }
    word_await(fault, next_there, FAULT_LIMIT_MS * INT64_C(1000000));
    next_ns = atomic_load(&shared->next_ns);
    nap(QUIET_NS); /* what the victim had sent has come by then */
    if (fault->kind == FAULT_WRITER_KILLED)
        *lost = fmax(0, (double)atomic_load(&shared->sent) - (double)atomic_load(&shared->received));
    roles_end(fault);
    fault->peer->close(fault->line);
    return next_ns ? (double)(next_ns - atomic_load(&shared->at_ns)) / 1e3 : NAN;
}

struct fault_task {
    const struct peer *peer;
    enum fault_kind kind;
    const char *folder;
    const int *cpus;
    struct fault_shared *shared;
    struct fault_figures *figures; /* shared too */
};

static void direct(struct crew *crew, unsigned self, const void *task)
{
    const struct fault_task *own = task;
    struct fault fault = {.peer = own->peer,
                          .kind = own->kind,
                          .folder = own->folder,
                          .cpus = own->cpus,
                          .shared = own->shared,
                          .crew = crew,
                          .self = self};
    struct series series = {.count = 0};

    crew_ready(crew, self);
    for (unsigned i = 0; i < FAULT_TRIES; i++) {
        double lost = 0, next_us = try_run(&fault, &lost);

        own->figures->lost = fmax(own->figures->lost, lost);
        if (isnan(next_us)) { /* once is enough */
            own->figures->next_us = NAN;
            crew_done(crew, self);
            return;
        }
        series_add(&series, next_us);
    }
    own->figures->next_us = series_median(&series);
    crew_done(crew, self);
}

bool fault_can(const struct peer *peer, enum fault_kind kind)
{
    if (!(peer->cases & PEER_FAULTS))
        return false;
    return kind == FAULT_READER_KILLED ? peer->can & (PEER_READERS | PEER_ALL) : peer->can & PEER_WRITERS;
}

int fault_run(const struct peer *peer, enum fault_kind kind, const char *folder, struct crew *crew, const int cpus[2],
              struct fault_figures *figures, char *failure)
{
    struct {
        struct fault_shared shared;
        struct fault_figures figures;
    } *both = shared_new(sizeof(*both));
    struct fault_task task = {peer, kind, folder, cpus, NULL, NULL};
    const struct crew_role role = {.cpu = cpus[0], .play = direct, .task = &task, .roams = true, .other_cpu = cpus[1]};
    int result;

    if (!both)
        return -ENOMEM;
    task.shared = &both->shared;
    task.figures = &both->figures;
    result = crew_run(crew, &role, 1, failure);
    *figures = both->figures;
    shared_free(both, sizeof(*both));
    return result;
}
