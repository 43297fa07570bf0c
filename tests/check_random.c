/* check_random.c - random operations on a ring against a plain queue.
 *
 * The queue is what a ring has to look like from outside: reservations in the order they were made, each open,
 * committed or given up. In one process, so that the order is known, some writers and readers of all kinds do random
 * things to a small ring, and after each the answer has to be the one that the queue gives:
 *
 *     lossless reader    exactly the next committed record, nothing while an open one comes before it
 *     lossy reader       the same, or, when it was overtaken, gaps that add up to what it missed, and on from there
 *     writer             "full" only if there is certainly less room than it asked for
 *
 * The seed is printed; RINGD_SEED repeats a run.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"
#include "support_check.h"
#include "writer.h"

#define RING       "random"
#define WRITERS    5
#define READERS    6
#define OPERATIONS 150000
#define MAX_RECORD 200u

enum entry_state {
    ENTRY_OPEN,
    ENTRY_COMMITTED,
    ENTRY_GONE, /* given up */
};

/* One record, or one open grant. */
struct entry {
    enum entry_state state;
    uint32_t writer;
    uint64_t sequence;
    size_t len;
};

struct model {
    struct entry *entries; /* all there ever were */
    size_t count;
    uint32_t policy;
    struct random_source random;
    struct ringd_writer *writers[WRITERS];
    size_t open[WRITERS]; /* its open grant's entry, plus one */
    size_t granted[WRITERS];
    void *place[WRITERS];
    struct ringd_reader *readers[READERS];
    uint32_t modes[READERS];
    size_t next[READERS]; /* entry */
    uint64_t lost[READERS];
    uint64_t written, full, read, gaps;
};

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static size_t add_entry(struct model *m, enum entry_state state, uint32_t writer, uint64_t sequence, size_t len)
{
    m->entries[m->count] = (struct entry){.state = state, .writer = writer, .sequence = sequence, .len = len};
    return m->count++;
}

