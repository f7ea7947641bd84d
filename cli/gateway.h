/* What needs the database itself is done by selvedge-gateway: found beside this program, else on the path. */
#ifndef SELVEDGE_CLI_GATEWAY_H
#define SELVEDGE_CLI_GATEWAY_H

#include "cli/cli.h"

/* Becomes `selvedge-gateway WORD --data DIR [FILE]`; returns only when it cannot. `file` may be NULL. */
int cli_exec_gateway(struct cli *cli, const char *word, const char *data, const char *file);

#endif
