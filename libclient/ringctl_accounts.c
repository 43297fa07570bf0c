/* ringctl_accounts.c - doctor's look at the counters: whether everything that was offered is accounted for.
 *
 *   writer    offered = committed + aborted + dropped + refused + lost with its death
 *   departed  the same, of all who have left
 *   reader    committed since it joined = delivered + skipped + lost in gaps + still unread
 *
 * A writer counts a record as offered before it has it, and as what became of it afterwards. So its sum is short while
 * it writes: what is looked for is a moment between two records, in samples that were the same twice. If there is none,
 * because it waits for room, or is stopped, as much may be pending as it has asked room for.
 *
 * A reader says beside its cursor in a lane which of its writer slots it knows and how many records they had committed
 * in all when it got to know them (base), and what it has had, skipped and lost up to there (settled). What these slots
 * had committed below the cursor is told by the sequence number of the first record of each that is found from there
 * on, or by its count if there is none. So: sum of these - base = settled, exactly, in each lane, whatever goes on.
 * What its slot counts is the sum over all lanes that it reads, and what is in its hands and not released.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ringctl_doctor.h"

/* Looks in a row, and then with pauses of a millisecond: a second in all. */
#define LOOKS_AT_ONCE 500
#define LOOKS_MAX     1500

/* So many of the latter without any change: it is at rest. */
#define LOOKS_AT_REST 50

/* Different looks at a writer, none of which added up or had a reason why not: the moment between two counts that would
 * be one is some nanoseconds long. */
#define LOOKS_ENOUGH 20

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_acquire);
}

/* What the kernel says of a process. */
struct process_seen {
    char state;     /* 'T' stopped, 't' traced, 'R' running or about to; 0: not to be seen */
    uint64_t ticks; /* it has been on a processor */
};

static void process_look(uint32_t pid, struct process_seen *process)
{
    unsigned long long user = 0, system = 0;
    char path[32], line[512];
    FILE *file;

    *process = (struct process_seen){0};
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL)
        sscanf(strrchr(line, ')') + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &process->state, &user,
               &system);
    process->ticks = user + system;
    fclose(file);
}

