/* support_idle.h - processes that are attached and have nothing to do; and whether they do nothing.
 *
 * Nothing is what a process has done that has been on no processor: neither its processor time nor its count of context
 * switches has changed. When that begins nobody can say; so two looks in a row have to show the same, and from then on
 * it has to stay so.
 *
 * Called by check_quiet.c and check_wait_modes.c.
 */
#ifndef TESTS_SUPPORT_IDLE_H
#define TESTS_SUPPORT_IDLE_H

#include <stdint.h>
#include <sys/types.h>

enum idle_way {
    IDLE_READING,  /* waits for a record */
    IDLE_WRITING,  /* waits for room, on the other ring */
    IDLE_ATTACHED, /* is just there, as a writer and a reader */
};

struct idler {
    pid_t pid; /* any process */
    uint64_t used_ns, switches;
};

/* The two rings that they are attached to. */
void idle_make_rings(void);

/* Mode and wait are those of a reader. It has attached when this returns. */
struct idler idle_start(enum idle_way way, uint32_t mode, uint32_t wait);

/* Waits until they are still. */
void idle_settle(struct idler *idlers, int count);

/* Requires that they stay so for a second. */
void idle_require_still(const struct idler *idlers, int count);

#endif
