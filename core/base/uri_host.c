/* Hosts: a name of letters, digits, '-' and '_', or an address. One that resolvers could read as an address
 * although it is none (127.1, 0x7f.0.0.1, 2130706433) is refused, as WHATWG's URL does: rules on addresses
 * would not see it. */
#include "core/base/uri.h"

#include "core/base/cidr.h"
#include "core/base/uri_char.h"

#include <stdio.h>

enum { NAME_MAX_LEN = 253, LABEL_MAX_LEN = 63 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Cuts ":port" off the end of `rest`, which begins where a port may. */
static enum uri_fault parse_port(struct slice text, uint16_t *ret)
{
    unsigned port = 0;
    *ret = 0;
    if (text.len == 0)
        return URI_OK;
    if (text.base[0] != ':')
        return URI_BAD_HOST;
    if (text.len < 2 || text.len > 6 || text.base[1] == '0')
        return URI_BAD_PORT;
    for (size_t i = 1; i < text.len; ++i) {
        if (!is_digit(text.base[i]))
            return URI_BAD_PORT;
        port = port * 10 + (unsigned)(text.base[i] - '0');
    }
    if (port > UINT16_MAX)
        return URI_BAD_PORT;
    *ret = (uint16_t)port;
    return URI_OK;
}

/* Whether the last label is a number, decimal or hexadecimal: no top-level domain is, addresses are. */
static bool ends_in_number(struct slice name)
{
    size_t start = name.len;
    while (start > 0 && name.base[start - 1] != '.')
        --start;
    struct slice label = slice_make(name.base + start, name.len - start);
    bool is_hex = slice_starts(label, SLICE("0x"));
    for (size_t i = is_hex ? 2 : 0; i < label.len; ++i)
        if (is_hex ? uri_hex_value(label.base[i]) < 0 : !is_digit(label.base[i]))
            return false;
    return true;
}

static bool has_good_labels(struct slice name)
{
    size_t label_len = 0;
    for (size_t i = 0; i <= name.len; ++i) {
        if (i < name.len && name.base[i] != '.') {
            ++label_len;
            continue;
        }
        if (label_len == 0 || label_len > LABEL_MAX_LEN)
            return false;
        label_len = 0;
    }
    return name.len <= NAME_MAX_LEN;
}

static bool is_name_char(char c)
{
    return uri_char_is(c, URI_UNRESERVED) && c != '~';
}

static enum uri_fault parse_name(struct slice text, char *scratch, struct uri_authority *ret)
{
    struct ip_addr addr;
    if (text.len != 0 && text.base[text.len - 1] == '.')
        --text.len; /* fully qualified; the same host */
    if (text.len == 0 || text.len > NAME_MAX_LEN)
        return URI_BAD_HOST;
    for (size_t i = 0; i < text.len; ++i) {
        char c = text.base[i];
        if (!is_name_char(c))
            return URI_BAD_HOST;
        scratch[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    ret->host = slice_make(scratch, text.len);
    if (ip_parse(ret->host, &addr) == 0)
        ret->kind = URI_HOST_IPV4;
    else if (has_good_labels(ret->host) && !ends_in_number(ret->host))
        ret->kind = URI_HOST_NAME;
    else
        return URI_BAD_HOST;
    return URI_OK;
}

/* An IPv4 address in IPv6 clothes stays in them here: as a name it is another one, and rules on addresses
 * come later. */
static enum uri_fault parse_ipv6(struct slice text, char *scratch, struct uri_authority *ret)
{
    struct ip_addr addr;
    char printed[IP_TEXT_MAX];
    if (memchr(text.base, ':', text.len) == NULL || ip_parse(text, &addr) != 0)
        return URI_BAD_HOST;
    ip_print(&addr, printed);
    int len = snprintf(scratch, URI_HOST_SCRATCH, addr.len == 4 ? "[::ffff:%s]" : "[%s]", printed);
    ret->host = slice_make(scratch, (size_t)len);
    ret->kind = URI_HOST_IPV6;
    return URI_OK;
}

enum uri_fault uri_authority_parse(struct slice text, char *scratch, struct uri_authority *ret)
{
    struct uri_authority authority = {.port = 0};
    enum uri_fault fault;
    size_t host_len = 0;
    if (text.len == 0)
        return URI_BAD_HOST;
    if (memchr(text.base, '@', text.len) != NULL)
        return URI_USERINFO;
    if (text.base[0] == '[') {
        const char *close = memchr(text.base, ']', text.len);
        if (close == NULL)
            return URI_BAD_HOST;
        host_len = (size_t)(close - text.base) + 1;
        fault = parse_ipv6(slice_make(text.base + 1, host_len - 2), scratch, &authority);
    } else {
        while (host_len < text.len && text.base[host_len] != ':')
            ++host_len;
        fault = parse_name(slice_make(text.base, host_len), scratch, &authority);
    }
    if (fault == URI_OK)
        fault = parse_port(slice_make(text.base + host_len, text.len - host_len), &authority.port);
    if (fault == URI_OK)
        *ret = authority;
    return fault;
}
