/* check_api.c - what a program meets before and beside the data: words for results, versions, opening, closing,
 * options, and the errors of each call that speaks with the daemon.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support_check.h"

#define RING "api"

START_TEST(every_result_has_words)
{
    static const int results[] = {
        RINGD_OK,   RINGD_WOULD_BLOCK, RINGD_END,   RINGD_GAP, RINGD_FULL,    RINGD_DROPPED, RINGD_EVICTED,
        -ENOENT,    -EEXIST,           -EACCES,     -EPERM,    -ECONNREFUSED, -ECONNRESET,   -EPIPE,
        -ETIMEDOUT, -EPROTONOSUPPORT,  -EMSGSIZE,   -EUSERS,   -ESHUTDOWN,    -EBUSY,        -ECHILD,
        -EBADMSG,   -ERANGE,           -EOPNOTSUPP, -EINTR,    -ENOSPC,       -EINVAL,
    };
    size_t count = sizeof results / sizeof results[0];

    for (size_t i = 0; i < count; i++) {
        const char *text = ringd_strerror(results[i]);

        ck_assert_uint_gt(strlen(text), 3);
        ck_assert_ptr_null(strchr(text, '\n'));
        ck_assert_int_ne(text[strlen(text) - 1], '.');
        for (size_t j = 0; j < i; j++) {
            bool same_end = results[i] == -EPIPE && results[j] == -ECONNRESET;

            ck_assert_msg(same_end || strcmp(text, ringd_strerror(results[j])) != 0, "%d and %d have the same words",
                          results[i], results[j]);
        }
    }
    /* Any number does. */
    for (int i = -5000; i < 5000; i++)
        ck_assert_ptr_nonnull(ringd_strerror(i));
    ck_assert_ptr_nonnull(ringd_strerror(INT32_MIN));
    ck_assert_ptr_nonnull(ringd_strerror(INT32_MAX));
}
END_TEST

START_TEST(version_is_three_numbers)
{
    const char *version = ringd_version();
    int dots = 0;

    for (const char *c = version; *c != '\0'; c++) {
        ck_assert(isdigit((unsigned char)*c) || *c == '.');
        dots += *c == '.';
    }
    ck_assert_int_eq(dots, 2);
}
END_TEST

START_TEST(closing_nothing)
{
    ringd_close(NULL);
    ringd_writer_close(NULL);
    ringd_reader_close(NULL);
}
END_TEST

START_TEST(names)
{
    static const char *const bad[] = {"", ".", ".a", "a/b", "/", "a b", "a\n", "\x80", NULL};
    char longest[65];
    struct ringd *ring;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(ringd_open(&ring, bad[i]), -EINVAL);
        ck_assert_ptr_null(ring);
        ck_assert_uint_gt(strlen(ringd_error()), 0);
        ck_assert_int_eq(ringd_create(bad[i], NULL), -EINVAL);
        ck_assert_int_eq(ringd_remove(bad[i]), -EINVAL);
        ck_assert_int_eq(ringd_status(bad[i], NULL, NULL, 0, NULL), -EINVAL);
    }
    memset(longest, 'x', 64);
    longest[64] = '\0';
    ck_assert_int_eq(ringd_create(longest, NULL), -EINVAL);
    longest[63] = '\0';
    ck_assert_int_eq(ringd_create(longest, NULL), 0);
    ck_assert_int_eq(ringd_open(&ring, longest), 0);
    ringd_close(ring);
    ck_assert_int_eq(ringd_create("AZaz09._-", NULL), 0);
    ck_assert_int_eq(ringd_open(&ring, "nowhere"), -ENOENT);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "nowhere"));
}
END_TEST

