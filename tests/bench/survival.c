/* survival.c - the cases of deaths and moves, and their figures; see survival.h. */
#include "survival.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "death.h"
#include "load.h"
#include "move.h"
#include "plan.h"
#include "settings.h"
#include "storm.h"

/* In a ring of 4 MiB the writers have filled the ring by the time the victim is killed, and sleep; in larger ones they
 * would not have, so they rest: what is asked there is how the size matters. More kills where one takes less time: both
 * who are killed touch twice the size of the ring. */
static const struct death_case {
    const char *name;
    unsigned mib, kills;
    enum load_writers writers;
    bool rest;
} deaths[] = {
    {"4MiB", 4, 200, LOAD_FULL_SPEED, false}, {"4MiB_crowd", 4, 100, LOAD_CROWD, false},
    {"1MiB", 1, 60, LOAD_FULL_SPEED, true},   {"16MiB", 16, 60, LOAD_FULL_SPEED, true},
    {"64MiB", 64, 40, LOAD_FULL_SPEED, true}, {"256MiB", 256, 24, LOAD_FULL_SPEED, true},
};

#define DEATHS (sizeof(deaths) / sizeof(deaths[0]))
#define MIB    (UINT64_C(1) << 20)

void survival_init(struct survival *survival, const char *only)
{
    memset(survival, 0, sizeof(*survival));
    survival->only = only;
}

/* ---- figures ---------------------------------------------------------------------------------------------------- */

static void figure_add(struct survival *survival, const char *name, const char *system, const char *unit, double value)
{
    struct figure_label label = {.system = system, .unit = unit, .bytes = LOAD_BYTES, .writers = LOAD_WRITERS};

    label.readers = 1;
    snprintf(label.name, sizeof(label.name), "%s", name);
    figures_add(&survival->figures, &label, value);
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

static void death_figure(struct survival *survival, const char *what, const char *size, const char *part,
                         const char *system, double value)
{
    char name[FIGURE_NAME];

    snprintf(name, sizeof(name), "%s_%s_%s", what, size, part);
    figure_add(survival, name, system, "us", value);
}

static void death_keep(struct survival *survival, const char *size, const struct death_figures *figures)
{
    death_figure(survival, "death", size, "p50", "ringd", figures->p50_us);
    death_figure(survival, "death", size, "p99", "ringd", figures->p99_us);
    death_figure(survival, "death", size, "commit_p50", "ringd", figures->commit_p50_us);
    death_figure(survival, "death", size, "commit_p99", "ringd", figures->commit_p99_us);
    death_figure(survival, "exit", size, "hangup_p50", "machine", figures->hangup_p50_us);
    death_figure(survival, "exit", size, "hangup_p99", "machine", figures->hangup_p99_us);
    death_figure(survival, "exit", size, "lock_p50", "machine", figures->lock_p50_us);
    death_figure(survival, "death", size, "beyond_hangup", "ringd", figures->beyond_p50_us);
    survival->dropped += figures->dropped;
}

static void storm_keep(struct survival *survival, const struct storm_figures *figures)
{
    figure_add(survival, "storm_none", "ringd", "M records/s", figures->rates[STORM_NONE]);
    figure_add(survival, "storm_clean", "ringd", "M records/s", figures->rates[STORM_CLEAN]);
    figure_add(survival, "storm_kills", "ringd", "M records/s", figures->rates[STORM_KILLS]);
    figure_add(survival, "storm_clean_hz", "ringd", "1/s", figures->clean_hz);
    figure_add(survival, "storm_kills_hz", "ringd", "1/s", figures->kills_hz);
    figure_add(survival, "storm_share", "ringd", "of clean", figures->clean_share);
}

static void move_keep(struct survival *survival, const struct move_figures *figures)
{
    figure_add(survival, "move_64MiB_pause_p50", "ringd", "us", figures->with_p50_us);
    figure_add(survival, "move_64MiB_pause_p99", "ringd", "us", figures->with_p99_us);
    figure_add(survival, "move_none_pause_p50", "ringd", "us", figures->without_p50_us);
    figure_add(survival, "move_none_pause_p99", "ringd", "us", figures->without_p99_us);
    figure_add(survival, "move_64MiB_beyond_none", "ringd", "us", figures->with_p99_us - figures->without_p99_us);
    figure_add(survival, "move_64MiB_call_p50", "ringd", "us", figures->call_p50_us);
    figure_add(survival, "move_64MiB_rate", "ringd", "M records/s", figures->rate_with);
    figure_add(survival, "move_none_rate", "ringd", "M records/s", figures->rate_without);
}

/* A ring, another one while it moves, and something to live on. */
static bool memory_suffices(uint64_t ring_bytes)
{
    struct statvfs shm;

    return statvfs("/dev/shm", &shm) == 0 && (uint64_t)shm.f_bavail * shm.f_frsize >= 3 * ring_bytes;
}

static void failure_name(const char *what, char *failure)
{
    char text[CREW_TEXT];

    snprintf(text, sizeof(text), "%s: %.150s", what, failure);
    memcpy(failure, text, sizeof(text));
}

/* What of a case all others do too. */
struct survival_round {
    struct survival *survival;
    struct load *load;
    struct crew *crew;
    const int *cpus;
    char *failure;
};

static int death_measure(const struct survival_round *round, const struct death_case *one)
{
    const struct death death = {one->mib * MIB, one->kills, one->writers, one->rest};
    struct death_figures figures;
    char name[FIGURE_NAME];
    int result;

    snprintf(name, sizeof(name), "death_%s", one->name);
    if (!settings_wants(round->survival->only, name) || !memory_suffices(death.ring_bytes))
        return 0;
    result = death_run(round->load, round->crew, round->cpus, &death, &figures, round->failure);
    if (result)
        failure_name(name, round->failure);
    else
        death_keep(round->survival, one->name, &figures);
    return result;
}

static int storm_measure(const struct survival_round *round)
{
    struct storm_figures figures;
    int result;

    if (!settings_wants(round->survival->only, "storm"))
        return 0;
    result = storm_run(round->load, round->crew, round->cpus, &figures, round->failure);
    if (result)
        failure_name("storm", round->failure);
    else
        storm_keep(round->survival, &figures);
    return result;
}

static int move_measure(const struct survival_round *round)
{
    struct move_figures figures;
    int result;

    if (!settings_wants(round->survival->only, "move_64MiB") || !memory_suffices(MOVE_BYTES))
        return 0;
    result = move_run(round->load, round->crew, round->cpus, &figures, round->failure);
    if (result)
        failure_name("move_64MiB", round->failure);
    else
        move_keep(round->survival, &figures);
    return result;
}

int survival_round(struct survival *survival, struct crew *crew, const int cpus[2], char *failure)
{
    const struct survival_round round = {survival, load_new(), crew, cpus, failure};
    int result = 0;

    if (!round.load)
        return -ENOMEM;
    for (unsigned i = 0; i < DEATHS && !result; i++)
        result = death_measure(&round, &deaths[i]);
    if (!result)
        result = storm_measure(&round);
    if (!result)
        result = move_measure(&round);
    load_free(round.load);
    return result;
}

/* ---- saying ----------------------------------------------------------------------------------------------------- */

void survival_table(const struct survival *survival, FILE *out)
{
    if (survival->figures.count == 0)
        return;
    fprintf(out,
            "\nDeaths and moves, beside two writers and a lossless reader: median (p10, p90) of the repetitions\n");
    figures_table(&survival->figures, out);
    if (survival->dropped)
        fprintf(out, "  %u kills and commits did not count, as the reader still moved.\n", survival->dropped);
}
