/* A node's own key and certificate: making the key, asking for a certificate, reading how long it lives.
 *
 * Threads: any; blocking. Ownership: texts returned are heap, PEM; wipe keys when done. */
#ifndef SELVEDGE_NET_IDENTITY_H
#define SELVEDGE_NET_IDENTITY_H

#include "core/base/err.h"

/* ECDSA P-256, PKCS#8. */
int net_identity_new_key(char **ret_key_pem, struct err *err);
/* A PKCS#10 request that proves possession of the key and asks for nothing: the authority decides the rest. */
int net_identity_request(struct slice key_pem, char **ret_csr_pem, struct err *err);
/* Validity of the first certificate in `cert_pem`. */
int net_identity_validity(struct slice cert_pem, int64_t *ret_not_before_us, int64_t *ret_not_after_us, struct err *err);

#endif
