/* support.h - what the checks and the stress programs share: a real daemon, helper processes, records that describe
 * themselves.
 *
 * A program that uses it calls support_begin() first and support_end() last (support_check.h does so for Check). In
 * between, everything is made below one temporary folder, `support_folder()`, and every helper process and daemon ends
 * with the process that started it, so that a failed test leaves nothing behind.
 *
 * What is expected is said with require(): it prints where and what, and ends the process with exit code 1. In a helper
 * process that makes the helper fail, and child_finish() in its parent fails in turn. It works without Check, and so in
 * stress programs too.
 *
 * No wait here has a time limit of its own that decides a test: each test has one guard against hanging (Check's
 * time-out, or support_guard()), far beyond what it needs.
 *
 * Rings made here begin shortly before the place where the 32 bits of position in the packed word wrap, so that every
 * test crosses it unless it asks for another place.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ringd.h"

struct segment;
struct segment_objects;

/* Exit code of a program that cannot run on this machine; it prints `skip NAME: reason` first. */
#define SUPPORT_SKIPPED 77

#define SUPPORT_GUARD_S 120

/* Where 32 bits of 32-byte units end. */
#define SUPPORT_WRAP (UINT64_C(1) << 37)

__attribute__((format(printf, 4, 5), noreturn)) void support_fail(const char *file, int line, const char *condition,
                                                                  const char *format, ...);

/* Like assert, also in helper processes; what follows the condition is a printf format for what was found. */
#define require(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            support_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                                 \
    } while (0)

/* ---- the program ------------------------------------------------------------------------------------------------- */

void support_begin(void);
void support_end(void);

/* The temporary folder; others may enter it. */
const char *support_folder(void);

/* A file of the build: "ringd", "ringctl". Valid until the next call. */
const char *support_built(const char *file);

/* Ends the process by SIGALRM after so many seconds (times CK_TIMEOUT_MULTIPLIER); 0: no more. */
void support_guard(unsigned seconds);

/* Prints `skip NAME: reason`, for the runner to count. */
__attribute__((format(printf, 2, 3))) void support_skip(const char *name, const char *format, ...);

/* Whether this program was built with a sanitizer, which makes system calls of its own. */
bool support_sanitized(void);

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

/* RINGD_SEED, or a new one; printed once, so that a run can be repeated. */
uint64_t support_seed(void);

struct random_source {
    uint64_t state;
};

uint64_t random_next(struct random_source *source);
uint64_t random_below(struct random_source *source, uint64_t end);

/* ---- memory, time, processes ------------------------------------------------------------------------------------- */

/* Zeroed memory that helper processes share; lives as long as the program. */
void *shared_new(size_t bytes);

int64_t now_ns(void);
void pause_ms(unsigned ms);

/* Runs `run` in a new process, which ends with exit code 0 when `run` returns. */
pid_t child_start(void (*run)(void *argument), void *argument);

/* Waits for its end and requires exit code 0. */
void child_finish(pid_t pid);

/* Waits for its end; the status as waitpid gives it. */
int child_wait(pid_t pid);

void child_kill(pid_t pid);
void child_stop(pid_t pid);     /* SIGSTOP; returns when it stands */
void child_continue(pid_t pid); /* SIGCONT */

/* Waits until the process sleeps in the kernel; until it does for good: it has not been on a processor between two
 * looks. */
void child_wait_asleep(pid_t pid);
void child_wait_still(pid_t pid);

/* How often it has been on a processor. */
uint64_t process_switches(pid_t pid);

/* The n-th number (from 1) of a line `key: n ...` of /proc/PID/FILE, or 0. */
uint64_t process_number(pid_t pid, const char *file, const char *key);

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* How a command ended and what it printed (with a zero after the last byte). */
struct command {
    int code; /* exit code, or 128 + the signal that ended it */
    char *out, *err;
    size_t out_len, err_len;
};

/* Runs a program with this input. `words` ends with NULL; the first is the program's path. */
void command_run(struct command *command, const void *input, size_t input_len, const char *const words[]);
void command_free(struct command *command);

/* ringctl of this build. At most 20 words, ending with NULL. */
void ringctl(struct command *command, const void *input, size_t input_len, ...) __attribute__((sentinel));

/* The same in the background, with these descriptors; child_wait() tells how it ended. */
pid_t ringctl_start(int in, int out, int err, ...) __attribute__((sentinel));

/* A file in memory, and what stands in it (with a zero after the last byte; the caller's to free). */
int memory_file(const void *contents, size_t len);
char *memory_file_read(int fd, size_t *len);

/* ---- the daemon -------------------------------------------------------------------------------------------------- */

struct daemon_process {
    pid_t pid;
    char folder[96];
    char socket[120];
    char log[120]; /* file with what it said */
};

/* Starts ringd in a new folder and waits until it is ready; RINGD_SOCKET then names it. `config`: text of its
 * configuration file, or NULL. */
void daemon_start(struct daemon_process *daemon, const char *config);

