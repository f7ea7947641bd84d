/* What the files of the compiler share. The order of work: classes, gateways with their listeners and certificates, then
 * routes (which attach to listeners and ask for clusters), then policies of ports, then statuses. */
#ifndef SELVEDGE_CONTROL_COMPILE_INTERNAL_H
#define SELVEDGE_CONTROL_COMPILE_INTERNAL_H

#include "core/model/kinds.h"
#include "core/model/object/backend.h"
#include "core/model/object/backend_tls.h"
#include "core/model/object/core.h"
#include "core/model/object/gateway.h"
#include "core/model/object/http_route.h"
#include "core/model/object/selvedge.h"
#include "core/model/snapshot_tables.h"
#include "gateway/control/compiler.h"

/* One bound address and port, shared by the listeners of all gateways. */
struct comp_bind {
    struct slice name; /* "*:8443" */
    struct slice address;
    uint16_t port;
    enum obj_listener_protocol protocol;
    struct comp_listener **listeners;
    uint32_t num, cap;
    /* settled by comp_client_policies(), when there are any */
    const struct comp_gateway *owner; /* the oldest one on it */
    const struct comp_policy *policy; /* NULL: none */
    const struct comp_policy *refused_policy; /* it would be, but it contradicts a listener */
};

/* A policy of any kind. */
struct comp_policy {
    struct ctl_object *object;
    const struct obj_head *head; /* the kind's struct begins with it */
    struct obj_policy_targets targets;
};

struct comp_policies {
    enum kind_id kind;
    struct comp_policy *at; /* oldest first */
    uint32_t num;
};

/* Host names of the routes of one kind at a listener. Texts are borrowed. */
struct comp_names {
    bool is_used, has_any;      /* there is a route; one is for any name */
    struct hashmap names, ends; /* see compile_names.c */
};

/* A listener of a gateway. */
struct comp_listener {
    struct comp_gateway *gateway;
    const struct obj_listener *spec;
    struct slice server_name; /* "NS/GATEWAY/SECTION" */
    struct slice hostname;    /* lower case, "" any */
    struct comp_bind **binds;
    uint32_t num_binds;
    uint32_t num_routes;
    const struct ctl_object *last_route; /* counted in num_routes */
    bool is_conflicted, is_usable; /* usable: routes may attach and it is served */
    bool takes_http_routes, takes_grpc_routes;
    struct comp_names http_names, grpc_names; /* kept while there are routes of both kinds */
    const char *conflict_reason, *refs_reason; /* NULL: fine */
    const char *conflict_text, *refs_text;
    const char *failure; /* why a gateway could not open it; NULL: none says so */
    struct slice *certificates;
    uint32_t num_certificates;
};

struct comp_gateway {
    struct ctl_object *object;
    const struct obj_gateway *spec;
    const char *bad_reason, *bad_text; /* NULL: accepted */
    struct comp_listener *listeners;
    uint32_t num_listeners;
};

struct comp_grant {
    struct slice ns;
    const struct obj_reference_grant *spec;
};

struct comp_verdict {
    const char *reason, *text; /* NULL: good */
};

/* What an entry of a policy's status is about. */
struct comp_ancestor {
    struct slice group, kind, ns, name, section_name; /* absent: {NULL, 0} */
};

/* A BackendTLSPolicy as it is applied. */
struct comp_tls {
    const struct comp_policy *policy;
    struct cfg_upstream_tls tls;
    struct comp_verdict accepted, refs;
    struct comp_ancestor *gateways; /* whose routes go through it */
    uint32_t num_gateways;
};

/* A cluster that a route asks for, without the route. */
struct comp_cluster_ref {
    struct slice name;       /* of the cluster */
    struct slice ns, object; /* of the Service or Backend */
    int32_t port;
    bool is_service, is_grpc;
    uint32_t policy;         /* index into traffic_policies, UINT32_MAX: none */
};

struct comp {
    struct arena *arena;   /* lasts as long as the result */
    struct arena *scratch; /* for what is being worked on: a route, a status */
    const struct ctl_view *view;
    const struct ctl_compile_options *options;
    struct ctl_compiled *out;
    bool has_two_route_kinds;
    struct hashmap classes; /* our GatewayClasses by name */
    struct comp_gateway *gateways;
    uint32_t num_gateways;
    struct hashmap gateways_by_name; /* "NS/NAME" */
    struct comp_bind **binds;
    uint32_t num_binds, cap_binds;
    struct comp_grant *grants;
    uint32_t num_grants;
    struct comp_policies traffic_policies, client_policies, tls_policies;
    struct comp_tls *tls; /* [policy of tls_policies] */
    struct hashmap clusters;     /* names compiled already */
    struct hashmap certificates; /* "NS/NAME" -> verdict */
    struct hashmap slices;       /* "NS/SERVICE" -> struct slice_ref list */
    bool has_slices;             /* they have been read */
    struct comp_record *record;  /* of the route being compiled */
};

