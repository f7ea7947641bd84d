/* `selvedge-gateway check` and `restore`: the control process's database from outside. Return the exit status. */
#ifndef SELVEDGE_GATEWAY_DATABASE_MAIN_H
#define SELVEDGE_GATEWAY_DATABASE_MAIN_H

#include "gateway/options.h"

int database_check(const struct gateway_options *options);   /* 0 sound, 1 findings or no database */
int database_restore(const struct gateway_options *options); /* 0 done, 1 refused: nothing was changed */

#endif
