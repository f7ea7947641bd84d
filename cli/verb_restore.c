/* selvedge restore: puts a backup in the place of the database, while the control process is stopped. */
#include "cli/gateway.h"

int verb_restore(struct cli *cli)
{
    if (cli->num_args != 1 || cli->options.data == NULL)
        return cli_usage(cli, cli->num_args != 1 ? "which backup?" : "--data DIR is missing: the data folder to restore into");
    return cli_run_gateway(cli, "restore", cli->options.data, cli->args[0], CLI_LOCAL);
}
