/* Watching: one JSON line an event, for as long as the watcher keeps up, may see it, and asked for.
 *
 * The cache says when there is something (on_ready); events are written until the connection has no room, then again when
 * it has (on_writable). Every TICK_MS: bookmarks, the end of the time asked for, and whether the token still holds. A
 * watcher too slow for the cache's ring gets an ERROR event with 410 and may resume from the last revision it saw. */
#include "gateway/control/api_internal.h"

#include "core/base/crypto.h"

enum { TICK_MS = 500, BOOKMARK_MS = 30000, TIMEOUT_MIN_S = 1800, TIMEOUT_MAX_S = 86400 };

struct watch_call {
    struct ctl_call *call;
    struct api_target target;
    struct api_form form;
    struct slice include;
    struct ctl_watch *watch;
    struct timer timer;
    uint64_t ends_ms, bookmark_ms; /* bookmark_ms 0: none wanted */
    uint64_t told_rev;
    bool is_full, has_columns;
    bool is_beginning; /* a bookmark is to say when all that was there has been told (sendInitialEvents) */
};

static void finish(struct watch_call *self)
{
    timer_stop(&self->timer);
    self->watch = ctl_watch_stop(self->watch);
    self->call->on_gone = NULL;
    ctl_call_end(self->call);
}

/* ---------- events ---------- */

static void send_event(struct watch_call *self, const char *type, struct slice object)
{
    struct strbuf line = STRBUF_INIT;
    strbuf_addf(&line, "{\"type\":\"%s\",\"object\":", type);
    strbuf_add_slice(&line, object);
    strbuf_adds(&line, "}\n");
    self->is_full = !ctl_call_write(self->call, strbuf_slice(&line));
    strbuf_clear(&line);
}

static void send_tree(struct watch_call *self, const char *type, const struct json *tree)
{
    struct strbuf text = STRBUF_INIT;
    json_write(&text, tree);
    send_event(self, type, strbuf_slice(&text));
    strbuf_clear(&text);
}

static void send_error(struct watch_call *self, const struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    send_tree(self, "ERROR", api_status(arena, err, NULL, NULL));
}

static void send_in_form(struct watch_call *self, const char *type, const struct ctl_event *event)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(16 * 1024);
    struct ctl_call shown = *self->call; /* what is made for one event goes with it */
    struct json *tree = ctl_object_tree(arena, event->object);
    if (tree == NULL)
        return;
    shown.arena = arena;
    api_show(&shown, &self->target, tree);
    const char *rev = arena_printf(arena, "%llu", (unsigned long long)event->rev);
    json_set_str(arena, json_get(tree, "metadata"), "resourceVersion", rev);
    if (self->form.type == API_FORM_META) {
        send_tree(self, type, api_partial_metadata(arena, tree, self->form.meta_version));
        return;
    }
    struct json *table = api_table_new(arena, self->target.kind, self->form.meta_version, !self->has_columns);
    self->has_columns = true;
    json_set_str(arena, json_get(table, "metadata"), "resourceVersion", rev);
    api_table_add(arena, table, &self->target, tree, self->include);
    send_tree(self, type, table);
}

static void send_object(struct watch_call *self, const struct ctl_event *event)
{
    static const char *const types[] = {[CTL_ADDED] = "ADDED", [CTL_MODIFIED] = "MODIFIED", [CTL_DELETED] = "DELETED"};
    struct strbuf text = STRBUF_INIT;
    if (self->form.type != API_FORM_OBJECT) {
        send_in_form(self, types[event->type], event);
        return;
    }
    api_write_object(self->call, &self->target, event->object, event->rev, &text);
    send_event(self, types[event->type], strbuf_slice(&text));
    strbuf_clear(&text);
}

static void send_bookmark(struct watch_call *self, bool is_begun)
{
    uint64_t rev = ctl_watch_rev(self->watch);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    const struct kind *kind = self->target.kind;
    struct json *object = json_new_object(arena);
    if (self->form.type == API_FORM_TABLE)
        object = api_table_new(arena, kind, self->form.meta_version, false);
    else {
        json_set_str(arena, object, "kind", self->form.type == API_FORM_META ? "PartialObjectMetadata" : kind->kind);
        json_set_str(arena, object, "apiVersion",
                     self->form.type == API_FORM_META ? arena_printf(arena, "meta.k8s.io/%s", self->form.meta_version)
                                                      : kind_api_version(kind, self->target.version, arena).base);
        json_set(arena, object, "metadata", json_new_object(arena));
    }
    json_set_str(arena, json_get(object, "metadata"), "resourceVersion", arena_printf(arena, "%llu", (unsigned long long)rev));
    if (is_begun) {
        struct json *annotations = json_set(arena, json_get(object, "metadata"), "annotations", json_new_object(arena));
        json_set_str(arena, annotations, "k8s.io/initial-events-end", "true");
    }
    self->told_rev = rev;
    send_tree(self, "BOOKMARK", object);
}

/* ---------- the way ---------- */

static void go_on(struct watch_call *self)
{
    struct ctl_event event;
    struct err err = ERR_INIT;
    while (!self->is_full) {
        int status = ctl_watch_next(self->watch, &event, &err);
        if (status == 0) {
            if (self->is_beginning)
                send_bookmark(self, true);
            self->is_beginning = false;
            return;
        }
        if (status < 0) {
            send_error(self, &err);
            finish(self);
            return;
        }
        send_object(self, &event);
        self->told_rev = event.rev;
    }
}

static void on_ready(struct ctl_watch *watch, void *data)
{
    struct watch_call *self = data;
    if (!self->is_full)
        go_on(self);
}

static void on_writable(struct ctl_call *call)
{
    struct watch_call *self = call->data;
    self->is_full = false;
    go_on(self);
}

