/* The objects at head, in memory: what the API answers from, what watchers follow, what the compiler reads.
 *
 * Fed by the store: ctl_cache_on_commit() builds immutable objects on the writer thread and sends them to the cache's
 * worker, in commit order and before the answers of the transactions. Recent changes stay in a ring; a watch is a cursor
 * in it and owns no queue, so a slow watcher costs nothing: when the ring has passed it, it is cut off and may resume
 * (from the change log while that reaches back, else by listing again).
 *
 * Threads:   ctl_object_* any; ctl_cache_on_commit(), ctl_cache_min_needed_rev() the store's writer; the rest the worker.
 * Ownership: the cache owns a reference to each object; whoever keeps one takes a reference.
 * Limits:    ring of 8192 changes and 32 MiB of old texts; a resume reads at most 10000 changes from the log. */
#ifndef SELVEDGE_CONTROL_CACHE_H
#define SELVEDGE_CONTROL_CACHE_H

#include "core/base/json.h"
#include "gateway/control/selector.h"
#include "gateway/control/store.h"

struct net_worker;
struct ctl_cache;

/* ---------- objects ---------- */

/* Immutable, one allocation, shared by reference. */
struct ctl_object {
    _Atomic uint32_t num_refs;
    uint32_t metadata_at;   /* offset in `json` just after the "{" of "metadata" (0: it has none) */
    struct ctl_key key;     /* group/plural, namespace ("" for cluster-scoped), name */
    uint64_t rev;           /* resourceVersion */
    int64_t generation;     /* metadata.generation, 0 when absent */
    struct slice uid;       /* metadata.uid, "" when absent */
    bool is_deleting;       /* has metadata.deletionTimestamp */
    struct slice json;      /* as stored: without metadata.resourceVersion */
    struct ctl_label *labels; /* metadata.labels, sorted by key */
    size_t num_labels;
};

/* From a stored text; what it lacks is left empty (the store holds only what the API validated). */
struct ctl_object *ctl_object_new(const struct ctl_key *key, uint64_t rev, struct slice json);
struct ctl_object *ctl_object_ref(struct ctl_object *object);
struct ctl_object *ctl_object_unref(struct ctl_object *object); /* NULL is fine; returns NULL */
/* The text as clients see it: with "resourceVersion": `rev` put into metadata. No parsing: a copy. */
void ctl_object_write(struct strbuf *out, const struct ctl_object *object, uint64_t rev);
/* The tree in `arena`, with metadata.resourceVersion; NULL only when the stored text is no JSON object. */
struct json *ctl_object_tree(struct arena *arena, const struct ctl_object *object);
int ctl_key_compare(const struct ctl_key *a, const struct ctl_key *b); /* kind, namespace, name */

/* ---------- the cache ---------- */

/* Before the store is opened (its config names the two callbacks below, with the cache as data). `ring` 0: default. */
struct ctl_cache *ctl_cache_new(struct net_worker *worker, size_t ring);
/* After the store is closed and every watch and listener has ended. NULL is fine; returns NULL. */
struct ctl_cache *ctl_cache_free(struct ctl_cache *cache);
/* Reads everything at head. Blocks: at start, before the worker runs. `store` is borrowed from then on. */
int ctl_cache_load(struct ctl_cache *cache, struct ctl_store *store, struct err *err);
void ctl_cache_on_commit(void *cache, const struct ctl_change *changes, size_t num);
uint64_t ctl_cache_min_needed_rev(void *cache);

uint64_t ctl_cache_rev(const struct ctl_cache *cache);
size_t ctl_cache_len(const struct ctl_cache *cache);
/* Borrowed until the worker returns to its loop; NULL when absent. */
struct ctl_object *ctl_cache_get(const struct ctl_cache *cache, const struct ctl_key *key);

/* ---------- lists ---------- */

struct ctl_filter {
    struct slice kind;
    struct slice ns; /* "" for all namespaces */
    struct ctl_selector labels;
    struct ctl_field_selector fields;
};
bool ctl_filter_matches(const struct ctl_filter *filter, const struct ctl_object *object);

