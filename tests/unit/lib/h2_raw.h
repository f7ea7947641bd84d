/* For tests of the HTTP/2 server: a handler that writes down what it saw, and a client that sends any bytes
 * as frames. */
#ifndef SELVEDGE_TESTS_H2_RAW_H
#define SELVEDGE_TESTS_H2_RAW_H

#include "core/base/strbuf.h"
#include "core/http/http.h"

/* ---- a handler ---- */

/* One exchange as its handler saw it; stays after the exchange is gone. */
struct seen {
    struct list link;
    struct ht_exchange *x; /* NULL after on_close */
    struct strbuf body, head; /* head: "GET http example.com /path\nname: value\n" */
    struct strbuf trailers;
    size_t take; /* how much on_body takes at most each time */
    unsigned num_writable, num_ends;
    bool is_closed;
    enum ht_close why;
};

struct seen_log {
    struct list all; /* of struct seen */
    unsigned num_requests, num_closed, num_bad, num_open, max_open, last_bad_status;
    char last_bad_detail[128];
    void (*on_request)(struct seen *seen); /* NULL: says nothing, resumes nothing */
    bool forgets; /* frees what is closed: for floods */
};
extern struct seen_log seen_log; /* of the running test */
extern const struct ht_handler seen_handler;

void seen_reset(void);
struct seen *seen_at(unsigned index);
/* on_request for the log: 200 and "hello". */
void seen_say_hello(struct seen *seen);

/* ---- a client of bytes ---- */

struct raw {
    struct net_worker *worker;
    struct ht_server_conn *conn; /* NULL after on_closed */
    int fd;
    bool is_eof;
    bool reads_nothing; /* lets what the server says pile up */
    struct strbuf in, out;
};

/* A plain connection to a fresh server connection. */
void raw_open(struct raw *raw, struct net_worker *worker, const struct ht_limits *limits);
void raw_close(struct raw *raw);
/* Moves bytes and turns the loop once. */
void raw_turn_wait(struct raw *raw, int wait_ms);
static inline void raw_turn(struct raw *raw)
{
    raw_turn_wait(raw, 0);
}
/* Preface and an empty SETTINGS; waits for the server's. */
void raw_hello(struct raw *raw);

void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len);
/* A header block of literals without indexing: names and values, then NULL. */
void raw_fields(struct strbuf *block, const char *name, ...) __attribute__((sentinel));
void raw_field(struct strbuf *block, struct slice name, struct slice value);
/* GET http://example.com<path> with END_STREAM. */
void raw_get(struct raw *raw, uint32_t id, const char *path);
/* POST without END_STREAM. */
void raw_post(struct raw *raw, uint32_t id, const char *path);

struct raw_frame {
    uint8_t type, flags;
    uint32_t id, len;
    const uint8_t *payload;
    size_t end; /* offset behind it: where to look on */
};
/* The next frame of that type (any: 255) and stream (any: UINT32_MAX) at or behind `from`. */
bool raw_find(const struct raw *raw, size_t from, uint8_t type, uint32_t id, struct raw_frame *ret);
unsigned raw_count(const struct raw *raw, uint8_t type, uint32_t id);
/* Error code of the first RST_STREAM of the stream, or -1. */
int64_t raw_reset_code(const struct raw *raw, uint32_t id);
/* Error code of the last GOAWAY, or -1. */
int64_t raw_goaway_code(const struct raw *raw);
/* DATA bytes of the stream. */
size_t raw_data_len(const struct raw *raw, uint32_t id);
bool raw_is_ended(const struct raw *raw, uint32_t id);

/* Patient: the kernel delivers loopback traffic when it gets round to it. */
#define RAW_UNTIL(raw, cond)                                                                                 \
    do {                                                                                                     \
        for (int turns_ = 0; !(cond); turns_++) {                                                            \
            raw_turn_wait(raw, turns_ > 50);                                                                 \
            if (turns_ > 20000)                                                                              \
                abort();                                                                                     \
        }                                                                                                    \
    } while (0)

#endif
