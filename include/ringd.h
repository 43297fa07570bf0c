/* ringd.h - write and read a ring in shared memory.
 *
 * A ring is made by the daemon ringd and has a name. Any number of processes (up to 31 writers for each of its 1 to 64
 * lanes, and 256 readers, at once) open it, append records of 0 to max_record bytes and read them, concurrently,
 * without locks, without system calls while nobody sleeps, and without calling the daemon. The method is that of US
 * patents 9,268,698 and 9,003,131; the claims behind each call are named with it (R1 to R18 are listed in README.md).
 *
 *     struct ringd *ring;                          struct ringd_reader *reader;
 *     struct ringd_writer *writer;                 struct ringd_record record;
 *     ringd_open(&ring, "events");                 ringd_open(&ring, "events");
 *     ringd_writer_open(&writer, ring, NULL);      ringd_reader_open(&reader, ring, NULL);
 *     ringd_write(writer, "hello", 5);             while (ringd_next(reader, &record) == RINGD_OK) ...
 *     ringd_writer_close(writer);                  ringd_reader_close(reader);
 *     ringd_close(ring);                           ringd_close(ring);
 *
 * Results: zero is done; a negative errno is a failure (ringd_strerror explains it, ringd_error says more about the
 * last failure of a call that spoke with the daemon); a positive result is an expected outcome, named below.
 *
 * Threads: different handles may be used by different threads at once; one handle by one thread at a time. A writer or
 * reader does not depend on the `struct ringd` it was opened from, which may be closed before it.
 *
 * Signals: the calls marked [signal] are async-signal-safe on a handle that only the handler uses.
 *
 * Fork: handles stay with the process that opened them. In a child every call on an inherited handle answers -ECHILD
 * (close frees it); open the ring anew there.
 *
 * Restart: rings outlive the daemon. Handles stay valid while it is away, whether it was stopped, killed or is being
 * upgraded, and with the next one; the data path notices nothing. Calls that ask the daemon answer -ECONNREFUSED
 * meanwhile. A handle that needs it (an observer that goes to sleep) looks by itself until it is there, and connects
 * again.
 *
 * Time: deadlines are absolute, in nanoseconds of CLOCK_MONOTONIC. RINGD_NO_WAIT and RINGD_FOREVER are deadlines too.
 */
#ifndef RINGD_H
#define RINGD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct iovec;
struct ringd;
struct ringd_writer;
struct ringd_reader;

enum ringd_result {
    RINGD_OK = 0,
    RINGD_WOULD_BLOCK = 1, /* next: nothing to read by the deadline */
    RINGD_END = 2,     /* next: the ring was removed and everything in it has been read, or this reader was evicted */
    RINGD_GAP = 3,     /* next: record.lost records of record.writer were overwritten unread */
    RINGD_FULL = 4,    /* write, reserve: no room by the deadline; nothing was written */
    RINGD_DROPPED = 5, /* write, reserve on a `drop` ring: no room; the record is dropped and counted */
    RINGD_EVICTED = 6, /* next, release: this lossless reader holds writers up no more; what it looked at may be gone */
};

/* How somebody waits, until its deadline. In full flow the adaptive also spin for some microseconds, whatever their
 * deadline is, as all are faster for it: a reader that has caught up lets writers get ahead, and a writer that meets
 * others, after its record is committed and once in a hundred records, lets them have their turn. The busy do not. */
enum ringd_wait {
    RINGD_WAIT_ADAPTIVE = 0, /* looks a little, as often as that has helped of late, then sleeps */
    RINGD_WAIT_BUSY = 1,     /* looks all the time: never sleeps, keeps a processor busy; no signal ends it */
    RINGD_WAIT_SLEEP = 2,    /* sleeps at once */
};

/* Who does not wait may still have to follow a ring that has just moved (ringd_resize, `stopped`), once, for which the
 * daemon is asked: that is waited for a tenth of a second, or two. If it does not answer by then (it is stopped, or the
 * machine is very busy), the call says RINGD_WOULD_BLOCK or RINGD_FULL though there is something to read, or room; the
 * next one asks again. */
#define RINGD_NO_WAIT INT64_C(0)
#define RINGD_FOREVER INT64_MAX

