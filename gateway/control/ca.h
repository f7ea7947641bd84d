/* The certificate authority: one root (ECDSA P-256), kept in the store, that signs nodes' certificates and the API's own.
 *
 * A node's private key never leaves its host: it sends a PKCS#10 request, of which only the public key is used; name,
 * usage and lifetime are the authority's decision. Node certificates carry exactly one URI SAN, the SPIFFE ID, and the
 * enrolment they belong to as UID in their subject, and are good for client and server use; the API's are for servers only.
 *
 * Threads: after opening, any (signing is pure; about 50 us): in jobs, or at start. Ownership: texts returned are heap. */
#ifndef SELVEDGE_CONTROL_CA_H
#define SELVEDGE_CONTROL_CA_H

#include "core/base/err.h"

struct ctl_store;
struct ctl_ca;

enum { CTL_CA_NODE_TTL_S = 24 * 3600, CTL_CA_SERVER_TTL_S = 90 * 24 * 3600 };

/* Loads the root, or makes one for `trust_domain` ("example.org") if there is none yet. Blocks: at start. */
struct ctl_ca *ctl_ca_open(struct ctl_store *store, const char *trust_domain, struct err *err);
struct ctl_ca *ctl_ca_free(struct ctl_ca *ca); /* NULL is fine; returns NULL */
const char *ctl_ca_trust_domain(const struct ctl_ca *ca);
/* The trust bundle: PEM. */
struct slice ctl_ca_bundle(const struct ctl_ca *ca);

/* A key and certificate for the API's listener. `names`: DNS names and IP literals. */
int ctl_ca_issue_server(const struct ctl_ca *ca, const char *const *names, size_t num_names, char **ret_cert_pem,
                        char **ret_key_pem, struct err *err);
/* Signs a request for the given identity and enrolment (the uid of the Node object). ERR_BAD_REQUEST when it is no request, its signature does not fit, or its key is
 * weak (RSA below 2048 bits; curves other than P-256, P-384, P-521, Ed25519). */
int ctl_ca_sign_node(const struct ctl_ca *ca, struct slice csr_pem, const char *spiffe_id, const char *enrolment, unsigned ttl_s,
                     char **ret_cert_pem, int64_t *ret_not_after_us, struct err *err);

#endif
