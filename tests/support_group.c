/* support_group.c - see support_group.h. */
#define _GNU_SOURCE
#include "support_group.h"

#include <inttypes.h>

void member_init(struct member *member, const struct segment *segment, uint32_t number, uint32_t seat, uint32_t reader,
                 struct tally *tally)
{
    ring_init(&member->ring, segment, 0);
    ring_group_init(&member->group, segment, &member->ring, 0, number, seat, reader);
    member->tally = tally;
}

int member_claim(const struct member *member, uint64_t most, struct claim *claim)
{
    struct ring_group_view view;
    int result = ring_group_look(&member->group, &view);

    if (result == 0)
        result = ring_group_choose(&member->group, &view, most, NULL, &claim->end);
    claim->begin = view.position;
    return result == RINGD_OK ? ring_group_claim(&member->group, &view, claim->end) : result;
}

static void note(const struct member *member, uint64_t at, bool seen)
{
    const struct ringd_record_header *h = ring_header(&member->ring, at);
    uint64_t extent = atomic_load(&h->extent), origin = atomic_load(&h->origin);
    struct ringd_record record = {
        .data = h + 1,
        .len = (uint32_t)extent,
        .sequence = extent >> 32,
        .writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK),
    };

    record_verify(&record);
    atomic_fetch_add(&member->tally->given[record.sequence % TALLY_MAX], 1);
    atomic_fetch_add(&member->tally->again[record.sequence % TALLY_MAX], seen);
}

unsigned member_read(const struct member *member, const struct claim *claim, bool seen)
{
    unsigned records = 0;

    for (uint64_t at = claim->begin; at != claim->end; at += ring_span(&member->ring, at)) {
        uint64_t state = ring_stamp_state(&member->ring, at, memory_order_acquire);

        require(ring_state_valid(state), "no record at %" PRIu64, at);
        if (state != RINGD_STATE_COMMITTED)
            continue;
        note(member, at, seen);
        records++;
    }
    return records;
}

bool member_finish(const struct member *member)
{
    bool last;
    int result = ring_group_finish(&member->group, &last);

    require(result == RINGD_OK, "result %d", result);
    return last;
}

static unsigned drain_orphans(const struct member *member)
{
    struct ring_orphan orphan;
    unsigned records = 0;

    while (ring_group_take_over(&member->group, &orphan) == RINGD_OK) {
        const struct claim claim = {orphan.begin, orphan.end};

        records += member_read(member, &claim, orphan.seen);
        ring_group_finish_orphan(&member->group, &orphan);
    }
    return records;
}

unsigned member_drain(const struct member *member, uint64_t most)
{
    unsigned records = drain_orphans(member);
    struct claim claim;
    int result;

    while ((result = member_claim(member, most, &claim)) != RING_GROUP_NOTHING) {
        require(result == RINGD_OK || result == RING_GROUP_LOST, "result %d", result);
        if (result == RING_GROUP_LOST)
            continue;
        records += member_read(member, &claim, false);
        member_finish(member);
    }
    return records;
}

void tally_settle(struct tally *tally, uint64_t first, uint64_t end)
{
    require(end - first <= TALLY_MAX, "%" PRIu64 " records are too many", end - first);
    for (uint64_t i = first; i != end; i++) {
        unsigned given = atomic_exchange(&tally->given[i % TALLY_MAX], 0);
        unsigned again = atomic_exchange(&tally->again[i % TALLY_MAX], 0);

        require(given == 1 || (given == 2 && again == 1), "record %" PRIu64 " was given to %u, %u of them marked", i,
                given, again);
    }
    for (uint64_t i = 0; i < TALLY_MAX; i++)
        require(tally->given[i] == 0, "record %" PRIu64 " (modulo) was given to %u", i, tally->given[i]);
}
