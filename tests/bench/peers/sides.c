/* sides.c - writers and readers of peers; see sides.h. */
#include "sides.h"

#include <errno.h>
#include <sched.h>

#include "play.h"

#define BUFFERS       4u /* where the peer holds none */
#define VAIN_TO_YIELD 32u
#define GAP_MOST      1000000u

static inline void breathe(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static inline void vain(unsigned tries, bool yields)
{
    if (yields && tries % VAIN_TO_YIELD == VAIN_TO_YIELD - 1)
        sched_yield();
    else
        breathe();
}

/* ---- writers ---------------------------------------------------------------------------------------------------- */

static inline unsigned char *buffer_of(const struct sender *sender, uint64_t sequence)
{
    return sender->buffers[sequence & (sender->buffer_count - 1)];
}

void sender_open(struct sender *sender, const struct peer *peer, void *line, struct crew *crew, unsigned self,
                 uint32_t index, uint32_t bytes)
{
    int result = peer->writer(line, index, &sender->end);

    sender->peer = peer;
    sender->crew = crew;
    sender->self = self;
    sender->index = index;
    sender->bytes = bytes;
    sender->sequence = 0;
    sender->buffer_count = peer->held > BUFFERS ? power_below(2 * peer->held - 1) : BUFFERS;
    if (result)
        crew_fail_errno(crew, self, "cannot attach a writer", result);
    for (uint32_t i = 0; i < sender->buffer_count; i++) {
        sender->buffers[i] = record_buffer_new(bytes);
        if (!sender->buffers[i])
            crew_fail_errno(crew, self, "no memory for the records to write", -ENOMEM);
    }
    shared_touch(crew);
    payload_fill(buffer_of(sender, 0), bytes, payload_first(index, 0));
}

static inline void data_send(struct sender *sender, const void *data)
{
    for (unsigned tries = 0;; tries++) {
        int result = sender->peer->send(sender->end, data, sender->wait);

        if (result == PEER_OK)
            return;
        if (result < 0)
            crew_fail_errno(sender->crew, sender->self, "cannot send", result);
        vain(tries, sender->yields);
    }
}

void sender_next(struct sender *sender)
{
    const unsigned char *data = buffer_of(sender, sender->sequence++);

    payload_fill(buffer_of(sender, sender->sequence), sender->bytes, payload_first(sender->index, sender->sequence));
    data_send(sender, data);
}

void sender_last(struct sender *sender)
{
    unsigned char *data = buffer_of(sender, sender->sequence);

    payload_fill(data, sender->bytes, payload_first(sender->index, PLAY_LAST));
    data_send(sender, data);
    if (sender->peer->flush && sender->peer->flush(sender->end))
        crew_fail_errno(sender->crew, sender->self, "cannot send what was held", -EIO);
}

void sender_broken(struct sender *sender)
{
    data_send(sender, sender->buffers[sender->buffer_count - 1]);
}

void sender_close(struct sender *sender)
{
    sender->peer->writer_leave(sender->end);
}

/* ---- readers ---------------------------------------------------------------------------------------------------- */

void receiver_open(struct receiver *receiver, const struct peer *peer, void *line, struct crew *crew, unsigned self,
                   uint32_t index, uint32_t bytes, uint32_t writers)
{
    int result = peer->reader(line, index, &receiver->end);

    receiver->peer = peer;
    receiver->crew = crew;
    receiver->self = self;
    receiver->bytes = bytes;
    receiver->writers = writers;
    receiver->gaps = false;
    receiver->received = receiver->lasts = 0;
    for (uint32_t i = 0; i < writers; i++) {
        receiver->sequences[i] = 0;
        receiver->firsts[i] = payload_first(i, 0);
    }
    if (result)
        crew_fail_errno(crew, self, "cannot attach a reader", result);
    shared_touch(crew);
}

static uint32_t writer_of_last(struct receiver *receiver, uint64_t first)
{
    for (uint32_t i = 0; i < receiver->writers; i++) {
        if (first == payload_first(i, PLAY_LAST)) {
            receiver->lasts++;
            return i;
        }
    }
    crew_fail(receiver->crew, receiver->self, "a record is wrong, out of order, or came twice", 0);
}

/* Other readers had some of the only writer's records. */
static void gap_pass(struct receiver *receiver, uint64_t first)
{
    for (uint32_t i = 0; i < GAP_MOST && receiver->firsts[0] != first; i++)
        receiver->firsts[0] = payload_first(0, ++receiver->sequences[0]);
}

static inline uint32_t record_check(struct receiver *receiver, const void *data)
{
    uint64_t first;
    uint32_t writer = 0;

    memcpy(&first, data, sizeof(first));
    if (receiver->gaps)
        gap_pass(receiver, first);
    while (writer < receiver->writers && receiver->firsts[writer] != first)
        writer++;
    if (writer == receiver->writers)
        writer = writer_of_last(receiver, first);
    else
        receiver->firsts[writer] = payload_first(writer, ++receiver->sequences[writer]);
    if (!payload_check(data, receiver->bytes, first))
        crew_fail(receiver->crew, receiver->self, "a record's contents are wrong", 0);
    receiver->received++;
    return writer;
}

bool receiver_look(struct receiver *receiver, uint32_t *writer)
{
    const void *data;
    int result = receiver->peer->receive(receiver->end, &data, receiver->wait);

    if (result == PEER_AGAIN)
        return false;
    if (result < 0)
        crew_fail_errno(receiver->crew, receiver->self, "cannot receive", result);
    *writer = record_check(receiver, data);
    if (receiver->peer->release)
        receiver->peer->release(receiver->end);
    return true;
}

uint32_t receiver_next(struct receiver *receiver)
{
    uint32_t writer;

    for (unsigned tries = 0; !receiver_look(receiver, &writer); tries++)
        vain(tries, receiver->yields);
    return writer;
}

void receiver_close(struct receiver *receiver)
{
    receiver->peer->reader_leave(receiver->end);
}
