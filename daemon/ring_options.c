/* ring_options.c - see ring_options.h. One function for each option, in the order of struct ringd_ring_options. */
#define _GNU_SOURCE
#include "ring_options.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "quantity.h"
#include "ringd_proto.h"
#include "ringd_segment.h"
#include "segment.h"

#define SIZE_DEFAULT       (UINT64_C(1) << 20)
#define MODE_DEFAULT       0740u
#define STOPPED_AFTER_MS   1000u
#define AFTER_MS_MAX       3600000u
#define FIRST_POSITION_END (UINT64_C(1) << 62)

static const char name_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

/* What is no name may be anything, and is quoted in an answer and a log. */
static int say_bad_name(const char *owner, const char *name, struct problem *problem)
{
    char shown[RINGD_NAME_BYTES];

    strlcpy(shown, name, sizeof shown);
    for (char *c = shown; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
    return problem_say(problem, -EINVAL,
                       "\"%s\" cannot be a %s's name; use A-Z a-z 0-9 . _ - and no dot at the beginning", shown, owner);
}

static int check_name(const char *owner, size_t bytes, const char *name, struct problem *problem)
{
    size_t len = strlen(name);

    if (len == 0)
        return problem_say(problem, -EINVAL, "the %s's name is empty; it has 1 to %zu characters", owner, bytes - 1);
    if (len >= bytes)
        return problem_say(problem, -EINVAL, "the %s's name has %zu characters; it may have 1 to %zu", owner, len,
                           bytes - 1);
    if (name[0] == '.' || strspn(name, name_alphabet) != len)
        return say_bad_name(owner, name, problem);
    return 0;
}

int ring_name_check(const char *name, struct problem *problem)
{
    return check_name("ring", RINGD_NAME_BYTES, name, problem);
}

int label_check(const char *owner, const char *name, struct problem *problem)
{
    return check_name(owner, RINGD_LABEL_BYTES, name, problem);
}

static uint64_t next_power_of_two(uint64_t value)
{
    uint64_t power = RINGD_SIZE_MIN;

    while (power < value)
        power *= 2;
    return power;
}

static int check_size(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->size == 0)
        options->size = SIZE_DEFAULT;
    if (options->size > RINGD_SIZE_MAX)
        return problem_say(problem, -EINVAL, "size %s is too large; the largest is %s",
                           quantity_text(options->size).text, quantity_text(RINGD_SIZE_MAX).text);
    if ((options->size & (options->size - 1)) != 0)
        return problem_say(problem, -EINVAL, "size %s is not a power of two; the next one up is %s",
                           quantity_text(options->size).text, quantity_text(next_power_of_two(options->size)).text);
    if (options->size < RINGD_SIZE_MIN)
        return problem_say(problem, -EINVAL, "size %s is too small; the smallest is %s",
                           quantity_text(options->size).text, quantity_text(RINGD_SIZE_MIN).text);
    return 0;
}

static int check_policy(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->policy == 0)
        options->policy = RINGD_LOSSLESS;
    if (options->policy > RINGD_OVERWRITE)
        return problem_say(problem, -EINVAL, "policy %u is unknown; there are lossless (%d), drop (%d), overwrite (%d)",
                           options->policy, RINGD_LOSSLESS, RINGD_DROP, RINGD_OVERWRITE);
    return 0;
}

static int check_time(const struct ringd_ring_options *options, struct problem *problem)
{
    if (options->time > RINGD_TIME_TSC)
        return problem_say(problem, -EINVAL, "time %u is unknown; there are none (%d), monotonic (%d), tsc (%d)",
                           options->time, RINGD_TIME_NONE, RINGD_TIME_MONOTONIC, RINGD_TIME_TSC);
    return 0;
}

