/* payload.h - what the records of the bench contain: filled in full, checked in full.
 *
 * A record of `len` bytes (a multiple of 8) is a row of 64-bit words; the first follows from writer and sequence
 * number, each further one is a constant more than the one before. So any record of another writer, of another number,
 * torn, moved or stale shows, whatever its length, and both fill and check cost about as much as touching the memory
 * once, which a real program has to do too. They are part of everything that is measured here, the streaming limit
 * included.
 *
 * Vectors of 16 bytes are what every processor in question has; they only keep the check from costing more than the
 * transport. Called by cases.c, latency.c, limits.c, syscount.c.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t payload_pair __attribute__((vector_size(16)));

#define PAYLOAD_STEP UINT64_C(0x0101010101010101)

static inline uint64_t payload_first(uint32_t writer, uint64_t sequence)
{
    return (sequence + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)writer << 56);
}

static inline void payload_fill(void *data, size_t len, uint64_t first)
{
    payload_pair pair = {first, first + PAYLOAD_STEP};
    unsigned char *at = data;
    size_t done = 0;

    for (; done + sizeof(pair) <= len; done += sizeof(pair)) {
        memcpy(at + done, &pair, sizeof(pair));
        pair += 2 * PAYLOAD_STEP;
    }
    if (done < len)
        memcpy(at + done, &pair, sizeof(pair[0]));
}

/* Whether every word is what it should be. */
static inline bool payload_check(const void *data, size_t len, uint64_t first)
{
    payload_pair pair = {first, first + PAYLOAD_STEP}, wrong = {0, 0}, found;
    const unsigned char *at = data;
    uint64_t rest = pair[0];
    size_t done = 0;

    for (; done + sizeof(pair) <= len; done += sizeof(pair)) {
        memcpy(&found, at + done, sizeof(found));
        wrong |= found ^ pair;
        pair += 2 * PAYLOAD_STEP;
    }
    rest = pair[0];
    if (done < len)
        memcpy(&rest, at + done, sizeof(rest));
    return (wrong[0] | wrong[1] | (rest ^ pair[0])) == 0;
}

#endif
