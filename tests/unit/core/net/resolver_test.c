/* Against a small DNS server of our own on loopback, which answers as the names say. */
#include "core/net/resolver.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"
#include "core/net/io.h"
#include "tests/unit/lib/net_probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- the server ---- */

static int server_fd;
static pthread_t server_thread;
static atomic_uint num_questions;

struct record {
    const char *name;
    int type; /* 1: A, 28: AAAA, 5: CNAME to "a.test" */
    const char *value;
    unsigned ttl_s;
};

static const struct record records[] = {
    {"alias.test", 5, "a.test", 7}, /* a CNAME goes before what it leads to */
    {"a.test", 1, "10.0.0.2", 60},      {"a.test", 1, "10.0.0.1", 45},    {"a.test", 1, "10.0.0.2", 60},
    {"a.test", 28, "fd00::1", 90},      {"six.test", 28, "fd00::6", 10},  {"zero.test", 1, "10.0.0.9", 0},
    {"long.test", 1, "10.0.0.8", 99999},
};

static size_t put_name(unsigned char *out, const char *name)
{
    unsigned char *start = out;

    for (const char *dot; *name != '\0'; name = *dot != '\0' ? dot + 1 : dot) {
        dot = strchrnul(name, '.');
        *out++ = (unsigned char)(dot - name);
        memcpy(out, name, (size_t)(dot - name));
        out += dot - name;
    }
    *out++ = 0;
    return (size_t)(out - start);
}

static size_t put_record(unsigned char *out, const struct record *record)
{
    unsigned char *p = out + put_name(out, record->name);
    unsigned char value[64];
    size_t len = record->type == 1 ? 4 : 16;

    if (record->type == 5)
        len = put_name(value, record->value);
    else
        inet_pton(record->type == 1 ? AF_INET : AF_INET6, record->value, value);
    *p++ = 0, *p++ = (unsigned char)record->type, *p++ = 0, *p++ = 1;
    for (int shift = 24; shift >= 0; shift -= 8)
        *p++ = (unsigned char)(record->ttl_s >> shift);
    *p++ = 0, *p++ = (unsigned char)len;
    memcpy(p, value, len);
    return (size_t)(p + len - out);
}

static size_t answer(unsigned char *msg, size_t len, const char *name, int type)
{
    unsigned num = 0;
    bool exists = false;
    const char *alias = strcmp(name, "alias.test") == 0 ? "a.test" : name;

    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        exists |= strcmp(records[i].name, name) == 0;
        if (records[i].type == 5 ? strcmp(records[i].name, name) == 0
                                 : strcmp(records[i].name, alias) == 0 && records[i].type == type) {
            len += put_record(msg + len, &records[i]);
            num++;
        }
    }
    msg[2] = 0x84, msg[3] = exists ? 0x80 : 0x83; /* answer, authoritative; NXDOMAIN */
    msg[6] = 0, msg[7] = (unsigned char)num;
    msg[8] = msg[9] = msg[10] = msg[11] = 0;
    return len;
}

static void *serve(void *arg)
{
    unsigned char msg[4096];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t len;

    while ((len = recvfrom(server_fd, msg, 512, 0, (struct sockaddr *)&from, &from_len)) > 12) {
        char name[256] = "";
        unsigned char *p = msg + 12;
        for (; *p != 0; p += *p + 1) {
            strncat(name, name[0] != '\0' ? "." : "", 2);
            strncat(name, (char *)p + 1, *p);
        }
        atomic_fetch_add(&num_questions, 1);
        if (strcmp(name, "silent.test") == 0)
            continue;
        if (strcmp(name, "failing.test") == 0) {
            msg[2] = 0x84, msg[3] = 0x82; /* SERVFAIL */
            (void)!sendto(server_fd, msg, (size_t)len, 0, (struct sockaddr *)&from, from_len);
            continue;
        }
        size_t out = answer(msg, (size_t)(p + 5 - msg), name, p[2]);
        (void)!sendto(server_fd, msg, out, 0, (struct sockaddr *)&from, from_len);
    }
    return NULL;
}

/* ---- lookups ---- */