/* "3 (pid 12, cat)" without the slot, which the finding has. */
static void who_text(char text[static 64], const struct ringd_context_info *context)
{
    snprintf(text, 64, "pid %u, %.16s", context->pid, context->command);
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* ---- a writer: by its bit in the lane that is looked at ---------------------------------------------------------- */

struct writer_sample {
    uint64_t begin, offered, committed, aborted, refused, dropped, lost;
    uint32_t length, need, incarnation, state;
    bool active, waiting;
};

/* Of what a writer offered and of which nothing has become yet. */
static int64_t sample_pending(const struct writer_sample *s)
{
    return (int64_t)(s->offered - s->committed - s->aborted - s->refused - s->dropped - s->lost);
}

static void load_writer(const struct patient *patient, uint32_t writer, struct writer_sample *s)
{
    const struct ringd_lane *lane = patient->ring.lane;
    const struct ringd_writer_slot *slot = &lane->writers[writer];

    memset(s, 0, sizeof *s); /* compared as bytes */
    s->begin = load(&slot->begin);
    s->length = atomic_load_explicit(&slot->length, memory_order_acquire);
    s->need = atomic_load_explicit(&slot->need, memory_order_acquire);
    s->offered = load(&slot->offered);
    s->committed = load(&slot->sequence) - slot->first_sequence;
    s->aborted = load(&slot->aborted);
    s->refused = load(&slot->refused);
    s->dropped = load(&slot->dropped_full) + load(&slot->dropped_stalled);
    s->lost = load(&slot->lost);
    s->incarnation = atomic_load_explicit(&slot->owner.incarnation, memory_order_acquire);
    s->state = atomic_load_explicit(&slot->owner.state, memory_order_acquire);
    s->active = load(&lane->word) >> writer & 1;
    s->waiting = atomic_load_explicit(&lane->waiters, memory_order_acquire) >> writer & 1;
}

/* True: twice the same. */
static bool sample_writer(const struct patient *patient, uint32_t writer, struct writer_sample *s)
{
    struct writer_sample again;

    load_writer(patient, writer, s);
    load_writer(patient, writer, &again);
    return memcmp(s, &again, sizeof again) == 0;
}

/* What was found in all the looks at a writer. */
struct writer_looks {
    struct writer_sample last; /* twice the same */
    bool any, adds_up;
    int rest;              /* looks with pauses since it changed */
    const char *explained; /* why it may have been short at the last look that had a reason */
    uint32_t without;      /* different looks without a reason */
    int64_t least;         /* what was missing in these: what is about to be written only adds to it */
    uint64_t began_ticks;  /* processor time of its process before the first look */
};

/* Why as many records as are missing may be pending, or NULL. Each takes a unit at least of what was asked for. */
static const char *explain_pending(const struct writer_sample *s)
{
    int64_t pending = sample_pending(s);

    if (pending > 0 && s->active && (uint64_t)pending <= s->length / RINGD_UNIT)
        return "it is in the middle of writing";
    if (pending > 0 && (uint64_t)pending <= s->need / RINGD_UNIT)
        return s->waiting ? "it waits for room" : "it looks for room";
    return NULL;
}

static void note_writer(struct writer_looks *looks, const struct writer_sample *s)
{
    bool changed = !looks->any || memcmp(&looks->last, s, sizeof *s) != 0;
    const char *reason = explain_pending(s);
    int64_t missing = sample_pending(s) - (s->need != 0); /* one at least is being looked for room for */

    looks->rest = changed ? 0 : looks->rest + 1;
    looks->last = *s;
    looks->any = true;
    looks->adds_up |= sample_pending(s) == 0;
    if (reason != NULL)
        looks->explained = reason;
    if (reason != NULL || !changed)
        return;
    if (looks->without == 0 || missing < looks->least)
        looks->least = missing;
    looks->without++;
}

/* A process that has not been on a processor meanwhile may stand anywhere, also between two counts. */
static const char *explain_standing(const struct writer_looks *looks, uint32_t pid)
{
    struct process_seen process;

    process_look(pid, &process);
    if (sample_pending(&looks->last) < 0)
        return NULL;
    if (process.state == 'T' || process.state == 't')
        return "its process is stopped between two counts";
    if (process.state == 'R' && process.ticks == looks->began_ticks)
        return "its process has not been on a processor meanwhile";
    return NULL;
}

/* Why a writer that did not add up in any look is not wrong for that, or NULL. */
static const char *explain_writer(const struct writer_looks *looks, uint32_t pid)
{
    if (looks->without >= LOOKS_ENOUGH)
        return NULL;
    if (looks->rest < LOOKS_AT_REST)
        return looks->explained != NULL ? looks->explained : "it was busy in each look";
    return explain_pending(&looks->last) != NULL ? explain_pending(&looks->last) : explain_standing(looks, pid);
}

/* Until it adds up, or has often enough not done so; or is at rest with a reason; or for about a second. */
static void look_at_writer(struct patient *patient, uint32_t writer, uint32_t pid, struct writer_looks *looks)
{
    struct process_seen process;

    process_look(pid, &process);
    looks->began_ticks = process.ticks;
    for (int i = 0; i < LOOKS_MAX && !looks->adds_up && looks->without < LOOKS_ENOUGH; i++) {
        struct writer_sample s;

        if (i >= LOOKS_AT_ONCE && !pause_briefly(patient))
            return;
        if (sample_writer(patient, writer, &s))
            note_writer(looks, &s);
        if (i < LOOKS_AT_ONCE)
            looks->rest = 0; /* rest is counted in time */
        else if (looks->rest >= LOOKS_AT_REST && explain_pending(&looks->last) != NULL)
            return;
    }
}

static uint32_t writer_slot(const struct patient *patient, uint32_t writer)
{
    return patient->lane * RINGD_WRITERS_PER_LANE + writer;
}

static void say_writer(struct patient *patient, uint32_t writer, const struct ringd_context_info *context,
                       const struct writer_looks *looks, const char *pending)
{
    const struct writer_sample *s = &looks->last;
    enum verdict verdict = looks->adds_up ? VERDICT_OK : pending != NULL ? VERDICT_PENDING : VERDICT_WRONG;
    char who[64] = "has left", rest[96] = "";
    struct finding *finding;

    if (context != NULL)
        who_text(who, context);
    if (pending != NULL)
        snprintf(rest, sizeof rest, " + %lld pending: %s", (long long)sample_pending(s), pending);
    else if (verdict == VERDICT_WRONG)
        snprintf(rest, sizeof rest, "; %lld %s", llabs(looks->least),
                 looks->least > 0 ? "are not accounted for" : "too many are accounted for");
    finding = find(patient, verdict, "writer",
                   "(%s) %llu offered = %llu committed + %llu aborted + %llu refused + %llu dropped + %llu lost%s", who,
                   (unsigned long long)s->offered, (unsigned long long)s->committed, (unsigned long long)s->aborted,
                   (unsigned long long)s->refused, (unsigned long long)s->dropped, (unsigned long long)s->lost, rest);
    if (finding == NULL)
        return;
    finding->slot = writer_slot(patient, writer);
    finding->pid = context != NULL ? context->pid : 0;
    finding->difference = verdict == VERDICT_WRONG ? looks->least : pending != NULL ? sample_pending(s) : 0;
}

static void examine_writer(struct patient *patient, uint32_t writer)
{
    const struct ringd_context_info *context = patient_context(patient, true, writer_slot(patient, writer));
    uint32_t pid = context != NULL ? context->pid : 0;
    struct writer_looks looks = {0};
    struct writer_sample first;

    load_writer(patient, writer, &first);
    if (context == NULL && first.offered == 0 && sample_pending(&first) == 0)
        return; /* never used, or added to the departed */
    look_at_writer(patient, writer, pid, &looks);
    if (context != NULL && looks.last.incarnation != context->incarnation)
        context = NULL; /* another owner by now */
    say_writer(patient, writer, context, &looks, looks.adds_up ? NULL : explain_writer(&looks, pid));
}

/* ---- those that have left --------------------------------------------------------------------------------------- */

struct departed_sample {
    uint64_t offered, committed, aborted, refused, dropped, lost;
};

static void load_departed(const struct patient *patient, struct departed_sample *s)
{
    const struct ringd_departed *departed = &patient->ring.lane->departed;

    *s = (struct departed_sample){
        .offered = load(&departed->offered),
        .committed = load(&departed->committed),
        .aborted = load(&departed->aborted),
        .refused = load(&departed->refused),
        .dropped = load(&departed->dropped_full) + load(&departed->dropped_stalled),
        .lost = load(&departed->lost),
    };
}

/* The daemon adds to it when a slot gets its next owner, counter by counter. */
static void examine_departed(struct patient *patient)
{
    struct departed_sample s = {0};
    int64_t difference = 0;
    struct finding *finding;

    for (int i = 0; i == 0 || (i < LOOKS_AT_REST && difference != 0); i++) {
        if (i > 0 && !pause_briefly(patient))
            break;
        load_departed(patient, &s);
        difference = (int64_t)(s.offered - s.committed - s.aborted - s.refused - s.dropped - s.lost);
    }
    finding = find(patient, difference == 0 ? VERDICT_OK : VERDICT_WRONG, "departed",
                   "%llu offered = %llu committed + %llu aborted + %llu refused + %llu dropped + %llu lost%s",
                   (unsigned long long)s.offered, (unsigned long long)s.committed, (unsigned long long)s.aborted,
                   (unsigned long long)s.refused, (unsigned long long)s.dropped, (unsigned long long)s.lost,
                   difference == 0 ? "" : ", which it is not");
    if (finding != NULL)
        finding->difference = difference;
}

void examine_writers(struct patient *patient)
{
    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++)
        examine_writer(patient, i);
    examine_departed(patient);
}

