/* Contexts for servers.
 *
 * A server is its first SSL_CTX: the tables behind it hang on it and go with it, so that a handshake that outlives the
 * configuration still finds them. The client's hello picks the host: another SSL_CTX with that host's certificates and,
 * apart from those and the session context, the very same settings (SSL_set_SSL_CTX() takes some of them from the old
 * and some from the new).
 * Tickets: keys derive from the listener's name, the trust bundle and a secret of the process; the session context
 * also from the host: a session of one host is no session of another (CVE-2025-23419). Where client certificates are
 * asked for there are no tickets at all: each connection proves itself against the trust bundle of now. */
#include "core/net/tls_private.h"

#include "core/base/hashmap.h"
#include "core/base/strbuf.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <ctype.h>
#include <pthread.h>

enum {
    MAX_HOSTNAME = 253,
    TICKET_LIFETIME_S = 3600,
};

/* ---- the server's tables ---- */

struct host {
    char *name; /* lower case: "a.example", "*.example" */
    SSL_CTX *ctx;
};

struct net_tls_server {
    SSL_CTX *ctx; /* owns this struct; certificates of the host "", if there is one */
    struct hashmap hosts;
    struct host *host_list;
    size_t num_hosts;
    bool has_default;
    char *trust_domain;
    char *alpn; /* as RFC 7301 lists it */
    unsigned alpn_len;
};

static int server_index(void);

static void free_server(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    struct net_tls_server *server = ptr;

    if (server == NULL)
        return;
    for (size_t i = 0; i < server->num_hosts; i++) {
        free(server->host_list[i].name);
        SSL_CTX_free(server->host_list[i].ctx);
    }
    free(server->host_list);
    hashmap_clear(&server->hosts);
    free(server->trust_domain);
    free(server->alpn);
    free(server);
}

static int ex_index = -1;

static void make_index(void)
{
    ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_server);
    if (ex_index < 0)
        abort();
}

static int server_index(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
    return ex_index;
}

/* ---- SNI ---- */

/* The name in the server_name extension (RFC 6066, section 3): lower-cased into `out`. -1: malformed. 0: none. */
static int hello_name(SSL *ssl, char out[MAX_HOSTNAME + 1])
{
    const unsigned char *ext;
    size_t len;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) != 1)
        return 0;
    /* list length (2), type host_name (1) = 0, length (2), name: one name, filling the extension */
    if (len < 5 || (size_t)((ext[0] << 8) | ext[1]) != len - 2 || ext[2] != TLSEXT_NAMETYPE_host_name ||
        (size_t)((ext[3] << 8) | ext[4]) != len - 5 || len - 5 == 0 || len - 5 > MAX_HOSTNAME)
        return -1;
    for (size_t i = 0; i < len - 5; i++) {
        if (ext[5 + i] <= ' ' || ext[5 + i] >= 0x7f)
            return -1;
        out[i] = (char)tolower(ext[5 + i]);
    }
    out[len - 5] = '\0';
    return (int)(len - 5);
}

/* Exact, then the longest wildcard: "*." stands for one or more labels, as in the Gateway API. NULL: none. */
static struct host *find_host(const struct net_tls_server *server, const char *name)
{
    struct host *host = hashmap_gets(&server->hosts, name);
    const char *dot = name;
    char wildcard[MAX_HOSTNAME + 2];

    while (host == NULL && (dot = strchr(dot, '.')) != NULL) {
        wildcard[0] = '*';
        strcpy(wildcard + 1, dot++);
        host = hashmap_gets(&server->hosts, wildcard);
    }
    return host;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const struct net_tls_server *server = arg;
    char name[MAX_HOSTNAME + 1];
    int len = hello_name(ssl, name);
    struct host *host = len > 0 ? find_host(server, name) : NULL;

