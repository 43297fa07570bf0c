/* fuzz_segment.c - real contexts and the real daemon on a ring that a hostile writer scribbles over meanwhile.
 *
 * A process that has attached as a writer, and so may write every byte of both objects, mutates and hammers them
 * (support_scribble.h) while two writers, a lossless reader, a lossy one and an observer work on the ring in processes
 * of their own, another asks the daemon for lists and status and attaches and detaches all the time, and the ring is
 * removed and made anew several times a second. What is required:
 *
 *   - nobody crashes, the daemon included, and each call comes back: those that may not wait or have a deadline, and
 *     those that ask the daemon. (A guard far beyond any deadline ends a process that hangs, and names the call.)
 *   - a pair of contexts on another ring of the same daemon does not notice: every record arrives whole and in order.
 *   - the daemon makes and serves rings as before when it is over, and has neither descriptors nor contexts left over.
 *
 *     RINGD_SEED=N  RINGD_FUZZ_SECONDS=N (5)
 *
 * The seed fixes what is scribbled, not when: to find something again, let it run longer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "client.h"
#include "support.h"
#include "support_raw.h"
#include "support_scribble.h"
#include "wake.h"

#define VICTIM        "victim"
#define BYSTANDER     "bystander"

#define CALL_GUARD_S  40
#define CALLS_AT_ONCE 2000
#define ROLES_MAX     10
#define RECORD_BYTES  64

/* One of the processes, for the parent to tell. */
struct role {
    const char *name;
    void (*run)(struct role *role);
    uint32_t number;
    pid_t pid;
    char call[32];
    uint64_t calls, records, failures;
    struct random_source random;
};

struct stage {
    _Atomic bool stop;
    _Atomic bool written; /* the bystander's writer has written its last record */
    _Atomic uint64_t bystander_records;
    struct role roles[ROLES_MAX];
};

static struct stage *stage;

static bool going_on(void)
{
    return !atomic_load(&stage->stop);
}

static uint64_t pick(struct role *role, uint64_t end)
{
    return random_below(&role->random, end);
}

/* From here on until the next call the process may take so long and no longer. */
static void begin_call(struct role *role, const char *name)
{
    snprintf(role->call, sizeof role->call, "%s", name);
    role->calls++;
    support_guard(CALL_GUARD_S);
}

static void pause_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static int64_t some_deadline(struct role *role)
{
    static const int64_t waits_ns[] = {0, 0, 0, 20000, 200000, 3000000};
    int64_t wait_ns = waits_ns[pick(role, sizeof waits_ns / sizeof waits_ns[0])];

    return wait_ns == 0 ? RINGD_NO_WAIT : wake_now() + wait_ns;
}

/* The ring may be missing, full, or too damaged to attach to. */
static struct ringd *open_victim(struct role *role)
{
    struct ringd *ring;

    begin_call(role, "ringd_open");
    if (ringd_open(&ring, VICTIM) == 0)
        return ring;
    role->failures++;
    pause_us(1000);
    return NULL;
}

/* ---- writers -------------------------------------------------------------------------------------------------------
 */

static int write_some(struct role *role, struct ringd_writer *writer, size_t max_record)
{
    static unsigned char payload[65536];
    size_t len = pick(role, max_record + 1), granted;
    struct iovec records[] = {{payload, len / 8}, {payload, 0}, {payload, len / 4}};
    void *data;
    int result;

    switch (pick(role, 4)) {
    case 0:
        begin_call(role, "ringd_write_batch");
        return ringd_write_batch(writer, records, 3);
    case 1:
        begin_call(role, "ringd_reserve");
        result = ringd_reserve(writer, len / 2, len, &data, &granted);
        if (result != RINGD_OK)
            return result;
        memset(data, 1, granted);
        begin_call(role, "ringd_commit");
        return pick(role, 4) == 0 ? ringd_abort(writer) : ringd_commit(writer, granted);
    default:
        begin_call(role, "ringd_write");
        return ringd_write(writer, payload, len);
    }
}

