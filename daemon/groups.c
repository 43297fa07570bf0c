/* groups.c - see groups.h. */
#define _GNU_SOURCE
#include "groups.h"

#include <bsd/string.h>
#include <errno.h>
#include <string.h>

#include "generation.h"
#include "log.h"
#include "ring_group.h"
#include "ring_options.h"
#include "shared_ring.h"
#include "slots.h"
#include "stop_point.h"
#include "wake.h"

/* ---- where things are ------------------------------------------------------------------------------------------ */

static struct record_group *record_of(const struct shared_ring *ring, uint32_t group)
{
    return &ring->record.page->groups[group];
}

static uint32_t state_of(const struct shared_ring *ring, uint32_t group)
{
    return atomic_load_explicit(&record_of(ring, group)->state, memory_order_acquire);
}

/* The reader slot that has the seat, and one; 0: nobody. */
static uint32_t seat_slot(const struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    uint32_t slot = atomic_load_explicit(&record_of(ring, group)->seats[seat], memory_order_acquire);

    return slot <= RINGD_READERS_MAX ? slot : 0;
}

static struct context *member_at(const struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    uint32_t slot = seat_slot(ring, group, seat);

    return slot == 0 ? NULL : ring->readers[slot - 1].context;
}

const char *groups_label(const struct shared_ring *ring, uint32_t group)
{
    return record_of(ring, group)->label;
}

uint64_t groups_lost(const struct shared_ring *ring, uint32_t group)
{
    return atomic_load_explicit(&record_of(ring, group)->lost, memory_order_relaxed);
}

uint64_t groups_lost_in_all(const struct shared_ring *ring)
{
    uint64_t lost = 0;

    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++)
        lost += state_of(ring, group) != RINGD_GROUP_NONE ? groups_lost(ring, group) : 0;
    return lost;
}

const struct context *groups_first_member(const struct shared_ring *ring, uint32_t group)
{
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
        const struct context *member = member_at(ring, group, seat);

        if (member != NULL)
            return member;
    }
    return NULL;
}

/* A generation of the ring, old or present. */
struct place {
    struct segment *segment;
    struct ring *lanes;
    uint64_t number;
};

#define PLACES_MAX RECORD_GENERATIONS

/* Those from generation `first` on, oldest first; the last one is the present. */
static uint32_t list_places(struct shared_ring *ring, uint64_t first, struct place places[PLACES_MAX])
{
    struct generation *g;
    uint32_t count = 0;

    TAILQ_FOREACH(g, &ring->older, link)
    {
        if (g->number >= first && count < PLACES_MAX - 1)
            places[count++] = (struct place){&g->segment, g->lanes, g->number};
    }
    places[count++] = (struct place){&ring->segment, ring->lanes, ring->segment.geometry.generation};
    return count;
}

static struct ringd_group *shared_group(const struct place *place, uint32_t group)
{
    return &place->segment->control->group[group];
}

static uint32_t lane_count(const struct place *place)
{
    return place->segment->geometry.lane_count;
}

