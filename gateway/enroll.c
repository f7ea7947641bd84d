/* Joining and renewing, over ht_call_once(). */
#include "gateway/enroll.h"

#include "core/base/clock.h"
#include "core/base/crypto.h"
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/http/session.h"
#include "core/net/identity.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PEM = 256 * 1024, CALL_TIMEOUT_MS = 15000, RETRY_FIRST_S = 10, RETRY_MAX_S = 600, RENEWED_S = 60, LOOK_S = 600 };

static char *path_in(const struct enroll_config *config, const char *name)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/%s", config->dir, name);
    return strbuf_take(&path);
}

static int read_in(const struct enroll_config *config, const char *name, struct strbuf *out, struct err *err)
{
    _cleanup_(freep) char *path = path_in(config, name);
    return file_read(path, MAX_PEM, out, err);
}

static int write_in(const struct enroll_config *config, const char *name, struct slice text, mode_t mode, struct err *err)
{
    _cleanup_(freep) char *path = path_in(config, name);
    return file_write_atomic(path, text, mode, err);
}

/* ---------- the call ---------- */

struct answer {
    const struct enroll_config *config;
    struct err err;
    int status;
};

static int take_certificate(const struct enroll_config *config, struct slice body, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *reply = json_parse(arena, body, err);
    struct slice cert = json_slice(json_get(reply, "certificate")), bundle = json_slice(json_get(reply, "bundle"));
    if (cert.base == NULL || bundle.base == NULL)
        return err_set(err, ERR_INVALID, "the control API's answer holds no certificate");
    if (write_in(config, "ca.crt", bundle, 0644, err) != 0)
        return -1;
    return write_in(config, "node.crt", cert, 0644, err);
}

static void on_answer(void *data, const struct ht_response *response, const struct err *err)
{
    struct answer *answer = data;
    answer->status = -1;
    if (response->status / 100 != 2) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(0);
        const char *text = json_str(json_get(json_parse(arena, response->body, NULL), "message"), "no reason given");
        err_set(&answer->err, response->status == 401 || response->status == 403 ? ERR_FORBIDDEN : ERR_UNAVAILABLE, "the control API refused (%u): %s",
                response->status, text);
    } else {
        answer->status = take_certificate(answer->config, response->body, &answer->err);
    }
}

static int post(const struct enroll_config *config, const char *path, struct slice body, const char *ca_file, const struct strbuf *cert,
                const struct strbuf *key, struct err *err)
{
    static const char *const headers[] = {"content-type: application/json", NULL};
    struct answer answer = {.config = config, .status = -1};
    struct ht_session_config server = {.url = config->url, .ca_file = ca_file};
    struct ht_request request = {.method = "POST", .target = path, .headers = headers, .body = body, .timeout_ms = CALL_TIMEOUT_MS};
    if (cert != NULL) {
        server.cert_pem = strbuf_slice(cert);
        server.key_pem = strbuf_slice(key);
    }
    if (ht_call_once(&server, &request, NULL, NULL, on_answer, &answer, &answer.err) != 0)
        answer.status = -1;
    if (answer.status != 0 && err != NULL)
        *err = answer.err;
    return answer.status;
}

static int make_request(const struct strbuf *key, const char *token, const char *node, struct strbuf *body, struct err *err)
{
    _cleanup_(freep) char *csr = NULL;
    if (net_identity_request(strbuf_slice(key), &csr, err) != 0)
        return -1;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *object = json_new_object(arena);
    json_set_str(arena, object, "csr", csr);
    json_set_str(arena, object, "name", node);
    if (token != NULL)
        json_set_str(arena, object, "token", token);
    json_write(body, object);
    return 0;
}

/* ---------- joining ---------- */

static bool is_valid_still(const struct enroll_config *config)
{
    struct strbuf cert = STRBUF_INIT;
    int64_t from, until;
    bool is_valid = read_in(config, "node.crt", &cert, NULL) == 0 && net_identity_validity(strbuf_slice(&cert), &from, &until, NULL) == 0 &&
                    until > clock_wall_us();
    strbuf_clear(&cert);
    return is_valid;
}