/* Comes after the size. */
static int check_max_record(struct ringd_ring_options *options, struct problem *problem)
{
    uint64_t most = options->size / 64;

    if (options->max_record == 0)
        options->max_record = (uint32_t)(options->size / 256);
    if (options->max_record > most)
        return problem_say(
            problem, -EINVAL,
            "max_record %s is more than 1/64 of the ring; a ring of %s takes records of up to %s, records "
            "this long need a ring of %s",
            quantity_text(options->max_record).text, quantity_text(options->size).text, quantity_text(most).text,
            quantity_text(next_power_of_two(64 * (uint64_t)options->max_record)).text);
    return 0;
}

/* Comes after the policy. */
static int check_hold(const struct ringd_ring_options *options, struct problem *problem)
{
    if (options->hold > 1)
        return problem_say(problem, -EINVAL, "hold is %u; it is 0 or 1", options->hold);
    if (options->hold == 1 && options->policy != RINGD_LOSSLESS)
        return problem_say(problem, -EINVAL, "hold makes writers wait for a lossless reader; it needs policy lossless");
    return 0;
}

static int check_lanes(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->lanes == 0)
        options->lanes = 1;
    if (options->lanes > RINGD_LANES_MAX)
        return problem_say(problem, -EINVAL, "lanes is %u; a ring has 1 to %u, with %u writers each", options->lanes,
                           RINGD_LANES_MAX, RINGD_WRITERS_PER_LANE);
    return 0;
}

static int check_writers(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->writers == 0)
        options->writers = RINGD_WRITERS_PER_LANE;
    if (options->writers != 1 && options->writers != RINGD_WRITERS_PER_LANE)
        return problem_say(problem, -EINVAL, "writers is %u; each lane has one at a time (1) or up to %u (%u)",
                           options->writers, RINGD_WRITERS_PER_LANE, RINGD_WRITERS_PER_LANE);
    return 0;
}

static int check_mode(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->mode == 0)
        options->mode = MODE_DEFAULT;
    if (options->mode > 0777)
        return problem_say(problem, -EINVAL,
                           "mode 0%o has more than nine bits; for each of owner, group and others it has 4 (read), 2 "
                           "(write) and 1 (read losslessly), as in 0%o",
                           options->mode, MODE_DEFAULT);
    return 0;
}

/* Comes after the lanes: what is shown of a ring's positions is their sum. */
static int check_first_position(const struct ringd_ring_options *options, struct problem *problem)
{
    uint64_t end = FIRST_POSITION_END / options->lanes;

    if (options->first_position % RINGD_UNIT != 0)
        return problem_say(problem, -EINVAL, "first_position %ju is not a multiple of %u; the next one down is %ju",
                           (uintmax_t)options->first_position, RINGD_UNIT,
                           (uintmax_t)(options->first_position & RINGD_POSITION_MASK));
    if (options->first_position >= end)
        return problem_say(problem, -EINVAL, "first_position %ju is too large; it is below %ju",
                           (uintmax_t)options->first_position, (uintmax_t)end);
    return 0;
}

static int check_stopped(struct ringd_ring_options *options, struct problem *problem)
{
    if (options->stopped == 0)
        options->stopped = RINGD_STOPPED_REPORT;
    if (options->stopped > RINGD_STOPPED_KILL)
        return problem_say(problem, -EINVAL, "stopped %u is unknown; there are report (%d), move (%d), kill (%d)",
                           options->stopped, RINGD_STOPPED_REPORT, RINGD_STOPPED_MOVE, RINGD_STOPPED_KILL);
    if (options->stopped == RINGD_STOPPED_REPORT && options->stopped_after_ms != 0)
        return problem_say(problem, -EINVAL,
                           "stopped_after_ms is %u, and nothing is done after it; give stopped move or kill with it",
                           options->stopped_after_ms);
    if (options->stopped_after_ms > AFTER_MS_MAX)
        return problem_say(problem, -EINVAL, "stopped_after_ms %u is too long; the longest is %u, an hour",
                           options->stopped_after_ms, AFTER_MS_MAX);
    if (options->stopped != RINGD_STOPPED_REPORT && options->stopped_after_ms == 0)
        options->stopped_after_ms = STOPPED_AFTER_MS;
    return 0;
}

