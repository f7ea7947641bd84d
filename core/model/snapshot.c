/* A compiled document as structs: each resource is read by its table, then names become pointers.
 *
 * Order: certificates and clusters first (others point at them), then endpoints, listeners, routes.
 * Everything is copied into the snapshot's arena, so that neither the document nor the trees it was read from
 * have to live on. */
#include "core/model/snapshot.h"

#include "core/model/snapshot_tables.h"

enum { ARENA_CHUNK = 64 * 1024 };

struct build {
    struct cfg_snapshot *snapshot;
    struct hashmap certificates, listeners; /* by name */
    const struct cfg_resource *resource; /* the one being read: for errors */
    struct err *err;
};

static int fail(struct build *b, const char *what, struct slice name)
{
    return err_set(b->err, ERR_INVALID, "%.*s '%.*s': %s '%.*s'", (int)b->resource->kind.len,
                   b->resource->kind.base, (int)b->resource->name.len, b->resource->name.base, what,
                   (int)name.len, name.base);
}

static struct slice copy_slice(struct arena *arena, struct slice text)
{
    return slice_make(arena_strndup(arena, text.base, text.len), text.len);
}

/* Reads the present resource into a struct in the snapshot's arena. */
static void *read_spec(struct build *b, const struct field_schema *schema)
{
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT, .copy_strings = true};
    const struct cfg_resource *r = b->resource;
    _cleanup_(arena_freep) struct arena *scratch = arena_new(0);
    struct field_report report;
    struct json *spec = r->spec != NULL ? r->spec : json_parse(scratch, r->text, b->err);
    field_report_init(&report, scratch);
    void *out = spec != NULL ? field_decode(schema, spec, "", &options, b->snapshot->arena, &report) : NULL;
    if (out != NULL && field_report_err(&report, b->err) == 0)
        return out;
    (void)err_wrap(b->err, "%.*s '%.*s'", (int)r->kind.len, r->kind.base, (int)r->name.len, r->name.base);
    return NULL;
}

/* ---- certificates, clusters, endpoints ---- */

static int add_certificate(struct build *b)
{
    struct cfg_certificate *read = read_spec(b, &snapshot_certificate_schema);
    if (read == NULL)
        return -1;
    struct cfg_certificate *certificate = &b->snapshot->certificates[b->snapshot->num_certificates++];
    *certificate = *read;
    certificate->name = copy_slice(b->snapshot->arena, b->resource->name);
    (void)hashmap_put(&b->certificates, certificate->name.base, certificate->name.len, certificate);
    return 0;
}

static int add_cluster(struct build *b)
{
    struct cfg_cluster *read = read_spec(b, &snapshot_cluster_schema);
    if (read == NULL)
        return -1;
    struct cfg_cluster *cluster = &b->snapshot->clusters[b->snapshot->num_clusters++];
    *cluster = *read;
    cluster->name = copy_slice(b->snapshot->arena, b->resource->name);
    (void)hashmap_put(&b->snapshot->clusters_by_name, cluster->name.base, cluster->name.len, cluster);
    return 0;
}

/* "host:port", "[v6]:port", "unix:/path". There are many: no printf. */
static struct slice endpoint_key(struct arena *arena, const struct cfg_endpoint *endpoint)
{
    if (endpoint->port == 0)
        return endpoint->host;
    struct strbuf key = STRBUF_INIT;
    bool is_v6 = memchr(endpoint->host.base, ':', endpoint->host.len) != NULL;
    if (is_v6)
        strbuf_addc(&key, '[');
    strbuf_add_slice(&key, endpoint->host);
    strbuf_adds(&key, is_v6 ? "]:" : ":");
    strbuf_addu(&key, endpoint->port);
    struct slice copy = copy_slice(arena, strbuf_slice(&key));
    strbuf_clear(&key);
    return copy;
}

