#include "core/base/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { REQUESTS, OPEN, SECONDS, BUSY, SIZES, NUM };

static const uint64_t size_bounds[] = {100, 1000, 0};
static const struct metric_desc table[NUM] = {
    [REQUESTS] = {"test_requests_total",
                  METRIC_COUNTER,
                  "Requests by host.\nAnd \\ class.",
                  {"host", "class"},
                  .max_series = 3},
    [OPEN] = {"test_connections", METRIC_GAUGE, "Open connections."},
    [SECONDS] = {"test_duration_seconds",
                 METRIC_HISTOGRAM,
                 "How long it took.",
                 {"route"},
                 .max_series = 2,
                 .scale = 1e-6},
    [BUSY] = {"test_busy_seconds_total", METRIC_COUNTER, "Time spent.", .scale = 1e-6},
    [SIZES] = {"test_size_bytes", METRIC_HISTOGRAM, "Sizes.", .bounds = size_bounds},
};

static void assert_written(struct metrics *const *shards, unsigned num, const char *expected)
{
    struct strbuf out = STRBUF_INIT;
    metrics_write(&out, shards, num);
    if (strstr(out.base, expected) == NULL)
        fail_msg("not in the text: %s\n%s", expected, out.base);
    strbuf_clear(&out);
}

static void assert_not_written(struct metrics *const *shards, unsigned num, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    metrics_write(&out, shards, num);
    if (strstr(out.base, text) != NULL)
        fail_msg("in the text: %s\n%s", text, out.base);
    strbuf_clear(&out);
}

static struct metric *open_request(struct metrics *metrics, const char *host, const char *class)
{
    return metrics_open(metrics, REQUESTS, (struct slice[]){slice_of(host), slice_of(class)});
}

static void an_unused_table_shows_its_label_less_metrics(void **state)
{
    struct metrics *metrics = metrics_new(table, NUM);
    struct strbuf out = STRBUF_INIT;
    metrics_write(&out, &metrics, 1);
    assert_string_equal(out.base, "# HELP test_connections Open connections.\n"
                                  "# TYPE test_connections gauge\n"
                                  "test_connections 0\n"
                                  "# HELP test_busy_seconds_total Time spent.\n"
                                  "# TYPE test_busy_seconds_total counter\n"
                                  "test_busy_seconds_total 0\n"
                                  "# HELP test_size_bytes Sizes.\n"
                                  "# TYPE test_size_bytes histogram\n"
                                  "test_size_bytes_bucket{le=\"100\"} 0\n"
                                  "test_size_bytes_bucket{le=\"1000\"} 0\n"
                                  "test_size_bytes_bucket{le=\"+Inf\"} 0\n"
                                  "test_size_bytes_sum 0\n"
                                  "test_size_bytes_count 0\n");
    strbuf_clear(&out);
    metrics_free(metrics);
}

static void shards_are_merged_and_sorted(void **state)
{
    struct metrics *shards[2] = {metrics_new(table, NUM), metrics_new(table, NUM)};
    metric_add(open_request(shards[0], "b", "2xx"), 2);
    metric_add(open_request(shards[1], "b", "2xx"), 3);
    metric_add(open_request(shards[1], "a", "5xx"), 1);
    metric_move(metrics_open(shards[0], OPEN, NULL), 5);
    metric_move(metrics_open(shards[1], OPEN, NULL), -2);
    metric_add(metrics_open(shards[0], BUSY, NULL), 1500000);
    struct slice route = SLICE("r");
    metric_record(metrics_open(shards[0], SECONDS, &route), 1500);
    metric_record(metrics_open(shards[1], SECONDS, &route), 700000);
    assert_written(shards, 2,
                   "# HELP test_requests_total Requests by host.\\nAnd \\\\ class.\n"
                   "# TYPE test_requests_total counter\n"
                   "test_requests_total{host=\"a\",class=\"5xx\"} 1\n"
                   "test_requests_total{host=\"b\",class=\"2xx\"} 5\n");
    assert_written(shards, 2, "test_connections 3\n");
    assert_written(shards, 2, "test_busy_seconds_total 1.5\n");
    assert_written(shards, 2,
                   "test_duration_seconds_bucket{route=\"r\",le=\"0.001\"} 0\n"
                   "test_duration_seconds_bucket{route=\"r\",le=\"0.0025\"} 1\n");
    assert_written(shards, 2, "test_duration_seconds_bucket{route=\"r\",le=\"1\"} 2\n");
    assert_written(shards, 2,
                   "test_duration_seconds_sum{route=\"r\"} 0.7015\n"
                   "test_duration_seconds_count{route=\"r\"} 2\n");
    assert_written(shards, 1, "test_connections 5\n");
    metrics_free(shards[0]);
    metrics_free(shards[1]);
}

