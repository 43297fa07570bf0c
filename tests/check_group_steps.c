/* check_group_steps.c - a reader group's primitive (libclient/ring_group.h), step by step and without a daemon.
 *
 * By the names of its rules: each record goes to one member (R2), the last one out opens the space (R9), and whoever is
 * stopped, killed or late anywhere changes nothing of that (R13, R14). Members in processes of their own are stood at
 * each machine instruction, or killed at each stop point, while others go on; then what the daemon does about it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "../daemon/segment_create.h"
#include "ring_move.h"
#include "support_at_point.h"
#include "support_check.h"
#include "support_group.h"
#include "support_step.h"
#include "writer.h"

#define SIZE       16384
#define MAX_RECORD 128
#define FIRST      (SUPPORT_WRAP - 1024)
#define GROUP      3
#define OTHER      4  /* another group */
#define READER     40 /* of seat 0; the next ones follow */
#define MEMBERS    3

static struct random_source chance;

/* The next place to stand at: some are left out. */
static uint64_t next_stop(uint64_t stop)
{
    return stop + 1 + random_below(&chance, 7);
}

/* ---- a ring, a writer, a group ------------------------------------------------------------------------------------
 */

struct scene {
    struct own_ring own;
    struct ring ring;
    struct ringd_writer *w;
    struct member members[MEMBERS];
    struct tally *tally;
    uint64_t settled; /* records that are in order */
};

static void seat_members(const struct scene *scene, uint32_t number)
{
    struct ringd_group *group = &scene->own.segment->control->group[number];

    for (uint32_t i = 0; i < MEMBERS; i++)
        atomic_store(&group->seats[i], (uint8_t)(READER + i));
    atomic_store(&group->state, RINGD_GROUP_LIVE);
}

static void scene_begin_as(struct scene *scene, uint64_t slow_bytes)
{
    *scene = (struct scene){.tally = shared_new(sizeof *scene->tally)};
    own_ring_new(&scene->own, (struct ringd_ring_options){.size = SIZE,
                                                          .max_record = MAX_RECORD,
                                                          .policy = RINGD_LOSSLESS,
                                                          .first_position = FIRST,
                                                          .slow_bytes = slow_bytes,
                                                          .slow = slow_bytes != 0 ? RINGD_SLOW_EVICT : 0});
    ring_init(&scene->ring, scene->own.segment, 0);
    require(writer_new(&scene->w, scene->own.segment, 0, 1, NULL) == 0, "no writer");
    seat_members(scene, GROUP);
    require(ring_group_begin(&scene->ring, 1, GROUP, RINGD_START_NOW, NULL) == 0, "cannot begin");
    for (uint32_t i = 0; i < MEMBERS; i++)
        member_init(&scene->members[i], scene->own.segment, GROUP, i, READER + i, scene->tally);
}

static void scene_begin(struct scene *scene)
{
    scene_begin_as(scene, 0);
}

static void scene_end(struct scene *scene)
{
    ringd_writer_close(scene->w);
    own_ring_free(&scene->own);
}

static void put(struct scene *scene, unsigned records)
{
    for (unsigned i = 0; i < records; i++) {
        int result = write_record(scene->w, RECORD_MIN);

        require(result == RINGD_OK, "result %d", result);
    }
}

/* Returns how many were written until there is no room. */
static unsigned fill_up(struct scene *scene)
{
    unsigned records = 0;
    int result;

    while ((result = write_record(scene->w, RECORD_MIN)) == RINGD_OK)
        records++;
    require(result == RINGD_FULL, "result %d", result);
    return records;
}

static struct claim take(const struct member *member, uint64_t most)
{
    struct claim claim;
    int result = member_claim(member, most, &claim);

    require(result == RINGD_OK, "result %d", result);
    return claim;
}

static uint64_t frontier_of(const struct scene *scene)
{
    struct ring_view view;
    uint64_t frontier;
    bool unsettled = false;

    require(ring_look(&scene->ring, &view) == 0, "damaged");
    require(ring_group_frontier(&scene->ring, GROUP, ring_floor(&scene->ring, view.limit),
                                ring_frontier(&scene->ring, &view, &unsettled), &frontier) == 0,
            "no frontier");
    return frontier;
}

static struct ringd_group_lane *word_of(const struct scene *scene)
{
    return &scene->ring.groups[GROUP];
}

static void require_all_given(struct scene *scene)
{
    uint64_t end = writer_sequence(scene->w);

    tally_settle(scene->tally, scene->settled, end);
    scene->settled = end;
    require(atomic_load(&word_of(scene)->active) == 0 && atomic_load(&word_of(scene)->orphaned) == 0, "not clear");
}

/* What the daemon does when the member of this seat has died. */
static void repair(const struct scene *scene, uint32_t seat)
{
    struct ring_orphan orphan;

    while (ring_group_left_behind(&scene->ring, GROUP, seat, &orphan) == RINGD_OK)
        ring_group_make_orphan(&scene->ring, GROUP, &orphan);
}

