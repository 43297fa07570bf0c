/* ringctl.c - the operator's command for rings.
 *
 * main reads the command line (ringctl_args.c) and runs one command of the table below; the others are in files of
 * their own. ringctl is a client of libringd like any other program: it asks the daemon through its socket, and `write`
 * and `tail` use the ring in shared memory themselves.
 */
#include "ringctl.h"

#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BIT(id) (UINT64_C(1) << RINGCTL_OPTION_##id)

static const char help_text[] =
    "Usage: ringctl COMMAND [NAME] [OPTIONS]\n"
    "\n"
    "Commands:\n"
    "  create NAME          make a ring\n"
    "    --size BYTES         of data of each lane: a power of two, 4K to 64G, with K, M or G (default 1M)\n"
    "    --lanes N            1 to 64, with 31 writers each; each lane has an order of its own (default 1)\n"
    "    --writers N          of each lane at once: 31 (default), or 1, who writes faster\n"
    "    --policy POLICY      lossless: writers wait for lossless readers (default)\n"
    "                         drop: the newest record is dropped while a lossless reader is in the way\n"
    "                         overwrite: the oldest records go; no lossless readers\n"
    "    --max-record BYTES   longest record, up to size/64 (default size/256)\n"
    "    --time SOURCE        stamp records with: none (default), monotonic, tsc\n"
    "    --hold               a lossless ring keeps its records while no lossless reader is attached\n"
    "    --mode OCTAL         rights of owner, group, others: 4 read, 2 write, 1 read losslessly (default 0740)\n"
    "    --stopped WHAT       a writer that stands still in mid-record: report (default), move[:AFTER] (the ring goes "
    "on\n"
    "                         in new memory) or kill[:AFTER]; AFTER is how long it may (default 1s)\n"
    "    --slow WHAT          a lossless reader beyond its limits: wait for it (default), make it lossy, or evict it\n"
    "    --slow-bytes BYTES   it may be so far behind\n"
    "    --slow-after T       it may keep writers waiting so long\n"
    "    --first-position N   where positions begin, a multiple of 32; for tests of the wrap\n"
    "  remove NAME          remove a ring; those attached are told\n"
    "  resize NAME SIZE     the ring goes on with another size; those attached need not care\n"
    "  forget NAME CURSOR   a named cursor (tail --cursor) is no more; a ring has room for 32\n"
    "  list                 the rings there are\n"
    "  status [NAME]        counters and rates of all rings, or of one and of all who are attached to it or have left "
    "a\n"
    "                       named cursor\n"
    "    --interval T         time between the two samples that rates come from (default 200ms; 0: no rates)\n"
    "  doctor NAME          check a ring while it is in use: every record, and whether all accounts add up\n"
    "  doctor               the same of all rings; without a daemon: what was left, and what becomes of it\n"
    "  write NAME           each line of standard input becomes a record\n"
    "    --timeout T          a record waits at most so long for room (default: without limit)\n"
    "    --type N --level N   label the records (0 to 65535, 0 to 255)\n"
    "    --binary             records are framed: 4 bytes of length, least significant first, then the payload\n"
    "  tail NAME            each record becomes a line of standard output; goes on until it is stopped\n"
    "    --from WHERE         oldest, now (default), a position, or time:TIME as --json shows it\n"
    "    --since WHEN         how long ago (5s, 10m), or when (14:03, 14:03:07, '2026-11-27 14:03')\n"
    "    --type N[,N...] --level N[-[N]] --writer N[,N...]\n"
    "                         only records of these types, of this level or range (3, 3-5, 3-), of these writers\n"
    "    --count N            end after N records\n"
    "    --no-wait            end when nothing more is there\n"
    "    --lossless           writers wait for this reader (default: observe, disturbing nobody)\n"
    "    --cursor NAME        go on where the last one of this name stopped (lossy, or with --lossless)\n"
    "    --group NAME         share the records with the others of this group, losslessly: each goes to one of them\n"
    "    --lane N             only what is in this lane, 1 to as many as the ring has (default: all)\n"
    "    --merge ORDER        of a ring with several lanes: none (default) or time\n"
    "    --wait HOW           for records: adaptive (default), busy (keeps a processor busy) or sleep\n"
    "    --binary             frame the records as write --binary takes them\n"
    "  help, version\n"
    "\n"
    "Options of all commands:\n"
    "  --json               print JSON (tail: an object a line; write: a summary)\n"
    "  --socket PATH        ringd's socket (default $RINGD_SOCKET, else /run/ringd/ringd.sock)\n"
    "  -h, --help  -V, --version\n"
    "\n"
    "Times are given as 500ms, 2s, 1.5s, 1m; a number without a unit is seconds.\n"
    "\n"
    "Exit code:\n"
    "  0  done (tail: also when it was stopped, the ring was removed, or nobody reads its output any more)\n"
    "  1  failed\n"
    "  2  the command line asks for something that cannot be\n"
    "  3  write: some records were refused or dropped; standard error says how many\n"
    "  4  tail: records were lost before they were read; standard error says how many\n"
    "  5  no such ring, or it was removed while it was written; forget: or no such cursor\n"
    "  6  ringd is not there or does not answer\n"
    "  7  not permitted\n"
    "  8  doctor: something is wrong, or will not be taken over; the lines that begin with WRONG say what\n"
    "  128+N  write: ended by signal N before the input did\n";

