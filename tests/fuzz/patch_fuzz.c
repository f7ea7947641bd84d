/* links: sv_control */
/* One byte says which patch, then "document NUL patch": whatever comes, the result can be written and read again, and a
 * patch of the same twice by merge gives the same. */
#include "gateway/control/api_internal.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_written(struct arena *arena, const struct json *document)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    json_write(&text, document);
    struct json *again = json_parse(arena, strbuf_slice(&text), &err);
    if (again == NULL || !json_equal(document, again))
        abort();
    strbuf_clear(&text);
}

static void patch(struct arena *arena, char kind, struct json *document, const struct json *change)
{
    struct err err = ERR_INIT;
    struct api_change apply = {.target = {.kind = kind_get(KIND_SERVICE), .version = "v1", .ns = SLICE("default"), .name = SLICE("a")},
                               .arena = arena, .old = document, .old_rev = 1, .options = {.manager = SLICE("m")}};
    int status = -1;
    if (kind == 'j') {
        status = api_patch_json(arena, &document, change, &err);
    } else if (kind == 'm') {
        status = api_patch_merge(arena, &document, change, &err);
        struct json *first = json_clone(arena, document);
        if (status == 0 && api_patch_merge(arena, &document, change, &err) == 0 && !json_equal(first, document))
            abort();
    } else if (kind == 's' && document->type == JSON_OBJECT) {
        status = api_patch_strategic(arena, kind_get(KIND_SERVICE)->schema, document, change, &err);
    } else if (kind == 'a' && document->type == JSON_OBJECT) {
        field_report_init(&apply.report, arena);
        if (api_fields_apply(&apply, change, &err) == 0)
            (void)api_change_finish(&apply, &err); /* only that it ends */
    }
    if (status == 0)
        check_written(arena, document);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const char *text = (const char *)bytes, *split = len > 1 ? memchr(text + 1, '\0', len - 1) : NULL;
    if (split == NULL)
        return 0;
    struct arena *arena = arena_new(0);
    struct err err = ERR_INIT;
    struct json *document = json_parse(arena, slice_make(text + 1, (size_t)(split - text - 1)), &err);
    struct json *change = json_parse(arena, slice_make(split + 1, len - (size_t)(split + 1 - text)), &err);
    if (document != NULL && change != NULL)
        patch(arena, text[0], document, change);
    arena_free(arena);
    return 0;
}
