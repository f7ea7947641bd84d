/* selvedge join: one-time tokens with which a proxy on another host joins this control API. */
#include "cli/secret.h"

#define JOIN_TOKENS "/selvedge/v1/join-tokens"

static int create(struct cli *cli, const char *node)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_answer answer;
    if (node != NULL)
        json_set_str(cli->arena, body, "node", node);
    if (cli->options.role != NULL)
        json_set_str(cli->arena, body, "role", cli->options.role);
    if (cli->options.uses != 0)
        json_set_int(cli->arena, body, "uses", cli->options.uses);
    int status = cli_set_ttl(cli, body);
    if (status == CLI_OK)
        status = cli_post(cli, JOIN_TOKENS, body, &answer);
    if (status != CLI_OK)
        return status;
    const char *token = json_str(json_get(answer.json, "token"), "");
    fprintf(cli->out, "%s\n", token);
    fprintf(cli->err, "On the new host: selvedge-gateway --control https://THIS-HOST:7443 --control-ca ca.crt --token %s%s%s\n"
                      "ca.crt is the file of that name in this control API's data folder.\n", token, node != NULL ? " --node " : "", node != NULL ? node : "");
    return CLI_OK;
}

int verb_join(struct cli *cli)
{
    static const char *const columns[][2] = {{"Id", "id"}, {"Role", "role"}, {"Node", "node"}, {"Uses left", "uses"}, {"Expires", "expires"}, {"By", "by"}, {NULL, NULL}};
    const char **args = cli->args;
    size_t num = cli->num_args;
    if (num != 0 && strcmp(args[0], "token") == 0) { /* "join token create" reads well too */
        ++args;
        --num;
    }
    const char *what = num != 0 ? args[0] : "list";
    if (strcmp(what, "create") == 0 && num + (cli->options.node != NULL) <= 2)
        return create(cli, num == 2 ? args[1] : cli->options.node); /* "join create edge-2" reads well, too */
    if (strcmp(what, "list") == 0 && num <= 1)
        return cli_list_items(cli, JOIN_TOKENS, columns, "There are no join tokens");
    if ((strcmp(what, "revoke") == 0 || strcmp(what, "delete") == 0) && num == 2)
        return cli_revoke(cli, JOIN_TOKENS, args[1], "join token");
    return cli_usage(cli, "create [--node NAME], list, or revoke ID");
}