uint64_t groups_cursor(const struct context *context, uint32_t number)
{
    struct ring lane;

    ring_init(&lane, generation_of(context), number);
    return ring_group_cursor(&lane, context->group, context->seat);
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

int groups_check(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem)
{
    if (request->kind != RINGD_CONTEXT_LOSSLESS)
        return problem_say(problem, -EINVAL, "a member of a group reads ring \"%s\" losslessly, and in no other mode",
                           ring->name);
    if (request->orphans > RINGD_ORPHANS_LOST)
        return problem_say(
            problem, -EINVAL,
            "orphans %u is unknown; what a group's member leaves when it dies goes to another one, again "
            "(%d), or is lost (%d)",
            request->orphans, RINGD_ORPHANS_AGAIN, RINGD_ORPHANS_LOST);
    if (memchr(request->label, '\0', sizeof request->label) == NULL)
        return problem_say(problem, -EINVAL, "the group's name has no end; it may have 1 to %u characters",
                           RINGD_LABEL_BYTES - 1);
    return label_check("group", request->label, problem);
}

/* RINGD_GROUPS_MAX: there is none of that name. One that was evicted has its name no more. */
static uint32_t find_label(const struct shared_ring *ring, const char *label)
{
    uint32_t group = 0;

    while (group < RINGD_GROUPS_MAX &&
           (state_of(ring, group) != RINGD_GROUP_LIVE || strcmp(groups_label(ring, group), label) != 0))
        group++;
    return group;
}

static uint32_t find_free(const struct shared_ring *ring)
{
    uint32_t group = 0;

    while (group < RINGD_GROUPS_MAX && state_of(ring, group) != RINGD_GROUP_NONE)
        group++;
    return group;
}

/* RINGD_SEATS_MAX: there is none. */
static uint32_t find_free_seat(const struct shared_ring *ring, uint32_t group)
{
    uint32_t seat = 0;

    while (seat < RINGD_SEATS_MAX && seat_slot(ring, group, seat) != 0)
        seat++;
    return seat;
}

static bool find(const struct shared_ring *ring, const char *label, struct group_seat *found)
{
    *found = (struct group_seat){.group = find_label(ring, label)};
    if (found->group == RINGD_GROUPS_MAX)
        found->group = find_free(ring);
    if (found->group == RINGD_GROUPS_MAX)
        return false;
    found->seat = find_free_seat(ring, found->group);
    return found->seat < RINGD_SEATS_MAX;
}

int groups_find_seat(struct shared_ring *ring, const struct context_wish *wish, struct group_seat *seat,
                     struct problem *problem)
{
    if (find(ring, wish->group, seat))
        return 0;
    context_look_at_all(ring); /* whoever has ended without our noticing is let go now */
    if (find(ring, wish->group, seat))
        return 0;
    if (seat->group == RINGD_GROUPS_MAX)
        return problem_say(
            problem, -EUSERS,
            "ring \"%s\" has its %u groups already, and \"%s\" is none of them; a group is gone when its "
            "last member closes",
            ring->name, RINGD_GROUPS_MAX, wish->group);
    return problem_say(problem, -EUSERS, "group \"%s\" of ring \"%s\" has its %u members already; close one first",
                       wish->group, ring->name, RINGD_SEATS_MAX);
}

/* A new group has its name before it is one. */
static void record_group(struct record_group *record, const struct context_wish *wish)
{
    strlcpy(record->label, wish->group, sizeof record->label);
    atomic_store_explicit(&record->orphans, wish->orphans, memory_order_relaxed);
    atomic_store_explicit(&record->lost, 0, memory_order_relaxed);
    atomic_store_explicit(&record->losing, 0, memory_order_relaxed);
    STOP_POINT("group-named");
    atomic_store_explicit(&record->state, RINGD_GROUP_LIVE, memory_order_release);
    STOP_POINT("group-recorded");
}

void groups_take_seat(struct context *context, const struct context_wish *wish, const struct group_seat *seat)
{
    struct record_group *record = record_of(context->ring, seat->group);

    if (state_of(context->ring, seat->group) == RINGD_GROUP_NONE)
        record_group(record, wish);
    context->member = true;
    context->group = seat->group;
    context->seat = seat->seat;
    atomic_store_explicit(&record->seats[seat->seat], (uint16_t)(context->slot + 1), memory_order_release);
    STOP_POINT("group-seated");
}

void groups_leave_seat(struct context *context)
{
    struct record_group *record = record_of(context->ring, context->group);

    atomic_store_explicit(&record->seats[context->seat], 0, memory_order_release);
    STOP_POINT("group-unseated");
}

/* ---- joining --------------------------------------------------------------------------------------------------- */

/* Nobody looks at it: its bit is not set. */
static void clear_group(struct ringd_group *shared, uint32_t orphans, uint64_t lost)
{
    atomic_store_explicit(&shared->orphans, orphans, memory_order_relaxed);
    atomic_store_explicit(&shared->seated, 0, memory_order_relaxed);
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++)
        atomic_store_explicit(&shared->seats[seat], 0, memory_order_relaxed);
    atomic_store_explicit(&shared->lost, lost, memory_order_relaxed);
    atomic_store_explicit(&shared->state, RINGD_GROUP_LIVE, memory_order_release);
    STOP_POINT("group-filled");
}

static int begin_in(const struct context *context, const struct place *place, uint32_t start, uint64_t *starts)
{
    clear_group(shared_group(place, context->group),
                atomic_load_explicit(&record_of(context->ring, context->group)->orphans, memory_order_relaxed), 0);
    return ring_group_begin(place->lanes, lane_count(place), context->group, start, starts);
}

