/* process.h - what /proc says of another process. State and command are for people: evidence of nothing, as the number
 * may be somebody else's by now. process_open is exact.
 *
 * Called by the daemon (instance.c, takeover.c, context.c) and by ringctl.
 */
#ifndef LIBCLIENT_PROCESS_H
#define LIBCLIENT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* By SIGSTOP, or by a debugger. */
bool process_is_stopped(uint32_t pid);

/* What the kernel calls it, fit for logs and terminals; "" if that is not known. */
void process_command(char *command, size_t bytes, uint32_t pid);

/* A pidfd of process `pid` if it has `file` mapped: what is opened first and found to be so afterwards has been the
 * same process all the time, or has ended. Needs the rights that a signal to it does. Negative errno: -ESRCH (no such
 * process, or it has not mapped it), -EACCES and others (nothing is known). */
int process_open(uint32_t pid, const struct stat *file);

#endif
