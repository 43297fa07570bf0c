/* boost_queue.h - Boost.Interprocess message_queue as C sees it; boost_queue.cpp has it, peer_boost.c makes a peer of
 * it. Results: 0, 1 (full or empty), -1 (it threw). */
#ifndef BENCH_BOOST_QUEUE_H
#define BENCH_BOOST_QUEUE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

int boost_queue_available(void);
void *boost_queue_open(const char *name, size_t messages, size_t bytes); /* messages 0: it is there already */
void boost_queue_close(void *queue);
void boost_queue_remove(const char *name);
int boost_queue_send(void *queue, const void *data, size_t bytes, int wait);
int boost_queue_receive(void *queue, void *data, size_t bytes, int wait);

#ifdef __cplusplus
}
#endif

#endif
