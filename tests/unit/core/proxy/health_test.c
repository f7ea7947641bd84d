#include "core/proxy/health.h"

#include "core/base/clock.h"
#include "core/route/decide.h"
#include "tests/unit/lib/net_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { UNHEALTHY = 3, HEALTHY = 2 };

static bool step(struct px_health_streak *streak, bool is_good)
{
    return px_health_step(streak, is_good, UNHEALTHY, HEALTHY);
}

static void three_failures_in_a_row_are_unhealthy(void **state)
{
    struct px_health_streak streak = {.is_healthy = true};

    assert_false(step(&streak, false));
    assert_false(step(&streak, false));
    assert_true(step(&streak, false));
    assert_false(streak.is_healthy);
    assert_false(step(&streak, false));
}

static void a_success_in_between_starts_over(void **state)
{
    struct px_health_streak streak = {.is_healthy = true};

    for (int i = 0; i < 10; i++) {
        assert_false(step(&streak, false));
        assert_false(step(&streak, false));
        assert_false(step(&streak, true));
    }
    assert_true(streak.is_healthy);
}

static void recovery_has_its_own_threshold(void **state)
{
    struct px_health_streak streak = {.is_healthy = false};

    assert_false(step(&streak, true));
    assert_true(step(&streak, true));
    assert_true(streak.is_healthy);
}

/* ---- checks while configurations change ---- */

static bool is_found_unhealthy;

static void on_change(void *data, struct slice cluster, struct slice endpoint_key, bool is_healthy)
{
    is_found_unhealthy = !is_healthy;
}

static void add(struct cfg_document *doc, const char *kind, const char *name, const char *text)
{
    struct json *spec = json_parse(doc->arena, slice_of(text), NULL);

    assert_non_null(spec);
    cfg_document_add(doc, slice_of(kind), slice_of(name), 1, spec);
}

static struct px_config *make_config(uint16_t port, const char *path)
{
    struct cfg_document *doc = cfg_document_new();
    char text[256];

    snprintf(text, sizeof(text),
             "{\"host\":\"a\",\"check\":{\"kind\":\"http\",\"path\":\"%s\",\"intervalMs\":100,\"timeoutMs\":300,\"unhealthyThreshold\":1}}",
             path);
    add(doc, "cluster", "c", text);
    snprintf(text, sizeof(text), "{\"endpoints\":[{\"host\":\"127.0.0.1\",\"port\":%u}]}", port);
    add(doc, "endpoints", "c", text);
    assert_int_equal(cfg_document_seal(doc, NULL), 0);
    struct cfg_snapshot *snapshot = rt_snapshot_build(doc, NULL);
    assert_non_null(snapshot);
    (void)cfg_document_free(doc);
    return px_config_new(snapshot, NULL, NULL);
}

/* Somebody who takes connections and never answers, a change every 50 ms, a limit of 300 ms. */
static bool is_silence_found_out(bool is_check_changed)
{
    struct net_worker *main = net_worker_new(0, 0, 0);
    struct px_health *health = px_health_new(main, on_change, NULL);
    struct px_config *now = NULL;
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = net_tcp_listen(&addr, &len);
    uint64_t mono_us = clock_mono_us();

    is_found_unhealthy = false;
    for (int i = 0; i < 40 && !is_found_unhealthy; i++) {
        struct px_config *next =
            make_config(ntohs(((struct sockaddr_in *)&addr)->sin_port), is_check_changed && i % 2 != 0 ? "/odd" : "/even");
        px_health_configure(health, next);
        px_config_unref(now); /* nothing of it is used any more */
        now = next;
        clock_fake(mono_us += 50000, 1700000000000000);
        for (int j = 0; j < 4; j++)
            net_worker_turn(main, 0);
    }
    px_health_free(health);
    px_config_unref(now);
    net_worker_free(main);
    close(listener);
    clock_fake(0, 0);
    return is_found_unhealthy;
}

static void a_check_goes_on_while_other_things_change(void **state)
{
    assert_true(is_silence_found_out(false));
}

static void a_check_that_is_changed_itself_starts_over(void **state)
{
    assert_false(is_silence_found_out(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_in_a_row_are_unhealthy),
        cmocka_unit_test(a_success_in_between_starts_over),
        cmocka_unit_test(recovery_has_its_own_threshold),
        cmocka_unit_test(a_check_goes_on_while_other_things_change),
        cmocka_unit_test(a_check_that_is_changed_itself_starts_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
