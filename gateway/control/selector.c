/* Selectors: a small lexer, one function for each shape of requirement, and the matching.
 *
 * Grammar (Kubernetes): requirement *( "," requirement ), where requirement is
 *   [ "!" ] KEY  |  KEY ( "=" | "==" | "!=" ) VALUE  |  KEY ( "in" | "notin" ) "(" VALUE *( "," VALUE ) ")"
 * KEY is [PREFIX/]NAME with a DNS subdomain as prefix; NAME and VALUE are at most 63 of [A-Za-z0-9._-] that
 * begin and end with a letter or digit; a VALUE may be empty. */
#include "gateway/control/selector.h"

enum { TEXT_MAX = 4096, REQUIREMENTS_MAX = 64, VALUES_MAX = 256, NAME_MAX_LEN = 63, PREFIX_MAX_LEN = 253 };

struct lexer {
    struct slice text;
    size_t at;
    struct arena *arena;
    size_t num_values;
    struct err *err;
};

/* ---------- characters ---------- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_alnum(c) || c == '.' || c == '_' || c == '-' || c == '/';
}

static bool is_name(struct slice text)
{
    if (text.len == 0 || text.len > NAME_MAX_LEN || !is_alnum(text.base[0]) ||
        !is_alnum(text.base[text.len - 1]))
        return false;
    return memchr(text.base, '/', text.len) == NULL;
}

/* Lower case, labels of letters, digits and dashes. */
static bool is_subdomain(struct slice text)
{
    char before = '.';
    if (text.len == 0 || text.len > PREFIX_MAX_LEN)
        return false;
    for (size_t i = 0; i < text.len; ++i) {
        char c = text.base[i];
        bool is_lower_alnum = is_alnum(c) && !(c >= 'A' && c <= 'Z');
        if (c == '.' ? !is_alnum(before) : c == '-' ? before == '.' : !is_lower_alnum)
            return false;
        before = c;
    }
    return is_alnum(before);
}

static bool is_key(struct slice text)
{
    const char *slash = memchr(text.base, '/', text.len);
    if (slash == NULL)
        return is_name(text);
    size_t prefix = (size_t)(slash - text.base);
    return is_subdomain(slice_make(text.base, prefix)) &&
           is_name(slice_make(slash + 1, text.len - prefix - 1));
}

/* ---------- the lexer ---------- */

static char peek(struct lexer *lexer)
{
    while (lexer->at < lexer->text.len && strchr(" \t\r\n", lexer->text.base[lexer->at]) != NULL &&
           lexer->text.base[lexer->at] != '\0')
        ++lexer->at;
    return lexer->at < lexer->text.len ? lexer->text.base[lexer->at] : '\0';
}

static bool at_end(struct lexer *lexer)
{
    (void)peek(lexer); /* past the blanks */
    return lexer->at >= lexer->text.len;
}

static bool accept(struct lexer *lexer, char c)
{
    if (at_end(lexer) || peek(lexer) != c)
        return false;
    ++lexer->at;
    return true;
}

static struct slice word(struct lexer *lexer)
{
    (void)peek(lexer); /* past the blanks */
    size_t from = lexer->at;
    while (lexer->at < lexer->text.len && is_word(lexer->text.base[lexer->at]))
        ++lexer->at;
    return slice_make(lexer->text.base + from, lexer->at - from);
}

static int fail(struct lexer *lexer, const char *expected)
{
    return err_set(lexer->err, ERR_BAD_REQUEST, "selector, character %zu: %s expected", lexer->at + 1,
                   expected);
}

/* ---------- requirements ---------- */

static int read_value(struct lexer *lexer, struct slice *ret)
{
    struct slice text = word(lexer);
    if (text.len != 0 && !is_name(text))
        return fail(lexer, "a label value (at most 63 letters, digits, '-', '_', '.')");
    if (++lexer->num_values > VALUES_MAX)
        return err_set(lexer->err, ERR_BAD_REQUEST, "selector: more than %d values", VALUES_MAX);
    *ret = arena_slice(lexer->arena, text);
    return 0;
}

static int read_one_value(struct lexer *lexer, struct ctl_requirement *ret)
{
    ret->values = arena_alloc(lexer->arena, sizeof(*ret->values));
    ret->num_values = 1;
    return read_value(lexer, ret->values);
}

static int read_set(struct lexer *lexer, struct ctl_requirement *ret)
{
    struct slice values[VALUES_MAX];
    if (!accept(lexer, '('))
        return fail(lexer, "'('");
    do {
        if (ret->num_values == VALUES_MAX)
            return err_set(lexer->err, ERR_BAD_REQUEST, "selector: more than %d values", VALUES_MAX);
        if (read_value(lexer, &values[ret->num_values++]) != 0)
            return -1;
    } while (accept(lexer, ','));
    if (!accept(lexer, ')'))
        return fail(lexer, "',' or ')'");
    ret->values = arena_dup(lexer->arena, values, ret->num_values * sizeof(*values));
    return 0;
}

