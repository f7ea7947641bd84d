/* Who calls and what they may: credentials, roles, namespaces, lock-out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/crypto.h"
#include "core/base/strbuf.h"
#include "gateway/control/access.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

static char *folder;
static struct ctl_store *store;
static struct net_worker *worker;
static struct arena *arena;

static void put_token(const char *name, const char *text, const char *rest)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    char hash[2 * CRYPTO_SHA256_LEN + 1];
    struct strbuf stored = STRBUF_INIT;
    struct err err = ERR_INIT;
    crypto_sha256(slice_of(text), digest);
    hex_encode(digest, sizeof(digest), hash);
    strbuf_addf(&stored, "{\"hash\":\"%s\",%s}", hash, rest);
    assert_int_equal(ctl_store_blob_put(store, "token", name, strbuf_slice(&stored), &err), 0);
    strbuf_clear(&stored);
}

static int setup(void **state)
{
    char path[512];
    struct err err = ERR_INIT;
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    struct ctl_store_config config = {.path = path};
    store = ctl_store_open(&config, &err);
    worker = net_worker_new(0, 0, 0);
    arena = arena_new(0);
    return store != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    ctl_store_close(store);
    net_worker_free(worker);
    arena_free(arena);
    tempdir_free(folder);
    return 0;
}

static struct ctl_access *open_access(void)
{
    struct err err = ERR_INIT;
    struct ctl_access *access = ctl_access_open(worker, store, &err);
    assert_non_null(access);
    return access;
}

static struct ctl_call call_from(const char *origin, const char *authorization)
{
    struct ctl_call call = {.arena = arena, .peer = CTL_PEER_TLS, .origin = slice_of(origin)};
    if (authorization != NULL)
        call.authorization = slice_of(authorization);
    return call;
}

static enum err_code identify(struct ctl_access *access, struct ctl_call *call)
{
    struct err err = ERR_INIT;
    ctl_access_identify(access, call, &err);
    assert_non_null(call->who);
    return err.code;
}

static enum err_code require(const struct ctl_call *call, enum ctl_role role, const char *ns)
{
    struct err err = ERR_INIT;
    (void)ctl_access_require(call, role, slice_of(ns), "do it", &err);
    return err.code;
}

static void the_first_token_is_made_once(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_access *access = open_access();
    char *token = ctl_access_bootstrap(access, &err);
    assert_non_null(token);
    assert_null(ctl_access_bootstrap(access, &err));
    ctl_access_free(access);
    access = open_access(); /* as after a restart */
    assert_null(ctl_access_bootstrap(access, &err));
    struct ctl_call call = call_from("10.0.0.1:1", arena_printf(arena, "bearer  %s", token));
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_ADMIN, ""), ERR_NONE);
    ctl_access_free(access);
    free(token);
}

static void no_credentials_or_odd_ones_are_nobody(void **state)
{
    static const char *const odd[] = {"", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "Bearer\tx", "Bearer x"};
    struct ctl_access *access = open_access();
    struct ctl_call call = call_from("10.0.0.2:1", NULL);
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, "shop"), ERR_UNAUTHORIZED);
    for (size_t i = 0; i < ARRAY_LEN(odd); ++i) {
        call = call_from("10.0.0.2:1", odd[i]);
        assert_int_equal(identify(access, &call), ERR_UNAUTHORIZED);
        assert_int_equal(call.who->role, CTL_ROLE_NONE);
    }
    ctl_access_free(access);
}

static void nodes_are_no_administrators(void **state)
{
    struct ctl_access *access = open_access();
    struct ctl_call call = call_from("10.0.0.3:1", NULL);
    call.spiffe_id = SLICE("spiffe://example.org/node/edge");
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_NODE, ""), ERR_FORBIDDEN);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, "shop"), ERR_FORBIDDEN);
    call = call_from("unix:uid=7", NULL);
    call.peer = CTL_PEER_LOCAL;
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, ""), ERR_FORBIDDEN);
    call.peer = CTL_PEER_UNIX;
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_ADMIN, ""), ERR_NONE);
    ctl_access_free(access);
}

static void roles_and_namespaces_bound_tokens(void **state)
{
    put_token("shop", "sv_shop", "\"role\":\"editor\",\"namespaces\":[\"shop\",\"cart\"]");
    put_token("old", "sv_old", "\"role\":\"admin\",\"expiresUs\":1");
    put_token("odd", "sv_odd", "\"role\":\"node\"");
    struct ctl_access *access = open_access();
    struct ctl_call call = call_from("10.0.0.4:1", "Bearer sv_shop");
    assert_int_equal(identify(access, &call), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_EDITOR, "shop"), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, "cart"), ERR_NONE);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, "shopping"), ERR_FORBIDDEN);
    assert_int_equal(require(&call, CTL_ROLE_VIEWER, ""), ERR_FORBIDDEN);
    assert_int_equal(require(&call, CTL_ROLE_ADMIN, "shop"), ERR_FORBIDDEN);
    call = call_from("10.0.0.4:1", "Bearer sv_old");
    assert_int_equal(identify(access, &call), ERR_UNAUTHORIZED);
    assert_int_equal(call.who->role, CTL_ROLE_NONE);
    call = call_from("10.0.0.4:1", "Bearer sv_odd");
    assert_int_equal(identify(access, &call), ERR_UNAUTHORIZED);
    ctl_access_free(access);
}

