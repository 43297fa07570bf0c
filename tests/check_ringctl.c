/* check_ringctl.c - the operator's command: the fixed forms, what goes in and out byte for byte, exit codes, and what
 * it says when something is wrong.
 *
 * Commands run as a user would run them, with files or pipes as their input and output. Messages are checked for what
 * they have to name (the thing asked for, what is wrong, what would do), not for their words.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support_check.h"

#define RING "log"

enum {
    DONE = 0,
    FAILED = 1,
    USAGE = 2,
    REFUSED = 3,
    GAP = 4,
    NO_RING = 5,
    NO_DAEMON = 6,
    NOT_PERMITTED = 7,
};

/* Runs ringctl with this input and requires the exit code. */
#define run_ringctl(command, expected, input, input_len, ...)                                                          \
    do {                                                                                                               \
        ringctl(command, input, input_len, __VA_ARGS__, NULL);                                                         \
        ck_assert_msg((command)->code == (expected), "exit code %d: %s", (command)->code, (command)->err);             \
    } while (0)

static void ck_text(const char *text, size_t len, const char *expected, size_t expected_len)
{
    ck_assert_uint_eq(len, expected_len);
    ck_assert_mem_eq(text, expected, len);
}

static void ck_says(const struct command *command, const char *what)
{
    ck_assert_msg(strstr(command->err, what) != NULL, "\"%s\" is not in: %s", what, command->err);
}

static void create(const char *policy)
{
    struct command command;

    run_ringctl(&command, DONE, "", 0, "create", RING, "--size", "64K", "--policy", policy);
    ck_text(command.out, command.out_len, "", 0);
    ck_text(command.err, command.err_len, "", 0);
    command_free(&command);
}

/* What tail shows of everything that is there. */
static struct command tail_all(const char *form)
{
    struct command command;

    if (form != NULL)
        run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", "oldest", "--no-wait", form);
    else
        run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", "oldest", "--no-wait");
    return command;
}

/* ---- lines and frames -------------------------------------------------------------------------------------------- */

START_TEST(lines_go_through_byte_for_byte)
{
    static const struct {
        const char *in, *out;
        size_t in_len, out_len, count;
    } cases[] = {
#define CASE(in, out, count) {in, out, sizeof in - 1, sizeof out - 1, count}
        CASE("one\ntwo\nthree\n", "one\ntwo\nthree\n", 3),
        CASE("unterminated\nlast", "unterminated\nlast\n", 2),
        CASE("\n\n\n", "\n\n\n", 3),
        CASE("", "", 0),
        CASE("\n", "\n", 1),
        CASE("x", "x\n", 1),
        CASE("dos\r\nunix\n\r\n", "dos\r\nunix\n\r\n", 3),
        CASE("nul\0in it\n\0\n\0\0", "nul\0in it\n\0\n\0\0\n", 3),
        CASE("\xff\xfe\x80 not utf-8\n\x1b[31mred\x1b[0m\n", "\xff\xfe\x80 not utf-8\n\x1b[31mred\x1b[0m\n", 2),
#undef CASE
    };
    struct command command;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        create("lossless");
        run_ringctl(&command, DONE, cases[i].in, cases[i].in_len, "write", RING);
        ck_text(command.out, command.out_len, "", 0);
        ck_text(command.err, command.err_len, "", 0);
        command_free(&command);
        ck_assert_uint_eq(ring_info(RING).committed, cases[i].count);
        command = tail_all(NULL);
        ck_text(command.out, command.out_len, cases[i].out, cases[i].out_len);
        ck_text(command.err, command.err_len, "", 0);
        command_free(&command);
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
}
END_TEST

/* Four bytes of length, least significant first: any payload survives it, both ways. */
START_TEST(frames_carry_anything)
{
    static const char frames[] = "\x03\0\0\0a\nb"
                                 "\0\0\0\0"
                                 "\x05\0\0\0\0\n\r\n\0"
                                 "\x04\0\0\0\xff\xfe\x80\n";
    struct command command;

    create("lossless");
    run_ringctl(&command, DONE, frames, sizeof frames - 1, "write", RING, "--binary");
    command_free(&command);
    ck_assert_uint_eq(ring_info(RING).committed, 4);
    command = tail_all("--binary");
    ck_text(command.out, command.out_len, frames, sizeof frames - 1);
    command_free(&command);
    command = tail_all(NULL);
    ck_text(command.out, command.out_len, "a\nb\n\n\0\n\r\n\0\n\xff\xfe\x80\n\n", 16);
    command_free(&command);
}
END_TEST

START_TEST(a_frame_that_is_cut_off_is_told)
{
    static const char *const cut[] = {"\x03\0\0\0abc\x03", "\x03\0\0\0abc\x03\0\0\0d"};
    static const size_t lens[] = {8, 12};
    struct command command;

    for (int i = 0; i < 2; i++) {
        create("lossless");
        run_ringctl(&command, FAILED, cut[i], lens[i], "write", RING, "--binary");
        ck_assert_uint_gt(command.err_len, 0);
        command_free(&command);
        ck_assert_uint_eq(ring_info(RING).committed, 1); /* what was whole is in */
        ck_assert_int_eq(ringd_remove(RING), 0);
    }
}
END_TEST

