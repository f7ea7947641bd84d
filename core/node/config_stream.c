/* The node's end of the config stream, in a thread of its own.
 *
 * run(): a first try of one second; then the stored snapshot if there was no answer; then streams until told to stop. What
 * arrives is handled as it comes: parse or patch, apply, report, store. */
#include "core/node/config_stream.h"

#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/crypto.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/http/session.h"
#include "core/node/sse.h"
#include "core/node/stored_snapshot.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/poll.h>
#include <unistd.h>

enum {
    MAX_EVENT = 256 * 1024 * 1024, /* about a hundred thousand endpoints */
    FIRST_TRY_MS = 1000,           /* then the stored snapshot is applied */
    DEAD_MS = 40000,               /* heartbeats come every 15 s */
    REPORT_MS = 10000,
    STORE_EVERY_MS = 5000,
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 30000,
    STABLE_MS = 60000,             /* a stream that lived this long resets the backoff */
    CONNECT_TIMEOUT_MS = 5000,
    POST_TIMEOUT_MS = 5000,
    MAX_PEM = 256 * 1024,
};

/* The files of our identity, read for each connection, so that a renewed certificate is used from the next one on. */
struct identity {
    struct strbuf cert, key;
};

struct node_config_stream {
    struct node_config_stream_config config; /* texts owned */
    pthread_t thread;
    atomic_bool is_stopping, wants_report;
    int wake_fd;
    char boot_id[CRYPTO_TOKEN_LEN(16) + 1];
    uint64_t seq;

    struct cfg_document *doc;     /* what is applied; NULL: nothing yet */
    uint64_t bookmark_rev;        /* of doc, moved on by bookmarks */
    uint64_t attempted_rev;
    bool is_rejected, wants_snapshot, is_stale, is_cache_tried;
    char *findings;               /* JSON array of the last attempt */
    uint64_t stored_ms;           /* when the cache was written, or not; 0: never */
    bool is_dirty;                /* the cache is behind doc */
    bool is_store_failing;        /* told once */

    struct ht_session *session;       /* the connection: NULL between streams */
    bool is_reporting;                /* a report is on its way: the next one waits for it */
    struct sse sse;
    uint64_t started_ms, last_bytes_ms, last_report_ms, reconnect_ms;
    bool is_connected, must_end;
    char why[ERR_TEXT_MAX]; /* the last stream ended */
};

/* ---------- the stored snapshot ---------- */

/* What could not be stored (the disk is full) is tried again until it is: control may be gone when this node starts next. */
static void store(struct node_config_stream *stream)
{
    struct err err = ERR_INIT;
    if (stream->config.cache_dir == NULL || stream->doc == NULL)
        return;
    stream->is_dirty = node_stored_snapshot_write(stream->config.cache_dir, stream->doc, &err) != 0;
    if (stream->is_dirty && !stream->is_store_failing)
        log_err(LOG_WARN, "the snapshot was not stored", &err);
    stream->is_store_failing = stream->is_dirty;
    stream->stored_ms = clock_mono_ms();
}

static void store_if_due(struct node_config_stream *stream)
{
    if (stream->is_dirty && (stream->stored_ms == 0 || clock_mono_ms() - stream->stored_ms >= STORE_EVERY_MS))
        store(stream);
}

/* ---------- applying ---------- */

static void set_findings(struct node_config_stream *stream, const struct json *findings)
{
    struct strbuf text = STRBUF_INIT;
    json_write(&text, findings);
    free(stream->findings);
    stream->findings = strbuf_take(&text);
}

/* Takes the document: it becomes the one applied, or goes. */
static int apply(struct node_config_stream *stream, struct cfg_document *doc)
{
    struct err err = ERR_INIT;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *findings = json_new_array(arena);
    stream->attempted_rev = doc->rev;
    int status = stream->config.apply(stream->config.data, doc, arena, findings, &err);
    if (status == 0) {
        cfg_document_free(stream->doc);
        stream->doc = doc;
        stream->bookmark_rev = doc->rev;
        stream->is_dirty = true;
    } else {
        struct json *finding = json_push(findings, json_new_object(arena));
        json_set_str(arena, finding, "kind", "snapshot");
        json_set_str(arena, finding, "name", "");
        json_set_str(arena, finding, "message", err.text);
        log_err(LOG_ERROR, "a configuration was rejected; the one before goes on", &err);
        cfg_document_free(doc);
    }
    stream->is_rejected = status != 0;
    set_findings(stream, findings);
    return status;
}

