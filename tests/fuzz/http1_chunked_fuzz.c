/* links: sv_http */
/* The chunked coding: read whole and byte by byte it must give the same, and so must writing it again. */
#undef NDEBUG /* the asserts are the test */
#include "core/http/http1_parse.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct decoded {
    char *out;
    size_t len, taken;
    bool is_bad, is_end;
};

static struct decoded decode(const char *bytes, size_t len, size_t step)
{
    struct decoded d = {.out = malloc(len + 1)};
    struct ht1_chunked chunked = {.state = HT1_CHUNK_SIZE};
    enum ht1_refusal why;

    while (d.taken < len && chunked.state != HT1_CHUNK_TRAILERS) {
        size_t some = MIN(step, len - d.taken);
        if (chunked.state == HT1_CHUNK_DATA && chunked.left != 0) {
            some = MIN(some, chunked.left);
            memcpy(d.out + d.len, bytes + d.taken, some);
            d.len += some;
            chunked.left -= some;
        } else {
            ssize_t taken = ht1_chunked_read(&chunked, bytes + d.taken, some, &why);
            if (taken < 0) {
                assert(why != HT1_OK);
                d.is_bad = true;
                return d;
            }
            assert(taken > 0 && (size_t)taken <= some);
            some = (size_t)taken;
        }
        d.taken += some;
    }
    d.is_end = chunked.state == HT1_CHUNK_TRAILERS;
    return d;
}

static void check_trailers(const char *bytes, size_t len)
{
    struct ht1_scan scan = {0, 0, 0};
    ssize_t section = ht1_scan(&scan, bytes, len);
    struct ht_headers trailers;

    if (section <= 0)
        return;
    char *copy = malloc((size_t)section);
    struct ht_header *fields = calloc(scan.num_lines + 1, sizeof(*fields));
    memcpy(copy, bytes, (size_t)section);
    if (ht1_parse_trailers(copy, (size_t)section, fields, &trailers) == HT1_OK)
        for (uint32_t i = 0; i < trailers.num; i++)
            assert(!ht_is_forbidden_trailer(&trailers.at[i]) && ht_is_field_value(trailers.at[i].value));
    free(fields);
    free(copy);
}

static void check_again(const struct decoded *d)
{
    char *text = malloc(d->len + 64);
    size_t len = ht1_chunk_head(text, d->len);

    if (d->len != 0) {
        memcpy(text + len, d->out, d->len);
        memcpy(text + len + d->len, "\r\n0\r\n", 5);
        len += d->len + 5;
    }
    struct decoded again = decode(text, len, len);
    assert(again.is_end && again.len == d->len && memcmp(again.out, d->out, d->len) == 0);
    free(again.out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct decoded whole = decode((const char *)bytes, len, len),
                   dripping = decode((const char *)bytes, len, 1);

    assert(whole.is_bad == dripping.is_bad && whole.len == dripping.len && whole.is_end == dripping.is_end);
    assert(whole.is_bad || whole.taken == dripping.taken);
    assert(memcmp(whole.out, dripping.out, whole.len) == 0);
    if (whole.is_end) {
        check_trailers((const char *)bytes + whole.taken, len - whole.taken);
        check_again(&whole);
    }
    free(whole.out);
    free(dripping.out);
    return 0;
}