static void drain(struct scene *scene, uint32_t member)
{
    member_drain(&scene->members[member], 3);
}

/* ---- R2: one word manages who reads what ---------------------------------------------------------------------------
 */

START_TEST(r2_each_record_goes_to_one_member)
{
    struct scene scene;

    scene_begin(&scene);
    for (unsigned round = 0; round < 200; round++) {
        struct claim claims[MEMBERS];

        put(&scene, 7);
        for (uint32_t i = 0; i < MEMBERS; i++)
            claims[i] = take(&scene.members[i], 2);
        for (uint32_t i = 0; i < MEMBERS; i++) {
            ck_assert_uint_eq(claims[i].begin, i == 0 ? claims[0].begin : claims[i - 1].end);
            ck_assert_uint_eq(member_read(&scene.members[i], &claims[i], false), 2);
            member_finish(&scene.members[(i + round) % MEMBERS]);
        }
        ck_assert_uint_eq(member_drain(&scene.members[round % MEMBERS], 5), 1);
    }
    require_all_given(&scene);
    scene_end(&scene);
}
END_TEST

START_TEST(r2_a_claim_made_after_a_look_that_is_old_fails)
{
    struct scene scene;
    struct ring_group_view view;
    uint64_t end;

    scene_begin(&scene);
    put(&scene, 4);
    ck_assert_int_eq(ring_group_look(&scene.members[0].group, &view), 0);
    ck_assert_int_eq(ring_group_choose(&scene.members[0].group, &view, 2, NULL, &end), RINGD_OK);
    take(&scene.members[1], 1);
    ck_assert_int_eq(ring_group_claim(&scene.members[0].group, &view, end), RING_GROUP_LOST);
    member_finish(&scene.members[1]);
    ck_assert_int_eq(ring_group_claim(&scene.members[0].group, &view, end), RING_GROUP_LOST);
    /* Laps later, where 32 bits of position, and the active set, are the same again. */
    atomic_store(&word_of(&scene)->position, view.position + (UINT64_C(1) << 37));
    ck_assert_int_eq(ring_group_claim(&scene.members[0].group, &view, end), RING_GROUP_LOST);
    ck_assert_uint_eq(atomic_load(&word_of(&scene)->active), 0);
    scene_end(&scene);
}
END_TEST

START_TEST(a_member_has_one_claim)
{
    struct scene scene;
    struct claim claim;
    bool last;

    scene_begin(&scene);
    put(&scene, 2);
    take(&scene.members[0], 1);
    ck_assert_int_eq(member_claim(&scene.members[0], 1, &claim), -EBADMSG);
    member_finish(&scene.members[0]);
    ck_assert_int_eq(ring_group_finish(&scene.members[0].group, &last), -EBADMSG);
    scene_end(&scene);
}
END_TEST

/* ---- how far a claim goes ------------------------------------------------------------------------------------------
 */

START_TEST(a_claim_ends_before_what_is_not_there_yet)
{
    struct scene scene;
    struct ringd_writer *open;
    struct claim claim;
    size_t granted;
    void *data;

    scene_begin(&scene);
    require(writer_new(&open, scene.own.segment, 1, 1, NULL) == 0, "no writer");
    ck_assert_int_eq(member_claim(&scene.members[0], 9, &claim), RING_GROUP_NOTHING);
    put(&scene, 2);
    ck_assert_int_eq(ringd_reserve(open, MAX_RECORD, MAX_RECORD, &data, &granted), RINGD_OK);
    put(&scene, 2);
    claim = take(&scene.members[0], 9);
    ck_assert_uint_eq(claim.end - claim.begin, 2 * ring_record_bytes(RECORD_MIN));
    ck_assert_int_eq(member_claim(&scene.members[1], 9, &claim), RING_GROUP_NOTHING);
    ck_assert_int_eq(ringd_abort(open), RINGD_OK);
    claim = take(&scene.members[1], 9); /* the padding along with what follows */
    ck_assert_uint_eq(claim.end - claim.begin, ring_record_bytes(MAX_RECORD) + 2 * ring_record_bytes(RECORD_MIN));
    ck_assert_uint_eq(member_read(&scene.members[1], &claim, false), 2);
    ringd_writer_close(open);
    scene_end(&scene);
}
END_TEST

/* The first `count` records of the ring say that the next one is of the same batch. */
static void mark_batch(const struct scene *scene, uint64_t at, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        atomic_fetch_or(&ring_header(&scene->ring, at)->origin, (uint64_t)RINGD_FLAG_MORE << RINGD_ORIGIN_FLAGS_SHIFT);
        at += ring_span(&scene->ring, at);
    }
}

