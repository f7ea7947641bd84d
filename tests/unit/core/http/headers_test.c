/* Header lists and the syntax of names, values, targets and authorities. */
#include "core/http/http.h"

#include "core/http/websocket.h"

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

static void known_names_get_their_token(void **state)
{
    struct ht_headers headers = {NULL, 0, 0};

    ht_headers_add(&pool, &headers, SLICE("accept"), SLICE("a"));
    ht_headers_add(&pool, &headers, SLICE("x-a"), SLICE("b"));
    ht_headers_add_token(&pool, &headers, H2O_TOKEN_COOKIE, SLICE("c"));
    assert_ptr_equal(headers.at[0].token, H2O_TOKEN_ACCEPT);
    assert_null(headers.at[1].token);
    assert_true(slice_is(headers.at[2].name, "cookie"));
    assert_ptr_equal(ht_headers_find_token(&headers, H2O_TOKEN_COOKIE), &headers.at[2]);
    assert_ptr_equal(ht_headers_find(&headers, SLICE("x-a")), &headers.at[1]);
    assert_null(ht_headers_find(&headers, SLICE("x-b")));
}

static void lists_grow_and_keep_their_order(void **state)
{
    struct ht_headers headers = {NULL, 0, 0};
    char name[3] = "x0";

    for (int i = 0; i < 100; i++) {
        name[1] = (char)('0' + i % 10);
        ht_headers_add(&pool, &headers, ht_pool_dup(&pool, slice_of(name)), SLICE("v"));
    }
    assert_int_equal(headers.num, 100);
    unsigned found = 0;
    for (const struct ht_header *h = ht_headers_find(&headers, SLICE("x3")); h != NULL;
         h = ht_headers_next(&headers, h)) {
        assert_int_equal((h - headers.at) % 10, 3);
        ++found;
    }
    assert_int_equal(found, 10);
    assert_int_equal(ht_headers_remove(&headers, SLICE("x3")), 10);
    assert_int_equal(ht_headers_remove(&headers, SLICE("x3")), 0);
    assert_int_equal(headers.num, 90);
    ht_headers_remove_at(&headers, 0);
    assert_true(slice_is(headers.at[0].name, "x1"));
    assert_true(slice_is(headers.at[88].name, "x9"));
}

static void setting_leaves_one(void **state)
{
    struct ht_headers headers = {NULL, 0, 0};

    ht_headers_set(&pool, &headers, SLICE("via"), SLICE("1"));
    ht_headers_add(&pool, &headers, SLICE("x-a"), SLICE("2"));
    ht_headers_add(&pool, &headers, SLICE("via"), SLICE("3"));
    ht_headers_set(&pool, &headers, SLICE("via"), SLICE("4"));
    assert_int_equal(headers.num, 2);
    assert_true(slice_is(headers.at[0].value, "4"));
    assert_ptr_equal(ht_headers_find_token(&headers, H2O_TOKEN_VIA), &headers.at[0]);
    assert_null(ht_headers_next(&headers, &headers.at[0]));
}

static void tokens_are_told_from_other_texts(void **state)
{
    static const char specials[] = "!#$%&'*+-.^_`|~", others[] = " \t\"(),/:;<=>?@[\\]{}\x7f\x80\xff\r\n";

    assert_true(ht_is_token(SLICE("GET")));
    assert_true(ht_is_token(slice_of(specials)));
    assert_false(ht_is_token(SLICE("")));
    for (size_t i = 0; i < sizeof(others); i++) { /* the NUL too */
        char text[3] = {'a', others[i], 'b'};
        assert_false(ht_is_token(slice_make(text, 3)));
    }
}

static void field_values_hold_no_controls(void **state)
{
    assert_true(ht_is_field_value(SLICE("")));
    assert_true(ht_is_field_value(SLICE("a b\tc \x80\xff \"x\"")));
    assert_false(ht_is_field_value(SLICE(" a")));
    assert_false(ht_is_field_value(SLICE("a\t")));
    for (int c = 0; c < 256; c++) {
        char text[24];
        bool want = c >= 0x20 ? c != 0x7f : c == '\t';
        for (size_t at = 1; at < sizeof(text) - 1; at++) {
            memset(text, 'a', sizeof(text));
            text[at] = (char)c;
            assert_int_equal(ht_is_field_value(slice_make(text, sizeof(text))), want);
        }
    }
}

