/* POST /selvedge/v1/apply: many documents, one transaction, one revision.
 *
 * Each document is applied as by server-side apply (api_fields.c): fields left out since the last time go, fields of other
 * managers stay. With owner=NAME everything applied gets the label selvedge.dev/owner=NAME; with prune=true as well, what
 * has the label but is not among the documents is deleted. Namespaces are left. */
#include "gateway/control/api_internal.h"

#include "core/model/format.h"

#define OWNER_LABEL "selvedge.dev/owner"

struct apply {
    struct api_bulk bulk; /* first */
    struct slice default_ns, owner;
    bool is_pruning;
    struct json **documents; /* parsed by the first plan */
    size_t num_documents;
    bool is_parsed;
};

/* The item, with `err` set when the document cannot even be placed. */
static struct api_item *place(struct apply *self, struct json *document)
{
    struct api_bulk *bulk = &self->bulk;
    struct err err = ERR_INIT;
    const struct kind *kind = document->type == JSON_OBJECT ? kind_of(document, &err) : NULL;
    struct slice name = json_slice(json_find(document, "metadata", "name", NULL)), ns = json_slice(json_find(document, "metadata", "namespace", NULL));
    if (kind == NULL && err.code == ERR_NONE)
        err_set(&err, ERR_BAD_REQUEST, "an object is expected, not %s", json_type_name(document->type));
    if (kind == NULL) { /* of no kind: told under the first one's columns */
        struct api_item *item = api_bulk_add(bulk, kind_get(KIND_NAMESPACE), SLICE(""), name);
        item->err = err;
        item->unplaced = document;
        return item;
    }
    struct api_item *item = api_bulk_add(bulk, kind, kind->is_namespaced ? (ns.len != 0 ? ns : self->default_ns) : SLICE(""), name);
    struct slice api_version = json_slice(json_get(document, "apiVersion"));
    for (const char *const *version = kind->versions; *version != NULL; ++version)
        if (slice_ends(api_version, slice_of(*version)) && slice_eq(kind_api_version(kind, *version, bulk->call->arena), api_version))
            item->change.target.version = *version;
    if (name.len == 0)
        err_set(&item->err, ERR_INVALID, "metadata.name: Required value: what is applied needs a name");
    else
        (void)api_require(bulk->call, kind->id == KIND_NODE ? CTL_ROLE_ADMIN : CTL_ROLE_EDITOR, &item->change.target, "apply", &item->err); /* stays in the item */
    return item;
}

static void add_label(struct apply *self, struct json *document)
{
    struct arena *arena = self->bulk.call->arena;
    struct json *meta = json_get(document, "metadata");
    struct json *labels = json_get(meta, "labels");
    if (labels == NULL || labels->type == JSON_NULL)
        labels = json_set(arena, meta, "labels", json_new_object(arena));
    if (labels->type == JSON_OBJECT)
        json_set(arena, labels, OWNER_LABEL, json_new_string(arena, self->owner));
}

static bool is_among(const struct apply *self, const struct ctl_key *key, const struct api_item *but)
{
    for (size_t i = 0; i < self->bulk.num_items; ++i) {
        struct ctl_key other = api_key(&self->bulk.items[i].change.target);
        if (&self->bulk.items[i] != but && ctl_key_compare(&other, key) == 0)
            return true;
    }
    return false;
}

static void apply_document(struct apply *self, struct api_item *item, const struct json *document)
{
    struct api_bulk *bulk = &self->bulk;
    struct api_change *change = &item->change;
    struct arena *arena = bulk->call->arena;
    struct json *applied = json_clone(arena, document);
    struct ctl_key key = api_key(&change->target);
    struct ctl_object *object = api_bulk_find(bulk, &key);
    if (self->owner.len != 0)
        add_label(self, applied);
    json_remove(applied, "status"); /* as exported objects carry it */
    if (change->target.kind->prepare != NULL)
        change->target.kind->prepare(applied, arena);
    if (object != NULL) {
        change->old = ctl_object_tree(arena, object);
        change->old_rev = object->rev;
    }
    (void)api_fields_apply(change, applied, &item->err); /* stays in the item */
}

static void check_namespace(struct apply *self, struct api_item *item)
{
    const struct api_target *target = &item->change.target;
    struct ctl_key key = {api_kind_key(kind_get(KIND_NAMESPACE)), SLICE(""), target->ns};
    if (item->err.code != ERR_NONE || !target->kind->is_namespaced || api_bulk_find(&self->bulk, &key) != NULL || is_among(self, &key, NULL))
        return;
    err_set(&item->err, ERR_NOT_FOUND, "namespaces \"%.*s\" not found: create it, or apply it together with this", (int)target->ns.len, target->ns.base);
}

static bool has_owner(const struct apply *self, const struct ctl_object *object)
{
    for (size_t i = 0; i < object->num_labels; ++i)
        if (slice_is(object->labels[i].key, OWNER_LABEL))
            return slice_eq(object->labels[i].value, self->owner);
    return false;
}

