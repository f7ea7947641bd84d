/* Unified differences: lines -> which stay (Myers' O(ND) on what is left between common beginning and end) -> hunks.
 *
 * Myers keeps the furthest-reaching path of every diagonal for each number of edits D; walking these back gives the script.
 * That is D*D/2 numbers: D is bounded, beyond it everything between counts as replaced. */
#include "cli/text_diff.h"

enum { CONTEXT = 3, EDITS_MAX = 2000 };

struct lines {
    struct slice *at;
    size_t num;
};

static struct lines split(struct slice text)
{
    struct lines lines = {NULL, 0};
    size_t cap = 0;
    while (text.len != 0) {
        const char *end = memchr(text.base, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.base) + 1 : text.len;
        if (lines.num == cap) {
            cap = MAX(cap * 2, (size_t)64);
            lines.at = xrealloc(lines.at, cap * sizeof(*lines.at));
        }
        lines.at[lines.num++] = slice_make(text.base, len);
        text = slice_make(text.base + len, text.len - len);
    }
    return lines;
}

/* ---------- which lines stay ---------- */

struct compare {
    const struct slice *a, *b; /* what is between common beginning and end */
    int num_a, num_b;
    bool *is_kept_a, *is_kept_b;
};

static int snake(const struct compare *c, int x, int y)
{
    while (x < c->num_a && y < c->num_b && slice_eq(c->a[x], c->b[y])) {
        ++x;
        ++y;
    }
    return x;
}

/* rows[d] holds the furthest x of diagonals -d…d before step d; the last one reached the end with `edits` edits. */
static void walk_back(const struct compare *c, int **rows, int edits)
{
    int x = c->num_a, y = c->num_b;
    for (int d = edits; d >= 0; --d) {
        int k = x - y, prev_x = 0, prev_y = 0;
        if (d > 0) {
            const int *row = rows[d] + d;
            bool is_down = k == -d || (k != d && row[k - 1] < row[k + 1]);
            int prev_k = is_down ? k + 1 : k - 1;
            prev_x = row[prev_k];
            prev_y = prev_x - prev_k;
        }
        while (x > prev_x && y > prev_y) {
            --x;
            --y;
            c->is_kept_a[x] = c->is_kept_b[y] = true;
        }
        x = prev_x;
        y = prev_y;
    }
}

static void keep_common(const struct compare *c)
{
    int max = MIN(c->num_a + c->num_b, EDITS_MAX), d;
    size_t span = 2 * (size_t)max + 3;
    int *now = xcalloc(span, sizeof(*now)), *v = now + max + 1;
    int **rows = xcalloc((size_t)max + 1, sizeof(*rows));
    bool is_done = false;
    for (d = 0; d <= max && !is_done; ++d) {
        rows[d] = xmalloc((2 * (size_t)d + 1) * sizeof(int));
        memcpy(rows[d], v - d, (2 * (size_t)d + 1) * sizeof(int));
        for (int k = -d; k <= d && !is_done; k += 2) {
            bool is_down = k == -d || (k != d && v[k - 1] < v[k + 1]);
            int x = d == 0 ? 0 : is_down ? v[k + 1] : v[k - 1] + 1;
            v[k] = x = x - k <= c->num_b ? snake(c, x, x - k) : x;
            is_done = x >= c->num_a && x - k >= c->num_b;
        }
    }
    if (is_done)
        walk_back(c, rows, d - 1);
    for (int i = 0; i <= max; ++i)
        free(rows[i]);
    free(rows);
    free(now);
}

static void mark_kept(const struct lines *a, const struct lines *b, bool *kept_a, bool *kept_b)
{
    size_t begin = 0, end = 0, shorter = MIN(a->num, b->num);
    while (begin < shorter && slice_eq(a->at[begin], b->at[begin]))
        ++begin;
    while (end < shorter - begin && slice_eq(a->at[a->num - 1 - end], b->at[b->num - 1 - end]))
        ++end;
    for (size_t i = 0; i < begin; ++i)
        kept_a[i] = kept_b[i] = true;
    for (size_t i = 0; i < end; ++i)
        kept_a[a->num - 1 - i] = kept_b[b->num - 1 - i] = true;
    struct compare between = {a->at + begin, b->at + begin, (int)(a->num - begin - end), (int)(b->num - begin - end),
                              kept_a + begin, kept_b + begin};
    if (between.num_a != 0 && between.num_b != 0)
        keep_common(&between);
}