    *alert = len < 0 ? SSL_AD_DECODE_ERROR : SSL_AD_UNRECOGNIZED_NAME;
    if (len < 0 || (host == NULL && !server->has_default))
        return SSL_CLIENT_HELLO_ERROR;
    if (host != NULL)
        SSL_set_SSL_CTX(ssl, host->ctx);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* The choice was made above; this only makes OpenSSL acknowledge the name, as RFC 6066 asks. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Ours first; a client that offers only what we do not speak is refused (RFC 7301, section 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
                   void *arg)
{
    const struct net_tls_server *server = arg;

    if (SSL_select_next_proto((unsigned char **)out, out_len, (unsigned char *)server->alpn, server->alpn_len, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- sessions ---- */

static unsigned char process_secret[32];

static void make_secret(void)
{
    if (RAND_bytes(process_secret, sizeof(process_secret)) != 1)
        abort();
}

/* HMAC of all that confines a session, each part with its length, under the secret of this process. */
static void derive(const char *purpose, const struct net_tls_server_config *config, const char *hostname,
                   unsigned char out[32])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct slice parts[] = {slice_of(purpose), slice_of(config->name), config->client_ca_pem,
                            slice_of(config->spiffe_trust_domain), slice_of(config->tls12_suites), slice_of(hostname)};
    struct strbuf text = STRBUF_INIT;

    pthread_once(&once, make_secret);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        strbuf_addu(&text, parts[i].len);
        strbuf_addc(&text, ':');
        strbuf_add_slice(&text, parts[i]);
    }
    if (HMAC(EVP_sha256(), process_secret, sizeof(process_secret), (unsigned char *)text.base, text.len, out, NULL) == NULL)
        abort();
    strbuf_clear(&text);
}

static void confine_sessions(SSL_CTX *ctx, const struct net_tls_server_config *config, const char *hostname)
{
    unsigned char id[32], keys[96];

    derive("session", config, hostname, id);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id));
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TICKET_LIFETIME_S);
    if (config->client_ca_pem.base != NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    derive("ticket name", config, "", keys);
    derive("ticket mac", config, "", keys + 32);
    derive("ticket cipher", config, "", keys + 64);
    memmove(keys + 16, keys + 32, 64); /* name (16), MAC key (32), cipher key (32) */
    if (SSL_CTX_set_tlsext_ticket_keys(ctx, keys, 80) != 1)
        abort();
    OPENSSL_cleanse(keys, sizeof(keys));
    SSL_CTX_set_num_tickets(ctx, 1);
}

/* ---- building a server ---- */

static int verify_trust_domain(X509_STORE_CTX *store, void *trust_domain)
{
    if (X509_verify_cert(store) != 1)
        return 0;
    return tls_spiffe_is_below(X509_STORE_CTX_get0_cert(store), trust_domain) ? 1 : tls_refuse_identity(store);
}

/* Suites that were checked: some of ours, so that no listener can be talked into a weak one. */
static SSL_CTX *new_server_ctx(const struct net_tls_server_config *config)
{
    SSL_CTX *ctx = tls_new_ctx(TLS_server_method(), config->min_version);

    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_max_proto_version(ctx, config->max_version) != 1)
        abort(); /* a number that is no version: the caller's mistake */
    if (config->tls12_suites != NULL)
        (void)SSL_CTX_set_cipher_list(ctx, config->tls12_suites); /* refused by check_suites() */
    return ctx;
}

static int check_suites(const struct net_tls_server_config *config, struct err *err)
{
    const char *at = config->tls12_suites;

    if (config->max_version != 0 && config->min_version > config->max_version)
        return err_set(err, ERR_INVALID, "the newest TLS version allowed is older than the oldest one");
    while (at != NULL) {
        size_t len = strcspn(at, ":");
        if (!tls_is_suite_of_ours(at, len))
            return err_set(err, ERR_INVALID, "'%.*s' is no TLS suite served here", (int)len, at);
        at = at[len] == ':' ? at + len + 1 : NULL;
    }
    return 0;
}

