/* Whose forwarded headers are believed: a set of networks, or all of a known number of hops. Immutable once made; may be read by many threads. */
#ifndef SELVEDGE_PROXY_TRUST_H
#define SELVEDGE_PROXY_TRUST_H

#include "core/base/cidr.h"
#include "core/base/err.h"

struct px_trust;

enum { PX_TRUST_MAX_HOPS = 64 };

/* Of "10.0.0.0/8", "::1", "192.0.2.7" …; an address alone is a network of one. NULL on error, naming the entry. */
struct px_trust *px_trust_new(const struct slice *networks, size_t num, struct err *err);
/* By counting instead: whoever the connection comes from is believed, and so many addresses from the right of
 * X-Forwarded-For is the client. 0 trusts nobody. */
struct px_trust *px_trust_new_hops(uint32_t hops);
struct px_trust *px_trust_free(struct px_trust *trust);
uint32_t px_trust_hops(const struct px_trust *trust); /* 0: by networks */
bool px_trust_has(const struct px_trust *trust, const struct ip_addr *addr); /* NULL trusts nobody */
bool px_trust_has_sockaddr(const struct px_trust *trust, const struct sockaddr *addr);
/* A numeric address as forwarded headers write it: 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, 2001:db8::1. */
bool px_parse_forwarded_address(struct slice text, struct ip_addr *ret, struct slice *ret_host);

#endif
