/* selvedge completion: what shells complete, from the tables of verbs, options and kinds. */
#include "cli/cli.h"
#include "core/model/kinds.h"

static void print_kinds(struct cli *cli)
{
    for (int i = 0; i < KIND_COUNT; ++i)
        fprintf(cli->out, "%s%s", i != 0 ? " " : "", kind_get((enum kind_id)i)->plural);
}

static void print_options(struct cli *cli, const char *names, bool is_global)
{
    for (size_t i = 0; i < cli_num_options; ++i)
        if (cli_option_table[i].is_global == is_global && cli_takes_option(names, &cli_option_table[i]))
            fprintf(cli->out, " --%s", cli_option_table[i].name);
}

static void print_verbs(struct cli *cli)
{
    for (size_t i = 0; i < cli_num_verbs; ++i)
        fprintf(cli->out, "%s%s", i != 0 ? " " : "", cli_verbs[i].name);
}

/* Names of objects are asked for at the API, quietly: completion never complains. */
static const char bash_end[] =
    "    case \"$prev\" in\n"
    "        -f|--filename|--ca|--config|--socket) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n"
    "        -o|--output) COMPREPLY=($(compgen -W \"table wide json yaml name jsonpath=\" -- \"$cur\")); return;;\n"
    "        -n|--namespace|--in) COMPREPLY=($(compgen -W \"$(selvedge get namespaces -o name 2>/dev/null | sed 's:.*/::')\" -- \"$cur\")); return;;\n"
    "        --role) COMPREPLY=($(compgen -W \"viewer editor admin\" -- \"$cur\")); return;;\n"
    "    esac\n"
    "    if [ -z \"$verb\" ]; then COMPREPLY=($(compgen -W \"$verbs $global\" -- \"$cur\")); return; fi\n"
    "    if [[ \"$cur\" == -* ]]; then COMPREPLY=($(compgen -W \"$options $global\" -- \"$cur\")); return; fi\n"
    "    case \"$verb\" in\n"
    "        get|delete|edit|history|rollback)\n"
    "            if [[ \"$cur\" == */* ]]; then\n"
    "                COMPREPLY=($(compgen -W \"$(selvedge get \"${cur%%/*}\" -o name 2>/dev/null | sed \"s:.*/:${cur%%/*}/:\")\" -- \"$cur\"))\n"
    "            elif [ \"$verb\" = rollback ]; then COMPREPLY=($(compgen -W \"$kinds\" -- \"$cur\"))\n"
    "            elif [ -z \"$kind\" ]; then COMPREPLY=($(compgen -W \"$kinds\" -- \"$cur\"))\n"
    "            else COMPREPLY=($(compgen -W \"$(selvedge get \"$kind\" -o name 2>/dev/null | sed 's:.*/::')\" -- \"$cur\")); fi;;\n"
    "        explain-field) COMPREPLY=($(compgen -W \"$kinds\" -- \"$cur\"));;\n"
    "        token|join) COMPREPLY=($(compgen -W \"create list revoke\" -- \"$cur\"));;\n"
    "        completion) COMPREPLY=($(compgen -W \"bash zsh\" -- \"$cur\"));;\n"
    "        help) COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"));;\n"
    "        backup) COMPREPLY=($(compgen -f -- \"$cur\"));;\n"
    "    esac\n"
    "}\n";

static void print_bash(struct cli *cli)
{
    fprintf(cli->out, "# selvedge completion bash: source it, or keep it as /etc/bash_completion.d/selvedge\n"
                      "_selvedge() {\n"
                      "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" verb= kind= word i options=\n"
                      "    local verbs=\"");
    print_verbs(cli);
    fprintf(cli->out, "\" kinds=\"");
    print_kinds(cli);
    fprintf(cli->out, "\" global=\"");
    print_options(cli, NULL, true);
    fprintf(cli->out, "\"\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        word=\"${COMP_WORDS[i]}\"\n"
                      "        if [[ \"$word\" == -* ]]; then continue; fi\n"
                      "        if [ -z \"$verb\" ]; then if [[ \" $verbs \" == *\" $word \"* ]]; then verb=\"$word\"; fi\n"
                      "        elif [ -z \"$kind\" ]; then kind=\"$word\"; fi\n"
                      "    done\n"
                      "    case \"$verb\" in\n");
    for (size_t i = 0; i < cli_num_verbs; ++i) {
        fprintf(cli->out, "        %s) options=\"", cli_verbs[i].name);
        print_options(cli, cli_verbs[i].options, false);
        fprintf(cli->out, "\";;\n");
    }
    fprintf(cli->out, "    esac\n%s", bash_end);
}

int verb_completion(struct cli *cli)
{
    bool is_zsh = cli->num_args == 1 && strcmp(cli->args[0], "zsh") == 0;
    if (cli->num_args != 1 || (!is_zsh && strcmp(cli->args[0], "bash") != 0))
        return cli_usage(cli, "bash or zsh");
    if (is_zsh) /* zsh runs bash's functions */
        fprintf(cli->out, "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n");
    print_bash(cli);
    fprintf(cli->out, "complete -F _selvedge selvedge\n");
    return CLI_OK;
}
