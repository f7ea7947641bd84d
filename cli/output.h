/* Forms of output: -o.
 *
 * Threads: one. */
#ifndef SELVEDGE_CLI_OUTPUT_H
#define SELVEDGE_CLI_OUTPUT_H

#include "cli/cli.h"
#include "cli/table.h"

enum cli_form { CLI_TABLE, CLI_WIDE, CLI_JSON, CLI_YAML, CLI_NAME, CLI_JSONPATH };

struct cli_jsonpath;

struct cli_output {
    enum cli_form form;
    struct cli_jsonpath *jsonpath;
};

/* From -o; says what is wrong and returns an exit code. */
int cli_output_parse(struct cli *cli, struct cli_output *ret);
/* A document in json, yaml, name or jsonpath; tables are the caller's. A List's items by name each. */
int cli_output_print(struct cli *cli, const struct cli_output *output, const struct json *doc);
/* Rows of a meta.k8s.io Table. `table` is made at the first rows when *table is NULL; columns of a later Table are ignored.
 * `kind_prefix` goes before names ("httproute.…/"), may be "". */
void cli_output_rows(struct cli *cli, const struct json *doc, bool is_wide, bool with_ns, const char *kind_prefix, struct cli_table **table);

#endif
