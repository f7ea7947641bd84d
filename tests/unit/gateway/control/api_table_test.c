#include "gateway/control/api_internal.h"
#include "gateway/control/api_openapi.h"

#include "core/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    clock_fake(0, 0);
    arena = arena_free(arena);
    return 0;
}

static const char *age_after(int64_t seconds)
{
    static const char object[] = "{\"metadata\":{\"name\":\"a\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}}";
    struct api_target target = {.kind = kind_get(KIND_CONFIG_MAP), .version = "v1"};
    int64_t created;
    assert_int_equal(clock_parse_rfc3339(SLICE("2026-01-01T00:00:00Z"), &created), 0);
    clock_fake(1, created + seconds * 1000000);
    struct json *table = api_table_new(arena, target.kind, "v1", true);
    api_table_add(arena, table, &target, json_parse(arena, slice_of(object), NULL), SLICE(""));
    return json_str(json_get(json_get(table, "rows")->child, "cells")->last, "");
}

static void ages_are_as_kubectl_writes_them(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {-5, "0s"},         {0, "0s"},           {119, "119s"},        {120, "2m"},          {125, "2m5s"},        {599, "9m59s"},
        {600, "10m"},       {3 * 3600 - 1, "179m"}, {3 * 3600, "3h"},  {3 * 3600 + 60, "3h1m"}, {8 * 3600, "8h"},  {47 * 3600, "47h"},
        {48 * 3600, "2d"},  {49 * 3600, "2d1h"}, {8 * 86400, "8d"},    {700 * 86400, "700d"}, {730 * 86400, "2y"}, {731 * 86400, "2y1d"},
        {3000LL * 86400, "8y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i)
        assert_string_equal(age_after(cases[i].seconds), cases[i].text);
}

static void every_kind_has_a_row_for_its_columns(void **state)
{
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        struct api_target target = {.kind = kind_get((enum kind_id)i), .version = kind_get((enum kind_id)i)->version};
        struct json *table = api_table_new(arena, target.kind, "v1beta1", true);
        api_table_add(arena, table, &target, json_parse(arena, SLICE("{\"metadata\":{\"name\":\"a\"}}"), NULL), SLICE("None"));
        const struct json *row = json_get(table, "rows")->child;
        assert_int_equal(json_get(row, "cells")->num, json_get(table, "columnDefinitions")->num);
        assert_null(json_get(row, "object"));
        assert_string_equal(json_str(json_get(row, "cells")->last, ""), "<unknown>");
    }
}

/* ---------- OpenAPI ---------- */

static void the_document_has_every_kind_and_version(void **state)
{
    struct json *document = api_openapi_v2_document(arena);
    const struct json *definitions = json_get(document, "definitions");
    size_t num = 0;
    JSON_FOR(definition, definitions)
    num += json_get(definition, "x-kubernetes-group-version-kind") != NULL && !slice_ends(definition->key, SLICE("List"));
    size_t want = 0;
    for (size_t i = 0; i < KIND_COUNT; ++i)
        for (const char *const *version = kind_get((enum kind_id)i)->versions; *version != NULL; ++version)
            ++want;
    assert_int_equal(num, want);
    assert_non_null(json_get(definitions, "io.k8s.networking.gateway.v1.HTTPRoute"));
    assert_non_null(json_get(definitions, "io.k8s.api.core.v1.Service"));
    /* kubectl diff and --dry-run=server look for this parameter */
    const struct json *patch = json_find(document, "paths", "/api/v1/namespaces/{namespace}/services/{name}", "patch", NULL);
    assert_string_equal(json_str(json_get(json_at(json_get(patch, "parameters"), 0), "name"), ""), "dryRun");
}

static void references_of_the_document_resolve(void **state)
{
    struct strbuf text = STRBUF_INIT;
    struct json *document = api_openapi_v2_document(arena);
    json_write(&text, document);
    static const char mark[] = "\"$ref\":\"#/definitions/";
    for (const char *at = text.base; (at = strstr(at, mark)) != NULL;) {
        at += sizeof(mark) - 1;
        struct slice name = slice_make(at, strcspn(at, "\""));
        if (json_get_n(json_get(document, "definitions"), name) == NULL)
            fail_msg("%.*s is not there", (int)name.len, name.base);
    }
    strbuf_clear(&text);
}

static size_t varint(const unsigned char **at)
{
    size_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        unsigned char byte = *(*at)++;
        value |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

static void protobuf_is_well_formed_and_begins_with_the_version(void **state)
{
    struct strbuf out = STRBUF_INIT;
    api_openapi_write_proto(&out, api_openapi_v2_document(arena));
    const unsigned char *at = (const unsigned char *)out.base, *end = at + out.len;
    assert_memory_equal(out.base, "\x0a\x03" "2.0", 5);
    size_t seen = 0;
    while (at < end) { /* the document's own fields are all length-delimited */
        size_t key = varint(&at), len = varint(&at);
        assert_int_equal(key & 7, 2);
        assert_true(len <= (size_t)(end - at));
        seen |= (size_t)1 << (key >> 3);
        at += len;
    }
    assert_ptr_equal(at, end);
    assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 8 | 1 << 9);
    strbuf_clear(&out);
}

static void protobuf_of_a_small_document(void **state)
{
    static const char text[] = "{\"swagger\":\"2.0\",\"definitions\":{\"a\":{\"type\":\"object\",\"required\":[\"b\"],\"x-y\":1,"
                               "\"properties\":{\"b\":{\"$ref\":\"#/c\"}}}}}";
    static const unsigned char want[] = {
        0x0a, 3, '2', '.', '0',
        0x4a, 50, 0x0a, 48, 0x0a, 1, 'a', 0x12, 43, /* definitions = 9 {additional_properties = 1 {name = 1, value = 2}} */
        0xb2, 1, 8, 0x0a, 6, 'o', 'b', 'j', 'e', 'c', 't', /* type = 22 {value = 1} */
        0x9a, 1, 1, 'b', /* required = 19 */
        0xfa, 1, 10, 0x0a, 3, 'x', '-', 'y', 0x12, 3, 0x12, 1, '1', /* vendor_extension = 31 {name = 1, value = 2 {yaml = 2}} */
        0xca, 1, 12, 0x0a, 10, 0x0a, 1, 'b', 0x12, 5, 0x0a, 3, '#', '/', 'c', /* properties = 25 */
    };
    struct strbuf out = STRBUF_INIT;
    api_openapi_write_proto(&out, json_parse(arena, slice_of(text), NULL));
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.base, want, sizeof(want));
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ages_are_as_kubectl_writes_them, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kind_has_a_row_for_its_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(the_document_has_every_kind_and_version, setup, teardown),
        cmocka_unit_test_setup_teardown(references_of_the_document_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(protobuf_is_well_formed_and_begins_with_the_version, setup, teardown),
        cmocka_unit_test_setup_teardown(protobuf_of_a_small_document, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
