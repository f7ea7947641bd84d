#include "gateway/control/api_proto.h"

#include "tests/unit/lib/json_fixture.h"

#include <string.h>

static struct slice bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *out = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; ++i) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (char)byte;
    }
    return slice_make(out, len);
}

static void assert_reads(const char *hex, const char *want)
{
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    struct json *got = api_proto_read(arena, bytes_of(hex), &err);
    if (got == NULL)
        fail_msg("%s", err.text);
    json_write(&text, got);
    if (!json_equal(got, must_parse(want)))
        fail_msg("got %s, want %s", text.base, want);
    strbuf_clear(&text);
}

static void assert_refused(struct slice body, enum err_code code, const char *why)
{
    struct err err = ERR_INIT;
    assert_null(api_proto_read(arena, body, &err));
    assert_int_equal(err.code, code);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

/* As kubectl 1.33 sends them. */
static void what_kubectl_sends_reads_as_its_json(void **state)
{
    assert_reads("6b3873000a0f0a02763112094e616d657370616365121c0a140a0473686f7012001a0022002a0032003800420012001a020a001a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\"},\"spec\":{}}");
    assert_reads("6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a01611201621a001a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"Yg==\"}}");
    assert_reads("6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a016312001a0022002a0032003800420012060a01611201621a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"b\"}}");
    assert_reads("6b3873000a0d0a02763112075365727669636512660a1d0a02637312001a0022002a003200380042005a090a036170701202637312410a1b0a07"
                 "38302d38303830120354435018502207080010903f1a00280012090a03617070120263731a002209436c757374657249503a00420052005a0060"
                 "0068001a020a001a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"cs\",\"labels\":{\"app\":\"cs\"}},"
                 "\"spec\":{\"ports\":[{\"name\":\"80-8080\",\"protocol\":\"TCP\",\"port\":80,\"targetPort\":8080}],"
                 "\"selector\":{\"app\":\"cs\"},\"type\":\"ClusterIP\"}}");
}

static void what_a_pointer_says_is_kept_even_when_it_is_nothing(void **state)
{
    assert_reads("6b3873000a240a13646973636f766572792e6b38732e696f2f7631120d456e64706f696e74536c696365129a010a680a057765622d3112001a"
                 "0764656661756c74380342080880e2cfaa0610005a060a01611201626a170a07536572766963651a037765622201752a02763130008a01260a01"
                 "6d12054170706c7932084669656c647356313a100a0e7b22663a706f727473223a7b7d7d121d0a0831302e302e302e310a0831302e302e302e32"
                 "12040800100132016e1a090a00120354435018502204495076341a002200",
                 "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"addressType\":\"IPv4\","
                 "\"metadata\":{\"name\":\"web-1\",\"namespace\":\"default\",\"generation\":3,\"creationTimestamp\":\"2023-11-14T22:13:20Z\","
                 "\"labels\":{\"a\":\"b\"},\"ownerReferences\":[{\"kind\":\"Service\",\"name\":\"web\",\"uid\":\"u\",\"apiVersion\":\"v1\","
                 "\"controller\":false}],\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\",\"fieldsType\":\"FieldsV1\","
                 "\"fieldsV1\":{\"f:ports\":{}}}]},"
                 "\"endpoints\":[{\"addresses\":[\"10.0.0.1\",\"10.0.0.2\"],\"conditions\":{\"ready\":false,\"serving\":true},\"nodeName\":\"n\"}],"
                 "\"ports\":[{\"name\":\"\",\"protocol\":\"TCP\",\"port\":80}]}");
    assert_reads("6b3873000a130a027631120d44656c6574654f7074696f6e73121d080012080a03752d31120137220a466f726567726f756e642a03416c6c1a00"
                 "2200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"gracePeriodSeconds\":0,"
                 "\"preconditions\":{\"uid\":\"u-1\",\"resourceVersion\":\"7\"},\"propagationPolicy\":\"Foreground\",\"dryRun\":[\"All\"]}");
    assert_reads("6b3873000a0d0a02763112075365727669636512300a030a016112290a0d0a017018502206080010001a000a150a01711851220a080110001a04"
                 "6874747028b0ea01a001001a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"name\":\"p\",\"port\":80},"
                 "{\"name\":\"q\",\"port\":81,\"targetPort\":\"http\",\"nodePort\":30000}],\"allocateLoadBalancerNodePorts\":false}}");
}

static void a_field_that_is_not_known_is_refused_only_when_it_says_something(void **state)
{
    assert_reads("6b3873000a0f0a0276311209436f6e6669674d617012080a030a01619a06001a002200",
                 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}");
    assert_refused(bytes_of("6b3873000a0f0a0276311209436f6e6669674d617012090a030a01619a0601781a002200"), ERR_BAD_REQUEST, "field 99 of ConfigMap");
}

static void what_is_malformed_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *hex;
        enum err_code code;
        const char *why;
    } cases[] = {
        {"", ERR_BAD_REQUEST, "begin"},
        {"7b7d", ERR_BAD_REQUEST, "begin"},
        {"6b387300", ERR_MEDIA_TYPE, "not taken"},
        {"6b3873000a080a02763112025041", ERR_MEDIA_TYPE, "v1 PA"},           /* a kind without tables */
        {"6b3873000aff", ERR_BAD_REQUEST, "envelope"},                       /* a length that goes on */
        {"6b3873000a05", ERR_BAD_REQUEST, "envelope"},                       /* longer than what is there */
        {"6b38730000", ERR_BAD_REQUEST, "envelope"},                         /* field 0 */
        {"6b3873000d00000000", ERR_BAD_REQUEST, "envelope"},                 /* a fixed width */
        {"6b3873000a0f0a0276311209436f6e6669674d617012020801", ERR_BAD_REQUEST, "metadata is malformed"}, /* a number for a message */
        {"6b3873000a0f0a0276311209436f6e6669674d617012050a030a01ff", ERR_BAD_REQUEST, "name is not UTF-8"},
        {"6b3873000a0f0a0276311209436f6e6669674d617012080a03610000", ERR_BAD_REQUEST, "malformed"},
        {"6b3873000a0f0a0276311209436f6e6669674d617012100a0012060a016112016212040a0161", ERR_BAD_REQUEST, ""},
        {"6b3873000a0f0a0276311209436f6e6669674d6170120e12050a0161120012050a01611200", ERR_BAD_REQUEST, "twice"},
        {"6b3873000a0f0a0276311209436f6e6669674d6170120f0a0d420b08ffffffffffffffff7f", ERR_BAD_REQUEST, "malformed"}, /* a time out of range */
        {"6b3873000a0f0a0276311209436f6e6669674d617012001a04677a6970", ERR_MEDIA_TYPE, "not taken"}, /* an encoding */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i)
        assert_refused(bytes_of(cases[i].hex), cases[i].code, cases[i].why);
}

static void every_cut_of_a_body_is_read_or_refused(void **state)
{
    struct slice whole = bytes_of("6b3873000a130a027631120d44656c6574654f7074696f6e73121d080012080a03752d31120137220a466f726567726f756e642a0341"
                                  "6c6c1a002200");
    for (size_t len = 0; len < whole.len; ++len) {
        struct err err = ERR_INIT;
        struct json *got = api_proto_read(arena, slice_make(whole.base, len), &err);
        assert_true((got == NULL) == (err.code != ERR_NONE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_kubectl_sends_reads_as_its_json, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_a_pointer_says_is_kept_even_when_it_is_nothing, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_field_that_is_not_known_is_refused_only_when_it_says_something, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_is_malformed_is_refused_with_its_place, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(every_cut_of_a_body_is_read_or_refused, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
