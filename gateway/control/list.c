/* Lists and views of the cache. A page's continue token is a position and the revision of the first page. What has changed
 * since is undone for the pages that follow, so that all of them show that one revision: the ring of recent changes has what
 * there was before. When it does not reach back that far, the token has expired. */
#include "core/base/base64.h"
#include "gateway/control/cache_private.h"

#include <stdio.h>

/* ---------- continue tokens: "EPOCH REV NAMESPACE NAME", base64url ---------- */

struct position {
    uint64_t rev;
    struct slice ns, name; /* of the last object given */
};

static struct slice token_of(struct ctl_cache *cache, const struct position *position, struct arena *arena)
{
    struct strbuf plain = STRBUF_INIT, text = STRBUF_INIT;
    strbuf_addf(&plain, "%llx %llx ", (unsigned long long)ctl_store_epoch(cache->store),
                (unsigned long long)position->rev);
    strbuf_add_slice(&plain, position->ns);
    strbuf_addc(&plain, ' ');
    strbuf_add_slice(&plain, position->name);
    base64url_add(&text, strbuf_slice(&plain));
    struct slice token = arena_slice(arena, strbuf_slice(&text));
    strbuf_clear(&plain);
    strbuf_clear(&text);
    return token;
}

/* The part before the next blank, which is left out. -1 without one. */
static int cut(struct slice *rest, struct slice *ret)
{
    const char *blank = memchr(rest->base, ' ', rest->len);
    if (blank == NULL)
        return -1;
    *ret = slice_make(rest->base, (size_t)(blank - rest->base));
    *rest = slice_make(blank + 1, rest->len - ret->len - 1);
    return 0;
}

static int read_hex(struct slice text, uint64_t *ret)
{
    *ret = 0;
    if (text.len == 0 || text.len > 16)
        return -1;
    for (size_t i = 0; i < text.len; ++i) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, text.base[i]);
        if (digit == NULL || *digit == '\0')
            return -1;
        *ret = *ret << 4 | (uint64_t)(digit - digits);
    }
    return 0;
}

static int parse_token(struct ctl_cache *cache, struct slice token, struct arena *arena, struct position *ret,
                       struct err *err)
{
    char *plain = arena_alloc(arena, BASE64_DECODED_MAX(token.len));
    ssize_t len = token.len <= 4096 ? base64url_decode(token, plain) : -1;
    struct slice rest = {plain, len > 0 ? (size_t)len : 0}, epoch_text, rev_text;
    uint64_t epoch;
    if (len <= 0 || cut(&rest, &epoch_text) != 0 || cut(&rest, &rev_text) != 0 || cut(&rest, &ret->ns) != 0 ||
        read_hex(epoch_text, &epoch) != 0 || read_hex(rev_text, &ret->rev) != 0)
        return err_set(err, ERR_BAD_REQUEST, "continue: not a token of this server");
    ret->name = rest;
    if (epoch != ctl_store_epoch(cache->store) || ret->rev < cache->ring_floor || ret->rev > cache->rev)
        return err_set(err, ERR_GONE, "continue: the list has expired, begin again without the token");
    return 0;
}

/* ---------- a kind as it was ---------- */

struct undo {
    const struct ctl_key *key;
    struct ctl_object *before; /* NULL: it was not there */
    uint64_t index;            /* of the change */
};

