/* One pass takes the whole family out, remembering what a listed proxy said; then the few we vouch for are added. */
#include "core/proxy/forwarded.h"

#include "core/http/chars.h"

enum kind { KEEP, FOR, PROTO, HOST, PORT, STANDARD, REAL_IP, OTHER, NUM_KINDS };

static const struct {
    struct slice name;
    enum kind kind;
} known[] = {
    {SLICE("x-forwarded-for"), FOR},
    {SLICE("x-forwarded-proto"), PROTO},
    {SLICE("x-forwarded-host"), HOST},
    {SLICE("x-forwarded-port"), PORT},
    {SLICE("forwarded"), STANDARD},
    {SLICE("x-real-ip"), REAL_IP},
    {SLICE("x-original-url"), OTHER},
    {SLICE("x-original-uri"), OTHER},
    {SLICE("x-original-host"), OTHER},
    {SLICE("x-original-method"), OTHER},
    {SLICE("x-rewrite-url"), OTHER},
    {SLICE("x-client-ip"), OTHER},
    {SLICE("x-cluster-client-ip"), OTHER},
    {SLICE("true-client-ip"), OTHER},
    {SLICE("forwarded-for"), OTHER},
    {SLICE("x-original-forwarded-for"), OTHER},
    {SLICE("cf-connecting-ip"), OTHER},
    {SLICE("cf-connecting-ipv6"), OTHER},
    {SLICE("fastly-client-ip"), OTHER},
};

static enum kind kind_of(struct slice name)
{
    if (name.len < 9)
        return KEEP;
    switch (name.base[0]) { /* those below, and none that requests usually have */
    case 'c':
    case 'f':
    case 't':
    case 'x':
        break;
    default:
        return KEEP;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_eq(name, known[i].name))
            return known[i].kind;
    if (slice_starts(name, SLICE("x-forwarded-")) || slice_starts(name, SLICE("x-selvedge-")) ||
        slice_starts(name, SLICE("x-envoy-")))
        return OTHER;
    return KEEP;
}

static struct slice join(h2o_mem_pool_t *pool, struct slice a, struct slice b)
{
    char *text = h2o_mem_alloc_pool(pool, a.len + 2 + b.len);

    memcpy(text, a.base, a.len);
    memcpy(text + a.len, ", ", 2);
    memcpy(text + a.len + 2, b.base, b.len);
    return slice_make(text, a.len + 2 + b.len);
}

/* Cuts the last element of a comma-separated list off. */
static struct slice pop_last(struct slice *list)
{
    size_t at = list->len;

    while (at != 0 && list->base[at - 1] != ',')
        --at;
    struct slice last = slice_make(list->base + at, list->len - at);
    list->len = at != 0 ? at - 1 : 0;
    return ht_trim(last);
}

/* The address that the outermost of so many proxies wrote down. A chain that is too short, or has no address there, was not
 * written by them: then the client is who the connection comes from. */
static struct slice client_by_hops(uint32_t hops, struct slice chain, struct slice peer)
{
    struct ip_addr addr;
    struct slice element = {NULL, 0}, host;

    for (uint32_t i = 0; i < hops; i++) {
        if (chain.len == 0)
            return peer;
        element = pop_last(&chain);
    }
    return px_parse_forwarded_address(element, &addr, &host) ? host : peer;
}

struct slice px_forwarded_client(const struct px_trust *trust, struct slice chain, struct slice peer)
{
    struct slice client = peer, host;
    struct ip_addr addr;

    if (px_trust_hops(trust) != 0)
        return client_by_hops(px_trust_hops(trust), chain, peer);
    while (chain.len != 0) {
        if (!px_parse_forwarded_address(pop_last(&chain), &addr, &host))
            return client; /* garbage: whoever handed it on is the last we know */
        client = host;
        if (!px_trust_has(trust, &addr))
            return client;
    }
    return client;
}

/* What the family said, taken out of the headers. Repeated lines of lists are one list; of the others the last counts,
 * which is the nearest proxy's. */
static void extract(h2o_mem_pool_t *pool, bool is_trusted, struct ht_headers *headers, struct slice *said)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < headers->num; i++) {
        enum kind kind = kind_of(headers->at[i].name);
        if (kind == KEEP || (kind == OTHER && is_trusted)) {
            if (kept != i)
                headers->at[kept] = headers->at[i];
            ++kept;
            continue;
        }
        bool is_list = kind == FOR || kind == STANDARD;
        said[kind] = is_list && said[kind].len != 0 ? join(pool, said[kind], headers->at[i].value) : headers->at[i].value;
    }
    headers->num = kept;
}

static bool is_scheme(struct slice text)
{
    return slice_eq(text, SLICE("http")) || slice_eq(text, SLICE("https"));
}

/* RFC 7239: IPv6 in brackets and quotes. */
static struct slice standard_element(h2o_mem_pool_t *pool, const struct px_hop *hop)
{
    bool is_v6 = memchr(hop->address.base, ':', hop->address.len) != NULL;
    char *text = h2o_mem_alloc_pool(pool, hop->address.len + hop->scheme.len + 32), *at = text;

    at = stpcpy(at, is_v6 ? "for=\"[" : "for=");
    at = mempcpy(at, hop->address.base, hop->address.len);
    at = stpcpy(at, is_v6 ? "]\";proto=" : ";proto=");
    at = mempcpy(at, hop->scheme.base, hop->scheme.len);
    return slice_make(text, (size_t)(at - text));
}

static struct slice real_client(const struct px_trust *trust, const struct px_hop *hop, const struct slice *said)
{
    struct ip_addr addr;
    struct slice host;

    if (!hop->is_trusted)
        return hop->address;
    bool may_be_direct = px_trust_hops(trust) != 0; /* then X-Real-IP could be the client's own word */
    if (said[FOR].len == 0 && !may_be_direct && px_parse_forwarded_address(said[REAL_IP], &addr, &host))
        return host;
    return px_forwarded_client(trust, said[FOR], hop->address);
}

void px_forwarded_apply(h2o_mem_pool_t *pool, const struct px_trust *trust, const struct px_hop *hop,
                        struct ht_headers *headers, struct px_forwarded *ret)
{
    struct slice said[NUM_KINDS] = {{NULL, 0}};

    extract(pool, hop->is_trusted, headers, said);
    if (!hop->is_trusted)
        memset(said, 0, sizeof(said));
    ret->client = real_client(trust, hop, said);
    ret->scheme = is_scheme(said[PROTO]) ? said[PROTO] : hop->scheme;

    ht_headers_add(pool, headers, known[0].name, said[FOR].len != 0 ? join(pool, said[FOR], hop->address) : hop->address);
    ht_headers_add(pool, headers, known[1].name, ret->scheme);
    struct slice host = ht_is_authority(said[HOST]) ? said[HOST] : hop->authority;
    if (host.len != 0)
        ht_headers_add(pool, headers, known[2].name, host);
    ht_headers_add(pool, headers, known[3].name, ht_is_port(said[PORT]) ? said[PORT] : hop->port);
    if (said[STANDARD].len != 0)
        ht_headers_add(pool, headers, known[4].name, join(pool, said[STANDARD], standard_element(pool, hop)));
    if (said[REAL_IP].len != 0)
        ht_headers_add(pool, headers, known[5].name, ret->client);
}