/* ---- a reader --------------------------------------------------------------------------------------------------- */

/* Its account of a lane. */
struct account {
    uint64_t known, base, unsettled, settled, cursor;
};

struct reader_sample {
    uint32_t incarnation;
    uint64_t delivered, skipped, lost;
    uint64_t settled; /* in all lanes */
    struct account lanes[RINGD_LANES_MAX];
};

static void load_account(const struct ringd_cursor *cursor, struct account *a)
{
    a->known = load(&cursor->known);
    a->base = load(&cursor->base);
    a->unsettled = load(&cursor->unsettled);
    a->settled = load(&cursor->settled);
    a->cursor = load(&cursor->position);
}

/* True: known, base and unsettled belong together, and `settled` to the cursor. */
static bool sample_account(const struct ringd_cursor *cursor, struct account *a)
{
    struct account again;
    uint64_t settling;

    load_account(cursor, a);
    settling = load(&cursor->settling);
    load_account(cursor, &again);
    return settling == a->settled && !(a->known & RINGD_KNOWN_CHANGING) && a->known == again.known &&
           a->base == again.base && a->unsettled == again.unsettled;
}

static uint32_t load_incarnation(const struct patient *patient, uint32_t reader)
{
    return atomic_load_explicit(&patient->segment.control->readers[reader].incarnation, memory_order_acquire);
}

