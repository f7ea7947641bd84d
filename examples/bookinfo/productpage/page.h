/* The page, as HTML without scripts: everything that came from elsewhere is escaped.
 *
 * Threads: any; pure functions of the view (and of the shop's history). */
#ifndef BOOKINFO_PAGE_H
#define BOOKINFO_PAGE_H

#include "examples/bookinfo/productpage/shop.h"

struct page_view {
    const struct bk_service *service;
    uint64_t id; /* of the book */
    struct slice user; /* {NULL, 0}: nobody is signed in */
    bool is_live; /* loads itself again every second */
    int rated; /* 1 to 5: just stored; 0: storing failed; -1: neither */
    const struct shop_answer *details, *reviews;
    const struct shop_trace *trace;
    uint64_t took_us;
};

void page_write(struct strbuf *out, const struct page_view *view);
void page_write_login(struct strbuf *out);
/* For replies with a page: nothing but this page's own style, images and forms. */
extern const char page_headers[];
const char *page_favicon(void); /* image/svg+xml */

#endif
