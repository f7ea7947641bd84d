/* links: sv_proxy */
/* What upstreams are told about clients, whatever clients say: lines "name: value" become the headers of a request over
 * a hop that is trusted or not (first byte). From an untrusted hop nothing of the forwarded family may survive; what we
 * write is always one valid field; identifiers are harmless in any text. */
#include "core/base/cidr.h"
#include "core/proxy/forwarded.h"
#include "core/proxy/grpc.h"
#include "core/proxy/target.h"
#include "core/proxy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* Lower case, as the engines hand them over; what is no field is left out, as the engines refuse it. */
static void add_line(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice line)
{
    const char *colon = line.len != 0 ? memchr(line.base, ':', line.len) : NULL;

    if (colon == NULL)
        return;
    struct slice name = ht_pool_dup(pool, slice_make(line.base, (size_t)(colon - line.base)));
    struct slice value = ht_pool_dup(pool, slice_make(colon + 1, line.len - name.len - 1));
    for (size_t i = 0; i < name.len; i++)
        if (name.base[i] >= 'A' && name.base[i] <= 'Z')
            ((char *)name.base)[i] |= 32;
    if (ht_is_token(name) && ht_is_field_value(value))
        ht_headers_add(pool, headers, name, value);
}

static void add_lines(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice text)
{
    while (text.len != 0) {
        const char *end = memchr(text.base, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.base) : text.len;
        add_line(pool, headers, slice_make(text.base, len));
        len = MIN(len + 1, text.len);
        text = slice_make(text.base + len, text.len - len);
    }
}

static struct slice only(const struct ht_headers *headers, const char *name)
{
    const struct ht_header *header = ht_headers_find(headers, slice_of(name));

    require(header != NULL && ht_headers_next(headers, header) == NULL);
    return header->value;
}

static void check_headers(const struct ht_headers *headers, const struct px_hop *hop)
{
    struct slice proto = only(headers, "x-forwarded-proto");

    for (uint32_t i = 0; i < headers->num; i++)
        require(ht_is_field_value(headers->at[i].value));
    require(slice_is(proto, "http") || slice_is(proto, "https"));
    require(ht_is_authority(only(headers, "x-forwarded-host")));
    require(slice_ends(only(headers, "x-forwarded-for"), hop->address));
    if (hop->is_trusted)
        return;
    require(slice_eq(only(headers, "x-forwarded-for"), hop->address));
    require(ht_headers_find(headers, SLICE("forwarded")) == NULL);
    require(ht_headers_find(headers, SLICE("x-real-ip")) == NULL);
}

static void check_targets(h2o_mem_pool_t *pool, struct slice text)
{
    struct slice path, query, host;

    if (px_target_parse(pool, text, &path, &query) && path.base[0] != '*')
        require(ht_is_target(px_target_join(pool, path, query)));
    if (ht_is_authority(text) && px_authority_host(pool, text, &host))
        require(host.len <= MAX(text.len, (size_t)IP_TEXT_MAX + 8)); /* "::99:1" is written as ::0.153.0.1, in brackets */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct px_trust *trust;
    struct slice network = SLICE("10.0.0.0/8");
    struct slice text = slice_make((const char *)bytes + (len != 0), len != 0 ? len - 1 : 0);
    struct px_hop hop = {SLICE("10.0.0.1"), SLICE("https"), SLICE("a.example"), SLICE("443"), len != 0 && bytes[0] == 't'};
    struct ht_headers headers = {NULL, 0, 0};
    struct rng rng = {len};
    struct px_forwarded forwarded;
    struct px_trace trace;
    h2o_mem_pool_t pool;
    uint64_t ms;

    if (trust == NULL)
        trust = px_trust_new(&network, 1, NULL);
    h2o_mem_init_pool(&pool);
    add_lines(&pool, &headers, text);
    (void)(px_is_grpc(&headers) && px_grpc_timeout(&headers, &ms)); /* looked at for what it might read */
    px_forwarded_apply(&pool, trust, &hop, &headers, &forwarded);
    px_trace_apply(&pool, &rng, hop.is_trusted, &headers, &trace);
    check_headers(&headers, &hop);
    require(px_traceparent_is_valid(only(&headers, "traceparent")));
    require(only(&headers, "x-request-id").len <= PX_REQUEST_ID_MAX);
    check_targets(&pool, text);
    h2o_mem_clear_pool(&pool);
    return 0;
}
