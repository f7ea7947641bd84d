/* The dispatcher of the control API, in two steps.
 *
 * With the head: path -> who calls (access.h) -> row of `routes` or a resource path -> role -> is it safe to act on (origin,
 * content type). Whoever is refused is told so before a byte of his body is kept. With the body: is the caller still who he
 * was -> handler. Failures are Status objects that name what was asked for. Every write and every refused attempt is in
 * the audit log: by its transaction when it commits one, else by audit_answer().
 *
 * Foreign web pages: browsers can send forms and text/plain to any address, with a client certificate too; so whatever
 * changes something must say it brings JSON or YAML, and may not come from another origin. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"
#include "core/base/uri.h"

#include <ctype.h>
#include <strings.h>

/* A join is all that is taken from callers without credentials: a name, a token and a certificate request. */
enum { SEGMENTS_MAX = 10, JOIN_BODY_MAX = 16 * 1024 };

struct path {
    struct slice segments[SEGMENTS_MAX]; /* decoded */
    size_t num;
};

/* ---------- audit ---------- */

static bool is_read(const struct ctl_call *call)
{
    return slice_is(call->method, "GET") || slice_is(call->method, "HEAD");
}

static void audit_answer(struct ctl_call *call, unsigned status)
{
    bool is_refused = status == 401 || status == 403 || status == 429;
    if (is_read(call) && !is_refused)
        return;
    char *verb = arena_strndup(call->arena, call->method.base, call->method.len);
    for (char *c = verb; *c != '\0'; ++c)
        *c = (char)tolower((unsigned char)*c);
    struct ctl_audit entry = {.at_us = clock_wall_us(),
                              .actor = call->who != NULL ? call->who->name : SLICE("anonymous"),
                              .origin = call->origin,
                              .agent = call->user_agent.base != NULL ? call->user_agent : SLICE(""),
                              .verb = slice_of(verb),
                              .target = call->path,
                              .message = call->failure.base != NULL ? call->failure : SLICE(""),
                              .status = status};
    ctl_store_audit(call->control->store, &entry);
}

/* ---------- access ---------- */

static int require_anywhere(struct ctl_call *call, enum ctl_role role, const char *what, struct err *err)
{
    struct slice ns = call->who->num_namespaces != 0 ? call->who->namespaces[0] : SLICE("");
    return ctl_access_require(call, role, ns, what, err);
}

int api_require(struct ctl_call *call, enum ctl_role role, const struct api_target *target, const char *verb, struct err *err)
{
    bool is_own_namespace = target->kind->id == KIND_NAMESPACE && target->name.len != 0 && role == CTL_ROLE_VIEWER;
    const char *what = arena_printf(call->arena, "%s %s", verb, api_resource_name(call->arena, target->kind));
    return ctl_access_require(call, role, is_own_namespace ? target->name : target->ns, what, err);
}

bool api_may_see_secrets(const struct ctl_call *call, struct slice ns)
{
    return ctl_access_require(call, CTL_ROLE_EDITOR, ns, "", NULL) == 0;
}

static int check_origin(struct ctl_call *call, struct err *err)
{
    struct slice origin = ctl_call_request_header(call, "origin");
    if (origin.base == NULL || call->x == NULL)
        return 0;
    const char *host = memmem(origin.base, origin.len, "://", 3);
    if (host != NULL && slice_eq(slice_make(host + 3, origin.len - (size_t)(host + 3 - origin.base)), call->x->authority))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "requests that change something are not taken from pages of another origin (%.*s)", (int)MIN(origin.len, (size_t)200), origin.base);
}

static bool is_taken_type(struct slice type)
{
    static const char *const types[] = {"application/json",
                                        "application/json-patch+json",
                                        "application/merge-patch+json",
                                        "application/strategic-merge-patch+json",
                                        "application/apply-patch+yaml",
                                        "application/apply-patch+json"};
    for (size_t i = 0; i < ARRAY_LEN(types); ++i)
        if (slice_is(type, types[i]))
            return true;
    return api_is_yaml(type) || api_is_proto(type);
}

