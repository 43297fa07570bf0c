/* ringctl_parse.c - numbers and words of the command line.
 *
 * Everything is strict: the whole text has to be understood, nothing is rounded or cut, and what does not fit is an
 * error. A text that is refused leaves the result untouched; ringctl_args.c says what would have been allowed.
 *
 * The words for policies and time sources stand here once, for reading and for printing.
 */
#include "ringctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_S 1e9
#define NS_PER_MS      INT64_C(1000000)
#define AFTER_MAX_MS   INT64_C(3600000)

struct word {
    const char *text;
    uint32_t value;
};

static const struct word policy_words[] = {
    {"lossless", RINGD_LOSSLESS},
    {"drop", RINGD_DROP},
    {"overwrite", RINGD_OVERWRITE},
    {NULL, 0},
};

static const struct word time_words[] = {
    {"none", RINGD_TIME_NONE},
    {"monotonic", RINGD_TIME_MONOTONIC},
    {"tsc", RINGD_TIME_TSC},
    {NULL, 0},
};

static const struct word stopped_words[] = {
    {"report", RINGD_STOPPED_REPORT},
    {"move", RINGD_STOPPED_MOVE},
    {"kill", RINGD_STOPPED_KILL},
    {NULL, 0},
};

static const struct word slow_words[] = {
    {"wait", RINGD_SLOW_WAIT},
    {"lossy", RINGD_SLOW_LOSSY},
    {"evict", RINGD_SLOW_EVICT},
    {NULL, 0},
};

static int word_value(const struct word *words, const char *text, uint32_t *value)
{
    for (; words->text != NULL; words++) {
        if (strcmp(words->text, text) == 0) {
            *value = words->value;
            return 0;
        }
    }
    return -EINVAL;
}

static const char *word_text(const struct word *words, uint32_t value)
{
    for (; words->text != NULL; words++)
        if (words->value == value)
            return words->text;
    return "unknown";
}

int parse_policy(const char *text, uint32_t *policy)
{
    return word_value(policy_words, text, policy);
}

int parse_time(const char *text, uint32_t *source)
{
    return word_value(time_words, text, source);
}

int parse_stopped(const char *text, uint32_t *policy, uint32_t *after_ms)
{
    const char *after = strchr(text, ':');
    char word[8];
    size_t len = after != NULL ? (size_t)(after - text) : strlen(text);
    uint32_t ms = 0;

    if (len >= sizeof word || (after != NULL && parse_ms(after + 1, &ms) != 0))
        return -EINVAL;
    memcpy(word, text, len);
    word[len] = '\0';
    if (after != NULL && strcmp(word, "report") == 0)
        return -EINVAL;
    int result = word_value(stopped_words, word, policy);
    if (result == 0)
        *after_ms = ms;
    return result;
}

int parse_slow(const char *text, uint32_t *policy)
{
    return word_value(slow_words, text, policy);
}

const char *stopped_word(uint32_t policy)
{
    return word_text(stopped_words, policy);
}

const char *slow_word(uint32_t policy)
{
    return word_text(slow_words, policy);
}

const char *policy_word(uint32_t policy)
{
    return word_text(policy_words, policy);
}

const char *time_word(uint32_t source)
{
    return word_text(time_words, source);
}

/* Digits in `base` from the beginning; *rest is what follows them. strtoull alone would take signs and blanks. */
static int parse_digits(const char *text, int base, uint64_t *value, const char **rest)
{
    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, base);
    if (errno != 0 || end == text)
        return -EINVAL;
    *value = number;
    *rest = end;
    return 0;
}

int parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value;
    const char *rest;
    int result = parse_digits(text, 10, &value, &rest);

    if (result != 0 || *rest != '\0' || value > max)
        return -EINVAL;
    *out = value;
    return 0;
}

/* By how many bits a unit shifts, or -1. */
static int size_shift(const char *unit)
{
    if (unit[0] == '\0')
        return 0;
    const char *units = "KMGT";
    const char *found = strchr(units, toupper((unsigned char)unit[0]));
    return found != NULL && unit[1] == '\0' ? (int)(found - units + 1) * 10 : -1;
}

int parse_size(const char *text, uint64_t max, uint64_t *bytes)
{
    uint64_t value;
    const char *rest;
    int result = parse_digits(text, 10, &value, &rest);

    if (result != 0)
        return result;
    int shift = size_shift(rest);
    if (shift < 0 || value > max >> shift)
        return -EINVAL;
    *bytes = value << shift;
    return 0;
}

static double duration_unit_ns(const char *unit)
{
    static const struct {
        const char *text;
        double ns;
    } units[] = {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].text, unit) == 0)
            return units[i].ns;
    return 0;
}

/* strtod knows more forms than we offer: what it read has to be digits and a point, and to begin with a digit. */
int parse_duration(const char *text, int64_t *ns)
{
    char *end;
    double value = strtod(text, &end);
    double unit_ns = duration_unit_ns(end);

    if (!isdigit((unsigned char)text[0]) || end != text + strspn(text, "0123456789.") || unit_ns == 0 ||
        value * unit_ns > DURATION_MAX_S * 1e9)
        return -EINVAL;
    *ns = (int64_t)(value * unit_ns);
    return 0;
}

int parse_ms(const char *text, uint32_t *ms)
{
    int64_t ns;
    int result = parse_duration(text, &ns);

    if (result != 0 || ns == 0 || ns > AFTER_MAX_MS * NS_PER_MS)
        return -EINVAL;
    *ms = (uint32_t)((ns + NS_PER_MS - 1) / NS_PER_MS);
    return 0;
}

int parse_mode(const char *text, uint32_t *mode)
{
    uint64_t value;
    const char *rest;
    int result = parse_digits(text, 8, &value, &rest);

    if (result != 0 || *rest != '\0' || value == 0 || value > 0777)
        return -EINVAL;
    *mode = (uint32_t)value;
    return 0;
}

int parse_from(const char *text, uint32_t *start, uint64_t *position)
{
    if (strcmp(text, "oldest") == 0) {
        *start = RINGD_START_OLDEST;
        return 0;
    }
    if (strcmp(text, "now") == 0) {
        *start = RINGD_START_NOW;
        return 0;
    }
    int result = parse_number(text, UINT64_MAX, position);
    if (result == 0)
        *start = RINGD_START_POSITION;
    return result;
}

const char *size_text(char text[static SIZE_TEXT_BYTES], double bytes)
{
    static const char units[] = " KMGTPE";
    size_t unit = 0;

    while (bytes >= 1024 && units[unit + 1] != '\0') {
        bytes /= 1024;
        unit++;
    }
    int decimals = unit > 0 && bytes < 100 && bytes != (double)(uint64_t)bytes ? 1 : 0;
    int used = snprintf(text, SIZE_TEXT_BYTES, "%.*f", decimals, bytes);
    if (unit > 0 && used > 0 && (size_t)used + 1 < SIZE_TEXT_BYTES) {
        text[used] = units[unit];
        text[used + 1] = '\0';
    }
    return text;
}
