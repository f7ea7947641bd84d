/* Options of the command line, from one table (options.def) that also gives help and completion.
 *
 * Taken anywhere, also behind arguments: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -Aw; "--" ends them.
 * Ownership: values are borrowed from argv. */
#ifndef SELVEDGE_CLI_OPTIONS_H
#define SELVEDGE_CLI_OPTIONS_H

#include "core/base/arena.h"
#include "core/base/err.h"

enum cli_option_type { CLI_OPTION_FLAG, CLI_OPTION_TEXT, CLI_OPTION_LIST, CLI_OPTION_NUMBER, CLI_OPTION_DURATION };

struct cli_list {
    const char **items;
    size_t num;
};

#define CLI_TYPE_FLAG bool
#define CLI_TYPE_TEXT const char *
#define CLI_TYPE_LIST struct cli_list
#define CLI_TYPE_NUMBER unsigned
#define CLI_TYPE_DURATION uint64_t /* milliseconds */

struct cli_options {
#define OPTION(member, type, name, letter, value, doc) CLI_TYPE_##type member;
#include "cli/options.def"
#undef OPTION
#undef GLOBAL
};

struct cli_option {
    const char *name;
    char letter; /* 0: none */
    enum cli_option_type type;
    const char *value; /* "FILE"; NULL for flags */
    const char *doc;
    size_t at;
    bool is_global;
};

extern const struct cli_option cli_option_table[];
extern const size_t cli_num_options;

/* Is `word` among `words` (blanks between; NULL: none)? */
bool cli_has_word(const char *words, const char *word);
/* Is the option's name among `names` (blanks between), or global? */
bool cli_takes_option(const char *names, const struct cli_option *option);

/* Reads one option at argv[*at] and moves *at behind it. `names`: those taken beside the global ones; NULL: global only.
 * ERR_INVALID names the option. */
int cli_read_option(struct arena *arena, int argc, char **argv, int *at, const char *names, struct cli_options *options,
                    struct err *err);

/* "90s", "12h", "30d", "1h30m". -1 when it is none. */
int cli_parse_duration(const char *text, uint64_t *ret_ms);

#endif
