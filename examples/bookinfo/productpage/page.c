/* HTML from top to bottom: bar, book, reviews beside the trace, shelf, footer. */
#include "examples/bookinfo/productpage/page.h"

const char page_headers[] =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n";

/* favicon.svg and style.css, in this order: rows of {"name", "text"}, made by the build. */
static const struct {
    const char *name, *text;
} assets[] = {
#include "bookinfo_assets.inc"
};
#define FAVICON assets[0].text
#define STYLE assets[1].text

static const char book_icon[] =
    "<svg viewBox='0 0 32 32' aria-hidden='true'><rect width='32' height='32' rx='8' fill='#0f6b63'/><path "
    "d='M16 "
    "10c-3-2.2-6.3-2.6-9.5-2v14.5c3.2-.6 6.5-.2 9.5 2 3-2.2 6.3-2.6 9.5-2V8c-3.2-.6-6.5-.2-9.5 2zm0 0v14.5' "
    "fill='none' stroke='#f6efe2' stroke-width='2.2' stroke-linejoin='round'/></svg>";

static void add_text(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i != text.len; i++) {
        switch (text.base[i]) {
        case '&':
            strbuf_adds(out, "&amp;");
            break;
        case '<':
            strbuf_adds(out, "&lt;");
            break;
        case '>':
            strbuf_adds(out, "&gt;");
            break;
        case '"':
            strbuf_adds(out, "&quot;");
            break;
        case '\'':
            strbuf_adds(out, "&#39;");
            break;
        default:
            strbuf_addc(out, text.base[i]);
        }
    }
}

static void add_member(struct strbuf *out, const struct json *doc, const char *name)
{
    const struct json *value = json_get(doc, name);
    if (value != NULL && (value->type == JSON_STRING || value->type == JSON_NUMBER))
        add_text(out, value->text);
}

static void add_ms(struct strbuf *out, uint64_t us)
{
    if (us < 10000)
        strbuf_addf(out, "%.1f ms", (double)us / 1000);
    else if (us < 1000000)
        strbuf_addf(out, "%llu ms", (unsigned long long)(us / 1000));
    else
        strbuf_addf(out, "%.2f s", (double)us / 1000000);
}

/* ---- bar ---- */

static void add_head(struct strbuf *out, const char *title, bool is_live)
{
    strbuf_adds(out, "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
                     "<meta name='viewport' content='width=device-width,initial-scale=1'>");
    if (is_live)
        strbuf_adds(out, "<meta http-equiv='refresh' content='1'>");
    strbuf_addf(out,
                "<title>%s</title><link rel='icon' href='/static/favicon.svg' type='image/svg+xml'><style>",
                title);
    strbuf_adds(out, STYLE);
    strbuf_adds(out, "</style></head><body>\n");
}

static void add_login_form(struct strbuf *out, uint64_t id)
{
    strbuf_addf(
        out,
        "<form class='form panel' method='post' action='/login'><input type='hidden' name='id' value='%llu'>"
        "<label>Name<input name='username' value='jason' autocomplete='username' required maxlength='32' "
        "pattern='[A-Za-z0-9._\\-]+'></label>"
        "<label>Password<input name='passwd' type='password' autocomplete='off' "
        "placeholder='any will do'></label>"
        "<button class='button'>Sign in</button>"
        "<small>A demo: every name is welcome. Routes may send <b>jason</b> elsewhere.</small></form>",
        (unsigned long long)id);
}

static void add_bar(struct strbuf *out, const struct page_view *view)
{
    strbuf_addf(out,
                "<a class='skip' href='#book'>Skip to the book</a><header class='bar'><a class='brand' "
                "href='/productpage'>%s<span>Bookinfo</span></a><span class='grow'></span>",
                book_icon);
    if (view->user.base != NULL) {
        strbuf_adds(out, "<div class='who'><span class='face' aria-hidden='true'>");
        add_text(out, slice_make(view->user.base, 1));
        strbuf_adds(out, "</span><em>");
        add_text(out, view->user);
        strbuf_adds(out, "</em><a href='/logout'>Sign out</a></div>");
    } else {
        strbuf_adds(out, "<details class='signin'><summary>Sign in</summary>");
        add_login_form(out, view->id);
        strbuf_adds(out, "</details>");
    }
    strbuf_adds(out, "</header>\n");
}