static int check_content(struct ctl_call *call, struct err *err)
{
    struct slice type = api_media_type(call);
    /* No type at all: kubectl create does that. A page could too (a Blob), but not with a token of its own, not over the
     * socket, and not as DELETE; and browsers name their origin with it. */
    bool may_lack = call->authorization.base != NULL || call->peer == CTL_PEER_UNIX || (slice_is(call->method, "DELETE") && call->x != NULL && !call->x->has_body);
    if (is_taken_type(type) || (may_lack && type.len == 0))
        return 0;
    return err_set(err, ERR_MEDIA_TYPE, "Content-Type \"%.*s\" is not taken: use application/json or application/yaml", (int)MIN(type.len, (size_t)200),
                   type.base != NULL ? type.base : "");
}

static int check_write(struct ctl_call *call, struct err *err)
{
    if (is_read(call))
        return 0;
    return check_origin(call, err) != 0 || check_content(call, err) != 0 ? -1 : 0;
}

/* ---------- small handlers ---------- */

static void run_health(struct ctl_call *call, const struct slice *args)
{
    ctl_call_reply(call, 200, "text/plain; charset=utf-8", SLICE("ok"));
}

/* Ready: takes writes, and what was stored has been compiled, so that nodes are served. A compile that failed counts: what
 * is wrong has to be mended through this API. */
static void run_ready(struct ctl_call *call, const struct slice *args)
{
    struct ctl_control *control = call->control;
    struct err err = ERR_INIT;
    bool was_compiled = ctl_distributor_current(control->distributor) != NULL || *ctl_activation_error(control->activation) != '\0';
    if (ctl_store_is_read_only(control->store, &err))
        ctl_call_reply(call, 503, "text/plain; charset=utf-8", slice_of(err.text));
    else if (ctl_store_is_full(control->store))
        ctl_call_reply(call, 503, "text/plain; charset=utf-8", SLICE("the disk is full"));
    else if (!was_compiled)
        ctl_call_reply(call, 503, "text/plain; charset=utf-8", SLICE("the stored configuration is still being compiled"));
    else
        run_health(call, args);
}

/* As kubectl expects it: the Kubernetes release whose conventions are followed, ours behind the plus sign. */
static void run_version(struct ctl_call *call, const struct slice *args)
{
    struct json *body = json_new_object(call->arena);
    json_set_str(call->arena, body, "major", "1");
    json_set_str(call->arena, body, "minor", "32");
    json_set_str(call->arena, body, "gitVersion", "v1.32.0+selvedge-" SELVEDGE_VERSION);
    json_set_str(call->arena, body, "gitCommit", "");
    json_set_str(call->arena, body, "gitTreeState", "clean");
    json_set_str(call->arena, body, "buildDate", "1970-01-01T00:00:00Z");
    json_set_str(call->arena, body, "goVersion", "none");
    json_set_str(call->arena, body, "compiler", "cc");
    json_set_str(call->arena, body, "platform", "linux/amd64");
    ctl_call_reply_json(call, 200, body);
}

/* ---------- the table ---------- */

enum scope {
    OPEN,       /* no credentials needed */
    BY_HANDLER, /* the handler checks: nodes by certificate, joins by token */
    ANYWHERE,   /* the role in any namespace */
    EVERYWHERE, /* the role in all of them */
};

struct route {
    const char *method, *pattern; /* "*": one segment, an argument */
    enum scope scope;
    enum ctl_role role;
    void (*run)(struct ctl_call *call, const struct slice *args);
};

#define WRAP0(name, call_it)                                                                                 \
    static void name(struct ctl_call *call, const struct slice *args)                                        \
    {                                                                                                        \
        call_it;                                                                                             \
    }
