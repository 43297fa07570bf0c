/* ringctl_doctor.h - what the parts of `doctor` share: the ring that is examined, and what was found.
 *
 *     ringctl_doctor.c    attaching, the list of findings, what is printed
 *     ringctl_walk.c      the memory: limit and position, every record, marks, cursors
 *     ringctl_leftovers.c what is in shared memory and of no ring, or without a daemon
 *     ringctl_accounts.c  the counters: of each writer, of those that left, of each reader
 *
 * The ring goes on while it is examined. Nothing is ever called wrong because it moved: what is compared is loaded so
 * that it belongs together (twice the same, or below what may have been overwritten), and looked at again if it does
 * not. What cannot be told because somebody is in the middle of something is pending, and says what that is.
 *
 * It has everything mapped read-only, and uses of the library only the map (include/ringd_segment.h), segment_map with
 * its validation, the control messages and the inline part of ring.h: it looks by itself.
 */
#ifndef LIBCLIENT_RINGCTL_DOCTOR_H
#define LIBCLIENT_RINGCTL_DOCTOR_H

#include "ring.h"
#include "ringctl.h"
#include "segment.h"

enum verdict {
    VERDICT_OK,
    VERDICT_PENDING, /* somebody is in the middle of something; nothing speaks against it */
    VERDICT_WRONG,
};

#define FINDING_TEXT_BYTES 320
#define NO_SLOT            UINT32_MAX
#define NO_LANE            UINT32_MAX

struct finding {
    enum verdict verdict;
    const char *check; /* "records", "writer" ...; a constant */
    uint32_t slot;     /* of a writer or reader, or NO_SLOT */
    uint32_t lane;     /* of several, or NO_LANE */
    uint32_t pid;
    uint64_t position;  /* of damage; 0: none */
    int64_t difference; /* records, of an account that does not add up: counted less accounted for */
    char text[FINDING_TEXT_BYTES];
};

/* The ring under examination. */
struct patient {
    const char *name;
    uint64_t generation;
    bool no_header; /* it could not be mapped: what it begins with is not a ring's */
    struct segment segment;
    struct ring ring; /* of the lane that is looked at */
    uint32_t lane;    /* its number, from 0; NO_LANE: what is said is of the whole ring */
    struct ringd_info info;
    struct ringd_context_info *contexts;
    size_t context_count;
    uint32_t own_slot; /* the doctor's own, as an observer */
    struct finding *findings;
    size_t finding_count, finding_max;
    bool no_memory;
    uint32_t pauses;
};

/* For people ("WRONG"), and for programs ("wrong"). */
const char *verdict_word(enum verdict verdict);
const char *verdict_key(enum verdict verdict);

/* Adds a finding; what is said is for people, one line without a full stop. NULL: no memory, which is remembered. */
struct finding *find(struct patient *patient, enum verdict verdict, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Looks at this lane from now on. */
void patient_enter_lane(struct patient *patient, uint32_t lane);

/* What the daemon knows of the context in this slot, or NULL. */
const struct ringd_context_info *patient_context(const struct patient *patient, bool writer, uint32_t slot);

/* One consistent look at limit and W. */
struct look_at_ring {
    uint64_t floor;    /* nothing at or above it was overwritten when it was loaded */
    uint64_t position; /* where the next record goes */
    uint64_t limit;    /* up to where writers may go */
    uint64_t frontier; /* all below is final */
    uint64_t word;
};

/* False: the limit jumps about, which only a damaged ring's does. */
bool patient_look(const struct patient *patient, struct look_at_ring *look);
uint64_t patient_floor(const struct patient *patient);

/* What stands at a position: RINGD_STATE_COMMITTED, RINGD_STATE_PADDING, or 0 for no stamp. What is copied counts only
 * if the floor has not passed the position afterwards. */
struct record_seen {
    uint32_t state;
    uint32_t len, sequence, writer;
    uint64_t bytes; /* header, payload and rounding */
};
void patient_record(const struct patient *patient, uint64_t position, struct record_seen *record);

/* The checks: of the lane that is looked at, and then of the whole ring. */
void examine_memory(struct patient *patient);
void examine_writers(struct patient *patient);
void examine_readers(struct patient *patient);

/* A millisecond between two looks at something that others are about to finish. False: there have been enough of them,
 * PAUSES_MAX in all; on a ring that is wrong everywhere an answer is worth more than certainty in each point. */
bool pause_briefly(struct patient *patient);

#endif