enum ringd_policy {
    RINGD_LOSSLESS = 1,  /* writers wait for lossless readers, or are told RINGD_FULL */
    RINGD_DROP = 2,      /* the newest record is dropped and counted while a lossless reader is in the way */
    RINGD_OVERWRITE = 3, /* flight recorder: the oldest records go; no lossless readers */
};

/* What is done about a writer that is stopped (SIGSTOP, a debugger) between reserve and commit, so that others cannot
 * get past it. */
enum ringd_stopped {
    RINGD_STOPPED_REPORT = 1, /* ringctl status shows it */
    RINGD_STOPPED_MOVE = 2,   /* the ring goes on in new memory; who wakes appends its record anew, or is told */
    RINGD_STOPPED_KILL = 3,   /* it gets SIGKILL */
};

/* What is done about a lossless reader beyond the ring's limits (slow_bytes, slow_after_ms). */
enum ringd_slow {
    RINGD_SLOW_WAIT = 1,  /* nothing: writers wait; there are no limits */
    RINGD_SLOW_LOSSY = 2, /* it is told (RINGD_EVICTED) and goes on as a lossy reader */
    RINGD_SLOW_EVICT = 3, /* it is told (RINGD_EVICTED) and has to be opened anew: RINGD_END from then on */
};

enum ringd_time {
    RINGD_TIME_NONE = 0,
    RINGD_TIME_MONOTONIC = 1, /* nanoseconds of CLOCK_MONOTONIC */
    RINGD_TIME_TSC = 2,       /* ticks of the processor's counter; ringd_info.ticks_per_second of them */
};

/* ---- rings: calls that ask the daemon -------------------------------------------------------------------------- */

/* The daemon's socket is $RINGD_SOCKET, else /run/ringd/ringd.sock. A daemon that does not answer within five seconds
 * is reported as -ETIMEDOUT, one that is not there as -ECONNREFUSED. None of these calls is async-signal-safe. */

/* Zeroed: a lossless ring of 1 MiB. */
struct ringd_ring_options {
    uint64_t size;       /* bytes of data of each lane; a power of two, 4096 to 2^36; 0: 1 MiB */
    uint32_t policy;     /* enum ringd_policy; 0: RINGD_LOSSLESS */
    uint32_t time;       /* enum ringd_time */
    uint32_t max_record; /* payload bytes, 1 to size/64; 0: size/256 */
    uint32_t hold;       /* 1: a lossless ring keeps what it has while no lossless reader is attached (writers wait);
                            0: it runs free, the oldest records go */
    uint32_t lanes;      /* 1 to 64, each with 31 writers and `size` bytes of its own; 0: 1 */
    uint32_t mode;       /* rights of owner, group, others as in chmod: 4 read, 2 write, 1 read losslessly; 0: 0740 */
    uint64_t first_position;   /* where positions begin, a multiple of 32; for tests of the wrap */
    uint32_t stopped;          /* enum ringd_stopped; 0: RINGD_STOPPED_REPORT */
    uint32_t stopped_after_ms; /* how long such a writer may be in the way, 1 to 3600000; 0: 1000 */
    uint32_t slow;             /* enum ringd_slow; 0: RINGD_SLOW_WAIT */
    uint32_t slow_after_ms;    /* how long a lossless reader may keep writers waiting, 1 to 3600000; 0: no limit; not
                                  with RINGD_DROP, where writers do not wait */
    uint64_t slow_bytes;       /* how far it may be behind; less than what a full ring holds, the message says how much;
                                  0: no limit. Seen when a writer passes a sixteenth of the ring or finds no room */
    uint32_t writers;     /* how many each lane may have at once: 1, whose records cost no locked instruction, or 31;
                             0: 31 */
    uint32_t reserved_32; /* zero */
    uint64_t reserved[2]; /* zero */
};

