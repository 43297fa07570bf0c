/* reader_message.h - messages that their writer has written in several records, put together again.
 *
 * Parts are ordinary records of one writer, one directly after the other in its own order, with others' in between.
 * They are copied out as they come, into memory of the reader's, so that nothing in the ring has to wait for the rest;
 * the last one gives the whole as one record. A message whose writer goes on with something else, or from whose middle
 * something was lost, is dropped. Until a message is whole its parts count as skipped.
 *
 * Memory is had by mmap, which is allowed in signal handlers, and grows with what has arrived: no length in shared
 * memory is believed. Called by reader_lane.c for each part, and by reader.c to give back what the caller has seen.
 */
#ifndef LIBCLIENT_READER_MESSAGE_H
#define LIBCLIENT_READER_MESSAGE_H

#include "reader.h"

enum look;

struct reader_message;

/* *record is the part, and becomes the whole message with the last one. LOOK_RECORD, LOOK_AGAIN, LOOK_GAP (no memory:
 * it is lost). */
enum look message_take(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint64_t origin);

/* For a member of a group: a record that another one has claimed, which may be the next part of a message of this one.
 * As message_take; nothing is counted for it. */
enum look message_follow(struct ringd_reader *r, struct reader_lane *l, struct ringd_record *record, uint64_t origin);

/* That writer goes on with something else. */
void message_end(struct ringd_reader *r, struct reader_lane *l, uint32_t writer);

/* The position of the first part of the oldest one that is not finished and began at `floor` or later, or `position`.
 */
uint64_t message_oldest(const struct reader_lane *l, uint64_t floor, uint64_t position);

/* How many that are not finished began below `position`. */
uint64_t message_count_below(const struct reader_lane *l, uint64_t position);

/* The sequence number of the first part of the message of that writer (as in record.writer) which is not finished, or
 * `next`. */
uint64_t message_expected(const struct reader_lane *l, uint32_t writer, uint64_t next);

/* Whether records are to be looked at closely: reader.choosy. */
void message_look_closely(struct ringd_reader *r);

/* Gives a list back. */
void message_free_all(struct ringd_reader *r, struct reader_message **messages);

/* And what is kept for the next one. */
void message_free_spare(struct ringd_reader *r);

#endif
