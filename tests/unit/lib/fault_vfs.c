#include "tests/unit/lib/fault_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { SECTOR = 512, FILES_MAX = 16 };
enum step_kind { STEP_WRITE, STEP_TRUNCATE, STEP_SYNC, STEP_DELETE, STEP_DELETE_SYNCED };

struct step {
    enum step_kind kind;
    int file;
    size_t at, len; /* TRUNCATE: `len` is the size */
    bool is_folder_too; /* SYNC: the folder was synced with it, removals before it are certain */
    char *bytes;
};

static struct {
    pthread_mutex_t mutex;
    enum fault_kind kind;
    unsigned nth, calls;
    bool is_lasting, has_struck, is_recording;
    char names[FILES_MAX][64];
    int num_names;
    struct step *steps;
    size_t num_steps, cap_steps;
} vfs = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct shim_file {
    sqlite3_file base;
    int name; /* index, -1: not recorded */
    bool is_new_journal; /* SQLite's unix VFS syncs the folder with the first sync of one it created */
    sqlite3_file *real; /* behind this struct */
};

/* ---------- faults ---------- */

static bool strikes(enum fault_kind kind)
{
    pthread_mutex_lock(&vfs.mutex);
    bool is_hit = false;
    if (vfs.kind == kind) {
        ++vfs.calls;
        is_hit = vfs.nth != 0 && (vfs.calls == vfs.nth || (vfs.is_lasting && vfs.calls > vfs.nth));
        vfs.has_struck = vfs.has_struck || is_hit;
    }
    pthread_mutex_unlock(&vfs.mutex);
    return is_hit;
}

void fault_vfs_set(enum fault_kind kind, unsigned nth, bool is_lasting)
{
    pthread_mutex_lock(&vfs.mutex);
    vfs.kind = kind;
    vfs.nth = nth;
    vfs.calls = 0;
    vfs.is_lasting = is_lasting;
    vfs.has_struck = false;
    pthread_mutex_unlock(&vfs.mutex);
}

unsigned fault_vfs_calls(void)
{
    pthread_mutex_lock(&vfs.mutex);
    unsigned calls = vfs.calls;
    pthread_mutex_unlock(&vfs.mutex);
    return calls;
}

bool fault_vfs_has_struck(void)
{
    pthread_mutex_lock(&vfs.mutex);
    bool has = vfs.has_struck;
    pthread_mutex_unlock(&vfs.mutex);
    return has;
}

/* ---------- the record ---------- */

static int name_index(const char *path)
{
    const char *base = path != NULL ? strrchr(path, '/') : NULL;
    if (base == NULL)
        return -1;
    for (int i = 0; i < vfs.num_names; ++i)
        if (strcmp(vfs.names[i], base + 1) == 0)
            return i;
    if (vfs.num_names == FILES_MAX)
        abort();
    snprintf(vfs.names[vfs.num_names], sizeof(vfs.names[0]), "%s", base + 1);
    return vfs.num_names++;
}

static void note_step(enum step_kind kind, int file, size_t at, const void *bytes, size_t len,
                      bool is_folder_too)
{
    pthread_mutex_lock(&vfs.mutex);
    if (vfs.is_recording && file >= 0) {
        if (vfs.num_steps == vfs.cap_steps) {
            vfs.cap_steps = vfs.cap_steps != 0 ? vfs.cap_steps * 2 : 256;
            vfs.steps = xrealloc(vfs.steps, vfs.cap_steps * sizeof(*vfs.steps));
        }
        struct step *step = &vfs.steps[vfs.num_steps++];
        *step = (struct step){kind, file, at, len, is_folder_too, NULL};
        if (bytes != NULL) {
            step->bytes = xmalloc(len);
            memcpy(step->bytes, bytes, len);
        }
    }
    pthread_mutex_unlock(&vfs.mutex);
}

static void note(enum step_kind kind, int file, size_t at, const void *bytes, size_t len)
{
    note_step(kind, file, at, bytes, len, false);
}

