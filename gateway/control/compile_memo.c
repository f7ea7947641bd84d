/* What a compile remembers of each route for the next one: the resource it became, and what it did besides (the listeners
 * that counted it, the clusters it asked for).
 *
 * Ten thousand routes take a hundred milliseconds to read, check and write, and a change usually touches one of them. A route
 * is the same as long as its object is (objects are immutable) and nothing that routes look at was written meanwhile: then
 * gateways, listeners and policies are the same in the same order, so that indexes into them hold. Clusters are made anew each
 * time: endpoints change most. */
#include "gateway/control/compile_internal.h"

struct listener_index {
    uint32_t gateway, listener;
};

struct memo_route {
    struct memo_route *next;
    struct ctl_object *object; /* owned reference */
    struct listener_index *listeners;
    const struct comp_cluster_ref **clusters;
    uint32_t num_listeners, num_clusters;
    uint32_t resource; /* index into `resources`, UINT32_MAX: none */
};

struct ctl_memo {
    uint64_t others_rev;
    struct arena *arena;            /* of the routes and clusters */
    struct memo_route *routes;
    struct hashmap by_object;       /* of struct memo_route, by the object's address */
    struct hashmap clusters;        /* of struct comp_cluster_ref: most are asked for by many */
    struct cfg_document *resources; /* never sealed */
};

bool ctl_compile_is_apart(struct slice kind)
{
    static const char *const apart[] = {"gateway.networking.k8s.io/httproutes", "gateway.networking.k8s.io/grpcroutes",
                                        "discovery.k8s.io/endpointslices", "selvedge.dev/nodes"};
    for (size_t i = 0; i < ARRAY_LEN(apart); ++i)
        if (slice_is(kind, apart[i]))
            return true;
    return false;
}

/* ---------- recording ---------- */

void comp_record_listener(struct comp *comp, struct comp_listener *listener)
{
    struct comp_record *record = comp->record;
    if (record->num_listeners == record->cap_listeners) {
        uint32_t cap = MAX(4u, record->cap_listeners * 2);
        struct comp_listener **grown = arena_alloc(comp->scratch, cap * sizeof(struct comp_listener *));
        if (record->num_listeners != 0)
            memcpy(grown, record->listeners, record->num_listeners * sizeof(struct comp_listener *));
        record->listeners = grown;
        record->cap_listeners = cap;
    }
    record->listeners[record->num_listeners++] = listener;
}

void comp_record_cluster(struct comp *comp, const struct comp_cluster_ref *ref)
{
    struct comp_record *record = comp->record;
    if (record->num_clusters == record->cap_clusters) {
        uint32_t cap = MAX(4u, record->cap_clusters * 2);
        struct comp_cluster_ref *grown = arena_alloc(comp->scratch, cap * sizeof(*grown));
        if (record->num_clusters != 0)
            memcpy(grown, record->clusters, record->num_clusters * sizeof(*grown));
        record->clusters = grown;
        record->cap_clusters = cap;
    }
    record->clusters[record->num_clusters++] = *ref;
}

/* ---------- the memo ---------- */

struct ctl_memo *comp_memo_new(struct comp *comp)
{
    struct ctl_memo *memo = xcalloc(1, sizeof(*memo));
    memo->others_rev = comp->options->others_rev;
    memo->arena = arena_new(0);
    memo->resources = cfg_document_new();
    return memo;
}

struct ctl_memo *ctl_memo_free(struct ctl_memo *memo)
{
    if (memo == NULL)
        return NULL;
    for (struct memo_route *route = memo->routes; route != NULL; route = route->next)
        ctl_object_unref(route->object);
    hashmap_clear(&memo->by_object);
    hashmap_clear(&memo->clusters);
    cfg_document_free(memo->resources);
    arena_free(memo->arena);
    free(memo);
    return NULL;
}

static const struct comp_cluster_ref *keep_cluster(struct ctl_memo *memo, const struct comp_cluster_ref *ref)
{
    struct comp_cluster_ref *kept = hashmap_get(&memo->clusters, ref->name.base, ref->name.len);
    if (kept != NULL)
        return kept;
    kept = arena_dup(memo->arena, ref, sizeof(*ref));
    kept->name = arena_slice(memo->arena, ref->name);
    kept->ns = arena_slice(memo->arena, ref->ns);
    kept->object = arena_slice(memo->arena, ref->object);
    hashmap_put(&memo->clusters, kept->name.base, kept->name.len, kept);
    return kept;
}

static struct memo_route *new_route(struct ctl_memo *memo, struct ctl_object *object, uint32_t num_listeners, uint32_t num_clusters,
                                    const struct cfg_resource *resource)
{
    struct memo_route *route = arena_zalloc(memo->arena, sizeof(*route));
    route->object = ctl_object_ref(object);
    route->listeners = arena_alloc(memo->arena, num_listeners * sizeof(*route->listeners));
    route->clusters = arena_alloc(memo->arena, num_clusters * sizeof(struct comp_cluster_ref *));
    route->num_listeners = num_listeners;
    route->num_clusters = num_clusters;
    route->resource = resource != NULL ? memo->resources->num : UINT32_MAX;
    if (resource != NULL)
        cfg_document_add_shared(memo->resources, resource);
    route->next = memo->routes;
    memo->routes = route;
    hashmap_put(&memo->by_object, (const char *)&route->object, sizeof(route->object), route);
    return route;
}

void comp_memo_add(struct comp *comp, struct ctl_object *object, const struct comp_record *record, const struct cfg_resource *resource)
{
    struct ctl_memo *memo = comp->out->memo;
    struct memo_route *route = new_route(memo, object, record->num_listeners, record->num_clusters, resource);
    for (uint32_t i = 0; i < record->num_listeners; ++i) {
        const struct comp_listener *listener = record->listeners[i];
        route->listeners[i] = (struct listener_index){(uint32_t)(listener->gateway - comp->gateways), (uint32_t)(listener - listener->gateway->listeners)};
    }
    for (uint32_t i = 0; i < record->num_clusters; ++i)
        route->clusters[i] = keep_cluster(memo, &record->clusters[i]);
}

bool comp_memo_replay(struct comp *comp, struct ctl_object *object)
{
    const struct ctl_memo *before = comp->options->memo;
    if (before == NULL || before->others_rev != comp->options->others_rev)
        return false;
    const struct memo_route *known = hashmap_get(&before->by_object, (const char *)&object, sizeof(object));
    if (known == NULL)
        return false;
    const struct cfg_resource *resource = known->resource != UINT32_MAX ? &before->resources->resources[known->resource] : NULL;
    struct memo_route *route = new_route(comp->out->memo, object, known->num_listeners, known->num_clusters, resource);
    for (uint32_t i = 0; i < known->num_listeners; ++i) {
        route->listeners[i] = known->listeners[i];
        ++comp->gateways[known->listeners[i].gateway].listeners[known->listeners[i].listener].num_routes;
    }
    for (uint32_t i = 0; i < known->num_clusters; ++i) {
        route->clusters[i] = keep_cluster(comp->out->memo, known->clusters[i]);
        comp_cluster_again(comp, route->clusters[i]);
    }
    if (resource != NULL)
        cfg_document_add_shared(comp->out->document, resource);
    return true;
}
