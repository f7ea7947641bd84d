/* The last configuration applied, on a node's disk: what it starts from when control does not answer.
 *
 * Files in the folder, all 0600: snapshot.json, without private keys, so that it can be looked at and shown to somebody;
 * and keys-DIGEST.json with the keys, named by what it holds. snapshot.json begins with a line that has its length, its
 * SHA-256 and that of its keys file. So one rename puts both in place: the keys are written first, under a name of their
 * own, and what an older snapshot.json needs is removed only when the new one is there to stay. A crash between any two
 * steps leaves the old pair or the new one.
 *
 * Threads: any; blocking; one writer for a folder. */
#ifndef SELVEDGE_NODE_STORED_SNAPSHOT_H
#define SELVEDGE_NODE_STORED_SNAPSHOT_H

#include "core/model/snapshot.h"

/* On error what was stored before is still what is read. */
int node_stored_snapshot_write(const char *folder, const struct cfg_document *doc, struct err *err);
/* NULL: ERR_NOT_FOUND when there is none; else `err` says what is wrong with it: nothing that does not say the truth about
 * itself is used. */
struct cfg_document *node_stored_snapshot_read(const char *folder, struct err *err);

#endif
