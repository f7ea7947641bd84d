/* Request targets, paths, hosts and queries: read strictly, and brought into one normal form.
 *
 * The normal form of a path is what is routed on, authorized and forwarded, so that no two parties can
 * disagree about which resource a spelling means (docs/decisions/0010). It begins with "/", has no empty, "."
 * or ".." segments, shows every byte that may stand in a segment as itself and every other byte as %XX in
 * upper case: paths of the same bytes have the same normal form. What has no innocent reading is refused, not
 * repaired.
 *
 * Threads: any. Nothing here allocates except where a strbuf is given. Faults are values, not texts: this is
 * the request path; uri_fault_text() is for logs and the API. */
#ifndef SELVEDGE_BASE_URI_H
#define SELVEDGE_BASE_URI_H

#include "core/base/strbuf.h"

#include <sys/types.h>

#define URI_FAULTS(X)                                                                                        \
    X(URI_OK, "fine")                                                                                        \
    X(URI_NOT_ABSOLUTE, "does not begin with '/'")                                                           \
    X(URI_BAD_BYTE, "holds a byte that may not stand in a URI")                                              \
    X(URI_FRAGMENT, "holds a fragment")                                                                      \
    X(URI_BACKSLASH, "holds a backslash")                                                                    \
    X(URI_BAD_PERCENT, "holds a '%' without two hexadecimal digits")                                         \
    X(URI_ENCODED_SLASH, "holds an encoded slash")                                                           \
    X(URI_ENCODED_CONTROL, "holds an encoded control character")                                             \
    X(URI_ENCODED_TWICE, "is percent-encoded twice")                                                         \
    X(URI_OVERLONG, "holds an overlong UTF-8 sequence")                                                      \
    X(URI_PARAMETER, "holds a ';' parameter")                                                                \
    X(URI_BAD_SCHEME, "is neither http nor https")                                                           \
    X(URI_USERINFO, "holds user information")                                                                \
    X(URI_BAD_HOST, "has no valid host")                                                                     \
    X(URI_BAD_PORT, "has no valid port")

enum uri_fault {
#define X(name, text) name,
    URI_FAULTS(X)
#undef X
};
const char *uri_fault_text(enum uri_fault fault);

/* ---- paths ---- */

enum uri_path_flags {
    /* Takes ";" and "%3B" in segments as they are, except behind "", "." and "..". Off by default: servers
     * that cut parameters off (most Java ones) see another path than we do. */
    URI_ALLOW_PARAMETERS = 1,
};

/* Room uri_path_normalize() needs. */
#define URI_PATH_SCRATCH(len) (3 * (len) + 1)

/* `raw` is a path without query. `*ret` is `raw` itself when that is normal already (nearly always), else in
 * `scratch`. */
enum uri_fault uri_path_normalize(struct slice raw, unsigned flags, char *scratch, struct slice *ret);

/* ---- targets ---- */

enum uri_form { URI_ORIGIN, URI_ABSOLUTE, URI_ASTERISK };

/* The parts of a request target or a URL, borrowed from it and not yet normal. */
struct uri {
    enum uri_form form;
    struct slice scheme; /* ABSOLUTE: "http" or "https" */
    struct slice authority; /* ABSOLUTE: not empty */
    struct slice path; /* begins with "/"; "/" for an absolute URL without a path; ASTERISK: "*" */
    struct slice query; /* without "?"; {NULL, 0} when there is none */
};

/* "*", "/path?query" or "http(s)://authority/path?query"; all of it visible ASCII. */
enum uri_fault uri_parse(struct slice target, struct uri *ret);

/* ---- hosts ---- */

enum { URI_HOST_MAX = 255, URI_HOST_SCRATCH = URI_HOST_MAX + 1 };
enum uri_host_kind { URI_HOST_NAME, URI_HOST_IPV4, URI_HOST_IPV6 };

struct uri_authority {
    struct slice
        host; /* lower case, without a trailing dot; an IPv6 address in RFC 5952 form and in brackets */
    uint16_t port; /* 0: none given */
    enum uri_host_kind kind;
};

/* A Host field, :authority, or the authority of a URL. `scratch` has URI_HOST_SCRATCH bytes; the host is in
 * it. */
enum uri_fault uri_authority_parse(struct slice text, char *scratch, struct uri_authority *ret);

/* ---- queries ---- */

/* Takes the next "name=value" off `rest`, both still encoded; the value is {NULL, 0} without "=". False at
 * the end. */
bool uri_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);
/* Decodes %XX, and "+" to a space when `is_form`. `out` has room for text.len bytes and may be text.base
 * itself. The decoded length, or -1 for a "%" without two digits. */
ssize_t uri_decode(struct slice text, bool is_form, char *out);
/* The first parameter of that (decoded) name, decoded into `ret_value` (emptied first): 1; 0: there is none;
 * -1: it cannot be decoded. */
int uri_query_get(struct slice query, struct slice name, struct strbuf *ret_value);
/* Encodes everything but unreserved characters: fits any place in a URI. */
void uri_encode(struct strbuf *out, struct slice text);

#endif