START_TEST(options_of_a_ring)
{
    static const struct {
        struct ringd_ring_options options;
        const char *say; /* what the words have to name */
    } bad[] = {
        {{.size = 3000000}, "4194304"},
        {{.size = 4097}, "8192"},
        {{.size = 2048}, "4096"},
        {{.size = UINT64_C(1) << 37}, "68719476736"},
        {{.size = UINT64_MAX}, "68719476736"},
        {{.policy = 4}, "policy"},
        {{.time = 3}, "time"},
        {{.size = 65536, .max_record = 1025}, "max_record"},
        {{.hold = 2}, "hold"},
        {{.hold = 1, .policy = RINGD_DROP}, "hold"},
        {{.lanes = 65}, "lanes"},
        {{.mode = 01000}, "mode"},
        {{.first_position = 31}, "first_position"},
        {{.first_position = UINT64_C(1) << 62}, "first_position"},
        {{.lanes = 64, .first_position = UINT64_C(1) << 56}, "72057594037927936"},
        {{.reserved = {0, 1}}, "reserved"},
        {{.reserved_32 = 1}, "reserved"},
        {{.writers = 2}, "31"},
        {{.stopped = 4}, "kill (3)"},
        {{.stopped_after_ms = 5}, "move or kill"},
        {{.stopped = RINGD_STOPPED_REPORT, .stopped_after_ms = 5}, "move or kill"},
        {{.stopped = RINGD_STOPPED_MOVE, .stopped_after_ms = 3600001}, "3600000"},
        {{.slow = 4}, "evict (3)"},
        {{.slow_bytes = 4096}, "lossy or evict"},
        {{.slow = RINGD_SLOW_WAIT, .slow_after_ms = 5}, "lossy or evict"},
        {{.slow = RINGD_SLOW_LOSSY}, "slow_bytes"},
        {{.slow = RINGD_SLOW_EVICT, .slow_after_ms = 3600001}, "3600000"},
        {{.slow = RINGD_SLOW_LOSSY, .slow_after_ms = 5, .policy = RINGD_DROP}, "slow_bytes"},
        {{.slow = RINGD_SLOW_EVICT, .slow_bytes = 912353}, "912352"}, /* 2^20 - 33 * 4128 */
        {{.slow = RINGD_SLOW_EVICT, .slow_bytes = 4096, .policy = RINGD_OVERWRITE}, "overwrites"},
    };
    struct ringd_info info;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(ringd_create(RING, &bad[i].options), -EINVAL);
        ck_assert_msg(strstr(ringd_error(), bad[i].say) != NULL, "%s is not in: %s", bad[i].say, ringd_error());
    }
    ck_assert_uint_eq(daemon_objects(&server), 0);
    ck_assert_int_eq(ringd_create(RING, NULL), 0);
    ck_assert_int_eq(ringd_create(RING, NULL), -EEXIST);
    info = ring_info(RING);
    ck_assert_uint_eq(info.size, 1 << 20);
    ck_assert_uint_eq(info.max_record, 4096);
    ck_assert_uint_eq(info.policy, RINGD_LOSSLESS);
    ck_assert_uint_eq(info.mode, 0740);
    ck_assert_uint_eq(info.hold, 0);
    ck_assert_uint_eq(info.lanes, 1);
    ck_assert_uint_eq(info.time, RINGD_TIME_NONE);
    ck_assert_uint_eq(info.stopped, RINGD_STOPPED_REPORT);
    ck_assert_uint_eq(info.stopped_after_ms, 0);
    ck_assert_uint_eq(info.slow, RINGD_SLOW_WAIT);
    ck_assert_uint_eq(info.slow_after_ms, 0);
    ck_assert_uint_eq(info.slow_bytes, 0);
}
END_TEST

/* What is done about those who are in the way, as it was asked for. */
START_TEST(bounds_of_a_ring)
{
    const struct ringd_ring_options all = {.stopped = RINGD_STOPPED_KILL,
                                           .stopped_after_ms = 3600000,
                                           .slow = RINGD_SLOW_EVICT,
                                           .slow_after_ms = 1,
                                           .slow_bytes = 912352};
    struct ringd_info info;

    ck_assert_int_eq(ringd_create(RING, &all), 0);
    info = ring_info(RING);
    ck_assert_uint_eq(info.stopped, RINGD_STOPPED_KILL);
    ck_assert_uint_eq(info.stopped_after_ms, 3600000);
    ck_assert_uint_eq(info.slow, RINGD_SLOW_EVICT);
    ck_assert_uint_eq(info.slow_after_ms, 1);
    ck_assert_uint_eq(info.slow_bytes, 912352);
    ck_assert_int_eq(ringd_create("half", &(struct ringd_ring_options){.stopped = RINGD_STOPPED_MOVE,
                                                                       .slow = RINGD_SLOW_LOSSY,
                                                                       .slow_bytes = 1}),
                     0);
    info = ring_info("half");
    ck_assert_uint_eq(info.stopped, RINGD_STOPPED_MOVE);
    ck_assert_uint_eq(info.stopped_after_ms, 1000); /* the default */
    ck_assert_uint_eq(info.slow, RINGD_SLOW_LOSSY);
    ck_assert_uint_eq(info.slow_after_ms, 0);
    ck_assert_uint_eq(info.slow_bytes, 1);
    ck_assert_int_eq(ringd_write(open_writer(RING), "abc", 3), RINGD_OK); /* and clients take its header */
}
END_TEST