/* Once: a file that could not be used does not get better. */
static void apply_cache(struct node_config_stream *stream)
{
    struct err err = ERR_INIT;
    if (stream->config.cache_dir == NULL || stream->is_cache_tried)
        return;
    stream->is_cache_tried = true;
    struct cfg_document *doc = node_stored_snapshot_read(stream->config.cache_dir, &err);
    if (doc == NULL) {
        if (err.code != ERR_NOT_FOUND)
            log_err(LOG_ERROR, "the stored snapshot was not used", &err);
        return;
    }
    log_event(LOG_WARN, "control does not answer: running on the stored snapshot", NULL);
    if (apply(stream, doc) == 0)
        stream->is_stale = true;
    stream->is_dirty = false;
}

/* ---------- calls ---------- */

static void identity_clear(struct identity *identity)
{
    if (identity->key.base != NULL)
        crypto_wipe(identity->key.base, identity->key.len);
    strbuf_clear(&identity->cert);
    strbuf_clear(&identity->key);
}

static int read_identity(const struct node_config_stream *stream, struct identity *identity, struct err *err)
{
    const struct node_config_stream_config *config = &stream->config;
    if (config->unix_path != NULL)
        return 0;
    if (file_read(config->cert_file, MAX_PEM, &identity->cert, err) != 0)
        return -1;
    return file_read(config->key_file, MAX_PEM, &identity->key, err);
}

static struct ht_session *open_session(struct node_config_stream *stream, unsigned connect_ms, struct err *err)
{
    const struct node_config_stream_config *config = &stream->config;
    struct ht_session_config server = {.url = config->url, .unix_path = config->unix_path, .ca_file = config->ca_file, .connect_timeout_ms = connect_ms};
    struct identity identity = {STRBUF_INIT, STRBUF_INIT};
    struct ht_session *session = NULL;
    if (read_identity(stream, &identity, err) == 0) {
        server.cert_pem = strbuf_slice(&identity.cert);
        server.key_pem = strbuf_slice(&identity.key);
        session = ht_session_new(&server, err);
    }
    identity_clear(&identity);
    return session;
}

static char *target_of(const struct node_config_stream *stream, const char *what)
{
    struct strbuf target = STRBUF_INIT;
    strbuf_addf(&target, "/selvedge/v1/nodes/%s/%s", stream->config.node, what);
    return strbuf_take(&target);
}

static void write_report(struct node_config_stream *stream, struct strbuf *out)
{
    uint64_t sum = stream->doc != NULL ? cfg_document_sum(stream->doc) : 0;
    strbuf_addf(out,
                "{\"bootId\":\"%s\",\"seq\":%" PRIu64 ",\"applied\":%" PRIu64 ",\"attempted\":%" PRIu64
                ",\"state\":\"%s\",\"sum\":\"%016" PRIx64 "\",\"version\":\"%s\",\"stale\":%s,\"errors\":%s}",
                stream->boot_id, ++stream->seq, stream->bookmark_rev, stream->attempted_rev, stream->is_rejected ? "rejected" : "applied", sum,
                stream->config.version, stream->is_stale ? "true" : "false", stream->findings != NULL ? stream->findings : "[]");
}

static void report(struct node_config_stream *stream);

static void on_report_done(void *data, const struct ht_response *response, const struct err *err)
{
    struct node_config_stream *stream = data;
    stream->is_reporting = false;
    /* What became of it does not matter: the next report, 10 s from now, says the same. */
    if (response != NULL && atomic_load(&stream->wants_report))
        report(stream);
}

/* Beside the stream, on its connection: a thousand nodes that report a change at once are no thousand handshakes. */
static void report(struct node_config_stream *stream)
{
    static const char *const headers[] = {"content-type: application/json", NULL};
    atomic_store(&stream->wants_report, stream->is_reporting);
    if (stream->is_reporting)
        return;
    struct strbuf body = STRBUF_INIT;
    _cleanup_(freep) char *target = target_of(stream, "status");
    stream->is_reporting = true;
    stream->last_report_ms = clock_mono_ms();
    write_report(stream, &body);
    struct ht_request request = {.method = "POST", .target = target, .headers = headers, .body = strbuf_slice(&body), .timeout_ms = POST_TIMEOUT_MS};
    ht_session_send(stream->session, &request, on_report_done, stream);
    strbuf_clear(&body);
}

/* ---------- events ---------- */

static int on_snapshot(struct node_config_stream *stream, struct slice data)
{
    struct err err = ERR_INIT;
    struct cfg_document *doc = cfg_document_parse(data, &err);
    if (doc == NULL) {
        log_err(LOG_ERROR, "control sent a snapshot that cannot be read", &err);
        return -1;
    }
    stream->wants_snapshot = false;
    (void)apply(stream, doc); /* the report tells */
    return 0;
}

