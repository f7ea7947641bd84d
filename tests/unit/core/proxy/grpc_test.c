#include "core/proxy/grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static h2o_mem_pool_t pool;

static int setup(void **state)
{
    h2o_mem_init_pool(&pool);
    return 0;
}

static int teardown(void **state)
{
    h2o_mem_clear_pool(&pool);
    return 0;
}

static struct ht_headers one(const char *name, const char *value)
{
    struct ht_headers headers = {NULL, 0, 0};

    ht_headers_add(&pool, &headers, slice_of(name), slice_of(value));
    return headers;
}

static bool is_grpc(const char *type)
{
    struct ht_headers headers = one("content-type", type);

    return px_is_grpc(&headers);
}

static void grpc_is_told_by_its_content_type(void **state)
{
    assert_true(is_grpc("application/grpc"));
    assert_true(is_grpc("application/grpc+proto"));
    assert_true(is_grpc("Application/gRPC;x=y"));
    assert_false(is_grpc("application/grpc-web"));
    assert_false(is_grpc("application/grpcx"));
    assert_false(is_grpc("application/json"));
}

static void assert_timeout(const char *text, int64_t want_ms)
{
    struct ht_headers headers = one("grpc-timeout", text);
    uint64_t ms = 0;
    bool is_valid = px_grpc_timeout(&headers, &ms);

    if (is_valid != (want_ms >= 0) || (is_valid && ms != (uint64_t)want_ms))
        fail_msg("'%s': valid %d, %llu ms", text, is_valid, (unsigned long long)ms);
}

static void timeouts_have_a_number_and_a_unit(void **state)
{
    assert_timeout("1H", 3600000);
    assert_timeout("2M", 120000);
    assert_timeout("10S", 10000);
    assert_timeout("250m", 250);
    assert_timeout("1500u", 2); /* up */
    assert_timeout("1n", 1);
    assert_timeout("0m", 0);
    assert_timeout("99999999H", 99999999ll * 3600000);
    assert_timeout("123456789m", -1); /* nine digits */
    assert_timeout("m", -1);
    assert_timeout("1", -1);
    assert_timeout("1s", -1);
    assert_timeout("-1S", -1);
    assert_timeout("", -1);
}

static void messages_are_percent_encoded(void **state)
{
    assert_true(slice_is(px_grpc_message(&pool, SLICE("no 100% \xc3\xa4\n")), "no 100%25 %C3%A4%0A"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grpc_is_told_by_its_content_type, setup, teardown),
        cmocka_unit_test_setup_teardown(timeouts_have_a_number_and_a_unit, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_are_percent_encoded, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