static int command_help(const struct options *options)
{
    return print_text(options, help_text, strlen(help_text));
}

static int command_version(const struct options *options)
{
    if (options->json)
        return print_json(options, json_pack("{s:s}", "version", ringd_version()));
    char text[64];
    int len = snprintf(text, sizeof text, "ringctl %s\n", ringd_version());
    return print_text(options, text, (size_t)len);
}

#define COMMON (BIT(SOCKET) | BIT(JSON))

static const struct command commands[] = {
    {"create", RINGCTL_NAME_NEEDED,
     COMMON | BIT(SIZE) | BIT(POLICY) | BIT(MAX_RECORD) | BIT(TIME) | BIT(HOLD) | BIT(MODE) | BIT(LANES) |
         BIT(WRITERS) | BIT(FIRST_POSITION) | BIT(STOPPED) | BIT(SLOW) | BIT(SLOW_BYTES) | BIT(SLOW_AFTER),
     command_create},
    {"remove", RINGCTL_NAME_NEEDED, COMMON, command_remove},
    {"resize", RINGCTL_NAME_AND_SIZE, COMMON, command_resize},
    {"forget", RINGCTL_NAME_AND_CURSOR, COMMON, command_forget},
    {"list", RINGCTL_NAME_NONE, COMMON, command_list},
    {"status", RINGCTL_NAME_OPTIONAL, COMMON | BIT(INTERVAL), command_status},
    {"doctor", RINGCTL_NAME_OPTIONAL, COMMON, command_doctor},
    {"write", RINGCTL_NAME_NEEDED, COMMON | BIT(TIMEOUT) | BIT(TYPE) | BIT(LEVEL) | BIT(BINARY), command_write},
    {"tail", RINGCTL_NAME_NEEDED,
     COMMON | BIT(BINARY) | BIT(FROM) | BIT(SINCE) | BIT(COUNT) | BIT(LOSSLESS) | BIT(NO_WAIT) | BIT(TYPE) |
         BIT(LEVEL) | BIT(WRITER) | BIT(CURSOR) | BIT(GROUP) | BIT(LANE) | BIT(MERGE) | BIT(WAIT),
     command_tail},
    {"help", RINGCTL_NAME_OPTIONAL, UINT64_MAX, command_help},
    {"version", RINGCTL_NAME_NONE, UINT64_MAX, command_version},
};

const struct command *command_find(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* the characters that tables may show as they are */
    signal(SIGPIPE, SIG_IGN);
    struct options options;
    const struct command *command;
    int result = args_parse(argc, argv, &options, &command);
    return result == 0 ? command->run(&options) : result;
}
