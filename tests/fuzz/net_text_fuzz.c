/* links: sv_net */
/* Addresses, endpoints and certificates' identities: what is accepted is well formed and reads back. */
#include "core/net/io.h"
#include "core/net/listen.h"
#include "core/net/tls_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void try_address(struct slice text)
{
    struct sockaddr_storage addr, back;
    socklen_t addr_len, back_len;
    char shown[160];
    struct slice host;
    uint16_t port;

    if (net_sockaddr_parse(text, 8080, &addr, &addr_len, NULL) != 0)
        return;
    net_sockaddr_format((struct sockaddr *)&addr, shown, sizeof(shown));
    if (net_parse_endpoint(shown, &host, &port, NULL) != 0 ||
        net_sockaddr_parse(host, port, &back, &back_len, NULL) != 0 || back_len != addr_len ||
        memcmp(&addr, &back, addr_len) != 0)
        abort();
}

static void try_endpoint(const char *text)
{
    struct slice host;
    uint16_t port;

    if (net_parse_endpoint(text, &host, &port, NULL) == 0 && (host.base < text || host.len > strlen(text)))
        abort();
}

static void try_certificate(const uint8_t *bytes, size_t len)
{
    const unsigned char *at = bytes;
    X509 *cert = d2i_X509(NULL, &at, (long)len);
    char *id = cert != NULL ? tls_spiffe_id(cert) : NULL;

    if (id != NULL && (strncmp(id, "spiffe://", 9) != 0 || strlen(id) > 2048 || strpbrk(id, " %?#@\\") != NULL))
        abort();
    free(id);
    X509_free(cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *text = xstrndup((const char *)bytes, len);

    try_address(slice_make((const char *)bytes, len));
    try_endpoint(text);
    try_certificate(bytes, len);
    free(text);
    return 0;
}
