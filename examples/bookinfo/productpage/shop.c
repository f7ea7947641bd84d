/* Calls to the other services, each noted for the page's trace; the versions of reviews that answered,
 * remembered. */
#include "examples/bookinfo/productpage/shop.h"

#include <pthread.h>
#include <stdio.h>

static const struct {
    const char *name, *path;
} services[SHOP_NUM_SERVICES] = {
    [SHOP_DETAILS] = {"details", "/details"},
    [SHOP_REVIEWS] = {"reviews", "/reviews"},
    [SHOP_RATINGS] = {"ratings", "/ratings"},
};

static struct {
    pthread_mutex_t lock;
    size_t num; /* ever */
    char ring[SHOP_HISTORY];
} history = {.lock = PTHREAD_MUTEX_INITIALIZER};

int shop_open(struct shop *shop, struct err *err)
{
    for (int i = 0; i != SHOP_NUM_SERVICES; i++)
        if ((shop->targets[i] = bk_target_new(shop->urls[i], shop->via, err)) == NULL)
            return err_wrap(err, "--%s-url", services[i].name);
    return 0;
}

void shop_close(struct shop *shop)
{
    for (int i = 0; i != SHOP_NUM_SERVICES; i++)
        shop->targets[i] = bk_target_free(shop->targets[i]);
}

static void remember(char what)
{
    pthread_mutex_lock(&history.lock);
    history.ring[history.num++ % SHOP_HISTORY] = what;
    pthread_mutex_unlock(&history.lock);
}

size_t shop_history(char out[SHOP_HISTORY])
{
    pthread_mutex_lock(&history.lock);
    size_t count = MIN(history.num, (size_t)SHOP_HISTORY);
    for (size_t i = 0; i != count; i++)
        out[i] = history.ring[(history.num - count + i) % SHOP_HISTORY];
    pthread_mutex_unlock(&history.lock);
    return count;
}

/* A fresh row; the last one is used again when there are too many. */
static struct shop_call *next_call(struct shop_trace *trace)
{
    struct shop_call *call = &trace->calls[MIN(trace->num_calls, (size_t)SHOP_CALLS_MAX - 1)];
    if (trace->num_calls != SHOP_CALLS_MAX)
        trace->num_calls++;
    memset(call, 0, sizeof(*call));
    return call;
}

static void copy_member(char out[SHOP_NAME_MAX], const struct json *doc, const char *name)
{
    snprintf(out, SHOP_NAME_MAX, "%s", json_str(json_get(doc, name), ""));
}

/* The calls that a service made in turn, as it tells in its answer. */
static void note_inner_calls(struct shop_trace *trace, const struct json *doc, uint64_t from_us)
{
    JSON_FOR(inner, json_get(doc, "calls"))
    {
        struct shop_call *call = next_call(trace);
        copy_member(call->service, inner, "service");
        copy_member(call->version, inner, "version");
        copy_member(call->instance, inner, "instance");
        copy_member(call->error, inner, "error");
        call->depth = 1;
        call->status = (unsigned)json_int_or(json_get(inner, "status"), 0);
        call->from_us = from_us;
        call->took_us = (uint64_t)MAX(json_int_or(json_get(inner, "us"), 0), 0);
    }
}

static void read_answer(struct shop_answer *answer, struct shop_trace *trace, struct shop_call *call)
{
    answer->status = answer->message.status;
    if (answer->status != 200)
        return;
    answer->doc = json_parse(answer->arena, strbuf_slice(&answer->message.body), NULL);
    if (answer->doc == NULL || answer->doc->type != JSON_OBJECT) {
        answer->doc = NULL;
        answer->status = 502;
        snprintf(call->error, sizeof(call->error), "answer is no JSON object");
        return;
    }
    answer->is_ok = true;
    copy_member(call->version, answer->doc, "version");
    copy_member(call->instance, answer->doc, "instance");
    note_inner_calls(trace, answer->doc, call->from_us);
}

static void ask_once(struct shop *shop, enum shop_service service, const struct strbuf *headers,
                     const char *path, struct slice body, struct shop_trace *trace, struct shop_answer *ret)
{
    struct err err = ERR_INIT;
    struct shop_call *call = next_call(trace);
    uint64_t now_us = clock_mono_us();
    int rc = bk_target_call(shop->targets[service], body.base != NULL ? "POST" : "GET", path,
                            strbuf_slice(headers), body, shop->timeout_ms, &ret->message, &err);
    snprintf(call->service, sizeof(call->service), "%s", services[service].name);
    call->from_us = now_us - trace->began_us;
    call->took_us = clock_mono_us() - now_us;
    if (rc == 0) {
        call->status = ret->message.status;
        read_answer(ret, trace, call);
    } else {
        ret->status = err.code == ERR_TIMEOUT ? 504 : 502;
        snprintf(call->error, sizeof(call->error), "%.*s", SHOP_NAME_MAX - 1, err.text);
    }
}

void shop_ask(struct shop *shop, enum shop_service service, const struct bk_request *request, uint64_t id,
              struct slice body, struct shop_trace *trace, struct shop_answer *ret)
{
    struct strbuf headers = STRBUF_INIT, path = STRBUF_INIT;
    ret->is_ok = false;
    ret->status = 0;
    ret->doc = NULL;
    ret->arena = arena_new(0);
    bk_message_init(&ret->message);
    bk_forward_headers(request, &headers);
    strbuf_addf(&path, "%s/%llu", services[service].path, (unsigned long long)id);
    unsigned tries = service == SHOP_REVIEWS ? MAX(shop->reviews_tries, 1u) : 1;
    for (unsigned i = 0; i != tries && !ret->is_ok && ret->status != 404; i++)
        ask_once(shop, service, &headers, path.base, body, trace, ret);
    if (service == SHOP_REVIEWS) {
        const char *version = ret->is_ok ? json_str(json_get(ret->doc, "version"), "") : "";
        remember(version[0] == 'v' && version[1] >= '1' && version[1] <= '9' ? version[1] : '!');
    }
    strbuf_clear(&headers);
    strbuf_clear(&path);
}

void shop_answer_clear(struct shop_answer *answer)
{
    bk_message_clear(&answer->message);
    answer->arena = arena_free(answer->arena);
}
