/* Who calls, and what they may do.
 *
 * Callers: whoever may open control.sock (administrator); bearer tokens (stored hashed, with a role, perhaps confined to
 * namespaces, expiring, revocable); client certificates of nodes (the node protocol only). Roles: viewer reads everything
 * but Secrets' data, editor also writes objects, admin also tokens, join tokens, backup, audit.
 * Failures, of join tokens too, are counted per origin, and origins that guess are locked out (lockout.h; 429, Retry-After).
 *
 * Threads: the control worker's; the token table is in memory, changes go through jobs to the store first.
 * Ownership: identities are the call's arena's. */
#ifndef SELVEDGE_CONTROL_ACCESS_H
#define SELVEDGE_CONTROL_ACCESS_H

#include "gateway/control/call.h"
#include "gateway/control/store.h"

enum ctl_role { CTL_ROLE_NONE, CTL_ROLE_NODE, CTL_ROLE_VIEWER, CTL_ROLE_EDITOR, CTL_ROLE_ADMIN };

struct ctl_identity {
    struct slice name; /* "admin", "token:ci", "node:edge-2", "unix:uid=1000", "anonymous" */
    enum ctl_role role;
    struct slice *namespaces; /* empty: everywhere */
    uint32_t num_namespaces;
};

struct ctl_access;

/* Reads the tokens. Blocks: at start. */
struct ctl_access *ctl_access_open(struct net_worker *worker, struct ctl_store *store, struct err *err);
struct ctl_access *ctl_access_free(struct ctl_access *access);
/* The first start's administrator: makes a token when there is none at all and returns it once, heap; else NULL. Blocks. */
char *ctl_access_bootstrap(struct ctl_access *access, struct err *err);

/* Fills call->who (never NULL after). ERR_UNAUTHORIZED for a wrong or expired token, ERR_TOO_MANY while locked out; without
 * credentials the caller is anonymous with CTL_ROLE_NONE and 0 is returned. Needs the call's head only. */
int ctl_access_identify(struct ctl_access *access, struct ctl_call *call, struct err *err);
/* Whether it still holds, for calls that take a while: neither counted as a guess nor refused for the guesses of others at
 * the same address. */
int ctl_access_identify_again(struct ctl_access *access, struct ctl_call *call, struct err *err);
/* For other secrets than tokens (join tokens): ERR_TOO_MANY while locked out; and a failure to be counted. */
int ctl_access_check_lockout(struct ctl_access *access, struct ctl_call *call, struct err *err);
void ctl_access_count_failure(struct ctl_access *access, const struct ctl_call *call);
/* 0, ERR_UNAUTHORIZED (anonymous) or ERR_FORBIDDEN with who, what and the role it takes. `ns` "" is cluster scope or all
 * namespaces. */
int ctl_access_require(const struct ctl_call *call, enum ctl_role role, struct slice ns, const char *what, struct err *err);

/* Handlers, for administrators: POST/GET /selvedge/v1/tokens, DELETE …/{name}. */
void ctl_access_token_create(struct ctl_access *access, struct ctl_call *call);
void ctl_access_token_list(struct ctl_access *access, struct ctl_call *call);
void ctl_access_token_revoke(struct ctl_access *access, struct ctl_call *call, struct slice name);

/* New objects: metadata.uid, creationTimestamp, generation 1. */
void ctl_object_stamp(struct arena *arena, struct json *object, int64_t now_us);

#endif
