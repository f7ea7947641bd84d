/* JSONPath templates: parsed into a list of parts (text, expression, range, end), expressions into steps. */
#include "cli/jsonpath_private.h"

#include <ctype.h>
#include <limits.h>

enum { NESTING_MAX = 16 };

struct reader {
    struct arena *arena;
    const char *begin, *at;
    unsigned depth;
    struct err *err;
};

static int fail(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_INVALID, "%s at \"%.30s\" (character %zu)", what, r->at, (size_t)(r->at - r->begin) + 1);
}

static void skip_blanks(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n')
        ++r->at;
}

static bool take(struct reader *r, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

/* 'text' or "text" with \n \t \r \\ \' \". */
static int read_quoted(struct reader *r, struct slice *ret)
{
    char quote = *r->at, *out = arena_alloc(r->arena, strlen(r->at) + 1);
    size_t len = 0;
    for (++r->at; *r->at != quote; ++r->at) {
        if (*r->at == '\0')
            return fail(r, "a quote that is never closed");
        if (*r->at == '\\' && r->at[1] != '\0') {
            static const char from[] = "ntr", to[] = "\n\t\r";
            const char *known = strchr(from, *++r->at);
            out[len++] = known != NULL ? to[known - from] : *r->at;
        } else {
            out[len++] = *r->at;
        }
    }
    ++r->at;
    out[len] = '\0';
    *ret = slice_make(out, len);
    return 0;
}

/* A member's name after a dot; a backslash takes the next character as it is: .metadata.annotations.example\.com/x */
static int read_name(struct reader *r, struct slice *ret)
{
    char *out = arena_alloc(r->arena, strlen(r->at) + 1);
    size_t len = 0;
    while (*r->at != '\0' && strchr(".[]{}()|<>=!,'\" \t\n", *r->at) == NULL) {
        if (*r->at == '\\' && r->at[1] != '\0')
            ++r->at;
        out[len++] = *r->at++;
    }
    out[len] = '\0';
    *ret = slice_make(out, len);
    return len != 0 ? 0 : fail(r, "a name is missing");
}

static bool read_number(struct reader *r, long *ret)
{
    char *end;
    if (!isdigit((unsigned char)*r->at) && !(*r->at == '-' && isdigit((unsigned char)r->at[1])))
        return false;
    *ret = strtol(r->at, &end, 10);
    r->at = end;
    return true;
}

static int read_path(struct reader *r, struct step **ret);

static struct json *read_literal(struct reader *r)
{
    struct slice text;
    size_t len = strcspn(r->at, " \t)]");
    if (*r->at == '\'' || *r->at == '"')
        return read_quoted(r, &text) == 0 ? json_new_string(r->arena, text) : NULL;
    struct json *value = json_parse(r->arena, slice_make(r->at, len), NULL);
    if (value == NULL)
        (void)fail(r, "a number, true, false, null or a quoted text is missing");
    r->at += len;
    return value;
}

static int read_operand(struct reader *r, struct step *filter)
{
    static const struct {
        const char *text;
        enum compare compare;
    } operators[] = {{"==", IS_EQ}, {"!=", IS_NE}, {"<=", IS_LE}, {">=", IS_GE}, {"<", IS_LT}, {">", IS_GT}};
    size_t i = 0;
    skip_blanks(r);
    while (i < ARRAY_LEN(operators) && !take(r, operators[i].text))
        ++i;
    if (i == ARRAY_LEN(operators))
        return *r->at == ')' ? 0 : fail(r, "a comparison is missing (== != < <= > >=)");
    filter->compare = operators[i].compare;
    skip_blanks(r);
    if (*r->at == '@')
        return read_path(r, &filter->right);
    filter->value = read_literal(r);
    return filter->value != NULL ? 0 : -1;
}

/* After "[?(". */
static int read_filter(struct reader *r, struct step *step)
{
    step->type = STEP_FILTER;
    skip_blanks(r);
    if (*r->at != '@')
        return fail(r, "a filter begins with @");
    if (read_path(r, &step->left) != 0 || read_operand(r, step) != 0)
        return -1;
    skip_blanks(r);
    return take(r, ")") ? 0 : fail(r, "\")\" is missing");
}

/* "1", "1:3", "::2", "0,2". */
static int read_indexes(struct reader *r, struct step *step)
{
    long numbers[3] = {LONG_MIN, LONG_MAX, 1}, *list = NULL;
    size_t place = 0;
    bool is_slice = false;
    do {
        long number;
        skip_blanks(r);
        if (read_number(r, &number)) {
            long *more = arena_alloc(r->arena, (step->num_indexes + 1) * sizeof(*more));
            if (list != NULL)
                memcpy(more, list, step->num_indexes * sizeof(*more));
            more[step->num_indexes++] = number;
            list = more;
            numbers[place] = number;
        }
        skip_blanks(r);
        if (*r->at == ':') {
            is_slice = true;
            if (++place > 2)
                return fail(r, "a slice has three numbers at most");
        }
    } while ((*r->at == ':' || *r->at == ',') && r->at++ != NULL);
    step->type = is_slice ? STEP_SLICE : STEP_UNION;
    step->indexes = list;
    step->from = numbers[0];
    step->to = numbers[1];
    step->by = numbers[2];
    if (!is_slice && step->num_indexes == 0)
        return fail(r, "an index is missing");
    return step->by > 0 ? 0 : fail(r, "the step of a slice must be positive");
}

/* After "[". */
static int read_bracket(struct reader *r, struct step *step)
{
    int status = 0;
    skip_blanks(r);
    if (take(r, "?(")) {
        status = read_filter(r, step);
    } else if (take(r, "*")) {
        step->type = STEP_ANY;
    } else if (*r->at == '\'' || *r->at == '"') {
        step->type = STEP_MEMBER;
        status = read_quoted(r, &step->name);
    } else {
        status = read_indexes(r, step);
    }
    skip_blanks(r);
    if (status == 0 && !take(r, "]"))
        return fail(r, "\"]\" is missing");
    return status;
}

static int read_dot(struct reader *r, struct step *step)
{
    if (take(r, ".")) {
        step->type = STEP_DEEP;
        step->name = SLICE("");
        if (take(r, "*") || *r->at == '[')
            return 0;
        return read_name(r, &step->name);
    }
    if (take(r, "*")) {
        step->type = STEP_ANY;
        return 0;
    }
    step->type = STEP_MEMBER;
    return read_name(r, &step->name);
}

/* "@", "$", or nothing, then steps. */
static int read_path(struct reader *r, struct step **ret)
{
    struct step **tail = ret;
    *ret = NULL;
    if (++r->depth > NESTING_MAX)
        return fail(r, "too deeply nested");
    if (*r->at == '@' || *r->at == '$')
        ++r->at;
    while (*r->at == '.' || *r->at == '[') {
        if (*r->at == '.' && (r->at[1] == '\0' || strchr("} )=!<>", r->at[1]) != NULL)) { /* "{.}": the value itself */
            ++r->at;
            break;
        }
        if (*r->at == '.' && r->at[1] == '[') { /* "{.['a']}" */
            ++r->at;
            continue;
        }
        struct step *step = *tail = arena_zalloc(r->arena, sizeof(*step));
        tail = &step->next;
        if ((*r->at++ == '.' ? read_dot(r, step) : read_bracket(r, step)) != 0)
            return -1;
    }
    --r->depth;
    return 0;
}

static struct part *add_part(struct reader *r, struct part ***tail, enum part_type type)
{
    struct part *part = arena_zalloc(r->arena, sizeof(*part));
    part->type = type;
    **tail = part;
    *tail = &part->next;
    return part;
}

/* What stands between braces. */
static int read_expressions(struct reader *r, struct part ***tail)
{
    for (;;) {
        skip_blanks(r);
        if (*r->at == '}' || *r->at == '\0')
            break;
        if (*r->at == '"' || *r->at == '\'') {
            if (read_quoted(r, &add_part(r, tail, PART_TEXT)->text) != 0)
                return -1;
        } else if (strncmp(r->at, "range", 5) == 0 && (r->at[5] == ' ' || r->at[5] == '\t')) {
            r->at += 5;
            skip_blanks(r);
            if (read_path(r, &add_part(r, tail, PART_RANGE)->steps) != 0)
                return -1;
        } else if (strncmp(r->at, "end", 3) == 0 && strchr("} \t", r->at[3]) != NULL) {
            r->at += 3;
            (void)add_part(r, tail, PART_END);
        } else if (strchr("@$.[", *r->at) != NULL) {
            if (read_path(r, &add_part(r, tail, PART_PATH)->steps) != 0)
                return -1;
        } else if (isalpha((unsigned char)*r->at)) { /* {metadata.name}, as kubectl lets pass */
            struct part *part = add_part(r, tail, PART_PATH);
            struct step *step = part->steps = arena_zalloc(r->arena, sizeof(*step));
            if (read_name(r, &step->name) != 0 || read_path(r, &step->next) != 0)
                return -1;
        } else {
            return fail(r, "no expression");
        }
    }
    return 0;
}

static int check_ranges(struct reader *r, const struct part *parts)
{
    int depth = 0;
    for (; parts != NULL; parts = parts->next) {
        depth += (parts->type == PART_RANGE) - (parts->type == PART_END);
        if (depth < 0 || depth > NESTING_MAX)
            return err_set(r->err, ERR_INVALID, depth < 0 ? "{end} without {range}" : "too many {range}");
    }
    return depth == 0 ? 0 : err_set(r->err, ERR_INVALID, "{range} without {end}");
}

struct cli_jsonpath *cli_jsonpath_parse(struct arena *arena, const char *text, struct err *err)
{
    struct reader r = {.arena = arena, .begin = text, .at = text, .err = err};
    struct cli_jsonpath *template = arena_zalloc(arena, sizeof(*template));
    struct part **tail = &template->parts;
    if (strchr(text, '{') == NULL && *text != '\0')
        return read_expressions(&r, &tail) == 0 && check_ranges(&r, template->parts) == 0 ? template : NULL;
    while (*r.at != '\0') {
        size_t len = strcspn(r.at, "{");
        if (len != 0)
            add_part(&r, &tail, PART_TEXT)->text = slice_of(arena_strndup(arena, r.at, len));
        r.at += len;
        if (*r.at == '\0')
            break;
        ++r.at;
        if (read_expressions(&r, &tail) != 0)
            return NULL;
        if (!take(&r, "}")) {
            (void)fail(&r, "\"}\" is missing");
            return NULL;
        }
    }
    return check_ranges(&r, template->parts) == 0 ? template : NULL;
}
