/* reader_move.h - a reader of a ring that moves: it drains every lane of the old generation to its end, and follows;
 * see ring_move.h.
 *
 * A lossless reader that still has much to read there looks ahead: it maps the cursors of the next generation and says
 * in its own how far behind it is, with each release. So a move gives writers no more room than
 * they had, and no less, and they go on at the pace at which the reader reads, rather than fill a whole new ring at
 * once and then stand still until the reader has come there.
 *
 * Called by reader.c, for which it is the slow path.
 */
#ifndef LIBCLIENT_READER_MOVE_H
#define LIBCLIENT_READER_MOVE_H

#include "reader.h"

/* The ring moves, and the next thing to do is not to read a record. RINGD_OK: look again, in the next generation if
 * every lane was drained; RINGD_WOULD_BLOCK: something is to be waited for; RINGD_END; or a failure. */
int reader_leave(struct ringd_reader *r);

/* All that was given out has been given back, of this generation and of those that it has left. */
void reader_released(struct ringd_reader *r);

static inline bool reader_ring_removed(const struct ringd_reader *r)
{
    return atomic_load_explicit(&r->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;
}

#endif
