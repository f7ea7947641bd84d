/* Who owns which field (metadata.managedFields), and server-side apply, which rests on it.
 *
 * A set of fields is a tree in Kubernetes' FieldsV1 form: {"f:spec":{"f:rules":{}}}; items of keyed lists are
 * {"k:{\"name\":\"a\"}":{".":{}, …}}; a node without children is one field. What a set holds is decided by the tables: keyed
 * lists go item by item, all other lists are one field.
 *
 * Apply: fields that the manager gave before and leaves out now are removed unless another owns them too; a field that
 * another manager owns is not overwritten without force. Objects that nobody applied carry no managedFields; with the
 * first apply, all that is there already is owned by "before-first-apply".
 *
 * Who went from kubectl's client-side apply to its server-side one goes on where they were, as in Kubernetes: what the first left
 * in its annotation and still stands counts as given by the second. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"
#include "core/base/json_index.h"

#define OLD_MANAGER "before-first-apply"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* ---------- sets ---------- */

static bool is_leaf(const struct json *set)
{
    return set->num == 0;
}

enum set_op { SET_BOTH, SET_WITHOUT };

/* What is in `a` and (BOTH) or but not (WITHOUT) in `b`. An empty object is a field ("f:labels":{}), but one of which nothing is
 * left where `b` has something inside. */
static struct json *combine(struct arena *arena, const struct json *a, const struct json *b, enum set_op op)
{
    struct json *out = json_new_object(arena);
    struct json_index others;
    json_index_init(&others, b);
    JSON_FOR(member, a)
    {
        const struct json *other = json_index_get(&others, member->key);
        if (other == NULL) {
            if (op == SET_WITHOUT)
                json_add_n(arena, out, member->key, json_clone(arena, member));
        } else if (is_leaf(member) || is_leaf(other)) {
            if (op == SET_BOTH ? is_leaf(member) == is_leaf(other) : !is_leaf(member))
                json_add_n(arena, out, member->key, json_clone(arena, member));
        } else {
            struct json *inner = combine(arena, member, other, op);
            if (inner->num != 0)
                json_add_n(arena, out, member->key, inner);
        }
    }
    json_index_clear(&others);
    return out;
}

static void add_all(struct arena *arena, struct json *set, const struct json *more)
{
    struct json_index owned;
    json_index_init(&owned, set);
    JSON_FOR(member, more)
    {
        struct json *own = json_index_get(&owned, member->key);
        if (own == NULL)
            json_add_n(arena, set, member->key, json_clone(arena, member));
        else
            add_all(arena, own, member);
    }
    json_index_clear(&owned);
}

/* ---------- keyed lists ---------- */

static bool is_keyed(const struct field *row)
{
    return row != NULL && row->type == FIELD_LIST && row->item == FIELD_OBJECT && row->list_key != NULL;
}

/* k:{"port":80,"protocol":"TCP"}: absent members of the key have their defaults. */
static struct slice item_name(struct arena *arena, const struct field *row, const struct json *item)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, "k:{");
    for (const char *at = row->list_key; *at != '\0';) {
        struct slice name = slice_make(at, strcspn(at, ","));
        const struct json *value = json_get_n(item, name);
        const struct field *member = field_find(row->schema, name);
        if (at != row->list_key)
            strbuf_addc(&text, ',');
        json_quote(&text, name);
        strbuf_addc(&text, ':');
        if (value != NULL)
            json_write_canonical(&text, value);
        else
            json_quote(&text, slice_of(member != NULL && member->def != NULL ? member->def : ""));
        at += name.len + (at[name.len] == ',');
    }
    strbuf_addc(&text, '}');
    struct slice result = arena_slice(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return result;
}

static void check_lists(struct field_report *report, const struct field_schema *schema, const struct json *value, const char *path);

static void check_list(struct field_report *report, const struct field *row, const struct json *list, const char *path)
{
    uint32_t index = 0;
    if (list->num > row->max) {
        field_report_add(report, FIELD_TOO_MANY, path, "%u: must have at most %lld items", list->num, (long long)row->max);
        return;
    }
    JSON_FOR(item, list)
    check_lists(report, row->schema, item, arena_printf(report->arena, "%s[%u]", path, index++));
}

