/* Runs a fuzz target over files or folders: how every ordinary build replays the stored corpora. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t num_runs;

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return;
    (void)fseek(file, 0, SEEK_END); /* corpus files are regular files */
    long len = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(len > 0 ? (size_t)len : 1);
    if (bytes != NULL && len >= 0 && fread(bytes, 1, (size_t)len, file) == (size_t)len) {
        LLVMFuzzerTestOneInput(bytes, (size_t)len);
        ++num_runs;
    }
    free(bytes);
    fclose(file);
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) < (int)sizeof(inner))
            replay(inner);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; ++i)
        replay(argv[i]);
    printf("replayed %zu inputs\n", num_runs);
    return 0;
}
