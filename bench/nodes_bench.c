/* What many nodes cost the control process: how soon a change is on all of them, and what a restart of it does to them.
 *
 * nodes_bench [-n NODES=1000] [-c CHANGES=50] [-g GATEWAY=bin/selvedge-gateway] [-d FOLDER=.]: starts a control process of
 * its own in FOLDER/nodes_bench-PID (removed after), joins NODES nodes with one token and real certificate requests, and
 * runs as many config streams (core/node/config_stream) over mutual TLS in this process. Then it changes a route CHANGES
 * times, kills control and starts it again, and ends it cleanly and starts it again. Latencies count from before the call
 * that makes the change. All nodes share the machine with control: the figures are upper bounds. */
#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/http/session.h"
#include "core/net/identity.h"
#include "core/node/config_stream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOINERS = 8, MAX_BODY = 64 * 1024 * 1024, WAIT_US = 60 * 1000000, PROBE_US = 5000, PACE_US = 150000 };

extern char **environ;

struct node {
    struct node_config_stream *stream;
    char name[32], cert_path[600], key_path[600];
    char *key, *csr;
    _Atomic uint64_t applied_rev;
    atomic_bool is_connected;
};

static struct bench {
    const char *gateway;
    char folder[512], data[560], socket[600], ca[600], url[64], address[32];
    pid_t control;
    unsigned num_nodes, num_changes;
    struct node *nodes;
    char token[256];
    atomic_uint next_join, num_failed, num_applied;
    _Atomic uint64_t wanted_rev, asked_us;
    uint32_t *latencies_us; /* of every node and change; filled by the nodes' threads */
    atomic_uint num_latencies;
    atomic_ulong longest_us; /* that GET /livez took since it was last set to 0 */
    atomic_bool is_probing, is_over;
} bench;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "nodes_bench: %s: %s\n", what, why);
    if (bench.control > 0)
        kill(bench.control, SIGKILL);
    exit(1);
}

/* ---------- calls ---------- */

struct answer {
    unsigned status;
    struct strbuf body;
};

static void on_answer(void *data, const struct ht_response *response, const struct err *err)
{
    struct answer *answer = data;
    answer->status = response->status;
    strbuf_add_slice(&answer->body, response->body);
}

/* Over the unix socket, as the host's administrator. Status 0: no answer. The body is the caller's to clear. */
static struct answer call(const char *method, const char *path, const char *type, const char *body)
{
    struct answer answer = {0, STRBUF_INIT};
    char header[96];
    const char *const headers[] = {header, NULL};
    struct ht_session_config server = {.url = "http://local", .unix_path = bench.socket};
    snprintf(header, sizeof(header), "content-type: %s", type);
    struct ht_request request = {.method = method, .target = path, .headers = headers, .timeout_ms = 30000};
    if (body != NULL)
        request.body = slice_of(body);
    (void)ht_call_once(&server, &request, NULL, NULL, on_answer, &answer, NULL); /* status 0 tells */
    return answer;
}

/* A number or text of the answer; dies when the call failed. */
static void call_for(const char *method, const char *path, const char *type, const char *body, const char *member, char *out, size_t cap)
{
    struct answer answer = call(method, path, type, body);
    struct arena *arena = arena_new(0);
    struct json *tree = json_parse(arena, strbuf_slice(&answer.body), NULL);
    const struct json *value = json_get(tree, member);
    if (value == NULL)
        value = json_find(tree, "metadata", member, NULL);
    if (answer.status / 100 != 2 || value == NULL)
        die(path, answer.body.base != NULL ? answer.body.base : "no answer");
    snprintf(out, cap, "%.*s", (int)value->text.len, value->text.base);
    arena_free(arena);
    strbuf_clear(&answer.body);
}

/* ---------- the control process ---------- */

