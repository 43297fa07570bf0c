/* limits.c - hop, xadd, stream and memcpy of this machine; see limits.h.
 *
 * Each is the median of several short windows: a window that was disturbed does not count, one that was lucky neither.
 * The windows' results come back in the crew's `samples`, in hundredths of what is measured.
 *
 * In the stream the flag of a block is its number, in a line of its own next to those of its neighbours' blocks; the
 * buffer is as large as the data of the rings that are measured, goes round, and the filler learns from the reader's
 * own word how far it may go. It looks at that word only when what it saw last does not suffice.
 */
#include "limits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "payload.h"
#include "stats.h"

#define HOP_WINDOWS     9u
#define HOP_ROUNDS      1000u
#define XADD_WINDOWS    9u
#define XADD_ROUNDS     20000u
#define BLOCK_BYTES     4096u
#define BLOCKS          (CREW_BUFFER / BLOCK_BYTES)
#define STREAM_WINDOWS  6u
#define STREAM_BLOCKS   (4u * BLOCKS) /* in one window */
#define COPY_WINDOWS    9u
#define CACHED_BYTES    (128u << 10)
#define LARGE_BYTES     (64u << 20)
#define SAMPLES_PER_ONE 100.0

static void sample_put(struct crew *crew, double value)
{
    crew->samples[crew->sample_count++] = (uint32_t)(value * SAMPLES_PER_ONE + 0.5);
}

static double samples_median(struct crew *crew)
{
    samples_sort(crew->samples, crew->sample_count);
    return samples_quantile(crew->samples, crew->sample_count, 0.5, 1) / SAMPLES_PER_ONE;
}

/* Runs a limit's roles, none of which ever sleeps. */
static int roles_run(struct crew *crew, const struct crew_role *roles, unsigned count, struct limits *limits,
                     char *failure)
{
    int result = crew_run(crew, roles, count, failure);

    for (unsigned i = 0; i < count && !result; i++)
        limits->share = fmin(limits->share, crew_share(crew, i));
    return result;
}

/* ---- hop -------------------------------------------------------------------------------------------------------- */

static void word_await(const _Atomic uint64_t *word, uint64_t value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        ;
}

/* The word there says 1, 2, 3 ..., the word back repeats it. */
static void hop_ask(struct crew *crew, unsigned self, const void *task)
{
    uint64_t round = 0;

    (void)task;
    crew_ready(crew, self);
    for (unsigned window = 0; window < HOP_WINDOWS; window++) {
        int64_t start_ns = clock_now_ns();

        for (unsigned i = 0; i < HOP_ROUNDS; i++) {
            atomic_store_explicit(&crew->line_there, ++round, memory_order_release);
            word_await(&crew->line_back, round);
        }
        sample_put(crew, (double)(clock_now_ns() - start_ns) / (2.0 * HOP_ROUNDS));
    }
    crew_done(crew, self);
}

static void hop_answer(struct crew *crew, unsigned self, const void *task)
{
    (void)task;
    crew_ready(crew, self);
    for (uint64_t round = 1; round <= HOP_WINDOWS * HOP_ROUNDS; round++) {
        word_await(&crew->line_there, round);
        atomic_store_explicit(&crew->line_back, round, memory_order_release);
    }
    crew_done(crew, self);
}

static void lines_reset(struct crew *crew)
{
    atomic_store(&crew->line_there, 0);
    atomic_store(&crew->line_back, 0);
}

static int hop_measure(struct crew *crew, const int cpus[2], struct limits *limits, char *failure)
{
    const struct crew_role roles[] = {{.cpu = cpus[0], .play = hop_ask, .task = NULL},
                                      {.cpu = cpus[1], .play = hop_answer, .task = NULL}};
    int result;

    lines_reset(crew);
    result = roles_run(crew, roles, 2, limits, failure);
    if (!result)
        limits->hop_ns = samples_median(crew);
    return result;
}

/* ---- xadd ------------------------------------------------------------------------------------------------------- */

static void xadd_play(struct crew *crew, unsigned self, const void *task)
{
    uint64_t seen = 0;

    (void)task;
    crew_ready(crew, self);
    for (unsigned window = 0; window < XADD_WINDOWS; window++) {
        int64_t start_ns = clock_now_ns();

        for (unsigned i = 0; i < XADD_ROUNDS; i++)
            seen += atomic_fetch_add_explicit(&crew->line_there, 1, memory_order_seq_cst);
        sample_put(crew, (double)(clock_now_ns() - start_ns) / XADD_ROUNDS);
    }
    atomic_store(&crew->line_back, seen); /* or the compiler would make it an addition without a result */
    crew_done(crew, self);
}

static int xadd_measure(struct crew *crew, const int cpus[2], struct limits *limits, char *failure)
{
    const struct crew_role role = {.cpu = cpus[0], .play = xadd_play, .task = NULL};
    int result = roles_run(crew, &role, 1, limits, failure);

    if (!result)
        limits->xadd_ns = samples_median(crew);
    return result;
}

