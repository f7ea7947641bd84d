/* What the files of the API share. See api.c for the order in which they act.
 *
 * Threads: the control worker's, except what says otherwise. Ownership: everything is the call's arena's. */
#ifndef SELVEDGE_CONTROL_API_INTERNAL_H
#define SELVEDGE_CONTROL_API_INTERNAL_H

#include "core/model/kinds.h"
#include "gateway/control/access.h"
#include "gateway/control/cache.h"
#include "gateway/control/control.h"

/* ---------- what a path names ---------- */

struct api_target {
    const struct kind *kind;
    const char *version; /* asked for: one of kind->versions */
    struct slice ns;     /* "" for cluster scope and for all namespaces */
    struct slice name;   /* "" for the collection */
    bool is_status;      /* …/status */
};

static inline bool api_is_stored_version(const struct api_target *target)
{
    return strcmp(target->version, target->kind->versions[0]) == 0;
}
/* "gateway.networking.k8s.io/httproutes": the kind of a ctl_key. Constant. */
struct slice api_kind_key(const struct kind *kind);
const struct kind *api_kind_of_key(struct slice key); /* NULL when not served */
struct ctl_key api_key(const struct api_target *target);
/* "httproutes.gateway.networking.k8s.io", as errors name it. */
const char *api_resource_name(struct arena *arena, const struct kind *kind);

/* ---------- api.c: the dispatcher's means ---------- */

/* 0, or err: the caller's role is too small for `what` ("create httproutes.…"). */
int api_require(struct ctl_call *call, enum ctl_role role, const struct api_target *target, const char *verb, struct err *err);
bool api_may_see_secrets(const struct ctl_call *call, struct slice ns);

/* Whether the caller may `verb` ("get", "watch", "deletecollection") the target; `name` of the target may be "". */
bool api_may(struct ctl_call *call, const struct api_target *target, struct slice verb);
/* Whether the caller may call a path that is not a resource's. */
bool api_may_call(struct ctl_call *call, struct slice method, struct slice path);
/* The paths ("*" is any segment) the caller may GET that are not resources'. */
void api_each_readable_path(struct ctl_call *call, void (*on_path)(const char *pattern, void *data), void *data);

/* ---------- api_answer.c: answers and their forms ---------- */

enum api_form_type { API_FORM_OBJECT, API_FORM_TABLE, API_FORM_META };
struct api_form {
    enum api_form_type type;
    const char *meta_version; /* of meta.k8s.io: "v1" or "v1beta1" */
    bool is_yaml;
};
/* From the Accept header; ERR_NOT_ACCEPTABLE. */
int api_form(struct ctl_call *call, struct api_form *ret, struct err *err);
/* "v2" or "v2beta1" when Accept asks for discovery of all groups at once (apidiscovery.k8s.io) before anything else we
 * write, else NULL. */
const char *api_asks_for_all_groups(struct ctl_call *call);

/* Fails with a Status whose details name the object and, from `report`, the causes. Both may be NULL. */
void api_fail(struct ctl_call *call, const struct err *err, const struct api_target *target, const struct field_report *report);
/* The same as a tree, for results of bulk calls. */
struct json *api_status(struct arena *arena, const struct err *err, const struct api_target *target, const struct field_report *report);
void api_succeed(struct ctl_call *call, const struct api_target *target, struct slice uid); /* Status "Success" */
void api_warn(struct ctl_call *call, const char *text);
void api_reply_text(struct ctl_call *call, unsigned status, const struct api_form *form, struct slice json);
/* An object as the target's version and the caller's role show it; `object` is changed in place. */
void api_show(struct ctl_call *call, const struct api_target *target, struct json *object);
/* The same from the cache, written. */
void api_write_object(struct ctl_call *call, const struct api_target *target, const struct ctl_object *object, uint64_t rev,
                      struct strbuf *out);
/* Answers with one object in the form asked for; `tree` is changed in place. */
void api_reply_object(struct ctl_call *call, unsigned status, const struct api_target *target, struct json *tree);
int api_not_found(struct err *err, struct arena *arena, const struct api_target *target);
/* Without data: for viewers, history and diffs. */
void api_hide_secret(struct arena *arena, struct json *object);

/* ---------- api_table.c ---------- */

/* {"kind":"Table", columnDefinitions, rows: []}; columns are left out after a watch's first row. */
struct json *api_table_new(struct arena *arena, const struct kind *kind, const char *meta_version, bool with_columns);
/* `include`: "Metadata" (default), "Object" or "None". */
void api_table_add(struct arena *arena, struct json *table, const struct api_target *target, struct json *object,
                   struct slice include);