START_TEST(a_batch_is_never_split)
{
    uint64_t bytes = ring_record_bytes(RECORD_MIN);
    struct scene scene;
    struct claim claim;

    scene_begin(&scene);
    put(&scene, 4);
    mark_batch(&scene, FIRST + bytes, 1); /* one, a batch of two, one */
    claim = take(&scene.members[0], 2);
    ck_assert_uint_eq(claim.end - claim.begin, 3 * bytes);
    take(&scene.members[1], 1);
    put(&scene, 2);
    mark_batch(&scene, FIRST + 5 * bytes,
               1); /* a batch of which the rest is not there, as no honest writer leaves it */
    claim = take(&scene.members[2], 9);
    ck_assert_uint_eq(claim.end - claim.begin, bytes);
    member_finish(&scene.members[2]);
    ck_assert_int_eq(member_claim(&scene.members[2], 9, &claim), RING_GROUP_NOTHING);
    scene_end(&scene);
}
END_TEST

START_TEST(a_claim_is_a_sixteenth_of_the_ring_at_most)
{
    struct scene scene;
    struct claim claim;

    scene_begin(&scene);
    put(&scene, SIZE / 2 / (unsigned)ring_record_bytes(RECORD_MIN));
    claim = take(&scene.members[0], UINT64_MAX);
    ck_assert_uint_ge(claim.end - claim.begin, SIZE / 16);
    ck_assert_uint_le(claim.end - claim.begin, SIZE / 16 + MAX_RECORD + 32);
    scene_end(&scene);
}
END_TEST

START_TEST(a_length_that_was_never_granted_is_refused)
{
    struct scene scene;
    struct claim claim;

    scene_begin(&scene);
    put(&scene, 2);
    atomic_store(&ring_header(&scene.ring, FIRST)->extent, UINT32_MAX);
    ck_assert_int_eq(member_claim(&scene.members[0], 1, &claim), -EBADMSG);
    atomic_store(&word_of(&scene)->position, FIRST + 1);
    ck_assert_int_eq(member_claim(&scene.members[0], 1, &claim), -EBADMSG);
    /* Of a group that is put out it says nothing. */
    atomic_store(&scene.own.segment->control->group[GROUP].state, RINGD_GROUP_EVICTED);
    ck_assert_int_eq(member_claim(&scene.members[0], 1, &claim), RING_GROUP_LOST);
    scene_end(&scene);
}
END_TEST

/* ---- R9: who finishes opens ----------------------------------------------------------------------------------------
 */

START_TEST(r9_the_last_one_out_opens_the_space)
{
    struct scene scene;
    struct claim first, second;
    unsigned records;

    scene_begin(&scene);
    put(&scene, 8);
    first = take(&scene.members[0], 4);
    second = take(&scene.members[1], 4);
    ck_assert_uint_eq(frontier_of(&scene), first.begin);
    fill_up(&scene);
    ck_assert(!member_finish(&scene.members[1]));
    ck_assert_uint_eq(frontier_of(&scene), first.begin);
    ck_assert_uint_eq(fill_up(&scene), 0);
    ck_assert(member_finish(&scene.members[0]));
    ck_assert_uint_eq(frontier_of(&scene), second.end);
    records = fill_up(&scene);
    ck_assert_uint_ge(records, 8);
    scene_end(&scene);
}
END_TEST

START_TEST(r9_one_that_is_not_the_last_opens_what_is_below_the_others)
{
    struct scene scene;
    struct claim first, second;

    scene_begin(&scene);
    put(&scene, 8);
    first = take(&scene.members[0], 4);
    second = take(&scene.members[1], 4);
    fill_up(&scene);
    ring_group_advance(&scene.members[0].group, first.begin + ring_record_bytes(RECORD_MIN));
    ck_assert_uint_eq(frontier_of(&scene), first.begin + ring_record_bytes(RECORD_MIN));
    ck_assert_uint_eq(fill_up(&scene), 1);
    ck_assert(!member_finish(&scene.members[0]));
    ck_assert_uint_eq(frontier_of(&scene), second.begin);
    ck_assert_uint_eq(fill_up(&scene), 3);
    scene_end(&scene);
}
END_TEST

START_TEST(r9_groups_and_readers_hold_each_by_itself)
{
    struct scene scene;
    struct member other;
    struct tally *tally = shared_new(sizeof *tally);
    uint64_t cursor;

    scene_begin(&scene);
    seat_members(&scene, OTHER);
    member_init(&other, scene.own.segment, OTHER, 0, READER + 10, tally);
    atomic_store(&scene.own.segment->control->group[OTHER].seats[0], READER + 10);
    ck_assert_int_eq(ring_group_begin(&scene.ring, 1, OTHER, RINGD_START_OLDEST, NULL), 0);
    ck_assert_int_eq(ring_join(&scene.ring, 1, 7, RINGD_START_NOW, 0, &cursor), 0);
    fill_up(&scene);
    drain(&scene, 0);
    ck_assert_uint_eq(fill_up(&scene), 0);
    member_drain(&other, 5);
    ck_assert_uint_eq(fill_up(&scene), 0);
    ring_leave(&scene.ring, 7);
    ck_assert_uint_gt(fill_up(&scene), 10);
    ring_group_end(&scene.ring, OTHER);
    drain(&scene, 1);
    ck_assert_uint_gt(fill_up(&scene), 10);
    drain(&scene, 1);
    require_all_given(&scene);
    scene_end(&scene);
}
END_TEST

