/* One object on its way into the store: what the server sets, what it checks, whether anything changes at all.
 *
 * The client's object -> identity and server-set metadata -> status by subresource -> the kind's table (defaults, checks) ->
 * immutable fields -> generation -> owners of fields. Pure but for random names and uids of new objects. */
#include "gateway/control/api_internal.h"

#include "core/base/crypto.h"
#include "core/model/object/core.h"
#include "core/net/tls_context.h"

#include <stdio.h>

enum { SUFFIX_LEN = 5, PREFIX_MAX = 58 };

static struct json *metadata_of(struct json *object)
{
    struct json *meta = json_get(object, "metadata");
    return meta != NULL && meta->type == JSON_OBJECT ? meta : NULL;
}

/* ---------- identity ---------- */

static int check_type(struct api_change *change, struct err *err)
{
    const struct kind *kind = change->target.kind;
    struct arena *arena = change->arena;
    const char *want = kind_api_version(kind, change->target.version, arena).base;
    if (change->new->type != JSON_OBJECT)
        return err_set(err, ERR_BAD_REQUEST, "an object is expected, not %s", json_type_name(change->new->type));
    if (json_get(change->new, "apiVersion") == NULL)
        json_set_str(arena, change->new, "apiVersion", want);
    if (json_get(change->new, "kind") == NULL)
        json_set_str(arena, change->new, "kind", kind->kind);
    struct err ignored = ERR_INIT;
    if (kind_of(change->new, &ignored) != kind)
        return err_set(err, ERR_BAD_REQUEST, "the object is a %s of %s; %s of %s is expected here", json_str(json_get(change->new, "kind"), "(no text)"),
                       json_str(json_get(change->new, "apiVersion"), "(no text)"), kind->kind, want);
    return 0;
}

static int settle_name(struct api_change *change, struct json *meta, struct err *err)
{
    struct slice given = json_slice(json_get(meta, "name")), want = change->target.name;
    if (want.len == 0)
        return 0;
    if (given.len == 0)
        json_set(change->arena, meta, "name", json_new_string(change->arena, want));
    else if (!slice_eq(given, want))
        return err_set(err, ERR_BAD_REQUEST, "the name of the object (%s) does not match the name in the path (%.*s)", given.base, (int)want.len, want.base);
    return 0;
}

static void keep_member(struct api_change *change, struct json *meta, const char *name)
{
    const struct json *old = json_find(change->old, "metadata", name, NULL);
    if (old != NULL)
        json_set(change->arena, meta, name, json_clone(change->arena, old));
    else
        json_remove(meta, name);
}

/* Absent means untouched, as with other clients' writes; an empty list clears. */
static void settle_owners(struct api_change *change, struct json *meta)
{
    const struct json *given = json_get(meta, "managedFields");
    bool is_cleared = given != NULL && given->type == JSON_ARRAY && (given->num == 0 || (given->num == 1 && given->child->num == 0));
    if (change->owned != NULL)
        json_set(change->arena, meta, "managedFields", json_clone(change->arena, change->owned));
    else if (is_cleared)
        json_remove(meta, "managedFields");
    else
        keep_member(change, meta, "managedFields");
}

static int settle_metadata(struct api_change *change, struct err *err)
{
    static const char *const transient[] = {"resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"};
    static const char *const ours[] = {"uid", "creationTimestamp", "generation"};
    struct json *meta = metadata_of(change->new);
    if (meta == NULL)
        return 0; /* the table says so */
    struct slice uid = json_slice(json_get(meta, "uid")), old_uid = json_slice(json_find(change->old, "metadata", "uid", NULL));
    if (change->old != NULL && uid.len != 0 && !slice_eq(uid, old_uid))
        return err_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%.*s\": the object of uid %s is gone; the one of this name has uid %s",
                       api_resource_name(change->arena, change->target.kind), (int)change->target.name.len, change->target.name.base, uid.base,
                       old_uid.base != NULL ? old_uid.base : "");
    for (size_t i = 0; i < ARRAY_LEN(transient); ++i)
        json_remove(meta, transient[i]);
    for (size_t i = 0; i < ARRAY_LEN(ours); ++i)
        keep_member(change, meta, ours[i]);
    settle_owners(change, meta);
    return settle_name(change, meta, err);
}

/* A write of the object leaves its status, a write of status leaves the rest (the caller has put that together). */
static void settle_status(struct api_change *change)
{
    const struct json *old = json_get(change->old, "status");
    if (!change->target.kind->has_status || change->is_status)
        return;
    json_remove(change->new, "status");
    if (old != NULL)
        json_set(change->arena, change->new, "status", json_clone(change->arena, old));
    else if (change->old == NULL && change->target.kind->id == KIND_NAMESPACE)
        json_set_str(change->arena, json_set(change->arena, change->new, "status", json_new_object(change->arena)), "phase", "Active");
}

/* ---------- new objects ---------- */

