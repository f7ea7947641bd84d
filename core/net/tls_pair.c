/* Certificates and keys from PEM: parsed once, refused with the name of where they came from.
 *
 * The key must belong to the first certificate and be one that clients accept today. Encrypted keys are refused rather
 * than asked about: OpenSSL's default is to prompt on the terminal. */
#include "core/net/tls_private.h"

#include "core/base/strbuf.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { MIN_RSA_BITS = 2048, MAX_CHAIN = 16, MAX_BUNDLE = 1024 };

const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

static int no_password(char *buf, int size, int is_write, void *data)
{
    return -1;
}

static BIO *open_pem(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.base != NULL ? pem.base : "", (int)MIN(pem.len, INT32_MAX));
    if (bio == NULL)
        abort();
    return bio;
}

/* Whether the reader stopped because there was nothing more, not because of something broken. */
static bool is_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (is_end)
        ERR_clear_error();
    return is_end;
}

static STACK_OF(X509) *read_certs(struct slice pem, int max, const char *name, struct err *err)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = open_pem(pem);
    X509 *cert;

    ERR_clear_error();
    while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL && sk_X509_num(certs) < max)
        sk_X509_push(certs, cert);
    BIO_free(bio);
    if (cert != NULL) {
        X509_free(cert);
        err_set(err, ERR_INVALID, "%s: more than %d certificates", name, max);
    } else if (!is_end_of_pem()) {
        err_set(err, ERR_INVALID, "%s: malformed certificate: %s", name, tls_reason());
    } else if (sk_X509_num(certs) == 0) {
        err_set(err, ERR_INVALID, "%s: no certificate in it", name);
    } else {
        return certs;
    }
    sk_X509_pop_free(certs, X509_free);
    return NULL;
}

STACK_OF(X509) *tls_parse_bundle(struct slice pem, const char *name, struct err *err)
{
    return read_certs(pem, MAX_BUNDLE, name, err);
}

int net_tls_check_bundle(struct slice pem, const char *name, struct err *err)
{
    STACK_OF(X509) *certs = tls_parse_bundle(pem, name, err);

    if (certs == NULL)
        return -1;
    sk_X509_pop_free(certs, X509_free);
    return 0;
}

static int check_key_strength(EVP_PKEY *key, const char *name, struct err *err)
{
    char group[64] = "";

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        if (EVP_PKEY_get_bits(key) < MIN_RSA_BITS)
            return err_set(err, ERR_INVALID, "%s: RSA key of %d bits, at least %d are needed", name,
                           EVP_PKEY_get_bits(key), MIN_RSA_BITS);
        return 0;
    case EVP_PKEY_EC:
        (void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL); /* stays empty when it fails */
        if (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 || strcmp(group, "secp521r1") == 0)
            return 0;
        return err_set(err, ERR_INVALID, "%s: elliptic curve '%s'; P-256, P-384 and P-521 are supported", name, group);
    case EVP_PKEY_ED25519:
        return 0;
    default:
        return err_set(err, ERR_INVALID, "%s: neither an RSA nor an ECDSA key", name);
    }
}

static EVP_PKEY *read_key(struct slice pem, const char *name, struct err *err)
{
    BIO *bio = open_pem(pem);

    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL)
        err_set(err, ERR_INVALID, "%s: no unencrypted private key in it", name);
    return key;
}

void tls_pair_clear(struct tls_pair *pair)
{
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct tls_pair){NULL, NULL, NULL};
}

static int check_match(const struct tls_pair *pair, const char *name, struct err *err)
{
    bool is_match = X509_check_private_key(pair->leaf, pair->key) == 1;

    ERR_clear_error();
    if (!is_match)
        return err_set(err, ERR_INVALID, "%s: key does not match certificate", name);
    return check_key_strength(pair->key, name, err);
}

int tls_pair_parse(const struct net_tls_pair *src, struct tls_pair *ret, struct err *err)
{
    struct tls_pair pair = {.chain = read_certs(src->cert_pem, MAX_CHAIN, src->name, err)};

    if (pair.chain == NULL)
        return -1;
    pair.leaf = sk_X509_shift(pair.chain);
    pair.key = read_key(src->key_pem, src->name, err);
    if (pair.key == NULL || check_match(&pair, src->name, err) != 0) {
        tls_pair_clear(&pair);
        return -1;
    }
    *ret = pair;
    return 0;
}

int tls_pair_install(SSL_CTX *ctx, const struct net_tls_pair *src, struct err *err)
{
    struct tls_pair pair;

    if (tls_pair_parse(src, &pair, err) != 0)
        return -1;
    ERR_clear_error();
    bool is_taken = SSL_CTX_use_cert_and_key(ctx, pair.leaf, pair.key, pair.chain, 1) == 1;
    tls_pair_clear(&pair);
    if (!is_taken)
        return err_set(err, ERR_INVALID, "%s: %s", src->name, tls_reason());
    return 0;
}

int64_t tls_time_us(const ASN1_TIME *time)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * 1000000;
}

/* Names are foreign: only what can be a host name is told. */
static bool is_printable_name(const ASN1_IA5STRING *name)
{
    const unsigned char *text = ASN1_STRING_get0_data(name);

    for (int i = 0; i < ASN1_STRING_length(name); i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == ',')
            return false;
    return ASN1_STRING_length(name) != 0;
}

static char *dns_names(const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    struct strbuf out = STRBUF_INIT;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS || !is_printable_name(name->d.dNSName))
            continue;
        if (out.len != 0)
            strbuf_addc(&out, ',');
        strbuf_add(&out, ASN1_STRING_get0_data(name->d.dNSName), (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    return strbuf_take(&out);
}

int net_tls_check_pair(const struct net_tls_pair *src, int64_t *ret_not_after_wall_us, char **ret_dns_names,
                       struct err *err)
{
    struct tls_pair pair;

    if (tls_pair_parse(src, &pair, err) != 0)
        return -1;
    if (ret_not_after_wall_us != NULL)
        *ret_not_after_wall_us = tls_time_us(X509_get0_notAfter(pair.leaf));
    if (ret_dns_names != NULL)
        *ret_dns_names = dns_names(pair.leaf);
    tls_pair_clear(&pair);
    return 0;
}
