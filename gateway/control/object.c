/* Objects of the cache: one block each, with what lists and selectors need taken out of the text once. */
#include "gateway/control/cache.h"

#include <assert.h>
#include <stdatomic.h>

/* ---------- where metadata begins ---------- */

static const char *skip_string(const char *at, const char *end)
{
    for (++at; at < end && *at != '"'; ++at)
        if (*at == '\\')
            ++at;
    return at < end ? at + 1 : end;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        ++at;
    return at;
}

/* The "{" of the top-level member "metadata", as an offset just after it; 0 when there is none. The text is
 * JSON: it has been parsed before. */
static uint32_t find_metadata(struct slice json)
{
    const char *at = json.base, *end = json.base + json.len;
    for (unsigned depth = 0; at < end;) {
        const char *from = at;
        if (*at != '"') {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            ++at;
            continue;
        }
        at = skip_string(at, end);
        if (depth != 1 || !slice_is(slice_make(from, (size_t)(at - from)), "\"metadata\""))
            continue;
        at = skip_blanks(at, end);
        if (at == end || *at != ':')
            continue;
        at = skip_blanks(at + 1, end);
        return at < end && *at == '{' ? (uint32_t)(at + 1 - json.base) : 0;
    }
    return 0;
}

/* ---------- making ---------- */

static int compare_labels(const void *a, const void *b)
{
    struct slice left = ((const struct ctl_label *)a)->key, right = ((const struct ctl_label *)b)->key;
    int order = memcmp(left.base, right.base, MIN(left.len, right.len));
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

static struct slice put(char **at, struct slice text)
{
    struct slice copy = {*at, text.len};
    if (text.len != 0)
        memcpy(*at, text.base, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static size_t measure(const struct json *labels, size_t *ret_num)
{
    size_t len = 0;
    *ret_num = 0;
    JSON_FOR(label, labels)
    {
        if (label->type == JSON_STRING) {
            ++*ret_num;
            len += label->key.len + label->text.len + 2;
        }
    }
    return len + *ret_num * sizeof(struct ctl_label);
}

static void put_labels(struct ctl_object *object, const struct json *labels, char **at)
{
    size_t num = 0;
    JSON_FOR(label, labels)
    if (label->type == JSON_STRING)
        object->labels[num++] = (struct ctl_label){put(at, label->key), put(at, label->text)};
    qsort(object->labels, num, sizeof(*object->labels), compare_labels);
    object->num_labels = num;
}

static struct ctl_object *build(const struct ctl_key *key, uint64_t rev, struct slice json,
                                const struct json *metadata)
{
    const struct json *labels = json_get(metadata, "labels");
    struct slice uid = json_slice(json_get(metadata, "uid"));
    if (labels != NULL && labels->type != JSON_OBJECT)
        labels = NULL;
    size_t num_labels, texts = key->kind.len + key->ns.len + key->name.len + json.len + uid.len + 5;
    texts += measure(labels, &num_labels);
    struct ctl_object *object = xmalloc(sizeof(*object) + texts);
    *object = (struct ctl_object){.num_refs = 1,
                                  .rev = rev,
                                  .metadata_at = find_metadata(json),
                                  .generation = json_int_or(json_get(metadata, "generation"), 0),
                                  .is_deleting = json_get(metadata, "deletionTimestamp") != NULL};
    object->labels = (struct ctl_label *)(object + 1); /* first: the texts have no alignment */
    char *at = (char *)(object->labels + num_labels);
    object->key = (struct ctl_key){put(&at, key->kind), put(&at, key->ns), put(&at, key->name)};
    object->json = put(&at, json);
    object->uid = put(&at, uid);
    put_labels(object, labels, &at);
    return object;
}

struct ctl_object *ctl_object_new(const struct ctl_key *key, uint64_t rev, struct slice json)
{
    struct arena *arena = arena_new(2 * json.len);
    struct json *metadata = json_get(json_parse(arena, json, NULL), "metadata");
    struct ctl_object *object = build(key, rev, json, metadata);
    arena_free(arena);
    return object;
}

struct ctl_object *ctl_object_ref(struct ctl_object *object)
{
    atomic_fetch_add_explicit(&object->num_refs, 1, memory_order_relaxed);
    return object;
}

struct ctl_object *ctl_object_unref(struct ctl_object *object)
{
    if (object != NULL && atomic_fetch_sub_explicit(&object->num_refs, 1, memory_order_acq_rel) == 1)
        free(object);
    return NULL;
}

/* ---------- reading ---------- */

void ctl_object_write(struct strbuf *out, const struct ctl_object *object, uint64_t rev)
{
    size_t at = object->metadata_at;
    if (at == 0) {
        strbuf_add_slice(out, object->json);
        return;
    }
    const char *end = object->json.base + object->json.len;
    strbuf_add(out, object->json.base, at);
    strbuf_adds(out, "\"resourceVersion\":\"");
    strbuf_addu(out, rev);
    strbuf_addc(out, '"');
    if (*skip_blanks(object->json.base + at, end) != '}')
        strbuf_addc(out, ',');
    strbuf_add(out, object->json.base + at, object->json.len - at);
}

struct json *ctl_object_tree(struct arena *arena, const struct ctl_object *object)
{
    struct json *tree = json_parse(arena, object->json, NULL);
    struct json *metadata = json_get(tree, "metadata");
    if (metadata != NULL && metadata->type == JSON_OBJECT)
        json_set_str(arena, metadata, "resourceVersion",
                     arena_printf(arena, "%llu", (unsigned long long)object->rev));
    return tree != NULL && tree->type == JSON_OBJECT ? tree : NULL;
}

static int compare_slices(struct slice a, struct slice b)
{
    size_t len = MIN(a.len, b.len);
    int order = len != 0 ? memcmp(a.base, b.base, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

int ctl_key_compare(const struct ctl_key *a, const struct ctl_key *b)
{
    int order = compare_slices(a->kind, b->kind);
    if (order == 0)
        order = compare_slices(a->ns, b->ns);
    return order != 0 ? order : compare_slices(a->name, b->name);
}

bool ctl_filter_matches(const struct ctl_filter *filter, const struct ctl_object *object)
{
    return slice_eq(filter->kind, object->key.kind) &&
           (filter->ns.len == 0 || slice_eq(filter->ns, object->key.ns)) &&
           ctl_selector_matches(&filter->labels, object->labels, object->num_labels) &&
           ctl_field_selector_matches(&filter->fields, object->key.ns, object->key.name);
}