/* That there are limits exactly when something is done beyond them. Comes after the policy. */
static int check_slow(struct ringd_ring_options *options, struct problem *problem)
{
    bool limited = options->slow_bytes != 0 || options->slow_after_ms != 0;

    if (options->slow == 0)
        options->slow = RINGD_SLOW_WAIT;
    if (options->slow > RINGD_SLOW_EVICT)
        return problem_say(problem, -EINVAL, "slow %u is unknown; there are wait (%d), lossy (%d), evict (%d)",
                           options->slow, RINGD_SLOW_WAIT, RINGD_SLOW_LOSSY, RINGD_SLOW_EVICT);
    if (options->slow == RINGD_SLOW_WAIT && limited)
        return problem_say(
            problem, -EINVAL,
            "slow_bytes and slow_after_ms are limits, and nothing is done beyond them; give slow lossy or "
            "evict with them");
    if (options->slow != RINGD_SLOW_WAIT && !limited)
        return problem_say(
            problem, -EINVAL,
            "slow lossy and evict need a limit beyond which a reader is slow; give slow_bytes (up to %s), "
            "slow_after_ms (up to %u), or both",
            quantity_text(options->size).text, AFTER_MS_MAX);
    if (options->slow != RINGD_SLOW_WAIT && options->policy == RINGD_OVERWRITE)
        return problem_say(problem, -EINVAL,
                           "slow readers hold nobody up on a ring that overwrites; leave slow out, or use the policy "
                           "lossless or drop");
    return 0;
}

/* Comes after size, policy and max_record. A writer that finds no room for one record is to see a reader beyond the
 * limit. */
static int check_slow_limits(const struct ringd_ring_options *options, struct problem *problem)
{
    uint64_t most = options->size - (RINGD_WRITERS_PER_LANE + 2) * segment_max_grant(options->max_record);

    if (options->slow_after_ms != 0 && options->policy == RINGD_DROP)
        return problem_say(problem, -EINVAL,
                           "slow_after_ms limits how long writers wait, and on a ring that drops they never do; give "
                           "slow_bytes (up to %s)",
                           quantity_text(options->size).text);
    if (options->slow_after_ms > AFTER_MS_MAX)
        return problem_say(problem, -EINVAL, "slow_after_ms %u is too long; the longest is %u, an hour",
                           options->slow_after_ms, AFTER_MS_MAX);
    if (options->slow_bytes > most)
        return problem_say(problem, -EINVAL,
                           "slow_bytes %s is more than a reader can be behind when the ring is full; the most is %s",
                           quantity_text(options->slow_bytes).text, quantity_text(most).text);
    return 0;
}

static int check_reserved(const struct ringd_ring_options *options, struct problem *problem)
{
    uint64_t any = options->reserved_32;

    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        any |= options->reserved[i];
    return any == 0 ? 0
                    : problem_say(problem, -EINVAL,
                                  "a reserved option is not zero; clear the options before setting any, "
                                  "or use a newer ringd");
}

int ring_options_check(struct ringd_ring_options *options, struct problem *problem)
{
    int result = check_size(options, problem);

    if (result == 0)
        result = check_policy(options, problem);
    if (result == 0)
        result = check_time(options, problem);
    if (result == 0)
        result = check_max_record(options, problem);
    if (result == 0)
        result = check_hold(options, problem);
    if (result == 0)
        result = check_lanes(options, problem);
    if (result == 0)
        result = check_writers(options, problem);
    if (result == 0)
        result = check_mode(options, problem);
    if (result == 0)
        result = check_first_position(options, problem);
    if (result == 0)
        result = check_stopped(options, problem);
    if (result == 0)
        result = check_slow(options, problem);
    if (result == 0)
        result = check_slow_limits(options, problem);
    if (result == 0)
        result = check_reserved(options, problem);
    return result;
}
