/* document -> keys file, then snapshot file, then the sweep; and back, with every digest checked. */
#include "core/node/stored_snapshot.h"

#include "core/base/crypto.h"
#include "core/base/files.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define FORMAT "selvedge-snapshot 2"
enum { MAX_FILE = 256 * 1024 * 1024, HEX_LEN = 2 * CRYPTO_SHA256_LEN, NAME_HEX = 16 };

static char *path_in(const char *folder, const char *name)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/%s", folder, name);
    return strbuf_take(&path);
}

static void digest_hex(struct slice text, char out[HEX_LEN + 1])
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    crypto_sha256(text, digest);
    hex_encode(digest, sizeof(digest), out);
}

static void keys_name(const char *digest, char out[64])
{
    snprintf(out, 64, "keys-%.*s.json", NAME_HEX, digest);
}

static void wipe(struct strbuf *text)
{
    if (text->base != NULL)
        crypto_wipe(text->base, text->len);
    strbuf_clear(text);
}

/* The first line: format, length and digest of what follows, digest of the keys file. */
static void add_head(struct strbuf *out, size_t len, const char *digest, const char *keys_digest)
{
    strbuf_addf(out, FORMAT " %zu %s %s\n", len, digest, keys_digest);
}

/* ---------- writing ---------- */

static void write_keys(const struct cfg_document *doc, struct strbuf *out)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *keys = json_new_object(arena);
    for (uint32_t i = 0; i < doc->num; ++i) {
        const struct cfg_resource *resource = &doc->resources[i];
        struct json *spec = slice_is(resource->kind, "certificate") ? json_parse(arena, resource->text, NULL) : NULL;
        struct slice key = json_slice(json_get(spec, "keyPem"));
        if (key.base != NULL)
            json_set_n(arena, keys, resource->name, json_new_string(arena, key));
    }
    json_write(out, keys);
}

static int write_in(const char *folder, const char *name, struct slice text, struct err *err)
{
    _cleanup_(freep) char *path = path_in(folder, name);
    return file_write_atomic(path, text, 0600, err);
}

static int write_document(const char *folder, const struct cfg_document *doc, const char *keys_digest, struct err *err)
{
    struct strbuf body = STRBUF_INIT, file = STRBUF_INIT;
    char digest[HEX_LEN + 1];
    cfg_document_write(doc, true, &body);
    digest_hex(strbuf_slice(&body), digest);
    add_head(&file, body.len, digest, keys_digest);
    strbuf_add_slice(&file, strbuf_slice(&body));
    int status = write_in(folder, "snapshot.json", strbuf_slice(&file), err);
    strbuf_clear(&body);
    strbuf_clear(&file);
    return status;
}

static bool starts_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Keys that no snapshot names any more, and what a crash left half written. It is tidiness, nothing depends on it. */
static void sweep(const char *folder, const char *keys_in_use)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        bool is_ours = starts_with(entry->d_name, "keys-") || starts_with(entry->d_name, "snapshot.json.tmp-");
        if (!is_ours || strcmp(entry->d_name, keys_in_use) == 0)
            continue;
        _cleanup_(freep) char *path = path_in(folder, entry->d_name);
        (void)unlink(path); /* the next time, then */
    }
    if (dir != NULL)
        closedir(dir);
}

int node_stored_snapshot_write(const char *folder, const struct cfg_document *doc, struct err *err)
{
    struct strbuf keys = STRBUF_INIT;
    char digest[HEX_LEN + 1], name[64];
    write_keys(doc, &keys);
    digest_hex(strbuf_slice(&keys), digest);
    keys_name(digest, name);
    int status = write_in(folder, name, strbuf_slice(&keys), err);
    wipe(&keys);
    if (status == 0)
        status = write_document(folder, doc, digest, err);
    if (status == 0)
        sweep(folder, name); /* the rename is on disk: what was there before is needed no longer */
    return status;
}

/* ---------- reading ---------- */

