/* details: what is printed on a book's last page. GET /details/ID. */
#include "examples/bookinfo/lib/service.h"

#include "core/base/json.h"

struct book {
    const char *author, *type, *publisher, *language, *isbn_10, *isbn_13;
    unsigned year, pages;
};

static const struct book books[] = {
    {"William Shakespeare", "paperback", "PublisherA", "English", "1234567890", "123-1234567890", 1595, 200},
    {"Jane Austen", "hardcover", "T. Egerton", "English", "0141439513", "978-0141439518", 1813, 432},
    {"Mary Shelley", "paperback", "Lackington", "English", "0486282112", "978-0486282114", 1818, 166},
    {"Herman Melville", "hardcover", "Harper & Brothers", "English", "1503280780", "978-1503280786", 1851,
     585},
    {"H. G. Wells", "paperback", "Heinemann", "English", "0451528557", "978-0451528551", 1895, 118},
    {"Jules Verne", "paperback", "Hetzel", "French", "014044906X", "978-0140449068", 1872, 288},
};

static void write_book(struct strbuf *out, uint64_t id, const struct book *book,
                       const struct bk_service *service)
{
    strbuf_addf(out, "{\"id\":%llu,\"author\":", (unsigned long long)id);
    json_quote(out, slice_of(book->author));
    strbuf_addf(out, ",\"year\":%u,\"type\":\"%s\",\"pages\":%u,\"publisher\":", book->year, book->type,
                book->pages);
    json_quote(out, slice_of(book->publisher));
    strbuf_addf(out,
                ",\"language\":\"%s\",\"ISBN-10\":\"%s\",\"ISBN-13\":\"%s\",\"version\":\"%s\",\"instance\":"
                "\"%s\"}\n",
                book->language, book->isbn_10, book->isbn_13, service->version, service->instance);
}

static void handle(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    uint64_t id;
    if (!bk_path_number(request->path, "/details/", "", &id))
        bk_reply_error(reply, 404, "there is /details/ID");
    else if (!bk_request_reads(request))
        bk_reply_error(reply, 405, "GET or HEAD");
    else if (id >= ARRAY_LEN(books))
        bk_reply_error(reply, 404, "no book %llu", (unsigned long long)id);
    else
        write_book(&reply->body, id, &books[id], service);
}

int main(int argc, char **argv)
{
    static struct bk_service service = {
        .name = "details",
        .version = "v1",
        .doc = "author, year and numbers of a book",
        .port = 9081,
        .statuses = {200, 599, 503},
        .handle = handle,
    };
    return bk_service_main(&service, argc, argv);
}
