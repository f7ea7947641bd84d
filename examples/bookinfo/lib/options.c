/* `--name VALUE`, `--name=VALUE`, BOOKINFO_NAME. */
#include "examples/bookinfo/lib/options.h"

#include <ctype.h>
#include <stdio.h>

enum { NAME_MAX_LEN = 64 };

static int set_option(const struct bk_option *option, const char *value, struct err *err)
{
    uint64_t number;
    if (option->flag != NULL)
        *option->flag = true;
    else if (option->text != NULL)
        *option->text = value;
    else if (bk_parse_number(slice_of(value), option->max, &number))
        *option->number = (unsigned)number;
    else
        return err_set(err, ERR_INVALID, "--%s: a number from 0 to %u, not '%s'", option->name, option->max,
                       value);
    return 0;
}

static void variable_name(const struct bk_option *option, char *out)
{
    size_t len = (size_t)snprintf(out, NAME_MAX_LEN, "BOOKINFO_%s", option->name);
    for (size_t i = 0; i < len; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static int read_environment(const struct bk_option *options, size_t count, struct err *err)
{
    char name[NAME_MAX_LEN];
    for (size_t i = 0; i != count; i++) {
        variable_name(&options[i], name);
        const char *value = getenv(name);
        if (value != NULL && value[0] != '\0' && set_option(&options[i], value, err) != 0)
            return err_wrap(err, "%s", name);
    }
    return 0;
}

static const struct bk_option *find_option(const struct bk_option *const *tables, const size_t *counts,
                                           size_t num_tables, struct slice name)
{
    for (size_t t = 0; t != num_tables; t++)
        for (size_t i = 0; i != counts[t]; i++)
            if (slice_is(name, tables[t][i].name))
                return &tables[t][i];
    return NULL;
}

int bk_options_parse(const struct bk_option *const *tables, const size_t *counts, size_t num_tables, int argc,
                     char **argv, bool *ret_help, struct err *err)
{
    for (size_t t = 0; t != num_tables; t++)
        if (read_environment(tables[t], counts[t], err) != 0)
            return -1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_help = true;
            return 0;
        }
        if (strncmp(argv[i], "--", 2) != 0)
            return err_set(err, ERR_INVALID, "unexpected argument '%s'", argv[i]);
        const char *name = argv[i] + 2, *equals = strchr(name, '=');
        struct slice key = slice_make(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
        const struct bk_option *option = find_option(tables, counts, num_tables, key);
        if (option == NULL)
            return err_set(err, ERR_INVALID, "unknown option '--%.*s'; see --help", (int)key.len, key.base);
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (option->flag != NULL && value != NULL)
            return err_set(err, ERR_INVALID, "--%s takes no value", option->name);
        if (option->flag == NULL && value == NULL && (value = i + 1 < argc ? argv[++i] : NULL) == NULL)
            return err_set(err, ERR_INVALID, "--%s wants a value", option->name);
        if (set_option(option, value, err) != 0)
            return -1;
    }
    return 0;
}

void bk_options_help(const struct bk_service *service, const struct bk_option *const *tables,
                     const size_t *counts, size_t num_tables)
{
    printf("bookinfo-%s: %s\n\n", service->name, service->doc);
    for (size_t t = 0; t != num_tables; t++)
        for (size_t i = 0; i != counts[t]; i++) {
            const struct bk_option *o = &tables[t][i];
            char left[NAME_MAX_LEN];
            snprintf(left, sizeof(left), "--%s%s", o->name,
                     o->flag != NULL   ? ""
                     : o->text != NULL ? " TEXT"
                                       : " N");
            printf("  %-22s %s", left, o->doc);
            if (o->text != NULL && *o->text != NULL && **o->text != '\0')
                printf(" [%s]", *o->text);
            if (o->number != NULL)
                printf(" [%u]", *o->number);
            putchar('\n');
        }
    printf("\nEach option can also be given as a variable: --port-file is BOOKINFO_PORT_FILE.\n");
}
