/* Options -> the store's check and restore. Findings and results go to standard output, for people. */
#include "gateway/database_main.h"

#include "core/base/strbuf.h"
#include "gateway/control/store.h"

#include <stdio.h>

static char *database_of(const struct gateway_options *options)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/control.db", options->data_dir);
    return strbuf_take(&path);
}

static void print_finding(const char *finding, void *data)
{
    puts(finding);
    ++*(unsigned *)data;
}

static int refuse(const struct err *err)
{
    fprintf(stderr, "selvedge-gateway: %s\n", err->text);
    return 1;
}

int database_check(const struct gateway_options *options)
{
    _cleanup_(freep) char *database = database_of(options);
    const char *path = options->file != NULL ? options->file : database;
    struct err err = ERR_INIT;
    unsigned num = 0;
    log_init("selvedge-gateway", options->log_level);
    if (ctl_store_check(path, print_finding, &num, &err) != 0)
        return refuse(&err);
    if (num == 0)
        printf("%s is sound\n", path);
    return num == 0 ? 0 : 1;
}

int database_restore(const struct gateway_options *options)
{
    _cleanup_(freep) char *database = database_of(options);
    struct err err = ERR_INIT;
    log_init("selvedge-gateway", options->log_level);
    if (ctl_store_restore(options->file, database, &err) != 0)
        return refuse(&err);
    printf("%s is restored from %s\n", database, options->file);
    return 0;
}
