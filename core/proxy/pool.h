/* The connections of one endpoint on one worker.
 *
 * HTTP/1: last in, first out, so that few connections stay hot and the rest age out. HTTP/2: the first connection with
 * room for a stream. They stay registered with the loop and reading: an upstream that closes is seen as an event, and
 * taking one costs no system call. */
#ifndef SELVEDGE_PROXY_POOL_H
#define SELVEDGE_PROXY_POOL_H

#include "core/proxy/endpoint.h"

enum px_pool_result { PX_POOL_OK, PX_POOL_FULL /* max_connections: wait */, PX_POOL_ERROR /* no address can even be tried */ };

void px_pool_init(struct px_pool *pool);
/* A connection with room for a call. `must_be_new`: not one that carried calls before, unless max_connections forbids
 * another: waiting for one of those to go would be worse. */
enum px_pool_result px_pool_take(struct px_endpoint *endpoint, bool must_be_new, struct ht_client_conn **ret_conn);
/* After ht_call_start(): the connection moves to where it belongs now. */
void px_pool_used(struct px_endpoint *endpoint, struct ht_client_conn *conn);
void px_pool_close_idle(struct px_endpoint *endpoint); /* those without a call */
void px_pool_close_all(struct px_endpoint *endpoint);  /* idle ones now, others when their last call ends; all forgotten */

#endif