static struct net_worker *worker;
static unsigned num_done;
static struct strbuf said; /* "10.0.0.1:80 10.0.0.2:80 ttl 45", or the error */
static enum err_code said_code;

static void on_done(void *data, const struct net_resolve_answer *got, const struct err *err)
{
    char text[64];

    num_done++;
    strbuf_reset(&said);
    said_code = got != NULL ? ERR_NONE : err->code;
    if (got == NULL) {
        strbuf_adds(&said, err->text);
        return;
    }
    for (size_t i = 0; i < got->num; i++) {
        net_sockaddr_format((struct sockaddr *)&got->addrs[i], text, sizeof(text));
        strbuf_addf(&said, "%s ", text);
    }
    strbuf_addf(&said, "ttl %u", got->ttl_s);
}

static void expect(const char *name, const char *text)
{
    num_done = 0;
    net_resolve_start(worker, slice_of(name), 80, on_done, NULL);
    assert_int_equal(num_done, 0);
    TURN_UNTIL(worker, num_done == 1);
    assert_string_equal(said.base, text);
}

static char servers[64];

static int setup(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);

    server_fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(server_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    getsockname(server_fd, (struct sockaddr *)&addr, &len);
    pthread_create(&server_thread, NULL, serve, NULL);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", ntohs(addr.sin_port));
    assert_int_equal(net_resolver_configure(servers, 100, 1, NULL), 0);
    worker = net_worker_new(0, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);

    net_resolver_stop();
    net_worker_free(worker);
    getsockname(server_fd, (struct sockaddr *)&addr, &len);
    (void)!sendto(server_fd, "", 1, 0, (struct sockaddr *)&addr, len); /* too short: ends the server */
    pthread_join(server_thread, NULL);
    close(server_fd);
    strbuf_clear(&said);
    net_resolver_configure(NULL, 0, 0, NULL);
    return 0;
}

