/* Path arithmetic of Gateway API. */
#include "core/route/paths.h"

#include <stdio.h>

static struct slice without_trailing_slash(struct slice path)
{
    if (path.len > 0 && path.base[path.len - 1] == '/')
        --path.len;
    return path;
}

bool rt_prefix_matches(struct slice prefix, struct slice path)
{
    prefix = without_trailing_slash(prefix);
    return slice_starts(path, prefix) && (path.len == prefix.len || path.base[prefix.len] == '/');
}

static char *append(char *at, struct slice text)
{
    memcpy(at, text.base, text.len);
    return at + text.len;
}

static struct slice replace_prefix(const struct rt_request *request, struct slice replacement, struct slice prefix)
{
    struct slice rest = request->path;
    prefix = without_trailing_slash(prefix);
    if (!rt_prefix_matches(prefix, rest))
        return rest;
    rest.base += prefix.len;
    rest.len -= prefix.len;
    replacement = without_trailing_slash(replacement);
    if (replacement.len + rest.len == 0)
        return SLICE("/");
    char *text = request->alloc(request->alloc_data, replacement.len + rest.len + 2);
    char *end = text;
    if (replacement.len > 0 && replacement.base[0] != '/')
        *end++ = '/';
    end = append(append(end, replacement), rest);
    return slice_make(text, (size_t)(end - text));
}

struct slice rt_path_modify(const struct rt_request *request, enum cfg_path_mod mod, struct slice replacement,
                            struct slice prefix)
{
    switch (mod) {
    case CFG_PATH_REPLACE_FULL:
        return replacement.len != 0 ? replacement : SLICE("/");
    case CFG_PATH_REPLACE_PREFIX:
        return replace_prefix(request, replacement, prefix);
    case CFG_PATH_KEEP:
        break;
    }
    return request->path;
}

/* "If no port is specified, the redirect port MUST be derived: with a scheme, its well-known port; else the Gateway
 * Listener port"; ports that are the scheme's own are not written. */
static uint16_t location_port(const struct rt_request *request, const struct cfg_redirect *redirect, struct slice scheme)
{
    uint16_t well_known = slice_is(scheme, "https") ? 443 : 80;
    uint16_t port = request->port;
    if (redirect->port != 0)
        port = (uint16_t)redirect->port;
    else if (redirect->scheme.len != 0)
        port = well_known;
    return port == well_known ? 0 : port;
}

struct slice rt_redirect_location(const struct rt_request *request, const struct cfg_redirect *redirect, struct slice prefix)
{
    struct slice scheme = redirect->scheme.len != 0 ? redirect->scheme : request->scheme;
    struct slice host = redirect->hostname.len != 0 ? redirect->hostname : request->host;
    struct slice path = rt_path_modify(request, redirect->path_mod, redirect->path, prefix);
    uint16_t port = location_port(request, redirect, scheme);
    char port_text[8];
    int port_len = port != 0 ? snprintf(port_text, sizeof(port_text), ":%u", (unsigned)port) : 0;
    char *text = request->alloc(request->alloc_data, scheme.len + 3 + host.len + (size_t)port_len + path.len + request->query.len + 2);
    char *end = append(append(append(text, scheme), SLICE("://")), host);
    end = append(append(end, slice_make(port_text, (size_t)port_len)), path);
    if (request->query.base != NULL)
        end = append(append(end, SLICE("?")), request->query);
    return slice_make(text, (size_t)(end - text));
}
