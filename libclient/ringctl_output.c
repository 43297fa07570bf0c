/* ringctl_output.c - buffered output that is told apart from what stdio does in three points.
 *
 * It is written when the buffer is full or when output_flush says so, never by itself: `tail` flushes before it waits.
 * A failure is kept; after it nothing is written any more and every call answers the same. And a closed pipe (EPIPE;
 * main ignores SIGPIPE) is an ordinary end: whoever read has had enough.
 */
#include "ringctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int output_init(struct output *output, int fd, size_t capacity)
{
    *output = (struct output){.fd = fd, .capacity = capacity};
    output->buffer = malloc(capacity);
    return output->buffer != NULL ? 0 : -ENOMEM;
}

void output_deinit(struct output *output)
{
    free(output->buffer);
    *output = (struct output){.fd = -1};
}

/* Somebody made the descriptor non-blocking, which the other end of a terminal or socket may do at any time. */
static void wait_writable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};

    (void)poll(&wanted, 1, -1);
}

static void write_all(struct output *output, const unsigned char *data, size_t len)
{
    while (len > 0 && output->error == 0) {
        ssize_t done = write(output->fd, data, len);
        if (done >= 0) {
            data += done;
            len -= (size_t)done;
        } else if (errno == EAGAIN) {
            wait_writable(output->fd);
        } else if (errno != EINTR) {
            output->error = -errno;
        }
    }
}

int output_flush(struct output *output)
{
    write_all(output, output->buffer, output->used);
    output->used = 0;
    return output->error;
}

size_t output_room(struct output *output, size_t len)
{
    if (len > output->capacity - output->used)
        output_flush(output);
    return output->used;
}

int output_put(struct output *output, const void *data, size_t len)
{
    if (len > output->capacity - output->used)
        output_flush(output);
    if (len > output->capacity) {
        write_all(output, data, len);
    } else if (len > 0) {
        memcpy(output->buffer + output->used, data, len);
        output->used += len;
    }
    return output->error;
}

int output_exit(const struct options *options, const struct output *output, int code)
{
    if (output->error == 0 || output->error == -EPIPE)
        return code;
    return say_file_failure(options, "write the output", output->error);
}

int print_text(const struct options *options, const char *text, size_t len)
{
    struct output output = {.fd = STDOUT_FILENO};

    write_all(&output, (const unsigned char *)text, len);
    return output_exit(options, &output, RINGCTL_DONE);
}
