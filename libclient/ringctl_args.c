/* ringctl_args.c - the command line into struct options.
 *
 * All commands share one table of options, and each says which of them it has (ringctl.c): an option means the same
 * everywhere, and one that a command does not have is an error instead of being passed over. Options may stand anywhere
 * on the line. The value of each is checked here as far as that can be done without the daemon, which has the last
 * word.
 */
#include "ringctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_INTERVAL_NS INT64_C(200000000)
#define FIRST_POSITION_MAX  (UINT64_C(1) << 62)
#define LANES_MAX           64
#define WRITERS_MAX         31
#define WRITER_MAX          1983 /* of 64 lanes */
#define LABEL_MAX           47

static const struct option long_options[] = {
    {"socket", required_argument, NULL, RINGCTL_OPTION_SOCKET},
    {"json", no_argument, NULL, RINGCTL_OPTION_JSON},
    {"help", no_argument, NULL, RINGCTL_OPTION_HELP},
    {"version", no_argument, NULL, RINGCTL_OPTION_VERSION},
    {"size", required_argument, NULL, RINGCTL_OPTION_SIZE},
    {"policy", required_argument, NULL, RINGCTL_OPTION_POLICY},
    {"max-record", required_argument, NULL, RINGCTL_OPTION_MAX_RECORD},
    {"time", required_argument, NULL, RINGCTL_OPTION_TIME},
    {"hold", no_argument, NULL, RINGCTL_OPTION_HOLD},
    {"mode", required_argument, NULL, RINGCTL_OPTION_MODE},
    {"lanes", required_argument, NULL, RINGCTL_OPTION_LANES},
    {"writers", required_argument, NULL, RINGCTL_OPTION_WRITERS},
    {"stopped", required_argument, NULL, RINGCTL_OPTION_STOPPED},
    {"slow", required_argument, NULL, RINGCTL_OPTION_SLOW},
    {"slow-bytes", required_argument, NULL, RINGCTL_OPTION_SLOW_BYTES},
    {"slow-after", required_argument, NULL, RINGCTL_OPTION_SLOW_AFTER},
    {"first-position", required_argument, NULL, RINGCTL_OPTION_FIRST_POSITION},
    {"interval", required_argument, NULL, RINGCTL_OPTION_INTERVAL},
    {"timeout", required_argument, NULL, RINGCTL_OPTION_TIMEOUT},
    {"type", required_argument, NULL, RINGCTL_OPTION_TYPE},
    {"level", required_argument, NULL, RINGCTL_OPTION_LEVEL},
    {"binary", no_argument, NULL, RINGCTL_OPTION_BINARY},
    {"writer", required_argument, NULL, RINGCTL_OPTION_WRITER},
    {"from", required_argument, NULL, RINGCTL_OPTION_FROM},
    {"since", required_argument, NULL, RINGCTL_OPTION_SINCE},
    {"count", required_argument, NULL, RINGCTL_OPTION_COUNT},
    {"lossless", no_argument, NULL, RINGCTL_OPTION_LOSSLESS},
    {"no-wait", no_argument, NULL, RINGCTL_OPTION_NO_WAIT},
    {"cursor", required_argument, NULL, RINGCTL_OPTION_CURSOR},
    {"group", required_argument, NULL, RINGCTL_OPTION_GROUP},
    {"merge", required_argument, NULL, RINGCTL_OPTION_MERGE},
    {"wait", required_argument, NULL, RINGCTL_OPTION_WAIT},
    {"lane", required_argument, NULL, RINGCTL_OPTION_LANE},
    {NULL, 0, NULL, 0},
};

static int usage(const char *what, const char *about, const char *allowed)
{
    say_line("%s '%s': %s; see 'ringctl help'", what, about, allowed);
    return RINGCTL_USAGE;
}

static int bad_value(int id, const char *value, const char *allowed)
{
    say_line("--%s '%s': %s", long_options[id].name, value, allowed);
    return RINGCTL_USAGE;
}

/* Options that take a number of a small type. */
static int set_number(int id, const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t number;

    if (parse_number(value, max, &number) != 0 || number < min) {
        char allowed[80];
        snprintf(allowed, sizeof allowed, "give a whole number from %llu to %llu", (unsigned long long)min,
                 (unsigned long long)max);
        return bad_value(id, value, allowed);
    }
    *out = number;
    return 0;
}

static int set_size(int id, const char *value, uint64_t max, uint64_t *out)
{
    uint64_t bytes;

    if (parse_size(value, max, &bytes) != 0 || bytes == 0) {
        return bad_value(id, value,
                         id == RINGCTL_OPTION_SIZE ? "give a power of two from 4K to 64G, as in 65536, 64K or 16M"
                                                   : "give the bytes of the longest record, as in 4096 or 64K");
    }
    *out = bytes;
    return 0;
}