static int say_begin(const struct context *context, const struct context_wish *wish, int result,
                     struct problem *problem)
{
    const struct shared_ring *ring = context->ring;

    if (result == -EINVAL)
        return problem_say(problem, result, "no record of ring \"%s\" begins at position %ju", ring->name,
                           (uintmax_t)wish->position);
    if (result == -ERANGE)
        return problem_say(problem, result, "position %ju is not in ring \"%s\"; start at the oldest record",
                           (uintmax_t)wish->position, ring->name);
    return problem_say(problem, result,
                       "ring \"%s\" is damaged, somebody scribbles over it; remove it and make it anew", ring->name);
}

/* A position in an old generation. */
static bool is_past(const struct shared_ring *ring, const struct context_wish *wish)
{
    return wish->start == RINGD_START_POSITION && (int64_t)(wish->position - segment_lane_first(&ring->segment, 0)) < 0;
}

/* What the ring has left behind is the group's too, if it wants it and it is all there. */
static int begin_older(struct context *context, const struct context_wish *wish, uint64_t starts[RINGD_LANES_MAX])
{
    struct shared_ring *ring = context->ring;
    uint64_t number = generation_for_reader(ring, wish, starts);
    bool past = is_past(ring, wish);
    struct place places[PLACES_MAX];
    uint32_t count;
    int result = 0;

    if (number == 0)
        return past ? -ERANGE : 0;
    if (past)
        result = generation_check_start(ring, number, wish);
    count = list_places(ring, number, places);
    for (uint32_t i = 0; i + 1 < count && result == 0; i++)
        result = begin_in(context, &places[i], past && i == 0 ? RINGD_START_POSITION : RINGD_START_OLDEST, starts);
    return result;
}

/* The first member decides where. */
static int begin(struct context *context, const struct context_wish *wish)
{
    struct shared_ring *ring = context->ring;
    const struct place present = {&ring->segment, ring->lanes, ring->segment.geometry.generation};
    uint64_t starts[RINGD_LANES_MAX] = {wish->position};
    bool at = wish->start == RINGD_START_POSITION, past = is_past(ring, wish);
    int result = at && !past ? ring_check_start(&ring->lanes[0], wish->position) : 0;

    if (result == 0)
        result = begin_in(context, &present, past ? RINGD_START_OLDEST : wish->start, starts);
    if (result == 0 && at && !past && starts[0] != wish->position)
        result = -ERANGE; /* overwritten until the group took hold */
    if (result == 0 && !TAILQ_EMPTY(&ring->older) && (past || wish->start == RINGD_START_OLDEST))
        result = begin_older(context, wish, starts);
    return result;
}

static bool drained(const struct place *place, uint32_t group)
{
    for (uint32_t i = 0; i < lane_count(place); i++) {
        const struct ring_group lane = {.lane = &place->lanes[i].groups[group]};

        if (!ring_group_drained(&lane, atomic_load_explicit(&place->lanes[i].lane->move.end, memory_order_relaxed)))
            return false;
    }
    return true;
}

/* The oldest generation that the group has not read to its end; else the present. */
static uint64_t first_generation(struct shared_ring *ring, uint32_t group)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places), i = 0;

    while (i + 1 < count &&
           (!(atomic_load_explicit(&places[i].segment->control->groups, memory_order_relaxed) >> group & 1) ||
            drained(&places[i], group)))
        i++;
    return places[i].number;
}

/* From where its cursors lie where the group is on, the member may be seen; then it has the seat. */
static void sit_down(const struct context *context, const struct place *place)
{
    struct ringd_group *shared = shared_group(place, context->group);

    for (uint32_t i = 0; i < lane_count(place); i++) {
        uint64_t position =
            atomic_load_explicit(&place->lanes[i].groups[context->group].position, memory_order_acquire);

        atomic_store_explicit(&segment_cursor(place->segment, i, context->slot)->in_memory, 0, memory_order_relaxed);
        atomic_store_explicit(&segment_cursor(place->segment, i, context->slot)->position, position,
                              memory_order_seq_cst);
    }
    STOP_POINT("group-cursors");
    atomic_store_explicit(&shared->seats[context->seat], (uint8_t)context->slot, memory_order_seq_cst);
    atomic_fetch_or_explicit(&shared->seated, UINT64_C(1) << context->seat, memory_order_seq_cst);
    STOP_POINT("group-sat");
}

