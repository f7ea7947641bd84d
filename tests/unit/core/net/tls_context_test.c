/* Contexts against each other: a server io and a client io over a TCP pair, on one worker. */
#include "core/net/tls_context.h"

#include "core/base/clock.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/net_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct net_worker *worker;
static struct test_cert ca, other_ca, ec_a, rsa_a, wild, self;

static int group_setup(void **state)
{
    worker = net_worker_new(0, 0, 0);
    test_cert_make(&ca, NULL, &(struct test_cert_spec){.is_ca = true, .common_name = "CA"});
    test_cert_make(&other_ca, NULL, &(struct test_cert_spec){.is_ca = true, .common_name = "other CA"});
    test_cert_make(&ec_a, &ca, &(struct test_cert_spec){.dns = NAMES("a.example"), .common_name = "ec a",
                                                        .ips = NAMES("127.0.0.1", "::1"), .eku = "serverAuth"});
    test_cert_make(&rsa_a, &ca, &(struct test_cert_spec){.dns = NAMES("a.example"), .common_name = "rsa a", .key = "RSA-2048"});
    test_cert_make(&wild, &ca, &(struct test_cert_spec){.dns = NAMES("*.b.example", "b.example"), .common_name = "wild"});
    test_cert_make(&self, NULL, &(struct test_cert_spec){.dns = NAMES("a.example"), .common_name = "self"});
    return 0;
}

static int group_teardown(void **state)
{
    net_worker_free(worker);
    for (int i = 0; i < 6; i++)
        test_cert_clear((struct test_cert *[]){&ca, &other_ca, &ec_a, &rsa_a, &wild, &self}[i]);
    return 0;
}

static struct net_tls_pair pair_of(const struct test_cert *cert)
{
    return (struct net_tls_pair){slice_of(cert->cert_pem), slice_of(cert->key_pem), "Secret default/test"};
}

/* ---- a server with a.example (EC and RSA) and *.b.example; options by the caller ---- */

static struct net_tls_server *new_server(struct net_tls_server_config config)
{
    static struct net_tls_pair pairs[3];
    static struct net_tls_host hosts[2];
    struct err err = ERR_INIT;

    pairs[0] = pair_of(&ec_a);
    pairs[1] = pair_of(&rsa_a);
    pairs[2] = pair_of(&wild);
    hosts[0] = (struct net_tls_host){"A.example", pairs, 2};
    hosts[1] = (struct net_tls_host){"*.b.example", pairs + 2, 1};
    if (config.hosts == NULL) {
        config.hosts = hosts;
        config.num_hosts = 2;
    }
    if (config.name == NULL)
        config.name = "listener";
    struct net_tls_server *server = net_tls_server_new(&config, &err);
    if (server == NULL)
        print_error("%s\n", err.text);
    assert_non_null(server);
    return server;
}

/* Trusts `ca` unless told otherwise. */
static struct net_tls_client *new_client(struct net_tls_client_config config)
{
    struct err err = ERR_INIT;

    if (config.ca_pem.base == NULL)
        config.ca_pem = slice_of(ca.cert_pem);
    struct net_tls_client *client = net_tls_client_new(&config, &err);
    if (client == NULL)
        print_error("%s\n", err.text);
    assert_non_null(client);
    return client;
}

/* ---- one handshake ---- */

struct meeting {
    struct net_probe server, client;
};

static void meet_ctx(struct meeting *m, SSL_CTX *server, SSL_CTX *client, const char *sni, struct slice alpn,
                     SSL_SESSION *session)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = net_tcp_listen(&addr, &len);

    net_probe_init(&m->server);
    net_probe_init(&m->client);
    assert_int_equal(net_io_connect(&m->client.io, worker, (struct sockaddr *)&addr, len, client, sni, alpn,
                                    &net_probe_ops, NULL),
                     0);
    if (session != NULL)
        assert_int_equal(SSL_set_session(m->client.io.ssl, session), 1);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);
    net_io_init_server(&m->server.io, worker, fd, server, &net_probe_ops);
    /* In TLS 1.3 a client is ready before the server has judged it: it speaks, and the answer tells. */
    net_io_write(&m->client.io, &(struct iovec){"ping", 4}, 1);
    TURN_UNTIL(worker, m->server.num_errors + m->client.num_errors != 0 || m->server.got.len == 4);
    if (m->server.num_errors != 0)
        TURN_UNTIL(worker, m->client.num_errors != 0);
    if (m->server.got.len == 4) {
        net_io_write(&m->server.io, &(struct iovec){"pong", 4}, 1);
        TURN_UNTIL(worker, m->client.got.len == 4 || m->client.num_errors != 0);
    }
}

