/* What the contexts of servers (tls_server.c) and clients (tls_client.c) share: safe defaults, and trust. */
#include "core/net/tls_private.h"

enum {
    MAX_PEER_CHAIN_BYTES = 64 * 1024,
    MAX_VERIFY_DEPTH = 5,
};

static const char tls12_suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                   "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                   "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char tls13_suites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

SSL_CTX *tls_new_ctx(const SSL_METHOD *method, int min_version)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        abort(); /* out of memory, or a broken installation of OpenSSL */
    SSL_CTX_set_security_level(ctx, 2);
    if (SSL_CTX_set_min_proto_version(ctx, min_version != 0 ? min_version : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, tls12_suites) != 1 || SSL_CTX_set_ciphersuites(ctx, tls13_suites) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1)
        abort();
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_max_cert_list(ctx, MAX_PEER_CHAIN_BYTES);
    SSL_CTX_set_verify_depth(ctx, MAX_VERIFY_DEPTH);
    return ctx;
}

int tls_add_trust(SSL_CTX *ctx, struct slice pem, bool is_server, struct err *err)
{
    STACK_OF(X509) *certs = tls_parse_bundle(pem, "trust bundle", err);

    if (certs == NULL)
        return -1;
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), sk_X509_value(certs, i));
        if (is_server)
            SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i));
    }
    sk_X509_pop_free(certs, X509_free);
    return 0;
}

int tls_refuse_identity(X509_STORE_CTX *store)
{
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

bool tls_is_suite_of_ours(const char *name, size_t len)
{
    const char *at = tls12_suites;

    for (;;) {
        size_t next = strcspn(at, ":");
        if (next == len && memcmp(at, name, len) == 0)
            return true;
        if (at[next] == '\0')
            return false;
        at += next + 1;
    }
}
