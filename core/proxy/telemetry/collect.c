/* One part per worker, then a merge by key. */
#include "core/proxy/telemetry/collect.h"

struct part {
    struct px_endpoint_row *rows;
    size_t num_rows, cap_rows;
};

struct collect {
    struct px_dataplane *dataplane;
    px_collect_cb on_done;
    void *data;
    unsigned num_parts;
    struct part parts[];
};

/* ---- on a worker ---- */

static struct px_endpoint_row *add_row(struct part *part, struct slice cluster, struct slice endpoint)
{
    if (part->num_rows == part->cap_rows) {
        part->cap_rows = part->cap_rows != 0 ? part->cap_rows * 2 : 64;
        part->rows = xrealloc(part->rows, part->cap_rows * sizeof(part->rows[0]));
    }
    struct px_endpoint_row *row = &part->rows[part->num_rows++];
    *row = (struct px_endpoint_row){.key = xmalloc(cluster.len + endpoint.len + 2)};
    memcpy(row->key, cluster.base, cluster.len);
    row->key[cluster.len] = '\0';
    if (endpoint.len != 0)
        memcpy(row->key + cluster.len + 1, endpoint.base, endpoint.len);
    row->key[cluster.len + 1 + endpoint.len] = '\0';
    row->cluster = slice_make(row->key, cluster.len);
    row->endpoint = slice_make(row->key + cluster.len + 1, endpoint.len);
    return row;
}

static void add_endpoint(struct part *part, const struct px_endpoint *endpoint)
{
    struct px_endpoint_row *row = add_row(part, endpoint->cluster->name, endpoint->key);

    row->is_ready = endpoint->is_ready;
    row->is_healthy = endpoint->is_healthy;
    row->num_addresses = endpoint->num_addresses;
    row->conns = endpoint->pool.num;
    row->active = endpoint->lb.active;
    row->requests = endpoint->counts.requests;
    row->connects = endpoint->counts.connects;
    row->connect_fails = endpoint->counts.connect_fails;
    row->fails = endpoint->counts.fails;
}

static void add_cluster(struct part *part, const struct px_cluster *cluster)
{
    struct px_endpoint_row *row = add_row(part, cluster->name, slice_make("", 0));

    row->is_panicking = cluster->is_panicking;
    row->waiting = cluster->num_waiters;
    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    add_endpoint(part, endpoint);
}

static void visit(struct px_worker *worker, void *data)
{
    struct collect *collect = data;
    struct part *part = &collect->parts[worker->net->index];
    struct hashmap_slot *slot;

    for (size_t i = 0; (slot = hashmap_next(&worker->clusters, &i)) != NULL;)
        add_cluster(part, slot->value);
}

/* ---- on main ---- */

static int compare_rows(const void *a, const void *b)
{
    const struct px_endpoint_row *x = a, *y = b;
    int order = strcmp(x->cluster.base, y->cluster.base);

    return order != 0 ? order : strcmp(x->endpoint.base, y->endpoint.base);
}

static void merge_row(struct px_endpoint_row *into, const struct px_endpoint_row *from)
{
    into->is_panicking |= from->is_panicking;
    into->conns += from->conns;
    into->active += from->active;
    into->waiting += from->waiting;
    into->requests += from->requests;
    into->connects += from->connects;
    into->connect_fails += from->connect_fails;
    into->fails += from->fails;
}

static void merge_part(struct px_collection *into, struct part *part)
{
    into->rows = xrealloc(into->rows, (into->num_rows + part->num_rows + 1) * sizeof(into->rows[0]));
    if (part->num_rows != 0)
        memcpy(into->rows + into->num_rows, part->rows, part->num_rows * sizeof(part->rows[0]));
    into->num_rows += part->num_rows;
    free(part->rows);
}

static void fold_rows(struct px_collection *collection)
{
    size_t kept = 0;

    qsort(collection->rows, collection->num_rows, sizeof(collection->rows[0]), compare_rows);
    for (size_t i = 0; i < collection->num_rows; i++) {
        if (kept != 0 && compare_rows(&collection->rows[kept - 1], &collection->rows[i]) == 0) {
            merge_row(&collection->rows[kept - 1], &collection->rows[i]);
            free(collection->rows[i].key);
        } else {
            collection->rows[kept++] = collection->rows[i];
        }
    }
    collection->num_rows = kept;
}

static void done(void *data)
{
    struct collect *collect = data;
    struct px_collection all = {.rows = NULL};

    for (unsigned i = 0; i < collect->num_parts; i++)
        merge_part(&all, &collect->parts[i]);
    fold_rows(&all);
    collect->on_done(&all, collect->data);
    for (size_t i = 0; i < all.num_rows; i++)
        free(all.rows[i].key);
    free(all.rows);
    free(collect);
}

void px_collect(struct px_dataplane *dataplane, px_collect_cb on_done, void *data)
{
    unsigned num = px_dataplane_num_workers(dataplane);
    struct collect *collect = xcalloc(1, sizeof(*collect) + num * sizeof(collect->parts[0]));

    collect->dataplane = dataplane;
    collect->on_done = on_done;
    collect->data = data;
    collect->num_parts = num;
    px_dataplane_visit(dataplane, visit, done, collect);
}
