/* Options from a table: the command line wins over the environment, the environment over the default.
 *
 * Threads: before there are any. */
#ifndef BOOKINFO_OPTIONS_H
#define BOOKINFO_OPTIONS_H

#include "examples/bookinfo/lib/service.h"

/* Values point into argv and the environment. `*ret_help` is set when --help was asked for. */
int bk_options_parse(const struct bk_option *const *tables, const size_t *counts, size_t num_tables, int argc,
                     char **argv, bool *ret_help, struct err *err);
void bk_options_help(const struct bk_service *service, const struct bk_option *const *tables,
                     const size_t *counts, size_t num_tables);

#endif
