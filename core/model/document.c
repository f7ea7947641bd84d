/* Compiled documents: sets of resources, their sums, wire form, and the changes between them.
 *
 * A resource's canonical text is its identity: texts are compared and summed, never trees. A document made by
 * cfg_document_add() has texts only; one that was parsed has the trees as well. */
#include "core/model/field.h"
#include "core/model/snapshot.h"

#include <stdatomic.h>
#include <stdio.h>

enum { FIRST_RESOURCES = 32 };

/* Kind, name and canonical spec of a resource, one after the other. */
struct cfg_texts {
    atomic_uint refs;
    char bytes[];
};

struct cfg_document *cfg_document_new(void)
{
    struct cfg_document *doc = xcalloc(1, sizeof(*doc));
    doc->arena = arena_new(0);
    return doc;
}

static struct cfg_texts *texts_ref(struct cfg_texts *texts)
{
    atomic_fetch_add_explicit(&texts->refs, 1, memory_order_relaxed);
    return texts;
}

static void texts_unref(struct cfg_texts *texts)
{
    if (atomic_fetch_sub_explicit(&texts->refs, 1, memory_order_acq_rel) == 1)
        free(texts);
}

struct cfg_document *cfg_document_free(struct cfg_document *doc)
{
    if (doc == NULL)
        return NULL;
    for (uint32_t i = 0; i < doc->num; ++i)
        texts_unref(doc->resources[i].texts);
    arena_free(doc->arena);
    free(doc->resources);
    free(doc);
    return NULL;
}

/* ---- resources ---- */

static uint64_t resource_sum(struct slice kind, struct slice name, struct slice text)
{
    uint64_t sum = hash_stable(0, kind.base, kind.len);
    sum = hash_stable(sum, name.base, name.len);
    return hash_stable(sum, text.base, text.len);
}

static struct cfg_resource *append(struct cfg_document *doc)
{
    if (doc->num == doc->cap) {
        doc->cap = doc->cap != 0 ? doc->cap * 2 : FIRST_RESOURCES;
        doc->resources = xrealloc(doc->resources, doc->cap * sizeof(*doc->resources));
    }
    return &doc->resources[doc->num++];
}

static struct slice canonical(struct arena *arena, const struct json *spec)
{
    struct strbuf text = STRBUF_INIT;
    json_write_canonical(&text, spec);
    struct slice copy = {arena_strndup(arena, text.base, text.len), text.len};
    strbuf_clear(&text);
    return copy;
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

static struct cfg_resource *add(struct cfg_document *doc, struct slice kind, struct slice name, uint64_t rev, const struct json *spec)
{
    struct strbuf text = STRBUF_INIT;
    json_write_canonical(&text, spec);
    struct cfg_texts *texts = xmalloc(sizeof(*texts) + kind.len + name.len + text.len + 3);
    char *at = texts->bytes;
    texts->refs = 1;
    struct cfg_resource *resource = append(doc);
    *resource = (struct cfg_resource){.kind = put(&at, kind), .name = put(&at, name), .rev = rev, .text = put(&at, strbuf_slice(&text)), .texts = texts};
    resource->sum = resource_sum(resource->kind, resource->name, resource->text);
    strbuf_clear(&text);
    return resource;
}

void cfg_document_add(struct cfg_document *doc, struct slice kind, struct slice name, uint64_t rev,
                      const struct json *spec)
{
    (void)add(doc, kind, name, rev, spec);
}

void cfg_document_add_shared(struct cfg_document *doc, const struct cfg_resource *resource)
{
    struct cfg_resource *copy = append(doc);
    *copy = *resource;
    copy->spec = NULL;
    (void)texts_ref(copy->texts);
}

static int compare_slices(struct slice a, struct slice b)
{
    size_t len = MIN(a.len, b.len);
    int order = len != 0 ? memcmp(a.base, b.base, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const struct cfg_resource *a, struct slice kind, struct slice name)
{
    int order = compare_slices(a->kind, kind);
    return order != 0 ? order : compare_slices(a->name, name);
}

static int compare_resources(const void *a, const void *b)
{
    const struct cfg_resource *right = b;
    return compare_keys(a, right->kind, right->name);
}

int cfg_document_seal(struct cfg_document *doc, struct err *err)
{
    if (doc->num != doc->cap && doc->num != 0) { /* it will not grow any more, and may be kept for long */
        doc->resources = xrealloc(doc->resources, doc->num * sizeof(*doc->resources));
        doc->cap = doc->num;
    }
    if (doc->num != 0)
        qsort(doc->resources, doc->num, sizeof(*doc->resources), compare_resources);
    for (uint32_t i = 1; i < doc->num; ++i) {
        const struct cfg_resource *r = &doc->resources[i];
        if (compare_resources(&doc->resources[i - 1], r) == 0)
            return err_set(err, ERR_INVALID, "%.*s '%.*s' is there twice", (int)r->kind.len, r->kind.base,
                           (int)r->name.len, r->name.base);
    }
    return 0;
}

uint64_t cfg_document_sum(const struct cfg_document *doc)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < doc->num; ++i)
        sum += doc->resources[i].sum; /* addition does not mind the order, and removal is subtraction */
    return sum;
}

