/* HTTP/1.1 messages, read strictly and whole: heads, then bodies by Content-Length, chunks or close.
 *
 * What could be read in two ways is refused: bare line feeds, folded lines, odd lengths, two framings.
 * Threads:   one message, one thread.
 * Ownership: a message owns its text; its slices live until the next read or bk_message_clear().
 * Limits:    32 KiB and 100 fields a head, 1 MiB a body. */
#ifndef BOOKINFO_HTTP_H
#define BOOKINFO_HTTP_H

#include "core/base/strbuf.h"
#include "examples/bookinfo/lib/stream.h"

enum { BK_HEAD_MAX = 32 * 1024, BK_FIELDS_MAX = 100, BK_BODY_MAX = 1024 * 1024 };

struct bk_field {
    struct slice name, value;
};

struct bk_message {
    struct strbuf head, body;
    struct slice method, target; /* of a request */
    unsigned status; /* of a response */
    bool is_http10;
    bool is_last; /* the connection ends after this message */
    size_t num_fields;
    struct bk_field fields[BK_FIELDS_MAX];
};

void bk_message_init(struct bk_message *message);
void bk_message_clear(struct bk_message *message);
/* The first field of that name, or {NULL, 0}. */
struct slice bk_message_field(const struct bk_message *message, const char *name);

/* Result: BK_READ_OK, BK_READ_GONE when the peer went away, or the status that refuses the request. */
enum { BK_READ_OK = 0, BK_READ_GONE = -1 };
/* The head; bk_request_read_body() follows, after a 100 (Continue) if `expects_continue`. */
int bk_request_read_head(struct bk_stream *stream, struct bk_message *message, uint64_t deadline_ms);
bool bk_request_expects_continue(const struct bk_message *message);
int bk_request_read_body(struct bk_stream *stream, struct bk_message *message, uint64_t deadline_ms);

/* A whole final response; informational ones are skipped. ERR_UNAVAILABLE: not one byte of it came. */
int bk_response_read(struct bk_stream *stream, struct bk_message *message, bool is_head_request,
                     uint64_t deadline_ms, struct err *err);
const char *bk_status_text(unsigned status);

/* The value of `name` in `a=1&b=2`, decoded and NUL-terminated: its length, or -1 when absent, too long or
 * malformed. */
int bk_form_get(struct slice form, const char *name, char *out, size_t cap);
/* The value of a cookie, or {NULL, 0}. */
struct slice bk_cookie_get(const struct bk_message *message, const char *name);
bool bk_slice_is_nocase(struct slice a, const char *b);
/* Decimal digits and nothing else, at most `max`. */
bool bk_parse_number(struct slice text, uint64_t max, uint64_t *ret);

#endif
