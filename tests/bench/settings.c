/* settings.c - REPS, CASES, PEERS; see settings.h. */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"

#define REPS_DEFAULT 5u

int settings_reps(unsigned *reps)
{
    const char *text = getenv("REPS");
    char *end;
    unsigned long value;

    *reps = REPS_DEFAULT;
    if (!text || !*text)
        return 0;
    value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > SERIES_MAX) {
        fprintf(stderr, "bench: REPS is '%s'; it must be a number from 1 to %u\n", text, SERIES_MAX);
        return -EINVAL;
    }
    *reps = (unsigned)value;
    return 0;
}

bool settings_wants(const char *only, const char *name)
{
    size_t len = strlen(name);

    if (!only || !*only)
        return true;
    for (const char *at = strstr(only, name); at; at = strstr(at + 1, name)) {
        if ((at == only || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    }
    return false;
}
