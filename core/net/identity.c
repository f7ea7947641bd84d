/* A node's own key and certificate, on OpenSSL. */
#include "core/net/identity.h"

#include "core/net/tls_private.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}
static void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
static void req_freep(X509_REQ **req)
{
    X509_REQ_free(*req);
}
static void x509_freep(X509 **cert)
{
    X509_free(*cert);
}

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return xstrndup(data, (size_t)len);
}

int net_identity_new_key(char **ret_key_pem, struct err *err)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    _cleanup_(pkey_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (bio == NULL || key == NULL || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "a private key could not be made");
    *ret_key_pem = bio_text(bio);
    return 0;
}

int net_identity_request(struct slice key_pem, char **ret_csr_pem, struct err *err)
{
    _cleanup_(bio_freep) BIO *in = BIO_new_mem_buf(key_pem.base, (int)key_pem.len);
    _cleanup_(bio_freep) BIO *out = BIO_new(BIO_s_mem());
    _cleanup_(pkey_freep) EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
    _cleanup_(req_freep) X509_REQ *req = X509_REQ_new();
    if (key == NULL || req == NULL || out == NULL)
        return err_set(err, ERR_INVALID, "the private key cannot be read");
    if (X509_REQ_set_version(req, 0) != 1 || X509_REQ_set_pubkey(req, key) != 1 || X509_REQ_sign(req, key, EVP_sha256()) == 0 ||
        PEM_write_bio_X509_REQ(out, req) != 1)
        return err_set(err, ERR_INTERNAL, "a certificate request could not be made");
    *ret_csr_pem = bio_text(out);
    return 0;
}

int net_identity_validity(struct slice cert_pem, int64_t *ret_not_before_us, int64_t *ret_not_after_us, struct err *err)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(cert_pem.base, (int)cert_pem.len);
    _cleanup_(x509_freep) X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (cert == NULL)
        return err_set(err, ERR_INVALID, "the certificate cannot be read");
    *ret_not_before_us = tls_time_us(X509_get0_notBefore(cert));
    *ret_not_after_us = tls_time_us(X509_get0_notAfter(cert));
    return 0;
}
