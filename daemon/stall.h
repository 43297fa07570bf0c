/* stall.h - writers that stay in mid-record although they live: stopped, in a debugger, or a thread that has ended
 * there.
 *
 * Whoever waits behind an unfinished record says so on its connection after a while (RINGD_REQUEST_STALLED). It is not
 * believed: the writers that are active in W then are noted, with the place of each, and looked at again when the rest
 * of the ring's time for stopped writers has passed. Those who are still at the same place then are stopped as far as
 * the others are concerned, whatever the kernel says of their processes, and the ring's policy is carried out:
 *
 *     report  nothing; `ringctl status` shows them as stopped since the report
 *     move    the ring goes on in a new generation (generation.h), whatever is in mid-record is given up
 *     kill    SIGKILL, through the pidfd that was opened when it attached; recovery.h does the rest
 *
 * No clock runs unless somebody has reported, and then one for each ring.
 *
 * Called by request.c, status.c and registry.c. One thread: the event loop's.
 */
#ifndef DAEMON_STALL_H
#define DAEMON_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct context;
struct shared_ring;

/* Somebody who is attached to the ring waits behind an unfinished record. -ENOMEM. */
int stall_report(struct shared_ring *ring);

/* Before the ring is freed. */
void stall_forget(struct shared_ring *ring);

/* CLOCK_REALTIME, since when it is known to be stopped; 0: it is not. A process that the kernel says is stopped counts
 * from when that was first seen. */
uint64_t stall_since(struct context *context);

#endif
