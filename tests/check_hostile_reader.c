/* check_hostile_reader.c - a lossless reader whose cursor makes no sense.
 *
 * A reader may write its cursor, and a lossless reader's cursor holds writers up: that is its right. But one that is
 * below what may be overwritten, or at no record, would hold them up for ever. Writers tell the daemon, the daemon
 * looks for itself and makes the reader a lossy one; the reader is told, and everybody else goes on as if nothing had
 * been: no record is lost to an honest lossless reader beside it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#include "reader.h"
#include "support_check.h"
#include "wake.h"

#define RING         "victim"
#define RING_BYTES   16384
#define RECORD_BYTES 64 /* takes 96 */

static struct ringd_writer *writer;
static struct ringd_reader *bad, *honest;
static struct tracker tracker;

static void setup(void)
{
    server_setup();
    make_ring(RING, (struct ringd_ring_options){.size = RING_BYTES, .max_record = 128});
    writer = open_writer(RING);
    bad = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    honest = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    tracker = (struct tracker){0};
}

static void teardown(void)
{
    ringd_reader_close(honest);
    ringd_reader_close(bad);
    ringd_writer_close(writer);
    server_teardown();
}

/* So many records, as far as there is room without waiting; the rest when the honest reader has made some. Nothing but
 * a bad cursor can keep this going for ever. */
