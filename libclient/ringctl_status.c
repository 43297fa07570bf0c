/* ringctl_status.c - status: what the daemon knows of rings and of who is attached to them.
 *
 * Two samples are taken, `--interval` apart, and rates are what happened between them; all else is shown as the second
 * one has it. A ring or context that is only in the second has no rate yet. Contexts are matched by slot and
 * incarnation, rings by name and time of creation: a name may be used again.
 */
#include "ringctl_status.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_GUESS 320 /* a ring of one lane has at most 31 writers and 256 readers */

void sample_deinit(struct sample *sample)
{
    free(sample->contexts);
    *sample = (struct sample){0};
}

int sample_take(struct sample *sample, const char *name)
{
    *sample = (struct sample){0};
    size_t there = FIRST_GUESS;
    int result = 0;
    while (result == 0 && there > sample->count) {
        sample->count = there;
        free(sample->contexts);
        sample->contexts = calloc(sample->count, sizeof *sample->contexts);
        result = sample->contexts == NULL ? -ENOMEM
                                          : ringd_status(name, &sample->ring, sample->contexts, sample->count, &there);
    }
    sample->count = result == 0 ? there : 0;
    return result;
}

static int add_named(struct sample *sample, const char *name)
{
    int result = ringd_cursors(name, sample->named, SAMPLE_NAMED_MAX, &sample->named_count);

    if (sample->named_count > SAMPLE_NAMED_MAX)
        sample->named_count = SAMPLE_NAMED_MAX;
    return result;
}

static void wait_interval(const struct options *options)
{
    struct timespec time = {.tv_sec = options->interval_ns / 1000000000, .tv_nsec = options->interval_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR) {
    }
}

/* Counters are other processes' memory: one that goes backwards gives no rate. */
static struct rates rates_between(uint64_t records, uint64_t records_before, uint64_t bytes, uint64_t bytes_before,
                                  uint64_t elapsed_ns)
{
    if (elapsed_ns == 0 || elapsed_ns > INT64_MAX || records < records_before || bytes < bytes_before)
        return (struct rates){0};
    double seconds = (double)elapsed_ns / 1e9;
    return (struct rates){.known = true,
                          .records = (double)(records - records_before) / seconds,
                          .bytes = (double)(bytes - bytes_before) / seconds};
}

struct rates ring_rates(const struct ringd_info *now, const struct ringd_info *before)
{
    if (before == NULL || before->created_ns != now->created_ns)
        return (struct rates){0};
    return rates_between(now->committed, before->committed, now->bytes, before->bytes,
                         now->sampled_ns - before->sampled_ns);
}

static const struct ringd_context_info *find_context(const struct sample *sample,
                                                     const struct ringd_context_info *wanted)
{
    bool writer = wanted->kind == RINGD_CONTEXT_WRITER;

    for (size_t i = 0; i < sample->count; i++) {
        const struct ringd_context_info *context = &sample->contexts[i];
        if ((context->kind == RINGD_CONTEXT_WRITER) == writer && context->slot == wanted->slot &&
            context->incarnation == wanted->incarnation)
            return context;
    }
    return NULL;
}

struct rates context_rates(const struct sample *now, const struct sample *before,
                           const struct ringd_context_info *context)
{
    const struct ringd_context_info *earlier = find_context(before, context);

    if (earlier == NULL || context->kind == RINGD_CONTEXT_OBSERVER)
        return (struct rates){0};
    uint64_t elapsed_ns = now->ring.sampled_ns - before->ring.sampled_ns;
    if (context->kind == RINGD_CONTEXT_WRITER)
        return rates_between(context->committed, earlier->committed, context->bytes, earlier->bytes, elapsed_ns);
    return rates_between(context->delivered, earlier->delivered, context->delivered_bytes, earlier->delivered_bytes,
                         elapsed_ns);
}

/* ---- one ring ---------------------------------------------------------------------------------------------------- */

static int one_json(const struct options *options, const struct sample *now, const struct sample *before)
{
    struct rates rates = ring_rates(&now->ring, &before->ring);
    json_t *ring = json_ring(&now->ring);
    json_t *writers = json_array();
    json_t *readers = json_array();
    json_t *named = json_array();

    for (size_t i = 0; i < now->count; i++) {
        bool writer = now->contexts[i].kind == RINGD_CONTEXT_WRITER;
        json_t *context = writer ? json_writer(&now->contexts[i]) : json_reader(&now->contexts[i]);
        struct rates own = context_rates(now, before, &now->contexts[i]);
        json_add_rates(context, &own);
        json_array_append_new(writer ? writers : readers, context);
    }
    json_add_rates(ring, &rates);
    json_object_set_new(ring, "writers", writers);
    json_object_set_new(ring, "readers", readers);
    for (size_t i = 0; i < now->named_count; i++)
        json_array_append_new(named, json_named(&now->named[i]));
    json_object_set_new(ring, "named_cursors", named);
    return print_json(options, ring);
}

static int status_one(const struct options *options)
{
    struct sample before = {0};
    struct sample now = {0};
    int result = 0;

    if (options->interval_ns > 0)
        result = sample_take(&before, options->name);
    if (result == 0) {
        wait_interval(options);
        result = sample_take(&now, options->name);
    }
    if (result == 0)
        result = add_named(&now, options->name);
    int code = result != 0     ? say_call_failure(options, result)
               : options->json ? one_json(options, &now, &before)
                               : view_ring(options, &now, &before);
    sample_deinit(&before);
    sample_deinit(&now);
    return code;
}

/* ---- all rings --------------------------------------------------------------------------------------------------- */

const struct ringd_info *rings_find(const struct rings *rings, const char *name)
{
    for (size_t i = 0; i < rings->count; i++)
        if (strncmp(rings->infos[i].name, name, sizeof rings->infos[i].name) == 0)
            return &rings->infos[i];
    return NULL;
}

static int all_json(const struct options *options, const struct rings *now, const struct rings *before)
{
    json_t *list = json_array();

    for (size_t i = 0; i < now->count; i++) {
        struct rates rates = ring_rates(&now->infos[i], rings_find(before, now->infos[i].name));
        json_t *ring = json_ring(&now->infos[i]);
        json_add_rates(ring, &rates);
        json_array_append_new(list, ring);
    }
    return print_json(options, list);
}

static int status_all(const struct options *options)
{
    struct rings before = {0};
    struct rings now = {0};
    int result = 0;

    if (options->interval_ns > 0)
        result = rings_fetch(&before.infos, &before.count);
    if (result == 0) {
        wait_interval(options);
        result = rings_fetch(&now.infos, &now.count);
    }
    int code = result != 0     ? say_call_failure(options, result)
               : options->json ? all_json(options, &now, &before)
                               : view_rings(options, &now, &before);
    free(before.infos);
    free(now.infos);
    return code;
}

int command_status(const struct options *options)
{
    return options->name != NULL ? status_one(options) : status_all(options);
}