struct json *api_partial_metadata(struct arena *arena, struct json *object, const char *meta_version);

/* ---------- api_body.c: bodies and parameters ---------- */

struct api_options {
    bool is_dry_run;
    enum field_unknown unknown;
    struct slice manager; /* fieldManager, else the program of the User-Agent */
    bool is_forced;       /* force=true */
};
int api_options(struct ctl_call *call, struct api_options *ret, struct err *err);
/* The type of a body without parameters, in lower case: "application/json". */
struct slice api_media_type(struct ctl_call *call);
bool api_is_yaml(struct slice media_type);
bool api_is_proto(struct slice media_type);
/* One document: JSON, YAML or Kubernetes' protobuf form by content type. */
int api_body(struct ctl_call *call, struct json **ret, struct err *err);
/* All documents; items of a List count one by one. */
int api_body_documents(struct ctl_call *call, struct json ***ret, size_t *ret_num, struct err *err);
bool api_parse_u64(struct slice text, uint64_t *ret);

/* ---------- api_change.c: one object on its way into the store; pure ---------- */

struct api_change {
    struct api_target target;
    struct arena *arena;
    const struct json *old; /* at head, with resourceVersion; NULL: create */
    uint64_t old_rev;
    struct json *new;       /* changed in place; after: as stored (no resourceVersion, stored version) */
    bool is_status;         /* a write of status: the rest is the old one's */
    struct api_options options;
    int64_t now_us;
    const struct json *owned; /* server-side apply has settled managedFields already; else NULL */
    /* result */
    struct field_report report;
    bool is_same;           /* nothing would change */
};
/* Completes, checks, stamps. ERR_INVALID with the report, ERR_CONFLICT (uid), ERR_BAD_REQUEST. */
int api_change_finish(struct api_change *change, struct err *err);
/* As a write of a transaction, guarded by the old revision. */
void api_change_write(const struct api_change *change, struct ctl_write *ret);
/* What clients see of the new object at `rev`. */
struct json *api_change_result(const struct api_change *change, uint64_t rev);
void api_warn_report(struct ctl_call *call, const struct field_report *report);

/* ---------- api_txn.c: transactions of calls ---------- */

struct api_txn {
    struct ctl_txn txn;
    struct net_message message;
    struct ctl_audit audit;
    struct ctl_call *call;
    void (*done)(struct api_txn *self); /* on the worker */
};
/* Fills actor, origin, audit from the call; `done` answers it. The writes are the txn's already. */
void api_txn_submit(struct api_txn *self, struct ctl_call *call, const char *verb, const char *target);

/* Work off the loop for a call. `run` on a pool thread, `done` on the worker. */
struct api_job {
    struct net_job job;
    struct ctl_call *call;
    struct err err;
    void (*run)(struct api_job *self);
    void (*done)(struct api_job *self);
};
void api_job_submit(struct api_job *self, struct ctl_call *call);

/* ---------- api_diff.c: what changed; pure ---------- */

/* Items {"path","op":"add|remove|replace","from","to"}, at most `max`. Times and revisions of metadata are left out. */
struct json *api_diff(struct arena *arena, const struct json *from, const struct json *to, size_t max);

/* ---------- api_patch.c, api_patch_strategic.c: patches; pure ---------- */

/* RFC 6902. `document` is changed in place; its root may be replaced. */
int api_patch_json(struct arena *arena, struct json **document, const struct json *patch, struct err *err);
/* RFC 7386. `document` as above. */
int api_patch_merge(struct arena *arena, struct json **document, const struct json *patch, struct err *err);
/* Kubernetes' strategic merge: lists with a merge key are merged by it; $patch, $deleteFromPrimitiveList, $retainKeys,
 * $setElementOrder. */
int api_patch_strategic(struct arena *arena, const struct field_schema *schema, struct json *target, const struct json *patch,
                        struct err *err);

/* Core kinds and EndpointSlice; others, like custom resources in Kubernetes, are patched by the other types. */
static inline bool api_takes_strategic(const struct kind *kind)
{
    return kind->group[0] == '\0' || kind->id == KIND_ENDPOINT_SLICE;
}

/* What one patch may cost: looked-at members and copied nodes. A patch of a few bytes must not hold the loop. */
struct api_patcher {
    struct arena *arena;
    struct err *err;
    uint64_t num_steps;
};
bool api_patch_spend(struct api_patcher *patcher, uint64_t num_steps); /* false: too much, err is set */
/* -1: too much. *ret NULL: there is none. */
int api_patch_member(struct api_patcher *patcher, const struct json *object, struct slice name, struct json **ret);
struct json *api_patch_clone(struct api_patcher *patcher, const struct json *value); /* NULL: too much */

