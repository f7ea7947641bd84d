/* What needs the database itself is done by selvedge-gateway: found beside this program, else on the path. */
#ifndef SELVEDGE_CLI_GATEWAY_H
#define SELVEDGE_CLI_GATEWAY_H

#include "cli/cli.h"

/* Runs `selvedge-gateway WORD --data DIR [FILE]`; `file` may be NULL. CLI_OK, `failed` when it says that something is wrong, or
 * CLI_LOCAL when it cannot be run. */
int cli_run_gateway(struct cli *cli, const char *word, const char *data, const char *file, int failed);

#endif
