/* selvedge help [VERB]. */
#include "cli/cli.h"

int verb_help(struct cli *cli)
{
    const struct cli_verb *verb = cli->num_args != 0 ? cli_find_verb(cli->args[0]) : NULL;
    if (cli->num_args > 1 || (cli->num_args == 1 && verb == NULL))
        return cli_usage(cli, "there is no verb \"%s\"", cli->args[cli->num_args - 1]);
    cli_print_help(cli, verb);
    return CLI_OK;
}
