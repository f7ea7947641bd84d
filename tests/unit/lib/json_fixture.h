/* An arena for each test of a file that reads JSON: cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown), and
 * texts that must parse. */
#ifndef SELVEDGE_TESTS_JSON_FIXTURE_H
#define SELVEDGE_TESTS_JSON_FIXTURE_H

#include "core/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* The running test's. */
extern struct arena *arena;

int arena_setup(void **state);
int arena_teardown(void **state);
/* In the test's arena; what does not parse fails the test. */
struct json *must_parse(const char *text);

#endif
