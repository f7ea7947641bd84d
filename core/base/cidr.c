/* Addresses are kept as bytes in network order, so that a prefix is a run of leading bits. */
#include "core/base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
enum { MAPPED_BITS = 96 };

static void set_v4(struct ip_addr *addr, const void *bytes)
{
    *addr = (struct ip_addr){.len = 4};
    memcpy(addr->bytes, bytes, 4);
}

/* Returns whether it was an IPv4 address in IPv6 clothes. */
static bool set_v6(struct ip_addr *addr, const uint8_t *bytes)
{
    if (memcmp(bytes, MAPPED_PREFIX, sizeof(MAPPED_PREFIX)) == 0) {
        set_v4(addr, bytes + 12);
        return true;
    }
    addr->len = 16;
    memcpy(addr->bytes, bytes, 16);
    return false;
}

static int parse(struct slice text, struct ip_addr *ret, bool *ret_was_mapped)
{
    char copy[IP_TEXT_MAX];
    uint8_t bytes[16];
    *ret_was_mapped = false;
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.base, '\0', text.len) != NULL)
        return -1;
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1)
        set_v4(ret, bytes);
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        *ret_was_mapped = set_v6(ret, bytes);
    else
        return -1;
    return 0;
}

int ip_parse(struct slice text, struct ip_addr *ret)
{
    bool ignored;
    return parse(text, ret, &ignored);
}

/* One to three digits without a leading zero. */
static int parse_prefix_len(struct slice text, unsigned *ret)
{
    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.base[0] == '0'))
        return -1;
    *ret = 0;
    for (size_t i = 0; i < text.len; ++i) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return -1;
        *ret = *ret * 10 + (unsigned)(text.base[i] - '0');
    }
    return 0;
}

static void clear_host_bits(struct cidr *range)
{
    for (unsigned bit = range->prefix_len; bit < range->addr.len * 8u; ++bit)
        range->addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

int cidr_parse(struct slice text, struct cidr *ret)
{
    struct cidr range = {.prefix_len = 0};
    bool was_mapped;
    const char *slash = text.len != 0 ? memchr(text.base, '/', text.len) : NULL;
    size_t addr_len = slash != NULL ? (size_t)(slash - text.base) : text.len;
    if (parse(slice_make(text.base, addr_len), &range.addr, &was_mapped) != 0)
        return -1;
    unsigned bits = range.addr.len * 8u, prefix_len = bits;
    if (slash != NULL) {
        if (parse_prefix_len(slice_make(slash + 1, text.len - addr_len - 1), &prefix_len) != 0)
            return -1;
        if (was_mapped && prefix_len < MAPPED_BITS)
            return -1; /* part IPv4, part not: nobody means that */
        if (was_mapped)
            prefix_len -= MAPPED_BITS;
        if (prefix_len > bits)
            return -1;
    }
    range.prefix_len = (uint8_t)prefix_len;
    clear_host_bits(&range);
    *ret = range;
    return 0;
}

int ip_from_sockaddr(const struct sockaddr *sa, struct ip_addr *ret)
{
    if (sa->sa_family == AF_INET)
        set_v4(ret, &((const struct sockaddr_in *)sa)->sin_addr);
    else if (sa->sa_family == AF_INET6)
        (void)set_v6(
            ret,
            ((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr); /* mapped or not is all the same here */
    else
        return -1;
    return 0;
}

void ip_print(const struct ip_addr *addr, char *out)
{
    if (addr->len == 0)
        out[0] = '\0';
    else
        (void)inet_ntop(addr->len == 4 ? AF_INET : AF_INET6, addr->bytes, out,
                        IP_TEXT_MAX); /* cannot fail: it fits */
}

bool cidr_contains(const struct cidr *range, const struct ip_addr *addr)
{
    unsigned whole = range->prefix_len / 8, rest = range->prefix_len % 8;
    if (range->addr.len != addr->len || addr->len == 0 || memcmp(range->addr.bytes, addr->bytes, whole) != 0)
        return false;
    return rest == 0 || ((range->addr.bytes[whole] ^ addr->bytes[whole]) >> (8 - rest)) == 0;
}

bool cidr_list_contains(const struct cidr *ranges, size_t num, const struct ip_addr *addr)
{
    for (size_t i = 0; i < num; ++i)
        if (cidr_contains(&ranges[i], addr))
            return true;
    return false;
}
