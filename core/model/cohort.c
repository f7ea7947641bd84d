/* Reading the cohort annotation. */
#include "core/model/cohort.h"

#include "core/model/format.h"

static struct slice trim(struct slice text)
{
    for (; text.len != 0 && text.base[0] == ' '; ++text.base)
        --text.len;
    while (text.len != 0 && text.base[text.len - 1] == ' ')
        --text.len;
    return text;
}

static struct slice lower(struct arena *arena, struct slice text)
{
    char *copy = arena_strndup(arena, text.base, text.len);
    for (size_t i = 0; i < text.len; ++i)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] += 'a' - 'A';
    return slice_make(copy, text.len);
}

static int parse_source(struct arena *arena, struct slice text, struct cfg_cohort_source *ret, struct err *err)
{
    static const struct slice header = SLICE("header:"), cookie = SLICE("cookie:");
    struct slice name = {NULL, 0};
    if (slice_starts(text, header))
        name = lower(arena, slice_make(text.base + header.len, text.len - header.len));
    else if (slice_starts(text, cookie))
        name = slice_make(text.base + cookie.len, text.len - cookie.len);
    bool is_client = slice_is(text, "client");
    if (!is_client && (name.base == NULL || !format_header_name.matches(name)))
        return err_set(err, ERR_INVALID, "\"%.*s\" is not cookie:NAME, header:NAME or client", (int)text.len, text.base);
    ret->from = is_client ? CFG_COHORT_CLIENT : slice_starts(text, header) ? CFG_COHORT_HEADER : CFG_COHORT_COOKIE;
    ret->name = name;
    return 0;
}

int cohort_parse(struct arena *arena, struct slice text, struct cfg_cohort_source **ret, uint32_t *ret_num, struct err *err)
{
    struct cfg_cohort_source *sources = arena_zalloc(arena, COHORT_SOURCES_MAX * sizeof(*sources));
    uint32_t num = 0;
    for (struct slice rest = text; rest.base != NULL; ++num) {
        const char *comma = memchr(rest.base, ',', rest.len);
        size_t len = comma != NULL ? (size_t)(comma - rest.base) : rest.len;
        if (num == COHORT_SOURCES_MAX)
            return err_set(err, ERR_INVALID, "has more than %d sources", COHORT_SOURCES_MAX);
        if (parse_source(arena, trim(slice_make(rest.base, len)), &sources[num], err) != 0)
            return -1;
        rest = comma != NULL ? slice_make(comma + 1, rest.len - len - 1) : (struct slice){NULL, 0};
    }
    *ret = sources;
    *ret_num = num;
    return 0;
}
