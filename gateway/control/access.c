/* Who calls, by token, certificate or socket; requirements by role and namespace. */
#include "gateway/control/access_private.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <strings.h>

const char *const access_role_names[] = {"none", "node", "viewer", "editor", "admin"};

/* ---------- life ---------- */

struct ctl_access *ctl_access_open(struct net_worker *worker, struct ctl_store *store, struct err *err)
{
    struct ctl_access *access = xcalloc(1, sizeof(*access));
    access->worker = worker;
    access->store = store;
    list_init(&access->tokens);
    list_init(&access->operations);
    access->lockout = ctl_lockout_new();
    if (access_load_tokens(access, err) != 0)
        return ctl_access_free(access);
    return access;
}

struct ctl_access *ctl_access_free(struct ctl_access *access)
{
    if (access == NULL)
        return NULL;
    LIST_FOR_SAFE(token, &access->tokens, struct token, link)
    access_token_remove(access, token);
    hashmap_clear(&access->tokens_by_hash);
    hashmap_clear(&access->tokens_by_name);
    ctl_lockout_free(access->lockout);
    free(access);
    return NULL;
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

static int identify_token(struct ctl_access *access, struct ctl_call *call, struct slice text, struct err *err)
{
    const struct token *token = access_find_token(access, text);
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
    if (has_token && access_find_token(access, token) == NULL)
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
                       access_role_names[who->role], what, access_role_names[role]);
    if (who->num_namespaces == 0)
        return 0;
    for (uint32_t i = 0; i < who->num_namespaces; ++i)
        if (slice_eq(who->namespaces[i], ns))
            return 0;
    return err_set(err, ERR_FORBIDDEN, "%.*s may not %s %s%.*s: its token is for other namespaces", (int)who->name.len, who->name.base, what,
                   ns.len != 0 ? "in namespace " : "outside its namespaces", (int)ns.len, ns.base);
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
