/* ratings: stars by reviewer. GET /ratings/ID; POST /ratings/ID {"Reviewer1": 4} sets some and answers as
 * GET. */
#include "examples/bookinfo/lib/ratings_store.h"
#include "examples/bookinfo/lib/service.h"

#include "core/base/json.h"

static void write_ratings(struct strbuf *out, uint64_t id, const struct bk_service *service)
{
    struct bk_rating ratings[BK_REVIEWERS_MAX];
    int count = bk_ratings_get(id, ratings);
    strbuf_addf(out, "{\"id\":%llu,\"ratings\":{", (unsigned long long)id);
    for (int i = 0; i < count; i++)
        strbuf_addf(out, "%s\"%s\":%u", i != 0 ? "," : "", ratings[i].reviewer, ratings[i].stars);
    strbuf_addf(out, "},\"version\":\"%s\",\"instance\":\"%s\"}\n", service->version, service->instance);
}

static int set_ratings(uint64_t id, struct slice body, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *doc = json_parse(arena, body, err);
    if (doc == NULL)
        return -1;
    if (doc->type != JSON_OBJECT || doc->num == 0)
        return err_set(err, ERR_INVALID, "an object is wanted, such as {\"Reviewer1\": 4}");
    JSON_FOR(member, doc)
    if (bk_ratings_set(id, member->key, json_int_or(member, 0), err) != 0)
        return -1;
    return 0;
}

static void handle(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    struct bk_rating ratings[BK_REVIEWERS_MAX];
    struct err err = ERR_INIT;
    uint64_t id;
    if (!bk_path_number(request->path, "/ratings/", "", &id))
        bk_reply_error(reply, 404, "there is /ratings/ID");
    else if (!bk_request_reads(request) && !slice_is(request->method, "POST"))
        bk_reply_error(reply, 405, "GET, HEAD or POST");
    else if (slice_is(request->method, "POST") &&
             set_ratings(id, strbuf_slice(&request->message->body), &err) != 0)
        bk_reply_error(reply, 400, "%s", err.text);
    else if (bk_ratings_get(id, ratings) < 0)
        bk_reply_error(reply, 404, "no ratings for product %llu", (unsigned long long)id);
    else
        write_ratings(&reply->body, id, service);
}

int main(int argc, char **argv)
{
    static struct bk_service service = {
        .name = "ratings",
        .version = "v1",
        .doc = "stars by reviewer, in memory",
        .port = 9082,
        .statuses = {200, 599, 503},
        .handle = handle,
    };
    bk_ratings_init();
    return bk_service_main(&service, argc, argv);
}