static int read_operator(struct lexer *lexer, struct ctl_requirement *ret)
{
    if (at_end(lexer) || peek(lexer) == ',') {
        ret->op = CTL_EXISTS;
        return 0;
    }
    if (accept(lexer, '=')) {
        (void)accept(lexer, '='); /* "==" is the same */
        ret->op = CTL_IN;
        return read_one_value(lexer, ret);
    }
    if (accept(lexer, '!')) {
        ret->op = CTL_NOT_IN;
        return accept(lexer, '=') ? read_one_value(lexer, ret) : fail(lexer, "'='");
    }
    struct slice name = word(lexer);
    if (!slice_is(name, "in") && !slice_is(name, "notin"))
        return fail(lexer, "'=', '!=', 'in', 'notin' or ','");
    ret->op = name.len == 2 ? CTL_IN : CTL_NOT_IN;
    return read_set(lexer, ret);
}

static int read_requirement(struct lexer *lexer, struct ctl_requirement *ret)
{
    *ret = (struct ctl_requirement){.op = CTL_EXISTS};
    bool is_absent = accept(lexer, '!');
    struct slice key = word(lexer);
    if (!is_key(key))
        return fail(lexer, "a label key");
    ret->key = arena_slice(lexer->arena, key);
    if (!is_absent)
        return read_operator(lexer, ret);
    ret->op = CTL_ABSENT;
    return 0;
}

int ctl_selector_parse(struct arena *arena, struct slice text, struct ctl_selector *ret, struct err *err)
{
    struct lexer lexer = {.text = text, .arena = arena, .err = err};
    struct ctl_requirement found[REQUIREMENTS_MAX];
    size_t num = 0;
    if (text.len > TEXT_MAX)
        return err_set(err, ERR_BAD_REQUEST, "selector: longer than %d characters", TEXT_MAX);
    if (!at_end(&lexer)) {
        do {
            if (num == REQUIREMENTS_MAX)
                return err_set(err, ERR_BAD_REQUEST, "selector: more than %d requirements", REQUIREMENTS_MAX);
            if (read_requirement(&lexer, &found[num++]) != 0)
                return -1;
        } while (accept(&lexer, ','));
        if (!at_end(&lexer))
            return fail(&lexer, "','");
    }
    ret->requirements = arena_dup(arena, found, num * sizeof(*found));
    ret->num = num;
    return 0;
}

/* ---------- matching ---------- */

static const struct slice *find_label(const struct ctl_label *labels, size_t num, struct slice key)
{
    for (size_t i = 0; i < num; ++i) /* a handful */
        if (slice_eq(labels[i].key, key))
            return &labels[i].value;
    return NULL;
}

static bool is_one_of(const struct ctl_requirement *requirement, struct slice value)
{
    for (size_t i = 0; i < requirement->num_values; ++i)
        if (slice_eq(requirement->values[i], value))
            return true;
    return false;
}

static bool holds(const struct ctl_requirement *requirement, const struct ctl_label *labels, size_t num)
{
    const struct slice *value = find_label(labels, num, requirement->key);
    switch (requirement->op) {
    case CTL_EXISTS:
        return value != NULL;
    case CTL_ABSENT:
        return value == NULL;
    case CTL_IN:
        return value != NULL && is_one_of(requirement, *value);
    case CTL_NOT_IN:
        break;
    }
    return value == NULL || !is_one_of(requirement, *value);
}

bool ctl_selector_matches(const struct ctl_selector *selector, const struct ctl_label *labels, size_t num)
{
    for (size_t i = 0; i < selector->num; ++i)
        if (!holds(&selector->requirements[i], labels, num))
            return false;
    return true;
}

/* ---------- writing and copying ---------- */

void ctl_selector_write(struct strbuf *out, const struct ctl_selector *selector)
{
    for (size_t i = 0; i < selector->num; ++i) {
        const struct ctl_requirement *requirement = &selector->requirements[i];
        strbuf_adds(out, i != 0 ? "," : "");
        strbuf_adds(out, requirement->op == CTL_ABSENT ? "!" : "");
        strbuf_add_slice(out, requirement->key);
        if (requirement->op == CTL_EXISTS || requirement->op == CTL_ABSENT)
            continue;
        strbuf_adds(out, requirement->op == CTL_IN ? " in (" : " notin (");
        for (size_t j = 0; j < requirement->num_values; ++j) {
            strbuf_adds(out, j != 0 ? "," : "");
            strbuf_add_slice(out, requirement->values[j]);
        }
        strbuf_addc(out, ')');
    }
}

