/* A control store in a folder of its own, what on_commit saw of it, and its readers as text. */
#ifndef SELVEDGE_TESTS_STORE_LOG_FIXTURE_H
#define SELVEDGE_TESTS_STORE_LOG_FIXTURE_H

#include "core/base/clock.h"
#include "gateway/control/store_private.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char *folder, path[512];
static struct ctl_store *store;
static struct ctl_store_config config;

/* ---------- what on_commit saw ---------- */

static struct strbuf seen;
static uint64_t needed = UINT64_MAX;

static inline void on_commit(void *data, const struct ctl_change *changes, size_t num)
{
    for (size_t i = 0; i < num; ++i)
        strbuf_addf(&seen, "%llu.%u %s %.*s %.*s<%.*s\n", (unsigned long long)changes[i].rev, changes[i].seq,
                    changes[i].op == CTL_PUT ? "put" : "del", (int)changes[i].key.name.len,
                    changes[i].key.name.base, (int)changes[i].object.len, changes[i].object.base,
                    (int)changes[i].previous.len,
                    changes[i].previous.base != NULL ? changes[i].previous.base : "");
}

static inline uint64_t min_needed(void *data)
{
    return needed;
}

static inline void open_store(void)
{
    struct err err = ERR_INIT;
    store = ctl_store_open(&config, &err);
    if (store == NULL)
        fail_msg("open: %s", err.text);
}

static inline void reopen(void)
{
    store = ctl_store_close(store);
    open_store();
}

static inline int setup(void **state)
{
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    config = (struct ctl_store_config){.path = path, .on_commit = on_commit, .min_needed_rev = min_needed};
    needed = UINT64_MAX;
    open_store();
    return 0;
}

static inline int teardown(void **state)
{
    store = ctl_store_close(store);
    strbuf_clear(&seen);
    clock_fake(0, 0);
    tempdir_free(folder);
    return 0;
}

/* ---------- readers as text ---------- */

static inline int add_row(const struct ctl_change *row, void *data)
{
    strbuf_addf(data, "%.*s@%llu=%.*s ", (int)row->key.name.len, row->key.name.base,
                (unsigned long long)row->rev, (int)row->object.len, row->object.base);
    return 0;
}

static inline int add_change(const struct ctl_change *row, void *data)
{
    strbuf_addf(data, "%llu.%u%c%.*s ", (unsigned long long)row->rev, row->seq,
                row->op == CTL_PUT ? '+' : '-', (int)row->key.name.len, row->key.name.base);
    return 0;
}

static const char *keep(struct strbuf *text)
{
    static char kept[4096];
    snprintf(kept, sizeof(kept), "%s", text->base != NULL ? text->base : "");
    strbuf_clear(text);
    return kept;
}

static const char *all(void)
{
    struct strbuf out = STRBUF_INIT;
    uint64_t rev;
    struct err err = ERR_INIT;
    if (ctl_store_read_all(store, add_row, &out, &rev, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(rev, ctl_store_head(store));
    return keep(&out);
}

static const char *at(uint64_t rev)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    if (ctl_store_read_at(store, rev, add_row, &out, &err) != 0)
        fail_msg("%s", err.text);
    return keep(&out);
}

static const char *changes(uint64_t since, uint64_t upto, const struct ctl_key *filter, size_t limit)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    if (ctl_store_read_changes(store, since, upto, filter, limit, add_change, &out, &err) != 0)
        fail_msg("%s", err.text);
    return keep(&out);
}

static inline void fail_finding(const char *finding, void *data)
{
    fail_msg("%s", finding);
}

static inline void assert_sound(void)
{
    struct err err = ERR_INIT;
    if (ctl_store_check(path, fail_finding, NULL, &err) != 0)
        fail_msg("%s", err.text);
}

#endif
