/* Looking into the running system: where does a request go, who runs what, what was done; and backups. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"
#include "core/base/uri.h"
#include "core/route/decide.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

enum { AUDIT_LIMIT = 100, AUDIT_LIMIT_MAX = 1000, WAIT_MAX_S = 60, POLL_MS = 20, EXPLAIN_WAIT_MS = 5000 };

/* ---------- rollout of a revision ---------- */

struct rollout_wait {
    struct ctl_call *call;
    struct timer timer;
    uint64_t rev, until_ms;
};

/* Revisions of statuses are not compiled: one above the last compiled is in it all the same when nothing waits. */
static bool is_compiled_at(const struct ctl_control *control, uint64_t rev)
{
    return ctl_activation_rev(control->activation) >= rev || ctl_activation_is_idle(control->activation);
}

static struct json *rollout_of(struct ctl_call *call, uint64_t rev, bool *ret_settled)
{
    struct ctl_control *control = call->control;
    uint64_t compiled = ctl_activation_rev(control->activation);
    bool is_compiled = is_compiled_at(control, rev);
    struct ctl_rollout counts = ctl_distributor_rollout(control->distributor, is_compiled ? MIN(rev, compiled) : rev);
    const char *error = ctl_activation_error(control->activation);
    struct json *body = json_new_object(call->arena);
    bool is_complete = is_compiled && error[0] == '\0' && counts.pending == 0 && counts.rejected == 0;
    json_set_int(call->arena, body, "revision", (int64_t)rev);
    json_set_int(call->arena, body, "compiledRevision", (int64_t)compiled);
    json_set_bool(call->arena, body, "compiled", is_compiled);
    json_set_str(call->arena, body, "error", error);
    json_set_int(call->arena, body, "synced", is_compiled ? counts.synced : 0);
    json_set_int(call->arena, body, "pending", counts.pending);
    json_set_int(call->arena, body, "rejected", counts.rejected);
    json_set_bool(call->arena, body, "complete", is_complete);
    *ret_settled = is_compiled && (counts.pending == 0 || error[0] != '\0');
    return body;
}

static void on_poll(struct timer *timer)
{
    struct rollout_wait *self = CONTAINER_OF(timer, struct rollout_wait, timer);
    struct net_worker *worker = self->call->control->worker;
    bool is_settled;
    struct json *body = rollout_of(self->call, self->rev, &is_settled);
    if (is_settled || net_now_ms(worker) >= self->until_ms || self->call->is_gone || self->call->control->is_stopping)
        ctl_call_reply_json(self->call, 200, body);
    else
        timer_start(&worker->timers, timer, net_now_ms(worker) + POLL_MS);
}

void api_revision_status(struct ctl_call *call, struct slice rev)
{
    struct rollout_wait *self = arena_zalloc(call->arena, sizeof(*self));
    struct slice wait = ctl_call_param(call, "wait");
    struct err err = ERR_INIT;
    uint64_t wait_s = 0;
    self->call = call;
    if (!api_parse_u64(rev, &self->rev) || self->rev > ctl_store_head(call->control->store))
        err_set(&err, ERR_NOT_FOUND, "revision \"%.*s\" does not exist", (int)MIN(rev.len, (size_t)40), rev.base);
    else if (wait.len != 0 && !api_parse_u64(wait, &wait_s))
        err_set(&err, ERR_BAD_REQUEST, "wait: \"%s\" is no number of seconds", wait.base);
    if (err.code != ERR_NONE) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->until_ms = net_now_ms(call->control->worker) + MIN(wait_s, (uint64_t)WAIT_MAX_S) * 1000;
    timer_init(&self->timer, on_poll);
    on_poll(&self->timer);
}

/* ---------- explain ---------- */

struct explain {
    struct api_job job; /* first */
    struct ctl_call *call;
    struct timer timer;
    uint64_t rev, until_ms; /* what was stored when the call came is compiled first */
    struct strbuf document; /* what gateways run, without keys */
    struct slice method, scheme, host, path, query, client;
    uint16_t port;
    uint64_t seed;
    const struct json *headers;
    struct json *result;
};

