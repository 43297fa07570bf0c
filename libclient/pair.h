/* pair.h - the 16-byte compare-and-swap, for two words that change together: limit and joins, a group's position and
 * active. (x86-64: built with -mcx16.)
 *
 * Called by ring.c and ring_group.c.
 */
#ifndef LIBCLIENT_PAIR_H
#define LIBCLIENT_PAIR_H

#include <stdbool.h>
#include <stdint.h>

/* The thread sanitizer does not see that a 16-byte instruction orders what its halves are loaded for. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
void __tsan_release(void *address);
#endif
static inline void pair_tell_sanitizer(void *address)
{
#if defined(__SANITIZE_THREAD__)
    __tsan_release(address);
#else
    (void)address;
#endif
}

/* What a pair holds: `low` is the word at the lower address. */
struct pair {
    uint64_t low, high;
};

static inline unsigned __int128 pair_join(struct pair pair)
{
    return (unsigned __int128)pair.high << 64 | pair.low;
}

/* A full fence either way. */
static inline bool pair_swap(unsigned __int128 *pair, struct pair from, struct pair to)
{
    return __sync_bool_compare_and_swap(pair, pair_join(from), pair_join(to));
}

#endif
