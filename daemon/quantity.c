/* quantity.c - see quantity.h. */
#define _GNU_SOURCE
#include "quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char suffixes[] = "KMG"; /* 2^10, 2^20, 2^30 */

int quantity_parse(const char *text, uint64_t *bytes)
{
    const char *suffix;
    char *end;
    unsigned shift = 0;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    if (errno != 0)
        return -errno;
    if (*end != '\0') {
        suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (suffix == NULL || end[1] != '\0')
            return -EINVAL;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    if (*bytes > UINT64_MAX >> shift)
        return -ERANGE;
    *bytes <<= shift;
    return 0;
}

struct quantity_text quantity_text(uint64_t bytes)
{
    struct quantity_text result;
    unsigned step = 0;

    while (step < strlen(suffixes) && bytes != 0 && (bytes >> (10 * step)) % 1024 == 0)
        step++;
    if (step == 0)
        snprintf(result.text, sizeof result.text, "%ju", (uintmax_t)bytes);
    else
        snprintf(result.text, sizeof result.text, "%ju (%ju%c)", (uintmax_t)bytes, (uintmax_t)(bytes >> (10 * step)),
                 suffixes[step - 1]);
    return result;
}
