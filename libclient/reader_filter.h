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

/* Whether it can be: 0, or -EINVAL with ringd_error() set. NULL can. */
int filter_check(const struct ringd_filter *wanted);

/* *filter is NULL for NULL, and for one that wants everything. 0, -ENOMEM, or as filter_check. */
int filter_new(struct reader_filter **filter, const struct ringd_filter *wanted);

/* NULL is allowed. */
void filter_free(struct reader_filter *filter);

/* Whether a record with this header field is wanted. */
bool filter_wants(const struct reader_filter *filter, uint64_t origin);

/* Whether any record of this writer may be wanted. */
bool filter_wants_writer(const struct reader_filter *filter, uint32_t writer);

#endif