/* ---- book ---- */

static void add_cover(struct strbuf *out, uint64_t id, bool is_link)
{
    const struct shop_book *book = &shop_books[id];
    if (is_link)
        strbuf_addf(out, "<a href='/productpage?id=%llu' ", (unsigned long long)id);
    else
        strbuf_adds(out, "<div ");
    strbuf_addf(out,
                "class='cover' style='--from:%s;--to:%s;--ink-c:%s'><b>%s</b>"
                "<svg viewBox='0 0 200 200' aria-hidden='true'>%s</svg><i>%s</i>%s",
                book->from, book->to, book->ink, book->title, book->motif, book->author,
                is_link ? "</a>" : "</div>");
}

static void add_stars(struct strbuf *out, const struct json *rating, const char *member)
{
    const struct json *stars = json_get(rating, member);
    bool is_red = strcmp(json_str(json_get(rating, "color"), ""), "red") == 0;
    if (stars == NULL || stars->type != JSON_NUMBER)
        return;
    strbuf_addf(out, "<span class='stars %s' role='img' aria-label='", is_red ? "red" : "black");
    add_text(out, stars->text);
    strbuf_adds(out, " of 5 stars' style='--n:");
    add_text(out, stars->text);
    strbuf_adds(out, "'></span>");
}

static void add_score(struct strbuf *out, const struct shop_answer *reviews)
{
    const struct json *rating = reviews->is_ok ? json_get(reviews->doc, "rating") : NULL;
    if (json_get(rating, "average") == NULL)
        return;
    strbuf_adds(out, "<div class='score'>");
    add_stars(out, rating, "average");
    strbuf_adds(out, "<b>");
    add_member(out, rating, "average");
    strbuf_adds(out, "</b><span>from ");
    add_member(out, rating, "count");
    strbuf_adds(out, " readers</span></div>");
}

static void add_note(struct strbuf *out, const char *title, const char *text)
{
    strbuf_addf(out, "<p class='note' role='status'><b>%s</b>%s</p>", title, text);
}

static const char *failure_text(const struct shop_answer *answer)
{
    if (answer->status == 504)
        return "It took too long to answer.";
    return answer->status == 502 ? "It could not be reached." : "It answered with an error.";
}

static void add_facts(struct strbuf *out, const struct shop_answer *details)
{
    static const struct {
        const char *label, *member;
    } facts[] = {{"Year", "year"},           {"Pages", "pages"},       {"Binding", "type"},
                 {"Publisher", "publisher"}, {"Language", "language"}, {"ISBN-10", "ISBN-10"},
                 {"ISBN-13", "ISBN-13"}};
    if (!details->is_ok) {
        add_note(out, "Book details are unavailable right now.", failure_text(details));
        return;
    }
    strbuf_adds(out, "<dl class='facts'>");
    for (size_t i = 0; i != ARRAY_LEN(facts); i++) {
        strbuf_addf(out, "<div><dt>%s</dt><dd>", facts[i].label);
        add_member(out, details->doc, facts[i].member);
        strbuf_adds(out, "</dd></div>");
    }
    strbuf_adds(out, "</dl>");
}