static int compare_undos(const void *left, const void *right)
{
    const struct undo *a = left, *b = right;
    int order = ctl_key_compare(a->key, b->key);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* By key, what each object that has changed after `rev` was before its first change. */
static size_t collect_undos(const struct ctl_cache *cache, const struct cache_kind *kind, uint64_t rev, struct arena *arena, struct undo **ret)
{
    size_t num = 0, num_keys = 0;
    uint64_t from = cache->ring_end;
    while (from > cache->ring_start && cache_change_at(cache, from - 1)->rev > rev)
        --from;
    struct undo *undos = *ret = arena_alloc(arena, (size_t)(cache->ring_end - from + 1) * sizeof(*undos));
    for (uint64_t i = from; i < cache->ring_end; ++i) {
        const struct cache_change *change = cache_change_at(cache, i);
        if (change->kind == kind)
            undos[num++] = (struct undo){change->before != NULL ? &change->before->key : &change->after->key, change->before, i};
    }
    if (num > 1)
        qsort(undos, num, sizeof(*undos), compare_undos);
    for (size_t i = 0; i < num; ++i)
        if (i == 0 || ctl_key_compare(undos[i].key, undos[num_keys - 1].key) != 0)
            undos[num_keys++] = undos[i];
    return num_keys;
}

/* Objects are borrowed from the cache and its ring. */
static struct cache_kind kind_at(const struct ctl_cache *cache, const struct cache_kind *kind, uint64_t rev, struct arena *arena)
{
    struct undo *undos;
    size_t num_undos = collect_undos(cache, kind, rev, arena, &undos), at = 0;
    struct cache_kind past = {.name = kind->name, .objects = arena_alloc(arena, (kind->num + num_undos + 1) * sizeof(*past.objects))};
    for (size_t i = 0; i < kind->num || at < num_undos;) {
        int order = i == kind->num ? 1 : at == num_undos ? -1 : ctl_key_compare(&kind->objects[i]->key, undos[at].key);
        struct ctl_object *object = order < 0 ? kind->objects[i] : undos[at].before;
        if (object != NULL)
            past.objects[past.num++] = object;
        i += order <= 0;
        at += order >= 0;
    }
    return past;
}

/* ---------- lists ---------- */

static bool is_plain(const struct ctl_filter *filter)
{
    return filter->labels.num == 0 && filter->fields.num == 0;
}

/* One past the last object of the namespace, or of the kind. */
static size_t end_of(const struct cache_kind *kind, const struct ctl_filter *filter, size_t from)
{
    if (filter->ns.len == 0)
        return kind->num;
    size_t low = from, high = kind->num;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_eq(kind->objects[middle]->key.ns, filter->ns))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t begin_of(const struct cache_kind *kind, const struct ctl_filter *filter,
                       const struct position *after)
{
    if (after->name.len == 0)
        return cache_position(kind, filter->ns, SLICE(""));
    size_t at = cache_position(kind, after->ns, after->name);
    bool is_there = at < kind->num && slice_eq(kind->objects[at]->key.ns, after->ns) &&
                    slice_eq(kind->objects[at]->key.name, after->name);
    return is_there ? at + 1 : at;
}

static void fill(struct ctl_cache *cache, const struct cache_kind *kind, const struct ctl_filter *filter,
                 size_t limit, const struct position *after, struct arena *arena, struct ctl_list *ret)
{
    size_t at = begin_of(kind, filter, after);
    size_t end = end_of(kind, filter, at);
    ret->objects = arena_alloc(arena, MIN(end - at, limit != 0 ? limit : SIZE_MAX) * sizeof(*ret->objects));
    for (; at < end; ++at) {
        if (!ctl_filter_matches(filter, kind->objects[at]))
            continue;
        if (limit != 0 && ret->num == limit)
            break;
        ret->objects[ret->num++] = kind->objects[at];
    }
    if (at >= end)
        return;
    const struct ctl_key *last = &ret->objects[ret->num - 1]->key;
    ret->next = token_of(cache, &(struct position){ret->rev, last->ns, last->name}, arena);
    if (is_plain(filter))
        ret->remaining = (int64_t)(end - at);
}

int ctl_cache_list(struct ctl_cache *cache, const struct ctl_filter *filter, size_t limit, struct slice token,
                   struct arena *arena, struct ctl_list *ret, struct err *err)
{
    struct position after = {.rev = cache->rev};
    if (token.len != 0 && parse_token(cache, token, arena, &after, err) != 0)
        return -1;
    *ret = (struct ctl_list){.rev = after.rev, .next = SLICE(""), .remaining = -1};
    const struct cache_kind *kind = cache_kind_find(cache, filter->kind);
    struct cache_kind past;
    if (kind != NULL && after.rev < cache->rev) {
        past = kind_at(cache, kind, after.rev, arena);
        kind = &past;
    }
    if (kind != NULL)
        fill(cache, kind, filter, limit, &after, arena, ret);
    return 0;
}

/* ---------- views ---------- */

struct ctl_view *ctl_cache_view(const struct ctl_cache *cache)
{
    struct ctl_view *view = xmalloc(sizeof(*view));
    *view = (struct ctl_view){.rev = cache->rev, .objects = xmalloc(cache->len * sizeof(*view->objects))};
    for (size_t i = 0; i < cache->num_kinds; ++i)
        for (size_t j = 0; j < cache->kinds[i]->num; ++j)
            view->objects[view->num++] = ctl_object_ref(cache->kinds[i]->objects[j]);
    return view;
}

struct ctl_view *ctl_view_free(struct ctl_view *view)
{
    if (view == NULL)
        return NULL;
    for (size_t i = 0; i < view->num; ++i)
        ctl_object_unref(view->objects[i]);
    free(view->objects);
    free(view);
    return NULL;
}

/* First position whose kind is not before `kind`, or with `is_after` after it. */
static size_t bound(const struct ctl_view *view, struct slice kind, bool is_after)
{
    const struct ctl_key wanted = {.kind = kind};
    size_t low = 0, high = view->num;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ctl_key at = {.kind = view->objects[middle]->key.kind};
        int order = ctl_key_compare(&at, &wanted);
        if (order < 0 || (is_after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct ctl_object **ctl_view_kind(const struct ctl_view *view, struct slice kind, size_t *ret_num)
{
    size_t from = bound(view, kind, false);
    *ret_num = bound(view, kind, true) - from;
    return view->objects + from;
}
