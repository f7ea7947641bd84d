/* A list of ranges or a number of hops, and the spellings of addresses in forwarded headers. */
#include "core/proxy/trust.h"

struct px_trust {
    uint32_t hops;
    size_t num;
    struct cidr networks[];
};

struct px_trust *px_trust_new(const struct slice *networks, size_t num, struct err *err)
{
    struct px_trust *trust = xcalloc(1, sizeof(*trust) + num * sizeof(trust->networks[0]));

    for (size_t i = 0; i < num; i++)
        if (cidr_parse(networks[i], &trust->networks[i]) != 0) {
            err_set(err, ERR_INVALID, "trustedProxies[%zu]: '%.*s' is no network", i, (int)networks[i].len,
                    networks[i].base);
            return px_trust_free(trust);
        }
    trust->num = num;
    return trust;
}

struct px_trust *px_trust_new_hops(uint32_t hops)
{
    struct px_trust *trust = xcalloc(1, sizeof(*trust));

    trust->hops = MIN(hops, (uint32_t)PX_TRUST_MAX_HOPS);
    return trust;
}

uint32_t px_trust_hops(const struct px_trust *trust)
{
    return trust != NULL ? trust->hops : 0;
}

struct px_trust *px_trust_free(struct px_trust *trust)
{
    free(trust);
    return NULL;
}

bool px_trust_has(const struct px_trust *trust, const struct ip_addr *addr)
{
    return trust != NULL && cidr_list_contains(trust->networks, trust->num, addr);
}

bool px_trust_has_sockaddr(const struct px_trust *trust, const struct sockaddr *addr)
{
    struct ip_addr ip;

    if (px_trust_hops(trust) != 0)
        return true;
    return trust != NULL && ip_from_sockaddr(addr, &ip) == 0 && px_trust_has(trust, &ip);
}

static bool is_port(struct slice text)
{
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] < '0' || text.base[i] > '9')
            return false;
    return true;
}

static bool parse_bracketed(struct slice text, struct ip_addr *ret, struct slice *ret_host)
{
    const char *end = memchr(text.base, ']', text.len);

    if (end == NULL)
        return false;
    size_t len = (size_t)(end - text.base) + 1;
    if (len != text.len && (text.base[len] != ':' || !is_port(slice_make(text.base + len + 1, text.len - len - 1))))
        return false;
    *ret_host = slice_make(text.base + 1, len - 2);
    return memchr(ret_host->base, ':', ret_host->len) != NULL && ip_parse(*ret_host, ret) == 0;
}

bool px_parse_forwarded_address(struct slice text, struct ip_addr *ret, struct slice *ret_host)
{
    const char *colon;

    if (text.len == 0)
        return false;
    if (text.base[0] == '[')
        return parse_bracketed(text, ret, ret_host);
    *ret_host = text;
    if (ip_parse(text, ret) == 0)
        return true;
    if ((colon = memchr(text.base, ':', text.len)) == NULL)
        return false;
    *ret_host = slice_make(text.base, (size_t)(colon - text.base));
    return is_port(slice_make(colon + 1, text.len - ret_host->len - 1)) && ip_parse(*ret_host, ret) == 0 && ret->len == 4;
}
