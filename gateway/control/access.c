/* Tokens in memory, hashed; the store is written first. Requirements by role and namespace.
 *
 * Creating and revoking go one at a time, in the order in which they came: each looks at the tokens in memory, writes the
 * store, then changes memory, before the next one looks. So memory is what the store is, whoever races. */
#include "gateway/control/access.h"

#include "core/base/clock.h"
#include "core/base/crypto.h"
#include "core/base/hashmap.h"
#include "core/model/format.h"
#include "gateway/control/lockout.h"

#include <stdio.h>
#include <strings.h>

enum {
    TOKEN_BYTES = 24,
    HASH_LEN = 2 * CRYPTO_SHA256_LEN,
    MAX_TTL_S = 3650 * 24 * 3600,
};

#define SPACE "token"
#define TOKEN_PREFIX "sv_"

static const char *const role_names[] = {"none", "node", "viewer", "editor", "admin"};

struct token {
    struct list link;
    char *name, hash[HASH_LEN + 1], *text; /* text: as stored */
    enum ctl_role role;
    int64_t expires_us; /* 0: never */
    struct slice *namespaces;
    uint32_t num_namespaces;
    struct arena *arena;
};

struct ctl_access {
    struct net_worker *worker;
    struct ctl_store *store;
    char *trust_domain;
    struct list tokens;
    struct hashmap tokens_by_hash, tokens_by_name;
    struct list operations; /* of struct operation: the first is under way */
    struct ctl_lockout *lockout;
};

/* ---------- tokens ---------- */

static int parse_role(const char *name, enum ctl_role *ret)
{
    for (enum ctl_role role = CTL_ROLE_VIEWER; role <= CTL_ROLE_ADMIN; ++role) {
        if (strcmp(name, role_names[role]) == 0) {
            *ret = role;
            return 0;
        }
    }
    return -1;
}

static void hash_token(struct slice token, char out[HASH_LEN + 1])
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    crypto_sha256(token, digest);
    hex_encode(digest, sizeof(digest), out);
}

static void token_free(struct token *token)
{
    free(token->name);
    free(token->text);
    arena_free(token->arena);
    free(token);
}

static struct token *token_parse(struct slice name, struct slice text)
{
    struct token *token = xcalloc(1, sizeof(*token));
    token->arena = arena_new(512);
    token->name = xstrndup(name.base, name.len);
    token->text = xstrndup(text.base, text.len);
    struct json *stored = json_parse(token->arena, text, NULL);
    const struct json *namespaces = json_get(stored, "namespaces");
    struct slice hash = json_slice(json_get(stored, "hash"));
    if (stored == NULL || hash.len != HASH_LEN || parse_role(json_str(json_get(stored, "role"), ""), &token->role) != 0) {
        token_free(token);
        return NULL;
    }
    memcpy(token->hash, hash.base, HASH_LEN);
    token->expires_us = json_int_or(json_get(stored, "expiresUs"), 0);
    if (namespaces != NULL && namespaces->num != 0)
        token->namespaces = arena_alloc(token->arena, namespaces->num * sizeof(struct slice));
    JSON_FOR(item, namespaces)
    token->namespaces[token->num_namespaces++] = json_slice(item);
    return token;
}

static void token_remove(struct ctl_access *access, struct token *token)
{
    hashmap_remove(&access->tokens_by_hash, token->hash, HASH_LEN);
    hashmap_remove(&access->tokens_by_name, token->name, strlen(token->name));
    list_remove(&token->link);
    token_free(token);
}

static void token_insert(struct ctl_access *access, struct token *token)
{
    struct token *old = hashmap_gets(&access->tokens_by_name, token->name);
    if (old != NULL)
        token_remove(access, old);
    list_push(&access->tokens, &token->link);
    hashmap_put(&access->tokens_by_hash, token->hash, HASH_LEN, token);
    hashmap_puts(&access->tokens_by_name, token->name, token);
}

static int load_token(struct slice name, struct slice value, void *data)
{
    struct token *token = token_parse(name, value);
    if (token != NULL)
        token_insert(data, token);
    return 0;
}

