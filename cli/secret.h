/* What token and join have in common: create, list, revoke at an address of the API. */
#ifndef SELVEDGE_CLI_SECRET_H
#define SELVEDGE_CLI_SECRET_H

#include "cli/client.h"

/* --ttl in seconds into `body`; `days` may stand alone ("30d"). An exit code. */
int cli_set_ttl(struct cli *cli, struct json *body);
/* Reads a list and prints the columns ({title, member}, ended by NULL); "expires" is shown as time left. */
int cli_list_items(struct cli *cli, const char *path, const char *const (*columns)[2], const char *none);
/* DELETE path/name. */
int cli_revoke(struct cli *cli, const char *path, const char *name, const char *what);

#endif
