#include "cli/client.h"
#include "cli/manifest.h"
#include "cli/resource.h"

#include "tests/unit/cli/cli_fixture.h"

#include <unistd.h>

static int run(struct cli_fixture *fixture, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        ++argc;
    cli_fixture_open(fixture);
    return cli_main(&fixture->cli, argc, argv);
}

#define RUN(fixture, ...) run(fixture, (char *[]){"selvedge", __VA_ARGS__, NULL})

static bool has_word(const char *words, const char *word)
{
    return strstr(words, word) != NULL;
}

static void verbs_are_whole_and_take_options_that_exist(void **state)
{
    for (size_t i = 0; i < cli_num_verbs; ++i) {
        const struct cli_verb *verb = &cli_verbs[i];
        assert_non_null(verb->run);
        assert_true(verb->summary[0] != '\0' && verb->options != NULL);
        assert_true(has_word(verb->examples, "selvedge"));
        assert_ptr_equal(cli_find_verb(verb->name), verb);
        char *names = strdup(verb->options);
        for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
            bool is_known = false;
            for (size_t k = 0; k < cli_num_options; ++k)
                is_known = is_known || strcmp(cli_option_table[k].name, name) == 0;
            if (!is_known)
                fail_msg("%s takes --%s, which does not exist", verb->name, name);
        }
        free(names);
    }
}

static void every_verb_has_help(void **state)
{
    for (size_t i = 0; i < cli_num_verbs; ++i) {
        struct cli_fixture fixture;
        assert_int_equal(RUN(&fixture, (char *)cli_verbs[i].name, "--help"), CLI_OK);
        assert_true(has_word(cli_fixture_out(&fixture), "Examples:"));
        cli_fixture_close(&fixture);
    }
}

