/* Tables: the columns a person wants to see, as kubectl asks for them (meta.k8s.io Table), and bare metadata. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"

/* ---------- ages ---------- */

static struct json *age_cell(struct arena *arena, struct slice timestamp)
{
    int64_t at_us;
    char text[CLOCK_AGE_LEN + 1] = "<unknown>";
    if (timestamp.base != NULL && clock_parse_rfc3339(timestamp, &at_us) == 0)
        clock_age((clock_wall_us() - at_us) / 1000000, text);
    return json_new_str(arena, text);
}

/* ---------- columns ---------- */

static void add_column(struct arena *arena, struct json *columns, const char *name, const char *type, const char *format, int priority, const char *doc)
{
    struct json *column = json_push(columns, json_new_object(arena));
    json_set_str(arena, column, "name", name);
    json_set_str(arena, column, "type", type);
    json_set_str(arena, column, "format", format);
    json_set_str(arena, column, "description", doc != NULL ? doc : "");
    json_set_int(arena, column, "priority", priority);
}

static void add_columns(struct arena *arena, struct json *table, const struct kind *kind)
{
    struct json *columns = json_set(arena, table, "columnDefinitions", json_new_array(arena));
    add_column(arena, columns, "Name", "string", "name", 0, "Name, unique within the kind and namespace.");
    for (const struct kind_column *column = kind->columns; column->name != NULL; ++column)
        add_column(arena, columns, column->name, column->type, "", column->priority, column->doc);
    add_column(arena, columns, "Age", "string", "", 0, "Time since it was created.");
}

struct json *api_table_new(struct arena *arena, const struct kind *kind, const char *meta_version, bool with_columns)
{
    struct json *table = json_new_object(arena);
    json_set_str(arena, table, "kind", "Table");
    json_set_str(arena, table, "apiVersion", arena_printf(arena, "meta.k8s.io/%s", meta_version));
    json_set(arena, table, "metadata", json_new_object(arena));
    if (with_columns)
        add_columns(arena, table, kind);
    else
        json_set(arena, table, "columnDefinitions", json_new_array(arena));
    json_set(arena, table, "rows", json_new_array(arena));
    return table;
}

/* ---------- rows ---------- */

static struct json *cell(struct arena *arena, const struct kind_column *column, const struct json *object)
{
    int64_t number;
    struct strbuf text = STRBUF_INIT;
    kind_cell(column, object, &text);
    struct json *value;
    if (strcmp(column->type, "date") == 0)
        value = age_cell(arena, strbuf_slice(&text));
    else if (strcmp(column->type, "integer") == 0 && json_int(json_parse(arena, strbuf_slice(&text), NULL), &number))
        value = json_new_int(arena, number);
    else
        value = json_new_string(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return value;
}

struct json *api_partial_metadata(struct arena *arena, struct json *object, const char *meta_version)
{
    struct json *partial = json_new_object(arena);
    json_set_str(arena, partial, "kind", "PartialObjectMetadata");
    json_set_str(arena, partial, "apiVersion", arena_printf(arena, "meta.k8s.io/%s", meta_version));
    json_set(arena, partial, "metadata", json_clone(arena, json_get(object, "metadata")));
    return partial;
}

void api_table_add(struct arena *arena, struct json *table, const struct api_target *target, struct json *object, struct slice include)
{
    struct json *row = json_push(json_get(table, "rows"), json_new_object(arena));
    struct json *cells = json_set(arena, row, "cells", json_new_array(arena));
    const char *meta_version = strchr(json_str(json_get(table, "apiVersion"), "/v1"), '/') + 1;
    json_push(cells, json_new_string(arena, json_slice(json_find(object, "metadata", "name", NULL))));
    for (const struct kind_column *column = target->kind->columns; column->name != NULL; ++column)
        json_push(cells, cell(arena, column, object));
    json_push(cells, age_cell(arena, json_slice(json_find(object, "metadata", "creationTimestamp", NULL))));
    if (include.len == 0 || slice_is(include, "Metadata"))
        json_set(arena, row, "object", api_partial_metadata(arena, object, meta_version));
    else if (slice_is(include, "Object"))
        json_set(arena, row, "object", json_clone(arena, object));
}