struct ctl_access *ctl_access_open(struct net_worker *worker, struct ctl_store *store, const char *trust_domain, struct err *err)
{
    struct ctl_access *access = xcalloc(1, sizeof(*access));
    access->worker = worker;
    access->store = store;
    access->trust_domain = xstrdup(trust_domain);
    list_init(&access->tokens);
    list_init(&access->operations);
    access->lockout = ctl_lockout_new();
    if (ctl_store_blob_list(store, SPACE, load_token, access, err) != 0)
        return ctl_access_free(access);
    return access;
}

struct ctl_access *ctl_access_free(struct ctl_access *access)
{
    if (access == NULL)
        return NULL;
    LIST_FOR_SAFE(token, &access->tokens, struct token, link)
    token_remove(access, token);
    hashmap_clear(&access->tokens_by_hash);
    hashmap_clear(&access->tokens_by_name);
    ctl_lockout_free(access->lockout);
    free(access->trust_domain);
    free(access);
    return NULL;
}

/* ---------- making tokens ---------- */

struct token_spec {
    const char *name, *role;
    int64_t expires_us;
    const struct json *namespaces;
    struct slice by;
};

/* The token's text (heap; shown once) and what is stored of it. */
static char *make_token(const struct token_spec *spec, struct strbuf *stored)
{
    char token[sizeof(TOKEN_PREFIX) + CRYPTO_TOKEN_LEN(TOKEN_BYTES)], hash[HASH_LEN + 1];
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    memcpy(token, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
    crypto_token(token + sizeof(TOKEN_PREFIX) - 1, TOKEN_BYTES);
    hash_token(slice_of(token), hash);
    struct json *object = json_new_object(arena);
    json_set_str(arena, object, "hash", hash);
    json_set_str(arena, object, "role", spec->role);
    json_set_int(arena, object, "createdUs", clock_wall_us());
    json_set_int(arena, object, "expiresUs", spec->expires_us);
    json_set(arena, object, "by", json_new_string(arena, spec->by));
    if (spec->namespaces != NULL)
        json_set(arena, object, "namespaces", json_clone(arena, spec->namespaces));
    json_write(stored, object);
    return xstrdup(token);
}

char *ctl_access_bootstrap(struct ctl_access *access, struct err *err)
{
    struct token_spec spec = {.name = "admin", .role = "admin", .by = SLICE("system:setup")};
    struct strbuf stored = STRBUF_INIT;
    if (!list_is_empty(&access->tokens))
        return NULL;
    char *text = make_token(&spec, &stored);
    if (ctl_store_blob_put(access->store, SPACE, spec.name, strbuf_slice(&stored), err) == 0) {
        token_insert(access, token_parse(slice_of(spec.name), strbuf_slice(&stored)));
    } else {
        free(text);
        text = NULL;
    }
    strbuf_clear(&stored);
    return text;
}

/* ---------- lock-out ---------- */

/* Whoever may open control.sock is an administrator without any token: guessing gains nothing there, and a script with an
 * old token must not lock out the others of its user. */
static bool is_counted(const struct ctl_call *call)
{
    return call->peer != CTL_PEER_UNIX;
}

void ctl_access_count_failure(struct ctl_access *access, const struct ctl_call *call)
{
    if (is_counted(call))
        ctl_lockout_count(access->lockout, call->origin, clock_mono_us());
}

int ctl_access_check_lockout(struct ctl_access *access, struct ctl_call *call, struct err *err)
{
    unsigned wait_s = is_counted(call) ? ctl_lockout_wait_s(access->lockout, call->origin, clock_mono_us()) : 0;
    if (wait_s == 0)
        return 0;
    call->retry_after_s = wait_s;
    return err_set(err, ERR_TOO_MANY, "too many failed sign-ins from this address; try again in %u s", wait_s);
}

/* ---------- identifying ---------- */

static struct ctl_identity *identity_new(struct ctl_call *call, const char *prefix, struct slice name, enum ctl_role role)
{
    struct ctl_identity *who = arena_zalloc(call->arena, sizeof(*who));
    who->name = slice_of(arena_printf(call->arena, "%s%.*s", prefix, (int)name.len, name.base));
    who->role = role;
    return who;
}

/* By digest: timing tells nothing about the token. */
static const struct token *find_token(const struct ctl_access *access, struct slice text)
{
    char hash[HASH_LEN + 1];
    hash_token(text, hash);
    return hashmap_get(&access->tokens_by_hash, hash, HASH_LEN);
}

static int identify_token(struct ctl_access *access, struct ctl_call *call, struct slice text, struct err *err)
{
    const struct token *token = find_token(access, text);
    if (token == NULL)
        return err_set(err, ERR_UNAUTHORIZED, "the token is not valid");
    if (token->expires_us != 0 && token->expires_us < clock_wall_us())
        return err_set(err, ERR_UNAUTHORIZED, "the token has expired");
    call->who = identity_new(call, "token:", slice_of(token->name), token->role);
    call->who->num_namespaces = token->num_namespaces;
    call->who->namespaces = arena_alloc(call->arena, token->num_namespaces * sizeof(struct slice));
    for (uint32_t i = 0; i < token->num_namespaces; ++i)
        call->who->namespaces[i] = arena_slice(call->arena, token->namespaces[i]);
    return 0;
}

static bool strip_bearer(struct slice header, struct slice *ret)
{
    if (header.len <= 7 || strncasecmp(header.base, "bearer ", 7) != 0)
        return false;
    *ret = slice_make(header.base + 7, header.len - 7);
    while (ret->len > 0 && ret->base[0] == ' ') {
        ++ret->base;
        --ret->len;
    }
    return true;
}

/* Without a token: by the way the call came. */
static void identify_peer(struct ctl_call *call)
{
    if (call->peer == CTL_PEER_UNIX)
        call->who = identity_new(call, "", call->origin, CTL_ROLE_ADMIN);
    else if (call->peer == CTL_PEER_LOCAL)
        call->who = identity_new(call, "node:", SLICE("local"), CTL_ROLE_NODE);
    else if (call->spiffe_id.base != NULL)
        call->who = identity_new(call, "", call->spiffe_id, CTL_ROLE_NODE);
}

int ctl_access_identify_again(struct ctl_access *access, struct ctl_call *call, struct err *err)
{
    struct slice token;
    call->who = identity_new(call, "", SLICE("anonymous"), CTL_ROLE_NONE);
    if (call->authorization.base == NULL) {
        identify_peer(call);
        return 0;
    }
    if (!strip_bearer(call->authorization, &token))
        return err_set(err, ERR_UNAUTHORIZED, "only \"Authorization: Bearer TOKEN\" is understood");
    return identify_token(access, call, token, err);
}

int ctl_access_identify(struct ctl_access *access, struct ctl_call *call, struct err *err)
{
    struct slice token = {NULL, 0};
    bool has_token = call->authorization.base != NULL && strip_bearer(call->authorization, &token);
    call->who = identity_new(call, "", SLICE("anonymous"), CTL_ROLE_NONE);
    if (has_token && ctl_access_check_lockout(access, call, err) != 0)
        return -1;
    if (has_token && find_token(access, token) == NULL)
        ctl_access_count_failure(access, call);
    return ctl_access_identify_again(access, call, err);
}

int ctl_access_require(const struct ctl_call *call, enum ctl_role role, struct slice ns, const char *what, struct err *err)
{
    const struct ctl_identity *who = call->who;
    if (who->role == CTL_ROLE_NONE)
        return err_set(err, ERR_UNAUTHORIZED, "%s: sign in with a token (Authorization: Bearer …) or use the unix socket", what);
    if (who->role < role || who->role == CTL_ROLE_NODE)
        return err_set(err, ERR_FORBIDDEN, "%.*s (role %s) may not %s: it takes role %s", (int)who->name.len, who->name.base,
                       role_names[who->role], what, role_names[role]);
    if (who->num_namespaces == 0)
        return 0;
    for (uint32_t i = 0; i < who->num_namespaces; ++i)
        if (slice_eq(who->namespaces[i], ns))
            return 0;
    return err_set(err, ERR_FORBIDDEN, "%.*s may not %s %s%.*s: its token is for other namespaces", (int)who->name.len, who->name.base, what,
                   ns.len != 0 ? "in namespace " : "outside its namespaces", (int)ns.len, ns.base);
}

/* ---------- handlers ---------- */

struct operation {
    struct list link; /* in access->operations */
    struct net_job job;
    struct ctl_access *access;
    struct ctl_call *call;
    struct err err;
    const char *name;
    struct strbuf stored; /* empty: revoke */
    char *text;
};

static void run_store(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    if (op->stored.len != 0) /* must not be there yet, for whoever else may write the store */
        (void)ctl_store_blob_swap(op->access->store, SPACE, op->name, (struct slice){NULL, 0}, strbuf_slice(&op->stored), &op->err); /* on_stored() tells */
    else
        (void)ctl_store_blob_delete(op->access->store, SPACE, op->name, &op->err); /* on_stored() tells */
}

static void reply_token(struct operation *op)
{
    struct arena *arena = op->call->arena;
    struct json *body = json_new_object(arena);
    json_set_str(arena, body, "name", op->name);
    json_set_str(arena, body, "token", op->text);
    ctl_call_reply_json(op->call, 201, body);
}

static void remember(struct operation *op)
{
    struct token *token = token_parse(slice_of(op->name), strbuf_slice(&op->stored));
    if (token != NULL)
        token_insert(op->access, token);
}

static void forget(struct operation *op)
{
    struct token *token = hashmap_gets(&op->access->tokens_by_name, op->name);
    if (token != NULL)
        token_remove(op->access, token); /* from now on refused */
}

static void finish(struct operation *op)
{
    list_remove(&op->link);
    if (op->err.code != ERR_NONE)
        ctl_call_fail(op->call, &op->err);
    else if (op->stored.len != 0)
        reply_token(op);
    else
        ctl_call_reply(op->call, 204, NULL, SLICE(""));
    strbuf_clear(&op->stored);
    free(op->text);
}

static void start_next(struct ctl_access *access);

static void on_stored(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    struct ctl_access *access = op->access;
    if (job->state == NET_JOB_REFUSED)
        err_set(&op->err, ERR_UNAVAILABLE, "too much work is waiting; try again");
    if (op->err.code == ERR_NONE && op->stored.len != 0)
        remember(op);
    else if (op->err.code == ERR_NONE)
        forget(op);
    finish(op);
    start_next(access);
}

static int check_name(struct operation *op)
{
    bool is_there = hashmap_gets(&op->access->tokens_by_name, op->name) != NULL;
    if (is_there && op->stored.len != 0)
        return err_set(&op->err, ERR_EXISTS, "token \"%s\" exists; revoke it first", op->name);
    if (!is_there && op->stored.len == 0)
        return err_set(&op->err, ERR_NOT_FOUND, "token \"%s\" does not exist", op->name);
    return 0;
}

static void start_next(struct ctl_access *access)
{
    while (!list_is_empty(&access->operations)) {
        struct operation *op = LIST_FIRST(&access->operations, struct operation, link);
        if (check_name(op) != 0) {
            finish(op);
            continue;
        }
        op->job.run = run_store;
        op->job.done = on_stored;
        net_job_submit(access->worker, &op->job);
        return;
    }
}

static void submit(struct ctl_access *access, struct operation *op)
{
    bool is_first = list_is_empty(&access->operations);
    op->access = access;
    list_push(&access->operations, &op->link);
    if (is_first)
        start_next(access);
}

static int read_spec(struct ctl_call *call, struct token_spec *spec, struct err *err)
{
    enum ctl_role role;
    static const struct ctl_member members[] = {
        {"name", JSON_STRING}, {"role", JSON_STRING}, {"ttlSeconds", JSON_NUMBER}, {"namespaces", JSON_ARRAY}, {NULL, JSON_NULL}};
    struct json *body = json_parse(call->arena, call->body, err);
    if (body == NULL || ctl_call_check_body(body, members, err) != 0)
        return -1;
    spec->name = json_str(json_get(body, "name"), "");
    spec->role = json_str(json_get(body, "role"), "viewer");
    spec->namespaces = json_get(body, "namespaces");
    spec->by = call->who->name;
    int64_t ttl_s = json_int_or(json_get(body, "ttlSeconds"), 90 * 24 * 3600);
    if (!format_dns_label.matches(slice_of(spec->name)))
        return err_set(err, ERR_INVALID, "name: %s", format_dns_label.message);
    if (parse_role(spec->role, &role) != 0)
        return err_set(err, ERR_INVALID, "role: \"%s\" is none of viewer, editor, admin", spec->role);
    if (ttl_s < 0 || ttl_s > MAX_TTL_S)
        return err_set(err, ERR_INVALID, "ttlSeconds: must be from 0 (never expires) to %d", MAX_TTL_S);
    if (spec->namespaces != NULL && spec->namespaces->type == JSON_NULL)
        spec->namespaces = NULL;
    if (spec->namespaces != NULL && spec->namespaces->num == 0)
        return err_set(err, ERR_INVALID, "namespaces: must name at least one; leave it out for a token that is good everywhere");
    JSON_FOR(ns, spec->namespaces)
    if (!format_dns_label.matches(json_slice(ns)))
        return err_set(err, ERR_INVALID, "namespaces: %s", format_dns_label.message);
    spec->expires_us = ttl_s != 0 ? clock_wall_us() + ttl_s * 1000000 : 0;
    return 0;
}

void ctl_access_token_create(struct ctl_access *access, struct ctl_call *call)
{
    struct token_spec spec = {0};
    struct operation *op = arena_zalloc(call->arena, sizeof(*op));
    op->call = call;
    if (read_spec(call, &spec, &op->err) != 0) {
        ctl_call_fail(call, &op->err);
        return;
    }
    op->name = spec.name;
    op->text = make_token(&spec, &op->stored);
    submit(access, op);
}

void ctl_access_token_list(struct ctl_access *access, struct ctl_call *call)
{
    struct arena *arena = call->arena;
    struct json *body = json_new_object(arena);
    struct json *items = json_set(arena, body, "items", json_new_array(arena));
    LIST_FOR(token, &access->tokens, struct token, link)
    {
        char expires[CLOCK_RFC3339_LEN + 1] = "";
        struct json *stored = json_parse(arena, slice_of(token->text), NULL);
        struct json *item = json_push(items, json_new_object(arena));
        if (token->expires_us != 0)
            clock_rfc3339(token->expires_us, expires);
        json_set_str(arena, item, "name", token->name);
        json_set_str(arena, item, "role", role_names[token->role]);
        json_set_str(arena, item, "expires", expires);
        json_set_str(arena, item, "by", json_str(json_get(stored, "by"), ""));
        if (json_get(stored, "namespaces") != NULL)
            json_set(arena, item, "namespaces", json_clone(arena, json_get(stored, "namespaces")));
    }
    ctl_call_reply_json(call, 200, body);
}

void ctl_access_token_revoke(struct ctl_access *access, struct ctl_call *call, struct slice name)
{
    struct operation *op = arena_zalloc(call->arena, sizeof(*op));
    op->call = call;
    op->name = arena_strndup(call->arena, name.base, name.len);
    submit(access, op);
}

/* ---------- new objects ---------- */

void ctl_object_stamp(struct arena *arena, struct json *object, int64_t now_us)
{
    uint8_t bytes[16];
    char hex[33], uid[37], now[CLOCK_RFC3339_LEN + 1];
    struct json *meta = json_get(object, "metadata");
    crypto_random(bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    hex_encode(bytes, sizeof(bytes), hex);
    snprintf(uid, sizeof(uid), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    clock_rfc3339(now_us, now);
    json_set_str(arena, meta, "uid", uid);
    json_set_str(arena, meta, "creationTimestamp", now);
    json_set_int(arena, meta, "generation", 1);
}
