#include "core/proxy/forwarded.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static h2o_mem_pool_t pool;
static struct ht_headers headers;
static struct px_trust *trust;
static struct px_forwarded forwarded;

static int setup(void **state)
{
    struct slice networks[] = {SLICE("10.0.0.0/8"), SLICE("2001:db8::/32")};
    struct err err = ERR_INIT;

    h2o_mem_init_pool(&pool);
    headers = (struct ht_headers){NULL, 0, 0};
    trust = px_trust_new(networks, ARRAY_LEN(networks), &err);
    assert_non_null(trust);
    return 0;
}

static int teardown(void **state)
{
    trust = px_trust_free(trust);
    h2o_mem_clear_pool(&pool);
    return 0;
}

static void given(const char *name, const char *value)
{
    ht_headers_add(&pool, &headers, slice_of(name), slice_of(value));
}

static void apply_from(const char *address, bool is_trusted)
{
    struct px_hop hop = {slice_of(address), SLICE("https"), SLICE("shop.example:8443"), SLICE("8443"), is_trusted};

    px_forwarded_apply(&pool, trust, &hop, &headers, &forwarded);
}

static void assert_header(const char *name, const char *want)
{
    const struct ht_header *header = ht_headers_find(&headers, slice_of(name));

    if (want == NULL) {
        assert_null(header);
        return;
    }
    if (header == NULL || !slice_is(header->value, want))
        fail_msg("%s: got '%.*s', want '%s'", name, header != NULL ? (int)header->value.len : 6,
                 header != NULL ? header->value.base : "absent", want);
    assert_null(ht_headers_next(&headers, header));
}

static void assert_client(const char *chain, const char *peer, const char *want)
{
    struct slice got = px_forwarded_client(trust, slice_of(chain), slice_of(peer));

    if (!slice_is(got, want))
        fail_msg("chain '%s': got '%.*s', want '%s'", chain, (int)got.len, got.base, want);
}

static void an_unlisted_peer_is_believed_nothing(void **state)
{
    static const char *const spoofed[] = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
                                          "forwarded", "x-real-ip", "x-forwarded-prefix", "x-forwarded-client-cert",
                                          "x-original-url", "x-rewrite-url", "true-client-ip", "x-selvedge-cause",
                                          "cf-connecting-ip", "x-envoy-external-address", "forwarded-for"};

    given("accept", "a");
    for (size_t i = 0; i < ARRAY_LEN(spoofed); i++)
        given(spoofed[i], "evil");
    given("x-forwarded-for", "evil2");
    given("x-forwarded", "not ours");
    apply_from("192.0.2.9", false);
    assert_string_equal(forwarded.client.base, "192.0.2.9");
    assert_header("accept", "a");
    assert_header("x-forwarded-for", "192.0.2.9");
    assert_header("x-forwarded-proto", "https");
    assert_header("x-forwarded-host", "shop.example:8443");
    assert_header("x-forwarded-port", "8443");
    for (size_t i = 4; i < ARRAY_LEN(spoofed); i++)
        assert_header(spoofed[i], NULL);
    assert_header("x-forwarded", "not ours");
}

static void a_listed_peer_is_believed(void **state)
{
    given("x-forwarded-for", "203.0.113.7");
    given("x-forwarded-for", "10.1.1.1");
    given("x-forwarded-proto", "http");
    given("x-forwarded-host", "www.example");
    given("x-forwarded-port", "80");
    given("forwarded", "for=203.0.113.7");
    apply_from("10.0.0.2", true);
    assert_int_equal(forwarded.client.len, 11);
    assert_memory_equal(forwarded.client.base, "203.0.113.7", 11);
    assert_header("x-forwarded-for", "203.0.113.7, 10.1.1.1, 10.0.0.2");
    assert_header("x-forwarded-proto", "http");
    assert_header("x-forwarded-host", "www.example");
    assert_header("x-forwarded-port", "80");
    assert_header("forwarded", "for=203.0.113.7, for=10.0.0.2;proto=https");
}

static void nonsense_from_a_listed_peer_is_replaced(void **state)
{
    given("x-forwarded-proto", "gopher");
    given("x-forwarded-host", "a b/");
    given("x-forwarded-port", "99999");
    apply_from("10.0.0.2", true);
    assert_header("x-forwarded-proto", "https");
    assert_header("x-forwarded-host", "shop.example:8443");
    assert_header("x-forwarded-port", "8443");
}

