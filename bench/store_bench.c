/* How many durable writes a second the control store takes from N submitters that each wait for their answer.
 *
 * store_bench [-t THREADS=16] [-s SECONDS=5] [-b OBJECT_BYTES=800] [-d FOLDER=.]: makes
 * FOLDER/store_bench-PID/, removes it after, prints one line of JSON. The folder decides what is measured: it
 * should be on the disk in question. */
#include "core/base/clock.h"
#include "gateway/control/store.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LATENCIES_MAX = 1 << 20, NAMES = 500 };

struct submitter {
    pthread_t thread;
    struct ctl_store *store;
    unsigned index;
    uint64_t until_us, num;
    const char *object;
    uint32_t *latencies_us;
};

static void *submit(void *data)
{
    struct submitter *self = data;
    char name[32];
    for (uint64_t start_us; (start_us = clock_mono_us()) < self->until_us; ++self->num) {
        snprintf(name, sizeof(name), "b%u-%llu", self->index, (unsigned long long)self->num % NAMES);
        struct ctl_write write = {.op = CTL_PUT,
                                  .object = slice_of(self->object),
                                  .key = {SLICE("bench/objects"), SLICE("default"), slice_of(name)}};
        struct ctl_txn txn = {.writes = &write, .num_writes = 1, .actor = SLICE("bench")};
        if (ctl_store_write(self->store, &txn) != 0) {
            fprintf(stderr, "%s\n", txn.err.text);
            exit(1);
        }
        if (self->num < LATENCIES_MAX)
            self->latencies_us[self->num] = (uint32_t)(clock_mono_us() - start_us);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(struct submitter *submitters, unsigned num_threads, double seconds)
{
    uint64_t total = 0, num = 0;
    for (unsigned i = 0; i < num_threads; ++i)
        total += submitters[i].num;
    uint32_t *all = xmalloc((total + 1) * sizeof(*all));
    for (unsigned i = 0; i < num_threads; ++i)
        for (uint64_t j = 0; j < MIN(submitters[i].num, (uint64_t)LATENCIES_MAX); ++j)
            all[num++] = submitters[i].latencies_us[j];
    qsort(all, num, sizeof(*all), compare);
    printf("{\"submitters\":%u,\"writes\":%llu,\"writes_per_s\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%"
           "u}\n",
           num_threads, (unsigned long long)total, (double)total / seconds, all[num / 2], all[num * 99 / 100],
           all[num - 1]);
    free(all);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"control.db", "control.db-wal", "control.db-shm", "control.lock"};
    char path[1024];
    for (size_t i = 0; i < ARRAY_LEN(names); ++i) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path); /* some are gone already */
    }
    (void)rmdir(folder); /* what is left shows what went wrong */
}

static int run(const char *folder, unsigned num_threads, unsigned seconds, size_t object_len)
{
    char path[1024];
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/control.db", folder);
    struct ctl_store_config config = {.path = path};
    struct ctl_store *store = ctl_store_open(&config, &err);
    if (store == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    char *object = xcalloc(1, object_len + 1);
    memset(object, 'x', object_len);
    struct submitter *submitters = xcalloc(num_threads, sizeof(*submitters));
    uint64_t start_us = clock_mono_us();
    for (unsigned i = 0; i < num_threads; ++i) {
        submitters[i] = (struct submitter){.store = store,
                                           .index = i,
                                           .until_us = start_us + (uint64_t)seconds * 1000000,
                                           .object = object,
                                           .latencies_us = xmalloc(LATENCIES_MAX * sizeof(uint32_t))};
        pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]);
    }
    for (unsigned i = 0; i < num_threads; ++i)
        pthread_join(submitters[i].thread, NULL);
    report(submitters, num_threads, (double)(clock_mono_us() - start_us) / 1e6);
    for (unsigned i = 0; i < num_threads; ++i)
        free(submitters[i].latencies_us);
    free(submitters);
    free(object);
    ctl_store_close(store);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned num_threads = 16, seconds = 5, object_len = 800;
    const char *base = ".";
    char folder[900];
    for (int option; (option = getopt(argc, argv, "t:s:b:d:")) != -1;) {
        if (option == 't')
            num_threads = (unsigned)atoi(optarg);
        else if (option == 's')
            seconds = (unsigned)atoi(optarg);
        else if (option == 'b')
            object_len = (unsigned)atoi(optarg);
        else if (option == 'd')
            base = optarg;
        else
            return 2;
    }
    if (num_threads == 0 || seconds == 0)
        return 2;
    snprintf(folder, sizeof(folder), "%s/store_bench-%ld", base, (long)getpid());
    if (mkdir(folder, 0700) != 0) {
        perror(folder);
        return 1;
    }
    int result = run(folder, num_threads, seconds, object_len);
    remove_folder(folder);
    return result;
}
