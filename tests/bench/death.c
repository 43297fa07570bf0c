/* death.c - kills of writers in mid-record; see death.h. The director of the load kills. */
#define _GNU_SOURCE
#include "death.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "exit.h"
#include "payload.h"

#define GRANT_BYTES  1000u /* of a victim; no record of the load is as large */
#define STILL_LOOKS  8u
#define STILL_NAP_US 200
#define AWAIT_NS     INT64_C(10000000000)
#define DROPPED_MOST 4u /* times the kills that are wanted */
#define COMMIT_PART  5u /* every so manyth victim commits */

enum { SERIES_RECORD, SERIES_COMMIT, SERIES_HANGUP, SERIES_LOCK, SERIES_BEYOND };

/* Added to what may be less than nothing: samples may not. */
#define BEYOND_ZERO_NS INT64_C(1000000000)

struct death_task {
    struct load *load;
    const struct death *death;
};

/* The director, on its way. */
struct killer {
    struct load *load;
    struct crew *crew;
    unsigned self;
    bool rest;
    uint64_t kills, commits; /* of its victims */
    uint32_t dropped;
};

struct victim {
    pid_t pid;
    int socket;
};

/* ---- the victim ------------------------------------------------------------------------------------------------- */

static void victim_attach(const struct killer *killer, struct ringd_writer **writer)
{
    const struct ringd_writer_options options = {.deadline = RINGD_FOREVER, .type = LOAD_DIRECTOR};
    struct ringd *ring;
    int result = ringd_open(&ring, LOAD_RING);

    if (!result)
        result = ringd_writer_open(writer, ring, &options);
    if (!result)
        result = rings_touch();
    if (result)
        crew_fail(killer->crew, killer->self, "a victim cannot attach", result);
}

/* It is killed while it waits for the third word of its killer, or is told to commit. */
static _Noreturn void victim_play(const struct killer *killer, int socket)
{
    struct ringd_writer *writer;
    size_t granted;
    void *data;
    int result;

    victim_attach(killer, &writer);
    child_say(socket);
    child_await(socket, killer->crew, killer->self, "a victim has lost its killer");
    result = ringd_reserve(writer, GRANT_BYTES, GRANT_BYTES, &data, &granted);
    if (result)
        crew_fail(killer->crew, killer->self, "a victim cannot reserve", result);
    payload_fill(data, LOAD_BYTES, payload_first(LOAD_DIRECTOR, killer->commits));
    child_say(socket);
    child_await(socket, killer->crew, killer->self, "a victim has lost its killer");
    killer->load->commit_ns = clock_now_ns();
    result = ringd_commit(writer, LOAD_BYTES);
    if (result)
        crew_fail(killer->crew, killer->self, "a victim cannot commit", result);
    ringd_writer_close(writer);
    _exit(0);
}

static struct victim victim_begin(const struct killer *killer)
{
    struct victim victim;

    victim.pid = child_fork(&victim.socket, killer->crew, killer->self);
    if (victim.pid == 0)
        victim_play(killer, victim.socket);
    child_await(victim.socket, killer->crew, killer->self, "a victim has ended before it was killed");
    return victim;
}

/* Returns when it holds its grant. */
static void victim_reserve(const struct killer *killer, const struct victim *victim)
{
    child_say(victim->socket);
    child_await(victim->socket, killer->crew, killer->self, "a victim has ended before it was killed");
}

static void victim_end(const struct victim *victim)
{
    waitpid(victim->pid, NULL, 0);
    close(victim->socket);
}

/* ---- the killer ------------------------------------------------------------------------------------------------- */

/* Returns when the reader has stood still for a while, with what it has received. */
static uint64_t still_await(const struct killer *killer)
{
    int64_t until_ns = clock_now_ns() + AWAIT_NS;
    uint64_t received = load_received(killer->load);

    for (unsigned looks = 0; looks < STILL_LOOKS; looks++) {
        uint64_t before = received;

        load_nap(STILL_NAP_US);
        received = load_received(killer->load);
        if (received != before)
            looks = 0;
        if (clock_now_ns() > until_ns)
            crew_fail(killer->crew, killer->self, "the reader goes on although a writer is in mid-record", 0);
    }
    return received;
}

/* False: the reader had not stood still after `received` records. */
static bool next_await(const struct killer *killer, uint64_t received)
{
    struct load *load = killer->load;
    int64_t until_ns = clock_now_ns() + AWAIT_NS;

    while (atomic_load_explicit(&load->watch, memory_order_acquire) != LOAD_NOTHING) {
        if (clock_now_ns() > until_ns)
            crew_fail(killer->crew, killer->self, "ten seconds after a writer's death the reader still waits", 0);
        load_nap(500);
    }
    return load->next.received == received;
}

