/* A table of pages. Those that need the workers answer when px_collect() has; a client that left meanwhile is known by
 * its page having no exchange any more. */
#include "core/proxy/telemetry/admin.h"

#include "core/base/uri.h"
#include "core/net/listen.h"
#include "core/proxy/telemetry/render.h"

#include <unistd.h>

enum { MAX_ADMIN_CONNS = 64 };

struct px_admin {
    struct net_worker *main;
    struct px_dataplane *dataplane;
    struct net_listener *listener;
    struct list conns;
    unsigned num_conns, num_pages;
};

struct page {
    struct px_admin *admin;
    struct ht_exchange *x; /* NULL once it is gone */
    bool is_waiting;       /* for px_collect() */
    void (*render)(const struct px_collection *collection, struct page *page, struct strbuf *out);
    const char *content_type;
};

static const char text_type[] = "text/plain; charset=utf-8";
static const char json_type[] = "application/json";
static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* ---- answering ---- */

static void answer(struct ht_exchange *x, unsigned status, const char *content_type, struct slice body)
{
    struct ht_headers headers = {NULL, 0, 0};
    struct iovec iov = {(char *)body.base, body.len};

    ht_headers_add(&x->pool, &headers, SLICE("content-type"), slice_of(content_type));
    ht_headers_add(&x->pool, &headers, SLICE("cache-control"), SLICE("no-store"));
    ht_exchange_head(x, status, &headers, (int64_t)body.len);
    if (body.len != 0)
        (void)ht_exchange_body(x, &iov, 1); /* nothing follows that would have to wait */
    ht_exchange_end(x, NULL);
}

static void page_free(struct page *page)
{
    --page->admin->num_pages;
    free(page);
}

static void on_collected(const struct px_collection *collection, void *data)
{
    struct page *page = data;
    struct strbuf out = STRBUF_INIT;

    page->is_waiting = false;
    if (page->x == NULL) {
        page_free(page);
        return;
    }
    page->render(collection, page, &out);
    answer(page->x, 200, page->content_type, strbuf_slice(&out));
    strbuf_clear(&out);
}

/* ---- pages ---- */

static void render_metrics(const struct px_collection *collection, struct page *page, struct strbuf *out)
{
    px_render_metrics(page->admin->dataplane, collection, out);
}

static void render_clusters(const struct px_collection *collection, struct page *page, struct strbuf *out)
{
    px_render_clusters(collection, out);
}

static void collect(struct page *page, const char *content_type,
                    void (*render)(const struct px_collection *collection, struct page *page, struct strbuf *out))
{
    page->is_waiting = true;
    page->render = render;
    page->content_type = content_type;
    px_collect(page->admin->dataplane, on_collected, page);
}

static void on_metrics(struct page *page)
{
    collect(page, metrics_type, render_metrics);
}

static void on_clusters(struct page *page)
{
    collect(page, json_type, render_clusters);
}

static void on_healthz(struct page *page)
{
    answer(page->x, 200, text_type, SLICE("ok\n"));
}

static void on_readyz(struct page *page)
{
    if (px_dataplane_is_ready(page->admin->dataplane))
        answer(page->x, 200, text_type, SLICE("ready\n"));
    else
        answer(page->x, 503, text_type, SLICE("not ready\n"));
}

static void on_config(struct page *page)
{
    struct strbuf out = STRBUF_INIT;

    px_render_config(page->admin->dataplane, &out);
    answer(page->x, 200, json_type, strbuf_slice(&out));
    strbuf_clear(&out);
}

static const struct {
    const char *path;
    void (*run)(struct page *page);
} pages[] = {
    {"/metrics", on_metrics}, {"/healthz", on_healthz}, {"/readyz", on_readyz},
    {"/config", on_config},   {"/clusters", on_clusters},
};

/* ---- HTTP ---- */

static void run_page(struct page *page)
{
    struct ht_exchange *x = page->x;
    struct uri uri;

    if (!slice_is(x->method, "GET") && !slice_is(x->method, "HEAD")) {
        answer(x, 405, text_type, SLICE("only GET and HEAD\n"));
        return;
    }
    for (size_t i = 0; uri_parse(x->target, &uri) == URI_OK && i < ARRAY_LEN(pages); i++)
        if (slice_is(uri.path, pages[i].path)) {
            pages[i].run(page);
            return;
        }
    answer(x, 404, text_type, SLICE("no such page\n"));
}

static void on_request(struct ht_exchange *x)
{
    struct page *page = xcalloc(1, sizeof(*page));

    page->admin = x->conn->owner;
    page->x = x;
    x->data = page;
    ++page->admin->num_pages;
    run_page(page);
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    return len;
}

static void on_nothing(struct ht_exchange *x)
{
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    struct page *page = x->data;

    page->x = NULL;
    if (!page->is_waiting)
        page_free(page);
}

static const struct ht_handler handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_end = on_nothing,
    .on_writable = on_nothing,
    .on_close = on_close,
};

/* ---- connections ---- */

static void on_conn_closed(struct ht_server_conn *conn)
{
    --((struct px_admin *)conn->owner)->num_conns;
}

static bool on_accept(struct net_listener *listener, int fd)
{
    struct px_admin *admin = listener->data;

    if (admin->num_conns >= MAX_ADMIN_CONNS) {
        close(fd);
        return false;
    }
    struct ht_server_conn *conn = ht_server_accept(admin->main, fd, NULL, &handler, &ht_limits_default, admin,
                                                   on_conn_closed);
    list_push(&admin->conns, &conn->link);
    ++admin->num_conns;
    return true;
}

struct px_admin *px_admin_start(struct net_worker *main, struct px_dataplane *dataplane, const char *where, struct err *err)
{
    int fd = net_listen_text(where, NULL, err);

    if (fd < 0)
        return NULL;
    struct px_admin *admin = xcalloc(1, sizeof(*admin));
    admin->main = main;
    admin->dataplane = dataplane;
    list_init(&admin->conns);
    admin->listener = net_listener_new(main, fd, on_accept, admin);
    return admin;
}

struct px_admin *px_admin_stop(struct px_admin *admin)
{
    if (admin == NULL)
        return NULL;
    admin->listener = net_listener_close(admin->listener);
    LIST_FOR_SAFE(conn, &admin->conns, struct ht_server_conn, link)
    ht_server_close(conn);
    while (admin->num_conns != 0 || admin->num_pages != 0)
        net_worker_turn(admin->main, 10);
    free(admin);
    return NULL;
}
