/* support_check.h - main() of a Check program: one suite, each test in a process of its own.
 *
 * Tests get a guard of SUPPORT_GUARD_S seconds against hanging; what is slow by nature asks for more itself. Only
 * headers may use Check, as the stress programs link with the rest of the support and not with Check.
 *
 * Called by every check_*.c.
 */
#ifndef TESTS_SUPPORT_CHECK_H
#define TESTS_SUPPORT_CHECK_H

#include <check.h>
#include <stdlib.h>

#include "support.h"

/* A case in the suite whose tests each have a daemon of their own, `server`. */
static inline TCase *add_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);

    tcase_add_checked_fixture(tests, server_setup, server_teardown);
    tcase_set_timeout(tests, SUPPORT_GUARD_S);
    suite_add_tcase(suite, tests);
    return tests;
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    support_begin();
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    support_end();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
