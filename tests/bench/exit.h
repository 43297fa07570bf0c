/* exit.h - the kernel's own time to end a process: what no repair can be faster than.
 *
 * A process is killed that has the very memory mapped that a writer of the ring has: the same objects, in the same way
 * (the data twice, back to back), each page touched. But it is not attached, so ringd has nothing to do with its death.
 * (The same objects, as it takes the kernel longer to take pages down that others have mapped too.) It has a life page,
 * through whose only descriptor a lock was taken as the daemon takes it, and a socket. From SIGKILL on two things are
 * waited for: that the other end of the socket hangs up, and that the lock is gone. Taking down the pages comes first
 * and is most of it.
 *
 * Called by death.c, in the director's process and its children. A failure ends it (crew_fail).
 */
#ifndef BENCH_EXIT_H
#define BENCH_EXIT_H

#include <stdint.h>
#include <sys/types.h>

#include "crew.h"

struct exit_process {
    pid_t pid;
    int socket; /* our end */
    int lock;   /* another open file description of its life page: to wait with */
};

struct exit_times {
    int64_t hangup_ns, lock_ns; /* both from SIGKILL on */
};

/* Returns when it has all of the ring mapped and touched, and sleeps. */
void exit_begin(struct exit_process *process, struct crew *crew, unsigned self, const char *ring);

/* Kills it and waits for what is measured. */
struct exit_times exit_measure(struct exit_process *process, struct crew *crew, unsigned self);

/* A child with a socket to its parent; 0 in the child, where *socket is its end. It ends with its parent. child_say
 * writes a byte, child_await reads one, in both directions; `what` is the failure when the other has ended instead. */
pid_t child_fork(int *socket, struct crew *crew, unsigned self);
void child_say(int socket);
void child_await(int socket, struct crew *crew, unsigned self, const char *what);

/* Touches each page of the rings that this process has mapped, without changing a byte: for writing where it can write.
 * 0 or a negative errno. */
int rings_touch(void);

#endif
