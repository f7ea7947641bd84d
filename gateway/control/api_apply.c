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
    struct hashmap given; /* the keys of the documents, as key_text() has them; while planning */
};

static struct slice key_text(struct arena *arena, const struct ctl_key *key)
{
    const struct slice parts[] = {key->kind, key->ns, key->name};
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(parts); ++i) {
        strbuf_add_slice(&text, parts[i]);
        strbuf_addc(&text, ' ');
    }
    struct slice kept = arena_slice(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return kept;
}

static bool is_given(const struct apply *self, const struct ctl_key *key)
{
    struct slice text = key_text(self->bulk.call->arena, key);
    return hashmap_get(&self->given, text.base, text.len) != NULL;
}

/* Letting machines in and out is for administrators, by whatever way. */
static int require(struct api_bulk *bulk, struct api_item *item, const char *verb)
{
    enum ctl_role role = item->change.target.kind->id == KIND_NODE ? CTL_ROLE_ADMIN : CTL_ROLE_EDITOR;
    return api_require(bulk->call, role, &item->change.target, verb, &item->err);
}

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
        (void)require(bulk, item, "apply"); /* stays in the item */
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
    if (item->err.code != ERR_NONE || !target->kind->is_namespaced || api_bulk_find(&self->bulk, &key) != NULL || is_given(self, &key))
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
    struct arena *arena = bulk->call->arena;
    for (size_t i = 0; i < bulk->view->num; ++i) {
        struct ctl_object *object = bulk->view->objects[i];
        const struct kind *kind = api_kind_of_key(object->key.kind);
        if (kind == NULL || kind->id == KIND_NAMESPACE || !has_owner(self, object))
            continue;
        if (is_given(self, &object->key))
            continue;
        struct api_item *item = api_bulk_add(bulk, kind, arena_slice(arena, object->key.ns), arena_slice(arena, object->key.name));
        item->action = "pruned";
        item->write = (struct ctl_write){.op = CTL_DELETE, .key = api_key(&item->change.target), .expect_rev = object->rev};
        if (require(bulk, item, "delete") != 0)
            ++bulk->num_failed;
    }
}

/* Twice the same object is a mistake in the files, whichever of the two was meant. */
static void note_given(struct apply *self, struct api_item *item)
{
    struct ctl_key key = api_key(&item->change.target);
    struct slice text = key_text(self->bulk.call->arena, &key);
    if (item->unplaced == NULL && hashmap_put(&self->given, text.base, text.len, item) != NULL && item->err.code == ERR_NONE)
        err_set(&item->err, ERR_INVALID, "metadata.name: Duplicate value: the object is given twice");
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
        note_given(self, place(self, self->documents[i])); /* failures stay in the item */
    for (size_t i = 0; i < self->num_documents; ++i) {
        struct api_item *item = &bulk->items[i];
        check_namespace(self, item);
        if (item->err.code == ERR_NONE)
            apply_document(self, item, self->documents[i]);
        api_bulk_settle(bulk, item);
    }
    if (self->is_pruning)
        prune(self);
    hashmap_clear(&self->given);
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
