/* The opening handshake of RFC 6455: keys and their answers. Frames are nobody's business here. */
#ifndef SELVEDGE_HTTP_WEBSOCKET_H
#define SELVEDGE_HTTP_WEBSOCKET_H

#include "core/base/defs.h"

enum { HT_WEBSOCKET_KEY_LEN = 24, HT_WEBSOCKET_ACCEPT_LEN = 28 };

/* A fresh Sec-WebSocket-Key; `out` has room for HT_WEBSOCKET_KEY_LEN bytes. */
void ht_websocket_key(char *out);
/* The Sec-WebSocket-Accept for a key; `out` has room for HT_WEBSOCKET_ACCEPT_LEN bytes. */
void ht_websocket_accept(struct slice key, char *out);

#endif
