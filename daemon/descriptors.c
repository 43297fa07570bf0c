/* descriptors.c - see descriptors.h. */
#define _GNU_SOURCE
#include "descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"

#define PER_CONTEXT 2u
#define FOR_RINGS   2048u /* rings, their generations, and whatever else */

static rlim_t limit_now;

/* How many contexts there are descriptors for. */
static uint64_t context_room(rlim_t limit)
{
    uint64_t others = DESCRIPTORS_KEPT + (limit < 2 * FOR_RINGS ? limit / 8 : FOR_RINGS);

    return limit > others ? (limit - others) / PER_CONTEXT : 0;
}

/* As high as we may, and at least what is wanted if we may do that too. */
static void raise_limit(rlim_t wanted)
{
    struct rlimit limit, higher;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    higher = (struct rlimit){.rlim_cur = wanted, .rlim_max = wanted};
    if (limit.rlim_max < wanted && setrlimit(RLIMIT_NOFILE, &higher) == 0) {
        limit_now = wanted;
        return;
    }
    limit_now = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        limit_now = limit.rlim_max;
    else
        log_warning("cannot raise the limit of open files to %ju: %s", (uintmax_t)limit.rlim_max, strerror(errno));
}

void descriptors_raise(uint32_t max_clients)
{
    rlim_t wanted = (rlim_t)max_clients * PER_CONTEXT + FOR_RINGS + DESCRIPTORS_KEPT;

    raise_limit(wanted);
    if (limit_now < wanted)
        log_warning(
            "%ju open files are allowed, which is enough for %ju contexts at once, and max_clients is %u: raise "
            "the limit (LimitNOFILE= in the service's unit, or ulimit -Hn) to %ju, or lower max_clients",
            (uintmax_t)limit_now, (uintmax_t)context_room(limit_now), max_clients, (uintmax_t)wanted);
}

bool descriptors_short(int fd)
{
    return limit_now > 2 * DESCRIPTORS_KEPT && fd >= 0 && (rlim_t)fd >= limit_now - DESCRIPTORS_KEPT;
}

int descriptors_say_short(struct problem *problem)
{
    return problem_say(
        problem, -EMFILE,
        "ringd may have %ju files open and has no descriptors left for another context, which takes two; "
        "close some, or raise its limit (LimitNOFILE= in the service's unit, or ulimit -Hn)",
        (uintmax_t)limit_now);
}
