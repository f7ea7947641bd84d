/* productpage: the shop's face. The page, sign-in by a cookie, and a JSON API over the other services.
 *
 * It gives details 3 s once and reviews 3 s twice; what does not answer leaves a note on the page, never an
 * error. */
#include "examples/bookinfo/productpage/page.h"

#include <stdio.h>

static struct shop shop = {
    .urls = {"http://127.0.0.1:9081", "http://127.0.0.1:9084", "http://127.0.0.1:9082"},
    .timeout_ms = 3000,
    .reviews_tries = 2,
};

static void log_calls(struct bk_reply *reply, const struct shop_trace *trace)
{
    strbuf_adds(&reply->log_extra, ",\"calls\":[");
    for (size_t i = 0; i != trace->num_calls; i++) {
        const struct shop_call *call = &trace->calls[i];
        strbuf_addf(&reply->log_extra, "%s{\"us\":%llu,\"status\":%u", i != 0 ? "," : "",
                    (unsigned long long)call->took_us, call->status);
        bk_log_member(&reply->log_extra, "service", slice_of(call->service));
        bk_log_member(&reply->log_extra, "instance", slice_of(call->instance));
        if (call->error[0] != '\0')
            bk_log_member(&reply->log_extra, "error", slice_of(call->error));
        strbuf_addc(&reply->log_extra, '}');
    }
    strbuf_addc(&reply->log_extra, ']');
}

/* A small number from a form or query; -1 when it is not there or not one. */
static int form_number(struct slice form, const char *name, unsigned max)
{
    char text[8];
    uint64_t number;
    int len = bk_form_get(form, name, text, sizeof(text));
    return len > 0 && bk_parse_number(slice_make(text, (size_t)len), max, &number) ? (int)number : -1;
}

static void see_page(struct bk_reply *reply, int id, int rated)
{
    reply->status = 303;
    reply->type = "text/plain";
    strbuf_addf(&reply->headers, "Location: /productpage?id=%d", MAX(id, 0));
    if (rated >= 0)
        strbuf_addf(&reply->headers, "&rated=%d", rated);
    strbuf_adds(&reply->headers, "\r\n");
}

/* ---- the page ---- */

static void show_page(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    struct shop_trace trace = {.began_us = clock_mono_us()};
    struct shop_answer details, reviews;
    int id = MAX(form_number(request->query, "id", (unsigned)shop_num_books - 1), 0);
    struct slice nothing = {NULL, 0};
    shop_ask(&shop, SHOP_DETAILS, request, (uint64_t)id, nothing, &trace, &details);
    shop_ask(&shop, SHOP_REVIEWS, request, (uint64_t)id, nothing, &trace, &reviews);
    struct page_view view = {
        .service = service,
        .id = (uint64_t)id,
        .user = request->user,
        .is_live = form_number(request->query, "live", 1) == 1,
        .rated = form_number(request->query, "rated", 5),
        .details = &details,
        .reviews = &reviews,
        .trace = &trace,
        .took_us = clock_mono_us() - trace.began_us,
    };
    reply->type = "text/html; charset=utf-8";
    strbuf_adds(&reply->headers, page_headers);
    page_write(&reply->body, &view);
    log_calls(reply, &trace);
    shop_answer_clear(&details);
    shop_answer_clear(&reviews);
}

static void show_login(struct bk_reply *reply)
{
    reply->type = "text/html; charset=utf-8";
    strbuf_adds(&reply->headers, page_headers);
    page_write_login(&reply->body);
}

static void sign_in(const struct bk_request *request, struct bk_reply *reply)
{
    struct slice form = strbuf_slice(&request->message->body);
    char user[BK_USER_MAX + 1];
    int len = bk_form_get(form, "username", user, sizeof(user));
    if (len < 0 || !bk_user_is_valid(slice_make(user, (size_t)len))) {
        bk_reply_error(reply, 400, "username: 1 to %d letters, digits, '.', '-', '_'", BK_USER_MAX);
        return;
    }
    see_page(reply, form_number(form, "id", (unsigned)shop_num_books - 1), -1);
    strbuf_addf(&reply->headers, "Set-Cookie: end-user=%s; Path=/; HttpOnly; SameSite=Lax\r\n", user);
}

