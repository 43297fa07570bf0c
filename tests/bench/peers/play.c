/* play.c - writers alone, streams and round trips on a peer; see play.h. */
#define _GNU_SOURCE
#include "play.h"

#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "../stats.h"
#include "sides.h"

#define WARM_NS         20000000
#define RUN_NS          60000000
#define SLEEPING_RUN_NS 120000000
#define REST_NS         100000

enum play_stage { STAGE_WARM, STAGE_TIMED, STAGE_OVER };

static inline uint32_t stage(const struct play *play)
{
    return atomic_load_explicit(&play->shared->stage, memory_order_relaxed);
}

static void nap(long ns)
{
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&time, NULL);
}

static void stages_play(struct crew *crew, unsigned self, const void *task)
{
    const struct play *play = task;

    crew_ready(crew, self);
    nap(WARM_NS);
    atomic_store(&play->shared->stage, STAGE_TIMED);
    nap(play->play_case->shape == PLAY_SLEEPING ? SLEEPING_RUN_NS : RUN_NS);
    atomic_store(&play->shared->stage, STAGE_OVER);
    crew_done(crew, self);
}

/* What every role is given. */
struct part {
    const struct play *play;
    uint32_t index;
};

static void part_sender(const struct part *part, struct crew *crew, unsigned self, void *line, struct sender *sender)
{
    const struct play *play = part->play;

    sender_open(sender, play->peer, line, crew, self, part->index, play->play_case->bytes);
    sender->wait = play->sleeping;
    sender->yields = !play->alone;
}

static void part_receiver(const struct part *part, struct crew *crew, unsigned self, void *line, uint32_t writers,
                          struct receiver *receiver)
{
    const struct play *play = part->play;

    receiver_open(receiver, play->peer, line, crew, self, part->index, play->play_case->bytes, writers);
    receiver->wait = play->sleeping;
    receiver->yields = !play->alone;
}

/* A peer may throw away what it has not passed on when its writer leaves. */
static void readers_await(const struct play *play, uint32_t count)
{
    while (atomic_load(&play->shared->finished) < count)
        nap(1000000);
}

/* ---- a writer alone --------------------------------------------------------------------------------------------- */

static void turn_await(struct play_shared *shared, uint32_t mine)
{
    while (atomic_load_explicit(&shared->turn, memory_order_acquire) != mine)
        syscall(SYS_futex, &shared->turn, FUTEX_WAIT, !mine, NULL, NULL, 0);
}

