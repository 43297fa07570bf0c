/* support_chance.c - see support_chance.h. The generator adds an odd constant and mixes (SplitMix64's way): any state
 * is a good one, so seeds and parts may be small numbers.
 */
#define _GNU_SOURCE
#include "support_chance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t chance_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t chance_seed(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return chance_setting("RINGD_SEED", mix((uint64_t)now.tv_nsec + ((uint64_t)getpid() << 32)) >> 32);
}

void chance_init(struct chance *chance, uint64_t seed, uint64_t part)
{
    chance->state = mix(seed + STEP) ^ mix(part * STEP + 1);
}

uint64_t chance_next(struct chance *chance)
{
    chance->state += STEP;
    return mix(chance->state);
}

uint64_t chance_below(struct chance *chance, uint64_t bound)
{
    return chance_next(chance) % bound;
}

bool chance_one_in(struct chance *chance, uint64_t n)
{
    return chance_below(chance, n) == 0;
}

void chance_fill(struct chance *chance, void *bytes, size_t len)
{
    unsigned char *at = bytes;

    while (len > 0) {
        uint64_t value = chance_next(chance);
        size_t part = len < sizeof value ? len : sizeof value;

        memcpy(at, &value, part);
        at += part;
        len -= part;
    }
}
