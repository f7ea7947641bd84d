#include "core/base/json.h"
#include "core/base/log.h"

#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Runs `act` with standard error going to a pipe; what was written is in `out`. */
static void capture(void (*act)(void), char *out, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    act();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(ends[1]);
    close(saved);
    ssize_t len = read(ends[0], out, size - 1);
    close(ends[0]);
    out[len > 0 ? len : 0] = '\0';
}

static void log_foul_text(void)
{
    log_event(LOG_WARN, "two\nlines", "why", "\"quoted\"\x1b[0m\xff", "none", NULL, NULL);
}

static void an_event_is_one_line_of_json_whatever_is_in_it(void **state)
{
    char line[1000];
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(0);
    log_init("test", LOG_INFO);
    capture(log_foul_text, line, sizeof(line));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    struct json *event = json_parse(arena, slice_of(line), &err);
    if (event == NULL)
        fail_msg("%s: %s", line, err.text);
    assert_string_equal(json_str(json_get(event, "msg"), ""), "two\nlines");
    assert_string_equal(json_str(json_get(event, "level"), ""), "warn");
    assert_string_equal(json_str(json_get(event, "program"), ""), "test");
    assert_string_equal(json_str(json_get(event, "why"), ""), "\"quoted\"\x1b[0m\xef\xbf\xbd");
    assert_string_equal(json_str(json_get(event, "none"), "-"), "");
    arena_free(arena);
}

static void log_below(void)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_IO, "nothing to see");
    log_event(LOG_DEBUG, "hidden", NULL);
    log_err(LOG_INFO, "hidden", &err);
}

static void what_is_below_the_level_is_not_written(void **state)
{
    char line[1000];
    enum log_level level;
    log_init("test", LOG_WARN);
    capture(log_below, line, sizeof(line));
    assert_string_equal(line, "");
    assert_false(log_is_on(LOG_INFO));
    assert_true(log_is_on(LOG_ERROR));
    assert_int_equal(log_parse_level("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_parse_level("loud", &level), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_of_json_whatever_is_in_it),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
