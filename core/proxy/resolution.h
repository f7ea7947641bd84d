/* Keeps the addresses of an endpoint that is a DNS name: resolved at once, again when the answer's TTL is over; while
 * resolving fails the last good addresses stay in use.
 *
 * Threads: the worker's. */
#ifndef SELVEDGE_PROXY_RESOLUTION_H
#define SELVEDGE_PROXY_RESOLUTION_H

#include "core/proxy/endpoint.h"

struct px_resolution *px_resolution_start(struct px_endpoint *endpoint);
struct px_resolution *px_resolution_cancel(struct px_resolution *resolution); /* NULL is fine; returns NULL */

#endif
