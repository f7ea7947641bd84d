/* selvedge backup: an online copy of the whole database, made by the control process on its own host. */
#include "cli/client.h"

#include <limits.h>
#include <unistd.h>

/* The control process has another working folder: what it gets is absolute. */
static int absolute(struct cli *cli, const char *path, const char **ret)
{
    char folder[PATH_MAX];
    *ret = path;
    if (path[0] == '/')
        return CLI_OK;
    if (getcwd(folder, sizeof(folder)) == NULL)
        return cli_fail(cli, CLI_LOCAL, "the working folder cannot be read");
    *ret = arena_printf(cli->arena, "%s/%s", folder, path);
    return CLI_OK;
}

int verb_backup(struct cli *cli)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_answer answer;
    struct strbuf text = STRBUF_INIT;
    const char *path;
    if (cli->num_args > 1)
        return cli_usage(cli, "one PATH, or none");
    if (cli->num_args == 1) {
        if (absolute(cli, cli->args[0], &path) != CLI_OK)
            return CLI_LOCAL;
        json_set_str(cli->arena, body, "path", path);
    }
    json_write(&text, body);
    struct cli_request request = {.method = "POST", .path = "/selvedge/v1/backup", .body = strbuf_slice(&text), .timeout_ms = 3600000};
    int status = cli_call(cli, &request, &answer);
    strbuf_clear(&text);
    if (status == CLI_OK)
        fprintf(cli->out, "%s: %lld bytes, revision %lld\n", json_str(json_get(answer.json, "path"), ""),
                (long long)json_int_or(json_get(answer.json, "bytes"), 0), (long long)json_int_or(json_get(answer.json, "revision"), 0));
    return status;
}
