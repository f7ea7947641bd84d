/* selvedge token: credentials of people and programs at the API. A token is shown once, when it is made. */
#include "cli/secret.h"

#define TOKENS "/selvedge/v1/tokens"

static int create(struct cli *cli, const char *name)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_answer answer;
    name = name != NULL ? name : cli->options.name;
    if (name == NULL)
        return cli_usage(cli, "create NAME: whose token is it?");
    json_set_str(cli->arena, body, "name", name);
    if (cli->options.role != NULL)
        json_set_str(cli->arena, body, "role", cli->options.role);
    struct json *namespaces = cli->options.namespaces.num != 0 ? json_set(cli->arena, body, "namespaces", json_new_array(cli->arena)) : NULL;
    for (size_t i = 0; i < cli->options.namespaces.num; ++i)
        json_push(namespaces, json_new_str(cli->arena, cli->options.namespaces.items[i]));
    int status = cli_set_ttl(cli, body);
    if (status == CLI_OK)
        status = cli_post(cli, TOKENS, body, &answer);
    if (status != CLI_OK)
        return status;
    fprintf(cli->out, "%s\n", json_str(json_get(answer.json, "token"), ""));
    fprintf(cli->err, "This is the only time it is shown. Use it with --server … --token, or in a kubeconfig: selvedge kubeconfig.\n");
    return CLI_OK;
}

int verb_token(struct cli *cli)
{
    static const char *const columns[][2] = {{"Name", "name"}, {"Role", "role"}, {"Namespaces", "namespaces"}, {"Expires", "expires"}, {"By", "by"}, {NULL, NULL}};
    const char *what = cli->num_args != 0 ? cli->args[0] : "list";
    if (strcmp(what, "create") == 0 && cli->num_args <= 2)
        return create(cli, cli->args[1]);
    if (strcmp(what, "list") == 0 && cli->num_args <= 1)
        return cli_list_items(cli, TOKENS, columns, "There are no tokens");
    if ((strcmp(what, "revoke") == 0 || strcmp(what, "delete") == 0) && cli->num_args == 2)
        return cli_revoke(cli, TOKENS, cli->args[1], "token");
    return cli_usage(cli, "create NAME, list, or revoke NAME");
}