/* Starts it again in the same folder. */
void daemon_restart(struct daemon_process *daemon, const char *config);

/* The same with another binary or with one more option; each may be NULL. */
void daemon_restart_as(struct daemon_process *daemon, const char *program, const char *option);

/* The same, under build/at-stop-point: it is killed when it comes to this stop point for the n-th time (from 1). False:
 * it came there before it was ready, and has ended. */
bool daemon_restart_to_die(struct daemon_process *daemon, const char *point, unsigned nth);

/* What it has said since it was started; with a zero after the last byte. */
void daemon_read_log(const struct daemon_process *daemon, char *text, size_t bytes);

/* Removes all its rings, then SIGTERM; requires exit code 0 and that nothing of it is left in shared memory. (A ring
 * that somebody is attached to, also this process, would stay for the next daemon.) */
void daemon_stop(struct daemon_process *daemon);

/* SIGTERM alone; requires exit code 0. */
void daemon_terminate(struct daemon_process *daemon);

/* SIGKILL; what it leaves in shared memory is removed by support_end() if not by a successor. */
void daemon_kill(struct daemon_process *daemon);

/* Of a runtime directory that a test uses in its own way: its shared memory goes with support_end(). */
void support_note_instance(const char *folder);

/* How many shared-memory objects bear its id. A ring that nobody is attached to has three: segment, readers, record. */
#define RING_OBJECTS 3u
unsigned daemon_objects(const struct daemon_process *daemon);

/* For tests that need one daemon and nothing special: a fixture. */
extern struct daemon_process server;
void server_setup(void);
void server_teardown(void);

/* ---- rings and contexts ------------------------------------------------------------------------------------------ */

/* Makes a ring that begins a little before the wrap, if first_position is 0. */
void make_ring(const char *name, struct ringd_ring_options options);

struct ringd_writer *open_writer(const char *name);
struct ringd_writer *open_writer_until(const char *name, int64_t deadline);
struct ringd_writer *open_writer_with(const char *name, struct ringd_writer_options options);
struct ringd_reader *open_reader(const char *name, uint32_t mode, uint32_t start);
struct ringd_reader *open_reader_until(const char *name, uint32_t mode, uint32_t start, int64_t deadline);
struct ringd_reader *open_reader_with(const char *name, struct ringd_reader_options options);

/* What the daemon says of a ring. */
struct ringd_info ring_info(const char *name);

/* What it says of one context of this kind (the first it names); false: there is none. */
bool find_context(const char *name, uint32_t kind, struct ringd_context_info *context);

/* Waits until the daemon knows so many attached contexts of the ring. */
void wait_for_contexts(const char *name, size_t count);

/* A ring without a daemon: the objects that a daemon would make, and this process' own mapping of them. Helper
 * processes map the same objects with segment_map(). */
struct own_ring {
    struct segment_objects *objects;
    struct segment *segment;
};

void own_ring_new(struct own_ring *ring, struct ringd_ring_options options);
void own_ring_free(struct own_ring *ring);

/* ---- records that describe themselves ---------------------------------------------------------------------------- */

/* Writer's slot, sequence number, length, a sum, and a pattern that depends on all of them. */
#define RECORD_MIN 24u
#define RECORD_MAX 65536u

void record_make(void *payload, size_t len, uint32_t writer, uint64_t sequence);

/* Requires that the payload is whole and is the one that its header says. */
void record_verify(const struct ringd_record *record);

/* The slot of a writer, and the sequence number that its next record gets. */
uint32_t writer_slot(const struct ringd_writer *writer);
uint64_t writer_sequence(const struct ringd_writer *writer);

/* Writes one such record; two in one batch; one of RECORD_MIN bytes into a grant of `bytes`, which is taken back if it
 * is not to be kept. */
int write_record(struct ringd_writer *writer, size_t len);
int write_pair(struct ringd_writer *writer, size_t first_len, size_t second_len);
int write_granted(struct ringd_writer *writer, size_t bytes, bool keep);

/* What a reader has had of each writer slot so far. A reader that starts now expects each slot's next record; one that
 * starts in the past takes the first it sees. */
struct tracker {
    bool known[31];
    uint64_t next[31]; /* sequence number */
    uint64_t delivered[31];
    uint64_t lost[31];
    uint64_t position; /* the last record's end */
};

/* Requires that this record is whole and the next of its writer, and comes after the one before. */
void tracker_record(struct tracker *tracker, const struct ringd_record *record);

/* Takes a gap as told. */
void tracker_gap(struct tracker *tracker, const struct ringd_record *gap);

/* Reads until there is nothing more at once; the last result (RINGD_WOULD_BLOCK, RINGD_END, RINGD_EVICTED or an
 * errno). Releases everything. */
int tracker_drain(struct tracker *tracker, struct ringd_reader *reader);

uint64_t tracker_delivered(const struct tracker *tracker);
uint64_t tracker_lost(const struct tracker *tracker);

#endif
