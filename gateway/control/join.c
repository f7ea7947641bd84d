/* Joining: join tokens, first certificates, renewals.
 *
 * A token is 192 random bits; the store keeps its SHA-256, found by the first half of that. Its uses are counted down by
 * compare-and-swap before a certificate is given out, so of twenty racing joins with a token for one, one succeeds.
 *
 * Each join is an enrolment: the Node object gets a new uid, whether it was there or not, and the certificate carries it.
 * Renewals keep it; so a node whose answer got lost goes on with the certificate it has, and asks again. */
#include "gateway/control/nodes_internal.h"

#include "core/base/clock.h"
#include "core/base/crypto.h"
#include "core/model/format.h"
#include "gateway/control/control.h"

#include <stdio.h>

enum { TOKEN_BYTES = 24, ID_LEN = 32, MAX_TTL_S = 30 * 24 * 3600, DEFAULT_TTL_S = 3600, SWAP_TRIES = 8 };

#define SPACE "join-token"
#define TOKEN_PREFIX "sj_"

struct operation {
    struct net_job job;
    struct net_message message;
    struct ctl_nodes *nodes;
    struct net_worker *worker; /* the store's thread may tell after `nodes` is gone */
    struct ctl_call *call;
    struct err err;
    struct slice name, csr, token; /* the call's */
    struct slice id;
    char *cert;
    int64_t not_after_us;
    bool is_known;    /* the node exists already */
    bool is_guess;    /* there is no such token */
    struct json *node; /* the Node object to be */
    const char *enrolment;
    struct json *reply;
    unsigned status;
    struct ctl_txn txn;
    struct ctl_write write;
};

static struct operation *operation_new(struct ctl_nodes *nodes, struct ctl_call *call)
{
    struct operation *op = arena_zalloc(call->arena, sizeof(*op));
    op->nodes = nodes;
    op->worker = nodes->config.worker;
    op->call = call;
    op->status = 200;
    return op;
}

static void answer(struct operation *op)
{
    struct ctl_call *call = op->call;
    free(op->cert);
    op->cert = NULL;
    if (op->err.code != ERR_NONE)
        ctl_call_fail(call, &op->err);
    else if (op->reply != NULL)
        ctl_call_reply_json(call, op->status, op->reply);
    else
        ctl_call_reply(call, 204, NULL, SLICE(""));
}

static void on_answer(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    if (job->state == NET_JOB_REFUSED)
        err_set(&op->err, ERR_UNAVAILABLE, "too much work is waiting; try again");
    answer(op);
}

static void submit(struct operation *op, void (*run)(struct net_job *job), void (*done)(struct net_job *job))
{
    op->job.run = run;
    op->job.done = done;
    net_job_submit(op->nodes->config.worker, &op->job);
}

static int read_body(struct ctl_call *call, struct json **ret, struct err *err)
{
    *ret = json_parse(call->arena, call->body.len != 0 ? call->body : SLICE("{}"), err);
    if (*ret == NULL)
        return -1;
    return (*ret)->type == JSON_OBJECT ? 0 : err_set(err, ERR_BAD_REQUEST, "the body must be an object");
}

/* ---------- tokens ---------- */

static void token_digest(struct slice token, char id[ID_LEN + 1], char hash[2 * CRYPTO_SHA256_LEN + 1])
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    crypto_sha256(token, digest);
    hex_encode(digest, sizeof(digest), hash);
    memcpy(id, hash, ID_LEN);
    id[ID_LEN] = '\0';
}

static void run_create(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    struct strbuf text = STRBUF_INIT;
    json_write(&text, json_get(op->reply, "stored"));
    json_remove(op->reply, "stored");
    (void)ctl_store_blob_put(op->nodes->config.store, SPACE, op->id.base, strbuf_slice(&text), &op->err); /* answer() tells */
    strbuf_clear(&text);
}