/* ---- stream ----------------------------------------------------------------------------------------------------- */

/* The first line of a block is its flag: the number of the block, counted from 1. */
static _Atomic uint64_t *block_flag(struct crew *crew, uint64_t block)
{
    return (_Atomic uint64_t *)(void *)(crew->buffer + (block % BLOCKS) * BLOCK_BYTES);
}

static void block_fill(struct crew *crew, uint64_t block)
{
    unsigned char *data = (unsigned char *)block_flag(crew, block) + 64;

    payload_fill(data, BLOCK_BYTES - 64, payload_first(0, block));
    atomic_store_explicit(block_flag(crew, block), block + 1, memory_order_release);
}

static void stream_fill(struct crew *crew, unsigned self, const void *task)
{
    uint64_t read = 0;

    (void)task;
    crew_ready(crew, self);
    for (uint64_t block = 0; block < STREAM_WINDOWS * STREAM_BLOCKS; block++) {
        while (block - read >= BLOCKS)
            read = atomic_load_explicit(&crew->line_back, memory_order_acquire);
        block_fill(crew, block);
    }
    crew_done(crew, self);
}

static void block_check(struct crew *crew, unsigned self, uint64_t block)
{
    const unsigned char *data = (const unsigned char *)block_flag(crew, block) + 64;

    word_await(block_flag(crew, block), block + 1);
    if (!payload_check(data, BLOCK_BYTES - 64, payload_first(0, block)))
        crew_fail(crew, self, "streaming limit: a block came out wrong", 0);
    atomic_store_explicit(&crew->line_back, block + 1, memory_order_release);
}

static void stream_check(struct crew *crew, unsigned self, const void *task)
{
    uint64_t block = 0;

    (void)task;
    crew_ready(crew, self);
    for (unsigned window = 0; window < STREAM_WINDOWS; window++) {
        int64_t start_ns = clock_now_ns();

        for (unsigned i = 0; i < STREAM_BLOCKS; i++)
            block_check(crew, self, block++);
        sample_put(crew, (double)STREAM_BLOCKS * BLOCK_BYTES / (double)(clock_now_ns() - start_ns));
    }
    crew_done(crew, self);
}

static int stream_measure(struct crew *crew, const int cpus[2], struct limits *limits, char *failure)
{
    const struct crew_role roles[] = {{.cpu = cpus[0], .play = stream_fill, .task = NULL},
                                      {.cpu = cpus[1], .play = stream_check, .task = NULL}};
    int result;

    lines_reset(crew);
    for (uint64_t block = 0; block < BLOCKS; block++)
        atomic_store(block_flag(crew, block), 0);
    result = roles_run(crew, roles, 2, limits, failure);
    if (!result)
        limits->stream_gbs = samples_median(crew);
    return result;
}

int limits_hop(struct crew *crew, const int cpus[2], struct limits *limits, char *failure)
{
    limits->share = 1;
    return hop_measure(crew, cpus, limits, failure);
}

int limits_measure(struct crew *crew, const int cpus[2], struct limits *limits, char *failure)
{
    int result;

    limits->share = 1;
    result = xadd_measure(crew, cpus, limits, failure);
    if (!result)
        result = stream_measure(crew, cpus, limits, failure);
    if (!result)
        result = hop_measure(crew, cpus, limits, failure);
    return result;
}

/* ---- memcpy ----------------------------------------------------------------------------------------------------- */

static void copy_play(struct crew *crew, unsigned self, const void *task)
{
    size_t bytes = *(const size_t *)task, times = LARGE_BYTES / bytes;
    unsigned char *from = aligned_alloc(4096, bytes), *to = aligned_alloc(4096, bytes);

    if (!from || !to)
        crew_fail(crew, self, "no memory for the memcpy limit", -ENOMEM);
    payload_fill(from, bytes, 1);
    memcpy(to, from, bytes);
    crew_ready(crew, self);
    for (unsigned window = 0; window < COPY_WINDOWS; window++) {
        int64_t start_ns = clock_now_ns();

        for (size_t i = 0; i < times; i++) {
            memcpy(to, from, bytes);
            __asm__ volatile("" : : "r"(to) : "memory"); /* each copy counts, although the next one undoes it */
        }
        sample_put(crew, (double)bytes * (double)times / (double)(clock_now_ns() - start_ns));
    }
    crew_done(crew, self);
}

static int copy_measure(struct crew *crew, int cpu, size_t bytes, double *gbs, char *failure)
{
    const struct crew_role role = {.cpu = cpu, .play = copy_play, .task = &bytes};
    int result = crew_run(crew, &role, 1, failure);

    if (!result)
        *gbs = samples_median(crew);
    return result;
}

int limits_copy_measure(struct crew *crew, const int cpus[2], struct limits_copy *copy, char *failure)
{
    int result = copy_measure(crew, cpus[0], CACHED_BYTES, &copy->cached_gbs, failure);

    if (!result)
        result = copy_measure(crew, cpus[0], LARGE_BYTES, &copy->large_gbs, failure);
    return result;
}