static void meet(struct meeting *m, struct net_tls_server *server, struct net_tls_client *client, const char *sni)
{
    meet_ctx(m, net_tls_server_ctx(server), net_tls_client_ctx(client), sni, (struct slice){NULL, 0}, NULL);
}

static void part(struct meeting *m)
{
    net_probe_clear(&m->server);
    net_probe_clear(&m->client);
    net_worker_turn(worker, 0);
    assert_int_equal(worker->mem_used, 0);
}

static bool is_up(const struct meeting *m)
{
    return m->client.got.len == 4 && m->server.num_errors + m->client.num_errors == 0;
}

static void shown_name(const struct meeting *m, char *out, int cap)
{
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(m->client.io.ssl)), NID_commonName, out, cap);
}

/* A meeting of fresh contexts; the client's error, or NULL when all went well. */
static const char *try_meet(struct net_tls_server_config sc, struct net_tls_client_config cc, const char *sni)
{
    struct net_tls_server *server = new_server(sc);
    struct net_tls_client *client = new_client(cc);
    struct meeting m;

    meet(&m, server, client, sni);
    const char *why = is_up(&m) ? NULL : m.client.num_errors != 0 ? m.client.why : m.server.why;
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
    return why;
}

/* ---- SNI ---- */

static void expect_host(const char *sni, const char *verify, const char *common_name)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){0});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = verify});
    struct meeting m;
    char shown[64];

    meet(&m, server, client, sni);
    if (common_name == NULL) {
        assert_false(is_up(&m));
        assert_string_equal(m.client.why, "tlsv1 unrecognized name");
    } else {
        assert_true(is_up(&m));
        shown_name(&m, shown, sizeof(shown));
        assert_string_equal(shown, common_name);
        assert_string_equal(net_io_sni(&m.server.io), sni);
    }
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
}

static void the_name_picks_the_certificate(void **state)
{
    expect_host("a.example", "a.example", "ec a");
    expect_host("A.EXAMPLE", "a.example", "ec a");
    expect_host("x.b.example", "x.b.example", "wild");
    expect_host("b.example", "b.example", NULL); /* the wildcard stands for at least one label */
    expect_host("c.example", "c.example", NULL);
    expect_host("xa.example", "a.example", NULL);
    expect_host(NULL, "a.example", NULL);
}

static void a_host_without_a_name_serves_the_rest(void **state)
{
    struct net_tls_pair pairs[] = {pair_of(&ec_a), pair_of(&wild)};
    struct net_tls_host hosts[] = {{"", pairs, 1}, {"b.example", pairs + 1, 1}};
    struct net_tls_server_config config = {.hosts = hosts, .num_hosts = 2};

    assert_null(try_meet(config, (struct net_tls_client_config){.hostname = "a.example"}, "whatever.example"));
    assert_null(try_meet(config, (struct net_tls_client_config){.hostname = "a.example"}, NULL));
    assert_null(try_meet(config, (struct net_tls_client_config){.hostname = "b.example"}, "b.example"));
    assert_null(try_meet(config, (struct net_tls_client_config){.hostname = "127.0.0.1"}, NULL));
    assert_null(try_meet(config, (struct net_tls_client_config){.hostname = "::1"}, NULL));
    assert_string_equal(try_meet(config, (struct net_tls_client_config){.hostname = "127.0.0.2"}, NULL),
                        "IP address mismatch");
}

static void an_rsa_only_client_gets_the_rsa_certificate(void **state)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){0});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;
    char shown[64];

    SSL_CTX_set1_sigalgs_list(net_tls_client_ctx(client), "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA384");
    meet(&m, server, client, "a.example");
    /* the CA signs with ECDSA: chains are allowed, the leaf's own signature must be RSA */
    if (is_up(&m)) {
        shown_name(&m, shown, sizeof(shown));
        assert_string_equal(shown, "rsa a");
    }
    part(&m);
    SSL_CTX_set_max_proto_version(net_tls_client_ctx(client), TLS1_2_VERSION);
    SSL_CTX_set1_sigalgs_list(net_tls_client_ctx(client), "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256");
    SSL_CTX_set_cipher_list(net_tls_client_ctx(client), "ECDHE-RSA-AES128-GCM-SHA256");
    meet(&m, server, client, "a.example");
    assert_true(is_up(&m));
    shown_name(&m, shown, sizeof(shown));
    assert_string_equal(shown, "rsa a");
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
}