static void sign_out(struct bk_reply *reply)
{
    see_page(reply, 0, -1);
    bk_reply_add_header(reply, "Set-Cookie", "end-user=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

/* ---- the API ---- */

static void list_products(struct bk_reply *reply)
{
    strbuf_addc(&reply->body, '[');
    for (size_t i = 0; i != shop_num_books; i++) {
        strbuf_addf(&reply->body, "%s{\"id\":%zu,\"title\":", i != 0 ? "," : "", i);
        json_quote(&reply->body, slice_of(shop_books[i].title));
        strbuf_adds(&reply->body, ",\"author\":");
        json_quote(&reply->body, slice_of(shop_books[i].author));
        strbuf_adds(&reply->body, ",\"description\":");
        json_quote(&reply->body, slice_of(shop_books[i].blurb));
        strbuf_addc(&reply->body, '}');
    }
    strbuf_adds(&reply->body, "]\n");
}

static bool is_form(const struct bk_request *request)
{
    return slice_starts(bk_message_field(request->message, "content-type"),
                        SLICE("application/x-www-form-urlencoded"));
}

/* What another service says, passed on. */
static void pass_on(enum shop_service service, const struct bk_request *request, uint64_t id,
                    struct slice body, struct bk_reply *reply)
{
    static const char *const names[] = {"product details", "product reviews", "product ratings"};
    struct shop_trace trace = {.began_us = clock_mono_us()};
    struct shop_answer answer;
    shop_ask(&shop, service, request, id, body, &trace, &answer);
    if (answer.is_ok) {
        strbuf_add_slice(&reply->body, strbuf_slice(&answer.message.body));
    } else {
        bk_reply_error(reply, MAX(answer.status, 400u), "Sorry, %s are currently unavailable for this book.",
                       names[service]);
    }
    log_calls(reply, &trace);
    shop_answer_clear(&answer);
}

/* The page's form: whoever is signed in rates, and is sent back to the page. */
static void rate_by_form(const struct bk_request *request, uint64_t id, struct bk_reply *reply)
{
    int stars = form_number(strbuf_slice(&request->message->body), "stars", 5);
    if (request->user.base == NULL || stars < 1) {
        bk_reply_error(reply, 400, "sign in and choose 1 to 5 stars");
        return;
    }
    struct strbuf body = STRBUF_INIT;
    struct bk_reply passed = {.status = 200};
    strbuf_addf(&body, "{\"%.*s\":%d}", (int)request->user.len, request->user.base, stars);
    pass_on(SHOP_RATINGS, request, id, strbuf_slice(&body), &passed);
    see_page(reply, (int)id, passed.status == 200 ? stars : 0);
    strbuf_add_slice(&reply->log_extra, strbuf_slice(&passed.log_extra));
    bk_reply_clear(&passed);
    strbuf_clear(&body);
}

static void rate(const struct bk_request *request, uint64_t id, struct bk_reply *reply)
{
    if (is_form(request))
        rate_by_form(request, id, reply);
    else
        pass_on(SHOP_RATINGS, request, id, strbuf_slice(&request->message->body), reply);
}

/* /api/v1/products/ID[/reviews|/ratings]; false when the path is another. */
static bool answer_product(const struct bk_request *request, struct bk_reply *reply)
{
    static const struct {
        const char *suffix;
        enum shop_service service;
    } parts[] = {{"/reviews", SHOP_REVIEWS}, {"/ratings", SHOP_RATINGS}, {"", SHOP_DETAILS}};
    uint64_t id;
    for (size_t i = 0; i != ARRAY_LEN(parts); i++) {
        if (!bk_path_number(request->path, "/api/v1/products/", parts[i].suffix, &id))
            continue;
        if (id >= shop_num_books)
            bk_reply_error(reply, 404, "no product %llu", (unsigned long long)id);
        else if (bk_request_reads(request))
            pass_on(parts[i].service, request, id, (struct slice){NULL, 0}, reply);
        else if (parts[i].service == SHOP_RATINGS && slice_is(request->method, "POST"))
            rate(request, id, reply);
        else
            bk_reply_error(reply, 405, "method not allowed here");
        return true;
    }
    return false;
}

static void handle(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    if (bk_request_is(request, "GET", "/productpage")) {
        show_page(service, request, reply);
    } else if (bk_request_is(request, "GET", "/")) {
        see_page(reply, 0, -1);
    } else if (bk_request_is(request, "GET", "/login")) {
        show_login(reply);
    } else if (bk_request_is(request, "POST", "/login")) {
        sign_in(request, reply);
    } else if (slice_is(request->path, "/logout")) {
        sign_out(reply);
    } else if (bk_request_is(request, "GET", "/static/favicon.svg")) {
        reply->type = "image/svg+xml";
        bk_reply_add_header(reply, "Cache-Control", "max-age=3600");
        strbuf_adds(&reply->body, page_favicon());
    } else if (bk_request_is(request, "GET", "/api/v1/products")) {
        list_products(reply);
    } else if (!answer_product(request, reply)) {
        bk_reply_error(
            reply, 404,
            "there are /productpage, /login, /logout and /api/v1/products[/ID[/reviews|/ratings]]");
    }
}

static int start(struct bk_service *service, struct err *err)
{
    return shop_open(&shop, err);
}

int main(int argc, char **argv)
{
    static const struct bk_option options[] = {
        {"details-url", "where details are", .text = &shop.urls[SHOP_DETAILS]},
        {"reviews-url", "where reviews are", .text = &shop.urls[SHOP_REVIEWS]},
        {"ratings-url", "where ratings are", .text = &shop.urls[SHOP_RATINGS]},
        {"via", "HOST:PORT of a gateway to call all of them through", .text = &shop.via},
        {"timeout-ms", "give up on a call", .number = &shop.timeout_ms, .max = 600000},
        {"reviews-tries", "calls to reviews before giving up", .number = &shop.reviews_tries, .max = 10},
    };
    static struct bk_service service = {
        .name = "productpage",
        .version = "v1",
        .doc = "the page, sign-in and JSON API of the shop",
        .port = 9080,
        .statuses = {200, 599, 503},
        .options = options,
        .num_options = ARRAY_LEN(options),
        .start = start,
        .handle = handle,
    };
    int rc = bk_service_main(&service, argc, argv);
    shop_close(&shop);
    return rc;
}
