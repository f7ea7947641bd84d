/* The table of causes, and the two translations into it. */
#include "core/proxy/fail.h"

static const struct px_fail_info infos[PX_NUM_FAILS] = {
    [PX_FAIL_NONE] = {200, "", 0, 0, ""},
#define X(symbol, status, label, grpc, retry_after, text) [PX_FAIL_##symbol] = {status, label, grpc, retry_after, text},
#include "core/proxy/fail.def"
#undef X
};

static const enum px_fail of_call[] = {
    [HT_FAIL_CONNECT] = PX_FAIL_CONNECT_FAILED,
    [HT_FAIL_CONNECT_TIMEOUT] = PX_FAIL_CONNECT_TIMEOUT,
    [HT_FAIL_TLS] = PX_FAIL_UPSTREAM_TLS,
    [HT_FAIL_RESET] = PX_FAIL_UPSTREAM_RESET,
    [HT_FAIL_REFUSED] = PX_FAIL_UPSTREAM_REFUSED,
    [HT_FAIL_PROTOCOL] = PX_FAIL_UPSTREAM_PROTOCOL,
    [HT_FAIL_TOO_LARGE] = PX_FAIL_UPSTREAM_TOO_LARGE,
    [HT_FAIL_CLOSED_EARLY] = PX_FAIL_UPSTREAM_TRUNCATED,
};

static const enum px_fail of_close[] = {
    [HT_CLOSE_DONE] = PX_FAIL_NONE,
    [HT_CLOSE_PEER_RESET] = PX_FAIL_CLIENT_GONE,
    [HT_CLOSE_TIMEOUT_BODY] = PX_FAIL_BODY_TIMEOUT,
    [HT_CLOSE_TIMEOUT_WRITE] = PX_FAIL_CLIENT_SLOW,
    [HT_CLOSE_TIMEOUT_IDLE] = PX_FAIL_STREAM_IDLE,
    [HT_CLOSE_PROTOCOL] = PX_FAIL_BODY_PROTOCOL,
    [HT_CLOSE_TOO_LARGE] = PX_FAIL_BODY_TOO_LARGE,
    [HT_CLOSE_ABORTED] = PX_FAIL_NONE,
};

const struct px_fail_info *px_fail_info(enum px_fail fail)
{
    return &infos[fail < PX_NUM_FAILS ? fail : PX_FAIL_INTERNAL];
}

enum px_fail px_fail_of_call(enum ht_fail fail)
{
    return (size_t)fail < ARRAY_LEN(of_call) ? of_call[fail] : PX_FAIL_INTERNAL;
}

enum px_fail px_fail_of_close(enum ht_close why)
{
    return (size_t)why < ARRAY_LEN(of_close) ? of_close[why] : PX_FAIL_INTERNAL;
}
