/* Decisions about trouble, and their JSON form. */
#include "examples/bookinfo/lib/knobs.h"
#include "examples/bookinfo/lib/http.h"

#include "core/base/json.h"

#include <ctype.h>

static struct slice trim_spaces(struct slice s)
{
    while (s.len != 0 && s.base[0] == ' ')
        s.base++, s.len--;
    while (s.len != 0 && s.base[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* One entry of a knob header: `NUMBER` is for whoever reads it first, `SERVICE=NUMBER` for that service. */
static bool entry_number(struct slice entry, const char *service, uint64_t max, unsigned *ret)
{
    const char *equals = entry.len != 0 ? memchr(entry.base, '=', entry.len) : NULL;
    uint64_t value;
    if (equals != NULL) {
        struct slice name = slice_make(entry.base, (size_t)(equals - entry.base));
        if (!slice_is(name, service))
            return false;
        entry = slice_make(equals + 1, entry.len - name.len - 1);
    }
    if (!bk_parse_number(entry, max, &value))
        return false;
    *ret = (unsigned)value;
    return true;
}

static bool header_number(struct slice list, const char *service, uint64_t max, unsigned *ret)
{
    while (list.len != 0) {
        const char *comma = memchr(list.base, ',', list.len);
        struct slice entry = slice_make(list.base, comma != NULL ? (size_t)(comma - list.base) : list.len);
        if (entry_number(trim_spaces(entry), service, max, ret))
            return true;
        list = comma != NULL ? slice_make(comma + 1, list.len - entry.len - 1) : (struct slice){NULL, 0};
    }
    return false;
}

static bool status_fits(const struct bk_status_range *range, int64_t status)
{
    return status == 0 || (status >= range->min && status <= range->max);
}

struct bk_fault bk_knobs_decide(const struct bk_knobs *knobs, const struct bk_status_range *range,
                                const char *service, struct slice user, struct slice header_delay,
                                struct slice header_fail, unsigned dice)
{
    struct bk_fault fault = {0, false, range->usual};
    unsigned status;
    if (knobs->user[0] == '\0' || slice_is(user, knobs->user)) {
        fault.delay_ms = knobs->delay_ms;
        fault.is_failing = dice % 100 < knobs->fail_percent;
        fault.status = knobs->status;
    }
    (void)header_number(header_delay, service, BK_DELAY_MAX_MS,
                        &fault.delay_ms); /* absent: the knob stands */
    if (header_number(header_fail, service, range->max, &status) && status_fits(range, status)) {
        fault.is_failing = true;
        fault.status = status;
    }
    return fault;
}

bool bk_user_is_valid(struct slice user)
{
    for (size_t i = 0; i != user.len; i++)
        if (!isalnum((unsigned char)user.base[i]) &&
            (user.base[i] == '\0' || strchr("._-", user.base[i]) == NULL))
            return false;
    return user.len != 0 && user.len <= BK_USER_MAX;
}

static int set_number(unsigned *into, const struct json *value, unsigned max, struct err *err)
{
    int64_t number;
    if (!json_int(value, &number) || number < 0 || number > max)
        return err_set(err, ERR_INVALID, "%s: a whole number from 0 to %u", value->key.base, max);
    *into = (unsigned)number;
    return 0;
}

static int set_member(struct bk_knobs *knobs, const struct bk_status_range *range, const struct json *value,
                      struct err *err)
{
    if (slice_is(value->key, "delay_ms"))
        return set_number(&knobs->delay_ms, value, BK_DELAY_MAX_MS, err);
    if (slice_is(value->key, "fail_percent"))
        return set_number(&knobs->fail_percent, value, 100, err);
    if (slice_is(value->key, "status")) {
        if (set_number(&knobs->status, value, range->max, err) != 0)
            return -1;
        return status_fits(range, knobs->status)
                   ? 0
                   : err_set(err, ERR_INVALID, "status: 0, or %u to %u", range->min, range->max);
    }
    if (slice_is(value->key, "user")) {
        struct slice user = json_slice(value);
        if (user.base == NULL || (user.len != 0 && !bk_user_is_valid(user)))
            return err_set(err, ERR_INVALID, "user: at most %d letters, digits, '.', '-', '_'", BK_USER_MAX);
        memcpy(knobs->user, user.base, user.len);
        knobs->user[user.len] = '\0';
        return 0;
    }
    return err_set(err, ERR_INVALID, "unknown knob '%s': there are delay_ms, fail_percent, status, user",
                   value->key.base);
}

int bk_knobs_merge(struct bk_knobs *knobs, const struct bk_status_range *range, struct slice json,
                   struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct bk_knobs changed = *knobs;
    struct json *doc = json_parse(arena, json, err);
    if (doc == NULL)
        return -1;
    if (doc->type != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "an object is wanted, such as {\"delay_ms\": 7000}");
    JSON_FOR(member, doc)
    if (set_member(&changed, range, member, err) != 0)
        return -1;
    *knobs = changed;
    return 0;
}

void bk_knobs_write(const struct bk_knobs *knobs, struct strbuf *out)
{
    strbuf_addf(out, "{\"delay_ms\":%u,\"fail_percent\":%u,\"status\":%u,\"user\":\"%s\"}\n", knobs->delay_ms,
                knobs->fail_percent, knobs->status, knobs->user);
}
