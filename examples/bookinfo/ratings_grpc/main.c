/* ratings-grpc: the ratings service as gRPC, and the standard health service. The messages are those of
 * proto/ratings.proto and grpc/health/v1/health.proto, written by hand. */
#include "examples/bookinfo/lib/ratings_store.h"
#include "examples/bookinfo/ratings_grpc/rpc.h"
#include "examples/bookinfo/ratings_grpc/wire.h"

enum health { HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2, HEALTH_SERVICE_UNKNOWN = 3 };

static const char malformed[] = "the message is malformed";

static struct slice served_by(const struct rpc_call *call)
{
    return slice_of(rpc_service(call)->instance);
}

/* ---- GetRatings, WatchRatings ---- */

static int read_ratings_request(struct rpc_call *call, struct slice message)
{
    struct wire_field f;
    int rc;
    while ((rc = wire_next(&message, &f)) == 1) {
        if (f.number == 1 && !f.is_bytes)
            call->state.product = f.value;
        else if (f.number == 2 && !f.is_bytes)
            call->state.left = f.value;
    }
    if (rc != 0)
        rpc_finish(call, RPC_INVALID_ARGUMENT, "%s", malformed);
    return rc;
}

/* -1 when the product is not known, and the call finished. */
static int send_ratings(struct rpc_call *call)
{
    struct bk_rating ratings[BK_REVIEWERS_MAX];
    struct strbuf reply = STRBUF_INIT, one = STRBUF_INIT;
    call->state.revision = bk_ratings_version();
    int count = bk_ratings_get(call->state.product, ratings);
    if (count < 0) {
        rpc_finish(call, RPC_NOT_FOUND, "no ratings for product %llu",
                   (unsigned long long)call->state.product);
        return -1;
    }
    wire_add_number(&reply, 1, call->state.product);
    for (int i = 0; i < count; i++) {
        strbuf_reset(&one);
        wire_add_bytes(&one, 1, slice_of(ratings[i].reviewer));
        wire_add_number(&one, 2, ratings[i].stars);
        wire_add_message(&reply, 2, &one);
    }
    wire_add_bytes(&reply, 3, served_by(call));
    wire_add_number(&reply, 4, call->state.revision);
    rpc_send(call, &reply);
    strbuf_clear(&reply);
    strbuf_clear(&one);
    return 0;
}

static void get_ratings(struct rpc_call *call, struct slice message)
{
    if (read_ratings_request(call, message) == 0 && send_ratings(call) == 0)
        rpc_finish(call, RPC_OK, "%s", "");
}

static void watch_ratings_again(struct rpc_call *call)
{
    if (rpc_is_stopping(call)) {
        rpc_finish(call, RPC_UNAVAILABLE, "the service is stopping");
        return;
    }
    if (call->state.revision == bk_ratings_version() || send_ratings(call) != 0)
        return;
    if (call->state.left != 0 && --call->state.left == 0)
        rpc_finish(call, RPC_OK, "%s", "");
}

static void watch_ratings(struct rpc_call *call, struct slice message)
{
    if (read_ratings_request(call, message) != 0)
        return;
    call->state.revision = bk_ratings_version() - 1; /* any other than now: the first one goes out at once */
    watch_ratings_again(call);
}

/* A watch goes on after the client's last word. */
static void keep_open(struct rpc_call *call)
{
}

/* ---- RateMany ---- */

struct rate_request {
    uint64_t product, stars;
    struct slice reviewer;
};

static int read_rating(struct slice message, struct rate_request *ret)
{
    struct wire_field f;
    int rc;
    while ((rc = wire_next(&message, &f)) == 1) {
        if (f.number == 1 && f.is_bytes)
            ret->reviewer = f.bytes;
        else if (f.number == 2 && !f.is_bytes)
            ret->stars = f.value;
    }
    return rc;
}

static int read_rate_request(struct slice message, struct rate_request *ret)
{
    struct wire_field f;
    int rc;
    while ((rc = wire_next(&message, &f)) == 1) {
        if (f.number == 1 && !f.is_bytes)
            ret->product = f.value;
        else if (f.number == 2 && f.is_bytes && read_rating(f.bytes, ret) != 0)
            return -1;
    }
    return rc;
}

static void rate_many(struct rpc_call *call, struct slice message)
{
    struct rate_request request = {.reviewer = SLICE("")};
    if (read_rate_request(message, &request) != 0)
        rpc_finish(call, RPC_INVALID_ARGUMENT, "%s", malformed);
    else if (bk_ratings_set(request.product, request.reviewer, (int64_t)MIN(request.stars, 100u), NULL) == 0)
        call->state.accepted++;
    else
        call->state.refused++;
}

