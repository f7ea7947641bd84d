/* links: sv_net */
/* A server with several hosts meets any first flight: it answers, waits or fails, and the name it saw is a plain one. */
#include "core/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static char *to_pem(int (*write)(BIO *, const void *), const void *object)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;

    if (write(bio, object) != 1)
        abort();
    long len = BIO_get_mem_data(bio, &text);
    char *copy = xstrndup(text, (size_t)len);
    BIO_free(bio);
    return copy;
}

static int write_cert(BIO *bio, const void *cert)
{
    return PEM_write_bio_X509(bio, (X509 *)cert);
}

static int write_key(BIO *bio, const void *key)
{
    return PEM_write_bio_PrivateKey(bio, (EVP_PKEY *)key, NULL, NULL, 0, NULL, NULL);
}

static struct net_tls_server *make_server(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *cert = X509_new();

    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    if (X509_sign(cert, key, EVP_sha256()) == 0)
        abort();
    char *cert_pem = to_pem(write_cert, cert), *key_pem = to_pem(write_key, key);
    struct net_tls_pair pair = {slice_of(cert_pem), slice_of(key_pem), "fuzz"};
    struct net_tls_host hosts[] = {{"a.example", &pair, 1}, {"*.b.example", &pair, 1}, {"*.x.b.example", &pair, 1}};
    struct net_tls_server *server = net_tls_server_new(
        &(struct net_tls_server_config){.name = "fuzz", .hosts = hosts, .num_hosts = ARRAY_LEN(hosts)}, NULL);
    if (server == NULL)
        abort();
    X509_free(cert);
    EVP_PKEY_free(key);
    free(cert_pem);
    free(key_pem);
    return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct net_tls_server *server;
    BIO *in = BIO_new_mem_buf(len != 0 ? (const void *)bytes : "", (int)len), *out = BIO_new(BIO_s_mem());

    if (server == NULL)
        server = make_server();
    SSL *ssl = SSL_new(net_tls_server_ctx(server));
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    ERR_clear_error();
    if (SSL_accept(ssl) == 1)
        abort(); /* nobody finishes a handshake without a key */
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (SSL_get_SSL_CTX(ssl) != net_tls_server_ctx(server) && name != NULL && strlen(name) > 253)
        abort(); /* a host was chosen by something that is no name */
    SSL_free(ssl);
    return 0;
}