/* ---- ALPN and versions ---- */

static const char *alpn_of(struct net_tls_server_config sc, struct slice offer, char out[16])
{
    struct net_tls_server *server = new_server(sc);
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;

    meet_ctx(&m, net_tls_server_ctx(server), net_tls_client_ctx(client), "a.example", offer, NULL);
    struct slice chosen = net_io_alpn(&m.client.io);
    bool up = is_up(&m);
    if (up)
        assert_true(slice_eq(chosen, net_io_alpn(&m.server.io)));
    memcpy(out, chosen.base != NULL ? chosen.base : "", chosen.len);
    out[chosen.len] = '\0';
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
    return up ? out : NULL;
}

static void alpn_is_the_servers_choice(void **state)
{
    char out[16];
    struct slice both = SLICE("\x08http/1.1\x02h2"), h1 = SLICE("\x08http/1.1"), odd = SLICE("\x04spdy");

    assert_string_equal(alpn_of((struct net_tls_server_config){0}, both, out), "h2");
    assert_string_equal(alpn_of((struct net_tls_server_config){0}, h1, out), "http/1.1");
    assert_string_equal(alpn_of((struct net_tls_server_config){.alpn = NET_TLS_ALPN_HTTP1}, both, out), "http/1.1");
    assert_string_equal(alpn_of((struct net_tls_server_config){0}, (struct slice){NULL, 0}, out), "");
    assert_null(alpn_of((struct net_tls_server_config){0}, odd, out));
    assert_string_equal(alpn_of((struct net_tls_server_config){.alpn = SLICE("\x08http/1.1\x02h2")}, both, out), "http/1.1");
    assert_null(alpn_of((struct net_tls_server_config){.alpn = SLICE("\x02h2")}, h1, out));
}

static void old_versions_are_refused(void **state)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){.min_version = TLS1_3_VERSION});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;

    SSL_CTX_set_max_proto_version(net_tls_client_ctx(client), TLS1_2_VERSION);
    meet(&m, server, client, "a.example");
    assert_false(is_up(&m));
    assert_string_equal(m.client.why, "tlsv1 alert protocol version");
    part(&m);
    net_tls_server_unref(server);
    server = new_server((struct net_tls_server_config){0});
    meet(&m, server, client, "a.example"); /* 1.2 is fine by default */
    assert_true(is_up(&m));
    part(&m);
    SSL_CTX_set_security_level(net_tls_client_ctx(client), 0);
    SSL_CTX_set_min_proto_version(net_tls_client_ctx(client), TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(net_tls_client_ctx(client), TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(net_tls_client_ctx(client), "ALL@SECLEVEL=0");
    meet(&m, server, client, "a.example");
    assert_false(is_up(&m));
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
}

static void the_newest_version_can_be_bounded(void **state)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){.max_version = TLS1_2_VERSION});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;

    meet(&m, server, client, "a.example");
    assert_true(is_up(&m));
    assert_int_equal(SSL_version(m.client.io.ssl), TLS1_2_VERSION);
    part(&m);
    SSL_CTX_set_min_proto_version(net_tls_client_ctx(client), TLS1_3_VERSION);
    meet(&m, server, client, "a.example");
    assert_false(is_up(&m));
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
}

static void suites_can_be_narrowed_never_widened(void **state)
{
    static const char narrow[] = "ECDHE-RSA-AES256-GCM-SHA384";
    struct net_tls_pair pair = pair_of(&ec_a);
    struct net_tls_host host = {"", &pair, 1};
    struct err err = ERR_INIT;
    struct net_tls_server *server =
        new_server((struct net_tls_server_config){.max_version = TLS1_2_VERSION, .tls12_suites = narrow});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;

    meet(&m, server, client, "a.example");
    assert_true(is_up(&m));
    assert_string_equal(SSL_get_cipher(m.client.io.ssl), narrow);
    part(&m);
    SSL_CTX_set_cipher_list(net_tls_client_ctx(client), "ECDHE-ECDSA-AES128-GCM-SHA256");
    meet(&m, server, client, "a.example");
    assert_false(is_up(&m));
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
    for (size_t i = 0; i < 3; i++) {
        const char *bad[] = {"AES128-SHA", "ECDHE-RSA-AES256-GCM-SHA384:ALL", "ECDHE-RSA-AES256-GCM-SHA38"};
        struct net_tls_server_config config = {"l", &host, 1, .tls12_suites = bad[i]};
        assert_null(net_tls_server_new(&config, &err));
        assert_non_null(strstr(err.text, "no TLS suite"));
    }
}