/* Items are looked for one by one: what no table was held against yet must not have longer keyed lists than its table takes. */
static void check_lists(struct field_report *report, const struct field_schema *schema, const struct json *value, const char *path)
{
    JSON_FOR(member, value)
    {
        const struct field *row = value->type == JSON_OBJECT ? field_find(schema, member->key) : NULL;
        if (row == NULL || row->schema == NULL || row->type == FIELD_RAW)
            continue;
        const char *at = arena_printf(report->arena, "%s%s%s", path, path[0] != '\0' ? "." : "", row->name);
        if (is_keyed(row) && member->type == JSON_ARRAY)
            check_list(report, row, member, at);
        else if (row->type != FIELD_LIST)
            check_lists(report, row->schema, member, at);
    }
}

static struct json *find_item(struct arena *arena, const struct field *row, const struct json *list, struct slice name)
{
    if (list != NULL && list->type == JSON_ARRAY)
        JSON_FOR(item, list)
    if (slice_eq(item_name(arena, row, item), name))
        return item;
    return NULL;
}

/* ---------- fields of values ---------- */

static struct json *changed(struct arena *arena, const struct field_schema *schema, const struct json *value, const struct json *other);

static struct slice field_name(struct arena *arena, struct slice name)
{
    return slice_of(arena_printf(arena, "f:%.*s", (int)name.len, name.base));
}

static struct json *changed_items(struct arena *arena, const struct field *row, const struct json *list, const struct json *other)
{
    struct json *set = json_new_object(arena);
    JSON_FOR(item, list)
    {
        struct slice name = item_name(arena, row, item);
        const struct json *old = find_item(arena, row, other, name);
        struct json *inner = changed(arena, row->schema, item, old);
        if (old == NULL)
            json_add_n(arena, inner, SLICE("."), json_new_object(arena));
        if (inner->num != 0)
            json_add_n(arena, set, name, inner);
    }
    return set;
}

static void add_changed(struct arena *arena, struct json *set, const struct field *row, const struct json *member, const struct json *other)
{
    bool is_inner = member->type == JSON_OBJECT && member->num != 0 && (row == NULL || row->type != FIELD_RAW);
    bool is_list = is_keyed(row) && member->type == JSON_ARRAY && member->num != 0;
    struct json *inner;
    if (other != NULL && json_equal(member, other))
        return;
    if (is_inner)
        inner = changed(arena, row != NULL ? row->schema : NULL, member, other);
    else if (is_list)
        inner = changed_items(arena, row, member, other);
    else
        inner = json_new_object(arena);
    if (inner->num != 0 || (!is_inner && !is_list))
        json_add_n(arena, set, field_name(arena, member->key), inner);
}

/* The fields of `value` that `other` (NULL: nothing) lacks or has differently. What the table does not know is refused later, or
 * dropped: nobody owns it. */
static struct json *changed(struct arena *arena, const struct field_schema *schema, const struct json *value, const struct json *other)
{
    struct json *set = json_new_object(arena);
    struct json_index others;
    json_index_init(&others, other);
    JSON_FOR(member, value)
    {
        const struct field *row = schema != NULL ? field_find(schema, member->key) : NULL;
        if (schema == NULL || row != NULL)
            add_changed(arena, set, row, member, json_index_get(&others, member->key));
    }
    json_index_clear(&others);
    return set;
}

/* Of a whole object, without what is nobody's: identity, what the server sets, status. */
static struct json *owned_fields(struct arena *arena, const struct kind *kind, const struct json *object, const struct json *other)
{
    static const char *const nobodys[] = {"f:name",       "f:namespace", "f:generateName",  "f:uid",      "f:resourceVersion",
                                          "f:generation", "f:selfLink",  "f:managedFields", "f:creationTimestamp"};
    struct json *set = changed(arena, kind->schema, object, other);
    json_remove(set, "f:apiVersion");
    json_remove(set, "f:kind");
    if (kind->has_status)
        json_remove(set, "f:status");
    struct json *meta = json_get(set, "f:metadata");
    for (size_t i = 0; meta != NULL && i < ARRAY_LEN(nobodys); ++i)
        json_remove(meta, nobodys[i]);
    if (meta != NULL && meta->num == 0)
        json_remove(set, "f:metadata");
    return set;
}

/* ---------- merging and removing ---------- */

static void merge(struct arena *arena, const struct field_schema *schema, struct json *target, const struct json *applied);