struct ctl_selector ctl_selector_copy(struct arena *arena, const struct ctl_selector *selector)
{
    struct ctl_selector copy = {
        arena_dup(arena, selector->requirements, selector->num * sizeof(*copy.requirements)), selector->num};
    for (size_t i = 0; i < copy.num; ++i) {
        struct ctl_requirement *requirement = &copy.requirements[i];
        requirement->key = arena_slice(arena, requirement->key);
        requirement->values =
            arena_dup(arena, requirement->values, requirement->num_values * sizeof(*requirement->values));
        for (size_t j = 0; j < requirement->num_values; ++j)
            requirement->values[j] = arena_slice(arena, requirement->values[j]);
    }
    return copy;
}

/* ---------- fields ---------- */

static const char *const field_names[] = {
    [CTL_FIELD_NAME] = "metadata.name",
    [CTL_FIELD_NAMESPACE] = "metadata.namespace",
};

static int find_field(struct slice name, enum ctl_field *ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(field_names); ++i) {
        if (slice_is(name, field_names[i])) {
            *ret = (enum ctl_field)i;
            return 0;
        }
    }
    return err_set(err, ERR_BAD_REQUEST,
                   "field selector: \"%.*s\" is not supported; metadata.name and metadata.namespace are",
                   (int)MIN(name.len, 100), name.base);
}

/* Up to the next comma that is not escaped; `ret` is decoded. */
static int read_field_value(struct lexer *lexer, struct slice *ret)
{
    char *out = arena_alloc(lexer->arena, lexer->text.len - lexer->at + 1);
    size_t len = 0;
    for (; lexer->at < lexer->text.len && lexer->text.base[lexer->at] != ','; ++lexer->at) {
        char c = lexer->text.base[lexer->at];
        if (c == '=')
            return fail(lexer, "'\\='");
        if (c == '\\') {
            if (++lexer->at == lexer->text.len || strchr("\\,=", lexer->text.base[lexer->at]) == NULL ||
                lexer->text.base[lexer->at] == '\0')
                return fail(lexer, "'\\', ',' or '='");
            c = lexer->text.base[lexer->at];
        }
        out[len++] = c;
    }
    *ret = slice_make(out, len);
    return 0;
}

static int read_field(struct lexer *lexer, struct ctl_field_requirement *ret)
{
    if (find_field(word(lexer), &ret->field, lexer->err) != 0)
        return -1;
    ret->is_not = accept(lexer, '!');
    if (!accept(lexer, '='))
        return fail(lexer, "'=' or '!='");
    if (!ret->is_not)
        (void)accept(lexer, '='); /* "==" is the same */
    return read_field_value(lexer, &ret->value);
}

int ctl_field_selector_parse(struct arena *arena, struct slice text, struct ctl_field_selector *ret,
                             struct err *err)
{
    struct lexer lexer = {.text = text, .arena = arena, .err = err};
    struct ctl_field_requirement found[REQUIREMENTS_MAX];
    size_t num = 0;
    if (text.len > TEXT_MAX)
        return err_set(err, ERR_BAD_REQUEST, "field selector: longer than %d characters", TEXT_MAX);
    while (!at_end(&lexer)) {
        if (num == REQUIREMENTS_MAX)
            return err_set(err, ERR_BAD_REQUEST, "field selector: more than %d requirements",
                           REQUIREMENTS_MAX);
        if (read_field(&lexer, &found[num++]) != 0)
            return -1;
        if (accept(&lexer, ',') && at_end(&lexer))
            return fail(&lexer, "a field");
    }
    ret->requirements = arena_dup(arena, found, num * sizeof(*found));
    ret->num = num;
    return 0;
}

bool ctl_field_selector_matches(const struct ctl_field_selector *selector, struct slice ns, struct slice name)
{
    for (size_t i = 0; i < selector->num; ++i) {
        const struct ctl_field_requirement *requirement = &selector->requirements[i];
        struct slice actual = requirement->field == CTL_FIELD_NAME ? name : ns;
        if (slice_eq(actual, requirement->value) == requirement->is_not)
            return false;
    }
    return true;
}

struct ctl_field_selector ctl_field_selector_copy(struct arena *arena,
                                                  const struct ctl_field_selector *selector)
{
    struct ctl_field_selector copy = {
        arena_dup(arena, selector->requirements, selector->num * sizeof(*copy.requirements)), selector->num};
    for (size_t i = 0; i < copy.num; ++i)
        copy.requirements[i].value = arena_slice(arena, copy.requirements[i].value);
    return copy;
}
