/* ringctl_status.h - samples of rings and contexts, for `status`: taken in ringctl_status.c, shown by ringctl_view.c.
 */
#ifndef LIBCLIENT_RINGCTL_STATUS_H
#define LIBCLIENT_RINGCTL_STATUS_H

#include <stddef.h>

#include "ringctl.h"

#define SAMPLE_NAMED_MAX 32 /* that a ring has at most */

/* One ring and its contexts; and, for status, its named cursors, those of readers that are there and others. */
struct sample {
    struct ringd_info ring;
    struct ringd_context_info *contexts;
    size_t count;
    struct ringd_context_info named[SAMPLE_NAMED_MAX];
    size_t named_count;
};

/* 0 or a negative errno; *sample is empty then. */
int sample_take(struct sample *sample, const char *name);
void sample_deinit(struct sample *sample);

/* All rings. */
struct rings {
    struct ringd_info *infos;
    size_t count;
};

/* What happened between two samples; not known for what is only in the later one. */
struct rates ring_rates(const struct ringd_info *now, const struct ringd_info *before);
struct rates context_rates(const struct sample *now, const struct sample *before,
                           const struct ringd_context_info *context);

/* The ring of this name, or NULL. */
const struct ringd_info *rings_find(const struct rings *rings, const char *name);

/* For people, on stdout; exit codes. */
int view_ring(const struct options *options, const struct sample *now, const struct sample *before);
int view_rings(const struct options *options, const struct rings *now, const struct rings *before);

#endif
