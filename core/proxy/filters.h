/* The filter chain: what happens to a request between its routing decision and its upstream, and to the response on the
 * way back, in the order of the configuration (responses: in reverse).
 *
 * A filter is a row of a table and the configuration it made of a rule. It may change the message, answer by itself,
 * or pause and continue later. What a filter needs per request it allocates in the request's pool (px_filter_alloc).
 * Threads: configuration is made off the loop and immutable; hooks run on the request's worker. */
#ifndef SELVEDGE_PROXY_FILTERS_H
#define SELVEDGE_PROXY_FILTERS_H

#include "core/http/http.h"
#include "core/model/snapshot.h"

struct px_request;
struct px_filter;

enum px_verdict {
    PX_CONTINUE,
    PX_PAUSE,    /* px_request_continue() follows, never inside the hook */
    PX_ANSWERED, /* the filter called px_request_answer() or px_request_fail() */
};

struct px_filter_type {
    const char *name;
    /* Makes the filter's configuration of what the rule or backend says; NULL when it has nothing to do there. */
    const void *(*configure)(const struct cfg_filters *filters, struct arena *arena);
    /* Any may be NULL. `self` is this filter in its chain. */
    enum px_verdict (*on_request)(const struct px_filter *self, struct px_request *req);
    /* Sees body bytes before they go on; PX_ANSWERED ends the request, PX_PAUSE is not allowed here. */
    enum px_verdict (*on_request_body)(const struct px_filter *self, struct px_request *req, const char *bytes, size_t len,
                                       bool is_end);
    void (*on_response_head)(const struct px_filter *self, struct px_request *req, unsigned *status,
                             struct ht_headers *headers);
    void (*on_response_body)(const struct px_filter *self, struct px_request *req, const char *bytes, size_t len, bool is_end);
    void (*on_done)(const struct px_filter *self, struct px_request *req); /* for each whose on_request ran */
    void (*dispose)(const void *config);                                  /* when the configuration goes */
};

struct px_filter {
    const struct px_filter_type *type;
    const void *config;
    uint32_t index; /* in the chain */
};

struct px_chain {
    struct px_filter *filters;
    uint32_t num;
};

/* All filters there are, in the order in which they run within one rule. NULL-terminated. */
extern const struct px_filter_type *const px_filter_types[];

void px_chain_make(struct px_chain *chain, const struct cfg_filters *filters, struct arena *arena);
void px_chain_dispose(struct px_chain *chain);

/* Runs the requests' rule chain, then its backend chain, from where it stopped. */
enum px_verdict px_filters_on_request(struct px_request *req);
enum px_verdict px_filters_on_request_body(struct px_request *req, const char *bytes, size_t len, bool is_end);
void px_filters_on_response_head(struct px_request *req, unsigned *status, struct ht_headers *headers);
void px_filters_on_response_body(struct px_request *req, const char *bytes, size_t len, bool is_end);
void px_filters_on_done(struct px_request *req);

#endif