static void turn_give(struct play_shared *shared, uint32_t other)
{
    atomic_store_explicit(&shared->turn, other, memory_order_release);
    syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void burst_write(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    struct play_shared *shared = play->shared;
    uint32_t depth = play->peer->depth(play->lines[0]);
    struct sender sender;
    bool timed;

    part_sender(part, crew, self, play->lines[0], &sender);
    crew_ready(crew, self);
    do {
        int64_t start_ns;

        timed = stage(play) != STAGE_WARM;
        start_ns = clock_now_ns();
        for (uint32_t i = 0; i < depth; i++)
            sender_next(&sender);
        if (timed) {
            shared->burst_ns += (double)(clock_now_ns() - start_ns);
            shared->burst_count += depth;
        }
        if (play->peer->flush && play->peer->flush(sender.end))
            crew_fail_errno(crew, self, "cannot send what was held", -EIO);
        atomic_store(&shared->burst, depth);
        turn_give(shared, 1);
        turn_await(shared, 0);
    } while (!timed || stage(play) != STAGE_OVER);
    atomic_store(&shared->burst, 0);
    turn_give(shared, 1);
    crew_done(crew, self);
    readers_await(play, 1);
    sender_close(&sender);
}

static void burst_read(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    struct receiver receiver;
    uint32_t count;

    part_receiver(part, crew, self, play->lines[0], 1, &receiver);
    crew_ready(crew, self);
    for (;;) {
        turn_await(play->shared, 1);
        count = atomic_load(&play->shared->burst);
        if (count == 0)
            break;
        while (count-- > 0)
            receiver_next(&receiver);
        turn_give(play->shared, 0);
    }
    crew_done(crew, self);
    atomic_fetch_add(&play->shared->finished, 1);
    receiver_close(&receiver);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static void stream_write(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    struct sender sender;

    part_sender(part, crew, self, play->lines[0], &sender);
    crew_ready(crew, self);
    while (stage(play) != STAGE_OVER)
        sender_next(&sender);
    sender_last(&sender);
    crew_done(crew, self);
    readers_await(play, play->play_case->readers);
    sender_close(&sender);
}

static void window_note(struct play_window *window, uint32_t now_stage, uint64_t received)
{
    if (!window->start_ns) {
        window->start_ns = clock_now_ns();
        window->start_count = received;
    }
    if (now_stage == STAGE_OVER && !window->end_ns) {
        window->end_ns = clock_now_ns();
        window->end_count = received;
    }
}

static void stream_read(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    struct play_window *window = &play->shared->windows[part->index];
    uint32_t seen = STAGE_WARM;
    struct receiver receiver;

    part_receiver(part, crew, self, play->lines[0], play->play_case->writers, &receiver);
    crew_ready(crew, self);
    while (receiver.lasts < play->play_case->writers) {
        receiver_next(&receiver);
        if (stage(play) != seen) {
            seen = stage(play);
            window_note(window, seen, receiver.received);
        }
    }
    crew_done(crew, self);
    if (window->end_count <= window->start_count) { /* it came to nothing before the time was over */
        window->start_ns = crew->results[self].start_ns;
        window->start_count = 0;
        window->end_ns = crew->results[self].end_ns;
        window->end_count = receiver.received;
    }
    atomic_fetch_add(&play->shared->finished, 1);
    receiver_close(&receiver);
}

/* ---- round trips ------------------------------------------------------------------------------------------------ */

static inline void sample_put(struct crew *crew, uint64_t ticks)
{
    if (crew->sample_count < CREW_SAMPLES)
        crew->samples[crew->sample_count++] = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void ask(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    bool rests = play->play_case->shape == PLAY_SLEEPING;
    struct sender sender;
    struct receiver receiver;

    part_sender(part, crew, self, play->lines[0], &sender);
    part_receiver(part, crew, self, play->lines[1], 1, &receiver);
    crew_ready(crew, self);
    while (stage(play) != STAGE_OVER || crew->sample_count == 0) {
        uint64_t start;

        if (rests)
            nap(REST_NS);
        start = clock_ticks();
        sender_next(&sender);
        receiver_next(&receiver);
        if (stage(play) != STAGE_WARM)
            sample_put(crew, clock_ticks() - start);
    }
    crew_done(crew, self);
    sender_last(&sender);
    atomic_fetch_add(&play->shared->finished, 1);
    readers_await(play, 2);
    receiver_close(&receiver);
    sender_close(&sender);
}

static void answer(struct crew *crew, unsigned self, const void *task)
{
    const struct part *part = task;
    const struct play *play = part->play;
    struct sender sender;
    struct receiver receiver;

    part_receiver(part, crew, self, play->lines[0], 1, &receiver);
    part_sender(part, crew, self, play->lines[1], &sender);
    crew_ready(crew, self);
    for (;;) {
        receiver_next(&receiver);
        if (receiver.lasts)
            break;
        sender_next(&sender);
    }
    crew_done(crew, self);
    atomic_fetch_add(&play->shared->finished, 1);
    readers_await(play, 2);
    receiver_close(&receiver);
    sender_close(&sender);
}

double play_sample_ns(double ticks)
{
    double ns = ticks * clock_ns_per_tick() - clock_read_ns();

    return ns > 0 ? ns / 2 : 0;
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static bool is_latency(const struct play_case *play_case)
{
    return play_case->shape == PLAY_BUSY || play_case->shape == PLAY_SLEEPING;
}

bool play_can(const struct peer *peer, const struct play_case *play_case)
{
    static const unsigned cases[] = {[PLAY_WRITE] = PEER_WRITE,
                                     [PLAY_STREAM] = PEER_STREAMS,
                                     [PLAY_BUSY] = PEER_BUSY,
                                     [PLAY_SLEEPING] = PEER_SLEEPING};
    bool many = play_case->writers + play_case->readers > 2;
    uint32_t bytes_max = many && peer->bytes_many ? peer->bytes_many : peer->bytes_max;

    if (!(peer->cases & cases[play_case->shape]) || play_case->bytes > bytes_max)
        return false;
    if ((play_case->writers > 1 && !(peer->can & PEER_WRITERS)) || (play_case->readers > 1 && !(peer->can & PEER_ALL)))
        return false;
    return play_case->shape != PLAY_SLEEPING || (peer->can & PEER_WAITS);
}

static bool play_sleeps(const struct play *play)
{
    if (!(play->peer->can & PEER_WAITS) || play->play_case->shape == PLAY_BUSY)
        return false;
    if (play->play_case->shape == PLAY_SLEEPING)
        return true;
    return !play->alone || !(play->peer->can & PEER_ASKS);
}

static int lines_open(struct play *play, char *failure)
{
    const struct play_case *play_case = play->play_case;
    struct peer_setup setup = {.folder = play->folder,
                               .bytes = play_case->bytes,
                               .writers = play_case->writers,
                               .readers = play_case->readers,
                               .ring_bytes = play_case->ring_bytes,
                               .all = play_case->readers > 1,
                               .sleeping = play->sleeping};
    unsigned count = is_latency(play_case) ? 2 : 1;

    for (unsigned i = 0; i < count; i++) {
        int result;

        setup.line = i;
        result = play->peer->open(&setup, &play->lines[i]);
        if (result) {
            play->lines[i] = NULL;
            play->refused = true;
            snprintf(failure, CREW_TEXT, "cannot be set up here: %s", strerror(-result));
            return result;
        }
    }
    return 0;
}

static void lines_close(struct play *play)
{
    for (unsigned i = 0; i < 2; i++) {
        if (play->lines[i])
            play->peer->close(play->lines[i]);
        play->lines[i] = NULL;
    }
}

static unsigned roles_set(const struct play *play, struct part *parts, struct crew_role *roles)
{
    const struct play_case *play_case = play->play_case;
    const int *cpus = play->cpus;
    unsigned count = 0;

    if (play_case->shape == PLAY_WRITE) {
        parts[0] = parts[1] = (struct part){play, 0};
        roles[count++] = (struct crew_role){.cpu = cpus[0], .play = burst_read, .task = &parts[0]};
        roles[count++] = (struct crew_role){.cpu = cpus[0], .play = burst_write, .task = &parts[1]};
    } else if (is_latency(play_case)) {
        parts[0] = parts[1] = (struct part){play, 0};
        roles[count++] = (struct crew_role){.cpu = cpus[0], .play = ask, .task = &parts[0]};
        roles[count++] = (struct crew_role){.cpu = cpus[1], .play = answer, .task = &parts[1]};
    } else {
        for (uint32_t i = 0; i < play_case->readers; i++, count++) {
            parts[count] = (struct part){play, i};
            roles[count] = (struct crew_role){cpus[(i + 1) % 2], stream_read, &parts[count], .roams = !play->alone,
                                              .other_cpu = cpus[i % 2]};
        }
        for (uint32_t i = 0; i < play_case->writers; i++, count++) {
            parts[count] = (struct part){play, i};
            roles[count] = (struct crew_role){cpus[i % 2], stream_write, &parts[count], .roams = !play->alone,
                                              .other_cpu = cpus[(i + 1) % 2]};
        }
    }
    roles[count] =
        (struct crew_role){.cpu = cpus[0], .play = stages_play, .task = play, .roams = true, .other_cpu = cpus[1]};
    return count + 1;
}

static void latency_figures(struct play *play)
{
    static const double parts[PLAY_FIGURES] = {0.5, 0.99, 0.999};
    struct crew *crew = play->crew;

    samples_sort(crew->samples, crew->sample_count);
    for (unsigned i = 0; i < PLAY_FIGURES; i++)
        play->figures[i] =
            play_sample_ns(samples_quantile(crew->samples, crew->sample_count, parts[i], clock_step_ticks()));
}

static void figures_take(struct play *play)
{
    const struct play_case *play_case = play->play_case;
    const struct play_shared *shared = play->shared;
    bool polls = play_case->shape == PLAY_BUSY || (play_case->shape == PLAY_STREAM && !play->sleeping && play->alone);

    if (is_latency(play_case)) {
        latency_figures(play);
    } else if (play_case->shape == PLAY_WRITE) {
        play->figures[0] = shared->burst_ns / (double)shared->burst_count;
    } else {
        for (uint32_t i = 0; i < play_case->readers; i++) {
            const struct play_window *window = &shared->windows[i];
            double ns = (double)(window->end_ns - window->start_ns) / (double)(window->end_count - window->start_count);

            play->figures[0] = fmax(play->figures[0], ns);
        }
    }
    if (polls)
        play->share = fmin(crew_share(play->crew, 0), crew_share(play->crew, 1));
}

int play_run(struct play *play, char *failure)
{
    struct part parts[CREW_ROLES];
    struct crew_role roles[CREW_ROLES];
    int result;

    play->alone = play->play_case->writers + play->play_case->readers == 2;
    play->sleeping = play_sleeps(play);
    play->share = 1;
    memset(play->figures, 0, sizeof(play->figures));
    memset(play->shared, 0, sizeof(*play->shared));
    result = lines_open(play, failure);
    if (!result) {
        unsigned count = roles_set(play, parts, roles);

        play->crew->limit_s = PLAY_LIMIT_S;
        result = crew_run(play->crew, roles, count, failure);
        play->crew->limit_s = 0;
    }
    if (!result)
        figures_take(play);
    lines_close(play);
    return result;
}
