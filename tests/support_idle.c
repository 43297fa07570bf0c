/* support_idle.c - see support_idle.h. */
#define _GNU_SOURCE
#include "support_idle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define RING "idle"
#define FULL "full"

/* Between two looks. */
#define LOOK_MS 200
#define STAY_MS 1000

struct idle {
    enum idle_way way;
    uint32_t mode, wait;
    _Atomic uint32_t ready;
};

void idle_make_rings(void)
{
    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    make_ring(FULL, (struct ringd_ring_options){.size = 65536});
    open_reader(FULL, RINGD_READ_LOSSLESS, RINGD_START_NOW); /* that never reads */
}

static const char *ring_of(enum idle_way way)
{
    return way == IDLE_WRITING ? FULL : RING;
}

static struct ringd_reader *open_idle(const struct idle *idle)
{
    struct ringd_reader_options options = {.mode = idle->mode, .wait = idle->wait, .deadline = RINGD_FOREVER};
    struct ringd_reader *reader;
    struct ringd *ring;

    require(ringd_open(&ring, RING) == 0, "%s", ringd_error());
    require(ringd_reader_open(&reader, ring, &options) == 0, "%s", ringd_error());
    return reader;
}

static void be_idle(void *argument)
{
    struct idle *idle = argument;
    struct ringd_writer *w = idle->way == IDLE_READING ? NULL : open_writer_until(ring_of(idle->way), RINGD_FOREVER);
    struct ringd_reader *reader = idle->way == IDLE_WRITING ? NULL : open_idle(idle);
    struct ringd_record record;
    int result = RINGD_OK;

    support_guard(0);
    atomic_store(&idle->ready, 1);
    while (idle->way == IDLE_WRITING && result == RINGD_OK)
        result = ringd_write(w, "abc", 3);
    if (idle->way == IDLE_READING)
        result = ringd_next(reader, &record);
    /* The end of the test, perhaps. */
    require(result == RINGD_OK || result == RINGD_END || result == -ESHUTDOWN, "result %d", result);
    for (;;)
        pause();
}

struct idler idle_start(enum idle_way way, uint32_t mode, uint32_t wait)
{
    struct idle *idle = shared_new(sizeof *idle);
    struct idler idler;

    idle->way = way;
    idle->mode = mode;
    idle->wait = wait;
    idler = (struct idler){.pid = child_start(be_idle, idle)};
    while (atomic_load(&idle->ready) == 0)
        pause_ms(1);
    return idler;
}

/* ---- stillness --------------------------------------------------------------------------------------------------- */

/* Nanoseconds that a process has been on a processor. */
static uint64_t processor_ns(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    require(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0, "process %d", (int)pid);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

void idle_settle(struct idler *idlers, int count)
{
    for (bool still = false; !still;) {
        still = true;
        pause_ms(LOOK_MS);
        for (int i = 0; i < count; i++) {
            struct idler now = {idlers[i].pid, processor_ns(idlers[i].pid), process_switches(idlers[i].pid)};

            still &= now.used_ns == idlers[i].used_ns && now.switches == idlers[i].switches;
            idlers[i] = now;
        }
    }
}

void idle_require_still(const struct idler *idlers, int count)
{
    pause_ms(STAY_MS);
    for (int i = 0; i < count; i++) {
        uint64_t ns = processor_ns(idlers[i].pid) - idlers[i].used_ns;
        uint64_t switches = process_switches(idlers[i].pid) - idlers[i].switches;

        require(ns == 0 && switches == 0, "process %d of %d was on a processor %lu times, for %lu ns", i + 1, count,
                (unsigned long)switches, (unsigned long)ns);
    }
}
