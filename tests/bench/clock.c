/* clock.c - calibration of the processor's counter; see clock.h.
 *
 * The rate is the quotient of both clocks over 50 ms, which is exact to some parts in a million as the counters of all
 * machines that matter here tick evenly. The cost of a reading is the smallest of many short series: whatever disturbs
 * a series only makes it longer.
 *
 * Holds true: these figures are set once, before the first fork, and never change.
 */
#include "clock.h"

#include <unistd.h>

#define CALIBRATION_NS 50000000
#define SERIES         200
#define READINGS       100

static double ns_per_tick = 1.0;
static double read_ns;
static double step_ticks = 1.0;

static void rate_measure(void)
{
    int64_t start_ns = clock_now_ns(), now_ns = start_ns;
    uint64_t start_ticks = clock_ticks();

    while (now_ns - start_ns < CALIBRATION_NS) {
        usleep(1000);
        now_ns = clock_now_ns();
    }
    ns_per_tick = (double)(now_ns - start_ns) / (double)(clock_ticks() - start_ticks);
}

/* The time of READINGS readings; *step becomes the smallest difference seen, if it is smaller. */
static uint64_t series_ticks(uint64_t *step)
{
    uint64_t start = clock_ticks(), last = start;

    for (unsigned i = 0; i < READINGS; i++) {
        uint64_t now = clock_ticks();

        if (now != last && now - last < *step)
            *step = now - last;
        last = now;
    }
    return last - start;
}

static void reading_measure(void)
{
    uint64_t best = UINT64_MAX, step = UINT64_MAX;

    for (unsigned i = 0; i < SERIES; i++) {
        uint64_t ticks = series_ticks(&step);

        best = ticks < best ? ticks : best;
    }
    read_ns = (double)best * ns_per_tick / READINGS;
    step_ticks = (double)step;
}

void clock_init(void)
{
    rate_measure();
    reading_measure();
}

double clock_ns_per_tick(void)
{
    return ns_per_tick;
}

double clock_read_ns(void)
{
    return read_ns;
}

double clock_step_ticks(void)
{
    return step_ticks;
}
