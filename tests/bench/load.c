/* load.c - two writers and a reader who go on while something happens beside them; see load.h. */
#define _GNU_SOURCE
#include "load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "clock.h"
#include "contexts.h"
#include "stats.h"

#define WORK_NS 1000.0 /* of a writer in a crowd, for each record */
#define REST_US 100

struct load_task {
    struct load *load;
    uint32_t index;
};

struct load *load_new(void)
{
    void *map =
        mmap(NULL, sizeof(struct load), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

void load_free(struct load *load)
{
    if (load)
        munmap(load, sizeof(*load));
}

uint64_t load_received(const struct load *load)
{
    return atomic_load_explicit(&load->received, memory_order_acquire);
}

void load_nap(long microseconds)
{
    const struct timespec nap = {.tv_nsec = microseconds * 1000};

    nanosleep(&nap, NULL);
}

void load_sample(struct load *load, unsigned series, int64_t ns)
{
    uint32_t *count = &load->sample_counts[series];

    if (*count < LOAD_SAMPLES)
        load->samples[series][(*count)++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

double load_quantile(struct load *load, unsigned series, double part)
{
    uint32_t count = load->sample_counts[series];

    if (count == 0)
        return NAN;
    samples_sort(load->samples[series], count);
    return samples_quantile(load->samples[series], count, part, 1);
}

/* ---- writers ---------------------------------------------------------------------------------------------------- */

static void pause_note(struct load *load, uint32_t index, uint32_t begun, uint32_t ended, int64_t pause_ns)
{
    uint32_t window = begun % 2 == 1 ? begun : ended;
    int64_t *longest_ns = &load->pauses[index].longest_ns[window % LOAD_WINDOWS];

    if (pause_ns > *longest_ns)
        *longest_ns = pause_ns;
}

static void work(uint64_t ticks)
{
    uint64_t start = clock_ticks();

    while (clock_ticks() - start < ticks)
        ;
}

static void records_write(struct bench_writer *writer, struct load *load)
{
    double tick_ns = clock_ns_per_tick();
    uint32_t window = 0;
    uint64_t work_ticks = load->writers == LOAD_CROWD ? (uint64_t)(WORK_NS / tick_ns) : 0;
    uint64_t last = clock_ticks();

    while (!atomic_load_explicit(&load->stop, memory_order_relaxed)) {
        uint32_t then = window;
        uint64_t now;
        bool rest;

        work(work_ticks);
        rest = atomic_load_explicit(&load->rest, memory_order_relaxed);
        bench_fill(writer, writer->sequence + 1);
        while (!bench_write(writer) && !atomic_load_explicit(&load->stop, memory_order_relaxed))
            ;
        while (rest && atomic_load_explicit(&load->rest, memory_order_relaxed))
            load_nap(REST_US);
        now = clock_ticks();
        window = atomic_load_explicit(&load->window, memory_order_relaxed);
        pause_note(load, writer->index, then, window, (int64_t)((double)(now - last) * tick_ns));
        last = now;
    }
}

/* The last record is written after all totals are known: the reader that gets it knows that it is the last. */
static void load_write(struct crew *crew, unsigned self, const void *task)
{
    const struct load_task *own = task;
    struct load *load = own->load;
    struct bench_writer writer;

    bench_writer_open(&writer, crew, self, LOAD_RING, own->index, LOAD_BYTES,
                      load->writers == LOAD_CROWD ? RINGD_NO_WAIT : RINGD_FOREVER);
    crew_ready(crew, self);
    records_write(&writer, load);
    crew_done(crew, self);
    atomic_store_explicit(&load->totals[own->index], writer.sequence + 1, memory_order_release);
    bench_fill(&writer, writer.sequence);
    while (!bench_write(&writer))
        load_nap(REST_US);
    bench_writer_close(&writer);
}

/* ---- the reader ------------------------------------------------------------------------------------------------- */

static void next_note(struct load *load, uint64_t received, const struct ringd_record *record, uint64_t position)
{
    load->next = (struct load_next){.writer = record->type,
                                    .at_ns = clock_now_ns(),
                                    .received = received,
                                    .hole_bytes = record->position - position};
    atomic_store_explicit(&load->watch, LOAD_NOTHING, memory_order_release);
}

/* All that will ever be committed; LOAD_OPEN: not known yet. */
static uint64_t load_total(const struct load *load)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < LOAD_SOURCES; i++) {
        uint64_t total = atomic_load_explicit(&load->totals[i], memory_order_acquire);

        if (total == LOAD_OPEN)
            return LOAD_OPEN;
        sum += total;
    }
    return sum;
}

static void load_read(struct crew *crew, unsigned self, const void *task)
{
    const struct load_task *own = task;
    const struct ringd_reader_options options = {
        .mode = RINGD_READ_LOSSLESS, .start = RINGD_START_OLDEST, .deadline = RINGD_FOREVER};
    struct load *load = own->load;
    struct bench_reader reader;
    struct ringd_record record;
    uint64_t next = 0;

    bench_reader_open(&reader, crew, self, LOAD_RING, LOAD_SOURCES, LOAD_BYTES, &options);
    crew_ready(crew, self);
    while (reader.received < load_total(load)) {
        bench_read_record(&reader, &record);
        if (reader.received > atomic_load_explicit(&load->watch, memory_order_acquire))
            next_note(load, reader.received - 1, &record, next);
        next = record.next;
        atomic_store_explicit(&load->received, reader.received, memory_order_release);
    }
    crew_done(crew, self);
    if (reader.received > load_total(load))
        crew_fail(crew, self, "more records came out than were committed", 0);
    bench_reader_close(&reader);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static void load_reset(struct load *load)
{
    enum load_writers writers = load->writers;

    memset(load, 0, sizeof(*load));
    load->writers = writers;
    atomic_init(&load->watch, LOAD_NOTHING);
    for (unsigned i = 0; i < LOAD_SOURCES; i++)
        atomic_init(&load->totals[i], LOAD_OPEN);
}

static int roles_run(struct load *load, struct crew *crew, const int cpus[2],
                     void (*direct)(struct crew *crew, unsigned self, const void *task), const void *task,
                     char *failure)
{
    const struct load_task tasks[LOAD_WRITERS] = {{load, 0}, {load, 1}};
    const struct crew_role roles[LOAD_ROLES] = {
        {.cpu = cpus[0], .play = load_write, .task = &tasks[0]},
        {.cpu = cpus[1], .play = load_write, .task = &tasks[1]},
        {.cpu = cpus[0], .play = load_read, .task = &tasks[0], .roams = true, .other_cpu = cpus[1]},
        {.cpu = cpus[1], .play = direct, .task = task, .roams = true, .other_cpu = cpus[0]},
    };

    return crew_run(crew, roles, LOAD_ROLES, failure);
}

int load_run(struct load *load, struct crew *crew, const int cpus[2], const struct ringd_ring_options *options,
             void (*direct)(struct crew *crew, unsigned self, const void *task), const void *task, char *failure)
{
    int result = ringd_create(LOAD_RING, options), removed;

    load_reset(load);
    if (result) {
        snprintf(failure, CREW_TEXT, "cannot create a ring: %s", ringd_error());
        return result;
    }
    result = roles_run(load, crew, cpus, direct, task, failure);
    removed = ringd_remove(LOAD_RING);
    if (!result && removed) {
        snprintf(failure, CREW_TEXT, "cannot remove a ring: %s", ringd_error());
        return removed;
    }
    return result;
}

void load_stop(struct load *load, uint64_t total)
{
    atomic_store_explicit(&load->totals[LOAD_DIRECTOR], total, memory_order_release);
    atomic_store_explicit(&load->stop, true, memory_order_release);
}
