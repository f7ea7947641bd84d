/* Making and checking identifiers. A valid traceparent is not rewritten: we record no span of our own that a child
 * could name as its parent, and a parent nobody recorded would tear the trace. */
#include "core/proxy/trace.h"

#include <endian.h>

/* Eight digits at once: a nibble a byte, each made its digit by arithmetic over the whole word. Every request has ten of
 * these; a digit at a time they were a fifteenth of its instructions. */
static char *put_hex8(char *at, uint32_t value)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t word = value;

    word = (word | word << 16) & 0x0000ffff0000ffffu;
    word = (word | word << 8) & 0x00ff00ff00ff00ffu;
    word = (word | word << 4) & 0x0f0f0f0f0f0f0f0fu;
    uint64_t is_letter = ((word + ones * 6) >> 4) & ones;
    word += ones * '0' + is_letter * ('a' - '0' - 10);
    word = htobe64(word);
    return mempcpy(at, &word, sizeof(word));
}

static char *put_hex16(char *at, uint64_t value)
{
    return put_hex8(put_hex8(at, (uint32_t)(value >> 32)), (uint32_t)value);
}

/* RFC 9562 version 4: random but for the version's digit and the variant's two bits. */
static struct slice make_request_id(h2o_mem_pool_t *pool, struct rng *rng)
{
    static const uint8_t groups[] = {8, 4, 4, 4, 12};
    char digits[32], *text = h2o_mem_alloc_pool(pool, PX_REQUEST_ID_LEN), *at = text;
    const char *from = digits;
    uint64_t high = rng_next(rng), low = rng_next(rng);

    high = (high & ~(uint64_t)0xf000) | 0x4000;
    low = (low & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62;
    put_hex16(put_hex16(digits, high), low);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (i != 0)
            *at++ = '-';
        at = mempcpy(at, from, groups[i]);
        from += groups[i];
    }
    return slice_make(text, PX_REQUEST_ID_LEN);
}

static struct slice make_traceparent(h2o_mem_pool_t *pool, struct rng *rng)
{
    char *text = h2o_mem_alloc_pool(pool, PX_TRACEPARENT_LEN), *at = text;

    at = mempcpy(at, "00-", 3);
    at = put_hex16(at, rng_next(rng) | 1); /* never all zero */
    at = put_hex16(at, rng_next(rng));
    *at++ = '-';
    at = put_hex16(at, rng_next(rng) | 1);
    memcpy(at, "-00", 3); /* nobody decided to sample it */
    return slice_make(text, PX_TRACEPARENT_LEN);
}

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '0')
            return false;
    return true;
}

bool px_traceparent_is_valid(struct slice value)
{
    const char *t = value.base;

    if (value.len < PX_TRACEPARENT_LEN || t[2] != '-' || t[35] != '-' || t[52] != '-')
        return false;
    if (!is_hex(t, 2) || !is_hex(t + 3, 32) || !is_hex(t + 36, 16) || !is_hex(t + 53, 2))
        return false;
    if (is_zero(t + 3, 32) || is_zero(t + 36, 16) || memcmp(t, "ff", 2) == 0)
        return false;
    if (memcmp(t, "00", 2) == 0)
        return value.len == PX_TRACEPARENT_LEN;
    return value.len == PX_TRACEPARENT_LEN || t[PX_TRACEPARENT_LEN] == '-'; /* later versions may add fields */
}

static bool is_harmless_id(struct slice value)
{
    if (value.len == 0 || value.len > PX_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!is_alnum && strchr("-_.:/+=@", c) == NULL)
            return false;
    }
    return true;
}

struct found {
    struct slice request_id, traceparent;
    uint32_t num_ids, num_parents, num_states;
};

static struct found find(const struct ht_headers *headers)
{
    struct found found = {{NULL, 0}, {NULL, 0}, 0, 0, 0};

    for (uint32_t i = 0; i < headers->num; i++) {
        struct slice name = headers->at[i].name;
        if (name.len == 12 && memcmp(name.base, "x-request-id", 12) == 0) {
            found.request_id = headers->at[i].value;
            ++found.num_ids;
        } else if (name.len == 11 && memcmp(name.base, "traceparent", 11) == 0) {
            found.traceparent = headers->at[i].value;
            ++found.num_parents;
        } else if (name.len == 10 && memcmp(name.base, "tracestate", 10) == 0) {
            ++found.num_states;
        }
    }
    return found;
}

static void drop(struct ht_headers *headers, struct slice name, uint32_t num)
{
    if (num != 0)
        (void)ht_headers_remove(headers, name);
}

void px_trace_apply(h2o_mem_pool_t *pool, struct rng *rng, bool keep_id, struct ht_headers *headers,
                    struct px_trace *ret)
{
    struct found found = find(headers);

    ret->request_id = found.request_id;
    if (!keep_id || found.num_ids != 1 || !is_harmless_id(found.request_id)) {
        drop(headers, SLICE("x-request-id"), found.num_ids);
        ret->request_id = make_request_id(pool, rng);
        ht_headers_add(pool, headers, SLICE("x-request-id"), ret->request_id);
    }
    if (found.num_parents != 1 || !px_traceparent_is_valid(found.traceparent)) {
        drop(headers, SLICE("traceparent"), found.num_parents);
        drop(headers, SLICE("tracestate"), found.num_states);
        found.traceparent = make_traceparent(pool, rng);
        ht_headers_add(pool, headers, SLICE("traceparent"), found.traceparent);
    }
    ret->trace_id = slice_make(found.traceparent.base + 3, PX_TRACE_ID_LEN);
}
