/* Calls to the control API: request -> ht_call_once() -> answer in the arena; refusals as text. */
#include "cli/client.h"

#include "core/base/clock.h"
#include "core/base/uri.h"

enum { MAX_ANSWER = 512 << 20, HEADERS_MAX = 4 };

const struct cli_server *cli_server(struct cli *cli)
{
    struct err err = ERR_INIT;
    if (cli->server != NULL)
        return cli->server;
    struct cli_server *server = arena_zalloc(cli->arena, sizeof(*server));
    if (cli_server_find(cli, server, &err) != 0) {
        cli_fail_err(cli, &err);
        return NULL;
    }
    cli->server = server;
    return server;
}

const char *cli_namespace(struct cli *cli)
{
    struct err err = ERR_INIT;
    struct cli_server server = {.ns = NULL};
    if (cli->options.ns != NULL)
        return cli->options.ns;
    if (cli->server == NULL && cli_server_find(cli, &server, &err) != 0)
        return "default"; /* the first call says what is wrong */
    const char *ns = cli->server != NULL ? cli->server->ns : server.ns;
    return ns != NULL ? ns : "default";
}

/* ---------- paths ---------- */

static void add_segment(struct strbuf *path, const char *segment)
{
    strbuf_addc(path, '/');
    uri_encode(path, slice_of(segment));
}

const char *cli_object_path(struct arena *arena, const struct kind *kind, const char *ns, const char *name)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_adds(&path, kind->group[0] != '\0' ? "/apis" : "/api");
    if (kind->group[0] != '\0')
        add_segment(&path, kind->group);
    add_segment(&path, kind->version);
    if (kind->is_namespaced && ns != NULL) {
        strbuf_adds(&path, "/namespaces");
        add_segment(&path, ns);
    }
    add_segment(&path, kind->plural);
    if (name != NULL)
        add_segment(&path, name);
    const char *copy = arena_strndup(arena, path.base, path.len);
    strbuf_clear(&path);
    return copy;
}

void cli_add_param(struct strbuf *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    strbuf_addf(path, "%c%s=", memchr(path->base, '?', path->len) != NULL ? '&' : '?', name);
    uri_encode(path, slice_of(value));
}

/* ---------- calls ---------- */

struct call {
    struct cli *cli;
    const struct cli_request *request;
    struct cli_answer *answer;
};

static void on_chunk(void *data, struct slice bytes)
{
    const struct call *call = data;
    call->request->on_chunk(call->request->data, bytes);
}

static void on_done(void *data, const struct ht_response *response, const struct err *err)
{
    struct call *call = data;
    call->answer->status = response->status;
    call->answer->body = arena_slice(call->cli->arena, response->body);
    const struct ht_header *warning = ht_headers_find(response->headers, SLICE("warning"));
    if (warning != NULL && warning->value.len > 6) /* 299 - "text" */
        cli_warn(call->cli, "%.*s", (int)warning->value.len - 6, warning->value.base + 6);
}

static bool go_on(void *data)
{
    const struct call *call = data;
    return !cli_is_interrupted() && !ferror(call->cli->out); /* who cannot be told more needs no more */
}

static const char *where(const struct cli_server *server)
{
    return server->socket_path != NULL ? server->socket_path : server->url;
}

static int tell_unreachable(struct cli *cli, const struct cli_server *server, const struct err *err)
{
    if (cli_is_interrupted())
        return CLI_INTERRUPTED;
    if (ferror(cli->out))
        return CLI_OK; /* main() tells */
    cli_fail(cli, CLI_UNREACHABLE, "the control API at %s cannot be reached: %s", where(server), err->text);
    if (server->socket_path != NULL)
        fprintf(cli->err, "Is selvedge-gateway running on this host, and may you open its socket? --socket names another one, "
                          "--server https://HOST:7443 another host.\n");
    else if (strstr(err->text, "certificate") != NULL)
        fprintf(cli->err, "--ca FILE names the authority that the API's certificate is from: ca.crt in the control process's data folder.\n");
    return CLI_UNREACHABLE;
}

static void trace(struct cli *cli, const struct cli_request *request, const struct cli_answer *answer, uint64_t begin_us)
{
    if (cli->options.verbose)
        fprintf(cli->err, "%s %s -> %u (%zu bytes, %.1f ms)\n", request->method != NULL ? request->method : "GET", request->path,
                answer->status, answer->body.len, (double)(clock_mono_us() - begin_us) / 1000);
}

