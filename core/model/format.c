/* Syntaxes of names and values. Each function accepts what its pattern accepts; the unit test compares the
 * two. */
#include "core/model/format.h"

#include "core/base/cidr.h"

#define LABEL "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN LABEL "(\\." LABEL ")*"
#define SUBDOMAIN_TEXT                                                                                       \
    "a lowercase RFC 1123 subdomain: letters, digits, '-' and '.', beginning and ending with a letter or "   \
    "digit"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_letter(char c)
{
    return is_alnum(c) && (c < '0' || c > '9');
}

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Alphanumeric at both ends, those or `others` between. */
static bool is_framed(struct slice text, bool (*is_end)(char c), const char *others)
{
    if (text.len == 0 || !is_end(text.base[0]) || !is_end(text.base[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; ++i)
        if (!is_end(text.base[i]) && !is_in(text.base[i], others))
            return false;
    return true;
}

static bool consists_of(struct slice text, const char *others)
{
    for (size_t i = 0; i < text.len; ++i)
        if (!is_alnum(text.base[i]) && !is_in(text.base[i], others))
            return false;
    return text.len != 0;
}

/* ---- DNS names ---- */

static bool is_label_chars(struct slice text)
{
    return is_framed(text, is_lower_alnum, "-");
}

static bool is_dns_label(struct slice text)
{
    return text.len <= 63 && is_label_chars(text);
}

static bool is_dns_1035_label(struct slice text)
{
    return is_dns_label(text) && text.base[0] >= 'a';
}

static bool is_subdomain(struct slice text)
{
    for (;;) {
        const char *dot = memchr(text.base, '.', text.len);
        size_t len = dot != NULL ? (size_t)(dot - text.base) : text.len;
        if (!is_label_chars(slice_make(text.base, len)))
            return false;
        if (dot == NULL)
            return true;
        text = slice_make(dot + 1, text.len - len - 1);
    }
}

static bool is_hostname(struct slice text)
{
    if (slice_starts(text, SLICE("*.")))
        text = slice_make(text.base + 2, text.len - 2);
    return is_subdomain(text);
}

static bool is_fqdn(struct slice text)
{
    if (slice_ends(text, SLICE(".")))
        --text.len;
    return is_subdomain(text);
}

static bool is_group(struct slice text)
{
    return text.len == 0 || is_subdomain(text);
}

/* ---- Kubernetes names ---- */

static bool is_kind(struct slice text)
{
    return is_framed(text, is_alnum, "-") && is_letter(text.base[0]);
}

static bool is_qualified(struct slice text)
{
    return text.len <= 63 && is_framed(text, is_alnum, "-_.");
}

/* Splits at the first '/'; without one there is no prefix. */
static bool split_prefix(struct slice text, struct slice *ret_prefix, struct slice *ret_rest)
{
    const char *slash = memchr(text.base, '/', text.len);
    if (slash == NULL)
        return false;
    *ret_prefix = slice_make(text.base, (size_t)(slash - text.base));
    *ret_rest = slice_make(slash + 1, text.len - ret_prefix->len - 1);
    return true;
}

static bool is_label_key(struct slice text)
{
    struct slice prefix, name;
    if (!split_prefix(text, &prefix, &name))
        return is_qualified(text);
    return prefix.len <= 253 && is_subdomain(prefix) && is_qualified(name);
}

static bool is_label_value(struct slice text)
{
    return text.len == 0 || is_qualified(text);
}

static bool is_port_name(struct slice text)
{
    bool has_letter = false;
    for (size_t i = 0; i < text.len; ++i) {
        has_letter = has_letter || (text.base[i] >= 'a' && text.base[i] <= 'z');
        if (text.base[i] == '-' && i + 1 < text.len && text.base[i + 1] == '-')
            return false;
    }
    return text.len <= 15 && is_label_chars(text) && has_letter;
}

static bool is_controller_name(struct slice text)
{
    struct slice domain, path;
    return split_prefix(text, &domain, &path) && is_subdomain(domain) &&
           consists_of(path, "/-._~%!$&'()*+,;=:");
}

static bool is_key(struct slice text)
{
    return text.len <= 253 && consists_of(text, "-_.") && !slice_is(text, ".") &&
           !slice_starts(text, SLICE(".."));
}

static bool is_app_protocol(struct slice text)
{
    return is_label_key(text);
}

/* ---- HTTP ---- */

static bool is_header_name(struct slice text)
{
    return consists_of(text, "!#$%&'*+-.^_`|~");
}

static bool is_visible(char c)
{
    return c > ' ' && c <= '~';
}

static bool is_header_value(struct slice text)
{
    for (size_t i = 0; i < text.len; ++i) {
        bool is_blank = text.base[i] == ' ' || text.base[i] == '\t';
        bool is_inside = i != 0 && i + 1 < text.len && is_visible(text.base[i - 1]);
        if (!is_visible(text.base[i]) && !(is_blank && is_inside))
            return false;
    }
    return text.len != 0;
}

static bool is_absolute_path(struct slice text)
{
    return text.len != 0 && text.base[0] == '/';
}

static bool is_hex(char c)
{
    return c != '\0' && strchr("0123456789abcdefABCDEF", c) != NULL;
}

static bool is_url_path(struct slice text)
{
    for (size_t i = 0; i < text.len; ++i) {
        bool is_escape =
            text.base[i] == '%' && i + 2 < text.len && is_hex(text.base[i + 1]) && is_hex(text.base[i + 2]);
        if (!is_escape && !is_alnum(text.base[i]) && !is_in(text.base[i], "-/._~!$&'()*+,;=:@"))
            return false;
    }
    return text.len == 0 || text.base[0] == '/';
}

static bool is_request_target(struct slice text)
{
    for (size_t i = 0; i < text.len; ++i)
        if (!is_visible(text.base[i]) || text.base[i] == '#')
            return false;
    return is_absolute_path(text);
}

static bool is_condition_reason(struct slice text)
{
    return consists_of(text, "_,:") && is_letter(text.base[0]) && !is_in(text.base[text.len - 1], ",:");
}

/* ---- addresses ---- */

/* As the proxy will read them. */
static bool is_ip(struct slice text)
{
    struct ip_addr ignored;
    return ip_parse(text, &ignored) == 0;
}

static bool is_cidr(struct slice text)
{
    struct cidr ignored;
    return cidr_parse(text, &ignored) == 0;
}

static bool is_uri(struct slice text)
{
    size_t scheme = 0;
    while (scheme < text.len && strchr(":/?#", text.base[scheme]) == NULL)
        ++scheme;
    for (size_t i = 0; i < text.len; ++i)
        if (text.base[i] < '!' || text.base[i] > '~')
            return false;
    return scheme != 0 && slice_starts(slice_make(text.base + scheme, text.len - scheme), SLICE("://"));
}

/* ---- all of them ---- */

#define IP_PATTERN "[0-9a-fA-F:.]{2,45}"

const struct field_format format_dns_label = {"^" LABEL "$",
                                              "must be a lowercase RFC 1123 label: letters, digits and '-', "
                                              "at most 63, beginning and ending with a letter or digit",
                                              is_dns_label};
const struct field_format format_dns_subdomain = {"^" SUBDOMAIN "$", "must be " SUBDOMAIN_TEXT, is_subdomain};
const struct field_format format_dns_1035_label = {
    "^[a-z]([-a-z0-9]*[a-z0-9])?$",
    "must be a DNS label: lowercase letters, digits and '-', at most 63, beginning with a letter",
    is_dns_1035_label};
const struct field_format format_hostname = {
    "^(\\*\\.)?" SUBDOMAIN "$", "must be " SUBDOMAIN_TEXT "; it may begin with \"*.\"", is_hostname};
const struct field_format format_precise_hostname = {"^" SUBDOMAIN "$", "must be " SUBDOMAIN_TEXT,
                                                     is_subdomain};
const struct field_format format_fqdn = {"^" SUBDOMAIN "\\.?$",
                                         "must be " SUBDOMAIN_TEXT "; it may end with '.'", is_fqdn};
const struct field_format format_group = {"^$|^" SUBDOMAIN "$", "must be empty or " SUBDOMAIN_TEXT, is_group};
const struct field_format format_kind = {
    "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    "must be the name of a kind: letters, digits and '-', beginning with a letter", is_kind};
const struct field_format format_header_name = {"^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
                                                "must be a header name (RFC 9110 token)", is_header_name};
const struct field_format format_header_value = {
    "^[!-~]+([\\t ]?[!-~]+)*$", "must be visible ASCII characters, with single blanks or tabs between",
    is_header_value};
const struct field_format format_label_key = {
    "^(" SUBDOMAIN "/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$",
    "must be letters, digits, '-', '_' and '.', at most 63, beginning and ending with a letter or digit; a "
    "DNS subdomain and '/' may precede",
    is_label_key};
const struct field_format format_label_value = {"^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$",
                                                "must be empty or letters, digits, '-', '_' and '.', at most "
                                                "63, beginning and ending with a letter or digit",
                                                is_label_value};
const struct field_format format_port_name = {
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "must be lowercase letters, digits and single '-', at most 15, with a letter", is_port_name};
const struct field_format format_controller_name = {"^" SUBDOMAIN "\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$",
                                                    "must be a domain, '/' and a path", is_controller_name};
const struct field_format format_key = {"^[-._a-zA-Z0-9]+$",
                                        "must be letters, digits, '-', '_' and '.', at most 253", is_key};
const struct field_format format_app_protocol = {"^(" SUBDOMAIN
                                                 "/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$",
                                                 "must be a protocol name, or domain/name", is_app_protocol};
const struct field_format format_ip = {"^" IP_PATTERN "$", "must be an IPv4 or IPv6 address", is_ip};
const struct field_format format_cidr = {"^" IP_PATTERN "(/[0-9]{1,3})?$",
                                         "must be an IP address, or address/prefix length", is_cidr};
const struct field_format format_absolute_path = {"^/", "must begin with '/'", is_absolute_path};
const struct field_format format_url_path = {"^(\\/([-A-Za-z0-9\\/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*)?$",
                                             "must be an absolute path of URL characters", is_url_path};
const struct field_format format_uri = {"^[!\"$-.0-9;->@-~]+:\\/\\/[!-~]*$", "must be a URI: scheme://…", is_uri};
const struct field_format format_condition_reason = {"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                                                     "must be one word", is_condition_reason};
const struct field_format format_request_target = {
    "^/[!\"$-~]*$", "must be an absolute path, maybe with a query", is_request_target};
