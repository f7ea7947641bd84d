/* RequestHeaderModifier and ResponseHeaderModifier of a rule or a backend: remove, then set, then add.
 *
 * Gateway API allows one action per name, so their order among each other decides nothing for a valid rule. `host` is
 * not a header here: the upstream's authority is rewritten by URLRewrite. A configured value is borrowed from the
 * snapshot, which the request keeps. */
#include "core/proxy/filters.h"

#include "core/proxy/request.h"

extern const struct px_filter_type px_filter_header_mod;

static bool is_empty(const struct cfg_header_mod *mod)
{
    return mod->num_set == 0 && mod->num_add == 0 && mod->num_remove == 0;
}

static const void *configure(const struct cfg_filters *filters, struct arena *arena)
{
    return is_empty(&filters->request_headers) && is_empty(&filters->response_headers) ? NULL : filters;
}

static void apply(const struct cfg_header_mod *mod, h2o_mem_pool_t *pool, struct ht_headers *headers)
{
    for (uint32_t i = 0; i < mod->num_remove; i++)
        (void)ht_headers_remove(headers, mod->remove[i].name); /* none of that name is fine */
    for (uint32_t i = 0; i < mod->num_set; i++)
        ht_headers_set(pool, headers, mod->set[i].name, mod->set[i].value);
    for (uint32_t i = 0; i < mod->num_add; i++)
        (void)ht_headers_add(pool, headers, mod->add[i].name, mod->add[i].value);
}

static enum px_verdict on_request(const struct px_filter *self, struct px_request *req)
{
    const struct cfg_filters *filters = self->config;

    apply(&filters->request_headers, &req->x->pool, &req->headers);
    return PX_CONTINUE;
}

static void on_response_head(const struct px_filter *self, struct px_request *req, unsigned *status,
                             struct ht_headers *headers)
{
    const struct cfg_filters *filters = self->config;

    apply(&filters->response_headers, &req->x->pool, headers);
}

const struct px_filter_type px_filter_header_mod = {
    .name = "header_mod",
    .configure = configure,
    .on_request = on_request,
    .on_response_head = on_response_head,
};
