/* JSON numbers are decimals of any size; nothing here goes through a double. */
#include "core/base/json_number.h"

/* A point beyond this is "huge". The bound is on the value, not on how it is spelled; the exponents read on
 * the way may be larger, and sums with a digit count still do not overflow. */
static const int64_t POINT_MAX = INT64_MAX / 32, EXPONENT_MAX = INT64_MAX / 16;
/* Written plainly while the decimal point stays this close to the digits (the bounds ECMAScript prints by).
 */
enum { PLAIN_POINT_MIN = -5, PLAIN_POINT_MAX = 21 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_span(struct slice text, size_t from)
{
    size_t at = from;
    while (at < text.len && is_digit(text.base[at]))
        ++at;
    return at - from;
}

size_t json_number_span(struct slice text)
{
    size_t at = 0, n;
    if (at < text.len && text.base[at] == '-')
        ++at;
    if ((n = digits_span(text, at)) == 0)
        return 0;
    if (text.base[at] == '0' && n > 1)
        return 0;
    at += n;
    if (at < text.len && text.base[at] == '.') {
        if ((n = digits_span(text, at + 1)) == 0)
            return 0;
        at += 1 + n;
    }
    if (at < text.len && (text.base[at] == 'e' || text.base[at] == 'E')) {
        size_t sign = at + 1 < text.len && (text.base[at + 1] == '+' || text.base[at + 1] == '-');
        if ((n = digits_span(text, at + 1 + sign)) == 0)
            return 0;
        at += 1 + sign + n;
    }
    return at;
}

static int64_t read_exponent(const char *at, const char *end, bool *ret_huge)
{
    int64_t value = 0;
    bool is_negative = at < end && *at == '-';
    if (at < end && !is_digit(*at))
        ++at;
    for (; at < end; ++at) {
        value = value * 10 + (*at - '0');
        if (value > EXPONENT_MAX) {
            *ret_huge = true;
            return 0;
        }
    }
    return is_negative ? -value : value;
}

struct json_number json_number_read(struct slice text)
{
    struct json_number n = {.is_negative = text.len != 0 && text.base[0] == '-'};
    const char *at = text.base + n.is_negative, *end = text.base + text.len, *mantissa_end = at;
    while (mantissa_end < end && (is_digit(*mantissa_end) || *mantissa_end == '.'))
        ++mantissa_end;
    const char *dot = memchr(at, '.', (size_t)(mantissa_end - at));
    if (dot == NULL)
        dot = mantissa_end;
    if (mantissa_end < end)
        n.point = read_exponent(mantissa_end + 1, end, &n.is_huge);

    const char *first = at, *last = mantissa_end;
    while (first < mantissa_end && (*first == '0' || *first == '.'))
        ++first;
    if (first == mantissa_end) { /* zero, whatever its sign and exponent */
        return (struct json_number){.at = first, .end = first};
    }
    while (last[-1] == '0' || last[-1] == '.')
        --last;
    n.at = first;
    n.end = last;
    n.num_digits = (size_t)(last - first) - (dot > first && dot < last ? 1 : 0);
    n.point += first < dot ? dot - first : -(first - dot - 1);
    n.is_huge |= n.point > POINT_MAX || n.point < -POINT_MAX;
    return n;
}

static const char *next_digit(const char *at)
{
    return *at == '.' ? at + 1 : at;
}

bool json_number_equal(struct slice a, struct slice b)
{
    struct json_number x = json_number_read(a), y = json_number_read(b);
    if (x.is_huge || y.is_huge)
        return slice_eq(a, b);
    if (x.num_digits != y.num_digits || x.is_negative != y.is_negative || x.point != y.point)
        return false;
    for (; x.at < x.end; ++x.at, ++y.at) {
        x.at = next_digit(x.at);
        y.at = next_digit(y.at);
        if (*x.at != *y.at)
            return false;
    }
    return true;
}

static void write_plain(struct strbuf *out, struct json_number n)
{
    if (n.point <= 0)
        strbuf_adds(out, "0.");
    for (int64_t i = n.point; i < 0; ++i)
        strbuf_addc(out, '0');
    int64_t written = 0;
    for (; n.at < n.end; ++n.at, ++written) {
        n.at = next_digit(n.at);
        if (written == n.point && n.point > 0)
            strbuf_addc(out, '.');
        strbuf_addc(out, *n.at);
    }
    for (; written < n.point; ++written)
        strbuf_addc(out, '0');
}

static void write_scientific(struct strbuf *out, struct json_number n)
{
    strbuf_addc(out, *n.at++);
    if (n.num_digits > 1)
        strbuf_addc(out, '.');
    for (; n.at < n.end; ++n.at)
        if (*n.at != '.')
            strbuf_addc(out, *n.at);
    strbuf_addf(out, "e%lld", (long long)(n.point - 1));
}

void json_number_write(struct strbuf *out, struct slice text)
{
    struct json_number n = json_number_read(text);
    if (n.is_huge) {
        strbuf_add_slice(out, text);
        return;
    }
    if (n.num_digits == 0) {
        strbuf_addc(out, '0');
        return;
    }
    if (n.is_negative)
        strbuf_addc(out, '-');
    if (n.point >= PLAIN_POINT_MIN && n.point <= PLAIN_POINT_MAX)
        write_plain(out, n);
    else
        write_scientific(out, n);
}
