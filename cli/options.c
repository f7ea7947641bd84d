/* Options of the command line. */
#include "cli/options.h"

#include <ctype.h>

const struct cli_option cli_option_table[] = {
#define OPTION(member, type, name, letter, value, doc) \
    {name, letter, CLI_OPTION_##type, value, doc, offsetof(struct cli_options, member), false},
#define GLOBAL(member, type, name, letter, value, doc) \
    {name, letter, CLI_OPTION_##type, value, doc, offsetof(struct cli_options, member), true},
#include "cli/options.def"
#undef OPTION
#undef GLOBAL
};
const size_t cli_num_options = ARRAY_LEN(cli_option_table);

bool cli_has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t this = strcspn(at, " ");
        if (this == len && memcmp(at, word, len) == 0)
            return true;
        at += this;
    }
    return false;
}

bool cli_takes_option(const char *names, const struct cli_option *option)
{
    return option->is_global || cli_has_word(names, option->name);
}

static const struct cli_option *find_name(struct slice name)
{
    for (size_t i = 0; i < cli_num_options; ++i)
        if (slice_is(name, cli_option_table[i].name))
            return &cli_option_table[i];
    return NULL;
}

static const struct cli_option *find_letter(char letter)
{
    for (size_t i = 0; i < cli_num_options; ++i)
        if (cli_option_table[i].letter == letter)
            return &cli_option_table[i];
    return NULL;
}

int cli_parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    uint64_t total = 0;
    if (*text == '\0')
        return -1;
    while (*text != '\0') {
        char *end;
        if (!isdigit((unsigned char)*text))
            return -1;
        unsigned long number = strtoul(text, &end, 10);
        size_t len = strspn(end, "mshdw"), i;
        for (i = 0; i < ARRAY_LEN(units) && !slice_is(slice_make(end, len), units[i].unit); ++i)
            ;
        if (i == ARRAY_LEN(units) || number > 1000000)
            return -1;
        total += number * units[i].ms;
        text = end + len;
    }
    *ret_ms = total;
    return 0;
}

static void add_item(struct arena *arena, struct cli_list *list, const char *item)
{
    const char **items = arena_alloc(arena, (list->num + 2) * sizeof(*items));
    if (list->num != 0)
        memcpy(items, list->items, list->num * sizeof(*items));
    items[list->num++] = item;
    items[list->num] = NULL;
    list->items = items;
}

static int set_value(struct arena *arena, const struct cli_option *option, const char *value, struct cli_options *options, struct err *err)
{
    void *member = (char *)options + option->at;
    char *end;
    switch (option->type) {
    case CLI_OPTION_FLAG: /* "--dry-run=server", as kubectl is called */
        *(bool *)member = value == NULL || (strcmp(value, "false") != 0 && strcmp(value, "none") != 0);
        break;
    case CLI_OPTION_TEXT:
        *(const char **)member = value;
        break;
    case CLI_OPTION_LIST:
        add_item(arena, member, value);
        break;
    case CLI_OPTION_NUMBER: {
        unsigned long number = strtoul(value, &end, 10);
        if (!isdigit((unsigned char)*value) || *end != '\0' || number > 1000000000)
            return err_set(err, ERR_INVALID, "--%s: \"%s\" is no number", option->name, value);
        *(unsigned *)member = (unsigned)number;
        break;
    }
    case CLI_OPTION_DURATION:
        if (cli_parse_duration(value, member) != 0)
            return err_set(err, ERR_INVALID, "--%s: \"%s\" is no duration like 30s, 5m, 1h30m", option->name, value);
        break;
    }
    return 0;
}

struct cursor {
    struct arena *arena;
    int argc;
    char **argv;
    int *at;
    const char *names;
    struct cli_options *options;
    struct err *err;
};

/* Sets the option; its value is `inlined`, or else the next word. */
static int take(const struct cursor *c, const struct cli_option *option, const char *spelled, int len, const char *inlined)
{
    if (option == NULL)
        return err_set(c->err, ERR_INVALID, "there is no option %.*s", len, spelled);
    if (!cli_takes_option(c->names, option))
        return err_set(c->err, ERR_INVALID, c->names == NULL ? "option %.*s stands behind the verb" : "option %.*s is not taken here", len, spelled);
    const char *value = inlined;
    if (option->type != CLI_OPTION_FLAG && value == NULL) {
        if (*c->at >= c->argc)
            return err_set(c->err, ERR_INVALID, "option %.*s needs its %s", len, spelled, option->value);
        value = c->argv[(*c->at)++];
    }
    return set_value(c->arena, option, value, c->options, c->err);
}

static int take_letters(const struct cursor *c, const char *letters)
{
    for (; *letters != '\0'; ++letters) {
        const struct cli_option *option = find_letter(*letters);
        char spelled[3] = {'-', *letters, '\0'};
        if (option != NULL && option->type != CLI_OPTION_FLAG) {
            const char *rest = letters + 1 + (letters[1] == '=');
            return take(c, option, spelled, 2, letters[1] != '\0' ? rest : NULL);
        }
        if (take(c, option, spelled, 2, NULL) != 0)
            return -1;
    }
    return 0;
}

int cli_read_option(struct arena *arena, int argc, char **argv, int *at, const char *names, struct cli_options *options,
                    struct err *err)
{
    struct cursor cursor = {arena, argc, argv, at, names, options, err};
    const char *word = argv[(*at)++];
    if (word[1] != '-')
        return take_letters(&cursor, word + 1);
    size_t len = strcspn(word, "=");
    return take(&cursor, find_name(slice_make(word + 2, len - 2)), word, (int)len, word[len] == '=' ? word + len + 1 : NULL);
}
