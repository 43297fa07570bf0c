/* ring_options.h - may a ring have this name and these options?
 *
 * The one place where a ring's options are judged, whether they come from the configuration file or from a client.
 * Afterwards every field holds the value the ring will have: zeroes that stand for a default are replaced, so nobody
 * later has to know a default. What is refused is refused with the nearest thing that would do.
 *
 * What holds for options that were checked: size is a power of two from RINGD_SIZE_MIN to RINGD_SIZE_MAX; 1 <=
 * max_record <= size/64; policy, time, hold and lanes are known values; hold only with the lossless policy; mode has
 * only bits of 0777; first_position is a multiple of RINGD_UNIT below 2^62, so that positions never reach the sign bit;
 * stopped is a known value with a time from 1 ms to an hour (report: 0); slow is a known value, with at least one limit
 * unless it is RINGD_SLOW_WAIT, and not on a ring that overwrites; slow_bytes
 * is less than what a reader can be behind in a full ring.
 *
 * Called by config.c and request.c, before anything is created.
 */
#ifndef DAEMON_RING_OPTIONS_H
#define DAEMON_RING_OPTIONS_H

#include "problem.h"
#include "ringd.h"

/* 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with a dot: fit for a file name and for a log line. -EINVAL. */
int ring_name_check(const char *name, struct problem *problem);

/* The same of up to 47 characters, for a named cursor or a group: `owner` says which. */
int label_check(const char *owner, const char *name, struct problem *problem);

/* Checks, and replaces zeroes by what they stand for. -EINVAL. */
int ring_options_check(struct ringd_ring_options *options, struct problem *problem);

#endif
