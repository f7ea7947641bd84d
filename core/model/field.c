/* Field tables: a JSON object into a struct, row by row.
 *
 * Each member of the document finds its row and is read into place; rows that no member met get their default
 * or are missing. The rules of a schema (checks) run last, and only on an object without findings: they may
 * trust its fields. Defaults of scalars never touch the JSON tree unless asked; defaults of objects and lists
 * are small documents. */
#include "core/model/field.h"

#include "core/base/hashmap.h"
#include "core/model/field_ctx.h"

static void decode_object(struct field_ctx *ctx, const struct field_schema *schema, struct json *object,
                          void *out);

/* ---- looking up ---- */

/* Documents mostly follow the order of the table: begin where the last one was found. */
static int find_row(const struct field_schema *schema, struct slice name, uint32_t guess)
{
    for (uint32_t i = 0; i < schema->num_fields; ++i) {
        uint32_t at = guess + i < schema->num_fields ? guess + i : guess + i - schema->num_fields;
        const char *row = schema->fields[at].name;
        if (name.len != 0 && row[0] == name.base[0] && slice_is(name, row))
            return (int)at;
    }
    return -1;
}

const struct field *field_find(const struct field_schema *schema, struct slice name)
{
    int row = find_row(schema, name, 0);
    return row >= 0 ? &schema->fields[row] : NULL;
}

/* ---- lists and maps ---- */

static bool check_count(struct field_ctx *ctx, const struct field *field, const struct json *value)
{
    const char *what = field->type == FIELD_MAP ? "entries" : "items";
    if (field->max != 0 && value->num > field->max)
        field_refuse(ctx, FIELD_TOO_MANY, "", "%u: must have at most %lld %s", value->num,
                     (long long)field->max, what);
    else if (value->num < field->min)
        field_refuse(ctx, value->num == 0 ? FIELD_REQUIRED : FIELD_INVALID, "", "must have at least %lld %s",
                     (long long)field->min,
                     field->min == 1 ? (field->type == FIELD_MAP ? "entry" : "item") : what);
    else
        return true;
    return false;
}

