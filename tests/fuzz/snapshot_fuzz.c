/* links: sv_model */
/* Documents as they come over the wire or from a cache file: refused with a text, or read, linked and written
 * back with the same sum. A fuzzer never guesses the sum, so what is in `resources` is also taken without it.
 */
#include "core/model/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void decode(const struct cfg_document *doc)
{
    struct err err = ERR_INIT;
    struct cfg_snapshot *snapshot = cfg_snapshot_decode(doc, &err);
    if (snapshot == NULL && err.text[0] == '\0')
        abort();
    cfg_snapshot_unref(snapshot);
}

static void check_round_trip(const struct cfg_document *doc, bool without_secrets)
{
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    cfg_document_write(doc, without_secrets, &text);
    struct cfg_document *again = cfg_document_parse(strbuf_slice(&text), &err);
    if (again == NULL || (!without_secrets && cfg_document_sum(again) != cfg_document_sum(doc)))
        abort();
    cfg_document_free(again);
    strbuf_clear(&text);
}

static bool is_short(struct slice text, size_t max)
{
    return text.len > 0 && text.len <= max && memchr(text.base, '\0', text.len) == NULL;
}

static struct cfg_document *collect(const struct json *tree)
{
    struct cfg_document *doc = cfg_document_new();
    JSON_FOR(resource, json_get(tree, "resources"))
    {
        struct slice kind = json_slice(json_get(resource, "kind")),
                     name = json_slice(json_get(resource, "name"));
        const struct json *spec = json_get(resource, "spec");
        if (is_short(kind, 32) && is_short(name, 128) && spec != NULL && spec->type != JSON_NULL)
            cfg_document_add(doc, kind, name, 1, spec);
    }
    return doc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice text = slice_make((const char *)bytes, len);
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(0);
    struct json *tree = json_parse(arena, text, &err);
    struct cfg_document *doc = cfg_document_parse(text, &err);
    if (doc != NULL)
        decode(doc);
    else if (tree != NULL && (doc = collect(tree)) != NULL && cfg_document_seal(doc, &err) == 0) {
        decode(doc);
        check_round_trip(doc, false);
        check_round_trip(doc, true);
        struct cfg_document *patched = cfg_document_patch(doc, tree, &err);
        cfg_document_free(patched);
    }
    cfg_document_free(doc);
    arena_free(arena);
    return 0;
}
