/* support_chance.h - numbers drawn from a seed, for tests that do random things.
 *
 * One seed gives one sequence on every machine. A test takes its seed from chance_seed(), prints it, and derives a
 * generator of its own for each part that is to be repeatable by itself (chance_init with the seed and the part's
 * number), so that a failure can be run again alone:
 *
 *     RINGD_SEED=4711 build/tests/fuzz_calls
 *
 * Used by the fuzzers and by checks of hostile input. A generator belongs to one thread.
 */
#ifndef TESTS_SUPPORT_CHANCE_H
#define TESTS_SUPPORT_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

/* $RINGD_SEED, else one of the moment. */
uint64_t chance_seed(void);

/* A number from the environment, else `otherwise`. */
uint64_t chance_setting(const char *name, uint64_t otherwise);

void chance_init(struct chance *chance, uint64_t seed, uint64_t part);

uint64_t chance_next(struct chance *chance);

/* 0 to bound - 1; bound is at least 1. */
uint64_t chance_below(struct chance *chance, uint64_t bound);

/* True once in `n` times. */
bool chance_one_in(struct chance *chance, uint64_t n);

void chance_fill(struct chance *chance, void *bytes, size_t len);

#endif
