/* config.c - see config.h.
 *
 * libinih splits lines into keys and values. It tells neither line numbers nor sections without keys, so its lines come
 * through read_line, which counts them and opens the sections; what libinih says of sections is not used. The first
 * error ends it all.
 */
#define _GNU_SOURCE
#include "config.h"

#include <bsd/string.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quantity.h"
#include "ring_options.h"
#include "ringd_segment.h"

#define MAX_CLIENTS_END 1000001u
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* A key of a section: what it sets (in struct config or struct config_ring), and what may be there. */
struct key {
    const char *name;
    int (*set)(void *target, const char *value);
    const char *must_be;
    bool repeats;
};

/* What is being read. */
struct parser {
    FILE *file;
    const char *path;
    unsigned line;
    struct config *config;
    const struct key *keys; /* of the open section; NULL: none */
    size_t key_count;
    void *target;     /* of the open section */
    char section[80]; /* as it is called in messages */
    unsigned seen;    /* bit per key of the open section */
    int result;       /* the first error */
    struct problem *problem;
};

/* ---- values ---------------------------------------------------------------------------------------------------- */

struct choice {
    const char *name;
    uint32_t value;
};

static int choose(const struct choice *choices, size_t count, const char *value, uint32_t *chosen)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(choices[i].name, value) == 0) {
            *chosen = choices[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_create(void *target, const char *value)
{
    return creators_add(&((struct config *)target)->creators, value);
}

static int set_max_clients(void *target, const char *value)
{
    uint64_t number;

    if (quantity_parse(value, &number) < 0 || number < 1 || number >= MAX_CLIENTS_END)
        return -EINVAL;
    ((struct config *)target)->max_clients = (uint32_t)number;
    return 0;
}

/* Zero would stand for the default in struct ringd_ring_options; who writes it means something else. */
static int set_size(void *target, const char *value)
{
    uint64_t *size = &((struct config_ring *)target)->options.size;

    return quantity_parse(value, size) < 0 || *size == 0 ? -EINVAL : 0;
}

static int set_lanes(void *target, const char *value)
{
    uint64_t number;

    if (quantity_parse(value, &number) < 0 || number < 1 || number > RINGD_LANES_MAX)
        return -EINVAL;
    ((struct config_ring *)target)->options.lanes = (uint32_t)number;
    return 0;
}

static int set_max_record(void *target, const char *value)
{
    uint64_t bytes;

    if (quantity_parse(value, &bytes) < 0 || bytes == 0 || bytes > UINT32_MAX)
        return -EINVAL;
    ((struct config_ring *)target)->options.max_record = (uint32_t)bytes;
    return 0;
}

static int set_writers(void *target, const char *value)
{
    static const struct choice choices[] = {{"1", 1}, {"31", RINGD_WRITERS_PER_LANE}};

    return choose(choices, 2, value, &((struct config_ring *)target)->options.writers);
}

static int set_policy(void *target, const char *value)
{
    static const struct choice choices[] = {
        {"lossless", RINGD_LOSSLESS}, {"drop", RINGD_DROP}, {"overwrite", RINGD_OVERWRITE}};

    return choose(choices, 3, value, &((struct config_ring *)target)->options.policy);
}

static int set_time(void *target, const char *value)
{
    static const struct choice choices[] = {
        {"none", RINGD_TIME_NONE}, {"monotonic", RINGD_TIME_MONOTONIC}, {"tsc", RINGD_TIME_TSC}};

    return choose(choices, 3, value, &((struct config_ring *)target)->options.time);
}

static int set_hold(void *target, const char *value)
{
    static const struct choice choices[] = {{"no", 0}, {"yes", 1}};

    return choose(choices, 2, value, &((struct config_ring *)target)->options.hold);
}

static int set_mode(void *target, const char *value)
{
    uint32_t *mode = &((struct config_ring *)target)->options.mode;

    if (strlen(value) > 4 || strspn(value, "01234567") != strlen(value))
        return -EINVAL;
    *mode = (uint32_t)strtoul(value, NULL, 8);
    return *mode == 0 || *mode > 0777 ? -EINVAL : 0;
}

static int set_owner(void *target, const char *value)
{
    return rights_find_user(value, &((struct config_ring *)target)->rights.owner);
}

static int set_group(void *target, const char *value)
{
    return rights_find_group(value, &((struct config_ring *)target)->rights.group);
}

static int set_first_position(void *target, const char *value)
{
    return quantity_parse(value, &((struct config_ring *)target)->options.first_position);
}

/* "kill:200ms": what is done, and after which time. */
static int set_stopped(void *target, const char *value)
{
    static const struct choice choices[] = {
        {"report", RINGD_STOPPED_REPORT}, {"move", RINGD_STOPPED_MOVE}, {"kill", RINGD_STOPPED_KILL}};
    struct ringd_ring_options *options = &((struct config_ring *)target)->options;
    const char *after = strchr(value, ':');
    char word[16];

    strlcpy(word, value, sizeof word);
    word[strcspn(word, ":")] = '\0';
    if (after != NULL && (duration_parse(after + 1, &options->stopped_after_ms) < 0 || options->stopped_after_ms == 0))
        return -EINVAL;
    return choose(choices, 3, word, &options->stopped);
}

static int set_slow(void *target, const char *value)
{
    static const struct choice choices[] = {
        {"wait", RINGD_SLOW_WAIT}, {"lossy", RINGD_SLOW_LOSSY}, {"evict", RINGD_SLOW_EVICT}};

    return choose(choices, 3, value, &((struct config_ring *)target)->options.slow);
}

static int set_slow_bytes(void *target, const char *value)
{
    uint64_t *bytes = &((struct config_ring *)target)->options.slow_bytes;

    return quantity_parse(value, bytes) < 0 || *bytes == 0 ? -EINVAL : 0;
}

static int set_slow_after(void *target, const char *value)
{
    uint32_t *ms = &((struct config_ring *)target)->options.slow_after_ms;

    return duration_parse(value, ms) < 0 || *ms == 0 ? -EINVAL : 0;
}

static const struct key ringd_keys[] = {
    {"create", set_create, "users and groups of this machine, as in: alice, 1000, @staff", true},
    {"max_clients", set_max_clients, "a number from 1 to 1000000", false},
};

static const struct key ring_keys[] = {
    {"size", set_size, "bytes, a power of two, as in: 65536, 64K, 16M, 1G", false},
    {"lanes", set_lanes, "a number from 1 to 64", false},
    {"writers", set_writers, "1 or 31", false},
    {"policy", set_policy, "lossless, drop or overwrite", false},
    {"max_record", set_max_record, "bytes, 1 to size/64, as in: 1000, 64K", false},
    {"time", set_time, "none, monotonic or tsc", false},
    {"hold", set_hold, "yes or no", false},
    {"mode", set_mode, "an octal number from 0001 to 0777, as in: 0740", false},
    {"owner", set_owner, "a user of this machine, by name or number", false},
    {"group", set_group, "a group of this machine, by name or number", false},
    {"first_position", set_first_position, "bytes, a multiple of 32", false},
    {"stopped", set_stopped, "report, move or kill, the latter two with a time, as in: kill:200ms", false},
    {"slow", set_slow, "wait, lossy or evict", false},
    {"slow_bytes", set_slow_bytes, "bytes, less than the ring has, as in: 4M", false},
    {"slow_after", set_slow_after, "a time from 1ms to 1h, as in: 500ms, 2s", false},
};

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static const struct key *find_key(const struct parser *parser, const char *name)
{
    for (size_t i = 0; i < parser->key_count; i++) {
        if (strcmp(parser->keys[i].name, name) == 0)
            return &parser->keys[i];
    }
    return NULL;
}

static void say_unknown_key(struct parser *parser, const char *name)
{
    char known[192] = "";

    for (size_t i = 0; i < parser->key_count; i++) {
        strlcat(known, i == 0 ? "" : ", ", sizeof known);
        strlcat(known, parser->keys[i].name, sizeof known);
    }
    parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: [%s] has no key \"%s\"; there are %s", parser->path,
                                 parser->line, parser->section, name, known);
}

static void set_key(struct parser *parser, const struct key *key, const char *value)
{
    unsigned bit = 1u << (key - parser->keys);

    if ((parser->seen & bit) != 0 && !key->repeats) {
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: [%s] %s is given twice", parser->path,
                                     parser->line, parser->section, key->name);
        return;
    }
    parser->seen |= bit;
    if (key->set(parser->target, value) < 0)
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: [%s] %s = %s: must be %s", parser->path,
                                     parser->line, parser->section, key->name, value, key->must_be);
}