/* Whoever else has, or had, a seat; a dead one too. */
static bool is_first(const struct context *context)
{
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
        if (seat != context->seat && seat_slot(context->ring, context->group, seat) != 0)
            return false;
    }
    return true;
}

int groups_join(struct context *context, const struct context_wish *wish, uint64_t cursors[RINGD_LANES_MAX],
                struct problem *problem)
{
    struct shared_ring *ring = context->ring;
    struct place places[PLACES_MAX];
    uint64_t first;
    uint32_t count;
    int result = is_first(context) ? begin(context, wish) : 0;

    if (result < 0)
        return say_begin(context, wish, result, problem);
    first = first_generation(ring, context->group);
    count = list_places(ring, first, places);
    for (uint32_t i = 0; i < lane_count(&places[0]); i++)
        cursors[i] = atomic_load_explicit(&places[0].lanes[i].groups[context->group].position, memory_order_acquire);
    slots_take_member(context, cursors);
    if (first != ring->segment.geometry.generation) {
        slots_take_older(context, first, cursors);
        context_set_generation(context, first);
    }
    for (uint32_t i = 0; i < count; i++)
        sit_down(context, &places[i]);
    return 0;
}

/* ---- what a member leaves -------------------------------------------------------------------------------------- */

static const struct place *find_place(const struct place *places, uint32_t count, uint64_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].number == number)
            return &places[i];
    }
    return NULL;
}

/* In record_group.losing: not a claim but what the member had in its memory. */
#define LOSING_MEMORY UINT32_C(0x80000000)

/* What a member says that it has in its memory: at most one message of each writer. */
static uint64_t load_in_memory(const struct place *place, uint32_t lane, uint32_t slot)
{
    uint64_t count =
        atomic_load_explicit(&segment_cursor(place->segment, lane, slot)->in_memory, memory_order_acquire); /* K7 */

    return count < RINGD_WRITERS_PER_LANE ? count : RINGD_WRITERS_PER_LANE;
}

static void clear_in_memory(const struct place *place, uint32_t lane, uint32_t slot)
{
    atomic_store_explicit(&segment_cursor(place->segment, lane, slot)->in_memory, 0, memory_order_release);
    STOP_POINT("group-remembered");
}

static void clear_lost(struct shared_ring *ring, const struct place *place, uint32_t group, uint32_t losing)
{
    uint32_t number = (losing & ~LOSING_MEMORY) - 1, lane = number / RINGD_SEATS_MAX, seat = number % RINGD_SEATS_MAX;
    uint32_t slot = seat_slot(ring, group, seat);

    if (lane >= lane_count(place))
        return;
    if (!(losing & LOSING_MEMORY))
        ring_group_clear_seat(&place->lanes[lane], group, seat);
    else if (slot != 0)
        clear_in_memory(place, lane, slot - 1);
}

/* From where it is written down everything can be done again, also by a successor. */
static void finish_losing(struct shared_ring *ring, uint32_t group)
{
    struct record_group *record = record_of(ring, group);
    uint32_t losing = atomic_load_explicit(&record->losing, memory_order_acquire);
    uint64_t lost = atomic_load_explicit(&record->lost_next, memory_order_relaxed);
    struct place places[PLACES_MAX];
    const struct place *place;

    if (losing == 0)
        return;
    atomic_store_explicit(&record->lost, lost, memory_order_relaxed);
    atomic_store_explicit(&ring->segment.control->group[group].lost, lost, memory_order_relaxed);
    STOP_POINT("group-lost");
    place = find_place(places, list_places(ring, 0, places),
                       atomic_load_explicit(&record->losing_generation, memory_order_relaxed));
    if (place != NULL)
        clear_lost(ring, place, group, losing);
    atomic_store_explicit(&record->losing, 0, memory_order_release);
    STOP_POINT("group-lost-done");
}

