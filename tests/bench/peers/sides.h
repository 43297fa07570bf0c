/* sides.h - a writer and a reader of a peer as the roles of a case use them: buffers, numbers, checks.
 *
 * Each record is filled one ahead of the one that is sent, as in contexts.c. Called by play.c and fault.c.
 */
#ifndef BENCH_SIDES_H
#define BENCH_SIDES_H

#include "../crew.h"
#include "../payload.h"
#include "peer.h"

#define SIDE_WRITERS 8u

struct sender {
    const struct peer *peer;
    struct crew *crew;
    unsigned self;
    void *end;
    uint32_t index, bytes, buffer_count;
    bool wait, yields;
    uint64_t sequence; /* of the next record; its buffer is filled */
    unsigned char *buffers[64];
};

struct receiver {
    const struct peer *peer;
    struct crew *crew;
    unsigned self;
    void *end;
    uint32_t bytes, writers;
    bool wait, yields;
    bool gaps; /* others get some of the records: numbers of one writer only grow */
    uint64_t received, lasts;
    uint64_t sequences[SIDE_WRITERS]; /* of each writer's next record, and its first word */
    uint64_t firsts[SIDE_WRITERS];
};

void sender_open(struct sender *sender, const struct peer *peer, void *line, struct crew *crew, unsigned self,
                 uint32_t index, uint32_t bytes);
void receiver_open(struct receiver *receiver, const struct peer *peer, void *line, struct crew *crew, unsigned self,
                   uint32_t index, uint32_t bytes, uint32_t writers);

/* Sends the next record and fills the one after it; waits for room. */
void sender_next(struct sender *sender);
/* Sends the last one, number PLAY_LAST, and everything that was held. */
void sender_last(struct sender *sender);

/* Sends the last buffer that was made, half of which cannot be touched any more. */
void sender_broken(struct sender *sender);

/* Looks once, or waits if it is to: false: nothing. *writer: whose. Checked and released. */
bool receiver_look(struct receiver *receiver, uint32_t *writer);
/* The next record, however long it takes. */
uint32_t receiver_next(struct receiver *receiver);

void sender_close(struct sender *sender);
void receiver_close(struct receiver *receiver);

#endif
