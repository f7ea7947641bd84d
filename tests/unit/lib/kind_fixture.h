/* Tests of the resource kinds: a valid object of each, one member changed, the findings expected. Beside arena_setup. */
#ifndef SELVEDGE_TESTS_KIND_FIXTURE_H
#define SELVEDGE_TESTS_KIND_FIXTURE_H

#include "core/model/kinds.h"
#include "tests/unit/lib/json_fixture.h"

/* How an object begins: apiVersion, kind, and metadata with the name "x". */
#define KIND_HEAD(version, kind)                                                                                  \
    "{\"apiVersion\":\"" version "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"x\"}"
/* What begins and ends as a certificate and a key do, base64. */
#define PEM_CERT "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define PEM_KEY "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCi0tLS0tRU5EIFBSSVZBVEUgS0VZLS0tLS0K"

/* A valid object of each kind, as JSON. */
extern const char *const kind_valid[KIND_COUNT];

/* Sets what is at "spec.rules[0].matches[1].path"; what is missing on the way is made. NULL removes. */
void set_at(struct json *at, const char *path, const char *value);
/* "spec.x | FieldValueRequired | Required value", a line a finding. */
const char *findings(const struct field_report *report);
/* As the API reads it: strictly, with defaults, into namespace "default". */
void *kind_read(const struct kind *kind, struct json *object, struct field_report *report);

struct change {
    enum kind_id kind;
    const char *path, *value;
    const char *expected; /* NULL: taken; else what the findings say */
};

/* Fails with the first change that is not found as expected. */
void assert_changes(const struct change *changes, size_t num);

#define KIND_TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

#endif
