/* Host names in a set that can be asked whether it meets others: two names meet when they are equal, or one is a wildcard that
 * covers the other. A wildcard is kept as what follows its asterisk, ".example.com", which no name is; so whoever covers a name is
 * found by looking up its own ends, and those below a wildcard by having noted the ends of each name. */
#include "gateway/control/compile_internal.h"

static struct slice key_of(struct slice hostname)
{
    return slice_starts(hostname, SLICE("*.")) ? slice_make(hostname.base + 1, hostname.len - 1) : hostname;
}

/* The end of `key` from its first dot at or after `from` on; {NULL,0}: there is none. */
static struct slice end_from(struct slice key, size_t from)
{
    const char *dot = from < key.len ? memchr(key.base + from, '.', key.len - from) : NULL;
    return dot != NULL ? slice_make(dot, (size_t)(key.base + key.len - dot)) : (struct slice){NULL, 0};
}

static void note(struct hashmap *set, struct slice key)
{
    hashmap_put(set, key.base, key.len, set); /* any value will do */
}

static bool has(const struct hashmap *set, struct slice key)
{
    return hashmap_get(set, key.base, key.len) != NULL;
}

void comp_names_add(struct comp_names *names, const struct slice *hostnames, uint32_t num)
{
    names->is_used = true;
    names->has_any |= num == 0;
    for (uint32_t i = 0; i < num; ++i) {
        struct slice key = key_of(hostnames[i]);
        note(&names->names, key);
        for (struct slice end = end_from(key, 0); end.base != NULL; end = end_from(key, key.len - end.len + 1))
            note(&names->ends, end);
    }
}

static bool meets(const struct comp_names *names, struct slice hostname)
{
    struct slice key = key_of(hostname);
    if (has(&names->names, key) || (key.base != hostname.base && has(&names->ends, key)))
        return true;
    for (struct slice end = end_from(key, 0); end.base != NULL; end = end_from(key, key.len - end.len + 1))
        if (has(&names->names, end))
            return true;
    return false;
}

bool comp_names_meet(const struct comp_names *names, const struct slice *hostnames, uint32_t num)
{
    if (!names->is_used || names->has_any || num == 0)
        return names->is_used;
    for (uint32_t i = 0; i < num; ++i)
        if (meets(names, hostnames[i]))
            return true;
    return false;
}

void comp_names_clear(struct comp_names *names)
{
    hashmap_clear(&names->names);
    hashmap_clear(&names->ends);
}