/* What the daemon knows of a ring. Counters are of the moment, read one after the other. */
struct ringd_info {
    char name[64];
    uint64_t size;
    uint32_t policy, time, max_record, hold, lanes, mode;
    uint32_t owner_uid, owner_gid;
    uint32_t state; /* 1 live, 2 removed and still attached */
    uint32_t daemon_pid;
    uint64_t generation;
    uint64_t created_ns;       /* CLOCK_REALTIME */
    uint64_t ticks_per_second; /* of record.time; 0: not known */
    uint64_t oldest;           /* position of the oldest record that is certainly still there */
    uint64_t position;         /* where the next record goes */
    uint64_t limit;            /* how far writers may go before they look again */
    uint64_t offered, committed, bytes, aborted, refused, dropped_full, dropped_stalled; /* writers, past and present */
    uint32_t writers, lossless_readers, lossy_readers, observers;                        /* attached */
    uint64_t sampled_ns; /* CLOCK_MONOTONIC, when the counters were read */
    uint64_t lost;       /* records: offered by writers that died while they wrote them */
    uint32_t stopped, stopped_after_ms, slow, slow_after_ms;
    uint64_t slow_bytes;
    uint64_t group_lost;  /* records that went with members of groups that died, of the groups that are there */
    uint32_t writers_max; /* that each lane may have at once: 31 or 1 */
    uint32_t reserved_32;
    uint64_t reserved[2];
};

/* With several lanes `oldest`, `position` and `limit` are the sums of the lanes', and so is a reader's cursor, of the
 * lanes that it reads. */

enum ringd_context_kind {
    RINGD_CONTEXT_WRITER = 1,
    RINGD_CONTEXT_LOSSLESS = 2,
    RINGD_CONTEXT_LOSSY = 3,
    RINGD_CONTEXT_OBSERVER = 4,
    RINGD_CONTEXT_EVICTED = 5,
};

enum ringd_context_state {
    RINGD_CONTEXT_IDLE = 1,      /* attached, between records */
    RINGD_CONTEXT_IN_RECORD = 2, /* a writer between reserve and commit */
    RINGD_CONTEXT_WAITING = 3,   /* a writer that waits for space */
    RINGD_CONTEXT_LOST = 4,      /* its connection ended, the kernel has not confirmed its death */
    RINGD_CONTEXT_DEAD = 5,      /* died; its repair waits for another writer to go on, or to be found dead */
    RINGD_CONTEXT_STOPPED = 6,   /* its process is stopped (SIGSTOP, a debugger) */
};

struct ringd_context_info {
    uint32_t kind, state; /* enum ringd_context_kind, enum ringd_context_state */
    uint32_t slot;        /* writer: record.writer; reader: its slot */
    uint32_t incarnation;
    uint32_t pid, uid;
    uint64_t attached_ns; /* CLOCK_REALTIME */
    char command[16];
    /* writers, since they attached unless said otherwise */
    uint64_t offered, committed, bytes, aborted, refused, dropped_full, dropped_stalled, waited;
    /* readers */
    uint64_t delivered, delivered_bytes, lost, gaps, slept;
    uint64_t cursor; /* position up to which it has released; 0 for observers, who publish none */
    uint64_t lag;    /* bytes between it and `position` */
    /* both */
    uint64_t since_ns;   /* CLOCK_REALTIME: stopped or lost, since when; 0 otherwise */
    uint64_t ahead;      /* of one that is stopped in mid-record: bytes that the others can still write */
    uint64_t skipped;    /* reader: as in struct ringd_reader_counters */
    char label[48];      /* reader: of its group or named cursor */
    uint32_t lane;       /* writer: where it is; reader: the only one it reads, 0: all */
    uint32_t member;     /* reader: 1: of a group, `label` */
    uint64_t group_lost; /* reader: records that this group's dead members took with them */
    uint64_t reserved[1];
};

/* Makes a ring. `options` may be NULL. -EEXIST, -EINVAL (ringd_error says which field and what would do), -ENOSPC (the
 * machine's shared memory is short), -EPERM (the caller may not make rings). */
int ringd_create(const char *name, const struct ringd_ring_options *options);

/* Removes a ring's name at once. Those attached are told: writers get -ESHUTDOWN, readers RINGD_END after the last
 * record. -ENOENT, -EPERM (neither root, the daemon's user nor the ring's owner). */
int ringd_remove(const char *name);

/* Gives a ring another size: it goes on in new memory of `size` bytes of data, a power of two. Who writes or reads it
 * follows by itself and notices nothing (but see RINGD_NO_WAIT): no record is lost or moved, positions go on counting,
 * and handles stay valid.
 * Those who were attached read the old memory to its end first; so long both are there, and what a lossless reader has
 * still to read there counts against the new size, as if it were in the new memory. Memory is made while the ring is
 * used, beside others: that takes about twice as long as it would alone. -ENOENT, -EPERM (neither
 * root, the daemon's user nor the ring's owner), -EINVAL (size; too small for the ring's max_record, which stays),
 * -ENOSPC, -EBUSY (it has moved many times while somebody was stopped or behind, or is about to move to
 * another size). */
