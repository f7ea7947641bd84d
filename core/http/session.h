/* HTTP calls of those who may block, to one server: the command line, joining and renewing, the config stream. HTTP/2 where
 * the server offers it, else HTTP/1.1. Never for proxied requests.
 *
 * A session keeps its connections between calls. Over HTTP/2 a stream and the calls beside it share one; over HTTP/1.1 there
 * are two. A kept connection that turns out to be closed is replaced once, for calls that were not processed or are GET.
 * The server's certificate and name are verified; redirects are not followed; no proxy is taken from the environment; of a
 * name's addresses those that cannot be connected to are skipped.
 *
 * Threads: a session is used by one thread, which turns the session's own event loop inside ht_session_wait(). Callbacks run
 * there, and may block: nothing but the session waits for them.
 * Ownership: configuration and requests are copied. Times are milliseconds. */
#ifndef SELVEDGE_HTTP_SESSION_H
#define SELVEDGE_HTTP_SESSION_H

#include "core/http/http.h"

struct ht_session;

struct ht_session_config {
    const char *url;                /* "https://host:port" or "http://…"; a path in it goes in front of every target */
    const char *unix_path;          /* connect there instead; the URL still gives Host; NULL: TCP */
    const char *ca_file;            /* PEM file to trust instead of the system's roots; NULL: none */
    struct slice ca_pem;            /* the same in memory */
    struct slice cert_pem, key_pem; /* client certificate, or {NULL,0} */
    bool insecure;                  /* no verification: the command line's --insecure only */
    unsigned connect_timeout_ms;    /* name, connections and handshake together; 0: 5 s */
};

struct ht_request {
    const char *method;         /* NULL: GET, or POST with a body */
    const char *target;         /* "/path?query" */
    const char *const *headers; /* "name: value", NULL-terminated; NULL: none */
    struct slice body;          /* {NULL,0}: none */
    unsigned timeout_ms;        /* the whole call; 0: 30 s, or none for a stream */
    size_t max_body;            /* of an answer that is collected; 0: 8 MiB */
};

struct ht_response {
    unsigned status;
    const struct ht_headers *headers;
    struct slice body; /* NUL-terminated; empty when it came in pieces */
};

/* `response` NULL: no answer, `err` says why (ERR_TIMEOUT, ERR_TOO_LARGE, ERR_UNAVAILABLE). Both borrowed for the callback. */
typedef void (*ht_done_cb)(void *data, const struct ht_response *response, const struct err *err);
/* A piece of the body as it comes (event streams); only for 2xx answers: other bodies are collected for ht_done_cb. */
typedef void (*ht_piece_cb)(void *data, struct slice bytes);

/* NULL: the URL, the files or the certificates are no good (ERR_INVALID, or what reading them gave). */
struct ht_session *ht_session_new(const struct ht_session_config *config, struct err *err);
/* Not from a callback. NULL is fine; returns NULL. */
struct ht_session *ht_session_free(struct ht_session *session);

/* Blocks until the call is over. With `on_piece` it is a stream. Returning false from `go_on` (may be NULL; asked at least
 * once a second) ends it with ERR_UNAVAILABLE "interrupted". 0: answered, whatever the status, and `on_done` has been told; -1: not. */
int ht_session_wait(struct ht_session *session, const struct ht_request *request, ht_piece_cb on_piece,
                    bool (*go_on)(void *data), ht_done_cb on_done, void *data, struct err *err);
/* Begins a call beside the one that ht_session_wait() waits for: before it, or from its callbacks. `on_done` runs exactly once
 * inside ht_session_wait(), which ends the call when it returns. */
void ht_session_send(struct ht_session *session, const struct ht_request *request, ht_done_cb on_done, void *data);

/* One call on a session of its own. */
int ht_call_once(const struct ht_session_config *config, const struct ht_request *request, ht_piece_cb on_piece,
                 bool (*go_on)(void *data), ht_done_cb on_done, void *data, struct err *err);

#endif