static void our_order_of_suites_counts_but_for_chacha(void **state)
{
    static const struct {
        const char *offered, *chosen;
    } cases[] = {
        {"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    };
    struct net_tls_server *server = new_server((struct net_tls_server_config){.max_version = TLS1_2_VERSION});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct meeting m;

    SSL_CTX_set_max_proto_version(net_tls_client_ctx(client), TLS1_2_VERSION); /* else suites of 1.3 are first */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SSL_CTX_set_cipher_list(net_tls_client_ctx(client), cases[i].offered);
        meet(&m, server, client, "a.example");
        assert_true(is_up(&m));
        assert_string_equal(SSL_get_cipher(m.client.io.ssl), cases[i].chosen);
        part(&m);
    }
    net_tls_server_unref(server);
    net_tls_client_unref(client);
}

static void versions_that_cannot_meet_are_refused(void **state)
{
    struct net_tls_pair pair = pair_of(&ec_a);
    struct net_tls_host host = {"", &pair, 1};
    struct net_tls_server_config config = {"l", &host, 1, .min_version = TLS1_3_VERSION, .max_version = TLS1_2_VERSION};
    struct err err = ERR_INIT;

    assert_null(net_tls_server_new(&config, &err));
    assert_string_equal(err.text, "the newest TLS version allowed is older than the oldest one");
}

/* ---- sessions ---- */

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(kept_session);
    kept_session = session;
    return 1;
}

/* A session got from one server is offered to another; whether it was resumed. */
static bool resumes(int version, struct net_tls_server *first, const char *first_sni, struct net_tls_server *second,
                    const char *second_sni)
{
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    SSL_CTX *ctx = net_tls_client_ctx(client);
    struct meeting m;

    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* the servers' names differ: only the servers decide here */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    kept_session = NULL;
    meet_ctx(&m, net_tls_server_ctx(first), ctx, first_sni, (struct slice){NULL, 0}, NULL);
    assert_true(is_up(&m));
    part(&m);
    if (kept_session == NULL) { /* no ticket was given */
        net_tls_client_unref(client);
        return false;
    }
    SSL_SESSION *session = kept_session;
    SSL_SESSION_up_ref(session);
    meet_ctx(&m, net_tls_server_ctx(second), ctx, second_sni, (struct slice){NULL, 0}, session);
    assert_true(is_up(&m)); /* refusing a session is no failure */
    bool is_resumed = SSL_session_reused(m.client.io.ssl) == 1;
    part(&m);
    SSL_SESSION_free(session);
    SSL_SESSION_free(kept_session);
    net_tls_client_unref(client);
    return is_resumed;
}

static void sessions_stay_with_their_host_listener_and_trust(void **state)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){0});
    struct net_tls_server *reloaded = new_server((struct net_tls_server_config){0});
    struct net_tls_server *other = new_server((struct net_tls_server_config){.name = "other listener"});
    struct net_tls_server *asking = new_server((struct net_tls_server_config){
        .client_ca_pem = slice_of(ca.cert_pem), .client_cert_optional = true});
    struct net_tls_server *changed = new_server((struct net_tls_server_config){
        .client_ca_pem = slice_of(other_ca.cert_pem), .client_cert_optional = true});
    struct net_tls_server *narrow = new_server((struct net_tls_server_config){.tls12_suites = "ECDHE-ECDSA-AES256-GCM-SHA384"});
    int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (int i = 0; i < 2; i++) {
        assert_true(resumes(versions[i], server, "a.example", server, "a.example"));
        assert_true(resumes(versions[i], server, "a.example", reloaded, "a.example"));
        assert_false(resumes(versions[i], server, "a.example", server, "x.b.example"));
        assert_false(resumes(versions[i], server, "a.example", other, "a.example"));
        assert_false(resumes(versions[i], server, "a.example", asking, "a.example"));
        assert_false(resumes(versions[i], asking, "a.example", asking, "a.example"));
        assert_false(resumes(versions[i], asking, "a.example", server, "a.example"));
        assert_false(resumes(versions[i], asking, "a.example", changed, "a.example"));
        assert_false(resumes(versions[i], server, "a.example", narrow, "a.example"));
    }
    net_tls_server_unref(server);
    net_tls_server_unref(reloaded);
    net_tls_server_unref(other);
    net_tls_server_unref(asking);
    net_tls_server_unref(changed);
    net_tls_server_unref(narrow);
}