static void read_json(struct cli *cli, struct cli_answer *answer)
{
    size_t at = strspn(answer->body.base != NULL ? answer->body.base : "", " \t\r\n");
    if (answer->body.len > at && (answer->body.base[at] == '{' || answer->body.base[at] == '['))
        answer->json = json_parse(cli->arena, answer->body, NULL);
}

int cli_send(struct cli *cli, const struct cli_request *request, struct cli_answer *ret)
{
    const struct cli_server *server = cli_server(cli);
    const char *headers[HEADERS_MAX] = {NULL};
    size_t num = 0;
    struct err err = ERR_INIT;
    struct call call = {cli, request, ret};
    uint64_t begin_us = clock_mono_us();
    *ret = (struct cli_answer){0};
    if (server == NULL)
        return CLI_USAGE;
    headers[num++] = arena_printf(cli->arena, "Accept: %s", request->accept != NULL ? request->accept : "application/json");
    if (request->body.len != 0)
        headers[num++] = arena_printf(cli->arena, "Content-Type: %s", request->content_type != NULL ? request->content_type : "application/json");
    if (server->token != NULL && server->socket_path == NULL)
        headers[num++] = arena_printf(cli->arena, "Authorization: Bearer %s", server->token);
    struct ht_session_config to = {.url = server->url,
                                   .unix_path = server->socket_path,
                                   .ca_file = server->ca_file,
                                   .ca_pem = server->ca_pem,
                                   .cert_pem = server->cert_pem,
                                   .key_pem = server->key_pem,
                                   .insecure = server->is_insecure};
    struct ht_request http = {.method = request->method,
                              .target = request->path,
                              .headers = headers,
                              .body = request->body,
                              .timeout_ms = (unsigned)request->timeout_ms,
                              .max_body = MAX_ANSWER};
    if (ht_call_once(&to, &http, request->on_chunk != NULL ? on_chunk : NULL, go_on, on_done, &call, &err) != 0)
        return tell_unreachable(cli, server, &err);
    trace(cli, request, ret, begin_us);
    read_json(cli, ret);
    return CLI_OK;
}

int cli_call(struct cli *cli, const struct cli_request *request, struct cli_answer *ret)
{
    int status = cli_send(cli, request, ret);
    if (status == CLI_OK && (ret->status < 200 || ret->status > 299))
        status = cli_tell_refusal(cli, ret, NULL);
    return status;
}

int cli_get(struct cli *cli, const char *path, struct cli_answer *ret)
{
    return cli_call(cli, &(struct cli_request){.path = path}, ret);
}

int cli_post(struct cli *cli, const char *path, const struct json *body, struct cli_answer *ret)
{
    struct strbuf text = STRBUF_INIT;
    if (body != NULL)
        json_write(&text, body);
    else
        strbuf_adds(&text, "{}"); /* a POST without a type is refused: it could come from a web page's form */
    int status = cli_call(cli, &(struct cli_request){.method = "POST", .path = path, .body = strbuf_slice(&text)}, ret);
    strbuf_clear(&text);
    return status;
}

/* ---------- refusals ---------- */

static enum cli_exit exit_of_status(unsigned status)
{
    switch (status) {
    case 404:
        return CLI_NOT_FOUND;
    case 502:
    case 503:
    case 504:
        return CLI_UNREACHABLE;
    default:
        return CLI_REFUSED;
    }
}

static const char *advice(unsigned status, const char *reason)
{
    switch (status) {
    case 401:
        return "\nGive a token with --token, or a context that has one; `selvedge token create` on the control host makes one.";
    case 409:
        return strcmp(reason, "Conflict") == 0 ? "\nSomebody changed it in between: look at it again (selvedge get …), then repeat." : "";
    default:
        return "";
    }
}

int cli_tell_refusal(struct cli *cli, const struct cli_answer *answer, const char *place)
{
    const char *message = json_str(json_get(answer->json, "message"), NULL);
    const struct json *causes = json_find(answer->json, "details", "causes", NULL);
    enum cli_exit exit = exit_of_status(answer->status);
    place = place != NULL ? place : "";
    if (message == NULL)
        return cli_fail(cli, exit, "%sthe API answered %u%s%.*s", place, answer->status, answer->body.len != 0 ? ": " : "",
                        (int)MIN(answer->body.len, (size_t)300), answer->body.base != NULL ? answer->body.base : "");
    cli_fail(cli, exit, "%s%s%s", place, message, advice(answer->status, json_str(json_get(answer->json, "reason"), "")));
    if (causes == NULL || causes->num < 2)
        return exit;
    JSON_FOR (cause, causes)
        fprintf(cli->err, "  %s: %s\n", json_str(json_get(cause, "field"), ""), json_str(json_get(cause, "message"), ""));
    return exit;
}
