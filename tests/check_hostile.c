/* check_hostile.c - hostile contents of shared memory, one thing at a time (R18).
 *
 * What a fuzzer finds once is kept here as a test of its own: headers of which one field is changed, objects that are
 * cut off or mixed up, and contents that are crafted, or changed all the time, against one certain
 * check in the library. No daemon: rings are made by segment_create() and mapped between guards (support_victim.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"
#include "support_step.h"
#include "support_victim.h"
#include "wake.h"
#include "writer.h"

static struct victim victim;

static const struct ringd_ring_options small = {.size = 4096, .max_record = 64, .first_position = SUPPORT_WRAP - 2048};

static void setup(void)
{
    victim_init(&victim, &small);
}

static void teardown(void)
{
    victim_deinit(&victim);
}

static struct ringd_writer *new_writer(uint32_t slot, int64_t deadline)
{
    struct ringd_writer_options options = {.deadline = deadline};
    struct ringd_writer *writer;
    int result = writer_new(&writer, &victim.segment, slot, 1, &options);

    require(result == 0, "%d", result);
    return writer;
}

static struct ringd_reader *new_reader(uint32_t slot, uint32_t mode, int64_t deadline)
{
    struct ringd_reader_options options = {.mode = mode, .start = RINGD_START_OLDEST, .deadline = deadline};
    struct ringd_reader *reader;
    struct ring ring;
    uint64_t position = 0;
    int result = 0;

    ring_init(&ring, &victim.segment, 0);
    if (mode == RINGD_READ_LOSSLESS)
        result = ring_join(&ring, 1, slot, RINGD_START_OLDEST, 0, &position);
    if (result == 0)
        result = reader_new(&reader, &victim.segment, slot, position, &options);
    require(result == 0, "%d", result);
    return reader;
}

static struct ringd_lane *lane(void)
{
    return segment_lane(&victim.segment, 0);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static struct ringd_segment_header good_header(void)
{
    struct ringd_segment_header header;

    memcpy(&header, victim.segment.control_map, sizeof header);
    return header;
}

/* What everybody relies on who has been let through. */
static void require_sound(const struct geometry *g)
{
    require(g->data_bytes >= RINGD_SIZE_MIN && (g->data_bytes & (g->data_bytes - 1)) == 0, "size %ju",
            (uintmax_t)g->data_bytes);
    require(g->data_offset + g->lane_count * g->data_bytes <= victim.objects.segment.bytes, "data beyond the end");
    require(g->data_offset >= RINGD_LANES_OFFSET + g->lane_count * (uint64_t)g->lane_bytes, "data over the lanes");
    require(g->readers_bytes <= victim.objects.readers.bytes, "readers beyond the end");
    require(g->max_record >= 1 && g->max_grant >= g->max_record + sizeof(struct ringd_record_header), "grant");
    require(g->head_room < g->data_bytes, "head room %ju", (uintmax_t)g->head_room);
    require(memchr(g->name, 0, sizeof g->name) != NULL, "a name without an end");
}

static int validate(const struct ringd_segment_header *header)
{
    struct geometry geometry = {0};
    int result = segment_validate(header, victim.objects.segment.bytes, victim.objects.readers.bytes, &geometry);

    require(result == 0 || result == -EBADMSG || result == -EPROTONOSUPPORT, "%d", result);
    if (result == 0)
        require_sound(&geometry);
    return result;
}

/* Fields that fit nothing but what they are. */
static const struct {
    const char *name;
    size_t offset, bytes;
    int result;
} strict_fields[] = {
    {"magic", offsetof(struct ringd_segment_header, magic), 8, -EBADMSG},
    {"layout_version", offsetof(struct ringd_segment_header, layout_version), 4, -EPROTONOSUPPORT},
    {"segment_bytes", offsetof(struct ringd_segment_header, segment_bytes), 8, -EBADMSG},
    {"readers_bytes", offsetof(struct ringd_segment_header, readers_bytes), 8, -EBADMSG},
    {"readers_offset", offsetof(struct ringd_segment_header, readers_offset), 8, -EBADMSG},
    {"lanes_offset", offsetof(struct ringd_segment_header, lanes_offset), 8, -EBADMSG},
    {"data_offset", offsetof(struct ringd_segment_header, data_offset), 8, -EBADMSG},
    {"data_bytes", offsetof(struct ringd_segment_header, data_bytes), 8, -EBADMSG},
    {"lane_count", offsetof(struct ringd_segment_header, lane_count), 4, -EBADMSG},
    {"lane_bytes", offsetof(struct ringd_segment_header, lane_bytes), 4, -EBADMSG},
    {"readers_max", offsetof(struct ringd_segment_header, readers_max), 4, -EBADMSG},
    {"max_grant", offsetof(struct ringd_segment_header, max_grant), 8, -EBADMSG},
};

