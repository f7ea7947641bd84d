#include "tests/unit/lib/tempdir.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *tempdir_new(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof(path), "%s/selvedge-test-XXXXXX", base != NULL ? base : "/tmp");
    char *copy = mkdtemp(path) != NULL ? strdup(path) : NULL;
    if (copy == NULL) {
        perror("mkdtemp");
        abort();
    }
    return copy;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void tempdir_free(char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        perror(path);
    free(path);
}

unsigned tempdir_num_files(const char *path)
{
    unsigned num = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        num += entry->d_name[0] != '.';
    closedir(dir);
    return num;
}