static struct slice header_of(const void *data, struct slice name)
{
    const struct explain *self = data;
    if (slice_is(name, "host") || slice_is(name, ":authority"))
        return self->host;
    JSON_FOR(header, self->headers)
    {
        bool is_same = header->key.len == name.len;
        for (size_t i = 0; is_same && i < name.len; ++i)
            is_same = tolower((unsigned char)header->key.base[i]) == name.base[i];
        if (is_same)
            return json_slice(header);
    }
    return (struct slice){NULL, 0};
}

static void *alloc_in_arena(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static const struct cfg_listener *find_listener(const struct explain *self, const struct cfg_snapshot *snapshot)
{
    enum cfg_protocol protocol = slice_is(self->scheme, "https") ? CFG_PROTOCOL_HTTPS : CFG_PROTOCOL_HTTP;
    for (uint32_t i = 0; i < snapshot->num_listeners; ++i)
        if (snapshot->listeners[i].port == self->port && snapshot->listeners[i].protocol == protocol)
            return &snapshot->listeners[i];
    return NULL;
}

static int no_listener(const struct explain *self, const struct cfg_snapshot *snapshot, struct err *err)
{
    struct strbuf ports = STRBUF_INIT;
    for (uint32_t i = 0; i < snapshot->num_listeners; ++i)
        strbuf_addf(&ports, "%s%s:%u", i != 0 ? ", " : "", snapshot->listeners[i].protocol == CFG_PROTOCOL_HTTPS ? "https" : "http", snapshot->listeners[i].port);
    err_set(err, ERR_NOT_FOUND, "no gateway listens for %.*s on port %u; there is: %s", (int)self->scheme.len, self->scheme.base, self->port,
            ports.len != 0 ? ports.base : "nothing");
    strbuf_clear(&ports);
    return -1;
}

static int explain_on(struct explain *self, const struct cfg_snapshot *snapshot, struct err *err)
{
    struct arena *arena = self->call->arena;
    struct rt_request request = {.listener = find_listener(self, snapshot), .method = self->method, .scheme = self->scheme, .host = self->host,
                                 .port = self->port, .path = self->path, .query = self->query, .client = self->client, .header = header_of, .data = self};
    request.alloc = alloc_in_arena;
    request.alloc_data = arena;
    if (request.listener == NULL)
        return no_listener(self, snapshot, err);
    /* Its texts are the snapshot's: copied before that goes. */
    struct json *told = rt_explain(snapshot, &request, self->seed, arena);
    self->result = json_clone(arena, told);
    json_set_int(arena, self->result, "revision", (int64_t)snapshot->rev);
    json_set(arena, self->result, "listener", json_new_string(arena, request.listener->name));
    return 0;
}

static void run_explain(struct api_job *job)
{
    struct explain *self = CONTAINER_OF(job, struct explain, job);
    struct cfg_document *document = cfg_document_parse(strbuf_slice(&self->document), &job->err);
    struct cfg_snapshot *snapshot = document != NULL ? rt_snapshot_build(document, &job->err) : NULL;
    if (snapshot != NULL) {
        (void)explain_on(self, snapshot, &job->err); /* on_explained() tells */
        cfg_snapshot_unref(snapshot);
    }
    cfg_document_free(document);
}

static void on_explained(struct api_job *job)
{
    struct explain *self = CONTAINER_OF(job, struct explain, job);
    strbuf_clear(&self->document);
    if (job->err.code != ERR_NONE)
        api_fail(self->call, &job->err, NULL, NULL);
    else
        ctl_call_reply_json(self->call, 200, self->result);
}

static int read_url(struct explain *self, struct slice text, struct err *err)
{
    struct arena *arena = self->call->arena;
    struct uri uri;
    struct uri_authority authority;
    enum uri_fault fault = uri_parse(text, &uri);
    if (fault != URI_OK)
        return err_set(err, ERR_INVALID, "url: %s", uri_fault_text(fault));
    if (uri.form != URI_ABSOLUTE)
        return err_set(err, ERR_INVALID, "url: must be absolute: http://HOST[:PORT]/PATH");
    fault = uri_authority_parse(uri.authority, arena_alloc(arena, URI_HOST_SCRATCH), &authority);
    if (fault == URI_OK)
        fault = uri_path_normalize(uri.path, 0, arena_alloc(arena, URI_PATH_SCRATCH(uri.path.len)), &self->path);
    if (fault != URI_OK)
        return err_set(err, ERR_INVALID, "url: %s: such a request is answered 400", uri_fault_text(fault));
    self->scheme = uri.scheme;
    self->host = authority.host;
    self->query = uri.query;
    self->port = authority.port != 0 ? authority.port : slice_is(uri.scheme, "https") ? 443 : 80;
    return 0;
}

/* GET ?method=&url=&header=name:value (one), POST {"method","url","headers":{},"port","seed","client"}. */
static int read_explain(struct explain *self, struct err *err)
{
    static const struct ctl_member members[] = {{"method", JSON_STRING}, {"url", JSON_STRING},    {"headers", JSON_OBJECT}, {"port", JSON_NUMBER},
                                                {"seed", JSON_NUMBER},   {"client", JSON_STRING}, {NULL, JSON_NULL}};
    struct ctl_call *call = self->call;
    struct json *body = json_new_object(call->arena);
    struct slice url = ctl_call_param(call, "url"), method = ctl_call_param(call, "method"), header = ctl_call_param(call, "header");
    int64_t port = 0;
    if (slice_is(call->method, "POST")) {
        if (api_body(call, &body, err) != 0 || ctl_call_check_body(body, members, err) != 0)
            return -1;
        url = json_slice(json_get(body, "url"));
        method = json_slice(json_get(body, "method"));
    }
    self->method = method.len != 0 ? method : SLICE("GET");
    if (slice_is(self->method, "CONNECT") || slice_is(self->method, "TRACE"))
        return err_set(err, ERR_INVALID, "method: %.*s is answered 405 and goes nowhere", (int)self->method.len, self->method.base);
    self->headers = json_get(body, "headers");
    self->client = json_slice(json_get(body, "client"));
    self->seed = (uint64_t)json_int_or(json_get(body, "seed"), 0);
    const char *colon = header.len != 0 ? memchr(header.base, ':', header.len) : NULL;
    if (colon != NULL) {
        struct json *headers = json_new_object(call->arena);
        struct slice value = slice_make(colon + 1, header.len - (size_t)(colon + 1 - header.base));
        while (value.len != 0 && value.base[0] == ' ')
            value = slice_make(value.base + 1, value.len - 1);
        json_set_n(call->arena, headers, slice_make(header.base, (size_t)(colon - header.base)), json_new_string(call->arena, value));
        self->headers = headers;
    }
    if (url.len == 0)
        return err_set(err, ERR_INVALID, "url: Required value");
    if (read_url(self, url, err) != 0)
        return -1;
    if (!json_int(json_get(body, "port"), &port))
        return 0;
    if (port < 1 || port > 65535)
        return err_set(err, ERR_INVALID, "port: must be between 1 and 65535");
    self->port = (uint16_t)port; /* the listener's, when clients reach it by another */
    return 0;
}

static void submit_explain(struct explain *self)
{
    struct ctl_call *call = self->call;
    const struct cfg_document *current = ctl_distributor_current(call->control->distributor);
    struct err err = ERR_INIT;
    if (current == NULL) {
        err_set(&err, ERR_UNAVAILABLE, "no configuration has been compiled yet");
        api_fail(call, &err, NULL, NULL);
        return;
    }
    cfg_document_write(current, true, &self->document);
    self->job.run = run_explain;
    self->job.done = on_explained;
    api_job_submit(&self->job, call);
}

/* Who has just applied something asks about that. The answer names its revision when it took too long. */
static void on_explain_poll(struct timer *timer)
{
    struct explain *self = CONTAINER_OF(timer, struct explain, timer);
    struct ctl_control *control = self->call->control;
    uint64_t now_ms = net_now_ms(control->worker);
    if (is_compiled_at(control, self->rev) || now_ms >= self->until_ms || self->call->is_gone || control->is_stopping)
        submit_explain(self);
    else
        timer_start(&control->worker->timers, timer, now_ms + POLL_MS);
}

void api_explain(struct ctl_call *call)
{
    struct explain *self = arena_zalloc(call->arena, sizeof(*self));
    struct err err = ERR_INIT;
    self->call = call;
    if (slice_is(call->method, "POST"))
        call->on_answer = NULL; /* it changes nothing */
    if (read_explain(self, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->rev = ctl_store_head(call->control->store);
    self->until_ms = net_now_ms(call->control->worker) + EXPLAIN_WAIT_MS;
    timer_init(&self->timer, on_explain_poll);
    on_explain_poll(&self->timer);
}

/* ---------- audit ---------- */

struct audit_call {
    struct api_job job; /* first */
    struct ctl_call *call;
    uint64_t before, limit;
    struct json *body, *items;
};

static int on_entry(uint64_t id, const struct ctl_audit *entry, struct slice hash, void *data)
{
    struct audit_call *self = data;
    struct arena *arena = self->call->arena;
    struct json *item = json_push(self->items, json_new_object(arena));
    char at[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339_us(entry->at_us, at);
    json_set_int(arena, item, "id", (int64_t)id);
    json_set_str(arena, item, "time", at);
    json_set(arena, item, "actor", json_new_string(arena, entry->actor));
    json_set(arena, item, "origin", json_new_string(arena, entry->origin));
    json_set(arena, item, "agent", json_new_string(arena, entry->agent));
    json_set(arena, item, "verb", json_new_string(arena, entry->verb));
    json_set(arena, item, "target", json_new_string(arena, entry->target));
    json_set(arena, item, "message", json_new_string(arena, entry->message));
    json_set_int(arena, item, "revision", (int64_t)entry->rev);
    json_set_int(arena, item, "status", entry->status);
    struct strbuf hex = STRBUF_INIT;
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < hash.len; ++i) {
        strbuf_addc(&hex, digits[(unsigned char)hash.base[i] >> 4]);
        strbuf_addc(&hex, digits[(unsigned char)hash.base[i] & 15]);
    }
    json_set(arena, item, "hash", json_new_string(arena, strbuf_slice(&hex)));
    strbuf_clear(&hex);
    return 0;
}

static void run_audit(struct api_job *job)
{
    struct audit_call *self = CONTAINER_OF(job, struct audit_call, job);
    (void)ctl_store_read_audit(self->call->control->store, self->before, (size_t)self->limit, on_entry, self, &job->err); /* answer() tells */
}

static void run_verify(struct api_job *job)
{
    struct audit_call *self = CONTAINER_OF(job, struct audit_call, job);
    struct err err = ERR_INIT;
    uint64_t broken = 0;
    bool is_whole = ctl_store_verify_audit(self->call->control->store, &broken, &err) == 0;
    if (!is_whole && err.code != ERR_CONFLICT) {
        job->err = err;
        return;
    }
    json_set_bool(self->call->arena, self->body, "whole", is_whole);
    if (!is_whole) {
        json_set_int(self->call->arena, self->body, "brokenId", (int64_t)broken);
        json_set_str(self->call->arena, self->body, "message", err.text);
    }
}

static void answer_audit(struct api_job *job)
{
    struct audit_call *self = CONTAINER_OF(job, struct audit_call, job);
    if (job->err.code != ERR_NONE)
        api_fail(self->call, &job->err, NULL, NULL);
    else
        ctl_call_reply_json(self->call, 200, self->body);
}

static struct audit_call *audit_new(struct ctl_call *call, void (*run)(struct api_job *job))
{
    struct audit_call *self = arena_zalloc(call->arena, sizeof(*self));
    self->call = call;
    self->limit = AUDIT_LIMIT;
    self->body = json_new_object(call->arena);
    self->items = json_new_array(call->arena);
    self->job.run = run;
    self->job.done = answer_audit;
    return self;
}

void api_audit(struct ctl_call *call)
{
    struct audit_call *self = audit_new(call, run_audit);
    struct slice before = ctl_call_param(call, "before"), limit = ctl_call_param(call, "limit");
    struct err err = ERR_INIT;
    if ((before.len != 0 && !api_parse_u64(before, &self->before)) || (limit.len != 0 && !api_parse_u64(limit, &self->limit))) {
        err_set(&err, ERR_BAD_REQUEST, "before and limit are numbers");
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->limit = MIN(self->limit, (uint64_t)AUDIT_LIMIT_MAX);
    json_set(call->arena, self->body, "items", self->items);
    api_job_submit(&self->job, call);
}

void api_audit_verify(struct ctl_call *call)
{
    api_job_submit(&audit_new(call, run_verify)->job, call);
}

/* ---------- backup ---------- */

struct backup {
    struct api_job job; /* first */
    struct ctl_call *call;
    const char *path;
    int64_t num_bytes;
};

static void run_backup(struct api_job *job)
{
    struct backup *self = CONTAINER_OF(job, struct backup, job);
    struct stat stat_buf;
    if (ctl_store_backup(self->call->control->store, self->path, &job->err) == 0 && stat(self->path, &stat_buf) == 0)
        self->num_bytes = stat_buf.st_size;
}

static void on_backed_up(struct api_job *job)
{
    struct backup *self = CONTAINER_OF(job, struct backup, job);
    if (job->err.code != ERR_NONE) {
        api_fail(self->call, &job->err, NULL, NULL);
        return;
    }
    struct json *body = json_new_object(self->call->arena);
    json_set_str(self->call->arena, body, "path", self->path);
    json_set_int(self->call->arena, body, "bytes", self->num_bytes);
    json_set_int(self->call->arena, body, "revision", (int64_t)ctl_store_head(self->call->control->store));
    ctl_call_reply_json(self->call, 201, body);
}

/* Into backups/ beside the database; elsewhere only for who is on this host and may open the socket. */
static int read_backup_path(struct backup *self, struct err *err)
{
    static const struct ctl_member members[] = {{"path", JSON_STRING}, {NULL, JSON_NULL}};
    struct ctl_call *call = self->call;
    const char *data_dir = call->control->config.data_dir;
    struct json *body = NULL;
    if ((call->body.len != 0 && api_body(call, &body, err) != 0) || ctl_call_check_body(body, members, err) != 0)
        return -1;
    struct slice path = json_slice(json_get(body, "path"));
    if (path.len == 0) {
        char time[CLOCK_RFC3339_US_LEN + 1];
        clock_rfc3339_us(clock_wall_us(), time);
        for (char *c = time; *c != '\0'; ++c)
            *c = *c == ':' || *c == '.' ? '-' : *c;
        (void)mkdir(arena_printf(call->arena, "%s/backups", data_dir), 0700); /* there already, or the backup says why not */
        self->path = arena_printf(call->arena, "%s/backups/manual-%s.db", data_dir, time);
        return 0;
    }
    if (call->peer != CTL_PEER_UNIX)
        return err_set(err, ERR_FORBIDDEN, "path: only over the unix socket may one be chosen; without it the backup goes to backups/");
    if (path.base[0] != '/')
        return err_set(err, ERR_INVALID, "path: must be absolute");
    self->path = path.base;
    return 0;
}

void api_backup(struct ctl_call *call)
{
    struct backup *self = arena_zalloc(call->arena, sizeof(*self));
    struct err err = ERR_INIT;
    self->call = call;
    if (read_backup_path(self, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->job.run = run_backup;
    self->job.done = on_backed_up;
    api_job_submit(&self->job, call);
}
