/* ringctl.h - what the parts of the operator's command share.
 *
 * ringctl uses the public API (ringd.h) alone; what it prints, anybody can get at. (But doctor, which examines the
 * map.)
 *
 *     ringctl.c         main, the table of commands, help and version
 *     ringctl_args.c    the command line into struct options
 *     ringctl_parse.c   sizes, durations, modes, words
 *     ringctl_say.c     messages on stderr, results into exit codes
 *     ringctl_stop.c    SIGINT, SIGTERM, SIGHUP, an output without a reader
 *     ringctl_input.c   blocks of input into records, for `write`
 *     ringctl_output.c  buffered output that knows what a closed pipe is
 *     ringctl_rings.c   create, remove, resize, forget, list
 *     ringctl_status.c  status: two samples and what happened between them
 *     ringctl_view.c    status for people
 *     ringctl_table.c   tables for people
 *     ringctl_json.c    rings and contexts as JSON
 *     ringctl_doctor.c  doctor: attaches and says what was found by
 *     ringctl_walk.c    its look at the memory,
 *     ringctl_accounts.c  its look at the counters, and
 *     ringctl_leftovers.c its look at what a daemon has left
 *     ringctl_write.c   write
 *     ringctl_tail.c    tail
 *     ringctl_record.c  one record as a line, a frame or JSON, for `tail`
 *
 * What holds true: standard output carries only what was asked for; everything said to people goes to standard error,
 * one line each, `ringctl: COMMAND 'NAME': what is wrong; what to do`. A closed pipe on standard output ends a command
 * quietly and is no failure. Each command function returns the exit code.
 */
#ifndef LIBCLIENT_RINGCTL_H
#define LIBCLIENT_RINGCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "ringd.h"

enum ringctl_exit {
    RINGCTL_DONE = 0,
    RINGCTL_FAILED = 1,
    RINGCTL_USAGE = 2,         /* the command line asks for something that cannot be */
    RINGCTL_REFUSED = 3,       /* write: some records were refused or dropped */
    RINGCTL_GAP = 4,           /* tail: records were overwritten before they were read */
    RINGCTL_NO_RING = 5,       /* no such ring, or it was removed meanwhile */
    RINGCTL_NO_DAEMON = 6,     /* ringd is not there or does not answer */
    RINGCTL_NOT_PERMITTED = 7, /* the ring's mode or ringd's configuration says no */
    RINGCTL_WRONG = 8,         /* doctor: something is wrong with a ring, or with what was left of one */
    RINGCTL_SIGNAL = 128,      /* write: ended by a signal; plus its number */
};

#define RINGCTL_WAIT_FOREVER INT64_C(-1)
#define RINGCTL_NO_COUNT     UINT64_MAX
#define RINGCTL_LIST_MAX     128

/* The command line, understood. */
struct options {
    const char *command;
    const char *name; /* of the ring; NULL where none was given */
    bool json;
    bool binary;
    struct ringd_ring_options ring;   /* create; resize: the size */
    int64_t interval_ns;              /* status: between two samples; 0: one sample, no rates */
    int64_t timeout_ns;               /* write: RINGCTL_WAIT_FOREVER, or how long a record waits for room */
    uint16_t types[RINGCTL_LIST_MAX]; /* write: at most one; tail: these; none: any */
    size_t type_count;
    uint32_t writers[RINGCTL_LIST_MAX]; /* tail: as types */
    size_t writer_count;
    bool by_level;
    uint8_t level_min, level_max; /* write: the same */
    bool lossless;                /* tail */
    bool no_wait;
    const char *cursor, *group; /* forget: the former */
    uint32_t lane;              /* tail: 1 to 64; 0: all */
    uint32_t merge, wait;       /* enum ringd_merge, enum ringd_wait */
    uint32_t start;             /* enum ringd_reader_start */
    uint64_t position;
    uint64_t time;          /* with RINGD_START_TIME, unless ... */
    struct timespec moment; /* ... this is not zero: CLOCK_REALTIME */
    uint64_t count;         /* RINGCTL_NO_COUNT: no end */
};

/* ---- ringctl.c --------------------------------------------------------------------------------------------------- */

enum ringctl_name {
    RINGCTL_NAME_NONE,
    RINGCTL_NAME_OPTIONAL,
    RINGCTL_NAME_NEEDED,
    RINGCTL_NAME_AND_SIZE,
    RINGCTL_NAME_AND_CURSOR,
};

struct command {
    const char *word;
    enum ringctl_name name;
    uint64_t options; /* a bit (1 << enum ringctl_option) for each option it has */
    int (*run)(const struct options *options);
};

/* NULL: no such command. */
const struct command *command_find(const char *word);

/* ---- ringctl_args.c ---------------------------------------------------------------------------------------------- */

