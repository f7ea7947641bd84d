/* JSONPath templates: evaluated by carrying a list of values from step to step. */
#include "cli/jsonpath_private.h"

#include <limits.h>

enum { RESULTS_MAX = 1 << 20 };

/* ---------- finding ---------- */

struct values {
    const struct json **items;
    size_t num, cap;
    bool is_full;
};

static void values_add(struct values *values, const struct json *value)
{
    if (values->num == RESULTS_MAX) {
        values->is_full = true;
        return;
    }
    if (values->num == values->cap) {
        values->cap = MAX(values->cap * 2, (size_t)16);
        values->items = xrealloc(values->items, values->cap * sizeof(*values->items));
    }
    values->items[values->num++] = value;
}

static void find(const struct step *steps, const struct json *root, struct values *ret);

static void add_deep(const struct json *value, struct slice name, struct values *ret)
{
    JSON_FOR (child, value) {
        if (name.len == 0 || slice_eq(child->key, name))
            values_add(ret, child);
        add_deep(child, name, ret);
    }
}

static void add_slice(const struct json *array, const struct step *step, struct values *ret)
{
    long num = array->num, from = step->from == LONG_MIN ? 0 : step->from, to = step->to;
    if (array->type != JSON_ARRAY)
        return;
    from = MAX(from < 0 ? from + num : from, 0L);
    to = MIN(to < 0 ? to + num : to, num);
    for (long i = from; i < to; i += step->by)
        values_add(ret, json_at(array, (size_t)i));
}

static void add_union(const struct json *array, const struct step *step, struct values *ret)
{
    if (array->type != JSON_ARRAY)
        return;
    for (size_t i = 0; i < step->num_indexes; ++i) {
        long index = step->indexes[i] < 0 ? step->indexes[i] + (long)array->num : step->indexes[i];
        if (index >= 0 && index < (long)array->num)
            values_add(ret, json_at(array, (size_t)index));
    }
}

static bool compares(const struct json *left, const struct json *right, enum compare compare)
{
    int order;
    if (compare == IS_EQ || compare == IS_NE)
        return json_equal(left, right) == (compare == IS_EQ);
    if (left->type == JSON_NUMBER && right->type == JSON_NUMBER) {
        double a = json_double_or(left, 0), b = json_double_or(right, 0);
        order = (a > b) - (a < b);
    } else if (left->type == JSON_STRING && right->type == JSON_STRING) {
        order = strcmp(left->text.base, right->text.base);
    } else {
        return false;
    }
    return compare == IS_LT ? order < 0 : compare == IS_LE ? order <= 0 : compare == IS_GT ? order > 0 : order >= 0;
}

static bool passes(const struct step *filter, const struct json *item)
{
    struct values left = {NULL}, right = {NULL};
    bool is_true = false;
    find(filter->left, item, &left);
    if (filter->compare == IS_THERE) {
        is_true = left.num != 0;
    } else {
        if (filter->right != NULL)
            find(filter->right, item, &right);
        else
            values_add(&right, filter->value != NULL ? filter->value : item);
        is_true = left.num != 0 && right.num != 0 && compares(left.items[0], right.items[0], filter->compare);
        if (filter->compare == IS_NE && left.num == 0)
            is_true = true; /* what is absent differs from anything */
    }
    free(left.items);
    free(right.items);
    return is_true;
}

static void take_step(const struct step *step, const struct json *value, struct values *ret)
{
    const struct json *member;
    switch (step->type) {
    case STEP_MEMBER:
        if ((member = json_get_n(value, step->name)) != NULL)
            values_add(ret, member);
        break;
    case STEP_ANY:
        JSON_FOR (child, value)
            values_add(ret, child);
        break;
    case STEP_DEEP:
        if (step->name.len == 0)
            values_add(ret, value);
        add_deep(value, step->name, ret);
        break;
    case STEP_SLICE:
        add_slice(value, step, ret);
        break;
    case STEP_UNION:
        add_union(value, step, ret);
        break;
    case STEP_FILTER:
        JSON_FOR (child, value)
            if (passes(step, child))
                values_add(ret, child);
        break;
    }
}

static void find(const struct step *steps, const struct json *root, struct values *ret)
{
    struct values now = {NULL};
    values_add(&now, root);
    for (; steps != NULL; steps = steps->next) {
        struct values next = {.is_full = now.is_full};
        for (size_t i = 0; i < now.num; ++i)
            take_step(steps, now.items[i], &next);
        free(now.items);
        now = next;
    }
    for (size_t i = 0; i < now.num; ++i)
        values_add(ret, now.items[i]);
    ret->is_full |= now.is_full;
    free(now.items);
}

/* ---------- writing ---------- */

static void write_value(struct strbuf *out, const struct json *value)
{
    if (value->type == JSON_STRING)
        strbuf_add_slice(out, value->text);
    else if (value->type != JSON_NULL)
        json_write(out, value);
}

static int write_path(const struct part *part, const struct json *root, struct strbuf *out, struct err *err)
{
    struct values values = {NULL};
    find(part->steps, root, &values);
    for (size_t i = 0; i < values.num; ++i) {
        if (i != 0)
            strbuf_addc(out, ' ');
        write_value(out, values.items[i]);
    }
    free(values.items);
    return values.is_full ? err_set(err, ERR_INVALID, "more than %d results", RESULTS_MAX) : 0;
}

static const struct part *end_of(const struct part *range)
{
    int depth = 0;
    for (;; range = range->next) {
        depth += (range->type == PART_RANGE) - (range->type == PART_END);
        if (depth == 0)
            return range;
    }
}

/* Parts up to the end of the list or of the range they stand in. */
static int write_parts(const struct part *part, const struct json *root, struct strbuf *out, struct err *err)
{
    int status = 0;
    for (; part != NULL && part->type != PART_END && status == 0; part = part->next) {
        if (part->type == PART_TEXT) {
            strbuf_add_slice(out, part->text);
        } else if (part->type == PART_PATH) {
            status = write_path(part, root, out, err);
        } else {
            struct values values = {NULL};
            find(part->steps, root, &values);
            for (size_t i = 0; i < values.num && status == 0; ++i)
                status = write_parts(part->next, values.items[i], out, err);
            free(values.items);
            part = end_of(part);
        }
    }
    return status;
}

int cli_jsonpath_write(const struct cli_jsonpath *template, const struct json *doc, struct strbuf *out, struct err *err)
{
    return write_parts(template->parts, doc, out, err);
}
