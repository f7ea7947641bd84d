/* What verbs are pointed at. */
#include "cli/resource.h"

static void add(struct cli *cli, struct cli_resources *list, const struct kind *kind, const char *name)
{
    struct cli_resource *items = arena_alloc(cli->arena, (list->num + 1) * sizeof(*items));
    if (list->num != 0)
        memcpy(items, list->items, list->num * sizeof(*items));
    items[list->num++] = (struct cli_resource){kind, name};
    list->items = items;
}

static bool is_in_category(const struct kind *kind, const char *category)
{
    for (const char *const *name = kind->categories; *name != NULL; ++name)
        if (strcmp(*name, category) == 0)
            return true;
    return false;
}

const struct kind *cli_find_kind(struct cli *cli, const char *name)
{
    const struct kind *kind = kind_find_name(slice_of(name));
    if (kind != NULL)
        return kind;
    struct strbuf known = STRBUF_INIT;
    for (int i = 0; i < KIND_COUNT; ++i)
        strbuf_addf(&known, "%s%s", i != 0 ? ", " : "", kind_get((enum kind_id)i)->plural);
    cli_fail(cli, CLI_USAGE, "there is no kind \"%s\"; there are %s", name, known.base);
    strbuf_clear(&known);
    return NULL;
}

const char *cli_kind_name(struct arena *arena, const struct kind *kind)
{
    return kind->group[0] != '\0' ? arena_printf(arena, "%s.%s", kind->singular, kind->group) : kind->singular;
}

/* "routes,gateways" or "all". */
static int add_kinds(struct cli *cli, const char *words, struct cli_resources *ret)
{
    while (*words != '\0') {
        size_t len = strcspn(words, ","), before = ret->num;
        const char *word = arena_strndup(cli->arena, words, len);
        words += len + (words[len] == ',');
        for (int i = 0; i < KIND_COUNT; ++i)
            if (is_in_category(kind_get((enum kind_id)i), word))
                add(cli, ret, kind_get((enum kind_id)i), NULL);
        if (ret->num != before)
            continue;
        const struct kind *kind = cli_find_kind(cli, word);
        if (kind == NULL)
            return CLI_USAGE;
        add(cli, ret, kind, NULL);
    }
    return CLI_OK;
}

static int add_pair(struct cli *cli, const char *word, const char *slash, struct cli_resources *ret)
{
    const struct kind *kind = cli_find_kind(cli, arena_strndup(cli->arena, word, (size_t)(slash - word)));
    if (kind == NULL)
        return CLI_USAGE;
    if (slash[1] == '\0')
        return cli_usage(cli, "\"%s\" names nothing behind the slash", word);
    add(cli, ret, kind, slash + 1);
    return CLI_OK;
}

int cli_resources_parse(struct cli *cli, size_t first, struct cli_resources *ret)
{
    struct cli_resources kinds = {NULL, 0};
    bool has_pairs = cli->num_args > first && strchr(cli->args[first], '/') != NULL;
    *ret = (struct cli_resources){NULL, 0};
    if (cli->num_args <= first)
        return cli_usage(cli, "which kind?");
    if (!has_pairs) {
        int status = add_kinds(cli, cli->args[first], &kinds);
        if (status != CLI_OK || cli->num_args == first + 1) {
            *ret = kinds;
            return status;
        }
        ++first;
    }
    for (size_t i = first; i < cli->num_args; ++i) {
        const char *word = cli->args[i], *slash = strchr(word, '/');
        if (has_pairs != (slash != NULL))
            return cli_usage(cli, "\"%s\": either KIND NAME…, or KIND/NAME each time", word);
        int status = CLI_OK;
        if (slash != NULL)
            status = add_pair(cli, word, slash, ret);
        else
            for (size_t k = 0; k < kinds.num; ++k)
                add(cli, ret, kinds.items[k].kind, word);
        if (status != CLI_OK)
            return status;
    }
    return CLI_OK;
}
