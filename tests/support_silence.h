/* support_silence.h - processes that may make no system call from some moment on: R17, checked by the kernel. And
 * processes that may not have the kernel run barriers.
 *
 * Called by check_quiet.c, check_wait_modes.c and check_single.c.
 */
#ifndef TESTS_SUPPORT_SILENCE_H
#define TESTS_SUPPORT_SILENCE_H

#include <stdbool.h>

/* From here on this process may only end (exit_group): any other system call kills it. */
void forbid_system_calls(void);

/* From here on membarrier() fails for this process, what it starts, and what that runs. */
void forbid_barriers(void);

/* Whether this kernel has what that takes: seccomp filters. */
bool can_forbid_system_calls(void);

#endif
