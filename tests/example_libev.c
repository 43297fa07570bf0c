/* example_libev.c - a program with a libev loop that writes its standard input, line by line, into a ring, or prints
 * what is written to it.
 *
 *     cc example_libev.c -lringd -lev -o lines
 *     ./lines events write </var/log/dpkg.log
 *     ./lines events read
 *
 * It never waits in a call. When there is no room for a line the writer stops reading its input until its descriptor
 * says that there may be some; the reader's says that there may be something to read. Meanwhile the loop does whatever
 * else it has to do.
 */
#include <ev.h>
#include <ringd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 100 /* then it is somebody else's turn in the loop */

static struct ringd_writer *writer;
static struct ringd_reader *reader;
static char line[4096];

static void fail(int result)
{
    fprintf(stderr, "%s\n", ringd_error()[0] == '\0' ? ringd_strerror(result) : ringd_error());
    exit(EXIT_FAILURE);
}

/* Readable: there may be room. It stays readable until a write was told RINGD_FULL. */
static void on_room(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    for (int i = 0; i < AT_ONCE; i++) {
        int result = ringd_write_message(writer, line, strlen(line));

        if (result == RINGD_FULL)
            return;
        if (result != RINGD_OK)
            fail(result);
        if (fgets(line, sizeof line, stdin) == NULL) {
            ev_io_stop(loop, watcher);
            return;
        }
    }
}

/* Readable: there may be records. It stays readable until a read was told RINGD_WOULD_BLOCK. */
static void on_record(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    for (int i = 0; i < AT_ONCE; i++) {
        struct ringd_record record;
        int result = ringd_next(reader, &record);

        if (result == RINGD_WOULD_BLOCK)
            return;
        if (result == RINGD_END) { /* the ring was removed */
            ev_io_stop(loop, watcher);
            return;
        }
        if (result < 0 || result == RINGD_EVICTED)
            fail(result);
        if (result == RINGD_OK)
            fwrite(record.data, 1, record.len, stdout);
        ringd_release(reader);
    }
}

int main(int count, char **words)
{
    struct ringd_reader_options options = {.mode = RINGD_READ_LOSSLESS};
    bool reads = count == 3 && strcmp(words[2], "read") == 0;
    struct ev_loop *loop = ev_default_loop(0);
    struct ringd *ring = NULL;
    ev_io watcher;
    int result;

    if (!reads && (count != 3 || strcmp(words[2], "write") != 0)) {
        fprintf(stderr, "usage: %s RING read|write\n", words[0]);
        return EXIT_FAILURE;
    }
    result = ringd_open(&ring, words[1]);
    if (result == 0 && reads)
        result = ringd_reader_open(&reader, ring, &options); /* which does not wait, */
    else if (result == 0)
        result = ringd_writer_open(&writer, ring, NULL); /* nor does this one */
    ringd_close(ring);
    if (result == 0)
        result = reads ? ringd_reader_fd(reader) : ringd_writer_fd(writer);
    if (result < 0)
        fail(result);
    if (reads || fgets(line, sizeof line, stdin) != NULL) {
        ev_io_init(&watcher, reads ? on_record : on_room, result, EV_READ);
        ev_io_start(loop, &watcher);
    }
    ev_run(loop, 0); /* until nothing is left to watch */
    ringd_reader_close(reader);
    ringd_writer_close(writer);
    return EXIT_SUCCESS;
}