/* libinih's handler: 0 is an error. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *parser = user;
    const struct key *key = find_key(parser, name);

    (void)section;
    if (parser->result < 0)
        return 0;
    if (parser->keys == NULL)
        parser->result = problem_say(parser->problem, -EINVAL,
                                     "%s:%u: \"%s\" stands in no section; begin with [ringd] "
                                     "or [ring NAME]",
                                     parser->path, parser->line, name);
    else if (key == NULL)
        say_unknown_key(parser, name);
    else
        set_key(parser, key, value);
    return parser->result == 0;
}

/* ---- sections -------------------------------------------------------------------------------------------------- */

/* What a single key cannot tell. The options are checked on a copy: their defaults are filled in when the ring is made.
 */
static void close_section(struct parser *parser)
{
    const struct config_ring *ring = parser->target;
    struct ringd_ring_options checked;
    struct problem why;

    if (parser->keys != ring_keys || parser->result < 0)
        return;
    checked = ring->options;
    if (ring_options_check(&checked, &why) < 0)
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: [%s] %s", parser->path, ring->line,
                                     parser->section, why.text);
}

static struct config_ring *add_ring(struct config *config)
{
    struct config_ring *longer = reallocarray(config->rings, config->ring_count + 1, sizeof *config->rings);

    if (longer == NULL)
        return NULL;
    config->rings = longer;
    longer[config->ring_count] = (struct config_ring){.rights = {.owner = geteuid(), .group = getegid()}};
    return &longer[config->ring_count++];
}

