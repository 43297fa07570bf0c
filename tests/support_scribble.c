/* support_scribble.c - see support_scribble.h. One function for each part of the map, in the order of the map; `around`
 * is a value that would make sense where a nasty one is stored.
 */
#define _GNU_SOURCE
#include "support_scribble.h"

#include <string.h>

#define PAGE_BYTES 4096

void scribbler_init(struct scribbler *scribbler, const struct segment *segment, struct chance *chance)
{
    *scribbler = (struct scribbler){.segment = segment, .chance = chance};
    ring_init(&scribbler->ring, segment, 0);
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

uint64_t scribble_nasty(struct scribbler *s, uint64_t around)
{
    static const uint64_t edges[] = {
        0, 1, 31, 32, 33, 4095, 4096, INT32_MAX, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 36,
        INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 31, UINT64_MAX - 32,
    };
    struct chance *c = s->chance;

    switch (chance_below(c, 6)) {
    case 0:
        return edges[chance_below(c, sizeof edges / sizeof edges[0])];
    case 1:
        return chance_next(c);
    case 2:
        return chance_next(c) >> chance_below(c, 64);
    case 3:
        return around + (chance_below(c, 129) - 64) * RINGD_UNIT;
    case 4:
        return around + (chance_below(c, 9) - 4) * s->ring.size;
    default:
        return around + chance_below(c, 65) - 32;
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
    uint64_t near = chance_below(s->chance, 9) * RINGD_UNIT;
    uint64_t reader = chance_below(s->chance, 4);

    switch (chance_below(s->chance, 4)) {
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

/* ---- header and control ---------------------------------------------------------------------------------------- */

static const char *scribble_header(struct scribbler *s)
{
    _Atomic uint64_t *header = s->segment->control_map;
    size_t field = chance_below(s->chance, sizeof(struct ringd_segment_header) / sizeof *header);

    store64(&header[field], scribble_nasty(s, load64(&header[field])));
    return "header";
}

static const char *scribble_control(struct scribbler *s)
{
    struct ringd_control *control = s->segment->control;
    struct ringd_owner *owner = &control->readers[chance_below(s->chance, 8)];

    switch (chance_below(s->chance, 5)) {
    case 0:
        store32(&control->state, scribble_nasty(s, RINGD_RING_REMOVED));
        return "ring state";
    case 1:
        store32(&control->state, RINGD_RING_LIVE);
        return "ring state";
    case 2:
        store32(&owner->state, chance_below(s->chance, 8));
        return "reader's owner";
    default:
        store64(&control->lossless[chance_below(s->chance, RINGD_READERS_MAX / 64)],
                chance_one_in(s->chance, 2) ? chance_next(s->chance) : scribble_nasty(s, 3));
        return "lossless";
    }
}

/* ---- lane ------------------------------------------------------------------------------------------------------ */

static const char *scribble_word(struct scribbler *s)
{
    _Atomic uint64_t *word = &s->ring.lane->word;
    uint64_t units = scribble_nasty(s, position_now(s)) >> RINGD_UNIT_SHIFT;

    switch (chance_below(s->chance, 6)) {
    case 0:
        store64(word, scribble_nasty(s, load64(word)));
        break;
    case 1:
        store64(word, units << RINGD_W_POSITION_SHIFT);
        break;
    case 2:
        store64(word, load64(word) ^ UINT64_C(1) << chance_below(s->chance, 32));
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

    switch (chance_below(s->chance, 6)) {
    case 0:
        store64(&lane->limit, scribble_nasty(s, limit));
        break;
    case 1:
        store64(&lane->limit, limit + RING_LIMIT_JUMP * (chance_below(s->chance, 5) - 2));
        break;
    case 2:
        store64(&lane->limit, limit ^ chance_below(s->chance, 32));
        break;
    case 3:
        store64(&lane->limit, position_now(s) + chance_below(s->chance, 2 * s->ring.size));
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
    struct ringd_writer_slot *slot = &lane->writers[chance_below(s->chance, RINGD_WRITERS_PER_LANE)];

    store32(&slot->need, scribble_nasty(s, s->ring.max_grant));
    store64(&slot->ticket, scribble_nasty(s, load64(&lane->next_ticket)));
    if (chance_one_in(s->chance, 4))
        store64(&lane->next_ticket, scribble_nasty(s, load64(&lane->next_ticket)));
    store32(&lane->waiters, chance_one_in(s->chance, 2) ? 0 : chance_next(s->chance));
    return "waiters";
}

static const char *scribble_marks(struct scribbler *s)
{
    store64(&s->ring.lane->marks[chance_below(s->chance, RINGD_MARKS)], scribble_nasty(s, position_now(s)));
    return "mark";
}

static const char *scribble_slot(struct scribbler *s)
{
    struct ringd_writer_slot *slot = &s->ring.lane->writers[chance_below(s->chance, 4)];
    _Atomic uint64_t *counters[] = {
        &slot->offered, &slot->sequence, &slot->bytes, &slot->aborted, &slot->refused, &slot->dropped_full,
        &slot->dropped_stalled, &slot->waited,
    };
    _Atomic uint64_t *counter = counters[chance_below(s->chance, sizeof counters / sizeof counters[0])];

    switch (chance_below(s->chance, 5)) {
    case 0:
        store64(&slot->begin, scribble_nasty(s, position_now(s)) | chance_below(s->chance, 2));
        return "begin";
    case 1:
        store32(&slot->length, scribble_nasty(s, s->ring.max_grant));
        return "length";
    case 2:
        store32(&slot->owner.state, chance_below(s->chance, 8));
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
    if (chance_one_in(s->chance, 3))
        return chance_below(s->chance, s->ring.max_grant);
    return chance_one_in(s->chance, 2) ? s->segment->geometry.max_record + chance_below(s->chance, 3) - 1
                                       : scribble_nasty(s, s->ring.max_grant);
}

/* A stamp that belongs exactly there, before a header that may say anything. */
static const char *scribble_stamp(struct scribbler *s)
{
    uint64_t position = likely_place(s);
    struct ringd_record_header *h = ring_header(&s->ring, position);
    uint64_t state = chance_one_in(s->chance, 3) ? RINGD_STATE_PADDING : RINGD_STATE_COMMITTED;

    store32(&h->length, nasty_length(s));
    if (chance_one_in(s->chance, 2))
        store32(&h->origin, chance_one_in(s->chance, 2) ? chance_below(s->chance, 40) : chance_next(s->chance));
    if (chance_one_in(s->chance, 3))
        store32(&h->sequence, scribble_nasty(s, h->sequence));
    store64(&h->stamp, (position | state) ^ s->ring.stamp_key);
    return "stamp";
}

static const char *scribble_record(struct scribbler *s)
{
    struct ringd_record_header *h = ring_header(&s->ring, likely_place(s));

    switch (chance_below(s->chance, 4)) {
    case 0:
        store32(&h->length, nasty_length(s));
        return "record's length";
    case 1:
        store32(&h->origin, chance_next(s->chance));
        return "record's origin";
    case 2:
        store32(&h->sequence, chance_next(s->chance));
        return "record's sequence";
    default:
        store64(&h->stamp, scribble_nasty(s, load64(&h->stamp)));
        return "record's stamp";
    }
}

static const char *scribble_data(struct scribbler *s)
{
    uint64_t at = chance_below(s->chance, s->ring.size), len = chance_below(s->chance, 512);

    if (chance_one_in(s->chance, 3))
        memset(s->ring.data + at, chance_one_in(s->chance, 2) ? 0xff : 0, len);
    else
        chance_fill(s->chance, s->ring.data + at, len);
    return "data";
}

/* ---- the readers' object --------------------------------------------------------------------------------------- */

static const char *scribble_cursor(struct scribbler *s)
{
    uint64_t reader = chance_below(s->chance, chance_one_in(s->chance, 4) ? RINGD_READERS_MAX : 4);

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

    store64(&words[chance_below(s->chance, s->segment->readers_map_bytes / sizeof *words)], scribble_nasty(s, 0));
    return "readers' object";
}

/* ---- anything -------------------------------------------------------------------------------------------------- */

static const char *scribble_anywhere(struct scribbler *s)
{
    _Atomic uint64_t *words = s->segment->control_map;

    store64(&words[chance_below(s->chance, s->segment->control_map_bytes / sizeof *words)], scribble_nasty(s, 0));
    return "anywhere";
}

const char *scribble(struct scribbler *s)
{
    static const char *(*const kinds[])(struct scribbler *) = {
        scribble_header,  scribble_control, scribble_word, scribble_limit,  scribble_waiters, scribble_marks,
        scribble_slot,    scribble_stamp,   scribble_stamp, scribble_record, scribble_data,    scribble_cursor,
        scribble_waits,   scribble_readers, scribble_anywhere,
    };

    return kinds[chance_below(s->chance, sizeof kinds / sizeof kinds[0])](s);
}

const char *scribble_hammer(struct scribbler *s, uint32_t rounds)
{
    struct ringd_lane *lane = s->ring.lane;
    uint64_t kind = chance_below(s->chance, 7), place = likely_place(s), limit = load64(&lane->limit);
    static const char *const names[] = {"hammer waits",   "hammer limit forward", "hammer limit to and fro", "hammer W",
                                        "hammer cursors", "hammer padding",       "hammer joins"};

    for (uint32_t round = 0; round < rounds; round++) {
        struct ringd_record_header *h = ring_header(&s->ring, place);

        switch (kind) {
        case 0:
            atomic_fetch_add_explicit(&s->ring.waits->data, 2, memory_order_relaxed);
            atomic_fetch_add_explicit(&s->ring.waits->space, 2, memory_order_relaxed);
            break;
        case 1:
            store64(&lane->limit, limit += s->ring.size);
            break;
        case 2:
            store64(&lane->limit, limit + (round & 1) * s->ring.size);
            break;
        case 3:
            store64(&lane->word, load64(&lane->word) ^ UINT64_C(1) << chance_below(s->chance, 36));
            break;
        case 4:
            store64(&s->ring.cursors[round & 3].position, chance_next(s->chance));
            break;
        case 5: /* a trail of padding that runs ahead of whoever follows it */
            store32(&h->length, 0);
            store64(&h->stamp, (place | RINGD_STATE_PADDING) ^ s->ring.stamp_key);
            place += RINGD_UNIT;
            break;
        default:
            atomic_fetch_add_explicit(&lane->joins, 1, memory_order_relaxed);
        }
    }
    return names[kind];
}
