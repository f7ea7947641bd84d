/* Header, cookie or client address, hashed. */
#include "core/route/cohort.h"

/* RFC 6265 §4.2.1: "a=1; b=2". Of a name that is there twice the first counts; servers differ, we only must not. */
static struct slice find_cookie(struct slice cookies, struct slice name)
{
    for (struct slice rest = cookies; rest.len != 0;) {
        const char *end = memchr(rest.base, ';', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.base) : rest.len;
        struct slice pair = slice_make(rest.base, len);
        for (; pair.len != 0 && pair.base[0] == ' '; ++pair.base)
            --pair.len;
        if (pair.len > name.len && pair.base[name.len] == '=' && slice_starts(pair, name))
            return slice_make(pair.base + name.len + 1, pair.len - name.len - 1);
        rest = end != NULL ? slice_make(end + 1, rest.len - len - 1) : (struct slice){NULL, 0};
    }
    return (struct slice){NULL, 0};
}

static struct slice value_of(const struct cfg_cohort_source *source, const struct rt_request *request)
{
    switch (source->from) {
    case CFG_COHORT_HEADER:
        return request->header(request->data, source->name);
    case CFG_COHORT_COOKIE:
        return find_cookie(request->header(request->data, SLICE("cookie")), source->name);
    case CFG_COHORT_CLIENT:
        return request->client;
    }
    return (struct slice){NULL, 0};
}

uint64_t rt_cohort_seed(const struct cfg_route *route, const struct rt_request *request, uint64_t seed,
                        const struct cfg_cohort_source **ret_source)
{
    *ret_source = NULL;
    for (uint32_t i = 0; i < route->num_cohort; ++i) {
        struct slice value = value_of(&route->cohort[i], request);
        if (value.len == 0)
            continue;
        *ret_source = &route->cohort[i];
        return hash_stable(0, value.base, value.len);
    }
    return seed;
}