/* `what`: whose, and of which kind. */
static void lose_count(struct shared_ring *ring, uint32_t group, const struct place *place, uint64_t count,
                       uint32_t what)
{
    struct record_group *record = record_of(ring, group);
    uint64_t lost = atomic_load_explicit(&record->lost, memory_order_relaxed) + count;

    atomic_store_explicit(&record->lost_next, lost, memory_order_relaxed);
    atomic_store_explicit(&record->losing_generation, place->number, memory_order_relaxed);
    STOP_POINT("group-losing");
    atomic_store_explicit(&record->losing, what, memory_order_release);
    STOP_POINT("group-losing-said");
    finish_losing(ring, group);
}

static uint64_t lose_claim(struct shared_ring *ring, uint32_t group, const struct place *place, uint32_t lane,
                           const struct ring_orphan *orphan)
{
    struct ring_tail tail;
    bool ended = place->segment != &ring->segment && ring_read_tail(&place->lanes[lane], &tail) == 0;
    uint64_t count = ring_group_count_orphan(&place->lanes[lane], orphan, ended ? &tail : NULL);

    lose_count(ring, group, place, count, lane * RINGD_SEATS_MAX + orphan->seat + 1);
    return count;
}

/* Messages of one lane that are in a dead member's memory and nowhere else. As it followed its ring it said so in the
 * next generation first, and then no more in the last one: only the newest counts, and is the last to be cleared. */
static uint64_t lose_memory(const struct context *context, const struct place *places, uint32_t count, uint32_t lane)
{
    uint32_t newest = count - 1;
    uint64_t lost;

    while (newest > 0 && load_in_memory(&places[newest], lane, context->slot) == 0)
        newest--;
    lost = load_in_memory(&places[newest], lane, context->slot);
    for (uint32_t i = 0; i < newest; i++)
        clear_in_memory(&places[i], lane, context->slot);
    if (lost > 0)
        lose_count(context->ring, context->group, &places[newest], lost,
                   LOSING_MEMORY | (lane * RINGD_SEATS_MAX + context->seat + 1));
    return lost;
}

/* What is said of a member's death. */
struct left {
    uint32_t claims; /* that others get */
    uint64_t lost;   /* records */
};

static void leave_claims(const struct context *context, const struct place *place, struct left *left)
{
    const struct record_group *record = record_of(context->ring, context->group);
    bool again = atomic_load_explicit(&record->orphans, memory_order_relaxed) == RINGD_ORPHANS_AGAIN;
    struct ring_orphan orphan;

    for (uint32_t lane = 0; lane < lane_count(place); lane++) {
        const struct ring *ring = &place->lanes[lane];

        while (ring_group_left_behind(ring, context->group, context->seat, &orphan) == RINGD_OK) {
            if (again || !orphan.seen) {
                ring_group_make_orphan(ring, context->group, &orphan);
                left->claims += orphan.seen;
            } else {
                left->lost += lose_claim(context->ring, context->group, place, lane, &orphan);
            }
        }
    }
}

static void say_left(const struct context *context, const struct left *left)
{
    const char *label = groups_label(context->ring, context->group);

    if (left->claims > 0)
        log_warning("ring %s: reader %u (pid %u, %s) of group %s died with records that it had not released; another "
                    "member gets them, marked as perhaps seen",
                    context->ring->name, context->slot, context->pid, context->command, label);
    if (left->lost > 0)
        log_warning(
            "ring %s: reader %u (pid %u, %s) of group %s died with %ju records that it had not released, or had "
            "parts of in its memory; they are lost",
            context->ring->name, context->slot, context->pid, context->command, label, (uintmax_t)left->lost);
}

/* It may have finished and not have come to telling those who wait for it. */
static void wake_sleepers(const struct place *place)
{
    wake_all(&place->segment->readers->waits.space);
    wake_all(&place->segment->readers->waits.data);
}

void groups_recover(struct context *context)
{
    struct place places[PLACES_MAX];
    /* Also in those that it has left: what holds a message's rest goes on before it has finished there. */
    uint32_t count = list_places(context->ring, 0, places);
    struct left left = {0};

    for (uint32_t i = 0; i < count && state_of(context->ring, context->group) == RINGD_GROUP_LIVE; i++)
        leave_claims(context, &places[i], &left);
    for (uint32_t lane = 0; lane < lane_count(&places[count - 1]); lane++)
        left.lost += lose_memory(context, places, count, lane);
    for (uint32_t i = 0; i < count; i++)
        wake_sleepers(&places[i]);
    say_left(context, &left);
}

