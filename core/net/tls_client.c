/* Contexts for clients: the SSL_CTX is all there is, apart from the names its callback compares with. */
#include "core/net/tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <strings.h>

/* A subject is no name: only subject alternative names count (RFC 9525). */
enum { HOST_FLAGS = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT };

/* ---- whose certificate it is ---- */

static int verify_spiffe_id(X509_STORE_CTX *store, void *spiffe_id)
{
    if (X509_verify_cert(store) != 1)
        return 0;
    return tls_spiffe_is(X509_STORE_CTX_get0_cert(store), spiffe_id) ? 1 : tls_refuse_identity(store);
}

struct alt_names {
    struct net_tls_alt_name *at; /* owned, with their texts */
    size_t num;
};

static bool is_equal_name(const ASN1_STRING *name, const char *text, bool is_exact)
{
    size_t len = strlen(text);
    const char *bytes = (const char *)ASN1_STRING_get0_data(name);

    if ((size_t)ASN1_STRING_length(name) != len)
        return false;
    return is_exact ? memcmp(bytes, text, len) == 0 : strncasecmp(bytes, text, len) == 0;
}

static bool has_literal_name(const X509 *cert, int type, const char *text)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool is_found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_found; i++) { /* -1 of none */
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        is_found = name->type == type && is_equal_name(name->d.ia5, text, type == GEN_URI);
    }
    GENERAL_NAMES_free(names);
    return is_found;
}

static bool has_alt_name(X509 *cert, const struct net_tls_alt_name *want)
{
    if (want->is_uri)
        return has_literal_name(cert, GEN_URI, want->text);
    if (strncmp(want->text, "*.", 2) == 0)
        return has_literal_name(cert, GEN_DNS, want->text);
    return X509_check_host(cert, want->text, 0, HOST_FLAGS, NULL) == 1;
}

static int verify_alt_names(X509_STORE_CTX *store, void *data)
{
    const struct alt_names *names = data;

    if (X509_verify_cert(store) != 1)
        return 0;
    for (size_t i = 0; i < names->num; i++)
        if (has_alt_name(X509_STORE_CTX_get0_cert(store), &names->at[i]))
            return 1;
    return tls_refuse_identity(store);
}

/* ---- life ---- */

struct net_tls_client {
    SSL_CTX *ctx; /* owns this struct */
    char *spiffe_id;
    struct alt_names alt_names;
};

static void free_client(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    struct net_tls_client *client = ptr;

    if (client == NULL)
        return;
    for (size_t i = 0; i < client->alt_names.num; i++)
        free((char *)client->alt_names.at[i].text);
    free(client->alt_names.at);
    free(client->spiffe_id);
    free(client);
}

static int client_ex_index = -1;

static void make_client_index(void)
{
    client_ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_client);
    if (client_ex_index < 0)
        abort();
}

static int client_index(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_client_index);
    return client_ex_index;
}

static bool is_ip_literal(const char *name)
{
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* On the SSL_CTX itself: every connection made with it is bound to the name, whoever opens it. */
static int pin_name(SSL_CTX *ctx, const char *hostname, struct err *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    int ret;

    X509_VERIFY_PARAM_set_hostflags(param, HOST_FLAGS);
    if (is_ip_literal(hostname))
        ret = X509_VERIFY_PARAM_set1_ip_asc(param, hostname);
    else
        ret = hostname[0] != '\0' && hostname[0] != '.' ? X509_VERIFY_PARAM_set1_host(param, hostname, 0) : 0;
    ERR_clear_error();
    return ret == 1 ? 0 : err_set(err, ERR_INVALID, "'%s' is no host name to verify", hostname);
}

static void pin_alt_names(struct net_tls_client *client, const struct net_tls_client_config *config)
{
    struct alt_names *names = &client->alt_names;

    names->at = xcalloc(config->num_alt_names, sizeof(names->at[0]));
    for (; names->num < config->num_alt_names; names->num++)
        names->at[names->num] = (struct net_tls_alt_name){config->alt_names[names->num].is_uri,
                                                          xstrdup(config->alt_names[names->num].text)};
    SSL_CTX_set_cert_verify_callback(client->ctx, verify_alt_names, names);
}

static int pin_peer(struct net_tls_client *client, const struct net_tls_client_config *config, struct err *err)
{
    if (config->spiffe_id != NULL) {
        client->spiffe_id = xstrdup(config->spiffe_id);
        SSL_CTX_set_cert_verify_callback(client->ctx, verify_spiffe_id, client->spiffe_id);
        return 0;
    }
    if (config->num_alt_names != 0) {
        pin_alt_names(client, config);
        return 0;
    }
    if (config->hostname == NULL)
        return err_set(err, ERR_INVALID, "neither a host name nor a SPIFFE ID to verify");
    return pin_name(client->ctx, config->hostname, err);
}

static int set_up_verification(struct net_tls_client *client, const struct net_tls_client_config *config, struct err *err)
{
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    if (pin_peer(client, config, err) != 0)
        return -1;
    if (config->ca_pem.base != NULL)
        return tls_add_trust(client->ctx, config->ca_pem, false, err);
    return SSL_CTX_set_default_verify_paths(client->ctx) == 1 ? 0 : err_set(err, ERR_IO, "the system's roots cannot be used");
}

static int set_up_client(struct net_tls_client *client, const struct net_tls_client_config *config, struct err *err)
{
    SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_OFF);
    if (!config->insecure && set_up_verification(client, config, err) != 0)
        return -1;
    if (config->cert_pem.base == NULL)
        return 0;
    return tls_pair_install(client->ctx, &(struct net_tls_pair){config->cert_pem, config->key_pem, "client certificate"},
                            err);
}

struct net_tls_client *net_tls_client_new(const struct net_tls_client_config *config, struct err *err)
{
    struct net_tls_client *client = xcalloc(1, sizeof(*client));

    client->ctx = tls_new_ctx(TLS_client_method(), config->min_version);
    if (SSL_CTX_set_ex_data(client->ctx, client_index(), client) != 1)
        abort();
    if (set_up_client(client, config, err) == 0)
        return client;
    net_tls_client_unref(client);
    return NULL;
}

struct net_tls_client *net_tls_client_ref(struct net_tls_client *client)
{
    SSL_CTX_up_ref(client->ctx);
    return client;
}

void net_tls_client_unref(struct net_tls_client *client)
{
    if (client != NULL)
        SSL_CTX_free(client->ctx); /* the last one takes the struct with it */
}

SSL_CTX *net_tls_client_ctx(const struct net_tls_client *client)
{
    return client->ctx;
}
