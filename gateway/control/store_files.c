/* The files around the database: the lock, backups by name, renames that last. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* "FOLDER/name" for the folder that holds `path`; to be freed. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    struct strbuf out = STRBUF_INIT;
    if (slash != NULL)
        strbuf_add(&out, path, (size_t)(slash - path) + 1);
    strbuf_adds(&out, name);
    return strbuf_take(&out);
}

/* root restores, the control process's user goes on with it: what root makes belongs to the folder's owner.
 */
static void own_as_folder(int fd, const char *path)
{
    struct stat st;
    _cleanup_(freep) char *folder = beside(path, ".");
    if (geteuid() == 0 && stat(folder, &st) == 0)
        (void)!fchown(fd, st.st_uid, st.st_gid); /* else that user says so when it cannot open the file */
}

/* ---------- the lock ---------- */

static int refuse_second(const char *file, int fd, struct err *err)
{
    char holder[32] = "";
    ssize_t len = pread(fd, holder, sizeof(holder) - 1, 0);
    holder[len > 0 ? len : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return err_set(err, ERR_CONFLICT, "another process (%s) holds '%s'",
                   holder[0] != '\0' ? holder : "unknown", file);
}

int st_lock(const char *path, int *ret_fd, struct err *err)
{
    _cleanup_(freep) char *file = beside(path, "control.lock");
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, "open '%s'", file);
    own_as_folder(fd, file);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int result = errno == EWOULDBLOCK ? refuse_second(file, fd, err) : err_errno(err, "lock '%s'", file);
        close(fd);
        return result;
    }
    char pid[32];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    /* Only for the message above; on a full disk the lock is still a lock. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, pid, (size_t)len, 0);
    *ret_fd = fd;
    return 0;
}

/* ---------- files that last ---------- */

int st_sync_folder(const char *path, struct err *err)
{
    _cleanup_(freep) char *folder = beside(path, ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "open '%s'", folder);
    int result = fsync(fd) == 0 ? 0 : err_errno(err, "sync '%s'", folder);
    close(fd);
    return result;
}

int st_create_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_EXISTS, "'%s' exists already", path);
    if (fd < 0)
        return err_errno(err, "create '%s'", path);
    own_as_folder(fd, path);
    close(fd);
    return st_sync_folder(path, err);
}

int st_rename_new(const char *from, const char *to, struct err *err)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        if (errno == EEXIST)
            return err_set(err, ERR_EXISTS, "'%s' exists already", to);
        return err_errno(err, "rename '%s' to '%s'", from, to);
    }
    return st_sync_folder(to, err);
}

/* ---------- backups by name ---------- */

char *st_backup_name(const char *path, const char *prefix, struct err *err)
{
    _cleanup_(freep) char *folder = beside(path, "backups");
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        err_errno(err, "create '%s'", folder);
        return NULL;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        own_as_folder(fd, folder);
        close(fd);
    }
    char when[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339_us(clock_wall_us(), when);
    struct strbuf name = STRBUF_INIT;
    strbuf_addf(&name, "%s/%s-%s.db", folder, prefix, when);
    for (char *colon; (colon = strchr(name.base + strlen(folder), ':')) != NULL;)
        *colon = '.'; /* some file systems and scp dislike colons */
    return strbuf_take(&name);
}

char *st_newest_backup(const char *path)
{
    _cleanup_(freep) char *folder = beside(path, "backups");
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return NULL;
    struct timespec newest = {0, 0};
    char *found = NULL;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat st;
        if (!slice_ends(slice_of(entry->d_name), SLICE(".db")) ||
            fstatat(dirfd(dir), entry->d_name, &st, 0) != 0)
            continue;
        if (found != NULL && (st.st_mtim.tv_sec < newest.tv_sec ||
                              (st.st_mtim.tv_sec == newest.tv_sec && st.st_mtim.tv_nsec < newest.tv_nsec)))
            continue;
        newest = st.st_mtim;
        free(found);
        struct strbuf name = STRBUF_INIT;
        strbuf_addf(&name, "%s/%s", folder, entry->d_name);
        found = strbuf_take(&name);
    }
    closedir(dir);
    return found;
}