/* ---- the end of members and groups ------------------------------------------------------------------------------ */

static bool seat_is_clear(struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t lane = 0; lane < lane_count(&places[i]); lane++) {
            if (!ring_group_seat_is_clear(&places[i].lanes[lane], group, seat))
                return false;
        }
    }
    return true;
}

/* Nobody can have it: it is freed by us only. */
static void clear_seat(struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t lane = 0; lane < lane_count(&places[i]); lane++)
            ring_group_clear_seat(&places[i].lanes[lane], group, seat);
    }
}

static void stand_up(struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    for (uint32_t i = 0; i < count; i++) {
        atomic_fetch_and_explicit(&shared_group(&places[i], group)->seated, ~(UINT64_C(1) << seat),
                                  memory_order_seq_cst);
        STOP_POINT("group-stood-up");
    }
}

static void free_member(struct context *member)
{
    stand_up(member->ring, member->group, member->seat);
    slots_leave(member);
    context_say_left(member);
    context_free(member);
}

/* A claim that its member left in order nobody misses when there is nobody left. */
static bool is_owed(struct shared_ring *ring, uint32_t group)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t lane = 0; lane < lane_count(&places[i]); lane++) {
            if (ring_group_is_owed(&places[i].lanes[lane], group))
                return true;
        }
    }
    return false;
}

static void end_in(const struct place *place, uint32_t group, uint32_t state)
{
    atomic_store_explicit(&shared_group(place, group)->state, state, memory_order_seq_cst);
    STOP_POINT("group-state");
    ring_group_end(&place->lanes[0], group);
}

static void end_group(struct shared_ring *ring, uint32_t group)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    log_debug("ring %s: group %s is gone with its last member", ring->name, groups_label(ring, group));
    for (uint32_t i = 0; i < count; i++)
        end_in(&places[i], group, RINGD_GROUP_NONE);
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
        struct context *member = member_at(ring, group, seat);

        if (seat_slot(ring, group, seat) != 0)
            clear_seat(ring, group, seat);
        if (member != NULL)
            free_member(member);
    }
    atomic_store_explicit(&record_of(ring, group)->state, RINGD_GROUP_NONE, memory_order_release);
    STOP_POINT("group-forgotten");
}

/* A seat that its member's end, or a predecessor's, has left. True: it is in use, or may be. */
static bool settle_seat(struct shared_ring *ring, uint32_t group, uint32_t seat)
{
    uint32_t slot = seat_slot(ring, group, seat);
    struct context *member = member_at(ring, group, seat);

    if (slot == 0)
        return false;
    if (member == NULL) {
        /* Whose life page is gone may live. */
        if (atomic_load_explicit(&shared_ring_record_slot(ring, false, slot - 1)->kind, memory_order_relaxed) != 0)
            return true;
        clear_seat(ring, group, seat);
        stand_up(ring, group, seat);
        atomic_store_explicit(&record_of(ring, group)->seats[seat], 0, memory_order_release);
        STOP_POINT("group-unseated");
        return false;
    }
    if (!member->dead)
        return true;
    if (state_of(ring, group) != RINGD_GROUP_LIVE)
        clear_seat(ring, group, seat);
    if (seat_is_clear(ring, group, seat))
        free_member(member);
    return false;
}

void groups_settle(struct shared_ring *ring)
{
    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++) {
        uint32_t living = 0;

        if (state_of(ring, group) == RINGD_GROUP_NONE)
            continue;
        for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++)
            living += settle_seat(ring, group, seat);
        if (living == 0 && (state_of(ring, group) != RINGD_GROUP_LIVE || !is_owed(ring, group)))
            end_group(ring, group);
    }
}

/* ---- evicting -------------------------------------------------------------------------------------------------- */

