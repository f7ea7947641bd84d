/* Each format's function against its own pattern, on texts made of what is likely to tell them apart. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/model/format.h"

#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* max: the pattern says nothing of the length, the function does. */
static const struct {
    const char *name;
    const struct field_format *format;
    size_t max;
} formats[] = {
    {"dns_label", &format_dns_label, 63},
    {"dns_subdomain", &format_dns_subdomain, 0},
    {"dns_1035_label", &format_dns_1035_label, 63},
    {"hostname", &format_hostname, 0},
    {"precise_hostname", &format_precise_hostname, 0},
    {"fqdn", &format_fqdn, 0},
    {"group", &format_group, 0},
    {"kind", &format_kind, 0},
    {"header_name", &format_header_name, 0},
    {"header_value", &format_header_value, 0},
    {"label_key", &format_label_key, 0},
    {"label_value", &format_label_value, 0},
    {"controller_name", &format_controller_name, 0},
    {"app_protocol", &format_app_protocol, 0},
    {"absolute_path", &format_absolute_path, 0},
    {"url_path", &format_url_path, 0},
    {"request_target", &format_request_target, 0},
    {"condition_reason", &format_condition_reason, 0},
};

static uint64_t seed = 7;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Short texts of anything; now and then one around 63, where names end. The latter of letters only: some of
 * the patterns take exponential time to say no. */
static size_t random_text(char *out)
{
    static const char pieces[] = "aaaZ09--..//__**%2f%zz#? \t~!$&'()+,;=:@\"\x7f\n\xc3";
    bool is_long = draw(16) == 0;
    size_t len = is_long ? 58 + draw(10) : draw(11);
    for (size_t i = 0; i < len; ++i)
        out[i] = is_long || draw(3) != 0 ? "ab0"[draw(3)] : pieces[draw(sizeof(pieces))];
    return len;
}

static bool pattern_matches(const pcre2_code *code, pcre2_match_data *match, struct slice text)
{
    return pcre2_match(code, (PCRE2_SPTR)text.base, text.len, 0, 0, match, NULL) >= 0;
}

static void functions_accept_what_their_patterns_accept(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); ++i) {
        int error;
        PCRE2_SIZE at;
        /* DOLLAR_ENDONLY: as in RE2 and ECMAScript, '$' is the very end. */
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)formats[i].format->pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_DOLLAR_ENDONLY, &error, &at, NULL);
        assert_non_null(code);
        pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
        unsigned accepted = 0;
        for (unsigned round = 0; round < 8000; ++round) {
            char text[80];
            struct slice slice = {text, random_text(text)};
            bool expected =
                pattern_matches(code, match, slice) && (formats[i].max == 0 || slice.len <= formats[i].max);
            if (formats[i].format->matches(slice) != expected)
                fail_msg("%s: '%.*s' is %s by the pattern", formats[i].name, (int)slice.len, text,
                         expected ? "right" : "wrong");
            accepted += expected;
        }
        assert_true(accepted > 50);
        pcre2_match_data_free(match);
        pcre2_code_free(code);
    }
}

static void addresses_and_keys(void **state)
{
    static const struct {
        const struct field_format *format;
        const char *text;
        bool is_right;
    } cases[] = {
        {&format_ip, "10.0.0.1", true},
        {&format_ip, "::1", true},
        {&format_ip, "2001:db8::ffff", true},
        {&format_ip, "::ffff:1.2.3.4", true},
        {&format_ip, "10.0.0", false},
        {&format_ip, "10.0.0.256", false},
        {&format_ip, "", false},
        {&format_ip, "fe80::1%eth0", false},
        {&format_ip, "1.2.3.4 ", false},
        {&format_cidr, "10.0.0.0/8", true},
        {&format_cidr, "10.0.0.1", true},
        {&format_cidr, "::/0", true},
        {&format_cidr, "fd00::/128", true},
        {&format_cidr, "10.0.0.0/33", false},
        {&format_cidr, "10.0.0.0/", false},
        {&format_cidr, "10.0.0.0/08", false},
        {&format_cidr, "10.0.0.0/-1", false},
        {&format_cidr, "fd00::/129", false},
        {&format_cidr, "/8", false},
        {&format_cidr, "1.2.3.4/4294967296", false},
        {&format_key, "tls.crt", true},
        {&format_key, "..", false},
        {&format_key, ".", false},
        {&format_key, "..data", false},
        {&format_key, "a/b", false},
        {&format_key, "", false},
        {&format_port_name, "http", true},
        {&format_port_name, "h2c-1", true},
        {&format_port_name, "8080", false},
        {&format_port_name, "a--b", false},
        {&format_port_name, "HTTP", false},
        {&format_port_name, "abcdefghijklmnop", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i)
        if (cases[i].format->matches(slice_of(cases[i].text)) != cases[i].is_right)
            fail_msg("'%s' should be %s", cases[i].text, cases[i].is_right ? "right" : "wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_accept_what_their_patterns_accept),
        cmocka_unit_test(addresses_and_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
