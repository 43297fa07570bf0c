/* bench.c - `make bench`: how fast the ring is, side by side with what the machine can do at all.
 *
 *     bench BUILD FOLDER       (run.sh calls it)
 *
 * Runs BUILD/ringd in FOLDER, measures everything in REPS rounds (environment, 1 to 64, default 5) and prints: the
 * machine's limits, a table with ratios first, latency histograms, waiting and lanes, deaths and moves, what must be
 * reached. Writes
 * BUILD/bench.tsv. CASES (environment) names the only cases to run; then what must be reached is left out, but for
 * deaths and moves.
 *
 * Every record is filled and checked in full inside the time that is taken; everything goes through libringd.so and
 * ringd.h; counters are always on.
 *
 * Exit code: 0 when all of it ran and every record came out right, however fast; 1 when not; 2 for wrong arguments; 77
 * when the machine has only one processor for us.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "footprint.h"
#include "goals.h"
#include "plan.h"
#include "report.h"
#include "scale.h"
#include "server.h"
#include "settings.h"
#include "survival.h"
#include "syscount.h"

#define COUNTED_RECORDS UINT64_C(1000000)
#define EXIT_USAGE      2
#define EXIT_SKIPPED    77

struct bench {
    const char *build, *folder;
    unsigned reps;
    int cpus[2];
    struct server server;
    struct crew *crew;
    struct plan plan;
    struct survival survival;
    struct scale scale;
    struct goals_counted counted;
    char failure[CREW_TEXT];
};

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int arguments_parse(struct bench *bench, int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: bench BUILD FOLDER (tests/bench/run.sh calls it)\n");
        return -EINVAL;
    }
    bench->build = arguments[1];
    bench->folder = arguments[2];
    return settings_reps(&bench->reps);
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static int rounds_run(struct bench *bench)
{
    int result;

    fprintf(stderr, "bench: %u cases, %u repetitions, processors %d and %d\n", bench->plan.count, bench->reps,
            bench->cpus[0], bench->cpus[1]);
    result = plan_calibrate(&bench->plan, bench->crew, bench->cpus, bench->failure);
    for (unsigned round = 0; round < bench->reps && !result; round++) {
        fprintf(stderr, "bench: repetition %u of %u\n", round + 1, bench->reps);
        result = plan_round(&bench->plan, bench->crew, bench->cpus, bench->failure);
        if (!result)
            result = scale_round(&bench->scale, bench->crew, bench->cpus, bench->failure);
        if (!result)
            result = survival_round(&bench->survival, bench->crew, bench->cpus, bench->failure);
    }
    return result;
}

/* What cannot be measured here is said in the report; a wrong record is a failure. */
static int counts_run(struct bench *bench)
{
    const struct syscount_load busy = {.records = COUNTED_RECORDS, .busy = true},
                               waiting = {.records = COUNTED_RECORDS};
    struct goals_counted *counted = &bench->counted;
    char library[4096];

    snprintf(library, sizeof(library), "%s/libringd.so", bench->build);
    counted->text_result = footprint_text(library, &counted->text_bytes);
    counted->resident_result = footprint_resident(bench->server.pid, &counted->resident_bytes);
    counted->busy_result = syscount_run(bench->crew, bench->cpus, &busy, &counted->busy, bench->failure);
    if (!counted->busy_result)
        counted->waiting_result = syscount_run(bench->crew, bench->cpus, &waiting, &counted->waiting, bench->failure);
    else
        counted->waiting_result = counted->busy_result;
    if (counted->busy_result == -ECANCELED || counted->waiting_result == -ECANCELED)
        return -ECANCELED;
    return scale_once(&bench->scale, bench->crew, bench->cpus, bench->server.pid, bench->failure);
}

static int measure(struct bench *bench)
{
    int result = server_start(&bench->server, bench->build, bench->folder);

    snprintf(bench->failure, sizeof(bench->failure), "cannot start ringd");
    if (!result)
        result = counts_run(bench);
    if (!result)
        result = rounds_run(bench);
    if (result)
        fprintf(stderr, "bench: FAILED: %s\n", *bench->failure ? bench->failure : strerror(-result));
    if (server_stop(&bench->server) && !result) {
        fprintf(stderr, "bench: FAILED: ringd did not end as it should; see what it said above\n");
        result = -ECHILD;
    }
    return result;
}

/* ---- saying ----------------------------------------------------------------------------------------------------- */

static void conditions_print(const struct bench *bench)
{
    const struct plan *plan = &bench->plan;
    unsigned unsteady = 0;

    for (unsigned i = 0; i < plan->count; i++)
        unsteady += plan->entries[i].limits.unsteady;
    printf("ringd %s: %u repetitions of %u cases, processors %d and %d.\n", ringd_version(), bench->reps, plan->count,
           bench->cpus[0], bench->cpus[1]);
    printf("%u repetitions were dropped, as the hop moved by more than %.0f %% or others took more than %.0f %% of a\n"
           "processor; each is tried %u times at most, and %u were kept all the same, in cases marked *.\n",
           plan->repeat.dropped, 100 * (REPEAT_HOP_DRIFT - 1), 100 * (1 - REPEAT_SHARE), REPEAT_TRIES, unsteady);
    printf(
        "Rings of 1 MiB; records filled and checked in full; counters on; time none unless named. Readers of one_\n"
        "and latency_busy poll (RINGD_NO_WAIT); all others, and all writers, wait with RINGD_FOREVER. Columns xadds\n"
        "and hops: the value in units of the limit measured beside it; stream: its share of the streaming limit.\n");
}

static int tsv_write(const struct bench *bench)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/bench.tsv", bench->build);
    file = fopen(path, "we");
    if (!file) {
        fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(errno));
        return -EIO;
    }
    report_tsv(&bench->plan, &bench->scale, &bench->survival, file);
    return fclose(file) ? -EIO : 0;
}

static int report(const struct bench *bench)
{
    conditions_print(bench);
    machine_print(&bench->plan.machine, stdout);
    report_table(&bench->plan, stdout);
    report_histograms(&bench->plan, stdout);
    scale_table(&bench->scale, stdout);
    survival_table(&bench->survival, stdout);
    goals_report(&bench->plan, &bench->counted, &bench->scale, &bench->survival, stdout);
    return tsv_write(bench);
}

int main(int count, char **arguments)
{
    static struct bench bench;
    int result;

    if (arguments_parse(&bench, count, arguments))
        return EXIT_USAGE;
    if (crew_processors(bench.cpus)) {
        fprintf(stderr, "bench: skipped: two processors are needed and only one is allowed to this process\n");
        return EXIT_SKIPPED;
    }
    clock_init();
    plan_init(&bench.plan, getenv("CASES"));
    scale_init(&bench.scale, getenv("CASES"));
    survival_init(&bench.survival, getenv("CASES"));
    bench.crew = crew_new();
    result = bench.crew ? measure(&bench) : -ENOMEM;
    if (!result)
        result = report(&bench);
    crew_free(bench.crew);
    return result ? 1 : 0;
}