static int add_endpoints(struct build *b)
{
    struct cfg_cluster *cluster = cfg_snapshot_cluster(b->snapshot, b->resource->name);
    if (cluster == NULL)
        return fail(b, "no cluster", b->resource->name);
    struct wire_endpoints *read = read_spec(b, &snapshot_endpoints_schema);
    if (read == NULL)
        return -1;
    cluster->endpoints = read->endpoints;
    cluster->num_endpoints = read->num_endpoints;
    for (uint32_t i = 0; i < cluster->num_endpoints; ++i)
        cluster->endpoints[i].key = endpoint_key(b->snapshot->arena, &cluster->endpoints[i]);
    return 0;
}

/* ---- listeners ---- */

/* 0 exact, 1 wildcard, 2 any. */
static int hostname_rank(struct slice hostname)
{
    return hostname.len == 0 ? 2 : hostname.base[0] == '*';
}

static int compare_servers(const void *left, const void *right)
{
    const struct cfg_server *a = left, *b = right;
    int order = hostname_rank(a->hostname) - hostname_rank(b->hostname);
    if (order == 0 && a->hostname.len != b->hostname.len)
        return a->hostname.len > b->hostname.len ? -1 : 1;
    return order != 0 ? order : memcmp(a->hostname.base, b->hostname.base, a->hostname.len);
}

static int link_certificates(struct build *b, struct cfg_server *server, const struct wire_server *wire)
{
    server->num_certificates = wire->num_certificates;
    server->certificates =
        arena_alloc(b->snapshot->arena, wire->num_certificates * sizeof(*server->certificates));
    for (uint32_t i = 0; i < wire->num_certificates; ++i) {
        struct slice name = wire->certificates[i];
        server->certificates[i] = hashmap_get(&b->certificates, name.base, name.len);
        if (server->certificates[i] == NULL)
            return fail(b, "no certificate", name);
    }
    return 0;
}

static int check_server_names(struct build *b, const struct cfg_listener *listener)
{
    struct hashmap seen = HASHMAP_INIT;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < listener->num_servers; ++i) {
        struct slice name = listener->servers[i].name;
        if (hashmap_put(&seen, name.base, name.len, &listener->servers[i]) != NULL)
            result = fail(b, "two servers", name);
    }
    hashmap_clear(&seen);
    return result;
}

static int add_listener(struct build *b)
{
    struct wire_listener *read = read_spec(b, &snapshot_listener_schema);
    if (read == NULL)
        return -1;
    struct cfg_listener *listener = &b->snapshot->listeners[b->snapshot->num_listeners++];
    *listener = read->listener;
    listener->name = copy_slice(b->snapshot->arena, b->resource->name);
    listener->num_servers = read->num_servers;
    listener->servers = arena_zalloc(b->snapshot->arena, read->num_servers * sizeof(*listener->servers));
    for (uint32_t i = 0; i < read->num_servers; ++i) {
        listener->servers[i] = read->servers[i].server;
        if (link_certificates(b, &listener->servers[i], &read->servers[i]) != 0)
            return -1;
    }
    if (listener->num_servers != 0)
        qsort(listener->servers, listener->num_servers, sizeof(*listener->servers), compare_servers);
    (void)hashmap_put(&b->listeners, listener->name.base, listener->name.len, listener);
    return check_server_names(b, listener);
}

/* ---- routes ---- */

static int check_attachment(struct build *b, const struct cfg_attachment *attachment)
{
    const struct cfg_listener *listener =
        hashmap_get(&b->listeners, attachment->listener.base, attachment->listener.len);
    if (listener == NULL)
        return fail(b, "no listener", attachment->listener);
    for (uint32_t i = 0; i < listener->num_servers; ++i)
        if (slice_eq(listener->servers[i].name, attachment->server))
            return 0;
    return fail(b, "no server", attachment->server);
}

