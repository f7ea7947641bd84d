/* selvedge whoami: who the API takes us for. */
#include "cli/client.h"
#include "cli/output.h"

int verb_whoami(struct cli *cli)
{
    struct cli_output output;
    struct cli_answer answer;
    int status = cli_output_parse(cli, &output);
    if (status == CLI_OK)
        status = cli_get(cli, "/selvedge/v1/whoami", &answer);
    if (status != CLI_OK)
        return status;
    if (output.form != CLI_TABLE && output.form != CLI_WIDE)
        return cli_output_print(cli, &output, answer.json);
    const struct json *namespaces = json_get(answer.json, "namespaces");
    fprintf(cli->out, "%s, %s", json_str(json_get(answer.json, "name"), ""), json_str(json_get(answer.json, "role"), ""));
    fprintf(cli->out, "%s", namespaces != NULL && namespaces->num != 0 ? " in" : "");
    JSON_FOR (ns, namespaces)
        fprintf(cli->out, " %s", json_str(ns, ""));
    fputc('\n', cli->out);
    return CLI_OK;
}
