/* check_threads.c - writers and lossless readers as threads on one mapping.
 *
 * Between processes the thread sanitizer sees nothing; here everything that is shared lies at one address, and every
 * payload is written and read with plain accesses. What keeps those apart is only what libclient/ring.h promises: stamp
 * against stamp (C1, N1), cursor against the writer that overwrites (P1, G3, G2, W0), and the opening by the last
 * writer out (C3, N2). Run in `make test` too, where it checks contents and order.
 */
#include "support_check.h"

#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "../libclient/reader.h"
#include "../libclient/writer.h"
#include "support_victim.h"

#define WRITERS 3u
#define READERS 2u
#define RECORDS 10000u

struct payload {
    uint32_t writer, sequence, words;
    uint32_t word[29];
};

struct part {
    uint32_t number;
    bool many; /* a reader: by ringd_next_many */
    struct ringd_reader *reader;
    uint32_t seen[WRITERS];
    uint32_t wrong;
};

/* A raise looks for a stamp where a lossless reader's cursor points. The cursor may have moved on by then, and somebody
 * may be writing there: what was read counts only if the limit is still the same afterwards (ring_raise). */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "race:ring_lowest_cursor\n";
}

static struct victim victim;

static void fill(struct payload *payload, uint32_t writer, uint32_t sequence)
{
    payload->writer = writer;
    payload->sequence = sequence;
    payload->words = sequence % 30;
    for (uint32_t i = 0; i < payload->words; i++)
        payload->word[i] = writer * 1000003u + sequence * 31u + i;
}

static size_t size_of(const struct payload *payload)
{
    return offsetof(struct payload, word) + payload->words * sizeof payload->word[0];
}

/* By turns a record, a batch of two, an aborted grant and a shrunk one. */
static void *write_all(void *argument)
{
    const struct part *part = argument;
    struct ringd_writer_options options = {.deadline = RINGD_FOREVER};
    struct payload payload, other;
    struct ringd_writer *writer;
    uint32_t sequence = 0;

    if (writer_new(&writer, &victim.segment, part->number, 1, &options) != 0)
        return NULL;
    while (sequence < RECORDS) {
        struct iovec both[2] = {{&payload, 0}, {&other, 0}};
        size_t granted;
        void *place;

        fill(&payload, part->number, sequence);
        if (sequence % 4 == 1 && sequence + 1 < RECORDS) {
            fill(&other, part->number, sequence + 1);
            both[0].iov_len = size_of(&payload);
            both[1].iov_len = size_of(&other);
            sequence += ringd_write_batch(writer, both, 2) == RINGD_OK ? 2 : 0;
        } else if (sequence % 4 == 3 && ringd_reserve(writer, 128, 128, &place, &granted) == RINGD_OK) {
            ringd_abort(writer);
            if (ringd_reserve(writer, 128, 128, &place, &granted) == RINGD_OK) {
                memcpy(place, &payload, size_of(&payload));
                ringd_commit(writer, size_of(&payload));
                sequence++;
            }
        } else {
            sequence += ringd_write(writer, &payload, size_of(&payload)) == RINGD_OK;
        }
    }
    ringd_writer_close(writer);
    return NULL;
}

static void check_record(struct part *part, const struct ringd_record *record)
{
    struct payload expected;

    if (record->writer >= WRITERS) {
        part->wrong++;
        return;
    }
    fill(&expected, record->writer, part->seen[record->writer]++);
    part->wrong += record->len != size_of(&expected) || memcmp(record->data, &expected, record->len) != 0;
}

static void *read_all(void *argument)
{
    struct part *part = argument;
    struct ringd_record records[16];

    for (uint32_t got = 0; got < WRITERS * RECORDS && part->wrong == 0;) {
        size_t count = 1;
        int result =
            part->many ? ringd_next_many(part->reader, records, 16, &count) : ringd_next(part->reader, records);

        if (result != RINGD_OK) {
            part->wrong++;
            break;
        }
        for (size_t i = 0; i < count; i++)
            check_record(part, &records[i]);
        got += (uint32_t)count;
        ringd_release(part->reader);
    }
    return NULL;
}

static void join_reader(struct part *part, uint32_t number)
{
    struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST, .deadline = RINGD_FOREVER};
    uint64_t position;
    struct ring ring;

    *part = (struct part){.number = number, .many = number % 2 == 1};
    ring_init(&ring, &victim.segment, 0);
    ck_assert_int_eq(ring_join(&ring, 1, number, RINGD_START_OLDEST, 0, &position), 0);
    ck_assert_int_eq(reader_new(&part->reader, &victim.segment, number, position, &options), 0);
}

START_TEST(writers_and_readers_on_one_mapping)
{
    struct ringd_ring_options options = {.size = 1 << 15,
                                         .max_record = 512,
                                         .policy = RINGD_LOSSLESS,
                                         .first_position = ((UINT64_C(1) << 32) - 300) * RINGD_UNIT};
    pthread_t threads[WRITERS + READERS];
    struct part writers[WRITERS], readers[READERS];

    victim_init(&victim, &options);
    for (uint32_t i = 0; i < READERS; i++)
        join_reader(&readers[i], i);
    for (uint32_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct part){.number = i};
        ck_assert_int_eq(pthread_create(&threads[READERS + i], NULL, write_all, &writers[i]), 0);
    }
    for (uint32_t i = 0; i < WRITERS + READERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (uint32_t i = 0; i < READERS; i++) {
        ck_assert_uint_eq(readers[i].wrong, 0);
        for (uint32_t w = 0; w < WRITERS; w++)
            ck_assert_uint_eq(readers[i].seen[w], RECORDS);
        ringd_reader_close(readers[i].reader);
    }
    victim_deinit(&victim);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *cases = tcase_create("threads");

    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, writers_and_readers_on_one_mapping);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
