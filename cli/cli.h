/* The command line: what its verbs share.
 *
 * A run: arguments -> verb (verbs.c) -> its run(), which talks to the control API (client.h) and prints. What is asked for goes
 * to `out`, everything else to `err`. A verb that fails says so itself and returns an exit code.
 *
 * Threads: one. Ownership: everything lives in the run's arena until the program ends. */
#ifndef SELVEDGE_CLI_CLI_H
#define SELVEDGE_CLI_CLI_H

#include "cli/options.h"
#include "core/base/json.h"

#include <stdio.h>

#define CLI_EXITS(X)                                                                                         \
    X(CLI_OK, 0, "done")                                                                                     \
    X(CLI_DIFFERENT, 1, "a difference was found, or the answer is no (diff, explain, doctor, audit --verify, apply --wait)") \
    X(CLI_USAGE, 2, "the command line is wrong")                                                             \
    X(CLI_REFUSED, 3, "the API refused: invalid, forbidden, conflict")                                       \
    X(CLI_UNREACHABLE, 4, "the API cannot be reached, or is not able to answer now")                         \
    X(CLI_NOT_FOUND, 5, "what was asked for does not exist")                                                 \
    X(CLI_LOCAL, 6, "a file or program on this side failed")                                                 \
    X(CLI_INTERRUPTED, 130, "interrupted (Ctrl-C)")

enum cli_exit {
#define X(name, code, text) name = code,
    CLI_EXITS(X)
#undef X
};

struct cli;

struct cli_verb {
    const char *name;
    const char *aliases;  /* "a b": other names it answers to; may be NULL */
    const char *usage;    /* arguments, after the name */
    const char *summary;  /* one line */
    const char *examples; /* lines */
    const char *options;  /* names of options.def it takes, blanks between; the global ones come by themselves */
    const char *more;     /* a paragraph for its help; may be NULL */
    int (*run)(struct cli *cli);
};

extern const struct cli_verb cli_verbs[];
extern const size_t cli_num_verbs;
/* By name or alias; NULL. */
const struct cli_verb *cli_find_verb(const char *name);

struct cli {
    FILE *out, *err;
    struct arena *arena;
    struct cli_options options;
    const struct cli_verb *verb;
    const char **args; /* NULL-terminated */
    size_t num_args;
    bool is_colored;
    struct cli_server *server; /* client.h; NULL before the first call */
};

/* The whole program; returns its exit code. */
int cli_main(struct cli *cli, int argc, char **argv);
void cli_print_help(struct cli *cli, const struct cli_verb *verb); /* NULL: of the program */

/* "selvedge: …" on `err`; returns `exit`. */
int cli_fail(struct cli *cli, enum cli_exit exit, const char *fmt, ...) _printf_(3, 4);
/* The same with an error; the exit code is the error's. */
int cli_fail_err(struct cli *cli, const struct err *err);
/* "selvedge get: …; see selvedge help get". */
int cli_usage(struct cli *cli, const char *fmt, ...) _printf_(2, 3);
void cli_warn(struct cli *cli, const char *fmt, ...) _printf_(2, 3);

/* Ctrl-C was pressed: for loops and calls that wait. */
bool cli_is_interrupted(void);

enum cli_color { CLI_PLAIN, CLI_BOLD, CLI_FAINT, CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_CYAN };
/* The escape sequence, "" without colours. */
const char *cli_color(const struct cli *cli, enum cli_color color);

/* "-n" as given, else the context's, else "default". */
const char *cli_namespace(struct cli *cli);

/* Verbs: one file each, verb_NAME.c. */
int verb_apply(struct cli *cli);
int verb_get(struct cli *cli);
int verb_delete(struct cli *cli);
int verb_edit(struct cli *cli);
int verb_diff(struct cli *cli);
int verb_explain(struct cli *cli);
int verb_explain_field(struct cli *cli);
int verb_history(struct cli *cli);
int verb_rollback(struct cli *cli);
int verb_nodes(struct cli *cli);
int verb_token(struct cli *cli);
int verb_join(struct cli *cli);
int verb_audit(struct cli *cli);
int verb_backup(struct cli *cli);
int verb_restore(struct cli *cli);
int verb_doctor(struct cli *cli);
int verb_kubeconfig(struct cli *cli);
int verb_whoami(struct cli *cli);
int verb_completion(struct cli *cli);
int verb_version(struct cli *cli);
int verb_help(struct cli *cli);

#endif