/* ---------- hunks ---------- */

struct edit {
    char sign; /* ' ', '-', '+' */
    struct slice line;
    size_t a, b; /* lines of either text before it */
};

static size_t make_script(const struct lines *a, const struct lines *b, const bool *kept_a, const bool *kept_b, struct edit *script)
{
    size_t num = 0, i = 0, j = 0;
    while (i < a->num || j < b->num) {
        if (i < a->num && !kept_a[i]) {
            script[num++] = (struct edit){'-', a->at[i], i, j};
            ++i;
        } else if (j < b->num && !kept_b[j]) {
            script[num++] = (struct edit){'+', b->at[j], i, j};
            ++j;
        } else {
            script[num++] = (struct edit){' ', a->at[i], i, j};
            ++i;
            ++j;
        }
    }
    return num;
}

/* "@@ -12,3 +12,4 @@": an empty side counts from the line before. */
static void write_range(struct strbuf *out, char sign, size_t first, size_t num)
{
    strbuf_addf(out, "%c%zu", sign, num != 0 ? first + 1 : first);
    if (num != 1)
        strbuf_addf(out, ",%zu", num);
}

static void write_hunk(struct strbuf *out, const struct edit *script, size_t num)
{
    size_t num_a = 0, num_b = 0;
    for (size_t i = 0; i < num; ++i) {
        num_a += script[i].sign != '+';
        num_b += script[i].sign != '-';
    }
    strbuf_adds(out, "@@ ");
    write_range(out, '-', script[0].a, num_a);
    strbuf_addc(out, ' ');
    write_range(out, '+', script[0].b, num_b);
    strbuf_adds(out, " @@\n");
    for (size_t i = 0; i < num; ++i) {
        strbuf_addc(out, script[i].sign);
        strbuf_add_slice(out, script[i].line);
        if (!slice_ends(script[i].line, SLICE("\n")))
            strbuf_adds(out, "\n\\ No newline at end of file\n");
    }
}

static void write_hunks(struct strbuf *out, const struct edit *script, size_t num)
{
    size_t at = 0;
    for (;;) {
        while (at < num && script[at].sign == ' ')
            ++at;
        if (at == num)
            return;
        size_t begin = at - MIN(at, (size_t)CONTEXT), last = at;
        for (; at < num && at - last <= 2 * CONTEXT + 1; ++at)
            if (script[at].sign != ' ')
                last = at;
        at = last + 1;
        write_hunk(out, script + begin, MIN(last + CONTEXT, num - 1) - begin + 1);
    }
}

bool cli_text_diff(struct slice from, struct slice to, const char *from_name, const char *to_name, struct strbuf *out)
{
    if (slice_eq(from, to))
        return false;
    struct lines a = split(from), b = split(to);
    bool *kept = xcalloc(a.num + b.num + 1, sizeof(*kept));
    struct edit *script = xcalloc(a.num + b.num + 1, sizeof(*script));
    mark_kept(&a, &b, kept, kept + a.num);
    strbuf_addf(out, "--- %s\n+++ %s\n", from_name, to_name);
    write_hunks(out, script, make_script(&a, &b, kept, kept + a.num, script));
    free(script);
    free(kept);
    free(a.at);
    free(b.at);
    return true;
}

void cli_text_diff_color(struct slice diff, const char *red, const char *green, const char *cyan, const char *bold, const char *reset,
                         struct strbuf *out)
{
    struct lines lines = split(diff);
    for (size_t i = 0; i < lines.num; ++i) {
        struct slice line = lines.at[i];
        bool is_title = slice_starts(line, SLICE("--- ")) || slice_starts(line, SLICE("+++ "));
        const char *color = is_title ? bold : line.base[0] == '-' ? red : line.base[0] == '+' ? green : line.base[0] == '@' ? cyan : "";
        size_t len = line.len - slice_ends(line, SLICE("\n"));
        strbuf_addf(out, "%s%.*s%s\n", color, (int)len, line.base, *color != '\0' ? reset : "");
    }
    free(lines.at);
}
