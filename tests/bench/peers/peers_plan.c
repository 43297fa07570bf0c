/* peers_plan.c - the list of cases and peers, and the rounds; see peers_plan.h. */
#include "peers_plan.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../settings.h"

#define RETRY_S      30u /* REPS=1 is to end within five minutes */
#define RING_SMALL   (UINT64_C(1) << 18)
#define RING_DEFAULT (UINT64_C(1) << 20)
#define RING_LARGE   (UINT64_C(1) << 24)

static const uint32_t sizes_bytes[] = {8, 64, 256, 1024, 65536};
#define SIZES (sizeof(sizes_bytes) / sizeof(sizes_bytes[0]))

/* ---- the list --------------------------------------------------------------------------------------------------- */

static void case_add(struct peers_plan *plan, const char *only, const struct peers_case *peers_case)
{
    if (!settings_wants(only, peers_case->play_case.name))
        return;
    assert(plan->case_count < PEERS_CASES);
    plan->cases[plan->case_count++] = *peers_case;
}

static void sizes_add(struct peers_plan *plan, const char *only, const char *name, enum play_shape shape,
                      uint32_t writers, uint32_t readers, uint64_t ring_bytes)
{
    struct peers_case peers_case = {
        .play_case = {.name = name, .shape = shape, .writers = writers, .readers = readers, .ring_bytes = ring_bytes}};

    for (unsigned i = 0; i < SIZES; i++) {
        peers_case.play_case.bytes = sizes_bytes[i];
        case_add(plan, only, &peers_case);
    }
}

static void fault_add(struct peers_plan *plan, const char *only, const char *name, enum fault_kind kind)
{
    bool reader = kind == FAULT_READER_KILLED;
    struct peers_case peers_case = {
        .play_case = {.name = name, .bytes = FAULT_BYTES, .writers = reader ? 1 : 2, .readers = reader ? 2 : 1},
        .is_fault = true,
        .fault = kind};

    case_add(plan, only, &peers_case);
}

static void cases_list(struct peers_plan *plan, const char *only)
{
    sizes_add(plan, only, "write", PLAY_WRITE, 1, 1, RING_DEFAULT);
    sizes_add(plan, only, "one", PLAY_STREAM, 1, 1, RING_DEFAULT);
    sizes_add(plan, only, "one_256KiB", PLAY_STREAM, 1, 1, RING_SMALL);
    sizes_add(plan, only, "one_16MiB", PLAY_STREAM, 1, 1, RING_LARGE);
    sizes_add(plan, only, "latency_busy", PLAY_BUSY, 1, 1, RING_DEFAULT);
    sizes_add(plan, only, "latency_sleeping", PLAY_SLEEPING, 1, 1, RING_DEFAULT);
    sizes_add(plan, only, "many", PLAY_STREAM, 2, 1, RING_DEFAULT);
    sizes_add(plan, only, "many", PLAY_STREAM, 4, 1, RING_DEFAULT);
    sizes_add(plan, only, "many", PLAY_STREAM, 8, 1, RING_DEFAULT);
    sizes_add(plan, only, "fan", PLAY_STREAM, 1, 2, RING_DEFAULT);
    sizes_add(plan, only, "fan", PLAY_STREAM, 1, 4, RING_DEFAULT);
    fault_add(plan, only, "fault_writer_killed", FAULT_WRITER_KILLED);
    fault_add(plan, only, "fault_writer_stopped", FAULT_WRITER_STOPPED);
    fault_add(plan, only, "fault_reader_killed", FAULT_READER_KILLED);
}

static void peers_list(struct peers_plan *plan, const char *only)
{
    for (unsigned i = 0; peers_all[i]; i++) {
        const char *why = NULL;

        assert(i < PEERS_MOST);
        if (!settings_wants(only, peers_all[i]->name))
            why = "not asked for";
        else if (peers_all[i]->missing)
            why = peers_all[i]->missing();
        snprintf(plan->skipped[i], CREW_TEXT, "%s", why ? why : "");
    }
}

static bool entry_can(const struct peer *peer, const struct peers_case *peers_case)
{
    return peers_case->is_fault ? fault_can(peer, peers_case->fault) : play_can(peer, &peers_case->play_case);
}

