/* support_scribble.c - see support_scribble.h. One function for each part of the map, in the order of the map; `around`
 * is a value that would make sense where a nasty one is stored.
 */
#define _GNU_SOURCE
#include "support_scribble.h"

#include <string.h>

/* In a record's `extent`. */
#define LENGTH_SHIFT   0u
#define SEQUENCE_SHIFT 32u

void scribbler_init(struct scribbler *scribbler, const struct segment *segment, struct random_source *random)
{
    *scribbler = (struct scribbler){.segment = segment, .random = random};
    ring_init(&scribbler->ring, segment, 0);
    memcpy(&scribbler->header, segment->control_map, sizeof scribbler->header);
}

static bool one_in(struct scribbler *s, uint64_t n)
{
    return random_below(s->random, n) == 0;
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

uint64_t scribble_nasty(struct scribbler *s, uint64_t around)
{
    static const uint64_t edges[] = {
        0,
        1,
        31,
        32,
        33,
        4095,
        4096,
        INT32_MAX,
        UINT64_C(1) << 31,
        UINT32_MAX,
        UINT64_C(1) << 32,
        UINT64_C(1) << 36,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX,
        UINT64_MAX - 31,
        UINT64_MAX - 32,
    };
    struct random_source *r = s->random;

    switch (random_below(r, 6)) {
    case 0:
        return edges[random_below(r, sizeof edges / sizeof edges[0])];
    case 1:
        return random_next(r);
    case 2:
        return random_next(r) >> random_below(r, 64);
    case 3:
        return around + (random_below(r, 129) - 64) * RINGD_UNIT;
    case 4:
        return around + (random_below(r, 9) - 4) * s->ring.size;
    default:
        return around + random_below(r, 65) - 32;
    }
}

static uint64_t position_now(const struct scribbler *s)
{
    uint64_t position;

    return ring_position(&s->ring, &position) == 0 ? position : ring_oldest(&s->ring);
}

/* A place where somebody is likely to look: near P, near M, or at a reader's cursor. */
static uint64_t likely_place(struct scribbler *s)
{
    uint64_t near = random_below(s->random, 9) * RINGD_UNIT;
    uint64_t reader = random_below(s->random, 4);

    switch (random_below(s->random, 4)) {
    case 0:
        return position_now(s);
    case 1:
        return position_now(s) - near;
    case 2:
        return ring_oldest(&s->ring) + near;
    default:
        return atomic_load_explicit(&s->ring.cursors[reader].position, memory_order_relaxed) & RINGD_POSITION_MASK;
    }
}

static void store64(_Atomic uint64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

static void store32(_Atomic uint32_t *field, uint64_t value)
{
    atomic_store_explicit(field, (uint32_t)value, memory_order_relaxed);
}

static uint64_t load64(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* Length and sequence share a word. */
static void store_half(_Atomic uint64_t *field, unsigned shift, uint64_t value)
{
    store64(field, (load64(field) & ~(UINT64_C(0xffffffff) << shift)) | (value & 0xffffffff) << shift);
}

/* ---- header and control ---------------------------------------------------------------------------------------- */

static const char *scribble_header(struct scribbler *s)
{
    _Atomic uint64_t *header = s->segment->control_map;
    size_t field = random_below(s->random, sizeof(struct ringd_segment_header) / sizeof *header);

    store64(&header[field], scribble_nasty(s, load64(&header[field])));
    return "header";
}

static const char *scribble_control(struct scribbler *s)
{
    struct ringd_control *control = s->segment->control;
    struct ringd_owner *owner = &control->readers[random_below(s->random, 8)];

    switch (random_below(s->random, 5)) {
    case 0:
        store32(&control->state, scribble_nasty(s, RINGD_RING_REMOVED));
        return "ring state";
    case 1:
        store32(&control->state, RINGD_RING_LIVE);
        return "ring state";
    case 2:
        store32(&owner->state, random_below(s->random, 8));
        return "reader's owner";
    default:
        store64(&control->lossless[random_below(s->random, RINGD_READERS_MAX / 64)],
                one_in(s, 2) ? random_next(s->random) : scribble_nasty(s, 3));
        return "lossless";
    }
}

/* ---- lane ------------------------------------------------------------------------------------------------------ */

static const char *scribble_word(struct scribbler *s)
{
    _Atomic uint64_t *word = &s->ring.lane->word;
    uint64_t units = scribble_nasty(s, position_now(s)) >> RINGD_UNIT_SHIFT;

    switch (random_below(s->random, 6)) {
    case 0:
        store64(word, scribble_nasty(s, load64(word)));
        break;
    case 1:
        store64(word, units << RINGD_W_POSITION_SHIFT);
        break;
    case 2:
        store64(word, load64(word) ^ UINT64_C(1) << random_below(s->random, 32));
        break;
    case 3:
        store64(word, load64(word) & ~RINGD_W_ACTIVE);
        break;
    case 4:
        store64(word, load64(word) | RINGD_W_SEALED);
        break;
    default:
        atomic_fetch_add_explicit(word, units << RINGD_W_POSITION_SHIFT, memory_order_relaxed);
    }
    return "W";
}

static const char *scribble_limit(struct scribbler *s)
{
    struct ringd_lane *lane = s->ring.lane;
    uint64_t limit = load64(&lane->limit);

    switch (random_below(s->random, 6)) {
    case 0:
        store64(&lane->limit, scribble_nasty(s, limit));
        break;
    case 1:
        store64(&lane->limit, limit + RING_LIMIT_JUMP * (random_below(s->random, 5) - 2));
        break;
    case 2:
        store64(&lane->limit, limit ^ random_below(s->random, 32));
        break;
    case 3:
        store64(&lane->limit, position_now(s) + random_below(s->random, 2 * s->ring.size));
        break;
    case 4:
        store64(&lane->limit, position_now(s) + s->ring.reach);
        break;
    default:
        store64(&lane->joins, scribble_nasty(s, load64(&lane->joins)));
        return "joins";
    }
    return "limit";
}

static const char *scribble_waiters(struct scribbler *s)
{
    struct ringd_lane *lane = s->ring.lane;
    struct ringd_writer_slot *slot = &lane->writers[random_below(s->random, RINGD_WRITERS_PER_LANE)];

    store32(&slot->need, scribble_nasty(s, s->ring.max_grant));
    store64(&slot->ticket, scribble_nasty(s, load64(&lane->next_ticket)));
    if (one_in(s, 4))
        store64(&lane->next_ticket, scribble_nasty(s, load64(&lane->next_ticket)));
    store32(&lane->waiters, one_in(s, 2) ? 0 : random_next(s->random));
    return "waiters";
}

static const char *scribble_marks(struct scribbler *s)
{
    store64(&s->ring.lane->marks[random_below(s->random, RINGD_MARKS)], scribble_nasty(s, position_now(s)));
    return "mark";
}

static const char *scribble_slot(struct scribbler *s)
{
    struct ringd_writer_slot *slot = &s->ring.lane->writers[random_below(s->random, 4)];
    _Atomic uint64_t *counters[] = {
        &slot->offered, &slot->sequence,     &slot->bytes,           &slot->aborted,
        &slot->refused, &slot->dropped_full, &slot->dropped_stalled, &slot->waited,
    };
    _Atomic uint64_t *counter = counters[random_below(s->random, sizeof counters / sizeof counters[0])];

    switch (random_below(s->random, 5)) {
    case 0:
        store64(&slot->begin, scribble_nasty(s, position_now(s)) | random_below(s->random, 2));
        return "begin";
    case 1:
        store32(&slot->length, scribble_nasty(s, s->ring.max_grant));
        return "length";
    case 2:
        store32(&slot->owner.state, random_below(s->random, 8));
        return "writer's owner";
    case 3:
        store64(&slot->sequence, scribble_nasty(s, load64(&slot->sequence)));
        return "sequence";
    default:
        store64(counter, scribble_nasty(s, load64(counter)));
        return "counter";
    }
}

/* ---- records --------------------------------------------------------------------------------------------------- */

/* Perhaps a length that would be all right but for the checks. */
static uint64_t nasty_length(struct scribbler *s)
{
    if (one_in(s, 3))
        return random_below(s->random, s->ring.max_grant);
    return one_in(s, 2) ? s->segment->geometry.max_record + random_below(s->random, 3) - 1
                        : scribble_nasty(s, s->ring.max_grant);
}

/* A stamp that belongs exactly there, before a header that may say anything. */
static const char *scribble_stamp(struct scribbler *s)
{
    uint64_t position = likely_place(s);
    struct ringd_record_header *h = ring_header(&s->ring, position);
    uint64_t state = one_in(s, 3) ? RINGD_STATE_PADDING : RINGD_STATE_COMMITTED;

    store_half(&h->extent, LENGTH_SHIFT, nasty_length(s));
    if (one_in(s, 2))
        store64(&h->origin, one_in(s, 2) ? random_below(s->random, 40) : random_next(s->random));
    if (one_in(s, 3))
        store_half(&h->extent, SEQUENCE_SHIFT, scribble_nasty(s, load64(&h->extent) >> SEQUENCE_SHIFT));
    store64(&h->stamp, (position | state) ^ s->ring.stamp_key);
    return "stamp";
}

static const char *scribble_record(struct scribbler *s)
{
    struct ringd_record_header *h = ring_header(&s->ring, likely_place(s));

    switch (random_below(s->random, 4)) {
    case 0:
        store_half(&h->extent, LENGTH_SHIFT, nasty_length(s));
        return "record's length";
    case 1:
        store64(&h->origin, random_next(s->random));
        return "record's origin";
    case 2:
        store_half(&h->extent, SEQUENCE_SHIFT, random_next(s->random));
        return "record's sequence";
    default:
        store64(&h->stamp, scribble_nasty(s, load64(&h->stamp)));
        return "record's stamp";
    }
}

static const char *scribble_data(struct scribbler *s)
{
    uint64_t at = random_below(s->random, s->ring.size), len = random_below(s->random, 512);

    if (one_in(s, 3))
        memset(s->ring.data + at, one_in(s, 2) ? 0xff : 0, len);
    else
        for (uint64_t i = 0; i < len; i++)
            s->ring.data[at + i] = (unsigned char)random_next(s->random);
    return "data";
}

/* ---- the readers' object --------------------------------------------------------------------------------------- */

static const char *scribble_cursor(struct scribbler *s)
{
    uint64_t reader = random_below(s->random, one_in(s, 4) ? RINGD_READERS_MAX : 4);

    store64(&s->ring.cursors[reader].position, scribble_nasty(s, position_now(s)));
    return "cursor";
}

static const char *scribble_waits(struct scribbler *s)
{
    store32(&s->ring.waits->data, scribble_nasty(s, 1));
    store32(&s->ring.waits->space, scribble_nasty(s, 1));
    return "waits";
}

static const char *scribble_readers(struct scribbler *s)
{
    _Atomic uint64_t *words = s->segment->readers_map;

    store64(&words[random_below(s->random, s->segment->readers_map_bytes / sizeof *words)], scribble_nasty(s, 0));
    return "readers' object";
}

/* ---- anything -------------------------------------------------------------------------------------------------- */

static const char *scribble_anywhere(struct scribbler *s)
{
    _Atomic uint64_t *words = s->segment->control_map;

    store64(&words[random_below(s->random, s->segment->control_map_bytes / sizeof *words)], scribble_nasty(s, 0));
    return "anywhere";
}

const char *scribble(struct scribbler *s)
{
    static const char *(*const kinds[])(struct scribbler *) = {
        scribble_header, scribble_control, scribble_word,  scribble_limit,   scribble_waiters,
        scribble_marks,  scribble_slot,    scribble_stamp, scribble_stamp,   scribble_record,
        scribble_data,   scribble_cursor,  scribble_waits, scribble_readers, scribble_anywhere,
    };

    return kinds[random_below(s->random, sizeof kinds / sizeof kinds[0])](s);
}

/* Everything up to a new position counts as final, nobody is active and nobody waits. */
void scribble_heal(struct scribbler *s)
{
    struct ringd_lane *lane = s->ring.lane;
    uint64_t position = s->segment->geometry.first_position + s->ring.size * (1 + random_below(s->random, 1000));

    memcpy(s->segment->control_map, &s->header, sizeof s->header);
    s->segment->readers->ring_id = s->header.ring_id;
    store32(&s->segment->control->state, RINGD_RING_LIVE);
    for (uint32_t block = 0; block < RINGD_READERS_MAX / 64; block++)
        store64(&s->segment->control->lossless[block], 0);
    store32(&lane->waiters, 0);
    store64(&lane->limit, position + s->ring.reach);
    store64(&lane->word, position >> RINGD_UNIT_SHIFT << RINGD_W_POSITION_SHIFT);
}

/* ---- over and over --------------------------------------------------------------------------------------------- */

/* What a round of hammering needs to know. */
struct hammer {
    uint64_t place; /* where a trail of padding goes on */
    uint64_t limit; /* from which the limit moves */
    uint32_t round;
};

/* Nobody who sleeps on a word that always changes ever sleeps. */
static void hammer_waits(struct scribbler *s, struct hammer *hammer)
{
    (void)hammer;
    atomic_fetch_add_explicit(&s->ring.waits->data, 2, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->ring.waits->space, 2, memory_order_relaxed);
}

/* Whoever resumes at the floor finds it gone again. */
static void hammer_limit(struct scribbler *s, struct hammer *hammer)
{
    store64(&s->ring.lane->limit, hammer->limit += s->ring.size);
}

static void hammer_limit_to_and_fro(struct scribbler *s, struct hammer *hammer)
{
    store64(&s->ring.lane->limit, hammer->limit + (hammer->round & 1) * s->ring.size);
}

static void hammer_limit_far(struct scribbler *s, struct hammer *hammer)
{
    store64(&s->ring.lane->limit, hammer->limit + (hammer->round & 7) * 2 * RING_LIMIT_JUMP);
}

static void hammer_word(struct scribbler *s, struct hammer *hammer)
{
    (void)hammer;
    store64(&s->ring.lane->word, load64(&s->ring.lane->word) ^ UINT64_C(1) << random_below(s->random, 36));
}

static void hammer_cursors(struct scribbler *s, struct hammer *hammer)
{
    store64(&s->ring.cursors[hammer->round & 3].position, random_next(s->random));
}

static void hammer_joins(struct scribbler *s, struct hammer *hammer)
{
    (void)hammer;
    atomic_fetch_add_explicit(&s->ring.lane->joins, 1, memory_order_relaxed);
}

/* A trail of padding that runs ahead of whoever follows it. */
static void hammer_padding(struct scribbler *s, struct hammer *hammer)
{
    struct ringd_record_header *h = ring_header(&s->ring, hammer->place);

    store_half(&h->extent, LENGTH_SHIFT, 0);
    store64(&h->stamp, (hammer->place | RINGD_STATE_PADDING) ^ s->ring.stamp_key);
    hammer->place += RINGD_UNIT;
}

const char *scribble_hammer(struct scribbler *s, uint32_t rounds)
{
    static const struct {
        void (*strike)(struct scribbler *s, struct hammer *hammer);
        const char *name;
    } kinds[] = {
        {hammer_waits, "hammer waits"},
        {hammer_limit, "hammer limit"},
        {hammer_limit_to_and_fro, "hammer limit to and fro"},
        {hammer_limit_far, "hammer limit far"},
        {hammer_word, "hammer W"},
        {hammer_cursors, "hammer cursors"},
        {hammer_joins, "hammer joins"},
        {hammer_padding, "hammer padding"},
    };
    struct hammer hammer = {.place = likely_place(s), .limit = load64(&s->ring.lane->limit)};
    uint64_t kind = random_below(s->random, sizeof kinds / sizeof kinds[0]);

    for (hammer.round = 0; hammer.round < rounds; hammer.round++)
        kinds[kind].strike(s, &hammer);
    return kinds[kind].name;
}