static int on_delta(struct node_config_stream *stream, struct slice data)
{
    struct err err = ERR_INIT;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *delta = json_parse(arena, data, &err);
    struct cfg_document *doc = delta != NULL && stream->doc != NULL ? cfg_document_patch(stream->doc, delta, &err) : NULL;
    if (doc == NULL) {
        log_err(LOG_WARN, "a delta does not fit; asking for a snapshot", &err);
        stream->wants_snapshot = true;
        return -1;
    }
    (void)apply(stream, doc); /* the report tells */
    return 0;
}

static int on_bookmark(struct node_config_stream *stream, struct slice id, struct slice data)
{
    char text[64], sum[24];
    uint64_t epoch, rev;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *bookmark = json_parse(arena, data, NULL);
    size_t len = MIN(id.len, sizeof(text) - 1);
    memcpy(text, id.base, len);
    text[len] = '\0';
    snprintf(sum, sizeof(sum), "%016" PRIx64, stream->doc != NULL ? cfg_document_sum(stream->doc) : 0);
    if (sscanf(text, "%" SCNx64 ":%" SCNu64, &epoch, &rev) != 2 || strcmp(json_str(json_get(bookmark, "sum"), ""), sum) != 0) {
        stream->wants_snapshot = true; /* the two ends differ: start over */
        return -1;
    }
    stream->bookmark_rev = stream->attempted_rev = rev;
    return 0;
}

static void on_goaway(struct node_config_stream *stream, struct slice data)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    int64_t ms = json_int_or(json_get(json_parse(arena, data, NULL), "reconnectMs"), 1000);
    stream->reconnect_ms = (uint64_t)MAX(MIN(ms, (int64_t)BACKOFF_MAX_MS), (int64_t)1);
}

static int on_event(void *ctx, struct slice event, struct slice id, struct slice data)
{
    struct node_config_stream *stream = ctx;
    int status = 0;
    if (slice_is(event, "goaway")) {
        on_goaway(stream, data);
        return -1;
    }
    if (slice_is(event, "snapshot"))
        status = on_snapshot(stream, data);
    else if (slice_is(event, "delta"))
        status = on_delta(stream, data);
    else if (slice_is(event, "bookmark"))
        status = on_bookmark(stream, id, data);
    else
        return 0; /* newer than we are */
    if (status == 0) {
        stream->is_stale = false;
        /* A bookmark changed nothing: told of with the next report, unless it is all there is to say hello with. */
        if (!slice_is(event, "bookmark") || stream->last_report_ms < stream->started_ms)
            report(stream);
        store_if_due(stream);
    }
    return status;
}

static void on_bytes(void *data, struct slice bytes)
{
    struct node_config_stream *stream = data;
    stream->last_bytes_ms = clock_mono_ms();
    if (stream->must_end)
        return;
    if (!stream->is_connected) {
        stream->is_connected = true;
        if (stream->config.on_connected != NULL)
            stream->config.on_connected(stream->config.data, true, "");
    }
    stream->must_end = sse_feed(&stream->sse, bytes.base, bytes.len) != 0;
}

/* Asked about once a second while the stream is quiet. */
static bool go_on(void *data)
{
    struct node_config_stream *stream = data;
    uint64_t now = clock_mono_ms();
    if (stream->must_end || atomic_load(&stream->is_stopping) || now - stream->last_bytes_ms > DEAD_MS)
        return false;
    if (stream->is_connected && (atomic_load(&stream->wants_report) || now - stream->last_report_ms >= REPORT_MS))
        report(stream);
    /* A control process that hangs takes connections and says nothing: the stream may wait for it, the traffic does not. */
    if (stream->doc == NULL && now - stream->started_ms >= FIRST_TRY_MS)
        apply_cache(stream);
    store_if_due(stream);
    return true;
}

static char *stream_target(const struct node_config_stream *stream)
{
    struct strbuf target = STRBUF_INIT;
    _cleanup_(freep) char *path = target_of(stream, "stream");
    strbuf_addf(&target, "%s?role=%s", path, stream->config.role);
    if (stream->doc != NULL && !stream->wants_snapshot)
        strbuf_addf(&target, "&since=%016" PRIx64 ":%" PRIu64 "&sum=%016" PRIx64, stream->doc->epoch, stream->bookmark_rev, cfg_document_sum(stream->doc));
    return strbuf_take(&target);
}