const struct cfg_resource *cfg_document_find(const struct cfg_document *doc, struct slice kind,
                                             struct slice name)
{
    uint32_t low = 0, high = doc->num;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_keys(&doc->resources[middle], kind, name);
        if (order == 0)
            return &doc->resources[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- wire form ---- */

static void write_key(struct strbuf *out, const struct cfg_resource *resource)
{
    strbuf_adds(out, "{\"kind\":");
    json_quote(out, resource->kind);
    strbuf_adds(out, ",\"name\":");
    json_quote(out, resource->name);
}

static void write_resource(struct strbuf *out, const struct cfg_resource *resource, struct slice text)
{
    write_key(out, resource);
    strbuf_addf(out, ",\"rev\":%llu,\"spec\":", (unsigned long long)resource->rev);
    strbuf_add_slice(out, text);
    strbuf_addc(out, '}');
}

/* A certificate's text without its key; other resources' own. */
static struct slice public_text(struct arena *arena, const struct cfg_resource *resource)
{
    if (!slice_is(resource->kind, "certificate"))
        return resource->text;
    struct json *spec = json_parse(arena, resource->text, NULL);
    if (spec == NULL || !json_remove(spec, "keyPem"))
        return resource->text;
    return canonical(arena, spec);
}

void cfg_document_write(const struct cfg_document *doc, bool without_secrets, struct strbuf *out)
{
    struct arena *scratch = arena_new(0);
    uint64_t sum = 0;
    strbuf_addf(out, "{\"epoch\":\"%016llx\",\"rev\":%llu,\"resources\":[", (unsigned long long)doc->epoch,
                (unsigned long long)doc->rev);
    for (uint32_t i = 0; i < doc->num; ++i) {
        const struct cfg_resource *r = &doc->resources[i];
        struct slice text = without_secrets ? public_text(scratch, r) : r->text;
        if (i != 0)
            strbuf_addc(out, ',');
        write_resource(out, r, text);
        sum += resource_sum(r->kind, r->name, text); /* of what is written: the reader adds up the same */
    }
    strbuf_addf(out, "],\"sum\":\"%016llx\"}", (unsigned long long)sum);
    arena_free(scratch);
}

/* ---- reading it ---- */

struct wire_resource {
    struct slice kind, name;
    uint64_t rev;
    const struct json *spec;
};

struct wire_document {
    struct slice epoch, sum;
    uint64_t rev;
    struct wire_resource *resources;
    uint32_t num_resources;
};

struct wire_delta {
    uint64_t from, to;
    struct slice sum;
    struct wire_resource *upsert, *delete;
    uint32_t num_upsert, num_delete;
};

static bool is_hex64(struct slice text)
{
    return text.len == 16 && strspn(text.base, "0123456789abcdef") == 16;
}

static const struct field_format format_hex64 = {"^[0-9a-f]{16}$", "must be 16 hexadecimal digits", is_hex64};

#define T struct wire_resource
static const struct field resource_fields[] = {
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 32},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 1024},
    {"rev", FIELD_U64, AT(rev), FIELD_NEEDED},
    {"spec", FIELD_RAW, AT(spec), FIELD_NEEDED},
};
static const struct field_schema resource_schema = FIELD_SCHEMA(resource_fields);
static const struct field key_fields[] = {
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 32},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 1024},
};
static const struct field_schema key_schema = FIELD_SCHEMA(key_fields);
#undef T