WRAP0(run_core, api_discovery_core(call))
WRAP0(run_groups, api_discovery_groups(call))
WRAP0(run_group, api_discovery_group(call, args[0]))
WRAP0(run_core_resources, api_discovery_resources(call, SLICE(""), SLICE("v1")))
WRAP0(run_resources, api_discovery_resources(call, args[0], args[1]))
WRAP0(run_openapi_v2, api_openapi_v2(call))
WRAP0(run_openapi_v3, api_openapi_v3(call))
WRAP0(run_openapi_v3_core, api_openapi_v3_group(call, SLICE(""), args[0]))
WRAP0(run_openapi_v3_group, api_openapi_v3_group(call, args[0], args[1]))
WRAP0(run_events, api_no_events(call))
WRAP0(run_apply, api_bulk_apply(call))
WRAP0(run_revisions, api_revisions(call))
WRAP0(run_revision, api_revision(call, args[0]))
WRAP0(run_revision_status, api_revision_status(call, args[0]))
WRAP0(run_diff, api_diff_revisions(call))
WRAP0(run_rollback, api_rollback(call))
WRAP0(run_whoami, api_whoami(call))
WRAP0(run_audit, api_audit(call))
WRAP0(run_audit_verify, api_audit_verify(call))
WRAP0(run_backup, api_backup(call))
WRAP0(run_token_create, ctl_access_token_create(call->control->access, call))
WRAP0(run_token_list, ctl_access_token_list(call->control->access, call))
WRAP0(run_token_revoke, ctl_access_token_revoke(call->control->access, call, args[0]))
WRAP0(run_join, ctl_nodes_join(call->control->nodes, call))
WRAP0(run_join_create, ctl_nodes_token_create(call->control->nodes, call))
WRAP0(run_join_list, ctl_nodes_token_list(call->control->nodes, call))
WRAP0(run_join_revoke, ctl_nodes_token_revoke(call->control->nodes, call, args[0]))
WRAP0(run_node_stream, ctl_nodes_stream(call->control->nodes, call, args[0]))
WRAP0(run_node_snapshot, ctl_nodes_snapshot(call->control->nodes, call, args[0]))
WRAP0(run_node_certificate, ctl_nodes_renew(call->control->nodes, call, args[0]))

/* Questions that come by POST: they change nothing, so only refused ones are worth a line in the audit log. */
#define QUERY(name, ask)                                                                                     \
    static void name(struct ctl_call *call, const struct slice *args)                                        \
    {                                                                                                        \
        call->on_answer = NULL;                                                                              \
        ask(call);                                                                                           \
    }
QUERY(run_explain, api_explain)
QUERY(run_access_review, api_review_access)
QUERY(run_rules_review, api_review_rules)
QUERY(run_self_review, api_review_self)

/* Reports come with every revision from every node: only refused ones are worth a line. */
static void run_node_report(struct ctl_call *call, const struct slice *args)
{
    if (call->who->role == CTL_ROLE_NODE)
        call->on_answer = NULL;
    ctl_nodes_report(call->control->nodes, call, args[0]);
}