/* ---- the client's checks ---- */

static const char *client_says(const struct test_cert *server_cert, struct net_tls_client_config cc)
{
    struct net_tls_pair pair = pair_of(server_cert);
    struct net_tls_host host = {"", &pair, 1};

    return try_meet((struct net_tls_server_config){.hosts = &host, .num_hosts = 1}, cc, NULL);
}

static void the_servers_name_and_chain_are_verified_in_every_version(void **state)
{
    struct test_cert expired, early, client_only;
    int versions[] = {0, TLS1_3_VERSION};

    test_cert_make(&expired, &ca,
                   &(struct test_cert_spec){.dns = NAMES("a.example"), .not_before_s = -7200, .not_after_s = -3600});
    test_cert_make(&early, &ca,
                   &(struct test_cert_spec){.dns = NAMES("a.example"), .not_before_s = 3600, .not_after_s = 7200});
    test_cert_make(&client_only, &ca, &(struct test_cert_spec){.dns = NAMES("a.example"), .eku = "clientAuth"});
    for (int i = 0; i < 2; i++) {
        struct net_tls_client_config cc = {.hostname = "a.example", .min_version = versions[i]};
        assert_null(client_says(&ec_a, cc));
        assert_string_equal(client_says(&expired, cc), "certificate has expired");
        assert_string_equal(client_says(&early, cc), "certificate is not yet valid");
        assert_string_equal(client_says(&self, cc), "self-signed certificate");
        assert_string_equal(client_says(&client_only, cc), "unsuitable certificate purpose");
        cc.hostname = "wrong.example";
        assert_string_equal(client_says(&ec_a, cc), "hostname mismatch");
        cc.hostname = "ec a"; /* the common name counts for nothing */
        assert_string_equal(client_says(&ec_a, cc), "hostname mismatch");
        cc.hostname = "a.example";
        cc.ca_pem = slice_of(other_ca.cert_pem);
        assert_string_equal(client_says(&ec_a, cc), "unable to get local issuer certificate");
    }
    test_cert_clear(&expired);
    test_cert_clear(&early);
    test_cert_clear(&client_only);
}

static void one_of_the_alternative_names_suffices_and_nothing_else(void **state)
{
    static const struct {
        struct net_tls_alt_name names[2];
        bool is_good;
    } rows[] = {
        {{{false, "b.example"}}, true},
        {{{false, "B.Example"}}, true},
        {{{false, "x.example"}, {true, "spiffe://td/ns/a"}}, true},
        {{{false, "one.wild.example"}}, true},
        {{{false, "*.wild.example"}}, true},
        {{{false, "*.example"}}, false},
        {{{false, "one.two.wild.example"}}, false},
        {{{false, "wild.example"}}, false},
        {{{false, "alt names"}}, false}, /* the common name */
        {{{true, "spiffe://td/ns/A"}}, false},
        {{{true, "spiffe://td/ns/a-evil"}}, false},
        {{{true, "spiffe://td/ns"}}, false},
        {{{true, "b.example"}}, false},
        {{{false, "spiffe://td/ns/a"}}, false},
    };
    struct test_cert cert;

    test_cert_make(&cert, &ca, &(struct test_cert_spec){.common_name = "alt names", .dns = NAMES("a.example", "b.example", "*.wild.example"),
                                                        .uris = NAMES("spiffe://td/ns/a")});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_tls_client_config cc = {.alt_names = rows[i].names, .num_alt_names = rows[i].names[1].text != NULL ? 2 : 1};
        const char *why = client_says(&cert, cc);
        if ((why == NULL) != rows[i].is_good)
            fail_msg("%s: %s", rows[i].names[0].text, why != NULL ? why : "accepted");
        cc.ca_pem = slice_of(other_ca.cert_pem); /* a name is worth nothing without the chain */
        assert_string_equal(client_says(&cert, cc), "unable to get local issuer certificate");
    }
    test_cert_clear(&cert);
}

static void a_client_without_a_name_to_verify_is_not_built(void **state)
{
    struct err err = ERR_INIT;

    assert_null(net_tls_client_new(&(struct net_tls_client_config){.ca_pem = slice_of(ca.cert_pem)}, &err));
    assert_string_equal(err.text, "neither a host name nor a SPIFFE ID to verify");
    assert_null(net_tls_client_new(&(struct net_tls_client_config){.hostname = ""}, &err));
    assert_null(net_tls_client_new(&(struct net_tls_client_config){.hostname = ".example"}, &err));
    assert_null(net_tls_client_new(&(struct net_tls_client_config){.hostname = "a", .ca_pem = SLICE("junk")}, &err));
    assert_string_equal(err.text, "trust bundle: no certificate in it");
}

