/* selvedge kubeconfig: a configuration file for kubectl and for this program, with a token of its own.
 *
 * Over the unix socket the API's certificate authority is the ca.crt beside it, and the server is this host's; --server and
 * --ca say otherwise. */
#include "cli/secret.h"

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/files.h"

#include <unistd.h>

#define DEFAULT_SERVER "https://127.0.0.1:7443"
enum { PEM_MAX = 1 << 20 };

static int read_ca(struct cli *cli, const struct cli_server *server, struct slice *ret)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    const char *path = cli->options.ca != NULL ? cli->options.ca : server->ca_file;
    *ret = server->ca_pem;
    if (ret->len != 0 && cli->options.ca == NULL)
        return CLI_OK;
    if (path == NULL && server->socket_path != NULL) {
        const char *slash = strrchr(server->socket_path, '/');
        path = arena_printf(cli->arena, "%.*s/ca.crt", slash != NULL ? (int)(slash - server->socket_path) : 1, slash != NULL ? server->socket_path : ".");
    }
    if (path == NULL) {
        *ret = SLICE(""); /* the system's */
        return CLI_OK;
    }
    if (file_read(path, PEM_MAX, &text, &err) != 0)
        return cli_fail(cli, CLI_LOCAL, "the certificate authority: %s; --ca names its file", err.text);
    *ret = arena_slice(cli->arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return CLI_OK;
}

/* A name that is not taken: this host's, this person's, and the moment. */
static const char *token_name(struct cli *cli)
{
    const char *user = getenv("USER");
    char *name = arena_printf(cli->arena, "kubeconfig-%.20s-%llx", user != NULL && *user != '\0' ? user : "user", (unsigned long long)(clock_wall_us() / 1000));
    for (char *c = name; *c != '\0'; ++c)
        *c = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' ? *c : *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : '-';
    return name;
}

static int make_token(struct cli *cli, const char **ret)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_answer answer;
    json_set_str(cli->arena, body, "name", token_name(cli));
    json_set_str(cli->arena, body, "role", cli->options.role != NULL ? cli->options.role : "admin");
    int status = cli_set_ttl(cli, body);
    if (status == CLI_OK)
        status = cli_post(cli, "/selvedge/v1/tokens", body, &answer);
    if (status == CLI_OK)
        *ret = json_str(json_get(answer.json, "token"), "");
    return status;
}

static struct json *named(struct cli *cli, struct json *config, const char *list, const char *name, const char *member)
{
    struct json *item = json_push(json_set(cli->arena, config, list, json_new_array(cli->arena)), json_new_object(cli->arena));
    json_set_str(cli->arena, item, "name", name);
    return json_set(cli->arena, item, member, json_new_object(cli->arena));
}

static void print_config(struct cli *cli, const char *name, const char *url, struct slice ca, const char *token)
{
    struct json *config = json_new_object(cli->arena);
    struct strbuf text = STRBUF_INIT, encoded = STRBUF_INIT;
    json_set_str(cli->arena, config, "apiVersion", "v1");
    json_set_str(cli->arena, config, "kind", "Config");
    struct json *cluster = named(cli, config, "clusters", name, "cluster");
    json_set_str(cli->arena, cluster, "server", url);
    base64_add(&encoded, ca);
    if (ca.len != 0)
        json_set(cli->arena, cluster, "certificate-authority-data", json_new_string(cli->arena, strbuf_slice(&encoded)));
    json_set_str(cli->arena, named(cli, config, "users", name, "user"), "token", token);
    struct json *context = named(cli, config, "contexts", name, "context");
    json_set_str(cli->arena, context, "cluster", name);
    json_set_str(cli->arena, context, "user", name);
    json_set_str(cli->arena, context, "namespace", cli_namespace(cli));
    json_set_str(cli->arena, config, "current-context", name);
    json_write_yaml(&text, config);
    fwrite(text.base, 1, text.len, cli->out);
    strbuf_clear(&text);
    strbuf_clear(&encoded);
}

/* The control process writes the port it listens on beside its socket. */
static const char *local_url(struct cli *cli, const char *socket_path)
{
    struct strbuf text = STRBUF_INIT;
    const char *slash = strrchr(socket_path, '/'), *url = DEFAULT_SERVER;
    const char *path = arena_printf(cli->arena, "%.*s/api.port", slash != NULL ? (int)(slash - socket_path) : 1, slash != NULL ? socket_path : ".");
    if (file_read(path, 64, &text, NULL) == 0 && text.len != 0)
        url = arena_printf(cli->arena, "https://127.0.0.1:%ld", strtol(text.base, NULL, 10));
    strbuf_clear(&text);
    return url;
}

int verb_kubeconfig(struct cli *cli)
{
    const char *url = cli->options.server, *token = NULL, *name = cli->options.name != NULL ? cli->options.name : "selvedge";
    struct slice ca;
    if (cli->num_args != 0)
        return cli_usage(cli, "takes no arguments");
    bool is_local = cli->options.socket != NULL || getenv("SELVEDGE_SOCKET") != NULL;
    if (is_local) /* made over the socket, for the server given */
        cli->options.server = NULL;
    const struct cli_server *server = cli_server(cli);
    if (server == NULL)
        return CLI_USAGE;
    int status = read_ca(cli, server, &ca);
    if (status == CLI_OK)
        status = make_token(cli, &token);
    if (status != CLI_OK)
        return status;
    if (url == NULL)
        url = server->socket_path == NULL ? server->url : local_url(cli, server->socket_path);
    print_config(cli, name, url, ca, token);
    if (isatty(STDOUT_FILENO))
        fprintf(cli->err, "Keep it: selvedge kubeconfig > ~/.config/selvedge/config, or KUBECONFIG=… for kubectl; it holds a credential.\n");
    return CLI_OK;
}