/* The size that a command has behind the name. */
static int set_size_word(const char *word, uint64_t *bytes)
{
    if (parse_size(word, UINT64_MAX, bytes) == 0 && *bytes != 0)
        return 0;
    return usage("size", word, "give a power of two from 4K to 64G, as in 65536, 64K or 16M");
}

static int set_duration(int id, const char *value, int64_t *out)
{
    if (parse_duration(value, out) != 0)
        return bad_value(id, value, "give a time such as 0, 500ms, 2s or 1m");
    return 0;
}

/* Options of create that bound what a stopped writer and a slow reader may do to others. */
static int set_bound(int id, const char *value, struct ringd_ring_options *ring)
{
    switch (id) {
    case RINGCTL_OPTION_STOPPED:
        return parse_stopped(value, &ring->stopped, &ring->stopped_after_ms) == 0
                   ? 0
                   : bad_value(
                         id, value,
                         "give report, move or kill, the latter two with a time if it is not to be one second, as "
                         "in kill:200ms (1ms to 1h)");
    case RINGCTL_OPTION_SLOW:
        return parse_slow(value, &ring->slow) == 0 ? 0 : bad_value(id, value, "give wait, lossy or evict");
    case RINGCTL_OPTION_SLOW_BYTES:
        return parse_size(value, UINT64_MAX, &ring->slow_bytes) == 0 && ring->slow_bytes > 0
                   ? 0
                   : bad_value(id, value, "give bytes, less than the ring has, as in 65536 or 4M");
    default: /* RINGCTL_OPTION_SLOW_AFTER */
        return parse_ms(value, &ring->slow_after_ms) == 0
                   ? 0
                   : bad_value(id, value, "give a time from 1ms to 1h, as in 500ms or 2s");
    }
}

/* Options of create. */
static int set_ring_option(int id, const char *value, struct ringd_ring_options *ring)
{
    uint64_t number = 0;
    int result = 0;

    switch (id) {
    case RINGCTL_OPTION_SIZE:
        return set_size(id, value, UINT64_MAX, &ring->size);
    case RINGCTL_OPTION_MAX_RECORD:
        result = set_size(id, value, UINT32_MAX, &number);
        ring->max_record = (uint32_t)number;
        return result;
    case RINGCTL_OPTION_FIRST_POSITION:
        return set_number(id, value, 0, FIRST_POSITION_MAX, &ring->first_position);
    case RINGCTL_OPTION_LANES:
        result = set_number(id, value, 1, LANES_MAX, &number);
        ring->lanes = (uint32_t)number;
        return result;
    case RINGCTL_OPTION_WRITERS:
        result = set_number(id, value, 1, WRITERS_MAX, &number);
        ring->writers = (uint32_t)number;
        return result;
    case RINGCTL_OPTION_POLICY:
        return parse_policy(value, &ring->policy) == 0 ? 0 : bad_value(id, value, "give lossless, drop or overwrite");
    case RINGCTL_OPTION_TIME:
        return parse_time(value, &ring->time) == 0 ? 0 : bad_value(id, value, "give none, monotonic or tsc");
    case RINGCTL_OPTION_HOLD:
        ring->hold = 1;
        return 0;
    default: /* RINGCTL_OPTION_MODE */
        return parse_mode(value, &ring->mode) == 0
                   ? 0
                   : bad_value(id, value,
                               "give rights in octal, from 1 to 777, as in 0640 (4 read, 2 write, 1 lossless)");
    }
}

/* What tail is to see, and the label of what is written. */
static int set_label(int id, const char *value, struct options *options)
{
    uint64_t numbers[RINGCTL_LIST_MAX];
    size_t count = 0;

    switch (id) {
    case RINGCTL_OPTION_TYPE:
        if (parse_list(value, UINT16_MAX, numbers, &count) != 0)
            return bad_value(id, value, "give a type from 0 to 65535; tail also takes up to 128, as in 1,2,7");
        for (size_t i = 0; i < count; i++)
            options->types[i] = (uint16_t)numbers[i];
        options->type_count = count;
        return 0;
    case RINGCTL_OPTION_WRITER:
        if (parse_list(value, WRITER_MAX, numbers, &count) != 0)
            return bad_value(id, value,
                             "give the slot of a writer as 'ringctl status NAME' shows it, 0 to 1983, or up to 128 of "
                             "them, as in 0,3");
        for (size_t i = 0; i < count; i++)
            options->writers[i] = (uint32_t)numbers[i];
        options->writer_count = count;
        return 0;
    default: /* RINGCTL_OPTION_LEVEL */
        options->by_level = true;
        return parse_levels(value, &options->level_min, &options->level_max) == 0
                   ? 0
                   : bad_value(id, value, "give a level from 0 to 255; tail also takes a range, as in 3-5, or 3-");
    }
}