/* The slot's sums come last: they are never behind what is settled. */
static bool sample_reader(const struct patient *patient, uint32_t reader, struct reader_sample *s)
{
    const struct ringd_reader_slot *slot = &patient->segment.reader_slots[reader];

    s->settled = 0;
    s->incarnation = load_incarnation(patient, reader);
    for (uint32_t lane = 0; lane < patient->segment.geometry.lane_count; lane++) {
        if (!sample_account(segment_cursor(&patient->segment, lane, reader), &s->lanes[lane]))
            return false;
        s->settled += s->lanes[lane].settled;
    }
    s->delivered = load(&slot->delivered);
    s->skipped = load(&slot->skipped);
    s->lost = load(&slot->lost);
    return s->incarnation == load_incarnation(patient, reader);
}

enum count_result {
    COUNTED,
    COUNT_AGAIN,     /* a writer is in the middle of something */
    COUNT_OVERTAKEN, /* what stood there has been overwritten */
};

/* How many records each slot has committed below a position. */
struct count {
    uint64_t position; /* looked at up to here */
    uint64_t missing;  /* bit per slot: not known yet */
    uint64_t below[RINGD_WRITERS_PER_LANE];
};

static void count_set(struct count *count, uint32_t writer, uint64_t below)
{
    count->below[writer] = below;
    count->missing &= ~(UINT64_C(1) << writer);
}

/* Those whose owner is between two records, with none at or above `count->position`: what they have committed in all.
 */
static void count_idle(const struct patient *patient, struct count *count)
{
    for (uint64_t slots = count->missing; slots != 0; slots &= slots - 1) {
        uint32_t writer = (uint32_t)__builtin_ctzll(slots);
        const struct ringd_writer_slot *slot = &patient->ring.lane->writers[writer];
        uint64_t before = load(&slot->begin), word = load(&patient->ring.lane->word);
        uint64_t sequence = load(&slot->sequence);

        if (!(word >> writer & 1) && load(&slot->begin) == before &&
            (int64_t)((before & RINGD_POSITION_MASK) - count->position) < 0)
            count_set(count, writer, sequence);
    }
}

/* All 64 bits of a sequence number in band: near the slot's own count. */
static uint64_t extend_sequence(const struct patient *patient, const struct record_seen *record)
{
    uint64_t near = load(&patient->ring.lane->writers[record->writer].sequence) + (UINT64_C(1) << 26);

    return near - (uint32_t)((uint32_t)near - record->sequence);
}

/* The sequence number of the first record from there on, of each slot that is missing. */
static void count_first_records(const struct patient *patient, struct count *count)
{
    struct record_seen record;

    uint64_t end = count->position + patient->ring.size;

    while (count->missing != 0 && count->position < end) {
        patient_record(patient, count->position, &record);
        if (record.state == 0 || record.bytes > patient->ring.max_grant)
            return;
        record.writer -= writer_slot(patient, 0);
        if (record.state == RINGD_STATE_COMMITTED && record.writer < RINGD_WRITERS_PER_LANE &&
            (count->missing >> record.writer & 1))
            count_set(count, record.writer, extend_sequence(patient, &record));
        count->position += record.bytes;
    }
}

static enum count_result count_below(const struct patient *patient, uint64_t position, uint64_t needed,
                                     struct count *count)
{
    *count = (struct count){.position = position, .missing = RINGD_W_ACTIVE};
    count_idle(patient, count);
    count_first_records(patient, count);
    count_idle(patient, count);
    if ((int64_t)(position - patient_floor(patient)) < 0)
        return COUNT_OVERTAKEN;
    return (count->missing & needed) == 0 ? COUNTED : COUNT_AGAIN;
}

