/* Reading objects: get and list. Watching is api_watch.c. */
#include "gateway/control/api_internal.h"

enum { LIMIT_MAX = 10000 };

int api_filter(struct ctl_call *call, const struct api_target *target, struct ctl_filter *ret, struct err *err)
{
    struct slice labels = ctl_call_param(call, "labelSelector"), fields = ctl_call_param(call, "fieldSelector");
    *ret = (struct ctl_filter){.kind = api_kind_key(target->kind), .ns = target->ns};
    if (labels.len != 0 && ctl_selector_parse(call->arena, labels, &ret->labels, err) != 0)
        return err_wrap(err, "labelSelector");
    if (fields.len != 0 && ctl_field_selector_parse(call->arena, fields, &ret->fields, err) != 0)
        return err_wrap(err, "fieldSelector");
    return 0;
}

/* "Not older than" is true of everything once the head has come so far. */
static int check_rev(struct ctl_call *call, uint64_t *ret_rev, struct err *err)
{
    struct slice text = ctl_call_param(call, "resourceVersion");
    uint64_t head = ctl_cache_rev(call->control->cache);
    *ret_rev = 0;
    if (text.len != 0 && !api_parse_u64(text, ret_rev))
        return err_set(err, ERR_BAD_REQUEST, "resourceVersion: \"%s\" is no revision", text.base);
    if (*ret_rev > head)
        return err_set(err, ERR_TIMEOUT, "Too large resource version: %llu, current: %llu", (unsigned long long)*ret_rev, (unsigned long long)head);
    return 0;
}

/* ---------- get ---------- */

static void reply_from_cache(struct ctl_call *call, const struct api_target *target, const struct ctl_object *object)
{
    struct strbuf text = STRBUF_INIT;
    api_write_object(call, target, object, object->rev, &text);
    strbuf_addc(&text, '\n');
    ctl_call_reply(call, 200, "application/json", strbuf_slice(&text));
    strbuf_clear(&text);
}

void api_get(struct ctl_call *call, const struct api_target *target)
{
    struct api_form form;
    struct err err = ERR_INIT;
    struct ctl_key key = api_key(target);
    uint64_t rev;
    if (api_form(call, &form, &err) != 0 || check_rev(call, &rev, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    const struct ctl_object *object = ctl_cache_get(call->control->cache, &key);
    if (object == NULL) {
        api_not_found(&err, call->arena, target);
        api_fail(call, &err, target, NULL);
    } else if (form.type == API_FORM_OBJECT && !form.is_yaml) {
        reply_from_cache(call, target, object);
    } else {
        api_reply_object(call, 200, target, ctl_object_tree(call->arena, object));
    }
}

/* ---------- list ---------- */

struct list_call {
    struct api_form form;
    struct ctl_filter filter;
    struct ctl_list list;
};

/* As Kubernetes takes them together; Exact is true only of the newest revision, for what others listed is not kept. */
static int check_match(struct ctl_call *call, struct err *err)
{
    struct slice match = ctl_call_param(call, "resourceVersionMatch");
    uint64_t rev, head = ctl_cache_rev(call->control->cache);
    bool is_exact = slice_is(match, "Exact");
    if (check_rev(call, &rev, err) != 0 || match.len == 0)
        return err->code == ERR_NONE ? 0 : -1;
    if (!is_exact && !slice_is(match, "NotOlderThan"))
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: \"%.*s\" is none of Exact, NotOlderThan", (int)MIN(match.len, (size_t)100), match.base);
    if (ctl_call_param(call, "resourceVersion").len == 0)
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: Forbidden without resourceVersion");
    if (ctl_call_param(call, "continue").len != 0)
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: Forbidden with continue");
    if (is_exact && rev == 0)
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: Exact is not possible of resourceVersion 0");
    if (is_exact && rev != head)
        return err_set(err, ERR_GONE, "only the newest revision (%llu) is listed; see /selvedge/v1/diff for older ones", (unsigned long long)head);
    return 0;
}

static int read_list(struct ctl_call *call, const struct api_target *target, struct list_call *self, struct err *err)
{
    struct slice limit_text = ctl_call_param(call, "limit"), token = ctl_call_param(call, "continue");
    uint64_t limit = 0;
    if (api_form(call, &self->form, err) != 0 || api_filter(call, target, &self->filter, err) != 0 || check_match(call, err) != 0)
        return -1;
    if (limit_text.len != 0 && !api_parse_u64(limit_text, &limit))
        return err_set(err, ERR_BAD_REQUEST, "limit: \"%s\" is no number", limit_text.base);
    return ctl_cache_list(call->control->cache, &self->filter, (size_t)MIN(limit, (uint64_t)LIMIT_MAX), token.base != NULL ? token : SLICE(""),
                          call->arena, &self->list, err);
}

static void write_list_meta(struct strbuf *out, const struct ctl_list *list)
{
    strbuf_addf(out, "\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)list->rev);
    if (list->next.len != 0) {
        strbuf_adds(out, ",\"continue\":");
        json_quote(out, list->next);
    }
    if (list->remaining > 0)
        strbuf_addf(out, ",\"remainingItemCount\":%lld", (long long)list->remaining);
    strbuf_addc(out, '}');
}

static void write_objects(struct ctl_call *call, const struct api_target *target, const struct ctl_list *list, struct strbuf *out)
{
    strbuf_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",", target->kind->list_kind,
                kind_api_version(target->kind, target->version, call->arena).base);
    write_list_meta(out, list);
    strbuf_adds(out, ",\"items\":[");
    for (size_t i = 0; i < list->num; ++i) {
        if (i != 0)
            strbuf_addc(out, ',');
        api_write_object(call, target, list->objects[i], list->objects[i]->rev, out);
    }
    strbuf_adds(out, "]}\n");
}

/* The call, but for what is made for one row. */
static struct json *shown_tree(const struct ctl_call *call, const struct api_target *target, const struct ctl_object *object, struct arena *arena)
{
    struct ctl_call row = *call;
    struct json *tree = ctl_object_tree(arena, object);
    row.arena = arena;
    if (tree != NULL)
        api_show(&row, target, tree);
    return tree;
}

static void write_partial(struct ctl_call *call, const struct api_target *target, const struct list_call *self, struct strbuf *out)
{
    strbuf_addf(out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/%s\",", self->form.meta_version);
    write_list_meta(out, &self->list);
    strbuf_adds(out, ",\"items\":[");
    for (size_t i = 0; i < self->list.num; ++i) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(0);
        struct json *tree = shown_tree(call, target, self->list.objects[i], arena);
        if (i != 0)
            strbuf_addc(out, ',');
        json_write(out, api_partial_metadata(arena, tree, self->form.meta_version));
    }
    strbuf_adds(out, "]}\n");
}