static int set_start(int id, const char *value, struct options *options)
{
    if (id == RINGCTL_OPTION_FROM)
        return parse_from(value, options) == 0
                   ? 0
                   : bad_value(id, value,
                               "give oldest, now, a position or time:TIME, the latter two as 'ringctl tail --json' "
                               "shows them; see also --since");
    options->start = RINGD_START_TIME;
    return parse_since(value, &options->moment) == 0
               ? 0
               : bad_value(id, value,
                           "give how long ago, as in 5s or 10m, or when, as in 14:03, 14:03:07.5 or "
                           "'2026-11-27 14:03:07'");
}

static bool is_label(const char *text)
{
    return text[0] != '\0' && strlen(text) <= LABEL_MAX;
}

/* How tail reads. */
static int set_reader(int id, const char *value, struct options *options)
{
    uint64_t number = 0;
    int result;

    switch (id) {
    case RINGCTL_OPTION_LANE:
        result = set_number(id, value, 1, LANES_MAX, &number);
        options->lane = (uint32_t)number;
        return result;
    case RINGCTL_OPTION_CURSOR:
    case RINGCTL_OPTION_GROUP:
        if (!is_label(value))
            return bad_value(id, value, "give a name of 1 to 47 characters");
        *(id == RINGCTL_OPTION_CURSOR ? &options->cursor : &options->group) = value;
        return 0;
    case RINGCTL_OPTION_MERGE:
        return parse_merge(value, &options->merge) == 0 ? 0 : bad_value(id, value, "give none or time");
    case RINGCTL_OPTION_WAIT:
        return parse_wait(value, &options->wait) == 0 ? 0 : bad_value(id, value, "give adaptive, busy or sleep");
    case RINGCTL_OPTION_LOSSLESS:
        options->lossless = true;
        return 0;
    default: /* RINGCTL_OPTION_NO_WAIT */
        options->no_wait = true;
        return 0;
    }
}

/* Options of write and tail. */
static int set_stream_option(int id, const char *value, struct options *options)
{
    switch (id) {
    case RINGCTL_OPTION_TIMEOUT:
        return set_duration(id, value, &options->timeout_ns);
    case RINGCTL_OPTION_TYPE:
    case RINGCTL_OPTION_LEVEL:
    case RINGCTL_OPTION_WRITER:
        return set_label(id, value, options);
    case RINGCTL_OPTION_FROM:
    case RINGCTL_OPTION_SINCE:
        return set_start(id, value, options);
    case RINGCTL_OPTION_COUNT:
        return set_number(id, value, 0, RINGCTL_NO_COUNT - 1, &options->count);
    case RINGCTL_OPTION_BINARY:
        options->binary = true;
        return 0;
    default:
        return set_reader(id, value, options);
    }
}

static int set_option(int id, const char *value, struct options *options)
{
    if (id >= RINGCTL_OPTION_STOPPED && id <= RINGCTL_OPTION_SLOW_AFTER)
        return set_bound(id, value, &options->ring);
    if (id >= RINGCTL_OPTION_SIZE && id <= RINGCTL_OPTION_FIRST_POSITION)
        return set_ring_option(id, value, &options->ring);
    switch (id) {
    case RINGCTL_OPTION_SOCKET:
        if (value[0] == '\0')
            return bad_value(id, value, "give the path of ringd's socket");
        return setenv("RINGD_SOCKET", value, 1) == 0 ? 0 : bad_value(id, value, "no memory");
    case RINGCTL_OPTION_JSON:
        options->json = true;
        return 0;
    case RINGCTL_OPTION_HELP:
    case RINGCTL_OPTION_VERSION:
        return 0; /* find_command */
    case RINGCTL_OPTION_INTERVAL:
        return set_duration(id, value, &options->interval_ns);
    default:
        return set_stream_option(id, value, options);
    }
}

/* Every option on the line; *used gets a bit for each. */
static int parse_options(int argc, char **argv, struct options *options, uint64_t *used)
{
    int id;

    opterr = 0;
    while ((id = getopt_long(argc, argv, ":hV", long_options, NULL)) != -1) {
        if (id == '?')
            return usage("option", argv[optind - 1], "there is no such option, or it takes no value");
        if (id == ':')
            return usage("option", argv[optind - 1], "its value is missing");
        id = id == 'h' ? RINGCTL_OPTION_HELP : id == 'V' ? RINGCTL_OPTION_VERSION : id;
        int result = set_option(id, optarg, options);
        if (result != 0)
            return result;
        *used |= UINT64_C(1) << id;
    }
    return 0;
}