#define STRICT_FIELDS (sizeof strict_fields / sizeof strict_fields[0])

static const uint64_t odd_values[] = {
    0,          1,          2,         3,          31,       32,       63,         64,
    65,         4095,       4096,      1u << 13,   1u << 16, 1u << 31, UINT32_MAX, 1ull << 32,
    1ull << 36, 1ull << 37, INT64_MAX, 1ull << 63, ~31ull,   ~4095ull, UINT64_MAX,
};

#define ODD_VALUES (sizeof odd_values / sizeof odd_values[0])

/* Gives one field one value; false if that is the one it has. */
static bool change(struct ringd_segment_header *header, size_t offset, size_t bytes, uint64_t value)
{
    unsigned char *field = (unsigned char *)header + offset;

    if (memcmp(field, &value, bytes) == 0)
        return false;
    memcpy(field, &value, bytes);
    return true;
}

/* Every single bit, and odd values. */
START_TEST(a_wrong_field_is_refused)
{
    size_t offset = strict_fields[_i].offset, bytes = strict_fields[_i].bytes;
    struct ringd_segment_header header;

    for (size_t i = 0; i < ODD_VALUES + 8 * bytes; i++) {
        uint64_t value = 0;

        header = good_header();
        memcpy(&value, (unsigned char *)&header + offset, bytes);
        value = i < ODD_VALUES ? odd_values[i] : value ^ UINT64_C(1) << (i - ODD_VALUES);
        if (change(&header, offset, bytes, value))
            require(validate(&header) == strict_fields[_i].result, "%s = %#jx was taken", strict_fields[_i].name,
                    (uintmax_t)value);
    }
}
END_TEST

START_TEST(a_ring_that_is_no_such_ring_is_refused)
{
    static const struct {
        size_t offset, bytes;
        uint64_t value;
    } changes[] = {
        {offsetof(struct ringd_segment_header, max_record), 4, 0},
        {offsetof(struct ringd_segment_header, max_record), 4, UINT32_MAX},
        {offsetof(struct ringd_segment_header, max_record), 4, 65},
        {offsetof(struct ringd_segment_header, policy), 4, 0},
        {offsetof(struct ringd_segment_header, policy), 4, 4},
        {offsetof(struct ringd_segment_header, time_source), 4, 3},
        {offsetof(struct ringd_segment_header, first_position), 8, 1},
        {offsetof(struct ringd_segment_header, stopped_policy), 4, 0},
        {offsetof(struct ringd_segment_header, stopped_policy), 4, 4},
        {offsetof(struct ringd_segment_header, stopped_after_ms), 4, 1},
        {offsetof(struct ringd_segment_header, slow_policy), 4, 0},
        {offsetof(struct ringd_segment_header, slow_policy), 4, 4},
        {offsetof(struct ringd_segment_header, slow_bytes), 8, UINT64_MAX},
    };
    struct ringd_segment_header header;

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        header = good_header();
        change(&header, changes[i].offset, changes[i].bytes, changes[i].value);
        require(validate(&header) == -EBADMSG, "change %zu was taken", i);
    }
    header = good_header();
    memset(header.name, 'a', sizeof header.name);
    require(validate(&header) == -EBADMSG, "a name without an end was taken");
}
END_TEST

/* Figures that fit together, but not into the objects. */
START_TEST(a_ring_larger_than_its_objects_is_refused)
{
    struct ringd_segment_header header = good_header();
    struct geometry geometry;

    header.data_bytes *= 2;
    header.segment_bytes += header.data_bytes / 2;
    require(validate(&header) == -EBADMSG, "larger data were taken");
    header = good_header();
    header.lane_count = 2;
    header.data_offset = segment_data_offset(2, header.data_bytes);
    header.segment_bytes = header.data_offset + 2 * header.data_bytes;
    header.readers_bytes = segment_readers_bytes(2);
    require(validate(&header) == -EBADMSG, "a second lane was taken");
    header = good_header();
    require(segment_validate(&header, victim.objects.segment.bytes - 1, victim.objects.readers.bytes, &geometry) ==
                -EBADMSG,
            "a segment that is one byte short was taken");
    require(segment_validate(&header, victim.objects.segment.bytes, victim.objects.readers.bytes - 1, &geometry) ==
                -EBADMSG,
            "readers that are one byte short were taken");
}
END_TEST