#define T struct wire_document
static const struct field document_fields[] = {
    {"epoch", FIELD_STRING, AT(epoch), FIELD_NEEDED, .format = &format_hex64},
    {"rev", FIELD_U64, AT(rev), FIELD_NEEDED},
    {"resources", FIELD_LIST, LIST_AT(resources), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &resource_schema},
    {"sum", FIELD_STRING, AT(sum), FIELD_NEEDED, .format = &format_hex64},
};
static const struct field_schema document_schema = FIELD_SCHEMA(document_fields);
#undef T

#define T struct wire_delta
static const struct field delta_fields[] = {
    {"from", FIELD_U64, AT(from), FIELD_NEEDED},
    {"to", FIELD_U64, AT(to), FIELD_NEEDED},
    {"upsert", FIELD_LIST, LIST_AT(upsert), .item = FIELD_OBJECT, .schema = &resource_schema},
    {"delete", FIELD_LIST, LIST_AT(delete), .item = FIELD_OBJECT, .schema = &key_schema},
    {"sum", FIELD_STRING, AT(sum), FIELD_NEEDED, .format = &format_hex64},
};
static const struct field_schema delta_schema = FIELD_SCHEMA(delta_fields);
#undef T

static const struct field_options strict = {.unknown = FIELD_UNKNOWN_STRICT};

static void *decode(const struct field_schema *schema, struct json *tree, struct arena *arena,
                    struct err *err)
{
    struct field_report report;
    field_report_init(&report, arena);
    void *out = field_decode(schema, tree, "", &strict, arena, &report);
    return field_report_err(&report, err) == 0 ? out : NULL;
}

static struct cfg_document *verify(struct cfg_document *doc, struct slice sum, struct err *err)
{
    if (cfg_document_seal(doc, err) == 0) {
        if (cfg_document_sum(doc) == strtoull(sum.base, NULL, 16))
            return doc;
        (void)err_set(err, ERR_CONFLICT, "the sum of the resources is %016llx, not %.*s",
                      (unsigned long long)cfg_document_sum(doc), (int)sum.len, sum.base);
    }
    return cfg_document_free(doc);
}

struct cfg_document *cfg_document_parse(struct slice text, struct err *err)
{
    struct cfg_document *doc = cfg_document_new();
    struct json *tree = json_parse(doc->arena, text, err);
    struct wire_document *wire = tree != NULL ? decode(&document_schema, tree, doc->arena, err) : NULL;
    if (wire == NULL)
        return cfg_document_free(doc);
    doc->epoch = strtoull(wire->epoch.base, NULL, 16);
    doc->rev = wire->rev;
    for (uint32_t i = 0; i < wire->num_resources; ++i) {
        const struct wire_resource *r = &wire->resources[i];
        add(doc, r->kind, r->name, r->rev, r->spec)->spec = (struct json *)r->spec;
    }
    return verify(doc, wire->sum, err);
}

/* ---- differences ---- */

struct change_list {
    struct strbuf upserts, deletes;
};

static void add_upsert(struct change_list *changes, const struct cfg_resource *resource)
{
    if (changes->upserts.len != 0)
        strbuf_addc(&changes->upserts, ',');
    write_resource(&changes->upserts, resource, resource->text);
}

static void add_delete(struct change_list *changes, const struct cfg_resource *resource)
{
    if (changes->deletes.len != 0)
        strbuf_addc(&changes->deletes, ',');
    write_key(&changes->deletes, resource);
    strbuf_addc(&changes->deletes, '}');
}

static bool is_same(const struct cfg_resource *a, const struct cfg_resource *b)
{
    return a->texts == b->texts || (a->sum == b->sum && slice_eq(a->text, b->text));
}

/* Both are sorted: one walk along the two. */
static void collect_changes(const struct cfg_document *from, const struct cfg_document *to,
                            struct change_list *changes)
{
    uint32_t i = 0, j = 0;
    while (i < from->num || j < to->num) {
        int order = i == from->num ? 1
                    : j == to->num ? -1
                                   : compare_resources(&from->resources[i], &to->resources[j]);
        if (order < 0)
            add_delete(changes, &from->resources[i++]);
        else if (order > 0)
            add_upsert(changes, &to->resources[j++]);
        else if (!is_same(&from->resources[i++], &to->resources[j++]))
            add_upsert(changes, &to->resources[j - 1]);
    }
}

