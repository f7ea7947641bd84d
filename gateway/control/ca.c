/* The certificate authority, on OpenSSL. */
#include "gateway/control/ca.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"
#include "core/model/format.h"
#include "gateway/control/store.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* Clocks of nodes may be behind ours. */
enum { ROOT_TTL_S = 10 * 365 * 24 * 3600, BACKDATE_S = 600 };

struct ctl_ca {
    EVP_PKEY *key;
    X509 *root;
    char *bundle;
    char *trust_domain;
};

static void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
static void x509_freep(X509 **cert)
{
    X509_free(*cert);
}
static void req_freep(X509_REQ **req)
{
    X509_REQ_free(*req);
}
static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static int err_ssl(struct err *err, enum err_code code, const char *what)
{
    char text[256];
    unsigned long error = ERR_peek_last_error();
    ERR_error_string_n(error, text, sizeof(text));
    ERR_clear_error();
    return err_set(err, code, "%s: %s", what, error != 0 ? text : "failed");
}

/* ---------- building ---------- */

static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = ext != NULL && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok ? 0 : -1;
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -1;
    bytes[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    int ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok ? 0 : -1;
}

static int set_validity(X509 *cert, long ttl_s)
{
    time_t now = (time_t)(clock_wall_us() / 1000000);
    return ASN1_TIME_set(X509_getm_notBefore(cert), now - BACKDATE_S) != NULL && ASN1_TIME_set(X509_getm_notAfter(cert), now + ttl_s) != NULL ? 0 : -1;
}

static int set_name(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Selvedge", -1, -1, 0) == 1 &&
                   X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1
               ? 0
               : -1;
}

static X509 *new_cert(EVP_PKEY *key, const char *common_name, X509 *issuer, long ttl_s)
{
    X509 *cert = X509_new();
    if (cert == NULL || X509_set_version(cert, 2) != 1 || set_serial(cert) != 0 || set_validity(cert, ttl_s) != 0 ||
        set_name(X509_get_subject_name(cert), common_name) != 0 || X509_set_pubkey(cert, key) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert)) != 1) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return xstrndup(data, (size_t)len);
}

static char *cert_pem(X509 *cert)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    return bio != NULL && PEM_write_bio_X509(bio, cert) == 1 ? bio_text(bio) : NULL;
}

static char *key_pem(EVP_PKEY *key)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    return bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 ? bio_text(bio) : NULL;
}

/* ---------- the root ---------- */

