/* ring_seal.c - the daemon's part of a move: seals a lane, settles what was open, and begins the next generation's; see
 * ring_move.h for what holds true.
 */
#define _GNU_SOURCE
#include "ring_move.h"

#include <time.h>

#include "relax.h"
#include "wake.h"

/* Loops over shared words that honest contexts leave after a few rounds. */
#define MOVE_ROUNDS_MAX 65536

/* Looks at members that may be about to finish, before they are given up: some microseconds. */
#define MOVE_LOOKS 256

/* Until what a processor has stored is seen by all: some thousand times longer than it takes. */
#define AWAIT_STORES_NS 1000000

/* ---- the seal -------------------------------------------------------------------------------------------------- */

bool ring_is_sealed(const struct ring *ring)
{
    return atomic_load_explicit(&ring->lane->word, memory_order_seq_cst) & RINGD_W_SEALED;
}

void ring_reopen(struct ring *ring)
{
    atomic_fetch_and_explicit(&ring->lane->limit, ~RINGD_LIMIT_CLOSING, memory_order_seq_cst);
}

/* Where the kernel runs no barriers: a processor's stores are seen by all some nanoseconds later, and no process is
 * taken from it before. */
static void await_stores(void)
{
    const struct timespec pause = {.tv_nsec = AWAIT_STORES_NS};

    nanosleep(&pause, NULL);
}

/* What a predecessor sealed. */
static int read_journal(const struct ring *ring, struct ring_end *end)
{
    uint64_t position = atomic_load_explicit(&ring->lane->move.end, memory_order_acquire);
    uint64_t word = atomic_load_explicit(&ring->lane->move.word, memory_order_acquire);

    if (!ring_end_fits(ring, position) || word >> RINGD_W_POSITION_SHIFT != (uint32_t)(position >> RINGD_UNIT_SHIFT))
        return -EBADMSG;
    *end = (struct ring_end){.position = position, .members = word & RINGD_W_ACTIVE};
    return 0;
}

int ring_seal(struct ring *ring, struct ring_end *end)
{
    struct ringd_lane *lane = ring->lane;

    ring_close(ring);
    STOP_POINT("move-closed");
    if (ring->single && !wake_barrier()) /* Y1 */
        await_stores();
    for (int round = 0; round < MOVE_ROUNDS_MAX; round++) {
        struct ring_view view;

        if (ring_look(ring, &view) < 0)
            return -EBADMSG;
        if (view.word & RINGD_W_SEALED)
            return read_journal(ring, end);
        if (!ring_end_fits(ring, view.position))
            return -EBADMSG;
        atomic_store_explicit(&lane->move.end, view.position, memory_order_release);
        atomic_store_explicit(&lane->move.word, view.word, memory_order_release);
        STOP_POINT("move-journal");
        if (atomic_compare_exchange_strong_explicit(&lane->word, &view.word, view.word | RINGD_W_SEALED,
                                                    memory_order_seq_cst, memory_order_relaxed)) { /* X3 */
            STOP_POINT("move-sealed");
            *end = (struct ring_end){.position = view.position, .members = view.word & RINGD_W_ACTIVE};
            return 0;
        }
    }
    return -EBADMSG;
}

/* ---- verdicts -------------------------------------------------------------------------------------------------- */

/* A member's grant, if it has said where, and if that can be. */
static bool grant_of(const struct ring *ring, const struct ring_end *end, const struct ringd_writer_slot *slot,
                     struct ring_range *range)
{
    uint64_t begin = atomic_load_explicit(&slot->begin, memory_order_acquire); /* F2 */
    uint64_t bytes = atomic_load_explicit(&slot->length, memory_order_relaxed);

    *range = (struct ring_range){.begin = begin & RINGD_POSITION_MASK};
    range->end = range->begin + bytes;
    return (begin & RINGD_BEGIN_EXACT) && range->begin - ring_oldest(ring) <= ring->size && bytes != 0 &&
           bytes % RINGD_UNIT == 0 && bytes <= ring->max_grant && (int64_t)(end->position - range->end) >= 0;
}