static void write_all(unsigned count)
{
    while (count > 0) {
        int result = write_record(writer, RECORD_BYTES);

        require(result == RINGD_OK || result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
        if (result == RINGD_OK)
            count--;
        else
            require(tracker_drain(&tracker, honest) == RINGD_WOULD_BLOCK, "the honest reader");
    }
    require(tracker_drain(&tracker, honest) == RINGD_WOULD_BLOCK, "the honest reader");
}

/* Some records in the ring, some of them released by both: the floor has moved, and there is a valid cursor to spoil.
 */
static void begin(void)
{
    struct ringd_record record;

    for (int i = 0; i < 60; i++) {
        require(write_record(writer, RECORD_BYTES) == RINGD_OK, "write");
        if (i < 40)
            require(ringd_next(bad, &record) == RINGD_OK, "next");
    }
    require(ringd_release(bad) == RINGD_OK, "release");
}

static void set_cursor(uint64_t position)
{
    atomic_store(&bad->lanes[0].cursor->position, position);
}

/* Relative to where the reader stands: a record begins there. */
static const int64_t offsets[] = {
    -96 * 1000,          /* below anything */
    -((int64_t)1 << 62), /* far below */
    -((int64_t)1 << 37), /* where the position's 32 bits are the same */
    32,                  /* inside a record */
    64,                  /* inside a record */
    1,                   /* not at a multiple of a unit */
    8,
    -1,
};

#define OFFSETS (sizeof offsets / sizeof offsets[0])

static void require_told_once(void)
{
    struct ringd_record record;

    require(ringd_next(bad, &record) == RINGD_EVICTED || ringd_release(bad) == RINGD_EVICTED, "the reader is not told");
    require(ringd_next(bad, &record) != RINGD_EVICTED, "the reader is told twice");
}

START_TEST(a_cursor_that_makes_no_sense_is_evicted)
{
    struct ringd_context_info context;

    begin();
    set_cursor(bad->lanes[0].position + (uint64_t)offsets[_i]);
    write_all(2000);
    require(tracker_delivered(&tracker) == 2060, "%" PRIu64 " of 2060 records", tracker_delivered(&tracker));
    require(find_context(RING, RINGD_CONTEXT_EVICTED, &context), "nobody is evicted");
    require(context.slot == bad->slot, "slot %" PRIu32 " is", context.slot);
    require(ring_info(RING).lossless_readers == 1, "the honest reader is lossless no more");
    require_told_once();
}
END_TEST

/* It holds nobody up, and so nobody cares. What it has not read is lost to it. */
START_TEST(a_cursor_far_ahead_stops_nobody)
{
    begin();
    set_cursor(bad->lanes[0].position + (UINT64_C(1) << (_i + 20)));
    write_all(2000);
    require(tracker_delivered(&tracker) == 2060, "%" PRIu64 " of 2060 records", tracker_delivered(&tracker));
    require(ring_info(RING).lossless_readers == 2, "somebody was evicted");
}
END_TEST

/* An evicted reader is a lossy one: it is told what it lost, and reads on. */
START_TEST(an_evicted_reader_goes_on_as_a_lossy_one)
{
    struct ringd_record record;
    uint64_t lost = 0, delivered = 0;
    int result;

    begin();
    set_cursor(0);
    write_all(2000);
    require(ringd_next(bad, &record) == RINGD_EVICTED, "the reader is not told");
    while ((result = ringd_next(bad, &record)) == RINGD_OK || result == RINGD_GAP) {
        lost += result == RINGD_GAP ? record.lost : 0;
        delivered += result == RINGD_OK;
        if (result == RINGD_OK)
            record_verify(&record);
    }
    require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
    require(lost > 0 && lost + delivered == 2020, "%" PRIu64 " lost and %" PRIu64 " delivered of 2020", lost,
            delivered);
}
END_TEST

/* Only the daemon can evict. Without it a writer comes back by its deadline; with it things go on. */
START_TEST(without_the_daemon_writers_have_their_deadlines)
{
    int result;

    begin();
    set_cursor(1);
    child_stop(server.pid);
    do {
        ringd_writer_deadline(writer, _i == 0 ? RINGD_NO_WAIT : wake_now() + 3000000);
        result = write_record(writer, RECORD_BYTES);
        require(tracker_drain(&tracker, honest) == RINGD_WOULD_BLOCK, "the honest reader");
    } while (result == RINGD_OK);
    require(result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
    child_continue(server.pid);
    ringd_writer_deadline(writer, RINGD_FOREVER);
    require(write_record(writer, RECORD_BYTES) == RINGD_OK, "write");
}
END_TEST

/* On a ring that drops, what is dropped meanwhile is counted. */
START_TEST(a_ring_that_drops_evicts_too)
{
    struct ringd_writer_counters counters;
    uint64_t written = 0;

    ringd_reader_close(bad);
    ringd_reader_close(honest);
    ringd_writer_close(writer);
    require(ringd_remove(RING) == 0, "%s", ringd_error());
    make_ring(RING, (struct ringd_ring_options){.size = RING_BYTES, .max_record = 128, .policy = RINGD_DROP});
    writer = open_writer(RING);
    bad = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    honest = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    begin();
    set_cursor(bad->lanes[0].position + 32);
    for (written = 60; written < 1000;) {
        int result = write_record(writer, RECORD_BYTES);

        require(result == RINGD_OK || result == RINGD_DROPPED, "%d", result);
        written += result == RINGD_OK;
        require(tracker_drain(&tracker, honest) == RINGD_WOULD_BLOCK, "the honest reader");
    }
    require(ringd_writer_count(writer, &counters) == 0, "counters");
    require(counters.offered == counters.committed + counters.dropped_full, "%" PRIu64 " of %" PRIu64,
            counters.committed, counters.offered);
    require(tracker_delivered(&tracker) == written && tracker_lost(&tracker) == 0, "%" PRIu64 " of %" PRIu64,
            tracker_delivered(&tracker), written);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile readers");
    TCase *tests = tcase_create("cursors");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, SUPPORT_GUARD_S);
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, a_cursor_that_makes_no_sense_is_evicted, 0, OFFSETS);
    tcase_add_loop_test(tests, a_cursor_far_ahead_stops_nobody, 0, 20);
    tcase_add_test(tests, an_evicted_reader_goes_on_as_a_lossy_one);
    tcase_add_loop_test(tests, without_the_daemon_writers_have_their_deadlines, 0, 2);
    tcase_add_test(tests, a_ring_that_drops_evicts_too);
    return run_suite(suite);
}