static const struct route routes[] = {
    {"GET", "/healthz", OPEN, CTL_ROLE_NONE, run_health},
    {"GET", "/livez", OPEN, CTL_ROLE_NONE, run_health},
    {"GET", "/readyz", OPEN, CTL_ROLE_NONE, run_ready},
    {"GET", "/version", OPEN, CTL_ROLE_NONE, run_version},
    {"GET", "/api", ANYWHERE, CTL_ROLE_VIEWER, run_core},
    {"GET", "/api/v1", ANYWHERE, CTL_ROLE_VIEWER, run_core_resources},
    {"GET", "/apis", ANYWHERE, CTL_ROLE_VIEWER, run_groups},
    {"GET", "/apis/*", ANYWHERE, CTL_ROLE_VIEWER, run_group},
    {"GET", "/apis/*/*", ANYWHERE, CTL_ROLE_VIEWER, run_resources},
    {"GET", "/openapi/v2", ANYWHERE, CTL_ROLE_VIEWER, run_openapi_v2},
    {"GET", "/openapi/v3", ANYWHERE, CTL_ROLE_VIEWER, run_openapi_v3},
    {"GET", "/openapi/v3/api/*", ANYWHERE, CTL_ROLE_VIEWER, run_openapi_v3_core},
    {"GET", "/openapi/v3/apis/*/*", ANYWHERE, CTL_ROLE_VIEWER, run_openapi_v3_group},
    {"GET", "/api/v1/events", ANYWHERE, CTL_ROLE_VIEWER, run_events},
    {"GET", "/api/v1/namespaces/*/events", ANYWHERE, CTL_ROLE_VIEWER, run_events},
    {"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", ANYWHERE, CTL_ROLE_VIEWER, run_access_review},
    {"POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", ANYWHERE, CTL_ROLE_VIEWER, run_rules_review},
    {"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", ANYWHERE, CTL_ROLE_VIEWER, run_self_review},
    {"POST", "/selvedge/v1/apply", ANYWHERE, CTL_ROLE_EDITOR, run_apply},
    {"GET", "/selvedge/v1/revisions", EVERYWHERE, CTL_ROLE_VIEWER, run_revisions},
    {"GET", "/selvedge/v1/revisions/*", EVERYWHERE, CTL_ROLE_VIEWER, run_revision},
    {"GET", "/selvedge/v1/revisions/*/status", ANYWHERE, CTL_ROLE_VIEWER, run_revision_status},
    {"GET", "/selvedge/v1/diff", EVERYWHERE, CTL_ROLE_VIEWER, run_diff},
    {"POST", "/selvedge/v1/rollback", EVERYWHERE, CTL_ROLE_EDITOR, run_rollback},
    {"GET", "/selvedge/v1/explain", EVERYWHERE, CTL_ROLE_VIEWER, run_explain},
    {"POST", "/selvedge/v1/explain", EVERYWHERE, CTL_ROLE_VIEWER, run_explain},
    {"GET", "/selvedge/v1/whoami", BY_HANDLER, CTL_ROLE_NONE, run_whoami},
    {"GET", "/selvedge/v1/audit", EVERYWHERE, CTL_ROLE_ADMIN, run_audit},
    {"GET", "/selvedge/v1/audit/verify", EVERYWHERE, CTL_ROLE_ADMIN, run_audit_verify},
    {"POST", "/selvedge/v1/backup", EVERYWHERE, CTL_ROLE_ADMIN, run_backup},
    {"POST", "/selvedge/v1/tokens", EVERYWHERE, CTL_ROLE_ADMIN, run_token_create},
    {"GET", "/selvedge/v1/tokens", EVERYWHERE, CTL_ROLE_ADMIN, run_token_list},
    {"DELETE", "/selvedge/v1/tokens/*", EVERYWHERE, CTL_ROLE_ADMIN, run_token_revoke},
    {"POST", "/selvedge/v1/join", BY_HANDLER, CTL_ROLE_NONE, run_join},
    {"POST", "/selvedge/v1/join-tokens", EVERYWHERE, CTL_ROLE_ADMIN, run_join_create},
    {"GET", "/selvedge/v1/join-tokens", EVERYWHERE, CTL_ROLE_ADMIN, run_join_list},
    {"DELETE", "/selvedge/v1/join-tokens/*", EVERYWHERE, CTL_ROLE_ADMIN, run_join_revoke},
    {"GET", "/selvedge/v1/nodes/*/stream", BY_HANDLER, CTL_ROLE_NODE, run_node_stream},
    {"GET", "/selvedge/v1/nodes/*/snapshot", BY_HANDLER, CTL_ROLE_NODE, run_node_snapshot},
    {"POST", "/selvedge/v1/nodes/*/status", BY_HANDLER, CTL_ROLE_NODE, run_node_report},
    {"POST", "/selvedge/v1/nodes/*/certificate", BY_HANDLER, CTL_ROLE_NODE, run_node_certificate},
};

static bool matches(const char *pattern, const struct path *path, struct slice *args)
{
    size_t num_args = 0, i = 0;
    for (; *pattern == '/'; ++i) {
        size_t len = strcspn(++pattern, "/");
        if (i == path->num)
            return false;
        if (len == 1 && *pattern == '*')
            args[num_args++] = path->segments[i];
        else if (!slice_eq(slice_make(pattern, len), path->segments[i]))
            return false;
        pattern += len;
    }
    return i == path->num;
}

static bool is_method(const struct ctl_call *call, const char *method)
{
    return slice_is(call->method, method) || (slice_is(call->method, "HEAD") && strcmp(method, "GET") == 0);
}

/* The row, or NULL; then `ret_allow` is filled when other methods would do. */
static const struct route *find_route(const struct ctl_call *call, const struct path *path, struct slice *args, struct strbuf *ret_allow)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); ++i) {
        if (!matches(routes[i].pattern, path, args))
            continue;
        if (is_method(call, routes[i].method))
            return &routes[i];
        strbuf_addf(ret_allow, "%s%s", ret_allow->len != 0 ? ", " : "", routes[i].method);
    }
    return NULL;
}

static int wrong_method(struct ctl_call *call, struct slice allowed, struct err *err)
{
    ctl_call_header(call, "allow", allowed);
    return err_set(err, ERR_METHOD, "%.*s is not possible on %.*s, which takes only %.*s", (int)MIN(call->method.len, (size_t)20), call->method.base,
                   (int)MIN(call->path.len, (size_t)300), call->path.base, (int)allowed.len, allowed.base);
}

