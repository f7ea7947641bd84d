/* The YAML 1.2 core schema by hand: six regular expressions' worth. */
#include "core/base/yaml_scalar.h"

#include "core/base/json_number.h"

#include <stdio.h>

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; ++words)
        if (slice_is(text, *words))
            return true;
    return false;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* 0o17 and 0x1F. */
static bool is_based(struct slice text, int *ret_base)
{
    if (text.len < 3 || text.base[0] != '0' || (text.base[1] != 'o' && text.base[1] != 'x'))
        return false;
    *ret_base = text.base[1] == 'o' ? 8 : 16;
    for (size_t i = 2; i < text.len; ++i)
        if (digit_value(text.base[i]) >= *ret_base)
            return false;
    return true;
}

static bool based_value(struct slice text, int base, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 2; i < text.len; ++i) {
        if (value > (UINT64_MAX - 15) / (uint64_t)base)
            return false;
        value = value * (uint64_t)base + (uint64_t)digit_value(text.base[i]);
    }
    *ret = value;
    return true;
}

static size_t digits_at(struct slice text, size_t from)
{
    size_t at = from;
    while (at < text.len && text.base[at] >= '0' && text.base[at] <= '9')
        ++at;
    return at - from;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_decimal(struct slice text)
{
    size_t at = text.len != 0 && (text.base[0] == '-' || text.base[0] == '+');
    size_t whole = digits_at(text, at), fraction = 0;
    at += whole;
    if (at < text.len && text.base[at] == '.') {
        fraction = digits_at(text, at + 1);
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (at < text.len && (text.base[at] | 0x20) == 'e') {
        ++at;
        at += at < text.len && (text.base[at] == '-' || text.base[at] == '+');
        size_t exponent = digits_at(text, at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == text.len;
}

enum yaml_scalar yaml_scalar_kind(struct slice text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const not_json[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                           "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    int base;
    uint64_t ignored;
    if (is_one_of(text, nulls))
        return YAML_SCALAR_NULL;
    if (is_one_of(text, trues))
        return YAML_SCALAR_TRUE;
    if (is_one_of(text, falses))
        return YAML_SCALAR_FALSE;
    if (is_one_of(text, not_json))
        return YAML_SCALAR_NOT_JSON;
    if (is_based(text, &base))
        return based_value(text, base, &ignored) ? YAML_SCALAR_NUMBER : YAML_SCALAR_NOT_JSON;
    return is_decimal(text) ? YAML_SCALAR_NUMBER : YAML_SCALAR_STRING;
}

struct slice yaml_scalar_number(struct arena *arena, struct slice text)
{
    int base;
    uint64_t value;
    if (json_number_span(text) == text.len)
        return arena_slice(arena, text);
    if (is_based(text, &base) && based_value(text, base, &value))
        return slice_of(arena_printf(arena, "%llu", (unsigned long long)value));
    /* YAML also allows a plus sign, leading zeros, and no digits on one side of the point. */
    char *out = arena_alloc(arena, text.len + 2), *start = out;
    size_t at = 0;
    if (text.base[0] == '-')
        *out++ = '-';
    at += text.base[0] == '-' || text.base[0] == '+';
    while (at + 1 < text.len && text.base[at] == '0' && digits_at(text, at + 1) != 0)
        ++at;
    if (text.base[at] == '.')
        *out++ = '0';
    for (; at < text.len; ++at)
        if (text.base[at] != '.' || digits_at(text, at + 1) != 0)
            *out++ = text.base[at];
    *out = '\0';
    return slice_make(start, (size_t)(out - start));
}

bool yaml_scalar_is_safe_string(struct slice text)
{
    static const char *const words[] = {"y",    "n",     "yes",  "no", "on", "off",
                                        "true", "false", "null", "=",  "<<", NULL};
    char lower[8];
    if (yaml_scalar_kind(text) != YAML_SCALAR_STRING)
        return false;
    if (text.len < sizeof(lower)) {
        for (size_t i = 0; i < text.len; ++i)
            lower[i] =
                (char)(text.base[i] >= 'A' && text.base[i] <= 'Z' ? text.base[i] | 0x20 : text.base[i]);
        if (is_one_of(slice_make(lower, text.len), words))
            return false;
    }
    /* Numbers of 1.1 (1_000, 0b1, 12:30:00) and dates: all start with a digit and hold little else. */
    size_t sign = text.base[0] == '-' || text.base[0] == '+' || text.base[0] == '.';
    if (digits_at(text, sign) == 0)
        return true;
    for (size_t i = sign; i < text.len; ++i)
        if (strchr("0123456789abcdefABCDEFxXoTZtz_:.+- ", text.base[i]) == NULL || text.base[i] == '\0')
            return true;
    return false;
}
