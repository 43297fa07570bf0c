/* peers_plan.h - all cases on all peers, and what was measured of each.
 *
 * Entries stand case by case and, within one, peer by peer, ringd first; rounds go through them in that order, so that
 * what is compared is measured side by side. Repetitions are those of ../repeat.h. An entry that stalled or was refused
 * is not tried again in later rounds.
 *
 * Called by bench_peers.c; read by peers_report.c.
 */
#ifndef BENCH_PEERS_PLAN_H
#define BENCH_PEERS_PLAN_H

#include "../machine.h"
#include "../repeat.h"
#include "../stats.h"
#include "fault.h"
#include "play.h"

#define PEERS_ENTRIES 1200u
#define PEERS_CASES   80u
#define PEERS_MOST    32u

enum entry_state { ENTRY_FINE, ENTRY_STALLS, ENTRY_REFUSED };

struct peers_case {
    struct play_case play_case;
    bool is_fault;
    enum fault_kind fault;
};

struct peers_entry {
    const struct peers_case *peers_case;
    const struct peer *peer;
    enum entry_state state;
    char why[CREW_TEXT];                /* it was refused */
    struct series values[PLAY_FIGURES]; /* a fault: microseconds, records lost */
    struct repeat_series limits;
    struct histogram histogram;
};

struct peers_plan {
    struct peers_case cases[PEERS_CASES];
    unsigned case_count;
    struct peers_entry entries[PEERS_ENTRIES];
    unsigned count;
    char skipped[PEERS_MOST][CREW_TEXT]; /* by peers_all[]: why it is left out, "" if it is not */
    struct repeat repeat;
    struct machine machine;
    struct play_shared *shared;
    const char *folder;
};

/* `cases`, `peers`: as settings_wants. -ENOMEM. */
int peers_plan_init(struct peers_plan *plan, const char *cases, const char *peers, const char *folder);

/* 0, or negative with `failure` (CREW_TEXT bytes): a record came out wrong, or a process failed. */
int peers_plan_round(struct peers_plan *plan, struct crew *crew, const int cpus[2], char *failure);

/* What ringd did in the same case; NULL: it was left out. */
const struct peers_entry *peers_plan_ringd(const struct peers_plan *plan, const struct peers_entry *entry);

bool peers_case_is_latency(const struct peers_case *peers_case);

#endif
