/* What every service of the shop shares: options, knobs, health, one log line a request, and the way from a
 * request to its reply.
 *
 * Every HTTP service answers GET /health, GET/POST/DELETE /_knobs and /_echo by itself; the rest goes to
 * `handle`. Threads:   bk_service_main() on the main thread; `handle` on any number of threads at once.
 * Ownership: a request and what it borrows live for the call; the reply belongs to the caller of `handle`. */
#ifndef BOOKINFO_SERVICE_H
#define BOOKINFO_SERVICE_H

#include "examples/bookinfo/lib/http.h"
#include "examples/bookinfo/lib/knobs.h"
#include "examples/bookinfo/lib/server.h"

struct bk_request {
    struct slice method, path, query; /* path without the query, as it was sent */
    struct slice user; /* who is signed in (header or cookie `end-user`), or {NULL, 0} */
    const struct bk_message *message;
};

struct bk_reply {
    unsigned status; /* 200 unless set */
    const char *type; /* application/json unless set */
    struct strbuf headers; /* more header lines, each with its CRLF */
    struct strbuf body;
    struct strbuf log_extra; /* more members for the log line: `,"name":value` */
};

/* One row an option: `--name VALUE` or the variable BOOKINFO_NAME. A flag takes no value. */
struct bk_option {
    const char *name, *doc;
    const char **text; /* one of the three */
    unsigned *number;
    bool *flag;
    unsigned max; /* of a number */
};

struct bk_service {
    const char *name, *version, *doc;
    unsigned port;
    struct bk_status_range statuses;
    const struct bk_option *options; /* its own, after the common ones */
    size_t num_options;
    /* Once, before listening. */
    int (*start)(struct bk_service *service, struct err *err);
    void (*handle)(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply);
    bk_serve_cb serve; /* speaks another protocol than HTTP/1.1; `data` is the service */

    /* set by bk_service_main() */
    const char *listen, *port_file, *instance;
    unsigned drain_ms;
    bool is_quiet;
    struct bk_server server;
    struct bk_knobs knobs, first_knobs; /* under lock */
    pthread_mutex_t lock;
};

int bk_service_main(struct bk_service *service, int argc, char **argv);

/* ---- for handlers ---- */
bool bk_request_reads(const struct bk_request *request); /* GET or HEAD */
/* GET stands for HEAD too. */
bool bk_request_is(const struct bk_request *request, const char *method, const char *path);
/* The number in `PREFIX<number>SUFFIX`, as in /reviews/7; false when the path has another form. */
bool bk_path_number(struct slice path, const char *prefix, const char *suffix, uint64_t *ret);
/* `{"error": …}` with that status. */
void bk_reply_error(struct bk_reply *reply, unsigned status, const char *fmt, ...) _printf_(3, 4);
void bk_reply_add_header(struct bk_reply *reply, const char *name, const char *value);
/* The header lines that travel on to the next service: tracing, request id, who is signed in, knobs aimed by
 * name. */
void bk_forward_headers(const struct bk_request *request, struct strbuf *out);
void bk_reply_clear(struct bk_reply *reply);

/* ---- for services that bring their own protocol ---- */
struct bk_fault bk_service_fault(struct bk_service *service, struct slice user, struct slice header_delay,
                                 struct slice header_fail);
/* GET, POST, DELETE /_knobs. */
void bk_service_knobs(struct bk_service *service, struct slice method, struct slice body,
                      struct bk_reply *reply);
void bk_service_health(struct bk_service *service, struct bk_reply *reply);
/* Starts a log line with time and service; add members, then bk_log_write(). */
void bk_log_begin(const struct bk_service *service, struct strbuf *line);
void bk_log_member(struct strbuf *line, const char *name, struct slice text); /* absent text adds nothing */
void bk_log_write(const struct bk_service *service, struct strbuf *line);

#endif