/* The next record for a reader, past what was given up; NULL: none yet, or an open one comes first. */
static struct entry *next_entry(struct model *m, int reader)
{
    while (m->next[reader] < m->count && m->entries[m->next[reader]].state == ENTRY_GONE)
        m->next[reader]++;
    if (m->next[reader] == m->count || m->entries[m->next[reader]].state == ENTRY_OPEN)
        return NULL;
    return &m->entries[m->next[reader]];
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static size_t random_len(struct model *m)
{
    return RECORD_MIN + random_below(&m->random, MAX_RECORD - RECORD_MIN + 1);
}

/* Room for `bytes`, headers included, that nobody can have taken: from the position to a lap behind the oldest thing
 * that holds the ring up, less the head room. */
static void require_full(struct model *m, struct ringd_writer *w, size_t bytes)
{
    struct ring *ring = &w->ring.ring;
    struct ring_view view;
    uint64_t held;

    require(ring_look(ring, &view) == 0, "damaged");
    held = view.position;
    for (int i = 0; i < WRITERS; i++) {
        if (m->open[i] != 0) {
            uint64_t begin = atomic_load(&m->writers[i]->ring.slot->begin) & RINGD_POSITION_MASK;

            held = begin < held ? begin : held;
        }
    }
    for (int i = 0; i < READERS; i++) {
        if (m->modes[i] == RINGD_READ_LOSSLESS && m->readers[i] != NULL) {
            uint64_t cursor = atomic_load(&m->readers[i]->lanes[0].cursor->position);

            held = cursor < held ? cursor : held;
        }
    }
    require(held + ring->reach < view.position + bytes, "there is room: %lu bytes for %zu",
            (unsigned long)(held + ring->reach - view.position), bytes);
}

/* What a write must have answered; true: it is in. */
static bool note_answer(struct model *m, int writer, int result, size_t bytes)
{
    if (result == RINGD_OK) {
        m->written++;
        return true;
    }
    require(result == (m->policy == RINGD_DROP ? RINGD_DROPPED : RINGD_FULL), "result %d", result);
    require_full(m, m->writers[writer], bytes);
    m->full++;
    return false;
}

static void do_write(struct model *m, int writer)
{
    struct ringd_writer *w = m->writers[writer];
    uint64_t sequence = writer_sequence(w);
    size_t len = random_len(m);

    if (note_answer(m, writer, write_record(w, len), ring_record_bytes(len)))
        add_entry(m, ENTRY_COMMITTED, writer_slot(w), sequence, len);
}

static void do_write_batch(struct model *m, int writer)
{
    struct ringd_writer *w = m->writers[writer];
    unsigned char payloads[4][64];
    struct iovec batch[4];
    uint64_t sequence = writer_sequence(w);
    int count = 1 + (int)random_below(&m->random, 2);
    size_t bytes = 0;

    for (int i = 0; i < count; i++) {
        size_t len = RECORD_MIN + random_below(&m->random, sizeof payloads[i] - RECORD_MIN + 1);

        record_make(payloads[i], len, writer_slot(w), sequence + (uint64_t)i);
        batch[i] = (struct iovec){.iov_base = payloads[i], .iov_len = len};
        bytes += ring_record_bytes(len);
    }
    if (!note_answer(m, writer, ringd_write_batch(w, batch, count), bytes))
        return;
    for (int i = 0; i < count; i++)
        add_entry(m, ENTRY_COMMITTED, writer_slot(w), sequence + (uint64_t)i, batch[i].iov_len);
}

static void do_reserve(struct model *m, int writer)
{
    struct ringd_writer *w = m->writers[writer];
    size_t want = random_len(m), min = RECORD_MIN + random_below(&m->random, want - RECORD_MIN + 1), granted;
    int result = ringd_reserve(w, min, want, &m->place[writer], &granted);

    if (!note_answer(m, writer, result, ring_record_bytes(min)))
        return;
    require(granted >= min && granted <= want, "%zu of %zu to %zu", granted, min, want);
    m->granted[writer] = granted;
    m->open[writer] = 1 + add_entry(m, ENTRY_OPEN, writer_slot(w), writer_sequence(w), 0);
}

static void do_finish(struct model *m, int writer)
{
    struct entry *entry = &m->entries[m->open[writer] - 1];
    struct ringd_writer *w = m->writers[writer];

    m->open[writer] = 0;
    if (random_below(&m->random, 3) == 0) {
        require(ringd_abort(w) == RINGD_OK, "abort");
        entry->state = ENTRY_GONE;
        return;
    }
    entry->len = RECORD_MIN + random_below(&m->random, m->granted[writer] - RECORD_MIN + 1);
    entry->state = ENTRY_COMMITTED;
    record_make(m->place[writer], entry->len, entry->writer, entry->sequence);
    require(ringd_commit(w, entry->len) == RINGD_OK, "commit");
}

static void write_something(struct model *m, int writer)
{
    if (m->open[writer] != 0)
        return do_finish(m, writer);
    switch (random_below(&m->random, 6)) {
    case 0:
        return do_reserve(m, writer);
    case 1:
        return do_write_batch(m, writer);
    default:
        return do_write(m, writer);
    }
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static void require_record(struct model *m, int reader, const struct ringd_record *record)
{
    const struct entry *entry = next_entry(m, reader);

    record_verify(record);
    /* A lossy one may have been overtaken: what it skipped must be made up by gaps, see require_caught_up. */
    while (m->modes[reader] != RINGD_READ_LOSSLESS && entry != NULL &&
           (entry->writer != record->writer || entry->sequence != record->sequence)) {
        m->lost[reader]++;
        m->next[reader]++;
        entry = next_entry(m, reader);
    }
    require(entry != NULL, "reader %d has a record that is not there", reader);
    require(entry->writer == record->writer && entry->sequence == record->sequence && entry->len == record->len,
            "reader %d has record %lu of writer %u instead of %lu of %u", reader, (unsigned long)record->sequence,
            record->writer, (unsigned long)entry->sequence, entry->writer);
    m->next[reader]++;
    m->read++;
}

/* Nothing more to read: either an open grant is in the way, or everything was given, and what was lost has been told.
 */
static void require_caught_up(struct model *m, int reader)
{
    struct ringd_reader_counters counters;

    if (m->modes[reader] == RINGD_READ_LOSSLESS) {
        require(next_entry(m, reader) == NULL, "reader %d does not see what is there", reader);
        return;
    }
    for (int i = 0; i < WRITERS; i++) {
        if (m->open[i] != 0)
            return; /* a lossy reader may still have to find out */
    }
    while (next_entry(m, reader) != NULL) {
        m->lost[reader]++;
        m->next[reader]++;
    }
    ringd_reader_count(m->readers[reader], &counters);
    require(counters.lost == m->lost[reader], "reader %d was told of %lu lost records instead of %lu", reader,
            (unsigned long)counters.lost, (unsigned long)m->lost[reader]);
}

static int read_something(struct model *m, int reader)
{
    struct ringd_record records[8];
    size_t count = 1;
    int result;

    if (random_below(&m->random, 2) == 0)
        result = ringd_next(m->readers[reader], records);
    else
        result = ringd_next_many(m->readers[reader], records, 1 + random_below(&m->random, 8), &count);
    if (result == RINGD_OK) {
        for (size_t i = 0; i < count; i++)
            require_record(m, reader, &records[i]);
    } else if (result == RINGD_GAP) {
        require(m->modes[reader] != RINGD_READ_LOSSLESS && records[0].lost > 0, "reader %d", reader);
        m->gaps++;
    } else {
        require(result == RINGD_WOULD_BLOCK, "result %d", result);
        require_caught_up(m, reader);
    }
    if (random_below(&m->random, 3) > 0)
        require(ringd_release(m->readers[reader]) == RINGD_OK, "release");
    return result;
}

/* Some of what is there; half of the readers come rarely, and then take more. */
static void read_some(struct model *m, int reader)
{
    bool rare = reader >= READERS / 2;
    uint64_t times = 1 + random_below(&m->random, rare ? 200 : 3);

    if (rare && random_below(&m->random, m->modes[reader] == RINGD_READ_LOSSLESS ? 15 : 100) != 0)
        return;
    while (times-- > 0 && read_something(m, reader) != RINGD_WOULD_BLOCK)
        ;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void model_init(struct model *m, uint32_t policy)
{
    *m = (struct model){.policy = policy, .random = {.state = support_seed()}};
    m->entries = calloc(OPERATIONS * 2, sizeof *m->entries);
    ck_assert_ptr_nonnull(m->entries);
    make_ring(RING, (struct ringd_ring_options){.size = 16384, .max_record = MAX_RECORD, .policy = policy});
    for (int i = 0; i < WRITERS; i++)
        m->writers[i] = open_writer(RING);
    for (int i = 0; i < READERS; i++) {
        m->modes[i] = (uint32_t)i % 3;
        if (policy == RINGD_OVERWRITE && m->modes[i] == RINGD_READ_LOSSLESS)
            m->modes[i] = RINGD_READ_LOSSY;
        m->readers[i] = open_reader(RING, m->modes[i], RINGD_START_NOW);
    }
}

/* Some readers are lazy, so that the ring is full, and others overtaken, often. */
static void run_model(uint32_t policy)
{
    struct model m;

    model_init(&m, policy);
    for (int i = 0; i < OPERATIONS; i++) {
        if (random_below(&m.random, 2) == 0)
            write_something(&m, (int)random_below(&m.random, WRITERS));
        else
            read_some(&m, (int)random_below(&m.random, READERS));
    }
    for (int i = 0; i < WRITERS; i++) {
        if (m.open[i] != 0)
            do_finish(&m, i);
    }
    for (int i = 0; i < READERS; i++) {
        while (next_entry(&m, i) != NULL)
            read_something(&m, i);
        read_something(&m, i);
    }
    ck_assert_uint_gt(m.written, 5000);
    ck_assert_uint_gt(m.read, 5000);
    ck_assert(policy == RINGD_OVERWRITE || m.full > 100);
    ck_assert(policy != RINGD_OVERWRITE || m.gaps > 10);
    free(m.entries);
}

START_TEST(random_operations_lossless)
{
    run_model(RINGD_LOSSLESS);
}
END_TEST

START_TEST(random_operations_drop)
{
    run_model(RINGD_DROP);
}
END_TEST

START_TEST(random_operations_overwrite)
{
    run_model(RINGD_OVERWRITE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random");
    TCase *tests = add_case(suite, "random");

    tcase_add_test(tests, random_operations_lossless);
    tcase_add_test(tests, random_operations_drop);
    tcase_add_test(tests, random_operations_overwrite);
    return run_suite(suite);
}