/* Row by row, each in an arena of its own: a list may be long. */
static void write_table(struct ctl_call *call, const struct api_target *target, const struct list_call *self, struct strbuf *out)
{
    struct slice include = ctl_call_param(call, "includeObject");
    struct json *head = api_table_new(call->arena, target->kind, self->form.meta_version, true);
    strbuf_addf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",", self->form.meta_version);
    write_list_meta(out, &self->list);
    strbuf_adds(out, ",\"columnDefinitions\":");
    json_write(out, json_get(head, "columnDefinitions"));
    strbuf_adds(out, ",\"rows\":[");
    for (size_t i = 0; i < self->list.num; ++i) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(16 * 1024);
        struct json *table = api_table_new(arena, target->kind, self->form.meta_version, false);
        struct json *tree = shown_tree(call, target, self->list.objects[i], arena);
        api_table_add(arena, table, target, tree, include);
        if (i != 0)
            strbuf_addc(out, ',');
        json_write(out, json_get(table, "rows")->child);
    }
    strbuf_adds(out, "]}\n");
}

void api_list(struct ctl_call *call, const struct api_target *target)
{
    struct list_call self = {0};
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    if (read_list(call, target, &self, &err) != 0) {
        api_fail(call, &err, target, NULL);
        return;
    }
    if (self.form.type == API_FORM_TABLE)
        write_table(call, target, &self, &text);
    else if (self.form.type == API_FORM_META)
        write_partial(call, target, &self, &text);
    else
        write_objects(call, target, &self.list, &text);
    api_reply_text(call, 200, &self.form, strbuf_slice(&text));
    strbuf_clear(&text);
}

/* ---------- events ---------- */

void api_no_events(struct ctl_call *call)
{
    struct err err = ERR_INIT;
    if (ctl_call_param(call, "watch").len != 0) {
        err_set(&err, ERR_NOT_FOUND, "events are not kept here: watch the objects themselves, or see /selvedge/v1/revisions");
        api_fail(call, &err, NULL, NULL);
        return;
    }
    const char *rev = arena_printf(call->arena, "%llu", (unsigned long long)ctl_cache_rev(call->control->cache));
    struct json *body = json_new_object(call->arena);
    json_set_str(call->arena, body, "kind", "EventList");
    json_set_str(call->arena, body, "apiVersion", "v1");
    json_set_str(call->arena, json_set(call->arena, body, "metadata", json_new_object(call->arena)), "resourceVersion", rev);
    json_set(call->arena, body, "items", json_new_array(call->arena));
    ctl_call_reply_json(call, 200, body);
}
