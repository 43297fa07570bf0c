/* ringctl_walk.c - doctor's look at the memory of a ring: limit and position, every record, marks, cursors.
 *
 * The records are walked from the oldest that is certainly there to the frontier as it was at the start: all of that is
 * final. Each has to be stamped for its very position and to lead to the next; each writer's sequence numbers count up
 * by one. Writers may overwrite the oldest meanwhile: whatever looks odd below the floor as it is afterwards was
 * overwritten while it was looked at, and the walk goes on at the floor.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "ringctl_doctor.h"

struct walk {
    struct patient *patient;
    struct look_at_ring start;
    uint64_t from, position;
    uint64_t records, paddings;
    uint64_t overtaken_bytes;
    uint32_t first_writer; /* the lane's: those below are by its bits */
    bool known[RINGD_WRITERS_PER_LANE];
    uint32_t next[RINGD_WRITERS_PER_LANE]; /* sequence number, as it stands in band */
    uint64_t marks[RINGD_MARKS];
    uint32_t marks_met;
};

/* Something is odd at the walk's position: it has been overwritten, and the walk goes on behind that. */
static bool was_overtaken(struct walk *walk)
{
    uint64_t floor = patient_floor(walk->patient);

    if ((int64_t)(walk->position - floor) >= 0)
        return false;
    walk->overtaken_bytes += floor - walk->position;
    walk->position = floor;
    memset(walk->known, 0, sizeof walk->known);
    return true;
}

static void say_damage(struct walk *walk, const char *what, uint64_t found, uint64_t expected)
{
    struct finding *finding = find(
        walk->patient, VERDICT_WRONG, "records",
        "damaged at position %llu: %s (%llu, not %llu); up to there %llu records from %llu on are as they should be",
        (unsigned long long)walk->position, what, (unsigned long long)found, (unsigned long long)expected,
        (unsigned long long)walk->records, (unsigned long long)walk->from);

    if (finding != NULL)
        finding->position = walk->position;
}

/* What is wrong with a record, or NULL. */
static const char *find_fault(const struct walk *walk, const struct record_seen *record, uint64_t *found,
                              uint64_t *expected)
{
    *found = record->state;
    *expected = RINGD_STATE_COMMITTED;
    if (record->state == 0)
        return "there is no stamp for it";
    *found = record->bytes;
    *expected = walk->patient->ring.max_grant;
    if (record->bytes > walk->patient->ring.max_grant)
        return "it is longer than any grant";
    *found = walk->position + record->bytes;
    *expected = walk->start.frontier;
    if ((int64_t)(*expected - *found) < 0)
        return "it reaches beyond what was granted";
    if (record->state == RINGD_STATE_PADDING)
        return NULL;
    *found = record->writer;
    *expected = walk->first_writer + RINGD_WRITERS_PER_LANE - 1;
    if (record->writer - walk->first_writer >= RINGD_WRITERS_PER_LANE)
        return "it is of no writer that there can be";
    *found = record->sequence;
    *expected = walk->next[record->writer - walk->first_writer];
    return walk->known[record->writer - walk->first_writer] && *found != *expected
               ? "it is not the next record of its writer"
               : NULL;
}

static void pass_record(struct walk *walk, const struct record_seen *record)
{
    for (uint32_t i = 0; i < RINGD_MARKS; i++)
        walk->marks_met |= (uint32_t)(walk->marks[i] == walk->position) << i;
    if (record->state == RINGD_STATE_COMMITTED) {
        walk->known[record->writer - walk->first_writer] = true;
        walk->next[record->writer - walk->first_writer] = record->sequence + 1;
        walk->records++;
    } else {
        walk->paddings++;
    }
    walk->position += record->bytes;
}

/* False: damaged, which has been said. */
static bool walk_on(struct walk *walk)
{
    while ((int64_t)(walk->start.frontier - walk->position) > 0) {
        uint64_t found = 0, expected = 0;
        struct record_seen record;
        const char *fault;

        patient_record(walk->patient, walk->position, &record);
        fault = find_fault(walk, &record, &found, &expected);
        if (was_overtaken(walk))
            continue;
        if (fault != NULL) {
            say_damage(walk, fault, found, expected);
            return false;
        }
        pass_record(walk, &record);
    }
    return true;
}

