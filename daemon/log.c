/* log.c - see log.h. A line is written with a single write, so that lines of several daemons on one terminal stay
 * whole; what does not fit is cut off.
 */
#define _GNU_SOURCE
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LINE_BYTES 1024

static bool is_verbose;
static bool is_journal;

static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    uintmax_t device, inode;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

void log_open(bool verbose)
{
    is_verbose = verbose;
    is_journal = stderr_is_journal();
}

static void print_line(const char *priority, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    int begin = snprintf(line, sizeof line, "%s", is_journal ? priority : "ringd: ");
    int len = vsnprintf(line + begin, sizeof line - (size_t)begin, format, arguments);
    size_t end = (size_t)begin + (len < 0 ? 0 : (size_t)len);

    if (end > sizeof line - 1)
        end = sizeof line - 1;
    line[end] = '\n';
    /* Nowhere to report it to when stderr is gone. */
    if (write(STDERR_FILENO, line, end + 1) < 0)
        return;
}

void log_debug(const char *format, ...)
{
    va_list arguments;

    if (!is_verbose)
        return;
    va_start(arguments, format);
    print_line(SD_DEBUG, format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(SD_INFO, format, arguments);
    va_end(arguments);
}

void log_warning(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(SD_WARNING, format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(SD_ERR, format, arguments);
    va_end(arguments);
}