START_TEST(more_than_there_is)
{
    ck_assert_int_eq(ringd_create("small", &(struct ringd_ring_options){.size = 4096}), 0);
    for (int shift = 36; shift > 35; shift--) {
        int result = ringd_create(RING, &(struct ringd_ring_options){.size = UINT64_C(1) << shift});

        if (result == 0) { /* then there is that much */
            ck_assert_int_eq(ringd_remove(RING), 0);
            break;
        }
        ck_assert_int_eq(result, -ENOSPC);
        ck_assert_ptr_nonnull(strstr(ringd_error(), "/dev/shm"));
        ck_assert_uint_eq(daemon_objects(&server), RING_OBJECTS);
    }
    ck_assert_int_eq(write_record(open_writer("small"), 16 + RECORD_MIN), -EMSGSIZE); /* and it works on */
    ck_assert_int_eq(ringd_write(open_writer("small"), "abc", 3), RINGD_OK);
}
END_TEST

START_TEST(sockets_where_nobody_listens)
{
    char path[200];
    struct ringd *ring;

    setenv("RINGD_SOCKET", "/nonexistent/ringd.sock", 1);
    ck_assert_int_eq(ringd_open(&ring, RING), -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(ringd_error(), "/nonexistent/ringd.sock"));
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    setenv("RINGD_SOCKET", path, 1);
    ck_assert_int_eq(ringd_open(&ring, RING), -ENAMETOOLONG);
    ck_assert_uint_gt(strlen(ringd_error()), 0);
    setenv("RINGD_SOCKET", server.socket, 1);
    ck_assert_int_eq(ringd_create(RING, NULL), 0);
    ck_assert_str_eq(ringd_error(), ""); /* there was no failure */
}
END_TEST

/* A context goes on with its ring's handle closed, and with the socket's name changed. */
START_TEST(contexts_outlive_the_handle_they_came_from)
{
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    setenv("RINGD_SOCKET", "/nonexistent/ringd.sock", 1);
    ck_assert_int_eq(ringd_writer_open(&w, ring, NULL), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, NULL), 0);
    ringd_close(ring);
    ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_mem_eq(record.data, "abc", 3);
    ringd_writer_close(w);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ringd_reader_close(reader);
}
END_TEST

/* A reader opened with NULL is lossy, starts now and does not wait. */
START_TEST(defaults)
{
    struct ringd_context_info context;
    struct ringd_reader *reader;
    struct ringd_record record;
    struct ringd_writer *w;
    struct ringd *ring;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    w = open_writer(RING);
    ck_assert_int_eq(ringd_write(w, "before", 6), RINGD_OK);
    ck_assert_int_eq(ringd_open(&ring, RING), 0);
    ck_assert_int_eq(ringd_reader_open(&reader, ring, NULL), 0);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_WOULD_BLOCK);
    ck_assert(find_context(RING, RINGD_CONTEXT_LOSSY, &context));
    ck_assert(!find_context(RING, RINGD_CONTEXT_LOSSLESS, &context));
    ck_assert_int_eq(ringd_write(w, "after", 5), RINGD_OK);
    ck_assert_int_eq(ringd_next(reader, &record), RINGD_OK);
    ck_assert_mem_eq(record.data, "after", 5);
    ringd_close(ring);
}
END_TEST

/* Opening and closing leaves no descriptor and no mapping behind. */
START_TEST(nothing_leaks)
{
    uint64_t size_before = 0;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    for (int round = 0; round < 200; round++) {
        struct ringd_writer *w = open_writer(RING);
        struct ringd_reader *readers[3];

        for (uint32_t mode = 0; mode < 3; mode++)
            readers[mode] = open_reader(RING, mode, RINGD_START_NOW);
        ck_assert_int_eq(ringd_write(w, "abc", 3), RINGD_OK);
        for (int i = 0; i < 3; i++)
            ringd_reader_close(readers[i]);
        ringd_writer_close(w);
        if (round == 20)
            size_before = process_number(getpid(), "status", "VmSize");
    }
    if (!support_sanitized())
        ck_assert_uint_eq(process_number(getpid(), "status", "VmSize"), size_before);
    wait_for_contexts(RING, 0);
    ck_assert_uint_eq(daemon_objects(&server), RING_OBJECTS); /* no life pages */
    ck_assert_int_le(open("/dev/null", O_RDONLY | O_CLOEXEC), 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tests = add_case(suite, "api");

    tcase_add_test(tests, every_result_has_words);
    tcase_add_test(tests, version_is_three_numbers);
    tcase_add_test(tests, closing_nothing);
    tcase_add_test(tests, names);
    tcase_add_test(tests, options_of_a_ring);
    tcase_add_test(tests, bounds_of_a_ring);
    tcase_add_test(tests, more_than_there_is);
    tcase_add_test(tests, sockets_where_nobody_listens);
    tcase_add_test(tests, contexts_outlive_the_handle_they_came_from);
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, nothing_leaks);
    return run_suite(suite);
}