int ringd_resize(const char *name, uint64_t size);

/* Fills `infos` with up to `max` rings and sets *count to how many there are. */
int ringd_list(struct ringd_info *infos, size_t max, size_t *count);

/* One ring: fills *info and up to `max` attached contexts, and sets *count to how many there are. `contexts` may be
 * NULL with max 0. -ENOENT, -EACCES. */
int ringd_status(const char *name, struct ringd_info *info, struct ringd_context_info *contexts, size_t max,
                 size_t *count);

/* The named cursors of a ring (`cursor` in the options of a reader), those of readers that are attached and those that
 * nobody has: fills up to `max` elements, 32 are enough, and sets *count to how many there are. `label` is the name; of
 * one that nobody has `kind` is 0, `cursor` says up to where its reader had released and `lag` how far that is behind,
 * and all else is 0. -ENOENT, -EACCES. */
int ringd_cursors(const char *name, struct ringd_context_info *cursors, size_t max, size_t *count);

/* A named cursor is no more: who comes under this name begins as a new reader does, and its place is free for another
 * name. For all who may read the ring. -ENOENT (no such ring, or no such cursor), -EBUSY (a reader has it), -EACCES,
 * -EINVAL (a name). */
int ringd_forget(const char *name, const char *cursor);

/* Opens a ring by name (1 to 63 of A-Z a-z 0-9 . _ -, not beginning with a dot). *ring is NULL after a failure.
 * -ENOENT (no such ring), -EACCES, -EINVAL (name), -ECONNREFUSED (no daemon), -EPROTONOSUPPORT (the daemon speaks
 * another version). */
int ringd_open(struct ringd **ring, const char *name);

/* NULL is allowed. */
void ringd_close(struct ringd *ring);

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* Zeroed: does not wait, type 0, level 0. */
struct ringd_writer_options {
    int64_t deadline; /* as ringd_writer_deadline */
    uint16_t type;    /* as ringd_writer_label */
    uint8_t level;
    uint8_t reserved_0[5];
    uint32_t wait;        /* enum ringd_wait */
    uint32_t lane;        /* 1 to the ring's lanes: in this one; 0: in the one with the fewest writers */
    uint64_t reserved[5]; /* zero */
};

/* Attaches a writer. `options` may be NULL. The slot it gets, lane * 31 + 0 to 30, is record.writer for readers. It
 * stays in its lane: its records are in order.
 * -EUSERS (31 writers for each lane are attached), -EINVAL (an option is unknown, there is no such lane), -EACCES,
 * -ENOENT, -ECONNREFUSED, -EBADMSG (the segment is damaged), -EPROTONOSUPPORT (its layout is of another version). (R12)
 */
int ringd_writer_open(struct ringd_writer **writer, struct ringd *ring, const struct ringd_writer_options *options);

/* Aborts an open grant and detaches. NULL is allowed. */
void ringd_writer_close(struct ringd_writer *writer);

/* Until when later calls wait for room: CLOCK_MONOTONIC nanoseconds, RINGD_NO_WAIT or RINGD_FOREVER. [signal] */
int ringd_writer_deadline(struct ringd_writer *writer, int64_t deadline_ns);

/* Type and level of the records written from now on. What they mean is the user's; readers filter by them. [signal] */
int ringd_writer_label(struct ringd_writer *writer, uint16_t type, uint8_t level);

/* Appends one record of `len` bytes, 0 to max_record. [signal]
 * RINGD_OK, RINGD_FULL, RINGD_DROPPED; -EMSGSIZE (longer than max_record; counted as refused), -EINTR (a signal ended
 * the wait), -ESHUTDOWN (the ring was removed), -EBUSY (a grant is open), -ECHILD, -EBADMSG (the ring is damaged).
 * Anything but RINGD_OK: nothing was written. (R1, R3 to R6) */
int ringd_write(struct ringd_writer *writer, const void *data, size_t len);

/* One record gathered from `count` pieces, 0 to 1024. As ringd_write; -EINVAL (count). [signal] */
int ringd_writev(struct ringd_writer *writer, const struct iovec *pieces, int count);

/* `count` records, each from one element, in one grant: readers see all of them or none, with nothing of another
 * writer in between. Header and rounding included they may take as much as one record of max_record bytes; more is
 * -EMSGSIZE. Each counts as a record. count 0 does nothing. [signal] (R4) */
