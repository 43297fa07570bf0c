/* check_rights.c - who may do what: the ring's mode, its owner, who may make and remove rings.
 *
 * A ring's mode is read like a file's, for owner, group and others: 4 reads (lossy, observing, status), 2 writes, 1
 * reads losslessly, that is holds writers up. Root and the daemon's own user may do everything, so all of this needs
 * other users: helper processes that give root up. Without root it cannot run, and says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "support_check.h"

#define RING "rights"

/* No accounts are needed for these. */
#define OWNER    30001u
#define MEMBER   30002u
#define STRANGER 30003u
#define GROUP    30100u

struct person {
    uid_t uid;
    gid_t gid;
    gid_t also; /* a further group; 0: none */
};

static const struct person owner = {OWNER, GROUP, 0};
static const struct person member = {MEMBER, MEMBER, GROUP};
static const struct person stranger = {STRANGER, STRANGER, 0};

/* Everything a person tries, and what came of it. */
struct attempt {
    struct person person;
    int open, writer, lossy, observer, lossless, status, remove, create;
    size_t listed;
    bool said; /* each refusal came with words that name the ring */
};

static void become(const struct person *person)
{
    require(setgroups(person->also != 0 ? 1 : 0, &person->also) == 0, "errno %d", errno);
    require(setgid(person->gid) == 0 && setuid(person->uid) == 0, "errno %d", errno);
}

static int note(struct attempt *attempt, int result)
{
    attempt->said = attempt->said && (result == 0 || strstr(ringd_error(), RING) != NULL);
    return result;
}

static int try_writer(struct ringd *ring)
{
    struct ringd_writer *w;
    int result = ringd_writer_open(&w, ring, NULL);

    require((result == 0) == (w != NULL), "result %d", result);
    require(result != 0 || ringd_write(w, "abc", 3) == RINGD_OK, "it cannot write");
    ringd_writer_close(w);
    return result;
}

static int try_reader(struct ringd *ring, uint32_t mode)
{
    struct ringd_reader_options options = {.mode = mode};
    struct ringd_reader *reader;
    struct ringd_record record;
    int result = ringd_reader_open(&reader, ring, &options);

    require((result == 0) == (reader != NULL), "result %d", result);
    require(result != 0 || ringd_next(reader, &record) == RINGD_WOULD_BLOCK, "it cannot read");
    ringd_reader_close(reader);
    return result;
}

static void try_everything(void *argument)
{
    struct attempt *attempt = argument;
    struct ringd_info info;
    struct ringd *ring;

    become(&attempt->person);
    attempt->said = true;
    attempt->open = note(attempt, ringd_open(&ring, RING));
    attempt->status = note(attempt, ringd_status(RING, &info, NULL, 0, NULL));
    require(ringd_list(&info, 1, &attempt->listed) == 0, "%s", ringd_error());
    attempt->writer = attempt->lossy = attempt->observer = attempt->lossless = -EACCES;
    if (attempt->open == 0) {
        attempt->writer = note(attempt, try_writer(ring));
        attempt->lossy = note(attempt, try_reader(ring, RINGD_READ_LOSSY));
        attempt->observer = note(attempt, try_reader(ring, RINGD_READ_OBSERVE));
        attempt->lossless = note(attempt, try_reader(ring, RINGD_READ_LOSSLESS));
        ringd_close(ring);
    }
    attempt->remove = note(attempt, ringd_remove(RING));
    attempt->create = ringd_create("another", NULL);
}

static struct attempt try_as(const struct person *person)
{
    struct attempt *attempt = shared_new(sizeof *attempt), result;

    attempt->person = *person;
    child_finish(child_start(try_everything, attempt));
    result = *attempt;
    ck_assert_msg(result.said, "a refusal does not name the ring");
    munmap(attempt, sizeof *attempt);
    return result;
}

/* What three bits allow. */
static void ck_allowed(const struct attempt *attempt, unsigned bits)
{
    bool reads = bits & 4, writes = bits & 2, lossless = bits & 1;

    ck_assert_int_eq(attempt->writer, writes ? 0 : -EACCES);
    ck_assert_int_eq(attempt->lossy, reads ? 0 : -EACCES);
    ck_assert_int_eq(attempt->observer, reads ? 0 : -EACCES);
    ck_assert_int_eq(attempt->lossless, reads && lossless ? 0 : -EACCES);
    ck_assert_int_eq(attempt->status, reads ? 0 : -EACCES);
    ck_assert_uint_eq(attempt->listed, reads || writes ? 1 : 0);
}

static bool is_root(const char *name)
{
    if (geteuid() == 0)
        return true;
    support_skip(name, "needs root to try as other users");
    return false;
}

