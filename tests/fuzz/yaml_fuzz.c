/* links: sv_base */
/* Whatever is read must come back equal from what is written, as YAML and as JSON. */
#include "core/base/json.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Aliases make large trees of small inputs; those are not written out again. */
enum { WRITTEN_MAX = 1 << 16 };

static int keep(struct json *doc, void *data, struct err *err)
{
    *(struct json **)data = doc;
    return 0;
}

static int check(struct json *doc, void *data, struct err *err)
{
    struct arena *arena = arena_new(0);
    struct strbuf text = STRBUF_INIT;
    struct json *again = NULL;
    json_write(&text, doc);
    if (json_parse(arena, strbuf_slice(&text), err) == NULL)
        abort();
    bool is_small = text.len < WRITTEN_MAX;
    strbuf_reset(&text);
    if (is_small) {
        json_write_yaml(&text, doc);
        if (json_parse_yaml(arena, strbuf_slice(&text), keep, &again, err) != 0 || !json_equal(doc, again))
            abort();
    }
    strbuf_clear(&text);
    arena_free(arena);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena *arena = arena_new(0);
    struct err err = ERR_INIT;
    (void)json_parse_yaml(arena, slice_make((const char *)bytes, len), check, NULL,
                          &err); /* refusing is fine */
    arena_free(arena);
    return 0;
}