/* Writes and reads on whatever geometry a changed header has given; only that nothing breaks is required. */
static void use_mapping(const struct segment *segment)
{
    struct ringd_reader_options options = {.start = RINGD_START_OLDEST};
    unsigned char payload[128] = {0};
    struct ringd_record record;
    struct ringd_writer *writer;
    struct ringd_reader *reader;

    require(writer_new(&writer, segment, 0, 1, NULL) == 0, "no writer");
    ringd_write(writer, payload, 30);
    ringd_write(writer, payload, sizeof payload);
    if (reader_new(&reader, segment, 0, 0, &options) == 0) {
        ringd_next(reader, &record);
        ringd_reader_close(reader);
    }
    ringd_writer_close(writer);
}

/* Each single bit of the header: the ring is refused, or can be used without harm. */
START_TEST(every_bit_of_the_header)
{
    unsigned char *shared = victim.segment.control_map;
    unsigned taken = 0;

    for (size_t bit = 0; bit < 8 * sizeof(struct ringd_segment_header); bit++) {
        struct segment segment;
        int result;

        shared[bit / 8] ^= (unsigned char)(1u << bit % 8);
        result = segment_map(&segment, victim.objects.segment.fd, victim.objects.readers.fd, SEGMENT_WRITER);
        require(result == 0 || result == -EBADMSG || result == -EPROTONOSUPPORT, "bit %zu gave %d", bit, result);
        if (result == 0) {
            require_sound(&segment.geometry);
            use_mapping(&segment);
            segment_unmap(&segment);
            taken++;
        }
        victim_restore(&victim);
    }
    require(taken > 0, "names and times are free");
}
END_TEST

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static unsigned mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    unsigned count = 0;
    int c;

    require(file != NULL, "errno %d", errno);
    while ((c = fgetc(file)) != EOF)
        count += c == '\n';
    fclose(file);
    return count;
}

static int map(int segment_fd, int readers_fd, enum segment_grade grade)
{
    struct segment segment;
    int result = segment_map(&segment, segment_fd, readers_fd, grade);

    if (result == 0)
        segment_unmap(&segment);
    else
        require(segment.control_map == NULL && segment.data_map == NULL && segment.readers_map == NULL, "not empty");
    return result;
}

/* From nothing to one byte short. */
START_TEST(an_object_that_is_cut_off_is_refused)
{
    int segment = victim.objects.segment.fd, readers = victim.objects.readers.fd;
    const struct shared_object *objects[] = {&victim.objects.segment, &victim.objects.readers};

    for (int i = 0; i < 2; i++) {
        uint64_t bytes = objects[i]->bytes;
        uint64_t lengths[] = {0, 1, 255, 4095, 4096, 12288, 20479, 20480, bytes / 2, bytes - 4096, bytes - 1};

        for (size_t j = sizeof lengths / sizeof lengths[0]; j-- > 0;) {
            if (lengths[j] >= bytes)
                continue;
            require(ftruncate(objects[i]->fd, (off_t)lengths[j]) == 0, "errno %d", errno);
            require(map(segment, readers, SEGMENT_WRITER) == -EBADMSG, "object %d of %ju bytes was taken", i,
                    (uintmax_t)lengths[j]);
        }
        require(ftruncate(objects[i]->fd, (off_t)bytes) == 0, "errno %d", errno);
        victim_restore(&victim);
        require(map(segment, readers, SEGMENT_WRITER) == 0, "whole again");
    }
}
END_TEST

