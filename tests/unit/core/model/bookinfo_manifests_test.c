/* The manifests of the demo shop are what newcomers apply first: the tables take every one of them as it is.
 */
#include "core/model/kinds.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct count {
    unsigned objects, routes;
};

static int check_object(struct json *object, void *data, struct err *err)
{
    struct count *count = data;
    struct arena *arena = arena_new(0);
    struct field_report report;
    const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT};
    const char *name = json_str(json_find(object, "metadata", "name", NULL), "?");
    const struct kind *kind = kind_of(object, err);
    int rc = -1;
    if (kind != NULL) {
        field_report_init(&report, arena);
        (void)kind_decode(kind, object, SLICE("default"), &options, arena, &report);
        rc = field_report_err(&report, err);
        count->objects++;
        count->routes += kind->id == KIND_HTTP_ROUTE;
    }
    arena_free(arena);
    return rc == 0 ? 0 : err_wrap(err, "%s", name);
}

static void check_file(const char *path, struct count *count)
{
    struct arena *arena = arena_new(0);
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n;
    while ((n = fread(strbuf_reserve(&text, 4096), 1, 4096, file)) != 0)
        text.len += n;
    fclose(file);
    if (json_parse_yaml(arena, strbuf_slice(&text), check_object, count, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    strbuf_clear(&text);
    arena_free(arena);
}

static void every_manifest_is_taken(void **state)
{
    static const char *const patterns[] = {TEST_SOURCE_DIR "/examples/bookinfo/manifests/*.yaml",
                                           TEST_SOURCE_DIR "/examples/bookinfo/manifests/extras/*.yaml"};
    struct count count = {0, 0};
    for (size_t i = 0; i != ARRAY_LEN(patterns); i++) {
        glob_t found;
        assert_int_equal(glob(patterns[i], 0, NULL, &found), 0);
        for (size_t k = 0; k != found.gl_pathc; k++)
            check_file(found.gl_pathv[k], &count);
        globfree(&found);
    }
    assert_true(count.objects >= 30);
    assert_true(count.routes >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_manifest_is_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
