/* docs/fields.md is what the field tables say: written from them, and held against them here. To write it anew:
 *   SELVEDGE_WRITE_DOCS=1 ctest --test-dir build/release -R fields_doc */
#include "tests/unit/lib/json_fixture.h"

#include "core/base/files.h"
#include "core/base/hashmap.h"
#include "core/model/kinds.h"

#define PLACE TEST_SOURCE_DIR "/docs/fields.md"

/* A kind being written; schemas that come a second time are referred to. */
struct page {
    struct strbuf text, refused;
    struct hashmap seen; /* schema -> the path it was first at */
};

static const char *type_word(enum field_type type)
{
    static const char *const words[] = {
        [FIELD_STRING] = "text",           [FIELD_BOOL] = "boolean",   [FIELD_I32] = "number",        [FIELD_I64] = "number",
        [FIELD_U16] = "number",            [FIELD_U32] = "number",     [FIELD_U64] = "number",        [FIELD_ENUM] = "text",
        [FIELD_DURATION] = "duration",     [FIELD_TIME] = "time",      [FIELD_BYTES] = "base64",      [FIELD_INT_OR_STRING] = "number or text",
        [FIELD_OBJECT] = "object",         [FIELD_OBJECT_PTR] = "object", [FIELD_LIST] = "list",      [FIELD_MAP] = "map",
        [FIELD_RAW] = "anything",
    };
    return words[type];
}

static void add_part(struct strbuf *text, size_t start, const char *part)
{
    strbuf_addf(text, "%s%s", text->len != start ? "; " : "", part);
}

static void add_names(struct strbuf *text, size_t start, const char *before, const char *const *names)
{
    if (names == NULL)
        return;
    add_part(text, start, before);
    for (size_t i = 0; names[i] != NULL; ++i)
        strbuf_addf(text, "%s`%s`", i != 0 ? ", " : " ", names[i][0] != '\0' ? names[i] : "\"\"");
}

/* "needed; 1 to 65535; default `80`". */
static void add_bounds(struct strbuf *text, const struct field *field)
{
    size_t start = text->len;
    const char *of = field->type == FIELD_LIST || field->type == FIELD_MAP ? " items" : field->type == FIELD_STRING ? " characters" : "";
    if ((field->flags & FIELD_NEEDED) != 0)
        add_part(text, start, "needed");
    add_names(text, start, "one of", field->names);
    if (field->max != 0) {
        add_part(text, start, "");
        strbuf_addf(text, field->type == FIELD_DURATION ? "%lld to %lld ms" : "%lld to %lld%s", (long long)field->min, (long long)field->max, of);
    }
    if (field->def != NULL && field->def[0] != '\0') {
        add_part(text, start, "default");
        strbuf_addf(text, " `%s`", field->def);
    }
    if ((field->flags & FIELD_IMMUTABLE) != 0)
        add_part(text, start, "may not change");
    add_names(text, start, "not served:", field->refused);
}

static void add_fields(struct page *page, const struct field_schema *schema, const char *path);

static void add_field(struct page *page, const struct field *field, const char *parent)
{
    bool is_list = field->type == FIELD_LIST && field->item == FIELD_OBJECT;
    const char *path = arena_printf(arena, "%s%s%s%s", parent, parent[0] != '\0' ? "." : "", field->name, is_list ? "[]" : "");
    if ((field->flags & FIELD_UNSUPPORTED) != 0) {
        strbuf_addf(&page->refused, "%s`%s`", page->refused.len != 0 ? ", " : "", path);
        return;
    }
    strbuf_addf(&page->text, "| `%s` | %s | ", path, type_word(field->type));
    add_bounds(&page->text, field);
    strbuf_addf(&page->text, " | %s", field->doc != NULL ? field->doc : "");
    const char *first = field->schema != NULL ? hashmap_get(&page->seen, (const char *)&field->schema, sizeof(field->schema)) : NULL;
    if (first != NULL)
        strbuf_addf(&page->text, " As `%s`.", first);
    strbuf_adds(&page->text, " |\n");
    if (field->schema == NULL || first != NULL)
        return;
    hashmap_put(&page->seen, arena_slice(arena, slice_make((const char *)&field->schema, sizeof(field->schema))).base, sizeof(field->schema), (void *)path);
    add_fields(page, field->schema, path);
}

static void add_fields(struct page *page, const struct field_schema *schema, const char *path)
{
    for (uint32_t i = 0; i < schema->num_fields; ++i)
        add_field(page, &schema->fields[i], path);
}

static bool is_common(const struct field *field)
{
    return strcmp(field->name, "apiVersion") == 0 || strcmp(field->name, "kind") == 0 || strcmp(field->name, "metadata") == 0 || strcmp(field->name, "status") == 0;
}

static const char table_head[] = "| field | type | bounds | what |\n| --- | --- | --- | --- |\n";

static void add_page(struct strbuf *out, struct page *page)
{
    strbuf_adds(out, "\n");
    if (page->text.len != 0)
        strbuf_addf(out, "%s%.*s", table_head, (int)page->text.len, page->text.base);
    if (page->refused.len != 0)
        strbuf_addf(out, "%sRefused by name: %.*s.\n", page->text.len != 0 ? "\n" : "", (int)page->refused.len, page->refused.base);
    strbuf_clear(&page->text);
    strbuf_clear(&page->refused);
    hashmap_clear(&page->seen);
}

static void add_kind(struct strbuf *out, const struct kind *kind)
{
    struct page page = {0};
    strbuf_addf(out, "\n## %s\n\n", kind->kind);
    for (size_t i = 0; kind->versions[i] != NULL; ++i)
        strbuf_addf(out, "%s`%s`", i != 0 ? ", " : "", kind_api_version(kind, kind->versions[i], arena).base);
    strbuf_addf(out, ". %s\n", kind->doc);
    for (uint32_t i = 0; i < kind->schema->num_fields; ++i)
        if (!is_common(&kind->schema->fields[i]))
            add_field(&page, &kind->schema->fields[i], "");
    add_page(out, &page);
}

static void fields_md_is_what_the_tables_say(void **state)
{
    struct strbuf want = STRBUF_INIT, got = STRBUF_INIT;
    struct page metadata = {0};
    struct err err = ERR_INIT;
    strbuf_adds(&want, "# Fields\n\nEvery kind and field that is served, written from the tables that check them (`core/model/object`); a test holds this page\n"
                       "against them. [resources.md](resources.md) says what they do together. `status` is the system's to write.\n\n## Metadata of all kinds\n");
    add_fields(&metadata, &obj_meta_schema, "metadata");
    add_page(&want, &metadata);
    for (int id = 0; id < KIND_COUNT; ++id)
        add_kind(&want, kind_get(id));
    if (getenv("SELVEDGE_WRITE_DOCS") != NULL && file_write_atomic(PLACE, strbuf_slice(&want), 0644, &err) != 0)
        fail_msg("%s", err.text);
    if (file_read(PLACE, 1 << 20, &got, &err) != 0)
        fail_msg("%s", err.text);
    if (!slice_eq(strbuf_slice(&want), strbuf_slice(&got)))
        fail_msg("docs/fields.md is not what the tables say: write it anew with SELVEDGE_WRITE_DOCS=1 ctest -R fields_doc");
    strbuf_clear(&want);
    strbuf_clear(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_md_is_what_the_tables_say, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
