/* A request's way: head, body, knobs, the service's handler, reply, log line. A service's way: options,
 * listener, the port announced, requests, drain. */
#include "examples/bookinfo/lib/service.h"
#include "examples/bookinfo/lib/options.h"

#include "core/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    IDLE_MS = 60000,
    HEAD_MS = 10000,
    BODY_MS = 30000,
    WRITE_MS = 60000,
    LINGER_MS = 500,
    LAST_CHANCE_MS = 100
};

static const char *const forwarded[] = {"x-request-id", "traceparent", "tracestate", "baggage"};

/* ---- log ---- */

void bk_log_begin(const struct bk_service *service, struct strbuf *line)
{
    char now[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339_us(clock_wall_us(), now);
    strbuf_addf(line, "{\"ts\":\"%s\",\"service\":\"%s\"", now, service->name);
    bk_log_member(line, "version", slice_of(service->version));
    bk_log_member(line, "instance", slice_of(service->instance));
}

void bk_log_member(struct strbuf *line, const char *name, struct slice text)
{
    if (text.base == NULL)
        return;
    strbuf_addf(line, ",\"%s\":", name);
    json_quote(line, text);
}

void bk_log_write(const struct bk_service *service, struct strbuf *line)
{
    strbuf_adds(line, "}\n");
    if (!service->is_quiet)
        (void)!write(STDOUT_FILENO, line->base, line->len); /* a log nobody reads stops nothing */
    strbuf_clear(line);
}

static void log_request(const struct bk_service *service, const struct bk_request *request,
                        const struct bk_reply *reply, uint64_t began_us)
{
    struct strbuf line = STRBUF_INIT;
    bk_log_begin(service, &line);
    bk_log_member(&line, "method", request->method);
    bk_log_member(&line, "path", request->path);
    strbuf_addf(&line, ",\"status\":%u,\"bytes\":%zu,\"ms\":%.3f", reply->status, reply->body.len,
                (double)(clock_mono_us() - began_us) / 1000);
    bk_log_member(&line, "user", request->user);
    bk_log_member(&line, "request_id", bk_message_field(request->message, "x-request-id"));
    bk_log_member(&line, "traceparent", bk_message_field(request->message, "traceparent"));
    strbuf_add_slice(&line, strbuf_slice(&reply->log_extra));
    bk_log_write(service, &line);
}

/* ---- replies ---- */

bool bk_request_reads(const struct bk_request *request)
{
    return slice_is(request->method, "GET") || slice_is(request->method, "HEAD");
}

bool bk_request_is(const struct bk_request *request, const char *method, const char *path)
{
    bool is_method =
        strcmp(method, "GET") == 0 ? bk_request_reads(request) : slice_is(request->method, method);
    return is_method && slice_is(request->path, path);
}

bool bk_path_number(struct slice path, const char *prefix, const char *suffix, uint64_t *ret)
{
    struct slice head = slice_of(prefix), tail = slice_of(suffix);
    if (path.len <= head.len + tail.len || !slice_starts(path, head) || !slice_ends(path, tail))
        return false;
    return bk_parse_number(slice_make(path.base + head.len, path.len - head.len - tail.len), INT64_MAX, ret);
}

void bk_reply_error(struct bk_reply *reply, unsigned status, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    va_start(args, fmt);
    strbuf_vaddf(&text, fmt, args);
    va_end(args);
    reply->status = status;
    reply->type = "application/json";
    strbuf_reset(&reply->body);
    strbuf_adds(&reply->body, "{\"error\":");
    json_quote(&reply->body, strbuf_slice(&text));
    strbuf_adds(&reply->body, "}\n");
    strbuf_clear(&text);
}

void bk_reply_add_header(struct bk_reply *reply, const char *name, const char *value)
{
    strbuf_addf(&reply->headers, "%s: %s\r\n", name, value);
}

static void reply_init(struct bk_reply *reply)
{
    *reply = (struct bk_reply){.status = 200, .type = "application/json"};
}

void bk_reply_clear(struct bk_reply *reply)
{
    strbuf_clear(&reply->headers);
    strbuf_clear(&reply->body);
    strbuf_clear(&reply->log_extra);
}

void bk_forward_headers(const struct bk_request *request, struct strbuf *out)
{
    for (size_t i = 0; i != ARRAY_LEN(forwarded); i++) {
        struct slice value = bk_message_field(request->message, forwarded[i]);
        if (value.base != NULL)
            strbuf_addf(out, "%s: %.*s\r\n", forwarded[i], (int)value.len, value.base);
    }
    if (request->user.base != NULL)
        strbuf_addf(out, "end-user: %.*s\r\n", (int)request->user.len, request->user.base);
    static const char *const aimed[] = {"x-delay-ms", "x-fail"};
    for (size_t i = 0; i != ARRAY_LEN(aimed); i++) {
        struct slice value = bk_message_field(request->message, aimed[i]);
        if (value.len != 0 && memchr(value.base, '=', value.len) != NULL)
            strbuf_addf(out, "%s: %.*s\r\n", aimed[i], (int)value.len, value.base);
    }
}

static int send_reply(const struct bk_service *service, struct bk_stream *stream,
                      const struct bk_reply *reply, bool is_head, bool is_last)
{
    struct strbuf out = STRBUF_INIT;
    struct err err;
    char date[40];
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    strbuf_addf(&out, "HTTP/1.1 %u %s\r\nDate: %s\r\nX-Served-By: %s\r\n", reply->status,
                bk_status_text(reply->status), date, service->instance);
    if (reply->status != 204)
        strbuf_addf(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n", reply->type, reply->body.len);
    if (is_last)
        strbuf_adds(&out, "Connection: close\r\n");
    strbuf_add_slice(&out, strbuf_slice(&reply->headers));
    strbuf_adds(&out, "\r\n");
    if (!is_head && reply->status != 204)
        strbuf_add_slice(&out, strbuf_slice(&reply->body));
    int rc = bk_stream_write(stream, out.base, out.len, clock_mono_ms() + WRITE_MS, &err);
    strbuf_clear(&out);
    return rc;
}

/* ---- what every service answers ---- */

struct bk_fault bk_service_fault(struct bk_service *service, struct slice user, struct slice header_delay,
                                 struct slice header_fail)
{
    unsigned dice = 0;
    (void)!getrandom(&dice, sizeof(dice), 0); /* early-boot failures do not concern a demo */
    pthread_mutex_lock(&service->lock);
    struct bk_knobs knobs = service->knobs;
    pthread_mutex_unlock(&service->lock);
    return bk_knobs_decide(&knobs, &service->statuses, service->name, user, header_delay, header_fail, dice);
}

void bk_service_health(struct bk_service *service, struct bk_reply *reply)
{
    bool is_stopping = bk_server_is_stopping(&service->server);
    reply->status = is_stopping ? 503 : 200;
    strbuf_addf(&reply->body,
                "{\"status\":\"%s\",\"service\":\"%s\",\"version\":\"%s\",\"instance\":\"%s\"}\n",
                is_stopping ? "draining" : "ok", service->name, service->version, service->instance);
}

void bk_service_knobs(struct bk_service *service, struct slice method, struct slice body,
                      struct bk_reply *reply)
{
    struct err err = ERR_INIT;
    int rc = 0;
    pthread_mutex_lock(&service->lock);
    if (slice_is(method, "POST"))
        rc = bk_knobs_merge(&service->knobs, &service->statuses, body, &err);
    else if (slice_is(method, "DELETE"))
        service->knobs = service->first_knobs;
    else if (!slice_is(method, "GET") && !slice_is(method, "HEAD"))
        rc = err_set(&err, ERR_METHOD, "GET, POST or DELETE");
    struct bk_knobs knobs = service->knobs;
    pthread_mutex_unlock(&service->lock);
    if (rc == 0)
        bk_knobs_write(&knobs, &reply->body);
    else
        bk_reply_error(reply, err.code == ERR_METHOD ? 405 : 400, "%s", err.text);
}

/* The request as it arrived here: what a gateway made of it. */
static void echo(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    const struct bk_message *message = request->message;
    strbuf_addf(&reply->body, "{\"instance\":\"%s\",\"method\":", service->instance);
    json_quote(&reply->body, request->method);
    strbuf_adds(&reply->body, ",\"target\":");
    json_quote(&reply->body, message->target);
    strbuf_addf(&reply->body, ",\"body_bytes\":%zu,\"headers\":[", message->body.len);
    for (size_t i = 0; i != message->num_fields; i++) {
        strbuf_adds(&reply->body, i == 0 ? "[" : ",[");
        json_quote(&reply->body, message->fields[i].name);
        strbuf_addc(&reply->body, ',');
        json_quote(&reply->body, message->fields[i].value);
        strbuf_addc(&reply->body, ']');
    }
    strbuf_adds(&reply->body, "]}\n");
}

static bool answer_common(struct bk_service *service, const struct bk_request *request,
                          struct bk_reply *reply)
{
    if (slice_is(request->path, "/_knobs"))
        bk_service_knobs(service, request->method, strbuf_slice(&request->message->body), reply);
    else if (bk_request_is(request, "GET", "/health"))
        bk_service_health(service, reply);
    else if (slice_is(request->path, "/_echo"))
        echo(service, request, reply);
    else
        return false;
    return true;
}

/* ---- one request ---- */

static struct bk_request describe(const struct bk_message *message)
{
    struct slice target = message->target;
    const char *mark = target.len != 0 ? memchr(target.base, '?', target.len) : NULL;
    struct bk_request request = {.method = message->method, .path = target, .message = message};
    if (mark != NULL) {
        request.path.len = (size_t)(mark - target.base);
        request.query = slice_make(mark + 1, target.len - request.path.len - 1);
    }
    struct slice user = bk_message_field(message, "end-user");
    if (user.base == NULL)
        user = bk_cookie_get(message, "end-user");
    if (bk_user_is_valid(user))
        request.user = user;
    return request;
}

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* Fills `reply`; false when the connection is to be reset instead. */
static bool answer(struct bk_service *service, const struct bk_request *request, struct bk_reply *reply)
{
    if (answer_common(service, request, reply))
        return true;
    struct bk_fault fault =
        bk_service_fault(service, request->user, bk_message_field(request->message, "x-delay-ms"),
                         bk_message_field(request->message, "x-fail"));
    if (fault.delay_ms != 0) {
        strbuf_addf(&reply->log_extra, ",\"delayed_ms\":%u", fault.delay_ms);
        pause_ms(fault.delay_ms);
    }
    if (!fault.is_failing) {
        service->handle(service, request, reply);
        return true;
    }
    strbuf_adds(&reply->log_extra, ",\"failed\":true");
    if (fault.status != 0)
        bk_reply_error(reply, fault.status, "failing as asked by a knob");
    else
        reply->status = 0;
    return fault.status != 0;
}

static void reset_connection(struct bk_stream *stream)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &now,
                     sizeof(now)); /* else it is a plain close: fine too */
}

