/* ringctl_stop.c - ending in good order: on a signal, or when nobody reads the output any more.
 *
 * `write` and `tail` look at stop_signal() between records and end in good order. What a signal must also do is end the
 * call they may be sleeping in; but a signal that comes just before that call would only set the flag. So the handler
 * starts a timer whose own signal comes every second: it interrupts whatever was entered meanwhile.
 *
 * The handlers of the stopping signals are used up by the first one. A second one has the signal's own effect, for
 * somebody who cannot wait until a stuck pipe has taken the rest.
 *
 * A reader that looks busily, or has much to pass over that is not wanted, does not sleep: its deadline is what ends
 * it.
 *
 * A pipe that has lost its reader shows with the next write, but `tail` may be waiting for a record that never comes,
 * and a lossless one holds writers up meanwhile. It cannot wait for the ring and the pipe at once; so a thread waits
 * for the pipe, and interrupts in the same way.
 */
#include "ringctl.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define REPEAT_S 1

static volatile sig_atomic_t stopped_by;
static atomic_bool output_closed;
static pthread_t main_thread;
static struct ringd_reader *_Atomic looking;

/* Also when it comes in between: the next one is on its way. */
static void on_alarm(int signal_number)
{
    struct ringd_reader *reader = looking;

    (void)signal_number;
    if (reader != NULL)
        ringd_reader_deadline(reader, RINGD_NO_WAIT);
    alarm(REPEAT_S);
}

static void on_stop(int signal_number)
{
    stopped_by = signal_number;
    on_alarm(signal_number);
}

/* No SA_RESTART: blocking calls end with EINTR. */
static void handle(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void stop_install(void)
{
    handle(SIGALRM, on_alarm, 0);
    handle(SIGINT, on_stop, (int)SA_RESETHAND);
    handle(SIGTERM, on_stop, (int)SA_RESETHAND);
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup */
        handle(SIGHUP, on_stop, (int)SA_RESETHAND);
}

void stop_reader(struct ringd_reader *reader)
{
    looking = reader;
}

int stop_signal(void)
{
    return stopped_by;
}

/* No events are asked for: only an error or a hang-up ends this. */
static void *watch_output(void *unused)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    (void)unused;
    if (poll(&output, 1, -1) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0) {
        output_closed = true;
        alarm(REPEAT_S);
        pthread_kill(main_thread, SIGALRM);
    }
    return NULL;
}

void stop_watch_output(void)
{
    pthread_t thread;
    sigset_t all, before;

    main_thread = pthread_self();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    if (pthread_create(&thread, NULL, watch_output, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool stop_requested(void)
{
    return stopped_by != 0 || output_closed;
}