/* ---- places that make no sense -------------------------------------------------------------------------------------
 */

static int look_for_room(struct scene *scene)
{
    enum ring_shortage shortage;
    struct ring_grant grant;
    int result = ring_reserve_slow(&scene->w->ring, MAX_RECORD, MAX_RECORD, RINGD_NO_WAIT, &grant, &shortage);

    ck_assert_int_eq(shortage, RING_FULL_READER);
    return result;
}

static void require_bad(struct scene *scene, _Atomic uint64_t *place, uint64_t nonsense)
{
    uint64_t good = atomic_load(place);

    ck_assert_int_eq(ring_group_check(&scene->ring, GROUP), 0);
    atomic_store(place, nonsense);
    ck_assert_int_eq(ring_group_check(&scene->ring, GROUP), 1);
    scene->w->ring.suspicious = false;
    ck_assert_int_eq(look_for_room(scene), RINGD_FULL);
    ck_assert(scene->w->ring.suspicious);
    atomic_store(place, good);
    ck_assert_int_eq(ring_group_check(&scene->ring, GROUP), 0);
}

START_TEST(a_place_that_makes_no_sense_is_noticed)
{
    struct scene scene;
    struct ringd_cursor *cursor;

    scene_begin(&scene);
    fill_up(&scene);
    take(&scene.members[0], 2);
    cursor = scene.members[0].group.cursor;
    require_bad(&scene, &cursor->position, FIRST - 32);
    require_bad(&scene, &cursor->position, FIRST + 32); /* in the middle of a record */
    require_bad(&scene, &cursor->position, FIRST + 1);
    require_bad(&scene, &word_of(&scene)->position, FIRST - 32);
    require_bad(&scene, &word_of(&scene)->position, FIRST + 32);
    /* That of somebody who is not active may be anything. */
    atomic_store(&scene.members[1].group.cursor->position, 0);
    ck_assert_int_eq(ring_group_check(&scene.ring, GROUP), 0);
    scene_end(&scene);
}
END_TEST

START_TEST(a_group_that_is_too_far_behind_is_noticed)
{
    struct scene scene;
    struct claim claim;

    scene_begin_as(&scene, SIZE / 4);
    put(&scene, 4);
    claim = take(&scene.members[0], 2);
    ck_assert_uint_eq(ring_group_lag(&scene.ring, GROUP, claim.begin + 1000), 1000);
    ck_assert_uint_eq(ring_group_cursor(&scene.ring, GROUP, 0), claim.begin);
    ck_assert_uint_eq(ring_group_cursor(&scene.ring, GROUP, 1), claim.end);
    fill_up(&scene);
    ck_assert_int_eq(look_for_room(&scene), RINGD_FULL);
    ck_assert(scene.w->ring.far_behind && !scene.w->ring.suspicious);
    member_finish(&scene.members[0]);
    ck_assert_uint_eq(ring_group_lag(&scene.ring, GROUP, claim.end + 1000), 1000);
    scene_end(&scene);
}
END_TEST

/* ---- what somebody leaves ------------------------------------------------------------------------------------------
 */

START_TEST(what_is_given_back_was_seen_by_nobody)
{
    struct scene scene;
    struct ring_orphan orphan;
    struct claim claim, part;

    scene_begin(&scene);
    put(&scene, 4);
    claim = take(&scene.members[0], 3);
    part = (struct claim){claim.begin, claim.begin + ring_record_bytes(RECORD_MIN)};
    member_read(&scene.members[0], &part, false);
    ring_group_give_back(&scene.members[0].group, part.end, false);
    ck_assert(!ring_group_is_owed(&scene.ring, GROUP));
    ck_assert_uint_eq(frontier_of(&scene), part.end);
    ck_assert_int_eq(ring_group_left_behind(&scene.ring, GROUP, 0, &orphan), RING_GROUP_NOTHING);
    ck_assert_int_eq(ring_group_take_over(&scene.members[1].group, &orphan), RINGD_OK);
    ck_assert(!orphan.seen);
    ck_assert_uint_eq(orphan.begin, part.end);
    ck_assert_uint_eq(orphan.end, claim.end);
    ring_group_give_back_orphan(&scene.members[1].group, &orphan, orphan.begin, false);
    drain(&scene, 2);
    /* Until somebody takes it over and dies. */
    put(&scene, 1);
    claim = take(&scene.members[0], 1);
    ring_group_give_back(&scene.members[0].group, claim.begin, false);
    ck_assert_int_eq(ring_group_take_over(&scene.members[1].group, &orphan), RINGD_OK);
    repair(&scene, 1);
    ck_assert_int_eq(ring_group_take_over(&scene.members[2].group, &orphan), RINGD_OK);
    ck_assert(orphan.seen);
    claim = (struct claim){orphan.begin, orphan.end};
    member_read(&scene.members[2], &claim, false);
    ring_group_finish_orphan(&scene.members[2].group, &orphan);
    ck_assert(ring_group_seat_is_clear(&scene.ring, GROUP, 0));
    /* All of it was released: nothing is left. */
    put(&scene, 1);
    claim = take(&scene.members[1], 1);
    member_read(&scene.members[1], &claim, false);
    ring_group_give_back(&scene.members[1].group, claim.end, false);
    for (uint64_t i = 0; i < writer_sequence(scene.w); i++)
        ck_assert_uint_eq(scene.tally->again[i], 0);
    require_all_given(&scene);
    scene_end(&scene);
}
END_TEST

