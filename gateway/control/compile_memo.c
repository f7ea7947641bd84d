/* What a compile remembers of each route for the next one: the resource it became, and what it did besides (the listeners
 * that counted it, the clusters it asked for).
 *
 * Ten thousand routes take a hundred milliseconds to read, check and write, and a change usually touches one of them. A route
 * is the same as long as its object is (objects are immutable) and nothing that routes look at was written meanwhile: then
 * gateways, listeners and policies are the same in the same order, so that indexes into them hold. Clusters are made anew each
 * time: endpoints change most.
 *
 * With routes of both kinds a route also depends on the host names that older ones of the other kind have. What it asked for is
 * asked for again, in the same order; if it gets another answer, it is compiled. */
#include "gateway/control/compile_internal.h"

struct listener_index {
    uint32_t gateway, listener;
};

struct memo_claim {
    struct listener_index listener;
    const struct slice *hostnames;
    uint32_t num_hostnames;
    bool is_granted;
};

struct memo_route {
    struct memo_route *next;
    struct ctl_object *object; /* owned reference */
    int64_t created_us;
    struct listener_index *listeners;
    const struct comp_cluster_ref **clusters;
    struct memo_claim *claims;
    uint32_t num_listeners, num_clusters, num_claims;
    uint32_t resource; /* index into `resources`, UINT32_MAX: none */
};

