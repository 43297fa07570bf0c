/* problem.h - what went wrong, in words for people.
 *
 * The daemon's one error rule: a function that fails returns a negative errno, which goes up unchanged, and fills the
 * `struct problem` it was given with a sentence that says what was asked, what is wrong and what would do. Whoever
 * stands at the top either sends it to the client (request.c) or logs it (main.c). Nobody in between looks at the text,
 * and nobody does both.
 *
 *     if (size > RINGD_SIZE_MAX)
 *         return problem_say(problem, -EINVAL, "size %s is too large; ...", ...);
 *
 * A function that cannot add to an errno with words of its own has no `problem` parameter; its caller says the
 * sentence.
 */
#ifndef DAEMON_PROBLEM_H
#define DAEMON_PROBLEM_H

#include "ringd_proto.h"

struct problem {
    char text[RINGD_PROTO_TEXT_BYTES];
};

/* Replaces the text (cut off where it does not fit) and returns `result`, a negative errno. */
int problem_say(struct problem *problem, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