/* Reads off what a refused client still sends, for a moment: a reset would take our answer with it. */
static void linger(struct bk_stream *stream)
{
    char rest[4096];
    struct err err;
    uint64_t deadline_ms = clock_mono_ms() + LINGER_MS;
    shutdown(stream->fd, SHUT_WR);
    while (clock_mono_ms() < deadline_ms && bk_stream_read(stream, rest, sizeof(rest), deadline_ms, &err) > 0)
        ;
}

static int refuse(struct bk_service *service, struct bk_stream *stream, const struct bk_message *message,
                  int status)
{
    struct bk_request request = describe(message);
    struct bk_reply reply;
    reply_init(&reply);
    bk_reply_error(&reply, (unsigned)status, "%s", bk_status_text((unsigned)status));
    log_request(service, &request, &reply, clock_mono_us());
    if (send_reply(service, stream, &reply, false, true) == 0)
        linger(stream);
    bk_reply_clear(&reply);
    return -1;
}

/* 0 when another request may follow on this connection. */
static int serve_one(struct bk_service *service, struct bk_stream *stream, struct bk_message *message)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct err err;
    int status = bk_request_read_head(stream, message, clock_mono_ms() + HEAD_MS);
    if (status == BK_READ_OK && bk_request_expects_continue(message) &&
        bk_stream_write(stream, go_on, strlen(go_on), clock_mono_ms() + WRITE_MS, &err) != 0)
        return -1;
    if (status == BK_READ_OK)
        status = bk_request_read_body(stream, message, clock_mono_ms() + BODY_MS);
    if (status == BK_READ_GONE)
        return -1;
    if (status != BK_READ_OK)
        return refuse(service, stream, message, status);

    uint64_t began_us = clock_mono_us();
    struct bk_request request = describe(message);
    struct bk_reply reply;
    reply_init(&reply);
    bool is_answered = answer(service, &request, &reply);
    bool is_last = message->is_last || bk_server_is_stopping(&service->server);
    log_request(service, &request, &reply, began_us); /* first: who has the answer finds the line */
    int rc = -1;
    if (is_answered)
        rc = send_reply(service, stream, &reply, slice_is(request.method, "HEAD"), is_last);
    else
        reset_connection(stream);
    bk_reply_clear(&reply);
    return is_last ? -1 : rc;
}

