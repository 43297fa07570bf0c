/* move.c - a ring that moves under full load; see move.h. The director of the load moves it.
 *
 * Windows with and without take turns, eight by eight: what a move leaves behind is taken down for a while after it,
 * and shall count where it belongs.
 *
 * A window ends no sooner than its move: if a move takes longer than a window, that one is longer, which is to the
 * move's disadvantage only.
 */
#define _GNU_SOURCE
#include "move.h"

#include "clock.h"
#include "stats.h"

#define WINDOW_NS  INT64_C(100000000)
#define TURNS      12u
#define TURN_QUIET 8u /* windows without, then ... */
#define TURN_MOVES 8u /* ... with a move, then ... */
#define TURN_AFTER 2u /* ... such as still belong to these: what was left has to be taken down */
#define TURN       (TURN_QUIET + TURN_MOVES + TURN_AFTER)
#define WINDOWS    (TURNS * TURN)
#define BEGIN_US   5000   /* a move comes so much later than its window */
#define LIMIT_S    120u   /* beside others a window, which ends no sooner than its move, is longer */
#define WARM_UP_US 300000 /* every page of the ring has been written by then */

enum { SERIES_WITH, SERIES_WITHOUT, SERIES_CALL };

struct move_task {
    struct load *load;
    double *rates; /* shared; one for each window */
};

/* ---- the director ----------------------------------------------------------------------------------------------- */

/* Whether it counts as one with a move. */
static bool window_is_moved(unsigned window)
{
    return window % TURN >= TURN_QUIET;
}

static bool window_has_move(unsigned window)
{
    return window_is_moved(window) && window % TURN < TURN_QUIET + TURN_MOVES;
}

/* Its number for the load; 0 is the time before and after. */
static uint32_t window_number(unsigned window)
{
    return 2 * (window + 1) + window_is_moved(window);
}

static void ring_move(struct load *load, struct crew *crew, unsigned self)
{
    int64_t start_ns = clock_now_ns();
    int result = ringd_resize(LOAD_RING, MOVE_BYTES);

    if (result)
        crew_fail(crew, self, "cannot move the ring", result);
    load_sample(load, SERIES_CALL, clock_now_ns() - start_ns);
}

static void window_run(const struct move_task *task, struct crew *crew, unsigned self, unsigned window)
{
    struct load *load = task->load;
    uint64_t before = load_received(load);
    int64_t start_ns = clock_now_ns(), left_ns;

    atomic_store_explicit(&load->window, window_number(window), memory_order_relaxed);
    load_nap(BEGIN_US);
    if (window_has_move(window))
        ring_move(load, crew, self);
    left_ns = start_ns + WINDOW_NS - clock_now_ns();
    if (left_ns > 0)
        load_nap(left_ns / 1000);
    task->rates[window] = (double)(load_received(load) - before) * 1e3 / (double)(clock_now_ns() - start_ns);
}

static void direct_moves(struct crew *crew, unsigned self, const void *task)
{
    const struct move_task *own = task;

    crew_ready(crew, self);
    load_nap(WARM_UP_US);
    for (unsigned window = 0; window < WINDOWS; window++)
        window_run(own, crew, self, window);
    atomic_store_explicit(&own->load->window, 0, memory_order_relaxed);
    crew_done(crew, self);
    load_stop(own->load, 0);
}

/* ---- the parent's part ------------------------------------------------------------------------------------------ */

static double rates_median(const double *rates, bool with_move)
{
    struct series series = {.count = 0};

    for (unsigned i = 0; i < WINDOWS; i++) {
        if (window_is_moved(i) == with_move)
            series_add(&series, rates[i]);
    }
    return series_median(&series);
}

static void pauses_collect(struct load *load)
{
    for (unsigned writer = 0; writer < LOAD_WRITERS; writer++) {
        for (unsigned i = 0; i < WINDOWS; i++)
            load_sample(load, window_is_moved(i) ? SERIES_WITH : SERIES_WITHOUT,
                        load->pauses[writer].longest_ns[window_number(i)]);
    }
}

int move_run(struct load *load, struct crew *crew, const int cpus[2], struct move_figures *figures, char *failure)
{
    const struct ringd_ring_options options = {.size = MOVE_BYTES};
    double *rates = (double *)crew->buffer;
    const struct move_task task = {load, rates};
    int result;

    load->writers = LOAD_FULL_SPEED;
    crew->limit_s = LIMIT_S;
    result = load_run(load, crew, cpus, &options, direct_moves, &task, failure);
    crew->limit_s = 0;
    if (result)
        return result;
    pauses_collect(load);
    *figures = (struct move_figures){
        .with_p50_us = load_quantile(load, SERIES_WITH, 0.5) / 1e3,
        .with_p99_us = load_quantile(load, SERIES_WITH, 0.99) / 1e3,
        .without_p50_us = load_quantile(load, SERIES_WITHOUT, 0.5) / 1e3,
        .without_p99_us = load_quantile(load, SERIES_WITHOUT, 0.99) / 1e3,
        .call_p50_us = load_quantile(load, SERIES_CALL, 0.5) / 1e3,
        .rate_with = rates_median(rates, true),
        .rate_without = rates_median(rates, false),
    };
    return 0;
}