static void link_rule(struct build *b, struct cfg_route *route, uint32_t index)
{
    struct cfg_rule *rule = &route->rules[index];
    rule->route = route;
    rule->index = index;
    for (uint32_t i = 0; i < rule->num_backends; ++i) {
        struct cfg_backend *backend = &rule->backends[i];
        backend->cluster = cfg_snapshot_cluster(b->snapshot, backend->cluster_name);
        rule->total_weight += backend->weight;
        backend->weight_upto = rule->total_weight;
    }
}

static int add_route(struct build *b)
{
    struct cfg_route *read = read_spec(b, &snapshot_route_schema);
    if (read == NULL)
        return -1;
    struct cfg_route *route = &b->snapshot->routes[b->snapshot->num_routes++];
    *route = *read;
    route->name = copy_slice(b->snapshot->arena, b->resource->name);
    for (uint32_t i = 0; i < route->num_attachments; ++i)
        if (check_attachment(b, &route->attachments[i]) != 0)
            return -1;
    for (uint32_t i = 0; i < route->num_rules; ++i)
        link_rule(b, route, i);
    return 0;
}

static int set_settings(struct build *b)
{
    struct cfg_settings *read = read_spec(b, &snapshot_settings_schema);
    if (read == NULL)
        return -1;
    b->snapshot->settings = *read;
    return 0;
}

/* ---- the whole ---- */

static const struct {
    const char *kind;
    int (*add)(struct build *b);
} kinds[] = {
    /* in the order in which they may refer to each other */
    {"settings", set_settings},   {"certificate", add_certificate}, {"cluster", add_cluster},
    {"endpoints", add_endpoints}, {"listener", add_listener},       {"route", add_route},
};

/* Resources are sorted by kind: where those of `kind` begin, and how many there are. */
static uint32_t find_range(const struct cfg_document *doc, const char *kind, uint32_t *ret_first)
{
    uint32_t num = 0;
    *ret_first = 0;
    for (uint32_t i = 0; i < doc->num; ++i)
        if (slice_is(doc->resources[i].kind, kind) && num++ == 0)
            *ret_first = i;
    return num;
}

static int check_kinds(const struct cfg_document *doc, struct err *err)
{
    for (uint32_t i = 0; i < doc->num; ++i) {
        size_t at = 0;
        while (at < ARRAY_LEN(kinds) && !slice_is(doc->resources[i].kind, kinds[at].kind))
            ++at;
        if (at == ARRAY_LEN(kinds))
            return err_set(err, ERR_INVALID, "'%.*s': unknown kind '%.*s'", (int)doc->resources[i].name.len,
                           doc->resources[i].name.base, (int)doc->resources[i].kind.len,
                           doc->resources[i].kind.base);
    }
    return 0;
}

/* Arrays have their final size from the start: pointers into them are made while they fill. */
static void make_arrays(struct cfg_snapshot *snapshot, const struct cfg_document *doc)
{
    uint32_t first;
    snapshot->certificates = arena_zalloc(snapshot->arena, find_range(doc, "certificate", &first) *
                                                               sizeof(*snapshot->certificates));
    snapshot->clusters =
        arena_zalloc(snapshot->arena, find_range(doc, "cluster", &first) * sizeof(*snapshot->clusters));
    snapshot->listeners =
        arena_zalloc(snapshot->arena, find_range(doc, "listener", &first) * sizeof(*snapshot->listeners));
    snapshot->routes =
        arena_zalloc(snapshot->arena, find_range(doc, "route", &first) * sizeof(*snapshot->routes));
}

static int add_kind(struct build *b, const struct cfg_document *doc, size_t kind)
{
    uint32_t first, num = find_range(doc, kinds[kind].kind, &first);
    for (uint32_t i = 0; i < num; ++i) {
        b->resource = &doc->resources[first + i];
        if (kinds[kind].add(b) != 0)
            return -1;
    }
    return 0;
}

