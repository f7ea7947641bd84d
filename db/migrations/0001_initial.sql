-- The control store: objects at head, the change log, blobs, the audit log.
-- Portable on purpose (PostgreSQL is to run the same schema): no JSON functions, no sequences, texts are opaque.

-- One row. head: newest revision; compacted: revisions at and below it have left the change log.
-- audit_id and audit_hash repeat the newest audit row, so that cutting off the end of that log shows.
CREATE TABLE meta (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  epoch INTEGER NOT NULL,
  head INTEGER NOT NULL,
  compacted INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  audit_id INTEGER NOT NULL,
  audit_hash BLOB NOT NULL
) STRICT;

CREATE TABLE object (
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  rev INTEGER NOT NULL,
  object TEXT NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) STRICT;

-- One row a transaction, gap-free.
CREATE TABLE revision (
  rev INTEGER NOT NULL PRIMARY KEY,
  at_us INTEGER NOT NULL,
  num_changes INTEGER NOT NULL,
  is_status INTEGER NOT NULL,
  actor TEXT NOT NULL,
  origin TEXT NOT NULL,
  message TEXT NOT NULL,
  request_id TEXT NOT NULL
) STRICT;

-- op: 0 put, 1 delete. object: after the change (for a delete the last state); previous: before it, NULL for a create.
CREATE TABLE change (
  rev INTEGER NOT NULL REFERENCES revision (rev) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  op INTEGER NOT NULL,
  is_status INTEGER NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  previous_rev INTEGER NOT NULL,
  object TEXT NOT NULL,
  previous TEXT,
  PRIMARY KEY (rev, seq)
) STRICT;
CREATE INDEX change_key ON change (kind, namespace, name, rev, seq);

-- Answers of transactions that carried an idempotency key, for a day.
CREATE TABLE idempotency (
  actor TEXT NOT NULL,
  key TEXT NOT NULL,
  rev INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at_us);

-- Small values that are not objects: keys, token hashes, node state, leases.
CREATE TABLE blob (
  space TEXT NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (space, name)
) STRICT, WITHOUT ROWID;

-- hash covers the row and the hash of the row before.
CREATE TABLE audit (
  id INTEGER NOT NULL PRIMARY KEY,
  at_us INTEGER NOT NULL,
  actor TEXT NOT NULL,
  origin TEXT NOT NULL,
  agent TEXT NOT NULL,
  verb TEXT NOT NULL,
  target TEXT NOT NULL,
  message TEXT NOT NULL,
  rev INTEGER NOT NULL,
  status INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