/* Whether the first stamp of the member's grant is there: of records, or of padding. */
static bool is_stamped(const struct ring *ring, const struct ring_end *end, const struct ringd_writer_slot *slot)
{
    struct ring_range range;

    return grant_of(ring, end, slot, &range) && ring_record_at(ring, range.begin); /* X4 */
}

/* True: it has its verdict. `last`: it gets one. */
static bool settle_member(const struct ring *ring, const struct ring_end *end, struct ringd_writer_slot *slot,
                          bool last)
{
    if (atomic_load_explicit(&slot->verdict, memory_order_acquire) != RINGD_VERDICT_NONE)
        return true;
    if (is_stamped(ring, end, slot))
        ring_give_verdict(slot, RINGD_VERDICT_COMMITTED);
    else if (last)
        ring_give_verdict(slot, RINGD_VERDICT_ABANDONED);
    else
        return false;
    STOP_POINT("move-verdict");
    return true;
}

/* Those of `members` that have none yet. */
static uint64_t settle_members(const struct ring *ring, const struct ring_end *end, uint64_t members, bool last)
{
    uint64_t open = 0;

    for (; members != 0; members &= members - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(members);

        if (!settle_member(ring, end, &ring->lane->writers[bit], last))
            open |= UINT64_C(1) << bit;
    }
    return open;
}

/* ---- counts ---------------------------------------------------------------------------------------------------- */

/* What stands in a committed grant. */
static void count_grant(const struct ring *ring, struct ring_range range, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    while ((int64_t)(range.end - range.begin) > 0) {
        uint64_t state = ring_stamp_state(ring, range.begin, memory_order_acquire);
        uint32_t len = (uint32_t)atomic_load_explicit(&ring_header(ring, range.begin)->extent, memory_order_relaxed);

        if (!ring_state_valid(state))
            return;
        *records += state == RINGD_STATE_COMMITTED;
        *bytes += state == RINGD_STATE_COMMITTED ? len : 0;
        range.begin += ring_record_bytes(len);
    }
}

/* A member's count is raised after its stamps (C1 before C2), and may be raised at any time from now on. What it was
 * before stands in the first record of its grant; without a stamp it has not been raised. `counted` was loaded first.
 */
static void count_member(const struct ring *ring, struct ring_end *end, uint32_t bit, uint64_t counted)
{
    const struct ringd_writer_slot *slot = &ring->lane->writers[bit];
    struct ring_range range;
    uint64_t records, bytes, ahead;
    uint32_t sequence;

    if (!grant_of(ring, end, slot, &range) ||
        ring_stamp_state(ring, range.begin, memory_order_acquire) != RINGD_STATE_COMMITTED)
        return;
    sequence = (uint32_t)(atomic_load_explicit(&ring_header(ring, range.begin)->extent, memory_order_relaxed) >> 32);
    count_grant(ring, range, &records, &bytes);
    ahead = (uint32_t)((uint32_t)counted - sequence);
    if (ahead != 0 && ahead != records)
        return;
    end->sequence[bit] = counted - ahead;
    end->bytes[bit] -= ahead != 0 ? bytes : 0;
    if (end->abandoned >> bit & 1)
        return;
    end->sequence[bit] += records;
    end->bytes[bit] += bytes;
}