/* What was found in a look at a reader. */
struct reader_look {
    struct reader_sample sample;
    uint64_t unread;    /* records at or above its cursors, and those that are being written */
    int64_t difference; /* committed below its cursors by the slots it knows, less what it has had and lost of them */
    int64_t held;       /* given out and not released */
    uint32_t odd_lane;  /* the first that does not add up, or NO_LANE; and by how much */
    int64_t odd_difference;
    bool unsettled; /* it was overtaken and has not found out yet what it lost */
    bool adds_up, wrong;
};

/* One that has not found out yet what it lost cannot have told more than there was. */
static void judge_lane(const struct patient *patient, const struct account *a, int64_t difference,
                       struct reader_look *look)
{
    look->difference += difference;
    look->unsettled |= a->unsettled != 0;
    look->wrong |= difference != 0 && !(a->unsettled && difference > 0);
    if (difference == 0 || look->odd_lane != NO_LANE)
        return;
    look->odd_lane = patient->lane;
    look->odd_difference = difference;
}

static void add_up(const struct patient *patient, const struct account *a, const struct count *count,
                   struct reader_look *look)
{
    uint64_t word = load(&patient->ring.lane->word), below = 0;

    for (uint32_t i = 0; i < RINGD_WRITERS_PER_LANE; i++) {
        const struct ringd_writer_slot *slot = &patient->ring.lane->writers[i];
        uint64_t committed = load(&slot->sequence);

        below += a->known >> i & 1 ? count->below[i] : 0;
        if (!(count->missing >> i & 1) && committed > count->below[i])
            look->unread += committed - count->below[i];
        if (word >> i & 1) /* stamped already, perhaps, and not counted */
            look->unread += atomic_load_explicit(&slot->length, memory_order_relaxed) / RINGD_UNIT;
    }
    judge_lane(patient, a, (int64_t)(below - a->base - a->settled), look);
}

static void judge(struct reader_look *look)
{
    const struct reader_sample *s = &look->sample;

    look->held = (int64_t)(s->delivered + s->skipped + s->lost - s->settled);
    look->adds_up = look->odd_lane == NO_LANE && look->held >= 0 && (uint64_t)look->held <= look->unread;
    look->wrong |= !look->adds_up && !look->unsettled;
}

/* All looks. What is to be said is that of the last one that could be counted. */
struct reader_looks {
    struct reader_look last;
    bool any, overtaken, inconsistent;
};

static enum count_result count_lanes(struct patient *patient, struct reader_look *look)
{
    enum count_result result = COUNTED;

    for (uint32_t lane = 0; lane < patient->segment.geometry.lane_count && result == COUNTED; lane++) {
        const struct account *a = &look->sample.lanes[lane];
        struct count count;

        if (a->cursor == RINGD_CURSOR_ELSEWHERE)
            continue;
        patient_enter_lane(patient, lane);
        result = count_below(patient, a->cursor, a->known, &count);
        if (result == COUNTED)
            add_up(patient, a, &count, look);
    }
    patient->lane = NO_LANE;
    return result;
}

static void look_at_reader_once(struct patient *patient, uint32_t reader, struct reader_looks *looks)
{
    struct reader_look look = {.odd_lane = NO_LANE};
    enum count_result result;

    looks->inconsistent = !sample_reader(patient, reader, &look.sample);
    if (looks->inconsistent)
        return;
    result = count_lanes(patient, &look);
    looks->overtaken = result == COUNT_OVERTAKEN;
    if (result != COUNTED)
        return;
    judge(&look);
    looks->last = look;
    looks->any = true;
}

/* Until it adds up, or for a second. One that was overtaken while it stands still stays so. */
static void look_at_reader(struct patient *patient, uint32_t reader, struct reader_looks *looks)
{
    for (int i = 0; i < LOOKS_MAX && !looks->last.adds_up; i++) {
        if (i >= LOOKS_AT_ONCE && !pause_briefly(patient))
            return;
        look_at_reader_once(patient, reader, looks);
        if (i >= LOOKS_AT_ONCE + LOOKS_AT_REST && (!looks->any || !looks->last.wrong))
            return;
    }
}

