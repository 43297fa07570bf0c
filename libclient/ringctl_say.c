/* ringctl_say.c - what is said to people, and results as exit codes.
 *
 * Every message is one line on standard error, put together first and written at once, so that the lines of several
 * ringctl in one terminal do not mix. It names the command and the ring, then what is wrong and what to do. The words
 * come from ringd_error() where a call spoke with the daemon, which knows more about the case, else from
 * ringd_strerror().
 */
#include "ringctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES      1024
#define NAME_CHARACTERS 63 /* that a ring can have; longer ones are a mistake to be named, not repeated */

/* Names and values come from outside and go to terminals and logs. */
void say_line(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    fprintf(stderr, "ringctl: %s\n", line);
}

void say(const struct options *options, const char *format, ...)
{
    char text[LINE_BYTES / 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (options->name == NULL)
        say_line("%s: %s", options->command, text);
    else
        say_line("%s '%.*s%s': %s", options->command, NAME_CHARACTERS, options->name,
                 strlen(options->name) > NAME_CHARACTERS ? "..." : "", text);
}

int exit_code_of(int result)
{
    switch (result) {
    case 0:
        return RINGCTL_DONE;
    case -EINVAL:
    case -EOPNOTSUPP:
        return RINGCTL_USAGE;
    case -ENOENT:
    case -ESHUTDOWN:
        return RINGCTL_NO_RING;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ETIMEDOUT:
        return RINGCTL_NO_DAEMON;
    case -EACCES:
    case -EPERM:
        return RINGCTL_NOT_PERMITTED;
    default:
        return RINGCTL_FAILED;
    }
}

int say_call_failure(const struct options *options, int result)
{
    const char *words = ringd_error();

    say(options, "%s", words[0] != '\0' ? words : ringd_strerror(result));
    return exit_code_of(result);
}

int say_failure(const struct options *options, int result)
{
    say(options, "%s", ringd_strerror(result));
    return exit_code_of(result);
}

int say_file_failure(const struct options *options, const char *what, int result)
{
    say(options, "cannot %s: %s", what, strerror(-result));
    return RINGCTL_FAILED;
}
