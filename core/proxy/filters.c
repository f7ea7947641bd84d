/* Building chains and walking them. The hot path of a rule without filters is two comparisons. */
#include "core/proxy/filters.h"

#include "core/proxy/request.h"

extern const struct px_filter_type px_filter_header_mod;

const struct px_filter_type *const px_filter_types[] = {
    &px_filter_header_mod,
    NULL,
};

/* ---- chains ---- */

static void chain_add(struct px_chain *chain, const struct px_filter_type *type, const void *config)
{
    chain->filters[chain->num] = (struct px_filter){type, config, chain->num};
    ++chain->num;
}

void px_chain_make(struct px_chain *chain, const struct cfg_filters *filters, struct arena *arena)
{
    *chain = (struct px_chain){.filters = arena_alloc(arena, ARRAY_LEN(px_filter_types) * sizeof(struct px_filter))};
    for (size_t i = 0; px_filter_types[i] != NULL; i++) {
        const void *config = px_filter_types[i]->configure(filters, arena);
        if (config != NULL)
            chain_add(chain, px_filter_types[i], config);
    }
}

void px_chain_dispose(struct px_chain *chain)
{
    for (uint32_t i = 0; i < chain->num; i++)
        if (chain->filters[i].type->dispose != NULL)
            chain->filters[i].type->dispose(chain->filters[i].config);
}

/* ---- running ---- */

/* Both chains of a request seen as one. */
static const struct px_filter *filter_at(const struct px_request *req, uint32_t at)
{
    uint32_t num_rule = req->rule_chain != NULL ? req->rule_chain->num : 0;

    if (at < num_rule)
        return &req->rule_chain->filters[at];
    at -= num_rule;
    return req->backend_chain != NULL && at < req->backend_chain->num ? &req->backend_chain->filters[at] : NULL;
}

enum px_verdict px_filters_on_request(struct px_request *req)
{
    const struct px_filter *filter;

    while ((filter = filter_at(req, req->num_filters_run)) != NULL) {
        ++req->num_filters_run;
        enum px_verdict verdict =
            filter->type->on_request != NULL ? filter->type->on_request(filter, req) : PX_CONTINUE;
        if (verdict != PX_CONTINUE)
            return verdict;
    }
    return PX_CONTINUE;
}

enum px_verdict px_filters_on_request_body(struct px_request *req, const char *bytes, size_t len, bool is_end)
{
    for (uint32_t i = 0; i < req->num_filters_run; i++) {
        const struct px_filter *filter = filter_at(req, i);
        if (filter->type->on_request_body != NULL &&
            filter->type->on_request_body(filter, req, bytes, len, is_end) == PX_ANSWERED)
            return PX_ANSWERED;
    }
    return PX_CONTINUE;
}

void px_filters_on_response_head(struct px_request *req, unsigned *status, struct ht_headers *headers)
{
    for (uint32_t i = req->num_filters_run; i-- > 0;) {
        const struct px_filter *filter = filter_at(req, i);
        if (filter->type->on_response_head != NULL)
            filter->type->on_response_head(filter, req, status, headers);
    }
}

void px_filters_on_response_body(struct px_request *req, const char *bytes, size_t len, bool is_end)
{
    for (uint32_t i = req->num_filters_run; i-- > 0;) {
        const struct px_filter *filter = filter_at(req, i);
        if (filter->type->on_response_body != NULL)
            filter->type->on_response_body(filter, req, bytes, len, is_end);
    }
}

void px_filters_on_done(struct px_request *req)
{
    for (uint32_t i = req->num_filters_run; i-- > 0;) {
        const struct px_filter *filter = filter_at(req, i);
        if (filter->type->on_done != NULL)
            filter->type->on_done(filter, req);
    }
}
