#include "tests/unit/lib/certs.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define MUST(x)                                                                                              \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

static EVP_PKEY *make_key(const char *kind)
{
    EVP_PKEY *key;

    if (kind == NULL)
        kind = "P-256";
    if (strncmp(kind, "RSA-", 4) == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(kind + 4));
    else if (strcmp(kind, "ED25519") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    MUST(key != NULL);
    return key;
}

static void add_name(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    MUST(ASN1_STRING_set(text, bytes, (int)len));
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
}

static void add_sans(X509 *cert, const struct test_cert_spec *spec)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    unsigned char ip[16];

    for (size_t i = 0; spec->dns != NULL && spec->dns[i] != NULL; i++)
        add_name(names, GEN_DNS, spec->dns[i], strlen(spec->dns[i]));
    for (size_t i = 0; spec->uris != NULL && spec->uris[i] != NULL; i++)
        add_name(names, GEN_URI, spec->uris[i], strlen(spec->uris[i]));
    if (spec->raw_uri.base != NULL)
        add_name(names, GEN_URI, spec->raw_uri.base, spec->raw_uri.len);
    for (size_t i = 0; spec->ips != NULL && spec->ips[i] != NULL; i++) {
        bool is_v6 = strchr(spec->ips[i], ':') != NULL;
        MUST(inet_pton(is_v6 ? AF_INET6 : AF_INET, spec->ips[i], ip) == 1);
        add_name(names, GEN_IPADD, ip, is_v6 ? 16 : 4);
    }
    if (sk_GENERAL_NAME_num(names) != 0)
        MUST(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
    GENERAL_NAMES_free(names);
}

static void add_ext(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext;

    if (value == NULL)
        return;
    MUST((ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value)) != NULL);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static char *to_pem(void *object, bool is_key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    MUST((is_key ? PEM_write_bio_PrivateKey(bio, object, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_X509(bio, object)) == 1);
    len = BIO_get_mem_data(bio, &text);
    char *copy = xstrndup(text, (size_t)len);
    BIO_free(bio);
    return copy;
}

void test_cert_make(struct test_cert *ret, const struct test_cert *issuer, const struct test_cert_spec *spec)
{
    X509 *cert = X509_new();
    EVP_PKEY *key = make_key(spec->key), *signer = issuer != NULL ? issuer->key : key;
    uint64_t serial;
    const char *common_name = spec->common_name != NULL ? spec->common_name : spec->is_ca ? "test CA" : "test";
    bool has_dates = spec->not_before_s != 0 || spec->not_after_s != 0;

    X509_set_version(cert, X509_VERSION_3);
    MUST(RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), has_dates ? spec->not_before_s : -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), has_dates ? spec->not_after_s : 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer->x509 : cert));
    X509_set_pubkey(cert, key);
    add_ext(cert, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_ext(cert, NID_ext_key_usage, spec->eku);
    add_ext(cert, NID_key_usage, spec->key_usage);
    add_sans(cert, spec);
    MUST(X509_sign(cert, signer, EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) != 0);
    *ret = (struct test_cert){.cert_pem = to_pem(cert, false), .key_pem = to_pem(key, true), .x509 = cert, .key = key};
}

void test_cert_clear(struct test_cert *cert)
{
    free(cert->cert_pem);
    free(cert->key_pem);
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (struct test_cert){0};
}
