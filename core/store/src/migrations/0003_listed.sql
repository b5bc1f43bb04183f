-- Version 3: a line of the list is one narrow row. A shipped file never changes (a test holds its checksum). [stays],
-- [leaves: how] as in version 1.

-- All that a list shows of a capture. Everything in it stands in `capture` and its original's row too, in rows so long that a
-- page of the list would read thirty pages of the database; it is kept by the triggers below in the transaction of each change.
CREATE TABLE listed (
    capture_id BLOB PRIMARY KEY REFERENCES capture (id) CHECK (length(capture_id) = 16),  -- [stays]
    asset_id   BLOB NOT NULL CHECK (length(asset_id) = 16),  -- [stays] the original
    kind       TEXT NOT NULL,                                -- [stays]
    state      TEXT NOT NULL,                                -- [stays] of the original
    created_ms INTEGER NOT NULL,                             -- [stays]
    bytes      INTEGER NOT NULL,                             -- [stays] plaintext bytes of the original
    sha256     BLOB                                          -- [stays] its plaintext digest, NULL until it is closed
) STRICT, WITHOUT ROWID;

-- The list of one state is as narrow, and is walked without a look at the table.
CREATE INDEX listed_by_state ON listed (state, capture_id, asset_id, kind, created_ms, bytes, sha256);

INSERT INTO listed (capture_id, asset_id, kind, state, created_ms, bytes, sha256)
    SELECT capture.id, asset.id, capture.kind, asset.state, capture.created_ms, asset.bytes, asset.sha256
      FROM capture JOIN asset ON asset.capture_id = capture.id AND asset.rendition = 'original' ORDER BY capture.id;

CREATE TRIGGER listed_inserted AFTER INSERT ON asset WHEN NEW.rendition = 'original' BEGIN
    INSERT INTO listed (capture_id, asset_id, kind, state, created_ms, bytes, sha256)
        SELECT id, NEW.id, kind, NEW.state, created_ms, NEW.bytes, NEW.sha256 FROM capture WHERE id = NEW.capture_id;
END;

CREATE TRIGGER listed_moved AFTER UPDATE OF state, bytes, sha256 ON asset WHEN NEW.rendition = 'original' BEGIN
    UPDATE listed SET state = NEW.state, bytes = NEW.bytes, sha256 = NEW.sha256 WHERE capture_id = NEW.capture_id;
END;

CREATE TRIGGER listed_described AFTER UPDATE OF kind, created_ms ON capture BEGIN
    UPDATE listed SET kind = NEW.kind, created_ms = NEW.created_ms WHERE capture_id = NEW.id;
END;

CREATE TRIGGER listed_deleted AFTER DELETE ON asset WHEN OLD.rendition = 'original' BEGIN
    DELETE FROM listed WHERE capture_id = OLD.capture_id;
END;

-- What the list was read from until now.
DROP INDEX asset_listed;
DROP INDEX capture_listed;
DROP INDEX asset_by_state;
