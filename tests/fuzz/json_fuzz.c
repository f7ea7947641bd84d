/* links: sv_base */
/* Whatever is read must be written back to something equal, in each style. */
#include "core/base/json.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static void (*const writers[])(struct strbuf *, const struct json *) = {json_write, json_write_pretty,
                                                                            json_write_canonical};
    struct arena *arena = arena_new(0);
    struct err err = ERR_INIT;
    struct json *doc = json_parse(arena, slice_make((const char *)bytes, len), &err);
    for (size_t i = 0; doc != NULL && i < ARRAY_LEN(writers); ++i) {
        struct strbuf text = STRBUF_INIT;
        writers[i](&text, doc);
        struct json *again = json_parse(arena, strbuf_slice(&text), &err);
        if (again == NULL || !json_equal(doc, again))
            abort();
        strbuf_clear(&text);
    }
    int64_t ignored;
    (void)json_int(doc, &ignored); /* only that it does not read outside */
    arena_free(arena);
    return 0;
}
