#include "core/base/files.h"

#include "core/base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 1 << 16 };

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* `out` may hold a part of the file after an error. */
static int read_all(int fd, const char *path, size_t max_len, struct strbuf *out, struct err *err)
{
    for (size_t total = 0;;) {
        /* One byte more than allowed is asked for, so that a file of just the allowed size is told from a
         * larger one. */
        size_t want = MIN((size_t)READ_CHUNK, max_len - total + 1);
        ssize_t got = read(fd, strbuf_reserve(out, want), want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read '%s'", path);
        total += (size_t)got;
        if (total > max_len)
            return err_set(err, ERR_TOO_LARGE, "'%s' is larger than %zu bytes", path, max_len);
        out->len += (size_t)got;
        out->base[out->len] = '\0';
        if (got == 0)
            return 0;
    }
}

int file_read(const char *path, size_t max_len, struct strbuf *out, struct err *err)
{
    size_t len_before = out->len;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "open '%s'", path);
    if (read_all(fd, path, MIN(max_len, (size_t)SSIZE_MAX), out, err) == 0)
        return 0;
    out->len = len_before;
    if (out->base != NULL)
        out->base[len_before] = '\0';
    return -1;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len != 0) {
        ssize_t put = write(fd, bytes.base, bytes.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        bytes = slice_make(bytes.base + put, bytes.len - (size_t)put);
    }
    return 0;
}

/* The folder `path` is in, in `out` of PATH_MAX bytes. */
static int folder_of(const char *path, char *out, struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : MAX((size_t)(slash - path), (size_t)1);
    if (len >= PATH_MAX)
        return err_set(err, ERR_INVALID, "path too long: '%s'", path);
    memcpy(out, slash == NULL ? "." : path, slash == NULL ? 2 : len);
    if (slash != NULL)
        out[len] = '\0';
    return 0;
}

static int write_temporary(const char *temporary, struct slice bytes, mode_t mode, struct err *err)
{
    /* Unreadable to others until it has its mode: the umask may be wide and the content a key. */
    _cleanup_(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, "create '%s'", temporary);
    if (write_all(fd, bytes) != 0)
        return err_errno(err, "write '%s'", temporary);
    if (fchmod(fd, mode) != 0)
        return err_errno(err, "set the mode of '%s'", temporary);
    /* Before the rename: otherwise the name could outlive a crash and the content not. */
    if (fsync(fd) != 0)
        return err_errno(err, "sync '%s'", temporary);
    return 0;
}

static int sync_folder(const char *folder, struct err *err)
{
    _cleanup_(closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "open '%s'", folder);
    return fsync(fd) == 0 ? 0 : err_errno(err, "sync '%s'", folder);
}

int file_write_atomic(const char *path, struct slice bytes, mode_t mode, struct err *err)
{
    char folder[PATH_MAX], temporary[PATH_MAX];
    if (folder_of(path, folder, err) != 0)
        return -1;
    int len = snprintf(temporary, sizeof(temporary), "%s.tmp-%016llx", path,
                       (unsigned long long)crypto_random_u64());
    if (len >= (int)sizeof(temporary))
        return err_set(err, ERR_INVALID, "path too long: '%s'", path);
    int result = write_temporary(temporary, bytes, mode, err);
    if (result == 0 && rename(temporary, path) != 0)
        result = err_errno(err, "rename '%s' to '%s'", temporary, path);
    if (result != 0) {
        (void)unlink(temporary); /* it may not even exist */
        return -1;
    }
    return sync_folder(folder, err);
}