/* From kill to record. 0: it does not count. */
static int64_t kill_time(const struct killer *killer, const struct victim *victim, uint64_t received)
{
    struct load *load = killer->load;
    int64_t start_ns;

    atomic_store_explicit(&load->watch, received, memory_order_release);
    start_ns = clock_now_ns();
    kill(victim->pid, SIGKILL);
    victim_end(victim);
    if (!next_await(killer, received) || load->next.hole_bytes < GRANT_BYTES)
        return 0;
    return load->next.at_ns - start_ns;
}

/* A pair of kills, one right after the other. Both are with the writer in mid-record and the reader before it. Who is
 * killed second has a little less to take down, as the first one's mappings are gone. Where the writers rest it is the
 * same for both whether the reader has gone on, and they take turns; else it is the victim. False: it does not count.
 */
static bool kill_measure(struct killer *killer, const struct victim *victim, struct exit_process *other)
{
    bool victim_first = killer->rest && killer->kills++ % 2 == 1;
    uint64_t received = still_await(killer);
    struct exit_times times;
    int64_t record_ns = 0;

    if (victim_first)
        record_ns = kill_time(killer, victim, received);
    times = exit_measure(other, killer->crew, killer->self);
    if (!victim_first)
        record_ns = kill_time(killer, victim, received);
    if (record_ns == 0)
        return false;
    load_sample(killer->load, SERIES_RECORD, record_ns);
    load_sample(killer->load, SERIES_HANGUP, times.hangup_ns);
    load_sample(killer->load, SERIES_LOCK, times.lock_ns);
    load_sample(killer->load, SERIES_BEYOND, BEYOND_ZERO_NS + record_ns - times.hangup_ns);
    return true;
}

static bool commit_measure(struct killer *killer, const struct victim *victim)
{
    struct load *load = killer->load;
    uint64_t received = still_await(killer);

    atomic_store_explicit(&load->watch, received, memory_order_release);
    child_say(victim->socket);
    victim_end(victim);
    killer->commits++;
    if (!next_await(killer, received) || load->next.writer != LOAD_DIRECTOR)
        return false;
    load_sample(load, SERIES_COMMIT, load->next.at_ns - load->commit_ns);
    return true;
}

static bool victim_measure(struct killer *killer, bool commits)
{
    struct exit_process other;
    struct victim victim;
    bool counts;

    if (!commits)
        exit_begin(&other, killer->crew, killer->self, LOAD_RING);
    victim = victim_begin(killer);
    victim_reserve(killer, &victim);
    atomic_store_explicit(&killer->load->rest, killer->rest, memory_order_relaxed);
    counts = commits ? commit_measure(killer, &victim) : kill_measure(killer, &victim, &other);
    atomic_store_explicit(&killer->load->rest, false, memory_order_relaxed);
    return counts;
}

static void direct_kills(struct crew *crew, unsigned self, const void *task)
{
    const struct death_task *own = task;
    unsigned wanted = own->death->kills + own->death->kills / (COMMIT_PART - 1);
    struct killer killer = {.load = own->load, .crew = crew, .self = self, .rest = own->death->rest};

    crew_ready(crew, self);
    for (unsigned i = 0; i < wanted;) {
        if (victim_measure(&killer, i % COMMIT_PART == COMMIT_PART - 1))
            i++;
        else if (++killer.dropped > DROPPED_MOST * wanted)
            crew_fail(crew, self, "the reader does not stand still although a writer is in mid-record", 0);
    }
    crew_done(crew, self);
    crew->sample_count = killer.dropped;
    load_stop(own->load, killer.commits);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

int death_run(struct load *load, struct crew *crew, const int cpus[2], const struct death *death,
              struct death_figures *figures, char *failure)
{
    const struct ringd_ring_options options = {.size = death->ring_bytes};
    const struct death_task task = {load, death};
    int result;

    load->writers = death->writers;
    result = load_run(load, crew, cpus, &options, direct_kills, &task, failure);
    if (result)
        return result;
    *figures = (struct death_figures){
        .p50_us = load_quantile(load, SERIES_RECORD, 0.5) / 1e3,
        .p99_us = load_quantile(load, SERIES_RECORD, 0.99) / 1e3,
        .commit_p50_us = load_quantile(load, SERIES_COMMIT, 0.5) / 1e3,
        .commit_p99_us = load_quantile(load, SERIES_COMMIT, 0.99) / 1e3,
        .hangup_p50_us = load_quantile(load, SERIES_HANGUP, 0.5) / 1e3,
        .hangup_p99_us = load_quantile(load, SERIES_HANGUP, 0.99) / 1e3,
        .lock_p50_us = load_quantile(load, SERIES_LOCK, 0.5) / 1e3,
        .beyond_p50_us = (load_quantile(load, SERIES_BEYOND, 0.5) - BEYOND_ZERO_NS) / 1e3,
        .dropped = crew->sample_count,
    };
    return 0;
}
