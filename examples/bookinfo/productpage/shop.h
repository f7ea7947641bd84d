/* What productpage knows by itself (titles, covers) and what it asks the other services.
 *
 * Threads:   any; the history has its own lock.
 * Ownership: an answer owns its text until shop_answer_clear(). */
#ifndef BOOKINFO_SHOP_H
#define BOOKINFO_SHOP_H

#include "examples/bookinfo/lib/client.h"
#include "examples/bookinfo/lib/service.h"

#include "core/base/json.h"

enum { SHOP_CALLS_MAX = 12, SHOP_HISTORY = 60, SHOP_NAME_MAX = 48 };

struct shop_book {
    const char *title, *author, *blurb;
    const char *from, *to, *ink; /* colours of the cover */
    const char *motif; /* SVG strokes inside a 200 by 200 box */
};
extern const struct shop_book shop_books[];
extern const size_t shop_num_books;

enum shop_service { SHOP_DETAILS, SHOP_REVIEWS, SHOP_RATINGS, SHOP_NUM_SERVICES };

struct shop {
    const char *urls[SHOP_NUM_SERVICES], *via;
    unsigned timeout_ms, reviews_tries;
    struct bk_target *targets[SHOP_NUM_SERVICES];
};

/* One call, as the page draws it. */
struct shop_call {
    char service[SHOP_NAME_MAX], version[SHOP_NAME_MAX], instance[SHOP_NAME_MAX], error[SHOP_NAME_MAX];
    unsigned depth; /* 1 for calls of calls */
    unsigned status; /* 0: no answer */
    uint64_t from_us, took_us; /* from: since the trace began */
};

struct shop_trace {
    uint64_t began_us;
    size_t num_calls;
    struct shop_call calls[SHOP_CALLS_MAX];
};

struct shop_answer {
    bool is_ok;
    unsigned status; /* for whoever passes it on: 502 and 504 stand for no answer */
    struct bk_message message;
    struct arena *arena;
    struct json *doc; /* NULL unless is_ok */
};

int shop_open(struct shop *shop, struct err *err);
void shop_close(struct shop *shop);
/* `body` {NULL, 0} is a GET, else a POST. Reviews are tried again when they fail. */
void shop_ask(struct shop *shop, enum shop_service service, const struct bk_request *request, uint64_t id,
              struct slice body, struct shop_trace *trace, struct shop_answer *ret);
void shop_answer_clear(struct shop_answer *answer);

/* Which versions of reviews answered lately, oldest first: '1' to '9', or '!' for a failure. The number of
 * them. */
size_t shop_history(char out[SHOP_HISTORY]);

#endif