static void pick_address(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || getsockname(fd, (struct sockaddr *)&in, &len) != 0)
        die("a free port", "none");
    close(fd);
    snprintf(bench.address, sizeof(bench.address), "127.0.0.1:%u", (unsigned)ntohs(in.sin_port));
    snprintf(bench.url, sizeof(bench.url), "https://%s", bench.address);
}

static void start_control(void)
{
    char log[600];
    char *args[] = {(char *)bench.gateway, "control", "--data", bench.data, "--api", bench.address, NULL};
    posix_spawn_file_actions_t actions;
    snprintf(log, sizeof(log), "%s/control.log", bench.folder);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (posix_spawn(&bench.control, bench.gateway, &actions, NULL, args, environ) != 0)
        die(bench.gateway, "cannot be started");
    posix_spawn_file_actions_destroy(&actions);
    for (uint64_t until = clock_mono_us() + WAIT_US;; usleep(1000)) {
        struct answer answer = call("GET", "/readyz", "text/plain", NULL);
        strbuf_clear(&answer.body);
        if (answer.status == 200)
            return;
        if (clock_mono_us() > until || waitpid(bench.control, NULL, WNOHANG) != 0)
            die("control", "does not start; see control.log");
    }
}

static void end_control(int signal_number)
{
    kill(bench.control, signal_number);
    (void)waitpid(bench.control, NULL, 0); /* it is ours, so it is there */
    bench.control = 0;
}

static double memory_mb(void)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)bench.control);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (double)kb / 1024;
}

/* Processor time of all threads of control. */
static double cpu_us(void)
{
    char path[400];
    unsigned long long ns, total = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)bench.control);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)bench.control, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%llu", &ns) == 1)
            total += ns;
        fclose(file);
    }
    if (dir != NULL)
        closedir(dir);
    return (double)total / 1000;
}

/* ---------- is the loop alive ---------- */

static void *probe(void *data)
{
    for (; !atomic_load(&bench.is_over); usleep(PROBE_US)) {
        if (!atomic_load(&bench.is_probing))
            continue;
        uint64_t begun_us = clock_mono_us();
        struct answer answer = call("GET", "/livez", "text/plain", NULL);
        unsigned long us = (unsigned long)(clock_mono_us() - begun_us);
        strbuf_clear(&answer.body);
        if (answer.status == 200 && us > atomic_load(&bench.longest_us))
            atomic_store(&bench.longest_us, us);
    }
    return NULL;
}

/* ---------- nodes ---------- */

static void prepare_nodes(void)
{
    struct err err = ERR_INIT;
    bench.nodes = xcalloc(bench.num_nodes, sizeof(*bench.nodes));
    for (unsigned i = 0; i < bench.num_nodes; ++i) {
        struct node *node = &bench.nodes[i];
        snprintf(node->name, sizeof(node->name), "node-%u", i);
        snprintf(node->cert_path, sizeof(node->cert_path), "%s/%s.crt", bench.folder, node->name);
        snprintf(node->key_path, sizeof(node->key_path), "%s/%s.key", bench.folder, node->name);
        if (net_identity_new_key(&node->key, &err) != 0 || net_identity_request(slice_of(node->key), &node->csr, &err) != 0)
            die("make a key", err.text);
    }
}

static void write_file(const char *path, struct slice text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(text.base, 1, text.len, file) != text.len || fclose(file) != 0)
        die(path, "cannot be written");
}