/* ---- client certificates ---- */

static const char *server_says(struct net_tls_server_config sc, const struct test_cert *client_cert)
{
    struct net_tls_client_config cc = {.hostname = "a.example"};

    sc.client_ca_pem = slice_of(ca.cert_pem);
    if (client_cert != NULL) {
        cc.cert_pem = slice_of(client_cert->cert_pem);
        cc.key_pem = slice_of(client_cert->key_pem);
    }
    struct net_tls_server *server = new_server(sc);
    struct net_tls_client *client = new_client(cc);
    struct meeting m;
    meet(&m, server, client, "a.example");
    const char *why = is_up(&m) ? NULL : m.server.why;
    assert_true(is_up(&m) || m.server.got.len == 0); /* not a byte from those who were not verified */
    part(&m);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
    return why;
}

static void client_certificates_are_demanded_and_verified(void **state)
{
    struct net_tls_server_config must = {0}, may = {.client_cert_optional = true};
    struct test_cert good, server_only, expired, foreign;

    test_cert_make(&good, &ca, &(struct test_cert_spec){.eku = "clientAuth"});
    test_cert_make(&server_only, &ca, &(struct test_cert_spec){.eku = "serverAuth"});
    test_cert_make(&expired, &ca, &(struct test_cert_spec){.not_before_s = -7200, .not_after_s = -3600});
    test_cert_make(&foreign, &other_ca, &(struct test_cert_spec){.eku = "clientAuth"});
    assert_null(server_says(must, &good));
    assert_null(server_says(may, &good));
    assert_null(server_says(may, NULL));
    assert_string_equal(server_says(must, NULL), "peer did not return a certificate");
    assert_string_equal(server_says(must, &server_only), "unsuitable certificate purpose");
    assert_string_equal(server_says(may, &server_only), "unsuitable certificate purpose");
    assert_string_equal(server_says(must, &expired), "certificate has expired");
    assert_string_equal(server_says(may, &foreign), "unable to get local issuer certificate");
    test_cert_clear(&good);
    test_cert_clear(&server_only);
    test_cert_clear(&expired);
    test_cert_clear(&foreign);
}

/* ---- SPIFFE ---- */

#define ID "spiffe://example.org/ns/a/sa/web"
static const char not_svid[] = "the certificate carries none of the names or IDs required";

/* As a client's certificate at a server for the trust domain, and as a server's at a client that wants ID. */
static void expect_identity(bool is_below, bool is_exact, const struct test_cert_spec *spec)
{
    struct test_cert cert;

    test_cert_make(&cert, &ca, spec);
    const char *why = server_says((struct net_tls_server_config){.spiffe_trust_domain = "example.org"}, &cert);
    if (is_below)
        assert_null(why);
    else
        assert_string_equal(why, not_svid);
    why = client_says(&cert, (struct net_tls_client_config){.spiffe_id = ID});
    if (is_exact)
        assert_null(why);
    else
        assert_string_equal(why, not_svid);
    test_cert_clear(&cert);
}

static void an_identity_is_exact_and_the_only_name(void **state)
{
    expect_identity(true, true, &(struct test_cert_spec){.uris = NAMES(ID)});
    expect_identity(true, true, &(struct test_cert_spec){.uris = NAMES(ID), .key_usage = "digitalSignature"});
    expect_identity(true, false, &(struct test_cert_spec){.uris = NAMES(ID "-evil")});
    expect_identity(true, false, &(struct test_cert_spec){.uris = NAMES(ID "/x")});
    expect_identity(true, false, &(struct test_cert_spec){.uris = NAMES("spiffe://example.org/ns/a/sa/WEB")});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES("spiffe://example.org.evil/ns/a/sa/web")});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES("spiffe://evil/example.org/ns/a/sa/web")});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES("spiffe://example.org")});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES(ID, "spiffe://example.org/b")});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES(ID, ID)});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES(ID), .dns = NAMES("a.example")});
    expect_identity(false, false, &(struct test_cert_spec){.dns = NAMES(ID)});
    expect_identity(false, false, &(struct test_cert_spec){.common_name = ID});
    expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES(ID), .key_usage = "keyEncipherment,keyAgreement,dataEncipherment,digitalSignature,keyCertSign"});
}