/* What begin() found out, for dispatch(). */
struct plan {
    const struct route *route; /* or NULL: */
    const struct verb *verb;
    struct api_target *target;
    struct slice args[SEGMENTS_MAX];
};

static bool is_join(const struct route *route)
{
    return route->run == run_join;
}

static int check_route(struct ctl_call *call, const struct plan *plan, struct err *err)
{
    const struct route *route = plan->route;
    const char *what = arena_printf(call->arena, "%s %.*s", route->method, (int)call->path.len, call->path.base);
    int status = 0;
    if (route->scope == ANYWHERE)
        status = require_anywhere(call, route->role, what, err);
    else if (route->scope == EVERYWHERE)
        status = ctl_access_require(call, route->role, SLICE(""), what, err);
    else if (route->role == CTL_ROLE_NODE)
        status = ctl_nodes_check(call->control->nodes, call, plan->args[0], err);
    else if (is_join(route))
        status = ctl_access_check_lockout(call->control->access, call, err);
    return status != 0 ? -1 : check_write(call, err);
}

/* ---------- resource paths ---------- */

static int unknown_kind(struct err *err, struct slice group, struct slice version, struct slice plural)
{
    return err_set(err, ERR_NOT_FOUND, "the server does not serve \"%.*s\" in %.*s%s%.*s", (int)MIN(plural.len, (size_t)100), plural.base,
                   (int)MIN(group.len, (size_t)100), group.base, group.len != 0 ? "/" : "", (int)MIN(version.len, (size_t)100), version.base);
}

/* What follows the version: [namespaces NS] plural [name [status]]. */
static int parse_target(struct slice group, struct slice version, const struct slice *at, size_t num, struct api_target *ret, struct err *err)
{
    struct slice ns = SLICE("");
    bool has_ns = false;
    if (num >= 3 && slice_is(at[0], "namespaces") && kind_find_plural(group, version, at[2]) != NULL) {
        ns = at[1];
        has_ns = true;
        at += 2;
        num -= 2;
    }
    const struct kind *kind = kind_find_plural(group, version, at[0]);
    if (kind == NULL) /* "namespaces" of a group that has none: what stands in them is meant */
        return unknown_kind(err, group, version, num >= 3 && slice_is(at[0], "namespaces") ? at[2] : at[0]);
    *ret = (struct api_target){.kind = kind, .ns = ns, .name = num > 1 ? at[1] : SLICE("")};
    for (const char *const *served = kind->versions; *served != NULL; ++served)
        if (slice_is(version, *served))
            ret->version = *served;
    ret->is_status = num == 3 && kind->has_status && slice_is(at[2], "status");
    if (has_ns != kind->is_namespaced && (has_ns || num > 1))
        return err_set(err, ERR_NOT_FOUND, has_ns ? "%s are not in namespaces" : "%s are in namespaces: the path must name one", kind->plural);
    if (num >= 3 && !ret->is_status && kind->id == KIND_NAMESPACE) /* pods of a namespace: that they are not served is the news */
        return unknown_kind(err, group, version, at[2]);
    if (num > 3 || (num == 3 && !ret->is_status))
        return err_set(err, ERR_NOT_FOUND, "%s have no subresource \"%.*s\"", kind->plural, (int)MIN(at[2].len, (size_t)100), at[2].base);
    if (num > 1 && (at[1].len == 0 || (has_ns && ns.len == 0)))
        return err_set(err, ERR_NOT_FOUND, "the path names nothing");
    return 0;
}

struct verb {
    const char *method;
    bool is_collection, on_status;
    enum ctl_role role;
    const char *name;
    void (*run)(struct ctl_call *call, const struct api_target *target);
};

static void list_or_watch(struct ctl_call *call, const struct api_target *target)
{
    struct slice watch = ctl_call_param(call, "watch");
    if (watch.base != NULL && (slice_is(watch, "1") || (watch.len == 4 && strncasecmp(watch.base, "true", 4) == 0)))
        api_watch(call, target);
    else
        api_list(call, target);
}