static int make_root(struct ctl_ca *ca, struct err *err)
{
    char uri[300];
    if (!format_dns_subdomain.matches(slice_of(ca->trust_domain)))
        return err_set(err, ERR_INVALID, "trust domain \"%s\": %s", ca->trust_domain, format_dns_subdomain.message);
    ca->key = EVP_EC_gen("P-256");
    if (ca->key == NULL || (ca->root = new_cert(ca->key, "Selvedge root", NULL, ROOT_TTL_S)) == NULL)
        return err_ssl(err, ERR_INTERNAL, "make the root certificate");
    snprintf(uri, sizeof(uri), "URI:spiffe://%s", ca->trust_domain);
    if (add_ext(ca->root, ca->root, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") != 0 ||
        add_ext(ca->root, ca->root, NID_key_usage, "critical,keyCertSign,cRLSign") != 0 ||
        add_ext(ca->root, ca->root, NID_subject_key_identifier, "hash") != 0 ||
        add_ext(ca->root, ca->root, NID_subject_alt_name, uri) != 0 || X509_sign(ca->root, ca->key, EVP_sha256()) == 0)
        return err_ssl(err, ERR_INTERNAL, "make the root certificate");
    return 0;
}

static int save_root(struct ctl_ca *ca, struct ctl_store *store, struct err *err)
{
    _cleanup_(freep) char *key = key_pem(ca->key);
    if (key == NULL)
        return err_ssl(err, ERR_INTERNAL, "write the root key");
    if (ctl_store_blob_put(store, "ca", "trust-domain", slice_of(ca->trust_domain), err) != 0 ||
        ctl_store_blob_put(store, "ca", "root.key", slice_of(key), err) != 0)
        return -1;
    int status = ctl_store_blob_put(store, "ca", "root.crt", slice_of(ca->bundle), err); /* last: it says all is there */
    OPENSSL_cleanse(key, strlen(key));
    return status;
}

static int load_root(struct ctl_ca *ca, struct ctl_store *store, struct slice cert, struct err *err)
{
    struct strbuf key = STRBUF_INIT, domain = STRBUF_INIT;
    if (ctl_store_blob_get(store, "ca", "root.key", &key, err) != 0 || ctl_store_blob_get(store, "ca", "trust-domain", &domain, err) != 0) {
        strbuf_clear(&key);
        return -1;
    }
    _cleanup_(bio_freep) BIO *key_bio = BIO_new_mem_buf(key.base, (int)key.len);
    _cleanup_(bio_freep) BIO *cert_bio = BIO_new_mem_buf(cert.base, (int)cert.len);
    ca->key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    ca->root = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    free(ca->trust_domain);
    ca->trust_domain = strbuf_take(&domain);
    OPENSSL_cleanse(key.base, key.len);
    strbuf_clear(&key);
    if (ca->key == NULL || ca->root == NULL || X509_check_private_key(ca->root, ca->key) != 1)
        return err_ssl(err, ERR_INTERNAL, "the stored root certificate and key do not fit");
    return 0;
}

struct ctl_ca *ctl_ca_open(struct ctl_store *store, const char *trust_domain, struct err *err)
{
    struct ctl_ca *ca = xcalloc(1, sizeof(*ca));
    struct strbuf cert = STRBUF_INIT;
    struct err missing = ERR_INIT;
    int status;
    ca->trust_domain = xstrdup(trust_domain);
    if (ctl_store_blob_get(store, "ca", "root.crt", &cert, &missing) == 0) {
        status = load_root(ca, store, strbuf_slice(&cert), err);
        ca->bundle = strbuf_take(&cert);
    } else if (missing.code == ERR_NOT_FOUND) {
        status = make_root(ca, err);
        ca->bundle = status == 0 ? cert_pem(ca->root) : NULL;
        if (status == 0)
            status = save_root(ca, store, err);
    } else {
        *err = missing;
        status = -1;
    }
    return status == 0 ? ca : ctl_ca_free(ca);
}

struct ctl_ca *ctl_ca_free(struct ctl_ca *ca)
{
    if (ca == NULL)
        return NULL;
    EVP_PKEY_free(ca->key);
    X509_free(ca->root);
    free(ca->bundle);
    free(ca->trust_domain);
    free(ca);
    return NULL;
}

const char *ctl_ca_trust_domain(const struct ctl_ca *ca)
{
    return ca->trust_domain;
}

struct slice ctl_ca_bundle(const struct ctl_ca *ca)
{
    return slice_of(ca->bundle);
}

/* ---------- leaves ---------- */

static int finish_leaf(const struct ctl_ca *ca, X509 *leaf, const char *usage, const char *names, struct err *err)
{
    if (add_ext(leaf, ca->root, NID_basic_constraints, "critical,CA:FALSE") != 0 ||
        add_ext(leaf, ca->root, NID_key_usage, "critical,digitalSignature") != 0 || add_ext(leaf, ca->root, NID_ext_key_usage, usage) != 0 ||
        add_ext(leaf, ca->root, NID_subject_key_identifier, "hash") != 0 ||
        add_ext(leaf, ca->root, NID_authority_key_identifier, "keyid:always") != 0 ||
        add_ext(leaf, ca->root, NID_subject_alt_name, names) != 0 || X509_sign(leaf, ca->key, EVP_sha256()) == 0)
        return err_ssl(err, ERR_INTERNAL, "sign the certificate");
    return 0;
}

static bool is_ip(const char *name)
{
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

int ctl_ca_issue_server(const struct ctl_ca *ca, const char *const *names, size_t num_names, char **ret_cert_pem, char **ret_key_pem,
                        struct err *err)
{
    struct strbuf list = STRBUF_INIT;
    for (size_t i = 0; i < num_names; ++i) {
        if (strpbrk(names[i], ",\n\r") != NULL) {
            strbuf_clear(&list);
            return err_set(err, ERR_INVALID, "'%s' is no host name", names[i]);
        }
        strbuf_addf(&list, "%s%s:%s", i != 0 ? "," : "", is_ip(names[i]) ? "IP" : "DNS", names[i]);
    }
    _cleanup_(pkey_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
    _cleanup_(x509_freep) X509 *leaf = key != NULL ? new_cert(key, "Selvedge control API", ca->root, CTL_CA_SERVER_TTL_S) : NULL;
    int status = leaf != NULL ? finish_leaf(ca, leaf, "serverAuth", list.base, err) : err_ssl(err, ERR_INTERNAL, "make a certificate");
    strbuf_clear(&list);
    if (status != 0)
        return -1;
    *ret_cert_pem = cert_pem(leaf);
    *ret_key_pem = key_pem(key);
    return 0;
}

static bool is_strong(EVP_PKEY *key)
{
    char group[64] = "";
    size_t len;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192;
    case EVP_PKEY_EC:
        if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
            return false;
        return strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 || strcmp(group, "secp521r1") == 0;
    case EVP_PKEY_ED25519:
        return true;
    default:
        return false;
    }
}

static int set_enrolment(X509 *leaf, const char *enrolment)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(leaf), NID_userId, MBSTRING_UTF8, (const unsigned char *)enrolment, -1, -1, 0) == 1 ? 0 : -1;
}