void ctl_nodes_token_create(struct ctl_nodes *nodes, struct ctl_call *call)
{
    static const struct ctl_member members[] = {
        {"node", JSON_STRING}, {"role", JSON_STRING}, {"uses", JSON_NUMBER}, {"ttlSeconds", JSON_NUMBER}, {NULL, JSON_NULL}};
    struct operation *op = operation_new(nodes, call);
    struct arena *arena = call->arena;
    struct json *body;
    char token[sizeof(TOKEN_PREFIX) + CRYPTO_TOKEN_LEN(TOKEN_BYTES)], id[ID_LEN + 1], hash[2 * CRYPTO_SHA256_LEN + 1];
    if (read_body(call, &body, &op->err) != 0 || ctl_call_check_body(body, members, &op->err) != 0) {
        answer(op);
        return;
    }
    int64_t ttl_s = json_int_or(json_get(body, "ttlSeconds"), DEFAULT_TTL_S), uses = json_int_or(json_get(body, "uses"), 1);
    const char *role = json_str(json_get(body, "role"), "gateway"), *node = json_str(json_get(body, "node"), "");
    if (ttl_s < 1 || ttl_s > MAX_TTL_S)
        err_set(&op->err, ERR_INVALID, "ttlSeconds: must be from 1 to %d", MAX_TTL_S);
    else if (uses < 1 || uses > 10000)
        err_set(&op->err, ERR_INVALID, "uses: must be from 1 to 10000");
    else if (strcmp(role, "gateway") != 0)
        err_set(&op->err, ERR_INVALID, "role: \"%s\" is not served; only \"gateway\" is", role);
    else if (node[0] != '\0' && !format_dns_subdomain.matches(slice_of(node)))
        err_set(&op->err, ERR_INVALID, "node: %s", format_dns_subdomain.message);
    if (op->err.code != ERR_NONE) {
        answer(op);
        return;
    }
    memcpy(token, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
    crypto_token(token + sizeof(TOKEN_PREFIX) - 1, TOKEN_BYTES);
    token_digest(slice_of(token), id, hash);
    op->id = slice_of(arena_strdup(arena, id));
    op->status = 201;
    op->reply = json_new_object(arena);
    json_set_str(arena, op->reply, "id", id);
    json_set_str(arena, op->reply, "token", token);
    struct json *stored = json_set(arena, op->reply, "stored", json_new_object(arena));
    json_set_str(arena, stored, "hash", hash);
    json_set_str(arena, stored, "role", role);
    json_set_str(arena, stored, "node", node);
    json_set_int(arena, stored, "uses", uses);
    json_set_int(arena, stored, "expiresUs", clock_wall_us() + ttl_s * 1000000);
    json_set(arena, stored, "by", json_new_string(arena, call->who != NULL ? call->who->name : SLICE("")));
    submit(op, run_create, on_answer);
}

static int list_token(struct slice id, struct slice value, void *data)
{
    struct operation *op = data;
    struct arena *arena = op->call->arena;
    struct json *stored = json_parse(arena, value, NULL);
    char expires[CLOCK_RFC3339_LEN + 1];
    if (stored == NULL)
        return 0;
    clock_rfc3339(json_int_or(json_get(stored, "expiresUs"), 0), expires);
    struct json *item = json_push(json_get(op->reply, "items"), json_new_object(arena));
    json_set(arena, item, "id", json_new_string(arena, id));
    json_set_str(arena, item, "role", json_str(json_get(stored, "role"), ""));
    json_set_str(arena, item, "node", json_str(json_get(stored, "node"), ""));
    json_set_int(arena, item, "uses", json_int_or(json_get(stored, "uses"), 0));
    json_set_str(arena, item, "expires", expires);
    json_set_str(arena, item, "by", json_str(json_get(stored, "by"), ""));
    return 0;
}

static void run_list(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    (void)ctl_store_blob_list(op->nodes->config.store, SPACE, list_token, op, &op->err); /* answer() tells */
}

void ctl_nodes_token_list(struct ctl_nodes *nodes, struct ctl_call *call)
{
    struct operation *op = operation_new(nodes, call);
    op->reply = json_new_object(call->arena);
    json_set(call->arena, op->reply, "items", json_new_array(call->arena));
    submit(op, run_list, on_answer);
}

static void run_revoke(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    (void)ctl_store_blob_delete(op->nodes->config.store, SPACE, op->id.base, &op->err); /* answer() tells */
}

void ctl_nodes_token_revoke(struct ctl_nodes *nodes, struct ctl_call *call, struct slice id)
{
    struct operation *op = operation_new(nodes, call);
    op->id = arena_slice(call->arena, id);
    submit(op, run_revoke, on_answer);
}

/* ---------- joining ---------- */

static int check_token(struct operation *op, const struct json *stored, const char *hash, struct err *err)
{
    const char *node = json_str(json_get(stored, "node"), "");
    op->is_guess = stored == NULL || !crypto_equal(json_slice(json_get(stored, "hash")), slice_of(hash));
    if (op->is_guess)
        return err_set(err, ERR_UNAUTHORIZED, "the join token is not valid");
    if (json_int_or(json_get(stored, "expiresUs"), 0) < clock_wall_us())
        return err_set(err, ERR_UNAUTHORIZED, "the join token has expired");
    if (json_int_or(json_get(stored, "uses"), 0) < 1)
        return err_set(err, ERR_UNAUTHORIZED, "the join token has been used up");
    if (node[0] != '\0' && !slice_is(op->name, node))
        return err_set(err, ERR_FORBIDDEN, "the join token is for node %s", node);
    if (op->is_known && node[0] == '\0')
        return err_set(err, ERR_EXISTS, "node %.*s exists; delete it first, or join with a token made for it", (int)op->name.len, op->name.base);
    return 0;
}

/* One try: 0 spent, -1 refused (err), 1 somebody was faster. */
static int spend_token(struct operation *op, struct arena *arena, const char *id, const char *hash)
{
    struct strbuf old = STRBUF_INIT, text = STRBUF_INIT;
    struct err err = ERR_INIT;
    struct ctl_store *store = op->nodes->config.store;
    int status = ctl_store_blob_get(store, SPACE, id, &old, &err);
    if (status != 0 && err.code != ERR_NOT_FOUND) {
        op->err = err;
        return -1;
    }
    struct json *stored = status == 0 ? json_parse(arena, strbuf_slice(&old), NULL) : NULL;
    status = check_token(op, stored, hash, &op->err);
    if (status == 0) {
        json_set_int(arena, stored, "uses", json_int_or(json_get(stored, "uses"), 0) - 1);
        json_write(&text, stored);
        status = ctl_store_blob_swap(store, SPACE, id, strbuf_slice(&old), strbuf_slice(&text), &err);
        if (status != 0 && err.code == ERR_CONFLICT)
            status = 1;
        else if (status != 0)
            op->err = err;
    }
    strbuf_clear(&old);
    strbuf_clear(&text);
    return status;
}

static int sign(struct operation *op)
{
    char id[CTL_NODE_ID_MAX];
    const struct ctl_ca *ca = op->nodes->config.ca;
    snprintf(id, sizeof(id), "spiffe://%s/node/%.*s", ctl_ca_trust_domain(ca), (int)op->name.len, op->name.base);
    return ctl_ca_sign_node(ca, op->csr, id, op->enrolment, CTL_CA_NODE_TTL_S, &op->cert, &op->not_after_us, &op->err);
}

static void run_join(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    char id[ID_LEN + 1], hash[2 * CRYPTO_SHA256_LEN + 1];
    int status = 1;
    if (sign(op) != 0) /* before the token is spent: a bad request must not cost it */
        return;
    token_digest(op->token, id, hash);
    for (int i = 0; i < SWAP_TRIES && status == 1; ++i) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(0);
        status = spend_token(op, arena, id, hash);
    }
    if (status == 1)
        err_set(&op->err, ERR_CONFLICT, "too many joins with this token at once; try again");
}