/* True when bytes are there; false when the wait was for nothing or the service stops. A request may be on
 * its way just then: it gets a last moment. */
static bool await_request(const struct bk_service *service, const struct bk_stream *stream)
{
    if (stream->start != stream->end)
        return true;
    struct pollfd p[2] = {{.fd = stream->fd, .events = POLLIN},
                          {.fd = service->server.stop_fd, .events = POLLIN}};
    int n;
    do {
        n = poll(p, 2, IDLE_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    return p[0].revents != 0 || bk_wait(stream->fd, POLLIN, clock_mono_ms() + LAST_CHANCE_MS) == 1;
}

static void serve_http(struct bk_server *server, int take_fd, void *data)
{
    struct bk_service *service = data;
    struct bk_stream *stream = xmalloc(sizeof(*stream));
    struct bk_message message;
    bk_stream_init(stream, take_fd);
    bk_message_init(&message);
    while (await_request(service, stream) && serve_one(service, stream, &message) == 0)
        ;
    bk_message_clear(&message);
    bk_stream_close(stream);
    free(stream);
}

/* ---- start and end ---- */

/* Whole or not at all: who waits for the file may read it as soon as it is there. */
static int write_port_file(const struct bk_service *service, struct err *err)
{
    if (service->port_file == NULL)
        return 0;
    struct strbuf part = STRBUF_INIT;
    strbuf_addf(&part, "%s.part", service->port_file);
    FILE *file = fopen(part.base, "we");
    int rc = file != NULL && fprintf(file, "%u\n", service->server.port) > 0 ? 0 : -1;
    if (file != NULL && fclose(file) != 0)
        rc = -1;
    if (rc != 0 || rename(part.base, service->port_file) != 0)
        rc = err_errno(err, "--port-file %s", service->port_file);
    strbuf_clear(&part);
    return rc;
}

static void log_state(const struct bk_service *service, const char *what, const char *name, unsigned number)
{
    struct strbuf line = STRBUF_INIT;
    bk_log_begin(service, &line);
    bk_log_member(&line, "msg", slice_of(what));
    strbuf_addf(&line, ",\"%s\":%u", name, number);
    bk_log_write(service, &line);
}

static int check_options(struct bk_service *service, struct err *err)
{
    const struct bk_status_range *range = &service->statuses;
    struct bk_knobs *knobs = &service->knobs;
    if (knobs->status != 0 && (knobs->status < range->min || knobs->status > range->max))
        return err_set(err, ERR_INVALID, "--fail-status: 0, or %u to %u", range->min, range->max);
    if (!bk_user_is_valid(slice_of(service->version)) ||
        (service->instance != NULL && !bk_user_is_valid(slice_of(service->instance))))
        return err_set(err, ERR_INVALID,
                       "--version and --instance: at most %d letters, digits, '.', '-', '_'", BK_USER_MAX);
    service->first_knobs = *knobs;
    return service->start != NULL ? service->start(service, err) : 0;
}

static int open_service(struct bk_service *service, char *instance, size_t cap, struct err *err)
{
    if (check_options(service, err) != 0 ||
        bk_server_open(&service->server, service->listen, service->port, err) != 0)
        return -1;
    if (service->instance == NULL) {
        snprintf(instance, cap, "%s-%s-%u", service->name, service->version, service->server.port);
        service->instance = instance;
    }
    return write_port_file(service, err);
}

int bk_service_main(struct bk_service *service, int argc, char **argv)
{
    service->listen = "127.0.0.1";
    service->drain_ms = 5000;
    service->knobs.status = service->statuses.usual;
    pthread_mutex_init(&service->lock, NULL);
    const struct bk_option common[] = {
        {"listen", "address to listen on", .text = &service->listen},
        {"port", "port to listen on, 0 for a free one", .number = &service->port, .max = 65535},
        {"port-file", "write the port here once listening", .text = &service->port_file},
        {"version", "version to answer as", .text = &service->version},
        {"instance", "name of this process, by default SERVICE-VERSION-PORT", .text = &service->instance},
        {"drain-ms", "time for open requests after SIGTERM", .number = &service->drain_ms, .max = 600000},
        {"quiet", "no log", .flag = &service->is_quiet},
        {"delay-ms", "wait before every answer", .number = &service->knobs.delay_ms, .max = BK_DELAY_MAX_MS},
        {"fail-percent", "fail so many of the requests", .number = &service->knobs.fail_percent, .max = 100},
        {"fail-status", "status of the failing ones, 0 resets", .number = &service->knobs.status, .max = 999},
    };
    const struct bk_option *const tables[] = {common, service->options};
    const size_t counts[] = {ARRAY_LEN(common), service->num_options};
    struct err err = ERR_INIT;
    char instance[96];
    bool is_help = false;
    int rc = bk_options_parse(tables, counts, ARRAY_LEN(tables), argc, argv, &is_help, &err);
    if (is_help) {
        bk_options_help(service, tables, counts, ARRAY_LEN(tables));
        return 0;
    }
    if (rc != 0 || open_service(service, instance, sizeof(instance), &err) != 0) {
        fprintf(stderr, "bookinfo-%s: %s\n", service->name, err.text);
        return 2;
    }
    log_state(service, "listening", "port", service->server.port);
    unsigned left = bk_server_run(&service->server, service->drain_ms,
                                  service->serve != NULL ? service->serve : serve_http, service);
    log_state(service, "stopped", "cut_off", left);
    if (left != 0)
        _exit(0); /* their threads still use what a return would take down */
    return 0;
}
