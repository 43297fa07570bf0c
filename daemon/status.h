/* status.h - what can be said of a ring and of those attached to it.
 *
 * Fills the public structs that `list` and `status` answer with. Numbers that come out of shared memory are loaded one
 * after the other, each once, and are only passed on: they are as good as those who write them. Who is attached, since
 * when and as what comes from the daemon's own memory.
 *
 * Counters of writers are sums over the slots and over those who have left (struct ringd_departed).
 *
 * Called by request.c.
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "shared_ring.h"

void status_of_ring(const struct shared_ring *ring, struct ringd_info *info);

/* Contexts, writers first, by slot: those from index `first` on, up to `max`. Returns how many were filled and sets
 * *total to how many there are. */
uint32_t status_of_contexts(const struct shared_ring *ring, uint32_t first, struct ringd_context_info *infos,
                            uint32_t max, uint32_t *total);

/* The named cursors, as what is known of a reader: of the one that has it, or the label, cursor and lag alone. As
 * above. */
uint32_t status_of_named(const struct shared_ring *ring, uint32_t first, struct ringd_context_info *infos, uint32_t max,
                         uint32_t *total);

#endif