/* The daemon of a fixture cannot have a ring of somebody else's: one with a configuration can. */
static void start_with_mode(struct daemon_process *daemon, unsigned mode)
{
    char config[200];

    snprintf(config, sizeof config, "[ring " RING "]\nsize = 65536\nowner = %u\ngroup = %u\nmode = %04o\n", OWNER,
             GROUP, mode);
    daemon_start(daemon, config);
}

START_TEST(a_mode_is_for_owner_group_and_others)
{
    static const unsigned modes[] = {0740, 0426, 0642, 0057, 0701, 0213, 0175};
    struct daemon_process daemon;

    if (!is_root("a_mode_is_for_owner_group_and_others"))
        return;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct attempt attempt;

        start_with_mode(&daemon, modes[i]);
        attempt = try_as(&stranger);
        ck_allowed(&attempt, modes[i] & 7);
        ck_assert_int_eq(attempt.remove, -EPERM);
        attempt = try_as(&member);
        ck_allowed(&attempt, modes[i] >> 3 & 7);
        ck_assert_int_eq(attempt.remove, -EPERM);
        attempt = try_as(&owner); /* last: it may remove it */
        ck_allowed(&attempt, modes[i] >> 6 & 7);
        ck_assert_int_eq(attempt.remove, 0);
        daemon_stop(&daemon);
    }
}
END_TEST

START_TEST(root_may_do_everything)
{
    struct daemon_process daemon;
    struct attempt attempt;
    struct person root = {0};

    if (!is_root("root_may_do_everything"))
        return;
    start_with_mode(&daemon, 0002);
    attempt = try_as(&root);
    ck_assert_int_eq(attempt.open, 0);
    ck_assert_int_eq(attempt.writer, 0);
    ck_assert_int_eq(attempt.lossless, 0);
    ck_assert_int_eq(attempt.remove, 0);
    ck_assert_int_eq(attempt.create, 0);
    daemon_stop(&daemon);
}
END_TEST

START_TEST(strangers_make_rings_only_when_the_configuration_names_them)
{
    struct daemon_process daemon;
    struct attempt attempt;
    char config[300];

    if (!is_root("strangers_make_rings_only_when_the_configuration_names_them"))
        return;
    make_ring(RING, (struct ringd_ring_options){.size = 65536, .mode = 0777});
    attempt = try_as(&stranger);
    ck_assert_int_eq(attempt.open, 0);
    ck_assert_int_eq(attempt.create, -EPERM);

    snprintf(config, sizeof config, "[ringd]\ncreate = %u, @%u\n[ring " RING "]\nsize = 65536\nmode = 0777\n", STRANGER,
             GROUP);
    daemon_start(&daemon, config);
    attempt = try_as(&stranger);
    ck_assert_int_eq(attempt.create, 0);
    ck_assert_uint_eq(ring_info("another").owner_uid, STRANGER);
    ck_assert_int_eq(ringd_remove("another"), 0);
    attempt = try_as(&member); /* by its further group */
    ck_assert_int_eq(attempt.create, 0);
    daemon_stop(&daemon);
}
END_TEST

/* ---- what a reader can reach ------------------------------------------------------------------------------------- */

/* A reader cannot write records, an observer nothing at all; nor can either make its mapping writable. */
static void open_and_tamper(void *argument)
{
    uint32_t mode = *(const uint32_t *)argument;
    struct ringd_reader *reader = open_reader(RING, mode, RINGD_START_NOW);
    unsigned char *places[] = {reader->lanes[0].ring.data, (unsigned char *)reader->lanes[0].ring.lane,
                               (unsigned char *)reader->lanes[0].ring.control,
                               (unsigned char *)reader->lanes[0].ring.waits};
    int count = mode == RINGD_READ_OBSERVE ? 4 : 3;

    for (int i = 0; i < count; i++) {
        void *page = (void *)((uintptr_t)places[i] & ~(uintptr_t)4095);

        require(mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0 && errno == EACCES, "place %d can be made writable",
                i);
    }
    *(volatile unsigned char *)places[count - 1] = 1; /* SIGSEGV */
}

START_TEST(readers_cannot_write_records)
{
    uint32_t mode = (uint32_t)_i;
    int status;

    make_ring(RING, (struct ringd_ring_options){.size = 65536});
    status = child_wait(child_start(open_and_tamper, &mode));
    ck_assert_msg(status != 0, "it could write");
    ck_assert_msg(!WIFEXITED(status) || support_sanitized(), "it could make its mapping writable");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rights");
    TCase *tests = add_case(suite, "rights");

    tcase_add_test(tests, a_mode_is_for_owner_group_and_others);
    tcase_add_test(tests, root_may_do_everything);
    tcase_add_test(tests, strangers_make_rings_only_when_the_configuration_names_them);
    tcase_add_loop_test(tests, readers_cannot_write_records, RINGD_READ_LOSSY, RINGD_READ_OBSERVE + 1);
    return run_suite(suite);
}