START_TEST(an_orphan_has_one_taker)
{
    struct scene scene;
    struct ring_orphan orphan, again;

    scene_begin(&scene);
    put(&scene, 4);
    take(&scene.members[0], 3);
    ck_assert(ring_group_is_owed(&scene.ring, GROUP));
    repair(&scene, 0);
    ck_assert_int_eq(ring_group_take_over(&scene.members[1].group, &orphan), RINGD_OK);
    ck_assert(orphan.seen);
    ck_assert_uint_eq(ring_group_count_orphan(&scene.ring, &orphan, NULL), 3);
    ck_assert_int_eq(ring_group_take_over(&scene.members[2].group, &again), RING_GROUP_NOTHING);
    repair(&scene, 0); /* again, as a successor does */
    ck_assert_int_eq(ring_group_take_over(&scene.members[2].group, &again), RING_GROUP_NOTHING);
    repair(&scene, 1); /* the taker has died */
    ck_assert_int_eq(ring_group_take_over(&scene.members[2].group, &again), RINGD_OK);
    ck_assert_uint_eq(again.begin, orphan.begin);
    ck_assert(!ring_group_seat_is_clear(&scene.ring, GROUP, 0));
    ring_group_finish_orphan(&scene.members[2].group, &again);
    ck_assert(ring_group_seat_is_clear(&scene.ring, GROUP, 0));
    ck_assert_int_eq(ring_group_take_over(&scene.members[1].group, &again), RING_GROUP_NOTHING);
    scene_end(&scene);
}
END_TEST

/* Somebody who is late with an orphan that is done, in a seat that another has by now, takes nothing from him. */
START_TEST(a_late_taker_that_dies_touches_nobody)
{
    struct scene scene;
    struct ring_orphan orphan;

    scene_begin(&scene);
    put(&scene, 4);
    take(&scene.members[0], 2);
    atomic_store(&word_of(&scene)->takers[0], 2); /* seat 1, between its name and the second look */
    repair(&scene, 1);
    ck_assert_uint_eq(atomic_load(&word_of(&scene)->active), 1);
    ck_assert_uint_eq(atomic_load(&word_of(&scene)->takers[0]), 0);
    ck_assert_int_eq(ring_group_take_over(&scene.members[1].group, &orphan), RING_GROUP_NOTHING);
    member_finish(&scene.members[0]);
    scene_end(&scene);
}
END_TEST

START_TEST(a_claim_that_makes_no_sense_is_cleared)
{
    static const uint64_t ends[] = {0, FIRST, UINT64_MAX & RINGD_POSITION_MASK, FIRST + (UINT64_C(1) << 37)};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct scene scene;
        struct ring_orphan orphan;

        scene_begin(&scene);
        put(&scene, 4);
        take(&scene.members[0], 2);
        atomic_store(&scene.members[0].group.cursor->claim_end, ends[i]);
        ck_assert_int_eq(ring_group_left_behind(&scene.ring, GROUP, 0, &orphan), RING_GROUP_NOTHING);
        ck_assert(ring_group_seat_is_clear(&scene.ring, GROUP, 0));
        scene_end(&scene);
    }
}
END_TEST

/* ---- killed at each stop point -------------------------------------------------------------------------------------
 */

static void map_again(const struct scene *scene, struct segment *segment)
{
    const struct segment_objects *objects = scene->own.objects;

    require(segment_map(segment, objects->segment.fd, objects->readers.fd, SEGMENT_READER) == 0, "cannot map");
}

static void read_some(void *argument)
{
    const struct scene *scene = argument;
    struct segment segment;
    struct member member;
    struct claim claim, part;

    map_again(scene, &segment);
    member_init(&member, &segment, GROUP, 0, READER, scene->tally);
    if (ring_group_has_orphans(&member.group)) {
        struct ring_orphan orphan;

        require(ring_group_take_over(&member.group, &orphan) == RINGD_OK, "no orphan");
        claim = (struct claim){orphan.begin, orphan.end};
        ring_group_give_back_orphan(&member.group, &orphan, orphan.begin, false);
        require(ring_group_take_over(&member.group, &orphan) == RINGD_OK, "no orphan");
        member_read(&member, &claim, orphan.seen);
        ring_group_finish_orphan(&member.group, &orphan);
    }
    claim = take(&member, 3);
    member_read(&member, &claim, false);
    ring_group_advance(&member.group, claim.begin + ring_span(&member.ring, claim.begin));
    member_finish(&member);
    claim = take(&member, 2);
    part = (struct claim){claim.begin, claim.begin + ring_span(&member.ring, claim.begin)};
    member_read(&member, &part, false);
    ring_group_give_back(&member.group, part.end, false);
}