/* `old`: the member of this name, or NULL. */
static void merge_member(struct arena *arena, const struct field *row, struct json *target, struct json *old, const struct json *member)
{
    if (member->type == JSON_NULL)
        return; /* the same as not given */
    if (member->type == JSON_OBJECT && old != NULL && old->type == JSON_OBJECT && (row == NULL || row->type != FIELD_RAW)) {
        merge(arena, row != NULL ? row->schema : NULL, old, member);
    } else if (is_keyed(row) && member->type == JSON_ARRAY && old != NULL && old->type == JSON_ARRAY) {
        JSON_FOR(item, member)
        {
            struct json *same = find_item(arena, row, old, item_name(arena, row, item));
            if (same != NULL)
                merge(arena, row->schema, same, item);
            else
                json_push(old, json_clone(arena, item));
        }
    } else if (old != NULL) {
        json_overwrite(old, json_clone(arena, member));
    } else {
        json_add_n(arena, target, member->key, json_clone(arena, member));
    }
}

static void merge(struct arena *arena, const struct field_schema *schema, struct json *target, const struct json *applied)
{
    struct json_index olds;
    json_index_init(&olds, target);
    JSON_FOR(member, applied)
    merge_member(arena, schema != NULL ? field_find(schema, member->key) : NULL, target, json_index_get(&olds, member->key), member);
    json_index_clear(&olds);
}

static void remove_fields(struct arena *arena, const struct field_schema *schema, struct json *value, const struct json *set);

static void remove_items(struct arena *arena, const struct field *row, struct json *list, const struct json *set)
{
    JSON_FOR(member, set)
    {
        struct json *item = find_item(arena, row, list, member->key);
        if (item == NULL)
            continue;
        if (json_get(member, ".") != NULL)
            json_remove_child(list, item);
        else
            remove_fields(arena, row->schema, item, member);
    }
}

/* Whether nothing of the member is left once `set` is taken out of it. */
static bool remove_member(struct arena *arena, const struct field *row, struct json *member, const struct json *set)
{
    if (is_leaf(set))
        return true;
    if (member->type == JSON_ARRAY && is_keyed(row))
        remove_items(arena, row, member, set);
    else if (member->type == JSON_OBJECT)
        remove_fields(arena, row != NULL ? row->schema : NULL, member, set);
    return member->num == 0;
}

static void remove_fields(struct arena *arena, const struct field_schema *schema, struct json *value, const struct json *set)
{
    struct json_index fields;
    struct json *member = value->child;
    json_index_init(&fields, set);
    value->child = value->last = NULL;
    value->num = 0;
    for (struct json *next; member != NULL; member = next) {
        const struct json *field = json_index_get(&fields, field_name(arena, member->key));
        const struct field *row = schema != NULL ? field_find(schema, member->key) : NULL;
        struct slice name = member->key;
        next = member->next;
        if (field == NULL || !remove_member(arena, row, member, field))
            json_push(value, member)->key = name;
    }
    json_index_clear(&fields);
}

/* ---------- managers ---------- */

static bool is_entry(const struct json *entry, struct slice manager, const char *operation)
{
    return slice_eq(json_slice(json_get(entry, "manager")), manager) && slice_is(json_slice(json_get(entry, "operation")), operation) &&
           json_slice(json_get(entry, "subresource")).len == 0;
}

static struct json *find_entry(struct json *entries, struct slice manager, const char *operation)
{
    JSON_FOR(entry, entries)
    if (is_entry(entry, manager, operation))
        return entry;
    return NULL;
}

static struct json *add_entry(struct api_change *change, struct json *entries, struct slice manager, const char *operation, struct json *fields)
{
    struct arena *arena = change->arena;
    char now[CLOCK_RFC3339_LEN + 1];
    struct json *entry = json_push(entries, json_new_object(arena));
    clock_rfc3339(change->now_us, now);
    json_set(arena, entry, "manager", json_new_string(arena, manager));
    json_set_str(arena, entry, "operation", operation);
    json_set_str(arena, entry, "apiVersion", kind_api_version(change->target.kind, change->target.version, arena).base);
    json_set_str(arena, entry, "time", now);
    json_set_str(arena, entry, "fieldsType", "FieldsV1");
    json_set(arena, entry, "fieldsV1", fields);
    return entry;
}

