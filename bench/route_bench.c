/* What a decision costs with few routes and with many: nanoseconds per rt_decide(), median of rounds.
 *
 *   route_bench [ROUTES...]     default: 10 100 1000 10000 */
#include "core/base/clock.h"
#include "core/route/decide.h"

#include <stdio.h>

enum { ROUNDS = 9, CALLS = 200000 };

static struct cfg_snapshot *build(unsigned num_routes)
{
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    struct cfg_document *doc = cfg_document_new();
    struct arena *arena = arena_new(0);
    strbuf_adds(&text, "[{\"kind\":\"settings\",\"name\":\"node\",\"spec\":{}},"
                       "{\"kind\":\"listener\",\"name\":\"*:80\",\"spec\":{\"port\":80,\"servers\":[{\"name\":\"d/g/l\"}]}},"
                       "{\"kind\":\"cluster\",\"name\":\"c\",\"spec\":{\"host\":\"c\"}},{\"kind\":\"endpoints\",\"name\":\"c\",\"spec\":{\"endpoints\":[]}}");
    for (unsigned i = 0; i < num_routes; ++i)
        strbuf_addf(&text,
                    ",{\"kind\":\"route\",\"name\":\"httproute/d/r%u\",\"spec\":{\"ns\":\"d\",\"object\":\"r%u\",\"attachments\":[{\"listener\":\"*:80\","
                    "\"server\":\"d/g/l\",\"hostnames\":[\"host%u.test\"]}],\"rules\":[{\"matches\":[{\"path\":\"/api/v1/service%u\"}],"
                    "\"backends\":[{\"cluster\":\"c\"}]}]}}",
                    i, i, i % 100, i);
    strbuf_addc(&text, ']');
    struct json *list = json_parse(arena, strbuf_slice(&text), &err);
    JSON_FOR(item, list)
    cfg_document_add(doc, json_slice(json_get(item, "kind")), json_slice(json_get(item, "name")), 1, json_get(item, "spec"));
    struct cfg_snapshot *snapshot = cfg_document_seal(doc, &err) == 0 ? rt_snapshot_build(doc, &err) : NULL;
    if (snapshot == NULL)
        fprintf(stderr, "%s\n", err.text);
    cfg_document_free(doc);
    arena_free(arena);
    strbuf_clear(&text);
    return snapshot;
}

static struct slice no_header(const void *data, struct slice name)
{
    return (struct slice){NULL, 0};
}

static void *no_memory(void *data, size_t size)
{
    abort(); /* a plain forward computes nothing */
}

static double one_round(const struct cfg_snapshot *snapshot, unsigned num_routes)
{
    enum { VARIANTS = 64 };
    char hosts[VARIANTS][32], paths[VARIANTS][64];
    struct rt_request requests[VARIANTS];
    unsigned num_forwarded = 0;
    for (unsigned i = 0; i < VARIANTS; ++i) {
        unsigned route = (unsigned)((uint64_t)i * 7919 % num_routes);
        int host_len = snprintf(hosts[i], sizeof(hosts[i]), "host%u.test", route % 100);
        int path_len = snprintf(paths[i], sizeof(paths[i]), "/api/v1/service%u/items/42", route);
        requests[i] = (struct rt_request){.listener = &snapshot->listeners[0], .method = SLICE("GET"), .scheme = SLICE("http"), .port = 80,
                                          .host = slice_make(hosts[i], (size_t)host_len), .path = slice_make(paths[i], (size_t)path_len),
                                          .header = no_header, .alloc = no_memory};
    }
    uint64_t begun = clock_mono_us();
    for (unsigned i = 0; i < CALLS; ++i) {
        struct rt_decision decision;
        rt_decide(&requests[i % VARIANTS], i, &decision);
        num_forwarded += decision.outcome == RT_FORWARD;
    }
    double ns = (double)(clock_mono_us() - begun) * 1000 / CALLS;
    if (num_forwarded != CALLS)
        fprintf(stderr, "only %u of %d were forwarded\n", num_forwarded, CALLS);
    return ns;
}

static int compare(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

static void run(unsigned num_routes)
{
    double rounds[ROUNDS];
    struct cfg_snapshot *snapshot = build(num_routes);
    if (snapshot == NULL)
        return;
    for (int i = 0; i < ROUNDS; ++i)
        rounds[i] = one_round(snapshot, num_routes);
    qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
    printf("%6u routes: %6.0f ns a decision (%.0f-%.0f)\n", num_routes, rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]);
    cfg_snapshot_unref(snapshot);
}

int main(int argc, char **argv)
{
    static const unsigned defaults[] = {10, 100, 1000, 10000};
    for (int i = 1; i < argc; ++i)
        run((unsigned)MAX(atoi(argv[i]), 1));
    for (size_t i = 0; argc == 1 && i < ARRAY_LEN(defaults); ++i)
        run(defaults[i]);
    return 0;
}
