/* gRPC on HTTP/2: calls, their messages and their end.
 *
 * A connection has a thread of its own, and so have all its calls: methods never block, they are told of
 * messages, of the client's end and of changes in the store. Ownership: a call belongs to its connection and
 * goes with its stream. Limits:    256 calls a connection; messages of 1 MiB; a client that does not read
 * stops being read. */
#ifndef BOOKINFO_RPC_H
#define BOOKINFO_RPC_H

#include "examples/bookinfo/lib/service.h"

#include <nghttp2/nghttp2.h>

enum { RPC_MESSAGE_MAX = 1024 * 1024, RPC_CALLS_MAX = 256, RPC_PREFIX = 5 };

/* The codes of the gRPC specification that are used here. */
enum rpc_status {
    RPC_OK = 0,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
};

struct rpc_call;

struct rpc_method {
    const char *path;
    bool takes_one; /* one request message: dispatched when the client has ended, refused when there are more
                     */
    bool is_eager; /* answers with its head before the first message */
    void (*on_message)(struct rpc_call *call, struct slice message);
    void (*on_end)(struct rpc_call *call); /* the client's last message was dispatched; NULL: OK */
    void (*on_change)(struct rpc_call *call); /* the store changed, or the service is stopping; may be NULL */
};

enum rpc_head {
    RPC_HEAD_CONTENT_TYPE,
    RPC_HEAD_TIMEOUT,
    RPC_HEAD_ENCODING,
    RPC_HEAD_USER,
    RPC_HEAD_REQUEST_ID,
    RPC_HEAD_TRACEPARENT,
    RPC_HEAD_DELAY,
    RPC_HEAD_FAIL,
    RPC_HEAD_METHOD,
    RPC_HEAD_PATH,
    RPC_NUM_HEADS
};

struct rpc_conn;

struct rpc_call {
    struct rpc_conn *conn; /* borrowed: it owns the call */
    struct rpc_call *next;
    int32_t stream_id;
    char *heads[RPC_NUM_HEADS]; /* owned, NULL when absent */
    const struct rpc_method *method; /* NULL: plain HTTP, or unknown */
    uint64_t began_us, wake_ms, deadline_ms; /* wake: held back until then by a knob; 0: not */

    struct strbuf in, out;
    size_t in_at, out_at; /* what of them is dispatched, and sent */
    size_t unconsumed; /* bytes received that the peer's window still misses */
    bool is_started, is_dispatched, has_ended, is_failing, is_head_sent, is_finished, is_plain, is_deferred;
    unsigned status; /* of gRPC, or of HTTP when is_plain; while is_failing: the one to come, 0 resets */
    struct strbuf status_text;
    unsigned num_in, num_out;

    struct { /* the methods' own */
        uint64_t product, revision, left;
        uint32_t accepted, refused;
        char health;
    } state;
};

extern const struct rpc_method rpc_methods[];
extern const size_t rpc_num_methods;

/* ---- for methods ---- */
void rpc_send(struct rpc_call *call, const struct strbuf *message);
void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *fmt, ...) _printf_(3, 4);
const struct bk_service *rpc_service(const struct rpc_call *call);
bool rpc_is_stopping(const struct rpc_call *call);

/* ---- between connection (conn.c) and calls (call.c) ---- */
struct rpc_conn {
    struct bk_service *service; /* borrowed */
    nghttp2_session *session;
    struct rpc_call *calls; /* owned */
    unsigned num_calls;
    bool is_stopping;
};

void rpc_serve(struct bk_server *server, int take_fd, void *service);
struct rpc_call *rpc_call_new(struct rpc_conn *conn, int32_t stream_id);
void rpc_call_free(struct rpc_call *call); /* logs it; unlinks it */
void rpc_call_add_head(struct rpc_call *call, struct slice name, struct slice value);
void rpc_call_start(struct rpc_call *call); /* its request head is complete */
void rpc_call_receive(struct rpc_call *call, struct slice bytes);
void rpc_call_end(struct rpc_call *call); /* the client's end */
/* Dispatches what can be, after input, after output or when time has passed. */
void rpc_call_run(struct rpc_call *call, uint64_t now_ms);
/* When it wants to run again, or UINT64_MAX. */
uint64_t rpc_call_due_ms(const struct rpc_call *call);

#endif