static void join(struct node *node)
{
    static const char *const headers[] = {"content-type: application/json", NULL};
    struct arena *arena = arena_new(0);
    struct json *body = json_new_object(arena);
    struct strbuf text = STRBUF_INIT;
    struct answer answer = {0, STRBUF_INIT};
    json_set_str(arena, body, "token", bench.token);
    json_set_str(arena, body, "name", node->name);
    json_set_str(arena, body, "csr", node->csr);
    json_write(&text, body);
    struct ht_session_config server = {.url = bench.url, .ca_file = bench.ca};
    struct ht_request request = {.target = "/selvedge/v1/join", .headers = headers, .body = strbuf_slice(&text)};
    (void)ht_call_once(&server, &request, NULL, NULL, on_answer, &answer, NULL); /* status 0 tells */
    struct slice cert = json_slice(json_get(json_parse(arena, strbuf_slice(&answer.body), NULL), "certificate"));
    if (answer.status / 100 != 2 || cert.base == NULL)
        die("join", answer.body.base != NULL ? answer.body.base : "no answer");
    write_file(node->cert_path, cert);
    write_file(node->key_path, slice_of(node->key));
    strbuf_clear(&answer.body);
    strbuf_clear(&text);
    arena_free(arena);
}

static void *join_some(void *data)
{
    for (unsigned i; (i = atomic_fetch_add(&bench.next_join, 1)) < bench.num_nodes;)
        join(&bench.nodes[i]);
    return NULL;
}

static int on_apply(void *data, const struct cfg_document *doc, struct arena *arena, struct json *findings, struct err *err)
{
    struct node *node = data;
    uint64_t wanted = atomic_load(&bench.wanted_rev), before = atomic_exchange(&node->applied_rev, doc->rev);
    if (wanted != 0 && before < wanted && doc->rev >= wanted) {
        bench.latencies_us[atomic_fetch_add(&bench.num_latencies, 1)] = (uint32_t)(clock_mono_us() - atomic_load(&bench.asked_us));
        atomic_fetch_add(&bench.num_applied, 1);
    }
    return 0;
}

static void on_connected(void *data, bool is_connected, const char *why)
{
    struct node *node = data;
    /* What is refused or broken off while control runs is a failure; that it was away is not. */
    if (!is_connected && !atomic_load(&node->is_connected) && strncmp(why, "HTTP status", 11) == 0) {
        atomic_fetch_add(&bench.num_failed, 1);
        fprintf(stderr, "%s: %s\n", node->name, why);
    }
    atomic_store(&node->is_connected, is_connected);
}

static void start_nodes(void)
{
    struct err err = ERR_INIT;
    for (unsigned i = 0; i < bench.num_nodes; ++i) {
        struct node *node = &bench.nodes[i];
        struct node_config_stream_config config = {.url = bench.url, .node = node->name, .role = "gateway", .ca_file = bench.ca, .cert_file = node->cert_path};
        config.key_file = node->key_path;
        config.version = "bench";
        config.apply = on_apply;
        config.on_connected = on_connected;
        config.data = node;
        if ((node->stream = node_config_stream_start(&config, &err)) == NULL)
            die(node->name, err.text);
    }
}

/* ---------- waiting ---------- */

/* How many connected nodes control says run `rev`, refused it, have yet to say. */
static unsigned num_synced(uint64_t rev, unsigned *ret_rejected)
{
    char path[96];
    snprintf(path, sizeof(path), "/selvedge/v1/revisions/%llu/status", (unsigned long long)rev);
    struct answer answer = call("GET", path, "text/plain", NULL);
    struct arena *arena = arena_new(0);
    struct json *tree = json_parse(arena, strbuf_slice(&answer.body), NULL);
    unsigned synced = (unsigned)json_int_or(json_get(tree, "synced"), 0);
    *ret_rejected = (unsigned)json_int_or(json_get(tree, "rejected"), 0);
    arena_free(arena);
    strbuf_clear(&answer.body);
    return synced;
}

static uint64_t wait_synced(uint64_t rev, const char *what)
{
    unsigned rejected = 0;
    for (uint64_t until = clock_mono_us() + WAIT_US; num_synced(rev, &rejected) < bench.num_nodes; usleep(2000))
        if (clock_mono_us() > until || rejected != 0)
            die(what, rejected != 0 ? "nodes refused" : "not all nodes within a minute");
    return clock_mono_us();
}

/* ---------- what is measured ---------- */