static void label_values_are_escaped_cut_and_made_utf8(void **state)
{
    struct metrics *metrics = metrics_new(table, NUM);
    char value[300];
    metrics_add(metrics, REQUESTS, (struct slice[]){SLICE("a\"b\\c\nd"), SLICE("\xff\0z")}, 1);
    assert_written(&metrics, 1, "{host=\"a\\\"b\\\\c\\nd\",class=\"??z\"} 1\n");
    memset(value, 'x', sizeof(value));
    memcpy(value + METRIC_VALUE_MAX - 1, "\xe2\x82\xac", 3);
    metrics_add(metrics, REQUESTS, (struct slice[]){slice_make(value, sizeof(value)), SLICE("")}, 1);
    assert_written(&metrics, 1, "xxx\",class=\"\"} 1\n");
    assert_not_written(&metrics, 1, "\xe2");
    metrics_free(metrics);
}

static void the_same_values_are_the_same_series(void **state)
{
    struct metrics *metrics = metrics_new(table, NUM);
    struct metric *a = open_request(metrics, "a", "b");
    assert_ptr_equal(a, open_request(metrics, "a", "b"));
    assert_ptr_not_equal(a, open_request(metrics, "ab", ""));
    metrics_free(metrics);
}

static void what_is_beyond_the_limit_is_counted_as_other(void **state)
{
    struct metrics *metrics = metrics_new(table, NUM);
    for (int i = 0; i < 1000; ++i) {
        char host[16];
        snprintf(host, sizeof(host), "h%d", i);
        metric_add(open_request(metrics, host, "2xx"), 1); /* never closed: none makes room */
    }
    assert_written(&metrics, 1,
                   "test_requests_total{host=\"h0\",class=\"2xx\"} 1\n"
                   "test_requests_total{host=\"h1\",class=\"2xx\"} 1\n"
                   "test_requests_total{host=\"h2\",class=\"2xx\"} 1\n"
                   "test_requests_total{host=\"other\",class=\"other\"} 997\n# HELP test_connections");
    metrics_free(metrics);
}

static void closed_series_make_room_and_sums_stay(void **state)
{
    struct metrics *metrics = metrics_new(table, NUM);
    struct metric *held = open_request(metrics, "held", "");
    metric_add(held, 10);
    metrics_add(metrics, REQUESTS, (struct slice[]){SLICE("first"), SLICE("")}, 1);
    metrics_add(metrics, REQUESTS, (struct slice[]){SLICE("second"), SLICE("")}, 2);
    metrics_add(metrics, REQUESTS, (struct slice[]){SLICE("first"), SLICE("")},
                1); /* now "second" is the oldest */
    metrics_add(metrics, REQUESTS, (struct slice[]){SLICE("third"), SLICE("")}, 3);
    assert_written(&metrics, 1,
                   "test_requests_total{host=\"first\",class=\"\"} 2\n"
                   "test_requests_total{host=\"held\",class=\"\"} 10\n"
                   "test_requests_total{host=\"other\",class=\"other\"} 2\n"
                   "test_requests_total{host=\"third\",class=\"\"} 3\n");
    metrics_close(metrics, held);
    metrics_close(metrics, NULL);
    for (int i = 0; i < 50; ++i) {
        struct slice route = slice_make((const char *)&i, 1);
        struct metric *metric = metrics_open(metrics, SECONDS, &route);
        metric_record(metric, 1000);
        metrics_close(metrics, metric);
    }
    assert_written(&metrics, 1, "test_duration_seconds_count{route=\"other\"} 48\n");
    metrics_free(metrics);
}

struct race {
    struct metrics *metrics;
    atomic_bool is_done;
};

static void *write_much(void *arg)
{
    struct race *race = arg;
    for (unsigned i = 0; i < 20000; ++i) {
        char host[16];
        struct slice route = SLICE("r");
        snprintf(host, sizeof(host), "h%u", i % 7);
        metrics_add(race->metrics, REQUESTS, (struct slice[]){slice_of(host), SLICE("")}, 1);
        struct metric *metric = metrics_open(race->metrics, SECONDS, &route);
        metric_record(metric, i * i);
        metrics_close(race->metrics, metric);
    }
    atomic_store(&race->is_done, true);
    return NULL;
}

static void sum_requests(const struct metric_view *view, void *data)
{
    if (view->id == REQUESTS)
        *(uint64_t *)data += view->count;
}

static void reading_while_counting_never_sees_sums_drop(void **state)
{
    struct race race = {.metrics = metrics_new(table, NUM)};
    pthread_t thread;
    uint64_t before = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_much, &race), 0);
    while (!atomic_load(&race.is_done)) {
        uint64_t sum = 0;
        metrics_each(&race.metrics, 1, sum_requests, &sum);
        assert_true(sum >= before);
        before = sum;
    }
    pthread_join(thread, NULL);
    before = 0;
    metrics_each(&race.metrics, 1, sum_requests, &before);
    assert_int_equal(before, 20000);
    metrics_free(race.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unused_table_shows_its_label_less_metrics),
        cmocka_unit_test(shards_are_merged_and_sorted),
        cmocka_unit_test(label_values_are_escaped_cut_and_made_utf8),
        cmocka_unit_test(the_same_values_are_the_same_series),
        cmocka_unit_test(what_is_beyond_the_limit_is_counted_as_other),
        cmocka_unit_test(closed_series_make_room_and_sums_stay),
        cmocka_unit_test(reading_while_counting_never_sees_sums_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