int ctl_ca_sign_node(const struct ctl_ca *ca, struct slice csr_pem, const char *spiffe_id, const char *enrolment, unsigned ttl_s,
                     char **ret_cert_pem, int64_t *ret_not_after_us, struct err *err)
{
    char names[640];
    if (csr_pem.len > 16 * 1024)
        return err_set(err, ERR_BAD_REQUEST, "csr: longer than 16 KiB");
    _cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(csr_pem.base, (int)csr_pem.len);
    _cleanup_(req_freep) X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    EVP_PKEY *key = req != NULL ? X509_REQ_get0_pubkey(req) : NULL; /* borrowed */
    if (key == NULL)
        return err_ssl(err, ERR_BAD_REQUEST, "csr: not a certificate request in PEM");
    if (X509_REQ_verify(req, key) != 1)
        return err_ssl(err, ERR_BAD_REQUEST, "csr: the signature does not fit the key");
    if (!is_strong(key))
        return err_set(err, ERR_BAD_REQUEST, "csr: the key is too weak or of an unknown kind");
    if (strpbrk(spiffe_id, ",\n\r") != NULL || snprintf(names, sizeof(names), "URI:%s", spiffe_id) >= (int)sizeof(names))
        return err_set(err, ERR_INVALID, "'%s' is no SPIFFE ID", spiffe_id);
    _cleanup_(x509_freep) X509 *leaf = new_cert(key, "Selvedge node", ca->root, (long)ttl_s);
    if (leaf == NULL || set_enrolment(leaf, enrolment) != 0)
        return err_ssl(err, ERR_INTERNAL, "make a certificate");
    if (finish_leaf(ca, leaf, "clientAuth,serverAuth", names, err) != 0)
        return err_wrap(err, "sign for %s", spiffe_id);
    *ret_cert_pem = cert_pem(leaf);
    *ret_not_after_us = clock_wall_us() + (int64_t)ttl_s * 1000000;
    return 0;
}
