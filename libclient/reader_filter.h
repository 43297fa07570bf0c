/* reader_filter.h - what a reader wants to see, by type, level and writer, all of which stand in a record's header.
 *
 * A filter is a private copy of the caller's struct ringd_filter, as bits. Called by reader.c, and by reader_lane.c for
 * each record of a reader that has one.
 */
#ifndef LIBCLIENT_READER_FILTER_H
#define LIBCLIENT_READER_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "ringd.h"

struct reader_filter;

/* *filter is NULL for NULL, and for one that wants everything. 0, -ENOMEM, -EINVAL. */
int filter_new(struct reader_filter **filter, const struct ringd_filter *wanted);

/* NULL is allowed. */
void filter_free(struct reader_filter *filter);

/* Whether a record with this header field is wanted. */
bool filter_wants(const struct reader_filter *filter, uint64_t origin);

#endif