void fault_vfs_record(bool is_on)
{
    pthread_mutex_lock(&vfs.mutex);
    for (size_t i = 0; is_on && i < vfs.num_steps; ++i)
        free(vfs.steps[i].bytes);
    if (is_on)
        vfs.num_steps = 0;
    vfs.is_recording = is_on;
    pthread_mutex_unlock(&vfs.mutex);
}

size_t fault_vfs_num_steps(void)
{
    pthread_mutex_lock(&vfs.mutex);
    size_t num = vfs.num_steps;
    pthread_mutex_unlock(&vfs.mutex);
    return num;
}

/* ---------- rebuilding ---------- */

struct image {
    char *bytes;
    size_t len, cap;
    bool exists;
};

static void image_size(struct image *image, size_t len)
{
    if (len > image->cap) {
        image->cap = MAX(len, 2 * image->cap);
        image->bytes = xrealloc(image->bytes, image->cap);
    }
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void image_write(struct image *image, size_t at, const char *bytes, size_t len)
{
    if (at + len > image->len)
        image_size(image, at + len);
    memcpy(image->bytes + at, bytes, len);
}

static uint64_t mix(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Of an unsynced write each sector arrives or not. */
static void tear(struct image *image, const struct step *step, uint64_t *seed)
{
    for (size_t done = 0; done < step->len;) {
        size_t len = MIN(SECTOR - (step->at + done) % SECTOR, step->len - done);
        if (mix(seed) % 2 == 0)
            image_write(image, step->at + done, step->bytes + done, len);
        done += len;
    }
}

static void apply(struct image *image, const struct step *step, bool is_torn, uint64_t *seed)
{
    image->exists = true;
    if (step->kind == STEP_TRUNCATE)
        image_size(image, step->len);
    else if (step->kind == STEP_DELETE || step->kind == STEP_DELETE_SYNCED)
        *image = (struct image){image->bytes, 0, image->cap, false};
    else if (step->kind == STEP_WRITE && is_torn)
        tear(image, step, seed);
    else if (step->kind == STEP_WRITE)
        image_write(image, step->at, step->bytes, step->len);
}

/* Up to where this file is on disk for certain. */
static size_t synced_upto(int file, size_t upto)
{
    bool is_folder_synced = false;
    for (size_t i = upto; i-- > 0;) {
        const struct step *step = &vfs.steps[i];
        is_folder_synced = is_folder_synced || (step->kind == STEP_SYNC && step->is_folder_too);
        if (step->file != file)
            continue;
        if (step->kind == STEP_SYNC || step->kind == STEP_DELETE_SYNCED ||
            (step->kind == STEP_DELETE && is_folder_synced))
            return i + 1;
    }
    return 0;
}

static void save(const struct image *image, const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, image->bytes, image->len) != (ssize_t)image->len)
        abort();
    close(fd);
}

void fault_vfs_rebuild(size_t step, enum power_cut cut, uint64_t seed, const char *folder)
{
    for (int file = 0; file < vfs.num_names; ++file) {
        struct image image = {NULL, 0, 0, false};
        size_t certain = synced_upto(file, step);
        for (size_t i = 0; i < step; ++i) {
            const struct step *at = &vfs.steps[i];
            if (at->file != file || at->kind == STEP_SYNC)
                continue;
            bool is_certain = i < certain;
            if (!is_certain && cut == CUT_LOSES_ALL)
                continue;
            /* A removal or truncation happens or not, whole. */
            if (!is_certain && cut == CUT_TEARS && at->kind != STEP_WRITE && mix(&seed) % 2 == 0)
                continue;
            apply(&image, at, !is_certain && cut == CUT_TEARS, &seed);
        }
        if (image.exists)
            save(&image, folder, vfs.names[file]);
        free(image.bytes);
    }
}

/* ---------- files ---------- */

static sqlite3_file *real(sqlite3_file *file)
{
    return ((struct shim_file *)file)->real;
}