int ringd_write_batch(struct ringd_writer *writer, const struct iovec *records, int count);

/* A message of any length up to RINGD_MESSAGE_MAX: in one record if it fits into max_record, else in as many as it
 * takes. Readers get it whole, as one record at the place of its last part, or not at all: also if this call fails in
 * the middle, or if the writer dies. In between there may be records of others, and nobody waits for the rest of it. It
 * may be longer than the ring as long as readers keep up; each part waits for room as ringd_write does, with one
 * deadline for all. Each part counts as a record in the counters. [signal] */
int ringd_write_message(struct ringd_writer *writer, const void *data, size_t len);
#define RINGD_MESSAGE_MAX (UINT64_C(1) << 30)

/* A descriptor for poll, epoll or an event loop, the same at each call: readable when there may be room for a writer
 * that was told RINGD_FULL or RINGD_DROPPED last, until it is told so again. The program does not read, write or close
 * it; it is closed with the writer. Who waits in a call comes first: one that polls does not stand in line. Negative
 * errno: -EMFILE, -ENOMEM, -EAGAIN (no thread to be had for it), -ENOSYS (Linux before 5.16), -ECHILD. Not in a signal
 * handler. */
int ringd_writer_fd(struct ringd_writer *writer);

/* Asks for room for a record of `want` bytes, content with `min` (R3). *data: where to write it, aligned to 32 bytes,
 * valid until commit, abort or close; *granted: min to want. A writer that stays between reserve and commit holds back
 * what others write after it. Results as ringd_write; -EINVAL (min > want or a NULL). [signal] */
int ringd_reserve(struct ringd_writer *writer, size_t min, size_t want, void **data, size_t *granted);

/* Publishes the first `len` bytes of the open grant. -EINVAL (len > granted: the grant stays open; or no grant is
 * open). If the ring has moved on meanwhile (it was resized, or this process was stopped and held others up), the
 * record is copied to where the ring is now, behind what others have written since, with a new time. Only then may
 * there be no room for it by the deadline: RINGD_FULL, RINGD_DROPPED or a failure as of ringd_write, and nothing was
 * written. [signal] (R5 to R7) */
int ringd_commit(struct ringd_writer *writer, size_t len);

/* Gives the open grant up; readers never see it. -EINVAL (no grant is open). [signal] */
int ringd_abort(struct ringd_writer *writer);

/* What this writer has done since it was opened. offered = committed + aborted + dropped_full + dropped_stalled +
 * refused, when no grant is open. (R16) [signal] */
struct ringd_writer_counters {
    uint64_t offered, committed, bytes, aborted, refused, dropped_full, dropped_stalled, waited;
    uint64_t reserved[4];
};
int ringd_writer_count(const struct ringd_writer *writer, struct ringd_writer_counters *counters);

/* ---- reading --------------------------------------------------------------------------------------------------- */

enum ringd_reader_mode {
    RINGD_READ_LOSSY = 0,    /* may be lapped by writers, is told exactly what it lost */
    RINGD_READ_LOSSLESS = 1, /* writers wait for it (or drop, by the ring's policy); a right of its own */
    RINGD_READ_OBSERVE = 2,  /* lossy, and cannot write a byte of shared memory: disturbs nobody */
};

enum ringd_reader_start {
    RINGD_START_NOW = 0,      /* what is written from now on */
    RINGD_START_OLDEST = 1,   /* the oldest record that is still there */
    RINGD_START_POSITION = 2, /* `position`, as in record.position or ringd_reader_position; a reader of one lane */
    RINGD_START_TIME = 3,     /* the first record that is still there with a time of `time` or later; now if there is
                                 none; a ring with time. Nothing that somebody began to write at that time or later is
                                 left out, nor anything that he had begun, but for one who stood still in the middle of
                                 it while others filled a sixteenth of the ring */
};

/* In which order a reader gets the records of different lanes. In each lane it is that of the ring, whichever. */
enum ringd_merge {
    RINGD_MERGE_NONE = 0, /* any */
    RINGD_MERGE_TIME = 1, /* by time, the same for all readers: a record whose write had returned before the write of
                             another began comes before it; a ring with time */
};