static struct json *entries_of(struct api_change *change)
{
    const struct json *kept = json_find(change->old, "metadata", "managedFields", NULL);
    struct json *entries = kept != NULL && kept->type == JSON_ARRAY ? json_clone(change->arena, kept) : json_new_array(change->arena);
    if (entries->num == 0 && change->old != NULL)
        add_entry(change, entries, SLICE(OLD_MANAGER), "Update", owned_fields(change->arena, change->target.kind, change->old, NULL));
    return entries;
}

/* Of entries with this operation (NULL: any). An entry that owns nothing any more goes. */
static void take_from(struct arena *arena, struct json *entries, const struct json *but, const char *operation, const struct json *fields)
{
    for (struct json *entry = entries->child, *next; entry != NULL; entry = next) {
        next = entry->next;
        const struct json *own = json_get(entry, "fieldsV1");
        if (entry == but || own == NULL || (operation != NULL && !slice_is(json_slice(json_get(entry, "operation")), operation)))
            continue;
        struct json *left = combine(arena, own, fields, SET_WITHOUT);
        if (left->num == 0)
            json_remove_child(entries, entry);
        else
            json_set(arena, entry, "fieldsV1", left);
    }
}

/* ---------- conflicts ---------- */

static size_t report_fields(struct api_change *change, const struct json *set, const char *path, const struct json *entry)
{
    size_t num = 0;
    JSON_FOR(member, set)
    {
        bool is_field = member->key.len > 2 && member->key.base[0] == 'f';
        const char *at = path;
        if (is_field)
            at = arena_printf(change->arena, "%s.%s", path, member->key.base + 2);
        else if (member->key.base[0] == 'k')
            at = arena_printf(change->arena, "%s[%s]", path, member->key.base + 2);
        if (!is_leaf(member)) {
            num += report_fields(change, member, at, entry);
        } else {
            field_report_add(&change->report, FIELD_OWNED, at, "conflict with \"%s\" using %s", json_str(json_get(entry, "manager"), ""),
                             json_str(json_get(entry, "apiVersion"), ""));
            ++num;
        }
    }
    return num;
}

/* Fields that would change and that others own. */
static int check_conflicts(struct api_change *change, struct json *entries, const struct json *differing, struct err *err)
{
    size_t num = 0;
    JSON_FOR(entry, entries)
    {
        const struct json *own = json_get(entry, "fieldsV1");
        if (own != NULL && !slice_eq(json_slice(json_get(entry, "manager")), change->options.manager))
            num += report_fields(change, combine(change->arena, differing, own, SET_BOTH), "", entry);
    }
    if (num == 0)
        return 0;
    const struct field_violation *first = change->report.violations;
    return err_set(err, ERR_CONFLICT, "Apply failed with %zu conflict%s: %.*s: %.*s%s; take the fields over with force, leave them out, or give them as they are", num,
                   num == 1 ? "" : "s", (int)first->message.len, first->message.base, (int)first->path.len, first->path.base, num > 1 ? " …" : "");
}

/* ---------- applying ---------- */

static struct json *with_defaults(struct api_change *change, const struct json *object)
{
    struct field_options options = {.unknown = FIELD_UNKNOWN_IGNORE, .apply_defaults = true};
    struct field_report ignored; /* of the finished object it will be told */
    struct json *full = json_clone(change->arena, object);
    field_report_init(&ignored, change->arena);
    (void)kind_decode(change->target.kind, full, (struct slice){NULL, 0}, &options, change->arena, &ignored);
    return full;
}

/* Those of `fields` that the result would have otherwise than the live object. Looked at with defaults filled in: the live
 * object has them, and what is given without them is no other value. */
static struct json *differing_fields(struct api_change *change, const struct json *fields)
{
    struct json *full = with_defaults(change, change->new);
    return combine(change->arena, fields, owned_fields(change->arena, change->target.kind, full, change->old), SET_BOTH);
}

