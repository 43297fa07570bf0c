/* support_raw.h - the control socket without the library's manners.
 *
 * Connections on which anything can be sent, complete or not, with descriptors or without; what comes back is shown as
 * it comes. And a look from outside at what the daemon holds. Everything waits as long as it takes: the test's guard is
 * what ends it.
 *
 * Used by check_hostile_control, check_hostile_memory and fuzz_segment.
 */
#ifndef TESTS_SUPPORT_RAW_H
#define TESTS_SUPPORT_RAW_H

#include "proto.h"
#include "support.h"

/* A new connection to the daemon that RINGD_SOCKET names. */
int raw_connect(void);

/* The same, or a negative errno. */
int raw_try_connect(void);

/* Sends one packet, with descriptors. False: the daemon has hung up. */
bool raw_send(int fd, const void *bytes, size_t len);
bool raw_send_descriptors(int fd, const void *bytes, size_t len, const int *descriptors, size_t count);

/* Waits for a packet. The number of bytes of the answer, 0 when the daemon has hung up. */
size_t raw_receive(int fd, struct proto_reply *reply);

/* The same with the descriptors that came along: RINGD_PROTO_DESCRIPTORS of them, -1 where there was none. */
size_t raw_receive_descriptors(int fd, struct proto_reply *reply, int *descriptors);

/* A correct request, sent and answered; the answer's result. */
int raw_ask(int fd, const struct ringd_request *request, struct proto_reply *reply);

/* Attaches; the result, and the descriptors. */
int raw_attach(int fd, const char *ring, uint32_t kind, int *descriptors);

/* How many descriptors the daemon has whose names (in /proc) begin like this: "socket:", "/dev/shm/". */
unsigned raw_daemon_descriptors(pid_t daemon, const char *beginning);

/* Waits until the daemon has no connections left. */
void raw_wait_disconnected(pid_t daemon);

#endif
