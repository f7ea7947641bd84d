/* reviews: what two readers thought. GET /reviews/ID.
 *
 * v1 shows no stars and asks nobody; v2 asks ratings and shows black stars, v3 red ones. As in the classic
 * demo, v2 waits 10 s for ratings and v3 2.5 s, while productpage gives up on reviews after 3 s: a slow
 * ratings service takes v2's page down and leaves v3's standing. */
#include "examples/bookinfo/lib/client.h"
#include "examples/bookinfo/lib/service.h"

#include "core/base/json.h"

enum { REVIEWERS = 2, WAIT_BLACK_MS = 10000, WAIT_RED_MS = 2500 };

static const char *const reviewers[REVIEWERS] = {"Reviewer1", "Reviewer2"};
static const char *const texts[][REVIEWERS] = {
    {"An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
     "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by "
     "Shakespeare."},
    {"Witty from the first sentence to the last. I laughed aloud on the train, and missed my stop.",
     "Nobody dances around an apology like Mr Darcy. The best dialogue ever printed."},
    {"Much sadder than the films. The monster is the most human of them all.",
     "Chilling, though I could have done with fewer Alps."},
    {"I came for the whale and stayed for the chapter about rope.",
     "Long, salty, magnificent. Bring a dictionary and a raincoat."},
    {"A hundred pages and eight hundred thousand years. Not a word too many.",
     "It has aged better than the future it describes."},
    {"A timetable as a thriller: I checked my watch at every harbour.", "Passepartout deserves a raise."},
};

static struct {
    const char *ratings_url, *via;
    unsigned wait_ms; /* 0: by version */
    const char *color; /* NULL: no stars */
    struct bk_target *ratings;
} reviews;

struct stars {
    bool is_known;
    unsigned count, sum;
    int64_t of[REVIEWERS]; /* 0: has not rated */
    struct strbuf call; /* how the call went, as JSON: the page shows it */
};

static void count_stars(const struct json *ratings, struct stars *ret)
{
    ret->is_known = true;
    JSON_FOR(member, ratings)
    {
        int64_t stars = json_int_or(member, 0);
        if (stars < 1 || stars > 5)
            continue;
        ret->count++;
        ret->sum += (unsigned)stars;
        for (int i = 0; i != REVIEWERS; i++)
            if (slice_is(member->key, reviewers[i]))
                ret->of[i] = stars;
    }
}

static void read_ratings(struct slice body, struct stars *ret)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *doc = json_parse(arena, body, NULL),
                *ratings = doc != NULL ? json_get(doc, "ratings") : NULL;
    if (ratings == NULL || ratings->type != JSON_OBJECT)
        return;
    count_stars(ratings, ret);
    bk_log_member(&ret->call, "version", json_slice(json_get(doc, "version")));
    bk_log_member(&ret->call, "instance", json_slice(json_get(doc, "instance")));
}

static void ask_ratings(const struct bk_request *request, uint64_t id, struct stars *ret)
{
    struct bk_message answer;
    struct strbuf headers = STRBUF_INIT, path = STRBUF_INIT;
    struct err err = ERR_INIT;
    bk_message_init(&answer);
    bk_forward_headers(request, &headers);
    strbuf_addf(&path, "/ratings/%llu", (unsigned long long)id);
    uint64_t began_us = clock_mono_us();
    int rc = bk_target_call(reviews.ratings, "GET", path.base, strbuf_slice(&headers),
                            (struct slice){NULL, 0}, reviews.wait_ms, &answer, &err);
    strbuf_addf(&ret->call, "{\"service\":\"ratings\",\"us\":%llu,\"status\":%u",
                (unsigned long long)(clock_mono_us() - began_us), rc == 0 ? answer.status : 0);
    if (rc == 0 && answer.status == 200)
        read_ratings(strbuf_slice(&answer.body), ret);
    if (rc != 0)
        bk_log_member(&ret->call, "error", slice_of(err.text));
    strbuf_addc(&ret->call, '}');
    bk_message_clear(&answer);
    strbuf_clear(&headers);
    strbuf_clear(&path);
}

