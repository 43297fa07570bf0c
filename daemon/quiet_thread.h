/* quiet_thread.h - threads beside the event loop's: signals are for that one alone.
 *
 * Called by life_wait.c and reservation.c.
 */
#ifndef DAEMON_QUIET_THREAD_H
#define DAEMON_QUIET_THREAD_H

#include <pthread.h>

/* As pthread_create, with all signals blocked in the thread. 0 or a negative errno. */
int quiet_thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *argument),
                       void *argument);

#endif