static const char *const member_points[] = {
    "claim-said",     "claim-made",   "claim-advanced", "claim-finished", "claim-released",  "claim-returned",
    "claim-orphaned", "orphan-taken", "orphan-cleared", "orphan-left",    "orphan-returned",
};

#define MEMBER_POINTS (int)(sizeof member_points / sizeof *member_points)

/* A release that was on its way counts: what lies below the cursor is not given again. So a record may be given twice,
 * with the mark, but for those of an orphan that were given twice by then. */
static void require_given(const struct scene *scene)
{
    for (uint64_t i = 0; i < writer_sequence(scene->w); i++) {
        unsigned given = scene->tally->given[i], again = scene->tally->again[i];

        require(given >= 1 && given <= 3 && given - again <= 1, "record %" PRIu64 " was given to %u, %u marked", i,
                given, again);
    }
}

START_TEST(r13_a_member_is_killed_at_each_point)
{
    struct scene scene;
    struct at_point at;
    int code;

    if (!at_point_allowed("r13_a_member_is_killed_at_each_point"))
        return;
    scene_begin(&scene);
    put(&scene, 12);
    take(&scene.members[2], 2);
    repair(&scene, 2);
    at = at_point_start(member_points[_i], STOP_KILL, 1, read_some, &scene);
    code = at_point_finish(&at);
    require(code == STOP_EXIT_KILLED, "%s: code %d", member_points[_i], code);
    repair(&scene, 0);
    repair(&scene, 0);
    drain(&scene, 1);
    require_given(&scene);
    ck_assert_uint_eq(atomic_load(&word_of(&scene)->active), 0);
    ck_assert(ring_group_seat_is_clear(&scene.ring, GROUP, 0) && ring_group_seat_is_clear(&scene.ring, GROUP, 2));
    ck_assert_uint_gt(fill_up(&scene), SIZE / 2 / (unsigned)ring_record_bytes(RECORD_MIN));
    scene_end(&scene);
}
END_TEST

static void repair_dead(void *argument)
{
    const struct scene *scene = argument;
    struct segment segment;
    struct scene mine = *scene;

    require(segment_map(&segment, scene->own.objects->segment.fd, scene->own.objects->readers.fd, SEGMENT_WRITER) == 0,
            "cannot map");
    ring_init(&mine.ring, &segment, 0);
    repair(&mine, 0);
}

static const char *const repair_points[] = {"orphan-marked", "orphan-made", "orphan-cleared", "orphan-left"};

/* The dead one has a claim of its own, had taken over another's and had all but finished a third. */
START_TEST(r15_a_repairer_is_killed_at_each_point)
{
    for (unsigned long nth = 1; nth <= 2; nth++) {
        struct scene scene;
        struct ring_orphan orphan;
        struct at_point at;

        if (!at_point_allowed("r15_a_repairer_is_killed_at_each_point"))
            return;
        scene_begin(&scene);
        put(&scene, 12);
        take(&scene.members[2], 2);
        repair(&scene, 2);
        ck_assert_int_eq(ring_group_take_over(&scene.members[0].group, &orphan), RINGD_OK);
        take(&scene.members[0], 3);
        atomic_store(&word_of(&scene)->takers[9], 1);
        at = at_point_start(repair_points[_i], STOP_KILL, nth, repair_dead, &scene);
        at_point_finish(&at);
        repair(&scene, 0);
        drain(&scene, 1);
        ck_assert_uint_eq(atomic_load(&word_of(&scene)->takers[9]), 0);
        for (uint64_t i = 0; i < 5; i++)
            ck_assert_uint_eq(scene.tally->again[i], 1);
        require_all_given(&scene);
        scene_end(&scene);
    }
}
END_TEST

/* ---- stood at each instruction -------------------------------------------------------------------------------------
 */

static void step_member(struct step_gate *gate, void *argument)
{
    const struct scene *scene = argument;
    struct segment segment;
    struct member member;
    struct claim claim;

    map_again(scene, &segment);
    member_init(&member, &segment, GROUP, 0, READER, scene->tally);
    for (;;) {
        int result;
        bool last;

        step_enter(gate);
        result = member_claim(&member, 2, &claim);
        step_leave(gate, result);
        if (result != RINGD_OK)
            continue;
        member_read(&member, &claim, false);
        step_enter(gate);
        result = ring_group_finish(&member.group, &last);
        step_leave(gate, result);
    }
}

/* The others read all there is and writers fill the ring, twice over: as much as the stopped one lets them. */
static void others_go_on(struct scene *scene)
{
    for (int lap = 0; lap < 2; lap++) {
        drain(scene, 1);
        fill_up(scene);
    }
}

/* Somebody who is to stand at each instruction. False: this machine does not allow it. */
static bool begin_stepping(const char *name, struct stepper *stepper,
                           void (*run)(struct step_gate *gate, void *argument), struct scene *scene)
{
    int error;

    chance.state = support_seed();
    scene_begin(scene);
    if (step_start(stepper, run, scene, &error))
        return true;
    support_skip(name, "no ptrace: %s", strerror(error));
    return false;
}