static const char setup[] = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: default}\n"
                            "spec: {gatewayClassName: selvedge, listeners: [{name: http, port: 8080, protocol: HTTP}]}\n"
                            "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {ports: [{name: http, port: 80}]}\n"
                            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: default}\n"
                            "spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}\n";

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void print_latencies(const char *what, uint32_t *us, unsigned num)
{
    qsort(us, num, sizeof(*us), compare);
    printf("%-42s p50 %6.1f ms, p99 %6.1f ms, max %6.1f ms\n", what, us[num / 2] / 1e3, us[num * 99 / 100] / 1e3, us[num - 1] / 1e3);
}

static uint64_t change_route(unsigned number)
{
    char body[256], rev[32];
    snprintf(body, sizeof(body),
             "{\"spec\":{\"rules\":[{\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/v%u\"}}],\"backendRefs\":[{\"name\":\"web\",\"port\":80}]}]}}", number);
    call_for("PATCH", "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web", "application/merge-patch+json", body, "resourceVersion", rev,
             sizeof(rev));
    return strtoull(rev, NULL, 10);
}

static void measure_changes(void)
{
    uint32_t *acknowledged_us = xcalloc(bench.num_changes, sizeof(uint32_t));
    bench.latencies_us = xcalloc((size_t)bench.num_nodes * bench.num_changes + 1, sizeof(uint32_t));
    double cpu = cpu_us();
    for (unsigned i = 0; i < bench.num_changes; ++i) {
        atomic_store(&bench.num_applied, 0);
        atomic_store(&bench.asked_us, clock_mono_us());
        atomic_store(&bench.wanted_rev, atomic_load(&bench.nodes[0].applied_rev) + 1); /* nobody else changes what nodes get */
        uint64_t rev = change_route(i);
        acknowledged_us[i] = (uint32_t)(wait_synced(rev, "a change") - atomic_load(&bench.asked_us));
        usleep(PACE_US);
    }
    cpu = cpu_us() - cpu;
    print_latencies("change asked for -> applied by a node", bench.latencies_us, atomic_load(&bench.num_latencies));
    print_latencies("change asked for -> all acknowledged", acknowledged_us, bench.num_changes);
    printf("%-42s %.1f us a node and change, %u of %u applied\n", "processor time of control", cpu / ((double)bench.num_nodes * bench.num_changes),
           atomic_load(&bench.num_latencies), bench.num_nodes * bench.num_changes);
    atomic_store(&bench.wanted_rev, 0);
    free(acknowledged_us);
}

static uint64_t current_rev(void)
{
    char rev[32];
    call_for("GET", "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web", "text/plain", NULL, "resourceVersion", rev, sizeof(rev));
    return strtoull(rev, NULL, 10);
}

static void measure_restart(const char *what, int signal_number)
{
    uint64_t applied_before = atomic_load(&bench.nodes[0].applied_rev);
    end_control(signal_number);
    atomic_store(&bench.num_failed, 0);
    atomic_store(&bench.longest_us, 0);
    uint64_t begun_us = clock_mono_us();
    start_control();
    uint64_t ready_us = clock_mono_us();
    atomic_store(&bench.is_probing, true);
    uint64_t all_us = wait_synced(current_rev(), what);
    atomic_store(&bench.is_probing, false);
    printf("%-42s ready in %.0f ms, all back %.1f s later, %u refused, longest /livez %.0f ms, %.0f ms processor time%s\n", what,
           (double)(ready_us - begun_us) / 1e3, (double)(all_us - ready_us) / 1e6, atomic_load(&bench.num_failed), (double)atomic_load(&bench.longest_us) / 1e3,
           cpu_us() / 1e3, applied_before == atomic_load(&bench.nodes[0].applied_rev) ? "" : " (a node was sent anew what it had)");
}

