/* problem.c - see problem.h. A text may quote what a client sent; control characters in it do not reach a terminal or
 * log.
 */
#define _GNU_SOURCE
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

int problem_say(struct problem *problem, int result, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    return result;
}
