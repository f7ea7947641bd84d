/* IP addresses and address ranges as values.
 *
 * An IPv4 address that comes in IPv6 clothes (::ffff:10.0.0.1, as dual-stack sockets report it) is the IPv4
 * address: otherwise it would walk past every IPv4 rule. Threads: any. Nothing here allocates or resolves
 * names. */
#ifndef SELVEDGE_BASE_CIDR_H
#define SELVEDGE_BASE_CIDR_H

#include "core/base/defs.h"

#include <sys/socket.h>

struct ip_addr {
    uint8_t len; /* 4 or 16; 0: none */
    uint8_t bytes[16];
};

struct cidr {
    struct ip_addr addr; /* host bits are zero */
    uint8_t prefix_len;
};

enum { IP_TEXT_MAX = 46 };

/* Strict: four decimal parts without leading zeros, or RFC 4291 text without a zone. -1 when it is not one.
 */
int ip_parse(struct slice text, struct ip_addr *ret);
/* "10.0.0.0/8" or a lone address. Host bits are cleared. -1 when it is not one. */
int cidr_parse(struct slice text, struct cidr *ret);
/* -1 when it is neither AF_INET nor AF_INET6. */
int ip_from_sockaddr(const struct sockaddr *sa, struct ip_addr *ret);
/* RFC 5952 text; `out` has room for IP_TEXT_MAX bytes. */
void ip_print(const struct ip_addr *addr, char *out);
bool cidr_contains(const struct cidr *range, const struct ip_addr *addr);
bool cidr_list_contains(const struct cidr *ranges, size_t num, const struct ip_addr *addr);

#endif
