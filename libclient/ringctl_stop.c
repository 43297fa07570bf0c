/* ringctl_stop.c - ending on a signal without losing what was taken.
 *
 * `write` and `tail` look at stop_signal() between records and end in good order. What a signal must also do is end the
 * call they may be sleeping in; but a signal that comes just before that call would only set the flag. So the handler
 * starts a timer whose own signal comes every second: it interrupts whatever was entered meanwhile.
 *
 * The handlers of the stopping signals are used up by the first one. A second one has the signal's own effect, for
 * somebody who cannot wait until a stuck pipe has taken the rest.
 */
#include "ringctl.h"

#include <signal.h>
#include <unistd.h>

#define REPEAT_S 1

static volatile sig_atomic_t stopped_by;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    alarm(REPEAT_S);
}

static void on_stop(int signal_number)
{
    stopped_by = signal_number;
    alarm(REPEAT_S);
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

int stop_signal(void)
{
    return stopped_by;
}