static void add_rate_form(struct strbuf *out, const struct page_view *view)
{
    if (view->rated > 0)
        strbuf_addf(out, "<p class='note good' role='status'>Thank you: your %d star%s stored.</p>",
                    view->rated, view->rated == 1 ? " is" : "s are");
    else if (view->rated == 0)
        add_note(out, "Your rating was not stored.", "The ratings service did not take it.");
    if (view->user.base == NULL) {
        strbuf_adds(out, "<p class='rate'>Sign in to rate this book.</p>");
        return;
    }
    strbuf_addf(out,
                "<form class='rate' method='post' action='/api/v1/products/%llu/ratings'><span>Your "
                "rating</span><div>",
                (unsigned long long)view->id);
    for (int stars = 5; stars != 0; stars--)
        strbuf_addf(out, "<button name='stars' value='%d' aria-label='%d star%s'>★</button>", stars, stars,
                    stars == 1 ? "" : "s");
    strbuf_adds(out, "</div></form>");
}

static void add_book(struct strbuf *out, const struct page_view *view)
{
    const struct shop_book *book = &shop_books[view->id];
    strbuf_adds(out, "<section class='hero' id='book'>");
    add_cover(out, view->id, false);
    strbuf_addf(out, "<div><h1>%s</h1><p class='by'>by %s</p>", book->title, book->author);
    add_score(out, view->reviews);
    strbuf_addf(out, "<p class='blurb'>%s</p>", book->blurb);
    add_facts(out, view->details);
    add_rate_form(out, view);
    strbuf_adds(out, "</div></section>\n");
}

/* ---- reviews ---- */

static void add_review(struct strbuf *out, const struct json *review)
{
    const struct json *rating = json_get(review, "rating");
    strbuf_adds(out, "<figure class='review panel'>");
    add_stars(out, rating, "stars");
    strbuf_adds(out, "<blockquote class='serif'>");
    add_member(out, review, "text");
    strbuf_adds(out, "</blockquote><figcaption>");
    add_member(out, review, "reviewer");
    if (json_get(rating, "error") != NULL) {
        strbuf_adds(out, " · <em>");
        add_member(out, rating, "error");
        strbuf_adds(out, "</em>");
    }
    strbuf_adds(out, "</figcaption></figure>");
}

static void add_reviews(struct strbuf *out, const struct shop_answer *reviews)
{
    strbuf_adds(out, "<section><div class='head'><h2>Reviews</h2>");
    if (reviews->is_ok) {
        strbuf_adds(out, "<span class='badge'>reviews ");
        add_member(out, reviews->doc, "version");
        strbuf_adds(out, "</span></div>");
        JSON_FOR(review, json_get(reviews->doc, "reviews"))
        add_review(out, review);
    } else {
        strbuf_adds(out, "</div>");
        add_note(out, "Reviews are unavailable right now.", failure_text(reviews));
    }
    strbuf_adds(out, "</section>\n");
}

/* ---- how the page was made ---- */

static double share(uint64_t part, uint64_t whole)
{
    return whole != 0 ? MIN(100.0, 100.0 * (double)part / (double)whole) : 0;
}

static void add_call(struct strbuf *out, const struct shop_call *call, uint64_t total_us)
{
    bool is_bad = call->status == 0 || call->status >= 400;
    strbuf_addf(out, "<li class='%s%s'><div class='call'><b>", call->depth != 0 ? "in" : "",
                is_bad ? " bad" : "");
    add_text(out, slice_of(call->service));
    strbuf_adds(out, "</b>");
    if (call->version[0] != '\0') {
        strbuf_adds(out, "<code class='badge'>");
        add_text(out, slice_of(call->version));
        strbuf_adds(out, "</code>");
    }
    strbuf_adds(out, "<code>");
    if (call->error[0] != '\0')
        add_text(out, slice_of(call->error));
    else if (is_bad)
        strbuf_addf(out, "status %u", call->status);
    else
        add_text(out, slice_of(call->instance));
    strbuf_adds(out, "</code><span>");
    add_ms(out, call->took_us);
    strbuf_adds(out, "</span></div><div class='track'><i class='");
    add_text(out, slice_of(call->service));
    strbuf_addf(out, "%s' style='--at:%.1f%%;--for:%.1f%%'></i></div></li>", is_bad ? " failed" : "",
                share(call->from_us, total_us), share(call->took_us, total_us));
}