static void malformed_identities_are_none(void **state)
{
    const char *const bad[] = {"SPIFFE://example.org/a",     "spiffe://EXAMPLE.org/a",   "spiffe://example.org/",
                               "spiffe://example.org//a",    "spiffe://example.org/a/",  "spiffe://example.org/a/../b",
                               "spiffe://example.org/./a",   "spiffe://example.org/%61", "spiffe://example.org/a?b",
                               "spiffe://example.org/a#b",   "spiffe://u@example.org/a", "spiffe://example.org:1/a",
                               "https://example.org/a",      "spiffe:///a",              "spiffe://",
                               "spiffe://example.org/a b",   "",                         "spiffe://example.org\\/a"};
    static const char nul[] = ID "\0.evil", nul_at_end[] = ID "\0";

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_identity(false, false, &(struct test_cert_spec){.uris = NAMES(bad[i])});
    expect_identity(false, false, &(struct test_cert_spec){.raw_uri = slice_make(nul, sizeof(nul) - 1)});
    expect_identity(false, false, &(struct test_cert_spec){.raw_uri = slice_make(nul_at_end, sizeof(nul_at_end) - 1)});
}

static void the_peers_identity_is_told(void **state)
{
    struct test_cert web;
    struct net_tls_client_config cc = {.hostname = "a.example"};
    struct meeting m;

    test_cert_make(&web, &ca, &(struct test_cert_spec){.uris = NAMES(ID)});
    cc.cert_pem = slice_of(web.cert_pem);
    cc.key_pem = slice_of(web.key_pem);
    struct net_tls_server *server = new_server(
        (struct net_tls_server_config){.client_ca_pem = slice_of(ca.cert_pem), .spiffe_trust_domain = "example.org"});
    struct net_tls_client *client = new_client(cc);
    meet(&m, server, client, "a.example");
    net_tls_server_unref(server); /* the connection holds on */
    net_tls_client_unref(client);
    char *id = net_tls_peer_spiffe_id(m.server.io.ssl);
    assert_string_equal(id, ID);
    assert_null(net_tls_peer_spiffe_id(m.client.io.ssl));
    free(id);
    part(&m);
    test_cert_clear(&web);
}

static void a_context_outlives_its_owner_in_a_running_handshake(void **state)
{
    struct net_tls_server *server = new_server((struct net_tls_server_config){0});
    struct net_tls_client *client = new_client((struct net_tls_client_config){.hostname = "a.example"});
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = net_tcp_listen(&addr, &len);
    struct net_probe a, b;

    net_probe_init(&a);
    net_probe_init(&b);
    net_io_connect(&a.io, worker, (struct sockaddr *)&addr, len, net_tls_client_ctx(client), "a.example",
                   (struct slice){NULL, 0}, &net_probe_ops, NULL);
    net_io_init_server(&b.io, worker, accept4(listener, NULL, NULL, SOCK_NONBLOCK), net_tls_server_ctx(server), &net_probe_ops);
    close(listener);
    net_tls_server_unref(server);
    net_tls_client_unref(client);
    TURN_UNTIL(worker, a.num_readies == 1 && b.num_readies == 1);
    net_probe_clear(&a);
    net_probe_clear(&b);
}

/* ---- pairs ---- */

static void expect_pair(const struct test_cert *cert, const struct test_cert *key, const char *error)
{
    struct net_tls_pair pair = {slice_of(cert->cert_pem), slice_of(key->key_pem), "Secret default/shop-tls"};
    struct err err = ERR_INIT;

    if (error == NULL) {
        assert_int_equal(net_tls_check_pair(&pair, NULL, NULL, &err), 0);
    } else {
        assert_int_equal(net_tls_check_pair(&pair, NULL, NULL, &err), -1);
        assert_string_equal(err.text, error);
        assert_null(net_tls_server_new(&(struct net_tls_server_config){.name = "l",
                                                                       .hosts = &(struct net_tls_host){"", &pair, 1},
                                                                       .num_hosts = 1},
                                       &err));
    }
}

