/* links: sv_control */
/* Bodies in protobuf form: whatever comes, what is read can be written as JSON and read again as the same. */
#include "gateway/control/api_proto.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena *arena = arena_new(0);
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    struct json *document = api_proto_read(arena, slice_make((const char *)bytes, len), &err);
    if ((document == NULL) != (err.code != ERR_NONE))
        abort();
    if (document != NULL) {
        json_write(&text, document);
        struct json *again = json_parse(arena, strbuf_slice(&text), &err);
        if (again == NULL ? strstr(err.text, "deep") == NULL && strstr(err.text, "nest") == NULL : !json_equal(document, again))
            abort();
    }
    strbuf_clear(&text);
    arena_free(arena);
    return 0;
}