/* The key outlives certificates; it is made once. */
static int own_key(const struct enroll_config *config, struct strbuf *key, struct err *err)
{
    struct err missing = ERR_INIT;
    _cleanup_(freep) char *text = NULL;
    if (read_in(config, "node.key", key, &missing) == 0)
        return 0;
    if (missing.code != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    if (net_identity_new_key(&text, err) != 0 || write_in(config, "node.key", slice_of(text), 0600, err) != 0)
        return -1;
    strbuf_adds(key, text);
    return 0;
}

static int read_token(const struct enroll_config *config, struct strbuf *token, struct err *err)
{
    if (config->token == NULL)
        return err_set(err, ERR_INVALID, "this node has not joined %s yet (or its certificate has expired): --token is needed", config->url);
    if (config->token[0] != '@') {
        strbuf_adds(token, config->token);
        return 0;
    }
    if (file_read(config->token + 1, 4096, token, err) != 0)
        return err_wrap(err, "--token");
    while (token->len > 0 && (token->base[token->len - 1] == '\n' || token->base[token->len - 1] == ' '))
        token->base[--token->len] = '\0';
    return 0;
}

static const char *bundle_path(const struct enroll_config *config, char **own)
{
    *own = path_in(config, "ca.crt");
    return access(*own, R_OK) == 0 ? *own : config->ca_file;
}

int enroll(const struct enroll_config *config, struct err *err)
{
    struct strbuf key = STRBUF_INIT, token = STRBUF_INIT, body = STRBUF_INIT;
    _cleanup_(freep) char *own = NULL;
    if (mkdir(config->dir, 0700) != 0 && access(config->dir, W_OK) != 0)
        return err_errno(err, "folder %s", config->dir);
    if (is_valid_still(config))
        return 0;
    const char *ca_file = bundle_path(config, &own);
    int status = ca_file != NULL ? 0 : err_set(err, ERR_INVALID, "--control-ca is needed to join: the control box's ca.crt");
    if (status == 0)
        status = read_token(config, &token, err);
    if (status == 0)
        status = own_key(config, &key, err);
    if (status == 0)
        status = make_request(&key, token.base, config->node, &body, err);
    if (status == 0)
        status = post(config, "/selvedge/v1/join", strbuf_slice(&body), ca_file, NULL, NULL, err);
    if (key.base != NULL)
        crypto_wipe(key.base, key.len);
    strbuf_clear(&key);
    strbuf_clear(&token);
    strbuf_clear(&body);
    return status == 0 ? 0 : err_wrap(err, "join %s as %s", config->url, config->node);
}

/* ---------- renewing ---------- */

struct enroll_renewal {
    struct enroll_config config;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_stopping;
    uint64_t spread; /* random, so that nodes that joined together do not renew together */
};

static int renew(const struct enroll_config *config, struct err *err)
{
    struct strbuf key = STRBUF_INIT, cert = STRBUF_INIT, body = STRBUF_INIT, path = STRBUF_INIT;
    _cleanup_(freep) char *own = NULL;
    strbuf_addf(&path, "/selvedge/v1/nodes/%s/certificate", config->node);
    int status = read_in(config, "node.key", &key, err);
    if (status == 0)
        status = read_in(config, "node.crt", &cert, err);
    if (status == 0)
        status = make_request(&key, NULL, config->node, &body, err);
    if (status == 0)
        status = post(config, path.base, strbuf_slice(&body), bundle_path(config, &own), &cert, &key, err);
    if (key.base != NULL)
        crypto_wipe(key.base, key.len);
    strbuf_clear(&key);
    strbuf_clear(&cert);
    strbuf_clear(&body);
    strbuf_clear(&path);
    return status;
}

/* Seconds until half of the life is over, ± 5 %; 0 when it is. */
static int64_t seconds_to_half_life(const struct enroll_config *config, uint64_t spread)
{
    struct strbuf cert = STRBUF_INIT;
    int64_t from = 0, until = 0, wait = 0;
    if (read_in(config, "node.crt", &cert, NULL) == 0 && net_identity_validity(strbuf_slice(&cert), &from, &until, NULL) == 0) {
        int64_t life = until - from, jitter = life / 10;
        int64_t at = from + life / 2 - jitter / 2 + (int64_t)(spread % (uint64_t)MAX(jitter, (int64_t)1));
        wait = (at - clock_wall_us()) / 1000000;
    }
    strbuf_clear(&cert);
    return MAX(wait, (int64_t)0);
}

/* False: it is over. */
static bool wait_s(struct enroll_renewal *renewal, int64_t seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&renewal->mutex);
    while (!renewal->is_stopping && pthread_cond_timedwait(&renewal->cond, &renewal->mutex, &until) == 0)
        continue;
    bool is_stopping = renewal->is_stopping;
    pthread_mutex_unlock(&renewal->mutex);
    return !is_stopping;
}

/* The wall clock may be set while we wait, by years when it was set wrong at boot: it is looked at again and again. */
static bool wait_for_half_life(struct enroll_renewal *renewal)
{
    for (int64_t left; (left = seconds_to_half_life(&renewal->config, renewal->spread)) > 0;)
        if (!wait_s(renewal, MIN(left, (int64_t)LOOK_S)))
            return false;
    return wait_s(renewal, 0);
}

static void *run(void *data)
{
    struct enroll_renewal *renewal = data;
    int64_t retry_s = RETRY_FIRST_S;
    while (wait_for_half_life(renewal)) {
        struct err err = ERR_INIT;
        if (renew(&renewal->config, &err) == 0) {
            log_event(LOG_INFO, "certificate renewed", "node", renewal->config.node, NULL);
            retry_s = RETRY_FIRST_S;
            /* With a clock far ahead the new one looks half over too: control is not to be asked without a pause. */
            if (!wait_s(renewal, RENEWED_S))
                break;
            continue;
        }
        log_err(LOG_WARN, "the certificate is past half of its life and was not renewed; it is tried again", &err);
        if (!wait_s(renewal, (int64_t)(crypto_random_u64() % (uint64_t)retry_s) + 1))
            break;
        retry_s = MIN(retry_s * 2, (int64_t)RETRY_MAX_S);
    }
    return NULL;
}

struct enroll_renewal *enroll_renewal_start(const struct enroll_config *config)
{
    struct enroll_renewal *renewal = xcalloc(1, sizeof(*renewal));
    renewal->config = *config;
    renewal->spread = crypto_random_u64();
    pthread_condattr_t monotonic;
    pthread_mutex_init(&renewal->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&renewal->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&renewal->thread, NULL, run, renewal) == 0)
        return renewal;
    free(renewal);
    return NULL;
}

struct enroll_renewal *enroll_renewal_stop(struct enroll_renewal *renewal)
{
    if (renewal == NULL)
        return NULL;
    pthread_mutex_lock(&renewal->mutex);
    renewal->is_stopping = true;
    pthread_cond_signal(&renewal->cond);
    pthread_mutex_unlock(&renewal->mutex);
    pthread_join(renewal->thread, NULL);
    pthread_cond_destroy(&renewal->cond);
    pthread_mutex_destroy(&renewal->mutex);
    free(renewal);
    return NULL;
}