/* Without vowels and look-alikes, as Kubernetes does it: no words come out. */
static void generate_name(struct api_change *change, struct json *meta)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char suffix[SUFFIX_LEN + 1] = "";
    struct slice prefix = json_slice(json_get(meta, "generateName"));
    uint64_t random = crypto_random_u64();
    for (size_t i = 0; i < SUFFIX_LEN; ++i, random /= sizeof(letters) - 1)
        suffix[i] = letters[random % (sizeof(letters) - 1)];
    json_set_str(change->arena, meta, "name", arena_printf(change->arena, "%.*s%s", (int)MIN(prefix.len, (size_t)PREFIX_MAX), prefix.base, suffix));
}

static void stamp(struct api_change *change)
{
    struct json *meta = metadata_of(change->new);
    if (json_slice(json_get(meta, "name")).len == 0)
        generate_name(change, meta);
    ctl_object_stamp(change->arena, change->new, change->now_us);
}

/* ---------- what changed ---------- */

static bool is_named(const struct json *member, const char *const *names)
{
    for (; *names != NULL; ++names)
        if (slice_is(member->key, *names))
            return true;
    return false;
}

/* Whether all members but `but` are the same. */
static bool same_but(const struct json *a, const struct json *b, const char *const *but)
{
    JSON_FOR(member, a)
    if (!is_named(member, but) && !json_equal(member, json_get_n(b, member->key)))
        return false;
    JSON_FOR(member, b)
    if (!is_named(member, but) && json_get_n(a, member->key) == NULL)
        return false;
    return true;
}

static void compare(struct api_change *change)
{
    static const char *const not_spec[] = {"apiVersion", "kind", "metadata", "status", NULL};
    static const char *const versions[] = {"apiVersion", "metadata", NULL};
    static const char *const counted[] = {"resourceVersion", "generation", "managedFields", NULL};
    static const char *const labels[] = {"resourceVersion", "generation", NULL};
    struct json *meta = metadata_of(change->new);
    const struct json *old_meta = json_get(change->old, "metadata");
    if (!same_but(change->old, change->new, not_spec))
        json_set_int(change->arena, meta, "generation", json_int_or(json_get(old_meta, "generation"), 0) + 1);
    /* Who owns which field matters only when it was settled on purpose. */
    change->is_same = same_but(change->old, change->new, versions) && same_but(old_meta, meta, change->owned != NULL ? labels : counted);
}

/* What no listener could serve is refused while the old pair is still there, not found out when it is gone. */
static void check_pair(struct api_change *change, const struct obj_secret *secret)
{
    struct net_tls_pair pair = {obj_map_get(&secret->data, "tls.crt"), obj_map_get(&secret->data, "tls.key"), "tls.crt and tls.key"};
    struct err err = ERR_INIT;
    if (slice_is(secret->type, OBJ_SECRET_TLS) && net_tls_check_pair(&pair, NULL, NULL, &err) != 0)
        field_report_add(&change->report, FIELD_INVALID, "data", "%s", err.text);
}

int api_change_finish(struct api_change *change, struct err *err)
{
    struct api_target *target = &change->target;
    struct field_options options = {.unknown = change->options.unknown, .apply_defaults = true, .check_read_only = change->is_status};
    field_report_init(&change->report, change->arena);
    if (check_type(change, err) != 0 || settle_metadata(change, err) != 0)
        return -1;
    settle_status(change);
    const void *read = kind_decode(target->kind, change->new, target->kind->is_namespaced ? target->ns : (struct slice){NULL, 0}, &options,
                                   change->arena, &change->report);
    if (target->kind->id == KIND_SECRET && change->report.num_violations == 0)
        check_pair(change, read);
    if (change->old != NULL && change->report.num_violations == 0)
        kind_check_update(target->kind, change->old, change->new, &change->report);
    if (field_report_err(&change->report, err) != 0)
        return -1;
    json_set_str(change->arena, change->new, "apiVersion", kind_api_version(target->kind, target->kind->versions[0], change->arena).base);
    if (change->old == NULL)
        stamp(change);
    else {
        if (change->owned == NULL && !change->is_status)
            api_fields_track(change);
        compare(change);
    }
    target->name = json_slice(json_find(change->new, "metadata", "name", NULL));
    if (target->kind->is_namespaced)
        target->ns = json_slice(json_find(change->new, "metadata", "namespace", NULL));
    return 0;
}

/* ---------- out ---------- */

void api_change_write(const struct api_change *change, struct ctl_write *ret)
{
    struct strbuf text = STRBUF_INIT;
    json_write(&text, change->new);
    *ret = (struct ctl_write){.op = CTL_PUT, .key = api_key(&change->target), .object = arena_slice(change->arena, strbuf_slice(&text))};
    ret->expect_absent = change->old == NULL;
    ret->expect_present = change->old != NULL;
    ret->expect_rev = change->old_rev;
    strbuf_clear(&text);
}

struct json *api_change_result(const struct api_change *change, uint64_t rev)
{
    if (rev != 0) /* a dry run of a create has none */
        json_set_str(change->arena, json_get(change->new, "metadata"), "resourceVersion",
                     arena_printf(change->arena, "%llu", (unsigned long long)rev));
    return change->new;
}