static void say_records(const struct walk *walk)
{
    char overtaken[96] = "";

    if (walk->overtaken_bytes > 0)
        snprintf(overtaken, sizeof overtaken, "; %llu bytes were overwritten before they were looked at",
                 (unsigned long long)walk->overtaken_bytes);
    find(walk->patient, VERDICT_OK, "records",
         "%llu records and %llu paddings from position %llu to %llu, each writer's in sequence%s",
         (unsigned long long)walk->records, (unsigned long long)walk->paddings, (unsigned long long)walk->from,
         (unsigned long long)walk->start.frontier, overtaken);
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

static void load_marks(struct walk *walk)
{
    for (uint32_t i = 0; i < RINGD_MARKS; i++)
        walk->marks[i] = atomic_load_explicit(&walk->patient->ring.lane->marks[i], memory_order_relaxed);
}

/* After the walk: a mark that lies where it went is at a record's beginning. */
static void examine_marks(struct walk *walk)
{
    uint64_t floor = patient_floor(walk->patient);
    uint32_t wrong = 0, in_use = 0;
    struct finding *finding;
    uint64_t position = 0;

    for (uint32_t i = 0; i < RINGD_MARKS; i++) {
        uint64_t mark = walk->marks[i];
        bool inside = (int64_t)(mark - floor) >= 0 && (int64_t)(mark - walk->from) >= 0 &&
                      (int64_t)(walk->start.frontier - mark) > 0;

        in_use += inside;
        if (mark % RINGD_UNIT == 0 && (!inside || (walk->marks_met >> i & 1)))
            continue;
        wrong++;
        position = mark;
    }
    if (wrong == 0) {
        find(walk->patient, VERDICT_OK, "marks", "%u of %u are in use, each at a record", in_use, RINGD_MARKS);
        return;
    }
    finding = find(walk->patient, VERDICT_WRONG, "marks", "%u of %u stand where no record begins; one is %llu", wrong,
                   RINGD_MARKS, (unsigned long long)position);
    if (finding != NULL)
        finding->position = position;
}

/* ---- limit and position ----------------------------------------------------------------------------------------- */

static bool examine_limit(struct patient *patient, struct look_at_ring *look)
{
    uint64_t ahead;

    if (!patient_look(patient, look)) {
        find(patient, VERDICT_WRONG, "limit", "it jumps about; somebody is scribbling over the ring");
        return false;
    }
    ahead = look->position - look->floor;
    if (look->floor % RINGD_UNIT != 0 || (ahead > patient->ring.size && (int64_t)ahead >= 0)) {
        find(patient, VERDICT_WRONG, "limit", "position %llu and limit %llu do not fit a ring of %llu bytes",
             (unsigned long long)look->position, (unsigned long long)look->limit,
             (unsigned long long)patient->ring.size);
        return false;
    }
    find(patient, VERDICT_OK, "limit", "writers are at position %llu and may go to %llu; all below %llu is finished",
         (unsigned long long)look->position, (unsigned long long)look->limit, (unsigned long long)look->frontier);
    return true;
}

/* ---- who may be active ------------------------------------------------------------------------------------------ */

static bool has_owner(const struct patient *patient, uint32_t writer)
{
    const struct ringd_owner *owner = &patient->ring.lane->writers[writer].owner;

    return atomic_load_explicit(&owner->state, memory_order_acquire) == RINGD_OWNER_WRITER;
}

/* A bit of a writer that is not there would hold the others up for ever. (One that has just left is looked at twice.)
 */
static void examine_active(struct patient *patient)
{
    uint32_t nobody = 0, bits = 0;

    for (int look = 0; look == 0 || (look < 100 && nobody != 0); look++) {
        if (look > 0 && !pause_briefly(patient))
            break;
        bits = (uint32_t)(atomic_load(&patient->ring.lane->word) & RINGD_W_ACTIVE) |
               atomic_load(&patient->ring.lane->waiters);
        nobody = bits & ~(uint32_t)RINGD_W_ACTIVE;
        for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++)
            nobody |= (bits >> i & 1) && !has_owner(patient, i) ? UINT32_C(1) << i : 0;
    }
    if (nobody != 0)
        find(patient, VERDICT_WRONG, "active", "writers that are not there are in mid-record or wait (bits %#x)",
             nobody);
    else
        find(patient, VERDICT_OK, "active", "whoever is in mid-record or waits for room is there (bits %#x)", bits);
}