/* Without the newlines. */
static size_t squeeze(char *text, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n')
            text[kept++] = text[i];
    }
    return kept;
}

/* What does not fit into a record becomes a message: records that follow each other, with every byte of the line. */
START_TEST(lines_longer_than_a_record)
{
    static char input[20000];
    struct command command;
    size_t len = 0;

    create("lossless"); /* records up to 256 */
    len += (size_t)sprintf(input, "first\n");
    memset(input + len, 'x', 257);
    len += 257;
    len += (size_t)sprintf(input + len, "\nthird\n");
    memset(input + len, 'y', 256);
    len += 256;
    len += (size_t)sprintf(input + len, "\n");
    for (size_t i = 0; i < 16000; i++)
        input[len++] = (char)('a' + i % 23);
    len += (size_t)sprintf(input + len, "\nsixth\n");
    run_ringctl(&command, DONE, input, len, "write", RING);
    ck_text(command.err, command.err_len, "", 0);
    command_free(&command);
    ck_assert_uint_eq(ring_info(RING).committed, 4 + 2 + 63);
    ck_assert_uint_eq(ring_info(RING).refused, 0);
    command = tail_all(NULL);
    command.out_len = squeeze(command.out, command.out_len);
    len = squeeze(input, len);
    ck_text(command.out, command.out_len, input, len);
    command_free(&command);
}
END_TEST

/* A frame says how long it is; what cannot be a message is refused without being looked at, and harms no other. */
START_TEST(a_frame_longer_than_any_message)
{
    int in = memory_file("\1\0\0\0a"
                         "\1\0\0\x40",
                         9),
        out = memory_file("", 0), err = memory_file("", 0);
    struct command command = {0};
    pid_t pid;

    create("lossless");
    ck_assert_int_eq(ftruncate(in, 9 + (1 << 30) + 1), 0);
    ck_assert_int_eq(pwrite(in, "\1\0\0\0b", 5, 9 + (1 << 30) + 1), 5);
    ck_assert_int_eq(lseek(in, 0, SEEK_SET), 0);
    pid = ringctl_start(in, out, err, "write", RING, "--binary", NULL);
    ck_assert_int_eq(WEXITSTATUS(child_wait(pid)), REFUSED);
    command.err = memory_file_read(err, &command.err_len);
    ck_says(&command, "record 2 ");
    ck_says(&command, "1073741824");
    ck_says(&command, "1 of 3 records");
    command_free(&command);
    ck_assert_uint_eq(ring_info(RING).committed, 2);
    ck_assert_uint_eq(ring_info(RING).refused, 1);
    close(in);
    close(out);
    close(err);
}
END_TEST

/* ---- full rings -------------------------------------------------------------------------------------------------- */

/* Lines 1, 2, 3 ... */
static char *numbered_lines(int count, size_t *len)
{
    char *text = malloc((size_t)count * 8 + 1);

    ck_assert_ptr_nonnull(text);
    *len = 0;
    for (int i = 1; i <= count; i++)
        *len += (size_t)sprintf(text + *len, "%d\n", i);
    return text;
}

/* The reader has the first ones in order, and the command says how many are missing. */
static void ck_first_ones(struct ringd_reader *reader, const struct command *command, unsigned total)
{
    struct ringd_record record;
    char number[16];
    unsigned count = 0;

    while (ringd_next(reader, &record) == RINGD_OK) {
        snprintf(number, sizeof number, "%u", ++count);
        ck_assert_uint_eq(record.len, strlen(number));
        ck_assert_mem_eq(record.data, number, record.len);
    }
    ck_assert_uint_gt(count, 100);
    ck_assert_uint_lt(count, total);
    snprintf(number, sizeof number, "%u", total - count);
    ck_says(command, number);
}

START_TEST(write_gives_up_after_its_time)
{
    struct ringd_reader *reader;
    struct command command;
    char *lines;
    size_t len;

    create("lossless");
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    lines = numbered_lines(5000, &len);
    run_ringctl(&command, REFUSED, lines, len, "write", RING, "--timeout", _i == 0 ? "0" : "20ms");
    ck_first_ones(reader, &command, 5000);
    command_free(&command);
    ck_assert_uint_eq(ring_info(RING).offered, 5000);
    free(lines);
}
END_TEST

START_TEST(write_goes_on_dropping)
{
    struct ringd_reader *reader;
    struct command command;
    char *lines;
    size_t len;

    create("drop");
    reader = open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    lines = numbered_lines(5000, &len);
    run_ringctl(&command, REFUSED, lines, len, "write", RING);
    ck_first_ones(reader, &command, 5000);
    command_free(&command);
    ck_assert_uint_eq(ring_info(RING).offered, 5000);
    ck_assert_uint_gt(ring_info(RING).dropped_full, 0);
    free(lines);
}
END_TEST