/* Everything but certificates, the same for all hosts. */
static int set_up_host(SSL_CTX *ctx, struct net_tls_server *server, const struct net_tls_server_config *config,
                       const char *hostname, struct err *err)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, server);
    confine_sessions(ctx, config, hostname);
    if (config->client_ca_pem.base == NULL)
        return 0;
    if (tls_add_trust(ctx, config->client_ca_pem, true, err) != 0)
        return -1;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (config->client_cert_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    if (server->trust_domain != NULL)
        SSL_CTX_set_cert_verify_callback(ctx, verify_trust_domain, server->trust_domain);
    return 0;
}

static int install_pairs(SSL_CTX *ctx, const struct net_tls_host *host, struct err *err)
{
    if (host->num_pairs == 0)
        return err_set(err, ERR_INVALID, "host '%s' has no certificate", host->hostname);
    for (size_t i = 0; i < host->num_pairs; i++)
        if (tls_pair_install(ctx, &host->pairs[i], err) != 0)
            return -1;
    return 0;
}

static char *lower(const char *text)
{
    char *copy = xstrdup(text);
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static int add_host(struct net_tls_server *server, const struct net_tls_server_config *config,
                    const struct net_tls_host *src, struct err *err)
{
    struct host *host;

    if (src->hostname[0] == '\0') {
        if (server->has_default)
            return err_set(err, ERR_INVALID, "two hosts without a name");
        server->has_default = true;
        return install_pairs(server->ctx, src, err);
    }
    if (strlen(src->hostname) > MAX_HOSTNAME)
        return err_set(err, ERR_INVALID, "host name longer than %d bytes", MAX_HOSTNAME);
    host = &server->host_list[server->num_hosts++];
    *host = (struct host){lower(src->hostname), new_server_ctx(config)};
    if (hashmap_puts(&server->hosts, host->name, host) != NULL)
        return err_set(err, ERR_INVALID, "host '%s' is there twice", host->name);
    if (set_up_host(host->ctx, server, config, host->name, err) != 0)
        return -1;
    return install_pairs(host->ctx, src, err);
}

struct net_tls_server *net_tls_server_new(const struct net_tls_server_config *config, struct err *err)
{
    struct net_tls_server *server = xcalloc(1, sizeof(*server));
    int ret;

    struct slice alpn = config->alpn.base != NULL ? config->alpn : NET_TLS_ALPN_BOTH;
    *server = (struct net_tls_server){.ctx = new_server_ctx(config),
                                      .hosts = HASHMAP_INIT,
                                      .host_list = xcalloc(MAX(config->num_hosts, 1), sizeof(struct host)),
                                      .alpn = xstrndup(alpn.base, alpn.len),
                                      .alpn_len = (unsigned)alpn.len};
    if (config->spiffe_trust_domain != NULL)
        server->trust_domain = xstrdup(config->spiffe_trust_domain);
    if (SSL_CTX_set_ex_data(server->ctx, server_index(), server) != 1)
        abort();
    SSL_CTX_set_client_hello_cb(server->ctx, on_client_hello, server);
    ret = check_suites(config, err);
    if (ret == 0)
        ret = set_up_host(server->ctx, server, config, "", err);
    if (ret == 0 && config->num_hosts == 0)
        ret = err_set(err, ERR_INVALID, "no certificate");
    if (ret == 0 && config->spiffe_trust_domain != NULL && config->client_ca_pem.base == NULL)
        ret = err_set(err, ERR_INVALID, "a SPIFFE trust domain needs a trust bundle");
    for (size_t i = 0; ret == 0 && i < config->num_hosts; i++)
        ret = add_host(server, config, &config->hosts[i], err);
    if (ret == 0)
        return server;
    net_tls_server_unref(server);
    return NULL;
}

struct net_tls_server *net_tls_server_ref(struct net_tls_server *server)
{
    SSL_CTX_up_ref(server->ctx);
    return server;
}

void net_tls_server_unref(struct net_tls_server *server)
{
    if (server != NULL)
        SSL_CTX_free(server->ctx); /* the last one takes the struct with it */
}

SSL_CTX *net_tls_server_ctx(const struct net_tls_server *server)
{
    return server->ctx;
}