static void run_writer(struct role *role)
{
    while (going_on()) {
        struct ringd *ring = open_victim(role);
        struct ringd_writer *writer;
        int result;

        if (ring == NULL)
            continue;
        begin_call(role, "ringd_writer_open");
        result = ringd_writer_open(&writer, ring, NULL);
        ringd_close(ring);
        role->failures += result < 0;
        for (int i = 0; result >= 0 && i < CALLS_AT_ONCE && going_on(); i++) {
            ringd_writer_deadline(writer, some_deadline(role));
            result = write_some(role, writer, 128);
            role->records += result == RINGD_OK;
        }
        begin_call(role, "ringd_writer_close");
        ringd_writer_close(writer);
    }
}

/* ---- readers -------------------------------------------------------------------------------------------------------
 */

static void use(struct role *role, const struct ringd_record *record)
{
    for (size_t i = 0; i < record->len; i++)
        (void)((const volatile unsigned char *)record->data)[i];
    role->records++;
}

static int read_some(struct role *role, struct ringd_reader *reader)
{
    struct ringd_record records[32];
    size_t count = 1;
    int result;

    if (pick(role, 2) == 0) {
        begin_call(role, "ringd_next");
        result = ringd_next(reader, records);
    } else {
        begin_call(role, "ringd_next_many");
        result = ringd_next_many(reader, records, 32, &count);
    }
    for (size_t i = 0; i < count && result == RINGD_OK; i++)
        use(role, &records[i]);
    if (result < 0 || pick(role, 3) != 0)
        return result;
    begin_call(role, "ringd_release");
    ringd_release(reader);
    return result;
}

static void run_reader(struct role *role)
{
    while (going_on()) {
        struct ringd_reader_options options = {.mode = role->number, .start = (uint32_t)pick(role, 2)};
        struct ringd *ring = open_victim(role);
        struct ringd_reader *reader;
        int result;

        if (ring == NULL)
            continue;
        begin_call(role, "ringd_reader_open");
        result = ringd_reader_open(&reader, ring, &options);
        ringd_close(ring);
        role->failures += result < 0;
        for (int i = 0; result >= 0 && result != RINGD_END && i < CALLS_AT_ONCE && going_on(); i++) {
            ringd_reader_deadline(reader, some_deadline(role));
            result = read_some(role, reader);
        }
        begin_call(role, "ringd_reader_close");
        ringd_reader_close(reader);
    }
}

/* ---- who asks the daemon -------------------------------------------------------------------------------------------
 */

static void ask_status(struct role *role)
{
    struct ringd_context_info contexts[64];
    struct ringd_info infos[8];
    size_t count;

    begin_call(role, "ringd_status");
    role->failures += ringd_status(VICTIM, infos, contexts, 64, &count) < 0;
    begin_call(role, "ringd_list");
    require(ringd_list(infos, 8, &count) == 0, "%s", ringd_error());
}

static void attach_and_ask(struct role *role, struct ringd *ring)
{
    static const uint32_t kinds[] = {RINGD_CONTEXT_WRITER, RINGD_CONTEXT_LOSSLESS, RINGD_CONTEXT_LOSSY,
                                     RINGD_CONTEXT_OBSERVER};
    struct attachment_wish wish = {
        .kind = kinds[pick(role, 4)], .start = (uint32_t)pick(role, 3), .position = pick(role, 1 << 20) * RINGD_UNIT};
    struct attachment *attachment;
    uint32_t value;

    begin_call(role, "attach");
    if (attachment_new(&attachment, ring, &wish) < 0) {
        role->failures++;
        return;
    }
    begin_call(role, "arm");
    if (wish.kind == RINGD_CONTEXT_OBSERVER)
        attachment_arm(attachment, &value); /* a daemon that is busy may let it wait in vain */
    begin_call(role, "check");
    if (wish.kind == RINGD_CONTEXT_WRITER)
        attachment_report_cursor(attachment, 0);
    attachment_free(attachment);
}

/* Whatever it finds, it comes back with an answer. */
static void ask_doctor(struct role *role)
{
    struct command command;

    begin_call(role, "doctor");
    ringctl(&command, "", 0, "doctor", VICTIM, NULL);
    require(command.code < 128, "doctor was ended by signal %d", command.code - 128);
    command_free(&command);
}

