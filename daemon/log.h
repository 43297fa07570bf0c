/* log.h - what the daemon says on stderr.
 *
 * One line per event that an operator may want to know of: started, stopped, a ring made or removed, a context that
 * died in mid-record or was evicted. What clients do wrong is told to the client; here it only shows with --verbose, so
 * that nobody can fill the journal by sending nonsense. Lines read `ringd: ...`; when stderr is the journal
 * (JOURNAL_STREAM names the very file that stderr is) they begin with a priority as sd-daemon.h defines it instead.
 *
 * What a client chose is only printed once it has been checked: ring names have a fixed alphabet, commands are cleaned
 * when they are read. One thread only.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

/* Looks at stderr once. Before it everything but debug lines is printed, as to a terminal. */
void log_open(bool verbose);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