/* Without --timeout it waits for as long as it takes; two lossless tails get every line. */
START_TEST(write_waits_for_room)
{
    int outs[2], errs[2];
    struct command command;
    pid_t pids[2];
    char *lines;
    size_t len;

    create("lossless");
    lines = numbered_lines(100000, &len);
    for (int i = 0; i < 2; i++) {
        outs[i] = memory_file("", 0);
        errs[i] = memory_file("", 0);
        pids[i] = ringctl_start(STDIN_FILENO, outs[i], errs[i], "tail", RING, "--lossless", "--from", "now", "--count",
                                "100000", NULL);
    }
    wait_for_contexts(RING, 2);
    run_ringctl(&command, DONE, lines, len, "write", RING);
    command_free(&command);
    for (int i = 0; i < 2; i++) {
        size_t out_len, err_len;
        char *out, *err;

        ck_assert_int_eq(child_wait(pids[i]), 0);
        out = memory_file_read(outs[i], &out_len);
        err = memory_file_read(errs[i], &err_len);
        ck_assert_uint_eq(out_len, len);
        ck_assert(memcmp(out, lines, len) == 0);
        ck_assert_str_eq(err, "");
        free(out);
        free(err);
    }
    free(lines);
}
END_TEST

/* ---- gaps -------------------------------------------------------------------------------------------------------- */

/* A tail that stands still while the ring is overwritten says how many it lost, and its exit code shows it. */
START_TEST(tail_tells_gaps)
{
    int out = memory_file("", 0), err = memory_file("", 0);
    unsigned lost = 0, lines = 0, before = 0;
    struct ringd_writer *w;
    char *out_text, *err_text;
    size_t out_len, err_len;
    int status;
    pid_t pid;

    create("overwrite");
    w = open_writer(RING);
    pid = ringctl_start(STDIN_FILENO, out, err, "tail", RING, "--from", "now", NULL);
    wait_for_contexts(RING, 2);
    for (; lseek(out, 0, SEEK_END) == 0; before++) { /* attached is not yet begun */
        ck_assert_int_eq(ringd_write(w, "abcdefg", 7), RINGD_OK);
        pause_ms(1);
    }
    child_stop(pid);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(ringd_write(w, "abcdefg", 7), RINGD_OK);
    ck_assert_int_eq(ringd_remove(RING), 0);
    child_continue(pid);
    status = child_wait(pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), GAP);
    out_text = memory_file_read(out, &out_len);
    err_text = memory_file_read(err, &err_len);
    for (size_t i = 0; i < out_len; i++)
        lines += out_text[i] == '\n';
    ck_assert_uint_eq(out_len, lines * 8);
    ck_assert_msg(sscanf(err_text, "ringctl: tail 'log': %u", &lost) == 1, "it says: %s", err_text);
    ck_assert_uint_le(lines + lost, 20000 + before); /* some of those before it may have come before it began */
    ck_assert_uint_gt(lines + lost, 20000);
    ck_assert_uint_gt(lost, 0);
    free(out_text);
    free(err_text);
}
END_TEST

/* ---- tail -------------------------------------------------------------------------------------------------------- */

START_TEST(tail_from_oldest_now_and_a_position)
{
    struct ringd_record record, marked = {0};
    struct ringd_reader *reader;
    struct command command;
    char position[24], count[8];

    create("lossless");
    run_ringctl(&command, DONE, "one\ntwo\nthree\nfour\n", 19, "write", RING);
    command_free(&command);
    reader = open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_OLDEST);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        marked = record;
    }
    snprintf(position, sizeof position, "%lu", (unsigned long)marked.position);
    run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", position, "--no-wait");
    ck_assert_str_eq(command.out, "three\nfour\n");
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", "now", "--no-wait");
    ck_assert_str_eq(command.out, "");
    command_free(&command);
    for (int n = 0; n <= 4; n++) {
        static const char *const expected[] = {"", "one\n", "one\ntwo\n", "one\ntwo\nthree\n",
                                               "one\ntwo\nthree\nfour\n"};

        snprintf(count, sizeof count, "%d", n);
        run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", "oldest", "--count", count);
        ck_assert_str_eq(command.out, expected[n]);
        command_free(&command);
    }
    snprintf(position, sizeof position, "%lu", (unsigned long)marked.position + 1);
    ringctl(&command, "", 0, "tail", RING, "--from", position, NULL);
    ck_assert_int_ne(command.code, DONE);
    ck_says(&command, position);
    command_free(&command);
}
END_TEST