/* What becomes of the records that a group's member had claimed when it died. (A message in parts of which it had to
 * give the first ones back, to make room or because others' records lie between them, is in its memory alone, and is
 * lost and counted either way.) */
enum ringd_orphans {
    RINGD_ORPHANS_AGAIN = 0, /* they go to another member, marked RINGD_PERHAPS_SEEN */
    RINGD_ORPHANS_LOST = 1,  /* they are lost, and counted */
};

/* What a reader wants to see; all of it holds. What it does not want counts as skipped, without a look at its payload;
 * so does what is missing of a writer that it does not want, which is no gap then. Of the others nobody knows what was
 * overwritten: all of it is told as lost. */
struct ringd_filter {
    const uint16_t *types; /* records of these types; type_count 0: of any */
    size_t type_count;
    const uint32_t *writers; /* of these writers, as in record.writer; writer_count 0: of any */
    size_t writer_count;
    uint8_t level_min, level_max; /* of these levels; both 0: of any, */
    uint8_t by_level;             /* or with 1: of level 0 */
    uint8_t reserved[5];
};

/* Zeroed: lossy, from now, does not wait. */
struct ringd_reader_options {
    uint32_t mode;
    uint32_t start;
    uint64_t position;
    int64_t deadline;                  /* as ringd_reader_deadline */
    uint32_t wait;                     /* enum ringd_wait */
    uint32_t merge;                    /* enum ringd_merge */
    uint64_t time;                     /* with RINGD_START_TIME, as in record.time */
    const struct ringd_filter *filter; /* copied; NULL: all */
    const char *cursor;   /* a name, as that of a ring but of at most 47 characters: what the reader has released
                             (ringd_release; a close alone releases nothing here) is kept under it while the ring lives,
                             or until ringd_forget, and who comes back under it goes on there, whatever `start` says.
                             What was overwritten meanwhile is told as RINGD_GAP: nobody waits for a reader that is not
                             attached. A ring keeps 32 of them. NULL: none. Not for observers */
    const char *group;    /* a name as that of a cursor: each record goes to one of the readers of this group. They are
                             lossless. `start`, `orphans` and `merge` are those of the first member; NULL: none */
    uint32_t orphans;     /* enum ringd_orphans */
    uint32_t lane;        /* 1 to the ring's lanes: of this one only; 0: of all. What is in other lanes this reader does
                             not look at, and nobody who writes there waits for it. Not for a group's members */
    uint64_t reserved[6]; /* zero */
};

struct ringd_record {
    const void *data; /* `len` bytes, in place. Lossless reader: valid until ringd_release, or, as a member of a group,
                         also until the next ringd_next or ringd_next_many. Lossy reader, observer: a checked copy,
                         valid until the next ringd_next, ringd_next_many or ringd_release. A message of several
                         records is a copy for all of them, valid as long */
    size_t len;
    uint64_t position;    /* of this record; grows */
    uint64_t next;        /* position of what follows it: start there to resume */
    uint64_t sequence;    /* counts the writer slot's committed records, one by one, over all who had the slot: its next
                             owner goes on counting. With RINGD_GAP: of the first that is missing */
    uint64_t time;        /* as the ring's time source says; 0 without one */
    uint64_t lost;        /* with RINGD_GAP: how many records of `writer` are missing here */
    uint32_t writer;      /* the writer's slot */
    uint32_t incarnation; /* which owner of that slot */
    uint16_t type;
    uint8_t level;
    uint8_t reserved_0;
    uint32_t flags;       /* RINGD_PERHAPS_SEEN: a member of the group that died may have seen it already */
    uint64_t reserved[3]; /* not set */
};
#define RINGD_PERHAPS_SEEN 1u

/* Attaches a reader. `options` may be NULL. -EUSERS (256 readers are attached; 32 named cursors are there already, see
 * ringd_forget; 16 groups, or 64 members of one), -EBUSY (another reader has the named cursor), -EACCES, -EOPNOTSUPP
 * (lossless, or a group, on an overwriting ring; a position in several lanes; a start at a time, or a merge by time,
 * without time), -ERANGE (position: overwritten already, or not yet written), -EINVAL (position: no record begins
 * there; an option is unknown, or not zero though reserved; there is no such lane), and as ringd_writer_open. (R9, R12)
 */
int ringd_reader_open(struct ringd_reader **reader, struct ringd *ring, const struct ringd_reader_options *options);