int peers_plan_init(struct peers_plan *plan, const char *cases, const char *peers, const char *folder)
{
    plan->folder = folder;
    plan->shared = shared_new(sizeof(*plan->shared));
    if (!plan->shared)
        return -ENOMEM;
    cases_list(plan, cases);
    peers_list(plan, peers);
    for (unsigned i = 0; i < plan->case_count; i++) {
        for (unsigned k = 0; peers_all[k]; k++) {
            if (*plan->skipped[k] || !entry_can(peers_all[k], &plan->cases[i]))
                continue;
            assert(plan->count < PEERS_ENTRIES);
            plan->entries[plan->count++] =
                (struct peers_entry){.peers_case = &plan->cases[i], .peer = peers_all[k], .state = ENTRY_FINE};
        }
    }
    return 0;
}

bool peers_case_is_latency(const struct peers_case *peers_case)
{
    return !peers_case->is_fault &&
           (peers_case->play_case.shape == PLAY_BUSY || peers_case->play_case.shape == PLAY_SLEEPING);
}

const struct peers_entry *peers_plan_ringd(const struct peers_plan *plan, const struct peers_entry *entry)
{
    while (entry > plan->entries && entry[-1].peers_case == entry->peers_case)
        entry--;
    return entry->peer == peers_all[0] && entry->state == ENTRY_FINE ? entry : NULL;
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

struct entry_task {
    struct peers_plan *plan;
    struct peers_entry *entry;
    struct play play;
    struct fault_figures fault;
    struct histogram histogram;
};

static int play_play(void *task, double *share, char *failure)
{
    struct entry_task *own = task;
    struct crew *crew = own->plan->repeat.crew;
    int result = play_run(&own->play, failure);

    *share = own->play.share;
    own->histogram.count = 0;
    if (!result && peers_case_is_latency(own->entry->peers_case))
        histogram_init(&own->histogram, crew->samples, crew->sample_count, play_sample_ns);
    return result;
}

static int fault_play(void *task, double *share, char *failure)
{
    const struct peers_plan *plan = ((struct entry_task *)task)->plan;
    struct entry_task *own = task;

    *share = 1;
    return fault_run(own->entry->peer, own->entry->peers_case->fault, plan->folder, plan->repeat.crew,
                     plan->repeat.cpus, &own->fault, failure);
}

/* A stall and a refusal are results. */
static int failure_judge(struct entry_task *task, int result, char *failure)
{
    const struct peers_case *peers_case = task->entry->peers_case;
    char text[CREW_TEXT];

    if (task->plan->repeat.crew->timed_out) {
        task->entry->state = ENTRY_STALLS;
        return 0;
    }
    if (task->play.refused) {
        task->entry->state = ENTRY_REFUSED;
        snprintf(task->entry->why, CREW_TEXT, "%s", failure);
        return 0;
    }
    snprintf(text, sizeof(text), "%s on %s, %u bytes, %u to %u: %.110s", peers_case->play_case.name,
             task->entry->peer->name, peers_case->play_case.bytes, peers_case->play_case.writers,
             peers_case->play_case.readers, failure);
    memcpy(failure, text, sizeof(text));
    return result;
}

static int entry_repeat(struct peers_plan *plan, struct peers_entry *entry, char *failure)
{
    bool is_fault = entry->peers_case->is_fault;
    struct entry_task task = {.plan = plan,
                              .entry = entry,
                              .play = {.peer = entry->peer,
                                       .play_case = &entry->peers_case->play_case,
                                       .folder = plan->folder,
                                       .crew = plan->repeat.crew,
                                       .cpus = plan->repeat.cpus,
                                       .shared = plan->shared}};
    int result = repeat_run(&plan->repeat, is_fault ? fault_play : play_play, &task, &entry->limits, failure);

    if (result)
        return failure_judge(&task, result, failure);
    if (is_fault) {
        if (isnan(task.fault.next_us))
            entry->state = ENTRY_STALLS;
        series_add(&entry->values[0], task.fault.next_us);
        series_add(&entry->values[1], task.fault.lost);
        return 0;
    }
    for (unsigned i = 0; i < PLAY_FIGURES; i++)
        series_add(&entry->values[i], task.play.figures[i]);
    if (task.histogram.count)
        histogram_merge(&entry->histogram, &task.histogram);
    return 0;
}

int peers_plan_round(struct peers_plan *plan, struct crew *crew, const int cpus[2], char *failure)
{
    int result = machine_measure(&plan->machine, crew, cpus, failure);

    plan->repeat.crew = crew;
    plan->repeat.cpus = cpus;
    repeat_round(&plan->repeat, RETRY_S);
    for (unsigned i = 0; i < plan->count && !result; i++) {
        struct peers_entry *entry = &plan->entries[i];

        if (entry->state == ENTRY_FINE)
            result = entry_repeat(plan, entry, failure);
    }
    return result;
}
