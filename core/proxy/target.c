/* The request path's use of core/base/uri.h, with memory from the request's pool. */
#include "core/proxy/target.h"

#include "core/base/uri.h"

bool px_target_parse(h2o_mem_pool_t *pool, struct slice target, struct slice *ret_path, struct slice *ret_query)
{
    struct uri uri;

    if (uri_parse(target, &uri) != URI_OK || uri.form == URI_ABSOLUTE)
        return false;
    *ret_query = uri.query;
    *ret_path = uri.path;
    if (uri.form == URI_ASTERISK)
        return true;
    return uri_path_normalize(uri.path, 0, h2o_mem_alloc_pool(pool, URI_PATH_SCRATCH(uri.path.len)), ret_path) == URI_OK;
}

bool px_authority_host(h2o_mem_pool_t *pool, struct slice authority, struct slice *ret_host)
{
    struct uri_authority parsed;

    *ret_host = slice_make("", 0);
    if (authority.len == 0)
        return true;
    if (uri_authority_parse(authority, h2o_mem_alloc_pool(pool, URI_HOST_SCRATCH), &parsed) != URI_OK)
        return false;
    *ret_host = parsed.host;
    return true;
}

struct slice px_target_join(h2o_mem_pool_t *pool, struct slice path, struct slice query)
{
    if (query.base == NULL)
        return path;
    char *text = h2o_mem_alloc_pool(pool, path.len + 1 + query.len);
    memcpy(text, path.base, path.len);
    text[path.len] = '?';
    if (query.len != 0)
        memcpy(text + path.len + 1, query.base, query.len);
    return slice_make(text, path.len + 1 + query.len);
}
