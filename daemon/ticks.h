/* ticks.h - how many ticks of the processor's counter make a second.
 *
 * A ring with RINGD_TIME_TSC carries raw ticks; its header says how many of them a second has. They are measured: the
 * daemon notes counter and clock when it starts, and again when the first such ring is made. The longer it has run, the
 * better the figure; a daemon that is younger than 20 ms sleeps the rest, once, which bounds the error by about the
 * time of a clock read in 20 ms (a few parts in a million).
 *
 * Called by daemon.c at the start and by segment_create.c.
 */
#ifndef DAEMON_TICKS_H
#define DAEMON_TICKS_H

#include <stdint.h>

/* When the measurement began: both clocks at one moment. */
struct ticks {
    uint64_t counter;
    int64_t clock_ns;
};

void ticks_init(struct ticks *ticks);

/* 0: not known, on a processor whose counter this program does not read. May sleep up to 20 ms. */
uint64_t ticks_per_second(const struct ticks *ticks);

#endif