static void on_stream_end(void *data, const struct ht_response *response, const struct err *err)
{
    struct node_config_stream *stream = data;
    if (response->status != 200)
        snprintf(stream->why, sizeof(stream->why), "HTTP status %u: %.*s", response->status, (int)MIN(response->body.len, (size_t)200), response->body.base);
    else
        snprintf(stream->why, sizeof(stream->why), "the stream ended");
}

/* One stream from opening to end. `connect_ms`: how long to wait for a connection. */
static void hold_stream(struct node_config_stream *stream, unsigned connect_ms)
{
    static const char *const headers[] = {"accept: text/event-stream", NULL};
    struct err err = ERR_INIT;
    _cleanup_(freep) char *target = stream_target(stream);
    struct ht_request request = {.target = target, .headers = headers};
    sse_init(&stream->sse, MAX_EVENT, on_event, stream);
    stream->started_ms = stream->last_bytes_ms = clock_mono_ms();
    stream->reconnect_ms = 0;
    stream->is_connected = stream->must_end = false;
    stream->why[0] = '\0';
    stream->session = open_session(stream, connect_ms, &err);
    if (stream->session == NULL || ht_session_wait(stream->session, &request, on_bytes, go_on, on_stream_end, stream, &err) != 0)
        snprintf(stream->why, sizeof(stream->why), "%s", err.text);
    stream->session = ht_session_free(stream->session);
    if (stream->config.on_connected != NULL && !atomic_load(&stream->is_stopping))
        stream->config.on_connected(stream->config.data, false, stream->why);
    sse_clear(&stream->sse);
}

/* ---------- the thread ---------- */

static void nap(struct node_config_stream *stream, uint64_t ms)
{
    struct pollfd wake = {.fd = stream->wake_fd, .events = POLLIN};
    (void)poll(&wake, 1, (int)ms); /* woken early only to stop */
}

static void *run(void *data)
{
    struct node_config_stream *stream = data;
    struct backoff backoff = backoff_make(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    unsigned connect_ms = FIRST_TRY_MS;
    while (!atomic_load(&stream->is_stopping)) {
        hold_stream(stream, connect_ms);
        connect_ms = CONNECT_TIMEOUT_MS;
        if (atomic_load(&stream->is_stopping))
            break;
        if (stream->doc == NULL)
            apply_cache(stream);
        if (stream->is_connected && clock_mono_ms() - stream->started_ms >= STABLE_MS)
            backoff_reset(&backoff);
        uint64_t delay = backoff_next_ms(&backoff, crypto_random_u64());
        nap(stream, stream->reconnect_ms != 0 ? crypto_random_u64() % stream->reconnect_ms : delay);
    }
    if (stream->is_dirty)
        store(stream);
    return NULL;
}

static const char *dup_or_null(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

struct node_config_stream *node_config_stream_start(const struct node_config_stream_config *config, struct err *err)
{
    struct node_config_stream *stream = xcalloc(1, sizeof(*stream));
    stream->config = *config;
    stream->config.url = dup_or_null(config->url);
    stream->config.unix_path = dup_or_null(config->unix_path);
    stream->config.node = dup_or_null(config->node);
    stream->config.role = dup_or_null(config->role);
    stream->config.ca_file = dup_or_null(config->ca_file);
    stream->config.cert_file = dup_or_null(config->cert_file);
    stream->config.key_file = dup_or_null(config->key_file);
    stream->config.cache_dir = dup_or_null(config->cache_dir);
    stream->config.version = dup_or_null(config->version);
    crypto_token(stream->boot_id, 16);
    stream->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (stream->wake_fd < 0 || pthread_create(&stream->thread, NULL, run, stream) != 0) {
        err_errno(err, "start the config stream");
        free(stream);
        return NULL;
    }
    return stream;
}

struct node_config_stream *node_config_stream_stop(struct node_config_stream *stream)
{
    uint64_t one = 1;
    if (stream == NULL)
        return NULL;
    atomic_store(&stream->is_stopping, true);
    ssize_t written = write(stream->wake_fd, &one, sizeof(one));
    (void)written; /* an eventfd takes it */
    pthread_join(stream->thread, NULL);
    close(stream->wake_fd);
    cfg_document_free(stream->doc);
    free(stream->findings);
    free((char *)stream->config.url);
    free((char *)stream->config.unix_path);
    free((char *)stream->config.node);
    free((char *)stream->config.role);
    free((char *)stream->config.ca_file);
    free((char *)stream->config.cert_file);
    free((char *)stream->config.key_file);
    free((char *)stream->config.cache_dir);
    free((char *)stream->config.version);
    free(stream);
    return NULL;
}

void node_config_stream_report(struct node_config_stream *stream)
{
    atomic_store(&stream->wants_report, true);
}
