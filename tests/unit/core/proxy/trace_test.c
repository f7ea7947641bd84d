#include "core/proxy/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char valid[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static h2o_mem_pool_t pool;
static struct ht_headers headers;
static struct px_trace trace;
static struct rng rng;

static int setup(void **state)
{
    h2o_mem_init_pool(&pool);
    headers = (struct ht_headers){NULL, 0, 0};
    rng.state = 7;
    return 0;
}

static int teardown(void **state)
{
    h2o_mem_clear_pool(&pool);
    return 0;
}

static void given(const char *name, const char *value)
{
    ht_headers_add(&pool, &headers, slice_of(name), slice_of(value));
}

static struct slice value_of(const char *name)
{
    const struct ht_header *header = ht_headers_find(&headers, slice_of(name));

    return header != NULL ? header->value : slice_make(NULL, 0);
}

static void both_are_made_when_absent(void **state)
{
    px_trace_apply(&pool, &rng, false, &headers, &trace);
    assert_int_equal(value_of("x-request-id").len, PX_REQUEST_ID_LEN);
    assert_int_equal(value_of("x-request-id").base[14], '4'); /* RFC 9562 version */
    assert_true(px_traceparent_is_valid(value_of("traceparent")));
    assert_int_equal(trace.trace_id.len, PX_TRACE_ID_LEN);
}

static void a_valid_traceparent_goes_on_unchanged(void **state)
{
    given("traceparent", valid);
    given("tracestate", "a=b");
    px_trace_apply(&pool, &rng, false, &headers, &trace);
    assert_true(slice_is(value_of("traceparent"), valid));
    assert_true(slice_is(value_of("tracestate"), "a=b"));
    assert_memory_equal(trace.trace_id.base, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
}

static void an_invalid_traceparent_is_replaced_and_its_state_dropped(void **state)
{
    given("traceparent", "00-zz");
    given("tracestate", "a=b");
    px_trace_apply(&pool, &rng, false, &headers, &trace);
    assert_true(px_traceparent_is_valid(value_of("traceparent")));
    assert_null(value_of("tracestate").base);
}

static void two_traceparents_are_none(void **state)
{
    given("traceparent", valid);
    given("traceparent", valid);
    px_trace_apply(&pool, &rng, false, &headers, &trace);
    assert_false(slice_is(value_of("traceparent"), valid));
    assert_null(ht_headers_next(&headers, ht_headers_find(&headers, SLICE("traceparent"))));
}

static void traceparents_are_checked_as_the_specification_says(void **state)
{
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (px_traceparent_is_valid(slice_of(bad[i])))
            fail_msg("'%s' was accepted", bad[i]);
    assert_true(px_traceparent_is_valid(slice_of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what")));
}

static void a_clients_request_id_stays_only_when_allowed_and_harmless(void **state)
{
    given("x-request-id", "abc-123");
    px_trace_apply(&pool, &rng, true, &headers, &trace);
    assert_true(slice_is(trace.request_id, "abc-123"));
    px_trace_apply(&pool, &rng, false, &headers, &trace);
    assert_false(slice_is(trace.request_id, "abc-123"));
    ht_headers_set(&pool, &headers, SLICE("x-request-id"), SLICE("\"><script>"));
    px_trace_apply(&pool, &rng, true, &headers, &trace);
    assert_int_equal(trace.request_id.len, PX_REQUEST_ID_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_are_made_when_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_valid_traceparent_goes_on_unchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(an_invalid_traceparent_is_replaced_and_its_state_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(two_traceparents_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(traceparents_are_checked_as_the_specification_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clients_request_id_stays_only_when_allowed_and_harmless, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