/* What tail is asked to see, where to start, and what cannot be: the value is named, and what would do. */
START_TEST(tail_of_what_is_wanted)
{
    static const char *const bad[][3] = {
        {"--type", "65536", "65535"},     {"--level", "9-3", "3-5"},       {"--writer", "1,,2", "0,3"},
        {"--since", "tomorrow", "14:03"}, {"--from", "time:-1", "oldest"}, {"--merge", "space", "time"},
        {"--wait", "patiently", "busy"},  {"--cursor", "", "47"},          {"--group", "", "47"},
    };
    static const char *const wanted[][3] = {
        {"--type", "4,6", "4\n6\n"}, {"--level", "3", "3\n"}, {"--level", "7-", "7\n8\n9\n"},
        {"--writer", "1,2", ""},     {"--level", "0", "0\n"}, {"--writer", "0", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"},
    };
    struct command command;

    create("lossless");
    for (int i = 0; i < 10; i++) {
        char number[4], line[4];

        snprintf(number, sizeof number, "%d", i);
        snprintf(line, sizeof line, "%d\n", i);
        run_ringctl(&command, DONE, line, 2, "write", RING, "--type", number, "--level", number);
        command_free(&command);
        for (unsigned writers = 1; writers > 0; writers = ring_info(RING).writers)
            pause_ms(1); /* the next one gets the same slot */
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        run_ringctl(&command, DONE, "", 0, "tail", RING, "--from", "oldest", "--no-wait", wanted[i][0], wanted[i][1]);
        ck_assert_str_eq(command.out, wanted[i][2]);
        command_free(&command);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_ringctl(&command, USAGE, "", 0, "tail", RING, "--no-wait", bad[i][0], bad[i][1]);
        ck_says(&command, bad[i][0]);
        ck_says(&command, bad[i][1]);
        ck_says(&command, bad[i][2]);
        command_free(&command);
    }
    run_ringctl(&command, USAGE, "", 0, "tail", RING, "--no-wait", "--since", "5s");
    ck_says(&command, "--time");
    command_free(&command);
}
END_TEST

/* It writes out what it has before it waits for more. */
START_TEST(tail_shows_a_line_at_once)
{
    struct ringd_writer *w;
    char text[64];
    int pipes[2];
    pid_t pid;

    create("lossless");
    w = open_writer(RING);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid = ringctl_start(STDIN_FILENO, pipes[1], memory_file("", 0), "tail", RING, _i == 0 ? "--lossless" : "--binary",
                        NULL);
    wait_for_contexts(RING, 2);
    child_wait_still(pid); /* an observer starts where it looks first, after the daemon knows of it */
    for (int i = 0; i < 5; i++) {
        size_t expected = _i == 0 ? 6 : 9, got = 0;

        ck_assert_int_eq(ringd_write(w, "hello", 5), RINGD_OK);
        while (got < expected) {
            ssize_t len = read(pipes[0], text + got, expected - got);

            ck_assert_int_gt(len, 0);
            got += (size_t)len;
        }
        ck_assert(memcmp(text, _i == 0 ? "hello\n" : "\x05\0\0\0hello", expected) == 0);
    }
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(child_wait(pid), 0); /* the end of the ring is no failure */
}
END_TEST

/* And write gives to the ring what has come, before it waits for more input. */
START_TEST(write_passes_a_line_on_at_once)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    int pipes[2];
    pid_t pid;

    create("lossless");
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid = ringctl_start(pipes[0], STDOUT_FILENO, STDERR_FILENO, "write", RING, NULL);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(write(pipes[1], "line\nbegun", 10), 10);
        ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
        ck_assert_uint_eq(record.len, i == 0 ? 4 : 9);
        ck_assert_int_eq(ringd_release(reader), RINGD_OK);
    }
    close(pipes[0]);
    close(pipes[1]);
    ck_assert_int_eq(child_wait(pid), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_uint_eq(record.len, 5);
}
END_TEST

