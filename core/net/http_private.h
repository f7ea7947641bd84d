/* What the two ways of making HTTP calls share: http_call.c (a thread, results to workers), http_session.c (for those who
 * may block). Nobody else includes this. */
#ifndef SELVEDGE_NET_HTTP_PRIVATE_H
#define SELVEDGE_NET_HTTP_PRIVATE_H

#include "core/base/strbuf.h"
#include "core/net/http_call.h"

#include <curl/curl.h>

struct http_transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct strbuf head, body;
    size_t max_body;
    bool is_stream;
    enum err_code refusal_code; /* with `refusal` */
    const char *refusal;        /* why we ended it ourselves; NULL */
    char name[200];      /* "GET https://host/path": without query and credentials */
    char why[CURL_ERROR_SIZE];
    /* A piece of the stream; returns CURL_WRITEFUNC_PAUSE for "later". */
    size_t (*on_piece)(struct http_transfer *transfer, const char *bytes, size_t len);
};

/* `is_stream` and `on_piece` are set already. Copies the request. */
void http_transfer_init(struct http_transfer *transfer, const struct net_http_request *request);
void http_transfer_clear(struct http_transfer *transfer);
/* Why it is about to be ended. */
void http_transfer_refuse(struct http_transfer *transfer, enum err_code code, const char *why);
/* 0 and the response, or -1: what became of it. */
int http_transfer_result(struct http_transfer *transfer, CURLcode code, struct net_http_response *ret, struct err *err);

#endif