static void add_key(struct strbuf *out, const char *class_name, const char *label, const char *ring,
                    size_t num, char what)
{
    unsigned count = 0;
    for (size_t i = 0; i != num; i++)
        count += ring[i] == what;
    strbuf_addf(out, "<li><i class='%s'></i>%s: %u</li>", class_name, label, count);
}

static void add_history(struct strbuf *out, const struct page_view *view)
{
    char ring[SHOP_HISTORY];
    size_t num = shop_history(ring);
    strbuf_addf(
        out,
        "<h2>Who answered for reviews</h2><div class='strip' role='img' aria-label='the last %zu answers'>",
        num);
    for (size_t i = 0; i != num; i++)
        if (ring[i] == '!')
            strbuf_adds(out, "<i class='x'></i>");
        else
            strbuf_addf(out, "<i class='v%c'></i>", ring[i]);
    strbuf_adds(out, "</div><ul class='key'>");
    add_key(out, "v1", "v1", ring, num, '1');
    add_key(out, "v2", "v2", ring, num, '2');
    add_key(out, "v3", "v3", ring, num, '3');
    add_key(out, "x", "failed", ring, num, '!');
    strbuf_addf(out,
                "</ul><p class='small'>The last %zu page views, newest last. <a "
                "href='/productpage?id=%llu%s'>%s</a></p>",
                num, (unsigned long long)view->id, view->is_live ? "" : "&amp;live=1",
                view->is_live ? "Stop reloading" : "Reload every second");
}

static void add_trace(struct strbuf *out, const struct page_view *view)
{
    struct shop_call page = {.status = 200, .took_us = view->took_us, .service = "productpage"};
    memcpy(page.version, view->service->version,
           MIN(strlen(view->service->version), sizeof(page.version) - 1));
    memcpy(page.instance, view->service->instance,
           MIN(strlen(view->service->instance), sizeof(page.instance) - 1));
    strbuf_adds(out,
                "<aside class='trace panel'><div class='head'><h2>How this page was made</h2></div><ol>");
    add_call(out, &page, view->took_us);
    for (size_t i = 0; i != view->trace->num_calls; i++)
        add_call(out, &view->trace->calls[i], view->took_us);
    strbuf_adds(out, "</ol>");
    add_history(out, view);
    strbuf_adds(out, "</aside>");
}

/* ---- whole pages ---- */

void page_write(struct strbuf *out, const struct page_view *view)
{
    struct strbuf title = STRBUF_INIT;
    strbuf_addf(&title, "%s · Bookinfo", shop_books[view->id].title);
    add_head(out, title.base, view->is_live);
    strbuf_clear(&title);
    add_bar(out, view);
    strbuf_adds(out, "<main>");
    add_book(out, view);
    strbuf_adds(out, "<div class='cols'>");
    add_reviews(out, view->reviews);
    add_trace(out, view);
    strbuf_adds(out, "</div><section><h2>More on the shelf</h2><div class='shelf'>");
    for (uint64_t id = 0; id != shop_num_books; id++)
        if (id != view->id)
            add_cover(out, id, true);
    strbuf_adds(
        out, "</div></section></main>\n<footer>Bookinfo, the demo shop of Selvedge: four services behind one "
             "gateway.</footer></body></html>\n");
}

void page_write_login(struct strbuf *out)
{
    add_head(out, "Sign in · Bookinfo", false);
    strbuf_addf(
        out,
        "<header class='bar'><a class='brand' href='/productpage'>%s<span>Bookinfo</span></a></header>"
        "<main class='alone'><h1>Sign in</h1>",
        book_icon);
    add_login_form(out, 0);
    strbuf_adds(out, "</main></body></html>\n");
}

const char *page_favicon(void)
{
    return FAVICON;
}
