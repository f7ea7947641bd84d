-- The audit log ages: entries up to audit_gone have left, and audit_gone_hash is the hash of the last of them, from which
-- the chain goes on. An entry can leave only when it lies at or below that mark, which is moved in the same transaction.
ALTER TABLE meta ADD COLUMN audit_gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN audit_gone_hash BLOB NOT NULL
  DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000';

DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.id > (SELECT audit_gone FROM meta) BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