static void on_gone(struct ctl_call *call)
{
    finish(call->data);
}

/* Tokens end within seconds for those who are watching, too. */
static bool may_go_on(const struct watch_call *self)
{
    struct ctl_call probe = *self->call;
    struct err err = ERR_INIT;
    if (probe.authorization.base == NULL)
        return true;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    probe.arena = arena;
    return ctl_access_identify_again(probe.control->access, &probe, &err) == 0 && api_require(&probe, CTL_ROLE_VIEWER, &self->target, "watch", &err) == 0;
}

static void on_tick(struct timer *timer)
{
    struct watch_call *self = CONTAINER_OF(timer, struct watch_call, timer);
    struct net_worker *worker = self->call->control->worker;
    uint64_t now = net_now_ms(worker);
    if (now >= self->ends_ms || self->call->control->is_stopping || !may_go_on(self)) {
        finish(self);
        return;
    }
    if (self->bookmark_ms != 0 && now >= self->bookmark_ms && !self->is_full) {
        if (ctl_watch_rev(self->watch) > self->told_rev)
            send_bookmark(self, false);
        self->bookmark_ms = now + BOOKMARK_MS;
    }
    timer_start(&worker->timers, timer, now + TICK_MS);
}

/* ---------- beginning ---------- */

static bool is_true(struct slice text)
{
    return text.base != NULL && (slice_is(text, "true") || slice_is(text, "True") || slice_is(text, "1"));
}

/* Absent: half an hour and up, spread so that watchers of one moment do not come back in one. */
static int read_timeout(struct ctl_call *call, uint64_t *ret_s, struct err *err)
{
    struct slice text = ctl_call_param(call, "timeoutSeconds");
    *ret_s = TIMEOUT_MIN_S + crypto_random_u64() % TIMEOUT_MIN_S;
    if (text.len == 0 || slice_is(text, "0"))
        return 0;
    if (!api_parse_u64(text, ret_s))
        return err_set(err, ERR_BAD_REQUEST, "timeoutSeconds: \"%s\" is no number", text.base);
    *ret_s = MIN(*ret_s, (uint64_t)TIMEOUT_MAX_S);
    return 0;
}

/* A list as a stream (sendInitialEvents=true): what is there as ADDED, a bookmark that says so, then changes. false: changes
 * from now on when no revision says from when. */
static int read_beginning(struct watch_call *self, uint64_t *since, struct err *err)
{
    struct ctl_call *call = self->call;
    struct slice initial = ctl_call_param(call, "sendInitialEvents"), match = ctl_call_param(call, "resourceVersionMatch");
    uint64_t head = ctl_cache_rev(call->control->cache);
    bool wants_bookmarks = is_true(ctl_call_param(call, "allowWatchBookmarks"));
    if (initial.len == 0 && match.len != 0)
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: Forbidden: of watches only with sendInitialEvents");
    if (initial.len == 0)
        return 0;
    if (!slice_is(match, "NotOlderThan"))
        return err_set(err, ERR_BAD_REQUEST, "resourceVersionMatch: must be NotOlderThan with sendInitialEvents");
    if (*since > head)
        return err_set(err, ERR_TIMEOUT, "Too large resource version: %llu, current: %llu", (unsigned long long)*since, (unsigned long long)head);
    if (is_true(initial)) {
        *since = 0;
        self->is_beginning = wants_bookmarks;
    } else if (*since == 0) {
        *since = head;
    }
    return 0;
}

static int read_params(struct watch_call *self, struct ctl_filter *filter, uint64_t *since, uint64_t *timeout_s, struct err *err)
{
    struct ctl_call *call = self->call;
    struct slice rev = ctl_call_param(call, "resourceVersion");
    if (api_form(call, &self->form, err) != 0 || read_timeout(call, timeout_s, err) != 0)
        return -1;
    if (self->form.is_yaml)
        return err_set(err, ERR_NOT_ACCEPTABLE, "watches are written as application/json");
    if (rev.len != 0 && !api_parse_u64(rev, since))
        return err_set(err, ERR_BAD_REQUEST, "resourceVersion: \"%s\" is no revision", rev.base);
    if (read_beginning(self, since, err) != 0)
        return -1;
    return api_filter(call, &self->target, filter, err);
}

void api_watch(struct ctl_call *call, const struct api_target *target)
{
    struct watch_call *self = arena_zalloc(call->arena, sizeof(*self));
    struct net_worker *worker = call->control->worker;
    struct ctl_filter filter;
    struct err err = ERR_INIT;
    uint64_t since = 0, timeout_s = 0;
    self->call = call;
    self->target = *target;
    self->include = ctl_call_param(call, "includeObject");
    timer_init(&self->timer, on_tick);
    if (read_params(self, &filter, &since, &timeout_s, &err) != 0) {
        api_fail(call, &err, target, NULL);
        return;
    }
    self->watch = ctl_watch_start(call->control->cache, &filter, since, on_ready, self, &err);
    if (self->watch == NULL && err.code != ERR_GONE) {
        api_fail(call, &err, target, NULL);
        return;
    }
    call->data = self;
    call->on_writable = on_writable;
    call->on_gone = on_gone;
    ctl_call_stream(call, 200, "application/json");
    if (self->watch == NULL) { /* 410 as clients of watches look for it: as an event */
        send_error(self, &err);
        finish(self);
        return;
    }
    self->told_rev = since;
    self->ends_ms = net_now_ms(worker) + timeout_s * 1000;
    self->bookmark_ms = is_true(ctl_call_param(call, "allowWatchBookmarks")) ? net_now_ms(worker) + BOOKMARK_MS : 0;
    timer_start(&worker->timers, &self->timer, net_now_ms(worker) + TICK_MS);
}