static int finish_step(struct stepper *stepper)
{
    step_finish(stepper);
    return atomic_load(&stepper->gate->result);
}

START_TEST(r14_a_member_stands_at_each_instruction)
{
    struct scene scene;
    struct stepper stepper;
    bool more = true;

    if (!begin_stepping("r14_a_member_stands_at_each_instruction", &stepper, step_member, &scene))
        return;
    for (uint64_t stop = 0; more; stop = next_stop(stop)) {
        int result;

        drain(&scene, 1);
        require_all_given(&scene);
        put(&scene, 3);
        step_begin(&stepper);
        more = step_many(&stepper, stop) == stop;
        others_go_on(&scene);
        result = finish_step(&stepper);
        require(result == RINGD_OK || result == RING_GROUP_LOST || result == RING_GROUP_NOTHING,
                "at instruction %" PRIu64 ": result %d", stop, result);
        if (result != RINGD_OK)
            continue;
        /* It has claimed, and reads while others write what they can. */
        others_go_on(&scene);
        step_begin(&stepper);
        step_many(&stepper, stop / 8);
        others_go_on(&scene);
        ck_assert_int_eq(finish_step(&stepper), RINGD_OK);
    }
    step_stop(&stepper);
    drain(&scene, 1);
    require_all_given(&scene);
    scene_end(&scene);
}
END_TEST

static void step_writer(struct step_gate *gate, void *argument)
{
    const struct scene *scene = argument;
    unsigned char payload[RECORD_MIN];
    struct segment segment;
    struct ringd_writer *w;

    require(segment_map(&segment, scene->own.objects->segment.fd, scene->own.objects->readers.fd, SEGMENT_WRITER) == 0,
            "cannot map");
    require(writer_new(&w, &segment, 1, 1, NULL) == 0, "no writer");
    memset(payload, 'x', sizeof payload);
    for (;;) {
        int result;

        step_enter(gate);
        result = ringd_write(w, payload, sizeof payload);
        step_leave(gate, result);
    }
}

/* The writer is raising the limit; meanwhile one member goes and the next one comes, and reads slowly: whatever it has
 * claimed must stay as it was until it is released. */
START_TEST(r9_a_raise_stands_at_each_instruction)
{
    struct scene scene;
    struct stepper stepper;
    bool more = true;

    if (!begin_stepping("r9_a_raise_stands_at_each_instruction", &stepper, step_writer, &scene))
        return;
    for (uint64_t stop = 0; more; stop = next_stop(stop)) {
        struct ring_group_view view;
        struct claim claim;
        uint64_t position;

        fill_up(&scene);
        ck_assert_int_eq(member_claim(&scene.members[0], 2, &claim), RINGD_OK);
        step_begin(&stepper);
        more = step_many(&stepper, stop) == stop;
        /* The first goes, the second claims what comes next, and then the first again: his cursor, if it is only now
         * loaded, says nothing of what the second one holds. */
        member_finish(&scene.members[0]);
        claim = take(&scene.members[1], 2);
        take(&scene.members[0], 2);
        step_finish(&stepper);
        while (write_record(scene.w, RECORD_MIN) == RINGD_OK)
            ;
        ck_assert_int_eq(ring_position(&scene.ring, &position), 0);
        require(position - claim.begin <= SIZE, "at instruction %" PRIu64 ": overwritten", stop);
        for (uint64_t at = claim.begin; at != claim.end; at += ring_span(&scene.ring, at))
            require(ring_record_at(&scene.ring, at), "at instruction %" PRIu64 ": gone", stop);
        ck_assert_int_eq(ring_group_check(&scene.ring, GROUP), 0);
        member_finish(&scene.members[0]);
        member_finish(&scene.members[1]);
        /* On to where it is full again. */
        ck_assert_int_eq(ring_group_look(&scene.members[0].group, &view), 0);
        while (member_claim(&scene.members[2], 9, &claim) == RINGD_OK)
            member_finish(&scene.members[2]);
    }
    step_stop(&stepper);
    scene_end(&scene);
}
END_TEST

/* ---- a lane that ends ----------------------------------------------------------------------------------------------
 */