static const struct verb verbs[] = {
    {"GET", true, false, CTL_ROLE_VIEWER, "list", list_or_watch},
    {"POST", true, false, CTL_ROLE_EDITOR, "create", api_create},
    {"DELETE", true, false, CTL_ROLE_EDITOR, "delete", api_delete_collection},
    {"GET", false, true, CTL_ROLE_VIEWER, "get", api_get},
    {"PUT", false, true, CTL_ROLE_EDITOR, "update", api_update},
    {"PATCH", false, true, CTL_ROLE_EDITOR, "patch", api_patch},
    {"DELETE", false, false, CTL_ROLE_EDITOR, "delete", api_delete},
};

/* Across all namespaces there are lists and watches only, as in Kubernetes: one DELETE too high in the tree is no wipe-out. */
static bool fits(const struct verb *verb, const struct api_target *target)
{
    if (target->kind->is_namespaced && target->ns.len == 0 && verb->run != list_or_watch)
        return false;
    return verb->is_collection == (target->name.len == 0) && (!target->is_status || verb->on_status);
}

static const struct verb *find_verb(const struct ctl_call *call, const struct api_target *target)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); ++i)
        if (fits(&verbs[i], target) && is_method(call, verbs[i].method))
            return &verbs[i];
    return NULL;
}

static struct slice allowed_on(struct ctl_call *call, const struct api_target *target)
{
    struct slice allowed = SLICE("");
    for (size_t i = 0; i < ARRAY_LEN(verbs); ++i)
        if (fits(&verbs[i], target))
            allowed = slice_of(arena_printf(call->arena, "%s%s%s", allowed.base, allowed.len != 0 ? ", " : "", verbs[i].method));
    return allowed;
}

/* A node's object is its admission: who may change it lets machines in. */
static enum ctl_role role_of(const struct verb *verb, const struct kind *kind)
{
    return kind->id == KIND_NODE && verb->role == CTL_ROLE_EDITOR ? CTL_ROLE_ADMIN : verb->role;
}

bool api_may(struct ctl_call *call, const struct api_target *target, struct slice name)
{
    struct err err = ERR_INIT;
    name = slice_is(name, "watch") ? SLICE("list") : slice_is(name, "deletecollection") ? SLICE("delete") : name;
    for (size_t i = 0; i < ARRAY_LEN(verbs); ++i) {
        struct api_target about = *target;
        if (!slice_is(name, verbs[i].name) || (target->is_status && !verbs[i].on_status))
            continue;
        if (verbs[i].is_collection)
            about.name = SLICE("");
        return api_require(call, role_of(&verbs[i], target->kind), &about, verbs[i].name, &err) == 0;
    }
    return false;
}

static int check_resource(struct ctl_call *call, const struct path *path, struct plan *plan, struct err *err)
{
    bool is_core = path->num >= 3 && slice_is(path->segments[0], "api"), is_group = path->num >= 4 && slice_is(path->segments[0], "apis");
    if (!is_core && !is_group)
        return err_set(err, ERR_NOT_FOUND, "nothing is served at %.*s", (int)MIN(call->path.len, (size_t)300), call->path.base);
    size_t skip = is_core ? 2 : 3;
    struct api_target *target = plan->target = arena_zalloc(call->arena, sizeof(*target));
    if (require_anywhere(call, CTL_ROLE_VIEWER, "use the API", err) != 0 ||
        parse_target(is_core ? SLICE("") : path->segments[1], path->segments[skip - 1], path->segments + skip, path->num - skip, target, err) != 0)
        return -1;
    const struct verb *verb = plan->verb = find_verb(call, target);
    if (verb == NULL)
        return wrong_method(call, allowed_on(call, target), err);
    return api_require(call, role_of(verb, target->kind), target, verb->name, err) != 0 ? -1 : check_write(call, err);
}

/* ---------- the dispatcher ---------- */

static size_t count_segments(struct slice path)
{
    size_t num = 0;
    for (size_t i = 0; i + 1 < path.len; ++i)
        num += path.base[i] == '/' && path.base[i + 1] != '/';
    return num;
}