static void authorities_are_plain(void **state)
{
    static const char *const good[] = {
        "a",          "a.b",         "A-1.example:80",     "a_b",     "1.2.3.4", "a.example.", "[::1]",
        "[::1]:8080", "[fe80::1:2]", "[::ffff:1.2.3.4]:1", "a:65535", "xn--a"};
    static const char *const bad[] = {"",    ":",   ":80",  "a:",     "a:0",   "a:65536", "a:1x",  "a b",
                                      "a@b", "a/b", "a,b",  "a%62",   ".a",    "a..b",    "[",     "]",
                                      "[]",  "[:]", "[::1", "[::1]a", "[::g]", "::1",     "a:b:1", "*"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!ht_is_authority(slice_of(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (ht_is_authority(slice_of(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(ht_is_authority(SLICE("a\0b")));
}

static void targets_are_visible_ascii(void **state)
{
    assert_true(ht_is_target(SLICE("/a?b=%20{}|\\^\"<>")));
    assert_false(ht_is_target(SLICE("")));
    assert_false(ht_is_target(SLICE("/a b")));
    assert_false(ht_is_target(SLICE("/a#b")));
    assert_false(ht_is_target(SLICE("/\xc3\xa9")));
    assert_false(ht_is_target(SLICE("/\0")));
}

static void connection_fields_are_known(void **state)
{
    static const char *const hop[] = {"connection",        "keep-alive", "te",
                                      "transfer-encoding", "upgrade",    "http2-settings",
                                      "proxy-connection"};
    static const char *const end_to_end[] = {"host", "trailer", "x-a", "content-length",
                                             "proxy-authorization"};
    struct ht_headers headers = {NULL, 0, 0};

    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        assert_true(ht_is_hop_field(ht_headers_add(&pool, &headers, slice_of(hop[i]), SLICE(""))));
    for (size_t i = 0; i < ARRAY_LEN(end_to_end); i++)
        assert_false(ht_is_hop_field(ht_headers_add(&pool, &headers, slice_of(end_to_end[i]), SLICE(""))));
    assert_true(ht_is_dropped_field(SLICE("x_a")));
    assert_true(ht_is_dropped_field(SLICE("proxy")));
    assert_false(ht_is_dropped_field(SLICE("proxy-a")));
}

static void every_status_has_a_reason(void **state)
{
    for (unsigned status = 100; status < 600; status++)
        assert_true(strlen(ht_status_reason(status)) > 0 && strlen(ht_status_reason(status)) < 40);
    assert_string_equal(ht_status_reason(503), "Service Unavailable");
}

static void websocket_keys_get_their_answer(void **state)
{
    char text[HT_WEBSOCKET_ACCEPT_LEN], key[HT_WEBSOCKET_KEY_LEN], other[HT_WEBSOCKET_KEY_LEN];

    ht_websocket_accept(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), text); /* RFC 6455 1.3 */
    assert_memory_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof(text));
    ht_websocket_accept(SLICE("x3JJHMbDL1EzLkh9GBhXDw=="), text);
    assert_memory_equal(text, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=", sizeof(text));
    ht_websocket_key(key);
    ht_websocket_key(other);
    assert_memory_equal(key + 22, "==", 2);
    assert_memory_not_equal(key, other, sizeof(key));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_names_get_their_token),
        TEST(lists_grow_and_keep_their_order),
        TEST(setting_leaves_one),
        TEST(tokens_are_told_from_other_texts),
        TEST(field_values_hold_no_controls),
        TEST(authorities_are_plain),
        TEST(targets_are_visible_ascii),
        TEST(connection_fields_are_known),
        TEST(every_status_has_a_reason),
        TEST(websocket_keys_get_their_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
