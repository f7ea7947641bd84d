/* Node, MeshConfig: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

static void nodes_and_mesh_config(void **state)
{
    static const struct change changes[] = {
        {KIND_NODE, "spec.role", "\"agent\"", NULL},
        {KIND_NODE, "spec.role", "\"master\"", "spec.role | FieldValueNotSupported"},
        {KIND_MESH_CONFIG, "metadata.name", "\"other\"",
         "metadata.name | FieldValueInvalid | Invalid value: there is one MeshConfig, named default"},
        {KIND_MESH_CONFIG, "spec.trustedProxies", "[\"10.0.0.0/8\",\"::1\"]", NULL},
        {KIND_MESH_CONFIG, "spec.trustedProxies", "[\"ten\"]", "spec.trustedProxies[0] | FieldValueInvalid"},
        {KIND_MESH_CONFIG, "spec.accessLog", "\"log.txt\"",
         "spec.accessLog | FieldValueInvalid | Invalid value: \"log.txt\": must be stdout, off, or the "
         "absolute path of a file"},
        {KIND_MESH_CONFIG, "spec.drainTimeout", "\"1h\"", NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(nodes_and_mesh_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