static int read_path(struct ctl_call *call, struct path *ret, struct err *err)
{
    struct slice normal, rest;
    enum uri_fault fault = uri_path_normalize(call->path, 0, arena_alloc(call->arena, URI_PATH_SCRATCH(call->path.len)), &normal);
    if (fault != URI_OK)
        return err_set(err, ERR_BAD_REQUEST, "the path %s", uri_fault_text(fault));
    if (count_segments(call->path) != count_segments(normal)) /* no client of ours makes such: better told than guessed at */
        return err_set(err, ERR_BAD_REQUEST, "the path has dot segments");
    call->path = normal;
    rest = slice_make(normal.base + 1, normal.len - 1);
    if (rest.len != 0 && rest.base[rest.len - 1] == '/')
        --rest.len;
    for (ret->num = 0; rest.len != 0; ++ret->num) {
        const char *slash = memchr(rest.base, '/', rest.len);
        size_t len = slash != NULL ? (size_t)(slash - rest.base) : rest.len;
        if (ret->num == SEGMENTS_MAX)
            return err_set(err, ERR_NOT_FOUND, "nothing is served so deep");
        char *text = arena_alloc(call->arena, len + 1);
        ssize_t decoded = uri_decode(slice_make(rest.base, len), false, text);
        if (decoded < 0)
            return err_set(err, ERR_BAD_REQUEST, "the path is not encoded well");
        text[decoded] = '\0';
        ret->segments[ret->num] = slice_make(text, (size_t)decoded);
        rest = slash != NULL ? slice_make(slash + 1, rest.len - len - 1) : SLICE("");
    }
    return 0;
}

bool api_may_call(struct ctl_call *call, struct slice method, struct slice text)
{
    struct ctl_call probe = *call;
    struct path path;
    struct slice args[SEGMENTS_MAX];
    struct strbuf ignored = STRBUF_INIT;
    struct err err = ERR_INIT;
    probe.method = method;
    probe.path = text;
    const struct route *route = read_path(&probe, &path, &err) == 0 ? find_route(&probe, &path, args, &ignored) : NULL;
    strbuf_clear(&ignored);
    if (route == NULL)
        return false;
    return route->scope == OPEN || (route->scope == ANYWHERE && require_anywhere(&probe, route->role, "", &err) == 0) ||
           (route->scope == EVERYWHERE && ctl_access_require(&probe, route->role, SLICE(""), "", &err) == 0);
}

void api_each_readable_path(struct ctl_call *call, void (*on_path)(const char *pattern, void *data), void *data)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); ++i)
        if (strcmp(routes[i].method, "GET") == 0 && api_may_call(call, SLICE("GET"), slice_of(routes[i].pattern)))
            on_path(routes[i].pattern, data);
}

static int make_plan(struct ctl_call *call, struct plan *plan, struct err *err)
{
    struct path path;
    struct strbuf allow = STRBUF_INIT;
    if (read_path(call, &path, err) != 0)
        return -1;
    plan->route = find_route(call, &path, plan->args, &allow);
    struct slice allowed = arena_slice(call->arena, strbuf_slice(&allow));
    strbuf_clear(&allow);
    if (plan->route != NULL && plan->route->scope == OPEN)
        return 0;
    if (ctl_access_identify(call->control->access, call, err) != 0)
        return -1;
    if (plan->route != NULL)
        return check_route(call, plan, err);
    return allowed.len != 0 ? wrong_method(call, allowed, err) : check_resource(call, &path, plan, err);
}

void ctl_api_begin(struct ctl_call *call)
{
    struct err err = ERR_INIT;
    struct plan *plan = arena_zalloc(call->arena, sizeof(*plan));
    call->on_answer = audit_answer;
    call->data = plan;
    if (make_plan(call, plan, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    call->is_anonymous = call->who == NULL || call->who->role == CTL_ROLE_NONE;
    if (call->is_anonymous)
        call->max_body = is_join(plan->route) ? JOIN_BODY_MAX : 0;
}

/* A body may have taken its time to come: who lost his token meanwhile does not get to use it. */
static int check_again(struct ctl_call *call, struct err *err)
{
    bool has_waited = call->x != NULL && call->x->has_body;
    return has_waited && call->who != NULL ? ctl_access_identify_again(call->control->access, call, err) : 0;
}

void ctl_api_dispatch(struct ctl_call *call)
{
    const struct plan *plan = call->data;
    struct err err = ERR_INIT;
    call->data = NULL;
    if (check_again(call, &err) != 0)
        api_fail(call, &err, NULL, NULL);
    else if (plan->route != NULL)
        plan->route->run(call, plan->args);
    else
        plan->verb->run(call, plan->target);
}