static bool has_digest(struct slice text, const char *want)
{
    char digest[HEX_LEN + 1];
    digest_hex(text, digest);
    return strcmp(digest, want) == 0;
}

static struct json *read_keys(const char *folder, const char *digest, struct arena *arena, struct err *err)
{
    char name[64];
    struct strbuf text = STRBUF_INIT;
    struct json *keys = NULL;
    keys_name(digest, name);
    _cleanup_(freep) char *path = path_in(folder, name);
    if (file_read(path, MAX_FILE, &text, err) != 0) {
        if (err != NULL && err->code == ERR_NOT_FOUND)
            err_set(err, ERR_IO, "%s: the keys of the stored snapshot are missing", path);
    } else if (!has_digest(strbuf_slice(&text), digest)) {
        err_set(err, ERR_IO, "%s: these are not the keys of the stored snapshot", path);
    } else {
        keys = json_parse(arena, strbuf_slice(&text), err);
    }
    wipe(&text);
    return keys;
}

static struct cfg_document *with_keys(const struct cfg_document *doc, const struct json *keys, struct arena *arena, struct err *err)
{
    struct cfg_document *whole = cfg_document_new();
    whole->epoch = doc->epoch;
    whole->rev = doc->rev;
    for (uint32_t i = 0; i < doc->num; ++i) {
        const struct cfg_resource *resource = &doc->resources[i];
        struct json *spec = json_parse(arena, resource->text, NULL);
        struct json *key = slice_is(resource->kind, "certificate") ? json_get_n(keys, resource->name) : NULL;
        if (key != NULL)
            json_set(arena, spec, "keyPem", json_new_string(arena, json_slice(key)));
        cfg_document_add(whole, resource->kind, resource->name, resource->rev, spec);
    }
    return cfg_document_seal(whole, err) == 0 ? whole : cfg_document_free(whole);
}

/* Its length; 0: this is no such line, to the byte. */
static size_t parse_head(const struct strbuf *file, size_t *ret_len, char digest[HEX_LEN + 1], char keys_digest[HEX_LEN + 1])
{
    struct strbuf same = STRBUF_INIT;
    if (sscanf(file->base, FORMAT " %zu %64[0-9a-f] %64[0-9a-f]", ret_len, digest, keys_digest) != 3)
        return 0;
    add_head(&same, *ret_len, digest, keys_digest);
    size_t head = slice_starts(strbuf_slice(file), strbuf_slice(&same)) ? same.len : 0;
    strbuf_clear(&same);
    return head;
}

/* The document without its keys, and the digest of those. */
static struct cfg_document *parse_file(const char *path, const struct strbuf *file, char keys_digest[HEX_LEN + 1], struct err *err)
{
    char digest[HEX_LEN + 1];
    size_t len, head = parse_head(file, &len, digest, keys_digest);
    if (head == 0) {
        err_set(err, ERR_IO, "%s: not a stored snapshot of this version", path);
        return NULL;
    }
    struct slice body = slice_make(file->base + head, file->len - head);
    if (body.len != len || !has_digest(body, digest)) {
        err_set(err, ERR_IO, "%s: the checksum does not fit", path);
        return NULL;
    }
    return cfg_document_parse(body, err);
}

struct cfg_document *node_stored_snapshot_read(const char *folder, struct err *err)
{
    struct strbuf file = STRBUF_INIT;
    char keys_digest[HEX_LEN + 1];
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    _cleanup_(freep) char *path = path_in(folder, "snapshot.json");
    if (file_read(path, MAX_FILE, &file, err) != 0)
        return NULL;
    struct cfg_document *doc = parse_file(path, &file, keys_digest, err), *whole = NULL;
    strbuf_clear(&file);
    struct json *keys = doc != NULL ? read_keys(folder, keys_digest, arena, err) : NULL;
    if (keys != NULL)
        whole = with_keys(doc, keys, arena, err);
    cfg_document_free(doc);
    return whole;
}