/* Releases everything and detaches. NULL is allowed. */
void ringd_reader_close(struct ringd_reader *reader);

/* Until when ringd_next waits: CLOCK_MONOTONIC nanoseconds, RINGD_NO_WAIT or RINGD_FOREVER. A signal handler may call
 * it also on the handle that it has interrupted a call of: the call ends by the new deadline, unless it was just about
 * to sleep. (A signal alone ends a sleep, with -EINTR, but not the looking of RINGD_WAIT_BUSY or of a reader that has
 * more to pass over than it wants to see.) [signal] */
int ringd_reader_deadline(struct ringd_reader *reader, int64_t deadline_ns);

/* From now on the reader sees what this says; NULL: all. -EINVAL, -ENOMEM, -ECHILD. Not in a signal handler. */
int ringd_reader_filter(struct ringd_reader *reader, const struct ringd_filter *filter);

/* A descriptor for poll, epoll or an event loop, the same at each call: readable, level-triggered, when ringd_next may
 * have something to say, until it says RINGD_WOULD_BLOCK. Works without the daemon too. The program does not read,
 * write or close it; it is closed with the reader. Negative errno: -EMFILE, -ENOMEM, -EAGAIN (no thread to be had for
 * it), -ENOSYS (Linux before 5.16), -ECHILD. Not in a signal handler. */
int ringd_reader_fd(struct ringd_reader *reader);

/* The next record, in ring order. RINGD_OK (*record is a record), RINGD_WOULD_BLOCK (of what was there when the
 * deadline passed, or when the call began if that is later, there is nothing left that this reader wants), RINGD_END,
 * RINGD_GAP (record->writer, record->lost; the reader goes on with the next call), RINGD_EVICTED (once, see enum
 * ringd_slow); -EINTR, -ECHILD, -EBADMSG (the ring is damaged). [signal] (R8) */
int ringd_next(struct ringd_reader *reader, struct ringd_record *record);

/* Up to `max` records at once; RINGD_OK with *count at least 1, else as ringd_next with *count 0, or with RINGD_GAP one
 * element that tells it. Uses the opening by the last writer out: everything below it is read without waiting for
 * single records. Waits only for the first. [signal] (R6, R8) */
int ringd_next_many(struct ringd_reader *reader, struct ringd_record *records, size_t max, size_t *count);

/* Gives back everything that next has given so far; a lossless reader's space goes to writers. RINGD_OK, RINGD_EVICTED
 * (what a lossless reader looked at in place may have been overwritten meanwhile), -ECHILD. [signal] (R9) */
int ringd_release(struct ringd_reader *reader);

/* Whether all that next has given since the last release was, until this call, what its writers wrote: to be asked
 * after the use of a record in place that cannot be undone. RINGD_OK; RINGD_EVICTED (this lossless reader was evicted,
 * and some of it has been overwritten; also after next has told so); -ECHILD. Of a lossy reader's copies it is always
 * true. [signal] */
int ringd_reader_valid(const struct ringd_reader *reader);

/* Position of the record that ringd_next gives next. [signal] */
uint64_t ringd_reader_position(const struct ringd_reader *reader);

/* What this reader has done since it was opened, in records; a message counts as its parts. Everything committed since
 * it joined, in the lanes that it reads, = delivered + skipped + lost + still unread. (Not of a group's member.)
 * [signal] (R16) */
struct ringd_reader_counters {
    uint64_t delivered, bytes, lost, gaps, slept;
    uint64_t skipped;   /* records: not wanted (struct ringd_filter), or parts of a message that was not finished */
    uint64_t unordered; /* merge by time: records whose time was ahead of this reader's clock or that came after a later
                           one, as of a writer in another time namespace or virtual machine: the order is not exact
                           there */
    uint64_t reserved[2];
};
int ringd_reader_count(const struct ringd_reader *reader, struct ringd_reader_counters *counters);

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* What a result means and what to do, one sentence without a full stop; a constant. Any int. [signal] */
const char *ringd_strerror(int result);

/* The daemon's or the library's own words for the last failure, in this thread, of a call that speaks with the daemon
 * (create, remove, resize, list, status, cursors, forget and the three opens): names what was asked. "" when there was
 * none. Valid until the thread's next such call. */
const char *ringd_error(void);

/* "MAJOR.MINOR.PATCH"; a constant. [signal] */
const char *ringd_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