static int find_command(const char *word, uint64_t used, const struct command **command)
{
    if ((used & (UINT64_C(1) << RINGCTL_OPTION_HELP)) != 0)
        word = "help";
    else if ((used & (UINT64_C(1) << RINGCTL_OPTION_VERSION)) != 0)
        word = "version";
    if (word == NULL) {
        say_line("no command was given; see 'ringctl help'");
        return RINGCTL_USAGE;
    }
    *command = command_find(word);
    return *command != NULL ? 0 : usage("command", word, "there is no such command");
}

static int check_options(const struct command *command, uint64_t used)
{
    for (int id = 0; long_options[id].name != NULL; id++) {
        if ((used & ~command->options & (UINT64_C(1) << id)) != 0) {
            say_line("%s has no option --%s; see 'ringctl help'", command->word, long_options[id].name);
            return RINGCTL_USAGE;
        }
    }
    return 0;
}

/* What cannot be together, or NULL. */
static const char *find_contradiction(const struct options *options, uint64_t used)
{
    const uint64_t both = UINT64_C(1) << RINGCTL_OPTION_FROM | UINT64_C(1) << RINGCTL_OPTION_SINCE;

    if (strcmp(options->command, "write") == 0) {
        if (options->type_count > 1)
            return "--type: a record has one type; give one";
        return options->level_min != options->level_max ? "--level: a record has one level; give one" : NULL;
    }
    if (strcmp(options->command, "tail") != 0)
        return NULL;
    if (options->json && options->binary)
        return "--json and --binary are two forms of output; give one of them";
    if ((used & both) == both)
        return "--from and --since both say where to start; give one of them";
    if (options->cursor != NULL && options->group != NULL)
        return "--cursor and --group: a group remembers where it is by itself; give one of them";
    if (options->lane != 0 && options->group != NULL)
        return "--lane and --group: the members of a group share all lanes; give one of them";
    return NULL;
}

static int check_combination(const struct options *options, uint64_t used)
{
    const char *contradiction = find_contradiction(options, used);

    if (contradiction == NULL)
        return 0;
    say_line("%s: %s", options->command, contradiction);
    return RINGCTL_USAGE;
}

/* The word behind the name. */
static int set_second_word(const struct command *command, const char *word, struct options *options)
{
    if (command->name == RINGCTL_NAME_AND_SIZE)
        return set_size_word(word, &options->ring.size);
    options->cursor = word;
    return is_label(word) ? 0 : usage("cursor", word, "give a name of 1 to 47 characters");
}

static int check_name(const struct command *command, int count, char **words, struct options *options)
{
    bool sized = command->name == RINGCTL_NAME_AND_SIZE, two = sized || command->name == RINGCTL_NAME_AND_CURSOR;

    if ((two || command->name == RINGCTL_NAME_NEEDED) && count == 0) {
        say_line("%s: the name of a ring is missing; see 'ringctl help'", command->word);
        return RINGCTL_USAGE;
    }
    if (two && count == 1) {
        say_line("%s '%s': %s", command->word, words[0],
                 sized ? "the new size is missing; give a power of two, as in 65536, 64K or 16M"
                       : "the name of a cursor is missing; 'ringctl status NAME' shows those of a ring");
        return RINGCTL_USAGE;
    }
    int allowed = command->name == RINGCTL_NAME_NONE ? 0 : two ? 2 : 1;
    if (count > allowed)
        return usage(command->word, words[allowed], "one word too many");
    options->name = count > 0 ? words[0] : NULL;
    return two ? set_second_word(command, words[1], options) : 0;
}

int args_parse(int argc, char **argv, struct options *options, const struct command **command)
{
    *options = (struct options){
        .interval_ns = DEFAULT_INTERVAL_NS, .timeout_ns = RINGCTL_WAIT_FOREVER, .count = RINGCTL_NO_COUNT};
    uint64_t used = 0;
    int result = parse_options(argc, argv, options, &used);
    if (result == 0)
        result = find_command(argv[optind], used, command);
    if (result != 0)
        return result;
    options->command = (*command)->word;
    if ((*command)->options == UINT64_MAX) /* help and version take what else is on the line */
        return 0;
    result = check_options(*command, used);
    if (result == 0)
        result = check_name(*command, argc - optind - 1, argv + optind + 1, options);
    return result == 0 ? check_combination(options, used) : result;
}
