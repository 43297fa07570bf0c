/* reader_open.h - what opening a reader and following a ring that moves have in common. reader_open.c, for reader.c
 * and reader_move.c.
 */
#ifndef LIBCLIENT_READER_OPEN_H
#define LIBCLIENT_READER_OPEN_H

#include "reader.h"

/* What of a segment the whole reader uses. */
void reader_point_at_slot(struct ringd_reader *r, const struct segment *segment);

/* enum ringd_context_kind of a reader's mode. */
uint32_t reader_kind_of(uint32_t mode);

/* Has not read anything yet (reader.c). */
void reader_rest(struct ringd_reader *r);

/* What was given out of generations that it has left is given back. */
void reader_drop_kept(struct ringd_reader *r);

#endif