/* Nobody reads the output any more: no words, no failure. */
START_TEST(a_closed_pipe_is_quiet)
{
    static const char *const commands[] = {"tail", "list", "status", "help"};
    int pipes[2], err = memory_file("", 0), status;
    size_t err_len;
    char *text;
    pid_t pid;

    create("lossless");
    ck_assert_int_eq(ringd_write(open_writer(RING), "abc", 3), RINGD_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        close(pipes[0]);
        if (i == 0)
            pid = ringctl_start(STDIN_FILENO, pipes[1], err, "tail", RING, "--from", "oldest", NULL);
        else
            pid = ringctl_start(STDIN_FILENO, pipes[1], err, commands[i], NULL);
        status = child_wait(pid);
        close(pipes[1]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "%s: status 0x%x", commands[i],
                      (unsigned)status);
    }
    text = memory_file_read(err, &err_len);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

/* Stopped by SIGINT it writes out what it took, and that is no failure. */
START_TEST(an_interrupted_tail_shows_what_it_took)
{
    int out = memory_file("", 0);
    struct ringd_context_info context;
    struct ringd_writer *w;
    size_t len;
    char *text;
    pid_t pid;

    create("lossless");
    w = open_writer(RING);
    pid = ringctl_start(STDIN_FILENO, out, memory_file("", 0), "tail", RING, "--lossless", NULL);
    wait_for_contexts(RING, 2);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
    do
        pause_ms(1);
    while (!find_context(RING, RINGD_CONTEXT_LOSSLESS, &context) || context.delivered < 10);
    kill(pid, SIGINT);
    ck_assert_int_eq(child_wait(pid), 0);
    text = memory_file_read(out, &len);
    ck_assert_uint_eq(len, 40);
    free(text);
}
END_TEST

/* ---- a busy ring ------------------------------------------------------------------------------------------------- */

static void write_busily(void *argument)
{
    struct ringd_writer *w = open_writer(RING);

    (void)argument;
    for (;;)
        ringd_write(w, "busy busy busy", 14);
}

/* Lines written while others write as fast as they can come out in their order, once each. */
START_TEST(write_and_tail_on_a_busy_ring)
{
    int out = memory_file("", 0);
    struct command command;
    unsigned next = 1;
    char *lines, *text;
    size_t len, out_len;
    pid_t busy, tail;

    run_ringctl(&command, DONE, "", 0, "create", RING, "--size", "1M", "--policy", "lossless");
    command_free(&command);
    busy = child_start(write_busily, NULL);
    tail = ringctl_start(STDIN_FILENO, out, memory_file("", 0), "tail", RING, "--lossless", "--json", NULL);
    wait_for_contexts(RING, 2);
    lines = numbered_lines(2000, &len);
    run_ringctl(&command, DONE, lines, len, "write", RING, "--type", "77", "--level", "3");
    command_free(&command);
    child_kill(busy);
    ck_assert_int_eq(ringd_remove(RING), 0);
    child_wait(tail);
    text = memory_file_read(out, &out_len);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char expected[32];

        if (strstr(line, "\"type\":77,") == NULL)
            continue;
        snprintf(expected, sizeof expected, "\"data\":\"%u\"", next++);
        ck_assert_msg(strstr(line, expected) != NULL, "%s is not in %s", expected, line);
        ck_assert_ptr_nonnull(strstr(line, "\"level\":3,"));
    }
    ck_assert_uint_eq(next, 2001);
    free(lines);
    free(text);
}
END_TEST

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static const char *json_skip(const char *c)
{
    return c + strspn(c, " \t\r\n");
}

static const char *json_string_end(const char *c)
{
    for (c++; *c != '"'; c++) {
        if (*c == '\0' || (unsigned char)*c < 0x20)
            return NULL;
        if (*c == '\\' && *++c == '\0')
            return NULL;
    }
    return c + 1;
}

static const char *json_value_end(const char *c);

/* An object or an array, up to its closing bracket. */
static const char *json_list_end(const char *c, bool object)
{
    char close = object ? '}' : ']';

    c = json_skip(c + 1);
    if (*c == close)
        return c + 1;
    for (;; c = json_skip(c + 1)) {
        if (object) {
            c = *c == '"' ? json_string_end(c) : NULL;
            c = c != NULL && *json_skip(c) == ':' ? json_skip(json_skip(c) + 1) : NULL;
        }
        c = c != NULL ? json_value_end(c) : NULL;
        if (c == NULL || (*json_skip(c) != ',' && *json_skip(c) != close))
            return NULL;
        c = json_skip(c);
        if (*c == close)
            return c + 1;
    }
}

/* Behind the value that begins here; NULL: it is none. */
static const char *json_value_end(const char *c)
{
    char *end;

    if (*c == '{' || *c == '[')
        return json_list_end(c, *c == '{');
    if (*c == '"')
        return json_string_end(c);
    if (strncmp(c, "true", 4) == 0 || strncmp(c, "null", 4) == 0)
        return c + 4;
    if (strncmp(c, "false", 5) == 0)
        return c + 5;
    strtod(c, &end);
    return end != c && (isdigit((unsigned char)*c) || *c == '-') ? end : NULL;
}

static void ck_json(const char *text)
{
    const char *end = json_value_end(json_skip(text));

    ck_assert_msg(end != NULL && *json_skip(end) == '\0', "not JSON: %s", text);
}

/* The number behind a key, wherever it stands first. */
static unsigned long json_number(const char *text, const char *key)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(text, quoted);
    ck_assert_msg(at != NULL, "no %s in %s", key, text);
    return strtoul(json_skip(at + strlen(quoted)), NULL, 10);
}