START_TEST(objects_that_do_not_belong_together_are_refused)
{
    int segment = victim.objects.segment.fd, readers = victim.objects.readers.fd;
    struct victim other;

    victim_init(&other, &small);
    require(map(readers, segment, SEGMENT_WRITER) == -EBADMSG, "swapped");
    require(map(segment, segment, SEGMENT_WRITER) == -EBADMSG, "the segment twice");
    require(map(readers, readers, SEGMENT_WRITER) == -EBADMSG, "the readers twice");
    require(map(segment, other.objects.readers.fd, SEGMENT_WRITER) == -EBADMSG, "another ring's readers");
    victim_deinit(&other);
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
    int readers = victim.objects.readers.fd, pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC),
        folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned before = mappings();

    require(pipe2(pipes, O_CLOEXEC) == 0 && null >= 0 && folder >= 0, "errno %d", errno);
    require(map(-1, readers, SEGMENT_WRITER) < 0, "no descriptor");
    require(map(null, readers, SEGMENT_WRITER) < 0, "/dev/null");
    require(map(pipes[0], readers, SEGMENT_WRITER) < 0, "a pipe");
    require(map(folder, readers, SEGMENT_WRITER) < 0, "a folder");
    require(map(victim.objects.segment.fd, null, SEGMENT_WRITER) < 0, "/dev/null for readers");
    require(mappings() == before, "%u mappings were left", mappings() - before);
}
END_TEST

/* What the kernel has to refuse, or descriptors that may only be read would not be worth anything. */
START_TEST(grades_are_kept_by_the_kernel)
{
    struct segment segment;
    int result;

    require(map(victim.objects.segment.read_fd, victim.objects.readers.fd, SEGMENT_WRITER) == -EACCES, "writer");
    require(map(victim.objects.segment.read_fd, victim.objects.readers.read_fd, SEGMENT_READER) == -EACCES, "reader");
    result = segment_map(&segment, victim.objects.segment.read_fd, victim.objects.readers.read_fd, SEGMENT_OBSERVER);
    require(result == 0, "%d", result);
    require(mprotect(segment.control_map, 4096, PROT_READ | PROT_WRITE) != 0, "an observer made its mapping writable");
    require(mprotect(segment.readers_map, 4096, PROT_READ | PROT_WRITE) != 0, "an observer made its mapping writable");
    segment_unmap(&segment);
}
END_TEST

/* ---- crafted contents -------------------------------------------------------------------------------------------- */

/* Puts a record with a valid stamp where the reader looks next. */
static void forge_record(const struct ringd_reader *reader, uint64_t state, uint64_t extent, uint64_t origin)
{
    struct ringd_record_header *h = ring_header(&reader->lanes[0].ring, reader->lanes[0].position);

    atomic_store(&h->extent, extent);
    atomic_store(&h->origin, origin);
    atomic_store(&h->stamp, (reader->lanes[0].position | state) ^ reader->lanes[0].ring.stamp_key);
}

static const uint32_t modes[] = {RINGD_READ_LOSSY, RINGD_READ_LOSSLESS, RINGD_READ_OBSERVE};

START_TEST(a_length_beyond_max_record_is_damage)
{
    struct ringd_reader *reader = new_reader(0, modes[_i], RINGD_NO_WAIT);
    uint64_t lengths[] = {65, 96, 4096, 65536, INT32_MAX, UINT32_MAX};
    struct ringd_record records[4];
    size_t count;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        forge_record(reader, RINGD_STATE_COMMITTED, lengths[i], 0);
        require(ringd_next(reader, records) == -EBADMSG, "a record of %ju bytes", (uintmax_t)lengths[i]);
        require(ringd_next_many(reader, records, 4, &count) == -EBADMSG && count == 0, "a record of %ju bytes",
                (uintmax_t)lengths[i]);
        forge_record(reader, RINGD_STATE_PADDING, lengths[i], 0);
        if (ring_record_bytes(lengths[i]) > reader->lanes[0].ring.max_grant)
            require(ringd_next(reader, records) == -EBADMSG, "padding of %ju bytes", (uintmax_t)lengths[i]);
    }
    ringd_reader_close(reader);
}
END_TEST

START_TEST(a_writer_that_there_cannot_be_is_damage)
{
    struct ringd_reader *reader = new_reader(0, modes[_i], RINGD_NO_WAIT);
    struct ringd_record record;

    for (uint64_t writer = RINGD_WRITERS_PER_LANE; writer <= RINGD_ORIGIN_WRITER_MASK; writer++) {
        forge_record(reader, RINGD_STATE_COMMITTED, 8, writer);
        require(ringd_next(reader, &record) == -EBADMSG, "writer %ju", (uintmax_t)writer);
    }
    ringd_reader_close(reader);
}
END_TEST

