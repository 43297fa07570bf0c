/* waking.c - how long it takes to wake a process; see waking.h.
 *
 * The samples are ticks for a round trip, those of one way after those of another in the crew's memory. The words of
 * the futex way lie in the crew's buffer, on lines of their own.
 */
#define _GNU_SOURCE
#include "waking.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "contexts.h"
#include "stats.h"

#define ROUNDS            400u /* of each way */
#define ROUNDS_UNRECORDED 20u
#define REST_NS           100000
#define ROLES             2u
#define WORD_BYTES        4096u /* apart */

struct waking_task {
    unsigned side;     /* 0 asks, 1 answers */
    int events[ROLES]; /* each side reads its own */
};

/* What a side has for each way: it writes to the other side and waits for its own. */
struct side {
    struct crew *crew;
    unsigned self;
    struct bench_writer writers[2]; /* WAKING_RING, WAKING_RING_FD */
    struct bench_reader readers[2];
    int reader_fd;
    _Atomic uint32_t *word_out, *word_in;
    uint32_t rounds_out, rounds_in; /* by futex */
    int event_out, event_in;
};

static void ring_name(char *name, size_t size, unsigned way, unsigned to)
{
    snprintf(name, size, "bench-waking-%u-%u", way, to);
}

/* ---- both sides ------------------------------------------------------------------------------------------------- */

static _Atomic uint32_t *word_of(struct crew *crew, unsigned side)
{
    return (_Atomic uint32_t *)(void *)(crew->buffer + side * WORD_BYTES);
}

static void side_open(struct side *side, struct crew *crew, unsigned self, const struct waking_task *task)
{
    unsigned own = task->side, other = 1 - own;

    *side = (struct side){
        .crew = crew,
        .self = self,
        .word_out = word_of(crew, other),
        .word_in = word_of(crew, own),
        .event_out = task->events[other],
        .event_in = task->events[own],
    };
    for (unsigned way = WAKING_RING; way <= WAKING_RING_FD; way++) {
        const struct ringd_reader_options options = {
            .mode = RINGD_READ_LOSSLESS,
            .start = RINGD_START_OLDEST,
            .deadline = way == WAKING_RING ? RINGD_FOREVER : RINGD_NO_WAIT,
            .wait = RINGD_WAIT_SLEEP,
        };
        char name[32];

        ring_name(name, sizeof(name), way, other);
        bench_writer_open(&side->writers[way], crew, self, name, 0, WAKING_BYTES, RINGD_NO_WAIT);
        ring_name(name, sizeof(name), way, own);
        bench_reader_open(&side->readers[way], crew, self, name, 1, WAKING_BYTES, &options);
    }
    side->reader_fd = ringd_reader_fd(side->readers[WAKING_RING_FD].reader);
    if (side->reader_fd < 0)
        crew_fail(crew, self, "ringd_reader_fd", side->reader_fd);
}

static void side_close(struct side *side)
{
    for (unsigned way = WAKING_RING; way <= WAKING_RING_FD; way++) {
        bench_reader_close(&side->readers[way]);
        bench_writer_close(&side->writers[way]);
    }
}

static void message_send(struct side *side, unsigned way)
{
    const uint64_t one = 1;

    switch (way) {
    case WAKING_RING:
    case WAKING_RING_FD:
        if (!bench_write(&side->writers[way]))
            crew_fail(side->crew, side->self, "a ring with one message in it is full", 0);
        bench_fill(&side->writers[way], side->writers[way].sequence);
        break;
    case WAKING_FUTEX:
        atomic_store(side->word_out, ++side->rounds_out);
        syscall(SYS_futex, side->word_out, FUTEX_WAKE, 1, NULL, NULL, 0);
        break;
    default:
        if (write(side->event_out, &one, sizeof(one)) != sizeof(one))
            crew_fail_errno(side->crew, side->self, "cannot write to an eventfd", -errno);
    }
}

static void message_poll(struct side *side)
{
    while (!bench_read(&side->readers[WAKING_RING_FD])) {
        struct pollfd entry = {.fd = side->reader_fd, .events = POLLIN};

        if (poll(&entry, 1, -1) < 0 && errno != EINTR)
            crew_fail_errno(side->crew, side->self, "poll", -errno);
    }
}

