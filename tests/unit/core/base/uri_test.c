#include "core/base/uri.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static enum uri_fault normalize(struct slice raw, unsigned flags, char *ret)
{
    /* Exact sizes, so that a step outside is seen by asan. */
    char *copy = xmalloc(raw.len + 1), *scratch = xmalloc(URI_PATH_SCRATCH(raw.len));
    struct slice path = {NULL, 0};
    memcpy(copy, raw.base, raw.len);
    enum uri_fault fault = uri_path_normalize(slice_make(copy, raw.len), flags, scratch, &path);
    if (fault == URI_OK) {
        memcpy(ret, path.base, path.len);
        ret[path.len] = '\0';
    }
    free(copy);
    free(scratch);
    return fault;
}

static void paths_have_one_normal_form(void **state)
{
    static const struct {
        const char *raw, *normal;
    } cases[] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/b/c", "/a/b/c"},
        {"/a/", "/a/"},
        {"//", "/"},
        {"//a", "/a"},
        {"/a//b", "/a/b"},
        {"/a///b//", "/a/b/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/..", "/"},
        {"/../", "/"},
        {"/../../a", "/a"},
        {"/a/.", "/a/"},
        {"/a/./", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/b/../", "/a/"},
        {"/a/b/../../c", "/c"},
        {"/a/b/c/./../../g", "/a/g"},
        {"/a//../b", "/b"},
        {"/a/%2e%2e/b", "/b"},
        {"/a/%2E./b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e/b", "/a/b"},
        {"/...", "/..."},
        {"/a/.../b", "/a/.../b"},
        {"/.a", "/.a"},
        {"/..a/b", "/..a/b"},
        {"/a../b", "/a../b"},
        {"/.well-known/x", "/.well-known/x"},
        {"/%61%62%43%7a", "/abCz"},
        {"/%30%39%2D%2e%5f%7E", "/09-._~"},
        {"/%7euser", "/~user"},
        {"/a%20b", "/a%20b"},
        {"/a%3ab%40c", "/a:b@c"},
        {"/%21%24%26%27%28%29%2a%2b%2c%3d", "/!$&'()*+,="},
        {"/!$&'()*+,=:@", "/!$&'()*+,=:@"},
        {"/%3f%23%5b%5d", "/%3F%23%5B%5D"},
        {"/caf%c3%a9", "/caf%C3%A9"},
        {"/caf%e9", "/caf%E9"},
        {"/{id}|\"<x>^`[]", "/%7Bid%7D%7C%22%3Cx%3E%5E%60%5B%5D"},
        {"/%7Bid%7d", "/%7Bid%7D"},
        {"/100%25", "/100%25"},
        {"/100%25x", "/100%25x"},
        {"/%25zz", "/%25zz"},
        {"/a%253Ab", "/a%253Ab"},
        {"/a%2520b", "/a%2520b"},
        {"/%ef%bc%8f", "/%EF%BC%8F"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        char got[256];
        enum uri_fault fault = normalize(slice_of(cases[i].raw), 0, got);
        if (fault != URI_OK || strcmp(got, cases[i].normal) != 0)
            fail_msg("%s gives %s (%s)", cases[i].raw, fault == URI_OK ? got : "nothing",
                     uri_fault_text(fault));
        assert_int_equal(normalize(slice_of(cases[i].normal), 0, got), URI_OK);
        assert_string_equal(got, cases[i].normal);
    }
}

static void paths_without_an_innocent_reading_are_refused(void **state)
{
    static const struct {
        struct slice raw;
        enum uri_fault fault;
    } cases[] = {
        {SLICE(""), URI_NOT_ABSOLUTE},
        {SLICE("a"), URI_NOT_ABSOLUTE},
        {SLICE("*"), URI_NOT_ABSOLUTE},
        {SLICE("http://h/"), URI_NOT_ABSOLUTE},
        {SLICE("%2fa"), URI_NOT_ABSOLUTE},
        {SLICE("/a%2fb"), URI_ENCODED_SLASH},
        {SLICE("/a%2Fb"), URI_ENCODED_SLASH},
        {SLICE("/%2f"), URI_ENCODED_SLASH},
        {SLICE("/a\\b"), URI_BACKSLASH},
        {SLICE("/a%5cb"), URI_BACKSLASH},
        {SLICE("/..\\a"), URI_BACKSLASH},
        {SLICE("/a%00"), URI_ENCODED_CONTROL},
        {SLICE("/a%0d%0ab"), URI_ENCODED_CONTROL},
        {SLICE("/a%09"), URI_ENCODED_CONTROL},
        {SLICE("/a%7f"), URI_ENCODED_CONTROL},
        {SLICE("/a\0b"), URI_BAD_BYTE},
        {SLICE("/a\r\nb"), URI_BAD_BYTE},
        {SLICE("/a b"), URI_BAD_BYTE},
        {SLICE("/a\tb"), URI_BAD_BYTE},
        {SLICE("/a\x7f"), URI_BAD_BYTE},
        {SLICE("/caf\xc3\xa9"), URI_BAD_BYTE},
        {SLICE("/\xff"), URI_BAD_BYTE},
        {SLICE("/a?b"), URI_BAD_BYTE},
        {SLICE("/a#b"), URI_FRAGMENT},
        {SLICE("/%"), URI_BAD_PERCENT},
        {SLICE("/%4"), URI_BAD_PERCENT},
        {SLICE("/%4g"), URI_BAD_PERCENT},
        {SLICE("/%g4"), URI_BAD_PERCENT},
        {SLICE("/%%41"), URI_BAD_PERCENT},
        {SLICE("/%u0041"), URI_BAD_PERCENT},
        {SLICE("/% 41"), URI_BAD_PERCENT},
        {SLICE("/%252e%252e/a"), URI_ENCODED_TWICE},
        {SLICE("/%25%32%65"), URI_ENCODED_TWICE},
        {SLICE("/%2561dmin"), URI_ENCODED_TWICE},
        {SLICE("/%252fadmin"), URI_ENCODED_TWICE},
        {SLICE("/%255cadmin"), URI_ENCODED_TWICE},
        {SLICE("/%2500"), URI_ENCODED_TWICE},
        {SLICE("/%25252e"), URI_ENCODED_TWICE},
        {SLICE("/%253b"), URI_ENCODED_TWICE},
        {SLICE("/%c0%af"), URI_OVERLONG},
        {SLICE("/..%c0%af"), URI_OVERLONG},
        {SLICE("/%c0%ae%c0%ae/"), URI_OVERLONG},
        {SLICE("/%C1%9C"), URI_OVERLONG},
        {SLICE("/%e0%80%af"), URI_OVERLONG},
        {SLICE("/%f0%80%80%af"), URI_OVERLONG},
        {SLICE("/a;b"), URI_PARAMETER},
        {SLICE("/a;"), URI_PARAMETER},
        {SLICE("/a%3bb"), URI_PARAMETER},
        {SLICE("/..;/a"), URI_PARAMETER},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        char got[256];
        enum uri_fault fault = normalize(cases[i].raw, 0, got);
        if (fault != cases[i].fault)
            fail_msg("%s: %s", cases[i].raw.base, uri_fault_text(fault));
    }
}

static void allowed_parameters_still_play_no_tricks(void **state)
{
    static const struct {
        const char *raw, *normal; /* NULL: refused */
    } cases[] = {
        {"/a;b=c/d", "/a;b=c/d"}, {"/a%3bb", "/a%3Bb"}, {"/a;x/../b", "/b"},
        {"/a;b;c", "/a;b;c"},     {"/..;/b", NULL},     {"/a/..;x=1/b", NULL},
        {"/a/.;x/b", NULL},       {"/a/;x/b", NULL},    {"/;", NULL},
        {"/..%3b/b", NULL},       {"/%2e%2e;/b", NULL}, {"/%2e%2e%3B", NULL},
        {"/%3b..", NULL},         {"/...;x", "/...;x"}, {"/a%2f;x", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        char got[256];
        enum uri_fault fault = normalize(slice_of(cases[i].raw), URI_ALLOW_PARAMETERS, got);
        if ((fault == URI_OK) != (cases[i].normal != NULL))
            fail_msg("%s: %s", cases[i].raw, uri_fault_text(fault));
        if (fault == URI_OK)
            assert_string_equal(got, cases[i].normal);
    }
}

static void a_normal_path_is_not_copied(void **state)
{
    char scratch[URI_PATH_SCRATCH(32)];
    struct slice raw = SLICE("/a/b-c/d.e/f%x"), path;
    raw.len -= 2;
    assert_int_equal(uri_path_normalize(raw, 0, scratch, &path), URI_OK);
    assert_ptr_equal(path.base, raw.base);
    assert_int_equal(path.len, raw.len);
}

/* What the most credulous server could make of a path: decodes as long as anything is left to decode, takes
 * '\' for '/', drops parameters, resolves dots, ignores case. */
static void read_credulously(const char *path, char *out)
{
    char text[512], *end = text;
    snprintf(text, sizeof(text), "%s", path);
    for (int round = 0; round < 4; ++round) {
        ssize_t len = uri_decode(slice_of(text), false, text);
        if (len < 0)
            break;
        text[len] = '\0';
    }
    for (end = text; *end != '\0'; ++end)
        *end = (char)(*end == '\\' ? '/' : tolower((unsigned char)*end));
    out[0] = '\0';
    char *save = NULL;
    for (char *part = strtok_r(text, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        char *parameter = strchr(part, ';');
        if (parameter != NULL)
            *parameter = '\0';
        if (strcmp(part, "..") == 0) {
            char *slash = strrchr(out, '/');
            if (slash != NULL)
                *slash = '\0';
        } else if (*part != '\0' && strcmp(part, ".") != 0) {
            strcat(strcat(out, "/"), part);
        }
    }
}

static bool is_under(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Spellings of /admin/secret that walked around one gateway or another. Each is refused, or its normal form
 * shows what it is: then a rule on /admin sees it, and so does the server. */
static void no_spelling_of_a_denied_prefix_gets_by(void **state)
{
    static const char *const spellings[] = {
        "/admin/secret",
        "//admin/secret",
        "///admin/secret",
        "/./admin/secret",
        "/.//admin/secret",
        "/../admin/secret",
        "/x/../admin/secret",
        "/x/..//admin/secret",
        "/x//../admin/secret",
        "/x/./../admin/secret",
        "/x/y/../../admin/secret",
        "/%61dmin/secret",
        "/%61%64%6d%69%6e/secret",
        "/adm%69n/secret",
        "/admi%6E/secret",
        "/admin%2fsecret",
        "/admin%2Fsecret",
        "/%2fadmin/secret",
        "/%2Fadmin%2Fsecret",
        "/x/%2e%2e/admin/secret",
        "/x/%2E%2E/admin/secret",
        "/x/.%2e/admin/secret",
        "/x/%2e./admin/secret",
        "/%2e/admin/secret",
        "/x%2f..%2fadmin/secret",
        "/x%2f%2e%2e%2fadmin/secret",
        "/x/..%2fadmin/secret",
        "/x/..%5cadmin/secret",
        "/x\\..\\admin\\secret",
        "/\\admin/secret",
        "/admin\\secret",
        "/admin%5csecret",
        "/x/..;/admin/secret",
        "/x/..;a=b/admin/secret",
        "/x/%2e%2e;/admin/secret",
        "/x/..%3b/admin/secret",
        "/;/admin/secret",
        "/;x=y/admin/secret",
        "/admin;/secret",
        "/admin;x=y/secret",
        "/admin%3bx/secret",
        "/.;/admin/secret",
        "/%2561dmin/secret",
        "/%25%36%31dmin/secret",
        "/x/%252e%252e/admin/secret",
        "/x/%25%32%65%25%32%65/admin/secret",
        "/x%252f..%252fadmin/secret",
        "/%252fadmin/secret",
        "/%255cadmin/secret",
        "/x/%25252e%25252e/admin/secret",
        "/x/..%c0%afadmin/secret",
        "/x/%c0%ae%c0%ae/admin/secret",
        "/x/..%e0%80%afadmin/secret",
        "/x/..%f0%80%80%afadmin/secret",
        "/x/..%u2215admin/secret",
        "/%u0061dmin/secret",
        "/admin%00/secret",
        "/x%00/../admin/secret",
        "/admin/./secret",
        "/admin//secret",
        "/admin/",
        "/admin/.",
        "/admin/x/..",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x#/../admin/secret",
        "/x%23/../admin/secret",
        "/x%3f/../admin/secret",
        "/admin%20/../admin/secret",
        "/%09/admin/secret",
        "/ /admin/secret",
        "/x/.. /admin/secret",
        "/x/..\t/admin/secret",
        "/%0d/admin/secret",
        "/x/...//../admin/secret",
    };
    size_t num_seen = 0, num_refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(spellings); ++i) {
        for (unsigned flags = 0; flags <= URI_ALLOW_PARAMETERS; ++flags) {
            char normal[256], server[256];
            if (normalize(slice_of(spellings[i]), flags, normal) != URI_OK) {
                ++num_refused;
                continue;
            }
            ++num_seen;
            read_credulously(normal, server);
            /* With parameters allowed, a server that cuts them off is the operator's own decision. */
            if (flags == 0 && is_under(server, "/admin") && !is_under(normal, "/admin"))
                fail_msg("%s passes as %s", spellings[i], normal);
        }
    }
    assert_true(num_seen > 20 && num_refused > 48);
}

static void targets_are_split(void **state)
{
    static const struct {
        const char *target;
        enum uri_form form;
        const char *scheme, *authority, *path, *query;
    } cases[] = {
        {"/", URI_ORIGIN, NULL, NULL, "/", NULL},
        {"/a/b?c=d&e", URI_ORIGIN, NULL, NULL, "/a/b", "c=d&e"},
        {"/a?", URI_ORIGIN, NULL, NULL, "/a", ""},
        {"/a?b?c/d", URI_ORIGIN, NULL, NULL, "/a", "b?c/d"},
        {"//host/a", URI_ORIGIN, NULL, NULL, "//host/a", NULL},
        {"*", URI_ASTERISK, NULL, NULL, "*", NULL},
        {"http://h", URI_ABSOLUTE, "http", "h", "/", NULL},
        {"HTTPS://h:443/a?b", URI_ABSOLUTE, "https", "h:443", "/a", "b"},
        {"http://h?q", URI_ABSOLUTE, "http", "h", "/", "q"},
        {"http://u@h/", URI_ABSOLUTE, "http", "u@h", "/", NULL},
        {"http://[::1]:80/x", URI_ABSOLUTE, "http", "[::1]:80", "/x", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct uri uri;
        assert_int_equal(uri_parse(slice_of(cases[i].target), &uri), URI_OK);
        assert_int_equal(uri.form, cases[i].form);
        assert_true(slice_eq(uri.scheme, slice_of(cases[i].scheme)));
        assert_true(slice_eq(uri.authority, slice_of(cases[i].authority)));
        assert_true(slice_eq(uri.path, slice_of(cases[i].path)));
        assert_int_equal(uri.query.base != NULL, cases[i].query != NULL);
        assert_true(slice_eq(uri.query, slice_of(cases[i].query)));
    }
}

static void odd_targets_are_refused(void **state)
{
    static const struct {
        struct slice target;
        enum uri_fault fault;
    } cases[] = {
        {SLICE(""), URI_NOT_ABSOLUTE},          {SLICE("a"), URI_NOT_ABSOLUTE},
        {SLICE("**"), URI_NOT_ABSOLUTE},        {SLICE("?a"), URI_NOT_ABSOLUTE},
        {SLICE("/a#b"), URI_FRAGMENT},          {SLICE("/a?b#c"), URI_FRAGMENT},
        {SLICE("/a b"), URI_BAD_BYTE},          {SLICE("/a?b c"), URI_BAD_BYTE},
        {SLICE("/a?\x80"), URI_BAD_BYTE},       {SLICE("/a\0"), URI_BAD_BYTE},
        {SLICE("/a\r\n"), URI_BAD_BYTE},        {SLICE("ftp://h/"), URI_BAD_SCHEME},
        {SLICE("file:///etc"), URI_BAD_SCHEME}, {SLICE("unix:/x"), URI_BAD_SCHEME},
        {SLICE("http:/h/"), URI_BAD_SCHEME},    {SLICE("http://"), URI_BAD_SCHEME},
        {SLICE("http:///a"), URI_BAD_HOST},     {SLICE("http://?a"), URI_BAD_HOST},
        {SLICE("https:e"), URI_BAD_SCHEME},     {SLICE("httpx://h"), URI_BAD_SCHEME},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct uri uri;
        enum uri_fault fault = uri_parse(cases[i].target, &uri);
        if (fault != cases[i].fault)
            fail_msg("%s: %s", cases[i].target.base, uri_fault_text(fault));
    }
}

static void hosts_have_one_normal_form(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
        enum uri_host_kind kind;
    } cases[] = {
        {"example.com", "example.com", 0, URI_HOST_NAME},
        {"EXAMPLE.Com:8080", "example.com", 8080, URI_HOST_NAME},
        {"example.com.", "example.com", 0, URI_HOST_NAME},
        {"example.com.:443", "example.com", 443, URI_HOST_NAME},
        {"localhost:1", "localhost", 1, URI_HOST_NAME},
        {"a:65535", "a", 65535, URI_HOST_NAME},
        {"a_b-c.d", "a_b-c.d", 0, URI_HOST_NAME},
        {"1.example", "1.example", 0, URI_HOST_NAME},
        {"x.0xg", "x.0xg", 0, URI_HOST_NAME},
        {"127.0.0.1", "127.0.0.1", 0, URI_HOST_IPV4},
        {"10.0.0.1:80", "10.0.0.1", 80, URI_HOST_IPV4},
        {"10.0.0.1.", "10.0.0.1", 0, URI_HOST_IPV4},
        {"[::1]", "[::1]", 0, URI_HOST_IPV6},
        {"[2001:DB8:0::1]:443", "[2001:db8::1]", 443, URI_HOST_IPV6},
        {"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", 0, URI_HOST_IPV6},
        {"[::FFFF:a00:1]", "[::ffff:10.0.0.1]", 0, URI_HOST_IPV6},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        char scratch[URI_HOST_SCRATCH];
        struct uri_authority got;
        enum uri_fault fault = uri_authority_parse(slice_of(cases[i].text), scratch, &got);
        if (fault != URI_OK)
            fail_msg("%s: %s", cases[i].text, uri_fault_text(fault));
        if (!slice_is(got.host, cases[i].host))
            fail_msg("%s gives %.*s", cases[i].text, (int)got.host.len, got.host.base);
        assert_int_equal(got.port, cases[i].port);
        assert_int_equal(got.kind, cases[i].kind);
    }
}

static void bad_hosts_are_refused(void **state)
{
    static const struct {
        struct slice text;
        enum uri_fault fault;
    } cases[] = {
        {SLICE(""), URI_BAD_HOST},
        {SLICE(":80"), URI_BAD_HOST},
        {SLICE("."), URI_BAD_HOST},
        {SLICE("a.."), URI_BAD_HOST},
        {SLICE("a..b"), URI_BAD_HOST},
        {SLICE(".a"), URI_BAD_HOST},
        {SLICE("a b"), URI_BAD_HOST},
        {SLICE(" a"), URI_BAD_HOST},
        {SLICE("a,b"), URI_BAD_HOST},
        {SLICE("a/b"), URI_BAD_HOST},
        {SLICE("a\\b"), URI_BAD_HOST},
        {SLICE("a?b"), URI_BAD_HOST},
        {SLICE("a#b"), URI_BAD_HOST},
        {SLICE("a%41"), URI_BAD_HOST},
        {SLICE("a\0b"), URI_BAD_HOST},
        {SLICE("a\r\nb"), URI_BAD_HOST},
        {SLICE("caf\xc3\xa9"), URI_BAD_HOST},
        {SLICE("user@a"), URI_USERINFO},
        {SLICE("user:pass@a:80"), URI_USERINFO},
        {SLICE("@a"), URI_USERINFO},
        {SLICE("a@"), URI_USERINFO},
        {SLICE("a:"), URI_BAD_PORT},
        {SLICE("a:0"), URI_BAD_PORT},
        {SLICE("a:080"), URI_BAD_PORT},
        {SLICE("a:65536"), URI_BAD_PORT},
        {SLICE("a:99999"), URI_BAD_PORT},
        {SLICE("a:100000"), URI_BAD_PORT},
        {SLICE("a:-1"), URI_BAD_PORT},
        {SLICE("a:+80"), URI_BAD_PORT},
        {SLICE("a:8 0"), URI_BAD_PORT},
        {SLICE("a:80:80"), URI_BAD_PORT},
        {SLICE("a:http"), URI_BAD_PORT},
        {SLICE("::1"), URI_BAD_HOST},
        {SLICE("[::1"), URI_BAD_HOST},
        {SLICE("[]"), URI_BAD_HOST},
        {SLICE("[::1]x"), URI_BAD_HOST},
        {SLICE("[::1]:"), URI_BAD_PORT},
        {SLICE("[1.2.3.4]"), URI_BAD_HOST},
        {SLICE("[::1%25eth0]"), URI_BAD_HOST},
        {SLICE("[v1.a]"), URI_BAD_HOST},
        {SLICE("[::g]"), URI_BAD_HOST},
        {SLICE("127.1"), URI_BAD_HOST},
        {SLICE("2130706433"), URI_BAD_HOST},
        {SLICE("0x7f000001"), URI_BAD_HOST},
        {SLICE("0x7F.1"), URI_BAD_HOST},
        {SLICE("a.0X1"), URI_BAD_HOST},
        {SLICE("0177.0.0.1"), URI_BAD_HOST},
        {SLICE("1.2.3.4.5"), URI_BAD_HOST},
        {SLICE("256.0.0.1"), URI_BAD_HOST},
    };
    char scratch[URI_HOST_SCRATCH], name[400];
    struct uri_authority got;
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        enum uri_fault fault = uri_authority_parse(cases[i].text, scratch, &got);
        if (fault != cases[i].fault)
            fail_msg("%s: %s", cases[i].text.base, uri_fault_text(fault));
    }
    memset(name, 'a', sizeof(name));
    for (size_t i = 50; i < sizeof(name); i += 50)
        name[i] = '.';
    assert_int_equal(uri_authority_parse(slice_make(name, 253), scratch, &got), URI_OK);
    assert_int_equal(uri_authority_parse(slice_make(name, 254), scratch, &got), URI_BAD_HOST);
    memset(name, 'a', 100);
    assert_int_equal(uri_authority_parse(slice_make(name, 63), scratch, &got), URI_OK);
    assert_int_equal(uri_authority_parse(slice_make(name, 64), scratch, &got), URI_BAD_HOST);
}

static void queries_are_walked_in_order(void **state)
{
    static const struct {
        const char *name, *value;
    } expected[] = {{"a", "1"}, {"b", ""}, {"c", NULL}, {"", "x"}, {"d", "1=2"}, {"a", "2"}};
    struct slice rest = SLICE("&a=1&&b=&c&=x&d=1=2&a=2&"), name, value;
    size_t num = 0;
    for (; uri_query_next(&rest, &name, &value); ++num) {
        assert_true(num < ARRAY_LEN(expected));
        assert_true(slice_eq(name, slice_of(expected[num].name)));
        assert_int_equal(value.base != NULL, expected[num].value != NULL);
        assert_true(slice_eq(value, slice_of(expected[num].value)));
    }
    assert_int_equal(num, ARRAY_LEN(expected));
    rest = (struct slice){NULL, 0};
    assert_false(uri_query_next(&rest, &name, &value));
}

static void parameters_are_found_by_decoded_name(void **state)
{
    struct slice query = SLICE("%61b=x%20y&c+d=e+f%2B&bad=%zz&none&%zz=1&last=%00z");
    struct strbuf value = STRBUF_INIT;
    assert_int_equal(uri_query_get(query, SLICE("ab"), &value), 1);
    assert_string_equal(value.base, "x y");
    assert_int_equal(uri_query_get(query, SLICE("c d"), &value), 1);
    assert_string_equal(value.base, "e f+");
    assert_int_equal(uri_query_get(query, SLICE("bad"), &value), -1);
    assert_int_equal(uri_query_get(query, SLICE("none"), &value), 1);
    assert_int_equal(value.len, 0);
    assert_int_equal(uri_query_get(query, SLICE("last"), &value), 1);
    assert_int_equal(value.len, 2);
    assert_int_equal(uri_query_get(query, SLICE("absent"), &value), 0);
    assert_int_equal(value.len, 0);
    strbuf_clear(&value);
}

static void encoding_is_undone_by_decoding(void **state)
{
    char all[256], back[256 * 3];
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < sizeof(all); ++i)
        all[i] = (char)i;
    uri_encode(&text, slice_make(all, sizeof(all)));
    assert_int_equal(uri_decode(strbuf_slice(&text), true, back), sizeof(all));
    assert_memory_equal(back, all, sizeof(all));
    strbuf_reset(&text);
    uri_encode(&text, SLICE("a/b c&d=e~\xc3\xa9"));
    assert_string_equal(text.base, "a%2Fb%20c%26d%3De~%C3%A9");
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_have_one_normal_form),
        cmocka_unit_test(paths_without_an_innocent_reading_are_refused),
        cmocka_unit_test(allowed_parameters_still_play_no_tricks),
        cmocka_unit_test(a_normal_path_is_not_copied),
        cmocka_unit_test(no_spelling_of_a_denied_prefix_gets_by),
        cmocka_unit_test(targets_are_split),
        cmocka_unit_test(odd_targets_are_refused),
        cmocka_unit_test(hosts_have_one_normal_form),
        cmocka_unit_test(bad_hosts_are_refused),
        cmocka_unit_test(queries_are_walked_in_order),
        cmocka_unit_test(parameters_are_found_by_decoded_name),
        cmocka_unit_test(encoding_is_undone_by_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