/* The last unit of the data, where a record that is too long would end behind the second mapping. */
START_TEST(the_longest_record_at_the_very_end)
{
    struct ringd_writer *writer = new_writer(0, RINGD_NO_WAIT);
    struct ringd_reader *reader = new_reader(0, RINGD_READ_LOSSLESS, RINGD_NO_WAIT);
    struct ringd_record record;
    unsigned char payload[64];

    memset(payload, 7, sizeof payload);
    while ((reader->lanes[0].position & reader->lanes[0].ring.mask) != 4096 - RINGD_UNIT) {
        require(ringd_write(writer, payload, 0) == RINGD_OK && ringd_next(reader, &record) == RINGD_OK, "empty ones");
        ringd_release(reader);
    }
    require(ringd_write(writer, payload, sizeof payload) == RINGD_OK, "write");
    require(ringd_next(reader, &record) == RINGD_OK && record.len == sizeof payload, "next");
    require(memcmp(record.data, payload, sizeof payload) == 0, "torn");
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}
END_TEST

/* A reader that is overtaken while it looks at a record copies the next one to the same place. */
START_TEST(overtaken_readers_have_room_for_the_next_copy)
{
    static unsigned char payload[65536];
    struct ringd_ring_options options = {.size = 4 << 20, .max_record = sizeof payload, .policy = RINGD_OVERWRITE};
    struct ringd_record records[3];
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    uint64_t second;
    int result;

    teardown();
    victim_init(&victim, &options);
    writer = new_writer(0, RINGD_NO_WAIT);
    reader = new_reader(0, RINGD_READ_LOSSY, RINGD_NO_WAIT);
    for (int i = 0; i < 3; i++)
        require(ringd_write(writer, payload, sizeof payload) == RINGD_OK, "write");
    /* Others have written a lap: the floor is at the second record, nothing of which has been overwritten yet. */
    second = ring_record_bytes(sizeof payload);
    atomic_store(&lane()->limit, second + reader->lanes[0].ring.reach);
    atomic_store(&lane()->word, (second + reader->lanes[0].ring.size) >> RINGD_UNIT_SHIFT << RINGD_W_POSITION_SHIFT);
    do
        result = ringd_next(reader, records);
    while (result == RINGD_GAP);
    require(result == RINGD_OK && records[0].position == second, "%d (%s)", result, ringd_strerror(result));
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}
END_TEST

static uint64_t position_now(void)
{
    struct ring ring;
    uint64_t position;

    ring_init(&ring, &victim.segment, 0);
    require(ring_position(&ring, &position) == 0, "damaged");
    return position;
}

/* Leaves room for exactly `room` bytes before a lossless reader that has read nothing. */
static void fill_up_to(struct ringd_writer *writer, uint64_t room)
{
    while (position_now() + room < small.first_position + writer->ring.ring.reach)
        require(ringd_write(writer, "", 0) == RINGD_OK, "write");
}

/* The limit is stored by others, and need not be a multiple of a unit. */
START_TEST(a_crooked_limit_touches_nobody_elses_bit)
{
    for (uint64_t low = 2; low < RINGD_UNIT; low += 2) {
        struct ringd_writer *writer = new_writer(0, RINGD_NO_WAIT);
        struct ringd_reader *reader = new_reader(0, RINGD_READ_LOSSLESS, RINGD_NO_WAIT);
        size_t granted;
        void *data;

        fill_up_to(writer, 64);
        atomic_fetch_or(&lane()->limit, low);
        if (ringd_reserve(writer, 0, 64, &data, &granted) == RINGD_OK)
            ringd_commit(writer, granted);
        require((atomic_load(&lane()->word) & RINGD_W_ACTIVE) == 0, "limit + %ju left active bits %#jx", (uintmax_t)low,
                (uintmax_t)(atomic_load(&lane()->word) & RINGD_W_ACTIVE));
        ringd_reader_close(reader);
        ringd_writer_close(writer);
        victim_restore(&victim);
    }
}
END_TEST

static void on_alarm(int number)
{
    (void)number;
}

