/* selvedge explain-field: what a kind and its fields mean and take, from the same tables that check objects. */
#include "cli/resource.h"

static const char *type_name(enum field_type type)
{
    switch (type) {
    case FIELD_BOOL:
        return "boolean";
    case FIELD_I32:
    case FIELD_I64:
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_U64:
        return "integer";
    case FIELD_DURATION:
        return "duration";
    case FIELD_TIME:
        return "time";
    case FIELD_BYTES:
        return "base64";
    case FIELD_INT_OR_STRING:
        return "integer or string";
    case FIELD_OBJECT:
    case FIELD_OBJECT_PTR:
        return "object";
    case FIELD_RAW:
        return "anything";
    default:
        return "string";
    }
}

static const char *type_of(struct cli *cli, const struct field *field)
{
    if (field->type == FIELD_LIST)
        return arena_printf(cli->arena, "list of %s", type_name(field->item));
    if (field->type == FIELD_MAP)
        return arena_printf(cli->arena, "map of %s", type_name(field->item == FIELD_BYTES ? FIELD_BYTES : FIELD_STRING));
    return type_name(field->type);
}

static void add_names(struct strbuf *out, const char *before, const char *const *names)
{
    if (names == NULL)
        return;
    strbuf_adds(out, before);
    for (size_t i = 0; names[i] != NULL; ++i)
        strbuf_addf(out, "%s%s", i != 0 ? ", " : "", names[i]);
}

/* "1 to 65535", "one of Exact, Prefix", "default: Exact". */
static struct slice bounds_of(struct cli *cli, const struct field *field)
{
    struct strbuf text = STRBUF_INIT;
    const char *unit = field->type == FIELD_LIST || field->type == FIELD_MAP ? " items" : field->type == FIELD_STRING ? " characters" : "";
    add_names(&text, "one of ", field->names);
    if (field->max != 0)
        strbuf_addf(&text, "%s%lld to %lld%s", text.len != 0 ? "; " : "", (long long)field->min, (long long)field->max, unit);
    if (field->def != NULL)
        strbuf_addf(&text, "%sdefault %s", text.len != 0 ? "; " : "", field->def);
    if (field->format != NULL && field->format->message != NULL)
        strbuf_addf(&text, "%s%s", text.len != 0 ? "; " : "", field->format->message);
    add_names(&text, text.len != 0 ? "; not served: " : "not served: ", field->refused);
    struct slice copy = arena_slice(cli->arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return copy;
}

static void wrap(struct cli *cli, const char *text, int indent)
{
    enum { WIDTH = 100 };
    int column = indent;
    fprintf(cli->out, "%*s", indent, "");
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column + (int)len > WIDTH && column > indent)
            column = fprintf(cli->out, "\n%*s", indent, "") - 1;
        fprintf(cli->out, "%.*s", (int)len, text);
        column += (int)len;
        text += len + strspn(text + len, " ");
        if (*text != '\0')
            column += fprintf(cli->out, " ");
    }
    fputc('\n', cli->out);
}

static void print_field(struct cli *cli, const struct field *field, int indent, bool is_deep)
{
    bool is_served = (field->flags & FIELD_UNSUPPORTED) == 0;
    struct slice bounds = bounds_of(cli, field);
    fprintf(cli->out, "%*s%s%s%s <%s>%s%s\n", indent, "", cli_color(cli, is_served ? CLI_BOLD : CLI_FAINT), field->name, cli_color(cli, CLI_PLAIN),
            type_of(cli, field), (field->flags & FIELD_NEEDED) != 0 ? " required" : "", is_served ? "" : " (not served: refused when given)");
    if (is_deep) {
        for (uint32_t i = 0; field->schema != NULL && is_served && i < field->schema->num_fields; ++i)
            print_field(cli, &field->schema->fields[i], indent + 2, true);
        return;
    }
    if (field->doc != NULL)
        wrap(cli, field->doc, indent + 4);
    if (bounds.len != 0)
        wrap(cli, bounds.base, indent + 4);
    fputc('\n', cli->out);
}

static void print_schema(struct cli *cli, const struct field_schema *schema)
{
    if (schema == NULL || schema->num_fields == 0)
        return;
    fprintf(cli->out, "\nFields:\n");
    for (uint32_t i = 0; i < schema->num_fields; ++i)
        print_field(cli, &schema->fields[i], 2, cli->options.recurse_fields);
}

/* Follows "spec.rules[].matches" down; indexes are skipped. */
static int follow(struct cli *cli, const struct kind *kind, const char *path, const struct field **ret)
{
    const struct field_schema *schema = kind->schema;
    *ret = NULL;
    for (const char *at = path; *at != '\0';) {
        size_t len = strcspn(at, ".[");
        const struct field *field = schema != NULL ? field_find(schema, slice_make(at, len)) : NULL;
        if (field == NULL)
            return cli_fail(cli, CLI_NOT_FOUND, "%s has no field \"%.*s\"", kind->kind, (int)(at + len - path), path);
        *ret = field;
        schema = field->schema;
        at += len;
        while (*at == '[')
            at += strcspn(at, "]") + (strchr(at, ']') != NULL);
        at += *at == '.';
    }
    return CLI_OK;
}

int verb_explain_field(struct cli *cli)
{
    const struct field *field;
    if (cli->num_args != 1)
        return cli_usage(cli, "KIND or KIND.path.of.field");
    size_t len = strcspn(cli->args[0], ".");
    const char *path = cli->args[0] + len + (cli->args[0][len] == '.');
    const struct kind *kind = cli_find_kind(cli, arena_strndup(cli->arena, cli->args[0], len));
    if (kind == NULL)
        return CLI_NOT_FOUND;
    int status = follow(cli, kind, path, &field);
    if (status != CLI_OK)
        return status;
    fprintf(cli->out, "%s%s%s  %s%s%s\n\n", cli_color(cli, CLI_BOLD), kind->kind, cli_color(cli, CLI_PLAIN), kind->group,
            kind->group[0] != '\0' ? "/" : "", kind->version);
    if (field == NULL) {
        wrap(cli, kind->doc, 2);
        print_schema(cli, kind->schema);
        return CLI_OK;
    }
    fprintf(cli->out, "%s\n", path);
    print_field(cli, field, 2, false);
    print_schema(cli, field->schema);
    return CLI_OK;
}
