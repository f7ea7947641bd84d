#include "core/base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct ip_addr ip(const char *text)
{
    struct ip_addr addr;
    if (ip_parse(slice_of(text), &addr) != 0)
        fail_msg("'%s' is no address", text);
    return addr;
}

static void addresses_are_read_strictly_and_printed_in_one_form(void **state)
{
    static const struct {
        const char *text, *printed; /* NULL: refused */
    } cases[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"::ffff:a01:203", "10.1.2.3"},
        {"0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"},
        {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
        {"", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"01.2.3.4", NULL},
        {"1.2.3.256", NULL},
        {"0x7f.0.0.1", NULL},
        {"2130706433", NULL},
        {" 1.2.3.4", NULL},
        {"1.2.3.4 ", NULL},
        {"1.2.3.4\n", NULL},
        {"fe80::1%eth0", NULL},
        {"[::1]", NULL},
        {":::", NULL},
        {"1::2::3", NULL},
        {"12345::", NULL},
        {"localhost", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ip_addr addr;
        char printed[IP_TEXT_MAX];
        int result = ip_parse(slice_of(cases[i].text), &addr);
        if (result != (cases[i].printed != NULL ? 0 : -1))
            fail_msg("'%s': %d", cases[i].text, result);
        if (result != 0)
            continue;
        ip_print(&addr, printed);
        assert_string_equal(printed, cases[i].printed);
    }
    struct ip_addr addr;
    assert_int_equal(ip_parse(SLICE("1.2.3.4\0"), &addr), -1);
}

static void ranges_hold_what_shares_their_prefix(void **state)
{
    static const struct {
        const char *range, *addr;
        bool is_in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.2.3.4", false},
        {"::/0", "::ffff:1.2.3.4", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/31", "192.0.2.1", true},
        {"192.0.2.0/31", "192.0.2.2", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.255", true},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
        {"::ffff:10.0.0.0/104", "10.1.1.1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"2001:db8::1/128", "2001:db8::", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct cidr range;
        struct ip_addr addr = ip(cases[i].addr);
        if (cidr_parse(slice_of(cases[i].range), &range) != 0)
            fail_msg("'%s' is no range", cases[i].range);
        if (cidr_contains(&range, &addr) != cases[i].is_in)
            fail_msg("%s in %s is not %d", cases[i].addr, cases[i].range, cases[i].is_in);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "/",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/08",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0/8/8",
                                      "::/129",
                                      "::/1000",
                                      "10/8",
                                      "::ffff:10.0.0.0/95",
                                      "10.0.0.0/a"};
    struct cidr range;
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i)
        if (cidr_parse(slice_of(bad[i]), &range) == 0)
            fail_msg("'%s' was accepted", bad[i]);
    assert_int_equal(cidr_parse((struct slice){NULL, 0}, &range), -1);
}

static void lists_hold_what_any_range_holds(void **state)
{
    struct cidr ranges[2];
    assert_int_equal(cidr_parse(SLICE("10.0.0.0/8"), &ranges[0]), 0);
    assert_int_equal(cidr_parse(SLICE("fd00::/8"), &ranges[1]), 0);
    struct ip_addr a = ip("fd12::1"), b = ip("192.168.0.1"), none = {.len = 0};
    assert_true(cidr_list_contains(ranges, 2, &a));
    assert_false(cidr_list_contains(ranges, 2, &b));
    assert_false(cidr_list_contains(ranges, 2, &none));
    assert_false(cidr_list_contains(ranges, 0, &a));
}

static void socket_addresses_lose_their_ipv6_clothes(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct ip_addr a, b, expected = ip("10.0.0.1");
    assert_int_equal(inet_pton(AF_INET, "10.0.0.1", &v4.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.1", &v6.sin6_addr), 1);
    assert_int_equal(ip_from_sockaddr((struct sockaddr *)&v4, &a), 0);
    assert_int_equal(ip_from_sockaddr((struct sockaddr *)&v6, &b), 0);
    assert_memory_equal(&a, &expected, sizeof(a));
    assert_memory_equal(&b, &expected, sizeof(b));
    assert_int_equal(ip_from_sockaddr(&other, &a), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_strictly_and_printed_in_one_form),
        cmocka_unit_test(ranges_hold_what_shares_their_prefix),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(lists_hold_what_any_range_holds),
        cmocka_unit_test(socket_addresses_lose_their_ipv6_clothes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