static void message_await(struct side *side, unsigned way)
{
    uint64_t value;

    switch (way) {
    case WAKING_RING:
        while (!bench_read(&side->readers[way]))
            ;
        break;
    case WAKING_RING_FD:
        message_poll(side);
        break;
    case WAKING_FUTEX:
        while (atomic_load(side->word_in) == side->rounds_in)
            syscall(SYS_futex, side->word_in, FUTEX_WAIT, side->rounds_in, NULL, NULL, 0);
        side->rounds_in++;
        break;
    default:
        if (read(side->event_in, &value, sizeof(value)) != sizeof(value))
            crew_fail_errno(side->crew, side->self, "cannot read from an eventfd", -errno);
    }
}

/* ---- roles ------------------------------------------------------------------------------------------------------ */

static void rest(void)
{
    const struct timespec time = {.tv_nsec = REST_NS};

    nanosleep(&time, NULL);
}

static uint32_t round_trip(struct side *side, unsigned way)
{
    uint64_t start, ticks;

    rest(); /* the other side falls asleep */
    start = clock_ticks();
    message_send(side, way);
    message_await(side, way);
    ticks = clock_ticks() - start;
    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void ask(struct crew *crew, unsigned self, const void *task)
{
    struct side side;

    side_open(&side, crew, self, task);
    crew_ready(crew, self);
    for (unsigned i = 0; i < ROUNDS_UNRECORDED * WAKING_WAYS; i++)
        round_trip(&side, i % WAKING_WAYS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned way = 0; way < WAKING_WAYS; way++)
            crew->samples[way * ROUNDS + i] = round_trip(&side, way);
    }
    crew_done(crew, self);
    side_close(&side);
}

static void answer(struct crew *crew, unsigned self, const void *task)
{
    struct side side;

    side_open(&side, crew, self, task);
    crew_ready(crew, self);
    for (unsigned i = 0; i < (ROUNDS_UNRECORDED + ROUNDS) * WAKING_WAYS; i++) {
        message_await(&side, i % WAKING_WAYS);
        message_send(&side, i % WAKING_WAYS);
    }
    crew_done(crew, self);
    side_close(&side);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static int rings_create(char *failure)
{
    char name[32];
    int result = 0;

    for (unsigned i = 0; i < 4 && !result; i++) {
        ring_name(name, sizeof(name), i / 2, i % 2);
        result = ringd_create(name, NULL);
    }
    if (result)
        snprintf(failure, CREW_TEXT, "cannot create a ring: %s", ringd_error());
    return result;
}

static void rings_remove(void)
{
    char name[32];

    for (unsigned i = 0; i < 4; i++) {
        ring_name(name, sizeof(name), i / 2, i % 2);
        ringd_remove(name);
    }
}

static double sample_us(const uint32_t *sorted, double part)
{
    double ticks = samples_quantile(sorted, ROUNDS, part, clock_step_ticks());

    return (ticks * clock_ns_per_tick() - clock_read_ns()) / 2e3;
}

static void figures_fill(struct crew *crew, struct waking_figures *figures)
{
    for (unsigned way = 0; way < WAKING_WAYS; way++) {
        uint32_t *samples = crew->samples + way * ROUNDS;

        samples_sort(samples, ROUNDS);
        figures->p50_us[way] = sample_us(samples, 0.5);
        figures->p99_us[way] = sample_us(samples, 0.99);
    }
}

static int roles_run(struct crew *crew, const int cpus[2], const int events[2], char *failure)
{
    const struct waking_task tasks[] = {{0, {events[0], events[1]}}, {1, {events[0], events[1]}}};
    const struct crew_role roles[] = {{.cpu = cpus[0], .play = ask, .task = &tasks[0]},
                                      {.cpu = cpus[1], .play = answer, .task = &tasks[1]}};

    return crew_run(crew, roles, ROLES, failure);
}

int waking_run(struct crew *crew, const int cpus[2], struct waking_figures *figures, char *failure)
{
    int events[ROLES] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
    int result = events[0] < 0 || events[1] < 0 ? -errno : rings_create(failure);

    if (!result) {
        atomic_store(word_of(crew, 0), 0);
        atomic_store(word_of(crew, 1), 0);
        result = roles_run(crew, cpus, events, failure);
    }
    rings_remove();
    for (unsigned i = 0; i < ROLES; i++) {
        if (events[i] >= 0)
            close(events[i]);
    }
    if (!result)
        figures_fill(crew, figures);
    return result;
}