START_TEST(json_everywhere)
{
    struct command command;

    create("lossless");
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    open_reader(RING, RINGD_READ_OBSERVE, RINGD_START_NOW);
    run_ringctl(&command, DONE, "a\nb\xff\nc\"\\\x01\n", 10, "write", RING, "--json");
    ck_json(command.out);
    ck_assert_uint_eq(json_number(command.out, "written"), 3);
    command_free(&command);

    run_ringctl(&command, DONE, "", 0, "list", "--json");
    ck_json(command.out);
    ck_assert_int_eq(command.out[0], '[');
    ck_assert_ptr_nonnull(strstr(command.out, "\"" RING "\""));
    command_free(&command);

    run_ringctl(&command, DONE, "", 0, "status", RING, "--json");
    ck_json(command.out);
    ck_assert_int_eq(command.out[0], '{');
    ck_assert_uint_eq(json_number(command.out, "committed"), 3);
    ck_assert_uint_eq(json_number(command.out, "size"), 65536);
    ck_assert_ptr_nonnull(strstr(command.out, "\"readers\""));
    ck_assert_ptr_nonnull(strstr(command.out, "\"lag\""));
    command_free(&command);

    run_ringctl(&command, DONE, "", 0, "status", "--json");
    ck_json(command.out);
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "version", "--json");
    ck_json(command.out);
    command_free(&command);

    command = tail_all("--json");
    for (char *line = strtok(command.out, "\n"); line != NULL; line = strtok(NULL, "\n"))
        ck_json(line);
    command_free(&command);
}
END_TEST

START_TEST(tables_are_plain_text)
{
    struct command command;

    create("lossless");
    open_writer(RING);
    open_reader(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW);
    run_ringctl(&command, DONE, "", 0, "status", RING);
    ck_assert_ptr_nonnull(strstr(command.out, "check_ringctl"));
    ck_assert_ptr_null(strchr(command.out, '\x1b')); /* not a terminal */
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "status");
    ck_assert_ptr_nonnull(strstr(command.out, RING));
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "list");
    ck_assert_ptr_nonnull(strstr(command.out, RING));
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "remove", RING);
    command_free(&command);
    run_ringctl(&command, NO_RING, "", 0, "remove", RING);
    command_free(&command);
}
END_TEST

/* ---- bad input --------------------------------------------------------------------------------------------------- */

static void ck_create_says(int code, const char *what, const char *name, const char *option, const char *value)
{
    struct command command;

    run_ringctl(&command, code, "", 0, "create", name, option, value);
    ck_assert_str_eq(command.out, "");
    if (what != NULL)
        ck_says(&command, what);
    ck_assert_int_eq(strncmp(command.err, "ringctl: ", 9), 0);
    command_free(&command);
}

START_TEST(sizes_that_cannot_be)
{
    struct statvfs status;

    ck_create_says(USAGE, "4194304", "bad", "--size", "3000000");
    ck_create_says(USAGE, "8192", "bad", "--size", "5000");
    ck_create_says(USAGE, "power of two", "bad", "--size", "0");
    ck_create_says(USAGE, "4096", "bad", "--size", "2048");
    ck_create_says(USAGE, "64G", "bad", "--size", "128G");
    ck_create_says(USAGE, "--size", "bad", "--size", "-1");
    ck_create_says(USAGE, "--size", "bad", "--size", "many");
    ck_create_says(USAGE, "--size", "bad", "--size", "");
    ck_create_says(USAGE, "--size", "bad", "--size", "99999999999999999999");
    ck_create_says(USAGE, "--size", "bad", "--size", "16MM");
    ck_assert_int_eq(statvfs("/dev/shm", &status), 0);
    if ((uint64_t)status.f_bavail * status.f_frsize < UINT64_C(1) << 36)
        ck_create_says(FAILED, "/dev/shm", "bad", "--size", "64G");
    else
        support_skip("size_larger_than_shared_memory", "this machine has more than the largest ring takes");
    create("lossless"); /* nothing of it has stayed, and the daemon is well */
    ck_assert_uint_eq(daemon_objects(&server), RING_OBJECTS);
}
END_TEST

START_TEST(other_options_that_cannot_be)
{
    ck_create_says(USAGE, "1/64", "bad", "--max-record", "1M");
    ck_create_says(USAGE, "--max-record", "bad", "--max-record", "0");
    ck_create_says(USAGE, "overwrite", "bad", "--policy", "maybe");
    ck_create_says(USAGE, "monotonic", "bad", "--time", "later");
    ck_create_says(USAGE, "--mode", "bad", "--mode", "0999");
    ck_create_says(USAGE, "32", "bad", "--first-position", "33");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "maybe");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "report:1s");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "kill:");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "kill:0");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "move:2h");
    ck_create_says(USAGE, "kill:200ms", "bad", "--stopped", "kill:200ms:1s");
    ck_create_says(USAGE, "evict", "bad", "--slow", "maybe");
    ck_create_says(USAGE, "slow_bytes", "bad", "--slow", "evict"); /* beyond what? */
    ck_create_says(USAGE, "lossy or evict", "bad", "--slow-bytes", "64K");
    ck_create_says(USAGE, "lossy or evict", "bad", "--slow-after", "2s");
    ck_create_says(USAGE, "4M", "bad", "--slow-bytes", "0");
    ck_create_says(USAGE, "500ms", "bad", "--slow-after", "0");
    ck_create_says(USAGE, "500ms", "bad", "--slow-after", "61m");
    ck_create_says(USAGE, "--timeout", "bad", "--timeout", "1s"); /* of another command */
    ck_create_says(USAGE, "--colour", "bad", "--colour", "red");
    ck_assert_uint_eq(daemon_objects(&server), 0);
}
END_TEST