struct ctl_memo {
    uint64_t others_rev;
    bool has_two_route_kinds;       /* only then claims are known */
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

/* Room for one more at the end of a list in the scratch. */
static void *one_more(struct comp *comp, void *list, uint32_t num, uint32_t *cap, size_t size)
{
    if (num != *cap)
        return list;
    *cap = MAX(4u, num * 2);
    void *grown = arena_alloc(comp->scratch, *cap * size);
    if (num != 0)
        memcpy(grown, list, num * size);
    return grown;
}

void comp_record_listener(struct comp *comp, struct comp_listener *listener)
{
    struct comp_record *record = comp->record;
    record->listeners = one_more(comp, record->listeners, record->num_listeners, &record->cap_listeners, sizeof(listener));
    record->listeners[record->num_listeners++] = listener;
}

void comp_record_cluster(struct comp *comp, const struct comp_cluster_ref *ref)
{
    struct comp_record *record = comp->record;
    record->clusters = one_more(comp, record->clusters, record->num_clusters, &record->cap_clusters, sizeof(*ref));
    record->clusters[record->num_clusters++] = *ref;
}

void comp_record_claim(struct comp *comp, const struct comp_claimed *claim)
{
    struct comp_record *record = comp->record;
    record->claims = one_more(comp, record->claims, record->num_claims, &record->cap_claims, sizeof(*claim));
    record->claims[record->num_claims++] = *claim;
}

/* ---------- the memo ---------- */

struct ctl_memo *comp_memo_new(struct comp *comp)
{
    struct ctl_memo *memo = xcalloc(1, sizeof(*memo));
    memo->others_rev = comp->options->others_rev;
    memo->has_two_route_kinds = comp->has_two_route_kinds;
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

static struct memo_route *new_route(struct ctl_memo *memo, struct ctl_object *object, const struct cfg_resource *resource)
{
    struct memo_route *route = arena_zalloc(memo->arena, sizeof(*route));
    route->object = ctl_object_ref(object);
    route->resource = resource != NULL ? memo->resources->num : UINT32_MAX;
    if (resource != NULL)
        cfg_document_add_shared(memo->resources, resource);
    route->next = memo->routes;
    memo->routes = route;
    hashmap_put(&memo->by_object, (const char *)&route->object, sizeof(route->object), route);
    return route;
}

static struct listener_index index_of(const struct comp *comp, const struct comp_listener *listener)
{
    return (struct listener_index){(uint32_t)(listener->gateway - comp->gateways), (uint32_t)(listener - listener->gateway->listeners)};
}

static struct comp_listener *listener_at(const struct comp *comp, struct listener_index index)
{
    return &comp->gateways[index.gateway].listeners[index.listener];
}

static struct memo_claim keep_claim(struct ctl_memo *memo, struct listener_index listener, const struct slice *hostnames, uint32_t num, bool is_granted)
{
    struct slice *copies = arena_alloc(memo->arena, num * sizeof(*copies));
    for (uint32_t i = 0; i < num; ++i)
        copies[i] = arena_slice(memo->arena, hostnames[i]);
    return (struct memo_claim){listener, copies, num, is_granted};
}

static void make_room(struct ctl_memo *memo, struct memo_route *route, uint32_t num_listeners, uint32_t num_clusters, uint32_t num_claims)
{
    route->listeners = arena_alloc(memo->arena, num_listeners * sizeof(*route->listeners));
    route->clusters = arena_alloc(memo->arena, num_clusters * sizeof(struct comp_cluster_ref *));
    route->claims = arena_alloc(memo->arena, num_claims * sizeof(*route->claims));
    route->num_listeners = num_listeners;
    route->num_clusters = num_clusters;
    route->num_claims = num_claims;
}

void comp_memo_add(struct comp *comp, const struct comp_route *compiled, const struct cfg_resource *resource)
{
    struct ctl_memo *memo = comp->out->memo;
    const struct comp_record *record = comp->record;
    struct memo_route *route = new_route(memo, compiled->object, resource);
    route->created_us = compiled->spec->head.meta.created_us;
    make_room(memo, route, record->num_listeners, record->num_clusters, record->num_claims);
    for (uint32_t i = 0; i < record->num_listeners; ++i)
        route->listeners[i] = index_of(comp, record->listeners[i]);
    for (uint32_t i = 0; i < record->num_clusters; ++i)
        route->clusters[i] = keep_cluster(memo, &record->clusters[i]);
    for (uint32_t i = 0; i < record->num_claims; ++i) {
        const struct comp_claimed *claim = &record->claims[i];
        route->claims[i] = keep_claim(memo, index_of(comp, claim->listener), claim->hostnames, claim->num_hostnames, claim->is_granted);
    }
}

/* ---------- the compile before ---------- */

static const struct memo_route *known_route(const struct comp *comp, const struct ctl_object *object)
{
    const struct ctl_memo *before = comp->options->memo;
    if (before == NULL || before->others_rev != comp->options->others_rev || before->has_two_route_kinds != comp->has_two_route_kinds)
        return NULL;
    return hashmap_get(&before->by_object, (const char *)&object, sizeof(object));
}

bool comp_memo_knows(const struct comp *comp, const struct ctl_object *object, int64_t *ret_created_us)
{
    const struct memo_route *known = known_route(comp, object);
    if (known != NULL)
        *ret_created_us = known->created_us;
    return known != NULL;
}

/* Nothing is claimed before all answers are seen to be the same. */
static bool gets_same_names(const struct comp *comp, enum kind_id kind, const struct memo_route *known)
{
    for (uint32_t i = 0; i < known->num_claims; ++i) {
        const struct memo_claim *claim = &known->claims[i];
        if (comp_may_claim(listener_at(comp, claim->listener), kind, claim->hostnames, claim->num_hostnames) != claim->is_granted)
            return false;
    }
    return true;
}

static void claim_again(struct comp *comp, enum kind_id kind, const struct memo_claim *claim)
{
    if (claim->is_granted)
        comp_claim(listener_at(comp, claim->listener), kind, claim->hostnames, claim->num_hostnames);
}

bool comp_memo_replay(struct comp *comp, enum kind_id kind, struct ctl_object *object)
{
    struct ctl_memo *memo = comp->out->memo;
    const struct memo_route *known = known_route(comp, object);
    if (known == NULL || !gets_same_names(comp, kind, known))
        return false;
    const struct cfg_resource *resource = known->resource != UINT32_MAX ? &comp->options->memo->resources->resources[known->resource] : NULL;
    struct memo_route *route = new_route(memo, object, resource);
    route->created_us = known->created_us;
    make_room(memo, route, known->num_listeners, known->num_clusters, known->num_claims);
    for (uint32_t i = 0; i < known->num_listeners; ++i) {
        route->listeners[i] = known->listeners[i];
        ++listener_at(comp, known->listeners[i])->num_routes;
    }
    for (uint32_t i = 0; i < known->num_clusters; ++i) {
        route->clusters[i] = keep_cluster(memo, known->clusters[i]);
        comp_cluster_again(comp, route->clusters[i]);
    }
    for (uint32_t i = 0; i < known->num_claims; ++i) {
        const struct memo_claim *claim = &known->claims[i];
        route->claims[i] = keep_claim(memo, claim->listener, claim->hostnames, claim->num_hostnames, claim->is_granted);
        claim_again(comp, kind, &route->claims[i]);
    }
    if (resource != NULL)
        cfg_document_add_shared(comp->out->document, resource);
    return true;
}