static void run_asker(struct role *role)
{
    while (going_on()) {
        struct ringd *ring = open_victim(role);

        ask_status(role);
        if (role->calls % 100 == 0)
            ask_doctor(role);
        if (ring != NULL)
            attach_and_ask(role, ring);
        ringd_close(ring);
    }
}

/* ---- the hostile one -----------------------------------------------------------------------------------------------
 */

static void be_hostile(struct role *role, struct scribbler *scribbler)
{
    uint64_t count = pick(role, 200);

    switch (pick(role, 6)) {
    case 0:
        begin_call(role, scribble_hammer(scribbler, (uint32_t)pick(role, 200000)));
        break;
    case 1:
        while (count-- > 0)
            begin_call(role, scribble(scribbler));
        break;
    case 2:
        scribble_heal(scribbler);
        pause_us((long)pick(role, 5000));
        break;
    default: /* so rarely that others get somewhere in between */
        begin_call(role, scribble(scribbler));
        pause_us((long)pick(role, 2000));
    }
}

static void run_hostile(struct role *role)
{
    while (going_on()) {
        struct ringd *ring = open_victim(role);
        const struct attachment_wish wish = {.kind = RINGD_CONTEXT_WRITER};
        struct attachment *attachment;
        struct scribbler scribbler;
        int result;

        if (ring == NULL)
            continue;
        result = attachment_new(&attachment, ring, &wish);
        ringd_close(ring);
        if (result < 0)
            continue;
        scribbler_init(&scribbler, &attachment->segment, &role->random);
        for (uint64_t i = pick(role, 100); i > 0 && going_on(); i--)
            be_hostile(role, &scribbler);
        attachment_free(attachment);
    }
}

/* ---- who must not notice -------------------------------------------------------------------------------------------
 */

static void run_bystander_writer(struct role *role)
{
    struct ringd_writer *writer = open_writer(BYSTANDER);
    int result;

    while (going_on()) {
        begin_call(role, "ringd_write");
        ringd_writer_deadline(writer, wake_now() + 10000000);
        result = write_record(writer, RECORD_BYTES);
        require(result == RINGD_OK || result == RINGD_FULL, "%d (%s)", result, ringd_strerror(result));
        role->records += result == RINGD_OK;
        pause_us(20);
    }
    atomic_store(&stage->bystander_records, role->records);
    atomic_store(&stage->written, true);
    ringd_writer_close(writer);
}