/* What is said of stopped writers and slow readers comes back, for people and as JSON. */
START_TEST(bounds_are_shown)
{
    struct command command;

    run_ringctl(&command, DONE, "", 0, "create", RING, "--stopped", "kill:200ms", "--slow", "lossy", "--slow-bytes",
                "512K", "--slow-after", "1.5s", "--json");
    ck_json(command.out);
    ck_assert_ptr_nonnull(strstr(command.out, "\"stopped\": \"kill\""));
    ck_assert_uint_eq(json_number(command.out, "stopped_after_ms"), 200);
    ck_assert_ptr_nonnull(strstr(command.out, "\"slow\": \"lossy\""));
    ck_assert_uint_eq(json_number(command.out, "slow_bytes"), 512 << 10);
    ck_assert_uint_eq(json_number(command.out, "slow_after_ms"), 1500);
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "status", RING);
    ck_assert_ptr_nonnull(strstr(command.out, "kill after 200ms"));
    ck_assert_ptr_nonnull(strstr(command.out, "lossy when 512K behind or after keeping writers waiting for 1500ms"));
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "create", "plain", "--stopped", "move");
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "status", "plain");
    ck_assert_ptr_nonnull(strstr(command.out, "move after 1s; slow readers: wait\n"));
    command_free(&command);
}
END_TEST

START_TEST(names_that_cannot_be)
{
    static char name[301];
    static const char *const names[] = {"a/b",        "../etc/passwd", ".hidden",  "",
                                        "with space", "new\nline",     "\xc3\xa4", name};
    struct command command;

    memset(name, 'n', 300);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_create_says(USAGE, NULL, names[i], "--size", "64K");
        run_ringctl(&command, USAGE, "x\n", 2, "write", names[i]);
        command_free(&command);
        run_ringctl(&command, USAGE, "", 0, "tail", names[i]);
        command_free(&command);
    }
    ck_create_says(USAGE, "63", name, "--size", "64K");
    name[63] = '\0'; /* the longest there may be */
    run_ringctl(&command, DONE, "", 0, "create", name);
    command_free(&command);
    name[63] = 'n';
    name[64] = '\0';
    ck_create_says(USAGE, "63", name, "--size", "64K");
    ck_assert_uint_eq(daemon_objects(&server), RING_OBJECTS);
}
END_TEST

START_TEST(rings_that_are_not_there)
{
    static const char *const commands[] = {"write", "tail", "status", "remove"};
    struct command command;

    for (int i = 0; i < 4; i++) {
        run_ringctl(&command, NO_RING, "x\n", 2, commands[i], "nowhere");
        ck_says(&command, "nowhere");
        ck_says(&command, "ringctl create");
        ck_assert_str_eq(command.out, "");
        command_free(&command);
    }
    create("lossless");
    run_ringctl(&command, FAILED, "", 0, "create", RING);
    ck_says(&command, RING);
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "create", "flight", "--policy", "overwrite");
    command_free(&command);
    ringctl(&command, "", 0, "tail", "flight", "--lossless", NULL);
    ck_assert_int_ne(command.code, DONE);
    ck_says(&command, "flight");
    command_free(&command);
}
END_TEST

START_TEST(no_daemon)
{
    static const char *const commands[] = {"list", "status"}, *const with_name[] = {"create", "remove", "write",
                                                                                    "tail"};
    struct command command;

    setenv("RINGD_SOCKET", "/nonexistent/ringd.sock", 1);
    for (int i = 0; i < 2; i++) {
        run_ringctl(&command, NO_DAEMON, "", 0, commands[i]);
        ck_says(&command, "/nonexistent/ringd.sock");
        ck_says(&command, "RINGD_SOCKET");
        command_free(&command);
    }
    for (int i = 0; i < 4; i++) {
        run_ringctl(&command, NO_DAEMON, "x\n", 2, with_name[i], RING);
        ck_says(&command, "/nonexistent/ringd.sock");
        command_free(&command);
    }
    run_ringctl(&command, DONE, "", 0, "list", "--socket", server.socket);
    command_free(&command);
}
END_TEST

START_TEST(command_lines_that_cannot_be)
{
    struct command command;

    run_ringctl(&command, USAGE, "", 0, "frobnicate");
    ck_says(&command, "frobnicate");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "create");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "tail", RING, "--from");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "tail", RING, "--from", "yesterday");
    ck_says(&command, "oldest");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "tail", RING, "--count", "-3");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "write", RING, "--timeout", "soon");
    ck_says(&command, "--timeout");
    command_free(&command);
    run_ringctl(&command, USAGE, "", 0, "write", RING, RING);
    command_free(&command);
    ringctl(&command, "", 0, NULL);
    ck_assert_int_eq(command.code, USAGE);
    command_free(&command);
    run_ringctl(&command, DONE, "", 0, "help");
    ck_assert_ptr_nonnull(strstr(command.out, "Exit code"));
    command_free(&command);
}
END_TEST