/* What makes an item unique, as text: the members of list_key, or the item itself. */
static struct slice item_key(struct arena *arena, const struct field *field, const struct json *item)
{
    struct strbuf text = STRBUF_INIT;
    for (const char *at = field->list_key; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");
        const struct json *member = json_get_n(item, slice_make(at, len));
        if (member != NULL)
            json_write_canonical(&text, member);
        strbuf_addc(&text, ',');
        at += at[len] == ',' ? len + 1 : len;
    }
    if (field->list_key == NULL)
        json_write_canonical(&text, item);
    struct slice copy = arena_slice(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return copy;
}

static void refuse_duplicate(struct field_ctx *ctx, const struct field *field, const struct json *item,
                             uint32_t index)
{
    bool is_one = field->list_key != NULL && strchr(field->list_key, ',') == NULL;
    struct field_path item_path = {.parent = ctx->path, .index = index};
    struct field_path path = {.parent = &item_path, .name = slice_of(is_one ? field->list_key : "")};
    const struct field_path *outer = ctx->path;
    ctx->path = &path;
    field_refuse_value(ctx, FIELD_DUPLICATE, field, is_one ? json_get(item, field->list_key) : item, "%s",
                       "");
    ctx->path = outer;
}

static void check_unique(struct field_ctx *ctx, const struct field *field, const struct json *list)
{
    struct hashmap seen = HASHMAP_INIT;
    uint32_t index = 0;
    JSON_FOR(item, list)
    {
        struct slice key = item_key(ctx->arena, field, item);
        if (hashmap_put(&seen, key.base, key.len, item) != NULL)
            refuse_duplicate(ctx, field, item, index);
        ++index;
    }
    hashmap_clear(&seen);
}

static void decode_list(struct field_ctx *ctx, const struct field *field, struct json *value, void *object)
{
    if (value->type != JSON_ARRAY) {
        field_refuse_value(ctx, FIELD_TYPE_INVALID, field, value, "must be a list");
        return;
    }
    if (!check_count(ctx, field, value))
        return;
    uint32_t before = ctx->report->num_violations;
    struct field_path path = {.parent = ctx->path};
    size_t size = field->item_size != 0 ? field->item_size : field_scalar_size(field->item);
    char *items = arena_zalloc(ctx->arena, value->num * size);
    ctx->path = &path;
    JSON_FOR(item, value)
    {
        char *out = items + path.index * size;
        if (field->item == FIELD_OBJECT)
            decode_object(ctx, field->schema, item, out);
        else
            field_decode_scalar(ctx, field, field->item, field->item_min, field->item_max, item, out);
        ++path.index;
    }
    ctx->path = path.parent;
    if (before == ctx->report->num_violations && (field->list_key != NULL || field->flags & FIELD_SET))
        check_unique(ctx, field, value);
    *(void **)field_member(object, field->at) = items;
    *(uint32_t *)field_member(object, field->num_at) = value->num;
}

static void check_map_key(struct field_ctx *ctx, const struct field *field, struct slice key)
{
    struct json name = {.type = JSON_STRING, .text = key};
    if (field->key_format != NULL && !field->key_format->matches(key))
        field_refuse_value(ctx, FIELD_INVALID, &(struct field){.flags = 0}, &name, "%s",
                           field->key_format->message);
}

static void decode_map(struct field_ctx *ctx, const struct field *field, struct json *value,
                       struct field_map *out)
{
    if (value->type != JSON_OBJECT) {
        field_refuse_value(ctx, FIELD_TYPE_INVALID, field, value, "must be an object");
        return;
    }
    if (!check_count(ctx, field, value))
        return;
    *out = (struct field_map){.pairs = arena_zalloc(ctx->arena, (value->num + 1) * sizeof(*out->pairs))};
    JSON_FOR(member, value)
    {
        struct field_path path = {.parent = ctx->path, .name = member->key};
        struct field_pair *pair = &out->pairs[out->num++];
        pair->name = ctx->options->copy_strings ? arena_slice(ctx->arena, member->key) : member->key;
        check_map_key(ctx, field, member->key);
        ctx->path = &path;
        field_decode_scalar(ctx, field, field->item, field->item_min, field->item_max, member, &pair->value);
        ctx->path = path.parent;
    }
}

/* ---- one member ---- */

static void decode_raw(struct field_ctx *ctx, const struct field *field, struct json *value,
                       const struct json **out)
{
    *out = value;
    if (ctx->options->check_read_only && field->schema != NULL)
        decode_object(ctx, field->schema, value, arena_zalloc(ctx->arena, field->schema->size));
}

static void decode_pointer(struct field_ctx *ctx, const struct field *field, struct json *value, void **out)
{
    *out = arena_zalloc(ctx->arena, field->schema->size);
    decode_object(ctx, field->schema, value, *out);
}

static void decode_value(struct field_ctx *ctx, const struct field *field, struct json *value, void *object)
{
    char nowhere[64] = {0};
    if (field->flags & FIELD_UNSTORED)
        object = nowhere; /* rows without a place are at offset 0 */
    void *out = field_member(object, field->at);
    switch (field->type) {
    case FIELD_OBJECT:
        decode_object(ctx, field->schema, value, out);
        break;
    case FIELD_OBJECT_PTR:
        decode_pointer(ctx, field, value, out);
        break;
    case FIELD_LIST:
        decode_list(ctx, field, value, object);
        break;
    case FIELD_MAP:
        decode_map(ctx, field, value, out);
        break;
    case FIELD_RAW:
        decode_raw(ctx, field, value, out);
        break;
    default:
        field_decode_scalar(ctx, field, field->type, field->min, field->max, value, out);
    }
}

/* [] and "" ask for nothing: clients send them for lists and strings they do not use. {} may well ask for
 * something. */
static bool asks_for_nothing(const struct json *value)
{
    return (value->type == JSON_ARRAY && value->num == 0) ||
           (value->type == JSON_STRING && value->text.len == 0);
}

static void decode_member(struct field_ctx *ctx, const struct field *field, struct json *value, void *object)
{
    struct field_path path = {.parent = ctx->path, .name = value->key};
    ctx->path = &path;
    if (!(field->flags & FIELD_UNSUPPORTED)) {
        if (field->has != 0)
            *(bool *)field_member(object, field->has - 1) = true;
        decode_value(ctx, field, value, object);
    } else if (!asks_for_nothing(value))
        field_refuse(ctx, FIELD_NOT_SERVED, "", "not supported");
    ctx->path = path.parent;
}

/* ---- members that are not there ---- */

/* The tree the default is read from; with apply_defaults it is the one that stays in the document. */
static struct json *default_tree(struct field_ctx *ctx, const struct field *field)
{
    if (field->type == FIELD_OBJECT || field->type == FIELD_OBJECT_PTR || field->type == FIELD_LIST ||
        field->type == FIELD_MAP) {
        struct json *tree = json_parse(ctx->arena, slice_of(field->def), NULL);
        if (tree == NULL)
            abort(); /* a table of ours is wrong; tests read every one */
        return tree;
    }
    struct json scalar = field_default_scalar(field->type, field->def);
    return json_clone(ctx->arena, &scalar);
}

static void decode_default(struct field_ctx *ctx, const struct field *field, struct json *document,
                           void *object)
{
    if (ctx->options->apply_defaults && document != NULL)
        decode_value(ctx, field,
                     json_set_n(ctx->arena, document, slice_of(field->name), default_tree(ctx, field)),
                     object);
    else if (field_scalar_size(field->type) != 0) {
        struct json scalar = field_default_scalar(field->type, field->def);
        decode_value(ctx, field, &scalar, object);
    } else
        decode_value(ctx, field, default_tree(ctx, field), object);
}

static void fill_defaults(struct field_ctx *ctx, const struct field_schema *schema, void *object)
{
    for (uint32_t i = 0; i < schema->num_fields; ++i) {
        const struct field *field = &schema->fields[i];
        if (field->flags & FIELD_UNSUPPORTED)
            continue;
        if (field->def != NULL)
            decode_default(ctx, field, NULL, object);
        else if (field->type == FIELD_OBJECT)
            fill_defaults(ctx, field->schema, field_member(object, field->at));
    }
}

static void fill_quietly(struct arena *arena, const struct field_schema *schema, void *object)
{
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT};
    struct field_report report;
    struct field_ctx ctx = {.options = &options, .arena = arena, .report = &report, .is_quiet = true};
    field_report_init(&report, arena);
    fill_defaults(&ctx, schema, object);
}