static void wrong_command_lines_are_told_on_stderr_with_2(void **state)
{
    static char *lines[][6] = {
        {"selvedge", "nonsense"}, {"selvedge", "get"}, {"selvedge", "get", "nonsense"}, {"selvedge", "apply"}, {"selvedge", "apply", "x"},
        {"selvedge", "get", "gateways", "-o", "xml"}, {"selvedge", "get", "gateways", "-o", "jsonpath={.a"}, {"selvedge", "delete", "gateway"},
        {"selvedge", "delete", "gateway", "x", "--all"}, {"selvedge", "get", "gateway/a", "b"}, {"selvedge", "rollback"}, {"selvedge", "rollback", "x"},
        {"selvedge", "token", "burn"}, {"selvedge", "diff"}, {"selvedge", "explain"}, {"selvedge", "edit", "gateway"}, {"selvedge", "completion", "fish"},
        {"selvedge", "apply", "-f", "x", "--prune"}, {"selvedge", "-f", "x", "apply"}, {"selvedge", "help", "nonsense"}, {"selvedge", "restore", "x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); ++i) {
        struct cli_fixture fixture;
        int status = run(&fixture, lines[i]);
        if (status != CLI_USAGE)
            fail_msg("line %zu (%s %s): %d", i, lines[i][1], lines[i][2] != NULL ? lines[i][2] : "", status);
        assert_string_equal(cli_fixture_out(&fixture), "");
        assert_true(has_word(cli_fixture_err(&fixture), "selvedge"));
        cli_fixture_close(&fixture);
    }
}

static void an_api_that_is_away_is_4_and_names_the_socket(void **state)
{
    struct cli_fixture fixture;
    assert_int_equal(RUN(&fixture, "get", "gateways", "--socket", "/nonexistent/control.sock"), CLI_UNREACHABLE);
    assert_true(has_word(cli_fixture_err(&fixture), "cannot be reached: connect to unix:/nonexistent/control.sock: No such file or directory"));
    cli_fixture_close(&fixture);
}

static void parse(struct cli_fixture *fixture, const char *text, struct cli_manifests *ret, struct err *err, int want)
{
    *ret = (struct cli_manifests){NULL, 0};
    cli_fixture_open(fixture);
    fixture->cli.options.socket = "/nonexistent";
    assert_int_equal(cli_manifests_parse(&fixture->cli, "a.yaml", slice_of(text), ret, err), want);
}

static void documents_are_placed_by_line_and_namespaced(void **state)
{
    struct cli_fixture fixture;
    struct cli_manifests list;
    struct err err = ERR_INIT;
    parse(&fixture,
          "# a comment\n---\n\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n---\n# another\n"
          "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n--- \napiVersion: v1\nkind: List\nitems:\n"
          "- {apiVersion: v1, kind: Service, metadata: {name: b, namespace: other}}\n",
          &list, &err, 0);
    assert_int_equal(list.num, 3);
    assert_string_equal(list.items[0].place, "a.yaml:4");
    assert_string_equal(list.items[0].ns, "");
    assert_string_equal(list.items[1].place, "a.yaml:10");
    assert_string_equal(list.items[1].ns, "default");
    assert_string_equal(json_str(json_find(list.items[1].object, "metadata", "namespace", NULL), ""), "default");
    assert_string_equal(list.items[2].place, "a.yaml:14 items[0]");
    assert_string_equal(list.items[2].ns, "other");
    cli_fixture_close(&fixture);
}

static void broken_files_are_refused_with_their_name(void **state)
{
    struct cli_fixture fixture;
    struct cli_manifests list;
    struct err err = ERR_INIT;
    parse(&fixture, "a: [", &list, &err, -1);
    assert_memory_equal(err.text, "a.yaml: ", 8);
    cli_fixture_close(&fixture);
    parse(&fixture, "a: 1\n---\n- 1\n", &list, &err, -1);
    assert_memory_equal(err.text, "a.yaml:3: ", 10);
    cli_fixture_close(&fixture);
}

static void resources_are_named_in_all_of_kubectls_ways(void **state)
{
    static const struct {
        const char *args[4];
        size_t num;
        enum kind_id last_kind;
        const char *last_name;
    } cases[] = {
        {{"gateways"}, 1, KIND_GATEWAY, NULL},           {{"gtw", "a"}, 1, KIND_GATEWAY, "a"},
        {{"gateway", "a", "b"}, 2, KIND_GATEWAY, "b"},   {{"gateway/a", "svc/b"}, 2, KIND_SERVICE, "b"},
        {{"gateways,svc"}, 2, KIND_SERVICE, NULL},       {{"svc,gateways", "x"}, 2, KIND_GATEWAY, "x"},
        {{"all"}, 1, KIND_SERVICE, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct cli_fixture fixture;
        struct cli_resources got;
        struct cli *cli = cli_fixture_open(&fixture);
        cli->args = (const char **)cases[i].args;
        while (cli->num_args < 3 && cases[i].args[cli->num_args] != NULL)
            ++cli->num_args;
        assert_int_equal(cli_resources_parse(cli, 0, &got), CLI_OK);
        assert_int_equal(got.num, cases[i].num);
        assert_int_equal(got.items[got.num - 1].kind->id, cases[i].last_kind);
        if (cases[i].last_name != NULL)
            assert_string_equal(got.items[got.num - 1].name, cases[i].last_name);
        else
            assert_null(got.items[got.num - 1].name);
        cli_fixture_close(&fixture);
    }
}

/* ---------- where the API is ---------- */

static const char config_text[] =
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
    "clusters:\n- name: c1\n  cluster: {server: 'https://one:7443/', certificate-authority-data: UEVN}\n"
    "- name: c2\n  cluster: {server: 'https://two:7443', insecure-skip-tls-verify: true}\n"
    "- name: c3\n  cluster: {server: 'http://three'}\n"
    "users:\n- name: u\n  user: {token: secret}\n"
    "contexts:\n- name: one\n  context: {cluster: c1, user: u, namespace: shop}\n- name: two\n  context: {cluster: c2}\n"
    "- name: three\n  context: {cluster: c3}\n";

static void contexts_of_a_kubeconfig_are_taken(void **state)
{
    char path[] = "/tmp/selvedge-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, config_text, sizeof(config_text) - 1) == sizeof(config_text) - 1);
    close(fd);
    struct cli_fixture fixture;
    struct cli_server server;
    struct err err = ERR_INIT;
    struct cli *cli = cli_fixture_open(&fixture);
    cli->options.config = path;
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_string_equal(server.url, "https://one:7443");
    assert_string_equal(server.token, "secret");
    assert_true(slice_is(server.ca_pem, "PEM"));
    assert_string_equal(server.ns, "shop");
    assert_null(server.socket_path);
    cli->options.context = "two";
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_true(server.is_insecure);
    cli->options.context = "three"; /* a token must not go over plain HTTP */
    assert_int_equal(cli_server_find(cli, &server, &err), -1);
    cli->options.context = "four";
    assert_int_equal(cli_server_find(cli, &server, &err), -1);
    cli_fixture_close(&fixture);
    unlink(path);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void files_that_a_kubeconfig_names_are_beside_it(void **state)
{
    char folder[] = "/tmp/selvedge-config-XXXXXX", config[64], token[64], ca[64];
    assert_non_null(mkdtemp(folder));
    snprintf(config, sizeof(config), "%s/config", folder);
    snprintf(token, sizeof(token), "%s/t", folder);
    snprintf(ca, sizeof(ca), "%s/ca.crt", folder);
    write_file(token, "secret\n");
    write_file(ca, "PEM");
    write_file(config, "current-context: x\nclusters: [{name: c, cluster: {server: 'https://one:7443', certificate-authority: ca.crt}}]\n"
                       "users: [{name: u, user: {tokenFile: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n");
    struct cli_fixture fixture;
    struct cli_server server;
    struct err err = ERR_INIT;
    struct cli *cli = cli_fixture_open(&fixture);
    cli->options.config = config;
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_string_equal(server.token, "secret");
    assert_true(slice_is(server.ca_pem, "PEM"));
    cli_fixture_close(&fixture);
    unlink(config);
    unlink(token);
    unlink(ca);
    rmdir(folder);
}

static void options_win_over_the_environment(void **state)
{
    struct cli_fixture fixture;
    struct cli_server server;
    struct err err = ERR_INIT;
    struct cli *cli = cli_fixture_open(&fixture);
    setenv("SELVEDGE_SOCKET", "/env.sock", 1);
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_string_equal(server.socket_path, "/env.sock");
    cli->options.socket = "/option.sock";
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_string_equal(server.socket_path, "/option.sock");
    cli->options.server = "https://host:1";
    assert_int_equal(cli_server_find(cli, &server, &err), 0);
    assert_null(server.socket_path);
    cli->options.server = "ftp://host";
    assert_int_equal(cli_server_find(cli, &server, &err), -1);
    unsetenv("SELVEDGE_SOCKET");
    cli_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_whole_and_take_options_that_exist),
        cmocka_unit_test(every_verb_has_help),
        cmocka_unit_test(wrong_command_lines_are_told_on_stderr_with_2),
        cmocka_unit_test(an_api_that_is_away_is_4_and_names_the_socket),
        cmocka_unit_test(documents_are_placed_by_line_and_namespaced),
        cmocka_unit_test(broken_files_are_refused_with_their_name),
        cmocka_unit_test(resources_are_named_in_all_of_kubectls_ways),
        cmocka_unit_test(contexts_of_a_kubeconfig_are_taken),
        cmocka_unit_test(files_that_a_kubeconfig_names_are_beside_it),
        cmocka_unit_test(options_win_over_the_environment),
    };
    unsetenv("SELVEDGE_SOCKET");
    unsetenv("SELVEDGE_SERVER");
    setenv("SELVEDGE_CONFIG", "/dev/null", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
