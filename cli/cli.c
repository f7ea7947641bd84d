/* From arguments to a verb; how failures and help are told. */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    if (is_interrupted) /* the second time: at once */
        _Exit(CLI_INTERRUPTED);
    is_interrupted = 1;
}

bool cli_is_interrupted(void)
{
    return is_interrupted != 0;
}

static void say(struct cli *cli, const char *prefix, const char *fmt, va_list args)
{
    fflush(cli->out); /* in the order of events when both go to one place */
    fprintf(cli->err, "selvedge%s%s: ", *prefix != '\0' ? " " : "", prefix);
    vfprintf(cli->err, fmt, args);
    fputc('\n', cli->err);
}

int cli_fail(struct cli *cli, enum cli_exit exit, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "", fmt, args);
    va_end(args);
    return exit;
}

void cli_warn(struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "warning", fmt, args);
    va_end(args);
}

static enum cli_exit exit_of(enum err_code code)
{
    switch (code) {
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return CLI_UNREACHABLE;
    case ERR_INVALID:
        return CLI_USAGE;
    default:
        return CLI_LOCAL;
    }
}

int cli_fail_err(struct cli *cli, const struct err *err)
{
    return cli_fail(cli, exit_of(err->code), "%s", err->text);
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
    va_list args;
    const char *verb = cli->verb != NULL ? cli->verb->name : "";
    va_start(args, fmt);
    say(cli, verb, fmt, args);
    va_end(args);
    if (cli->verb != NULL)
        fprintf(cli->err, "usage: selvedge %s %s\nSee selvedge help %s.\n", verb, cli->verb->usage, verb);
    else
        fprintf(cli->err, "See selvedge help.\n");
    return CLI_USAGE;
}

const char *cli_color(const struct cli *cli, enum cli_color color)
{
    static const char *const sequences[] = {"\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[36m"};
    return cli->is_colored ? sequences[color] : "";
}

/* ---------- help ---------- */

static void print_option(struct cli *cli, const struct cli_option *option)
{
    char left[64];
    int len = snprintf(left, sizeof(left), option->letter != '\0' ? "-%c, " : "    ", option->letter);
    snprintf(left + len, sizeof(left) - (size_t)len, "--%s%s%s", option->name, option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
    fprintf(cli->out, "  %-30s  %s\n", left, option->doc);
}

static void print_options(struct cli *cli, const char *names, bool is_global)
{
    for (size_t i = 0; i < cli_num_options; ++i)
        if (cli_option_table[i].is_global == is_global && cli_takes_option(names, &cli_option_table[i]))
            print_option(cli, &cli_option_table[i]);
}

static void print_program_help(struct cli *cli)
{
    fprintf(cli->out, "selvedge: the command line of Selvedge's control API\n\nusage: selvedge VERB [ARGUMENTS] [OPTIONS]\n\nVerbs:\n");
    for (size_t i = 0; i < cli_num_verbs; ++i)
        fprintf(cli->out, "  %-14s %s\n", cli_verbs[i].name, cli_verbs[i].summary);
    fprintf(cli->out, "\nEverywhere:\n");
    print_options(cli, NULL, true);
    fprintf(cli->out, "\nFirst steps:\n"
                      "  selvedge apply -f manifests/            make the objects of a folder so\n"
                      "  selvedge get gateways,httproutes -A     what is there\n"
                      "  selvedge explain GET https://shop.example.com/cart\n"
                      "                                          where a request would go, and why\n"
                      "  selvedge history                        who changed what\n"
                      "\nExit codes:\n");
#define X(name, code, text) fprintf(cli->out, "  %3d  %s\n", code, text);
    CLI_EXITS(X)
#undef X
    fprintf(cli->out, "\nselvedge help VERB explains a verb with examples.\n");
}

void cli_print_help(struct cli *cli, const struct cli_verb *verb)
{
    if (verb == NULL) {
        print_program_help(cli);
        return;
    }
    fprintf(cli->out, "%s%s%s: %s\n\nusage: selvedge %s %s\n", cli_color(cli, CLI_BOLD), verb->name, cli_color(cli, CLI_PLAIN), verb->summary,
            verb->name, verb->usage);
    if (verb->more != NULL)
        fprintf(cli->out, "\n%s", verb->more);
    if (verb->options != NULL && *verb->options != '\0') {
        fprintf(cli->out, "\nOptions:\n");
        print_options(cli, verb->options, false);
    }
    fprintf(cli->out, "\nExamples:\n%s", verb->examples);
    if (verb->aliases != NULL)
        fprintf(cli->out, "\nAlso called: %s\n", verb->aliases);
    fprintf(cli->out, "\nselvedge help shows the options every verb takes.\n");
}

/* ---------- arguments ---------- */

static int parse(struct cli *cli, int argc, char **argv)
{
    struct err err = ERR_INIT;
    bool is_over = false;
    cli->args = arena_zalloc(cli->arena, (size_t)(argc + 1) * sizeof(*cli->args));
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        if (!is_over && word[0] == '-' && word[1] != '\0') {
            is_over = strcmp(word, "--") == 0;
            if (is_over)
                ++at;
            else if (cli_read_option(cli->arena, argc, argv, &at, cli->verb != NULL ? cli->verb->options : NULL, &cli->options, &err) != 0)
                return cli_usage(cli, "%s", err.text);
        } else if (cli->verb == NULL) {
            cli->verb = cli_find_verb(argv[at++]);
            if (cli->verb == NULL)
                return cli_usage(cli, "there is no verb \"%s\"", word);
        } else {
            cli->args[cli->num_args++] = argv[at++];
        }
    }
    return CLI_OK;
}

int cli_main(struct cli *cli, int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    static char *version[] = {"selvedge", "version", "--client", NULL};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        argv = version;
        argc = 3;
    }
    int status = parse(cli, argc, argv);
    if (status != CLI_OK)
        return status;
    if (cli->options.help || cli->verb == NULL) {
        cli_print_help(cli, cli->verb);
        return cli->options.help ? CLI_OK : CLI_USAGE;
    }
    sigaction(SIGINT, &action, NULL);
    status = cli->verb->run(cli);
    return cli_is_interrupted() && status != CLI_OK ? CLI_INTERRUPTED : status;
}
