/* What access.c (who calls, and may they) and access_token.c (the tokens) share. Nobody else includes this. */
#ifndef SELVEDGE_CONTROL_ACCESS_PRIVATE_H
#define SELVEDGE_CONTROL_ACCESS_PRIVATE_H

#include "core/base/crypto.h"
#include "core/base/hashmap.h"
#include "gateway/control/access.h"
#include "gateway/control/lockout.h"

enum { ACCESS_HASH_LEN = 2 * CRYPTO_SHA256_LEN };

extern const char *const access_role_names[]; /* by enum ctl_role */

struct token {
    struct list link;
    char *name, hash[ACCESS_HASH_LEN + 1], *text; /* text: as stored */
    enum ctl_role role;
    int64_t expires_us; /* 0: never */
    struct slice *namespaces;
    uint32_t num_namespaces;
    struct arena *arena;
};

struct ctl_access {
    struct net_worker *worker;
    struct ctl_store *store;
    struct list tokens;
    struct hashmap tokens_by_hash, tokens_by_name;
    struct list operations; /* of struct operation: the first is under way */
    struct ctl_lockout *lockout;
};

/* Reads the stored tokens. Blocks: at start. */
int access_load_tokens(struct ctl_access *access, struct err *err);
void access_token_remove(struct ctl_access *access, struct token *token);
const struct token *access_find_token(const struct ctl_access *access, struct slice text); /* NULL: none */

#endif
