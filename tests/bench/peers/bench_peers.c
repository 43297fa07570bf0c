/* bench_peers.c - `make bench-peers`: the same work on ringd and on what people use today.
 *
 *     bench_peers BUILD FOLDER       (../run.sh calls it)
 *
 * Runs BUILD/ringd in FOLDER, measures everything in REPS rounds (environment, 1 to 64, default 5) and prints the
 * machine's limits, one table, and which systems there are or are left out and why. Writes BUILD/bench-peers.tsv and
 * BUILD/bench-peers-latency.tsv. CASES and PEERS (environment) name the only ones to run.
 *
 * Exit code: 0 when all of it ran and every record came out right, however fast, or it stalled; 1 when not; 2 for wrong
 * arguments; 77 when the machine has only one processor for us.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../server.h"
#include "../settings.h"
#include "peers_plan.h"
#include "peers_report.h"
#include "ringd.h"

#define EXIT_USAGE   2
#define EXIT_SKIPPED 77

struct bench_peers {
    const char *build, *folder;
    unsigned reps;
    int cpus[2];
    struct server server;
    struct crew *crew;
    struct peers_plan plan;
    char failure[CREW_TEXT];
};

static int measure(struct bench_peers *bench)
{
    int result = server_start(&bench->server, bench->build, bench->folder);

    snprintf(bench->failure, sizeof(bench->failure), "cannot start ringd");
    if (!result)
        fprintf(stderr, "bench-peers: %u rows, %u repetitions, processors %d and %d\n", bench->plan.count, bench->reps,
                bench->cpus[0], bench->cpus[1]);
    for (unsigned round = 0; round < bench->reps && !result; round++) {
        fprintf(stderr, "bench-peers: repetition %u of %u\n", round + 1, bench->reps);
        result = peers_plan_round(&bench->plan, bench->crew, bench->cpus, bench->failure);
    }
    if (result)
        fprintf(stderr, "bench-peers: FAILED: %s\n", *bench->failure ? bench->failure : strerror(-result));
    if (server_stop(&bench->server) && !result) {
        fprintf(stderr, "bench-peers: FAILED: ringd did not end as it should; see what it said above\n");
        result = -ECHILD;
    }
    return result;
}

static int file_write(const struct bench_peers *bench, const char *name,
                      void (*write)(const struct peers_plan *plan, FILE *out))
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", bench->build, name);
    file = fopen(path, "we");
    if (!file) {
        fprintf(stderr, "bench-peers: cannot write %s: %s\n", path, strerror(errno));
        return -EIO;
    }
    write(&bench->plan, file);
    return fclose(file) ? -EIO : 0;
}

static int report(const struct bench_peers *bench)
{
    unsigned unsteady = 0;
    int result;

    for (unsigned i = 0; i < bench->plan.count; i++)
        unsteady += bench->plan.entries[i].limits.unsteady;
    printf(
        "ringd %s: %u repetitions of %u rows, processors %d and %d. %u repetitions were dropped as disturbed, %u were\n"
        "kept all the same, in rows marked *. Rings of 1 MiB unless the case says so; records filled and checked in\n"
        "full. x ringd: how many times ringd's value, measured in the same round (above 1: ringd is ahead).\n",
        ringd_version(), bench->reps, bench->plan.count, bench->cpus[0], bench->cpus[1], bench->plan.repeat.dropped,
        unsteady);
    machine_print(&bench->plan.machine, stdout);
    peers_report_table(&bench->plan, stdout);
    peers_report_skipped(&bench->plan, stdout);
    result = file_write(bench, "bench-peers.tsv", peers_report_tsv);
    return result ? result : file_write(bench, "bench-peers-latency.tsv", peers_report_histograms);
}

int main(int count, char **arguments)
{
    static struct bench_peers bench;
    int result;

    if (count != 3) {
        fprintf(stderr, "usage: bench_peers BUILD FOLDER (tests/bench/run.sh calls it)\n");
        return EXIT_USAGE;
    }
    bench.build = arguments[1];
    bench.folder = arguments[2];
    if (settings_reps(&bench.reps))
        return EXIT_USAGE;
    if (crew_processors(bench.cpus)) {
        fprintf(stderr, "bench-peers: skipped: two processors are needed and only one is allowed to this process\n");
        return EXIT_SKIPPED;
    }
    clock_init();
    bench.crew = crew_new();
    result = bench.crew ? peers_plan_init(&bench.plan, getenv("CASES"), getenv("PEERS"), bench.folder) : -ENOMEM;
    if (!result)
        result = measure(&bench);
    if (!result)
        result = report(&bench);
    crew_free(bench.crew);
    return result ? 1 : 0;
}