static void set_up(void)
{
    char text[32], body[128];
    start_control();
    call_for("POST", "/selvedge/v1/apply", "application/yaml", setup, "revision", text, sizeof(text));
    snprintf(body, sizeof(body), "{\"uses\":%u,\"role\":\"gateway\"}", bench.num_nodes);
    call_for("POST", "/selvedge/v1/join-tokens", "application/json", body, "token", bench.token, sizeof(bench.token));
}

static void join_all(void)
{
    pthread_t threads[JOINERS];
    prepare_nodes();
    uint64_t begun_us = clock_mono_us();
    for (unsigned i = 0; i < JOINERS; ++i)
        pthread_create(&threads[i], NULL, join_some, NULL);
    for (unsigned i = 0; i < JOINERS; ++i)
        pthread_join(threads[i], NULL);
    printf("%-42s %.1f s\n", "all joined", (double)(clock_mono_us() - begun_us) / 1e6);
}

static void run(void)
{
    pthread_t prober;
    set_up();
    double empty_mb = memory_mb();
    join_all();
    pthread_create(&prober, NULL, probe, NULL);
    double joined_mb = memory_mb();
    uint64_t begun_us = clock_mono_us();
    start_nodes();
    uint64_t all_us = wait_synced(current_rev(), "connect");
    printf("%-42s %.1f s\n", "all connected", (double)(all_us - begun_us) / 1e6);
    measure_changes();
    printf("%-42s %.1f MB without nodes, %.1f MB joined, %.1f MB connected\n", "resident memory of control", empty_mb, joined_mb, memory_mb());
    measure_restart("restart after kill -9", SIGKILL);
    measure_restart("clean restart", SIGTERM);
    printf("%-42s %.1f MB\n", "resident memory of control, after", memory_mb());
    atomic_store(&bench.is_over, true);
    pthread_join(prober, NULL);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[900];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_type == DT_DIR)
            remove_folder(path);
        else
            (void)unlink(path); /* what is left shows what went wrong */
    }
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(folder);
}

static void *stop_node(void *data)
{
    for (unsigned i; (i = atomic_fetch_sub(&bench.next_join, 1) - 1) < bench.num_nodes;)
        node_config_stream_stop(bench.nodes[i].stream);
    return NULL;
}

static void stop_nodes(void)
{
    pthread_t threads[64];
    atomic_store(&bench.next_join, bench.num_nodes);
    for (unsigned i = 0; i < 64; ++i)
        pthread_create(&threads[i], NULL, stop_node, NULL);
    for (unsigned i = 0; i < 64; ++i)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *base = ".";
    bench.num_nodes = 1000;
    bench.num_changes = 50;
    bench.gateway = "bin/selvedge-gateway";
    for (int option; (option = getopt(argc, argv, "n:c:g:d:")) != -1;) {
        if (option == 'n')
            bench.num_nodes = (unsigned)atoi(optarg);
        else if (option == 'c')
            bench.num_changes = (unsigned)atoi(optarg);
        else if (option == 'g')
            bench.gateway = optarg;
        else if (option == 'd')
            base = optarg;
        else
            return 2;
    }
    if (bench.num_nodes == 0 || bench.num_nodes > 10000 || bench.num_changes == 0)
        return 2;
    (void)mallopt(M_ARENA_MAX, 4); /* one a thread would be gigabytes of address space */
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_init("nodes_bench", LOG_ERROR);
    snprintf(bench.folder, sizeof(bench.folder), "%.400s/nodes_bench-%ld", base, (long)getpid());
    snprintf(bench.data, sizeof(bench.data), "%s/data", bench.folder);
    snprintf(bench.socket, sizeof(bench.socket), "%s/control.sock", bench.data);
    snprintf(bench.ca, sizeof(bench.ca), "%s/ca.crt", bench.data);
    if (mkdir(bench.folder, 0700) != 0) {
        perror(bench.folder);
        return 1;
    }
    pick_address();
    run();
    stop_nodes();
    end_control(SIGTERM);
    remove_folder(bench.folder);
    return 0;
}