static void fill_certificate(struct operation *op)
{
    struct arena *arena = op->call->arena;
    char not_after[CLOCK_RFC3339_LEN + 1];
    clock_rfc3339(op->not_after_us, not_after);
    op->reply = json_new_object(arena);
    json_set(arena, op->reply, "node", json_new_string(arena, op->name));
    json_set_str(arena, op->reply, "trustDomain", ctl_ca_trust_domain(op->nodes->config.ca));
    json_set_str(arena, op->reply, "certificate", op->cert);
    json_set(arena, op->reply, "bundle", json_new_string(arena, ctl_ca_bundle(op->nodes->config.ca)));
    json_set_str(arena, op->reply, "notAfter", not_after);
}

struct json *ctl_nodes_new_object(struct arena *arena, struct slice name, struct slice role)
{
    struct json *tree = json_new_object(arena);
    json_set_str(arena, tree, "apiVersion", "selvedge.dev/v1alpha1");
    json_set_str(arena, tree, "kind", "Node");
    struct json *meta = json_set(arena, tree, "metadata", json_new_object(arena));
    json_set(arena, meta, "name", json_new_string(arena, name));
    ctl_object_stamp(arena, tree, clock_wall_us());
    struct json *spec = json_set(arena, tree, "spec", json_new_object(arena));
    json_set(arena, spec, "role", json_new_string(arena, role));
    return tree;
}

static void on_node_stored(struct net_message *message, struct net_worker *worker)
{
    struct operation *op = CONTAINER_OF(message, struct operation, message);
    op->err = op->txn.err; /* two joins under one name at once: the second's enrolment never was */
    answer(op);
}

