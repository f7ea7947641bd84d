/* Calls to the control API, and what its refusals look like to a person.
 *
 * Threads: one. Ownership: the arena of the run. */
#ifndef SELVEDGE_CLI_CLIENT_H
#define SELVEDGE_CLI_CLIENT_H

#include "cli/cli.h"
#include "core/model/kinds.h"
#include "core/http/session.h"

/* Where the API is and who we are there: from options, environment, configuration file (context.c). */
struct cli_server {
    const char *url;         /* "https://host:7443"; "http://localhost" over the socket */
    const char *socket_path; /* NULL: TLS */
    const char *token;
    const char *ca_file;
    struct slice ca_pem, cert_pem, key_pem;
    const char *ns; /* the context's namespace; NULL */
    bool is_insecure;
};

/* ERR_INVALID, ERR_IO, ERR_NOT_FOUND (no such context). Writes only what it learns. */
int cli_server_find(struct cli *cli, struct cli_server *ret, struct err *err);
/* The run's server, found at the first call; NULL after saying why not. */
const struct cli_server *cli_server(struct cli *cli);

struct cli_request {
    const char *method, *path; /* "/api/v1/namespaces?limit=5" */
    const char *accept;        /* NULL: application/json */
    const char *content_type;  /* NULL: application/json, with a body */
    struct slice body;
    uint64_t timeout_ms;       /* 0: the default */
    ht_piece_cb on_chunk; /* streams; may be NULL */
    void *data;
};

struct cli_answer {
    unsigned status;
    struct slice body;
    struct json *json; /* NULL when the body is none */
};

/* CLI_OK whenever there is an answer, whatever its status; else says why not and returns an exit code. */
int cli_send(struct cli *cli, const struct cli_request *request, struct cli_answer *ret);
/* The same, but an answer that is no success is told as an error. */
int cli_call(struct cli *cli, const struct cli_request *request, struct cli_answer *ret);
/* GET and POST with JSON. `body` may be NULL. */
int cli_get(struct cli *cli, const char *path, struct cli_answer *ret);
int cli_post(struct cli *cli, const char *path, const struct json *body, struct cli_answer *ret);

/* Tells a refusal; `place` goes before it ("shop.yaml: "), may be NULL. Returns the exit code of the status. */
int cli_tell_refusal(struct cli *cli, const struct cli_answer *answer, const char *place);

/* "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME"; `ns`, `name` NULL: all. */
const char *cli_object_path(struct arena *arena, const struct kind *kind, const char *ns, const char *name);
/* Adds "?name=value" or "&name=value", encoded; nothing when `value` is NULL. */
void cli_add_param(struct strbuf *path, const char *name, const char *value);

#endif
