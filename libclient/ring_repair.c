/* ring_repair.c - see ring_repair.h. */
#define _GNU_SOURCE
#include "ring_repair.h"

#include "relax.h"
#include "stop_point.h"
#include "wake.h"

/* Looks at living writers that are between an addition and the next store, before they are left for later: some
 * microseconds, and far longer than that takes one that runs. */
#define REPAIR_LOOKS 256

/* Places looked at in one call. */
#define REPAIR_STEPS 16384

/* ---- what is there --------------------------------------------------------------------------------------------- */

static uint64_t load_begin(const struct ring *ring, uint32_t writer)
{
    return atomic_load_explicit(&ring->lane->writers[writer].begin, memory_order_acquire); /* F2 */
}

/* One grant of whole units, from `floor` on and up to `end`. */
static bool grant_fits(const struct ring *ring, uint64_t place, uint64_t bytes, uint64_t floor, uint64_t end)
{
    return bytes > 0 && bytes % RINGD_UNIT == 0 && bytes <= ring->max_grant && (int64_t)(place - floor) >= 0 &&
           (int64_t)(end - place - bytes) >= 0;
}

/* M, loaded after what has been looked at. */
static uint64_t floor_after(const struct ring *ring)
{
    atomic_thread_fence(memory_order_acquire);
    return ring_oldest(ring); /* E3 */
}

/* ---- padding --------------------------------------------------------------------------------------------------- */

static void put_padding(const struct ring *ring, uint64_t position, uint64_t bytes)
{
    struct ringd_record_header *h = ring_header(ring, position);

    atomic_store_explicit(&h->extent, bytes - sizeof *h, memory_order_relaxed);
    atomic_store_explicit(&h->origin, 0, memory_order_relaxed);
    atomic_store_explicit(&h->time, 0, memory_order_relaxed);
    STOP_POINT("repair-filled");
    atomic_store_explicit(&h->stamp, (position | RINGD_STATE_PADDING) ^ ring->stamp_key, memory_order_release); /* E4 */
    STOP_POINT("repair-stamped");
}

/* What a repairer that dies leaves of it is a shorter gap. More than one grant unit by unit: somebody may have seen the
 * border between two of them as the position, and reads, walks or lets writers go from there. */
static void pad_range(const struct ring *ring, struct ring_repair *repair, uint64_t from, uint64_t end)
{
    uint64_t most = repair->holes > 1 ? RINGD_UNIT : ring->max_grant;

    while (from != end) {
        uint64_t bytes = end - from < most ? end - from : most;

        put_padding(ring, from, bytes);
        from += bytes;
        repair->bytes_passed += bytes;
    }
    repair->outcome = RING_REPAIR_PADDED;
}

/* ---- place known ----------------------------------------------------------------------------------------------- */

/* The committed records of a grant, which records and padding fill exactly; -EBADMSG if they do not. */
static int count_records(const struct ring *ring, const struct ring_grant *grant, uint32_t *records, uint64_t *bytes)
{
    uint64_t at = grant->place, end = grant->place + grant->bytes;

    *records = 0;
    *bytes = 0;
    while (at != end) {
        uint64_t state = ring_stamp_state(ring, at, memory_order_acquire), span = ring_span(ring, at);

        if (!ring_state_valid(state) || span > end - at)
            return -EBADMSG;
        if (state == RINGD_STATE_COMMITTED) {
            ++*records;
            *bytes += (uint32_t)atomic_load_explicit(&ring_header(ring, at)->extent, memory_order_relaxed);
        }
        at += span;
    }
    return 0;
}

/* The stamp is there and the count may not be (C1, C2): the headers tell. Whether the writer has counted the payload
 * nobody can tell, it does so just before C2; most likely not. */
static int keep_grant(struct ring *ring, uint32_t writer, const struct ring_grant *grant)
{
    struct ringd_writer_slot *slot = &ring->lane->writers[writer];
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire), extent, bytes;
    uint32_t records, counted;
    int result = count_records(ring, grant, &records, &bytes);

    if (result < 0)
        return result;
    extent = atomic_load_explicit(&ring_header(ring, grant->place)->extent, memory_order_relaxed);
    counted = (uint32_t)sequence - (uint32_t)(extent >> 32);
    if (counted != 0)
        return counted == records ? 0 : -EBADMSG;
    atomic_store_explicit(&slot->sequence, sequence + records, memory_order_release); /* E5 */
    STOP_POINT("repair-counted");
    ring_count(&slot->bytes, bytes);
    return 0;
}