static void rate_many_end(struct rpc_call *call)
{
    struct strbuf reply = STRBUF_INIT;
    wire_add_number(&reply, 1, call->state.accepted);
    wire_add_number(&reply, 2, call->state.refused);
    wire_add_bytes(&reply, 3, served_by(call));
    rpc_send(call, &reply);
    rpc_finish(call, RPC_OK, "%s", "");
    strbuf_clear(&reply);
}

/* ---- Chat ---- */

static void chat(struct rpc_call *call, struct slice message)
{
    struct wire_field f;
    struct slice text = {NULL, 0};
    struct strbuf reply = STRBUF_INIT;
    int rc;
    while ((rc = wire_next(&message, &f)) == 1)
        if (f.number == 2 && f.is_bytes)
            text = f.bytes;
    if (rc != 0) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "%s", malformed);
        return;
    }
    wire_add_bytes(&reply, 1, served_by(call));
    wire_add_bytes(&reply, 2, text);
    wire_add_number(&reply, 3, call->num_in);
    rpc_send(call, &reply);
    strbuf_clear(&reply);
}

/* ---- grpc.health.v1 ---- */

static int read_health_request(struct rpc_call *call, struct slice message, bool *ret_known)
{
    struct wire_field f;
    struct slice service = SLICE("");
    int rc;
    while ((rc = wire_next(&message, &f)) == 1)
        if (f.number == 1 && f.is_bytes)
            service = f.bytes;
    if (rc != 0)
        rpc_finish(call, RPC_INVALID_ARGUMENT, "%s", malformed);
    *ret_known = service.len == 0 || slice_is(service, "bookinfo.Ratings");
    return rc;
}

static void send_health(struct rpc_call *call, enum health health)
{
    struct strbuf reply = STRBUF_INIT;
    call->state.health = (char)health;
    wire_add_number(&reply, 1, health);
    rpc_send(call, &reply);
    strbuf_clear(&reply);
}

static enum health health_now(const struct rpc_call *call)
{
    return rpc_is_stopping(call) ? HEALTH_NOT_SERVING : HEALTH_SERVING;
}

static void check_health(struct rpc_call *call, struct slice message)
{
    bool is_known;
    if (read_health_request(call, message, &is_known) != 0)
        return;
    if (!is_known) {
        rpc_finish(call, RPC_NOT_FOUND, "no such service");
        return;
    }
    send_health(call, health_now(call));
    rpc_finish(call, RPC_OK, "%s", "");
}

static void watch_health(struct rpc_call *call, struct slice message)
{
    bool is_known;
    if (read_health_request(call, message, &is_known) == 0)
        send_health(call, is_known ? health_now(call) : HEALTH_SERVICE_UNKNOWN);
}

static void watch_health_again(struct rpc_call *call)
{
    if (!rpc_is_stopping(call))
        return;
    if (call->state.health == HEALTH_SERVING)
        send_health(call, HEALTH_NOT_SERVING);
    rpc_finish(call, RPC_UNAVAILABLE, "the service is stopping");
}

const struct rpc_method rpc_methods[] = {
    {"/bookinfo.Ratings/GetRatings", .takes_one = true, .on_message = get_ratings},
    {"/bookinfo.Ratings/WatchRatings", .takes_one = true, .on_message = watch_ratings, .on_end = keep_open,
     .on_change = watch_ratings_again},
    {"/bookinfo.Ratings/RateMany", .on_message = rate_many, .on_end = rate_many_end},
    {"/bookinfo.Ratings/Chat", .is_eager = true, .on_message = chat},
    {"/grpc.health.v1.Health/Check", .takes_one = true, .on_message = check_health},
    {"/grpc.health.v1.Health/Watch", .takes_one = true, .on_message = watch_health, .on_end = keep_open,
     .on_change = watch_health_again},
};
const size_t rpc_num_methods = ARRAY_LEN(rpc_methods);

int main(int argc, char **argv)
{
    static struct bk_service service = {
        .name = "ratings-grpc",
        .version = "v1",
        .doc = "stars by reviewer, over gRPC (h2c with prior knowledge)",
        .port = 9083,
        .statuses = {1, 16, RPC_UNAVAILABLE},
        .serve = rpc_serve,
    };
    bk_ratings_init();
    return bk_service_main(&service, argc, argv);
}