/* ---- compiler.c ---- */
/* Reads an object of the view; NULL (never for what the API let in) when it no longer fits its table. */
void *comp_decode(struct comp *comp, struct ctl_object *object, enum kind_id kind);
void *comp_decode_in(struct comp *comp, struct arena *arena, struct ctl_object *object, enum kind_id kind);
/* The kind as the store names it: "gateway.networking.k8s.io/httproutes". */
struct slice comp_kind_key(struct comp *comp, enum kind_id kind);
struct ctl_object *comp_find(struct comp *comp, enum kind_id kind, struct slice ns, struct slice name);
/* Whether (from group, kind, namespace) may refer to (to group, kind, namespace, name). */
bool comp_is_granted(struct comp *comp, const char *from_group, const char *from_kind, struct slice from_ns,
                     struct slice to_group, struct slice to_kind, struct slice to_ns, struct slice to_name);
struct slice comp_join(struct comp *comp, struct slice a, char separator, struct slice b);
void comp_emit(struct comp *comp, const char *kind, struct slice name, const struct field_schema *schema, const void *object);
struct slice comp_slice(const char *text);
struct slice comp_lower(struct comp *comp, struct slice text);
/* Created first, then namespace and name: the order in which conflicts are settled. */
int comp_compare_age(const struct ctl_object *a, int64_t a_created, const struct ctl_object *b, int64_t b_created);

/* ---- compile_gateway.c ---- */
void comp_gateways(struct comp *comp);
void comp_emit_listeners(struct comp *comp);
void comp_gateway_statuses(struct comp *comp); /* once routes are attached and the document is sealed */
int32_t comp_tls_min_version(const struct comp_listener *listener); /* by its own option; 0: none */

/* ---- compile_client.c ---- */
void comp_client_policies(struct comp *comp); /* after the gateways: settles what each port has */
struct cfg_client *comp_client(struct comp *comp, const struct comp_bind *bind); /* NULL: nothing is said */
void comp_client_policy_statuses(struct comp *comp);

/* A route and its parentRefs, as they are compiled. */
struct comp_parent {
    const struct obj_parent_ref *ref;
    struct comp_gateway *gateway; /* NULL: not ours, or not there */
    const char *reason, *text;    /* of Accepted; reason NULL: accepted */
    bool is_ours;
};

struct comp_route {
    enum kind_id kind;
    struct ctl_object *object;
    const struct obj_http_route *spec;
    struct comp_parent *parents;
    const char *refs_reason, *refs_text;
    struct cfg_attachment *attachments;
    uint32_t num_attachments, cap_attachments;
    struct comp_listener *first; /* the first listener attached to: where gateway-wide policies are looked up */
};

/* ---- compile_names.c ---- */
/* No host names at all: any. */
void comp_names_add(struct comp_names *names, const struct slice *hostnames, uint32_t num);
bool comp_names_meet(const struct comp_names *names, const struct slice *hostnames, uint32_t num);
void comp_names_clear(struct comp_names *names);

/* ---- compile_attach.c ---- */
/* Host names that a route asks for at a listener while there are routes of both kinds: not when one of the other kind has any of
 * them. Texts are borrowed for the compile. */
bool comp_may_claim(const struct comp_listener *listener, enum kind_id kind, const struct slice *hostnames, uint32_t num);
void comp_claim(struct comp_listener *listener, enum kind_id kind, const struct slice *hostnames, uint32_t num);
/* Settles `parent`, whose ref is set, and adds the listeners it stands for to the route. */
void comp_attach(struct comp *comp, struct comp_route *route, struct comp_parent *parent);

/* ---- compile_route.c ---- */
void comp_routes(struct comp *comp);