static void the_walk_stops_at_the_first_address_nobody_vouches_for(void **state)
{
    assert_client("", "10.0.0.1", "10.0.0.1");
    assert_client("203.0.113.7", "10.0.0.1", "203.0.113.7");
    assert_client("1.1.1.1, 203.0.113.7", "10.0.0.1", "203.0.113.7"); /* what stands left was made up by the client */
    assert_client("1.1.1.1, 203.0.113.7, 10.9.9.9", "10.0.0.1", "203.0.113.7");
    assert_client("10.2.2.2,10.3.3.3", "10.0.0.1", "10.2.2.2"); /* all listed: the farthest */
}

static void the_walk_reads_every_spelling_and_stops_at_garbage(void **state)
{
    assert_client("203.0.113.7:4711", "10.0.0.1", "203.0.113.7");
    assert_client("[2001:db9::1]:80", "10.0.0.1", "2001:db9::1");
    assert_client("2001:db9::1", "10.0.0.1", "2001:db9::1");
    assert_client("203.0.113.7, 2001:db8::5", "10.0.0.1", "203.0.113.7");
    assert_client("203.0.113.7, ::ffff:10.1.2.3", "10.0.0.1", "203.0.113.7");
    assert_client("203.0.113.7, garbage", "10.0.0.1", "10.0.0.1");
    assert_client("203.0.113.7,, 10.4.4.4", "10.0.0.1", "10.4.4.4");
    assert_client("unknown", "10.0.0.1", "10.0.0.1");
    assert_client("203.0.113.7:port", "10.0.0.1", "10.0.0.1");
}

static void x_real_ip_counts_only_without_a_chain(void **state)
{
    given("x-real-ip", "203.0.113.50");
    apply_from("10.0.0.2", true);
    assert_memory_equal(forwarded.client.base, "203.0.113.50", 12);
    assert_header("x-real-ip", "203.0.113.50");
}

static void counting_hops_believes_any_peer_and_counts_from_the_right(void **state)
{
    struct sockaddr_in anyone = {.sin_family = AF_INET, .sin_addr.s_addr = 0x07070707};

    px_trust_free(trust);
    trust = px_trust_new_hops(2);
    assert_true(px_trust_has_sockaddr(trust, (const struct sockaddr *)&anyone));
    assert_client("203.0.113.128, 203.0.113.10, 203.0.113.1", "10.0.0.1", "203.0.113.10");
    assert_client("203.0.113.10, 203.0.113.1", "10.0.0.1", "203.0.113.10");
    assert_client("[2001:db8::7]:80, 10.1.1.1", "10.0.0.1", "2001:db8::7");
    assert_client("203.0.113.1", "10.0.0.1", "10.0.0.1"); /* too short: no proxy of ours wrote it */
    assert_client("", "10.0.0.1", "10.0.0.1");
    assert_client("evil, 203.0.113.1", "10.0.0.1", "10.0.0.1");
    assert_client("203.0.113.9, ", "10.0.0.1", "203.0.113.9"); /* what the last one wrote does not matter */
    given("x-real-ip", "203.0.113.50");
    apply_from("192.0.2.1", true);
    assert_memory_equal(forwarded.client.base, "192.0.2.1", 10);
}

static void no_hops_trust_nobody(void **state)
{
    struct sockaddr_in anyone = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};

    px_trust_free(trust);
    trust = px_trust_new_hops(0);
    assert_false(px_trust_has_sockaddr(trust, (const struct sockaddr *)&anyone));
}

static void networks_must_be_networks(void **state)
{
    static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0", "fe80::/129", "example.com", "10.0.0.0/x"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice text = slice_of(bad[i]);
        struct err err = ERR_INIT;
        assert_null(px_trust_new(&text, 1, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unlisted_peer_is_believed_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listed_peer_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_from_a_listed_peer_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(the_walk_stops_at_the_first_address_nobody_vouches_for, setup, teardown),
        cmocka_unit_test_setup_teardown(the_walk_reads_every_spelling_and_stops_at_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(x_real_ip_counts_only_without_a_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(counting_hops_believes_any_peer_and_counts_from_the_right, setup, teardown),
        cmocka_unit_test_setup_teardown(no_hops_trust_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(networks_must_be_networks, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
