/* ringctl_input.c - the input of `write`, cut into records.
 *
 * It is read in blocks as large as the source will give and never copied: a record is a piece of the buffer. The buffer
 * holds a block and an ordinary record besides, so whatever a block ends in the middle of is moved to the front once
 * and completed by later reads. It grows when something longer comes.
 *
 * As lines: a record is what stands before a newline; an empty line is a record of no bytes; a last line without
 * newline is a record; nothing else means anything (CR and NUL are data). As frames: four bytes of length, least
 * significant first, then that many bytes.
 *
 * What is longer than the longest message is reported once, a frame by its first four bytes and a line as soon as more
 * than that is there, and the rest of it is skipped as it comes, however long it is.
 */
#include "ringctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES  (1u << 20)
#define PREFIX_BYTES 4u

int input_init(struct input *input, int fd, bool binary, size_t usual, size_t longest)
{
    *input = (struct input){.fd = fd, .binary = binary, .longest = longest};
    input->capacity = BLOCK_BYTES + PREFIX_BYTES + usual + 1;
    input->buffer = malloc(input->capacity);
    return input->buffer != NULL ? 0 : -ENOMEM;
}

void input_deinit(struct input *input)
{
    free(input->buffer);
    *input = (struct input){.fd = -1};
}

static void take(struct input *input, size_t bytes)
{
    input->begin += bytes;
    input->scanned = input->begin;
}

/* Drops the rest of what was too long, as far as it has come. True: all of it. */
static bool skip(struct input *input)
{
    size_t have = input->end - input->begin;

    if (input->skip_line) {
        const unsigned char *newline = have > 0 ? memchr(input->buffer + input->begin, '\n', have) : NULL;
        input->skip_line = newline == NULL;
        take(input, newline != NULL ? (size_t)(newline - input->buffer) + 1 - input->begin : have);
        return newline != NULL;
    }
    size_t now = input->skip_bytes < have ? (size_t)input->skip_bytes : have;
    input->skip_bytes -= now;
    take(input, now);
    return input->skip_bytes == 0;
}

/* What the buffer ends with, at the end of the input. */
static int last_line(struct input *input, struct input_piece *piece)
{
    if (input->begin == input->end)
        return INPUT_END;
    *piece = (struct input_piece){.data = input->buffer + input->begin, .len = input->end - input->begin};
    take(input, piece->len);
    return INPUT_RECORD;
}

static int next_line(struct input *input, struct input_piece *piece)
{
    const unsigned char *begin = input->buffer + input->begin;
    size_t unscanned = input->end - input->scanned;
    const unsigned char *newline = unscanned > 0 ? memchr(input->buffer + input->scanned, '\n', unscanned) : NULL;
    size_t len = newline != NULL ? (size_t)(newline - begin) : input->end - input->begin;

    if (len > input->longest) {
        *piece = (struct input_piece){.data = begin, .len = len};
        take(input, newline != NULL ? len + 1 : len);
        input->skip_line = newline == NULL;
        return INPUT_TOO_LONG;
    }
    if (newline == NULL) {
        input->scanned = input->end;
        return input->ended ? last_line(input, piece) : INPUT_MORE;
    }
    *piece = (struct input_piece){.data = begin, .len = len};
    take(input, len + 1);
    return INPUT_RECORD;
}

/* At the end of the input: between two frames, or inside one? */
static int frame_missing(const struct input *input)
{
    if (!input->ended)
        return INPUT_MORE;
    return input->begin == input->end ? INPUT_END : INPUT_CUT;
}

static int next_frame(struct input *input, struct input_piece *piece)
{
    size_t have = input->end - input->begin;

    if (have < PREFIX_BYTES)
        return frame_missing(input);
    const unsigned char *p = input->buffer + input->begin;
    size_t len = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    bool too_long = len > input->longest;
    if (!too_long && have - PREFIX_BYTES < len)
        return frame_missing(input);
    *piece = (struct input_piece){.data = p + PREFIX_BYTES, .len = len};
    take(input, PREFIX_BYTES + (too_long ? 0 : len));
    input->skip_bytes = too_long ? len : 0;
    return too_long ? INPUT_TOO_LONG : INPUT_RECORD;
}

int input_next(struct input *input, struct input_piece *piece)
{
    if ((input->skip_line || input->skip_bytes > 0) && !skip(input)) {
        if (!input->ended)
            return INPUT_MORE;
        return input->binary ? INPUT_CUT : INPUT_END;
    }
    return input->binary ? next_frame(input, piece) : next_line(input, piece);
}

static void move_to_front(struct input *input)
{
    size_t have = input->end - input->begin;

    if (have > 0)
        memmove(input->buffer, input->buffer + input->begin, have);
    input->scanned -= input->begin;
    input->end = have;
    input->begin = 0;
}

/* Room for a block behind what is there; twice as large each time that it is too small, so that a long record is not
 * copied again and again. */
static int make_room(struct input *input)
{
    if (input->begin == input->end || input->capacity - input->end < BLOCK_BYTES)
        move_to_front(input);
    if (input->capacity - input->end >= BLOCK_BYTES)
        return 0;
    unsigned char *larger = realloc(input->buffer, 2 * input->capacity);
    if (larger == NULL)
        return -ENOMEM;
    input->buffer = larger;
    input->capacity *= 2;
    return 0;
}

int input_fill(struct input *input)
{
    int result = make_room(input);

    if (result < 0)
        return result;
    ssize_t got = read(input->fd, input->buffer + input->end, input->capacity - input->end);
    if (got < 0 && errno == EAGAIN) { /* somebody made it non-blocking */
        struct pollfd wanted = {.fd = input->fd, .events = POLLIN};
        return poll(&wanted, 1, -1) < 0 ? -errno : 0;
    }
    if (got < 0)
        return -errno;
    input->ended = got == 0;
    input->end += (size_t)got;
    return 0;
}

uint64_t input_count_rest(struct input *input)
{
    uint64_t count = 0;
    struct input_piece piece;
    int result = input_next(input, &piece);

    for (; result == INPUT_RECORD || result == INPUT_TOO_LONG; result = input_next(input, &piece))
        count++;
    bool begun = input->begin < input->end;
    input->begin = input->scanned = input->end;
    return count + (begun ? 1 : 0);
}