static const struct config_ring *find_ring(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->ring_count; i++) {
        if (strcmp(config->rings[i].name, name) == 0)
            return &config->rings[i];
    }
    return NULL;
}

static void open_ring(struct parser *parser, const char *name)
{
    const struct config_ring *same = find_ring(parser->config, name);
    struct config_ring *ring;
    struct problem why;

    if (ring_name_check(name, &why) < 0) {
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: %s", parser->path, parser->line, why.text);
        return;
    }
    if (same != NULL) {
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: ring %s is there already, at line %u",
                                     parser->path, parser->line, name, same->line);
        return;
    }
    ring = add_ring(parser->config);
    if (ring == NULL) {
        parser->result = problem_say(parser->problem, -ENOMEM, "out of memory");
        return;
    }
    strlcpy(ring->name, name, sizeof ring->name);
    ring->line = parser->line;
    parser->target = ring;
    parser->keys = ring_keys;
    parser->key_count = sizeof ring_keys / sizeof ring_keys[0];
}

static void open_ringd(struct parser *parser)
{
    parser->target = parser->config;
    parser->keys = ringd_keys;
    parser->key_count = sizeof ringd_keys / sizeof ringd_keys[0];
}

/* `text` is what stands between the brackets. */
static void open_section(struct parser *parser, const char *text)
{
    close_section(parser);
    if (parser->result < 0)
        return;
    strlcpy(parser->section, text, sizeof parser->section);
    parser->seen = 0;
    if (strcmp(text, "ringd") == 0)
        open_ringd(parser);
    else if (strncmp(text, "ring ", 5) == 0)
        open_ring(parser, text + 5 + strspn(text + 5, " \t"));
    else
        parser->result = problem_say(parser->problem, -EINVAL,
                                     "%s:%u: section [%s] is unknown; there are [ringd] and "
                                     "[ring NAME]",
                                     parser->path, parser->line, text);
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static void look_for_section(struct parser *parser, const char *line)
{
    char text[256];
    char *end;

    if (parser->line == 1 && strncmp(line, BYTE_ORDER_MARK, 3) == 0)
        line += 3;
    line += strspn(line, " \t");
    if (line[0] != '[')
        return;
    strlcpy(text, line + 1, sizeof text);
    end = strchr(text, ']');
    if (end == NULL)
        return; /* libinih says so */
    *end = '\0';
    open_section(parser, text);
}

/* libinih's way to get a line, as fgets; NULL is the end. */
static char *read_line(char *line, int bytes, void *stream)
{
    struct parser *parser = stream;

    if (parser->result < 0 || fgets(line, bytes, parser->file) == NULL)
        return NULL;
    parser->line++;
    if (strchr(line, '\n') == NULL && !feof(parser->file)) {
        parser->result = problem_say(parser->problem, -EINVAL, "%s:%u: the line is longer than %d bytes%s",
                                     parser->path, parser->line, bytes - 2, "; `create` may be given several times");
        return NULL;
    }
    look_for_section(parser, line);
    return parser->result < 0 ? NULL : line;
}

/* ---- file ------------------------------------------------------------------------------------------------------ */

static int parse(struct parser *parser)
{
    int bad_line;

    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    bad_line = ini_parse_stream(read_line, parser, on_key, parser);
    close_section(parser);
    if (parser->result == 0 && bad_line != 0)
        parser->result =
            problem_say(parser->problem, -EINVAL, "%s:%d: neither a [section] nor key = value", parser->path, bad_line);
    if (parser->result == 0 && ferror(parser->file))
        parser->result = problem_say(parser->problem, -EIO, "cannot read %s: %s", parser->path, strerror(errno));
    return parser->result;
}

int config_load(struct config *config, const char *path, struct problem *problem)
{
    struct parser parser = {.path = path, .config = config, .problem = problem};
    int result;

    parser.file = fopen(path, "re");
    if (parser.file == NULL)
        return problem_say(problem, -errno, "cannot open the configuration %s: %s", path, strerror(errno));
    result = parse(&parser);
    fclose(parser.file);
    return result;
}

void config_init(struct config *config)
{
    *config = (struct config){.max_clients = CONFIG_MAX_CLIENTS_DEFAULT};
}

void config_deinit(struct config *config)
{
    creators_deinit(&config->creators);
    free(config->rings);
    config_init(config);
}
