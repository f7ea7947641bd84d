#include "core/proxy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const names[] = {"no", "other", "fresh"};

/* What is different from the first attempt of a GET on a new connection, with another endpoint at hand. */
enum { UNSENT = 1, REUSED = 2, ANSWERED = 4, BODY_GONE = 8, POST = 16, ALONE = 32, SECOND = 64 };

static const struct {
    const char *claim;
    enum ht_fail fail;
    unsigned what;
    enum px_retry want;
} cases[] = {
    {"connection refused: another endpoint", HT_FAIL_CONNECT, UNSENT, PX_RETRY_OTHER},
    {"connect timeout: another endpoint", HT_FAIL_CONNECT_TIMEOUT, UNSENT, PX_RETRY_OTHER},
    {"refused, POST: another endpoint, nothing was sent", HT_FAIL_CONNECT, UNSENT | POST, PX_RETRY_OTHER},
    {"refused by the only endpoint: no", HT_FAIL_CONNECT, UNSENT | ALONE, PX_RETRY_NO},
    {"the second attempt failed too: no", HT_FAIL_CONNECT, UNSENT | SECOND, PX_RETRY_NO},
    {"the body is gone: no", HT_FAIL_CONNECT, UNSENT | BODY_GONE, PX_RETRY_NO},
    {"REFUSED_STREAM, POST: again", HT_FAIL_REFUSED, UNSENT | POST, PX_RETRY_OTHER},
    {"reused connection, nothing left us, POST: a new one", HT_FAIL_RESET, UNSENT | REUSED | POST, PX_RETRY_FRESH},
    {"reused connection died, GET: a new one", HT_FAIL_RESET, REUSED, PX_RETRY_FRESH},
    {"reused connection died, POST: no, it may have been done", HT_FAIL_RESET, REUSED | POST, PX_RETRY_NO},
    {"new connection died, GET: no", HT_FAIL_RESET, 0, PX_RETRY_NO},
    {"reused connection died after the head: no", HT_FAIL_RESET, REUSED | ANSWERED, PX_RETRY_NO},
    {"garbage: no", HT_FAIL_PROTOCOL, REUSED, PX_RETRY_NO},
};

static void decides_as_promised(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned what = cases[i].what;
        struct px_retry_facts facts = {
            .fail = cases[i].fail,
            .num_attempts = what & SECOND ? 2 : 1,
            .is_unsent = what & UNSENT,
            .had_response = what & ANSWERED,
            .was_reused = what & REUSED,
            .is_replayable = !(what & BODY_GONE),
            .is_idempotent = !(what & POST),
            .has_other_endpoint = !(what & ALONE),
        };
        enum px_retry got = px_retry_decide(&facts);
        if (got != cases[i].want)
            fail_msg("%s: got '%s', want '%s'", cases[i].claim, names[got], names[cases[i].want]);
    }
}

static void idempotent_methods_are_those_of_rfc_9110(void **state)
{
    assert_true(px_method_is_idempotent(SLICE("GET")));
    assert_true(px_method_is_idempotent(SLICE("PUT")));
    assert_true(px_method_is_idempotent(SLICE("DELETE")));
    assert_false(px_method_is_idempotent(SLICE("POST")));
    assert_false(px_method_is_idempotent(SLICE("PATCH")));
    assert_false(px_method_is_idempotent(SLICE("get"))); /* methods are case-sensitive */
    assert_false(px_method_is_idempotent(SLICE("GETX")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_as_promised),
        cmocka_unit_test(idempotent_methods_are_those_of_rfc_9110),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
