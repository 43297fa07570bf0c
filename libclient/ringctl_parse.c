/* ringctl_parse.c - numbers and words of the command line.
 *
 * Everything is strict: the whole text has to be understood, nothing is rounded or cut, and what does not fit is an
 * error. A text that is refused leaves the result untouched; ringctl_args.c says what would have been allowed.
 *
 * The words for policies and time sources stand here once, for reading and for printing.
 */
#define _GNU_SOURCE
#include "ringctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_S 1e9
#define NS_PER_MS      INT64_C(1000000)
#define NS_PER_S       1000000000L
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

static const struct word start_words[] = {
    {"oldest", RINGD_START_OLDEST},
    {"now", RINGD_START_NOW},
    {NULL, 0},
};

static const struct word merge_words[] = {
    {"none", RINGD_MERGE_NONE},
    {"time", RINGD_MERGE_TIME},
    {NULL, 0},
};

static const struct word wait_words[] = {
    {"adaptive", RINGD_WAIT_ADAPTIVE},
    {"busy", RINGD_WAIT_BUSY},
    {"sleep", RINGD_WAIT_SLEEP},
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

int parse_merge(const char *text, uint32_t *merge)
{
    return word_value(merge_words, text, merge);
}

int parse_wait(const char *text, uint32_t *wait)
{
    return word_value(wait_words, text, wait);
}

int parse_list(const char *text, uint64_t max, uint64_t numbers[static RINGCTL_LIST_MAX], size_t *count)
{
    size_t found = 0;
    const char *rest = text;

    do {
        uint64_t number;

        if (found == RINGCTL_LIST_MAX || parse_digits(rest, 10, &number, &rest) != 0 || number > max)
            return -EINVAL;
        numbers[found++] = number;
    } while (*rest++ == ',');
    if (rest[-1] != '\0')
        return -EINVAL;
    *count = found;
    return 0;
}

int parse_levels(const char *text, uint8_t *min, uint8_t *max)
{
    uint64_t low, high;
    const char *rest;

    if (parse_digits(text, 10, &low, &rest) != 0 || low > UINT8_MAX)
        return -EINVAL;
    high = low;
    if (*rest == '-') {
        high = UINT8_MAX;
        if (rest[1] != '\0' && parse_number(rest + 1, UINT8_MAX, &high) != 0)
            return -EINVAL;
    } else if (*rest != '\0') {
        return -EINVAL;
    }
    if (low > high)
        return -EINVAL;
    *min = (uint8_t)low;
    *max = (uint8_t)high;
    return 0;
}

int parse_from(const char *text, struct options *options)
{
    static const char time_prefix[] = "time:";
    int result;

    if (word_value(start_words, text, &options->start) == 0)
        return 0;
    if (strncmp(text, time_prefix, strlen(time_prefix)) == 0) {
        result = parse_number(text + strlen(time_prefix), UINT64_MAX, &options->time);
        options->start = result == 0 ? RINGD_START_TIME : options->start;
        return result;
    }
    result = parse_number(text, UINT64_MAX, &options->position);
    options->start = result == 0 ? RINGD_START_POSITION : options->start;
    return result;
}

/* ---- moments ----------------------------------------------------------------------------------------------------- */

static struct timespec moment_before(int64_t ns)
{
    struct timespec moment;

    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_sec -= ns / NS_PER_S;
    moment.tv_nsec -= ns % NS_PER_S;
    if (moment.tv_nsec < 0) {
        moment.tv_sec--;
        moment.tv_nsec += NS_PER_S;
    }
    return moment;
}

/* Nothing, or the decimals of a second. */
static int parse_fraction(const char *text, long *ns)
{
    long digit_ns = NS_PER_S / 10;

    *ns = 0;
    if (*text == '\0')
        return 0;
    if (*text++ != '.' || *text == '\0')
        return -EINVAL;
    for (; isdigit((unsigned char)*text); text++, digit_ns /= 10)
        *ns += (*text - '0') * digit_ns;
    return *text == '\0' ? 0 : -EINVAL;
}

/* As strptime, but whole fields: it would take blanks and signs as well. *rest is what follows. */
static bool matches(const char *text, const char *format, struct tm *tm, const char **rest)
{
    *rest = isdigit((unsigned char)text[0]) ? strptime(text, format, tm) : NULL;
    return *rest != NULL;
}

/* A time of day is the last one there was; with a date before it, that of this day. Local time. */
static int parse_clock(const char *text, struct timespec *moment)
{
    struct tm tm = {0}, now;
    const char *rest;
    time_t seconds = time(NULL);
    bool dated = matches(text, "%Y-%m-%d", &tm, &rest);

    if (localtime_r(&seconds, &now) == NULL)
        return -EINVAL;
    if (dated) {
        text = *rest == ' ' || *rest == 'T' ? rest + 1 : rest;
    } else {
        tm = now;
    }
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    if ((!dated || *text != '\0') && !matches(text, "%H:%M:%S", &tm, &rest) && !matches(text, "%H:%M", &tm, &rest))
        return -EINVAL;
    if (parse_fraction(rest, &moment->tv_nsec) != 0)
        return -EINVAL;
    moment->tv_sec = mktime(&tm);
    if (!dated && moment->tv_sec > seconds) {
        tm.tm_mday--;
        tm.tm_isdst = -1;
        moment->tv_sec = mktime(&tm);
    }
    return moment->tv_sec > 0 ? 0 : -EINVAL;
}

int parse_since(const char *text, struct timespec *moment)
{
    struct timespec found;
    int64_t ago;
    int result = 0;

    if (parse_duration(text, &ago) == 0)
        found = moment_before(ago);
    else
        result = parse_clock(text, &found);
    if (result == 0)
        *moment = found;
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