/* Every 200 microseconds, so that one falls into any wait. */
static void start_signals(void)
{
    struct itimerval timer = {{0, 200}, {0, 200}};
    struct sigaction action = {.sa_handler = on_alarm};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void stop_signals(void)
{
    struct itimerval timer = {{0, 0}, {0, 0}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

/* There is room for the least that was asked for, and somebody's cursor makes no sense: the daemon is told, and a
 * signal falls into that. Either there is a grant, or there is none. */
START_TEST(a_failed_reserve_leaves_nothing_open)
{
    struct ringd_writer *writer = new_writer(0, RINGD_FOREVER);
    struct ringd_reader *reader = new_reader(0, RINGD_READ_LOSSLESS, RINGD_NO_WAIT);
    size_t granted;
    void *data;
    int result;

    fill_up_to(writer, 64);
    atomic_store(&reader->lanes[0].cursor->position, 7);
    start_signals();
    result = ringd_reserve(writer, 0, 64, &data, &granted);
    stop_signals();
    require(result == RINGD_OK || result == -EINTR, "%d (%s)", result, ringd_strerror(result));
    require(((atomic_load(&lane()->word) & RINGD_W_ACTIVE) != 0) == (result == RINGD_OK),
            "%d, and the word's active bits are %#jx", result,
            (uintmax_t)(atomic_load(&lane()->word) & RINGD_W_ACTIVE));
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}
END_TEST

/* A deadline in the past is one that has been reached. */
START_TEST(a_negative_deadline_does_not_wait)
{
    struct ringd_writer *writer = new_writer(0, -1);
    struct ringd_reader *reader = new_reader(0, RINGD_READ_LOSSLESS, INT64_MIN);
    struct ringd_record record;
    int result;

    require(ringd_next(reader, &record) == RINGD_WOULD_BLOCK, "next");
    fill_up_to(writer, 0);
    result = ringd_write(writer, "", 0);
    require(result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}
END_TEST

/* ---- contents that change all the time --------------------------------------------------------------------------- */

/* From now on no word is ever found to be what a sleeper expects, as if somebody changed it just before each sleep. */
static void let_words_change(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT_BITSET, 0, 1), /* shared between processes: only ours */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
            "errno %d", errno);
}

/* Who never lets those words rest does not keep others beyond their deadlines. */
START_TEST(deadlines_hold_while_the_wake_words_change)
{
    struct ringd_writer *writer = new_writer(0, RINGD_NO_WAIT);
    struct ringd_reader *reader = new_reader(0, modes[_i], RINGD_NO_WAIT);
    struct ringd_reader *holding = new_reader(1, RINGD_READ_LOSSLESS, RINGD_NO_WAIT);
    struct ringd_record record;
    int result;

    let_words_change();
    ringd_reader_deadline(reader, wake_now() + 5000000);
    result = ringd_next(reader, &record);
    require(result == RINGD_WOULD_BLOCK, "next: %d (%s)", result, ringd_strerror(result));
    fill_up_to(writer, 0);
    ringd_writer_deadline(writer, wake_now() + 5000000);
    result = ringd_write(writer, "", 0);
    require(result == RINGD_FULL, "write: %d (%s)", result, ringd_strerror(result));
    ringd_reader_close(holding);
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}
END_TEST

/* A reader that may not wait, in a process that is run step by step. Mappings are not inherited: it maps for itself. */
static void read_once_and_again(struct step_gate *gate, void *argument)
{
    struct ringd_reader_options options = {.mode = *(uint32_t *)argument, .start = RINGD_START_OLDEST};
    struct ringd_reader *reader;
    struct ringd_record record;
    struct segment segment;
    int result = segment_map(&segment, victim.objects.segment.fd, victim.objects.readers.fd, SEGMENT_WRITER);

    require(result == 0, "%d", result);
    result = reader_new(&reader, &segment, 0, small.first_position, &options);
    require(result == 0, "%d", result);
    atomic_store(&gate->number, (uint64_t)(uintptr_t)&reader->lanes[0].position);
    for (;;) {
        step_enter(gate);
        result = ringd_next(reader, &record);
        step_leave(gate, result);
    }
}

/* Many more than any call needs that looks a bounded number of times. */
#define STEPS_MAX (support_sanitized() ? 8000000 : 400000)

/* Lets one call of a reader's run, and after each `interval` instructions calls `strike` with the reader's position. */
static void require_it_comes_back(const char *test, uint32_t mode, unsigned interval, void (*strike)(uint64_t position))
{
    struct stepper stepper;
    uint64_t steps = 0;
    int error;

    if (!step_start(&stepper, read_once_and_again, &mode, &error)) {
        support_skip(test, "no ptrace here: %s", strerror(error));
        return;
    }
    step_begin(&stepper);
    while (steps < STEPS_MAX && step_once(&stepper))
        if (++steps % interval == 0)
            strike((uint64_t)ptrace(PTRACE_PEEKDATA, stepper.pid, atomic_load(&stepper.gate->number), NULL));
    require(steps < STEPS_MAX, "still at it after %d instructions", STEPS_MAX);
    step_stop(&stepper);
}

static void move_limit(uint64_t position)
{
    (void)position;
    atomic_fetch_add(&lane()->limit, 4096);
}

START_TEST(a_reader_comes_back_while_the_limit_runs_away)
{
    require_it_comes_back("a_reader_comes_back_while_the_limit_runs_away", modes[_i], 25, move_limit);
}
END_TEST

static void throw_limit(uint64_t position)
{
    (void)position;
    atomic_fetch_add(&lane()->limit, RING_LIMIT_JUMP + RINGD_UNIT);
}

/* So often that it never is the same before and after W is loaded. */
START_TEST(a_reader_comes_back_while_the_limit_jumps)
{
    require_it_comes_back("a_reader_comes_back_while_the_limit_jumps", modes[_i], 2, throw_limit);
}
END_TEST

/* A trail of padding that runs ahead of whoever follows it. */
static void lay_padding(uint64_t position)
{
    struct ring ring;

    ring_init(&ring, &victim.segment, 0);
    for (int i = 0; i < 64; i++, position += RINGD_UNIT) {
        struct ringd_record_header *h = ring_header(&ring, position);

        atomic_store(&h->extent, 0);
        atomic_store(&h->stamp, (position | RINGD_STATE_PADDING) ^ ring.stamp_key);
    }
}

START_TEST(a_reader_comes_back_from_a_trail_of_padding)
{
    lay_padding(small.first_position);
    require_it_comes_back("a_reader_comes_back_from_a_trail_of_padding", modes[_i], 25, lay_padding);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile contents");
    TCase *headers = tcase_create("headers"), *contents = tcase_create("contents"),
          *changing = tcase_create("changing");
    TCase *cases[] = {headers, contents, changing};

    for (size_t i = 0; i < 3; i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        tcase_set_timeout(cases[i], SUPPORT_GUARD_S);
        suite_add_tcase(suite, cases[i]);
    }
    tcase_add_loop_test(headers, a_wrong_field_is_refused, 0, STRICT_FIELDS);
    tcase_add_test(headers, a_ring_that_is_no_such_ring_is_refused);
    tcase_add_test(headers, a_ring_larger_than_its_objects_is_refused);
    tcase_add_test(headers, every_bit_of_the_header);
    tcase_add_test(headers, an_object_that_is_cut_off_is_refused);
    tcase_add_test(headers, objects_that_do_not_belong_together_are_refused);
    tcase_add_test(headers, what_is_no_object_is_refused);
    tcase_add_test(headers, grades_are_kept_by_the_kernel);
    tcase_add_loop_test(contents, a_length_beyond_max_record_is_damage, 0, 3);
    tcase_add_loop_test(contents, a_writer_that_there_cannot_be_is_damage, 0, 3);
    tcase_add_test(contents, the_longest_record_at_the_very_end);
    tcase_add_test(contents, overtaken_readers_have_room_for_the_next_copy);
    tcase_add_test(contents, a_crooked_limit_touches_nobody_elses_bit);
    tcase_add_test(contents, a_failed_reserve_leaves_nothing_open);
    tcase_add_test(contents, a_negative_deadline_does_not_wait);
    tcase_add_loop_test(changing, deadlines_hold_while_the_wake_words_change, 0, 3);
    tcase_add_loop_test(changing, a_reader_comes_back_while_the_limit_runs_away, 0, 3);
    tcase_add_loop_test(changing, a_reader_comes_back_while_the_limit_jumps, 0, 3);
    tcase_add_loop_test(changing, a_reader_comes_back_from_a_trail_of_padding, 0, 3);
    return run_suite(suite);
}
