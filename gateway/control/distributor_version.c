/* Versions: what was published, remembered for a while, with the texts nodes are sent. */
#include "gateway/control/distributor_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { KEEP_VERSIONS = 64, KEEP_RESOURCES = 128 * 1024 };

/* ---------- versions ---------- */

struct version *dist_version_ref(struct version *version)
{
    ++version->refs;
    return version;
}

void dist_version_unref(struct version *version)
{
    if (version == NULL || --version->refs != 0)
        return;
    dist_version_unref(version->delta_from);
    cfg_document_free(version->doc);
    free(version->snapshot);
    free(version->delta);
    free(version);
}

void dist_replace_version(struct version **at, struct version *version)
{
    if (version != NULL)
        dist_version_ref(version);
    dist_version_unref(*at);
    *at = version;
}

/* Only the current version is sent: the texts of those before it, and what they refer to, can go. */
static void drop_texts(struct version *version)
{
    free(version->snapshot);
    free(version->delta);
    version->snapshot = version->delta = NULL;
    dist_replace_version(&version->delta_from, NULL);
}

static void trim_versions(struct ctl_distributor *distributor)
{
    while (distributor->num_versions > KEEP_VERSIONS || (distributor->num_versions > 2 && distributor->num_resources > KEEP_RESOURCES)) {
        struct version *oldest = LIST_FIRST(&distributor->versions, struct version, link);
        list_remove(&oldest->link);
        --distributor->num_versions;
        distributor->num_resources -= oldest->doc->num;
        dist_version_unref(oldest);
    }
}

struct version *dist_version_at(struct ctl_distributor *distributor, uint64_t rev)
{
    LIST_FOR(version, &distributor->versions, struct version, link)
    if (rev >= version->first_rev && rev <= version->last_rev)
        return version;
    return NULL;
}

/* ---------- events ---------- */

void dist_event_begin(const struct ctl_distributor *distributor, struct strbuf *out, const char *event, uint64_t rev)
{
    strbuf_addf(out, "event: %s\nid: %016" PRIx64 ":%" PRIu64 "\ndata: ", event, distributor->config.epoch, rev);
}

struct slice dist_snapshot_event(struct ctl_distributor *distributor, struct version *version)
{
    if (version->snapshot == NULL) {
        struct strbuf out = STRBUF_INIT;
        dist_event_begin(distributor, &out, "snapshot", version->doc->rev);
        cfg_document_write(version->doc, false, &out);
        strbuf_adds(&out, "\n\n");
        version->snapshot_len = out.len;
        version->snapshot = strbuf_take(&out);
    }
    return slice_make(version->snapshot, version->snapshot_len);
}

struct slice dist_delta_event(struct ctl_distributor *distributor, struct version *from, struct version *to)
{
    if (to->delta_from != from) {
        struct strbuf out = STRBUF_INIT;
        dist_event_begin(distributor, &out, "delta", to->doc->rev);
        (void)cfg_document_diff(from->doc, to->doc, &out); /* versions differ, so there is a difference */
        strbuf_adds(&out, "\n\n");
        dist_replace_version(&to->delta_from, from);
        free(to->delta);
        to->delta_len = out.len;
        to->delta = strbuf_take(&out);
    }
    return slice_make(to->delta, to->delta_len);
}

/* ---------- publishing ---------- */

void ctl_distributor_publish(struct ctl_distributor *distributor, struct cfg_document **take)
{
    struct cfg_document *doc = *take;
    struct version *current = distributor->current;
    uint64_t sum = cfg_document_sum(doc);
    *take = NULL;
    if (current != NULL && current->sum == sum) {
        current->last_rev = MAX(current->last_rev, doc->rev);
        cfg_document_free(doc);
    } else {
        cfg_document_inherit(doc, current != NULL ? current->doc : NULL);
        struct version *version = xcalloc(1, sizeof(*version));
        version->doc = doc;
        version->first_rev = version->last_rev = doc->rev;
        version->sum = sum;
        version->refs = 1;
        if (current != NULL)
            drop_texts(current);
        list_push(&distributor->versions, &version->link);
        ++distributor->num_versions;
        distributor->num_resources += doc->num;
        distributor->current = version;
        trim_versions(distributor);
    }
    LIST_FOR(node, &distributor->nodes, struct node, link)
    if (node->subscriber != NULL)
        dist_advance(node->subscriber);
}

const struct cfg_document *ctl_distributor_current(const struct ctl_distributor *distributor)
{
    return distributor->current != NULL ? distributor->current->doc : NULL;
}

static struct version *applied_version(const struct ctl_distributor *distributor)
{
    const struct node *best = NULL;
    LIST_FOR(node, &distributor->nodes, struct node, link)
    {
        if (node->applied == NULL || strcmp(node->role, "gateway") != 0)
            continue;
        if (strcmp(node->name, "local") == 0)
            return node->applied;
        if (node->subscriber != NULL && (best == NULL || node->applied_rev > best->applied_rev))
            best = node;
    }
    return best != NULL ? best->applied : NULL;
}

const struct cfg_document *ctl_distributor_applied(const struct ctl_distributor *distributor)
{
    const struct version *version = applied_version(distributor);
    return version != NULL ? version->doc : NULL;
}

void *ctl_distributor_hold_applied(struct ctl_distributor *distributor, const struct cfg_document **ret_doc)
{
    struct version *version = applied_version(distributor);
    *ret_doc = version != NULL ? version->doc : NULL;
    return version != NULL ? dist_version_ref(version) : NULL;
}

void ctl_distributor_release(struct ctl_distributor *distributor, void *held)
{
    dist_version_unref(held);
}

struct slice ctl_distributor_snapshot(struct ctl_distributor *distributor, char *ret_etag)
{
    struct version *current = distributor->current;
    if (current == NULL)
        return (struct slice){NULL, 0};
    snprintf(ret_etag, 64, "\"%016" PRIx64 ":%" PRIu64 ":%016" PRIx64 "\"", distributor->config.epoch, current->doc->rev, current->sum);
    struct slice event = dist_snapshot_event(distributor, current);
    const char *data = memmem(event.base, event.len, "data: ", 6);
    return slice_make(data + 6, (size_t)(event.base + event.len - data) - 6 - 2);
}