static int repair_known(struct ring *ring, uint32_t writer, uint64_t place, struct ring_repair *repair)
{
    struct ring_grant grant = {.place = place};
    struct ring_view view;

    grant.bytes = atomic_load_explicit(&ring->lane->writers[writer].length, memory_order_acquire);
    if (ring_look(ring, &view) < 0)
        return -EBADMSG;
    if (ring->single && place == view.position) { /* it died between Z2 and Z3 */
        repair->outcome = RING_REPAIR_PADDED;
        return 0;
    }
    if (!grant_fits(ring, place, grant.bytes, ring_floor(ring, view.limit), view.position))
        return -EBADMSG;
    if (ring_stamp_state(ring, place, memory_order_acquire) == RINGD_STATE_COMMITTED) {
        repair->outcome = RING_REPAIR_KEPT;
        return keep_grant(ring, writer, &grant);
    }
    pad_range(ring, repair, place, place + grant.bytes);
    return 0;
}

/* ---- place unknown: snapshot and facts ------------------------------------------------------------------------- */

static int take_snapshot(const struct ring *ring, uint32_t writer, struct ring_repair *repair)
{
    uint64_t begin = load_begin(ring, writer) & RINGD_POSITION_MASK, floor;
    struct ring_view view;

    if (ring_look(ring, &view) < 0) /* E1 */
        return -EBADMSG;
    /* M once more: a raise that was computed before the death may have been done between the view's limit and its word,
     * and others may have gone round the ring since, which is no damage. */
    floor = floor_after(ring);
    if (view.position - floor > ring->size || (int64_t)(begin - view.position) > 0)
        return -EBADMSG;
    repair->begun = true;
    repair->end = view.position;
    repair->members = (uint32_t)(view.word & RINGD_W_ACTIVE) & ~(UINT32_C(1) << writer);
    repair->unresolved = repair->members;
    repair->holes = 1;
    repair->at = (int64_t)(begin - floor) > 0 ? begin : floor;
    return 0;
}

/* It stands at a place below the snapshot's position: of its grant in the snapshot, as the next one lies above. */
static int note_place(const struct ring *ring, uint32_t writer, uint64_t place, struct ring_repair *repair)
{
    uint32_t length = atomic_load_explicit(&ring->lane->writers[writer].length, memory_order_acquire); /* E2 */

    if (ring_record_at(ring, place) || (int64_t)(floor_after(ring) - place) > 0)
        return 0; /* finished; it may have been overwritten since */
    if (!grant_fits(ring, place, length, place, repair->end))
        return -EBADMSG;
    repair->places[writer] = place;
    repair->lengths[writer] = length;
    return 0;
}

/* 1: resolved. 0: a living writer between the addition and the next store. -EBADMSG. */
static int resolve(const struct ring *ring, uint32_t writer, bool dead, struct ring_repair *repair)
{
    uint64_t begin = load_begin(ring, writer);
    bool active = atomic_load_explicit(&ring->lane->word, memory_order_seq_cst) >> writer & 1;
    int result = 1;

    if ((int64_t)((begin & RINGD_POSITION_MASK) - repair->end) >= 0)
        return 1;
    if (begin & RINGD_BEGIN_EXACT)
        result = note_place(ring, writer, begin & RINGD_POSITION_MASK, repair) < 0 ? -EBADMSG : 1;
    else if (active && dead)
        repair->holes++;
    else if (active)
        result = 0;
    return result;
}

static int resolve_all(const struct ring *ring, uint32_t dead, struct ring_repair *repair)
{
    for (int look = 0; look < REPAIR_LOOKS && repair->unresolved != 0; look++) {
        for (uint32_t members = repair->unresolved; members != 0; members &= members - 1) {
            uint32_t bit = members & -members;
            int result = resolve(ring, (uint32_t)__builtin_ctz(members), (dead & bit) != 0, repair);

            if (result < 0)
                return result;
            if (result > 0)
                repair->unresolved &= ~bit;
        }
        if (repair->unresolved != 0)
            relax();
    }
    return repair->unresolved == 0 ? 0 : RING_REPAIR_WAITS;
}