/* ---------- api_fields.c: field ownership and server-side apply; pure ---------- */

/* `live` NULL: create. The result is in change->new and change->owned. ERR_CONFLICT: `report` names the managers. */
int api_fields_apply(struct api_change *change, const struct json *applied, struct err *err);
/* After an update by other means: who owns what changed. Only objects that were applied once are tracked. */
void api_fields_track(struct api_change *change);

/* ---------- api_bulk.c: many objects, one revision ---------- */

/* What is planned for one object. */
struct api_item {
    struct api_change change; /* target is always set; new NULL: delete */
    struct ctl_write write;
    const char *action;       /* "created", "configured", "unchanged", "deleted", "pruned" */
    struct err err;
    const struct json *unplaced; /* a document of a kind that is not served: its own words name it, not the target's */
};

/* `plan` runs on a pool thread, again when somebody else wrote meanwhile: it fills the items from the view. Everything is
 * then written in one transaction, or nothing is. */
struct api_bulk {
    struct api_txn txn;
    struct api_job job;
    struct ctl_call *call;
    struct ctl_view *view;      /* everything at head; while planning */
    struct api_options options;
    struct slice message;       /* {NULL, 0}: the caller's */
    uint64_t expect_head;       /* the client's; 0: none */
    int (*plan)(struct api_bulk *bulk, struct err *err);
    void *data;                 /* the planner's */
    struct api_item *items;
    size_t num_items, cap_items, num_failed;
    const char *verb, *about;   /* for the audit */
    struct json *extra;         /* members for the answer; may be NULL */
    int64_t now_us;
    unsigned num_tries;
    bool is_whole;              /* the plan holds only for exactly this head */
};

/* Reads dryRun, fieldValidation, fieldManager, force, expectedHead; then plans. */
void api_bulk_start(struct api_bulk *bulk);
struct api_item *api_bulk_add(struct api_bulk *bulk, const struct kind *kind, struct slice ns, struct slice name);
/* At head, or NULL; borrowed from the view. */
struct ctl_object *api_bulk_find(const struct api_bulk *bulk, const struct ctl_key *key);
/* Finishes item->change (new, and old when it exists, are set) and says what is done to it; failures stay in the item. */
void api_bulk_settle(struct api_bulk *bulk, struct api_item *item);
/* ---------- handlers ---------- */

void api_get(struct ctl_call *call, const struct api_target *target);
void api_list(struct ctl_call *call, const struct api_target *target);
void api_watch(struct ctl_call *call, const struct api_target *target);
/* Events of objects are not kept; `kubectl describe` asks for them all the same and gives up when it may not: none. */
void api_no_events(struct ctl_call *call);
void api_create(struct ctl_call *call, const struct api_target *target);
void api_update(struct ctl_call *call, const struct api_target *target);
void api_patch(struct ctl_call *call, const struct api_target *target);
void api_delete(struct ctl_call *call, const struct api_target *target);
void api_delete_collection(struct ctl_call *call, const struct api_target *target);
/* The filter of a list, watch or deletecollection from the parameters. */
int api_filter(struct ctl_call *call, const struct api_target *target, struct ctl_filter *ret, struct err *err);

/* The verbs of a kind, or of its status, NULL-terminated. */
const char *const *api_discovery_verbs(bool is_status);
void api_discovery_core(struct ctl_call *call);                                /* /api */
void api_discovery_groups(struct ctl_call *call);                              /* /apis */
void api_discovery_group(struct ctl_call *call, struct slice group);           /* /apis/G */
void api_discovery_resources(struct ctl_call *call, struct slice group, struct slice version);
void api_openapi_v2(struct ctl_call *call);
void api_openapi_v3(struct ctl_call *call);
void api_openapi_v3_group(struct ctl_call *call, struct slice group, struct slice version);

void api_bulk_apply(struct ctl_call *call);
void api_revisions(struct ctl_call *call);
void api_revision(struct ctl_call *call, struct slice rev);
void api_revision_status(struct ctl_call *call, struct slice rev);
void api_diff_revisions(struct ctl_call *call);
void api_rollback(struct ctl_call *call);
void api_explain(struct ctl_call *call);
void api_whoami(struct ctl_call *call);
void api_review_access(struct ctl_call *call); /* SelfSubjectAccessReview: kubectl auth can-i */
void api_review_rules(struct ctl_call *call);  /* SelfSubjectRulesReview: kubectl auth can-i --list */
void api_review_self(struct ctl_call *call);   /* SelfSubjectReview: kubectl auth whoami */
void api_audit(struct ctl_call *call);
void api_audit_verify(struct ctl_call *call);
void api_backup(struct ctl_call *call);

#endif
