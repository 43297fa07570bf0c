/* ringctl_leftovers.h - what a daemon has in /dev/shm, for `doctor` without a name; see ringctl_leftovers.c. */
#ifndef LIBCLIENT_RINGCTL_LEFTOVERS_H
#define LIBCLIENT_RINGCTL_LEFTOVERS_H

#include <limits.h>
#include <sys/types.h>

#include "object_name.h"
#include "ringctl_doctor.h"
#include "ringctl_table.h"

enum leftover_kind {
    LEFTOVER_LOCK,   /* of the runtime directory */
    LEFTOVER_RING,   /* with a record */
    LEFTOVER_OBJECT, /* of no ring */
};

/* What the next ringd does with it. */
enum fate {
    FATE_TAKEN_OVER,
    FATE_REMOVED,
    FATE_LEFT_ALONE,
    FATE_OWNED, /* a ringd that still lives has it */
    FATE_UNKNOWN,
};

struct left_context {
    uint32_t kind, slot, pid;
    bool alive, in_record;
    char command[16];
};

/* A line of the report. */
struct leftover {
    enum leftover_kind kind;
    enum verdict verdict;
    enum fate fate;
    char name[sizeof(struct object_name)];
    char text[512];
    uint32_t pid; /* of the daemon that has, or had it; 0: not known */
    bool stopped, moving;
    uint64_t size; /* of a ring that will be taken over, and who is in it */
    uint32_t closed;
    struct left_context *contexts;
    size_t context_count;
};

struct found;

struct leftovers {
    char directory[PATH_MAX]; /* the daemon's, real path */
    char lock_path[PATH_MAX + sizeof INSTANCE_LOCK_NAME];
    char instance_id[INSTANCE_ID_BYTES];
    uid_t user;         /* the daemon's */
    bool locked_before; /* the lock file is there */
    bool may_look;      /* we are that user, or root */
    bool hidden;        /* something could not be looked at */
    bool no_memory;
    struct found *found;
    size_t found_count, found_max;
    struct leftover *items;
    size_t item_count, item_max;
};

/* What bears the instance's id now. To be destroyed after a failure too: -ENOENT and others (no such directory can be),
 * -ENOMEM. */
int leftovers_find(struct leftovers *left);
void leftovers_deinit(struct leftovers *left);

/* Without a daemon that answers; `silent`: somebody listens all the same. */
void leftovers_explain(struct leftovers *left, bool silent);

/* With one, that had these rings after leftovers_find: it makes and removes a ring between two answers, so what was
 * found before, is still there afterwards and is of no ring in the list, is of none at all. */
void leftovers_compare(struct leftovers *left, const struct ringd_info *rings, size_t count);

enum verdict leftovers_verdict(const struct leftovers *left);
void leftovers_print(struct leftovers *left, struct page *page);

/* Adds "instance", "left", "objects" and, without a daemon, "lock". */
void leftovers_json(struct leftovers *left, struct json_t *object);

#endif