static struct cfg_snapshot *new_snapshot(const struct cfg_document *doc)
{
    struct cfg_snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
    snapshot->refs = 1;
    snapshot->arena = arena_new(ARENA_CHUNK);
    snapshot->epoch = doc->epoch;
    snapshot->rev = doc->rev;
    snapshot->clusters_by_name = HASHMAP_INIT;
    field_fill_defaults(&snapshot_settings_schema, &snapshot->settings, snapshot->arena);
    make_arrays(snapshot, doc);
    return snapshot;
}

struct cfg_snapshot *cfg_snapshot_decode(const struct cfg_document *doc, struct err *err)
{
    if (check_kinds(doc, err) != 0)
        return NULL;
    struct build b = {
        .snapshot = new_snapshot(doc), .certificates = HASHMAP_INIT, .listeners = HASHMAP_INIT, .err = err};
    int result = 0;
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(kinds); ++i)
        result = add_kind(&b, doc, i);
    hashmap_clear(&b.certificates);
    hashmap_clear(&b.listeners);
    if (result == 0)
        return b.snapshot;
    cfg_snapshot_unref(b.snapshot);
    return NULL;
}

struct cfg_snapshot *cfg_snapshot_ref(struct cfg_snapshot *snapshot)
{
    (void)__atomic_fetch_add(&snapshot->refs, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void cfg_snapshot_unref(struct cfg_snapshot *snapshot)
{
    /* Release: what this holder read is done with; acquire: the last one sees that of all others. */
    if (snapshot == NULL || __atomic_sub_fetch(&snapshot->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (snapshot->dispose != NULL)
        snapshot->dispose(snapshot);
    hashmap_clear(&snapshot->clusters_by_name);
    arena_free(snapshot->arena);
    free(snapshot);
}

struct cfg_cluster *cfg_snapshot_cluster(const struct cfg_snapshot *snapshot, struct slice name)
{
    return hashmap_get(&snapshot->clusters_by_name, name.base, name.len);
}

/* ---- specs from structs ---- */

/* Its defaults are scalars and texts of the tables: nothing stays in the arena. */
void cfg_cluster_defaults(struct cfg_cluster *cluster)
{
    *cluster = (struct cfg_cluster){.name = {NULL, 0}};
    field_fill_defaults(&snapshot_cluster_schema, cluster, NULL);
}

struct json *cfg_settings_encode(const struct cfg_settings *settings, struct arena *arena)
{
    return field_encode(&snapshot_settings_schema, settings, arena);
}

struct json *cfg_certificate_encode(const struct cfg_certificate *certificate, struct arena *arena)
{
    return field_encode(&snapshot_certificate_schema, certificate, arena);
}

struct json *cfg_route_encode(const struct cfg_route *route, struct arena *arena)
{
    return field_encode(&snapshot_route_schema, route, arena);
}

struct json *cfg_cluster_encode(const struct cfg_cluster *cluster, struct arena *arena)
{
    return field_encode(&snapshot_cluster_schema, cluster, arena);
}

struct json *cfg_endpoints_encode(const struct cfg_endpoint *endpoints, uint32_t num, struct arena *arena)
{
    struct wire_endpoints wire = {.endpoints = (struct cfg_endpoint *)endpoints, .num_endpoints = num};
    return field_encode(&snapshot_endpoints_schema, &wire, arena);
}

struct json *cfg_listener_encode(const struct cfg_listener *listener, struct arena *arena)
{
    struct wire_listener wire = {.listener = *listener, .num_servers = listener->num_servers};
    wire.servers = arena_zalloc(arena, listener->num_servers * sizeof(*wire.servers));
    for (uint32_t i = 0; i < listener->num_servers; ++i) {
        const struct cfg_server *server = &listener->servers[i];
        struct wire_server *out = &wire.servers[i];
        *out = (struct wire_server){.server = *server, .num_certificates = server->num_certificates};
        out->certificates = arena_alloc(arena, server->num_certificates * sizeof(*out->certificates));
        for (uint32_t j = 0; j < server->num_certificates; ++j)
            out->certificates[j] = server->certificates[j]->name;
    }
    return field_encode(&snapshot_listener_schema, &wire, arena);
}
