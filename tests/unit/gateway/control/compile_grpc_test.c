/* GRPCRoutes: which calls they take, what their backends speak, and who has a host name that an HTTPRoute wants, too. */
#include "tests/unit/lib/world_fixture.h"

#define GRPC(name, created, rest)                                                                            \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: " name ", namespace: default, creationTimestamp: \"" created      \
    "\"}\nspec:\n  parentRefs: [{name: edge}]\n" rest
#define HTTP(name, created, rest)                                                                            \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name ", namespace: default, creationTimestamp: \"" created      \
    "\"}\nspec:\n  parentRefs: [{name: edge}]\n" rest
#define TO_WEB "backendRefs: [{name: web, port: 80}]"
#define OLD "2026-01-01T00:00:00Z"
#define YOUNG "2026-02-01T00:00:00Z"
#define GRPC_ROUTES "gateway.networking.k8s.io/grpcroutes"

static void calls_go_by_service_then_method(void **state)
{
    static const struct {
        const char *path, *route;
    } rows[] = {
        {"/a.B/Get", "default/r/0"},  {"/a.B/Put", "default/r/1"},   {"/a.B", "default/r/1"},      {"/a.Bc/Put", "404"},
        {"/x.Y/Get", "default/r/2"},  {"/x.Y/Other", "404"},         {"/v1.S/Watch", "default/r/3"}, {"/v22.S/WatchAll", "default/r/3"},
        {"/v.S/Watch", "404"},        {"/v1.S/List", "404"},
    };
    struct world *world = compile_world(GRPC("r", OLD,
        "  rules:\n  - {matches: [{method: {service: a.B, method: Get}}], " TO_WEB "}\n  - {matches: [{method: {service: a.B}}], " TO_WEB "}\n"
        "  - {matches: [{method: {method: Get}}], " TO_WEB "}\n"
        "  - {matches: [{method: {type: RegularExpression, service: 'v[0-9]+\\.S|w', method: 'Watch.*'}}], " TO_WEB "}\n"));
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        const char *got = world_request(world, "*:8080", "POST", "x.test", rows[i].path);
        if (strcmp(got, rows[i].route) != 0)
            fail_msg("%s: want %s, got %s", rows[i].path, rows[i].route, got);
    }
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/a.B/Get"), "404"); /* no call is a GET */
    world_free(world);
}

static void without_matches_all_calls_are_taken(void **state)
{
    struct world *world = compile_world(GRPC("r", OLD, "  rules: [{" TO_WEB "}]\n"));
    assert_string_equal(world_request(world, "*:8080", "POST", "x.test", "/any.Thing/At"), "default/r/0");
    world_free(world);
}

static void backends_are_spoken_to_over_http2(void **state)
{
    struct world *world = compile_world(GRPC("g", OLD, "  hostnames: [g.test]\n  rules: [{" TO_WEB "}]\n")
                                            HTTP("h", OLD, "  hostnames: [h.test]\n  rules: [{" TO_WEB "}]\n"));
    assert_non_null(strstr(spec_of(world, "cluster", "service/default/web:80+grpc"), "\"protocol\":\"h2c\""));
    assert_non_null(strstr(spec_of(world, "cluster", "service/default/web:80"), "\"host\""));
    assert_null(strstr(spec_of(world, "cluster", "service/default/web:80"), "h2c"));
    world_free(world);
}

static void expect_winner(const char *grpc_created, const char *http_created, const char *grpc_hosts, const char *http_hosts, bool grpc, bool http)
{
    char text[2048];
    snprintf(text, sizeof(text), GRPC("g", "%s", "%s  rules: [{" TO_WEB "}]\n") HTTP("h", "%s", "%s  rules: [{" TO_WEB "}]\n"), grpc_created, grpc_hosts,
             http_created, http_hosts);
    struct world *world = compile_world(text);
    const struct json *conditions = json_get(json_at(json_get(status_of(world, GRPC_ROUTES, "g"), "parents"), 0), "conditions");
    expect_condition(conditions, "Accepted", grpc ? "True" : "False", grpc ? "Accepted" : "HostnameConflict");
    expect_condition(route_conditions(world, "h", 0), "Accepted", http ? "True" : "False", http ? "Accepted" : "HostnameConflict");
    world_free(world);
}

static void the_older_route_has_the_host_name(void **state)
{
    expect_winner(OLD, YOUNG, "  hostnames: [a.test]\n", "  hostnames: [a.test]\n", true, false);
    expect_winner(YOUNG, OLD, "  hostnames: [a.test]\n", "  hostnames: [a.test]\n", false, true);
    expect_winner(OLD, OLD, "  hostnames: [a.test]\n", "  hostnames: [a.test]\n", true, false); /* "default/g" is before "default/h" */
    expect_winner(OLD, YOUNG, "  hostnames: [a.test]\n", "  hostnames: [b.test]\n", true, true);
    expect_winner(YOUNG, OLD, "  hostnames: ['*.test']\n", "  hostnames: [b.test]\n", false, true);
    expect_winner(OLD, YOUNG, "", "  hostnames: [b.test]\n", true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_go_by_service_then_method),
        cmocka_unit_test(without_matches_all_calls_are_taken),
        cmocka_unit_test(backends_are_spoken_to_over_http2),
        cmocka_unit_test(the_older_route_has_the_host_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
