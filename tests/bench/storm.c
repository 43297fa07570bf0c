/* storm.c - contexts that come and are killed beside running writers; see storm.h. The director of the load sends them.
 *
 * A comer that is to be killed does it itself, in mid-record: nobody has to be woken for it, so all that the others may
 * notice is what the kernel and ringd need. Both kinds come at the same moments, counted from the beginning of a
 * stretch; a comer that is late is not made up for.
 *
 * All that the clean ones commit is one row of records, as of one writer: there is one of them at a time.
 */
#define _GNU_SOURCE
#include "storm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "payload.h"
#include "stats.h"

#define RING_BYTES     (UINT64_C(4) << 20)
#define STRETCH_NS     INT64_C(200000000)
#define INTERVAL_NS    INT64_C(10000000)
#define SETTLE_US      20000
#define TURNS          4u
#define TURN_STRETCHES (sizeof(turn) / sizeof(turn[0]))

/* What comes first gains nothing by it. */
static const enum storm_kind turn[] = {STORM_NONE, STORM_CLEAN, STORM_KILLS, STORM_KILLS, STORM_CLEAN};

struct storm_task {
    struct load *load;
    struct storm_stretch *stretches; /* shared; TURNS x TURN_STRETCHES */
};

struct storm_stretch {
    double rate, hz;
};

/* ---- those who come --------------------------------------------------------------------------------------------- */

static void comer_attach(struct crew *crew, unsigned self, struct ringd_writer **writer)
{
    const struct ringd_writer_options options = {.deadline = RINGD_FOREVER, .type = LOAD_DIRECTOR};
    struct ringd *ring;
    int result = ringd_open(&ring, LOAD_RING);

    if (!result)
        result = ringd_writer_open(writer, ring, &options);
    if (result)
        crew_fail(crew, self, "a context of the storm cannot attach", result);
    ringd_close(ring);
}

static _Noreturn void comer_play(struct crew *crew, unsigned self, enum storm_kind kind, uint64_t sequence)
{
    struct ringd_writer *writer;
    size_t granted;
    void *data;
    int result;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    comer_attach(crew, self, &writer);
    result = ringd_reserve(writer, LOAD_BYTES, LOAD_BYTES, &data, &granted);
    if (result)
        crew_fail(crew, self, "a context of the storm cannot reserve", result);
    if (kind == STORM_KILLS)
        kill(getpid(), SIGKILL);
    payload_fill(data, LOAD_BYTES, payload_first(LOAD_DIRECTOR, sequence));
    result = ringd_commit(writer, LOAD_BYTES);
    if (result)
        crew_fail(crew, self, "a context of the storm cannot commit", result);
    ringd_writer_close(writer);
    _exit(0);
}

static void comer_send(struct crew *crew, unsigned self, enum storm_kind kind, uint64_t sequence)
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        crew_fail_errno(crew, self, "cannot start a process", -errno);
    if (pid == 0)
        comer_play(crew, self, kind, sequence);
    if (waitpid(pid, &status, 0) != pid)
        crew_fail_errno(crew, self, "cannot wait for a process", -errno);
    if (kind == STORM_KILLS ? !WIFSIGNALED(status) : status != 0)
        _exit(1); /* it has said why */
}

/* ---- the director ----------------------------------------------------------------------------------------------- */

static void time_await(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* Returns how many have come. */
static unsigned comers_send(struct crew *crew, unsigned self, enum storm_kind kind, int64_t until_ns,
                            uint64_t *sequence)
{
    unsigned count = 0;

    for (int64_t next_ns = clock_now_ns(); next_ns < until_ns; next_ns += INTERVAL_NS) {
        if (next_ns < clock_now_ns() - INTERVAL_NS)
            continue;
        time_await(next_ns);
        comer_send(crew, self, kind, *sequence);
        *sequence += kind == STORM_CLEAN;
        count++;
    }
    return count;
}

static void stretch_run(const struct storm_task *task, struct crew *crew, unsigned self, unsigned stretch,
                        uint64_t *sequence)
{
    enum storm_kind kind = turn[stretch % TURN_STRETCHES];
    uint64_t before = load_received(task->load);
    int64_t start_ns = clock_now_ns(), elapsed_ns;
    unsigned count = 0;

    if (kind != STORM_NONE)
        count = comers_send(crew, self, kind, start_ns + STRETCH_NS, sequence);
    time_await(start_ns + STRETCH_NS);
    elapsed_ns = clock_now_ns() - start_ns;
    task->stretches[stretch] = (struct storm_stretch){
        .rate = (double)(load_received(task->load) - before) * 1e3 / (double)elapsed_ns,
        .hz = count * 1e9 / (double)elapsed_ns,
    };
}

static void direct_storm(struct crew *crew, unsigned self, const void *task)
{
    const struct storm_task *own = task;
    uint64_t sequence = 0;

    crew_ready(crew, self);
    for (unsigned i = 0; i < TURNS * TURN_STRETCHES; i++) {
        load_nap(SETTLE_US);
        stretch_run(own, crew, self, i, &sequence);
    }
    crew_done(crew, self);
    load_stop(own->load, sequence);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static void figures_fill(const struct storm_stretch *stretches, struct storm_figures *figures)
{
    struct series rates[STORM_KINDS] = {{.count = 0}}, hz[STORM_KINDS] = {{.count = 0}};

    for (unsigned i = 0; i < TURNS * TURN_STRETCHES; i++) {
        enum storm_kind kind = turn[i % TURN_STRETCHES];

        series_add(&rates[kind], stretches[i].rate);
        series_add(&hz[kind], stretches[i].hz);
    }
    for (unsigned kind = 0; kind < STORM_KINDS; kind++)
        figures->rates[kind] = series_median(&rates[kind]);
    figures->clean_share = series_median_ratio(&rates[STORM_KILLS], &rates[STORM_CLEAN]);
    figures->clean_hz = series_median(&hz[STORM_CLEAN]);
    figures->kills_hz = series_median(&hz[STORM_KILLS]);
}

int storm_run(struct load *load, struct crew *crew, const int cpus[2], struct storm_figures *figures, char *failure)
{
    const struct ringd_ring_options options = {.size = RING_BYTES};
    struct storm_stretch *stretches = (struct storm_stretch *)crew->buffer;
    const struct storm_task task = {load, stretches};
    int result;

    load->writers = LOAD_FULL_SPEED;
    result = load_run(load, crew, cpus, &options, direct_storm, &task, failure);
    if (!result)
        figures_fill(stretches, figures);
    return result;
}
