/* Reference counting, and the table by name; the counters are inline. */
#include "core/proxy/limits.h"

struct px_limits *px_limits_new(void)
{
    struct px_limits *limits = xcalloc(1, sizeof(*limits));

    atomic_init(&limits->refs, 1);
    return limits;
}

struct px_limits *px_limits_ref(struct px_limits *limits)
{
    atomic_fetch_add_explicit(&limits->refs, 1, memory_order_relaxed);
    return limits;
}

void px_limits_unref(struct px_limits *limits)
{
    if (limits != NULL && atomic_fetch_sub_explicit(&limits->refs, 1, memory_order_acq_rel) == 1)
        free(limits);
}

/* ---- by name ---- */

struct px_limits_entry {
    char *name;
    struct px_limits *limits;
};

struct px_limits *px_limits_of(struct px_limits_table *table, struct slice name)
{
    struct px_limits_entry *entry = hashmap_get(&table->by_name, name.base, name.len);

    if (entry == NULL) {
        entry = xcalloc(1, sizeof(*entry));
        entry->name = xstrndup(name.base, name.len);
        entry->limits = px_limits_new();
        hashmap_put(&table->by_name, entry->name, name.len, entry);
    }
    return px_limits_ref(entry->limits);
}

static void entry_free(struct px_limits_table *table, struct px_limits_entry *entry)
{
    (void)hashmap_remove(&table->by_name, entry->name, strlen(entry->name));
    px_limits_unref(entry->limits);
    free(entry->name);
    free(entry);
}

static void remove_entries(struct px_limits_table *table, bool only_unused)
{
    struct px_limits_entry **dead = xmalloc((hashmap_len(&table->by_name) + 1) * sizeof(dead[0]));
    struct hashmap_slot *slot;
    size_t num = 0;

    for (size_t i = 0; (slot = hashmap_next(&table->by_name, &i)) != NULL;) {
        struct px_limits_entry *entry = slot->value;
        if (!only_unused || atomic_load_explicit(&entry->limits->refs, memory_order_acquire) == 1)
            dead[num++] = entry;
    }
    for (size_t i = 0; i < num; i++)
        entry_free(table, dead[i]);
    free(dead);
}

void px_limits_sweep(struct px_limits_table *table)
{
    remove_entries(table, true);
}

void px_limits_clear(struct px_limits_table *table)
{
    remove_entries(table, false);
    hashmap_clear(&table->by_name);
}
