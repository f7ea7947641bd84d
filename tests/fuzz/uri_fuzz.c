/* links: sv_base */
/* What a normal form promises: it stays as it is, has no empty or dot segments, holds only bytes of RFC 3986,
 * and decodes to no slash, backslash or control character that it does not show. */
#include "core/base/uri.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_segments(struct slice path)
{
    require(path.len != 0 && path.base[0] == '/');
    for (size_t start = 1, i = 1; i <= path.len; ++i) {
        if (i < path.len && path.base[i] != '/')
            continue;
        struct slice segment = slice_make(path.base + start, i - start);
        require(!slice_is(segment, ".") && !slice_is(segment, ".."));
        require(segment.len != 0 || i == path.len);
        start = i + 1;
    }
}

static void check_decoded(struct slice path)
{
    char *decoded = xmalloc(path.len + 1);
    ssize_t len = uri_decode(path, false, decoded);
    require(len >= 0);
    size_t num_shown = 0, num_decoded = 0;
    for (size_t i = 0; i < path.len; ++i) {
        require(path.base[i] > 0x20 && path.base[i] < 0x7f && path.base[i] != '?' && path.base[i] != '#');
        num_shown += path.base[i] == '/';
    }
    for (ssize_t i = 0; i < len; ++i) {
        num_decoded += decoded[i] == '/';
        require((unsigned char)decoded[i] >= 0x20 && decoded[i] != 0x7f && decoded[i] != '\\');
    }
    require(num_shown == num_decoded);
    free(decoded);
}

static void check_path(struct slice raw, unsigned flags)
{
    char *scratch = xmalloc(URI_PATH_SCRATCH(raw.len)), *again_scratch = NULL;
    struct slice path, again;
    if (uri_path_normalize(raw, flags, scratch, &path) == URI_OK) {
        check_segments(path);
        check_decoded(path);
        again_scratch = xmalloc(URI_PATH_SCRATCH(path.len));
        require(uri_path_normalize(path, flags, again_scratch, &again) == URI_OK && slice_eq(path, again));
    }
    free(scratch);
    free(again_scratch);
}

static void check_authority(struct slice text)
{
    char scratch[URI_HOST_SCRATCH], again_scratch[URI_HOST_SCRATCH];
    struct uri_authority authority, again;
    if (uri_authority_parse(text, scratch, &authority) != URI_OK)
        return;
    require(authority.host.len != 0 && authority.host.len <= URI_HOST_MAX);
    require(uri_authority_parse(authority.host, again_scratch, &again) == URI_OK);
    require(slice_eq(authority.host, again.host) && again.port == 0 && authority.kind == again.kind);
}

static void check_query(struct slice query)
{
    struct slice name, value, rest = query;
    struct strbuf decoded = STRBUF_INIT, encoded = STRBUF_INIT;
    while (uri_query_next(&rest, &name, &value))
        require(name.base >= query.base && name.base + name.len <= query.base + query.len);
    (void)uri_query_get(query, SLICE("a"), &decoded); /* only that it stays inside */
    uri_encode(&encoded, query);
    char *back = xmalloc(encoded.len + 1);
    require(uri_decode(strbuf_slice(&encoded), true, back) == (ssize_t)query.len);
    require(query.len == 0 || memcmp(back, query.base, query.len) == 0);
    free(back);
    strbuf_clear(&decoded);
    strbuf_clear(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice text = slice_make((const char *)bytes, len);
    struct uri uri;
    check_path(text, 0);
    check_path(text, URI_ALLOW_PARAMETERS);
    check_authority(text);
    check_query(text);
    if (uri_parse(text, &uri) == URI_OK && uri.form != URI_ASTERISK) {
        check_path(uri.path, 0);
        check_authority(uri.authority);
    }
    return 0;
}