void field_fill_defaults(const struct field_schema *schema, void *object, struct arena *arena)
{
    fill_quietly(arena, schema, object);
}

static void decode_absent(struct field_ctx *ctx, const struct field *field, struct json *document,
                          void *object)
{
    if (field->flags & FIELD_UNSUPPORTED)
        return;
    if (field->def != NULL) {
        struct field_path path = {.parent = ctx->path, .name = slice_of(field->name)};
        ctx->path = &path;
        decode_default(ctx, field, document, object);
        ctx->path = path.parent;
    } else if (field->flags & FIELD_NEEDED)
        field_refuse(ctx, FIELD_REQUIRED, field->name, "%s", "");
    else if (field->type == FIELD_OBJECT)
        fill_quietly(ctx->arena, field->schema, field_member(object, field->at));
}

/* ---- objects ---- */

static void warn_unknown(struct field_ctx *ctx, struct slice path)
{
    struct field_report *report = ctx->report;
    if (report->num_warnings++ >= FIELD_VIOLATIONS_MAX)
        return;
    struct field_violation *warning = arena_zalloc(report->arena, sizeof(*warning));
    warning->reason = FIELD_UNKNOWN;
    warning->path = path;
    warning->message = slice_of(arena_printf(report->arena, "unknown field \"%s\"", path.base));
    if (report->last_warning != NULL)
        report->last_warning->next = warning;
    else
        report->warnings = warning;
    report->last_warning = warning;
}