START_TEST(a_ring_removed_under_a_writing_command)
{
    int pipes[2], err = memory_file("", 0), status;
    struct ringd_reader *reader;
    struct ringd_record record;
    size_t len;
    char *text;
    pid_t pid;

    create("lossless");
    reader = open_reader_until(RING, RINGD_READ_LOSSLESS, RINGD_START_NOW, RINGD_FOREVER);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid = ringctl_start(pipes[0], STDOUT_FILENO, err, "write", RING, NULL);
    ck_assert_int_eq(write(pipes[1], "first\n", 6), 6);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_int_eq(ringd_remove(RING), 0);
    ck_assert_int_eq(write(pipes[1], "second\n", 7), 7);
    close(pipes[1]);
    close(pipes[0]);
    status = child_wait(pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), NO_RING);
    text = memory_file_read(err, &len);
    ck_assert_ptr_nonnull(strstr(text, "removed"));
    free(text);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_END);
}
END_TEST

/* ---- a million lines --------------------------------------------------------------------------------------------- */

/* The last line of strace's table: how many calls in all. */
static long total_calls(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[256];
    long total = -1;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *end = line + strlen(line);

        while (end > line && isspace((unsigned char)end[-1]))
            *--end = '\0';
        if (end - line > 6 && strcmp(end - 5, "total") == 0)
            sscanf(line, "%*s %*s %*s %ld", &total);
    }
    if (file != NULL)
        fclose(file);
    return total;
}

START_TEST(a_million_lines_cost_few_system_calls)
{
    char table[200], path[4200], *lines;
    const char *const words[] = {"/usr/bin/strace", "-f", "-c", "-o", table, path, "write", RING, NULL};
    struct command command;
    size_t len;

    if (access(words[0], X_OK) != 0 || support_sanitized()) {
        support_skip("a_million_lines_cost_few_system_calls",
                     "strace is not installed, or a sanitizer makes calls too");
        return;
    }
    snprintf(table, sizeof table, "%s/strace", support_folder());
    snprintf(path, sizeof path, "%s", support_built("ringctl"));
    create("lossless");
    lines = numbered_lines(1000000, &len);
    command_run(&command, lines, len, words);
    if (command.code != DONE && strstr(command.err, "ptrace") != NULL) {
        support_skip("a_million_lines_cost_few_system_calls", "strace may not trace here");
        return;
    }
    ck_assert_msg(command.code == DONE, "exit code %d: %s", command.code, command.err);
    ck_assert_uint_eq(ring_info(RING).committed, 1000000);
    ck_assert_int_gt(total_calls(table), 0);
    ck_assert_int_lt(total_calls(table), 5000);
    command_free(&command);
    free(lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ringctl");
    TCase *tests = add_case(suite, "ringctl");

    tcase_add_test(tests, lines_go_through_byte_for_byte);
    tcase_add_test(tests, frames_carry_anything);
    tcase_add_test(tests, a_frame_that_is_cut_off_is_told);
    tcase_add_test(tests, lines_longer_than_a_record);
    tcase_add_test(tests, a_frame_longer_than_any_message);
    tcase_add_loop_test(tests, write_gives_up_after_its_time, 0, 2);
    tcase_add_test(tests, write_goes_on_dropping);
    tcase_add_test(tests, write_waits_for_room);
    tcase_add_test(tests, tail_tells_gaps);
    tcase_add_test(tests, tail_from_oldest_now_and_a_position);
    tcase_add_test(tests, tail_of_what_is_wanted);
    tcase_add_loop_test(tests, tail_shows_a_line_at_once, 0, 2);
    tcase_add_test(tests, write_passes_a_line_on_at_once);
    tcase_add_test(tests, a_closed_pipe_is_quiet);
    tcase_add_test(tests, an_interrupted_tail_shows_what_it_took);
    tcase_add_test(tests, write_and_tail_on_a_busy_ring);
    tcase_add_test(tests, json_everywhere);
    tcase_add_test(tests, tables_are_plain_text);
    tcase_add_test(tests, sizes_that_cannot_be);
    tcase_add_test(tests, other_options_that_cannot_be);
    tcase_add_test(tests, bounds_are_shown);
    tcase_add_test(tests, names_that_cannot_be);
    tcase_add_test(tests, rings_that_are_not_there);
    tcase_add_test(tests, no_daemon);
    tcase_add_test(tests, command_lines_that_cannot_be);
    tcase_add_test(tests, a_ring_removed_under_a_writing_command);
    tcase_add_test(tests, a_million_lines_cost_few_system_calls);
    return run_suite(suite);
}