enum ringctl_option {
    RINGCTL_OPTION_SOCKET,
    RINGCTL_OPTION_JSON,
    RINGCTL_OPTION_HELP,
    RINGCTL_OPTION_VERSION,
    RINGCTL_OPTION_SIZE,
    RINGCTL_OPTION_POLICY,
    RINGCTL_OPTION_MAX_RECORD,
    RINGCTL_OPTION_TIME,
    RINGCTL_OPTION_HOLD,
    RINGCTL_OPTION_MODE,
    RINGCTL_OPTION_LANES,
    RINGCTL_OPTION_WRITERS,
    RINGCTL_OPTION_STOPPED,
    RINGCTL_OPTION_SLOW,
    RINGCTL_OPTION_SLOW_BYTES,
    RINGCTL_OPTION_SLOW_AFTER,
    RINGCTL_OPTION_FIRST_POSITION, /* the last one of create */
    RINGCTL_OPTION_INTERVAL,
    RINGCTL_OPTION_TIMEOUT,
    RINGCTL_OPTION_TYPE,
    RINGCTL_OPTION_LEVEL,
    RINGCTL_OPTION_BINARY,
    RINGCTL_OPTION_WRITER,
    RINGCTL_OPTION_FROM,
    RINGCTL_OPTION_SINCE,
    RINGCTL_OPTION_COUNT,
    RINGCTL_OPTION_LOSSLESS,
    RINGCTL_OPTION_NO_WAIT,
    RINGCTL_OPTION_CURSOR,
    RINGCTL_OPTION_GROUP,
    RINGCTL_OPTION_MERGE,
    RINGCTL_OPTION_WAIT,
    RINGCTL_OPTION_LANE,
};

/* Fills *options and *command. 0, or RINGCTL_USAGE after saying what is wrong. */
int args_parse(int argc, char **argv, struct options *options, const struct command **command);

/* ---- ringctl_parse.c: 0, or -EINVAL and *out untouched ------------------------------------------------------------
 */

int parse_number(const char *text, uint64_t max, uint64_t *out);
int parse_size(const char *text, uint64_t max, uint64_t *bytes); /* 4096, 64K, 16M, 1G */
int parse_duration(const char *text, int64_t *ns);               /* 0, 500ms, 2s, 1.5s, 2m; no unit: seconds */
int parse_ms(const char *text, uint32_t *ms);                    /* the same, 1 ms to 1 h, rounded up */
int parse_mode(const char *text, uint32_t *mode);                /* octal, 1 to 0777 */
int parse_policy(const char *text, uint32_t *policy);
int parse_time(const char *text, uint32_t *source);
int parse_stopped(const char *text, uint32_t *policy, uint32_t *after_ms); /* kill:200ms; *after_ms 0: not given */
int parse_slow(const char *text, uint32_t *policy);
int parse_from(const char *text, struct options *options);      /* oldest, now, 4096, time:123 */
int parse_since(const char *text, struct timespec *moment);     /* 5m (ago), 14:03[:07[.5]], 2026-11-27 14:03 */
int parse_levels(const char *text, uint8_t *min, uint8_t *max); /* 3, 3-5, 3- */
int parse_merge(const char *text, uint32_t *merge);
int parse_wait(const char *text, uint32_t *wait);

/* 3 or 1,2,7: at most RINGCTL_LIST_MAX numbers up to `max`. */
int parse_list(const char *text, uint64_t max, uint64_t numbers[static RINGCTL_LIST_MAX], size_t *count);

/* The other way round. A word that lives for ever. */
const char *policy_word(uint32_t policy);
const char *time_word(uint32_t source);
const char *stopped_word(uint32_t policy);
const char *slow_word(uint32_t policy);

/* "64K", "1.5M", "317": with the largest unit that keeps it short. */
#define SIZE_TEXT_BYTES 32
const char *size_text(char text[static SIZE_TEXT_BYTES], double bytes);

/* ---- ringctl_say.c ----------------------------------------------------------------------------------------------- */

