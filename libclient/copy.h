/* copy.h - copying a payload: most are short, and a call to memcpy costs as much as copying 64 bytes.
 *
 * A short one is copied as words, the last of which overlaps the one before; nothing behind source or destination is
 * touched. Called by writer.c, into the ring, and by reader.c, out of it.
 */
#ifndef LIBCLIENT_COPY_H
#define LIBCLIENT_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COPY_SHORT_MAX 256

/* One load and one store. */
static inline void copy_16(unsigned char *to, const unsigned char *from)
{
    unsigned __int128 word;

    memcpy(&word, from, sizeof word);
    memcpy(to, &word, sizeof word);
}

static inline void copy_8(unsigned char *to, const unsigned char *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof word);
    memcpy(to, &word, sizeof word);
}

/* Up to 15 bytes. */
static inline void copy_tiny(unsigned char *to, const unsigned char *from, size_t len)
{
    if (len >= 8) {
        copy_8(to, from);
        copy_8(to + len - 8, from + len - 8);
        return;
    }
    for (size_t i = 0; i < len; i++)
        to[i] = from[i];
}

/* Up to COPY_SHORT_MAX bytes. */
static inline void copy_short(unsigned char *to, const unsigned char *from, size_t len)
{
    if (len < 16) {
        copy_tiny(to, from, len);
        return;
    }
    for (; len > 32; len -= 32, to += 32, from += 32) {
        copy_16(to, from);
        copy_16(to + 16, from + 16);
    }
    if (len > 16)
        copy_16(to, from);
    copy_16(to + len - 16, from + len - 16);
}

static inline void copy_payload(void *to, const void *from, size_t len)
{
    if (len > COPY_SHORT_MAX)
        memcpy(to, from, len);
    else
        copy_short(to, from, len);
}

#endif
