/* Between tls_context.c, tls_server.c and tls_client.c (contexts), tls_pair.c (certificates and keys), tls_spiffe.c and
 * identity.c (identities). */
#ifndef SELVEDGE_NET_TLS_PRIVATE_H
#define SELVEDGE_NET_TLS_PRIVATE_H

#include "core/net/tls_context.h"

/* A context with our defaults. `min_version` 0: TLS 1.2. */
SSL_CTX *tls_new_ctx(const SSL_METHOD *method, int min_version);
/* Trusts the certificates of the bundle; a server also names them to clients. */
int tls_add_trust(SSL_CTX *ctx, struct slice pem, bool is_server, struct err *err);
/* For a verify callback, which returns it: the chain is good, but not the right one's. The error code is one nothing else
 * uses: io_tls.c knows its text. */
int tls_refuse_identity(X509_STORE_CTX *store);
/* Whether it is one of the TLS 1.2 suites we speak. */
bool tls_is_suite_of_ours(const char *name, size_t len);

/* A parsed pair: leaf, intermediates, key; the key belongs to the leaf and is strong enough. */
struct tls_pair {
    X509 *leaf;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
};
int tls_pair_parse(const struct net_tls_pair *src, struct tls_pair *ret, struct err *err);
void tls_pair_clear(struct tls_pair *pair);
int tls_pair_install(SSL_CTX *ctx, const struct net_tls_pair *src, struct err *err);
/* Certificates of a bundle; NULL when it holds none or anything else. */
STACK_OF(X509) *tls_parse_bundle(struct slice pem, const char *name, struct err *err);
/* OpenSSL's reason for the last failure; empties its queue. A static text. */
const char *tls_reason(void);
/* Wall clock; 0 when it is no time. */
int64_t tls_time_us(const ASN1_TIME *time);

/* The certificate's only subject alternative name, if that is a well-formed SPIFFE ID of a workload: heap, or NULL. */
char *tls_spiffe_id(const X509 *cert);
/* Whether the certificate is an X509-SVID of exactly this ID. */
bool tls_spiffe_is(const X509 *cert, const char *spiffe_id);
/* … of any ID in this trust domain. */
bool tls_spiffe_is_below(const X509 *cert, const char *trust_domain);

#endif
