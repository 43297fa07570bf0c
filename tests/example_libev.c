/* example_libev.c - a program with a libev loop that writes its standard input, line by line, into a ring.
 *
 *     cc example_libev.c -lringd -lev && ./a.out events </var/log/dpkg.log
 *
 * It never waits in a call: when there is no room for a line it stops reading its input until the writer's descriptor
 * says that there may be some, and does whatever else the loop has to do meanwhile.
 */
#include <ev.h>
#include <ringd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ringd_writer *writer;
static ev_io room;
static char line[4096];

/* Readable: there may be room. It stays readable until a write was told RINGD_FULL. */
static void on_room(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    for (int i = 0; i < 100; i++) { /* then it is somebody else's turn in the loop */
        int result = ringd_write_message(writer, line, strlen(line));

        if (result == RINGD_FULL)
            return;
        if (result != RINGD_OK) {
            fprintf(stderr, "%s\n", ringd_strerror(result));
            exit(EXIT_FAILURE);
        }
        if (fgets(line, sizeof line, stdin) == NULL) {
            ev_io_stop(loop, watcher);
            return;
        }
    }
}

int main(int count, char **words)
{
    struct ev_loop *loop = ev_default_loop(0);
    struct ringd *ring = NULL;
    int result = ringd_open(&ring, count > 1 ? words[1] : "events");

    if (result == 0)
        result = ringd_writer_open(&writer, ring, NULL); /* which does not wait */
    ringd_close(ring);
    if (result == 0)
        result = ringd_writer_fd(writer);
    if (result < 0) {
        fprintf(stderr, "%s\n", ringd_error()[0] == '\0' ? ringd_strerror(result) : ringd_error());
        return EXIT_FAILURE;
    }
    if (fgets(line, sizeof line, stdin) != NULL) {
        ev_io_init(&room, on_room, result, EV_READ);
        ev_io_start(loop, &room);
    }
    ev_run(loop, 0); /* until nothing is left to watch */
    ringd_writer_close(writer);
    return EXIT_SUCCESS;
}
