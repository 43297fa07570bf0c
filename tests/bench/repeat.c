/* repeat.c - repetitions, dropped when they were disturbed; see repeat.h. */
#include "repeat.h"

#include <math.h>

#include "clock.h"

struct probes {
    struct limits before, after; /* after: the hop alone */
    double share;
};

static int probes_run(const struct repeat *repeat, repeat_play play, void *task, struct probes *probes, char *failure)
{
    int result = limits_measure(repeat->crew, repeat->cpus, &probes->before, failure);

    probes->share = 1;
    if (!result)
        result = play(task, &probes->share, failure);
    if (!result)
        result = limits_hop(repeat->crew, repeat->cpus, &probes->after, failure);
    return result;
}

static bool probes_steady(const struct probes *probes)
{
    const struct limits *before = &probes->before, *after = &probes->after;
    double share = fmin(probes->share, fmin(before->share, after->share));

    return share >= REPEAT_SHARE && after->hop_ns <= before->hop_ns * REPEAT_HOP_DRIFT &&
           before->hop_ns <= after->hop_ns * REPEAT_HOP_DRIFT;
}

/* Of a disturbed one the smaller hop counts: disturbance makes it larger and would flatter what is divided by it. */
static double probes_hop_ns(const struct probes *probes, bool steady)
{
    double before_ns = probes->before.hop_ns, after_ns = probes->after.hop_ns;

    return steady ? (before_ns + after_ns) / 2 : fmin(before_ns, after_ns);
}

void repeat_round(struct repeat *repeat, unsigned retry_s)
{
    repeat->until_ns = clock_now_ns() + retry_s * INT64_C(1000000000);
}

int repeat_run(struct repeat *repeat, repeat_play play, void *task, struct repeat_series *series, char *failure)
{
    struct probes probes;
    bool steady = false;

    for (unsigned tries = 0; !steady && tries < REPEAT_TRIES; tries++) {
        if (tries > 0 && clock_now_ns() > repeat->until_ns)
            break;
        int result = probes_run(repeat, play, task, &probes, failure);

        if (result)
            return result;
        repeat->dropped += tries > 0; /* the one before this */
        steady = probes_steady(&probes);
    }
    series_add(&series->hop, probes_hop_ns(&probes, steady));
    series_add(&series->xadd, probes.before.xadd_ns);
    series_add(&series->stream, probes.before.stream_gbs);
    series->unsteady += !steady;
    return 0;
}
