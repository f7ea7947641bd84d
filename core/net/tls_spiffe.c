/* SPIFFE identities in certificates (SPIFFE-ID and X509-SVID specifications), read strictly: an identity that could be
 * read in two ways is none.
 *
 * The subject alternative name must be one URI and nothing else, so that no verifier can pick another name than we do.
 * It is compared byte by byte with its length: a NUL inside, an escape or a case variant never equals anything. */
#include "core/net/tls_private.h"

#include <openssl/x509v3.h>

enum { MAX_ID = 2048, MAX_TRUST_DOMAIN = 255, MAX_UID = 64 };

static const struct slice scheme = {"spiffe://", 9};

static bool all_of(struct slice text, const char *extra, bool has_upper)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (has_upper && c >= 'A' && c <= 'Z');
        if (!is_word && (c == '\0' || strchr(extra, c) == NULL))
            return false;
    }
    return text.len != 0;
}

static bool is_segment(struct slice segment)
{
    return all_of(segment, "-_.", true) && !slice_is(segment, ".") && !slice_is(segment, "..");
}

/* "/a/b": segments, none of them empty. */
static bool is_path(struct slice path)
{
    while (path.len != 0) {
        if (path.base[0] != '/')
            return false;
        path = slice_make(path.base + 1, path.len - 1);
        const char *end = path.len != 0 ? memchr(path.base, '/', path.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - path.base) : path.len;
        if (!is_segment(slice_make(path.base, len)))
            return false;
        path = slice_make(path.base + len, path.len - len);
    }
    return true;
}

/* A workload's: with a path (that of a trust domain alone names its authority). */
static bool is_workload_id(struct slice id)
{
    if (id.len > MAX_ID || !slice_starts(id, scheme))
        return false;
    struct slice rest = slice_make(id.base + scheme.len, id.len - scheme.len);
    const char *slash = rest.len != 0 ? memchr(rest.base, '/', rest.len) : NULL;
    if (slash == NULL)
        return false;
    struct slice domain = slice_make(rest.base, (size_t)(slash - rest.base));
    return domain.len <= MAX_TRUST_DOMAIN && all_of(domain, "-_.", false) &&
           is_path(slice_make(slash, rest.len - domain.len));
}

/* A leaf that may sign messages and not certificates. */
static bool is_svid_leaf(const X509 *cert)
{
    X509 *c = (X509 *)cert; /* OpenSSL caches parsed extensions in it, under its own lock */
    uint32_t usage = X509_get_key_usage(c);

    if (X509_check_ca(c) != 0)
        return false;
    return usage == UINT32_MAX /* no such extension */ ||
           ((usage & KU_DIGITAL_SIGNATURE) != 0 && (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) == 0);
}

char *tls_spiffe_id(const X509 *cert)
{
    int critical = 0; /* set to -2 when the extension is there twice: then nothing is returned */
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    char *id = NULL;

    if (names != NULL && sk_GENERAL_NAME_num(names) == 1 && is_svid_leaf(cert)) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
        if (name->type == GEN_URI) {
            const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
            struct slice text = slice_make((const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
            if (is_workload_id(text))
                id = xstrndup(text.base, text.len);
        }
    }
    GENERAL_NAMES_free(names);
    return id;
}

bool tls_spiffe_is(const X509 *cert, const char *spiffe_id)
{
    _cleanup_(freep) char *id = tls_spiffe_id(cert);
    return id != NULL && strcmp(id, spiffe_id) == 0;
}

bool tls_spiffe_is_below(const X509 *cert, const char *trust_domain)
{
    _cleanup_(freep) char *id = tls_spiffe_id(cert);
    size_t len = strlen(trust_domain);

    return id != NULL && strncmp(id + scheme.len, trust_domain, len) == 0 && id[scheme.len + len] == '/';
}

char *net_tls_peer_spiffe_id(SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    return cert != NULL ? tls_spiffe_id(cert) : NULL;
}

static char *subject_uid(const X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_userId, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_userId, at) >= 0)
        return NULL;
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int len = ASN1_STRING_length(text);
    const char *base = (const char *)ASN1_STRING_get0_data(text);
    return len > 0 && len <= MAX_UID && memchr(base, '\0', (size_t)len) == NULL ? xstrndup(base, (size_t)len) : NULL;
}

char *net_tls_peer_uid(SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    return cert != NULL ? subject_uid(cert) : NULL;
}

int64_t net_tls_peer_not_after_us(SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    return cert != NULL ? tls_time_us(X509_get0_notAfter(cert)) : 0;
}