/* What was given by client-side apply, and that the live object has as it was given, becomes `mine` where no other applies it. */
static void take_over_last_applied(struct api_change *change, struct json *entries)
{
    struct arena *arena = change->arena;
    const struct kind *kind = change->target.kind;
    struct slice text = json_slice(json_find(change->old, "metadata", "annotations", LAST_APPLIED, NULL));
    struct json *applied = text.len != 0 && slice_is(change->options.manager, "kubectl") ? json_parse(arena, text, NULL) : NULL;
    struct field_report report;
    if (applied == NULL || applied->type != JSON_OBJECT)
        return;
    field_report_init(&report, arena);
    check_lists(&report, kind->schema, applied, "");
    if (report.num_violations != 0)
        return;
    struct json *changed_since = owned_fields(arena, kind, change->old, with_defaults(change, applied));
    struct json *fields = combine(arena, owned_fields(arena, kind, applied, NULL), changed_since, SET_WITHOUT);
    struct json *mine = find_entry(entries, change->options.manager, "Apply");
    if (mine == NULL)
        mine = add_entry(change, entries, change->options.manager, "Apply", json_new_object(arena));
    take_from(arena, entries, mine, "Update", fields);
    add_all(arena, json_get(mine, "fieldsV1"), fields);
}

static int apply_on(struct api_change *change, const struct json *applied, struct json *entries, const struct json *fields, struct err *err)
{
    struct arena *arena = change->arena;
    const struct kind *kind = change->target.kind;
    change->new = json_clone(arena, change->old);
    merge(arena, kind->schema, change->new, applied);
    take_over_last_applied(change, entries);
    struct json *differing = differing_fields(change, fields);
    if (!change->options.is_forced && check_conflicts(change, entries, differing, err) != 0)
        return -1;
    struct json *mine = find_entry(entries, change->options.manager, "Apply");
    struct json *before = mine != NULL ? json_get(mine, "fieldsV1") : NULL;
    take_from(arena, entries, mine, NULL, differing);
    if (before == NULL)
        return 0;
    struct json *dropped = combine(arena, before, fields, SET_WITHOUT);
    JSON_FOR(entry, entries)
    if (entry != mine && json_get(entry, "fieldsV1") != NULL)
        dropped = combine(arena, dropped, json_get(entry, "fieldsV1"), SET_WITHOUT);
    remove_fields(arena, kind->schema, change->new, dropped);
    return 0;
}

int api_fields_apply(struct api_change *change, const struct json *applied, struct err *err)
{
    struct arena *arena = change->arena;
    const struct json *given = json_find(applied, "metadata", "managedFields", NULL);
    if (applied->type != JSON_OBJECT)
        return err_set(err, ERR_BAD_REQUEST, "what is applied must be an object");
    if (given != NULL && given->num != 0)
        return err_set(err, ERR_BAD_REQUEST, "metadata.managedFields must be nil");
    check_lists(&change->report, change->target.kind->schema, applied, "");
    if (field_report_err(&change->report, err) != 0)
        return -1;
    struct json *fields = owned_fields(arena, change->target.kind, applied, NULL);
    struct json *entries = entries_of(change);
    if (change->old == NULL)
        change->new = json_clone(arena, applied);
    else if (apply_on(change, applied, entries, fields, err) != 0)
        return -1;
    struct json *mine = find_entry(entries, change->options.manager, "Apply");
    if (mine == NULL)
        add_entry(change, entries, change->options.manager, "Apply", fields);
    else if (!json_equal(json_get(mine, "fieldsV1"), fields)) {
        json_remove_child(entries, mine);
        add_entry(change, entries, change->options.manager, "Apply", fields);
    }
    change->owned = entries;
    return 0;
}

void api_fields_track(struct api_change *change)
{
    struct arena *arena = change->arena;
    const struct kind *kind = change->target.kind;
    struct json *meta = json_get(change->new, "metadata"), *entries = json_get(meta, "managedFields");
    if (entries == NULL || entries->type != JSON_ARRAY || entries->num == 0)
        return;
    struct json *written = owned_fields(arena, kind, change->new, change->old);
    struct json *gone = combine(arena, owned_fields(arena, kind, change->old, NULL), owned_fields(arena, kind, change->new, NULL), SET_WITHOUT);
    struct json *mine = find_entry(entries, change->options.manager, "Update");
    take_from(arena, entries, NULL, NULL, gone);
    if (mine != NULL && mine != find_entry(entries, change->options.manager, "Update"))
        mine = NULL; /* it owned nothing else */
    take_from(arena, entries, mine, NULL, written);
    if (written->num == 0)
        return;
    if (mine != NULL)
        add_all(arena, json_get(mine, "fieldsV1"), written);
    else
        add_entry(change, entries, change->options.manager, "Update", written);
}
