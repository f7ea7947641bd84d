/* Between tls_context.c (contexts), tls_pair.c (certificates and keys), tls_spiffe.c and identity.c (identities). */
#ifndef SELVEDGE_NET_TLS_PRIVATE_H
#define SELVEDGE_NET_TLS_PRIVATE_H

#include "core/net/tls_context.h"

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