static void answers_are_sorted_and_have_the_smallest_ttl(void **state)
{
    expect("a.test", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80 ttl 45");
    expect("six.test", "[fd00::6]:80 ttl 10");
    expect("alias.test", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80 ttl 7");
}

static void the_ttl_is_kept_within_limits(void **state)
{
    expect("zero.test", "10.0.0.9:80 ttl 1");
    expect("long.test", "10.0.0.8:80 ttl 300");
}

static void numbers_and_localhost_need_no_server(void **state)
{
    unsigned before = atomic_load(&num_questions);

    expect("127.0.0.5", "127.0.0.5:80 ttl 300");
    expect("fd00::5", "[fd00::5]:80 ttl 300");
    expect("localhost", "127.0.0.1:80 [::1]:80 ttl 300");
    expect("x.LOCALHOST", "127.0.0.1:80 [::1]:80 ttl 300");
    assert_int_equal(atomic_load(&num_questions), before);
}

static void names_of_the_hosts_file_need_no_server(void **state)
{
    char line[256], name[128], address[64], text[256];
    unsigned before = atomic_load(&num_questions);
    FILE *hosts = fopen("/etc/hosts", "r");
    bool has_tried = false;

    while (hosts != NULL && !has_tried && fgets(line, sizeof(line), hosts) != NULL) {
        if (sscanf(line, "%63[0-9.] %127s", address, name) != 2 || strncmp(name, "localhost", 9) == 0)
            continue;
        has_tried = true;
        num_done = 0;
        net_resolve_start(worker, slice_of(name), 80, on_done, NULL);
        TURN_UNTIL(worker, num_done == 1);
        snprintf(text, sizeof(text), "%s:80", address);
        assert_non_null(strstr(said.base, text));
        assert_int_equal(atomic_load(&num_questions), before);
    }
    if (hosts != NULL)
        fclose(hosts);
    if (!has_tried)
        skip();
}

static void failures_say_what_and_why(void **state)
{
    expect("nothing.test", "resolve nothing.test: Domain name not found");
    assert_int_equal(said_code, ERR_NOT_FOUND);
    expect("silent.test", "resolve silent.test: Timeout while contacting DNS servers");
    assert_int_equal(said_code, ERR_TIMEOUT);
    num_done = 0;
    net_resolve_start(worker, SLICE("failing.test"), 80, on_done, NULL);
    TURN_UNTIL(worker, num_done == 1);
    assert_int_equal(said_code, ERR_UNAVAILABLE);
    num_done = 0;
    net_resolve_start(worker, slice_make("a\0b", 3), 80, on_done, NULL);
    net_resolve_start(worker, slice_make("", 0), 80, on_done, NULL);
    TURN_UNTIL(worker, num_done == 2);
    assert_int_equal(said_code, ERR_NOT_FOUND);
}

static void a_cancelled_lookup_is_silent(void **state)
{
    num_done = 0;
    net_resolve_cancel(net_resolve_start(worker, SLICE("a.test"), 80, on_done, NULL));
    net_resolve_start(worker, SLICE("six.test"), 80, on_done, NULL);
    TURN_UNTIL(worker, num_done == 1);
    assert_string_equal(said.base, "[fd00::6]:80 ttl 10");
    assert_null(net_resolve_cancel(NULL));
}

static void stopping_ends_what_is_open(void **state)
{
    num_done = 0;
    for (int i = 0; i < 10; i++)
        net_resolve_start(worker, SLICE("silent.test"), 80, on_done, NULL);
    net_resolver_stop();
    TURN_UNTIL(worker, num_done == 10);
    assert_int_equal(said_code == ERR_UNAVAILABLE || said_code == ERR_TIMEOUT, 1);
    expect("six.test", "[fd00::6]:80 ttl 10"); /* and starts again */
}

/* ---- a configuration that changes: in a file system of our own, where we may have one ---- */

static char conf_path[] = "/tmp/resolver_test.XXXXXX";
static bool has_own_conf;

static void take_own_conf(void)
{
    close(mkstemp(conf_path));
    has_own_conf = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(conf_path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
}

/* The servers of before may never answer: what was asked of them would keep the new ones from being seen. */
static void a_new_configuration_is_taken_while_questions_are_open(void **state)
{
    if (!has_own_conf)
        skip();
    net_resolver_stop();
    assert_int_equal(net_resolver_configure(servers, 60000, 1, NULL), 0);
    unsigned before = atomic_load(&num_questions);
    num_done = 0;
    struct net_resolve *open = net_resolve_start(worker, SLICE("silent.test"), 80, on_done, NULL);
    TURN_UNTIL(worker, atomic_load(&num_questions) == before + 2); /* A and AAAA */
    assert_int_equal(utimensat(AT_FDCWD, conf_path, (struct timespec[]){{1, 0}, {1, 0}}, 0), 0);
    net_resolve_start(worker, SLICE("six.test"), 80, on_done, NULL);
    TURN_UNTIL(worker, num_done == 1);
    assert_string_equal(said.base, "[fd00::6]:80 ttl 10");
    TURN_UNTIL(worker, atomic_load(&num_questions) == before + 6); /* and the open one is asked again */
    net_resolve_cancel(open);
    net_resolver_stop();
    assert_int_equal(net_resolver_configure(servers, 100, 1, NULL), 0);
}

static void many_lookups_at_once(void **state)
{
    num_done = 0;
    for (int i = 0; i < 500; i++)
        net_resolve_start(worker, SLICE("a.test"), 80, on_done, NULL);
    TURN_UNTIL(worker, num_done == 500);
}

static void servers_are_checked(void **state)
{
    struct err err = ERR_INIT;

    net_resolver_stop();
    assert_int_equal(net_resolver_configure("not a server", 0, 0, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_sorted_and_have_the_smallest_ttl),
        cmocka_unit_test(the_ttl_is_kept_within_limits),
        cmocka_unit_test(numbers_and_localhost_need_no_server),
        cmocka_unit_test(names_of_the_hosts_file_need_no_server),
        cmocka_unit_test(failures_say_what_and_why),
        cmocka_unit_test(a_cancelled_lookup_is_silent),
        cmocka_unit_test(stopping_ends_what_is_open),
        cmocka_unit_test(a_new_configuration_is_taken_while_questions_are_open),
        cmocka_unit_test(many_lookups_at_once),
        cmocka_unit_test(servers_are_checked),
    };
    take_own_conf();
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    unlink(conf_path);
    return failed;
}
