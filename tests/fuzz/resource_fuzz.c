/* links: sv_model */
/* Resources as users send them, JSON or YAML: refused with paths, or taken; and what is taken once, with its
 * defaults, is taken again without a change. */
#include "core/model/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct field_options strict = {.unknown = FIELD_UNKNOWN_STRICT,
                                            .apply_defaults = true,
                                            .check_read_only = true},
                                  lenient = {.unknown = FIELD_UNKNOWN_WARN, .apply_defaults = true};

static void check_texts(const struct field_report *report)
{
    for (const struct field_violation *v = report->violations; v != NULL; v = v->next)
        if (v->message.len == 0 || (v->path.len == 0 && v->reason != FIELD_TYPE_INVALID &&
                                    v->reason != FIELD_UNKNOWN)) /* a member named "" */
            abort();
}

static void check_taken(const struct kind *kind, struct json *object, const void *decoded,
                        struct arena *arena)
{
    struct field_report report;
    struct json *copy = json_clone(arena, object);
    struct strbuf cells = STRBUF_INIT;
    field_report_init(&report, arena);
    (void)kind_decode(kind, copy, SLICE("default"), &lenient, arena, &report);
    if (report.num_violations != 0 || !json_equal(copy, object))
        abort();
    kind_check_update(kind, object, copy, &report);
    if (report.num_violations != 0)
        abort();
    for (const struct kind_column *column = kind->columns; column->name != NULL; ++column)
        kind_cell(column, object, &cells);
    strbuf_clear(&cells);
    (void)field_encode(kind->schema, decoded, arena);
}

static int on_doc(struct json *doc, void *data, struct err *err)
{
    struct arena *arena = data;
    struct field_report report;
    const struct kind *kind = kind_of(doc, err);
    if (kind == NULL)
        return 0;
    field_report_init(&report, arena);
    (void)kind_decode(kind, json_clone(arena, doc), SLICE("default"), &strict, arena, &report);
    check_texts(&report);
    field_report_init(&report, arena);
    const void *decoded = kind_decode(kind, doc, SLICE("default"), &lenient, arena, &report);
    check_texts(&report);
    if (report.num_violations == 0)
        check_taken(kind, doc, decoded, arena);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice text = slice_make((const char *)bytes, len);
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(0);
    struct json *tree = json_parse(arena, text, &err);
    if (tree != NULL)
        (void)on_doc(tree, arena, &err);
    else
        (void)json_parse_yaml(arena, text, on_doc, arena, &err);
    arena_free(arena);
    return 0;
}
