/* Where the API is. The first of these that says so wins:
 *
 *   --server (with --token, --ca), --socket
 *   --context NAME, --config FILE
 *   $SELVEDGE_SERVER (with $SELVEDGE_TOKEN, $SELVEDGE_CA), $SELVEDGE_SOCKET
 *   the current context of $SELVEDGE_CONFIG or ~/.config/selvedge/config
 *   /var/lib/selvedge/control.sock
 *
 * The file is a kubeconfig. $KUBECONFIG itself is only read for a context named by --context: it mostly tells of clusters
 * that are not ours. */
#include "cli/client.h"

#include "core/base/base64.h"
#include "core/base/files.h"

#include <ctype.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/var/lib/selvedge/control.sock"
enum { CONFIG_MAX = 4 << 20, PEM_MAX = 1 << 20, TOKEN_MAX = 64 << 10 };

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

static int read_text(struct cli *cli, const char *path, size_t max, struct slice *ret, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    int status = file_read(path, max, &text, err);
    if (status == 0)
        *ret = slice_make(arena_strndup(cli->arena, text.base != NULL ? text.base : "", text.len), text.len);
    strbuf_clear(&text);
    return status;
}

/* A token, or "@FILE" that holds one. */
static int take_token(struct cli *cli, const char *text, const char **ret, struct err *err)
{
    struct slice content;
    if (text == NULL || text[0] != '@') {
        *ret = text;
        return 0;
    }
    if (read_text(cli, text + 1, TOKEN_MAX, &content, err) != 0)
        return err_wrap(err, "token");
    while (content.len != 0 && isspace((unsigned char)content.base[content.len - 1]))
        --content.len;
    *ret = arena_strndup(cli->arena, content.base, content.len);
    return 0;
}

static int use_url(struct cli *cli, const char *url, const char *token, const char *ca, struct cli_server *ret, struct err *err)
{
    size_t len = strlen(url);
    if (strncmp(url, "unix://", 7) == 0) {
        ret->socket_path = url + 7;
        ret->url = "http://localhost";
        return 0;
    }
    if (strncmp(url, "https://", 8) != 0)
        return err_set(err, ERR_INVALID, "\"%s\": the server's URL begins with https:// (or unix:// and a path)", url);
    while (len > 8 && url[len - 1] == '/')
        --len;
    ret->url = arena_strndup(cli->arena, url, len);
    if (ca != NULL && access(ca, R_OK) != 0)
        return err_errno(err, "ca: open '%s'", ca);
    ret->ca_file = ca;
    return take_token(cli, token, &ret->token, err);
}

static void use_socket(const char *path, struct cli_server *ret)
{
    ret->socket_path = path;
    ret->url = "http://localhost";
}

/* ---------- the configuration file ---------- */

static struct json *find_named(const struct json *config, const char *list, const char *name)
{
    JSON_FOR (item, json_get(config, list))
        if (name != NULL && strcmp(json_str(json_get(item, "name"), ""), name) == 0)
            return item;
    return NULL;
}

static const char *beside(struct cli *cli, const char *folder, const char *path)
{
    return path[0] == '/' ? path : arena_printf(cli->arena, "%s/%s", folder, path);
}

/* "X-data" as base64, or the file "X" beside the configuration. */
static int take_pem(struct cli *cli, const struct json *from, const char *name, const char *folder, struct slice *ret, struct err *err)
{
    const char *data = json_str(json_get(from, arena_printf(cli->arena, "%s-data", name)), NULL);
    const char *path = json_str(json_get(from, name), NULL);
    if (data != NULL) {
        char *bytes = arena_alloc(cli->arena, BASE64_DECODED_MAX(strlen(data)) + 1);
        ssize_t len = base64_decode(slice_of(data), bytes);
        if (len < 0)
            return err_set(err, ERR_INVALID, "%s-data is no base64", name);
        bytes[len] = '\0';
        *ret = slice_make(bytes, (size_t)len);
        return 0;
    }
    if (path == NULL)
        return 0;
    return read_text(cli, beside(cli, folder, path), PEM_MAX, ret, err);
}