static void load_counts(const struct ring *ring, struct ring_end *end)
{
    for (uint32_t bit = 0; bit < RINGD_WRITERS_PER_LANE; bit++) {
        const struct ringd_writer_slot *slot = &ring->lane->writers[bit];

        end->sequence[bit] = atomic_load_explicit(&slot->sequence, memory_order_acquire); /* X7 */
        end->bytes[bit] = atomic_load_explicit(&slot->bytes, memory_order_relaxed);
    }
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

/* The end of the abandoned grant that `position` lies in, or 0. Loaded after a stamp that was seen there, this shows
 * the grant: its writer said where it is before it stored anything into it. */
static uint64_t abandoned_until(const struct ring *ring, const struct ring_end *end, uint64_t position)
{
    for (uint64_t members = end->abandoned; members != 0; members &= members - 1) {
        struct ring_range range;

        if (grant_of(ring, end, &ring->lane->writers[__builtin_ctzll(members)], &range) &&
            position - range.begin < range.end - range.begin)
            return range.end;
    }
    return 0;
}

/* Adjoining ranges become one, so that there are never more than members. */
static int add_range(struct ring_tail *tail, uint64_t begin, uint64_t end)
{
    if (tail->count > 0 && tail->gone[tail->count - 1].end == begin) {
        tail->gone[tail->count - 1].end = end;
        return 0;
    }
    if (tail->count == RINGD_WRITERS_PER_LANE)
        return -EBADMSG;
    tail->gone[tail->count++] = (struct ring_range){.begin = begin, .end = end};
    return 0;
}

/* From a place without a stamp to the next that has one or is in a known grant. */
static uint64_t gap_end(const struct ring *ring, const struct ring_end *end, uint64_t position)
{
    do
        position += RINGD_UNIT;
    while (position != end->position && !ring_record_at(ring, position) && abandoned_until(ring, end, position) == 0);
    return position;
}

/* All between `begin`, a record boundary, and the end is a record, a known grant, or a gap: the grants of those who had
 * not said where they are. A stamp inside an abandoned grant is none: its writer may have woken. */
static int walk(const struct ring *ring, const struct ring_end *end, uint64_t begin, struct ring_tail *tail)
{
    int result = 0;

    while (begin != end->position && result == 0) {
        bool stamped = ring_record_at(ring, begin);
        uint64_t next = abandoned_until(ring, end, begin);
        bool gone = next != 0 || !stamped;

        if (next == 0 && stamped) {
            uint64_t extent = atomic_load_explicit(&ring_header(ring, begin)->extent, memory_order_relaxed);

            next = begin + ring_record_bytes((uint32_t)extent);
            if ((int64_t)(end->position - next) < 0)
                return -EBADMSG;
        } else if (next == 0) {
            next = gap_end(ring, end, begin);
        }
        if (gone)
            result = add_range(tail, begin, next);
        begin = next;
    }
    return result;
}

/* Where a walk for grants that nobody has told has to begin: the lowest bound of those writers, or the end. */
static uint64_t walk_begin(const struct ring *ring, const struct ring_end *end)
{
    uint64_t begin = end->position, floor = ring_oldest(ring);

    for (uint64_t members = end->abandoned; members != 0; members &= members - 1) {
        const struct ringd_writer_slot *slot = &ring->lane->writers[__builtin_ctzll(members)];
        uint64_t bound = atomic_load_explicit(&slot->begin, memory_order_acquire) & RINGD_POSITION_MASK;
        struct ring_range range;

        if (grant_of(ring, end, slot, &range))
            continue;
        if (bound - floor > ring->size)
            bound = floor;
        if ((int64_t)(bound - begin) < 0)
            begin = bound;
    }
    return begin;
}

/* Known grants below the walk. */
static int add_known(const struct ring *ring, const struct ring_end *end, uint64_t below, struct ring_tail *tail)
{
    int result = 0;

    for (uint64_t members = end->abandoned; members != 0 && result == 0; members &= members - 1) {
        struct ring_range range;

        if (grant_of(ring, end, &ring->lane->writers[__builtin_ctzll(members)], &range) &&
            (int64_t)(range.begin - below) < 0)
            result = add_range(tail, range.begin, range.end);
    }
    return result;
}

static void write_list(struct ringd_move *move, const struct ring_tail *tail, uint64_t end)
{
    for (uint32_t i = 0; i < tail->count; i++) {
        uint64_t before = (end - tail->gone[i].begin) >> RINGD_UNIT_SHIFT;
        uint64_t units = (tail->gone[i].end - tail->gone[i].begin) >> RINGD_UNIT_SHIFT;

        atomic_store_explicit(&move->gone[i], before << 32 | units, memory_order_relaxed);
    }
    atomic_store_explicit(&move->count, tail->count, memory_order_relaxed);
}

/* Where the walk begins is looked for first: a writer that says where it is after that is met by the walk. */
static int make_list(struct ring *ring, const struct ring_end *end)
{
    struct ring_tail tail = {0};
    uint64_t begin = walk_begin(ring, end);
    int result = add_known(ring, end, begin, &tail);

    if (result == 0)
        result = walk(ring, end, begin, &tail);
    if (result == 0)
        write_list(&ring->lane->move, &tail, end->position);
    return result;
}

int ring_settle(struct ring *ring, struct ring_end *end)
{
    uint64_t open = end->members;

    atomic_thread_fence(memory_order_seq_cst); /* X4 */
    for (int look = 0; look < MOVE_LOOKS && open != 0; look++) {
        open = settle_members(ring, end, open, false);
        relax();
    }
    load_counts(ring, end);
    settle_members(ring, end, open, true);
    for (uint64_t members = end->members; members != 0; members &= members - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(members);

        if (atomic_load_explicit(&ring->lane->writers[bit].verdict, memory_order_acquire) != RINGD_VERDICT_COMMITTED)
            end->abandoned |= UINT64_C(1) << bit;
    }
    for (uint64_t members = end->members; members != 0; members &= members - 1)
        count_member(ring, end, (uint32_t)__builtin_ctzll(members), end->sequence[__builtin_ctzll(members)]);
    return make_list(ring, end);
}

/* ---- the next generation's lane -------------------------------------------------------------------------------- */

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void store(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static void carry_owner(const struct ringd_owner *from, struct ringd_owner *to)
{
    atomic_store_explicit(&to->incarnation, atomic_load_explicit(&from->incarnation, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&to->pid, atomic_load_explicit(&from->pid, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&to->uid, atomic_load_explicit(&from->uid, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&to->state, atomic_load_explicit(&from->state, memory_order_relaxed), memory_order_relaxed);
}

/* `begin` lies below everything: all that the slot has committed, it has committed there. */
static void carry_slot(const struct ringd_writer_slot *from, const struct ring_end *end, uint32_t bit,
                       struct ringd_writer_slot *to)
{
    store(&to->begin, end->position - RINGD_UNIT);
    store(&to->offered, load(&from->offered));
    store(&to->sequence, end->sequence[bit]);
    store(&to->bytes, end->bytes[bit]);
    store(&to->aborted, load(&from->aborted));
    store(&to->refused, load(&from->refused));
    store(&to->dropped_full, load(&from->dropped_full));
    store(&to->dropped_stalled, load(&from->dropped_stalled));
    store(&to->waited, load(&from->waited));
    store(&to->lost, load(&from->lost));
    to->first_sequence = from->first_sequence;
    carry_owner(&from->owner, &to->owner);
}

static void carry_departed(const struct ringd_departed *from, struct ringd_departed *to)
{
    store(&to->offered, load(&from->offered));
    store(&to->committed, load(&from->committed));
    store(&to->bytes, load(&from->bytes));
    store(&to->aborted, load(&from->aborted));
    store(&to->refused, load(&from->refused));
    store(&to->dropped_full, load(&from->dropped_full));
    store(&to->dropped_stalled, load(&from->dropped_stalled));
    store(&to->waited, load(&from->waited));
    store(&to->lost, load(&from->lost));
}

void ring_carry(const struct ring *from, const struct ring_end *end, uint64_t behind, struct ring *to)
{
    struct ringd_lane *lane = to->lane;

    store(&lane->word, end->position >> RINGD_UNIT_SHIFT << RINGD_W_POSITION_SHIFT);
    to->first = end->position;
    store(&lane->limit, end->position + to->reach - behind);
    store(&lane->joins, load(&from->lane->joins));
    carry_departed(&from->lane->departed, &lane->departed);
    for (uint32_t bit = 0; bit < RINGD_WRITERS_PER_LANE; bit++)
        carry_slot(&from->lane->writers[bit], end, bit, &lane->writers[bit]);
}
