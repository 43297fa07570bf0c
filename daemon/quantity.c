/* quantity.c - see quantity.h. */
#define _GNU_SOURCE
#include "quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000

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

static double duration_unit_ns(const char *unit)
{
    static const struct {
        const char *text;
        double ns;
    } units[] = {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", NS_PER_MS}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].text, unit) == 0)
            return units[i].ns;
    }
    return 0;
}

/* strtod knows more forms than are offered: what it read has to be digits and a point, and to begin with a digit. */
int duration_parse(const char *text, uint32_t *ms)
{
    char *end;
    double value = strtod(text, &end), unit_ns = duration_unit_ns(end);

    if (!isdigit((unsigned char)text[0]) || end != text + strspn(text, "0123456789.") || unit_ns == 0)
        return -EINVAL;
    if (value * unit_ns > (double)UINT32_MAX * NS_PER_MS)
        return -ERANGE;
    *ms = (uint32_t)(((uint64_t)(value * unit_ns) + NS_PER_MS - 1) / NS_PER_MS);
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