/* All are told before writers may pass one of them. */
uint32_t groups_evict(struct shared_ring *ring, uint32_t group, const char *why)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places), evicted = 0;

    atomic_store_explicit(&record_of(ring, group)->state, RINGD_GROUP_EVICTED, memory_order_release);
    STOP_POINT("group-evicting");
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
        struct context *member = member_at(ring, group, seat);

        if (member == NULL || member->kind != RINGD_CONTEXT_LOSSLESS)
            continue;
        context_evict(member);
        evicted++;
    }
    for (uint32_t i = 0; i < count; i++)
        end_in(&places[i], group, RINGD_GROUP_EVICTED);
    log_warning("ring %s: group %s, %s; its %u members are at their end and have to be opened anew (%u evicted so far)",
                ring->name, groups_label(ring, group), why, evicted, ring->evicted_count);
    groups_settle(ring);
    return evicted;
}

static bool is_bad(const struct shared_ring *ring, uint32_t group)
{
    for (uint32_t lane = 0; lane < ring->segment.geometry.lane_count; lane++) {
        if (ring_group_check(&ring->lanes[lane], group) != 0)
            return true;
    }
    return false;
}

uint32_t groups_evict_bad(struct shared_ring *ring)
{
    uint32_t evicted = 0;

    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++) {
        if (state_of(ring, group) == RINGD_GROUP_LIVE && is_bad(ring, group))
            evicted += groups_evict(ring, group, "whose place made no sense");
    }
    return evicted;
}

/* ---- moves ------------------------------------------------------------------------------------------------------ */

/* Nobody has seen it. Who has the seats is taken from our own knowledge. */
static void carry_group(const struct shared_ring *ring, uint32_t group, const struct ring_end *ends, struct segment *to)
{
    const struct record_group *record = record_of(ring, group);
    struct ringd_group *shared = &to->control->group[group];
    uint64_t seated = 0;

    clear_group(shared, atomic_load_explicit(&record->orphans, memory_order_relaxed),
                atomic_load_explicit(&record->lost, memory_order_relaxed));
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
        uint32_t slot = seat_slot(ring, group, seat);

        if (slot == 0)
            continue;
        atomic_store_explicit(&shared->seats[seat], (uint8_t)(slot - 1), memory_order_relaxed);
        seated |= UINT64_C(1) << seat;
    }
    atomic_store_explicit(&shared->seated, seated, memory_order_relaxed);
    atomic_store_explicit(&shared->state, state_of(ring, group), memory_order_relaxed);
    for (uint32_t lane = 0; lane < to->geometry.lane_count; lane++)
        atomic_store_explicit(&segment_group(to, lane, group)->position, ends[lane].position, memory_order_relaxed);
    if (state_of(ring, group) == RINGD_GROUP_LIVE)
        atomic_fetch_or_explicit(&to->control->groups, UINT64_C(1) << group, memory_order_relaxed);
}

void groups_carry(const struct shared_ring *ring, const struct ring_end *ends, struct segment *to)
{
    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++) {
        if (state_of(ring, group) != RINGD_GROUP_NONE)
            carry_group(ring, group, ends, to);
    }
}

/* ---- after a restart ------------------------------------------------------------------------------------------- */

void groups_adopt_member(struct context *context)
{
    if (context_is_writer(context))
        return;
    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++) {
        for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++) {
            if (state_of(context->ring, group) == RINGD_GROUP_NONE ||
                seat_slot(context->ring, group, seat) != context->slot + 1)
                continue;
            context->member = true;
            context->group = group;
            context->seat = seat;
        }
    }
}

/* A group that had come to its end, or not begun, holds nobody up. */
static void clear_ended(struct shared_ring *ring, uint32_t group)
{
    struct place places[PLACES_MAX];
    uint32_t count = list_places(ring, 0, places);

    for (uint32_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&places[i].segment->control->groups, memory_order_relaxed) >> group & 1)
            ring_group_end(&places[i].lanes[0], group);
    }
    for (uint32_t seat = 0; seat < RINGD_SEATS_MAX; seat++)
        atomic_store_explicit(&record_of(ring, group)->seats[seat], 0, memory_order_relaxed);
}

void groups_adopt(struct shared_ring *ring)
{
    for (uint32_t group = 0; group < RINGD_GROUPS_MAX; group++) {
        finish_losing(ring, group);
        if (state_of(ring, group) == RINGD_GROUP_NONE)
            clear_ended(ring, group);
        else if (state_of(ring, group) == RINGD_GROUP_EVICTED)
            groups_evict(ring, group, "which the last ringd was about to put out");
    }
}
