/* Activation: what is compiled reaches the nodes and the objects, whatever else is written meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/control/activation.h"
#include "tests/unit/lib/held_store_fixture.h"

static struct held_store held;
static struct ctl_distributor *distributor;
static struct ctl_activation *activation;

static struct ctl_key class_key(const char *name)
{
    return (struct ctl_key){SLICE("gateway.networking.k8s.io/gatewayclasses"), SLICE(""), slice_of(name)};
}

static struct ctl_write class_write(const char *name, const char *status)
{
    const char *text = arena_printf(held.arena,
                                    "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":{\"name\":\"%s\"},"
                                    "\"spec\":{\"controllerName\":\"selvedge.dev/gateway\"},\"status\":%s}",
                                    name, status);
    return (struct ctl_write){.op = CTL_PUT, .key = class_key(name), .object = slice_of(text)};
}

static int setup(void **state)
{
    held_store_open(&held);
    struct ctl_write writes[] = {class_write("a", "{}"), class_write("b", "{}")};
    assert_int_not_equal(write_all(held.store, writes, 2, NULL), 0);
    net_worker_turn(held.worker, 0);
    struct ctl_distributor_config config = {.worker = held.worker, .epoch = ctl_store_epoch(held.store)};
    distributor = ctl_distributor_new(&config);
    return 0;
}

static int teardown(void **state)
{
    net_jobs_stop();
    net_worker_turn(held.worker, 0);
    activation = ctl_activation_free(activation);
    distributor = ctl_distributor_free(distributor);
    held_store_close(&held);
    return 0;
}

static bool is_accepted(const char *name)
{
    const struct json *status = held_store_status(&held, class_key(name));
    return json_get(status, "conditions") != NULL;
}

/* Somebody writes the status of one object while the compiler's statuses are under way: that is no change to compile for. */
static void another_ones_status_costs_no_status(void **state)
{
    struct ctl_write write = class_write("a", "{\"conditions\":[]}");
    struct ctl_txn txn;
    write.is_status = true;
    held_store_write(&held, &txn, &write);
    activation = ctl_activation_new(held.worker, held.store, held.cache, distributor);
    held_store_release(&held);
    while (!is_accepted("b"))
        net_worker_turn(held.worker, 20);
    assert_int_not_equal(json_get(held_store_status(&held, class_key("a")), "conditions")->num, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_ones_status_costs_no_status, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