/* ---- place unknown: the walk ----------------------------------------------------------------------------------- */

/* How far a stamp or a fact leads on from here; 0: there is neither. */
static uint64_t span_from(const struct ring *ring, const struct ring_repair *repair)
{
    if (ring_record_at(ring, repair->at))
        return ring_span(ring, repair->at);
    for (uint32_t members = repair->members; members != 0; members &= members - 1) {
        uint32_t writer = (uint32_t)__builtin_ctz(members);

        if (repair->lengths[writer] != 0 && repair->places[writer] == repair->at)
            return repair->lengths[writer];
    }
    return 0;
}

static void close_gap(const struct ring *ring, struct ring_repair *repair)
{
    if (repair->in_gap)
        pad_range(ring, repair, repair->gap, repair->at);
    repair->in_gap = false;
}

/* Nothing here: the gap begins, or goes on. */
static int cross_gap(const struct ring *ring, struct ring_repair *repair)
{
    if (!repair->in_gap)
        repair->gap = repair->at;
    repair->in_gap = true;
    repair->at += RINGD_UNIT;
    return repair->at - repair->gap <= repair->holes * ring->max_grant ? 0 : -EBADMSG;
}

static int walk_once(const struct ring *ring, struct ring_repair *repair)
{
    uint64_t span = span_from(ring, repair), floor = floor_after(ring);

    if ((int64_t)(floor - repair->at) > 0) {
        repair->at = floor;
        return repair->in_gap ? -EBADMSG : 0;
    }
    if (span == 0)
        return cross_gap(ring, repair);
    if (span > repair->end - repair->at)
        return -EBADMSG;
    close_gap(ring, repair);
    repair->at += span;
    return 0;
}

static int walk(const struct ring *ring, struct ring_repair *repair)
{
    for (int step = 0; step < REPAIR_STEPS || repair->in_gap; step++) {
        int result;

        if ((int64_t)(repair->end - repair->at) <= 0) {
            close_gap(ring, repair);
            return 0;
        }
        result = walk_once(ring, repair);
        if (result < 0)
            return result;
    }
    return RING_REPAIR_GOES_ON;
}

static int repair_unknown(const struct ring *ring, uint32_t writer, uint32_t dead, struct ring_repair *repair)
{
    int result = repair->begun ? 0 : take_snapshot(ring, writer, repair);

    if (result == 0)
        result = resolve_all(ring, dead, repair);
    if (result == 0)
        result = walk(ring, repair);
    if (result == 0)
        repair->outcome = RING_REPAIR_PADDED; /* perhaps by the repair of a neighbour in the same gap */
    return result;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

static int repair_grant(struct ring *ring, uint32_t writer, uint32_t dead, struct ring_repair *repair)
{
    uint64_t word = atomic_load_explicit(&ring->lane->word, memory_order_seq_cst);
    uint64_t begin = load_begin(ring, writer);

    if (!(word >> writer & 1))
        return 0;
    if (word & RINGD_W_SEALED) {
        repair->outcome = RING_REPAIR_LEFT;
        return 0;
    }
    if (begin & RINGD_BEGIN_EXACT)
        return repair_known(ring, writer, begin & RINGD_POSITION_MASK, repair);
    return repair_unknown(ring, writer, dead, repair);
}

int ring_repair(struct ring *ring, uint32_t bit_number, uint32_t dead, struct ring_repair *repair)
{
    int result = repair_grant(ring, bit_number, dead, repair);

    if (result > 0)
        return result;
    if (result < 0 || repair->outcome != RING_REPAIR_NOTHING) {
        atomic_fetch_and_explicit(&ring->lane->word, ~(UINT64_C(1) << bit_number), memory_order_seq_cst); /* E6 */
        STOP_POINT("repair-opened");
    }
    wake_all(&ring->waits->data);
    wake_all(&ring->waits->space);
    STOP_POINT("repair-woken");
    return result;
}
