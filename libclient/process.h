/* process.h - what /proc says of another process, for people: evidence of nothing, as the number may be somebody else's
 * by now.
 *
 * Called by the daemon (instance.c, takeover.c, context.c) and by ringctl.
 */
#ifndef LIBCLIENT_PROCESS_H
#define LIBCLIENT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By SIGSTOP, or by a debugger. */
bool process_is_stopped(uint32_t pid);

/* What the kernel calls it, fit for logs and terminals; "" if that is not known. */
void process_command(char *command, size_t bytes, uint32_t pid);

#endif
