/* What the authority signs: only the key of a request, never its wishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/base/strbuf.h"
#include "gateway/control/ca.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char *folder, path[512];
static struct ctl_store *store;
static struct ctl_ca *ca;

static int setup(void **state)
{
    struct err err = ERR_INIT;
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    struct ctl_store_config config = {.path = path};
    store = ctl_store_open(&config, &err);
    ca = store != NULL ? ctl_ca_open(store, "example.org", &err) : NULL;
    return ca != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    ctl_ca_free(ca);
    ctl_store_close(store);
    tempdir_free(folder);
    return 0;
}

/* A request for `key`, signed by `signer`, that asks for more than it should get. */
static char *make_request(EVP_PKEY *key, EVP_PKEY *signer)
{
    X509_REQ *req = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *wishes = sk_X509_EXTENSION_new_null();
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8, (const unsigned char *)"control", -1, -1, 0);
    sk_X509_EXTENSION_push(wishes, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:control,URI:spiffe://example.org/node/other"));
    sk_X509_EXTENSION_push(wishes, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE"));
    assert_int_equal(X509_REQ_add_extensions(req, wishes), 1);
    assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
    assert_true(X509_REQ_sign(req, signer, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
    long len = BIO_get_mem_data(bio, &data);
    char *text = xstrndup(data, (size_t)len);
    sk_X509_EXTENSION_pop_free(wishes, X509_EXTENSION_free);
    X509_REQ_free(req);
    BIO_free(bio);
    return text;
}

static int sign_text(const char *csr, const char *id, char **ret_cert, struct err *err)
{
    int64_t until;
    *ret_cert = NULL;
    return ctl_ca_sign_node(ca, slice_of(csr), id, "5f0e", 3600, ret_cert, &until, err);
}

static void wishes_are_not_granted(void **state)
{
    struct err err = ERR_INIT;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = make_request(key, key), *pem, subject[256];
    assert_int_equal(sign_text(csr, "spiffe://example.org/node/edge", &pem, &err), 0);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_int_equal(X509_check_ca(cert), 0);
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(name->type, GEN_URI);
    assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), "spiffe://example.org/node/edge");
    X509_NAME_oneline(X509_get_subject_name(cert), subject, sizeof(subject));
    assert_null(strstr(subject, "control"));
    assert_non_null(strstr(subject, "/UID=5f0e"));
    assert_int_equal(X509_get_extension_flags(cert) & EXFLAG_INVALID, 0);
    assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), key), 1);
    GENERAL_NAMES_free(names);
    X509_free(cert);
    BIO_free(bio);
    EVP_PKEY_free(key);
    free(csr);
    free(pem);
}

static void expect_refused(EVP_PKEY *key, EVP_PKEY *signer, const char *why)
{
    struct err err = ERR_INIT;
    char *csr = make_request(key, signer), *pem;
    assert_int_equal(sign_text(csr, "spiffe://example.org/node/edge", &pem, &err), -1);
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    assert_non_null(strstr(err.text, why));
    assert_null(pem);
    free(csr);
}

static void a_key_that_is_not_the_signer_s_is_refused(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    expect_refused(key, other, "signature");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void weak_keys_are_refused(void **state)
{
    static const char *const curves[] = {"prime192v1", "secp224r1", "secp256k1"};
    EVP_PKEY *rsa = EVP_RSA_gen(1024);
    expect_refused(rsa, rsa, "weak");
    EVP_PKEY_free(rsa);
    for (size_t i = 0; i < ARRAY_LEN(curves); ++i) {
        EVP_PKEY *curve = EVP_EC_gen(curves[i]);
        assert_non_null(curve);
        expect_refused(curve, curve, "weak");
        EVP_PKEY_free(curve);
    }
}

static void what_is_no_request_or_no_id_is_refused(void **state)
{
    static const char *const texts[] = {"", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"};
    struct err err = ERR_INIT;
    char *pem;
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i)
        assert_int_equal(sign_text(texts[i], "spiffe://example.org/node/edge", &pem, &err), -1);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = make_request(key, key);
    assert_int_equal(sign_text(csr, "spiffe://example.org/node/a,DNS:control", &pem, &err), -1);
    EVP_PKEY_free(key);
    free(csr);
}

static void the_root_stays_and_odd_domains_are_refused(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_ca *again = ctl_ca_open(store, "another.example", &err);
    assert_non_null(again);
    assert_string_equal(ctl_ca_trust_domain(again), "example.org");
    assert_true(slice_eq(ctl_ca_bundle(again), ctl_ca_bundle(ca)));
    ctl_ca_free(again);
    char *elsewhere = tempdir_new(); /* a store locks its folder */
    snprintf(path, sizeof(path), "%s/control.db", elsewhere);
    struct ctl_store_config config = {.path = path};
    struct ctl_store *fresh = ctl_store_open(&config, &err);
    assert_non_null(fresh);
    assert_null(ctl_ca_open(fresh, "a.example,DNS:b.example", &err));
    assert_int_equal(err.code, ERR_INVALID);
    ctl_store_close(fresh);
    tempdir_free(elsewhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_are_not_granted),
        cmocka_unit_test(a_key_that_is_not_the_signer_s_is_refused),
        cmocka_unit_test(weak_keys_are_refused),
        cmocka_unit_test(what_is_no_request_or_no_id_is_refused),
        cmocka_unit_test(the_root_stays_and_odd_domains_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