static void run_bystander_reader(struct role *role)
{
    struct ringd_reader *reader = open_reader(BYSTANDER, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    struct tracker tracker = {0};

    for (bool all = false; !all;) {
        struct ringd_record record;
        int result;

        all = atomic_load(&stage->written); /* what is there now is everything */
        begin_call(role, "ringd_next");
        ringd_reader_deadline(reader, wake_now() + 10000000);
        while ((result = ringd_next(reader, &record)) == RINGD_OK) {
            tracker_record(&tracker, &record);
            require(ringd_release(reader) == RINGD_OK, "evicted");
            ringd_reader_deadline(reader, RINGD_NO_WAIT);
            role->records++;
        }
        require(result == RINGD_WOULD_BLOCK, "%d (%s)", result, ringd_strerror(result));
    }
    require(role->records == atomic_load(&stage->bystander_records), "%" PRIu64 " records of %" PRIu64, role->records,
            atomic_load(&stage->bystander_records));
    ringd_reader_close(reader);
}

/* ---- the whole -----------------------------------------------------------------------------------------------------
 */

static const struct role cast[] = {
    {.name = "bystander's writer", .run = run_bystander_writer},
    {.name = "bystander's reader", .run = run_bystander_reader},
    {.name = "writer", .run = run_writer, .number = 0},
    {.name = "writer", .run = run_writer, .number = 1},
    {.name = "lossless reader", .run = run_reader, .number = RINGD_READ_LOSSLESS},
    {.name = "lossy reader", .run = run_reader, .number = RINGD_READ_LOSSY},
    {.name = "observer", .run = run_reader, .number = RINGD_READ_OBSERVE},
    {.name = "asker", .run = run_asker},
    {.name = "hostile writer", .run = run_hostile},
};

#define ROLES (sizeof cast / sizeof cast[0])

static void play(void *argument)
{
    struct role *role = argument;

    role->run(role);
}

static void make_victim(struct random_source *random)
{
    static const struct ringd_ring_options rings[] = {
        {.size = 65536, .max_record = 128},
        {.size = 16384, .max_record = 128, .policy = RINGD_DROP, .time = RINGD_TIME_MONOTONIC},
        {.size = 8192, .max_record = 128, .policy = RINGD_OVERWRITE},
        {.size = 16384, .max_record = 128, .hold = 1},
    };

    make_ring(VICTIM, rings[random_below(random, sizeof rings / sizeof rings[0])]);
}

static void start_all(void)
{
    for (size_t i = 0; i < ROLES; i++) {
        struct role *role = &stage->roles[i];

        *role = cast[i];
        role->random.state = support_seed() ^ (i + 1) * UINT64_C(0xd1342543de82ef95);
        role->pid = child_start(play, role);
    }
}

static bool ended_well(const struct role *role, int status)
{
    printf("fuzz_segment: %-18s %8" PRIu64 " calls, %8" PRIu64 " records, %6" PRIu64 " could not attach\n", role->name,
           role->calls, role->records, role->failures);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    printf("fuzz_segment: %s failed with status 0x%x%s in %s\n", role->name, (unsigned)status,
           WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (it hung)" : "", role->call);
    return false;
}

static bool finish_all(void)
{
    bool well = true;

    atomic_store(&stage->stop, true);
    for (size_t i = 0; i < ROLES; i++)
        well = ended_well(&stage->roles[i], child_wait(stage->roles[i].pid)) && well;
    return well;
}

static unsigned objects_of_daemon(void)
{
    return raw_daemon_descriptors(server.pid, "/dev/shm/");
}

/* As before: a new ring works from end to end, and nothing is left of the old ones. */
static void check_daemon(unsigned objects)
{
    struct ringd_writer *writer;
    struct ringd_reader *reader;
    struct tracker tracker = {0};

    ringd_remove(VICTIM);
    wait_for_contexts(BYSTANDER, 0);
    raw_wait_disconnected(server.pid);
    require(objects_of_daemon() == objects, "%u, not %u", objects_of_daemon(), objects);
    make_ring(VICTIM, (struct ringd_ring_options){0});
    writer = open_writer(VICTIM);
    reader = open_reader(VICTIM, RINGD_READ_LOSSLESS, RINGD_START_OLDEST);
    require(write_record(writer, RECORD_BYTES) == RINGD_OK, "write");
    require(tracker_drain(&tracker, reader) == RINGD_WOULD_BLOCK && tracker_delivered(&tracker) == 1, "read");
    ringd_reader_close(reader);
    ringd_writer_close(writer);
}

static void run_all(void *argument)
{
    const char *seconds = getenv("RINGD_FUZZ_SECONDS");
    int64_t until = now_ns() + (seconds != NULL ? atoi(seconds) : 5) * INT64_C(1000000000);
    struct random_source random = {.state = support_seed()};
    unsigned objects;

    (void)argument;
    server_setup();
    make_ring(BYSTANDER, (struct ringd_ring_options){.size = 65536, .max_record = 128});
    objects = objects_of_daemon();
    make_victim(&random);
    start_all();
    while (now_ns() < until) {
        pause_ms((unsigned)random_below(&random, 200));
        support_guard(SUPPORT_GUARD_S);
        require(ringd_remove(VICTIM) == 0, "%s", ringd_error());
        make_victim(&random);
    }
    require(finish_all(), "see above");
    check_daemon(objects);
    server_teardown();
}

/* In a child: whatever becomes of it, its folder and shared memory are cleared away. */
int main(void)
{
    int status;

    support_begin();
    stage = shared_new(sizeof *stage);
    status = child_wait(child_start(run_all, NULL));
    support_end();
    if (WIFSIGNALED(status))
        printf("fuzz_segment: ended by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