/* One line on stderr, `ringctl: ...`, without control characters, whatever was on the command line. */
void say_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same about a command: `ringctl: COMMAND 'NAME': ...`. */
void say(const struct options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a result of libringd is as an exit code. */
int exit_code_of(int result);

/* Says a failure and returns its exit code: of a call that spoke with the daemon; of any other. */
int say_call_failure(const struct options *options, int result);
int say_failure(const struct options *options, int result);

/* The same for an errno of reading or writing a file: `cannot WHAT: why`. */
int say_file_failure(const struct options *options, const char *what, int result);

/* ---- ringctl_stop.c ---------------------------------------------------------------------------------------------- */

/* From now on the first SIGINT, SIGTERM or SIGHUP makes stop_signal() say so and every blocking call end with EINTR,
 * within a second also one that was just about to block; a second one ends the process. */
void stop_install(void);

/* The signal that asked to stop, or 0. */
int stop_signal(void);

/* From now on a reason to stop also ends a call on this reader that does not sleep but goes on looking. */
void stop_reader(struct ringd_reader *reader);

/* From now on a pipe on standard output that has lost its reader is a reason to stop, too. After stop_install. */
void stop_watch_output(void);

/* Whether there is a reason to stop. */
bool stop_requested(void);

/* ---- ringctl_input.c --------------------------------------------------------------------------------------------- */

enum input_result {
    INPUT_RECORD = 1,
    INPUT_TOO_LONG = 2, /* data may not hold all of it; the rest is skipped */
    INPUT_MORE = 3,     /* nothing complete in the buffer: input_fill */
    INPUT_END = 4,
    INPUT_CUT = 5, /* the input ended inside a frame */
};

struct input {
    int fd;
    bool binary;
    bool ended;
    unsigned char *buffer;
    size_t capacity;
    size_t begin;   /* what has not been given yet */
    size_t scanned; /* no newline before this */
    size_t end;
    size_t longest;      /* bytes that a record may have */
    uint64_t skip_bytes; /* of a frame that is too long */
    bool skip_line;      /* up to the next newline */
};

struct input_piece {
    const unsigned char *data; /* valid until input_fill */
    size_t len;
};

/* A record of up to `usual` bytes does not make the buffer grow, one of more than `longest` is too long. */
int input_init(struct input *input, int fd, bool binary, size_t usual, size_t longest);
void input_deinit(struct input *input);

/* The next record in the buffer, an enum input_result. Never reads. */
int input_next(struct input *input, struct input_piece *piece);

/* One read(). 0, or a negative errno (-EINTR: a signal; -ENOMEM: for a record as long as this). */
int input_fill(struct input *input);

/* How many records are in the buffer that input_next has not given, a begun one included. Uses them up. */
uint64_t input_count_rest(struct input *input);

/* ---- ringctl_output.c -------------------------------------------------------------------------------------------- */

struct output {
    int fd;
    int error; /* the first failure, a negative errno; from then on nothing is written */
    unsigned char *buffer;
    size_t capacity;
    size_t used;
};

int output_init(struct output *output, int fd, size_t capacity);
void output_deinit(struct output *output); /* does not flush */

/* 0 or the negative errno in output->error. What was put is copied, or written. */
int output_put(struct output *output, const void *data, size_t len);
int output_flush(struct output *output);

/* Flushes if so many bytes do not fit behind what is in the buffer. Returns how much is in it: what is put next can be
 * taken back by setting `used` to that. */
size_t output_room(struct output *output, size_t len);

/* Says a failed output, unless it is a closed pipe; `code` is what the command would otherwise have returned. */
int output_exit(const struct options *options, const struct output *output, int code);

/* All of `text` on stdout; RINGCTL_DONE or RINGCTL_FAILED. */
int print_text(const struct options *options, const char *text, size_t len);

/* ---- ringctl_rings.c, ringctl_status.c, _doctor.c, _write.c, _tail.c --------------------------------------------- */

int command_create(const struct options *options);
int command_remove(const struct options *options);
int command_resize(const struct options *options);
int command_forget(const struct options *options);
int command_list(const struct options *options);
int command_status(const struct options *options);
int command_doctor(const struct options *options);
int command_write(const struct options *options);
int command_tail(const struct options *options);

/* Every ring; *rings is the caller's to free. 0 or a negative errno. */
int rings_fetch(struct ringd_info **rings, size_t *count);

/* One ring, also for somebody who may write it and not read it. 0 or a negative errno. */
int ring_fetch(const char *name, struct ringd_info *info);

/* ---- ringctl_json.c ---------------------------------------------------------------------------------------------- */

/* Per second, from two samples. */
struct rates {
    bool known;
    double records;
    double bytes;
};

struct json_t;

struct json_t *json_ring(const struct ringd_info *info);
struct json_t *json_writer(const struct ringd_context_info *context);
struct json_t *json_reader(const struct ringd_context_info *context);
struct json_t *json_named(const struct ringd_context_info *cursor);
void json_add_rates(struct json_t *object, const struct rates *rates);
struct json_t *json_unsigned(uint64_t value);

/* Prints on stdout and drops the reference. NULL (out of memory) is said. */
int print_json(const struct options *options, struct json_t *json);

const char *context_kind_word(uint32_t kind);
const char *context_state_word(uint32_t state);
const char *ring_state_word(uint32_t state);

/* ---- ringctl_record.c -------------------------------------------------------------------------------------------- */

/* One record in the form the options ask for. 0 or a negative errno. */
int record_put(struct output *output, const struct options *options, const struct ringd_record *record);

#endif
