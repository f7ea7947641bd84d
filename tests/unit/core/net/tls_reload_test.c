/* Certificates are replaced while handshakes run on several workers: none fails, nothing is freed too early or twice. */
#include "core/net/tls_context.h"

#include "core/base/clock.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/net_probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NUM_WORKERS = 3, NUM_HANDSHAKES = 100 };

static struct test_cert ca;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct net_tls_server *current;
static struct net_tls_client *client;
static atomic_uint num_good, num_bad, num_running;

/* A fresh certificate from the same authority, for one named host and for the rest. */
static struct net_tls_server *new_server(void)
{
    static const char *const dns[] = {"a.example", NULL};
    struct test_cert cert;

    test_cert_make(&cert, &ca, &(struct test_cert_spec){.dns = dns});
    struct net_tls_pair pair = {slice_of(cert.cert_pem), slice_of(cert.key_pem), "test"};
    struct net_tls_host hosts[] = {{"a.example", &pair, 1}, {"", &pair, 1}};
    struct net_tls_server *server = net_tls_server_new(
        &(struct net_tls_server_config){.name = "listener", .hosts = hosts, .num_hosts = 2}, NULL);
    test_cert_clear(&cert);
    return server;
}

static struct net_tls_server *take_current(void)
{
    pthread_mutex_lock(&lock);
    struct net_tls_server *server = net_tls_server_ref(current);
    pthread_mutex_unlock(&lock);
    return server;
}

static void replace_current(struct net_tls_server *server)
{
    pthread_mutex_lock(&lock);
    struct net_tls_server *old = current;
    current = server;
    pthread_mutex_unlock(&lock);
    net_tls_server_unref(old);
}

static bool shake_hands(struct net_worker *worker, const char *sni)
{
    struct net_probe a, b;
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = net_tcp_listen(&addr, &len);
    struct net_tls_server *server = take_current();

    net_probe_init(&a);
    net_probe_init(&b);
    if (net_io_connect(&a.io, worker, (struct sockaddr *)&addr, len, net_tls_client_ctx(client), sni,
                       (struct slice){NULL, 0}, &net_probe_ops, NULL) != 0)
        abort();
    net_io_init_server(&b.io, worker, accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC),
                       net_tls_server_ctx(server), &net_probe_ops);
    net_tls_server_unref(server); /* the handshake itself holds what it needs */
    close(listener);
    net_io_write(&a.io, &(struct iovec){"ping", 4}, 1);
    TURN_UNTIL(worker, b.got.len == 4 || a.num_errors + b.num_errors != 0);
    bool is_good = b.got.len == 4 && a.num_errors + b.num_errors == 0;
    net_probe_clear(&a);
    net_probe_clear(&b);
    return is_good;
}

static void *work(void *arg)
{
    struct net_worker *worker = net_worker_new(0, 0, 0);

    for (int i = 0; i < NUM_HANDSHAKES; i++)
        atomic_fetch_add(shake_hands(worker, i % 2 == 0 ? "a.example" : NULL) ? &num_good : &num_bad, 1);
    net_worker_free(worker);
    atomic_fetch_sub(&num_running, 1);
    return NULL;
}

static void no_handshake_fails_while_certificates_change(void **state)
{
    pthread_t threads[NUM_WORKERS];
    unsigned num_reloads = 0;

    test_cert_make(&ca, NULL, &(struct test_cert_spec){.is_ca = true});
    client = net_tls_client_new(
        &(struct net_tls_client_config){.ca_pem = slice_of(ca.cert_pem), .hostname = "a.example"}, NULL);
    current = new_server();
    atomic_store(&num_running, NUM_WORKERS);
    for (int i = 0; i < NUM_WORKERS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (; atomic_load(&num_running) != 0; num_reloads++)
        replace_current(new_server());
    for (int i = 0; i < NUM_WORKERS; i++)
        pthread_join(threads[i], NULL);
    replace_current(NULL);
    net_tls_client_unref(client);
    test_cert_clear(&ca);
    assert_true(num_reloads != 0);
    assert_int_equal(atomic_load(&num_bad), 0);
    assert_int_equal(atomic_load(&num_good), NUM_WORKERS * NUM_HANDSHAKES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_handshake_fails_while_certificates_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
