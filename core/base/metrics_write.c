/* Prometheus text, exposition format 0.0.4. */
#include "core/base/metrics.h"

#include <stdio.h>

/* Latencies in microseconds: from what a proxy adds to what a browser waits. */
static const uint64_t latency_bounds_us[] = {1000,   2500,   5000,    10000,   25000,   50000,    100000,
                                             250000, 500000, 1000000, 2500000, 5000000, 10000000, 0};

struct writer {
    struct strbuf *out;
    unsigned last_id; /* the metric whose header has been written, + 1 */
};

static void write_escaped(struct strbuf *out, struct slice text, bool in_quotes)
{
    for (size_t i = 0; i < text.len; ++i) {
        char c = text.base[i];
        if (c == '\\')
            strbuf_adds(out, "\\\\");
        else if (c == '\n')
            strbuf_adds(out, "\\n");
        else if (c == '"' && in_quotes)
            strbuf_adds(out, "\\\"");
        else
            strbuf_addc(out, c);
    }
}

static void write_header(struct strbuf *out, const struct metric_desc *desc)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    strbuf_addf(out, "# HELP %s ", desc->name);
    write_escaped(out, slice_of(desc->help), false);
    strbuf_addf(out, "\n# TYPE %s %s\n", desc->name, types[desc->type]);
}

/* Up to the space before the value. `le` is NULL or one more label. */
static void write_name(struct strbuf *out, const struct metric_view *view, const char *suffix, const char *le)
{
    const char *separator = "{";
    strbuf_adds(out, view->desc->name);
    strbuf_adds(out, suffix);
    for (unsigned i = 0; i < METRIC_LABELS_MAX && view->desc->labels[i] != NULL; ++i) {
        strbuf_adds(out, separator);
        strbuf_adds(out, view->desc->labels[i]);
        strbuf_adds(out, "=\"");
        write_escaped(out, view->values[i], true);
        strbuf_addc(out, '"');
        separator = ",";
    }
    if (le != NULL) {
        strbuf_addf(out, "%sle=\"%s\"", separator, le);
        separator = ",";
    }
    strbuf_adds(out, separator[0] == ',' ? "} " : " ");
}

static double scale_of(const struct metric_desc *desc)
{
    return desc->scale != 0 ? desc->scale : 1;
}

static void write_count(struct strbuf *out, uint64_t count)
{
    strbuf_addu(out, count);
    strbuf_addc(out, '\n');
}

static void write_scaled(struct strbuf *out, double value, const struct metric_desc *desc)
{
    strbuf_addf(out, "%.15g\n", value * scale_of(desc));
}

static void write_histogram(struct strbuf *out, const struct metric_view *view)
{
    const uint64_t *bounds = view->desc->bounds != NULL ? view->desc->bounds : latency_bounds_us;
    uint64_t total = histogram_count(view->histogram);
    for (; *bounds != 0; ++bounds) {
        char le[32];
        snprintf(le, sizeof(le), "%.15g", (double)*bounds * scale_of(view->desc));
        write_name(out, view, "_bucket", le);
        write_count(out, histogram_count_up_to(view->histogram, *bounds));
    }
    write_name(out, view, "_bucket", "+Inf");
    write_count(out, total);
    write_name(out, view, "_sum", NULL);
    write_scaled(out, (double)histogram_sum(view->histogram), view->desc);
    write_name(out, view, "_count", NULL);
    write_count(out, total);
}

static void on_series(const struct metric_view *view, void *data)
{
    struct writer *writer = data;
    if (writer->last_id != view->id + 1)
        write_header(writer->out, view->desc);
    writer->last_id = view->id + 1;
    if (view->desc->type == METRIC_HISTOGRAM) {
        write_histogram(writer->out, view);
        return;
    }
    write_name(writer->out, view, "", NULL);
    bool is_counter = view->desc->type == METRIC_COUNTER;
    if (scale_of(view->desc) != 1)
        write_scaled(writer->out, is_counter ? (double)view->count : (double)view->level, view->desc);
    else if (is_counter)
        write_count(writer->out, view->count);
    else
        strbuf_addf(writer->out, "%lld\n", (long long)view->level);
}

void metrics_write(struct strbuf *out, struct metrics *const *shards, unsigned num)
{
    struct writer writer = {.out = out};
    metrics_each(shards, num, on_series, &writer);
}
