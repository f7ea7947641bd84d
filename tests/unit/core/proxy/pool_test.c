#include "core/proxy/pool.h"

#include "core/proxy/worker.h"
#include "tests/unit/lib/net_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* An endpoint with the addresses a test gives it, and somebody who listens at one of them. */
static struct {
    struct px_worker worker;
    struct px_cluster cluster;
    struct px_endpoint *endpoint;
    int listener;
    struct px_address alive, unreachable;
} w;

static int setup(void **state)
{
    struct cfg_endpoint config = {.key = SLICE("127.0.0.1:1"), .host = SLICE("127.0.0.1"), .port = 1};
    struct sockaddr_in *nowhere = (struct sockaddr_in *)&w.unreachable.addr;

    w.worker = (struct px_worker){.net = net_worker_new(0, 0, 0)};
    w.cluster = (struct px_cluster){.worker = &w.worker, .limits = px_limits_new(), .max_connections = 10, .connect_timeout_ms = 5000};
    list_init(&w.cluster.endpoints);
    list_init(&w.cluster.waiters);
    w.listener = net_tcp_listen(&w.alive.addr, &w.alive.len);
    *nowhere = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    w.unreachable.len = sizeof(*nowhere);
    w.endpoint = px_endpoint_new(&w.cluster, &config);
    return 0;
}

static int teardown(void **state)
{
    px_endpoint_free(w.endpoint);
    assert_int_equal(atomic_load(&w.cluster.limits->num_connections), 0);
    close(w.listener);
    net_worker_free(w.worker.net);
    px_limits_unref(w.cluster.limits);
    return 0;
}

static void has_addresses(unsigned num, const struct px_address *first, const struct px_address *second)
{
    w.endpoint->addresses[0] = *first;
    w.endpoint->addresses[1] = *second;
    w.endpoint->num_addresses = num;
}

/* A name with IPv6 addresses, where there is no route for them. */
static void an_address_that_cannot_even_be_tried_is_passed_over(void **state)
{
    struct ht_client_conn *conn;

    has_addresses(2, &w.unreachable, &w.alive);
    for (int i = 0; i < 4; i++)
        assert_int_equal(px_pool_take(w.endpoint, true, &conn), PX_POOL_OK);
    has_addresses(2, &w.alive, &w.unreachable);
    for (int i = 0; i < 4; i++)
        assert_int_equal(px_pool_take(w.endpoint, true, &conn), PX_POOL_OK);
    assert_int_equal(w.endpoint->pool.num, 8);
}

static void with_no_address_that_can_be_tried_nothing_is_held(void **state)
{
    struct ht_client_conn *conn;

    has_addresses(2, &w.unreachable, &w.unreachable);
    assert_int_equal(px_pool_take(w.endpoint, false, &conn), PX_POOL_ERROR);
    assert_int_equal(w.endpoint->pool.num, 0);
    assert_int_equal(w.endpoint->counts.connect_fails, 2);
}

static void a_connection_that_is_there_beats_a_new_one_that_may_not_be_made(void **state)
{
    struct ht_client_conn *first, *again;

    has_addresses(1, &w.alive, &w.alive);
    w.cluster.max_connections = 1;
    assert_int_equal(px_pool_take(w.endpoint, false, &first), PX_POOL_OK);
    assert_int_equal(px_pool_take(w.endpoint, true, &again), PX_POOL_OK);
    assert_ptr_equal(first, again);
    list_remove(&first->link); /* as when it is busy */
    list_push(&w.endpoint->pool.full, &first->link);
    assert_int_equal(px_pool_take(w.endpoint, true, &again), PX_POOL_FULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_that_cannot_even_be_tried_is_passed_over),
        TEST(with_no_address_that_can_be_tried_nothing_is_held),
        TEST(a_connection_that_is_there_beats_a_new_one_that_may_not_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