static void meet_unknown(struct field_ctx *ctx, struct json *object, struct json *member)
{
    struct field_path path = {.parent = ctx->path, .name = member->key};
    if (ctx->options->unknown == FIELD_UNKNOWN_STRICT) {
        ctx->path = &path;
        field_refuse(ctx, FIELD_UNKNOWN, "", "unknown field \"%s\"",
                     field_path_text(ctx->arena, &path, "").base);
        ctx->path = path.parent;
        return;
    }
    if (ctx->options->unknown == FIELD_UNKNOWN_WARN)
        warn_unknown(ctx, field_path_text(ctx->arena, &path, ""));
    if (ctx->options->apply_defaults)
        (void)json_remove_child(object, member);
}

static uint64_t decode_members(struct field_ctx *ctx, const struct field_schema *schema, struct json *object,
                               void *out)
{
    uint64_t seen = 0;
    uint32_t guess = 0;
    for (struct json *member = object->child, *next; member != NULL; member = next) {
        next = member->next;
        int row = find_row(schema, member->key, guess);
        if (row < 0) {
            meet_unknown(ctx, object, member);
            continue;
        }
        guess = (uint32_t)row + 1 < schema->num_fields ? (uint32_t)row + 1 : 0;
        if (member->type == JSON_NULL) {
            if (ctx->options->apply_defaults)
                (void)json_remove_child(object, member);
            continue;
        }
        seen |= UINT64_C(1) << row;
        decode_member(ctx, &schema->fields[row], member, out);
    }
    return seen;
}

static void decode_object(struct field_ctx *ctx, const struct field_schema *schema, struct json *object,
                          void *out)
{
    static const struct field any = {.name = ""};
    if (object->type != JSON_OBJECT) {
        field_refuse_value(ctx, FIELD_TYPE_INVALID, &any, object, "must be an object");
        return;
    }
    uint32_t before = ctx->report->num_violations;
    uint64_t seen = decode_members(ctx, schema, object, out);
    for (uint32_t i = 0; i < schema->num_fields; ++i)
        if (!(seen & UINT64_C(1) << i))
            decode_absent(ctx, &schema->fields[i], object, out);
    if (before == ctx->report->num_violations && schema->checks != NULL)
        for (const field_check *check = schema->checks; *check != NULL; ++check)
            (*check)(ctx, out);
}

void *field_decode(const struct field_schema *schema, struct json *object, const char *path,
                   const struct field_options *options, struct arena *arena, struct field_report *report)
{
    struct field_path root = {.name = slice_of(path)};
    struct field_ctx ctx = {.options = options, .arena = arena, .report = report, .path = &root};
    void *out = arena_zalloc(arena, schema->size);
    decode_object(&ctx, schema, object, out);
    return out;
}

/* ---- updates ---- */

static void check_field_update(const struct field *field, const struct json *old, const struct json *new,
                               struct slice path, struct field_report *report)
{
    const struct json *before = json_get(old, field->name), *after = json_get(new, field->name);
    struct field_path parent = {.name = path}, self = {.parent = &parent, .name = slice_of(field->name)};
    if (field->flags & FIELD_IMMUTABLE) {
        if (!json_equal(before, after))
            field_report_add(report, FIELD_INVALID, field_path_text(report->arena, &self, "").base,
                             "field is immutable");
    } else if (field->schema != NULL && field->type != FIELD_LIST && field->type != FIELD_RAW &&
               before != NULL && after != NULL)
        field_check_update(field->schema, before, after, field_path_text(report->arena, &self, "").base,
                           report);
}

void field_check_update(const struct field_schema *schema, const struct json *old, const struct json *new,
                        const char *path, struct field_report *report)
{
    for (uint32_t i = 0; i < schema->num_fields; ++i)
        check_field_update(&schema->fields[i], old, new, slice_of(path), report);
}
