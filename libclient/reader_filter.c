/* reader_filter.c - see reader_filter.h. */
#define _GNU_SOURCE
#include "reader_filter.h"

#include <errno.h>
#include <stdlib.h>

#include "client.h"
#include "ringd_segment.h"

#define TYPES   65536u
#define WRITERS (RINGD_LANES_MAX * RINGD_WRITERS_PER_LANE)

struct reader_filter {
    bool any_type, any_writer;
    uint8_t level_min, level_max;
    uint64_t types[TYPES / 64];
    uint64_t writers[WRITERS / 64];
};

_Static_assert(WRITERS % 64 == 0, "whole words of writers");

static bool is_set(const uint64_t bits[], uint32_t bit)
{
    return bits[bit / 64] >> bit % 64 & 1;
}

int filter_check(const struct ringd_filter *wanted)
{
    if (wanted == NULL)
        return 0;
    if (wanted->level_min > wanted->level_max)
        return client_fail(-EINVAL, "a filter by level from %u to %u lets nothing pass; levels go up to 255",
                           wanted->level_min, wanted->level_max);
    if (wanted->by_level > 1)
        return client_fail(-EINVAL, "by_level of a filter is %u; it is 0 or 1", wanted->by_level);
    if ((wanted->type_count > 0 && wanted->types == NULL) || (wanted->writer_count > 0 && wanted->writers == NULL))
        return client_fail(-EINVAL, "a filter has a count of types or writers, and no list of them");
    for (size_t i = 0; i < wanted->writer_count; i++) {
        if (wanted->writers[i] >= WRITERS)
            return client_fail(-EINVAL, "a filter names writer %u; writers are 0 to %u, as record.writer says",
                               wanted->writers[i], WRITERS - 1);
    }
    return 0;
}

static bool any_level(const struct ringd_filter *wanted)
{
    return wanted->level_min == 0 && wanted->level_max == 0 && wanted->by_level == 0;
}

int filter_new(struct reader_filter **filter, const struct ringd_filter *wanted)
{
    struct reader_filter *f;
    int result = filter_check(wanted);

    *filter = NULL;
    if (result < 0 || wanted == NULL || (any_level(wanted) && wanted->type_count == 0 && wanted->writer_count == 0))
        return result;
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return -ENOMEM;
    f->any_type = wanted->type_count == 0;
    f->any_writer = wanted->writer_count == 0;
    f->level_min = wanted->level_min;
    f->level_max = any_level(wanted) ? UINT8_MAX : wanted->level_max;
    for (size_t i = 0; i < wanted->type_count; i++)
        f->types[wanted->types[i] / 64] |= UINT64_C(1) << wanted->types[i] % 64;
    for (size_t i = 0; i < wanted->writer_count; i++)
        f->writers[wanted->writers[i] / 64] |= UINT64_C(1) << wanted->writers[i] % 64;
    *filter = f;
    return 0;
}

void filter_free(struct reader_filter *filter)
{
    free(filter);
}

bool filter_wants(const struct reader_filter *filter, uint64_t origin)
{
    uint32_t writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK);
    uint8_t level = (uint8_t)(origin >> RINGD_ORIGIN_LEVEL_SHIFT);

    /* No such writer: whoever looks at the record says that the ring is damaged. */
    if (writer >= WRITERS)
        return false;
    return level >= filter->level_min && level <= filter->level_max &&
           (filter->any_type || is_set(filter->types, (uint16_t)(origin >> RINGD_ORIGIN_TYPE_SHIFT))) &&
           (filter->any_writer || is_set(filter->writers, writer));
}

bool filter_wants_writer(const struct reader_filter *filter, uint32_t writer)
{
    return filter->any_writer || (writer < WRITERS && is_set(filter->writers, writer));
}
