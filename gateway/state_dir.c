/* Folders are opened without following links and everything below them is changed relative to that: a user who owns a
 * folder cannot have root give away something elsewhere. */
#include "gateway/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int give_folder(int fd, const char *name, const char *but, const struct passwd *user, struct err *err);

static int give_entry(int folder, const char *name, const struct passwd *user, struct err *err)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_errno(err, "%s", name);
    if (!S_ISDIR(st.st_mode))
        return st.st_uid != 0 || fchownat(folder, name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : err_errno(err, "%s", name);
    int fd = openat(folder, name, FOLDER);
    return fd < 0 ? err_errno(err, "%s", name) : give_folder(fd, name, NULL, user, err);
}

static int give_entries(DIR *entries, const char *but, const struct passwd *user, struct err *err)
{
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        bool is_other = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && (but == NULL || strcmp(entry->d_name, but) != 0);
        if (is_other && give_entry(dirfd(entries), entry->d_name, user, err) != 0)
            return -1;
    }
    return 0;
}

/* Takes the descriptor. The folder itself comes last: until then nobody but root could have put anything there. */
static int give_folder(int fd, const char *name, const char *but, const struct passwd *user, struct err *err)
{
    struct stat st;
    int result = 0;
    DIR *entries = fdopendir(fd);
    if (entries == NULL || fstat(fd, &st) != 0)
        result = err_errno(err, "folder %s", name);
    else if (st.st_uid != user->pw_uid && st.st_uid != 0)
        result = err_set(err, ERR_FORBIDDEN, "folder %s belongs to user id %u, not to %s", name, (unsigned)st.st_uid, user->pw_name);
    else if (st.st_uid == 0 && user->pw_uid != 0)
        result = give_entries(entries, but, user, err) == 0 && fchown(fd, user->pw_uid, user->pw_gid) == 0 ? 0
                 : err->code != ERR_NONE                                                                   ? -1
                                                                                                           : err_errno(err, "folder %s", name);
    if (entries != NULL)
        closedir(entries);
    else
        close(fd);
    return result;
}

static int prepare_proxy(int data, const struct passwd *proxy, struct err *err)
{
    struct stat st;
    if (fstat(data, &st) != 0 || ((st.st_mode & 0011) != 0011 && fchmod(data, (st.st_mode & 07777) | 0011) != 0))
        return err_errno(err, "let %s pass", proxy->pw_name);
    if (mkdirat(data, "proxy", 0700) != 0 && errno != EEXIST)
        return err_errno(err, "folder proxy");
    int fd = openat(data, "proxy", FOLDER);
    return fd < 0 ? err_errno(err, "folder proxy") : give_folder(fd, "proxy", NULL, proxy, err);
}

/* getpwnam() has one place for its answers. */
static const struct passwd *find_user(const char *name, struct passwd *ret)
{
    const struct passwd *found = getpwnam(name);
    if (found == NULL)
        return NULL;
    *ret = *found;
    ret->pw_name = (char *)name;
    return ret;
}

int state_dir_prepare(const struct gateway_options *options, bool has_control, struct err *err)
{
    struct passwd control_user, proxy_user;
    const struct passwd *control = has_control ? find_user(options->user_control, &control_user) : NULL;
    const struct passwd *proxy = find_user(options->user_proxy, &proxy_user);
    int result = 0;
    if (geteuid() != 0 || (control == NULL && proxy == NULL))
        return 0;
    if (mkdir(options->data_dir, 0711) != 0 && errno != EEXIST)
        return err_errno(err, "folder %s", options->data_dir);
    int data = open(options->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the administrator's path: links are his */
    if (data < 0)
        return err_errno(err, "folder %s", options->data_dir);
    if (control != NULL)
        result = give_folder(dup(data), options->data_dir, "proxy", control, err);
    if (result == 0 && proxy != NULL)
        result = prepare_proxy(data, proxy, err);
    close(data);
    return result;
}