static void pairs_are_checked(void **state)
{
    struct test_cert weak, koblitz, ed, p384, junk = {.cert_pem = "junk", .key_pem = "junk"};
    struct test_cert broken = {.cert_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    static char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHj\n-----END ENCRYPTED PRIVATE KEY-----\n";
    struct test_cert locked = {.key_pem = encrypted};
    int64_t not_after = 0;
    char *names = NULL;
    struct net_tls_pair pair = pair_of(&wild);

    test_cert_make(&weak, &ca, &(struct test_cert_spec){.key = "RSA-1024"});
    test_cert_make(&koblitz, &ca, &(struct test_cert_spec){.key = "secp256k1"});
    test_cert_make(&ed, &ca, &(struct test_cert_spec){.key = "ED25519"});
    test_cert_make(&p384, &ca, &(struct test_cert_spec){.key = "P-384"});
    expect_pair(&ec_a, &ec_a, NULL);
    expect_pair(&rsa_a, &rsa_a, NULL);
    expect_pair(&ed, &ed, NULL);
    expect_pair(&p384, &p384, NULL);
    expect_pair(&ec_a, &rsa_a, "Secret default/shop-tls: key does not match certificate");
    expect_pair(&weak, &weak, "Secret default/shop-tls: RSA key of 1024 bits, at least 2048 are needed");
    expect_pair(&koblitz, &koblitz,
                "Secret default/shop-tls: elliptic curve 'secp256k1'; P-256, P-384 and P-521 are supported");
    expect_pair(&junk, &ec_a, "Secret default/shop-tls: no certificate in it");
    expect_pair(&ec_a, &junk, "Secret default/shop-tls: no unencrypted private key in it");
    expect_pair(&ec_a, &locked, "Secret default/shop-tls: no unencrypted private key in it");
    struct err err = ERR_INIT;
    assert_int_equal(net_tls_check_pair(&(struct net_tls_pair){slice_of(broken.cert_pem), slice_of(ec_a.key_pem), "s"},
                                        NULL, NULL, &err),
                     -1);
    assert_non_null(strstr(err.text, "s: malformed certificate: "));
    assert_int_equal(net_tls_check_pair(&pair, &not_after, &names, NULL), 0);
    assert_string_equal(names, "*.b.example,b.example");
    assert_in_range(not_after, clock_wall_us() + 80000 * INT64_C(1000000), clock_wall_us() + 90000 * INT64_C(1000000));
    free(names);
    test_cert_clear(&weak);
    test_cert_clear(&koblitz);
    test_cert_clear(&ed);
    test_cert_clear(&p384);
}

static void intermediates_are_sent_along(void **state)
{
    struct test_cert middle, leaf;
    struct strbuf chain = STRBUF_INIT;

    test_cert_make(&middle, &ca, &(struct test_cert_spec){.is_ca = true, .common_name = "middle"});
    test_cert_make(&leaf, &middle, &(struct test_cert_spec){.dns = NAMES("a.example")});
    assert_string_equal(client_says(&leaf, (struct net_tls_client_config){.hostname = "a.example"}),
                        "unable to get local issuer certificate");
    strbuf_adds(&chain, leaf.cert_pem);
    strbuf_adds(&chain, middle.cert_pem);
    free(leaf.cert_pem);
    leaf.cert_pem = strbuf_take(&chain);
    assert_null(client_says(&leaf, (struct net_tls_client_config){.hostname = "a.example"}));
    test_cert_clear(&middle);
    test_cert_clear(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_picks_the_certificate),
        cmocka_unit_test(a_host_without_a_name_serves_the_rest),
        cmocka_unit_test(an_rsa_only_client_gets_the_rsa_certificate),
        cmocka_unit_test(alpn_is_the_servers_choice),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(the_newest_version_can_be_bounded),
        cmocka_unit_test(suites_can_be_narrowed_never_widened),
        cmocka_unit_test(versions_that_cannot_meet_are_refused),
        cmocka_unit_test(our_order_of_suites_counts_but_for_chacha),
        cmocka_unit_test(sessions_stay_with_their_host_listener_and_trust),
        cmocka_unit_test(the_servers_name_and_chain_are_verified_in_every_version),
        cmocka_unit_test(one_of_the_alternative_names_suffices_and_nothing_else),
        cmocka_unit_test(a_client_without_a_name_to_verify_is_not_built),
        cmocka_unit_test(client_certificates_are_demanded_and_verified),
        cmocka_unit_test(an_identity_is_exact_and_the_only_name),
        cmocka_unit_test(malformed_identities_are_none),
        cmocka_unit_test(the_peers_identity_is_told),
        cmocka_unit_test(a_context_outlives_its_owner_in_a_running_handshake),
        cmocka_unit_test(pairs_are_checked),
        cmocka_unit_test(intermediates_are_sent_along),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
