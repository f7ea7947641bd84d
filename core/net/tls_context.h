/* SSL_CTXs: built off the loop from PEM, immutable, shared by reference, safe defaults.
 *
 * Server defaults: TLS 1.2 and 1.3, ECDHE AEAD suites only in our order, but ChaCha20 first for a client that
 * puts it first (it has no AES instructions), no compression, no renegotiation, no early data, tickets confined per listener (keys and session id context
 * derive from the listener's name and a per-process secret), per trust bundle and per suites; ALPN as configured.
 * Client defaults: the peer is verified, and its name is pinned on the SSL_CTX itself (X509_VERIFY_PARAM) or its
 * SPIFFE ID by exact URI SAN; never left to the socket layer (h2o.md 2.2 #1).
 *
 * Threads: building on any thread (slow: run as net_job); a built set is used by all workers.
 * Ownership: _ref/_unref, atomic count. */
#ifndef SELVEDGE_NET_TLS_CONTEXT_H
#define SELVEDGE_NET_TLS_CONTEXT_H

#include "core/base/err.h"

#include <openssl/ssl.h>

/* One certificate for a server: chain and key in PEM. RSA (>= 2048) and ECDSA keys; both kinds may be given for a name. */
struct net_tls_pair {
    struct slice cert_pem, key_pem;
    const char *name; /* for messages: "Secret default/shop-tls" */
};

/* One server name (SNI) with its certificates. */
struct net_tls_host {
    const char *hostname; /* "a.example", "*.example", or "" for any */
    const struct net_tls_pair *pairs;
    size_t num_pairs;
};

struct net_tls_server_config {
    const char *name; /* the listener's: confines tickets */
    const struct net_tls_host *hosts;
    size_t num_hosts;
    int min_version;      /* TLS1_2_VERSION (0 means that) or TLS1_3_VERSION */
    int max_version;      /* the same; 0: 1.3 */
    const char *tls12_suites; /* some of ours, as OpenSSL lists them ("ECDHE-RSA-AES128-GCM-SHA256:…"); NULL: all */
    struct slice alpn;    /* what is offered, as RFC 7301 lists it, the preferred one first; {NULL,0}: NET_TLS_ALPN_BOTH */
    struct slice client_ca_pem; /* present: client certificates are asked for */
    bool client_cert_optional;
    /* present: a client certificate must carry exactly one URI SAN below this SPIFFE trust domain ("example.org") */
    const char *spiffe_trust_domain;
};

#define NET_TLS_ALPN_BOTH SLICE("\x02h2\x08http/1.1")
#define NET_TLS_ALPN_HTTP1 SLICE("\x08http/1.1")

struct net_tls_server;

/* NULL on error: names the pair ("Secret default/shop-tls: key does not match certificate"). */
struct net_tls_server *net_tls_server_new(const struct net_tls_server_config *config, struct err *err);
struct net_tls_server *net_tls_server_ref(struct net_tls_server *server);
void net_tls_server_unref(struct net_tls_server *server);
/* The context to start a handshake with; SNI then picks the host's (exact, then longest wildcard, then ""; none of
 * them: unrecognized_name alert). */
SSL_CTX *net_tls_server_ctx(const struct net_tls_server *server);

/* A subject alternative name to require: a DNS name (a certificate's wildcard may cover it; "*.example" only that very
 * wildcard) or an exact URI. */
struct net_tls_alt_name {
    bool is_uri;
    const char *text;
};

struct net_tls_client_config {
    struct slice ca_pem;        /* {NULL,0}: the system's roots */
    const char *hostname;       /* pinned DNS name (or IP literal); NULL only with one of the next two */
    const char *spiffe_id;      /* an X509-SVID of exactly this ID, instead of a name */
    const struct net_tls_alt_name *alt_names; /* any one of them, instead of a name */
    size_t num_alt_names;
    struct slice cert_pem, key_pem; /* own identity, or {NULL,0} */
    int min_version;
    bool insecure;              /* nothing is verified: only where a person asked for it by that name */
};

struct net_tls_client;
struct net_tls_client *net_tls_client_new(const struct net_tls_client_config *config, struct err *err);
struct net_tls_client *net_tls_client_ref(struct net_tls_client *client);
void net_tls_client_unref(struct net_tls_client *client);
SSL_CTX *net_tls_client_ctx(const struct net_tls_client *client);

/* Checks a pair without building anything: parses, key matches certificate, key strong enough. Fills the end of
 * validity and the DNS names (comma separated, heap, may be NULL) where asked. */
int net_tls_check_pair(const struct net_tls_pair *pair, int64_t *ret_not_after_wall_us, char **ret_dns_names,
                       struct err *err);
/* Whether the text holds certificates and nothing else: "ConfigMap default/ca: not a PEM certificate". */
int net_tls_check_bundle(struct slice pem, const char *name, struct err *err);
/* The single URI SAN of the peer's certificate ("spiffe://td/…"), NUL-terminated heap text, or NULL. */
char *net_tls_peer_spiffe_id(SSL *ssl);
/* The UID in the subject of the peer's certificate (the authority's word on which holder of a name this is), heap, or NULL
 * when there is none, or more than one. */
char *net_tls_peer_uid(SSL *ssl);
/* When the peer's certificate ends, wall clock; 0 when there is none. A connection, or a session taken up again, may outlive it. */
int64_t net_tls_peer_not_after_us(SSL *ssl);

#endif
