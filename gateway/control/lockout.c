/* Two lists: origins that have failed a few times, of which the oldest makes room, and those that have been blocked, which
 * stay for their ten minutes. */
#include "gateway/control/lockout.h"

#include "core/base/cidr.h"
#include "core/base/hashmap.h"
#include "core/base/list.h"

#include <stdio.h>

#define S_US ((uint64_t)1000000)
enum { KEY_MAX = 64, PREFIX6_BYTES = 8 };

struct origin {
    struct list link; /* in suspects or blocked; least recently failing first */
    char key[KEY_MAX];
    unsigned num_failures;
    uint64_t last_us, blocked_until_us;
};

struct ctl_lockout {
    struct list suspects, blocked;
    struct hashmap by_key;
};

/* ---------- what is one origin ---------- */

static struct slice host_of(struct slice origin)
{
    size_t len = origin.len;
    while (len > 0 && origin.base[len - 1] != ':')
        --len;
    struct slice host = len > 1 ? slice_make(origin.base, len - 1) : origin;
    if (host.len > 2 && host.base[0] == '[' && host.base[host.len - 1] == ']')
        return slice_make(host.base + 1, host.len - 2);
    return host;
}

static void key_of(struct slice origin, char out[KEY_MAX])
{
    struct ip_addr addr;
    if (ip_parse(host_of(origin), &addr) != 0) { /* a user of this host: all of the text */
        snprintf(out, KEY_MAX, "%.*s", (int)MIN(origin.len, (size_t)KEY_MAX), origin.base);
        return;
    }
    if (addr.len == 16)
        memset(addr.bytes + PREFIX6_BYTES, 0, sizeof(addr.bytes) - PREFIX6_BYTES);
    ip_print(&addr, out);
}

static struct origin *find(const struct ctl_lockout *lockout, const char *key)
{
    return hashmap_gets(&lockout->by_key, key);
}

/* ---------- counting ---------- */

static void forget(struct ctl_lockout *lockout, struct origin *origin)
{
    hashmap_remove(&lockout->by_key, origin->key, strlen(origin->key));
    list_remove(&origin->link);
    free(origin);
}

static bool is_stale(const struct origin *origin, uint64_t now_us)
{
    return now_us - origin->last_us > CTL_LOCKOUT_FORGET_S * S_US;
}

static bool make_room(struct ctl_lockout *lockout, uint64_t now_us)
{
    if (hashmap_len(&lockout->by_key) < CTL_LOCKOUT_ORIGINS)
        return true;
    bool has_suspects = !list_is_empty(&lockout->suspects);
    struct origin *oldest = LIST_FIRST(has_suspects ? &lockout->suspects : &lockout->blocked, struct origin, link);
    if (!has_suspects && !is_stale(oldest, now_us))
        return false;
    forget(lockout, oldest);
    return true;
}

static struct origin *add(struct ctl_lockout *lockout, const char *key, uint64_t now_us)
{
    if (!make_room(lockout, now_us))
        return NULL;
    struct origin *origin = xcalloc(1, sizeof(*origin));
    snprintf(origin->key, sizeof(origin->key), "%s", key);
    list_init(&origin->link);
    hashmap_puts(&lockout->by_key, origin->key, origin);
    return origin;
}

void ctl_lockout_count(struct ctl_lockout *lockout, struct slice origin_text, uint64_t now_us)
{
    char key[KEY_MAX];
    key_of(origin_text, key);
    struct origin *origin = find(lockout, key);
    if (origin == NULL && (origin = add(lockout, key, now_us)) == NULL)
        return;
    if (is_stale(origin, now_us))
        origin->num_failures = 0;
    ++origin->num_failures;
    origin->last_us = now_us;
    bool is_blocked = origin->num_failures > CTL_LOCKOUT_FREE;
    if (is_blocked) {
        unsigned doublings = MIN(origin->num_failures - CTL_LOCKOUT_FREE - 1, 20u);
        origin->blocked_until_us = now_us + MIN((uint64_t)1 << doublings, (uint64_t)CTL_LOCKOUT_MAX_S) * S_US;
    }
    list_remove(&origin->link);
    list_push(is_blocked ? &lockout->blocked : &lockout->suspects, &origin->link);
}

unsigned ctl_lockout_wait_s(const struct ctl_lockout *lockout, struct slice origin_text, uint64_t now_us)
{
    char key[KEY_MAX];
    key_of(origin_text, key);
    const struct origin *origin = find(lockout, key);
    if (origin == NULL || origin->blocked_until_us <= now_us)
        return 0;
    return (unsigned)((origin->blocked_until_us - now_us + S_US - 1) / S_US);
}

/* ---------- life ---------- */

struct ctl_lockout *ctl_lockout_new(void)
{
    struct ctl_lockout *lockout = xcalloc(1, sizeof(*lockout));
    list_init(&lockout->suspects);
    list_init(&lockout->blocked);
    return lockout;
}

struct ctl_lockout *ctl_lockout_free(struct ctl_lockout *lockout)
{
    if (lockout == NULL)
        return NULL;
    LIST_FOR_SAFE(origin, &lockout->suspects, struct origin, link)
    forget(lockout, origin);
    LIST_FOR_SAFE(blocked, &lockout->blocked, struct origin, link)
    forget(lockout, blocked);
    hashmap_clear(&lockout->by_key);
    free(lockout);
    return NULL;
}
