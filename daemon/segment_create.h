/* segment_create.h - makes the two shared-memory objects of a ring, filled and ready to be mapped; opens those that a
 * predecessor made.
 *
 * What holds for a ring that was made: both objects are new (O_EXCL), mode 0600, of their final length, and every page
 * of them that is ever used is reserved, so that nobody who maps them is ever short of memory later; the data in huge
 * pages, if it is large enough and the kernel has them. The header is complete before its magic is stored. Each object
 * is opened twice: a descriptor for reading only is given to those who may only read, because a writable one could be
 * used to map the object again, writable.
 *
 * Free shared memory is looked at first: reserving what is not there could take everybody else's until it fails. After
 * a failure nothing is left behind.
 *
 * Called by shared_ring.c, with options that ring_options_check has passed, and by takeover.c.
 */
#ifndef DAEMON_SEGMENT_CREATE_H
#define DAEMON_SEGMENT_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "object_name.h"
#include "problem.h"
#include "reservation.h"
#include "ringd.h"
#include "segment.h"
#include "ticks.h"

/* One shared-memory object; fd -1: closed. */
struct shared_object {
    struct object_name name;
    uint64_t bytes;
    int fd;      /* reading and writing */
    int read_fd; /* reading only */
    bool named;  /* its name is there and is ours to remove */
    bool stored; /* the service manager has been given it (fd_store.h) */
};

struct segment_objects {
    struct shared_object segment;
    struct shared_object readers;
    uint64_t data_offset; /* of the segment, while it is made */
};

/* Empty: may be destroyed. */
void segment_objects_init(struct segment_objects *objects);

/* In three steps, the second of which may take seconds: everything but the data is made, in memory that is reserved;
 * the data's pages are reserved (reservation.h); the magic says that all is there.
 *
 * `objects` is empty before and after a failure. -EEXIST (somebody else has put an object of that name there), -ENOSPC,
 * -EMFILE and others of shm_open. May sleep some milliseconds for a ring that counts in ticks. */
int segment_create_begin(struct segment_objects *objects, const struct object_name *ring, const char *name,
                         const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem);

/* The same for the next generation of a ring that is there: with the ring's id and whatever else stays, another stamp
 * key and another size, and no beginning yet (segment_begin_at). */
int segment_create_begin_next(struct segment_objects *objects, const struct object_name *ring,
                              const struct geometry *before, uint64_t size, struct problem *problem);

struct page_range segment_data_pages(const struct segment_objects *objects);

/* `reserved` is how that went. `objects` stays as it is after a failure, which is that or an errno of mmap. */
int segment_create_end(const struct segment_objects *objects, int reserved, struct problem *problem);

/* All three, here and now. */
int segment_create(struct segment_objects *objects, const struct object_name *ring, const char *name,
                   const struct ringd_ring_options *options, const struct ticks *ticks, struct problem *problem);

/* Where its lanes begin becomes known after it was made and mapped. */
void segment_begin_at(struct segment *segment, uint32_t lane, uint64_t position);

/* Opens the objects of these lengths that are there. `objects` is empty after a failure. -ENOENT, -EPERM (not ours),
 * -EBADMSG (shorter). */
int segment_objects_open(struct segment_objects *objects, const struct object_name *ring, uint64_t segment_bytes,
                         uint64_t readers_bytes);

/* Gives them to the service manager as well, if there is one. */
void segment_objects_keep(struct segment_objects *objects);

/* Names, and what the service manager has, stay when the objects are closed. */
void segment_objects_leave(struct segment_objects *objects);

/* The names go; what is mapped stays. */
void segment_objects_unlink(struct segment_objects *objects);

/* Whether somebody made an object shorter than it was. */
bool segment_objects_damaged(const struct segment_objects *objects);

/* Unlinks what still has its name, and closes. */
void segment_objects_deinit(struct segment_objects *objects);

#endif