static void guessing_locks_the_address_out(void **state)
{
    put_token("good", "sv_good", "\"role\":\"viewer\"");
    struct ctl_access *access = open_access();
    char origin[32];
    unsigned tries = 0;
    for (enum err_code code = ERR_UNAUTHORIZED; code == ERR_UNAUTHORIZED; ++tries) {
        snprintf(origin, sizeof(origin), "10.0.0.5:%u", 1000 + tries); /* another port each time helps nothing */
        struct ctl_call call = call_from(origin, "Bearer sv_wrong");
        code = identify(access, &call);
        assert_true(code == ERR_UNAUTHORIZED || code == ERR_TOO_MANY);
        assert_true(tries < 100);
    }
    assert_int_equal(tries, 12); /* ten are free, the eleventh locks, the next is told */
    struct ctl_call same = call_from("10.0.0.5:9", "Bearer sv_good"), other = call_from("10.0.0.6:9", "Bearer sv_good");
    assert_int_equal(identify(access, &same), ERR_TOO_MANY);
    assert_int_equal(identify(access, &other), ERR_NONE);
    ctl_access_free(access);
}

static enum err_code guess(struct ctl_access *access, const char *origin, enum ctl_peer peer, const char *token)
{
    struct ctl_call call = call_from(origin, token);
    call.peer = peer;
    return identify(access, &call);
}

static void users_of_the_sockets_do_not_lock_each_other_out(void **state)
{
    put_token("sock", "sv_sock", "\"role\":\"viewer\"");
    struct ctl_access *access = open_access();
    for (int i = 0; i < 30; ++i) {
        /* control.sock: an administrator by being there; an old token in a script harms nobody */
        assert_int_equal(guess(access, "unix:uid=0", CTL_PEER_UNIX, "Bearer sv_old"), ERR_UNAUTHORIZED);
        (void)guess(access, "unix:uid=7", CTL_PEER_LOCAL, "Bearer sv_wrong"); /* 401, then 429 */
    }
    assert_int_equal(guess(access, "unix:uid=0", CTL_PEER_UNIX, "Bearer sv_sock"), ERR_NONE);
    assert_int_equal(guess(access, "unix:uid=7", CTL_PEER_LOCAL, "Bearer sv_sock"), ERR_TOO_MANY);
    assert_int_equal(guess(access, "unix:uid=7", CTL_PEER_UNIX, "Bearer sv_sock"), ERR_NONE);
    assert_int_equal(guess(access, "unix:uid=8", CTL_PEER_LOCAL, "Bearer sv_sock"), ERR_NONE);
    assert_int_equal(guess(access, "unix:uid=7", CTL_PEER_LOCAL, NULL), ERR_NONE); /* the proxy beside us has no token */
    ctl_access_free(access);
}

static void other_secrets_are_counted_with_tokens(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_access *access = open_access();
    struct ctl_call join = call_from("[2001:db8:9:9::1]:5", NULL);
    for (int i = 0; i < 11; ++i) {
        assert_int_equal(ctl_access_check_lockout(access, &join, &err), 0);
        ctl_access_count_failure(access, &join);
    }
    assert_int_equal(ctl_access_check_lockout(access, &join, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    assert_in_range(join.retry_after_s, 1, 2);
    assert_int_equal(guess(access, "[2001:db8:9:9::2]:5", CTL_PEER_TLS, "Bearer sv_wrong"), ERR_TOO_MANY);
    ctl_access_free(access);
}

static void the_guesses_of_others_do_not_end_what_has_begun(void **state)
{
    put_token("watch", "sv_watch", "\"role\":\"viewer\"");
    struct err err = ERR_INIT;
    struct ctl_access *access = open_access();
    struct ctl_call watch = call_from("10.0.0.8:1", "Bearer sv_watch");
    assert_int_equal(identify(access, &watch), ERR_NONE);
    for (int i = 0; i < 20; ++i)
        (void)guess(access, "10.0.0.8:2", CTL_PEER_TLS, "Bearer sv_wrong"); /* 401, then 429 */
    assert_int_equal(ctl_access_identify_again(access, &watch, &err), 0);
    assert_int_equal(guess(access, "10.0.0.8:1", CTL_PEER_TLS, "Bearer sv_watch"), ERR_TOO_MANY);
    ctl_access_free(access);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_token_is_made_once),      cmocka_unit_test(no_credentials_or_odd_ones_are_nobody),
        cmocka_unit_test(nodes_are_no_administrators),       cmocka_unit_test(roles_and_namespaces_bound_tokens),
        cmocka_unit_test(guessing_locks_the_address_out),    cmocka_unit_test(users_of_the_sockets_do_not_lock_each_other_out),
        cmocka_unit_test(other_secrets_are_counted_with_tokens),
        cmocka_unit_test(the_guesses_of_others_do_not_end_what_has_begun),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