static int take_context(struct cli *cli, const struct json *config, const struct json *context, const char *folder, struct cli_server *ret,
                        struct err *err)
{
    const struct json *body = json_get(context, "context");
    const char *cluster_name = json_str(json_get(body, "cluster"), NULL), *user_name = json_str(json_get(body, "user"), NULL);
    const struct json *cluster = json_get(find_named(config, "clusters", cluster_name), "cluster");
    const struct json *user = json_get(find_named(config, "users", user_name), "user");
    const char *server = json_str(json_get(cluster, "server"), NULL), *token_file = json_str(json_get(user, "tokenFile"), NULL);
    const char *token = json_str(json_get(user, "token"), token_file != NULL ? arena_printf(cli->arena, "@%s", beside(cli, folder, token_file)) : NULL);
    if (server == NULL)
        return err_set(err, ERR_INVALID, "the context's cluster \"%s\" names no server", cluster_name != NULL ? cluster_name : "");
    if (use_url(cli, server, token, NULL, ret, err) != 0 || take_pem(cli, cluster, "certificate-authority", folder, &ret->ca_pem, err) != 0 ||
        take_pem(cli, user, "client-certificate", folder, &ret->cert_pem, err) != 0 ||
        take_pem(cli, user, "client-key", folder, &ret->key_pem, err) != 0)
        return -1;
    ret->is_insecure = ret->is_insecure || json_is_true(json_get(cluster, "insecure-skip-tls-verify"));
    ret->ns = json_str(json_get(body, "namespace"), NULL);
    return 0;
}

static int keep_first(struct json *doc, void *data, struct err *err)
{
    struct json **ret = data;
    if (*ret == NULL)
        *ret = doc;
    return 0;
}

/* 1: the file has the context (`name` NULL: a current one), it is in `ret`. 0: it has not, or there is no file. */
static int try_file(struct cli *cli, const char *path, const char *name, bool is_needed, struct cli_server *ret, struct err *err)
{
    struct slice text;
    struct json *config = NULL;
    if (!is_needed && access(path, F_OK) != 0)
        return 0;
    if (read_text(cli, path, CONFIG_MAX, &text, err) != 0)
        return -1;
    if (json_parse_yaml(cli->arena, text, keep_first, &config, err) != 0)
        return err_wrap(err, "%s", path);
    if (name == NULL)
        name = json_str(json_get(config, "current-context"), NULL);
    const struct json *context = find_named(config, "contexts", name);
    const char *slash = strrchr(path, '/');
    const char *folder = slash != NULL ? arena_strndup(cli->arena, path, (size_t)(slash - path)) : ".";
    if (context == NULL)
        return 0;
    return take_context(cli, config, context, folder, ret, err) != 0 ? err_wrap(err, "%s: context %s", path, name) : 1;
}

static const char *own_file(struct cli *cli)
{
    const char *config = env("SELVEDGE_CONFIG"), *base = env("XDG_CONFIG_HOME"), *home = env("HOME");
    if (config != NULL)
        return config;
    if (base != NULL)
        return arena_printf(cli->arena, "%s/selvedge/config", base);
    return home != NULL ? arena_printf(cli->arena, "%s/.config/selvedge/config", home) : "";
}

static int use_named_context(struct cli *cli, const char *name, struct cli_server *ret, struct err *err)
{
    const char *kube = env("KUBECONFIG");
    int found = try_file(cli, own_file(cli), name, false, ret, err);
    if (found == 0 && kube != NULL)
        found = try_file(cli, arena_strndup(cli->arena, kube, strcspn(kube, ":")), name, false, ret, err);
    if (found == 0)
        return err_set(err, ERR_INVALID, "there is no context \"%s\" in %s%s", name, own_file(cli), kube != NULL ? " or $KUBECONFIG" : "");
    return found < 0 ? -1 : 0;
}

int cli_server_find(struct cli *cli, struct cli_server *ret, struct err *err)
{
    const struct cli_options *options = &cli->options;
    const char *token = options->token != NULL ? options->token : env("SELVEDGE_TOKEN");
    const char *ca = options->ca != NULL ? options->ca : env("SELVEDGE_CA");
    *ret = (struct cli_server){.is_insecure = options->insecure};
    if (options->server != NULL)
        return use_url(cli, options->server, token, ca, ret, err);
    if (options->socket != NULL) {
        use_socket(options->socket, ret);
        return 0;
    }
    if (options->config != NULL) {
        int found = try_file(cli, options->config, options->context, true, ret, err);
        return found == 0 ? err_set(err, ERR_INVALID, "%s has no %s context", options->config, options->context != NULL ? options->context : "current")
                          : MIN(found, 0);
    }
    if (options->context != NULL)
        return use_named_context(cli, options->context, ret, err);
    if (env("SELVEDGE_SERVER") != NULL)
        return use_url(cli, env("SELVEDGE_SERVER"), token, ca, ret, err);
    if (env("SELVEDGE_SOCKET") != NULL) {
        use_socket(env("SELVEDGE_SOCKET"), ret);
        return 0;
    }
    int found = try_file(cli, own_file(cli), NULL, env("SELVEDGE_CONFIG") != NULL, ret, err);
    if (found == 0)
        use_socket(DEFAULT_SOCKET, ret);
    return found < 0 ? -1 : 0;
}