static void write_rating(struct strbuf *out, const struct stars *stars, int reviewer)
{
    if (!stars->is_known)
        strbuf_adds(out, ",\"rating\":{\"error\":\"Ratings service is currently unavailable\"}");
    else if (stars->of[reviewer] != 0)
        strbuf_addf(out, ",\"rating\":{\"stars\":%d,\"color\":\"%s\"}", (int)stars->of[reviewer],
                    reviews.color);
}

static void write_reviews(const struct bk_service *service, uint64_t id, const struct stars *stars,
                          struct strbuf *out)
{
    strbuf_addf(out, "{\"id\":\"%llu\",\"version\":\"%s\",\"instance\":\"%s\",\"reviews\":[",
                (unsigned long long)id, service->version, service->instance);
    for (int i = 0; i != REVIEWERS; i++) {
        strbuf_addf(out, "%s{\"reviewer\":\"%s\",\"text\":", i != 0 ? "," : "", reviewers[i]);
        json_quote(out, slice_of(texts[id][i]));
        if (reviews.color != NULL)
            write_rating(out, stars, i);
        strbuf_addc(out, '}');
    }
    strbuf_addc(out, ']');
    if (stars->is_known && stars->count != 0)
        strbuf_addf(out, ",\"rating\":{\"average\":%.1f,\"count\":%u,\"color\":\"%s\"}",
                    (double)stars->sum / stars->count, stars->count, reviews.color);
    if (stars->call.len != 0)
        strbuf_addf(out, ",\"calls\":[%s]", stars->call.base);
    strbuf_adds(out, "}\n");
}

static void handle(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    struct stars stars = {.is_known = false};
    uint64_t id;
    if (!bk_path_number(request->path, "/reviews/", "", &id)) {
        bk_reply_error(reply, 404, "there is /reviews/ID");
    } else if (!bk_request_reads(request)) {
        bk_reply_error(reply, 405, "GET or HEAD");
    } else if (id >= ARRAY_LEN(texts)) {
        bk_reply_error(reply, 404, "no reviews for product %llu", (unsigned long long)id);
    } else {
        if (reviews.color != NULL)
            ask_ratings(request, id, &stars);
        if (stars.call.len != 0)
            strbuf_addf(&reply->log_extra, ",\"calls\":[%s]", stars.call.base);
        write_reviews(service, id, &stars, &reply->body);
        strbuf_clear(&stars.call);
    }
}

static int start(struct bk_service *service, struct err *err)
{
    if (strcmp(service->version, "v1") != 0 && strcmp(service->version, "v2") != 0 &&
        strcmp(service->version, "v3") != 0)
        return err_set(err, ERR_INVALID, "--version v1, v2 or v3");
    bool is_red = strcmp(service->version, "v3") == 0;
    if (strcmp(service->version, "v1") != 0)
        reviews.color = is_red ? "red" : "black";
    if (reviews.wait_ms == 0)
        reviews.wait_ms = is_red ? WAIT_RED_MS : WAIT_BLACK_MS;
    reviews.ratings = bk_target_new(reviews.ratings_url, reviews.via, err);
    return reviews.ratings != NULL ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const struct bk_option options[] = {
        {"ratings-url", "where ratings are", .text = &reviews.ratings_url},
        {"via", "HOST:PORT of a gateway to call through", .text = &reviews.via},
        {"ratings-timeout-ms", "give up on ratings, 0: 10000 for v2, 2500 for v3", .number = &reviews.wait_ms,
         .max = 600000},
    };
    static struct bk_service service = {
        .name = "reviews",
        .version = "v1",
        .doc = "what readers thought: v1 without stars, v2 black, v3 red",
        .port = 9084,
        .statuses = {200, 599, 503},
        .options = options,
        .num_options = ARRAY_LEN(options),
        .start = start,
        .handle = handle,
    };
    reviews.ratings_url = "http://127.0.0.1:9082";
    int rc = bk_service_main(&service, argc, argv);
    reviews.ratings = bk_target_free(reviews.ratings);
    return rc;
}
