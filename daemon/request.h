/* request.h - what a client asks, and what it gets.
 *
 * A request is a private copy of what the client sent, of the right length. Everything in it is checked here before it
 * is used: magic, version, type, the name's end, and then what each type of request needs. Rights are checked here too,
 * for every request anew. What goes wrong ends as a negative errno with a sentence in the answer, and changes nothing.
 *
 * request_handle returns 0 if the connection may go on, whatever the answer is, and a negative errno if what came was
 * no request at all: then the answer is sent and the connection ends.
 *
 * Called by peer.c for each packet.
 */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "answer.h"
#include "ringd_proto.h"

struct peer;

/* `len` is what arrived, of which at most sizeof *request is in *request; `descriptors` says that some came along. */
int request_handle(struct peer *peer, const struct ringd_request *request, size_t len, bool descriptors,
                   struct answer *answer);

#endif