START_TEST(a_lane_that_moves_is_read_by_its_list)
{
    struct scene scene;
    struct ring_group_view view;
    struct ring_tail tail;
    struct ring_end end;
    struct ringd_writer *open;
    size_t granted;
    uint64_t to;
    void *data;

    scene_begin(&scene);
    require(writer_new(&open, scene.own.segment, 1, 1, NULL) == 0, "no writer");
    put(&scene, 2);
    ck_assert_int_eq(ringd_reserve(open, MAX_RECORD, MAX_RECORD, &data, &granted), RINGD_OK);
    put(&scene, 2);
    atomic_store(&scene.own.segment->control->moving, RINGD_MOVING_BEGUN);
    ck_assert_int_eq(ring_seal(&scene.ring, &end), 0);
    ck_assert_int_eq(ring_settle(&scene.ring, &end), 0);
    atomic_store(&scene.own.segment->control->moving, RINGD_MOVING_DONE);
    ck_assert_int_eq(ring_read_tail(&scene.ring, &tail), 0);
    ck_assert_uint_eq(tail.count, 1);
    take(&scene.members[0], 1);
    ck_assert_int_eq(ring_group_look(&scene.members[1].group, &view), 0);
    ck_assert_int_eq(ring_group_choose(&scene.members[1].group, &view, 9, &tail, &to), RINGD_OK);
    ck_assert_uint_eq(to, tail.end);
    ck_assert_int_eq(ring_group_claim(&scene.members[1].group, &view, to), RINGD_OK);
    ck_assert_int_eq(ring_group_look(&scene.members[2].group, &view), 0);
    ck_assert_int_eq(ring_group_choose(&scene.members[2].group, &view, 9, &tail, &to), RING_GROUP_NOTHING);
    ck_assert(!ring_group_drained(&scene.members[2].group, tail.end));
    member_finish(&scene.members[1]);
    ck_assert(!ring_group_drained(&scene.members[2].group, tail.end));
    member_finish(&scene.members[0]);
    ck_assert(ring_group_drained(&scene.members[2].group, tail.end));
    ringd_writer_close(open);
    scene_end(&scene);
}
END_TEST

/* ---- joining --------------------------------------------------------------------------------------------------------
 */

START_TEST(a_group_begins_where_it_wants_to)
{
    struct scene scene;
    uint64_t starts[1], position, bytes = ring_record_bytes(RECORD_MIN);

    scene_begin(&scene);
    put(&scene, 5);
    seat_members(&scene, OTHER);
    ck_assert_int_eq(ring_group_begin(&scene.ring, 1, OTHER, RINGD_START_OLDEST, starts), 0);
    ck_assert_uint_eq(starts[0], FIRST);
    ring_group_end(&scene.ring, OTHER);
    ck_assert_int_eq(ring_group_begin(&scene.ring, 1, OTHER, RINGD_START_NOW, starts), 0);
    ck_assert_int_eq(ring_position(&scene.ring, &position), 0);
    ck_assert_uint_eq(starts[0], position);
    ring_group_end(&scene.ring, OTHER);
    starts[0] = FIRST + 2 * bytes;
    ck_assert_int_eq(ring_group_begin(&scene.ring, 1, OTHER, RINGD_START_POSITION, starts), 0);
    ck_assert_uint_eq(starts[0], FIRST + 2 * bytes);
    ring_group_end(&scene.ring, OTHER);
    /* What is not there any more: the oldest. */
    for (int lap = 0; lap < 3; lap++) {
        fill_up(&scene);
        drain(&scene, 0);
    }
    starts[0] = FIRST;
    ck_assert_int_eq(ring_group_begin(&scene.ring, 1, OTHER, RINGD_START_POSITION, starts), 0);
    ck_assert_uint_eq(starts[0], ring_oldest(&scene.ring));
    scene_end(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group steps");
    TCase *tests = tcase_create("steps");

    tcase_set_timeout(tests, SUPPORT_GUARD_S);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, r2_each_record_goes_to_one_member);
    tcase_add_test(tests, r2_a_claim_made_after_a_look_that_is_old_fails);
    tcase_add_test(tests, a_member_has_one_claim);
    tcase_add_test(tests, a_claim_ends_before_what_is_not_there_yet);
    tcase_add_test(tests, a_batch_is_never_split);
    tcase_add_test(tests, a_claim_is_a_sixteenth_of_the_ring_at_most);
    tcase_add_test(tests, a_length_that_was_never_granted_is_refused);
    tcase_add_test(tests, r9_the_last_one_out_opens_the_space);
    tcase_add_test(tests, r9_one_that_is_not_the_last_opens_what_is_below_the_others);
    tcase_add_test(tests, r9_groups_and_readers_hold_each_by_itself);
    tcase_add_test(tests, a_place_that_makes_no_sense_is_noticed);
    tcase_add_test(tests, a_group_that_is_too_far_behind_is_noticed);
    tcase_add_test(tests, what_is_given_back_was_seen_by_nobody);
    tcase_add_test(tests, an_orphan_has_one_taker);
    tcase_add_test(tests, a_late_taker_that_dies_touches_nobody);
    tcase_add_test(tests, a_claim_that_makes_no_sense_is_cleared);
    tcase_add_loop_test(tests, r13_a_member_is_killed_at_each_point, 0, MEMBER_POINTS);
    tcase_add_loop_test(tests, r15_a_repairer_is_killed_at_each_point, 0, 4);
    tcase_add_test(tests, r14_a_member_stands_at_each_instruction);
    tcase_add_test(tests, r9_a_raise_stands_at_each_instruction);
    tcase_add_test(tests, a_lane_that_moves_is_read_by_its_list);
    tcase_add_test(tests, a_group_begins_where_it_wants_to);
    return run_suite(suite);
}
