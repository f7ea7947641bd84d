/* Tokens in memory, hashed; the store is written first.
 *
 * Creating and revoking go one at a time, in the order in which they came: each looks at the tokens in memory, writes the
 * store, then changes memory, before the next one looks. So memory is what the store is, whoever races. */
#include "gateway/control/access_private.h"

#include "core/base/clock.h"
#include "core/model/format.h"

enum {
    TOKEN_BYTES = 24,
    MAX_TTL_S = 3650 * 24 * 3600,
};

#define SPACE "token"
#define TOKEN_PREFIX "sv_"

/* ---------- tokens ---------- */

static int parse_role(const char *name, enum ctl_role *ret)
{
    for (enum ctl_role role = CTL_ROLE_VIEWER; role <= CTL_ROLE_ADMIN; ++role) {
        if (strcmp(name, access_role_names[role]) == 0) {
            *ret = role;
            return 0;
        }
    }
    return -1;
}

static void hash_token(struct slice token, char out[ACCESS_HASH_LEN + 1])
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
    if (stored == NULL || hash.len != ACCESS_HASH_LEN || parse_role(json_str(json_get(stored, "role"), ""), &token->role) != 0) {
        token_free(token);
        return NULL;
    }
    memcpy(token->hash, hash.base, ACCESS_HASH_LEN);
    token->expires_us = json_int_or(json_get(stored, "expiresUs"), 0);
    if (namespaces != NULL && namespaces->num != 0)
        token->namespaces = arena_alloc(token->arena, namespaces->num * sizeof(struct slice));
    JSON_FOR(item, namespaces)
    token->namespaces[token->num_namespaces++] = json_slice(item);
    return token;
}

void access_token_remove(struct ctl_access *access, struct token *token)
{
    hashmap_remove(&access->tokens_by_hash, token->hash, ACCESS_HASH_LEN);
    hashmap_remove(&access->tokens_by_name, token->name, strlen(token->name));
    list_remove(&token->link);
    token_free(token);
}

static void token_insert(struct ctl_access *access, struct token *token)
{
    struct token *old = hashmap_gets(&access->tokens_by_name, token->name);
    if (old != NULL)
        access_token_remove(access, old);
    list_push(&access->tokens, &token->link);
    hashmap_put(&access->tokens_by_hash, token->hash, ACCESS_HASH_LEN, token);
    hashmap_puts(&access->tokens_by_name, token->name, token);
}

static int load_token(struct slice name, struct slice value, void *data)
{
    struct token *token = token_parse(name, value);
    if (token != NULL)
        token_insert(data, token);
    return 0;
}

int access_load_tokens(struct ctl_access *access, struct err *err)
{
    return ctl_store_blob_list(access->store, SPACE, load_token, access, err);
}

/* By digest: timing tells nothing about the token. */
const struct token *access_find_token(const struct ctl_access *access, struct slice text)
{
    char hash[ACCESS_HASH_LEN + 1];
    hash_token(text, hash);
    return hashmap_get(&access->tokens_by_hash, hash, ACCESS_HASH_LEN);
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
    char token[sizeof(TOKEN_PREFIX) + CRYPTO_TOKEN_LEN(TOKEN_BYTES)], hash[ACCESS_HASH_LEN + 1];
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
        access_token_remove(op->access, token); /* from now on refused */
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
        json_set_str(arena, item, "role", access_role_names[token->role]);
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