static int on_close(sqlite3_file *file)
{
    return real(file)->pMethods != NULL ? real(file)->pMethods->xClose(real(file)) : SQLITE_OK;
}
static int on_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    if (strikes(FAULT_READ))
        return SQLITE_IOERR_READ;
    return real(file)->pMethods->xRead(real(file), out, len, at);
}
static int on_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    /* A full disk takes what fits: half of it. */
    if (strikes(FAULT_DISK_FULL)) {
        (void)real(file)->pMethods->xWrite(real(file), bytes, len / 2,
                                           at); /* the fault is what is reported */
        return SQLITE_FULL;
    }
    if (strikes(FAULT_WRITE))
        return SQLITE_IOERR_WRITE;
    note(STEP_WRITE, ((struct shim_file *)file)->name, (size_t)at, bytes, (size_t)len);
    return real(file)->pMethods->xWrite(real(file), bytes, len, at);
}
static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (strikes(FAULT_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    note(STEP_TRUNCATE, ((struct shim_file *)file)->name, 0, NULL, (size_t)size);
    return real(file)->pMethods->xTruncate(real(file), size);
}
static int on_sync(sqlite3_file *file, int flags)
{
    if (strikes(FAULT_SYNC))
        return SQLITE_IOERR_FSYNC;
    struct shim_file *shim = (struct shim_file *)file;
    int result = real(file)->pMethods->xSync(real(file), flags);
    note_step(STEP_SYNC, shim->name, 0, NULL, 0, shim->is_new_journal);
    shim->is_new_journal = false;
    return result;
}
static int on_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return real(file)->pMethods->xFileSize(real(file), ret);
}
static int on_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}
static int on_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}
static int on_check_lock(sqlite3_file *file, int *ret)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret);
}
static int on_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}
static int on_sector_size(sqlite3_file *file)
{
    return SECTOR;
}
static int on_characteristics(sqlite3_file *file)
{
    return 0; /* promise nothing: no atomic writes, no powersafe overwrite */
}
static int on_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, ret);
}
static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}
static void on_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}
static int on_shm_unmap(sqlite3_file *file, int is_delete)
{
    return real(file)->pMethods->xShmUnmap(real(file), is_delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    struct shim_file *shim = (struct shim_file *)file;
    sqlite3_vfs *below = self->pAppData;
    shim->real = (sqlite3_file *)(shim + 1);
    pthread_mutex_lock(&vfs.mutex);
    shim->name = vfs.is_recording ? name_index(path) : -1;
    pthread_mutex_unlock(&vfs.mutex);
    shim->is_new_journal =
        (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0 && access(path, F_OK) != 0;
    int result = below->xOpen(below, path, shim->real, flags, ret_flags);
    shim->base.pMethods = shim->real->pMethods != NULL ? &methods : NULL;
    return result;
}

static int on_delete(sqlite3_vfs *self, const char *path, int is_synced)
{
    sqlite3_vfs *below = self->pAppData;
    int result = below->xDelete(below, path, is_synced);
    pthread_mutex_lock(&vfs.mutex);
    int name = vfs.is_recording && result == SQLITE_OK ? name_index(path) : -1;
    pthread_mutex_unlock(&vfs.mutex);
    note(is_synced ? STEP_DELETE_SYNCED : STEP_DELETE, name, 0, NULL, 0);
    return result;
}

void fault_vfs_install(void)
{
    static sqlite3_vfs shim;
    if (shim.zName != NULL)
        return;
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    shim = *below; /* what is not replaced takes the pointer of the shim, and looks at pAppData only through
                      ours */
    shim.zName = "fault";
    shim.szOsFile = (int)sizeof(struct shim_file) + below->szOsFile;
    shim.pAppData = below;
    shim.pNext = NULL;
    shim.xOpen = on_open;
    shim.xDelete = on_delete;
    sqlite3_vfs_register(&shim, 1);
}