/* ---- compile_cluster.c ---- */
void comp_load_traffic_policies(struct comp *comp);
void comp_traffic_policy_statuses(struct comp *comp);
/* Where a reference stands: what grants and policies are looked up by. */
struct comp_place {
    enum kind_id kind; /* of the route */
    const struct obj_http_route *route;
    const struct obj_http_rule *rule;
    struct slice gateway_ns, gateway_name, section; /* the first listener the route is attached to; or {NULL,0} */
};
/* Makes sure the cluster behind a reference is compiled. Returns its name, or {NULL,0} with reason and text. */
struct slice comp_cluster(struct comp *comp, const struct comp_place *place, const struct obj_backend_ref *ref,
                          const char **ret_reason, const char **ret_text);
/* The same for what a route asked for at an earlier compile, when nothing it depends on has changed. */
void comp_cluster_again(struct comp *comp, const struct comp_cluster_ref *ref);
void comp_backend_statuses(struct comp *comp);

/* ---- compile_policy.c ---- */
struct comp_policies comp_load_policies(struct comp *comp, enum kind_id kind,
                                        struct obj_policy_targets (*targets_of)(const void *policy));
/* The oldest one with that very target (no section: {NULL, 0}), or NULL. */
const struct comp_policy *comp_policy_for(const struct comp_policies *policies, struct slice kind, struct slice ns, struct slice name,
                                          struct slice section);

/* What a kind has to say of a target that exists and that no older policy has. */
typedef struct comp_verdict (*comp_policy_judge)(struct comp *comp, const struct comp_policy *policy,
                                                 const struct obj_policy_target *target);
/* An entry of a policy's status: its conditions, to be filled; `ret_old` are those it had. */
struct json *comp_add_ancestor(struct comp *comp, struct json *ancestors, const struct comp_policy *policy,
                               const struct comp_ancestor *ancestor, const struct json **ret_old);
void comp_policy_verdict(struct comp *comp, struct json *conditions, const struct json *old, const struct comp_policy *policy,
                         const char *type, struct comp_verdict verdict);
/* `more` may be NULL. */
void comp_policy_statuses(struct comp *comp, const struct comp_policies *policies, comp_policy_judge more);

/* ---- compile_tls.c ---- */
void comp_load_tls_policies(struct comp *comp);
/* The policy for (port of) a Service or Backend; NULL: plain. */
struct comp_tls *comp_tls_for(struct comp *comp, const char *kind, struct slice ns, struct slice name, struct slice port);
/* Remembers a Gateway for its status. `tls` may be NULL. */
void comp_tls_used_by(struct comp *comp, struct comp_tls *tls, struct slice gateway_ns, struct slice gateway_name);
void comp_tls_policy_statuses(struct comp *comp);

/* ---- compile_memo.c ---- */
/* Host names asked for, and whether they were free. */
struct comp_claimed {
    struct comp_listener *listener;
    const struct slice *hostnames;
    uint32_t num_hostnames;
    bool is_granted;
};

/* What compiling a route did besides its own resource. */
struct comp_record {
    struct comp_listener **listeners; /* that counted it */
    struct comp_cluster_ref *clusters;
    struct comp_claimed *claims; /* while there are routes of both kinds */
    uint32_t num_listeners, cap_listeners, num_clusters, cap_clusters, num_claims, cap_claims;
    bool is_more; /* it did something that a memo does not hold */
};
void comp_record_listener(struct comp *comp, struct comp_listener *listener);
void comp_record_cluster(struct comp *comp, const struct comp_cluster_ref *ref);
void comp_record_claim(struct comp *comp, const struct comp_claimed *claim);
struct ctl_memo *comp_memo_new(struct comp *comp); /* when it is known which kinds of routes there are */
/* Whether this route was compiled the last time, and when it was created. */
bool comp_memo_knows(const struct comp *comp, const struct ctl_object *object, int64_t *ret_created_us);
/* Does what compiling this route did the last time; false: it has to be compiled. */
bool comp_memo_replay(struct comp *comp, enum kind_id kind, struct ctl_object *object);
/* `resource`: what was emitted, NULL: nothing. */
void comp_memo_add(struct comp *comp, const struct comp_route *route, const struct cfg_resource *resource);

/* ---- compile_status.c ---- */
/* Appends a condition; its transition time is kept from `old` (a conditions array, may be NULL) while its status stays. */
void comp_condition(struct comp *comp, struct json *conditions, const struct json *old, const char *type, bool is_true,
                    const char *reason, const char *message, int64_t generation);
/* Hands a copy of the status in if it differs from the object's. */
void comp_set_status(struct comp *comp, struct ctl_object *object, const struct json *old, struct json *status);

#endif