static void on_txn_done(struct ctl_txn *txn)
{
    struct operation *op = CONTAINER_OF(txn, struct operation, txn);
    op->message.run = on_node_stored;
    net_worker_send(op->worker, &op->message);
}

static void on_joined(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    struct strbuf text = STRBUF_INIT;
    if (op->is_guess)
        ctl_access_count_failure(op->call->control->access, op->call);
    if (op->err.code != ERR_NONE || job->state == NET_JOB_REFUSED) {
        on_answer(job);
        return;
    }
    fill_certificate(op);
    json_write(&text, op->node);
    op->write.op = CTL_PUT;
    op->write.key = (struct ctl_key){CTL_NODE_KIND, SLICE(""), op->name};
    op->write.object = arena_slice(op->call->arena, strbuf_slice(&text));
    op->write.expect_absent = !op->is_known;
    op->write.expect_present = op->is_known; /* at any revision: a status that is written meanwhile must not cost the token */
    strbuf_clear(&text);
    op->txn.writes = &op->write;
    op->txn.num_writes = 1;
    op->txn.actor = SLICE("system:join");
    op->txn.origin = op->call->origin;
    op->txn.done = on_txn_done;
    ctl_store_submit(op->nodes->config.store, &op->txn);
}

static const char *uid_of(const struct json *object)
{
    return json_str(json_find(object, "metadata", "uid", NULL), "");
}

/* What an administrator wrote about the node stays; who it is does not. */
static void prepare_node(struct operation *op)
{
    struct arena *arena = op->call->arena;
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), op->name};
    const struct ctl_object *object = ctl_cache_get(op->nodes->config.cache, &key);
    op->node = object != NULL ? ctl_object_tree(arena, object) : NULL;
    op->is_known = op->node != NULL;
    if (op->is_known) {
        json_remove(json_get(op->node, "metadata"), "resourceVersion");
        ctl_object_stamp(arena, op->node, clock_wall_us());
    } else {
        op->node = ctl_nodes_new_object(arena, op->name, SLICE("gateway"));
    }
    op->enrolment = uid_of(op->node);
}

void ctl_nodes_join(struct ctl_nodes *nodes, struct ctl_call *call)
{
    struct operation *op = operation_new(nodes, call);
    struct json *body;
    if (read_body(call, &body, &op->err) != 0) {
        answer(op);
        return;
    }
    op->name = json_slice(json_get(body, "name"));
    op->csr = json_slice(json_get(body, "csr"));
    op->token = json_slice(json_get(body, "token"));
    if (op->name.base == NULL || !format_dns_subdomain.matches(op->name))
        err_set(&op->err, ERR_INVALID, "name: %s", format_dns_subdomain.message);
    else if (slice_is(op->name, "local"))
        err_set(&op->err, ERR_INVALID, "name: \"local\" is the gateway beside the control API");
    else if (op->csr.base == NULL)
        err_set(&op->err, ERR_INVALID, "csr: Required value");
    else if (op->token.base == NULL)
        err_set(&op->err, ERR_UNAUTHORIZED, "token: Required value");
    if (op->err.code != ERR_NONE) {
        answer(op);
        return;
    }
    prepare_node(op);
    submit(op, run_join, on_joined);
}

/* ---------- renewing ---------- */

static void run_renew(struct net_job *job)
{
    (void)sign(CONTAINER_OF(job, struct operation, job)); /* answer() tells */
}

static void on_renewed(struct net_job *job)
{
    struct operation *op = CONTAINER_OF(job, struct operation, job);
    if (op->err.code == ERR_NONE && job->state != NET_JOB_REFUSED)
        fill_certificate(op);
    on_answer(job);
}

void ctl_nodes_renew(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name)
{
    struct operation *op = operation_new(nodes, call);
    struct json *body;
    if (call->peer != CTL_PEER_TLS) /* node.sock proves nothing that could be carried to another box */
        err_set(&op->err, ERR_FORBIDDEN, "only a node that joined has a certificate to renew");
    else if (ctl_nodes_check(nodes, call, name, &op->err) == 0 && read_body(call, &body, &op->err) == 0) {
        op->name = arena_slice(call->arena, name);
        op->enrolment = arena_strndup(call->arena, call->enrolment.base, call->enrolment.len);
        op->csr = json_slice(json_get(body, "csr"));
        if (op->csr.base == NULL)
            err_set(&op->err, ERR_INVALID, "csr: Required value");
    }
    if (op->err.code != ERR_NONE)
        answer(op);
    else
        submit(op, run_renew, on_renewed);
}
