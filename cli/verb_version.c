/* selvedge version: this program's, and what the API answers with. */
#include "cli/client.h"

int verb_version(struct cli *cli)
{
    struct cli_answer answer;
    fprintf(cli->out, "selvedge %s\n", SELVEDGE_VERSION);
    if (cli->options.client)
        return CLI_OK;
    int status = cli_get(cli, "/version", &answer);
    if (status != CLI_OK)
        return status;
    const char *version = json_str(json_get(answer.json, "gitVersion"), "unknown"), *ours = strstr(version, "+selvedge-");
    if (ours != NULL)
        fprintf(cli->out, "control API %s (Kubernetes conventions of %.*s)\n", ours + 10, (int)(ours - version), version);
    else
        fprintf(cli->out, "control API %s\n", version);
    return CLI_OK;
}