bool cfg_document_diff(const struct cfg_document *from, const struct cfg_document *to, struct strbuf *out)
{
    struct change_list changes = {STRBUF_INIT, STRBUF_INIT};
    collect_changes(from, to, &changes);
    bool is_different = changes.upserts.len != 0 || changes.deletes.len != 0;
    if (is_different) {
        strbuf_addf(out, "{\"from\":%llu,\"to\":%llu,\"upsert\":[", (unsigned long long)from->rev,
                    (unsigned long long)to->rev);
        strbuf_add_slice(out, strbuf_slice(&changes.upserts));
        strbuf_adds(out, "],\"delete\":[");
        strbuf_add_slice(out, strbuf_slice(&changes.deletes));
        strbuf_addf(out, "],\"sum\":\"%016llx\"}", (unsigned long long)cfg_document_sum(to));
    }
    strbuf_clear(&changes.upserts);
    strbuf_clear(&changes.deletes);
    return is_different;
}

static void inherit(struct cfg_resource *now, const struct cfg_resource *old)
{
    if (now->texts != old->texts) {
        texts_unref(now->texts);
        now->texts = texts_ref(old->texts);
    }
    now->kind = old->kind;
    now->name = old->name;
    now->text = old->text;
    now->rev = old->rev;
}

/* Both are sorted: one walk along the two. */
void cfg_document_inherit(struct cfg_document *doc, const struct cfg_document *before)
{
    uint32_t j = 0, num_before = before != NULL ? before->num : 0;
    for (uint32_t i = 0; i < doc->num; ++i) {
        struct cfg_resource *now = &doc->resources[i];
        int order = -1;
        while (j < num_before && (order = compare_resources(&before->resources[j], now)) < 0)
            ++j;
        if (j < num_before && order == 0 && is_same(now, &before->resources[j]))
            inherit(now, &before->resources[j]);
        else
            now->rev = doc->rev;
    }
}

static int add_upserts(struct cfg_document *doc, const struct wire_delta *delta, struct err *err)
{
    for (uint32_t i = 0; i < delta->num_upsert; ++i) {
        const struct wire_resource *r = &delta->upsert[i];
        cfg_document_add(doc, r->kind, r->name, r->rev, r->spec);
    }
    return cfg_document_seal(doc, err);
}

static struct slice delete_key(struct arena *arena, struct slice kind, struct slice name)
{
    const char *key = arena_printf(arena, "%.*s %.*s", (int)kind.len, kind.base, (int)name.len, name.base);
    return slice_of(key);
}

static void add_kept(struct cfg_document *doc, const struct cfg_document *base,
                     const struct wire_delta *delta, struct arena *scratch)
{
    struct hashmap gone = HASHMAP_INIT;
    struct cfg_document upserted = *doc; /* as it is before the additions: sorted */
    for (uint32_t i = 0; i < delta->num_delete; ++i) {
        struct slice key = delete_key(scratch, delta->delete[i].kind, delta->delete[i].name);
        (void)hashmap_put(&gone, key.base, key.len, &delta->delete[i]);
    }
    for (uint32_t i = 0; i < base->num; ++i) {
        const struct cfg_resource *r = &base->resources[i];
        struct slice key = hashmap_len(&gone) != 0 ? delete_key(scratch, r->kind, r->name) : SLICE("");
        upserted.resources = doc->resources; /* append() may have moved them */
        if (hashmap_get(&gone, key.base, key.len) == NULL &&
            cfg_document_find(&upserted, r->kind, r->name) == NULL)
            cfg_document_add_shared(doc, r);
    }
    hashmap_clear(&gone);
}

struct cfg_document *cfg_document_patch(const struct cfg_document *base, const struct json *delta,
                                        struct err *err)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new(0);
    struct wire_delta *wire = decode(&delta_schema, json_clone(scratch, delta), scratch, err);
    if (wire == NULL)
        return NULL;
    if (wire->from != base->rev) {
        (void)err_set(err, ERR_CONFLICT, "the delta is from revision %llu, this is %llu",
                      (unsigned long long)wire->from, (unsigned long long)base->rev);
        return NULL;
    }
    struct cfg_document *doc = cfg_document_new();
    doc->epoch = base->epoch;
    doc->rev = wire->to;
    if (add_upserts(doc, wire, err) != 0)
        return cfg_document_free(doc);
    add_kept(doc, base, wire, scratch);
    return verify(doc, wire->sum, err);
}