/* ---- cursors ---------------------------------------------------------------------------------------------------- */

/* A lossless reader's cursor lies at a record, not below the floor. 1: it does not, and has not moved meanwhile. */
static bool cursor_is_bad(const struct patient *patient, const _Atomic uint64_t *shared, uint64_t *cursor)
{
    struct look_at_ring look;
    struct record_seen record;

    *cursor = atomic_load_explicit(shared, memory_order_seq_cst);
    if (!patient_look(patient, &look) || (int64_t)(*cursor - look.frontier) >= 0)
        return false;
    patient_record(patient, *cursor & RINGD_POSITION_MASK, &record);
    if (*cursor % RINGD_UNIT == 0 && record.state != 0 && (int64_t)(*cursor - patient_floor(patient)) >= 0)
        return false;
    return atomic_load_explicit(shared, memory_order_seq_cst) == *cursor;
}

/* And reads this lane. */
static bool is_lossless(const struct patient *patient, uint32_t reader)
{
    uint64_t readers = atomic_load_explicit(&patient->ring.control->lossless[reader / 64], memory_order_seq_cst);
    uint64_t cursor = atomic_load_explicit(&patient->ring.cursors[reader].position, memory_order_relaxed);

    return (readers >> reader % 64 & 1) && cursor != RINGD_CURSOR_ELSEWHERE;
}

/* What a reader that has read of this generation says of the one before, which it has left; 0 is right. */
static uint64_t stays_behind(const struct patient *patient, uint32_t reader)
{
    const struct ringd_cursor *shared = &patient->ring.cursors[reader];
    uint64_t cursor = atomic_load_explicit(&shared->position, memory_order_seq_cst);
    uint64_t behind = atomic_load_explicit(&shared->behind, memory_order_seq_cst);

    return (int64_t)(cursor - patient->ring.first) > 0 ? behind : 0;
}

static void examine_cursor(struct patient *patient, uint32_t reader, uint32_t *good)
{
    uint64_t cursor = 0, behind;
    struct finding *finding;
    bool bad;

    if (!is_lossless(patient, reader))
        return;
    bad = cursor_is_bad(patient, &patient->ring.cursors[reader].position, &cursor);
    behind = bad ? 0 : stays_behind(patient, reader);
    if ((!bad && behind == 0) || !is_lossless(patient, reader)) {
        ++*good;
        return;
    }
    finding =
        bad ? find(patient, VERDICT_WRONG, "cursor", "it stands at %llu, where nothing that is still there begins",
                   (unsigned long long)cursor)
            : find(patient, VERDICT_WRONG, "cursor",
                   "it holds writers up for %llu bytes of a generation that it has left", (unsigned long long)behind);
    if (finding == NULL)
        return;
    finding->slot = reader;
    finding->position = cursor;
}

static void examine_cursors(struct patient *patient)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        examine_cursor(patient, i, &good);
    find(patient, VERDICT_OK, "cursors", "%u lossless readers hold writers up, each from a record that is there", good);
}

/* The place of a group, which nobody of it is below but by what its active members have not released. */
static void examine_group(struct patient *patient, uint32_t group)
{
    const struct ringd_group_lane *lane = &patient->ring.groups[group];
    uint64_t position = 0;

    if (!(atomic_load_explicit(&patient->ring.control->groups, memory_order_seq_cst) >> group & 1))
        return;
    if (cursor_is_bad(patient, &lane->position, &position))
        find(patient, VERDICT_WRONG, "group", "group %u stands at %llu, where nothing that is still there begins",
             group, (unsigned long long)position);
    else
        find(patient, VERDICT_OK, "group", "group %u holds writers up from a record that is there", group);
}

void examine_memory(struct patient *patient)
{
    struct walk walk = {.patient = patient, .first_writer = patient->lane * RINGD_WRITERS_PER_LANE};

    if (!examine_limit(patient, &walk.start))
        return;
    load_marks(&walk);
    walk.from = walk.position = walk.start.floor;
    if (walk_on(&walk)) {
        say_records(&walk);
        examine_marks(&walk);
    }
    examine_active(patient);
    examine_cursors(patient);
    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++)
        examine_group(patient, group);
}