/* Why nothing could be counted, or not all of it. */
static const char *explain_reader(const struct reader_looks *looks)
{
    if (looks->any)
        return "it was overtaken and is still finding out what it lost";
    if (looks->overtaken)
        return "it was overtaken and has not read on since";
    return looks->inconsistent ? "it is in the middle of a release" : "a writer is in the middle of a record";
}

static enum verdict reader_verdict(const struct reader_looks *looks)
{
    if (looks->last.adds_up)
        return VERDICT_OK;
    return looks->any && looks->last.wrong ? VERDICT_WRONG : VERDICT_PENDING;
}

static void explain_difference(const struct patient *patient, const struct reader_look *look, char text[static 128])
{
    char lane[24] = "";

    if (look->odd_lane != NO_LANE && patient->segment.geometry.lane_count > 1)
        snprintf(lane, sizeof lane, "in lane %u ", look->odd_lane + 1);
    if (look->odd_difference > 0)
        snprintf(text, 128, "; %s%lld are not accounted for", lane, (long long)look->odd_difference);
    else if (look->odd_difference < 0)
        snprintf(text, 128, "; %s%lld too many are accounted for", lane, -(long long)look->odd_difference);
    else
        snprintf(text, 128, "; it says that %lld more are in its hands, which are not there", (long long)look->held);
}

static void say_reader(struct patient *patient, const struct ringd_context_info *context,
                       const struct reader_looks *looks)
{
    const struct reader_look *look = &looks->last;
    const struct reader_sample *s = &look->sample;
    enum verdict verdict = reader_verdict(looks);
    /* What it has in its hands, skipped ones among them, is not settled. */
    uint64_t settled = s->settled - s->lost, skipped = s->skipped < settled ? s->skipped : settled;
    uint64_t sum = s->settled + look->unread;
    char who[64], lane[24] = "", skipped_text[40] = "", rest[128] = "";
    struct finding *finding;

    who_text(who, context);
    if (context->lane != 0)
        snprintf(lane, sizeof lane, ", lane %u", context->lane);
    if (s->skipped != 0)
        snprintf(skipped_text, sizeof skipped_text, " + %llu skipped", (unsigned long long)skipped);
    if (verdict == VERDICT_PENDING)
        snprintf(rest, sizeof rest, "; pending: %s", explain_reader(looks));
    else if (verdict == VERDICT_WRONG)
        explain_difference(patient, look, rest);
    finding = find(patient, verdict, "reader",
                   "(%s, %s%s) %llu committed since it joined = %llu delivered%s + %llu lost + %llu unread%s", who,
                   context_kind_word(context->kind), lane, (unsigned long long)(sum + (uint64_t)look->difference),
                   (unsigned long long)(settled - skipped), skipped_text, (unsigned long long)s->lost,
                   (unsigned long long)look->unread, rest);
    if (finding == NULL)
        return;
    finding->slot = context->slot;
    finding->pid = context->pid;
    finding->difference = look->odd_difference != 0 ? look->odd_difference : -look->held;
    if (verdict == VERDICT_OK)
        finding->difference = 0;
}

/* An observer writes nothing down, and a group's member has not seen what the others had. One that has left meanwhile
 * has nothing to say any more. */
static void examine_reader(struct patient *patient, const struct ringd_context_info *context)
{
    const struct ringd_owner *owner = &patient->segment.control->readers[context->slot];
    struct reader_looks looks = {0};

    if (context->kind == RINGD_CONTEXT_OBSERVER || context->member != 0 || context->slot >= RINGD_READERS_MAX)
        return;
    looks.last.odd_lane = NO_LANE;
    look_at_reader(patient, context->slot, &looks);
    if (atomic_load(&owner->incarnation) == context->incarnation && atomic_load(&owner->state) != RINGD_OWNER_NONE)
        say_reader(patient, context, &looks);
}

void examine_readers(struct patient *patient)
{
    for (size_t i = 0; i < patient->context_count; i++) {
        if (patient->contexts[i].kind != RINGD_CONTEXT_WRITER)
            examine_reader(patient, &patient->contexts[i]);
    }
}
