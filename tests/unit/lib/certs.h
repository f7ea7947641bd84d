/* Certificates for tests, made on the spot: authorities, leaves, and the hostile ones no authority would sign. */
#ifndef SELVEDGE_TESTS_CERTS_H
#define SELVEDGE_TESTS_CERTS_H

#include "core/base/defs.h"

struct test_cert {
    char *cert_pem, *key_pem; /* owned; cert_pem without its issuers */
    void *x509, *key;         /* X509 *, EVP_PKEY * */
};

struct test_cert_spec {
    const char *key;              /* "P-256" when NULL; "P-384", "secp256k1", "RSA-1024", "RSA-2048", "ED25519" */
    const char *common_name;      /* "test" or "test CA" when NULL */
    const char *const *dns, *const *uris, *const *ips; /* NULL-terminated, or NULL */
    struct slice raw_uri;         /* one more URI, any bytes */
    const char *eku;              /* "serverAuth", "clientAuth" …; NULL: no such extension */
    const char *key_usage;        /* "digitalSignature"; NULL: no such extension */
    bool is_ca;
    long not_before_s, not_after_s; /* from now; both 0: valid for a day since an hour ago */
};

/* `issuer` NULL: self-signed. */
void test_cert_make(struct test_cert *ret, const struct test_cert *issuer, const struct test_cert_spec *spec);
void test_cert_clear(struct test_cert *cert);

#endif
