/* crew.h - several pinned processes that begin together.
 *
 * A measurement is a play: each role is a process of its own (never a thread: a ring is for processes), pinned to one
 * processor, forked for this one run. A role first prepares (attaches to rings, touches its memory), then calls
 * crew_ready(), which returns in all of them at the same moment, then works, and leaves what it found in its result.
 * The crew lives in a shared anonymous mapping made before the first fork.
 *
 * What holds true:
 *   - The parent sleeps while roles work; it uses no processor time between the start and the end of a run.
 *   - A role that fails says why, once, and ends; the parent then ends the others (its own children, by their ids).
 *   - A role that gets stuck is ended by its own alarm after CREW_LIMIT_S seconds (or limit_s); that is a failure too.
 *   - A role ends with its parent.
 *
 * Called by limits.c, cases.c, drain.c, latency.c, load.c, syscount.c, waking.c and lanes.c.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CREW_ROLES   12u
#define CREW_LIMIT_S 30u
#define CREW_SAMPLES (1u << 18)
#define CREW_BUFFER  (1u << 20)
#define CREW_TEXT    200u

struct crew_result {
    int64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    int64_t processor_ns;     /* processor time between the two */
    int64_t drained_ns;       /* processor time of a reader while there was something to read (drain.c) */
    uint64_t slept;           /* times a reader slept, as its counters say */
    char failure[CREW_TEXT];  /* "" when all is well */
};

/* Shared between parent and roles. */
struct crew {
    _Atomic uint32_t ready; /* roles that wait for the start */
    _Atomic uint32_t go;
    uint32_t limit_s;      /* 0: CREW_LIMIT_S; by the parent */
    bool timed_out;        /* the last run was ended by it */
    uint32_t sample_count; /* of `samples`, by the one role that has some */
    _Alignas(128) struct crew_result results[CREW_ROLES];
    _Alignas(128) _Atomic uint64_t line_there; /* for limits.c, drain.c and lanes.c */
    _Alignas(128) _Atomic uint64_t line_back;
    _Alignas(4096) uint32_t samples[CREW_SAMPLES];
    _Alignas(4096) unsigned char buffer[CREW_BUFFER];
};

struct crew_role {
    int cpu;
    void (*play)(struct crew *crew, unsigned self, const void *task);
    const void *task;
    bool roams; /* it may also run on `other_cpu`, as the kernel sees fit */
    int other_cpu;
};

/* NULL: no memory. */
struct crew *crew_new(void);
void crew_free(struct crew *crew);

/* Forks, starts and waits for `count` roles. 0 when all did what they should; else -ECANCELED and `failure` (CREW_TEXT
 * bytes) says which and why, or the errno of fork. */
int crew_run(struct crew *crew, const struct crew_role *roles, unsigned count, char *failure);

/* From the first start to the last end of the `count` roles of the last run. */
double crew_elapsed_ns(const struct crew *crew, unsigned count);

/* The share of its time, 0 to 1, that one role of the last run had its processor. For a role that never sleeps anything
 * below 1 was taken by somebody else on the machine. */
double crew_share(const struct crew *crew, unsigned role);

/* For roles. crew_ready returns when everybody is ready, with the time noted as the role's start. crew_done notes its
 * end. crew_fail says why and ends the process; `code` is what the library returned, 0 when it has nothing to do with
 * it; crew_fail_errno is for what the kernel returned. */
void crew_ready(struct crew *crew, unsigned self);
void crew_done(struct crew *crew, unsigned self);
_Noreturn void crew_fail(struct crew *crew, unsigned self, const char *what, int code);
_Noreturn void crew_fail_errno(struct crew *crew, unsigned self, const char *what, int result);

/* Two processors that are allowed to this process, on different cores if there are such. 0, or -ENODEV when there are
 * not two. */
int crew_processors(int cpus[2]);

#endif