struct ctl_list {
    struct ctl_object **objects; /* borrowed until the worker returns to its loop; the array is the arena's */
    size_t num;
    uint64_t rev;        /* for metadata.resourceVersion: on every page the one of the first, to watch from */
    struct slice next;   /* continue token of the next page, the arena's; "" at the end */
    int64_t remaining;   /* metadata.remainingItemCount; -1 when unknown (selectors) or at the end */
};
/* By namespace and name. `limit` 0: all. `token`: "" or what the page before gave, and the page is as it was then; ERR_GONE when
 * it is of another epoch or the ring of changes does not reach back to it, ERR_BAD_REQUEST when it is none. */
int ctl_cache_list(struct ctl_cache *cache, const struct ctl_filter *filter, size_t limit, struct slice token,
                   struct arena *arena, struct ctl_list *ret, struct err *err);

/* Everything at one revision, with references: for work off the loop (compiler, whole-configuration diff). */
struct ctl_view {
    uint64_t rev;
    size_t num;
    struct ctl_object **objects; /* by kind, namespace, name */
};
struct ctl_view *ctl_cache_view(const struct ctl_cache *cache);
struct ctl_view *ctl_view_free(struct ctl_view *view); /* any thread; NULL is fine; returns NULL */
/* The objects of one kind in a view: the first, and how many. */
struct ctl_object **ctl_view_kind(const struct ctl_view *view, struct slice kind, size_t *ret_num);

/* ---------- changes as they happen ---------- */

struct ctl_applied {
    uint64_t rev;
    bool is_status;                    /* a write of status only: nothing to compile again */
    struct ctl_object *before, *after; /* NULL: created, deleted */
};
/* Called on the worker after each commit group, with the cache already at its head. Objects are borrowed. */
struct ctl_listener {
    struct list link;
    void (*run)(struct ctl_listener *listener, const struct ctl_applied *changes, size_t num);
};
void ctl_cache_listen(struct ctl_cache *cache, struct ctl_listener *listener);
void ctl_cache_unlisten(struct ctl_listener *listener); /* twice is fine */

/* ---------- watches ---------- */

struct ctl_watch;
enum ctl_event_type { CTL_ADDED, CTL_MODIFIED, CTL_DELETED };
struct ctl_event {
    enum ctl_event_type type;
    struct ctl_object *object; /* borrowed until the next call for this watch; DELETED: the last state */
    uint64_t rev;              /* the object's resourceVersion in the event: write it with ctl_object_write() */
};
/* Events of what `filter` (copied) selects, after `since`; an object that moves into the selection is ADDED, out of it
 * DELETED. `since` 0: what is there now comes first, as ADDED. Delivery is at least once: resuming from a revision
 * that changed several selected objects gives all of them again, since the watcher may have seen only some.
 *
 * `on_ready` runs on the worker, never inside a call made here: there are events, or the watch has ended. It is called
 * once for each time ctl_watch_next() has returned 0 (and once after the start): call ctl_watch_next() until it does,
 * or stop when the peer is slow and go on later.
 * Errors: ERR_GONE (compacted: list again), ERR_TIMEOUT (`since` is above the head). */
struct ctl_watch *ctl_watch_start(struct ctl_cache *cache, const struct ctl_filter *filter, uint64_t since,
                                  void (*on_ready)(struct ctl_watch *watch, void *data), void *data, struct err *err);
/* 1: an event; 0: none now; -1: the watch is over, ERR_GONE: too slow (it may resume from its last event), or compacted
 * meanwhile; or an error of the store. Then only ctl_watch_stop() is left to call. */
int ctl_watch_next(struct ctl_watch *watch, struct ctl_event *ret, struct err *err);
/* Up to here the watcher has been given everything (0: begin again). For bookmarks. */
uint64_t ctl_watch_rev(const struct ctl_watch *watch);
struct ctl_watch *ctl_watch_stop(struct ctl_watch *watch); /* NULL is fine; returns NULL */

#endif