static void prune(struct apply *self)
{
    struct api_bulk *bulk = &self->bulk;
    struct hashmap kept = HASHMAP_INIT; /* "kind ns name" of what was given */
    struct arena *arena = bulk->call->arena;
    for (size_t i = 0; i < bulk->num_items; ++i) {
        struct ctl_key key = api_key(&bulk->items[i].change.target);
        char *text = arena_printf(arena, "%.*s %.*s %.*s", (int)key.kind.len, key.kind.base, (int)key.ns.len, key.ns.base, (int)key.name.len, key.name.base);
        hashmap_puts(&kept, text, bulk);
    }
    for (size_t i = 0; i < bulk->view->num; ++i) {
        struct ctl_object *object = bulk->view->objects[i];
        const struct kind *kind = api_kind_of_key(object->key.kind);
        if (kind == NULL || kind->id == KIND_NAMESPACE || !has_owner(self, object))
            continue;
        char *text = arena_printf(arena, "%.*s %.*s %.*s", (int)object->key.kind.len, object->key.kind.base, (int)object->key.ns.len, object->key.ns.base,
                                  (int)object->key.name.len, object->key.name.base);
        if (hashmap_gets(&kept, text) != NULL)
            continue;
        struct api_item *item = api_bulk_add(bulk, kind, arena_slice(arena, object->key.ns), arena_slice(arena, object->key.name));
        item->action = "pruned";
        item->write = (struct ctl_write){.op = CTL_DELETE, .key = api_key(&item->change.target), .expect_rev = object->rev};
        if (api_require(bulk->call, CTL_ROLE_EDITOR, &item->change.target, "delete", &item->err) != 0)
            ++bulk->num_failed;
    }
    hashmap_clear(&kept);
}

/* Twice the same object is a mistake in the files, whichever of the two was meant. */
static void check_duplicates(struct apply *self)
{
    struct hashmap seen = HASHMAP_INIT;
    struct arena *arena = self->bulk.call->arena;
    for (size_t i = 0; i < self->bulk.num_items; ++i) {
        struct api_item *item = &self->bulk.items[i];
        struct ctl_key key = api_key(&item->change.target);
        char *text = arena_printf(arena, "%.*s %.*s %.*s", (int)key.kind.len, key.kind.base, (int)key.ns.len, key.ns.base != NULL ? key.ns.base : "",
                                  (int)key.name.len, key.name.base != NULL ? key.name.base : "");
        if (item->err.code == ERR_NONE && hashmap_puts(&seen, text, item) != NULL)
            err_set(&item->err, ERR_INVALID, "metadata.name: Duplicate value: the object is given twice");
    }
    hashmap_clear(&seen);
}

static int plan(struct api_bulk *bulk, struct err *err)
{
    struct apply *self = CONTAINER_OF(bulk, struct apply, bulk);
    if (!self->is_parsed && api_body_documents(bulk->call, &self->documents, &self->num_documents, err) != 0)
        return -1;
    self->is_parsed = true;
    if (self->is_pruning && self->num_documents == 0) /* an empty folder, a file that could not be read: hardly meant */
        return err_set(err, ERR_BAD_REQUEST, "there are no objects in the request: with prune, all that the owner has would be deleted");
    for (size_t i = 0; i < self->num_documents; ++i)
        (void)place(self, self->documents[i]); /* failures stay in the item */
    check_duplicates(self);
    for (size_t i = 0; i < self->num_documents; ++i) {
        struct api_item *item = &bulk->items[i];
        check_namespace(self, item);
        if (item->err.code == ERR_NONE)
            apply_document(self, item, self->documents[i]);
        api_bulk_settle(bulk, item);
    }
    if (self->is_pruning)
        prune(self);
    return 0;
}

void api_bulk_apply(struct ctl_call *call)
{
    struct apply *self = arena_zalloc(call->arena, sizeof(*self));
    struct err err = ERR_INIT;
    struct slice ns = ctl_call_param(call, "namespace");
    self->bulk.call = call;
    self->bulk.plan = plan;
    self->bulk.verb = "apply";
    self->bulk.about = "selvedge/v1/apply";
    self->default_ns = ns.len != 0 ? ns : SLICE("default");
    self->owner = ctl_call_param(call, "owner");
    self->is_pruning = slice_is(ctl_call_param(call, "prune"), "true");
    if (self->is_pruning && self->owner.len == 0)
        err_set(&err, ERR_BAD_REQUEST, "prune: only what an owner applied is pruned: owner=NAME is missing");
    else if (self->owner.len != 0 && !format_label_value.matches(self->owner))
        err_set(&err, ERR_BAD_REQUEST, "owner: %s", format_label_value.message);
    if (err.code != ERR_NONE) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    api_bulk_start(&self->bulk);
}
